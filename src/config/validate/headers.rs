//! Headers that are set, and those that must not be.

use http::HeaderName;
use http::header::{CONNECTION, UPGRADE};

use super::Context;
use crate::config::diagnostic::{Diagnostic, quote};
use crate::config::model::AddHeader;
use crate::config::source::At;
use crate::config::template::Template;
use crate::config::values::{AddHeaders, Headers};

/// Headers that belong to one connection or to the framing of a message: Wayhold's own.
const OWN: [&str; 10] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "expect",
];

/// Values of `Upgrade` and `Connection` in nginx's WebSocket recipe and in its recipe for
/// keepalive.
const RECIPES: [&str; 6] =
    ["$http_upgrade", "websocket", "$connection_upgrade", "upgrade", "$http_connection", ""];

/// `proxy_set_header`.
pub(super) fn to_upstream(cx: &mut Context<'_>, headers: &Headers) -> Vec<(HeaderName, Template)> {
    let mut result = Vec::new();
    for (name, value) in &headers.0 {
        if is_recipe(name, value) {
            let shown = if name.value == UPGRADE { "Upgrade" } else { "Connection" };
            let message = format!("`proxy_set_header` need not set `{shown}`: it goes by itself");
            cx.out.push(Diagnostic::warning(&name.place, message).help("leave it out"));
            continue;
        }
        if allowed(cx, name, "proxy_set_header") {
            result.push((name.value.clone(), cx.template(value)));
        }
    }
    result
}

/// `add_header`.
pub(super) fn to_client(cx: &mut Context<'_>, headers: &AddHeaders) -> Vec<AddHeader> {
    let mut result = Vec::new();
    for (name, values) in &headers.0 {
        if !allowed(cx, name, "add_header") {
            continue;
        }
        for value in &values.value {
            result.push(AddHeader {
                name: name.value.clone(),
                spelled: value.spelled.clone(),
                value: cx.template(&value.text),
                always: value.always,
            });
        }
    }
    result
}

fn is_recipe(name: &HeaderName, value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    (*name == UPGRADE || *name == CONNECTION) && RECIPES.contains(&value.as_str())
}

fn allowed(cx: &mut Context<'_>, name: &At<HeaderName>, key: &str) -> bool {
    let own = OWN.contains(&name.as_str()) || name.as_str().starts_with("sec-websocket-");
    if own {
        let message =
            format!("`{key}` cannot set a header of the connection: {}", quote(name.as_str()));
        cx.error(
            &name.place,
            message,
            "leave it out: framing, hop-by-hop headers and the WebSocket handshake are Wayhold's own",
        );
    }
    !own
}
