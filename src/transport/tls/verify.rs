//! The TLS library's questions about the server, answered by the validation room.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, SignatureScheme};

use super::{Pin, TlsConfig, TlsTime};
use crate::asn1::oid;
use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::crypto::{DigestAlgorithm, KeyKind, SignatureAlgorithm};
use crate::error::{Error, Refused};
use crate::time::Time;
use crate::validation::{CheckTime, Checks, KeyUsage, PeerName, validate};

/// Most certificates looked at in a handshake; the search for a path has its own budget besides.
const MAX_CERTIFICATES: usize = 16;

/// Judges servers by a [`TlsConfig`].
#[derive(Debug)]
pub(super) struct Verifier(pub(super) Arc<TlsConfig>);

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.judge(end_entity, intermediates, server_name, ocsp_response, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(error) => Err(refusal(error)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.check_signature(message, certificate, signed, false)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.check_signature(message, certificate, signed, true)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.iter().map(|known| known.scheme).collect()
    }
}

impl Verifier {
    fn judge(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<(), Error> {
        let config = &*self.0;
        if intermediates.len() >= MAX_CERTIFICATES {
            let words = format!("it sends {} certificates, the limit is {MAX_CERTIFICATES}", intermediates.len() + 1);
            return Err(Error::new(Code::Limit, words));
        }
        let leaf = Certificate::from_der(end_entity)?;
        let mut pool = Vec::with_capacity(intermediates.len() + config.intermediates.len());
        // The device's own first: what a server sends can add a path, and does not choose one.
        pool.extend(config.intermediates.iter().cloned());
        // RFC 8446 section 4.4.2: besides the server's own, certificates may be there that nobody needs.
        pool.extend(intermediates.iter().filter_map(|der| Certificate::from_der(der).ok()));
        let mut checks = match config.time {
            TlsTime::System => Checks::at(Time::from_unix(i64::try_from(now.as_secs()).unwrap_or(i64::MAX))),
            TlsTime::At(time) => Checks::at(time),
            TlsTime::Since(time, instant) => {
                Checks::at(time.plus(i64::try_from(instant.elapsed().as_secs()).unwrap_or(i64::MAX)))
            }
            TlsTime::Unknown => Checks::at_unknown_time(),
        };
        // RFC 8446 section 4.4.2.2: digitalSignature, if keyUsage is there; RFC 9525 for the name.
        checks = checks
            .for_purpose(oid::KP_SERVER_AUTH)
            .with_key_usage(KeyUsage::DigitalSignature)
            .with_name(PeerName::host(&server_name.to_str()));
        checks.clock_skew_seconds = config.clock_skew_seconds;
        checks.revocation = config.revocation.clone();
        let mut status = config.status.recalled(&leaf, &pool).into_owned();
        if !ocsp_response.is_empty() {
            // RFC 6066 section 8: what is stapled is judged like any other response, and may be useless.
            let _ = status.add_ocsp(ocsp_response);
        }
        let report = validate(&*config.provider, &config.anchors, &leaf, &pool, &status, &checks);
        match report.path() {
            Some(path) => self.check_pins(path.chain()),
            None => {
                let error = report.error().unwrap_or_else(|| Error::new(Code::NoPath, "no path to a TLS anchor"));
                // What passes where nobody knows the time is refused for its time alone: the server's certificate, or what is said of
                // its revocation. A clock that is wrong would refuse it, too.
                checks.at = CheckTime::Unknown;
                let is_about_time = config.time != TlsTime::Unknown
                    && validate(&*config.provider, &config.anchors, &leaf, &pool, &status, &checks).path().is_some();
                Err(error.with(|facts| facts.is_about_time = is_about_time))
            }
        }
    }

    fn check_pins(&self, path: &[Certificate]) -> Result<(), Error> {
        if self.0.pins.is_empty() {
            return Ok(());
        }
        let provider = &*self.0.provider;
        for certificate in path {
            let found = [Pin::of_public_key(provider, certificate)?, Pin::of_certificate(provider, certificate)?];
            if found.iter().any(|pin| self.0.pins.contains(pin)) {
                return Ok(());
            }
        }
        let words = format!("none of the {} pinned fingerprints is on its path", self.0.pins.len());
        Err(Error::new(Code::NoPath, words).with(|facts| facts.refused = Some(Refused::Pin)))
    }

    fn check_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
        is_tls13: bool,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let check = || -> Result<(), Error> {
            let certificate = Certificate::from_der(certificate)?;
            let known = SCHEMES.iter().find(|known| known.scheme == signed.scheme);
            let algorithm = known.filter(|known| known.is_allowed(is_tls13, certificate.spki())).map(|k| k.algorithm);
            let algorithm = algorithm.ok_or_else(|| {
                let words = format!(
                    "the handshake is signed by {}, which does not fit its key",
                    crate::words::spaced(&signed.scheme)
                );
                Error::new(Code::Algorithm, words)
            })?;
            Ok(self.0.provider.verify(&algorithm, certificate.spki(), message, signed.signature(), false)?)
        };
        match check() {
            Ok(()) => Ok(HandshakeSignatureValid::assertion()),
            Err(error) => Err(refusal(error)),
        }
    }
}

fn refusal(error: Error) -> rustls::Error {
    let reason = OtherError(Arc::new(error));
    rustls::Error::InvalidCertificate(CertificateError::Other(reason))
}

/// One signature scheme of TLS (RFC 8446 section 4.2.3) in our terms.
pub(super) struct Scheme {
    pub scheme: SignatureScheme,
    /// As TLS calls it.
    pub name: &'static str,
    pub algorithm: SignatureAlgorithm,
    /// TLS 1.3 ties ECDSA schemes to their curve; PKCS#1 v1.5 does not sign its handshakes.
    pub(super) curve: Option<KeyKind>,
    pub(super) in_tls13: bool,
}

impl Scheme {
    fn is_allowed(&self, is_tls13: bool, spki: &[u8]) -> bool {
        let Ok(kind) = KeyKind::of_spki(spki) else { return false };
        let fits_version = !is_tls13 || (self.in_tls13 && self.curve.is_none_or(|curve| curve == kind));
        fits_version && self.algorithm.fits(kind)
    }

    /// Whether a key of ours may sign by it, whatever the version.
    pub(super) fn suits(&self, kind: KeyKind) -> bool {
        self.curve.is_none_or(|curve| curve == kind) && self.algorithm.fits(kind)
    }
}

/// Best first.
pub(super) const SCHEMES: [Scheme; 10] = {
    use DigestAlgorithm::{Sha256, Sha384, Sha512};
    use SignatureAlgorithm::{Ecdsa, Ed25519, RsaPkcs1};
    const fn scheme(
        (scheme, name): (SignatureScheme, &'static str),
        algorithm: SignatureAlgorithm,
        curve: Option<KeyKind>,
        in_tls13: bool,
    ) -> Scheme {
        Scheme { scheme, name, algorithm, curve, in_tls13 }
    }
    const fn pss(digest: DigestAlgorithm) -> SignatureAlgorithm {
        SignatureAlgorithm::RsaPss { digest, salt_len: digest.output_len() as u32 }
    }
    [
        scheme(
            (SignatureScheme::ECDSA_NISTP256_SHA256, "ecdsa_secp256r1_sha256"),
            Ecdsa(Sha256),
            Some(KeyKind::P256),
            true,
        ),
        scheme(
            (SignatureScheme::ECDSA_NISTP384_SHA384, "ecdsa_secp384r1_sha384"),
            Ecdsa(Sha384),
            Some(KeyKind::P384),
            true,
        ),
        scheme(
            (SignatureScheme::ECDSA_NISTP521_SHA512, "ecdsa_secp521r1_sha512"),
            Ecdsa(Sha512),
            Some(KeyKind::P521),
            true,
        ),
        scheme((SignatureScheme::ED25519, "ed25519"), Ed25519, Some(KeyKind::Ed25519), true),
        scheme((SignatureScheme::RSA_PSS_SHA256, "rsa_pss_rsae_sha256"), pss(Sha256), None, true),
        scheme((SignatureScheme::RSA_PSS_SHA384, "rsa_pss_rsae_sha384"), pss(Sha384), None, true),
        scheme((SignatureScheme::RSA_PSS_SHA512, "rsa_pss_rsae_sha512"), pss(Sha512), None, true),
        scheme((SignatureScheme::RSA_PKCS1_SHA256, "rsa_pkcs1_sha256"), RsaPkcs1(Sha256), None, false),
        scheme((SignatureScheme::RSA_PKCS1_SHA384, "rsa_pkcs1_sha384"), RsaPkcs1(Sha384), None, false),
        scheme((SignatureScheme::RSA_PKCS1_SHA512, "rsa_pkcs1_sha512"), RsaPkcs1(Sha512), None, false),
    ]
};
