//! Which keys of a config a running server changes at a reload. docs/configuration.md marks them.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::ServerConfig;
use crate::error::{Error, Result};
use crate::exit::Exit;

/// Whether a running server changes the key with this path, if it has a table `tls` or `auth` since its start, and the kind.
pub(super) fn is_reloadable(path: &[&str]) -> bool {
    match path {
        ["log", "level"] | ["tls" | "auth", ..] => true,
        ["http", _, key, ..] => *key != "slots",
        _ => false,
    }
}

/// A config for a running server.
#[derive(Debug)]
pub(crate) struct Reloaded {
    /// The former config, with the changes that apply now.
    pub(crate) config: ServerConfig,
    /// The keys that apply now: `auth.jwt.audience`.
    pub(crate) applied: Vec<String>,
    /// The keys that need a restart.
    pub(crate) at_start: Vec<String>,
}

impl ServerConfig {
    /// What a server that runs with this config, and verifies callers or not, changes for another one.
    ///
    /// # Errors
    ///
    /// If a config cannot be represented as TOML.
    pub(crate) fn reloaded(&self, new: &Self, verifies_callers: bool) -> Result<Reloaded> {
        let failed =
            |error: &dyn std::fmt::Display| Error::new(Exit::Other, format!("cannot compare: {error}"));
        let (mut table, new_table) = (to_table(self)?, to_table(new)?);
        let (mut applied, mut at_start) = (Vec::new(), Vec::new());
        for path in changed_keys(&table, &new_table) {
            let path: Vec<_> = path.iter().map(String::as_str).collect();
            let is_running = match path.as_slice() {
                ["auth", ..] => verifies_callers,
                ["tls", ..] => self.tls.cert.is_some() && new.tls.cert.is_some(),
                ["http", kind, ..] => {
                    let has_kind = |config: &Self| config.http.keys().any(|known| known.as_str() == *kind);
                    has_kind(self) && has_kind(new)
                }
                _ => true,
            };
            if is_running && is_reloadable(&path) {
                set(&mut table, &path, find(&new_table, &path).cloned());
                applied.push(path.join("."));
            } else {
                at_start.push(path.join("."));
            }
        }
        let config = Value::Table(table).try_into().map_err(|error| failed(&error))?;
        Ok(Reloaded { config, applied, at_start })
    }
}

fn to_table(config: &ServerConfig) -> Result<Table> {
    Table::try_from(config).map_err(|error| Error::new(Exit::Other, format!("cannot compare: {error}")))
}

/// The paths of the keys that differ between two tables.
fn changed_keys(former: &Table, current: &Table) -> Vec<Vec<String>> {
    let names: BTreeSet<_> = former.keys().chain(current.keys()).collect();
    let none = Value::Table(Table::new());
    let mut keys = Vec::new();
    for name in names {
        match (former.get(name).unwrap_or(&none), current.get(name).unwrap_or(&none)) {
            (Value::Table(former), Value::Table(current)) => {
                let inner = changed_keys(former, current).into_iter();
                keys.extend(inner.map(|path| [vec![name.clone()], path].concat()));
            }
            (former, current) if former != current => keys.push(vec![name.clone()]),
            _ => {}
        }
    }
    keys
}

fn find<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Value> {
    match path {
        [] => None,
        [name] => table.get(*name),
        [name, rest @ ..] => find(table.get(*name)?.as_table()?, rest),
    }
}

/// Sets the value of a key, or removes it, with the tables that are empty then: a config without them lacks a required key.
fn set(table: &mut Table, path: &[&str], value: Option<Value>) {
    match (path, value) {
        ([name], Some(value)) => drop(table.insert((*name).to_owned(), value)),
        ([name], None) => drop(table.remove(*name)),
        ([name, rest @ ..], value) => {
            let inner = table.entry(*name).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                let is_removed = value.is_none();
                set(inner, rest, value);
                if is_removed && inner.is_empty() {
                    table.remove(*name);
                }
            }
        }
        ([], _) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> ServerConfig {
        toml::from_str(text).expect("a config")
    }

    #[test]
    fn changes_that_a_running_server_cannot_make_are_left_out() {
        let former = "slots = 1\n[auth]\ntokens_file = 'a'\n[http.'a.b']\nurl = 'http://a/'\nslots = 2\n\
                      headers = { x-former = '1' }";
        let current = "slots = 2\n[log]\nlevel = 'debug'\n[auth.jwt]\nissuer = 'x'\n[limits]\njobs_max = 9\n\
                       [http.'a.b']\nurl = 'http://b/'\nslots = 3\nheaders = { authorization = 'y' }\n\
                       [http.new]\nurl = 'http://new/'";
        let Reloaded { config, applied, at_start } =
            parse(former).reloaded(&parse(current), true).expect("TOML");
        assert_eq!(
            applied,
            [
                "auth.jwt.grants",
                "auth.jwt.issuer",
                "auth.tokens_file",
                "http.a.b.headers.authorization",
                "http.a.b.headers.x-former",
                "http.a.b.url",
                "log.level"
            ]
        );
        assert_eq!(at_start, ["http.a.b.slots", "http.new.url", "limits.jobs_max", "slots"]);
        let expected = "slots = 1\n[log]\nlevel = 'debug'\n[auth.jwt]\nissuer = 'x'\n[http.'a.b']\n\
                        url = 'http://b/'\nslots = 2\nheaders = { authorization = 'y' }";
        assert_eq!(config, parse(expected));
    }

    #[test]
    fn a_removed_table_with_required_keys_is_removed_at_a_reload() {
        let kept = "[auth]\ntokens_file = 'a'\n";
        let former = format!(
            "{kept}[auth.certificates.alice]\nsubject_names = ['alice']\ngrants = ['all']\n\
             [auth.jwt]\nissuer = 'x'\naudience = 'y'\njwks = 'z'\n[auth.quota]\nwaiting_jobs = 1\n"
        );
        let Reloaded { config, applied, .. } =
            parse(&former).reloaded(&parse(kept), true).expect("a removed principal is no problem");
        assert_eq!(config, parse(kept));
        assert!(applied.contains(&"auth.certificates.alice.grants".to_owned()), "{applied:?}");
        let all = parse("").auth;
        assert_eq!(parse(&former).reloaded(&parse(""), true).expect("TOML").config.auth, all);
    }

    #[test]
    fn tables_that_a_server_started_without_need_a_restart() {
        let (none, both) = (parse(""), parse("[tls]\ncert = 'a'\nkey = 'b'\n[auth]\naudience = 'c'"));
        let started_without = none.reloaded(&both, false).expect("TOML");
        assert_eq!(started_without.config, none);
        assert_eq!(started_without.at_start, ["auth.audience", "tls.cert", "tls.key"]);
        let removed = both.reloaded(&none, true).expect("TOML");
        assert_eq!(removed.applied, ["auth.audience"]);
        assert_eq!(removed.at_start, ["tls.cert", "tls.key"]);
    }
}
