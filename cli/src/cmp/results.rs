//! What is written where: certificates, chains, CRLs, templates, keys.

use std::path::Path;
use std::sync::Arc;

use devid::asn1::cmp::{BodyType, PkiBody, PkiMessage, RootCaKeyUpdate};
use devid::asn1::der::Cursor;
use devid::asn1::oid;
use devid::asn1::pem;
use devid::asn1::x509::Certificate;
use devid::client::Config;
use devid::cmp::{Information, Operation};
use devid::crypto::keys::encrypt_pkcs8;
use devid::crypto::{PrivateKey, default_provider};
use devid::limits::Limits;
use devid::validation::same_name;
use zeroize::Zeroizing;

use super::options::Options;
use super::talk::Heard;
use super::{Cmd, material};
use crate::device::write_new;
use crate::failure::{Exit, Failure};
use crate::output::Output;

/// Iterations of the password over a key that the CA made.
const KEY_ITERATIONS: u32 = 100_000;

/// Options that name files to write.
const OUTPUTS: &[&str] = &[
    "certout",
    "chainout",
    "newkeyout",
    "cacertsout",
    "extracertsout",
    "srvcertout",
    "newwithnew",
    "newwithold",
    "oldwithnew",
    "crlout",
    "template",
    "keyspec",
    "reqout_only",
];

/// A place for what cannot be asked for twice, before it is asked for.
pub fn check(options: &Options, cmd: Cmd) -> Result<(), Failure> {
    for name in OUTPUTS {
        let Some(path) = options.path(name) else { continue };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if path.is_dir() || !folder.is_dir() {
            let words = format!("-{name} {}: no file can be written there", path.display());
            return Err(Failure::Own(Exit::Input, words));
        }
    }
    let wants = |name: &'static str, what: &str| match options.is_on(name) {
        true => Ok(()),
        false => Err(Failure::usage(format!("-{name} is missing: there is no place for {what}"))),
    };
    match (cmd, options.text("infotype")) {
        (Cmd::Certificate(kind), _) => {
            if !options.is_on("reqout_only") {
                wants("certout", "the new certificate")?;
            }
            let makes_key = options.is_on("centralkeygen") || options.number("popo") == Some(-1);
            match makes_key && kind != devid::cmp::RequestKind::Pkcs10 {
                true => wants("newkeyout", "the new key"),
                false => Ok(()),
            }
        }
        (Cmd::Question, Some("caCerts")) => wants("cacertsout", "CA certificates"),
        (Cmd::Question, Some("rootCaCert")) => wants("newwithnew", "the new root"),
        (Cmd::Question, Some("certReqTemplate")) => wants("template", "the template"),
        (Cmd::Question, Some("crlStatusList")) => wants("crlout", "the list"),
        _ => Ok(()),
    }
}

/// Writes what came of an operation: what cannot be asked for once more first, and all of it, whatever of it fails. The first failure
/// is answered, and each is told.
pub fn save(
    options: &Options,
    cmd: Cmd,
    operation: &Operation,
    heard: &Heard,
    config: &Config,
    output: Output,
) -> Result<(), Failure> {
    let mut outcomes = Vec::new();
    if let Some(issued) = operation.issued() {
        let chain: Vec<Certificate> = issued.chain.iter().filter(|one| !one.is_self_issued()).cloned().collect();
        if let (Some(key), Some(path)) = (&issued.private_key, options.path("newkeyout")) {
            outcomes.push(save_key(options, &path, key));
        }
        if options.text("certout") == options.text("chainout") {
            let all: Vec<Certificate> = std::iter::once(issued.certificate.clone()).chain(chain).collect();
            outcomes.push(put(options, "certout", &all));
        } else {
            outcomes.push(put(options, "certout", std::slice::from_ref(&issued.certificate)));
            outcomes.push(put(options, "chainout", &chain));
        }
        outcomes.push(put(options, "cacertsout", &ca_pubs(heard)));
    }
    if let (Some(information), Cmd::Question) = (operation.information(), cmd) {
        outcomes.push(answer(options, information, output));
    }
    let last = heard.messages.iter().rev();
    let extra: &[Certificate] = last.clone().map(PkiMessage::extra_certs).find(|list| !list.is_empty()).unwrap_or(&[]);
    let signer = heard.messages.iter().rev().find_map(|message| signer(message, config));
    outcomes.push(put_or_remove(options, "srvcertout", signer.as_slice()));
    outcomes.push(put(options, "extracertsout", extra));
    let mut failures = outcomes.into_iter().filter_map(Result::err);
    let Some(first) = failures.next() else { return Ok(()) };
    failures.for_each(|failure| output.say(&failure.report()));
    Err(first)
}

fn save_key(options: &Options, path: &Path, key: &Arc<dyn PrivateKey>) -> Result<(), Failure> {
    let pkcs8 = key.to_pkcs8().ok_or_else(|| Failure::usage("the new key cannot be written"))?;
    write_key(path, &pkcs8, material::pass(options, "newkeypass")?)
}

fn answer(options: &Options, information: &Information, output: Output) -> Result<(), Failure> {
    match information {
        Information::CaCerts(certificates) => put(options, "cacertsout", certificates),
        Information::RootUpdate(update) => {
            let links = update.as_ref().map(|one| (Some(one.new_root()), Some(one.new_with_old()), one.old_with_new()));
            put_links(options, links.unwrap_or_default())
        }
        Information::RequestTemplate(Some(template)) => {
            let mut fields = Cursor::sequence(&template.der, "CertReqTemplateContent")?;
            let whole = fields.any("certTemplate")?.bytes;
            write(&options.path("template").unwrap_or_default(), whole)?;
            match (options.path("keyspec"), fields.is_empty()) {
                (Some(path), false) => write(&path, fields.any("keySpec")?.bytes),
                _ => Ok(()),
            }
        }
        Information::RequestTemplate(None) => {
            output.say("the CA asks for nothing in particular");
            Ok(())
        }
        Information::Crls(lists) => match (lists.first(), options.path("crlout")) {
            (Some(list), Some(path))
                if options.text("crlform").is_some_and(|form| form.eq_ignore_ascii_case("PEM")) =>
            {
                write(&path, pem::encode("X509 CRL", list).as_bytes())
            }
            (Some(list), Some(path)) => write(&path, list),
            (None, Some(path)) => {
                output.say("the CA has no newer list");
                remove(&path)
            }
            (_, None) => Ok(()),
        },
        Information::Other(items) => {
            for item in items {
                output.say(&format!("{}: {} bytes", item.info_type, item.value.len()));
            }
            let update = items.iter().find(|item| item.info_type == oid::IT_ROOT_CA_KEY_UPDATE);
            let Some(update) = update.filter(|item| !item.value.is_empty() && options.is_on("newwithnew")) else {
                return Ok(());
            };
            output.say("no -oldwithold: nothing here vouches for the new root but the answer's signer");
            let links = RootCaKeyUpdate::from_der(&update.value)?;
            put_links(options, (Some(&links.new_with_new), links.new_with_old.as_ref(), links.old_with_new.as_ref()))
        }
        _ => Ok(()),
    }
}

type Links<'a> = (Option<&'a Certificate>, Option<&'a Certificate>, Option<&'a Certificate>);

fn put_links(options: &Options, (new, new_with_old, old_with_new): Links<'_>) -> Result<(), Failure> {
    for (name, link) in [("newwithnew", new), ("newwithold", new_with_old), ("oldwithnew", old_with_new)] {
        put_or_remove(options, name, link.map(std::slice::from_ref).unwrap_or_default())?;
    }
    Ok(())
}

/// Who signed: the certificate with the sender's name and, where it says one, its key identifier.
fn signer(message: &PkiMessage, config: &Config) -> Option<Certificate> {
    let sender = message.sender()?;
    let kid = message.header().sender_kid.as_deref();
    let known = message.extra_certs().iter().chain(&config.intermediates).chain(config.cmp_anchors.iter());
    let fits = |one: &&Certificate| {
        same_name(one.subject(), &sender) && (kid.is_none() || one.subject_key_identifier() == kid)
    };
    known.into_iter().find(fits).cloned()
}

fn ca_pubs(heard: &Heard) -> Vec<Certificate> {
    let of = |message: &PkiMessage| match message.body_type() {
        BodyType::IP | BodyType::CP | BodyType::KUP => message.body(&Limits::default()).ok(),
        _ => None,
    };
    let answers = heard.messages.iter().rev().filter_map(of);
    let lists = answers.filter_map(|body| match body {
        PkiBody::CertRep(answer) => Some(answer.ca_pubs),
        _ => None,
    });
    lists.into_iter().find(|list| !list.is_empty()).unwrap_or_default()
}

/// Writes certificates, in the form that -certform says; no certificates are an empty file.
fn put(options: &Options, name: &'static str, certificates: &[Certificate]) -> Result<(), Failure> {
    let Some(path) = options.path(name) else { return Ok(()) };
    let is_der = options.text("certform").is_some_and(|form| form.eq_ignore_ascii_case("DER"));
    let bytes: Vec<u8> = match is_der {
        true => certificates.iter().flat_map(|one| one.as_der().to_vec()).collect(),
        false => {
            certificates.iter().flat_map(|one| pem::encode("CERTIFICATE", one.as_der()).as_bytes().to_vec()).collect()
        }
    };
    write(&path, &bytes)
}

fn put_or_remove(options: &Options, name: &'static str, certificates: &[Certificate]) -> Result<(), Failure> {
    match (certificates, options.path(name)) {
        ([], Some(path)) => remove(&path),
        _ => put(options, name, certificates),
    }
}

/// Writes to where openssl cmp would: through links, and to devices such as /dev/stdout.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes).map_err(|e| Failure::file(path, &e))
}

/// A private key is for its owner's eyes.
fn write_key(path: &Path, pkcs8: &[u8], password: Option<Zeroizing<Vec<u8>>>) -> Result<(), Failure> {
    let text = match password {
        Some(password) => {
            let sealed = encrypt_pkcs8(&*default_provider(), pkcs8, &password, KEY_ITERATIONS)?;
            pem::encode("ENCRYPTED PRIVATE KEY", &sealed)
        }
        None => pem::encode("PRIVATE KEY", pkcs8),
    };
    match std::fs::metadata(path) {
        // Where openssl cmp would write it: /dev/stdout, a pipe.
        Ok(there) if !there.is_file() => write(path, text.as_bytes()),
        _ => {
            remove(path)?;
            write_new(path, text.as_bytes(), 0o600)
        }
    }
}

fn remove(path: &Path) -> Result<(), Failure> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Failure::file(path, &error)),
        _ => Ok(()),
    }
}
