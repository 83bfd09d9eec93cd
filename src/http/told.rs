//! What the peers that were asked did, for variables: one try after the other.

use std::fmt::Write as _;
use std::time::Duration;

use http::header::HeaderName;
use http::{HeaderMap, StatusCode};
use tokio::time::Instant;

use super::head_room::HeadRoom;
use super::vars::joined;
use crate::config::template::Var;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    tries: Vec<Try>,
    /// `$upstream_http_NAME`; `None` where the client gets the peer's headers.
    headers: Option<HeaderMap>,
}

/// One peer, and how far it came.
#[derive(Clone, Debug)]
struct Try {
    asked: Instant,
    status: Option<StatusCode>,
    connected: Option<Duration>,
    answered: Option<Duration>,
    /// How long it took in all, once that is over.
    took: Option<Duration>,
    /// The bytes of its connection, where HTTP is spoken on it.
    traffic: Option<HeadRoom>,
    /// What they were, once it is over.
    bytes: Option<[u64; 3]>,
}

impl Try {
    fn new() -> Self {
        Self {
            asked: Instant::now(),
            status: None,
            connected: None,
            answered: None,
            took: None,
            traffic: None,
            bytes: None,
        }
    }

    fn end(&mut self) {
        self.took.get_or_insert_with(|| self.asked.elapsed());
        self.bytes = self.bytes.or_else(|| self.traffic.as_ref().map(HeadRoom::bytes));
        self.traffic = None;
    }
}

impl Told {
    /// When the last of them was asked; `None` when nobody was.
    pub(super) fn asked(&self) -> Option<Instant> {
        self.tries.last().map(|last| last.asked)
    }

    /// Another peer is asked.
    pub(super) fn ask(&mut self) {
        self.end();
        self.tries.push(Try::new());
    }

    /// It is connected.
    pub(super) fn connected(&mut self) {
        if let Some(last) = self.tries.last_mut() {
            last.connected = Some(last.asked.elapsed());
        }
    }

    /// The connection it is asked on.
    pub(super) fn on(&mut self, traffic: &HeadRoom) {
        if let Some(last) = self.tries.last_mut() {
            last.traffic = Some(traffic.clone());
        }
    }

    /// It has answered.
    pub(super) fn answered(&mut self, status: StatusCode, headers: Option<&HeaderMap>) {
        self.headers = headers.cloned();
        if let Some(last) = self.tries.last_mut() {
            last.status = Some(status);
            last.answered = Some(last.asked.elapsed());
        }
    }

    /// It has not, and this is what that counts as.
    pub(super) fn failed(&mut self, status: StatusCode) {
        if let Some(last) = self.tries.last_mut() {
            last.status = Some(status);
            last.end();
        }
    }

    /// The answer of the last has been passed on, or given up.
    pub(super) fn end(&mut self) {
        if let Some(last) = self.tries.last_mut() {
            last.end();
        }
    }

    /// A header of the last answer; `answer` is what the client gets.
    pub(super) fn header(&self, name: &HeaderName, answer: Option<&HeaderMap>) -> String {
        let answered = self.tries.last().is_some_and(|last| last.answered.is_some());
        let headers = self.headers.as_ref().or(answer.filter(|_| answered));
        headers.map_or_else(String::new, |headers| joined(headers, name))
    }

    /// The connection that the last of them was asked on.
    pub(super) fn traffic(&self) -> Option<HeadRoom> {
        self.tries.last()?.traffic.clone()
    }

    /// The value of one of its variables.
    pub(super) fn value(&self, var: &Var) -> String {
        let mut value = String::new();
        for (at, tried) in self.tries.iter().enumerate() {
            if at > 0 {
                value.push_str(", ");
            }
            let time = |time: Option<Duration>| time.map(seconds);
            let bytes = |at: usize| tried.bytes.map(|bytes| bytes[at].to_string());
            let told = match var {
                Var::UpstreamStatus => tried.status.map(|status| status.as_str().to_owned()),
                Var::UpstreamConnectTime => time(tried.connected),
                Var::UpstreamHeaderTime => time(tried.answered),
                Var::UpstreamResponseTime => time(tried.took),
                Var::UpstreamBytesReceived => bytes(0),
                Var::UpstreamBytesSent => bytes(1),
                Var::UpstreamResponseLength => bytes(2),
                _ => None,
            };
            value.push_str(told.as_deref().unwrap_or("-"));
        }
        value
    }
}

/// nginx's times: `0.042`.
pub(super) fn seconds(time: Duration) -> String {
    let mut text = String::new();
    let _infallible = write!(text, "{}.{:03}", time.as_secs(), time.subsec_millis());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_try_has_its_values() {
        let mut told = Told::default();
        let shown = |told: &Told| {
            [
                Var::UpstreamStatus,
                Var::UpstreamConnectTime,
                Var::UpstreamHeaderTime,
                Var::UpstreamResponseTime,
            ]
            .map(|var| told.value(&var))
        };
        assert_eq!(shown(&told), ["", "", "", ""]);
        let pass = async |ms| tokio::time::advance(Duration::from_millis(ms)).await;
        told.ask();
        pass(1).await;
        told.failed(StatusCode::BAD_GATEWAY);
        told.ask();
        pass(2).await;
        told.connected();
        pass(1000).await;
        told.answered(StatusCode::INTERNAL_SERVER_ERROR, None);
        pass(5).await;
        told.ask();
        told.connected();
        assert_eq!(
            shown(&told),
            ["502, 500, -", "-, 0.002, 0.000", "-, 1.002, -", "0.001, 1.007, -"]
        );
        pass(7).await;
        told.answered(StatusCode::OK, None);
        pass(1).await;
        told.end();
        assert_eq!(
            shown(&told),
            ["502, 500, 200", "-, 0.002, 0.000", "-, 1.002, 0.007", "0.001, 1.007, 0.008"]
        );
    }
}
