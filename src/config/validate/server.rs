//! `[[server]]`.

use std::sync::Arc;
use std::time::Duration;

use super::listeners::{Claim, Listeners};
use super::location::{self, Levels};
use super::script::{self, Around};
use super::{Context, tls};
use crate::config::diagnostic::Diagnostic;
use crate::config::model::{FieldNames, Location, Server, ServerName, Sessions};
use crate::config::schema::{LocationSection, ServerKeys, ServerSection, TopSection};
use crate::config::section::Section as _;
use crate::config::source::{At, Place};
use crate::config::values::{Address, List, Listen, ReturnValue, Written};

/// Validates the server with this index, and claims its listeners.
pub(super) fn server(
    cx: &mut Context<'_>,
    index: usize,
    section: &At<ServerSection>,
    top: &TopSection,
    listeners: &mut Listeners,
) -> Server {
    let ServerSection {
        server_keys,
        keys,
        listen,
        server_name,
        ssl_handshake_timeout,
        rewrite,
        try_files,
        r#return,
        location,
    } = &section.value;
    if listen.is_absent() || listen.get().is_some_and(|list| list.is_empty()) {
        let help = "write `listen = \"80\"`, or `listen = [\"80\", \"443 ssl\"]`";
        cx.error(&section.place, "`[[server]]` has no `listen`", help);
    }
    let listens = listen.get().map(|list| list.0.as_slice()).unwrap_or_default();
    let (label, names) = names(cx, server_name.get(), &section.place);
    let merged = server_keys.or(&top.server_keys).or(&cx.defaults.server_keys);
    let bare =
        merged.ssl_certificate.is_absent() && !merged.ssl_reject_handshake.with_default().value;
    for listen in listens {
        for addr in cx.listen_addrs(&listen.address, &listen.place) {
            let claim = Claim { addr, listen, server: index, names: &names, bare };
            listeners.claim(cx, &claim);
        }
    }
    let (certificates, named_certificates) = match listens.iter().find(|listen| listen.ssl) {
        Some(listen) => tls::certificates(cx, &merged, &listen.place),
        None => Default::default(),
    };
    let over_tls = listens.iter().any(|listen| listen.ssl);
    let clients = if over_tls { tls::clients(cx, &merged) } else { None };
    warn_without_tls(cx, server_keys, listens);
    let sections = location.get().map(|tables| tables.0.as_slice()).unwrap_or_default();
    let levels = [keys, &top.keys];
    let around = Around { levels: &levels, outer: None };
    let script = script::script(cx, rewrite.get(), &around);
    let own = Arc::new(location::own(cx, script, try_files.get(), &levels));
    let locations = locations(cx, section, sections, r#return.get(), &levels);
    let handshake = ssl_handshake_timeout.or(&cx.defaults.server.ssl_handshake_timeout);
    Server {
        label,
        names: names.into_iter().map(|(name, _)| name).collect(),
        certificates,
        named_certificates,
        clients,
        ssl_handshake_timeout: handshake.with_default().0,
        locations,
        ..from_keys(cx, &merged, own)
    }
}

/// A server with what the shared keys say; `keys` have to be merged with the defaults.
fn from_keys(cx: &mut Context<'_>, keys: &ServerKeys, own: Arc<Location>) -> Server {
    let ServerKeys {
        ssl_certificate: _,
        ssl_certificate_key: _,
        ssl_password_file: _,
        ssl_protocols,
        ssl_session_tickets,
        ssl_session_cache,
        ssl_session_timeout,
        ssl_verify_client: _,
        ssl_client_certificate: _,
        ssl_trusted_certificate: _,
        ssl_verify_depth: _,
        ssl_crl: _,
        ssl_reject_handshake,
        client_header_timeout,
        client_body_timeout,
        send_timeout,
        large_client_header_buffers,
        max_headers,
        lenient_heads,
        merge_slashes,
        underscores_in_headers,
        ignore_invalid_headers,
        other_upgrades,
    } = keys;
    let max_head_size = large_client_header_buffers.with_default().0;
    Server {
        label: String::new(),
        names: Vec::new(),
        certificates: Vec::new(),
        named_certificates: Vec::new(),
        protocols: tls::versions(cx, ssl_protocols.with_default()),
        sessions: Sessions {
            tickets: ssl_session_tickets.with_default().value,
            cache: ssl_session_cache.with_default().value,
            timeout: ssl_session_timeout.with_default().0,
        },
        reject_handshake: ssl_reject_handshake.with_default().value,
        clients: None,
        ssl_handshake_timeout: Duration::ZERO,
        client_header_timeout: client_header_timeout.with_default().0,
        client_body_timeout: client_body_timeout.with_default().0,
        send_timeout: send_timeout.with_default().0,
        max_head_size: usize::try_from(max_head_size).unwrap_or(usize::MAX),
        max_headers: max_headers.with_default().get(),
        merge_slashes: merge_slashes.with_default().value,
        field_names: FieldNames {
            underscores: underscores_in_headers.with_default().value,
            unusual: !ignore_invalid_headers.with_default().value,
        },
        other_upgrades: other_upgrades.with_default().value,
        lenient_heads: lenient_heads.with_default().value,
        own,
        locations: Vec::new(),
    }
}

/// The label, and every name with its place; nginx's `.example.org` is two names.
fn names(
    cx: &Context<'_>,
    list: Option<&At<List<Written<ServerName>>>>,
    section: &Place,
) -> (String, Vec<(ServerName, Place)>) {
    let mut names = Vec::new();
    let mut label = None;
    for name in list.into_iter().flat_map(|list| list.iter()) {
        let text = name.text.strip_prefix('.').unwrap_or(&name.text);
        label.get_or_insert_with(|| text.to_owned());
        match &name.value.value {
            ServerName::Exact(exact) if exact.starts_with('.') => {
                let bare = exact[1..].to_owned();
                names.push((ServerName::Exact(bare), name.place.clone()));
                names.push((ServerName::Suffix(exact.clone()), name.place.clone()));
            }
            ServerName::Regex(pattern) => {
                let pattern = cx.pattern(&pattern.regex);
                names.push((ServerName::Regex(pattern), name.place.clone()));
            }
            other => names.push((other.clone(), name.place.clone())),
        }
    }
    if names.is_empty() {
        names.push((ServerName::Exact("_".to_owned()), section.clone()));
    }
    (label.unwrap_or_else(|| "_".to_owned()), names)
}

/// Certificates that are not used are most often a forgotten `ssl`.
fn warn_without_tls(cx: &mut Context<'_>, written: &ServerKeys, listens: &[At<Listen>]) {
    let Some(certificate) = written.ssl_certificate.get() else {
        return;
    };
    let port_of = |listen: &Listen| match &listen.address {
        Address::Ip(addr) => Some(addr.port()),
        Address::Host(_, port) => Some(*port),
        Address::Unix(_) => None,
    };
    let mut told = false;
    for listen in listens.iter().filter(|listen| !listen.ssl) {
        if let Some(port @ (443 | 8443)) = port_of(listen) {
            told = true;
            cx.out.push(
                Diagnostic::warning(&listen.place, format!("port {port} is served without TLS"))
                    .see(&certificate.place, "the server has a certificate")
                    .help(format!("write `listen = \"{port} ssl\"`")),
            );
        }
    }
    if !told && !listens.is_empty() && listens.iter().all(|listen| !listen.ssl) {
        let message = "certificate is never used: no `listen` of the server has `ssl`";
        cx.warn(&certificate.place, message, "write `listen = \"443 ssl\"`");
    }
}

fn locations(
    cx: &mut Context<'_>,
    section: &At<ServerSection>,
    sections: &[At<LocationSection>],
    answer: Option<&At<ReturnValue>>,
    levels: &Levels<'_>,
) -> Vec<Arc<Location>> {
    match (answer, sections.first()) {
        (Some(answer), None) => return vec![Arc::new(location::implicit(cx, answer, levels))],
        (Some(answer), Some(first)) => cx.out.push(
            Diagnostic::error(&answer.place, "`return` of a server answers every request")
                .see(&first.place, "never reached")
                .help("move it into a location: `path = \"/\"`"),
        ),
        // where something is misspelt, it may be just that
        (None, None)
            if section.rewrite.is_absent()
                && levels.iter().all(|keys| keys.files.root.is_absent())
                && !cx.out.has_errors() =>
        {
            cx.warn(
                &section.place,
                "server has no location: every request gets 404",
                "add a `[[server.location]]`, or a `return`",
            );
        }
        _ => {}
    }
    location::locations(cx, sections, levels, None)
}
