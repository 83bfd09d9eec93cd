//! WebSocket frames on the wire (RFC 6455 §5.2): where each begins and ends, and the few that
//! Wayhold writes itself. Not here: what a frame means for the tunnel (`ws::tunnel`).
//!
//! Nothing is policed here but what makes the end of a frame unknowable: a proxy passes on what two
//! endpoints have agreed on, reserved bits and opcodes included. The other rules are in `ws::rules`.

/// The longest header: 2 bytes, 8 of extended length, 4 of masking key.
pub const MAX_HEADER: usize = 14;
/// Payload of a ping of ours.
pub const PING_PAYLOAD: usize = 8;
/// The longest frame Wayhold writes: a masked ping.
pub const MAX_OWN_FRAME: usize = 6 + PING_PAYLOAD;

/// The opcodes Wayhold looks at.
pub mod opcode {
    /// A fragment that goes on with a message.
    pub const CONTINUATION: u8 = 0x0;
    /// A text message, or its first fragment.
    pub const TEXT: u8 = 0x1;
    /// A binary message, or its first fragment.
    pub const BINARY: u8 = 0x2;
    /// Close.
    pub const CLOSE: u8 = 0x8;
    /// Ping.
    pub const PING: u8 = 0x9;
    /// Pong.
    pub const PONG: u8 = 0xa;
}

/// A frame header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The frame ends its message.
    pub fin: bool,
    /// See [`opcode`]; reserved ones pass too.
    pub opcode: u8,
    /// The masking key, when the frame is masked.
    pub mask: Option<[u8; 4]>,
    /// Bytes of payload.
    pub len: u64,
}

impl Header {
    /// Whether it is a control frame: these may stand between the fragments of a message.
    pub const fn is_control(&self) -> bool {
        self.opcode >= 0x8
    }

    /// How long the header is whose second byte this is.
    const fn size(second: u8) -> usize {
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + extended + if second & 0x80 == 0 { 0 } else { 4 }
    }

    /// How long its shortest form is (RFC 6455 §5.2 allows no other).
    pub const fn shortest(&self) -> usize {
        let extended = match self.len {
            0..126 => 0,
            126..0x1_0000 => 2,
            _ => 8,
        };
        2 + extended + if self.mask.is_some() { 4 } else { 0 }
    }

    /// Reads the header at the start of `bytes`, and how long it is; `Ok(None)` when it is not all
    /// there.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, LengthError> {
        let &[first, second, ..] = bytes else {
            return Ok(None);
        };
        let size = Self::size(second);
        let Some(header) = bytes.get(..size) else {
            return Ok(None);
        };
        let (len, rest) = match second & 0x7f {
            126 => (u64::from(u16::from_be_bytes([header[2], header[3]])), &header[4..]),
            127 => {
                let mut len = [0; 8];
                len.copy_from_slice(&header[2..10]);
                (u64::from_be_bytes(len), &header[10..])
            }
            short => (u64::from(short), &header[2..]),
        };
        if len >> 63 != 0 {
            return Err(LengthError);
        }
        let mask = <[u8; 4]>::try_from(rest).ok();
        Ok(Some((Self { fin: first & 0x80 != 0, opcode: first & 0x0f, mask, len }, size)))
    }
}

/// A 64-bit length with its highest bit set (RFC 6455 §5.2): nobody can say where the frame ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LengthError;

/// What [`Tracker::advance`] came upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The bytes ended inside a header. It is kept in the tracker.
    Partial,
    /// A header is complete; its payload follows. Its first bytes came earlier and were withheld:
    /// so many, see [`Tracker::withheld`].
    Header(Header, usize),
    /// Payload, and more of it to come.
    Payload,
    /// The last payload byte of the frame: the stream stands at a frame boundary.
    End,
    /// See [`LengthError`].
    Invalid,
}

/// Follows the frames of one direction, whatever the cuts between reads.
///
/// Invariant: bytes of an incomplete header are kept here and nowhere else; whoever forwards the
/// stream withholds them until the header is complete, so that a frame is forwarded from its first
/// byte or not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tracker {
    remaining: u64,
    header: [u8; MAX_HEADER],
    header_len: u8,
    in_frame: bool,
}

impl Tracker {
    /// Consumes bytes up to the next event; gives back how many.
    #[inline]
    pub fn advance(&mut self, bytes: &[u8]) -> (usize, Event) {
        if self.in_frame {
            return self.payload(bytes);
        }
        if self.header_len != 0 {
            return self.rest_of_header(bytes);
        }
        match Header::parse(bytes) {
            Ok(Some((header, size))) => {
                self.begin(&header);
                (size, Event::Header(header, 0))
            }
            // Shorter than a header, so it fits.
            Ok(None) => {
                self.header[..bytes.len()].copy_from_slice(bytes);
                self.header_len = bytes.len() as u8;
                (bytes.len(), Event::Partial)
            }
            Err(LengthError) => (0, Event::Invalid),
        }
    }

    /// Whether the last byte of a frame has been seen and no byte of the next.
    pub const fn at_boundary(&self) -> bool {
        !self.in_frame && self.header_len == 0
    }

    /// Whether the payload of a frame is under way.
    pub const fn in_frame(&self) -> bool {
        self.in_frame
    }

    /// Payload bytes of this frame still to come.
    pub const fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Payload bytes that go by unseen, at most [`Tracker::remaining`]. The frame's end comes with
    /// the next call of [`Tracker::advance`].
    pub const fn skip(&mut self, len: u64) {
        self.remaining = self.remaining.saturating_sub(len);
    }

    /// The bytes of an incomplete header.
    pub fn partial_header(&self) -> &[u8] {
        self.withheld(usize::from(self.header_len))
    }

    /// The first `len` bytes of a header that [`Event::Header`] says were withheld.
    pub fn withheld(&self, len: usize) -> &[u8] {
        &self.header[..len]
    }

    fn begin(&mut self, header: &Header) {
        self.remaining = header.len;
        self.in_frame = true;
        self.header_len = 0;
    }

    #[inline]
    fn payload(&mut self, bytes: &[u8]) -> (usize, Event) {
        if self.remaining <= bytes.len() as u64 {
            let used = self.remaining as usize;
            self.remaining = 0;
            self.in_frame = false;
            return (used, Event::End);
        }
        self.remaining -= bytes.len() as u64;
        (bytes.len(), Event::Payload)
    }

    /// Goes on with a header that was cut: byte by byte, it is at most thirteen.
    fn rest_of_header(&mut self, bytes: &[u8]) -> (usize, Event) {
        let withheld = usize::from(self.header_len);
        for (used, byte) in (1..).zip(bytes) {
            self.header[usize::from(self.header_len)] = *byte;
            self.header_len += 1;
            match Header::parse(&self.header[..usize::from(self.header_len)]) {
                Ok(Some((header, _))) => {
                    self.begin(&header);
                    return (used, Event::Header(header, withheld));
                }
                Ok(None) => {}
                Err(LengthError) => return (used, Event::Invalid),
            }
        }
        (bytes.len(), Event::Partial)
    }
}

/// Writes a control frame of ours: unmasked towards a client, masked towards an upstream
/// (RFC 6455 §5.1). `payload` is at most [`PING_PAYLOAD`] bytes.
pub fn put_control(out: &mut Vec<u8>, opcode: u8, payload: &[u8], mask: Option<[u8; 4]>) {
    debug_assert!(payload.len() <= PING_PAYLOAD);
    out.push(0x80 | opcode);
    let len = payload.len() as u8;
    if let Some(mask) = mask {
        out.push(0x80 | len);
        out.extend_from_slice(&mask);
        out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    } else {
        out.push(len);
        out.extend_from_slice(payload);
    }
}

/// The payload byte at `offset` of a frame, without its mask.
pub const fn unmask(byte: u8, offset: u64, mask: Option<[u8; 4]>) -> u8 {
    match mask {
        Some(key) => byte ^ key[(offset & 3) as usize],
        None => byte,
    }
}
