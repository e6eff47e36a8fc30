//! The options of `openssl cmp`, as of versions 3.0 to 4.0: which of them a device has a use for, and why not the others.

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// None: the option is a switch.
    Switch,
    /// Text, a name of a file, the source of a pass phrase.
    Text,
    /// A whole number.
    Number,
    /// A whole number from 0 on.
    Natural,
    /// A whole number from 1 on.
    Positive,
}

/// What becomes of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is done.
    Done,
    /// It changes nothing here, for this reason.
    Idle(&'static str),
    /// It is not for this program, for this reason. In a configuration file, which may serve others too, it is passed over.
    Others(&'static str),
    /// It cannot be done, for this reason: wherever it stands, it is refused.
    Refused(&'static str),
}

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// Its name, without the dash.
    pub name: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// What becomes of it.
    pub fate: Fate,
}

const fn of(name: &'static str, kind: Kind, fate: Fate) -> Spec {
    Spec { name, kind, fate }
}

const fn text(name: &'static str) -> Spec {
    of(name, Kind::Text, Fate::Done)
}

const fn switch(name: &'static str) -> Spec {
    of(name, Kind::Switch, Fate::Done)
}

const MOCK: Fate = Fate::Others("the mock server is a program of its own here: devid-testca");
const OPENSSL: Fate = Fate::Others(
    "there are no providers or engines of OpenSSL here; keys in tokens are named by pkcs11: URIs (devid keep)",
);
const REPLAY: Fate = Fate::Refused(
    "a recorded message has another transactionID and other nonces than the transaction at hand, and to believe it the checks \
     of RFC 9483 section 3.5 would have to go; enrolment by files is done by devid request and devid import",
);
const VERIFY: Fate = Fate::Refused("devid validates by RFC 5280 in one way, which has no such switch");

/// Every option.
pub const ALL: &[Spec] = &[
    // General.
    switch("help"),
    text("config"),
    text("section"),
    of("verbosity", Kind::Natural, Fate::Done),
    // Generic message.
    text("cmd"),
    text("infotype"),
    text("profile"),
    text("geninfo"),
    text("template"),
    text("keyspec"),
    // Certificate enrollment.
    text("newkey"),
    text("newkeypass"),
    switch("centralkeygen"),
    text("newkeyout"),
    text("subject"),
    of("days", Kind::Natural, Fate::Done),
    text("reqexts"),
    text("sans"),
    switch("san_nodefault"),
    text("policies"),
    text("policy_oids"),
    switch("policy_oids_critical"),
    of("popo", Kind::Number, Fate::Done),
    text("csr"),
    text("out_trusted"),
    switch("implicit_confirm"),
    switch("disable_confirm"),
    text("certout"),
    text("chainout"),
    // Certificate enrollment and revocation.
    text("oldcert"),
    text("issuer"),
    text("serial"),
    of("revreason", Kind::Number, Fate::Done),
    // Message transfer.
    text("server"),
    text("proxy"),
    text("no_proxy"),
    text("recipient"),
    text("path"),
    of("keep_alive", Kind::Natural, Fate::Idle("a connection is kept where the server keeps it")),
    of("msg_timeout", Kind::Natural, Fate::Done),
    of("total_timeout", Kind::Natural, Fate::Done),
    // Server authentication.
    text("trusted"),
    text("untrusted"),
    text("srvcert"),
    text("expect_sender"),
    switch("ignore_keyusage"),
    switch("unprotected_errors"),
    of("no_cache_extracerts", Kind::Switch, Fate::Idle("nothing is kept from one transaction to the next")),
    switch("ta_in_ip_extracerts"),
    text("srvcertout"),
    text("extracertsout"),
    text("cacertsout"),
    text("oldwithold"),
    text("newwithnew"),
    text("newwithold"),
    text("oldwithnew"),
    text("crlcert"),
    text("oldcrl"),
    text("crlout"),
    // Client authentication.
    text("ref"),
    text("secret"),
    text("cert"),
    text("own_trusted"),
    text("key"),
    text("keypass"),
    text("digest"),
    text("mac"),
    text("extracerts"),
    of(
        "unprotected_requests",
        Kind::Switch,
        Fate::Refused(
            "requests without protection go out only where TLS with certificates on both sides stands in: ca.login",
        ),
    ),
    // Credentials format.
    text("certform"),
    text("crlform"),
    text("keyform"),
    text("otherpass"),
    of("engine", Kind::Text, OPENSSL),
    of("provider-path", Kind::Text, OPENSSL),
    of("provider", Kind::Text, OPENSSL),
    of("provparam", Kind::Text, OPENSSL),
    of("propquery", Kind::Text, OPENSSL),
    of("rand", Kind::Text, OPENSSL),
    of("writerand", Kind::Text, OPENSSL),
    // TLS connection.
    switch("tls_used"),
    text("tls_cert"),
    text("tls_key"),
    text("tls_keypass"),
    text("tls_extra"),
    text("tls_trusted"),
    text("tls_host"),
    // Client-side debugging.
    switch("batch"),
    of("repeat", Kind::Positive, Fate::Done),
    of("reqin", Kind::Text, REPLAY),
    of("reqin_new_tid", Kind::Switch, REPLAY),
    text("reqout"),
    text("reqout_only"),
    of("rspin", Kind::Text, REPLAY),
    text("rspout"),
    of("use_mock_srv", Kind::Switch, MOCK),
    // Mock server.
    of("port", Kind::Text, MOCK),
    of("max_msgs", Kind::Natural, MOCK),
    of("srv_ref", Kind::Text, MOCK),
    of("srv_secret", Kind::Text, MOCK),
    of("srv_cert", Kind::Text, MOCK),
    of("srv_key", Kind::Text, MOCK),
    of("srv_keypass", Kind::Text, MOCK),
    of("srv_trusted", Kind::Text, MOCK),
    of("srv_untrusted", Kind::Text, MOCK),
    of("ref_cert", Kind::Text, MOCK),
    of("rsp_cert", Kind::Text, MOCK),
    of("rsp_key", Kind::Text, MOCK),
    of("rsp_keypass", Kind::Text, MOCK),
    of("rsp_crl", Kind::Text, MOCK),
    of("rsp_extracerts", Kind::Text, MOCK),
    of("rsp_capubs", Kind::Text, MOCK),
    of("rsp_newwithnew", Kind::Text, MOCK),
    of("rsp_newwithold", Kind::Text, MOCK),
    of("rsp_oldwithnew", Kind::Text, MOCK),
    of("poll_count", Kind::Natural, MOCK),
    of("check_after", Kind::Natural, MOCK),
    of("grant_implicitconf", Kind::Switch, MOCK),
    of("pkistatus", Kind::Natural, MOCK),
    of("failure", Kind::Natural, MOCK),
    of("failurebits", Kind::Natural, MOCK),
    of("statusstring", Kind::Text, MOCK),
    of("send_error", Kind::Switch, MOCK),
    of("send_unprotected", Kind::Switch, MOCK),
    of("send_unprot_err", Kind::Switch, MOCK),
    of("accept_unprotected", Kind::Switch, MOCK),
    of("accept_unprot_err", Kind::Switch, MOCK),
    of("accept_raverified", Kind::Switch, MOCK),
    // Validation.
    switch("crl_check"),
    switch("crl_check_all"),
    switch("partial_chain"),
    of("attime", Kind::Number, Fate::Done),
    of("no_check_time", Kind::Switch, VERIFY),
    of("x509_strict", Kind::Switch, Fate::Idle("validation is strict")),
    of("trusted_first", Kind::Switch, Fate::Idle("anchors come first")),
    of("check_ss_sig", Kind::Switch, Fate::Idle("an anchor is believed by its key")),
    of("no_alt_chains", Kind::Switch, Fate::Idle("all paths are tried")),
    of("allow_proxy_certs", Kind::Switch, VERIFY),
    of("auth_level", Kind::Natural, VERIFY),
    of("explicit_policy", Kind::Switch, VERIFY),
    of("extended_crl", Kind::Switch, VERIFY),
    of("ignore_critical", Kind::Switch, VERIFY),
    of("inhibit_any", Kind::Switch, VERIFY),
    of("inhibit_map", Kind::Switch, VERIFY),
    of("issuer_checks", Kind::Switch, Fate::Idle("nothing of it is left in OpenSSL either")),
    of("policy", Kind::Text, VERIFY),
    of("policy_check", Kind::Switch, VERIFY),
    of("policy_print", Kind::Switch, VERIFY),
    of("purpose", Kind::Text, VERIFY),
    of("suiteB_128", Kind::Switch, VERIFY),
    of("suiteB_128_only", Kind::Switch, VERIFY),
    of("suiteB_192", Kind::Switch, VERIFY),
    of("use_deltas", Kind::Switch, VERIFY),
    of("verify_depth", Kind::Natural, VERIFY),
    of("verify_email", Kind::Text, VERIFY),
    of("verify_hostname", Kind::Text, VERIFY),
    of("verify_ip", Kind::Text, VERIFY),
    of("verify_name", Kind::Text, VERIFY),
];

/// An option by its name, with or without dashes.
pub fn find(name: &str) -> Option<&'static Spec> {
    ALL.iter().find(|spec| spec.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_option_stands_there_once() {
        let names: std::collections::BTreeSet<&str> = ALL.iter().map(|spec| spec.name).collect();
        assert_eq!(names.len(), ALL.len());
    }
}
