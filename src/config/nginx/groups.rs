//! Directives that stand anywhere from `http` inwards and are of one matter: TLS, bodies of answers.

use super::super::tree::Kind;
use super::emit::{Emit, node, text};
use super::mapper::{Mapper, conf_path, hidden};
use super::parse::Directive;
use super::shared::Level;

impl Mapper<'_> {
    /// TLS towards clients; whether the directive is of that.
    pub(super) fn tls(&mut self, directive: &Directive, out: &mut Emit) -> bool {
        let (name, place) = (&directive.name, directive.place());
        match name.as_str() {
            "ssl_certificate" | "ssl_certificate_key" => {
                let path = directive.arg(0);
                let variable = path.starts_with('$');
                let path = if variable { path.to_owned() } else { conf_path(place, path) };
                out.push(name, text(place, path));
            }
            "ssl_client_certificate"
            | "ssl_trusted_certificate"
            | "ssl_crl"
            | "ssl_password_file" => {
                out.text(name, place, conf_path(place, directive.arg(0)));
            }
            "ssl_protocols" => self.ssl_protocols(directive, out),
            "ssl_verify_client" => out.text(name, place, directive.arg(0)),
            "ssl_verify_depth" => self.counted(directive, out),
            "ssl_session_timeout" => self.timed(directive, out),
            "ssl_session_cache" => {
                let kept = directive.args.iter().any(|arg| !matches!(arg.as_str(), "off" | "none"));
                out.flag(name, place, kept);
            }
            "ssl_reject_handshake" | "ssl_session_tickets" => {
                out.flag(name, place, directive.arg(0).eq_ignore_ascii_case("on"));
            }
            _ => return false,
        }
        true
    }

    /// What becomes of bodies; whether the directive is of that.
    pub(super) fn bodies(&mut self, directive: &Directive, out: &mut Emit) -> bool {
        let (name, place) = (&directive.name, directive.place());
        match name.as_str() {
            "ssi" | "ssi_last_modified" | "ssi_silent_errors" | "gzip" | "gzip_vary" => {
                out.flag(name, place, directive.arg(0).eq_ignore_ascii_case("on"));
            }
            "ssi_types" | "gzip_types" | "gzip_proxied" => {
                for arg in &directive.args {
                    out.push(name, text(&arg.place, arg.value.clone()));
                }
            }
            "gzip_comp_level" => self.counted(directive, out),
            "gzip_http_version" | "limit_rate" | "limit_rate_after" => {
                out.text(name, place, directive.arg(0));
            }
            "gzip_min_length" => {
                if let Some(size) = self.size(directive) {
                    out.text(name, place, size);
                }
            }
            _ => return false,
        }
        true
    }
}

/// TLS towards peers; whether the directive is of that.
pub(super) fn proxy_tls(directive: &Directive, out: &mut Emit) -> bool {
    let (name, place) = (&directive.name, directive.place());
    match name.as_str() {
        "proxy_ssl_verify" | "proxy_ssl_session_reuse" | "proxy_ssl_server_name" => {
            out.flag(name, place, directive.arg(0).eq_ignore_ascii_case("on"));
        }
        "proxy_ssl_name" => {
            // nginx takes a port off
            let named = directive.arg(0);
            let bare = named.rsplit_once(':').filter(|(bare, _)| !bare.contains(':'));
            out.text(name, place, bare.map_or(named, |(bare, _)| bare));
        }
        "proxy_ssl_trusted_certificate"
        | "proxy_ssl_certificate"
        | "proxy_ssl_certificate_key"
        | "proxy_ssl_password_file" => {
            out.text(name, place, conf_path(place, directive.arg(0)));
        }
        _ => return false,
    }
    true
}

/// Who is let in; whether the directive is of that.
pub(super) fn auth(directive: &Directive, out: &mut Emit) -> bool {
    let (name, place) = (&directive.name, directive.place());
    match name.as_str() {
        "auth_basic" | "auth_request" | "satisfy" => out.text(name, place, directive.arg(0)),
        "auth_basic_user_file" => {
            let path = directive.arg(0);
            let variable = path.starts_with('$');
            out.text(name, place, if variable { path.to_owned() } else { conf_path(place, path) });
        }
        "auth_request_set" => {
            out.insert(name, directive.arg(0), text(place, directive.arg(1)));
        }
        _ => return false,
    }
    true
}

/// `proxy_hide_header` and `proxy_pass_header`: what is hidden of a level that has any of them.
pub(super) fn hide_headers(level: &Level<'_>, out: &mut Emit) {
    const NAMES: [&str; 2] = ["proxy_hide_header", "proxy_pass_header"];
    let Some(first) = level.own.iter().find(|d| NAMES.contains(&d.name.as_str())) else {
        return;
    };
    let place = first.place();
    let always = hidden().map(|header| text(place, header));
    let passes = |name: &str| level.pass.iter().any(|pass| pass.arg(0).eq_ignore_ascii_case(name));
    let always = always.zip(hidden()).filter(|(_, name)| !passes(name)).map(|(node, _)| node);
    let named = level.hide.iter().filter(|hide| !passes(hide.arg(0)));
    let named = named.map(|hide| text(hide.place(), hide.arg(0)));
    out.set(NAMES[0], node(place, Kind::Array(always.chain(named).collect())));
}
