//! Keys and enveloped data exchanged with the `openssl` command, both ways.
//!
//! Needs OpenSSL 3; without the command the tests say so and pass.

mod pkcs12;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use devid::asn1::der::Cursor;
use devid::asn1::oid;
use devid::asn1::x509::Certificate;
use devid::cms::{
    CmsError, ContentEncryption, OpenOptions, Recipient, RecipientIdentifier, SignedData, certificates_from_pkcs7,
    open, open_content, seal, seal_content, sign, sign_content,
};
use devid::crypto::keys::{key_matches_certificate, load_private_key};
use devid::crypto::{CryptoError, KeyKind, PrivateKey, default_provider};
use devid::limits::Limits;
use devid_test_support::left_out;

use left_out::left_out;

/// A directory of its own for one test, removed at its end.
struct Bench {
    directory: PathBuf,
}

impl Bench {
    /// `None`, and a word on standard error, without the command.
    fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if !Command::new("openssl").arg("version").output().is_ok_and(|out| out.status.success()) {
            left_out("no openssl command");
            return None;
        }
        let name = format!("devid-openssl-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir(&directory).unwrap();
        Some(Bench { directory })
    }

    /// Runs openssl with arguments given in one line, in the directory.
    fn openssl(&self, line: &str) {
        assert!(self.try_openssl(line), "openssl {line}");
    }

    fn try_openssl(&self, line: &str) -> bool {
        let out = Command::new("openssl").args(line.split_whitespace()).current_dir(&self.directory).output().unwrap();
        if !out.status.success() {
            eprintln!("openssl {line}: {}", String::from_utf8_lossy(&out.stderr));
        }
        out.status.success()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.directory.join(name)).unwrap()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.directory.join(name), bytes).unwrap();
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[test]
fn keys_of_every_form_that_openssl_writes_are_read() {
    let Some(bench) = Bench::new() else { return };
    let provider = default_provider();
    for (kind, making) in [
        (KeyKind::Rsa(2048), "RSA -pkeyopt rsa_keygen_bits:2048"),
        (KeyKind::Rsa(2048), "RSA-PSS -pkeyopt rsa_keygen_bits:2048"),
        (KeyKind::P256, "EC -pkeyopt ec_paramgen_curve:P-256"),
        (KeyKind::P384, "EC -pkeyopt ec_paramgen_curve:P-384"),
        (KeyKind::P521, "EC -pkeyopt ec_paramgen_curve:P-521"),
        (KeyKind::Ed25519, "ED25519"),
    ] {
        bench.openssl(&format!("genpkey -algorithm {making} -out key.pem"));
        bench.openssl("req -new -x509 -key key.pem -subj /CN=device -out cert.pem");
        let certificate = Certificate::many_from_bytes(&bench.read("cert.pem")).unwrap().remove(0);
        bench.openssl("pkey -in key.pem -outform DER -out key.der");
        let mut files = vec![("key.pem", None), ("key.der", None)];
        if making.starts_with("EC ") || making.starts_with("RSA ") {
            bench.openssl("pkey -in key.pem -traditional -out traditional.pem");
            bench.openssl("pkey -in key.pem -traditional -outform DER -out traditional.der");
            files.extend([("traditional.pem", None), ("traditional.der", None)]);
        }
        let password = Some(&b"letmein"[..]);
        for (name, options) in [
            ("aes256.pem", "-v2 aes-256-cbc"),
            ("aes128.pem", "-v2 aes-128-cbc -v2prf hmacWithSHA1"),
            ("aes192.pem", "-v2 aes-192-cbc -v2prf hmacWithSHA224 -iter 5000"),
            ("sha384.pem", "-v2 aes-256-cbc -v2prf hmacWithSHA384"),
            ("sha512.der", "-v2 aes-256-cbc -v2prf hmacWithSHA512 -outform DER"),
            ("scrypt.pem", "-scrypt"),
        ] {
            // 16 MiB of scrypt are slow without optimization: one kind of key stands for all.
            if options == "-scrypt" && kind != KeyKind::P256 {
                continue;
            }
            bench.openssl(&format!("pkcs8 -topk8 -in key.pem -passout pass:letmein {options} -out {name}"));
            files.push((name, password));
        }
        for (name, password) in files {
            let key = load_private_key(&*provider, &bench.read(name), password)
                .unwrap_or_else(|error| panic!("{making}, {name}: {error}"));
            assert_eq!(key.kind(), kind, "{making}, {name}");
            assert!(key_matches_certificate(&*key, &certificate), "{making}, {name}");
            if password.is_some() {
                let wrong = load_private_key(&*provider, &bench.read(name), Some(b"letmeout"));
                assert_eq!(wrong.unwrap_err(), CryptoError::WrongSecret, "{making}, {name}");
            }
        }
        let stranger = provider.generate_key(kind).unwrap();
        assert!(!key_matches_certificate(&*stranger, &certificate));
    }
}

/// What PKCS#12 files of old are read with opens keys, too; what is older still is refused with what makes it anew.
#[test]
fn keys_encrypted_with_outdated_ciphers_are_read_as_pkcs12_is_or_refused_with_advice() {
    let Some(bench) = Bench::new() else { return };
    bench.openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem");
    let plain = load_private_key(&*default_provider(), &bench.read("key.pem"), None).unwrap();
    for options in ["-v2 des3", "-v1 PBE-SHA1-3DES"] {
        bench.openssl(&format!("pkcs8 -topk8 -in key.pem -passout pass:letmein {options} -out old.pem"));
        let read = |password: &[u8]| load_private_key(&*default_provider(), &bench.read("old.pem"), Some(password));
        match (cfg!(feature = "legacy-ciphers"), read(b"letmein")) {
            (true, Ok(key)) => {
                assert_eq!(key.spki(), plain.spki(), "{options}");
                assert_eq!(read(b"letmeout").unwrap_err(), CryptoError::WrongSecret, "{options}");
            }
            (false, Err(error)) => assert!(error.to_string().contains("openssl pkcs8 -topk8"), "{error}"),
            (is_built_in, other) => panic!("{options} {is_built_in}: {:?}", other.err()),
        }
    }
    bench.openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit -out key.pem");
    let refused = load_private_key(&*default_provider(), &bench.read("key.pem"), None).unwrap_err();
    assert!(refused.to_string().contains("openssl ec -in FILE -param_enc named_curve"), "{refused}");
}

#[test]
fn keys_written_here_are_read_by_openssl() {
    let Some(bench) = Bench::new() else { return };
    let provider = default_provider();
    for kind in [KeyKind::Rsa(2048), KeyKind::P256, KeyKind::P384, KeyKind::P521, KeyKind::Ed25519] {
        let key = provider.generate_key(kind).unwrap();
        let pkcs8 = key.to_pkcs8().unwrap();
        let sealed = devid::crypto::keys::encrypt_pkcs8(&*provider, &pkcs8, b"letmein", 2048).unwrap();
        bench.write("plain.der", &pkcs8);
        bench.write("sealed.pem", devid::asn1::pem::encode("ENCRYPTED PRIVATE KEY", &sealed).as_bytes());
        let by_scrypt = devid::crypto::keys::encrypt_pkcs8_scrypt(&*provider, &pkcs8, b"letmein", 16_384).unwrap();
        bench.write("scrypt.der", &by_scrypt);
        bench.openssl("pkey -in scrypt.der -inform DER -passin pass:letmein -pubout -outform DER -out scrypt.spki");
        assert_eq!(bench.read("scrypt.spki"), key.spki(), "{kind}");
        bench.openssl("pkey -in plain.der -inform DER -pubout -outform DER -out plain.spki");
        bench.openssl("pkey -in sealed.pem -passin pass:letmein -pubout -outform DER -out sealed.spki");
        assert_eq!(bench.read("plain.spki"), key.spki(), "{kind}");
        assert_eq!(bench.read("sealed.spki"), key.spki(), "{kind}");
    }
}

/// A key pair with its certificate, made by openssl as `name.pem` and `name-cert.pem`.
fn recipient(bench: &Bench, name: &str, making: &str, extension: &str) -> (Arc<dyn PrivateKey>, Certificate) {
    bench.openssl(&format!("genpkey -algorithm {making} -out {name}.pem"));
    let extension = format!("subjectKeyIdentifier={extension}");
    bench.openssl(&format!("req -new -x509 -key {name}.pem -subj /CN={name} -addext {extension} -out {name}-cert.pem"));
    let key = load_private_key(&*default_provider(), &bench.read(&format!("{name}.pem")), None).unwrap();
    let certificate = Certificate::many_from_bytes(&bench.read(&format!("{name}-cert.pem"))).unwrap().remove(0);
    (key, certificate)
}

fn recipient_of<'a>(key: &'a dyn PrivateKey, certificate: &'a Certificate) -> Recipient<'a> {
    let identifier = match certificate.subject_key_identifier() {
        Some(identifier) => RecipientIdentifier::SubjectKeyIdentifier(identifier),
        None => RecipientIdentifier::IssuerAndSerial(certificate.issuer(), certificate.serial()),
    };
    Recipient::Key { spki: key.spki(), identifier }
}

const RECIPIENTS: [(&str, &str, &str); 4] = [
    ("rsa", "RSA -pkeyopt rsa_keygen_bits:2048", "-keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha256"),
    ("p256", "EC -pkeyopt ec_paramgen_curve:P-256", "-keyopt ecdh_kdf_md:sha256"),
    ("p384", "EC -pkeyopt ec_paramgen_curve:P-384", "-keyopt ecdh_kdf_md:sha384"),
    ("p521", "EC -pkeyopt ec_paramgen_curve:P-521", "-keyopt ecdh_kdf_md:sha512"),
];

#[test]
fn what_openssl_encrypts_is_opened() {
    let Some(bench) = Bench::new() else { return };
    let provider = default_provider();
    let limits = Limits::default();
    let text = b"attack at dawn\r\n";
    bench.write("text", text);
    for (name, making, options) in RECIPIENTS {
        let (key, certificate) = recipient(&bench, name, making, "hash");
        let stranger = provider.generate_key(key.kind()).unwrap();
        for cipher in ["-aes-256-cbc", "-aes-128-cbc", "-aes-192-cbc", "-aes-256-gcm", "-aes-128-gcm"] {
            // OpenSSL's defaults too: OAEP with SHA-1 is one option away, key agreement with SHA-1 is none.
            for options in [options, options.split_at(options.find(":oaep").map_or(0, |at| at + 5)).0] {
                for keyid in ["", "-keyid"] {
                    bench.openssl(&format!(
                        "cms -encrypt -binary -in text -outform DER -out sealed {cipher} {keyid} -recip {name}-cert.pem {options}"
                    ));
                    let sealed = bench.read("sealed");
                    let at_hand =
                        OpenOptions { key: Some(&*key), certificate: Some(&certificate), ..OpenOptions::new(&limits) };
                    let opened = open(&*provider, &sealed, &at_hand)
                        .unwrap_or_else(|error| panic!("{name} {cipher} {options} {keyid}: {error}"));
                    assert_eq!(&opened.content[..], text);
                    assert_eq!(opened.authenticated, cipher.ends_with("gcm"));
                    let other = OpenOptions { key: Some(&*stranger), certificate: None, ..at_hand };
                    assert_eq!(
                        open(&*provider, &sealed, &other).unwrap_err(),
                        CmsError::Crypto(CryptoError::Decrypt),
                        "{name} {cipher}"
                    );
                }
            }
        }
    }
}

#[test]
fn what_is_sealed_here_is_decrypted_by_openssl() {
    let Some(bench) = Bench::new() else { return };
    let provider = default_provider();
    let text = b"attack at dawn\r\n";
    for (name, making, _) in RECIPIENTS {
        for extension in ["hash", "none"] {
            let (key, certificate) = recipient(&bench, name, making, extension);
            assert_eq!(certificate.subject_key_identifier().is_some(), extension == "hash");
            for encryption in [ContentEncryption::Aes256Cbc, ContentEncryption::Aes256Gcm] {
                let to = [recipient_of(&*key, &certificate)];
                let sealed = seal(&*provider, &to, encryption, oid::CMS_DATA, text).unwrap();
                bench.write("sealed", &sealed);
                bench.openssl(&format!(
                    "cms -decrypt -binary -in sealed -inform DER -out opened -inkey {name}.pem -recip {name}-cert.pem"
                ));
                assert_eq!(bench.read("opened"), text, "{name} {extension} {encryption:?}");
            }
        }
    }
}

#[test]
fn key_transport_by_pkcs1_opens_only_where_it_is_allowed() {
    let Some(bench) = Bench::new() else { return };
    let provider = default_provider();
    let limits = Limits::default();
    let (key, certificate) = recipient(&bench, "rsa", RECIPIENTS[0].1, "hash");
    bench.write("text", b"text");
    bench.openssl("cms -encrypt -binary -in text -outform DER -out sealed -aes-256-cbc -recip rsa-cert.pem");
    let sealed = bench.read("sealed");
    let strict = OpenOptions { key: Some(&*key), certificate: Some(&certificate), ..OpenOptions::new(&limits) };
    assert!(matches!(open(&*provider, &sealed, &strict), Err(CmsError::Crypto(CryptoError::Unsupported(_)))));
    let lenient = OpenOptions { allow_pkcs1_transport: true, ..strict };
    assert_eq!(&open(&*provider, &sealed, &lenient).unwrap().content[..], b"text");
    // A stranger's key yields a random content key, and no word about which step failed.
    let stranger = provider.generate_key(KeyKind::Rsa(2048)).unwrap();
    let other = OpenOptions { key: Some(&*stranger), certificate: None, ..lenient };
    if let Ok(opened) = open(&*provider, &sealed, &other) {
        assert_ne!(&opened.content[..], b"text", "a random key may leave padding that looks right");
    }
    let (_, another) = recipient(&bench, "another", RECIPIENTS[0].1, "hash");
    let misnamed = OpenOptions { certificate: Some(&another), ..lenient };
    assert_eq!(open(&*provider, &sealed, &misnamed).unwrap_err(), CmsError::NotForUs { recipients: 1 });
}

#[test]
fn certificates_come_out_of_p7b_files() {
    let Some(bench) = Bench::new() else { return };
    let made: Vec<Certificate> =
        ["one", "two"].map(|name| recipient(&bench, name, "ED25519", "hash").1).into_iter().collect();
    for form in ["PEM", "DER"] {
        bench.openssl(&format!(
            "crl2pkcs7 -nocrl -certfile one-cert.pem -certfile two-cert.pem -outform {form} -out all.p7b"
        ));
        assert_eq!(certificates_from_pkcs7(&bench.read("all.p7b")).unwrap(), made, "{form}");
    }
}

#[test]
fn what_openssl_signs_is_verified() {
    let Some(bench) = Bench::new() else { return };
    let provider = default_provider();
    bench.write("text", b"content");
    let (stranger_key, stranger) = recipient(&bench, "stranger", "ED25519", "hash");
    for (making, options) in [
        ("RSA -pkeyopt rsa_keygen_bits:2048", "-md sha256"),
        ("RSA -pkeyopt rsa_keygen_bits:2048", "-md sha384 -keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:48"),
        ("EC -pkeyopt ec_paramgen_curve:P-256", "-md sha256"),
        ("EC -pkeyopt ec_paramgen_curve:P-384", "-md sha512"),
    ] {
        let (key, certificate) = recipient(&bench, "signer", making, "hash");
        for more in ["", "-keyid", "-noattr"] {
            bench.openssl(&format!(
                "cms -sign -binary -nodetach -in text -outform DER -out signed -signer signer-cert.pem -inkey signer.pem {options} {more}"
            ));
            let input = bench.read("signed");
            let signed = SignedData::from_der(&input).unwrap();
            assert_eq!((signed.content, signed.content_type), (Some(&b"content"[..]), oid::CMS_DATA));
            let place = format!("{making} {options} {more}");
            assert_eq!(signed.signer_certificates().collect::<Vec<_>>(), [&certificate], "{place}");
            assert_eq!(signed.verify_by(&*provider, &certificate, key.spki(), false), Ok(()), "{place}");
            let by_stranger = signed.verify_by(&*provider, &stranger, stranger_key.spki(), false);
            assert_eq!(by_stranger, Err(CmsError::NotForUs { recipients: 1 }), "{place}");
            // Any change of content, attributes or signature shows; the certificate inside is not what verifies.
            let place_of = |part: &[u8]| input.windows(part.len()).position(|window| window == part).unwrap();
            for at in [place_of(b"content"), input.len() - 1] {
                let mut changed = input.clone();
                changed[at] ^= 1;
                let verdict =
                    SignedData::from_der(&changed).unwrap().verify_by(&*provider, &certificate, key.spki(), false);
                assert_eq!(verdict, Err(CmsError::Crypto(CryptoError::Mismatch)), "{place}, byte {at}");
            }
        }
    }
    let key = load_private_key(&*provider, &bench.read("signer.pem"), None).unwrap();
    bench.openssl("cms -sign -binary -nodetach -in text -outform DER -out signed -signer signer-cert.pem -inkey signer.pem -md sha1");
    let (input, certificate) =
        (bench.read("signed"), Certificate::many_from_bytes(&bench.read("signer-cert.pem")).unwrap());
    let signed = SignedData::from_der(&input).unwrap();
    assert!(matches!(
        signed.verify_by(&*provider, &certificate[0], key.spki(), false),
        Err(CmsError::Crypto(CryptoError::Unsupported(_)))
    ));
    assert_eq!(signed.verify_by(&*provider, &certificate[0], key.spki(), true), Ok(()));
}

#[test]
fn what_is_signed_here_is_verified_by_openssl() {
    let Some(bench) = Bench::new() else { return };
    let provider = default_provider();
    for (name, making) in [
        ("rsa", "RSA -pkeyopt rsa_keygen_bits:2048"),
        ("p256", "EC -pkeyopt ec_paramgen_curve:P-256"),
        ("p521", "EC -pkeyopt ec_paramgen_curve:P-521"),
    ] {
        for extension in ["hash", "none"] {
            let (key, certificate) = recipient(&bench, name, making, extension);
            for content_type in [oid::CMS_DATA, oid::CT_KP_KEY_PACKAGE] {
                let chain = [certificate.clone()];
                let signed = sign(&*provider, &*key, &chain, content_type, b"content").unwrap();
                bench.write("signed", &signed);
                bench.openssl(&format!(
                    "cms -verify -binary -in signed -inform DER -out content -noverify -certfile {name}-cert.pem"
                ));
                assert_eq!(bench.read("content"), b"content");
                let again = SignedData::from_der(&signed).unwrap();
                assert_eq!(again.content_type, content_type);
                assert_eq!(again.verify_by(&*provider, &certificate, key.spki(), false), Ok(()));
            }
        }
    }
}

#[test]
fn a_centrally_generated_key_travels_signed_and_sealed() {
    let Some(bench) = Bench::new() else { return };
    let provider = default_provider();
    let limits = Limits::default();
    let (authority_key, authority) = recipient(&bench, "kga", "EC -pkeyopt ec_paramgen_curve:P-256", "hash");
    let (device_key, device) = recipient(&bench, "device", "EC -pkeyopt ec_paramgen_curve:P-384", "hash");
    let fresh = provider.generate_key(KeyKind::Rsa(2048)).unwrap();

    let package = devid::asn1::der::sequence(&[&fresh.to_pkcs8().unwrap()]);
    let signed =
        sign_content(&*provider, &*authority_key, std::slice::from_ref(&authority), oid::CT_KP_KEY_PACKAGE, &package)
            .unwrap();
    let to = [recipient_of(&*device_key, &device)];
    let sealed = seal_content(&*provider, &to, ContentEncryption::Aes256Cbc, oid::CMS_SIGNED_DATA, &signed).unwrap();

    let at_hand = OpenOptions { key: Some(&*device_key), certificate: Some(&device), ..OpenOptions::new(&limits) };
    // As in CMP's EncryptedKey: without ContentInfo, and the SEQUENCE's tag replaced by an IMPLICIT one.
    let fields = Cursor::new(&sealed, "EnvelopedData").unwrap().any("EnvelopedData").unwrap().value;
    let opened = open_content(&*provider, oid::CMS_ENVELOPED_DATA, fields, &at_hand).unwrap();
    assert_eq!(opened.content_type, oid::CMS_SIGNED_DATA);
    let inner = SignedData::from_der(&opened.content).unwrap();
    inner.verify_by(&*provider, &authority, authority_key.spki(), false).unwrap();
    let keys = devid::asn1::pkcs8::asymmetric_key_package(inner.content.unwrap()).unwrap();
    assert_eq!(keys.len(), 1);
    assert_eq!(provider.import_pkcs8(keys[0]).unwrap().spki(), fresh.spki());
}
