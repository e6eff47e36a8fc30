//! A secret that cannot be had, or is another one: whichever setting says where it is, and whichever command needs it, the words name the
//! setting and the place, and the exit status is one.

mod common;

use std::os::unix::fs::PermissionsExt;

use common::Story;
use devid::client::device::keys::{self, Kind};

/// The settings are wrong, or name a file that cannot be read.
const AWAY: i32 = 2;
/// The secret is there, and opens nothing.
const WRONG: i32 = 4;

/// A device that is enrolled, its keys sealed, with everything in its folder that a secret opens.
fn enrolled(name: &str) -> Story {
    let story = Story::new(name);
    story.init_with_secret();
    secret(&story, "seal", "of this board");
    secret(&story, "other", "of another board");
    story.good(&["-o", &format!("device.seal=file:{}", story.path("seal")), "enroll"]);
    secret(&story, "idevid.key", &std::fs::read_to_string(story.folder.join("idevid.key")).unwrap());
    story.good(&[
        "key",
        "convert",
        &story.path("idevid.key"),
        "--output",
        &story.path("locked.key"),
        "--new-password",
        &format!("file:{}", story.path("seal")),
    ]);
    story
}

fn secret(story: &Story, name: &str, words: &str) {
    std::fs::write(story.folder.join(name), words).unwrap();
    common::private(&story.folder.join(name));
}

/// What stands beside a secret for it to be needed, and commands that need it.
fn uses(story: &Story, setting: &str) -> Option<(Vec<String>, Vec<Vec<String>>)> {
    let path = |name: &str| story.path(name);
    let words = |commands: &[&[&str]]| -> Vec<Vec<String>> {
        commands.iter().map(|words| words.iter().map(|&word| word.to_owned()).collect()).collect()
    };
    let seal = format!("device.seal=file:{}", path("seal"));
    let again: &[&[&str]] = &[&["enroll", "--again"], &["enroll", "--again", "--dry-run"]];
    Some(match setting {
        "device.seal" => (
            vec![],
            words(&[
                &["keep"],
                &["enroll"],
                &["enroll", "--again"],
                &["renew"],
                &["renew", "--now"],
                &["export", "device", "pem", &path("pem")],
                &["revoke", "--reason", "superseded"],
                &["request"],
            ]),
        ),
        "ca.login.secret" => (vec![seal], words(again)),
        "ca.login.password" => (
            vec![
                seal,
                "ca.login.kind=file".to_owned(),
                format!("ca.login.key={}", path("locked.key")),
                format!("ca.login.certificates={}", path("idevid.pem")),
            ],
            words(again),
        ),
        "ca.tls.password" => (
            vec![
                seal,
                "ca.server=https://127.0.0.1:9/".to_owned(),
                format!("ca.tls.key={}", path("locked.key")),
                format!("ca.tls.certificates={}", path("idevid.pem")),
            ],
            words(&[&["renew", "--now"], &["enroll", "--again"], &["ca", "certs"]]),
        ),
        "ca.proxy.password" => (
            vec![seal, "ca.proxy.url=http://127.0.0.1:9".to_owned(), "ca.proxy.user=me".to_owned()],
            words(&[&["renew", "--now"], &["enroll", "--again"], &["ca", "certs"]]),
        ),
        "device.pkcs11.pin" => {
            if !cfg!(feature = "pkcs11") || !story.has_token() {
                return None;
            }
            let uri = "pkcs11:token=device;object=apart";
            let key_at = format!("identity.device.key-at={uri}");
            (vec![seal, key_at], words(&[&["key", "make", uri], &["renew", "--now"], &["enroll", "--again"]]))
        }
        // Said in the settings it is an export's, which takes no certificate back: see below.
        "identity.*.export.password" => return None,
        other => panic!("{other}: nobody has said what it opens"),
    })
}

/// Sources that give nothing, and what the words call them.
fn ways(story: &Story) -> Vec<(String, String)> {
    let path = |name: &str| story.path(name);
    secret(story, "empty", "\n");
    secret(story, "open", "words");
    std::fs::set_permissions(story.folder.join("open"), PermissionsExt::from_mode(0o644)).unwrap();
    let file = |name: &str| (format!("file:{}", path(name)), path(name));
    let own = |source: &str| (source.to_owned(), source.to_owned());
    vec![
        file("no-such"),
        file("no-such/folder"),
        file("empty"),
        file("open"),
        // A folder.
        file("memory"),
        own("env:DEVID_NO_SUCH_VARIABLE"),
        own("cred:no-such"),
        own("fd:97"),
        own("prompt"),
    ]
}

#[test]
fn whichever_secret_cannot_be_had_the_setting_and_the_place_are_told_with_one_status() {
    let story = enrolled("secrets-away");
    let mut tried = 0;
    for key in keys::ALL.iter().filter(|key| key.kind == Kind::Secret) {
        let setting = key.path;
        let Some((beside, commands)) = uses(&story, setting) else { continue };
        for (source, place) in ways(&story) {
            for command in &commands {
                let own = format!("{setting}={source}");
                let mut words: Vec<&str> = beside.iter().flat_map(|one| ["-o", one]).collect();
                words.extend(["-o", &own]);
                words.extend(command.iter().map(String::as_str));
                let (status, told) = story.bad(&words);
                assert_eq!(status, AWAY, "{words:?}: {told}");
                assert!(told.contains(setting) && told.contains(&place), "{words:?}: {told}");
                tried += 1;
            }
        }
    }
    assert!(tried > 150, "{tried}");
    // It is as it was.
    let seal = format!("device.seal=file:{}", story.path("seal"));
    story.good(&["-o", &seal, "keep"]);
    story.good(&["-o", &seal, "renew", "--now"]);
}

#[test]
fn whichever_secret_is_another_one_the_setting_is_told_with_one_status() {
    let story = enrolled("secrets-wrong");
    for setting in ["device.seal", "ca.login.password", "ca.tls.password"] {
        let (beside, commands) = uses(&story, setting).unwrap();
        // A new key is sealed under whatever there is, and a first certificate needs no old one.
        let is_new = |command: &Vec<String>| setting == "device.seal" && matches!(&*command[0], "request" | "enroll");
        for command in
            commands.iter().filter(|command| command.len() == 1 && command[0] == "enroll" || !is_new(command))
        {
            let own = format!("{setting}=file:{}", story.path("other"));
            let mut words: Vec<&str> = beside.iter().flat_map(|one| ["-o", one]).collect();
            words.extend(["-o", &own]);
            words.extend(command.iter().map(String::as_str));
            let (status, told) = story.bad(&words);
            assert_eq!(status, WRONG, "{words:?}: {told}");
            assert!(told.contains(setting), "{words:?}: {told}");
        }
    }
}

/// One word in a settings file is a file's name beside it; on the command line it may be the secret itself.
#[test]
fn a_file_of_one_word_is_named_where_it_stands_in_the_settings() {
    let story = enrolled("secrets-word");
    let text = std::fs::read_to_string(story.folder.join("devid.toml")).unwrap();
    let sealed = text.replacen("[device]\n", "[device]\nseal = \"file:sealsec\"\n", 1);
    assert_ne!(sealed, text);
    std::fs::write(story.folder.join("devid.toml"), sealed).unwrap();
    let run = |arguments: &[&str]| {
        let done = std::process::Command::new(env!("CARGO_BIN_EXE_devid"))
            .args(["-c", "devid.toml", "--memory", "memory"])
            .args(arguments)
            .current_dir(&story.folder)
            .output()
            .unwrap();
        (done.status.code(), String::from_utf8(done.stderr).unwrap(), String::from_utf8(done.stdout).unwrap())
    };
    for command in [&["keep"][..], &["renew", "--now"], &["config", "check"]] {
        let (status, words, _) = run(command);
        assert_eq!(status, Some(AWAY), "{command:?}: {words}");
        assert!(words.contains("device.seal") && words.contains("./sealsec"), "{command:?}: {words}");
    }
    let (status, _, told) = run(&["status"]);
    assert!(status == Some(0) && told.contains("./sealsec") && told.contains("unusable"), "{told}");
    let (status, words, told) = run(&["doctor", "--offline"]);
    assert!(status == Some(9) && format!("{words}{told}").contains("./sealsec"), "{words}{told}");
    // What is public is shown without it.
    assert_eq!(run(&["show", "device", "fullchain"]).0, Some(0));
    let (status, words, _) = run(&["-o", "device.seal=file:hunter2", "keep"]);
    assert!(status == Some(AWAY) && words.contains("device.seal") && !words.contains("hunter2"), "{words}");
}

/// The certificate is there, and an export of it is not: that has a status of its own.
#[test]
fn an_export_whose_password_cannot_be_had_names_the_setting() {
    let story = enrolled("secrets-export");
    let seal = format!("device.seal=file:{}", story.path("seal"));
    let (folder, missing) = (story.path("p12"), story.path("no-such"));
    story.set(&format!(
        "[[identity.device.export]]\nlayout = \"pkcs12\"\nfolder = \"{folder}\"\npassword = \"file:{missing}\""
    ));
    let (status, words) = story.bad(&["-o", &seal, "keep"]);
    assert!(status == 13 && words.contains("identity.device.export.password") && words.contains(&missing), "{words}");
    let from = format!("file:{missing}");
    let (status, words) = story.bad(&["-o", &seal, "export", "device", "pkcs12", &folder, "--password", &from]);
    assert!(status == AWAY && words.contains("--password") && words.contains(&missing), "{words}");
}
