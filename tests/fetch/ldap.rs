//! CRLs and certificates from a directory: OpenLDAP's server with the entries of a CA, and servers that are silent, lie or are none.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64ct::{Base64, Encoding};
use devid::Code;
use devid::asn1::der::element;
use devid::asn1::x509::Certificate;
use devid::client::status::{StatusAnswer, StatusQuestion, Wanted, built_in};
use devid::client::{StatusFetcher, StatusOptions};
use devid::time::Time;
use devid::transport::fetch::{FetchLimits, HttpFetch};
use devid::transport::{
    Cancel, ExchangeLimits, Fetch, FetchRequest, Fetched, HttpConfig, TransportError, TransportErrorKind,
};
use devid::validation::{Checks, RevocationMode, StatusSources};
use devid_testca::certs::Profile;
use devid_testca::server::system_time;
use devid_testca::tlv::{oid, seq, tlv};
use devid_testca::{Key, KeyType, Options, Parsed, TestCa};

use crate::left_out::left_out;

use super::{anchors, code_of, leaf_policy, options, provider, story, texts};

const BASE: &str = "o=devid";

/// `slapd` on a port of its own, with entries that are there from the start. Stopped when dropped.
struct Directory {
    server: Child,
    folder: PathBuf,
    address: SocketAddr,
}

impl Directory {
    /// `None`: there is no `slapd` here.
    fn start(address: SocketAddr, entries: &str) -> Option<Self> {
        let program = ["/usr/sbin/slapd", "/usr/libexec/slapd", "/usr/lib/openldap/slapd"];
        let Some(program) = program.into_iter().find(|program| Path::new(program).exists()) else {
            left_out("no slapd: nothing is asked of a real directory (apt-get install slapd)");
            return None;
        };
        let folder = std::env::temp_dir().join(format!("devid-slapd-{}-{}", std::process::id(), address.port()));
        std::fs::create_dir_all(folder.join("db")).unwrap();
        let modules = ["/usr/lib/ldap", "/usr/lib64/openldap", "/usr/libexec/openldap"];
        let modules = modules.into_iter().find(|path| Path::new(path).exists()).unwrap_or_default();
        let schema = ["/etc/ldap/schema/core.schema", "/etc/openldap/schema/core.schema"];
        let schema =
            schema.into_iter().find(|path| Path::new(path).exists()).expect("the schema that comes with slapd");
        let place = folder.display();
        let settings = format!(
            "include {schema}\nmodulepath {modules}\nmoduleload back_mdb\npidfile {place}/pid\nargsfile {place}/args\n\
             database mdb\nsuffix \"{BASE}\"\nrootdn \"cn=admin,{BASE}\"\ndirectory {place}/db\nmaxsize 67108864\n"
        );
        std::fs::write(folder.join("slapd.conf"), settings).unwrap();
        std::fs::write(folder.join("entries.ldif"), entries).unwrap();
        let settings = folder.join("slapd.conf");
        let added = Command::new(program)
            .args(["-T", "add", "-f"])
            .arg(&settings)
            .arg("-l")
            .arg(folder.join("entries.ldif"))
            .output()
            .unwrap();
        assert!(added.status.success(), "slapadd: {}", String::from_utf8_lossy(&added.stderr));
        let server = Command::new(program)
            .args(["-h", &format!("ldap://{address}"), "-d", "0", "-f"])
            .arg(&settings)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut directory = Directory { server, folder, address };
        for _ in 0..600 {
            if TcpStream::connect(address).is_ok() {
                return Some(directory);
            }
            assert!(directory.server.try_wait().unwrap().is_none(), "slapd ended");
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("slapd does not listen");
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// An entry in LDIF with values of one attribute.
fn entry(name: &str, classes: &[&str], attribute: &str, values: &[&[u8]]) -> String {
    let classes: String = classes.iter().map(|class| format!("objectClass: {class}\n")).collect();
    let values: String = values.iter().map(|v| format!("{attribute}:: {}\n", Base64::encode_string(v))).collect();
    format!("dn: cn={name},{BASE}\n{classes}cn: {name}\n{values}\n")
}

/// A port of this machine where nobody listens.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn url(address: SocketAddr, entry: &str, attribute: &str) -> String {
    format!("ldap://{address}/cn={entry},{BASE}?{attribute}")
}

/// A CA with its entries in a directory: its list, on which one peer stands, its certificate, its root's list.
struct World {
    ca: TestCa,
    directory: Directory,
    now: i64,
    good: Certificate,
    revoked: Certificate,
}

impl World {
    fn new() -> Option<Self> {
        let mut ca = TestCa::new(Options::default());
        let (now, address) = (system_time(), free_address());
        let uri = |url: String| tlv(0x86, &[url.as_bytes()]);
        let list = uri(url(address, "list", "certificateRevocationList;binary"));
        let points = seq(&[&seq(&[&tlv(0xa0, &[&tlv(0xa0, &[&list])])])]);
        let issuer = seq(&[&oid("1.3.6.1.5.5.7.48.2"), &uri(url(address, "ca", "cACertificate;binary"))]);
        let [good, revoked] = [(); 2].map(|()| {
            let spki = Key::generate(KeyType::P256).spki;
            let profile = Profile::new(devid_testca::certs::common_name("peer"), spki, now - 60, now + 3600);
            let profile = profile.with("2.5.29.31", false, points.clone());
            let profile = profile.with("1.3.6.1.5.5.7.1.1", false, seq(&[&issuer]));
            Certificate::from_der(&profile.signed(&ca.issuing.name(), &ca.issuing.key)).unwrap()
        });
        ca.revoke(&Parsed::read(revoked.as_der()).unwrap().serial, 1);
        let pair = seq(&[&tlv(0xa0, &[&ca.issuing.certificate]), &tlv(0xa1, &[&ca.root.certificate])]);
        let other = TestCa::new(Options::default()).issuing.certificate;
        let (crl, pki) = (&["cRLDistributionPoint"][..], &["organizationalRole", "pkiCA"][..]);
        let entries = [
            format!("dn: {BASE}\nobjectClass: organization\no: devid\n\n"),
            entry("list", crl, "certificateRevocationList;binary", &[&ca.crl(now)]),
            entry("root", crl, "authorityRevocationList;binary", &[&ca.root_crl(now)]),
            entry("ca", pki, "cACertificate;binary", &[&other, &ca.issuing.certificate]),
            entry("pair", pki, "crossCertificatePair;binary", &[&pair]),
            format!(
                "dn: cn=elsewhere,{BASE}\nobjectClass: referral\nobjectClass: extensibleObject\ncn: elsewhere\n\
                 ref: ldap://127.0.0.1:1/cn=list,{BASE}\n\n"
            ),
        ];
        let directory = Directory::start(address, &entries.concat())?;
        Some(World { ca, directory, now, good, revoked })
    }

    /// Whether a certificate is good, with what the directory has; without its issuer at hand.
    fn ask(&self, leaf: &Certificate, options: StatusOptions) -> StatusAnswer {
        let root = Certificate::from_der(&self.ca.root.certificate).unwrap();
        let (anchors, known) = (anchors(&root), StatusSources::none());
        let checks =
            Checks { revocation: leaf_policy(RevocationMode::HardFail), ..Checks::at(Time::from_unix(self.now)) };
        let question = StatusQuestion { anchors: &anchors, leaf, pool: &[], known: &known, checks: &checks };
        let mut fetch = built_in(&options).unwrap();
        StatusFetcher::new(provider().clone(), options).validate(&question, &mut fetch)
    }

    fn get(&self, entry: &str, rest: &str) -> Result<Vec<u8>, TransportError> {
        get(&url(self.directory.address, entry, rest), &quick())
    }
}

fn quick() -> ExchangeLimits {
    let second = Duration::from_secs(1);
    ExchangeLimits {
        connect_timeout: 10 * second,
        read_timeout: 10 * second,
        total_timeout: 20 * second,
        ..ExchangeLimits::default()
    }
}

/// This machine is asked because its owner says so.
fn here() -> FetchLimits {
    FetchLimits { allowed_hosts: Some(vec!["127.0.0.1".to_owned()]), ..FetchLimits::default() }
}

fn get(url: &str, limits: &ExchangeLimits) -> Result<Vec<u8>, TransportError> {
    let mut client = HttpFetch::new(HttpConfig::default(), here()).unwrap();
    match client.fetch(&FetchRequest::get(url), limits)? {
        Fetched::Document(document) => Ok(document.bytes),
        Fetched::NotModified => panic!("nothing was announced"),
    }
}

#[test]
fn lists_and_issuers_come_from_the_directory_that_certificates_name() {
    let Some(world) = World::new() else { return };
    let allowed_hosts = Some(vec!["127.0.0.1".to_owned()]);
    let options = StatusOptions { issuers: true, allowed_hosts, ..options() };
    let answer = world.ask(&world.good, options.clone());
    assert!(answer.report.is_valid(), "{}", texts(&answer));
    assert_eq!(story(&answer), [(Wanted::Issuer, "fetched"), (Wanted::Crl, "fetched")]);
    let answer = world.ask(&world.revoked, options.clone());
    assert_eq!(code_of(&answer), Some(Code::Revoked), "{}", texts(&answer));
    // Only the hosts that are allowed, and only as many requests.
    let elsewhere = StatusOptions { allowed_hosts: Some(vec!["ca.example".to_owned()]), ..options.clone() };
    assert_eq!(code_of(&world.ask(&world.good, elsewhere)), Some(Code::NoPath));
    let small = StatusOptions { max_crl_bytes: 100, ..options.clone() };
    let answer = world.ask(&world.good, small);
    assert!(
        code_of(&answer) == Some(Code::RevocationUnknown) && texts(&answer).contains("limit"),
        "{}",
        texts(&answer)
    );
    // Where directories are not among the schemes, they are not asked.
    let plain = StatusOptions { schemes: vec!["http".to_owned()], ..options };
    let answer = world.ask(&world.good, plain);
    assert!(!answer.report.is_valid() && texts(&answer).contains("the scheme ldap"), "{}", texts(&answer));
}

#[test]
fn a_url_without_a_host_means_the_directory_of_the_device() {
    let Some(world) = World::new() else { return };
    let here = world.directory.address.to_string();
    let limits = FetchLimits { directory: Some(here.clone()), ..FetchLimits::default() };
    let mut client = HttpFetch::new(HttpConfig::default(), limits).unwrap();
    // As AD CS writes them.
    let url = format!("ldap:///CN=list,{BASE}?certificateRevocationList?base?objectClass=cRLDistributionPoint");
    let Ok(Fetched::Document(document)) = client.fetch(&FetchRequest::get(&url), &quick()) else { panic!() };
    assert_eq!(document.bytes, world.get("list", "certificateRevocationList;binary").unwrap());
    let error = get(&url, &quick()).unwrap_err();
    assert!(error.kind == TransportErrorKind::Invalid && error.detail.contains("setting directory"), "{error}");
}

#[test]
fn every_attribute_of_the_standard_is_read_and_several_values_come_together() {
    let Some(world) = World::new() else { return };
    let issuing = &world.ca.issuing.certificate;
    assert!(Certificate::from_der(issuing).is_ok());
    let bundle = String::from_utf8(world.get("ca", "cACertificate").unwrap()).unwrap();
    assert_eq!(bundle.matches("-----BEGIN CERTIFICATE-----").count(), 2);
    let pair = String::from_utf8(world.get("pair", "crossCertificatePair;binary").unwrap()).unwrap();
    assert_eq!(
        pair,
        devid_testca::pem("CERTIFICATE", issuing) + &devid_testca::pem("CERTIFICATE", &world.ca.root.certificate)
    );
    assert_eq!(world.get("root", "2.5.4.38").unwrap()[0], 0x30);
    // RFC 5280 section 4.2.2.1 has this example.
    let listed =
        String::from_utf8(world.get("ca", "cACertificate;binary,crossCertificatePair;binary").unwrap()).unwrap();
    assert_eq!(listed, bundle);
    // By searching below the base.
    let found =
        get(&format!("ldap://{}/{BASE}?authorityRevocationList?sub?(cn=root)", world.directory.address), &quick());
    assert_eq!(found.unwrap(), world.get("root", "authorityRevocationList;binary").unwrap());
}

#[test]
fn what_a_directory_does_not_have_or_has_elsewhere_is_told_in_words() {
    let Some(world) = World::new() else { return };
    for (entry, rest, kind, words) in [
        ("nobody", "certificateRevocationList;binary", TransportErrorKind::Broken, "noSuchObject"),
        ("list", "deltaRevocationList;binary", TransportErrorKind::Broken, "no attribute deltaRevocationList"),
        ("list", "certificateRevocationList?base?(cn=other)", TransportErrorKind::Broken, "no such entry"),
        ("elsewhere", "certificateRevocationList;binary", TransportErrorKind::Limit, "referrals are not followed"),
    ] {
        let error = world.get(entry, rest).unwrap_err();
        assert!(error.kind == kind && error.detail.contains(words), "{entry} {rest}: {error}");
        assert!(!error.is_possibly_delivered);
    }
    let small = ExchangeLimits { max_reply_bytes: 200, ..quick() };
    let error = get(&url(world.directory.address, "list", "certificateRevocationList"), &small).unwrap_err();
    assert_eq!(error.kind, TransportErrorKind::TooLarge, "{error}");
    let dead = url(free_address(), "list", "certificateRevocationList");
    assert_eq!(get(&dead, &quick()).unwrap_err().kind, TransportErrorKind::Connect);
}

/// Where to ask is a stranger's choice, and what is asked holds no lines.
#[test]
fn this_machine_its_link_and_other_ports_are_asked_by_the_owners_word_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    let mut stranger =
        HttpFetch::new(HttpConfig::default(), FetchLimits { max_hosts: 20, ..FetchLimits::default() }).unwrap();
    for host in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        "directory.example:6379".to_owned(),
        "127.0.0.1".to_owned(),
        "127.9.9.9:3268".to_owned(),
        "[::1]".to_owned(),
        "[::ffff:127.0.0.1]".to_owned(),
        "169.254.169.254".to_owned(),
        "[fe80::1]".to_owned(),
        "0.0.0.0".to_owned(),
    ] {
        let url = format!("ldap://{host}/cn=list?certificateRevocationList");
        let error = stranger.fetch(&FetchRequest::get(&url), &quick()).unwrap_err();
        assert_eq!(error.kind, TransportErrorKind::Limit, "{host}: {error}");
        assert!(error.detail.contains("directory of the settings"), "{host}: {error}");
    }
    let url = format!("ldap://127.0.0.1:{port}/cn=%0d%0aFLUSHALL%0d%0a?certificateRevocationList");
    assert_eq!(get(&url, &quick()).unwrap_err().kind, TransportErrorKind::Invalid);
    assert!(listener.accept().is_err(), "nobody was asked");
    let limits = FetchLimits { directory: Some(format!("127.0.0.1:{port}")), ..FetchLimits::default() };
    let mut own = HttpFetch::new(HttpConfig::default(), limits).unwrap();
    let short = ExchangeLimits { read_timeout: Duration::from_millis(100), ..quick() };
    let url = format!("ldap://127.0.0.1:{port}/cn=list?certificateRevocationList");
    assert_eq!(own.fetch(&FetchRequest::get(&url), &short).unwrap_err().kind, TransportErrorKind::Timeout);
    assert!(listener.accept().is_ok(), "the owner's directory is asked wherever it is");
}

/// A server that answers one search with these bytes and then waits for the client to leave, or leaves itself.
fn answering(answer: Vec<u8>, leaves: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request);
        let _ = stream.write_all(&answer);
        while !leaves && stream.read(&mut request).is_ok_and(|count| count > 0) {}
    });
    address
}

fn message(operation: &[u8]) -> Vec<u8> {
    element(0x30, &[&[2, 1, 1], operation])
}

fn done(code: u8, words: &str) -> Vec<u8> {
    element(0x65, &[&[0x0a, 1, code], &[4, 0], &element(4, &[words.as_bytes()])])
}

fn result_entry(attribute: &str, value: &[u8]) -> Vec<u8> {
    let values = element(0x31, &[&element(4, &[value])]);
    let attribute = element(0x30, &[&element(4, &[attribute.as_bytes()]), &values]);
    element(0x64, &[&[4, 0], &element(0x30, &[&attribute])])
}

#[test]
fn servers_that_are_silent_lie_or_are_none_cost_what_the_limits_say() {
    use TransportErrorKind as Kind;
    let list = result_entry("certificateRevocationList;binary", b"a list");
    let other = result_entry("userPassword", b"secret");
    let reference = element(0x73, &[&element(4, &[b"ldap://elsewhere.example/x"])]);
    let notice =
        element(0x30, &[&[2, 1, 0], &element(0x78, &[&[0x0a, 1, 52], &[4, 0], &element(4, &[b"going down"])])]);
    let endless = message(&list).repeat(40);
    for (name, answer, leaves, kind, words) in [
        ("silence", Vec::new(), false, Kind::Timeout, "no answer in time"),
        ("a closed door", Vec::new(), true, Kind::Broken, "closed the connection without an answer"),
        ("HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), true, Kind::Broken, "one of HTTP"),
        ("4 GiB announced", vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff], false, Kind::TooLarge, "4294967295 bytes"),
        ("no definite length", vec![0x30, 0x80, 2, 1, 1], false, Kind::Broken, "length"),
        ("cut short", message(&list)[..20].to_vec(), true, Kind::Broken, "closed the connection"),
        ("an entry and no end", message(&list), false, Kind::Timeout, "no answer in time"),
        (
            "another attribute",
            [message(&other), message(&done(0, ""))].concat(),
            false,
            Kind::Broken,
            "\"userPassword\"",
        ),
        (
            "a reference",
            [message(&reference), message(&done(0, ""))].concat(),
            false,
            Kind::Limit,
            "ldap://elsewhere.example/x",
        ),
        ("messages without end", endless, false, Kind::Limit, "more than 32 messages"),
        ("a notice", notice, true, Kind::Broken, "closes the connection"),
        ("refused", message(&done(50, "ask the \u{202e}admin")), true, Kind::Broken, "insufficientAccessRights"),
        ("busy", message(&done(51, "")), true, Kind::Busy, "51 (busy)"),
        ("no TLS", message(&done(13, "")), true, Kind::Broken, "13 (confidentialityRequired): it is asked without TLS"),
        (
            "Active Directory",
            message(&done(
                1,
                "000004DC: LdapErr: DSID-0C090A5C, comment: In order to perform this operation a successful bind must be completed on the connection., data 0, v4563",
            )),
            true,
            Kind::Broken,
            "1 (operationsError): it is asked anonymously",
        ),
        ("an unknown code", message(&done(123, "")), true, Kind::Broken, "123 (not known)"),
        (
            "a list and then a failure",
            [message(&list), message(&done(3, ""))].concat(),
            true,
            Kind::Timeout,
            "timeLimit",
        ),
        ("junk", element(0x30, &[&[2, 1, 1], &[0x64, 2, 0x30, 0x05]]), true, Kind::Broken, "not one of LDAP"),
        (
            "an answer to somebody else",
            element(0x30, &[&[2, 1, 9], &done(0, "")]),
            true,
            Kind::Broken,
            "not one of LDAP",
        ),
    ] {
        let limits = ExchangeLimits { read_timeout: Duration::from_millis(300), ..quick() };
        let error = get(&url(answering(answer, leaves), "list", "certificateRevocationList"), &limits).unwrap_err();
        assert!(error.kind == kind && error.detail.contains(words), "{name}: {error}");
        assert!(!error.to_string().contains('\u{202e}'), "{name}: what turns the line round is not shown");
    }
    // Other errors of operations are not about who asks.
    let served = answering(message(&done(1, "the database is gone")), true);
    let error = get(&url(served, "list", "certificateRevocationList"), &quick()).unwrap_err();
    assert!(error.detail.ends_with("1 (operationsError)"), "{error}");
    // There may be more entries, and what was not asked about may be told: the list has come.
    let told = element(0x79, &[&[0x80, 1, b'1']]);
    for end in [done(0, ""), done(4, "")] {
        let served = answering([message(&told), message(&list), message(&end)].concat(), false);
        assert_eq!(get(&url(served, "list", "certificateRevocationList"), &quick()).unwrap(), b"a list");
    }
    let served = answering([message(&list), message(&done(0, ""))].concat(), false);
    assert_eq!(get(&url(served, "list", "certificateRevocationList"), &quick()).unwrap(), b"a list");
}

#[test]
fn a_search_can_be_cancelled_and_ocsp_goes_to_no_directory() {
    let cancel = Cancel::new();
    let limits = ExchangeLimits { cancel: Some(cancel.clone()), ..quick() };
    let address = answering(Vec::new(), false);
    let asked = std::thread::spawn(move || get(&url(address, "list", "certificateRevocationList"), &limits));
    std::thread::sleep(Duration::from_millis(100));
    cancel.cancel();
    assert_eq!(asked.join().unwrap().unwrap_err().kind, TransportErrorKind::Cancelled);
    let mut client = HttpFetch::new(HttpConfig::default(), here()).unwrap();
    let error = client.fetch(&FetchRequest::ocsp("ldap://127.0.0.1/cn=x?cACertificate", b"0"), &quick()).unwrap_err();
    assert_eq!(error.kind, TransportErrorKind::Unsupported);
}
