//! WebSocket frames read by the picture in RFC 6455 §5.2, from bytes that are all there.

/// A frame header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub first: u8,
    pub mask: Option<[u8; 4]>,
    pub len: u64,
    /// How long the header is.
    pub size: usize,
}

impl Head {
    pub fn fin(&self) -> bool {
        self.first >= 0x80
    }

    pub fn opcode(&self) -> u8 {
        self.first % 16
    }

    /// The header as it was written, with the length in the form that `size` tells.
    pub fn encode(&self) -> Vec<u8> {
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        let mut out = vec![self.first];
        match self.size - if self.mask.is_some() { 4 } else { 0 } {
            2 => out.push(masked + self.len as u8),
            4 => {
                out.push(masked + 126);
                out.extend(&self.len.to_be_bytes()[6..]);
            }
            _ => {
                out.push(masked + 127);
                out.extend(self.len.to_be_bytes());
            }
        }
        out.extend(self.mask.into_iter().flatten());
        out
    }
}

/// What a header can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    Short,
    /// The highest bit of the length is set.
    Impossible,
    Head(Head),
}

pub fn read(bytes: &[u8]) -> Read {
    let mut bytes = bytes.iter().copied();
    let mut next = || bytes.next().ok_or(());
    let mut size = 2;
    let mut all = || -> Result<(u8, Option<[u8; 4]>, u64), ()> {
        let (first, second) = (next()?, next()?);
        let extended = match second % 128 {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mut len = if extended == 0 { u64::from(second % 128) } else { 0 };
        for _ in 0..extended {
            len = len * 256 + u64::from(next()?);
        }
        size += extended;
        let mut mask = None;
        if second >= 128 {
            mask = Some([next()?, next()?, next()?, next()?]);
            size += 4;
        }
        Ok((first, mask, len))
    };
    match all() {
        Err(()) => Read::Short,
        Ok((.., len)) if len >= 1 << 63 => Read::Impossible,
        Ok((first, mask, len)) => Read::Head(Head { first, mask, len, size }),
    }
}

/// A frame in a stream, from `start` to `end`; the last may be cut, then `end` lies behind the
/// stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub head: Head,
    pub start: usize,
    pub end: u128,
}

impl Frame {
    /// Its payload, as far as it is there, without its mask.
    pub fn payload(&self, stream: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for (offset, byte) in stream[self.start + self.head.size..].iter().enumerate() {
            if offset as u64 == self.head.len {
                break;
            }
            out.push(self.head.mask.map_or(*byte, |key| byte ^ key[offset % 4]));
        }
        out
    }

    /// The bytes of it that are there.
    pub fn bytes<'a>(&self, stream: &'a [u8]) -> &'a [u8] {
        &stream[self.start..usize::try_from(self.end).map_or(stream.len(), |e| e.min(stream.len()))]
    }

    pub fn is_whole(&self, stream: &[u8]) -> bool {
        self.end <= stream.len() as u128
    }
}

/// What stands behind the last frame of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Nothing: the last frame is whole.
    Nothing,
    /// A frame that is cut.
    Frame,
    /// A header that is cut, from here on.
    Header(usize),
    /// A header that cannot be, from here on.
    Impossible(usize),
}

/// All frames of a stream.
pub fn frames(stream: &[u8]) -> (Vec<Frame>, Tail) {
    let (mut frames, mut at) = (Vec::new(), 0);
    loop {
        if at == stream.len() {
            return (frames, Tail::Nothing);
        }
        match read(&stream[at..]) {
            Read::Short => return (frames, Tail::Header(at)),
            Read::Impossible => return (frames, Tail::Impossible(at)),
            Read::Head(head) => {
                let end = at as u128 + head.size as u128 + u128::from(head.len);
                frames.push(Frame { head, start: at, end });
                match usize::try_from(end) {
                    Ok(next) if next <= stream.len() => at = next,
                    _ => return (frames, Tail::Frame),
                }
            }
        }
    }
}
