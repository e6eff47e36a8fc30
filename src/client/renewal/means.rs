//! With what a step is done: the client with the credential that belongs to it, the key, the subject.

#[cfg(feature = "http")]
use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

use super::clock::LATEST;
use super::nap::Napped;
use super::perform::Renewal;
use super::plan::Standing;
use crate::asn1::oid;
use crate::asn1::x509::Certificate;
use crate::client::{Client, Config, Subject};
#[cfg(feature = "http")]
use crate::cmp::Credential;
use crate::cmp::{SavedCredential, Signer};
use crate::codes::Code;
use crate::crypto::{KeyKind, PrivateKey};
use crate::error::Error;
use crate::store::{AnchorSet, Identity, KeyReference, StoreErrorKind};
use crate::time::Time;
use crate::transport::tls::{TlsConfig, TlsTime};
#[cfg(feature = "http")]
use crate::transport::{Exchange, ExchangeLimits, Phase, Reply, TransportError, TransportErrorKind};
use crate::validation::same_name;

impl Renewal<'_> {
    /// The client whose credential this is: of the identity in use, of the factory's, or of the settings. `None`: it is not here.
    pub(super) fn client_of(
        &self,
        wanted: &SavedCredential,
        now: Option<Time>,
        napped: &Napped,
    ) -> Result<Option<Client>, Error> {
        let provider = &**self.config.provider();
        // The one in use, the one before (somebody went back while the request was waiting), the factory's.
        let store = self.to.store;
        let own = [store.current(self.to.name), store.previous(self.to.name)];
        for identity in own.into_iter().chain(self.factory.map(|name| store.current(name))) {
            let identity = match identity {
                Ok(identity) => identity,
                Err(error) if error.kind == StoreErrorKind::NotFound || error.is_damage() => continue,
                // Its key may open again, or another one is wanted.
                Err(error) if error.is_sealed() => continue,
                Err(error) => return Err(error.into()),
            };
            if SavedCredential::of_certificate(identity.certificate.as_der(), provider)? == *wanted {
                let config = napped.credential(self.with_identity(identity))?;
                return self.client(config, Standing::Valid, now).map(Some);
            }
        }
        // One that is in use no more since a part of it was damaged: while its key and certificate are whole, it goes on with what it has
        // begun (RFC 9483 section 4.4). The certificates above it are those of another generation, or the CA knows them.
        for mut identity in store.pairs(self.to.name)? {
            if SavedCredential::of_certificate(identity.certificate.as_der(), provider)? == *wanted {
                let of_another = store.last_good(self.to.name).map(|(good, _)| good.chain).unwrap_or_default();
                let fits =
                    of_another.first().is_some_and(|above| same_name(above.subject(), identity.certificate.issuer()));
                identity.chain = if fits { of_another } else { Vec::new() };
                let config = napped.credential(self.with_identity(identity))?;
                return self.client(config, Standing::Valid, now).map(Some);
            }
        }
        if !self.config.has_credential() {
            return Ok(None);
        }
        let client = self.client(self.config.clone(), Standing::Valid, now)?;
        let is_it = SavedCredential::of(&client.context().credential, provider)? == *wanted;
        Ok(is_it.then_some(client))
    }

    pub(super) fn best_client(&self, standing: Standing, now: Option<Time>) -> Result<Client, Error> {
        match standing.is_usable() {
            true => {
                let own = self.own_client(now).and_then(|client| client.context().check().map(|()| client));
                own.or_else(|_| self.factory_client(now))
            }
            false => self.factory_client(now),
        }
    }

    /// Requests are protected by the identity in use.
    pub(super) fn own_client(&self, now: Option<Time>) -> Result<Client, Error> {
        let config = self.with_identity(self.to.store.current(self.to.name)?)?;
        self.client(config, Standing::Valid, now)
    }

    /// Requests are protected by the factory's identity, or as the settings say.
    pub(super) fn factory_client(&self, now: Option<Time>) -> Result<Client, Error> {
        let config = match self.factory {
            Some(name) => self.with_identity(self.to.store.last_good(name)?.0)?,
            None => self.config.clone(),
        };
        self.client(config, Standing::Absent, now)
    }

    /// See [`Client::end_of_anchors`].
    pub(super) fn end_of_anchors(&self) -> Result<Time, Error> {
        let settings = self.config.cmp_anchors.iter().chain(self.config.enrolment_anchors.iter());
        let mut latest = settings.map(Certificate::not_after).max();
        for set in [AnchorSet::Cmp, AnchorSet::Enrolment] {
            latest = latest.max(self.to.store.readable_anchors(set)?.0.iter().map(Certificate::not_after).max());
        }
        Ok(latest.unwrap_or(LATEST).min(LATEST))
    }

    pub(super) fn with_identity(&self, identity: Identity) -> Result<Config, Error> {
        let signer = self.to.store.usable_key(&identity.key)?;
        let mut config = self.config.clone();
        config.protect_with_certificate(signer, identity.certificate, identity.chain);
        Ok(config)
    }

    /// With all that device memory has for it, for who knows that it is `now`: its anchors count as well as those of the settings.
    pub(super) fn client(&self, mut config: Config, standing: Standing, now: Option<Time>) -> Result<Client, Error> {
        for set in AnchorSet::ALL {
            let anchors = match set {
                AnchorSet::Cmp => &mut config.cmp_anchors,
                AnchorSet::Enrolment => &mut config.enrolment_anchors,
                AnchorSet::Tls => &mut config.tls.anchors,
                // For whom the device meets, not for its CA: read by `Store::trust`.
                AnchorSet::Peer => continue,
            };
            // What is wrong with a set is told by the plan; what it would have vouched for is refused.
            for anchor in self.to.store.readable_anchors(set)?.0 {
                anchors.add(anchor);
            }
        }
        config.use_signer_store(self.to.store);
        self.show_identity(&mut config, standing);
        // The server's certificate is judged by the time that is told here, which goes on meanwhile.
        if config.tls.time == TlsTime::System {
            config.tls.time = now.map_or(TlsTime::Unknown, |now| TlsTime::Since(now, Instant::now()));
        }
        let client = config.build()?;
        Ok(if now.is_some() { client.following_authentic_time() } else { client.without_clock() })
    }

    /// The TLS client certificate, where the settings have none: the identity in use while it is of use, else the factory's.
    /// Best effort: most servers do not ask for one, and a key that cannot sign at once cannot be shown.
    fn show_identity(&self, config: &mut Config, standing: Standing) {
        if config.tls.certificate().is_some() {
            return;
        }
        let _ = self.shown(standing).into_iter().any(|name| self.show(&mut config.tls, name));
    }

    /// Whose certificates are worth showing to a TLS server, best first.
    fn shown(&self, standing: Standing) -> Vec<&str> {
        let own = Some(self.to.name).filter(|_| standing == Standing::Valid);
        own.into_iter().chain(self.factory).collect()
    }

    /// Whether there is such an identity, with a key that can sign at once.
    fn show(&self, tls: &mut TlsConfig, name: &str) -> bool {
        let Ok(identity) = self.to.store.current(name) else { return false };
        let Ok(Some(key)) = self.to.store.open_key(&identity.key) else { return false };
        let chain = [std::slice::from_ref(&identity.certificate), &identity.chain[..]].concat();
        tls.set_credential(key, &chain).is_ok()
    }

    /// The client's ways to its server where that has refused the certificate that was shown to it: with another one, at last with
    /// none. Who protects the messages is another matter, and stays.
    #[cfg(feature = "http")]
    fn other_ways(&self, client: &Client) -> Vec<Client> {
        let Some(refused) = client.tls().certificate() else { return Vec::new() };
        // With the settings' own there is no other; where TLS alone says who the device is, the messages name it too.
        let is_theirs = self.config.tls.certificate().is_some();
        if is_theirs || matches!(client.context().credential, Credential::MutualTls { .. }) {
            return Vec::new();
        }
        let bare = client.tls().without_credential();
        let mut ways = Vec::new();
        for name in self.shown(Standing::Valid) {
            let mut tls = bare.clone();
            let is_another = self.show(&mut tls, name) && tls.certificate() != Some(refused);
            ways.extend(is_another.then(|| client.over_tls(tls)));
        }
        ways.push(client.over_tls(bare));
        ways
    }

    pub(super) fn noted_key(&self, keys: &mut Vec<KeyReference>) -> Result<Arc<dyn PrivateKey>, Error> {
        let key = self.key()?;
        keys.extend(KeyReference::of(&*key));
        Ok(key)
    }

    fn key(&self) -> Result<Arc<dyn PrivateKey>, Error> {
        let current = self.to.store.current(self.to.name).ok();
        let held = current.as_ref().and_then(|identity| identity.key.held());
        if let (true, Some(identity)) = (self.planner.policy.same_key, &current) {
            if let Some(key) = self.to.store.open_key(&identity.key)? {
                return Ok(key);
            }
        }
        if let Some(new_key) = self.new_key {
            return new_key();
        }
        if let Some(Signer::Deferred(reference)) = current.as_ref().map(|identity| &identity.key) {
            return self.to.store.make_key(self.to.name, &reference.reference, reference.kind())?.ok_or_else(|| {
                let words = "the key in use is not in device memory: say where the new one is to be made";
                Error::new(Code::Unsupported, words)
            });
        }
        let kind = held.map_or(KeyKind::P256, |key| key.kind());
        Ok(self.config.provider().generate_key(kind)?)
    }

    pub(super) fn subject(&self) -> Result<Subject, Error> {
        match self.subject {
            Some(subject) => Ok(subject.clone()),
            None => match self.to.store.in_use(self.to.name) {
                Ok(identity) => like(&identity.certificate),
                Err(_) => like(&self.to.store.last_good(self.to.name)?.0.certificate),
            },
        }
    }
}

/// The built-in client, once something is to be sent. A TLS server that refuses the certificate that was shown to it is asked again at
/// once with another one: it has looked at nothing else of the request. What it knows of an identity may be older or newer
/// than what the CA knows (an end that has passed by its clock, another list of CAs), and the other way may be open.
#[cfg(feature = "http")]
pub(super) struct LazyHttp<'a> {
    renewal: &'a Renewal<'a>,
    clock: Option<Time>,
    /// It is the time that is asked for: no clock judges the server's certificate then, but its answer is judged by its protection.
    asks_time: &'a Cell<bool>,
    http: Option<Box<dyn Exchange + Send + Sync>>,
    /// Whether that was made to ask for the time.
    is_for_time: bool,
    /// What is left to be shown, the next one last; `None` until the first one was refused.
    others: Option<Vec<Client>>,
}

#[cfg(feature = "http")]
impl<'a> LazyHttp<'a> {
    pub(super) fn new(renewal: &'a Renewal<'a>, clock: Option<Time>, asks_time: &'a Cell<bool>) -> Self {
        LazyHttp { renewal, clock, asks_time, http: None, is_for_time: false, others: None }
    }

    fn best_client(&self) -> Result<Client, Error> {
        let plan = self.renewal.plan(self.clock)?;
        self.renewal.best_client(plan.standing, plan.clock.known().filter(|_| !self.asks_time.get()))
    }

    /// Whether there is another certificate to show.
    fn shows_another(&mut self) -> Result<bool, Error> {
        if self.others.is_none() {
            let mut ways = self.renewal.other_ways(&self.best_client()?);
            ways.reverse();
            self.others = Some(ways);
        }
        let Some(next) = self.others.as_mut().and_then(Vec::pop) else { return Ok(false) };
        self.http = Some(next.exchange()?);
        Ok(true)
    }
}

#[cfg(feature = "http")]
impl Exchange for LazyHttp<'_> {
    fn exchange(&mut self, request: &[u8], limits: &ExchangeLimits) -> Result<Reply, TransportError> {
        let unusable =
            |e: Error| TransportError::new(TransportErrorKind::Invalid, Phase::Prepare, e.message().to_owned());
        if self.is_for_time != self.asks_time.get() {
            (self.http, self.others, self.is_for_time) = (None, None, self.asks_time.get());
        }
        if self.http.is_none() {
            let made = self.best_client().and_then(|client| client.exchange());
            self.http = Some(made.map_err(unusable)?);
        }
        let mut first = None;
        loop {
            let outcome = self.http.as_mut().expect("made above").exchange(request, limits);
            let is_refused = outcome.as_ref().is_err_and(TransportError::may_be_about_client_certificate);
            if !is_refused || !self.shows_another().unwrap_or(false) {
                // Where every way is closed, what is told is why the best one is.
                return outcome.map_err(|error| match first {
                    Some(first) if error.kind == TransportErrorKind::Tls => first,
                    _ => error,
                });
            }
            first = first.or(outcome.err());
        }
    }
}

/// Asks for what a certificate says: names and uses.
pub(in crate::client) fn like(certificate: &Certificate) -> Result<Subject, Error> {
    let mut subject = Subject::new().name_der(certificate.subject())?;
    for id in [oid::CE_SUBJECT_ALT_NAME, oid::CE_KEY_USAGE, oid::CE_EXT_KEY_USAGE] {
        if let Some(extension) = certificate.extension(id) {
            subject = subject.extension(&id.to_string(), extension.critical, extension.value)?;
        }
    }
    Ok(subject)
}
