//! Lasting exports: what the settings want written for other software, and whether it stands as it was written.
//!
//! An export is due when what decides it has changed (the identity, the layout, the folder, the anchors, the password's
//! source), when a file of it is not there as it was written, or when the program behind it has not succeeded yet. What was
//! written is remembered in device memory, by digests.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::files::read_certificates;
use super::reading::{Reading, of};
use super::secret::Source;
use super::{Device, Export, Settings, wrong};
use crate::asn1::x509::hex;
use crate::client::certificates::ReadAs;
use crate::crypto::keys::SCRYPT_COST;
use crate::crypto::{DigestAlgorithm, Provider, default_provider};
use crate::error::Error;
use crate::store::export::{Export as ExportPlan, Layout};
use crate::store::{Identity, StoreErrorKind};

const HEAD: &str = "devid export 1";
/// Begins the names of what is remembered.
const PREFIX: &str = "export-";
/// The access rights of a file with a private key.
const KEY_MODE: u32 = 0o600;
/// No file of an export is larger.
const MOST_BYTES: u64 = 16 << 20;

/// How a lasting export stands.
#[derive(Clone, Debug)]
pub struct ExportState {
    /// What is wanted.
    pub export: Export,
    /// Why it is to be written (again); `None`: it stands as it was written.
    pub due: Option<String>,
    /// Its files stand, and the program behind it has not succeeded yet.
    pub is_program_due: bool,
    label: String,
    digest: String,
}

impl ExportState {
    /// What tells this export from the others of the device, the same for as long as it is wanted.
    pub fn label(&self) -> &str {
        &self.label
    }
}

impl Device {
    /// How the lasting exports of an identity stand. Empty where there is no identity in use. Each stands for itself: where a file that one
    /// needs cannot be read, that is why it is due, and the others go on.
    ///
    /// Errors: device memory cannot be read.
    pub fn exports(&self, name: &str) -> Result<Vec<ExportState>, Error> {
        let current = match self.store.current(name) {
            Ok(current) => current,
            Err(error) if error.kind == StoreErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let wanted = self.identity(name).export.into_iter();
        wanted.map(|export| self.state_of(name, &current, export)).collect()
    }

    fn state_of(&self, name: &str, current: &Identity, export: Export) -> Result<ExportState, Error> {
        let provider = default_provider();
        let (layout, folder) = (export.layout.as_bytes(), export.folder.as_os_str().as_encoded_bytes());
        let label = format!("{PREFIX}{}", &digest(&*provider, &[name.as_bytes(), layout, folder])?[..16]);
        let (digest, trouble) = match digest_of(&*provider, current, &export) {
            Ok(digest) => (digest, None),
            // Writing it fails by the same words.
            Err(error) => (String::new(), Some(error.to_string())),
        };
        let mark = match self.store.blob(&label) {
            Ok(text) => Mark::read(&text),
            Err(error) if error.kind == StoreErrorKind::NotFound || error.is_damage() => None,
            Err(error) => return Err(error.into()),
        };
        let due = match &mark {
            _ if trouble.is_some() => trouble,
            None => Some("it was not written yet".to_owned()),
            Some(mark) if mark.digest != digest => Some("what is wanted has changed".to_owned()),
            Some(mark) => mark.missing(&*provider)?.or_else(|| mark.key_access(&export)),
        };
        let is_open = mark.is_some_and(|mark| mark.is_program_due) && !export.then.is_empty();
        let is_program_due = due.is_none() && is_open;
        Ok(ExportState { export, due, is_program_due, label, digest })
    }

    /// Writes an export and remembers it. Where a program is to run behind it, that is due then:
    /// [`Device::note_program`] says that it has succeeded.
    pub fn write_export(&self, name: &str, state: &ExportState) -> Result<Vec<PathBuf>, Error> {
        let written = self.store.export(name, &self.export_of(setting_of(name), &state.export)?)?;
        let mut mark = Mark {
            identity: name.to_owned(),
            digest: state.digest.clone(),
            is_program_due: !state.export.then.is_empty(),
            files: Vec::new(),
        };
        let provider = default_provider();
        for path in &written.files {
            let content = read(path).map_err(|e| wrong(format!("{}: {e}", path.display())))?;
            mark.files.push((path.clone(), digest(&*provider, &[&content])?));
        }
        self.store.put_blob(&state.label, mark.write().as_bytes())?;
        Ok(written.files)
    }

    /// Writes those that are due; why those that could not be written were not. None of them holds another one up.
    pub(super) fn write_due_exports(&self, name: &str) -> Vec<Error> {
        let states = match self.exports(name) {
            Ok(states) => states,
            // What is damaged or sealed is told by what is done about that.
            Err(_) => return Vec::new(),
        };
        let due = states.iter().filter(|state| state.due.is_some());
        due.filter_map(|state| self.write_export(name, state).err()).collect()
    }

    /// Remembers that the program behind an export has succeeded.
    pub fn note_program(&self, state: &ExportState) -> Result<(), Error> {
        let Some(mut mark) = Mark::read(&self.store.blob(&state.label)?) else { return Ok(()) };
        mark.is_program_due = false;
        Ok(self.store.put_blob(&state.label, mark.write().as_bytes())?)
    }

    /// Forgets what was written for exports that the settings do not name any more. The files stay: who put them to use knows.
    pub fn forget_exports(&self, name: &str, wanted: &[ExportState]) -> Result<(), Error> {
        for label in self.store.blobs()?.into_iter().filter(|label| label.starts_with(PREFIX)) {
            let is_of_it = match self.store.blob(&label) {
                Ok(text) => Mark::read(&text).map_or_else(|| is_old(&label, name), |mark| mark.identity == name),
                Err(_) => false,
            };
            if is_of_it && !wanted.iter().any(|state| state.label == label) {
                self.store.remove_blob(&label)?;
            }
        }
        Ok(())
    }
}

/// What decides an export: whose it is, in which form, where to, given to whom.
fn digest_of(provider: &dyn Provider, current: &Identity, export: &Export) -> Result<String, Error> {
    let anchors = read_certificates(&export.anchors, ReadAs::Anchors, &mut |_| ())?;
    let password = export.password.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut parts = vec![export.layout.as_bytes(), password.as_bytes(), current.certificate.as_der()];
    parts.extend(current.chain.iter().chain(&anchors).map(|one| one.as_der()));
    // Behind what earlier versions have: without one, what they wrote stands.
    parts.extend(export.owner.as_deref().map(str::as_bytes));
    parts.extend(export.scrypt.then_some(&b"scrypt"[..]));
    digest(provider, &parts)
}

/// SHA-256 over parts with their lengths, in hexadecimal.
fn digest(provider: &dyn Provider, parts: &[&[u8]]) -> Result<String, Error> {
    let lengths: Vec<[u8; 8]> = parts.iter().map(|part| (part.len() as u64).to_be_bytes()).collect();
    let framed: Vec<&[u8]> = lengths.iter().zip(parts).flat_map(|(length, part)| [&length[..], part]).collect();
    Ok(hex(&provider.digest(DigestAlgorithm::Sha256, &framed)?))
}

fn read(path: &Path) -> std::io::Result<zeroize::Zeroizing<Vec<u8>>> {
    use std::io::Read;
    let mut content = zeroize::Zeroizing::new(Vec::new());
    crate::files::open_regular(path)?.take(MOST_BYTES).read_to_end(&mut content)?;
    Ok(content)
}

/// Marks of earlier versions: the identity's name and a number.
fn is_old(label: &str, name: &str) -> bool {
    let number = label.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix(name)).and_then(|n| n.strip_prefix('-'));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// What is remembered of an export.
#[derive(Debug, PartialEq, Eq)]
struct Mark {
    identity: String,
    digest: String,
    is_program_due: bool,
    files: Vec<(PathBuf, String)>,
}

impl Mark {
    fn write(&self) -> String {
        let program = if self.is_program_due { "due" } else { "done" };
        let mut text = format!("{HEAD}\nidentity {}\nof {}\nprogram {program}\n", self.identity, self.digest);
        for (path, digest) in &self.files {
            let _ = writeln!(text, "file {digest} {}", hex(path.as_os_str().as_encoded_bytes()));
        }
        text
    }

    /// `None` for what is none, such as a mark of an earlier version: the export is written again.
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(bytes).ok()?.lines();
        (lines.next()? == HEAD).then_some(())?;
        let mut field = |name: &str| lines.next()?.strip_prefix(name).map(str::to_owned);
        let (identity, digest) = (field("identity ")?, field("of ")?);
        let is_program_due = field("program ")? == "due";
        let files = lines.map(|line| {
            let (digest, path) = line.strip_prefix("file ")?.split_once(' ')?;
            Some((path_of(path)?, digest.to_owned()))
        });
        Some(Mark { identity, digest, is_program_due, files: files.collect::<Option<_>>()? })
    }

    /// Which file is not there as it was written.
    fn missing(&self, provider: &dyn Provider) -> Result<Option<String>, Error> {
        for (path, expected) in &self.files {
            match read(path) {
                Ok(content) if digest(provider, &[&content])? == *expected => {}
                Ok(_) => return Ok(Some(format!("{} is not as it was written", path.display()))),
                // Given to its own user, and this is another one: it is there.
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {}
                Err(error) => return Ok(Some(format!("{}: {error}", path.display()))),
            }
        }
        Ok(None)
    }
}

impl Mark {
    /// How the private key's file, the first one, is open to others than it was written for: somebody has given it other rights or another
    /// owner since. By the rule that leaves files as they are when an export is written.
    fn key_access(&self, export: &Export) -> Option<String> {
        use std::os::unix::fs::MetadataExt;
        let (path, _) = self.files.first()?;
        let metadata = std::fs::metadata(path).ok()?;
        let mode = metadata.mode() & 0o7777;
        if mode != KEY_MODE {
            return Some(format!(
                "{} has mode {mode:o}, and a private key is written with {KEY_MODE:o}",
                path.display()
            ));
        }
        let found = (metadata.uid(), metadata.gid());
        let is_given = match &export.owner {
            Some(owner) => owner_of(owner).map_or(true, |owner| owner == found),
            None => found.0 == rustix::process::geteuid().as_raw(),
        };
        (!is_given).then(|| format!("{} belongs to user {} and group {}", path.display(), found.0, found.1))
    }
}

fn path_of(digits: &str) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let pairs = digits.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> =
        pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect();
    Some(std::ffi::OsString::from_vec(bytes?).into())
}

/// The name of a setting of an identity's exports.
pub(super) fn setting_of(name: &str) -> impl Fn(&str) -> String {
    move |key| format!("identity.{name}.export.{key}")
}

impl Reading<'_> {
    /// How an identity is written for other software.
    pub(super) fn export_of(&self, named: &dyn Fn(&str) -> String, export: &Export) -> Result<ExportPlan, Error> {
        let layout = Layout::from_name(&export.layout).ok_or_else(|| {
            let words = "pem, openssl, nginx, strongswan, mosquitto and pkcs12 are layouts";
            wrong(format!("{}: {} is not a layout: {words}", named("layout"), crate::words::quoted(&export.layout)))
        })?;
        let mut out = ExportPlan::new(layout, &export.folder);
        out.anchors = self.certificates(&named("anchors"), &export.anchors, ReadAs::Anchors)?;
        let source = export.password.as_ref();
        if layout == Layout::Pkcs12 && source.is_none() {
            return Err(wrong(format!("{} is not set: a PKCS#12 file needs a password", named("password"))));
        }
        let what = format!("the password of the export to {}", crate::files::shown(&export.folder));
        if let Some(source) = source.filter(|source| self.is_at_work && **source == Source::Prompt) {
            // What is typed twice is remembered.
            of(&named("password"), source.read_new(&what))?;
        }
        let password = source.map(|source| self.text(&named("password"), source, &what)).transpose()?;
        out.password = password.flatten();
        out.scrypt = export.scrypt.then_some(SCRYPT_COST);
        out.key_owner = of(&named("owner"), export.owner.as_deref().map(owner_of).transpose())?;
        Ok(out)
    }
}

/// Where a system has its users and groups, by name.
const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";

/// The user and the group that `USER` or `USER:GROUP` names; a user alone is given with the group that is its own.
pub(super) fn owner_of(text: &str) -> Result<(u32, u32), Error> {
    let refused = |why: String| wrong(format!("{}: {why}", crate::words::quoted(text)));
    let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    let users = std::fs::read_to_string(USERS).unwrap_or_default();
    let entry = entry_of(&users, user);
    let number = |text: &str, entry: Option<&[&str]>| text.parse().ok().or_else(|| entry?.get(2)?.parse().ok());
    let uid = number(user, entry.as_deref()).ok_or_else(|| refused(format!("{USERS} has no such user")))?;
    let gid = match group {
        Some(group) => {
            let groups = std::fs::read_to_string(GROUPS).unwrap_or_default();
            let gid = number(group, entry_of(&groups, group).as_deref());
            gid.ok_or_else(|| refused(format!("{GROUPS} has no such group")))?
        }
        None => {
            let own = entry.and_then(|entry| entry.get(3)?.parse().ok());
            own.ok_or_else(|| refused(format!("{USERS} does not say its group: USER:GROUP does")))?
        }
    };
    Ok((uid, gid))
}

/// The line of a name, or of a number, in a file of users or groups.
fn entry_of<'a>(file: &'a str, wanted: &str) -> Option<Vec<&'a str>> {
    let entries = || file.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let is = |entry: &Vec<&str>, field: usize| entry.get(field) == Some(&wanted);
    entries().find(|entry| is(entry, 0)).or_else(|| entries().find(|entry| is(entry, 2)))
}

/// Whether an export can be written where it is to be: files of others in device memory would be taken for damage, and be closed to them.
pub(super) fn check_places(settings: &Settings) -> Result<(), Error> {
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let memory = whole(&settings.device.memory);
    for (name, identity) in &settings.identity {
        for export in &identity.export {
            let setting = format!("identity.{name}.export.folder");
            if export.folder.as_os_str().is_empty() {
                return Err(wrong(format!("{setting} is empty: where the files go")));
            }
            if export.folder.to_str().is_some_and(|folder| folder.contains("${")) {
                let shown = crate::files::shown(&export.folder);
                return Err(wrong(format!(
                    "{setting}: {shown}: expected a folder by its name, in which ${{id}} stands for nothing"
                )));
            }
            if whole(&export.folder).starts_with(&memory) || export.folder.starts_with(&settings.device.memory) {
                let shown = crate::files::shown(&export.folder);
                return Err(wrong(format!(
                    "{setting}: {shown} is in device memory, whose files are nobody else's: another folder is expected"
                )));
            }
            check_above(&setting, &export.folder)?;
        }
    }
    Ok(())
}

/// Where a file is written again and again: in a folder that is there, over nothing but a file or a device.
pub(super) fn check_file(setting: &str, path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::FileTypeExt;
    if path.as_os_str().is_empty() {
        return Err(wrong(format!("{setting} is empty: expected the name of a file")));
    }
    let is_written = |kind: std::fs::FileType| kind.is_file() || kind.is_symlink() || kind.is_char_device();
    if std::fs::symlink_metadata(path).is_ok_and(|about| !is_written(about.file_type())) {
        return Err(wrong(format!(
            "{setting}: {} is not a file, and nothing else is replaced",
            crate::files::shown(path)
        )));
    }
    check_above(setting, path)
}

/// What is made where it is missing is made in a folder that is there.
pub(super) fn check_above(setting: &str, path: &Path) -> Result<(), Error> {
    let above = path.parent().map(|above| if above.as_os_str().is_empty() { Path::new(".") } else { above });
    match above.filter(|above| !above.is_dir()) {
        None => Ok(()),
        Some(above) => {
            let words = format!("{setting}: there is no folder {}", crate::files::shown(above));
            Err(super::away(words, std::io::ErrorKind::NotFound.into()))
        }
    }
}

/// Two exports that would write over each other, each time anew, are a mistake in the settings.
pub(super) fn check(settings: &Settings) -> Result<(), Error> {
    let mut seen: Vec<(String, &Path)> = Vec::new();
    for (name, identity) in &settings.identity {
        for export in &identity.export {
            // Those switch by one link in the folder; the others name their files after the identity.
            let what = match export.layout.as_str() {
                "openssl" | "nginx" | "mosquitto" => "current".to_owned(),
                layout => format!("{layout} {name}"),
            };
            let place = (what, export.folder.as_path());
            if seen.contains(&place) {
                let words = format!("identity.{name}.export: {} has an export already", export.folder.display());
                return Err(wrong(words + "; each needs a folder of its own"));
            }
            seen.push(place);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_anything_else_is_none() {
        let mark = Mark {
            identity: "device".to_owned(),
            digest: "00ff".to_owned(),
            is_program_due: true,
            files: vec![("/a b/\u{e9}\n.pem".into(), "11".to_owned())],
        };
        assert_eq!(Mark::read(mark.write().as_bytes()), Some(mark));
        for other in [&b""[..], b"3", b"devid export 1\n", b"devid export 2\nidentity a\nof b\nprogram due\n", b"\xff"]
        {
            assert_eq!(Mark::read(other), None);
        }
    }

    #[test]
    fn marks_of_earlier_versions_are_known_by_their_names() {
        assert!(is_old("export-device-0", "device") && is_old("export-a-b-12", "a-b"));
        assert!(
            !is_old("export-a-b-0", "a") && !is_old("export-device-", "device") && !is_old("export-device-x", "device")
        );
    }
}
