//! `devid cmp`: the options, configuration files, results and exit status of `openssl cmp`, over this project's client, so that
//! scripts go over by changing one word.
//!
//! | file | |
//! | --- | --- |
//! | `table` | the options, and what becomes of each |
//! | `options`, `conf` | command line and configuration file |
//! | `material`, `wanted`, `subject` | keys, certificates, secrets; extensions, questions; names |
//! | `client` | whom to believe, who we are, the way |
//! | `talk` | the transaction; messages in files |
//! | `results` | what is written where |
//! | `words` | the library's words with options in place of settings |
//!
//! It believes as OpenSSL does, where that is safe: whoever is under -trusted may answer, and a certificate is taken that
//! differs from what was asked for, but for its key. What is not safe is refused with its reason.

mod client;
mod conf;
mod material;
mod options;
mod results;
mod subject;
mod table;
mod talk;
mod wanted;
mod words;

use std::ffi::OsString;

use devid::Time;
use devid::asn1::crl::CrlReason;
use devid::asn1::crmf::old_cert_id;
use devid::asn1::oid;
use devid::asn1::x509::Certificate;
use devid::client::Client;
use devid::cmp::{CertificateRequest, Operation, Question, RequestKind, Signer};
use devid::crypto::KeyKind;
use devid::validation::Crl;
use serde_json::json;

use self::options::Options;
use self::table::{ALL, Fate, Kind};
use crate::attendant::watch_signals;
use crate::device::read_file;
use crate::failure::{Exit, Failure};
use crate::output::{Output, print};

pub use self::words::in_options;

/// A message is to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cmd {
    Certificate(RequestKind),
    Revocation,
    Question,
}

/// Runs the command; success is status 0 and everything else status 1, as scripts for OpenSSL expect.
pub fn run(arguments: &[OsString], output: Output) -> Result<Exit, Failure> {
    let options = Options::read(arguments, output)?;
    if arguments.is_empty() && output.json {
        return Err(Failure::usage("an option is missing (-help lists them)"));
    }
    if options.wants_help || arguments.is_empty() {
        print(&help());
        return Ok(if options.wants_help { Exit::Done } else { Exit::Usage });
    }
    let output = Output { quiet: output.quiet || options.number("verbosity").is_some_and(|level| level < 6), ..output };
    check(&options)?;
    let cmd = cmd(&options)?;
    watch_signals();
    for _ in 0..options.number("repeat").unwrap_or(1) {
        once(&options, cmd, output)?;
    }
    output.result("cmp", "", json!({}));
    Ok(Exit::Done)
}

fn once(options: &Options, cmd: Cmd, output: Output) -> Result<(), Failure> {
    let now = talk::now(options);
    // What can only be done here is looked at before anything is sent.
    results::check(options, cmd)?;
    let config = client::config(options, cmd, output)?;
    let client = config.build()?;
    let (operation, key) = operation(options, cmd, &client, now, output)?;
    talk::run(options, cmd, &config, (client, operation, key), output)
}

fn operation(
    options: &Options,
    cmd: Cmd,
    client: &Client,
    now: Time,
    output: Output,
) -> Result<(Operation, Option<Signer>), Failure> {
    match cmd {
        Cmd::Certificate(RequestKind::Pkcs10) => {
            let csr =
                material::csr(options)?.ok_or_else(|| Failure::usage("p10cr is made of a PKCS#10 request: -csr"))?;
            Ok((client.enroll_pkcs10(csr.as_der())?, None))
        }
        Cmd::Certificate(kind) => {
            let (request, key) = certificate_request(options, kind, now, output)?;
            Ok((client.operation(request)?, key))
        }
        Cmd::Revocation => Ok((revocation(options, client, output)?, None)),
        Cmd::Question => Ok((client.ask(question(options)?)?, None)),
    }
}

/// ir, cr or kur, and the new key where it is ours.
fn certificate_request(
    options: &Options,
    kind: RequestKind,
    now: Time,
    output: Output,
) -> Result<(CertificateRequest, Option<Signer>), Failure> {
    let reference = match material::certificate(options, "oldcert", "keypass")? {
        Some(old) => Some(old),
        None => material::certificate(options, "cert", "keypass")?,
    };
    let csr = material::csr(options)?;
    let from_csr = csr.as_ref().map(|csr| (csr.subject(), csr.extensions()));
    let is_update = kind == RequestKind::KeyUpdate;
    let template = wanted::template(options, reference.as_ref(), from_csr, is_update, now, output)?;
    let (mut request, key) = match is_central(options)? {
        true => (CertificateRequest::central(kind, None::<KeyKind>, template), None),
        false => {
            let key = Signer::Key(new_key(options)?);
            if options.number("popo") == Some(2) && key.kind().can_sign() {
                let words =
                    "-popo 2: a key that can sign proves that it is there by a signature (RFC 9483 section 4.1.1)";
                return Err(Failure::usage(words));
            }
            (CertificateRequest::new(kind, key.clone(), template), Some(key))
        }
    };
    if is_update {
        let old = reference.ok_or_else(|| Failure::usage("kur: -oldcert or -cert names the certificate to update"))?;
        request.controls.push(old_cert_id(old.issuer(), old.serial()));
    }
    Ok((request, key))
}

fn new_key(options: &Options) -> Result<std::sync::Arc<dyn devid::crypto::PrivateKey>, Failure> {
    if let Some(path) = options.path("newkey") {
        return material::key(&path, material::pass(options, "newkeypass")?.as_ref());
    }
    if options.is_on("csr") {
        let words = "-csr brings a public key alone; its private one proves that it is there: -newkey";
        return Err(Failure::usage(words));
    }
    let path = options.path("key").ok_or_else(|| Failure::usage("-newkey (or -key) names the key to be certified"))?;
    material::key(&path, material::pass(options, "keypass")?.as_ref())
}

/// Whether the CA's side makes the key.
fn is_central(options: &Options) -> Result<bool, Failure> {
    let is_central = options.is_on("centralkeygen");
    match options.number("popo") {
        Some(-1) => Ok(true),
        None => Ok(is_central),
        Some(0) => {
            let words = "-popo 0: raVerified is what an RA says of others' keys (RFC 9483 section 5.2.3.2), never a device of its own";
            Err(Failure::usage(words))
        }
        Some(1 | 2) if is_central => {
            Err(Failure::usage("-popo: there is no key yet that could prove anything (-centralkeygen)"))
        }
        Some(1 | 2) => Ok(false),
        Some(other) => Err(Failure::usage(format!("-popo {other}: -1, 0, 1 and 2 are known"))),
    }
}

fn revocation(options: &Options, client: &Client, output: Output) -> Result<Operation, Failure> {
    let reason = reason(options)?;
    let issuer = wanted::name(options, "issuer", output)?;
    match (issuer, options.text("serial")) {
        (Some(issuer), Some(serial)) => Ok(client.revoke_serial(&issuer, &wanted::serial(serial)?, reason)?),
        (None, None) => {
            let old = material::certificate(options, "oldcert", "keypass")?;
            let missing = || {
                let words = match options.is_on("csr") {
                    true => {
                        "-csr: a revocation names a certificate (RFC 9483 section 4.2), and a PKCS#10 request is none"
                    }
                    false => "rr: -oldcert, or -issuer and -serial, say which certificate",
                };
                Failure::usage(words)
            };
            Ok(client.revoke(&old.ok_or_else(missing)?, reason)?)
        }
        _ => Err(Failure::usage("-issuer and -serial belong together: one of them is missing")),
    }
}

fn question(options: &Options) -> Result<Question, Failure> {
    let Some(name) = options.text("infotype") else {
        return Err(Failure::usage("genm: -infotype says what is asked"));
    };
    Ok(match name {
        "caCerts" => Question::CaCerts,
        "certReqTemplate" => Question::RequestTemplate,
        "currentCRL" => Question::CurrentCrl,
        "rootCaCert" => match material::certificate(options, "oldwithold", "otherpass")? {
            Some(old) => Question::RootUpdate { old },
            None => Question::other(oid::IT_ROOT_CA_CERT, &[])?,
        },
        "crlStatusList" => {
            let known = options.path("oldcrl").map(|path| crl(&path)).transpose()?;
            let certificate: Option<Certificate> = material::certificate(options, "crlcert", "otherpass")?;
            match (certificate, known) {
                (Some(certificate), known) => Question::crl_for(&certificate, known.as_ref())?,
                (None, Some(known)) => {
                    Question::Crl { source: client::crl_source(&known)?, this_update: Some(known.this_update()) }
                }
                (None, None) => return Err(Failure::usage("crlStatusList: -crlcert or -oldcrl says which list")),
            }
        }
        other => Question::other(wanted::info_type(other)?, &[])?,
    })
}

fn crl(path: &std::path::Path) -> Result<Crl, Failure> {
    let lists = Crl::many_from_bytes(&read_file(path)?);
    let lists = lists.map_err(|e| Failure::from(devid::Error::from(e).context(&devid::files::shown(path))))?;
    let count = lists.len();
    let [crl] = <[Crl; 1]>::try_from(lists).map_err(|_| {
        let words = format!("{}: {count} CRLs, and the one at hand is asked for", devid::files::shown(path));
        Failure::Own(Exit::Input, words)
    })?;
    Ok(crl)
}

fn cmd(options: &Options) -> Result<Cmd, Failure> {
    Ok(match options.text("cmd") {
        Some("ir") => Cmd::Certificate(RequestKind::Initial),
        Some("cr") => Cmd::Certificate(RequestKind::Further),
        Some("kur") => Cmd::Certificate(RequestKind::KeyUpdate),
        Some("p10cr") => Cmd::Certificate(RequestKind::Pkcs10),
        Some("rr") => Cmd::Revocation,
        Some("genm") => Cmd::Question,
        Some(other) => return Err(Failure::usage(format!("-cmd {other}: ir, cr, kur, p10cr, rr and genm are known"))),
        None => return Err(Failure::usage("-cmd says what to do: ir, cr, kur, p10cr, rr, genm")),
    })
}

/// What no single option can say.
fn check(options: &Options) -> Result<(), Failure> {
    if options.number("keep_alive").is_some_and(|value| value > 2) {
        return Err(Failure::usage("-keep_alive: 0, 1 and 2 are known"));
    }
    if options.number("verbosity").is_some_and(|value| value > 8) {
        return Err(Failure::usage("-verbosity: 0 to 8 are known"));
    }
    let forms: [(&str, &[&str]); 3] =
        [("certform", &["PEM", "DER"]), ("crlform", &["PEM", "DER"]), ("keyform", &["PEM", "DER", "P12", "PKCS12"])];
    for (name, known) in forms {
        if let Some(form) = options.text(name) {
            if !known.iter().any(|one| one.eq_ignore_ascii_case(form)) {
                return Err(Failure::usage(format!("-{name} {form}: {} are known", known.join(", "))));
            }
        }
    }
    if options.is_on("keyform") && options.text("keyform").is_some_and(|form| form.eq_ignore_ascii_case("engine")) {
        return Err(Failure::usage("-keyform: there are no engines here"));
    }
    reason(options)?;
    Ok(())
}

/// `-revreason`: refused wherever it stands, as OpenSSL does.
fn reason(options: &Options) -> Result<CrlReason, Failure> {
    match options.number("revreason") {
        None | Some(-1) => Ok(CrlReason::Unspecified),
        Some(number @ (0..=6 | 8..=10)) => Ok(CrlReason::from_number(number as u8)),
        Some(other) => Err(Failure::usage(format!("-revreason {other}: 0 to 6, 8 to 10 and -1 are known"))),
    }
}

/// The help: every option with what becomes of it.
fn help() -> String {
    let mut text = "devid cmp OPTIONS: the options of `openssl cmp` (openssl-cmp(1)), over devid's client.\n\n\
                    Exit status 0 is success, 1 everything else. A device is kept by `devid keep`, which needs no options.\n\n"
        .to_owned();
    for spec in ALL {
        let value = match spec.kind {
            Kind::Switch => "",
            Kind::Text => " TEXT",
            Kind::Number | Kind::Natural | Kind::Positive => " NUMBER",
        };
        let words = match spec.fate {
            Fate::Done => String::new(),
            Fate::Idle(why) => format!("changes nothing: {why}"),
            Fate::Others(why) | Fate::Refused(why) => format!("not taken: {why}"),
        };
        let option = format!("-{}{value}", spec.name);
        text.push_str(format!("  {option:28} {words}").trim_end());
        text.push('\n');
    }
    text
}
