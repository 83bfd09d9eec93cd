//! Signatures under certificates of any X.509 version: webpki, which rustls asks, reads version 3
//! only. Not here: what a chain has to be (`clients`).

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, DigitallySignedStruct, Error, PeerMisbehaved};
use x509_parser::prelude::{FromDer as _, X509Certificate};

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

/// Something signed: a certificate, or a list of revoked ones.
pub(super) struct Signed<'a> {
    message: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Signed<'a> {
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let (_, fields, _) = element(der, SEQUENCE)?;
        let (message, _, rest) = element(fields, SEQUENCE)?;
        let (_, algorithm, rest) = element(rest, SEQUENCE)?;
        let (_, bits, _) = element(rest, BIT_STRING)?;
        let (0, signature) = bits.split_first().map(|(unused, bits)| (*unused, bits))? else {
            return None;
        };
        Some(Self { message, algorithm, signature })
    }

    /// Whether the key signed it; `key` is a `SubjectPublicKeyInfo`.
    pub(super) fn is_by(&self, key: &[u8], algorithms: &WebPkiSupportedAlgorithms) -> bool {
        let Some((kind, bits)) = public_key(key) else { return false };
        algorithms.all.iter().any(|algorithm| {
            algorithm.signature_alg_id().as_ref() == self.algorithm
                && algorithm.public_key_alg_id().as_ref() == kind
                && algorithm.verify_signature(bits, self.message, self.signature).is_ok()
        })
    }
}

/// Algorithm and bits of a `SubjectPublicKeyInfo`.
fn public_key(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, fields, _) = element(der, SEQUENCE)?;
    let (_, kind, rest) = element(fields, SEQUENCE)?;
    let (_, bits, _) = element(rest, BIT_STRING)?;
    bits.split_first().filter(|(unused, _)| **unused == 0).map(|(_, bits)| (kind, bits))
}

/// The first element: all of it, its contents, and what follows.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8], &[u8])> {
    let (&[found, short], rest) = der.split_first_chunk::<2>()?;
    let (length, head) = match short {
        0..=0x7f => (usize::from(short), 2),
        0x81..=0x83 => {
            let octets = usize::from(short & 0x7f);
            let read = rest.get(..octets)?.iter();
            (read.fold(0, |sum, octet| sum << 8 | usize::from(*octet)), 2 + octets)
        }
        _ => return None,
    };
    let end = head.checked_add(length)?;
    (found == tag && der.len() >= end).then(|| (&der[..end], &der[head..end], &der[end..]))
}

/// Whether the peer has the key of its certificate; of `tls13`, only the schemes it allows.
pub(super) fn handshake_signature(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    provider: &CryptoProvider,
    tls13: bool,
) -> Result<HandshakeSignatureValid, Error> {
    let unreadable = || Error::from(CertificateError::BadEncoding);
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| unreadable())?;
    let (kind, bits) = public_key(parsed.public_key().raw).ok_or_else(unreadable)?;
    let misbehaved = PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme;
    let algorithms = provider.signature_verification_algorithms.mapping;
    let known = algorithms.iter().find(|(scheme, _)| *scheme == signed.scheme);
    let (_, algorithms) = known.ok_or(misbehaved.clone())?;
    // In TLS 1.3 the first is the only one; RSA with PKCS#1 is over.
    let count = if tls13 { 1 } else { algorithms.len() };
    if tls13 && !is_of_tls13(signed.scheme) {
        return Err(misbehaved.into());
    }
    let fits = algorithms[..count].iter().filter(|a| a.public_key_alg_id().as_ref() == kind);
    for algorithm in fits {
        if algorithm.verify_signature(bits, message, signed.signature()).is_ok() {
            return Ok(HandshakeSignatureValid::assertion());
        }
    }
    Err(CertificateError::BadSignature.into())
}

const fn is_of_tls13(scheme: rustls::SignatureScheme) -> bool {
    use rustls::SignatureScheme as S;
    !matches!(
        scheme,
        S::RSA_PKCS1_SHA256 | S::RSA_PKCS1_SHA384 | S::RSA_PKCS1_SHA512 | S::RSA_PKCS1_SHA1
    )
}
