//! What can be chosen of CMP, with the defaults: whom we trust, how far, what we ask for, and what we tolerate. An option stands here
//! alone: a client's settings and an operation's hold these.

use super::difference::Acceptance;
use super::signer_authorisation::SignerAuthorisation;
use super::tolerance::Tolerance;
use crate::asn1::cmp::InfoTypeAndValue;
use crate::asn1::der::Cursor;
use crate::asn1::name::Name;
use crate::asn1::oid::{self, Oid};
use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::defaults::with_defaults;
use crate::error::Error;
use crate::limits::{self, Limits};
use crate::prelude::*;
use crate::validation::{RevocationPolicy, StatusSources, TrustAnchors};

with_defaults! {
    /// The options of a CMP client. Anchors are empty at first: nothing is trusted yet.
    #[derive(Clone, Debug)]
    pub struct Options {
        /// Who may sign answers: paths of protection certificates end here.
        pub cmp_anchors: TrustAnchors,
        /// Where paths of issued certificates end.
        pub enrolment_anchors: TrustAnchors,
        /// Certificates that help to build either path; nothing is trusted for being here.
        pub intermediates: Vec<Certificate>,
        /// The CA's name for the first message; the NULL-DN if unknown (RFC 9483 section 3.1).
        pub recipient: Option<Name>,
        /// Which of the certificates under the CMP anchors may sign answers (RFC 9483 section 3.5: local authorisation).
        pub authorisation: SignerAuthorisation,
        /// Status data about signers of answers, and memories of it, which are asked at each answer.
        pub signer_status: StatusSources,
        /// Whether a status is asked for. What is in `signer_status` is looked at also where this is off, and refuses who is revoked.
        pub signer_revocation: RevocationPolicy,
        /// Ask the CA to do without certConf (RFC 9483 section 4.1.1). Off: confirm explicitly.
        pub ask_implicit_confirm: bool,
        /// Name of a certificate profile to ask for (RFC 9810 section 5.1.1.4).
        pub cert_profile: Option<String>,
        /// Further items of generalInfo in requests: see [`Options::add_general_info`].
        pub(super) general_info: Vec<InfoTypeAndValue>,
        /// Self-signed certificates in caPubs become enrolment anchors of the operation, if the answer is MAC-protected
        /// (RFC 9483 section 4.1.5). Never if it is signed.
        pub accept_ca_pubs: bool,
        /// Devices without an operator's root (3GPP TS 33.310 section 9.5.4.3): a self-signed certificate in extraCerts of ip
        /// anchors signer and new certificate of this ir, where no configured anchor does. The device then believes whoever
        /// answers first: only for networks where nobody else can. Off.
        pub adopt_root_of_ip: bool,
        /// SHA-256 of roots that the owner knows by nothing else (printed on paper, in the device's documents): a certificate with this
        /// digest that comes in extraCerts or caPubs is an anchor, as if it had been configured (RFC 9810 section 6.7.2).
        pub root_fingerprints: Vec<[u8; 32]>,
        /// How far messageTime may be from the caller's time; `None` if that time is not reliable (RFC 9483 section 3.5).
        pub message_time_window_seconds: Option<u32> = Some(3600),
        /// How far apart two clocks may be that are both right, wherever they meet: notBefore of fresh certificates and of signers, and the
        /// least window for messageTime. Nothing that has expired lives longer by it. A client takes it also for notBefore of TLS servers, and
        /// for thisUpdate of status data about signers where `signer_revocation` leaves it at its default.
        pub clock_skew_seconds: u32 = limits::CLOCK_SKEW_SECONDS,
        /// Who decides on a certificate that is not what was asked for, where the owner of the operation does not.
        pub acceptance: Acceptance,
        /// Put messageTime into requests.
        pub send_message_time: bool = true,
        /// Bounds on what the server may make us do.
        pub limits: Limits,
        /// Deviations to tolerate.
        pub tolerance: Tolerance,
    }
}

impl Options {
    /// Adds a root that is known by its SHA-256 alone, in hexadecimal with or without colons: see
    /// [`Options::root_fingerprints`]. No other anchors are needed then.
    ///
    /// Errors: [`Code::InvalidArgument`] for what is no SHA-256.
    pub fn add_root_fingerprint(&mut self, text: &str) -> Result<(), Error> {
        let digits: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b':' | b' ' | b'-')).collect();
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let bytes: Option<Vec<u8>> =
            digits.chunks(2).map(|pair| Some((digit(pair[0])? * 16 + digit(*pair.get(1)?)?) as u8)).collect();
        let fingerprint = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let words = "a root's fingerprint is a SHA-256: 64 hexadecimal digits, with or without colons";
        self.root_fingerprints.push(fingerprint.ok_or_else(|| Error::new(Code::InvalidArgument, words))?);
        Ok(())
    }

    /// Only these certificates, and those pinned before, may sign answers: see [`SignerAuthorisation::pins`]. What else is
    /// said of the signer holds as well. They also help to build paths, so that answers need not bring them.
    pub fn pin_signers(&mut self, certificates: Vec<Certificate>) {
        self.intermediates.extend(certificates.iter().cloned());
        self.authorisation.pins.get_or_insert_default().extend(certificates);
    }

    /// Adds an item to generalInfo of requests, such as a vendor's: its identifier, and its value in DER or nothing.
    ///
    /// Errors: the value is not one element of DER; the item is one that this library sets by itself.
    pub fn add_general_info(&mut self, info_type: Oid, value: &[u8]) -> Result<(), Error> {
        if !value.is_empty() {
            let mut one = Cursor::new(value, "infoValue")?;
            one.any("one element")?;
            one.finish()?;
        }
        if [oid::IT_IMPLICIT_CONFIRM, oid::IT_CERT_PROFILE].contains(&info_type) {
            let words = format!("{info_type} has a setting of its own");
            return Err(Error::new(Code::InvalidArgument, words));
        }
        self.general_info.push(InfoTypeAndValue { info_type, value: value.to_vec() });
        Ok(())
    }
}
