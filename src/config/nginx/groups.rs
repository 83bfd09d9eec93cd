//! Directives that stand anywhere from `http` inwards and are of one matter: TLS, bodies of answers.

use super::emit::{Emit, text};
use super::mapper::{Mapper, conf_path};
use super::parse::Directive;

impl Mapper<'_> {
    /// TLS towards clients; whether the directive is of that.
    pub(super) fn tls(&mut self, directive: &Directive, out: &mut Emit) -> bool {
        let (name, place) = (&directive.name, directive.place());
        match name.as_str() {
            "ssl_certificate" | "ssl_certificate_key" => {
                out.push(name, text(place, conf_path(place, directive.arg(0))));
            }
            "ssl_client_certificate" | "ssl_trusted_certificate" | "ssl_crl" => {
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
        "proxy_ssl_trusted_certificate" | "proxy_ssl_certificate" | "proxy_ssl_certificate_key" => {
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
