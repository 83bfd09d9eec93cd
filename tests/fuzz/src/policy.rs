//! A tunnel's clocks and limits, chosen by the input.

use std::time::Duration;

use wayhold::config::model::{CloseCodes, Policy};

use crate::Input;

pub const CLOSE_CODES: CloseCodes = CloseCodes {
    drain: 1012,
    dead_peer: 1001,
    upstream_lost: 1011,
    client_lost: 1001,
    idle: 1001,
    max_age: 1001,
    too_big: 1009,
    slow_consumer: 1008,
    protocol: 1002,
};

pub fn policy(input: &mut Input<'_>) -> Policy {
    let mut time = |seconds: &[u64]| Duration::from_secs(input.pick(seconds));
    let (ping, pong, send) = (time(&[25, 1]), time(&[20, 2]), time(&[60, 3]));
    let (idle, data_idle) = (time(&[300, 5]), time(&[400, 7]));
    let (close, age) = (time(&[5, 1]), time(&[4000, 30]));
    let choices = input.u16();
    let chosen = |bit: u16| choices >> bit & 1 == 1;
    Policy {
        ping_interval: chosen(0).then_some(ping),
        ping_jitter: if chosen(1) { 50 } else { 0 },
        pong_timeout: pong,
        ping_upstream: chosen(2),
        idle_timeout: chosen(3).then_some(idle),
        data_idle_timeout: chosen(4).then_some(data_idle),
        send_timeout: send,
        close_timeout: close,
        max_age: chosen(5).then_some(age),
        max_age_jitter: if chosen(1) { 50 } else { 0 },
        max_message_size: chosen(6).then_some(if chosen(7) { 10 } else { 70_000 }),
        max_frame_size: chosen(8).then_some(if chosen(9) { 9 } else { 300 }),
        max_buffer: 65_536,
        // What is refused then has tests of its own; here every frame passes.
        validate: false,
        close_codes: CLOSE_CODES,
    }
}
