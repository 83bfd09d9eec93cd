//! Building the tree that TOML gives: values that stand where their directive stood.

use super::super::source::Place;
use super::super::tree::{Key, Kind, Node, Table};

pub(super) fn node(place: &Place, kind: Kind) -> Node {
    Node { kind, place: place.clone() }
}

pub(super) fn text(place: &Place, value: impl Into<String>) -> Node {
    node(place, Kind::Text { value: value.into(), substituted: false })
}

/// A table that is filled key by key.
#[derive(Debug, Default)]
pub(super) struct Emit {
    table: Table,
}

impl Emit {
    /// Sets a key; the first value of it stays.
    pub(super) fn set(&mut self, name: &str, value: Node) {
        if self.table.get(name).is_none() {
            let key = Key { name: name.to_owned(), place: value.place.clone() };
            self.table.entries.push((key, value));
        }
    }

    pub(super) fn text(&mut self, name: &str, place: &Place, value: impl Into<String>) {
        self.set(name, text(place, value));
    }

    pub(super) fn flag(&mut self, name: &str, place: &Place, value: bool) {
        self.set(name, node(place, Kind::Boolean(value)));
    }

    pub(super) fn number(&mut self, name: &str, place: &Place, value: i64) {
        self.set(name, node(place, Kind::Integer(value)));
    }

    /// Adds to the list under a key.
    pub(super) fn push(&mut self, name: &str, value: Node) {
        match self.table.entries.iter_mut().find(|(key, _)| key.name == name) {
            Some((_, Node { kind: Kind::Array(list), .. })) => list.push(value),
            Some(_) => {}
            None => {
                let place = value.place.clone();
                self.set(name, node(&place, Kind::Array(vec![value])));
            }
        }
    }

    /// Adds to the table under a key; false when the entry is there.
    pub(super) fn insert(&mut self, name: &str, entry: &str, value: Node) -> bool {
        self.open(name, &value.place.clone());
        let Some(Kind::Table(table)) = self.get_mut(name) else {
            return false;
        };
        let fresh = !table.entries.iter().any(|(key, _)| key.name.eq_ignore_ascii_case(entry));
        if fresh {
            let key = Key { name: entry.to_owned(), place: value.place.clone() };
            table.entries.push((key, value));
        }
        fresh
    }

    /// Adds to the table under a key; entries of one name become a list.
    pub(super) fn insert_more(&mut self, name: &str, entry: &str, value: Node) {
        self.open(name, &value.place.clone());
        let Some(Kind::Table(table)) = self.get_mut(name) else {
            return;
        };
        let same = |(key, _): &&mut (Key, Node)| key.name.eq_ignore_ascii_case(entry);
        let Some((_, found)) = table.entries.iter_mut().find(same) else {
            let key = Key { name: entry.to_owned(), place: value.place.clone() };
            table.entries.push((key, value));
            return;
        };
        if let Kind::Array(list) = &mut found.kind {
            list.push(value);
        } else {
            let place = found.place.clone();
            let first = std::mem::replace(found, node(&place, Kind::Array(Vec::new())));
            found.kind = Kind::Array(vec![first, value]);
        }
    }

    /// Makes sure that there is a table under a key.
    pub(super) fn open(&mut self, name: &str, place: &Place) {
        self.set(name, node(place, Kind::Table(Table::default())));
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.table.get(name).is_some()
    }

    fn get_mut(&mut self, name: &str) -> Option<&mut Kind> {
        let entry = self.table.entries.iter_mut().find(|(key, _)| key.name == name);
        entry.map(|(_, node)| &mut node.kind)
    }

    pub(super) fn finish(self) -> Table {
        self.table
    }

    pub(super) fn into_node(self, place: &Place) -> Node {
        node(place, Kind::Table(self.table))
    }
}
