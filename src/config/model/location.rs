//! What a location is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;

use super::{
    AccessLog, AccessRule, Auth, BodyRate, ErrorPage, Gzip, Limits, Pattern, Proxy, RealIp, Ssi,
    Step,
};
use crate::config::template::Template;

/// One `[[server.location]]`, with everything it inherits.
#[derive(Clone, Debug)]
pub struct Location {
    /// The location as written, for messages and as the route's name across reloads.
    pub name: String,
    /// What it matches.
    pub path: LocationPath,
    /// The locations in it, in the order of the file.
    pub nested: Vec<Arc<Location>>,
    /// Only what was redirected inside of here may come to it.
    pub internal: bool,
    /// `rewrite`: what happens before its action.
    pub script: Vec<Step>,
    /// What holds where an `if` of the script does, by the number that the step has.
    pub branches: Vec<Arc<Location>>,
    /// How long an idle connection is kept; zero closes after every answer.
    pub keepalive_timeout: Duration,
    /// The most requests on one connection.
    pub keepalive_requests: u64,
    /// How old a connection may become.
    pub keepalive_time: Option<Duration>,
    /// Answers say `Connection: keep-alive`, and `Keep-Alive` where it is not zero.
    pub keepalive_header: Option<Duration>,
    /// `error_page`
    pub error_pages: Vec<ErrorPage>,
    /// Pages of errors have such pages themselves.
    pub recursive_error_pages: bool,
    /// `limit_req` and `limit_conn`
    pub limits: Limits,
    /// Where its files lie, if it has any.
    pub files: Option<Files>,
    /// What is looked for before its action.
    pub try_files: Option<TryFiles>,
    /// What type an answer is of that is made here.
    pub types: Types,
    /// How a `Location` that is made here becomes a URL.
    pub redirects: Redirects,
    /// `expires`
    pub expires: Option<Template>,
    /// Errors have a page of HTML.
    pub html_errors: bool,
    /// `ssi`: its documents have commands in them.
    pub ssi: Option<Ssi>,
    /// `limit_rate`
    pub rate: Option<BodyRate>,
    /// `gzip`
    pub gzip: Option<Gzip>,
    /// What it does.
    pub action: Action,
    /// `auth_basic`, `auth_request`, `satisfy`
    pub auth: Auth,
    /// `allow` and `deny`, in order; the first that fits decides, none allows.
    pub access: Vec<AccessRule>,
    /// Who is believed about the client's address.
    pub real_ip: RealIp,
    /// `add_header`.
    pub add_headers: Vec<AddHeader>,
    /// The longest request body in bytes; `None` is unlimited.
    pub client_max_body_size: Option<u64>,
    /// How much of a body `$request_body` may be.
    pub client_body_buffer_size: u64,
    /// Where requests are logged.
    pub access_logs: Vec<AccessLog>,
}

/// One header of `add_header`.
#[derive(Clone, Debug)]
pub struct AddHeader {
    /// Its name.
    pub name: HeaderName,
    /// Its name as written, which clients see.
    pub spelled: String,
    /// Its value; an empty one adds nothing.
    pub value: Template,
    /// It is added whatever the status is.
    pub always: bool,
}

/// nginx's forms of `location`.
#[derive(Clone, Debug)]
pub enum LocationPath {
    /// `= /p`
    Exact(String),
    /// `/p`, or with `^~` (`no_regex`): when it is the longest prefix, no regex is tried.
    Prefix {
        /// The prefix.
        path: String,
        /// It was written with `^~`.
        no_regex: bool,
    },
    /// `~ re` or `~* re`, compiled with its case rule.
    Regex(Pattern),
    /// `@name`: taken by name alone.
    Named(String),
}

/// `root` or `alias`, and `index`.
#[derive(Clone, Debug)]
pub struct Files {
    /// The folder, or what stands for the location's path.
    pub root: Template,
    /// It is an `alias`.
    pub alias: bool,
    /// What stands for a folder.
    pub index: Vec<Template>,
}

/// `try_files`
#[derive(Clone, Debug)]
pub struct TryFiles {
    /// What is looked for, and whether it is a folder.
    pub paths: Vec<(Template, bool)>,
    /// What happens when nothing is there.
    pub last: TryLast,
}

/// The last of `try_files`.
#[derive(Clone, Debug)]
pub enum TryLast {
    /// `=404`
    Status(u16),
    /// A path or `@name`.
    Path(Template),
}

/// How a `Location` that is made here becomes a URL.
#[derive(Clone, Copy, Debug, Default)]
pub struct Redirects {
    /// `absolute_redirect`
    pub absolute: bool,
    /// `port_in_redirect`
    pub port: bool,
    /// `server_name_in_redirect`
    pub server_name: bool,
}

/// `types` and `default_type`
#[derive(Clone, Debug, Default)]
pub struct Types {
    /// By extension, in lower case; `None` are the usual ones.
    pub by_extension: Option<Arc<BTreeMap<String, String>>>,
    /// Of all others.
    pub default: Option<String>,
}

/// What a location does.
#[derive(Clone, Debug)]
pub enum Action {
    /// `return`.
    Return(Returned),
    /// `proxy_pass`.
    Proxy(Box<Proxy>),
    /// Serves files.
    Files,
    /// `stub_status`: tells how many connections and requests there are.
    Status,
    /// None of them: 404.
    Nothing,
}

/// `return`: an answer made here.
#[derive(Clone, Debug)]
pub struct Returned {
    /// The status.
    pub status: u16,
    /// The body, or for 301, 302, 303, 307 and 308 the Location header's value.
    pub text: Option<Template>,
    /// `text` is the Location header's value.
    pub redirect: bool,
}
