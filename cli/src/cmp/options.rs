//! Options with their values: from the configuration file's sections, and over them the command line.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::conf::Conf;
use super::table::{ALL, Fate, Kind, Spec, find};
use crate::failure::Failure;
use crate::output::Output;

/// The section that is read where none is named.
const SECTION: &str = "cmp";

/// What was asked for.
#[derive(Debug, Default)]
pub struct Options {
    values: BTreeMap<&'static str, String>,
    /// The configuration file, for extensions that stand there.
    pub conf: Conf,
    /// Whether only the help was asked for.
    pub wants_help: bool,
}

impl Options {
    /// Reads the command line and the file that it names.
    pub fn read(arguments: &[OsString], output: Output) -> Result<Self, Failure> {
        let mut given: Vec<(&'static Spec, String)> = Vec::new();
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let word = utf8(word)?;
            let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-'));
            // -name=value, as OpenSSL takes it.
            let (name, joined) = match name.and_then(|name| name.split_once('=')) {
                Some((name, value)) => (Some(name), Some(value)),
                None => (name, None),
            };
            let spec = name.and_then(find).ok_or_else(|| unknown(word))?;
            let value = match (spec.kind, joined) {
                (Kind::Switch, None) => "1".to_owned(),
                (Kind::Switch, Some(_)) => return Err(Failure::usage(format!("-{} takes no value", spec.name))),
                (_, Some(value)) => value.to_owned(),
                (_, None) => {
                    let missing = || Failure::usage(format!("-{} needs a value", spec.name));
                    utf8(words.next().ok_or_else(missing)?)?.to_owned()
                }
            };
            given.push((spec, value));
        }
        let mut options = Options::default();
        if given.iter().any(|(spec, _)| spec.name == "help") {
            options.wants_help = true;
            return Ok(options);
        }
        let last = |wanted: &str| given.iter().rev().find(|(spec, _)| spec.name == wanted).map(|(_, v)| v.clone());
        options.read_file(last("config"), last("section"), output)?;
        for (spec, value) in given {
            options.take(spec, &value, true, output)?;
        }
        Ok(options)
    }

    fn read_file(&mut self, file: Option<String>, section: Option<String>, output: Output) -> Result<(), Failure> {
        let Some(file) = file.or_else(|| std::env::var("OPENSSL_CONF").ok()).filter(|file| !file.is_empty()) else {
            return Ok(());
        };
        self.conf = Conf::read(Path::new(&file))?;
        let named: Vec<String> = match &section {
            None => vec![SECTION.to_owned()],
            Some(names) => items(names).map(str::to_owned).collect(),
        };
        if let (Some(_), Some(missing)) = (&section, named.iter().find(|name| !self.conf.has(name))) {
            return Err(Failure::settings(format!("{file}: there is no section [{missing}]")));
        }
        // Of several sections the last one that knows an option decides, and each has the default one behind it.
        for spec in ALL.iter().filter(|spec| !matches!(spec.name, "config" | "section" | "help")) {
            let found = match named.is_empty() {
                true => self.conf.value("default", spec.name),
                false => named.iter().rev().find_map(|section| self.conf.value(section, spec.name)),
            };
            let Some(value) = found.map(str::to_owned) else { continue };
            let is_number = value.parse::<i64>().is_ok();
            // As OpenSSL does: what is not a number is no value.
            if spec.kind != Kind::Text && !is_number {
                continue;
            }
            self.take(spec, &value, false, output).map_err(|e| Failure::settings(format!("{file}: {e}")))?;
        }
        Ok(())
    }

    fn take(&mut self, spec: &'static Spec, value: &str, is_typed: bool, output: Output) -> Result<(), Failure> {
        let name = spec.name;
        let is_off = value.is_empty() || (spec.kind == Kind::Switch && value == "0");
        match spec.fate {
            Fate::Refused(why) if !is_off => return Err(Failure::usage(format!("-{name} is not taken: {why}"))),
            Fate::Others(why) if is_typed => return Err(Failure::usage(format!("-{name} is not taken: {why}"))),
            Fate::Idle(why) if is_typed && !is_off => output.say(&format!("-{name} changes nothing: {why}")),
            _ => {}
        }
        let number =
            || value.parse::<i64>().map_err(|_| Failure::usage(format!("-{name}: \"{value}\" is not a number")));
        let fits = match spec.kind {
            Kind::Text | Kind::Switch => true,
            Kind::Number => number().map(|n| i32::try_from(n).is_ok())?,
            Kind::Natural => number().map(|n| (0..=i64::from(i32::MAX)).contains(&n))?,
            Kind::Positive => number().map(|n| (1..=i64::from(i32::MAX)).contains(&n))?,
        };
        if !fits && name != "attime" {
            return Err(Failure::usage(format!("-{name}: {value} is out of range")));
        }
        match is_off {
            true => self.values.remove(name),
            false => self.values.insert(name, value.to_owned()),
        };
        Ok(())
    }

    /// The value of an option; an empty one counts as none.
    pub fn text(&self, name: &'static str) -> Option<&str> {
        debug_assert!(find(name).is_some(), "{name}");
        self.values.get(name).map(String::as_str)
    }

    /// The file that an option names.
    pub fn path(&self, name: &'static str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    /// Whether a switch is on.
    pub fn is_on(&self, name: &'static str) -> bool {
        self.text(name).is_some()
    }

    /// The number that an option holds.
    pub fn number(&self, name: &'static str) -> Option<i64> {
        self.text(name).and_then(|value| value.parse().ok())
    }
}

/// The parts of a list that is separated by commas and spaces.
pub fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(|c: char| c == ',' || c.is_whitespace()).filter(|item| !item.is_empty())
}

fn utf8(word: &OsString) -> Result<&str, Failure> {
    word.to_str().ok_or_else(|| Failure::usage(format!("{}: is not UTF-8", word.to_string_lossy())))
}

fn unknown(word: &str) -> Failure {
    let known = word.trim_start_matches('-');
    let near = ALL.iter().min_by_key(|spec| devid::client::device::keys::distance(spec.name, known));
    let hint = near
        .filter(|spec| devid::client::device::keys::distance(spec.name, known) < 3)
        .map_or_else(String::new, |spec| format!("; did you mean -{}?", spec.name));
    Failure::usage(format!("{}: there is no such option{hint} (-help lists them)", word.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Output = Output { json: false, quiet: true, verbose: 0 };

    fn read(words: &[&str]) -> Result<Options, String> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        Options::read(&words, QUIET).map_err(|e| e.to_string())
    }

    #[test]
    fn the_last_value_counts_and_an_empty_one_takes_it_away() {
        let options =
            read(&["-config", "", "-cmd", "ir", "--cmd", "cr", "-ref", "1", "-ref", "", "-days", "3"]).unwrap();
        assert_eq!((options.text("cmd"), options.text("ref"), options.number("days")), (Some("cr"), None, Some(3)));
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_its_reason() {
        let words = read(&["-config", "", "-rspin", "x"]).unwrap_err();
        assert!(words.contains("transactionID"), "{words}");
        assert!(read(&["-port", "1"]).unwrap_err().contains("devid-testca"));
        assert!(read(&["-subjekt", "1"]).unwrap_err().contains("-subject"));
        assert!(read(&["-days", "-1"]).is_err() && read(&["-days", "x"]).is_err() && read(&["-repeat", "0"]).is_err());
        assert!(read(&["-cmd"]).unwrap_err().contains("needs a value") && read(&["ir"]).is_err());
    }

    #[test]
    fn sections_lie_over_each_other_and_over_the_default() {
        let path = std::env::temp_dir().join(format!("devid-cmp-conf-{}", std::process::id()));
        std::fs::write(&path, "[default]\ncmd = ir\nport = 0\n[a]\nref = 1\nserver = h\n[b]\nref = 2\ndays = x\n")
            .unwrap();
        let file = path.to_str().unwrap();
        let options = read(&["-config", file, "-section", "a, b", "-server", "g"]).unwrap();
        let missing = read(&["-config", file, "-section", "c"]);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(
            (options.text("ref"), options.text("server"), options.text("cmd")),
            (Some("2"), Some("g"), Some("ir"))
        );
        assert_eq!(options.number("days"), None);
        assert!(missing.unwrap_err().contains("[c]"));
    }
}
