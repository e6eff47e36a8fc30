//! The library's words for people who have options in place of settings.

use devid::client::device::in_settings;

/// What settings say, and the option that says it here. Longer words first: they may hold shorter ones.
const TABLE: &[(&str, &str)] = &[
    (
        "ca.trust.answers or ca.trust.all is not set, and device memory trusts nobody for it: nothing",
        "-trusted or -srvcert is missing: nothing",
    ),
    (
        "ca.trust.issued or ca.trust.all is not set, and device memory trusts nobody for it: nothing",
        "-out_trusted or -trusted is missing: nothing",
    ),
    ("ca.trust.signer-subjects", "-expect_sender"),
    ("ca.trust.signers", "-srvcert"),
    ("ca.trust.intermediates", "-untrusted"),
    ("ca.trust.answers", "-trusted"),
    ("ca.trust.issued", "-out_trusted"),
    ("ca.trust.tls", "-tls_trusted"),
    ("ca.trust.all", "-trusted"),
    ("ca.login.reference", "-ref"),
    ("ca.login.secret", "-secret"),
    ("ca.login.certificates", "-cert"),
    ("ca.login.key", "-key"),
    ("ca.tls.certificates", "-tls_cert"),
    ("ca.tls.name", "-tls_host"),
    ("ca.tls.key", "-tls_key"),
    ("ca.proxy.url", "-proxy"),
    ("ca.http.total", "-msg_timeout"),
    ("ca.limits.total", "-total_timeout"),
    ("ca.recipient", "-recipient"),
    ("ca.server", "-server"),
];

/// The words with options in place of settings. A line of advice about a setting that has no option is no advice here.
pub fn in_options(words: &str) -> String {
    let mut out = in_settings(words);
    for (setting, option) in TABLE {
        out = out.replace(setting, option);
    }
    let is_hint = |line: &&str| line.starts_with("  hint: ") || !words.contains('\n');
    let names_a_setting = |line: &&str| line.contains("ca.") && line.split([' ', '(', '"', ',']).any(is_setting);
    let kept: Vec<&str> = out.lines().filter(|line| !(is_hint(line) && names_a_setting(line))).collect();
    kept.join("\n")
}

fn is_setting(word: &str) -> bool {
    let name = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    name.starts_with("ca.") && devid::client::device::keys::find(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_of_the_options_that_they_have() {
        let told = in_options("INVALID_ARGUMENT: no CMP anchors: nothing can be believed");
        assert_eq!(told, "INVALID_ARGUMENT: -trusted or -srvcert is missing: nothing can be believed");
        let told = in_options("NETWORK: refused\n  hint: proxy (devid_http_set_proxy, ca.proxy.url) says which");
        assert_eq!(told, "NETWORK: refused\n  hint: -proxy says which");
    }

    #[test]
    fn advice_that_nobody_can_follow_is_none() {
        let hint = "set_time_window (devid_config_set_time_window, ca.time-window) widens it";
        assert_eq!(in_options(&format!("MESSAGE_TIME: late\n  hint: {hint}")), "MESSAGE_TIME: late");
        assert_eq!(in_options(hint), "");
    }
}
