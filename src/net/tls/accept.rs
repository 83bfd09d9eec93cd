//! Handshakes with clients: the server's name picks the certificate, the client's signature schemes
//! pick the key.

use std::io;
use std::sync::{Arc, OnceLock};

use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;

use super::certificate::{CertificateFacts, load_pair};
use super::session::Session;
use super::{TlsError, TlsStream, provider};
use crate::config::model::{Server, TlsVersions};
use crate::config::names::NameTable;
use crate::net::{Conn, Stream};

/// Sessions of TLS 1.2 clients without tickets that are remembered.
const SESSIONS: usize = 4096;

/// Shakes hands with clients of one listener.
#[derive(Clone)]
pub struct Acceptor {
    config: ServerConfig,
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
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase).unwrap_or_default();
        let keys = &self.servers[self.names.find(&name)];
        let schemes = hello.signature_schemes();
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        keys.iter().find(fits).or_else(|| keys.first()).cloned()
    }
}

/// The resolver of one handshake: it notes the name, which a session of rustls' unbuffered kind does
/// not tell.
#[derive(Debug)]
struct Noting {
    certificates: Arc<Certificates>,
    name: OnceLock<String>,
}

impl ResolvesServerCert for Noting {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Some(name) = hello.server_name() {
            // A client that is asked for another hello says the same again.
            let _same = self.name.set(name.to_ascii_lowercase());
        }
        self.certificates.resolve(hello)
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
        let certificates = Arc::new(Certificates { names, servers: keys });
        let config = server_config(servers[default].protocols, Arc::clone(&certificates), tickets);
        Ok((Self { config, certificates }, facts))
    }

    /// Shakes hands.
    ///
    /// # Cancel safety
    /// Not cancel safe: the connection is lost with the future.
    pub async fn accept(&self, stream: Stream) -> Result<Conn, AcceptError> {
        // A handshake starts with 0x16, a method with a letter. To the latter an alert means nothing.
        let first = stream.peek().await.map_err(AcceptError::Failed)?;
        if first.is_some_and(|byte| byte.is_ascii_alphabetic()) {
            return Err(AcceptError::PlainHttp(stream));
        }
        let certificates = Arc::clone(&self.certificates);
        let noting = Arc::new(Noting { certificates, name: OnceLock::new() });
        let mut config = self.config.clone();
        config.cert_resolver = Arc::<Noting>::clone(&noting);
        let shaken = match Session::server(Arc::new(config)) {
            Ok(session) => TlsStream::handshake(stream, session).await,
            Err(error) => Err(io::Error::other(error)),
        };
        let mut stream = shaken.map_err(AcceptError::Failed)?;
        stream.info_mut().server_name = noting.name.get().cloned();
        Ok(Conn::Tls(Box::new(stream)))
    }
}

fn server_config(
    versions: TlsVersions,
    certificates: Arc<Certificates>,
    tickets: Arc<dyn ProducesTickets>,
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
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = tickets;
    // One ticket is what clients use; each costs time in every handshake.
    config.send_tls13_tickets = 1;
    config.session_storage = rustls::server::ServerSessionMemoryCache::new(SESSIONS);
    config
}
