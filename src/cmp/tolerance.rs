//! Deviations of servers from RFC 9483 that can be tolerated, each by name, in one table.

use crate::codes::Code;
use crate::error::Error;

macro_rules! tolerances {
    ($($field:ident: $default:literal, $strict:literal, $text:literal;)*) => {
        /// Deviations of servers that can be tolerated, each by name. None makes an unauthenticated answer a success.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Tolerance { $(#[doc = $text] pub $field: bool,)* }

        impl Default for Tolerance {
            fn default() -> Self {
                Tolerance { $($field: $default,)* }
            }
        }

        impl Tolerance {
            /// Every switch: name, whether it is on by default, meaning.
            pub const TABLE: &[(&str, bool, &str)] = &[$((stringify!($field), $default, $text),)*];

            /// Nothing that RFC 9483 does not allow.
            pub fn strict_rfc9483() -> Self {
                Tolerance { $($field: $strict,)* }
            }

            /// Everything: for tests, which show that even then nothing unauthenticated is taken.
            pub fn everything() -> Self {
                Tolerance { $($field: stringify!($field) != "",)* }
            }

            /// Switches one deviation by its name.
            pub fn set(&mut self, name: &str, on: bool) -> Result<(), Error> {
                match name {
                    $(stringify!($field) => self.$field = on,)*
                    _ => {
                        return Err(Error::new(Code::InvalidArgument, format!("there is no tolerance named '{name}'")));
                    }
                }
                Ok(())
            }
        }
    };
}

// Name: by default, under strict-rfc9483, meaning.
tolerances! {
    unprotected_errors: false, false, "Believe the words of an unprotected error or rejection enough to report them as the server's decision (the operation fails either way).";
    unmatched_errors: false, false, "Report the words of an error with another or no transactionID or recipNonce as what the server sent, unauthenticated and whatever protects it (the operation fails either way).";
    old_version_errors: true, false, "Report the words of an error message in CMP version 1 (the operation fails either way).";
    signature_answers_mac: true, false, "Take a signature as answer to a MAC-protected request, if its signer is trusted.";
    wrong_sender_kid: false, false, "Take answers whose senderKID names no key that is there, if another certificate that came verifies.";
    no_sender_nonce: true, false, "Take answers without senderNonce, or with one of less than 128 bits: it protects the server, recipNonce protects the client.";
    any_mac_sender_kid: true, false, "Take answers whose MAC is right whatever their senderKID.";
    loose_sender_kid: true, false, "Take an answer without senderKID, and a signed one with a senderKID where the signer's certificate has no subjectKeyIdentifier.";
    renamed_root: false, false, "Take a root's successor that has another name than the root (RFC 9810 section 4.4 has it keep its name).";
    zero_cert_req_id: true, false, "Take certReqId 0 in the answer to p10cr, where -1 belongs.";
    other_sender_name: false, false, "Take a signed answer whose sender is not the signer's subject.";
    null_sender: true, false, "Take a signed answer whose sender is empty.";
    signer_key_usage: false, false, "Take signers whose keyUsage lacks digitalSignature.";
    unauthorised_bearer: true, false, "Take what proves itself from any signer under the CMP anchors where nothing is said of signers: a certificate over the new key from the CA that the device's certificates come from, CA certificates, and to be put off for an hour at most; its pkiConf for a first certificate, and for an update of what device memory has in use once it was met before; never a refusal, a revocation, a time or other information.";
    signer_may_change: false, false, "Take later answers of a transaction by another signer than the first, or signed where the first had a MAC, if the signer is trusted and authorised too.";
    fail_info_with_success: true, false, "Take failInfo next to accepted, grantedWithMods or waiting.";
    other_content_type: true, false, "Take an answer over HTTP whose Content-Type is not application/pkixcmp, if it is a message.";
    encrypted_value: false, false, "Take keys, certificates and challenges encrypted in the old way, EncryptedValue (RFC 4210), which nobody signs; RSA PKCS#1 v1.5 with it.";
    pkcs1_key_transport: false, false, "Take RSA PKCS#1 v1.5 as key transport in EnvelopedData, as OpenSSL's server uses it.";
    gcm_in_enveloped_data: false, false, "Take AES-GCM in EnvelopedData with the tag at the end of the ciphertext, as XiPKI writes it.";
    bare_generated_key: false, false, "Take a generated key that is signed and encrypted, but labelled id-data on both layers and no key package, as OpenSSL's server writes it.";
    allow_weak: false, false, "Take issued certificates and signers whose paths have signatures over SHA-1 or RSA keys below 2048 bits; never an answer that is itself protected so, nor the successor of a root.";
    pbes2_in_pbmac1: false, false, "Write the identifier of PBES2 around the parameters of PBKDF2 in PBMAC1, as old versions of Bouncy Castle want it; both forms are always read.";
    null_mac_sender: false, false, "With a shared secret, send an empty sender in place of the reference value as commonName; senderKID still carries it.";
    never_confirm: false, false, "Send no certConf even where the server did not agree to do without; for servers that cannot take one.";
}
