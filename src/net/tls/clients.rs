//! Certificates of clients: who is asked for one, and whom the server trusts. As nginx, the handshake
//! takes any whose key the client has; what becomes of the request is decided when it is known whom
//! it is for. Chains are followed here and not by webpki, which refuses X.509 version 1.

use std::fmt;
use std::path::Path;

use rustls::DistinguishedName;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{CertificateRevocationList, FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;

use super::certificate::load_certificates;
use super::signed::Signed;
use super::{TlsError, provider};
use crate::config::model::{ClientCertificates, VerifyClient};

/// No chain is longer, whatever `ssl_verify_depth` says.
const LONGEST: usize = 100;

/// What a server wants of its clients' certificates.
pub struct ClientAuth {
    mode: VerifyClient,
    depth: usize,
    /// Subjects of `ssl_client_certificate`, each once: clients are told them.
    pub(super) hints: Vec<DistinguishedName>,
    trusted: Vec<CertificateDer<'static>>,
    revoked: Option<Vec<CertificateRevocationListDer<'static>>>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// What is wrong with a certificate, in OpenSSL's words.
pub type Verdict = Result<(), &'static str>;

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuth").field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl ClientAuth {
    /// Loads what the configuration names.
    pub fn load(config: &ClientCertificates) -> Result<Self, TlsError> {
        let mut trusted: Vec<CertificateDer<'static>> = Vec::new();
        let mut hints: Vec<DistinguishedName> = Vec::new();
        for (file, told) in [(&config.authorities, true), (&config.trusted, false)] {
            let Some(file) = file else { continue };
            for certificate in load_certificates(file)? {
                let (_, read) = X509Certificate::from_der(&certificate).map_err(|error| {
                    let help = "it must hold the authorities' certificates in PEM";
                    TlsError::new(file, format!("a certificate cannot be read: {error}"), help)
                })?;
                let name = read.subject().as_raw();
                if told && !hints.iter().any(|hint| hint.as_ref() == name) {
                    hints.push(DistinguishedName::from(name.to_vec()));
                }
                trusted.push(certificate);
            }
        }
        Ok(Self {
            mode: config.mode,
            depth: config.depth,
            hints,
            trusted,
            revoked: config.crl.as_deref().map(load_lists).transpose()?,
            algorithms: provider().signature_verification_algorithms,
        })
    }

    /// Who may do without one, or with one that is not trusted.
    pub const fn mode(&self) -> VerifyClient {
        self.mode
    }

    /// Whether the chain that a client sent leads to an authority. `now` is in Unix seconds.
    pub fn verify(&self, sent: &[CertificateDer<'_>], now: i64) -> Verdict {
        const UNREADABLE: &str = "the certificate cannot be read";
        let now = ASN1Time::from_timestamp(now).map_err(|_| UNREADABLE)?;
        let (leaf, rest) = sent.split_first().ok_or(UNREADABLE)?;
        let (_, read) = X509Certificate::from_der(leaf).map_err(|_| UNREADABLE)?;
        let mut chain = vec![(leaf.as_ref(), read)];
        let complete = self.complete(&mut chain, rest);
        for (_, certificate) in &chain {
            in_time(certificate, now)?;
        }
        complete?;
        for (at, (_, certificate)) in chain.iter().enumerate() {
            check(certificate, at)?;
        }
        self.revoked.as_ref().map_or(Ok(()), |lists| self.not_revoked(&chain, lists, now))
    }

    /// Follows the chain up to a root that is trusted.
    fn complete<'a>(
        &'a self,
        chain: &mut Vec<(&'a [u8], X509Certificate<'a>)>,
        sent: &'a [CertificateDer<'_>],
    ) -> Verdict {
        loop {
            let (der, last) = &chain[chain.len() - 1];
            let alone = chain.len() == 1;
            if self.is_self_signed(der, last) {
                return match self.trusted.iter().any(|trusted| trusted.as_ref() == *der) {
                    true => Ok(()),
                    false if alone => Err("self-signed certificate"),
                    false => Err("self-signed certificate in certificate chain"),
                };
            }
            let known = self.trusted.iter().map(AsRef::as_ref);
            let candidates = known.chain(sent.iter().map(AsRef::as_ref));
            let Some(issuer) = self.issuer(der, last, candidates) else {
                return Err(if alone {
                    "unable to verify the first certificate"
                } else {
                    "unable to get issuer certificate"
                });
            };
            chain.push(issuer);
            // Between the client and the root there may be so many.
            if chain.len() > self.depth.min(LONGEST) + 2 {
                return Err("certificate chain too long");
            }
        }
    }

    /// Names alone do not tell: an authority's clients may be called as it is.
    fn is_self_signed(&self, der: &[u8], certificate: &X509Certificate<'_>) -> bool {
        certificate.subject().as_raw() == certificate.issuer().as_raw()
            && Signed::read(der)
                .is_some_and(|signed| signed.is_by(certificate.public_key().raw, &self.algorithms))
    }

    /// The certificate of the key that signed this one.
    fn issuer<'a>(
        &self,
        der: &[u8],
        certificate: &X509Certificate<'_>,
        candidates: impl Iterator<Item = &'a [u8]>,
    ) -> Option<(&'a [u8], X509Certificate<'a>)> {
        let signed = Signed::read(der)?;
        candidates
            .filter_map(|der| Some((der, X509Certificate::from_der(der).ok()?.1)))
            .filter(|(_, issuer)| issuer.subject().as_raw() == certificate.issuer().as_raw())
            .find(|(_, issuer)| signed.is_by(issuer.public_key().raw, &self.algorithms))
    }

    /// As with OpenSSL's `CRL_CHECK_ALL`: every certificate of the chain needs a list of its issuer.
    /// What is wrong nearest to the root is told.
    fn not_revoked(
        &self,
        chain: &[(&[u8], X509Certificate<'_>)],
        lists: &[CertificateRevocationListDer<'_>],
        now: ASN1Time,
    ) -> Verdict {
        let verdict = |(at, (_, certificate)): (usize, &(&[u8], X509Certificate<'_>))| {
            let (_, issuer) = &chain[(at + 1).min(chain.len() - 1)];
            let list = lists.iter().find_map(|der| {
                let (_, list) = CertificateRevocationList::from_der(der).ok()?;
                let fits = list.issuer().as_raw() == certificate.issuer().as_raw()
                    && Signed::read(der)?.is_by(issuer.public_key().raw, &self.algorithms);
                fits.then_some(list)
            });
            let list = list.ok_or("unable to get certificate CRL")?;
            if list.last_update() > now {
                return Err("CRL is not yet valid");
            }
            if list.next_update().is_some_and(|next| next < now) {
                return Err("CRL has expired");
            }
            if list.extensions().iter().any(|extension| extension.critical) {
                // such as one that says whom the list is about
                return Err("unhandled critical CRL extension");
            }
            if !may_sign_lists(issuer) {
                return Err("key usage does not include CRL signing");
            }
            let serial = certificate.raw_serial();
            if list.iter_revoked_certificates().any(|one| one.raw_serial() == serial) {
                return Err("certificate revoked");
            }
            Ok(())
        };
        chain.iter().enumerate().map(verdict).rfind(Result::is_err).unwrap_or(Ok(()))
    }
}

fn in_time(certificate: &X509Certificate<'_>, now: ASN1Time) -> Verdict {
    if now < certificate.validity().not_before {
        return Err("certificate is not yet valid");
    }
    if now > certificate.validity().not_after {
        return Err("certificate has expired");
    }
    Ok(())
}

/// What a certificate has to be at its place in a chain; the client's own is the first.
fn check(certificate: &X509Certificate<'_>, at: usize) -> Verdict {
    let mut authority = None;
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(basic) => authority = Some(basic),
            ParsedExtension::KeyUsage(usage) if at > 0 && !usage.key_cert_sign() => {
                return Err("invalid CA certificate");
            }
            ParsedExtension::ExtendedKeyUsage(usage) if !usage.any && !usage.client_auth => {
                return Err("unsuitable certificate purpose");
            }
            ParsedExtension::KeyUsage(_)
            | ParsedExtension::SubjectAlternativeName(_)
            | ParsedExtension::ExtendedKeyUsage(_) => {}
            // Names that an authority may not sign for: not followed, so not passed over either.
            ParsedExtension::NameConstraints(_) => {
                return Err("name constraints are not supported");
            }
            _ if extension.critical => return Err("unhandled critical extension"),
            _ => {}
        }
    }
    if at == 0 {
        return Ok(());
    }
    match authority {
        Some(basic) if !basic.ca => Err("invalid CA certificate"),
        Some(basic) if basic.path_len_constraint.is_some_and(|most| at - 1 > most as usize) => {
            Err("path length constraint exceeded")
        }
        Some(_) => Ok(()),
        // Of version 1 only a root says by itself that it is one.
        None if certificate.extensions().is_empty()
            && certificate.subject().as_raw() == certificate.issuer().as_raw() =>
        {
            Ok(())
        }
        None => Err("invalid CA certificate"),
    }
}

fn may_sign_lists(authority: &X509Certificate<'_>) -> bool {
    let usage = authority.key_usage().ok().flatten();
    usage.is_none_or(|usage| usage.value.crl_sign())
}

fn load_lists(file: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let help = "it must hold certificate revocation lists in PEM";
    let lists = CertificateRevocationListDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| TlsError::new(file, format!("it cannot be read: {error}"), help))?;
    let readable = lists.iter().all(|der| CertificateRevocationList::from_der(der).is_ok());
    if lists.is_empty() || !readable {
        return Err(TlsError::new(file, "there is no list that can be read in the file", help));
    }
    Ok(lists)
}

#[cfg(test)]
mod tests;
