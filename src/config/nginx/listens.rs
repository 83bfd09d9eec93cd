//! `listen`: nginx's options, those of one socket put together.

use std::collections::BTreeMap;

use super::emit::{Emit, text};
use super::mapper::Mapper;
use super::parse::Directive;

/// What the servers on an address say together: in nginx one word for `ssl` or `proxy_protocol` is
/// enough for all of them.
#[derive(Debug, Default)]
pub(super) struct Listens(BTreeMap<String, Vec<&'static str>>);

/// Options that hold for the socket as soon as one server has them.
const SHARED: [&str; 2] = ["ssl", "proxy_protocol"];

impl Listens {
    /// Takes in every `listen` of an `http` block.
    pub(super) fn gather(&mut self, http: &[Directive]) {
        let servers = http.iter().filter(|directive| directive.name.value == "server");
        for listen in servers.flat_map(Directive::children).filter(|d| d.name.value == "listen") {
            let has = |option: &str| listen.args.iter().any(|arg| arg.value == option);
            for written in each_port(listen.arg(0)) {
                let options = self.0.entry(address(&written)).or_default();
                for option in SHARED {
                    if has(option) && !options.contains(&option) {
                        options.push(option);
                    }
                }
            }
        }
    }
}

/// The addresses of a range of ports, or the one address.
fn each_port(written: &str) -> Vec<String> {
    let ports = written.rsplit(':').next().unwrap_or_default();
    let range = ports
        .split_once('-')
        .and_then(|(first, last)| Some((first.parse::<u16>().ok()?, last.parse::<u16>().ok()?)));
    match range {
        Some((first, last)) if first <= last && !written.starts_with("unix:") => {
            let host = &written[..written.len() - ports.len()];
            (first..=last).map(|port| format!("{host}{port}")).collect()
        }
        _ => vec![written.to_owned()],
    }
}

/// An address in one spelling.
fn address(written: &str) -> String {
    if written.bytes().all(|b| b.is_ascii_digit()) {
        format!("*:{written}")
    } else if written.starts_with("unix:") || written.rsplit(']').next().unwrap_or("").contains(':')
    {
        written.replacen("0.0.0.0:", "*:", 1)
    } else {
        format!("{written}:80")
    }
}

impl Mapper<'_> {
    /// `listen`; whether it speaks TLS.
    pub(super) fn listen(&mut self, directive: &Directive, server: &mut Emit) -> bool {
        let mut tls = false;
        for written in each_port(directive.arg(0)) {
            tls |= self.listen_on(&written, directive, server);
        }
        tls
    }

    fn listen_on(&mut self, written: &str, directive: &Directive, server: &mut Emit) -> bool {
        let place = directive.place();
        let shared = self.listens.0.get(&address(written)).cloned().unwrap_or_default();
        let mut words = vec![written.to_owned()];
        words.extend(shared.iter().map(|option| (*option).to_owned()));
        for arg in directive.args.iter().skip(1) {
            let name = arg.split('=').next().unwrap_or_default();
            match name {
                "ssl" | "proxy_protocol" => {}
                "http2" | "spdy" if shared.contains(&"ssl") => {
                    let message =
                        "\"http2\" is left out: clients fall back to HTTP/1.1 by themselves";
                    self.out.note(&arg.place, message);
                }
                "http2" => {
                    let message = "\"http2\" without \"ssl\" is not supported: HTTP/1.1 is spoken";
                    self.out.refused(&arg.place, message);
                }
                "quic" => self.out.refused(&arg.place, "\"quic\" is not supported"),
                "default_server" | "default" | "backlog" | "ipv6only" => {
                    words.push(arg.value.clone());
                }
                "reuseport" | "deferred" | "bind" | "so_keepalive" | "fastopen" | "rcvbuf"
                | "sndbuf" | "setfib" | "accept_filter" => {
                    let message =
                        format!("\"{name}\" of \"listen\" is left out: it tunes the socket");
                    self.out.note(&arg.place, message);
                }
                _ => self.out.emerg(&arg.place, format!("invalid parameter \"{}\"", arg.value)),
            }
        }
        server.push("listen", text(place, words.join(" ")));
        shared.contains(&"ssl")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_ports_is_each_of_them() {
        for (written, each) in [
            ("80-82", &["80", "81", "82"][..]),
            ("127.0.0.1:80-81", &["127.0.0.1:80", "127.0.0.1:81"]),
            ("[::1]:65535-65535", &["[::1]:65535"]),
            ("a-b:80", &["a-b:80"]),
            ("[::1]", &["[::1]"]),
            ("unix:/a:1-2", &["unix:/a:1-2"]),
            ("82-80", &["82-80"]),
            ("80-65536", &["80-65536"]),
        ] {
            assert_eq!(each_port(written), each, "{written}");
        }
    }
}
