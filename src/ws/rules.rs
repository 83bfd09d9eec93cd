//! What RFC 6455 asks of frames beyond a length that can be read. Two endpoints keep these rules
//! without a proxy; Wayhold looks at them where a route says `validate`. Pure. Not here: whether a
//! text is UTF-8, as that would be a look at every byte.

use super::Side;
use super::frame::{Header, opcode};

/// The three reserved bits of a frame's first byte.
const RESERVED: u8 = 0x70;
/// The first of them: the message is compressed.
const RSV1: u8 = 0x40;
/// The longest payload of a control frame.
const MAX_CONTROL: u64 = 125;

/// What the extensions of a tunnel mean for its frames' headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extensions {
    /// There are none: every reserved bit is zero.
    #[default]
    None,
    /// `permessage-deflate` alone: RSV1 may be set on the first frame of a message (RFC 7692 §6).
    Deflate,
    /// No WebSocket at all: the bytes are another protocol's, and nobody looks at them.
    NoFrames,
    /// One that Wayhold does not know may use reserved bits and opcodes as it likes.
    Unknown,
}

/// Whether a frame may stand where it stands, as far as its header tells: its `first` byte, its
/// fields, and the `size` of the header on the wire. `in_message` says that fragments of a message
/// have come and not the last.
#[inline]
pub fn is_proper(
    from: Side,
    first: u8,
    header: &Header,
    size: usize,
    in_message: bool,
    extensions: Extensions,
) -> bool {
    let starts_message = matches!(header.opcode, opcode::TEXT | opcode::BINARY);
    let allowed_bits = match extensions {
        Extensions::Deflate if starts_message => RSV1,
        Extensions::None | Extensions::Deflate => 0,
        Extensions::NoFrames | Extensions::Unknown => RESERVED,
    };
    let in_order = match header.opcode {
        opcode::CONTINUATION => in_message,
        opcode::TEXT | opcode::BINARY => !in_message,
        // One byte is no code (§5.5.1).
        opcode::CLOSE => header.len != 1,
        opcode::PING | opcode::PONG => true,
        _ => extensions == Extensions::Unknown,
    };
    in_order
        && first & RESERVED & !allowed_bits == 0
        && header.mask.is_some() == (from == Side::Client)
        && size == header.shortest()
        && (!header.is_control() || (header.fin && header.len <= MAX_CONTROL))
}

/// Whether a code may stand in a Close frame (§7.4): 1004 to 1006 and 1015 never go on the wire,
/// those from 1016 to 2999 are nobody's yet.
pub const fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a frame of the client's with this first byte and payload length is proper.
    fn proper(first: u8, len: u64, in_message: bool, extensions: Extensions) -> bool {
        let mask = Some([1, 2, 3, 4]);
        let header = Header { fin: first & 0x80 != 0, opcode: first & 0x0f, mask, len };
        is_proper(Side::Client, first, &header, header.shortest(), in_message, extensions)
    }

    #[test]
    fn fragments_come_in_order() {
        for (first, in_message, fits) in [
            (0x81, false, true),
            (0x02, false, true),
            (0x00, true, true),
            (0x80, true, true),
            (0x80, false, false),
            (0x81, true, false),
            (0x02, true, false),
            (0x89, true, true),
            (0x88, true, true),
        ] {
            assert_eq!(proper(first, 5, in_message, Extensions::None), fits, "{first:#x}");
        }
    }

    #[test]
    fn reserved_bits_and_opcodes_need_an_extension() {
        use Extensions::{Deflate, None, Unknown};
        for (first, in_message, allowed) in [
            (0xc1, false, [false, true, true]),
            (0xc0, true, [false, false, true]),
            (0xc9, false, [false, false, true]),
            (0xa1, false, [false, false, true]),
            (0xf2, false, [false, false, true]),
            (0x83, false, [false, false, true]),
            (0x8b, false, [false, false, true]),
            (0x0b, false, [false, false, false]),
        ] {
            let seen = [None, Deflate, Unknown].map(|e| proper(first, 5, in_message, e));
            assert_eq!(seen, allowed, "{first:#x}");
        }
    }

    #[test]
    fn control_frames_are_short_and_whole() {
        for (first, len, fits) in [
            (0x89, 125, true),
            (0x89, 126, false),
            (0x8a, 0, true),
            (0x09, 5, false),
            (0x88, 0, true),
            (0x88, 1, false),
            (0x88, 2, true),
            (0x08, 2, false),
        ] {
            assert_eq!(proper(first, len, false, Extensions::None), fits, "{first:#x} {len}");
        }
    }

    #[test]
    fn only_clients_mask_and_lengths_are_minimal() {
        let masked = |mask, from, size| {
            let header = Header { fin: true, opcode: opcode::TEXT, mask, len: 125 };
            is_proper(from, 0x81, &header, size, false, Extensions::None)
        };
        let key = Some([0; 4]);
        assert!(masked(key, Side::Client, 6) && masked(None, Side::Upstream, 2));
        assert!(!masked(None, Side::Client, 2) && !masked(key, Side::Upstream, 6));
        for size in [8, 14] {
            assert!(!masked(key, Side::Client, size), "{size}");
        }
        for (len, size) in [(125, 2), (126, 4), (0xffff, 4), (0x1_0000, 10), (1 << 40, 10)] {
            let header = Header { fin: true, opcode: opcode::BINARY, mask: None, len };
            assert_eq!(header.shortest(), size, "{len}");
        }
    }

    #[test]
    fn only_some_codes_go_on_the_wire() {
        let allowed: Vec<u16> = (0..=5000).filter(|code| is_close_code(*code)).collect();
        assert_eq!(allowed.len(), 4 + 8 + 2000);
        assert!(
            ![0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000].iter().any(|c| is_close_code(*c))
        );
    }
}
