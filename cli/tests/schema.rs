//! What commands print with `--json` is what its schema says, and nothing besides; the schema of the settings is the table of
//! settings.

mod common;

use std::collections::BTreeSet;

use common::{Story, json};
use serde_json::Value;

const OUTPUT: &str = include_str!("../../docs/schema/output.json");
const SETTINGS: &str = include_str!("../../docs/schema/settings.json");

/// The part of JSON Schema that these schemas use; another keyword is an error. Stricter than the standard in one thing: a field
/// that the schema does not name is an error too, so that none is forgotten there.
struct Schema {
    root: Value,
}

impl Schema {
    fn new(text: &str) -> Self {
        Schema { root: json(text) }
    }

    fn part(&self, reference: &str) -> &Value {
        let pointer = reference.strip_prefix('#').expect("a reference within the document");
        self.root.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere"))
    }

    fn check(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        for (keyword, wanted) in schema.as_object().expect("a schema") {
            let is_good = match keyword.as_str() {
                "$schema" | "$defs" | "title" | "description" | "required" | "minimum" | "pattern" => true,
                "$ref" => return self.check(self.part(wanted.as_str().unwrap()), value, at),
                "const" => value == wanted,
                "enum" => wanted.as_array().unwrap().contains(value),
                "type" => is_of(wanted, value),
                "oneOf" => return self.check_one(wanted.as_array().unwrap(), value, at),
                // Both kinds tell apart what fits here: no field that is not named may come.
                "anyOf" => return self.check_one(wanted.as_array().unwrap(), value, at),
                "items" => {
                    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
                    items
                        .iter()
                        .enumerate()
                        .try_for_each(|(n, item)| self.check(wanted, item, &format!("{at}[{n}]")))?;
                    true
                }
                "properties" => {
                    self.check_object(wanted, schema.get("required"), value, at)?;
                    true
                }
                other => panic!("this test does not know the keyword {other}"),
            };
            if !is_good {
                return Err(format!("{at}: {value} is not {keyword} {wanted}"));
            }
        }
        Ok(())
    }

    fn check_one(&self, choices: &[Value], value: &Value, at: &str) -> Result<(), String> {
        let outcomes: Vec<_> = choices.iter().map(|choice| self.check(choice, value, at)).collect();
        match outcomes.iter().filter(|outcome| outcome.is_ok()).count() {
            1 => Ok(()),
            0 => Err(outcomes.into_iter().filter_map(Result::err).collect::<Vec<_>>().join("\n  or ")),
            many => Err(format!("{at}: {many} choices fit")),
        }
    }

    fn check_object(&self, known: &Value, required: Option<&Value>, value: &Value, at: &str) -> Result<(), String> {
        let Some(fields) = value.as_object() else { return Ok(()) };
        for name in required.and_then(Value::as_array).into_iter().flatten() {
            if !fields.contains_key(name.as_str().unwrap()) {
                return Err(format!("{at}: {name} is missing"));
            }
        }
        for (name, field) in fields {
            let schema = known.get(name).ok_or_else(|| format!("{at}: the schema does not know {name}"))?;
            self.check(schema, field, &format!("{at}.{name}"))?;
        }
        Ok(())
    }
}

fn is_of(wanted: &Value, value: &Value) -> bool {
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no such type: {other}"),
    };
    match wanted {
        Value::Array(names) => names.iter().any(|name| is(name.as_str().unwrap())),
        name => is(name.as_str().unwrap()),
    }
}

/// Runs commands and checks what each prints; remembers which have been seen.
struct Seen<'s> {
    story: &'s Story,
    schema: Schema,
    commands: BTreeSet<String>,
}

impl Seen<'_> {
    fn run(&mut self, arguments: &[&str]) -> Value {
        let output = self.story.run(&[&["--json"], arguments].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(text.lines().count(), 1, "{arguments:?}: one document: {text}\n{words}");
        let document = json(&text);
        self.check(&document, arguments);
        let is_ok = document["ok"] == true;
        let status = output.status.code().unwrap();
        assert_eq!(is_ok, matches!(status, 0 | 20 | 21), "{arguments:?}: {document}");
        assert_eq!(!is_ok, document["error"].is_object(), "{arguments:?}: {document}");
        if !is_ok {
            let error = &document["error"];
            assert_eq!(error["exit"], status, "{arguments:?}: {error}");
            assert!(error["class"].is_string() && !error["message"].as_str().unwrap().is_empty(), "{error}");
        }
        let name = document["command"].as_str().unwrap().to_owned();
        self.commands.insert(if is_ok { name } else { "failure".to_owned() });
        document
    }

    fn check(&self, document: &Value, what: &[&str]) {
        // By its own name, for words that can be read; the whole schema picks the same one. A failure has its error and nothing besides.
        let name = match document["ok"] == true || document.as_object().unwrap().len() > 5 {
            true => format!("output of {}", document["command"].as_str().unwrap()),
            false => "failure".to_owned(),
        };
        let part = &self.schema.root["$defs"][&name];
        assert!(part.is_object(), "{what:?}: the schema has no {name}");
        self.schema.check(part, document, "").unwrap_or_else(|words| panic!("{what:?}: {words}\n{document}"));
        self.schema.check(&self.schema.root, document, "").unwrap_or_else(|words| panic!("{what:?}: {words}"));
    }
}

#[test]
fn every_command_prints_what_the_schema_says() {
    let story = Story::new("schema");
    story.init_with_secret();
    let mut seen = Seen { story: &story, schema: Schema::new(OUTPUT), commands: BTreeSet::new() };
    let path = |name: &str| story.path(name);

    let other = (path("other.toml"), path("other-memory"));
    let (server, root) = (story.server.cmp_url(), path("root.pem"));
    let first = ["--memory", &other.1, "init", "--output", &other.0, "--server", &server, "--trust", &root];
    let named = [&first[..], &["--subject", "CN=a", "--identity", "second"]].concat();
    let mut init = std::process::Command::new(env!("CARGO_BIN_EXE_devid"));
    let made = init.args(["--json"]).args(&named).output().unwrap();
    seen.check(&json(&String::from_utf8(made.stdout).unwrap()), &["init"]);
    seen.commands.insert("init".to_owned());

    seen.run(&["status"]);
    seen.run(&["enroll", "--dry-run"]);
    seen.run(&["show", "device", "cert"]);
    seen.run(&["doctor"]);
    story.knob("waiting", "1");
    seen.run(&["enroll", "--no-wait"]);
    seen.run(&["status"]);
    story.knob("waiting", "0");
    seen.run(&["store", "list"]);
    seen.run(&["enroll"]);
    let folder = path("exported");
    story.set(&format!("[[identity.device.export]]\nlayout = \"nginx\"\nfolder = \"{folder}\""));
    for arguments in [
        &["keep"][..],
        &["renew"],
        &["renew", "--now", "--dry-run"],
        &["renew", "--now"],
        &["status"],
        &["show", "device"],
        &["show", "device", "fullchain"],
        &["export", "device", "pem", &path("pem")],
        &["ca", "certs"],
        &["ca", "template"],
        &["ca", "crl", "--no-wait", "--trace", &path("t.txt")],
        &["anchors", "list"],
        &["anchors", "add", "peers", &root],
        &["anchors", "remove", "peers", &root],
        &["anchors", "add", "all", &root],
        &["store", "verify"],
        &["store", "repair"],
        &["store", "rollback", "device"],
        &["store", "reset", "device"],
        &["store", "forget-numbers", &root],
        &["store", "forget-numbers", "--all"],
        &["request"],
        &["request", "--output", &path("r.csr")],
        &["store", "abandon", "device"],
        &["config", "show"],
        &["config", "check"],
        &["config", "explain"],
        &["config", "explain", "ca.server"],
        &["config", "explain", "ca.limits"],
        &["validate", &path("peer-good.pem"), "--name", "dns:good.peer.example", "--untrusted", &path("issuing.pem")],
        &["validate", &path("peer-good.pem"), "--name", "dns:x.example", "--untrusted", &path("issuing.pem")],
        &["key", "make", &path("key.pem")],
        &["key", "show", &path("key.pem")],
        &["key", "public", &path("key.pem")],
        &["key", "convert", &path("key.pem")],
        &["key", "convert", &path("key.pem"), "--output", &path("key2.pem")],
        &["key", "convert", &path("key.pem"), "--new-password", &format!("file:{}", path("secret.txt")), "--scrypt"],
        &["key", "make", &path("key.pem")],
        &["-o", "ca.sever=x", "status"],
        &["revoke", "--reason", "superseded", "--dry-run"],
        &["-o", "ca.server=http://127.0.0.1:9/", "renew", "--now"],
        &["-o", "ca.server=ftp://127.0.0.1/", "doctor", "--offline"],
        &["-o", "device.memory=nowhere", "status"],
        &["validate", &path("peer-good.pem"), "--name", "any", "--trust", &path("no-such.pem")],
        &["anchors", "add", "peers", &path("no-such.pem")],
        &["status", "no-such"],
        &["store", "abandon", "no-such"],
        &["store", "reset", "no-such"],
        &["ca", "certs", "--name", "no-such"],
        &["doctor", "--offline"],
    ] {
        seen.run(arguments);
    }
    // A key that comes with its certificate, as another command of the field hands it over.
    story.good(&["export", "device", "pkcs12", &path("p12"), "--password", &format!("file:{}", path("secret.txt"))]);
    let file = path("p12/device.p12");
    seen.run(&["import", &file, "--name", "device", "--password", &format!("file:{}", path("secret.txt"))]);
    seen.run(&["revoke", "--reason", "superseded"]);
    seen.run(&["status"]);
    seen.run(&["store", "factory-reset", "--dry-run"]);
    seen.run(&["store", "remove", "device", "--yes"]);
    seen.run(&["store", "factory-reset", "--yes"]);

    for arguments in [
        &["--json", "help", "error"][..],
        &["help", "--json", "error", "REJECTED"],
        &["help", "error", "-404", "--json"],
    ] {
        let made = std::process::Command::new(env!("CARGO_BIN_EXE_devid")).args(arguments).output().unwrap();
        seen.check(&json(&String::from_utf8(made.stdout).unwrap()), arguments);
    }
    seen.commands.insert("help error".to_owned());

    // `devid --json cmp` is tried where `devid cmp` is.
    let all = seen.schema.root["$defs"].as_object().unwrap().keys();
    let wanted = all.filter_map(|name| name.strip_prefix("output of ")).filter(|name| *name != "cmp");
    for name in wanted {
        assert!(seen.commands.contains(name), "nobody has seen the output of {name}");
    }
    assert!(seen.commands.contains("failure"));
}

/// The commands and their parts, as the help lists them: `store remove`, `status`.
fn all_commands() -> Vec<Vec<String>> {
    let below = |words: &[String]| -> Vec<String> {
        let help = std::process::Command::new(env!("CARGO_BIN_EXE_devid")).args(words).arg("--help").output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        let listed = help.split("Commands:\n").nth(1).unwrap_or_default().split("\n\n").next().unwrap_or_default();
        let indented = listed.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
        indented.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
    };
    let mut found = Vec::new();
    for command in below(&[]).into_iter().filter(|name| name != "cmp" && name != "help") {
        found.push(vec![command.clone()]);
        let parts = below(std::slice::from_ref(&command)).into_iter().filter(|name| name != "help");
        found.extend(parts.map(|part| vec![command.clone(), part]));
    }
    found
}

#[test]
fn a_mistake_on_the_command_line_is_an_error_object_whatever_the_command() {
    let schema = Schema::new(OUTPUT);
    let commands = all_commands();
    assert!(commands.len() > 35, "{commands:?}");
    let run = |words: &[&str]| {
        let done = std::process::Command::new(env!("CARGO_BIN_EXE_devid")).args(words).output().unwrap();
        let (out, err) = (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap());
        (done.status.code(), out, err)
    };
    for command in commands {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        for wrong in [&["--no-such-option"][..], &["--verbose=much"], &["a", "b", "c", "d", "e", "--no-such-option"]] {
            for whole in [[&["--json"], &words[..], wrong].concat(), [&words[..], &["--json"], wrong].concat()] {
                let (status, out, err) = run(&whole);
                assert_eq!(status, Some(2), "{whole:?}: {err}");
                assert_eq!(out.lines().count(), 1, "{whole:?}: one document: {out}");
                let document = json(&out);
                schema.check(&schema.root, &document, "").unwrap_or_else(|words| panic!("{whole:?}: {words}"));
                assert_eq!(document["command"], words[0], "{whole:?}");
                assert_eq!(document["error"]["exit"], 2);
                let message = document["error"]["message"].as_str().unwrap();
                assert!(!message.is_empty() && err.contains(message.split_whitespace().next().unwrap()), "{message}");
            }
        }
        // Nobody asked for it: people's words alone.
        let (status, out, err) = run(&[&words[..], &["--no-such-option"]].concat());
        assert_eq!((status, out.as_str()), (Some(2), ""), "{words:?}");
        assert!(err.contains("--no-such-option"), "{err}");
    }
    for (words, name) in [
        (&["--json"][..], "devid"),
        (&["--json", "nosuch"], "devid"),
        (&["--json", "init"], "init"),
        (&["--json", "store"], "store"),
        (&["--json", "help", "error", "no-such-code"], "help error"),
        (&["--json", "status", "-----BEGIN CERTIFICATE-----"], "status"),
    ] {
        let (status, out, _) = run(words);
        let document = json(&out);
        schema.check(&schema.root, &document, "").unwrap_or_else(|wrong| panic!("{words:?}: {wrong}"));
        assert_eq!((status, document["command"].as_str()), (Some(2), Some(name)), "{words:?}");
    }
    // What was asked for is no mistake.
    for words in [&["--json", "--help"][..], &["--json", "--version"], &["init", "--help", "--json"]] {
        assert_eq!(run(words).0, Some(0), "{words:?}");
    }
}

#[test]
fn the_schema_of_the_settings_is_the_one_that_is_committed() {
    let story = Story::new("schema-settings");
    let made = story.good(&["config", "schema"]);
    if std::env::var_os("DEVID_UPDATE_SCHEMA").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/schema/settings.json"), &made).unwrap();
        return;
    }
    assert!(
        made == SETTINGS,
        "docs/schema/settings.json is of another table: run this test with DEVID_UPDATE_SCHEMA=1"
    );
    assert_eq!(json(&story.good(&["config", "schema", "--output"])), json(OUTPUT));
}

#[test]
fn a_document_that_is_otherwise_is_refused() {
    let schema = Schema::new(OUTPUT);
    let good = json(r#"{"schema":1,"devid":"0","command":"revoke","ok":true,"name":"device"}"#);
    schema.check(&schema.root, &good, "").unwrap();
    for (field, value) in [
        ("schema", json("2")),
        ("name", json("1")),
        ("more", json("1")),
        ("ok", json("\"yes\"")),
        ("command", json("\"x\"")),
    ] {
        let mut other = good.clone();
        other[field] = value;
        assert!(schema.check(&schema.root, &other, "").is_err(), "{other}");
    }
}
