//! The directives of `ngx_http_rewrite_module`, brought to steps of `rewrite`, and `error_page`.

use super::super::source::Place;
use super::super::tree::{Kind, Node};
use super::emit::{Emit, node, text};
use super::mapper::Mapper;
use super::parse::Directive;
use super::shared::{Block, Level};

/// Statuses whose text is a `Location`.
const REDIRECTS: [&str; 5] = ["301", "302", "303", "307", "308"];

/// The methods that `limit_except` knows.
const METHODS: [&str; 14] = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "MKCOL",
    "COPY",
    "MOVE",
    "OPTIONS",
    "PROPFIND",
    "PROPPATCH",
    "LOCK",
    "UNLOCK",
    "PATCH",
];

/// Whether the directive is a step of a script.
pub(super) fn is_step(name: &str) -> bool {
    matches!(name, "set" | "rewrite" | "if" | "return" | "break")
}

impl Mapper<'_> {
    /// The script of a server or of a location.
    pub(super) fn script(&mut self, level: &Level<'_>, out: &mut Emit) {
        let steps: Vec<_> = level.own.iter().filter(|step| is_step(&step.name)).collect();
        if let [answer] = steps[..]
            && answer.name.value == "return"
            && level.answers_alone()
        {
            if let Some(node) = self.returned(answer) {
                out.set("return", node);
            }
            return;
        }
        // first, so that no `break` comes before it
        for limit in level.own.iter().filter(|directive| directive.name.value == "limit_except") {
            if let Some(node) = self.limit_except(limit, level) {
                out.push("rewrite", node);
            }
        }
        // the last condition that holds decides, so each has to say what holds
        let settings = steps.iter().any(|step| step.name.value == "if" && has_settings(step));
        for step in steps {
            if let Some(node) = self.step(step, level, settings) {
                out.push("rewrite", node);
            }
        }
    }

    /// `limit_except METHOD … { … }`: a condition, and what holds where it does.
    fn limit_except(&mut self, limit: &Directive, level: &Level<'_>) -> Option<Node> {
        let place = limit.place();
        let mut methods = Vec::new();
        for arg in &limit.args {
            let method = arg.as_str().to_ascii_uppercase();
            if !METHODS.contains(&method.as_str()) {
                self.out.emerg(&arg.place, format!("invalid method \"{}\"", arg.value));
                return None;
            }
            methods.extend((method == "GET").then(|| "HEAD".to_owned()));
            methods.push(method);
        }
        if level.own.iter().any(|other| other.name.value == "if" && has_settings(other)) {
            let message = "\"limit_except\" beside an \"if\" that holds settings is not supported";
            self.out.refused(place, message);
            return None;
        }
        let mut out = Emit::default();
        out.text("if", place, format!("$request_method !~ ^({})$", methods.join("|")));
        let inner = level.inside(Block::If, limit.children());
        let location = self.settings(&inner, place);
        out.set("location", location);
        Some(out.into_node(place))
    }

    fn step(&mut self, step: &Directive, level: &Level<'_>, settings: bool) -> Option<Node> {
        let place = step.place();
        let mut out = Emit::default();
        match step.name.as_str() {
            "set" => {
                out.text("set", &step.args[0].place, step.arg(0));
                out.text("value", &step.args[1].place, step.arg(1));
            }
            "rewrite" => {
                out.text("regex", &step.args[0].place, step.arg(0));
                out.text("replacement", &step.args[1].place, step.arg(1));
                if let Some(flag) = step.args.get(2) {
                    if !matches!(flag.as_str(), "last" | "break" | "redirect" | "permanent") {
                        self.out.emerg(place, format!("invalid parameter \"{}\"", flag.value));
                        return None;
                    }
                    out.text("flag", &flag.place, flag.value.clone());
                }
            }
            "return" => out.set("return", self.returned(step)?),
            "break" => out.flag("break", place, true),
            _ => {
                out.set("if", self.condition(step)?);
                let inner = level.inside(Block::If, step.children());
                for step in step.children().iter().filter(|inner| is_step(&inner.name)) {
                    if let Some(node) = self.step(step, &inner, false) {
                        out.push("rewrite", node);
                    }
                }
                if settings {
                    let location = self.settings(&inner, place);
                    out.set("location", location);
                }
            }
        }
        Some(out.into_node(place))
    }

    /// What holds besides its script where a condition does.
    fn settings(&mut self, level: &Level<'_>, place: &Place) -> Node {
        let mut out = Emit::default();
        for directive in level.own.iter().filter(|directive| !is_step(&directive.name)) {
            if directive.name.value == "proxy_pass" {
                out.text("proxy_pass", directive.place(), directive.arg(0));
                self.websocket(level, directive.place(), &mut out);
            } else {
                self.shared(directive, level, &mut out);
            }
        }
        self.headers(level, &mut out);
        out.into_node(place)
    }

    /// `(-f path)`, `($variable)`, `($variable = text)`
    fn condition(&mut self, step: &Directive) -> Option<Node> {
        let invalid = format!("invalid condition \"{}\"", step.arg(0));
        let mut words: Vec<&str> = step.args.iter().map(|arg| arg.as_str()).collect();
        let opens = words.first().is_some_and(|word| word.starts_with('('));
        let closes = words.last().is_some_and(|word| word.ends_with(')'));
        if !(opens && closes) {
            self.out.emerg(step.place(), invalid);
            return None;
        }
        // a bracket may stand by itself
        match words.pop() {
            None | Some(")") => {}
            Some(last) => words.push(&last[..last.len() - 1]),
        }
        match words.first_mut() {
            Some(first) if *first != "(" => *first = &first[1..],
            _ => drop(words.drain(..1.min(words.len()))),
        }
        let fits = match words[..] {
            [subject] => subject.starts_with('$'),
            [test, _] => test.trim_start_matches('!').starts_with('-'),
            [subject, operator, _] => {
                subject.starts_with('$')
                    && matches!(operator, "=" | "!=" | "~" | "~*" | "!~" | "!~*")
            }
            _ => false,
        };
        if !fits {
            self.out.emerg(step.place(), invalid);
            return None;
        }
        Some(text(step.place(), words.join(" ")))
    }

    /// `return CODE [TEXT]` or `return URL`.
    fn returned(&mut self, directive: &Directive) -> Option<Node> {
        let place = directive.place();
        let (first, second) = (directive.arg(0), directive.args.get(1));
        let mut answer = Emit::default();
        let is_url =
            ["http://", "https://", "$scheme"].iter().any(|start| first.starts_with(start));
        if second.is_none() && is_url {
            answer.text("location", place, first);
            return Some(answer.into_node(place));
        }
        let Some(status) = first.parse().ok().filter(|status| (0..=999).contains(status)) else {
            self.out.emerg(place, format!("invalid return code \"{first}\""));
            return None;
        };
        answer.number("status", place, status);
        if let Some(text) = second {
            let key = if REDIRECTS.contains(&first) { "location" } else { "body" };
            answer.text(key, &text.place, text.value.clone());
        }
        Some(answer.into_node(place))
    }

    /// `error_page CODE … [=[CODE]] URI`
    pub(super) fn error_page(&mut self, directive: &Directive, out: &mut Emit) {
        let place = directive.place();
        let mut page = Emit::default();
        let [codes @ .., to] = &directive.args[..] else {
            return;
        };
        let codes = match codes {
            [codes @ .., status] if status.starts_with('=') => {
                let Ok(code) = format!("0{}", &status.value[1..]).parse() else {
                    self.out.emerg(&status.place, format!("invalid value \"{}\"", status.value));
                    return;
                };
                page.number("status", &status.place, code);
                codes
            }
            codes => codes,
        };
        for code in codes {
            let number = code.parse().ok().filter(|code| (300..=599).contains(code));
            let Some(number) = number else {
                let message = match code.parse::<i64>() {
                    Ok(_) => format!("value \"{}\" must be between 300 and 599", code.value),
                    Err(_) => format!("invalid value \"{}\"", code.value),
                };
                self.out.emerg(&code.place, message);
                return;
            };
            page.push("codes", node(&code.place, Kind::Integer(number)));
        }
        page.text("to", &to.place, to.value.clone());
        out.push("error_page", page.into_node(place));
    }
}

/// Whether an `if` holds more than a script.
fn has_settings(condition: &Directive) -> bool {
    condition.children().iter().any(|directive| !is_step(&directive.name))
}
