//! Handshakes with peers: verified by default (nginx's `proxy_ssl_verify on`).

use std::io;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::certificate::{load_certificates, load_pair};
use super::session::Session;
use super::signed::handshake_signature;
use super::{TlsError, TlsStream, provider};
use crate::config::model::ProxyTls;
use crate::net::{Conn, Stream};

/// Shakes hands with peers.
#[derive(Clone)]
pub struct Connector {
    tls: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Connector {
    /// Loads what the configuration names.
    pub fn new(config: &ProxyTls) -> Result<Self, TlsError> {
        let provider = provider();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for every version")
            .dangerous()
            .with_custom_certificate_verifier(verifier(config, provider)?);
        let mut tls = match &config.certificate {
            Some(pair) => {
                let (key, _) = load_pair(pair)?;
                let key = SingleCertAndKey::from(Arc::unwrap_or_clone(key));
                builder.with_client_cert_resolver(Arc::new(key))
            }
            None => builder.with_no_client_auth(),
        };
        tls.enable_sni = config.server_name;
        if !config.session_reuse {
            tls.resumption = Resumption::disabled();
        }
        let name = ServerName::try_from(config.name.clone()).map_err(|_| {
            let message = format!("`{}` is no name that a certificate can have", config.name);
            TlsError::new(std::path::Path::new("proxy_ssl_name"), message, "set `proxy_ssl_name`")
        })?;
        Ok(Self { tls: Arc::new(tls), name })
    }

    /// Shakes hands.
    ///
    /// # Cancel safety
    /// Not cancel safe: the connection is lost with the future.
    pub async fn connect(&self, stream: Stream) -> io::Result<Conn> {
        let session = Session::client(Arc::clone(&self.tls), self.name.clone());
        let session = session.map_err(io::Error::other)?;
        Ok(Conn::Tls(Box::new(TlsStream::handshake(stream, session).await?)))
    }
}

fn verifier(
    config: &ProxyTls,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    if !config.verify {
        return Ok(Arc::new(AnyCertificate(provider)));
    }
    let help =
        "set `proxy_ssl_trusted_certificate` to the authority that signed the peers' certificates";
    let (roots, file) = match &config.trusted_certificate {
        Some(file) => {
            let mut roots = RootCertStore::empty();
            for certificate in load_certificates(file)? {
                roots.add(certificate).map_err(|error| {
                    TlsError::new(file, format!("it is no trust anchor: {error}"), help)
                })?;
            }
            (Arc::new(roots), file.as_path())
        }
        None => (system_roots(), std::path::Path::new("the system's trust anchors")),
    };
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
    verifier.map(|v| v as Arc<dyn ServerCertVerifier>).map_err(|error| {
        TlsError::new(file, format!("there is nothing to verify with: {error}"), help)
    })
}

/// The system's trust anchors, read once.
fn system_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let load = || {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    };
    Arc::clone(ROOTS.get_or_init(load))
}

/// `proxy_ssl_verify = false`: whoever the peer says it is, it must prove to have its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        handshake_signature(message, certificate, signed, &self.0, false)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        handshake_signature(message, certificate, signed, &self.0, true)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
