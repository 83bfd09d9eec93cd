//! Variables: those built in, and those that `map`s compute from others.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::diagnostic::{Diagnostic, Diagnostics, quote};
use crate::config::hints;
use crate::config::model::Map;
use crate::config::schema::MapSection;
use crate::config::source::At;
use crate::config::template::{Template, Var};
use crate::config::values::{MapKey, Tables};

/// Maps that may refer to each other in a row: it bounds the work of expanding one.
const DEEPEST: usize = 32;

/// Every variable of a configuration.
#[derive(Default)]
pub(super) struct Variables {
    sections: BTreeMap<String, At<MapSection>>,
    /// Those that a script or a named group sets, by their numbers.
    own: BTreeMap<String, usize>,
    built: BTreeMap<String, Arc<Map>>,
    /// Maps that are being built, from the outermost.
    building: Vec<String>,
    /// `$request_body` has been asked for.
    pub(super) asks_body: bool,
}

impl Variables {
    /// Takes in the maps by the names of their variables.
    pub(super) fn new(maps: Option<&At<Tables<MapSection>>>, out: &mut Diagnostics) -> Self {
        let mut variables = Self::default();
        for section in maps.into_iter().flat_map(|tables| &tables.0) {
            variables.add(section, out);
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

    fn add(&mut self, section: &At<MapSection>, out: &mut Diagnostics) {
        for (key, absent) in
            [("source", section.source.is_absent()), ("variable", section.variable.is_absent())]
        {
            if absent {
                let message = format!("`[[map]]` has no `{key}`");
                out.push(Diagnostic::error(&section.place, message).help(
                    "write such as `source = \"$http_upgrade\"` and `variable = \"$connection_upgrade\"`",
                ));
            }
        }
        let Some(variable) = section.variable.get() else {
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
                Diagnostic::error(place, format!("two maps for one variable: `${name}`"));
            let other = first.variable.get().map_or(&first.place, |v| &v.place);
            out.push(diagnostic.see(other, "the first is here").help("give one another name"));
        } else {
            self.sections.insert(name.to_owned(), section.clone());
        }
    }

    /// All of them but those built in.
    pub(super) fn by_name(&mut self, out: &mut Diagnostics) -> Arc<BTreeMap<String, Var>> {
        let mut known: BTreeMap<_, _> =
            self.own.iter().map(|(name, number)| (name.clone(), Var::Own(*number))).collect();
        let names: Vec<_> = self.sections.keys().cloned().collect();
        for name in names {
            if let Some(map) = self.build(&name, out) {
                known.insert(name, Var::Map(map));
            }
        }
        Arc::new(known)
    }

    /// Builds every map, those that nobody refers to as well: their faults count too.
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
                .or_else(|| self.build(name, out).map(Var::Map))
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

    /// The map of variable `name`; `None` when there is none.
    fn build(&mut self, name: &str, out: &mut Diagnostics) -> Option<Arc<Map>> {
        if let Some(map) = self.built.get(name) {
            return Some(Arc::clone(map));
        }
        let section = self.sections.get(name)?.clone();
        let circle = self.building.iter().position(|other| other == name);
        if circle.is_some() || self.building.len() >= DEEPEST {
            self.report_endless(name, circle, &section, out);
            return Some(Arc::new(empty(name)));
        }
        self.building.push(name.to_owned());
        let map = Arc::new(self.build_section(name, &section, out));
        self.building.pop();
        self.built.insert(name.to_owned(), Arc::clone(&map));
        Some(map)
    }

    fn build_section(&mut self, name: &str, section: &MapSection, out: &mut Diagnostics) -> Map {
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
        section: &At<MapSection>,
        out: &mut Diagnostics,
    ) {
        let place = section.variable.get().map_or(&section.place, |variable| &variable.place);
        let diagnostic = match circle {
            Some(start) => {
                let path: Vec<_> =
                    self.building[start..].iter().map(|n| format!("`${n}`")).collect();
                let message = format!(
                    "maps refer to each other in a circle: {} → `${name}`",
                    path.join(" → ")
                );
                Diagnostic::error(place, message).help("take one of them out of the circle")
            }
            None => Diagnostic::error(
                place,
                format!("more than {DEEPEST} maps refer to each other in a row"),
            )
            .help("join some of them"),
        };
        out.push(diagnostic);
    }
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
