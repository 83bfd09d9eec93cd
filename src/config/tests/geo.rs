//! `geo`: what is looked up, in both languages; what is said about what cannot be.

use std::path::Path;

use super::Machine;
use crate::config::model::{Action, Config};
use crate::config::template::{Lookup, Var};
use crate::config::{Format, load_str_on};

/// A request: who sends it, its argument, and its `X-Forwarded-For`.
struct Request<'a>(&'a str, &'a str, &'a str);

impl Lookup for Request<'_> {
    fn lookup(&self, var: &Var, out: &mut String) {
        out.push_str(match var {
            Var::RemoteAddr => self.0,
            Var::Arg(_) => self.1,
            Var::Header(_) => self.2,
            other => panic!("{other:?}"),
        });
    }
}

fn read(text: &str, format: Format, files: &[(&'static str, &'static str)]) -> (Config, String) {
    let machine = Machine { files: files.iter().copied().collect(), ..Machine::default() };
    let loaded = load_str_on(text, format, "x.conf", Path::new("/etc"), &machine);
    let loaded = loaded.unwrap_or_else(|faults| panic!("{text}\n{faults}"));
    (loaded.config, loaded.warnings.to_string())
}

/// What `$x` is for a request.
fn value(config: &Config, request: &Request<'_>) -> String {
    match &config.servers[0].locations[0].action {
        Action::Return(returned) => returned.text.as_ref().unwrap().expand(request),
        other => panic!("{other:?}"),
    }
}

fn toml(geo: &str) -> Config {
    let text = format!(
        "[[geo]]\nvariable = \"$x\"\n{geo}\n[[server]]\nlisten = 80\n[[server.location]]\npath = \"/\"\nreturn = \"200 $x\"\n"
    );
    let (config, said) = read(&text, Format::Toml, &[]);
    assert_eq!(said, "");
    config
}

/// The configuration, and what is said about it.
fn nginx(geo: &str) -> (Config, String) {
    let text = format!("{geo}\nserver {{ location / {{ return 200 $x; }} }}");
    read(&text, Format::Nginx, &[("/etc/geo.conf", "127.0.0.0/8 loop; 10.0.0.0/8 $ten;")])
}

fn of_client(config: &Config, addr: &str) -> String {
    value(config, &Request(addr, "", ""))
}

#[test]
fn of_several_the_innermost_holds_whatever_the_order() {
    let config = toml(
        "default = \"d\"\nvalues = { \"10.1.0.0/16\" = \"in\", \"10.0.0.0/8\" = \"out\", \"10.1.2.0-10.1.2.9\" = \"$few\",\n\
         \"10.1.2.3\" = \"one\", \"::/0\" = \"six\", \"2001:db8::/32\" = \"doc\", \"2001:db8::-2001:db8::f\" = \"low\" }",
    );
    for (addr, result) in [
        ("9.255.255.255", "d"),
        ("10.0.0.0", "out"),
        ("10.0.255.255", "out"),
        ("10.1.0.0", "in"),
        ("10.1.2.0", "$few"),
        ("10.1.2.3", "one"),
        ("10.1.2.4", "$few"),
        ("10.1.2.10", "in"),
        ("10.2.0.0", "out"),
        ("11.0.0.0", "d"),
        ("255.255.255.255", "d"),
        ("::ffff:10.1.2.3", "one"),
        ("2001:db7:ffff::", "six"),
        ("2001:db8::f", "low"),
        ("2001:db8::10", "doc"),
        ("2001:db9::", "six"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "six"),
        ("unix:", "d"),
        ("", "d"),
    ] {
        assert_eq!(of_client(&config, addr), result, "{addr}");
    }
}

#[test]
fn whatever_is_no_address_counts_as_the_last_one() {
    let config =
        toml("source = \"$arg_ip\"\ndefault = \"d\"\nvalues = { \"255.255.255.255\" = \"none\" }");
    for (arg, result) in [("", "none"), ("a", "none"), ("10.0.0.1:80", "none"), ("10.0.0.1", "d")] {
        assert_eq!(value(&config, &Request("10.0.0.1", arg, "")), result, "{arg}");
    }
    assert_eq!(of_client(&toml(""), "10.0.0.1"), "", "without a default it is empty");
}

#[test]
fn proxies_tell_whom_they_speak_for() {
    let values = "values = { \"10.0.0.0/8\" = \"proxy\", \"192.0.2.0/24\" = \"test\", \"2001:db8::/32\" = \"doc\" }";
    let plain = toml(&format!("proxy = \"10.0.0.0/8\"\n{values}"));
    let recursive = toml(&format!("proxy = \"10.0.0.0/8\"\nproxy_recursive = true\n{values}"));
    for (sender, list, once, all) in [
        ("192.0.2.1", "2001:db8::1", "test", "test"),
        ("10.0.0.1", "", "proxy", "proxy"),
        ("10.0.0.1", "192.0.2.1", "test", "test"),
        ("10.0.0.1", "1.1.1.1, [2001:db8::1]:80", "doc", "doc"),
        ("10.0.0.1", "192.0.2.1, 10.0.0.2", "proxy", "test"),
        ("::ffff:10.0.0.1", "::ffff:192.0.2.1", "test", "test"),
        ("10.0.0.1", "unknown, 10.0.0.2", "proxy", "proxy"),
    ] {
        let request = Request(sender, "", list);
        assert_eq!(value(&plain, &request), once, "{sender} {list}");
        assert_eq!(value(&recursive, &request), all, "{sender} {list}");
    }
}

#[test]
fn lines_of_nginx_are_taken_in_turn() {
    let at = |geo: &str, addr: &str| of_client(&nginx(geo).0, addr);
    let geo = "geo $x { include geo.conf; default d; 127.0.0.1 one; delete 127.0.0.0/8; }";
    assert_eq!(at(geo, "127.0.0.1"), "one");
    assert_eq!(at(geo, "127.0.0.2"), "d");
    assert_eq!(at(geo, "10.0.0.1"), "$ten", "a result has no variables");
    assert_eq!(at("geo $x { default d; 0.0.0.0/0 four; }", "1.1.1.1"), "four");
    assert_eq!(at("geo $x { default d; 0.0.0.0/0 four; }", "::1"), "d");
    assert_eq!(at("geo $x { 0.0.0.0/0 four; default d; }", "1.1.1.1"), "d");
    assert_eq!(at("geo $x { default d; delete ::/0; }", "::1"), "");
    let (config, _) = nginx("geo $arg_ip $x { 192.0.2.0/24 test; }");
    assert_eq!(value(&config, &Request("10.0.0.1", "192.0.2.7", "")), "test");
}

#[test]
fn ranges_of_nginx_are_cut_joined_and_deleted() {
    let at = |lines: &str, addr: &str| {
        of_client(&nginx(&format!("geo $x {{ ranges; default d; {lines} }}")).0, addr)
    };
    let inner = "10.0.0.0-10.2.255.255 a; 10.1.0.0-10.1.0.9 b; 10.1.0.4-10.1.0.4 c;";
    for (addr, result) in [
        ("10.0.0.0", "a"),
        ("10.1.0.3", "b"),
        ("10.1.0.4", "c"),
        ("10.1.0.9", "b"),
        ("10.1.0.10", "a"),
        ("10.2.255.255", "a"),
        ("10.3.0.0", "d"),
        ("::1", "d"),
    ] {
        assert_eq!(at(inner, addr), result, "{addr}");
    }
    let deleted = format!("{inner} delete 10.1.0.0-10.1.0.3; delete 10.2.0.0-10.2.255.255;");
    for (addr, result) in
        [("10.1.0.3", "d"), ("10.1.0.4", "c"), ("10.2.0.0", "d"), ("10.0.0.0", "a")]
    {
        assert_eq!(at(&deleted, addr), result, "{addr}");
    }
    assert_eq!(at("0.0.0.0-255.255.255.255 a;", "255.255.255.255"), "a");
}

#[test]
fn what_nginx_warns_of_is_a_warning() {
    for (lines, said) in [
        ("10.0.0.0/8 a; 10.0.0.0/8 b;", "duplicate network \"10.0.0.0/8\": the last holds"),
        ("default a; default b;", "duplicate network \"default\": the last holds"),
        ("10.0.0.1/8 a;", "low address bits of 10.0.0.1/8 are meaningless"),
        ("delete 10.0.0.0/8;", "no network \"10.0.0.0/8\" to delete"),
        ("ranges; delete 10.0.0.0-10.0.0.1;", "no address range \"10.0.0.0-10.0.0.1\" to delete"),
        ("ranges; 10.0.0.1-10.0.0.1 a; 10.0.0.1-10.0.0.1 b;", "duplicate range"),
        ("ranges; default a; default b;", "duplicate default geo range value"),
    ] {
        let (_, warned) = nginx(&format!("geo $x {{ {lines} }}"));
        assert!(
            warned.starts_with("wayhold: [warn] ") && warned.contains(said),
            "{lines}: {warned}"
        );
    }
    assert_eq!(nginx("geo $x { volatile; proxy_recursive; default a; }").1, "");
}

#[test]
fn faults_are_told_with_their_line() {
    for (lines, said) in [
        ("10.0.0.0/33 a;", "invalid network \"10.0.0.0/33\""),
        ("proxy all;", "invalid network \"all\""),
        ("delete x;", "invalid network \"x\""),
        ("10.0.0.0/8 a b;", "invalid number of the geo parameters"),
        ("10.0.0.0/8;", "invalid number of the geo parameters"),
        ("a { b c; }", "unexpected \"{\""),
        ("10.0.0.0/8 a; ranges;", "the \"ranges\" directive must be the first directive"),
        ("ranges; 10.0.0.0/8 a;", "invalid range \"10.0.0.0/8\""),
        ("ranges; 10.0.0.2-10.0.0.1 a;", "invalid range \"10.0.0.2-10.0.0.1\""),
        ("ranges; ::1-::2 a;", "invalid range \"::1-::2\""),
        (
            "ranges; 10.0.0.0-10.0.0.5 a; 10.0.0.4-10.0.0.9 b;",
            "range \"10.0.0.4-10.0.0.9\" overlaps \"10.0.0.0-10.0.0.5\"",
        ),
        ("10.0.0.0/8 ${env:A};", "a value with \"${env:A}\" is not supported"),
    ] {
        let text = format!("\ngeo $x {{ {lines} }} server {{ return 200; }}");
        let (name, dir) = ("x.conf", Path::new("/etc"));
        let faults = load_str_on(&text, Format::Nginx, name, dir, &Machine::default());
        let faults = faults.expect_err(lines).to_string();
        assert!(
            faults.starts_with("wayhold: [emerg] ") && faults.contains(said),
            "{lines}: {faults}"
        );
        assert!(faults.trim_end().ends_with("in x.conf:2"), "{faults}");
    }
}
