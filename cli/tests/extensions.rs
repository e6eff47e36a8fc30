//! A critical extension that the device's owner asks for is one that the device understands, whichever way its certificate comes.

mod common;

use common::{Story, json};

const OURS: &str = "extensions = [{ oid = \"1.3.6.1.4.1.54621.9\", critical = true, utf8 = \"x\" }]";
const IR: i32 = 0;
const KUR: i32 = 7;

fn story(name: &str) -> Story {
    let story = Story::new(name);
    story.init_with_secret();
    let file = story.folder.join("devid.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let subject = text.lines().find(|line| line.starts_with("subject")).unwrap().to_owned();
    std::fs::write(&file, text.replace(&subject, &format!("{subject}\n{OURS}"))).unwrap();
    story
}

fn in_use(story: &Story) -> u64 {
    json(&story.good(&["--json", "status", "--check"]))["identities"][0]["generation"].as_u64().unwrap()
}

#[test]
fn it_is_taken_by_enrolment_and_where_the_ca_repeats_it_by_renewal() {
    let story = story("critical");
    story.good(&["config", "check"]);
    story.good(&["enroll"]);
    assert_eq!((in_use(&story), story.got(IR)), (1, 1));
    story.good(&["renew", "--now"]);
    // Asked for with the old one's uses, which it is one of.
    story.good(&["-o", "identity.device.renew.with-uses=true", "renew", "--now"]);
    assert_eq!((in_use(&story), story.got(KUR)), (3, 2));
}

#[test]
fn it_is_taken_from_a_file_that_answers_a_request_and_from_no_other() {
    let story = story("critical-file");
    let (request, answer, root) = (story.path("r.csr"), story.path("answer.pem"), story.path("root.pem"));
    story.good(&["request", "device", "--output", &request]);
    let reference = std::fs::read_to_string(story.folder.join("reference.txt")).unwrap();
    let (server, secret) = (story.server.cmp_url(), format!("file:{}", story.path("secret.txt")));
    let mut asked = std::process::Command::new(env!("CARGO_BIN_EXE_devid"));
    asked.args(["cmp", "-server", &server, "-cmd", "p10cr", "-csr", &request, "-ref", &reference, "-secret", &secret]);
    asked.args(["-trusted", &root, "-certout", &answer]);
    let asked = asked.output().unwrap();
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    // Whoever has not asked for it does not know what it says.
    let (code, _) =
        story.bad(&["validate", &answer, "--name", "any", "--trust", &root, "--untrusted", &story.path("issuing.pem")]);
    assert_eq!(code, 9);
    let whole =
        std::fs::read_to_string(&answer).unwrap() + &std::fs::read_to_string(story.path("issuing.pem")).unwrap();
    std::fs::write(&answer, whole).unwrap();
    story.good(&["import", &answer]);
    assert_eq!(in_use(&story), 1);
}
