//! Where files lie, and of what type they are.

use std::sync::Arc;

use super::Context;
use crate::config::expires::Expires;
use crate::config::model::{Files, Redirects, TryFiles, TryLast, Types};
use crate::config::schema::FileKeys;
use crate::config::source::At;
use crate::config::template::Template;
use crate::config::values::List;

/// The place of a location's files; `None` when it has none.
pub(super) fn files(
    cx: &mut Context<'_>,
    alias: Option<&At<String>>,
    keys: &FileKeys,
) -> Option<Files> {
    let root = alias.or(keys.root.get())?;
    let mut index = Vec::new();
    for name in keys.index.with_default().iter() {
        index.push(cx.template(name));
    }
    Some(Files { root: cx.template(&absolute(root)), alias: alias.is_some(), index })
}

/// A path beside the file it is written in, unless a variable begins it.
pub(super) fn absolute(path: &At<String>) -> At<String> {
    if path.starts_with('$') {
        return path.clone();
    }
    let resolved = path.place.resolve(std::path::Path::new(&path.value));
    let mut text = resolved.display().to_string();
    // resolving takes the slash off
    if path.ends_with('/') && !text.ends_with('/') {
        text.push('/');
    }
    At::new(text, &path.place)
}

pub(super) fn try_files(cx: &mut Context<'_>, paths: &At<List<String>>) -> Option<TryFiles> {
    let [paths @ .., last] = &paths.0[..] else {
        cx.error(&paths.place, "`try_files` needs a path and what comes last", HELP);
        return None;
    };
    if paths.is_empty() {
        cx.error(&last.place, "`try_files` needs a path before what comes last", HELP);
        return None;
    }
    let last = match last.strip_prefix('=') {
        Some(code) => match code.parse().ok().filter(|code| (300..=599).contains(code)) {
            Some(code) => TryLast::Status(code),
            None => {
                let message = format!(
                    "`try_files` needs a status from 300 to 599: {}",
                    super::shown(last, &last.place)
                );
                cx.error(&last.place, message, HELP);
                return None;
            }
        },
        None => TryLast::Path(cx.template(last)),
    };
    let mut wanted = Vec::new();
    for path in paths {
        // the slash says that a folder is looked for, and is no part of the path
        let folder = path.ends_with('/');
        let bare = path.strip_suffix('/').filter(|bare| !bare.is_empty());
        let bare = At::new(bare.unwrap_or(path).to_owned(), &path.place);
        wanted.push((cx.template(&bare), folder));
    }
    Some(TryFiles { paths: wanted, last })
}

const HELP: &str = "write such as `[\"$uri\", \"$uri/\", \"=404\"]`";

pub(super) fn types(keys: &FileKeys) -> Types {
    Types {
        by_extension: keys.types.get().map(|types| Arc::new(types.0.clone())),
        default: keys.default_type.get().map(|text| text.value.clone()),
    }
}

pub(super) fn redirects(keys: &FileKeys) -> Redirects {
    Redirects {
        absolute: keys.absolute_redirect.with_default().value,
        port: keys.port_in_redirect.with_default().value,
        server_name: keys.server_name_in_redirect.with_default().value,
    }
}

pub(super) fn expires(cx: &mut Context<'_>, keys: &FileKeys) -> Option<Template> {
    let text = keys.expires.with_default();
    if !text.contains('$') && Expires::parse(text).is_none() {
        let help = "write a time such as `\"1h\"`, `\"modified 1h\"`, `\"@15h\"`, `\"epoch\"`, `\"max\"` or `\"off\"`";
        cx.error(
            &text.place,
            format!("`expires` has an invalid value: {}", super::shown(text, &text.place)),
            help,
        );
    }
    (text.value != "off").then(|| cx.template(text))
}
