//! OCSP: asking (RFC 6960 section 4.1, RFC 9654, RFC 5019), and answers as they came.

use core::fmt;

use base64ct::{Base64, Encoding};

use super::signed::{Entitled, Line, SignatureMemory};
use crate::asn1::crl::shortest_integer;
use crate::asn1::der::Cursor;
use crate::asn1::kind::{self, Kind};
use crate::asn1::ocsp::{
    BasicResponse, CertId, CertStatus, OcspResponseStatus, ResponseMessage, SingleResponse, encode_request,
};
use crate::asn1::pem::Held;
use crate::asn1::x509::{Certificate, bit_string};
use crate::asn1::{Asn1Error, documents};
use crate::codes::Code;
use crate::crypto::{CryptoError, DigestAlgorithm, KeyIdentity, Provider, SignatureAlgorithm};
use crate::error::Error;
use crate::prelude::*;

/// Octets of the nonce in requests (RFC 9654 section 2.1).
const NONCE_LEN: usize = 32;
/// Longest URL of the GET form, request included (RFC 5019 section 5); above it, POST is used.
const MAX_GET_URL_LEN: usize = 255;

/// A request about one certificate.
#[derive(Clone, Debug)]
pub struct OcspRequest {
    der: Vec<u8>,
    nonce: Option<[u8; NONCE_LEN]>,
}

impl OcspRequest {
    /// Media type of the request in a POST (RFC 6960 appendix A.1).
    pub const CONTENT_TYPE: &'static str = "application/ocsp-request";
    /// Media type of the answer.
    pub const RESPONSE_CONTENT_TYPE: &'static str = "application/ocsp-response";

    /// A request with a fresh nonce, which the response must then carry.
    pub fn with_nonce(
        provider: &dyn Provider,
        certificate: &Certificate,
        issuer: &Certificate,
        digest: DigestAlgorithm,
    ) -> Result<Self, Error> {
        let mut nonce = [0; NONCE_LEN];
        provider.random(&mut nonce)?;
        Self::build(provider, certificate, issuer, digest, Some(nonce))
    }

    /// A request without one: for responders of pre-signed answers (RFC 5019 section 4), which a cache can serve too.
    /// Only the answer's own times then tell that it is of today.
    pub fn without_nonce(
        provider: &dyn Provider,
        certificate: &Certificate,
        issuer: &Certificate,
        digest: DigestAlgorithm,
    ) -> Result<Self, Error> {
        Self::build(provider, certificate, issuer, digest, None)
    }

    fn build(
        provider: &dyn Provider,
        certificate: &Certificate,
        issuer: &Certificate,
        digest: DigestAlgorithm,
        nonce: Option<[u8; NONCE_LEN]>,
    ) -> Result<Self, Error> {
        let cert_id = |key: &[u8]| -> Result<CertId, Error> {
            Ok(CertId {
                digest: Some(digest),
                issuer_name_hash: provider.digest(digest, &[certificate.issuer()])?.to_vec().into(),
                issuer_key_hash: provider.digest(digest, &[key])?.to_vec().into(),
                serial: shortest_integer(certificate.serial()).into(),
            })
        };
        let key = key_bits(issuer.spki())?;
        let identity = KeyIdentity::of(issuer);
        let usual = identity.as_spki();
        let usual = key_bits(&usual)?;
        let mut cert_ids = vec![cert_id(key)?];
        if usual != key {
            // The responder knows the key in one form, and whoever sent the certificate has chosen this one.
            cert_ids.push(cert_id(usual)?);
        }
        let der = encode_request(&cert_ids, nonce.as_ref().map(|n| &n[..])).expect("the digest is one of ours");
        Ok(OcspRequest { der, nonce })
    }

    /// The request, DER: body of a POST.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// The URL of the GET form at a responder (RFC 6960 appendix A.1); `None` if it would be too long for caches.
    pub fn get_url(&self, responder_url: &str) -> Option<String> {
        let mut url = responder_url.trim_end_matches('/').to_owned();
        url.push('/');
        for character in Base64::encode_string(&self.der).chars() {
            match character {
                '+' => url.push_str("%2B"),
                '/' => url.push_str("%2F"),
                '=' => url.push_str("%3D"),
                other => url.push(other),
            }
        }
        (url.len() <= MAX_GET_URL_LEN).then_some(url)
    }

    /// Reads the answer to this request. A nonce that was sent must have come back, or the answer may be an old one, that says
    /// good of what has been revoked since: it clears nobody. What such an answer says against anybody counts all the same.
    pub fn read_response(&self, input: &[u8]) -> Result<OcspResponse, Error> {
        let mut response = OcspResponse::from_document(input)?;
        let came = response.message.basic.as_ref().map(|basic| basic.nonce.as_deref());
        let doubt = match (&self.nonce, came) {
            (None, _) | (_, None) => return Ok(response),
            (Some(sent), Some(Some(nonce))) if nonce == sent => return Ok(response),
            (Some(_), Some(Some(_))) => {
                "the OCSP response carries another nonce than the one sent: it may be an old one"
            }
            (Some(_), Some(None)) => {
                "the OCSP response carries no nonce (those that are made ahead of time have none, RFC 5019); with nonce \"tolerated\" \
                 it is taken by its own times"
            }
        };
        if !response.revokes() {
            return Err(Error::new(Code::Nonce, doubt));
        }
        response.doubt = Some(doubt);
        Ok(response)
    }
}

/// An OCSP response: parsed, not believed. Share it by `Arc`: a signature that was checked is remembered.
pub struct OcspResponse {
    message: ResponseMessage,
    /// Why it clears nobody, though what it says against anybody counts.
    pub(super) doubt: Option<&'static str>,
    signatures: SignatureMemory,
    pub(super) entitled: Entitled,
}

impl OcspResponse {
    /// From DER: one that was stapled, stored, or brought by the caller's own transport. See
    /// [`ResponseMessage::from_der`] for what is refused. The answer to a request of ours is read by
    /// [`OcspRequest::read_response`].
    pub fn from_der(der: &[u8]) -> Result<Self, Asn1Error> {
        documents::one_alone(Kind::Ocsp, der)?;
        Self::first_of(der)
    }

    fn first_of(der: &[u8]) -> Result<Self, Asn1Error> {
        let message = ResponseMessage::from_der(der)?;
        Ok(OcspResponse { message, doubt: None, signatures: SignatureMemory::default(), entitled: Entitled::default() })
    }

    /// All responses of a file: DER or base64, also one behind the other, or all OCSP RESPONSE blocks of a PEM text, whose other blocks are
    /// skipped. Beside them, what begins as a response and cannot be read: it may revoke.
    pub fn held_in(input: &[u8]) -> Result<Held<Self>, Asn1Error> {
        documents::all_in(Kind::Ocsp, input, |der, _| {
            Self::first_of(der).map_err(|error| kind::explained(error, Kind::Ocsp, der))
        })
    }

    /// The one response that a file or an answer is, in any of these forms.
    pub fn from_document(input: &[u8]) -> Result<Self, Asn1Error> {
        let mut all = Self::held_in(input)?.whole()?;
        match (all.pop(), all.len()) {
            (Some(one), 0) => Ok(one),
            (_, others) => {
                let words = format!("{} of them in one document, where one is taken", others + 1);
                Err(Asn1Error::invalid(Kind::Ocsp.structure(), words))
            }
        }
    }

    /// Whether the responder answered at all.
    pub fn status(&self) -> OcspResponseStatus {
        self.message.status
    }

    /// The answer as it is, unverified; `None` if the responder gave none.
    pub fn basic(&self) -> Option<&BasicResponse> {
        self.message.basic.as_ref()
    }

    /// Whether some validation found that it is signed by somebody who may speak about the certificate that was asked about.
    /// That the signature is somebody's is not enough: a peer signs in any name.
    pub(crate) fn is_entitled(&self) -> bool {
        self.entitled.is_found()
    }

    /// The responder's certificate, where it was found and is not enclosed.
    pub(crate) fn signers(&self) -> Vec<Certificate> {
        self.entitled.signers()
    }

    pub(crate) fn bring_signers(&self, signers: &[Certificate]) {
        self.entitled.bring(signers);
    }

    /// On whose word it is, as far as that was found.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.entitled.lines()
    }

    pub(crate) fn bring_lines(&self, lines: Vec<Line>) {
        self.entitled.bring_lines(lines);
    }

    /// Whether it clears anybody who must not be cleared by it: then it is not kept.
    pub(crate) fn is_doubted(&self) -> bool {
        let clears = |entry: &SingleResponse| entry.status == CertStatus::Good;
        self.doubt.is_some() && self.basic().is_some_and(|basic| basic.responses.iter().any(clears))
    }

    /// Whether it says of any certificate that it is revoked.
    pub(crate) fn revokes(&self) -> bool {
        let is_revoked = |entry: &SingleResponse| matches!(entry.status, CertStatus::Revoked { .. });
        self.basic().is_some_and(|basic| basic.responses.iter().any(is_revoked))
    }

    /// Whether this says less than another about a certificate that the other speaks about: nothing, what was said before,
    /// or, as of the same time, that it is not revoked where the other says it is.
    pub(crate) fn is_behind(&self, other: &OcspResponse) -> bool {
        let entries = |response: &'_ OcspResponse| -> Vec<SingleResponse> {
            response.basic().map(|basic| basic.responses.clone()).unwrap_or_default()
        };
        let revokes = |entry: &SingleResponse| matches!(entry.status, CertStatus::Revoked { .. });
        let ours = entries(self);
        entries(other).iter().any(|theirs| {
            // RFC 6960 section 4.1.1: a number alone names nobody, every CA has its own.
            let same = ours.iter().filter(|entry| entry.cert_id == theirs.cert_id);
            match same.max_by_key(|entry| (entry.this_update, revokes(entry))) {
                Some(newest) => (newest.this_update, revokes(newest)) < (theirs.this_update, revokes(theirs)),
                None => true,
            }
        })
    }

    pub(super) fn verify(
        &self,
        basic: &BasicResponse,
        provider: &dyn Provider,
        spki: &[u8],
        allow_weak: bool,
    ) -> Result<(), CryptoError> {
        self.signatures.recall_or(spki, allow_weak, || {
            let algorithm = SignatureAlgorithm::from_der(&basic.signature_algorithm)
                .map_err(|e| CryptoError::Unsupported(e.to_string()))?;
            if algorithm.is_weak() && !allow_weak {
                let words = "a weak signature (over a SHA-1 digest, or ECDSA with parameters); allow_weak takes it";
                return Err(CryptoError::Unsupported(words.to_owned()));
            }
            provider.verify(&algorithm, spki, &basic.tbs, &basic.signature, allow_weak)
        })
    }
}

impl fmt::Debug for OcspResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OcspResponse").field("message", &self.message).finish_non_exhaustive()
    }
}

/// What a hash of the certificate's key may be made over: its subjectPublicKey in each form that the key has. For keys of a path whose
/// signatures hold: a compressed point is written out.
pub(super) fn key_forms(certificate: &Certificate) -> Result<Vec<Vec<u8>>, Asn1Error> {
    let mut forms = forms_at_hand(certificate)?;
    let identity = KeyIdentity::of(certificate);
    let usual = key_bits(&identity.as_spki())?.to_vec();
    if !forms.contains(&usual) {
        forms.push(usual);
    }
    Ok(forms)
}

/// The same without what would have to be worked out: for anybody's certificate.
pub(super) fn forms_at_hand(certificate: &Certificate) -> Result<Vec<Vec<u8>>, Asn1Error> {
    let identity = KeyIdentity::of(certificate);
    let mut forms = vec![key_bits(certificate.spki())?.to_vec()];
    if let Some(spki) = identity.compressed() {
        let form = key_bits(&spki)?.to_vec();
        if !forms.contains(&form) {
            forms.push(form);
        }
    }
    Ok(forms)
}

/// Content of a subjectPublicKey without the count of unused bits.
pub(super) fn key_bits(spki: &[u8]) -> Result<&[u8], Asn1Error> {
    const WHAT: &str = "SubjectPublicKeyInfo";
    let mut fields = Cursor::sequence(spki, WHAT)?;
    fields.expect(::der::Tag::Sequence, "algorithm")?;
    bit_string(fields.expect(::der::Tag::BitString, "subjectPublicKey")?, WHAT, "subjectPublicKey has unused bits")
}
