//! Values with variables: `"$scheme://$host$request_uri"`. Parsed once, when the configuration is
//! read; expanded for each request by whoever knows the values ([`Lookup`]).
//! Invariant: what [`Template::expand`] returns holds no CR, LF or NUL.

use std::sync::Arc;

use super::model::Map;

/// A parsed value.
#[derive(Clone, Debug, Default)]
pub struct Template {
    parts: Vec<Part>,
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
    /// `$ssl_server_name`: the name of the SNI.
    SslServerName,
    /// `$status`
    Status,
    /// A variable of a `map`.
    Map(Arc<Map>),
}

/// Whoever knows the values of a request.
pub trait Lookup {
    /// Appends the value of `var` to `out`; nothing when it has none. [`Var::Map`] is never asked
    /// for: [`Template::expand`] resolves it.
    fn lookup(&self, var: &Var, out: &mut String);
}

impl Template {
    /// A template without variables.
    pub fn literal(text: &str) -> Self {
        Self {
            parts: vec![Part::Text(text.to_owned())],
        }
    }

    /// The value for one request. CR, LF and NUL are left out.
    pub fn expand(&self, _values: &dyn Lookup) -> String {
        todo!("helper config")
    }
}
