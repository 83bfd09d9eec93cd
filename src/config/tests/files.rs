//! Files that cannot be read, includes, substitutions: what needs more than one text.

use std::fs;
use std::path::PathBuf;

use super::{Machine, config, read, read_on};
use crate::config::diagnostic::{Diagnostic, Severity};
use crate::config::load;

const SERVER: &str = "[[server]]\nlisten = 80\nreturn = 404\n";

#[test]
fn a_file_that_is_not_there_is_a_diagnostic() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wayhold.toml");
    let faults = load(&path.as_path().into(), &|_| None).unwrap_err();
    let fault = faults.iter().next().unwrap();
    assert_eq!((faults.len(), fault.severity()), (1, Severity::Error));
    assert!(fault.message().ends_with("cannot be read: no such file or directory"), "{fault}");
    assert_eq!((fault.file(), fault.line()), (path.to_str().unwrap(), 1));
}

#[test]
fn a_directory_and_a_binary_are_diagnostics() {
    let dir = tempfile::tempdir().unwrap();
    let faults = load(&dir.path().into(), &|_| None).unwrap_err();
    assert!(faults.to_string().contains("cannot be read: is a directory"), "{faults}");
    let path = dir.path().join("binary");
    fs::write(&path, b"\x7fELF\x02\xff").unwrap();
    let faults = load(&path.as_path().into(), &|_| None).unwrap_err();
    assert!(faults.to_string().contains("is not UTF-8 text: invalid byte at offset 5"), "{faults}");
}

#[test]
fn a_whole_tree_of_real_files_is_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_owned();
    fs::create_dir(root.join("conf.d")).unwrap();
    let main = "include = [\"conf.d/*.toml\"]\n[[server]]\nlisten = \"443 ssl\"\nserver_name = \"a\"\n\
                ssl_certificate = \"a.pem\"\nssl_certificate_key = \"a.key\"\nreturn = 404\n";
    fs::write(root.join("wayhold.toml"), main).unwrap();
    fs::write(root.join("a.pem"), "").unwrap();
    fs::write(root.join("a.key"), "").unwrap();
    fs::write(root.join("secret"), "s3cret\n\n").unwrap();
    fs::write(root.join("conf.d/20.toml"), "[[server]]\nlisten = 82\nreturn = 404\n").unwrap();
    let ten = "[[server]]\nlisten = 81\n\
               return = { body = \"${env:WHO:-nobody} ${file:../secret}\" }\n";
    fs::write(root.join("conf.d/10.toml"), ten).unwrap();
    let env = |name: &str| (name == "WHO").then(|| "me".to_owned());
    let loaded = load(&root.join("wayhold.toml").as_path().into(), &env).unwrap();
    let ports: Vec<_> = loaded.config.listeners.iter().map(|l| l.addr.to_string()).collect();
    assert_eq!(ports, ["0.0.0.0:443", "0.0.0.0:81", "0.0.0.0:82"]);
    let files: Vec<PathBuf> =
        ["wayhold.toml", "conf.d/10.toml", "conf.d/../secret", "conf.d/20.toml", "a.pem", "a.key"]
            .map(|name| root.join(name))
            .into();
    assert_eq!(loaded.config.files, files);
    assert_eq!(loaded.config.include_dirs, [root.join("conf.d")]);
    let shown = format!("{:?}", loaded.config.servers[1].locations[0].action);
    assert!(shown.contains("me s3cret\\n"), "{shown}");
}

#[test]
fn errors_of_all_files_come_at_once() {
    let machine = Machine {
        files: [
            ("/etc/wayhold/conf.d/a.toml", "[[server]]\nlisten = 80\nretrun = 404\n"),
            ("/etc/wayhold/conf.d/b.toml", "[[server]\n"),
        ]
        .into(),
        ..Machine::default()
    };
    let text = format!("shutdown_timeout = 5\ninclude = \"conf.d/*.toml\"\n{SERVER}");
    let faults = read_on(&machine, &text).unwrap_err();
    let places: Vec<_> = faults.iter().map(Diagnostic::location).collect();
    assert_eq!(
        places,
        ["wayhold.toml:1:20", "conf.d/a.toml:3:1", "conf.d/b.toml:1:10"],
        "{faults}"
    );
}

#[test]
fn an_upstream_in_two_files_names_both() {
    let upstream = "[upstream.chat]\nservers = [\"127.0.0.1:1\"]\n";
    let machine =
        Machine { files: [("/etc/wayhold/chat.toml", upstream)].into(), ..Machine::default() };
    let text = format!("include = [\"chat.toml\"]\n{upstream}{SERVER}");
    let faults = read_on(&machine, &text).unwrap_err();
    insta::assert_snapshot!(faults.to_string(), @r#"
    error: upstream `chat` is defined twice
     --> chat.toml:1:11
      |
    1 | [upstream.chat]
      |           ^^^^ the second definition
      |
     ::: wayhold.toml:2:11
      |
    2 | [upstream.chat]
      |           ---- the first is here
      |
      = help: rename one of them, or put all peers into one list of `servers`
    "#);
}

#[test]
fn a_key_set_in_two_files_is_an_error_and_lists_add_up() {
    let machine = Machine {
        files: [("/etc/wayhold/more.toml", "pid = \"a\"\nset_real_ip_from = [\"10.0.0.0/8\"]\n")]
            .into(),
        ..Machine::default()
    };
    let faults =
        read_on(&machine, &format!("include = \"more.toml\"\npid = \"b\"\n{SERVER}")).unwrap_err();
    assert!(faults.to_string().contains("`pid` is set in two files"), "{faults}");
    let text = format!("include = \"more.toml\"\nset_real_ip_from = [\"fd00::/8\"]\n{SERVER}");
    let loaded = read_on(&machine, &text).unwrap();
    assert_eq!(loaded.config.servers[0].locations[0].real_ip.from.len(), 2);
}

#[test]
fn a_plain_include_has_to_exist_and_a_pattern_need_not() {
    config(&format!("include = [\"conf.d/*.toml\"]\n{SERVER}"));
    let faults = read(&format!("include = [\"other.toml\"]\n{SERVER}")).unwrap_err();
    assert!(faults.to_string().contains("included file `other.toml` does not exist"), "{faults}");
}

#[test]
fn files_that_include_each_other_are_read_once() {
    let machine = Machine {
        files: [
            ("/etc/wayhold/a.toml", "include = \"*.toml\"\n"),
            ("/etc/wayhold/b.toml", "include = \"a.toml\"\n"),
        ]
        .into(),
        ..Machine::default()
    };
    let faults = read_on(&machine, &format!("include = \"a.toml\"\n{SERVER}")).unwrap_err();
    assert!(faults.to_string().contains("`a.toml` is included twice"), "{faults}");
}

#[test]
fn numbers_and_booleans_may_come_from_the_environment() {
    let machine = Machine {
        env: [("N", "7"), ("FLAG", "false"), ("PORT", "81"), ("EMPTY", "")].into(),
        ..Machine::default()
    };
    let text = "worker_processes = \"${env:N}\"\nauto_reload = \"${env:FLAG}\"\n\
                shutdown_timeout = \"${env:EMPTY:-7s}\"\n\
                [[server]]\nlisten = \"${env:PORT}\"\nreturn = 404\n";
    let config = read_on(&machine, text).unwrap().config;
    assert_eq!((config.worker_processes, config.auto_reload), (7, None));
    assert_eq!(config.shutdown_timeout.as_secs(), 7);
    assert_eq!(config.listeners[0].addr.to_string(), "0.0.0.0:81");
}

#[test]
fn the_content_of_a_file_never_reaches_a_message() {
    let machine =
        Machine { files: [("/run/secret", "hunter2$x\u{1}")].into(), ..Machine::default() };
    let secret = "\"${file:/run/secret}\"";
    for keys in [
        format!("add_header = {{ X = {secret} }}"),
        format!("proxy_read_timeout = {secret}"),
        format!("access_log = {{ path = \"a\", format = {secret} }}"),
        format!("return = {secret}"),
    ] {
        let faults =
            read_on(&machine, &format!("{SERVER}[[server.location]]\npath = \"/\"\n{keys}\n"));
        let text = faults.unwrap_err().to_string();
        assert!(!text.contains("hunter2") && !text.contains("$x"), "{text}");
    }
}

#[test]
fn what_comes_in_is_never_syntax() {
    let machine =
        Machine { env: [("X", "a\"\n[[server]]\nx = \"${env:X}")].into(), ..Machine::default() };
    let text = format!("pid = \"/run/${{env:X}}\"\n{SERVER}");
    let config = read_on(&machine, &text).unwrap().config;
    assert_eq!(config.pid.unwrap().to_str().unwrap(), "/run/a\"\n[[server]]\nx = \"${env:X}");
}
