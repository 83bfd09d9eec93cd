//! Certificates and keys from PEM files: loaded, matched, and read for what operators want to know.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::keys::load_key;
use super::{TlsError, provider};
use crate::config::model::{CertificatePair, ServerName};

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Names it is for, in lower case.
    pub names: Vec<String>,
    /// The subject, for the metric.
    pub subject: String,
    /// Unix seconds.
    pub not_before: i64,
    /// Unix seconds.
    pub not_after: i64,
}

/// Loads a pair and checks that certificate and key belong together.
pub fn load_pair(
    pair: &CertificatePair,
) -> Result<(Arc<CertifiedKey>, CertificateFacts), TlsError> {
    let chain = load_certificates(&pair.certificate)?;
    let facts = facts(&chain[0], &pair.certificate)?;
    let key = load_key(&pair.key, pair.passwords.as_deref())?;
    let signer = provider().key_provider.load_private_key(key).map_err(|error| {
        TlsError::new(
            &pair.key,
            format!("the key cannot be used: {error}"),
            "use an ECDSA P-256 or P-384, RSA (2048 bits or more) or Ed25519 key",
        )
    })?;
    // Built by hand: rustls' own builder refuses X.509 version 1.
    let certified = CertifiedKey::new(chain, signer);
    if certified.keys_match()
        == Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch))
    {
        return Err(TlsError::new(
            &pair.key,
            format!("the key does not belong to the certificate: {}", pair.certificate.display()),
            "name the key that the certificate was made with; of several, in the same order",
        ));
    }
    Ok((Arc::new(certified), facts))
}

/// Every certificate of a PEM file; at least one.
pub(super) fn load_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let help = "it must be PEM: the server's certificate first, then its chain";
    let read = |error: pem::Error| TlsError::new(file, describe(&error), help);
    let chain = CertificateDer::pem_file_iter(file).map_err(read)?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(read)?;
    if chain.is_empty() {
        return Err(TlsError::new(file, "there is no certificate in the file", help));
    }
    Ok(chain)
}

pub(super) fn describe(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => format!("it cannot be read: {error}"),
        error => format!("it is no PEM file: {error}"),
    }
}

fn facts(leaf: &CertificateDer<'_>, file: &Path) -> Result<CertificateFacts, TlsError> {
    let (_, certificate) = X509Certificate::from_der(leaf).map_err(|error| {
        let help = "the first certificate of the file must be the server's";
        TlsError::new(file, format!("the certificate cannot be read: {error}"), help)
    })?;
    let mut names: Vec<String> = Vec::new();
    if let Ok(Some(san)) = certificate.subject_alternative_name() {
        for name in &san.value.general_names {
            match name {
                GeneralName::DNSName(name) => names.push(name.to_ascii_lowercase()),
                GeneralName::IPAddress(bytes) => names.extend(ip_text(bytes)),
                _ => {}
            }
        }
    }
    if names.is_empty() {
        let common = certificate.subject().iter_common_name();
        names.extend(common.filter_map(|cn| cn.as_str().ok()).map(str::to_ascii_lowercase));
    }
    Ok(CertificateFacts {
        names,
        subject: certificate.subject().to_string(),
        not_before: certificate.validity().not_before.timestamp(),
        not_after: certificate.validity().not_after.timestamp(),
    })
}

fn ip_text(bytes: &[u8]) -> Option<String> {
    let v4 = || <[u8; 4]>::try_from(bytes).ok().map(std::net::IpAddr::from);
    let v6 = || <[u8; 16]>::try_from(bytes).ok().map(std::net::IpAddr::from);
    v4().or_else(v6).map(|ip| ip.to_string())
}

impl CertificateFacts {
    /// What an operator should know: expired, not valid yet, not for a name of its server. `now` is
    /// in Unix seconds.
    pub fn warnings(&self, now: i64, names: &[ServerName]) -> Vec<String> {
        let mut warnings = Vec::new();
        if now > self.not_after {
            warnings.push(format!("the certificate has expired: {}", self.subject));
        } else if now < self.not_before {
            warnings.push(format!("the certificate is not valid yet: {}", self.subject));
        }
        for name in names {
            if let ServerName::Exact(name) = name
                && name.contains('.')
                && !self.names.iter().any(|pattern| covers(pattern, name))
            {
                warnings.push(format!("the certificate is not for `{name}`: {}", self.subject));
            }
        }
        warnings
    }
}

/// A wildcard stands for one label (RFC 9525 §6.3).
fn covers(pattern: &str, name: &str) -> bool {
    pattern == name
        || pattern.strip_prefix("*.").is_some_and(|suffix| {
            name.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == suffix)
        })
}
