//! Frame headers of RFC 6455 (section 5.2), both ways, and a parser that takes a stream in pieces.

#[cfg(test)]
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// Two bytes, eight of length, four of mask.
const LONGEST: usize = 14;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub fin: bool,
    pub opcode: u8,
    pub mask: Option<[u8; 4]>,
    pub len: u64,
}

impl Header {
    pub fn message(len: usize, mask: Option<[u8; 4]>) -> Self {
        Self { fin: true, opcode: BINARY, mask, len: len as u64 }
    }

    pub fn is_control(&self) -> bool {
        self.opcode & 8 != 0
    }

    pub fn put(&self, out: &mut Vec<u8>) {
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        out.push(if self.fin { 0x80 } else { 0 } | self.opcode);
        match self.len {
            0..126 => out.push(masked | self.len as u8),
            126..0x1_0000 => {
                out.push(masked | 0x7e);
                out.extend_from_slice(&(self.len as u16).to_be_bytes());
            }
            _ => {
                out.push(masked | 0x7f);
                out.extend_from_slice(&self.len.to_be_bytes());
            }
        }
        out.extend_from_slice(self.mask.as_ref().map_or(&[][..], |mask| &mask[..]));
    }

    /// The header at the start of `bytes`, which is as long as `length_of` says.
    fn parse(bytes: &[u8]) -> Self {
        let (len, rest) = match bytes[1] & 0x7f {
            126 => (u64::from(u16::from_be_bytes([bytes[2], bytes[3]])), &bytes[4..]),
            127 => {
                let mut len = [0; 8];
                len.copy_from_slice(&bytes[2..10]);
                (u64::from_be_bytes(len), &bytes[10..])
            }
            len => (u64::from(len), &bytes[2..]),
        };
        let mask = (bytes[1] & 0x80 != 0).then(|| [rest[0], rest[1], rest[2], rest[3]]);
        Self { fin: bytes[0] & 0x80 != 0, opcode: bytes[0] & 0x0f, mask, len }
    }

    fn length_of(second: u8) -> usize {
        let length = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + length + if second & 0x80 == 0 { 0 } else { 4 }
    }
}

/// A whole control frame.
pub fn put_control(out: &mut Vec<u8>, opcode: u8, payload: &[u8], mask: Option<[u8; 4]>) {
    Header { fin: true, opcode, mask, len: payload.len() as u64 }.put(out);
    let from = out.len();
    out.extend_from_slice(payload);
    apply(mask.unwrap_or_default(), 0, &mut out[from..]);
}

/// Masks or unmasks `bytes`, which begin at `offset` of the payload.
pub fn apply(mask: [u8; 4], offset: u64, bytes: &mut [u8]) {
    if mask == [0; 4] {
        return;
    }
    let mut key = u32::from_ne_bytes(mask);
    let turn = (offset % 4) as u32 * 8;
    key =
        if cfg!(target_endian = "little") { key.rotate_right(turn) } else { key.rotate_left(turn) };
    let key = (u64::from(key) << 32 | u64::from(key)).to_ne_bytes();
    let mut chunks = bytes.chunks_exact_mut(8);
    for chunk in &mut chunks {
        for (byte, key) in chunk.iter_mut().zip(key) {
            *byte ^= key;
        }
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(key) {
        *byte ^= key;
    }
}

/// A part of the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    Start(Header),
    /// Payload as it was sent, and where in the payload it begins.
    Payload(&'a mut [u8], u64),
    End,
}

/// Takes a stream of frames apart.
#[derive(Default)]
pub struct Parser {
    head: [u8; LONGEST],
    have: usize,
    /// The frame under way.
    frame: Option<Header>,
    at: u64,
}

impl Parser {
    /// The next piece of `input`, which it is taken from; `None` when there is none yet.
    pub fn next<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<Piece<'a>> {
        let Some(frame) = self.frame else { return self.start(input) };
        let left = frame.len - self.at;
        if left == 0 {
            self.frame = None;
            return Some(Piece::End);
        }
        if input.is_empty() {
            return None;
        }
        let take = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
        let (payload, rest) = std::mem::take(input).split_at_mut(take);
        *input = rest;
        let offset = self.at;
        self.at += take as u64;
        Some(Piece::Payload(payload, offset))
    }

    fn start<'a>(&mut self, input: &mut &'a mut [u8]) -> Option<Piece<'a>> {
        loop {
            let need = if self.have < 2 { 2 } else { Header::length_of(self.head[1]) };
            if self.have == need {
                break;
            }
            let take = (need - self.have).min(input.len());
            if take == 0 {
                return None;
            }
            let (head, rest) = std::mem::take(input).split_at_mut(take);
            self.head[self.have..self.have + take].copy_from_slice(head);
            self.have += take;
            *input = rest;
        }
        let header = Header::parse(&self.head);
        (self.have, self.at, self.frame) = (0, 0, Some(header));
        Some(Piece::Start(header))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(stream: &[u8], step: usize) -> Vec<(Header, Vec<u8>)> {
        let (mut parser, mut frames, mut ended) = (Parser::default(), Vec::new(), 0);
        for chunk in stream.chunks(step) {
            let mut chunk = chunk.to_vec();
            let mut input = &mut chunk[..];
            while let Some(piece) = parser.next(&mut input) {
                match piece {
                    Piece::Start(header) => frames.push((header, Vec::new())),
                    Piece::Payload(bytes, at) => {
                        let (header, payload): &mut (Header, Vec<u8>) = frames.last_mut().unwrap();
                        assert_eq!(at, payload.len() as u64);
                        apply(header.mask.unwrap_or_default(), at, bytes);
                        payload.extend_from_slice(bytes);
                    }
                    Piece::End => ended += 1,
                }
            }
        }
        assert_eq!(ended, frames.len());
        frames
    }

    #[test]
    fn every_length_and_mask_survives_every_cut() {
        let (mut stream, mut wanted) = (Vec::new(), Vec::new());
        for (n, len) in [0, 1, 7, 8, 125, 126, 127, 1000, 65535, 65536].into_iter().enumerate() {
            let payload: Vec<u8> = (0..len).map(|i: usize| (i * 7 + n) as u8).collect();
            let mask = (n % 2 == 0).then_some([1, 2, 3, n as u8]);
            let header = Header { fin: n % 3 != 0, opcode: BINARY, mask, len: len as u64 };
            header.put(&mut stream);
            let from = stream.len();
            stream.extend_from_slice(&payload);
            apply(mask.unwrap_or_default(), 0, &mut stream[from..]);
            wanted.push((header, payload));
        }
        for step in [1, 2, 3, 13, 14, 1021, 65536, stream.len()] {
            assert!(parse(&stream, step) == wanted, "in steps of {step}");
        }
    }

    #[test]
    fn headers_look_as_the_rfc_says() {
        let mut out = Vec::new();
        Header::message(5, None).put(&mut out);
        Header::message(256, None).put(&mut out);
        Header::message(65536, Some([9; 4])).put(&mut out);
        assert_eq!(out, [0x82, 5, 0x82, 126, 1, 0, 0x82, 255, 0, 0, 0, 0, 0, 1, 0, 0, 9, 9, 9, 9]);
        let mut close = Vec::new();
        put_control(&mut close, CLOSE, &1000_u16.to_be_bytes(), Some([0xff, 0, 0, 0]));
        assert_eq!(close, [0x88, 0x82, 0xff, 0, 0, 0, 0xfc, 0xe8]);
    }
}
