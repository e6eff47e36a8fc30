//! From settings to the library: device memory, the client, the keeper of an identity.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use devid::Time;
use devid::asn1::x509::Certificate;
use devid::client::import::certificates_from_bytes;
use devid::client::run::system_time;
use devid::client::{Client, Config, Destination, Planner, Subject};
use devid::cmp::{MacParameters, Signer};
use devid::crypto::keys::load_private_key;
use devid::crypto::{KeyKind, PrivateKey, default_provider};
use devid::store::export::{Export, Layout};
use devid::store::{AnchorSet, Store, StoreError, StoreErrorKind, StoreOptions};
use devid::validation::TrustAnchors;

use crate::failure::Failure;
use crate::settings::{self, Clock, Identity, LoginKind, MacKind, Settings};

/// A device: its settings and its memory.
pub struct Device {
    pub settings: Settings,
    pub store: Arc<Store>,
    id: Option<String>,
}

impl Device {
    /// Opens device memory as the settings say. Only `create` makes it where it is missing.
    pub fn open(settings: &Settings, create: bool) -> Result<Self, Failure> {
        let memory = &settings.device.memory;
        if !create && !memory.is_dir() {
            let shown = memory.display();
            let words =
                format!("there is no device memory at {shown}: devid init makes it, device.memory names another");
            return Err(Failure::Own(crate::failure::Exit::Store, words));
        }
        let options = StoreOptions {
            retention_count: settings.device.retention.max(2),
            key_secret: settings.device.seal.clone().map(|source| {
                let secret: devid::store::KeySecret = Arc::new(move || {
                    let read = source.read("the secret that seals keys");
                    read.map_err(|e| StoreError::new(StoreErrorKind::Key, "device.seal", e.to_string()))
                });
                secret
            }),
            ..StoreOptions::default()
        };
        let store = Arc::new(Store::open_directory(memory, default_provider(), options)?);
        open_tokens(settings, &store)?;
        Ok(Device { settings: settings.clone(), store, id: device_id(settings)? })
    }

    /// What the clock says; `None` where the settings say that there is none.
    pub fn clock(&self) -> Option<Time> {
        (self.settings.device.clock == Clock::System).then(system_time)
    }

    /// The names to work on: the given ones, or all in the settings, or all in device memory.
    pub fn names(&self, given: &[String]) -> Result<Vec<String>, Failure> {
        if !given.is_empty() {
            return Ok(given.to_vec());
        }
        let mut names: Vec<String> = self.settings.identity.keys().cloned().collect();
        if names.is_empty() {
            names = self.store.identities()?;
            names.retain(|name| *name != self.factory_name());
        }
        match names.is_empty() {
            true => Err(Failure::settings("no identity is named: neither in the settings ([identity.NAME]) nor here")),
            false => Ok(names),
        }
    }

    /// The one name to work on.
    pub fn name(&self, given: Option<&str>) -> Result<String, Failure> {
        let given: Vec<String> = given.into_iter().map(str::to_owned).collect();
        let mut names = self.names(&given)?;
        match names.len() {
            1 => Ok(names.remove(0)),
            _ => Err(Failure::usage(format!("which identity? There are {}", names.join(", ")))),
        }
    }

    /// Settings of an identity; those of one that stands in no settings are the defaults.
    pub fn identity(&self, name: &str) -> Identity {
        self.settings.identity.get(name).cloned().unwrap_or_default()
    }

    /// The name of the factory's identity in device memory.
    pub fn factory_name(&self) -> &str {
        self.settings.ca.login.factory.as_deref().unwrap_or("idevid")
    }

    /// The factory's identity, where it is the one that logs in.
    pub fn factory(&self) -> Option<&str> {
        let login = &self.settings.ca.login;
        let is_factory = match login.kind {
            Some(kind) => kind == LoginKind::Factory,
            None => login.reference.is_none() && login.key.is_none(),
        };
        let name = self.factory_name();
        (is_factory && self.store.state(name).is_ok_and(|state| state.current.is_some())).then_some(name)
    }

    /// The planner with an identity's rules.
    pub fn planner(&self, identity: &Identity) -> Planner {
        let mut planner = Planner::new();
        if let Some(id) = &self.id {
            planner = planner.for_device(id.as_bytes());
        }
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

    /// Where an identity is kept.
    pub fn destination<'a>(&'a self, name: &'a str, identity: &'a Identity) -> Destination<'a> {
        Destination { store: &self.store, name, purpose: &identity.purpose }
    }

    /// What is asked for, if the settings say.
    pub fn subject(&self, name: &str, identity: &Identity) -> Result<Option<Subject>, Failure> {
        let is_told = identity.subject.is_some()
            || [&identity.dns, &identity.ip, &identity.uri, &identity.email].iter().any(|names| !names.is_empty())
            || identity.hardware_module.is_some();
        if !is_told {
            return Ok(None);
        }
        let mut subject = Subject::new();
        if let Some(text) = &identity.subject {
            subject = subject.name(&self.fill(text)?)?;
        }
        for host in &identity.dns {
            subject = subject.dns(&self.fill(host)?)?;
        }
        for text in &identity.ip {
            let address: IpAddr = text
                .parse()
                .map_err(|_| Failure::settings(format!("identity.{name}.ip: \"{text}\" is not an address")))?;
            subject = subject.ip(address);
        }
        for uri in &identity.uri {
            subject = subject.uri(&self.fill(uri)?)?;
        }
        for mailbox in &identity.email {
            subject = subject.email(&self.fill(mailbox)?)?;
        }
        if let Some(module) = &identity.hardware_module {
            subject = subject.hardware_module(&module.r#type, self.fill(&module.serial)?.as_bytes())?;
        }
        for usage in &identity.key_usage {
            subject = subject.key_usage(usage)?;
        }
        for purpose in &identity.extended_key_usage {
            subject = subject.extended_key_usage(purpose)?;
        }
        Ok(Some(subject))
    }

    fn fill(&self, text: &str) -> Result<String, Failure> {
        match (text.contains("${id}"), &self.id) {
            (false, _) => Ok(text.to_owned()),
            (true, Some(id)) => Ok(text.replace("${id}", id)),
            (true, None) => Err(Failure::settings(format!("\"{text}\" asks for ${{id}}, and device.id is not set"))),
        }
    }

    /// The client's settings. `with_login` reads the credential for the first certificate, which may ask at the terminal.
    pub fn config(&self, with_login: bool) -> Result<Config, Failure> {
        let ca = &self.settings.ca;
        let mut config = Config::new();
        config.server_url = ca.server.clone();
        if let Some(profile) = &ca.profile {
            config.apply_profile(profile)?;
        }
        if let Some(text) = &ca.recipient {
            config.recipient = Some(devid::asn1::name::Name::parse(text)?);
        }
        config.cert_profile = ca.cert_profile.clone();
        config.ask_implicit_confirm |= ca.confirm == settings::Confirm::Implicit;
        config.accept_ca_pubs = ca.accept_ca_pubs;
        if let Some(window) = ca.time_window {
            config.message_time_window_seconds = Some(window.seconds());
        }
        if self.settings.device.clock == Clock::None {
            config.message_time_window_seconds = None;
        }
        let limits = &mut config.exchange_limits;
        let put = |to: &mut Duration, from: Option<settings::Span>| *to = from.map_or(*to, |span| span.0);
        put(&mut limits.connect_timeout, ca.http.connect);
        put(&mut limits.read_timeout, ca.http.read);
        put(&mut limits.total_timeout, ca.http.total);
        config.max_retries = config.max_retries.max(ca.http.retries);
        if let Some(proxy) = &ca.proxy {
            config.proxy_url = Some(proxy.url.clone());
            if let (Some(user), Some(source)) = (&proxy.user, &proxy.password) {
                config.proxy_login = Some((user.clone(), source.read_text("the proxy's password")?));
            }
        }
        self.trust(&mut config)?;
        self.tls(&mut config)?;
        if with_login {
            self.login(&mut config)?;
        }
        Ok(config)
    }

    fn trust(&self, config: &mut Config) -> Result<(), Failure> {
        let trust = &self.settings.ca.trust;
        let sets: [(&mut TrustAnchors, &[PathBuf], AnchorSet); 3] = [
            (&mut config.cmp_anchors, &trust.answers, AnchorSet::Cmp),
            (&mut config.enrolment_anchors, &trust.issued, AnchorSet::Enrolment),
            (&mut config.tls.anchors, &trust.tls, AnchorSet::Tls),
        ];
        for (anchors, own, set) in sets {
            for certificate in read_certificates(own.iter().chain(&trust.all))? {
                anchors.add(certificate);
            }
            for certificate in self.store.anchors(set)? {
                anchors.add(certificate);
            }
        }
        config.intermediates = read_certificates(&trust.intermediates)?;
        let signers = read_certificates(&trust.signers)?;
        if !signers.is_empty() {
            config.pin_signers(signers);
        }
        Ok(())
    }

    fn tls(&self, config: &mut Config) -> Result<(), Failure> {
        let tls = &self.settings.ca.tls;
        config.tls.server_name = tls.name.clone();
        if let (Some(key), Some(certificates)) = (&tls.key, &tls.certificates) {
            let key = read_key(key, tls.password.as_ref())?;
            config.tls.set_credential(key, &read_certificates([certificates])?)?;
        }
        Ok(())
    }

    /// The credential for the first certificate.
    fn login(&self, config: &mut Config) -> Result<(), Failure> {
        let login = &self.settings.ca.login;
        let kind = login.kind.or(match (&login.reference, &login.key) {
            (Some(_), _) => Some(LoginKind::Secret),
            (None, Some(_)) => Some(LoginKind::File),
            (None, None) => None,
        });
        match kind {
            Some(LoginKind::Secret) => {
                let reference = reference_octets(login.reference.as_deref().unwrap_or_default())?;
                let missing = || Failure::settings("ca.login.secret is missing: the source of the secret");
                let secret = login.secret.as_ref().ok_or_else(missing)?.read("the secret shared with the CA")?;
                let parameters = match login.mac {
                    Some(MacKind::Pbmac1) => MacParameters::PBMAC1,
                    Some(MacKind::PasswordBased) | None => MacParameters::PASSWORD_BASED,
                };
                config.protect_with_secret(&reference, &secret, parameters);
            }
            Some(LoginKind::File) => {
                let missing = |key: &str| Failure::settings(format!("ca.login.{key} is missing"));
                let path = login.key.as_ref().ok_or_else(|| missing("key"))?;
                let certificates = login.certificates.as_ref().ok_or_else(|| missing("certificates"))?;
                let key = read_key(path, login.password.as_ref())?;
                config.set_credential(Signer::Key(key), &read_certificates([certificates])?)?;
            }
            Some(LoginKind::Factory) | None => {
                let Some(name) = self.factory() else { return Ok(()) };
                self.log_in_as(config, name)?;
            }
        }
        Ok(())
    }

    /// The credential is an identity in device memory.
    pub fn log_in_as(&self, config: &mut Config, name: &str) -> Result<(), Failure> {
        let identity = self.store.current(name)?;
        let key = self.store.open_key(&identity.key)?.ok_or_else(|| {
            let words = format!("the key of \"{name}\" is in a token or elsewhere, and nothing here can open it");
            Failure::Own(crate::failure::Exit::Crypto, words)
        })?;
        let chain: Vec<Certificate> = std::iter::once(identity.certificate).chain(identity.chain).collect();
        if self.settings.ca.server.as_deref().is_some_and(|url| url.starts_with("https:"))
            && config.tls.certificate().is_none()
        {
            config.tls.set_credential(Arc::clone(&key), &chain)?;
        }
        Ok(config.set_credential(Signer::Key(key), &chain)?)
    }

    /// A client of an identity that can vouch for itself.
    pub fn client_of(&self, name: &str) -> Result<Client, Failure> {
        let mut config = self.config(false)?;
        self.log_in_as(&mut config, name)?;
        Ok(config.build()?)
    }

    /// A client of whatever credential is at hand: the identity itself, or else the login.
    pub fn any_client(&self, name: &str) -> Result<Client, Failure> {
        match self.store.state(name)?.current {
            Some(_) => self.client_of(name),
            None => Ok(self.config(true)?.build()?),
        }
    }

    /// The type of an identity's keys.
    pub fn key_kind(&self, name: &str, identity: &Identity) -> Result<KeyKind, Failure> {
        KeyKind::from_name(&identity.key).ok_or_else(|| {
            let words =
                format!("identity.{name}.key: \"{}\" is not a known key type (for example P-256)", identity.key);
            Failure::settings(words)
        })
    }

    /// How an identity is written for other software.
    pub fn export_of(&self, export: &settings::Export) -> Result<Export, Failure> {
        let layout = Layout::from_name(&export.layout).ok_or_else(|| {
            let words = "pem, openssl, nginx, strongswan, mosquitto and pkcs12 are layouts";
            Failure::settings(format!("\"{}\" is not a layout: {words}", export.layout))
        })?;
        let mut out = Export::new(layout, &export.folder);
        out.anchors = read_certificates(&export.anchors)?;
        out.password = export.password.as_ref().map(|s| s.read_text("the password of the export")).transpose()?;
        Ok(out)
    }
}

/// A reference value is octets: text, or `hex:` and digits.
fn reference_octets(text: &str) -> Result<Vec<u8>, Failure> {
    let Some(digits) = text.strip_prefix("hex:") else { return Ok(text.as_bytes().to_vec()) };
    let wrong = || Failure::settings("ca.login.reference: an even number of hexadecimal digits follows hex:");
    if digits.is_empty() || digits.len() % 2 != 0 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| wrong())).collect()
}

fn device_id(settings: &Settings) -> Result<Option<String>, Failure> {
    let Some(text) = &settings.device.id else { return Ok(None) };
    let Some(path) = text.strip_prefix("file:") else { return Ok(Some(text.clone())) };
    let path = Path::new(path);
    let id =
        std::fs::read_to_string(path).map_err(|e| Failure::settings(format!("device.id: {}: {e}", path.display())))?;
    match id.trim() {
        "" => Err(Failure::settings(format!("device.id: {} is empty", path.display()))),
        id => Ok(Some(id.to_owned())),
    }
}

#[cfg(feature = "pkcs11")]
fn open_tokens(settings: &Settings, store: &Store) -> Result<(), Failure> {
    let Some(pkcs11) = settings.device.pkcs11.clone() else { return Ok(()) };
    let pin: devid::crypto::pkcs11::PinSource = Arc::new(move |_| {
        let missing = || devid::crypto::CryptoError::WrongSecret;
        let source = pkcs11.pin.as_ref().ok_or_else(missing)?;
        source.read_text("the token's PIN").map_err(|_| missing())
    });
    let module = settings.device.pkcs11.as_ref().and_then(|p| p.module.as_deref());
    devid::client::open_token_keys(store, module, pin);
    Ok(())
}

#[cfg(not(feature = "pkcs11"))]
fn open_tokens(settings: &Settings, _: &Store) -> Result<(), Failure> {
    match settings.device.pkcs11 {
        None => Ok(()),
        Some(_) => Err(Failure::settings("device.pkcs11: this build has no support for PKCS#11 tokens")),
    }
}

/// All certificates of some files.
pub fn read_certificates(paths: impl IntoIterator<Item = impl AsRef<Path>>) -> Result<Vec<Certificate>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        let path = path.as_ref();
        let read = certificates_from_bytes(&read_file(path)?);
        found.extend(read.map_err(|e| Failure::from(e.context(&path.display().to_string())))?);
    }
    Ok(found)
}

/// A private key in a file.
pub fn read_key(path: &Path, password: Option<&settings::Source>) -> Result<Arc<dyn PrivateKey>, Failure> {
    let password = password.map(|source| source.read("the key's password")).transpose()?;
    let input = zeroize::Zeroizing::new(read_file(path)?);
    let key = load_private_key(&*default_provider(), &input, password.as_ref().map(|p| p.as_slice()));
    key.map_err(|e| Failure::from(devid::Error::from(e).context(&path.display().to_string())))
}

/// Larger files are not read: no structure of this field needs as much.
const MAX_FILE_BYTES: u64 = 256 << 20;

/// A file, or standard input for `-`.
pub fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)
    } else {
        // A pipe without a writer would be waited for for ever.
        let about = std::fs::metadata(path).map_err(|e| Failure::file(path, &e))?;
        if !about.is_file() {
            return Err(Failure::Own(
                crate::failure::Exit::Input,
                format!("{}: is not a regular file", path.display()),
            ));
        }
        std::fs::File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
    };
    read.map_err(|e| Failure::file(path, &e))?;
    match bytes.len() as u64 > MAX_FILE_BYTES {
        true => Err(Failure::Own(
            crate::failure::Exit::Input,
            format!("{}: larger than {MAX_FILE_BYTES} bytes", path.display()),
        )),
        false => Ok(bytes),
    }
}
