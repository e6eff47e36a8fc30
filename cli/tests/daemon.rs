//! `devid run` from its first breath: by which settings it begins, and what of a secret that can be read once. And the words of those
//! who have no certificate to renew.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::{Story, json};
use rustix::process::{Pid, Signal, kill_process};

const IR: i32 = 0;

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap(), signal).unwrap();
}

#[test]
fn the_daemon_begins_with_no_settings_that_cannot_work_and_waits_for_what_may_come() {
    let story = Story::new("begins");
    story.init_with_secret();
    for (wrong, setting) in [
        ("ca.server=foo", "ca.server"),
        ("identity.device.subject=foo", "subject"),
        ("ca.recipient=foo", "ca.recipient"),
    ] {
        let (code, words) = story.bad(&["-o", wrong, "run"]);
        assert!(code == 2 && words.contains(setting), "{wrong}: {code} {words}");
        assert_eq!(story.bad(&["-o", wrong, "config", "check"]).0, 2, "{wrong}");
        assert_eq!(story.bad(&["-o", wrong, "enroll"]).0, 2, "{wrong}");
    }
    assert_eq!(story.got(IR), 0);
    let list = story.path("not-mounted/list.crl");
    let away = format!("ca.trust.crls=[{list:?}]");
    assert_eq!(story.bad(&["-o", &away, "config", "check"]).0, 2, "who asks is told");
    let mut daemon = story.command(&["-o", &away, "run"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(daemon.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("ca.trust.crls") && line.contains(&list)), "it says what is missing");
    assert!(daemon.try_wait().unwrap().is_none(), "and goes on");
    send(&daemon, Signal::TERM);
    assert_eq!(daemon.wait().unwrap().code(), Some(0));
}

/// The command with the secret in a pipe, as a supervisor hands it over.
fn with_pipe(story: &Story, arguments: &[&str]) -> Child {
    let mut child =
        story.command(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let secret = std::fs::read(story.folder.join("secret.txt")).unwrap();
    child.stdin.take().unwrap().write_all(&secret).unwrap();
    child
}

#[test]
fn a_secret_from_a_pipe_is_there_as_often_as_it_is_needed() {
    let story = Story::new("pipe");
    story.init_with_secret();
    let file = story.folder.join("devid.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let by_file = format!("\"file:{}\"", story.path("secret.txt"));
    assert!(text.contains(&by_file), "{text}");
    std::fs::write(&file, text.replace(&by_file, "\"fd:0\"")).unwrap();

    let doctor = with_pipe(&story, &["--json", "doctor"]).wait_with_output().unwrap();
    let told = json(&String::from_utf8(doctor.stdout).unwrap());
    assert_eq!(told["errors"], 0, "the login and the question to the CA both need it: {told}");

    // The first attempt meets a CA that is busy.
    story.knob("http-status", "503");
    story.knob("html", "1");
    story.knob("requests", "1");
    let waits = ["-o", "identity.device.renew.first-wait=1s", "run"];
    let mut daemon = with_pipe(&story, &waits);
    until("the second attempt", || story.folder.join("memory/identity/device/gen-000001").exists());
    send(&daemon, Signal::HUP);
    send(&daemon, Signal::TERM);
    assert_eq!(daemon.wait().unwrap().code(), Some(0));
}

#[test]
fn without_a_certificate_there_is_nothing_to_renew_and_the_way_to_one_is_said() {
    let story = Story::new("no-first");
    story.init_with_secret();
    for arguments in [&["renew"][..], &["renew", "--now"], &["renew", "--dry-run"]] {
        let (code, words) = story.bad(arguments);
        assert!(code == 8 && words.contains("NOT_FOUND") && words.contains("devid enroll device"), "{code} {words}");
    }
    assert_eq!(story.got(IR), 0);
    story.bad(&["-o", "ca.server=http://127.0.0.1:9/cmp", "enroll"]);
    let told = json(&String::from_utf8(story.run(&["--json", "doctor", "--offline"]).stdout).unwrap());
    let rows = told["checks"].as_array().unwrap();
    let mend = rows.iter().find(|row| row["name"] == "identity").map(|row| row["mend"].to_string()).unwrap();
    assert!(mend.contains("devid enroll device"), "doctor sends nobody where nothing is told: {mend}");
    story.good(&["enroll"]);
    story.good(&["renew", "--now"]);
}
