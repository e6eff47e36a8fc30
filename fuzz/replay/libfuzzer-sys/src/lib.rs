//! Stands in for libFuzzer where that is not installed: the same targets are fed with files, as they are, cut, and with single
//! bytes changed. It finds less than a fuzzer and finds it again each time: what it does depends on the files alone.

use std::path::{Path, PathBuf};

/// Places of a file that are damaged, at most; FUZZ_PLACES names another number.
const PLACES: usize = 400;

/// As libFuzzer's: makes the program of a target.
#[macro_export]
macro_rules! fuzz_target {
    (|$input:ident: &[u8]| $body:block) => {
        #[unsafe(no_mangle)]
        pub extern "C" fn main(_count: i32, _arguments: *const *const u8) -> i32 {
            $crate::replay(|$input: &[u8]| $body)
        }
    };
}

/// Feeds the target with each file of the folders named as arguments. A panic ends the program as it ends a fuzzer.
pub fn replay(target: impl Fn(&[u8])) -> i32 {
    let places = std::env::var("FUZZ_PLACES").ok().and_then(|n| n.parse().ok()).unwrap_or(PLACES);
    let mut files = Vec::new();
    for folder in std::env::args().skip(1) {
        collect(Path::new(&folder), &mut files);
    }
    files.sort();
    let mut runs = 0;
    target(&[]);
    for file in &files {
        let Ok(bytes) = std::fs::read(file) else { continue };
        let step = (bytes.len() / places).max(1);
        let mut input = bytes.clone();
        target(&input);
        for at in (0..bytes.len()).step_by(step) {
            for value in [bytes[at] ^ 1, bytes[at] ^ 0x80, 0, 0xff] {
                input[at] = value;
                target(&input);
            }
            input[at] = bytes[at];
            target(&bytes[..at]);
            runs += 5;
        }
    }
    println!("{} files, {runs} damaged forms", files.len());
    i32::from(files.is_empty())
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) {
    match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().for_each(|entry| collect(&entry.path(), files)),
        Err(_) => files.push(path.to_owned()),
    }
}
