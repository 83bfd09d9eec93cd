//! The page of metrics, with `/healthz` and `/readyz` beside it.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{Semaphore, watch};

use crate::config::model::MetricsEndpoint;
use crate::http::Generation;
use crate::metrics::{Metrics, accepts_gzip};
use crate::net::ClientAddr;
use crate::net::listen::Listener;

/// Connections at once: scrapers are few.
const CONNECTIONS: usize = 64;
/// How long a scraper may take to ask.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves until it is dropped.
pub(super) async fn run(
    listener: Listener,
    generations: Arc<ArcSwap<Generation>>,
    metrics: Arc<Metrics>,
    draining: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = listener.accept().await;
        let accepted = accepted.and_then(|(incoming, client, _)| Ok((incoming.watch()?, client)));
        let Ok((stream, client)) = accepted else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let (generations, metrics) = (Arc::clone(&generations), Arc::clone(&metrics));
        let draining = draining.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let generation = generations.load();
                let config = generation.config().metrics.as_ref();
                let response = match config {
                    Some(config) => answer(&request, config, client, &metrics, *draining.borrow()),
                    None => plain(StatusCode::NOT_FOUND, "not found\n"),
                };
                std::future::ready(Ok::<_, std::convert::Infallible>(response))
            });
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                tracing::debug!("a scraper went away: {error}");
            }
            drop(place);
        });
    }
}

fn answer(
    request: &Request<Incoming>,
    config: &MetricsEndpoint,
    client: ClientAddr,
    metrics: &Metrics,
    draining: bool,
) -> Response<Full<Bytes>> {
    let allowed = client.ip().is_none_or(|ip| config.allow.iter().any(|net| net.contains(&ip)));
    if !allowed {
        return plain(StatusCode::FORBIDDEN, "forbidden\n");
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/healthz" => plain(StatusCode::OK, "ok\n"),
        "/readyz" if draining => plain(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        "/readyz" => plain(StatusCode::OK, "ready\n"),
        path if path == config.path => page(request, metrics),
        _ => plain(StatusCode::NOT_FOUND, "not found\n"),
    }
}

fn page(request: &Request<Incoming>, metrics: &Metrics) -> Response<Full<Bytes>> {
    let wanted = request.headers().get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let gzip = accepts_gzip(wanted);
    let body = if gzip { metrics.encode_gzip() } else { metrics.encode() };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    if gzip {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
