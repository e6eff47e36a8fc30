//! Settings given one by one, and places in them.

use std::path::Path;

use super::keys::{self, Kind};
use super::{fit, wrong};
use crate::error::Error;

/// Puts a setting into a table. `value` is TOML; what is not is taken as text, and where a list is wanted, as its one element.
pub(crate) fn put(table: &mut toml::Table, key: &str, given: &str) -> Result<(), Error> {
    if let Some(words) = keys::identity_in(key).and_then(fit::misnamed) {
        return Err(wrong(words));
    }
    let most = keys::ALL.iter().map(|key| key.path.split('.').count()).max().unwrap_or(0);
    if key.split('.').count() > most {
        // Each part is a table in a table.
        let shown: String = key.chars().take(64).collect();
        return Err(wrong(format!("unknown setting {shown}...: no setting has more than {most} parts")));
    }
    let mut value = format!("v = {given}")
        .parse::<toml::Table>()
        .ok()
        .and_then(|mut one| one.remove("v"))
        .unwrap_or_else(|| toml::Value::from(given));
    match keys::find(key).map(|key| key.kind) {
        Some(Kind::Paths | Kind::Texts) if !value.is_array() => value = toml::Value::Array(vec![value]),
        // A reference value of digits is text all the same.
        Some(kind) if kind.is_text() && !value.is_str() => value = toml::Value::from(given),
        _ => {}
    }
    if let Some((list, last)) = key.rsplit_once('.').filter(|(above, _)| fit::is_list(above)) {
        return Err(wrong(format!(
            "{key} stands in a list of tables, and such a list is given as a whole: {list} = [{{ {last} = ... }}]"
        )));
    }
    if let Some(words) = keys::find(key).and_then(|row| fit::refused(key, row.kind, &value)) {
        return Err(wrong(words));
    }
    let mut here = table;
    let mut parts: Vec<&str> = key.trim().split('.').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let entry = here.entry(part).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        here = entry.as_table_mut().ok_or_else(|| wrong(format!("{key}: {part} holds a value, not settings")))?;
    }
    here.insert(last.to_owned(), value);
    Ok(())
}

/// Puts relative paths of a settings file where they are meant: beside it, from wherever the program is started.
pub(super) fn place(table: &mut toml::Table, folder: &Path) {
    place_below(table, folder, "");
}

/// Refuses files to be read that others than root and this process's user may write, or may put another in the place of. A file that is not
/// there is told by whoever needs it.
pub(super) fn check_writers(table: &toml::Table) -> Result<(), Error> {
    let mut found = Ok(());
    each_path(&toml::Value::Table(table.clone()), "", &mut |at, path| {
        // `devid run` writes that one.
        let is_read = at != "run.status-file";
        if found.is_ok() && is_read && path.is_file() {
            found = crate::files::check_writers(path).map_err(|e| wrong(format!("{at}: {e}")).with_source(e));
        }
    });
    found
}

/// Shows each file or folder that the settings name, with the setting.
fn each_path(value: &toml::Value, at: &str, show: &mut dyn FnMut(&str, &Path)) {
    match value {
        toml::Value::Table(table) => table.iter().for_each(|(name, value)| {
            let below = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
            each_path(value, &below, show);
        }),
        toml::Value::Array(items) => items.iter().for_each(|item| each_path(item, at, show)),
        toml::Value::String(text) => {
            if let Some((_, path)) = path_in(at, text) {
                show(at, Path::new(path));
            }
        }
        _ => {}
    }
}

/// What stands before the path where something else may stand.
const FILE: &str = "file:";

/// The path in a setting's text, with what stands before it; `None` where it is none.
fn path_in<'t>(at: &str, text: &'t str) -> Option<(&'static str, &'t str)> {
    let (before, path) = match keys::find(at).map(|key| key.kind) {
        // The system looks for a library that is named without a folder.
        Some(Kind::Path) if at == "device.pkcs11.module" && !text.contains('/') => return None,
        Some(Kind::Path | Kind::Paths) => ("", text),
        Some(Kind::Secret) => (FILE, text.strip_prefix(FILE)?),
        Some(Kind::Text) if at == "device.id" => (FILE, text.strip_prefix(FILE)?),
        _ => return None,
    };
    // A key in a token stands where a file with a key could.
    let is_uri = at.ends_with(".key") && super::files::is_in_token(Path::new(path));
    (!path.is_empty() && !is_uri && !crate::files::is_content(path)).then_some((before, path))
}

fn place_below(table: &mut toml::Table, folder: &Path, at: &str) {
    for (name, value) in table {
        let below = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
        place_value(value, folder, &below);
    }
}

fn place_value(value: &mut toml::Value, folder: &Path, at: &str) {
    // A date is text without its quotes, where text is wanted; so is the name of a file.
    if let toml::Value::Datetime(date) = value {
        *value = toml::Value::String(date.to_string());
    }
    match value {
        toml::Value::Table(table) => place_below(table, folder, at),
        toml::Value::Array(items) => items.iter_mut().for_each(|item| place_value(item, folder, at)),
        toml::Value::String(text) => {
            let Some((before, path)) = path_in(at, text) else { return };
            // One word without a folder may be the secret itself, and would not be shown.
            let here = before == FILE && folder.as_os_str().is_empty();
            let folder = if here { Path::new(".") } else { folder };
            if let Some(placed) = folder.join(path).to_str() {
                *text = format!("{before}{placed}");
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_more_parts_than_any_setting_has_is_refused_before_anything_is_made_of_it() {
        for (deep, expected) in
            [("a.".repeat(100_000), "no setting has more than"), ("identity.".repeat(50_000), "is not a name")]
        {
            let words = put(&mut toml::Table::new(), &format!("{deep}dns"), "x").unwrap_err().to_string();
            assert!(words.contains(expected) && words.len() < 400, "{words}");
        }
    }

    #[test]
    fn digits_and_words_are_text_wherever_a_setting_is_text() {
        let mut taken = 0;
        for key in keys::ALL.iter().filter(|key| key.kind.is_text() && !key.is_listed) {
            let name = key.path.replace('*', "router");
            for given in ["4711", "1.5", "true", "2026-12-01"] {
                let mut table = toml::Table::new();
                if let Err(error) = put(&mut table, &name, given) {
                    assert!(!matches!(key.kind, Kind::Text | Kind::Name | Kind::Path), "{name} = {given}: {error}");
                    continue;
                }
                let mut value = &toml::Value::Table(table);
                for part in name.split('.') {
                    value = &value[part];
                }
                assert_eq!(value.as_str(), Some(given), "{name}");
                taken += 1;
            }
        }
        assert!(taken > 100, "{taken}");
    }

    /// Every setting that names a file to be read: whoever else could write it, or put another in its place, would say whom the device
    /// trusts, who it is, or what it runs.
    #[cfg(unix)]
    #[test]
    fn what_settings_name_is_read_only_where_nobody_else_can_write_it() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let top = std::env::temp_dir().join(format!("devid-writers-{}", std::process::id()));
        let (above, wide) = (top.join("above/folder"), top.join("wide"));
        [&above, &wide].into_iter().for_each(|folder| std::fs::create_dir_all(folder).unwrap());
        let set = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        let (file, link) = (above.join("file"), wide.join("link"));
        std::fs::write(&file, "words").unwrap();
        symlink(&file, &link).unwrap();
        let named = keys::ALL.iter().filter(|key| matches!(key.kind, Kind::Path | Kind::Paths | Kind::Secret));
        let named: Vec<String> = named.map(|key| key.path.replace('*', "router")).collect();
        assert!(named.len() > 20, "{named:?}");
        let refusals = |path: &Path| -> usize {
            let is_refused = |name: &&String| {
                let mut table = toml::Table::new();
                let before = if keys::find(name).unwrap().kind == Kind::Secret { "file:" } else { "" };
                let value = format!("{before}{}", path.display());
                match name.rsplit_once('.').filter(|(above, _)| fit::is_list(above)) {
                    Some((list, last)) => {
                        let is_several = keys::find(name).unwrap().kind == Kind::Paths;
                        let value = if is_several { format!("[{value:?}]") } else { format!("{value:?}") };
                        put(&mut table, list, &format!("[{{ {last} = {value} }}]")).unwrap();
                    }
                    None => put(&mut table, name, &value).unwrap(),
                }
                let found = check_writers(&table);
                assert!(found.as_ref().err().is_none_or(|error| error.message().starts_with(*name)), "{found:?}");
                found.is_err()
            };
            named.iter().filter(is_refused).count()
        };
        let all_but_what_is_written = named.len() - 1;
        for place in [&*file, &above, top.join("above").as_path()] {
            let before = std::fs::metadata(place).unwrap().permissions().mode();
            assert_eq!(refusals(&file), 0, "the dark twin of {}", place.display());
            set(place, before | 0o002);
            assert_eq!(refusals(&file), all_but_what_is_written, "{}", place.display());
            set(place, before);
        }
        assert_eq!(refusals(&link), 0);
        set(&wide, 0o777);
        assert_eq!(refusals(&link), all_but_what_is_written, "the link could be another one tomorrow");
        set(&wide, 0o1777);
        assert_eq!(refusals(&link), 0, "as in /tmp");
        assert_eq!(refusals(&wide.join("missing")), 0, "told by whoever needs it");
        std::fs::remove_dir_all(&top).unwrap();
    }

    #[test]
    fn what_is_given_one_by_one_becomes_what_is_wanted() {
        let mut table = toml::Table::new();
        put(&mut table, "ca.login.reference", "4711").unwrap();
        put(&mut table, "ca.trust.all", "root.pem").unwrap();
        put(&mut table, "identity.a.dns", "[\"x\", \"y\"]").unwrap();
        put(&mut table, "device.retention", "5").unwrap();
        put(&mut table, "ca.http.total", "15s").unwrap();
        let settings = super::super::loading::read(&table).unwrap();
        assert_eq!(settings.ca.login.reference.as_deref(), Some("4711"));
        assert_eq!(
            (settings.ca.trust.all.len(), settings.identity["a"].dns.len(), settings.device.retention),
            (1, 2, 5)
        );
        assert!(put(&mut table, "ca.server.x", "1").is_ok(), "refused when it is read");
        assert!(super::super::loading::read(&table).is_err());
    }

    /// What is wrong is told of the setting that is given, and by no later one.
    #[test]
    fn each_setting_is_judged_when_it_is_given() {
        let mut table = toml::Table::new();
        for (key, value, words) in [
            ("ca.accept", "[\"a\"]", "ca.accept: expected \"exact\""),
            ("ca.accept", "a", "ca.accept: expected \"exact\""),
            ("ca.limits.polls", "-1", "ca.limits.polls: expected a whole number"),
            ("ca.limits.certificates", "0", "1 or more"),
            ("ca.http.total", "0s", "1s or more"),
            ("identity.x y.subject", "CN=a", "\"x y\" is not a name"),
            ("identity..subject", "CN=a", "is not a name"),
            ("identity.\u{fc}.renew.at", "0.5", "is not a name"),
            ("identity.../x.subject", "CN=a", "\"../x\" is not a name"),
            ("ca.general-info.oid", "1.2.3", "ca.general-info = [{ oid = ... }]"),
            ("identity.a.export.layout", "pem", "identity.a.export = [{ layout = ... }]"),
        ] {
            let told = put(&mut table, key, value).unwrap_err().to_string();
            assert!(told.contains(words), "{key} = {value}: {told}");
            assert!(table.is_empty(), "{key} = {value} is kept");
        }
        put(&mut table, "ca.general-info", "[{ oid = \"1.2.3\" }]").unwrap();
        put(&mut table, "ca.accept", "exact").unwrap();
        assert!(super::super::loading::read(&table).is_ok());
    }
}
