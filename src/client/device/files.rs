//! What settings name as files: certificates and private keys.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::secret::Source;
use super::{away, wrong};
use crate::asn1::Asn1Error;
use crate::asn1::x509::Certificate;
use crate::client::certificates::{ReadAs, held_certificates};
use crate::crypto::keys::load_private_key;
use crate::crypto::{PrivateKey, default_provider};
use crate::error::Error;

/// No certificate file of a device is larger.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// All certificates of some files. What begins as one and cannot be read, or not for that, beside others that can is passed over, and
/// `told`.
pub fn read_certificates(
    paths: impl IntoIterator<Item = impl AsRef<Path>>,
    read_as: ReadAs,
    told: &mut dyn FnMut(String),
) -> Result<Vec<Certificate>, Error> {
    let mut found = Vec::new();
    for path in paths {
        let path = path.as_ref();
        found.extend(certificates_of(&read_file(path)?, &crate::files::shown(path), read_as, told)?);
    }
    Ok(found)
}

/// The certificates of one file whose first is somebody's own: it must be one that can be read.
pub fn read_chain(path: &Path, told: &mut dyn FnMut(String)) -> Result<Vec<Certificate>, Error> {
    chain_of(&read_file(path)?, &crate::files::shown(path), told)
}

/// The same of what was read already; `shown` says where from.
pub fn chain_of(content: &[u8], shown: &str, told: &mut dyn FnMut(String)) -> Result<Vec<Certificate>, Error> {
    certificates_of(content, shown, ReadAs::OwnFirst, told)
}

/// All certificates of what was read already, as [`read_certificates`] takes them; `shown` says where from.
pub fn certificates_of(
    content: &[u8],
    shown: &str,
    read_as: ReadAs,
    told: &mut dyn FnMut(String),
) -> Result<Vec<Certificate>, Error> {
    let held = held_certificates(content, read_as).map_err(|e| e.context(shown))?;
    held.unread.iter().for_each(|why| told(passed_over(shown, why)));
    Ok(held.all)
}

/// What is told of something in a file that cannot be read.
fn passed_over(shown: &str, why: &Asn1Error) -> String {
    format!("{shown}: passed over: {why}")
}

/// What is asked for to open a key in a file. Whoever is asked for several secrets knows which one it is, and so does who keeps them.
pub(super) fn password_of(path: &Path) -> String {
    format!("the password of the key in {}", crate::files::shown(path))
}

/// A private key in a file.
pub fn read_key(path: &Path, password: Option<&Source>) -> Result<Arc<dyn PrivateKey>, Error> {
    let password = password.map(|source| source.read(&password_of(path))).transpose()?;
    let input = Zeroizing::new(read_file(path)?);
    let key = load_private_key(&*default_provider(), &input, password.as_ref().map(|p| p.as_slice()));
    key.map_err(|e| Error::from(e).context(&crate::files::shown(path)))
}

/// Why a program that settings name by its arguments cannot be run, if it is not there.
pub fn missing_program(arguments: &[String]) -> Option<String> {
    use std::os::unix::fs::PermissionsExt;
    let name = arguments.first()?;
    let can_run = |path: &Path| {
        std::fs::metadata(path).is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
    };
    let (is_there, looked) = match name.contains('/') {
        true => (can_run(Path::new(name)), ""),
        false => {
            let path = std::env::var_os("PATH").unwrap_or_default();
            (std::env::split_paths(&path).any(|folder| can_run(&folder.join(name))), " (looked for in PATH)")
        }
    };
    let parts: Vec<String> =
        name.split_whitespace().chain(arguments.iter().skip(1).map(String::as_str)).map(crate::words::quoted).collect();
    let apart = match name.split_whitespace().nth(1) {
        Some(_) => format!("; each argument is an element of its own: [{}]", parts.join(", ")),
        None => String::new(),
    };
    (!is_there).then(|| format!("there is no program {} that can be run{looked}{apart}", crate::words::quoted(name)))
}

/// A key in a token stands where a file with a key could (RFC 7512).
pub(super) fn is_in_token(path: &Path) -> bool {
    path.to_str().and_then(|path| path.get(..7)).is_some_and(|scheme| scheme.eq_ignore_ascii_case("pkcs11:"))
}

/// A file that the settings name.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let file = crate::files::open_regular(path);
    let read = file.and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|e| away(format!("{}: {e}{}", crate::files::shown(path), looked_for(path, &e)), e))?;
    match bytes.len() as u64 > MAX_FILE_BYTES {
        true => Err(wrong(format!("{}: larger than {MAX_FILE_BYTES} bytes", crate::files::shown(path)))),
        false => Ok(bytes),
    }
}

/// Where a relative name was looked for.
fn looked_for(path: &Path, error: &std::io::Error) -> String {
    let here =
        std::env::current_dir().ok().filter(|_| path.is_relative() && error.kind() == std::io::ErrorKind::NotFound);
    here.map_or_else(String::new, |folder| format!(" (looked for in {})", folder.display()))
}
