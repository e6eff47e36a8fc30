//! What extensions say, part by part: as it is compared, and in words.

use core::fmt;

use crate::asn1::der::{Asn1Error, Cursor};
use crate::asn1::general_name::{GeneralName, GeneralNames};
use crate::asn1::name;
use crate::asn1::oid::Oid;
use crate::asn1::purpose;
use crate::asn1::x509::read_oid;
use crate::prelude::*;
use crate::validation::KeyUsage;

/// One element of a set: what it means, and how it is told.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub meaning: Vec<u8>,
    pub words: String,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

pub(super) type Read = fn(&[u8]) -> Result<Vec<Part>, Asn1Error>;

pub(super) fn alternative_names(der: &[u8]) -> Result<Vec<Part>, Asn1Error> {
    GeneralNames::parse(der, "SubjectAltName")?.map(|name| Ok(alternative_name(&name?))).collect()
}

/// RFC 5280 section 7: hosts and the domains of mailboxes have no case (RFC 4343), the local part of a mailbox has; of a URI,
/// scheme and host have none.
fn alternative_name(name: &GeneralName<'_>) -> Part {
    let content = match name {
        // A dot at the end says that the name is whole, as it is in certificates without one.
        GeneralName::Dns(host) => host.strip_suffix(b".").unwrap_or(host).to_ascii_lowercase(),
        GeneralName::Rfc822(mailbox) => match mailbox.iter().rposition(|b| *b == b'@') {
            Some(at) => [&mailbox[..at], &mailbox[at..].to_ascii_lowercase()].concat(),
            None => mailbox.to_ascii_lowercase(),
        },
        GeneralName::Uri(uri) => without_case_of_host(uri),
        GeneralName::Directory(name) => directory_meaning(name),
        other => other.content().to_vec(),
    };
    let words = name.to_string();
    let words = match words.split_once(':') {
        Some((form @ ("DNS" | "URI" | "IP"), rest)) => format!("{}:{rest}", form.to_ascii_lowercase()),
        _ => words,
    };
    Part { meaning: [&[name.form()][..], &content].concat(), words }
}

/// Scheme, and behind `//` and a user the host, in lower case (RFC 5280 section 7.4).
fn without_case_of_host(uri: &[u8]) -> Vec<u8> {
    let Some(colon) = uri.iter().position(|b| *b == b':') else { return uri.to_vec() };
    let mut same = uri.to_vec();
    same[..colon].make_ascii_lowercase();
    if uri[colon + 1..].starts_with(b"//") {
        let begin = colon + 3;
        let end = uri[begin..].iter().position(|b| b"/?#".contains(b)).map_or(uri.len(), |length| begin + length);
        let host = uri[begin..end].iter().rposition(|b| *b == b'@').map_or(begin, |at| begin + at + 1);
        same[host..end].make_ascii_lowercase();
    }
    same
}

/// Names that are the same by RFC 5280 section 7.1 are shown alike but for case and spaces.
fn directory_meaning(der: &[u8]) -> Vec<u8> {
    let shown = name::display(der).to_lowercase();
    shown.split_whitespace().collect::<Vec<_>>().join(" ").into_bytes()
}

/// The bits that are set: zeros at the end say nothing (RFC 5280 section 4.2.1.3).
pub(super) fn key_usages(der: &[u8]) -> Result<Vec<Part>, Asn1Error> {
    let mut cursor = Cursor::new(der, "KeyUsage")?;
    let bits = cursor.expect(::der::Tag::BitString, "a BIT STRING")?.value;
    cursor.finish()?;
    let bytes = bits.get(1..).unwrap_or_default();
    let is_set = |bit: usize| bytes.get(bit / 8).is_some_and(|byte| byte & (0x80 >> (bit % 8)) != 0);
    let set = (0..bytes.len() * 8).filter(|bit| is_set(*bit));
    Ok(set.map(|bit| Part { meaning: vec![bit as u8], words: usage_name(bit) }).collect())
}

fn usage_name(bit: usize) -> String {
    const ALL: [KeyUsage; 9] = [
        KeyUsage::DigitalSignature,
        KeyUsage::ContentCommitment,
        KeyUsage::KeyEncipherment,
        KeyUsage::DataEncipherment,
        KeyUsage::KeyAgreement,
        KeyUsage::KeyCertSign,
        KeyUsage::CrlSign,
        KeyUsage::EncipherOnly,
        KeyUsage::DecipherOnly,
    ];
    ALL.get(bit).map_or_else(|| format!("bit {bit}"), |usage| usage.name().to_owned())
}

pub(super) fn purposes(der: &[u8]) -> Result<Vec<Part>, Asn1Error> {
    identifiers(der, "ExtKeyUsageSyntax", |found| {
        purpose::name_of(found).map_or_else(|| found.to_string(), str::to_owned)
    })
}

fn identifiers(der: &[u8], what: &'static str, words: fn(Oid) -> String) -> Result<Vec<Part>, Asn1Error> {
    let mut cursor = Cursor::sequence(der, what)?;
    let mut found = Vec::new();
    while !cursor.is_empty() {
        let oid = read_oid(&mut cursor)?;
        found.push(Part { meaning: oid.as_bytes().to_vec(), words: words(oid) });
    }
    Ok(found)
}

/// Policies by their identifiers; qualifiers are words for people.
pub(super) fn policies(der: &[u8]) -> Result<Vec<Part>, Asn1Error> {
    let mut cursor = Cursor::sequence(der, "certificatePolicies")?;
    let mut found = Vec::new();
    while !cursor.is_empty() {
        let policy = cursor.expect(::der::Tag::Sequence, "a PolicyInformation")?;
        let oid = read_oid(&mut Cursor::new(policy.value, "PolicyInformation")?)?;
        found.push(Part { meaning: oid.as_bytes().to_vec(), words: format!("policy {oid}") });
    }
    Ok(found)
}

/// No CA is the same as no extension, and as a FALSE that is written out (RFC 5280 section 4.2.1.9).
pub(super) fn basic_constraints(der: &[u8]) -> Result<Vec<Part>, Asn1Error> {
    let mut fields = Cursor::sequence(der, "BasicConstraints")?;
    let mut found = Vec::new();
    if let Some(is_ca) = fields.optional(::der::Tag::Boolean)? {
        if is_ca.value != [0] {
            found.push(Part { meaning: b"ca".to_vec(), words: "cA".to_owned() });
        }
    }
    if let Some(length) = fields.optional(::der::Tag::Integer)? {
        let shown = length.value.iter().fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte));
        let meaning = [b"length", length.value].concat();
        found.push(Part { meaning, words: format!("pathLenConstraint {shown}") });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asn1::der::{element, sequence};

    #[test]
    fn names_of_rare_forms_are_told_in_words() {
        let upn = element(0xa0, &[&[0x06, 0x03, 0x2a, 0x03, 0x04], &element(0xa0, &[&element(0x0c, &[b"me@x"])])]);
        let names = sequence(&[&upn, &element(0x88, &[&[0x2a, 0x03]])]);
        let words: Vec<String> = alternative_names(&names).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(words, ["otherName 1.2.3.4:me@x", "registeredID:1.2.3"]);
    }
}
