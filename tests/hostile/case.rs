//! The corpus as data: every file is a list of `[[case]]`. Strings stand for bytes, one character
//! each (Latin-1). A key that nobody reads is a mistake, and said to be one.

use std::path::Path;

use toml::{Table, Value};

use super::keys::{Keys, tables};

/// One case: what is sent, how the upstream behaves, and what has to come of it.
#[derive(Clone, Debug)]
pub struct Case {
    pub id: String,
    pub group: String,
    pub level: String,
    pub title: String,
    /// Asks for more than a proxy that passes tunnels on as bytes can do.
    pub needs_frames: bool,
    pub transport: Transport,
    pub tls: Tls,
    /// The name of an upstream's script; `auto` answers properly.
    pub origin: String,
    pub steps: Vec<Step>,
    pub expect: Expect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Plain,
    Tls,
    /// Raw bytes to the TLS port.
    TcpToTls,
    /// The port that takes PROXY protocol headers.
    ProxyProtocol,
}

/// What the client offers in its TLS handshake.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    pub sni: Option<String>,
    pub min: Option<String>,
    pub max: Option<String>,
    pub ciphers: Option<String>,
    pub alpn: Vec<String>,
}

/// One thing that a client or an upstream does.
#[derive(Clone, Debug)]
pub struct Step {
    /// On the second connection.
    pub second: bool,
    pub act: Act,
}

#[derive(Clone, Debug)]
pub enum Act {
    Send {
        bytes: Vec<u8>,
        chunk: usize,
        every: f64,
        limit: f64,
    },
    /// A good handshake, and its answer.
    Handshake {
        path: Option<String>,
        extra: String,
        wait: f64,
    },
    /// Waits for a pattern.
    Receive {
        pattern: String,
        wait: f64,
    },
    Sleep(f64),
    /// Half-closes.
    Shutdown,
    Close,
    Reset,
}

/// What has to come of it; an absent one is not looked at.
#[derive(Clone, Debug, Default)]
pub struct Expect {
    /// The first final status; 0 is an end without an answer, -1 silence.
    pub status: Option<Vec<i64>>,
    pub not_status: Vec<i64>,
    pub closed: Option<bool>,
    pub closed_unless: Vec<i64>,
    pub within: Option<f64>,
    pub answer_within: Option<f64>,
    pub responses: Option<usize>,
    pub min_responses: Option<usize>,
    pub upstream: Option<Upstream>,
    pub upstream_has: Vec<String>,
    pub upstream_lacks: Vec<String>,
    pub head_lacks: Vec<String>,
    pub client_has: Vec<String>,
    /// At least so many.
    pub client_bytes: usize,
    pub client_lacks: Vec<String>,
    pub ws_close: Vec<i64>,
    pub origin_frames: Option<usize>,
    pub origin_eof: Option<bool>,
    pub tls: Option<bool>,
    pub second: Option<Second>,
    pub wait: Option<f64>,
    pub settle: Option<bool>,
    pub recv_optional: bool,
}

/// What the second connection has to see.
#[derive(Clone, Debug, Default)]
pub struct Second {
    pub status: Option<Vec<i64>>,
    pub has: Vec<String>,
    pub lacks: Vec<String>,
}

/// How many requests may reach the upstream.
#[derive(Clone, Copy, Debug)]
pub enum Upstream {
    /// Not a byte.
    Nothing,
    Exactly(usize),
    AtMost(usize),
}

/// All cases of a folder, for a proxy that lets frames pass or for one that validates them.
pub fn load(folder: &Path, validating: bool) -> Vec<Case> {
    let mut cases: Vec<Case> =
        tables(folder, "case").into_iter().map(|table| case(table, validating)).collect();
    cases.sort_by(|a, b| a.id.cmp(&b.id));
    for pair in cases.windows(2) {
        assert_ne!(pair[0].id, pair[1].id, "two cases have one id");
    }
    cases
}

fn case(table: Table, validating: bool) -> Case {
    let id = table["id"].as_str().unwrap().to_owned();
    let mut keys = Keys::new(&id, table);
    let mut expect = keys.table("expect").unwrap_or_default();
    let stricter = keys.table("expect_validating").unwrap_or_default();
    if validating {
        expect.extend(stricter);
    }
    let steps = match keys.take("send") {
        Some(send) => vec![step(&id, Table::from_iter([("send".to_owned(), send)]))],
        None => keys.steps("steps"),
    };
    let transport = match keys.text("transport").as_deref() {
        None | Some("plain") => Transport::Plain,
        Some("tls") => Transport::Tls,
        Some("tcp-to-tls") => Transport::TcpToTls,
        Some("pp") => Transport::ProxyProtocol,
        Some(other) => panic!("{id}: no transport `{other}`"),
    };
    let case = Case {
        group: keys.text("group").unwrap(),
        level: keys.text("level").unwrap(),
        title: keys.text("title").unwrap(),
        needs_frames: match keys.text("needs").as_deref() {
            None => false,
            Some("frames") => true,
            Some(other) => panic!("{id}: needs `{other}`"),
        },
        transport,
        tls: keys.table("tls").map(|table| tls(&id, table)).unwrap_or_default(),
        origin: keys.text("origin").unwrap_or_else(|| "auto".to_owned()),
        steps,
        expect: expectation(&id, expect),
        id: keys.text("id").unwrap(),
    };
    keys.text("ref");
    assert!(matches!(case.level.as_str(), "must" | "should" | "policy"), "{}: level", case.id);
    keys.finish();
    case
}

fn tls(id: &str, table: Table) -> Tls {
    let mut keys = Keys::new(id, table);
    let tls = Tls {
        sni: keys.text("sni"),
        min: keys.text("min"),
        max: keys.text("max"),
        ciphers: keys.text("ciphers"),
        alpn: keys.texts("alpn"),
    };
    keys.finish();
    tls
}

/// A step of a client's or of an upstream's script.
pub fn step(id: &str, table: Table) -> Step {
    let mut keys = Keys::new(id, table);
    let second = keys.text("conn").is_some_and(|name| name == "b");
    let times = keys.number("times").unwrap_or(1.0) as usize;
    let mut bytes =
        keys.text("send").map(|text| super::wire::latin1(&super::wire::fill(&text, id)));
    bytes = bytes.or_else(|| keys.text("hex").map(|text| super::wire::unhex(&text)));
    bytes = bytes.or_else(|| keys.table("frame").map(|table| super::wire::frame_of(id, table)));
    let wait = keys.number("wait");
    let act = if let Some(bytes) = bytes {
        let bytes = bytes.repeat(times);
        let chunk = keys.number("chunk").map_or(bytes.len().max(1), |chunk| chunk as usize);
        let every = keys.number("every").unwrap_or(0.0);
        Act::Send { bytes, chunk, every, limit: keys.number("limit").unwrap_or(15.0) }
    } else if keys.flag("ws") {
        let extra = keys.text("extra").unwrap_or_default();
        Act::Handshake { path: keys.text("path"), extra, wait: wait.unwrap_or(5.0) }
    } else if let Some(pattern) = keys.text("recv") {
        Act::Receive { pattern, wait: wait.unwrap_or(3.0) }
    } else if let Some(seconds) = keys.number("sleep") {
        Act::Sleep(seconds)
    } else if keys.flag("shutdown") {
        Act::Shutdown
    } else if keys.flag("close") {
        Act::Close
    } else if keys.flag("rst") {
        Act::Reset
    } else {
        panic!("{id}: a step without an act");
    };
    keys.finish();
    Step { second, act }
}

fn expectation(id: &str, table: Table) -> Expect {
    let mut keys = Keys::new(id, table);
    let expect = Expect {
        status: keys.numbers("status"),
        not_status: keys.numbers("not_status").unwrap_or_default(),
        closed: keys.maybe("closed"),
        closed_unless: keys.numbers("closed_unless").unwrap_or_default(),
        within: keys.number("within"),
        answer_within: keys.number("answer_within"),
        responses: keys.number("responses").map(|n| n as usize),
        min_responses: keys.number("min_responses").map(|n| n as usize),
        upstream: keys.take("upstream").map(|value| upstream(id, &value)),
        upstream_has: keys.texts("upstream_has"),
        upstream_lacks: keys.texts("upstream_lacks"),
        head_lacks: keys.texts("head_lacks"),
        client_has: keys.texts("client_has"),
        client_bytes: keys.number("client_bytes").map_or(0, |n| n as usize),
        client_lacks: keys.texts("client_lacks"),
        ws_close: keys.numbers("ws_close").unwrap_or_default(),
        origin_frames: keys.number("origin_frames").map(|n| n as usize),
        origin_eof: keys.maybe("origin_eof"),
        tls: keys.text("tls").map(|word| word == "ok"),
        second: keys.table("b").map(|table| second(id, table)),
        wait: keys.number("wait"),
        settle: keys.maybe("settle"),
        recv_optional: keys.flag("recv_optional"),
    };
    keys.finish();
    expect
}

fn second(id: &str, table: Table) -> Second {
    let mut keys = Keys::new(id, table);
    let second = Second {
        status: keys.numbers("status"),
        has: keys.texts("has"),
        lacks: keys.texts("lacks"),
    };
    keys.finish();
    second
}

fn upstream(id: &str, value: &Value) -> Upstream {
    match value {
        Value::Integer(count) => Upstream::Exactly(*count as usize),
        Value::String(text) if text == "none" => Upstream::Nothing,
        Value::String(text) => match text.strip_prefix("<=").and_then(|n| n.parse().ok()) {
            Some(count) => Upstream::AtMost(count),
            None => panic!("{id}: upstream = {text:?}"),
        },
        other => panic!("{id}: upstream = {other}"),
    }
}
