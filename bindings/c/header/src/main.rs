//! Writes the headers under `include/` and `bindings/c/symbols.txt`, or with `--check` says whether they differ.
//!
//! The rows of `bindings/c/src` are read by `devid-rows`, as the attributes of `devid-macros` read them for the compiler; cbindgen turns
//! the declarations into C (`items`); `contents.txt` says what stands where (`contents`); `write` puts the files together. Status
//! codes come from `src/codes.rs`, the version from the workspace.

// The table of status codes stands on it, as the engine does.
extern crate alloc;

mod contents;
mod items;
mod write;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use contents::Contents;
use items::Items;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..").canonicalize()?;
    let mut config = cbindgen::Config::from_file(root.join("bindings/c/cbindgen.toml"))?;
    let frame = write::Frame {
        top: config.header.take().ok_or("cbindgen.toml has no header")?,
        bottom: config.trailer.take().ok_or("cbindgen.toml has no trailer")?,
    };
    let items = Items::read(&root.join("bindings/c/src"), config)?;
    let contents = Contents::parse(&fs::read_to_string(root.join("bindings/c/header/contents.txt"))?)?;
    let headers = frame.headers(&contents, &contents.place(&items)?);

    let mut wanted: BTreeMap<PathBuf, String> = BTreeMap::new();
    wanted.insert(root.join("bindings/c/symbols.txt"), items.symbols());
    wanted.extend(headers.into_iter().map(|(path, text)| (root.join("include").join(path), text)));
    let check = std::env::args().any(|a| a == "--check");
    let mut different = false;
    for old in old_headers(&root.join("include"))? {
        if !wanted.contains_key(&old) {
            different = true;
            if check {
                eprintln!("{} is no header that `make header` writes", old.display());
            } else {
                fs::remove_file(&old)?;
            }
        }
    }
    for (path, content) in wanted {
        if fs::read_to_string(&path).is_ok_and(|old| old == content) {
            continue;
        }
        different = true;
        if check {
            eprintln!("{} is not what `make header` writes", path.display());
        } else {
            fs::create_dir_all(path.parent().unwrap_or(&root))?;
            fs::write(&path, content)?;
            println!("wrote {}", path.display());
        }
    }
    Ok(if check && different { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn old_headers(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(old_headers(&path)?),
            false if path.extension().is_some_and(|e| e == "h") => found.push(path),
            false => {}
        }
    }
    Ok(found)
}
