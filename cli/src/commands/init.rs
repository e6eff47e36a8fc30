//! `init`: a settings file and device memory from a few values.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use devid::asn1::name::{Name, display};
use devid::asn1::x509::Certificate;
use devid::client::certificates::ReadAs;
use devid::client::run::system_time;
use devid::store::{AnchorSet, NewIdentity, NewKey, Signer, StoreErrorKind};
use serde_json::json;

use super::anchors;
use crate::arguments::{Arguments, Init, Set};
use crate::device::{Device, of_this_command, read_certificates, read_chain, read_key, write_new};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::settings::{self, Source};

pub fn run(command: &Init, arguments: &Arguments, output: Output) -> Result<Exit, Failure> {
    let path =
        command.output.clone().or_else(|| arguments.config.clone()).unwrap_or_else(|| settings::DEFAULT_FILE.into());
    if path.exists() {
        let words = format!("{} exists already, and nothing is written over; --output names another", path.display());
        return Err(Failure::usage(words));
    }
    // Everything that was given is looked at before anything is written.
    Name::parse(&command.subject).map_err(|error| {
        Failure::usage(format!(
            "--subject \"{}\": expected a name such as CN=device 7,O=Example,C=SE: {error}",
            command.subject.escape_debug()
        ))
    })?;
    let reference = command.reference.as_deref().and_then(|text| text.strip_prefix("hex:"));
    if reference.is_some_and(|digits| digits.len() % 2 == 1 || !digits.bytes().all(|b| b.is_ascii_hexdigit())) {
        return Err(Failure::usage("--reference: an even number of hexadecimal digits follows hex:"));
    }
    devid::transport::Url::parse(&command.server).map_err(|e| Failure::from(devid::Error::from(e)))?;
    if let Some(source) = &command.secret {
        Source::parse(source).map_err(|e| Failure::usage(e.message()))?;
    }
    let anchors = read_certificates(&command.trust, ReadAs::Anchors, output)?;
    let signers = absolute(&command.signer)?;
    read_certificates(&signers, ReadAs::Anchors, output)?;
    let factory = match (&command.factory_key, &command.factory_certificates) {
        (Some(key), Some(certificates)) => {
            Some((of_this_command(key, read_key(key, None))?, read_chain(certificates, output)?))
        }
        _ => None,
    };
    let by_option =
        arguments.option.iter().any(|option| option.split('=').next().is_some_and(|key| key.trim() == "device.memory"));
    let memory = arguments.memory.clone().or_else(|| (!by_option).then(|| settings::Settings::default().device.memory));
    let here = std::env::current_dir().map_err(|e| Failure::file(Path::new("."), &e))?;
    // What is typed here counts from here, and from nowhere else once it stands in a file.
    let loaded = settings::load_made(table_of(command, &signers), &here, &arguments.option, memory.as_deref())?;
    let memory = loaded.settings.device.memory.clone();
    make_folder(&path)?;
    has_folder(&memory)?;
    refuse_what_would_fail(&loaded)?;
    let device = Device::open(&loaded, true)?;
    refuse_other_anchors(&device, &anchors, &memory)?;
    if let Some((key, chain)) = factory {
        let [certificate, above @ ..] = &chain[..] else {
            return Err(Failure::usage("--factory-certificates: there is no certificate in the file"));
        };
        match device.store.current(device.factory_name()) {
            Ok(other) if other.certificate != *certificate => {
                return Err(Failure::usage(format!(
                    "device memory at {} has the factory's identity {} already, and nothing is written over; --memory names another place",
                    memory.display(),
                    other.certificate
                )));
            }
            Err(error) if error.kind != StoreErrorKind::NotFound => return Err(error.into()),
            Ok(_) | Err(_) => {}
        }
        let new = NewIdentity {
            key: NewKey::Given(Signer::Key(key)),
            certificate,
            chain: above,
            purpose: "idevid",
            at: system_time(),
        };
        device.store.install(device.factory_name(), &new)?;
    }
    // Last: a pair of key and certificates that does not fit leaves nobody trusted.
    anchors::add(&device, Set::All, &anchors)?;
    // Created anew or not at all: nobody's file is written over.
    let text = format!("# Settings of devid. `devid config explain` tells what there is besides.\n{}", loaded.table);
    write_new(&path, text.as_bytes(), 0o644)?;
    let with =
        if path == Path::new(settings::DEFAULT_FILE) { String::new() } else { format!(" -c {}", path.display()) };
    let words = format!(
        "{} and device memory at {} are made; next: devid{with} doctor, devid{with} enroll",
        path.display(),
        memory.display()
    );
    output.say(&words);
    output.result("init", "", json!({ "settings": path, "memory": memory, "anchors": anchors.len() }));
    Ok(Exit::Done)
}

/// The folder of the settings file, made where it is missing. Before device memory: whoever may not write here is left with nothing that
/// stands in the way of a second try.
fn make_folder(path: &Path) -> Result<(), Failure> {
    let folder = folder_of(path);
    let refused = |error: &std::io::Error| {
        let words = "the settings file is to go there; --output names another place";
        Failure::Own(Exit::Input, format!("{}: {error}: {words}", devid::files::shown(folder)))
    };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o755).create(folder).map_err(|e| refused(&e))?;
    // Tried, and asked as whoever reads them will ask.
    std::fs::OpenOptions::new().write(true).create_new(true).open(path).map_err(|e| refused(&e))?;
    let readable = devid::files::check_writers(path).map_err(|e| refused(&e));
    std::fs::remove_file(path).map_err(|e| refused(&e))?;
    readable
}

/// What `devid config check` would refuse is not written down: a profile that nobody knows, a name that is none. But the secret may come
/// later, as those of systemd do.
fn refuse_what_would_fail(loaded: &settings::Loaded) -> Result<(), Failure> {
    let mut loaded = loaded.clone();
    loaded.settings.ca.login = Default::default();
    if let Some(login) = loaded.table.get_mut("ca").and_then(toml::Value::as_table_mut) {
        login.remove("login");
    }
    match settings::judge(&loaded).into_iter().find(|one| one.fails) {
        Some(wrong) => Err(Failure::usage(wrong.words)),
        None => Ok(()),
    }
}

/// Device memory is made in a folder that is there: one that is not may be a medium that is not mounted.
fn has_folder(memory: &Path) -> Result<(), Failure> {
    let folder = folder_of(memory);
    match folder.is_dir() {
        true => Ok(()),
        false => Err(Failure::Own(
            Exit::Input,
            format!(
                "{}: expected a folder, in which device memory is made: mount or make it, or name another place with --memory",
                devid::files::shown(folder)
            ),
        )),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Device memory of an earlier life trusts nobody of today.
fn refuse_other_anchors(device: &Device, wanted: &[Certificate], memory: &std::path::Path) -> Result<(), Failure> {
    for set in AnchorSet::ALL {
        if let Some(other) = device.store.anchors(set)?.iter().find(|anchor| !wanted.contains(anchor)) {
            return Err(Failure::usage(format!(
                "device memory at {} trusts {} already ({}), which --trust does not name, and nothing is added to an earlier device's trust: \
                 devid anchors remove takes it away, --memory names another place",
                memory.display(),
                display(other.subject()),
                anchors::word(set)
            )));
        }
    }
    Ok(())
}

fn absolute(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    paths.iter().map(|path| std::path::absolute(path).map_err(|e| Failure::file(path, &e))).collect()
}

/// The settings that the options name.
fn table_of(command: &Init, signers: &[PathBuf]) -> toml::Table {
    let mut ca = toml::Table::from_iter([("server".to_owned(), command.server.clone().into())]);
    if let Some(profile) = &command.profile {
        ca.insert("profile".to_owned(), profile.clone().into());
    }
    if let (Some(reference), Some(secret)) = (&command.reference, &command.secret) {
        let login = [("kind", "secret"), ("reference", reference), ("secret", secret)];
        ca.insert("login".to_owned(), table(login.map(|(key, value)| (key, value.into()))));
    }
    if !signers.is_empty() {
        let paths: Vec<String> = signers.iter().map(|path| path.display().to_string()).collect();
        ca.insert("trust".to_owned(), table([("signers", paths.into())]));
    }
    let mut identity = toml::Table::from_iter([("subject".to_owned(), command.subject.clone().into())]);
    if !command.dns.is_empty() {
        identity.insert("dns".to_owned(), command.dns.clone().into());
    }
    let identities = toml::Table::from_iter([(command.identity.clone(), identity.into())]);
    toml::Table::from_iter([("ca".to_owned(), ca.into()), ("identity".to_owned(), identities.into())])
}

fn table<const N: usize>(fields: [(&str, toml::Value); N]) -> toml::Value {
    toml::Table::from_iter(fields.map(|(key, value)| (key.to_owned(), value))).into()
}
