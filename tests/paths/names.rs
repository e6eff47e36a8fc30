//! Names of the peer (RFC 9525).

use std::net::IpAddr;

use devid::Code;
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
