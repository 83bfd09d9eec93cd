//! The URL of `proxy_pass`, behind its scheme. Pure.

/// Authority and path of a URL: `http://unix:/path:/uri` has a colon between them.
pub fn split(rest: &str) -> (&str, Option<&str>) {
    if let Some(path) = rest.strip_prefix("unix:") {
        return match path.split_once(':') {
            Some((path, uri)) => {
                (&rest[.."unix:".len() + path.len()], (!uri.is_empty()).then_some(uri))
            }
            None => (rest, None),
        };
    }
    match rest.find(['/', '?']) {
        Some(at) => (&rest[..at], Some(&rest[at..])),
        None => (rest, None),
    }
}
