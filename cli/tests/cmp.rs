//! `devid cmp` as scripts for `openssl cmp` call it: the same options, the same files, status 0 or 1; against the test CA.

use std::path::PathBuf;
use std::process::{Command, Output};

use devid::asn1::name::Name;
use devid::asn1::x509::Certificate;
use devid_testca::{Options, Server, TestCa};

struct Script {
    folder: PathBuf,
    server: Server,
}

impl Script {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("devid-cmp-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let server = Server::start_at(TestCa::new(Options::default()), 0).unwrap();
        server.with(|ca| ca.write_material(&folder)).unwrap();
        let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        let conf = format!(
            "[default]\nserver = {}\ntrusted = root.pem\nuntrusted = issuing.pem\nout_trusted = root.pem\n\
             subject = \"/CN=router-7/O=Example\"\nnewkey = idevid-rsa.key\ncertout = cert.pem\n\
             [secret]\nref = {}\nsecret = pass:{}\n[device]\ncert = idevid.pem\nkey = idevid.key\nextracerts = supplier.pem\n\
             [exts]\nkeyUsage = critical, digitalSignature\nsubjectAltName = @names\n[names]\nDNS.0 = router-7.example\n",
            server.cmp_url().trim_start_matches("http://"),
            text("reference.txt"),
            text("secret.txt"),
        );
        std::fs::write(folder.join("client.cnf"), conf).unwrap();
        Script { folder, server }
    }

    fn run(&self, section: &str, words: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_devid"))
            .current_dir(&self.folder)
            .args(["--json", "cmp", "-config", "client.cnf", "-section", section])
            .args(words.split_whitespace())
            .stdin(std::process::Stdio::null())
            .env_remove("http_proxy")
            .output()
            .unwrap()
    }

    fn good(&self, section: &str, words: &str) {
        let output = self.run(section, words);
        assert_eq!(output.status.code(), Some(0), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A run that is to fail, and the status that other commands would have for it.
    fn bad(&self, section: &str, words: &str) -> (i64, String) {
        let output = self.run(section, words);
        assert_eq!(output.status.code(), Some(1), "{words}");
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let error = &document["error"];
        (error["exit"].as_i64().unwrap(), error["message"].as_str().unwrap().to_owned())
    }

    fn certificates(&self, name: &str) -> Vec<Certificate> {
        Certificate::many_from_bytes(&std::fs::read(self.folder.join(name)).unwrap()).unwrap()
    }

    fn received(&self, body: i32) -> usize {
        self.server.with(|ca| ca.received.iter().filter(|message| message.body == body).count())
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn a_certificate_is_asked_for_updated_and_revoked() {
    let script = Script::new("life");
    script.good("secret", "-cmd ir -chainout chain.pem -cacertsout ca.pem -reqexts exts -days 10");
    let first = script.certificates("cert.pem").remove(0);
    assert_eq!(devid::asn1::name::display(first.subject()), "O=Example,CN=router-7");
    assert_eq!(devid::validation::alternative_names(&first), ["DNS:router-7.example"]);
    assert_eq!(script.certificates("chain.pem").len(), 1, "the issuing CA, without the root");

    let own = "-cert cert.pem -key idevid-rsa.key -untrusted chain.pem";
    script.good("default", &format!("-cmd kur {own} -newkey idevid.key -certout next.pem -srvcertout signer.pem"));
    let next = script.certificates("next.pem").remove(0);
    assert_eq!(next.subject(), first.subject());
    assert_ne!(next.as_der(), first.as_der());
    assert_eq!(script.certificates("signer.pem"), script.certificates("cmp-signer.pem"));

    let own = "-cert next.pem -key idevid.key -untrusted chain.pem";
    script.good("default", &format!("-cmd rr {own} -oldcert next.pem -revreason 1"));
    let (class, words) = script.bad("default", &format!("-cmd rr {own} -oldcert next.pem -revreason 1"));
    assert!(class == 6 || class == 5, "revoked already: {class} {words}");
}

#[test]
fn messages_go_to_files_and_a_request_can_be_written_alone() {
    let script = Script::new("files");
    script.good("device", "-cmd cr -reqout cr.der,conf.der -rspout cp.der,pkiconf.der");
    for (name, body) in [("cr.der", "cr"), ("conf.der", "certConf"), ("cp.der", "cp"), ("pkiconf.der", "pkiconf")] {
        let message = std::fs::read(script.folder.join(name)).unwrap();
        let words = devid::cmp::describe_message(&message, &devid::limits::Limits::default()).unwrap();
        assert!(words.starts_with(&format!("{body},")), "{name}: {words}");
    }
    let before = script.received(0);
    script.good("device", "-cmd ir -reqout_only alone.der");
    assert!(script.folder.join("alone.der").exists());
    assert_eq!(script.received(0), before, "nothing was sent");
}

/// What the CA made otherwise is taken, and told.
#[test]
fn what_differs_is_taken_and_told() {
    let script = Script::new("differs");
    script.server.with(|ca| {
        ca.knobs.set("status", "1").unwrap();
        ca.knobs.set("text", "as we have it").unwrap();
    });
    let output = script.run("secret", "-cmd ir");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("warning: ") && told.contains("as we have it"), "{told}");
}

/// openssl-cmp(1): with the NULL-DN no subject, or no issuer, is placed in the template.
#[test]
fn the_null_dn_asks_for_no_name() {
    let script = Script::new("null");
    let shown = |words: &str| {
        script.good("device", &format!("-cmd ir -reqout_only null.der {words}"));
        let message = std::fs::read(script.folder.join("null.der")).unwrap();
        let text = devid::inspect::inspect(&message, devid::inspect::Format::Text).unwrap();
        // Of the template, and not of the certificates that come along.
        let [_, template] = [0, 1].map(|at| text.split("certTemplate:").nth(at).unwrap_or_default());
        template.split("popo:").next().unwrap_or_default().to_owned()
    };
    let [named, nameless] = [shown("-issuer /"), shown("-subject / -issuer / -recipient /")];
    assert!(named.contains("router-7") && !nameless.contains("router-7"), "{nameless}");
    assert!(!nameless.contains("subject:"), "{nameless}");
    // Whom alternative names alone tell has the NULL-DN (RFC 9483 section 4.1.1).
    let by_name = shown("-subject / -sans router-7.example");
    assert!(by_name.contains("router-7.example") && by_name.contains("subject"), "{by_name}");
}

#[test]
fn questions_are_answered_into_files() {
    let script = Script::new("genm");
    script.good("device", "-cmd genm -infotype caCerts -cacertsout cacerts.pem");
    assert!(!script.certificates("cacerts.pem").is_empty());
    let (class, words) = script.bad("device", "-cmd genm -infotype caCerts");
    assert!(class == 2 && words.contains("-cacertsout"), "{words}");
    let (class, words) = script.bad("device", "-cmd genm -infotype weather");
    assert!(class == 2 && words.contains("weather"), "{words}");
}

#[test]
fn who_is_not_believed_brings_no_certificate() {
    let script = Script::new("trust");
    for (wrong, class) in [
        ("-trusted supplier-root.pem", 5),
        ("-expect_sender /CN=nobody", 5),
        ("-srvcert idevid.pem", 5),
        ("-trusted issuing.pem", 3),
        ("-out_trusted supplier-root.pem", 11),
    ] {
        let (found, words) = script.bad("device", &format!("-cmd ir {wrong}"));
        assert_eq!(found, class, "{wrong}: {words}");
        assert!(!script.folder.join("cert.pem").exists(), "{wrong}");
    }
    // Where a MAC protects the answer, its sender is all that the option can be about.
    let (found, words) = script.bad("secret", "-cmd ir -expect_sender /CN=nobody");
    assert!(found == 5 && words.contains("expected CN=nobody (-expect_sender)"), "{found}: {words}");
    assert!(!script.folder.join("cert.pem").exists());
    let sender = Name::from_der(script.certificates("cmp-signer.pem")[0].subject()).unwrap().to_string();
    let sender: Vec<&str> = sender.rsplit(',').collect();
    let conf = format!("[sender]\nexpect_sender = \"/{}\"\n", sender.join("/"));
    let file = script.folder.join("client.cnf");
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + &conf).unwrap();
    script.good("secret,sender", "-cmd ir");
    script.good("device", "-cmd ir -srvcert cmp-signer.pem");
    script.good("device", "-cmd ir -trusted issuing.pem -partial_chain");
}

#[test]
fn nothing_is_asked_for_that_could_not_be_kept() {
    let script = Script::new("places");
    for wrong in ["-certout nowhere/cert.pem", "-certout .", "-chainout nowhere/x", "-centralkeygen -newkeyout no/k"] {
        let (class, words) = script.bad("device", &format!("-cmd ir {wrong}"));
        assert!(class == 3 && words.contains("no file can be written"), "{wrong}: {words}");
    }
    let (class, words) = script.bad("device", "-cmd ir -centralkeygen");
    assert!(class == 2 && words.contains("-newkeyout"), "{words}");
    assert_eq!(script.received(0), 0, "no ir went out");
}

#[test]
fn names_and_options_are_written_as_for_openssl() {
    let script = Script::new("names");
    script.good("device", "-cmd=ir -subject=/DC=org/DC=example/UID=123456+CN=a -certout=named.pem");
    let named = &script.certificates("named.pem")[0];
    assert_eq!(Name::from_der(named.subject()).unwrap(), Name::parse("UID=123456+CN=a,DC=example,DC=org").unwrap());
    let (class, words) = script.bad("device", "-cmd ir -implicit_confirm=1");
    assert!(class == 2 && words.contains("takes no value"), "{words}");

    // The reference names the new certificate, also where it has alternative names; names that are typed stand for themselves.
    let conf = std::fs::read_to_string(script.folder.join("client.cnf")).unwrap();
    std::fs::write(script.folder.join("client.cnf"), conf.replace("subject =", "unused =")).unwrap();
    script.good("device", "-cmd ir -subject /CN=old -sans old.example -certout old.pem");
    let of_reference = Name::parse("CN=old").unwrap();
    script.good("device", "-cmd ir -oldcert old.pem -certout again.pem");
    let again = &script.certificates("again.pem")[0];
    assert_eq!(Name::from_der(again.subject()).unwrap(), of_reference);
    assert!(again.extension(devid::asn1::oid::CE_SUBJECT_ALT_NAME).is_some());
    script.good("device", "-cmd ir -oldcert old.pem -sans new.example -reqout_only other.der");
    let request = std::fs::read(script.folder.join("other.der")).unwrap();
    let subject = [0xa5, 2, 0x30, 0];
    assert!(request.windows(4).any(|bytes| bytes == subject), "a subject [5] without attributes");
}

#[test]
fn a_file_that_cannot_be_written_takes_no_other_with_it() {
    let script = Script::new("full");
    let (class, words) = script.bad("device", "-cmd ir -chainout /dev/full -extracertsout extra.pem");
    assert!(class == 3 && words.contains("/dev/full"), "{words}");
    assert_eq!((script.certificates("cert.pem").len(), script.received(24)), (1, 1));
    assert!(!script.certificates("extra.pem").is_empty());
}

#[test]
fn the_words_are_those_of_the_options() {
    let script = Script::new("words");
    let conf = std::fs::read_to_string(script.folder.join("client.cnf")).unwrap();
    std::fs::write(script.folder.join("client.cnf"), conf.replace("trusted = root.pem\n", "")).unwrap();
    let (_, words) = script.bad("device", "-cmd ir");
    assert!(words.contains("-trusted or -srvcert is missing"), "{words}");
    let told = script.run("device", "-cmd ir -trusted root.pem -proxy http://127.0.0.1:1");
    let told = String::from_utf8(told.stderr).unwrap();
    assert!(!told.contains("ca.proxy"), "{told}");
}

#[test]
fn the_issuer_that_came_counts_where_no_anchor_is_named() {
    let script = Script::new("issuer");
    let conf = std::fs::read_to_string(script.folder.join("client.cnf")).unwrap();
    std::fs::write(script.folder.join("client.cnf"), conf.replace("out_trusted = root.pem\n", "")).unwrap();
    script.good("device", "-cmd ir");
    script.good("secret", "-cmd ir -trusted root.pem");
    assert_eq!(script.certificates("cert.pem").len(), 1);
    let (class, _) = script.bad("device", "-cmd ir -trusted supplier-root.pem");
    assert_eq!(class, 5, "an answer that is not believed vouches for nothing");
}
