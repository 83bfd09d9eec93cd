//! Values that are one of a few words, and short texts with a grammar of their own.

use std::net::IpAddr;

use serde_json::{Value, json};

use crate::config::model::{Balance, GzipProxied};
use crate::config::read::{Fault, FromText, one_of};

impl FromText for Balance {
    const TYPE: &'static str = "least_conn, round_robin, random, hash, consistent_hash or ip_hash";

    fn from_text(text: &str) -> Result<Self, Fault> {
        if matches!(text, "sticky" | "least_time") {
            return Err(Fault::new("has no such method yet").help(
                "write `\"least_conn\"`, `\"round_robin\"` or `\"random\"`: a tunnel stays on its \
                 peer anyway",
            ));
        }
        let words = [
            ("least_conn", Self::LeastConn),
            ("round_robin", Self::RoundRobin),
            ("random", Self::Random),
            ("hash", Self::Hash),
            ("consistent_hash", Self::ConsistentHash),
            ("ip_hash", Self::IpHash),
        ];
        one_of(text, &words)
    }

    fn schema() -> Value {
        json!({ "enum": [
            "least_conn", "round_robin", "random", "hash", "consistent_hash", "ip_hash",
        ] })
    }
}

const GZIP_PROXIED: [(&str, GzipProxied); 9] = [
    ("off", GzipProxied::Off),
    ("expired", GzipProxied::Expired),
    ("no-cache", GzipProxied::NoCache),
    ("no-store", GzipProxied::NoStore),
    ("private", GzipProxied::Private),
    ("no_last_modified", GzipProxied::NoLastModified),
    ("no_etag", GzipProxied::NoEtag),
    ("auth", GzipProxied::Auth),
    ("any", GzipProxied::Any),
];

impl FromText for GzipProxied {
    const TYPE: &'static str = "condition";

    fn from_text(text: &str) -> Result<Self, Fault> {
        one_of(text, &GZIP_PROXIED)
    }

    fn schema() -> Value {
        json!({ "enum": GZIP_PROXIED.map(|(name, _)| name) })
    }
}

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum HttpVersion {
    V1_0,
    V1_1,
}

impl FromText for HttpVersion {
    const TYPE: &'static str = "1.0 or 1.1";

    fn from_text(text: &str) -> Result<Self, Fault> {
        one_of(text, &[("1.0", Self::V1_0), ("1.1", Self::V1_1)])
    }

    fn schema() -> Value {
        json!({ "enum": ["1.0", "1.1"] })
    }
}

impl FromText for IpAddr {
    const TYPE: &'static str = "address";

    fn from_text(text: &str) -> Result<Self, Fault> {
        text.trim_matches(['[', ']'])
            .parse()
            .map_err(|_| Fault::new("needs an IP address").help("write such as `\"192.0.2.7\"`"))
    }
}

/// What an inner section does to the headers of outer ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Inherit {
    /// It adds to them, and overrides by name.
    Merge,
    /// It takes none of them, as in nginx.
    Replace,
}

impl FromText for Inherit {
    const TYPE: &'static str = "merge or replace";

    fn from_text(text: &str) -> Result<Self, Fault> {
        one_of(text, &[("merge", Self::Merge), ("replace", Self::Replace)])
    }

    fn schema() -> Value {
        json!({ "enum": ["merge", "replace"] })
    }
}

/// Words of `proxy_next_upstream`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum NextWord {
    Error,
    Timeout,
    InvalidHeader,
    NonIdempotent,
    Status(u16),
    Off,
}

const NEXT_WORDS: [(&str, NextWord); 13] = [
    ("error", NextWord::Error),
    ("timeout", NextWord::Timeout),
    ("invalid_header", NextWord::InvalidHeader),
    ("non_idempotent", NextWord::NonIdempotent),
    ("off", NextWord::Off),
    ("http_500", NextWord::Status(500)),
    ("http_502", NextWord::Status(502)),
    ("http_503", NextWord::Status(503)),
    ("http_504", NextWord::Status(504)),
    ("http_403", NextWord::Status(403)),
    ("http_404", NextWord::Status(404)),
    ("http_429", NextWord::Status(429)),
    ("http_501", NextWord::Status(501)),
];

impl FromText for NextWord {
    const TYPE: &'static str = "word";

    fn from_text(text: &str) -> Result<Self, Fault> {
        if text.split_whitespace().count() > 1 {
            let words: Vec<_> = text.split_whitespace().map(|w| format!("\"{w}\"")).collect();
            return Err(Fault::new("has several words in one string")
                .help(format!("write a list: `[{}]`", words.join(", "))));
        }
        one_of(text, &NEXT_WORDS)
    }

    fn schema() -> Value {
        json!({ "enum": NEXT_WORDS.map(|(name, _)| name) })
    }
}

/// `ssl_verify_client`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum VerifyWord {
    Off,
    On,
    Optional,
    OptionalNoCa,
}

const VERIFY_WORDS: [(&str, VerifyWord); 4] = [
    ("off", VerifyWord::Off),
    ("on", VerifyWord::On),
    ("optional", VerifyWord::Optional),
    ("optional_no_ca", VerifyWord::OptionalNoCa),
];

impl FromText for VerifyWord {
    const TYPE: &'static str = "word";

    fn from_text(text: &str) -> Result<Self, Fault> {
        one_of(text, &VERIFY_WORDS)
    }

    fn schema() -> Value {
        json!({ "enum": VERIFY_WORDS.map(|(name, _)| name) })
    }
}

/// Words of `ssl_protocols`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum TlsVersion {
    Tls12,
    Tls13,
}

impl FromText for TlsVersion {
    const TYPE: &'static str = "TLSv1.2 or TLSv1.3";

    fn from_text(text: &str) -> Result<Self, Fault> {
        if matches!(text, "SSLv2" | "SSLv3" | "TLSv1" | "TLSv1.0" | "TLSv1.1") {
            return Err(Fault::new("names a version that is broken and not offered")
                .help("leave it out: `[\"TLSv1.2\", \"TLSv1.3\"]` is the default"));
        }
        if text.split_whitespace().count() > 1 {
            return Err(Fault::new("has several versions in one string")
                .help("write a list: `[\"TLSv1.2\", \"TLSv1.3\"]`"));
        }
        one_of(text, &[("TLSv1.2", Self::Tls12), ("TLSv1.3", Self::Tls13)])
    }

    fn schema() -> Value {
        json!({ "enum": ["TLSv1.2", "TLSv1.3"] })
    }
}

/// One of `allowed_origins`, in lower case; `*` is any, `none` a request without `Origin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct OriginValue(pub(in crate::config) String);

impl FromText for OriginValue {
    const TYPE: &'static str = "origin";

    fn from_text(text: &str) -> Result<Self, Fault> {
        let lower = text.to_ascii_lowercase();
        if matches!(lower.as_str(), "*" | "null" | "none") {
            return Ok(Self(lower));
        }
        let fault = Fault::new("needs an origin such as `\"https://example.org\"`");
        let Some((scheme, host)) = lower.split_once("://") else {
            return Err(fault.help(format!("write `\"https://{lower}\"`")));
        };
        if matches!(scheme, "ws" | "wss") {
            let scheme = if scheme == "ws" { "http" } else { "https" };
            return Err(fault
                .help(format!("browsers send the page's origin: write `\"{scheme}://{host}\"`")));
        }
        if let Some((host, _)) = host.split_once('/') {
            return Err(fault.help(format!("an origin has no path: write `\"{scheme}://{host}\"`")));
        }
        let inner = host.strip_prefix("*.").unwrap_or(host);
        let fits = |c: char| c.is_ascii_graphic() && !matches!(c, '*' | '?' | '#' | '@' | '"');
        if scheme.is_empty() || inner.is_empty() || !inner.chars().all(fits) {
            return Err(fault.help("`*.` may stand at the start of the host only"));
        }
        Ok(Self(lower))
    }
}

/// A token of RFC 9110 §5.6.2, as sub-protocols are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Token(pub(in crate::config) String);

impl FromText for Token {
    const TYPE: &'static str = "token";

    fn from_text(text: &str) -> Result<Self, Fault> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if text.is_empty() || !text.chars().all(fits) {
            return Err(Fault::new("needs a token: letters, digits and `!#$%&'*+-.^_|~`"));
        }
        Ok(Self(text.to_owned()))
    }
}
