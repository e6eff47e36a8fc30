//! What is typed counts: the options of `init`, the factory's identity in a file, and a result that did not arrive.

mod common;

use std::path::Path;
use std::process::{Command, Stdio};

use common::{Story, json, private};

/// `devid` in the device's folder, with what the command line names relative to it.
fn here(story: &Story, words: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_devid"));
    command.current_dir(&story.folder).args(words).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn what_init_is_given_counts_from_where_it_is_typed() {
    let story = Story::new("typed-init");
    let (server, reference) =
        (story.server.cmp_url(), std::fs::read_to_string(story.folder.join("reference.txt")).unwrap());
    let mut words = vec!["-c", "conf/devid.toml", "-m", "mem", "init", "--server", &server, "--trust", "root.pem"];
    words.extend(["--signer", "cmp-signer.pem", "--subject", "CN=a", "--reference", &reference]);
    words.extend(["--secret", "file:secret.txt"]);
    let made = here(&story, &words);
    assert_eq!(made.status.code(), Some(0), "{}", String::from_utf8_lossy(&made.stderr));
    // As it is printed, and from everywhere else.
    let enrolled = here(&story, &["-c", "conf/devid.toml", "enroll"]);
    assert_eq!(enrolled.status.code(), Some(0), "{}", String::from_utf8_lossy(&enrolled.stderr));
    assert!(story.folder.join("mem/identity/device").exists() && !story.folder.join("conf/mem").exists());
    let settings = story.path("conf/devid.toml");
    let status = Command::new(env!("CARGO_BIN_EXE_devid")).args(["-c", &settings, "status"]).output().unwrap();
    assert_eq!(status.status.code(), Some(0));
}

#[test]
fn the_settings_that_init_is_given_are_kept() {
    let story = Story::new("typed-options");
    let server = story.server.cmp_url();
    let options = ["-o", "device.memory=mem", "-o", "device.seal=file:secret.txt", "-o", "identity.device.key=P-384"];
    let init = ["init", "--server", &server, "--trust", "root.pem", "--subject", "CN=a"];
    let factory = ["--factory-key", "idevid.key", "--factory-certificates", "idevid.pem"];
    let made = here(&story, &[&["-c", "a.toml"][..], &options, &init, &factory].concat());
    assert_eq!(made.status.code(), Some(0), "{}", String::from_utf8_lossy(&made.stderr));
    let key = std::fs::read_to_string(story.folder.join("mem/identity/idevid/gen-000001/key.pem")).unwrap();
    assert!(!key.contains("BEGIN PRIVATE KEY"), "device.seal counts for the factory's key too");
    let told = here(&story, &["-c", "a.toml", "--json", "config", "show"]);
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(told.contains("P-384") && json(&told)["ok"] == true, "{told}");
    // The dark twin: a setting that there is not is refused, and nothing is made.
    let wrong = here(&story, &[&["-c", "b.toml", "-m", "other", "-o", "device.memroy=x"][..], &init].concat());
    let words = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(wrong.status.code() == Some(2) && words.contains("device.memory"), "{words}");
    assert!(!story.folder.join("b.toml").exists() && !story.folder.join("other").exists());
}

#[test]
fn settings_that_everybody_could_change_are_not_begun() {
    use std::os::unix::fs::PermissionsExt;
    let story = Story::new("typed-open");
    let folder = story.folder.join("open");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o777)).unwrap();
    let server = story.server.cmp_url();
    let init = ["init", "--server", &server, "--trust", "root.pem", "--subject", "CN=a"];
    let refused = here(&story, &[&["-c", "open/devid.toml", "-m", "mem"][..], &init].concat());
    assert_eq!(refused.status.code(), Some(3), "{}", String::from_utf8_lossy(&refused.stderr));
    assert!(!story.folder.join("mem").exists() && !folder.join("devid.toml").exists());
    // Where nobody can replace another's file, as in /tmp, it is well.
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o1777)).unwrap();
    let made = here(&story, &[&["-c", "open/devid.toml", "-m", "mem"][..], &init].concat());
    assert_eq!(made.status.code(), Some(0), "{}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn the_factory_puts_its_identity_into_an_image_whose_settings_are_there() {
    let story = Story::new("typed-factory");
    let server = story.server.cmp_url();
    let settings = format!(
        "[device]\nmemory = \"memory\"\n[ca]\nserver = {server:?}\n[ca.login]\nkind = \"factory\"\n\
         [ca.trust]\nall = [\"root.pem\"]\nsigners = [\"cmp-signer.pem\"]\n[identity.device]\nsubject = \"CN=a\"\n"
    );
    std::fs::write(story.folder.join("devid.toml"), settings).unwrap();
    let (status, words) = story.bad(&["enroll"]);
    assert!(status == 2 && words.contains("devid import FILE --name idevid"), "{words}");
    let bundle = |name: &str, certificate: &str, above: &str, key: &str| {
        let mut openssl = Command::new("openssl");
        openssl.current_dir(&story.folder).args(["pkcs12", "-export", "-inkey", key, "-in", certificate]);
        openssl.args(["-certfile", above, "-passout", "pass:wine", "-out", name]);
        assert!(openssl.status().unwrap().success());
    };
    std::fs::write(story.folder.join("password"), "wine").unwrap();
    private(&story.folder.join("password"));
    let password = format!("file:{}", story.path("password"));
    bundle("fac.p12", "idevid.pem", "supplier.pem", "idevid.key");
    let import =
        |file: &str, name: &str| story.run(&["import", &story.path(file), "--name", name, "--password", &password]);
    // Under any other name the owner's anchors decide, and device memory is not made by a file.
    let refused = import("fac.p12", "device");
    assert_eq!(refused.status.code(), Some(8), "{}", String::from_utf8_lossy(&refused.stderr));
    assert!(!Path::new(&story.path("memory")).exists());
    let taken = import("fac.p12", "idevid");
    assert_eq!(taken.status.code(), Some(0), "{}", String::from_utf8_lossy(&taken.stderr));
    let refused = import("fac.p12", "device");
    assert_eq!(refused.status.code(), Some(9), "{}", String::from_utf8_lossy(&refused.stderr));
    story.good(&["enroll"]);
    // A certificate alone is no identity.
    let alone = story.run(&["import", &story.path("idevid.pem"), "--name", "idevid"]);
    assert_eq!(alone.status.code(), Some(3), "{}", String::from_utf8_lossy(&alone.stderr));
}

#[test]
fn a_result_that_did_not_arrive_is_no_success() {
    let story = Story::new("typed-full");
    story.init_with_secret();
    story.good(&["enroll"]);
    let to = |words: &[&str], place: &str| {
        let file = std::fs::OpenOptions::new().write(true).open(place).unwrap();
        let done = story.command(words).stdout(file).output().unwrap();
        (done.status.code().unwrap(), String::from_utf8(done.stderr).unwrap())
    };
    for words in [
        &["show", "device", "fullchain"][..],
        &["status"],
        &["--json", "status"],
        &["config", "explain"],
        &["config", "schema"],
        &["man"],
        &["--help"],
        &["help", "error"],
        &["completions", "bash"],
        &["anchors", "list"],
        &["key", "public", &story.path("idevid.key")],
    ] {
        let (status, told) = to(words, "/dev/full");
        assert!(status == 3 && told.contains("standard output: "), "{words:?}: {status} {told}");
        assert_eq!(to(words, "/dev/null").0, 0, "{words:?}");
    }
    // What went wrong besides says so itself.
    assert_eq!(to(&["--json", "show", "nosuch"], "/dev/full").0, 8);
    // A reader that has had enough is no fault.
    let mut piped = story.command(&["config", "explain"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(piped.stdout.take());
    assert_eq!(piped.wait().unwrap().code(), Some(0));
}

#[test]
fn a_key_that_could_not_be_written_to_its_end_leaves_no_file() {
    let story = Story::new("typed-key");
    let make = |limit: &str| {
        let script = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$0\" key make k.pem");
        Command::new("sh")
            .current_dir(&story.folder)
            .args(["-c", &script, env!("CARGO_BIN_EXE_devid")])
            .output()
            .unwrap()
    };
    assert_eq!(make("0").status.code(), Some(3));
    assert!(!story.folder.join("k.pem").exists());
    assert_eq!(make("unlimited").status.code(), Some(0), "the same command, once there is room");
    assert_eq!(make("unlimited").status.code(), Some(3), "a key that is there is never written over");
}

/// The place of a medium that is not mounted: a folder, and nothing in it.
#[test]
fn an_empty_folder_is_no_device_memory_until_somebody_asks_for_one() {
    use std::os::unix::fs::PermissionsExt;
    let story = Story::new("typed-mount");
    story.write_settings();
    story.set("[device]\nid = \"7\"");
    let memory = story.folder.join("memory");
    std::fs::create_dir(&memory).unwrap();
    std::fs::set_permissions(&memory, PermissionsExt::from_mode(0o700)).unwrap();
    let is_empty = || std::fs::read_dir(&memory).unwrap().next().is_none();
    let certificate = story.path("peer-good.pem");
    for words in [
        &["keep"][..],
        &["keep", "--dry-run"],
        &["status"],
        &["store", "list"],
        &["store", "verify"],
        &["anchors", "list"],
        &["show", "device", "cert"],
        &["export", "device", "pem", "somewhere"],
        &["renew", "--now"],
        &["revoke", "--reason", "superseded"],
        &["import", &certificate],
        &["ca", "certs"],
    ] {
        let (status, told) = story.bad(words);
        assert!(status == 8 && told.contains("there is no device memory at"), "{words:?}: {status} {told}");
        assert!(is_empty(), "{words:?}");
    }
    for words in [&["doctor"][..], &["config", "check"], &["run"]] {
        let mut command = story.command(words);
        let done = match words == ["run"] {
            false => command.output().unwrap().status.code(),
            true => Command::new("timeout")
                .arg("2")
                .arg(env!("CARGO_BIN_EXE_devid"))
                .args(["--config", &story.path("devid.toml"), "--memory", &story.path("memory"), "run"])
                .output()
                .unwrap()
                .status
                .code(),
        };
        assert!(done.is_some() && is_empty(), "{words:?}: {done:?}");
    }
    assert_eq!(story.got(0), 0, "nobody was asked");
    // What could not go out makes none either.
    for (setting, told) in [
        ("identity.device.subject=", "subject"),
        ("ca.login.secret=env:NOSUCH", "NOSUCH"),
        ("ca.login.kind=factory", "there is nothing to log in with"),
    ] {
        let (_, words) = story.bad(&["-o", setting, "enroll"]);
        assert!(words.contains(told) && is_empty(), "{setting}: {words}");
    }
    story.good(&["enroll"]);
    story.good(&["keep"]);
    assert_eq!(story.got(0), 1);
}

#[test]
fn words_that_nobody_can_be_told_stop_no_work() {
    let story = Story::new("typed-mute");
    story.init_with_secret();
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mute = |words: &[&str]| story.command(words).stderr(full()).output().unwrap().status.code().unwrap();
    assert_eq!(mute(&["-vvv", "keep"]), 0, "the certificate comes");
    assert_eq!(mute(&["-v", "renew", "--now"]), 0);
    assert_eq!(json(&story.good(&["--json", "status"]))["identities"][0]["generation"], 2);
    // Statuses are as ever.
    assert_eq!(mute(&["validate", "nosuch", "--name", "any"]), 3);
    assert_eq!(mute(&["-o", "x", "status"]), 2);
    assert_eq!(mute(&["nosuch"]), 2);
    assert_eq!(mute(&["show", "nosuch"]), 8);
}

/// A command at a terminal of its own.
struct Typed {
    child: std::process::Child,
    master: std::fs::File,
    held: std::fs::File,
    before: rustix::termios::LocalModes,
}

impl Typed {
    fn new(story: &Story, arguments: &[&str]) -> Self {
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let slave = ptsname(&master, Vec::new()).unwrap();
        let open = || std::fs::File::options().read(true).write(true).open(slave.to_str().unwrap()).unwrap();
        let held = open();
        let before = rustix::termios::tcgetattr(&held).unwrap().local_modes;
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait", env!("CARGO_BIN_EXE_devid"), "-c", &story.path("devid.toml")]);
        command.args(["-m", &story.path("memory")]).args(arguments);
        command.stdin(open()).stdout(Stdio::null()).stderr(Stdio::null());
        Typed { child: command.spawn().unwrap(), master: master.into(), held, before }
    }

    /// Waits for a prompt: what is typed counts from then on.
    fn prompted(&mut self) -> String {
        use std::io::Read;
        let mut shown = Vec::new();
        while !shown.ends_with(b": ") {
            let mut byte = [0];
            self.master.read_exact(&mut byte).unwrap();
            shown.push(byte[0]);
        }
        let modes = rustix::termios::tcgetattr(&self.held).unwrap().local_modes;
        assert!(!modes.contains(rustix::termios::LocalModes::ECHO));
        String::from_utf8(shown).unwrap()
    }

    fn types(&mut self, words: &str) {
        use std::io::Write;
        self.master.write_all(words.as_bytes()).unwrap();
    }

    /// The exit status; the terminal is as it was.
    fn ended(mut self) -> Option<i32> {
        let status = self.child.wait().unwrap();
        let after = rustix::termios::tcgetattr(&self.held).unwrap().local_modes;
        assert_eq!(after, self.before, "echo and signals are as they were");
        status.code()
    }
}

/// A story whose secret is typed, and the secret.
fn asks(name: &str) -> (Story, String) {
    let story = Story::new(name);
    story.init_with_secret();
    let text = std::fs::read_to_string(story.folder.join("devid.toml")).unwrap();
    let secret = format!("\"file:{}\"", story.path("secret.txt"));
    assert!(text.contains(&secret), "{text}");
    std::fs::write(story.folder.join("devid.toml"), text.replace(&secret, "\"prompt\"")).unwrap();
    let secret = std::fs::read_to_string(story.path("secret.txt")).unwrap();
    (story, secret)
}

#[test]
fn what_interrupts_at_a_prompt_ends_the_command_and_gives_the_terminal_back() {
    use rustix::process::{Pid, Signal, kill_process};
    let (story, secret) = asks("typed-prompt");
    for (arguments, status) in [(&["enroll"][..], 130), (&["doctor"], 130), (&["run"], 0)] {
        for typed in ["\u{3}", "abc\u{3}", "abc\u{1c}"] {
            let mut typing = Typed::new(&story, if arguments == ["run"] { &["keep"] } else { arguments });
            typing.prompted();
            typing.types(typed);
            assert_eq!(typing.ended(), Some(130), "{arguments:?} {typed:?}");
        }
        for signal in [Signal::TERM, Signal::INT] {
            // Where there is no memory yet, the daemon has nothing to look at.
            if arguments == ["run"] {
                story.run(&["anchors", "add", "peers", &story.path("root.pem")]);
            }
            let mut typing = Typed::new(&story, arguments);
            typing.prompted();
            let pid = Pid::from_raw(i32::try_from(typing.child.id()).unwrap()).unwrap();
            kill_process(pid, signal).unwrap();
            assert_eq!(typing.ended(), Some(status), "{arguments:?} {signal:?}");
        }
    }
    // What no secret has was typed by mistake, and costs no try.
    let mut typing = Typed::new(&story, &["enroll"]);
    typing.prompted();
    typing.types("abc\u{1a}\n");
    assert_eq!(typing.ended(), Some(2));
    assert_eq!(story.got(0), 0, "nothing was sent");
    let mut typing = Typed::new(&story, &["enroll"]);
    typing.prompted();
    typing.types(&(secret + "\n"));
    assert_eq!(typing.ended(), Some(0));
}

#[test]
fn a_new_password_is_typed_twice() {
    let (story, _) = asks("typed-twice");
    let make = |file: &str, first: &str, second: &str| {
        let mut typing = Typed::new(&story, &["key", "make", &story.path(file), "--password", "prompt"]);
        assert!(typing.prompted().contains("the new password: "));
        typing.types(first);
        assert!(typing.prompted().contains("once more: "));
        typing.types(second);
        typing.ended()
    };
    assert_eq!(make("slip.pem", "letmein\n", "letmeim\n"), Some(2));
    assert!(!story.folder.join("slip.pem").exists());
    assert_eq!(make("key.pem", "letmein\n", "letmein\n"), Some(0));
    std::fs::write(story.folder.join("password"), "letmein").unwrap();
    common::private(&story.folder.join("password"));
    story.good(&["key", "show", &story.path("key.pem"), "--password", &format!("file:{}", story.path("password"))]);
}
