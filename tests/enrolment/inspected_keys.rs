//! No piece of a private key comes out of the inspector, in whatever it is wrapped and whatever byte of it is damaged.

use std::collections::HashSet;

use devid::asn1::der::{Cursor, element, sequence};
use devid::asn1::pem;
use devid::crypto::KeyKind;
use devid::inspect::{Format, inspect};

use crate::certificates::provider;

/// Bytes of a secret in a row that are too many to be chance.
const PIECE: usize = 8;

fn oid(content: &[u8]) -> Vec<u8> {
    element(0x06, &[content])
}

fn fields(der: &[u8]) -> Vec<Vec<u8>> {
    let mut cursor = Cursor::sequence(der, "a key").unwrap();
    std::iter::from_fn(|| (!cursor.is_empty()).then(|| cursor.any("a field").unwrap().bytes.to_vec())).collect()
}

fn content(der: &[u8]) -> Vec<u8> {
    Cursor::new(der, "an element").unwrap().any("an element").unwrap().value.to_vec()
}

/// A private key in PKCS#8, its innermost form, and what is secret in it.
fn key_of(kind: KeyKind) -> (Vec<u8>, Vec<u8>, Vec<Vec<u8>>) {
    let pkcs8 = provider().generate_key(kind).unwrap().to_pkcs8().unwrap().to_vec();
    let inner = content(&fields(&pkcs8)[2]);
    let secrets = match kind {
        KeyKind::P256 => vec![content(&fields(&inner)[1])],
        KeyKind::Rsa(_) => fields(&inner)[3..].iter().map(|number| content(number)).collect(),
        KeyKind::Ed25519 => vec![content(&inner)],
        _ => vec![inner.clone()],
    };
    (pkcs8, inner, secrets)
}

/// The ways in which a key stands in files and messages, and some in which nobody should keep it.
fn wrapped(pkcs8: &[u8], inner: &[u8]) -> Vec<Vec<u8>> {
    let data = oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01]);
    let signed_data = oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02]);
    let key_package = oid(&[0x60, 0x86, 0x48, 0x01, 0x65, 0x02, 0x01, 0x02, 0x4e, 0x05]);
    let key_bag = oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a, 0x01, 0x01]);
    let parts = fields(pkcs8);
    let octets = element(0x04, &[pkcs8]);
    let bag = sequence(&[&key_bag, &element(0xa0, &[pkcs8])]);
    let safe = sequence(&[&data, &element(0xa0, &[&element(0x04, &[&sequence(&[&bag])])])]);
    let authenticated = element(0x04, &[&sequence(&[&safe])]);
    let package = element(0xa0, &[&element(0x04, &[&sequence(&[pkcs8])])]);
    let empty_set = [0x31, 0x00];
    let signed = sequence(&[&[0x02, 0x01, 0x03], &empty_set, &sequence(&[&key_package, &package]), &empty_set]);
    let mut wrapped = vec![
        pkcs8.to_vec(),
        sequence(&[&parts[1], &parts[2]]),
        sequence(&[pkcs8]),
        sequence(&[pkcs8, pkcs8]),
        sequence(&[&octets]),
        sequence(&[&parts[0], &octets]),
        sequence(&[&element(0x03, &[&[0], pkcs8])]),
        [pkcs8, &[0x05, 0x00]].concat(),
        sequence(&[&data, &element(0xa0, &[&octets])]),
        sequence(&[&[0x02, 0x01, 0x03], &sequence(&[&data, &element(0xa0, &[&authenticated])])]),
        bag,
        safe,
        sequence(&[&signed_data, &element(0xa0, &[&signed])]),
    ];
    if inner[0] == 0x30 {
        let numbers = fields(inner);
        let all = |numbers: &[Vec<u8>]| sequence(&numbers.iter().map(Vec::as_slice).collect::<Vec<_>>());
        wrapped.extend([inner.to_vec(), all(&numbers[1..]), all(&numbers[..numbers.len() - 1]), all(&numbers[..2])]);
    }
    let labelled = |label| pem::encode(label, pkcs8).as_bytes().to_vec();
    wrapped.extend(["PRIVATE KEY", "CERTIFICATE", "ENCRYPTED PRIVATE KEY", "DEVICE KEY"].map(labelled));
    wrapped
}

/// Pieces of the secrets in the forms in which an output could have them.
struct Pieces {
    hex: HashSet<String>,
    base64: HashSet<String>,
    raw: HashSet<Vec<u8>>,
}

impl Pieces {
    fn of(secrets: &[Vec<u8>]) -> Self {
        let windows = || secrets.iter().flat_map(|secret| secret.windows(PIECE));
        let in_base64 = |piece: &[u8]| {
            let block = pem::encode("A", &piece[..6]);
            block.lines().nth(1).unwrap().to_owned()
        };
        Pieces {
            hex: windows().map(|piece| piece.iter().map(|b| format!("{b:02x}")).collect()).collect(),
            base64: windows().map(in_base64).collect(),
            raw: windows().map(<[u8]>::to_vec).collect(),
        }
    }

    fn are_in(&self, shown: &str) -> bool {
        let digits: Vec<u8> = shown.bytes().filter(u8::is_ascii_hexdigit).map(|b| b.to_ascii_lowercase()).collect();
        let raw: Vec<u8> = shown.chars().map(|c| u8::try_from(c as u32).unwrap_or(b'?')).collect();
        let found = |set: &HashSet<String>, text: &[u8], length: usize| {
            text.windows(length).any(|w| std::str::from_utf8(w).is_ok_and(|w| set.contains(w)))
        };
        found(&self.hex, &digits, 2 * PIECE)
            || found(&self.base64, shown.as_bytes(), 8)
            || raw.windows(PIECE).any(|w| self.raw.contains(w))
    }
}

/// A value for every place; the same ones at each run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u8 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 56) as u8
    }
}

/// Tags by which a byte string becomes something else.
const TAGS: [u8; 14] = [0x02, 0x03, 0x04, 0x06, 0x0c, 0x13, 0x16, 0x18, 0x1e, 0x30, 0x80, 0x82, 0x87, 0xa0];

fn keeps_secret(kind: KeyKind, most_places: usize) {
    let (pkcs8, inner, secrets) = key_of(kind);
    let pieces = Pieces::of(&secrets);
    let check = |input: &[u8], what: &str| {
        for format in [Format::Text, Format::Json] {
            if let Ok(shown) = inspect(input, format) {
                assert!(!pieces.are_in(&shown), "{what}: {shown}");
            }
        }
    };
    let mut dice = Dice(7);
    for (number, input) in wrapped(&pkcs8, &inner).iter().enumerate() {
        check(input, &format!("{kind:?}, wrapping {number}"));
        let stride = input.len().div_ceil(most_places);
        for at in (0..input.len()).step_by(stride) {
            let mut damaged = input.clone();
            for value in [dice.next(), TAGS[usize::from(dice.next()) % TAGS.len()]] {
                damaged[at] = value;
                check(&damaged, &format!("{kind:?}, wrapping {number}, byte {at} is {value:02x}"));
            }
            check(&input[..at], &format!("{kind:?}, wrapping {number}, cut at {at}"));
        }
        // Every tag there is, at the first bytes of the structure, where the shape is decided.
        for at in 0..input.len().min(if most_places < 200 { 8 } else { 48 }) {
            for tag in TAGS {
                let mut damaged = input.clone();
                damaged[at] = tag;
                check(&damaged, &format!("{kind:?}, wrapping {number}, byte {at} is {tag:02x}"));
            }
        }
    }
}

#[test]
fn of_an_ec_key() {
    keeps_secret(KeyKind::P256, 200);
}

#[test]
fn of_an_ed25519_key() {
    keeps_secret(KeyKind::Ed25519, 200);
}

#[test]
fn of_an_rsa_key() {
    keeps_secret(KeyKind::Rsa(2048), 12);
}

#[test]
fn of_an_ml_dsa_key() {
    keeps_secret(KeyKind::MlDsa65, 40);
}

/// What the search finds, when there is something to find.
#[test]
fn the_search_sees_every_form() {
    let secret: Vec<u8> = (100u8..132).collect();
    let pieces = Pieces::of(std::slice::from_ref(&secret));
    let hex = |separator: &str| secret.iter().map(|b| format!("{b:02X}")).collect::<Vec<_>>().join(separator);
    assert!(pieces.are_in(&hex("")) && pieces.are_in(&hex(":")) && pieces.are_in(&hex(" ")));
    assert!(pieces.are_in(&secret.iter().map(|b| char::from(*b)).collect::<String>()));
    for skip in 0..3 {
        assert!(pieces.are_in(&pem::encode("X", &secret[skip..])));
    }
    assert!(!pieces.are_in("OneAsymmetricKey: (32 bytes, not shown)"));
}

/// What fits a description because most of it is optional is the smallest thing that can be made: every SEQUENCE of up to three elements,
/// one of them a secret of the size of a serial number or of a key, under every label that says what a file is.
#[test]
fn nothing_small_enough_to_fit_by_chance_shows_a_secret() {
    let labels = [
        None,
        Some("RSA PUBLIC KEY"),
        Some("PUBLIC KEY"),
        Some("DH PARAMETERS"),
        Some("DSA PARAMETERS"),
        Some("OCSP RESPONSE"),
    ];
    let plain: [&[u8]; 8] =
        [&[2, 1, 0], &[2, 1, 1], &[10, 1, 0], &[5, 0], &[0x30, 0], &[0xa0, 2, 0x30, 0], &[0xa1, 0], &[4, 1, 0]];
    for length in [9, 24] {
        let secret: Vec<u8> = (0x41..0x41 + length).collect();
        let pieces = Pieces::of(std::slice::from_ref(&secret));
        for tag in TAGS.into_iter().chain([0x0a, 0x81]) {
            let hidden = element(tag, &[&secret]);
            let mut inputs = vec![sequence(&[&hidden])];
            for one in plain {
                inputs.extend([
                    sequence(&[one, &hidden]),
                    sequence(&[&hidden, one]),
                    sequence(&[&sequence(&[one, &hidden])]),
                ]);
                for other in plain {
                    let orders = [[&hidden[..], one, other], [one, &hidden, other], [one, other, &hidden]];
                    inputs.extend(orders.map(|parts| sequence(&parts)));
                }
            }
            for (input, label) in inputs.iter().flat_map(|input| labels.map(|label| (input, label))) {
                let file = label.map_or_else(|| input.clone(), |label| pem::encode(label, input).as_bytes().to_vec());
                if let Ok(shown) = inspect(&file, Format::Text) {
                    assert!(!pieces.are_in(&shown), "{label:?}, {length} bytes, {input:02x?}: {shown}");
                }
            }
        }
    }
}

/// What has the right tag and size is still shown by its name (RFC 6960 section 4.2.1, RFC 5280 section 5.3.1).
#[test]
fn a_status_of_one_octet_is_shown_and_an_integer_is_none() {
    let shown = |der: &[u8]| inspect(&sequence(&[der]), Format::Text).unwrap();
    assert!(shown(&[0x0a, 1, 3]).contains("OCSPResponse") && shown(&[0x0a, 1, 3]).contains("tryLater (3)"));
    for other in [&[0x02, 1, 3][..], &[0x0a, 2, 0, 3], &[0x0a, 0], &[0x02, 3, 1, 2, 3]] {
        let shown = shown(other);
        let is_told = shown.contains("problem") || shown.starts_with("DER");
        assert!(is_told && !shown.contains("tryLater"), "{other:02x?}: {shown}");
    }
}
