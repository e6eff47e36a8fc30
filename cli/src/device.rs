//! The device, which the library knows; files that commands name.

use std::path::Path;

pub use devid::client::device::{Device, read_key};

use devid::asn1::x509::Certificate;
use devid::client::Subject;
use devid::client::certificates::ReadAs;

use crate::attendant::ends_with_the_command;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::settings::Loaded;

/// Larger files are not read: no structure of this field needs as much.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// The device of these settings; what it waits for in device memory ends with the command. Only `create` makes that where it is missing.
pub fn open(loaded: &Loaded, create: bool) -> Result<Device, Failure> {
    let device = Device::open(loaded, create)?;
    ends_with_the_command(&device.store);
    Ok(device)
}

/// All certificates of files that the command line names, `-` for standard input; what cannot be read beside them is told.
pub fn read_certificates(
    paths: impl IntoIterator<Item = impl AsRef<Path>>,
    read_as: ReadAs,
    output: Output,
) -> Result<Vec<Certificate>, Failure> {
    let mut all = Vec::new();
    for path in paths {
        let (path, mut told) = (path.as_ref(), |words: String| output.say(&format!("warning: {words}")));
        let shown = devid::files::shown(path);
        all.extend(devid::client::device::certificates_of(&read_file(path)?, &shown, read_as, &mut told)?);
    }
    Ok(all)
}

/// The trust anchors of files that settings name.
pub fn anchors_of_settings(
    paths: impl IntoIterator<Item = impl AsRef<Path>>,
    output: Output,
) -> Result<Vec<Certificate>, devid::Error> {
    let told = &mut |words| output.say(&format!("warning: {words}"));
    devid::client::device::read_certificates(paths, ReadAs::Anchors, told)
}

/// The certificates of one file, or of standard input, whose first is somebody's own.
pub fn read_chain(path: &Path, output: Output) -> Result<Vec<Certificate>, Failure> {
    let mut told = |words: String| output.say(&format!("warning: {words}"));
    Ok(devid::client::device::chain_of(&read_file(path)?, &devid::files::shown(path), &mut told)?)
}

/// Whom a request is for.
pub fn subject(device: &Device, name: &str) -> Result<Subject, Failure> {
    let missing = || Failure::settings(format!("identity.{name} says no name to ask for: set its subject or dns"));
    device.subject(name, &device.identity(name))?.ok_or_else(missing)
}

/// A file of the command line that cannot be read is no mistake of the settings.
pub fn of_this_command<T>(path: &Path, read: Result<T, devid::Error>) -> Result<T, Failure> {
    read.map_err(|error| match path == Path::new("-") || devid::files::open_regular(path).is_ok() {
        true => error.into(),
        false => Failure::Own(Exit::Input, error.message().to_owned()),
    })
}

/// Writes a file that is not there yet, whole or not at all: what cannot be written to its end does not stand in the way of the next try.
pub fn write_new(path: &Path, content: &[u8], mode: u32) -> Result<(), Failure> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = made.map_err(|error| Failure::file(path, &error))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(|error| {
        let _ = std::fs::remove_file(path);
        Failure::file(path, &error)
    })
}

/// A file, or standard input for `-`.
pub fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)
    } else {
        devid::files::open_regular(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
    };
    read.map_err(|e| Failure::file(path, &e))?;
    match bytes.len() as u64 > MAX_FILE_BYTES {
        true => {
            Err(Failure::Own(Exit::Input, format!("{}: larger than {MAX_FILE_BYTES} bytes", devid::files::shown(path))))
        }
        false => Ok(bytes),
    }
}
