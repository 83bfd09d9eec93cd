//! `limit_rate`: an answer's body goes no faster than that, once `limit_rate_after` bytes of it have gone.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, Sleep};

use super::body::{Body, BodyError, empty};
use super::exchange::Exchange;
use super::vars::Facts;
use crate::config::model::BodyRate;

/// How long bytes are waited for at least, so that they do not go one by one.
const STEP: Duration = Duration::from_millis(50);

/// Paces an answer, where its location or a script wants that.
pub(super) fn pace(exchange: &Exchange<'_>, response: &mut Response<Body>) {
    let facts = exchange.facts("");
    let rate = rate(&facts);
    if rate == 0 {
        return;
    }
    let after = exchange.route.location.rate.as_ref().map(|rate| size(&rate.after.expand(&facts)));
    let inner = std::mem::replace(response.body_mut(), empty());
    let paced = Paced {
        inner,
        rate,
        allowed: after.unwrap_or(0),
        sent: 0,
        started: Instant::now(),
        rest: Bytes::new(),
        timer: None,
    };
    *response.body_mut() = paced.boxed_unsync();
}

/// Bytes a second; 0 is no bound. `$limit_rate`
pub(super) fn rate(facts: &Facts<'_>) -> u64 {
    let of_location = || Some(size(&facts.location.rate.as_ref()?.rate.expand(facts)));
    facts.state.rate.or_else(of_location).unwrap_or(0)
}

/// A size as nginx writes it; one that is none is no bound.
pub(super) fn size(text: &str) -> u64 {
    BodyRate::size(text).unwrap_or(0)
}

struct Paced {
    inner: Body,
    rate: u64,
    /// Bytes that go at once.
    allowed: u64,
    sent: u64,
    started: Instant,
    /// Of the last piece, what has not gone.
    rest: Bytes,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Paced {
    /// How many bytes may go now: those of a second at once, as with nginx.
    fn budget(&self) -> u64 {
        let ms = self.started.elapsed().as_millis().saturating_add(1000);
        let of_time = u128::from(self.rate).saturating_mul(ms) / 1000;
        let of_time = u64::try_from(of_time).unwrap_or(u64::MAX);
        self.allowed.saturating_add(of_time).saturating_sub(self.sent)
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        loop {
            if this.rest.is_empty() {
                match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) => this.rest = data,
                        Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                    },
                    other => return Poll::Ready(other),
                }
                continue;
            }
            if let Some(timer) = &mut this.timer {
                ready!(timer.as_mut().poll(cx));
                this.timer = None;
            }
            let budget = usize::try_from(this.budget()).unwrap_or(usize::MAX);
            if budget > 0 {
                let piece = this.rest.split_to(budget.min(this.rest.len()));
                this.sent += piece.len() as u64;
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            this.timer = Some(Box::pin(tokio::time::sleep(STEP)));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        match self.inner.size_hint().exact() {
            Some(inner) => SizeHint::with_exact(inner + rest),
            None => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::body::full;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bytes_go_as_fast_as_they_may() {
        for (rate, allowed, len, seconds) in
            [(1000, 0, 3000, 2.0), (1000, 1500, 3000, 0.5), (500, 0, 100, 0.0), (1, 0, 3, 2.0)]
        {
            let mut paced = Paced {
                inner: full(vec![7; len].into()),
                rate,
                allowed,
                sent: 0,
                started: Instant::now(),
                rest: Bytes::new(),
                timer: None,
            };
            assert_eq!(paced.size_hint().exact(), Some(len as u64));
            let (started, mut got) = (Instant::now(), 0);
            while let Some(frame) = paced.frame().await {
                got += frame.unwrap().into_data().unwrap().len();
                let ms = 1000 + started.elapsed().as_millis();
                let most = u128::from(allowed) + u128::from(rate) * ms / 1000;
                assert!(got as u128 <= most, "{got} of {most}");
            }
            assert_eq!(got, len);
            let took = started.elapsed().as_secs_f64();
            assert!((seconds..seconds + 0.11).contains(&took), "{took} for {seconds}");
        }
    }
}
