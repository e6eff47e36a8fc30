//! Writing a PKCS#12 file.

use zeroize::Zeroizing;

use super::password::Password;
use super::{NewPkcs12, Pkcs12Mac};
use crate::asn1::der::{self, element, sequence};
use crate::asn1::oid::{self, Oid};
use crate::asn1::pkcs8::PrivateKeyInfo;
use crate::asn1::x509::{Certificate, above};
use crate::cms::CmsError;
use crate::cms::content_info::encode_content_info;
use crate::crypto::algorithm::encode_oid;
use crate::crypto::pbe::{Purpose, derive};
use crate::crypto::pbes2::{Stretching, pbes2_encrypt};
use crate::crypto::{CryptoError, DigestAlgorithm, Provider};
use crate::features::{self, needs};
use crate::limits;
use crate::prelude::*;

const NULL: &[u8] = &[0x05, 0x00];

impl NewPkcs12<'_> {
    /// Writes the file, DER. The password is text; the empty one is refused.
    pub fn seal(&self, provider: &dyn Provider, password: &str) -> Result<Vec<u8>, CmsError> {
        needs(features::PKCS12)?;
        PrivateKeyInfo::from_der(self.pkcs8)?;
        if password.is_empty() {
            return Err(CryptoError::Unsupported("an empty password protects nothing".to_owned()).into());
        }
        if self.iterations == 0 || self.iterations > limits::MAX_KEY_FILE_ITERATIONS {
            return Err(CryptoError::Unsupported(format!("PKCS#12 with {} iterations", self.iterations)).into());
        }
        let secret = password.as_bytes();
        let stretching = Stretching::of(self.iterations, self.scrypt);
        let digest = provider.digest(DigestAlgorithm::Sha256, &[self.certificate.as_der()])?;
        // What ties the key to its certificate for other software; any bytes will do.
        let key_id = &digest[..20];

        let (algorithm, ciphertext) = pbes2_encrypt(provider, self.pkcs8, secret, stretching)?;
        let shrouded = sequence(&[&algorithm, &element(0x04, &[&ciphertext])]);
        let keys = sequence(&[&bag(oid::BAG_SHROUDED_KEY, &shrouded, &self.attributes(key_id))]);

        let mut certificates = certificate_bag(self.certificate, &self.attributes(key_id));
        for above in above(self.certificate, self.chain) {
            certificates.extend(certificate_bag(above, &[]));
        }
        let (algorithm, ciphertext) = pbes2_encrypt(provider, &sequence(&[&certificates]), secret, stretching)?;
        // EncryptedData version 0 (RFC 5652 section 8).
        let content = sequence(&[&encode_oid(oid::CMS_DATA), &algorithm, &element(0x80, &[&ciphertext])]);
        let encrypted = sequence(&[&[0x02, 0x01, 0x00], &content]);

        let data = |bytes: &[u8]| encode_content_info(oid::CMS_DATA, &element(0x04, &[bytes]));
        let safe = sequence(&[&encode_content_info(oid::CMS_ENCRYPTED_DATA, &encrypted), &data(&keys)]);
        let mac = self.mac_data(provider, password, &safe)?;
        Ok(sequence(&[&[0x02, 0x01, 0x03], &data(&safe), &mac]))
    }

    /// friendlyName and localKeyId (RFC 2985 section 5.5).
    fn attributes(&self, key_id: &[u8]) -> Vec<u8> {
        let attribute = |kind: Oid, value: &[u8]| sequence(&[&encode_oid(kind), &element(0x31, &[value])]);
        let mut all = vec![attribute(oid::LOCAL_KEY_ID, &element(0x04, &[key_id]))];
        if !self.name.is_empty() {
            let text: Vec<u8> = self.name.encode_utf16().flat_map(u16::to_be_bytes).collect();
            all.push(attribute(oid::FRIENDLY_NAME, &element(0x1e, &[&text])));
        }
        // DER's order of a SET OF.
        crate::order::sort(&mut all);
        element(0x31, &[&all.concat()])
    }

    fn mac_data(&self, provider: &dyn Provider, password: &str, content: &[u8]) -> Result<Vec<u8>, CmsError> {
        let mut salt = [0u8; 16];
        provider.random(&mut salt)?;
        let mut key = Zeroizing::new([0u8; 32]);
        let (salt_field, count) = (element(0x04, &[&salt]), der::encode(&self.iterations));
        let algorithm = match self.mac {
            Pkcs12Mac::Hmac => {
                let forms = Password::new(provider, password).bmp_forms();
                let purpose = (Purpose::Mac, self.iterations);
                derive(provider, DigestAlgorithm::Sha256, &forms[0], &salt, purpose, &mut *key)?;
                sequence(&[&encode_oid(oid::SHA256), NULL])
            }
            Pkcs12Mac::Pbmac1 => {
                provider.pbkdf2(DigestAlgorithm::Sha256, password.as_bytes(), &salt, self.iterations, &mut *key)?;
                let hmac = sequence(&[&encode_oid(oid::HMAC_WITH_SHA256), NULL]);
                // RFC 9579 section 5: the length of the key is written.
                let parameters = sequence(&[&salt_field, &count, &[0x02, 0x01, 32], &hmac]);
                let derivation = sequence(&[&encode_oid(oid::PBKDF2), &parameters]);
                sequence(&[&encode_oid(oid::PBMAC1), &sequence(&[&derivation, &hmac])])
            }
        };
        let mac = provider.hmac(DigestAlgorithm::Sha256, &*key, &[content])?;
        let info = sequence(&[&algorithm, &element(0x04, &[&mac])]);
        // RFC 9579 section 4: with PBMAC1 salt and iterations are there and mean nothing.
        Ok(sequence(&[&info, &salt_field, &count]))
    }
}

fn certificate_bag(certificate: &Certificate, attributes: &[u8]) -> Vec<u8> {
    let value = element(0xa0, &[&element(0x04, &[certificate.as_der()])]);
    bag(oid::BAG_CERTIFICATE, &sequence(&[&encode_oid(oid::X509_CERTIFICATE_BAG), &value]), attributes)
}

fn bag(kind: Oid, value: &[u8], attributes: &[u8]) -> Vec<u8> {
    sequence(&[&encode_oid(kind), &element(0xa0, &[value]), attributes])
}
