//! SignedData (RFC 5652 section 5): read, verified by a certificate the caller has validated, and made.

use ::der::Tag;
use subtle::ConstantTimeEq;

use super::content_info::{encode_content_info, read_content_info};
use super::error::CmsError;
use super::recipient_identifier::is_for;
use crate::asn1::der::{self, Asn1Error, Cursor, Tlv, element, sequence};
use crate::asn1::oid::{self, Oid};
use crate::asn1::x509::{Certificate, read_oid};
use crate::crypto::algorithm::digest_identifier;
use crate::crypto::keys::same_public_key;
use crate::crypto::{CryptoError, DigestAlgorithm, PrivateKey, Provider, SignatureAlgorithm};
use crate::limits;
use crate::prelude::*;

/// SignedData, borrowed from its DER. Nothing in it is believed before [`SignedData::verify_by`] has spoken.
#[derive(Debug)]
pub struct SignedData<'a> {
    /// The content's type.
    pub content_type: Oid,
    /// The content; `None` where it travels apart. May be a private key: it is not copied.
    pub content: Option<&'a [u8]>,
    /// The certificates that came along, in their order; others than X.509 are skipped.
    pub certificates: Vec<Certificate>,
    signers: Vec<Signer<'a>>,
}

#[derive(Debug)]
struct Signer<'a> {
    identifier: Tlv<'a>,
    digest: Tlv<'a>,
    /// Content of the `[0]`, if there are signed attributes.
    attributes: Option<&'a [u8]>,
    algorithm: Tlv<'a>,
    signature: &'a [u8],
}

const WHAT: &str = "SignedData";

impl<'a> SignedData<'a> {
    /// Reads a ContentInfo with SignedData, or SignedData alone, as it stands inside enveloped data; DER.
    pub fn from_der(input: &'a [u8]) -> Result<Self, Asn1Error> {
        let content = Cursor::sequence(input, WHAT)?;
        if content.peek() != Some(Tag::ObjectIdentifier) {
            return Self::read(content);
        }
        let (content_type, content) = read_content_info(input)?;
        if content_type != oid::CMS_SIGNED_DATA {
            return Err(Asn1Error::invalid("ContentInfo", "contentType is not id-signedData"));
        }
        Self::read(Cursor::new(content.value, WHAT)?)
    }

    fn read(mut fields: Cursor<'a>) -> Result<Self, Asn1Error> {
        fields.expect(Tag::Integer, "version")?;
        fields.expect(Tag::Set, "digestAlgorithms")?;
        let mut encapsulated = Cursor::new(fields.expect(Tag::Sequence, "encapContentInfo")?.value, WHAT)?;
        let content_type = read_oid(&mut encapsulated)?;
        // PKCS#7 allowed other types than OCTET STRING here; files of certificates have nothing at all.
        let content = match encapsulated.optional_context(0, true)? {
            Some(field) => Some(Cursor::new(field.value, WHAT)?.expect(Tag::OctetString, "eContent")?.value),
            None => None,
        };
        encapsulated.finish()?;
        let certificates = match fields.optional_context(0, true)? {
            Some(field) => read_certificates(field.value)?,
            None => Vec::new(),
        };
        fields.optional_context(1, true)?;
        let mut infos = Cursor::new(fields.expect(Tag::Set, "signerInfos")?.value, WHAT)?;
        fields.finish()?;
        let mut signers = Vec::new();
        while !infos.is_empty() {
            if signers.len() == limits::MAX_CMS_SIGNERS {
                let limit = limits::MAX_CMS_SIGNERS;
                return Err(Asn1Error::too_large(WHAT, "count of signers", limit, limit + 1));
            }
            signers.push(Signer::read(infos.expect(Tag::Sequence, "a SignerInfo")?.value)?);
        }
        Ok(SignedData { content_type, content, certificates, signers })
    }

    /// The certificates that the signers name, as far as they came along. Who they are is for `validation` to say.
    pub fn signer_certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.certificates.iter().filter(|c| self.signers.iter().any(|s| s.is_by(c).unwrap_or(false)))
    }

    /// Checks the signature that names this certificate, by its key, over the content that came with it.
    ///
    /// The caller has validated the certificate, and what it may sign, and took the key (SubjectPublicKeyInfo, DER) from
    /// that validation. [`CmsError::NotForUs`] if nobody signed under that name, [`CryptoError::Mismatch`] if content,
    /// attributes or signature are not what was signed.
    pub fn verify_by(
        &self,
        provider: &dyn Provider,
        certificate: &Certificate,
        spki: &[u8],
        allow_weak: bool,
    ) -> Result<(), CmsError> {
        if !same_public_key(spki, certificate.spki()) {
            return Err(CryptoError::BadKey("not the key of the signer's certificate".to_owned()).into());
        }
        let content = self.content.ok_or_else(|| Asn1Error::invalid(WHAT, "the content travels apart"))?;
        for signer in &self.signers {
            if signer.is_by(certificate)? {
                return signer.verify(provider, self.content_type, content, spki, allow_weak);
            }
        }
        Err(CmsError::NotForUs { recipients: self.signers.len() })
    }
}

impl<'a> Signer<'a> {
    fn read(info: &'a [u8]) -> Result<Self, Asn1Error> {
        let mut fields = Cursor::new(info, "SignerInfo")?;
        fields.expect(Tag::Integer, "version")?;
        let identifier = fields.any("sid")?;
        let digest = fields.expect(Tag::Sequence, "digestAlgorithm")?;
        let attributes = fields.optional_context(0, true)?.map(|field| field.value);
        let algorithm = fields.expect(Tag::Sequence, "signatureAlgorithm")?;
        let signature = fields.expect(Tag::OctetString, "signature")?.value;
        fields.optional_context(1, true)?;
        fields.finish()?;
        Ok(Signer { identifier, digest, attributes, algorithm, signature })
    }

    fn is_by(&self, certificate: &Certificate) -> Result<bool, Asn1Error> {
        let key_identifier = (self.identifier.tag == der::context(0, false)).then_some(self.identifier.value);
        is_for(Some(certificate), self.identifier, key_identifier)
    }

    fn verify(
        &self,
        provider: &dyn Provider,
        content_type: Oid,
        content: &[u8],
        spki: &[u8],
        allow_weak: bool,
    ) -> Result<(), CmsError> {
        let digest = digest_identifier(self.digest.bytes)?;
        let algorithm = self.signature_algorithm(digest)?;
        // RFC 8933 section 3: the digest of the attributes and that of the content are one.
        if algorithm.digest().is_some_and(|of_signature| of_signature != digest) {
            return Err(Asn1Error::invalid("SignerInfo", "different digests for content and signature").into());
        }
        let verify = |message: &[u8]| provider.verify(&algorithm, spki, message, self.signature, allow_weak);
        let Some(attributes) = self.attributes else {
            if content_type != oid::CMS_DATA {
                return Err(
                    Asn1Error::invalid("SignerInfo", "no signedAttrs although the content is not id-data").into()
                );
            }
            return Ok(verify(content)?);
        };
        let signed = SignedAttributes::read(attributes)?;
        if signed.content_type != content_type {
            return Err(Asn1Error::invalid("SignerInfo", "the content's type is not the signed one").into());
        }
        if digest == DigestAlgorithm::Sha1 && !allow_weak {
            return Err(CryptoError::Unsupported("content signed by SHA-1 is too weak".to_owned()).into());
        }
        let found = provider.digest(digest, &[content])?;
        if !bool::from(found.ct_eq(signed.message_digest)) {
            return Err(CryptoError::Mismatch.into());
        }
        // RFC 5652 section 5.4: over the attributes as they came, under SET OF's own tag.
        Ok(verify(&element(0x31, &[attributes]))?)
    }

    /// RFC 3370 section 3.2 lets RSA PKCS#1 v1.5 be named by the key's identifier, the digest standing beside it.
    fn signature_algorithm(&self, digest: DigestAlgorithm) -> Result<SignatureAlgorithm, Asn1Error> {
        let (named, parameters) = crate::asn1::pkcs8::algorithm_identifier(self.algorithm)?;
        if named == oid::RSA_ENCRYPTION {
            crate::asn1::pkcs8::absent_or_null(parameters, "SignerInfo")?;
            return Ok(SignatureAlgorithm::RsaPkcs1(digest));
        }
        SignatureAlgorithm::from_der(self.algorithm.bytes)
    }
}

/// The two attributes that must be signed (RFC 5652 section 5.3), each exactly once, with one value.
struct SignedAttributes<'a> {
    content_type: Oid,
    message_digest: &'a [u8],
}

impl<'a> SignedAttributes<'a> {
    fn read(attributes: &'a [u8]) -> Result<Self, Asn1Error> {
        const WHAT: &str = "SignedAttributes";
        let (mut content_type, mut message_digest) = (None, None);
        let mut list = Cursor::new(attributes, WHAT)?;
        while !list.is_empty() {
            let mut attribute = Cursor::new(list.expect(Tag::Sequence, "an Attribute")?.value, WHAT)?;
            let kind = read_oid(&mut attribute)?;
            let mut values = Cursor::new(attribute.expect(Tag::Set, "attrValues")?.value, WHAT)?;
            attribute.finish()?;
            let twice = match kind {
                o if o == oid::CMS_CONTENT_TYPE => content_type.replace(read_oid(&mut values)?).is_some(),
                o if o == oid::CMS_MESSAGE_DIGEST => {
                    message_digest.replace(values.expect(Tag::OctetString, "a digest")?.value).is_some()
                }
                _ => continue,
            };
            values.finish()?;
            if twice {
                return Err(Asn1Error::invalid(WHAT, "the same attribute twice"));
            }
        }
        match (content_type, message_digest) {
            (Some(content_type), Some(message_digest)) => Ok(SignedAttributes { content_type, message_digest }),
            _ => Err(Asn1Error::invalid(WHAT, "no content type or no message digest")),
        }
    }
}

/// Signs content. The result is a ContentInfo around what [`sign_content`] makes.
pub fn sign(
    provider: &dyn Provider,
    key: &dyn PrivateKey,
    certificates: &[Certificate],
    content_type: Oid,
    content: &[u8],
) -> Result<Vec<u8>, CmsError> {
    let data = sign_content(provider, key, certificates, content_type, content)?;
    Ok(encode_content_info(oid::CMS_SIGNED_DATA, &data))
}

/// SignedData alone, with signed attributes and one signer, as RFC 9483 section 4.1.6 wants it inside enveloped data.
/// DER but for the order of `certificates`, which RFC 9483 gives a meaning: the signer's first, then its chain.
pub fn sign_content(
    provider: &dyn Provider,
    key: &dyn PrivateKey,
    certificates: &[Certificate],
    content_type: Oid,
    content: &[u8],
) -> Result<Vec<u8>, CmsError> {
    let Some(own) = certificates.first() else {
        return Err(CryptoError::BadKey("no certificate to sign with".to_owned()).into());
    };
    let algorithm = key.default_signature();
    // RFC 8419 section 2.3 (Ed25519), RFC 9882 section 3.3 (ML-DSA): SHA-512 where the signature names no digest.
    let digest = algorithm.digest().unwrap_or(DigestAlgorithm::Sha512);
    let object = |found: Oid| element(0x06, &[found.as_bytes()]);
    let attribute = |kind: Oid, value: &[u8]| sequence(&[&object(kind), &element(0x31, &[value])]);
    let value = provider.digest(digest, &[content])?;
    // Shorter first is DER's order here: the types differ first in their length byte.
    let mut attributes = [
        attribute(oid::CMS_CONTENT_TYPE, &object(content_type)),
        attribute(oid::CMS_MESSAGE_DIGEST, &element(0x04, &[&value])),
    ];
    crate::order::sort(&mut attributes);
    let attributes = attributes.concat();
    let signature = key.sign(&algorithm, &element(0x31, &[&attributes]))?;

    let digest = sequence(&[&object(digest.oid())]);
    let (version, identifier) = match own.subject_key_identifier() {
        Some(identifier) => (3, element(0x80, &[identifier])),
        None => (1, sequence(&[own.issuer(), &element(0x02, &[own.serial()])])),
    };
    let signer = sequence(&[
        &[0x02, 0x01, version],
        &identifier,
        &digest,
        &element(0xa0, &[&attributes]),
        &algorithm.to_der(),
        &element(0x04, &[&signature]),
    ]);
    let all: Vec<&[u8]> = certificates.iter().map(Certificate::as_der).collect();
    let version = if content_type == oid::CMS_DATA && version == 1 { 1 } else { 3 };
    Ok(sequence(&[
        &[0x02, 0x01, version],
        &element(0x31, &[&digest]),
        &sequence(&[&object(content_type), &element(0xa0, &[&element(0x04, &[content])])]),
        &element(0xa0, &all),
        &element(0x31, &[&signer]),
    ]))
}

fn read_certificates(set: &[u8]) -> Result<Vec<Certificate>, Asn1Error> {
    let mut certificates = Vec::new();
    let mut choices = Cursor::new(set, "CertificateSet")?;
    while !choices.is_empty() {
        let choice = choices.any("a certificate")?;
        if choice.tag != Tag::Sequence {
            continue;
        }
        if certificates.len() == limits::MAX_CMS_CERTIFICATES {
            let limit = limits::MAX_CMS_CERTIFICATES;
            return Err(Asn1Error::too_large("CertificateSet", "count", limit, limit + 1));
        }
        // One that cannot be read is no help, and spoils none of the others: what was signed is checked with what is there.
        certificates.extend(Certificate::from_der(choice.bytes));
    }
    Ok(certificates)
}
