//! What a failure on the way to a CMP server breaks, and what may help: by its kind and its cause.

#[cfg(feature = "http")]
use super::error::Phase;
use super::error::{Cause, TransportError, TransportErrorKind as Kind};
use crate::codes::Code;
use crate::error::{Error, Rule};

const OK_OR_MESSAGE: Rule = Rule::new("RFC 9811 section 3.1 (T1, T2)", "HTTP status 200, or a PKIMessage in the body");
const MEDIA_TYPE: Rule = Rule::new("RFC 9811 section 3.2 (T1, T4)", "a PKIMessage of type application/pkixcmp");
const NOT_NOW: Rule = Rule::new("RFC 9110 section 15.6.4 (28)", "an answer, not a request to come back");
const CARRIED: Rule = Rule::new("RFC 9483 section 6.4.1", "the file of the answer beside that of the request");
const IN_TIME: Rule = Rule::new("RFC 9483 section 6 (E12)", "an answer in the time allowed");
const SIZE: Rule = Rule::new("the limit max_message_bytes", "an answer below the limit");
const TLS: Rule = Rule::new("RFC 9483 section 6.1 (T6)", "a TLS server that the anchors for TLS vouch for");
const CONNECTION: Rule = Rule::new("RFC 9483 section 6.1", "a connection to the server");

/// The error for a failure of an exchange with a CMP server. Whom it is about otherwise, a proxy or a CoAP server, has rules of its
/// own, which are named already.
pub fn diagnose(error: TransportError) -> Error {
    let rule = match error.kind {
        Kind::HttpStatus => OK_OR_MESSAGE,
        Kind::ContentType => MEDIA_TYPE,
        Kind::Busy if error.cause == Some(Cause::StillUnderWay) => CARRIED,
        Kind::Busy => NOT_NOW,
        Kind::Timeout => IN_TIME,
        Kind::TooLarge => SIZE,
        Kind::Tls => TLS,
        Kind::Connect => CONNECTION,
        _ => return error.into(),
    };
    let hint = hint(&error);
    let public = Error::from(error);
    if public.facts().requirement.is_some() {
        return public;
    }
    public.breaks(rule).with(|facts| facts.hint = hint)
}

fn hint(error: &TransportError) -> Option<&'static str> {
    let is_page = || error.content_type.as_deref().is_some_and(|kind| kind.starts_with("text/html"));
    Some(match (error.kind, error.status) {
        (Kind::HttpStatus, Some(404)) => {
            "the server has no such path: some want '/pkix/' with the slash at its end (Insta), some '/' alone (OpenSSL's mock server), most '/.well-known/cmp/p/NAME'; the path is used as it is given"
        }
        (Kind::HttpStatus, Some(400 | 496 | 497)) if wants_tls(error) => {
            "the server speaks TLS at this port: https:// in place of http://"
        }
        (Kind::HttpStatus, Some(400 | 403 | 495 | 496)) if wants_certificate(error) => {
            "the server wants a client certificate in TLS: set one (the device's identity, or the supplier's) that it trusts, by set_tls_credential (devid_config_set_tls_credential, ca.tls.key)"
        }
        (Kind::HttpStatus, Some(304)) => {
            "a cache answers in place of the server: what is asked by POST and without a condition is never \"not modified\""
        }
        (Kind::HttpStatus, Some(511)) => {
            "the network wants a login before it lets anything through (RFC 6585 section 6), such as a hotel's: the server was not asked"
        }
        (Kind::HttpStatus, Some(300..=399)) if error.location.is_none() => {
            "a redirect that says not where to: the URL is not that of a CMP server, or a login stands before it"
        }
        (Kind::HttpStatus, Some(302 | 303)) if leads_elsewhere(error) => {
            "redirects are not followed (RFC 9811 section 5), and this one leads to another page, such as a login: CMP must be reached without one, by another path or host"
        }
        (Kind::HttpStatus, Some(300..=399)) => {
            "redirects are not followed (RFC 9811 section 5): set the URL it points to, if CMP is there"
        }
        (Kind::HttpStatus, Some(401 | 403 | 407)) => {
            "the server or a proxy wants a login, or a client certificate in TLS: set_tls_credential (devid_config_set_tls_credential, ca.tls.key)"
        }
        (Kind::HttpStatus, Some(405)) => "this path takes no POST: it is not the one for CMP",
        (Kind::Busy, _) if error.cause != Some(Cause::StillUnderWay) => {
            "a front end that limits the rate turned the message away (seen at Nokia NCM and Insta): it was not processed; profile nokia-ncm tries again, or set max_retries"
        }
        (Kind::ContentType, _) if is_page() => {
            "a web page answered: the URL leads to a web server or a login page, not to CMP"
        }
        _ => return error.cause.and_then(hint_of_cause),
    })
}

#[cfg(feature = "http")]
impl TransportError {
    /// Whether another client certificate, or none, may change this: the server refuses the one that it was shown, or ends the handshake
    /// and says no reason. No such server has looked at the request.
    pub(crate) fn may_be_about_client_certificate(&self) -> bool {
        match self.cause {
            Some(Cause::ClientCertificateRefused | Cause::ClientCertificateUnfit) => return true,
            Some(Cause::TlsRefused) | None => {}
            Some(_) => return false,
        }
        match self.kind {
            Kind::Tls | Kind::Broken => self.phase == Phase::Tls,
            Kind::HttpStatus => wants_certificate(self) || matches!(self.status, Some(401 | 403)),
            _ => false,
        }
    }
}

/// nginx's words for plain HTTP at a port of TLS.
fn wants_tls(error: &TransportError) -> bool {
    error.status == Some(497)
        || says(error, &["HTTP request was sent to HTTPS port", "speaking plain HTTP to an SSL-enabled"])
}

/// nginx's and others' words and statuses for a client certificate that did not come, or is not trusted.
fn wants_certificate(error: &TransportError) -> bool {
    let statuses = [495, 496];
    error.status.is_some_and(|status| statuses.contains(&status))
        || says(error, &["No required SSL certificate was sent", "SSL certificate error"])
}

fn says(error: &TransportError, any: &[&str]) -> bool {
    error.server_words.as_ref().is_some_and(|words| any.iter().any(|part| words.contains(part)))
}

/// 302 and 303 lead browsers from a form or to a login; where CMP has moved to, 301, 307 and 308 say.
fn leads_elsewhere(error: &TransportError) -> bool {
    error.location.as_ref().is_some_and(|place| {
        ["login", "sso", "auth", "signin", "saml", "oauth"].iter().any(|part| place.to_ascii_lowercase().contains(part))
    })
}

/// What helps by the cause of a failed connection or handshake: only a path that is missing is a matter of anchors.
fn hint_of_cause(cause: Cause) -> Option<&'static str> {
    Some(match cause {
        Cause::NothingListens => {
            "nothing listens at this host and port: is a CMP server running there, and is this its port?"
        }
        Cause::ClosedUnanswered => {
            "servers that expect TLS at this port (https://), and those that the request frightened away, close without a word"
        }
        Cause::NotTls => {
            "the server speaks plain HTTP or something else at this port: http:// in place of https://, or another port"
        }
        Cause::ClientCertificateMissing => {
            "the server wants a client certificate: set one for TLS (the device's identity, or the supplier's) by set_tls_credential (devid_config_set_tls_credential, ca.tls.key)"
        }
        Cause::ClientCertificateUnfit => {
            "the client certificate's key is of a type that the server does not take: set another by set_tls_credential (devid_config_set_tls_credential, ca.tls.key)"
        }
        Cause::ClientCertificateRefused => {
            "the server does not take the client certificate: it must trust the CA that issued it, and its chain must go along in set_tls_credential (devid_config_set_tls_credential, ca.tls.certificates)"
        }
        Cause::StillUnderWay => {
            "the request lies where its carrier finds it, and each further run looks for its answer: it is not asked anew"
        }
        Cause::TlsRefused | Cause::NotHttp | Cause::TlsForHttp | Cause::CutShort => return None,
        Cause::ServerNotPinned => {
            "another server than the pinned one, or its key is new: the fingerprints are of a certificate in DER or of its SubjectPublicKeyInfo, anywhere on the path: add_tls_pin (devid_config_add_tls_pin, ca.tls.pins)"
        }
        Cause::ServerCertificate(code) => match code {
            Code::NotYetValid => {
                "the device's clock is slow, or the server's certificate is fresh: see clock_skew_seconds"
            }
            Code::Expired => "the device's clock is fast, or the server's certificate has expired",
            Code::Name => {
                "the server's certificate is for another name than the URL's: ask by a name that it holds, or say which one it is by set_tls_server_name (devid_config_set_tls_server_name, ca.tls.name)"
            }
            Code::NoPath => {
                "the server's root is not among the anchors for TLS, which are a set of their own besides those for CMP and for certificates: add_tls_anchors (devid_config_add_tls_anchors, ca.trust.tls); or the server does not send its issuing CA's certificate, which can be given to the client: add_tls_intermediates (devid_config_add_tls_intermediates, ca.tls.intermediates)"
            }
            Code::SignatureInvalid => {
                "an anchor has the issuer's name, and another key: the root has been renewed under its name, or it is another CA; the anchors for TLS are a set of their own besides those for CMP and for certificates: add_tls_anchors (devid_config_add_tls_anchors, ca.trust.tls)"
            }
            Code::RevocationUnknown => {
                "status of the server was demanded, and none is at hand: add_tls_crls (devid_config_add_tls_crls, ca.tls.crls) gives lists, set_tls_revocation (devid_config_set_tls_revocation, ca.tls.status) says whether it has to be known"
            }
            _ => return None,
        },
    })
}
