//! Our own client, prepared as its users prepare it.

use std::sync::Arc;

use devid::asn1::x509::Certificate;
use devid::client::{Client, Config, Subject};
use devid::cmp::{ActionKind, MacParameters, Operation, Signer};
use devid::crypto::{DigestAlgorithm, PrivateKey, default_provider, keys};

use crate::Result;
use crate::clock::{cpu_ns_of, system_time, thread_cpu_ns};
use crate::openssl::{Item, Pki};

/// How requests are protected and how certificates are confirmed.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    pub use_mac: bool,
    pub is_implicit: bool,
}

/// The signatures and key derivations that no client can do without, called directly, each on its own data: CPU
/// nanoseconds of all that belong to one enrolment.
pub fn cryptography(pki: &Pki, variant: Variant) -> Result<impl FnMut() -> Result<i64>> {
    let provider = default_provider();
    let device_key = keys::load_private_key(&*provider, pki.item(Item::DeviceKey), None)?;
    let issuing = Certificate::from_der(pki.item(Item::Issuing))?;
    let root_key = keys::load_private_key(&*provider, pki.item(Item::RootKey), None)?.spki().to_vec();
    let algorithm = device_key.kind().default_signature();
    // Proof of possession; each request. The new certificate and its issuer; the signer's; each answer.
    let messages = if variant.is_implicit { 1 } else { 2 };
    let (signatures, verifications, derivations) =
        if variant.use_mac { (1, 2, 1 + messages) } else { (1 + messages, 3 + messages, 0) };
    Ok(move || {
        let work = || -> Result<()> {
            for _ in 0..signatures {
                device_key.sign(&algorithm, issuing.tbs())?;
            }
            for _ in 0..verifications {
                provider.verify(&algorithm, &root_key, issuing.tbs(), issuing.signature(), false)?;
            }
            for _ in 0..derivations {
                let value =
                    provider.digest_repeated(DigestAlgorithm::Sha256, &[b"a secret", &[0; 16]], PBM_ITERATIONS)?;
                std::hint::black_box(value);
            }
            Ok(())
        };
        cpu_ns_of(work).map(|(spent, ())| spent)
    })
}

/// What libcrypto's client sends since 3.2.
const PBM_ITERATIONS: u32 = 1024;

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
            // The digests are set alike on both sides.
            let sha256 = DigestAlgorithm::Sha256;
            let parameters = MacParameters::PasswordBased { owf: sha256, mac: sha256, iterations: PBM_ITERATIONS };
            config.protect_with_secret(b"4711", b"a shared secret", parameters).unwrap();
        } else {
            config.protect_with_certificate(Signer::Key(key(Item::DeviceKey)?), device, Vec::new());
        }
        Ok(Ours { config, new_key: key(Item::NewKey)?, subject })
    }

    /// Operations of one client that have sent their first request and wait for the answer: `count` of them.
    pub fn in_flight(&self, client: &Client, count: usize) -> Result<Vec<Operation>> {
        let begin = || {
            let mut operation = client.enroll(Signer::Key(Arc::clone(&self.new_key)), &self.subject)?;
            operation.step(system_time())?;
            operation.output().ok_or("no request")?;
            Ok(operation)
        };
        (0..count).map(|_| begin()).collect()
    }

    pub fn client(&self) -> Result<Client> {
        Ok(self.config.build()?)
    }

    /// One enrolment, the client made anew as libcrypto's context is: CPU nanoseconds without those of `answer`.
    pub fn enrol(&self, mut answer: impl FnMut(&[u8]) -> Result<Vec<u8>>) -> Result<i64> {
        let begun = thread_cpu_ns();
        let mut outside = 0;
        let client = self.config.build()?;
        let mut operation = client.enroll(Signer::Key(Arc::clone(&self.new_key)), &self.subject)?;
        loop {
            match operation.step(system_time()).map(|action| action.kind())? {
                ActionKind::Send => {
                    let request = operation.output().expect("the step said that a message is to be sent");
                    let left = thread_cpu_ns();
                    let answered = answer(request)?;
                    outside += thread_cpu_ns() - left;
                    operation.feed(&answered)?;
                }
                ActionKind::Accept => operation.accept()?,
                ActionKind::Done => break,
                other => return Err(format!("unexpected: {other:?}").into()),
            }
        }
        drop(operation);
        drop(client);
        Ok(thread_cpu_ns() - begun - outside)
    }
}
