//! `geo`: nested networks and ranges become stretches in a row.

use std::cmp::Reverse;
use std::sync::Arc;

use super::networks;
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::config::model::{Geo, Stretches, Who, number};
use crate::config::schema::GeoSection;
use crate::config::source::At;
use crate::config::template::Template;
use crate::config::values::AddrRange;

/// The `geo` of a section, which has its defaults; `source` is the template of its own key.
pub(super) fn build(
    name: &str,
    section: &GeoSection,
    source: Template,
    out: &mut Diagnostics,
) -> Geo {
    let GeoSection { source: _, variable: _, values, default, proxy, proxy_recursive } = section;
    let proxies = networks(proxy.with_default());
    for unix in proxy.with_default().iter().filter(|cidr| matches!(cidr.0, Who::Unix)) {
        let message = "`proxy` does nothing for `unix:`";
        let help = "let `set_real_ip_from` believe it: its client is looked up then";
        out.push(Diagnostic::error(&unix.place, message).help(help));
    }
    let recursive = proxy_recursive.with_default();
    if recursive.value && proxies.is_empty() {
        let message = "`proxy_recursive` does nothing without `proxy`";
        let help = "name the proxies, or leave it out";
        out.push(Diagnostic::error(&recursive.place, message).help(help));
    }
    let values = values.get().map(|values| values.0.as_slice()).unwrap_or_default();
    let (v4, v6) = values.iter().partition::<Vec<_>, _>(|(range, _)| range.first.is_ipv4());
    Geo {
        source,
        variable: name.to_owned(),
        proxies,
        recursive: recursive.value,
        v4: flat(v4, out),
        v6: flat(v6, out),
        default: default.with_default().value.clone(),
    }
}

type Entry<'a> = &'a (At<AddrRange>, At<String>);

/// Lays ranges of one family flat: where one lies in another, the inner one holds. Those that overlap
/// otherwise are reported, as is a range that stands twice.
fn flat(mut entries: Vec<Entry<'_>>, out: &mut Diagnostics) -> Stretches {
    // the outer ones first
    entries.sort_by_key(|(range, _)| (range.first, Reverse(range.last)));
    let mut row = Vec::new();
    // ranges that hold here, the innermost last
    let mut open: Vec<(Entry<'_>, Arc<str>)> = Vec::new();
    for entry in entries {
        let (range, result) = entry;
        close(&mut open, &mut row, |outer| outer.last < range.first);
        if let Some(((outer, _), _)) = open.last()
            && (outer.value == range.value || outer.last < range.last)
        {
            let (message, help) = if outer.value == range.value {
                ("two results for one network", "keep one of them")
            } else {
                ("ranges overlap", "one may lie in another, or beside it")
            };
            // the sort need not keep the order of the file
            let (later, earlier) = if outer.place.order() < range.place.order() {
                (&range.place, &outer.place)
            } else {
                (&outer.place, &range.place)
            };
            let diagnostic = Diagnostic::error(later, message).see(earlier, "the other is here");
            out.push(diagnostic.help(help));
            continue;
        }
        let result = Arc::from(result.as_str());
        begin(&mut row, number(range.first), Some(Arc::clone(&result)));
        open.push((entry, result));
    }
    close(&mut open, &mut row, |_| true);
    Stretches(row)
}

/// Ends the ranges that are over: behind each, the one around it goes on.
fn close(
    open: &mut Vec<(Entry<'_>, Arc<str>)>,
    row: &mut Vec<(u128, Option<Arc<str>>)>,
    is_over: impl Fn(&AddrRange) -> bool,
) {
    while let Some(((range, _), _)) = open.pop_if(|((range, _), _)| is_over(range)) {
        // behind the last address of all there is nothing
        if let Some(next) = number(range.last).checked_add(1) {
            begin(row, next, open.last().map(|(_, result)| Arc::clone(result)));
        }
    }
}

/// Begins a stretch; one that began at the same address gives way.
fn begin(row: &mut Vec<(u128, Option<Arc<str>>)>, at: u128, result: Option<Arc<str>>) {
    row.pop_if(|(first, _)| *first == at);
    row.push((at, result));
}
