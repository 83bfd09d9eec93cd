//! The page as a scraper sees it.

use std::collections::HashSet;
use std::time::Duration;

use super::*;
use crate::ending::{Cause, Ending, Initiator};

fn page(metrics: &Metrics) -> String {
    String::from_utf8(metrics.encode()).unwrap()
}

fn full() -> Arc<Metrics> {
    let metrics = Metrics::new(2);
    metrics.listener("127.0.0.1:80").handshake(HandshakeResult::Full, Duration::from_millis(3));
    metrics.server("a").request(200, Duration::from_millis(5));
    metrics.upstream("u").retried();
    metrics.set_certificates(&[("a".to_owned(), "CN=a".to_owned(), 1_900_000_000)]);
    let series = metrics.tunnels("a", "u");
    series.upgrade(UpgradeResult::Accepted);
    series.opened();
    series.cells(0).text[0].add(2);
    series.cells(1).text[0].add(3);
    series.cells(1).payload[1].add(77);
    metrics
}

#[test]
fn the_page_is_well_formed() {
    let metrics = full();
    let _peer = metrics.peer("u", "127.0.0.1:1");
    let page = page(&metrics);
    let (mut families, mut series) = (HashSet::new(), HashSet::new());
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(families.insert(name.to_owned()), "{name} stands twice");
            assert!(name.starts_with("wayhold_") || name.starts_with("process_"), "{name}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(series.insert(name.to_owned()), "{name} stands twice");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
    assert!(families.contains("wayhold_ws_tunnels_active"));
    assert!(families.contains("process_resident_memory_bytes"));
}

#[test]
fn the_cells_of_all_workers_are_summed() {
    let page = page(&full());
    let text =
        "wayhold_ws_messages_total{direction=\"in\",server=\"a\",type=\"text\",upstream=\"u\"} 5";
    assert!(
        page.lines().any(|line| sorted(line) == sorted(text)),
        "{}",
        page.lines().filter(|l| l.contains("ws_messages")).collect::<Vec<_>>().join("\n")
    );
    assert!(page.contains("wayhold_ws_payload_bytes_total"));
}

/// A line with its labels in order.
fn sorted(line: &str) -> String {
    let Some((name, rest)) = line.split_once('{') else {
        return line.to_owned();
    };
    let Some((labels, value)) = rest.split_once('}') else {
        return line.to_owned();
    };
    let mut labels: Vec<_> = labels.split(',').collect();
    labels.sort_unstable();
    format!("{name}{{{}}}{value}", labels.join(","))
}

#[test]
fn an_ending_is_counted_once() {
    let metrics = full();
    let series = metrics.tunnels("a", "u");
    let ending = Ending {
        initiator: Initiator::Proxy,
        cause: Cause::DeadPeer,
        code: Some(1001),
        clean: false,
    };
    series.closed(&ending, Duration::from_secs(3));
    let page = page(&metrics);
    assert!(page.contains("wayhold_ws_proxy_closes_total{cause=\"dead_peer\",server=\"a\"} 1"));
    assert!(page.contains("code=\"1001\",initiator=\"proxy\",server=\"a\",upstream=\"u\"} 1"));
    assert!(
        page.contains("wayhold_ws_tunnels_active{server=\"a\",transport=\"h1\",upstream=\"u\"} 0")
    );
}

#[test]
fn a_peer_s_series_go_with_it_and_a_pair_s_stay() {
    let metrics = full();
    let peer = metrics.peer("u", "127.0.0.1:1");
    peer.connect(ConnectResult::Refused);
    assert!(page(&metrics).contains("peer=\"127.0.0.1:1\""));
    drop(peer);
    assert!(!page(&metrics).contains("peer=\"127.0.0.1:1\""));
    assert!(Arc::ptr_eq(&metrics.tunnels("a", "u"), &metrics.tunnels("a", "u")));
}

#[test]
fn codes_that_endpoints_invent_are_few_labels() {
    let labels = [None, Some(0), Some(1006), Some(3001), Some(4999), Some(5000)];
    let labels: Vec<String> = labels.into_iter().map(series::code_label).collect();
    assert_eq!(labels, ["other", "other", "1006", "3xxx", "4xxx", "other"]);
}

#[test]
fn gzip_is_given_to_those_who_ask() {
    assert!(accepts_gzip(Some("deflate, gzip;q=0.5")));
    assert!(!accepts_gzip(Some("gzip;q=0")));
    assert!(!accepts_gzip(Some("identity")));
    assert!(!accepts_gzip(None));
    assert_eq!(full().encode_gzip()[..2], [0x1f, 0x8b]);
}
