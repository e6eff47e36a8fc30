use alloc::sync::Arc;

use super::content_info::{encode_content_info, read_content_info};
use super::*;
use crate::asn1::der::{Cursor, element, sequence};
use crate::asn1::oid::{self, Oid};
use crate::crypto::{CryptoError, ExternalKey, KeyKind, PrivateKey, Provider, default_provider};
use crate::limits::{self, Limits};

const KINDS: [KeyKind; 8] = [
    KeyKind::Rsa(2048),
    KeyKind::P256,
    KeyKind::P384,
    KeyKind::P521,
    KeyKind::X25519,
    KeyKind::MlKem512,
    KeyKind::MlKem768,
    KeyKind::MlKem1024,
];
const ENCRYPTIONS: [ContentEncryption; 2] = [ContentEncryption::Aes256Cbc, ContentEncryption::Aes256Gcm];

fn sealed_for(
    provider: &dyn Provider,
    key: &dyn PrivateKey,
    encryption: ContentEncryption,
    content_type: Oid,
) -> Vec<u8> {
    let identifier = RecipientIdentifier::SubjectKeyIdentifier(b"device");
    let recipient = Recipient::Key { spki: key.spki(), identifier };
    seal(provider, &[recipient], encryption, content_type, b"the new key").unwrap()
}

fn open_with(provider: &dyn Provider, input: &[u8], key: &dyn PrivateKey) -> Result<Opened, CmsError> {
    open(provider, input, &OpenOptions { key: Some(key), ..OpenOptions::new(&Limits::default()) })
}

#[test]
fn what_is_sealed_for_a_key_is_opened_by_it_and_by_no_other() {
    let provider = default_provider();
    for kind in KINDS {
        let key = provider.generate_key(kind).unwrap();
        let stranger = provider.generate_key(kind).unwrap();
        for encryption in ENCRYPTIONS {
            for content_type in [oid::CMS_DATA, oid::CMS_SIGNED_DATA] {
                let sealed = sealed_for(&*provider, &*key, encryption, content_type);
                let opened = open_with(&*provider, &sealed, &*key).unwrap();
                assert_eq!((&opened.content[..], opened.content_type), (&b"the new key"[..], content_type));
                assert_eq!(opened.authenticated, encryption == ContentEncryption::Aes256Gcm);
                let refused = open_with(&*provider, &sealed, &*stranger).unwrap_err();
                assert_eq!(refused, CmsError::Crypto(CryptoError::Decrypt), "{kind} {encryption:?}");
            }
        }
    }
}

#[test]
fn authenticated_content_shows_every_change() {
    let provider = default_provider();
    let key = provider.generate_key(KeyKind::P256).unwrap();
    let sealed = sealed_for(&*provider, &*key, ContentEncryption::Aes256Gcm, oid::CMS_SIGNED_DATA);
    for place in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[place] ^= 1;
        // Names of recipients and version numbers are not covered: without a certificate they do not matter.
        if let Ok(opened) = open_with(&*provider, &changed, &*key) {
            assert_eq!(&opened.content[..], b"the new key", "byte {place}");
            assert_eq!(opened.content_type, oid::CMS_SIGNED_DATA, "byte {place}");
        }
    }
    for length in 0..sealed.len() {
        assert!(open_with(&*provider, &sealed[..length], &*key).is_err());
    }
}

#[test]
fn a_password_opens_what_it_sealed_within_the_limits() {
    let provider = default_provider();
    let limits = Limits::default();
    let sealed = |iterations| {
        let recipient = Recipient::Password { secret: b"shared secret", iterations };
        seal(&*provider, &[recipient], ContentEncryption::Aes256Cbc, oid::CMS_DATA, b"content").unwrap()
    };
    let open_with = |input: &[u8], secret: &[u8], limits: &Limits| {
        open(&*provider, input, &OpenOptions { password: Some(secret), ..OpenOptions::new(limits) })
    };
    let input = sealed(100);
    assert_eq!(&open_with(&input, b"shared secret", &limits).unwrap().content[..], b"content");
    assert_eq!(open_with(&input, b"other", &limits).unwrap_err(), CmsError::Crypto(CryptoError::Decrypt));
    let few = Limits { max_mac_iterations: 99, ..Limits::default() };
    assert!(matches!(open_with(&input, b"shared secret", &few), Err(CmsError::Crypto(CryptoError::Unsupported(_)))));
    let nothing = open(&*provider, &input, &OpenOptions::new(&limits)).unwrap_err();
    assert_eq!(nothing, CmsError::NotForUs { recipients: 1 });
}

#[test]
fn one_of_several_recipients_finds_its_own() {
    let provider = default_provider();
    let limits = Limits::default();
    let keys: Vec<Arc<dyn PrivateKey>> = KINDS.iter().map(|kind| provider.generate_key(*kind).unwrap()).collect();
    let serial = [7];
    let mut recipients: Vec<_> = keys
        .iter()
        .map(|key| Recipient::Key {
            spki: key.spki(),
            identifier: RecipientIdentifier::IssuerAndSerial(&[0x30, 0x00], &serial),
        })
        .collect();
    recipients.push(Recipient::Password { secret: b"pw", iterations: 1 });
    let sealed = seal(&*provider, &recipients, ContentEncryption::Aes256Gcm, oid::CMS_DATA, b"content").unwrap();
    for key in &keys {
        assert_eq!(&open_with(&*provider, &sealed, &**key).unwrap().content[..], b"content");
    }
    let by_password = OpenOptions { password: Some(b"pw"), ..OpenOptions::new(&limits) };
    assert_eq!(&open(&*provider, &sealed, &by_password).unwrap().content[..], b"content");
    assert!(seal(&*provider, &[], ContentEncryption::Aes256Gcm, oid::CMS_DATA, b"c").is_err());
    let many = vec![recipients.remove(1); limits::MAX_CMS_RECIPIENTS + 1];
    let sealed = seal(&*provider, &many, ContentEncryption::Aes256Cbc, oid::CMS_DATA, b"c").unwrap();
    assert!(matches!(open_with(&*provider, &sealed, &*keys[0]), Err(CmsError::Malformed(_))));
}

#[test]
fn keys_outside_open_what_they_can() {
    let provider = default_provider();
    let hidden = provider.generate_key(KeyKind::P384).unwrap();
    let sealed = sealed_for(&*provider, &*hidden, ContentEncryption::Aes256Cbc, oid::CMS_DATA);
    let signer = ExternalKey::new(hidden.spki(), |_, _| Err(CryptoError::KeyCannot("sign"))).unwrap();
    let refused = open_with(&*provider, &sealed, &signer).unwrap_err();
    assert_eq!(refused, CmsError::Crypto(CryptoError::KeyCannot("agree on a secret")));
    let chip = hidden.clone();
    let able = signer.with_agree(move |point| chip.agree(point));
    assert_eq!(&open_with(&*provider, &sealed, &able).unwrap().content[..], b"the new key");
}

#[test]
fn content_types_without_their_attribute_or_with_the_wrong_cipher_are_refused() {
    let provider = default_provider();
    let key = provider.generate_key(KeyKind::P256).unwrap();
    // A ContentInfo that says "authenticated" around data that is not.
    let sealed = sealed_for(&*provider, &*key, ContentEncryption::Aes256Cbc, oid::CMS_DATA);
    let (_, content) = read_content_info(&sealed).unwrap();
    let relabelled = encode_content_info(oid::CMS_AUTH_ENVELOPED_DATA, content.bytes);
    assert!(matches!(open_with(&*provider, &relabelled, &*key), Err(CmsError::Malformed(_))));
    // And the opposite: AES-GCM's ciphertext under EnvelopedData would be unauthenticated.
    let sealed = sealed_for(&*provider, &*key, ContentEncryption::Aes256Gcm, oid::CMS_DATA);
    let (_, content) = read_content_info(&sealed).unwrap();
    let relabelled = encode_content_info(oid::CMS_ENVELOPED_DATA, content.bytes);
    let refused = open_with(&*provider, &relabelled, &*key).unwrap_err().to_string();
    assert!(refused.contains("switch gcm_in_enveloped_data"), "{refused}");
}

#[test]
fn a_file_without_signed_data_gives_no_certificates() {
    assert!(certificates_from_pkcs7(&encode_content_info(oid::CMS_DATA, &[0x30, 0x00])).is_err());
    assert!(certificates_from_pkcs7(b"").is_err());
    assert!(certificates_from_pkcs7(pem::encode("CERTIFICATE", &[0x30, 0x00]).as_bytes()).is_err());
    let encapsulated = sequence(&[&element(0x06, &[oid::CMS_DATA.as_bytes()])]);
    let empty = sequence(&[&[0x02, 0x01, 0x01, 0x31, 0x00], &encapsulated, &[0x31, 0x00]]);
    assert_eq!(certificates_from_pkcs7(&encode_content_info(oid::CMS_SIGNED_DATA, &empty)), Ok(Vec::new()));
}

/// EJBCA and Bouncy Castle stream such files in BER; Microsoft's tools write base64 without armour.
#[test]
fn files_of_certificates_are_read_in_ber_and_base64_and_certificates_keep_their_bytes() {
    use base64ct::{Base64, Encoding};
    let certificate = Certificate::many_from_bytes(include_bytes!("../../tests/c/data/device.pem")).unwrap().remove(0);
    let streamed = |content: &[u8]| [&[0x30, 0x80][..], content, &[0, 0]].concat();
    let object = |found: Oid| element(0x06, &[found.as_bytes()]);
    let file = |certificates: &[u8]| {
        let set = [&[0xa0, 0x80][..], certificates, &[0, 0]].concat();
        let encapsulated = streamed(&object(oid::CMS_DATA));
        let data = [&[0x02, 0x01, 0x01, 0x31, 0x80, 0, 0][..], &encapsulated, &set, &[0x31, 0x80, 0, 0]].concat();
        let content = [&[0xa0, 0x80][..], &streamed(&data), &[0, 0]].concat();
        streamed(&[&object(oid::CMS_SIGNED_DATA)[..], &content].concat())
    };
    let good = file(certificate.as_der());
    for input in
        [good.clone(), Base64::encode_string(&good).into_bytes(), pem::encode("PKCS7", &good).as_bytes().to_vec()]
    {
        assert_eq!(certificates_from_pkcs7(&input).unwrap(), core::slice::from_ref(&certificate));
        assert_eq!(
            crate::client::certificates::certificates_from_bytes(&input).unwrap(),
            core::slice::from_ref(&certificate)
        );
    }
    // A certificate that is BER itself would be one of our making.
    let mut fields = Cursor::new(certificate.as_der(), "").unwrap();
    let as_ber = file(&streamed(fields.any("a certificate").unwrap().value));
    let told = certificates_from_pkcs7(&as_ber).unwrap_err().to_string();
    assert!(told.contains("not a certificate in DER") && told.contains("choice 1"), "{told}");
    for length in 0..good.len() {
        assert!(certificates_from_pkcs7(&good[..length]).is_err(), "cut at {length}");
    }
}

/// Choices that are BER themselves are none, and count as what they take the time of.
#[test]
fn a_bundle_of_nothing_but_ber_holds_nothing_and_is_refused_where_it_is_long() {
    let streamed = |content: &[u8]| [&[0x30, 0x80][..], content, &[0, 0]].concat();
    let as_it_came = sequence(&[&element(0x02, &[&[5]])]);
    let lists = |count: usize| {
        let choices = [&[0x30, 0x80, 0x02, 0x01, 0x05, 0, 0].repeat(count)[..], &as_it_came].concat();
        let empty = streamed(&element(0x06, &[oid::CMS_DATA.as_bytes()]));
        let data = [&[0x02, 0x01, 0x01, 0x31, 0x00][..], &empty, &element(0xa1, &[&choices]), &[0x31, 0x00]].concat();
        crate::asn1::pkcs7::lists(&streamed(&data)).map(|held| held.all)
    };
    assert_eq!(lists(511).unwrap(), std::slice::from_ref(&as_it_came));
    assert!(lists(512).unwrap_err().to_string().contains("count"));
    assert!(lists(300_000).is_err());
}

/// Who writes such a file writes every byte of it: what is repeated in it without end is searched in time that grows with its length.
/// A search that compares at every place takes seconds here, and many minutes at the length that is taken.
#[test]
fn a_list_that_is_ber_itself_is_none_however_long_it_is_and_whatever_stands_beside_it() {
    // As the list begins, with its lengths brought to DER's, so it goes on: nearly every tenth place is nearly the list.
    const BYTES: usize = 800_000;
    let header = |tag: u8, length: usize| element(tag, &[&vec![0; length]])[..5].to_vec();
    let unit = [header(0x30, 5 + BYTES + 2), header(0x04, BYTES)].concat();
    let nested = element(0x04, &[&unit.repeat(BYTES / unit.len())]);
    let streamed = |content: &[u8]| [&[0x30, 0x80][..], content, &[0, 0]].concat();
    let list = streamed(&[&nested[..], &streamed(&[])].concat());
    let beside = element(0x04, &[&unit.repeat(4 * BYTES / unit.len())]);
    let encapsulated =
        streamed(&[&element(0x06, &[oid::CMS_DATA.as_bytes()])[..], &element(0xa0, &[&beside])].concat());
    let data = [&[0x02, 0x01, 0x01, 0x31, 0x00][..], &encapsulated, &element(0xa1, &[&list]), &[0x31, 0x00]].concat();
    assert_eq!(crate::asn1::pkcs7::lists(&streamed(&data)).unwrap().all, [[0u8; 0]; 0]);

    // The twin: the same list as it came.
    let list = sequence(&[&nested]);
    let data = [&[0x02, 0x01, 0x01, 0x31, 0x00][..], &encapsulated, &element(0xa1, &[&list]), &[0x31, 0x00]].concat();
    assert_eq!(crate::asn1::pkcs7::lists(&streamed(&data)).unwrap().all, [list]);
}

/// A certificate with nothing in it but names and a key: enough to be named by a signer.
fn certificate_for(key: &dyn PrivateKey, serial: u8) -> Certificate {
    let algorithm = key.kind().default_signature().to_der();
    let name = crate::asn1::name::Name::common_name("signer");
    let validity = sequence(&[&element(0x17, &[b"260101000000Z"]), &element(0x17, &[b"270101000000Z"])]);
    let tbs =
        sequence(&[&element(0x02, &[&[serial]]), &algorithm, name.as_der(), &validity, name.as_der(), key.spki()]);
    let signature = key.sign(&key.kind().default_signature(), &tbs).unwrap();
    Certificate::from_der(&crate::asn1::x509::assemble_signed(&tbs, &algorithm, &signature)).unwrap()
}

#[test]
fn content_signed_by_every_kind_of_key_is_verified_and_no_other_content() {
    let provider = default_provider();
    for kind in [KeyKind::Rsa(2048), KeyKind::P521, KeyKind::Ed25519, KeyKind::MlDsa44, KeyKind::MlDsa87] {
        let key = provider.generate_key(kind).unwrap();
        let own = [certificate_for(&*key, 1)];
        let input = sign(&*provider, &*key, &own, oid::CT_KP_KEY_PACKAGE, b"content").unwrap();
        let signed = SignedData::from_der(&input).unwrap();
        assert_eq!(signed.verify_by(&*provider, &own[0], key.spki(), false), Ok(()), "{kind}");
        let namesake = certificate_for(&*key, 2);
        let verdict = signed.verify_by(&*provider, &namesake, key.spki(), false);
        assert_eq!(verdict, Err(CmsError::NotForUs { recipients: 1 }), "{kind}");
        let stranger = provider.generate_key(kind).unwrap();
        let impostor = certificate_for(&*stranger, 1);
        let verdict = signed.verify_by(&*provider, &impostor, stranger.spki(), false);
        assert_eq!(verdict, Err(CmsError::Crypto(CryptoError::Mismatch)), "{kind}");
    }
}

#[test]
fn signed_data_that_leaves_its_content_uncovered_is_refused() {
    let provider = default_provider();
    let key = provider.generate_key(KeyKind::P256).unwrap();
    let own = certificate_for(&*key, 1);
    let algorithm = key.kind().default_signature();
    let object = |found: Oid| element(0x06, &[found.as_bytes()]);
    let attribute = |kind: Oid, value: &[u8]| sequence(&[&object(kind), &element(0x31, &[value])]);
    let digest = provider.digest(algorithm.digest().unwrap(), &[b"content"]).unwrap();
    let verdict = |content_type: Oid, attributes: &[&[u8]]| {
        let attributes = attributes.concat();
        let covered = if attributes.is_empty() { b"content".to_vec() } else { element(0x31, &[&attributes]) };
        let field = if attributes.is_empty() { Vec::new() } else { element(0xa0, &[&attributes]) };
        let signer = sequence(&[
            &[0x02, 0x01, 0x01],
            &sequence(&[own.issuer(), &element(0x02, &[own.serial()])]),
            &sequence(&[&object(oid::SHA256)]),
            &field,
            &algorithm.to_der(),
            &element(0x04, &[&key.sign(&algorithm, &covered).unwrap()]),
        ]);
        let data = sequence(&[
            &[0x02, 0x01, 0x03, 0x31, 0x00],
            &sequence(&[&object(content_type), &element(0xa0, &[&element(0x04, &[b"content"])])]),
            &element(0x31, &[&signer]),
        ]);
        SignedData::from_der(&data).unwrap().verify_by(&*provider, &own, key.spki(), false)
    };
    let data_type = attribute(oid::CMS_CONTENT_TYPE, &object(oid::CMS_DATA));
    let package_type = attribute(oid::CMS_CONTENT_TYPE, &object(oid::CT_KP_KEY_PACKAGE));
    let right = attribute(oid::CMS_MESSAGE_DIGEST, &element(0x04, &[&digest]));
    let wrong = attribute(oid::CMS_MESSAGE_DIGEST, &element(0x04, &[&[0; 32]]));
    let malformed = |verdict| matches!(verdict, Err(CmsError::Malformed(_)));

    assert_eq!(verdict(oid::CMS_DATA, &[]), Ok(()));
    assert_eq!(verdict(oid::CMS_DATA, &[&data_type, &right]), Ok(()));
    assert_eq!(verdict(oid::CMS_DATA, &[&data_type, &wrong]), Err(CmsError::Crypto(CryptoError::Mismatch)));
    assert!(malformed(verdict(oid::CT_KP_KEY_PACKAGE, &[])), "other types need attributes");
    assert!(malformed(verdict(oid::CMS_DATA, &[&package_type, &right])), "another type than the signed one");
    assert!(malformed(verdict(oid::CMS_DATA, &[&right])), "no type");
    assert!(malformed(verdict(oid::CMS_DATA, &[&data_type])), "no digest");
    assert!(malformed(verdict(oid::CMS_DATA, &[&data_type, &right, &wrong])), "two digests");
}
