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

/// The settings of this table and of those below it; none where it is no table.
pub fn within(table: &str) -> impl Iterator<Item = &'static Key> + use<'_> {
    ALL.iter().filter(move |key| is_above(key.path, table))
}

/// The setting, or the table of settings, whose name is most like this one, with the user's own names put in.
pub fn nearest(name: &str) -> Option<String> {
    let single = |name: &str| ALL.iter().find(|key| key.path.rsplit('.').next() == Some(name)).map(|key| key.path);
    // The name of the identity is left out easily.
    let own = name.strip_prefix("identity.").filter(|rest| find(&format!("identity.NAME.{rest}")).is_some());
    if let Some(rest) = own {
        return Some(format!("identity.NAME.{rest}"));
    }
    let lower = name.to_lowercase();
    let paths =
        ALL.iter().flat_map(|key| key.path.match_indices('.').map(|(end, _)| &key.path[..end]).chain([key.path]));
    let filled = paths.map(|path| fill(path, name));
    let (distance, best) = filled.map(|path| (distance(&path.to_lowercase(), &lower), path)).min()?;
    if distance <= name.len() / 3 + 1 && (distance < 2 || name.contains('.')) {
        return Some(best);
    }
    // Or the tables that it stands in are left out.
    single(&lower).map(|path| path.replace('*', "NAME")).or_else(|| (distance <= name.len() / 3 + 1).then_some(best))
}

/// The name of an identity in a setting's: what stands before the part that all identities have.
pub(super) fn identity_in(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("identity.")?;
    let parts = ALL.iter().filter_map(|key| key.path.strip_prefix("identity.*"));
    let longest = parts.filter(|part| rest.ends_with(part)).max_by_key(|part| part.len())?;
    Some(&rest[..rest.len() - longest.len()])
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
