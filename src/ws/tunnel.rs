//! The state of a tunnel, as data: what each leg has said and what it must still be told.
//!
//! ```text
//!      Open ── Close frame from one leg, forwarded ──▶ closing ── Close from the other ──▶ over
//!        │ │                                             └─ close_timeout ──▶ over
//!        │ └─ a leg ends without Close ─▶ our Close to the other leg, at a frame boundary ─▶ closing
//!        └─ clock, limit, impossible frame, drain ─▶ our Close to both legs, each at its next
//!                                                    frame boundary ─▶ closing
//! ```
//!
//! Invariants:
//! * What [`Tunnel::receive`] gives back for a leg is what came from the other, plus our control
//!   frames at frame boundaries, less our own pongs.
//! * A leg gets one Close frame at most, and nothing behind it.
//! * The first cause is the cause of the Ending.
//!
//! Not here: sockets, buffers, TLS, and when to be called (`relay`).

mod clocks;
mod frames;
#[cfg(test)]
pub(super) mod tests;

use std::time::Duration;

use super::frame::{self, Header, MAX_HEADER, MAX_OWN_FRAME, PING_PAYLOAD, Tracker, opcode};
use super::rules::Extensions;
use super::{Millis, NEVER, Side};
use crate::access_log::TunnelStats;
use crate::config::model::Policy;
use crate::ending::{Cause, Ending, Initiator};
use crate::metrics::TunnelCells;

/// A `want_close` or `close_code` of a Close frame without a code.
const NO_CODE: u16 = 0;

/// What a step needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The time.
    pub now: Millis,
    /// Clocks and limits of the tunnel's route.
    pub policy: &'a Policy,
    /// The worker's counters.
    pub cells: &'a TunnelCells,
}

/// How a leg ended without a Close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// FIN: it may still read.
    Eof,
    /// Reset, or another failure of the socket.
    Reset,
    /// Its TLS session failed.
    Tls,
}

/// One WebSocket session, both legs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    legs: [Leg; 2],
    /// By the leg they come from.
    streams: [Stream; 2],
    opened: Millis,
    last_data: Millis,
    /// When closing is given up; [`NEVER`] while open.
    close_by: Millis,
    why: Option<Why>,
    /// Where the payloads of our pings and the jitter of the clocks come from.
    ping_seed: u64,
    /// Where the masking keys of our frames come from; moves on with each.
    mask_seed: u64,
    rtt_last: Option<u32>,
    rtt_max: Option<u32>,
    /// Measured and not yet taken by the driver.
    rtt_fresh: Option<(Side, u32)>,
    stalled: Millis,
    extensions: Extensions,
}

/// What the Ending will say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Why {
    initiator: Initiator,
    cause: Cause,
    code: Option<u16>,
}

/// What is known of a leg, and what it must be told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not a state in disguise")]
struct Leg {
    /// The last byte from it.
    heard: Millis,
    /// Our last ping that has not been answered.
    pinged: Millis,
    /// Since when it has unwritten bytes.
    blocked: Millis,
    /// When it last took some of them.
    progress: Millis,
    /// The code of a Close of ours that waits for a frame boundary.
    want_close: Option<u16>,
    want_ping: bool,
    /// Its frames are long enough to go by unseen.
    long_frames: bool,
    /// It has been pinged once: pongs with our payload are ours.
    ever_pinged: bool,
    /// A Close frame came from it.
    close_received: bool,
    /// A Close frame went to it, forwarded or ours.
    close_sent: bool,
    /// No byte will come from it any more.
    ended: bool,
    /// It takes no byte any more either.
    dead: bool,
    /// A frame came from it that was refused: nothing behind it is read.
    deaf: bool,
}

/// The frames that come from a leg.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Stream {
    tracker: Tracker,
    /// The frame under way.
    frame: Header,
    fate: Fate,
    /// The frame under [`Fate::Hold`], header first.
    held: [u8; MAX_HEADER + PING_PAYLOAD],
    held_len: u8,
    /// Code of a Close frame, as far as it has come.
    close_code: u16,
    /// Opcode of the message under way.
    message: u8,
    message_len: u64,
    /// More fragments of it are to come.
    in_message: bool,
    messages: u64,
    bytes: u64,
}

/// What becomes of the frame under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fate {
    /// It goes on as it is.
    #[default]
    Forward,
    /// It may be the answer to our ping, or a Close with a code that may not be: kept until its
    /// payload tells.
    Hold,
    /// The other leg takes nothing any more.
    Drop,
}

impl Tunnel {
    /// A tunnel that opens now. `seeds` are random and secret.
    pub fn new(now: Millis, seeds: [u64; 2]) -> Self {
        let leg = Leg {
            heard: now,
            pinged: NEVER,
            blocked: NEVER,
            progress: NEVER,
            want_close: None,
            want_ping: false,
            long_frames: false,
            ever_pinged: false,
            close_received: false,
            close_sent: false,
            ended: false,
            dead: false,
            deaf: false,
        };
        Self {
            legs: [leg.clone(), leg],
            streams: [Stream::default(), Stream::default()],
            opened: now,
            last_data: now,
            close_by: NEVER,
            why: None,
            ping_seed: seeds[0],
            mask_seed: seeds[1],
            rtt_last: None,
            rtt_max: None,
            rtt_fresh: None,
            stalled: 0,
            extensions: Extensions::None,
        }
    }

    /// The extensions that the endpoints have agreed on.
    #[must_use]
    pub const fn with_extensions(self, extensions: Extensions) -> Self {
        Self { extensions, ..self }
    }

    /// Whether the bytes are another protocol's: no frame of ours may go between them.
    #[inline]
    fn is_opaque(&self) -> bool {
        self.extensions == Extensions::NoFrames
    }

    /// A leg ended without a Close frame, or after one. Bytes of it that were withheld (half a
    /// header) are appended to `out`, for the other leg.
    pub fn end(&mut self, from: Side, how: End, cx: &Context<'_>, out: &mut Vec<u8>) {
        let to = from.other();
        let leg = &mut self.legs[from as usize];
        // A leg that broke the rules has ended already, as far as the other is concerned.
        let (again, closed) = (leg.ended || leg.deaf, leg.close_received);
        leg.ended = true;
        leg.dead |= how != End::Eof;
        if again {
            return;
        }
        let opaque = self.is_opaque();
        let tidy = closed || self.release_withheld(from, out);
        let lost = match from {
            Side::Client => cx.policy.close_codes.client_lost,
            Side::Upstream => cx.policy.close_codes.upstream_lost,
        };
        let other = &mut self.legs[to as usize];
        let mut code = None;
        if other.close_sent || other.dead || opaque {
            other.want_close = None;
        } else if tidy {
            let own = self.own_close_code(to, lost);
            self.legs[to as usize].want_close.get_or_insert(own);
            code = Some(lost);
        } else {
            other.want_close = None;
        }
        let cause = match how {
            End::Eof => Cause::Eof,
            End::Reset => Cause::Reset,
            End::Tls => Cause::Tls,
        };
        let initiator = match from {
            Side::Client => Initiator::Client,
            Side::Upstream => Initiator::Upstream,
        };
        self.begin_end(initiator, cause, code, cx);
    }

    /// Wayhold ends the tunnel: our Close to both legs, each at its next frame boundary. Does
    /// nothing when it is ending already.
    pub fn eject(&mut self, cause: Cause, cx: &Context<'_>) {
        if self.why.is_some() {
            return;
        }
        if self.is_opaque() {
            // There are no words for it: both connections just end.
            self.begin_end(Initiator::Proxy, cause, None, cx);
            self.close_by = cx.now;
            return;
        }
        let code = eject_code(cause, cx.policy);
        for leg in &mut self.legs {
            if !leg.close_sent && !leg.dead {
                leg.want_close = Some(code);
            }
        }
        self.begin_end(Initiator::Proxy, cause, Some(code), cx);
    }

    /// A leg has broken the rules: nothing that it says is read any more. Both legs get our Close;
    /// but where frames are validated, the upstream gets none in the name of a client that said no
    /// goodbye: its connection just ends.
    fn expel(&mut self, from: Side, cause: Cause, cx: &Context<'_>) {
        self.legs[from as usize].deaf = true;
        let was_ending = self.why.is_some();
        self.eject(cause, cx);
        if was_ending {
            // A leg that waits for the answer to its Close gets it from us: nobody else will give it.
            // Where the other's stream has ended, it had its Close then, or was cut and can have none.
            for side in Side::BOTH {
                let code = self.own_close_code(side, eject_code(cause, cx.policy));
                let source_ended = self.legs[side.other() as usize].ended;
                let leg = &mut self.legs[side as usize];
                if !leg.close_sent && !leg.dead && !source_ended {
                    leg.want_close.get_or_insert(code);
                }
            }
        }
        if cx.policy.validate && from == Side::Client {
            self.legs[Side::Upstream as usize].want_close = None;
        }
    }

    /// The code of our Close to a leg: a leg that has sent its own Close gets that echoed, which
    /// completes its handshake.
    fn own_close_code(&self, to: Side, code: u16) -> u16 {
        let echo = self.legs[to as usize].close_received;
        if echo { echo_code(self.streams[to as usize].close_code) } else { code }
    }

    /// Gives a leg up: nothing goes to it any more, and the other one gets our Close.
    fn give_up(&mut self, side: Side, cause: Cause, cx: &Context<'_>) {
        let in_frame = self.mid_frame(side.other());
        let leg = &mut self.legs[side as usize];
        leg.dead = true;
        leg.ended = true;
        self.eject(cause, cx);
        if in_frame {
            // The frame under way towards the other leg will never end.
            self.legs[side.other() as usize].want_close = None;
        }
    }

    fn begin_end(
        &mut self,
        initiator: Initiator,
        cause: Cause,
        code: Option<u16>,
        cx: &Context<'_>,
    ) {
        if self.why.is_none() {
            self.why = Some(Why { initiator, cause, code });
            self.close_by = cx.now.saturating_add(millis(cx.policy.close_timeout));
            for leg in &mut self.legs {
                leg.want_ping = false;
            }
        }
    }

    /// Appends the frame of ours that a leg is waiting for, if its stream stands at a boundary.
    pub fn inject(&mut self, to: Side, cx: &Context<'_>, out: &mut Vec<u8>) {
        if self.wants(to) && !self.mid_frame(to) {
            self.put_wanted(to, cx, out);
        }
    }

    /// Whether a frame of ours waits for this leg's next boundary.
    #[inline]
    pub fn wants(&self, to: Side) -> bool {
        let leg = &self.legs[to as usize];
        leg.want_ping || leg.want_close.is_some()
    }

    /// Whether a forwarded frame towards this leg is under way.
    fn mid_frame(&self, to: Side) -> bool {
        let stream = &self.streams[to.other() as usize];
        stream.tracker.in_frame() && stream.fate == Fate::Forward
    }

    /// Writes the frame that a leg is waiting for. The stream stands at a boundary.
    fn put_wanted(&mut self, to: Side, cx: &Context<'_>, out: &mut Vec<u8>) {
        let mask = (to == Side::Upstream).then(|| self.next_mask());
        let payload = self.ping_payload(to);
        let leg = &mut self.legs[to as usize];
        leg.want_ping &= leg.want_close.is_none();
        if leg.close_sent || leg.dead {
            leg.want_close = None;
        } else if let Some(code) = leg.want_close.take() {
            let code = code.to_be_bytes();
            let body: &[u8] = if code == NO_CODE.to_be_bytes() { &[] } else { &code };
            frame::put_control(out, opcode::CLOSE, body, mask);
            leg.close_sent = true;
        } else if leg.want_ping {
            frame::put_control(out, opcode::PING, &payload, mask);
            leg.pinged = cx.now;
            leg.ever_pinged = true;
        }
        leg.want_ping = false;
    }

    /// Whether the socket of this leg should be half-closed, once all has been written to it.
    pub fn wants_fin(&self, to: Side) -> bool {
        let leg = &self.legs[to as usize];
        // The server closes first (RFC 6455 §7.1.1): towards the client that is us.
        let handshake_done = to == Side::Client && leg.close_sent && leg.close_received;
        let source = &self.legs[to.other() as usize];
        let source_ended = source.ended || (source.deaf && !leg.close_sent);
        !leg.dead
            && !self.wants(to)
            && (handshake_done || source_ended || (leg.deaf && leg.close_sent))
    }

    /// Whether something has begun to end it.
    #[inline]
    pub fn is_ending(&self) -> bool {
        self.why.is_some()
    }

    /// Whether this leg takes bytes at all.
    pub fn is_dead(&self, side: Side) -> bool {
        self.legs[side as usize].dead
    }

    /// Whether no byte of this leg is worth reading any more.
    pub fn has_ended(&self, side: Side) -> bool {
        self.legs[side as usize].ended
    }

    /// Whether the tunnel is over, given which legs have nothing left to write.
    pub fn is_over(&self, now: Millis, flushed: [bool; 2]) -> bool {
        if self.why.is_none() {
            return false;
        }
        let done = |side: Side| {
            let leg = &self.legs[side as usize];
            let handshake_done = side == Side::Client && leg.close_sent && leg.close_received;
            leg.dead || (flushed[side as usize] && (leg.ended || handshake_done))
        };
        now >= self.close_by || (done(Side::Client) && done(Side::Upstream))
    }

    /// The Ending; of a tunnel that nothing has ended yet, that of a fast shutdown.
    pub fn ending(&self) -> Ending {
        let why = self.why.unwrap_or(Why {
            initiator: Initiator::Proxy,
            cause: Cause::Shutdown,
            code: None,
        });
        Ending {
            initiator: why.initiator,
            cause: why.cause,
            code: why.code,
            clean: self.legs.iter().all(|leg| leg.close_received),
        }
    }

    /// The figures of the tunnel so far.
    pub fn stats(&self, now: Millis) -> TunnelStats {
        let duration = |ms: Option<u32>| ms.map(|ms| Duration::from_millis(u64::from(ms)));
        TunnelStats {
            messages: [self.streams[0].messages, self.streams[1].messages],
            bytes: [self.streams[0].bytes, self.streams[1].bytes],
            duration: Duration::from_millis(now.saturating_sub(self.opened)),
            ping_rtt_last: duration(self.rtt_last),
            ping_rtt_max: duration(self.rtt_max),
            stalled: Duration::from_millis(self.stalled),
        }
    }

    /// The payload of our pings to a leg: nobody else's ping carries it.
    fn ping_payload(&self, to: Side) -> [u8; PING_PAYLOAD] {
        mix(self.ping_seed ^ (1 + to as u64)).to_be_bytes()
    }

    /// A masking key for a frame of ours (RFC 6455 §5.3).
    fn next_mask(&mut self) -> [u8; 4] {
        self.mask_seed = self.mask_seed.wrapping_add(1);
        let mixed = mix(self.mask_seed);
        [(mixed >> 8) as u8, (mixed >> 16) as u8, (mixed >> 24) as u8, (mixed >> 32) as u8]
    }
}

/// The code that answers a Close frame with this one: none where a code of ours may not be it
/// (RFC 6455 §7.4).
const fn echo_code(code: u16) -> u16 {
    match code {
        1004..=1006 | 1015 => NO_CODE,
        1000..5000 => code,
        _ => NO_CODE,
    }
}

/// The close code for a cause of Wayhold's own.
fn eject_code(cause: Cause, policy: &Policy) -> u16 {
    let codes = &policy.close_codes;
    match cause {
        Cause::Idle | Cause::DataIdle => codes.idle,
        Cause::DeadPeer => codes.dead_peer,
        Cause::MaxAge => codes.max_age,
        Cause::TooBig => codes.too_big,
        Cause::SlowConsumer => codes.slow_consumer,
        Cause::Protocol => codes.protocol,
        Cause::Drain
        | Cause::Shutdown
        | Cause::CloseFrame
        | Cause::Eof
        | Cause::Reset
        | Cause::Tls => codes.drain,
    }
}

fn millis(duration: Duration) -> Millis {
    duration.as_secs() * 1000 + u64::from(duration.subsec_millis())
}

/// The finaliser of splitmix64.
const fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const _: () = assert!(MAX_OWN_FRAME <= 14, "a frame of ours fits the room the driver keeps for it");
