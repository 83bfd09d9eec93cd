//! A frame header is read as a plain second reader reads it, nothing is consumed of a short one,
//! and what was read can be written again. Our own control frames are read as what they are.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wayhold::ws::frame::{self, Header, LengthError, PING_PAYLOAD};
use wayhold_fuzz::Input;
use wayhold_fuzz::wire::{self, Read};

fuzz_target!(|data: &[u8]| {
    match (Header::parse(data), wire::read(data)) {
        (Ok(None), Read::Short) | (Err(LengthError), Read::Impossible) => {}
        (Ok(Some((header, size))), Read::Head(head)) => {
            let told =
                Header { fin: head.fin(), opcode: head.opcode(), mask: head.mask, len: head.len };
            assert_eq!((header, size), (told, head.size));
            assert_eq!(header.is_control(), head.first & 0x08 != 0);
            assert_eq!(head.encode(), data[..size]);
            for short in 0..size {
                assert_eq!(Header::parse(&data[..short]), Ok(None));
            }
            assert_eq!(Header::parse(&data[..size]), Ok(Some((header, size))));
        }
        (real, plain) => panic!("{real:?}, but {plain:?}"),
    }
    own_frame(&mut Input::new(data));
});

fn own_frame(input: &mut Input<'_>) {
    let opcode = input.pick(&[0x8, 0x9, 0xa]);
    let mask = input.flag().then(|| [input.byte(), input.byte(), input.byte(), input.byte()]);
    let payload = input.short(PING_PAYLOAD + 1);
    let mut bytes = vec![7];
    frame::put_control(&mut bytes, opcode, payload, mask);
    let (frames, tail) = wire::frames(&bytes[1..]);
    assert_eq!((frames.len(), tail), (1, wire::Tail::Nothing));
    let head = &frames[0].head;
    assert_eq!((head.first, head.mask), (0x80 | opcode, mask));
    assert_eq!(frames[0].payload(&bytes[1..]), payload);
    for (offset, byte) in (0..).zip(&bytes[1 + head.size..]) {
        assert_eq!(frame::unmask(*byte, offset, mask), payload[offset as usize]);
    }
}
