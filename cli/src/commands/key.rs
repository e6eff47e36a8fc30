//! `key`: private keys in files and tokens, outside device memory: made, shown, their public halves, another form.

use std::path::Path;
use std::sync::Arc;

use devid::asn1::pem;
use devid::client::device::Device;
use devid::crypto::keys::{SCRYPT_COST, encrypt_pkcs8, encrypt_pkcs8_scrypt, load_private_key};
use devid::crypto::{DigestAlgorithm, KeyKind, PrivateKey, default_provider};
use serde_json::json;
use zeroize::Zeroizing;

use crate::arguments::{Arguments, Key, KeyAction};
use crate::device::{read_file, write_new};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::settings::{Loaded, Source};

/// PBKDF2's iterations for a key under a password.
const ITERATIONS: u32 = 600_000;

pub fn run(command: &Key, arguments: &Arguments, output: Output) -> Result<Exit, Failure> {
    let loaded = || arguments.load();
    match &command.action {
        KeyAction::Make { place, kind, password, scrypt } => {
            let wanted = KeyKind::from_name(kind).ok_or_else(|| {
                Failure::usage(format!(
                    "--type {kind}: not a known key type (P-256, RSA-3072, Ed25519, ML-DSA-44, ...)"
                ))
            })?;
            let key = match is_uri(place) {
                true => in_token(&loaded()?, place, Some(wanted))?,
                false => {
                    let key = default_provider().generate_key(wanted)?;
                    write(Path::new(place), &text_of(&*key, password.as_deref(), *scrypt)?)?;
                    key
                }
            };
            tell(&*key, place, "key make", output);
        }
        KeyAction::Show { place, password } => {
            tell(&*open(arguments, place, password.as_deref())?, place, "key show", output)
        }
        KeyAction::Public { place, password } => {
            let key = open(arguments, place, password.as_deref())?;
            let text = pem::encode("PUBLIC KEY", key.spki());
            output.result("key public", &text, json!({ "type": key.kind().to_string(), "pem": *text }));
        }
        KeyAction::Convert { place, output: to, password, new_password, scrypt } => {
            if is_uri(place) {
                return Err(Failure::usage("a key in a token does not leave it"));
            }
            let key = open(arguments, place, password.as_deref())?;
            let text = text_of(&*key, new_password.as_deref(), *scrypt)?;
            match to {
                Some(to) => {
                    write(to, &text)?;
                    tell(&*key, &to.display().to_string(), "key convert", output);
                }
                None => output.result("key convert", &text, json!({ "pem": *text })),
            }
        }
    }
    Ok(Exit::Done)
}

fn is_uri(place: &str) -> bool {
    place.starts_with("pkcs11:")
}

/// The key in a file, or in a token by its URI.
fn open(arguments: &Arguments, place: &str, password: Option<&str>) -> Result<Arc<dyn PrivateKey>, Failure> {
    if is_uri(place) {
        return in_token(&arguments.load()?, place, None);
    }
    let input = Zeroizing::new(read_file(Path::new(place))?);
    let password = source_of(password)?.map(|source| source.read("the key's password")).transpose()?;
    let key = load_private_key(&*default_provider(), &input, password.as_ref().map(|secret| secret.as_slice()));
    key.map_err(|error| devid::Error::from(error).context(place).into())
}

/// Opens a key in a token, or makes one of this kind there. Which module and PIN, the settings say.
/// Device memory, where there is one, knows which PINs tokens have refused.
fn in_token(loaded: &Loaded, uri: &str, kind: Option<KeyKind>) -> Result<Arc<dyn PrivateKey>, Failure> {
    Ok(match loaded.settings.device.memory.is_dir() {
        true => Device::open(loaded, false)?.open_token_key(uri, kind)?,
        false => Device::token_key(&loaded.settings, uri, kind)?,
    })
}

fn source_of(source: Option<&str>) -> Result<Option<Source>, Failure> {
    source.map(Source::parse).transpose().map_err(|e| Failure::usage(e.message()))
}

/// PKCS#8 in PEM, under a password if one is given.
fn text_of(key: &dyn PrivateKey, password: Option<&str>, by_scrypt: bool) -> Result<Zeroizing<String>, Failure> {
    let stays = || Failure::Own(Exit::Crypto, "the key does not leave its home".to_owned());
    let pkcs8 = key.to_pkcs8().ok_or_else(stays)?;
    let secret = source_of(password)?.map(|source| source.read_new("the new password")).transpose()?;
    Ok(match secret {
        None => pem::encode("PRIVATE KEY", &pkcs8),
        Some(secret) => {
            let sealed = match by_scrypt {
                true => encrypt_pkcs8_scrypt(&*default_provider(), &pkcs8, &secret, SCRYPT_COST)?,
                false => encrypt_pkcs8(&*default_provider(), &pkcs8, &secret, ITERATIONS)?,
            };
            pem::encode("ENCRYPTED PRIVATE KEY", &sealed)
        }
    })
}

/// A key file is made anew: a key that is there already is never written over.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    write_new(path, text.as_bytes(), 0o600)
}

fn tell(key: &dyn PrivateKey, place: &str, command: &str, output: Output) {
    let digest = default_provider().digest(DigestAlgorithm::Sha256, &[key.spki()]);
    let spki: String = digest.map(|d| d.iter().map(|byte| format!("{byte:02x}")).collect()).unwrap_or_default();
    // A key that was made in a token says where it is to be found from now on.
    let place = key.reference().unwrap_or(place);
    let text = format!("{}  {place}\n  SHA-256 of the public key: {spki}", key.kind());
    output.result(command, &text, json!({ "type": key.kind().to_string(), "place": place, "spki_sha256": spki }));
}
