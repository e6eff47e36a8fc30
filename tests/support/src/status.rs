//! Makes CRLs and OCSP responses for tests, good ones in one line and bad ones by replacing any field.

use std::sync::Arc;

use devid::asn1::Asn1Error;
use devid::asn1::der::{element, encode, sequence};
use devid::asn1::oid::{self, Oid};
use devid::asn1::x509::{Certificate, assemble_signed};
use devid::crypto::algorithm::encode_oid;
use devid::crypto::{DigestAlgorithm, PrivateKey, SignatureAlgorithm};
use devid::time::Time;
use devid::validation::{Crl, OcspResponse};

use crate::certificates::{Party, date, directory, extension, key_id, list, now, provider, time, uri};

/// A CRL in the making. Fields are DER, so that anything can be put there.
#[derive(Clone)]
pub struct CrlBuilder {
    /// Content of the version field; `None` leaves it out (version 1).
    pub version: Option<u8>,
    pub issuer: Vec<u8>,
    pub this_update: Vec<u8>,
    pub next_update: Vec<u8>,
    /// Each a whole entry.
    pub entries: Vec<Vec<u8>>,
    /// An empty SEQUENCE where there are no entries.
    pub empty_list: bool,
    pub extensions: Vec<(Oid, bool, Vec<u8>)>,
    pub authority_key_identifier: bool,
    pub algorithm: Option<SignatureAlgorithm>,
    pub inner_algorithm: Option<Vec<u8>>,
    pub key: Arc<dyn PrivateKey>,
}

impl CrlBuilder {
    /// Version 2, number 1, from a day before [`now`] to a day after, of this issuer and by its key.
    pub fn of(issuer: &Party) -> Self {
        CrlBuilder {
            version: Some(1),
            issuer: issuer.certificate.subject().to_vec(),
            this_update: time(now().plus(-86_400)),
            next_update: time(now().plus(86_400)),
            entries: Vec::new(),
            empty_list: false,
            extensions: Vec::new(),
            authority_key_identifier: true,
            algorithm: None,
            inner_algorithm: None,
            key: issuer.key.clone(),
        }
        .number(1)
    }

    pub fn number(self, number: u64) -> Self {
        self.with(oid::CE_CRL_NUMBER, false, encode(&number))
    }

    /// Makes it a delta to the list of this number.
    pub fn delta_to(self, base: u64) -> Self {
        self.with(oid::CE_DELTA_CRL_INDICATOR, true, encode(&base))
    }

    pub fn with(mut self, id: Oid, critical: bool, value: Vec<u8>) -> Self {
        self.extensions.retain(|e| e.0 != id);
        self.extensions.push((id, critical, value));
        self
    }

    pub fn with_second(mut self, id: Oid, critical: bool, value: Vec<u8>) -> Self {
        self.extensions.push((id, critical, value));
        self
    }

    pub fn without(mut self, id: Oid) -> Self {
        self.extensions.retain(|e| e.0 != id);
        self
    }

    /// issuingDistributionPoint of these fields.
    pub fn scope(self, fields: &[Vec<u8>]) -> Self {
        self.with(oid::CE_ISSUING_DISTRIBUTION_POINT, true, list(fields.iter().cloned()))
    }

    pub fn times(mut self, this_update: Time, next_update: Option<Time>) -> Self {
        self.this_update = time(this_update);
        self.next_update = next_update.map_or(Vec::new(), time);
        self
    }

    pub fn signed_with(mut self, key: &Arc<dyn PrivateKey>) -> Self {
        self.key = key.clone();
        self
    }

    pub fn revokes(self, party: &Party) -> Self {
        self.entry(party.certificate.serial(), &[])
    }

    pub fn revokes_for(self, party: &Party, reason: u8) -> Self {
        self.entry(party.certificate.serial(), &[reason_code(reason)])
    }

    /// An entry with these extensions.
    pub fn entry(mut self, serial: &[u8], extensions: &[Vec<u8>]) -> Self {
        let extensions = if extensions.is_empty() { Vec::new() } else { list(extensions.iter().cloned()) };
        self.entries.push(sequence(&[&element(0x02, &[serial]), &time(date(2025, 12, 1)), &extensions]));
        self
    }

    /// An entry of any bytes.
    pub fn raw_entry(mut self, der: Vec<u8>) -> Self {
        self.entries.push(der);
        self
    }

    pub fn der(mut self) -> Vec<u8> {
        let algorithm = self.algorithm.unwrap_or_else(|| self.key.kind().default_signature());
        let identifier = algorithm.to_der();
        if self.authority_key_identifier && self.version == Some(1) {
            let value = sequence(&[&element(0x80, &[&key_id(self.key.spki())])]);
            self = self.with(oid::CE_AUTHORITY_KEY_IDENTIFIER, false, value);
        }
        let version = self.version.map_or(Vec::new(), |v| vec![0x02, 0x01, v]);
        let entries =
            if self.entries.is_empty() && !self.empty_list { Vec::new() } else { list(self.entries.iter().cloned()) };
        let extensions = match self.version {
            None => Vec::new(),
            Some(_) => extensions_field(0xa0, &self.extensions),
        };
        let tbs = sequence(&[
            &version,
            self.inner_algorithm.as_deref().unwrap_or(&identifier),
            &self.issuer,
            &self.this_update,
            &self.next_update,
            &entries,
            &extensions,
        ]);
        let signature = self.key.sign(&algorithm, &tbs).expect("a signature");
        assemble_signed(&tbs, &identifier, &signature)
    }

    pub fn try_build(self) -> Result<Arc<Crl>, Asn1Error> {
        Crl::from_der(self.der()).map(Arc::new)
    }

    pub fn build(self) -> Arc<Crl> {
        self.try_build().expect("a CRL that parses")
    }
}

fn extensions_field(tag: u8, extensions: &[(Oid, bool, Vec<u8>)]) -> Vec<u8> {
    if extensions.is_empty() {
        return Vec::new();
    }
    element(tag, &[&list(extensions.iter().map(|(id, critical, value)| extension(*id, *critical, value)))])
}

/// reasonCode of an entry.
pub fn reason_code(reason: u8) -> Vec<u8> {
    extension(oid::CE_CRL_REASON, false, &[0x0a, 0x01, reason])
}

/// certificateIssuer of an entry.
pub fn certificate_issuer(name: &[u8]) -> Vec<u8> {
    extension(oid::CE_CERTIFICATE_ISSUER, true, &list([directory(name)]))
}

/// `distributionPoint [0]` with fullName of these GeneralNames.
pub fn point_name(names: &[Vec<u8>]) -> Vec<u8> {
    element(0xa0, &[&element(0xa0, &[&names.concat()])])
}

/// `distributionPoint [0]` with a URL.
pub fn point_url(url: &str) -> Vec<u8> {
    point_name(&[uri(url)])
}

/// `distributionPoint [0]` with nameRelativeToCRLIssuer of a commonName.
pub fn point_relative(common_name: &str) -> Vec<u8> {
    let attribute = sequence(&[&encode_oid(oid::AT_COMMON_NAME), &element(0x0c, &[common_name.as_bytes()])]);
    element(0xa0, &[&element(0xa1, &[&attribute])])
}

/// A flag of an issuingDistributionPoint.
pub fn flag(number: u8) -> Vec<u8> {
    vec![0x80 | number, 0x01, 0xff]
}

/// ReasonFlags under a tag; bit numbers.
pub fn reasons(tag: u8, bits: &[u8]) -> Vec<u8> {
    let mut content = [7u8, 0, 0];
    for bit in bits {
        content[1 + usize::from(bit / 8)] |= 0x80 >> (bit % 8);
    }
    element(tag, &[&content])
}

pub const ONLY_USER_CERTS: u8 = 1;
pub const ONLY_CA_CERTS: u8 = 2;
pub const INDIRECT: u8 = 4;
pub const ONLY_ATTRIBUTE_CERTS: u8 = 5;

/// The value of a cRLDistributionPoints extension: points of these fields.
pub fn points(points: &[&[Vec<u8>]]) -> Vec<u8> {
    list(points.iter().map(|fields| list(fields.iter().cloned())))
}

/// `cRLIssuer [2]`.
pub fn crl_issuer(name: &[u8]) -> Vec<u8> {
    element(0xa2, &[&directory(name)])
}

/// One SingleResponse in the making.
#[derive(Clone)]
pub struct Single {
    pub digest: DigestAlgorithm,
    pub issuer_name: Vec<u8>,
    pub issuer_spki: Vec<u8>,
    pub serial: Vec<u8>,
    /// certStatus, whole.
    pub status: Vec<u8>,
    pub this_update: Time,
    pub next_update: Option<Time>,
    pub extensions: Vec<(Oid, bool, Vec<u8>)>,
}

impl Single {
    /// "Good", from an hour before [`now`] for a day.
    pub fn good(certificate: &Certificate, issuer: &Party) -> Self {
        Single {
            digest: DigestAlgorithm::Sha1,
            issuer_name: certificate.issuer().to_vec(),
            issuer_spki: issuer.key.spki().to_vec(),
            serial: certificate.serial().to_vec(),
            status: vec![0x80, 0x00],
            this_update: now().plus(-3600),
            next_update: Some(now().plus(86_400)),
            extensions: Vec::new(),
        }
    }

    pub fn revoked(mut self, reason: u8) -> Self {
        let reason = element(0xa0, &[&[0x0a, 0x01, reason]]);
        self.status = element(0xa1, &[&generalized(date(2025, 12, 1)), &reason]);
        self
    }

    pub fn unknown(mut self) -> Self {
        self.status = vec![0x82, 0x00];
        self
    }

    pub fn times(mut self, this_update: Time, next_update: Option<Time>) -> Self {
        (self.this_update, self.next_update) = (this_update, next_update);
        self
    }

    pub fn with(mut self, id: Oid, critical: bool, value: Vec<u8>) -> Self {
        self.extensions.push((id, critical, value));
        self
    }

    fn der(&self) -> Vec<u8> {
        let hash = |bytes: &[u8]| element(0x04, &[&provider().digest(self.digest, &[bytes]).expect("a digest")]);
        let cert_id = sequence(&[
            &sequence(&[&encode_oid(self.digest.oid()), &[0x05, 0x00]]),
            &hash(&self.issuer_name),
            &hash(key_bits(&self.issuer_spki)),
            &element(0x02, &[&self.serial]),
        ]);
        let next_update = self.next_update.map_or(Vec::new(), |t| element(0xa0, &[&generalized(t)]));
        let extensions = extensions_field(0xa1, &self.extensions);
        sequence(&[&cert_id, &self.status, &generalized(self.this_update), &next_update, &extensions])
    }
}

/// An OCSP response in the making.
#[derive(Clone)]
pub struct OcspBuilder {
    pub status: u8,
    pub response_type: Oid,
    /// `[1] byName` or `[2] byKey`.
    pub responder_id: Vec<u8>,
    pub singles: Vec<Single>,
    pub extensions: Vec<(Oid, bool, Vec<u8>)>,
    pub certificates: Vec<Certificate>,
    /// Damages the signature.
    pub damaged: bool,
    pub key: Arc<dyn PrivateKey>,
}

impl OcspBuilder {
    /// Signed by this party, which is named by its subject.
    pub fn by(responder: &Party) -> Self {
        OcspBuilder {
            status: 0,
            response_type: oid::OCSP_BASIC,
            responder_id: element(0xa1, &[responder.certificate.subject()]),
            singles: Vec::new(),
            extensions: Vec::new(),
            certificates: Vec::new(),
            damaged: false,
            key: responder.key.clone(),
        }
    }

    /// The same, the party's certificate sent along.
    pub fn delegated(responder: &Party) -> Self {
        OcspBuilder { certificates: vec![responder.certificate.clone()], ..Self::by(responder) }
    }

    pub fn named_by_key(mut self) -> Self {
        let hash = provider().digest(DigestAlgorithm::Sha1, &[key_bits(self.key.spki())]).expect("a digest");
        self.responder_id = element(0xa2, &[&element(0x04, &[&hash])]);
        self
    }

    pub fn signed_with(mut self, key: &Arc<dyn PrivateKey>) -> Self {
        self.key = key.clone();
        self
    }

    pub fn says(mut self, single: Single) -> Self {
        self.singles.push(single);
        self
    }

    pub fn with(mut self, id: Oid, critical: bool, value: Vec<u8>) -> Self {
        self.extensions.push((id, critical, value));
        self
    }

    pub fn nonce(self, nonce: &[u8]) -> Self {
        self.with(oid::OCSP_NONCE, false, element(0x04, &[nonce]))
    }

    pub fn der(self) -> Vec<u8> {
        let status = [0x0a, 0x01, self.status];
        if self.status != 0 {
            return sequence(&[&status]);
        }
        let extensions = extensions_field(0xa1, &self.extensions);
        let singles = list(self.singles.iter().map(Single::der));
        let tbs = sequence(&[&self.responder_id, &generalized(now()), &singles, &extensions]);
        let algorithm = self.key.kind().default_signature();
        let mut signature = self.key.sign(&algorithm, &tbs).expect("a signature");
        if self.damaged {
            let last = signature.len() - 1;
            signature[last] ^= 1;
        }
        let certificates = match self.certificates.is_empty() {
            true => Vec::new(),
            false => element(0xa0, &[&list(self.certificates.iter().map(|c| c.as_der().to_vec()))]),
        };
        let signature = element(0x03, &[&[0], &signature]);
        let basic = sequence(&[&tbs, &algorithm.to_der(), &signature, &certificates]);
        let bytes = sequence(&[&encode_oid(self.response_type), &element(0x04, &[&basic])]);
        sequence(&[&status, &element(0xa0, &[&bytes])])
    }

    pub fn build(self) -> Arc<OcspResponse> {
        Arc::new(OcspResponse::from_der(&self.der()).expect("a response that parses"))
    }
}

pub fn generalized(time: Time) -> Vec<u8> {
    element(0x18, &[time.to_generalized_time().as_bytes()])
}

/// Content of the BIT STRING of a P-256 SubjectPublicKeyInfo: its last 65 bytes.
pub fn key_bits(spki: &[u8]) -> &[u8] {
    &spki[spki.len() - 65..]
}
