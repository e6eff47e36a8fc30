//! OpenSSL's configuration files (config(5)), as far as they serve a CMP client: sections, quotes, comments, continued lines,
//! values that name others.

use std::collections::BTreeMap;
use std::path::Path;

use crate::failure::Failure;

/// The section that stands behind all others, and the name of what stands before the first heading.
const DEFAULT: &str = "default";

/// Values grow by naming others; no file that serves a client needs as much.
const MAX_VALUE_BYTES: usize = 64 * 1024;

/// A configuration file.
#[derive(Debug, Default)]
pub struct Conf {
    sections: BTreeMap<String, Vec<(String, String)>>,
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
        let mut here = DEFAULT.to_owned();
        for (number, line) in logical_lines(text) {
            let at = |words: String| format!("line {number}: {words}");
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            if let Some(rest) = line.strip_prefix('[') {
                let name = rest.split(']').next().filter(|_| rest.contains(']'));
                here = name.ok_or_else(|| at("a heading without ]".to_owned()))?.trim().to_owned();
                conf.sections.entry(here.clone()).or_default();
                continue;
            }
            if line.starts_with(".include") {
                return Err(at(".include is not read here: name the file by -config".to_owned()));
            }
            if line.starts_with(".pragma") {
                continue;
            }
            let (name, value) = line.split_once('=').ok_or_else(|| at("NAME = VALUE is expected".to_owned()))?;
            // SECTION::NAME puts a value into another section.
            let (section, name) = name.trim().split_once("::").unwrap_or((&here, name.trim()));
            let value = conf.expand(section, value.trim()).map_err(at)?;
            conf.sections.entry(section.to_owned()).or_default().push((name.to_owned(), value));
        }
        Ok(conf)
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
    fn a_value_that_grows_without_end_is_refused() {
        let mut text = "a0 = xxxxxxxx\n".to_owned();
        for n in 1..40 {
            text.push_str(&format!("a{n} = $a{}$a{}\n", n - 1, n - 1));
        }
        assert!(Conf::parse(&text).unwrap_err().contains("bytes"));
        assert!(Conf::parse("[open\n").is_err() && Conf::parse("words\n").is_err());
    }
}
