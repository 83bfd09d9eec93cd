//! Bodies on their way through, streamed in both directions: counted, bounded, clocked.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
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

    /// It was longer than allowed.
    pub(super) fn is_too_large(&self) -> bool {
        self.too_large.load(Ordering::Relaxed)
    }

    /// It ended early, was malformed, or came too slowly.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }
}

/// A request's body on its way to an upstream. An error aborts the upstream's request: it never
/// sees an end that was not there.
pub(super) struct RequestBody {
    /// What has been read of it ahead.
    first: VecDeque<Bytes>,
    inner: Incoming,
    left: Option<u64>,
    fate: Arc<BodyFate>,
}

impl RequestBody {
    /// At most `max` bytes.
    pub(super) fn new(inner: Incoming, max: Option<u64>, fate: Arc<BodyFate>) -> Self {
        Self { first: VecDeque::new(), inner, left: max, fate }
    }

    /// Reads ahead, up to so many bytes: all of the body, if that is all of it.
    pub(super) async fn hold(&mut self, max: u64) -> Result<Option<Bytes>, BodyError> {
        let (mut held, mut pieces) = (BytesMut::new(), VecDeque::new());
        loop {
            if held.len() as u64 > max {
                self.first = pieces;
                return Ok(None);
            }
            match self.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        held.extend_from_slice(&piece);
                        pieces.push_back(piece);
                    }
                }
                Some(Err(error)) => return Err(error),
                None => return Ok(Some(held.freeze())),
            }
        }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Some(piece) = this.first.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let frame = match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                this.fate.broken.store(true, Ordering::Relaxed);
                return Poll::Ready(Some(Err(error.into())));
            }
            None => return Poll::Ready(None),
        };
        *this.fate.moved.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        let len = frame.data_ref().map_or(0, |data| data.remaining() as u64);
        if let Some(left) = &mut this.left {
            match left.checked_sub(len) {
                Some(rest) => *left = rest,
                None => {
                    this.fate.too_large.store(true, Ordering::Relaxed);
                    return Poll::Ready(Some(Err("the request's body is too large".into())));
                }
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let first: u64 = self.first.iter().map(|piece| piece.len() as u64).sum();
        let rest = self.inner.size_hint();
        match rest.exact() {
            Some(rest) => SizeHint::with_exact(first + rest),
            None => SizeHint::default(),
        }
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
