//! Tables of TOML, key by key. A key that nobody reads is a mistake, and said to be one.

use std::path::Path;

use toml::{Table, Value};

use super::case::{Step, step};

/// The tables of one name in all files of a folder.
pub fn tables(folder: &Path, name: &str) -> Vec<Table> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "toml"))
        .collect();
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut table: Table = text.parse().unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        if let Some(Value::Array(list)) = table.remove(name) {
            all.extend(list.into_iter().map(|item| item.as_table().unwrap().clone()));
        }
    }
    all
}

/// The keys of a table, taken one by one.
pub struct Keys(Table, String);

impl Keys {
    pub fn new(id: &str, table: Table) -> Self {
        Self(table, id.to_owned())
    }

    pub fn take(&mut self, key: &str) -> Option<Value> {
        self.0.remove(key)
    }

    pub fn text(&mut self, key: &str) -> Option<String> {
        self.0.remove(key).map(|value| value.as_str().expect(key).to_owned())
    }

    pub fn number(&mut self, key: &str) -> Option<f64> {
        self.0
            .remove(key)
            .map(|value| value.as_float().or(value.as_integer().map(|n| n as f64)).expect(key))
    }

    pub fn integer(&mut self, key: &str) -> Option<u64> {
        self.0.remove(key).map(|value| match value {
            Value::Integer(n) => n as u64,
            // TOML has no integers above i64; those are written in text.
            Value::String(text) => text.parse().expect(key),
            _ => panic!("{}: {key}", self.1),
        })
    }

    pub fn flag(&mut self, key: &str) -> bool {
        self.0.remove(key).is_some_and(|value| value.as_bool().expect(key))
    }

    /// A boolean or absent.
    pub fn maybe(&mut self, key: &str) -> Option<bool> {
        self.0.remove(key).map(|value| value.as_bool().expect(key))
    }

    pub fn table(&mut self, key: &str) -> Option<Table> {
        self.0.remove(key).map(|value| value.as_table().expect(key).clone())
    }

    pub fn numbers(&mut self, key: &str) -> Option<Vec<i64>> {
        let list = self.0.remove(key)?;
        Some(list.as_array().expect(key).iter().map(|n| n.as_integer().expect(key)).collect())
    }

    pub fn texts(&mut self, key: &str) -> Vec<String> {
        let Some(list) = self.0.remove(key) else { return Vec::new() };
        list.as_array().expect(key).iter().map(|s| s.as_str().expect(key).to_owned()).collect()
    }

    pub fn steps(&mut self, key: &str) -> Vec<Step> {
        let Some(list) = self.0.remove(key) else { return Vec::new() };
        let steps = list.as_array().expect(key).iter();
        steps.map(|s| step(&self.1, s.as_table().expect(key).clone())).collect()
    }

    pub fn finish(self) {
        assert!(self.0.is_empty(), "{}: nobody reads {:?}", self.1, self.0);
    }
}
