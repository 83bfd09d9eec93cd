//! `validate`: what breaks the rules does not go on, what keeps them goes on untouched.

use proptest::prelude::*;

use super::*;
use crate::ws::rules::{self, Extensions};

fn rig() -> Rig {
    let mut rig = Rig::new();
    rig.policy.validate = true;
    rig
}

/// A frame of the other masking than the side's own.
fn wrongly_masked(side: Side) -> Vec<u8> {
    frame_from(side.other(), 0x81, b"x")
}

/// A text of three bytes with its length in 16 or 64 bits.
fn long_form(side: Side, wide: bool) -> Vec<u8> {
    let short = frame_from(side, 0x81, b"abc");
    let mut out = vec![0x81, (short[1] & 0x80) | if wide { 127 } else { 126 }];
    out.extend(if wide { vec![0, 0, 0, 0, 0, 0, 0, 3] } else { vec![0, 3] });
    out.extend(&short[2..]);
    out
}

fn breaches(side: Side) -> Vec<Vec<u8>> {
    let frame = |first, payload: &[u8]| frame_from(side, first, payload);
    let mut all = vec![
        wrongly_masked(side),
        long_form(side, false),
        long_form(side, true),
        frame(0xc1, b"rsv1"),
        frame(0x91, b"rsv3"),
        frame(0x83, b"op 3"),
        frame(0x8f, b"op 15"),
        frame(0x80, b"continues nothing"),
        frame(0x09, b"half a ping"),
        frame(0x89, &[b'p'; 126]),
        frame(0x88, b"\x03"),
        frame(0x08, b"\x03\xe8"),
        vec![0x82, frame(0x82, b"")[1] | 127, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4],
    ];
    all.extend([0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535].map(|c| close(side, c)));
    all
}

#[test]
fn a_breach_ends_the_tunnel_and_does_not_go_on() {
    for side in Side::BOTH {
        for breach in breaches(side) {
            for pieces in [usize::MAX, 1] {
                let mut rig = rig();
                let good = frame_from(side, 0x81, b"good");
                rig.feed(side, &good);
                for piece in breach.chunks(pieces.min(breach.len())) {
                    rig.feed(side, piece);
                }
                rig.feed(side, &frame_from(side, 0x81, b"behind"));
                assert_eq!(rig.close_code(side), Some(1002), "{side:?} {breach:x?}");
                let other = &rig.written[side.other() as usize];
                assert_eq!(other[..good.len()], good);
                if side == Side::Client {
                    assert_eq!(other.len(), good.len(), "{breach:x?}");
                    assert!(rig.tunnel.wants_fin(Side::Upstream));
                } else {
                    assert_eq!(rig.close_code(Side::Client), Some(1002), "{breach:x?}");
                }
                assert_eq!(rig.tunnel.ending().cause, Cause::Protocol);
                rig.end(Side::Client, End::Eof);
                rig.end(Side::Upstream, End::Eof);
                assert!(rig.over());
            }
        }
    }
}

#[test]
fn nothing_is_refused_unless_asked_for() {
    for side in Side::BOTH {
        for breach in breaches(side) {
            if frame::Header::parse(&breach).is_err() {
                continue;
            }
            let mut rig = Rig::new();
            rig.feed(side, &breach);
            assert_eq!(rig.written[side.other() as usize], breach);
        }
    }
}

#[test]
fn fragments_are_followed_even_before_it_is_switched_on() {
    let mut rig = Rig::new();
    let first = frame_from(Side::Client, 0x01, b"one");
    rig.feed(Side::Client, &first);
    rig.policy.validate = true;
    let last = frame_from(Side::Client, 0x80, b"two");
    rig.feed(Side::Client, &last);
    assert_eq!(rig.written[1], [first.clone(), last].concat());
    rig.feed(Side::Client, &first);
    rig.feed(Side::Client, &frame_from(Side::Client, 0x81, b"another"));
    assert_eq!(rig.close_code(Side::Client), Some(1002));
}

#[test]
fn a_compressed_message_needs_its_extension() {
    let bytes =
        [frame_from(Side::Client, 0x41, b"a"), frame_from(Side::Client, 0x80, b"b")].concat();
    let mut with = rig();
    with.tunnel = with.tunnel.with_extensions(Extensions::Deflate);
    with.feed(Side::Client, &bytes);
    assert_eq!(with.written[1], bytes);
    let mut without = rig();
    without.feed(Side::Client, &bytes);
    assert!(without.written[1].is_empty());
}

#[test]
fn a_breach_after_a_close_still_completes_the_close() {
    let mut rig = rig();
    rig.feed(Side::Client, &close(Side::Client, 1000));
    rig.feed(Side::Upstream, &wrongly_masked(Side::Upstream));
    assert_eq!(rig.close_code(Side::Client), Some(1000));
    assert_eq!(rig.close_code(Side::Upstream), Some(1000));
    assert_eq!(rig.tunnel.ending().cause, Cause::CloseFrame);
}

#[test]
fn a_held_close_does_not_come_out_behind_ours() {
    for side in Side::BOTH {
        let theirs = close(side, 1000);
        for cut in theirs.len() - 2..theirs.len() {
            let mut rig = rig();
            rig.feed(side, &theirs[..cut]);
            rig.eject(Cause::Drain);
            rig.feed(side, &theirs[cut..]);
            assert_eq!(rig.close_code(side.other()), Some(1012), "{side:?} cut at {cut}");
            assert!(rig.tunnel.ending().cause == Cause::Drain);
        }
    }
}

#[test]
fn a_frame_that_is_too_long_ends_it_the_same_way() {
    let mut rig = rig();
    rig.policy.max_frame_size = Some(100);
    rig.feed(Side::Client, &frame_from(Side::Client, 0x82, &[0; 101]));
    assert_eq!(rig.close_code(Side::Client), Some(1009));
    assert!(rig.written[1].is_empty() && rig.tunnel.wants_fin(Side::Upstream));
}

/// Any frame header a client could write, right or wrong, with a payload that fits it.
fn any_client_frame() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let first = any::<u8>().prop_map(|byte| if byte & 0x30 == 0x30 { byte & 0x8f } else { byte });
    (first, prop::collection::vec(any::<u8>(), 0..8))
}

proptest! {
    /// Whatever comes in whatever pieces: the proper frames go on as they are, up to the first
    /// breach, and the pieces make no difference.
    #[test]
    fn what_goes_on_is_the_proper_beginning(
        frames in prop::collection::vec(any_client_frame(), 0..12),
        cuts in prop::collection::vec(1usize..12, 1..20),
    ) {
        let (mut expected, mut bytes, mut in_message, mut over) = (Vec::new(), Vec::new(), false, false);
        for (first, payload) in &frames {
            let frame = frame_from(Side::Client, *first, payload);
            let (header, size) = Header::parse(&frame).unwrap().unwrap();
            let is_close = header.opcode == opcode::CLOSE;
            let fits = rules::is_proper(Side::Client, *first, &header, size, in_message, Extensions::None)
                && (!is_close || payload.len() < 2
                    || rules::is_close_code(u16::from_be_bytes([payload[0], payload[1]])));
            if !over && fits {
                expected.extend_from_slice(&frame);
                in_message = if header.is_control() { in_message } else { !header.fin };
            }
            over |= !fits || is_close;
            bytes.extend(frame);
        }
        let (mut rig, mut cuts, mut pos) = (rig(), cuts.into_iter().cycle(), 0);
        while pos < bytes.len() {
            let end = (pos + cuts.next().unwrap()).min(bytes.len());
            rig.feed(Side::Client, &bytes[pos..end]);
            rig.tunnel = rig.tunnel.clone();
            pos = end;
        }
        prop_assert_eq!(&rig.written[1], &expected);
    }
}
