//! Certificates and CRLs: written by hand, read through the element tree.

use crate::keys::{Key, KeyType, key_id, random, verify};
use crate::tlv::{Node, bits, int, octets, oid, seq, time, tlv, utf8};

pub const KEY_USAGE: &str = "2.5.29.15";
pub const EXT_KEY_USAGE: &str = "2.5.29.37";
pub const SUBJECT_ALT_NAME: &str = "2.5.29.17";
pub const SUBJECT_KEY_ID: &str = "2.5.29.14";
pub const AUTHORITY_KEY_ID: &str = "2.5.29.35";
pub const BASIC_CONSTRAINTS: &str = "2.5.29.19";

/// What goes into a certificate.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Name, DER.
    pub subject: Vec<u8>,
    /// SubjectPublicKeyInfo, DER.
    pub spki: Vec<u8>,
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970.
    pub not_after: i64,
    /// Identifier, critical, DER of the value.
    pub extensions: Vec<(String, bool, Vec<u8>)>,
}

impl Profile {
    /// An end entity without extensions.
    pub fn new(subject: Vec<u8>, spki: Vec<u8>, not_before: i64, not_after: i64) -> Self {
        Profile { subject, spki, not_before, not_after, extensions: Vec::new() }
    }

    /// Adds or replaces an extension.
    #[must_use]
    pub fn with(mut self, id: &str, critical: bool, value: Vec<u8>) -> Self {
        self.extensions.retain(|e| e.0 != id);
        self.extensions.push((id.to_owned(), critical, value));
        self
    }

    /// A CA.
    #[must_use]
    pub fn ca(self) -> Self {
        self.with(BASIC_CONSTRAINTS, true, seq(&[&[0x01, 0x01, 0xff]])).with(KEY_USAGE, true, named_bits(&[5, 6]))
    }

    /// keyUsage by bit numbers.
    #[must_use]
    pub fn key_usage(self, numbers: &[u8]) -> Self {
        self.with(KEY_USAGE, true, named_bits(numbers))
    }

    /// extendedKeyUsage by dotted identifiers.
    #[must_use]
    pub fn purposes(self, purposes: &[&str]) -> Self {
        let all: Vec<u8> = purposes.iter().flat_map(|p| oid(p)).collect();
        self.with(EXT_KEY_USAGE, false, seq(&[&all]))
    }

    /// dNSName in subjectAltName.
    #[must_use]
    pub fn dns(self, name: &str) -> Self {
        self.with(SUBJECT_ALT_NAME, false, seq(&[&tlv(0x82, &[name.as_bytes()])]))
    }

    /// The certificate, signed by an issuer's key in the issuer's name.
    pub fn signed(mut self, issuer_name: &[u8], issuer: &Key) -> Vec<u8> {
        let own = octets(&key_id(&self.spki));
        let above = seq(&[&tlv(0x80, &[&key_id(&issuer.spki)])]);
        if !self.extensions.iter().any(|e| e.0 == SUBJECT_KEY_ID) {
            self = self.with(SUBJECT_KEY_ID, false, own);
        }
        // RFC 5280 section 4.2.1.1: in every certificate, and the issuer's to say.
        self = self.with(AUTHORITY_KEY_ID, false, above);
        let mut serial = random(16);
        serial[0] = serial[0] & 0x7f | 0x40;
        let extensions: Vec<u8> = self.extensions.iter().flat_map(|(id, c, v)| extension(id, *c, v)).collect();
        let algorithm = issuer.algorithm();
        let tbs = seq(&[
            &tlv(0xa0, &[&int(2)]),
            &tlv(0x02, &[&serial]),
            &algorithm,
            issuer_name,
            &seq(&[&time(self.not_before), &time(self.not_after)]),
            &self.subject,
            &self.spki,
            &tlv(0xa3, &[&seq(&[&extensions])]),
        ]);
        seq(&[&tbs, &algorithm, &bits(&issuer.sign(&tbs))])
    }
}

/// A certificate with its key.
pub struct Holder {
    /// DER.
    pub certificate: Vec<u8>,
    /// Its key.
    pub key: Key,
}

impl Holder {
    /// A self-signed CA.
    pub fn root(name: &str, kind: KeyType, from: i64, to: i64) -> Self {
        let key = Key::generate(kind);
        let subject = common_name(name);
        let certificate = Profile::new(subject.clone(), key.spki.clone(), from, to).ca().signed(&subject, &key);
        Holder { certificate, key }
    }

    /// Issues a certificate over a fresh key.
    pub fn issue(&self, name: &str, kind: KeyType, from: i64, to: i64, change: impl Fn(Profile) -> Profile) -> Holder {
        let key = Key::generate(kind);
        let profile = change(Profile::new(common_name(name), key.spki.clone(), from, to));
        Holder { certificate: profile.signed(&self.name(), &self.key), key }
    }

    /// The subject's Name, DER.
    pub fn name(&self) -> Vec<u8> {
        Parsed::read(&self.certificate).expect("made here").subject
    }
}

/// A certificate, read.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The whole.
    pub der: Vec<u8>,
    /// Content of serialNumber.
    pub serial: Vec<u8>,
    /// Name, DER.
    pub issuer: Vec<u8>,
    /// Name, DER.
    pub subject: Vec<u8>,
    /// SubjectPublicKeyInfo, DER.
    pub spki: Vec<u8>,
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970.
    pub not_after: i64,
    /// Identifier, critical, value.
    pub extensions: Vec<(String, bool, Vec<u8>)>,
    tbs: Vec<u8>,
    algorithm: Node,
    signature: Vec<u8>,
}

impl Parsed {
    /// Reads a version 3 certificate.
    pub fn read(der: &[u8]) -> Result<Self, String> {
        let node = Node::parse(der)?;
        let tbs = node.at(0)?;
        tbs.at(0)?.expect(0xa0, "version")?;
        let validity = tbs.at(4)?;
        let extensions = match tbs.tagged(0xa3) {
            Some(list) => read_extensions(list.inner()?)?,
            None => Vec::new(),
        };
        Ok(Parsed {
            der: der.to_vec(),
            serial: tbs.at(1)?.expect(0x02, "serialNumber")?.value().to_vec(),
            issuer: tbs.at(3)?.bytes.clone(),
            subject: tbs.at(5)?.bytes.clone(),
            spki: tbs.at(6)?.bytes.clone(),
            not_before: read_time(validity.at(0)?)?,
            not_after: read_time(validity.at(1)?)?,
            extensions,
            tbs: tbs.bytes.clone(),
            algorithm: node.at(1)?.clone(),
            signature: node.at(2)?.bits()?.to_vec(),
        })
    }

    /// One extension's value.
    pub fn extension(&self, id: &str) -> Option<&[u8]> {
        self.extensions.iter().find(|e| e.0 == id).map(|e| &e.2[..])
    }

    /// Content of subjectKeyIdentifier.
    pub fn key_id(&self) -> Option<Vec<u8>> {
        self.extension(SUBJECT_KEY_ID).and_then(|v| Node::parse(v).ok()).map(|n| n.value().to_vec())
    }

    /// The named curve of its key, if it is on one.
    pub fn spki_curve(&self) -> Option<&'static str> {
        let curve = Node::parse(&self.spki).ok()?.at(0).ok()?.children.get(1)?.oid().ok()?;
        ["1.2.840.10045.3.1.7", "1.3.132.0.34", "1.3.132.0.35"].into_iter().find(|known| *known == curve)
    }

    /// Whether `issuer` issued it and it is valid at this time.
    pub fn check_issued_by(&self, issuer: &Parsed, now: i64) -> Result<(), String> {
        if self.issuer != issuer.subject {
            return Err("issued under another name".to_owned());
        }
        if now < self.not_before || now > self.not_after {
            return Err("outside its validity".to_owned());
        }
        verify(&self.algorithm, &issuer.spki, &self.tbs, &self.signature)
    }

    /// Digest for certHash: of the signature algorithm (RFC 9483 section 4.1.1).
    pub fn hash_name(&self) -> Result<&'static str, String> {
        let name = self.algorithm.at(0)?.oid()?;
        Ok(match name.as_str() {
            "1.2.840.10045.4.3.2" | "1.2.840.113549.1.1.11" => "2.16.840.1.101.3.4.2.1",
            "1.2.840.10045.4.3.3" | "1.2.840.113549.1.1.12" => "2.16.840.1.101.3.4.2.2",
            _ => "2.16.840.1.101.3.4.2.3",
        })
    }
}

/// Reads an Extensions list.
pub fn read_extensions(list: &Node) -> Result<Vec<(String, bool, Vec<u8>)>, String> {
    list.children
        .iter()
        .map(|e| {
            let critical = e.tagged(0x01).is_some_and(|c| c.value() == [0xff]);
            let value = e.tagged(0x04).ok_or("an Extension without extnValue")?.value().to_vec();
            Ok((e.at(0)?.oid()?, critical, value))
        })
        .collect()
}

fn read_time(node: &Node) -> Result<i64, String> {
    let text = String::from_utf8_lossy(node.value()).into_owned();
    match node.tag {
        0x17 if text.as_str() < "5" => crate::tlv::unix_of(&format!("20{text}")),
        0x17 => crate::tlv::unix_of(&format!("19{text}")),
        0x18 => crate::tlv::unix_of(&text),
        other => Err(format!("tag {other:02x} is no time")),
    }
}

/// A Name of one commonName.
pub fn common_name(text: &str) -> Vec<u8> {
    seq(&[&tlv(0x31, &[&seq(&[&oid("2.5.4.3"), &utf8(text)])])])
}

/// DER of an Extension.
pub fn extension(id: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[0x01, 0x01, 0xff] } else { &[] };
    seq(&[&oid(id), critical, &octets(value)])
}

/// A named bit list.
pub fn named_bits(numbers: &[u8]) -> Vec<u8> {
    let last = numbers.iter().copied().max().unwrap_or(0);
    let mut bytes = vec![0u8; usize::from(last) / 8 + 1];
    for n in numbers {
        bytes[usize::from(*n) / 8] |= 0x80 >> (n % 8);
    }
    tlv(0x03, &[&[7 - last % 8], &bytes])
}

/// A CRL: serial numbers with time and reason.
pub fn crl(issuer: &Holder, number: i64, revoked: &[(Vec<u8>, i64, u8)], this: i64, next: i64) -> Vec<u8> {
    let entries: Vec<u8> = revoked
        .iter()
        .flat_map(|(serial, at, reason)| {
            let reason = extension("2.5.29.21", false, &tlv(0x0a, &[&[*reason]]));
            seq(&[&tlv(0x02, &[serial]), &time(*at), &seq(&[&reason])])
        })
        .collect();
    let entries = if entries.is_empty() { entries } else { seq(&[&entries]) };
    let authority = extension(AUTHORITY_KEY_ID, false, &seq(&[&tlv(0x80, &[&key_id(&issuer.key.spki)])]));
    let extensions = tlv(0xa0, &[&seq(&[&authority, &extension("2.5.29.20", false, &int(number))])]);
    let algorithm = issuer.key.algorithm();
    let tbs = seq(&[&int(1), &algorithm, &issuer.name(), &time(this), &time(next), &entries, &extensions]);
    seq(&[&tbs, &algorithm, &bits(&issuer.key.sign(&tbs))])
}

/// PEM armour.
pub fn pem(label: &str, der: &[u8]) -> String {
    use base64ct::{Base64, Encoding};
    let text = Base64::encode_string(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|l| std::str::from_utf8(l).expect("ASCII")).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
