//! The client's side of TLS: rustls where it can, and a hello of our own for what no library of
//! today offers (old versions, suites without encryption).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::case::Tls;
use super::player::Io;
use super::wire::HOST;

/// The longest handshake.
const PATIENCE: Duration = Duration::from_secs(15);

/// Shakes hands as the case says.
pub async fn connect(offer: &Tls, stream: TcpStream) -> io::Result<Box<dyn Io>> {
    let old = offer.max.as_deref().and_then(old_version);
    if old.is_some() || offer.ciphers.is_some() {
        let suites = suites(offer.ciphers.as_deref());
        return timeout(PATIENCE, old_hello(stream, old.unwrap_or(0x0303), &suites)).await?;
    }
    let versions: Vec<&'static SupportedProtocolVersion> =
        match (offer.min.as_deref(), offer.max.as_deref()) {
            (Some("TLSv1_3"), _) => vec![&rustls::version::TLS13],
            (_, Some("TLSv1_2")) => vec![&rustls::version::TLS12],
            _ => vec![&rustls::version::TLS12, &rustls::version::TLS13],
        };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    config.alpn_protocols = offer.alpn.iter().map(|name| name.clone().into_bytes()).collect();
    let name = offer.sni.clone().unwrap_or_else(|| HOST.to_owned());
    config.enable_sni = !name.is_empty();
    let name = if name.is_empty() { HOST.to_owned() } else { name };
    let name = ServerName::try_from(name).map_err(io::Error::other)?;
    let connector = TlsConnector::from(Arc::new(config));
    let stream = timeout(PATIENCE, connector.connect(name, stream)).await??;
    Ok(Box::new(stream))
}

fn old_version(name: &str) -> Option<u16> {
    match name {
        "SSLv3" => Some(0x0300),
        "TLSv1" => Some(0x0301),
        "TLSv1_1" => Some(0x0302),
        _ => None,
    }
}

/// The suites that stand for OpenSSL's words in the corpus.
fn suites(words: Option<&str>) -> Vec<u16> {
    match words {
        Some("AES128-SHA") => vec![0x002f],
        Some("3DES") => vec![0x000a, 0xc012],
        Some("RC4") => vec![0x0005, 0xc011],
        Some("EXPORT") => vec![0x0003, 0x0006, 0x0008],
        Some(words) if words.contains("NULL") => {
            vec![0x0001, 0x0002, 0x003b, 0x0034, 0xc018, 0xc010]
        }
        _ => vec![0xc013, 0xc014, 0xc009, 0xc00a, 0x002f, 0x0035],
    }
}

/// Sends a hello and looks at what kind of record answers it: a handshake means that the server
/// takes the offer. It goes no further.
async fn old_hello(mut stream: TcpStream, version: u16, suites: &[u16]) -> io::Result<Box<dyn Io>> {
    stream.write_all(&hello(version, suites)).await?;
    let mut record = [0; 5];
    stream.read_exact(&mut record).await?;
    match record[0] {
        0x16 => Ok(Box::new(stream)),
        0x15 => Err(io::Error::other("alert")),
        other => Err(io::Error::other(format!("record of type {other}"))),
    }
}

fn hello(version: u16, suites: &[u16]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    body.extend([7; 32]);
    body.push(0);
    body.extend((suites.len() as u16 * 2).to_be_bytes());
    body.extend(suites.iter().flat_map(|suite| suite.to_be_bytes()));
    body.extend([1, 0]);
    let mut extensions = vec![0, 10, 0, 6, 0, 4, 0, 23, 0, 24];
    extensions.extend([0, 11, 0, 2, 1, 0]);
    if version >= 0x0303 {
        extensions.extend([0, 13, 0, 10, 0, 8, 4, 3, 4, 1, 2, 3, 2, 1]);
    }
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let mut out = vec![0x16, 3, 1];
    out.extend((body.len() as u16 + 4).to_be_bytes());
    out.extend([1, 0]);
    out.extend((body.len() as u16).to_be_bytes());
    out.extend(body);
    out
}

/// Whose certificate it is does not matter here.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
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
        rustls::crypto::aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
