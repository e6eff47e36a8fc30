//! `validate`: whether a certificate is to be trusted, and why not.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use devid::asn1::distribution_point::ca_issuers_urls;
use devid::asn1::name::display;
use devid::asn1::x509::Certificate;
use devid::client::StatusFetcher;
use devid::client::certificates::ReadAs;
use devid::client::device::peer_name;
use devid::client::run::system_time;
use devid::client::status::{StatusOptions, built_in};
use devid::client::subject::purpose_oid;
use devid::client::validator::Validator;
use devid::validation::{CheckTime, NameCheck, PeerName, Purpose, Report, StatusSources, TrustAnchors};
use devid::{Code, Time};
use serde_json::json;

use crate::arguments::Validate;
use crate::device::{Device, anchors_of_settings, read_certificates, read_chain, read_file};
use crate::failure::{Exit, Failure, error_json};
use crate::output::{Output, date, rfc3339};
use crate::settings::{Loaded, StatusCheck};

pub fn run(command: &Validate, loaded: &Loaded, output: Output) -> Result<Exit, Failure> {
    let settings = &loaded.settings;
    // The first is the one that is asked about, and nobody else's choice; the others may be on its path.
    let sent = read_chain(&command.file, output)?;
    let [leaf, others @ ..] = &sent[..] else {
        return Err(Failure::Own(
            Exit::Input,
            format!("{}: there is no certificate in it", devid::files::shown(&command.file)),
        ));
    };
    let validator = validator(command, loaded, output)?;
    let at = CheckTime::At(system_time());
    let report = if command.fetch || settings.peers.fetch {
        let options = StatusOptions { directory: settings.peers.directory.clone(), ..StatusOptions::default() };
        let mut fetch = built_in(&options)?;
        let provider = Arc::clone(&validator.provider);
        let mut fetcher = match &validator.memory {
            Some(memory) => StatusFetcher::with_memory(provider, options, Arc::clone(memory)),
            None => StatusFetcher::new(provider, options),
        };
        let pool = validator.pool_with(others);
        fetcher.open_peer(validator.request(leaf, &pool, None, at)?, &mut fetch)?.0.report
    } else {
        validator.validate(leaf, others, None, at)?.report
    };
    tell(&report, leaf, output)
}

/// What was asked for. The library's validator holds it, with what device memory knows: who was revoked there is revoked here, and
/// no list older than one seen there counts.
fn validator(command: &Validate, loaded: &Loaded, output: Output) -> Result<Validator, Failure> {
    let mut validator = Validator::new(anchors(command, loaded, output)?);
    validator.pool = read_certificates(&command.untrusted, ReadAs::Certificates, output)?;
    validator.status = status(command)?;
    validator.names = Some(names(command)?);
    validator.purpose = Some(match command.purpose.as_deref().or(loaded.settings.peers.purpose.as_deref()) {
        None | Some("any") => Purpose::Any,
        Some(purpose) => Purpose::For(vec![purpose_oid(purpose)?]),
    });
    let check = command.status.or(loaded.settings.peers.status).unwrap_or(StatusCheck::Soft);
    validator.checks.revocation = check.policy();
    validator.checks.allow_weak = loaded.settings.peers.allow_weak;
    if let Some(skew) = loaded.settings.ca.clock_skew {
        validator.set_clock_skew(skew.seconds())?;
    }
    match std::fs::read_dir(&loaded.settings.device.memory) {
        // What is there and cannot be read could say that the peer is revoked.
        Ok(_) => validator.set_memory(Arc::clone(&Device::open(loaded, false)?.store)),
        // Whoever may not look into it is not the device, and may ask all the same.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            output.say(&format!("what device memory knows is not asked: {error}"));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(Failure::file(&loaded.settings.device.memory, &error)),
    }
    Ok(validator)
}

fn tell(report: &Report, leaf: &Certificate, output: Output) -> Result<Exit, Failure> {
    let findings: Vec<_> = report
        .findings()
        .iter()
        .map(|f| {
            json!({
                "code": f.code.name(), "certificate_index": f.certificate_index, "fatal": f.fatal, "text": f.text,
                "rule": f.rule.map(|rule| rule.cited), "expected": f.rule.map(|rule| rule.expected),
            })
        })
        .collect();
    let mut lines =
        vec![format!("{}  {}", if report.is_valid() { "valid" } else { "NOT VALID" }, display(leaf.subject()))];
    let path: Vec<String> =
        report.path().map(|path| path.chain().iter().map(|c| display(c.subject())).collect()).unwrap_or_default();
    if let Some(valid) = report.path() {
        lines
            .extend(path.iter().enumerate().skip(1).map(|(depth, name)| format!("{}under {name}", "  ".repeat(depth))));
        lines.push(format!("  the verdict holds until {}", date(valid.not_after())));
    }
    lines.extend(report.findings().iter().map(|f| {
        let place = f.certificate_index.map(|n| format!(" (certificate {n})")).unwrap_or_default();
        let rule = f.rule.filter(|_| f.fatal).map(|rule| format!("; {} asks for {}", rule.cited, rule.expected));
        let rule = rule.unwrap_or_default();
        format!("  {}{}: {}{place}{rule}", if f.fatal { "" } else { "note: " }, f.code.name(), f.text)
    }));
    if report.error().is_some_and(|error| error.code() == Code::NoPath) {
        // It is not fetched here: whose certificates help is the caller's to say.
        let urls = ca_issuers_urls(leaf);
        lines.extend(
            urls.iter().map(|url| {
                format!("  its issuer's certificate is to be at {}: --untrusted takes it", url.escape_debug())
            }),
        );
    }
    let until = report
        .path()
        .map(|path| rfc3339(path.status_until().map_or(path.not_after(), |t: Time| t.min(path.not_after()))));
    let exit = if report.is_valid() { Exit::Done } else { Exit::Invalid };
    Ok(output.ended(
        "validate",
        exit,
        &lines.join("\n"),
        json!({
            "valid": report.is_valid(), "path": path, "until": until, "findings": findings,
            "error": report.error().as_ref().map(error_json),
        }),
    ))
}

fn anchors(command: &Validate, loaded: &Loaded, output: Output) -> Result<TrustAnchors, Failure> {
    let mut anchors = TrustAnchors::new();
    let read = match &command.trust[..] {
        [] => anchors_of_settings(&loaded.settings.peers.trust, output)?,
        files => read_certificates(files, ReadAs::Anchors, output)?,
    };
    read.into_iter().for_each(|certificate| anchors.add(certificate));
    match anchors.is_empty() {
        true if loaded.settings.device.memory.is_dir() => Ok(Device::open(loaded, false)?.peer_anchors()?),
        true => Err(Failure::settings("nobody is trusted: --trust FILE, peers.trust or devid anchors add peers FILE")),
        false => Ok(anchors),
    }
}

fn status(command: &Validate) -> Result<StatusSources, Failure> {
    let read = |path: &Path| -> Result<Vec<u8>, Failure> { read_file(path) };
    let in_file = |path: &Path, error| devid::Error::from(error).context(&devid::files::shown(path));
    let mut status = StatusSources::none();
    for path in &command.crl {
        // All lists of the file: a CA's own and those of the CAs above it often stand in one.
        status.add_crls(Arc::new(read(path)?)).map_err(|error| in_file(path, error))?;
    }
    for path in &command.ocsp {
        status.add_ocsp(&read(path)?).map_err(|error| in_file(path, error))?;
    }
    Ok(status)
}

/// A name that nobody can have is a mistake of this line, and says nothing of the certificate.
fn asked_for(name: &str) -> Result<PeerName, Failure> {
    peer_name(name).map_err(|error| Failure::usage(format!("--name {}", error.message())))
}

fn names(command: &Validate) -> Result<NameCheck, Failure> {
    if command.name.iter().any(|name| name == "any") && command.name.len() > 1 {
        return Err(Failure::usage("--name any: no other name goes with it"));
    }
    match &command.name[..] {
        [] => Ok(NameCheck::NotChecked),
        [any] if any == "any" => Ok(NameCheck::NotChecked),
        names => Ok(NameCheck::All(names.iter().map(|name| asked_for(name)).collect::<Result<_, _>>()?)),
    }
}
