//! Runs the steps of `rewrite` (nginx's `ngx_http_rewrite_module`): they set variables, change the
//! path, and answer.

use std::path::Path;

use http::StatusCode;
use http::header::CONTENT_TYPE;

use super::exchange::Exchange;
use super::file_answer::content_type;
use super::forward::Answer;
use super::path;
use super::respond::{self, Refused};
use super::vars::Facts;
use crate::config::model::{
    Branch, Condition, FileTest, Returned, Rewrite, RewriteFlag, Step, Test,
};
use crate::config::template::{Lookup, Var};

/// How a script ended.
#[derive(Debug, Default)]
pub(super) struct Ran {
    /// The path is another one: a location is looked for anew.
    pub(super) changed: bool,
    /// The branch that holds from here on.
    pub(super) branch: Option<usize>,
}

/// What a script says instead of going on.
#[derive(Debug)]
pub(super) enum Stop {
    /// This answer.
    Answer(Box<Answer>),
    /// This error, which may have a page.
    Refused(Refused),
    /// Another path or `@name` to begin anew with.
    GoTo(String),
    /// No answer: the connection is closed.
    Close,
}

/// Whether further steps follow.
enum Next {
    Step,
    End,
}

/// Runs a script.
pub(super) fn run(exchange: &mut Exchange<'_>, script: &[Step]) -> Result<Ran, Stop> {
    let mut ran = Ran::default();
    steps(exchange, script, &mut ran)?;
    Ok(ran)
}

fn steps(exchange: &mut Exchange<'_>, script: &[Step], ran: &mut Ran) -> Result<Next, Stop> {
    for step in script {
        let next = match step {
            Step::Set { variable, value } => {
                let value = value.expand_text(&exchange.facts(""));
                exchange.state.assign(*variable, value);
                Next::Step
            }
            Step::Rewrite(rewrite) => self::rewrite(exchange, rewrite, ran)?,
            Step::Return(returned) => return Err(self::returned(exchange, returned)),
            Step::Break => Next::End,
            Step::If(branch) => self::branch(exchange, branch, ran)?,
        };
        if matches!(next, Next::End) {
            return Ok(Next::End);
        }
    }
    Ok(Next::Step)
}

fn branch(exchange: &mut Exchange<'_>, branch: &Branch, ran: &mut Ran) -> Result<Next, Stop> {
    if !holds(exchange, &branch.condition) {
        return Ok(Next::Step);
    }
    if branch.location.is_some() {
        ran.branch = branch.location;
    }
    steps(exchange, &branch.script, ran)
}

fn holds(exchange: &mut Exchange<'_>, condition: &Condition) -> bool {
    let value = condition.subject.expand_text(&exchange.facts(""));
    let holds = match &condition.test {
        Test::Set => !matches!(value.as_str(), "" | "0"),
        Test::Equals(text) => value == text.expand_text(&exchange.facts("")),
        Test::Matches(pattern) => exchange.state.fits(pattern, &value),
        Test::File(test) => file_is(*test, Path::new(&value)),
    };
    holds != condition.not
}

/// One look at the file system, as nginx takes it in a worker.
fn file_is(test: FileTest, path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|found| match test {
        FileTest::File => found.is_file(),
        FileTest::Directory => found.is_dir(),
        FileTest::Exists => true,
        FileTest::Executable => found.permissions().mode() & 0o111 != 0,
    })
}

fn rewrite(exchange: &mut Exchange<'_>, rewrite: &Rewrite, ran: &mut Ran) -> Result<Next, Stop> {
    if !exchange.state.path_fits(&rewrite.pattern) {
        return Ok(Next::Step);
    }
    let redirects = matches!(rewrite.flag, Some(RewriteFlag::Redirect | RewriteFlag::Permanent));
    let facts = exchange.facts("");
    let escaped = Escaped(&facts);
    let values: &dyn Lookup = if redirects { &escaped } else { &facts };
    let path = rewrite.path.expand(values);
    let own = rewrite.args.as_ref().map(|args| args.expand(&escaped));
    let kept = exchange.state.args(exchange.parts).filter(|_| rewrite.keep_args);
    let args = match (own, kept) {
        (Some(own), Some(kept)) => Some(format!("{own}&{kept}")),
        (own, kept) => own.or(kept.map(str::to_owned)),
    };
    if redirects {
        let status = match rewrite.flag {
            Some(RewriteFlag::Permanent) => StatusCode::MOVED_PERMANENTLY,
            _ => StatusCode::FOUND,
        };
        let args = args.filter(|args| !args.is_empty()).map(|args| format!("?{args}"));
        let path = path::unescape_redirect(&path);
        let location = format!("{path}{}", args.unwrap_or_default());
        let response = respond::returned(status, location, true);
        return Err(Stop::Answer(Box::new((response, None))));
    }
    if path.is_empty() {
        return Err(Stop::Refused(Refused::Returned(StatusCode::INTERNAL_SERVER_ERROR)));
    }
    exchange.state.set_args(args.unwrap_or_default());
    exchange.state.path = path;
    exchange.state.rewritten = true;
    ran.changed = rewrite.flag != Some(RewriteFlag::Break);
    Ok(if rewrite.flag.is_some() { Next::End } else { Next::Step })
}

/// `return`: a status alone is an error, which may have a page.
pub(super) fn returned(exchange: &Exchange<'_>, returned: &Returned) -> Stop {
    if returned.status == 444 && returned.text.is_none() {
        return Stop::Close;
    }
    let status = StatusCode::from_u16(returned.status).unwrap_or(StatusCode::OK);
    let facts = exchange.facts("");
    let text = match &returned.text {
        Some(text) if returned.redirect => text.expand(&facts),
        Some(text) => text.expand_text(&facts),
        None if returned.status >= 300 => return Stop::Refused(Refused::Returned(status)),
        None => String::new(),
    };
    let mut response = respond::returned(status, text, returned.redirect);
    let types = &exchange.route.location.types;
    if types.default.is_some() && response.headers().contains_key(CONTENT_TYPE) {
        let kind = content_type(types, &exchange.state.path);
        respond::set(response.headers_mut(), CONTENT_TYPE, &kind);
    }
    Stop::Answer(Box::new((response, None)))
}

/// What a group took goes into a URL: where the client has escaped something, it is escaped again.
struct Escaped<'a>(&'a Facts<'a>);

impl Lookup for Escaped<'_> {
    fn lookup(&self, var: &Var, out: &mut String) {
        match var {
            Var::Capture(group) if self.0.parts.uri.path().contains(['%', '+']) => {
                out.push_str(&path::escape_args(self.0.state.capture(*group)));
            }
            _ => self.0.lookup(var, out),
        }
    }
}
