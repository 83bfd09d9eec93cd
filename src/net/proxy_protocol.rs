//! PROXY protocol v1 and v2, as a receiver. Reads no byte behind the header. Not here: whether the
//! sender is believed (`http`, by `set_real_ip_from`).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The first bytes of a v2 header.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The longest v1 header, its line end included.
const V1_MAX: usize = 107;
/// The longest v2 body that is read; TLVs beyond it make no sense.
const V2_MAX: u16 = 4096;

/// What the header said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// `LOCAL` or `UNKNOWN`: the connection's own addresses count.
    Local,
    /// The client, and the address it connected to.
    Proxied {
        /// The client.
        source: SocketAddr,
        /// Where it connected to.
        destination: SocketAddr,
    },
}

/// Reads the header. `InvalidData` when it is none. With `lenient`, as nginx, families of version 2 that
/// nobody knows tell nothing, and are no fault.
///
/// # Cancel safety
/// Not cancel safe: bytes read are lost with the future. Drop the connection with it.
pub async fn read(stream: &mut (impl AsyncRead + Unpin), lenient: bool) -> io::Result<Header> {
    // Every header of either version is longer than this.
    let mut start = [0; 12];
    for read in 0..start.len() {
        start[read] = stream.read_u8().await?;
        let so_far = &start[..=read];
        if !SIGNATURE.starts_with(so_far) && !b"PROXY ".iter().zip(so_far).all(|(a, b)| a == b) {
            return Err(invalid("no PROXY protocol header"));
        }
    }
    if start == SIGNATURE { read_v2(stream, lenient).await } else { read_v1(stream, start).await }
}

/// The rest of a line, byte by byte: nothing behind it may be taken from the stream.
async fn read_v1(stream: &mut (impl AsyncRead + Unpin), start: [u8; 12]) -> io::Result<Header> {
    let mut line = start.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() == V1_MAX {
            return Err(invalid("the PROXY protocol line is too long"));
        }
        line.push(stream.read_u8().await?);
        if line.ends_with(b"\n") && !line.ends_with(b"\r\n") {
            return Err(invalid("the PROXY protocol line ends without CR"));
        }
    }
    let line = std::str::from_utf8(&line[..line.len() - 2]).map_err(|_| invalid("no text"))?;
    parse_v1(line).ok_or_else(|| invalid("the PROXY protocol line is malformed"))
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443`
fn parse_v1(line: &str) -> Option<Header> {
    let mut words = line.split(' ');
    if words.next()? != "PROXY" {
        return None;
    }
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(Header::Local);
    }
    let (source, destination) = (words.next()?, words.next()?);
    let (source_port, destination_port) = (port(words.next()?)?, port(words.next()?)?);
    let address = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let header = Header::Proxied {
        source: SocketAddr::new(address(source)?, source_port),
        destination: SocketAddr::new(address(destination)?, destination_port),
    };
    words.next().is_none().then_some(header)
}

/// Decimal, without sign or leading zeros.
fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok()).flatten()
}

async fn read_v2(stream: &mut (impl AsyncRead + Unpin), lenient: bool) -> io::Result<Header> {
    let version_command = stream.read_u8().await?;
    let family = stream.read_u8().await?;
    let len = stream.read_u16().await?;
    if len > V2_MAX {
        return Err(invalid("the PROXY protocol header is too long"));
    }
    let mut body = vec![0; usize::from(len)];
    stream.read_exact(&mut body).await?;
    let fixed = [version_command, family];
    let addresses = match family {
        0x11 | 0x12 => 12,
        0x21 | 0x22 => 36,
        0x31 | 0x32 => 216,
        _ => 0,
    };
    if version_command == 0x21 && addresses > 0 {
        let tlvs = body.len().min(addresses);
        check_tlvs(fixed, &body, tlvs).ok_or_else(|| invalid("a PROXY protocol TLV is wrong"))?;
    }
    match version_command {
        0x20 => Ok(Header::Local),
        0x21 => parse_v2(family, &body, lenient)
            .ok_or_else(|| invalid("the PROXY protocol header is cut")),
        _ => Err(invalid("the PROXY protocol header has an unknown version or command")),
    }
}

/// Type of the TLV that holds a CRC32C of the whole header, taken with itself as zeros.
const TLV_CRC32C: u8 = 0x03;

/// Walks the TLVs behind the addresses: each must fit, and a checksum among them be right.
fn check_tlvs(fixed: [u8; 2], body: &[u8], start: usize) -> Option<()> {
    let mut at = start;
    while at < body.len() {
        let [kind, high, low] = *body.get(at..at + 3)? else {
            return None;
        };
        let value = at + 3;
        at = value + usize::from(u16::from_be_bytes([high, low]));
        let found = body.get(value..at)?;
        if kind == TLV_CRC32C {
            let len = (body.len() as u16).to_be_bytes();
            let parts = [&SIGNATURE[..], &fixed, &len, &body[..value], &[0; 4], &body[at..]];
            let right = crc32c(parts.into_iter().flatten().copied());
            if found != right.to_be_bytes() {
                return None;
            }
        }
    }
    Some(())
}

/// The Castagnoli CRC, bit by bit: headers are short and checksums in them rare.
fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    !bytes.fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 }
        })
    })
}

/// Addresses of TCP over IPv4 or IPv6; whatever follows them is left out (TLVs). Other families
/// tell nothing that can be used.
fn parse_v2(family: u8, body: &[u8], lenient: bool) -> Option<Header> {
    let pair = |source: IpAddr, destination: IpAddr, ports: &[u8]| {
        let source_port = u16::from_be_bytes([ports[0], ports[1]]);
        let destination_port = u16::from_be_bytes([ports[2], ports[3]]);
        Header::Proxied {
            source: SocketAddr::new(source, source_port),
            destination: SocketAddr::new(destination, destination_port),
        }
    };
    match family {
        0x11 => {
            let body = body.get(..12)?;
            let address = |at: usize| <[u8; 4]>::try_from(&body[at..at + 4]).ok().map(IpAddr::from);
            Some(pair(address(0)?, address(4)?, &body[8..]))
        }
        0x21 => {
            let body = body.get(..36)?;
            let address =
                |at: usize| <[u8; 16]>::try_from(&body[at..at + 16]).ok().map(IpAddr::from);
            Some(pair(address(0)?, address(16)?, &body[32..]))
        }
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => Some(Header::Local),
        // not known when this was written; the specification wants them refused
        _ => lenient.then_some(Header::Local),
    }
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn parse(bytes: &[u8]) -> io::Result<(Header, usize)> {
        let mut rest = bytes;
        let header = read(&mut rest, false).await?;
        Ok((header, rest.len()))
    }

    const ADDRESSES: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 0xdc, 0x04, 1, 0xbb];

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend((body.len() as u16).to_be_bytes());
        bytes.extend(body);
        bytes
    }

    #[tokio::test]
    async fn families_that_nobody_knows_are_refused_unless_nginx_takes_them() {
        for family in [0x44, 0xff] {
            let bytes = v2(0x21, family, &ADDRESSES);
            assert!(parse(&bytes).await.is_err());
            assert_eq!(read(&mut &bytes[..], true).await.unwrap(), Header::Local);
        }
    }

    #[tokio::test]
    async fn a_v1_line_is_read_to_its_end_and_no_further() {
        let line = b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\nGET /";
        let (header, rest) = parse(line).await.unwrap();
        let expected = Header::Proxied {
            source: "192.0.2.1:56324".parse().unwrap(),
            destination: "192.0.2.2:443".parse().unwrap(),
        };
        assert_eq!((header, rest), (expected, 5));
        let (header, rest) = parse(b"PROXY UNKNOWN\r\nx").await.unwrap();
        assert_eq!((header, rest), (Header::Local, 1));
        let (header, _) = parse(b"PROXY TCP6 ::1 2001:db8::1 1 65535\r\n").await.unwrap();
        assert!(matches!(header, Header::Proxied { source, .. } if source.is_ipv6()));
    }

    #[tokio::test]
    async fn lies_and_slips_are_refused() {
        for line in [
            "PROXY TCP4 192.0.2.1 192.0.2.2 56324\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443 1\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 65536 1\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 01 1\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 -1 1\r\n",
            "PROXY TCP4  192.0.2.1 192.0.2.2 1 1\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 1\n",
            "PROXY UDP4 192.0.2.1 192.0.2.2 1 1\r\n",
            "proxy TCP4 192.0.2.1 192.0.2.2 1 1\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        ] {
            let error = parse(line.as_bytes()).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{line:?}");
        }
        for bytes in [
            v2(0x31, 0x11, &[0; 12]),
            v2(0x22, 0x11, &[0; 12]),
            v2(0x21, 0x11, &[0; 11]),
            v2(0x21, 0x21, &[0; 35]),
            v2(0x21, 0x41, &[0; 36]),
            v2(0x21, 0x11, &[0; 5000]),
        ] {
            assert_eq!(parse(&bytes).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }

    #[tokio::test]
    async fn a_v2_header_is_read_with_its_tlvs() {
        let mut body = ADDRESSES.to_vec();
        body.extend([0x04, 0, 3, 1, 2, 3]);
        let mut bytes = v2(0x21, 0x11, &body);
        bytes.push(0x16);
        let (header, rest) = parse(&bytes).await.unwrap();
        let expected = Header::Proxied {
            source: "192.0.2.1:56324".parse().unwrap(),
            destination: "192.0.2.2:443".parse().unwrap(),
        };
        assert_eq!((header, rest), (expected, 1));
        assert_eq!(parse(&v2(0x20, 0, &[])).await.unwrap().0, Header::Local);
        assert_eq!(parse(&v2(0x21, 0x31, &[0; 216])).await.unwrap().0, Header::Local);
    }

    #[tokio::test]
    async fn tlvs_must_fit_and_their_checksum_be_right() {
        assert_eq!(crc32c(b"123456789".iter().copied()), 0xe306_9283);
        let with = |tlvs: &[u8]| v2(0x21, 0x11, &[&ADDRESSES, tlvs].concat());
        let zeros = with(&[TLV_CRC32C, 0, 4, 0, 0, 0, 0, 0x04, 0, 1, 7]);
        let sum = crc32c(zeros.iter().copied()).to_be_bytes();
        let mut right = zeros.clone();
        right[31..35].copy_from_slice(&sum);
        assert!(parse(&right).await.is_ok());
        right[16] ^= 1;
        for bytes in
            [right, zeros, with(&[TLV_CRC32C, 0, 0]), with(&[0x04, 0, 9, 1]), with(&[0x04, 0])]
        {
            assert_eq!(parse(&bytes).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }

    #[tokio::test]
    async fn a_cut_header_is_an_end() {
        let line = b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n";
        for len in 0..line.len() {
            let error = parse(&line[..len]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{len}");
        }
    }
}
