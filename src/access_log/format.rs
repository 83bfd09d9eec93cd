//! The shapes of a line: nginx's `combined`, and one JSON object. Pure: the time zone is passed in.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::record::{Record, TunnelStats};
use super::redact;
use crate::config::model::Escape;
use crate::config::template::{Piece, Var};
use crate::ending::Ending;

/// What a line is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event<'a> {
    /// A request was answered.
    Request,
    /// A tunnel has opened.
    Open,
    /// A tunnel has ended.
    Close(&'a Ending, &'a TunnelStats),
}

/// nginx's `combined`; of a tunnel, the bytes are those towards the client.
pub(super) fn combined(record: &Record, event: Event<'_>, zone: &TimeZone) -> String {
    let bytes = match event {
        Event::Close(_, stats) => stats.bytes[1],
        _ => record.body_bytes_sent,
    };
    let at = time(record.at_ms).to_zoned_datetime(zone.clone());
    let mut line = escaped(or_dash(&record.remote_addr));
    // Writing to a String does not fail.
    let _ok = write!(
        line,
        " - {} [{}] \"",
        escaped(or_dash(&record.remote_user)),
        at.strftime("%d/%b/%Y:%H:%M:%S %z")
    );
    line.push_str(&escaped(&record.method));
    line.push(' ');
    line.push_str(&escaped(&redact::uri(&record.request_uri)));
    let _ok = write!(line, " {}\" {} {bytes} \"", record.protocol, record.status);
    line.push_str(&escaped(or_dash(&redact::referer(&record.referer))));
    line.push_str("\" \"");
    line.push_str(&escaped(or_dash(&record.user_agent)));
    line.push_str("\"\n");
    line
}

/// A line of a shape of its own, with what has been waited for.
pub(super) fn custom(record: &Record, event: Event<'_>, zone: &TimeZone) -> String {
    let (bytes, took) = match event {
        Event::Close(_, stats) => (stats.bytes[1], record.request_time + stats.duration),
        _ => (record.body_bytes_sent, record.request_time),
    };
    // A client that went away before anything was decided has no line of its own.
    let Some(pieces) = &record.line else {
        return combined(record, event, zone);
    };
    let now = Timestamp::now();
    let local = || now.to_zoned_datetime(zone.clone());
    let mut line = String::new();
    for piece in pieces.iter() {
        let value = match piece {
            Piece::Text(text) => {
                line.push_str(text);
                continue;
            }
            Piece::Late(Var::RequestTime) => decimal(took),
            Piece::Late(Var::BodyBytesSent) => bytes.to_string(),
            Piece::Late(Var::BytesSent) => (bytes + u64::from(record.switching_bytes)).to_string(),
            Piece::Late(Var::RequestCompletion) => {
                if record.status == 499 { "" } else { "OK" }.to_owned()
            }
            Piece::Late(Var::TimeIso8601) => local().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            Piece::Late(Var::TimeLocal) => local().strftime("%d/%b/%Y:%H:%M:%S %z").to_string(),
            Piece::Late(_) => {
                let ms = now.as_millisecond();
                format!("{}.{:03}", ms / 1000, ms % 1000)
            }
        };
        line.push_str(&value);
    }
    line.push('\n');
    line
}

fn decimal(time: Duration) -> String {
    format!("{}.{:03}", time.as_secs(), time.subsec_millis())
}

/// How a value is escaped; one that is empty is `-`.
pub fn escaping(escape: Escape) -> fn(&str) -> String {
    match escape {
        Escape::Default => |text| escaped(or_dash(text)),
        Escape::Json => in_json,
        Escape::None => str::to_owned,
    }
}

/// For a string of JSON, as nginx writes it: in capitals.
fn in_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' => {
                let _infallible = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// One JSON object; fields without a value are left out.
pub(super) fn json(record: &Record, event: Event<'_>, zone: &TimeZone) -> String {
    let mut line = Map::new();
    let mut put = |name: &str, value: Value| {
        if !matches!(&value, Value::Null) && value != "" {
            line.insert(name.to_owned(), value);
        }
    };
    let at = time(record.at_ms).to_zoned_datetime(zone.clone());
    put("time", json!(at.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string()));
    let event_name = match event {
        Event::Request => "request",
        Event::Open => "open",
        Event::Close(..) => "close",
    };
    put("event", json!(event_name));
    put("remote_addr", json!(record.remote_addr));
    put("remote_user", json!(record.remote_user));
    put("request_method", json!(record.method));
    put("request_uri", json!(redact::uri(&record.request_uri)));
    put("server_protocol", json!(record.protocol));
    put("host", json!(record.host));
    put("server", json!(&*record.server));
    put("location", json!(&*record.location));
    put("status", json!(record.status));
    put("body_bytes_sent", json!(record.body_bytes_sent));
    put("request_time", seconds(record.request_time));
    put("request_id", json!(record.request_id));
    put("http_referer", json!(redact::referer(&record.referer)));
    put("http_user_agent", json!(record.user_agent));
    put("upstream", json!(record.upstream.as_deref()));
    put("upstream_addr", json!(record.upstream_addr));
    put("upstream_connect_time", record.upstream_connect_time.map_or(Value::Null, seconds));
    if record.upstream_tries > 0 {
        put("upstream_tries", json!(record.upstream_tries));
    }
    put("ssl_protocol", json!(record.ssl_protocol));
    put("config_revision", json!(record.config_revision));
    put("traceparent", json!(record.traceparent));
    if let Some(ws) = &record.ws {
        put("ws_transport", json!("h1"));
        put("ws_subprotocol", json!(redact::subprotocol(&ws.subprotocol)));
        put("ws_extensions", json!(ws.extensions));
        put("ws_handshake_time", seconds(ws.handshake_time));
    }
    if let Event::Close(ending, stats) = event {
        put("ws_duration", seconds(stats.duration));
        put("ws_close_initiator", json!(ending.initiator.as_str()));
        put("ws_close_cause", json!(ending.cause.as_str()));
        put("ws_close_code", json!(ending.code));
        put("ws_clean", json!(ending.clean));
        put("ws_msgs_in", json!(stats.messages[0]));
        put("ws_msgs_out", json!(stats.messages[1]));
        put("ws_bytes_in", json!(stats.bytes[0]));
        put("ws_bytes_out", json!(stats.bytes[1]));
        put("ws_ping_rtt_last", stats.ping_rtt_last.map_or(Value::Null, seconds));
        put("ws_ping_rtt_max", stats.ping_rtt_max.map_or(Value::Null, seconds));
        put("ws_stalled_time", seconds(stats.stalled));
    }
    let mut line = Value::Object(line).to_string();
    line.push('\n');
    line
}

fn time(ms: u64) -> Timestamp {
    i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or_default()
}

/// Seconds with milliseconds, as nginx writes times.
fn seconds(duration: Duration) -> Value {
    let ms = u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
    json!(f64::from(ms) / 1000.0)
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// nginx's escaping: quotes, backslashes, controls and bytes beyond ASCII become `\xXX`.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte == b'"' || byte == b'\\' || !(0x20..0x7f).contains(&byte) {
            let _ok = write!(out, "\\x{byte:02X}");
        } else {
            out.push(char::from(byte));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access_log::WsRecord;
    use crate::ending::{Cause, Initiator};

    fn record() -> Record {
        Record {
            at_ms: 1_764_000_000_123,
            remote_addr: "192.0.2.1".into(),
            method: "GET".into(),
            request_uri: "/ws?token=secret&room=\"1\"".into(),
            protocol: "HTTP/1.1",
            host: "a.test".into(),
            server: "a.test".into(),
            location: "/ws".into(),
            status: 101,
            user_agent: "tést".into(),
            ..Record::default()
        }
    }

    fn ending() -> Ending {
        Ending {
            initiator: Initiator::Client,
            cause: Cause::CloseFrame,
            code: Some(1000),
            clean: true,
        }
    }

    #[test]
    fn combined_is_nginx_s() {
        let stats = TunnelStats { bytes: [1, 42], ..TunnelStats::default() };
        let line = combined(&record(), Event::Close(&ending(), &stats), &TimeZone::UTC);
        assert_eq!(
            line,
            "192.0.2.1 - - [24/Nov/2025:16:00:00 +0000] \
             \"GET /ws?token=***&room=\\x221\\x22 HTTP/1.1\" 101 42 \"-\" \"t\\xC3\\xA9st\"\n"
        );
    }

    #[test]
    fn strings_of_json_hold_any_text() {
        let text: String = (0..0x100).filter_map(char::from_u32).collect();
        let quoted = format!("\"{}\"", in_json(&text));
        assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text);
        assert_eq!(in_json("\u{1b}"), "\\u001B");
    }

    #[test]
    fn json_tells_how_a_tunnel_ended() {
        let mut record = record();
        record.ws = Some(Box::new(WsRecord { subprotocol: "mqtt".into(), ..WsRecord::default() }));
        let stats = TunnelStats {
            messages: [3, 4],
            duration: Duration::from_millis(1500),
            ..TunnelStats::default()
        };
        let line = json(&record, Event::Close(&ending(), &stats), &TimeZone::UTC);
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["time"], "2025-11-24T16:00:00.123+00:00");
        assert_eq!(line["event"], "close");
        assert_eq!(line["request_uri"], "/ws?token=***&room=\"1\"");
        assert_eq!(line["ws_close_initiator"], "client");
        assert_eq!(line["ws_close_code"], 1000);
        assert_eq!(line["ws_duration"], 1.5);
        assert_eq!(line["ws_subprotocol"], "mqtt");
        assert!(line.get("traceparent").is_none());
    }

    #[test]
    fn a_request_has_nothing_of_a_tunnel() {
        let line = json(&record(), Event::Request, &TimeZone::UTC);
        assert!(!line.contains("ws_"), "{line}");
        assert!(line.contains("\"event\":\"request\""));
    }
}
