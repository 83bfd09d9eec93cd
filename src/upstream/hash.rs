//! Which peer a key belongs to, as nginx computes it: a client must find the same peer whichever of
//! the two stands in front, and `hash … consistent` the same as memcached's clients do. Pure.

/// Points of a peer on the ring, for each of its weight.
const POINTS: u32 = 160;

/// Where `ip_hash` starts.
pub(super) const IP_START: u32 = 89;

/// The remainders of CRC-32 (IEEE 802.3) for each byte.
const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { 0xedb8_8320 ^ (value >> 1) } else { value >> 1 };
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
}

/// CRC-32 that can be gone on with from any point, which the points of a ring need.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crc(u32);

impl Crc {
    pub(super) const fn new() -> Self {
        Self(u32::MAX)
    }

    pub(super) fn and(self, bytes: &[u8]) -> Self {
        let step = |crc: u32, byte: &u8| TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8);
        Self(bytes.iter().fold(self.0, step))
    }

    pub(super) const fn value(self) -> u32 {
        !self.0
    }
}

/// The `again`th step of `hash` for this key, to be added to what the steps before it gave.
pub(super) fn step(key: &[u8], again: u32) -> u32 {
    let crc = if again == 0 { Crc::new() } else { Crc::new().and(again.to_string().as_bytes()) };
    (crc.and(key).value() >> 16) & 0x7fff
}

/// The next value of `ip_hash`: of an IPv4 address the first three bytes count, of an IPv6 address
/// all, and of whoever comes over a Unix socket three zeros.
pub(super) fn ip_step(hash: u32, addr: &[u8]) -> u32 {
    addr.iter().fold(hash, |hash, byte| (hash * 113 + u32::from(*byte)) % 6271)
}

/// The place of the peer that `point` falls to, where each has a stretch as long as its weight.
pub(super) fn by_weight(weights: impl Iterator<Item = u32> + Clone, point: u64) -> Option<usize> {
    let total: u64 = weights.clone().map(u64::from).sum();
    let mut left = point.checked_rem(total)?;
    weights.enumerate().find_map(|(place, weight)| {
        let weight = u64::from(weight);
        let hit = left < weight;
        left = left.saturating_sub(weight);
        hit.then_some(place)
    })
}

/// The ring of `hash … consistent`: a peer that comes or goes moves only the keys of its own points.
#[derive(Clone, Debug, Default)]
pub(super) struct Ring {
    /// By hash, each hash once; the second is the place of the name.
    points: Vec<(u32, usize)>,
}

impl Ring {
    /// Of names as written in `server`, with their weights. The addresses of one name share its points.
    pub(super) fn new<'a>(servers: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let mut points = Vec::new();
        for (place, (name, weight)) in servers.enumerate() {
            let (host, port) = split(name);
            let base = Crc::new().and(host.as_bytes()).and(&[0]).and(port.as_bytes());
            let mut hash = 0_u32;
            for _ in 0..weight.saturating_mul(POINTS) {
                hash = base.and(&hash.to_le_bytes()).value();
                points.push((hash, place));
            }
        }
        // Stable: of two points in one spot the one written first stays.
        points.sort_by_key(|(hash, _)| *hash);
        points.dedup_by_key(|(hash, _)| *hash);
        Self { points }
    }

    /// The first point at or behind a key's hash; one behind the last is the first again.
    pub(super) fn find(&self, key: &[u8]) -> usize {
        let hash = Crc::new().and(key).value();
        self.points.partition_point(|(point, _)| *point < hash)
    }

    /// The place of the name that a point belongs to.
    pub(super) fn server(&self, point: usize) -> Option<usize> {
        let point = point.checked_rem(self.points.len())?;
        self.points.get(point).map(|(_, place)| *place)
    }
}

/// Host and port of a name; digits behind the last colon are a port.
fn split(name: &str) -> (&str, &str) {
    if let Some(prefix) = name.get(..5)
        && prefix.eq_ignore_ascii_case("unix:")
    {
        return (&name[5..], "");
    }
    match name.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
        _ => (name, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(Crc::new().and(b"123456789").value(), 0xcbf4_3926);
        assert_eq!(Crc::new().and(b"1234").and(b"56789").value(), 0xcbf4_3926);
        assert_eq!(Crc::new().value(), 0);
    }

    #[test]
    fn names_are_split_as_nginx_does() {
        for (name, host, port) in [
            ("127.0.0.1:8081", "127.0.0.1", "8081"),
            ("backend", "backend", ""),
            ("[::1]:80", "[::1]", "80"),
            ("[::1]", "[::1]", ""),
            ("unix:/run/a:1", "/run/a:1", ""),
            ("UNIX:/run/a", "/run/a", ""),
        ] {
            assert_eq!(split(name), (host, port), "{name}");
        }
    }

    #[test]
    fn stretches_are_as_long_as_weights() {
        let weights = [2, 1, 3];
        let at = |point| by_weight(weights.into_iter(), point);
        let places: Vec<_> = (0..7).filter_map(at).collect();
        assert_eq!(places, [0, 0, 1, 2, 2, 2, 0]);
        assert_eq!(by_weight([].into_iter(), 3), None);
    }

    #[test]
    fn a_peer_less_moves_only_its_own_keys() {
        let all = ["127.0.0.1:8081", "127.0.0.1:8082", "127.0.0.1:8083"];
        let fewer = [all[0], all[2]];
        let ring = Ring::new(all.iter().map(|name| (*name, 1)));
        let less = Ring::new(fewer.iter().map(|name| (*name, 1)));
        let mut stayed = 0;
        for key in 0..1_000_u32 {
            let key = key.to_string();
            let before = all[ring.server(ring.find(key.as_bytes())).unwrap()];
            let after = fewer[less.server(less.find(key.as_bytes())).unwrap()];
            if before != all[1] {
                assert_eq!(before, after, "{key}");
                stayed += 1;
            }
        }
        assert!((500..850).contains(&stayed), "{stayed}");
    }

    #[test]
    fn weights_are_shares_of_the_ring() {
        let ring = Ring::new([("a:1", 1), ("b:1", 9)].into_iter());
        let keys = (0..2_000_u32).map(|key| key.to_string());
        let heavy = keys.filter(|key| ring.server(ring.find(key.as_bytes())) == Some(1)).count();
        assert!((1_600..1_960).contains(&heavy), "{heavy}");
    }

    #[test]
    fn an_empty_ring_has_no_server() {
        let ring = Ring::new(std::iter::empty());
        assert_eq!(ring.server(ring.find(b"key")), None);
    }

    #[test]
    fn ip_hash_goes_by_network() {
        let one = ip_step(IP_START, &[192, 0, 2]);
        assert_eq!(one, ip_step(IP_START, &[192, 0, 2]));
        assert_ne!(one, ip_step(IP_START, &[192, 0, 3]));
        assert_ne!(one, ip_step(one, &[192, 0, 2]), "a retry goes on from there");
    }
}
