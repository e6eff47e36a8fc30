//! Enrols with a CMP server by reference value and secret, and prints key and certificate.
//!
//! ```text
//! cargo run --example enroll -- http://127.0.0.1:8080/pkix/ 4711 secret ca.pem CN=router-7
//! ```
use devid::client::{Config, Subject, Unattended};
use devid::cmp::{MacParameters, Signer};
use devid::crypto::KeyKind;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, reference, secret, anchors, name] = &arguments[..] else {
        return Err("usage: enroll URL REFERENCE SECRET ANCHORS.pem SUBJECT".into());
    };
    let mut config = Config::new();
    config.server.url = Some(url.clone());
    config.enrolment_anchors.add_bytes(&std::fs::read(anchors)?)?;
    config.protect_with_secret(reference.as_bytes(), secret.as_bytes(), MacParameters::PASSWORD_BASED)?;
    let client = config.build()?;

    let key = config.provider().generate_key(KeyKind::P256)?;
    let mut operation = client.enroll(Signer::Key(key.clone()), &Subject::new().name(name)?)?;
    let issued = client.run(&mut operation, &mut Unattended)?;

    let pkcs8 = key.to_pkcs8().expect("a key that was generated here can be exported");
    print!("{}", *devid::asn1::pem::encode("PRIVATE KEY", &pkcs8));
    for certificate in std::iter::once(&issued.certificate).chain(&issued.chain) {
        print!("{}", *devid::asn1::pem::encode("CERTIFICATE", certificate.as_der()));
    }
    Ok(())
}
