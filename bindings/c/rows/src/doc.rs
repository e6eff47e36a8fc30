//! The documentation of a row: checked against the kinds of its parameters, and completed by what they say by themselves.

use crate::kind::{Null, Passed};
use syn::{Attribute, Expr, ExprLit, Lit, Meta};

/// What every fallible function says of its last parameter.
pub const ERR: &str = "Receives details on failure, else NULL. May be NULL.";
const RETURN: &str = "@return DEVID_OK or a failure.";

/// The lines of a documentation, without the space behind `///`.
pub fn lines(attributes: &[Attribute]) -> Vec<String> {
    let text = |attribute: &Attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    };
    let stripped = |line: String| line.strip_prefix(' ').map(str::to_owned).unwrap_or(line);
    attributes.iter().filter_map(text).map(stripped).collect()
}

/// A documentation in parts.
pub struct Doc {
    head: Vec<String>,
    parameters: Vec<Parameter>,
    tail: Vec<String>,
}

struct Parameter {
    name: String,
    text: String,
    /// Where the text begins in its first line: the lines below are set by it.
    column: usize,
    more: Vec<String>,
}

impl Doc {
    pub fn of(lines: &[String]) -> Doc {
        let is_tag = |line: &String| line.starts_with('@');
        let start = lines.iter().position(is_tag).unwrap_or(lines.len());
        let mut doc = Doc { head: lines[..start].to_vec(), parameters: Vec::new(), tail: Vec::new() };
        let mut rest = lines[start..].iter().peekable();
        while let Some(line) = rest.next_if(|line| line.starts_with("@param ")) {
            let after = line["@param ".len()..].trim_start();
            let (name, text) = after.split_once(' ').unwrap_or((after, ""));
            let text = text.trim_start();
            let mut parameter = Parameter {
                name: name.to_owned(),
                text: text.to_owned(),
                column: line.len() - text.len(),
                more: Vec::new(),
            };
            while let Some(more) = rest.next_if(|line| !is_tag(line) && !line.trim().is_empty()) {
                parameter.more.push(more.clone());
            }
            doc.parameters.push(parameter);
        }
        doc.tail = rest.cloned().collect();
        doc
    }

    /// Names of parameters that the documentation has and the signature of the row has not: results.
    pub fn results<'a>(&'a self, known: &'a [Passed]) -> impl Iterator<Item = String> + 'a {
        let is_known = |name: &str| known.iter().any(|passed| passed.name == name);
        self.parameters.iter().map(|p| p.name.clone()).filter(move |name| !is_known(name))
    }

    /// Whether the caller need not want this result.
    pub fn may_be_null(&self, name: &str) -> bool {
        self.parameters.iter().any(|p| p.name == name && p.whole().contains("May be NULL"))
    }

    /// The whole text for the header, or what is wrong with it.
    pub fn complete(&self, passed: &[Passed], fallible: bool, gives: bool) -> Result<Vec<String>, String> {
        let mut documented = self.parameters.iter().peekable();
        let width = passed.iter().map(|p| p.name.len()).max().unwrap_or(0);
        let mut all = Vec::new();
        for passed in passed {
            match documented.next_if(|p| p.name == passed.name) {
                Some(parameter) => {
                    agrees(&parameter.name, &parameter.whole(), passed.null)?;
                    all.extend(parameter.lines(width));
                }
                None => {
                    let usual =
                        passed.usual.as_ref().ok_or_else(|| format!("`@param {}` is missing here", passed.name))?;
                    all.push(format!("@param {:width$}  {usual}", passed.name));
                }
            }
        }
        if let Some(parameter) = documented.next() {
            return Err(format!("`@param {}` is of no parameter, or not in its place", parameter.name));
        }
        let returns = self.tail.iter().any(|line| line.starts_with("@return"));
        if fallible && !returns {
            all.push(RETURN.to_owned());
        }
        if gives && !returns {
            return Err("`@return` is missing".to_owned());
        }
        let mut text = self.head.clone();
        if !all.is_empty() && text.last().is_some_and(|line| !line.trim().is_empty()) {
            text.push(String::new());
        }
        text.extend(all);
        text.extend(self.tail.iter().cloned());
        Ok(text)
    }
}

fn agrees(name: &str, text: &str, null: Null) -> Result<(), String> {
    let (never, maybe) = (text.contains("Not NULL"), text.contains("May be NULL"));
    let wanted = match null {
        Null::Unsaid => return Ok(()),
        Null::Never if never && !maybe => return Ok(()),
        Null::Maybe if maybe && !never => return Ok(()),
        Null::Either if never != maybe => return Ok(()),
        Null::Never => "\"Not NULL\"",
        Null::Maybe => "\"May be NULL\"",
        Null::Either => "\"Not NULL\", or \"May be NULL\" (then its length is 0)",
    };
    Err(format!("`@param {name}`: by its type the text has to say {wanted}"))
}

impl Parameter {
    fn whole(&self) -> String {
        self.more.iter().fold(self.text.clone(), |all, line| all + " " + line.trim())
    }

    fn lines(&self, width: usize) -> Vec<String> {
        let column = "@param ".len() + width + 2;
        let mut lines = vec![format!("@param {:width$}  {}", self.name, self.text)];
        for line in &self.more {
            let own = line.len() - line.trim_start().len();
            lines.push(" ".repeat(column + own.saturating_sub(self.column)) + line.trim_start());
        }
        lines
    }
}
