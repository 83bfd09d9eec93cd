//! The architecture, checked: imports point down, pure files do no I/O, the hot path stays hot.
//! It reads the sources as text, as a reviewer would; test modules are left out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The layer of each module of the crate (`src/lib.rs` has the table).
const LAYERS: [(&str, u8); 14] = [
    ("ending", 0),
    ("drain", 0),
    ("config", 1),
    ("net", 2),
    ("metrics", 2),
    ("access_log", 2),
    ("limits", 2),
    ("ws", 3),
    ("upstream", 3),
    ("relay", 4),
    ("http", 5),
    ("server", 6),
    ("cli", 7),
    ("main", 8),
];

/// Files without I/O, clocks or tasks of their own: everything they need is passed in.
const PURE: [&str; 14] = [
    "net/tls/session.rs",
    "ws/cut.rs",
    "ws/frame.rs",
    "ws/handshake.rs",
    "ws/mod.rs",
    "ws/rules.rs",
    "ws/tunnel.rs",
    "ws/tunnel/clocks.rs",
    "ws/tunnel/frames.rs",
    "config/template.rs",
    "http/route.rs",
    "upstream/balance.rs",
    "relay/wheel.rs",
    "drain.rs",
];

/// What a pure file has no business with.
const IMPURE: [&str; 8] = [
    "std::net::Tcp",
    "std::fs",
    "std::io",
    "tokio::",
    "mio::",
    "socket2::",
    "Instant::now",
    "SystemTime::now",
];

/// The files that every byte goes through.
const HOT: [&str; 7] = [
    "relay/pump.rs",
    "relay/leg.rs",
    "net/tls/session.rs",
    "ws/frame.rs",
    "ws/cut.rs",
    "ws/rules.rs",
    "ws/tunnel/frames.rs",
];

/// What would cost there: log calls, locks, allocations behind one's back, dynamic calls.
const COSTLY: [&str; 12] = [
    "tracing::",
    "println!",
    "Mutex",
    "RwLock",
    ".lock()",
    ".clone()",
    "Arc::clone",
    "format!",
    ".to_string()",
    ".to_owned()",
    "Box<dyn",
    "HashMap",
];

/// Every source file: its path below `src` and its lines, without comments and test modules.
fn sources() -> Vec<(String, Vec<String>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let relative = |path: &PathBuf| {
        path.strip_prefix(&root).expect("it lies below src").to_string_lossy().into_owned()
    };
    files
        .iter()
        .map(|path| (relative(path), code_of(&fs::read_to_string(path).expect("readable"))))
        .filter(|(name, _)| !name.ends_with("tests.rs") && !name.contains("/tests/"))
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            files.push(path);
        }
    }
    files.sort();
}

fn code_of(text: &str) -> Vec<String> {
    let end = text.find("\n#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let lines = text[..end].lines();
    lines.filter(|line| !line.trim_start().starts_with("//")).map(str::to_owned).collect()
}

/// The module a file belongs to: its first folder or its name.
fn module_of(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

#[test]
fn imports_point_down() {
    let layers: BTreeMap<_, _> = LAYERS.into();
    let mut faults = Vec::new();
    for (file, lines) in sources() {
        let module = module_of(&file);
        if module == "lib" {
            continue;
        }
        let own = layers.get(module).unwrap_or_else(|| panic!("`{module}` has no layer"));
        for (line, number) in lines.iter().zip(1..) {
            for (_, rest) in line.match_indices("crate::").map(|(at, _)| line.split_at(at + 7)) {
                let name: String =
                    rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let Some(other) = layers.get(name.as_str()) else {
                    continue;
                };
                if name != module && other >= own {
                    faults.push(format!("{file}, code line {number}: {}", line.trim()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "imports that do not point down:\n{}", faults.join("\n"));
}

fn find(files: &[&str], words: &[&str]) -> Vec<String> {
    let sources: BTreeMap<_, _> = sources().into_iter().collect();
    let mut faults = Vec::new();
    for file in files {
        let lines = sources.get(*file).unwrap_or_else(|| panic!("`src/{file}` is gone"));
        for line in lines {
            for word in words.iter().filter(|word| line.contains(**word)) {
                faults.push(format!("{file}: `{word}` in `{}`", line.trim()));
            }
        }
    }
    faults
}

#[test]
fn pure_files_do_no_io() {
    let faults = find(&PURE, &IMPURE);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_hot_path_stays_hot() {
    let faults = find(&HOT, &COSTLY);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn nothing_is_left_undone() {
    for (file, lines) in sources() {
        for line in lines {
            let marks = ["todo!", "unimplemented!", "FIXME", "dbg!"];
            assert!(!marks.iter().any(|mark| line.contains(mark)), "{file}: {}", line.trim());
        }
    }
}
