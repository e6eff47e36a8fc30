//! Names of the peer (RFC 9525).

use std::net::IpAddr;

use devid::Code;
use devid::asn1::der::element;
use devid::validation::{NameCheck, PeerName};

use crate::certificates::{Builder, Party, dns, email, ip, uri};
use crate::{assert_refused, assert_valid, check, plain};

/// Whether a certificate with these alternative names is accepted for the name.
fn carries(names: &[Vec<u8>], wanted: PeerName) -> bool {
    let root = Party::root("Root");
    let leaf = Builder::leaf("device.example.com").alt_names(names.to_vec()).signed_by(&root);
    let report = check(&root, &leaf, &[], &plain().with_name(wanted));
    if !report.is_valid() {
        assert_refused(&report, Code::Name);
    }
    report.is_valid()
}

fn host(text: &str) -> PeerName {
    PeerName::Dns(text.to_owned())
}

#[test]
fn host_names_match_without_regard_to_case() {
    let names = [dns("other.test"), dns("Device.Example.COM")];
    assert!(carries(&names, host("device.example.com")));
    assert!(carries(&names, host("DEVICE.example.com.")), "an absolute name means the same host");
    assert!(!carries(&names, host("example.com")));
    assert!(!carries(&names, host("x.device.example.com")));
    assert!(carries(&[dns("localhost")], host("localhost")));
    assert!(carries(&[dns("device.example.com.")], host("device.example.com")), "a dot at the end on either side");
}

#[test]
fn a_wildcard_stands_for_exactly_one_whole_leftmost_label() {
    let wildcard = [dns("*.example.com")];
    assert!(carries(&wildcard, host("foo.EXAMPLE.com")));
    assert!(!carries(&wildcard, host("example.com")));
    assert!(!carries(&wildcard, host("foo.bar.example.com")));
    for pattern in ["foo.*.com", "f*.example.com", "*oo.example.com", "*.*.example.com", "*", "*.com", "*."] {
        assert!(!carries(&[dns(pattern)], host("foo.example.com")), "{pattern}");
        assert!(!carries(&[dns(pattern)], host("foo.com")), "{pattern}");
    }
}

#[test]
fn there_is_no_fall_back_to_the_common_name() {
    let root = Party::root("Root");
    let no_names = root.leaf("device.example.com");
    assert_refused(&check(&root, &no_names, &[], &plain().with_name(host("device.example.com"))), Code::Name);
    assert!(!carries(&[email("joe@example.com")], host("device.example.com")));
    // An address in a DNS name or a common name is no address.
    assert!(!carries(&[dns("192.0.2.1")], PeerName::host("192.0.2.1")));
}

#[test]
fn addresses_match_as_octets() {
    let v4: IpAddr = "192.0.2.1".parse().unwrap();
    let v6: IpAddr = "2001:db8::1".parse().unwrap();
    let names = [ip(&[192, 0, 2, 1])];
    assert!(carries(&names, PeerName::Ip(v4)));
    assert!(!carries(&names, PeerName::Ip(v6)));
    assert!(!carries(&names, host("192.0.2.1")), "an address must be asked for as one");
    assert!(carries(&[ip(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])], PeerName::Ip(v6)));
}

/// What is odd about one name does not spoil the others, unless an issuer constrains names of its form.
#[test]
fn a_name_that_is_not_ascii_stands_beside_those_that_are() {
    let names = || vec![dns("device.example.com"), element(0x82, &["ger\u{e4}t.example.com".as_bytes()])];
    assert!(carries(&names(), host("device.example.com")));
    assert!(!carries(&names(), host("other.example.com")));
    let root = Party::root("Root");
    let under = |constraint: Vec<u8>| {
        let ca = Builder::ca("CA").constraints(&[constraint], &[]).signed_by(&root);
        let leaf = Builder::leaf("device").alt_names(names()).signed_by(&ca);
        check(&root, &leaf, &[&ca], &plain())
    };
    assert_refused(&under(dns("example.com")), Code::NameConstraints);
    assert_valid(&under(email("example.com")));
}

#[test]
fn a_refusal_says_which_names_and_purposes_came() {
    let root = Party::root("Root");
    let words = |leaf: Party, checks: &devid::validation::Checks| {
        check(&root, &leaf, &[], checks).error().expect("refused").message().to_owned()
    };
    let wanted = plain().with_name(host("host.example"));
    let named = Builder::leaf("a").alt_names(vec![dns("other.example"), ip(&[192, 0, 2, 1])]).signed_by(&root);
    let said = words(named, &wanted);
    assert!(said.contains("DNS name other.example, IP address 192.0.2.1"), "{said}");
    let said = words(root.leaf("host.example"), &wanted);
    assert!(said.contains("CN=host.example") && said.contains("not looked at"), "{said}");
    let client = Builder::leaf("a").purposes(&[devid::asn1::oid::KP_CLIENT_AUTH]).signed_by(&root);
    let checks = devid::validation::Checks { extended_key_usages: vec![devid::asn1::oid::KP_SERVER_AUTH], ..plain() };
    let said = words(client, &checks);
    assert!(said.contains("purpose serverAuth") && said.contains("allows clientAuth"), "{said}");
}

#[test]
fn what_cannot_be_read_gets_a_report_of_the_class_of_validation() {
    let why = devid::asn1::x509::Certificate::from_der(b"no certificate").unwrap_err();
    let report = devid::validation::Report::unreadable(&devid::Error::from(why));
    assert!(!report.is_valid() && report.findings().len() == 1);
    let refusal = report.refusal().unwrap();
    assert_eq!((refusal.code(), refusal.code().class()), (Code::Malformed, devid::Class::Validation));
    // One code for one thing, in the report and beside it.
    let root = Party::root("Root");
    let forged = Builder::leaf("device").sign(root.certificate.subject(), &crate::certificates::key());
    let report = check(&root, &forged, &[], &plain());
    let refusal = report.refusal().unwrap();
    assert_eq!(refusal.code(), Code::BadSignature, "{refusal}");
    assert_eq!(report.findings()[0].validation_code(), refusal.code());
}

#[test]
fn mailboxes_match_exactly_but_for_the_case_of_the_host() {
    let wanted = || PeerName::Email("Joe@example.com".to_owned());
    assert!(carries(&[email("Joe@EXAMPLE.com")], wanted()));
    assert!(!carries(&[email("joe@example.com")], wanted()));
    assert!(!carries(&[email("Joe@mail.example.com")], wanted()));
    assert!(!carries(&[email("*@example.com")], wanted()));
}

#[test]
fn uris_match_by_scheme_and_host_or_as_a_whole() {
    let wanted = |text: &str| PeerName::Uri(text.to_owned());
    assert!(carries(&[uri("sip:voice.example.com")], wanted("sip:voice.example.com")));
    assert!(carries(&[uri("https://EXAMPLE.com/path")], wanted("https://example.com")));
    assert!(!carries(&[uri("https://example.com/path")], wanted("http://example.com")));
    assert!(!carries(&[uri("https://example.com/path")], wanted("https://example.com/other")));
    assert!(!carries(&[uri("https://example.com.evil.org/")], wanted("https://example.com")));
    assert!(carries(&[uri("urn:device:7")], wanted("URN:device:7")));
    assert!(!carries(&[uri("urn:device:71")], wanted("urn:device:7")));
}

#[test]
fn all_the_names_asked_for_must_be_there() {
    let root = Party::root("Root");
    let leaf = Builder::leaf("device").alt_names([dns("a.test"), dns("b.test")]).signed_by(&root);
    assert_valid(&check(&root, &leaf, &[], &plain().with_name(host("a.test")).with_name(host("b.test"))));
    let report = check(&root, &leaf, &[], &plain().with_name(host("a.test")).with_name(host("c.test")));
    assert_refused(&report, Code::Name);
    assert!(report.findings()[0].text.contains("c.test"));
}

#[test]
fn no_name_check_must_be_chosen_and_an_empty_list_is_no_choice() {
    let root = Party::root("Root");
    let leaf = root.leaf("device");
    let mut checks = plain();
    assert_eq!(checks.names, NameCheck::NotChecked);
    assert_valid(&check(&root, &leaf, &[], &checks));
    checks.names = NameCheck::All(Vec::new());
    assert_refused(&check(&root, &leaf, &[], &checks), Code::Name);
}

#[test]
fn names_that_nobody_can_carry_are_refused_even_if_a_certificate_says_so() {
    for odd in ["", ".", "a..b", "*.example.com", "bücher.example.com", "a b"] {
        let presented = if odd.is_ascii() { dns(odd) } else { dns("x") };
        assert!(!carries(&[presented], host(odd)), "{odd:?}");
    }
    assert!(!carries(&[email("@")], PeerName::Email("@".to_owned())));
    assert!(!carries(&[uri("x")], PeerName::Uri("x".to_owned())));
}

#[test]
fn a_name_with_a_zero_byte_matches_nothing_shorter() {
    assert!(!carries(&[dns("device.example.com\0.evil.org")], host("device.example.com")));
    assert!(!carries(&[email("joe@example.com\0.evil.org")], PeerName::Email("joe@example.com".to_owned())));
}

/// A Name with a commonName as this string type.
fn named(tag: u8, content: &[u8]) -> Vec<u8> {
    crate::certificates::name(&[(devid::asn1::oid::AT_COMMON_NAME, tag, content)])
}

#[test]
fn names_in_every_string_type_are_the_same_name() {
    let text = "Zähler 7 Straße";
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let ucs4: Vec<u8> = text.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect();
    let latin: Vec<u8> = text.chars().map(|c| c as u8).collect();
    let forms = [named(0x0c, text.as_bytes()), named(0x1e, &utf16), named(0x1c, &ucs4), named(0x14, &latin)];
    for a in &forms {
        for b in &forms {
            assert!(devid::validation::same_name(a, b));
        }
        assert!(devid::validation::same_name(a, &named(0x0c, "  zÄHLER  7 STRASSE ".as_bytes())));
        assert!(!devid::validation::same_name(a, &named(0x0c, "Zahler 7 Straße".as_bytes())));
    }
    // What breaks its encoding equals itself alone.
    for (tag, broken) in [(0x1c, &ucs4[..ucs4.len() - 1]), (0x1c, &[0, 0x11, 0, 0][..]), (0x1e, &utf16[..3])] {
        assert!(devid::validation::same_name(&named(tag, broken), &named(tag, broken)));
        assert!(!devid::validation::same_name(&named(tag, broken), &named(0x0c, text.as_bytes())));
    }
    // A path is found over them.
    let root = Builder::ca("x").subject(forms[2].clone()).self_signed();
    let ca = Builder::ca("CA").sign(&forms[0], &root.key);
    let leaf = Builder::leaf("leaf").signed_by(&ca);
    assert_valid(&check(&root, &leaf, &[&ca], &plain()));
}

#[test]
#[cfg(feature = "unicode-names")]
fn compatible_forms_of_a_letter_are_one_letter() {
    let same = |a: &str, b: &str| devid::validation::same_name(&named(0x0c, a.as_bytes()), &named(0x0c, b.as_bytes()));
    assert!(same("Z\u{e4}hler", "Za\u{308}hler"), "composed or not");
    assert!(same("\u{ff2d}eter", "METER"), "full width");
    assert!(same("\u{fb01}eld", "FIELD"), "a ligature");
    assert!(same("\u{2168}", "ix"), "a Roman number");
    assert!(same("Ma\u{df}", "MASS") && same("\u{1e9e}", "ss") && same("\u{3c3}", "\u{3c2}"), "sharp s, final sigma");
    assert!(same("a\u{ad}b\u{200b}c", "abc") && same("a\u{a0}\u{3000}b", "a b"), "dropped, and white space");
    assert!(!same("a\u{131}", "ai"), "a dotless i is no i");
    assert!(!same("\u{430}", "a"), "a Cyrillic letter is no Latin one");
    assert!(!same("a\u{300}", "a") && !same("", "\u{301}"));
}
