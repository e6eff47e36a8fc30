//! A CA's template is followed by the next request (RFC 9483 section 4.3.3).

use devid::Code;
use devid::asn1::crmf::CertTemplate;
use devid::asn1::der::{element, encode, sequence};
use devid::asn1::name::Name;
use devid::asn1::oid::{self, Oid};
use devid::client::Subject;
use devid::cmp::RequestTemplate;
use devid::crypto::KeyKind;
use devid::crypto::algorithm::encode_oid;

use crate::certificates::provider;

fn attribute(kind: &str, value: &str) -> Vec<u8> {
    let kind = encode_oid(Oid::new_unwrap(kind));
    element(0x31, &[&sequence(&[&kind, &element(0x0c, &[value.as_bytes()])])])
}

const COMMON_NAME: &str = "2.5.4.3";
const ORGANIZATION: &str = "2.5.4.10";
const SERIAL_NUMBER: &str = "2.5.4.5";

fn extension(kind: Oid, value: &[u8]) -> Vec<u8> {
    sequence(&[&encode_oid(kind), &element(0x04, &[value])])
}

fn content(fields: &[Vec<u8>], key_specs: &[Vec<u8>]) -> RequestTemplate {
    let specs = if key_specs.is_empty() { Vec::new() } else { sequence(&[&key_specs.concat()]) };
    RequestTemplate::from_der(&sequence(&[&sequence(&[&fields.concat()]), &specs])).unwrap()
}

fn algorithm(parts: &[Oid]) -> Vec<u8> {
    let identifier = sequence(&[&parts.iter().flat_map(|part| encode_oid(*part)).collect::<Vec<u8>>()]);
    sequence(&[&encode_oid(oid::REG_CTRL_ALG_ID), &identifier])
}

fn applied(template: &RequestTemplate, wishes: &Subject) -> (CertTemplate, Vec<String>) {
    let applied = template.apply(wishes).unwrap();
    (applied.subject.to_template().unwrap(), applied.changes)
}

fn subject_of(template: &CertTemplate) -> String {
    template.subject.as_ref().unwrap().to_string()
}

#[test]
fn given_values_are_taken_over_and_empty_places_are_filled() {
    let name =
        sequence(&[&attribute(ORGANIZATION, "Operator"), &attribute(COMMON_NAME, ""), &attribute(SERIAL_NUMBER, "")]);
    let template = content(&[element(0xa5, &[&name])], &[]);
    let wishes = Subject::new().name("CN=router-7,OU=Lab,O=Maker").unwrap();

    let (asked, changes) = applied(&template, &wishes);

    assert_eq!(subject_of(&asked), "CN=router-7,O=Operator");
    assert_eq!(
        changes,
        [
            "subject: the CA's value of 2.5.4.10 was taken",
            "subject: the CA asks for 2.5.4.5, which is not known here",
            "subject: 2.5.4.11 was left out"
        ]
    );
}

#[test]
fn the_whole_name_is_the_devices_where_the_template_says_null_or_nothing() {
    let wishes = Subject::new().name("CN=router-7").unwrap();
    for fields in [vec![element(0xa5, &[&[0x30, 0x00]])], vec![]] {
        let (asked, changes) = applied(&content(&fields, &[]), &wishes);
        assert_eq!(subject_of(&asked), "CN=router-7");
        assert!(changes.is_empty(), "{changes:?}");
    }
}

#[test]
fn extensions_are_those_of_the_template_and_no_others() {
    let usage = [0x03, 0x02, 0x05, 0xa0];
    let fields = [element(0xa9, &[&extension(oid::CE_KEY_USAGE, &usage), &extension(oid::CE_EXT_KEY_USAGE, &[])])];
    let wishes = Subject::new().name("CN=a").unwrap().key_usage("digitalSignature").unwrap();
    let wishes = wishes.extended_key_usage("clientAuth").unwrap().dns("a.example").unwrap();

    let (asked, changes) = applied(&content(&fields, &[]), &wishes);

    assert_eq!(asked.extensions.len(), 2);
    assert_eq!((asked.extensions[0].oid, &asked.extensions[0].value[..]), (oid::CE_KEY_USAGE, &usage[..]));
    assert_eq!(asked.extensions[1].value, sequence(&[&encode_oid(oid::KP_CLIENT_AUTH)]), "filled in");
    assert_eq!(changes, ["extension 2.5.29.15: the CA's value was taken", "extension 2.5.29.17 was left out"]);

    let (asked, changes) = applied(&content(&fields, &[]), &Subject::new().name("CN=a").unwrap());
    assert_eq!(asked.extensions.len(), 1, "an empty place for which nothing is known is not sent");
    assert_eq!(changes, ["extension 2.5.29.37: the CA asks for it, and nothing is known here"]);
}

#[test]
fn empty_alternative_names_are_filled_one_by_one() {
    let fixed = element(0x82, &[b"fleet.example"]);
    let names = sequence(&[&element(0x82, &[]), &fixed, &element(0x87, &[])]);
    let template = content(&[element(0xa9, &[&extension(oid::CE_SUBJECT_ALT_NAME, &names)])], &[]);
    let wishes = Subject::new().name("CN=a").unwrap().dns("a.example").unwrap().dns("b.example").unwrap();

    let (asked, changes) = applied(&template, &wishes);

    let expected = sequence(&[&element(0x82, &[b"a.example"]), &fixed]);
    assert_eq!(asked.extensions[0].value, expected);
    assert_eq!(
        changes,
        [
            "alternative name of tag [7]: the CA asks for one, none is known here",
            "an alternative name of tag [2] was left out"
        ]
    );
    let nobody = applied(
        &content(&[element(0xa9, &[&extension(oid::CE_SUBJECT_ALT_NAME, &sequence(&[&element(0x87, &[])]))])], &[]),
        &Subject::new().name("CN=a").unwrap(),
    );
    assert!(nobody.0.extensions.is_empty(), "no extension without a name");
}

#[test]
fn an_issuer_and_dates_are_the_templates() {
    let issuer = Name::parse("CN=Issuing CA").unwrap();
    let wishes = Subject::new().name("CN=a").unwrap().issuer("CN=Another").unwrap();
    let wishes = wishes.validity(None, Some(devid::Time::from_unix(2_000_000_000)));

    let (asked, changes) = applied(&content(&[element(0xa3, &[issuer.as_der()])], &[]), &wishes);
    assert_eq!(asked.issuer, Some(issuer));
    assert_eq!((asked.not_before, asked.not_after), (None, None));
    assert_eq!(changes.len(), 2, "{changes:?}");

    let (asked, changes) = applied(&content(&[], &[]), &wishes);
    assert_eq!(asked.issuer, None);
    assert_eq!(changes[0], "issuer: CN=Another was left out");
}

#[test]
fn a_template_that_leaves_nobody_is_not_followed_into_a_request() {
    let template = content(&[element(0xa5, &[&sequence(&[&attribute(COMMON_NAME, "")])])], &[]);
    let applied = template.apply(&Subject::new().dns("a.example").unwrap()).unwrap();
    assert_eq!(applied.subject.to_template().unwrap_err().code(), Code::InvalidArgument);
}

#[test]
fn keys_are_of_the_types_that_the_ca_certifies() {
    let rsa = sequence(&[&encode_oid(oid::REG_CTRL_RSA_KEY_LEN), &encode(&1_000_000u32)]);
    let template =
        content(&[], &[rsa.clone(), algorithm(&[oid::EC_PUBLIC_KEY, oid::CURVE_P384]), algorithm(&[oid::ED25519])]);
    assert!(template.admits(KeyKind::P384) && template.admits(KeyKind::Ed25519) && !template.admits(KeyKind::P256));
    let error = template.check_key(KeyKind::P256).unwrap_err();
    assert_eq!(error.code(), Code::Algorithm);
    assert!(error.message().contains("P-384, Ed25519"), "{error}");
    let key = template.generate_key(&**provider()).unwrap();
    assert_eq!(key.kind(), KeyKind::P384, "the first one that can be made here");

    assert!(content(&[], &[]).admits(KeyKind::P256) && content(&[], &[]).admits(KeyKind::Rsa(2048)));
    assert_eq!(content(&[], &[]).generate_key(&**provider()).unwrap().kind(), KeyKind::P256);

    let unknown = content(&[], &[algorithm(&[oid::SHA256])]);
    assert!(!unknown.admits(KeyKind::P256), "the CA has wishes, and this is none of them");
    assert_eq!(unknown.generate_key(&**provider()).unwrap_err().code(), Code::Algorithm);
    assert_eq!(content(&[], &[rsa]).generate_key(&**provider()).unwrap_err().code(), Code::Algorithm);
}
