//! Two arbitrary streams and a schedule of cuts, ticks, ends and commands: what comes out of a leg is
//! what went into the other, plus our own frames where they may stand; a leg gets one Close and
//! nothing behind it; the tunnel ends in time, for its first cause. And neither the cuts, nor being
//! frozen between the steps, nor payload that passes unseen changes anything.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wayhold::config::model::Policy;
use wayhold::ending::{Cause, Ending, Initiator};
use wayhold::metrics::TunnelCells;
use wayhold::ws::tunnel::{Context, End, Tunnel};
use wayhold::ws::{Millis, Side};
use wayhold_fuzz::policy::policy;
use wayhold_fuzz::streams::{Direction, Source};
use wayhold_fuzz::{Input, wire};

const START: Millis = 1_000;
const MOST_STEPS: usize = 300;

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    // A stranger cannot know them: they depend on all of the input.
    let hash = data.iter().fold(0x517c_c1b7_2722_0a95_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3).rotate_left(29)
    });
    let seeds = [hash, !hash];
    let policy = policy(&mut input);
    let manners = [Manner::Whole, Manner::Slow, Manner::Spliced];
    let mut rigs = manners.map(|manner| Rig::new(seeds, &policy, manner));
    let mut queues = [Vec::new(), Vec::new()];
    for _ in 0..MOST_STEPS {
        if input.is_empty() || rigs[0].is_over() {
            break;
        }
        let act = Act::read(&mut input, &mut queues, &rigs[0]);
        for rig in &mut rigs {
            rig.act(&act);
        }
        for rig in &rigs[1..] {
            assert_eq!(rigs[0].written, rig.written, "{:?} changed what went out", rig.manner);
        }
    }
    let [whole, others @ ..] = &rigs;
    for rig in others {
        assert_eq!(whole.tunnel.ending(), rig.tunnel.ending(), "{:?}", rig.manner);
        assert_eq!(whole.tunnel.stats(whole.now), rig.tunnel.stats(whole.now), "{:?}", rig.manner);
    }
    whole.check();
});

/// What happens next.
#[derive(Debug)]
enum Act {
    /// Bytes come from a leg.
    Bytes(Side, Vec<u8>),
    /// Time passes, and the clocks are looked at; a leg that is silent may still be taking bytes.
    Tick(Millis, bool),
    Eject(Cause),
    End(Side, End),
    /// A write to a leg left bytes over; it took some, or none.
    Block(Side, bool),
    Drain(Side),
    /// A reload.
    Policy(Box<Policy>),
    Nothing,
}

impl Act {
    /// The next act. Bytes wait in a queue of each leg before they come.
    fn read(input: &mut Input<'_>, queues: &mut [Vec<u8>; 2], rig: &Rig) -> Self {
        let choice = input.byte();
        let side = if choice & 0x80 == 0 { Side::Client } else { Side::Upstream };
        let queue = &mut queues[side as usize];
        match choice & 0x0f {
            0..=2 => queue.extend(frame(input, side)),
            3 => queue.extend(input.short(24)),
            4 => queue.extend(rig.pong(side)),
            5..=8 => {
                let count = input.below(256);
                let count = if count == 255 { queue.len() } else { count.min(queue.len()) };
                return Self::Bytes(side, queue.drain(..count).collect());
            }
            9 => {
                let times = [1, 400, 1_000, 2_000, 5_000, 20_000, 61_000, 400_000];
                return Self::Tick(rig.now + input.pick(&times), input.flag());
            }
            10 => {
                let due = rig.tunnel.deadline(rig.now, &rig.policy);
                // A deadline may never come.
                let due = if due > rig.now + 10_000_000 { rig.now } else { due };
                return Self::Tick(due.max(rig.now), input.flag());
            }
            11 => return Self::Eject(input.pick(&[Cause::Drain, Cause::Shutdown, Cause::MaxAge])),
            12 => return Self::End(side, input.pick(&[End::Eof, End::Reset, End::Tls])),
            13 => return Self::Block(side, input.flag()),
            14 => return Self::Drain(side),
            _ => return Self::Policy(Box::new(policy(input))),
        }
        // What was queued mostly comes at once.
        if choice & 0x40 == 0 { Self::Bytes(side, std::mem::take(queue)) } else { Self::Nothing }
    }
}

/// A frame as an endpoint may write it, in any of the forms of its length.
fn frame(input: &mut Input<'_>, side: Side) -> Vec<u8> {
    let first = input.pick(&[
        0x81, 0x82, 0x01, 0x00, 0x80, 0xc1, 0x89, 0x8a, 0x88, 0x88, 0xb7, 0x0a, 0x08, 0xff,
    ]);
    let shape = input.byte();
    let payload = match shape % 8 {
        0 => Vec::new(),
        1 => input.pick(&[1000_u16, 1001, 1005, 1006, 1015, 0, 999, 4321]).to_be_bytes().to_vec(),
        2 => vec![7; 126 + input.below(8)],
        3 => vec![8; 65_530 + input.below(8)],
        4 => input.take(8).to_vec(),
        _ => input.short(20).to_vec(),
    };
    let usual = side == Side::Client;
    let mask = (usual != (shape & 0x80 != 0)).then_some([0x12, 0x34, 0x56, shape]);
    let form = match (payload.len(), shape >> 5 & 3) {
        (0..126, 0 | 1) => 2,
        (0..65_536, 0..=2) => 4,
        _ => 10,
    };
    // Its header may promise more than comes.
    let more = if shape & 0x10 == 0 { 0 } else { u64::from(input.byte()) << (shape & 0x08) };
    let len = payload.len() as u64 + if form == 2 { 0 } else { more };
    let len = if form == 4 { len.min(65_535) } else { len };
    let size = form + if mask.is_some() { 4 } else { 0 };
    let mut out = wire::Head { first, mask, len, size }.encode();
    out.extend(
        (0..)
            .zip(&payload)
            .map(|(i, byte): (usize, _)| mask.map_or(*byte, |key| byte ^ key[i % 4])),
    );
    out
}

/// How bytes come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Whole,
    /// One by one, and the tunnel is frozen after each step.
    Slow,
    /// Payload goes on unseen where the tunnel allows it.
    Spliced,
}

/// A tunnel with what drives it: time, limits, and the two legs as their endpoints see them.
struct Rig {
    tunnel: Tunnel,
    now: Millis,
    policy: Policy,
    cells: TunnelCells,
    ping_payloads: [[u8; 8]; 2],
    manner: Manner,
    came: [Vec<u8>; 2],
    written: [Vec<u8>; 2],
    blocked: [bool; 2],
    fin: [bool; 2],
    /// No bytes come from it any more.
    ended: [bool; 2],
    /// It was given up while it still could have sent: no end of its stream was seen.
    given_up: [bool; 2],
    dead: [bool; 2],
    pings: [bool; 2],
    heard: Millis,
    /// When something began to end it, how, and how long that may take.
    cause: Option<(Millis, Ending)>,
}

impl Rig {
    fn new(seeds: [u64; 2], policy: &Policy, manner: Manner) -> Self {
        let mut rig = Self {
            tunnel: Tunnel::new(START, seeds),
            now: START,
            policy: policy.clone(),
            cells: TunnelCells::default(),
            ping_payloads: ping_payloads(seeds),
            manner,
            came: [Vec::new(), Vec::new()],
            written: [Vec::new(), Vec::new()],
            blocked: [false; 2],
            fin: [false; 2],
            ended: [false; 2],
            given_up: [false; 2],
            dead: [false; 2],
            pings: [false; 2],
            heard: START,
            cause: None,
        };
        rig.note_pings();
        rig
    }

    fn note_pings(&mut self) {
        let pings = self.policy.ping_interval.is_some();
        self.pings[0] |= pings;
        self.pings[1] |= pings && self.policy.ping_upstream;
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Bytes(side, bytes) => self.receive(*side, bytes),
            Act::Tick(now, alive) => self.tick(*now, *alive),
            Act::Eject(cause) => {
                let Self { tunnel, policy, cells, now, .. } = self;
                tunnel.eject(*cause, &Context { now: *now, policy, cells });
            }
            Act::End(side, how) => self.end(*side, *how),
            Act::Block(side, progress) => {
                if !self.dead[*side as usize] {
                    self.blocked[*side as usize] = true;
                    self.tunnel.blocked(*side, self.now, *progress);
                }
            }
            Act::Drain(side) => {
                self.blocked[*side as usize] = false;
                self.tunnel.drained(*side, self.now);
            }
            Act::Policy(policy) => {
                self.policy = Policy::clone(policy);
                self.note_pings();
            }
            Act::Nothing => {}
        }
        self.settle();
        if self.manner == Manner::Slow {
            let frozen = self.tunnel.clone();
            assert_eq!(frozen, self.tunnel);
            self.tunnel = frozen;
        }
    }

    /// As the relay does it: a leg is not read while the other takes nothing, nor after its end.
    fn receive(&mut self, from: Side, bytes: &[u8]) {
        let to = from.other();
        let full = self.blocked[to as usize] && !self.dead[to as usize];
        if full || self.ended[from as usize] || bytes.is_empty() {
            return;
        }
        self.came[from as usize].extend_from_slice(bytes);
        self.heard = self.now;
        let slow = self.manner == Manner::Slow && bytes.len() < 1_000;
        let bytes = if self.manner == Manner::Spliced { self.splice(from, bytes) } else { bytes };
        for chunk in bytes.chunks(if slow { 1 } else { usize::MAX }) {
            self.copy(from, chunk);
        }
    }

    fn copy(&mut self, from: Side, chunk: &[u8]) {
        let mut scratch = b"left over".to_vec();
        let cx = Context { now: self.now, policy: &self.policy, cells: &self.cells };
        let out = self.tunnel.receive(from, chunk, &cx, &mut scratch).to_vec();
        self.write(from.other(), &out);
    }

    /// As the relay does it, but for the shortest rest of a frame too; the bytes behind it.
    fn splice<'a>(&mut self, from: Side, bytes: &'a [u8]) -> &'a [u8] {
        let passing = self.tunnel.passing(from);
        let (unseen, rest) = bytes.split_at(bytes.len().min(passing as usize));
        if !unseen.is_empty() {
            self.write(from.other(), unseen);
            let cx = Context { now: self.now, policy: &self.policy, cells: &self.cells };
            self.tunnel.passed(from, unseen.len() as u64, &cx);
            if unseen.len() as u64 == passing {
                self.copy(from, &[]);
            }
        }
        rest
    }

    fn write(&mut self, to: Side, bytes: &[u8]) {
        if bytes.is_empty() || self.tunnel.is_dead(to) {
            return;
        }
        assert!(!self.fin[to as usize], "bytes behind the FIN");
        self.written[to as usize].extend_from_slice(bytes);
    }

    fn end(&mut self, from: Side, how: End) {
        if self.ended[from as usize] {
            return;
        }
        self.ended[from as usize] = true;
        let mut out = Vec::new();
        let cx = Context { now: self.now, policy: &self.policy, cells: &self.cells };
        self.tunnel.end(from, how, &cx, &mut out);
        self.write(from.other(), &out);
    }

    fn tick(&mut self, now: Millis, alive: bool) {
        let due = self.tunnel.deadline(self.now, &self.policy);
        self.now = now;
        let Self { tunnel, policy, cells, .. } = self;
        tunnel.tick(&Context { now, policy, cells }, |_| alive);
        self.settle();
        if self.tunnel.is_ending() {
            return;
        }
        let idle = self.policy.idle_timeout.map_or(Millis::MAX, |idle| idle.as_millis() as Millis);
        assert!(now < self.heard.saturating_add(idle), "idle, and not ended");
        if due <= now {
            let next = self.tunnel.deadline(now, &self.policy);
            assert!(next > now, "what is due is never done");
        }
    }

    /// Frames of ours and FINs, and what must hold after every step.
    fn settle(&mut self) {
        for side in Side::BOTH {
            let s = side as usize;
            let mut out = Vec::new();
            let cx = Context { now: self.now, policy: &self.policy, cells: &self.cells };
            self.tunnel.inject(side, &cx, &mut out);
            self.write(side, &out);
            self.fin[s] |= self.tunnel.wants_fin(side) && !self.blocked[s];
            self.dead[s] |= self.tunnel.is_dead(side);
            self.given_up[s] |= self.tunnel.has_ended(side) && !self.ended[s];
            self.ended[s] |= self.tunnel.has_ended(side);
        }
        let ending = self.tunnel.ending();
        if let Some((_, first)) = self.cause {
            let same = |ending: Ending| (ending.initiator, ending.cause, ending.code);
            assert_eq!(same(first), same(ending), "the first cause counts");
        } else if self.tunnel.is_ending() {
            self.cause = Some((self.now + self.policy.close_timeout.as_millis() as Millis, ending));
        }
        if let Some((end, _)) = self.cause {
            assert!(self.tunnel.deadline(self.now, &self.policy) <= end);
            assert!(self.now < end || self.is_over(), "not over in time");
            assert!(self.tunnel.is_over(end, [false, false]));
        }
    }

    fn is_over(&self) -> bool {
        self.tunnel.is_over(self.now, [!self.blocked[0], !self.blocked[1]])
    }

    /// The answer of an endpoint to our ping, when it has seen one.
    fn pong(&self, side: Side) -> Vec<u8> {
        let payload = self.ping_payloads[side as usize];
        let seen = self.written[side as usize].windows(2).any(|two| two[0] == 0x89);
        if !seen {
            return Vec::new();
        }
        let mask = (side == Side::Client).then_some([9, 8, 7, 6]);
        let size = if mask.is_some() { 6 } else { 2 };
        let mut out = wire::Head { first: 0x8a, mask, len: 8, size }.encode();
        out.extend((0..8).map(|i| mask.map_or(payload[i], |key| payload[i] ^ key[i % 4])));
        out
    }

    fn check(&self) {
        let sources = [Source::read(&self.came[0]), Source::read(&self.came[1])];
        let stats = self.tunnel.stats(self.now);
        for (side, source) in sources.iter().enumerate() {
            assert_eq!((stats.messages[side], stats.bytes[side]), source.figures());
        }
        let ending = self.tunnel.ending();
        assert_eq!(ending.clean, sources.iter().all(|source| source.closed));
        if ending.cause == Cause::CloseFrame {
            let initiator = match ending.initiator {
                Initiator::Client => Side::Client,
                Initiator::Upstream => Side::Upstream,
                Initiator::Proxy => panic!("a Close frame that nobody sent"),
            };
            assert_eq!(ending.code, sources[initiator as usize].close_code());
        }
        let impossible = sources.iter().any(|s| matches!(s.tail, wire::Tail::Impossible(_)));
        assert!(self.tunnel.is_ending() || !impossible, "an impossible header, and it goes on");
        for (from, source) in Side::BOTH.into_iter().zip(sources) {
            let to = from.other();
            let direction = Direction {
                source,
                to,
                out: &self.written[to as usize],
                ping_payloads: self.ping_payloads,
                source_ended: self.ended[from as usize] && !self.given_up[from as usize],
                target_dead: self.dead[to as usize],
                pings: self.pings[to as usize],
            };
            direction.check();
        }
    }
}

/// The payloads of the pings to each leg: a tunnel with the same seeds tells.
fn ping_payloads(seeds: [u64; 2]) -> [[u8; 8]; 2] {
    let mut policy = policy(&mut Input::new(&[]));
    policy.ping_interval = Some(std::time::Duration::from_secs(1));
    policy.ping_upstream = true;
    let cells = TunnelCells::default();
    let mut tunnel = Tunnel::new(0, seeds);
    let cx = Context { now: 1_000, policy: &policy, cells: &cells };
    tunnel.tick(&cx, |_| true);
    Side::BOTH.map(|side| {
        let mut ping = Vec::new();
        tunnel.inject(side, &cx, &mut ping);
        let (frames, _) = wire::frames(&ping);
        let payload = frames[0].payload(&ping);
        payload.try_into().expect("a ping has eight bytes of payload")
    })
}
