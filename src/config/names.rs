//! Which server a name belongs to, by nginx's order: exact, longest `*.suffix`, longest `prefix.*`,
//! first regular expression, else the default. For the Host of a request and the SNI of a handshake.
//! Pure.

use std::collections::HashMap;

use regex::Regex;

use super::model::ServerName;

/// The names of the servers of one listener.
#[derive(Clone, Debug)]
pub struct NameTable {
    exact: HashMap<String, usize>,
    /// `.example.org` of `*.example.org`.
    suffixes: HashMap<String, usize>,
    /// `www.example.` of `www.example.*`.
    prefixes: HashMap<String, usize>,
    patterns: Vec<(Regex, usize)>,
    default: usize,
}

impl NameTable {
    /// `servers` gives each server's index and names; the first to claim a name has it.
    pub fn new<'a>(
        servers: impl IntoIterator<Item = (usize, &'a [ServerName])>,
        default: usize,
    ) -> Self {
        let mut table = Self {
            exact: HashMap::new(),
            suffixes: HashMap::new(),
            prefixes: HashMap::new(),
            patterns: Vec::new(),
            default,
        };
        for (server, names) in servers {
            for name in names {
                let (map, name) = match name {
                    ServerName::Exact(name) => (&mut table.exact, name),
                    ServerName::Suffix(name) => (&mut table.suffixes, name),
                    ServerName::Prefix(name) => (&mut table.prefixes, name),
                    ServerName::Regex(pattern) => {
                        table.patterns.push((pattern.regex.clone(), server));
                        continue;
                    }
                };
                map.entry(name.clone()).or_insert(server);
            }
        }
        table
    }

    /// The server of a name in lower case, without port.
    pub fn find(&self, name: &str) -> usize {
        let name = name.strip_suffix('.').unwrap_or(name);
        if let Some(server) = self.exact.get(name) {
            return *server;
        }
        let dots = || name.match_indices('.').map(|(at, _)| at);
        // From the left the first is the longest suffix, from the right the longest prefix.
        let suffix = || dots().filter(|at| *at > 0).find_map(|at| self.suffixes.get(&name[at..]));
        let prefix = || {
            let mut from_right = name.rmatch_indices('.').map(|(at, _)| at);
            from_right.find_map(|at| self.prefixes.get(&name[..=at]))
        };
        let pattern = || self.patterns.iter().find(|(regex, _)| regex.is_match(name));
        // Most configurations have none of either.
        let suffix = (!self.suffixes.is_empty()).then(suffix).flatten();
        suffix
            .or_else(|| (!self.prefixes.is_empty()).then(prefix).flatten())
            .copied()
            .or_else(|| pattern().map(|(_, s)| *s))
            .unwrap_or(self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_nginx_s_order() {
        let servers = [
            vec![ServerName::Regex(Regex::new(r"^w\d+\.example\.org$").unwrap().into())],
            vec![ServerName::Prefix("www.example.".into()), ServerName::Prefix("www.".into())],
            vec![ServerName::Suffix(".example.org".into())],
            vec![ServerName::Suffix(".b.example.org".into())],
            vec![ServerName::Exact("a.example.org".into())],
            vec![ServerName::Exact("a.example.org".into())],
        ];
        let servers = servers.iter().enumerate().map(|(i, names)| (i, names.as_slice()));
        let table = NameTable::new(servers, 9);
        for (name, server) in [
            ("a.example.org", 4),
            ("a.example.org.", 4),
            ("c.example.org", 2),
            ("c.b.example.org", 3),
            ("example.org", 9),
            ("w1.example.net", 9),
            ("w1.example.org", 2),
            ("www.example.net", 1),
            ("www.net", 1),
            ("", 9),
        ] {
            assert_eq!(table.find(name), server, "{name}");
        }
    }

    #[test]
    fn a_pattern_comes_last() {
        let servers =
            [vec![ServerName::Regex(Regex::new(r"^w\d+\.example\.org$").unwrap().into())]];
        let table = NameTable::new([(0, servers[0].as_slice())], 1);
        assert_eq!(table.find("w12.example.org"), 0);
        assert_eq!(table.find("wx.example.org"), 1);
    }
}
