//! Everything that is wrong with settings, told before a device needs them: by the same door through which enrolment goes.

use std::cell::RefCell;
use std::error::Error as _;

use super::exports::{owner_of, setting_of};
use super::keep::NO_LOGIN;
use super::loading::{self, Loaded};
use super::reading::{Reading, login_kind, of};
use super::settings::{Export, Identity, LoginKind, Settings};
use super::{Device, device_id};
use crate::client::Config;
use crate::client::certificates::ReadAs;
use crate::client::subject::purpose_oid;
use crate::cmp::Signer;
use crate::crypto::{KeyKind, default_provider};
use crate::error::Error;
use crate::transport::Url;

/// Something about settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Whether something would fail; else only some of it would, or not for sure.
    pub fails: bool,
    /// What fails names something that cannot be read now and may come by itself: a file on a medium that is not mounted yet.
    pub is_away: bool,
    /// What, in words; the setting first.
    pub words: String,
}

/// Everything that is wrong with settings, as far as they tell by themselves: values, what belongs together, files that they name.
/// Secrets are looked at where they come from files. Nothing is sent and nothing is changed.
pub fn judge(loaded: &Loaded) -> Vec<Judged> {
    let mut found = Found::default();
    let settings = &loaded.settings;
    found.take(loading::check(settings));
    found.take(loading::check_meant(&settings.ca));
    let id = found.take(device_id(settings)).flatten();
    found.take(super::check_id(id.as_deref()));
    let told = RefCell::default();
    let reading = Reading { settings, id: id.as_deref().map(super::plain_id), is_at_work: false, told: Some(&told) };
    let mut config = Config::new();
    let _ = reading.read(&mut config, &mut |error| {
        found.take::<()>(Err(error));
        Ok(())
    });
    let has_login = found.take(reading.login(&mut config));
    device(&reading, &mut found);
    for (name, identity) in &settings.identity {
        self::identity(&reading, name, identity, &mut found);
    }
    peers(&reading, &mut found);
    programs(settings, &mut found);
    found.take(super::exports::check_places(settings));
    if let Some(file) = &settings.run.status_file {
        found.take(super::exports::check_file("run.status-file", file));
    }
    if settings.ca.server.is_none() && !settings.identity.is_empty() {
        found.warn(
            "ca.server is not set: nobody can be asked for a certificate but by files (devid request, devid import)",
        );
    }
    for words in super::idle::without_effect(&loaded.table, settings) {
        found.warn_unless_refused(words);
    }
    unneeded_passwords(settings, &mut found);
    for words in told.take() {
        found.warn(words);
    }
    if !found.0.iter().any(|one| one.fails) {
        memory(loaded, &mut config, &mut found);
        together(&reading, &config, has_login == Some(true), &mut found);
    }
    found.0
}

#[derive(Default)]
struct Found(Vec<Judged>);

impl Found {
    fn take<T>(&mut self, outcome: Result<T, Error>) -> Option<T> {
        let told = |error: Error| {
            let is_away = error.source().is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
            self.fail(super::in_settings(error.message()), is_away);
        };
        outcome.map_err(told).ok()
    }

    fn refuse(&mut self, words: String) {
        self.fail(words, false);
    }

    fn fail(&mut self, words: String, is_away: bool) {
        // One thing may be looked at by two.
        if !self.0.iter().any(|known| known.words == words) {
            self.0.push(Judged { fails: true, is_away, words });
        }
    }

    /// What is refused needs no other words.
    fn warn_unless_refused(&mut self, words: String) {
        let settings = words.split(": ").next().unwrap_or_default();
        let is_refused =
            |setting: &str| self.0.iter().any(|one| one.fails && one.words.split(' ').any(|word| word == setting));
        if !settings.split(", ").all(is_refused) {
            self.warn(words);
        }
    }

    fn warn_once(&mut self, words: &str) {
        if !self.0.iter().any(|known| known.words == words) {
            self.warn(words);
        }
    }

    fn warn(&mut self, words: impl Into<String>) {
        self.0.push(Judged { fails: false, is_away: false, words: words.into() });
    }
}

/// A password that opens nothing.
fn unneeded_passwords(settings: &Settings, found: &mut Found) {
    let (login, tls) = (&settings.ca.login, &settings.ca.tls);
    for (table, key, password) in [("ca.login", &login.key, &login.password), ("ca.tls", &tls.key, &tls.password)] {
        let (Some(key), Some(_)) = (key, password) else { continue };
        if !super::files::is_in_token(key) && super::files::read_key(key, None).is_ok() {
            let shown = crate::files::shown(key);
            found.warn(format!("{table}.password: no effect: the key in {shown} is not encrypted"));
        }
    }
}

fn device(reading: &Reading<'_>, found: &mut Found) {
    let device = &reading.settings.device;
    let above = device.memory.parent().filter(|above| !above.as_os_str().is_empty());
    if device.memory.as_os_str().is_empty() {
        found.refuse("device.memory is empty: the folder of device memory".to_owned());
    } else if let Some(above) = above.filter(|above| !above.is_dir()) {
        let words = "device.memory is made where it is missing, and the folder above it is expected";
        found.fail(format!("{words}: there is no {}", crate::files::shown(above)), true);
    } else if device.memory.exists() && !device.memory.is_dir() {
        found.refuse(format!("device.memory: {} is not a folder", crate::files::shown(&device.memory)));
    }
    if let Some(source) = &device.seal {
        found.take(reading.octets("device.seal", source, "the secret that seals keys"));
    }
    let Some(pkcs11) = &device.pkcs11 else { return };
    if cfg!(not(feature = "pkcs11")) {
        found.refuse("device.pkcs11: this build has no support for PKCS#11 tokens".to_owned());
    }
    if let Some(module) = pkcs11.module.as_deref().filter(|module| module.contains('/')) {
        let path = std::path::Path::new(module);
        if !path.exists() {
            let words = format!("device.pkcs11.module: {}: no such file", crate::files::shown(path));
            // Where no setting names a key in it, only device memory or a command may.
            match names_token(reading.settings) {
                true => found.fail(words, true),
                false => found.warn(words),
            }
        }
    }
    if let Some(pin) = &pkcs11.pin {
        found.take(reading.text("device.pkcs11.pin", pin, "the token's PIN"));
    }
}

fn names_token(settings: &Settings) -> bool {
    let keys = [&settings.ca.login.key, &settings.ca.tls.key];
    keys.into_iter().flatten().any(|key| super::files::is_in_token(key))
        || settings.identity.values().any(|identity| identity.key_at.is_some())
}

/// Programs that are not there now; they may come with another package.
fn programs(settings: &Settings, found: &mut Found) {
    let hooks = &settings.hooks;
    let named =
        [("changed", &hooks.changed), ("waiting", &hooks.waiting), ("failed", &hooks.failed), ("alarm", &hooks.alarm)];
    let hooks = named.map(|(event, arguments)| (format!("hooks.{event}"), arguments));
    let exports = settings.identity.iter().flat_map(|(name, identity)| {
        identity.export.iter().map(move |export| (format!("identity.{name}.export.then"), &export.then))
    });
    for (setting, arguments) in hooks.into_iter().chain(exports) {
        if let Some(words) = super::files::missing_program(arguments) {
            found.warn(format!("{setting}: {words}"));
        }
    }
}

fn identity(reading: &Reading<'_>, name: &str, identity: &Identity, found: &mut Found) {
    found.take(of(&format!("identity.{name}"), crate::store::check_name(name)));
    found.take(of(&format!("identity.{name}.purpose"), crate::store::check_name(&identity.purpose)));
    found.take(reading.subject(name, identity, super::clock_of(reading.settings)));
    found.take(reading.key_kind(name, identity));
    found.take(reading.key_place(name, identity));
    for export in &identity.export {
        let told = RefCell::default();
        let reading = Reading { told: Some(&told), ..*reading };
        let owner = export.owner.as_deref().map_or(Ok(None), |owner| owner_of(owner).map(Some));
        found.take(of(&format!("identity.{name}.export.owner"), owner));
        let rest = Export { owner: None, ..export.clone() };
        found.take(reading.export_of(&setting_of(name), &rest));
        told.take().into_iter().for_each(|words: String| found.warn(words));
    }
}

fn peers(reading: &Reading<'_>, found: &mut Found) {
    let peers = &reading.settings.peers;
    found.take(reading.certificates("peers.trust", &peers.trust, ReadAs::Anchors));
    if let Some(purpose) = peers.purpose.as_deref().filter(|purpose| *purpose != "any") {
        found.take(of("peers.purpose", purpose_oid(purpose)));
    }
    if let Some(directory) = &peers.directory {
        let url = Url::parse(&format!("http://{directory}/")).ok().filter(|url| url.target() == "/");
        if url.is_none() || directory.contains(['/', '@', '?', '#']) {
            let found_words = crate::words::quoted(directory);
            found.refuse(format!("peers.directory: expected HOST or HOST:PORT, found {found_words}"));
        }
    }
}

/// Whom device memory trusts counts too; and a device that has a certificate asks for the next one by that.
fn memory(loaded: &Loaded, config: &mut Config, found: &mut Found) {
    let memory = loaded.settings.device.memory.is_dir().then(|| Device::open(loaded, false));
    let device = match memory {
        Some(Ok(device)) => Some(device),
        // Sealed by what is at hand on the running device alone, or of another owner: that is for devid doctor to say.
        Some(Err(error)) => return found.warn(format!("device.memory cannot be looked at: {error}")),
        None => None,
    };
    if let Some(kept) = device.as_ref().and_then(|device| device.config(false).ok()) {
        (config.cmp_anchors, config.enrolment_anchors) = (kept.options.cmp_anchors, kept.options.enrolment_anchors);
        config.tls.anchors = kept.tls.anchors;
    }
    let by_factory = matches!(login_kind(&loaded.settings), Some(LoginKind::Factory) | None);
    let is_factory_here = device.as_ref().is_some_and(|device| device.factory().is_some());
    for (name, identity) in &loaded.settings.identity {
        let is_enrolled = device.as_ref().is_some_and(|device| {
            device.store.state(name).is_ok_and(|state| state.current.is_some() || state.pending.is_some())
        });
        let reading = Reading { settings: &loaded.settings, id: None, is_at_work: false, told: None };
        if !is_enrolled && matches!(reading.subject(name, identity, None), Ok(None)) {
            found.refuse(nobody_named(name));
        }
        if !is_enrolled && by_factory && !is_factory_here && loaded.settings.ca.server.is_some() {
            found.warn_once(NO_LOGIN);
        }
    }
}

/// What a first certificate cannot do without.
pub(super) fn nobody_named(name: &str) -> String {
    format!(
        "identity.{name}.subject is not set: which name is asked for? (Names alone: identity.{name}.dns and others; none: identity.{name}.nameless)"
    )
}

/// What no setting tells by itself: a request is made of all of them, as far as it needs no server.
fn together(reading: &Reading<'_>, config: &Config, has_login: bool, found: &mut Found) {
    let has_anchors = !config.enrolment_anchors.is_empty() || config.takes_roots();
    if !has_anchors && reading.settings.ca.server.is_some() {
        found.warn("nobody is trusted to issue certificates: ca.trust.issued, or devid anchors add issued FILE");
    }
    let by_secret = login_kind(reading.settings) == Some(LoginKind::Secret);
    if by_secret && has_anchors && config.cmp_anchors.is_empty() && !config.takes_roots() {
        found.warn(
            "nobody is trusted for answers: the first certificate comes under the secret, and renewals are signed: ca.trust.answers \
             (or ca.trust.all), or devid anchors add answers FILE",
        );
    }
    let adopts_alone = config.adopt_root_of_ip && !config.accept_ca_pubs && config.root_fingerprints.is_empty();
    if by_secret && adopts_alone && config.enrolment_anchors.is_empty() {
        found.warn(
            "ca.adopt-root takes a root from an answer that is signed; where the CA protects its answer by the secret, none is taken, \
             and ca.accept-ca-pubs or ca.root-fingerprints is needed",
        );
    }
    if !has_login || !has_anchors || reading.settings.ca.server.is_none() {
        return;
    }
    for (name, identity) in &reading.settings.identity {
        let kind = reading.key_kind(name, identity).unwrap_or(KeyKind::P256);
        let Ok(Some(subject)) = reading.subject(name, identity, super::clock_of(reading.settings)) else { continue };
        let made = default_provider().generate_key(kind);
        let asked = made.map_err(Error::from).and_then(|key| config.build()?.enroll(Signer::Key(key), &subject));
        found.take(of(&format!("identity.{name} with ca"), asked.map(|_| ())));
    }
    let client = found.take(of("ca", config.build()));
    if let Some(client) = client {
        found.take(of("ca.server", client.exchange().map(|_| ())));
    }
}
