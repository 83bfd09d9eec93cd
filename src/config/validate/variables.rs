//! Variables: those built in, and those that `map`s and `geo`s compute from others.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::geo;
use crate::config::diagnostic::{Diagnostic, Diagnostics, quote};
use crate::config::hints;
use crate::config::model::Map;
use crate::config::read::Field;
use crate::config::schema::{GeoSection, MapSection};
use crate::config::section::Section as _;
use crate::config::source::{At, Place};
use crate::config::template::{Template, Var};
use crate::config::values::{MapKey, Tables, Text};

/// Variables that may refer to each other in a row: it bounds the work of expanding one.
const DEEPEST: usize = 32;

/// A table that computes a variable.
#[derive(Clone)]
enum Computed {
    Map(At<MapSection>),
    Geo(At<GeoSection>),
}

impl Computed {
    fn variable(&self) -> &Field<Text> {
        match self {
            Self::Map(section) => &section.variable,
            Self::Geo(section) => &section.variable,
        }
    }

    /// Where it is reported.
    fn place(&self) -> &Place {
        let section = match self {
            Self::Map(section) => &section.place,
            Self::Geo(section) => &section.place,
        };
        self.variable().get().map_or(section, |variable| &variable.place)
    }
}

/// Every variable of a configuration.
#[derive(Default)]
pub(super) struct Variables {
    sections: BTreeMap<String, Computed>,
    /// Those that a script or a named group sets, by their numbers.
    own: BTreeMap<String, usize>,
    built: BTreeMap<String, Var>,
    /// Those that are being built, from the outermost.
    building: Vec<String>,
    /// `$request_body` has been asked for.
    pub(super) asks_body: bool,
}

impl Variables {
    /// Takes in the tables by the names of their variables.
    pub(super) fn new(
        maps: Option<&At<Tables<MapSection>>>,
        geos: Option<&At<Tables<GeoSection>>>,
        out: &mut Diagnostics,
    ) -> Self {
        let mut variables = Self::default();
        for section in maps.into_iter().flat_map(|tables| &tables.0) {
            if section.source.is_absent() {
                report_absent(&section.place, MapSection::TITLE, "source", "$http_upgrade", out);
            }
            variables.add(Computed::Map(section.clone()), MapSection::TITLE, out);
        }
        for section in geos.into_iter().flat_map(|tables| &tables.0) {
            variables.add(Computed::Geo(section.clone()), GeoSection::TITLE, out);
        }
        variables
    }

    /// Takes in a variable that something sets; a name that has a meaning already keeps it.
    pub(super) fn declare(&mut self, name: &str) {
        if !self.sections.contains_key(name) && Var::built_in(name).is_none() {
            let number = self.own.len();
            self.own.entry(name.to_owned()).or_insert(number);
        }
    }

    /// The number of a variable that something sets.
    pub(super) fn own(&self, name: &str) -> Option<usize> {
        self.own.get(name).copied()
    }

    /// How many there are of them.
    pub(super) fn count(&self) -> usize {
        self.own.len()
    }

    fn add(&mut self, section: Computed, title: &str, out: &mut Diagnostics) {
        if section.variable().is_absent() {
            report_absent(section.place(), title, "variable", "$kind", out);
        }
        let Some(variable) = section.variable().get() else {
            return;
        };
        let name = variable.strip_prefix('$').unwrap_or(variable);
        let place = &variable.place;
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            let message = format!("`variable` needs a name: {}", quote(variable));
            out.push(Diagnostic::error(place, message).help("letters, digits and `_`"));
        } else if Var::built_in(name).is_some() {
            let message = format!("variable is built in: `${name}`");
            out.push(Diagnostic::error(place, message).help("give it another name"));
        } else if let Some(first) = self.sections.get(name) {
            let diagnostic =
                Diagnostic::error(place, format!("two tables for one variable: `${name}`"));
            let diagnostic = diagnostic.see(first.place(), "the first is here");
            out.push(diagnostic.help("give one another name"));
        } else {
            self.sections.insert(name.to_owned(), section);
        }
    }

    /// All of them but those built in.
    pub(super) fn by_name(&mut self, out: &mut Diagnostics) -> Arc<BTreeMap<String, Var>> {
        let mut known: BTreeMap<_, _> =
            self.own.iter().map(|(name, number)| (name.clone(), Var::Own(*number))).collect();
        let names: Vec<_> = self.sections.keys().cloned().collect();
        for name in names {
            if let Some(var) = self.build(&name, out) {
                known.insert(name, var);
            }
        }
        Arc::new(known)
    }

    /// Builds all of them, those that nobody refers to as well: their faults count too.
    pub(super) fn build_all(&mut self, out: &mut Diagnostics) {
        let names: Vec<_> = self.sections.keys().cloned().collect();
        for name in names {
            self.build(&name, out);
        }
    }

    /// Parses a value with variables; faults are reported and left out.
    pub(super) fn template(&mut self, text: &At<String>, out: &mut Diagnostics) -> Template {
        self.asks_body |= text.contains("request_body");
        let (template, errors) = Template::parse(text, |name| {
            Var::built_in(name)
                .or_else(|| self.own(name).map(Var::Own))
                .or_else(|| self.build(name, out))
        });
        for error in errors {
            let place = text.place.part(text, error.range);
            let diagnostic = match error.unknown {
                // the content of a file may be a secret
                _ if text.place.is_from_file() => {
                    Diagnostic::error(&place, "the file's content has an unknown variable in it")
                        .help("a `$` of its own cannot be written in a value with variables")
                }
                Some(name) => Diagnostic::error(&place, format!("unknown variable: `${name}`"))
                    .help(self.help_for(&name)),
                None => Diagnostic::error(&place, "`$` has no name of a variable behind it")
                    .help("write `$name` or `${name}`; a `$` of its own cannot be written"),
            };
            out.push(diagnostic);
        }
        template
    }

    fn help_for(&self, name: &str) -> String {
        let maps = self.sections.keys().map(String::as_str);
        match hints::closest(name, Var::plain_names().chain(maps)) {
            Some(near) => format!("did you mean `${near}`?"),
            None if name == "connection_upgrade" => {
                "`Connection` goes by itself: leave it out, or define the variable with `[[map]]`"
                    .into()
            }
            None if name.chars().all(|c| c.is_ascii_digit()) => {
                "captures are `$1` to `$9`".to_owned()
            }
            None => {
                "define it with `[[map]]`; nginx's other variables are not supported yet".into()
            }
        }
    }

    /// The computed variable `name`; `None` when there is none.
    fn build(&mut self, name: &str, out: &mut Diagnostics) -> Option<Var> {
        if let Some(var) = self.built.get(name) {
            return Some(var.clone());
        }
        let section = self.sections.get(name)?.clone();
        let circle = self.building.iter().position(|other| other == name);
        if circle.is_some() || self.building.len() >= DEEPEST {
            self.report_endless(name, circle, section.place(), out);
            return Some(Var::Map(Arc::new(empty(name))));
        }
        self.building.push(name.to_owned());
        let var = match &section {
            Computed::Map(section) => Var::Map(Arc::new(self.build_map(name, section, out))),
            Computed::Geo(section) => {
                let section = section.or(&GeoSection::defaults());
                let source = self.template(section.source.with_default(), out);
                Var::Geo(Arc::new(geo::build(name, &section, source, out)))
            }
        };
        self.building.pop();
        self.built.insert(name.to_owned(), var.clone());
        Some(var)
    }

    fn build_map(&mut self, name: &str, section: &MapSection, out: &mut Diagnostics) -> Map {
        let MapSection { source, variable: _, values, default, hostnames } = section;
        let mut map = empty(name);
        map.hostnames = hostnames.copied().unwrap_or(false);
        if let Some(source) = source.get() {
            map.source = self.template(source, out);
        }
        if let Some(default) = default.get() {
            map.default = self.template(default, out);
        }
        for (key, result) in values.get().into_iter().flat_map(|values| &values.0) {
            let template = self.template(result, out);
            match &key.value {
                MapKey::Pattern(pattern) => map.patterns.push((pattern.clone(), template)),
                MapKey::Exact(value) => {
                    if map.exact.insert(value.clone(), template).is_some() {
                        let message = format!("two results for one value: {}", quote(value));
                        let help = "keep one of them: case does not count";
                        out.push(Diagnostic::error(&key.place, message).help(help));
                    }
                }
            }
        }
        map
    }

    fn report_endless(
        &self,
        name: &str,
        circle: Option<usize>,
        place: &Place,
        out: &mut Diagnostics,
    ) {
        let diagnostic = match circle {
            Some(start) => {
                let path: Vec<_> =
                    self.building[start..].iter().map(|n| format!("`${n}`")).collect();
                let message = format!(
                    "variables refer to each other in a circle: {} → `${name}`",
                    path.join(" → ")
                );
                Diagnostic::error(place, message).help("take one of them out of the circle")
            }
            None => Diagnostic::error(
                place,
                format!("more than {DEEPEST} variables refer to each other in a row"),
            )
            .help("join some of them"),
        };
        out.push(diagnostic);
    }
}

fn report_absent(place: &Place, title: &str, key: &str, such: &str, out: &mut Diagnostics) {
    let message = format!("`{title}` has no `{key}`");
    let help = format!("write such as `{key} = \"{such}\"`");
    out.push(Diagnostic::error(place, message).help(help));
}

fn empty(name: &str) -> Map {
    Map {
        source: Template::default(),
        variable: name.to_owned(),
        exact: BTreeMap::new(),
        hostnames: false,
        patterns: Vec::new(),
        default: Template::default(),
    }
}
