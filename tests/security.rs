//! SECURITY.md names the test that proves each measure: they must exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// All text of the files below a folder that end like this.
fn text_below(folder: &Path, end: &str, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text_below(&path, end, text);
        } else if path.to_string_lossy().ends_with(end) {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_measure_is_proved_by_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut rust, mut python) = (String::new(), String::new());
    text_below(&root.join("src"), ".rs", &mut rust);
    text_below(&root.join("tests"), ".rs", &mut rust);
    text_below(&root.join("tests/faults/cases"), ".py", &mut python);
    let page = fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let table = page.split("| proved by |").nth(1).expect("a table of measures");
    let mut names = BTreeSet::new();
    for line in table.lines().filter(|line| line.starts_with("| ") || line.starts_with("| `")) {
        let proof = line.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let found: Vec<&str> = proof.split('`').skip(1).step_by(2).collect();
        assert!(!found.is_empty(), "nothing proves: {line}");
        names.extend(found);
    }
    let missing: Vec<_> = names
        .iter()
        // `[lints]` in `Cargo.toml` is checked by the compiler.
        .filter(|name| !["[lints]", "Cargo.toml"].contains(name))
        .filter(|name| match name.strip_prefix("faults/") {
            Some(case) => !python.contains(&format!("def {case}(lab")),
            None => !rust.contains(&format!("fn {name}(")),
        })
        .collect();
    assert!(names.len() > 40 && missing.is_empty(), "missing: {missing:?} of {}", names.len());
}
