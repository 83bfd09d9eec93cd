//! Values with variables: `"$scheme://$host$request_uri"`. Parsed once, when the configuration is
//! read; expanded for each request by whoever knows the values ([`Lookup`]). The syntax is nginx's:
//! `$name` or `${name}`, and no way to write a literal `$`.
//! Invariant: what [`Template::expand`] returns holds no CR, LF or NUL.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use http::HeaderName;

use super::model::{Geo, Map};

/// A parsed value.
#[derive(Clone, Debug, Default)]
pub struct Template {
    parts: Vec<Part>,
}

/// A piece of a value that is made in two steps.
#[derive(Clone, Debug)]
pub enum Piece {
    /// This is it.
    Text(String),
    /// This is still to be told.
    Late(Var),
}

/// A piece of a template.
#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Var(Var),
}

/// nginx's variables that are known here.
#[derive(Clone, Debug)]
pub enum Var {
    /// `$host`: the request's host without port, in lower case; else the server's name.
    Host,
    /// `$http_NAME`, the name with `-` for `_`: a request header.
    Header(http::HeaderName),
    /// `$arg_NAME`: an argument of the query, not decoded.
    Arg(String),
    /// `$cookie_NAME`
    Cookie(String),
    /// `$remote_addr`
    RemoteAddr,
    /// `$remote_port`
    RemotePort,
    /// `$server_addr`
    ServerAddr,
    /// `$server_port`
    ServerPort,
    /// `$server_name`
    ServerName,
    /// `$scheme`: `http` or `https`.
    Scheme,
    /// `$request_uri`: path and query as received.
    RequestUri,
    /// `$uri`: the path, decoded and normalised.
    Uri,
    /// `$args`, `$query_string`
    Args,
    /// `$is_args`: `?` or nothing.
    IsArgs,
    /// `$request_method`
    RequestMethod,
    /// `$proxy_add_x_forwarded_for`
    ProxyAddXForwardedFor,
    /// `$forwarded_proto`: `X-Forwarded-Proto` of a trusted sender, else `$scheme`.
    ForwardedProto,
    /// `$forwarded_host`: `X-Forwarded-Host` of a trusted sender, else `$http_host`.
    ForwardedHost,
    /// `$proxy_host`
    ProxyHost,
    /// `$upstream_addr`: the peers tried, separated by commas.
    UpstreamAddr,
    /// `$request_id`: 32 hexadecimal digits.
    RequestId,
    /// `$ssl_protocol`: `TLSv1.3`.
    SslProtocol,
    /// `$ssl_cipher`: OpenSSL's name of the suite.
    SslCipher,
    /// `$ssl_ciphers`: the suites that the client offered.
    SslCiphers,
    /// `$ssl_server_name`: the name of the SNI.
    SslServerName,
    /// `$status`
    Status,
    /// `$upstream_http_NAME`: a header of the upstream's answer.
    UpstreamHttp(http::HeaderName),
    /// `$sent_http_NAME`: a header of the answer.
    SentHttp(http::HeaderName),
    /// `$binary_remote_addr`: four or sixteen bytes, as a key: in hexadecimal digits
    BinaryRemoteAddr,
    /// `$realip_remote_addr`: the other end of the connection
    RealipRemoteAddr,
    /// `$realip_remote_port`
    RealipRemotePort,
    /// `$proxy_protocol_addr`: the client of the PROXY protocol header
    ProxyProtocolAddr,
    /// `$proxy_protocol_port`
    ProxyProtocolPort,
    /// `$proxy_protocol_server_addr`: where that connected to
    ProxyProtocolServerAddr,
    /// `$proxy_protocol_server_port`
    ProxyProtocolServerPort,
    /// `$proxy_port`
    ProxyPort,
    /// `$server_protocol`
    ServerProtocol,
    /// `$request`: the request line
    Request,
    /// `$request_filename`: where the path lies on the disk
    RequestFilename,
    /// `$document_root`: `root` or `alias`
    DocumentRoot,
    /// `$realpath_root`: the same, without symbolic links
    RealpathRoot,
    /// `$request_body`: as far as it is in memory
    RequestBody,
    /// `$connection`: the number of the client's connection
    Connection,
    /// `$connection_requests`
    ConnectionRequests,
    /// `$connection_time`
    ConnectionTime,
    /// `$msec`
    Msec,
    /// `$time_iso8601`
    TimeIso8601,
    /// `$time_local`
    TimeLocal,
    /// `$pid`
    Pid,
    /// `$hostname`
    Hostname,
    /// `$nginx_version`: the one whose configuration is read
    NginxVersion,
    /// `$request_time`
    RequestTime,
    /// `$request_completion`: `OK` when the answer has gone in full
    RequestCompletion,
    /// `$bytes_sent`
    BytesSent,
    /// `$body_bytes_sent`
    BodyBytesSent,
    /// `$upstream_status`: of the peers tried
    UpstreamStatus,
    /// `$upstream_connect_time`
    UpstreamConnectTime,
    /// `$upstream_header_time`
    UpstreamHeaderTime,
    /// `$upstream_response_time`
    UpstreamResponseTime,
    /// `$upstream_response_length`: of the body
    UpstreamResponseLength,
    /// `$upstream_bytes_received`
    UpstreamBytesReceived,
    /// `$upstream_bytes_sent`
    UpstreamBytesSent,
    /// `$ssl_session_reused`: `r` or `.`
    SslSessionReused,
    /// `$ssl_session_id`: there is none where sessions are resumed by tickets
    SslSessionId,
    /// `$limit_rate`: bytes a second, 0 is no bound
    LimitRate,
    /// `$remote_user`: as the request names it
    RemoteUser,
    /// `$pipe`: always `.`.
    Pipe,
    /// `$request_length`: what has come of the request.
    RequestLength,
    /// `$limit_req_status`: `PASSED`, `DELAYED`, `REJECTED`, or with `_DRY_RUN`.
    LimitReqStatus,
    /// `$limit_conn_status`
    LimitConnStatus,
    /// `$ssl_client_verify`
    SslClientVerify,
    /// `$ssl_client_…`: of the client's certificate.
    SslClient(CertificatePart),
    /// `$request_body_file` and the like: nothing, as there is no such thing here.
    Nothing,
    /// `$1` to `$9`: what the groups of the last regular expression took.
    Capture(usize),
    /// A variable that `set` or a named group gives its value, by its number.
    Own(usize),
    /// A variable of a `map`.
    Map(Arc<Map>),
    /// A variable of a `geo`.
    Geo(Arc<Geo>),
}

/// What a variable tells of the certificate that a client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificatePart {
    /// `$ssl_client_cert`: PEM, each line but the first behind a tab, for a header.
    Pem,
    /// `$ssl_client_raw_cert`: PEM.
    Raw,
    /// `$ssl_client_escaped_cert`: PEM, for a URL.
    Escaped,
    /// `$ssl_client_s_dn`, as RFC 2253 writes it
    Subject,
    /// `$ssl_client_i_dn`
    Issuer,
    /// `$ssl_client_s_dn_legacy`: behind slashes
    LegacySubject,
    /// `$ssl_client_i_dn_legacy`
    LegacyIssuer,
    /// `$ssl_client_serial`
    Serial,
    /// `$ssl_client_fingerprint`: SHA-1
    Fingerprint,
    /// `$ssl_client_v_start`
    Start,
    /// `$ssl_client_v_end`
    End,
    /// `$ssl_client_v_remain`: days
    Remain,
}

/// Variables without a parameter, by name.
const PLAIN: [(&str, Var); 84] = [
    ("host", Var::Host),
    ("remote_addr", Var::RemoteAddr),
    ("remote_port", Var::RemotePort),
    ("server_addr", Var::ServerAddr),
    ("server_port", Var::ServerPort),
    ("server_name", Var::ServerName),
    ("scheme", Var::Scheme),
    ("request_uri", Var::RequestUri),
    ("uri", Var::Uri),
    ("document_uri", Var::Uri),
    ("args", Var::Args),
    ("query_string", Var::Args),
    ("is_args", Var::IsArgs),
    ("request_method", Var::RequestMethod),
    ("proxy_add_x_forwarded_for", Var::ProxyAddXForwardedFor),
    ("forwarded_host", Var::ForwardedHost),
    ("forwarded_proto", Var::ForwardedProto),
    ("proxy_host", Var::ProxyHost),
    ("upstream_addr", Var::UpstreamAddr),
    ("request_id", Var::RequestId),
    ("ssl_protocol", Var::SslProtocol),
    ("ssl_cipher", Var::SslCipher),
    ("ssl_server_name", Var::SslServerName),
    ("status", Var::Status),
    ("limit_req_status", Var::LimitReqStatus),
    ("limit_conn_status", Var::LimitConnStatus),
    ("request_body_file", Var::Nothing),
    ("ssl_ciphers", Var::SslCiphers),
    ("ssl_curves", Var::Nothing),
    ("ssl_early_data", Var::Nothing),
    ("gzip_ratio", Var::Nothing),
    ("pipe", Var::Pipe),
    ("request_length", Var::RequestLength),
    ("limit_rate", Var::LimitRate),
    ("remote_user", Var::RemoteUser),
    ("binary_remote_addr", Var::BinaryRemoteAddr),
    ("realip_remote_addr", Var::RealipRemoteAddr),
    ("realip_remote_port", Var::RealipRemotePort),
    ("proxy_protocol_addr", Var::ProxyProtocolAddr),
    ("proxy_protocol_port", Var::ProxyProtocolPort),
    ("proxy_protocol_server_addr", Var::ProxyProtocolServerAddr),
    ("proxy_protocol_server_port", Var::ProxyProtocolServerPort),
    ("proxy_port", Var::ProxyPort),
    ("server_protocol", Var::ServerProtocol),
    ("request", Var::Request),
    ("request_filename", Var::RequestFilename),
    ("document_root", Var::DocumentRoot),
    ("realpath_root", Var::RealpathRoot),
    ("request_body", Var::RequestBody),
    ("connection", Var::Connection),
    ("connection_requests", Var::ConnectionRequests),
    ("connection_time", Var::ConnectionTime),
    ("msec", Var::Msec),
    ("time_iso8601", Var::TimeIso8601),
    ("time_local", Var::TimeLocal),
    ("pid", Var::Pid),
    ("hostname", Var::Hostname),
    ("nginx_version", Var::NginxVersion),
    ("request_time", Var::RequestTime),
    ("request_completion", Var::RequestCompletion),
    ("bytes_sent", Var::BytesSent),
    ("body_bytes_sent", Var::BodyBytesSent),
    ("upstream_status", Var::UpstreamStatus),
    ("upstream_connect_time", Var::UpstreamConnectTime),
    ("upstream_header_time", Var::UpstreamHeaderTime),
    ("upstream_response_time", Var::UpstreamResponseTime),
    ("upstream_response_length", Var::UpstreamResponseLength),
    ("upstream_bytes_received", Var::UpstreamBytesReceived),
    ("upstream_bytes_sent", Var::UpstreamBytesSent),
    ("ssl_session_reused", Var::SslSessionReused),
    ("ssl_session_id", Var::SslSessionId),
    ("ssl_client_verify", Var::SslClientVerify),
    ("ssl_client_cert", Var::SslClient(CertificatePart::Pem)),
    ("ssl_client_raw_cert", Var::SslClient(CertificatePart::Raw)),
    ("ssl_client_escaped_cert", Var::SslClient(CertificatePart::Escaped)),
    ("ssl_client_s_dn", Var::SslClient(CertificatePart::Subject)),
    ("ssl_client_i_dn", Var::SslClient(CertificatePart::Issuer)),
    ("ssl_client_s_dn_legacy", Var::SslClient(CertificatePart::LegacySubject)),
    ("ssl_client_i_dn_legacy", Var::SslClient(CertificatePart::LegacyIssuer)),
    ("ssl_client_serial", Var::SslClient(CertificatePart::Serial)),
    ("ssl_client_fingerprint", Var::SslClient(CertificatePart::Fingerprint)),
    ("ssl_client_v_start", Var::SslClient(CertificatePart::Start)),
    ("ssl_client_v_end", Var::SslClient(CertificatePart::End)),
    ("ssl_client_v_remain", Var::SslClient(CertificatePart::Remain)),
];

impl Var {
    /// The variable that is built in under this name.
    pub(super) fn built_in(name: &str) -> Option<Self> {
        if let Some((_, var)) = PLAIN.iter().find(|(plain, _)| *plain == name) {
            return Some(var.clone());
        }
        if let [digit @ b'1'..=b'9'] = name.as_bytes() {
            return Some(Self::Capture(usize::from(digit - b'0')));
        }
        let parameter = |prefix| name.strip_prefix(prefix).filter(|rest: &&str| !rest.is_empty());
        let header = |name: &str| {
            HeaderName::from_bytes(name.to_ascii_lowercase().replace('_', "-").as_bytes()).ok()
        };
        if let Some(name) = parameter("http_") {
            return header(name).map(Self::Header);
        }
        if let Some(name) = parameter("upstream_http_") {
            return header(name).map(Self::UpstreamHttp);
        }
        if let Some(name) = parameter("sent_http_") {
            return header(name).map(Self::SentHttp);
        }
        match name {
            "content_type" => return header("content-type").map(Self::Header),
            "content_length" => return header("content-length").map(Self::Header),
            _ => {}
        }
        name.strip_prefix("arg_")
            .map(|argument| Self::Arg(argument.to_owned()))
            .or_else(|| parameter("cookie_").map(|cookie| Self::Cookie(cookie.to_owned())))
    }

    /// The names of those without a parameter, for «did you mean».
    pub(super) fn plain_names<'n>() -> impl Iterator<Item = &'n str> {
        PLAIN.iter().map(|(name, _)| *name).chain(["http_host", "http_origin", "http_upgrade"])
    }
}

impl Var {
    /// Whether it is only known when the answer has gone.
    pub const fn is_late(&self) -> bool {
        matches!(
            self,
            Self::RequestTime
                | Self::RequestCompletion
                | Self::BytesSent
                | Self::BodyBytesSent
                | Self::UpstreamResponseTime
                | Self::UpstreamResponseLength
                | Self::UpstreamBytesReceived
                | Self::UpstreamBytesSent
                | Self::Msec
                | Self::TimeIso8601
                | Self::TimeLocal
        )
    }

    /// Whether whoever knows what the peers did tells it, of those that are late.
    pub const fn is_of_peers(&self) -> bool {
        matches!(
            self,
            Self::UpstreamResponseTime
                | Self::UpstreamResponseLength
                | Self::UpstreamBytesReceived
                | Self::UpstreamBytesSent
        )
    }
}

/// Whoever knows the values of a request.
pub trait Lookup {
    /// Appends the value of `var` to `out`; nothing when it has none. [`Var::Map`] and
    /// [`Var::Geo`] are never asked for: [`Template::expand`] resolves them.
    fn lookup(&self, var: &Var, out: &mut String);
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TemplateError {
    /// The bytes of the text it is about.
    pub(super) range: Range<usize>,
    /// The name that is unknown; `None` when no name follows the `$`.
    pub(super) unknown: Option<String>,
}

impl Template {
    /// A template without variables.
    pub fn literal(text: &str) -> Self {
        Self { parts: vec![Part::Text(text.to_owned())] }
    }

    /// One with nothing but variables of ours.
    #[cfg(test)]
    pub fn with_built_in(text: &str) -> Self {
        Self::parse(text, Var::built_in).0
    }

    /// Just a variable.
    pub(super) fn of(var: Var) -> Self {
        Self { parts: vec![Part::Var(var)] }
    }

    /// Parses `text`; `known` tells what a name stands for.
    pub(super) fn parse(
        text: &str,
        mut known: impl FnMut(&str) -> Option<Var>,
    ) -> (Self, Vec<TemplateError>) {
        let mut parts = Vec::new();
        let mut errors = Vec::new();
        let mut done = 0;
        while let Some(start) = text[done..].find('$').map(|at| done + at) {
            if start > done {
                parts.push(Part::Text(text[done..start].to_owned()));
            }
            let (name, end) = name_at(text, start + 1);
            match known(name).filter(|_| !name.is_empty()) {
                Some(var) => parts.push(Part::Var(var)),
                None => errors.push(TemplateError {
                    range: start..end,
                    unknown: (!name.is_empty()).then(|| name.to_owned()),
                }),
            }
            done = end;
        }
        if done < text.len() {
            parts.push(Part::Text(text[done..].to_owned()));
        }
        (Self { parts }, errors)
    }

    /// The value for one request, for a header field: CR, LF and NUL are left out.
    pub fn expand(&self, values: &dyn Lookup) -> String {
        let mut value = self.expand_text(values);
        if value.bytes().any(|b| matches!(b, b'\r' | b'\n' | b'\0')) {
            value.retain(|c| !matches!(c, '\r' | '\n' | '\0'));
        }
        value
    }

    /// The value for one request, for a body: lines stay lines.
    pub fn expand_text(&self, values: &dyn Lookup) -> String {
        let mut value = String::new();
        self.append(values, &mut value);
        value
    }

    /// All that is known now, each value changed by `escape`; what is known later stays.
    pub fn prepare(&self, values: &dyn Lookup, escape: fn(&str) -> String) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for part in &self.parts {
            pieces.push(match part {
                Part::Text(text) => Piece::Text(text.clone()),
                Part::Var(var) if var.is_late() => Piece::Late(var.clone()),
                Part::Var(var) => {
                    let mut value = String::new();
                    append_var(var, values, &mut value);
                    Piece::Text(escape(&value))
                }
            });
        }
        pieces
    }

    /// Whether its value, maps included, is made of nothing but such variables.
    pub(super) fn needs_only(&self, known: &dyn Fn(&Var) -> bool) -> bool {
        self.parts.iter().all(|part| match part {
            Part::Text(_) => true,
            Part::Var(Var::Map(map)) => {
                let results = map.exact.values().chain(map.patterns.iter().map(|(_, to)| to));
                results.chain([&map.source, &map.default]).all(|part| part.needs_only(known))
            }
            Part::Var(Var::Geo(geo)) => geo.proxies.is_empty() && geo.source.needs_only(known),
            Part::Var(var) => known(var),
        })
    }

    fn append(&self, values: &dyn Lookup, out: &mut String) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Var(var) => append_var(var, values, out),
            }
        }
    }
}

/// The name that begins at `start`, behind the `$`, and where it ends, braces included.
fn name_at(text: &str, start: usize) -> (&str, usize) {
    let rest = &text[start..];
    let braced = rest.strip_prefix('{');
    let inner = braced.unwrap_or(rest);
    let length = inner.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
    let name = &inner[..length];
    match braced {
        None => (name, start + length),
        Some(_) if inner[length..].starts_with('}') => (name, start + length + 2),
        Some(_) => ("", start + 1),
    }
}

/// A host name's result: of the longest `*.example.org` or `.example.org`, else of the longest
/// `example.*`.
fn hostname<'m>(exact: &'m BTreeMap<String, Template>, name: &str) -> Option<&'m Template> {
    let name = name.strip_suffix('.').unwrap_or(name).to_lowercase();
    if let Some(found) = exact.get(&name).or_else(|| exact.get(&format!(".{name}"))) {
        return Some(found);
    }
    let dots: Vec<_> = name.match_indices('.').map(|(at, _)| at).collect();
    let by_end = dots.iter().find_map(|at| {
        let end = &name[*at..];
        exact.get(&format!("*{end}")).or_else(|| exact.get(end))
    });
    by_end.or_else(|| dots.iter().rev().find_map(|at| exact.get(&format!("{}.*", &name[..*at]))))
}

fn append_var(var: &Var, values: &dyn Lookup, out: &mut String) {
    match var {
        Var::Map(map) => append_mapped(map, values, out),
        Var::Geo(geo) => append_located(geo, values, out),
        var => values.lookup(var, out),
    }
}

fn append_located(geo: &Geo, values: &dyn Lookup, out: &mut String) {
    let forwarded = || {
        let mut list = String::new();
        values.lookup(&Var::Header(HeaderName::from_static("x-forwarded-for")), &mut list);
        list
    };
    out.push_str(geo.find(&geo.source.expand(values), forwarded));
}

fn append_mapped(map: &Map, values: &dyn Lookup, out: &mut String) {
    let source = map.source.expand(values);
    let exact = map
        .exact
        .get(&source.to_lowercase())
        .or_else(|| map.hostnames.then(|| hostname(&map.exact, &source)).flatten());
    let fitting =
        exact.or_else(|| map.patterns.iter().find(|(re, _)| re.is_match(&source)).map(|(_, t)| t));
    fitting.unwrap_or(&map.default).append(values, out);
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// Every variable is its own debug text.
    struct Named;

    impl Lookup for Named {
        fn lookup(&self, var: &Var, out: &mut String) {
            match var {
                Var::Header(name) => out.push_str(name.as_str()),
                Var::Arg(name) | Var::Cookie(name) => out.push_str(name),
                other => write!(out, "{other:?}").unwrap(),
            }
        }
    }

    /// One value for every header; `http` for all else.
    struct Upgrade(&'static str);

    impl Lookup for Upgrade {
        fn lookup(&self, var: &Var, out: &mut String) {
            match var {
                Var::Header(_) => out.push_str(self.0),
                _ => out.push_str("http"),
            }
        }
    }

    fn expand(text: &str) -> String {
        let (template, errors) = Template::parse(text, Var::built_in);
        assert_eq!(errors, []);
        template.expand(&Named)
    }

    #[test]
    fn both_spellings_are_expanded() {
        assert_eq!(expand("$scheme://${host}x$uri"), "Scheme://HostxUri");
        assert_eq!(expand("$http_x_real_ip-$arg_a.$cookie_sid"), "x-real-ip-a.sid");
        assert_eq!(expand(""), "");
    }

    #[test]
    fn faults_tell_where_they_are() {
        let (_, errors) = Template::parse("a $hots ${ $ 5$", Var::built_in);
        let found: Vec<_> =
            errors.iter().map(|e| (e.range.clone(), e.unknown.as_deref())).collect();
        assert_eq!(found, [(2..7, Some("hots")), (8..10, None), (11..12, None), (14..15, None)]);
    }

    #[test]
    fn line_ends_never_come_out() {
        assert_eq!(expand("a\r\nb\0c"), "abc");
    }

    #[test]
    fn a_map_takes_exact_values_then_patterns_then_the_default() {
        let map = Arc::new(Map {
            source: Template::parse("$http_upgrade", Var::built_in).0,
            variable: "m".into(),
            exact: [("upgrade".to_owned(), Template::literal("exact"))].into(),
            hostnames: false,
            patterns: vec![
                (regex::Regex::new("^up").unwrap(), Template::literal("first")),
                (regex::Regex::new("p").unwrap(), Template::literal("second")),
            ],
            default: Template::parse("<$scheme>", Var::built_in).0,
        });
        let (template, _) = Template::parse("$m", |_| Some(Var::Map(Arc::clone(&map))));
        for (value, result) in
            [("UpGrade", "exact"), ("upx", "first"), ("pp", "second"), ("", "<http>")]
        {
            assert_eq!(template.expand(&Upgrade(value)), result, "{value}");
        }
    }
}
