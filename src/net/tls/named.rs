//! Certificates whose files are named by variables. They are read at each handshake, so that a new
//! file counts at once; where one cannot be used, the handshake is refused and the log says why.

use std::sync::Arc;

use rustls::sign::CertifiedKey;

use super::certificate::load_pair;
use crate::config::model::{CertificatePair, ListenAddr, NamedPair};
use crate::config::template::{Lookup, Var};
use crate::net::ClientAddr;

/// The two ends of a connection.
#[derive(Clone, Debug)]
pub struct Ends {
    /// The other one.
    pub client: ClientAddr,
    /// Ours.
    pub local: ListenAddr,
}

/// What is known of a client that says hello.
pub(super) struct Hello<'a> {
    pub(super) ends: &'a Ends,
    /// In lower case.
    pub(super) name: &'a str,
}

impl Lookup for Hello<'_> {
    fn lookup(&self, var: &Var, out: &mut String) {
        match (var, &self.ends.local) {
            (Var::SslServerName, _) => out.push_str(self.name),
            (Var::RemoteAddr, _) => match self.ends.client.ip() {
                Some(ip) => out.push_str(&ip.to_string()),
                None => out.push_str("unix:"),
            },
            (Var::ServerAddr, ListenAddr::Tcp(addr)) => out.push_str(&addr.ip().to_string()),
            (Var::ServerAddr, unix) => out.push_str(&unix.to_string()),
            (Var::ServerPort, ListenAddr::Tcp(addr)) => out.push_str(&addr.port().to_string()),
            // Validation lets no other through.
            _ => {}
        }
    }
}

/// Reads the pairs that these are for this client.
pub(super) fn load(pairs: &[NamedPair], hello: &Hello<'_>) -> Vec<Arc<CertifiedKey>> {
    let read = |pair: &NamedPair| {
        let file = |name: String| pair.dir.join(name);
        let pair = CertificatePair {
            certificate: file(pair.certificate.expand(hello)),
            key: file(pair.key.expand(hello)),
            passwords: pair.passwords.clone(),
        };
        load_pair(&pair)
            .map_err(|error| tracing::error!("a client is refused: {}", error.in_one_line()))
            .ok()
    };
    pairs.iter().filter_map(read).map(|(key, _)| key).collect()
}
