//! `gzip`: bodies of answers compressed on their way to clients that take that. What has been written
//! so far leaves as soon as the upstream pauses, so that a stream of events stays one.

use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_TYPE, DATE, ETAG, EXPIRES, HeaderName, LAST_MODIFIED, VARY, VIA,
};
use http::{HeaderMap, HeaderValue, Method, Response, Version};
use http_body::{Body as HttpBody, Frame};
use http_body_util::BodyExt as _;

use super::body::{Body, BodyError, empty};
use super::exchange::Exchange;
use super::respond::set;
use crate::config::model::{Gzip, GzipProxied};
use crate::metrics::accepts_gzip;

/// Compressed bytes that leave at once.
const PIECE: usize = 16 * 1024;

/// Compresses an answer, where its location and its client want that.
pub(super) fn compress(exchange: &Exchange<'_>, response: &mut Response<Body>) {
    let Some(gzip) = &exchange.route.location.gzip else {
        return;
    };
    if !is_worth_it(response, gzip) {
        return;
    }
    if gzip.vary {
        response.headers_mut().append(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    let request = exchange.parts;
    let is_wanted = accepts_gzip(text(&request.headers, &ACCEPT_ENCODING))
        && (gzip.http_1_0 || request.version != Version::HTTP_10)
        && (!request.headers.contains_key(VIA)
            || gzip.proxied.iter().any(|when| holds(*when, &request.headers, response.headers())));
    if !is_wanted {
        return;
    }
    if *exchange.method() != Method::HEAD {
        let inner = std::mem::replace(response.body_mut(), empty());
        let encoder = GzEncoder::new(Vec::new(), Compression::new(gzip.level));
        let body = Compressed { inner, encoder: Some(encoder), held: false };
        *response.body_mut() = body.boxed_unsync();
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.remove(CONTENT_LENGTH);
    headers.remove(ACCEPT_RANGES);
    // RFC 9110 §8.8.3: these are other bytes of the same thing
    let weak =
        text(headers, &ETAG).filter(|tag| tag.starts_with('"')).map(|tag| format!("W/{tag}"));
    if let Some(weak) = weak {
        set(headers, ETAG, &weak);
    }
}

/// Whether an answer has a body that may become shorter.
fn is_worth_it(response: &Response<Body>, gzip: &Gzip) -> bool {
    let headers = response.headers();
    let length = text(headers, &CONTENT_LENGTH).and_then(|length| length.parse().ok());
    let length = length.or(response.body().size_hint().exact());
    let kind = text(headers, &CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    matches!(response.status().as_u16(), 200 | 403 | 404)
        && !headers.contains_key(CONTENT_ENCODING)
        && length.is_none_or(|length| length >= gzip.min_length)
        && gzip.types.iter().any(|known| known == "*" || known.eq_ignore_ascii_case(kind))
}

/// `gzip_proxied`: whether another proxy gets a compressed answer.
fn holds(when: GzipProxied, request: &HeaderMap, answer: &HeaderMap) -> bool {
    let says = |word| {
        let value = text(answer, &CACHE_CONTROL).unwrap_or_default();
        value.split(',').map(str::trim).any(|directive| directive.eq_ignore_ascii_case(word))
    };
    let date = |name: HeaderName| httpdate::parse_http_date(text(answer, &name)?).ok();
    match when {
        GzipProxied::Off => false,
        GzipProxied::Any => true,
        GzipProxied::Auth => request.contains_key(AUTHORIZATION),
        GzipProxied::NoCache => says("no-cache"),
        GzipProxied::NoStore => says("no-store"),
        GzipProxied::Private => says("private"),
        GzipProxied::NoLastModified => !answer.contains_key(LAST_MODIFIED),
        GzipProxied::NoEtag => !answer.contains_key(ETAG),
        GzipProxied::Expired => {
            let now = date(DATE).unwrap_or_else(std::time::SystemTime::now);
            answer.contains_key(EXPIRES) && date(EXPIRES).is_none_or(|expires| expires < now)
        }
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// A body that is compressed while it goes.
struct Compressed {
    inner: Body,
    /// `None` once the end has been written.
    encoder: Option<GzEncoder<Vec<u8>>>,
    /// It holds bytes that have not left.
    held: bool,
}

impl HttpBody for Compressed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        loop {
            let Some(encoder) = &mut this.encoder else {
                return Poll::Ready(None);
            };
            match Pin::new(&mut this.inner).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    encoder.write_all(&data)?;
                    this.held = true;
                    if encoder.get_ref().len() < PIECE {
                        continue;
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => {
                    let rest = this.encoder.take().map(GzEncoder::finish).transpose()?;
                    return Poll::Ready(rest.map(|rest| Ok(Frame::data(rest.into()))));
                }
                Poll::Pending if !this.held => return Poll::Pending,
                Poll::Pending => {
                    encoder.flush()?;
                    this.held = false;
                }
            }
            let piece = std::mem::take(encoder.get_mut());
            return Poll::Ready(Some(Ok(Frame::data(piece.into()))));
        }
    }
}
