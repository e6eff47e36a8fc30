//! A PKCS#12 file comes from the CA: with the certificate for a key that waits, or with key and certificate.

use devid::client::Imported;

use super::*;

/// `router.p12` with a key that the CA made, its certificate and the issuer's.
fn made_by_the_ca(ca: &OpensslCa) -> Vec<u8> {
    ca.openssl(&format!("req -new {NEW_EC} -subj /CN=router-9 -keyout router.key -out router.csr"));
    ca.openssl("x509 -req -in router.csr -CA issuing.pem -CAkey issuing.key -CAcreateserial -days 10 -out router.pem");
    ca.openssl(
        "pkcs12 -export -inkey router.key -in router.pem -certfile issuing.pem -passout pass:pw-9 -out router.p12",
    );
    ca.read("router.p12")
}

#[test]
fn a_pkcs12_file_brings_key_and_certificate_and_both_are_installed() {
    let Some(ca) = OpensslCa::new() else { return };
    let (store, anchors, file) = (memory(), ca.anchors(), made_by_the_ca(&ca));
    let with = |name, password| Import { name, password, ..import(&store, &anchors) };

    refusal(with(Some("router"), None).check(&file), Code::WrongSecret, "PKCS#12");
    refusal(with(Some("router"), Some("pw-8")).check(&file), Code::WrongSecret, "");
    let mut changed = file.clone();
    *changed.iter_mut().nth_back(20).unwrap() ^= 1;
    refusal(with(Some("router"), Some("pw-9")).check(&changed), Code::Corrupt, "password is right");
    refusal(with(None, Some("pw-9")).check(&file), Code::InvalidArgument, "under which name");
    let nobody = TrustAnchors::new();
    let untrusted = Import { password: Some("pw-9"), name: Some("router"), ..import(&store, &nobody) };
    refusal(untrusted.check(&file), Code::NoPath, "");
    assert!(store.identities().unwrap().is_empty(), "nothing that is refused is installed");

    let imported: Imported = with(Some("router"), Some("pw-9")).check(&file).unwrap();
    assert!(imported.brings_key() && imported.differences().is_empty());
    let identity = with(Some("router"), Some("pw-9")).install(&imported).unwrap();
    let key = identity.key.held().expect("the key is in device memory");
    let from_the_ca = devid::crypto::keys::load_private_key(&**provider(), &ca.read("router.key"), None).unwrap();
    assert_eq!(key.spki(), from_the_ca.spki());
    assert_eq!((identity.chain.len(), identity.generation), (2, 1));
    // Once more changes nothing.
    assert_eq!(with(Some("router"), Some("pw-9")).run(&file).unwrap().generation, 1);
}

#[test]
fn a_pkcs12_file_for_a_key_that_waits_leaves_its_own_key_aside() {
    let Some(ca) = OpensslCa::new() else { return };
    let (store, anchors) = (memory(), ca.anchors());
    let waiting = key();
    let sent = request(&store, "router", &waiting);
    ca.issue("router", &sent, AS_ASKED);
    ca.openssl("pkcs12 -export -nokeys -in router.pem -certfile issuing.pem -passout pass:pw -out certs.p12");
    let import = Import { password: Some("pw"), ..import(&store, &anchors) };
    let imported = import.check(&ca.read("certs.p12")).unwrap();
    assert!(!imported.brings_key());
    assert_eq!(import.install(&imported).unwrap().key.spki(), waiting.spki());
    assert!(store.pending_keys().unwrap().is_empty());

    // A stranger's key in the file does not disturb one that waits under the name.
    request(&store, "switch", &key());
    let import = Import { name: Some("switch"), password: Some("pw-9"), ..import };
    assert!(import.run(&made_by_the_ca(&ca)).is_ok());
    assert_eq!(store.pending_keys().unwrap(), ["switch"]);
}
