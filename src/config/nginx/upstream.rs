//! `upstream`.

use super::super::tree::{Kind, Table};
use super::emit::{Emit, node, text};
use super::mapper::Mapper;
use super::parse::Directive;

impl Mapper<'_> {
    pub(super) fn upstream(&mut self, upstream: &Directive, top: &mut Emit) {
        let (name, place) = (upstream.arg(0), upstream.place());
        let mut out = Emit::default();
        for directive in upstream.children() {
            match directive.name.as_str() {
                "server" => self.peer(directive, &mut out),
                "least_conn" => self.balance("least_conn", directive, &mut out),
                "random" => self.random(directive, &mut out),
                "ip_hash" => self.balance("ip_hash", directive, &mut out),
                "hash" => {
                    let consistent = directive.arg(1) == "consistent";
                    let method = if consistent { "consistent_hash" } else { "hash" };
                    self.balance(method, directive, &mut out);
                    out.text("hash", directive.place(), directive.arg(0));
                }
                "keepalive" | "keepalive_requests" => {
                    if let Some(number) = self.count(directive) {
                        out.number(&directive.name, directive.place(), number);
                    }
                }
                "keepalive_timeout" | "keepalive_time" => {
                    if let Some(time) = self.time(directive) {
                        out.text(&directive.name, directive.place(), time);
                    }
                }
                _ => self.by_table(directive),
            }
        }
        if !out.has("servers") {
            let message = format!("no servers are inside upstream \"{name}\"");
            self.out.emerg(place, message);
            return;
        }
        top.set("upstream", node(place, Kind::Table(Table::default())));
        if !top.insert("upstream", name, out.into_node(place)) {
            self.out.emerg(place, format!("duplicate upstream \"{name}\""));
        }
    }

    fn balance(&mut self, method: &str, directive: &Directive, out: &mut Emit) {
        if out.has("balance") {
            self.out.emerg(directive.place(), "load balancing method redefined");
            return;
        }
        out.text("balance", directive.place(), method);
    }

    /// nginx's plain `random` looks at no load; of two, the less busy is taken.
    fn random(&mut self, directive: &Directive, out: &mut Emit) {
        match (directive.arg(0), directive.arg(1)) {
            ("", _) => {
                let message =
                    "of two peers at random the less busy is picked, as \"random two\" does";
                self.out.differs(directive.place(), message);
            }
            ("two", "" | "least_conn") => {}
            (parameter, _) if parameter != "two" => {
                let message = format!("invalid parameter \"{parameter}\"");
                self.out.emerg(directive.place(), message);
                return;
            }
            (_, method) => {
                let message = format!("\"random two {method}\" is not supported");
                self.out.refused(directive.place(), message);
                return;
            }
        }
        self.balance("random", directive, out);
    }

    fn peer(&mut self, directive: &Directive, out: &mut Emit) {
        let mut words = vec![directive.arg(0).to_owned()];
        for arg in directive.args.iter().skip(1) {
            let name = arg.split('=').next().unwrap_or_default();
            match name {
                "weight" | "max_fails" | "fail_timeout" | "max_conns" | "backup" | "down" => {
                    words.push(arg.value.clone());
                }
                "slow_start" | "resolve" | "service" | "route" | "drain" => {
                    let message = format!("\"{name}\" of an upstream's server is not supported");
                    self.out.refused(&arg.place, message);
                }
                _ => self.out.emerg(&arg.place, format!("invalid parameter \"{}\"", arg.value)),
            }
        }
        out.push("servers", text(directive.place(), words.join(" ")));
    }
}
