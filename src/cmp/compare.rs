//! What was issued against what was asked for, by meaning: sets are compared as sets, host names without regard to case,
//! bits by value. What differs is told in words; who decides on it is a policy.

use super::difference::{BASIC_CONSTRAINTS, Deviation, Difference, EXTENDED_KEY_USAGE, SUBJECT_ALT_NAME};
use super::stated::{Part, Read, alternative_names, basic_constraints, key_usages, policies, purposes};
use crate::asn1::crmf::{CertTemplate, TemplateExtension};
use crate::asn1::der::{Asn1Error, Cursor, element, sequence};
use crate::asn1::name;
use crate::asn1::oid::{self, Oid};
use crate::asn1::x509::Certificate;
use crate::prelude::*;
use crate::time::Time;
use crate::validation::same_name;

/// Everything in which the certificate differs from the template by meaning, but for the key.
pub fn differences(template: &CertTemplate, certificate: &Certificate) -> Vec<Difference> {
    let mut found = Vec::new();
    if let Some(subject) = &template.subject {
        found.extend(subject_difference(subject.as_der(), certificate.subject()));
    }
    if let Some(issuer) = &template.issuer {
        if !same_name(issuer.as_der(), certificate.issuer()) {
            found.push(Difference::changed("issuer", issuer.to_string(), name::display(certificate.issuer())));
        }
    }
    found
        .extend(bound_difference("notBefore", template.not_before, certificate.not_before(), |asked, got| got > asked));
    found.extend(bound_difference("notAfter", template.not_after, certificate.not_after(), |asked, got| got < asked));
    for wanted in &template.extensions {
        found.extend(extension_difference(wanted, certificate.extension(wanted.oid).map(|e| e.value)));
    }
    let unasked = |id: Oid| {
        let is_asked = template.extensions.iter().any(|wanted| wanted.oid == id);
        certificate.extension(id).filter(|_| !is_asked).map(|extension| extension.value)
    };
    if let Some(names) = unasked(oid::CE_SUBJECT_ALT_NAME) {
        // Nobody asked for them: an identity more than the device knows of.
        found.extend(alternative_names(names).ok().and_then(|issued| compare(SUBJECT_ALT_NAME, &[], &issued)));
    }
    if let Some(constraints) = unasked(oid::CE_BASIC_CONSTRAINTS) {
        found.extend(constraints_difference(&[], constraints));
    }
    if let Some(usage) = unasked(oid::CE_KEY_USAGE) {
        // Who asks for no usages gets those of the CA's template; power over others is no device's.
        let issued = key_usages(usage).unwrap_or_default();
        let power: Vec<Part> = issued.into_iter().filter(|part| matches!(part.meaning[..], [5 | 6])).collect();
        found.extend(compare("keyUsage", &[], &power));
    }
    if let Some(named) = unasked(oid::CE_EXT_KEY_USAGE) {
        // As with usages: what the template gives a device is the CA's affair, to speak for the CA or for everything is more.
        let issued = purposes(named).unwrap_or_default();
        let is_power = |part: &Part| POWERS.iter().any(|power| part.meaning == power.as_bytes());
        let power: Vec<Part> = issued.into_iter().filter(is_power).collect();
        found.extend(compare(EXTENDED_KEY_USAGE, &[], &power));
    }
    for (id, name) in BURDENS {
        if unasked(id).is_some() {
            let words = format!("{name} was added");
            found.push(Difference {
                deviation: Deviation::Added,
                details: words,
                ..Difference::changed(name, "none".to_owned(), "present".to_owned())
            });
        }
    }
    found
}

/// Purposes with which a certificate speaks for a CA, or for everything.
const POWERS: [Oid; 5] =
    [oid::ANY_EXTENDED_KEY_USAGE, oid::KP_OCSP_SIGNING, oid::KP_CMC_CA, oid::KP_CMC_RA, oid::KP_CM_KGA];

/// Extensions that nobody asks for in a device's certificate and that change what peers make of it: constraints have no place there
/// (RFC 5280 sections 4.2.1.10, 4.2.1.11, 4.2.1.14), and who has a TLS feature must live up to it (RFC 7633).
const BURDENS: [(Oid, &str); 4] = [
    (oid::CE_NAME_CONSTRAINTS, "nameConstraints"),
    (oid::CE_POLICY_CONSTRAINTS, "policyConstraints"),
    (oid::CE_INHIBIT_ANY_POLICY, "inhibitAnyPolicy"),
    (oid::PE_TLS_FEATURE, "TLS feature (must-staple)"),
];

/// basicConstraints of who asked for no CA: to become one is no addition.
fn constraints_difference(requested: &[Part], issued: &[u8]) -> Option<Difference> {
    let issued = basic_constraints(issued).ok()?;
    let is_ca = |parts: &[Part]| parts.iter().any(|part| part.meaning == b"ca");
    let found = compare(BASIC_CONSTRAINTS, requested, &issued)?;
    match is_ca(&issued) && !is_ca(requested) {
        true => Some(Difference { deviation: Deviation::Changed, ..found }),
        false => Some(found),
    }
}

/// What the older of two certificates may be used for and the newer may not, in words: usages and purposes.
pub(super) fn lost_uses(old: &Certificate, new: &Certificate) -> Vec<String> {
    let mut lost = Vec::new();
    for (oid, read) in [(oid::CE_KEY_USAGE, key_usages as Read), (oid::CE_EXT_KEY_USAGE, purposes)] {
        // Without the extension a key may be used for everything (RFC 5280 sections 4.2.1.3 and 4.2.1.12).
        let (Some(had), Some(has)) = (old.extension(oid), new.extension(oid)) else { continue };
        let (Ok(had), Ok(has)) = (read(had.value), read(has.value)) else { continue };
        lost.extend(missing(&had, &has).map(|part| format!("the new certificate lacks {part}, which the old one had")));
    }
    // A purpose that is named nowhere is allowed by no restriction, but peers that ask for it by name find none.
    if let (Some(had), None) = (old.extension(oid::CE_EXT_KEY_USAGE), new.extension(oid::CE_EXT_KEY_USAGE)) {
        let had = purposes(had.value).unwrap_or_default();
        lost.extend(had.iter().map(|part| format!("the new certificate does not name {part}, which the old one did")));
    }
    lost
}

fn missing<'a>(from: &'a [Part], all: &'a [Part]) -> impl Iterator<Item = &'a Part> {
    from.iter().filter(|part| !all.iter().any(|other| other.meaning == part.meaning))
}

/// Two sets. What is missing makes it changed; what came on top, added.
fn compare(field: &str, requested: &[Part], issued: &[Part]) -> Option<Difference> {
    let gone: Vec<&Part> = missing(requested, issued).collect();
    let new: Vec<&Part> = missing(issued, requested).collect();
    if gone.is_empty() && new.is_empty() {
        return None;
    }
    let details: Vec<String> = gone
        .iter()
        .map(|part| format!("{part} is missing"))
        .chain(new.iter().map(|part| format!("{part} was added")))
        .collect();
    let deviation = if gone.is_empty() { Deviation::Added } else { Deviation::Changed };
    let [requested, issued] = [requested, issued].map(list);
    Some(Difference { field: field.to_owned(), requested, issued, deviation, details: details.join("; ") })
}

fn list(parts: &[Part]) -> String {
    match parts {
        [] => "none".to_owned(),
        _ => parts.iter().map(|part| part.words.as_str()).collect::<Vec<_>>().join(", "),
    }
}

/// RFC 5280 section 7.1, and where the names are not the same by it: whether something was added, or only the order differs.
fn subject_difference(requested: &[u8], issued: &[u8]) -> Option<Difference> {
    if same_name(requested, issued) {
        return None;
    }
    let shown = (name::display(requested), name::display(issued));
    let changed = Difference::changed("subject", shown.0.clone(), shown.1.clone());
    let (Ok(wanted), Ok(got)) = (rdns(requested), rdns(issued)) else { return Some(changed) };
    let mut free: Vec<Option<&Vec<u8>>> = got.iter().map(Some).collect();
    let mut places = Vec::new();
    let mut gone = Vec::new();
    let mut inside = Vec::new();
    for rdn in &wanted {
        match free.iter().position(|other| other.is_some_and(|other| same_name(rdn, other))) {
            Some(at) => {
                free[at] = None;
                places.push(at);
            }
            None => match free.iter().position(|other| other.is_some_and(|other| extends(rdn, other))) {
                Some(at) => {
                    let whole = free[at].take().map(|other| name::display(other)).unwrap_or_default();
                    inside.push(format!("{} was added to in its place: {whole}", name::display(rdn)));
                    places.push(at);
                }
                None => gone.push(format!("{} is missing", name::display(rdn))),
            },
        }
    }
    let added = free.into_iter().flatten().map(|rdn| format!("{} was added", name::display(rdn)));
    let added: Vec<String> = inside.into_iter().chain(added).collect();
    let is_ordered = places.is_sorted();
    if !gone.is_empty() && shown_attributes(&wanted) == shown_attributes(&got) {
        let details =
            format!("{}; the same parts, grouped in another way, which makes it another name", changed.details);
        return Some(Difference { deviation: Deviation::Reordered, details, ..changed });
    }
    let deviation = match (gone.is_empty(), is_ordered) {
        (false, _) => Deviation::Changed,
        (true, false) => Deviation::Reordered,
        (true, true) => Deviation::Added,
    };
    let mut details = vec![changed.details.clone()];
    if deviation != Deviation::Changed || gone.len() < wanted.len() {
        details.extend(gone);
        details.extend(added);
    }
    if deviation == Deviation::Reordered {
        details.push("the parts come in another order, which makes it another name (RFC 5280 section 7.1)".to_owned());
    }
    Some(Difference { deviation, details: details.join("; "), ..changed })
}

/// Whether one part holds all attributes of another, and more (RFC 5280 section 4.1.2.4: a part is a set of them).
fn extends(rdn: &Vec<u8>, other: &Vec<u8>) -> bool {
    let (few, many) = (attributes(core::slice::from_ref(rdn)), attributes(core::slice::from_ref(other)));
    let holds = |many: &[Vec<u8>], one: &Vec<u8>| many.iter().any(|other| same_name(one, other));
    few.zip(many).is_some_and(|(few, many)| few.len() < many.len() && few.iter().all(|one| holds(&many, one)))
}

/// The attributes of all parts, in whatever grouping, as they are shown.
fn shown_attributes(rdns: &[Vec<u8>]) -> Option<Vec<String>> {
    let mut all: Vec<String> = attributes(rdns)?.iter().map(|one| name::display(one).to_lowercase()).collect();
    crate::order::sort(&mut all);
    Some(all)
}

/// Each attribute of these parts as a Name of its own.
fn attributes(rdns: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    for rdn in rdns {
        let mut sets = Cursor::sequence(rdn, "Name").ok()?;
        let mut set = Cursor::new(sets.any("a RelativeDistinguishedName").ok()?.value, "Name").ok()?;
        while !set.is_empty() {
            let alone = element(0x31, &[set.any("an attribute").ok()?.bytes]);
            all.push(sequence(&[&alone]));
        }
    }
    Some(all)
}

/// Each RelativeDistinguishedName as a Name of its own.
fn rdns(der: &[u8]) -> Result<Vec<Vec<u8>>, Asn1Error> {
    let mut all = Cursor::sequence(der, "Name")?;
    let mut found = Vec::new();
    while !all.is_empty() {
        found.push(sequence(&[all.any("a RelativeDistinguishedName")?.bytes]));
    }
    Ok(found)
}

/// A CA may start a certificate later or end it earlier than asked: it says less than it could. Or it has its own idea of how
/// long certificates last: no part of the identity either way (RFC 4211 section 5).
fn bound_difference(
    field: &str,
    asked: Option<Time>,
    got: Time,
    is_narrower: fn(Time, Time) -> bool,
) -> Option<Difference> {
    let asked = asked.filter(|asked| *asked != got)?;
    let deviation = if is_narrower(asked, got) { Deviation::Narrowed } else { Deviation::Added };
    Some(Difference { deviation, ..Difference::changed(field, asked.to_string(), got.to_string()) })
}

fn extension_difference(wanted: &TemplateExtension, got: Option<&[u8]>) -> Option<Difference> {
    let (label, read): (String, Read) = match wanted.oid {
        o if o == oid::CE_SUBJECT_ALT_NAME => (SUBJECT_ALT_NAME.to_owned(), alternative_names),
        o if o == oid::CE_KEY_USAGE => ("keyUsage".to_owned(), key_usages),
        o if o == oid::CE_EXT_KEY_USAGE => (EXTENDED_KEY_USAGE.to_owned(), purposes),
        o if o == oid::CE_BASIC_CONSTRAINTS => (BASIC_CONSTRAINTS.to_owned(), basic_constraints),
        o if o == oid::CE_CERTIFICATE_POLICIES => ("certificatePolicies".to_owned(), policies),
        other => return opaque_difference(other, &wanted.value, got),
    };
    if got == Some(&wanted.value[..]) {
        return None;
    }
    let Ok(requested) = read(&wanted.value) else { return opaque_difference(wanted.oid, &wanted.value, got) };
    if let Some(got) = got.filter(|got| wanted.oid == oid::CE_BASIC_CONSTRAINTS && basic_constraints(got).is_ok()) {
        return constraints_difference(&requested, got);
    }
    if wanted.oid == oid::CE_KEY_USAGE || wanted.oid == oid::CE_EXT_KEY_USAGE {
        // RFC 5280 sections 4.2.1.3 and 4.2.1.12: without the extension, and with anyExtendedKeyUsage, every use is allowed, the one
        // that was asked for too.
        let is_any = |value: &[u8]| {
            wanted.oid == oid::CE_EXT_KEY_USAGE
                && purposes(value)
                    .is_ok_and(|all| all.iter().any(|part| part.meaning == oid::ANY_EXTENDED_KEY_USAGE.as_bytes()))
        };
        if !requested.is_empty() && got.is_none_or(is_any) {
            let issued = if got.is_none() { "no restriction" } else { "anyExtendedKeyUsage" };
            let details =
                format!("{issued} where {} was asked for, which allows it and everything else", list(&requested));
            let changed = Difference::changed(&label, list(&requested), issued.to_owned());
            return Some(Difference { deviation: Deviation::Added, details, ..changed });
        }
    }
    match got.map_or_else(|| Ok(Vec::new()), read) {
        Ok(issued) => compare(&label, &requested, &issued),
        Err(error) => Some(Difference::changed(&label, list(&requested), format!("what cannot be read ({error})"))),
    }
}

/// An extension whose meaning is not known here: only the same bytes are the same.
fn opaque_difference(oid: Oid, requested: &[u8], issued: Option<&[u8]>) -> Option<Difference> {
    let bytes = |count: usize| format!("a value of {count} bytes");
    let (details, issued) = match issued {
        Some(issued) if issued == requested => return None,
        Some(issued) => ("another value than was asked for".to_owned(), bytes(issued.len())),
        None => ("is missing".to_owned(), "absent".to_owned()),
    };
    let (field, requested) = (format!("extension {oid}"), bytes(requested.len()));
    Some(Difference { field, requested, issued, deviation: Deviation::Changed, details })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asn1::name::Name;

    fn names(all: &[(u8, &str)]) -> Vec<u8> {
        sequence(&[&all.iter().flat_map(|(tag, text)| element(*tag, &[text.as_bytes()])).collect::<Vec<u8>>()])
    }

    fn san(requested: &[(u8, &str)], issued: &[(u8, &str)]) -> Option<Difference> {
        let wanted = TemplateExtension { oid: oid::CE_SUBJECT_ALT_NAME, critical: false, value: names(requested) };
        extension_difference(&wanted, Some(&names(issued)))
    }

    fn subject(requested: &str, issued: &str) -> Option<Difference> {
        let [a, b] = [requested, issued].map(|text| Name::parse(text).unwrap());
        subject_difference(a.as_der(), b.as_der())
    }

    #[test]
    fn names_are_a_set_whose_hosts_have_no_case() {
        let asked = [(0x82, "b.example"), (0x81, "Me@Example.COM"), (0x86, "HTTP://Host.example/A")];
        let got = [(0x86, "http://HOST.EXAMPLE/A"), (0x82, "B.Example"), (0x81, "Me@example.com")];
        assert_eq!(san(&asked, &got), None);
        let path = san(&[(0x86, "http://h/A")], &[(0x86, "http://h/a")]).unwrap();
        assert_eq!(
            (path.deviation, path.details.as_str()),
            (Deviation::Changed, "uri:http://h/A is missing; uri:http://h/a was added")
        );
        assert_eq!(san(&[(0x81, "Me@h.example")], &[(0x81, "me@h.example")]).unwrap().deviation, Deviation::Changed);
        assert_eq!(san(&[(0x82, "a.example.")], &[(0x82, "a.example")]), None);
        // One form is never the other.
        assert_eq!(san(&[(0x82, "a.example")], &[(0x81, "a.example")]).unwrap().deviation, Deviation::Changed);
    }

    #[test]
    fn what_was_added_is_told_from_what_is_missing() {
        let added = san(&[(0x82, "a.example")], &[(0x82, "b.example"), (0x82, "a.example")]).unwrap();
        assert_eq!((added.deviation, added.details.as_str()), (Deviation::Added, "dns:b.example was added"));
        let gone = san(&[(0x82, "a.example"), (0x82, "b.example")], &[(0x82, "b.example")]).unwrap();
        assert_eq!((gone.deviation, gone.details.as_str()), (Deviation::Changed, "dns:a.example is missing"));
    }

    #[test]
    fn a_subject_in_another_order_is_another_name_and_said_to_be() {
        assert_eq!(subject("CN=a,O=B", "CN=A,O=b"), None);
        let reordered = subject("CN=a,O=B", "O=B,CN=a").unwrap();
        assert_eq!(reordered.deviation, Deviation::Reordered);
        assert_eq!(subject("CN=a,O=B", "CN=a,OU=X,O=B").unwrap().deviation, Deviation::Added);
        assert_eq!(subject("CN=a,O=B", "O=B,CN=a,C=SE").unwrap().deviation, Deviation::Reordered);
        assert_eq!(subject("CN=a,O=B", "CN=a").unwrap().deviation, Deviation::Changed);
        // The same part twice is not once.
        assert_eq!(subject("OU=a,OU=a", "OU=a").unwrap().deviation, Deviation::Changed);
    }

    #[test]
    fn bits_and_purposes_are_compared_by_value() {
        let usage = |requested: &[u8], issued: &[u8]| {
            let wanted = TemplateExtension { oid: oid::CE_KEY_USAGE, critical: true, value: requested.to_vec() };
            extension_difference(&wanted, Some(issued))
        };
        assert_eq!(usage(&[3, 2, 7, 0x80], &[3, 3, 0, 0x80, 0]), None);
        let added = usage(&[3, 2, 7, 0x80], &[3, 2, 5, 0xa0]).unwrap();
        assert_eq!(added.details, "keyEncipherment was added");
        assert_eq!(usage(&[3, 2, 5, 0xa0], &[3, 2, 7, 0x80]).unwrap().details, "keyEncipherment is missing");
        let constraints = TemplateExtension { oid: oid::CE_BASIC_CONSTRAINTS, critical: true, value: vec![0x30, 0] };
        assert_eq!(extension_difference(&constraints, None), None);
        assert_eq!(extension_difference(&constraints, Some(&[0x30, 3, 1, 1, 0])), None);
        let ca = extension_difference(&constraints, Some(&[0x30, 3, 1, 1, 0xff])).unwrap();
        assert_eq!((ca.details.as_str(), ca.deviation), ("cA was added", Deviation::Changed));
    }

    #[test]
    fn another_validity_is_taken_and_told() {
        let [early, asked, late] = [1, 2, 3].map(Time::from_unix);
        let of = |got| bound_difference("notAfter", Some(asked), got, |asked, got| got < asked).map(|d| d.deviation);
        assert_eq!([early, asked, late].map(of), [Some(Deviation::Narrowed), None, Some(Deviation::Added)]);
    }

    #[test]
    fn parts_in_another_grouping_are_another_name_like_parts_in_another_order() {
        let grouped = subject("CN=a,O=b", "CN=a+O=b").unwrap();
        assert_eq!(grouped.deviation, Deviation::Reordered);
        assert!(grouped.details.contains("grouped in another way"), "{grouped}");
        assert_eq!(subject("CN=a,O=b", "CN=a+O=c").unwrap().deviation, Deviation::Changed);
    }

    #[test]
    fn what_is_added_inside_a_part_is_added() {
        let inside = subject("CN=a,O=b", "CN=a+serialNumber=7,O=b").unwrap();
        assert_eq!(inside.deviation, Deviation::Added, "{inside}");
        assert!(inside.details.contains("CN=a was added to in its place"), "{inside}");
        // Another value, or another place, is what it was before.
        assert_eq!(subject("CN=a,O=b", "CN=c+serialNumber=7,O=b").unwrap().deviation, Deviation::Changed);
        assert_eq!(subject("CN=a,O=b", "O=b,CN=a+serialNumber=7").unwrap().deviation, Deviation::Reordered);
        assert_eq!(subject("CN=a+serialNumber=7,O=b", "CN=a,O=b").unwrap().deviation, Deviation::Changed);
    }
}
