//! The device, which the library knows; files that commands name.

use std::path::Path;

pub use devid::client::device::{Device, read_chain, read_key};

use devid::asn1::x509::Certificate;

use crate::failure::{Exit, Failure};
use crate::output::Output;

/// Larger files are not read: no structure of this field needs as much.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// All certificates of some files; what cannot be read beside them is told.
pub fn read_certificates(
    paths: impl IntoIterator<Item = impl AsRef<Path>>,
    output: Output,
) -> Result<Vec<Certificate>, devid::Error> {
    devid::client::device::read_certificates(paths, &mut |words| output.say(&format!("warning: {words}")))
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
