//! One case of a pack of validation vectors, run through the Rust API. The protocol stands at the top of the packs'
//! driver: a JSON object a case, certificates in base64.

use std::sync::Arc;

use base64ct::{Base64, Encoding};
use devid::Time;
use devid::asn1::oid::{self, Oid};
use devid::asn1::x509::Certificate;
use devid::crypto::Provider;
use devid::limits::PathBudget;
use devid::validation::{
    Checks, Crl, KeyUsage, NameCheck, OcspResponse, PeerName, PolicyInputs, Profile, Report, RevocationPolicy,
    RevocationScope, StatusSources, TrustAnchors, validate,
};
use serde_json::Value;

/// The answer to one case.
pub struct Verdict {
    pub is_valid: bool,
    pub detail: String,
}

/// Parses and validates; what cannot be parsed is left out of the pool, and refuses as a leaf.
pub fn run(provider: &Arc<dyn Provider>, request: &Value) -> Verdict {
    let leaf = match Certificate::from_der(&bytes(&request["leaf"])) {
        Ok(leaf) => leaf,
        Err(error) => return Verdict { is_valid: false, detail: error.to_string() },
    };
    let anchors: TrustAnchors = certificates(&request["anchors"]).into_iter().collect();
    let pool = certificates(&request["pool"]);
    let status = status(request);
    let report = validate(&**provider, &anchors, &leaf, &pool, &status, &checks(request));
    Verdict { is_valid: report.is_valid(), detail: describe(&report) }
}

fn checks(request: &Value) -> Checks {
    let time_ms = request["time_ms"].as_i64().expect("time_ms is a number");
    let mut checks = Checks::at(Time::from_unix(time_ms.div_euclid(1000)));
    checks.profile = if request["strict"] == true { Profile::Strict } else { Profile::Default };
    checks.allow_weak = request["weak_ok"] == true;
    checks.max_intermediates = request["max_depth"].as_u64().map(|n| n as usize);
    checks.extended_key_usages = texts(&request["eku"]).map(purpose).collect();
    checks.key_usages = texts(&request["key_usage"]).map(|t| KeyUsage::from_name(t).expect("a key usage")).collect();
    let names: Vec<PeerName> = list(&request["names"]).map(peer_name).collect();
    if !names.is_empty() {
        checks.names = NameCheck::All(names);
    }
    let policy = &request["policy"];
    if !policy.is_null() {
        checks.policy = PolicyInputs {
            initial_set: texts(&policy["set"]).map(|t| t.parse().expect("an identifier")).collect(),
            require_explicit: policy["explicit"] == true,
            inhibit_mapping: policy["inhibit_map"] == true,
            inhibit_any: policy["inhibit_any"] == true,
        };
    }
    checks.budget = PathBudget::default();
    checks.revocation = revocation(request);
    checks
}

/// Status data that cannot be parsed is left out: it proves nothing.
fn status(request: &Value) -> StatusSources {
    StatusSources {
        crls: list(&request["crls"]).filter_map(|v| Crl::from_der(bytes(v)).ok()).map(Arc::new).collect(),
        ocsp: request["ocsp"]
            .as_str()
            .and_then(|_| OcspResponse::from_der(&bytes(&request["ocsp"])).ok())
            .map(Arc::new)
            .into_iter()
            .collect(),
        ..StatusSources::none()
    }
}

fn revocation(request: &Value) -> RevocationPolicy {
    let mut policy = match request["revocation"].as_str() {
        Some("hard") => RevocationPolicy::hard_fail(),
        Some("off") => RevocationPolicy::off(),
        other => panic!("a revocation mode that is not known here: {other:?}"),
    };
    if request["rev_scope"] == "leaf" {
        policy.scope = RevocationScope::LeafOnly;
    }
    policy.max_age_seconds = request["max_age_s"].as_u64().map(|age| u32::try_from(age).expect("an age in seconds"));
    policy
}

fn peer_name(name: &Value) -> PeerName {
    let value = name["value"].as_str().expect("a name");
    match name["kind"].as_str() {
        Some("DNS") => PeerName::Dns(value.to_owned()),
        Some("IP") => PeerName::Ip(value.parse().expect("an address")),
        Some("RFC822") => PeerName::Email(value.to_owned()),
        other => panic!("a kind of name that is not known here: {other:?}"),
    }
}

fn purpose(name: &str) -> Oid {
    match name {
        "serverAuth" => oid::KP_SERVER_AUTH,
        "clientAuth" => oid::KP_CLIENT_AUTH,
        "codeSigning" => oid::KP_CODE_SIGNING,
        "emailProtection" => Oid::new_unwrap("1.3.6.1.5.5.7.3.4"),
        "timeStamping" => Oid::new_unwrap("1.3.6.1.5.5.7.3.8"),
        "OCSPSigning" => Oid::new_unwrap("1.3.6.1.5.5.7.3.9"),
        "anyExtendedKeyUsage" => oid::ANY_EXTENDED_KEY_USAGE,
        other => Oid::new(other).unwrap_or_else(|_| panic!("a purpose that is not known here: {other}")),
    }
}

fn certificates(field: &Value) -> Vec<Certificate> {
    list(field).filter_map(|value| Certificate::from_der(&bytes(value)).ok()).collect()
}

fn describe(report: &Report) -> String {
    let findings: Vec<String> = report
        .findings()
        .iter()
        .map(|f| format!("{} at {:?}: {}", f.code.name(), f.certificate_index, f.text))
        .collect();
    findings.join("; ")
}

fn bytes(value: &Value) -> Vec<u8> {
    Base64::decode_vec(value.as_str().expect("base64")).expect("base64")
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    list(value).map(|v| v.as_str().expect("a text"))
}
