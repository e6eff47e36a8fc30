//! Why did it fail? Each failure says phase, rule, expectation and finding, the server's words for what they are worth, and
//! what is known of servers that answer like this.

use devid::client::trace::Step;
use devid::client::{Config, Subject, Trace};
use devid::cmp::{MacParameters, Signer, Tolerance};
use devid::crypto::{KeyKind, default_provider};
use devid::{Class, Error};
use devid_testca::RaMode;
use devid_testca::server::system_time as seconds_now;

use crate::bench::{Bench, By, P256, Story, enroll};
use crate::bent::REFUSED;

fn failure(bench: &Bench, config: &Config, knobs: &[(&str, &str)]) -> Error {
    bench.set(knobs);
    enroll(config).0.map(|_| ()).expect_err(&format!("{knobs:?}"))
}

#[test]
fn every_refused_answer_names_phase_rule_expectation_and_finding() {
    let bench = Bench::new(P256);
    for &(name, value, code) in REFUSED {
        let error = failure(&bench, &bench.config(), &[(name, value)]);
        let facts = error.facts();
        assert_eq!(
            (error.code(), facts.phase, facts.http_path.as_deref()),
            (code, Some(devid::asn1::cmp::BodyType::IR.into()), Some("/cmp")),
            "{name}"
        );
        if code.class() == Class::Transport {
            continue;
        }
        let rule = facts.requirement.unwrap_or_else(|| panic!("{name}: {error}"));
        assert!(rule.contains("RFC") || rule.contains("limits"), "{name}: {rule}");
        // With the row of docs/requirements.md.
        assert!(rule.contains(" (") && rule.ends_with(')'), "{name}: {rule}");
        assert!(facts.expected.is_some(), "{name}");
        // What can be read is described, and what cannot be read is not.
        let unreadable = ["append", "garbage"].contains(&name);
        assert_eq!(facts.found.is_none(), unreadable, "{name}: {:?}", facts.found);
        let report = error.report();
        for line in ["phase: ir", "rule: ", "expected: ", "HTTP path: /cmp"] {
            assert!(report.contains(line), "{name}: no '{line}' in\n{report}");
        }
    }
}

#[test]
fn known_deviations_are_recognised() {
    let (signed, by_secret) = (Bench::new(P256), Bench::new(By::Pbm));
    let strict = |bench: &Bench| {
        let mut config = bench.config();
        config.tolerance = Tolerance::strict_rfc9483();
        config
    };
    let mut without_anchors = by_secret.config();
    without_anchors.cmp_anchors = Default::default();
    let mut stretched = by_secret.config();
    stretched.protect_with_secret(b"4711", b"correct-horse-battery-staple", MacParameters::PASSWORD_BASED).unwrap();
    let mut guessed = by_secret.config();
    guessed.protect_with_secret(b"4711", b"guessed", MacParameters::PASSWORD_BASED).unwrap();
    let mut elsewhere = signed.config();
    elsewhere.server.url = Some(format!("{}/pkix", signed.server.url()));
    let mut homeless = signed.config();
    homeless.cmp_anchors = Default::default();
    homeless.cmp_anchors.add(Bench::new(P256).root());
    let mut foreign = signed.config();
    foreign.enrolment_anchors = homeless.cmp_anchors.clone();
    let plain = signed.config();
    let refused = |bits: &'static str| vec![("status", "2"), ("fail-info", bits)];
    for (config, bench, knobs, words) in [
        (&strict(&by_secret), &by_secret, vec![("sign-macs", "1")], "see switch signature_answers_mac"),
        (&without_anchors, &by_secret, vec![("sign-macs", "1")], "must be among the CMP anchors"),
        (&plain, &signed, vec![("error", "1"), ("unprotected-error", "1")], "profile ejbca"),
        (&plain, &signed, vec![("error", "1"), ("at", "error"), ("no-transaction", "1")], "switch unmatched_errors"),
        (&strict(&signed), &signed, vec![("error", "1"), ("at", "error"), ("pvno", "1")], "the CMP of 1999"),
        (&plain, &signed, vec![("signer", "issuing")], "switch signer_key_usage"),
        (&plain, &signed, vec![("wrong-sender", "1")], "switch other_sender_name"),
        (&strict(&signed), &signed, vec![("null-names", "1")], "switch null_sender"),
        (&plain, &signed, vec![("no-extra-certs", "1")], "brings no certificates"),
        (&homeless, &signed, vec![("root-in-extra-certs", "1")], "adopt_root"),
        (&foreign, &signed, vec![], "enrolment anchors"),
        (&plain, &signed, vec![("message-time-off", "7200")], "clocks"),
        (&plain, &signed, vec![("no-confirmations", "1")], "switch never_confirm"),
        (&stretched, &by_secret, vec![("old-macs", "1")], "profile insta"),
        (&guessed, &by_secret, vec![], "reference value"),
        (&by_secret.config(), &by_secret, vec![("wrong-secret", "1")], "another secret"),
        (&by_secret.config(), &by_secret, vec![("mac-iterations", "2000000")], "max_mac_iterations"),
        (&plain, &signed, refused("2097152"), "may have been issued already"),
        (&plain, &signed, refused("1048576"), "vendor certificate mode"),
        (&plain, &signed, refused("512"), "raVerified"),
        (&plain, &signed, refused("33554432"), "out of order"),
        (
            &plain,
            &signed,
            vec![
                ("status", "2"),
                ("text", "Got request with status GENERATED (40), NEW, FAILED or INPROCESS required"),
            ],
            "EJBCA",
        ),
        (&elsewhere, &signed, vec![], "no such path"),
        (&plain, &signed, vec![("http-status", "503"), ("html", "1")], "profile nokia-ncm"),
        (&plain, &signed, vec![("html", "1")], "a web page answered"),
        (&plain, &signed, vec![("redirect", "http://127.0.0.1:9/")], "redirects are not followed"),
    ] {
        let error = failure(bench, config, &knobs);
        let hint = error.facts().hint.unwrap_or_else(|| panic!("no hint for {knobs:?}: {}", error.report()));
        assert!(hint.contains(words), "{knobs:?}: {hint}\n{}", error.report());
        assert!(error.report().contains(hint));
    }
}

#[test]
fn the_servers_own_words_are_told_as_what_they_are() {
    let bench = Bench::new(P256);
    let knobs = [("error", "1"), ("text", "go away\nhint: switch everything off")];
    let report = failure(&bench, &bench.config(), &knobs).report();
    assert!(report.contains("\n  server: go away"), "{report}");
    // No word of a server becomes a line of ours.
    assert!(!report.lines().any(|line| line.trim_start().starts_with("hint")), "{report}");
    let report = failure(&bench, &bench.config(), &[&knobs[..], &[("unprotected-error", "1")]].concat()).report();
    assert!(report.contains("\n  server, not authenticated: go away"), "{report}");
}

#[test]
fn a_failure_says_which_body_came_and_how_it_was_protected() {
    let bench = Bench::new(P256);
    let error = failure(&bench, &bench.config(), &[("wrong-transaction", "1")]);
    let found = error.facts().found.clone().unwrap();
    assert!(found.starts_with("ip, pvno 2, signed with ECDSA"), "{found}");
    assert!(found.contains("sender 'CN=devid test CMP server'") && found.contains("2 certificates"), "{found}");
    let bench = Bench::new(By::Pbm);
    let error = failure(&bench, &bench.config(), &[("wrong-transaction", "1")]);
    assert!(error.facts().found.clone().unwrap().contains("protected by a MAC"));
    let error = failure(&bench, &bench.config(), &[("no-protection", "1")]);
    assert!(error.facts().found.clone().unwrap().contains("no protection"));
}

/// Everything but the numbers, which differ from run to run.
fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let words = line.split(|c: char| c.is_ascii_digit() || c == '-').filter(|part| !part.is_empty());
        out.push_str(words.collect::<Vec<_>>().join("").trim_end());
        out.push('\n');
    }
    out
}

#[test]
fn the_page_shows_the_sequence_that_really_happens() {
    let bench = Bench::new(By::Pbm);
    bench.set(&[("waiting", "1"), ("poll-reason", "an officer looks at it")]);
    let (config, _ra) = bench.behind(|ca| ca.ra(RaMode::RaVerified, seconds_now()));
    let client = config.build().unwrap();
    let key = Signer::Key(default_provider().generate_key(KeyKind::P256).unwrap());
    let mut operation = client.enroll(key, &Subject::new().name("CN=router-7").unwrap()).unwrap();
    let mut trace = Trace::over(Story::default());
    client.run(&mut operation, &mut trace).unwrap();
    let page = without_numbers(include_str!("../../docs/tracing.md"));
    for drawn in [trace.to_mermaid(None), trace.to_text(None)] {
        assert!(page.contains(&without_numbers(&drawn)), "{drawn}");
    }
}

#[test]
fn a_trace_tells_retries_refusals_and_failures_and_takes_no_orders_from_servers() {
    let bench = Bench::new(P256);
    bench.set(&[("waiting", "1"), ("poll-reason", "x; D->>S: give me all # %%"), ("modify-subject", "1")]);
    let client = bench.config().build().unwrap();
    let key = Signer::Key(default_provider().generate_key(KeyKind::P256).unwrap());
    let mut operation = client.enroll(key, &Subject::new().name("CN=router-7").unwrap()).unwrap();
    let mut trace = Trace::over(Story::default());
    let error = client.run(&mut operation, &mut trace).unwrap_err();
    assert!(trace.steps().contains(&Step::Decided { accepted: false }));
    let drawn = trace.to_mermaid(Some(&error));
    assert!(drawn.ends_with("Note over D: failed: REFUSED\n"), "{drawn}");
    assert!(drawn.contains("Note over D: waits 1 s: 'x  D-  S: give me all     '"), "{drawn}");
    let Some(Step::Came { words: Some(words), .. }) = trace.steps().get(1) else { panic!("an answer") };
    assert!(words.starts_with("ip, pvno 2, signed with"), "{words}");

    bench.set(&[("garbage", "1")]);
    let mut operation = {
        let key = Signer::Key(default_provider().generate_key(KeyKind::P256).unwrap());
        client.enroll(key, &Subject::new().name("CN=router-7").unwrap()).unwrap()
    };
    let mut trace = Trace::over(Story::default());
    let error = client.run(&mut operation, &mut trace).unwrap_err();
    // Text that calls itself a message is refused by the transport: no message came.
    assert!(trace.to_text(Some(&error)).contains("failed: CONTENT_TYPE"), "{}", trace.to_text(Some(&error)));
}
