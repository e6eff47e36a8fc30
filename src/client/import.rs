//! A certificate comes back by any means: it finds its pending key, is checked like one that came online, and is
//! installed in one atomic step. A PKCS#12 file may bring the key as well.

use std::sync::Arc;

use crate::asn1::Asn1Error;
use crate::asn1::crmf::CertTemplate;
use crate::asn1::name::{self, Name};
use crate::asn1::pem::{self, Held};
use crate::asn1::pkcs10::CertificationRequest;
use crate::asn1::x509::Certificate;
use crate::client::certificates::{ReadAs, held_certificates};
use crate::client::status::StatusMemory;
use crate::cmp::issued::misnamed_issuers;
use crate::cmp::{Acceptance, Difference, differences};
use crate::cms::pkcs12::is_pkcs12;
use crate::cms::{Pkcs12, Pkcs12Key};
use crate::codes::Code;
use crate::crypto::keys::same_public_key;
use crate::crypto::{Provider, Signer, default_provider};
use crate::error::Error;
use crate::features::{self, needs};
use crate::store::{Identity, NewIdentity, NewKey, Store, StoreError, StoreErrorKind};
use crate::time::Time;
use crate::validation::{Checks, StatusSources, TrustAnchors, validate};

/// How certificates are taken in.
#[derive(Clone, Debug)]
pub struct Import<'a> {
    /// Device memory with the pending keys.
    pub store: &'a Store,
    /// Verifies signatures.
    pub provider: Arc<dyn Provider>,
    /// Where the certificate must lead.
    pub anchors: &'a TrustAnchors,
    /// Untrusted helpers for the path, besides those that come with the certificate.
    pub intermediates: &'a [Certificate],
    /// CRLs and OCSP answers at hand, besides what device memory keeps and knows: that is asked in every case.
    pub status: StatusSources,
    /// What the path is checked for; by default RFC 5280 section 6.1 at the present.
    pub checks: Checks,
    /// Whether a certificate that is not what was asked for is taken by [`Import::run`].
    pub acceptance: Acceptance,
    /// Only this pending key is looked at; `None`: all are. A key that a PKCS#12 file brings is installed under this name.
    pub name: Option<&'a str>,
    /// Opens a PKCS#12 file; other files need none.
    pub password: Option<&'a str>,
    /// What the identity is for, such as `ldevid`.
    pub purpose: &'a str,
    /// The present; the identity is marked with it.
    pub at: Time,
}

/// A certificate that came for a pending key, or with its key, checked and not yet installed. Only [`Import::check`] makes one.
#[derive(Clone, Debug)]
pub struct Imported {
    name: String,
    certificate: Certificate,
    chain: Vec<Certificate>,
    request: Option<CertificationRequest>,
    differences: Vec<Difference>,
    /// The private key that came along.
    brought: Option<Signer>,
}

impl Imported {
    /// The label of the key, and the name under which the identity is installed.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Certificates above it, next issuer first, the anchor last.
    pub fn chain(&self) -> &[Certificate] {
        &self.chain
    }

    /// The request that went out, if it was kept.
    pub fn request(&self) -> Option<&CertificationRequest> {
        self.request.as_ref()
    }

    /// Whether the file brought the private key too, and it is that key that will be installed.
    pub fn brings_key(&self) -> bool {
        self.brought.is_some()
    }

    /// Where the certificate is not what was asked for. Empty also if no request was kept; a damaged one is a difference.
    pub fn differences(&self) -> &[Difference] {
        &self.differences
    }
}

const NO_ISSUER: &str = "its issuer's certificate goes into the file, behind it, or among the helpers: add_intermediates (devid_config_add_intermediates, ca.trust.intermediates); its root must be an enrolment anchor: add_enrolment_anchors (devid_config_add_enrolment_anchors, ca.trust.issued)";

const ANOTHER_KEY: &str = "an anchor or a helper has the issuer's name, and another key: another CA of that name, or one that was set up anew; its root must be an enrolment anchor: add_enrolment_anchors (devid_config_add_enrolment_anchors, ca.trust.issued)";

/// What the owner of an identity should know although its certificates hold: where one of them names another issuer than the one above it,
/// so that some peers will not find that. As [`Issued::warnings`](crate::cmp::Issued::warnings) has it for what comes by CMP.
pub fn warnings_of(identity: &Identity) -> Vec<String> {
    misnamed_issuers(&identity.certificate, &identity.chain)
}

impl<'a> Import<'a> {
    /// With the default provider, no helpers, no revocation, any pending key.
    pub fn new(store: &'a Store, anchors: &'a TrustAnchors, purpose: &'a str, at: Time) -> Self {
        Import {
            store,
            provider: default_provider(),
            anchors,
            intermediates: &[],
            status: StatusSources::none(),
            // The file may be seconds old, and the CA's clock ahead.
            checks: Checks { clock_skew_seconds: crate::limits::CLOCK_SKEW_SECONDS, ..Checks::at(at) },
            acceptance: Acceptance::default(),
            name: None,
            password: None,
            purpose,
            at,
        }
    }

    /// Finds the certificate for a pending key in a file and checks it. Nothing changes.
    ///
    /// The file: certificates and PKCS#7 (`.p7b`), PEM or DER, in any order, with or without the issuers; or PKCS#12,
    /// whose own private key is taken where no pending key is certified.
    ///
    /// Errors: [`Code::NotFound`] if no pending key is certified; [`Code::InvalidArgument`] if several certificates or
    /// keys match, or a key came and there is no name for it; [`Code::WrongSecret`], [`Code::Corrupt`] of PKCS#12 files;
    /// [`Code::Expired`], [`Code::NoPath`], [`Code::Revoked`] and others of the validation.
    pub fn check(&self, input: &[u8]) -> Result<Imported, Error> {
        needs(features::IMPORT)?;
        let (held, keys) = self.read(input)?;
        let found = self.find(&held.all, &keys, &held.unread);
        let (name, certificate, brought) = found.map_err(|error| match error.code() {
            Code::NotFound if has_key(input) => error.followed_by(KEY_IN_PEM),
            _ => error,
        })?;
        let mut pool = held.all;
        pool.retain(|other| *other != certificate);
        pool.extend_from_slice(self.intermediates);
        // What comes into device memory is judged by what that knows.
        let mut status = self.status.clone();
        StatusMemory::of_store(self.store).attach(&mut status);
        let status = status.recalled(&certificate, &pool);
        let mut checks = self.checks.clone();
        // Who has asked for an extension understands it.
        if let Ok(Some(request)) = self.store.pending_request(&name) {
            checks.recognised.extend(template_of(&request)?.extensions.iter().map(|extension| extension.oid));
        }
        let report = validate(&*self.provider, self.anchors, &certificate, &pool, &status, &checks);
        let Some(path) = report.path() else {
            let words = format!("the certificate for \"{name}\" does not stand up to the enrolment anchors");
            let error = report.error().unwrap_or_else(|| Error::new(Code::NoPath, "no path"));
            let hint = match error.code() {
                Code::NoPath => Some(NO_ISSUER),
                Code::SignatureInvalid => Some(ANOTHER_KEY),
                Code::WeakAlgorithm => {
                    Some("the CA signs with what is too weak to be believed; switch allow_weak takes it all the same")
                }
                _ => None,
            };
            // It is an answer to the question whether the certificate is valid.
            let code = |code| if code == Code::SignatureInvalid { Code::BadSignature } else { code };
            return Err(error.context(&words).recoded(code).with(|facts| facts.hint = facts.hint.or(hint)));
        };
        let chain = path.chain()[1..].to_vec();
        let (request, differences) = match self.store.pending_request(&name) {
            Ok(Some(request)) if same_public_key(request.spki(), certificate.spki()) => {
                let found = differences(&template_of(&request)?, &certificate);
                (Some(request), found)
            }
            Ok(_) => (None, Vec::new()),
            // Nobody knows any more what was asked for: for the owner to decide, not a reason to lose the identity.
            Err(error) if error.is_damage() => (None, vec![unreadable(&error, &certificate)]),
            Err(error) => return Err(error.into()),
        };
        Ok(Imported { name, certificate, chain, request, differences, brought })
    }

    /// Installs it: the identity is in use, its key pending no more. To be called again after a crash: a certificate that
    /// is in use already is not installed twice.
    pub fn install(&self, imported: &Imported) -> Result<Identity, Error> {
        needs(features::IMPORT)?;
        let name = &imported.name;
        if let Some(identity) = in_use(self.store, name, &imported.certificate)? {
            if !imported.brings_key() {
                self.store.remove_pending_key(name)?;
            }
            return Ok(identity);
        }
        let new = NewIdentity {
            key: imported.brought.clone().map_or(NewKey::Pending(name), NewKey::Given),
            certificate: &imported.certificate,
            chain: &imported.chain,
            purpose: self.purpose,
            at: self.at,
        };
        Ok(self.store.install(name, &new)?)
    }

    /// Checks and installs a certificate that the policy takes.
    ///
    /// Errors: as [`Import::check`]; [`Code::WrongCertificate`] if it differs in a way that [`Import::acceptance`] refuses.
    pub fn run(&self, input: &[u8]) -> Result<Identity, Error> {
        self.run_telling(input).map(|(identity, _)| identity)
    }

    /// The same, telling what the CA has added or made otherwise.
    pub fn run_telling(&self, input: &[u8]) -> Result<(Identity, Vec<Difference>), Error> {
        let imported = self.check(input)?;
        if let Some(objection) = self.acceptance.objection(&imported.differences) {
            let words = format!("\"{}\": {}", imported.name, objection.message());
            let hint = objection.facts().hint.map(|_| {
                "ask for what the CA issues, or import it by another acceptance policy: any-order takes a subject whose parts come in \
                 another order, anything-but-the-key (accept_differences) all over the right key"
            });
            return Err(Error::new(Code::WrongCertificate, words).with(|facts| facts.hint = hint));
        }
        Ok((self.install(&imported)?, imported.differences))
    }

    /// Certificates, the private keys of a PKCS#12 file, and why certificates beside them cannot be read.
    fn read(&self, input: &[u8]) -> Result<(Held<Certificate>, Vec<Pkcs12Key>), Error> {
        if !is_pkcs12(input) {
            return Ok((held_certificates(input, ReadAs::Certificates)?, Vec::new()));
        }
        let Some(password) = self.password else {
            return Err(Error::new(Code::WrongSecret, "the file is PKCS#12 and opens with its password only"));
        };
        let found = Pkcs12::open(&*self.provider, input, password)?;
        Ok((Held { all: found.certificates, unread: Vec::new() }, found.keys))
    }

    /// The one pair of key and certificate: a pending key, or else one that came along.
    fn find(
        &self,
        certificates: &[Certificate],
        keys: &[Pkcs12Key],
        unread: &[Asn1Error],
    ) -> Result<(String, Certificate, Option<Signer>), Error> {
        let mut labels = self.store.pending_keys()?;
        // Keys of operations that go on beside a request get their certificates by themselves.
        let beside = labels.iter().map(|label| self.store.label_beside_request(label));
        let beside = beside.collect::<Result<Vec<_>, _>>()?;
        labels.retain(|label| !beside.contains(label) && self.name.is_none_or(|name| name == label));
        let mut damaged = Vec::new();
        let mut pairs = Vec::new();
        for label in &labels {
            match self.store.pending_key(label) {
                Ok(pending) => {
                    pairs.extend(certified(pending.key.spki(), certificates).map(|c| (label.clone(), c.clone(), None)))
                }
                // One damaged key does not hide the others.
                Err(error) => damaged.push(error.to_string()),
            }
        }
        if pairs.is_empty() {
            let mut unusable = None;
            for key in keys {
                let brought = match self.provider.import_pkcs8(&key.pkcs8) {
                    Ok(key) => Signer::Key(key),
                    // One that is not for us does not spoil the right one beside it.
                    Err(error) => {
                        unusable.get_or_insert(error);
                        continue;
                    }
                };
                let name = self.name.unwrap_or_default();
                pairs.extend(
                    certified(brought.spki(), certificates)
                        .map(|c| (name.to_owned(), c.clone(), Some(brought.clone()))),
                );
            }
            if let (true, Some(error)) = (pairs.is_empty(), unusable) {
                return Err(error.into());
            }
            if !pairs.is_empty() && self.name.is_none() {
                let words = "the file brings a private key of its own: say under which name to install it";
                return Err(Error::new(Code::InvalidArgument, words));
            }
        }
        match pairs.len() {
            1 => Ok(pairs.remove(0)),
            0 => {
                let error = self.no_match(certificates, &labels, &damaged);
                Err(unread.iter().fold(error, |error, why| error.followed_by(&format!("cannot be read: {why}"))))
            }
            count => {
                let shown: Vec<_> = pairs.iter().take(4).map(|(label, c, _)| format!("\"{label}\" and {c}")).collect();
                let words = format!("{count} pairs of key and certificate match: {}", shown.join("; "));
                Err(Error::new(Code::InvalidArgument, words))
            }
        }
    }

    fn no_match(&self, certificates: &[Certificate], labels: &[String], damaged: &[String]) -> Error {
        let identities = self.store.identities().unwrap_or_default();
        let used = identities.iter().filter(|name| self.name.is_none_or(|wanted| wanted == *name));
        for name in used {
            for certificate in certificates {
                if let Ok(Some(_)) = in_use(self.store, name, certificate) {
                    let words = format!("the certificate is in use already, as identity \"{name}\"");
                    return Error::new(Code::Exists, words);
                }
            }
        }
        let names: Vec<_> = certificates.iter().take(4).map(|c| name::display(c.subject())).collect();
        let mut words = match (self.name, &names[..]) {
            (_, []) => "there is a private key in the file, and no certificate".to_owned(),
            (Some(name), _) => {
                format!("the pending key \"{name}\" is certified by none of these: {}", names.join("; "))
            }
            (None, _) => format!("no pending key is certified by any of these: {}", names.join("; ")),
        };
        match labels {
            [] => words.push_str("; no such key is pending"),
            _ => words.push_str(&format!("; looked at {} pending keys", labels.len())),
        }
        if !damaged.is_empty() {
            words.push_str(&format!("; not readable: {}", damaged.join("; ")));
        }
        Error::new(Code::NotFound, words)
    }
}

const KEY_IN_PEM: &str =
    "the private key that stands in the file is not installed: PKCS#12 brings keys (openssl pkcs12 -export)";

/// Whether a text holds a private key in armour.
fn has_key(input: &[u8]) -> bool {
    pem::is_pem(input)
        && pem::parse(input).is_ok_and(|blocks| blocks.iter().any(|block| block.label.ends_with("PRIVATE KEY")))
}

fn certified<'c>(spki: &[u8], certificates: &'c [Certificate]) -> impl Iterator<Item = &'c Certificate> {
    certificates.iter().filter(move |certificate| same_public_key(certificate.spki(), spki))
}

/// The identity in use, if it has this certificate.
fn in_use(store: &Store, name: &str, certificate: &Certificate) -> Result<Option<Identity>, Error> {
    match store.current(name) {
        Ok(identity) if identity.certificate == *certificate => Ok(Some(identity)),
        Ok(_) => Ok(None),
        // A damaged identity is replaced by the new one.
        Err(error) if error.kind == StoreErrorKind::NotFound || error.is_damage() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn unreadable(error: &StoreError, certificate: &Certificate) -> Difference {
    let (requested, issued) = (format!("not known ({error})"), name::display(certificate.subject()));
    Difference::changed("request", requested, issued)
}

fn template_of(request: &CertificationRequest) -> Result<CertTemplate, Error> {
    let subject = Some(Name::from_der(request.subject())?);
    Ok(CertTemplate { subject, extensions: request.extensions().to_vec(), ..CertTemplate::default() })
}
