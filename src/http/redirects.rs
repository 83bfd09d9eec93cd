//! `proxy_redirect`: where an upstream sends the client, in our words.

use http::HeaderMap;
use http::header::{HeaderName, LOCATION, REFRESH};

use super::exchange::Exchange;
use super::respond::set;
use crate::config::model::{Proxy, RedirectFrom};

/// Rewrites `Location` and `Refresh` of an upstream's answer.
pub(super) fn rewrite(exchange: &mut Exchange<'_>, proxy: &Proxy, headers: &mut HeaderMap) {
    if proxy.redirects.is_empty() {
        return;
    }
    let text = |headers: &HeaderMap, name: &HeaderName| {
        headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    if let Some(url) = text(headers, &LOCATION).and_then(|url| rewritten(exchange, proxy, &url)) {
        let redirects = exchange.route.location.redirects;
        let absolute = redirects.absolute && url.starts_with('/');
        let url = if absolute { exchange.facts("").url_of(&url, redirects) } else { url };
        set(headers, LOCATION, &url);
    }
    if let Some(refresh) = text(headers, &REFRESH)
        && let Some(at) = refresh.to_ascii_lowercase().find("url=")
        && let Some(url) = rewritten(exchange, proxy, &refresh[at + 4..])
    {
        let value = format!("{}{url}", &refresh[..at + 4]);
        set(headers, REFRESH, &value);
    }
}

/// What the first rule that fits makes of a URL.
fn rewritten(exchange: &mut Exchange<'_>, proxy: &Proxy, url: &str) -> Option<String> {
    proxy.redirects.iter().find_map(|redirect| match &redirect.from {
        RedirectFrom::Start(start) => {
            let start = start.expand(&exchange.facts(""));
            let rest = url.strip_prefix(start.as_str())?;
            Some(redirect.to.expand(&exchange.facts("")) + rest)
        }
        RedirectFrom::Fitting(pattern) => {
            exchange.state.fits(pattern, url).then(|| redirect.to.expand(&exchange.facts("")))
        }
    })
}
