//! The clocks of a tunnel: what is due, and when to look again. Nothing here is armed or reset per
//! message; stamps are compared when a deadline that was filed comes round.

use std::time::Duration;

use super::super::{Millis, NEVER, Side};
use super::{Context, Tunnel, millis, mix};
use crate::config::model::Policy;
use crate::ending::Cause;

/// How soon to look again for a ping that waits for a frame boundary.
const RECHECK: Millis = 1000;

impl Tunnel {
    /// Does what is due. `alive` is asked about a leg that has not answered a ping in time: whether
    /// it is still taking the bytes before the ping, so that it may not have seen it yet.
    pub fn tick(&mut self, cx: &Context<'_>, alive: impl Fn(Side) -> bool) {
        if self.why.is_some() {
            return;
        }
        let (now, policy) = (cx.now, cx.policy);
        for side in Side::BOTH {
            let leg = &self.legs[side as usize];
            if leg.blocked != NEVER && now >= after(leg.progress, policy.send_timeout) {
                return self.give_up(side, Cause::SlowConsumer, cx);
            }
            if self.awaits_pong(side) && now >= after(leg.pinged, policy.pong_timeout) {
                if !alive(side) {
                    return self.give_up(side, Cause::DeadPeer, cx);
                }
                self.legs[side as usize].pinged = now;
            }
            if now >= self.ping_due(side, policy) {
                self.legs[side as usize].want_ping = true;
            }
        }
        if now >= self.idle_due(policy) {
            self.eject(Cause::Idle, cx);
        } else if now >= self.data_idle_due(policy) {
            self.eject(Cause::DataIdle, cx);
        } else if now >= self.age_due(policy) {
            self.eject(Cause::MaxAge, cx);
        }
    }

    /// When [`Tunnel::tick`] must be called next, unless something happens before.
    pub fn deadline(&self, now: Millis, policy: &Policy) -> Millis {
        if self.why.is_some() {
            return self.close_by;
        }
        let mut due = self.idle_due(policy).min(self.data_idle_due(policy));
        due = due.min(self.age_due(policy));
        for side in Side::BOTH {
            let leg = &self.legs[side as usize];
            if leg.blocked != NEVER {
                due = due.min(after(leg.progress, policy.send_timeout));
            }
            if self.awaits_pong(side) {
                due = due.min(after(leg.pinged, policy.pong_timeout));
            }
            // A ping that waits for a boundary goes out unseen by the driver: look again soon.
            let ping_due = if leg.want_ping { now + RECHECK } else { self.ping_due(side, policy) };
            due = due.min(ping_due);
        }
        due
    }

    /// A write to a leg left bytes over; `progress` says whether it took some.
    pub fn blocked(&mut self, to: Side, now: Millis, progress: bool) {
        let leg = &mut self.legs[to as usize];
        if leg.blocked == NEVER {
            leg.blocked = now;
            leg.progress = now;
        } else if progress {
            leg.progress = now;
        }
    }

    /// Nothing is left over for a leg any more. Gives back how long it was blocked.
    pub fn drained(&mut self, to: Side, now: Millis) -> Millis {
        let leg = &mut self.legs[to as usize];
        if leg.blocked == NEVER {
            return 0;
        }
        let stalled = now.saturating_sub(leg.blocked);
        leg.blocked = NEVER;
        self.stalled += stalled;
        stalled
    }

    /// Whether [`Tunnel::take_rtt`] has something.
    #[inline]
    pub fn has_rtt(&self) -> bool {
        self.rtt_fresh.is_some()
    }

    /// A round trip that has been measured since the last call: side and milliseconds.
    pub fn take_rtt(&mut self) -> Option<(Side, u32)> {
        self.rtt_fresh.take()
    }

    /// A ping of ours is out and no byte has come since.
    fn awaits_pong(&self, side: Side) -> bool {
        let leg = &self.legs[side as usize];
        leg.pinged != NEVER && leg.heard < leg.pinged
    }

    fn ping_due(&self, side: Side, policy: &Policy) -> Millis {
        let leg = &self.legs[side as usize];
        let pinged_side = side == Side::Client || policy.ping_upstream;
        match policy.ping_interval {
            Some(interval)
                if pinged_side && !self.is_opaque() && !self.awaits_pong(side) && !leg.ended =>
            {
                after(leg.heard, self.shortened(interval, policy.ping_jitter))
            }
            _ => NEVER,
        }
    }

    fn idle_due(&self, policy: &Policy) -> Millis {
        let heard = self.legs[0].heard.max(self.legs[1].heard);
        policy.idle_timeout.map_or(NEVER, |timeout| after(heard, timeout))
    }

    fn data_idle_due(&self, policy: &Policy) -> Millis {
        policy.data_idle_timeout.map_or(NEVER, |timeout| after(self.last_data, timeout))
    }

    fn age_due(&self, policy: &Policy) -> Millis {
        policy
            .max_age
            .map_or(NEVER, |age| after(self.opened, self.shortened(age, policy.max_age_jitter)))
    }

    /// Shortened by up to `percent`, this tunnel's own share of it: tunnels that opened together do
    /// not act together.
    fn shortened(&self, duration: Duration, percent: u8) -> Duration {
        let share = mix(self.ping_seed) % 1024;
        let thousandths = u64::from(percent.min(100)) * 10 * share / 1024;
        let ms = millis(duration);
        Duration::from_millis(ms - ms * thousandths / 1000)
    }
}

fn after(stamp: Millis, duration: Duration) -> Millis {
    stamp.saturating_add(millis(duration))
}
