//! `contents.txt`: what stands where.

use std::collections::{HashMap, HashSet};

use crate::items::{Item, Items, Kind, code};

/// The headers in their order.
pub struct Contents {
    pub headers: Vec<Header>,
}

pub struct Header {
    pub path: String,
    pub sections: Vec<Section>,
}

pub struct Section {
    pub name: String,
    pub title: String,
    pub intro: Vec<String>,
    patterns: Vec<String>,
}

/// Items by section, in their order.
pub type Placed<'a> = HashMap<String, Vec<&'a Item>>;

impl Contents {
    pub fn parse(text: &str) -> Result<Contents, String> {
        let mut headers: Vec<Header> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let wrong = |words: &str| format!("contents.txt:{}: {words}", number + 1);
            let section = || headers.last().and_then(|header| header.sections.last());
            if line.trim().is_empty() || line.starts_with('#') {
            } else if let Some(path) = line.strip_prefix("header ") {
                headers.push(Header { path: path.trim().to_owned(), sections: Vec::new() });
            } else if let Some(section) = line.strip_prefix("section ") {
                let (name, title) = section.split_once(": ").ok_or_else(|| wrong("a section is NAME: TITLE"))?;
                let header = headers.last_mut().ok_or_else(|| wrong("a section before any header"))?;
                let (name, title) = (name.to_owned(), title.to_owned());
                header.sections.push(Section { name, title, intro: Vec::new(), patterns: Vec::new() });
            } else if section().is_none() {
                return Err(wrong("names before any section"));
            } else if let Some(section) = headers.last_mut().and_then(|header| header.sections.last_mut()) {
                match line.strip_prefix("| ") {
                    Some(intro) => section.intro.push(intro.to_owned()),
                    None => section.patterns.extend(line.split_whitespace().map(str::to_owned)),
                }
            }
        }
        let contents = Contents { headers };
        let mut seen = HashSet::new();
        let twice =
            contents.sections().flat_map(|section| &section.patterns).find(|pattern| !seen.insert(*pattern)).cloned();
        match twice {
            Some(pattern) => Err(format!("contents.txt: {pattern} stands twice")),
            None => Ok(contents),
        }
    }

    /// Gives each item its place; a type is brought before the first thing that needs it.
    pub fn place<'a>(&self, items: &'a Items) -> Result<Placed<'a>, String> {
        let best: Vec<Option<&str>> = items.0.iter().map(|item| self.best(item)).collect();
        let mut used: HashSet<&str> = HashSet::new();
        let mut placed = Placed::new();
        let mut done: HashSet<&str> = HashSet::new();
        for section in self.sections() {
            let list = placed.entry(section.name.clone()).or_default();
            for pattern in &section.patterns {
                let of_pattern = items.0.iter().zip(&best).filter(|(_, best)| **best == Some(pattern.as_str()));
                for (item, _) in of_pattern {
                    used.insert(pattern);
                    bring(item, items, &mut done, list);
                }
            }
        }
        let unused =
            self.sections().flat_map(|s| &s.patterns).find(|p| !p.starts_with("file:") && !used.contains(p.as_str()));
        if let Some(pattern) = unused {
            return Err(format!("contents.txt: nothing is placed by {pattern}"));
        }
        match items.0.iter().find(|item| !done.contains(item.name.as_str())) {
            Some(Item { name, file, .. }) => Err(format!(
                "{name} has no place in the headers: say `file:{file}` in bindings/c/header/contents.txt, where it belongs"
            )),
            None => Ok(placed),
        }
    }

    pub fn sections(&self) -> impl Iterator<Item = &Section> {
        self.headers.iter().flat_map(|header| &header.sections)
    }

    /// The pattern that counts for an item.
    fn best(&self, item: &Item) -> Option<&str> {
        let weight = |pattern: &str| match (pattern.strip_suffix('*'), pattern.strip_prefix("file:")) {
            (Some(start), _) if item.name.starts_with(start) => Some(start.len()),
            (_, Some(file)) if item.file == file => Some(0),
            _ if pattern == item.name => Some(usize::MAX),
            _ => None,
        };
        let patterns = self.sections().flat_map(|section| &section.patterns);
        let fitting = patterns.filter_map(|pattern| Some((weight(pattern)?, pattern)));
        fitting.max_by_key(|(weight, _)| *weight).map(|(_, pattern)| pattern.as_str())
    }
}

fn bring<'a>(item: &'a Item, items: &'a Items, done: &mut HashSet<&'a str>, list: &mut Vec<&'a Item>) {
    if !done.insert(&item.name) {
        return;
    }
    for word in code(&item.text).split(|c: char| !c.is_alphanumeric() && c != '_') {
        if let Some(needed) = items.0.iter().find(|other| other.kind == Kind::Type && other.name == word) {
            bring(needed, items, done, list);
        }
    }
    list.push(item);
}
