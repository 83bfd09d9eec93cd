//! Scripts of the upstream, as data: each `[[origin]]` is what it answers to a request, whatever it
//! was. `{{ACCEPT}}` is the answer to the request's key, `{{SWITCH}}` a good 101 without its empty
//! line.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

use super::case::{Act, Step};
use super::keys::{Keys, tables};
use super::recorder::script_switching;
use super::wire::find;

/// The GUID of RFC 6455 §1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What follows a script's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Then {
    /// The next request is waited for.
    #[default]
    Keep,
    Close,
    Reset,
    /// Nothing, and the connection stays.
    Hang,
    /// FIN, and the connection stays.
    HalfClose,
    /// A WebSocket that sends back what it gets.
    Echo,
    /// The same, of frames that are no good too.
    EchoAnything,
    /// The script once more.
    Again,
}

/// What an upstream does.
#[derive(Debug, Default)]
pub struct Script {
    /// Nothing is read.
    pub on_accept: Option<Then>,
    /// Nothing is answered.
    pub on_request: Option<Then>,
    /// Bodies are not read: their bytes are the next request.
    pub ignores_body: bool,
    pub steps: Vec<Piece>,
    pub then: Then,
}

/// Bytes of an answer.
#[derive(Debug)]
pub struct Piece {
    bytes: Vec<u8>,
    chunk: usize,
    pub every: Duration,
    pub pause: Duration,
}

impl Piece {
    /// What is written at once, each time.
    pub fn pieces(&self, key: &[u8]) -> Vec<Vec<u8>> {
        let mut bytes = replaced(&self.bytes, b"{{SWITCH}}", &script_switching(key));
        bytes = replaced(&bytes, b"{{ACCEPT}}", accept_of(key).as_bytes());
        bytes.chunks(self.chunk).map(<[u8]>::to_vec).collect()
    }
}

fn replaced(bytes: &[u8], what: &[u8], by: &[u8]) -> Vec<u8> {
    // Long pieces hold no placeholder.
    match find(&bytes[..bytes.len().min(4096)], what) {
        Some(at) => [&bytes[..at], by, &bytes[at + what.len()..]].concat(),
        None => bytes.to_vec(),
    }
}

/// The `Sec-WebSocket-Accept` for a key.
pub fn accept_of(key: &[u8]) -> String {
    STANDARD.encode(Sha1::new().chain_update(key.trim_ascii()).chain_update(GUID).finalize())
}

/// The scripts of a folder, by name.
pub fn load(folder: &Path) -> HashMap<String, Arc<Script>> {
    let mut scripts = HashMap::from([("auto".to_owned(), Arc::new(Script::default()))]);
    for table in tables(folder, "origin") {
        let name = table["name"].as_str().unwrap().to_owned();
        let mut keys = Keys::new(&name, table);
        keys.text("name");
        let script = Script {
            on_accept: keys.text("on_accept").map(|word| then(&word)),
            on_request: keys.text("on_request").map(|word| then(&word)),
            ignores_body: keys.flag("ignores_body"),
            steps: pieces(keys.steps("steps")),
            then: keys.text("then").map(|word| then(&word)).unwrap_or_default(),
        };
        keys.finish();
        assert!(scripts.insert(name.clone(), Arc::new(script)).is_none(), "two scripts `{name}`");
    }
    scripts
}

fn pieces(steps: Vec<Step>) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for step in steps {
        match step.act {
            Act::Send { bytes, chunk, every, .. } => pieces.push(Piece {
                bytes,
                chunk,
                every: Duration::from_secs_f64(every),
                pause: Duration::ZERO,
            }),
            Act::Sleep(seconds) => {
                pieces.last_mut().unwrap().pause += Duration::from_secs_f64(seconds);
            }
            other => panic!("an upstream cannot {other:?}"),
        }
    }
    pieces
}

fn then(word: &str) -> Then {
    match word {
        "keep" => Then::Keep,
        "close" => Then::Close,
        "rst" => Then::Reset,
        "hang" => Then::Hang,
        "half" => Then::HalfClose,
        "ws" => Then::Echo,
        "ws-anything" => Then::EchoAnything,
        "again" => Then::Again,
        other => panic!("no upstream does `{other}`"),
    }
}
