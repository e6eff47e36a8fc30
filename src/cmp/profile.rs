//! Profiles by name: what a known CA needs, in one setting. Nothing in a profile loosens who is believed.

use super::credential::MacParameters;
use super::difference::Acceptance;
use super::tolerance::Tolerance;
use crate::codes::Code;
use crate::crypto::DigestAlgorithm;
use crate::error::Error;

/// What a CA needs.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its name.
    pub name: &'static str,
    /// For which servers, and why.
    pub about: &'static str,
    /// Deviations to tolerate.
    pub tolerance: Tolerance,
    /// How MACs are made, where the settings leave that at the default.
    pub mac: Option<MacParameters>,
    /// Whether to ask for implicit confirmation; `None` leaves it as it is.
    pub ask_implicit_confirm: Option<bool>,
    /// How often a message is sent again when the server was not reached or was busy; `None` leaves it as it is.
    pub max_retries: Option<u32>,
    /// Which differences of an issued certificate are taken; `None` leaves it as it is.
    pub acceptance: Option<Acceptance>,
}

/// PasswordBasedMac as the oldest servers know it.
const SHA1_MAC: MacParameters =
    MacParameters::PasswordBased { owf: DigestAlgorithm::Sha1, mac: DigestAlgorithm::Sha1, iterations: 1000 };

impl Profile {
    /// Names of all profiles.
    pub const NAMES: [&str; 10] = [
        "ejbca",
        "insta",
        "nokia-ncm",
        "3gpp",
        "vault",
        "xipki",
        "cryptlib",
        "trustpoint",
        "openssl-mock",
        "strict-rfc9483",
    ];

    /// By name.
    ///
    /// Errors: [`Code::InvalidArgument`] for an unknown name.
    pub fn named(name: &str) -> Result<Self, Error> {
        let plain = |name, about| Profile {
            name,
            about,
            tolerance: Tolerance::default(),
            mac: None,
            ask_implicit_confirm: None,
            max_retries: None,
            acceptance: None,
        };
        Ok(match name {
            // Errors and rejections may come bare; MAC requests are answered with a signature
            // (responseprotection=signature), which is taken by default.
            "ejbca" => Profile {
                tolerance: Tolerance { unprotected_errors: true, ..Tolerance::default() },
                ..plain("ejbca", "EJBCA: errors and rejections may be unprotected")
            },
            // More than 2047 iterations and other HMACs than with SHA-1 are refused; what cannot be parsed is answered
            // under another transactionID.
            "insta" => Profile {
                tolerance: Tolerance { unmatched_errors: true, ..Tolerance::default() },
                mac: Some(MacParameters::PasswordBased {
                    owf: DigestAlgorithm::Sha256,
                    mac: DigestAlgorithm::Sha1,
                    iterations: 1024,
                }),
                ..plain("insta", "Insta Certifier: weak MAC parameters, errors out of the transaction")
            },
            // pkiConf without certificates and certReqId 0 for p10cr are taken by default; a front end limits the rate.
            "nokia-ncm" => Profile {
                max_retries: Some(3),
                ..plain("nokia-ncm", "Nokia NetGuard Certificate Manager: a front end that is busy at times")
            },
            // TS 33.310 section 9.5: certConf and pkiConf are used.
            "3gpp" => Profile {
                ask_implicit_confirm: Some(false),
                ..plain("3gpp", "operators by 3GPP TS 33.310: explicit confirmation")
            },
            "vault" => Profile {
                tolerance: Tolerance { signer_key_usage: true, ..Tolerance::default() },
                ..plain(
                    "vault",
                    "Vault: the CA signs answers with its own key, whose keyUsage may lack digitalSignature",
                )
            },
            // Never sends senderNonce, which is taken by default.
            "xipki" => Profile {
                tolerance: Tolerance { gcm_in_enveloped_data: true, ..Tolerance::default() },
                ..plain("xipki", "XiPKI: answers without senderNonce, AES-GCM in EnvelopedData")
            },
            // Users are known by nine octets that are no text: senderKID carries them.
            "cryptlib" => Profile {
                tolerance: Tolerance { null_mac_sender: true, unprotected_errors: true, ..Tolerance::default() },
                mac: Some(SHA1_MAC),
                ..plain("cryptlib", "cryptlib: reference values in octets, HMAC with SHA-1")
            },
            // senderKID is the CA's own, which is taken by default. The parts of the subject come in another order, and names
            // are added.
            "trustpoint" => Profile {
                mac: Some(SHA1_MAC),
                acceptance: Some(Acceptance::AnyOrder),
                ..plain("trustpoint", "Trustpoint: HMAC with SHA-1, subjects in an order of its own")
            },
            "openssl-mock" => Profile {
                tolerance: Tolerance {
                    unprotected_errors: true,
                    unmatched_errors: true,
                    pkcs1_key_transport: true,
                    bare_generated_key: true,
                    ..Tolerance::default()
                },
                ..plain("openssl-mock", "OpenSSL's mock server: errors before a request is understood are bare")
            },
            "strict-rfc9483" => Profile {
                tolerance: Tolerance::strict_rfc9483(),
                ..plain("strict-rfc9483", "nothing that RFC 9483 does not allow")
            },
            _ => {
                let words = format!("there is no profile '{name}'; there are {}", Profile::NAMES.join(", "));
                return Err(Error::new(Code::InvalidArgument, words));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_found_by_its_name_and_others_are_not() {
        for name in Profile::NAMES {
            assert_eq!(Profile::named(name).unwrap().name, name);
        }
        assert_eq!(Profile::named("anything").unwrap_err().code(), Code::InvalidArgument);
    }
}
