//! Random chains with random faults: our verdict against that of rustls-webpki and of `openssl verify`.
//!
//! Faults that the others judge by other rules carry the reason and are not compared with the one concerned. The seed
//! is fixed; `DEVID_DIFFERENTIAL_CHAINS` makes more of them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use certificates::{Builder, Party, date, dns, ip, key, list, now, provider};
use devid::asn1::oid::{self, Oid};
use devid::asn1::pem;
use devid::asn1::x509::Certificate;
use devid::validation::{Checks, KeyUsage, PeerName, StatusSources, TrustAnchors, validate};
use devid_test_support::certificates;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

const HOST: &str = "device.example.com";
const UNKNOWN: Oid = Oid::new_unwrap("1.3.6.1.4.1.99999.7");

#[test]
fn verdicts_agree_with_rustls_webpki() {
    let mut random = Random(0x5eed_0001);
    for number in 0..chain_count(1500) {
        let chain = Chain::random(&mut random, |fault| fault.webpki_judges_alike());
        let (ours, theirs) = (chain.our_verdict(), chain.webpki_verdict());
        assert_eq!(ours.is_ok(), theirs.is_ok(), "chain {number} {:?}: {ours:?}, webpki {theirs:?}", chain.faults);
    }
}

#[test]
fn verdicts_agree_with_openssl() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("no openssl program: nothing to compare with");
        return;
    }
    let folder = std::env::temp_dir().join(format!("devid-differential-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the files that openssl reads");
    let mut random = Random(0x5eed_0002);
    let mut disagreements = Vec::new();
    for number in 0..chain_count(120) {
        let chain = Chain::random(&mut random, |fault| fault.openssl_judges_alike());
        let (ours, theirs) = (chain.our_verdict(), chain.openssl_verdict(&folder));
        if ours.is_ok() != theirs.is_ok() {
            disagreements.push(format!("chain {number} {:?}: {ours:?}, openssl {theirs:?}", chain.faults));
        }
    }
    std::fs::remove_dir_all(&folder).expect("the folder is ours to remove");
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
}

fn chain_count(default: usize) -> usize {
    std::env::var("DEVID_DIFFERENTIAL_CHAINS").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// What is done to one certificate of a chain that is valid otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Expired,
    NotYetValid,
    ForgedSignature,
    OtherInnerAlgorithm,
    UnknownCritical,
    UnknownNotCritical,
    NoBasicConstraints,
    NoKeyCertSign,
    PathLen(u32),
    PurposeOfOthers,
    PurposeOfServers,
    PermittedHost,
    PermittedElsewhere,
    ExcludedHost,
    ExcludedElsewhere,
    ExcludedAddress,
    WildcardUnderExclusion,
    Wildcard,
    OtherName,
    NoAltNames,
    MissingFromPool,
    WrongIssuerName,
    DecoyOfTheSameName,
    ExpiredTwin,
    MalformedAltNames,
    ReorderedPool,
}

use Fault::*;

const FAULTS: [Fault; 28] = [
    Expired,
    NotYetValid,
    ForgedSignature,
    OtherInnerAlgorithm,
    UnknownCritical,
    UnknownNotCritical,
    NoBasicConstraints,
    NoKeyCertSign,
    PathLen(0),
    PathLen(1),
    PathLen(2),
    PurposeOfOthers,
    PurposeOfServers,
    PermittedHost,
    PermittedElsewhere,
    ExcludedHost,
    ExcludedElsewhere,
    ExcludedAddress,
    WildcardUnderExclusion,
    Wildcard,
    OtherName,
    NoAltNames,
    MissingFromPool,
    WrongIssuerName,
    DecoyOfTheSameName,
    ExpiredTwin,
    MalformedAltNames,
    ReorderedPool,
];

impl Fault {
    fn webpki_judges_alike(self) -> bool {
        match self {
            // It does not look at keyUsage (its documentation).
            NoKeyCertSign => false,
            _ => true,
        }
    }

    fn openssl_judges_alike(self) -> bool {
        match self {
            // It compares the constraints with the wildcard's text, not with the names it stands for.
            WildcardUnderExclusion => false,
            // It takes the first issuer that looks right and does not come back.
            DecoyOfTheSameName | ExpiredTwin => false,
            // Without a DNS name among the alternative names it looks for one in the subject.
            NoAltNames => true,
            _ => true,
        }
    }
}

struct Chain {
    root: Party,
    pool: Vec<Certificate>,
    leaf: Vec<u8>,
    faults: Vec<(Fault, usize)>,
}

impl Chain {
    /// Up to three CAs below a root and up to two faults, each in one certificate: 0 is the leaf.
    fn random(random: &mut Random, is_allowed: impl Fn(Fault) -> bool) -> Self {
        let count = random.below(4);
        let mut faults = Vec::new();
        for _ in 0..random.below(3) {
            let fault = FAULTS[random.below(FAULTS.len())];
            if is_allowed(fault) {
                faults.push((fault, random.below(count + 1)));
            }
        }
        let root = Party::root("Root");
        let mut issuer = root.clone();
        let mut pool = Vec::new();
        for index in (1..=count).rev() {
            let builder = Builder::ca(&format!("CA {index}"));
            let own: Vec<Fault> = faults.iter().filter(|(_, i)| *i == index).map(|(f, _)| *f).collect();
            let ca = sign(alter(builder, &own, true), &own, &issuer);
            let ca = Party { certificate: Certificate::from_der(&ca.0).expect("a CA that parses"), key: ca.1 };
            if own.contains(&ExpiredTwin) {
                let twin = Builder::ca(&format!("CA {index}")).key(&ca.key).valid(date(2019, 1, 1), date(2021, 1, 1));
                pool.push(twin.signed_by(&issuer).certificate);
            }
            if own.contains(&DecoyOfTheSameName) {
                pool.push(Builder::ca(&format!("CA {index}")).without_key_identifiers().signed_by(&issuer).certificate);
            }
            if !own.contains(&MissingFromPool) {
                pool.push(ca.certificate.clone());
            }
            issuer = ca;
        }
        let own: Vec<Fault> = faults.iter().filter(|(_, i)| *i == 0).map(|(f, _)| *f).collect();
        let leaf = Builder::leaf("x").alt_names([dns("other.test"), dns(HOST)]).purposes(&[oid::KP_SERVER_AUTH]);
        let leaf = sign(alter(leaf, &own, false), &own, &issuer).0;
        if faults.iter().any(|(f, _)| *f == ReorderedPool) {
            pool.reverse();
        }
        Chain { root, pool, leaf, faults }
    }

    fn our_verdict(&self) -> Result<(), String> {
        let leaf = Certificate::from_der(&self.leaf).map_err(|e| e.to_string())?;
        let anchors: TrustAnchors = [self.root.certificate.clone()].into_iter().collect();
        let checks = Checks::at(now()).for_purpose(oid::KP_SERVER_AUTH).with_name(PeerName::Dns(HOST.to_owned()));
        let report = validate(&**provider(), &anchors, &leaf, &self.pool, &StatusSources::none(), &checks);
        report.error().map_or(Ok(()), |e| Err(e.to_string()))
    }

    fn webpki_verdict(&self) -> Result<(), String> {
        let root = CertificateDer::from(self.root.certificate.as_der());
        let anchor = webpki::anchor_from_trusted_cert(&root).map_err(|e| e.to_string())?;
        let pool: Vec<_> = self.pool.iter().map(|c| CertificateDer::from(c.as_der())).collect();
        let leaf = CertificateDer::from(&self.leaf[..]);
        let leaf = webpki::EndEntityCert::try_from(&leaf).map_err(|e| e.to_string())?;
        let time = UnixTime::since_unix_epoch(Duration::from_secs(now().unix() as u64));
        let usage = webpki::KeyUsage::server_auth();
        leaf.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &[anchor], &pool, time, usage, None, None)
            .map_err(|e| e.to_string())?;
        let host = ServerName::try_from(HOST).expect("a host name");
        leaf.verify_is_valid_for_subject_name(&host).map_err(|e| e.to_string())
    }

    fn openssl_verdict(&self, folder: &Path) -> Result<(), String> {
        let write = |name: &str, certificates: &[&[u8]]| {
            let text: String = certificates.iter().map(|der| pem::encode("CERTIFICATE", der).to_string()).collect();
            let path = folder.join(name);
            std::fs::write(&path, text).expect("a file in our folder");
            path
        };
        let pool: Vec<&[u8]> = self.pool.iter().map(Certificate::as_der).collect();
        let mut command = Command::new("openssl");
        command.args(["verify", "-no-CApath", "-no-CAstore", "-purpose", "sslserver", "-verify_hostname", HOST]);
        command.args(["-attime", &now().unix().to_string(), "-CAfile"]);
        command.arg(write("root.pem", &[self.root.certificate.as_der()]));
        if !pool.is_empty() {
            command.arg("-untrusted").arg(write("pool.pem", &pool));
        }
        let output = command.arg(write("leaf.pem", &[&self.leaf])).output().expect("openssl runs");
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }
}

/// The faults that change what is signed.
fn alter(mut builder: Builder, faults: &[Fault], is_ca: bool) -> Builder {
    for fault in faults {
        builder = match fault {
            Expired => builder.valid(date(2019, 1, 1), date(2021, 1, 1)),
            NotYetValid => builder.valid(date(2027, 1, 1), date(2029, 1, 1)),
            OtherInnerAlgorithm => {
                let other = devid::crypto::SignatureAlgorithm::Ecdsa(devid::crypto::DigestAlgorithm::Sha384);
                Builder { inner_algorithm: Some(other.to_der()), ..builder }
            }
            UnknownCritical => builder.with(UNKNOWN, true, vec![0x05, 0x00]),
            UnknownNotCritical => builder.with(UNKNOWN, false, vec![0x05, 0x00]),
            NoBasicConstraints => builder.without(oid::CE_BASIC_CONSTRAINTS),
            NoKeyCertSign if is_ca => builder.key_usage(&[KeyUsage::CrlSign]),
            PathLen(limit) if is_ca => builder.path_len(*limit),
            PurposeOfOthers => builder.purposes(&[oid::KP_CODE_SIGNING]),
            PurposeOfServers => builder.purposes(&[oid::KP_SERVER_AUTH]),
            PermittedHost if is_ca => builder.constraints(&[dns("example.com"), dns("other.test")], &[]),
            PermittedElsewhere if is_ca => builder.constraints(&[dns("example.org"), dns("other.test")], &[]),
            ExcludedHost if is_ca => builder.constraints(&[], &[dns("Example.com")]),
            ExcludedElsewhere if is_ca => builder.constraints(&[], &[dns("example.org")]),
            ExcludedAddress if is_ca => builder.constraints(&[], &[ip(&[10, 0, 0, 0, 255, 0, 0, 0])]),
            WildcardUnderExclusion if is_ca => builder.constraints(&[], &[dns("secret.example.com")]),
            WildcardUnderExclusion | Wildcard if !is_ca => builder.alt_names([dns("*.example.com")]),
            OtherName if !is_ca => builder.alt_names([dns("example.com"), dns("x.device.example.com")]),
            NoAltNames if !is_ca => builder.without(oid::CE_SUBJECT_ALT_NAME),
            MalformedAltNames if !is_ca => builder.with(oid::CE_SUBJECT_ALT_NAME, false, list([vec![0x82, 0x05]])),
            _ => builder,
        };
    }
    builder
}

/// The faults of signing; DER, because a leaf may be made not to parse.
fn sign(
    builder: Builder,
    faults: &[Fault],
    issuer: &Party,
) -> (Vec<u8>, std::sync::Arc<dyn devid::crypto::PrivateKey>) {
    let own_key = builder.key.clone();
    let issuer_key = if faults.contains(&ForgedSignature) { key() } else { issuer.key.clone() };
    let name = if faults.contains(&WrongIssuerName) {
        certificates::common_name("Somebody else")
    } else {
        issuer.certificate.subject().to_vec()
    };
    (builder.der(&name, &issuer_key), own_key)
}

/// A small generator (xorshift), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }
}
