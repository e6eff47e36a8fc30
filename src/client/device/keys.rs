//! What each setting means: for `devid config explain`, for the schema, and to find the one that is meant.

use super::row::Table;
pub use super::row::{Key, Kind, Need};
use super::settings::Settings;
pub use crate::words::distance;

/// Every setting.
pub const ALL: &[Key] = <Settings as Table>::KEYS;

/// The setting of this name.
pub fn find(name: &str) -> Option<&'static Key> {
    ALL.iter().find(|key| key.path == name || matches(key.path, name))
}

/// The setting whose name is most like this one, with the user's own names put in.
pub fn nearest(name: &str) -> Option<String> {
    let filled = ALL.iter().map(|key| fill(key.path, name));
    let (distance, best) = filled.map(|path| (distance(&path, name), path)).min()?;
    (distance <= name.len() / 3 + 1).then_some(best)
}

/// All names in a table of settings, and whether each is a value.
pub(super) fn paths_of(table: &toml::Table) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    paths(&toml::Value::Table(table.clone()), "", &mut found);
    found
}

fn paths(value: &toml::Value, at: &str, out: &mut Vec<(String, bool)>) {
    let below = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    match value {
        toml::Value::Table(table) => {
            if !at.is_empty() {
                out.push((at.to_owned(), false));
            }
            for (name, value) in table {
                paths(value, &below(name), out);
            }
        }
        toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => {
            items.iter().for_each(|item| paths(item, at, out));
        }
        _ => out.push((at.to_owned(), true)),
    }
}

pub(super) fn is_known(path: &str, is_value: bool) -> bool {
    ALL.iter().any(|key| matches(key.path, path) || (!is_value && is_above(key.path, path)))
}

pub(super) fn matches(pattern: &str, path: &str) -> bool {
    pattern.split('.').count() == path.split('.').count() && is_above_or_same(pattern, path)
}

fn is_above(pattern: &str, path: &str) -> bool {
    path.split('.').count() < pattern.split('.').count() && is_above_or_same(pattern, path)
}

fn is_above_or_same(pattern: &str, path: &str) -> bool {
    pattern.split('.').zip(path.split('.')).all(|(p, part)| p == "*" || p == part)
}

fn fill(pattern: &str, name: &str) -> String {
    let mut own = name.split('.');
    pattern
        .split('.')
        .map(|part| {
            let given = own.next();
            if part == "*" { given.unwrap_or("*") } else { part }
        })
        .collect::<Vec<_>>()
        .join(".")
}
