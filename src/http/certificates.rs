//! Certificates of clients: whether a server takes them, and what variables tell of them.

use std::fmt::Write as _;
use std::sync::{Arc, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use sha1::{Digest as _, Sha1};
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Name;

use super::client::Connection;
use super::exchange::Exchange;
use super::respond::Refused;
use super::vars;
use crate::config::model::VerifyClient;
use crate::config::template::{CertificatePart, Var};
use crate::net::tls::{ClientAuth, Verdict};

/// What `optional_no_ca` passes over: that nobody known signed it.
const UNKNOWN_AUTHORITY: [&str; 4] = [
    "self-signed certificate",
    "self-signed certificate in certificate chain",
    "unable to verify the first certificate",
    "unable to get issuer certificate",
];
const ESCAPED: &[u8] = b"-._~";

/// Whether the client may speak to this server, for `ssl_verify_client`.
pub(super) fn admit(exchange: &Exchange<'_>) -> Result<(), Refused> {
    let connection = exchange.connection;
    let (Some(tls), Some(clients)) = (&connection.tls, &exchange.site.clients) else {
        // What another server made of it tells nothing here.
        *connection.verdict.lock().unwrap_or_else(PoisonError::into_inner) = None;
        return Ok(());
    };
    let host = vars::host_name(vars::http_host(exchange.parts));
    let named = tls.server_name.as_deref().filter(|_| !host.is_empty());
    if named.is_some_and(|name| name != host) {
        return Err(Refused::Misdirected);
    }
    match (verdict(connection, clients), clients.mode()) {
        (None, VerifyClient::On) => Err(Refused::NoCertificate),
        (None | Some(Ok(())), _) => Ok(()),
        (Some(Err(why)), VerifyClient::OptionalNoCa) if UNKNOWN_AUTHORITY.contains(&why) => Ok(()),
        (Some(Err(why)), _) => {
            tracing::info!("client SSL certificate verify error: {why}");
            Err(Refused::Certificate)
        }
    }
}

/// What this server makes of the client's certificate, if there is one; looked into once.
fn verdict(connection: &Connection, clients: &Arc<ClientAuth>) -> Option<Verdict> {
    let peer = connection.tls.as_ref()?.peer.as_ref()?;
    let mut kept = connection.verdict.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((by, verdict)) = &*kept
        && Arc::ptr_eq(by, clients)
    {
        return Some(*verdict);
    }
    let verdict = clients.verify(peer, Timestamp::now().as_second());
    *kept = Some((Arc::clone(clients), verdict));
    Some(verdict)
}

/// `$ssl_client_verify`
pub(super) fn told(connection: &Connection) -> Option<String> {
    connection.tls.as_ref()?;
    let kept = connection.verdict.lock().unwrap_or_else(PoisonError::into_inner);
    Some(match &*kept {
        None => "NONE".to_owned(),
        Some((_, Ok(()))) => "SUCCESS".to_owned(),
        Some((_, Err(why))) => format!("FAILED:{why}"),
    })
}

/// A variable `$ssl_client_…` that the certificate itself tells.
pub(super) fn part(connection: &Connection, part: CertificatePart) -> Option<String> {
    let peer = connection.tls.as_ref()?.peer.as_ref()?;
    let der = peer.first()?;
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(match part {
        CertificatePart::Pem => pem(der).trim_end().replace('\n', "\n\t"),
        CertificatePart::Raw => pem(der),
        CertificatePart::Escaped => escaped(&pem(der)),
        CertificatePart::Subject => rfc2253(certificate.subject()),
        CertificatePart::Issuer => rfc2253(certificate.issuer()),
        CertificatePart::LegacySubject => legacy(certificate.subject()),
        CertificatePart::LegacyIssuer => legacy(certificate.issuer()),
        CertificatePart::Serial => hex::<true>(certificate.raw_serial()),
        CertificatePart::Fingerprint => hex::<false>(&Sha1::digest(der)),
        CertificatePart::Start => date(certificate.validity().not_before),
        CertificatePart::End => date(certificate.validity().not_after),
        CertificatePart::Remain => {
            let left = certificate.validity().not_after.timestamp() - Timestamp::now().as_second();
            (left.max(0) / 86_400).to_string()
        }
    })
}

fn pem(der: &[u8]) -> String {
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let mut rest = STANDARD.encode(der);
    while !rest.is_empty() {
        let after = rest.split_off(rest.len().min(64));
        pem.extend([rest.as_str(), "\n"]);
        rest = after;
    }
    pem + "-----END CERTIFICATE-----\n"
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || ESCAPED.contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _infallible = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn hex<const UPPER: bool>(bytes: &[u8]) -> String {
    let digits = |byte: &u8| if UPPER { format!("{byte:02X}") } else { format!("{byte:02x}") };
    bytes.iter().map(digits).collect()
}

/// As OpenSSL prints it: `Nov 26 16:35:02 2026 GMT`.
fn date(time: ASN1Time) -> String {
    let stamp = Timestamp::from_second(time.timestamp()).unwrap_or_default();
    stamp.strftime("%b %e %H:%M:%S %Y GMT").to_string()
}

/// Type and value of each part of a name, those that belong together in one list.
fn parts(name: &X509Name<'_>) -> Vec<Vec<(String, String)>> {
    let one = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| {
        let kind = attribute.attr_type();
        let short = oid2abbrev(kind, oid_registry());
        let short = short.map_or_else(|_| kind.to_id_string(), str::to_owned);
        let text = attribute.as_str().map(str::to_owned);
        (short, text.unwrap_or_else(|_| format!("#{}", hex::<true>(attribute.as_slice()))))
    };
    name.iter().map(|rdn| rdn.iter().map(one).collect()).collect()
}

/// `CN=client,O=Example`: the last part first (RFC 2253).
fn rfc2253(name: &X509Name<'_>) -> String {
    let set = |set: &Vec<(String, String)>| {
        let pairs = set.iter().map(|(kind, value)| format!("{kind}={}", quoted(value)));
        pairs.collect::<Vec<_>>().join("+")
    };
    parts(name).iter().rev().map(set).collect::<Vec<_>>().join(",")
}

fn quoted(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (at, c) in value.chars().enumerate() {
        match c {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => out.extend(['\\', c]),
            ' ' if at == 0 || at == last => out.push_str("\\ "),
            '#' if at == 0 => out.push_str("\\#"),
            c if c.is_ascii_graphic() || c == ' ' => out.push(c),
            c => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    let _infallible = write!(out, "\\{byte:02X}");
                }
            }
        }
    }
    out
}

/// `/O=Example/CN=client`
fn legacy(name: &X509Name<'_>) -> String {
    let all = parts(name).into_iter().flatten();
    all.fold(String::new(), |text, (kind, value)| text + "/" + &kind + "=" + &value)
}

pub(super) fn lookup(connection: &Connection, var: &Var) -> Option<String> {
    match var {
        Var::SslClientVerify => told(connection),
        Var::SslClient(which) => part(connection, *which),
        _ => None,
    }
}
