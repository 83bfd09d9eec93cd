//! A client's socket, plain or with TLS on top, that never blocks; and what waits to be written.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientSessionMemoryCache, Resumption};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, SignatureScheme,
};

/// How much is read at once.
const READ: usize = 64 * 1024;
/// The longest TLS record: so much of what came before may become readable with a read.
const RECORD: usize = 16 * 1024 + 256;

/// Buffers that all connections share.
pub struct Scratch {
    /// What was read, after decryption.
    pub plain: Vec<u8>,
    wire: Vec<u8>,
}

impl Scratch {
    pub fn new() -> Self {
        Self { plain: vec![0; READ + RECORD], wire: vec![0; READ] }
    }
}

/// What a read gave.
pub enum Got {
    /// So many bytes of `Scratch::plain`; whether the socket may have more.
    Bytes(usize, bool),
    Blocked,
    End,
}

pub enum Stream {
    Plain(TcpStream),
    Tls(TcpStream, Box<ClientConnection>),
}

impl Stream {
    pub fn new(socket: TcpStream, tls: Option<(&Arc<ClientConfig>, &str)>) -> io::Result<Self> {
        let Some((config, host)) = tls else { return Ok(Self::Plain(socket)) };
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let mut session = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
        // A message goes out in one piece, not with a record of its own for its last bytes.
        session.set_buffer_limit(None);
        Ok(Self::Tls(socket, Box::new(session)))
    }

    pub fn socket(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(socket) | Self::Tls(socket, _) => socket,
        }
    }

    pub fn is_resumed(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(_, session) => session.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }

    /// One read of the socket.
    pub fn read(&mut self, scratch: &mut Scratch) -> io::Result<Got> {
        let Scratch { plain, wire } = scratch;
        match self {
            Self::Plain(socket) => match socket.read(&mut plain[..READ]) {
                Ok(0) => Ok(Got::End),
                Ok(n) => Ok(Got::Bytes(n, n == READ)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Got::Blocked),
                Err(error) => Err(error),
            },
            Self::Tls(socket, session) => match socket.read(wire) {
                Ok(0) => Ok(Got::End),
                Ok(n) => {
                    let plain = decrypt(session, &wire[..n], plain)?;
                    Ok(Got::Bytes(plain, n == wire.len()))
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Got::Blocked),
                Err(error) => Err(error),
            },
        }
    }

    /// Writes what it can, of the session's own too.
    pub fn write(&mut self, out: &mut Out) -> io::Result<()> {
        match self {
            Self::Plain(socket) => while_open(|| out.write_to(socket)),
            Self::Tls(socket, session) => loop {
                while session.wants_write() {
                    match session.write_tls(socket) {
                        Ok(_) => {}
                        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                        Err(error) => return Err(error),
                    }
                }
                if out.write_to(&mut session.writer())? == 0 {
                    return Ok(());
                }
            },
        }
    }
}

/// Repeats a write until there is nothing more to write, or no room.
fn while_open(mut write: impl FnMut() -> io::Result<usize>) -> io::Result<()> {
    loop {
        match write() {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// What can be decrypted by now; `plain` has room for it and for a record that was incomplete.
fn decrypt(session: &mut ClientConnection, mut wire: &[u8], plain: &mut [u8]) -> io::Result<usize> {
    let mut at = 0;
    while !wire.is_empty() {
        session.read_tls(&mut wire)?;
        let state = session.process_new_packets().map_err(io::Error::other)?;
        let ready = at + state.plaintext_bytes_to_read();
        session.reader().read_exact(&mut plain[at..ready])?;
        at = ready;
    }
    Ok(at)
}

/// Bytes that wait to be written.
#[derive(Default)]
pub struct Out {
    pub bytes: Vec<u8>,
    at: usize,
}

impl Out {
    pub fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), at: 0 }
    }

    pub fn waiting(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// One write; 0 when there was nothing to write, or the writer takes no more.
    pub fn write_to(&mut self, writer: &mut impl Write) -> io::Result<usize> {
        if self.waiting() == 0 {
            return Ok(0);
        }
        let n = writer.write(&self.bytes[self.at..])?;
        self.at += n;
        if self.waiting() == 0 {
            self.bytes.clear();
            self.at = 0;
        }
        Ok(n)
    }

    /// Gives the memory back, once all is written.
    pub fn release(&mut self) {
        if self.waiting() == 0 {
            *self = Self::default();
        }
    }
}

/// The client's TLS: any certificate, one session kept when `resume`.
pub fn tls_config(resume: bool) -> Arc<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let schemes = provider.signature_verification_algorithms.supported_schemes();
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has both versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone(schemes)))
        .with_no_client_auth();
    config.resumption = if resume {
        Resumption::store(Arc::new(ClientSessionMemoryCache::new(8)))
    } else {
        Resumption::disabled()
    };
    Arc::new(config)
}

/// Believes every certificate: the bench is about the server's work, not the client's.
#[derive(Debug)]
struct Anyone(Vec<SignatureScheme>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}
