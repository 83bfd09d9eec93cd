//! The head of an answer as clients are to see it: hyper answers HTTP/1.0 in HTTP/1.0, where a server
//! names the highest version it speaks (RFC 9110 §6.2), and spells names that nobody has spelt with a
//! capital after each dash. Everything keeps its length. Pure.

use bytes::BytesMut;

/// Names that are known to be spelt otherwise.
const KNOWN: [&str; 2] = ["ETag", "WWW-Authenticate"];

/// The head that `bytes` begin with.
pub(super) fn reworded(bytes: &[u8], names: &[String]) -> BytesMut {
    let end =
        bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    let mut head = BytesMut::from(&bytes[..end]);
    if let Some(minor @ b'0') = head.get_mut(7) {
        *minor = b'1';
    }
    let mut at = 0;
    while let Some(line) = head[at..].iter().position(|b| *b == b'\n').map(|len| at + len + 1) {
        at = line;
        let Some(colon) = head[at..].iter().position(|b| *b == b':') else {
            break;
        };
        let name = &mut head[at..at + colon];
        let spelt = names.iter().map(String::as_str).chain(KNOWN);
        let spelt = spelt.into_iter().find(|spelt| is_title_case_of(name, spelt));
        if let Some(spelt) = spelt {
            name.copy_from_slice(spelt.as_bytes());
        }
    }
    head
}

/// Whether this is what hyper makes of a name.
fn is_title_case_of(name: &[u8], spelt: &str) -> bool {
    let mut begins = true;
    name.len() == spelt.len()
        && name.iter().zip(spelt.bytes()).all(|(byte, spelt)| {
            let title =
                if begins { spelt.to_ascii_uppercase() } else { spelt.to_ascii_lowercase() };
            begins = spelt == b'-';
            *byte == title
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_they_were_written_and_the_version_is_ours() {
        let names = ["X-IP".to_owned(), "x-lower".to_owned()];
        let bytes =
            b"HTTP/1.0 200 OK\r\nX-Ip: 1\r\nX-Lower: X-Ip: 2\r\nEtag: a\r\netag: b\r\n\r\nX-Ip: 3";
        let head = reworded(bytes, &names);
        assert_eq!(
            &head[..],
            b"HTTP/1.1 200 OK\r\nX-IP: 1\r\nx-lower: X-Ip: 2\r\nETag: a\r\netag: b\r\n\r\n"
        );
        let part = &bytes[..20];
        assert_eq!(reworded(part, &names).len(), part.len());
    }
}
