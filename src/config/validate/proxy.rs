//! `proxy_pass` and what goes with it.

use std::sync::Arc;

use super::{Context, headers, tls, upstream, websocket};
use crate::config::diagnostic::{Diagnostic, quote};
use crate::config::model::{LocationPath, NextUpstream, Proxy, Redirect, RedirectFrom};
use crate::config::read::Fault;
use crate::config::schema::{LocationKeys, ProxyKeys};
use crate::config::source::At;
use crate::config::template::Template;
use crate::config::url;
use crate::config::values::{Address, List, NextWord, RedirectValue, regex};

/// `proxy_pass`, taken apart.
struct Pass<'t> {
    https: bool,
    /// `host:port` as written, or `unix:/path`.
    authority: &'t str,
    uri: Option<&'t str>,
}

/// What a location with `proxy_pass` does; `None` when it was no URL.
pub(super) fn proxy(
    cx: &mut Context<'_>,
    pass: &At<String>,
    path: Option<&LocationPath>,
    explicit: &LocationKeys,
    merged: &LocationKeys,
) -> Option<Proxy> {
    let variable = pass.contains('$').then(|| variable_target(cx, pass));
    let shown = At::new("http://variable".to_owned(), &pass.place);
    let parsed = match parse(if variable.is_some() { &shown } else { pass }) {
        Ok(parsed) => parsed,
        Err((message, help)) => {
            let message = format!("`proxy_pass` {message}: {}", quote(pass));
            cx.error(&pass.place, message, &help);
            return None;
        }
    };
    if let (Some(uri), Some(LocationPath::Regex(_) | LocationPath::Named(_))) = (parsed.uri, path) {
        refuse_uri(cx, pass, uri);
    }
    let target = match variable {
        Some(_) => Target {
            upstream: String::new(),
            host: String::new(),
            name: String::new(),
            is_group: false,
        },
        None => target(cx, pass, &parsed)?,
    };
    let tls = parsed.https.then(|| {
        let (host, place) = (&target.name, &pass.place);
        Arc::new(tls::to_upstream(cx, &merged.proxy_ssl, host, place, target.is_group))
    });
    let ProxyKeys {
        proxy_connect_timeout,
        proxy_read_timeout,
        proxy_send_timeout,
        proxy_set_header,
        // it is in `proxy_set_header` by now
        proxy_set_header_inherit: _,
        pass_client_claims,
        proxy_intercept_errors,
        proxy_request_buffering,
        proxy_connection,
        proxy_hide_header,
        proxy_redirect,
        proxy_next_upstream,
        proxy_next_upstream_tries,
        proxy_next_upstream_timeout,
        proxy_bind,
    } = &merged.proxy;
    let (websocket, refuse_upgrades) = websocket::websocket(cx, explicit, merged);
    let redirects = redirects(cx, pass, path, parsed.uri, proxy_redirect.with_default());
    let hidden = proxy_hide_header.with_default().iter();
    Some(Proxy {
        upstream: target.upstream,
        tls,
        host: target.host,
        uri: parsed.uri.map(str::to_owned),
        redirects,
        target: variable.flatten(),
        whole_uri: false,
        connect_timeout: proxy_connect_timeout.with_default().0,
        read_timeout: proxy_read_timeout.with_default().0,
        send_timeout: proxy_send_timeout.with_default().0,
        set_headers: headers::to_upstream(cx, proxy_set_header.with_default()),
        pass_client_claims: pass_client_claims.with_default().value,
        intercept_errors: proxy_intercept_errors.with_default().value,
        connection: proxy_connection.get().map(|text| cx.template(text)),
        request_buffering: proxy_request_buffering.with_default().value,
        hide_headers: hidden.map(|header| header.value.clone()).collect(),
        next_upstream: NextUpstream {
            tries: proxy_next_upstream_tries.with_default().get(),
            timeout_total: proxy_next_upstream_timeout.with_default().0,
            ..next_upstream(cx, proxy_next_upstream.with_default())
        },
        bind: proxy_bind.with_default().iter().map(|ip| ip.value).collect(),
        refuse_upgrades,
        websocket,
    })
}

/// `proxy_redirect`; `default` says nothing where variables tell the target.
fn redirects(
    cx: &mut Context<'_>,
    pass: &At<String>,
    path: Option<&LocationPath>,
    uri: Option<&str>,
    list: &List<RedirectValue>,
) -> Vec<Redirect> {
    let mut redirects = Vec::new();
    for value in list.iter() {
        match &value.value {
            RedirectValue::Off => return Vec::new(),
            RedirectValue::Default => {
                let (from, to) = match (path, uri) {
                    _ if pass.contains('$') => continue,
                    (
                        Some(LocationPath::Exact(path) | LocationPath::Prefix { path, .. }),
                        Some(_),
                    ) => (pass.value.clone(), path.clone()),
                    _ => (format!("{}/", pass.value), "/".to_owned()),
                };
                let from = RedirectFrom::Start(Template::literal(&from));
                redirects.push(Redirect { from, to: Template::literal(&to) });
            }
            RedirectValue::Pair(from, to) => {
                let from = match from.strip_prefix('~') {
                    None => RedirectFrom::Start(cx.template(from)),
                    Some(pattern) => {
                        let (pattern, any_case) =
                            pattern.strip_prefix('*').map_or((pattern, false), |rest| (rest, true));
                        match regex(pattern, any_case) {
                            Ok(regex) => RedirectFrom::Fitting(cx.pattern(&regex)),
                            Err(fault) => {
                                let (message, help) = fault.into_words();
                                let message =
                                    format!("`proxy_redirect` {message}: {}", quote(from));
                                cx.out
                                    .push(Diagnostic::error(&from.place, message).maybe_help(help));
                                continue;
                            }
                        }
                    }
                };
                redirects.push(Redirect { from, to: cx.template(to) });
            }
        }
    }
    redirects
}

/// A URL with variables.
fn variable_target(cx: &mut Context<'_>, pass: &At<String>) -> Option<Template> {
    if !pass.starts_with("http:") {
        let message = format!(
            "`proxy_pass` with variables needs `http://` in front: {}",
            super::shown(pass, &pass.place)
        );
        cx.error(&pass.place, message, "for https write the address, or an upstream for each");
        return None;
    }
    Some(cx.template(pass))
}

/// nginx's rule: what a regular expression matched has no fixed part to replace.
fn refuse_uri(cx: &mut Context<'_>, pass: &At<String>, uri: &str) {
    let message = format!(
        "`proxy_pass` cannot have a path in a location by regular expression, by name or in `if`: {}",
        quote(uri)
    );
    let without = &pass.value[..pass.value.len() - uri.len()];
    let help =
        format!("write `proxy_pass = \"{without}\"`: what matched has no fixed part to replace");
    cx.error(&pass.place, message, &help);
}

/// The same where nothing is known of the path: in an `if`.
pub(super) fn refuse_any_uri(cx: &mut Context<'_>, pass: &At<String>) {
    if let Ok(Pass { uri: Some(uri), .. }) = parse(pass) {
        refuse_uri(cx, pass, uri);
    }
}

fn parse(text: &str) -> Result<Pass<'_>, (&'static str, String)> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(("needs a URL", format!("write `\"http://{text}\"`")));
    };
    let https = match scheme {
        "http" => false,
        "https" => true,
        "ws" | "wss" => {
            let http = if scheme == "ws" { "http" } else { "https" };
            let help = format!(
                "write `\"{http}://{rest}\"`: WebSockets begin as HTTP and pass by themselves"
            );
            return Err(("has no such scheme", help));
        }
        _ => {
            return Err(("has no such scheme", "write `http://` or `https://`".to_owned()));
        }
    };
    let (authority, uri) = url::split(rest);
    if authority.is_empty() || authority == "unix:" {
        return Err(("has no host", "write such as `\"http://127.0.0.1:8888\"`".to_owned()));
    }
    if authority.contains('@') && !authority.starts_with("unix:") {
        let help = "write them as a header: `proxy_set_header = { Authorization = \"Basic …\" }`";
        return Err(("cannot hold a user and password", help.to_owned()));
    }
    uri.map_or(Ok(()), check_uri)?;
    Ok(Pass { https, authority, uri })
}

fn check_uri(uri: &str) -> Result<(), (&'static str, String)> {
    if !uri.starts_with('/') {
        return Err((
            "needs a path that begins with `/`",
            "write a `/` behind the host".to_owned(),
        ));
    }
    if !uri.bytes().all(|b| b.is_ascii_graphic()) || uri.contains('#') {
        let help = "write other characters as `%` and two hexadecimal digits";
        return Err(("has a character that no URL can hold", help.to_owned()));
    }
    Ok(())
}

/// Where requests go.
struct Target {
    /// The upstream's name.
    upstream: String,
    /// `$proxy_host`.
    host: String,
    /// The host alone.
    name: String,
    /// It is an `[upstream.NAME]`.
    is_group: bool,
}

fn target(cx: &mut Context<'_>, pass: &At<String>, parsed: &Pass<'_>) -> Option<Target> {
    let authority = parsed.authority;
    if cx.upstreams.is_named(authority) {
        return Some(Target {
            upstream: authority.to_owned(),
            host: authority.to_owned(),
            name: authority.to_owned(),
            is_group: true,
        });
    }
    if let Some((group, _)) = authority.rsplit_once(':').filter(|(g, _)| cx.upstreams.is_named(g)) {
        let message = format!("`proxy_pass` cannot give the upstream {} a port", quote(group));
        cx.error(&pass.place, message, "the ports stand in its `servers`: leave this one out");
        return None;
    }
    let default_port = if parsed.https { 443 } else { 80 };
    let address = match Address::parse(authority, default_port) {
        Ok(address) => address,
        Err(fault) => {
            report_address(cx, pass, fault);
            return None;
        }
    };
    let with_port = |host: String, port: u16| match port {
        _ if port == default_port => host,
        _ => format!("{host}:{port}"),
    };
    let (host, name) = match &address {
        Address::Ip(addr) if addr.is_ipv6() => {
            (with_port(format!("[{}]", addr.ip()), addr.port()), addr.ip().to_string())
        }
        Address::Ip(addr) => (with_port(addr.ip().to_string(), addr.port()), addr.ip().to_string()),
        Address::Host(host, port) => (with_port(host.clone(), *port), host.clone()),
        Address::Unix(_) => ("localhost".to_owned(), "localhost".to_owned()),
    };
    Some(Target {
        upstream: upstream::implicit(cx, &address, &pass.place),
        host,
        name,
        is_group: false,
    })
}

fn report_address(cx: &mut Context<'_>, pass: &At<String>, fault: Fault) {
    let (message, help) = fault.into_words();
    let message = format!("`proxy_pass` {message}: {}", quote(pass));
    cx.out.push(Diagnostic::error(&pass.place, message).maybe_help(help));
}

/// The words; tries and time are the caller's.
fn next_upstream(cx: &mut Context<'_>, words: &At<List<NextWord>>) -> NextUpstream {
    let has = |word| words.iter().any(|w| w.value == word);
    if has(NextWord::Off) && words.0.len() > 1 {
        let message = "`proxy_next_upstream` has `\"off\"` beside other words";
        cx.error(&words.place, message, "write `\"off\"` alone, or leave it out");
    }
    NextUpstream {
        error: has(NextWord::Error),
        timeout: has(NextWord::Timeout),
        invalid_header: has(NextWord::InvalidHeader),
        non_idempotent: has(NextWord::NonIdempotent),
        statuses: words
            .iter()
            .filter_map(|word| match word.value {
                NextWord::Status(status) => Some(status),
                _ => None,
            })
            .collect(),
        tries: 0,
        timeout_total: std::time::Duration::ZERO,
    }
}
