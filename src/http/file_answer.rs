//! The answer with a file: its type, whether the client has it already (RFC 9110 §13), the part of it
//! that was asked for (§14), and its bytes.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
    IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED,
    RANGE,
};
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::task::JoinHandle;

use super::body::{Body, BodyError, empty};
use super::exchange::Exchange;
use super::respond::{Refused, set};
use super::ssi;
use crate::config::model::Types;

/// Bytes read at once.
const PIECE: u64 = 64 * 1024;

/// A file's answer to a request by GET or HEAD.
pub(super) fn answer(exchange: &Exchange<'_>, file: File, metadata: &Metadata) -> Response<Body> {
    let version = Version::of(metadata);
    let headers = &exchange.parts.headers;
    if !version.may_go_on(headers) {
        return Refused::Returned(StatusCode::PRECONDITION_FAILED).response();
    }
    let len = metadata.len();
    let mut response = Response::new(empty());
    version.tell(response.headers_mut());
    if version.is_known(headers) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    let kind = content_type(&exchange.route.location.types, &exchange.state.path);
    if let Ok(kind) = HeaderValue::from_str(&kind) {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    let location = &exchange.route.location;
    let whole = location.ssi.as_ref().is_some_and(|ssi| ssi::is_document(response.headers(), ssi));
    let range = if whole { Range::All } else { version.range(headers, len) };
    let (start, end) = match range {
        Range::All => {
            response.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            (0, len)
        }
        Range::Part(start, end) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let value = format!("bytes {start}-{}/{len}", end - 1);
            set(response.headers_mut(), CONTENT_RANGE, &value);
            (start, end)
        }
        Range::None => {
            let refused = Refused::Returned(StatusCode::RANGE_NOT_SATISFIABLE);
            let mut response = refused.response();
            let value = format!("bytes */{len}");
            set(response.headers_mut(), CONTENT_RANGE, &value);
            return response;
        }
    };
    response.headers_mut().insert(CONTENT_LENGTH, (end - start).into());
    if exchange.method() != http::Method::HEAD {
        let body = FileBody { file: Arc::new(file), at: start, end, reading: None };
        *response.body_mut() = body.boxed_unsync();
    }
    response
}

/// The type of what a path stands for.
pub(super) fn content_type(types: &Types, path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    let by_extension = extension.and_then(|extension| match &types.by_extension {
        Some(types) => types.get(&extension).cloned(),
        None => mime_guess::from_ext(&extension).first_raw().map(str::to_owned),
    });
    let default = || types.default.clone().unwrap_or_else(|| "application/octet-stream".to_owned());
    by_extension.unwrap_or_else(default)
}

/// Which state of a file it is.
struct Version {
    modified: SystemTime,
    etag: String,
}

/// What is sent of it.
enum Range {
    All,
    /// From here, to before there.
    Part(u64, u64),
    /// Nothing of it was asked for.
    None,
}

impl Version {
    fn of(metadata: &Metadata) -> Self {
        let seconds = u64::try_from(metadata.mtime()).unwrap_or(0);
        Self {
            modified: UNIX_EPOCH + Duration::from_secs(seconds),
            etag: format!("\"{seconds:x}-{:x}\"", metadata.len()),
        }
    }

    fn tell(&self, headers: &mut HeaderMap) {
        let date = httpdate::fmt_http_date(self.modified);
        set(headers, LAST_MODIFIED, &date);
        set(headers, ETAG, &self.etag);
    }

    /// `If-Unmodified-Since` and `If-Match`.
    fn may_go_on(&self, headers: &HeaderMap) -> bool {
        let late = date(headers, &IF_UNMODIFIED_SINCE).is_some_and(|date| self.modified > date);
        let other = tags(headers, &IF_MATCH).is_some_and(|tags| !self.is_among(&tags, false));
        !late && !other
    }

    /// `If-Modified-Since` and `If-None-Match`: both have to say so. As in nginx, the date is one that
    /// was told before, not just a later one.
    fn is_known(&self, headers: &HeaderMap) -> bool {
        let since = headers.contains_key(IF_MODIFIED_SINCE);
        let tags = tags(headers, &IF_NONE_MATCH);
        let same_date = date(headers, &IF_MODIFIED_SINCE) == Some(self.modified);
        (since || tags.is_some())
            && (!since || same_date)
            && tags.is_none_or(|tags| self.is_among(&tags, true))
    }

    fn is_among(&self, tags: &str, weak: bool) -> bool {
        let bare = |tag: &str| tag.strip_prefix("W/").filter(|_| weak).unwrap_or(tag).to_owned();
        tags.trim() == "*" || tags.split(',').any(|tag| bare(tag.trim()) == self.etag)
    }

    /// `Range`, where `If-Range` is about this version. Of several ranges all is sent.
    fn range(&self, headers: &HeaderMap, len: u64) -> Range {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let same = text(&IF_RANGE).is_none_or(|condition| {
            condition == self.etag
                || httpdate::parse_http_date(condition).ok() == Some(self.modified)
        });
        let bytes = text(&RANGE).and_then(|range| range.strip_prefix("bytes=")).filter(|_| same);
        let Some((first, last)) = bytes.and_then(|range| range.trim().split_once('-')) else {
            return Range::All;
        };
        let number = |digits: &str| digits.trim().parse::<u64>().ok();
        let (start, end) = match (number(first), number(last)) {
            (Some(start), Some(last)) if last < start => return Range::All,
            (Some(start), Some(last)) => (start, last.saturating_add(1).min(len)),
            (Some(start), None) if last.trim().is_empty() => (start, len),
            (None, Some(count)) if first.trim().is_empty() => (len.saturating_sub(count), len),
            _ => return Range::All,
        };
        if start < end { Range::Part(start, end) } else { Range::None }
    }
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Vec<_> =
        headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(","))
}

/// A file's bytes, read piece by piece.
struct FileBody {
    file: Arc<File>,
    at: u64,
    end: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl HttpBody for FileBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if this.at == this.end {
            return Poll::Ready(None);
        }
        let (at, len) = (this.at, PIECE.min(this.end - this.at));
        let file = &this.file;
        let reading = this.reading.get_or_insert_with(|| {
            let file = Arc::clone(file);
            tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; usize::try_from(len).unwrap_or(0)];
                let got = file.read_at(&mut piece, at)?;
                piece.truncate(got);
                Ok(piece.into())
            })
        });
        let read = ready!(Pin::new(reading).poll(cx));
        let piece = read.unwrap_or_else(|lost| Err(io::Error::other(lost)));
        this.reading = None;
        match piece {
            Ok(piece) if piece.is_empty() => {
                Poll::Ready(Some(Err("the file has become shorter".into())))
            }
            Ok(piece) => {
                this.at += piece.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Err(error) => Poll::Ready(Some(Err(error.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.at == self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.at)
    }
}
