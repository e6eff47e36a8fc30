//! When two distinguished names are the same name (RFC 5280 section 7.1).

use alloc::borrow::Cow;
use core::hash::Hasher;

use ::der::Tag;

use crate::asn1::Asn1Error;
use crate::asn1::der::{Cursor, Tlv};
use crate::asn1::directory_string::{self, UNIVERSAL_STRING};
use crate::asn1::x509::Certificate;
use crate::prelude::*;

/// Whether two Names, DER, are the same by RFC 5280 section 7.1: attribute by attribute, strings without regard to case,
/// to their ASN.1 type and to how much white space stands in or around them. Bytes that are no Name equal nothing but
/// themselves.
pub fn same_name(a_der: &[u8], b_der: &[u8]) -> bool {
    a_der == b_der || compare(a_der, b_der, Extent::Whole).unwrap_or(false)
}

/// What it costs to find a name by its hash, in comparisons: text beyond ASCII must be prepared.
pub(crate) fn hash_cost(der: &[u8]) -> usize {
    let prepared = if der.is_ascii() { 0 } else { der.len().min(MAX_PREPARED_BYTES) / 2 };
    1 + der.len() / 16 + prepared
}

/// Whether `name` lies in the subtree under `base` (RFC 5280 section 4.2.1.10: directoryName).
pub(crate) fn is_within(name_der: &[u8], base_der: &[u8]) -> Result<bool, Asn1Error> {
    compare(base_der, name_der, Extent::Prefix)
}

/// The same for equal names, and different for others, whoever chose them: names are looked up by it while this process runs. It has a key
/// of the process, and is written nowhere.
pub(crate) fn name_hash(der: &[u8]) -> u64 {
    hash_with(der, &keyed::start)
}

/// The same for equal names, at any time: for what is written down. Whoever wants makes others for which it is the same, so that it only
/// tells where to look, or stands beside a key.
pub(crate) fn place_hash(der: &[u8]) -> u64 {
    hash_with(der, &|| Fnv(FNV_START))
}

/// A name with its [`name_hash`], by which it is looked up. Certificates and lists work theirs out once.
#[derive(Clone, Copy)]
pub(crate) struct Hashed<'a> {
    name: &'a [u8],
    hash: u64,
}

impl<'a> Hashed<'a> {
    pub fn of(name: &'a [u8]) -> Self {
        Hashed { name, hash: name_hash(name) }
    }

    pub fn subject(certificate: &'a Certificate) -> Self {
        Hashed { name: certificate.subject(), hash: certificate.subject_hash(name_hash) }
    }

    pub fn issuer(certificate: &'a Certificate) -> Self {
        Hashed { name: certificate.issuer(), hash: certificate.issuer_hash(name_hash) }
    }

    /// Where the hash is known.
    pub fn known(name: &'a [u8], hash: u64) -> Self {
        Hashed { name, hash }
    }

    pub fn hash(self) -> u64 {
        self.hash
    }

    pub fn is_subject_of(self, certificate: &Certificate) -> bool {
        let is_alike = || self.hash == certificate.subject_hash(name_hash);
        *self.name == *certificate.subject() || (is_alike() && same_name(self.name, certificate.subject()))
    }
}

/// A form that equal names share and others do not: for a digest, where names must not be taken for one another whoever has chosen them.
#[cfg(feature = "std")]
pub(crate) fn canonical(der: &[u8]) -> Vec<u8> {
    // No Name: equal to nothing but itself, and to no form of one, which begins otherwise.
    canonical_name(der).unwrap_or_else(|_| [&[0xff], der].concat())
}

#[cfg(feature = "std")]
fn canonical_name(der: &[u8]) -> Result<Vec<u8>, Asn1Error> {
    let with_length = |part: &[u8]| [&(part.len() as u32).to_be_bytes()[..], part].concat();
    let mut form = vec![0];
    let mut fuel = MAX_PREPARED_CHARACTERS;
    let mut rdns = Cursor::sequence(der, "Name")?;
    while !rdns.is_empty() {
        let mut attributes = Cursor::new(rdns.expect(Tag::Set, "a RelativeDistinguishedName")?.value, "Name")?;
        let mut rdn = Vec::new();
        while !attributes.is_empty() {
            let attribute = Attribute::read(&mut attributes)?;
            let text = match decode_text(&attribute.value) {
                Some(text) if text.is_ascii() => Some(prepare_ascii(&text).collect()),
                Some(text) => prepare(&text, &mut fuel).map(String::into_bytes),
                None => None,
            };
            // Texts and other values are told apart.
            let value = match text {
                Some(text) => [&[1][..], &text].concat(),
                None => [&[0], attribute.value.bytes()].concat(),
            };
            rdn.push([with_length(attribute.oid), with_length(&value)].concat());
        }
        // Their order means nothing.
        crate::order::sort(&mut rdn);
        form.extend(with_length(&rdn.concat()));
    }
    Ok(form)
}

/// The values of emailAddress attributes (RFC 2985 section 5.2.1) in a Name.
pub(crate) fn email_addresses(name_der: &[u8]) -> Result<Vec<Cow<'_, str>>, Asn1Error> {
    // emailAddress 1.2.840.113549.1.9.1
    const EMAIL_ADDRESS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01];
    let mut found = Vec::new();
    let mut rdns = Cursor::sequence(name_der, "Name")?;
    while !rdns.is_empty() {
        let mut attributes = Cursor::new(rdns.expect(Tag::Set, "a RelativeDistinguishedName")?.value, "Name")?;
        while !attributes.is_empty() {
            let attribute = Attribute::read(&mut attributes)?;
            if attribute.oid == EMAIL_ADDRESS {
                let text = decode_text(&attribute.value)
                    .ok_or_else(|| Asn1Error::invalid("emailAddress", "not a text that can be read"))?;
                found.push(text);
            }
        }
    }
    Ok(found)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Whole,
    Prefix,
}

/// Compares RDN by RDN; with `Prefix` all of `a` must be the beginning of `b`.
fn compare(a_der: &[u8], b_der: &[u8], extent: Extent) -> Result<bool, Asn1Error> {
    let mut a = Cursor::sequence(a_der, "Name")?;
    let mut b = Cursor::sequence(b_der, "Name")?;
    let mut fuel = 2 * MAX_PREPARED_CHARACTERS;
    while !a.is_empty() {
        if b.is_empty() {
            return Ok(false);
        }
        let a_rdn = a.expect(Tag::Set, "a RelativeDistinguishedName")?;
        let b_rdn = b.expect(Tag::Set, "a RelativeDistinguishedName")?;
        if a_rdn.bytes != b_rdn.bytes && !same_rdn(a_rdn.value, b_rdn.value, &mut fuel)? {
            return Ok(false);
        }
    }
    Ok(extent == Extent::Prefix || b.is_empty())
}

/// Compares two sets of attributes; their order means nothing.
fn same_rdn(a: &[u8], b: &[u8], fuel: &mut usize) -> Result<bool, Asn1Error> {
    let mut a_attributes = Cursor::new(a, "RelativeDistinguishedName")?;
    let mut b_attributes = Cursor::new(b, "RelativeDistinguishedName")?;
    let first_a = Attribute::read(&mut a_attributes)?;
    let first_b = Attribute::read(&mut b_attributes)?;
    if a_attributes.is_empty() && b_attributes.is_empty() {
        return first_a.same(&first_b, fuel);
    }
    let mut a_all = vec![first_a];
    while !a_attributes.is_empty() {
        a_all.push(Attribute::read(&mut a_attributes)?);
    }
    let mut b_all = vec![first_b];
    while !b_attributes.is_empty() {
        b_all.push(Attribute::read(&mut b_attributes)?);
    }
    if a_all.len() != b_all.len() || a_all.len() > MAX_ATTRIBUTES {
        return Ok(false);
    }
    for attribute in &a_all {
        let mut found = None;
        for (index, other) in b_all.iter().enumerate() {
            if attribute.same(other, fuel)? {
                found = Some(index);
                break;
            }
        }
        match found {
            Some(index) => b_all.swap_remove(index),
            None => return Ok(false),
        };
    }
    Ok(true)
}

/// Most attributes in one RelativeDistinguishedName that is compared as a set: the comparison is quadratic.
const MAX_ATTRIBUTES: usize = 32;

/// Most characters that the texts of one name may have in their prepared form, where they are not ASCII. RFC 5280 appendix
/// A.1 has names of 64 characters an attribute; one letter of Unicode can become 18, and whoever sends names chooses them.
const MAX_PREPARED_CHARACTERS: usize = 1024;

/// Longest text beyond ASCII that is prepared, in bytes; characters that vanish count too.
const MAX_PREPARED_BYTES: usize = 4096;

struct Attribute<'a> {
    oid: &'a [u8],
    value: Value<'a>,
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Plain(Tlv<'a>),
    /// UniversalString: the whole element, and its content, four bytes a character (ISO 10646 UCS-4).
    Universal(&'a [u8], &'a [u8]),
}

impl<'a> Value<'a> {
    fn bytes(&self) -> &'a [u8] {
        match self {
            Value::Plain(element) => element.bytes,
            Value::Universal(bytes, _) => bytes,
        }
    }
}

impl<'a> Attribute<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, Asn1Error> {
        let fields = cursor.expect(Tag::Sequence, "an AttributeTypeAndValue")?;
        let mut fields = Cursor::new(fields.value, "AttributeTypeAndValue")?;
        let oid = fields.expect(Tag::ObjectIdentifier, "a type")?.value;
        let value = match fields.optional_raw(UNIVERSAL_STRING) {
            Some((bytes, content)) => Value::Universal(bytes, content),
            None => Value::Plain(fields.any("a value")?),
        };
        fields.finish()?;
        Ok(Attribute { oid, value })
    }

    /// Errors: the texts are too long to be compared.
    fn same(&self, other: &Self, fuel: &mut usize) -> Result<bool, Asn1Error> {
        if self.oid != other.oid {
            return Ok(false);
        }
        if self.value.bytes() == other.value.bytes() {
            return Ok(true);
        }
        match (decode_text(&self.value), decode_text(&other.value)) {
            (Some(a), Some(b)) if a.is_ascii() && b.is_ascii() => Ok(prepare_ascii(&a).eq(prepare_ascii(&b))),
            (Some(a), Some(b)) => match (prepare(&a, fuel), prepare(&b, fuel)) {
                (Some(a), Some(b)) => Ok(a == b),
                _ => Err(Asn1Error::invalid("Name", "texts beyond ASCII that are too long to be compared")),
            },
            // Values that are no text are compared as they are, and they were not the same.
            _ => Ok(false),
        }
    }
}

/// The text of a DirectoryString or IA5String; `None` for other types and for text that breaks its encoding.
fn decode_text<'a>(value: &Value<'a>) -> Option<Cow<'a, str>> {
    match value {
        Value::Plain(element) => directory_string::text(*element.bytes.first()?, element.value),
        Value::Universal(_, content) => directory_string::text(UNIVERSAL_STRING, content),
    }
}

/// String preparation of RFC 4518 for ASCII: white space runs become one space, none at the ends; lower case.
fn prepare_ascii(text: &str) -> impl Iterator<Item = u8> + '_ {
    // As `is_dropped` and `is_space` say of these characters.
    let is_space = |byte: &u8| matches!(byte, b'\t'..=b'\r' | b' ');
    let mut bytes = text.bytes().filter(|byte| matches!(byte, b'\t'..=b'\r' | b' '..=b'~')).peekable();
    while bytes.next_if(is_space).is_some() {}
    core::iter::from_fn(move || {
        let byte = bytes.next()?;
        if !is_space(&byte) {
            return Some(byte.to_ascii_lowercase());
        }
        while bytes.next_if(is_space).is_some() {}
        bytes.peek().map(|_| b' ')
    })
}

/// String preparation of RFC 4518 section 2: map, fold case, normalise (NFKC), collapse white space. `fuel`: how many
/// characters it may still become; `None` if that is not enough.
fn prepare(text: &str, fuel: &mut usize) -> Option<String> {
    if text.len() > MAX_PREPARED_BYTES {
        return None;
    }
    let mapped = text.chars().filter(|c| !is_dropped(*c)).map(|c| if is_space(c) { ' ' } else { c });
    // Normalised before folding too: what folds may only appear then (a letter in a circle, a ligature).
    let folded: String = normal(mapped, *fuel)?.chars().flat_map(fold).collect();
    let mut out = String::with_capacity(text.len());
    let mut pending_space = false;
    let normal = normal(folded.chars(), *fuel)?;
    *fuel -= normal.chars().count();
    for c in normal.chars() {
        if is_space(c) {
            pending_space = !out.is_empty();
            continue;
        }
        if core::mem::take(&mut pending_space) {
            out.push(' ');
        }
        out.push(c);
    }
    Some(out)
}

/// NFKC (RFC 4518 section 2.3); `None` for more than so many characters.
#[cfg(feature = "unicode-names")]
fn normal(characters: impl Iterator<Item = char>, most: usize) -> Option<String> {
    let mut left = most;
    unicode_normalization::UnicodeNormalization::nfkc(characters)
        .map(|c| {
            left = left.checked_sub(1)?;
            Some(c)
        })
        .collect()
}

/// Without the tables, compatible forms of one letter stay different: nothing is taken for the same that is not.
#[cfg(not(feature = "unicode-names"))]
fn normal(characters: impl Iterator<Item = char>, most: usize) -> Option<String> {
    let all: String = characters.take(most + 1).collect();
    (all.chars().count() <= most).then_some(all)
}

/// Folds case as RFC 3454 table B.2 does, letters that become several (the German sharp s) included: up and down again. The
/// dotless i is no i there.
fn fold(c: char) -> impl Iterator<Item = char> {
    let is_dotless = c == '\u{131}';
    let lower = c.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    is_dotless.then_some(c).into_iter().chain(lower.filter(move |_| !is_dotless))
}

/// RFC 4518 section 2.2: mapped to SPACE.
fn is_space(c: char) -> bool {
    matches!(c, '\t'..='\r' | ' ' | '\u{85}' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{2028}' | '\u{2029}'
        | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

/// RFC 4518 section 2.2: mapped to nothing.
fn is_dropped(c: char) -> bool {
    matches!(c, '\0'..='\u{8}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{ad}' | '\u{34f}'
        | '\u{180b}'..='\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffc}')
}

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a.
struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    }

    /// FNV has nothing between two parts.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// SipHash with a key that nobody outside knows.
#[cfg(feature = "std")]
mod keyed {
    use std::hash::{BuildHasher, DefaultHasher, RandomState};
    use std::sync::LazyLock;

    pub(super) fn start() -> DefaultHasher {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        KEY.build_hasher()
    }
}

/// A board has no keys of its own for that; what it takes from a peer is bounded by its buffers.
#[cfg(not(feature = "std"))]
mod keyed {
    pub(super) fn start() -> super::Fnv {
        super::Fnv(super::FNV_START)
    }
}

fn hash_with<H: Hasher>(der: &[u8], start: &impl Fn() -> H) -> u64 {
    hash_name(der, start).unwrap_or_else(|_| {
        let mut hash = start();
        hash.write(der);
        hash.finish()
    })
}

fn hash_name<H: Hasher>(der: &[u8], start: &impl Fn() -> H) -> Result<u64, Asn1Error> {
    let mut hash = start();
    let mut fuel = MAX_PREPARED_CHARACTERS;
    let mut rdns = Cursor::sequence(der, "Name")?;
    while !rdns.is_empty() {
        let mut attributes = Cursor::new(rdns.expect(Tag::Set, "a RelativeDistinguishedName")?.value, "Name")?;
        let mut rdn = 0u64;
        while !attributes.is_empty() {
            let attribute = Attribute::read(&mut attributes)?;
            let mut one = start();
            one.write_usize(attribute.oid.len());
            one.write(attribute.oid);
            match decode_text(&attribute.value) {
                Some(text) if text.is_ascii() => write_all(&mut one, prepare_ascii(&text)),
                Some(text) => match prepare(&text, &mut fuel) {
                    Some(prepared) => one.write(prepared.as_bytes()),
                    None => one.write(attribute.value.bytes()),
                },
                None => one.write(attribute.value.bytes()),
            }
            // A sum: the order of attributes in a set means nothing.
            rdn = rdn.wrapping_add(one.finish());
        }
        hash.write(&rdn.to_be_bytes());
    }
    Ok(hash.finish())
}

/// The same as one byte after the other, in pieces.
fn write_all(hash: &mut impl Hasher, mut bytes: impl Iterator<Item = u8>) {
    let mut piece = [0; 64];
    loop {
        let mut len = 0;
        for (place, byte) in piece.iter_mut().zip(&mut bytes) {
            (*place, len) = (byte, len + 1);
        }
        hash.write(&piece[..len]);
        if len < piece.len() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asn1::der::{element, sequence};

    fn name(rdns: &[&[&str]]) -> Vec<u8> {
        // commonName
        let attribute = |text: &str| sequence(&[&[0x06, 0x03, 0x55, 0x04, 0x03], &element(0x0c, &[text.as_bytes()])]);
        let rdns: Vec<u8> = rdns
            .iter()
            .flat_map(|texts| element(0x31, &[&texts.iter().flat_map(|text| attribute(text)).collect::<Vec<u8>>()]))
            .collect();
        element(0x30, &[&rdns])
    }

    /// Text of ASCII goes a shorter way to the same form.
    #[test]
    fn every_character_of_ascii_is_prepared_as_any_other() {
        for byte in 0..=0x7f {
            let text = format!("{c}A{c}{c}b {c}", c = char::from(byte));
            let short: Vec<u8> = prepare_ascii(&text).collect();
            assert_eq!(prepare(&text, &mut 100).map(String::into_bytes), Some(short), "{text:?}");
        }
    }

    /// What was written down by an older version is found again.
    #[test]
    fn the_hash_that_is_written_down_is_that_of_one_byte_after_the_other() {
        for length in [0, 1, 63, 64, 65, 128, 200] {
            let text = "a".repeat(length);
            let mut rdn = Fnv(FNV_START);
            rdn.write_usize(3);
            [0x55, 0x04, 0x03].iter().chain(text.as_bytes()).for_each(|byte| rdn.write(&[*byte]));
            let mut whole = Fnv(FNV_START);
            rdn.finish().to_be_bytes().iter().for_each(|byte| whole.write(&[*byte]));
            assert_eq!(place_hash(&name(&[&[&text]])), whole.finish(), "{length}");
        }
    }

    /// Names that somebody made for one another stand in one place, and are looked up apart.
    #[test]
    fn names_that_were_made_to_collide_are_looked_up_apart() {
        let (a, b) = (["fqbidb5rsk", "jcpsiuntge"], ["ux4ci5bcww", "wehudkqcbj"]);
        let [first, second] = [a, b].map(|texts| name(&[&["CA"], &texts]));
        assert!(!same_name(&first, &second));
        assert_eq!(place_hash(&first), place_hash(&second));
        assert_ne!(name_hash(&first), name_hash(&second));
        assert_ne!(canonical(&first), canonical(&second));
    }

    #[test]
    fn the_canonical_form_is_that_of_equal_names_alone() {
        let names = [
            name(&[&["A ca", "B"]]),
            name(&[&["b", " a  CA"]]),
            name(&[&["A ca"], &["B"]]),
            name(&[&["B"], &["A ca"]]),
            name(&[&["A caB"]]),
            name(&[&["Ü"]]),
            name(&[&["ü "]]),
            name(&[]),
            vec![0x30],
            vec![0],
        ];
        for a in &names {
            for b in &names {
                assert_eq!(canonical(a) == canonical(b), same_name(a, b), "{a:02x?} {b:02x?}");
            }
        }
    }

    #[test]
    fn equal_names_have_equal_hashes_and_the_written_one_stays_as_it_is() {
        let (one, other) = (name(&[&["A ca", "B"]]), name(&[&["b", " a  CA"]]));
        assert!(same_name(&one, &other));
        assert_eq!(name_hash(&one), name_hash(&other));
        assert_eq!(place_hash(&one), place_hash(&other));
        assert_eq!(place_hash(&name(&[&["Root"]])), 0x67be_37cf_1602_c5f6);
    }
}
