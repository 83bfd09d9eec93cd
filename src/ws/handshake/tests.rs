//! The handshake's rules, one by one.

use std::sync::Arc;

use http::HeaderValue;

use super::*;
use crate::ws::tunnel::tests::policy;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(*name, HeaderValue::from_static(value));
    }
    map
}

fn request() -> HeaderMap {
    headers(&[
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", KEY),
    ])
}

fn config() -> WebSocket {
    WebSocket {
        enabled: true,
        allowed_origins: None,
        allowed_subprotocols: None,
        verify_accept: true,
        policy: Arc::new(policy()),
    }
}

fn check(headers: &HeaderMap, config: &WebSocket) -> Result<Accept, BadRequest> {
    check_request(&Method::GET, Version::HTTP_11, headers, config)
}

#[test]
fn the_answer_of_the_rfc_s_example() {
    let accept = check(&request(), &config()).unwrap();
    assert_eq!(&accept.0, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn upgrade_and_connection_are_lists_of_any_case() {
    assert!(is_upgrade(&headers(&[
        ("upgrade", "h2c , WebSocket"),
        ("connection", "keep-alive"),
        ("connection", ",UPGRADE"),
    ])));
    assert!(!is_upgrade(&headers(&[("upgrade", "websocket")])));
    assert!(!is_upgrade(&headers(&[("upgrade", "websocket"), ("connection", "notupgrade")])));
    assert!(!is_upgrade(&headers(&[("upgrade", "websocket2"), ("connection", "upgrade")])));
}

#[test]
fn each_fault_has_its_name() {
    let with = |name: &'static str, value: &'static str| {
        let mut map = request();
        map.insert(name, HeaderValue::from_static(value));
        check(&map, &config()).unwrap_err()
    };
    assert_eq!(with("sec-websocket-version", "8"), BadRequest::WebSocketVersion);
    assert_eq!(with("sec-websocket-key", "c2hvcnQ="), BadRequest::Key);
    assert_eq!(with("sec-websocket-key", "not base64 at all!!"), BadRequest::Key);
    assert_eq!(with("content-length", "5"), BadRequest::Body);
    assert_eq!(with("transfer-encoding", "chunked"), BadRequest::Body);
    let mut two = request();
    two.append("sec-websocket-key", HeaderValue::from_static(KEY));
    assert_eq!(check(&two, &config()), Err(BadRequest::Key));
    let post = check_request(&Method::POST, Version::HTTP_11, &request(), &config());
    assert_eq!(post, Err(BadRequest::Method));
    let old = check_request(&Method::GET, Version::HTTP_10, &request(), &config());
    assert_eq!(old, Err(BadRequest::Version));
}

#[test]
fn origins_are_compared_whole() {
    let mut config = config();
    config.allowed_origins =
        Some(vec!["https://app.example".to_owned(), "https://*.sub.example".to_owned()]);
    let origin = |value: &'static str| {
        let mut map = request();
        map.insert("origin", HeaderValue::from_static(value));
        check(&map, &config).is_ok()
    };
    assert!(origin("https://app.example"));
    assert!(origin("HTTPS://APP.example"));
    assert!(origin("https://app.example:443"));
    assert!(origin("https://a.b.sub.example"));
    for bad in [
        "null",
        "",
        "http://app.example",
        "https://app.example:8443",
        "https://app.example.evil.example",
        "https://evilapp.example",
        "https://sub.example",
        "https://evil.example/.sub.example",
        "https://evil.example@x.sub.example",
        "https://app.example, https://app.example",
    ] {
        assert!(!origin(bad), "{bad}");
    }
    assert_eq!(check(&request(), &config), Err(BadRequest::Origin), "no browser sends none");
    let mut two = request();
    two.append("origin", HeaderValue::from_static("https://app.example"));
    two.append("origin", HeaderValue::from_static("https://evil.example"));
    assert_eq!(check(&two, &config), Err(BadRequest::Origin));
    config.allowed_origins.get_or_insert_default().push("none".to_owned());
    assert!(check(&request(), &config).is_ok(), "unless they are let in");
    assert!(!origin_with("none", &config), "and nobody gets in by calling itself so");
}

fn origin_with(value: &'static str, config: &WebSocket) -> bool {
    let mut map = request();
    map.insert("origin", HeaderValue::from_static(value));
    check(&map, config).is_ok()
}

#[test]
fn one_of_the_sub_protocols_must_be_allowed() {
    let mut config = config();
    config.allowed_subprotocols = Some(vec!["mqtt".to_owned()]);
    assert!(check(&request(), &config).is_ok());
    let mut map = request();
    map.insert("sec-websocket-protocol", HeaderValue::from_static("stomp, mqtt"));
    assert!(check(&map, &config).is_ok());
    map.insert("sec-websocket-protocol", HeaderValue::from_static("stomp, MQTT"));
    assert_eq!(check(&map, &config), Err(BadRequest::Subprotocol));
}

#[test]
fn an_offer_that_is_no_text_is_not_taken_for_none() {
    let mut config = config();
    let mut map = request();
    let offer = HeaderValue::from_bytes(b"stomp, \xff").unwrap();
    map.insert("sec-websocket-protocol", offer);
    assert!(check(&map, &config).is_ok());
    config.allowed_subprotocols = Some(vec!["mqtt".to_owned()]);
    assert_eq!(check(&map, &config), Err(BadRequest::Subprotocol));
    map.append("sec-websocket-protocol", HeaderValue::from_static("mqtt"));
    assert_eq!(check(&map, &config), Err(BadRequest::Subprotocol));
}

#[test]
fn every_length_counts() {
    let mut map = request();
    map.append("content-length", HeaderValue::from_static("0"));
    assert!(check(&map, &config()).is_ok());
    map.append("content-length", HeaderValue::from_static("5"));
    assert_eq!(check(&map, &config()), Err(BadRequest::Body));
}

#[test]
fn a_101_must_answer_this_very_request() {
    let accept = Accept::of(KEY.as_bytes());
    let good = [
        ("upgrade", "WebSocket"),
        ("connection", "upgrade"),
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ];
    let check = |changed: Option<(&'static str, &'static str)>| {
        let mut response = headers(&good);
        if let Some((name, value)) = changed {
            response.insert(name, HeaderValue::from_static(value));
        }
        check_response(&request(), &response, &accept, true)
    };
    assert_eq!(check(None), Ok(()));
    assert_eq!(check(Some(("upgrade", "h2c"))), Err(BadResponse::Upgrade));
    assert_eq!(check(Some(("connection", "close"))), Err(BadResponse::Connection));
    let wrong = Some(("sec-websocket-accept", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="));
    assert_eq!(check(wrong), Err(BadResponse::Accept));
    assert_eq!(check(Some(("sec-websocket-protocol", "chat"))), Err(BadResponse::Subprotocol));
}

#[test]
fn an_extension_that_is_no_text_was_not_offered() {
    let accept = Accept::of(KEY.as_bytes());
    let mut response = headers(&[
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ]);
    let name = HeaderValue::from_bytes(b"x-\xff").unwrap();
    response.insert("sec-websocket-extensions", name);
    let checked = check_response(&request(), &response, &accept, true);
    assert_eq!(checked, Err(BadResponse::Extension));
}

#[test]
fn other_protocols_are_asked_for_by_a_get_without_a_body_and_h2c_never_is() {
    let asks = |fields: &[(&'static str, &'static str)]| {
        is_other_upgrade(&Method::GET, Version::HTTP_11, &headers(fields))
    };
    let upgrade = ("connection", "keep-alive, Upgrade");
    assert!(asks(&[("upgrade", "foo"), upgrade]));
    assert!(asks(&[("upgrade", "foo/1, bar"), upgrade, ("content-length", "0")]));
    for fields in [
        &[("upgrade", "h2c"), upgrade][..],
        &[("upgrade", "foo, H2C"), upgrade],
        &[("upgrade", ""), upgrade],
        &[("upgrade", "foo")],
        &[upgrade],
        &[("upgrade", "foo"), ("upgrade", "bar"), upgrade],
        &[("upgrade", "foo"), upgrade, ("content-length", "1")],
        &[("upgrade", "foo"), upgrade, ("transfer-encoding", "chunked")],
    ] {
        assert!(!asks(fields), "{fields:?}");
    }
    let fields = headers(&[("upgrade", "foo"), upgrade]);
    assert!(!is_other_upgrade(&Method::POST, Version::HTTP_11, &fields));
    assert!(!is_other_upgrade(&Method::GET, Version::HTTP_10, &fields));
    let answer = |protocol| headers(&[("upgrade", protocol), ("connection", "upgrade")]);
    assert_eq!(check_other(&fields, &answer("FOO")), Ok(()));
    assert_eq!(check_other(&fields, &answer("bar")), Err(BadResponse::Upgrade));
    let silent = headers(&[("upgrade", "foo")]);
    assert_eq!(check_other(&fields, &silent), Err(BadResponse::Connection));
}
