//! Where requests and tunnels are logged.

use super::Context;
use super::files::absolute;
use crate::config::model::{AccessLog, LogCache, LogFormat, LogPath};
use crate::config::source::At;
use crate::config::values::{AccessLogValue, List, LogTo};

pub(super) fn access_logs(
    cx: &mut Context<'_>,
    list: &List<AccessLogValue>,
    cache: LogCache,
) -> Vec<AccessLog> {
    list.iter().filter_map(|value| access_log(cx, value, cache)).collect()
}

fn access_log(
    cx: &mut Context<'_>,
    value: &At<AccessLogValue>,
    cache: LogCache,
) -> Option<AccessLog> {
    let AccessLogValue::To(to) = &value.value else {
        return None;
    };
    let LogTo { path, format, open, condition, buffer } = &**to;
    let format = match format.as_ref().map(|format| format.as_str()) {
        None | Some("combined") => LogFormat::Combined,
        // unless a format of this name is the configuration's own, as in many an nginx.conf
        Some("json") if !cx.log_formats.contains_key("json") => LogFormat::Json,
        Some(name) => LogFormat::Custom(cx.log_formats.get(name).cloned().or_else(|| {
            let place = format.as_ref().map_or(&value.place, |format| &format.place);
            let help = "write `\"combined\"`, `\"json\"`, or the name of a `log_format`";
            let shown = super::shown(name, place);
            cx.error(place, format!("unknown log format: {shown}"), help);
            None
        })?),
    };
    let text = path.to_string_lossy();
    let path = if text.contains('$') {
        let text = absolute(&At::new(text.into_owned(), &value.place));
        LogPath::Told(cx.template(&text), cache)
    } else {
        LogPath::File(value.place.resolve(path))
    };
    let condition = condition.as_ref().map(|condition| cx.template(condition));
    Some(AccessLog { path, buffer: *buffer, format, open: *open, condition })
}
