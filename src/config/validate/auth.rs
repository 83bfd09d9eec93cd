//! Who is let in by a password or by another request.

use super::files::absolute;
use super::{Context, script};
use crate::config::model::{Auth, AuthBasic, AuthRequest};
use crate::config::schema::AuthKeys;
use crate::config::values::Satisfy;

pub(super) fn auth(cx: &mut Context<'_>, keys: &AuthKeys) -> Auth {
    let AuthKeys {
        auth_basic,
        auth_basic_user_file,
        auth_request: _,
        auth_request_set: _,
        satisfy,
    } = keys;
    let realm = auth_basic.with_default();
    let basic = match auth_basic_user_file.get() {
        _ if realm.value == "off" => None,
        Some(file) => {
            Some(AuthBasic { realm: cx.template(realm), file: cx.template(&absolute(file)) })
        }
        None => {
            let help = "write `auth_basic_user_file = \"htpasswd\"`, a file made by htpasswd";
            cx.error(&realm.place, "`auth_basic` has no file of users", help);
            None
        }
    };
    let request = request(cx, keys);
    Auth { any: satisfy.with_default().value == Satisfy::Any, basic, request }
}

fn request(cx: &mut Context<'_>, keys: &AuthKeys) -> Option<AuthRequest> {
    let uri = keys.auth_request.with_default();
    if uri.value == "off" {
        return None;
    }
    if !uri.starts_with('/') {
        let shown = super::shown(uri, &uri.place);
        cx.error(
            &uri.place,
            format!("`auth_request` needs a path: {shown}"),
            "write such as `\"/auth\"`",
        );
    }
    let mut set = Vec::new();
    for (name, value) in keys.auth_request_set.get().into_iter().flat_map(|set| &set.0) {
        if let Some(variable) = script::assigned(cx, name) {
            set.push((variable, cx.template(value)));
        }
    }
    Some(AuthRequest { uri: uri.value.clone(), set })
}
