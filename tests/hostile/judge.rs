//! What a case expected, against what was seen.

use tokio::time::Instant;

use super::case::{Case, Expect, Second, Upstream};
use super::invariants;
use super::player::{Client, Played, Received};
use super::recorder::Seen;
use super::wire::{Answer, answers, fill, frames, pattern};

/// What came of one case. It is good when nothing is `wrong` and nothing is `missing`.
#[derive(Default)]
pub struct Verdict {
    /// What should not have happened.
    pub wrong: Vec<String>,
    /// What should have happened and did not, or not in time.
    pub missing: Vec<String>,
    /// What was seen, for the reader.
    pub seen: String,
}

impl Verdict {
    pub fn is_good(&self) -> bool {
        self.wrong.is_empty() && self.missing.is_empty()
    }

    /// All that can be said against it, with something between.
    pub fn faults(&self, between: &str) -> String {
        [self.wrong.as_slice(), self.missing.as_slice()].concat().join(between)
    }

    fn wrong(&mut self, fault: impl Into<String>) {
        self.wrong.push(fault.into());
    }

    fn missing(&mut self, fault: impl Into<String>) {
        self.missing.push(fault.into());
    }
}

/// What one client saw.
struct View<'a> {
    received: &'a Received,
    opened: Instant,
    answers: Vec<Answer<'a>>,
    /// The first final status; 0 for an end without one, -1 for silence.
    first: i64,
}

impl<'a> View<'a> {
    fn new(client: &Client, received: &'a Received) -> Self {
        let answers = answers(&received.bytes);
        let silent = if received.end.is_some() { 0 } else { -1 };
        let first = answers.iter().map(|a| a.status).find(|s| !matches!(s, 100 | 102 | 103));
        Self { received, opened: client.opened, answers, first: first.unwrap_or(silent) }
    }
}

pub fn judge(case: &Case, played: &Played, seen: &[Seen]) -> Verdict {
    let received = played.first.received();
    let view = View::new(&played.first, &received);
    let expect = &case.expect;
    let mut verdict = Verdict { seen: describe(&view, seen), ..Verdict::default() };
    of_client(case, &view, &mut verdict);
    of_time(expect, &view, &mut verdict);
    of_frames(expect, &view, seen, &mut verdict);
    of_upstream(case, seen, &mut verdict);
    if let Some(second) = &expect.second {
        of_second(second, played.second.as_ref(), &mut verdict);
    }
    if !played.missing.is_empty() && !expect.recv_optional {
        verdict.missing(format!("did not receive {:?}", played.missing));
    }
    if let Some(wanted) = expect.tls
        && wanted != played.first.tls_error.is_none()
    {
        let error = played.first.tls_error.as_deref().unwrap_or("accepted");
        verdict.wrong(format!("TLS handshake: {error}"));
    }
    verdict.wrong.extend(invariants::broken(seen));
    verdict
}

fn of_client(case: &Case, view: &View<'_>, verdict: &mut Verdict) {
    let (expect, received) = (&case.expect, view.received);
    match &expect.status {
        Some(wanted) if wanted.contains(&view.first) => {}
        // Silence, or a clock that ran out where no answer was late.
        Some(wanted) if matches!(view.first, -1 | 408 | 504) => {
            verdict.missing(format!("no status of {wanted:?}, but {}", view.first));
        }
        Some(wanted) => {
            verdict.wrong(format!("status {} is not one of {wanted:?}", view.first));
        }
        None => {}
    }
    for answer in view.answers.iter().filter(|answer| expect.not_status.contains(&answer.status)) {
        verdict.wrong(format!("status {}", answer.status));
    }
    let excused = expect.closed_unless.contains(&view.first);
    match (expect.closed, received.end) {
        (Some(true), None) if !excused => verdict.missing("the connection is still open"),
        (Some(false), Some(end)) => verdict.wrong(format!("the connection was closed ({end})")),
        _ => {}
    }
    let finals = view.answers.iter().filter(|answer| answer.status >= 200);
    let switched = view.answers.iter().filter(|answer| answer.status == 101).count();
    let count = finals.count();
    if expect.responses.is_some_and(|most| count + switched > most) {
        verdict.wrong(format!("{} answers", count + switched));
    }
    if expect.min_responses.is_some_and(|least| count < least) {
        verdict.missing(format!("only {count} answers"));
    }
    if !excused {
        lacks(&case.id, "the client got", &received.bytes, &expect.client_lacks, verdict);
    }
    if received.bytes.len() < expect.client_bytes {
        verdict.missing(format!("only {} bytes at the client", received.bytes.len()));
    }
    has(&case.id, "the client did not get", &received.bytes, &expect.client_has, verdict);
}

fn of_time(expect: &Expect, view: &View<'_>, verdict: &mut Verdict) {
    let since = |at: Option<Instant>| {
        at.unwrap_or_else(Instant::now).duration_since(view.opened).as_secs_f64()
    };
    let took = since(view.received.ended_at);
    if expect.within.is_some_and(|within| took > within) {
        verdict.missing(format!("it took {took:.1} s"));
    }
    let took = since(view.received.first_at.or(view.received.ended_at));
    if expect.answer_within.is_some_and(|within| took > within) {
        verdict.missing(format!("the answer took {took:.1} s"));
    }
}

fn of_frames(expect: &Expect, view: &View<'_>, seen: &[Seen], verdict: &mut Verdict) {
    let tunnel = view.answers.last().filter(|answer| answer.status == 101);
    let close = tunnel.and_then(|answer| {
        let close = frames(answer.body).into_iter().find(|(first, _)| first & 0x0f == 8)?.1;
        Some(close.first_chunk().map_or(1005, |code| i64::from(u16::from_be_bytes(*code))))
    });
    match close {
        _ if expect.ws_close.is_empty() => {}
        None => verdict.missing(format!("no Close of {:?}", expect.ws_close)),
        Some(code) if !expect.ws_close.contains(&code) => {
            verdict.wrong(format!("Close {code} is not one of {:?}", expect.ws_close));
        }
        Some(_) => {}
    }
    let count: usize = seen.iter().map(|seen| seen.frames.len()).sum();
    compare("frames", count, expect.origin_frames, verdict);
    match (expect.origin_eof, seen.iter().any(|seen| seen.ended)) {
        (Some(true), false) => verdict.missing("the upstream's connection stayed"),
        (Some(false), true) => verdict.wrong("the upstream's connection ended"),
        _ => {}
    }
}

fn of_upstream(case: &Case, seen: &[Seen], verdict: &mut Verdict) {
    let expect = &case.expect;
    let raw: Vec<u8> = seen.iter().flat_map(|seen| seen.raw.clone()).collect();
    let heads: Vec<&[u8]> = seen.iter().flat_map(|seen| &seen.heads).map(Vec::as_slice).collect();
    match expect.upstream {
        Some(Upstream::Nothing) if !raw.is_empty() => {
            verdict.wrong(format!("bytes at the upstream: {}", excerpt(&raw)));
        }
        Some(Upstream::Exactly(wanted)) => {
            compare("requests", heads.len(), Some(wanted), verdict);
        }
        Some(Upstream::AtMost(most)) if heads.len() > most => {
            verdict.wrong(format!("{} requests at the upstream", heads.len()));
        }
        _ => {}
    }
    lacks(&case.id, "the upstream got", &raw, &expect.upstream_lacks, verdict);
    has(&case.id, "the upstream did not get", &raw, &expect.upstream_has, verdict);
    let heads = heads.join(&b"\n"[..]);
    lacks(&case.id, "a head at the upstream has", &heads, &expect.head_lacks, verdict);
}

fn compare(what: &str, count: usize, wanted: Option<usize>, verdict: &mut Verdict) {
    match wanted {
        Some(wanted) if count < wanted => {
            verdict.missing(format!("{count} {what} at the upstream, not {wanted}"));
        }
        Some(wanted) if count > wanted => {
            verdict.wrong(format!("{count} {what} at the upstream, not {wanted}"));
        }
        _ => {}
    }
}

fn of_second(expect: &Second, client: Option<&Client>, verdict: &mut Verdict) {
    let Some(client) = client else {
        return verdict.wrong("there was no second client");
    };
    let received = client.received();
    let status = answers(&received.bytes).first().map_or(0, |answer| answer.status);
    match &expect.status {
        Some(wanted) if wanted.contains(&status) => {}
        Some(wanted) if status == 0 => verdict.missing(format!("no second status of {wanted:?}")),
        Some(_) => verdict.wrong(format!("the second client's status {status}")),
        None => {}
    }
    lacks("", "the second client got", &received.bytes, &expect.lacks, verdict);
    has("", "the second client did not get", &received.bytes, &expect.has, verdict);
}

fn lacks(id: &str, what: &str, bytes: &[u8], patterns: &[String], verdict: &mut Verdict) {
    for text in patterns.iter().filter(|text| pattern(&fill(text, id)).is_match(bytes)) {
        verdict.wrong(format!("{what} /{text}/"));
    }
}

fn has(id: &str, what: &str, bytes: &[u8], patterns: &[String], verdict: &mut Verdict) {
    for text in patterns.iter().filter(|text| !pattern(&fill(text, id)).is_match(bytes)) {
        verdict.missing(format!("{what} /{text}/"));
    }
}

fn describe(view: &View<'_>, seen: &[Seen]) -> String {
    let statuses: Vec<i64> = view.answers.iter().take(8).map(|answer| answer.status).collect();
    let requests: usize = seen.iter().map(|seen| seen.heads.len()).sum();
    let frames: Vec<String> = seen
        .iter()
        .flat_map(|seen| &seen.frames)
        .take(4)
        .map(|(first, payload)| format!("{first:#x} {}", excerpt(payload)))
        .collect();
    format!(
        "statuses {statuses:?}, end {:?}, upstream requests {requests}, frames {frames:?}, last {}",
        view.received.end,
        excerpt(&view.received.bytes[view.received.bytes.len().saturating_sub(60)..])
    )
}

/// The first bytes, readable.
fn excerpt(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(60)].escape_ascii().to_string()
}
