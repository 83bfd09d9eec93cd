//! A request's body on its way to an upstream: bounded, and as far as somebody asks for it, held or kept.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::body::{BodyError, BodyFate};

/// A request's body on its way to an upstream. An error aborts the upstream's request: it never
/// sees an end that was not there.
pub(super) struct RequestBody {
    /// What has been read of it ahead.
    first: VecDeque<Bytes>,
    inner: Incoming,
    left: Option<u64>,
    fate: Arc<BodyFate>,
    /// Where what goes is kept as well.
    kept: Option<Arc<Kept>>,
}

/// How often the connection has a turn without anything of the body.
const EMPTY_TURNS: u8 = 2;

/// What has gone of a body, as long as that fits.
#[derive(Debug)]
pub(super) struct Kept {
    max: u64,
    gone: Mutex<Gone>,
}

#[derive(Debug, Default)]
struct Gone {
    bytes: BytesMut,
    too_long: bool,
    whole: bool,
}

impl Kept {
    /// All of the body, if it has gone and fitted.
    pub(super) fn whole(&self) -> Option<Bytes> {
        let gone = self.gone();
        (gone.whole && !gone.too_long).then(|| gone.bytes.clone().freeze())
    }

    fn gone(&self) -> MutexGuard<'_, Gone> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, piece: &[u8], last: bool) {
        let mut gone = self.gone();
        gone.too_long |= (gone.bytes.len() + piece.len()) as u64 > self.max;
        if gone.too_long {
            gone.bytes = BytesMut::new();
        } else {
            gone.bytes.extend_from_slice(piece);
        }
        gone.whole |= last;
    }
}

impl RequestBody {
    /// At most `max` bytes.
    pub(super) fn new(inner: Incoming, max: Option<u64>, fate: Arc<BodyFate>) -> Self {
        Self { first: VecDeque::new(), inner, left: max, fate, kept: None }
    }

    /// Keeps what goes, up to so many bytes.
    pub(super) fn keep(&mut self, max: u64) -> Arc<Kept> {
        let kept = Arc::new(Kept { max, gone: Mutex::default() });
        self.kept = Some(Arc::clone(&kept));
        kept
    }

    /// Reads what has come already, up to so many bytes: it goes at once.
    pub(super) async fn read_ahead(&mut self, max: u64) -> Result<(), BodyError> {
        let (mut held, mut empty_turns) = (BytesMut::new(), 0);
        while held.len() as u64 <= max && empty_turns < EMPTY_TURNS {
            match poll_fn(|cx| Poll::Ready(Pin::new(&mut *self).poll_frame(cx))).await {
                Poll::Ready(Some(Ok(frame))) => {
                    held.extend_from_slice(frame.data_ref().map_or(b"", |piece| piece));
                    empty_turns = 0;
                }
                Poll::Ready(Some(Err(error))) => return Err(error),
                Poll::Ready(None) => break,
                // The connection is read in turns with this.
                Poll::Pending => {
                    empty_turns += 1;
                    tokio::task::yield_now().await;
                }
            }
        }
        if !held.is_empty() {
            self.first.push_back(held.freeze());
        }
        Ok(())
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
                this.fate.breaks();
                return Poll::Ready(Some(Err(error.into())));
            }
            None => {
                if let Some(kept) = &this.kept {
                    kept.add(b"", true);
                }
                return Poll::Ready(None);
            }
        };
        this.fate.moves();
        let len = frame.data_ref().map_or(0, |data| data.remaining() as u64);
        if let Some(left) = &mut this.left {
            match left.checked_sub(len) {
                Some(rest) => *left = rest,
                None => {
                    this.fate.is_over();
                    return Poll::Ready(Some(Err("the request's body is too large".into())));
                }
            }
        }
        if let (Some(kept), Some(piece)) = (&this.kept, frame.data_ref()) {
            kept.add(piece, this.inner.is_end_stream());
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
