//! `[websocket]`.

use std::sync::Arc;
use std::time::Duration;

use super::Context;
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::config::model::{CloseCodes, Policy, WebSocket};
use crate::config::read::Field;
use crate::config::schema::{CloseCode, CloseCodesSection, LocationKeys, WebSocketSection};
use crate::config::section::Section as _;
use crate::config::values::{List, OriginValue};

/// `idle_timeout` where nobody set it, nor `proxy_read_timeout`.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// What a location does with upgrades. `explicit` is what was written on the way to it, `merged`
/// has the defaults too. Beside it, whether upgrades are refused where they are not served.
pub(super) fn websocket(
    cx: &mut Context<'_>,
    explicit: &LocationKeys,
    merged: &LocationKeys,
) -> (WebSocket, bool) {
    let section = match merged.websocket.get() {
        Some(section) => section.or(&cx.defaults.websocket),
        None => cx.defaults.websocket.clone(),
    };
    let WebSocketSection {
        enabled,
        refuse,
        ping_interval,
        ping_jitter,
        pong_timeout,
        ping_upstream,
        idle_timeout,
        data_idle_timeout,
        close_timeout,
        max_age,
        max_age_jitter,
        max_message_size,
        max_frame_size,
        max_buffer,
        allowed_origins,
        allowed_subprotocols,
        verify_accept,
        validate,
        close_codes,
    } = &section;
    let read_timeout = explicit.proxy.proxy_read_timeout.copied().map(|time| time.0);
    let idle_timeout = match idle_timeout.copied() {
        Some(time) => time.0,
        None => Some(read_timeout.unwrap_or(IDLE_TIMEOUT)),
    };
    let policy = Policy {
        ping_interval: ping_interval.with_default().0,
        ping_jitter: ping_jitter.with_default().get(),
        pong_timeout: pong_timeout.with_default().0,
        ping_upstream: ping_upstream.with_default().value,
        idle_timeout,
        data_idle_timeout: data_idle_timeout.with_default().0,
        send_timeout: merged.proxy.proxy_send_timeout.with_default().0,
        close_timeout: close_timeout.with_default().0,
        max_age: max_age.with_default().0,
        max_age_jitter: max_age_jitter.with_default().get(),
        max_message_size: max_message_size.with_default().0,
        max_frame_size: max_frame_size.with_default().0,
        max_buffer: usize::try_from(max_buffer.with_default().0).unwrap_or(usize::MAX),
        validate: validate.with_default().value,
        close_codes: codes(close_codes, cx.out),
    };
    let websocket = WebSocket {
        enabled: enabled.with_default().value,
        allowed_origins: allowed_origins.get().and_then(|list| origins(list)),
        allowed_subprotocols: allowed_subprotocols
            .get()
            .map(|list| list.iter().map(|token| token.0.clone()).collect()),
        verify_accept: verify_accept.with_default().value,
        policy: Arc::new(policy),
    };
    (websocket, refuse.with_default().value)
}

/// `None` lets in any.
fn origins(list: &List<OriginValue>) -> Option<Vec<String>> {
    let values: Vec<_> = list.iter().map(|origin| origin.0.clone()).collect();
    (!values.iter().any(|origin| origin == "*")).then_some(values)
}

fn codes(section: &Field<CloseCodesSection>, out: &mut Diagnostics) -> CloseCodes {
    let defaults = CloseCodesSection::defaults();
    let CloseCodesSection {
        drain,
        dead_peer,
        upstream_lost,
        client_lost,
        idle,
        max_age,
        too_big,
        slow_consumer,
        protocol,
    } = match section.get() {
        Some(section) => section.or(&defaults),
        None => defaults,
    };
    let mut code = |field: &Field<CloseCode>| code(field, out);
    CloseCodes {
        drain: code(&drain),
        dead_peer: code(&dead_peer),
        upstream_lost: code(&upstream_lost),
        client_lost: code(&client_lost),
        idle: code(&idle),
        max_age: code(&max_age),
        too_big: code(&too_big),
        slow_consumer: code(&slow_consumer),
        protocol: code(&protocol),
    }
}

/// RFC 6455 §7.4: 1004 to 1006 and 1015 never go on the wire, 1016 to 2999 are nobody's.
fn code(field: &Field<CloseCode>, out: &mut Diagnostics) -> u16 {
    let at = field.with_default();
    let code: u16 = at.get();
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        let message = format!("code may not be sent in a Close frame: `{code}`");
        out.push(Diagnostic::error(&at.place, message).help(
            "write one of 1000 to 1003, 1007 to 1014, or 3000 to 4999 (applications' own are 4000 \
             and up)",
        ));
    }
    code
}
