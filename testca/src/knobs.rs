//! Behaviours that tests ask for. One table serves library, command line, control path and documentation.

macro_rules! knobs {
    ($($field:ident: $kind:ty = $default:expr, $name:literal, $text:literal;)*) => {
        /// How the test CA behaves; by default well.
        #[derive(Clone, Debug)]
        pub struct Knobs { $(#[doc = $text] pub $field: $kind,)* }

        impl Default for Knobs {
            fn default() -> Self {
                Knobs { $($field: $default,)* }
            }
        }

        impl Knobs {
            /// Every knob: name, default, meaning.
            pub fn table() -> Vec<(&'static str, String, &'static str)> {
                let defaults = Knobs::default();
                vec![$(($name, defaults.$field.show(), $text),)*]
            }

            fn set_one(&mut self, name: &str, value: &str) -> Result<(), String> {
                match name {
                    $($name => self.$field = <$kind>::read(value).map_err(|e| format!("{name}: {e}"))?,)*
                    _ => return Err(format!("there is no knob {name}")),
                }
                Ok(())
            }
        }
    };
}

/// CAs of the field, and the knobs that make this one like them. Trustpoint's key update and cryptlib's reference values in octets are
/// part of what they are.
pub const HABITS: &[(&str, &[(&str, &str)])] = &[
    ("insta", &[("old-macs", "1")]),
    ("xipki", &[("at", "any"), ("no-sender-nonce", "1"), ("signer", "self-signed"), ("gcm-envelopes", "1")]),
    ("cryptlib", &[("at", "any"), ("sha1-macs", "1"), ("unprotected-error", "1"), ("no-sender-kid", "1")]),
    (
        "trustpoint",
        &[
            ("at", "any"),
            ("sha1-macs", "1"),
            ("own-sender-kid", "1"),
            ("reversed-subject", "1"),
            ("add-alt-name", "added.trustpoint.example"),
            ("broken-key-update", "A server error occurred. Please contact the administrator."),
        ],
    ),
];

impl Knobs {
    /// Sets one by name and text; `like` sets those that belong to a CA of the field.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        if name == "like" && !value.is_empty() {
            let Some((_, habits)) = HABITS.iter().find(|(ca, _)| *ca == value) else {
                let known: Vec<&str> = HABITS.iter().map(|(ca, _)| *ca).collect();
                return Err(format!("like: \"{value}\" is none of {}", known.join(", ")));
            };
            for (name, value) in *habits {
                self.set_one(name, value)?;
            }
        }
        self.set_one(name, value)
    }
}

knobs! {
    like: String = String::new(), "like", "Behave as a CA of the field does: insta, xipki, cryptlib or trustpoint. Sets other knobs, which can be set again.";
    waiting: u32 = 0, "waiting", "Answer a certificate request with status waiting, and this many polls with pollRep, before issuing.";
    waiting_ids: String = String::new(), "waiting-ids", "Of several certificates in one request, the certReqIds that wait, such as \"0 2\"; each comes after as many pollReps as `waiting` says. Empty: all.";
    waiting_by_error: bool = false, "waiting-by-error", "Say waiting by an error message instead of a certificate response.";
    waiting_fail_info: bool = false, "waiting-fail-info", "Put failInfo beside the status waiting.";
    other_waiting: u32 = 0, "other-waiting", "Delay answers to rr and genm: an error with status waiting, then this many pollReps.";
    check_after: i64 = 1, "check-after", "checkAfter in pollRep, in seconds; may be negative or absurd.";
    poll_reason: String = String::new(), "poll-reason", "reason in pollRep.";
    confirm_waiting: u32 = 0, "confirm-waiting", "Delay pkiConf: an error with status waiting, then this many pollReps.";
    implicit_confirm: String = "grant".to_owned(), "implicit-confirm", "grant (if asked), ignore, or always (unasked too).";
    confirm_wait_seconds: i64 = 0, "confirm-wait-seconds", "Send confirmWaitTime this far ahead; 0 sends none.";
    status: i64 = 0, "status", "PKIStatus of the certificate response: 0 accepted, 1 grantedWithMods, 2 rejection, 6 keyUpdateWarning.";
    fail_info: u32 = 0, "fail-info", "failInfo as a number, bit n for bit n; 0 sends none.";
    text: String = String::new(), "text", "statusString.";
    modify_subject: bool = false, "modify-subject", "Issue under a changed subject.";
    reversed_subject: bool = false, "reversed-subject", "Issue with the parts of the subject in reversed order.";
    profiles: String = "device router tls-client tls-server".to_owned(), "profiles", "Certificate profiles (certProfile) that are known, separated by blanks; * knows any.";
    add_alt_name: String = String::new(), "add-alt-name", "Issue with this dNSName beside the alternative names asked for.";
    drop_alt_names: bool = false, "drop-alt-names", "Issue without the subjectAltName asked for.";
    certificate_days: i64 = 365, "certificate-days", "Lifetime of issued certificates; negative issues expired ones.";
    certificate_seconds: i64 = 0, "certificate-seconds", "Lifetime of issued certificates in seconds, in place of days.";
    certificate_from_stranger: bool = false, "certificate-from-stranger", "Issue under an authority that is not below the root.";
    broken_certificate: bool = false, "broken-certificate", "One bit of the certificate's signature changed.";
    wrong_key: bool = false, "wrong-key", "Issue for another key.";
    no_certificate: bool = false, "no-certificate", "Say accepted and send no certificate.";
    two_responses: bool = false, "two-responses", "Two certificate responses where one is due.";
    cert_req_id: i64 = 0, "cert-req-id", "certReqId in answers.";
    key_signer: String = "authority".to_owned(), "key-signer", "Who signs a generated key: authority (purpose cmKGA), issuing (the CA itself), no-purpose, stranger.";
    unsigned_key: String = String::new(), "unsigned-key", "A generated key with a broken signature (broken), without signers (unsigned), or without SignedData (bare).";
    no_ciphertext: bool = false, "no-ciphertext", "Answer the question for a KEM ciphertext without one; broken-envelope sends a wrong one.";
    bare_generated_key: bool = false, "bare-generated-key", "A generated key as OpenSSL's server writes it: id-data on both layers, PKCS#8 in place of a key package.";
    other_generated_key: bool = false, "other-generated-key", "Send another private key than the certificate's.";
    no_generated_key: bool = false, "no-generated-key", "Send no private key where one is to be made.";
    unasked_key: bool = false, "unasked-key", "Send a private key that nobody asked for.";
    gcm_envelopes: bool = false, "gcm-envelopes", "AES-GCM in EnvelopedData, the tag at the end of the ciphertext.";
    other_recipient: bool = false, "other-recipient", "Encrypt keys and certificates to somebody else.";
    broken_envelope: bool = false, "broken-envelope", "One bit of the ciphertext changed in what is encrypted to the client.";
    encrypted_value: bool = false, "encrypted-value", "Encrypt keys, certificates and challenges in the old way, to RSA keys.";
    pkcs1_transport: bool = false, "pkcs1-transport", "RSA PKCS#1 v1.5 as key transport in EnvelopedData.";
    clear_certificate: bool = false, "clear-certificate", "Send the certificate in clear where it was to be encrypted.";
    other_challenge_sender: bool = false, "other-challenge-sender", "Name another sender inside a challenge.";
    wrong_witness: bool = false, "wrong-witness", "A witness that does not fit the challenge.";
    no_possession: String = String::new(), "no-possession", "Refuse, with badPOP, requests that announce encrCert or challengeResp: the name of the one.";
    only_version: i64 = 0, "only-version", "Speak this pvno alone and refuse others with unsupportedVersion; 0: 2 and 3.";
    pkcs10_id: i64 = -1, "pkcs10-id", "certReqId in answers to p10cr.";
    text_form: String = "utf8".to_owned(), "text-form", "statusString: utf8, latin1 (not UTF-8), or empty (a sequence of none).";
    no_confirmations: bool = false, "no-confirmations", "Refuse certConf.";
    error: bool = false, "error", "Answer requests with an error message.";
    error_code: i64 = 0, "error-code", "errorCode beside the knob error; 0 sends none.";
    error_details: String = String::new(), "error-details", "errorDetails beside the knob error.";
    at: String = "first".to_owned(), "at", "Which answer the following knobs bend: first (ip, cp, kup, rp, genp), pkiconf, pollrep, nested, error, or any.";
    wrong_recip_nonce: bool = false, "wrong-recip-nonce", "Another recipNonce.";
    no_recip_nonce: bool = false, "no-recip-nonce", "No recipNonce.";
    short_sender_nonce: bool = false, "short-sender-nonce", "A senderNonce of 8 bytes.";
    no_sender_nonce: bool = false, "no-sender-nonce", "No senderNonce.";
    wrong_transaction: bool = false, "wrong-transaction", "Another transactionID.";
    no_transaction: bool = false, "no-transaction", "No transactionID.";
    pvno: i64 = 2, "pvno", "pvno.";
    wrong_body: bool = false, "wrong-body", "A body that does not belong there.";
    body: i64 = -1, "body", "Tag number of the body in place of the right one, over the same content; -1 leaves it.";
    broken_protection: bool = false, "broken-protection", "One bit of the protection changed.";
    empty_protection: bool = false, "empty-protection", "A protection of no bits.";
    no_protection: bool = false, "no-protection", "No protection.";
    take_unprotected: bool = false, "take-unprotected", "Take requests without protection, as a CA does that knows its clients by mutual TLS.";
    unprotected_error: bool = false, "unprotected-error", "Error messages, and nothing else, go without protection.";
    signer: String = "good".to_owned(), "signer", "Who signs: good, issuing (the CA itself), expired, no-usage (keyUsage without digitalSignature), self-signed (no CA, to be pinned), second (another good one), stranger.";
    last_recip_nonce: bool = false, "last-recip-nonce", "After polling, recipNonce names the last pollReq, not the delayed request: what OpenSSL before 3.3 expects.";
    sign_macs: bool = false, "sign-macs", "Answer MAC-protected requests with a signature.";
    wrong_secret: bool = false, "wrong-secret", "Make MACs under another secret.";
    mac_iterations: i64 = 0, "mac-iterations", "Iteration count in the MAC's parameters; 0 takes the request's. The value is named, not computed, above 1000000.";
    request_salt: bool = false, "request-salt", "Make MACs under the parameters of the request, salt included.";
    pbes2_answers: bool = false, "pbes2-answers", "Name PBES2 where PBKDF2 belongs in the parameters of PBMAC1, as Bouncy Castle does.";
    pbes2_requests: bool = false, "pbes2-requests", "Take requests under PBMAC1 only if they do the same.";
    old_macs: bool = false, "old-macs", "Refuse PasswordBasedMac with more than 2047 iterations or another HMAC than with SHA-1.";
    sha1_macs: bool = false, "sha1-macs", "Refuse MACs other than PasswordBasedMac with SHA-1 in both places.";
    own_sender_kid: bool = false, "own-sender-kid", "A senderKID of the CA's own under MACs too, where the reference value belongs.";
    null_names: bool = false, "null-names", "An empty sender and recipient.";
    no_sender_kid: bool = false, "no-sender-kid", "No senderKID.";
    wrong_sender: bool = false, "wrong-sender", "A sender that is not the signer's subject.";
    wrong_sender_kid: bool = false, "wrong-sender-kid", "Another senderKID.";
    message_time_off: i64 = 0, "message-time-off", "Seconds added to messageTime.";
    no_message_time: bool = false, "no-message-time", "No messageTime.";
    extra_certs: u32 = 0, "extra-certs", "This many unrelated certificates in front of those that belong in extraCerts.";
    reversed_extra_certs: bool = false, "reversed-extra-certs", "extraCerts back to front: the signer comes last.";
    doubled_extra_certs: bool = false, "doubled-extra-certs", "Every certificate in extraCerts twice.";
    no_chain: bool = false, "no-chain", "The signer in extraCerts without its issuer.";
    no_extra_certs: bool = false, "no-extra-certs", "No extraCerts.";
    root_in_extra_certs: bool = false, "root-in-extra-certs", "The root in extraCerts as well.";
    ca_pubs: bool = false, "ca-pubs", "Offer the root in caPubs.";
    garbage: bool = false, "garbage", "Bytes that are no message.";
    truncate: u64 = 0, "truncate", "Cut the message after this many bytes; 0 does not.";
    append: u64 = 0, "append", "This many bytes of 0xff behind the message.";
    flip_bit: i64 = -1, "flip-bit", "Change this bit of the message, counted from its first; -1 changes none.";
    oversize: u64 = 0, "oversize", "Fill the message with this many bytes of text.";
    endless: bool = false, "endless", "A body that goes on after the message, in chunks, until the client leaves or has 64 MiB.";
    delay_ms: u64 = 0, "delay-ms", "Milliseconds before the HTTP answer.";
    drip_ms: u64 = 0, "drip-ms", "Milliseconds between the bytes of the HTTP answer.";
    cut_after: i64 = -1, "cut-after", "Close the connection after this many bytes of the HTTP answer, 0 without any; -1 does not.";
    broken_key_update: String = String::new(), "broken-key-update", "Answer kur by HTTP status 500 and this text in place of a message.";
    words: String = String::new(), "words", "This text in place of the message, as text/plain.";
    http_status: u32 = 200, "http-status", "HTTP status; the message stays in the body.";
    html: bool = false, "html", "An HTML page in place of the message.";
    retry_after: i64 = -1, "retry-after", "Retry-After in seconds; -1 sends none.";
    content_type: String = "application/pkixcmp".to_owned(), "content-type", "Content-Type; empty sends none.";
    chunked: bool = false, "chunked", "Send the body in chunks.";
    close: bool = false, "close", "Connection: close after each answer.";
    close_silently: bool = false, "close-silently", "Close after each answer without having said so.";
    redirect: String = String::new(), "redirect", "Answer with a 302 to this URL.";
    batch_missing: bool = false, "batch-missing", "Leave the last answer out of a nested answer.";
    batch_extra: bool = false, "batch-extra", "Put an answer that nobody asked for into a nested answer.";
    ocsp_unavailable: bool = false, "ocsp-unavailable", "OCSP answers tryLater.";
    strict: bool = true, "strict", "Refuse requests that break a rule of RFC 9483.";
    time_window: i64 = 3600, "time-window", "How far messageTime of a request may be off, in seconds; 0 does not look.";
    requests: u32 = 0, "requests", "The knobs hold for this many CMP requests, then fall back to their defaults; 0: for all.";
}

trait Value: Sized {
    fn read(text: &str) -> Result<Self, String>;
    fn show(&self) -> String;
}

macro_rules! number {
    ($($kind:ty)*) => {$(
        impl Value for $kind {
            fn read(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| format!("\"{text}\" is not a number that fits"))
            }
            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

number!(u32 u64 i64);

impl Value for bool {
    fn read(text: &str) -> Result<Self, String> {
        match text {
            "1" | "true" | "yes" | "" => Ok(true),
            "0" | "false" | "no" => Ok(false),
            _ => Err(format!("\"{text}\" is neither true nor false")),
        }
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for String {
    fn read(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
    fn show(&self) -> String {
        if self.is_empty() { "(none)".to_owned() } else { self.clone() }
    }
}
