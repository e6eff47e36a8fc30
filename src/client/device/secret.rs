//! Where secrets come from. None stands in the settings or on the command line.
//!
//! A pipe gives what it has once, and nobody at a terminal is asked twice: what came from them is kept for the process ([`forget_secrets`]).

use std::fmt;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, de::Error as _};
use zeroize::Zeroizing;

use super::span::whole_number;
use super::{away, wrong as settings};
use crate::error::Error;

/// Secrets are small; whatever is larger is the wrong file.
pub(super) const MAX_BYTES: u64 = 64 * 1024;

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `file:PATH`, which nobody else may read.
    File(PathBuf),
    /// `fd:N`, an open file descriptor of the process that started this one.
    Descriptor(u32),
    /// `cred:NAME`, a credential that systemd handed over (`LoadCredential=`).
    Credential(String),
    /// `env:NAME`.
    Environment(String),
    /// `prompt`: asked for at the terminal.
    Prompt,
}

impl Source {
    /// Reads the written form. What is none is not repeated: it may be the secret itself.
    ///
    /// Errors: [`Code::InvalidArgument`](crate::Code::InvalidArgument).
    pub fn parse(text: &str) -> Result<Self, Error> {
        let other = || settings("a secret is named by its source: file:PATH, fd:NUMBER, cred:NAME, env:NAME or prompt");
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Source::File(path.into())),
            Some(("fd", number)) => whole_number(number).map(Source::Descriptor).ok_or_else(other),
            Some(("cred", name)) if !name.is_empty() && !name.contains('/') => Ok(Source::Credential(name.to_owned())),
            Some(("env", name)) if !name.is_empty() => Ok(Source::Environment(name.to_owned())),
            None if text == "prompt" => Ok(Source::Prompt),
            _ => Err(other()),
        }
    }

    /// Reads the secret. One newline at its end is not part of it.
    pub fn read(&self, what: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        match self.read_any(what)? {
            secret if secret.is_empty() => Err(settings(format!("{self}: {what} is empty"))),
            secret => Ok(secret),
        }
    }

    /// The same of a secret that is new: whoever types it does so twice, as nobody sees a slip of the finger.
    pub fn read_new(&self, what: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let secret = self.read(what)?;
        match self {
            Source::Prompt if *self.read(&format!("{what} once more"))? != *secret => {
                forget_secrets();
                Err(settings(format!("prompt: what was typed as {what} is not the same twice")))
            }
            _ => Ok(secret),
        }
    }

    /// The same where it may be empty: PKCS#12 files are written under an empty password, too.
    fn read_any(&self, what: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let mut secret = match self {
            Source::File(path) => read_private(path)?,
            Source::Credential(name) => {
                let folder = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                    settings(format!("{self}: systemd gave no credentials (CREDENTIALS_DIRECTORY is not set)"))
                })?;
                read_file(&Path::new(&folder).join(name))?
            }
            Source::Descriptor(number) => once::of_descriptor(*number)?,
            Source::Environment(name) => {
                let value = std::env::var_os(name)
                    .ok_or_else(|| settings(format!("{self}: there is no such environment variable")))?;
                Zeroizing::new(std::os::unix::ffi::OsStringExt::into_vec(value))
            }
            Source::Prompt => once::of_terminal(what)?,
        };
        if secret.last() == Some(&b'\n') {
            secret.pop();
            if secret.last() == Some(&b'\r') {
                secret.pop();
            }
        }
        Ok(secret)
    }

    /// The same as text.
    pub fn read_text(&self, what: &str) -> Result<Zeroizing<String>, Error> {
        self.as_text(&self.read(what)?, what)
    }

    /// The same of what opens a file: it may be empty.
    pub fn read_password(&self, what: &str) -> Result<Zeroizing<String>, Error> {
        self.as_text(&self.read_any(what)?, what)
    }

    fn as_text(&self, secret: &[u8], what: &str) -> Result<Zeroizing<String>, Error> {
        let text = std::str::from_utf8(secret).map_err(|_| settings(format!("{self}: {what} is not UTF-8")))?;
        Ok(Zeroizing::new(text.to_owned()))
    }
}

impl Source {
    /// What is odd about the secret, in words that do not tell it: what editors and shells add without being asked. It counts as it is.
    pub fn oddities(&self) -> Vec<String> {
        // What cannot be read is told by whoever needs it; and nobody at a terminal is asked for it under another name.
        let read = if *self == Source::Prompt { None } else { self.read("the secret").ok() };
        read.map_or_else(Vec::new, |secret| oddities(&secret).into_iter().map(|odd| format!("{self} {odd}")).collect())
    }
}

fn oddities(secret: &[u8]) -> Vec<&'static str> {
    let (first, last) = (secret.first().copied().unwrap_or_default(), secret.last().copied().unwrap_or_default());
    let is_quoted = secret.len() > 1 && first == last && b"\"'".contains(&first);
    let is_wide = !secret.is_empty()
        && secret.len() % 2 == 0
        && secret.chunks(2).all(|pair| pair[0] != 0 && pair.get(1) == Some(&0));
    [
        (secret.starts_with(b"\xef\xbb\xbf"), "begins with a byte order mark (EF BB BF)"),
        (secret.starts_with(b"\xff\xfe") || secret.starts_with(b"\xfe\xff") || is_wide, "is UTF-16 text"),
        (first.is_ascii_whitespace(), "begins with a blank"),
        (last.is_ascii_whitespace(), "ends in a blank or in more than one newline"),
        (is_quoted, "stands in quotes, which are part of it"),
        (secret.trim_ascii().contains(&b'\n'), "has more than one line"),
        (secret.contains(&0) && !is_wide, "has a byte of zero"),
    ]
    .into_iter()
    .filter_map(|(is_so, words)| is_so.then_some(words))
    .collect()
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) => write!(f, "file:{}", shown(path)),
            Source::Descriptor(number) => write!(f, "fd:{number}"),
            Source::Credential(name) => write!(f, "cred:{name}"),
            Source::Environment(name) => write!(f, "env:{name}"),
            Source::Prompt => f.write_str("prompt"),
        }
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // Not by way of String: its error would show a number that stands where a source should.
        let value = toml::Value::deserialize(from)?;
        Source::parse(value.as_str().unwrap_or_default()).map_err(|error| D::Error::custom(error.message()))
    }
}

/// The file's name, where it looks like one: people write the secret itself behind `file:`. What stands in a settings file has the folder
/// before it.
fn shown(path: &Path) -> String {
    let text = crate::files::shown(path);
    match text.contains(['/', '.']) || path.exists() {
        true => text,
        false => "(one word, which no file here has as its name: it may be the secret itself, and is not repeated)"
            .to_owned(),
    }
}

/// A file that others may read holds no secret.
fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let about = std::fs::metadata(path).map_err(|e| away(format!("file:{}: {e}", shown(path)), e))?;
    if about.is_file() && about.mode() & 0o077 != 0 {
        let (shown, mode) = (shown(path), about.mode() & 0o7777);
        return Err(settings(format!(
            "file:{shown}: others may read it (mode {mode:04o}); a secret needs 0600: chmod 600 {shown}"
        )));
    }
    read_file(path)
}

fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let broken = |words: String| settings(format!("{}: {words}", shown(path)));
    // A pipe without a writer would be waited for for ever.
    let gone = |error: std::io::Error| away(format!("{}: {error}", shown(path)), error);
    let about = std::fs::metadata(path).map_err(gone)?;
    if !about.is_file() {
        return Err(broken("is not a regular file".to_owned()));
    }
    let file = std::fs::File::open(path).map_err(gone)?;
    read_all(file).map_err(|error| error.context(&shown(path)))
}

fn read_all(from: impl Read) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut secret = Zeroizing::new(Vec::with_capacity(4096));
    from.take(MAX_BYTES + 1).read_to_end(&mut secret).map_err(|e| settings(e.to_string()).with_source(e))?;
    match secret.len() as u64 > MAX_BYTES {
        true => Err(settings(format!("is larger than {MAX_BYTES} bytes: not a secret"))),
        false => Ok(secret),
    }
}

/// Sources that give a secret once: it is kept until [`forget_secrets`], as a daemon and a long check ask for it again.
mod once {
    use std::fs::File;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use super::{Error, MetadataExt, Zeroizing, read_all, settings};
    use crate::client::device::prompt::ask;

    /// What a secret came from.
    #[derive(Clone, PartialEq, Eq)]
    enum From {
        /// A pipe: its number here, and what the system knows it by, as another may come to have the number.
        Pipe { number: u32, is: Option<(u64, u64)> },
        /// Somebody at the terminal, who was asked for this.
        Terminal(String),
    }

    struct Kept {
        from: From,
        secret: Zeroizing<Vec<u8>>,
    }

    static KEPT: Mutex<Vec<Kept>> = Mutex::new(Vec::new());

    fn kept() -> MutexGuard<'static, Vec<Kept>> {
        KEPT.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(kept: &[Kept], is_it: impl Fn(&From) -> bool) -> Option<Zeroizing<Vec<u8>>> {
        kept.iter().find(|one| is_it(&one.from)).map(|one| one.secret.clone())
    }

    /// A file is read again, a pipe once. Whoever finds a pipe empty has read nothing of use.
    pub(super) fn of_descriptor(number: u32) -> Result<Zeroizing<Vec<u8>>, Error> {
        let told = |words: String| settings(format!("fd:{number}: {words}"));
        // One at a time: two who read one pipe would have half of it each.
        let mut kept = kept();
        // By name and not by number, so that no descriptor of our own can be closed by mistake.
        let path = format!("/dev/fd/{number}");
        let about = std::fs::metadata(&path).map(|about| (about.is_file(), (about.dev(), about.ino())));
        let is = match about {
            Ok((true, _)) => None,
            Ok((false, is)) => Some(is),
            // Whoever opened it has closed it meanwhile.
            Err(error) => {
                let closed = |from: &From| matches!(from, From::Pipe { number: known, .. } if *known == number);
                return find(&kept, closed).ok_or_else(|| told(error.to_string()));
            }
        };
        let from = From::Pipe { number, is };
        if let Some(secret) = is.and_then(|_| find(&kept, |known| *known == from)) {
            return Ok(secret);
        }
        let file = File::open(&path).map_err(|e| told(e.to_string()))?;
        let secret = read_all(file).map_err(|error| error.context(&format!("fd:{number}")))?;
        if is.is_some() && !secret.is_empty() {
            kept.retain(|one| !matches!(one.from, From::Pipe { number: known, .. } if known == number));
            kept.push(Kept { from, secret: secret.clone() });
        }
        Ok(secret)
    }

    pub(super) fn of_terminal(what: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let mut kept = kept();
        if let Some(secret) = find(&kept, |from| *from == From::Terminal(what.to_owned())) {
            return Ok(secret);
        }
        let secret = ask(what)?;
        if !secret.is_empty() {
            kept.push(Kept { from: From::Terminal(what.to_owned()), secret: secret.clone() });
        }
        Ok(secret)
    }

    pub(super) fn forget() {
        kept().clear();
    }
}

/// Forgets and overwrites the secrets that came from pipes and from the terminal; what is asked for by `fd:` or `prompt` from here on is
/// read, or asked for, again. For who is done with them: a program before it ends, or one that was given a wrong one.
pub fn forget_secrets() {
    once::forget();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A pipe has its secret once, and whoever asks again is not told that there is none.
    #[test]
    fn a_pipe_is_read_once_and_what_was_in_it_is_kept_until_it_is_forgotten() {
        use std::os::fd::AsRawFd;
        let pipe = |words: &str| {
            let child = std::process::Command::new("printf").arg(words).stdout(std::process::Stdio::piped()).spawn();
            child.unwrap().stdout.take().unwrap()
        };
        let source = |fd: &dyn AsRawFd| Source::Descriptor(u32::try_from(fd.as_raw_fd()).unwrap());
        let first = pipe("s3cret\\n");
        let named = source(&first);
        for _ in 0..3 {
            assert_eq!(named.read("the secret").unwrap().as_slice(), b"s3cret");
        }
        let other = pipe("another");
        assert_eq!(source(&other).read("the secret").unwrap().as_slice(), b"another", "another pipe is another secret");
        assert!(source(&pipe("")).read("the secret").unwrap_err().to_string().contains("empty"));
        // A file is what it is now.
        let path = std::env::temp_dir().join(format!("devid-once-{}", std::process::id()));
        let file = std::fs::File::create_new(&path).unwrap();
        for words in ["one", "two"] {
            std::fs::write(&path, words).unwrap();
            assert_eq!(source(&file).read("the secret").unwrap().as_slice(), words.as_bytes());
        }
        std::fs::remove_file(&path).unwrap();
        forget_secrets();
        assert!(named.read("the secret").unwrap_err().to_string().contains("empty"), "it is kept no longer");
    }

    #[test]
    fn sources_are_named_and_never_repeated() {
        assert_eq!(Source::parse("file:/a/b"), Ok(Source::File("/a/b".into())));
        assert_eq!(Source::parse("fd:3"), Ok(Source::Descriptor(3)));
        let named = Source::parse("file:correct-horse").unwrap();
        assert!(!named.read("the secret").unwrap_err().to_string().contains("correct-horse"));
        for wrong in ["hunter2", "pass:hunter2", "file:", "fd:x", "fd:+3", "fd:", "cred:../x", ""] {
            let words = Source::parse(wrong).unwrap_err().message().to_owned();
            assert!(!words.contains("hunter2"), "{words}");
        }
    }

    #[test]
    fn what_editors_and_shells_add_is_told_and_the_secret_is_not() {
        let odd = |secret: &[u8]| oddities(secret).join("; ");
        for (secret, words) in [
            (&b"\xef\xbb\xbfhorse"[..], "byte order mark"),
            (b"\xff\xfeh\0o\0", "UTF-16"),
            (b"h\0o\0", "UTF-16"),
            (b"horse ", "ends in a blank"),
            (b"horse\n", "newline"),
            (b"horse\nbattery", "more than one line"),
            (b"\thorse", "begins with a blank"),
            (b"'horse'", "quotes"),
            (b"ho\0rse", "zero"),
        ] {
            assert!(odd(secret).contains(words) && !odd(secret).contains("horse"), "{secret:?}: {}", odd(secret));
        }
        for secret in [&b"correct horse"[..], b"h'orse", b"\x01\x80\xff", b""] {
            assert_eq!(odd(secret), "");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_and_a_newline_cut() {
        let path = std::env::temp_dir().join(format!("devid-secret-{}", std::process::id()));
        std::fs::write(&path, b"s3cret\n").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        let source = Source::File(path.clone());
        let words = source.read("the secret").unwrap_err().to_string();
        assert!(words.contains("0644") && words.contains("chmod 600"), "{words}");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        assert_eq!(source.read("the secret").unwrap().as_slice(), b"s3cret");
        std::fs::write(&path, b"\n").unwrap();
        assert!(source.read("the secret").unwrap_err().to_string().contains("empty"));
        assert_eq!(source.read_password("the password").unwrap().as_str(), "");
        std::fs::remove_file(&path).unwrap();
        assert!(Source::File("/dev/null".into()).read("x").unwrap_err().to_string().contains("regular file"));
    }
}
