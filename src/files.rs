//! The one door by which files are opened that somebody else may have put there.

use std::fs::File;
use std::io;
use std::path::Path;

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
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
