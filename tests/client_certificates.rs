//! Certificates of clients and handshakes that are refused, over real TLS; in TOML and in
//! nginx.conf.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::nginx::Running;
use crate::support::address;
use crate::support::certs::{Authority, Leaf};
use crate::support::client::read_all;
use crate::support::proxy::Proxy;

const TOML: &str = r#"
ssl_certificate = "server.pem"
ssl_certificate_key = "server.key.pem"
ssl_client_certificate = "ca.pem"
add_header = { X-Verify = "$ssl_client_verify", X-Name = "$ssl_client_s_dn" }
[[server]]
listen = "LISTEN ssl"
server_name = "on.test"
ssl_verify_client = "on"
return = "200 served"
[[server]]
listen = "LISTEN ssl"
server_name = "optional.test"
ssl_verify_client = "optional"
return = "200 served"
[[server]]
listen = "LISTEN ssl"
server_name = "any.test"
ssl_verify_client = "optional_no_ca"
return = "200 served"
[[server]]
listen = "LISTEN ssl"
server_name = "off.test"
return = "200 served"
[[server]]
listen = "LISTEN ssl"
server_name = "refused.test"
ssl_reject_handshake = true
return = 404
"#;

const NGINX: &str = "
events {}
http {
    ssl_certificate server.pem;
    ssl_certificate_key server.key.pem;
    ssl_client_certificate ca.pem;
    add_header X-Verify $ssl_client_verify;
    add_header X-Name $ssl_client_s_dn;
    server { listen LISTEN ssl; server_name on.test; ssl_verify_client on; return 200 served; }
    server { listen LISTEN ssl; server_name optional.test; ssl_verify_client optional; return 200 served; }
    server { listen LISTEN ssl; server_name any.test; ssl_verify_client optional_no_ca; return 200 served; }
    server { listen LISTEN ssl; server_name off.test; return 200 served; }
    server { listen LISTEN ssl; server_name refused.test; ssl_reject_handshake on; }
}
";

/// What a client with this certificate is answered.
async fn ask(
    addr: SocketAddr,
    authority: &Authority,
    leaf: Option<&Leaf>,
    sni: &str,
    host: &str,
) -> Result<String, std::io::Error> {
    let mut config = Arc::unwrap_or_clone(authority.client());
    if let Some(leaf) = leaf {
        let chain = vec![CertificateDer::from_pem_file(&leaf.certificate).unwrap()];
        let key = PrivateKeyDer::from_pem_file(&leaf.key).unwrap();
        let provider = Arc::clone(config.crypto_provider());
        let key = provider.key_provider.load_private_key(key).unwrap();
        let key = rustls::sign::CertifiedKey::new(chain, key);
        config.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(key));
    }
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from(sni.to_owned()).unwrap();
    let mut stream = connector.connect(name, TcpStream::connect(addr).await?).await?;
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    Ok(read_all(&mut stream).await)
}

struct Clients {
    authority: Authority,
    good: Leaf,
    stranger: Leaf,
    expired: Leaf,
    _elsewhere: TempDir,
}

fn clients(folder: &Path) -> Clients {
    let authority = Authority::new(folder);
    let hosts = ["on.test", "optional.test", "any.test", "off.test", "refused.test"];
    authority.leaf("server", &hosts);
    let elsewhere = tempfile::tempdir().unwrap();
    let stranger = Authority::new(elsewhere.path()).leaf("stranger", &["stranger.test"]);
    let good = authority.leaf("good", &["client.test"]);
    let expired = authority.expired_leaf("expired", &["client.test"]);
    Clients { authority, good, stranger, expired, _elsewhere: elsewhere }
}

async fn check(addr: SocketAddr, clients: &Clients) {
    let Clients { authority, good, stranger, expired, .. } = clients;
    for (sni, leaf, status, verified) in [
        ("on.test", None, "400", ""),
        ("on.test", Some(good), "200", "SUCCESS"),
        ("on.test", Some(stranger), "400", ""),
        ("on.test", Some(expired), "400", ""),
        ("optional.test", None, "200", "NONE"),
        ("optional.test", Some(good), "200", "SUCCESS"),
        ("optional.test", Some(stranger), "400", ""),
        ("any.test", Some(stranger), "200", "FAILED:unable to verify the first certificate"),
        ("any.test", Some(expired), "400", ""),
        ("off.test", Some(good), "200", "NONE"),
    ] {
        let answer = ask(addr, authority, leaf, sni, sni).await.unwrap();
        let head = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&head), "{sni} {verified}: {answer}");
        if !verified.is_empty() {
            let lower = answer.to_ascii_lowercase();
            let field = format!("x-verify: {}\r\n", verified.to_ascii_lowercase());
            assert!(lower.contains(&field), "{sni}: {answer}");
        }
    }
    let named = ask(addr, authority, Some(good), "on.test", "on.test").await.unwrap();
    assert!(named.contains("CN=rcgen self signed cert"), "{named}");
    // Who was let in under one name does not speak to another that looks at certificates.
    let other = ask(addr, authority, None, "off.test", "optional.test").await.unwrap();
    assert!(other.starts_with("HTTP/1.1 421 "), "{other}");
    let refused = ask(addr, authority, None, "refused.test", "refused.test").await.unwrap_err();
    assert!(refused.to_string().contains("UnrecognisedName"), "{refused}");
}

#[tokio::test]
async fn clients_are_asked_as_their_server_wants_it() {
    let folder = Proxy::folder();
    let clients = clients(folder.path());
    let listen = address(8443);
    let config = TOML.replace("LISTEN", &listen.to_string());
    let _proxy = Proxy::start_in(folder, &config).await;
    check(listen, &clients).await;
}

#[tokio::test]
async fn an_nginx_conf_asks_them_too() {
    let folder = Proxy::folder();
    let clients = clients(folder.path());
    let listen = address(8443);
    let file = folder.path().join("nginx.conf");
    std::fs::write(&file, NGINX.replace("LISTEN", &listen.to_string())).unwrap();
    let _running = Running::start(&file, listen).await;
    check(listen, &clients).await;
}
