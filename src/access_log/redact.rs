//! Secrets never reach a log: values of telling query arguments, and sub-protocols that carry
//! tokens. Pure.

use std::borrow::Cow;

/// Arguments whose values are secrets, in lower case.
const SECRET: [&str; 14] = [
    "token",
    "access_token",
    "id_token",
    "refresh_token",
    "jwt",
    "auth",
    "authorization",
    "key",
    "api_key",
    "apikey",
    "ticket",
    "sig",
    "signature",
    "password",
];

/// A request target or URL whose secret arguments read `***`.
pub(super) fn uri(uri: &str) -> Cow<'_, str> {
    let Some((path, rest)) = uri.split_once('?') else {
        return Cow::Borrowed(uri);
    };
    let (query, fragment) = rest.split_once('#').map_or((rest, None), |(q, f)| (q, Some(f)));
    let is_secret = |argument: &str| argument.split_once('=').is_some_and(|(name, _)| secret(name));
    if !query.split(['&', ';']).any(is_secret) {
        return Cow::Borrowed(uri);
    }
    let mut out = format!("{path}?");
    for argument in query.split_inclusive(['&', ';']) {
        let (body, end) = match argument.as_bytes().last() {
            Some(b'&' | b';') => argument.split_at(argument.len() - 1),
            _ => (argument, ""),
        };
        match body.split_once('=') {
            Some((name, _)) if secret(name) => {
                out.push_str(name);
                out.push_str("=***");
            }
            _ => out.push_str(body),
        }
        out.push_str(end);
    }
    if let Some(fragment) = fragment {
        out.push('#');
        out.push_str(fragment);
    }
    Cow::Owned(out)
}

/// A `Referer`: its secret arguments, and who it says to be (`https://user:pass@host`).
pub(super) fn referer(referer: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = referer.split_once("://") else {
        return uri(referer);
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => Cow::Owned(uri(&format!("{scheme}://{}", &rest[at + 1..])).into_owned()),
        None => uri(referer),
    }
}

/// A sub-protocol, unless it carries a token: browsers have no other place for one.
pub(super) fn subprotocol(name: &str) -> &str {
    let lower = name.to_ascii_lowercase();
    let token_like = name.len() > 40 || name.starts_with("eyJ");
    if lower.contains("bearer") || lower.contains("token") || token_like { "***" } else { name }
}

/// Whether an argument's name, percent-decoded, tells of a secret.
fn secret(name: &str) -> bool {
    let name = decode(name).to_ascii_lowercase();
    SECRET.contains(&name.as_str())
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_arguments_are_masked() {
        for (given, expected) in [
            ("/ws?token=abc", "/ws?token=***"),
            ("/ws?a=1&Access_Token=abc&b=2", "/ws?a=1&Access_Token=***&b=2"),
            ("/ws?t%6Fken=abc;x=1", "/ws?t%6Fken=***;x=1"),
            ("/ws?tokens=abc&monkey=1", "/ws?tokens=abc&monkey=1"),
            ("/ws?key=a=b=c", "/ws?key=***"),
            ("/ws?sig=", "/ws?sig=***"),
            ("/token=abc", "/token=abc"),
            ("/ws?%zz=1&jwt=x#top", "/ws?%zz=1&jwt=***#top"),
        ] {
            assert_eq!(uri(given), expected);
        }
    }

    #[test]
    fn a_referer_loses_its_user() {
        assert_eq!(referer("https://me:pw@a.test/x?auth=1"), "https://a.test/x?auth=***");
        assert_eq!(referer("https://a.test/@x"), "https://a.test/@x");
    }

    #[test]
    fn tokens_in_sub_protocols_are_masked() {
        assert_eq!(subprotocol("graphql-transport-ws"), "graphql-transport-ws");
        assert_eq!(subprotocol("base64url.bearer.authorization.k8s.io.abc"), "***");
        assert_eq!(subprotocol("eyJhbGciOiJIUzI1NiJ9.e30.x"), "***");
    }
}
