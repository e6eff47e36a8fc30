//! What the C face declares: each function, type and constant as C text.

use std::collections::HashSet;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;

#[path = "../../../../src/codes.rs"]
#[allow(dead_code, reason = "the table is shared, its look-ups are not needed here")]
mod codes;

/// One declaration with its comment.
pub struct Item {
    pub name: String,
    /// The file of `bindings/c/src` that it is from, without its ending.
    pub file: String,
    pub kind: Kind,
    pub text: String,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Constant,
    Type,
    Function,
}

/// All of them, in the order of the files in `lib.rs` and of the rows in a file.
pub struct Items(pub Vec<Item>);

impl Items {
    pub fn read(folder: &Path, config: cbindgen::Config) -> Result<Items, Box<dyn Error>> {
        let list = fs::read_to_string(folder.join("lib.rs"))?;
        let names: Vec<&str> =
            list.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
        let read = |name: &&str| fs::read_to_string(folder.join(name).with_extension("rs"));
        let sources = names.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let rows = sources.iter().map(|source| syn::parse_file(source)).collect::<Result<Vec<_>, _>>()?;
        let handles: HashSet<String> = rows.iter().flat_map(devid_rows::handles).collect();

        let mut items = Vec::new();
        for (file, rows) in names.iter().zip(&rows) {
            let declarations = devid_rows::declarations(rows, &|name| handles.contains(name))
                .map_err(|error| format!("bindings/c/src/{file}.rs: {error}"))?;
            for text in in_c(&declarations.to_string(), config.clone())?.trim().split("\n\n").filter(|t| !t.is_empty())
            {
                let (name, kind) = named(text).ok_or_else(|| format!("no name in {text}"))?;
                items.push(Item { name, file: (*file).to_owned(), kind, text: text.to_owned() });
            }
        }
        Ok(Items(items))
    }

    /// The names of all functions, sorted.
    pub fn symbols(&self) -> String {
        let functions = self.0.iter().filter(|item| item.kind == Kind::Function);
        let mut names: Vec<_> = functions.map(|item| format!("{}\n", item.name)).collect();
        names.sort_unstable();
        names.concat()
    }
}

fn in_c(declarations: &str, config: cbindgen::Config) -> Result<String, Box<dyn Error>> {
    let plain = std::env::temp_dir().join(format!("devid-header-{}.rs", std::process::id()));
    fs::write(&plain, declarations)?;
    let made = cbindgen::Builder::new().with_config(config).with_src(&plain).generate();
    fs::remove_file(&plain)?;
    let mut text = Vec::new();
    made?.write(&mut text);
    Ok(String::from_utf8(text)?)
}

/// The declaration without its comment.
pub fn code(text: &str) -> &str {
    text.rsplit_once("*/").map_or(text, |(_, code)| code).trim_start()
}

fn named(text: &str) -> Option<(String, Kind)> {
    let code = code(text);
    let word = |text: &str| text.split(|c: char| !c.is_alphanumeric() && c != '_').next().map(str::to_owned);
    if let Some(constant) = code.strip_prefix("#define ") {
        return Some((word(constant)?, Kind::Constant));
    }
    if let Some(ty) = code.strip_prefix("typedef ") {
        let name = match ty.split_once("(*") {
            Some((_, name)) => word(name)?,
            None => word(ty.trim_end_matches(';').rsplit(' ').next()?)?,
        };
        return Some((name, Kind::Type));
    }
    let name = code.split('(').next()?.rsplit([' ', '*', '\n']).next()?;
    name.starts_with("devid_").then(|| (name.to_owned(), Kind::Function))
}

/// Version of the workspace.
pub fn version() -> String {
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

/// The table of `src/codes.rs`.
pub fn status_codes() -> String {
    let mut text = "/** Success. */\n#define DEVID_OK 0\n".to_owned();
    for code in codes::Code::ALL {
        writeln!(text, "/** {} */\n#define DEVID_E_{} ({})", code.text(), code.name(), code.number())
            .expect("a String takes everything");
    }
    text.push('\n');
    text
}
