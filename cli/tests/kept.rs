//! What the command keeps going: requests that wait, exports that somebody deletes, programs that fail, work of others, signals.

mod common;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Story, json};
use rustix::process::{Pid, Signal, kill_process};

const IR: i32 = 0;
const KUR: i32 = 7;

fn status(output: &std::process::Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

fn words(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), signal).unwrap();
}

/// Waits until something is so; the test's own time limit ends what never is.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}: never");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn lines(path: &Path) -> usize {
    std::fs::read_to_string(path).unwrap_or_default().lines().count()
}

#[test]
fn a_renewal_that_waits_goes_on_after_the_first_secret_is_gone() {
    let story = Story::new("one-time");
    story.init_with_secret();
    story.good(&["enroll"]);
    std::fs::remove_file(story.folder.join("secret.txt")).unwrap();
    story.knob("waiting", "1");
    story.knob("check-after", "1");
    assert_eq!(status(&story.run(&["renew", "--now", "--no-wait"])), 21);
    let gone_on = story.run(&["renew"]);
    assert_eq!(status(&gone_on), 0, "{}", words(&gone_on));
    assert_eq!(json(&story.good(&["--json", "status"]))["identities"][0]["generation"], 2);
    assert_eq!(story.got(KUR), 1);

    // What does need the secret still says that it is missing.
    let story = Story::new("no-secret");
    story.init_with_secret();
    std::fs::remove_file(story.folder.join("secret.txt")).unwrap();
    let (code, words) = story.bad(&["keep"]);
    assert!(code == 2 && words.contains("secret.txt"), "{code} {words}");
}

#[test]
fn exports_that_are_gone_or_wanted_otherwise_are_written_anew() {
    let story = Story::new("exports");
    story.init_with_secret();
    let (log, first, second) = (story.folder.join("log"), story.path("first"), story.path("second"));
    let export = |layout: &str, folder: &str| {
        format!(
            "[[identity.device.export]]\nlayout = \"{layout}\"\nfolder = \"{folder}\"\nthen = [\"sh\", \"-c\", \"echo $DEVID_FOLDER >> {}\"]",
            log.display()
        )
    };
    let settings = std::fs::read_to_string(story.folder.join("devid.toml")).unwrap();
    let want = |exports: &[String]| {
        std::fs::write(story.folder.join("devid.toml"), format!("{settings}\n{}\n", exports.join("\n"))).unwrap();
    };
    want(&[export("nginx", &first)]);
    story.good(&["enroll"]);
    assert!(Path::new(&first).join("current/privkey.pem").exists());
    assert_eq!(lines(&log), 1);
    assert_eq!(status(&story.run(&["keep", "--exit-code"])), 20, "nothing is due");

    for (what, damage) in [("a file is gone", "rm"), ("a file is another", "change"), ("all is gone", "all")] {
        let file = Path::new(&first).join("current/fullchain.pem");
        match damage {
            "rm" => std::fs::remove_file(&file).unwrap(),
            "change" => std::fs::write(&file, "other").unwrap(),
            _ => std::fs::remove_dir_all(&first).unwrap(),
        }
        let before = lines(&log);
        assert!(story.good(&["status"]).contains("is due"), "{what}");
        let doctor = json(&story.good(&["--json", "doctor", "--offline"]));
        assert!(doctor["warnings"].as_u64() > Some(0), "{what}: {doctor}");
        let kept = json(&story.good(&["--json", "keep", "--exit-code"]));
        assert_eq!(kept["identities"][0]["exports"][0]["written"], true, "{what}");
        assert!(std::fs::read_to_string(&file).unwrap().contains("BEGIN CERTIFICATE"), "{what}");
        assert_eq!(lines(&log), before + 1, "{what}");
        assert_eq!(status(&story.run(&["keep", "--exit-code"])), 20, "{what}: once");
    }

    // Another layout, another folder, one put in front: each is written once, and no other with it.
    want(&[export("pem", &second), export("nginx", &first)]);
    let before = lines(&log);
    story.good(&["keep"]);
    assert!(Path::new(&second).join("device.pem").exists());
    assert_eq!(lines(&log), before + 1);
    want(&[export("openssl", &second), export("nginx", &first)]);
    story.good(&["keep"]);
    assert!(Path::new(&second).join("current/key.pem").exists());

    // Two that would take each other's place are refused.
    want(&[export("openssl", &second), export("nginx", &second)]);
    let (code, words) = story.bad(&["keep"]);
    assert!(code == 2 && words.contains("has an export already"), "{words}");
}

#[test]
fn a_program_that_failed_is_run_again_and_one_that_succeeded_is_not() {
    let story = Story::new("programs");
    story.init_with_secret();
    let (log, good) = (story.folder.join("log"), story.folder.join("good"));
    let script = format!("echo run >> {}; test -e {}", log.display(), good.display());
    story.set(&format!("[hooks]\nchanged = [\"sh\", \"-c\", \"{script}\"]"));
    assert_eq!(status(&story.run(&["enroll"])), 13);
    assert_eq!(status(&story.run(&["keep", "--exit-code"])), 13, "still failing");
    std::fs::write(&good, "").unwrap();
    assert_eq!(status(&story.run(&["keep", "--exit-code"])), 0);
    assert_eq!(lines(&log), 3);
    assert_eq!(status(&story.run(&["keep", "--exit-code"])), 20);
    assert_eq!(lines(&log), 3, "once it has succeeded it is not run again");
    story.good(&["renew", "--now"]);
    assert_eq!(lines(&log), 4, "for the next certificate it is");
    assert_eq!(story.got(IR), 1);
}

#[test]
fn the_daemon_ends_at_once_while_a_program_runs_and_the_program_is_run_again() {
    let story = Story::new("term");
    story.init_with_secret();
    let log = story.folder.join("log");
    story.set(&format!("[hooks]\nchanged = [\"sh\", \"-c\", \"echo run >> {}; sleep 3000\"]", log.display()));
    let mut daemon = story.command(&["run"]).stderr(Stdio::null()).spawn().unwrap();
    until("the program", || lines(&log) == 1);
    send(&daemon, Signal::TERM);
    assert_eq!(daemon.wait().unwrap().code(), Some(0), "within the limit of the program, or this would be its failure");

    let settings = std::fs::read_to_string(story.folder.join("devid.toml")).unwrap();
    std::fs::write(story.folder.join("devid.toml"), settings.replace("sleep 3000", "true")).unwrap();
    story.good(&["keep"]);
    assert_eq!(lines(&log), 2, "what was interrupted is run again");
    assert_eq!(story.got(IR), 1);
}

#[test]
fn ctrl_c_keeps_the_place_and_the_same_command_goes_on_at_once() {
    let story = Story::new("ctrl-c");
    story.init_with_secret();
    story.knob("delay-ms", "20000");
    let mut first = story.command(&["enroll"]).stderr(Stdio::null()).spawn().unwrap();
    until("the request", || story.got(IR) == 1 || story.folder.join("memory/operation/device").exists());
    send(&first, Signal::INT);
    assert_eq!(first.wait().unwrap().code(), Some(130));
    story.knob("delay-ms", "0");
    // It goes on at once. A CA that has the request already may say no more than that; then a new one follows, at once too.
    let again = story.run(&["enroll"]);
    assert!([0, 6].contains(&status(&again)), "{}", words(&again));
    if status(&again) != 0 {
        assert!(words(&again).contains("transactionIdInUse"), "{}", words(&again));
        story.good(&["enroll"]);
    }

    // The same after a server that was not there.
    let story = Story::new("dead");
    story.init_with_secret();
    let (code, _) = story.bad(&["-o", "ca.server=http://127.0.0.1:9/cmp", "enroll"]);
    assert_eq!(code, 7);
    story.good(&["enroll"]);
}

#[test]
fn whoever_is_at_work_is_not_disturbed_and_told_of() {
    let story = Story::new("busy");
    story.init_with_secret();
    story.knob("delay-ms", "3000");
    let mut first = story.command(&["enroll"]).stderr(Stdio::null()).spawn().unwrap();
    until("the lock", || story.folder.join("memory/lock.device").metadata().is_ok_and(|file| file.len() > 0));
    let (code, words) = story.bad(&["store", "abandon", "device"]);
    assert!(code == 10 && words.contains(&first.id().to_string()) && words.contains("LOCKED"), "{code} {words}");
    assert_eq!(status(&story.run(&["keep"])), 0, "somebody is doing it");
    let work = json(&story.good(&["--json", "doctor", "--offline"]));
    let rows = work["checks"].as_array().unwrap();
    let told =
        |row: &serde_json::Value| row["fact"].as_str().is_some_and(|fact| fact.contains(&first.id().to_string()));
    assert!(rows.iter().any(|row| row["name"] == "identity.work" && told(row)), "{work}");
    // A second person gets what the first one gets.
    let second = story.run(&["--json", "enroll"]);
    assert_eq!(status(&second), 0, "{}", self::words(&second));
    assert!(self::words(&second).contains("waiting for what comes of it"), "{}", self::words(&second));
    assert_eq!(first.wait().unwrap().code(), Some(0));
    assert_eq!(
        (story.got(IR), json(&story.good(&["--json", "status"]))["identities"][0]["generation"].as_u64()),
        (1, Some(1))
    );
    assert!(story.good(&["store", "verify"]).contains("as it should be"), "the lock is no foreign file");
}

#[test]
fn a_request_that_is_out_is_told_wherever_one_looks() {
    let story = Story::new("out");
    story.init_with_secret();
    story.good(&["enroll"]);
    story.good(&["request"]);
    let kept = json(&story.good(&["--json", "keep"]));
    assert_eq!(kept["identities"][0]["request_out"], true, "{kept}");
    assert_eq!(kept["identities"][0]["renewal"]["reason"], "request-out");
    assert!(story.good(&["status"]).contains("PKCS#10 request is out"));
    let doctor = json(&story.good(&["--json", "doctor", "--offline"]));
    let checks = doctor["checks"].as_array().unwrap();
    assert!(checks.iter().any(|check| check["name"] == "identity.request"), "{doctor}");
    story.good(&["store", "abandon", "device"]);
    assert_eq!(json(&story.good(&["--json", "status"]))["identities"][0]["request_out"], false);
}

#[test]
fn a_factory_reset_says_what_goes_and_stays_and_asks() {
    let story = Story::new("factory-reset");
    story.init_with_secret();
    story.good(&["enroll"]);
    let identities = || json(&story.good(&["--json", "store", "list"]))["identities"].clone();
    let told = json(&story.good(&["--json", "store", "factory-reset", "--dry-run"]));
    assert_eq!(told["changed"], false, "{told}");
    let goes: Vec<&str> = told["gone"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    assert!(
        goes.contains(&"identity device") && goes.iter().any(|one| one.ends_with("anchors for answers")),
        "{goes:?}"
    );
    assert!(told["stays"].to_string().contains("the last known time"), "{told}");
    // Nobody is there to be asked.
    let (code, words) = story.bad(&["store", "factory-reset"]);
    assert!(code == 2 && words.contains("--yes"), "{code} {words}");
    assert_eq!(identities(), json(r#"["device"]"#));
    let (code, words) = story.bad(&["store", "factory-reset", "--yes", "--keep", "other"]);
    assert!(code == 8 && words.contains("other"), "{code} {words}");

    assert_eq!(json(&story.good(&["--json", "store", "factory-reset", "--yes", "--keep", "device"]))["changed"], true);
    assert_eq!(identities(), json(r#"["device"]"#), "it was to stay");
    assert!(story.good(&["store", "factory-reset", "--yes"]).contains("identity device"));
    assert_eq!(identities(), json("[]"));
    assert!(story.good(&["store", "verify"]).contains("as it should be"));
    let again = json(&story.good(&["--json", "store", "factory-reset", "--yes"]));
    assert_eq!((&again["changed"], &again["gone"]), (&json("false"), &json("[]")), "{again}");
    // The next owner begins as the first one did.
    story.good(&["anchors", "add", "all", &story.path("root.pem")]);
    story.good(&["enroll"]);
}

#[test]
fn device_memory_of_another_device_is_told_wherever_one_looks() {
    let story = Story::new("copied");
    story.init_with_secret();
    story.good(&["-o", "device.id=first", "enroll"]);
    let looked = |id: &str, arguments: &[&str]| {
        let id = format!("device.id={id}");
        story.good(&[&["-o", id.as_str()], arguments].concat())
    };
    for (id, is_copied) in [("first", false), ("second", true)] {
        let one = json(&looked(id, &["--json", "status"]))["identities"][0].clone();
        assert_eq!((&one["copied"], one["alarm"] == "late"), (&json(&is_copied.to_string()), is_copied), "{one}");
        assert_eq!(looked(id, &["status"]).contains("copy of another device"), is_copied);
        let doctor = story.run(&["-o", &format!("device.id={id}"), "--json", "doctor", "--offline"]);
        let doctor = String::from_utf8(doctor.stdout).unwrap();
        assert_eq!(doctor.contains("memory.copied"), is_copied, "{doctor}");
        let kept = story.run(&["-o", &format!("device.id={id}"), "keep"]);
        assert_eq!(words(&kept).contains("copy of another device"), is_copied, "{}", words(&kept));
    }
    // The board was exchanged: the memory is the new one's.
    looked("second", &["store", "reset", "device"]);
    assert_eq!(json(&looked("second", &["--json", "status"]))["identities"][0]["copied"], false);
}

/// A server that does not start as root reads its key as its own user.
#[test]
fn the_key_of_an_export_is_given_to_whom_the_settings_name_and_again_where_that_changes() {
    use std::os::unix::fs::MetadataExt;
    let story = Story::new("owner");
    story.init_with_secret();
    let (file, first) = (story.folder.join("devid.toml"), story.path("first"));
    let settings = std::fs::read_to_string(&file).unwrap();
    let want = |owner: &str| {
        let export =
            format!("[[identity.device.export]]\nlayout = \"nginx\"\nfolder = \"{first}\"\nowner = \"{owner}\"\n");
        std::fs::write(&file, format!("{settings}\n{export}")).unwrap();
    };
    let own = std::fs::metadata(&file).unwrap();
    // Only root gives files away.
    let owners = match own.uid() {
        0 => vec![(2101, 2102), (2103, 2102)],
        uid => vec![(uid, own.gid())],
    };
    for (index, (user, group)) in owners.into_iter().enumerate() {
        want(&format!("{user}:{group}"));
        if index == 0 {
            story.good(&["enroll"]);
        } else {
            assert!(story.good(&["status"]).contains("is due"));
            story.good(&["keep"]);
        }
        let at = Path::new(&first).join("current");
        let key = std::fs::metadata(at.join("privkey.pem")).unwrap();
        assert_eq!((key.uid(), key.gid(), key.mode() & 0o777), (user, group, 0o600));
        let certificate = std::fs::metadata(at.join("fullchain.pem")).unwrap();
        assert_eq!(certificate.uid(), own.uid(), "what is public stays");
        assert!(!story.good(&["status"]).contains("is due"));
    }
}

/// Another board: its secret opens nothing that was sealed before.
#[test]
fn a_seal_that_is_wrong_is_named_with_the_way_on_and_what_is_in_the_clear_is_shown() {
    let story = Story::new("sealed");
    story.init_with_secret();
    let (seal, settings) = (story.folder.join("seal"), story.folder.join("devid.toml"));
    let give = |secret: &str| {
        std::fs::write(&seal, secret).unwrap();
        std::fs::set_permissions(&seal, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    };
    give("of this board");
    let text = std::fs::read_to_string(&settings).unwrap();
    assert!(text.contains("[device]\n"), "{text}");
    let sealed = format!("[device]\nseal = \"file:{}\"\n", seal.display());
    std::fs::write(&settings, text.replace("[device]\n", &sealed)).unwrap();
    story.good(&["enroll"]);
    give("of another board");
    let told = json(&String::from_utf8(story.run(&["--json", "status"]).stdout).unwrap());
    let device = &told["identities"][0];
    assert_eq!((device["standing"].as_str(), device["alarm"].as_str()), (Some("valid"), Some("unusable")), "{told}");
    assert!(device["certificate"]["not_after"].is_string() && device["renewal"]["at"].is_string(), "{told}");
    assert!(device["findings"][0].as_str().unwrap().contains("device.seal"), "{told}");
    let doctor = story.run(&["--json", "doctor", "--offline"]);
    assert_eq!(status(&doctor), 9, "an error is found");
    let doctor = json(&String::from_utf8(doctor.stdout).unwrap());
    let mends = |check: &serde_json::Value| check["mend"].as_str().is_some_and(|mend| mend.contains("device.seal"));
    assert!(doctor["checks"].as_array().unwrap().iter().any(mends), "{doctor}");
    let enrolled = story.run(&["enroll"]);
    assert!(
        words(&enrolled).contains("device.seal") && words(&enrolled).contains("store remove"),
        "{}",
        words(&enrolled)
    );
    // Nothing was given up by any of that.
    give("of this board");
    let told = json(&story.good(&["--json", "status"]));
    assert_eq!(told["identities"][0]["alarm"], "quiet", "{told}");
    story.good(&["doctor", "--offline"]);
}

/// Who looks is told what was met with, and when it goes on.
#[test]
fn a_refusal_by_the_ca_and_the_next_date_are_told_by_status_and_doctor() {
    let story = Story::new("refused");
    story.init_with_secret();
    let judged = || {
        let doctor = story.run(&["--json", "doctor", "--offline"]);
        let doctor = json(&String::from_utf8(doctor.stdout).unwrap());
        let checks = doctor["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["name"] == "identity").expect("it is looked at")["verdict"].clone()
    };
    assert_eq!(judged(), "ok", "nothing was tried");
    story.knob("status", "2");
    assert_ne!(status(&story.run(&["enroll"])), 0);
    let told = story.good(&["status"]);
    assert!(told.contains("attempts failed, the next one"), "{told}");
    assert_eq!(judged(), "warning");
    // The dark twin: who has put it right is told nothing.
    story.good(&["store", "reset", "device"]);
    assert_eq!(judged(), "ok");
}

#[test]
fn why_something_was_given_up_is_told() {
    let story = Story::new("given-up");
    story.init_with_secret();
    story.knob("waiting", "5");
    assert_eq!(status(&story.run(&["enroll", "--no-wait"])), 21);
    let operation = std::fs::read_dir(story.folder.join("memory/operation")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(operation, "torn").unwrap();
    story.knob("waiting", "0");
    let enrolled = story.run(&["enroll"]);
    let told = words(&enrolled);
    assert_eq!(status(&enrolled), 0, "{told}");
    assert!(told.contains("given-up") && told.contains("CORRUPT"), "{told}");
}

#[test]
fn a_start_that_fails_leaves_nobody_trusted_and_another_start_adds_to_nobody() {
    let story = Story::new("start");
    let (server, root) = (story.server.cmp_url(), story.path("root.pem"));
    let start = |trust: &str, certificates: &str| {
        let (key, certificates) = (story.path("idevid.key"), story.path(certificates));
        let mut words = vec!["init", "--server", &server, "--trust", trust, "--subject", "CN=router-7,O=Example"];
        words.extend(["--factory-key", &key, "--factory-certificates", &certificates]);
        story.run(&words)
    };
    let anchors = || {
        let all = json(&story.good(&["--json", "anchors", "list"]));
        all["anchors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["certificate"]["subject"].to_string())
            .collect::<Vec<_>>()
    };
    let refused = start(&root, "root.pem");
    assert_eq!(status(&refused), 4, "{}", words(&refused));
    assert!(!story.folder.join("devid.toml").exists());
    // Nobody is trusted for a start that failed; what is given afterwards is all that counts.
    let made = start(&story.path("supplier-root.pem"), "idevid.pem");
    assert_eq!(status(&made), 0, "{}", words(&made));
    let trusted = anchors();
    assert_eq!(trusted.len(), 4);
    assert!(trusted.iter().all(|subject| subject == &trusted[0]), "{trusted:?}");
    // Memory of an earlier life: told, and nothing added.
    std::fs::remove_file(story.folder.join("devid.toml")).unwrap();
    let other = start(&root, "idevid.pem");
    assert_eq!(status(&other), 2);
    assert!(words(&other).contains("already (answers), which --trust does not name"), "{}", words(&other));
    assert!(!story.folder.join("devid.toml").exists());
    // The same again is no other.
    assert_eq!(status(&start(&story.path("supplier-root.pem"), "idevid.pem")), 0);
    assert_eq!(anchors(), trusted);
}

/// A monitor reads of every identity how it stands, whatever has become of one of them.
#[test]
fn an_identity_that_cannot_be_read_takes_nothing_from_the_others() {
    use std::os::unix::fs::PermissionsExt;
    let story = Story::new("unreadable");
    story.init_with_secret();
    story.set("[identity.b]\nsubject = \"CN=b\"");
    story.good(&["keep"]);
    let folder = story.folder.join("memory/identity/b");
    let away = story.folder.join("away");
    let open_to_all = |mode| {
        let key = folder.join("gen-000001/key.pem");
        std::fs::set_permissions(key, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let put_back = || {
        if away.exists() {
            let _ = std::fs::remove_file(&folder);
            std::fs::rename(&away, &folder).unwrap();
        }
        open_to_all(0o600);
    };
    for what in ["a key that others may read", "a file", "a link"] {
        match what {
            "a file" => {
                std::fs::rename(&folder, &away).unwrap();
                std::fs::write(&folder, "no folder").unwrap();
            }
            "a link" => {
                std::fs::rename(&folder, &away).unwrap();
                std::os::unix::fs::symlink(&away, &folder).unwrap();
            }
            _ => open_to_all(0o644),
        }
        for arguments in [&["status"][..], &["status", "--check"], &["keep", "--dry-run"]] {
            let told = story.run(arguments);
            let text = [String::from_utf8_lossy(&told.stdout).into_owned(), words(&told)].concat();
            assert_eq!(status(&told), 8, "{what}, {arguments:?}: {text}");
            assert!(text.lines().any(|line| line.starts_with("device  valid")), "{what}, {arguments:?}: {text}");
            let broken = text.lines().find(|line| line.starts_with("b  unknown")).expect(&text);
            assert!(broken.contains("PERMISSION") && broken.ends_with("alarm: unusable"), "{what}: {broken}");
        }
        let told = story.run(&["--json", "status"]);
        let document = json(&String::from_utf8_lossy(&told.stdout));
        let of =
            |name: &str| document["identities"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap();
        let [well, broken] = [of("device"), of("b")];
        assert_eq!((status(&told), &well["standing"], &well["alarm"]), (8, &"valid".into(), &"quiet".into()), "{what}");
        assert_eq!((&broken["alarm"], &broken["error"]["code"]), (&"unusable".into(), &"PERMISSION".into()), "{what}");
        assert_eq!(status(&story.run(&["status", "device"])), 0, "{what}");
        put_back();
        // The dark twin: put right, there is nothing to be told.
        let document = json(&story.good(&["--json", "status", "--check"]));
        assert!(document["identities"].as_array().unwrap().iter().all(|one| one["error"].is_null()), "{what}");
    }
}

#[test]
fn a_dry_run_shows_the_request_and_sends_nothing() {
    const RR: i32 = 11;
    let story = Story::new("dry");
    story.init_with_secret();
    let shown = story.good(&["enroll", "--dry-run"]);
    assert!(shown.contains("router-7") && story.got(IR) == 0, "{shown}");
    story.good(&["enroll"]);
    for (arguments, body, field) in [
        (&["renew", "--now", "--dry-run"][..], "kur", "router-7"),
        (&["revoke", "--reason", "key-compromise", "--dry-run"], "rr", "keyCompromise"),
    ] {
        let shown = story.good(arguments);
        assert!(shown.contains(body) && shown.contains(field), "{body}: {shown}");
    }
    assert_eq!((story.got(KUR), story.got(RR)), (0, 0));
    assert_eq!(json(&story.good(&["--json", "store", "list"]))["pending_keys"].as_array().unwrap().len(), 0);
    // What is not due goes out neither now nor dry.
    let told = json(&story.good(&["--json", "renew", "--dry-run"]));
    assert!(told["changed"] == false && told["request"].is_null(), "{told}");

    // A request that waits is gone on with: there is no new one to show.
    story.knob("waiting", "1");
    assert_eq!(status(&story.run(&["renew", "--now", "--no-wait"])), 21);
    let (code, words) = story.bad(&["renew", "--now", "--dry-run"]);
    assert!(code == 8 && words.contains("under way"), "{code} {words}");
    // Sent for real, each is seen by the CA.
    story.knob("waiting", "0");
    story.good(&["renew"]);
    story.good(&["revoke", "--reason", "key-compromise"]);
    assert_eq!((story.got(KUR), story.got(RR)), (1, 1));
}

#[test]
fn a_name_that_nobody_knows_is_a_slip_of_the_pen_in_every_command() {
    let story = Story::new("slip");
    story.init_with_secret();
    story.good(&["enroll"]);
    for arguments in [
        &["status", "devcie"][..],
        &["status", "device", "devcie"],
        &["keep", "devcie"],
        &["keep", "--dry-run", "devcie"],
        &["enroll", "devcie"],
        &["renew", "devcie"],
        &["renew", "--now", "devcie"],
        &["request", "devcie"],
        &["revoke", "devcie", "--reason", "superseded"],
        &["ca", "certs", "--name", "devcie"],
        &["show", "devcie"],
        &["export", "devcie", "pem", "out"],
        &["store", "abandon", "devcie"],
        &["store", "reset", "devcie"],
        &["store", "rollback", "devcie"],
        &["store", "remove", "devcie", "--yes"],
    ] {
        let (code, words) = story.bad(arguments);
        assert!(code == 8 && words.contains("devcie") && words.contains("device"), "{arguments:?}: {code} {words}");
    }
    assert!(!story.folder.join("memory/identity/devcie").exists());
    for known in ["device", "idevid"] {
        // The factory's identity is known where it is there, and not before.
        assert_eq!(status(&story.run(&["status", known])) == 0, known == "device");
    }
}

#[test]
fn a_peer_is_validated_from_standard_input_too() {
    let story = Story::new("stdin");
    story.init_with_secret();
    let sent = ["peer-good.pem", "issuing.pem"].map(|name| std::fs::read(story.path(name)).unwrap()).concat();
    let root = story.path("root.pem");
    let validate = |sent: &[u8], name: &str| {
        use std::io::Write;
        let mut child = story
            .command(&["validate", "-", "--name", name, "--trust", &root])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(sent).unwrap();
        let output = child.wait_with_output().unwrap();
        (status(&output), String::from_utf8_lossy(&output.stdout).into_owned() + &words(&output))
    };
    let (code, told) = validate(&sent, "dns:good.peer.example");
    assert!(code == 0 && told.starts_with("valid"), "{code} {told}");
    assert_eq!(validate(&sent, "dns:other.example").0, 9);
    assert_eq!(validate(b"", "any").0, 3);
    // What no certificate can carry is a mistake of the line, and no word about the peer.
    for name in ["dns:", "dns:*.example", "email:x", "uri:x", "ip:1"] {
        let (code, told) = validate(&sent, name);
        assert!(code == 2 && !told.contains("NOT VALID"), "{name}: {code} {told}");
    }
}

#[test]
fn what_to_do_about_an_error_is_told_behind_the_settings_too() {
    let story = Story::new("help-error");
    for before in [&[][..], &["-q"], &["-m", "nowhere"], &["--option=ca.server=x"]] {
        let shown = story.good(&[before, &["help", "error", "DER"]].concat());
        assert!(shown.contains("DEVID_E_DER"), "{before:?}: {shown}");
    }
    // Behind the command it is none of its words.
    let (code, words) = story.bad(&["status", "help", "error"]);
    assert!(code != 0 && !words.contains("DEVID_E_"), "{code} {words}");
}

#[test]
fn the_daemon_keeps_good_settings_where_new_ones_are_wrong() {
    use std::io::{BufRead, BufReader};
    let story = Story::new("hup");
    story.init_with_secret();
    story.good(&["enroll"]);
    let file = story.folder.join("devid.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    let mut daemon = story.command(&["run"]).stderr(Stdio::piped()).spawn().unwrap();
    let (sender, told) = std::sync::mpsc::channel();
    let stderr = BufReader::new(daemon.stderr.take().unwrap());
    std::thread::spawn(move || stderr.lines().map_while(Result::ok).for_each(|line| sender.send(line).unwrap_or(())));
    let wait_for = |what: &str| {
        until(what, || told.try_iter().any(|line| line.contains(what)));
    };
    // The first look at an identity that has nothing due says nothing: once its place is written, the daemon hears signals.
    until("the daemon", || {
        std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).is_ok_and(|s| catches_hangup(&s))
    });
    for wrong in [good.replace("http://", "no-scheme//"), format!("{good}\n[devcie]\nx = 1\n")] {
        std::fs::write(&file, wrong).unwrap();
        send(&daemon, Signal::HUP);
        wait_for("settings not taken");
    }
    send(&daemon, Signal::TERM);
    assert_eq!(daemon.wait().unwrap().code(), Some(0));
}

/// Whether a process has a handler for SIGHUP (1), by its line SigCgt.
fn catches_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 != 0)
}

#[test]
fn a_trace_that_cannot_be_written_begins_nothing() {
    let story = Story::new("no-trace");
    story.init_with_secret();
    let file = story.path("a-file");
    std::fs::write(&file, "").unwrap();
    for place in ["/proc/x.html", &file, &format!("{file}/x.jsonl")] {
        let (code, words) = story.bad(&["enroll", "--trace", place]);
        assert!(code == 3 && words.contains(place), "{place}: {code} {words}");
    }
    assert_eq!(story.got(IR), 0);
    story.good(&["enroll", "--trace", &story.path("trace.html")]);
    for place in ["/proc/x.html", &file] {
        assert_eq!(story.bad(&["renew", "--now", "--trace", place]).0, 3, "{place}");
    }
    assert_eq!((story.got(IR), story.got(KUR)), (1, 0));
}

#[test]
fn a_question_about_anchors_makes_no_device_memory() {
    let story = Story::new("no-memory");
    story.init_with_secret();
    let (there, root) = (story.path("not-mounted"), story.path("root.pem"));
    for arguments in [&["anchors", "list"][..], &["anchors", "remove", "all", &root]] {
        let settings = story.path("devid.toml");
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_devid"));
        let asked = command.args(["-c", &settings, "-m", &there]).args(arguments).output().unwrap();
        assert!(status(&asked) == 8 && !Path::new(&there).exists(), "{arguments:?}: {}", words(&asked));
    }
}

/// The folder of device memory is a mark of what is kept: nothing is made of a file that brings nothing.
#[test]
fn an_import_that_fails_makes_no_device_memory() {
    let story = Story::new("import-none");
    story.write_settings();
    let (key, certificate) = (story.path("idevid.key"), story.path("idevid.pem"));
    let bundle = |name: &str, more: &[&str]| {
        let made = Command::new("openssl")
            .args(["pkcs12", "-export", "-passout", "pass:letmein", "-in", &certificate, "-out", &story.path(name)])
            .args(more)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    bundle("good.p12", &["-inkey", &key, "-certfile", &story.path("supplier.pem")]);
    bundle("keyless.p12", &["-nokeys"]);
    for (name, words) in [("password", "letmein"), ("wrong", "nobody")] {
        std::fs::write(story.folder.join(name), words).unwrap();
        common::private(&story.folder.join(name));
    }
    let import = |file: &str, password: &str| {
        let from = format!("file:{}", story.path(password));
        status(&story.run(&["import", &story.path(file), "--name", "idevid", "--password", &from]))
    };
    for (file, password, expected) in
        [("good.p12", "wrong", 4), ("idevid.pem", "password", 3), ("keyless.p12", "password", 8)]
    {
        assert_eq!(import(file, password), expected, "{file}");
        assert!(!story.folder.join("memory").exists(), "{file}: nothing is kept");
    }
    assert_eq!(import("good.p12", "password"), 0);
    story.good(&["show", "idevid"]);
}

/// A device that is served by files is as it should be without a server.
#[test]
fn doctor_finds_no_error_in_what_the_settings_do_without() {
    let story = Story::new("no-server");
    story.write_settings();
    let text = "[ca.trust]\nissued = [\"root.pem\"]\n[identity.device]\nsubject = \"CN=a\"\n";
    std::fs::write(story.folder.join("devid.toml"), text).unwrap();
    story.good(&["request", "--output", &story.path("r.csr")]);
    for arguments in [&["--json", "doctor"][..], &["--json", "doctor", "--offline"]] {
        let told = json(&story.good(arguments));
        let errors: Vec<_> =
            told["checks"].as_array().unwrap().iter().filter(|row| row["verdict"] == "error").collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
    // With one, both are needed.
    let told =
        story.run(&["-o", "ca.server=http://127.0.0.1:9/cmp", "-o", "ca.login.kind=factory", "doctor", "--offline"]);
    let words = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(status(&told) == 9 && words.contains("devid import FILE --name idevid"), "{words}");
}
