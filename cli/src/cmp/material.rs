//! Keys, certificates and pass phrases from where OpenSSL's options name them.

use std::path::Path;
use std::sync::Arc;

use devid::asn1::pkcs10::CertificationRequest;
use devid::asn1::x509::Certificate;
use devid::client::certificates::{ReadAs, held_certificates};
use devid::cms::pkcs12::{Pkcs12, is_pkcs12};
use devid::crypto::keys::load_private_key;
use devid::crypto::{PrivateKey, default_provider};
use devid::validation::TrustAnchors;
use zeroize::Zeroizing;

use super::options::{Options, items};
use crate::device::read_file;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::settings::Source;

/// A pass phrase by its source as openssl-passphrase-options(1) has it: `pass:`, `env:`, `file:` (the first line), `fd:`,
/// `stdin`; what has no source is the pass phrase itself.
pub fn pass(options: &Options, name: &'static str) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
    let Some(text) = options.text(name) else { return Ok(None) };
    let first_line = |secret: Zeroizing<Vec<u8>>| {
        let line = secret.split(|byte| *byte == b'\n').next().unwrap_or_default();
        Zeroizing::new(line.strip_suffix(b"\r").unwrap_or(line).to_vec())
    };
    let secret = match text.split_once(':') {
        Some(("pass", secret)) => Zeroizing::new(secret.as_bytes().to_vec()),
        Some(("file", path)) => first_line(Zeroizing::new(read_file(Path::new(path))?)),
        Some(("env" | "fd", _)) => {
            let source = Source::parse(text).map_err(|e| Failure::usage(format!("-{name}: {}", e.message())))?;
            first_line(source.read(&format!("the pass phrase of -{name}"))?)
        }
        None if text == "stdin" => first_line(Zeroizing::new(read_file(Path::new("-"))?)),
        _ => Zeroizing::new(text.as_bytes().to_vec()),
    };
    Ok(Some(secret))
}

/// A pass phrase that has to be there: an empty one is no secret.
pub fn secret(options: &Options, name: &'static str) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
    match pass(options, name)? {
        Some(secret) if secret.is_empty() => Err(Failure::usage(format!("-{name}: the secret is empty"))),
        secret => Ok(secret),
    }
}

/// The private key of a file: PEM, DER or PKCS#12.
pub fn key(path: &Path, password: Option<&Zeroizing<Vec<u8>>>) -> Result<Arc<dyn PrivateKey>, Failure> {
    let input = Zeroizing::new(read_file(path)?);
    let provider = default_provider();
    if is_pkcs12(&input) {
        let file = open(path, &input, password)?;
        let key = file.keys.first().ok_or_else(|| missing(path, "private key"))?;
        return Ok(provider.import_pkcs8(&key.pkcs8)?);
    }
    let key = load_private_key(&*provider, &input, password.map(|p| p.as_slice()));
    key.map_err(|e| Failure::from(devid::Error::from(e).context(&devid::files::shown(path))))
}

/// The certificates of a file whose first is asked for, which must be one that can be read; of a PKCS#12 file, the one of its key.
pub fn chain(path: &Path, password: Option<&Zeroizing<Vec<u8>>>) -> Result<Vec<Certificate>, Failure> {
    certificates(path, password, ReadAs::OwnFirst).map(|held| held.0)
}

/// All certificates of a file, and what cannot be read beside them, in words.
fn certificates(
    path: &Path,
    password: Option<&Zeroizing<Vec<u8>>>,
    read_as: ReadAs,
) -> Result<(Vec<Certificate>, Vec<String>), Failure> {
    let input = Zeroizing::new(read_file(path)?);
    let shown = devid::files::shown(path);
    if is_pkcs12(&input) {
        let file = open(path, &input, password)?;
        let found = match file.identity(&*default_provider())? {
            Some(own) => std::iter::once(own.certificate).chain(own.others).collect(),
            None => file.certificates,
        };
        return if found.is_empty() { Err(missing(path, "certificate")) } else { Ok((found, Vec::new())) };
    }
    let held = held_certificates(&input, read_as).map_err(|e| Failure::from(e.context(&shown)))?;
    let told = held.unread.iter().map(|why| format!("{shown}: passed over: {why}"));
    Ok((held.all, told.collect()))
}

/// The first certificate of the file that an option names.
pub fn certificate(options: &Options, name: &'static str, pass: &'static str) -> Result<Option<Certificate>, Failure> {
    first(options, name, pass, ReadAs::OwnFirst)
}

/// The same of one that is to be trusted.
pub fn pin(options: &Options, name: &'static str, pass: &'static str) -> Result<Option<Certificate>, Failure> {
    first(options, name, pass, ReadAs::Anchors)
}

fn first(
    options: &Options,
    name: &'static str,
    pass: &'static str,
    read_as: ReadAs,
) -> Result<Option<Certificate>, Failure> {
    let Some(path) = options.path(name) else { return Ok(None) };
    let password = self::pass(options, pass)?;
    Ok(certificates(&path, password.as_ref(), read_as)?.0.into_iter().next())
}

/// All certificates of the files that an option names.
pub fn lists(options: &Options, name: &'static str, output: Output) -> Result<Vec<Certificate>, Failure> {
    all(options, name, ReadAs::Certificates, output)
}

fn all(options: &Options, name: &'static str, read_as: ReadAs, output: Output) -> Result<Vec<Certificate>, Failure> {
    let password = pass(options, "otherpass")?;
    let mut found: Vec<Certificate> = Vec::new();
    for path in options.text(name).into_iter().flat_map(items) {
        let (certificates, told) = certificates(Path::new(path), password.as_ref(), read_as)?;
        told.iter().for_each(|words| output.say(&format!("-{name}: {words}")));
        for certificate in certificates {
            if !found.contains(&certificate) {
                found.push(certificate);
            }
        }
    }
    Ok(found)
}

/// Certificates to trust, and those that only help: as in OpenSSL, a certificate that is not self-signed is an anchor with
/// -partial_chain alone.
pub fn anchors(
    options: &Options,
    name: &'static str,
    output: Output,
) -> Result<(TrustAnchors, Vec<Certificate>), Failure> {
    let (mut anchors, mut helpers) = (TrustAnchors::new(), Vec::new());
    for certificate in all(options, name, ReadAs::Anchors, output)? {
        if certificate.is_self_issued() || options.is_on("partial_chain") {
            anchors.add(certificate);
        } else {
            helpers.push(certificate);
        }
    }
    if anchors.is_empty() && !helpers.is_empty() {
        let words = format!("-{name}: no certificate is self-signed; -partial_chain makes anchors of the others");
        return Err(Failure::Own(Exit::Input, words));
    }
    Ok((anchors, helpers))
}

/// The PKCS#10 request of -csr.
pub fn csr(options: &Options) -> Result<Option<CertificationRequest>, Failure> {
    let Some(path) = options.path("csr") else { return Ok(None) };
    let read = CertificationRequest::from_bytes(&read_file(&path)?);
    read.map(Some).map_err(|e| Failure::from(devid::Error::from(e).context(&devid::files::shown(&path))))
}

fn open(path: &Path, input: &[u8], password: Option<&Zeroizing<Vec<u8>>>) -> Result<Pkcs12, Failure> {
    let text = password.map_or("", |p| std::str::from_utf8(p).unwrap_or_default());
    let opened = Pkcs12::open(&*default_provider(), input, text);
    opened.map_err(|e| Failure::from(devid::Error::from(e).context(&devid::files::shown(path))))
}

fn missing(path: &Path, what: &str) -> Failure {
    Failure::Own(Exit::Input, format!("{}: there is no {what} in it", devid::files::shown(path)))
}
