//! What is wrong with a configuration, shown where it was written: file, line, column, the source
//! line, a caret, the cause and what to do about it.

use std::fmt::{self, Write as _};
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::source::{Format, Place};

/// Diagnostics shown at most; the rest is counted.
const SHOWN: usize = 50;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can, but something in it is not what it seems.
    Warning,
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    severity: Severity,
    message: String,
    place: Place,
    label: Option<String>,
    related: Vec<(Place, String)>,
    help: Option<String>,
}

impl Diagnostic {
    pub(super) fn error(place: &Place, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            place: place.clone(),
            label: None,
            related: Vec::new(),
            help: None,
        }
    }

    pub(super) fn warning(place: &Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, message) }
    }

    /// Words beside the caret.
    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// What to do about it.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// As [`help`](Self::help), where there is something to say.
    pub(super) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    /// Another place that has to do with it.
    pub(super) fn see(mut self, place: &Place, label: impl Into<String>) -> Self {
        self.related.push((place.clone(), label.into()));
        self
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What is wrong, in one line: lower case, no full stop.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The file it is in, as the user would write its path.
    pub fn file(&self) -> &str {
        &self.place.source().name
    }

    /// The line, from 1.
    pub fn line(&self) -> usize {
        self.place.line()
    }

    /// The character of the line, from 1.
    pub fn column(&self) -> usize {
        self.place.column()
    }

    /// The bytes of the file it is about; always inside the file.
    pub fn span(&self) -> Range<usize> {
        self.place.span()
    }

    /// What to do about it.
    pub fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The place as `file:line:column`, for one-line logs.
    pub fn location(&self) -> String {
        format!("{}:{}:{}", self.file(), self.line(), self.column())
    }

    /// What is wrong with an nginx.conf, as nginx says it.
    fn nginx_line(&self) -> String {
        let level = match self.severity {
            Severity::Error => "emerg",
            Severity::Warning => "warn",
        };
        let mut line = format!("wayhold: [{level}] {}", self.message);
        for (place, label) in &self.related {
            let _ = write!(line, " ({label}: {}:{})", place.source().name, place.line());
        }
        let _ = write!(line, " in {}:{}", self.file(), self.line());
        line
    }

    fn render(&self, renderer: &Renderer) -> String {
        if self.place.source().format == Format::Nginx {
            return self.nginx_line();
        }
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let group = Group::with_title(level.primary_title(&self.message));
        let group = self.with_snippets(group);
        let help = self.help.iter().map(|help| Level::HELP.message(help));
        renderer.render(&[group.elements(help)])
    }

    /// Adds the source lines; places in the same file share a snippet.
    fn with_snippets<'a>(&'a self, group: Group<'a>) -> Group<'a> {
        let source = self.place.source();
        if source.text.is_empty() {
            return group.element(Origin::path(&source.name));
        }
        let primary = AnnotationKind::Primary.span(self.place.first_line());
        let (here, elsewhere): (Vec<_>, Vec<_>) =
            self.related.iter().partition(|(place, _)| place.source().index == source.index);
        let context = here
            .into_iter()
            .map(|(place, label)| AnnotationKind::Context.span(place.first_line()).label(label));
        let snippet = Snippet::source(&source.text)
            .path(&source.name)
            .annotation(primary.label(self.label.as_deref()))
            .annotations(context);
        let others = elsewhere.into_iter().map(|(place, label)| {
            Snippet::source(&place.source().text)
                .path(&place.source().name)
                .annotation(AnnotationKind::Context.span(place.first_line()).label(label))
        });
        group.element(snippet).elements(others)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(&Renderer::plain()))
    }
}

/// Everything that is wrong, in the order of the files.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    pub(super) fn push(&mut self, diagnostic: Diagnostic) {
        self.list.push(diagnostic);
    }

    /// Sorts by file and line, and drops what several users of one default said alike.
    pub(super) fn sort(&mut self) {
        self.list.sort_by(|a, b| {
            a.place.order().cmp(&b.place.order()).then_with(|| a.message.cmp(&b.message))
        });
        self.list.dedup_by(|a, b| a.place.order() == b.place.order() && a.message == b.message);
    }

    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether the configuration cannot be used.
    pub fn has_errors(&self) -> bool {
        self.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// The text for people, with or without the colours of a terminal.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut parts: Vec<_> =
            self.iter().take(SHOWN).map(|diagnostic| diagnostic.render(&renderer)).collect();
        if self.len() > SHOWN {
            parts.push(format!("… and {} more", self.len() - SHOWN));
        }
        let nginx = self.iter().any(|one| one.place.source().format == Format::Nginx);
        parts.join(if nginx { "\n" } else { "\n\n" })
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

/// `text` in backticks, for a message: control characters escaped, the end of a long one left out.
pub(super) fn quote(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut quoted = String::from("`");
    for c in text.chars().take(LONGEST) {
        if c.is_control() {
            quoted.extend(c.escape_debug());
        } else {
            quoted.push(c);
        }
    }
    if text.chars().nth(LONGEST).is_some() {
        quoted.push('…');
    }
    quoted.push('`');
    quoted
}
