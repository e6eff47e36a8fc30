//! What a file is that is not what it was given for. People have files by the dozen, and mix them up: the commonest answer to
//! "it cannot be read" is "it is another kind of file". All readers say it by this door, and name the call that opens it.
//!
//! A look at the first elements tells; nothing of the content is ever quoted, as it may be a key.

use alloc::borrow::Cow;

use ::der::Tag;

use super::der::{Asn1Error, Cursor, Problem};
use super::fields::read_oid;
use super::not_der::as_text;
use super::oid::{self, Oid};
use super::pem::{self, Block};
use crate::prelude::*;

/// What is read from files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Certificate,
    Request,
    Crl,
    Ocsp,
    PrivateKey,
    Pkcs12,
    Pkcs7,
    /// What no call of this library opens, or only in part: what it is, and what can be done.
    Other(&'static str, &'static str),
}

const TPM_KEY: Kind = Kind::Other(
    "a key inside a TPM (TSS2 PRIVATE KEY)",
    "it never leaves the TPM: by PKCS#11 open_pkcs11() (devid_key_open_pkcs11) uses it, or a callback signs (devid_key_from_callback)",
);
pub(crate) const PUBLIC_KEY: Kind = Kind::Other("a public key alone", "its private key is in another file");
pub(crate) const PARAMETERS: Kind =
    Kind::Other("parameters of keys without a key", "the key is in another file, or another block");
const TOKEN_URI: Kind = Kind::Other(
    "a PKCS#11 URI, the name of a key in a token",
    "open_pkcs11() (devid_key_open_pkcs11) opens the key, pkcs11: in settings",
);
const OPEN_PGP: Kind = Kind::Other("OpenPGP", "its keys and certificates are none of X.509");
const SSH: Kind = Kind::Other(
    "a private key of OpenSSH",
    "ssh-keygen -p -m PKCS8 -f FILE writes PKCS#8 in its place, which is read here (RSA and EC; old versions leave Ed25519 as it is)",
);
const SSH_PUBLIC: Kind =
    Kind::Other("a public key or a certificate of SSH", "its private key is in another file, without .pub");
/// FIPS 186-5 has no DSA any more.
pub(crate) const DSA_KEY: &str = "a key of DSA, by which nothing is signed any more: make one of ECDSA or RSA";
const KEY_STORE: Kind = Kind::Other(
    "a Java key store",
    "keytool -importkeystore -srckeystore FILE -destkeystore NEW -deststoretype PKCS12 makes PKCS#12 of it",
);
pub(crate) const CMP: Kind = Kind::Other("a CMP message", "inspect() (devid_inspect) shows it");
pub(crate) const ENVELOPED: Kind =
    Kind::Other("an encrypted message (CMS)", "decrypt() (devid_key_decrypt) opens it with its recipient's key");
pub(crate) const OTHER_CMS: Kind = Kind::Other("CMS of another type than signed", "inspect() (devid_inspect) shows it");
const AGE: Kind = Kind::Other("a file encrypted by age", "age -d decrypts it");
const ATTRIBUTES: Kind = Kind::Other("an attribute certificate", "there are no keys in such, and none are read here");
const BOUNCY_CASTLE: Kind = Kind::Other(
    "a key store of Bouncy Castle (BCFKS)",
    "keytool -importkeystore with -srcstoretype BCFKS and -deststoretype PKCS12 makes PKCS#12 of it",
);
pub(crate) const PKI_PATH: Kind = Kind::Other(
    "a list of certificates in DER (PkiPath)",
    "PEM with its certificates one behind the other, or PKCS#7, is read",
);
const NETSCAPE: Kind =
    Kind::Other("a certificate sequence of Netscape", "openssl nseq -in FILE writes its certificates as PEM");
const MAIL: Kind = Kind::Other("a mail (S/MIME)", "openssl smime -pk7out -in FILE writes the PKCS#7 in it");

impl Kind {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Kind::Certificate => "a certificate",
            Kind::Request => "a certificate request (PKCS#10)",
            Kind::Crl => "a CRL",
            Kind::Ocsp => "an OCSP response",
            Kind::PrivateKey => "a private key",
            Kind::Pkcs12 => "a PKCS#12 file",
            Kind::Pkcs7 => "a PKCS#7 file (SignedData)",
            Kind::Other(words, _) => words,
        }
    }

    /// Which call opens it.
    fn opened_by(self) -> &'static str {
        match self {
            Kind::Certificate => "load_certificates() (devid_cert_list_add_bytes) reads it",
            Kind::Request => "enroll_pkcs10() (devid_op_enroll_pkcs10) sends it",
            Kind::Crl => "add_crls() (devid_validator_add_crls) reads it",
            Kind::Ocsp => "add_ocsp() (devid_validator_add_ocsp) reads it",
            Kind::PrivateKey => "Key.load() (devid_key_load) reads it",
            Kind::Pkcs12 => "read_pkcs12() (devid_pkcs12_read) opens it with its password",
            Kind::Pkcs7 => "load_certificates() (devid_cert_list_add_bytes) reads its certificates",
            Kind::Other(_, help) => help,
        }
    }

    pub(crate) fn structure(self) -> &'static str {
        match self {
            Kind::Certificate => "Certificate",
            Kind::Request => "PKCS#10",
            Kind::Crl => "CRL",
            Kind::Ocsp => "OCSP response",
            Kind::PrivateKey => "private key",
            Kind::Pkcs12 => "PKCS#12",
            CMP => "PKIMessage",
            Kind::Pkcs7 | Kind::Other(..) => "PKCS#7",
        }
    }

    /// Private keys that are known and that nothing is done with here.
    pub(crate) fn unused_key(label: &str) -> Option<&'static str> {
        (label == "DSA PRIVATE KEY").then_some(DSA_KEY)
    }

    /// By its PEM label.
    pub(crate) fn of_label(label: &str) -> Option<Kind> {
        Some(match label {
            "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => Kind::Request,
            "X509 CRL" | "CRL" => Kind::Crl,
            "OCSP RESPONSE" => Kind::Ocsp,
            "PKCS12" | "PKCS#12" => Kind::Pkcs12,
            "PKCS7" | "PKCS #7 SIGNED DATA" | "CMS" => Kind::Pkcs7,
            "TSS2 PRIVATE KEY" | "TSS2 KEY BLOB" => TPM_KEY,
            "PKCS#11 PROVIDER URI" => TOKEN_URI,
            "ATTRIBUTE CERTIFICATE" => ATTRIBUTES,
            "AGE ENCRYPTED FILE" => AGE,
            label if label.starts_with("PGP ") => OPEN_PGP,
            label if label.starts_with("SSH2 PUBLIC") => SSH_PUBLIC,
            label if label.starts_with("OPENSSH ") || label.starts_with("SSH2 ") => SSH,
            label if label.ends_with("PRIVATE KEY") => Kind::PrivateKey,
            label if label.ends_with("PUBLIC KEY") => PUBLIC_KEY,
            label if label.ends_with("PARAMETERS") => PARAMETERS,
            label if label.ends_with("CERTIFICATE") => Kind::Certificate,
            _ => return None,
        })
    }

    /// By the first elements, of whole or cut input.
    pub(crate) fn of_der(input: &[u8]) -> Option<Kind> {
        match input {
            [0xfe, 0xed, 0xfe, 0xed, ..] | [0xce, 0xce, 0xce, 0xce, ..] => return Some(KEY_STORE),
            [0x06, ..] => {
                return Cursor::new(input, "").ok()?.expect(Tag::ObjectIdentifier, "").ok().map(|_| PARAMETERS);
            }
            _ => {}
        }
        let mut fields = Cursor::new(content(input)?, "a file").ok()?;
        match fields.next_byte()? {
            0x06 => Some(match read_oid(&mut fields).ok()? {
                o if o == oid::CMS_SIGNED_DATA => Kind::Pkcs7,
                o if o == oid::CMS_ENVELOPED_DATA || o == oid::CMS_AUTH_ENVELOPED_DATA => ENVELOPED,
                found if TPM_KEYS.contains(&found) => TPM_KEY,
                o if o == NETSCAPE_SEQUENCE => NETSCAPE,
                found if is_cms(found) => OTHER_CMS,
                _ => return None,
            }),
            0x0a => Some(Kind::Ocsp),
            0x02 => {
                let number = fields.any("").ok()?.value;
                match (number, fields.next_byte()?) {
                    ([3], 0x30) => Some(Kind::Pkcs12),
                    ([0 | 1], 0x30 | 0x02 | 0x04) => Some(Kind::PrivateKey),
                    // RFC 8017 appendix A.1.1. A signature is two numbers as well, and no modulus is as short.
                    (modulus, 0x02) if modulus.len() >= MIN_MODULUS => Some(PUBLIC_KEY),
                    _ => None,
                }
            }
            0x30 => {
                let first = head(&mut fields)?;
                match (first.first()?, fields.next_byte()) {
                    (0x06, Some(0x04)) => Some(Kind::PrivateKey),
                    (0x06, Some(0x03)) => Some(PUBLIC_KEY),
                    (_, Some(0xa0..=0xbf)) => Some(CMP),
                    // What is signed, then how; where the file is cut before that, too.
                    (_, Some(0x30) | None) => signed(first),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// A modulus of RSA of 512 bits.
const MIN_MODULUS: usize = 64;

/// What is signed: a certificate, a request, a list. The header of a CMP message, and what stands in their place in files that are
/// encrypted as a whole, are told from them.
fn signed(to_be_signed: &[u8]) -> Option<Kind> {
    let mut fields = Cursor::new(to_be_signed, "a file").ok()?;
    if fields.next_byte()? == 0xa0 {
        return Some(Kind::Certificate);
    }
    let is_numbered = fields.next_byte()? == 0x02;
    let number: &[u8] = if is_numbered { fields.any("").ok()?.value } else { &[] };
    // RFC 9810 section 5.1.1: behind pvno comes a GeneralName.
    if is_numbered && matches!(fields.next_byte()?, 0x80..=0xbf) {
        return Some(CMP);
    }
    // Version 1 of a certificate has its serial number here.
    let algorithm = fields.expect(Tag::Sequence, "").ok()?;
    match fields.next_byte()? {
        0x30 => {}
        0x04 if !is_numbered => {
            let mut scheme = Cursor::new(algorithm.value, "").ok()?;
            return (read_oid(&mut scheme).ok()? == oid::PBES2).then_some(BOUNCY_CASTLE);
        }
        _ => return None,
    }
    fields.any("").ok()?;
    Some(match (fields.next_byte(), number) {
        (Some(0xa0) | None, [0]) => Kind::Request,
        (Some(0x17 | 0x18), _) => Kind::Crl,
        (Some(0x30), _) => Kind::Certificate,
        // What is signed, how, and the signature: a certificate stands where what is signed should.
        (Some(0x03), []) => PKI_PATH,
        _ => return None,
    })
}

/// netscape-cert-sequence.
const NETSCAPE_SEQUENCE: Oid = Oid::new_unwrap("2.16.840.1.113730.2.5");

/// Keys of tpm2-openssl and its kin.
const TPM_KEYS: [Oid; 3] = [oid::TPM_LOADABLE_KEY, oid::TPM_IMPORTABLE_KEY, oid::TPM_SEALED_DATA];

fn is_cms(found: Oid) -> bool {
    let text = found.to_string();
    text.starts_with("1.2.840.113549.1.7.") || text.starts_with("1.2.840.113549.1.9.16.1.")
}

/// What is inside the first SEQUENCE, as far as it is there: with a length that is not definite (BER), too.
fn content(input: &[u8]) -> Option<&[u8]> {
    match *input {
        [0x30, 0x80, ..] => Some(&input[2..]),
        [0x30, length, ..] => {
            let header = 2 + usize::from(if length < 0x80 { 0 } else { length & 0x7f });
            input.get(header..)
        }
        _ => None,
    }
}

/// The content of the next SEQUENCE, whole or cut; the cursor stands behind it, or at the end.
fn head<'a>(fields: &mut Cursor<'a>) -> Option<&'a [u8]> {
    match fields.any("") {
        Ok(whole) => Some(whole.value),
        Err(_) => {
            let cut = content(fields.rest())?;
            *fields = fields.at_end();
            Some(cut)
        }
    }
}

/// The error of a reader, in words that say what the input is where it is another kind of file.
pub(crate) fn explained(error: Asn1Error, wanted: Kind, input: &[u8]) -> Asn1Error {
    if matches!(error.problem, Problem::TooLarge { .. }) {
        return error;
    }
    let structure = error.structure;
    if let Some(kind) = Kind::of_der(input) {
        if kind == wanted {
            return several(&error, wanted, input).unwrap_or(error);
        }
        return instead(wanted, kind);
    }
    match text_kind(input) {
        Some(kind) => instead(wanted, kind),
        None => as_text(input, structure).unwrap_or(error),
    }
}

pub(crate) fn instead(wanted: Kind, found: Kind) -> Asn1Error {
    Asn1Error::invalid(wanted.structure(), words_instead(wanted, found))
}

fn words_instead(wanted: Kind, found: Kind) -> String {
    let help = match (wanted, found) {
        (Kind::Crl, Kind::Pkcs7) => "add_crls() (devid_validator_add_crls) reads the lists in it",
        _ => found.opened_by(),
    };
    format!("expected {}, found {}: {help}", wanted.words(), found.words())
}

/// What an input is that is plainly another kind of file, in words.
pub(crate) fn other_than(wanted: Kind, input: &[u8]) -> Option<String> {
    let kind = Kind::of_der(input).or_else(|| text_kind(input)).filter(|kind| *kind != wanted)?;
    Some(words_instead(wanted, kind))
}

/// What an input that no structure fits is, in words, with what can be done about it.
pub(crate) fn told(input: &[u8]) -> Option<String> {
    if let Some(kind) = Kind::of_der(input).or_else(|| text_kind(input)) {
        return Some(format!("{}: {}", kind.words(), kind.opened_by()));
    }
    let text = as_text(input, "")?.to_string();
    text.split_once("found ").map(|(_, words)| words.to_owned())
}

/// The same of a block by its label.
pub(crate) fn other_label(label: &str) -> Option<String> {
    match Kind::of_label(label)? {
        Kind::Other(words, help) => Some(format!("{words}: {help}")),
        _ => None,
    }
}

/// The one document that an input is, DER: the block of this kind of a PEM text, or what stands without armour.
pub(crate) fn document<'a>(wanted: Kind, label: &str, input: &'a [u8]) -> Result<Cow<'a, [u8]>, Asn1Error> {
    if !pem::is_pem(input) {
        return Ok(pem::without_armour(input));
    }
    let blocks = pem::parse(input)?;
    match blocks.iter().find(|block| Kind::of_label(block.label) == Some(wanted)) {
        Some(block) => Ok(Cow::Owned(match block.decode()? {
            pem::Content::Public(der) => der,
            pem::Content::Secret(der) => der.to_vec(),
        })),
        None => Err(no_block(wanted, label, &blocks)),
    }
}

/// Several in DER, one behind the other: no file that anything else reads either.
fn several(error: &Asn1Error, wanted: Kind, input: &[u8]) -> Option<Asn1Error> {
    let Problem::Trailing { count } = error.problem else { return None };
    let behind = input.get(input.len().checked_sub(count)?..)?;
    let kind = Kind::of_der(behind)?;
    let words = format!(
        "{} in DER with {} behind it ({count} bytes): several stand in PEM, or in PKCS#7",
        wanted.words(),
        if kind == wanted { "another one" } else { kind.words() }
    );
    Some(Asn1Error::invalid(error.structure, words))
}

/// The error where none of the blocks of a PEM text is of the wanted kind.
pub(crate) fn no_block(wanted: Kind, label: &str, blocks: &[Block<'_>]) -> Asn1Error {
    let found = pem::labels_of(blocks);
    let kinds = blocks.iter().filter_map(|block| Kind::of_label(block.label));
    match kinds.into_iter().find(|kind| *kind != wanted) {
        Some(kind) => {
            Asn1Error::pem(format!("no {label} block; there is {found}: {}, {}", kind.words(), kind.opened_by()))
        }
        None => Asn1Error::pem(format!("no {label} block; there is {found}")),
    }
}

/// Text that is no PEM and known by its beginning.
fn text_kind(input: &[u8]) -> Option<Kind> {
    let text = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input).trim_ascii_start();
    let begins = |with: &[u8]| text.starts_with(with);
    Some(match () {
        () if begins(b"pkcs11:") => TOKEN_URI,
        () if begins(b"MIME-Version:") || begins(b"Content-Type:") => MAIL,
        () if begins(b"PuTTY-User-Key-File") => Kind::Other(
            "a key of PuTTY",
            "puttygen FILE -O private-openssh-new writes it as OpenSSH, and ssh-keygen -p -m PKCS8 that as PKCS#8",
        ),
        () if begins(b"ssh-") || begins(b"ecdsa-sha2-") || begins(b"sk-") || begins(b"---- BEGIN SSH2 PUBLIC") => {
            SSH_PUBLIC
        }
        () if begins(b"$ANSIBLE_VAULT") => Kind::Other("a file of Ansible Vault", "ansible-vault decrypt opens it"),
        () if begins(b"SPKAC=") => {
            Kind::Other("a request of a browser (SPKAC)", "make a certificate request (PKCS#10)")
        }
        () if begins(b"version https://git-lfs") => {
            Kind::Other("a pointer of Git LFS in place of the file", "git lfs pull brings the file")
        }
        () if begins(b"AGE-SECRET-KEY-") || begins(b"age-encryption.org/") => AGE,
        () if begins(b"{") && contains(text, b"\"kty\"") => {
            Kind::Other("a key as JSON (JWK)", "make it PKCS#8, or PEM: no JSON is read here")
        }
        () => return None,
    })
}

fn contains(text: &[u8], words: &[u8]) -> bool {
    text[..text.len().min(4096)].windows(words.len()).any(|part| part == words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asn1::der::{element, sequence};

    #[test]
    fn structures_are_told_by_their_first_elements_whole_or_cut() {
        let object = |id: Oid| element(0x06, &[id.as_bytes()]);
        let algorithm = sequence(&[&object(oid::SHA256)]);
        let (name, integer) = (sequence(&[]), |n: u8| element(0x02, &[&[n]]));
        let time = element(0x17, &[b"260101000000Z"]);
        let signed = |tbs: &[&[u8]]| sequence(&[&sequence(tbs), &algorithm, &element(0x03, &[&[0; 40]])]);
        let spki = sequence(&[&algorithm, &element(0x03, &[&[0; 40]])]);
        let validity = sequence(&[&time, &time]);
        let cases: [(Vec<u8>, Kind); 17] = [
            (
                signed(&[&element(0xa0, &[&integer(2)]), &integer(7), &algorithm, &name, &validity, &name, &spki]),
                Kind::Certificate,
            ),
            (signed(&[&integer(7), &algorithm, &name, &validity, &name, &spki]), Kind::Certificate),
            (signed(&[&integer(0), &name, &spki, &element(0xa0, &[])]), Kind::Request),
            (signed(&[&integer(1), &algorithm, &name, &time, &time]), Kind::Crl),
            (signed(&[&algorithm, &name, &time]), Kind::Crl),
            (sequence(&[&element(0x0a, &[&[0]]), &element(0xa0, &[&name])]), Kind::Ocsp),
            (sequence(&[&integer(3), &sequence(&[&object(oid::CMS_DATA)])]), Kind::Pkcs12),
            (sequence(&[&object(oid::CMS_SIGNED_DATA), &element(0xa0, &[&name])]), Kind::Pkcs7),
            (sequence(&[&object(oid::CMS_ENVELOPED_DATA), &element(0xa0, &[&name])]), ENVELOPED),
            (sequence(&[&object(oid::CMS_DATA), &element(0xa0, &[&name])]), OTHER_CMS),
            (sequence(&[&object(oid::TPM_LOADABLE_KEY), &integer(1)]), TPM_KEY),
            (sequence(&[&integer(0), &algorithm, &element(0x04, &[&[0; 30]])]), Kind::PrivateKey),
            (sequence(&[&integer(1), &element(0x04, &[&[0; 30]])]), Kind::PrivateKey),
            (sequence(&[&algorithm, &element(0x04, &[&[0; 30]])]), Kind::PrivateKey),
            (spki.clone(), PUBLIC_KEY),
            (object(oid::SHA256), PARAMETERS),
            (sequence(&[&sequence(&[&integer(2), &element(0xa4, &[&name])]), &element(0xa0, &[&name])]), CMP),
        ];
        for (der, kind) in cases {
            assert_eq!(Kind::of_der(&der), Some(kind), "{der:02x?}");
            // BER of indefinite length begins the same.
            if let Some(inside) = content(&der) {
                assert_eq!(Kind::of_der(&[&[0x30, 0x80], inside, &[0, 0]].concat()), Some(kind));
            }
        }
        for nothing in [&b""[..], &[0x30], &[0x30, 0x00], b"text", &[0x30, 0x03, 0x01, 0x01, 0x00]] {
            assert_eq!(Kind::of_der(nothing), None);
        }
    }
}
