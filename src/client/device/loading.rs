//! `devid.toml` is read once, with the place of each mistake; what belongs together is looked at.
#![allow(missing_docs, reason = "as in `settings`")]

use std::path::{Path, PathBuf};

use super::from_table::{Misfit, from_table};
use super::settings::{Ca, Login, LoginKind, Settings, StatusCheck};
use super::values::{self, put};
use super::{fit, wrong};
use crate::error::Error;
use crate::files::read_text_of_owner;

/// Where settings are looked for when no file is named.
pub const DEFAULT_FILE: &str = "/etc/devid/devid.toml";

/// Settings with what they were read from.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub settings: Settings,
    /// The merged table.
    pub table: toml::Table,
    pub files: Vec<PathBuf>,
}

/// Largest settings file, and largest file that settings take a word from.
pub(super) const MAX_FILE_BYTES: u64 = 1 << 20;

/// Reads a file (the default one if none is named and it exists) and puts `KEY=VALUE` from the command line over it.
pub fn load(file: Option<&Path>, overrides: &[String], memory: Option<&Path>) -> Result<Loaded, Error> {
    let path = match file {
        Some(path) => Some(path.to_owned()),
        None => Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()),
    };
    let mut table = toml::Table::new();
    if let Some(path) = &path {
        let text = read_text_of_owner(path, MAX_FILE_BYTES)
            .map_err(|e| wrong(format!("{}: cannot be read: {e}", path.display())))?;
        // For the line and column that only the parser knows; types are checked once everything is merged.
        table = text
            .parse()
            .map_err(|e: toml::de::Error| misread(path, &text, e.span().map(|span| span.start), e.message()))?;
        let unfit = |misfit: Misfit| misread(path, &text, misfit.start(&text), &misfit.words);
        fit::check(&table).map_err(unfit)?;
        held(&table).map_err(unfit)?;
        values::place(&mut table, path.parent().unwrap_or(Path::new("")));
        // What settings name says whom the device trusts and what it runs: who may not write them may not write that.
        values::check_writers(&table).map_err(|error| error.context(&path.display().to_string()))?;
    }
    over(table, path.into_iter().collect(), overrides, memory)
}

/// Settings that a program has made, with `KEY=VALUE` from the command line over them; all paths count from `folder`.
pub fn load_made(
    table: toml::Table,
    folder: &Path,
    overrides: &[String],
    memory: Option<&Path>,
) -> Result<Loaded, Error> {
    let mut loaded = over(table, Vec::new(), overrides, memory)?;
    values::place(&mut loaded.table, folder);
    Ok(Loaded { settings: read(&loaded.table)?, ..loaded })
}

fn over(
    mut table: toml::Table,
    files: Vec<PathBuf>,
    overrides: &[String],
    memory: Option<&Path>,
) -> Result<Loaded, Error> {
    for text in overrides {
        let (key, value) = text.split_once('=').ok_or_else(|| {
            wrong(format!("-o {text}: KEY=VALUE is expected, such as ca.server=http://ca.example/cmp"))
        })?;
        put(&mut table, key.trim(), value)?;
    }
    if let Some(memory) = memory {
        let memory = memory.to_str().ok_or_else(|| wrong("the folder of device memory is not UTF-8"))?;
        put(&mut table, "device.memory", &toml::Value::from(memory).to_string())?;
    }
    let loaded = Loaded { settings: read(&table)?, table, files };
    check(&loaded.settings)?;
    Ok(loaded)
}

/// The settings that a table holds; what belongs together is looked at by `load` and `judge`.
pub(super) fn read(table: &toml::Table) -> Result<Settings, Error> {
    fit::check(table).map_err(|misfit| wrong(misfit.words))?;
    held(table).map_err(|misfit| wrong(misfit.words))
}

/// The settings of a table without a name that is not known.
fn held(table: &toml::Table) -> Result<Settings, Misfit> {
    let settings = from_table(table).map_err(|misfit| fit::misfit(table).unwrap_or(misfit))?;
    match fit::misfit(table) {
        Some(misfit) => Err(misfit),
        None => Ok(settings),
    }
}

/// Where and why a file cannot be read. The line itself is not shown: a secret may stand in it by mistake.
fn misread(path: &Path, text: &str, start: Option<usize>, words: &str) -> Error {
    let place = start.and_then(|start| text.get(..start)).map_or_else(String::new, |before| {
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!(" line {line}, column {column}:")
    });
    wrong(format!("{}:{place} {words}", path.display()))
}

/// What no type can say: what belongs together, and bounds.
pub(crate) fn check(settings: &Settings) -> Result<(), Error> {
    let login = &settings.ca.login;
    let wants = |key: &str, is_there: bool, kind: &str| match is_there {
        true => Ok(()),
        false => Err(wrong(format!("ca.login.kind is \"{kind}\", and ca.login.{key} is missing"))),
    };
    match login.kind {
        Some(LoginKind::Secret) => {
            wants("reference", login.reference.is_some(), "secret")?;
            wants("secret", login.secret.is_some(), "secret")?;
        }
        Some(LoginKind::File) => {
            wants("key", login.key.is_some(), "file")?;
            wants("certificates", login.certificates.is_some(), "file")?;
        }
        Some(LoginKind::Factory | LoginKind::MutualTls) | None => {}
    }
    if settings.ca.tls.key.is_some() != settings.ca.tls.certificates.is_some() {
        return Err(wrong("ca.tls.key and ca.tls.certificates belong together: one of them is missing"));
    }
    super::exports::check(settings)?;
    for (name, identity) in &settings.identity {
        for (key, share) in [("at", identity.renew.at), ("spread", identity.renew.spread)] {
            if share.is_some_and(|share| !(0.0..1.0).contains(&share)) {
                let words = format!("identity.{name}.renew.{key} is a share of the lifetime, from 0 to below 1");
                return Err(wrong(words));
            }
        }
    }
    Ok(())
}

/// What would be passed over without a word. A device in the field goes on with it; a first certificate is not asked for so.
pub(super) fn check_meant(ca: &Ca) -> Result<(), Error> {
    let plain = |names: &[String]| -> Vec<String> { names.iter().map(|name| name.replace('-', "_")).collect() };
    let (tolerated, refused) = (plain(&ca.tolerate), plain(&ca.refuse));
    if let Some(name) = tolerated.iter().find(|name| refused.contains(name)) {
        return Err(wrong(format!("ca.refuse and ca.tolerate both have {name}: which of them holds?")));
    }
    check_login(&ca.login)?;
    let tls = &ca.tls;
    if let Some(proxy) = ca.proxy.as_ref().filter(|proxy| proxy.user.is_some() != proxy.password.is_some()) {
        let missing = if proxy.user.is_some() { "ca.proxy.password" } else { "ca.proxy.user" };
        return Err(wrong(format!("ca.proxy.user and ca.proxy.password belong together: {missing} is missing")));
    }
    let is_plain = |url: &str| url.get(..6).is_none_or(|scheme| !scheme.eq_ignore_ascii_case("https:"));
    let Some(server) = ca.server.as_deref().filter(|url| is_plain(url) && url.contains("://")) else { return Ok(()) };
    let protecting = [
        ("pins", !tls.pins.is_empty()),
        ("min-version", tls.min_version.is_some()),
        ("status", tls.status.is_some_and(|status| status != StatusCheck::Off)),
        ("crls", !tls.crls.is_empty()),
        ("name", tls.name.is_some()),
        ("key", tls.key.is_some()),
    ];
    match protecting.iter().find(|(_, is_set)| *is_set) {
        Some((name, _)) => {
            let server = crate::words::quoted(server);
            Err(wrong(format!(
                "ca.tls.{name} is about TLS, and ca.server = {server} is not: https:// is expected, or no ca.tls.{name}"
            )))
        }
        None => Ok(()),
    }
}

/// Of two logins, one would be passed over; of half a login, all of it.
fn check_login(login: &Login) -> Result<(), Error> {
    if login.kind.is_some() {
        return Ok(());
    }
    let halves = [
        ("reference", "secret", login.reference.is_some(), login.secret.is_some()),
        ("key", "certificates", login.key.is_some(), login.certificates.is_some()),
        ("key", "password", login.key.is_some(), login.password.is_some()),
    ];
    if let Some((missing, there, ..)) = halves.iter().find(|(.., first, second)| !first && *second) {
        let words = format!("ca.login.{there} is set, and ca.login.{missing}, which it belongs to, is missing");
        return Err(wrong(words));
    }
    match login.reference.is_some() && login.key.is_some() {
        true => Err(wrong(
            "ca.login.reference and ca.login.key are both set: ca.login.kind says which of them is meant, \"secret\" or \"file\"",
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys;
    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        let folder = std::env::temp_dir().join(format!("devid-settings-{}-{:p}", std::process::id(), text));
        std::fs::write(&folder, text).unwrap();
        let outcome = load(Some(&folder), &[], None);
        std::fs::remove_file(&folder).unwrap();
        outcome.map(|loaded| loaded.settings).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_mistyped_key_is_refused_with_the_nearest_name() {
        let words = read("[ca]\nsever = \"http://ca.example\"\n").unwrap_err();
        assert!(words.contains("ca.sever;") && words.contains("ca.server"), "{words}");
        assert_eq!(words.matches("sever").count(), 1, "said once: {words}");
        let words = read("[identity.device]\nsubjekt = \"CN=a\"\n").unwrap_err();
        assert!(words.contains("identity.device.subject"), "{words}");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_shown_with_its_line() {
        let words = read("[device]\nretention = \"two\"\n").unwrap_err();
        assert!(words.contains("line 2, column 13") && words.contains("two"), "{words}");
        let list = "[identity.a]\nsubject = \"CN=a\"\n\n[[identity.a.export]]\nlayout = \"pem\"\nfolder = \"/a\"\n";
        let words = read(&format!("{list}[[identity.a.export]]\nlayout = \"pem\"\nfolder = 7\n")).unwrap_err();
        assert!(words.contains("line 9, column 10") && words.contains("export.folder"), "{words}");
    }

    #[test]
    fn a_name_that_no_setting_has_is_told_with_its_place_and_the_one_that_is_meant() {
        for (text, place, words) in [
            ("[device]\nretention = 3\nmemroy = \"m\"\n", "line 3, column 1", "did you mean device.memory?"),
            ("[CA]\nserver = \"x\"\n", "line 1, column 2", "did you mean ca?"),
            ("\nmemory = \"m\"\n", "line 2, column 1", "did you mean device.memory?"),
            ("server = \"m\"\n", "line 1, column 1", "did you mean ca.server?"),
            ("[devcie]\nmemory = \"m\"\n", "line 1, column 2", "did you mean device?"),
            ("[identity]\nsubject = \"CN=a\"\n", "line 2, column 11", "did you mean identity.NAME.subject?"),
            (
                "[[identity.a.export]]\n\nlayuot = \"pem\"\n",
                "line 3, column 1",
                "did you mean identity.a.export.layout?",
            ),
            ("[identity.a.export]\nlayout = \"pem\"\n", "line 1, column 1", "each under [[identity.a.export]]"),
            ("[ca.general-info]\noid = \"1.2.3\"\n", "line 1, column 1", "each under [[ca.general-info]]"),
            ("[ca]\ngeneral-info = [1]\n", "line 2, column 17", "each under [[ca.general-info]]"),
            ("[identity.\"a b\"]\nsubject = \"CN=a\"\n", "line 1, column 11", "\"a b\" is not a name"),
            ("[ca.limits]\ncertificates = 0\n", "line 2, column 16", "1 or more"),
            ("[ca]\naccept = \"a\"\n", "line 2, column 10", "\"any-order\""),
        ] {
            let found = read(text).unwrap_err();
            assert!(found.contains(place) && found.contains(words), "{text}: {found}");
        }
        for text in ["zzzzzzzz = 1\n", "[ca]\nqqqqqqqq = 1\n"] {
            let found = read(text).unwrap_err();
            assert!(!found.contains("did you mean"), "nothing is like it: {found}");
        }
        assert!(read("[identity.a-b_c]\nsubject = \"CN=a\"\n[identity.a-b_c.renew]\nat = 0.5\n").is_ok());
    }

    #[test]
    fn a_list_in_the_place_of_a_table_is_refused() {
        for wrong in ["ca = []\n", "[ca]\nlogin = []\n", "[identity]\na = [\"CN=a\"]\n", "[[device]]\n"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    /// The general deserializer of `toml` reads the same settings, and refuses the same.
    #[test]
    fn settings_are_read_as_the_deserializer_of_toml_reads_them() {
        let values = [
            "7",
            "-1",
            "0.5",
            "true",
            "\"7d\"",
            "\"none\"",
            "\"file:/a\"",
            "[]",
            "[\"a\"]",
            "[1]",
            "{}",
            "{ a = 1 }",
            "2026-11-30",
        ];
        let mut read = 0;
        for key in keys::ALL {
            let path = key.path.replace('*', "device");
            for value in values {
                let Ok(table) = format!("{path} = {value}\n").parse::<toml::Table>() else { continue };
                let other = table.clone().try_into::<Settings>();
                let ours = from_table::<Settings>(&table);
                assert_eq!(ours.is_ok(), other.is_ok(), "{path} = {value}: {ours:?} {other:?}");
                if let (Ok(ours), Ok(other)) = (ours, other) {
                    assert_eq!(format!("{ours:?}"), format!("{other:?}"));
                    read += 1;
                }
            }
        }
        assert!(read > keys::ALL.len() / 2, "{read} were read");
    }

    #[test]
    fn what_belongs_together_is_asked_for_together() {
        let words = read("[ca.login]\nkind = \"secret\"\nreference = \"1\"\n").unwrap_err();
        assert!(words.contains("ca.login.secret is missing"), "{words}");
        assert!(read("[ca.login]\nkind = \"secret\"\nreference = \"1\"\nsecret = \"env:X\"\n").is_ok());
    }

    #[test]
    fn a_secret_in_clear_is_refused() {
        let words = read("[ca.login]\nkind = \"secret\"\nreference = \"1\"\nsecret = \"hunter2\"\n").unwrap_err();
        assert!(words.contains("file:") && !words.contains("hunter2"), "{words}");
        for wrong in ["secret = 8472001", "secret = hunter2", "secret = [\"hunter2\"]"] {
            let words = read(&format!("[ca.login]\n{wrong}\n")).unwrap_err();
            assert!(!words.contains("hunter2") && !words.contains("8472001"), "{words}");
        }
    }

    #[test]
    fn options_of_the_command_line_lie_over_the_file() {
        let over = ["ca.server=\"http://b.example\"".to_owned(), "device.retention=5".to_owned()];
        let settings = load(None, &over, Some(Path::new("/tmp/m"))).unwrap().settings;
        assert_eq!(settings.ca.server.as_deref(), Some("http://b.example"));
        assert_eq!((settings.device.retention, settings.device.memory), (5, PathBuf::from("/tmp/m")));
        assert!(load(None, &["ca.sever=1".to_owned()], None).is_err());
    }

    #[test]
    fn the_content_of_a_file_in_its_names_place_is_refused_and_not_repeated() {
        let key = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----\n";
        for setting in ["[ca.login]\nkey", "[ca.tls]\nkey", "[device]\nmemory", "[ca]\nserver"] {
            let words = read(&format!("{setting} = \"\"\"{key}\"\"\"\n")).unwrap_err();
            assert!(words.contains("found what stands in one") && !words.contains("MIGH"), "{words}");
        }
        let words = read(&format!("[ca.trust]\nall = [\"\"\"{key}\"\"\"]\n")).unwrap_err();
        assert!(words.contains("ca.trust.all: expected the name of a file") && !words.contains("MIGH"), "{words}");
        let words = read("[ca.login]\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg = 1\n").unwrap_err();
        assert!(words.contains("ca.login.(48 characters that are no name)") && !words.contains("MIGH"), "{words}");
        let option = [format!("ca.login.key={key}")];
        let words = load(None, &option, None).map(|_| ()).unwrap_err().to_string();
        assert!(!words.contains("MIGH"), "{words}");
    }
}
