//! Handshakes with clients: the server's name picks the certificate, the client's signature schemes
//! pick the key.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{
    ClientHello, NoClientAuth, ProducesTickets, ResolvesServerCert, ResolvesServerCertUsingSni,
    ServerConfig,
};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, SignatureScheme};

use super::certificate::{CertificateFacts, load_pair};
use super::clients::ClientAuth;
use super::named::{self, Ends, Hello};
use super::resumption::resume;
use super::session::Session;
use super::signed::handshake_signature;
use super::{TlsError, TlsStream, provider};
use crate::config::model::{NamedPair, Server, TlsVersions};
use crate::config::names::NameTable;
use crate::net::{Conn, Stream};

/// Shakes hands with clients of one listener.
#[derive(Clone)]
pub struct Acceptor {
    config: ServerConfig,
    versions: TlsVersions,
    certificates: Arc<Certificates>,
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Acceptor")
    }
}

/// The certificates of a listener's servers.
#[derive(Debug)]
struct Certificates {
    names: NameTable,
    /// By the position of the server; ECDSA and Ed25519 keys before RSA.
    servers: Vec<Vec<Arc<CertifiedKey>>>,
    /// Those that are read when a client names its server.
    named: Vec<Vec<NamedPair>>,
    default: usize,
    /// `ssl_reject_handshake` of each.
    rejects: Vec<bool>,
    /// Who asks clients for certificates.
    clients: Vec<Option<ClientAuth>>,
}

impl Certificates {
    /// What sessions belong to: they are not resumed where other certificates hold, our own or those
    /// that clients have to show.
    fn context(&self, server: &Server) -> u64 {
        let mut hasher = DefaultHasher::new();
        for key in &self.servers[self.default] {
            key.cert.iter().for_each(|certificate| certificate.as_ref().hash(&mut hasher));
        }
        format!("{:?}", (&self.named[self.default], &server.clients)).hash(&mut hasher);
        hasher.finish()
    }

    fn resolve(
        &self,
        hello: &ClientHello<'_>,
        name: &str,
        ends: &Ends,
    ) -> Option<Arc<CertifiedKey>> {
        let server = self.names.find(name);
        if self.rejects[server] {
            return None;
        }
        // A server without any has those of the default server.
        let has_own = !self.servers[server].is_empty() || !self.named[server].is_empty();
        let server = if has_own { server } else { self.default };
        let schemes = hello.signature_schemes();
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        let pick =
            |keys: &[Arc<CertifiedKey>]| keys.iter().find(fits).or_else(|| keys.first()).cloned();
        pick(&self.servers[server])
            .or_else(|| pick(&named::load(&self.named[server], &Hello { ends, name })))
    }
}

/// The resolver of one handshake: it notes the name, which a session of rustls' unbuffered kind does
/// not tell.
#[derive(Debug)]
struct Noting {
    certificates: Arc<Certificates>,
    ends: Ends,
    name: OnceLock<String>,
    suites: OnceLock<Vec<u16>>,
}

impl ResolvesServerCert for Noting {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // A client that is asked for another hello says the same again.
        let name = hello
            .server_name()
            .map(|name| self.name.get_or_init(|| name.to_ascii_lowercase()).as_str());
        self.suites
            .get_or_init(|| hello.cipher_suites().iter().map(|suite| (*suite).into()).collect());
        self.certificates.resolve(&hello, name.unwrap_or_default(), &self.ends)
    }
}

/// Asks clients for certificates as the server that was named wants it, and takes any: whether it
/// will do is known when the request is.
#[derive(Debug)]
struct Asking {
    noting: Arc<Noting>,
    provider: Arc<CryptoProvider>,
}

impl Asking {
    fn server(&self) -> Option<&ClientAuth> {
        let certificates = &self.noting.certificates;
        let name = self.noting.name.get().map_or("", String::as_str);
        certificates.clients[certificates.names.find(name)].as_ref()
    }
}

impl ClientCertVerifier for Asking {
    fn offer_client_auth(&self) -> bool {
        self.server().is_some()
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.server().map_or(&[], |server| &server.hints)
    }

    fn verify_client_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        handshake_signature(message, certificate, signed, &self.provider, false)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        handshake_signature(message, certificate, signed, &self.provider, true)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Why a handshake failed.
#[derive(Debug)]
pub enum AcceptError {
    /// The client speaks plain HTTP.
    PlainHttp(Stream),
    /// Anything else; the client has been sent an alert where that makes sense.
    Failed(io::Error),
}

impl Acceptor {
    /// Loads the certificates of `servers`; `default` is the position of the one that answers when
    /// no name fits, and sets the protocol versions. `tickets` outlives it, so that sessions resume
    /// after a reload. Gives back each certificate's facts with the server's position.
    pub fn new(
        servers: &[&Server],
        default: usize,
        tickets: Arc<dyn ProducesTickets>,
    ) -> Result<(Self, Vec<(usize, CertificateFacts)>), TlsError> {
        let mut facts = Vec::new();
        let mut keys = Vec::new();
        for (position, server) in servers.iter().enumerate() {
            let mut pairs = Vec::new();
            for pair in &server.certificates {
                let (key, fact) = load_pair(pair)?;
                facts.push((position, fact));
                pairs.push(key);
            }
            pairs.sort_by_key(|key| key.key.algorithm() == rustls::SignatureAlgorithm::RSA);
            keys.push(pairs);
        }
        let names = servers.iter().enumerate().map(|(i, server)| (i, server.names.as_slice()));
        let names = NameTable::new(names, default);
        let clients = servers.iter().map(|server| server.clients.as_deref().map(ClientAuth::load));
        let clients = clients.map(Option::transpose).collect::<Result<_, _>>()?;
        let rejects = servers.iter().map(|server| server.reject_handshake).collect();
        let late = servers.iter().map(|server| server.named_certificates.clone()).collect();
        let certificates =
            Certificates { names, servers: keys, named: late, default, rejects, clients };
        let certificates = Arc::new(certificates);
        let versions = servers[default].protocols;
        let nobody = Arc::new(NoClientAuth);
        // Each handshake has a resolver of its own.
        let mut config =
            server_config(versions, nobody, Arc::new(ResolvesServerCertUsingSni::new()));
        let context = certificates.context(servers[default]);
        resume(&mut config, servers[default].sessions, tickets, context);
        Ok((Self { config, versions, certificates }, facts))
    }

    /// Shakes hands.
    ///
    /// # Cancel safety
    /// Not cancel safe: the connection is lost with the future.
    pub async fn accept(&self, stream: Stream, ends: Ends) -> Result<Conn, AcceptError> {
        // A handshake starts with 0x16, a method with a letter. To the latter an alert means nothing.
        let first = stream.peek().await.map_err(AcceptError::Failed)?;
        if first.is_some_and(|byte| byte.is_ascii_alphabetic()) {
            return Err(AcceptError::PlainHttp(stream));
        }
        let certificates = Arc::clone(&self.certificates);
        let noting =
            Arc::new(Noting { certificates, ends, name: OnceLock::new(), suites: OnceLock::new() });
        let config = self.config_of(&noting);
        let shaken = match Session::server(Arc::new(config)) {
            Ok(session) => TlsStream::handshake(stream, session).await,
            Err(error) => Err(io::Error::other(error)),
        };
        let mut stream = shaken.map_err(AcceptError::Failed)?;
        let info = stream.info_mut();
        info.server_name = noting.name.get().cloned();
        info.suites = noting.suites.get().cloned().unwrap_or_default();
        Ok(Conn::Tls(Box::new(stream)))
    }

    /// What one handshake goes by.
    fn config_of(&self, noting: &Arc<Noting>) -> ServerConfig {
        let resolver = Arc::<Noting>::clone(noting);
        if self.certificates.clients.iter().all(Option::is_none) {
            let mut config = self.config.clone();
            config.cert_resolver = resolver;
            return config;
        }
        let asking = Arc::new(Asking { noting: Arc::clone(noting), provider: provider() });
        let mut config = server_config(self.versions, asking, resolver);
        config.ticketer = Arc::clone(&self.config.ticketer);
        config.send_tls13_tickets = self.config.send_tls13_tickets;
        config.session_storage = Arc::clone(&self.config.session_storage);
        config
    }
}

fn server_config(
    versions: TlsVersions,
    clients: Arc<dyn ClientCertVerifier>,
    certificates: Arc<dyn ResolvesServerCert>,
) -> ServerConfig {
    let mut offered = Vec::new();
    if versions.tls13 {
        offered.push(&rustls::version::TLS13);
    }
    if versions.tls12 {
        offered.push(&rustls::version::TLS12);
    }
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&offered)
        .expect("validation leaves one version at least, and the provider has suites for both")
        .with_client_cert_verifier(clients)
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}
