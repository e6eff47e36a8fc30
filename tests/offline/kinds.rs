//! People mix files up. Every reader is given every kind of file, and says what it is and which call opens it, or reads it.

use devid::asn1::der::{Cursor, element, sequence};
use devid::asn1::oid;
use devid::client::certificates::certificates_from_bytes;
use devid::cms::{NewPkcs12, Pkcs12, Pkcs12Mac, certificates_from_pkcs7};
use devid::inspect::{Format, inspect};
use devid::validation::{Crl, OcspResponse};

use super::status::{CrlBuilder, OcspBuilder, Single};
use super::*;

/// 2.16.840.1.113730.2.5.
const NETSCAPE: [u8; 9] = [0x60, 0x86, 0x48, 0x01, 0x86, 0xf8, 0x42, 0x02, 0x05];

type Reader = (&'static str, &'static [&'static str], fn(&[u8]) -> Result<(), Error>);

/// Name, kinds that it reads, how.
const READERS: [Reader; 9] = [
    ("Certificate", &["certificate", "bundle"], |i| Ok(Certificate::many_from_bytes(i).map(drop)?)),
    ("certificates", &["certificate", "bundle"], |i| certificates_from_bytes(i).map(drop)),
    ("anchors", &["certificate", "bundle"], |i| Ok(TrustAnchors::new().add_bytes(i).map(drop)?)),
    ("PKCS#7", &["bundle", "lists"], |i| Ok(certificates_from_pkcs7(i).map(drop)?)),
    ("request", &["request"], |i| Ok(CertificationRequest::from_bytes(i).map(drop)?)),
    ("CRLs", &["list", "lists"], |i| Ok(Crl::many_from_bytes(i).map(drop)?)),
    ("OCSP", &["ocsp"], |i| Ok(OcspResponse::from_document(i).map(drop)?)),
    ("key", &["key"], |i| Ok(devid::crypto::keys::load_private_key(&**provider(), i, Some(b"pw")).map(drop)?)),
    ("PKCS#12", &["pkcs12"], |i| Ok(Pkcs12::open(&**provider(), i, "pw").map(drop)?)),
];

struct File {
    what: &'static str,
    kind: &'static str,
    bytes: Vec<u8>,
    /// One of these stands in the error of each reader of something else.
    said: &'static [&'static str],
}

fn block(label: &str, der: &[u8]) -> Vec<u8> {
    pem::encode(label, der).as_bytes().to_vec()
}

/// SignedData that carries certificates and lists and is signed by nobody.
fn bundle(certificates: &[&[u8]], lists: &[&[u8]]) -> Vec<u8> {
    let part = |tag: u8, items: &[&[u8]]| if items.is_empty() { Vec::new() } else { element(tag, items) };
    let data = sequence(&[&element(0x06, &[oid::CMS_DATA.as_bytes()])]);
    let (certificates, lists) = (part(0xa0, certificates), part(0xa1, lists));
    let signed = sequence(&[&[2, 1, 1], &[0x31, 0], &data, &certificates, &lists, &[0x31, 0]]);
    sequence(&[&element(0x06, &[oid::CMS_SIGNED_DATA.as_bytes()]), &element(0xa0, &[&signed])])
}

fn files() -> Vec<File> {
    let root = Party::root("Root");
    let device = root.leaf("device 1");
    let certificate = device.certificate.as_der().to_vec();
    let pkcs8 = device.key.to_pkcs8().unwrap().to_vec();
    let list = CrlBuilder::of(&root).der();
    let response = OcspBuilder::by(&root).says(Single::good(&device.certificate, &root)).der();
    let subject = Subject::new().name("CN=device 1").unwrap();
    let request = UnsignedRequest::new(&subject, &Signer::Key(device.key.clone()), &RequestOptions::default()).unwrap();
    let request = request.sign(&*device.key).unwrap().as_der().to_vec();
    let signed = bundle(&[&certificate, root.certificate.as_der()], &[]);
    let lists = bundle(&[], &[&list]);
    let chain = [root.certificate.clone()];
    let sealed =
        sequence(&[&element(0x06, &[oid::CMS_ENVELOPED_DATA.as_bytes()]), &element(0xa0, &[&sequence(&[&[2, 1, 2]])])]);
    let (mac, certificate_of) = (Pkcs12Mac::Hmac, &device.certificate);
    let new = NewPkcs12 {
        pkcs8: &pkcs8,
        certificate: certificate_of,
        chain: &chain,
        name: "x",
        mac,
        iterations: 100,
        scrypt: None,
    };
    let pkcs12 = new.seal(&**provider(), "pw").unwrap();
    let encrypted = devid::crypto::keys::encrypt_pkcs8(&**provider(), &pkcs8, b"pw", 1000).unwrap();
    let tpm = sequence(&[&element(0x06, &[oid::TPM_LOADABLE_KEY.as_bytes()]), &[2, 1, 7], &element(4, &[&[0; 90]])]);
    let hex = |between: &str| {
        let digits: Vec<String> = certificate.iter().map(|byte| format!("{byte:02X}")).collect();
        digits.join(between).into_bytes()
    };
    let dump: String = certificate
        .chunks(16)
        .map(|line| {
            let groups: Vec<String> =
                line.chunks(4).map(|four| four.iter().map(|b| format!("{b:02X}")).collect()).collect();
            format!("  {}\n", groups.join(" "))
        })
        .collect();
    let text = |words: &str| words.as_bytes().to_vec();
    let unended = String::from_utf8(block("CERTIFICATE", &certificate)).unwrap();
    let unended = unended.split("-----END").next().unwrap().as_bytes().to_vec();
    let mail = "MIME-Version: 1.0\nContent-Type: multipart/signed; boundary=\"----3F2A3F2A3F2A3F2A3F2A3F2A3F2A3F2A\"\n\n------3F2A3F2A3F2A3F2A3F2A3F2A3F2A3F2A\nhi\n";
    const P12: &[&str] = &["PKCS#12 file: read_pkcs12()"];
    const P7: &[&str] = &["PKCS#7 file (SignedData): load_certificates()", "lists in it", "holds no CRL", "\"PKCS7\""];
    const CERT: &[&str] = &["found a certificate: load_certificates()", "a certificate, load_certificates()"];
    const KEY: &[&str] = &["found a private key: Key.load()", "a private key, Key.load()"];
    let file = |what, kind, bytes, said| File { what, kind, bytes, said };
    vec![
        file("certificate", "certificate", certificate.clone(), CERT),
        file("certificate, PEM", "certificate", block("CERTIFICATE", &certificate), CERT),
        file("request", "request", request.clone(), &["(PKCS#10): enroll_pkcs10()"]),
        file("request, PEM", "request", block("CERTIFICATE REQUEST", &request), &["(PKCS#10), enroll_pkcs10()"]),
        file("CRL", "list", list.clone(), &["a CRL: add_crls()"]),
        file("CRL, PEM", "list", block("X509 CRL", &list), &["a CRL, add_crls()", "a CRL: add_crls()"]),
        file("OCSP response", "ocsp", response.clone(), &["OCSP response: add_ocsp()"]),
        file("OCSP response, PEM", "ocsp", block("OCSP RESPONSE", &response), &["OCSP response, add_ocsp()"]),
        file("PKCS#12", "pkcs12", pkcs12.clone(), P12),
        file("PKCS#12, PEM", "pkcs12", block("PKCS12", &pkcs12), &["PKCS#12 file, read_pkcs12()"]),
        file("PKCS#7", "bundle", signed.clone(), P7),
        file(
            "PKCS#7, PEM",
            "bundle",
            block("PKCS7", &signed),
            &["PKCS#7 file (SignedData), load_certificates()", "no CRL"],
        ),
        file(
            "PKCS#7 with a CRL",
            "lists",
            lists.clone(),
            &["PKCS#7 file (SignedData)", "holds no certificate", "lists in it"],
        ),
        file("encrypted CMS", "none", sealed.clone(), &["encrypted message (CMS): decrypt()"]),
        file("key", "key", pkcs8.clone(), KEY),
        file("key, PEM", "key", block("PRIVATE KEY", &pkcs8), &["a private key, Key.load()"]),
        file("encrypted key", "key", encrypted, KEY),
        file("public key", "none", device.key.spki().to_vec(), &["public key alone"]),
        file("public key, PEM", "none", block("PUBLIC KEY", device.key.spki()), &["public key alone"]),
        file("TPM key", "none", tpm.clone(), &["inside a TPM"]),
        file("TPM key, PEM", "none", block("TSS2 PRIVATE KEY", &tpm), &["inside a TPM"]),
        file("EC PARAMETERS", "none", block("EC PARAMETERS", &element(6, &[&[0x2a, 0x86]])), &["parameters of keys"]),
        file("PKCS#11 URI", "none", text("pkcs11:token=x;object=key\n"), &["PKCS#11 URI"]),
        file("PKCS#11 URI, PEM", "none", block("PKCS#11 PROVIDER URI", &sequence(&[])), &["PKCS#11 URI"]),
        file(
            "OpenPGP",
            "none",
            text("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQ==\n=abcd\n-----END PGP PRIVATE KEY BLOCK-----\n"),
            &["OpenPGP"],
        ),
        file("age", "none", block("AGE ENCRYPTED FILE", b"age"), &["encrypted by age"]),
        file(
            "PuTTY",
            "none",
            text("PuTTY-User-Key-File-3: ecdsa-sha2-nistp256\nEncryption: none\n"),
            &["a key of PuTTY"],
        ),
        file(
            "SSH",
            "none",
            text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIabc x@y\n"),
            &["a public key or a certificate of SSH"],
        ),
        file(
            "SSH, RFC 4716",
            "none",
            text("---- BEGIN SSH2 PUBLIC KEY ----\nAAAAC3NzaC1lZDI1NTE5AAAAIabc\n---- END SSH2 PUBLIC KEY ----\n"),
            &["a public key or a certificate of SSH"],
        ),
        file(
            "OpenSSH",
            "none",
            block("OPENSSH PRIVATE KEY", b"openssh-key-v1"),
            &["a private key of OpenSSH", "ssh-keygen -p -m PKCS8"],
        ),
        file("JWK", "none", text("{\"kty\":\"EC\",\"crv\":\"P-256\",\"d\":\"jpsQ\"}"), &["(JWK)"]),
        file(
            "Java key store",
            "none",
            [&[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2][..], &[0; 40]].concat(),
            &["Java key store"],
        ),
        file("hex", "none", hex(""), &["text in hex"]),
        file("hex with colons", "none", hex(":"), &["text in hex"]),
        file("hex of a C array", "none", [&b"0x"[..], &hex(", 0x")].concat(), &["text in hex"]),
        file(
            "hex dump of a router",
            "none",
            text(&format!("crypto pki certificate chain X\n certificate ca 01\n{dump}  quit\n")),
            &["text in hex"],
        ),
        file("S/MIME", "none", text(mail), &["a mail (S/MIME)"]),
        file(
            "Netscape",
            "none",
            block(
                "CERTIFICATE",
                &sequence(&[&element(6, &[&NETSCAPE]), &element(0xa0, &[&sequence(&[&certificate])])]),
            ),
            &["openssl nseq -in FILE", "load_certificates()", "a certificate, "],
        ),
        file("PkiPath", "none", sequence(&[root.certificate.as_der(), &certificate]), &["PkiPath"]),
        file(
            "two in DER",
            "none",
            [&certificate[..], root.certificate.as_der()].concat(),
            &["another one behind it", "found a certificate: load_certificates()"],
        ),
        file("no END", "none", unended, &["no END line", "a certificate, load_certificates()"]),
    ]
}

#[test]
fn every_reader_says_what_it_was_given_in_place_of_what_it_reads() {
    const DECODERS_WORDS: [&str; 7] = [
        "expected tbs",
        "found OBJECT",
        "found INTEGER",
        "found SEQUENCE",
        "neither 0 nor 1",
        "not DER",
        "stand at the beginning",
    ];
    for file in files() {
        for (reader, kinds, read) in READERS {
            let reads = kinds.contains(&file.kind);
            let place = format!("{} to {reader}", file.what);
            match read(&file.bytes) {
                Ok(()) => assert!(reads, "{place}: it was read"),
                Err(error) => {
                    assert!(!reads, "{place}: {error}");
                    let words = error.to_string();
                    assert!(file.said.iter().any(|said| words.contains(said)), "{place}: {words}");
                    for decoders in DECODERS_WORDS {
                        assert!(!words.contains(decoders), "{place}: {words}");
                    }
                    assert!(!words.contains("jpsQ") && words.len() < 400, "{place}: {words}");
                }
            }
        }
    }
}

#[test]
fn what_was_bundled_is_read_and_what_is_broken_spoils_no_other() {
    let root = Party::root("Root");
    let (one, other) = (root.leaf("device 1").certificate, root.leaf("device 2").certificate);
    let signed = bundle(&[one.as_der(), &[0x30, 3, 2, 1, 0], other.as_der()], &[&CrlBuilder::of(&root).der()]);
    let mut anchors = TrustAnchors::new();
    assert_eq!(anchors.add_bytes(&signed).unwrap(), 2, "as certificates are read");
    assert_eq!(anchors.add_bytes(&block("PKCS7", &signed)).unwrap(), 2);
    assert_eq!(anchors.len(), 2, "the same once more count once");
    assert_eq!(Crl::many_from_bytes(&signed).unwrap().len(), 1);
    assert_eq!(Crl::many_from_bytes(&block("PKCS7", &signed)).unwrap().len(), 1);
    // A block without an end hides no other, and its place is said once.
    let unended =
        String::from_utf8(block("CERTIFICATE", one.as_der())).unwrap().replace("-----END CERTIFICATE-----\n", "");
    let both = [unended.as_bytes(), &block("CERTIFICATE", other.as_der())].concat();
    assert_eq!(Certificate::many_from_bytes(&both).unwrap(), [other]);
    let error = Certificate::many_from_bytes(unended.as_bytes()).unwrap_err().to_string();
    assert_eq!(error.matches("block 1").count(), 1, "{error}");
}

/// As tools write it that do not know beforehand how long it gets (X.690 section 8.1.3.6): no length, strings in pieces.
fn ber(der: &[u8]) -> Vec<u8> {
    let mut cursor = Cursor::new(der, "DER").unwrap();
    let mut out = Vec::new();
    while !cursor.is_empty() {
        let item = cursor.any("an element").unwrap();
        match item.bytes[0] {
            0x04 => {
                out.extend([0x24, 0x80]);
                item.value.chunks(100).for_each(|piece| out.extend(element(0x04, &[piece])));
                out.extend([0, 0]);
            }
            tag if tag & 0x20 != 0 => out.extend([&[tag, 0x80], &ber(item.value)[..], &[0, 0]].concat()),
            _ => out.extend(item.bytes),
        }
    }
    out
}

/// A file as it is, and as it may arrive.
fn forms(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![bytes.to_vec(), [bytes, b"\r\n"].concat()];
    if bytes[0] == 0x30 {
        let armoured = String::from_utf8(block("X", bytes)).unwrap();
        let bare: Vec<&str> = armoured.lines().filter(|line| !line.starts_with('-')).collect();
        forms.extend([ber(bytes), bare.join("\n").into_bytes()]);
    } else {
        forms.push([b"Some words.\n", bytes].concat());
    }
    forms
}

/// The name under which something is shown.
fn name_of(bytes: &[u8]) -> String {
    let shown = inspect(bytes, Format::Text).unwrap_or_else(|error| panic!("{error}"));
    shown.trim_start_matches("- ").split(':').next().unwrap().trim().to_owned()
}

#[test]
fn whatever_a_reader_opens_is_shown_as_the_same_kind() {
    let mut opened = 0;
    for file in files() {
        let name = match file.kind {
            "certificate" => "Certificate",
            "bundle" | "lists" => "ContentInfo",
            "request" => "CertificationRequest",
            "list" => "CertificateList",
            "ocsp" => "OCSPResponse",
            "key" if file.what.starts_with("encrypted") => "EncryptedPrivateKeyInfo",
            "key" => "OneAsymmetricKey",
            "pkcs12" => "PFX",
            _ => continue,
        };
        for (number, form) in forms(&file.bytes).iter().enumerate() {
            if READERS.iter().any(|(_, kinds, read)| kinds.contains(&file.kind) && read(form).is_ok()) {
                opened += 1;
                assert_eq!(name_of(form), name, "{}, form {number}", file.what);
            }
        }
    }
    assert!(opened > 40, "{opened} forms were opened");
}

#[test]
fn what_no_description_fits_is_called_by_its_label_or_by_no_name() {
    let root = Party::root("Root");
    let certificate = root.certificate.as_der();
    let oid = |identifier: oid::Oid| element(6, &[identifier.as_bytes()]);
    let key = sequence(&[&element(2, &[&[0], &[0xc1; 256]]), &[2, 3, 1, 0, 1]]);
    let pbes2 = sequence(&[&oid(oid::PBES2), &sequence(&[])]);
    let store = sequence(&[&sequence(&[&pbes2, &element(4, &[&[7; 90]])]), &sequence(&[])]);
    let signature = sequence(&[&element(2, &[&[0x41; 32]]), &element(2, &[&[0x42; 32]])]);
    let shown = |bytes: &[u8]| inspect(bytes, Format::Text).unwrap();
    for (bytes, begins) in [
        (sequence(&[certificate]), "PkiPath:"),
        (sequence(&[certificate, certificate]), "PkiPath:"),
        (block("RSA PUBLIC KEY", &key), "RSAPublicKey:\n  modulus: (257 bytes, not shown)\n  publicExponent: 65537"),
        (key, "RSAPublicKey:"),
        (block("EC PARAMETERS", &oid(oid::CURVE_P256)), "ECParameters:\n  namedCurve: "),
        (store, "DER:\n  what: a key store of Bouncy Castle (BCFKS)\n"),
        (signature.clone(), "DER:\n  what: a SEQUENCE of 2 elements, not known\n"),
        (block("ATTRIBUTE CERTIFICATE", &signature), "DER:\n  what: an attribute certificate\n"),
        // Broken in its first element, a label still says what it was to be.
        (block("CERTIFICATE", &sequence(&[&[5, 0]])), "Certificate:\n  tbsCertificate: (missing"),
        (block("X509 CRL", &signature), "CertificateList:\n  tbsCertList: (missing"),
    ] {
        assert!(shown(&bytes).starts_with(begins), "{begins}: {}", shown(&bytes));
    }
    let traditional = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nQUJD\n-----END RSA PRIVATE KEY-----\n";
    assert!(shown(traditional.as_bytes()).contains("under a password"));
    let error = inspect(b"ssh-ed25519 AAAA x@y\n", Format::Text).unwrap_err();
    assert!(error.message().contains("found a public key or a certificate of SSH"), "{error}");
    let error = inspect(&[&[0xff, 0xfe][..], b"x"].concat(), Format::Text).unwrap_err();
    assert!(error.message().contains("a SEQUENCE, found text in UTF-16"), "{error}");
}

/// A server that is another service, and a file that is another one, in the place of an answer.
#[test]
fn what_comes_in_the_place_of_a_message_is_told() {
    let limits = devid::limits::Limits::default();
    for (what, said) in [
        ("certificate", "expected a CMP message, found a certificate"),
        ("PKCS#7", "expected a CMP message, found a PKCS#7 file"),
        ("CRL", "expected a CMP message, found a CRL"),
        ("OCSP response", "expected a CMP message, found an OCSP response"),
        ("key", "expected a CMP message, found a private key"),
    ] {
        let file = files().into_iter().find(|file| file.what == what).unwrap();
        let error = devid::asn1::cmp::PkiMessage::from_der(file.bytes, &limits).unwrap_err().to_string();
        assert!(error.contains(said), "{what}: {error}");
    }
}

#[test]
fn a_certificate_of_a_bundle_that_cannot_be_read_is_told_with_its_place_and_spoils_no_other() {
    let root = Party::root("Root");
    let good = [root.certificate.as_der().to_vec(), root.leaf("device 1").certificate.as_der().to_vec()];
    let broken = sequence(&[&[2, 1, 1]]);
    let attributes = element(0xa1, &[&[2, 1, 1]]);
    let held_with = |place: usize, other: &[u8]| {
        let mut parts: Vec<&[u8]> = good.iter().map(Vec::as_slice).collect();
        parts.insert(place, other);
        let der = bundle(&parts, &[]);
        [block("PKCS7", &der), block("CERTIFICATE", &der), der].map(|bytes| Certificate::held_in(&bytes).unwrap())
    };
    for place in 0..3 {
        for (form, held) in held_with(place, &broken).into_iter().enumerate() {
            assert_eq!((held.all.len(), held.unread.len()), (2, 1));
            let words = held.unread[0].to_string();
            assert!(words.contains(&format!("choice {} of the PKCS#7", place + 1)), "{words}");
            assert_eq!(words.contains("block 1"), form < 2, "{words}");
        }
        // What is no certificate of X.509 is none that cannot be read.
        for held in held_with(place, &attributes) {
            assert_eq!((held.all.len(), held.unread.len()), (2, 0));
        }
    }
    let alone = bundle(&[&broken], &[]);
    for error in [Certificate::held_in(&alone).map(drop), certificates_from_pkcs7(&alone).map(drop)] {
        assert!(error.unwrap_err().to_string().contains("choice 1 of the PKCS#7"));
    }
}
