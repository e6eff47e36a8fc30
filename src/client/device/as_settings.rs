//! The library's words for people who have a command and settings in place of a program.
//!
//! Errors and hints name what a program calls. Where a setting does the same, the texts have all three:
//! `name_in_python (devid_name_in_c, setting)`; where they have another name for a setting its row says so, and what has another form is in
//! the table here.

use super::keep::NO_LOGIN;
use super::keys;
use crate::cmp::{Profile, Tolerance};

/// What programs call, and what people do.
const TABLE: &[(&str, &str)] = &[
    ("setting directory", "setting peers.directory"),
    (
        "enroll (devid_op_enroll) brings its certificate without device memory",
        "identity.*.key takes kinds of keys that sign, such as P-256",
    ),
    (
        "a device without a reliable clock sets the time window off",
        "a device without a reliable clock has device.clock = \"none\"",
    ),
    ("protect_by_mutual_tls", "ca.login.kind = \"mutual-tls\""),
    ("acceptance policy any-order", "ca.accept = \"any-order\""),
    ("acceptance policy anything-but-the-key", "ca.accept = \"anything-but-the-key\""),
    ("the acceptance policy is exact: same-or-added takes", "ca.accept is \"exact\": \"same-or-added\" takes"),
    ("(accept_differences)", "(ca.accept = \"anything-but-the-key\")"),
    ("ask_root_update (devid_op_ask_root_update)", "devid keep does it"),
    ("forget_crl_numbers (devid_store_forget_crl_numbers)", "devid store forget-numbers"),
    (
        "by PKCS#11 open_pkcs11() (devid_key_open_pkcs11) uses it, or a callback signs (devid_key_from_callback)",
        "its pkcs11: URI stands in its place in ca.login.key",
    ),
    (
        "open_pkcs11() (devid_key_open_pkcs11) opens the key, pkcs11: in settings",
        "it is given itself, and not a file with it",
    ),
    ("no credential: set a certificate with its key, or a shared secret", NO_LOGIN),
    ("no server URL in the settings, and no exchange was given", "ca.server is not set"),
    (
        "no enrolment anchors: nothing",
        "ca.trust.issued or ca.trust.all is not set, and device memory trusts nobody for it: nothing",
    ),
    (
        "no CMP anchors: nothing",
        "ca.trust.answers or ca.trust.all is not set, and device memory trusts nobody for it: nothing",
    ),
    (
        "bring it back, or abandon the operation",
        "bring it back as the settings had it (ca.login.kind and others), or devid store abandon begins anew",
    ),
    ("inspect() (devid_inspect)", "devid inspect"),
    ("decrypt() (devid_key_decrypt) opens it", "a program opens it"),
    ("load_certificates() (devid_cert_list_add_bytes) reads it", "it is for where certificates are asked for"),
    (
        "load_certificates() (devid_cert_list_add_bytes) reads its certificates",
        "its certificates are read where certificates are asked for",
    ),
    ("enroll_pkcs10() (devid_op_enroll_pkcs10)", "devid cmp -cmd p10cr -csr FILE"),
    ("add_crls() (devid_validator_add_crls)", "devid validate --crl FILE"),
    ("add_ocsp() (devid_validator_add_ocsp)", "devid validate --ocsp FILE"),
    ("Key.load() (devid_key_load) reads it", "it is for where a private key is asked for"),
    ("read_pkcs12() (devid_pkcs12_read)", "devid import"),
    ("devid_store_export or devid export", "devid export --password"),
];

/// The words with what people can set in place of what programs call.
pub fn in_settings(words: &str) -> String {
    let mut out = words.to_owned();
    let said = keys::ALL.iter().filter_map(|key| Some((key.said?, key.path)));
    for (name, setting) in said.chain(TABLE.iter().copied()) {
        out = out.replace(name, setting);
    }
    out = three_names(&out);
    for (name, ..) in Tolerance::TABLE {
        out = out.replace(&format!("switch {name}"), &format!("ca.tolerate = [\"{name}\"]"));
    }
    for name in Profile::NAMES {
        // Whole names alone: one may begin another.
        for end in [";", ",", " ", ":", ")", "\n"] {
            out = out.replace(&format!("profile {name}{end}"), &format!("ca.profile = \"{name}\"{end}"));
        }
        if let Some(before) = out.strip_suffix(&format!("profile {name}")) {
            out = format!("{before}ca.profile = \"{name}\"");
        }
    }
    out
}

/// `name (devid_name, setting)` is the setting.
fn three_names(words: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(words.len()), words);
    while let Some(open) = rest.find(" (") {
        let (before, group) = (&rest[..open], &rest[open + 2..]);
        let Some(close) = group.find(')') else { break };
        let setting = group[..close].rsplit(", ").next().filter(|name| keys::find(name).is_some());
        let is_called = |name: &str| name.starts_with("devid_") || name.starts_with("DEVID_");
        match setting.filter(|_| is_called(group)) {
            Some(setting) => {
                let name = before.rfind(' ').map_or(0, |space| space + 1);
                out.push_str(&before[..name]);
                out.push_str(setting);
                rest = &group[close + 1..];
            }
            None => {
                out.push_str(&rest[..open + 2]);
                rest = group;
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_set_becomes_what_people_set() {
        let told =
            in_settings("see switch null_sender, profile ejbca: it may be raised (max_mac_iterations); profile 3gpp");
        assert!(
            told.starts_with("see ca.tolerate = [\"null_sender\"], ca.profile = \"ejbca\": it may be raised"),
            "{told}"
        );
        assert!(told.ends_with("(ca.limits.mac-iterations); ca.profile = \"3gpp\""), "{told}");
    }

    #[test]
    fn three_names_become_the_setting_and_other_groups_stay() {
        let told =
            in_settings("it (the CA) goes by set_time_window (devid_config_set_time_window, ca.time-window), if (so)");
        assert_eq!(told, "it (the CA) goes by ca.time-window, if (so)");
        assert_eq!(
            in_settings("x (devid_config_set_time_window, ca.nothing) (open"),
            "x (devid_config_set_time_window, ca.nothing) (open"
        );
    }

    #[test]
    fn settings_in_the_table_are_settings() {
        for (_, setting) in TABLE {
            for name in setting.split([' ', '(']).filter(|word| word.starts_with("ca.") || word.starts_with("peers.")) {
                // A setting, or a table of them.
                assert!(keys::find(name).is_some() || keys::within(name).next().is_some(), "{name}");
            }
        }
    }

    /// Whoever has a command and no program is told what to set.
    #[test]
    fn what_helps_at_the_first_contact_has_the_name_of_its_setting() {
        use crate::Code;
        use crate::transport::{Cause, Party, Phase, TransportError, TransportErrorKind as Kind, diagnose};
        use Cause::{
            ClientCertificateMissing, ClientCertificateRefused, ClientCertificateUnfit, ServerCertificate,
            ServerNotPinned,
        };
        let rows = [
            (ServerCertificate(Code::Name), "which one it is by ca.tls.name"),
            (ServerCertificate(Code::NoPath), "for certificates: ca.trust.tls; or the server"),
            (ServerCertificate(Code::SignatureInvalid), "for certificates: ca.trust.tls"),
            (ServerCertificate(Code::NotYetValid), "see ca.clock-skew"),
            (ServerCertificate(Code::RevocationUnknown), "ca.tls.crls gives lists, ca.tls.status says"),
            (ServerNotPinned, "on the path: ca.tls.pins"),
            (ClientCertificateMissing, "by ca.tls.key"),
            (ClientCertificateUnfit, "by ca.tls.key"),
            (ClientCertificateRefused, "in ca.tls.certificates"),
        ];
        for (cause, said) in rows {
            let failed = TransportError { cause: Some(cause), ..TransportError::new(Kind::Tls, Phase::Tls, "refused") };
            let error = diagnose(failed);
            assert!(error.facts().was_answered, "{cause:?}: the server was reached");
            let hint = in_settings(error.facts().hint.unwrap_or_default());
            assert!(hint.contains(said) && !hint.contains("devid_"), "{cause:?}: {hint}");
        }
        let lost = diagnose(TransportError::new(Kind::Tls, Phase::Tls, "the server closed the connection"));
        assert!(!lost.facts().was_answered);
        let proxy = TransportError {
            cause: Some(Cause::NothingListens),
            party: Party::Proxy,
            ..TransportError::new(Kind::Connect, Phase::Connect, "refused")
        };
        let hint = in_settings(diagnose(proxy).facts().hint.unwrap_or_default());
        assert!(hint.contains("port: ca.proxy.url says"), "{hint}");
    }
}
