//! TLS with real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::config::model::{
    Action, Auth, CertificatePair, FieldNames, ListenAddr, Location, LocationPath, NamedPair,
    ProxyTls, RealIp, RealIpHeader, Server, ServerName, Sessions, TlsVersions,
};
use crate::config::template::Template;
use crate::net::{ClientAddr, Conn, Stream};

struct Files {
    folder: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Files {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    fn pair(&self, name: &str, host: &str, key: &KeyPair) -> CertificatePair {
        let params = CertificateParams::new([host.to_owned()]).unwrap();
        let (certificate, key_file) = (
            self.folder.path().join(format!("{name}.pem")),
            self.folder.path().join(format!("{name}.key")),
        );
        std::fs::write(&certificate, params.signed_by(key, &self.issuer).unwrap().pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        CertificatePair { certificate, key: key_file, passwords: None }
    }

    fn connector(&self, name: &str) -> Connector {
        Connector::new(&ProxyTls {
            verify: true,
            name: name.to_owned(),
            server_name: true,
            trusted_certificate: Some(self.folder.path().join("ca.pem")),
            certificate: None,
            session_reuse: true,
        })
        .unwrap()
    }
}

fn server(host: &str, certificates: Vec<CertificatePair>) -> Server {
    let second = Duration::from_secs(1);
    Server {
        label: host.to_owned(),
        names: vec![ServerName::Exact(host.to_owned())],
        certificates,
        named_certificates: Vec::new(),
        protocols: TlsVersions { tls12: true, tls13: true },
        sessions: Sessions { tickets: true, cache: true, timeout: second * 60 },
        reject_handshake: false,
        clients: None,
        ssl_handshake_timeout: second,
        client_header_timeout: second,
        client_body_timeout: second,
        send_timeout: second,
        max_head_size: 32768,
        max_headers: 100,
        lenient_heads: false,
        other_upgrades: false,
        field_names: FieldNames { underscores: false, unusual: true },
        merge_slashes: true,
        own: Arc::new(nowhere()),
        locations: Vec::new(),
    }
}

fn nowhere() -> Location {
    Location {
        name: "/".to_owned(),
        path: LocationPath::Prefix { path: "/".to_owned(), no_regex: false },
        nested: Vec::new(),
        internal: false,
        script: Vec::new(),
        branches: Vec::new(),
        keepalive_timeout: Duration::ZERO,
        keepalive_requests: 1,
        keepalive_time: None,
        keepalive_header: None,
        error_pages: Vec::new(),
        recursive_error_pages: false,
        action: Action::Nothing,
        access: Vec::new(),
        real_ip: RealIp {
            from: Vec::new(),
            header: RealIpHeader::ProxyProtocol,
            recursive: false,
            proxied_is_client: false,
        },
        add_headers: Vec::new(),
        client_max_body_size: None,
        client_body_buffer_size: 0,
        limits: crate::config::model::Limits::default(),
        files: None,
        try_files: None,
        types: crate::config::model::Types::default(),
        redirects: crate::config::model::Redirects::default(),
        expires: None,
        html_errors: false,
        auth: Auth::default(),
        ssi: None,
        rate: None,
        gzip: None,
        access_logs: Vec::new(),
    }
}

async fn pair() -> (Stream, Stream) {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (Stream::Tcp(client), Stream::Tcp(listener.accept().await.unwrap().0))
}

fn ends() -> Ends {
    let client = ClientAddr::from_ip(SocketAddr::from(([127, 0, 0, 9], 7)));
    Ends { client, local: ListenAddr::Tcp(SocketAddr::from(([127, 0, 0, 1], 443))) }
}

async fn shake(
    acceptor: &Acceptor,
    connector: &Connector,
) -> (std::io::Result<Conn>, Result<Conn, AcceptError>) {
    let (client, server) = pair().await;
    tokio::join!(connector.connect(client), acceptor.accept(server, ends()))
}

fn issued_to(conn: &Conn) -> Vec<u8> {
    let Conn::Tls(stream) = conn else { panic!("no TLS") };
    stream.session().common().peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn the_name_picks_the_certificate_and_sessions_outlive_the_acceptor() {
    let files = Files::new();
    let key = KeyPair::generate().unwrap();
    let a = server("a.test", vec![files.pair("a", "a.test", &key)]);
    let b = server("b.test", vec![files.pair("b", "b.test", &key)]);
    let tickets = tickets().unwrap();
    let (acceptor, facts) = Acceptor::new(&[&a, &b], 0, Arc::clone(&tickets)).unwrap();
    assert_eq!(
        facts.iter().map(|(at, f)| (*at, f.names.join(","))).collect::<Vec<_>>(),
        [(0, "a.test".to_owned()), (1, "b.test".to_owned())]
    );
    let connector = files.connector("b.test");
    let (client, accepted) = shake(&acceptor, &connector).await;
    let (mut client, mut accepted) = (client.unwrap(), accepted.unwrap());
    let info = accepted.tls_info().unwrap();
    assert_eq!((info.protocol, info.resumed), ("TLSv1.3", false));
    assert_eq!(info.server_name.as_deref(), Some("b.test"));
    assert!(info.cipher.starts_with("TLS_"));
    // The ticket comes with the first bytes.
    accepted.write_all(b"x").await.unwrap();
    client.read_u8().await.unwrap();
    let (reloaded, _) = Acceptor::new(&[&a, &b], 0, tickets).unwrap();
    let (client, accepted) = shake(&reloaded, &connector).await;
    client.unwrap();
    assert!(accepted.unwrap().tls_info().unwrap().resumed);
    let (client, _) = shake(&acceptor, &files.connector("c.test")).await;
    assert!(client.is_err(), "the default's certificate is not for another name");
}

#[tokio::test]
async fn the_client_s_schemes_pick_the_key() {
    let files = Files::new();
    let ecdsa = KeyPair::generate().unwrap();
    let rsa = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let pairs = vec![files.pair("rsa", "a.test", &rsa), files.pair("ecdsa", "a.test", &ecdsa)];
    let server = server("a.test", pairs.clone());
    let (acceptor, _) = Acceptor::new(&[&server], 0, tickets().unwrap()).unwrap();
    let (client, accepted) = shake(&acceptor, &files.connector("a.test")).await;
    accepted.unwrap();
    let leaf = load_pair(&pairs[1]).unwrap().0.cert[0].to_vec();
    assert_eq!(issued_to(&client.unwrap()), leaf, "ECDSA is preferred");
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|suite| {
        format!("{:?}", suite.suite()).contains("RSA_WITH")
            && !format!("{:?}", suite.suite()).contains("ECDSA")
    });
    let mut roots = rustls::RootCertStore::empty();
    for root in certificate::load_certificates(&files.folder.path().join("ca.pem")).unwrap() {
        roots.add(root).unwrap();
    }
    let old = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (client, server) = pair().await;
    let name = rustls::pki_types::ServerName::try_from("a.test").unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(old));
    let (client, accepted) =
        tokio::join!(connector.connect(name, client), acceptor.accept(server, ends()));
    client.unwrap();
    let accepted = accepted.unwrap();
    let info = accepted.tls_info().unwrap();
    assert_eq!(info.cipher, "ECDHE-RSA-AES256-GCM-SHA384");
    // The last says that a handshake is no renegotiation (RFC 5746 §3.3).
    assert_eq!(
        info.offered(),
        "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305:0x00ff"
    );
}

#[tokio::test]
async fn plain_http_is_given_back() {
    let files = Files::new();
    let server = server("a.test", vec![files.pair("a", "a.test", &KeyPair::generate().unwrap())]);
    let (acceptor, _) = Acceptor::new(&[&server], 0, tickets().unwrap()).unwrap();
    let (mut client, accepted) = pair().await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
    let Err(AcceptError::PlainHttp(mut stream)) = acceptor.accept(accepted, ends()).await else {
        panic!("taken for TLS");
    };
    stream.write_all(b"HTTP/1.1 400").await.unwrap();
    drop(stream);
    let mut seen = Vec::new();
    // What was not read makes it a reset.
    let _reset = client.read_to_end(&mut seen).await;
    assert!(seen.is_empty() || seen == b"HTTP/1.1 400", "no alert comes first: {seen:?}");
}

#[tokio::test]
async fn a_foreign_key_is_refused_with_its_file() {
    let files = Files::new();
    let mut pair = files.pair("a", "a.test", &KeyPair::generate().unwrap());
    pair.key = files.pair("b", "a.test", &KeyPair::generate().unwrap()).key;
    let error = load_pair(&pair).unwrap_err();
    assert_eq!(error.file, pair.key);
    assert!(error.message.contains("does not belong"), "{error}");
    std::fs::write(&pair.key, "junk").unwrap();
    assert!(load_pair(&pair).unwrap_err().message.contains("no private key"));
    std::fs::write(&pair.certificate, "junk").unwrap();
    assert!(load_pair(&pair).unwrap_err().message.contains("no certificate"));
}

#[test]
fn operators_are_warned() {
    let facts = CertificateFacts {
        names: vec!["*.a.test".to_owned(), "b.test".to_owned()],
        subject: "CN=x".to_owned(),
        not_before: 100,
        not_after: 200,
    };
    let names = |names: &[&str]| -> Vec<ServerName> {
        names.iter().map(|name| ServerName::Exact((*name).to_owned())).collect()
    };
    assert!(facts.warnings(150, &names(&["x.a.test", "b.test", "_"])).is_empty());
    assert_eq!(facts.warnings(150, &names(&["a.test", "x.y.a.test"])).len(), 2);
    assert!(facts.warnings(201, &[])[0].contains("expired"));
    assert!(facts.warnings(99, &[])[0].contains("not valid yet"));
}

#[tokio::test]
async fn a_file_named_by_the_client_is_read_at_each_handshake() {
    let files = Files::new();
    let mut named = server("named.test", Vec::new());
    named.named_certificates = vec![NamedPair {
        dir: files.folder.path().to_owned(),
        certificate: Template::with_built_in("$ssl_server_name-$remote_addr-$server_port.pem"),
        key: Template::with_built_in("$ssl_server_name-$remote_addr-$server_port.key"),
        passwords: None,
    }];
    let (acceptor, facts) = Acceptor::new(&[&named], 0, tickets().unwrap()).unwrap();
    assert!(facts.is_empty());
    let connector = files.connector("one.test");
    let (client, server) = shake(&acceptor, &connector).await;
    assert!(client.is_err() && server.is_err(), "there is no such file yet");
    let pair = |host| files.pair("one.test-127.0.0.9-443", host, &KeyPair::generate().unwrap());
    pair("one.test");
    let (client, _) = shake(&acceptor, &connector).await;
    assert!(client.is_ok(), "{client:?}");
    pair("two.test");
    let (client, _) = shake(&acceptor, &files.connector("one.test")).await;
    assert!(client.is_err(), "the certificate is another's now");
}

#[tokio::test]
async fn a_session_is_not_resumed_under_another_certificate() {
    let files = Files::new();
    let tickets = tickets().unwrap();
    let pair = |name| files.pair(name, "a.test", &KeyPair::generate().unwrap());
    let (one, two) = (server("a.test", vec![pair("one")]), server("a.test", vec![pair("two")]));
    let acceptor = |server| Acceptor::new(&[server], 0, Arc::clone(&tickets)).unwrap().0;
    let connector = files.connector("a.test");
    for (server, resumes) in [(&one, false), (&one, true), (&two, false), (&two, true)] {
        // A new acceptor each time, as after a reload.
        let (client, server) = shake(&acceptor(server), &connector).await;
        let (mut client, mut server) = (client.unwrap(), server.unwrap());
        assert_eq!(server.tls_info().unwrap().resumed, resumes);
        // The ticket comes with the first bytes.
        server.write_all(b"x").await.unwrap();
        client.read_u8().await.unwrap();
    }
}
