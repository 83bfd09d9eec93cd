//! One request on its route: what the steps of the service share.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Uri, Version};
use http_body::Body as _;

use super::Shared;
use super::attempt::Failure;
use super::body::Body;
use super::client::{Client, Connection};
use super::generation::{Route, Site};
use super::guard::{Refusal, Verdicts};
use super::head::Spelling;
use super::route::Found;
use super::state::State;
use super::vars::{Facts, RequestId};
use crate::upstream::Lease;

/// A request, and everything that is known of it once it has a route.
pub(super) struct Exchange<'a> {
    pub(super) shared: &'a Shared,
    pub(super) connection: &'a Connection,
    pub(super) verdicts: &'a Arc<Verdicts>,
    /// Which of the connection's requests it is.
    pub(super) number: u64,
    pub(super) parts: &'a Parts,
    /// How the client spelt its fields, where hyper has not read them.
    pub(super) spelling: &'a Spelling,
    pub(super) client: Client,
    pub(super) site: &'a Site,
    pub(super) route: &'a Route,
    pub(super) found: Found,
    /// What changes about it on its way.
    pub(super) state: State,
    pub(super) request_id: RequestId,
}

impl Exchange<'_> {
    /// What its variables stand for.
    pub(super) fn facts<'f>(&'f self, upstream_addr: &'f str) -> Facts<'f> {
        let proxy = self.route.proxy();
        Facts {
            parts: self.parts,
            connection: self.connection,
            client: self.client,
            pass_client_claims: proxy.is_some_and(|proxy| proxy.pass_client_claims),
            server: &self.site.label,
            location: &self.route.location,
            matched: self.found.matched,
            state: &self.state,
            proxy_host: match &self.state.proxy_host {
                Some(host) => host,
                None => proxy.map_or("", |proxy| &proxy.host),
            },
            upstream_addr: match upstream_addr {
                "" => &self.state.upstream_addr,
                asked => asked,
            },
            status: None,
            told: self.state.told.as_deref(),
            started: None,
            answer: None,
            number: self.number,
            received: self.verdicts.received(),
            proxy,
            request_id: &self.request_id,
        }
    }

    /// The method that counts.
    pub(super) fn method(&self) -> &Method {
        self.state.method.as_ref().unwrap_or(&self.parts.method)
    }

    /// The request to a peer. The extensions carry the spelling of the client's header names.
    pub(super) fn request(&self, uri: &Uri, headers: &HeaderMap, body: Body) -> Request<Body> {
        let body_is_unbounded = !body.is_end_stream() && body.size_hint().exact().is_none();
        let mut request = Request::new(body);
        *request.method_mut() = self.method().clone();
        *request.uri_mut() = uri.clone();
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = headers.clone();
        if self.state.method.is_some() {
            // A page in place of an error is asked for without the body.
            request.headers_mut().remove(CONTENT_LENGTH);
        }
        if body_is_unbounded {
            // hyper leaves out the body of a GET where this is not said
            request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        *request.extensions_mut() = self.parts.extensions.clone();
        request
    }

    /// Why the guard stopped this request's body.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.verdicts.of(self.number)
    }

    /// Tells the error log that a peer did not do, as nginx words it. The query stays out of it.
    pub(super) fn complain(&self, lease: &Lease, failure: &Failure) {
        tracing::error!(
            "{failure} while asking upstream, client: {}, server: {}, request: \"{} {}\", \
             upstream: \"{}{}\"",
            self.client.text(),
            self.site.label,
            self.parts.method,
            self.parts.uri.path(),
            lease.addr(),
            self.parts.uri.path(),
        );
    }
}
