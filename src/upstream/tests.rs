//! Picking and connecting, with real sockets.

use std::net::SocketAddr;

use super::*;
use crate::config::model::Balance;

fn peer(addr: SocketAddr) -> model::Peer {
    model::Peer {
        name: addr.to_string(),
        addr: PeerAddr::Tcp(addr),
        weight: 1,
        max_fails: 1,
        fail_timeout: Duration::from_secs(10),
        max_conns: None,
        backup: false,
        down: false,
    }
}

fn group(peers: Vec<model::Peer>) -> model::Upstream {
    model::Upstream {
        name: "u".to_owned(),
        peers,
        balance: Balance::LeastConn,
        hash: None,
        keepalive: 32,
        keepalive_timeout: Duration::from_secs(60),
        keepalive_requests: 1000,
        keepalive_time: None,
        last_resort: true,
    }
}

fn peers(count: u8) -> Vec<model::Peer> {
    (1..=count).map(|n| peer(SocketAddr::from(([127, 0, 0, n], 9)))).collect()
}

fn registry() -> Registry {
    Registry::new(Metrics::new(1))
}

fn addrs(leases: &[Lease]) -> Vec<String> {
    leases.iter().map(|lease| lease.addr().to_string()).collect()
}

#[tokio::test]
async fn counts_survive_a_reload() {
    let registry = registry();
    let before = registry.upstream(&group(peers(2)));
    let leases: Vec<Lease> = (0..6).map(|_| before.pick(&[], b"").unwrap()).collect();
    let mut three = peers(3);
    three[0].weight = 2;
    let after = registry.upstream(&group(three));
    drop(before);
    let next: Vec<Lease> = (0..3).map(|_| after.pick(&[], b"").unwrap()).collect();
    assert_eq!(addrs(&next)[..2], ["127.0.0.3:9", "127.0.0.3:9"], "the new one has the fewest");
    drop(leases);
    let empty = after.pick(&[], b"").unwrap();
    assert_ne!(empty.addr(), "127.0.0.3:9", "all leases were given back");
}

#[tokio::test(start_paused = true)]
async fn a_failed_peer_is_left_out_and_then_tried_again() {
    let upstream = registry().upstream(&group(peers(2)));
    let lease = upstream.pick(&[], b"").unwrap();
    lease.failed();
    let failed = lease.peer();
    drop(lease);
    for _ in 0..4 {
        assert_ne!(upstream.pick(&[], b"").unwrap().peer(), failed);
    }
    tokio::time::advance(Duration::from_secs(11)).await;
    let again: Vec<Lease> = (0..2).map(|_| upstream.pick(&[], b"").unwrap()).collect();
    assert!(again.iter().any(|lease| lease.peer() == failed));
}

#[tokio::test]
async fn when_all_have_failed_one_is_tried_all_the_same() {
    let upstream = registry().upstream(&group(peers(2)));
    let leases: Vec<Lease> = (0..2).map(|_| upstream.pick(&[], b"").unwrap()).collect();
    leases.iter().for_each(Lease::failed);
    let tried: Vec<usize> = leases.iter().map(Lease::place).collect();
    assert!(upstream.pick(&[], b"").is_some());
    assert!(upstream.pick(&tried[..1], b"").is_some_and(|lease| lease.place() == tried[1]));
    assert!(upstream.pick(&tried, b"").is_none());
}

#[tokio::test(start_paused = true)]
async fn without_last_resort_nobody_is_tried_until_the_time_is_over() {
    let mut config = group(peers(2));
    config.last_resort = false;
    let upstream = registry().upstream(&config);
    for _ in 0..2 {
        upstream.pick(&[], b"").unwrap().failed();
    }
    assert!(upstream.pick(&[], b"").is_none());
    tokio::time::advance(Duration::from_secs(11)).await;
    assert!(upstream.pick(&[], b"").is_some());
}

#[tokio::test]
async fn backups_wait_until_no_other_is_left_and_down_ones_are_never_picked() {
    let mut peers = peers(4);
    peers[1].backup = true;
    peers[2].down = true;
    peers[3].max_conns = Some(1);
    let upstream = registry().upstream(&group(peers));
    let leases: Vec<Lease> = (0..3).map(|_| upstream.pick(&[], b"").unwrap()).collect();
    let mut picked = addrs(&leases);
    picked.sort();
    assert_eq!(picked, ["127.0.0.1:9", "127.0.0.1:9", "127.0.0.4:9"]);
    let first = leases.iter().find(|l| l.addr() == "127.0.0.1:9").unwrap();
    first.failed();
    assert_eq!(upstream.pick(&[], b"").unwrap().addr().to_string(), "127.0.0.2:9");
}

fn options(timeout: Duration) -> ConnectOptions {
    ConnectOptions { timeout, bind: Vec::new(), next_bind: AtomicUsize::new(0), tls: None }
}

#[tokio::test]
async fn a_connect_is_counted_and_its_failure_classified() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let upstream = registry().upstream(&group(vec![peer(addr)]));
    let mut options = options(Duration::from_secs(5));
    options.bind = vec!["127.0.0.7".parse().unwrap(), "::1".parse().unwrap()];
    let lease = upstream.pick(&[], b"").unwrap();
    let conn = connect(&lease, &options).await.unwrap();
    let (_, client) = listener.accept().await.unwrap();
    assert_eq!(client.ip().to_string(), "127.0.0.7");
    drop((conn, listener));
    let error = connect(&lease, &options).await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused(_)), "{error}");
}

#[tokio::test]
async fn two_peers_of_one_address_are_two() {
    let mut peers = peers(2);
    peers[1].addr = peers[0].addr.clone();
    let upstream = registry().upstream(&group(peers));
    let first = upstream.pick(&[], b"").unwrap();
    first.failed();
    let second = upstream.pick(&[first.place()], b"").unwrap();
    assert_eq!(first.addr(), second.addr());
    assert!(first.place() != second.place() && first.peer() != second.peer());
    assert!(upstream.pick(&[0, 1], b"").is_none());
    assert!(upstream.has_other(&[0]) && !upstream.has_other(&[0, 1]));
}
