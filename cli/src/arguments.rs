//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::failure::Failure;
use crate::output::Output;
use crate::settings::{self, Loaded, StatusCheck};

/// Gets, keeps and checks a device's identity in a PKI: CMP enrolment, renewal, revocation, validation.
///
/// Results go to standard output, words for people to standard error. Every setting of devid.toml can be given as
/// -o KEY=VALUE; `devid config explain` lists them.
#[derive(Debug, Parser)]
#[command(name = "devid", version, long_version = version(), arg_required_else_help = true, max_term_width = 100)]
pub struct Arguments {
    /// Settings file [default: /etc/devid/devid.toml, if it exists]
    #[arg(short, long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A setting, over what the file says
    #[arg(short, long, global = true, value_name = "KEY=VALUE")]
    pub option: Vec<String>,
    /// Folder of device memory, over what the settings say
    #[arg(short, long, global = true, value_name = "DIR")]
    pub memory: Option<PathBuf>,
    /// One JSON document on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// No words but errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// More words: -v says what messages say of themselves, -vvv shows them whole
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a settings file and device memory
    Init(Init),
    /// Get the first certificate
    Enroll(Enroll),
    /// Do whatever is due, once: first certificate, continuation, renewal, a root's successor; for timers
    Keep(Keep),
    /// Renew a certificate
    Renew(Renew),
    /// Keep all identities, for ever: the daemon
    Run,
    /// Tell how identities stand
    Status(Status),
    /// Print a part of an identity
    Show(Show),
    /// Write an identity for other software
    Export(Export),
    /// Check a certificate
    Validate(Validate),
    /// Revoke the certificate in use
    Revoke(Revoke),
    /// Make a PKCS#10 request, for enrolment without a network
    Request(Request),
    /// Install a certificate that came back
    Import(Import),
    /// Ask the CA
    Ca(Ca),
    /// Look after device memory
    Store(Store),
    /// Look after the trust anchors in device memory
    Anchors(Anchors),
    /// Private keys in files and tokens: make, show, their public halves, another form
    Key(Key),
    /// Show what is in a file
    Inspect(Inspect),
    /// Find out what would fail, and how to mend it; changes nothing
    Doctor(Doctor),
    /// Settings
    Config(Config),
    /// The options, files and exit status of `openssl cmp`: scripts go over by changing one word
    #[command(disable_help_flag = true)]
    Cmp {
        /// As openssl-cmp(1) has them; -help lists them
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "OPTIONS")]
        options: Vec<OsString>,
    },
    /// Completions for a shell
    Completions {
        /// Which
        shell: clap_complete::Shell,
    },
    /// The manual page
    Man {
        /// Write a page for each command, and devid.toml.5 for the settings, into this folder
        #[arg(long, value_name = "DIR")]
        all: Option<PathBuf>,
    },
}

fn status_check(text: &str) -> Result<StatusCheck, String> {
    Ok(match text {
        "off" => StatusCheck::Off,
        "soft" => StatusCheck::Soft,
        "hard" => StatusCheck::Hard,
        _ => return Err("off, soft and hard are known".to_owned()),
    })
}

impl Arguments {
    /// The settings as the command line wants them.
    pub fn load(&self) -> Result<Loaded, Failure> {
        Ok(settings::load(self.config.as_deref(), &self.option, self.memory.as_deref())?)
    }
}

/// The version, and what is built in: an error that names a feature is looked up there.
fn version() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let features: Vec<&str> = devid::features().collect();
        format!("{}\nfeatures: {}", env!("CARGO_PKG_VERSION"), features.join(" "))
    })
}

/// How the command speaks, where nothing else of its line is read yet.
fn speaks(output: &mut Output, word: &str) -> bool {
    match word {
        "--json" => output.json = true,
        "-q" | "--quiet" => output.quiet = true,
        "-v" | "--verbose" => output.verbose += 1,
        _ => return false,
    }
    true
}

/// Options of every command that take a value, behind them or, but for the short ones, after `=`.
const SETTINGS_OPTIONS: [&str; 6] = ["-c", "--config", "-o", "--option", "-m", "--memory"];

/// `devid help error [CODE]`, which the help of commands does not know: the code, if one is named.
pub fn help_on_error(words: impl Iterator<Item = OsString>) -> Option<(Output, Option<String>)> {
    let mut output = Output { json: false, quiet: false, verbose: 0 };
    let words: Vec<String> = words.skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let (mut rest, mut is_value) = (Vec::new(), false);
    for word in words.iter().map(String::as_str) {
        let names_settings = SETTINGS_OPTIONS.iter().any(|option| word.starts_with(option) && rest.is_empty());
        match word {
            _ if std::mem::take(&mut is_value) => {}
            // Whose settings and memory are meant changes nothing here.
            _ if names_settings => is_value = SETTINGS_OPTIONS.contains(&word),
            _ if speaks(&mut output, word) => {}
            _ => rest.push(word),
        }
    }
    match rest[..] {
        ["help", "error"] => Some((output, None)),
        ["help", "error", code] => Some((output, Some(code.to_owned()))),
        _ => None,
    }
}

/// The options behind `devid cmp`, which are not read as others are: they have one dash. Before it may stand how the command
/// speaks.
pub fn cmp_command(words: impl Iterator<Item = OsString>) -> Option<(Output, Vec<OsString>)> {
    let mut output = Output { json: false, quiet: false, verbose: 0 };
    let mut words = words.skip(1);
    loop {
        match words.next()?.to_str()? {
            "cmp" => return Some((output, words.collect())),
            word if speaks(&mut output, word) => {}
            _ => return None,
        }
    }
}

impl Command {
    /// As it was typed.
    pub fn name(&self) -> &'static str {
        match self {
            Command::Init(_) => "init",
            Command::Enroll(_) => "enroll",
            Command::Keep(_) => "keep",
            Command::Renew(_) => "renew",
            Command::Run => "run",
            Command::Status(_) => "status",
            Command::Show(_) => "show",
            Command::Export(_) => "export",
            Command::Validate(_) => "validate",
            Command::Revoke(_) => "revoke",
            Command::Request(_) => "request",
            Command::Import(_) => "import",
            Command::Ca(_) => "ca",
            Command::Store(_) => "store",
            Command::Anchors(_) => "anchors",
            Command::Key(_) => "key",
            Command::Inspect(_) => "inspect",
            Command::Doctor(_) => "doctor",
            Command::Config(_) => "config",
            Command::Cmp { .. } => "cmp",
            Command::Completions { .. } => "completions",
            Command::Man { .. } => "man",
        }
    }
}

#[derive(Debug, Args)]
pub struct Init {
    /// Where the settings go [default: the file named by --config]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// URL of the CMP server
    #[arg(long, value_name = "URL")]
    pub server: String,
    /// File with the roots to trust; becomes part of device memory
    #[arg(long, value_name = "FILE", required = true)]
    pub trust: Vec<PathBuf>,
    /// Only these certificates may protect answers
    #[arg(long, value_name = "FILE")]
    pub signer: Vec<PathBuf>,
    /// The subject to ask for, such as CN=router-7,O=Example
    #[arg(long, value_name = "NAME")]
    pub subject: String,
    /// Host name to ask for
    #[arg(long, value_name = "HOST")]
    pub dns: Vec<String>,
    /// Name of the identity
    #[arg(long, value_name = "NAME", default_value = "device")]
    pub identity: String,
    /// Reference value of the shared secret
    #[arg(long, value_name = "TEXT", requires = "secret")]
    pub reference: Option<String>,
    /// Source of the shared secret: file:PATH, cred:NAME, env:NAME, prompt
    #[arg(long, value_name = "SOURCE", requires = "reference")]
    pub secret: Option<String>,
    /// File with the factory's private key; it goes into device memory
    #[arg(long, value_name = "FILE", requires = "factory_certificates", conflicts_with = "reference")]
    pub factory_key: Option<PathBuf>,
    /// File with the factory's certificate first, and its issuers
    #[arg(long, value_name = "FILE", requires = "factory_key")]
    pub factory_certificates: Option<PathBuf>,
    /// What a known CA needs, by name
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
}

/// What all commands take that talk to the CA.
#[derive(Debug, Args)]
pub struct Talk {
    /// Write down what goes over the wire: FILE.html, FILE.jsonl, FILE.txt, or a folder for the messages
    #[arg(long, value_name = "FILE", global = true)]
    pub trace: Option<PathBuf>,
    /// Leave when the CA asks to wait (exit status 21)
    #[arg(long, global = true)]
    pub no_wait: bool,
}

#[derive(Debug, Args)]
pub struct Enroll {
    /// Which identity
    pub name: Option<String>,
    /// Another first certificate, by ca.login, in place of the one in use, which stays until then: after a revocation, or where its
    /// CA's key is lost
    #[arg(long)]
    pub again: bool,
    #[command(flatten)]
    pub talk: Talk,
    /// Print the request that would go out and send nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct Keep {
    /// Which identities [default: all]
    pub names: Vec<String>,
    /// Write down what goes over the wire
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Exit status 20 where nothing was due, 21 where the CA asks to wait
    #[arg(long)]
    pub exit_code: bool,
    /// Say what is due and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct Renew {
    /// Which identity
    pub name: Option<String>,
    /// Also where it is not due
    #[arg(long)]
    pub now: bool,
    #[command(flatten)]
    pub talk: Talk,
    /// Print the request that would go out and send nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct Status {
    /// Which identities [default: all]
    pub names: Vec<String>,
    /// Exit status 14 where a renewal is late or there is no usable identity
    #[arg(long)]
    pub check: bool,
}

#[derive(Debug, Args)]
pub struct Show {
    /// Which identity
    pub name: String,
    /// What of it
    #[arg(default_value = "text")]
    pub part: Part,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Part {
    /// For people
    Text,
    /// The certificate, PEM
    Cert,
    /// The certificates above it, PEM
    Chain,
    /// Certificate and chain, PEM
    Fullchain,
    /// The public key, PEM
    PublicKey,
}

#[derive(Debug, Args)]
pub struct Export {
    /// Which identity
    pub name: String,
    /// For which software: pem, openssl, nginx, strongswan, mosquitto, pkcs12
    pub layout: String,
    /// Where to
    pub folder: PathBuf,
    /// Roots that the software shall trust
    #[arg(long, value_name = "FILE")]
    pub anchors: Vec<PathBuf>,
    /// Source of a password for the private key
    #[arg(long, value_name = "SOURCE")]
    pub password: Option<String>,
    /// Derive from the password by scrypt instead of PBKDF2
    #[arg(long, requires = "password")]
    pub scrypt: bool,
    /// Whom the private key's file is given to: USER or USER:GROUP, names or numbers
    #[arg(long, value_name = "USER")]
    pub owner: Option<String>,
}

#[derive(Debug, Args)]
pub struct Validate {
    /// Certificates, the one to check first; - for standard input
    pub file: PathBuf,
    /// Roots [default: peers.trust, or the set peer of device memory]
    #[arg(long, value_name = "FILE")]
    pub trust: Vec<PathBuf>,
    /// Further certificates that may be on the path
    #[arg(long, value_name = "FILE")]
    pub untrusted: Vec<PathBuf>,
    /// A name that it must carry: dns:HOST, ip:ADDRESS, email:MAILBOX, uri:URI; "any" to ask for none
    #[arg(long, value_name = "NAME", required = true)]
    pub name: Vec<String>,
    /// What it must be for, such as serverAuth; "any" to ask for nothing
    #[arg(long, value_name = "PURPOSE")]
    pub purpose: Option<String>,
    /// Revocation lists
    #[arg(long, value_name = "FILE")]
    pub crl: Vec<PathBuf>,
    /// OCSP responses
    #[arg(long, value_name = "FILE")]
    pub ocsp: Vec<PathBuf>,
    /// How revocation is looked at: off, soft, hard [default: peers.status, or soft]
    #[arg(long, value_parser = status_check)]
    pub status: Option<StatusCheck>,
    /// Fetch CRLs and OCSP answers by the URLs in certificates
    #[arg(long)]
    pub fetch: bool,
}

#[derive(Debug, Args)]
pub struct Revoke {
    /// Which identity
    pub name: Option<String>,
    /// Why: unspecified, key-compromise, affiliation-changed, superseded, cessation-of-operation, privilege-withdrawn, certificate-hold,
    /// remove-from-crl
    #[arg(long)]
    pub reason: String,
    #[command(flatten)]
    pub talk: Talk,
    /// Print the request that would go out and send nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct Request {
    /// Which identity
    pub name: Option<String>,
    /// Where to [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Import {
    /// Certificates, PKCS#7 or PKCS#12; - for standard input
    pub file: PathBuf,
    /// Only for this identity; a key that the file brings is installed under this name
    #[arg(long)]
    pub name: Option<String>,
    /// Source of the password of a PKCS#12 file
    #[arg(long, value_name = "SOURCE")]
    pub password: Option<String>,
}

#[derive(Debug, Args)]
pub struct Ca {
    #[command(subcommand)]
    pub question: CaQuestion,
    #[command(flatten)]
    pub talk: Talk,
    /// With the credential of this identity [default: the one there is, or the login]
    #[arg(long, global = true)]
    pub name: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum CaQuestion {
    /// Certificates of its CAs (they help to find paths; nothing is trusted for being among them), PEM
    Certs,
    /// What requests are to look like
    Template,
    /// The current CRL, PEM
    Crl,
}

impl CaQuestion {
    /// The command, as it was typed.
    pub fn command(&self) -> &'static str {
        match self {
            CaQuestion::Certs => "ca certs",
            CaQuestion::Template => "ca template",
            CaQuestion::Crl => "ca crl",
        }
    }
}

#[derive(Debug, Args)]
pub struct Store {
    #[command(subcommand)]
    pub action: StoreAction,
}

#[derive(Debug, Subcommand)]
pub enum StoreAction {
    /// Names of what is there
    List,
    /// Look everything over
    Verify,
    /// Put right what can be
    Repair,
    /// Back to the generation before
    Rollback {
        /// Which identity
        name: String,
    },
    /// Give an unfinished enrolment up; the identity in use stays
    Abandon {
        /// Which identity
        name: String,
    },
    /// Forget failures and refusals of an identity: after what was wrong has been put right
    Reset {
        /// Which identity
        name: String,
    },
    /// Remove an identity with its keys, those that devid has made in a token too, and the request that is under way for it
    Remove {
        /// Which identity
        name: String,
        /// Yes, its keys are lost
        #[arg(long, required = true)]
        yes: bool,
    },
    /// Forget the highest CRL numbers that were seen, and the lists with them: after a CA has begun to count anew
    ForgetNumbers {
        /// Certificates of CAs, each certified by an anchor or an anchor itself: of their lists, and those of all below them
        #[arg(required_unless_present = "all")]
        file: Option<PathBuf>,
        /// Of all CAs
        #[arg(long, conflicts_with = "file")]
        all: bool,
    },
    /// Back to how the device left the factory: for its next owner
    FactoryReset(FactoryReset),
}

#[derive(Debug, Args)]
pub struct FactoryReset {
    /// Keep this identity, too: besides the factory's (ca.login.factory)
    #[arg(long, value_name = "NAME")]
    pub keep: Vec<String>,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Tell what would go, and change nothing
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
}

#[derive(Debug, Args)]
pub struct Anchors {
    #[command(subcommand)]
    pub action: AnchorsAction,
}

#[derive(Debug, Subcommand)]
pub enum AnchorsAction {
    /// What is trusted for what
    List,
    /// Trust the certificates of a file
    Add {
        /// For what
        set: Set,
        /// Certificates
        file: PathBuf,
    },
    /// Trust no more the certificates of a file
    Remove {
        /// For what
        set: Set,
        /// Certificates
        file: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Set {
    /// Those who may protect CMP answers
    Answers,
    /// Issuers of this device's certificates
    Issued,
    /// HTTPS servers
    Tls,
    /// Peers
    Peers,
    /// All of them
    All,
}

#[derive(Debug, Args)]
pub struct Key {
    #[command(subcommand)]
    pub action: KeyAction,
}

#[derive(Debug, Subcommand)]
pub enum KeyAction {
    /// Make a key, in a file or in a token
    Make {
        /// A file, which must not be there; or a pkcs11: URI with object=NAME (settings: device.pkcs11)
        place: String,
        /// P-256, P-384, P-521, Ed25519, RSA-3072, ML-DSA-44, ...
        #[arg(long = "type", value_name = "TYPE", default_value = "P-256")]
        kind: String,
        /// Source of a password that the file is encrypted under
        #[arg(long, value_name = "SOURCE")]
        password: Option<String>,
        /// Derive from the password by scrypt instead of PBKDF2
        #[arg(long, requires = "password")]
        scrypt: bool,
    },
    /// Say what a key is; never the private half
    Show {
        /// A file in any usual form, or a pkcs11: URI
        place: String,
        /// Source of the password that opens it
        #[arg(long, value_name = "SOURCE")]
        password: Option<String>,
    },
    /// Print the public half, PEM
    Public {
        /// A file in any usual form, or a pkcs11: URI
        place: String,
        /// Source of the password that opens it
        #[arg(long, value_name = "SOURCE")]
        password: Option<String>,
    },
    /// Write a key as PKCS#8, with or without a password
    Convert {
        /// A file in any usual form: PKCS#1, SEC 1, PKCS#8; PEM or DER
        place: String,
        /// Where to, a file that must not be there [default: standard output]
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Source of the password that opens it
        #[arg(long, value_name = "SOURCE")]
        password: Option<String>,
        /// Source of the password that it is encrypted under from now on
        #[arg(long, value_name = "SOURCE")]
        new_password: Option<String>,
        /// Derive from the new password by scrypt instead of PBKDF2
        #[arg(long, requires = "new_password")]
        scrypt: bool,
    },
}

#[derive(Debug, Args)]
pub struct Inspect {
    /// PEM or DER; - for standard input
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub struct Doctor {
    /// Send nothing over the network
    #[arg(long)]
    pub offline: bool,
}

#[derive(Debug, Args)]
pub struct Config {
    #[command(subcommand)]
    pub action: ConfigAction,
}

#[derive(Debug, Subcommand)]
pub enum ConfigAction {
    /// The settings as they count
    Show,
    /// Whether the settings can be read
    Check,
    /// What settings mean
    Explain {
        /// Which, or a table of them; all if none is named
        key: Option<String>,
    },
    /// JSON Schema of devid.toml
    Schema {
        /// Of what commands print with --json instead
        #[arg(long)]
        output: bool,
    },
}
