//! Our own client, prepared as its users prepare it.

use std::sync::Arc;

use devid::asn1::x509::Certificate;
use devid::client::{Config, Subject};
use devid::cmp::{Action, MacParameters, Signer};
use devid::crypto::{DigestAlgorithm, PrivateKey, default_provider, keys};

use crate::Result;
use crate::clock::{system_time, thread_cpu_ns};
use crate::openssl::{Item, Pki};

/// How requests are protected and how certificates are confirmed.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    pub use_mac: bool,
    pub is_implicit: bool,
}

/// Keys, certificates and settings, decoded once.
pub struct Ours {
    config: Config,
    new_key: Arc<dyn PrivateKey>,
    subject: Subject,
}

impl Ours {
    pub fn new(pki: &Pki, variant: Variant) -> Result<Self> {
        let provider = default_provider();
        let key = |item| keys::load_private_key(&*provider, pki.item(item), None);
        let mut config = Config::with_provider(Arc::clone(&provider));
        config.cmp_anchors.add_bytes(pki.item(Item::Root))?;
        config.enrolment_anchors.add_bytes(pki.item(Item::Root))?;
        config.ask_implicit_confirm = variant.is_implicit;
        let device = Certificate::from_der(pki.item(Item::Device))?;
        let subject = Subject::new().name_der(device.subject())?;
        if variant.use_mac {
            // What libcrypto's client sends: 1,024 iterations; the digests are set alike on both sides.
            let sha256 = DigestAlgorithm::Sha256;
            let parameters = MacParameters::PasswordBased { owf: sha256, mac: sha256, iterations: 1024 };
            config.protect_with_secret(b"4711", b"a shared secret", parameters);
        } else {
            config.protect_with_certificate(Signer::Key(key(Item::DeviceKey)?), device, Vec::new());
        }
        Ok(Ours { config, new_key: key(Item::NewKey)?, subject })
    }

    /// One enrolment, the client made anew as libcrypto's context is: CPU nanoseconds without those of `answer`.
    pub fn enrol(&self, mut answer: impl FnMut(&[u8]) -> Result<Vec<u8>>) -> Result<i64> {
        let begun = thread_cpu_ns();
        let mut outside = 0;
        let client = self.config.build()?;
        let mut operation = client.enroll(Signer::Key(Arc::clone(&self.new_key)), &self.subject)?;
        loop {
            match operation.step(system_time())? {
                Action::Send => {
                    let request = operation.output().expect("the step said that a message is to be sent");
                    let left = thread_cpu_ns();
                    let answered = answer(request)?;
                    outside += thread_cpu_ns() - left;
                    operation.feed(&answered)?;
                }
                Action::Accept => operation.accept()?,
                Action::Done => break,
                other => return Err(format!("unexpected: {other:?}").into()),
            }
        }
        drop(operation);
        drop(client);
        Ok(thread_cpu_ns() - begun - outside)
    }
}
