//! Refusals and what they become on the wire: the one place that knows the statuses.

use bytes::Bytes;
use http::header::{
    ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, LOCATION, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::body::{Body, full};
use super::guard::Refusal;
use crate::config::model::Location;
use crate::ws::handshake::BadRequest;

/// Why a request gets no answer from an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The guard did not let it through.
    Guard(Refusal),
    /// The path climbs above the root, or cannot be decoded.
    BadPath,
    /// No location, or one that does nothing.
    NotFound,
    /// `return` with a status alone.
    Returned(StatusCode),
    /// The path has been changed again and again.
    Cycle,
    /// `deny`
    Forbidden,
    /// `auth_basic` or `auth_request`: who it is must be said.
    Unauthorized,
    /// nginx's 495: the certificate of the client is not trusted.
    Certificate,
    /// nginx's 496: there is none.
    NoCertificate,
    /// The name is not that of the handshake, and its server looks at certificates.
    Misdirected,
    /// An expectation that nobody knows.
    Expectation,
    /// The body is longer than `client_max_body_size`.
    BodyTooLarge,
    /// The body was malformed or too slow on its way, after the head.
    BodyBroken(Option<Refusal>),
    /// A WebSocket is asked for where there is none.
    NoWebSocket,
    /// The opening handshake is wrong.
    Handshake(BadRequest),
    /// No peer is left to ask.
    NoPeer,
    /// No peer could be reached, or none answered as it should.
    BadGateway,
    /// No peer answered in time.
    GatewayTimeout,
    /// This process has no descriptor left.
    Exhausted,
}

impl Refused {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Guard(refusal) | Self::BodyBroken(Some(refusal)) => status_of(refusal),
            Self::BadPath | Self::BodyBroken(None) | Self::Certificate | Self::NoCertificate => {
                StatusCode::BAD_REQUEST
            }
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Returned(status) => status,
            Self::Cycle => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoWebSocket => StatusCode::UPGRADE_REQUIRED,
            Self::Handshake(bad) => match bad {
                BadRequest::Origin => StatusCode::FORBIDDEN,
                BadRequest::WebSocketVersion => StatusCode::UPGRADE_REQUIRED,
                BadRequest::Method
                | BadRequest::Version
                | BadRequest::Key
                | BadRequest::Body
                | BadRequest::Subprotocol => StatusCode::BAD_REQUEST,
            },
            Self::NoPeer | Self::BadGateway => StatusCode::BAD_GATEWAY,
            Self::GatewayTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Exhausted => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The status that `error_page` knows it by.
    pub(super) fn page_status(self) -> StatusCode {
        match self {
            Self::Certificate => StatusCode::from_u16(495).unwrap_or(StatusCode::BAD_REQUEST),
            Self::NoCertificate => StatusCode::from_u16(496).unwrap_or(StatusCode::BAD_REQUEST),
            _ => self.status(),
        }
    }

    /// What is wrong, for the log and the client.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Guard(refusal) | Self::BodyBroken(Some(refusal)) => match refusal {
                Refusal::Bad(reason) => reason,
                Refusal::Method => "this method is not served",
                Refusal::Timeout => "the request came too slowly",
                Refusal::TargetTooLong => "the target is too long",
                Refusal::HeadTooLong => "the head is too long",
                Refusal::Coding => "the transfer coding is not known",
                Refusal::Version => "the HTTP version is not served",
            },
            Self::BadPath => "the path is malformed",
            Self::NotFound => "there is nothing here",
            Self::Returned(_) => "this is how it is configured",
            Self::Cycle => "the path is changed in a circle",
            Self::Forbidden => "the client is not allowed here",
            Self::Unauthorized => "the client must say who it is",
            Self::Certificate => "the client's certificate is not trusted",
            Self::NoCertificate => "a certificate of the client is needed",
            Self::Misdirected => "the TLS handshake was for another name",
            Self::Expectation => "the expectation is not known",
            Self::BodyTooLarge => "the body is too large",
            Self::BodyBroken(None) => "the body is malformed",
            Self::NoWebSocket => "no WebSocket is served here",
            Self::Handshake(bad) => match bad {
                BadRequest::Method => "a handshake is a GET",
                BadRequest::Version => "a handshake needs HTTP/1.1",
                BadRequest::WebSocketVersion => "Sec-WebSocket-Version must be 13",
                BadRequest::Key => "Sec-WebSocket-Key must be 16 bytes in base64, once",
                BadRequest::Body => "a handshake has no body",
                BadRequest::Origin => "the origin is not allowed here",
                BadRequest::Subprotocol => "none of the sub-protocols is served here",
            },
            Self::NoPeer => "no peer is available",
            Self::BadGateway => "the upstream did not answer as it should",
            Self::GatewayTimeout => "the upstream did not answer in time",
            Self::Exhausted => "there is no room for more connections",
        }
    }

    /// Whether the connection must end with this answer: what follows cannot be told apart.
    const fn closes(self) -> bool {
        matches!(
            self,
            Self::Guard(_)
                | Self::Handshake(_)
                | Self::NoWebSocket
                | Self::BodyTooLarge
                | Self::BodyBroken(_)
                | Self::Expectation
                | Self::Certificate
                | Self::NoCertificate
                | Self::Misdirected
                | Self::Exhausted
        )
    }

    /// The answer.
    pub(super) fn response(self) -> Response<Body> {
        let status = self.status();
        let mut response = text(status, format!("{status}: {}\n", self.reason()));
        let headers = response.headers_mut();
        if self.closes() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if self == Self::Guard(Refusal::Method) {
            let served = HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS");
            headers.insert(ALLOW, served);
        }
        if self.status() == StatusCode::UPGRADE_REQUIRED {
            // RFC 9110 §15.5.22 and RFC 6455 §4.2.2
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade, close"));
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        response
    }
}

const fn status_of(refusal: Refusal) -> StatusCode {
    match refusal {
        Refusal::Bad(_) => StatusCode::BAD_REQUEST,
        Refusal::Method => StatusCode::METHOD_NOT_ALLOWED,
        Refusal::Timeout => StatusCode::REQUEST_TIMEOUT,
        Refusal::TargetTooLong => StatusCode::URI_TOO_LONG,
        Refusal::HeadTooLong => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Refusal::Coding => StatusCode::NOT_IMPLEMENTED,
        Refusal::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
    }
}

/// Sets a header, in place of those of its name; a value that no header can hold sets none.
pub(super) fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// A short answer in plain text.
pub(super) fn text(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(full(Bytes::from(body)));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

/// `return`
pub(super) fn returned(status: StatusCode, value: String, redirect: bool) -> Response<Body> {
    if !redirect {
        let mut response = text(status, value);
        if status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
            response.headers_mut().remove(CONTENT_TYPE);
        }
        return response;
    }
    let mut response = text(status, format!("{status}\n"));
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        response.headers_mut().insert(LOCATION, value);
    }
    response
}

/// Gives an error or a redirect that is made here the body that its location wants.
pub(super) fn as_page(response: &mut Response<Body>, location: &Location) {
    let status = response.status();
    if !location.html_errors || status.as_u16() < 300 || status == StatusCode::NOT_MODIFIED {
        return;
    }
    let title = format!("{} {}", status.as_str(), nginx_reason(status));
    let page = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n\
         <hr><center>wayhold</center>\r\n</body>\r\n</html>\r\n"
    );
    *response.body_mut() = full(Bytes::from(page));
    response.headers_mut().remove(CONTENT_LENGTH);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
}

/// nginx's words, where they are not those of RFC 9110.
fn nginx_reason(status: StatusCode) -> &'static str {
    match status.as_u16() {
        302 => "Found",
        401 => "Authorization Required",
        405 => "Not Allowed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Large",
        416 => "Requested Range Not Satisfiable",
        503 => "Service Temporarily Unavailable",
        504 => "Gateway Time-out",
        _ => status.canonical_reason().unwrap_or_default(),
    }
}

/// For a client that speaks plain HTTP on a TLS port.
pub(super) fn plain_on_tls() -> String {
    let body = "400 Bad Request: this port speaks TLS, use https:// or wss://\n";
    format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
         {CONTENT_LENGTH}: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
