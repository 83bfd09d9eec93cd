//! Bodies on their way through, streamed in both directions: counted, bounded, clocked.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use tokio::time::{Instant, Sleep};

use super::clocked::poll_timer;
use super::finish::Finish;

/// Why a body broke off.
pub(super) type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// Any body.
pub(super) type Body = UnsyncBoxBody<Bytes, BodyError>;

/// All of it at once.
pub(super) fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// None.
pub(super) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// What became of a request's body, for whoever answers.
#[derive(Debug)]
pub(super) struct BodyFate {
    too_large: AtomicBool,
    broken: AtomicBool,
    /// When bytes of it were last taken.
    moved: Mutex<Instant>,
}

impl BodyFate {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            too_large: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            moved: Mutex::new(Instant::now()),
        })
    }

    /// When bytes of it were last taken: while it moves, the upstream is not late.
    pub(super) fn moved(&self) -> Instant {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn moves(&self) {
        *self.moved.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub(super) fn breaks(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_over(&self) {
        self.too_large.store(true, Ordering::Relaxed);
    }

    /// It was longer than allowed.
    pub(super) fn is_too_large(&self) -> bool {
        self.too_large.load(Ordering::Relaxed)
    }

    /// It ended early, was malformed, or came too slowly.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }
}

/// An answer's body on its way to the client. When it ends, or is given up, the request is over.
pub(super) struct ResponseBody<B> {
    inner: B,
    /// `proxy_read_timeout`: between two reads.
    timeout: Option<Duration>,
    timer: Option<Pin<Box<Sleep>>>,
    finish: Finish,
}

impl<B> ResponseBody<B> {
    pub(super) fn new(inner: B, timeout: Option<Duration>, mut finish: Finish) -> Self
    where
        B: HttpBody,
    {
        if inner.is_end_stream() {
            finish.taken.clear();
        }
        Self { inner, timeout, timer: None, finish }
    }

    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(timeout) = self.timeout else {
            return Poll::Pending;
        };
        poll_timer(&mut self.timer, timeout, false, cx)
    }
}

impl<B> HttpBody for ResponseBody<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BodyError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) else {
            ready!(this.poll_clock(cx));
            return Poll::Ready(Some(Err("the upstream sends no more of its answer".into())));
        };
        if let (Some(timer), Some(timeout)) = (&mut this.timer, this.timeout) {
            timer.as_mut().reset(Instant::now() + timeout);
        }
        if let Some(Ok(frame)) = &frame {
            this.finish.sent(frame.data_ref().map_or(0, |data| data.remaining() as u64));
            // Who has all of it may come again at once.
            if this.inner.is_end_stream() {
                this.finish.taken.clear();
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
