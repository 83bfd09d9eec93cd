//! Certificates and TLS versions, as far as files tell without being parsed: whether a key fits its
//! certificate is found when the configuration is put to work.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Context;
use crate::config::diagnostic::{Diagnostic, quote};
use crate::config::model::{
    CertificatePair, ClientCertificates, NamedPair, ProxyTls, TlsVersions, VerifyClient,
};
use crate::config::read::Field;
use crate::config::schema::{ProxySslKeys, ServerKeys};
use crate::config::source::{At, Place};
use crate::config::template::{Template, Var};
use crate::config::values::{List, TlsVersion, VerifyWord};

/// The pairs of a server, if it has any; `listen` is its first listener with `ssl`.
pub(super) fn certificates(
    cx: &mut Context<'_>,
    keys: &ServerKeys,
    listen: &Place,
) -> (Vec<CertificatePair>, Vec<NamedPair>) {
    let (mut fixed, mut named) = Default::default();
    let (certificate, key) = (&keys.ssl_certificate, &keys.ssl_certificate_key);
    if let (Some(certificates), true) = (certificate.get(), key.is_absent()) {
        cx.error(
            &certificates.place,
            "`ssl_certificate` has no key: the server has no `ssl_certificate_key`",
            "write `ssl_certificate_key = \"/path/to/key.pem\"`",
        );
    }
    let (Some(certificates), Some(secrets)) = (certificate.get(), key.get()) else {
        return (fixed, named);
    };
    let passwords = keys.ssl_password_file.get().map(|file| cx.file(file, "file"));
    for (certificate, key) in pairs(cx, certificates, secrets, listen) {
        let passwords = passwords.clone();
        if has_variable(certificate) || has_variable(key) {
            let dir = certificate.place.resolve(Path::new(""));
            let certificate = file_name(cx, "ssl_certificate", certificate);
            let key = file_name(cx, "ssl_certificate_key", key);
            named.push(NamedPair { dir, certificate, key, passwords });
        } else {
            let certificate = cx.file(certificate, "certificate");
            fixed.push(CertificatePair { certificate, key: cx.file(key, "key"), passwords });
        }
    }
    (fixed, named)
}

fn has_variable(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().contains(&b'$')
}

/// A name with variables that a client's hello tells.
fn file_name(cx: &mut Context<'_>, key: &str, path: &At<PathBuf>) -> Template {
    let template = cx.template(&At::new(path.to_string_lossy().into_owned(), &path.place));
    let known = |var: &Var| {
        matches!(var, Var::SslServerName | Var::RemoteAddr | Var::ServerAddr | Var::ServerPort)
    };
    if !template.needs_only(&known) {
        cx.error(
            &path.place,
            format!("`{key}` names a variable that is not known before a request"),
            "certificates are chosen by $ssl_server_name, $remote_addr, $server_addr, $server_port \
             and what is made of them",
        );
    }
    template
}

fn pairs<'k>(
    cx: &mut Context<'_>,
    certificates: &'k At<List<PathBuf>>,
    keys: &'k At<List<PathBuf>>,
    listen: &Place,
) -> Vec<(&'k At<PathBuf>, &'k At<PathBuf>)> {
    let (have, need) = (keys.0.len(), certificates.0.len());
    if need == 0 {
        cx.error(&certificates.place, "`ssl_certificate` is empty", "name a PEM file");
        return Vec::new();
    }
    if have != need {
        let message = format!("certificates and keys do not pair up: {need} and {have}");
        cx.out.push(
            Diagnostic::error(&keys.place, message)
                .see(&certificates.place, "the certificates")
                .see(listen, "`ssl` is here")
                .help(
                    "write one `ssl_certificate_key` for each `ssl_certificate`, in the same order",
                ),
        );
        return Vec::new();
    }
    certificates.iter().zip(keys.iter()).collect()
}

/// `ssl_verify_client` and what belongs to it.
pub(super) fn clients(cx: &mut Context<'_>, keys: &ServerKeys) -> Option<Arc<ClientCertificates>> {
    let verify = keys.ssl_verify_client.with_default();
    let mode = match verify.value {
        VerifyWord::Off => return None,
        VerifyWord::On => VerifyClient::On,
        VerifyWord::Optional => VerifyClient::Optional,
        VerifyWord::OptionalNoCa => VerifyClient::OptionalNoCa,
    };
    let absent = keys.ssl_client_certificate.is_absent();
    // Without a certificate of its own a server answers under that of the default server.
    if absent && mode != VerifyClient::OptionalNoCa && !keys.ssl_certificate.is_absent() {
        let message = "`ssl_verify_client` has no authority: there is no `ssl_client_certificate`";
        cx.error(&verify.place, message, "write `ssl_client_certificate = \"/path/to/ca.pem\"`");
    }
    let mut file = |field: &Field<PathBuf>| field.get().map(|path| cx.file(path, "certificate"));
    Some(Arc::new(ClientCertificates {
        mode,
        authorities: file(&keys.ssl_client_certificate),
        trusted: file(&keys.ssl_trusted_certificate),
        depth: keys.ssl_verify_depth.with_default().get(),
        crl: file(&keys.ssl_crl),
    }))
}

/// `ssl_protocols`.
pub(super) fn versions(cx: &mut Context<'_>, protocols: &At<List<TlsVersion>>) -> TlsVersions {
    if protocols.is_empty() {
        cx.error(
            &protocols.place,
            "`ssl_protocols` is empty",
            "write `[\"TLSv1.2\", \"TLSv1.3\"]`",
        );
    }
    let has = |version| protocols.iter().any(|v| v.value == version);
    TlsVersions { tls12: has(TlsVersion::Tls12), tls13: has(TlsVersion::Tls13) }
}

/// `proxy_ssl_*` for peers behind https; `host` is what `proxy_pass` names, without its port.
pub(super) fn to_upstream(
    cx: &mut Context<'_>,
    keys: &ProxySslKeys,
    host: &str,
    pass: &Place,
    is_group: bool,
) -> ProxyTls {
    let ProxySslKeys {
        proxy_ssl_verify,
        proxy_ssl_name,
        proxy_ssl_server_name,
        proxy_ssl_trusted_certificate,
        proxy_ssl_certificate,
        proxy_ssl_certificate_key,
        proxy_ssl_password_file,
        proxy_ssl_session_reuse,
    } = keys;
    let verify = proxy_ssl_verify.with_default().value;
    let name = proxy_ssl_name.get();
    if let Some(variable) = name.filter(|name| name.contains('$')) {
        let message = format!("`proxy_ssl_name` cannot hold variables yet: {}", quote(variable));
        cx.error(&variable.place, message, "write the name itself");
    } else if let Some(name) = name
        && rustls::pki_types::ServerName::try_from(name.as_str()).is_err()
    {
        let message = format!(
            "`proxy_ssl_name` is no name that a certificate can have: {}",
            super::shown(name, &name.place)
        );
        cx.error(&name.place, message, "write a host name or an address, without a port");
    }
    if is_group && verify && name.is_none() {
        let message =
            format!("certificates of this upstream are checked for its own name: {}", quote(host));
        let help = "write `proxy_ssl_name = \"…\"` with the name in the certificates";
        cx.warn(pass, message, help);
    }
    let trusted = proxy_ssl_trusted_certificate.get();
    ProxyTls {
        verify,
        name: name.map_or_else(|| host.to_owned(), |name| name.value.clone()),
        server_name: proxy_ssl_server_name.with_default().value,
        trusted_certificate: trusted.map(|path| cx.file(path, "certificate")),
        certificate: own_pair(
            cx,
            proxy_ssl_certificate,
            proxy_ssl_certificate_key,
            proxy_ssl_password_file,
        ),
        session_reuse: proxy_ssl_session_reuse.with_default().value,
    }
}

fn own_pair(
    cx: &mut Context<'_>,
    certificate: &Field<PathBuf>,
    key: &Field<PathBuf>,
    passwords: &Field<PathBuf>,
) -> Option<CertificatePair> {
    if let (Some(one), true) = (certificate.get(), key.is_absent()) {
        cx.error(
            &one.place,
            "`proxy_ssl_certificate` has no key",
            "write `proxy_ssl_certificate_key`",
        );
    }
    if let (Some(one), true) = (key.get(), certificate.is_absent()) {
        cx.error(
            &one.place,
            "`proxy_ssl_certificate_key` has no certificate",
            "write `proxy_ssl_certificate`",
        );
    }
    Some(CertificatePair {
        certificate: cx.file(certificate.get()?, "certificate"),
        key: cx.file(key.get()?, "key"),
        passwords: passwords.get().map(|file| cx.file(file, "file")),
    })
}
