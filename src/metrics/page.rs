//! The page of all metrics, in Prometheus' text format 0.0.4.

use std::io::Write as _;
use std::sync::PoisonError;

use flate2::Compression;
use flate2::write::GzEncoder;
use prometheus::{Encoder as _, TextEncoder};

use super::{Metrics, cells};

impl Metrics {
    /// The page, `text/plain; version=0.0.4; charset=utf-8`.
    pub fn encode(&self) -> Vec<u8> {
        let tunnels: Vec<_> = {
            let all = self.tunnels.lock().unwrap_or_else(PoisonError::into_inner);
            all.values().cloned().collect()
        };
        let mut families = self.registry.gather();
        let workers = self.workers.iter().map(AsRef::as_ref);
        families.extend(cells::families(tunnels.iter().map(AsRef::as_ref), workers));
        let mut page = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&families, &mut page) {
            tracing::error!("the metrics cannot be encoded: {error}");
        }
        page
    }

    /// The page, compressed by gzip.
    pub fn encode_gzip(&self) -> Vec<u8> {
        let page = self.encode();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        // Writing to memory does not fail; if it did, an empty page would show it.
        let written = encoder.write_all(&page);
        written.and_then(|()| encoder.finish()).unwrap_or_default()
    }
}

/// Whether an `Accept-Encoding` takes gzip (RFC 9110 §12.5.3).
pub fn accepts_gzip(header: Option<&str>) -> bool {
    let refused = |params: &str| {
        let weight = params.trim().strip_prefix("q=").and_then(|q| q.trim().parse::<f32>().ok());
        weight == Some(0.0)
    };
    header.is_some_and(|value| {
        value.split(',').any(|member| {
            let (coding, params) = member.split_once(';').unwrap_or((member, ""));
            coding.trim().eq_ignore_ascii_case("gzip") && !refused(params)
        })
    })
}
