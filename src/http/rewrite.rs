//! Heads on their way through: hop-by-hop fields (RFC 9110 §7.6.1), what strangers say of where
//! they come from, and what the configuration sets.

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::head::{Head, Spelling};
use super::path;
use super::route::Found;
use super::vars::Facts;
use crate::config::model::{AddHeader, FieldNames, Proxy};
use crate::config::template::Template;

/// Fields of one hop, besides those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What `Connection` cannot take away: without these a message would mean something else.
const END_TO_END: [HeaderName; 5] =
    [HOST, CONTENT_LENGTH, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, SEC_WEBSOCKET_ACCEPT];

/// What `Connection` names besides.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
        // Nearly always it is one of these.
        .filter(|text| !HOP_BY_HOP.iter().any(|name| text.eq_ignore_ascii_case(name.as_str())))
        .filter_map(|text| HeaderName::from_bytes(text.as_bytes()).ok())
        .filter(|name| !END_TO_END.contains(name))
        .collect()
}

/// Removes the fields of one hop.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    for name in named_by_connection(headers).iter().chain(&HOP_BY_HOP) {
        // Few are there: names are cheaper to compare than to look up.
        if headers.keys().any(|there| there == name) {
            headers.remove(name);
        }
    }
}

/// Which of a client's fields go on to an upstream.
struct Passage<'a> {
    /// By its `Connection`, these do not.
    named: Vec<HeaderName>,
    /// What it says of where the request comes from counts.
    believed: bool,
    names: FieldNames,
    set: &'a [(HeaderName, Template)],
}

impl Passage<'_> {
    fn is_open_to(&self, name: &HeaderName) -> bool {
        !HOP_BY_HOP.contains(name)
            && *name != EXPECT
            && !self.named.contains(name)
            // One with an underscore could pass for a claim behind a CGI-like interface.
            && self.names.fit(name.as_str())
            && (self.believed || !is_claim(name.as_str()))
            && !self.set.iter().any(|(set, _)| set == name)
    }
}

/// Whether a field says where a request comes from: such fields count only from trusted senders.
fn is_claim(name: &str) -> bool {
    name.starts_with("x-forwarded")
        || matches!(name, "forwarded" | "x-real-ip" | "true-client-ip" | "x-client-ip")
}

/// The fields of the request to an upstream: who the client is, as we know it, and what the
/// configuration sets.
fn fields(
    facts: &Facts<'_>,
    proxy: &Proxy,
    names: FieldNames,
    mut add: impl FnMut(&HeaderName, &HeaderValue),
) {
    let headers = &facts.parts.headers;
    let passage = Passage {
        named: named_by_connection(headers),
        believed: facts.client.trusted || proxy.pass_client_claims,
        names,
        set: &proxy.set_headers,
    };
    let mut has_host = false;
    for (name, value) in headers.iter().filter(|(name, _)| passage.is_open_to(name)) {
        has_host |= *name == HOST;
        add(name, value);
    }
    for (name, template) in &proxy.set_headers {
        // An empty value removes the field.
        match HeaderValue::try_from(template.expand(facts)) {
            Ok(value) if !value.is_empty() => {
                has_host |= *name == HOST;
                add(name, &value);
            }
            _ => {}
        }
    }
    if !has_host {
        // RFC 9112 §3.2: there is always one.
        let host = HeaderValue::from_str(facts.proxy_host);
        add(&HOST, &host.unwrap_or(HeaderValue::from_static("localhost")));
    }
}

/// The head of a request to an upstream.
pub(super) fn request_head(
    facts: &Facts<'_>,
    proxy: &Proxy,
    found: Found,
    names: FieldNames,
) -> (Uri, HeaderMap) {
    let mut headers = HeaderMap::with_capacity(facts.parts.headers.len() + 8);
    fields(facts, proxy, names, |name, value| {
        headers.append(name, value.clone());
    });
    let connection = proxy.connection.as_ref().map(|connection| connection.expand(facts));
    let closes = |token: &str| token.trim().eq_ignore_ascii_case("close");
    if connection.is_some_and(|connection| connection.split(',').any(closes)) {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    (target(facts, proxy, found), headers)
}

/// The head of a request to an upstream that asks it to switch to `protocol`.
pub(super) fn opening_head(
    facts: &Facts<'_>,
    proxy: &Proxy,
    found: Found,
    names: FieldNames,
    spelling: &Spelling,
    protocol: &HeaderValue,
) -> Vec<u8> {
    let mut head = Head::request(&target(facts, proxy, found), spelling);
    fields(facts, proxy, names, |name, value| head.field(name, value.as_bytes()));
    head.field(&CONNECTION, b"Upgrade");
    head.field(&UPGRADE, protocol.as_bytes());
    head.end()
}

/// Without a URI in `proxy_pass` the target goes on as it came, in origin-form, unless it was
/// rewritten; with one, it replaces the part of the path that the location matched.
fn target(facts: &Facts<'_>, proxy: &Proxy, found: Found) -> Uri {
    if let (Some(uri), true) = (&proxy.uri, proxy.whole_uri) {
        let uri = if uri.starts_with('/') { uri.clone() } else { format!("/{uri}") };
        return PathAndQuery::try_from(uri).map(Uri::from).unwrap_or_default();
    }
    let target = match &proxy.uri {
        None if facts.state.is_as_received() => facts.parts.uri.path_and_query().cloned(),
        uri => {
            let path = &facts.state.path;
            let (uri, rest) = match uri {
                Some(uri) => (uri.as_str(), path.get(found.matched..).unwrap_or_default()),
                None => ("", path.as_str()),
            };
            let query = facts.args().map(|query| format!("?{query}")).unwrap_or_default();
            PathAndQuery::try_from(format!("{uri}{}{query}", path::encode(rest))).ok()
        }
    };
    target.map(Uri::from).unwrap_or_default()
}

/// The head of an answer to the client.
pub(super) fn response_head(headers: &mut HeaderMap, proxy: &Proxy) {
    remove_hop_by_hop(headers);
    for name in &proxy.hide_headers {
        headers.remove(name);
    }
}

/// `add_header`: nginx adds to these statuses only, unless it says `always`.
pub(super) fn added_headers(
    add: &[AddHeader],
    facts: &Facts<'_>,
) -> Vec<(HeaderName, HeaderValue)> {
    let fits = matches!(
        facts.status,
        Some(101 | 200 | 201 | 204 | 206 | 301 | 302 | 303 | 304 | 307 | 308)
    );
    let add = add.iter().filter(|header| fits || header.always);
    add.filter_map(|header| {
        let value = HeaderValue::from_bytes(header.value.expand(facts).as_bytes()).ok()?;
        Some((header.name.clone(), value))
    })
    .collect()
}

/// Whether a request asks for something that only this hop can promise.
pub(super) fn has_unknown_expectation(parts: &Parts) -> bool {
    let values = parts.headers.get_all(EXPECT).iter();
    let known = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    !values.into_iter().all(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    fn names(map: &HeaderMap) -> Vec<&str> {
        map.keys().map(HeaderName::as_str).collect()
    }

    #[test]
    fn fields_of_one_hop_end_here() {
        let mut map = headers(&[
            ("connection", "close, X-Secret"),
            ("connection", "Host"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("x-secret", "1"),
            ("host", "a"),
            ("x-other", "2"),
        ]);
        remove_hop_by_hop(&mut map);
        assert_eq!(names(&map), ["host", "x-other"]);
    }

    fn passed_on(
        fields: &[(&'static str, &'static str)],
        believed: bool,
        names: FieldNames,
    ) -> Vec<String> {
        let map = headers(fields);
        let passage = Passage { named: named_by_connection(&map), believed, names, set: &[] };
        let open = map.keys().filter(|name| passage.is_open_to(name));
        open.map(|name| name.as_str().to_owned()).collect()
    }

    #[test]
    fn strangers_cannot_claim_an_address_in_any_spelling() {
        let fields = [
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-host", "evil"),
            ("x_forwarded_for", "6.6.6.6"),
            ("forwarded", "for=6.6.6.6"),
            ("x-real-ip", "6.6.6.6"),
            ("accept", "*/*"),
        ];
        let usual = FieldNames { underscores: false, unusual: true };
        assert_eq!(passed_on(&fields, false, usual), ["accept"]);
        assert_eq!(passed_on(&fields, true, usual).len(), 5);
    }

    #[test]
    fn unusual_names_go_on_where_they_are_wanted() {
        let fields = [("a-1", ""), ("a_b", ""), ("_a", ""), ("a.b", "")];
        for (underscores, unusual, left) in [
            (false, false, &["a-1"][..]),
            (true, false, &["a-1", "a_b", "_a"]),
            (false, true, &["a-1", "a.b"]),
            (true, true, &["a-1", "a_b", "_a", "a.b"]),
        ] {
            assert_eq!(passed_on(&fields, true, FieldNames { underscores, unusual }), left);
        }
    }
}
