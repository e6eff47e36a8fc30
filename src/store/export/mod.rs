//! Identities for other software: its files in its layout, switched so that nobody ever finds a key beside another key's
//! certificate.
//!
//! ```text
//! pem, pkcs12     <folder>/<name>.pem or .p12            one file, replaced by one rename
//! openssl         <folder>/current/{key,cert,chain}.pem  \
//! nginx           <folder>/current/{privkey,fullchain,chain}.pem        current is a symbolic link to a set of files;
//! mosquitto       <folder>/current/{keyfile,certfile,cafile}.pem        one rename switches the set
//! strongswan      <folder>/{private,x509ca,x509}/<name>...pem   swanctl wants its folders: one rename a file, the key
//!                                                        first and removed last, so that the certificate always has it
//! ```
//!
//! Private keys have mode 0600, everything else 0644; all is on the medium before the switch, and read back.

mod layout;
#[cfg(unix)]
mod write;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::{Change, ChangeKind, Store, StoreError};
use crate::asn1::x509::Certificate;
use crate::cms::Pkcs12Mac;
use crate::features::{self, needs};

/// As that of the directory home.
pub type Probe = Arc<dyn Fn(&'static str, &str) -> io::Result<()> + Send + Sync>;

/// For whom an identity is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One PEM file with key, certificate and chain, such as HAProxy takes.
    Pem,
    /// Three PEM files: key, certificate, chain.
    Openssl,
    /// nginx: `ssl_certificate_key`, `ssl_certificate`, `ssl_trusted_certificate`; anchors for `ssl_client_certificate`.
    Nginx,
    /// strongSwan: the folders of swanctl.
    Strongswan,
    /// mosquitto: `keyfile`, `certfile`, `cafile`.
    Mosquitto,
    /// One PKCS#12 file.
    Pkcs12,
}

impl Layout {
    /// By the name that programs use: `pem`, `openssl`, `nginx`, `strongswan`, `mosquitto`, `pkcs12`.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "pem" => Layout::Pem,
            "openssl" => Layout::Openssl,
            "nginx" => Layout::Nginx,
            "strongswan" => Layout::Strongswan,
            "mosquitto" => Layout::Mosquitto,
            "pkcs12" => Layout::Pkcs12,
            _ => return None,
        })
    }
}

/// How an identity is written for other software.
#[derive(Clone)]
pub struct Export {
    /// For whom.
    pub layout: Layout,
    /// Where. Created if it is missing (its parent must exist); must belong to us or to root, and nobody else may write to
    /// it.
    pub folder: PathBuf,
    /// Whom the software shall trust: `chain.pem` and `cafile.pem` get these behind the chain, nginx a `ca.pem` of its own,
    /// strongSwan its `x509ca`.
    pub anchors: Vec<Certificate>,
    /// Encrypts the private key (PBES2 in PEM, all of PKCS#12, which needs one). Text.
    pub password: Option<Zeroizing<String>>,
    /// The MAC of a PKCS#12 file.
    pub mac: Pkcs12Mac,
    /// PBKDF2 iterations where there is a password.
    pub iterations: u32,
    /// scrypt's N (RFC 7914) in the place of PBKDF2; the MAC of a PKCS#12 file stays by `iterations`.
    pub scrypt: Option<u32>,
    /// User and group that private keys are given to, such as those of a server that does not start as root. Needs the
    /// right to do so.
    pub key_owner: Option<(u32, u32)>,
    /// Called before each system call that changes something; an error stops the export. For fault-injection tests.
    pub probe: Option<Probe>,
}

impl Export {
    /// Without anchors and password.
    pub fn new(layout: Layout, folder: impl Into<PathBuf>) -> Self {
        Export {
            layout,
            folder: folder.into(),
            anchors: Vec::new(),
            password: None,
            mac: Pkcs12Mac::Hmac,
            iterations: crate::cms::pkcs12::DEFAULT_ITERATIONS,
            scrypt: None,
            key_owner: None,
            probe: None,
        }
    }
}

/// What an export wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The generation of the identity.
    pub generation: u32,
    /// The files, under the names by which the software's configuration refers to them; the private key's first.
    pub files: Vec<PathBuf>,
}

impl Store {
    /// Writes the identity in use for other software, and switches to the new files. Where the files stand as they would be written,
    /// they are left as they are.
    ///
    /// On any failure the files that were there are still in use. (If the switch itself cannot be made durable, the new
    /// ones may be in use already; both are whole.) Files of earlier exports are removed, keys overwritten first, but for
    /// the set of files before this one: someone may be reading it.
    ///
    /// Errors: those of [`Store::current`]; [`super::StoreErrorKind::Key`] if the key cannot leave its home;
    /// [`super::StoreErrorKind::Permission`] if the folder belongs to, or may be written by, others;
    /// [`super::StoreErrorKind::Locked`] if another export into it is at work for longer than ten seconds, or the wait is ended; [`super::StoreErrorKind::Exists`] if
    /// something else has the name of a file, and no export has made it: a list in the folder, `.devid`, says what exports have made where
    /// files are not switched together.
    pub fn export(&self, name: &str, export: &Export) -> Result<Exported, StoreError> {
        needs(features::EXPORT)?;
        let identity = self.current(name)?;
        let plan = layout::plan(&*self.provider, &identity, export)?;
        let files = write::write(&plan, export, &self.ended_waits)?;
        let exported = Exported { generation: identity.generation, files };
        let (generation, folder) = (exported.generation, Some(export.folder.as_path()));
        self.tell(&Change { kind: ChangeKind::Exported, name, generation, folder });
        Ok(exported)
    }
}

#[cfg(not(unix))]
mod write {
    use std::sync::atomic::AtomicU64;

    use super::super::{StoreError, StoreErrorKind};
    use super::{Export, PathBuf, layout};

    pub(super) fn write(_: &layout::Plan, export: &Export, _: &AtomicU64) -> Result<Vec<PathBuf>, StoreError> {
        let place = export.folder.display().to_string();
        Err(StoreError::new(StoreErrorKind::Io, place, "files are not exported on this system"))
    }
}
