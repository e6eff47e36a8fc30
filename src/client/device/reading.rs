//! What the settings say to a client, read by one door: enrolment goes through it, and `devid config check` tells everything that
//! is refused at it. Each part is about a few settings, and names the one that is wrong.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::files::{read_certificates, read_chain, read_key};
use super::row::{Refused, Table};
use super::secret::Source;
use super::settings::{Identity, Login, LoginKind, Settings, octets};
use super::{Device, tuning, wrong};
use crate::asn1::x509::Certificate;
use crate::client::Config;
use crate::client::certificates::ReadAs;
use crate::client::crl_file::add_crl_file;
use crate::cmp::{Signer, Tolerance};
use crate::codes::Code;
use crate::crypto::KeyKind;
use crate::error::Error;
use crate::transport::{Scheme, Url};
use crate::validation::StatusSources;

/// The outcome with the setting that it is about.
pub(super) fn of<T>(setting: &str, outcome: Result<T, impl Into<Error>>) -> Result<T, Error> {
    outcome.map_err(|error| error.into().context(setting))
}

/// The same of a value that stands in the settings themselves: what is wrong is the settings, whatever the value should have been.
pub(super) fn of_value<T>(setting: &str, outcome: Result<T, impl Into<Error>>) -> Result<T, Error> {
    of(setting, outcome).map_err(|error| error.recoded(|_| Code::InvalidArgument))
}

/// Settings that are read for a client.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub settings: &'a Settings,
    /// What `${id}` stands for.
    pub id: Option<&'a str>,
    /// Secrets are wanted that a running device alone has: from its terminal, its service manager, its environment.
    pub is_at_work: bool,
    /// Is told what is passed over; the setting first.
    pub told: Option<&'a RefCell<Vec<String>>>,
}

/// Reads some settings into a client's.
type Part = for<'a, 'b, 'c> fn(&'a Reading<'b>, &'c mut Config) -> Result<(), Error>;

/// What the rows of settings have no reader for, but the login: it needs files, secrets, or others beside it.
const PARTS: &[Part] = &[
    |reading, config| reading.proxy(config),
    |reading, config| reading.trust(config),
    |reading, config| reading.tls_credential(config),
    |reading, config| reading.general_info(config),
    |reading, config| reading.signers(config),
    |reading, config| reading.tls_servers(config),
];

impl Reading<'_> {
    /// Certificates in files that a setting names.
    pub fn certificates(
        &self,
        setting: &str,
        paths: impl IntoIterator<Item = impl AsRef<Path>>,
        read_as: ReadAs,
    ) -> Result<Vec<Certificate>, Error> {
        of(setting, read_certificates(paths, read_as, &mut |words| self.tell(setting, &words)))
    }

    /// The same of a file whose first one is the owner's.
    fn chain(&self, setting: &str, path: &Path) -> Result<Vec<Certificate>, Error> {
        of(setting, read_chain(path, &mut |words| self.tell(setting, &words)))
    }

    /// Lists of revoked certificates in files that a setting names. What of them cannot be read counts as not looked at, and is told here.
    pub fn crls(&self, setting: &str, paths: &[PathBuf], status: &mut StatusSources) -> Result<(), Error> {
        for path in paths {
            let known = status.unread.clone();
            // That a file cannot be read is the settings' mistake, as it is of every file that they name.
            let unread = |error: Error| match error.code() {
                Code::NotFound | Code::Permission | Code::Io => error.recoded(|_| Code::InvalidArgument),
                _ => error,
            };
            of(setting, add_crl_file(status, path, None).map_err(unread))?;
            if let Some(why) = status.unread.as_ref().filter(|_| status.unread != known) {
                self.tell(setting, &format!("{}: {why}", crate::files::shown(path)));
            }
        }
        Ok(())
    }

    fn tell(&self, setting: &str, words: &str) {
        if let Some(told) = self.told {
            told.borrow_mut().push(format!("{setting}: {words}"));
        }
    }

    /// Everything but the login.
    pub fn config(&self) -> Result<Config, Error> {
        let mut config = Config::new();
        self.read(&mut config, &mut Err)?;
        Ok(config)
    }

    /// The same, into these settings: in the order in which one lies over the other.
    pub fn read(&self, config: &mut Config, refused: Refused<'_>) -> Result<(), Error> {
        // What the clock does not tell is not set by a window.
        Table::read(&self.settings.ca, config, refused)?;
        Table::read(&self.settings.device, config, refused)?;
        PARTS.iter().try_for_each(|part| part(self, config).or_else(&mut *refused))
    }

    /// The deviations that the settings tolerate: the profile's, with the switches of their own.
    pub(super) fn tolerance(&self) -> Tolerance {
        let mut config = Config::new();
        // What is refused is told where a client is made of them.
        let _ = Table::read(&self.settings.ca, &mut config, &mut |_| Ok(()));
        config.options.tolerance
    }

    fn proxy(&self, config: &mut Config) -> Result<(), Error> {
        let Some(proxy) = &self.settings.ca.proxy else { return Ok(()) };
        let url = of("ca.proxy.url", Url::parse(&proxy.url))?;
        if url.scheme() != Scheme::Http {
            return Err(wrong(format!("ca.proxy.url: expected http://HOST:PORT, found {}", url.scheme().name())));
        }
        config.server.proxy_url = Some(proxy.url.clone());
        if let (Some(user), Some(source)) = (&proxy.user, &proxy.password) {
            if let Some(password) = self.text("ca.proxy.password", source, "the proxy's password")? {
                #[cfg(feature = "http")]
                of("ca.proxy.user, ca.proxy.password", crate::transport::HttpConfig::basic(user, &password))?;
                config.server.proxy_login = Some((user.clone(), password));
            }
        }
        Ok(())
    }

    fn trust(&self, config: &mut Config) -> Result<(), Error> {
        let trust = &self.settings.ca.trust;
        let all = self.certificates("ca.trust.all", &trust.all, ReadAs::Anchors)?;
        let sets = [
            (&mut config.options.cmp_anchors, "ca.trust.answers", &trust.answers),
            (&mut config.options.enrolment_anchors, "ca.trust.issued", &trust.issued),
            (&mut config.tls.anchors, "ca.trust.tls", &trust.tls),
        ];
        for (anchors, setting, own) in sets {
            for certificate in self.certificates(setting, own, ReadAs::Anchors)?.into_iter().chain(all.iter().cloned())
            {
                anchors.add(certificate);
            }
        }
        config.intermediates =
            self.certificates("ca.trust.intermediates", &trust.intermediates, ReadAs::Certificates)?;
        let signers = self.certificates("ca.trust.signers", &*trust.signers, ReadAs::Anchors)?;
        if !signers.is_empty() {
            config.pin_signers(signers);
        }
        Ok(())
    }

    fn tls_credential(&self, config: &mut Config) -> Result<(), Error> {
        let tls = &self.settings.ca.tls;
        if let (Some(key), Some(path)) = (&tls.key, &tls.certificates) {
            let chain = self.chain("ca.tls.certificates", path)?;
            if let Some(key) = self.key("ca.tls", key, tls.password.as_ref())? {
                of("ca.tls.key", config.tls.set_credential(key, &chain))?;
            }
        }
        Ok(())
    }

    /// The credential for the first certificate. Whether the settings have it: else it is in device memory, or at hand on the running
    /// device alone.
    pub fn login(&self, config: &mut Config) -> Result<bool, Error> {
        let login = &self.settings.ca.login;
        let kind = login_kind(self.settings);
        let is_here = match kind {
            Some(LoginKind::Secret) => self.secret_login(login, config)?,
            Some(LoginKind::File) => self.key_login(login, config)?,
            Some(LoginKind::MutualTls) => {
                config.protect_by_mutual_tls();
                true
            }
            Some(LoginKind::Factory) | None => false,
        };
        match &login.signature {
            Some(name) => {
                let wanted = tuning::signature_of(name)?;
                match is_here && kind == Some(LoginKind::File) {
                    true => of("ca.login.signature", config.set_protection_algorithm(wanted)).map(|()| true),
                    false => Ok(is_here),
                }
            }
            None => Ok(is_here),
        }
    }

    fn secret_login(&self, login: &Login, config: &mut Config) -> Result<bool, Error> {
        let reference = reference_octets(login.reference.as_deref().unwrap_or_default())?;
        if reference.is_empty() && !config.tolerance.null_mac_sender {
            return Err(wrong("ca.login.reference is empty: the reference value tells the CA whose secret it is"));
        }
        let parameters = tuning::mac_of(login, config.take_profile_mac(), &config.limits)?;
        let missing = || wrong("ca.login.secret is missing: the source of the secret");
        let source = login.secret.as_ref().ok_or_else(missing)?;
        let shown = crate::words::quoted(login.reference.as_deref().unwrap_or_default());
        let what = format!("the secret shared with the CA under the reference value {shown}");
        let secret = self.octets("ca.login.secret", source, &what)?;
        // Without it everything else can still be looked at; nothing is ever sent under this one.
        let is_here = secret.is_some();
        let stand_in = || Zeroizing::new(b"not the secret: it is read on the device".to_vec());
        let secret = secret.unwrap_or_else(stand_in);
        of("ca.login.secret", config.protect_with_secret(&reference, &secret, parameters)).map(|()| is_here)
    }

    fn key_login(&self, login: &Login, config: &mut Config) -> Result<bool, Error> {
        let missing = |key: &str| wrong(format!("ca.login.{key} is missing"));
        let path = login.key.as_ref().ok_or_else(|| missing("key"))?;
        let chain = login.certificates.as_ref().ok_or_else(|| missing("certificates"))?;
        let chain = self.chain("ca.login.certificates", chain)?;
        let Some(key) = self.key("ca.login", path, login.password.as_ref())? else { return Ok(false) };
        of("ca.login.key", config.set_credential(Signer::Key(key), &chain))?;
        Ok(true)
    }

    /// The key in `TABLE.key`: a file, or in the token of `device.pkcs11`. `None`: it, or its password, is at hand on the running device alone.
    fn key(
        &self,
        table: &str,
        path: &Path,
        password: Option<&Source>,
    ) -> Result<Option<Arc<dyn crate::crypto::PrivateKey>>, Error> {
        if let Some(uri) = path.to_str().filter(|_| super::files::is_in_token(path)) {
            let setting = format!("{table}.key");
            if self.settings.device.pkcs11.is_none() {
                return Err(wrong(format!(
                    "{setting} names a token, and device.pkcs11 is not set: it says how to open it"
                )));
            }
            // The token is where the device is.
            return match self.is_at_work {
                true => of(&setting, Device::token_key(self.settings, uri, None)).map(Some),
                false => of(&setting, check_uri(uri)).map(|()| None),
            };
        }
        if password.is_some_and(|source| !self.can_be_read(source)) {
            return of(&format!("{table}.key"), super::files::read_file(path)).map(|_| None);
        }
        if let Some(source) = password {
            self.octets(&format!("{table}.password"), source, &super::files::password_of(path))?;
        }
        of(&format!("{table}.key"), read_key(path, password)).map(Some).map_err(|error| match password {
            None if error.code() == Code::WrongSecret => {
                error.followed_by(&format!("{table}.password says where it is"))
            }
            Some(source) if error.code() == Code::WrongSecret => {
                error.followed_by(&format!("{table}.password ({source}) gives another one"))
            }
            _ => error,
        })
    }

    fn can_be_read(&self, source: &Source) -> bool {
        self.is_at_work || matches!(source, Source::File(_))
    }

    /// A secret; `None`: it is at hand on the running device alone.
    pub fn octets(&self, setting: &str, source: &Source, what: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        match self.can_be_read(source) {
            true => of(setting, source.read(what)).map(Some),
            false => Ok(None),
        }
    }

    /// The same as text.
    pub fn text(&self, setting: &str, source: &Source, what: &str) -> Result<Option<Zeroizing<String>>, Error> {
        match self.can_be_read(source) {
            true => of(setting, source.read_text(what)).map(Some),
            false => Ok(None),
        }
    }

    /// The type of an identity's keys.
    pub fn key_kind(&self, name: &str, identity: &Identity) -> Result<KeyKind, Error> {
        let found = KeyKind::from_name(&identity.key);
        if let Some(kind) = found.filter(|kind| !kind.can_sign()) {
            let words = format!(
                "identity.{name}.key: expected a key that signs, found {kind}, which does not: an identity proves and renews itself by signatures"
            );
            return Err(wrong(words));
        }
        let kind = found.filter(|kind| match kind {
            KeyKind::Rsa(bits) => RSA_BITS.contains(bits),
            _ => true,
        });
        kind.ok_or_else(|| {
            let signing = KeyKind::NAMED.iter().filter(|kind| kind.can_sign());
            let known: Vec<String> = signing.map(ToString::to_string).collect();
            let words = format!(
                "identity.{name}.key: expected one of {}, RSA-2048, RSA-3072, RSA-4096, found {}",
                known.join(", "),
                crate::words::quoted(&identity.key)
            );
            wrong(words)
        })
    }

    /// Where an identity's keys are made, if that is not in device memory.
    pub fn key_place<'i>(&self, name: &str, identity: &'i Identity) -> Result<Option<&'i str>, Error> {
        let Some(uri) = identity.key_at.as_deref() else { return Ok(None) };
        let setting = format!("identity.{name}.key-at");
        of(&setting, check_uri(uri))?;
        match self.settings.device.pkcs11 {
            Some(_) => Ok(Some(uri)),
            None => {
                Err(wrong(format!("{setting} names a token, and device.pkcs11 is not set: it says how to open it")))
            }
        }
    }
}

/// How the first certificate is asked for, where the settings say so; `None`: by an identity in device memory.
pub(super) fn login_kind(settings: &Settings) -> Option<LoginKind> {
    let login = &settings.ca.login;
    login.kind.or(match (&login.reference, &login.key) {
        (Some(_), _) => Some(LoginKind::Secret),
        (None, Some(_)) => Some(LoginKind::File),
        (None, None) => None,
    })
}

/// Sizes of new RSA keys.
const RSA_BITS: [u32; 3] = [2048, 3072, 4096];

/// Where this build has no tokens, [`super::judging`] and whoever opens device memory say so.
#[cfg_attr(not(feature = "pkcs11"), allow(clippy::unnecessary_wraps, reason = "for keys in tokens"))]
fn check_uri(uri: &str) -> Result<(), Error> {
    #[cfg(feature = "pkcs11")]
    crate::crypto::pkcs11::TokenUri::parse(uri).map_err(|error| wrong(error.to_string()).with_source(error))?;
    #[cfg(not(feature = "pkcs11"))]
    let _ = uri;
    Ok(())
}

/// A reference value is octets: text, or `hex:` and digits.
fn reference_octets(text: &str) -> Result<Vec<u8>, Error> {
    let Some(digits) = text.strip_prefix("hex:") else { return Ok(text.as_bytes().to_vec()) };
    octets(digits)
        .filter(|octets| !octets.is_empty())
        .ok_or_else(|| wrong("ca.login.reference: an even number of hexadecimal digits follows hex:"))
}
