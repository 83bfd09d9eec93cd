//! The opening handshake of RFC 6455 (section 4), both sides.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// The key of every request: nobody here needs it to be random.
const KEY: &str = "d2F5aG9sZCBiZW5jaCBsZA==";
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The longest head that is waited for.
const LONGEST: usize = 16 * 1024;

pub fn request(authority: &str, path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    )
}

pub fn accept(key: &str) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

pub fn response(accept: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// Collects a head; gives it, and how many of `bytes` it took, when it is complete.
pub fn collect(head: &mut Vec<u8>, bytes: &[u8]) -> Result<Option<(String, usize)>, String> {
    let before = head.len();
    head.extend_from_slice(bytes);
    // The end may begin in what came before.
    let from = before.saturating_sub(3);
    let Some(at) = head[from..].windows(4).position(|four| four == b"\r\n\r\n") else {
        return if head.len() > LONGEST { Err("a head without end".to_owned()) } else { Ok(None) };
    };
    let end = from + at + 4;
    let text = String::from_utf8_lossy(&head[..end]).into_owned();
    *head = Vec::new();
    Ok(Some((text, end - before)))
}

/// A field of a head.
pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    fields.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// Whether the server agreed, with the right answer to our key.
pub fn check(head: &str) -> Result<(), String> {
    if !head.starts_with("HTTP/1.1 101 ") {
        return Err(head.lines().next().unwrap_or_default().to_owned());
    }
    if field(head, "sec-websocket-accept") != Some(&accept(KEY)) {
        return Err("a wrong Sec-WebSocket-Accept".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_rfc() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(STANDARD.decode(KEY).unwrap().len(), 16);
    }

    #[test]
    fn heads_come_in_pieces() {
        let whole = format!("{}rest", response(&accept(KEY)));
        for step in 1..whole.len() {
            let (mut head, mut found, mut at) = (Vec::new(), None, 0);
            for chunk in whole.as_bytes().chunks(step) {
                if let Some((text, took)) = collect(&mut head, chunk).unwrap() {
                    found = Some((text, at + took));
                    break;
                }
                at += chunk.len();
            }
            let (text, end) = found.unwrap();
            assert_eq!(&whole[end..], "rest");
            assert_eq!(check(&text), Ok(()));
        }
        assert!(collect(&mut Vec::new(), &vec![b'x'; LONGEST + 1]).is_err());
    }

    #[test]
    fn refusals_are_found() {
        assert_eq!(
            check("HTTP/1.1 502 Bad Gateway\r\n\r\n").unwrap_err(),
            "HTTP/1.1 502 Bad Gateway"
        );
        assert!(check(&response("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")).is_err());
    }
}
