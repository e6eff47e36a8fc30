//! Which files there are for which software, and what is in them. No I/O.

use zeroize::Zeroizing;

use super::{Export, Layout};
use crate::asn1::pem;
use crate::asn1::x509::{Certificate, hex};
use crate::cms::{CmsError, NewPkcs12};
use crate::crypto::{CryptoError, DigestAlgorithm, Provider, keys};
use crate::store::identity::Identity;
use crate::store::{StoreError, StoreErrorKind};

/// One file to be.
pub(super) struct Output {
    pub name: String,
    pub bytes: Zeroizing<Vec<u8>>,
    /// It holds a private key.
    pub is_secret: bool,
}

/// How the files come into use.
pub(super) enum Plan {
    /// By one rename.
    Single(Output),
    /// Together, behind a symbolic link.
    Set(Vec<Output>),
    /// In swanctl's folders.
    Swanctl(Swanctl),
}

/// swanctl reads one certificate from a file.
pub(super) struct Swanctl {
    /// The identity's name, which begins the names of all files.
    pub name: String,
    pub key: Output,
    pub authorities: Vec<Output>,
    pub certificate: Output,
}

pub(super) fn plan(provider: &dyn Provider, identity: &Identity, export: &Export) -> Result<Plan, StoreError> {
    let refuse = |detail: &str| StoreError::new(StoreErrorKind::Key, &identity.name, detail);
    let key = identity.key.held().and_then(|key| key.to_pkcs8());
    let key = key.ok_or_else(|| refuse("the private key cannot leave its home: it cannot be exported"))?;
    let name = &identity.name;
    if export.layout == Layout::Pkcs12 {
        let Some(password) = &export.password else {
            return Err(StoreError::new(StoreErrorKind::Secret, name, "PKCS#12 needs a password"));
        };
        let above = with_anchors(identity, &export.anchors);
        let new = NewPkcs12 {
            pkcs8: &key,
            certificate: &identity.certificate,
            chain: &above,
            name,
            mac: export.mac,
            iterations: export.iterations,
            scrypt: export.scrypt,
        };
        let file = new.seal(provider, password).map_err(|error| failed(name, error))?;
        return Ok(Plan::Single(secret(format!("{name}.p12"), Zeroizing::new(file))));
    }
    let key = private_key(provider, &key, export).map_err(|error| StoreError::key(name, &error))?;
    let own = std::slice::from_ref(&identity.certificate);
    Ok(match export.layout {
        Layout::Pem => {
            let mut bundle = Zeroizing::new(key.to_vec());
            bundle.extend_from_slice(&certificates(own));
            bundle.extend_from_slice(&certificates(&sent_chain(identity)));
            Plan::Single(secret(format!("{name}.pem"), bundle))
        }
        Layout::Openssl => Plan::Set(vec![
            secret("key.pem".to_owned(), key),
            public("cert.pem", own),
            public("chain.pem", &with_anchors(identity, &export.anchors)),
        ]),
        Layout::Nginx => {
            let mut files = vec![
                secret("privkey.pem".to_owned(), key),
                public("fullchain.pem", &[own, &sent_chain(identity)].concat()),
                public("chain.pem", &with_anchors(identity, &[])),
            ];
            if !export.anchors.is_empty() {
                files.push(public("ca.pem", &export.anchors));
            }
            Plan::Set(files)
        }
        Layout::Mosquitto => {
            let trusted = if export.anchors.is_empty() { with_anchors(identity, &[]) } else { export.anchors.clone() };
            Plan::Set(vec![
                secret("keyfile.pem".to_owned(), key),
                public("certfile.pem", &[own, &sent_chain(identity)].concat()),
                public("cafile.pem", &trusted),
            ])
        }
        Layout::Strongswan => {
            // Which key it is stands in the file's name: the next one lies beside it until the certificate has changed.
            let digest = provider.digest(DigestAlgorithm::Sha256, &[identity.key.spki()]);
            let digest = digest.map_err(|error| StoreError::key(name, &error))?;
            let above = with_anchors(identity, &export.anchors);
            let authorities = above.iter().enumerate();
            Plan::Swanctl(Swanctl {
                name: name.clone(),
                key: secret(format!("{name}.{}.pem", hex(&digest[..4])), key),
                authorities: authorities
                    .map(|(index, one)| public(&format!("{name}.{index}.pem"), std::slice::from_ref(one)))
                    .collect(),
                certificate: public(&format!("{name}.pem"), own),
            })
        }
        Layout::Pkcs12 => unreachable!("answered above"),
    })
}

/// PKCS#8 in PEM, encrypted if there is a password.
fn private_key(provider: &dyn Provider, key: &[u8], export: &Export) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let text = match &export.password {
        None => pem::encode("PRIVATE KEY", key),
        Some(password) => {
            let sealed = match export.scrypt {
                Some(n) => keys::encrypt_pkcs8_scrypt(provider, key, password.as_bytes(), n)?,
                None => keys::encrypt_pkcs8(provider, key, password.as_bytes(), export.iterations)?,
            };
            pem::encode("ENCRYPTED PRIVATE KEY", &sealed)
        }
    };
    Ok(Zeroizing::new(text.as_bytes().to_vec()))
}

/// What a TLS server sends behind its certificate: the root is the other side's affair (RFC 8446 section 4.4.2).
fn sent_chain(identity: &Identity) -> Vec<Certificate> {
    identity.chain.iter().filter(|c| c.subject() != c.issuer()).cloned().collect()
}

/// The chain with its root, and the anchors that are not among it.
fn with_anchors(identity: &Identity, anchors: &[Certificate]) -> Vec<Certificate> {
    let mut all = identity.chain.clone();
    all.extend(anchors.iter().filter(|anchor| !identity.chain.contains(anchor)).cloned());
    all
}

fn certificates(all: &[Certificate]) -> Vec<u8> {
    all.iter().flat_map(|c| pem::encode("CERTIFICATE", c.as_der()).as_bytes().to_vec()).collect()
}

fn public(name: &str, all: &[Certificate]) -> Output {
    Output { name: name.to_owned(), bytes: Zeroizing::new(certificates(all)), is_secret: false }
}

fn secret(name: String, bytes: Zeroizing<Vec<u8>>) -> Output {
    Output { name, bytes, is_secret: true }
}

fn failed(name: &str, error: CmsError) -> StoreError {
    match error {
        CmsError::Crypto(error) => StoreError::key(name, &error),
        other => StoreError::new(StoreErrorKind::Key, name, other.to_string()),
    }
}
