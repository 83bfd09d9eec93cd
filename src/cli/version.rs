//! The version, and what scripts that know nginx look for in it.

/// The version of nginx whose configuration is read.
const NGINX: &str = "1.22.1";

/// Modules of nginx whose directives work here, besides those that it always has.
const WITH: [&str; 4] = ["http_ssl", "http_realip", "http_stub_status", "http_auth_request"];

/// Modules that nginx has unless it is told not to, and whose directives do not work here.
const WITHOUT: [&str; 13] = [
    "autoindex",
    "browser",
    "charset",
    "empty_gif",
    "fastcgi",
    "grpc",
    "memcached",
    "mirror",
    "referer",
    "scgi",
    "split_clients",
    "userid",
    "uwsgi",
];

/// Prints the version, or all that is known of the program.
pub(super) fn print(everything: bool) {
    println!("wayhold version: wayhold/{}", env!("CARGO_PKG_VERSION"));
    if !everything {
        return;
    }
    println!("nginx version: nginx/{NGINX} (the one whose configuration is read)");
    println!("built with OpenSSL 1.1.1 (the one whose names are used; the library is rustls)");
    println!("TLS SNI support enabled");
    let with = WITH.iter().map(|module| format!(" --with-{module}_module"));
    let without = WITHOUT.iter().map(|module| format!(" --without-http_{module}_module"));
    let arguments: String = with.chain(without).collect();
    println!("configure arguments:{arguments} --without-http-cache");
}
