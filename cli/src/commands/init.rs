//! `init`: a settings file and device memory from a few values.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use devid::asn1::name::{Name, display};
use devid::asn1::x509::Certificate;
use devid::client::run::system_time;
use devid::store::{AnchorSet, NewIdentity, NewKey, Signer, StoreErrorKind};
use serde_json::json;

use super::anchors;
use crate::arguments::{Arguments, Init, Set};
use crate::device::{Device, of_this_command, read_certificates, read_chain, read_key};
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
        Source::parse(source).map_err(Failure::usage)?;
    }
    let anchors = read_certificates(&command.trust, output)?;
    let signers = absolute(&command.signer)?;
    read_certificates(&signers, output)?;
    let factory = match (&command.factory_key, &command.factory_certificates) {
        (Some(key), Some(certificates)) => {
            Some((of_this_command(key, read_key(key, None))?, read_chain(certificates, output)?))
        }
        _ => None,
    };
    let memory = arguments.memory.clone().unwrap_or_else(|| settings::Settings::default().device.memory);
    let text = settings_text(command, &memory, &signers);
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| Failure::Own(Exit::Internal, e.to_string()))?;
    let read = settings::read_settings(&table)?;
    make_folder(&path)?;
    has_folder(&memory)?;
    let loaded = settings::Loaded { settings: read, table, files: Vec::new() };
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
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|e| Failure::file(&path, &e))?;
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
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)
        .map_err(|e| refused(&e.into()))
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

fn settings_text(command: &Init, memory: &std::path::Path, signers: &[PathBuf]) -> String {
    let text = |value: &str| toml::Value::from(value).to_string();
    let list = |values: &[String]| toml::Value::from(values.to_vec()).to_string();
    let mut lines = vec![
        "# Settings of devid. `devid config explain` tells what there is besides.".to_owned(),
        "[device]".to_owned(),
        format!("memory = {}", text(&memory.display().to_string())),
        String::new(),
        "[ca]".to_owned(),
        format!("server = {}", text(&command.server)),
    ];
    lines.extend(command.profile.as_ref().map(|profile| format!("profile = {}", text(profile))));
    if let (Some(reference), Some(secret)) = (&command.reference, &command.secret) {
        lines.extend([String::new(), "[ca.login]".to_owned(), "kind = \"secret\"".to_owned()]);
        lines.extend([format!("reference = {}", text(reference)), format!("secret = {}", text(secret))]);
    }
    if !signers.is_empty() {
        let paths: Vec<String> = signers.iter().map(|path| path.display().to_string()).collect();
        lines.extend([String::new(), "[ca.trust]".to_owned(), format!("signers = {}", list(&paths))]);
    }
    lines.extend([
        String::new(),
        format!("[identity.{}]", toml_key(&command.identity)),
        format!("subject = {}", text(&command.subject)),
    ]);
    if !command.dns.is_empty() {
        lines.push(format!("dns = {}", list(&command.dns)));
    }
    lines.join("\n") + "\n"
}

/// A name as a part of a table's head: in quotes where it has other letters than those of bare keys.
fn toml_key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if is_bare { name.to_owned() } else { toml::Value::from(name).to_string() }
}
