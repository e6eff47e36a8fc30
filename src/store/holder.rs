//! Who holds a lock, as far as the system tells it: for people who look for the process. Nothing is decided by it.

use std::os::fd::AsFd;

/// The process that holds the lock of this open file or folder, in words; `None` where that cannot be told. The lock is not touched.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn holder(file: impl AsFd) -> Option<String> {
    let stat = rustix::fs::fstat(file).ok()?;
    let table = std::fs::read_to_string("/proc/locks").ok()?;
    let device = (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev));
    let held = || table.lines().filter_map(Held::read).filter(|held| held.inode == stat.st_ino);
    let is_file = |held: &Held| held.device == device || has_open(held.process, (stat.st_dev, stat.st_ino));
    held().find(is_file).map(|held| described(held.process))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn holder(_: impl AsFd) -> Option<String> {
    None
}

/// A line of `/proc/locks` (proc_locks(5)) about a lock of flock(2) that somebody has.
#[cfg(any(target_os = "linux", target_os = "android", test))]
#[derive(Debug, PartialEq, Eq)]
struct Held {
    process: u32,
    device: (u32, u32),
    inode: u64,
}

#[cfg(any(target_os = "linux", target_os = "android", test))]
impl Held {
    /// `1: FLOCK  ADVISORY  WRITE 4711 08:01:131234 0 EOF`; who waits for a lock has an arrow behind the number.
    fn read(line: &str) -> Option<Held> {
        let mut words = line.split_ascii_whitespace().skip(1);
        if words.next() != Some("FLOCK") {
            return None;
        }
        let process = words.nth(2)?.parse().ok()?;
        let mut place = words.next()?.split(':');
        let mut hexadecimal = || u32::from_str_radix(place.next()?, 16).ok();
        let device = (hexadecimal()?, hexadecimal()?);
        Some(Held { process, device, inode: place.next()?.parse().ok()? })
    }
}

/// Whether a process has this file open: where file systems lie over each other the table has the number of another device.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn has_open(process: u32, file: (u64, u64)) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Ok(opened) = std::fs::read_dir(format!("/proc/{process}/fd")) else { return false };
    opened.flatten().any(|one| std::fs::metadata(one.path()).is_ok_and(|there| (there.dev(), there.ino()) == file))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn described(process: u32) -> String {
    if process == std::process::id() {
        return format!("this process ({process}), by another handle,");
    }
    match std::fs::read(format!("/proc/{process}/comm")) {
        Ok(name) => format!("process {process} ({})", String::from_utf8_lossy(&name).trim().escape_debug()),
        // The lock is its open file's, and that went on to what it has started.
        Err(_) => format!("what process {process} has started, which has ended itself,"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_that_somebody_has_are_read_and_those_waited_for_are_not() {
        let line = "12: FLOCK  ADVISORY  WRITE 4711 fd:1A:131234 0 EOF";
        assert_eq!(Held::read(line), Some(Held { process: 4711, device: (0xfd, 0x1a), inode: 131_234 }));
        for other in [
            "12: -> FLOCK  ADVISORY  WRITE 4711 08:01:131234 0 EOF",
            "12: POSIX  ADVISORY  WRITE 4711 08:01:131234 0 EOF",
            "12: OFDLCK ADVISORY  WRITE -1 08:01:131234 0 EOF",
            "12: FLOCK  ADVISORY  WRITE -1 08:01:131234 0 EOF",
            "12: FLOCK  ADVISORY  WRITE 4711 08:01",
            "12: FLOCK  ADVISORY  WRITE 4711 g:01:7 0 EOF",
            "",
        ] {
            assert_eq!(Held::read(other), None, "{other}");
        }
    }
}
