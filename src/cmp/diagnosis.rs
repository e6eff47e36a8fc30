//! What people ask when an operation fails: what came, and whether that is something known of a server of this make. Which rule is
//! broken and what it asks for is said by the check that found it.
//!
//! Nothing here decides anything: it is asked once a failure is certain, and only adds to its facts.

use super::context::Context;
use super::credential::{Credential, MacParameters};
use super::protection::is_mac;
use crate::asn1::cmp::{BodyType, PkiMessage};
use crate::asn1::name;
use crate::asn1::x509::hex;
use crate::codes::Code;
use crate::crypto::{DigestAlgorithm, SignatureAlgorithm};
use crate::error::{Error, Refused};
use crate::limits::Limits;
use crate::prelude::*;
use crate::validation::same_name;

/// A failure, and what led to it.
struct Case<'a> {
    error: &'a Error,
    context: &'a Context,
    /// The message that was answered.
    sent: BodyType,
    /// The answer, as far as it can be read.
    answer: Option<&'a PkiMessage>,
}

/// The error with what else helps: finding and hint. The rule was named where it was checked.
pub(super) fn diagnose(error: Error, context: &Context, sent: BodyType, answer: &[u8]) -> Error {
    let answer = PkiMessage::from_der(answer.to_vec(), &context.limits).ok();
    let case = Case { error: &error, context, sent, answer: answer.as_ref() };
    let (found, hint) = (found(&case), hint(&case));
    let is_missing = case.was(Refused::NoPath) || case.was(Refused::NoSigner);
    let leaves_out = is_missing && answer.as_ref().is_some_and(PkiMessage::leaves_out_certificates);
    let error = if leaves_out { error.followed_by(LEFT_OUT) } else { error };
    error.with(|facts| {
        facts.found = facts.found.take().or(found);
        facts.hint = facts.hint.or(hint);
    })
}

/// The answer, in words: none of them is to be believed.
fn found(case: &Case<'_>) -> Option<String> {
    case.answer.map(in_words)
}

/// A message in words, for logs: body, version, protection, sender. Nothing of it is checked. `None` if it is no message.
pub fn describe_message(message: &[u8], limits: &Limits) -> Option<String> {
    PkiMessage::from_der(message.to_vec(), limits).ok().map(|message| in_words(&message))
}

fn in_words(answer: &PkiMessage) -> String {
    let header = answer.header();
    let mut words = format!("{}, pvno {}", answer.body_type(), header.pvno);
    words.push_str(&match (&header.protection_alg, answer.protection()) {
        (_, None) => ", no protection".to_owned(),
        (None, Some(_)) => ", protection without protectionAlg".to_owned(),
        (Some(algorithm), Some(_)) if is_mac(algorithm) => ", protected by a MAC".to_owned(),
        (Some(algorithm), Some(_)) => match SignatureAlgorithm::from_der(algorithm) {
            Ok(algorithm) => format!(", signed with {algorithm}"),
            Err(_) => ", protected in a way that is not known here".to_owned(),
        },
    });
    if let Some(sender) = &header.sender {
        words.push_str(&format!(", sender '{}'", name::display(sender)));
    }
    if let Some(kid) = &header.sender_kid {
        words.push_str(&format!(", senderKID {}", hex(kid)));
    }
    words.push_str(&match answer.extra_certs().len() {
        1 => ", 1 certificate in extraCerts".to_owned(),
        count => format!(", {count} certificates in extraCerts"),
    });
    words
}

/// What is missing may be among what was not read.
pub(super) const LEFT_OUT: &str =
    "more certificates came along than are read: the limit may be raised (max_certificates)";

/// What servers write where it is the MAC's algorithm that they do not take.
const MAC_WORDS: &[&str] = &["MAC", "Mac", "PBM", "iteration", "protection", "integrity", "digest", "lgorithm"];

/// A root that was renewed under its name, without a link certificate.
pub(super) const RENEWED: &str = "an anchor has the issuer's name, and another key: the CA's root has been renewed under its name (ask for its successor while the old one signs: ask_root_update (devid_op_ask_root_update); or set the new root), or it is another CA of the same name: its root must be among the CMP anchors and the enrolment anchors, which are sets of their own (set_adopt_root (devid_config_set_adopt_root, ca.adopt-root) takes one that comes with ip, at a risk)";

type Rule = (fn(&Case<'_>) -> bool, &'static str);

/// Known deviations and misunderstandings, the most particular first. The switches are those of `docs/known-cas.md`.
const HINTS: &[Rule] = &[
    (
        |c| c.is(Code::ProtectionInvalid) && c.by_mac() && c.is_signed() && c.answers(BodyType::ERROR),
        "the reference value may be wrong, or the secret used up: the CA answered a MAC request with a signed error; its words count once its signer is believed: its root among the CMP anchors, and the signer pinned or named where it has no office",
    ),
    (
        |c| c.is(Code::ProtectionInvalid) && c.by_mac() && c.is_signed() && !c.context.tolerance.signature_answers_mac,
        "the CA answered a MAC request with a signature: EJBCA's responseprotection=signature; see switch signature_answers_mac, which takes it if the signer has a path to the CMP anchors",
    ),
    (
        |c| c.lacks_anchors() && c.by_mac() && c.is_signed(),
        "the CA answered a MAC request with a signature: EJBCA's responseprotection=signature; the signer's root must be among the CMP anchors, which a shared secret alone does not need",
    ),
    (|c| c.was(Refused::Renewed), RENEWED),
    (
        |c| c.was(Refused::NoPath) && !c.context.root_fingerprints.is_empty(),
        "no certificate that came in extraCerts or caPubs has the SHA-256 that was told of a root: it is of the whole certificate in DER, and the root must come along",
    ),
    (
        |c| c.was(Refused::NoSigner) && c.is_signed() && !c.has_sender_kid() && !c.context.tolerance.loose_sender_kid,
        "the answer has no senderKID; switch loose_sender_kid takes it",
    ),
    (
        |c| c.was(Refused::NotAuthorised) && !c.context.tolerance.unauthorised_bearer,
        "switch unauthorised_bearer takes what proves itself from such a signer, such as a certificate over the new key",
    ),
    (
        |c| c.was(Refused::NoPath) && c.signs_for_itself(),
        "the server signs with a self-signed certificate of its own, as XiPKI's installer makes it: look at it, then set it as CMP anchor",
    ),
    (
        |c| c.was(Refused::NoPath) && c.adopts_nothing(),
        "a root came with the answer and no anchor is at its place: an operator by 3GPP TS 33.310 who provisions no root; see set_adopt_root (devid_config_set_adopt_root, ca.adopt-root) and its risk, or set the operator's root as anchor",
    ),
    (
        |c| c.was(Refused::NoSigner) && c.is_signed() && c.reflects_sender_kid(),
        "the server repeated the request's senderKID, which names no key of its own; see switch wrong_sender_kid",
    ),
    (
        |c| c.was(Refused::KeyUsage),
        "the signer's keyUsage has no digitalSignature: a CA that signs CMP with its CA key, as Vault does; see switch signer_key_usage, profile vault",
    ),
    (
        |c| c.was(Refused::NoSigner) && c.is_signed() && c.has_sender_kid() && !c.sender_is_null() && c.nobody_fits(),
        "neither sender nor senderKID is of any certificate that came: the signer's own did not come along. Give the server's or the RA's certificate to the client: add_intermediates (devid_config_add_intermediates, ca.trust.intermediates), or pin it",
    ),
    (
        |c| c.was(Refused::NoSigner) && c.sender_is_not_signer(),
        "the sender is not the subject of the first certificate that came; see switch other_sender_name",
    ),
    (
        |c| c.was(Refused::NoSigner) && c.sender_is_null() && !c.context.tolerance.null_sender,
        "the sender is empty; see switch null_sender",
    ),
    (
        |c| c.was(Refused::NoSigner) && c.answer.is_some_and(|a| a.extra_certs().is_empty()) && c.is_signed(),
        "the answer brings no certificates: give the server's or the RA's certificate to the client (intermediates, or by genm caCerts)",
    ),
    (
        |c| c.was(Refused::NoSigner) && c.is_signed() && c.has_sender_kid() && !c.context.tolerance.wrong_sender_kid,
        "the answer's senderKID is not the subjectKeyIdentifier of any certificate at hand; see switch wrong_sender_kid, which goes by the signature alone",
    ),
    (
        |c| c.was(Refused::NoPath),
        "the root of who answers must be among the CMP anchors: add_cmp_anchors (devid_config_add_cmp_anchors, ca.trust.answers); where it is, an issuing CA's certificate between the two was not sent, and can be given: add_intermediates (devid_config_add_intermediates, ca.trust.intermediates)",
    ),
    (
        |c| c.was(Refused::Validity),
        "a certificate of who answers has expired or is not valid yet: the CA's operator must renew it, or the device's clock is wrong",
    ),
    (|c| c.was(Refused::Mac), "another secret on either side, or reference values that were mixed up"),
    (
        |c| c.is(Code::Unprotected) && c.means(0, MAC_WORDS) && c.uses_strong_password_mac(),
        "whoever says so refuses the algorithm of the MAC: cryptlib and Trustpoint take HMAC with SHA-1 alone (profile cryptlib, profile trustpoint), Insta Certifier HMAC with SHA-1 and at most 2047 iterations (profile insta)",
    ),
    (
        |c| c.is(Code::Unprotected) && c.error.facts().pki_status.is_none(),
        "the answer is protected by nothing of its own: of a CA that relies on TLS with certificates on both sides it is taken with protect_by_mutual_tls; otherwise somebody on the way may have taken the protection off",
    ),
    (
        |c| c.is(Code::Unprotected),
        "errors and rejections without protection are what EJBCA sends by default; anybody on the way could have written the words. See switch unprotected_errors, profile ejbca: the operation fails either way",
    ),
    (
        |c| {
            (c.is(Code::TransactionId) || c.is(Code::Nonce))
                && c.answer.is_some_and(|a| a.body_type() == BodyType::ERROR)
        },
        "the server could not read the request and answered out of its transaction, as Insta does; see switch unmatched_errors, profile insta: the operation fails either way",
    ),
    (
        |c| c.is(Code::UnknownVersion) && c.has_version_1() && c.answers(BodyType::ERROR),
        "the server speaks the CMP of 1999, or has an error message of that version; see switch old_version_errors",
    ),
    (
        |c| c.is(Code::UnknownVersion) && c.has_version_1(),
        "the server answers in the CMP of 1999 (RFC 2510): its profile, or alias, is to be set to CMP 2000 (RFC 4210) or later",
    ),
    (
        |c| c.is(Code::Limit),
        "the server sends more than is read at once: the limits can be raised (max_certificates, max_message_bytes)",
    ),
    (
        |c| c.is(Code::MessageTime),
        "one of the clocks is wrong: the CA's, or the device's; set_time_window (devid_config_set_time_window, ca.time-window) says how far they may be apart, and off for a device without a reliable clock (device.clock = \"none\")",
    ),
    (
        |c| c.is(Code::MacParameters) && c.refused() == Some(Refused::MacSalt),
        "the salt of the server's MAC is longer than the limit: it may be raised (max_mac_salt_bytes)",
    ),
    (
        |c| c.is(Code::MacParameters) && c.refused() == Some(Refused::MacIterations),
        "the server wants the MAC stretched beyond the limit: it may be raised (max_mac_iterations), and costs the device time",
    ),
    (
        |c| c.is(Code::Rejected) && c.sent == BodyType::CERTCONF,
        "the server did not take the confirmation; for one that can take none see switch never_confirm. Ask the CA what became of the certificate before it is used",
    ),
    (
        |c| c.is(Code::Rejected) && c.means(0, MAC_WORDS) && c.uses_strong_password_mac(),
        "the server refuses the algorithm of the MAC: cryptlib and Trustpoint take HMAC with SHA-1 alone (profile cryptlib, profile trustpoint), Insta Certifier HMAC with SHA-1 and at most 2047 iterations (profile insta)",
    ),
    (
        |c| c.is(Code::Rejected) && c.means(0, MAC_WORDS) && matches!(c.mac(), Some(MacParameters::Pbmac1 { .. })),
        "the server refuses the algorithm: it may know no PBMAC1, or only with SHA-256, or only as Bouncy Castle writes it (switch pbes2_in_pbmac1)",
    ),
    (
        |c| c.is(Code::Rejected) && c.says(1) && c.by_mac(),
        "the server does not find or does not believe the secret: check reference value and secret; some servers want an empty sender (switch null_mac_sender)",
    ),
    (
        |c| c.is(Code::Rejected) && c.says(1),
        "the server does not find the signer: Nokia NCM wants the protection certificate first in extraCerts and its chain behind it; EJBCA looks it up among its own certificates",
    ),
    (
        |c| c.is(Code::Rejected) && (c.says(21) || c.says(26)),
        "the server has seen this request: a certificate may have been issued already; look before asking again, in a new transaction",
    ),
    (
        |c| {
            c.is(Code::Rejected)
                && c.texts_contain(&["NEW, FAILED or INPROCESS", "status GENERATED", "Wrong username or password"])
        },
        "EJBCA: an enrolment code is good for one request; the end entity must have the status NEW, and the subject must be the one registered",
    ),
    (
        |c| c.is(Code::Rejected) && c.says(20) && c.by_mac(),
        "the server does not know who asks: check reference value and secret, and whether this CA takes requests by a shared secret",
    ),
    (
        |c| c.is(Code::Rejected) && c.says(20),
        "the CA does not trust the credential: it must know the supplier's CA (in EJBCA: vendor certificate mode), and the chain must go along",
    ),
    (|c| c.is(Code::Rejected) && c.says(3), "the CA finds the device's clock wrong"),
    (
        |c| c.is(Code::Rejected) && c.says(9),
        "the CA does not accept the proof that the device has the new key: an RA that changed the request must say raVerified",
    ),
    (
        |c| c.is(Code::Rejected) && c.says(23),
        "the device is known, and may not have this: the CA's or the RA's policy decides",
    ),
    (
        |c| c.is(Code::Rejected) && (c.says(24) || c.says(25)),
        "the server is out of order at the moment: try again later, in a new transaction",
    ),
];

fn hint(case: &Case<'_>) -> Option<&'static str> {
    HINTS.iter().find(|(applies, _)| applies(case)).map(|(_, words)| *words)
}

impl Case<'_> {
    fn is(&self, code: Code) -> bool {
        self.error.code() == code
    }

    fn answers(&self, body: BodyType) -> bool {
        self.answer.is_some_and(|answer| answer.body_type() == body)
    }

    fn by_mac(&self) -> bool {
        matches!(self.context.credential, Credential::Mac { .. })
    }

    fn mac(&self) -> Option<MacParameters> {
        match self.context.credential {
            Credential::Mac { parameters, .. } => Some(parameters),
            Credential::Signature { .. } | Credential::MutualTls { .. } => None,
        }
    }

    fn uses_strong_password_mac(&self) -> bool {
        matches!(self.mac(), Some(MacParameters::PasswordBased { mac, iterations, .. })
            if iterations > 2047 || mac != DigestAlgorithm::Sha1)
    }

    fn is_signed(&self) -> bool {
        self.answer.is_some_and(|answer| answer.header().protection_alg.as_ref().is_some_and(|a| !is_mac(a)))
    }

    /// A bit of failInfo, where the server has no words of its own: what it says itself is nearer to the cause than any guess.
    fn says(&self, bit: u32) -> bool {
        let facts = self.error.facts();
        facts.server_texts.is_empty() && facts.fail_info.is_some_and(|bits| bits >> bit & 1 == 1)
    }

    /// A bit of failInfo that the server's words, if there are any, do not contradict: they speak of such a thing.
    fn means(&self, bit: u32, any: &[&str]) -> bool {
        self.says(bit)
            || (self.texts_contain(any) && self.error.facts().fail_info.is_some_and(|bits| bits >> bit & 1 == 1))
    }

    fn refused(&self) -> Option<Refused> {
        self.error.facts().refused
    }

    fn was(&self, refused: Refused) -> bool {
        self.is(Code::ProtectionInvalid) && self.refused() == Some(refused)
    }

    /// Whether more anchors could help.
    fn lacks_anchors(&self) -> bool {
        self.was(Refused::NoPath) || (self.is(Code::ProtectionInvalid) && self.context.cmp_anchors.is_empty())
    }

    fn has_sender_kid(&self) -> bool {
        self.answer.is_some_and(|answer| answer.header().sender_kid.is_some())
    }

    fn has_version_1(&self) -> bool {
        self.answer.is_some_and(|answer| answer.header().pvno == 1)
    }

    /// Whether certificates came, and none has the sender's name or the senderKID.
    fn nobody_fits(&self) -> bool {
        let Some(answer) = self.answer else { return false };
        let header = answer.header();
        let kid = header.sender_kid.as_deref();
        let sender = header.sender.as_deref().unwrap_or_default();
        let fits = |one: &crate::asn1::x509::Certificate| {
            (kid.is_some() && one.subject_key_identifier() == kid) || same_name(sender, one.subject())
        };
        !answer.extra_certs().is_empty() && !answer.extra_certs().iter().any(fits)
    }

    fn texts_contain(&self, any: &[&str]) -> bool {
        self.error.facts().server_texts.iter().any(|text| any.iter().any(|part| text.contains(part)))
    }

    fn adopts_nothing(&self) -> bool {
        let is_ip = self.sent == BodyType::IR && self.is_signed();
        let came = self.answer.filter(|a| a.body_type() == BodyType::IP && is_ip);
        let is_known = |root: &crate::asn1::x509::Certificate| self.context.cmp_anchors.iter().any(|a| a == root);
        !self.context.adopt_root_of_ip
            && self.context.root_fingerprints.is_empty()
            && came.is_some_and(|a| a.extra_certs().iter().any(|c| c.is_self_issued() && !is_known(c)))
            && !came.is_some_and(|a| a.extra_certs().iter().any(is_known))
    }

    fn reflects_sender_kid(&self) -> bool {
        let ours = match &self.context.credential {
            Credential::Signature { certificate, .. } => certificate.subject_key_identifier(),
            Credential::Mac { .. } | Credential::MutualTls { .. } => None,
        };
        ours.is_some() && self.answer.is_some_and(|answer| answer.header().sender_kid.as_deref() == ours)
    }

    fn first_certificate(&self) -> Option<&crate::asn1::x509::Certificate> {
        self.answer.filter(|_| self.is_signed()).and_then(|answer| answer.extra_certs().first())
    }

    /// Whether the signer vouches for itself, and is no CA: not a root that an operator forgot to tell.
    fn signs_for_itself(&self) -> bool {
        let kid = self.answer.and_then(|answer| answer.header().sender_kid.as_deref());
        let all = self.answer.filter(|_| self.is_signed()).map_or(&[][..], |answer| answer.extra_certs());
        let by_kid = all.iter().find(|c| kid.is_some() && c.subject_key_identifier() == kid);
        by_kid
            .or(self.first_certificate())
            .is_some_and(|signer| signer.is_self_issued() && !crate::validation::is_ca(signer).unwrap_or(true))
    }

    fn sender_is_null(&self) -> bool {
        self.answer.is_some_and(|answer| matches!(answer.header().sender.as_deref(), None | Some([0x30, 0x00])))
    }

    fn sender_is_not_signer(&self) -> bool {
        let sender = self.answer.and_then(|answer| answer.header().sender.as_deref());
        let (Some(sender), Some(first)) = (sender, self.first_certificate()) else { return false };
        !self.sender_is_null() && !self.context.tolerance.other_sender_name && !same_name(sender, first.subject())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmp::Tolerance;

    /// What weakens something needs a switch that the error itself names.
    #[test]
    fn every_switch_is_named_where_it_is_missed() {
        fn read(path: &std::path::Path, texts: &mut String) {
            for entry in std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()) {
                match entry.is_dir() {
                    true => read(&entry, texts),
                    false => texts.push_str(&std::fs::read_to_string(entry).unwrap()),
                }
            }
        }
        let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut texts = String::new();
        ["cmp", "cms", "transport"].iter().for_each(|folder| read(&source.join(folder), &mut texts));
        let texts = texts.split_whitespace().filter(|word| *word != "\\").collect::<Vec<_>>().join(" ");
        for (name, ..) in Tolerance::TABLE {
            assert!(texts.contains(&format!("switch {name}")) || WORDS_OF_TWO.contains(name), "{name}");
        }
    }

    /// Named by one sentence that has two switches in it.
    const WORDS_OF_TWO: [&str; 2] = ["any_mac_sender_kid", "loose_sender_kid"];

    #[test]
    fn a_hint_that_names_a_switch_names_one_that_there_is() {
        for (_, words) in HINTS {
            for after in words.split("switch ").skip(1) {
                let name: String = after.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                assert!(Tolerance::TABLE.iter().any(|(known, ..)| *known == name), "{name}");
            }
            for after in words.split("profile ").skip(1) {
                let name: String = after.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
                assert!(crate::cmp::Profile::NAMES.contains(&&*name), "{name}");
            }
        }
    }
}
