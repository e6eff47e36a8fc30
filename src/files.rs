//! The doors by which files are opened that somebody else may have put there, and by which files appear whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use zeroize::Zeroizing;

use crate::codes::Code;
use crate::error::Error;

/// Whether a text that should be a file's name is the content of one: PEM, or longer than a path can be.
pub fn is_content(text: &str) -> bool {
    text.contains("-----BEGIN") || text.len() > MAX_PATH_BYTES
}

/// Linux: PATH_MAX.
const MAX_PATH_BYTES: usize = 4095;

/// A file's name in an error. What is no name is not repeated: it may be a private key, or a secret.
pub fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    if is_content(&text) || is_encoded(&text) || text.chars().any(char::is_control) {
        return format!("(expected the name of a file, found {} bytes that are none)", text.len());
    }
    text
}

/// Whether a text is base64 or hexadecimal digits as long as the shortest private key: no file in a folder, and no name that people give.
fn is_encoded(text: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_alphanumeric() || "+/=-_:".contains(c);
    let longest = text.split('/').map(str::len).max().unwrap_or(0);
    let has = |kind: fn(&char) -> bool| text.chars().any(|c| kind(&c));
    let is_mixed = has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase) && has(char::is_ascii_digit);
    let is_hexadecimal = text.chars().all(|c| c.is_ascii_hexdigit() || c == ':');
    let is_long = text.len() >= 43 && longest >= 32 && !text.starts_with('/');
    is_long && text.chars().all(is_digit) && (is_mixed || is_hexadecimal)
}

/// Opens a regular file for reading, through symbolic links. A pipe, a device or a folder in its place is refused and never
/// waited for: whoever prepared the medium could stop the device for ever.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let file = open(path)?;
    let kind = file.metadata()?.file_type();
    if !kind.is_file() {
        let found = if kind.is_dir() { "a folder" } else { "a pipe, a device or a socket" };
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("expected a regular file, found {found}")));
    }
    Ok(file)
}

/// All of a regular file of at most `max_len` bytes; wiped when it is dropped, as it may be a key.
///
/// Errors: [`Code::NotFound`], [`Code::Permission`], [`Code::TooLarge`]; [`Code::Io`] for what is no regular file, or cannot be read.
pub fn read(path: &Path, max_len: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
    let too_large = || Error::new(Code::TooLarge, format!("{}: larger than {max_len} bytes", shown(path)));
    let failed = |error: io::Error| {
        let code = match error.kind() {
            io::ErrorKind::NotFound => Code::NotFound,
            io::ErrorKind::PermissionDenied => Code::Permission,
            _ => Code::Io,
        };
        Error::caused_by(code, error).context(&shown(path))
    };
    let file = open_regular(path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    let len = usize::try_from(len).ok().filter(|len| *len <= max_len).ok_or_else(too_large)?;
    let mut bytes = Zeroizing::new(Vec::new());
    // One more than it says: growing would leave a copy behind.
    bytes.try_reserve_exact(len + 1).map_err(|_| too_large())?;
    let count = file.take(len as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    match count > len {
        true => Err(Error::new(Code::Io, format!("{}: it grew while it was read", shown(path)))),
        false => Ok(bytes),
    }
}

/// Whether nobody but root and this process's user (and their groups) can change the file or put another in its place: who can
/// write settings, or a program that they name, says what is run and who is trusted.
#[cfg(unix)]
pub fn check_writers(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    // Through symbolic links: what is behind them counts, and where it lies; and where they lie themselves.
    let real = path.canonicalize()?;
    let named_in = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folders = [real.parent().map(Path::to_owned), Some(named_in.canonicalize()?)];
    for (place, is_folder) in [(Some(real.clone()), false), (folders[0].clone(), true), (folders[1].clone(), true)] {
        let Some(place) = place else { continue };
        let about = fs::metadata(&place)?;
        let refuse = |words: String| {
            let shown = place.display();
            Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{shown}: {words}")))
        };
        if ![0, user].contains(&about.uid()) {
            return refuse(format!("it belongs to user {}, not to root or user {user}", about.uid()));
        }
        // In a folder like /tmp nobody can replace the files of others.
        let is_sticky = is_folder && about.mode() & 0o1000 != 0;
        if about.mode() & 0o002 != 0 && !is_sticky {
            return refuse(format!("everybody may write it (mode {:03o}): chmod o-w it first", about.mode() & 0o777));
        }
        if about.mode() & 0o020 != 0 && ![0, group].contains(&about.gid()) && !is_sticky {
            return refuse(format!("group {} may write it: chmod g-w it first", about.gid()));
        }
    }
    // Whoever may write a folder above may put another one in the place of what is below.
    let above = folders.iter().flatten().filter_map(|folder| folder.parent()).flat_map(Path::ancestors);
    for folder in above {
        let mode = fs::metadata(folder)?.mode();
        if mode & 0o1002 == 0o002 {
            let words = format!("everybody may write it (mode {:03o}): chmod o-w it first", mode & 0o777);
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("{}: {words}", folder.display())));
        }
    }
    Ok(())
}

/// The same where nothing is known of writers.
#[cfg(not(unix))]
pub fn check_writers(_: &Path) -> io::Result<()> {
    Ok(())
}

/// A text of at most `most` bytes from a regular file that only root and this process's user can change.
#[cfg(feature = "settings")]
pub fn read_text_of_owner(path: &Path, most: u64) -> io::Result<String> {
    let file = open_regular(path)?;
    check_writers(path)?;
    let mut bytes = Vec::new();
    if file.take(most + 1).read_to_end(&mut bytes)? as u64 > most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("more than {most} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let (at, bytes) = (error.utf8_error().valid_up_to(), error.as_bytes());
        let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        let words = match bytes {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "expected UTF-8 text, found UTF-16".to_owned(),
            _ => format!("expected UTF-8 text, found the byte {:02X} in line {line}", bytes[at]),
        };
        io::Error::new(io::ErrorKind::InvalidData, words)
    })
}

/// Writes a file with these permissions (less the umask), in place of an older one. It appears whole or not at all, and is on the
/// medium when the call returns. No symbolic link is followed, neither at the name nor at the one beside it (`NAME.part`) that
/// is written first: whoever else may write to the folder has nothing else overwritten.
///
/// What is neither a file nor a link is not replaced: a character device, such as `/dev/null`, is written into, all else refused.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    if let Some(outcome) = written_into(path, content) {
        return outcome;
    }
    let mut temporary = path.to_owned().into_os_string();
    temporary.push(".part");
    let temporary = Path::new(&temporary);
    let written = write_beside(temporary, path, content, mode);
    if written.is_err() {
        let _ = fs::remove_file(temporary);
    }
    written
}

#[cfg(unix)]
fn written_into(path: &Path, content: &[u8]) -> Option<io::Result<()>> {
    use std::os::unix::fs::FileTypeExt;
    let kind = fs::symlink_metadata(path).ok()?.file_type();
    if kind.is_file() || kind.is_symlink() {
        return None;
    }
    Some(match kind.is_char_device() {
        true => OpenOptions::new().write(true).open(path).and_then(|mut device| device.write_all(content)),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file, and nothing else is replaced")),
    })
}

#[cfg(not(unix))]
fn written_into(_: &Path, _: &[u8]) -> Option<io::Result<()>> {
    None
}

#[cfg_attr(not(unix), expect(unused_variables))]
fn write_beside(temporary: &Path, path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let _ = fs::remove_file(temporary);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    let mut file = options.open(temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    drop(file);
    fs::rename(temporary, path)?;
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // FAT on a stick cannot sync a directory; the file itself is safe by then.
    let _ = File::open(directory).and_then(|d| d.sync_all());
    Ok(())
}

/// Opening a pipe waits for its writer, and opening a device may do something, unless it is said that it must not.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn what_is_written_appears_whole_and_through_no_link() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("devid-replaced-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let (victim, name, part) = (folder.join("victim"), folder.join("status"), folder.join("status.part"));
        std::fs::write(&victim, "mine").unwrap();
        for link in [&name, &part] {
            std::os::unix::fs::symlink(&victim, link).unwrap();
            replace(&name, b"words", 0o600).unwrap();
            assert_eq!(std::fs::read_to_string(&victim).unwrap(), "mine");
            assert_eq!(std::fs::read_to_string(&name).unwrap(), "words");
            assert!(std::fs::symlink_metadata(&name).unwrap().is_file() && !part.exists());
            assert_eq!(std::fs::metadata(&name).unwrap().permissions().mode() & 0o777, 0o600);
        }
        // Nothing is left of what failed, and the old file stays.
        std::fs::remove_file(&name).unwrap();
        std::fs::create_dir(&name).unwrap();
        assert!(replace(&name, b"words", 0o600).is_err() && !part.exists());
        // What is no file is not replaced: a socket stays, and a device is written into.
        let socket = folder.join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(replace(&socket, b"words", 0o600).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert!(!std::fs::symlink_metadata(&socket).unwrap().is_file());
        replace(Path::new("/dev/null"), b"words", 0o600).unwrap();
        assert!(replace(Path::new("/dev/full"), b"words", 0o600).is_err());
        assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_key_in_place_of_a_name_is_not_repeated_in_any_of_its_forms() {
        let der: Vec<u8> = (0..138u32).map(|at| (at * 167 + 48) as u8).collect();
        let hex: String = der.iter().map(|byte| format!("{byte:02x}")).collect();
        let colons: Vec<String> = der[..32].iter().map(|byte| format!("{byte:02X}")).collect();
        for key in [
            <base64ct::Base64 as base64ct::Encoding>::encode_string(&der),
            hex.clone(),
            hex[..64].to_owned(),
            colons.join(":"),
        ] {
            let shown = shown(Path::new(&key));
            assert!(!shown.contains(&key[8..20]), "{shown}");
        }
        for name in [
            format!("/var/lib/containers/overlay/{}/root.pem", &hex[..64]),
            "operator-root-certificate-for-production-devices".to_owned(),
            "certificates/operator/2026/Production/devices/root/one".to_owned(),
            "AKeyOfTheOperator2026.pem".to_owned(),
        ] {
            assert_eq!(shown(Path::new(&name)), name);
        }
    }

    #[test]
    fn only_a_regular_file_is_opened_and_nothing_is_waited_for() {
        let folder = std::env::temp_dir().join(format!("devid-files-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let (pipe, link, file) = (folder.join("pipe"), folder.join("link"), folder.join("file"));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        std::fs::write(&file, "words").unwrap();
        for other in [&*pipe, &*link, &*folder, Path::new("/dev/zero")] {
            let error = open_regular(other).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{}: {error}", other.display());
        }
        assert_eq!(open_regular(&folder.join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let mut words = String::new();
        open_regular(&link).unwrap().read_to_string(&mut words).unwrap();
        assert_eq!(words, "words");
        #[cfg(feature = "settings")]
        {
            use std::os::unix::fs::PermissionsExt;
            let set = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            set(0o644);
            assert_eq!(read_text_of_owner(&file, 5).unwrap(), "words");
            assert_eq!(read_text_of_owner(&file, 4).unwrap_err().kind(), io::ErrorKind::InvalidData);
            set(0o646);
            assert_eq!(read_text_of_owner(&file, 5).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
