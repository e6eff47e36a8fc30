//! A device as a whole: its settings (`devid.toml`), its memory, and what is due. The easy way in; everything below is there
//! for those who need more.
//!
//! ```no_run
//! use devid::client::device::Device;
//!
//! # fn main() -> Result<(), devid::Error> {
//! let device = Device::from_file("/etc/devid/devid.toml".as_ref())?;
//! let kept = device.keep(device.clock(), 60, &mut devid::client::Unattended)?; // enrols, goes on, renews
//! println!("again in {} s", kept.again_seconds);
//! # Ok(())
//! # }
//! ```
//!
//! | file | |
//! | --- | --- |
//! | `row`, `settings` | what a row for a setting says; the rows |
//! | `values`, `span`, `secret`, `prompt` | settings one by one, and places in them; spans of time; sources of secrets; what is typed |
//! | `loading` | they are read once, with the place of each mistake |
//! | [`keys`], `fit` | which setting is meant; whether a table has known names and values of their kinds |
//! | `as_settings` | the library's words with settings in place of functions |
//! | `reading`, `tuning`, `wanted`, `files` | what settings say, by one door: to a client, and about what is asked for |
//! | `judging`, `idle` | everything that is wrong with settings; what has no effect beside the others |
//! | `config` | from settings and device memory to a client |
//! | `keep`, `busy` | whatever is due; one conversation at a time |
//! | `exports`, `hooks` | what is written for other software, and whether it still stands; the program behind an identity |
//! | `peers` | whether a peer is to be believed |
//! | `standing`, `waiting` | how identities stand, as JSON; what a request that is under way waits for |
//! | `vouched` | whether those who are trusted to issue still vouch for it |

mod as_settings;
mod busy;
mod config;
mod exports;
mod files;
mod fit;
mod from_table;
mod hooks;
mod idle;
mod judging;
mod keep;
pub mod keys;
mod loading;
mod peers;
mod prompt;
mod reading;
mod row;
mod secret;
mod settings;
mod shown;
mod span;
mod standing;
mod tuning;
mod values;
mod vouched;
mod waiting;
mod wanted;

use std::path::Path;
use std::sync::Arc;

use super::destination::Destination;
use super::renewal::{Meter, Planner};
use super::run::system_time;
use crate::asn1::x509::Certificate;
use crate::client::certificates::ReadAs;
use crate::codes::Code;
use crate::crypto::keys::SCRYPT_COST;
use crate::crypto::{KeyKind, PrivateKey, default_provider};
use crate::error::Error;
use crate::store::export::Export as ExportPlan;
use crate::store::{
    AnchorSet, DirectoryBackend, DirectoryOptions, Problem, Store, StoreError, StoreErrorKind, StoreOptions,
};
use crate::time::Time;

pub use as_settings::in_settings;
pub use busy::Busy;
pub use exports::ExportState;
pub use files::{certificates_of, chain_of, missing_program, read_certificates, read_chain, read_key};
pub use judging::{Judged, judge};
pub use keep::Kept;
pub use loading::{DEFAULT_FILE, Loaded, load, load_made};
pub use peers::peer_name;
pub use prompt::{end_prompts_by, give_terminal_back};
pub use row::Allowed;
pub use secret::{Source, forget_secrets};
pub use settings::Device as DeviceSettings;
pub use settings::{
    Ca, Clock, Coap, Confirm, Export, GeneralInfo, HardwareModule, Hooks, Http, Identity, Limits, Login, LoginKind,
    MacKind, Peers, Pkcs11, Proxy, Renew, Run, Settings, StatusCheck, Tls, Trust, WantedExtension,
};
pub use span::Span;
pub use standing::{Part, certificate_json, rfc3339};
pub use waiting::UnderWay;

/// The settings are wrong.
fn wrong(words: impl Into<String>) -> Error {
    Error::new(Code::InvalidArgument, words)
}

/// The settings name what cannot be read now; it may come, as a medium that is not mounted yet does.
fn away(words: impl Into<String>, why: std::io::Error) -> Error {
    wrong(words).with_source(why)
}

/// A device: its settings and its memory.
pub struct Device {
    /// The settings.
    pub settings: Settings,
    /// Device memory.
    pub store: Arc<Store>,
    table: toml::Table,
    id: Option<String>,
}

impl Settings {
    /// The name of the factory's identity in device memory.
    pub fn factory_name(&self) -> &str {
        self.ca.login.factory.as_deref().unwrap_or("idevid")
    }
}

impl Device {
    /// By a settings file. Device memory is made where it is missing.
    ///
    /// Errors: [`Code::InvalidArgument`] for settings that are wrong, with file, line and the nearest name; those of device memory.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let loaded = load(Some(path), &[], None)?;
        Device::open(&loaded, true)
    }

    /// By values alone: [`Device::set`] takes them one by one.
    pub fn new(memory: &Path) -> Result<Self, Error> {
        let memory = memory.to_str().ok_or_else(|| wrong("the folder of device memory is not UTF-8"))?;
        let mut table = toml::Table::new();
        values::put(&mut table, "device.memory", &toml::Value::from(memory).to_string())?;
        let loaded = Loaded { settings: loading::read(&table)?, table, files: Vec::new() };
        Device::open(&loaded, true)
    }

    /// Sets one setting by its name in the settings file, such as `ca.server`. The value is TOML; what is not is taken as text,
    /// and where a list is wanted, as its one element. What was set before under this name is replaced.
    ///
    /// Errors: [`Code::InvalidArgument`] for a name that is no setting, with the nearest one, or a value that is of another kind.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), Error> {
        if key == "device.memory" {
            return Err(wrong("device.memory: device memory is open"));
        }
        let mut table = self.table.clone();
        values::put(&mut table, key, value)?;
        let settings = loading::read(&table)?;
        // What device memory is opened by holds from here on; whoever has the old handle keeps it.
        if key.starts_with("device.") {
            *self = Device::open(&Loaded { settings, table, files: Vec::new() }, true)?;
        } else {
            (self.settings, self.table) = (settings, table);
        }
        Ok(())
    }

    /// Opens device memory as the settings say. Only `create` makes it where it is missing.
    pub fn open(loaded: &Loaded, create: bool) -> Result<Self, Error> {
        let settings = &loaded.settings;
        let memory = &settings.device.memory;
        let options = StoreOptions {
            retention_count: settings.device.retention.max(2),
            key_scrypt: settings.device.seal_scrypt.then_some(SCRYPT_COST),
            key_secret: settings.device.seal.clone().map(|source| {
                let what = format!("the secret that seals keys in {}", crate::files::shown(memory));
                let secret: crate::store::KeySecret = Arc::new(move || {
                    let read = source.read(&what);
                    read.map_err(|e| StoreError::new(StoreErrorKind::SecretAway(e.code()), "device.seal", e.message()))
                });
                secret
            }),
            ..StoreOptions::default()
        };
        let directory = DirectoryOptions { must_exist: !create, ..DirectoryOptions::waiting() };
        let home = DirectoryBackend::open(memory, directory).map_err(|error| match error.kind {
            StoreErrorKind::NotFound if !create => {
                let shown = memory.display();
                let words = format!(
                    "there is no device memory at {shown}: devid enroll or devid request makes it where it is the first of this device; otherwise mount its medium, or name it by device.memory"
                );
                Error::new(Code::NotFound, words).with_source(error)
            }
            _ => error.into(),
        })?;
        let store = Arc::new(Store::new(Box::new(home), default_provider(), options));
        open_tokens(settings, &store)?;
        Ok(Device { settings: settings.clone(), store, table: loaded.table.clone(), id: device_id(settings)? })
    }

    /// With a memory that holds nothing and is gone with the device: for looking at settings before there is a memory.
    pub fn without_memory(loaded: &Loaded) -> Result<Self, Error> {
        let store = Arc::new(Store::in_memory(default_provider()));
        open_tokens(&loaded.settings, &store)?;
        let id = device_id(&loaded.settings)?;
        Ok(Device { settings: loaded.settings.clone(), store, table: loaded.table.clone(), id })
    }

    /// What the clock says; `None` where the settings say that there is none.
    pub fn clock(&self) -> Option<Time> {
        clock_of(&self.settings)
    }

    /// Settings that have no effect beside the others, each with what it needs, in words: a MAC where the login is by key, TLS where the
    /// server is asked by http. Nothing fails for them.
    pub fn without_effect(&self) -> Vec<String> {
        idle::without_effect(&self.table, &self.settings)
    }

    /// The names to work on: the given ones, or all in the settings, or all in device memory. A given name that neither knows is a slip
    /// of the pen: [`Code::NotFound`], with those that there are.
    pub fn names(&self, given: &[String]) -> Result<Vec<String>, Error> {
        if !given.is_empty() {
            given.iter().try_for_each(|name| self.check_known(name))?;
            return Ok(given.to_vec());
        }
        let mut names: Vec<String> = self.settings.identity.keys().cloned().collect();
        if names.is_empty() {
            names = self.store.identities()?;
            names.retain(|name| *name != self.factory_name());
        }
        match names.is_empty() {
            true => Err(wrong("no identity is named: neither in the settings ([identity.NAME]) nor here")),
            false => Ok(names),
        }
    }

    /// Settings or device memory know the name: an identity, a request that is under way, or a key that waits for its certificate.
    pub fn check_known(&self, name: &str) -> Result<(), Error> {
        let there = [self.store.identities()?, self.store.operations()?, self.store.pending_keys()?].concat();
        let mut names: Vec<&str> = self.settings.identity.keys().map(String::as_str).collect();
        names.extend(there.iter().map(String::as_str));
        if names.contains(&name) {
            return Ok(());
        }
        crate::order::sort(&mut names);
        names.dedup();
        let listed = match names[..] {
            [] => "there is none".to_owned(),
            [one] => format!("there is {one}"),
            _ => format!("there are {}", names.join(", ")),
        };
        let words = format!(
            "{}: there is no such identity, neither in the settings nor in device memory; {listed}",
            name.escape_debug()
        );
        Err(Error::new(Code::NotFound, words))
    }

    /// The one name to work on.
    pub fn name(&self, given: Option<&str>) -> Result<String, Error> {
        let given: Vec<String> = given.into_iter().map(str::to_owned).collect();
        let mut names = self.names(&given)?;
        match names.len() {
            1 => Ok(names.remove(0)),
            _ => Err(wrong(format!("which identity? There are {}", names.join(", ")))),
        }
    }

    /// Settings of an identity; those of one that stands in no settings are the defaults.
    pub fn identity(&self, name: &str) -> Identity {
        self.settings.identity.get(name).cloned().unwrap_or_default()
    }

    /// The name of the factory's identity in device memory.
    pub fn factory_name(&self) -> &str {
        self.settings.factory_name()
    }

    /// The factory's identity, where it is the one that logs in.
    pub fn factory(&self) -> Option<&str> {
        let is_factory = matches!(reading::login_kind(&self.settings), Some(LoginKind::Factory) | None);
        let name = self.factory_name();
        (is_factory && self.store.state(name).is_ok_and(|state| state.current.is_some())).then_some(name)
    }

    /// The planner with an identity's rules.
    pub fn planner(&self, identity: &Identity) -> Planner {
        let mut planner = Planner::new();
        if let Some(id) = &self.id {
            planner = planner.for_device(id.as_bytes());
        }
        planner.signs_whatever_usage = self.reading().tolerance().signer_key_usage;
        planner.trusted = self.trusted();
        planner.meter = Meter::System;
        let (policy, renew) = (&mut planner.policy, &identity.renew);
        let permille = |share: f64| (share * 1000.0).round() as u32;
        policy.share_permille = renew.at.map_or(policy.share_permille, permille);
        policy.spread_permille = renew.spread.map_or(policy.spread_permille, permille);
        policy.same_key = renew.same_key;
        policy.first_retry_seconds = renew.first_wait.map_or(policy.first_retry_seconds, |s| s.seconds());
        policy.longest_retry_seconds = renew.longest_wait.map_or(policy.longest_retry_seconds, |s| s.seconds());
        policy.max_refusals = renew.refusals.unwrap_or(policy.max_refusals);
        planner
    }

    /// Who is trusted by the settings themselves; files that cannot be read are told where they are needed.
    fn trusted(&self) -> Vec<(AnchorSet, Certificate)> {
        let (trust, peers) = (&self.settings.ca.trust, &self.settings.peers);
        let sets = [
            (AnchorSet::Cmp, [&trust.answers[..], &trust.all]),
            (AnchorSet::Enrolment, [&trust.issued[..], &trust.all]),
            (AnchorSet::Tls, [&trust.tls[..], &trust.all]),
            (AnchorSet::Peer, [&peers.trust[..], &[]]),
        ];
        let mut found = Vec::new();
        for (set, files) in sets {
            for file in files.into_iter().flatten() {
                let read = read_certificates([file], ReadAs::Anchors, &mut |_| ());
                found.extend(read.unwrap_or_default().into_iter().map(|anchor| (set, anchor)));
            }
        }
        found
    }

    /// Where an identity is kept.
    pub fn destination<'a>(&'a self, name: &'a str, identity: &'a Identity) -> Destination<'a> {
        Destination { store: &self.store, name, purpose: &identity.purpose }
    }

    /// The type of an identity's keys.
    pub fn key_kind(&self, name: &str, identity: &Identity) -> Result<KeyKind, Error> {
        self.reading().key_kind(name, identity)
    }

    /// A new key for an identity, where the settings say that its keys are made.
    pub fn new_key(&self, name: &str, identity: &Identity) -> Result<Arc<dyn PrivateKey>, Error> {
        let reading = self.reading();
        let kind = reading.key_kind(name, identity)?;
        let Some(uri) = reading.key_place(name, identity)? else { return Ok(default_provider().generate_key(kind)?) };
        let setting = format!("identity.{name}.key-at");
        reading::of(&setting, self.store.make_key(name, uri, kind))?.ok_or_else(|| {
            let uri = crate::words::uri(uri);
            wrong(format!("{setting}: \"{uri}\": a pkcs11: URI, in the token of device.pkcs11, is expected"))
        })
    }

    /// How an identity is written for other software. `named` says what each key of it is called where it is said, for what is wrong.
    pub fn export_of(&self, named: impl Fn(&str) -> String, export: &Export) -> Result<ExportPlan, Error> {
        self.reading().export_of(&named, export)
    }
}

fn clock_of(settings: &Settings) -> Option<Time> {
    (settings.device.clock == Clock::System).then(system_time)
}

/// What `${id}` stands for: blanks and zero bytes at the ends are none of an identifier, as boards with a device tree have them in
/// their files.
fn plain_id(id: &str) -> &str {
    id.trim_matches(|c: char| c == '\0' || c.is_whitespace())
}

/// What names this device, in names of certificates too, is one line of text.
fn check_id(id: Option<&str>) -> Result<(), Error> {
    let Some(id) = id else { return Ok(()) };
    let id = plain_id(id);
    if id.is_empty() {
        return Err(wrong("device.id: expected what names this device, found nothing but blanks"));
    }
    match id.chars().find(|c| crate::words::is_misleading(*c)) {
        Some(c) => {
            let found = crate::words::character(c);
            Err(wrong(format!("device.id: expected one line of text without control characters, found {found}")))
        }
        None => Ok(()),
    }
}

/// As it was set: it tells this device's memory from a copy of it, and stays what it was.
fn device_id(settings: &Settings) -> Result<Option<String>, Error> {
    let Some(text) = &settings.device.id else { return Ok(None) };
    let Some(path) = text.strip_prefix("file:") else { return Ok(Some(text.clone())) };
    let path = Path::new(path);
    let id = crate::files::read_text_of_owner(path, loading::MAX_FILE_BYTES)
        .map_err(|e| away(format!("device.id: {}: {e}", crate::files::shown(path)), e))?;
    match id.trim() {
        "" => Err(wrong(format!("device.id: {} is empty", crate::files::shown(path)))),
        id => Ok(Some(id.to_owned())),
    }
}

#[cfg(feature = "pkcs11")]
fn open_tokens(settings: &Settings, store: &Store) -> Result<(), Error> {
    let Some(pkcs11) = &settings.device.pkcs11 else { return Ok(()) };
    crate::client::open_token_keys(store, pkcs11.module.as_deref(), pin_of(pkcs11));
    Ok(())
}

#[cfg(feature = "pkcs11")]
fn pin_of(pkcs11: &Pkcs11) -> crate::crypto::pkcs11::PinSource {
    let source = pkcs11.pin.clone();
    Arc::new(move |asked| {
        let what = format!("the PIN of the token {}", crate::words::quoted(&asked.token));
        let missing = || wrong("it is not set, and the token asks for a PIN");
        let read = source.as_ref().ok_or_else(missing).and_then(|source| source.read_text(&what));
        // Whoever signs much later is still told which setting it is.
        let away =
            |e: Error| crate::crypto::CryptoError::SecretAway(e.code(), format!("device.pkcs11.pin: {}", e.message()));
        read.map_err(away)
    })
}

impl Device {
    /// A key in the token of `device.pkcs11` by its URI; with a kind, one that is made there now. For keys outside device memory.
    #[cfg(feature = "pkcs11")]
    pub fn token_key(settings: &Settings, uri: &str, kind: Option<KeyKind>) -> Result<Arc<dyn PrivateKey>, Error> {
        Self::token_key_by(settings, uri, kind, |pin| pin)
    }

    /// `through`: who looks at the PIN before the token gets it.
    #[cfg(feature = "pkcs11")]
    fn token_key_by(
        settings: &Settings,
        uri: &str,
        kind: Option<KeyKind>,
        through: impl FnOnce(crate::crypto::pkcs11::PinSource) -> crate::crypto::pkcs11::PinSource,
    ) -> Result<Arc<dyn PrivateKey>, Error> {
        use crate::crypto::pkcs11::TokenKey;
        let missing = || wrong("device.pkcs11 is not set: which module opens the token, and the source of its PIN");
        let pkcs11 = settings.device.pkcs11.as_ref().ok_or_else(missing)?;
        let (module, pin) = (pkcs11.module.as_deref(), through(pin_of(pkcs11)));
        Ok(Arc::new(match kind {
            Some(kind) => TokenKey::generate(module, uri, kind, pin)?,
            None => TokenKey::open(module, uri, pin)?,
        }))
    }

    /// The same for who has device memory at hand: a PIN that is refused is kept there, and what is kept is not given again.
    ///
    /// Errors: as [`Device::token_key`].
    pub fn open_token_key(&self, uri: &str, kind: Option<KeyKind>) -> Result<Arc<dyn PrivateKey>, Error> {
        #[cfg(feature = "pkcs11")]
        crate::client::token::recall_kept_pins(&self.store, self.clock());
        #[cfg(feature = "pkcs11")]
        let key = Self::token_key_by(&self.settings, uri, kind, |pin| {
            // As for the keys of device memory itself: where a try cannot be noted, none is made while the count is low.
            crate::client::token::written_before(&self.store, pin)
        });
        #[cfg(not(feature = "pkcs11"))]
        let key = Self::token_key(&self.settings, uri, kind);
        #[cfg(feature = "pkcs11")]
        crate::client::token::keep_refused_pins(&self.store, self.clock());
        key
    }

    /// Which keys in tokens are gone though their public halves are there, where the PIN of the settings is at hand: nobody is asked for one.
    ///
    /// Errors: device memory cannot be read.
    pub fn keys_that_do_not_open(&self) -> Result<Vec<Problem>, Error> {
        let pin = self.settings.device.pkcs11.as_ref().and_then(|pkcs11| pkcs11.pin.as_ref());
        match pin {
            None | Some(Source::Prompt) => Ok(Vec::new()),
            Some(_) => Ok(self.store.keys_that_do_not_open()?),
        }
    }

    /// The tokens, by their labels, that have refused a PIN as far as device memory knows, and have taken none since.
    pub fn tokens_with_refused_pins(&self) -> Vec<String> {
        #[cfg(feature = "pkcs11")]
        return crate::client::token::tokens_with_refused_pins(&self.store);
        #[cfg(not(feature = "pkcs11"))]
        Vec::new()
    }

    /// Without support for tokens there is none.
    #[cfg(not(feature = "pkcs11"))]
    pub fn token_key(_: &Settings, uri: &str, _: Option<KeyKind>) -> Result<Arc<dyn PrivateKey>, Error> {
        Err(wrong(format!("{}: this build has no support for PKCS#11 tokens", crate::words::uri(uri))))
    }
}

#[cfg(not(feature = "pkcs11"))]
fn open_tokens(settings: &Settings, _: &Store) -> Result<(), Error> {
    match settings.device.pkcs11 {
        None => Ok(()),
        Some(_) => Err(wrong("device.pkcs11: this build has no support for PKCS#11 tokens")),
    }
}
