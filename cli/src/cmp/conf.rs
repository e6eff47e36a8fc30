//! OpenSSL's configuration files (config(5)), as far as they serve a CMP client: sections, quotes, comments, continued lines,
//! values that name others, files that include others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The section that stands behind all others, and the name of what stands before the first heading.
const DEFAULT: &str = "default";

/// Values grow by naming others; no file that serves a client needs as much.
const MAX_VALUE_BYTES: usize = 64 * 1024;

/// How deep files include files: one that includes itself ends there. And how many are read in all.
const MAX_DEPTH: usize = 16;
const MAX_FILES: usize = 256;

/// Stands before relative paths of `.include`, as OpenSSL has it.
const INCLUDE_FOLDER: &str = "OPENSSL_CONF_INCLUDE";

/// A configuration file.
#[derive(Debug, Default)]
pub struct Conf {
    sections: BTreeMap<String, Vec<(String, String)>>,
    /// Stands before relative paths of `.include`: `.pragma includedir:`.
    include_folder: Option<PathBuf>,
    files: usize,
}

impl Conf {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = crate::device::read_file(path)?;
        let text = String::from_utf8_lossy(&bytes);
        Conf::parse(&text).map_err(|words| Failure::settings(format!("{}: {words}", devid::files::shown(path))))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut conf = Conf::default();
        conf.take(text, &mut DEFAULT.to_owned(), 0)?;
        Ok(conf)
    }

    /// Reads the text of one file. `here`: the section that it begins in, and the one that it ends in, as OpenSSL has it.
    fn take(&mut self, text: &str, here: &mut String, depth: usize) -> Result<(), String> {
        for (number, line) in logical_lines(text) {
            let at = |words: String| format!("line {number}: {words}");
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            if let Some(rest) = line.strip_prefix('[') {
                let name = rest.split(']').next().filter(|_| rest.contains(']'));
                *here = name.ok_or_else(|| at("a heading without ]".to_owned()))?.trim().to_owned();
                self.sections.entry(here.clone()).or_default();
                continue;
            }
            if let Some(path) = directive(line, ".include") {
                let path = self.expand(here, path).map_err(at)?;
                self.include(Path::new(&path), here, depth).map_err(at)?;
                continue;
            }
            if let Some(pragma) = directive(line, ".pragma") {
                if let Some(folder) = pragma.strip_prefix("includedir:") {
                    self.include_folder = Some(folder.trim().into());
                }
                continue;
            }
            let (name, value) = line.split_once('=').ok_or_else(|| at("NAME = VALUE is expected".to_owned()))?;
            // SECTION::NAME puts a value into another section.
            let (section, name) = name.trim().split_once("::").unwrap_or((here, name.trim()));
            let value = self.expand(section, value.trim()).map_err(at)?;
            self.sections.entry(section.to_owned()).or_default().push((name.to_owned(), value));
        }
        Ok(())
    }

    /// A file, or all of a folder that end in .cnf or .conf. One that is not there is none, as for OpenSSL.
    fn include(&mut self, path: &Path, here: &mut String, depth: usize) -> Result<(), String> {
        let path = match self.include_folder.clone().or_else(|| std::env::var_os(INCLUDE_FOLDER).map(PathBuf::from)) {
            Some(folder) => folder.join(path),
            None => path.to_owned(),
        };
        let mut files = match std::fs::read_dir(&path) {
            Ok(entries) => entries.flatten().map(|entry| entry.path()).filter(|path| is_conf(path)).collect(),
            Err(_) if path.exists() => vec![path],
            Err(_) => Vec::new(),
        };
        files.sort();
        for file in files {
            let shown = devid::files::shown(&file);
            self.files += 1;
            if depth >= MAX_DEPTH || self.files > MAX_FILES {
                return Err(format!("{shown}: more than {MAX_DEPTH} files include each other, or {MAX_FILES} in all"));
            }
            let bytes = crate::device::read_file(&file).map_err(|failure| failure.to_string())?;
            let text = String::from_utf8_lossy(&bytes);
            self.take(&text, here, depth + 1).map_err(|words| format!("{shown}: {words}"))?;
        }
        Ok(())
    }

    /// Whether there is such a section.
    pub fn has(&self, section: &str) -> bool {
        self.sections.contains_key(section)
    }

    /// All values of a section, in their order.
    pub fn section(&self, section: &str) -> Option<&[(String, String)]> {
        self.sections.get(section).map(Vec::as_slice)
    }

    /// A value of a section, or else of the default one.
    pub fn value(&self, section: &str, name: &str) -> Option<&str> {
        let of = |section: &str| {
            let values = self.sections.get(section)?;
            values.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
        };
        of(section).or_else(|| of(DEFAULT))
    }

    /// Quotes, escapes, and `$name`, `${name}`, `${section::name}`, `$ENV::name`.
    fn expand(&self, section: &str, text: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = text;
        let mut quote = None;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            match (c, quote) {
                (c, Some(open)) if c == open => quote = None,
                ('\'' | '"', None) => quote = Some(c),
                ('\\', _) => {
                    let Some(next) = rest.chars().next() else { break };
                    rest = &rest[next.len_utf8()..];
                    out.push(match next {
                        'n' => '\n',
                        'r' => '\r',
                        't' => '\t',
                        other => other,
                    });
                }
                ('$', quote) if quote != Some('\'') => {
                    let (name, behind) = variable(rest).map_err(str::to_owned)?;
                    out.push_str(&self.named(section, name)?);
                    rest = behind;
                }
                (c, _) => out.push(c),
            }
            if out.len() > MAX_VALUE_BYTES {
                return Err(format!("a value of more than {MAX_VALUE_BYTES} bytes"));
            }
        }
        Ok(out)
    }

    fn named(&self, section: &str, name: &str) -> Result<String, String> {
        let found = match name.split_once("::") {
            Some(("ENV", name)) => std::env::var(name).ok(),
            Some((section, name)) => self.value(section, name).map(str::to_owned),
            None => self.value(section, name).map(str::to_owned),
        };
        found.ok_or_else(|| format!("${name} has no value"))
    }
}

/// What stands behind a directive, with or without an equals sign.
fn directive<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    let rest = line.strip_prefix(name)?;
    let value = rest.trim_start();
    match value.strip_prefix('=') {
        Some(value) => Some(value.trim()),
        None => (rest.len() > value.len()).then(|| value.trim()),
    }
}

fn is_conf(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "cnf" || ending == "conf")
}

/// The name of a variable behind its dollar, and what follows it.
fn variable(text: &str) -> Result<(&str, &str), &'static str> {
    let close = match text.chars().next() {
        Some('{') => Some('}'),
        Some('(') => Some(')'),
        _ => None,
    };
    if let Some(close) = close {
        return text[1..].split_once(close).ok_or("a variable's name is opened and not closed");
    }
    let mut end = 0;
    while let Some(c) = text[end..].chars().next() {
        match c {
            c if c.is_alphanumeric() || c == '_' => end += c.len_utf8(),
            ':' if text[end..].starts_with("::") => end += 2,
            _ => break,
        }
    }
    Ok(text.split_at(end))
}

/// Lines without comments, those that end with a backslash joined with the next; each with its number.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut is_continued = false;
    for (index, line) in text.lines().enumerate() {
        let line = without_comment(line);
        let (line, continues) = match line.strip_suffix('\\') {
            Some(kept) if !kept.ends_with('\\') => (kept, true),
            _ => (line, false),
        };
        match lines.last_mut() {
            Some((_, open)) if is_continued => open.push_str(line),
            _ => lines.push((index + 1, line.to_owned())),
        }
        is_continued = continues;
    }
    lines
}

fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with(';') {
        return "";
    }
    let (mut quote, mut is_escaped) = (None, false);
    for (at, c) in line.char_indices() {
        match (c, quote) {
            _ if is_escaped => is_escaped = false,
            ('\\', _) => is_escaped = true,
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => quote = Some(c),
            ('#', None) => return line[..at].trim_end(),
            _ => {}
        }
    }
    line.trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "top = 1\nhost = ca.example # where\n[cmp]\nserver = $host:${port}\n; a comment\n\
                        name = \"/CN=a # b\"\nlong = a \\\n b\nport = 80\n";

    #[test]
    fn sections_comments_quotes_and_continued_lines() {
        let words = Conf::parse(FILE).unwrap_err();
        assert!(words.contains("line 4") && words.contains("$port"), "{words}");
        let conf = Conf::parse(&FILE.replace("top = 1", "port = 8080")).unwrap();
        assert_eq!(conf.value("cmp", "server"), Some("ca.example:8080"));
        assert_eq!(conf.value("cmp", "name"), Some("/CN=a # b"));
        assert_eq!(conf.value("cmp", "long"), Some("a  b"));
        assert_eq!((conf.value("cmp", "port"), conf.value("other", "port")), (Some("80"), Some("8080")));
        assert_eq!(conf.value("cmp", "none"), None);
        assert!(conf.has("cmp") && !conf.has("other"));
    }

    #[test]
    fn files_include_files_and_folders_as_openssl_reads_them() {
        let folder = std::env::temp_dir().join(format!("devid-conf-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("d")).unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        let shown = folder.display();
        write("a.cnf", "of_a = 1\n[from_a]\ninside = 1\n");
        write("d/one.cnf", "one = 1\n");
        write("d/two.conf", "two = 2\n");
        write("d/other.txt", "not = read\nwords\n");
        write("self.cnf", &format!(".include {shown}/self.cnf\n"));
        write("wrong.cnf", "words\n");
        let text = format!(
            "[x]\n.include = {shown}/a.cnf\nbehind = 1\n.pragma = includedir:{shown}\n.include d\n.include none.cnf\nlast = 1\n"
        );
        let conf = Conf::parse(&text).unwrap();
        assert_eq!(conf.value("x", "of_a"), Some("1"));
        // Headings of what is included stand behind it, too.
        for name in ["inside", "behind", "one", "two", "last"] {
            assert!(conf.value("from_a", name).is_some() && conf.value("x", name).is_none(), "{name}");
        }
        assert!(conf.value("from_a", "not").is_none());
        let refused = |name: &str| Conf::parse(&format!("a = 1\n.include {shown}/{name}\n")).unwrap_err();
        assert!(refused("self.cnf").contains("include each other"));
        let words = refused("wrong.cnf");
        assert!(words.contains("line 2: ") && words.contains("wrong.cnf: line 1: "), "{words}");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_value_that_grows_without_end_is_refused() {
        let mut text = "a0 = xxxxxxxx\n".to_owned();
        for n in 1..40 {
            text.push_str(&format!("a{n} = $a{}$a{}\n", n - 1, n - 1));
        }
        assert!(Conf::parse(&text).unwrap_err().contains("bytes"));
        assert!(Conf::parse("[open\n").is_err() && Conf::parse("words\n").is_err());
    }
}
