//! Every directive that nginx 1.22 knows, with its modules: where it may stand, how many arguments it
//! takes, and what becomes of it here.

mod foreign;
mod http;
mod modules;
mod process;
mod proxy;
mod reasons;
mod tls;

/// What becomes of a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// It is carried over.
    Done,
    /// It changes nothing here, for this reason.
    Nothing(&'static str),
    /// It is left out, and something differs then.
    Differs(&'static str),
    /// It cannot be carried over.
    Refused(&'static str),
    /// `off` and `0` change nothing, anything else differs.
    OffDiffers(&'static str),
    /// `off` and `0` change nothing, anything else is refused.
    Off(&'static str),
    /// `on` changes nothing, anything else is refused.
    On(&'static str),
}

/// Name, contexts, arguments, what becomes of it.
///
/// Contexts are letters: **m**ain, **e**vents, **h**ttp, **s**erver, **l**ocation, **u**pstream, `i`
/// and `j` for `if` in a server and in a location, `x` for `limit_except`; `*` is anywhere, `-` is
/// nowhere. Arguments are numbers, `flag`, `1+`, `2+`; with `{` a block follows them.
pub(super) type Row = (&'static str, &'static str, &'static str, How);

/// Directives that may stand several times in one block.
const REPEATABLE: [&str; 47] = [
    "access_log",
    "add_header",
    "allow",
    "auth_request_set",
    "break",
    "charset_map",
    "debug_connection",
    "deny",
    "env",
    "error_log",
    "error_page",
    "geo",
    "http2_push",
    "if",
    "include",
    "index",
    "limit_conn",
    "limit_conn_zone",
    "limit_except",
    "limit_req",
    "limit_req_zone",
    "listen",
    "load_module",
    "location",
    "log_format",
    "map",
    "mirror",
    "proxy_cache_bypass",
    "proxy_cache_path",
    "proxy_cache_valid",
    "proxy_hide_header",
    "proxy_next_upstream",
    "proxy_no_cache",
    "proxy_pass_header",
    "proxy_redirect",
    "proxy_set_header",
    "return",
    "rewrite",
    "server",
    "server_name",
    "set",
    "set_real_ip_from",
    "ssl_certificate",
    "ssl_certificate_key",
    "ssl_conf_command",
    "types",
    "upstream",
];

/// Every row of this name.
pub(super) fn rows(name: &str) -> impl Iterator<Item = &'static Row> {
    let tables = [http::ROWS, proxy::ROWS, tls::ROWS, process::ROWS, modules::ROWS, foreign::ROWS];
    tables.into_iter().flatten().filter(move |row| row.0 == name)
}

/// Whether a second one in the same block is a fault.
pub(super) fn is_single(name: &str) -> bool {
    let beside = [modules::ROWS, foreign::ROWS];
    !REPEATABLE.contains(&name)
        && !name.starts_with("proxy_cookie_")
        && !name.starts_with("thread_pool")
        && !beside.into_iter().flatten().any(|row| row.0 == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_can_be_read() {
        let tables =
            [http::ROWS, proxy::ROWS, tls::ROWS, process::ROWS, modules::ROWS, foreign::ROWS];
        let mut names = 0;
        for (name, contexts, args, _) in tables.into_iter().flatten() {
            names += 1;
            assert!(contexts.chars().all(|c| "mehslujix*-".contains(c)), "{name}: {contexts}");
            let args = args.trim_start_matches('{');
            let known = |part: &str| {
                matches!(part, "flag" | "1+" | "2+" | "any") || part.parse::<usize>().is_ok()
            };
            assert!(args.split(',').all(known), "{name}: {args}");
        }
        assert!(names > 550, "{names}");
        for name in REPEATABLE {
            assert!(rows(name).next().is_some(), "{name}");
        }
    }
}
