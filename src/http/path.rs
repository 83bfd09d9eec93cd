//! The path of a request: decoded and normalised for routing, encoded again for an upstream. Pure.

/// `$uri`: percent-decoded, slashes merged, `.` and `..` resolved, as nginx does. `None` when it
/// climbs above the root, holds a NUL, is no UTF-8, or is not well encoded.
pub(super) fn normalise(raw: &str, merge_slashes: bool) -> Option<String> {
    let decoded = decode(raw)?;
    if !decoded.starts_with('/') || decoded.contains('\0') {
        return None;
    }
    let mut segments: Vec<&str> = Vec::new();
    let mut ends_with_slash = false;
    for segment in decoded[1..].split('/') {
        ends_with_slash = matches!(segment, "" | "." | "..");
        match segment {
            "" if !merge_slashes => segments.push(segment),
            "" | "." => {}
            ".." => {
                segments.pop()?;
            }
            name => segments.push(name),
        }
    }
    let mut path = String::with_capacity(decoded.len());
    for segment in &segments {
        path.push('/');
        path.push_str(segment);
    }
    if segments.is_empty() || ends_with_slash && !path.ends_with('/') {
        path.push('/');
    }
    Some(path)
}

fn decode(raw: &str) -> Option<String> {
    if !raw.contains('%') {
        return Some(raw.to_owned());
    }
    let bytes = raw.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        if *byte == b'%' {
            let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
            out.push((digit(at + 1)? * 16 + digit(at + 2)?) as u8);
            at += 3;
        } else {
            out.push(*byte);
            at += 1;
        }
    }
    String::from_utf8(out).ok()
}

/// A path for the wire: whatever could be misread is percent-encoded.
pub(super) fn encode(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte);
        if plain {
            out.push(char::from(byte));
        } else {
            push_encoded(byte, &mut out);
        }
    }
    out
}

/// A piece of a path within arguments: what would end one, or is no character of a URI, is
/// percent-encoded.
pub(super) fn escape_args(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !b"\"#%&+;<>?\\^`{|}".contains(&byte) {
            out.push(char::from(byte));
        } else {
            push_encoded(byte, &mut out);
        }
    }
    out
}

/// A URL to send a client to, built of pieces that may be escaped: what needs no escape has none, up
/// to the arguments (nginx's `NGX_UNESCAPE_REDIRECT`).
pub(super) fn unescape_redirect(url: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(url.len()), url);
    while let Some(at) = rest.find(['%', '?']) {
        out.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 3).filter(|_| rest[at..].starts_with('%'));
        let byte = code.and_then(|code| u8::from_str_radix(code, 16).ok()).map(char::from);
        match byte {
            Some('?') => {
                out.push('?');
                rest = &rest[at + 3..];
                break;
            }
            Some(plain @ '&'..='~') => {
                out.push(plain);
                rest = &rest[at + 3..];
            }
            _ if rest[at..].starts_with('?') => {
                rest = &rest[at..];
                break;
            }
            _ => {
                out.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    out + rest
}

fn push_encoded(byte: u8, out: &mut String) {
    let digit = |n: u8| char::from(b"0123456789ABCDEF"[usize::from(n)]);
    out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_normalised_as_nginx_does() {
        for (raw, path) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a//b/", "/a/b/"),
            ("/a/./b/.", "/a/b/"),
            ("/a/b/..", "/a/"),
            ("/a/%2e%2e/b", "/b"),
            ("/a%2Fb", "/a/b"),
            ("/a%20b", "/a b"),
        ] {
            assert_eq!(normalise(raw, true).as_deref(), Some(path), "{raw}");
        }
        for raw in ["/..", "/a/../..", "/%2e%2e/", "/a%00b", "/a%", "/a%2", "/a%zz", "/%ff", "a"] {
            assert_eq!(normalise(raw, true), None, "{raw}");
        }
    }

    #[test]
    fn what_a_client_is_sent_to_is_escaped_where_it_must_be() {
        for (built, url) in [
            ("http%3A%2F%2Fa%2F%3Fb%3Dc", "http://a/?b%3Dc"),
            ("http%3A%2F%2Fa%0D%0Ab", "http://a%0D%0Ab"),
            ("/a%20b%zz%é%", "/a%20b%zz%é%"),
            ("/a?b=%2F", "/a?b=%2F"),
        ] {
            assert_eq!(unescape_redirect(built), url);
        }
    }

    #[test]
    fn slashes_stay_where_they_are_not_merged() {
        for (raw, path) in
            [("/a//b", "/a//b"), ("//", "//"), ("/a//", "/a//"), ("/a//../b", "/a/b"), ("/", "/")]
        {
            assert_eq!(normalise(raw, false).as_deref(), Some(path), "{raw}");
        }
    }

    proptest! {
        #[test]
        fn an_encoded_path_is_the_same_path(segments in prop::collection::vec("[^/\\x00]{1,8}", 1..5)) {
            prop_assume!(segments.iter().all(|s| s != "." && s != ".."));
            let path = format!("/{}", segments.join("/"));
            let encoded = encode(&path);
            prop_assert!(encoded.bytes().all(|b| b.is_ascii_graphic() && b != b'?' && b != b'#'));
            prop_assert_eq!(normalise(&encoded, true), Some(path));
        }
    }
}
