//! Sessions of ours against each other, and against rustls' buffered kind, with the bytes cut anywhere.

use std::io::{Read as _, Write as _};

use proptest::prelude::*;
use rcgen::KeyPair;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{RootCertStore, SupportedProtocolVersion};

use super::*;

fn configs(version: &'static SupportedProtocolVersion) -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let key = KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["a.test".to_owned()]).unwrap();
    let certificate = CertificateDer::from(params.self_signed(&key).unwrap().der().to_vec());
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let provider = Arc::new(default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

/// A session with what it has received and what it has to send.
struct End {
    session: Session,
    plain: Vec<u8>,
    sealed: Sealed,
}

impl End {
    fn new(session: Session) -> Self {
        let mut end = Self { session, plain: Vec::new(), sealed: Sealed::default() };
        end.receive(&[]).unwrap();
        end
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        let mut records = vec![0; MAX_REST + bytes.len()];
        let rest = self.session.rest(&mut records);
        records[rest..rest + bytes.len()].copy_from_slice(bytes);
        let plain = &mut self.plain;
        let take = |bytes: &[u8]| plain.extend_from_slice(bytes);
        self.session.open(&mut records[..rest + bytes.len()], take, &mut self.sealed)
    }

    fn send(&mut self) -> Vec<u8> {
        let bytes = self.sealed.as_slice().to_vec();
        self.sealed.clear();
        bytes
    }
}

fn ends(version: &'static SupportedProtocolVersion) -> (End, End) {
    let (server, client) = configs(version);
    let client = Session::client(client, "a.test".try_into().unwrap()).unwrap();
    (End::new(Session::server(server).unwrap()), End::new(client))
}

/// Carries bytes both ways, in pieces of `cut`, until nobody has anything to say.
fn carry(server: &mut End, client: &mut End, cut: usize) {
    loop {
        let (to_client, to_server) = (server.send(), client.send());
        if to_client.is_empty() && to_server.is_empty() {
            return;
        }
        to_server.chunks(cut).for_each(|piece| server.receive(piece).unwrap());
        to_client.chunks(cut).for_each(|piece| client.receive(piece).unwrap());
    }
}

fn shaken(version: &'static SupportedProtocolVersion) -> (End, End) {
    let (mut server, mut client) = ends(version);
    carry(&mut server, &mut client, usize::MAX);
    assert!(!server.session.common().is_handshaking() && !client.session.common().is_handshaking());
    (server, client)
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 % 251) as u8).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn bytes_arrive_whole_however_they_are_cut(
        tls12 in any::<bool>(),
        cut in prop_oneof![1_usize..40, 40_usize..20_000],
        sizes in prop::collection::vec(0_usize..40_000, 1..4),
    ) {
        let version = if tls12 { &rustls::version::TLS12 } else { &rustls::version::TLS13 };
        let (mut server, mut client) = ends(version);
        carry(&mut server, &mut client, cut);
        let mut expected = Vec::new();
        for size in sizes {
            let bytes = pattern(size);
            client.session.seal(&bytes, &mut client.sealed).unwrap();
            server.session.seal(&bytes, &mut server.sealed).unwrap();
            expected.extend_from_slice(&bytes);
        }
        carry(&mut server, &mut client, cut);
        prop_assert_eq!(&server.plain, &expected);
        prop_assert_eq!(&client.plain, &expected);
        client.session.close(&mut client.sealed);
        carry(&mut server, &mut client, cut);
        prop_assert_eq!(server.session.ended(), Some(Ended::Closed));
        // The other direction is still open.
        server.session.seal(b"bye", &mut server.sealed).unwrap();
        carry(&mut server, &mut client, cut);
        prop_assert!(client.plain.ends_with(b"bye"));
        prop_assert_eq!(server.session.rest.capacity() + client.session.rest.capacity(), 0);
    }
}

#[test]
fn bytes_that_come_with_the_end_of_the_handshake_are_not_lost() {
    let (mut server, mut client) = ends(&rustls::version::TLS13);
    server.receive(&client.send()).unwrap();
    client.receive(&server.send()).unwrap();
    client.session.seal(b"GET / HTTP/1.1\r\n", &mut client.sealed).unwrap();
    server.receive(&client.send()).unwrap();
    assert_eq!(server.plain, b"GET / HTTP/1.1\r\n");
    assert!(!server.session.common().is_handshaking());
    assert!(!server.send().is_empty(), "tickets are behind it");
}

#[test]
fn an_idle_session_holds_no_record() {
    let (mut server, mut client) = shaken(&rustls::version::TLS13);
    client.session.seal(&pattern(16_384), &mut client.sealed).unwrap();
    let record = client.send();
    server.receive(&record[..10_000]).unwrap();
    assert_eq!((server.session.rest.len(), server.plain.len()), (10_000, 0));
    // It may speak meanwhile.
    server.session.seal(b"ping", &mut server.sealed).unwrap();
    server.receive(&record[10_000..]).unwrap();
    assert_eq!((server.session.rest.capacity(), server.plain.len()), (0, 16_384));
    carry(&mut server, &mut client, usize::MAX);
    assert_eq!(client.plain, b"ping");
}

#[test]
fn a_bad_record_is_the_end_and_what_came_before_it_counts() {
    let (mut server, mut client) = shaken(&rustls::version::TLS13);
    client.session.seal(b"good", &mut client.sealed).unwrap();
    client.session.seal(b"bad", &mut client.sealed).unwrap();
    client.session.seal(b"never seen", &mut client.sealed).unwrap();
    let mut records = client.send();
    // The first record is 4 + 22 bytes long, the header of the second 5.
    records[26 + 5] ^= 1;
    assert!(server.receive(&records).is_err());
    assert_eq!((&server.plain[..], server.session.ended()), (&b"good"[..], Some(Ended::Failed)));
    let alert = server.send();
    assert!(
        matches!(client.receive(&alert), Err(SessionError::Tls(Error::AlertReceived(_)))),
        "it is told"
    );
    assert!(server.session.seal(b"more", &mut server.sealed).is_err());
    server.session.close(&mut server.sealed);
    assert_eq!(server.send(), b"", "the alert was the last word");
}

#[test]
fn a_handshake_message_without_end_is_refused() {
    let (mut server, _) = ends(&rustls::version::TLS13);
    // Records of one byte each, of a hello that says it has 60,000.
    let mut hello = vec![1, 0, 0xea, 0x60];
    hello.resize(60_000, 0);
    let records: Vec<u8> = hello.iter().flat_map(|byte| [22, 3, 1, 0, 1, *byte]).collect();
    assert!(records.chunks(16_384).any(|piece| server.receive(piece).is_err()));
    assert_eq!(server.session.rest.capacity(), 0);
}

#[test]
fn keys_are_updated_on_both_sides() {
    let (server, client) = configs(&rustls::version::TLS13);
    let mut client = rustls::ClientConnection::new(client, "a.test".try_into().unwrap()).unwrap();
    let mut server = End::new(Session::server(server).unwrap());
    let exchange = |client: &mut rustls::ClientConnection, server: &mut End| {
        for _ in 0..4 {
            let mut bytes = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut bytes).unwrap();
            }
            server.receive(&bytes).unwrap();
            let bytes = server.send();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                client.read_tls(&mut rest).unwrap();
                client.process_new_packets().unwrap();
            }
        }
    };
    exchange(&mut client, &mut server);
    client.refresh_traffic_keys().unwrap();
    client.writer().write_all(b"new keys").unwrap();
    exchange(&mut client, &mut server);
    server.session.seal(b"new keys too", &mut server.sealed).unwrap();
    exchange(&mut client, &mut server);
    let mut seen = [0; 12];
    client.reader().read_exact(&mut seen).unwrap();
    assert_eq!((&server.plain[..], &seen), (&b"new keys"[..], b"new keys too"));
}
