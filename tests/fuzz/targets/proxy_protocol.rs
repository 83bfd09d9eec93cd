//! The PROXY protocol's reader takes exactly the header that a plain second reader sees, refuses
//! what that one refuses, and leaves what follows. Headers that we write are read as they were meant.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, ReadBuf};
use wayhold::net::proxy_protocol::{self, Header};
use wayhold_fuzz::{Input, digest};

/// What numbers, addresses and lines may be spoilt with.
const TROUBLE: [&[u8]; 18] = [
    b"0", b"1", b"256", b"65536", b"+", b"-", b" ", b"\t", b".", b":", b"::", b"%", b"\r", b"\n",
    b"\r\n", b"\0", b"\xff", b"PROXY ",
];

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let step = input.below(9) + 1;
    let header = written(&mut input);
    let rest = input.spoilt(&TROUBLE);
    compare(&rest, step);
    let Some((bytes, meant)) = header else {
        return;
    };
    let stream = [&bytes[..], &rest].concat();
    let (read, used) = read(&stream, step);
    assert_eq!(read.ok(), Some(meant), "{bytes:?}");
    assert_eq!(used, bytes.len(), "what follows is left");
    for short in 0..bytes.len() {
        let (read, used) = self::read(&bytes[..short], step);
        assert_eq!(read.map_err(|error| error.kind()), Err(io::ErrorKind::UnexpectedEof));
        assert!(used <= short);
    }
});

/// Bytes that come `step` at a time, with a pause before each.
struct Dripping<'a> {
    rest: &'a [u8],
    step: usize,
    paused: bool,
}

impl AsyncRead for Dripping<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.paused = !self.paused;
        if self.paused {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let len = self.step.min(buf.remaining()).min(self.rest.len());
        let (now, later) = self.rest.split_at(len);
        buf.put_slice(now);
        self.rest = later;
        Poll::Ready(Ok(()))
    }
}

/// What is read, and of how many bytes.
fn read(bytes: &[u8], step: usize) -> (io::Result<Header>, usize) {
    let mut stream = Dripping { rest: bytes, step, paused: false };
    let read = {
        let mut reading = std::pin::pin!(proxy_protocol::read(&mut stream, false));
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(read) = reading.as_mut().poll(&mut cx) {
                break read;
            }
        }
    };
    (read, bytes.len() - stream.rest.len())
}

fn compare(bytes: &[u8], step: usize) {
    let (read, used) = read(bytes, step);
    match (read.map_err(|error| error.kind()), plain(bytes)) {
        (Ok(header), Plain::Header(expected, len)) => assert_eq!((header, used), (expected, len)),
        (Err(io::ErrorKind::InvalidData), Plain::Invalid) => {}
        (Err(io::ErrorKind::UnexpectedEof), Plain::Short) => {}
        // Refused before or after the bytes that are missing.
        (Err(io::ErrorKind::UnexpectedEof), Plain::Invalid) => assert_eq!(used, bytes.len()),
        (real, plain) => panic!("{real:?}, but {plain:?}: {}", bytes.escape_ascii()),
    }
}

/// What the specification's text makes of these bytes.
#[derive(Debug)]
enum Plain {
    Header(Header, usize),
    /// More bytes could make it a header.
    Short,
    Invalid,
}

fn plain(bytes: &[u8]) -> Plain {
    let signature = b"\r\n\r\n\x00\r\nQUIT\n";
    if bytes.len() < 12 {
        let fits = signature.starts_with(bytes)
            || b"PROXY ".starts_with(bytes)
            || (bytes.starts_with(b"PROXY ") && matches!(plain_v1(bytes), Plain::Short));
        return if fits { Plain::Short } else { Plain::Invalid };
    }
    if bytes.starts_with(signature) { plain_v2(bytes) } else { plain_v1(bytes) }
}

fn plain_v1(bytes: &[u8]) -> Plain {
    if !bytes.starts_with(b"PROXY ") {
        return Plain::Invalid;
    }
    let Some(end) = bytes.iter().take(107).position(|byte| *byte == b'\n') else {
        return if bytes.len() >= 107 { Plain::Invalid } else { Plain::Short };
    };
    let line = bytes[..end].strip_suffix(b"\r").map(|line| line.to_vec());
    let Some(line) = line.and_then(|line| String::from_utf8(line).ok()) else {
        return Plain::Invalid;
    };
    let words: Vec<&str> = line.split(' ').collect();
    let header = match words[..] {
        ["PROXY", "UNKNOWN", ..] => Some(Header::Local),
        ["PROXY", "TCP4", source, destination, from, to] => {
            pair(quad(source), quad(destination), from, to)
        }
        ["PROXY", "TCP6", source, destination, from, to] => {
            pair(six(source), six(destination), from, to)
        }
        _ => None,
    };
    header.map_or(Plain::Invalid, |header| Plain::Header(header, end + 1))
}

fn pair(
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    from: &str,
    to: &str,
) -> Option<Header> {
    let source = SocketAddr::new(source?, number(from, 65_535)? as u16);
    let destination = SocketAddr::new(destination?, number(to, 65_535)? as u16);
    Some(Header::Proxied { source, destination })
}

/// Decimal, as it would be written.
fn number(text: &str, most: u32) -> Option<u32> {
    text.parse().ok().filter(|number: &u32| *number <= most && number.to_string() == text)
}

fn quad(text: &str) -> Option<IpAddr> {
    let parts: Option<Vec<u8>> =
        text.split('.').map(|part| number(part, 255).map(|n| n as u8)).collect();
    let [a, b, c, d] = parts?[..] else {
        return None;
    };
    Some(Ipv4Addr::new(a, b, c, d).into())
}

fn six(text: &str) -> Option<IpAddr> {
    text.parse::<Ipv6Addr>().ok().map(IpAddr::from)
}

fn plain_v2(bytes: &[u8]) -> Plain {
    let Some([command, family, high, low]) = bytes.get(12..16) else {
        return Plain::Short;
    };
    let len = usize::from(*high) * 256 + usize::from(*low);
    if len > 4096 || !matches!(command, 0x20 | 0x21) {
        return Plain::Invalid;
    }
    let Some(body) = bytes.get(16..16 + len) else {
        return Plain::Short;
    };
    let addresses = match family {
        0x11 | 0x12 => 12,
        0x21 | 0x22 => 36,
        0x31 | 0x32 => 216,
        _ => len,
    };
    if *command == 0x21 && !plain_tlvs(&bytes[..16 + len], 16 + addresses) {
        return Plain::Invalid;
    }
    let port = |at: usize| u16::from(body[at]) * 256 + u16::from(body[at + 1]);
    let header = match (command, family) {
        (0x20, _) => Header::Local,
        (_, 0x11) if len >= 12 => Header::Proxied {
            source: (Ipv4Addr::new(body[0], body[1], body[2], body[3]), port(8)).into(),
            destination: (Ipv4Addr::new(body[4], body[5], body[6], body[7]), port(10)).into(),
        },
        (_, 0x21) if len >= 36 => {
            let address = |at: usize| {
                let mut bits = 0_u128;
                for byte in &body[at..at + 16] {
                    bits = bits * 256 + u128::from(*byte);
                }
                Ipv6Addr::from_bits(bits)
            };
            Header::Proxied {
                source: (address(0), port(32)).into(),
                destination: (address(16), port(34)).into(),
            }
        }
        (_, 0x00 | 0x12 | 0x22 | 0x31 | 0x32) => Header::Local,
        _ => return Plain::Invalid,
    };
    Plain::Header(header, 16 + len)
}

/// Whether TLVs fill the header from `at` on, and the checksums among them are right.
fn plain_tlvs(header: &[u8], at: usize) -> bool {
    let (kind, len) = match header.get(at..).unwrap_or_default() {
        [] => return true,
        [kind, high, low, ..] => (*kind, usize::from(*high) * 256 + usize::from(*low)),
        _ => return false,
    };
    let value = at + 3..at + 3 + len;
    let Some(found) = header.get(value.clone()) else {
        return false;
    };
    let mut zeroed = header.to_vec();
    zeroed[value.clone()].fill(0);
    let right = kind != 3 || found == digest::crc32c(&zeroed).to_be_bytes();
    right && plain_tlvs(header, value.end)
}

/// A good header of either version, and what it says.
fn written(input: &mut Input<'_>) -> Option<(Vec<u8>, Header)> {
    let v4 = input.flag();
    let mut address = || -> SocketAddr {
        let bytes = input.take(16);
        let mut octets = [0; 16];
        octets[..bytes.len()].copy_from_slice(bytes);
        let ip = if v4 {
            IpAddr::from([octets[0], octets[1], octets[2], octets[3]])
        } else {
            IpAddr::from(octets)
        };
        (ip, input.u16()).into()
    };
    let (source, destination) = (address(), address());
    let meant = Header::Proxied { source, destination };
    let (from, to) = (source.port(), destination.port());
    let ips = (source.ip(), destination.ip());
    match input.below(4) {
        0 => {
            let family = if v4 { "TCP4" } else { "TCP6" };
            let line = format!("PROXY {family} {} {} {from} {to}\r\n", ips.0, ips.1);
            Some((line.into_bytes(), meant))
        }
        1 => Some((b"PROXY UNKNOWN\r\n".to_vec(), Header::Local)),
        2 => {
            let mut body = Vec::new();
            for ip in [ips.0, ips.1] {
                match ip {
                    IpAddr::V4(ip) => body.extend(ip.octets()),
                    IpAddr::V6(ip) => body.extend(ip.octets()),
                }
            }
            body.extend(from.to_be_bytes());
            body.extend(to.to_be_bytes());
            // What follows the addresses (TLVs) is part of the header.
            for _ in 0..input.below(4) {
                let (kind, value) = (input.byte() | 0x04, input.short(20));
                body.extend([kind, 0, value.len() as u8]);
                body.extend(value);
            }
            let (local, checked) = (input.flag(), input.flag());
            if checked {
                body.extend([3, 0, 4, 0, 0, 0, 0]);
            }
            let mut bytes = b"\r\n\r\n\x00\r\nQUIT\n".to_vec();
            bytes.extend([0x20 | u8::from(!local), if v4 { 0x11 } else { 0x21 }]);
            bytes.extend((body.len() as u16).to_be_bytes());
            bytes.extend(body);
            if checked {
                let (sum, place) = (digest::crc32c(&bytes), bytes.len() - 4);
                bytes[place..].copy_from_slice(&sum.to_be_bytes());
            }
            Some((bytes, if local { Header::Local } else { meant }))
        }
        _ => None,
    }
}
