//! What becomes of the bodies of answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::template::{Template, Var};
use crate::config::units;

/// How documents with commands in them are processed.
#[derive(Clone, Debug)]
pub struct Ssi {
    /// What types documents have; `*` is any.
    pub types: Vec<String>,
    /// What fails leaves no trace in the answer.
    pub silent_errors: bool,
    /// The date of the document is told.
    pub last_modified: bool,
    /// The variables of the configuration's own.
    pub own: Arc<BTreeMap<String, Var>>,
}

impl Ssi {
    /// What a name in a document stands for.
    pub fn variable(&self, name: &str) -> Option<Template> {
        self.own.get(name).cloned().or_else(|| Var::built_in(name)).map(Template::of)
    }
}

/// How fast the body of an answer goes.
#[derive(Clone, Debug)]
pub struct BodyRate {
    /// Bytes a second.
    pub rate: Template,
    /// Once so many have gone.
    pub after: Template,
}

impl BodyRate {
    /// A size as it is written; `None` when it is none.
    pub fn size(text: &str) -> Option<u64> {
        units::size(text).ok()
    }
}

/// How answers are compressed.
#[derive(Clone, Debug)]
pub struct Gzip {
    /// Of which types; `*` is any.
    pub types: Vec<String>,
    /// From how many bytes on.
    pub min_length: u64,
    /// How hard it is tried.
    pub level: u32,
    /// `Vary: Accept-Encoding` is told.
    pub vary: bool,
    /// What other proxies ask for is compressed when one of these holds.
    pub proxied: Vec<GzipProxied>,
    /// For HTTP/1.0 as well.
    pub http_1_0: bool,
}

/// When an answer for another proxy is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GzipProxied {
    /// Never.
    Off,
    /// It has an `Expires` that has passed.
    Expired,
    /// By `Cache-Control: no-cache`
    NoCache,
    /// By `Cache-Control: no-store`
    NoStore,
    /// By `Cache-Control: private`
    Private,
    /// It has no `Last-Modified`.
    NoLastModified,
    /// It has no `ETag`.
    NoEtag,
    /// The request has an `Authorization`.
    Auth,
    /// Always.
    Any,
}
