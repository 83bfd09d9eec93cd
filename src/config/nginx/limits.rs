//! The zones of `limit_req` and `limit_conn`.

use super::super::units;
use super::emit::Emit;
use super::mapper::Mapper;
use super::parse::Directive;

impl Mapper<'_> {
    /// `limit_req_zone KEY zone=NAME:SIZE rate=RATE`
    pub(super) fn limit_zone(&mut self, directive: &Directive, top: &mut Emit) {
        let place = directive.place();
        let mut table = Emit::default();
        table.text("key", place, directive.arg(0));
        let mut zone = None;
        for arg in directive.args.iter().skip(1) {
            match arg.split_once('=') {
                Some(("zone", value)) => zone = value.split_once(':'),
                Some(("rate", rate)) => table.text("rate", &arg.place, rate),
                _ => self.out.emerg(&arg.place, format!("invalid parameter \"{}\"", arg.value)),
            }
        }
        let size = zone.and_then(|(_, size)| units::size(size).ok());
        let (Some((name, _)), Some(size)) = (zone, size) else {
            let message = format!("\"{}\" must have \"zone\" parameter", directive.name.value);
            self.out.emerg(place, message);
            return;
        };
        // nginx's estimate: a state takes 64 bytes
        let keys = i64::try_from(size / 64).unwrap_or(i64::MAX).clamp(1, 10_000_000);
        table.number("keys", place, keys);
        if !top.insert(&directive.name, name, table.into_node(place)) {
            let message = format!("{} \"{name}\" is already bound to a key", directive.name.value);
            self.out.emerg(place, message);
        }
    }
}
