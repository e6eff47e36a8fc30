//! PKCS#12 files exchanged with `openssl pkcs12`, both ways, in every protection that it writes.

use devid::cms::{CmsError, NewPkcs12, Pkcs12, Pkcs12Mac};

use super::*;

/// Makes `key.pem`, `cert.pem` and `ca.pem` in the bench.
fn make_identity(bench: &Bench) {
    let new = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    bench.openssl(&format!("req -x509 {new} -subj /CN=CA -days 30 -keyout ca.key -out ca.pem"));
    bench.openssl(&format!("req -new {new} -subj /CN=device -keyout key.pem -out device.csr"));
    bench.openssl("x509 -req -in device.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 10 -out cert.pem");
}

const EXPORT: &str = "pkcs12 -export -inkey key.pem -in cert.pem -certfile ca.pem -name router -out file.p12";

#[test]
fn pkcs12_that_openssl_writes_is_read_in_every_protection() {
    let Some(bench) = Bench::new() else { return };
    make_identity(&bench);
    let provider = default_provider();
    for (options, is_outdated) in [
        ("", false),
        ("-certpbe AES-128-CBC -keypbe AES-192-CBC -macalg sha384", false),
        ("-certpbe NONE -keypbe AES-256-CBC -macalg sha512 -maciter", false),
        ("-certpbe NONE -keypbe NONE -macalg sha224", false),
        ("-macalg sha1", true),
        ("-legacy", true),
        ("-legacy -descert", true),
        ("-legacy -certpbe PBE-SHA1-2DES -keypbe PBE-SHA1-RC2-128 -macalg sha256", true),
    ] {
        for password in ["letmein", "Pa$$-wörd", ""] {
            bench.openssl(&format!("{EXPORT} {options} -passout pass:{password}"));
            let file = bench.read("file.p12");
            let found = Pkcs12::open(&*provider, &file, password)
                .unwrap_or_else(|error| panic!("openssl pkcs12 {options}, password {password:?}: {error}"));
            assert_eq!((found.keys.len(), found.certificates.len()), (1, 2), "{options}");
            assert_eq!(found.is_outdated, is_outdated, "{options}");
            assert_eq!(found.keys[0].friendly_name.as_deref(), Some("router"));
            let key = provider.import_pkcs8(&found.keys[0].pkcs8).unwrap();
            let certified = found.certificates.iter().filter(|c| key_matches_certificate(&*key, c)).count();
            assert_eq!(certified, 1, "{options}");

            let refused = Pkcs12::open(&*provider, &file, "wrong").unwrap_err();
            if options.contains("-certpbe NONE -keypbe NONE") {
                // Nothing encrypted shows which of the two it is.
                assert!(matches!(refused, CmsError::Crypto(CryptoError::WrongSecret)));
                continue;
            }
            assert!(matches!(refused, CmsError::Crypto(CryptoError::WrongSecret)), "{options}: {refused}");
            let mut damaged = file.clone();
            // The digest in MacData, or the salt behind it: whatever is changed there, the password still opens the rest.
            let place = damaged.len() - 20;
            damaged[place] ^= 1;
            let refused = Pkcs12::open(&*provider, &damaged, password).unwrap_err();
            assert!(matches!(refused, CmsError::Damaged(_)), "{options}: {refused}");
        }
    }
}

#[test]
fn pkcs12_that_openssl_leaves_without_a_mac_is_refused() {
    let Some(bench) = Bench::new() else { return };
    make_identity(&bench);
    bench.openssl(&format!("{EXPORT} -nomac -passout pass:letmein"));
    let refused = Pkcs12::open(&*default_provider(), &bench.read("file.p12"), "letmein").unwrap_err();
    assert!(refused.to_string().contains("without a MAC"), "{refused}");
}

#[test]
fn pkcs12_that_we_write_is_read_by_openssl_with_the_password_and_no_other() {
    let Some(bench) = Bench::new() else { return };
    make_identity(&bench);
    let provider = default_provider();
    let read = |name: &str| Certificate::many_from_bytes(&bench.read(name)).unwrap();
    let (certificate, chain) = (read("cert.pem").remove(0), read("ca.pem"));
    let key = load_private_key(&*provider, &bench.read("key.pem"), None).unwrap();
    let pkcs8 = key.to_pkcs8().unwrap();
    let new = NewPkcs12 {
        pkcs8: &pkcs8,
        certificate: &certificate,
        chain: &chain,
        name: "router",
        mac: Pkcs12Mac::Hmac,
        iterations: 2048,
        scrypt: None,
    };
    bench.write("ours.p12", &new.seal(&*provider, "Pa$$-wörd").unwrap());
    bench.openssl("pkcs12 -in ours.p12 -passin pass:Pa$$-wörd -passout pass:x -out all.pem");
    let all = bench.read("all.pem");
    assert_eq!(load_private_key(&*provider, &all, Some(b"x")).unwrap().spki(), key.spki());
    assert_eq!(Certificate::many_from_bytes(&all).unwrap(), [&[certificate.clone()][..], &chain].concat());
    let text = String::from_utf8_lossy(&all).into_owned();
    assert_eq!(text.matches("friendlyName: router").count(), 2, "key and certificate: {text}");
    assert_eq!(text.matches("localKeyID").count(), 2, "key and certificate: {text}");
    assert!(!bench.try_openssl("pkcs12 -in ours.p12 -passin pass:wrong -nodes -out none.pem"));

    // scrypt in the place of PBKDF2, as OpenSSL knows it since 1.1.0.
    let by_scrypt = NewPkcs12 { scrypt: Some(16_384), ..new };
    bench.write("scrypt.p12", &by_scrypt.seal(&*provider, "letmein").unwrap());
    bench.openssl("pkcs12 -in scrypt.p12 -passin pass:letmein -nodes -out all.pem");
    assert_eq!(load_private_key(&*provider, &bench.read("all.pem"), None).unwrap().spki(), key.spki());
    assert!(!bench.try_openssl("pkcs12 -in scrypt.p12 -passin pass:wrong -nodes -out none.pem"));

    // PBMAC1 came to OpenSSL with 3.4: an older one reads the file if it is told to pass the MAC over.
    let new = NewPkcs12 { mac: Pkcs12Mac::Pbmac1, ..new };
    bench.write("pbmac1.p12", &new.seal(&*provider, "letmein").unwrap());
    let knows_pbmac1 = bench.try_openssl("pkcs12 -in pbmac1.p12 -passin pass:letmein -nodes -out all.pem");
    if !knows_pbmac1 {
        bench.openssl("pkcs12 -in pbmac1.p12 -nomacver -passin pass:letmein -nodes -out all.pem");
    }
    assert_eq!(Certificate::many_from_bytes(&bench.read("all.pem")).unwrap().len(), 2);
}
