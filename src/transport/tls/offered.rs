//! What a handshake offers, by the names of the standards: made from the lists that it is made from, and said where a server does not
//! come to terms.

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::{TLS12, TLS13};
use rustls::{NamedGroup, ProtocolVersion, SupportedProtocolVersion};

use super::TlsVersion;
use super::verify::SCHEMES;
use crate::crypto::KeyKind;
use crate::words::as_written;

/// Whose algorithms the record layer and the key exchange go by.
pub(super) fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}

/// The versions from this one on, the best first.
pub(super) fn versions(least: TlsVersion) -> Vec<&'static SupportedProtocolVersion> {
    match least {
        TlsVersion::Tls12 => vec![&TLS13, &TLS12],
        TlsVersion::Tls13 => vec![&TLS13],
    }
}

/// What a server must share to come to terms, version by version.
pub(super) fn offered(least: TlsVersion) -> String {
    let provider = provider();
    let told: Vec<String> = versions(least).iter().map(|version| of_version(&provider, version.version)).collect();
    format!("offered are {}", told.join(", and "))
}

fn of_version(provider: &CryptoProvider, version: ProtocolVersion) -> String {
    let suites = provider.cipher_suites.iter().filter(|suite| suite.version().version == version);
    // The library's names tell the versions apart, the standard's do not.
    let suites: Vec<String> = suites.map(|suite| as_written(&suite.suite()).replace("TLS13_", "TLS_")).collect();
    let groups: Vec<String> = groups(provider, version).iter().map(as_written).collect();
    format!(
        "{} (cipher suites {}; groups {}; signatures {})",
        if version == ProtocolVersion::TLSv1_3 { "TLS 1.3" } else { "TLS 1.2" },
        suites.join(", "),
        groups.join(", "),
        signatures(provider, version).join(", ")
    )
}

fn groups(provider: &CryptoProvider, version: ProtocolVersion) -> Vec<NamedGroup> {
    provider.kx_groups.iter().filter(|group| group.usable_for_version(version)).map(|group| group.name()).collect()
}

/// Under TLS 1.2 the curve of an ECDSA certificate has to be among the groups (RFC 8422 section 5.1), and PKCS#1 v1.5 signs handshakes;
/// under TLS 1.3 neither (RFC 8446 section 4.2.3).
fn signatures(provider: &CryptoProvider, version: ProtocolVersion) -> Vec<&'static str> {
    let groups = groups(provider, version);
    let has_group = |curve| group_of(curve).is_none_or(|group| groups.contains(&group));
    let fits = |scheme: &&super::verify::Scheme| match version {
        ProtocolVersion::TLSv1_3 => scheme.in_tls13,
        _ => scheme.curve.is_none_or(has_group),
    };
    SCHEMES.iter().filter(fits).map(|scheme| scheme.name).collect()
}

/// The group that is a curve of ECDSA.
fn group_of(curve: KeyKind) -> Option<NamedGroup> {
    match curve {
        KeyKind::P256 => Some(NamedGroup::secp256r1),
        KeyKind::P384 => Some(NamedGroup::secp384r1),
        KeyKind::P521 => Some(NamedGroup::secp521r1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_offered_is_named_and_nothing_else() {
        let all = offered(TlsVersion::Tls12);
        for suite in provider().cipher_suites {
            let name = as_written(&suite.suite()).replace("TLS13_", "TLS_");
            assert!(all.contains(&name), "{name}: {all}");
        }
        for group in provider().kx_groups {
            assert!(all.contains(&as_written(&group.name())), "{all}");
        }
        for scheme in &SCHEMES {
            assert!(all.contains(scheme.name), "{}: {all}", scheme.name);
        }
        let (tls13, tls12) = all.split_once(", and ").unwrap();
        assert!(tls13.contains("TLS 1.3 (") && tls12.contains("TLS 1.2 ("), "{all}");
        // A certificate over P-521 is taken under TLS 1.3 alone, as long as no key is agreed over that curve.
        let has_group = provider().kx_groups.iter().any(|group| group.name() == NamedGroup::secp521r1);
        assert!(tls13.contains("ecdsa_secp521r1_sha512"), "{tls13}");
        assert_eq!(tls12.contains("ecdsa_secp521r1_sha512"), has_group, "{tls12}");
        assert!(tls12.contains("rsa_pkcs1_sha256") && !tls13.contains("rsa_pkcs1"), "{all}");
        assert!(!tls12.contains("MLKEM"), "no group of TLS 1.3 alone: {tls12}");
        // The dark twin: what is ruled out is not offered.
        let ruled_out = offered(TlsVersion::Tls13);
        assert!(!ruled_out.contains("TLS 1.2") && !ruled_out.contains("ECDHE"), "{ruled_out}");
    }
}
