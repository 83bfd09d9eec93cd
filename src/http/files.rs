//! Files: which one a path stands for, and what is looked for before (`try_files`). Everything that
//! touches a disk runs on threads that may wait for it.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;

use http::{Method, StatusCode};

use super::exchange::Exchange;
use super::file_answer;
use super::forward::Answer;
use super::path;
use super::respond::{self, Refused};
use super::script::Stop;
use crate::config::model::{Files, TryFiles, TryLast};
use crate::config::template::Template;

/// Answers with the file of the request's path.
pub(super) async fn serve(exchange: &Exchange<'_>, files: &Files) -> Result<Answer, Stop> {
    if !matches!(*exchange.method(), Method::GET | Method::HEAD) {
        return Err(Refused::Returned(StatusCode::METHOD_NOT_ALLOWED).into());
    }
    if climbs(&exchange.state.path) {
        return Err(Refused::BadPath.into());
    }
    let place = place(exchange, files, &exchange.state.path);
    if exchange.state.path.ends_with('/') {
        return Err(index(exchange, files, place).await);
    }
    match on_disk(move || open(&place)).await {
        Ok((_, metadata)) if metadata.is_dir() => Err(with_slash(exchange)),
        Ok((file, metadata)) if metadata.is_file() => {
            Ok((file_answer::answer(exchange, file, &metadata), None))
        }
        Ok(_) => Err(Refused::NotFound.into()),
        Err(error) => Err(refused(&error).into()),
    }
}

/// Sends the client to the path with a slash at its end.
pub(super) fn with_slash(exchange: &Exchange<'_>) -> Stop {
    let args = exchange.state.args(exchange.parts).map(|args| format!("?{args}"));
    let path = path::encode(&exchange.state.path);
    let location = format!("{path}/{}", args.unwrap_or_default());
    let response = respond::returned(StatusCode::MOVED_PERMANENTLY, location, true);
    Stop::Answer(Box::new((response, None)))
}

/// What stands for a folder.
async fn index(exchange: &Exchange<'_>, files: &Files, folder: String) -> Stop {
    let names: Vec<_> = files.index.iter().map(|name| name.expand(&exchange.facts(""))).collect();
    let found = on_disk(move || {
        for name in &names {
            if name.starts_with('/') || std::fs::metadata(format!("{folder}{name}")).is_ok() {
                return Ok(Some(name.clone()));
            }
        }
        std::fs::metadata(&folder).map(|_| None)
    });
    match found.await {
        Ok(Some(name)) => {
            let folder = if name.starts_with('/') { "" } else { exchange.state.path.as_str() };
            let args = exchange.state.args(exchange.parts).map(|args| format!("?{args}"));
            Stop::GoTo(format!("{folder}{name}{}", args.unwrap_or_default()))
        }
        Ok(None) => {
            tracing::error!("directory index of {:?} is forbidden", exchange.state.path);
            Refused::Forbidden.into()
        }
        Err(error) => refused(&error).into(),
    }
}

/// The path of `try_files` that is there.
pub(super) async fn try_files(
    exchange: &Exchange<'_>,
    files: Option<&Files>,
    tries: &TryFiles,
) -> Result<String, Stop> {
    let value = |template: &Template| template.expand(&exchange.facts(""));
    if let Some(files) = files {
        let paths: Vec<_> = tries.paths.iter().map(|(path, _)| value(path)).collect();
        let wanted = tries.paths.iter().map(|(_, folder)| *folder);
        let places: Vec<_> =
            paths.iter().map(|path| try_place(exchange, files, path)).zip(wanted).collect();
        let found = on_disk(move || {
            let is_there = |(place, folder): &(String, bool)| {
                !climbs(place)
                    && std::fs::metadata(place).is_ok_and(|found| found.is_dir() == *folder)
            };
            Ok(places.iter().position(is_there))
        });
        if let Ok(Some(at)) = found.await {
            return Ok(paths[at].clone());
        }
    }
    match &tries.last {
        TryLast::Status(status) => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::NOT_FOUND);
            Err(Refused::Returned(status).into())
        }
        TryLast::Path(path) => Err(Stop::GoTo(value(path))),
    }
}

/// Below an `alias`, only a path under the location's is replaced.
fn try_place(exchange: &Exchange<'_>, files: &Files, path: &str) -> String {
    let matched = &exchange.state.path[..exchange.found.matched];
    if files.alias && !path.starts_with(matched) {
        return format!("{}{path}", files.root.expand(&exchange.facts("")));
    }
    place(exchange, files, path)
}

/// Where a path lies on the disk (`$request_filename`).
pub(super) fn place(exchange: &Exchange<'_>, files: &Files, path: &str) -> String {
    exchange.facts("").place(files, path)
}

/// Whether a path leads out of the folder it begins in. What a client asked for has been normalised, but
/// a script or `try_files` may make a path of what it said elsewhere.
fn climbs(path: &str) -> bool {
    path.split('/').any(|segment| segment == "..")
}

fn open(place: &str) -> io::Result<(File, Metadata)> {
    let file = File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(place)?;
    let metadata = file.metadata()?;
    Ok((file, metadata))
}

fn refused(error: &io::Error) -> Refused {
    tracing::error!("a file cannot be served: {error}");
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename => {
            Refused::NotFound
        }
        io::ErrorKind::PermissionDenied => Refused::Forbidden,
        _ => Refused::Returned(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

async fn on_disk<T: Send + 'static>(
    look: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(look).await.map_err(io::Error::other)?
}
