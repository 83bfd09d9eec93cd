//! `[[server.location]]`: what it inherits and what it does.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::HOST;

use super::script::{self, Around, Script};
use super::{Context, auth, bodies, files, headers, limits, logs, proxy, upstream};
use crate::config::diagnostic::{Diagnostic, quote};
use crate::config::model::{AccessRule, Action, Location, LocationPath, RealIp, Who};
use crate::config::read::Field;
use crate::config::schema::{LocationKeys, LocationSection};
use crate::config::section::Section as _;
use crate::config::source::{At, Place};
use crate::config::values::{Cidr, Headers, Inherit, List, ReturnValue, Sender, Written};

/// The shared keys of the sections around a location, the innermost first.
pub(super) type Levels<'a> = [&'a LocationKeys];

/// What an `if` takes from the location around it.
#[derive(Clone, Copy)]
pub(super) struct Outer<'a> {
    path: Option<&'a At<Written<LocationPath>>>,
    proxy_pass: Option<&'a At<String>>,
    alias: Option<&'a At<String>>,
}

/// What a location is built from.
#[derive(Default)]
struct Parts<'a> {
    path: Option<&'a At<Written<LocationPath>>>,
    pass: Option<&'a At<String>>,
    answer: Option<&'a At<ReturnValue>>,
    status: bool,
    alias: Option<&'a At<String>>,
    try_files: Option<&'a At<List<String>>>,
    script: Script,
    internal: bool,
    nested: Vec<Arc<Location>>,
}

/// Validates one location; `outer` are the keys around it.
pub(super) fn location(
    cx: &mut Context<'_>,
    section: &At<LocationSection>,
    outer: &Levels<'_>,
) -> Location {
    let LocationSection {
        keys,
        path,
        proxy_pass,
        r#return,
        rewrite,
        alias,
        try_files,
        internal,
        stub_status,
        location: nested,
    } = &section.value;
    if path.is_absent() {
        let help = "write `path = \"/ws\"`, or `path = \"/\"` for everything";
        cx.error(&section.place, "`[[server.location]]` has no `path`", help);
    }
    if let (Some(pass), Some(answer)) = (proxy_pass.get(), r#return.get()) {
        cx.out.push(
            Diagnostic::error(&answer.place, "a location has `return` or `proxy_pass`, not both")
                .see(&pass.place, "`proxy_pass` is here")
                .help("take one of them out"),
        );
    }
    let levels: Vec<_> = std::iter::once(keys).chain(outer.iter().copied()).collect();
    let has_files = !alias.is_absent() || levels.iter().any(|keys| !keys.files.root.is_absent());
    let status = stub_status.copied().unwrap_or(false);
    let idle = proxy_pass.is_absent() && r#return.is_absent() && !has_files && !status;
    if idle && rewrite.is_absent() && nested.is_absent() {
        let shown = path.get().map_or_else(String::new, |path| format!(": {}", quote(&path.text)));
        cx.error(
            &section.place,
            format!("location has neither `proxy_pass` nor `return`{shown}"),
            "write where requests go: `proxy_pass = \"http://127.0.0.1:8888\"`",
        );
    }
    let here = Outer { path: path.get(), proxy_pass: proxy_pass.get(), alias: alias.get() };
    let around = Around { levels: &levels, outer: Some(here) };
    let script = script::script(cx, rewrite.get(), &around);
    let sections = nested.get().map(|tables| tables.0.as_slice()).unwrap_or_default();
    let parts = Parts {
        path: path.get(),
        pass: proxy_pass.get(),
        answer: r#return.get(),
        status,
        alias: alias.get(),
        try_files: try_files.get(),
        script,
        internal: internal.copied().unwrap_or(false),
        nested: locations(cx, sections, &levels, path.get()),
    };
    build(cx, parts, &levels)
}

/// The locations of a server, or of the location with the path `around`.
pub(super) fn locations(
    cx: &mut Context<'_>,
    sections: &[At<LocationSection>],
    levels: &Levels<'_>,
    around: Option<&At<Written<LocationPath>>>,
) -> Vec<Arc<Location>> {
    let mut paths: BTreeMap<String, &Place> = BTreeMap::new();
    let mut locations = Vec::new();
    for section in sections {
        locations.push(Arc::new(location(cx, section, levels)));
        let Some(path) = section.path.get() else {
            continue;
        };
        if let Some(around) = around {
            check_place(cx, path, around);
        }
        if let Some(first) = paths.get(&identity(&path.value.value)) {
            let message = format!("two locations with one path: {}", quote(&path.text));
            cx.out.push(
                Diagnostic::error(&path.place, message)
                    .see(first, "the first is here")
                    .help("join them, or change one path"),
            );
        }
        paths.entry(identity(&path.value.value)).or_insert(&path.place);
    }
    locations
}

/// A location has to stand where a request for it can come.
fn check_place(
    cx: &mut Context<'_>,
    path: &At<Written<LocationPath>>,
    around: &At<Written<LocationPath>>,
) {
    use LocationPath::{Exact, Named, Prefix, Regex};
    let why = match (&around.value.value, &path.value.value) {
        (_, Named(_)) => "a location by name stands in a server",
        (Exact(_), _) => "nothing stands in a location for one path",
        (Named(_), _) => "nothing stands in a location by name",
        (Prefix { path: outer, .. }, Exact(inner) | Prefix { path: inner, .. })
            if !inner.starts_with(outer.as_str()) =>
        {
            "its path is outside of that of the location around it"
        }
        (Prefix { .. } | Regex(_), _) => return,
    };
    let message = format!("location cannot stand here: {}: {why}", quote(&path.text));
    cx.out.push(
        Diagnostic::error(&path.place, message)
            .see(&around.place, "the location around it")
            .help("move it out"),
    );
}

/// Two locations of one identity match the same requests.
fn identity(path: &LocationPath) -> String {
    match path {
        LocationPath::Exact(path) => format!("= {path}"),
        LocationPath::Prefix { path, .. } => path.clone(),
        LocationPath::Regex(pattern) => format!("~ {}", pattern.regex.as_str()),
        LocationPath::Named(name) => name.clone(),
    }
}

/// What holds where an `if` of a location does: it inherits from that location, and asks the same
/// upstream unless it names another.
pub(super) fn branch(
    cx: &mut Context<'_>,
    section: &At<LocationSection>,
    outer: &Outer<'_>,
    levels: &Levels<'_>,
) -> Location {
    let LocationSection { keys, proxy_pass, r#return, alias, .. } = &section.value;
    let levels: Vec<_> = std::iter::once(keys).chain(levels.iter().copied()).collect();
    if let Some(pass) = proxy_pass.get() {
        proxy::refuse_any_uri(cx, pass);
    }
    let parts = Parts {
        path: outer.path,
        pass: proxy_pass.get().or(outer.proxy_pass).filter(|_| r#return.is_absent()),
        answer: r#return.get(),
        status: false,
        alias: alias.get().or(outer.alias),
        try_files: None,
        script: Script::default(),
        internal: false,
        nested: Vec::new(),
    };
    build(cx, parts, &levels)
}

/// A server's own: what holds outside of its locations.
pub(super) fn own(
    cx: &mut Context<'_>,
    script: Script,
    try_files: Option<&At<List<String>>>,
    levels: &Levels<'_>,
) -> Location {
    build(cx, Parts { try_files, script, ..Parts::default() }, levels)
}

/// The location of a server that only has `return`.
pub(super) fn implicit(
    cx: &mut Context<'_>,
    answer: &At<ReturnValue>,
    levels: &Levels<'_>,
) -> Location {
    build(cx, Parts { answer: Some(answer), ..Parts::default() }, levels)
}

fn build(cx: &mut Context<'_>, parts: Parts<'_>, levels: &Levels<'_>) -> Location {
    let Parts { path, pass, answer, status, alias, try_files, script, internal, nested } = parts;
    let explicit = levels.iter().fold(LocationKeys::default(), |inner, outer| inner.or(outer));
    let mut merged = explicit.or(&cx.defaults.location);
    replace_headers(&mut merged, levels);
    let place_of_files = files::files(cx, alias, &merged.files);
    let action = match (pass, answer) {
        (Some(pass), _) => {
            let fixed = path.map(|path| &path.value.value);
            match proxy::proxy(cx, pass, fixed, &explicit, &merged) {
                Some(proxy) => Action::Proxy(Box::new(proxy)),
                None => Action::Nothing,
            }
        }
        (None, Some(answer)) => Action::Return(script::returned(cx, answer)),
        (None, None) if status => Action::Status,
        (None, None) if place_of_files.is_some() => Action::Files,
        (None, None) => Action::Nothing,
    };
    let LocationKeys {
        // `proxy` has them
        proxy: _,
        proxy_ssl: _,
        // `files` has them
        files: file_keys,
        limits: limit_keys,
        bodies: body_keys,
        auth: auth_keys,
        websocket: _,
        // `access` takes them from one section
        allow: _,
        deny: _,
        // it is in `add_header` by now
        add_header_inherit: _,
        add_header,
        set_real_ip_from,
        real_ip_header,
        real_ip_recursive,
        proxied_is_client,
        client_max_body_size,
        client_body_buffer_size,
        keepalive_timeout,
        keepalive_requests,
        keepalive_time,
        keepalive_header,
        error_page,
        recursive_error_pages,
        access_log: log,
        open_log_file_cache,
    } = &merged;
    let from = senders(cx, set_real_ip_from.with_default());
    Location {
        name: path.map_or_else(|| "/".to_owned(), |path| path.text.clone()),
        path: path_of(cx, path),
        nested,
        internal,
        script: script.steps,
        branches: script.branches,
        keepalive_timeout: keepalive_timeout.with_default().0,
        keepalive_requests: keepalive_requests.with_default().get(),
        keepalive_time: keepalive_time.copied().map(|time| time.0),
        keepalive_header: keepalive_header.copied().map(|time| time.0),
        error_pages: script::error_pages(cx, error_page.get()),
        recursive_error_pages: recursive_error_pages.with_default().value,
        limits: limits::limits(cx, limit_keys),
        files: place_of_files,
        try_files: try_files.and_then(|paths| files::try_files(cx, paths)),
        types: files::types(file_keys),
        redirects: files::redirects(file_keys),
        expires: files::expires(cx, file_keys),
        ssi: bodies::ssi(cx, body_keys),
        rate: bodies::rate(cx, body_keys),
        gzip: bodies::gzip(body_keys),
        html_errors: file_keys.html_errors.with_default().value,
        action,
        auth: auth::auth(cx, auth_keys),
        access: access(cx, levels),
        real_ip: RealIp {
            from,
            header: real_ip_header.with_default().value.clone(),
            recursive: real_ip_recursive.with_default().value,
            proxied_is_client: proxied_is_client.with_default().value,
        },
        add_headers: add_header.get().map_or_else(Vec::new, |added| headers::to_client(cx, added)),
        client_max_body_size: client_max_body_size.with_default().0,
        client_body_buffer_size: client_body_buffer_size.with_default().0,
        access_logs: logs::access_logs(
            cx,
            log.with_default(),
            open_log_file_cache.with_default().value,
        ),
    }
}

/// What it matches, with the variables that its groups set.
fn path_of(cx: &Context<'_>, path: Option<&At<Written<LocationPath>>>) -> LocationPath {
    match path.map(|path| &path.value.value) {
        None => LocationPath::Prefix { path: "/".to_owned(), no_regex: false },
        Some(LocationPath::Regex(pattern)) => LocationPath::Regex(cx.pattern(&pattern.regex)),
        Some(other) => other.clone(),
    }
}

/// Where sections do not add to each other, the innermost that sets headers sets all of them.
fn replace_headers(merged: &mut LocationKeys, levels: &Levels<'_>) {
    let inherit = merged.proxy.proxy_set_header_inherit.with_default();
    if inherit.value == Inherit::Replace {
        let own = levels.iter().find_map(|level| level.proxy.proxy_set_header.get());
        let (mut headers, place) = match own {
            Some(own) => (own.value.0.clone(), &own.place),
            None => (Vec::new(), &inherit.place),
        };
        if headers.iter().all(|(name, _)| name.value != HOST) {
            let host = (At::new(HOST, place), At::new("$proxy_host".to_owned(), place));
            headers.insert(0, host);
        }
        merged.proxy.proxy_set_header = Field::Given(At::new(Headers(headers), place));
    }
    if merged.add_header_inherit.with_default().value == Inherit::Replace {
        let own = levels.iter().find(|level| !level.add_header.is_absent());
        merged.add_header = own.map_or(Field::Absent, |level| level.add_header.clone());
    }
}

/// `set_real_ip_from`
fn senders(cx: &mut Context<'_>, list: &List<Sender>) -> Vec<Who> {
    let mut from = Vec::new();
    for sender in list.iter() {
        match &sender.value {
            Sender::Of(who) => from.push(who.clone()),
            Sender::Named(name) => match upstream::resolve(cx, name, 0) {
                Ok(found) => from.extend(found.iter().map(|addr| Who::Net(addr.ip().into()))),
                Err(cause) => {
                    let message = format!("host not found: {}: {cause}", quote(name));
                    cx.error(&sender.place, message, "check the name, or write the address");
                }
            },
        }
    }
    from
}

/// `allow` and `deny` of the innermost section that has either, in the order written.
fn access(cx: &mut Context<'_>, levels: &Levels<'_>) -> Vec<AccessRule> {
    let has_rules = |keys: &&&LocationKeys| !(keys.allow.is_absent() && keys.deny.is_absent());
    let Some(keys) = levels.iter().find(has_rules) else {
        return Vec::new();
    };
    let mut rules = rules_of(&keys.allow, true);
    rules.extend(rules_of(&keys.deny, false));
    rules.sort_by_key(|(_, place)| place.order());
    if let Some(at) = rules.iter().position(|(rule, _)| rule.who == Who::All)
        && let Some((_, unreached)) = rules.get(at + 1)
    {
        let message = "rule is never reached: the one before is for `all`";
        let help = "the first rule that fits decides: write the one for `all` last";
        cx.out
            .push(Diagnostic::warning(unreached, message).see(&rules[at].1, "this one").help(help));
    }
    rules.into_iter().map(|(rule, _)| rule).collect()
}

fn rules_of(list: &Field<List<Cidr>>, allow: bool) -> Vec<(AccessRule, Place)> {
    let cidrs = list.get().into_iter().flat_map(|list| list.iter());
    cidrs
        .map(|cidr| {
            let who = cidr.0.clone();
            (AccessRule { allow, who }, cidr.place.clone())
        })
        .collect()
}
