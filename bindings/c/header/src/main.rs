//! Writes `include/devid.h` and `bindings/c/symbols.txt` from `bindings/c/src`, or with `--check` says whether they differ.
//!
//! The rows of `bindings/c/src` are read by `devid-rows`, as the attributes of `devid-macros` read them for the compiler; cbindgen turns
//! the declarations into C. Each file of `bindings/c/src` becomes a section of the header, in the order of the `pub mod` lines of `bindings/c/src/lib.rs`; its
//! `//!` comment is the section's title. Status codes come from `src/codes.rs`, the version from the workspace.

use std::collections::HashSet;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[path = "../../../../src/codes.rs"]
#[allow(dead_code, reason = "the table is shared, its look-ups are not needed here")]
mod codes;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..").canonicalize()?;
    let header = header(&root)?;
    let symbols = symbols(&header);
    let files = [(root.join("include/devid.h"), header), (root.join("bindings/c/symbols.txt"), symbols)];
    let check = std::env::args().any(|a| a == "--check");
    let mut different = false;
    for (path, content) in files {
        if fs::read_to_string(&path).is_ok_and(|old| old == content) {
            continue;
        }
        if check {
            eprintln!("{} is not what `make header` writes", path.display());
            different = true;
        } else {
            fs::write(&path, content)?;
            println!("wrote {}", path.display());
        }
    }
    Ok(if different { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn header(root: &Path) -> Result<String, Box<dyn Error>> {
    let mut config = cbindgen::Config::from_file(root.join("bindings/c/cbindgen.toml"))?;
    let top = config.header.take().ok_or("cbindgen.toml has no header")?;
    let bottom = config.trailer.take().ok_or("cbindgen.toml has no trailer")?;

    let files = sections(&root.join("bindings/c/src"))?;
    let sources = files.iter().map(fs::read_to_string).collect::<Result<Vec<_>, _>>()?;
    let rows = sources.iter().map(|source| syn::parse_file(source)).collect::<Result<Vec<_>, _>>()?;
    let handles: HashSet<String> = rows.iter().flat_map(devid_rows::handles).collect();

    let (mut types, mut rest) = (String::new(), String::new());
    for ((file, source), rows) in files.iter().zip(&sources).zip(&rows) {
        writeln!(rest, "\n/* ---- {} ---- */\n", title(source))?;
        if file.ends_with("version.rs") {
            rest.push_str(&version());
        }
        if file.ends_with("error.rs") {
            rest.push_str(&status_codes());
        }
        let declarations = devid_rows::declarations(rows, &|name| handles.contains(name))
            .map_err(|error| format!("{}: {error}", file.display()))?;
        let plain = std::env::temp_dir().join(format!("devid-header-{}.rs", std::process::id()));
        fs::write(&plain, declarations.to_string())?;
        let mut section = Vec::new();
        let made = cbindgen::Builder::new().with_config(config.clone()).with_src(&plain).generate();
        fs::remove_file(&plain)?;
        made?.write(&mut section);
        // Types first: functions of one section take types of another.
        for item in std::str::from_utf8(&section)?.trim().split("\n\n") {
            let place = if item.contains("\ntypedef struct ") { &mut types } else { &mut rest };
            write!(place, "{item}\n\n")?;
        }
    }
    let top = top.trim_start();
    Ok(format!(
        "{top}\n/* ---- Types ---- */\n\n{types}{}{bottom}",
        rest.trim_start().trim_end_matches('\n').to_owned() + "\n"
    ))
}

fn sections(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let list = fs::read_to_string(folder.join("lib.rs"))?;
    let names = list.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    Ok(names.map(|name| folder.join(name).with_extension("rs")).collect())
}

/// The first sentence of the file's comment.
fn title(source: &str) -> String {
    let words: Vec<_> = source.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim).collect();
    let text = words.join(" ");
    text.split_inclusive(". ").next().unwrap_or_default().trim_end_matches(['.', ' ']).to_owned()
}

fn version() -> String {
    let [major, minor, patch] =
        [env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"), env!("CARGO_PKG_VERSION_PATCH")]
            .map(|part| part.parse::<u32>().expect("a version of three numbers"));
    format!(
        "/** Version of this header; the library's own is asked with devid_version_number(). */\n\
         #define DEVID_VERSION_MAJOR {major}\n#define DEVID_VERSION_MINOR {minor}\n#define DEVID_VERSION_PATCH {patch}\n\
         /** 0x00MMmmpp. */\n#define DEVID_VERSION_NUMBER 0x{:08x}\n\
         #define DEVID_VERSION_STRING \"{major}.{minor}.{patch}\"\n\n",
        major << 16 | minor << 8 | patch
    )
}

fn status_codes() -> String {
    let mut text = "/** Success. */\n#define DEVID_OK 0\n".to_owned();
    for code in codes::Code::ALL {
        writeln!(text, "/** {} */\n#define DEVID_E_{} ({})", code.text(), code.name(), code.number())
            .expect("a String takes everything");
    }
    text.push('\n');
    text
}

/// The names of all functions, sorted.
fn symbols(header: &str) -> String {
    let mut names: Vec<_> = header
        .lines()
        .filter(|line| !line.starts_with([' ', '*', '/', '#', '\t']) && !line.starts_with("typedef"))
        .filter_map(|line| line.split('(').next()?.rsplit([' ', '*']).next().filter(|n| n.starts_with("devid_")))
        .collect();
    names.sort_unstable();
    names.dedup();
    names.iter().fold(String::new(), |text, name| text + name + "\n")
}
