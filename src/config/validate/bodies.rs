//! What becomes of the bodies of answers.

use super::Context;
use crate::config::model::{BodyRate, Gzip, Ssi};
use crate::config::schema::BodyKeys;
use crate::config::source::At;
use crate::config::values::{HttpVersion, List};

pub(super) fn ssi(cx: &mut Context<'_>, keys: &BodyKeys) -> Option<Ssi> {
    let BodyKeys { ssi, ssi_types, ssi_silent_errors, ssi_last_modified, .. } = keys;
    if !ssi.with_default().value {
        return None;
    }
    Some(Ssi {
        types: types(ssi_types.with_default()),
        silent_errors: ssi_silent_errors.with_default().value,
        last_modified: ssi_last_modified.with_default().value,
        own: cx.variables.by_name(cx.out),
    })
}

/// `limit_rate`; what has variables in it is known later.
pub(super) fn rate(cx: &mut Context<'_>, keys: &BodyKeys) -> Option<BodyRate> {
    let (rate, after) = (keys.limit_rate.with_default(), keys.limit_rate_after.with_default());
    for text in [rate, after] {
        if !text.contains('$') && BodyRate::size(text).is_none() {
            let shown = super::shown(text, &text.place);
            let message = format!("`limit_rate` and `limit_rate_after` need a size: {shown}");
            cx.error(&text.place, message, "write such as `\"100k\"`");
        }
    }
    (rate.value != "0").then(|| BodyRate { rate: cx.template(rate), after: cx.template(after) })
}

/// `text/html`, and these.
fn types(more: &At<List<String>>) -> Vec<String> {
    let more = more.iter().map(|kind| kind.value.clone());
    std::iter::once("text/html".to_owned()).chain(more).collect()
}

pub(super) fn gzip(keys: &BodyKeys) -> Option<Gzip> {
    let BodyKeys {
        gzip,
        gzip_types,
        gzip_min_length,
        gzip_comp_level,
        gzip_vary,
        gzip_proxied,
        gzip_http_version,
        // `rate` has them
        limit_rate: _,
        limit_rate_after: _,
        // `ssi` has them
        ssi: _,
        ssi_types: _,
        ssi_silent_errors: _,
        ssi_last_modified: _,
    } = keys;
    gzip.with_default().value.then(|| Gzip {
        types: types(gzip_types.with_default()),
        min_length: gzip_min_length.with_default().0,
        level: gzip_comp_level.with_default().get(),
        vary: gzip_vary.with_default().value,
        proxied: gzip_proxied.with_default().iter().map(|when| when.value).collect(),
        http_1_0: gzip_http_version.with_default().value == HttpVersion::V1_0,
    })
}
