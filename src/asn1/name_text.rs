//! Distinguished names as people write them: RFC 4514, RFC 1779 and OpenSSL's form with slashes; and shown to them.

use core::fmt::Write;

use super::der::{Asn1Error, element, sequence};
use super::directory_string::{self, objection, type_of};
use super::element::take_any;
use super::oid::{self, Oid};
use crate::prelude::*;
use crate::words::hex;
pub(crate) use crate::words::is_misleading;

/// The attribute types of everyday names, as they are shown: the registry's shortest, in capitals.
const SHOWN: &[(&str, Oid)] = &[
    ("CN", oid::AT_COMMON_NAME),
    ("O", oid::AT_ORGANIZATION),
    ("OU", oid::AT_ORGANIZATIONAL_UNIT),
    ("C", oid::AT_COUNTRY),
    ("SERIALNUMBER", oid::AT_SERIAL_NUMBER),
    ("L", oid::AT_LOCALITY),
    ("ST", oid::AT_STATE),
    ("STREET", oid::AT_STREET),
    ("DC", oid::AT_DOMAIN_COMPONENT),
    ("UID", oid::AT_USER_ID),
    ("EMAIL", oid::EMAIL_ADDRESS),
    ("SN", oid::AT_SURNAME),
    ("GN", oid::AT_GIVEN_NAME),
    ("INITIALS", oid::AT_INITIALS),
    ("TITLE", oid::AT_TITLE),
    ("DNQUALIFIER", oid::AT_DN_QUALIFIER),
];

/// Names of attribute types beside those of the registry, in small letters.
const NAMES: &[(&str, Oid)] = &[
    ("e", oid::EMAIL_ADDRESS),
    ("email", oid::EMAIL_ADDRESS),
    ("emailaddress", oid::EMAIL_ADDRESS),
    // As Microsoft's tools write stateOrProvinceName, givenName, initials and title.
    ("s", oid::AT_STATE),
    ("sp", oid::AT_STATE),
    ("st", oid::AT_STATE),
    ("g", oid::AT_GIVEN_NAME),
    ("gn", oid::AT_GIVEN_NAME),
    ("i", oid::AT_INITIALS),
    ("t", oid::AT_TITLE),
    ("sn", oid::AT_SURNAME),
    ("serialnumber", oid::AT_SERIAL_NUMBER),
    ("street", oid::AT_STREET),
    ("streetaddress", oid::AT_STREET),
    ("dnq", oid::AT_DN_QUALIFIER),
    ("dnqualifier", oid::AT_DN_QUALIFIER),
    ("commonname", oid::AT_COMMON_NAME),
    ("surname", oid::AT_SURNAME),
    ("givenname", oid::AT_GIVEN_NAME),
    ("countryname", oid::AT_COUNTRY),
    ("localityname", oid::AT_LOCALITY),
    ("stateorprovincename", oid::AT_STATE),
    ("organizationname", oid::AT_ORGANIZATION),
    ("organizationalunitname", oid::AT_ORGANIZATIONAL_UNIT),
    ("domaincomponent", oid::AT_DOMAIN_COMPONENT),
    ("userid", oid::AT_USER_ID),
    ("organizationidentifier", Oid::new_unwrap("2.5.4.97")),
    ("postalcode", Oid::new_unwrap("2.5.4.17")),
    ("pc", Oid::new_unwrap("2.5.4.17")),
    ("role", Oid::new_unwrap("2.5.4.72")),
    ("unstructuredname", Oid::new_unwrap("1.2.840.113549.1.9.2")),
    ("unstructuredaddress", Oid::new_unwrap("1.2.840.113549.1.9.8")),
    ("jurisdictionc", oid::AT_JURISDICTION_COUNTRY),
    ("jurisdictioncountryname", oid::AT_JURISDICTION_COUNTRY),
];

/// A text being read.
struct Reader<'a> {
    text: &'a str,
    position: usize,
}

/// One attribute's type, value and where the value stands.
type Attribute = (Oid, Vec<u8>);

/// The DER of a Name from its text: most specific attribute first, or, if it begins with a slash, last.
pub(super) fn parse(text: &str) -> Result<Vec<u8>, Asn1Error> {
    let mut reader = Reader { text, position: 0 };
    reader.skip_spaces();
    let has_slashes = reader.peek() == Some('/');
    let mut rdns = if has_slashes { reader.slashed()? } else { reader.separated()? };
    if !has_slashes && !is_root_first(text, &rdns) {
        rdns.reverse();
    }
    let parts: Vec<Vec<u8>> = rdns.into_iter().map(encode_rdn).collect();
    Ok(sequence(&[&parts.concat()]))
}

/// What `openssl x509 -subject` prints, `C = SE, O = Example, CN = device`: in the order of the encoding, with a blank on each side
/// of every equals sign, and from the most general attribute to the most particular one.
fn is_root_first(text: &str, rdns: &[Vec<Attribute>]) -> bool {
    let rank = |rdn: &Vec<Attribute>| {
        let kind = rdn.first().map(|(kind, _)| *kind);
        let general = [
            oid::AT_DOMAIN_COMPONENT,
            oid::AT_COUNTRY,
            oid::AT_STATE,
            oid::AT_LOCALITY,
            oid::AT_ORGANIZATION,
            oid::AT_ORGANIZATIONAL_UNIT,
        ];
        general.iter().position(|general| Some(*general) == kind).unwrap_or(general.len())
    };
    let ranks: Vec<usize> = rdns.iter().map(rank).collect();
    text.matches('=').count() == text.matches(" = ").count() && ranks.is_sorted() && ranks.first() < ranks.last()
}

fn encode_rdn(attributes: Vec<Attribute>) -> Vec<u8> {
    let mut encoded: Vec<Vec<u8>> =
        attributes.iter().map(|(kind, value)| sequence(&[&element(0x06, &[kind.as_bytes()]), value])).collect();
    // DER sorts the elements of a SET OF (X.690 section 11.6).
    crate::order::sort(&mut encoded);
    element(0x31, &[&encoded.concat()])
}

impl<'a> Reader<'a> {
    /// RFC 4514 section 3, with what RFC 2253 section 4 and RFC 1779 let people write: spaces around, `;`, quotes.
    fn separated(&mut self) -> Result<Vec<Vec<Attribute>>, Asn1Error> {
        let mut rdns = vec![vec![self.attribute(&[',', ';', '+'])?]];
        loop {
            match self.next() {
                None => return Ok(rdns),
                Some('+') => {
                    let attribute = self.attribute(&[',', ';', '+'])?;
                    if let Some(last) = rdns.last_mut() {
                        last.push(attribute);
                    }
                }
                Some(_) => rdns.push(vec![self.attribute(&[',', ';', '+'])?]),
            }
        }
    }

    /// `/C=SE/CN=x`: the first is the most general one.
    fn slashed(&mut self) -> Result<Vec<Vec<Attribute>>, Asn1Error> {
        let mut rdns = Vec::new();
        while self.next().is_some() {
            rdns.push(vec![self.attribute(&['/'])?]);
        }
        Ok(rdns)
    }

    /// Type, equals sign, value; the position is then at a separator or the end.
    fn attribute(&mut self, separators: &[char]) -> Result<Attribute, Asn1Error> {
        self.skip_spaces();
        let start = self.position;
        while self.peek().is_some_and(|c| c != '=' && !separators.contains(&c)) {
            self.next();
        }
        let name = self.text[start..self.position].trim_end();
        if self.peek() != Some('=') {
            return Err(self.refuse(start, format!("expected TYPE=value, such as CN=router-7, found {}", shown(name))));
        }
        let kind = attribute_type(name).ok_or_else(|| {
            self.refuse(
                start,
                format!("{} is not a known type of attribute; others are written by number", shown(name)),
            )
        })?;
        self.next();
        self.skip_spaces();
        let start = self.position;
        let value = match self.peek() {
            Some('#') => self.hexadecimal(separators)?,
            Some('"') => self.quoted(separators).map(|text| (kind, text)).and_then(|v| self.string(start, v))?,
            _ => self.plain(separators).map(|text| (kind, text)).and_then(|v| self.string(start, v))?,
        };
        Ok((kind, value))
    }

    fn string(&self, start: usize, (kind, text): (Oid, String)) -> Result<Vec<u8>, Asn1Error> {
        match objection(kind, &text) {
            Some(why) => {
                // `telephoneNumber=+46...`: people do not take it for a separator.
                let joins = text.is_empty() && self.peek() == Some('+');
                let hint = if joins {
                    "; a plus sign joins attributes, one that is part of the value is written \\+"
                } else {
                    ""
                };
                Err(self.refuse(start, format!("{why}, in {}={}{hint}", short_name(kind), shown(&text))))
            }
            None => Ok(element(type_of(kind), &[text.as_bytes()])),
        }
    }

    /// `#` and the DER of any value, in hexadecimal (RFC 4514 section 2.4).
    fn hexadecimal(&mut self, separators: &[char]) -> Result<Vec<u8>, Asn1Error> {
        let start = self.position;
        self.next();
        let digits = self.plain(separators)?;
        let pairs = digits.as_bytes().chunks(2).map(|pair| match pair {
            [high, low] => Some((digit(*high)? << 4) | digit(*low)?),
            _ => None,
        });
        let bytes: Option<Vec<u8>> = pairs.collect();
        let is_one = |der: &Vec<u8>| take_any(der).is_some_and(|(.., rest)| rest.is_empty());
        bytes.filter(is_one).ok_or_else(|| self.refuse(start, "expected one value as DER in hexadecimal behind #"))
    }

    /// Up to the closing quote; separators mean nothing in it.
    fn quoted(&mut self, separators: &[char]) -> Result<String, Asn1Error> {
        let start = self.position;
        self.next();
        let mut value = Vec::new();
        loop {
            match self.next() {
                None => return Err(self.refuse(start, "a quote that is not closed")),
                Some('"') => break,
                Some('\\') => self.escaped(&mut value)?,
                Some(c) => push(&mut value, c),
            }
        }
        self.skip_spaces();
        match self.peek() {
            Some(c) if !separators.contains(&c) => {
                let found = shown(&c.to_string());
                Err(self.refuse(self.position, format!("expected a separator behind the closing quote, found {found}")))
            }
            _ => self.utf8(start, value),
        }
    }

    /// Up to a separator that is not escaped; spaces at the end are not part of it.
    fn plain(&mut self, separators: &[char]) -> Result<String, Asn1Error> {
        let start = self.position;
        let mut value = Vec::new();
        let mut kept = 0;
        let mut control = None;
        while let Some(c) = self.peek() {
            if separators.contains(&c) && !self.is_part_of_value(c) {
                break;
            }
            let at = self.position;
            self.next();
            match c {
                '\\' => {
                    self.escaped(&mut value)?;
                    kept = value.len();
                }
                c => {
                    if c.is_control() && control.is_none() {
                        control = Some((at, value.len()));
                    }
                    push(&mut value, c);
                    kept = if c.is_ascii_whitespace() { kept } else { value.len() };
                }
            }
        }
        // The line end of a file is no part of a name, nor is any other inside it that nobody wrote on purpose.
        if let Some((at, _)) = control.filter(|(_, index)| *index < kept) {
            let words = "a control character in a value; one that is meant is written as a backslash and two hexadecimal digits";
            return Err(self.refuse(at, words));
        }
        value.truncate(kept);
        self.utf8(start, value)
    }

    /// A slash begins an attribute only where one follows: `/CN=host/a.example` has one attribute.
    fn is_part_of_value(&self, separator: char) -> bool {
        let rest = self.text[self.position..].get(1..).unwrap_or_default();
        separator == '/' && !rest.split('/').next().unwrap_or_default().contains('=') && !rest.is_empty()
    }

    /// RFC 4514 section 2.4: a special character, or a byte of UTF-8 as two hexadecimal digits. A backslash before anything else
    /// is most often meant as itself (`DOMAIN\user`), which would be another name without it: that is for the writer to say.
    fn escaped(&mut self, value: &mut Vec<u8>) -> Result<(), Asn1Error> {
        let start = self.position - 1;
        let first = self.next().ok_or_else(|| self.refuse(start, "a backslash at the end"))?;
        match (ascii_digit(first), self.peek().and_then(ascii_digit)) {
            (Some(high), Some(low)) => {
                self.next();
                value.push((high << 4) | low);
            }
            _ if first.is_ascii_alphanumeric() || (!first.is_ascii() && !first.is_whitespace()) => {
                let words = "expected two hexadecimal digits or a special character behind a backslash; a backslash itself is \
                             written twice";
                return Err(self.refuse(start, words));
            }
            _ => push(value, first),
        }
        Ok(())
    }

    fn utf8(&self, start: usize, value: Vec<u8>) -> Result<String, Asn1Error> {
        String::from_utf8(value).map_err(|_| self.refuse(start, "escaped bytes that are not UTF-8"))
    }

    fn skip_spaces(&mut self) {
        while self.peek().is_some_and(|c| c.is_ascii_whitespace()) {
            self.next();
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.position..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.position += c.len_utf8();
        Some(c)
    }

    fn refuse(&self, at: usize, rule: impl core::fmt::Display) -> Asn1Error {
        let character = self.text[..at].chars().count() + 1;
        Asn1Error::invalid("Name", format!("{rule} (character {character} of {})", shown(self.text)))
    }
}

fn push(value: &mut Vec<u8>, c: char) {
    value.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn ascii_digit(c: char) -> Option<u8> {
    u8::try_from(c).ok().and_then(digit)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// A text of the caller's in quotes, not too much of it, on one line.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(80).map(|c| if is_misleading(c) { '\u{fffd}' } else { c }).collect();
    if short.len() < text.len() { format!("\"{short}...\"") } else { format!("\"{short}\"") }
}

/// By its name in any case, or by number, with or without `OID.` before it.
fn attribute_type(name: &str) -> Option<Oid> {
    let all_known = || NAMES.iter().chain(SHOWN);
    let known = all_known().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, kind)| *kind);
    let by_number = || {
        let has_prefix = name.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("oid."));
        Oid::new(if has_prefix { &name[4..] } else { name }).ok()
    };
    known.or_else(|| registry::kind_of(name)).or_else(by_number)
}

/// The name of an attribute type as it is shown: the shortest of the registry, in capitals; or its number.
fn short_name(kind: Oid) -> String {
    registered_name(kind.as_bytes()).unwrap_or_else(|| kind.to_string())
}

fn registered_name(kind: &[u8]) -> Option<String> {
    let known = SHOWN.iter().find(|(_, known)| known.as_bytes() == kind);
    known.map(|(name, _)| (*name).to_owned()).or_else(|| registry::name_of(kind))
}

/// All names that are registered: a table of some 100 KB.
#[cfg(feature = "identifier-names")]
mod registry {
    use const_oid::db::DB;

    use super::Oid;
    use crate::prelude::*;

    pub(super) fn kind_of(name: &str) -> Option<Oid> {
        let found = DB.by_name(name).or_else(|| DB.by_name(&name.to_ascii_lowercase()))?;
        Oid::from_bytes(found.as_bytes()).ok()
    }

    pub(super) fn name_of(kind: &[u8]) -> Option<String> {
        let known = const_oid::ObjectIdentifier::from_bytes(kind).ok()?;
        let mut names: Vec<&str> = DB.find_names_for_oid(known).collect();
        // Of equally short ones the first.
        crate::order::sort_by_key(&mut names, |name| name.len());
        names.first().map(|name| name.to_ascii_uppercase())
    }
}

/// Without it other types of attributes are known by number, and shown by it, as RFC 4514 section 2.4 has it for those.
#[cfg(not(feature = "identifier-names"))]
mod registry {
    use super::Oid;
    use crate::prelude::*;

    pub(super) fn kind_of(_name: &str) -> Option<Oid> {
        None
    }

    pub(super) fn name_of(_kind: &[u8]) -> Option<String> {
        None
    }
}

/// The text form of an encoded name (RFC 4514 section 2); `None` if it is no name.
pub(super) fn write(der: &[u8]) -> Option<String> {
    let (0x30, mut rdns, []) = take_any(der)? else { return None };
    let mut parts = Vec::new();
    while !rdns.is_empty() {
        let (0x31, mut attributes, rest) = take_any(rdns)? else { return None };
        rdns = rest;
        let mut rdn = Vec::new();
        while !attributes.is_empty() {
            let (0x30, fields, rest) = take_any(attributes)? else { return None };
            attributes = rest;
            let (0x06, kind, value) = take_any(fields)? else { return None };
            rdn.push(write_attribute(kind, value)?);
        }
        parts.push(rdn.join("+"));
    }
    // RFC 4514 section 2.1: the last comes first.
    parts.reverse();
    Some(parts.join(","))
}

fn write_attribute(kind: &[u8], value: &[u8]) -> Option<String> {
    let (tag, content, []) = take_any(value)? else { return None };
    match (registered_name(kind), directory_string::text(tag, content)) {
        (Some(name), Some(text)) => Some(format!("{name}={}", escape(&text))),
        _ => Some(format!("{}=#{}", super::object_identifier::Dotted(kind), hex(value))),
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (i, c) in text.chars().enumerate() {
        match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => out.extend(['\\', c]),
            '#' if i == 0 => out.push_str("\\#"),
            ' ' if i == 0 || i == last => out.push_str("\\ "),
            '\0'..='\x1f' | '\x7f' => {
                let _ = write!(out, "\\{:02x}", u32::from(c));
            }
            // They must not reshape the reader's terminal.
            c if is_misleading(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(all(test, feature = "identifier-names"))]
mod tests {
    use super::*;

    #[test]
    fn everyday_names_are_those_of_the_registry() {
        for (name, kind) in SHOWN {
            assert_eq!(registry::name_of(kind.as_bytes()).as_deref(), Some(*name));
            assert_eq!(registry::kind_of(name), Some(*kind), "{name}");
            assert_eq!(
                (attribute_type(name), registered_name(kind.as_bytes())),
                (Some(*kind), Some((*name).to_owned()))
            );
        }
    }
}
