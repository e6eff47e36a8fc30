//! Name constraints (RFC 5280 section 4.2.1.10): each form, both sides, and the ways around them that others had.

use devid::Code;
use devid::asn1::oid::{self, Oid};
use devid::validation::Checks;

use crate::certificates::{
    Builder, Party, directory, dns, email, ip, key, list, name, name_constraints, other_name, registered_id, uri,
};
use crate::{assert_refused, assert_valid, check, plain};

/// Validates an end entity with these names below a CA with these constraints.
fn outcome(permitted: &[Vec<u8>], excluded: &[Vec<u8>], names: &[Vec<u8>]) -> Result<(), Code> {
    let root = Party::root("Root");
    let ca = Builder::ca("CA").constraints(permitted, excluded).signed_by(&root);
    let leaf = Builder::leaf("device").alt_names(names.to_vec()).signed_by(&ca);
    check(&root, &leaf, &[&ca], &plain()).error().map_or(Ok(()), |e| Err(e.code()))
}

const OUTSIDE: Result<(), Code> = Err(Code::NameConstraints);
const MALFORMED: Result<(), Code> = Err(Code::Malformed);

#[track_caller]
fn permits(base: Vec<u8>, inside: &[Vec<u8>], outside: &[Vec<u8>]) {
    for name in inside {
        assert_eq!(outcome(std::slice::from_ref(&base), &[], std::slice::from_ref(name)), Ok(()), "{name:02x?}");
        assert_eq!(outcome(&[], std::slice::from_ref(&base), std::slice::from_ref(name)), OUTSIDE, "{name:02x?}");
    }
    for name in outside {
        assert_eq!(outcome(std::slice::from_ref(&base), &[], std::slice::from_ref(name)), OUTSIDE, "{name:02x?}");
        assert_eq!(outcome(&[], std::slice::from_ref(&base), std::slice::from_ref(name)), Ok(()), "{name:02x?}");
    }
}

#[test]
fn dns_names_are_in_the_subtree_with_labels_added_in_front() {
    permits(
        dns("example.com"),
        &[
            dns("example.com"),
            dns("a.example.com"),
            dns("a.b.EXAMPLE.com"),
            dns("*.example.com"),
            dns("_x.example.com"),
        ],
        &[dns("badexample.com"), dns("example.org"), dns("com"), dns("example.com.evil.org")],
    );
    permits(dns(""), &[dns("anything.test"), dns("*.test")], &[]);
}

#[test]
fn trailing_dots_and_case_are_normalised_on_both_sides() {
    permits(dns("Example.COM."), &[dns("a.example.com"), dns("a.example.com.")], &[dns("example.org.")]);
    permits(dns("example.com"), &[dns("EXAMPLE.com."), dns("a.eXample.com.")], &[]);
    permits(
        email("Example.COM"),
        &[email("joe@example.com."), email("joe@EXAMPLE.com")],
        &[email("joe@a.example.com")],
    );
    permits(uri("Example.COM"), &[uri("https://example.com./x")], &[uri("https://a.example.com/")]);
}

#[test]
fn wildcard_names_count_as_the_set_they_stand_for() {
    let names = [dns("*.example.com")];
    // One host of the set is excluded: the wildcard would reach it.
    assert_eq!(outcome(&[], &[dns("secret.example.com")], &names), OUTSIDE);
    assert_eq!(outcome(&[], &[dns("example.com")], &names), OUTSIDE);
    assert_eq!(outcome(&[], &[dns("deep.secret.example.com")], &names), Ok(()));
    assert_eq!(outcome(&[], &[dns("example.org")], &names), Ok(()));
    // One host of the set is permitted: the wildcard reaches beyond it.
    assert_eq!(outcome(&[dns("open.example.com")], &[], &names), OUTSIDE);
    assert_eq!(outcome(&[dns("com")], &[], &names), Ok(()));
    // No wildcard in other places, and none alone.
    for odd in ["*", "a.*.example.com", "*a.example.com", "*.*.example.com", "*."] {
        assert_eq!(outcome(&[dns("example.com")], &[], &[dns(odd)]), OUTSIDE, "{odd}");
        assert_eq!(outcome(&[], &[dns("example.org")], &[dns(odd)]), OUTSIDE, "{odd}");
    }
}

#[test]
fn names_that_cannot_be_compared_refuse_on_either_side() {
    for odd in ["", ".", "a..b", ".example.com", "-a.example.com", "a b.example.com", "example.com..", "\0.example.com"]
    {
        assert_eq!(outcome(&[dns("example.com")], &[], &[dns(odd)]), OUTSIDE, "{odd:?}");
        assert_eq!(outcome(&[], &[dns("example.org")], &[dns(odd)]), OUTSIDE, "{odd:?}");
    }
    for odd in ["joe", "@example.com", "joe@", "joe@a..b"] {
        assert_eq!(outcome(&[], &[email("example.org")], &[email(odd)]), OUTSIDE, "{odd:?}");
    }
}

#[test]
fn constraints_that_cannot_be_read_refuse() {
    for base in ["*.example.com", "a..b", ".", "exa mple.com", "-x.com"] {
        assert_eq!(outcome(&[dns(base)], &[], &[dns("a.example.com")]), MALFORMED, "{base}");
        assert_eq!(outcome(&[], &[dns(base)], &[dns("a.example.com")]), MALFORMED, "{base}");
    }
    for base in ["", "@example.com", "joe@", "joe@.example.com"] {
        assert_eq!(outcome(&[], &[email(base)], &[dns("a.test")]), MALFORMED, "{base}");
    }
    for base in ["https://example.com", "", "user@example.com"] {
        assert_eq!(outcome(&[], &[uri(base)], &[dns("a.test")]), MALFORMED, "{base}");
    }
    for octets in [&[10, 0, 0, 1][..], &[10, 0, 0, 0, 255, 255, 0], &[10, 0, 0, 0, 255, 0, 255, 0], &[]] {
        assert_eq!(outcome(&[], &[ip(octets)], &[dns("a.test")]), MALFORMED, "{octets:?}");
    }
}

#[test]
fn a_dot_in_front_of_a_dns_constraint_is_taken_only_where_the_caller_allows_it() {
    let root = Party::root("Root");
    let ca = Builder::ca("CA").constraints(&[dns(".example.com")], &[]).signed_by(&root);
    let leaf = |host: &str| Builder::leaf("device").alt_names([dns(host)]).signed_by(&ca);
    let allowed = Checks { allow_dotted_dns_constraints: true, ..plain() };
    assert_refused(&check(&root, &leaf("a.example.com"), &[&ca], &plain()), Code::Malformed);
    assert_valid(&check(&root, &leaf("a.example.com"), &[&ca], &allowed));
    assert_valid(&check(&root, &leaf("*.example.com"), &[&ca], &allowed));
    assert_refused(&check(&root, &leaf("example.com"), &[&ca], &allowed), Code::NameConstraints);
}

#[test]
fn mailboxes_hosts_and_domains_of_mail() {
    permits(
        email("Joe@example.com"),
        &[email("Joe@EXAMPLE.com")],
        &[email("joe@example.com"), email("x@example.com"), email("Joe@a.example.com")],
    );
    permits(email("example.com"), &[email("a@example.com"), email("*@example.com")], &[email("a@b.example.com")]);
    permits(email(".example.com"), &[email("a@b.example.com")], &[email("a@example.com")]);
    // '*' is a character of a mailbox, not a wildcard.
    permits(email("*@example.com"), &[email("*@example.com")], &[email("a@example.com")]);
}

#[test]
fn the_e_mail_address_in_a_subject_is_constrained_too() {
    let root = Party::root("Root");
    let ca = Builder::ca("CA").constraints(&[email("example.com")], &[]).signed_by(&root);
    let with = |address: &[u8]| {
        let subject = name(&[(oid::AT_COMMON_NAME, 0x0c, b"device"), (oid::EMAIL_ADDRESS, 0x16, address)]);
        check(&root, &Builder::leaf("x").subject(subject).signed_by(&ca), &[&ca], &plain())
    };
    assert_valid(&with(b"joe@example.com"));
    assert_refused(&with(b"joe@example.org"), Code::NameConstraints);
}

#[test]
fn uris_are_constrained_by_their_host() {
    permits(
        uri("example.com"),
        &[uri("https://example.com"), uri("opc.tcp://joe@EXAMPLE.com:4840/path")],
        &[uri("https://a.example.com/"), uri("https://example.org/?example.com")],
    );
    permits(uri(".example.com"), &[uri("https://a.b.example.com/")], &[uri("https://example.com/")]);
    // RFC 5280 section 4.2.1.10: URIs without a host name are refused where URIs are constrained at all.
    for odd in [
        "urn:device:7",
        "https:///path",
        "https://192.0.2.1/",
        "https://[2001:db8::1]/",
        "//example.com/",
        "https://example.com:x/",
        "https://evil.org\\.example.com/",
        "https://%65xample.com/",
    ] {
        assert_eq!(outcome(&[uri("example.com")], &[], &[uri(odd)]), OUTSIDE, "{odd}");
        assert_eq!(outcome(&[], &[uri("example.org")], &[uri(odd)]), OUTSIDE, "{odd}");
    }
}

#[test]
fn addresses_are_constrained_by_prefix_and_version() {
    permits(
        ip(&[10, 1, 0, 0, 255, 255, 0, 0]),
        &[ip(&[10, 1, 2, 3])],
        &[ip(&[10, 2, 2, 3]), ip(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])],
    );
    let mut base = vec![0u8; 32];
    base[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
    base[16..20].copy_from_slice(&[255; 4]);
    let mut inside = [0u8; 16];
    inside[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
    permits(ip(&base), &[ip(&inside)], &[ip(&[0xfe; 16]), ip(&[10, 1, 2, 3])]);
    permits(ip(&[0; 8]), &[ip(&[192, 0, 2, 1])], &[]);
}

#[test]
fn directory_names_are_constrained_attribute_by_attribute() {
    let base = name(&[(oid::AT_COUNTRY, 0x13, b"DE"), (oid::AT_ORGANIZATION, 0x13, b"Example Corp")]);
    let inside = name(&[
        (oid::AT_COUNTRY, 0x13, b"de"),
        (oid::AT_ORGANIZATION, 0x0c, b"EXAMPLE  corp"),
        (oid::AT_COMMON_NAME, 0x0c, b"device"),
    ]);
    let outside = name(&[(oid::AT_COUNTRY, 0x13, b"DE"), (oid::AT_ORGANIZATION, 0x0c, b"Example Corporation")]);
    let root = Party::root("Root");
    let permitted = Builder::ca("CA").constraints(&[directory(&base)], &[]).signed_by(&root);
    let excluded = Builder::ca("CA").constraints(&[], &[directory(&base)]).signed_by(&root);
    let leaf = |subject: &[u8], ca: &Party| Builder::leaf("x").subject(subject.to_vec()).signed_by(ca);
    assert_valid(&check(&root, &leaf(&inside, &permitted), &[&permitted], &plain()));
    assert_refused(&check(&root, &leaf(&outside, &permitted), &[&permitted], &plain()), Code::NameConstraints);
    assert_refused(&check(&root, &leaf(&inside, &excluded), &[&excluded], &plain()), Code::NameConstraints);
    assert_valid(&check(&root, &leaf(&outside, &excluded), &[&excluded], &plain()));
    // An empty subject is no directory name; a directoryName among the alternative names is one.
    let nameless = Builder::leaf("x").subject(vec![0x30, 0]).alt_names([directory(&inside)]).signed_by(&permitted);
    assert_valid(&check(&root, &nameless, &[&permitted], &plain()));
    let nameless = Builder::leaf("x").subject(vec![0x30, 0]).alt_names([directory(&outside)]).signed_by(&permitted);
    assert_refused(&check(&root, &nameless, &[&permitted], &plain()), Code::NameConstraints);
}

#[test]
fn a_form_without_a_permitted_subtree_is_not_restricted() {
    // Absent differs from empty: constraints of one form say nothing about another.
    assert_eq!(outcome(&[dns("example.com")], &[], &[email("joe@example.org"), dns("a.example.com")]), Ok(()));
    assert_eq!(outcome(&[email("example.com")], &[dns("example.org")], &[dns("a.example.com")]), Ok(()));
}

#[test]
fn permitted_trees_hold_although_a_ca_above_had_only_exclusions() {
    let root = Builder::ca("Root").constraints(&[], &[dns("evil.test")]).self_signed();
    let ca = Builder::ca("CA").constraints(&[dns("example.com")], &[]).signed_by(&root);
    let leaf = |host: &str| Builder::leaf("device").alt_names([dns(host)]).signed_by(&ca);
    assert_valid(&check(&root, &leaf("a.example.com"), &[&ca], &plain()));
    assert_refused(&check(&root, &leaf("a.example.org"), &[&ca], &plain()), Code::NameConstraints);
    assert_refused(&check(&root, &leaf("evil.test"), &[&ca], &plain()), Code::NameConstraints);
}

#[test]
fn a_lower_ca_cannot_widen_what_an_upper_one_permits() {
    let root = Party::root("Root");
    let upper = Builder::ca("Upper").constraints(&[dns("example.com")], &[]).signed_by(&root);
    let lower = Builder::ca("Lower").constraints(&[dns("example.com"), dns("example.org")], &[]).signed_by(&upper);
    let leaf = Builder::leaf("device").alt_names([dns("a.example.org")]).signed_by(&lower);
    assert_refused(&check(&root, &leaf, &[&upper, &lower], &plain()), Code::NameConstraints);
}

#[test]
fn the_anchors_constraints_count() {
    let root = Builder::ca("Root").constraints(&[dns("example.com")], &[]).self_signed();
    let leaf = |host: &str| Builder::leaf("device").alt_names([dns(host)]).signed_by(&root);
    assert_valid(&check(&root, &leaf("a.example.com"), &[], &plain()));
    assert_refused(&check(&root, &leaf("a.example.org"), &[], &plain()), Code::NameConstraints);
}

#[test]
fn intermediate_cas_are_constrained_but_self_issued_ones_are_not() {
    let base = name(&[(oid::AT_ORGANIZATION, 0x0c, b"Inside")]);
    let inside = |text: &[u8]| name(&[(oid::AT_ORGANIZATION, 0x0c, b"Inside"), (oid::AT_COMMON_NAME, 0x0c, text)]);
    let root = Party::root("Root");
    // The CA's own name is outside its constraints; its key rollover certificate bears that name.
    let ca = Builder::ca("Outside").constraints(&[directory(&base)], &[]).signed_by(&root);
    let rolled = Builder::ca("Outside").signed_by(&ca);
    let leaf = Builder::leaf("x").subject(inside(b"device")).signed_by(&rolled);
    assert_valid(&check(&root, &leaf, &[&ca, &rolled], &plain()));

    let below = Builder::ca("Below, outside").signed_by(&ca);
    let leaf = Builder::leaf("x").subject(inside(b"device")).signed_by(&below);
    assert_refused(&check(&root, &leaf, &[&ca, &below], &plain()), Code::NameConstraints);

    // A self-issued end entity is constrained: it is the last certificate.
    let self_issued = Builder::leaf("Outside").signed_by(&ca);
    assert_refused(&check(&root, &self_issued, &[&ca], &plain()), Code::NameConstraints);
}

#[test]
fn forms_that_are_not_known_refuse_where_they_meet_constraints_of_their_form() {
    let upn = Oid::new_unwrap("1.3.6.1.4.1.311.20.2.3");
    let other = other_name(upn, &[0x0c, 0x01, b'a']);
    for (base, name) in [(other.clone(), other), (registered_id(upn), registered_id(upn))] {
        assert_eq!(outcome(&[], std::slice::from_ref(&base), std::slice::from_ref(&name)), OUTSIDE);
        assert_eq!(outcome(std::slice::from_ref(&base), &[], std::slice::from_ref(&name)), OUTSIDE);
        assert_eq!(outcome(&[], std::slice::from_ref(&base), &[dns("a.test")]), Ok(()));
        assert_eq!(outcome(&[], &[dns("b.test")], std::slice::from_ref(&name)), Ok(()));
    }
}

#[test]
fn general_name_types_are_never_confused() {
    // The same bytes in another form: a DNS constraint says nothing about a mailbox or a URI.
    assert_eq!(outcome(&[], &[dns("example.com")], &[uri("https://example.com/")]), Ok(()));
    assert_eq!(outcome(&[], &[email("example.com")], &[dns("example.com")]), Ok(()));
    assert_eq!(outcome(&[], &[uri("example.com")], &[dns("example.com")]), Ok(()));
}

#[test]
fn minimum_and_maximum_are_refused() {
    use devid::asn1::der::{element, sequence};
    let root = Party::root("Root");
    let minimum = element(0x80, &[&[1]]);
    let maximum = element(0x81, &[&[1]]);
    for extra in [minimum, maximum] {
        let subtree = sequence(&[&dns("example.com"), &extra]);
        let value = sequence(&[&element(0xa0, &[&subtree])]);
        let ca = Builder::ca("CA").with(oid::CE_NAME_CONSTRAINTS, true, value).signed_by(&root);
        let leaf = Builder::leaf("device").alt_names([dns("example.com")]).signed_by(&ca);
        assert_refused(&check(&root, &leaf, &[&ca], &plain()), Code::Malformed);
    }
}

#[test]
fn zero_item_constraints_are_refused() {
    use devid::asn1::der::{element, sequence};
    let root = Party::root("Root");
    for value in [sequence(&[]), sequence(&[&element(0xa0, &[])]), sequence(&[&element(0xa1, &[])])] {
        let ca = Builder::ca("CA").with(oid::CE_NAME_CONSTRAINTS, true, value).signed_by(&root);
        assert_refused(&check(&root, &ca.leaf("device"), &[&ca], &plain()), Code::Malformed);
    }
}

#[test]
fn quadratic_names_and_constraints_end_with_the_budget() {
    let root = Party::root("Root");
    let many =
        |count: usize, suffix: &str| -> Vec<Vec<u8>> { (0..count).map(|i| dns(&format!("n{i}.{suffix}"))).collect() };
    let ca_key = key();
    let ca = Builder::ca("CA")
        .key(&ca_key)
        .with(oid::CE_NAME_CONSTRAINTS, true, name_constraints(&[], &many(2000, "excluded.test")))
        .signed_by(&root);
    let leaf =
        Builder::leaf("device").with(oid::CE_SUBJECT_ALT_NAME, false, list(many(2000, "names.test"))).signed_by(&ca);
    let report = check(&root, &leaf, &[&ca], &plain());
    assert_refused(&report, Code::Budget);
    let few = Builder::leaf("device").alt_names(many(20, "names.test")).signed_by(&ca);
    assert_valid(&check(&root, &few, &[&ca], &plain()));
}

/// RFC 9598 section 6: constraints on rfc822Name are constraints on SmtpUTF8Mailbox.
#[test]
fn mailboxes_beyond_ascii_obey_the_constraints_on_mailboxes() {
    let kind = Oid::new("1.3.6.1.5.5.7.8.9").unwrap();
    let mailbox = |text: &str| other_name(kind, &devid::asn1::der::element(0x0c, &[text.as_bytes()]));
    permits(
        email("example.com"),
        &[mailbox("\u{fc}ser@example.com"), mailbox("\u{fc}ser@EXAMPLE.com")],
        &[mailbox("\u{fc}ser@a.example.com"), mailbox("\u{fc}ser@example.org")],
    );
    permits(email(".example.com"), &[mailbox("\u{fc}@a.example.com")], &[mailbox("\u{fc}@example.com")]);
    let malformed =
        [other_name(kind, &[0x05, 0x00]), other_name(kind, &[0x0c, 0x01, 0xff]), mailbox("nobody"), mailbox("")];
    for name in malformed {
        let name = [name];
        assert_eq!(outcome(&[email("example.com")], &[], &name), OUTSIDE);
        assert_eq!(outcome(&[], &[email("example.com")], &name), OUTSIDE);
        assert_eq!(outcome(&[dns("example.com")], &[], &name), Ok(()), "mailboxes are not constrained");
    }
}

/// A malformed mailbox may be read as another one by whoever looks at it next, so it is compared with nothing (RFC 5321 section
/// 4.1.2).
#[test]
fn malformed_mailboxes_and_uris_are_in_no_subtree_and_out_of_none() {
    for text in [
        "a@b@example.com",
        "a@evil.com\0@example.com",
        "b@evil.com,a@example.com",
        "a@evil.com;@example.com",
        "b@evil.com%a@example.com",
        "\0a@example.com",
        "a\r\nb@example.com",
        "a b@example.com",
        "\"a@example.com",
        "a\"@example.com",
        "a..b@example.com",
        ".a@example.com",
        "a.@example.com",
        "\"x\"@evil.com\"@example.com",
        "mailto:a@example.com",
        "@example.com",
    ] {
        for side in [(&[email("example.com")][..], &[][..]), (&[], &[email("other.example")])] {
            assert_eq!(outcome(side.0, side.1, &[email(text)]), OUTSIDE, "{text:?}");
        }
    }
    for text in
        ["a@example.com", "a.b+c=d@example.com", "\"a b@c\"@example.com", "\"a\\\"b\"@example.com", "{x}~!@example.com"]
    {
        assert_eq!(outcome(&[email("example.com")], &[], &[email(text)]), Ok(()), "{text}");
    }
    for text in ["http://evil.com\\@example.com/", "http://exa mple.com/", "http://example.com\"/"] {
        assert_eq!(outcome(&[uri("example.com")], &[], &[uri(text)]), OUTSIDE, "{text}");
    }
}
