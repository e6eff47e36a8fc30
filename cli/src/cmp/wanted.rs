//! What a certificate is asked for: OpenSSL's options become a CertTemplate, generalInfo, and a question.

use std::net::IpAddr;

use devid::Time;
use devid::asn1::crmf::{CertTemplate, TemplateExtension};
use devid::asn1::der::{element, encode, sequence};
use devid::asn1::name::Name;
use devid::asn1::oid::{self, Oid};
use devid::asn1::x509::Certificate;
use devid::client::Subject;
use devid::crypto::algorithm::encode_oid;

use super::options::{Options, items};
use super::subject;
use crate::failure::Failure;
use crate::output::Output;

/// infoTypes by their names behind `id-it-` (RFC 9810 section 5.3.19).
const INFO_TYPES: &[(&str, u8)] = &[
    ("caProtEncCert", 1),
    ("signKeyPairTypes", 2),
    ("encKeyPairTypes", 3),
    ("preferredSymmAlg", 4),
    ("caKeyUpdateInfo", 5),
    ("currentCRL", 6),
    ("unsupportedOIDs", 7),
    ("keyPairParamReq", 10),
    ("keyPairParamRep", 11),
    ("revPassphrase", 12),
    ("implicitConfirm", 13),
    ("confirmWaitTime", 14),
    ("origPKIMessage", 15),
    ("suppLangTags", 16),
    ("caCerts", 17),
    ("rootCaKeyUpdate", 18),
    ("certReqTemplate", 19),
    ("rootCaCert", 20),
    ("certProfile", 21),
    ("crlStatusList", 22),
    ("crls", 23),
];

/// Arcs of the PKIX tree by their names, besides those that the registry has.
const ARCS: &[(&str, &str)] = &[
    ("id-pkix", "1.3.6.1.5.5.7"),
    ("id-pe", "1.3.6.1.5.5.7.1"),
    ("id-qt", "1.3.6.1.5.5.7.2"),
    ("id-kp", "1.3.6.1.5.5.7.3"),
    ("id-it", "1.3.6.1.5.5.7.4"),
    ("id-pkip", "1.3.6.1.5.5.7.5"),
    ("id-on", "1.3.6.1.5.5.7.8"),
    ("id-ad", "1.3.6.1.5.5.7.48"),
];

/// The identifier of an infoType by its name.
pub fn info_type(name: &str) -> Result<Oid, Failure> {
    let number = INFO_TYPES.iter().find(|(known, _)| *known == name).map(|(_, number)| number);
    let number = number.ok_or_else(|| Failure::usage(format!("-infotype {name}: there is no id-it-{name}")))?;
    dotted(&format!("1.3.6.1.5.5.7.4.{number}"))
}

/// An object identifier by its name or in dotted form.
pub fn object(text: &str) -> Result<Oid, Failure> {
    let known = ARCS.iter().find(|(name, _)| *name == text).map(|(_, dotted)| *dotted);
    if let Some(arc) = known.or(Some(text).filter(|text| text.starts_with(|c: char| c.is_ascii_digit()))) {
        return dotted(arc);
    }
    INFO_TYPES
        .iter()
        .find(|(name, _)| text.strip_prefix("id-it-") == Some(name))
        .map_or_else(|| registered(text), |(name, _)| info_type(name))
}

fn registered(text: &str) -> Result<Oid, Failure> {
    let found = const_oid::db::DB.by_name(text).map(ToString::to_string);
    found.map_or_else(
        || Err(Failure::usage(format!("\"{text}\" is not an object identifier known by name"))),
        |d| dotted(&d),
    )
}

fn dotted(text: &str) -> Result<Oid, Failure> {
    Oid::new(text).map_err(|_| Failure::usage(format!("\"{text}\" is not an object identifier")))
}

/// The name behind an option, if it is given.
pub fn name(options: &Options, option: &'static str, output: Output) -> Result<Option<Name>, Failure> {
    options.text(option).map(|text| subject::parse(option, text, output)).transpose()
}

/// What generalInfo is to hold: `OID:int:NUMBER` and `OID:str:TEXT`, separated by commas.
pub fn general_info(list: &str) -> Result<Vec<(Oid, Vec<u8>)>, Failure> {
    let wrong = |item: &str| Failure::usage(format!("-geninfo {item}: OID:int:NUMBER or OID:str:TEXT is expected"));
    let parse = |item: &str| {
        let (identifier, value) = item.split_once(':').ok_or_else(|| wrong(item))?;
        let value = match value.split_once(':') {
            Some(("int", number)) => encode(&number.trim().parse::<i64>().map_err(|_| wrong(item))?),
            Some(("str", text)) => element(0x0c, &[text.as_bytes()]),
            _ => return Err(wrong(item)),
        };
        Ok((object(identifier)?, value))
    };
    list.split(',').map(|item| parse(item.trim())).collect()
}

/// The template of ir, cr and kur. `reference`: the certificate whose names stand in where none are given; `exts`: extensions
/// of the PKCS#10 request that is converted.
pub fn template(
    options: &Options,
    reference: Option<&Certificate>,
    from_csr: Option<(&[u8], &[TemplateExtension])>,
    is_update: bool,
    now: Time,
    output: Output,
) -> Result<CertTemplate, Failure> {
    let mut extensions: Vec<TemplateExtension> = from_csr.map(|(_, exts)| exts.to_vec()).unwrap_or_default();
    for section in ["reqexts", "policies"].iter().filter_map(|option| options.text(option)) {
        for extension in section_extensions(options, section)? {
            extensions.retain(|known| known.oid != extension.oid);
            extensions.push(extension);
        }
    }
    if options.is_on("policies") && options.is_on("policy_oids") {
        return Err(Failure::usage("-policies and -policy_oids say the same twice"));
    }
    if let Some(list) = options.text("policy_oids") {
        let policies: Result<Vec<Vec<u8>>, Failure> =
            items(list).map(|one| Ok(sequence(&[&encode_oid(object(one)?)]))).collect();
        let (value, critical) = (sequence(&[&policies?.concat()]), options.is_on("policy_oids_critical"));
        extensions.push(TemplateExtension { oid: oid::CE_CERTIFICATE_POLICIES, critical, value });
    }
    let is_named_by_extension = extensions.iter().any(|extension| extension.oid == oid::CE_SUBJECT_ALT_NAME);
    match (options.text("sans"), is_named_by_extension) {
        (Some(_), true) if options.is_on("reqexts") => {
            return Err(Failure::usage("alternative names stand both in -reqexts and in -sans"));
        }
        (Some(list), _) => {
            extensions.retain(|extension| extension.oid != oid::CE_SUBJECT_ALT_NAME);
            extensions.extend(alternative_names(list)?);
        }
        (None, false) if !options.is_on("san_nodefault") => {
            let names = reference.and_then(|old| old.extension(oid::CE_SUBJECT_ALT_NAME));
            extensions.extend(names.map(|names| TemplateExtension {
                oid: names.oid,
                critical: names.critical,
                value: names.value.to_vec(),
            }));
        }
        (None, _) => {}
    }
    let is_named = extensions.iter().any(|extension| extension.oid == oid::CE_SUBJECT_ALT_NAME);
    // Names that the reference alone brings do not stand in for its subject.
    let is_named_by_option = is_named_by_extension || options.is_on("sans");
    // Who is not named at all says by its possession who asks (RFC 4211 section 4.1): that takes a signature by the new key.
    let may_be_nameless = !is_update && options.number("popo").is_none_or(|popo| popo == 1);
    let subject = match (name(options, "subject", output)?, from_csr, reference) {
        (Some(name), _, _) if name.is_null() && !is_named && may_be_nameless => None,
        (Some(name), _, _) => Some(name),
        (None, Some((der, _)), _) => Some(Name::from_der(der)?),
        (None, None, Some(old)) if is_update || !is_named_by_option => Some(Name::from_der(old.subject())?),
        _ if is_named => Some(Name::null()),
        _ => return Err(Failure::usage("nobody is named: -subject, -sans, or a reference by -oldcert or -cert")),
    };
    let days = options.number("days").filter(|days| *days > 0);
    Ok(CertTemplate {
        issuer: name(options, "issuer", output)?.filter(|issuer| !issuer.is_null()),
        not_before: days.map(|_| now),
        not_after: days.map(|days| now.plus(days * 86_400)),
        subject,
        public_key: None,
        extensions,
    })
}

/// `-sans`: addresses, mailboxes, URIs and host names; the word `critical` makes the extension so.
fn alternative_names(list: &str) -> Result<Option<TemplateExtension>, Failure> {
    let mut subject = Subject::new();
    let (mut critical, mut count) = (false, 0);
    for item in items(list) {
        if item == "critical" {
            critical = true;
            continue;
        }
        count += 1;
        subject = match item.parse::<IpAddr>() {
            Ok(address) => subject.ip(address),
            Err(_) if item.contains('@') => subject.email(item)?,
            Err(_) if item.contains(':') => subject.uri(item)?,
            Err(_) => subject.dns(item)?,
        };
    }
    if count == 0 {
        return Ok(None);
    }
    Ok(subject
        .to_template()?
        .extensions
        .into_iter()
        .next()
        .map(|extension| TemplateExtension { critical, ..extension }))
}

/// Extensions that a section of the configuration file describes, as x509v3_config(5) has it, as far as devices ask for them.
fn section_extensions(options: &Options, section: &str) -> Result<Vec<TemplateExtension>, Failure> {
    let missing = || Failure::settings(format!("there is no section [{section}] in the configuration file"));
    let lines = options.conf.section(section).ok_or_else(missing)?;
    let mut found = Vec::new();
    for (name, value) in lines {
        let (critical, value) = match value.split_once(',') {
            Some((first, rest)) if first.trim() == "critical" => (true, rest.trim()),
            _ if value.trim() == "critical" => (true, ""),
            _ => (false, value.trim()),
        };
        let at = |e: Failure| Failure::settings(format!("[{section}] {name} = {value}: {e}"));
        let extension = extension(options, name, critical, value).map_err(at)?;
        found.push(TemplateExtension { critical, ..extension });
    }
    Ok(found)
}

fn extension(options: &Options, name: &str, critical: bool, value: &str) -> Result<TemplateExtension, Failure> {
    let words = || value.split(',').map(str::trim).filter(|word| !word.is_empty());
    let plain = |oid, value| Ok(TemplateExtension { oid, critical, value });
    match name {
        "basicConstraints" => plain(oid::CE_BASIC_CONSTRAINTS, basic_constraints(words())?),
        "keyUsage" => {
            let subject = words().try_fold(named(), |s, usage| s.key_usage(usage))?;
            second(&subject)
        }
        "extendedKeyUsage" => {
            let subject = words().try_fold(named(), |s, purpose| s.extended_key_usage(purpose))?;
            second(&subject)
        }
        "subjectAltName" => general_names(options, value),
        "certificatePolicies" => plain(oid::CE_CERTIFICATE_POLICIES, policies(options, words())?),
        other => {
            let Some(digits) = value.strip_prefix("DER:") else {
                return Err(Failure::usage("is not known here; write NAME = DER:HEX"));
            };
            plain(object(other)?, hex(digits)?)
        }
    }
}

/// Named by something, so that a template can be made; the name is not used.
fn named() -> Subject {
    Subject::new().ip(IpAddr::from([0, 0, 0, 0]))
}

fn second(subject: &Subject) -> Result<TemplateExtension, Failure> {
    let found = subject.to_template()?.extensions.into_iter().nth(1);
    found.ok_or_else(|| Failure::usage("nothing is named"))
}

fn basic_constraints<'a>(words: impl Iterator<Item = &'a str>) -> Result<Vec<u8>, Failure> {
    let (mut is_ca, mut length) = (Vec::new(), Vec::new());
    for word in words {
        match word.split_once(':') {
            Some(("CA", "TRUE" | "true" | "yes")) => is_ca = element(0x01, &[&[0xff]]),
            Some(("CA", "FALSE" | "false" | "no")) => is_ca.clear(),
            Some(("pathlen", number)) => {
                let number: u32 = number.parse().map_err(|_| Failure::usage("pathlen is a number"))?;
                length = encode(&number);
            }
            _ => return Err(Failure::usage("CA:TRUE, CA:FALSE and pathlen:NUMBER are known")),
        }
    }
    Ok(sequence(&[&is_ca, &length]))
}

fn general_names(options: &Options, value: &str) -> Result<TemplateExtension, Failure> {
    let pairs: Vec<(String, String)> = match value.strip_prefix('@') {
        Some(section) => {
            let missing = || Failure::settings(format!("there is no section [{section}]"));
            options.conf.section(section).ok_or_else(missing)?.to_vec()
        }
        None => {
            let colon = |item: &str| {
                let (kind, name) =
                    item.trim().split_once(':').ok_or_else(|| Failure::usage("TYPE:NAME is expected"))?;
                Ok((kind.to_owned(), name.to_owned()))
            };
            value.split(',').map(colon).collect::<Result<_, Failure>>()?
        }
    };
    let mut subject = Subject::new();
    for (kind, name) in &pairs {
        let kind = kind.split('.').next().unwrap_or_default();
        subject = match kind {
            "DNS" => subject.dns(name)?,
            "IP" => subject.ip(name.parse().map_err(|_| Failure::usage(format!("\"{name}\" is not an address")))?),
            "URI" => subject.uri(name)?,
            "email" => subject.email(name)?,
            other => {
                return Err(Failure::usage(format!("a name of type {other} is not known here: DNS, IP, URI, email")));
            }
        };
    }
    let found = subject.to_template()?.extensions.into_iter().next();
    found.ok_or_else(|| Failure::usage("no name stands there"))
}

/// PolicyInformation of each policy: an identifier, or a section with policyIdentifier and CPS.
fn policies<'a>(options: &Options, words: impl Iterator<Item = &'a str>) -> Result<Vec<u8>, Failure> {
    let mut all = Vec::new();
    for word in words {
        let Some(section) = word.strip_prefix('@') else {
            all.extend(sequence(&[&encode_oid(object(word)?)]));
            continue;
        };
        let missing = || Failure::settings(format!("there is no section [{section}]"));
        let (mut identifier, mut qualifiers) = (None, Vec::new());
        for (name, value) in options.conf.section(section).ok_or_else(missing)? {
            match name.split('.').next() {
                Some("policyIdentifier") => identifier = Some(object(value)?),
                Some("CPS") => qualifiers.extend(sequence(&[
                    &encode_oid(dotted("1.3.6.1.5.5.7.2.1")?),
                    &element(0x16, &[value.as_bytes()]),
                ])),
                _ => return Err(Failure::usage(format!("[{section}] {name}: policyIdentifier and CPS are known"))),
            }
        }
        let identifier = identifier.ok_or_else(|| Failure::usage(format!("[{section}] has no policyIdentifier")))?;
        let qualifiers = if qualifiers.is_empty() { Vec::new() } else { sequence(&[&qualifiers]) };
        all.extend(sequence(&[&encode_oid(identifier), &qualifiers]));
    }
    Ok(sequence(&[&all]))
}

/// Hexadecimal digits, with colons or without.
pub fn hex(text: &str) -> Result<Vec<u8>, Failure> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    let value = |digit: u8| char::from(digit).to_digit(16);
    let pair = |two: &[u8]| match (value(two[0]), two.get(1).and_then(|digit| value(*digit))) {
        (Some(high), Some(low)) => Ok((high * 16 + low) as u8),
        _ => Err(Failure::usage("an even number of hexadecimal digits is expected")),
    };
    digits.chunks(2).map(pair).collect()
}

/// A serial number as people write it, decimal or with 0x before it: the content of its INTEGER.
pub fn serial(text: &str) -> Result<Vec<u8>, Failure> {
    let wrong = || Failure::usage(format!("-serial {text}: a decimal number, or 0x and hexadecimal digits"));
    let mut bytes = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some("") => return Err(wrong()),
        Some(digits) => {
            let padded = if digits.len() % 2 == 1 { format!("0{digits}") } else { digits.to_owned() };
            hex(&padded).map_err(|_| wrong())?
        }
        None if text.is_empty() || text.len() > 60 => return Err(wrong()),
        None => {
            let mut number = vec![0u8];
            for digit in text.chars() {
                let mut carry = digit.to_digit(10).ok_or_else(wrong)?;
                for byte in number.iter_mut().rev() {
                    let value = u32::from(*byte) * 10 + carry;
                    (*byte, carry) = ((value & 0xff) as u8, value >> 8);
                }
                if carry > 0 {
                    number.insert(0, carry as u8);
                }
            }
            number
        }
    };
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count().min(bytes.len() - 1);
    bytes.drain(..zeros);
    if bytes[0] & 0x80 != 0 {
        bytes.insert(0, 0);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_are_read_in_both_writings() {
        assert_eq!(serial("0xA44DB0329A714A8D").unwrap(), [0, 0xa4, 0x4d, 0xb0, 0x32, 0x9a, 0x71, 0x4a, 0x8d]);
        assert_eq!(serial("256").unwrap(), [1, 0]);
        assert_eq!((serial("0").unwrap(), serial("0x0001").unwrap()), (vec![0], vec![1]));
        for wrong in ["", "0x", "12a", "-1", "0xg1"] {
            assert!(serial(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn general_info_has_types() {
        let found = general_info("id-kp:str:name, 1.3:int:987").unwrap();
        assert_eq!(found[0].0.to_string(), "1.3.6.1.5.5.7.3");
        assert_eq!(found[1].1, [0x02, 0x02, 0x03, 0xdb]);
        for wrong in ["1.3", "1.3:int:x", "1.3:date:1", "nobody:int:1", ""] {
            assert!(general_info(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_of_the_alternatives_are_told_apart_by_their_form() {
        let found = alternative_names("a.example 192.0.2.1,urn:x:1 a@example critical").unwrap().unwrap();
        assert!(found.critical);
        let tags: Vec<u8> = [0x82, 0x87, 0x86, 0x81].to_vec();
        let mut at = 2;
        for tag in tags {
            assert_eq!(found.value[at], tag);
            at += 2 + usize::from(found.value[at + 1]);
        }
        assert!(alternative_names("critical").unwrap().is_none());
    }

    #[test]
    fn infotypes_have_their_numbers() {
        assert_eq!(info_type("caCerts").unwrap().to_string(), "1.3.6.1.5.5.7.4.17");
        assert!(info_type("cacerts").is_err());
    }
}
