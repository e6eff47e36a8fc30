//! From settings and device memory to the client: whom it trusts, and who it is.

use std::sync::Arc;

use super::keep::NO_LOGIN;
use super::reading::{Reading, of};
use super::settings::Identity;
use super::{Device, tuning, wrong};
use crate::asn1::x509::Certificate;
use crate::client::renewal::like;
use crate::client::{Client, Config, Subject};
use crate::cmp::Signer;
use crate::codes::Code;
use crate::error::Error;
use crate::store::AnchorSet;

impl Device {
    /// The settings as they are read here and now.
    pub(super) fn reading(&self) -> Reading<'_> {
        Reading { settings: &self.settings, id: self.id.as_deref().map(super::plain_id), is_at_work: true, told: None }
    }

    /// The client's settings. `with_login` reads the credential for the first certificate, which may ask at the terminal.
    pub fn config(&self, with_login: bool) -> Result<Config, Error> {
        let reading = self.reading();
        let mut config = reading.config()?;
        let sets = [
            (&mut config.options.cmp_anchors, AnchorSet::Cmp),
            (&mut config.options.enrolment_anchors, AnchorSet::Enrolment),
            (&mut config.tls.anchors, AnchorSet::Tls),
        ];
        for (anchors, set) in sets {
            // What is wrong with a set is told by the plan; what it would have vouched for is refused.
            for certificate in self.store.readable_anchors(set)?.0 {
                anchors.add(certificate);
            }
        }
        // Who was revoked there once is not believed here, and no list older than one seen there counts.
        config.use_signer_store(&self.store);
        if with_login && !reading.login(&mut config)? {
            if let Some(name) = self.factory() {
                self.log_in_as(&mut config, name)?;
                if let Some(wanted) = &self.settings.ca.login.signature {
                    let wanted = tuning::signature_of(wanted)?;
                    of("ca.login.signature", config.set_protection_algorithm(wanted))?;
                }
            }
        }
        Ok(config)
    }

    /// The credential is an identity in device memory.
    pub fn log_in_as(&self, config: &mut Config, name: &str) -> Result<(), Error> {
        let identity = self.store.last_good(name)?.0;
        let key = self.store.open_key(&identity.key)?.ok_or_else(|| {
            let words = format!("the key of \"{name}\" is in a token or elsewhere, and nothing here can open it");
            Error::new(Code::Signer, words)
        })?;
        let chain: Vec<Certificate> = std::iter::once(identity.certificate).chain(identity.chain).collect();
        if self.settings.ca.server.as_deref().is_some_and(|url| url.starts_with("https:"))
            && config.tls.certificate().is_none()
        {
            config.tls.set_credential(Arc::clone(&key), &chain)?;
        }
        config.set_credential(Signer::Key(key), &chain)
    }

    /// A client of an identity that can vouch for itself.
    pub fn client_of(&self, name: &str) -> Result<Client, Error> {
        self.store.bring_back(name)?;
        let mut config = self.config(false)?;
        config.renew_with_uses = self.identity(name).renew.with_uses;
        self.log_in_as(&mut config, name)?;
        config.build()
    }

    /// Who asks for the next certificate now, whether it is due or not: the identity itself; where its key is gone from its home, the login, for
    /// what the settings name or else the certificate in use. As a renewal that is due, it goes on beyond `ca.time-window`. Errors: those of [`Device::client_of`].
    pub fn next_client(&self, name: &str) -> Result<(Client, Option<Subject>), Error> {
        let error = match self.client_of(name) {
            Ok(client) => return Ok((client.following_authentic_time(), None)),
            Err(error) => error,
        };
        if error.code() != Code::NotFound || !self.store.can_see_home_of_key(name) {
            return Err(error);
        }
        match self.another_client(name) {
            Err(missing) if missing.message() == NO_LOGIN => {
                Err(error.followed_by("and no other credential is set (ca.login)"))
            }
            another => another.map(|(client, subject)| (client, Some(subject))),
        }
    }

    /// Who asks for another first certificate in place of the one in use: the login of the settings, or the factory's identity; for
    /// what the settings name, or else the certificate in use.
    ///
    /// Errors: [`Code::InvalidArgument`] where there is nothing to log in with; the settings are wrong.
    pub fn another_client(&self, name: &str) -> Result<(Client, Subject), Error> {
        let subject = match self.subject(name, &self.identity(name))? {
            Some(subject) => subject,
            None => like(&self.store.in_use(name)?.certificate)?,
        };
        let config = self.config(true)?;
        if !config.has_credential() {
            return Err(wrong(NO_LOGIN));
        }
        Ok((config.build()?.following_authentic_time(), subject))
    }

    /// Settings with whatever credential is at hand: the identity itself, or else the login.
    pub fn any_config(&self, name: &str) -> Result<Config, Error> {
        if self.store.state(name)?.current.is_none() {
            return self.config(true);
        }
        let mut config = self.config(false)?;
        config.renew_with_uses = self.identity(name).renew.with_uses;
        self.log_in_as(&mut config, name)?;
        Ok(config)
    }

    /// A client with that credential.
    pub fn any_client(&self, name: &str) -> Result<Client, Error> {
        self.any_config(name)?.build()
    }

    /// What is asked for, if the settings say.
    pub fn subject(&self, name: &str, identity: &Identity) -> Result<Option<Subject>, Error> {
        self.reading().subject(name, identity, self.clock())
    }
}
