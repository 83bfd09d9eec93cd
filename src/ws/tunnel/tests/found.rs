//! What fuzzing found, each as a case of its own.

use super::*;

/// A pong that is as long as the answer to a ping of ours, and is not one.
fn foreign_pong(side: Side) -> Vec<u8> {
    frame_from(side, 0x8a, b"12345678")
}

/// A tunnel whose client has been pinged, so that its pongs are held until their payload tells.
fn pinged() -> Rig {
    let mut rig = Rig::new();
    rig.tick(26_000);
    assert_eq!(rig.frames(Side::Client).len(), 1);
    rig
}

#[test]
fn a_held_pong_does_not_come_out_behind_our_close() {
    let mut rig = pinged();
    let pong = foreign_pong(Side::Client);
    rig.feed(Side::Client, &pong[..9]);
    rig.eject(Cause::Drain);
    assert_eq!(rig.close_code(Side::Upstream), Some(1012), "a held frame is not under way");
    rig.feed(Side::Client, &pong[9..]);
    assert_eq!(rig.close_code(Side::Upstream), Some(1012), "and nothing stands behind the Close");
}

#[test]
fn a_code_that_may_not_be_sent_is_not_echoed() {
    for code in [0, 999, 1004, 1005, 1006, 1015, 5000, 65535] {
        let mut rig = Rig::new();
        rig.feed(Side::Client, &close(Side::Client, code));
        rig.end(Side::Upstream, End::Eof);
        assert_eq!(rig.written[0], [0x88, 0], "{code}");
        assert_eq!(rig.tunnel.ending().code, (code > 0).then_some(code), "the Ending tells it");
    }
}

#[test]
fn half_a_code_is_none() {
    let mut rig = Rig::new();
    rig.feed(Side::Client, &frame_from(Side::Client, 0x88, &[0x03]));
    rig.end(Side::Upstream, End::Eof);
    assert_eq!(rig.written[0], [0x88, 0]);
    assert_eq!(rig.tunnel.ending().code, None);
}

#[test]
fn a_frame_that_is_too_big_leaves_no_hole_while_the_tunnel_closes() {
    let mut rig = Rig::new();
    rig.policy.max_frame_size = Some(10);
    rig.feed(Side::Client, &close(Side::Client, 1000));
    let first = frame_from(Side::Upstream, 0x81, b"fits");
    rig.feed(Side::Upstream, &first);
    rig.feed(Side::Upstream, &frame_from(Side::Upstream, 0x81, b"does not fit"));
    rig.feed(Side::Upstream, &frame_from(Side::Upstream, 0x81, b"behind"));
    assert_eq!(rig.written[0][..first.len()], first);
    assert_eq!(rig.frames(Side::Client).len(), 2);
    assert_eq!(rig.close_code(Side::Client), Some(1009));
}

#[test]
fn an_impossible_header_is_not_passed_on_at_the_end_of_its_stream() {
    let impossible = [0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0];
    for cut in 0..impossible.len() {
        let mut rig = Rig::new();
        rig.feed(Side::Client, &close(Side::Client, 1000));
        rig.feed(Side::Upstream, &impossible[..cut]);
        rig.feed(Side::Upstream, &impossible[cut..]);
        rig.end(Side::Upstream, End::Eof);
        assert_eq!(rig.close_code(Side::Client), Some(1000), "cut at {cut}");
    }
}

/// The upstream ends within a header: the client has its last bytes and a FIN. What the client does
/// wrong after that is not told behind the FIN.
#[test]
fn nothing_is_said_behind_a_stream_that_was_cut() {
    let mut rig = Rig::new();
    rig.feed(Side::Upstream, &[0x81]);
    rig.end(Side::Upstream, End::Eof);
    assert_eq!(rig.written[0], [0x81]);
    assert!(rig.tunnel.wants_fin(Side::Client));
    rig.feed(Side::Client, &[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
    assert_eq!(rig.written[0], [0x81]);
}
