//! GeneralName (RFC 5280 section 4.2.1.6): a typed view of bytes, so that one form is never read as another. The one reader
//! of such names: in certificates, in CRLs and in distribution points.

use core::fmt;
use core::net::IpAddr;

use ::der::{Tag, TagNumber};

use super::der::{Asn1Error, Cursor};
use super::fields::read_oid;
use super::oid::Oid;
use super::x509::Certificate;
use super::{directory_string, name, oid};
use crate::prelude::*;
use crate::words::hex;

/// One name in one of its nine forms; contents are as they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeneralName<'a> {
    /// otherName: content of the SEQUENCE.
    Other(&'a [u8]),
    /// rfc822Name: ASCII.
    Rfc822(&'a [u8]),
    /// dNSName: ASCII.
    Dns(&'a [u8]),
    /// x400Address.
    X400(&'a [u8]),
    /// directoryName: a Name with tag and length.
    Directory(&'a [u8]),
    /// ediPartyName.
    EdiParty(&'a [u8]),
    /// uniformResourceIdentifier: ASCII.
    Uri(&'a [u8]),
    /// iPAddress: octets.
    Ip(&'a [u8]),
    /// registeredID: content of the OBJECT IDENTIFIER.
    RegisteredId(&'a [u8]),
    /// A text of the form of this number that is not ASCII, as an IA5String must be: it equals nothing, and cannot be compared.
    NotAscii(u8, &'a [u8]),
}

impl<'a> GeneralName<'a> {
    /// Reads the next one.
    pub fn read(cursor: &mut Cursor<'a>) -> Result<Self, Asn1Error> {
        const WHAT: &str = "GeneralName";
        let element = cursor.any("a GeneralName")?;
        let Tag::ContextSpecific { constructed, number: TagNumber(number) } = element.tag else {
            return Err(Asn1Error::invalid(WHAT, "not one of the forms [0] to [8]"));
        };
        match (number, constructed) {
            // One such name does not spoil those beside it.
            (1 | 2 | 6, false) if !element.value.is_ascii() => Ok(GeneralName::NotAscii(number as u8, element.value)),
            (0, true) => Ok(GeneralName::Other(element.value)),
            (1, false) => Ok(GeneralName::Rfc822(element.value)),
            (2, false) => Ok(GeneralName::Dns(element.value)),
            (3, true) => Ok(GeneralName::X400(element.value)),
            (4, true) => {
                let mut inner = Cursor::new(element.value, WHAT)?;
                let name = inner.expect(Tag::Sequence, "a Name")?;
                inner.finish()?;
                Ok(GeneralName::Directory(name.bytes))
            }
            (5, true) => Ok(GeneralName::EdiParty(element.value)),
            (6, false) => Ok(GeneralName::Uri(element.value)),
            (7, false) => Ok(GeneralName::Ip(element.value)),
            (8, false) => Ok(GeneralName::RegisteredId(element.value)),
            _ => Err(Asn1Error::invalid(WHAT, "not one of the forms [0] to [8]")),
        }
    }

    /// The number of the form: the tag's.
    pub fn form(&self) -> u8 {
        match self {
            GeneralName::Other(_) => 0,
            GeneralName::Rfc822(_) => 1,
            GeneralName::Dns(_) => 2,
            GeneralName::X400(_) => 3,
            GeneralName::Directory(_) => 4,
            GeneralName::EdiParty(_) => 5,
            GeneralName::Uri(_) => 6,
            GeneralName::Ip(_) => 7,
            GeneralName::RegisteredId(_) => 8,
            GeneralName::NotAscii(form, _) => *form,
        }
    }
}

impl<'a> GeneralName<'a> {
    /// The content of the form, as it came; a directoryName with tag and length.
    pub fn content(&self) -> &'a [u8] {
        match *self {
            GeneralName::Other(content)
            | GeneralName::Rfc822(content)
            | GeneralName::Dns(content)
            | GeneralName::X400(content)
            | GeneralName::Directory(content)
            | GeneralName::EdiParty(content)
            | GeneralName::Uri(content)
            | GeneralName::Ip(content)
            | GeneralName::RegisteredId(content)
            | GeneralName::NotAscii(_, content) => content,
        }
    }
}

/// In words such as `DNS:router-7.example`; control characters of a stranger's name are shown as U+FFFD.
impl fmt::Display for GeneralName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| -> String {
            String::from_utf8_lossy(bytes)
                .chars()
                .map(|c| if name::is_misleading(c) { '\u{fffd}' } else { c })
                .collect()
        };
        match self {
            GeneralName::Dns(name) => write!(f, "DNS:{}", text(name)),
            GeneralName::Rfc822(address) => write!(f, "email:{}", text(address)),
            GeneralName::Uri(uri) => write!(f, "URI:{}", text(uri)),
            GeneralName::Directory(name) => write!(f, "dirName:{}", name::display(name)),
            GeneralName::Ip(octets) => match (<[u8; 4]>::try_from(*octets), <[u8; 16]>::try_from(*octets)) {
                (Ok(octets), _) => write!(f, "IP:{}", IpAddr::from(octets)),
                (_, Ok(octets)) => write!(f, "IP:{}", IpAddr::from(octets)),
                _ => write!(f, "IP:{}", hex(octets)),
            },
            GeneralName::Other(content) => match other_name(content) {
                Some((kind, Some(value))) => write!(f, "otherName {kind}:{}", text(value.as_bytes())),
                Some((kind, None)) => write!(f, "otherName {kind}"),
                None => f.write_str("otherName that cannot be read"),
            },
            GeneralName::RegisteredId(content) => match Oid::from_bytes(content) {
                Ok(identifier) => write!(f, "registeredID:{identifier}"),
                Err(_) => f.write_str("registeredID that cannot be read"),
            },
            GeneralName::NotAscii(form, value) => {
                let kind = ["email", "DNS", "URI"][match form {
                    1 => 0,
                    2 => 1,
                    _ => 2,
                }];
                write!(f, "{kind}:{} (not ASCII)", text(value))
            }
            GeneralName::X400(_) => f.write_str("x400Address"),
            GeneralName::EdiParty(_) => f.write_str("ediPartyName"),
        }
    }
}

/// The type of an otherName, and its value where that is text.
fn other_name(content: &[u8]) -> Option<(Oid, Option<String>)> {
    let mut fields = Cursor::new(content, "otherName").ok()?;
    let kind = read_oid(&mut fields).ok()?;
    let value = fields.optional_context(0, true).ok().flatten();
    let text = value.and_then(|value| {
        let mut inner = Cursor::new(value.value, "otherName").ok()?;
        let (tag, value) = (inner.next_byte()?, inner.any("a value").ok()?);
        directory_string::text(tag, value.value).map(|text| text.into_owned())
    });
    Some((kind, text))
}

/// The names in a certificate's subjectAltName in words, in their order. Those that cannot be read are left out: validation
/// reports them.
pub fn alternative_names(certificate: &Certificate) -> Vec<String> {
    let Some(extension) = certificate.extension(oid::CE_SUBJECT_ALT_NAME) else { return Vec::new() };
    let Ok(names) = GeneralNames::parse(extension.value, "SubjectAltName") else { return Vec::new() };
    names.flatten().map(|name| name.to_string()).collect()
}

/// The names in the content of a GeneralNames, one by one.
#[derive(Clone, Debug)]
pub(crate) struct GeneralNames<'a>(Cursor<'a>);

impl<'a> GeneralNames<'a> {
    /// From the whole SEQUENCE OF; an empty one is refused (RFC 5280 section 4.2.1.6).
    pub(crate) fn parse(der: &'a [u8], structure: &'static str) -> Result<Self, Asn1Error> {
        let cursor = Cursor::sequence(der, structure)?;
        if cursor.is_empty() {
            return Err(Asn1Error::invalid(structure, "an empty list of names"));
        }
        Ok(GeneralNames(cursor))
    }

    /// From the content of an implicitly tagged GeneralNames.
    pub(crate) fn from_content(content: &'a [u8], structure: &'static str) -> Result<Self, Asn1Error> {
        let cursor = Cursor::new(content, structure)?;
        if cursor.is_empty() {
            return Err(Asn1Error::invalid(structure, "an empty list of names"));
        }
        Ok(GeneralNames(cursor))
    }
}

/// Most names read into one list; real ones have one to four.
const MAX_NAMES: usize = 64;

/// All names in the content of a GeneralNames; an empty list is refused (SIZE 1..MAX).
pub(crate) fn general_names(content: &[u8]) -> Result<Vec<GeneralName<'_>>, Asn1Error> {
    let mut names = Vec::new();
    for name in GeneralNames::from_content(content, "GeneralNames")? {
        if names.len() == MAX_NAMES {
            return Err(Asn1Error::too_large("GeneralNames", "count", MAX_NAMES, names.len() + 1));
        }
        names.push(name?);
    }
    Ok(names)
}

impl<'a> Iterator for GeneralNames<'a> {
    type Item = Result<GeneralName<'a>, Asn1Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let before = self.0.offset();
        let name = GeneralName::read(&mut self.0);
        if self.0.offset() == before {
            // No element that could be stepped over: nothing behind it can be read either.
            self.0 = self.0.at_end();
        }
        Some(name)
    }
}
