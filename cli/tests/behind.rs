//! What stands behind an identity: those who vouch for it, exports, programs, traces.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::{Story, json};
use serde_json::Value;

const IR: i32 = 0;

fn identity(document: &Value) -> &Value {
    &document["identities"][0]
}

#[test]
fn where_the_roots_are_exchanged_the_certificate_stays_and_another_one_is_asked_for_by_word() {
    let (story, new) = (Story::new("lost-ca"), Story::new("new-ca"));
    story.init_with_secret();
    let (code, _) = story.bad(&["renew", "--now"]);
    assert_ne!(code, 0, "there is none");
    story.good(&["enroll"]);
    let quiet = json(&story.good(&["--json", "status"]));
    assert_eq!((&identity(&quiet)["alarm"], &identity(&quiet)["findings"]), (&json("\"quiet\""), &json("[]")));
    let (code, words) = story.bad(&["enroll"]);
    assert!(code == 8 && words.contains("enroll --again"), "{words}");

    // The owner's roots are others now, and the settings name the new CA.
    story.good(&["anchors", "add", "all", &new.path("root.pem")]);
    assert_eq!(identity(&json(&story.good(&["--json", "status"])))["alarm"], "quiet", "both are trusted");
    story.good(&["anchors", "remove", "all", &story.path("root.pem")]);
    let text = std::fs::read_to_string(story.folder.join("devid.toml")).unwrap();
    let text = text.replace(&story.server.cmp_url(), &new.server.cmp_url());
    let text = text.replace(&story.path("cmp-signer.pem"), &new.path("cmp-signer.pem"));
    std::fs::write(story.folder.join("devid.toml"), text).unwrap();

    let told = json(&story.good(&["--json", "status"]));
    let findings = identity(&told)["findings"].to_string();
    assert!(findings.contains("none of the anchors") && findings.contains("enroll --again device"), "{findings}");
    assert_eq!((&identity(&told)["standing"], &identity(&told)["alarm"]), (&json("\"valid\""), &json("\"late\"")));
    assert_eq!(story.run(&["status", "--check"]).status.code(), Some(14));
    // Nothing valid is given up by a timer.
    story.good(&["keep"]);
    assert_eq!((new.got(IR), identity(&json(&story.good(&["--json", "status"])))["generation"].as_u64()), (0, Some(1)));

    // What the new CA refuses changes nothing; what it issues takes its place.
    new.knob("status", "2");
    story.bad(&["enroll", "--again"]);
    assert_eq!(identity(&json(&story.good(&["--json", "status"])))["generation"], 1);
    new.knob("status", "0");
    assert!(story.good(&["enroll", "--again", "--dry-run"]).contains("ir"));
    let done = json(&story.good(&["--json", "enroll", "--again"]));
    assert_eq!((&done["changed"], &identity(&done)["generation"]), (&json("true"), &json("2")));
    assert_eq!((&identity(&done)["alarm"], &identity(&done)["findings"]), (&json("\"quiet\""), &json("[]")));
}

#[test]
fn after_a_revocation_another_first_certificate_comes_by_the_same_command_again() {
    let story = Story::new("revoked-again");
    story.init_with_secret();
    story.good(&["enroll"]);
    story.good(&["revoke", "--reason", "superseded"]);
    story.knob("waiting", "1");
    assert_eq!(story.run(&["enroll", "--again", "--no-wait"]).status.code(), Some(21));
    story.knob("waiting", "0");
    // It goes on with what it has begun.
    let done = json(&story.good(&["--json", "enroll", "--again"]));
    assert_eq!((story.got(IR), identity(&done)["generation"].as_u64()), (2, Some(2)));
}

/// What was begun is a renewal, or was asked for elsewhere: who wants another first certificate neither gets that one nor polls for ever.
#[test]
fn another_first_certificate_is_not_what_waits_as_something_else() {
    const KUR: i32 = 7;
    let (story, new) = (Story::new("again-renewal"), Story::new("again-elsewhere"));
    story.init_with_secret();
    story.good(&["enroll"]);
    story.knob("waiting", "2");
    assert_eq!(story.run(&["renew", "--now", "--no-wait"]).status.code(), Some(21));
    for arguments in [&["enroll", "--again"][..], &["enroll", "--again", "--dry-run"]] {
        let (code, words) = story.bad(arguments);
        assert!(code == 8 && words.contains("a renewal of") && words.contains("store abandon"), "{code} {words}");
    }
    assert_eq!((story.got(IR), story.got(KUR)), (1, 1), "nothing more was sent");
    // The CA's key is lost: what its findings advise is what can be done.
    story.good(&["anchors", "add", "all", &new.path("root.pem")]);
    story.good(&["anchors", "remove", "all", &story.path("root.pem")]);
    let text = std::fs::read_to_string(story.folder.join("devid.toml")).unwrap();
    let text = text.replace(&story.server.cmp_url(), &new.server.cmp_url());
    std::fs::write(
        story.folder.join("devid.toml"),
        text.replace(&story.path("cmp-signer.pem"), &new.path("cmp-signer.pem")),
    )
    .unwrap();
    let findings = identity(&json(&story.good(&["--json", "status"])))["findings"].to_string();
    let at = |words: &str| findings.find(words).unwrap_or_else(|| panic!("{words}: {findings}"));
    assert!(at("store abandon device") < at("enroll --again device"), "{findings}");
    story.good(&["store", "abandon", "device"]);
    let findings = identity(&json(&story.good(&["--json", "status"])))["findings"].to_string();
    assert!(!findings.contains("store abandon"), "{findings}");
    // One that waits where nobody asks any more is not gone on with either.
    new.knob("waiting", "2");
    assert_eq!(story.run(&["enroll", "--again", "--no-wait"]).status.code(), Some(21));
    let elsewhere = "ca.server=http://127.0.0.1:9/cmp";
    let (code, words) = story.bad(&["-o", elsewhere, "enroll", "--again"]);
    assert!(code == 8 && words.contains("127.0.0.1:9"), "{words}");
    new.knob("waiting", "0");
    story.good(&["enroll", "--again"]);
    assert_eq!(new.got(IR), 1, "it was gone on with");
}

/// The answer to the first message was lost, and the CA refuses to hear it again in that transaction.
#[test]
fn what_a_person_asks_for_is_asked_for_anew_in_the_call_that_gives_the_old_request_up() {
    let story = Story::new("again-lost");
    story.init_with_secret();
    story.good(&["enroll"]);
    for (arguments, generation) in [(&["enroll", "--again"][..], 2), (&["renew", "--now"], 3)] {
        story.knob("cut-after", "0");
        let (code, words) = story.bad(arguments);
        assert_eq!(code, 7, "{words}");
        story.knob("cut-after", "-1");
        let done = story.run(&[&["--json"], arguments].concat());
        let (words, told) = (String::from_utf8(done.stderr).unwrap(), json(&String::from_utf8(done.stdout).unwrap()));
        assert!(words.contains("given-up"), "{words}");
        assert_eq!(
            (done.status.code(), identity(&told)["generation"].as_u64()),
            (Some(0), Some(generation)),
            "{told} {words}"
        );
    }
}

#[test]
fn a_program_behind_the_identity_that_fails_is_told_until_it_succeeds() {
    let story = Story::new("hook-told");
    story.init_with_secret();
    story.good(&["enroll"]);
    assert_eq!(identity(&json(&story.good(&["--json", "status"])))["hook"], Value::Null, "there is none");
    let gate = story.path("gate");
    story.set(&format!("[hooks]\nchanged = [\"test\", \"-e\", \"{gate}\"]"));
    let failed = story.run(&["--json", "keep"]);
    let document = json(&String::from_utf8(failed.stdout).unwrap());
    assert_eq!((failed.status.code(), &document["ok"]), (Some(13), &json("false")), "{document}");
    assert_eq!(document["error"]["exit"], 13);
    let hook = &identity(&document)["hook"];
    assert!(hook["ok"] == false && hook["open"].as_str().unwrap().contains("hooks.changed"), "{hook}");
    assert_eq!(identity(&json(&story.good(&["--json", "status"])))["hook"]["ok"], false);
    assert!(story.good(&["status"]).contains("hooks.changed"));
    let doctor = json(&story.good(&["--json", "doctor", "--offline"]));
    let is_told = |row: &Value| row["name"] == "hooks.changed" && row["verdict"] == "warning";
    assert!(doctor["checks"].as_array().unwrap().iter().any(is_told), "{doctor}");

    std::fs::write(&gate, "").unwrap();
    let kept = json(&story.good(&["--json", "keep"]));
    assert_eq!((&kept["ok"], &identity(&kept)["hook"]["ok"]), (&json("true"), &json("true")), "{kept}");
    assert!(!story.good(&["status"]).contains("hooks.changed"));
}

#[test]
fn a_trace_that_is_lost_takes_no_export_and_no_truth_with_it() {
    let story = Story::new("lost-trace");
    story.init_with_secret();
    let folder = story.path("nginx");
    story.set(&format!("[[identity.device.export]]\nlayout = \"nginx\"\nfolder = \"{folder}\""));
    // A place that can be written at first, and not any more once a message has come.
    let full = |arguments: &[&str]| {
        let limited = "ulimit -f 8; trap '' XFSZ; exec \"$@\"";
        let command = story.command(arguments);
        let all: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
        std::process::Command::new("bash").args(["-c", limited, "bash"]).args(all).output().unwrap()
    };
    let page = story.path("t.html");
    for (arguments, generation) in [(&["enroll"][..], 1), (&["renew", "--now"], 2)] {
        let done = full(&[&["--json"], arguments, &["--trace", &page]].concat());
        let document = json(&String::from_utf8(done.stdout).unwrap());
        let words = String::from_utf8(done.stderr).unwrap();
        assert_eq!((done.status.code(), &document["changed"]), (Some(13), &json("true")), "{document} {words}");
        assert!(document["ok"] == false && words.contains("the trace: "), "{document} {words}");
        assert_eq!(identity(&document)["generation"], generation);
        assert_eq!(identity(&document)["exports"][0]["ok"], true, "{document}");
        assert!(Path::new(&folder).join("current/privkey.pem").exists());
    }
    // Nothing is asked of the CA where it cannot even be begun.
    let before = story.got(7);
    assert_eq!(story.run(&["renew", "--now", "--trace", "/proc/t.html"]).status.code(), Some(3));
    assert_eq!(story.got(7), before);
}

#[test]
fn an_exported_key_that_others_were_let_in_to_is_told_and_closed_again() {
    let story = Story::new("open-key");
    story.init_with_secret();
    let folder = story.path("ng");
    story.set(&format!("[[identity.device.export]]\nlayout = \"nginx\"\nfolder = \"{folder}\""));
    story.good(&["enroll"]);
    let key = Path::new(&folder).join("current/privkey.pem");
    let mode = || std::fs::metadata(&key).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(), 0o600);
    for wrong in [0o644, 0o640, 0o660] {
        std::fs::set_permissions(&key, PermissionsExt::from_mode(wrong)).unwrap();
        assert!(story.good(&["status"]).contains("is due"));
        let open = identity(&json(&story.good(&["--json", "status"])))["exports"][0]["open"].to_string();
        assert!(open.contains(&format!("mode {wrong:o}")), "{open}");
        assert_eq!(identity(&json(&story.good(&["--json", "keep"])))["exports"][0]["written"], true);
        assert_eq!(mode(), 0o600);
        assert_eq!(story.run(&["keep", "--exit-code"]).status.code(), Some(20), "once");
    }
    // What is for everybody is not looked at.
    let certificate = Path::new(&folder).join("current/fullchain.pem");
    std::fs::set_permissions(&certificate, PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(story.run(&["keep", "--exit-code"]).status.code(), Some(20));
}

#[test]
fn half_an_answer_is_a_matter_of_trying_again_and_a_whole_one_that_is_none_is_not() {
    use std::io::{Read, Write};
    let story = Story::new("half");
    story.init_with_secret();
    story.good(&["enroll"]);
    let answered = |answer: Vec<u8>| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let server = format!("ca.server=http://{}/cmp", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 65536]);
            stream.write_all(&answer).unwrap();
            // All that was sent is read, so that the end is an end and no reset.
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let done = story.run(&["--json", "-o", &server, "renew", "--now"]);
        drop(thread);
        let document = json(&String::from_utf8(done.stdout).unwrap());
        (done.status.code().unwrap(), document["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    let head =
        |lines: &str| format!("HTTP/1.1 200 OK\r\nContent-Type: application/pkixcmp\r\n{lines}\r\n").into_bytes();
    let half = [0x30, 0x82, 0x05, 0x6d, 0x30];
    for lines in ["Content-Length: 1393\r\n", "Connection: close\r\n", "Transfer-Encoding: chunked\r\n"] {
        let body = if lines.contains("chunked") { [b"20\r\n", &half[..]].concat() } else { half.to_vec() };
        assert_eq!(answered([head(lines), body].concat()), (7, "TRANSPORT".to_owned()), "{lines}");
    }
    // The dark twins: what is whole, and no message.
    assert_eq!(answered(head("Content-Length: 0\r\n")), (5, "TRANSPORT".to_owned()));
    let page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\n<p/>".to_vec();
    assert_eq!(answered(page), (5, "CONTENT_TYPE".to_owned()));
    // The help says both.
    let help = |code: &str| String::from_utf8(story.run(&["help", "error", code]).stdout).unwrap();
    assert!(help("TRANSPORT").contains("Exit status 7") && help("TRANSPORT").contains(": 5: "));
    assert!(help("CONTENT_TYPE").contains("Exit status 5"));
}

#[test]
fn every_command_that_reads_certificates_takes_standard_input_and_says_alike_what_is_missing() {
    let story = Story::new("stdin");
    story.init_with_secret();
    story.good(&["enroll"]);
    let (root, peer, issuing) = (story.path("root.pem"), story.path("peer-good.pem"), story.path("issuing.pem"));
    let folder = story.path("nginx");
    let lines: [&[&str]; 5] = [
        &["anchors", "add", "peers", "FILE"],
        &["anchors", "remove", "peers", "FILE"],
        &["validate", &peer, "--name", "any", "--untrusted", &issuing, "--trust", "FILE"],
        &["store", "forget-numbers", "FILE"],
        &["export", "device", "nginx", &folder, "--anchors", "FILE"],
    ];
    for line in lines {
        let with = |file: &str| line.iter().map(|word| if *word == "FILE" { file } else { word }.to_owned()).collect();
        let (piped, missing): (Vec<String>, Vec<String>) = (with("-"), with("no-such.pem"));
        let mut command = story.command(&piped.iter().map(String::as_str).collect::<Vec<_>>());
        let done = command.stdin(std::fs::File::open(&root).unwrap()).output().unwrap();
        assert_eq!(done.status.code(), Some(0), "{piped:?}: {}", String::from_utf8_lossy(&done.stderr));
        let (code, words) = story.bad(&missing.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(code == 3 && words.contains("no-such.pem: ") && !words.contains("INVALID_ARGUMENT"), "{words}");
    }
    assert!(std::fs::read_to_string(Path::new(&folder).join("current/ca.pem")).unwrap().contains("BEGIN CERTIFICATE"));
}

#[test]
fn a_renewal_beyond_the_window_tells_what_the_ca_says() {
    let story = Story::new("two-days");
    story.init_with_secret();
    story.good(&["enroll"]);
    story.knob("message-time-off", "172800");
    story.knob("status", "2");
    story.knob("text", "two days off");
    let asked = |arguments: &[&str]| {
        let done = story.run(&[&["--json"], arguments].concat());
        let document = json(&String::from_utf8(done.stdout).unwrap());
        (done.status.code().unwrap(), document["error"]["code"].clone(), document.to_string())
    };
    for arguments in [&["renew", "--now"][..], &["enroll", "--again"]] {
        let (code, name, words) = asked(arguments);
        assert!(code == 6 && name == "REJECTED" && words.contains("two days off"), "{words}");
    }
    // What is neither keeps the window.
    let (code, name, words) = asked(&["ca", "certs"]);
    assert!(code == 5 && name == "MESSAGE_TIME", "{words}");
    story.knob("status", "0");
    assert_eq!(identity(&json(&story.good(&["--json", "renew", "--now"])))["generation"], 2);
}

#[test]
fn a_folder_for_an_export_is_a_name_and_no_pattern() {
    let story = Story::new("pattern");
    story.init_with_secret();
    story.set("[[identity.device.export]]\nlayout = \"nginx\"\nfolder = \"ngx-${id}\"");
    let (code, words) = story.bad(&["config", "check"]);
    assert!(code == 2 && words.contains("identity.device.export.folder") && words.contains("ngx-${id}"), "{words}");
    assert_eq!((story.run(&["keep"]).status.code(), story.got(IR)), (Some(2), 0), "nothing is asked for");
    assert!(!Path::new(&story.path("ngx-${id}")).exists());
}

#[test]
fn a_folder_of_messages_keeps_those_of_the_conversation_before() {
    let story = Story::new("trace-folder");
    story.init_with_secret();
    let folder = story.path("messages");
    let all = || {
        let names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        names.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect::<std::collections::BTreeMap<_, _>>()
    };
    story.good(&["enroll", "--trace", &folder]);
    let first = all();
    assert!(first.len() >= 4 && first.keys().next().unwrap().ends_with("001-sent.der"), "{:?}", first.keys());
    story.good(&["renew", "--now", "--trace", &folder]);
    let both = all();
    assert!(both.len() >= first.len() + 4 && first.iter().all(|(path, message)| both[path] == *message));
    let next = format!("{:03}-sent.der", first.len() + 1);
    assert!(both.keys().any(|path| path.ends_with(&next)), "{:?}", both.keys());
}
