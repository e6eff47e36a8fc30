//! Search filters in text (RFC 4515), as far as URLs in certificates use them: comparisons, presence, and their combinations.

use std::fmt;

use crate::asn1::der::element;
use crate::words::quoted;

/// Deepest nesting of a filter.
const MAX_DEPTH: usize = 8;

/// Why a text is no filter that is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FilterError {
    Behind(String),
    TooDeep,
    NoParenthesis,
    NotClosed,
    Combination,
    Comparison(String),
    Wildcards(String),
    Control(u8),
    Backslash,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FilterError::Behind(rest) => write!(f, "the filter goes on behind its end: {}", quoted(rest)),
            FilterError::TooDeep => write!(f, "the filter is nested deeper than {MAX_DEPTH}"),
            FilterError::NoParenthesis => f.write_str("the filter has no parenthesis where one begins"),
            FilterError::NotClosed => f.write_str("a parenthesis of the filter is not closed"),
            FilterError::Combination => f.write_str("the filter combines nothing, or negates several"),
            FilterError::Comparison(item) => {
                write!(f, "{} is not a comparison of an attribute with a value", quoted(item))
            }
            FilterError::Wildcards(item) => {
                write!(f, "the filter {} has wildcards, which are not asked for", quoted(item))
            }
            FilterError::Control(octet) => write!(f, "the filter holds the character U+{octet:04X}"),
            FilterError::Backslash => f.write_str("a backslash of the filter without two hexadecimal digits"),
        }
    }
}

/// The filter as LDAP has it (RFC 4511 section 4.5.1.7). AD CS writes a single comparison without its parentheses.
pub(super) fn encode(text: &str) -> Result<Vec<u8>, FilterError> {
    if !text.starts_with('(') {
        return comparison(text);
    }
    match parenthesis(text, 0)? {
        (filter, "") => Ok(filter),
        (_, rest) => Err(FilterError::Behind(rest.to_owned())),
    }
}

/// One filter in parentheses, and what stands behind it.
fn parenthesis(text: &str, depth: usize) -> Result<(Vec<u8>, &str), FilterError> {
    if depth >= MAX_DEPTH {
        return Err(FilterError::TooDeep);
    }
    let inner = text.strip_prefix('(').ok_or(FilterError::NoParenthesis)?;
    let (tag, list) = match inner.as_bytes().first() {
        Some(b'&') => (0xa0, &inner[1..]),
        Some(b'|') => (0xa1, &inner[1..]),
        Some(b'!') => (0xa2, &inner[1..]),
        _ => {
            let (item, rest) = inner.split_once(')').ok_or(FilterError::NotClosed)?;
            return Ok((comparison(item)?, rest));
        }
    };
    let (mut filters, mut rest) = (Vec::new(), list);
    while rest.starts_with('(') {
        let (filter, behind) = parenthesis(rest, depth + 1)?;
        filters.push(filter);
        rest = behind;
    }
    if filters.is_empty() || (tag == 0xa2 && filters.len() > 1) {
        return Err(FilterError::Combination);
    }
    let rest = rest.strip_prefix(')').ok_or(FilterError::NotClosed)?;
    let parts: Vec<&[u8]> = filters.iter().map(Vec::as_slice).collect();
    Ok((element(tag, &parts), rest))
}

/// `attribute=value`, `attribute>=value`, `attribute<=value`, `attribute~=value` or `attribute=*`.
fn comparison(item: &str) -> Result<Vec<u8>, FilterError> {
    let refused = || FilterError::Comparison(item.to_owned());
    let (left, value) = item.split_once('=').ok_or_else(refused)?;
    let (name, tag) = match left.as_bytes().last() {
        Some(b'>') => (&left[..left.len() - 1], 0xa5),
        Some(b'<') => (&left[..left.len() - 1], 0xa6),
        Some(b'~') => (&left[..left.len() - 1], 0xa8),
        _ => (left, 0xa3),
    };
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-;.".contains(&b));
    if !is_name(name) {
        return Err(refused());
    }
    if tag == 0xa3 && value == "*" {
        return Ok(element(0x87, &[name.as_bytes()]));
    }
    if value.contains('*') {
        return Err(FilterError::Wildcards(item.to_owned()));
    }
    Ok(element(tag, &[&element(0x04, &[name.as_bytes()]), &element(0x04, &[&unescaped(value)?])]))
}

/// RFC 4515 section 3: a backslash and two hexadecimal digits stand for an octet.
fn unescaped(value: &str) -> Result<Vec<u8>, FilterError> {
    let (mut out, mut rest) = (Vec::with_capacity(value.len()), value.as_bytes());
    while let [first, behind @ ..] = rest {
        rest = behind;
        out.push(match (first, behind) {
            (b'\\', [high, low, behind @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest = behind;
                match hex(*high) << 4 | hex(*low) {
                    control @ (0..=0x1f | 0x7f) => {
                        return Err(FilterError::Control(control));
                    }
                    octet => octet,
                }
            }
            (b'\\', _) => return Err(FilterError::Backslash),
            _ => *first,
        });
    }
    Ok(out)
}

/// The value of a hexadecimal digit.
pub(super) fn hex(digit: u8) -> u8 {
    char::from(digit).to_digit(16).map_or(0, |value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_those_of_the_standard() {
        let equal = |name: &str, value: &[u8]| element(0xa3, &[&element(4, &[name.as_bytes()]), &element(4, &[value])]);
        assert_eq!(encode("(objectClass=*)").unwrap(), element(0x87, &[b"objectClass"]));
        assert_eq!(encode("objectClass=pkiCA").unwrap(), equal("objectClass", b"pkiCA"));
        assert_eq!(encode("(cn=a\\2a\\5c\\c3=)").unwrap(), equal("cn", b"a*\\\xc3="));
        let both = element(0xa0, &[&equal("cn", b"a"), &element(0xa2, &[&equal("o", b"b")])]);
        assert_eq!(encode("(&(cn=a)(!(o=b)))").unwrap(), both);
        let older = element(0xa6, &[&element(4, &[b"x"]), &element(4, &[b"3"])]);
        assert_eq!(encode("(|(x<=3)(cn=a))").unwrap(), element(0xa1, &[&older, &equal("cn", b"a")]));
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for text in [
            "(",
            "()",
            "(cn)",
            "(=a)",
            "(cn=a",
            "(cn=a))",
            "(&)",
            "(!(a=1)(b=2))",
            "(cn:dn:=a)",
            "(cn=\\zz)",
            "(cn=a*b)",
        ] {
            assert!(encode(text).is_err(), "{text}");
        }
        assert!(encode(&format!("{}(a=1){}", "(!".repeat(7), ")".repeat(7))).is_ok());
        assert!(encode(&format!("{}(a=1){}", "(!".repeat(20_000), ")".repeat(20_000))).is_err(), "no deep recursion");
    }
}
