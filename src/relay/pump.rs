//! The hot path: bytes from one leg of a tunnel to the other. No allocation, lock, log call, shared
//! atomic or look-up here; the counters are cells of this worker alone.

use std::sync::Arc;

use super::leg::{CHUNK, Got, Leg, Scratch, Spliced};
use super::splice::{Pipes, WORTHWHILE};
use super::{Keep, RouteKey};
use crate::config::model::Policy;
use crate::metrics::TunnelSeries;
use crate::net::tls::session::MAX_REST;
use crate::ws::frame::MAX_HEADER;
use crate::ws::tunnel::{Context, End, Tunnel};
use crate::ws::{Millis, Side};

/// Reads of one leg before others have their turn.
const ROUNDS: usize = 4;
/// Plaintext of what was read at once, and of TLS records begun before.
const PLAIN: usize = CHUNK + MAX_REST;

/// A tunnel as its worker keeps it.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) tunnel: Tunnel,
    /// By [`Side`].
    pub(super) legs: [Leg; 2],
    pub(super) policy: Arc<Policy>,
    pub(super) route: RouteKey,
    pub(super) series: Arc<TunnelSeries>,
    /// The deadline under which it is filed.
    pub(super) filed: Millis,
    pub(super) keep: Box<Keep>,
}

// Most of what an idle tunnel costs.
const _: () = assert!(size_of::<Carried>() <= 520, "a tunnel has grown");

/// Scratch space of a worker: no tunnel has a buffer of its own while it is idle.
#[derive(Debug)]
pub(super) struct Buffers {
    plain: Vec<u8>,
    changed: Vec<u8>,
    tls: Scratch,
    pipes: Pipes,
}

impl Buffers {
    pub(super) fn new() -> Self {
        Self {
            plain: vec![0; PLAIN],
            changed: Vec::new(),
            tls: Scratch::new(),
            pipes: Pipes::default(),
        }
    }
}

/// What a pump left undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pumped {
    /// The socket has no more, or the other leg takes no more.
    Rest,
    /// Its turn is over, there may be more.
    Again,
}

impl Carried {
    /// Moves what has come from a leg to the other.
    pub(super) fn pump(
        &mut self,
        from: Side,
        now: Millis,
        worker: usize,
        buffers: &mut Buffers,
    ) -> Pumped {
        let cx = Context { now, policy: &self.policy, cells: self.series.cells(worker) };
        let room = self.policy.max_buffer.clamp(1024, CHUNK);
        let [client, upstream] = &mut self.legs;
        let (source, target) = match from {
            Side::Client => (client, upstream),
            Side::Upstream => (upstream, client),
        };
        let mut way = Way { tunnel: &mut self.tunnel, source, target, from, cx: &cx };
        for _ in 0..ROUNDS {
            if !way.is_open() {
                return Pumped::Rest;
            }
            if !way.splice(room, buffers) {
                way.copy(room, buffers);
            }
        }
        if way.source.readable { Pumped::Again } else { Pumped::Rest }
    }

    /// Counts what was left over for a leg before the relay had it.
    pub(super) fn take_over(&mut self, to: Side, now: Millis, worker: usize) {
        let leg = &self.legs[to as usize];
        if leg.is_blocked() {
            let cells = self.series.cells(worker);
            cells.buffered_in[to.other() as usize].add(leg.left_over() as u64);
            self.tunnel.blocked(to, now, true);
        }
    }

    /// Takes bytes that were read from a leg before the relay had it.
    pub(super) fn early(
        &mut self,
        from: Side,
        bytes: &[u8],
        now: Millis,
        worker: usize,
        buffers: &mut Buffers,
    ) {
        let to = from.other();
        let cx = Context { now, policy: &self.policy, cells: self.series.cells(worker) };
        let Buffers { changed, tls, .. } = buffers;
        let out = self.tunnel.receive(from, bytes, &cx, changed);
        send(&mut self.tunnel, &mut self.legs[to as usize], to, out, &cx, tls);
    }

    /// Writes what was left over for a leg.
    pub(super) fn flush(&mut self, to: Side, now: Millis, worker: usize, buffers: &mut Buffers) {
        let leg = &mut self.legs[to as usize];
        if !leg.is_blocked() {
            return;
        }
        let cells = self.series.cells(worker);
        let before = leg.left_over();
        // A failure shows when the leg is read.
        let progress = leg.flush(&mut buffers.pipes).unwrap_or(true);
        let direction = to.other() as usize;
        cells.buffered_out[direction].add((before - leg.left_over()) as u64);
        if leg.is_blocked() {
            self.tunnel.blocked(to, now, progress);
        } else {
            cells.stalled_ms[direction].add(self.tunnel.drained(to, now));
        }
    }

    /// Whether there is more to do than moving bytes: frames of ours, FINs, the end.
    #[inline]
    pub(super) fn needs_care(&self) -> bool {
        self.tunnel.is_ending()
            || self.tunnel.wants(Side::Client)
            || self.tunnel.wants(Side::Upstream)
            || self.tunnel.has_rtt()
            || self.legs.iter().any(|leg| leg.is_blocked() || leg.is_broken())
    }

    /// Frames of ours and FINs, where their time has come.
    pub(super) fn settle(&mut self, now: Millis, worker: usize, buffers: &mut Buffers) {
        let cx = Context { now, policy: &self.policy, cells: self.series.cells(worker) };
        let Buffers { changed, tls, .. } = buffers;
        for side in Side::BOTH {
            let leg = &mut self.legs[side as usize];
            if self.tunnel.wants(side) {
                changed.clear();
                self.tunnel.inject(side, &cx, changed);
                send(&mut self.tunnel, leg, side, changed, &cx, tls);
            }
            if self.tunnel.wants_fin(side) {
                leg.finish(tls);
            }
        }
        if let Some((side, rtt)) = self.tunnel.take_rtt() {
            self.series.ping_rtt(side as usize, std::time::Duration::from_millis(u64::from(rtt)));
        }
    }

    /// Whether the tunnel is over.
    pub(super) fn is_over(&self, now: Millis) -> bool {
        self.tunnel.is_over(now, [!self.legs[0].is_blocked(), !self.legs[1].is_blocked()])
    }
}

/// One direction of a tunnel, for one read.
struct Way<'a> {
    tunnel: &'a mut Tunnel,
    source: &'a mut Leg,
    target: &'a mut Leg,
    from: Side,
    cx: &'a Context<'a>,
}

impl Way<'_> {
    /// Whether there may be something to move, and room for it. This is the whole backpressure:
    /// unwritten bytes there, no reading here.
    #[inline]
    fn is_open(&self) -> bool {
        let full = self.target.is_blocked() && !self.tunnel.is_dead(self.from.other());
        self.source.readable && !full && !self.tunnel.has_ended(self.from)
    }

    /// Reads, looks at the frames, writes.
    #[inline]
    fn copy(&mut self, room: usize, buffers: &mut Buffers) {
        let Buffers { plain, changed, tls, .. } = buffers;
        let rest = self.tunnel.passing(self.from);
        let room = match usize::try_from(rest) {
            // The next header is to be found where it begins.
            Ok(rest @ 1..) if self.tunnel.has_long_frames(self.from) => room.min(rest),
            _ => room,
        };
        match self.source.read(plain, room, tls) {
            Got::Bytes { len, more } => {
                self.source.readable = more;
                let out = self.tunnel.receive(self.from, &plain[..len], self.cx, changed);
                if len as u64 > rest {
                    let long =
                        len == CHUNK && self.tunnel.passing(self.from) > 0 && !self.has_tls();
                    self.tunnel.expect_long_frames(self.from, long);
                }
                send(self.tunnel, self.target, self.from.other(), out, self.cx, tls);
            }
            Got::End(how) => self.end(how, buffers),
        }
    }

    /// Moves payload of a long frame past this process. Says whether it did what there was to do.
    #[inline]
    fn splice(&mut self, room: usize, buffers: &mut Buffers) -> bool {
        if self.has_tls() {
            return false;
        }
        let Some(seen) = self.glance(buffers) else {
            return true;
        };
        let passing = self.tunnel.passing(self.from);
        if passing < WORTHWHILE {
            return false;
        }
        let len = usize::try_from(passing).map_or(room, |passing| room.min(passing));
        match self.source.splice(self.target, len + seen, &mut buffers.pipes) {
            Spliced::Moved(len) => {
                self.spliced(len.saturating_sub(seen), passing, buffers);
                self.carry(seen.saturating_sub(len), buffers);
            }
            Spliced::Rest | Spliced::Copy if seen > 0 => self.carry(seen, buffers),
            // Hung up, no new edge may come: its end is to be read.
            Spliced::Rest if self.source.hung_up => return false,
            Spliced::Rest => self.source.readable = false,
            Spliced::Copy => return false,
            Spliced::Reset => self.end(End::Reset, buffers),
        }
        true
    }

    #[inline]
    const fn has_tls(&self) -> bool {
        self.source.has_tls() || self.target.has_tls()
    }

    /// Looks at the header of what may be another long frame. Says how many bytes it has seen; they
    /// are still in the socket, and go on as they are, with the payload. `None` when what it has seen
    /// is something else, and has gone on.
    #[inline]
    fn glance(&mut self, buffers: &mut Buffers) -> Option<usize> {
        if !self.tunnel.has_long_frames(self.from) || self.tunnel.passing(self.from) > 0 {
            return Some(0);
        }
        let Buffers { plain, changed, tls, .. } = buffers;
        let head = &mut plain[..MAX_HEADER];
        if !self.source.peek(head) {
            return Some(0);
        }
        let out = self.tunnel.receive(self.from, head, self.cx, changed);
        if std::ptr::eq(out, head) && self.tunnel.passing(self.from) >= WORTHWHILE {
            return Some(MAX_HEADER);
        }
        self.tunnel.expect_long_frames(self.from, false);
        self.source.take(&mut [0; MAX_HEADER]);
        send(self.tunnel, self.target, self.from.other(), out, self.cx, tls);
        None
    }

    /// Takes bytes along that have been seen, but did not go with the payload.
    fn carry(&mut self, len: usize, buffers: &mut Buffers) {
        let Buffers { plain, tls, .. } = buffers;
        let seen = &mut plain[..len];
        self.source.take(seen);
        send(self.tunnel, self.target, self.from.other(), seen, self.cx, tls);
    }

    fn spliced(&mut self, len: usize, passing: u64, buffers: &mut Buffers) {
        let to = self.from.other();
        self.tunnel.passed(self.from, len as u64, self.cx);
        if self.target.is_blocked() {
            let kept = self.target.left_over() as u64;
            self.cx.cells.buffered_in[to.other() as usize].add(kept);
            self.tunnel.blocked(to, self.cx.now, true);
        }
        if len as u64 == passing {
            // The end of the frame, and what waits for it.
            let Buffers { changed, tls, .. } = buffers;
            let out = self.tunnel.receive(self.from, &[], self.cx, changed);
            send(self.tunnel, self.target, to, out, self.cx, tls);
        }
    }

    fn end(&mut self, how: End, buffers: &mut Buffers) {
        let Buffers { changed, tls, .. } = buffers;
        self.source.readable = false;
        changed.clear();
        self.tunnel.end(self.from, how, self.cx, changed);
        send(self.tunnel, self.target, self.from.other(), changed, self.cx, tls);
    }
}

/// Writes to a leg; what it does not take is kept there.
#[inline]
fn send(
    tunnel: &mut Tunnel,
    target: &mut Leg,
    to: Side,
    bytes: &[u8],
    cx: &Context<'_>,
    tls: &mut Scratch,
) {
    if bytes.is_empty() || tunnel.is_dead(to) {
        return;
    }
    let before = target.left_over();
    // A failed write breaks the leg: it is read to its end, which tells how it ended.
    let _broken = target.write(bytes, tls);
    if target.is_blocked() {
        let kept = target.left_over().saturating_sub(before);
        cx.cells.buffered_in[to.other() as usize].add(kept as u64);
        tunnel.blocked(to, cx.now, before == 0);
    }
}
