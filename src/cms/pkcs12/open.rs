//! Reading a PKCS#12 file.

use alloc::borrow::Cow;

use ::der::Tag;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::password::Password;
use super::{Pkcs12, Pkcs12Key};
use crate::asn1::der::{Asn1Error, Cursor, Tlv, context};
use crate::asn1::kind::Kind;
use crate::asn1::known_as::named;
use crate::asn1::oid::{self, Oid};
use crate::asn1::pkcs8::{EncryptedPrivateKeyInfo, PrivateKeyInfo, algorithm_identifier};
use crate::asn1::x509::{Certificate, read_oid};
use crate::asn1::{Problem, ber, directory_string, kind, not_der};
use crate::cms::CmsError;
use crate::crypto::algorithm::digest_identifier;
use crate::crypto::pbe::{Purpose, derive};
use crate::crypto::pbes2::{derive_pbkdf2, pbes2_decrypt};
use crate::crypto::{CryptoError, DigestAlgorithm, Provider};
use crate::features::{self, needs};
use crate::limits;
use crate::prelude::*;

impl Pkcs12 {
    /// Opens a file, DER or BER.
    ///
    /// Errors: [`CryptoError::WrongSecret`] if the password opens nothing in it; [`CmsError::Damaged`] if the password
    /// opens something and the file is not what was written; [`CmsError::Malformed`] if it is no PKCS#12 or asks for more
    /// than the limits allow; [`CryptoError::Unsupported`] names a protection that is not built in.
    ///
    /// The password is tried as its forms demand: UTF-8 and UTF-16, and the two ways to have none.
    pub fn open(provider: &dyn Provider, input: &[u8], password: &str) -> Result<Self, CmsError> {
        needs(features::PKCS12)?;
        const WHAT: &str = "PFX";
        if input.len() > limits::MAX_PKCS12_BYTES {
            let limit = limits::MAX_PKCS12_BYTES;
            return Err(Asn1Error::too_large(WHAT, "length in bytes", limit, input.len()).into());
        }
        let input = read_armour(input)?;
        let file = ber::with_definite_lengths(&input)?;
        let mut fields = Cursor::sequence(&file, WHAT)?;
        if fields.expect(Tag::Integer, "version")?.value != [3] {
            return Err(Asn1Error::invalid(WHAT, "version is not 3").into());
        }
        let safe = match content_info(fields.expect(Tag::Sequence, "authSafe")?)? {
            (o, content) if o == oid::CMS_DATA => {
                Cursor::new(content, WHAT)?.expect(Tag::OctetString, "the content")?.value
            }
            (other, _) => return Err(unsupported(format!("PKCS#12 protected by {}; by a password is", named(&other)))),
        };
        let Some(mac) = fields.optional(Tag::Sequence)? else {
            let words = "PKCS#12 without a MAC: nothing shows that it is whole; write it anew with one (openssl pkcs12 \
                         -nomacver, then openssl pkcs12 -export)";
            return Err(unsupported(words.to_owned()));
        };
        fields.finish()?;

        let mut reader = Reader {
            password: Password::new(provider, password),
            found: Pkcs12 { keys: Vec::new(), certificates: Vec::new(), is_outdated: false },
            bags: 0,
            has_opened: false,
            unread_key: None,
            unread_certificate: None,
        };
        let is_whole = reader.check_mac(mac, safe)?;
        let read = reader.read_safe(safe).and_then(|()| reader.unread());
        match (is_whole, read) {
            (true, read) => read.map(|()| reader.found),
            // Something that only the right password opens did open.
            (false, _) if reader.has_opened => Err(CmsError::Damaged("the PKCS#12 file")),
            // Too much work, too many bags: what the password is was not found out.
            (false, Err(error @ CmsError::Malformed(_))) => Err(error),
            (false, _) => Err(CryptoError::WrongSecret.into()),
        }
    }
}

/// The file without what mail, editors and configuration management put around it; what is something else is named.
fn read_armour(input: &[u8]) -> Result<Cow<'_, [u8]>, CmsError> {
    const WHAT: &str = "PKCS#12";
    let der = kind::document(Kind::Pkcs12, "PKCS12", input)?;
    // Whole or cut short: a SEQUENCE that begins with version 3.
    let is_it = der.first() == Some(&0x30) && der[..der.len().min(12)].windows(3).any(|version| version == [2, 1, 3]);
    if is_it {
        return Ok(der);
    }
    let refuse = |words: String| Err(Asn1Error::invalid(WHAT, words).into());
    match (kind::other_than(Kind::Pkcs12, &der), not_der::as_text(&der, WHAT)) {
        (Some(words), _) => refuse(words),
        (None, Some(error)) => Err(error.into()),
        (None, None) if der.first() == Some(&0x30) => refuse("expected a PKCS#12 file, found other DER".to_owned()),
        (None, None) => refuse("expected a PKCS#12 file, found neither DER nor text".to_owned()),
    }
}

struct Reader<'a> {
    password: Password<'a>,
    found: Pkcs12,
    bags: usize,
    /// Whether the password has opened something encrypted.
    has_opened: bool,
    /// Why the first key, and the first certificate, that could not be read could not.
    unread_key: Option<CmsError>,
    unread_certificate: Option<CmsError>,
}

impl Reader<'_> {
    /// ```text
    /// MacData ::= SEQUENCE { mac DigestInfo, macSalt OCTET STRING, iterations INTEGER DEFAULT 1 }
    /// DigestInfo ::= SEQUENCE { digestAlgorithm AlgorithmIdentifier, digest OCTET STRING }
    /// ```
    fn check_mac(&mut self, data: Tlv<'_>, content: &[u8]) -> Result<bool, CmsError> {
        const WHAT: &str = "MacData";
        let mut fields = Cursor::new(data.value, WHAT)?;
        let mut info = Cursor::new(fields.expect(Tag::Sequence, "mac")?.value, "DigestInfo")?;
        let identifier = info.expect(Tag::Sequence, "digestAlgorithm")?;
        let expected = info.expect(Tag::OctetString, "digest")?.value;
        info.finish()?;
        let salt = fields.expect(Tag::OctetString, "macSalt")?.value;
        let iterations = if fields.is_empty() { 1 } else { positive(fields.decode()?, WHAT)? };
        fields.finish()?;
        let (algorithm, parameters) = algorithm_identifier(identifier)?;
        if algorithm == oid::PBMAC1 {
            let parameters = parameters.ok_or_else(|| Asn1Error::invalid("PBMAC1", "without parameters"))?;
            return self.check_pbmac1(parameters, expected, content);
        }
        let digest = digest_identifier(identifier.bytes)?;
        self.found.is_outdated |= digest == DigestAlgorithm::Sha1;
        for form in self.password.bmp_forms() {
            self.password.spend(iterations.into())?;
            let mut key = Zeroizing::new([0u8; 64]);
            let key = &mut key[..digest.output_len()];
            derive(self.password.provider, digest, &form, salt, (Purpose::Mac, iterations), key)?;
            if self.is_mac(digest, key, content, expected)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// RFC 9579 section 4. The length of the key must be written (section 5) and not be small (section 9).
    fn check_pbmac1(&mut self, parameters: Tlv<'_>, expected: &[u8], content: &[u8]) -> Result<bool, CmsError> {
        const WHAT: &str = "PBMAC1-params";
        let mut fields = Cursor::sequence(parameters.bytes, WHAT)?;
        let (function, derivation) = algorithm_identifier(fields.expect(Tag::Sequence, "keyDerivationFunc")?)?;
        let (mac, _) = algorithm_identifier(fields.expect(Tag::Sequence, "messageAuthScheme")?)?;
        fields.finish()?;
        let Some(derivation) = derivation.filter(|_| function == oid::PBKDF2) else {
            return Err(unsupported(format!("PBMAC1 with key derivation {function}; PBKDF2 is")));
        };
        let digest = DigestAlgorithm::from_hmac_oid(mac).ok_or_else(|| unsupported(format!("PBMAC1 with {mac}")))?;
        let (iterations, key_len) = pbkdf2_cost(derivation)?;
        let key_len = match key_len {
            Some(length @ 20..=128) => length,
            Some(_) => return Err(Asn1Error::invalid(WHAT, "a keyLength outside 20 to 128 bytes").into()),
            None => return Err(Asn1Error::invalid(WHAT, "no keyLength").into()),
        };
        let most = (limits::MAX_KEY_FILE_ITERATIONS, usize::MAX);
        for form in self.password.pbkdf2_forms() {
            self.password.spend(iterations)?;
            let mut key = Zeroizing::new([0u8; 128]);
            let key = &mut key[..key_len];
            derive_pbkdf2(self.password.provider, derivation, &form, most, key)?;
            if self.is_mac(digest, key, content, expected)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_mac(
        &self,
        digest: DigestAlgorithm,
        key: &[u8],
        content: &[u8],
        expected: &[u8],
    ) -> Result<bool, CryptoError> {
        let mac = self.password.provider.hmac(digest, key, &[content])?;
        Ok(mac.ct_eq(expected).into())
    }

    /// AuthenticatedSafe ::= SEQUENCE OF ContentInfo. One part that fails does not keep the others from being looked at.
    fn read_safe(&mut self, safe: &[u8]) -> Result<(), CmsError> {
        const WHAT: &str = "AuthenticatedSafe";
        let safe = ber::with_definite_lengths(safe)?;
        let mut parts = Cursor::sequence(&safe, WHAT)?;
        let mut outcome = Ok(());
        while !parts.is_empty() {
            let (kind, content) = content_info(parts.expect(Tag::Sequence, "a ContentInfo")?)?;
            let read = match kind {
                o if o == oid::CMS_DATA => {
                    let data = Cursor::new(content, WHAT)?.expect(Tag::OctetString, "the content")?.value;
                    self.read_contents(data, 0)
                }
                o if o == oid::CMS_ENCRYPTED_DATA => self.read_encrypted(content),
                // Like a key that is not for us: it counts where nothing else is there.
                other => {
                    self.unread_key
                        .get_or_insert_with(|| unsupported(format!("PKCS#12 with content {}", named(&other))));
                    Ok(())
                }
            };
            outcome = outcome.and(read);
        }
        outcome
    }

    /// ```text
    /// EncryptedData ::= SEQUENCE { version, EncryptedContentInfo }
    /// EncryptedContentInfo ::= SEQUENCE { contentType, contentEncryptionAlgorithm, [0] IMPLICIT OCTET STRING }
    /// ```
    fn read_encrypted(&mut self, content: &[u8]) -> Result<(), CmsError> {
        const WHAT: &str = "EncryptedData";
        let mut fields = Cursor::sequence(content, WHAT)?;
        fields.expect(Tag::Integer, "version")?;
        let mut info = Cursor::new(fields.expect(Tag::Sequence, "EncryptedContentInfo")?.value, WHAT)?;
        fields.optional_context(1, true)?;
        fields.finish()?;
        if read_oid(&mut info)? != oid::CMS_DATA {
            return Err(Asn1Error::invalid(WHAT, "contentType is not id-data").into());
        }
        let (algorithm, parameters) = algorithm_identifier(info.expect(Tag::Sequence, "the encryption algorithm")?)?;
        let ciphertext = match info.optional_context(0, true)? {
            // BER: in pieces.
            Some(pieces) => {
                let mut joined = Vec::new();
                let mut pieces = Cursor::new(pieces.value, WHAT)?;
                while !pieces.is_empty() {
                    joined.extend_from_slice(pieces.expect(Tag::OctetString, "a piece")?.value);
                }
                joined
            }
            None => info.expect(context(0, false), "encryptedContent")?.value.to_vec(),
        };
        info.finish()?;
        let opened = self.decrypt(algorithm, parameters, &ciphertext, |opened| {
            ber::with_definite_lengths(opened).is_ok_and(|value| Cursor::sequence(&value, WHAT).is_ok())
        })?;
        self.read_contents(&opened, 0)
    }

    /// SafeContents ::= SEQUENCE OF SafeBag { bagId, bagValue [0] EXPLICIT, bagAttributes SET OPTIONAL }
    fn read_contents(&mut self, contents: &[u8], depth: usize) -> Result<(), CmsError> {
        const WHAT: &str = "SafeContents";
        if depth > limits::MAX_PKCS12_DEPTH {
            return Err(Asn1Error::too_large(WHAT, "nesting", limits::MAX_PKCS12_DEPTH, depth).into());
        }
        let contents = ber::with_definite_lengths(contents)?;
        let mut bags = Cursor::sequence(&contents, WHAT)?;
        while !bags.is_empty() {
            let mut bag = Cursor::new(bags.expect(Tag::Sequence, "a SafeBag")?.value, WHAT)?;
            let kind = read_oid(&mut bag)?;
            let value = bag.expect(context(0, true), "bagValue")?.value;
            // Words for people decide nothing, however they are written.
            let friendly_name = bag.optional(Tag::Set)?.and_then(|set| friendly_name(set.value).ok().flatten());
            bag.finish()?;
            self.bags += 1;
            if self.bags > limits::MAX_PKCS12_BAGS {
                return Err(Asn1Error::too_large(WHAT, "count of bags", limits::MAX_PKCS12_BAGS, self.bags).into());
            }
            // What is not for us does not spoil what stands beside it.
            match kind {
                o if o == oid::BAG_KEY => {
                    let taken = self.take_key(Zeroizing::new(value.to_vec()), friendly_name);
                    pass_over(taken, &mut self.unread_key)?;
                }
                o if o == oid::BAG_SHROUDED_KEY => {
                    let taken = self.take_shrouded_key(value, friendly_name);
                    pass_over(taken, &mut self.unread_key)?;
                }
                o if o == oid::BAG_CERTIFICATE => {
                    let taken = self.take_certificate(value);
                    pass_over(taken, &mut self.unread_certificate)?;
                }
                o if o == oid::BAG_SAFE_CONTENTS => self.read_contents(value, depth + 1)?,
                // CRLs, secrets and what nobody knows yet.
                _ => {}
            }
        }
        Ok(())
    }

    /// Why there is no key, or no certificate, where there was something of the kind that could not be read.
    fn unread(&mut self) -> Result<(), CmsError> {
        let key = self.unread_key.take().filter(|_| self.found.keys.is_empty());
        let certificate = self.unread_certificate.take().filter(|_| self.found.certificates.is_empty());
        match key.or(certificate) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn take_shrouded_key(&mut self, value: &[u8], friendly_name: Option<String>) -> Result<(), CmsError> {
        let info = EncryptedPrivateKeyInfo::from_der(value)?;
        let is_key = |opened: &[u8]| PrivateKeyInfo::from_der(opened).is_ok();
        let pkcs8 = self.decrypt(info.algorithm, info.parameters, info.ciphertext, is_key)?;
        self.take_key(pkcs8, friendly_name)
    }

    fn take_key(&mut self, pkcs8: Zeroizing<Vec<u8>>, friendly_name: Option<String>) -> Result<(), CmsError> {
        PrivateKeyInfo::from_der(&pkcs8)?;
        let count = self.found.keys.len() + 1;
        if count > limits::MAX_PKCS12_KEYS {
            return Err(Asn1Error::too_large("PKCS#12", "count of keys", limits::MAX_PKCS12_KEYS, count).into());
        }
        self.found.keys.push(Pkcs12Key { pkcs8, friendly_name });
        Ok(())
    }

    /// CertBag ::= SEQUENCE { certId, certValue [0] EXPLICIT }; SDSI and others are passed over.
    fn take_certificate(&mut self, value: &[u8]) -> Result<(), CmsError> {
        const WHAT: &str = "CertBag";
        let mut fields = Cursor::sequence(value, WHAT)?;
        if read_oid(&mut fields)? != oid::X509_CERTIFICATE_BAG {
            return Ok(());
        }
        let content = fields.expect(context(0, true), "certValue")?.value;
        fields.finish()?;
        let octets = Cursor::new(content, WHAT)?.expect(Tag::OctetString, "a certificate")?.value;
        let certificate = Certificate::from_der(octets)?;
        if !self.found.certificates.contains(&certificate) {
            self.found.certificates.push(certificate);
        }
        Ok(())
    }

    /// Undoes an encryption with each form of the password until what comes out `fits`.
    fn decrypt(
        &mut self,
        algorithm: Oid,
        parameters: Option<Tlv<'_>>,
        ciphertext: &[u8],
        fits: impl Fn(&[u8]) -> bool,
    ) -> Result<Zeroizing<Vec<u8>>, CmsError> {
        let parameters = parameters.ok_or_else(|| Asn1Error::invalid("PKCS#12", "an encryption without parameters"))?;
        let is_pbes2 = algorithm == oid::PBES2;
        let forms = if is_pbes2 { self.password.pbkdf2_forms() } else { self.password.bmp_forms() };
        for form in forms {
            let opened = if is_pbes2 {
                self.password.spend(pbes2_cost(parameters)?)?;
                let most = limits::MAX_KEY_FILE_ITERATIONS;
                pbes2_decrypt(self.password.provider, parameters, Some(&form), ciphertext, most)
            } else {
                self.decrypt_outdated(algorithm, parameters, &form, ciphertext)
            };
            match opened {
                Ok(opened) if fits(&opened) => {
                    self.has_opened = true;
                    return Ok(opened);
                }
                Ok(_) | Err(CryptoError::WrongSecret | CryptoError::Decrypt) => {}
                Err(other) => return Err(other.into()),
            }
        }
        Err(CryptoError::WrongSecret.into())
    }

    /// pkcs-12PbeIds (RFC 7292 appendix C): key and IV by SHA-1.
    #[cfg(feature = "legacy-ciphers")]
    fn decrypt_outdated(
        &mut self,
        algorithm: Oid,
        parameters: Tlv<'_>,
        password: &[u8],
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        self.found.is_outdated = true;
        let password_of = &mut self.password;
        let provider = password_of.provider;
        // Two blocks of key and one of IV, at most.
        let spend = |iterations: u32| Ok::<(), CryptoError>(password_of.spend(u64::from(iterations) * 3)?);
        crate::crypto::pbe::decrypt(provider, (algorithm, parameters), password, ciphertext, spend)
    }

    #[cfg(not(feature = "legacy-ciphers"))]
    fn decrypt_outdated(
        &mut self,
        algorithm: Oid,
        _parameters: Tlv<'_>,
        _password: &[u8],
        _ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let words = format!("PKCS#12 encrypted with {algorithm}: built without the feature legacy-ciphers");
        Err(CryptoError::Unsupported(words))
    }
}

/// Keeps why something was not read, and goes on; limits end it.
fn pass_over(taken: Result<(), CmsError>, unread: &mut Option<CmsError>) -> Result<(), CmsError> {
    match taken {
        Err(CmsError::Malformed(error)) if matches!(error.problem, Problem::TooLarge { .. }) => Err(error.into()),
        Err(error) => {
            unread.get_or_insert(error);
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Type and content of a ContentInfo whose content may be an OCTET STRING.
fn content_info(info: Tlv<'_>) -> Result<(Oid, &[u8]), Asn1Error> {
    let mut fields = Cursor::new(info.value, "ContentInfo")?;
    let kind = read_oid(&mut fields)?;
    let content = fields.expect(context(0, true), "content")?.value;
    fields.finish()?;
    Ok((kind, content))
}

/// The friendlyName among a bag's attributes, if it is there and is text.
fn friendly_name(attributes: &[u8]) -> Result<Option<String>, Asn1Error> {
    const WHAT: &str = "bagAttributes";
    let mut list = Cursor::new(attributes, WHAT)?;
    while !list.is_empty() {
        let mut attribute = Cursor::new(list.expect(Tag::Sequence, "an attribute")?.value, WHAT)?;
        if read_oid(&mut attribute)? == oid::FRIENDLY_NAME {
            let mut values = Cursor::new(attribute.expect(Tag::Set, "attrValues")?.value, WHAT)?;
            // PKCS#9 says BMPString; tools write others.
            let text = values.any("a string")?;
            let tag = text.bytes.first().copied().unwrap_or_default();
            return Ok(directory_string::text(tag, text.value).map(alloc::borrow::Cow::into_owned));
        }
    }
    Ok(None)
}

/// How many iterations PBES2-params ask for.
fn pbes2_cost(parameters: Tlv<'_>) -> Result<u64, Asn1Error> {
    let mut fields = Cursor::sequence(parameters.bytes, "PBES2-params")?;
    let (function, parameters) = algorithm_identifier(fields.expect(Tag::Sequence, "keyDerivationFunc")?)?;
    match (function, parameters) {
        (o, Some(parameters)) if o == oid::PBKDF2 => pbkdf2_cost(parameters).map(|(iterations, _)| iterations),
        (o, Some(parameters)) if o == oid::SCRYPT => {
            // N, r and p (RFC 7914 section 7.1); what is above its limits is refused before it costs.
            let mut fields = Cursor::sequence(parameters.bytes, "scrypt-params")?;
            fields.expect(Tag::OctetString, "salt")?;
            let (n, r, p): (u64, u32, u32) = (fields.decode()?, fields.decode()?, fields.decode()?);
            Ok(n.saturating_mul(r.into()).saturating_mul(p.into()).saturating_mul(2))
        }
        // Refused by name when it is used.
        _ => Ok(1),
    }
}

/// Iterations and keyLength of PBKDF2-params.
fn pbkdf2_cost(parameters: Tlv<'_>) -> Result<(u64, Option<usize>), Asn1Error> {
    const WHAT: &str = "PBKDF2-params";
    let mut fields = Cursor::sequence(parameters.bytes, WHAT)?;
    fields.expect(Tag::OctetString, "salt")?;
    let iterations = positive(fields.decode()?, WHAT)?;
    let key_len = match fields.peek() {
        Some(Tag::Integer) => Some(usize::from(fields.decode::<u16>()?)),
        _ => None,
    };
    // A derived key has two blocks at most.
    Ok((u64::from(iterations) * 2, key_len))
}

fn positive(count: u32, structure: &'static str) -> Result<u32, Asn1Error> {
    if count == 0 { Err(Asn1Error::invalid(structure, "0 iterations")) } else { Ok(count) }
}

fn unsupported(words: String) -> CmsError {
    CryptoError::Unsupported(words).into()
}
