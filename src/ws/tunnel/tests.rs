//! The tunnel's invariants, without a socket or a clock.

mod validate;

use proptest::prelude::*;

use super::*;
use crate::config::model::CloseCodes;
use crate::ws::frame::Event;

mod found;

const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

pub(crate) fn policy() -> Policy {
    Policy {
        ping_interval: Some(Duration::from_secs(25)),
        ping_jitter: 0,
        pong_timeout: Duration::from_secs(20),
        ping_upstream: false,
        idle_timeout: Some(Duration::from_secs(300)),
        data_idle_timeout: None,
        send_timeout: Duration::from_secs(60),
        close_timeout: Duration::from_secs(5),
        max_age: None,
        max_age_jitter: 0,
        max_message_size: None,
        max_frame_size: None,
        max_buffer: 65536,
        validate: false,
        close_codes: CloseCodes {
            drain: 1012,
            dead_peer: 1001,
            upstream_lost: 1011,
            client_lost: 1001,
            idle: 1001,
            max_age: 1001,
            too_big: 1009,
            slow_consumer: 1008,
            protocol: 1002,
        },
    }
}

/// A frame as an endpoint writes it: masked when it comes from the client.
fn frame_from(side: Side, first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = (side == Side::Client).then_some(MASK);
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut out = vec![first];
    match payload.len() {
        len @ 0..126 => out.push(masked + u8::try_from(len).unwrap()),
        len @ 126..65536 => {
            out.push(masked + 126);
            out.extend((len as u16).to_be_bytes());
        }
        len => {
            out.push(masked + 127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    out.extend(mask.iter().flatten());
    out.extend((0..).zip(payload).map(|(i, b)| frame::unmask(*b, i, mask)));
    out
}

/// The frames of a byte stream: header and unmasked payload. Panics when it is cut.
fn frames_of(bytes: &[u8]) -> Vec<(Header, Vec<u8>)> {
    let (mut frames, mut tracker, mut pos) = (Vec::new(), Tracker::default(), 0);
    while pos < bytes.len() || tracker.in_frame() {
        let (used, event) = tracker.advance(&bytes[pos..]);
        match event {
            Event::Header(header, _) => frames.push((header, Vec::new())),
            Event::Payload | Event::End => {
                let (header, payload) = frames.last_mut().unwrap();
                for byte in &bytes[pos..pos + used] {
                    payload.push(frame::unmask(*byte, payload.len() as u64, header.mask));
                }
            }
            Event::Partial | Event::Invalid => panic!("cut stream"),
        }
        pos += used;
        assert!(used > 0 || !tracker.in_frame() || tracker.remaining() == 0);
    }
    frames
}

/// A tunnel with its time, its limits, and all that was written to each leg.
struct Rig {
    tunnel: Tunnel,
    now: Millis,
    policy: Policy,
    cells: TunnelCells,
    written: [Vec<u8>; 2],
    /// Payload that may pass unseen does.
    splices: bool,
}

impl Rig {
    fn new() -> Self {
        Self {
            tunnel: Tunnel::new(1_000, [7, 9]),
            now: 1_000,
            policy: policy(),
            cells: TunnelCells::default(),
            written: [Vec::new(), Vec::new()],
            splices: false,
        }
    }

    fn step(&mut self, act: impl FnOnce(&mut Tunnel, &Context<'_>, &mut [Vec<u8>; 2])) {
        let cx = Context { now: self.now, policy: &self.policy, cells: &self.cells };
        act(&mut self.tunnel, &cx, &mut self.written);
        for side in Side::BOTH {
            self.tunnel.inject(side, &cx, &mut self.written[side as usize]);
        }
    }

    fn feed(&mut self, from: Side, mut bytes: &[u8]) {
        let splices = self.splices;
        self.step(|tunnel, cx, written| {
            let mut scratch = Vec::new();
            let passing = tunnel.passing(from).min(bytes.len() as u64);
            if splices && passing > 0 {
                let (unseen, rest) = bytes.split_at(passing as usize);
                written[from.other() as usize].extend_from_slice(unseen);
                tunnel.passed(from, passing, cx);
                bytes = rest;
            }
            let out = tunnel.receive(from, bytes, cx, &mut scratch);
            written[from.other() as usize].extend_from_slice(out);
        });
    }

    fn end(&mut self, from: Side, how: End) {
        self.step(|tunnel, cx, written| {
            tunnel.end(from, how, cx, &mut written[from.other() as usize]);
        });
    }

    fn tick(&mut self, now: Millis) {
        self.now = now;
        self.step(|tunnel, cx, _| tunnel.tick(cx, |_| false));
    }

    fn eject(&mut self, cause: Cause) {
        self.step(|tunnel, cx, _| tunnel.eject(cause, cx));
    }

    fn frames(&self, side: Side) -> Vec<(Header, Vec<u8>)> {
        frames_of(&self.written[side as usize])
    }

    /// The code of the one Close a leg got.
    fn close_code(&self, side: Side) -> Option<u16> {
        let frames = self.frames(side);
        let (header, payload) = frames.last()?;
        assert_eq!(frames.iter().filter(|(h, _)| h.opcode == opcode::CLOSE).count(), 1);
        assert_eq!(header.opcode, opcode::CLOSE);
        assert_eq!(header.mask.is_some(), side == Side::Upstream);
        Some(u16::from_be_bytes([payload[0], payload[1]]))
    }

    fn over(&self) -> bool {
        self.tunnel.is_over(self.now, [true, true])
    }
}

fn close(side: Side, code: u16) -> Vec<u8> {
    frame_from(side, 0x88, &code.to_be_bytes())
}

#[test]
fn a_close_is_forwarded_and_its_answer_ends_the_tunnel() {
    let mut rig = Rig::new();
    rig.feed(Side::Client, &close(Side::Client, 4321));
    assert_eq!(rig.close_code(Side::Upstream), Some(4321));
    assert!(!rig.over());
    rig.feed(Side::Upstream, &close(Side::Upstream, 4321));
    assert!(rig.tunnel.wants_fin(Side::Client), "towards the client we are the server");
    assert!(!rig.tunnel.wants_fin(Side::Upstream), "the upstream closes first");
    rig.end(Side::Upstream, End::Eof);
    assert!(rig.over());
    let ending = rig.tunnel.ending();
    assert_eq!((ending.initiator, ending.cause), (Initiator::Client, Cause::CloseFrame));
    assert_eq!((ending.code, ending.clean), (Some(4321), true));
}

#[test]
fn nothing_is_passed_on_behind_a_close() {
    let mut rig = Rig::new();
    let mut bytes = close(Side::Client, 1000);
    let len = bytes.len();
    bytes.extend(frame_from(Side::Client, 0x81, b"late"));
    rig.feed(Side::Client, &bytes);
    rig.feed(Side::Client, &frame_from(Side::Client, 0x81, b"later"));
    assert_eq!(rig.written[1], bytes[..len]);
}

#[test]
fn a_leg_that_ends_at_a_boundary_becomes_a_close_to_the_other() {
    for (side, code) in [(Side::Client, 1001), (Side::Upstream, 1011)] {
        for how in [End::Eof, End::Reset] {
            let mut rig = Rig::new();
            rig.feed(side, &frame_from(side, 0x81, b"last words"));
            rig.end(side, how);
            assert_eq!(rig.close_code(side.other()), Some(code));
            assert!(rig.tunnel.wants_fin(side.other()));
            assert!(!rig.tunnel.ending().clean);
            assert_eq!(rig.tunnel.ending().code, Some(code));
        }
    }
}

#[test]
fn a_leg_that_ends_in_mid_frame_becomes_a_fin_alone() {
    let frame = frame_from(Side::Upstream, 0x82, &[5; 300]);
    for cut in 1..frame.len() {
        let mut rig = Rig::new();
        rig.feed(Side::Upstream, &frame[..cut]);
        rig.end(Side::Upstream, End::Eof);
        assert_eq!(rig.written[0], frame[..cut], "what came is passed on, nothing more");
        assert!(rig.tunnel.wants_fin(Side::Client));
        assert_eq!(rig.tunnel.ending().code, None);
    }
}

#[test]
fn after_one_leg_has_ended_the_other_direction_flows_on() {
    let mut rig = Rig::new();
    rig.end(Side::Client, End::Eof);
    let frame = frame_from(Side::Upstream, 0x81, b"still here");
    rig.feed(Side::Upstream, &frame);
    assert_eq!(rig.written[0], frame);
    assert!(!rig.over());
    rig.tick(rig.now + 5_000);
    assert!(rig.over(), "close_timeout bounds it");
}

#[test]
fn an_upstream_that_hangs_up_on_a_close_still_completes_the_client_s_handshake() {
    let mut rig = Rig::new();
    rig.feed(Side::Client, &close(Side::Client, 1000));
    rig.end(Side::Upstream, End::Eof);
    assert_eq!(rig.close_code(Side::Client), Some(1000));
    assert_eq!(rig.tunnel.ending().cause, Cause::CloseFrame);
}

#[test]
fn our_close_waits_for_the_end_of_the_frame_under_way() {
    let mut rig = Rig::new();
    let frame = frame_from(Side::Upstream, 0x82, &[1; 1000]);
    rig.feed(Side::Upstream, &frame[..500]);
    rig.eject(Cause::Drain);
    assert_eq!(rig.written[0], frame[..500]);
    assert_eq!(rig.close_code(Side::Upstream), Some(1012), "the other leg need not wait");
    let mut rest = frame[500..].to_vec();
    rest.extend(frame_from(Side::Upstream, 0x81, b"too late"));
    rig.feed(Side::Upstream, &rest);
    assert_eq!(rig.written[0][..1004], frame[..]);
    assert_eq!(rig.close_code(Side::Client), Some(1012));
}

#[test]
fn pings_go_out_after_silence_and_our_pongs_are_swallowed() {
    let mut rig = Rig::new();
    rig.tick(25_999);
    assert!(rig.written[0].is_empty());
    rig.tick(26_000);
    let pings = rig.frames(Side::Client);
    assert_eq!(pings.len(), 1);
    assert_eq!(pings[0].0.opcode, opcode::PING);
    assert!(rig.written[1].is_empty(), "the upstream is not pinged unless asked for");
    let pong = frame_from(Side::Client, 0x8a, &pings[0].1);
    rig.now += 40;
    for byte in &pong {
        rig.feed(Side::Client, &[*byte]);
    }
    assert!(rig.written[1].is_empty());
    assert_eq!(rig.tunnel.take_rtt(), Some((Side::Client, 40)));
    let theirs = frame_from(Side::Client, 0x8a, b"12345678");
    for byte in &theirs {
        rig.feed(Side::Client, &[*byte]);
    }
    assert_eq!(rig.written[1], theirs, "somebody else's pong of the same length goes on");
}

#[test]
fn a_silent_leg_is_dead_and_the_other_is_told() {
    let mut rig = Rig::new();
    rig.tick(26_000);
    rig.tick(45_999);
    assert!(!rig.tunnel.is_ending());
    rig.tick(46_000);
    assert_eq!(rig.close_code(Side::Upstream), Some(1001));
    let ending = rig.tunnel.ending();
    assert_eq!((ending.initiator, ending.cause), (Initiator::Proxy, Cause::DeadPeer));
    rig.feed(Side::Upstream, &close(Side::Upstream, 1001));
    rig.end(Side::Upstream, End::Eof);
    assert!(rig.over());
}

#[test]
fn any_byte_proves_life() {
    let mut rig = Rig::new();
    rig.tick(26_000);
    rig.now = 45_000;
    rig.feed(Side::Client, &frame_from(Side::Client, 0x81, b"x"));
    rig.tick(60_000);
    assert!(!rig.tunnel.is_ending());
    rig.tick(70_000);
    assert_eq!(rig.frames(Side::Client).len(), 2, "and silence is measured anew");
}

/// A clock that is set, and the cause it ends with.
type Change = (fn(&mut Policy), Cause);

#[test]
fn the_clocks_end_a_tunnel_with_their_cause() {
    let set: [Change; 3] = [
        (|p| p.idle_timeout = Some(Duration::from_secs(3)), Cause::Idle),
        (|p| p.data_idle_timeout = Some(Duration::from_secs(3)), Cause::DataIdle),
        (|p| p.max_age = Some(Duration::from_secs(3)), Cause::MaxAge),
    ];
    for (change, cause) in set {
        let mut rig = Rig::new();
        change(&mut rig.policy);
        assert_eq!(rig.tunnel.deadline(rig.now, &rig.policy), 4_000);
        rig.tick(3_999);
        assert!(!rig.tunnel.is_ending());
        rig.tick(4_000);
        assert_eq!(rig.tunnel.ending().cause, cause);
        assert_eq!(rig.close_code(Side::Client), Some(1001));
        assert_eq!(rig.close_code(Side::Upstream), Some(1001));
    }
}

#[test]
fn control_frames_keep_a_tunnel_awake_but_are_no_data() {
    let mut rig = Rig::new();
    rig.policy.idle_timeout = Some(Duration::from_secs(3));
    rig.policy.data_idle_timeout = Some(Duration::from_secs(10));
    for now in [3_000, 5_000, 7_000, 9_000] {
        rig.now = now;
        rig.feed(Side::Upstream, &frame_from(Side::Upstream, 0x89, b"hb"));
        rig.tick(now);
    }
    assert!(!rig.tunnel.is_ending());
    rig.tick(11_000);
    assert_eq!(rig.tunnel.ending().cause, Cause::DataIdle);
}

#[test]
fn a_leg_that_takes_nothing_is_given_up() {
    let mut rig = Rig::new();
    rig.tunnel.blocked(Side::Client, rig.now, true);
    rig.now = 30_000;
    rig.tunnel.blocked(Side::Client, rig.now, true);
    rig.feed(Side::Client, &frame_from(Side::Client, 0x81, b"x"));
    rig.tick(89_999);
    assert!(!rig.tunnel.is_dead(Side::Client));
    rig.tick(90_000);
    assert!(rig.tunnel.is_dead(Side::Client));
    assert_eq!(rig.tunnel.ending().cause, Cause::SlowConsumer);
    assert_eq!(rig.close_code(Side::Upstream), Some(1008));
}

#[test]
fn nothing_of_ours_goes_between_the_bytes_of_another_protocol() {
    let opaque = || {
        let mut rig = Rig::new();
        rig.tunnel = rig.tunnel.with_extensions(Extensions::NoFrames);
        rig
    };
    // Half a header, a Close, and an impossible length, if these were frames.
    let (bytes, answer) = (b"\x81\x88\x02\x03\xe8\xff\xff\xff\xff\xff\xff\xff", b"\x88\x00\x81");
    let mut rig = opaque();
    rig.feed(Side::Client, bytes);
    rig.feed(Side::Upstream, answer);
    rig.tick(100_000);
    rig.feed(Side::Client, b"\x88");
    rig.end(Side::Client, End::Eof);
    assert!(rig.tunnel.wants_fin(Side::Upstream) && !rig.over());
    rig.feed(Side::Upstream, b"rest");
    rig.end(Side::Upstream, End::Eof);
    assert!(rig.over());
    assert_eq!(rig.written[Side::Upstream as usize], [&bytes[..], b"\x88"].concat());
    assert_eq!(rig.written[Side::Client as usize], [&answer[..], b"rest"].concat());
    assert_eq!(rig.tunnel.stats(rig.now).bytes, [13, 7]);

    let mut rig = opaque();
    rig.feed(Side::Client, b"x");
    rig.eject(Cause::Drain);
    assert!(rig.over());
    assert_eq!(rig.written, [b"".to_vec(), b"x".to_vec()]);
}

#[test]
fn too_big_is_refused_at_its_header() {
    let mut rig = Rig::new();
    rig.policy.max_message_size = Some(10);
    let first = frame_from(Side::Client, 0x01, b"123456");
    rig.feed(Side::Client, &first);
    let second = frame_from(Side::Client, 0x80, b"78901");
    rig.feed(Side::Client, &second[..3]);
    rig.feed(Side::Client, &second[3..]);
    assert_eq!(rig.written[1][..first.len()], first);
    assert_eq!(rig.frames(Side::Upstream).len(), 2);
    assert_eq!(rig.close_code(Side::Upstream), Some(1009));
    assert_eq!(rig.close_code(Side::Client), Some(1009));
    // Its end is still known, so the answer to our Close is seen behind it.
    rig.feed(Side::Client, &close(Side::Client, 1009));
    rig.feed(Side::Upstream, &close(Side::Upstream, 1009));
    rig.end(Side::Upstream, End::Eof);
    assert!(rig.over() && rig.tunnel.ending().clean);
}

#[test]
fn an_impossible_length_is_a_protocol_error() {
    let mut rig = Rig::new();
    let mut bytes = frame_from(Side::Client, 0x81, b"fine");
    let len = bytes.len();
    bytes.extend([0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5]);
    for byte in &bytes {
        rig.feed(Side::Client, &[*byte]);
    }
    assert_eq!(rig.written[1][..len], bytes[..len]);
    assert_eq!(rig.close_code(Side::Upstream), Some(1002));
    assert_eq!(rig.close_code(Side::Client), Some(1002));
    assert_eq!(rig.tunnel.ending().cause, Cause::Protocol);
}

#[test]
fn a_close_without_a_code_has_none() {
    let mut rig = Rig::new();
    rig.feed(Side::Upstream, &frame_from(Side::Upstream, 0x88, b""));
    assert_eq!(rig.tunnel.ending().code, None);
    assert_eq!(rig.written[0], [0x88, 0]);
}

/// A frame of an endpoint: first byte and payload; no Close.
fn any_frame() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let first = prop::sample::select(vec![0x81, 0x82, 0x01, 0x00, 0x80, 0xc1, 0x89, 0x8a, 0xb7]);
    let len = prop_oneof![4 => 0usize..20, 1 => 120usize..130, 1 => 65_530usize..65_540];
    (first, len).prop_flat_map(|(first, len)| {
        let len = if first & 0x08 != 0 { len.min(125) } else { len };
        (Just(first), prop::collection::vec(any::<u8>(), len))
    })
}

/// What happens next.
#[derive(Clone, Debug)]
enum Act {
    /// So many of the bytes that a leg has yet to send arrive.
    Bytes(Side, usize),
    /// Time passes.
    Time(Millis),
    /// An endpoint answers the pings it has seen.
    Pongs(Side),
}

fn any_act() -> impl Strategy<Value = Act> {
    let side = prop::sample::select(Side::BOTH.to_vec());
    prop_oneof![
        6 => (side.clone(), prop_oneof![1usize..16, 1usize..70_000]).prop_map(|(s, n)| Act::Bytes(s, n)),
        2 => (1u64..15_000).prop_map(Act::Time),
        2 => side.prop_map(Act::Pongs),
    ]
}

/// Frames without our pings, which every leg must have got exactly as they were sent.
fn without_pings(rig: &Rig, side: Side) -> Vec<u8> {
    let ours = rig.tunnel.ping_payload(side);
    let bytes = &rig.written[side as usize];
    let (mut out, mut pos, mut tracker, mut start) = (Vec::new(), 0, Tracker::default(), 0);
    let mut payload = Vec::new();
    let mut current = Header::default();
    while pos < bytes.len() || tracker.in_frame() {
        let (used, event) = tracker.advance(&bytes[pos..]);
        match event {
            Event::Header(header, _) => {
                (current, start) = (header, pos);
                payload.clear();
            }
            Event::Payload | Event::End => {
                for byte in &bytes[pos..pos + used] {
                    payload.push(frame::unmask(*byte, payload.len() as u64, current.mask));
                }
                if event == Event::End {
                    let own = current.opcode == opcode::PING && payload == ours;
                    assert!(!own || current.mask.is_some() == (side == Side::Upstream));
                    if !own {
                        out.extend_from_slice(&bytes[start..pos + used]);
                    }
                } else if used == 0 {
                    break;
                }
            }
            Event::Partial | Event::Invalid => break,
        }
        pos += used;
    }
    if tracker.in_frame() {
        out.extend_from_slice(&bytes[start..]);
    }
    out
}

proptest! {
    #[test]
    fn any_split_of_the_bytes_is_tracked_alike(
        frames in prop::collection::vec(any_frame(), 1..8),
        cuts in prop::collection::vec(1usize..40, 1..200),
    ) {
        let bytes: Vec<u8> =
            frames.iter().flat_map(|(first, p)| frame_from(Side::Client, *first, p)).collect();
        let (mut tracker, mut pos, mut cuts) = (Tracker::default(), 0, cuts.into_iter().cycle());
        let mut seen = Vec::new();
        while pos < bytes.len() || tracker.in_frame() {
            let chunk = &bytes[pos..(pos + cuts.next().unwrap()).min(bytes.len())];
            let mut done = 0;
            while done < chunk.len() || (tracker.in_frame() && tracker.remaining() == 0) {
                let (used, event) = tracker.advance(&chunk[done..]);
                if let Event::Header(header, _) = event {
                    seen.push((header.opcode, header.len as usize));
                }
                prop_assert_ne!(event, Event::Invalid);
                done += used;
            }
            pos += chunk.len();
        }
        prop_assert!(tracker.at_boundary());
        let sent: Vec<_> = frames.iter().map(|(first, p)| (first & 0x0f, p.len())).collect();
        prop_assert_eq!(seen, sent);
    }

    /// Bytes are sacred: whatever the splits, pings and pongs, each leg gets what the other sent.
    /// The tunnel is frozen (copied, the original dropped) after every step.
    #[test]
    fn what_comes_out_is_what_went_in(
        frames in [
            prop::collection::vec(any_frame(), 0..8),
            prop::collection::vec(any_frame(), 0..8),
        ],
        acts in prop::collection::vec(any_act(), 1..80),
        splices in any::<bool>(),
    ) {
        let mut rig = Rig::new();
        rig.splices = splices;
        rig.policy.ping_upstream = true;
        rig.policy.ping_interval = Some(Duration::from_secs(10));
        rig.policy.pong_timeout = Duration::from_secs(1_000_000);
        rig.policy.idle_timeout = None;
        let queue: Vec<Vec<Vec<u8>>> = Side::BOTH.iter().map(|side| {
            frames[*side as usize].iter().map(|(f, p)| frame_from(*side, *f, p)).collect()
        }).collect();
        let mut queue: [std::collections::VecDeque<Vec<u8>>; 2] =
            [queue[0].clone().into(), queue[1].clone().into()];
        // The frame an endpoint is in the middle of sending, and all it has sent of its own.
        let mut sending = [Vec::new(), Vec::new()];
        let mut expected = [Vec::new(), Vec::new()];
        let mut answered = [0, 0];
        for act in acts {
            match act {
                Act::Bytes(side, count) => {
                    let s = side as usize;
                    for _ in 0..4 {
                        if sending[s].is_empty() {
                            sending[s] = queue[s].pop_front().unwrap_or_default();
                            expected[s].extend_from_slice(&sending[s]);
                        }
                        let count = count.min(sending[s].len());
                        let chunk: Vec<u8> = sending[s].drain(..count).collect();
                        rig.feed(side, &chunk);
                        rig.tunnel = rig.tunnel.clone();
                    }
                }
                Act::Time(ms) => rig.tick(rig.now + ms),
                Act::Pongs(side) => {
                    let s = side as usize;
                    if sending[s].is_empty() && !rig.tunnel.mid_frame(side) {
                        let ours = rig.tunnel.ping_payload(side);
                        let pings = rig.frames(side).into_iter()
                            .filter(|(h, p)| h.opcode == opcode::PING && *p == ours).count();
                        while answered[s] < pings {
                            answered[s] += 1;
                            rig.feed(side, &frame_from(side, 0x8a, &ours));
                        }
                    }
                }
            }
        }
        for side in Side::BOTH {
            let rest = std::mem::take(&mut sending[side as usize]);
            rig.feed(side, &rest);
        }
        prop_assert!(!rig.tunnel.is_ending());
        for side in Side::BOTH {
            let got = without_pings(&rig, side);
            prop_assert!(got == expected[side.other() as usize], "{side:?} got other bytes");
        }
    }

    /// Two arbitrary streams: no panic, never two Closes to a leg, nothing behind a Close, and the
    /// same result whether the tunnel is frozen between the steps or not, and whether payload passes
    /// unseen or not.
    #[test]
    fn arbitrary_bytes_do_no_harm(
        steps in prop::collection::vec(
            (prop::sample::select(Side::BOTH.to_vec()), prop::collection::vec(any::<u8>(), 0..60), 0u64..40_000),
            1..40,
        ),
    ) {
        let (mut rig, mut frozen, mut spliced) = (Rig::new(), Rig::new(), Rig::new());
        spliced.splices = true;
        for (side, bytes, pause) in steps {
            for rig in [&mut rig, &mut frozen, &mut spliced] {
                rig.feed(side, &bytes);
                rig.tick(rig.now + pause);
            }
            frozen.tunnel = frozen.tunnel.clone();
            prop_assert_eq!(&rig.written, &frozen.written);
            prop_assert_eq!(&rig.written, &spliced.written);
        }
        prop_assert_eq!(rig.tunnel.ending(), frozen.tunnel.ending());
        prop_assert_eq!(rig.tunnel.ending(), spliced.tunnel.ending());
        prop_assert_eq!(rig.tunnel.stats(rig.now), spliced.tunnel.stats(rig.now));
        for side in Side::BOTH {
            let (mut tracker, mut pos, mut closed) = (Tracker::default(), 0, false);
            let bytes = &rig.written[side as usize];
            while pos < bytes.len() {
                prop_assert!(!closed || tracker.in_frame(), "nothing stands behind a Close");
                let (used, event) = tracker.advance(&bytes[pos..]);
                prop_assert_ne!(event, Event::Invalid);
                closed |= matches!(event, Event::Header(h, _) if h.opcode == opcode::CLOSE);
                pos += used;
            }
        }
    }
}
