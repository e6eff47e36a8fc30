//! A certificate by ir and certConf, for a key that is made here.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;

use devid::asn1::crmf::CertTemplate;
use devid::asn1::name::Name;
use devid::cmp::{Action, CertificateRequest, Context, Credential, MacParameters, Operation, RequestKind, SharedSecret, Signer};
use devid::crypto::rust::RustCrypto;
use devid::crypto::{KeyKind, Provider};
use devid::{Code, Error, Time};

use crate::board::Line;
use crate::{certificate, parameter};

/// Protected by a secret that is shared with the CA.
pub fn by_secret(line: &mut Line, now: Time) -> Result<String, Error> {
    let credential = Credential::Mac {
        reference: parameter(line, "reference")?,
        secret: SharedSecret::new(&parameter(line, "secret")?)?,
        parameters: MacParameters::PASSWORD_BASED,
    };
    enrol(line, credential, now)
}

/// Protected by the key of a certificate that the supplier has put into the device.
pub fn by_certificate(line: &mut Line, now: Time) -> Result<String, Error> {
    let key = RustCrypto.import_pkcs8(&parameter(line, "idevid-key")?)?;
    let credential = Credential::Signature {
        algorithm: key.kind().default_signature(),
        signer: Signer::Key(key),
        certificate: certificate(line, "idevid")?,
        chain: vec![certificate(line, "supplier")?],
    };
    enrol(line, credential, now)
}

fn enrol(line: &mut Line, credential: Credential, now: Time) -> Result<String, Error> {
    let provider: Arc<dyn Provider> = Arc::new(RustCrypto);
    let root = certificate(line, "root")?;
    let mut context = Context::new(provider.clone(), credential);
    context.cmp_anchors.add(root.clone());
    context.enrolment_anchors.add(root);

    let key = provider.generate_key(KeyKind::P256)?;
    let template = CertTemplate { subject: Some(Name::common_name("board-1")), ..CertTemplate::default() };
    let request = CertificateRequest::new(RequestKind::Initial, Signer::Key(key), template);
    let mut operation = Operation::new(Arc::new(context), devid::cmp::Request::Certificate(request))?;
    loop {
        let message = match operation.step(now)? {
            Action::Send { message, .. } => message,
            // A device installs key and certificate here, before it says that it has them.
            Action::Accept(_) => {
                operation.accept()?;
                continue;
            }
            Action::Done(_) => break,
            Action::Wait { .. } | Action::Sign(_) => {
                return Err(Error::new(Code::State, "a wait, for which there is no clock"));
            }
        };
        let answer = line.exchange(message).ok_or_else(|| Error::new(Code::Connect, "the host has no answer"))?;
        operation.feed(&answer)?;
    }
    let issued = operation.issued().ok_or_else(|| Error::new(Code::State, "no certificate"))?;
    Ok(issued.certificate.to_string())
}
