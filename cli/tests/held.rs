//! Another process has device memory and does not let go: who it is, what is done meanwhile, and how the wait ends.

mod common;

use std::fs::File;
use std::io::Read;
use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{Story, json};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};

const IR: i32 = 0;

/// What a process that hangs has: the lock of device memory, until it is dropped.
fn held(story: &Story) -> File {
    let path = story.folder.join("memory/lock");
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap();
    flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
    file
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), signal).unwrap();
}

/// Waits until the child has a say in what SIGINT does.
fn until_it_listens(child: &Child) {
    let begun = Instant::now();
    let listens = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0");
        u64::from_str_radix(caught.trim(), 16).unwrap_or(0) & (1 << (Signal::INT.as_raw() - 1)) != 0
    };
    while !listens() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn whoever_can_do_nothing_for_a_lock_says_so_and_who_has_it() {
    let story = Story::new("held");
    story.init_with_secret();
    let lock = held(&story);
    let me = format!("process {} (", std::process::id());
    for arguments in [
        &["keep"][..],
        &["keep", "--exit-code"],
        &["enroll"],
        &["request"],
        &["store", "reset", "device"],
        &["store", "repair"],
        &["anchors", "add", "peers", &story.path("signer.pem")],
    ] {
        if arguments[0] == "anchors" && !story.folder.join("signer.pem").exists() {
            std::fs::copy(story.path("cmp-signer.pem"), story.path("signer.pem")).unwrap();
        }
        let (code, words) = story.bad(arguments);
        assert!(code == 10 && words.contains("LOCKED") && words.contains(&me), "{arguments:?}: {code} {words}");
    }
    let told = story.run(&["--json", "keep"]);
    let document = json(&String::from_utf8_lossy(&told.stdout));
    assert_eq!((&document["ok"], &document["error"]["code"]), (&json("false"), &json("\"LOCKED\"")), "{document}");
    assert_eq!(story.got(IR), 0, "nothing is asked for that could not be kept");

    let (code, _) = story.bad(&["doctor", "--offline"]);
    let doctor = json(&String::from_utf8_lossy(&story.run(&["--json", "doctor", "--offline"]).stdout));
    let row = |document: &serde_json::Value| {
        let checks = document["checks"].as_array().unwrap();
        checks.iter().find(|check| check["name"] == "memory.lock").unwrap().clone()
    };
    assert_eq!((code, &row(&doctor)["verdict"]), (9, &json("\"error\"")), "{doctor}");
    assert!(row(&doctor)["fact"].as_str().unwrap().contains(&me) && row(&doctor)["mend"].is_string(), "{doctor}");

    // The dark twin: what only looks needs no lock, and once it is free all goes on.
    story.good(&["status"]);
    story.good(&["store", "verify"]);
    drop(lock);
    assert_eq!(row(&json(&story.good(&["--json", "doctor", "--offline"])))["verdict"], "ok");
    story.good(&["keep"]);
    assert_eq!(story.got(IR), 1);
}

#[test]
fn a_signal_ends_the_wait_for_a_lock_as_any_other() {
    let story = Story::new("held-signal");
    story.init_with_secret();
    let lock = held(&story);
    for (arguments, signal) in [(["keep"], Signal::INT), (["enroll"], Signal::INT), (["keep"], Signal::TERM)] {
        let child = story.command(&arguments).stderr(Stdio::piped()).spawn().unwrap();
        until_it_listens(&child);
        send(&child, signal);
        let ended = child.wait_with_output().unwrap();
        let words = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(130), "{arguments:?}: {words}");
        assert!(words.contains("CANCELLED"), "{arguments:?}: {words}");
    }
    drop(lock);
    story.good(&["enroll"]);
}

/// What is done behind a certificate waits, too: for others that export into the folder, and for a program.
#[test]
fn a_signal_ends_what_is_done_behind_a_certificate_and_the_next_call_does_it() {
    let story = Story::new("held-behind");
    story.init_with_secret();
    story.good(&["enroll"]);
    let (folder, log) = (story.path("exported"), story.path("log"));
    std::fs::create_dir(&folder).unwrap();
    story.set(&format!("[[identity.device.export]]\nlayout = \"pem\"\nfolder = {folder:?}\n"));
    let lock = File::open(&folder).unwrap();
    flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    let child = story.command(&["keep"]).stderr(Stdio::piped()).spawn().unwrap();
    until_it_listens(&child);
    send(&child, Signal::INT);
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{}", String::from_utf8_lossy(&ended.stderr));
    let (code, words) = story.bad(&["export", "device", "pem", &folder]);
    assert!(code == 10 && words.contains(&format!("process {} (", std::process::id())), "{code} {words}");
    drop(lock);
    story.good(&["keep"]);
    assert!(std::path::Path::new(&folder).join("device.pem").exists());

    story.set(&format!("[hooks]\nchanged = [\"sh\", \"-c\", \"echo run >> {log}; sleep 3000\"]"));
    let child = story.command(&["keep"]).stderr(Stdio::piped()).spawn().unwrap();
    while std::fs::read_to_string(&log).unwrap_or_default().is_empty() {
        std::thread::sleep(Duration::from_millis(5));
    }
    send(&child, Signal::INT);
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn a_signal_ends_doctor_without_a_word_against_the_server() {
    let story = Story::new("held-doctor");
    story.init_with_secret();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("ca.server=http://{}/cmp", silent.local_addr().unwrap());
    let child = story
        .command(&["-o", &server, "--json", "doctor"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It looks whether the port is open, and then asks.
    loop {
        let (mut asked, _) = silent.accept().unwrap();
        if asked.read(&mut [0; 1]).is_ok_and(|count| count > 0) {
            send(&child, Signal::INT);
            break;
        }
    }
    let ended = child.wait_with_output().unwrap();
    let document = json(&String::from_utf8_lossy(&ended.stdout));
    assert_eq!(ended.status.code(), Some(130), "{document}");
    assert_eq!((&document["ok"], &document["error"]["code"]), (&json("false"), &json("\"CANCELLED\"")), "{document}");
    assert!(document.get("checks").is_none(), "{document}");
}
