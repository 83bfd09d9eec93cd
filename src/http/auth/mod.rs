//! Who is let in: `allow` and `deny`, `auth_basic`, `auth_request`, and whether all of them have to agree
//! (`satisfy`). Requests for parts of an answer are not asked again.

mod passwords;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, StatusCode};

use super::exchange::Exchange;
use super::generation::Route;
use super::respond::Refused;
use super::subrequest::{self, Given};
use super::vars::Facts;
use crate::config::model::{AuthBasic, AuthRequest};

/// What one of the rules says.
enum Verdict {
    /// It is not about this request.
    Nothing,
    Granted,
    Denied(Refused),
}

/// Whether more than addresses count.
pub(super) fn asks(route: &Route) -> bool {
    route.location.auth.basic.is_some() || route.location.auth.request.is_some()
}

/// Lets a request in by its address alone.
pub(super) fn admit_address(exchange: &Exchange<'_>) -> Result<(), Refused> {
    match address(exchange) {
        Verdict::Denied(refused) if exchange.state.depth == 0 => Err(refused),
        _ => Ok(()),
    }
}

/// Lets a request in.
pub(super) async fn admit(exchange: &mut Exchange<'_>) -> Result<(), Refused> {
    if exchange.state.depth > 0 {
        return Ok(());
    }
    let auth = &exchange.route.location.auth;
    let mut denied = None;
    for rule in [Rule::Address, Rule::Basic, Rule::Request] {
        let verdict = match (rule, &auth.basic, &auth.request) {
            (Rule::Address, ..) => address(exchange),
            (Rule::Basic, Some(basic), _) => password(exchange, basic).await?,
            (Rule::Request, _, Some(request)) => ask(exchange, request).await?,
            (Rule::Basic | Rule::Request, ..) => Verdict::Nothing,
        };
        match verdict {
            Verdict::Granted if auth.any => {
                exchange.state.challenge.clear();
                return Ok(());
            }
            Verdict::Granted | Verdict::Nothing => {}
            Verdict::Denied(refused) if auth.any => {
                // who may ask again, saying who it is, is told so
                if denied != Some(Refused::Unauthorized) {
                    denied = Some(refused);
                }
            }
            Verdict::Denied(refused) => return Err(refused),
        }
    }
    denied.map_or(Ok(()), Err)
}

#[derive(Clone, Copy)]
enum Rule {
    Address,
    Basic,
    Request,
}

/// `allow` and `deny`
fn address(exchange: &Exchange<'_>) -> Verdict {
    match exchange.client.allowed(&exchange.route.location.access) {
        None => Verdict::Nothing,
        Some(true) => Verdict::Granted,
        Some(false) => Verdict::Denied(Refused::Forbidden),
    }
}

/// `auth_basic` (RFC 7617)
async fn password(exchange: &mut Exchange<'_>, basic: &AuthBasic) -> Result<Verdict, Refused> {
    let facts = exchange.facts("");
    let realm = basic.realm.expand(&facts);
    if realm == "off" {
        return Ok(Verdict::Nothing);
    }
    let file = basic.file.expand(&facts);
    let known = match credentials(exchange.parts) {
        Some((user, password)) => is_known(file, user, password).await?,
        None => false,
    };
    if known {
        return Ok(Verdict::Granted);
    }
    let challenge = HeaderValue::from_str(&format!("Basic realm=\"{realm}\""));
    exchange.state.challenge = challenge.into_iter().collect();
    Ok(Verdict::Denied(Refused::Unauthorized))
}

/// Whether a file has this user with this password. Reading and hashing take their time.
async fn is_known(file: String, user: String, password: String) -> Result<bool, Refused> {
    let failed = Refused::Returned(StatusCode::INTERNAL_SERVER_ERROR);
    let check = move || {
        let text = std::fs::read_to_string(&file).map_err(|error| {
            tracing::error!("the file of users cannot be read: {file}: {error}");
            let missing = error.kind() == std::io::ErrorKind::NotFound;
            if missing { Refused::Forbidden } else { failed }
        })?;
        let Some(hash) = passwords::hash_of(&text, &user) else {
            tracing::error!("user {user:?} was not found in \"{file}\"");
            return Ok(false);
        };
        match passwords::fits(&password, hash) {
            Ok(true) => Ok(true),
            Ok(false) => {
                tracing::error!("user {user:?}: password mismatch");
                Ok(false)
            }
            Err(passwords::UnknownKind) => {
                tracing::error!("user {user:?} has a hash that is not known here in \"{file}\"");
                Err(failed)
            }
        }
    };
    tokio::task::spawn_blocking(check).await.unwrap_or(Err(failed))
}

/// The user and the password that a request names.
fn credentials(parts: &Parts) -> Option<(String, String)> {
    let value = parts.headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, encoded) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = STANDARD.decode(encoded.trim_ascii()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// `$remote_user`
pub(super) fn user(parts: &Parts) -> Option<String> {
    credentials(parts).map(|(user, _)| user)
}

/// `auth_request`: what a request made here is answered with.
async fn ask(exchange: &mut Exchange<'_>, request: &AuthRequest) -> Result<Verdict, Refused> {
    let (path, args) = request.uri.split_once('?').unwrap_or((&request.uri, ""));
    let given = subrequest::ask(exchange, path.to_owned(), args.to_owned()).await;
    let failed = Refused::Returned(StatusCode::INTERNAL_SERVER_ERROR);
    let Given { response, finish } = given.ok_or(failed)?;
    let (status, headers) = (response.status(), response.headers());
    for (variable, value) in &request.set {
        let facts = Facts {
            status: Some(status.as_u16()),
            told: Some(&finish.told),
            answer: Some(headers),
            ..exchange.facts(&finish.record.upstream_addr)
        };
        let value = value.expand_text(&facts);
        exchange.state.assign(*variable, value);
    }
    Ok(match status {
        status if status.is_success() => Verdict::Granted,
        StatusCode::UNAUTHORIZED => {
            exchange.state.challenge = challenges(headers);
            Verdict::Denied(Refused::Unauthorized)
        }
        StatusCode::FORBIDDEN => Verdict::Denied(Refused::Forbidden),
        status => {
            tracing::error!("auth request unexpected status: {}", status.as_u16());
            return Err(failed);
        }
    })
}

fn challenges(headers: &HeaderMap) -> Vec<HeaderValue> {
    headers.get_all(WWW_AUTHENTICATE).into_iter().cloned().collect()
}
