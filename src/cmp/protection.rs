//! Protection of messages: MACs under a shared secret, and what of signatures is not the provider's business.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use ::der::Tag;

use super::credential::MacParameters;
use super::shared_secret::SharedSecret;
use crate::asn1::der::{Cursor, element, encode, sequence};
use crate::asn1::oid::{self, Oid};
use crate::asn1::x509::read_oid;
use crate::codes::Code;
use crate::crypto::algorithm::encode_oid;
use crate::crypto::{CryptoError, DigestAlgorithm, DigestValue, Provider};
use crate::error::{Error, Refused, Rule};
use crate::limits::Limits;
use crate::prelude::*;

const PARAMETERS: Rule = Rule::new("RFC 9045 section 4.3 (P18)", "MAC parameters within the limits");

/// A MAC key derived under given parameters, kept so that a secret is stretched once and not for every message
/// (RFC 9810 section 5.1.3.1: parameters should stay constant within a transaction).
#[derive(Clone)]
pub(super) struct MacKey {
    algorithm: Vec<u8>,
    mac: DigestAlgorithm,
    key: Zeroizing<Vec<u8>>,
}

impl MacKey {
    /// Derives the key for what we send, under a fresh salt.
    pub fn make(
        provider: &dyn Provider,
        parameters: MacParameters,
        secret: &SharedSecret,
    ) -> Result<Self, CryptoError> {
        let mut salt = [0u8; 16];
        provider.random(&mut salt)?;
        let recipe = Recipe::ours(parameters, salt.to_vec());
        Ok(MacKey { algorithm: recipe.to_der(), mac: recipe.mac, key: recipe.derive(provider, secret)? })
    }

    /// The same key under an AlgorithmIdentifier that names PBES2 where PBKDF2 belongs: what Bouncy Castle writes and, in
    /// old versions, wants.
    #[must_use]
    pub fn naming_pbes2(mut self) -> Self {
        let (right, wrong) = (encode_oid(oid::PBKDF2), encode_oid(oid::PBES2));
        // Both identifiers have the same length, so that no length around them changes.
        if let Some(at) = self.algorithm.windows(right.len()).position(|window| window == right) {
            self.algorithm[at..at + wrong.len()].copy_from_slice(&wrong);
        }
        self
    }

    /// Derives the key for an AlgorithmIdentifier that came with a message or was saved, within the limits.
    pub fn from_algorithm(
        provider: &dyn Provider,
        algorithm: &[u8],
        secret: &SharedSecret,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let recipe = Recipe::parse(algorithm)?;
        recipe.check(limits)?;
        Ok(MacKey { algorithm: algorithm.to_vec(), mac: recipe.mac, key: recipe.derive(provider, secret)? })
    }

    /// Derives the key for what we send from an encapsulated secret (RFC 9810 section 5.1.3.4): HKDF with SHA-256 over
    /// KemOtherInfo, HMAC with SHA-256.
    ///
    /// ```text
    /// KemBMParameter ::= SEQUENCE {
    ///     kdf             AlgorithmIdentifier,
    ///     kemContext  [0] OCTET STRING  OPTIONAL,
    ///     len             INTEGER (1..MAX),
    ///     mac             AlgorithmIdentifier }
    /// KemOtherInfo ::= SEQUENCE {
    ///     staticString    PKIFreeText,  -- "CMP-KEM"
    ///     transactionID   OCTET STRING,
    ///     kemContext  [0] OCTET STRING  OPTIONAL }
    /// ```
    pub fn of_kem(provider: &dyn Provider, secret: &[u8], transaction_id: &[u8]) -> Result<Self, CryptoError> {
        let context = sequence(&[&sequence(&[&element(0x0c, &[b"CMP-KEM"])]), &element(0x04, &[transaction_id])]);
        let mut key = Zeroizing::new(vec![0u8; 32]);
        provider.hkdf(DigestAlgorithm::Sha256, secret, &[], &context, &mut key)?;
        let kdf = sequence(&[&encode_oid(oid::HKDF_WITH_SHA256)]);
        let mac = sequence(&[&encode_oid(oid::HMAC_WITH_SHA256), &[0x05, 0x00]]);
        let parameters = sequence(&[&kdf, &encode(&32u32), &mac]);
        let algorithm = sequence(&[&encode_oid(oid::KEM_BASED_MAC), &parameters]);
        Ok(MacKey { algorithm, mac: DigestAlgorithm::Sha256, key })
    }

    /// The AlgorithmIdentifier for protectionAlg, DER.
    pub fn algorithm(&self) -> &[u8] {
        &self.algorithm
    }

    /// The MAC over the protected part.
    pub fn protect(&self, provider: &dyn Provider, protected_part: &[u8]) -> Result<DigestValue, CryptoError> {
        provider.hmac(self.mac, &self.key, &[protected_part])
    }

    /// Whether the MAC matches; in constant time.
    pub fn verify(&self, provider: &dyn Provider, protected_part: &[u8], protection: &[u8]) -> Result<(), CryptoError> {
        let expected = self.protect(provider, protected_part)?;
        if bool::from(expected.ct_eq(protection)) { Ok(()) } else { Err(CryptoError::Mismatch) }
    }
}

/// Whether an AlgorithmIdentifier names a password-based MAC.
pub(super) fn is_mac(algorithm: &[u8]) -> bool {
    let found = Cursor::sequence(algorithm, "protectionAlg").and_then(|mut fields| read_oid(&mut fields));
    found.is_ok_and(|o| o == oid::PASSWORD_BASED_MAC || o == oid::PBMAC1)
}

/// How a key is made of a secret, and which HMAC uses it.
struct Recipe {
    stretch: Stretch,
    salt: Vec<u8>,
    iterations: u32,
    mac: DigestAlgorithm,
}

enum Stretch {
    /// RFC 4211 section 4.4, by this one-way function.
    PasswordBased(DigestAlgorithm),
    /// PBKDF2 to this many bytes.
    Pbkdf2 { prf: DigestAlgorithm, key_len: usize },
}

impl Recipe {
    fn ours(parameters: MacParameters, salt: Vec<u8>) -> Self {
        match parameters {
            MacParameters::PasswordBased { owf, mac, iterations } => {
                Recipe { stretch: Stretch::PasswordBased(owf), salt, iterations, mac }
            }
            MacParameters::Pbmac1 { prf, mac, iterations } => {
                // RFC 9481 section 6.1.2: the key as long as the MAC's digest.
                Recipe { stretch: Stretch::Pbkdf2 { prf, key_len: mac.output_len() }, salt, iterations, mac }
            }
        }
    }

    fn derive(&self, provider: &dyn Provider, secret: &SharedSecret) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        match self.stretch {
            Stretch::PasswordBased(owf) => {
                // RFC 9810 section 5.1.3.1. HMAC takes a key of any length, so BASEKEY is used whole: K is not above H
                // and the expansion does not arise.
                let value = provider.digest_repeated(owf, &[secret.as_bytes(), &self.salt], self.iterations)?;
                Ok(Zeroizing::new(value.to_vec()))
            }
            Stretch::Pbkdf2 { prf, key_len } => {
                let mut key = Zeroizing::new(vec![0u8; key_len]);
                provider.pbkdf2(prf, secret.as_bytes(), &self.salt, self.iterations, &mut key)?;
                Ok(key)
            }
        }
    }

    /// Bounds what a peer may impose before anything is computed (BC CVE-2026-59647).
    fn check(&self, limits: &Limits) -> Result<(), Error> {
        let refuse = |what: String, refused: Option<Refused>| {
            let (most, salt) = (limits.max_mac_iterations, limits.max_mac_salt_bytes);
            let expected = format!("MAC parameters within the limits: at most {most} iterations, {salt} bytes of salt");
            let error = Error::new(Code::MacParameters, what).breaks_expecting(PARAMETERS, expected);
            Err(error.with(|facts| facts.refused = refused))
        };
        // PBKDF2 makes a key of several blocks by as many passes (RFC 8018 section 5.2).
        let passes = match self.stretch {
            Stretch::Pbkdf2 { prf, key_len } => key_len.div_ceil(prf.output_len()).max(1),
            Stretch::PasswordBased(_) => 1,
        };
        if u64::from(self.iterations).saturating_mul(passes as u64) > u64::from(limits.max_mac_iterations) {
            let (found, most) = (self.iterations, limits.max_mac_iterations);
            let words = format!("the MAC's iteration count is {found}, in {passes} passes, the limit is {most}");
            return refuse(words, Some(Refused::MacIterations));
        }
        if self.salt.len() > limits.max_mac_salt_bytes {
            let (found, most) = (self.salt.len(), limits.max_mac_salt_bytes);
            let words = format!("the MAC's salt has {found} bytes, the limit is {most}");
            return refuse(words, Some(Refused::MacSalt));
        }
        if let Stretch::Pbkdf2 { key_len, .. } = self.stretch {
            if !(16..=128).contains(&key_len) {
                return refuse(format!("PBMAC1 with a key of {key_len} bytes; 16 to 128 are accepted"), None);
            }
        }
        Ok(())
    }

    fn parse(algorithm: &[u8]) -> Result<Self, Error> {
        const WHAT: &str = "protectionAlg";
        let mut fields = Cursor::sequence(algorithm, WHAT)?;
        let found = read_oid(&mut fields)?;
        // The identifier decides what the parameters are, before they are read (OpenSSL CVE-2026-63076).
        let parse = match found {
            o if o == oid::PASSWORD_BASED_MAC => Self::parse_password_based,
            o if o == oid::PBMAC1 => Self::parse_pbmac1,
            _ => return Err(Error::new(Code::Algorithm, format!("protectionAlg {found} is not a MAC known here"))),
        };
        let parameters = fields.expect(Tag::Sequence, "the MAC's parameters")?;
        fields.finish()?;
        parse(parameters.value)
    }

    /// ```text
    /// PBMParameter ::= SEQUENCE {
    ///     salt            OCTET STRING,
    ///     owf             AlgorithmIdentifier,
    ///     iterationCount  INTEGER,
    ///     mac             AlgorithmIdentifier }
    /// ```
    fn parse_password_based(content: &[u8]) -> Result<Self, Error> {
        const WHAT: &str = "PBMParameter";
        let mut fields = Cursor::new(content, WHAT)?;
        let salt = fields.expect(Tag::OctetString, "salt")?.value.to_vec();
        let owf = known(fields.expect(Tag::Sequence, "owf")?.bytes, "digest", DigestAlgorithm::from_oid)?;
        let iterations = read_iterations(&mut fields)?;
        let mac = known(fields.expect(Tag::Sequence, "mac")?.bytes, "HMAC", DigestAlgorithm::from_hmac_oid)?;
        fields.finish()?;
        Ok(Recipe { stretch: Stretch::PasswordBased(owf), salt, iterations, mac })
    }

    /// ```text
    /// PBMAC1-params ::= SEQUENCE {
    ///     keyDerivationFunc  AlgorithmIdentifier {{PBMAC1-KDFs}},
    ///     messageAuthScheme  AlgorithmIdentifier {{PBMAC1-MACs}} }
    /// PBKDF2-params ::= SEQUENCE {
    ///     salt            CHOICE { specified OCTET STRING, otherSource AlgorithmIdentifier },
    ///     iterationCount  INTEGER (1..MAX),
    ///     keyLength       INTEGER (1..MAX)     OPTIONAL,
    ///     prf             AlgorithmIdentifier  DEFAULT algid-hmacWithSHA1 }
    /// ```
    fn parse_pbmac1(content: &[u8]) -> Result<Self, Error> {
        const WHAT: &str = "PBMAC1-params";
        let mut fields = Cursor::new(content, WHAT)?;
        let mut derivation = Cursor::new(fields.expect(Tag::Sequence, "keyDerivationFunc")?.value, WHAT)?;
        let mac = fields.expect(Tag::Sequence, "messageAuthScheme")?.bytes;
        let mac = known(mac, "HMAC", DigestAlgorithm::from_hmac_oid)?;
        fields.finish()?;
        let function = read_oid(&mut derivation)?;
        // Bouncy Castle writes the identifier of PBES2 around the parameters of PBKDF2.
        if function != oid::PBKDF2 && function != oid::PBES2 {
            return Err(Error::new(Code::Algorithm, format!("PBMAC1 with key derivation {function}, not PBKDF2")));
        }
        let mut parameters = Cursor::new(derivation.expect(Tag::Sequence, "PBKDF2-params")?.value, "PBKDF2-params")?;
        derivation.finish()?;
        let salt = parameters.expect(Tag::OctetString, "a specified salt")?.value.to_vec();
        let iterations = read_iterations(&mut parameters)?;
        let key_len = match parameters.peek() {
            Some(Tag::Integer) => parameters.decode::<u16>()?.into(),
            _ => mac.output_len(),
        };
        let prf = match parameters.optional(Tag::Sequence)? {
            Some(identifier) => known(identifier.bytes, "HMAC", DigestAlgorithm::from_hmac_oid)?,
            None => DigestAlgorithm::Sha1,
        };
        parameters.finish()?;
        Ok(Recipe { stretch: Stretch::Pbkdf2 { prf, key_len }, salt, iterations, mac })
    }

    fn to_der(&self) -> Vec<u8> {
        const NULL: &[u8] = &[0x05, 0x00];
        let salt = element(0x04, &[&self.salt]);
        let iterations = encode(&self.iterations);
        let with_null = |found: Oid| sequence(&[&encode_oid(found), NULL]);
        match self.stretch {
            Stretch::PasswordBased(owf) => {
                let mac = match self.mac {
                    // What CAs that still want HMAC-SHA1 know it by.
                    DigestAlgorithm::Sha1 => oid::HMAC_SHA1_RFC2202,
                    other => other.hmac_oid(),
                };
                let parameters = sequence(&[&salt, &with_null(owf.oid()), &iterations, &with_null(mac)]);
                sequence(&[&encode_oid(oid::PASSWORD_BASED_MAC), &parameters])
            }
            Stretch::Pbkdf2 { prf, key_len } => {
                let key_len = encode(&(key_len as u32));
                // DER leaves the DEFAULT, hmacWithSHA1, out.
                let prf = if prf == DigestAlgorithm::Sha1 { Vec::new() } else { with_null(prf.hmac_oid()) };
                let parameters = sequence(&[&salt, &iterations, &key_len, &prf]);
                let derivation = sequence(&[&encode_oid(oid::PBKDF2), &parameters]);
                sequence(&[&encode_oid(oid::PBMAC1), &sequence(&[&derivation, &with_null(self.mac.hmac_oid())])])
            }
        }
    }
}

fn read_iterations(fields: &mut Cursor<'_>) -> Result<u32, Error> {
    let count = fields.expect(Tag::Integer, "iterationCount")?;
    let negative_or_zero = count.value.iter().all(|b| *b == 0) || count.value.first().is_some_and(|b| b & 0x80 != 0);
    if negative_or_zero {
        return Err(Error::new(Code::MacParameters, "the MAC's iteration count is not above zero").breaks(PARAMETERS));
    }
    // What does not fit is above every limit.
    Ok(<u32 as ::der::Decode>::from_der(count.bytes).unwrap_or(u32::MAX))
}

/// A digest or an HMAC by its AlgorithmIdentifier: parameters NULL, or absent (RFC 9045 section 4.4 says SHOULD be present).
/// One that is not known is an algorithm that is missing here, named by its identifier, and no fault of the message.
fn known(identifier: &[u8], what: &str, find: fn(Oid) -> Option<DigestAlgorithm>) -> Result<DigestAlgorithm, Error> {
    let mut fields = Cursor::sequence(identifier, "AlgorithmIdentifier in the MAC's parameters")?;
    let found = read_oid(&mut fields)?;
    let algorithm = find(found).ok_or_else(|| {
        let words = format!("the message is protected by a MAC with the {what} {found}, which is not known here");
        Error::new(Code::Algorithm, words)
    })?;
    fields.optional(Tag::Null)?;
    fields.finish()?;
    Ok(algorithm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asn1::cmp::PkiMessage;
    use crate::crypto::default_provider;

    fn secret() -> SharedSecret {
        SharedSecret::new(b"correct-horse").unwrap()
    }

    fn openssl_messages() -> [PkiMessage; 4] {
        [
            &include_bytes!("../../tests/vectors/openssl-pbm/ir.der")[..],
            include_bytes!("../../tests/vectors/openssl-pbm/ip.der"),
            include_bytes!("../../tests/vectors/openssl-pbm/certConf.der"),
            include_bytes!("../../tests/vectors/openssl-pbm/pkiConf.der"),
        ]
        .map(|der| PkiMessage::from_der(der.to_vec(), &Limits::default()).unwrap())
    }

    fn verify(message: &PkiMessage, secret: &SharedSecret) -> Result<(), Error> {
        let provider = default_provider();
        let algorithm = message.header().protection_alg.as_ref().unwrap();
        let key = MacKey::from_algorithm(&*provider, algorithm, secret, &Limits::default())?;
        Ok(key.verify(&*provider, &message.protected_part(), message.protection().unwrap())?)
    }

    #[test]
    fn macs_that_openssl_made_are_verified() {
        for message in openssl_messages() {
            verify(&message, &secret()).unwrap();
        }
    }

    #[test]
    fn a_wrong_secret_and_a_changed_message_are_noticed() {
        let [_, ip, ..] = openssl_messages();
        assert_eq!(
            verify(&ip, &SharedSecret::new(b"correct-horsf").unwrap()).unwrap_err().code(),
            Code::SignatureInvalid
        );
        let mut der = ip.as_der().to_vec();
        // A letter of the sender's name.
        let at = der.windows(9).position(|w| w == b"Vector CA").unwrap();
        der[at] ^= 1;
        let changed = PkiMessage::from_der(der, &Limits::default()).unwrap();
        assert_eq!(verify(&changed, &secret()).unwrap_err().code(), Code::SignatureInvalid);
    }

    #[test]
    fn what_is_made_here_is_read_here_in_every_form() {
        use DigestAlgorithm::{Sha1, Sha256, Sha384, Sha512};
        let provider = default_provider();
        for digest in [Sha1, Sha256, Sha384, Sha512] {
            for parameters in [
                MacParameters::PasswordBased { owf: digest, mac: digest, iterations: 100 },
                MacParameters::Pbmac1 { prf: digest, mac: digest, iterations: 100 },
            ] {
                let made = MacKey::make(&*provider, parameters, &secret()).unwrap();
                let read = MacKey::from_algorithm(&*provider, made.algorithm(), &secret(), &Limits::default()).unwrap();
                assert_eq!(*made.key, *read.key, "{parameters:?}");
                assert!(is_mac(made.algorithm()));
                let mac = made.protect(&*provider, b"message").unwrap();
                read.verify(&*provider, b"message", &mac).unwrap();
                assert!(read.verify(&*provider, b"massage", &mac).is_err());
                assert!(read.verify(&*provider, b"message", &mac[..8]).is_err(), "a shortened MAC");
                assert!(read.verify(&*provider, b"message", b"").is_err(), "an empty MAC");
            }
        }
    }

    #[test]
    fn pbmac1_with_the_identifier_of_pbes2_around_pbkdf2_is_read() {
        let provider = default_provider();
        let made = MacKey::make(&*provider, MacParameters::PBMAC1, &secret()).unwrap();
        let (pbkdf2, pbes2) = (encode_oid(oid::PBKDF2), encode_oid(oid::PBES2));
        let at = made.algorithm().windows(pbkdf2.len()).position(|w| w == pbkdf2).unwrap();
        let mut quirky = made.algorithm().to_vec();
        quirky[at..at + pbes2.len()].copy_from_slice(&pbes2);
        let read = MacKey::from_algorithm(&*provider, &quirky, &secret(), &Limits::default()).unwrap();
        assert_eq!(*made.key, *read.key);
    }

    /// The parameters of a peer are bounded before anything is computed: iteration counts, salts, key lengths.
    #[test]
    fn costly_parameters_of_a_peer_are_refused_before_they_cost() {
        let provider = default_provider();
        let limits = Limits { max_mac_iterations: 10_000, ..Limits::default() };
        let refused = |recipe: Recipe| {
            let error = MacKey::from_algorithm(&*provider, &recipe.to_der(), &secret(), &limits).err().unwrap();
            assert_eq!(error.code(), Code::MacParameters, "{error}");
        };
        let mac = DigestAlgorithm::Sha256;
        let recipe = |iterations, salt_len, key_len| Recipe {
            stretch: Stretch::Pbkdf2 { prf: mac, key_len },
            salt: vec![0; salt_len],
            iterations,
            mac,
        };
        refused(recipe(u32::MAX, 16, 32));
        refused(recipe(10_001, 16, 32));
        refused(recipe(0, 16, 32));
        refused(recipe(100, 257, 32));
        refused(recipe(100, 16, 8));
        refused(recipe(100, 16, 60_000));
        refused(recipe(5001, 16, 33));
        assert!(MacKey::from_algorithm(&*provider, &recipe(5000, 16, 33).to_der(), &secret(), &limits).is_ok());
        refused(Recipe { stretch: Stretch::PasswordBased(mac), ..recipe(u32::MAX, 16, 32) });
        assert!(MacKey::from_algorithm(&*provider, &recipe(10_000, 16, 32).to_der(), &secret(), &limits).is_ok());
    }

    /// An iteration count of many bytes is a number above the limit, not a wrapped small one.
    #[test]
    fn an_iteration_count_that_does_not_fit_is_above_the_limit() {
        let huge = element(0x02, &[&[0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0x64]]);
        let parameters = sequence(&[
            &element(0x04, &[&[0; 16]]),
            &sequence(&[&encode_oid(oid::SHA256), &[5, 0]]),
            &huge,
            &sequence(&[&encode_oid(oid::HMAC_WITH_SHA256), &[5, 0]]),
        ]);
        let algorithm = sequence(&[&encode_oid(oid::PASSWORD_BASED_MAC), &parameters]);
        let error =
            MacKey::from_algorithm(&*default_provider(), &algorithm, &secret(), &Limits::default()).err().unwrap();
        assert_eq!(error.code(), Code::MacParameters);
    }

    /// OpenSSL CVE-2026-63076: parameters of one type under the identifier of the other.
    #[test]
    fn parameters_of_another_algorithm_are_refused() {
        let provider = default_provider();
        let made = MacKey::make(&*provider, MacParameters::PBMAC1, &secret()).unwrap();
        let mut fields = Cursor::sequence(made.algorithm(), "test").unwrap();
        fields.any("identifier").unwrap();
        let parameters = fields.any("parameters").unwrap().bytes;
        let confused = sequence(&[&encode_oid(oid::PASSWORD_BASED_MAC), parameters]);
        assert!(MacKey::from_algorithm(&*provider, &confused, &secret(), &Limits::default()).is_err());
        let null = sequence(&[&encode_oid(oid::PASSWORD_BASED_MAC), &[5, 0]]);
        assert!(MacKey::from_algorithm(&*provider, &null, &secret(), &Limits::default()).is_err());
    }
}
