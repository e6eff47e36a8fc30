//! Whether a table of settings holds known names and values of their kinds; what does not fit is named, with its place.

use super::from_table::Misfit;
use super::keys::{ALL, Kind, find, is_known, matches, nearest};
use super::row::NOBODY;
use super::span::Span;

/// Refuses a table with a name that is not a setting, and the content of a file where its name belongs.
pub(crate) fn check(table: &toml::Table) -> Result<(), Misfit> {
    check_contents(&toml::Value::Table(table.clone()), "")?;
    unknown(table, "").map_or(Ok(()), Err)
}

/// A name that neither a setting nor a table of them has.
fn unknown(table: &toml::Table, at: &str) -> Option<Misfit> {
    table.iter().find_map(|(name, value)| {
        let path = below(at, name);
        if let Some(words) = (at == "identity" && value.is_table()).then(|| misnamed(name)).flatten() {
            return Some(Misfit::of_name(words).below(name));
        }
        if !is_known(&path, true) && !is_known(&path, false) {
            let near = nearest(&path).map(|name| format!("; did you mean {name}?")).unwrap_or_default();
            let words = format!("unknown setting {}{near} (devid config explain lists all)", shown(&path));
            return Some(Misfit::of_name(words).below(name));
        }
        // What stands in the place of a value is told of the value.
        let found = match value {
            _ if find(&path).is_some() => None,
            toml::Value::Table(table) => unknown(table, &path),
            toml::Value::Array(items) => items.iter().enumerate().find_map(|(place, item)| {
                item.as_table().and_then(|table| unknown(table, &path)).map(|misfit| misfit.below(place))
            }),
            _ => None,
        };
        found.map(|misfit| misfit.below(name))
    })
}

fn below(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

/// A name that is not known. A line of a key is none, and is not repeated.
fn shown(path: &str) -> String {
    let part = |part: &str| match part.len() > LONGEST_PART {
        true => format!("({} characters that are no name)", part.len()),
        false => part.to_owned(),
    };
    path.split('.').map(part).collect::<Vec<_>>().join(".")
}

/// Longer than any name of ours, and than most that people give; shorter than a line of PEM.
const LONGEST_PART: usize = 40;

/// What stands in a file is not repeated by any error: it may be a private key.
fn check_contents(value: &toml::Value, at: &str) -> Result<(), Misfit> {
    match value {
        toml::Value::Table(table) => table
            .iter()
            .try_for_each(|(name, value)| check_contents(value, &below(at, name)).map_err(|misfit| misfit.below(name))),
        toml::Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(place, item)| check_contents(item, at).map_err(|misfit| misfit.below(place))),
        toml::Value::String(text) if crate::files::is_content(text) => {
            let wanted = match find(at).map(|key| key.kind) {
                Some(Kind::Path | Kind::Paths | Kind::Secret) => "the name of a file",
                _ => "a value of one line",
            };
            Err(Misfit::new(format!(
                "{at}: expected {wanted}, found what stands in one: put it into a file (a key: chmod 600), and name that"
            )))
        }
        _ => Ok(()),
    }
}

/// The first setting whose value is not of its kind, or is less than enrolment can do with; `None`: there is none.
pub(super) fn misfit(table: &toml::Table) -> Option<Misfit> {
    in_table(table, "")
}

fn in_table(table: &toml::Table, at: &str) -> Option<Misfit> {
    let missing = needed(at).find(|name| !table.contains_key(*name));
    let told = |name: &str| Misfit::new(format!("{at}.{name} is missing: what stands beside it needs it"));
    missing.map(told).or_else(|| {
        table.iter().find_map(|(name, value)| look(value, &below(at, name)).map(|misfit| misfit.below(name)))
    })
}

/// Why an identity of the settings cannot have this name. Dots are between the parts of a setting's name.
pub(super) fn misnamed(name: &str) -> Option<String> {
    if name.contains('.') && crate::store::check_name(name).is_ok() {
        return Some(format!("identity.{name}: \"{name}\" is not a name in settings: one without a dot is expected"));
    }
    let refused = crate::store::check_name(name).err()?;
    let short: String = name.chars().take(MOST_SHOWN).collect();
    Some(format!("identity.{}: {}", short.escape_debug(), crate::Error::from(refused).message()))
}

fn look(value: &toml::Value, at: &str) -> Option<Misfit> {
    if let Some(key) = find(at) {
        // One that may be empty never comes here.
        let is_nobody = !key.may_be_empty && value.as_array().is_some_and(Vec::is_empty);
        let nobody = || Misfit::new(format!("{at}: {NOBODY}"));
        return refused(at, key.kind, value).map(Misfit::new).or_else(|| is_nobody.then(nobody));
    }
    match value {
        toml::Value::Table(_) if is_list(at) => Some(Misfit::new(format!(
            "{at}: expected a list of tables, each under [[{at}]], found one table, [{at}]: its brackets are doubled"
        ))),
        toml::Value::Table(table) => in_table(table, at),
        toml::Value::Array(items) if is_list(at) => {
            items.iter().enumerate().find_map(|(place, item)| match item.as_table() {
                Some(table) => in_table(table, at).map(|misfit| misfit.below(place)),
                None => {
                    Some(Misfit::new(format!("{at}: expected tables, each under [[{at}]], found a value")).below(place))
                }
            })
        }
        _ if is_list(at) => Some(Misfit::new(format!("{at}: expected [[{at}]] and settings below it, found a value"))),
        _ => {
            let near = nearest(at).filter(|near| near.contains("NAME"));
            let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            Some(Misfit::new(format!("{at}: expected settings below it ([{at}]), found a value{near}")))
        }
    }
}

/// Why a setting of this kind does not take the value.
pub(super) fn refused(at: &str, kind: Kind, value: &toml::Value) -> Option<String> {
    kind.refuses(value).map(|found| format!("{at}: expected {}, found {found}", kind.words()))
}

/// Whether these settings stand in a list of tables.
pub(super) fn is_list(at: &str) -> bool {
    ALL.iter().any(|key| key.is_listed && matches(key.table(), at))
}

/// What a table cannot do without.
fn needed(at: &str) -> impl Iterator<Item = &'static str> + use<'_> {
    let keys = ALL.iter().filter(move |key| key.is_required && matches(key.table(), at));
    keys.map(|key| &key.path[key.table().len() + 1..])
}

impl Kind {
    /// What was found, if it is not of this kind. The text in a secret's place is not repeated.
    fn refuses(self, value: &toml::Value) -> Option<String> {
        use toml::Value;
        let is_good = match (self, value) {
            // A date is text without its quotes.
            (Kind::Text | Kind::Path, Value::String(_) | Value::Datetime(_)) | (Kind::Switch, Value::Boolean(_)) => {
                true
            }
            (Kind::Name, Value::String(text)) => crate::store::check_name(text).is_ok(),
            (Kind::Number(least), Value::Integer(number)) => u32::try_from(*number).is_ok_and(|number| number >= least),
            (Kind::Share, Value::Float(_) | Value::Integer(_)) => true,
            (Kind::NumberOf(numbers), Value::Integer(number)) => numbers.iter().any(|one| i64::from(*one) == *number),
            (Kind::Span(least, most), Value::String(text)) => {
                Span::parse(text).is_ok_and(|span| (least..=most).contains(&span.seconds()))
            }
            (Kind::Secret, Value::String(text)) => super::secret::Source::parse(text).is_ok(),
            (Kind::Paths | Kind::Texts, Value::Array(items)) => items.iter().all(Value::is_str),
            (Kind::OneOf(names), Value::String(text)) => names.contains(&text.as_str()),
            _ => false,
        };
        (!is_good).then(|| match (self, value) {
            (Kind::Secret, _) => "something else, which is not repeated here".to_owned(),
            (Kind::Text | Kind::Name | Kind::Path, Value::Integer(_) | Value::Float(_) | Value::Boolean(_)) => {
                format!("{value}, which stands in quotes where it is text: \"{value}\"")
            }
            (Kind::Paths | Kind::Texts, Value::String(text)) => {
                let text: String = text.chars().take(MOST_SHOWN).collect();
                // A program and its arguments are one element each, and so are names; a path may have blanks.
                let parts: Vec<String> = match self {
                    Kind::Texts => text.split_whitespace().map(|part| Value::from(part).to_string()).collect(),
                    _ => vec![Value::from(text).to_string()],
                };
                format!("text, which stands in brackets where it is a list: [{}]", parts.join(", "))
            }
            (_, Value::String(text)) => crate::words::quoted(&text.chars().take(MOST_SHOWN).collect::<String>()),
            (_, Value::Integer(_) | Value::Float(_) | Value::Boolean(_)) => value.to_string(),
            (_, Value::Array(_)) => "a list, some of it of another kind".to_owned(),
            (_, Value::Table(_)) => "settings below it".to_owned(),
            (_, Value::Datetime(_)) => "a date".to_owned(),
        })
    }
}

/// More of a value than this helps nobody to find it.
const MOST_SHOWN: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    /// The table and the structures cannot drift apart: each setting with a value of its kind is read.
    #[test]
    fn every_setting_of_the_table_is_read() {
        for key in ALL {
            let value = match key.kind {
                Kind::Text | Kind::Name | Kind::Path => "\"x\"",
                Kind::Number(least) => &least.max(3).to_string(),
                Kind::Share => "0.5",
                Kind::Switch => "true",
                Kind::NumberOf(numbers) => &numbers[0].to_string(),
                Kind::Span(..) => "\"15m\"",
                Kind::Secret => "\"file:/x\"",
                Kind::Paths | Kind::Texts => "[\"x\"]",
                Kind::OneOf(names) => &format!("\"{}\"", names[0]),
            };
            let path = key.path.replace('*', "device");
            // Lists of tables: what else one of them needs.
            let text = match path.rsplit_once('.') {
                Some((list @ ("ca.general-info" | "identity.device.extensions"), last)) => match last {
                    "oid" => format!("[[{list}]]\noid = \"1.2.3\""),
                    last => format!("[[{list}]]\noid = \"1.2.3\"\n{last} = {value}"),
                },
                Some(("identity.device.export", last)) => {
                    let mut lines = vec!["[[identity.device.export]]".to_owned(), format!("{last} = {value}")];
                    for (name, value) in [("layout", "\"pem\""), ("folder", "\"/x\"")] {
                        if name != last {
                            lines.push(format!("{name} = {value}"));
                        }
                    }
                    lines.join("\n")
                }
                _ => format!("{path} = {value}"),
            };
            // What stands beside it in its own table and cannot be left out.
            let beside = match key.path {
                "ca.proxy.user" | "ca.proxy.password" => "\nca.proxy.url = \"http://p:1\"",
                "identity.*.hardware-module.type" => "\nidentity.device.hardware-module.serial = \"1\"",
                "identity.*.hardware-module.serial" => "\nidentity.device.hardware-module.type = \"1.2.3\"",
                _ => "",
            };
            let text = text + beside;
            let table: toml::Table = text.parse().unwrap();
            check(&table).unwrap_or_else(|misfit| panic!("{text}: {misfit}"));
            let read: Result<super::super::Settings, _> = table.try_into();
            assert!(read.is_ok(), "{text}: {}", read.unwrap_err());
        }
    }

    #[test]
    fn unknown_names_are_refused_at_every_level() {
        for text in [
            "x = 1",
            "[sa]\nserver = \"x\"",
            "[identity.a.renew]\natt = 0.5",
            "[[identity.a.export]]\nlayuot = \"pem\"",
        ] {
            assert!(check(&text.parse().unwrap()).is_err(), "{text}");
        }
        assert!(check(&"[identity.a]\n[identity.b.renew]\nat = 0.5".parse().unwrap()).is_ok());
    }

    #[test]
    fn a_list_that_was_written_as_text_is_shown_as_it_is_meant() {
        let told = |kind: Kind, text: &str| kind.refuses(&toml::Value::from(text)).unwrap();
        let program = told(Kind::Texts, "systemctl reload nginx");
        assert!(program.ends_with("[\"systemctl\", \"reload\", \"nginx\"]"), "{program}");
        assert!(told(Kind::Paths, "/a b/c.pem").ends_with("[\"/a b/c.pem\"]"));
    }
}
