//! What the `openssl` command makes is taken: CRLs of `openssl ca`, responses of `openssl ocsp`, in both directions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use devid::Code;
use devid::asn1::x509::Certificate;
use devid::crypto::DigestAlgorithm;
use devid::time::Time;
use devid::validation::{
    Checks, Crl, OcspRequest, Report, RevocationPolicy, RevocationScope, StatusSources, TrustAnchors, validate,
};

use crate::certificates::provider;
use crate::left_out::left_out;
use crate::{crl_sources, ocsp_sources};

/// A CA of the `openssl` command in a directory of its own.
struct Bench {
    directory: PathBuf,
    ca: Certificate,
    good: Certificate,
    revoked: Certificate,
}

impl Bench {
    /// `None` where there is no `openssl`: the set-up of the project's tests installs it.
    fn new(story: &str) -> Option<Self> {
        if Command::new("openssl").arg("version").output().is_err() {
            left_out("no openssl command");
            return None;
        }
        let directory = std::env::temp_dir().join(format!("devid-revocation-{story}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(directory.join("new")).unwrap();
        fs::write(directory.join("index.txt"), "").unwrap();
        fs::write(directory.join("serial"), "1000\n").unwrap();
        fs::write(directory.join("crlnumber"), "0a\n").unwrap();
        fs::write(directory.join("ca.cnf"), CONFIGURATION).unwrap();
        let run = |arguments: &str| openssl(&directory, arguments);
        run("req -new -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 30 \
             -subj /CN=Bench-CA -config ca.cnf -extensions ca_ext");
        for name in ["good", "revoked", "responder"] {
            run(&format!(
                "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.csr \
                 -subj /CN={name} -config ca.cnf"
            ));
            let extensions = if name == "responder" { "responder_ext" } else { "device_ext" };
            run(&format!("ca -batch -config ca.cnf -extensions {extensions} -in {name}.csr -out {name}.pem -days 20"));
        }
        run("ca -config ca.cnf -revoke revoked.pem -crl_reason keyCompromise");
        let read = |name: &str| {
            let bytes = fs::read(directory.join(format!("{name}.pem"))).unwrap();
            Certificate::many_from_bytes(&bytes).unwrap().remove(0)
        };
        Some(Bench { ca: read("ca"), good: read("good"), revoked: read("revoked"), directory })
    }

    fn run(&self, arguments: &str) -> String {
        openssl(&self.directory, arguments)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.directory.join(name)).unwrap()
    }

    fn check(&self, leaf: &Certificate, status: &StatusSources) -> Report {
        let anchors: TrustAnchors = std::iter::once(self.ca.clone()).collect();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let mut checks = Checks::at(Time::from_unix(now as i64));
        checks.revocation = RevocationPolicy::hard_fail();
        checks.revocation.scope = RevocationScope::LeafOnly;
        validate(&**provider(), &anchors, leaf, &[], status, &checks)
    }

    fn assert_statuses(&self, status: &StatusSources) {
        let report = self.check(&self.good, status);
        assert!(report.is_valid(), "{:?}", report.findings());
        let report = self.check(&self.revoked, status);
        assert_eq!(report.error().expect("refused").code(), Code::Revoked, "{:?}", report.findings());
        assert!(report.error().unwrap().message().contains("keyCompromise"));
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn openssl(directory: &Path, arguments: &str) -> String {
    let output = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .output()
        .expect("openssl runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments}: {text}");
    text
}

const CONFIGURATION: &str = "
[req]
distinguished_name = dn
prompt = no
[dn]
CN = unused
[ca]
default_ca = bench
[bench]
dir = .
database = index.txt
new_certs_dir = new
serial = serial
crlnumber = crlnumber
certificate = ca.pem
private_key = ca.key
default_md = sha256
default_crl_days = 7
policy = any
crl_extensions = crl_ext
[any]
commonName = supplied
[ca_ext]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[device_ext]
basicConstraints = CA:false
authorityKeyIdentifier = keyid
[responder_ext]
basicConstraints = CA:false
extendedKeyUsage = OCSPSigning
noCheck = ignored
[crl_ext]
authorityKeyIdentifier = keyid
";

#[test]
fn a_crl_of_openssl_ca_is_taken_in_der_and_pem_whole_and_in_one_pass() {
    let Some(bench) = Bench::new("crl") else { return };
    bench.run("ca -config ca.cnf -gencrl -out crl.pem");
    bench.run("crl -in crl.pem -outform DER -out crl.der");
    let mut from_pem = Crl::many_from_bytes(&bench.read("crl.pem")).unwrap();
    assert_eq!(from_pem.len(), 1);
    bench.assert_statuses(&crl_sources(&[Arc::new(from_pem.remove(0))]));
    let der = bench.read("crl.der");
    let crl = Crl::from_der(der.clone()).unwrap();
    assert_eq!(crl.number().unwrap().to_string(), "10");
    bench.assert_statuses(&crl_sources(&[Arc::new(crl)]));
    let serials = [bench.good.serial(), bench.revoked.serial()];
    let mut stream = devid::validation::CrlStream::new(provider().clone(), &serials).unwrap();
    for chunk in der.chunks(50) {
        stream.feed(chunk).unwrap();
    }
    bench.assert_statuses(&crl_sources(&[Arc::new(stream.finish().unwrap())]));
}

#[test]
fn responses_of_openssl_ocsp_to_our_requests_are_taken_from_ca_and_delegated_responder() {
    let Some(bench) = Bench::new("ocsp") else { return };
    for (signer, digest) in [("ca", DigestAlgorithm::Sha1), ("responder", DigestAlgorithm::Sha256)] {
        for more in ["", "-ndays 3", "-resp_key_id -ndays 3"] {
            let answers: Vec<_> = [&bench.good, &bench.revoked]
                .map(|certificate| {
                    let request = OcspRequest::with_nonce(&**provider(), certificate, &bench.ca, digest).unwrap();
                    fs::write(bench.directory.join("request"), request.as_der()).unwrap();
                    bench.run(&format!(
                        "ocsp -index index.txt -CA ca.pem -rsigner {signer}.pem -rkey {signer}.key -reqin request \
                         -respout response {more}"
                    ));
                    Arc::new(request.read_response(&bench.read("response")).unwrap())
                })
                .into();
            bench.assert_statuses(&ocsp_sources(&answers));
        }
    }
}

#[test]
fn openssl_reads_our_request_as_we_mean_it() {
    let Some(bench) = Bench::new("request") else { return };
    let request = OcspRequest::with_nonce(&**provider(), &bench.good, &bench.ca, DigestAlgorithm::Sha256).unwrap();
    fs::write(bench.directory.join("request"), request.as_der()).unwrap();
    let text = bench.run("ocsp -reqin request -req_text");
    assert!(text.contains("Hash Algorithm: sha256") && text.contains("Serial Number: 1000"), "{text}");
    assert!(text.contains("OCSP Nonce"), "{text}");
    // The CertID is byte for byte the one that openssl makes.
    bench.run("ocsp -sha256 -issuer ca.pem -cert good.pem -no_nonce -reqout theirs");
    let ours = OcspRequest::without_nonce(&**provider(), &bench.good, &bench.ca, DigestAlgorithm::Sha256).unwrap();
    assert_eq!(ours.as_der(), bench.read("theirs"));
}
