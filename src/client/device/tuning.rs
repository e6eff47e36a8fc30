//! From settings to the client: what narrows or loosens, and what CAs with habits of their own need.

use super::reading::{Reading, of_value};
use super::settings::{LEAST_ITERATIONS, Login, octets};
use super::wrong;
use crate::asn1::der::element;
use crate::client::Config;
use crate::client::certificates::ReadAs;
use crate::client::subject::parse_oid;
use crate::cmp::MacParameters;
use crate::crypto::{DigestAlgorithm, SignatureAlgorithm};
use crate::error::Error;
use crate::limits::Limits;

impl Reading<'_> {
    pub(super) fn general_info(&self, config: &mut Config) -> Result<(), Error> {
        for item in &self.settings.ca.general_info {
            let identifier = of_value("ca.general-info.oid", parse_oid(&item.oid))?;
            let value = match (&item.hex, &item.utf8) {
                (None, None) => Vec::new(),
                (hex, utf8) => value_of("ca.general-info", hex.as_deref(), utf8.as_deref())?,
            };
            of_value("ca.general-info", config.add_general_info(identifier, &value))?;
        }
        Ok(())
    }

    /// Who may protect answers, besides being below the anchors.
    pub(super) fn signers(&self, config: &mut Config) -> Result<(), Error> {
        let trust = &self.settings.ca.trust;
        self.crls("ca.trust.crls", &trust.crls, &mut config.signer_status)?;
        Ok(())
    }

    /// TLS servers.
    pub(super) fn tls_servers(&self, config: &mut Config) -> Result<(), Error> {
        let tls = &self.settings.ca.tls;
        config.tls.intermediates =
            self.certificates("ca.tls.intermediates", &tls.intermediates, ReadAs::Certificates)?;
        self.crls("ca.tls.crls", &tls.crls, &mut config.tls.status)?;
        Ok(())
    }
}

/// How the MAC under the secret is made: as the profile says, where the settings say nothing else.
pub(super) fn mac_of(login: &Login, profile: Option<MacParameters>, limits: &Limits) -> Result<MacParameters, Error> {
    use super::settings::MacKind;
    let mut parameters = match (login.mac, profile) {
        (None, Some(profile)) => profile,
        (Some(MacKind::Pbmac1), Some(profile @ MacParameters::Pbmac1 { .. })) => profile,
        (Some(MacKind::PasswordBased), Some(profile @ MacParameters::PasswordBased { .. })) => profile,
        (Some(MacKind::Pbmac1), _) => MacParameters::PBMAC1,
        (Some(MacKind::PasswordBased) | None, _) => MacParameters::PASSWORD_BASED,
    };
    let unknown =
        |name: &str| wrong(format!("ca.login.mac-digest: \"{name}\" is none; SHA1, SHA256, SHA384 and SHA512 are"));
    let digest = match &login.mac_digest {
        Some(name) => Some(DigestAlgorithm::from_name(name).ok_or_else(|| unknown(name))?),
        None => None,
    };
    match &mut parameters {
        MacParameters::PasswordBased { owf: first, mac, iterations }
        | MacParameters::Pbmac1 { prf: first, mac, iterations } => {
            (*first, *mac) = (digest.unwrap_or(*first), digest.unwrap_or(*mac));
            *iterations = login.mac_iterations.unwrap_or(*iterations);
            let most = limits.max_mac_iterations;
            if !(LEAST_ITERATIONS..=most).contains(iterations) {
                return Err(wrong(format!(
                    "ca.login.mac-iterations: expected {LEAST_ITERATIONS} to {most} (ca.limits.mac-iterations), found {iterations}"
                )));
            }
        }
    }
    Ok(parameters)
}

/// The algorithm that protects messages of the login, where the key's default is not what the CA wants.
pub(super) fn signature_of(wanted: &str) -> Result<SignatureAlgorithm, Error> {
    let unknown =
        || wrong(format!("ca.login.signature: \"{wanted}\" is none; RSA-PSS-SHA256 and ECDSA-SHA384 are such names"));
    SignatureAlgorithm::from_name(wanted).ok_or_else(unknown)
}

/// A value in DER: given so in hexadecimal, or as text that becomes an UTF8String.
pub(super) fn value_of(what: &str, hex: Option<&str>, utf8: Option<&str>) -> Result<Vec<u8>, Error> {
    match (hex, utf8) {
        (Some(digits), None) => octets(digits).ok_or_else(|| wrong(format!("{what}.hex: \"{digits}\" are no octets"))),
        (None, Some(text)) => Ok(element(0x0c, &[text.as_bytes()])),
        _ => Err(wrong(format!("{what}: one of hex and utf8 says the value"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::device::{Device, keys};
    use crate::cmp::Acceptance;
    use crate::transport::tls::{Pin, TlsVersion};
    use crate::validation::RevocationMode;
    use std::path::PathBuf;

    type Look = fn(&Config) -> bool;

    fn device(name: &str) -> (PathBuf, Device) {
        let folder = std::env::temp_dir().join(format!("devid-tuning-{name}-{}", std::process::id()));
        let device = Device::new(&folder).unwrap();
        (folder, device)
    }

    /// Each setting reaches the client: without it the look says no, with it yes.
    const REACHES: &[(&str, &str, Look)] = &[
        ("ca.adopt-root", "true", |c| c.adopt_root_of_ip),
        ("ca.root-fingerprints", "[\"000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f\"]", |c| {
            c.root_fingerprints.len() == 1
        }),
        ("ca.accept", "exact", |c| matches!(c.acceptance, Acceptance::Exact)),
        ("ca.tolerate", "unprotected-errors", |c| c.tolerance.unprotected_errors),
        ("ca.refuse", "null_sender", |c| !c.tolerance.null_sender),
        ("ca.send-time", "false", |c| !c.send_message_time),
        ("ca.clock-skew", "17s", |c| c.clock_skew_seconds == 17),
        ("ca.possession", "encrCert", |c| c.possession.is_some()),
        ("ca.limits.message-bytes", "2000", |c| c.limits.max_message_bytes == 2000),
        ("ca.limits.certificates", "7", |c| c.limits.max_certificates == 7),
        ("ca.limits.polls", "7", |c| c.limits.max_polls == 7),
        ("ca.limits.check-after", "1h", |c| c.limits.max_check_after_seconds == 3600),
        ("ca.limits.total", "1h", |c| c.limits.max_total_seconds == 3600),
        ("ca.limits.mac-iterations", "700", |c| c.limits.max_mac_iterations == 700),
        ("ca.limits.mac-salt-bytes", "17", |c| c.limits.max_mac_salt_bytes == 17),
        ("ca.http.version", "1.0", |c| c.server.use_http_1_0),
        ("ca.trust.signer-subjects", "CN=RA", |c| c.authorisation.subjects.len() == 1),
        ("ca.trust.signer-cmc", "true", |c| c.authorisation.cmc_purpose),
        ("ca.trust.signer-any", "true", |c| c.authorisation.any_under_anchors),
        ("ca.trust.status", "hard", |c| c.signer_revocation.mode == RevocationMode::HardFail),
        ("ca.tls.pins", "spki:000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f", |c| {
            matches!(c.tls.pins[..], [Pin::PublicKey(_)])
        }),
        ("ca.tls.min-version", "1.3", |c| c.tls.min_version == TlsVersion::Tls13),
        ("ca.tls.status", "soft", |c| c.tls.revocation.mode == RevocationMode::SoftFail),
        #[cfg(feature = "coap")]
        ("ca.coap.block", "64", |c| c.server.coap.block_bytes == 64),
        #[cfg(feature = "coap")]
        ("ca.coap.ack", "9s", |c| c.server.coap.ack_timeout.as_secs() == 9),
        #[cfg(feature = "coap")]
        ("ca.coap.retransmit", "9", |c| c.server.coap.max_retransmit == 9),
        #[cfg(feature = "coap")]
        ("ca.coap.strict-type", "true", |c| c.server.coap.strict_content_type),
        ("ca.server", "http://ca.example/cmp", |c| c.server.url.as_deref() == Some("http://ca.example/cmp")),
        ("ca.profile", "ejbca", |c| c.tolerance.unprotected_errors),
        ("ca.recipient", "CN=CA", |c| c.recipient.is_some()),
        ("ca.cert-profile", "x", |c| c.cert_profile.is_some()),
        ("ca.confirm", "implicit", |c| c.ask_implicit_confirm),
        ("ca.time-window", "9s", |c| c.message_time_window_seconds == Some(9)),
        ("ca.accept-ca-pubs", "true", |c| c.accept_ca_pubs),
        ("ca.proxy.url", "http://p:1", |c| c.server.proxy_url.is_some()),
        ("ca.http.connect", "9s", |c| c.exchange_limits.connect_timeout.as_secs() == 9),
        ("ca.http.read", "9s", |c| c.exchange_limits.read_timeout.as_secs() == 9),
        ("ca.http.total", "9s", |c| c.exchange_limits.total_timeout.as_secs() == 9),
        ("ca.http.retries", "9", |c| c.max_retries == 9),
        ("ca.tls.name", "a.example", |c| c.tls.server_name.is_some()),
    ];

    /// Settings that name files, or that only the login has: other tests try them.
    const ELSEWHERE: &[&str] = &["ca.login.", "ca.trust.", "ca.tls.", "ca.proxy.", "ca.general-info."];

    #[test]
    fn every_setting_reaches_the_client() {
        let (folder, mut device) = device("reaches");
        for (key, value, look) in REACHES {
            assert!(!look(&device.config(false).unwrap()), "{key} has its value without being set");
            let before = device.table.clone();
            device.set(key, value).unwrap_or_else(|e| panic!("{key} = {value}: {e}"));
            assert!(look(&device.config(false).unwrap()), "{key} = {value} does not reach the client");
            device.table = before;
            device.settings = super::super::loading::read(&device.table).unwrap();
        }
        let is_tried = |key: &str| REACHES.iter().any(|(tried, ..)| *tried == key);
        let is_elsewhere = |key: &str| ELSEWHERE.iter().any(|begin| key.starts_with(begin));
        for key in keys::ALL.iter().map(|key| key.path).filter(|key| key.starts_with("ca.")) {
            assert!(is_tried(key) || is_elsewhere(key) || cfg!(not(feature = "coap")), "nobody tries {key}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn every_tolerance_and_limit_of_the_library_has_a_setting() {
        for (name, ..) in crate::cmp::Tolerance::TABLE {
            let mut tolerance = crate::cmp::Tolerance::default();
            assert!(tolerance.set(&name.replace('_', "-").replace('-', "_"), true).is_ok());
        }
        let named = |path: &str| keys::ALL.iter().any(|key| key.path == path);
        for limit in
            ["message-bytes", "certificates", "polls", "check-after", "total", "mac-iterations", "mac-salt-bytes"]
        {
            assert!(named(&format!("ca.limits.{limit}")), "{limit}");
        }
        let login = Login { mac_digest: Some("SHA384".into()), mac_iterations: Some(500), ..Login::default() };
        let MacParameters::PasswordBased { owf, mac, iterations } = mac_of(&login, None, &Limits::default()).unwrap()
        else {
            panic!("not that")
        };
        assert_eq!((owf, mac, iterations), (DigestAlgorithm::Sha384, DigestAlgorithm::Sha384, 500));
        for wrong in [
            Login { mac_digest: Some("MD5".into()), ..Login::default() },
            Login { mac_iterations: Some(99), ..Login::default() },
            Login { mac_iterations: Some(u32::MAX), ..Login::default() },
        ] {
            assert!(mac_of(&wrong, None, &Limits::default()).unwrap_err().message().contains("ca.login.mac-"));
        }
    }

    #[test]
    fn what_is_no_value_is_refused_with_its_setting() {
        assert_eq!(value_of("x", None, Some("a")).unwrap(), [0x0c, 1, b'a']);
        assert_eq!(value_of("x", Some("0500"), None).unwrap(), [5, 0]);
        for (hex, utf8) in [(None, None), (Some("05"), Some("a")), (Some("5"), None), (Some("zz"), None)] {
            assert!(value_of("x", hex, utf8).is_err(), "{hex:?} {utf8:?}");
        }
        let (folder, mut device) = device("refused");
        for pin in ["", "sha256:", "sha256:00", "md5:00", "spki"] {
            device.set("ca.tls.pins", pin).unwrap();
            assert!(device.config(false).unwrap_err().to_string().contains("ca.tls.pins: "), "{pin}");
        }
        device.table.clear();
        for (key, value) in [
            ("ca.http.version", "2"),
            ("ca.tls.min-version", "1.1"),
            ("ca.tolerate", "nothing"),
            ("ca.accept", "all"),
            ("ca.clock-skew", "86401s"),
            ("ca.clock-skew", "1000000d"),
        ] {
            let judged = device.set(key, value).and_then(|()| device.config(false).map(|_| ()));
            assert!(judged.is_err(), "{key} = {value}");
            device.table.clear();
            device.settings = super::super::loading::read(&device.table).unwrap();
        }
        // Nobody is allowed by a list that is empty, and everybody by none.
        for key in ["ca.trust.signers", "ca.trust.signer-subjects", "ca.tls.pins"] {
            let refused = device.set(key, "[]").unwrap_err().to_string();
            assert!(refused.contains("allows nobody") && refused.contains(key), "{key}: {refused}");
        }
        let _ = std::fs::remove_dir_all(folder);
    }
}
