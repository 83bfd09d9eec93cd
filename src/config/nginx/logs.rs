//! `log_format` and `access_log`.

use super::emit::{Emit, text};
use super::mapper::Mapper;
use super::parse::Directive;
use super::shared::in_seconds;

impl Mapper<'_> {
    /// `log_format NAME [escape=…] STRING…`
    pub(super) fn log_format(&mut self, directive: &Directive, top: &mut Emit) {
        let mut table = Emit::default();
        let mut line = String::new();
        for arg in directive.args.iter().skip(1) {
            match arg.strip_prefix("escape=") {
                Some(escape) => table.text("escape", &arg.place, escape),
                None => line += arg,
            }
        }
        let place = directive.place();
        table.text("line", place, line);
        if !top.insert("log_format", directive.arg(0), table.into_node(place)) {
            let message = format!("duplicate \"log_format\" name \"{}\"", directive.arg(0));
            self.out.emerg(place, message);
        }
    }

    /// `access_log PATH [FORMAT [buffer=…] [flush=…] [gzip[=…]] [if=…]]`
    pub(super) fn access_log(&mut self, directive: &Directive, out: &mut Emit) {
        let (path, place) = (directive.arg(0), directive.place());
        if path == "off" {
            out.push("access_log", text(place, "off"));
            return;
        }
        if path.starts_with("syslog:") {
            self.out.refused(place, format!("\"access_log\" cannot write to {path}"));
            return;
        }
        let mut table = Emit::default();
        table.text("path", place, self.log_path(path));
        for arg in directive.args.iter().skip(1) {
            match arg.split_once('=') {
                Some((name @ "buffer", size)) => table.text(name, &arg.place, size),
                Some((name @ "flush", time)) => table.text(name, &arg.place, in_seconds(time)),
                Some((name @ "gzip", level)) => match level.parse() {
                    Ok(level) => table.number(name, &arg.place, level),
                    Err(_) => {
                        let message = format!("invalid compression level \"{level}\"");
                        self.out.emerg(&arg.place, message);
                    }
                },
                None if arg.as_str() == "gzip" => table.number("gzip", &arg.place, 1),
                Some(("if", condition)) => table.text("if", &arg.place, condition),
                Some(_) => {
                    let message = format!("\"{}\" of \"access_log\" is not supported", arg.value);
                    self.out.refused(&arg.place, message);
                }
                None => table.text("format", &arg.place, arg.value.clone()),
            }
        }
        out.push("access_log", table.into_node(place));
    }
}
