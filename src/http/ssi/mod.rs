//! Server side includes, those of nginx that documents are made with: `include`, `echo`, `set`,
//! `if`, `config errmsg`. A document is held in memory, and so is what it includes.

mod parse;

use bytes::{Bytes, BytesMut};
use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::BodyExt as _;
use regex::Regex;

use self::parse::{Command, Piece};
use super::body::{Body, empty, full};
use super::exchange::Exchange;
use super::forward::Answer;
use super::path;
use super::subrequest::{self, Given};
use crate::config::model::Ssi;

/// The longest document, the longest part that is included, and the longest answer made of both.
const LONGEST: usize = 1024 * 1024;
/// What stands in place of a command that failed.
const FAILED: &str = "[an error occurred while processing the directive]";

/// Runs the commands in an answer, where its location wants that and its type is one of documents.
pub(super) async fn process(exchange: &mut Exchange<'_>, answer: Answer) -> Answer {
    match &exchange.route.location.ssi {
        // apart, as few requests need it
        Some(ssi) if is_document(answer.0.headers(), ssi) => {
            Box::pin(run(exchange, ssi, answer)).await
        }
        _ => answer,
    }
}

async fn run(exchange: &mut Exchange<'_>, ssi: &Ssi, (mut response, timeout): Answer) -> Answer {
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.remove(ACCEPT_RANGES);
    if !ssi.last_modified {
        headers.remove(LAST_MODIFIED);
        headers.remove(ETAG);
    }
    if *exchange.method() == Method::HEAD {
        return (response, timeout);
    }
    let document = std::mem::replace(response.body_mut(), empty());
    let made = match held(document).await {
        Some(document) => {
            let message = FAILED.to_owned();
            let mut run = Run { exchange, ssi, message, branch: None, out: Vec::new() };
            run.document(&document).await;
            run.out
        }
        None => FAILED.into(),
    };
    *response.body_mut() = full(made.into());
    (response, None)
}

/// Whether there may be commands in an answer.
pub(super) fn is_document(headers: &HeaderMap, ssi: &Ssi) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim();
    let of_type = |known: &String| known == "*" || known.eq_ignore_ascii_case(kind);
    let plain = |value: &HeaderValue| value == "identity";
    ssi.types.iter().any(of_type) && headers.get(CONTENT_ENCODING).is_none_or(plain)
}

/// All of a body, unless it is too long or breaks off.
async fn held(mut body: Body) -> Option<Bytes> {
    let mut held = BytesMut::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => held.extend_from_slice(frame.data_ref().map_or(b"", |data| data)),
            Err(error) => {
                tracing::error!("a document or a part of it broke off: {error}");
                return None;
            }
        }
        if held.len() > LONGEST {
            tracing::error!("a document or a part of it is longer than {LONGEST} bytes");
            return None;
        }
    }
    Some(held.freeze())
}

/// A document while it is processed.
struct Run<'r, 'e> {
    exchange: &'r mut Exchange<'e>,
    ssi: &'r Ssi,
    /// What stands for a command that failed.
    message: String,
    /// Of the `if` that is open.
    branch: Option<Branch>,
    out: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Branch {
    /// What stands here is part of the answer.
    counts: bool,
    /// This branch, or one before it, was.
    taken: bool,
}

/// A command failed, and the log knows why.
struct Failed;

impl Run<'_, '_> {
    async fn document(&mut self, document: &[u8]) {
        for piece in parse::parse(document) {
            if self.out.len() > LONGEST {
                tracing::error!("an answer made of a document is longer than {LONGEST} bytes");
                return;
            }
            let counts = self.branch.is_none_or(|branch| branch.counts);
            let done = match piece {
                Piece::Command(command) => self.command(&command, counts).await,
                _ if !counts => Ok(()),
                Piece::Text(text) => {
                    self.out.extend_from_slice(text);
                    Ok(())
                }
                Piece::Malformed => self.fault("a command is malformed"),
            };
            if done.is_err() && !self.ssi.silent_errors {
                self.out.extend_from_slice(self.message.as_bytes());
            }
        }
    }

    async fn command(&mut self, command: &Command, counts: bool) -> Result<(), Failed> {
        match (command.name.as_str(), self.branch) {
            ("if", None) => {
                let holds = self.holds(command)?;
                self.branch = Some(Branch { counts: holds, taken: holds });
            }
            ("elif" | "else", Some(Branch { taken: true, .. })) => {
                self.branch = Some(Branch { counts: false, taken: true });
            }
            (name @ ("elif" | "else"), Some(_)) => {
                let holds = name == "else" || self.holds(command)?;
                self.branch = Some(Branch { counts: holds, taken: holds });
            }
            ("endif", Some(_)) => self.branch = None,
            _ if !counts => {}
            ("include", _) => return self.include(command).await,
            ("echo", _) => return self.echo(command),
            ("set", _) => return self.set(command),
            ("config", _) => return self.config(command),
            _ => return self.fault("a command is not known, or not here"),
        }
        Ok(())
    }

    fn fault(&self, what: &str) -> Result<(), Failed> {
        tracing::error!(
            "{what} in a document with server side includes: {:?}",
            self.exchange.state.path
        );
        Err(Failed)
    }

    /// `include`: by `virtual` a path with arguments, by `file` one beside the document.
    async fn include(&mut self, command: &Command) -> Result<(), Failed> {
        let target = match (command.get("virtual"), command.get("file")) {
            (Some(target), None) => self.value(target),
            (None, Some(file)) => self.value(file),
            _ => return self.fault("`include` needs `virtual` or `file`"),
        };
        let (path, args) = target.split_once('?').unwrap_or((&target, ""));
        let folder = self.exchange.state.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let beside = if path.starts_with('/') { String::new() } else { format!("{folder}/") };
        let merge = self.exchange.site.model.merge_slashes;
        let Some(path) = path::normalise(&format!("{beside}{path}"), merge) else {
            return self.fault("`include` has an unsafe path");
        };
        let given = subrequest::ask(self.exchange, path, args.to_owned()).await;
        let Given { response, finish: _busy } = given.ok_or(Failed)?;
        let part = held(response.into_body()).await.ok_or(Failed)?;
        match command.get("set") {
            Some(name) => {
                let value = String::from_utf8_lossy(&part).into_owned();
                self.exchange.state.ssi.insert(name.to_owned(), value);
            }
            None => self.out.extend_from_slice(&part),
        }
        Ok(())
    }

    /// `echo`: a variable, so that no document is changed by what is in it.
    fn echo(&mut self, command: &Command) -> Result<(), Failed> {
        let Some(name) = command.get("var") else {
            return self.fault("`echo` needs `var`");
        };
        let value = match self.variable(name) {
            Some(value) if !value.is_empty() => value,
            Some(value) if command.get("default").is_none() => value,
            _ => command.get("default").unwrap_or("(none)").to_owned(),
        };
        let told = match command.get("encoding") {
            None | Some("entity") => entities(&value),
            Some("url") => path::encode(&value),
            Some("none") => value,
            Some(_) => return self.fault("`encoding` is `none`, `url` or `entity`"),
        };
        self.out.extend_from_slice(told.as_bytes());
        Ok(())
    }

    fn set(&mut self, command: &Command) -> Result<(), Failed> {
        let (Some(name), Some(value)) = (command.get("var"), command.get("value")) else {
            return self.fault("`set` needs `var` and `value`");
        };
        let value = self.value(value);
        self.exchange.state.ssi.insert(name.to_owned(), value);
        Ok(())
    }

    fn config(&mut self, command: &Command) -> Result<(), Failed> {
        match command.get("errmsg") {
            Some(message) => message.clone_into(&mut self.message),
            None => return self.fault("`config` knows `errmsg` alone"),
        }
        Ok(())
    }

    /// `if` and `elif`: a value that is not empty, or one that is or is not another, or fits `/…/`.
    fn holds(&self, command: &Command) -> Result<bool, Failed> {
        let Some(expression) = command.get("expr") else {
            return self.fault("a branch needs `expr`").map(|()| false);
        };
        let Some((left, right)) = expression.split_once('=') else {
            return Ok(!self.value(expression.trim()).is_empty());
        };
        let (left, not) = match left.strip_suffix('!') {
            Some(left) => (left, true),
            None => (left, false),
        };
        let (left, right) = (self.value(left.trim()), right.trim());
        let pattern = right.strip_prefix('/').and_then(|right| right.strip_suffix('/'));
        let same = match pattern.map(Regex::new) {
            None => left == self.value(right),
            Some(Ok(pattern)) => pattern.is_match(&left),
            Some(Err(_)) => return self.fault("`expr` has an invalid expression").map(|()| false),
        };
        Ok(same != not)
    }

    /// What a variable stands for: what the document has set, or the configuration knows.
    fn variable(&self, name: &str) -> Option<String> {
        if let Some(value) = self.exchange.state.ssi.get(name) {
            return Some(value.clone());
        }
        Some(self.ssi.variable(name)?.expand_text(&self.exchange.facts("")))
    }

    /// A value with variables in it; what is not known stands for nothing.
    fn value(&self, text: &str) -> String {
        let mut value = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('$') {
            value.push_str(before);
            let braced = behind.strip_prefix('{');
            let inner = braced.unwrap_or(behind);
            let is_other = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
            let (name, after) = inner.split_at(inner.find(is_other).unwrap_or(inner.len()));
            value.push_str(&self.variable(name).unwrap_or_default());
            rest = if braced.is_some() { after.strip_prefix('}').unwrap_or(after) } else { after };
        }
        value.push_str(rest);
        value
    }
}

fn entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ => out.push(c),
        }
    }
    out
}
