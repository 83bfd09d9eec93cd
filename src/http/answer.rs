//! Whether an upstream's answer can be read in one way only (RFC 9112 §6.3). hyper decides for
//! itself where a message has two lengths; the client behind us could decide otherwise. Pure.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, Response, Version};

/// Checks the framing of an answer; gives back what is wrong with it.
pub(super) fn check<B>(response: &Response<B>) -> Result<(), &'static str> {
    let headers = response.headers();
    if count(headers, &CONTENT_LENGTH) > 1 {
        return Err("it has two Content-Length fields");
    }
    if let Some(length) = headers.get(CONTENT_LENGTH) {
        let digits = length.as_bytes();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err("its Content-Length is malformed");
        }
    }
    let Some(coding) = headers.get(TRANSFER_ENCODING) else {
        return Ok(());
    };
    if headers.contains_key(CONTENT_LENGTH) {
        return Err("it has both Content-Length and Transfer-Encoding");
    }
    let chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if !chunked || count(headers, &TRANSFER_ENCODING) > 1 {
        return Err("its Transfer-Encoding is not known");
    }
    if response.version() != Version::HTTP_11 {
        return Err("HTTP/1.0 has no Transfer-Encoding");
    }
    Ok(())
}

fn count(headers: &HeaderMap, name: &http::HeaderName) -> usize {
    headers.get_all(name).iter().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(version: Version, fields: &[(&str, &str)]) -> Result<(), &'static str> {
        let mut response = Response::builder().version(version);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        check(&response.body(()).unwrap())
    }

    #[test]
    fn one_length_is_enough() {
        for fields in [
            &[][..],
            &[("content-length", "5")],
            &[("transfer-encoding", "chunked")],
            &[("transfer-encoding", "Chunked")],
        ] {
            assert_eq!(verdict(Version::HTTP_11, fields), Ok(()), "{fields:?}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for fields in [
            &[("content-length", "5"), ("transfer-encoding", "chunked")][..],
            &[("content-length", "5"), ("content-length", "5")],
            &[("content-length", "5, 5")],
            &[("content-length", "+5")],
            &[("content-length", "")],
            &[("transfer-encoding", "gzip, chunked")],
            &[("transfer-encoding", "xchunked")],
            &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
        ] {
            assert!(verdict(Version::HTTP_11, fields).is_err(), "{fields:?}");
        }
        assert!(verdict(Version::HTTP_10, &[("transfer-encoding", "chunked")]).is_err());
    }
}
