//! Which directives may stand where, with how many arguments, how often: nginx's rules, in its words.
//! What breaks them is reported and left out, so that the rest can be looked at. Pure.

use std::collections::HashSet;

use super::names::{self, How, Row};
use super::parse::Directive;
use super::remark::Remarks;

/// Where a directive stands: its letter in the table of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Context {
    Main,
    Events,
    Http,
    Server,
    Location,
    Upstream,
    ServerIf,
    LocationIf,
    LimitExcept,
}

impl Context {
    const fn letter(self) -> char {
        match self {
            Self::Main => 'm',
            Self::Events => 'e',
            Self::Http => 'h',
            Self::Server => 's',
            Self::Location => 'l',
            Self::Upstream => 'u',
            Self::ServerIf => 'i',
            Self::LocationIf => 'j',
            Self::LimitExcept => 'x',
        }
    }

    /// The context inside the block of `name`; `None` when it holds no directives.
    fn inside(self, name: &str) -> Option<Self> {
        Some(match (name, self) {
            ("events", _) => Self::Events,
            ("http", _) => Self::Http,
            ("server", _) => Self::Server,
            ("location", _) => Self::Location,
            ("upstream", _) => Self::Upstream,
            ("if", Self::Server) => Self::ServerIf,
            ("if", _) => Self::LocationIf,
            ("limit_except", _) => Self::LimitExcept,
            _ => return None,
        })
    }
}

/// A file without an `http` block that holds what stands in one: an include of one.
pub(super) fn is_fragment(tree: &[Directive]) -> bool {
    let stands = |directive: &Directive, context: Context| {
        names::rows(&directive.name).any(|row| fits(row, context))
    };
    !tree.iter().any(|directive| matches!(directive.name.as_str(), "http" | "events"))
        && tree.iter().any(|d| stands(d, Context::Http) && !stands(d, Context::Main))
}

fn fits(row: &Row, context: Context) -> bool {
    row.1.contains(['*', context.letter()])
}

/// Leaves what nginx would take, in blocks too.
pub(super) fn check(tree: &mut Vec<Directive>, context: Context, out: &mut Remarks) {
    let mut seen = HashSet::new();
    tree.retain_mut(|directive| {
        let Some(how) = permitted(directive, context, out) else {
            return false;
        };
        if names::is_single(&directive.name) && !seen.insert(directive.name.value.clone()) {
            out.emerg(
                directive.place(),
                format!("\"{}\" directive is duplicate", directive.name.value),
            );
            return false;
        }
        // what stands in a block that is refused is not looked at: one reason is enough
        let inside = context.inside(&directive.name).filter(|_| !matches!(how, How::Refused(_)));
        if let (Some(inside), Some(block)) = (inside, &mut directive.block) {
            check(block, inside, out);
        }
        true
    });
}

/// What becomes of the directive; `None` when nginx would not take it.
fn permitted(directive: &Directive, context: Context, out: &mut Remarks) -> Option<How> {
    let name = directive.name.as_str();
    let mut known = false;
    for row in names::rows(name) {
        known = true;
        if !fits(row, context) {
            continue;
        }
        // in TOML these would be replaced
        for name in ["env", "file"] {
            if directive.args.iter().any(|arg| arg.contains(&format!("${{{name}:"))) {
                let message = format!("the closing bracket in \"{name}\" variable is missing");
                out.emerg(directive.place(), message);
                return None;
            }
        }
        if let Some(fault) = shape(directive, row.2) {
            out.emerg(directive.place(), fault);
            return None;
        }
        if row.2 == "flag"
            && !matches!(directive.arg(0).to_ascii_lowercase().as_str(), "on" | "off")
        {
            let message = format!(
                "invalid value \"{}\" in \"{name}\" directive, it must be \"on\" or \"off\"",
                directive.arg(0)
            );
            out.emerg(directive.place(), message);
            return None;
        }
        return Some(row.3);
    }
    let message = if known {
        format!("\"{name}\" directive is not allowed here")
    } else {
        format!("unknown directive \"{name}\"")
    };
    out.emerg(directive.place(), message);
    None
}

/// What is wrong with the arguments and the block.
fn shape(directive: &Directive, args: &str) -> Option<String> {
    let name = directive.name.as_str();
    let (is_block, args) = match args.strip_prefix('{') {
        Some(args) => (true, args),
        None => (false, args),
    };
    match (is_block, &directive.block) {
        (true, None) => return Some(format!("directive \"{name}\" has no opening \"{{\"")),
        (false, Some(_)) => {
            return Some(format!("directive \"{name}\" is not terminated by \";\""));
        }
        _ => {}
    }
    let count = directive.args.len();
    let fits = args.split(',').any(|part| match part {
        "any" => true,
        "flag" => count == 1,
        "1+" => count >= 1,
        "2+" => count >= 2,
        number => number.parse() == Ok(count),
    });
    (!fits).then(|| format!("invalid number of arguments in \"{name}\" directive"))
}
