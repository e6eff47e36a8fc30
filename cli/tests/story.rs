//! The command as a person uses it, against the test CA: each good way with its dark twin.

mod common;

use std::path::Path;
use std::process::Command;

use common::{Story, json, private};

#[test]
fn a_device_enrols_renews_exports_and_revokes_by_commands() {
    let story = Story::new("whole");
    story.init_with_secret();
    let doctor = json(&story.good(&["--json", "doctor"]));
    assert_eq!(doctor["errors"], 0, "{doctor}");

    let page = story.path("trace.html");
    let enrolled = json(&story.good(&["--json", "enroll", "--trace", &page]));
    assert_eq!(enrolled["changed"], true);
    assert_eq!(enrolled["identities"][0]["generation"], 1);
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("certConf") && page.contains("data:application/pkixcmp;base64,"));
    assert!(!page.contains("correct-horse"), "the secret is in the trace");

    let status = story.good(&["status"]);
    assert!(status.contains("valid") && status.contains("router-7"), "{status}");
    assert_eq!(story.run(&["keep", "--exit-code"]).status.code(), Some(20), "nothing is due");
    story.good(&["keep"]);
    story.good(&["renew", "--now"]);
    assert_eq!(json(&story.good(&["--json", "status"]))["identities"][0]["generation"], 2);
    assert_eq!(json(&story.good(&["--json", "store", "rollback", "device"]))["generation"], 1);
    story.good(&["store", "rollback", "device"]);

    let files = story.good(&["export", "device", "nginx", &story.path("nginx")]);
    assert!(files.lines().all(|file| Path::new(file).exists()), "{files}");
    assert!(story.good(&["show", "device", "fullchain"]).matches("BEGIN CERTIFICATE").count() >= 2);
    assert!(!story.good(&["show", "device", "text"]).contains("PRIVATE"));

    story.good(&["revoke", "--reason", "superseded"]);
}

#[test]
fn init_makes_the_folder_of_its_settings_and_where_it_cannot_leaves_nothing_behind() {
    let story = Story::new("folders");
    let (server, root) = (story.server.cmp_url(), story.path("root.pem"));
    let init = |settings: &str, memory: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_devid"));
        command.args(["--config", settings, "--memory", memory, "init", "--server", &server, "--trust", &root]);
        let done = command.args(["--subject", "CN=a"]).output().unwrap();
        (done.status.code().unwrap(), String::from_utf8(done.stderr).unwrap())
    };
    let (settings, memory) = (story.path("etc/devid/devid.toml"), story.path("memory"));
    assert_eq!(init(&settings, &memory).0, 0, "a folder that is missing is made");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(story.path("etc/devid")).unwrap().permissions());
    assert_eq!(mode & 0o022, 0, "nobody else writes there: {mode:o}");

    let other = story.path("other-memory");
    let (status, words) = init(&story.path("root.pem/devid.toml"), &other);
    assert!(status == 3 && words.contains("root.pem") && words.contains("--output"), "a file is no folder: {words}");
    assert!(!Path::new(&other).exists(), "device memory was made all the same");

    let (settings, memory) = (story.path("second.toml"), story.path("not/mounted/memory"));
    let (status, words) = init(&settings, &memory);
    assert!(status == 3 && words.contains("not/mounted") && words.contains("--memory"), "{words}");
    assert!(!Path::new(&settings).exists() && !Path::new(&story.path("not")).exists());
    // The same command goes well once the folder is there.
    std::fs::create_dir_all(story.path("not/mounted")).unwrap();
    assert_eq!(init(&settings, &memory).0, 0);
}

#[test]
fn init_writes_no_settings_that_the_next_command_would_refuse() {
    let story = Story::new("refused");
    let (server, root, settings, memory) =
        (story.server.cmp_url(), story.path("root.pem"), story.path("devid.toml"), story.path("memory"));
    for (wrong, told) in [
        (["--profile", "no-such"], "no-such"),
        (["--identity", "../x"], "../x"),
        (["--identity", ""], "identity"),
        (["--dns", "bad host name"], "bad host name"),
        (["--subject", "nonsense"], "nonsense"),
    ] {
        let mut arguments = vec!["init", "--server", &server, "--trust", &root];
        arguments.extend(wrong);
        if wrong[0] != "--subject" {
            arguments.extend(["--subject", "CN=a"]);
        }
        let (status, words) = story.bad(&arguments);
        assert!(status == 2 && words.contains(told), "{wrong:?}: {status} {words}");
        assert!(!Path::new(&settings).exists() && !Path::new(&memory).exists(), "{wrong:?} left something behind");
    }
    // A secret that systemd gives later is none of today's.
    let mut arguments = vec!["init", "--server", &server, "--trust", &root, "--subject", "CN=a", "--profile", "ejbca"];
    arguments.extend(["--reference", "4711", "--secret", "cred:later", "--identity", "gate_1", "--dns", "a.example"]);
    story.good(&arguments);
    assert!(story.good(&["status"]).starts_with("gate_1 "));
}

#[test]
fn the_version_tells_what_is_built_in() {
    let told = |word: &str| Command::new(env!("CARGO_BIN_EXE_devid")).arg(word).output().unwrap().stdout;
    let text = String::from_utf8(told("--version")).unwrap();
    let features = text.lines().find_map(|line| line.strip_prefix("features: ")).unwrap();
    for feature in ["crypto-awslc", "http", "settings", "legacy-ciphers"] {
        assert!(features.split(' ').any(|one| one == feature), "{features}");
    }
    assert_eq!(features.split(' ').any(|one| one == "pkcs11"), cfg!(feature = "pkcs11"));
    assert_eq!(String::from_utf8(told("-V")).unwrap().trim(), concat!("devid ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_is_wrong_is_told_with_a_status_of_its_own() {
    let story = Story::new("wrong");
    let (status, words) = story.bad(&["status"]);
    assert_eq!(status, 2, "no settings file yet: {words}");
    story.init_with_secret();

    let (status, words) = story.bad(&["-o", "ca.sever=x", "status"]);
    assert!(status == 2 && words.contains("ca.server"), "{status} {words}");

    std::fs::write(story.folder.join("wrong.txt"), "wrong").unwrap();
    private(&story.folder.join("wrong.txt"));
    let wrong = format!("ca.login.secret=\"file:{}\"", story.path("wrong.txt"));
    let (status, words) = story.bad(&["-o", &wrong, "enroll"]);
    assert!((5..=6).contains(&status), "a wrong secret: {status} {words}");
    assert!(!words.contains("correct-horse"), "{words}");

    story.good(&["store", "reset", "device"]);
    let (status, words) = story.bad(&["-o", "ca.server=\"http://127.0.0.1:1/cmp\"", "enroll"]);
    assert_eq!(status, 7, "nobody listens: {words}");

    let failed = story.run(&["--json", "show", "device", "cert"]);
    let error = json(&String::from_utf8(failed.stdout).unwrap());
    assert_eq!((error["ok"].as_bool(), error["error"]["code"].as_str()), (Some(false), Some("NOT_FOUND")));

    let (status, words) =
        story.bad(&["init", "--server", "http://a.example/", "--trust", &story.path("root.pem"), "--subject", "CN=a"]);
    assert!(status == 2 && words.contains("exists already"), "{words}");
}

#[test]
fn a_request_goes_out_and_its_certificate_comes_back_by_files() {
    let story = Story::new("offline");
    story.init_with_secret();
    let first = story.good(&["request"]);
    assert_eq!(first, story.good(&["request"]), "the same request, over the same key");
    let shown = {
        std::fs::write(story.folder.join("r.csr"), &first).unwrap();
        story.good(&["inspect", &story.path("r.csr")])
    };
    assert!(shown.contains("router-7"), "{shown}");
    let (status, words) = story.bad(&["import", &story.path("peer-good.pem")]);
    assert!(words.contains("NOT_FOUND"), "somebody else's certificate: {status} {words}");
}

#[test]
fn peers_are_judged_by_the_first_certificate_of_the_file() {
    let story = Story::new("peers");
    story.init_with_secret();
    let (root, issuing, crl) = (story.path("root.pem"), story.path("issuing.pem"), story.path("issuing.crl"));
    let check = |peer: &str, name: &str, status: &str| {
        let peer = story.path(peer);
        story.run(&[
            "--json",
            "validate",
            &peer,
            "--trust",
            &root,
            "--untrusted",
            &issuing,
            "--name",
            name,
            "--crl",
            &crl,
            "--status",
            status,
        ])
    };
    let good = check("peer-good.pem", "dns:good.peer.example", "soft");
    assert_eq!(good.status.code(), Some(0), "{}", String::from_utf8_lossy(&good.stderr));
    assert_eq!(json(&String::from_utf8(good.stdout).unwrap())["valid"], true);
    // All lists of one file count, whichever comes first.
    let block = |name: &str| devid::asn1::pem::encode("X509 CRL", &std::fs::read(story.path(name)).unwrap());
    let bundle = [block("root.crl"), block("issuing.crl")].map(|block| block.to_string()).concat();
    std::fs::write(story.path("bundle.pem"), bundle).unwrap();
    let der = ["root.crl", "issuing.crl"].map(|name| std::fs::read(story.path(name)).unwrap());
    std::fs::write(story.path("bundle.der"), der.concat()).unwrap();
    let arguments = ["--json", "validate", &story.path("peer-revoked.pem"), "--trust", &root, "--untrusted", &issuing];
    for bundle in ["bundle.pem", "bundle.der"] {
        let bundled = story.run(&[&arguments[..], &["--name", "any", "--crl", &story.path(bundle)]].concat());
        assert_eq!(json(&String::from_utf8(bundled.stdout).unwrap())["error"]["code"], "REVOKED", "{bundle}");
    }
    // One that cannot be read is told, with its place and its file where it is the only one.
    std::fs::write(story.path("cut.crl"), &der[1][..der[1].len() - 9]).unwrap();
    std::fs::write(story.path("cut.der"), [&der[0][..], &der[1][..der[1].len() - 9]].concat()).unwrap();
    let peer = story.path("peer-good.pem");
    let by = |crl: &str| {
        let more = ["--name", "any", "--crl", &story.path(crl)];
        story.run(&[&["validate", &peer], &arguments[3..], &more].concat())
    };
    let (alone, beside) = (by("cut.crl"), by("cut.der"));
    let words = String::from_utf8_lossy(&alone.stderr).into_owned();
    assert!(alone.status.code() == Some(3) && words.contains("cut.crl"), "{words}");
    assert!(String::from_utf8_lossy(&beside.stdout).contains("behind others, from byte"));
    for (peer, name, code) in
        [("peer-good.pem", "dns:other.example", "NAME"), ("peer-revoked.pem", "dns:revoked.peer.example", "REVOKED")]
    {
        let refused = check(peer, name, "soft");
        assert_eq!(refused.status.code(), Some(9), "{peer}");
        assert_eq!(json(&String::from_utf8(refused.stdout).unwrap())["error"]["code"], code);
    }
}

/// Under hard fail the signer and the CA above it need a list each; one alone is too little.
#[test]
fn all_lists_of_a_file_count_for_signers_of_answers_too() {
    let story = Story::new("signer-lists");
    story.init_with_secret();
    // From then on answers are signed.
    story.good(&["enroll"]);
    let block =
        |name: &str| devid::asn1::pem::encode("X509 CRL", &std::fs::read(story.path(name)).unwrap()).to_string();
    let lists = [block("root.crl"), block("issuing.crl")];
    for (file, content, is_enough) in [("root.pem.crl", &lists[..1], false), ("both.pem.crl", &lists[..], true)] {
        std::fs::write(story.path(file), content.concat()).unwrap();
        let crls = format!("ca.trust.crls=[{:?}]", story.path(file));
        let output = story.run(&["-o", "ca.trust.status=\"hard\"", "-o", &crls, "ca", "certs"]);
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), is_enough, "{file}: {words}");
        assert!(is_enough || words.contains("status") || words.contains("revo"), "{words}");
    }
    let der = ["root.crl", "issuing.crl"].map(|name| std::fs::read(story.path(name)).unwrap()).concat();
    for (file, length, is_enough) in [("both.der.crl", der.len(), true), ("cut.der.crl", der.len() - 9, false)] {
        std::fs::write(story.path(file), &der[..length]).unwrap();
        let crls = format!("ca.trust.crls=[{:?}]", story.path(file));
        let output = story.run(&["-o", "ca.trust.status=\"hard\"", "-o", &crls, "ca", "certs"]);
        assert_eq!(output.status.success(), is_enough, "{file}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn what_device_memory_knows_about_a_peer_counts_for_the_command_too() {
    use devid::client::certificates::ReadAs;
    use devid::client::device::{Device, read_certificates};
    use devid::client::{CrlSubject, keep_crl, run::system_time};
    use devid::validation::TrustAnchors;

    let story = Story::new("memory-knows");
    story.init_with_secret();
    let (root, issuing, peer) = (story.path("root.pem"), story.path("issuing.pem"), story.path("peer-revoked.pem"));
    let judge = |memory: &str| {
        let name = "dns:revoked.peer.example";
        let arguments = [
            "--json",
            "--memory",
            memory,
            "validate",
            &peer,
            "--trust",
            &root,
            "--untrusted",
            &issuing,
            "--name",
            name,
        ];
        let settings = story.path("devid.toml");
        let output = Command::new(env!("CARGO_BIN_EXE_devid")).args(["--config", &settings]).args(arguments).output();
        let output = output.unwrap();
        (output.status.code(), json(&String::from_utf8(output.stdout).unwrap()))
    };
    let memory = story.path("memory");
    story.good(&["status"]);
    assert_eq!(judge(&memory).0, Some(0), "no list is at hand, and the mode is soft");

    let device = Device::from_file(&story.folder.join("devid.toml")).unwrap();
    let revoked =
        read_certificates([Path::new(&peer)], ReadAs::Certificates, &mut |words| panic!("{words}")).unwrap().remove(0);
    let intermediates =
        read_certificates([Path::new(&issuing)], ReadAs::Certificates, &mut |words| panic!("{words}")).unwrap();
    let mut anchors = TrustAnchors::new();
    anchors
        .add(read_certificates([Path::new(&root)], ReadAs::Anchors, &mut |words| panic!("{words}")).unwrap().remove(0));
    let about =
        CrlSubject { certificate: &revoked, intermediates: &intermediates, anchors: &anchors, at: system_time() };
    let list = std::fs::read(story.path("issuing.crl")).unwrap();
    let kept = keep_crl(&devid::crypto::default_provider(), &device.store, &list, &about);
    assert_eq!(kept.unwrap_err().code(), devid::Code::Revoked);
    drop(device);

    let (status, told) = judge(&memory);
    assert_eq!((status, told["error"]["code"].as_str()), (Some(9), Some("REVOKED")), "{told}");
    // Memory that is there and cannot be read has not said that it knows nothing.
    let mark = std::fs::read(Path::new(&memory).join("devid-store")).unwrap();
    std::fs::write(Path::new(&memory).join("devid-store"), "damaged").unwrap();
    assert!(judge(&memory).0 != Some(0));
    std::fs::write(Path::new(&memory).join("devid-store"), mark).unwrap();
    assert_eq!(judge(&memory).0, Some(9));
    assert_eq!(judge(&story.path("another")).0, Some(0), "another device's memory knows nothing");
}

#[test]
fn a_certificate_that_waits_for_approval_is_fetched_by_the_next_call() {
    let story = Story::new("waiting");
    story.init_with_secret();
    story.server.with(|ca| ca.knobs.set("waiting", "1")).unwrap();
    let waiting = story.run(&["enroll", "--no-wait"]);
    assert_eq!(waiting.status.code(), Some(21), "{}", String::from_utf8_lossy(&waiting.stderr));
    assert!(story.good(&["status"]).contains("under way"));
    let went_on = json(&story.good(&["--json", "enroll"]));
    assert_eq!(went_on["identities"][0]["did"], "installed");
    assert_eq!(story.server.with(|ca| ca.received.iter().filter(|message| message.body == 0).count()), 1, "one ir");
}

/// A question is not kept, and nobody says that it is.
#[test]
fn a_question_that_waits_is_left_in_words() {
    let story = Story::new("asks-waits");
    story.init_with_secret();
    story.good(&["enroll"]);
    story.knob("other-waiting", "2");
    let left = story.run(&["ca", "--no-wait", "certs"]);
    let words = String::from_utf8_lossy(&left.stderr).into_owned();
    assert_eq!(left.status.code(), Some(21), "{words}");
    assert!(words.contains("not kept") && !words.contains("goes on"), "{words}");
}

#[test]
fn a_revocation_that_waits_is_gone_on_with_and_known_once_it_is_done() {
    let story = Story::new("revoke-waits");
    story.init_with_secret();
    story.good(&["enroll"]);
    story.knob("other-waiting", "2");
    let requests = || story.server.with(|ca| ca.received.iter().filter(|message| message.body == 11).count());
    let revoke = |reason: &'static str| ["revoke", "--reason", reason, "--no-wait"];
    let left = story.run(&revoke("superseded"));
    let words = String::from_utf8_lossy(&left.stderr).into_owned();
    assert_eq!(left.status.code(), Some(21), "{words}");
    assert!(words.contains("is kept and goes on at the next call"), "{words}");
    let status = story.good(&["status"]);
    assert!(status.contains("valid") && status.contains("a request to revoke it is under way"), "{status}");
    // Another reason, and a look at what would go out: nothing does.
    for arguments in [&revoke("key-compromise")[..], &["revoke", "--reason", "superseded", "--dry-run"]] {
        let other = story.run(arguments);
        let words = String::from_utf8_lossy(&other.stderr).into_owned();
        assert_eq!(other.status.code(), Some(8), "{words}");
        assert!(words.contains("under way") || words.contains("devid store abandon device"), "{words}");
    }
    story.knob("other-waiting", "0");
    let done = story.good(&["revoke", "--reason", "superseded"]);
    assert!(done.contains("the CA has revoked"), "{done}");
    assert_eq!(requests(), 1);
    let status = story.run(&["status", "--check"]);
    let words = String::from_utf8_lossy(&status.stdout).into_owned();
    assert_eq!(status.status.code(), Some(14), "{words}");
    assert!(
        words.contains("revoked") && words.contains("reason superseded") && !words.contains("under way"),
        "{words}"
    );
    let told = story.good(&["revoke", "--reason", "superseded"]);
    assert!(told.contains("revoked already"), "{told}");
    let doctor = story.run(&["doctor", "--offline"]);
    assert_eq!(doctor.status.code(), Some(9), "{doctor:?}");
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("reason superseded"), "{doctor:?}");
}

#[test]
fn what_is_out_of_service_asks_for_nothing_until_it_is_told() {
    let story = Story::new("ceased");
    story.init_with_secret();
    story.good(&["enroll"]);
    story.knob("other-waiting", "1");
    assert_eq!(story.run(&["revoke", "--reason", "cessation-of-operation", "--no-wait"]).status.code(), Some(21));
    story.good(&["store", "abandon", "device"]);
    assert!(!story.good(&["status"]).contains("under way"));
    story.knob("other-waiting", "0");
    story.good(&["revoke", "--reason", "cessation-of-operation"]);
    let requests =
        || story.server.with(|ca| ca.received.iter().filter(|message| [0, 7].contains(&message.body)).count());
    let before = requests();
    story.good(&["keep"]);
    let (status, words) = story.bad(&["renew"]);
    assert_eq!(status, 2, "{words}");
    assert!(words.contains("cessationOfOperation") && words.contains("devid store remove device"), "{words}");
    assert_eq!(requests(), before);
    story.good(&["store", "remove", "device", "--yes"]);
    story.good(&["enroll"]);
    assert!(story.good(&["status", "--check"]).contains("valid"));
}

#[test]
fn what_a_request_waits_for_and_what_was_changed_meanwhile_is_told() {
    let story = Story::new("told");
    story.init_with_secret();
    let nothing = json(&story.good(&["--json", "status"]))["identities"][0]["waiting"].clone();
    assert!(nothing.is_null(), "{nothing}");
    story.knob("waiting", "2");
    story.knob("poll-reason", "ask Bob, room 7");
    let waiting = story.run(&["enroll", "--no-wait"]);
    assert_eq!(waiting.status.code(), Some(21));
    assert!(String::from_utf8_lossy(&waiting.stdout).contains("ask Bob, room 7"), "{waiting:?}");
    let status = story.good(&["status"]);
    assert!(status.contains("the CA says: ask Bob, room 7") && status.contains("it is asked again 20"), "{status}");
    let told = json(&story.good(&["--json", "status"]))["identities"][0]["waiting"].clone();
    assert_eq!((told["says"][0].as_str(), told["polls"].as_u64()), (Some("ask Bob, room 7"), Some(1)), "{told}");
    assert!(told["ask_at"].is_string() && told["differs"].as_array().unwrap().is_empty(), "{told}");

    // Settings that were changed meanwhile: what comes is what was asked for, and that is said.
    for (option, words) in [
        ("identity.device.subject=CN=router-8,O=Example", "router-8"),
        ("identity.device.key=P-384", "P-384"),
        ("identity.device.dns=[\"b.example\"]", "alternative names"),
        ("ca.server=http://127.0.0.1:1/cmp", "and ca.server is http://127.0.0.1:1/cmp"),
    ] {
        let changed = story.good(&["-o", option, "status"]);
        assert!(changed.contains(words), "{option}: {changed}");
        let doctor = json(&story.good(&["--json", "-o", option, "doctor", "--offline"]));
        let check =
            doctor["checks"].as_array().unwrap().iter().find(|check| check["name"] == "identity.waiting").unwrap();
        let mend = check["mend"].as_str().unwrap();
        assert!(check["verdict"] == "warning" && mend.contains("devid store abandon device"), "{check}");
    }
    let kept = story.run(&["-o", "identity.device.subject=CN=router-8", "keep"]);
    let words = String::from_utf8_lossy(&kept.stderr).into_owned();
    assert!(words.contains("devid store abandon device") && words.contains("router-7"), "{words}");
    let (_, words) = story.bad(&["-o", "ca.server=http://127.0.0.1:1/cmp", "enroll", "--no-wait"]);
    assert!(words.contains("it was asked for at") && words.contains("devid store abandon device"), "{words}");
    story.good(&["enroll"]);
    assert!(json(&story.good(&["--json", "status"]))["identities"][0]["waiting"].is_null());
}

/// The file tells by itself what an editor or a shell has put into it.
#[test]
fn a_secret_with_something_beside_it_is_told_where_it_does_not_fit() {
    let story = Story::new("odd");
    story.init_with_secret();
    let secret = std::fs::read(story.folder.join("secret.txt")).unwrap();
    let odd = [b"\xef\xbb\xbf", &secret[..]].concat();
    std::fs::write(story.folder.join("secret.txt"), odd).unwrap();
    let doctor = json(&String::from_utf8(story.run(&["--json", "doctor"]).stdout).unwrap());
    let told = |check: &&serde_json::Value| check["name"] == "login.secret" && check["verdict"] == "warning";
    assert!(doctor["checks"].as_array().unwrap().iter().any(|check| told(&check)), "{doctor}");
    let (status, words) = story.bad(&["enroll"]);
    assert!((5..=6).contains(&status) && words.contains("byte order mark"), "{status} {words}");
    assert!(!words.contains(&*String::from_utf8_lossy(&secret)), "{words}");
}

#[test]
fn settings_without_what_a_first_certificate_needs_are_told_by_their_names() {
    let story = Story::new("needs");
    story.init_with_secret();
    let text = std::fs::read_to_string(story.folder.join("devid.toml")).unwrap();
    let without = |begin: &str| {
        let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with(begin)).collect();
        std::fs::write(story.folder.join("devid.toml"), kept.join("\n")).unwrap();
        story.bad(&["enroll"])
    };
    for (line, setting) in [("subject", "identity.device.subject"), ("server", "ca.server")] {
        let (status, words) = without(line);
        assert!(status == 2 && words.contains(setting), "{line}: {status} {words}");
    }
    std::fs::write(story.folder.join("devid.toml"), &text).unwrap();
    // A name is not needed where the CA knows the device by its credential.
    story.good(&["-o", "identity.device.subject=CN=router-7", "config", "check"]);
    let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("subject")).collect();
    std::fs::write(story.folder.join("devid.toml"), kept.join("\n")).unwrap();
    story.good(&["-o", "identity.device.nameless=true", "config", "check"]);
    let shown = story.good(&["-o", "identity.device.nameless=true", "enroll", "--dry-run"]);
    assert!(shown.contains("poposkInput") || shown.contains("popo"), "{shown}");
    let (status, words) =
        story.bad(&["-o", "identity.device.nameless=true", "-o", "identity.device.dns=a.example", "config", "check"]);
    assert!(status == 2 && words.contains("nameless"), "{words}");
}

#[test]
fn every_command_has_help_and_a_page() {
    let story = Story::new("help");
    let folder = story.path("man");
    story.good(&["man", "--all", &folder]);
    let count = std::fs::read_dir(&folder).unwrap().count();
    assert!(count > 15, "{count} pages");
    for shell in ["bash", "zsh", "fish"] {
        assert!(story.good(&["completions", shell]).contains("devid"));
    }
    let schema = json(&story.good(&["config", "schema"]));
    assert_eq!(schema["properties"]["ca"]["properties"]["server"]["type"], "string");
    assert_eq!(schema["properties"]["identity"]["additionalProperties"]["properties"]["export"]["type"], "array");
    assert!(story.good(&["config", "explain", "identity.device.subject"]).contains("subject"));
    let table = story.good(&["config", "explain", "identity.device.renew"]);
    assert!(table.lines().count() > 3 && table.lines().all(|line| line.starts_with("identity.*.renew.")), "{table}");
    let (code, words) = story.bad(&["config", "explain", "limits"]);
    assert!(code == 2 && words.contains("did you mean ca.limits?"), "{words}");
}

#[test]
fn a_program_keeps_the_same_device_by_the_same_settings() {
    use devid::client::Unattended;
    use devid::client::device::{Device, Part};

    let story = Story::new("program");
    story.init_with_secret();
    let text = std::fs::read_to_string(story.folder.join("devid.toml")).unwrap();
    std::fs::write(story.folder.join("devid.toml"), text.replace("memory = ", "retention = 3\nmemory = ")).unwrap();
    let mut device = Device::from_file(&story.folder.join("devid.toml")).unwrap();
    let kept = device.keep(device.clock(), 0, &mut Unattended).unwrap();
    assert!(kept.is_changed && kept.failures.is_empty() && kept.again_seconds > 0, "{kept:?}");
    assert!(!device.keep(device.clock(), 0, &mut Unattended).unwrap().is_changed, "nothing is due");
    assert_eq!(device.pem("device", Part::FullChain).unwrap().matches("BEGIN CERTIFICATE").count(), 2);
    assert!(device.pem("device", Part::Key).unwrap().contains("PRIVATE KEY"));
    // The command sees what the program did.
    let status = json(&story.good(&["--json", "status"]));
    assert_eq!(status["identities"][0], json(&device.status(device.clock()).unwrap())["identities"][0]);

    device.set("peers.trust", &story.path("root.pem")).unwrap();
    let sent = [std::fs::read(story.path("peer-good.pem")).unwrap(), std::fs::read(story.path("issuing.pem")).unwrap()];
    let now = devid::client::run::system_time();
    assert!(device.check(&sent.concat(), "dns:good.peer.example", now).unwrap().1.is_some());
    let (report, peer) = device.check(&sent.concat(), "dns:other.example", now).unwrap();
    assert!(peer.is_none() && report.error().is_some());

    let words = device.set("ca.sever", "x").unwrap_err().to_string();
    assert!(words.contains("ca.server"), "{words}");
    assert!(device.set("device.memory", "/tmp").is_err());
    device.set("ca.server", "http://127.0.0.1:1/cmp").unwrap();
    device.set("identity.second.subject", "CN=second").unwrap();
    let kept = device.keep(device.clock(), 0, &mut Unattended).unwrap();
    assert_eq!(kept.failures.len(), 1, "{kept:?}");
    assert_eq!(kept.failures[0].0, "second");
}

#[test]
fn doctor_looks_at_everything_before_there_is_device_memory() {
    let story = Story::new("before");
    story.write_settings();
    let id = ["-o", "device.id=SN1"];
    let doctor = |more: &[&str]| json(&story.good(&[&["--json"], &id[..], more, &["doctor"]].concat()));
    let told = doctor(&[]);
    let is = |told: &serde_json::Value, name: &str, verdict: &str| {
        told["checks"].as_array().unwrap().iter().any(|check| check["name"] == name && check["verdict"] == verdict)
    };
    assert!(told["errors"] == 0 && is(&told, "memory.open", "warning"), "{told}");
    for name in ["identity", "anchors.issued", "login", "net.tcp", "cmp.answer"] {
        assert!(is(&told, name, "ok"), "{name}: {told}");
    }
    assert!(!told.to_string().contains("devid init") && !story.folder.join("memory").exists(), "{told}");
    // Where it cannot be made, that is an error.
    let memory = story.path("nothing/memory");
    let lost = story.command(&["-o", "device.id=SN1", "doctor", "--offline", "--memory", &memory]).output().unwrap();
    assert_ne!(lost.status.code(), Some(0), "{}", String::from_utf8_lossy(&lost.stdout));
    story.good(&[&id[..], &["enroll"]].concat());
    assert!(is(&doctor(&[]), "memory.open", "ok"));
}

#[test]
fn an_identifier_is_one_line_of_text_whatever_its_file_ends_with() {
    let story = Story::new("id");
    story.write_settings();
    let id = story.path("id");
    let option = format!("device.id=file:{id}");
    for (content, found) in [
        (&b"\xef\xbb\xbfSN1"[..], "U+FEFF"),
        (b"SN1\0aREV B", "U+0000"),
        (b"SN1\nREV B\n", "U+000A"),
        ("SN\u{202e}1".as_bytes(), "U+202E"),
        (b"\0\n", "blanks"),
    ] {
        std::fs::write(&id, content).unwrap();
        for command in ["config check", "enroll"] {
            let words: Vec<&str> = ["-o", &option].into_iter().chain(command.split(' ')).collect();
            let (status, words) = story.bad(&words);
            assert!(status == 2 && words.contains("device.id") && words.contains(found), "{command}: {status} {words}");
        }
    }
    assert_eq!(story.bad(&["-o", "device.id=  ", "config", "check"]).0, 2, "text by the same rule");
    assert_eq!(story.got(0), 0, "nothing was asked for");
    // As boards with a device tree write it.
    std::fs::write(&id, b"SN1\0").unwrap();
    story.good(&["-o", &option, "enroll"]);
    assert!(story.good(&["-o", &option, "status"]).contains("  CN=SN1  "));
}

#[test]
fn what_has_no_effect_is_told_before_the_first_certificate_and_stops_no_renewal() {
    let story = Story::new("idle");
    story.init_with_secret();
    story.set("[ca.coap]\nblock = 64");
    let words = "warning: ca.coap.block: no effect";
    assert!(story.good(&["config", "check"]).contains(words));
    assert!(story.good(&["doctor", "--offline"]).contains("ca.coap.block: no effect"));
    let enrolled = story.run(&["enroll"]);
    assert!(enrolled.status.success() && String::from_utf8_lossy(&enrolled.stderr).contains(words));
    // Two logins stop the first certificate, and no later one.
    let keys = ["idevid.key", "idevid.pem"].map(|name| story.path(name));
    let two = [format!("ca.login.key={}", keys[0]), format!("ca.login.certificates={}", keys[1])];
    let two = ["-o", &two[0], "-o", &two[1], "-o", "ca.login.kind=secret"];
    let renewed = story.run(&[&two[..], &["renew", "--now"]].concat());
    assert!(renewed.status.success() && !String::from_utf8_lossy(&renewed.stderr).contains("no effect"));
    assert!(
        story
            .good(&[&two[..], &["config", "check"]].concat())
            .contains("ca.login.certificates, ca.login.key: no effect")
    );
}

#[test]
fn another_service_at_the_port_is_no_network_that_is_down() {
    use std::io::{Read, Write};
    let story = Story::new("other-service");
    story.init_with_secret();
    for (greeting, told, expected) in [
        (&b"SSH-2.0-OpenSSH_9\r\n"[..], "SSH server", 5),
        (b"\x15\x03\x01\x00\x02\x02\x46", "TLS at this port", 5),
        (b"HTTP/1.1 511 Network Authentication Required\r\nContent-Length: 0\r\n\r\n", "the network wants a login", 5),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", "a cache answers", 5),
        // One that only ends the connection has told nothing.
        (b"", "connection", 7),
    ] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let server = format!("ca.server=http://{}/cmp", listener.local_addr().unwrap());
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(greeting);
        });
        let (status, words) = story.bad(&["-o", &server, "enroll"]);
        answering.join().unwrap();
        assert!(status == expected && words.contains(told), "{told}: {status} {words}");
    }
}
