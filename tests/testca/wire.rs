//! What happens on the way: connections that close, answers that drip, front ends that are busy.

use std::time::Duration;

use devid::Code;
use devid::client::Subject;
use devid::cmp::Signer;
use devid::crypto::{KeyKind, default_provider};

use crate::bench::{Bench, Meddling, P256, Story, enroll};

#[test]
fn a_connection_that_closes_at_any_byte_is_a_transport_error_and_nothing_is_taken() {
    let bench = Bench::new(P256);
    let mut closed = 0;
    for count in (0..).step_by(41) {
        bench.set(&[("cut-after", count.to_string())]);
        let (issued, story) = enroll(&bench.config());
        match issued {
            // A later message is shorter: it is the first answer that decides.
            Ok(_) => break,
            Err(error) => assert_eq!(error.code(), Code::Transport, "closed after {count} bytes: {error}"),
        }
        assert_eq!(story.sent, ["ir"], "closed after {count} bytes");
        closed += 1;
    }
    assert!(closed > 20, "the answer has more than {closed} times 41 bytes");
}

#[test]
fn a_connection_that_closes_while_the_certificate_is_confirmed_can_be_tried_again() {
    let bench = Bench::new(P256);
    for count in [0, 1, 50, 200] {
        bench.set(&[("broken-protection", "0")]);
        let client = bench.config().build().unwrap();
        let key = default_provider().generate_key(KeyKind::P256).unwrap();
        let subject = Subject::new().name("CN=device 1").unwrap();
        let mut operation = client.enroll(Signer::Key(key), &subject).unwrap();
        let ca = &bench.server;
        let cut = |body: &str| {
            if body == "certConf" {
                ca.with(|ca| ca.knobs.cut_after = count);
            }
        };
        let mut story = Meddling { story: Story::default(), meddle: Box::new(cut) };
        let error = client.run(&mut operation, &mut story).unwrap_err();
        assert_eq!(error.code(), Code::Transport, "closed after {count} bytes: {error}");
        assert_eq!(error.facts().phase, Some("certConf"));
        assert_eq!(story.story.sent, ["ir", "certConf"]);
        assert!(!operation.has_failed(), "the certificate is not lost");

        // This CA took the first certConf and refuses a second one: the device knows that it does not know.
        ca.with(|ca| ca.knobs.cut_after = -1);
        let error = client.run(&mut operation, &mut Story::default()).unwrap_err();
        assert_eq!(error.code(), Code::Unconfirmed, "{error}");
        assert!(operation.issued().is_some());
    }
}

#[test]
fn an_answer_that_does_not_come_or_drips_ends_at_the_deadline() {
    let bench = Bench::new(P256);
    let mut config = bench.config();
    config.exchange_limits.read_timeout = Duration::from_secs(1);
    bench.expect_of(&config, &[("delay-ms", "3000")], Code::Timeout, &["ir"]);

    let mut config = bench.config();
    config.exchange_limits.total_timeout = Duration::from_secs(1);
    bench.expect_of(&config, &[("drip-ms", "20")], Code::Timeout, &["ir"]);
}

#[test]
fn an_answer_above_the_limit_is_not_read_and_one_below_is() {
    let bench = Bench::new(P256);
    let mut config = bench.config();
    config.limits.max_message_bytes = 100_000;
    bench.expect_of(&config, &[("oversize", "200000")], Code::TooLarge, &["ir"]);
    bench.expect_of(&config, &[("oversize", "200000"), ("chunked", "1")], Code::TooLarge, &["ir"]);
    bench.expect_of(&config, &[("endless", "1")], Code::TooLarge, &["ir"]);
    config.limits.max_message_bytes = 300_000;
    bench.set(&[("oversize", "200000")]);
    enroll(&config).0.expect("200 kB of freeText are allowed");
}

#[test]
fn a_busy_front_end_is_told_with_its_retry_after() {
    let bench = Bench::new(P256);
    let busy = [("http-status", "503"), ("html", "1"), ("retry-after", "30")];
    let error = bench.expect(&busy, Code::Busy, &["ir"]);
    assert_eq!(error.facts().http_status, Some(503));
    assert_eq!(error.facts().retry_after_seconds, Some(30));
    bench.expect(&[("http-status", "500"), ("html", "1")], Code::HttpStatus, &["ir"]);
    bench.expect(&[("html", "1")], Code::ContentType, &["ir"]);
    bench.expect_issued(&[("http-status", "500")]);
}

#[test]
fn a_redirect_is_not_followed() {
    let (bench, elsewhere) = (Bench::new(P256), Bench::new(P256));
    let error = bench.expect(&[("redirect", &elsewhere.server.cmp_url())], Code::HttpStatus, &["ir"]);
    assert_eq!(error.facts().http_status, Some(302));
    assert_eq!(elsewhere.received(), [""; 0]);
}

#[test]
fn http_may_be_chunked_closed_after_each_answer_and_wrongly_labelled() {
    let bench = Bench::new(P256);
    bench.expect_issued(&[("chunked", "1")]);
    bench.expect_issued(&[("close", "1")]);
    bench.expect_issued(&[("close-silently", "1"), ("waiting", "1")]);
    bench.expect_issued(&[("content-type", "text/plain")]);
    bench.expect_issued(&[("content-type", "")]);
    bench.expect(&[("content-type", "text/plain"), ("garbage", "1")], Code::ContentType, &["ir"]);
}
