//! nginx's spelling of values, brought to what the schema reads.

use super::super::units;
use super::mapper::Mapper;
use super::parse::Directive;

impl Mapper<'_> {
    /// The first argument as a time: a number without a unit is in seconds.
    pub(super) fn time(&mut self, directive: &Directive) -> Option<String> {
        let written = directive.arg(0);
        let mut time = written.to_owned();
        if time != "0" && time.ends_with(|c: char| c.is_ascii_digit()) {
            time.push('s');
        }
        if units::duration(&time).is_err() {
            self.invalid(directive);
            return None;
        }
        Some(time)
    }

    /// The first argument as a size.
    pub(super) fn size(&mut self, directive: &Directive) -> Option<String> {
        let written = directive.arg(0);
        if units::size(written).is_err() {
            self.invalid(directive);
            return None;
        }
        Some(written.to_owned())
    }

    /// The first argument as a number.
    pub(super) fn count(&mut self, directive: &Directive) -> Option<i64> {
        let number = directive.arg(0).parse().ok().filter(|number| *number >= 0);
        if number.is_none() {
            let message = format!("invalid number \"{}\"", directive.arg(0));
            self.out.emerg(directive.place(), message);
        }
        number
    }

    fn invalid(&mut self, directive: &Directive) {
        let message = format!("\"{}\" directive invalid value", directive.name.value);
        self.out.emerg(directive.place(), message);
    }
}
