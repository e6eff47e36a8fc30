//! What a CA wants requests to look like (CertReqTemplateContent, RFC 9810 section 5.3.19.16), in words and as JSON.

use const_oid::ObjectIdentifier;
use const_oid::db::DB;
use devid::asn1::crmf::TemplateExtension;
use devid::asn1::der::{Cursor, Tag, element, sequence};
use devid::asn1::name::{Name, display};
use devid::cmp::RequestTemplate;
use devid::validation::KeyUsage;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::{date, rfc3339};

/// A part of the request; without a value it is to be filled in by the device.
struct Part {
    /// What it is, such as `CN` or `dNSName`; empty: all of it.
    kind: String,
    value: Option<String>,
}

impl Part {
    fn words(&self) -> String {
        match (self.kind.as_str(), &self.value) {
            ("", None) => "to be filled in".to_owned(),
            ("", Some(value)) => value.clone(),
            (kind, None) => format!("{kind} to be filled in"),
            (kind, Some(value)) => format!("{kind} = {value}"),
        }
    }

    fn json(&self) -> Value {
        json!({ "type": self.kind, "value": self.value })
    }
}

/// The template for people, and for programs.
pub fn told(template: &RequestTemplate) -> Result<(String, Value), Failure> {
    let wanted = &template.template;
    let mut lines = Vec::new();
    let names = |parts: &[Part]| parts.iter().map(Part::words).collect::<Vec<_>>().join(", ");
    let mut name = |what: &str, name: Option<&Name>| -> Result<Value, Failure> {
        let Some(name) = name else { return Ok(Value::Null) };
        let parts = parts_of_name(name)?;
        lines.push(format!("{what}: {}", names(&parts)));
        Ok(parts.iter().map(Part::json).collect())
    };
    let subject = name("subject", wanted.subject.as_ref())?;
    let issuer = name("issuer", wanted.issuer.as_ref())?;
    for (what, time) in [("valid from", wanted.not_before), ("valid until", wanted.not_after)] {
        lines.extend(time.map(|time| format!("{what}: {}", date(time))));
    }
    let mut extensions = Vec::new();
    for extension in &wanted.extensions {
        let (name, parts) = (name_of(&extension.oid.to_string()), parts_of(extension));
        let critical = if extension.critical { " (critical)" } else { "" };
        lines.push(format!("{name}{critical}: {}", names(&parts)));
        let parts: Vec<Value> = parts.iter().map(Part::json).collect();
        let oid = extension.oid.to_string();
        extensions.push(json!({ "oid": oid, "name": name, "critical": extension.critical, "parts": parts }));
    }
    let keys = template.key_words();
    lines.push(match keys.is_empty() {
        true => "keys: the CA says nothing about them".to_owned(),
        false => format!("keys: {}", keys.join(", or ")),
    });
    let document = json!({
        "subject": subject,
        "issuer": issuer,
        "not_before": wanted.not_before.map(rfc3339),
        "not_after": wanted.not_after.map(rfc3339),
        "extensions": extensions,
        "keys": keys,
        "der": hex(&template.der),
    });
    Ok((lines.join("\n") + "\n", document))
}

/// The attributes of a name; the NULL-DN is all to be filled in.
fn parts_of_name(name: &Name) -> Result<Vec<Part>, Failure> {
    if name.is_null() {
        return Ok(vec![Part { kind: String::new(), value: None }]);
    }
    let mut parts = Vec::new();
    let mut names = Cursor::sequence(name.as_der(), "Name")?;
    while !names.is_empty() {
        let mut attributes = Cursor::new(names.expect(Tag::Set, "a RelativeDistinguishedName")?.value, "Name")?;
        while !attributes.is_empty() {
            let one = attributes.expect(Tag::Sequence, "an AttributeTypeAndValue")?;
            let shown = display(&sequence(&[&element(0x31, &[one.bytes])]));
            let (kind, value) = shown.split_once('=').unwrap_or((&shown, ""));
            let mut fields = Cursor::new(one.value, "AttributeTypeAndValue")?;
            fields.any("a type")?;
            let is_empty = fields.any("a value")?.value.is_empty();
            parts.push(Part { kind: kind.to_owned(), value: (!is_empty).then(|| value.to_owned()) });
        }
    }
    Ok(parts)
}

/// What is wanted in an extension: as far as its value is one that is known here, else in hexadecimal.
fn parts_of(extension: &TemplateExtension) -> Vec<Part> {
    let whole = |value: Option<String>| vec![Part { kind: String::new(), value }];
    if extension.value.is_empty() {
        return whole(None);
    }
    let known = match name_of(&extension.oid.to_string()).as_str() {
        "subjectAltName" => general_names(&extension.value),
        "keyUsage" => key_usages(&extension.value).map(|usages| whole(Some(usages))),
        "extKeyUsage" => purposes(&extension.value).map(|purposes| whole(Some(purposes))),
        _ => None,
    };
    known.unwrap_or_else(|| whole(Some(hex(&extension.value))))
}

/// GeneralName by its tag (RFC 5280 section 4.2.1.6).
const GENERAL_NAMES: [&str; 9] = [
    "otherName",
    "rfc822Name",
    "dNSName",
    "x400Address",
    "directoryName",
    "ediPartyName",
    "uniformResourceIdentifier",
    "iPAddress",
    "registeredID",
];

fn general_names(value: &[u8]) -> Option<Vec<Part>> {
    let mut names = Cursor::sequence(value, "SubjectAltName").ok()?;
    let mut parts = Vec::new();
    while !names.is_empty() {
        let one = names.any("a GeneralName").ok()?;
        let kind = GENERAL_NAMES.get(usize::from(one.bytes[0] & 0x1f))?;
        let text = match *kind {
            "rfc822Name" | "dNSName" | "uniformResourceIdentifier" => {
                String::from_utf8_lossy(one.value).escape_debug().to_string()
            }
            "directoryName" => display(one.value),
            "iPAddress" => address(one.value),
            _ => hex(one.value),
        };
        parts.push(Part { kind: (*kind).to_owned(), value: (!one.value.is_empty()).then_some(text) });
    }
    Some(parts)
}

fn address(octets: &[u8]) -> String {
    match (<[u8; 4]>::try_from(octets), <[u8; 16]>::try_from(octets)) {
        (Ok(four), _) => std::net::Ipv4Addr::from(four).to_string(),
        (_, Ok(sixteen)) => std::net::Ipv6Addr::from(sixteen).to_string(),
        _ => hex(octets),
    }
}

/// KeyUsage by its bits (RFC 5280 section 4.2.1.3), as settings name them.
fn key_usages(value: &[u8]) -> Option<String> {
    let mut fields = Cursor::new(value, "KeyUsage").ok()?;
    let bits = fields.expect(Tag::BitString, "a BIT STRING").ok()?.value.get(1..)?;
    let is_set = |usage: &KeyUsage| {
        let bit = *usage as usize;
        bits.get(bit / 8).is_some_and(|octet| octet & (0x80 >> (bit % 8)) != 0)
    };
    Some(KeyUsage::ALL.into_iter().filter(is_set).map(KeyUsage::name).collect::<Vec<_>>().join(" "))
}

fn purposes(value: &[u8]) -> Option<String> {
    let mut fields = Cursor::sequence(value, "ExtKeyUsageSyntax").ok()?;
    let mut names = Vec::new();
    while !fields.is_empty() {
        names.push(name_of(&devid::asn1::x509::read_oid(&mut fields).ok()?.to_string()));
    }
    Some(names.join(" "))
}

/// The name of an identifier as settings have it, or the identifier.
fn name_of(dotted: &str) -> String {
    let known = ObjectIdentifier::new(dotted).ok().and_then(|oid| DB.by_oid(&oid));
    let plain = |name: &str| name.trim_start_matches("id-ce-").trim_start_matches("id-kp-").to_owned();
    known.map_or_else(|| dotted.to_owned(), plain)
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oid(dotted: &str) -> Vec<u8> {
        devid::asn1::der::encode(&ObjectIdentifier::new(dotted).unwrap())
    }

    fn context(number: u8, parts: &[&[u8]]) -> Vec<u8> {
        element(0xa0 | number, parts)
    }

    /// CertTemplate with a subject and extensions, and keySpec.
    fn template(subject: &[u8], extensions: &[&[u8]], keys: &[&[u8]]) -> RequestTemplate {
        let wanted = sequence(&[&context(5, &[subject]), &context(9, extensions)]);
        RequestTemplate::from_der(&sequence(&[&wanted, &sequence(keys)])).unwrap()
    }

    #[test]
    fn what_is_to_be_filled_in_and_what_is_given_are_told_apart() {
        let attribute =
            |kind: &str, value: &str| element(0x31, &[&sequence(&[&oid(kind), &element(0x0c, &[value.as_bytes()])])]);
        let subject = sequence(&[&attribute("2.5.4.10", "Example"), &attribute("2.5.4.3", "")]);
        let extension = |kind: &str, value: &[u8]| sequence(&[&oid(kind), &element(0x04, &[value])]);
        let names =
            sequence(&[&element(0x82, &[]), &element(0x82, &[b"a.example"]), &element(0x87, &[&[192, 0, 2, 7]])]);
        let usage = element(0x03, &[&[5, 0xa0]]);
        let purposes = sequence(&[&oid("1.3.6.1.5.5.7.3.2"), &oid("1.2.3.4")]);
        let extensions = [
            extension("2.5.29.17", &names),
            extension("2.5.29.15", &usage),
            extension("2.5.29.37", &purposes),
            extension("1.2.3.4.5", &[]),
            extension("1.2.3.4.6", &[5, 0]),
        ];
        let rsa = sequence(&[&oid("1.3.6.1.5.5.7.5.1.12"), &element(0x02, &[&[0x0c, 0x00]])]);
        let extensions: Vec<&[u8]> = extensions.iter().map(Vec::as_slice).collect();
        let (words, document) = told(&template(&subject, &extensions, &[&rsa])).unwrap();
        for line in [
            "CN to be filled in",
            "O = Example",
            "subjectAltName: dNSName to be filled in, dNSName = a.example, iPAddress = 192.0.2.7",
            "keyUsage: digitalSignature keyEncipherment",
            "extKeyUsage: clientAuth 1.2.3.4",
            "1.2.3.4.5: to be filled in",
            "1.2.3.4.6: 0500",
            "keys: RSA-3072",
        ] {
            assert!(words.contains(line), "{line} is not in:\n{words}");
        }
        assert_eq!(document["subject"][1], json!({ "type": "CN", "value": null }), "in the order of the template");
        assert_eq!(document["keys"][0], "RSA-3072");
    }

    #[test]
    fn a_template_that_leaves_all_to_the_device_says_so() {
        let (words, document) = told(&template(&sequence(&[]), &[], &[])).unwrap();
        assert!(words.contains("subject: to be filled in") && words.contains("keys: the CA says nothing"), "{words}");
        assert_eq!(document["issuer"], Value::Null);
    }
}
