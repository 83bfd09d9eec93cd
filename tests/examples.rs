//! Every configuration in `conf/` is valid, with certificates and folders of the test's own.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::certs::Authority;
use crate::support::proxy::Proxy;

fn configurations() -> Vec<PathBuf> {
    let conf = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    let mut found = Vec::new();
    for folder in [conf.clone(), conf.join("examples")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn every_configuration_passes_the_check() {
    let folder = Proxy::folder();
    let authority = Authority::new(folder.path());
    authority.leaf("cert", &["test.test.net", "chat.test.net", "*.chat.test.net"]);
    authority.leaf("client", &["client.test.net"]);
    std::fs::copy(folder.path().join("cert.key.pem"), folder.path().join("key.pem")).unwrap();
    let configurations = configurations();
    assert!(configurations.len() >= 7, "{configurations:?}");
    for configuration in configurations {
        let text = std::fs::read_to_string(&configuration).unwrap();
        assert!(text.starts_with("#:schema "), "{}", configuration.display());
        let output = Command::new(env!("CARGO_BIN_EXE_wayhold"))
            .arg("check")
            .arg(&configuration)
            .envs(["WAYHOLD_SSL", "WAYHOLD_LOG", "WAYHOLD_RUN"].map(|name| (name, folder.path())))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}:\n{said}", configuration.display());
        assert!(!said.contains("warning"), "{}:\n{said}", configuration.display());
    }
}
