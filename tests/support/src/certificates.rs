//! Makes certificates for tests, well-formed ones in one line and malformed or hostile ones by replacing any field.

use std::sync::{Arc, LazyLock};

use devid::asn1::der::{element, sequence};
use devid::asn1::name::Name;
use devid::asn1::oid::{self, Oid};
use devid::asn1::x509::{Certificate, assemble_signed};
use devid::crypto::algorithm::encode_oid;
use devid::crypto::{DigestAlgorithm, KeyKind, PrivateKey, Provider, SignatureAlgorithm, default_provider};
use devid::time::Time;
use devid::validation::KeyUsage;

/// The provider that all tests use.
pub fn provider() -> &'static Arc<dyn Provider> {
    static PROVIDER: LazyLock<Arc<dyn Provider>> = LazyLock::new(default_provider);
    &PROVIDER
}

/// A fresh P-256 key.
pub fn key() -> Arc<dyn PrivateKey> {
    provider().generate_key(KeyKind::P256).expect("a key pair")
}

/// 2026-01-01, noon: certificates are made valid around it.
pub fn now() -> Time {
    date(2026, 1, 1)
}

/// The DER of a Name of several relative distinguished names, each with a commonName.
pub fn name_of(common_names: &[&str]) -> Vec<u8> {
    let attributes: Vec<(Oid, u8, &[u8])> =
        common_names.iter().map(|text| (oid::AT_COMMON_NAME, 0x0c, text.as_bytes())).collect();
    name(&attributes)
}

/// Noon of a day.
pub fn date(year: i64, month: u32, day: u32) -> Time {
    Time::from_civil(year, month, day, 12, 0, 0).expect("a date")
}

/// A certificate with its private key: an end entity, or an issuer of others.
#[derive(Clone)]
pub struct Party {
    pub certificate: Certificate,
    pub key: Arc<dyn PrivateKey>,
}

impl Party {
    /// A self-signed CA.
    pub fn root(name: &str) -> Self {
        Builder::ca(name).self_signed()
    }

    /// A CA under this one.
    pub fn ca(&self, name: &str) -> Self {
        Builder::ca(name).signed_by(self)
    }

    /// An end entity under this CA.
    pub fn leaf(&self, name: &str) -> Self {
        Builder::leaf(name).signed_by(self)
    }
}

/// A certificate in the making. Every field is DER, so that anything can be put there.
#[derive(Clone)]
pub struct Builder {
    /// Content of the version field; `None` leaves it out (version 1).
    pub version: Option<u8>,
    /// Content of the serial number.
    pub serial: Vec<u8>,
    pub subject: Vec<u8>,
    /// Replaces the issuer's name.
    pub issuer: Option<Vec<u8>>,
    pub not_before: Vec<u8>,
    pub not_after: Vec<u8>,
    pub key: Arc<dyn PrivateKey>,
    /// Replaces the SubjectPublicKeyInfo of `key`.
    pub spki: Option<Vec<u8>>,
    /// Identifier, critical, value; in this order.
    pub extensions: Vec<(Oid, bool, Vec<u8>)>,
    pub key_identifiers: bool,
    /// The algorithm to sign with; the key's default if `None`.
    pub algorithm: Option<SignatureAlgorithm>,
    /// Replaces the AlgorithmIdentifier inside, or beside the signature.
    pub inner_algorithm: Option<Vec<u8>>,
    pub outer_algorithm: Option<Vec<u8>>,
}

impl Builder {
    /// An end entity: no extensions but key identifiers.
    pub fn leaf(name: &str) -> Self {
        let mut serial = [0u8; 12];
        provider().random(&mut serial).expect("random bytes");
        serial[0] = serial[0] & 0x3f | 0x40;
        Builder {
            version: Some(2),
            serial: serial.to_vec(),
            subject: common_name(name),
            issuer: None,
            not_before: time(date(2020, 1, 1)),
            not_after: time(date(2030, 1, 1)),
            key: key(),
            spki: None,
            extensions: Vec::new(),
            key_identifiers: true,
            algorithm: None,
            inner_algorithm: None,
            outer_algorithm: None,
        }
    }

    /// A CA: critical basicConstraints, keyUsage with keyCertSign and cRLSign.
    pub fn ca(name: &str) -> Self {
        Builder::leaf(name)
            .with(oid::CE_BASIC_CONSTRAINTS, true, basic_constraints(true, None))
            .key_usage(&[KeyUsage::KeyCertSign, KeyUsage::CrlSign])
    }

    /// Adds an extension, or replaces the one with this identifier.
    pub fn with(mut self, id: Oid, critical: bool, value: Vec<u8>) -> Self {
        match self.extensions.iter_mut().find(|e| e.0 == id) {
            Some(found) => *found = (id, critical, value),
            None => self.extensions.push((id, critical, value)),
        }
        self
    }

    /// Adds an extension even if there is one already.
    pub fn with_second(mut self, id: Oid, critical: bool, value: Vec<u8>) -> Self {
        self.extensions.push((id, critical, value));
        self
    }

    pub fn without(mut self, id: Oid) -> Self {
        self.extensions.retain(|e| e.0 != id);
        self
    }

    pub fn without_key_identifiers(mut self) -> Self {
        self.key_identifiers = false;
        self
    }

    pub fn subject(mut self, der: Vec<u8>) -> Self {
        self.subject = der;
        self
    }

    pub fn key(mut self, key: &Arc<dyn PrivateKey>) -> Self {
        self.key = key.clone();
        self
    }

    /// The key, P-256, with its point compressed.
    pub fn compressed(mut self) -> Self {
        self.spki = Some(compressed(self.key.spki()));
        self
    }

    pub fn valid(mut self, from: Time, to: Time) -> Self {
        (self.not_before, self.not_after) = (time(from), time(to));
        self
    }

    pub fn path_len(self, limit: u32) -> Self {
        self.with(oid::CE_BASIC_CONSTRAINTS, true, basic_constraints(true, Some(limit)))
    }

    pub fn key_usage(self, usages: &[KeyUsage]) -> Self {
        self.with(oid::CE_KEY_USAGE, true, key_usage(usages))
    }

    pub fn purposes(self, purposes: &[Oid]) -> Self {
        self.with(oid::CE_EXT_KEY_USAGE, false, list(purposes.iter().map(|p| encode_oid(*p))))
    }

    /// subjectAltName of GeneralNames, such as those of [`dns`].
    pub fn alt_names(self, names: impl IntoIterator<Item = Vec<u8>>) -> Self {
        self.with(oid::CE_SUBJECT_ALT_NAME, false, list(names))
    }

    /// nameConstraints; an empty side is left out.
    pub fn constraints(self, permitted: &[Vec<u8>], excluded: &[Vec<u8>]) -> Self {
        self.with(oid::CE_NAME_CONSTRAINTS, true, name_constraints(permitted, excluded))
    }

    pub fn policies(self, policies: &[Oid]) -> Self {
        self.with(oid::CE_CERTIFICATE_POLICIES, false, list(policies.iter().map(|p| sequence(&[&encode_oid(*p)]))))
    }

    pub fn mappings(self, mappings: &[(Oid, Oid)]) -> Self {
        let pairs = mappings.iter().map(|(a, b)| sequence(&[&encode_oid(*a), &encode_oid(*b)]));
        self.with(oid::CE_POLICY_MAPPINGS, true, list(pairs))
    }

    pub fn policy_constraints(self, require_explicit: Option<u8>, inhibit_mapping: Option<u8>) -> Self {
        let field = |tag, skip: Option<u8>| skip.map_or(Vec::new(), |n| element(tag, &[&[n]]));
        let value = sequence(&[&field(0x80, require_explicit), &field(0x81, inhibit_mapping)]);
        self.with(oid::CE_POLICY_CONSTRAINTS, true, value)
    }

    pub fn inhibit_any(self, skip: u8) -> Self {
        self.with(oid::CE_INHIBIT_ANY_POLICY, true, vec![0x02, 0x01, skip])
    }

    pub fn self_signed(self) -> Party {
        let (name, key) = (self.subject.clone(), self.key.clone());
        self.sign(&name, &key)
    }

    pub fn signed_by(self, issuer: &Party) -> Party {
        self.sign(issuer.certificate.subject(), &issuer.key)
    }

    /// Signs in the name of an issuer with whatever key.
    pub fn sign(self, issuer: &[u8], issuer_key: &Arc<dyn PrivateKey>) -> Party {
        let key = self.key.clone();
        let certificate = Certificate::from_der(&self.der(issuer, issuer_key)).expect("a certificate that parses");
        Party { certificate, key }
    }

    /// The same as bytes: for certificates that must not parse.
    pub fn der(mut self, issuer: &[u8], issuer_key: &Arc<dyn PrivateKey>) -> Vec<u8> {
        let algorithm = self.algorithm.unwrap_or_else(|| issuer_key.kind().default_signature());
        let identifier = algorithm.to_der();
        let spki = self.spki.take().unwrap_or_else(|| self.key.spki().to_vec());
        if self.key_identifiers && self.version == Some(2) {
            let authority = sequence(&[&element(0x80, &[&key_id(issuer_key.spki())])]);
            let subject = element(0x04, &[&key_id(&spki)]);
            self = self.with(oid::CE_AUTHORITY_KEY_IDENTIFIER, false, authority).with(
                oid::CE_SUBJECT_KEY_IDENTIFIER,
                false,
                subject,
            );
        }
        let version = self.version.map_or(Vec::new(), |v| element(0xa0, &[&[0x02, 0x01, v]]));
        let extensions = list(self.extensions.iter().map(|(id, critical, value)| extension(*id, *critical, value)));
        let extensions = if self.extensions.is_empty() { Vec::new() } else { element(0xa3, &[&extensions]) };
        let tbs = sequence(&[
            &version,
            &element(0x02, &[&self.serial]),
            self.inner_algorithm.as_deref().unwrap_or(&identifier),
            self.issuer.as_deref().unwrap_or(issuer),
            &sequence(&[&self.not_before, &self.not_after]),
            &self.subject,
            &spki,
            &extensions,
        ]);
        let signature = issuer_key.sign(&algorithm, &tbs).expect("a signature");
        assemble_signed(&tbs, self.outer_algorithm.as_deref().unwrap_or(&identifier), &signature)
    }
}

/// The same P-256 key with its point compressed (RFC 5480 section 2.2).
pub fn compressed(spki: &[u8]) -> Vec<u8> {
    let (before, point) = spki.split_at(spki.len() - 65);
    let (x, y) = point[1..].split_at(32);
    let identifier = &before[2..before.len() - 3];
    sequence(&[identifier, &element(0x03, &[&[0, 2 | y[31] & 1], x])])
}

pub fn extension(id: Oid, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[0x01, 0x01, 0xff] } else { &[] };
    sequence(&[&encode_oid(id), critical, &element(0x04, &[value])])
}

/// A SEQUENCE OF encoded elements.
pub fn list(items: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let content: Vec<u8> = items.into_iter().flatten().collect();
    sequence(&[&content])
}

/// The key identifier this generator gives to a SubjectPublicKeyInfo.
pub fn key_id(spki: &[u8]) -> Vec<u8> {
    provider().digest(DigestAlgorithm::Sha256, &[spki]).expect("a digest")[..20].to_vec()
}

/// UTCTime through 2049, GeneralizedTime from 2050 (RFC 5280 section 4.1.2.5).
pub fn time(time: Time) -> Vec<u8> {
    let text = time.to_generalized_time();
    if (1950..2050).contains(&time.civil().0) {
        element(0x17, &[&text.as_bytes()[2..]])
    } else {
        element(0x18, &[text.as_bytes()])
    }
}

pub fn common_name(text: &str) -> Vec<u8> {
    Name::common_name(text).as_der().to_vec()
}

/// A Name of RDNs with one attribute each: identifier, string tag, content.
pub fn name(attributes: &[(Oid, u8, &[u8])]) -> Vec<u8> {
    list(
        attributes
            .iter()
            .map(|(id, tag, text)| element(0x31, &[&sequence(&[&encode_oid(*id), &element(*tag, &[text])])])),
    )
}

pub fn basic_constraints(ca: bool, path_len: Option<u32>) -> Vec<u8> {
    let ca: &[u8] = if ca { &[0x01, 0x01, 0xff] } else { &[] };
    let path_len = path_len.map_or(Vec::new(), |n| devid::asn1::der::encode(&n));
    sequence(&[ca, &path_len])
}

pub fn key_usage(usages: &[KeyUsage]) -> Vec<u8> {
    let bits = usages.iter().fold(0u16, |bits, usage| bits | 0x8000 >> *usage as u8);
    let [first, second] = bits.to_be_bytes();
    let content = if second == 0 { vec![first] } else { vec![first, second] };
    let unused = content.last().map_or(0, |b| b.trailing_zeros().min(7)) as u8;
    element(0x03, &[&[unused], &content])
}

pub fn name_constraints(permitted: &[Vec<u8>], excluded: &[Vec<u8>]) -> Vec<u8> {
    let side = |tag: u8, bases: &[Vec<u8>]| {
        let content: Vec<u8> = bases.iter().flat_map(|base| sequence(&[base])).collect();
        if bases.is_empty() { Vec::new() } else { element(tag, &[&content]) }
    };
    sequence(&[&side(0xa0, permitted), &side(0xa1, excluded)])
}

pub fn other_name(type_id: Oid, value: &[u8]) -> Vec<u8> {
    element(0xa0, &[&encode_oid(type_id), &element(0xa0, &[value])])
}

pub fn email(text: &str) -> Vec<u8> {
    element(0x81, &[text.as_bytes()])
}

pub fn dns(text: &str) -> Vec<u8> {
    element(0x82, &[text.as_bytes()])
}

pub fn directory(name: &[u8]) -> Vec<u8> {
    element(0xa4, &[name])
}

pub fn uri(text: &str) -> Vec<u8> {
    element(0x86, &[text.as_bytes()])
}

pub fn ip(octets: &[u8]) -> Vec<u8> {
    element(0x87, &[octets])
}

pub fn registered_id(id: Oid) -> Vec<u8> {
    element(0x88, &[id.as_bytes()])
}
