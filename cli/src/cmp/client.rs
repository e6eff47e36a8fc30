//! Whom to believe, who we are, and the way to the server.

use std::time::Duration;

use devid::asn1::cmp::CrlSource;
use devid::asn1::name::Name;
use devid::client::Config;
use devid::cmp::{Acceptance, MacParameters, Signer};
use devid::crypto::{DigestAlgorithm, KeyKind, SignatureAlgorithm};
use devid::validation::{Crl, RevocationMode, RevocationPolicy, RevocationScope, TrustAnchors};

use super::options::{Options, items};
use super::{Cmd, material, wanted};
use crate::attendant::cancel;
use crate::failure::Failure;
use crate::output::Output;

/// Iterations of the MAC under a secret, as openssl cmp has them: CAs of its generation take no more than some 2,000.
const MAC_ITERATIONS: u32 = 500;

/// The client's settings.
pub fn config(options: &Options, cmd: Cmd, output: Output) -> Result<Config, Failure> {
    let mut config = Config::new();
    config.acceptance = Acceptance::AnythingButTheKey;
    way(options, &mut config, output)?;
    believe(options, &mut config, output)?;
    anchors_of_new_certificates(options, cmd, &mut config, output)?;
    credential(options, &mut config, output)?;
    config.recipient = recipient(options, output)?;
    config.cert_profile = options.text("profile").map(str::to_owned);
    for (info_type, value) in options.text("geninfo").map(wanted::general_info).transpose()?.unwrap_or_default() {
        config.add_general_info(info_type, &value)?;
    }
    config.ask_implicit_confirm = options.is_on("implicit_confirm");
    let tolerance = &mut config.tolerance;
    tolerance.never_confirm = options.is_on("disable_confirm");
    tolerance.signer_key_usage = options.is_on("ignore_keyusage");
    tolerance.unprotected_errors = options.is_on("unprotected_errors");
    tolerance.unmatched_errors = options.is_on("unprotected_errors");
    // As OpenSSL writes keys that it makes.
    tolerance.bare_generated_key = true;
    tolerance.pkcs1_key_transport = true;
    tolerance.renamed_root = true;
    config.exchange_limits.cancel = Some(cancel().clone());
    Ok(config)
}

fn way(options: &Options, config: &mut Config, output: Output) -> Result<(), Failure> {
    let limits = &mut config.exchange_limits;
    let (message, total) = (options.number("msg_timeout"), options.number("total_timeout"));
    if let (Some(message), Some(total)) = (message.filter(|n| *n > 0), total.filter(|n| *n > 0)) {
        if total < message {
            return Err(Failure::usage(format!("-total_timeout {total} is less than -msg_timeout {message}")));
        }
    }
    if let Some(seconds) = message {
        // 0: without end, which no device can afford; a day is more than any exchange takes.
        let time = Duration::from_secs(if seconds == 0 { 86_400 } else { seconds as u64 });
        (limits.read_timeout, limits.total_timeout) = (time, time);
        limits.connect_timeout = limits.connect_timeout.min(time);
    }
    if let Some(seconds) = total.filter(|seconds| *seconds > 0) {
        let time = Duration::from_secs(seconds as u64);
        limits.total_timeout = limits.total_timeout.min(time);
        config.limits.max_total_seconds = seconds as u32;
    }
    let Some(server) = options.text("server") else {
        return match options.is_on("reqout_only") {
            true => Ok(()),
            false => Err(Failure::usage("-server says where the CA is: [http[s]://]HOST[:PORT][/PATH]")),
        };
    };
    let is_tls = server.starts_with("https://") || options.is_on("tls_used");
    let plain = server.trim_start_matches("https://").trim_start_matches("http://");
    if server.contains("://") && plain.len() == server.len() {
        return Err(Failure::usage(format!("-server {server}: http and https are spoken")));
    }
    let (authority, path) = plain.split_once('/').unwrap_or((plain, ""));
    let path = options.text("path").unwrap_or(path);
    let scheme = if is_tls { "https" } else { "http" };
    config.server.url = Some(format!("{scheme}://{authority}/{}", path.strip_prefix('/').unwrap_or(path)));
    proxy(options, config, authority, is_tls)?;
    if is_tls { tls(options, config, output) } else { Ok(()) }
}

/// By option, or by the environment as OpenSSL asks it.
fn proxy(options: &Options, config: &mut Config, authority: &str, is_tls: bool) -> Result<(), Failure> {
    let variable = |names: [&str; 2]| names.iter().find_map(|name| std::env::var(name).ok()).filter(|v| !v.is_empty());
    let names = if is_tls { ["https_proxy", "HTTPS_PROXY"] } else { ["http_proxy", "HTTP_PROXY"] };
    let Some(proxy) = options.text("proxy").map(str::to_owned).or_else(|| variable(names)) else { return Ok(()) };
    let except = options.text("no_proxy").map(str::to_owned).or_else(|| variable(["no_proxy", "NO_PROXY"]));
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    if except.is_some_and(|list| items(&list).any(|known| known.trim_matches(['[', ']']) == host)) {
        return Ok(());
    }
    if proxy.starts_with("https://") {
        return Err(Failure::usage(format!("-proxy {proxy}: proxies are spoken to by http")));
    }
    let authority = proxy.trim_start_matches("http://").split('/').next().unwrap_or_default();
    config.server.proxy_url = Some(format!("http://{authority}"));
    Ok(())
}

fn tls(options: &Options, config: &mut Config, output: Output) -> Result<(), Failure> {
    let (anchors, helpers) = material::anchors(options, "tls_trusted", output)?;
    if anchors.is_empty() {
        let words = "-tls_trusted is missing: a TLS server that nobody vouches for is not spoken to";
        return Err(Failure::usage(words));
    }
    config.tls.anchors = anchors;
    config.tls.intermediates = helpers;
    config.tls.intermediates.extend(material::lists(options, "untrusted", output)?);
    config.tls.server_name = options.text("tls_host").map(str::to_owned);
    match (options.path("tls_cert"), options.path("tls_key")) {
        (Some(certificate), Some(key)) => {
            let password = material::pass(options, "tls_keypass")?;
            let mut chain = material::chain(&certificate, password.as_ref())?;
            chain.extend(material::lists(options, "tls_extra", output)?);
            Ok(config.tls.set_credential(material::key(&key, password.as_ref())?, &chain)?)
        }
        (None, None) => {
            output.say("no -tls_cert: the server does not get to know this client by TLS");
            Ok(())
        }
        _ => Err(Failure::usage("-tls_cert and -tls_key belong together: one of them is missing")),
    }
}

/// Who may sign answers.
fn believe(options: &Options, config: &mut Config, output: Output) -> Result<(), Failure> {
    config.intermediates = material::lists(options, "untrusted", output)?;
    config.authorisation.any_under_anchors = true;
    config.adopt_root_of_ip = options.is_on("ta_in_ip_extracerts");
    match material::pin(options, "srvcert", "otherpass")? {
        Some(signer) => {
            if options.is_on("trusted") {
                output.say("-trusted does not count for answers where -srvcert says who the server is");
            }
            config.cmp_anchors.add(signer.clone());
            config.pin_signers(vec![signer]);
        }
        None => {
            let (anchors, helpers) = material::anchors(options, "trusted", output)?;
            config.cmp_anchors = anchors;
            config.intermediates.extend(helpers);
            if options.is_on("crl_check") || options.is_on("crl_check_all") {
                config.signer_revocation = RevocationPolicy {
                    mode: RevocationMode::HardFail,
                    scope: match options.is_on("crl_check_all") {
                        true => RevocationScope::WholeChain,
                        false => RevocationScope::LeafOnly,
                    },
                    ..RevocationPolicy::default()
                };
            }
        }
    }
    if let Some(name) = wanted::name(options, "expect_sender", output)?.filter(|name| !name.is_null()) {
        config.authorisation.subjects.push(name);
    }
    Ok(())
}

/// Where new certificates lead. Where nothing says so, whoever is believed to answer is believed about that too: see
/// [`talk`](super::talk).
fn anchors_of_new_certificates(
    options: &Options,
    cmd: Cmd,
    config: &mut Config,
    output: Output,
) -> Result<(), Failure> {
    let (anchors, helpers) = material::anchors(options, "out_trusted", output)?;
    config.enrolment_anchors = anchors;
    config.intermediates.extend(helpers);
    if !config.enrolment_anchors.is_empty() || !matches!(cmd, Cmd::Certificate(_)) {
        return Ok(());
    }
    output.say("no -out_trusted: a certificate is believed to be the CA's because the answer was");
    let known: TrustAnchors = config.cmp_anchors.clone();
    config.enrolment_anchors = known;
    if options.is_on("srvcert") && options.is_on("trusted") {
        // It says nothing of who the server is; what it is good for is where certificates lead.
        let (anchors, helpers) = material::anchors(options, "trusted", output)?;
        anchors.iter().for_each(|anchor| config.enrolment_anchors.add(anchor.clone()));
        config.intermediates.extend(helpers);
    }
    if config.enrolment_anchors.is_empty() {
        for certificate in config.intermediates.clone() {
            config.enrolment_anchors.add(certificate);
        }
    }
    // By a secret alone the CA's own word stands for its root (RFC 9483 section 4.1.5).
    config.accept_ca_pubs = config.enrolment_anchors.is_empty();
    Ok(())
}

/// Whether `anchors_of_new_certificates` had nothing to go by.
pub fn believes_the_answer(options: &Options, cmd: Cmd) -> bool {
    matches!(cmd, Cmd::Certificate(_)) && !options.is_on("out_trusted")
}

fn credential(options: &Options, config: &mut Config, output: Output) -> Result<(), Failure> {
    let digest = options.text("digest").map(|name| digest_named("digest", name)).transpose()?;
    if let Some(secret) = material::secret(options, "secret")? {
        if options.is_on("cert") || options.is_on("key") {
            output.say("-cert and -key protect nothing where -secret is given");
        }
        let reference = options.text("ref").unwrap_or_default().as_bytes();
        if reference.is_empty() && !options.is_on("cert") && !options.is_on("subject") {
            return Err(Failure::usage("-ref says by which reference value the CA knows the secret"));
        }
        let mac = options.text("mac").map(|name| digest_named("mac", name)).transpose()?;
        let sha256 = DigestAlgorithm::Sha256;
        let parameters = MacParameters::PasswordBased {
            owf: digest.unwrap_or(sha256),
            // openssl-cmp(1), -mac: "By default this is hmac-sha1 as per RFC 4210".
            mac: mac.unwrap_or(DigestAlgorithm::Sha1),
            iterations: MAC_ITERATIONS,
        };
        config.tolerance.null_mac_sender = reference.is_empty();
        return Ok(config.protect_with_secret(reference, &secret, parameters)?);
    }
    if options.is_on("mac") {
        digest_named("mac", options.text("mac").unwrap_or_default())?;
    }
    let (Some(key), Some(certificate)) = (options.path("key"), options.path("cert")) else {
        return Err(Failure::usage("-cert and -key, or -ref and -secret, say who asks"));
    };
    let password = material::pass(options, "keypass")?;
    let key = Signer::Key(material::key(&key, password.as_ref())?);
    let mut chain = material::chain(&certificate, password.as_ref())?;
    for certificate in material::lists(options, "extracerts", output)?.into_iter().chain(config.intermediates.clone()) {
        if !chain.contains(&certificate) {
            chain.push(certificate);
        }
    }
    own_path(options, &chain, output)?;
    let kind = key.kind();
    config.set_credential(key, &chain)?;
    if let Some(digest) = digest {
        config.set_protection_algorithm(match kind {
            KeyKind::Rsa(_) => SignatureAlgorithm::RsaPkcs1(digest),
            KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => SignatureAlgorithm::Ecdsa(digest),
            _ => return Err(Failure::usage(format!("-digest: a key of type {kind} signs without one of choice"))),
        })?;
    }
    Ok(())
}

/// `-own_trusted`: the own certificate leads there, or nothing is sent.
fn own_path(options: &Options, chain: &[devid::asn1::x509::Certificate], output: Output) -> Result<(), Failure> {
    use devid::validation::{Checks, StatusSources, validate};
    let (anchors, mut pool) = material::anchors(options, "own_trusted", output)?;
    let ([own, above @ ..], false) = (chain, anchors.is_empty()) else { return Ok(()) };
    pool.extend(above.iter().cloned());
    let provider = devid::crypto::default_provider();
    let checks = Checks::at(super::talk::now(options));
    let report = validate(&*provider, &anchors, own, &pool, &StatusSources::none(), &checks);
    match report.path() {
        Some(_) => Ok(()),
        None => {
            let cause = report.error().unwrap_or_else(|| devid::Error::new(devid::Code::NoPath, "no path"));
            Err(cause.context("-own_trusted").into())
        }
    }
}

/// sha256, SHA-256, hmac-sha256 and hmacWithSHA256 name the same digest.
fn digest_named(option: &str, text: &str) -> Result<DigestAlgorithm, Failure> {
    let small = text.to_ascii_lowercase();
    let plain = small.trim_start_matches("hmacwith").trim_start_matches("hmac-");
    if option == "mac" && plain.len() == small.len() {
        return Err(Failure::usage(format!("-mac {text}: hmac-sha1, hmac-sha256 and the like are known")));
    }
    let found = DigestAlgorithm::from_name(plain);
    found.ok_or_else(|| Failure::usage(format!("-{option} {text}: sha1, sha224, sha256, sha384 and sha512 are known")))
}

/// By option; else the server's or the issuer's name, as far as they are known.
fn recipient(options: &Options, output: Output) -> Result<Option<Name>, Failure> {
    if let Some(signer) = material::pin(options, "srvcert", "otherpass")? {
        return Ok(Some(Name::from_der(signer.subject())?));
    }
    for option in ["recipient", "issuer"] {
        if let Some(name) = wanted::name(options, option, output)? {
            return Ok(Some(name));
        }
    }
    for option in ["oldcert", "cert"] {
        if let Some(certificate) = material::certificate(options, option, "keypass")? {
            return Ok(Some(Name::from_der(certificate.issuer())?));
        }
    }
    Ok(None)
}

/// Which list a CRL is.
pub fn crl_source(crl: &Crl) -> Result<CrlSource, Failure> {
    Ok(CrlSource::Issuer(Name::from_der(crl.issuer())?))
}
