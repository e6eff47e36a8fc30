//! What happens on the way: connections that close, answers that drip, front ends that are busy.

use std::time::Duration;

use devid::asn1::cmp::BodyType;
use devid::client::Subject;
use devid::client::run::Owner;
use devid::cmp::{Action, Operation, Signer};
use devid::crypto::{KeyKind, default_provider};
use devid::transport::{Exchange, ExchangeLimits, Reply, TransportError};
use devid::{Code, Error, Time};
use devid_testca::server::system_time as seconds_now;

use crate::bench::{Bench, By, Meddling, P256, Story, body_tag, enroll};

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
        assert_eq!(error.facts().phase, Some(BodyType::CERTCONF.into()));
        assert_eq!(story.story.sent, ["ir", "certConf"]);
        assert!(!operation.has_failed(), "the certificate is not lost");

        // This CA took the first certConf. It refuses the same once more, which does not answer what it said last, and says
        // of a new one that the certificate is confirmed already.
        ca.with(|ca| ca.knobs.cut_after = -1);
        let mut story = Story::default();
        client.run(&mut operation, &mut story).unwrap();
        assert_eq!(story.sent, ["certConf", "certConf"]);
        assert!(operation.is_done() && operation.issued().is_some());
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

/// Damages the protection of so many messages with this body on their way to the CA.
struct Flipping<'a> {
    ca: &'a Bench,
    body: u8,
    left: u32,
    sent: u32,
}

impl Exchange for Flipping<'_> {
    fn exchange(&mut self, request: &[u8], _: &ExchangeLimits) -> Result<Reply, TransportError> {
        let mut message = request.to_vec();
        if body_tag(request) == 0xa0 | self.body {
            self.sent += 1;
            if self.left > 0 {
                self.left -= 1;
                *message.last_mut().unwrap() ^= 1;
            }
        }
        Ok(Reply::from_body(self.ca.server.with(|ca| ca.answer(&message, seconds_now()))))
    }
}

#[test]
fn a_certificate_is_confirmed_though_its_confirmation_is_changed_on_the_way() {
    const CERT_CONF: u8 = 24;
    // Under a MAC the last byte is that of the protection.
    let bench = Bench::new(By::Pbm);
    for times in [1, 3, 8, 9, 1000] {
        let client = bench.config().build().unwrap();
        let key = default_provider().generate_key(KeyKind::P256).unwrap();
        let subject = Subject::new().name("CN=device 1").unwrap();
        let mut operation = client.enroll(Signer::Key(key), &subject).unwrap();
        let mut way = Flipping { ca: &bench, body: CERT_CONF, left: times, sent: 0 };
        let outcome = client.complete_over(&mut operation, &mut way, &mut Story::default());
        match outcome {
            Ok(()) => assert!(times <= 8 && way.sent == times + 1, "{times}: {} sent", way.sent),
            Err(error) => {
                assert!(times > 8, "{times}: {error}");
                assert_eq!((error.code(), way.sent), (Code::Unconfirmed, 9), "a bound on it");
            }
        }
    }
}

/// A saved certConf answers a nonce that is not the server's last any more, once the server has said something else.
#[test]
fn a_saved_confirmation_is_made_anew_where_the_server_has_gone_on() {
    const CERT_CONF: u8 = 24;
    let bench = Bench::new(By::Pbm);
    let client = bench.config().build().unwrap();
    let key = default_provider().generate_key(KeyKind::P256).unwrap();
    let subject = Subject::new().name("CN=device 1").unwrap();
    let mut operation = client.enroll(Signer::Key(key.clone()), &subject).unwrap();
    let saved = std::cell::RefCell::new(Vec::new());
    let mut way = Flipping { ca: &bench, body: CERT_CONF, left: 1000, sent: 0 };
    let mut owner = Saving { story: Story::default(), saved: &saved };
    assert_eq!(client.complete_over(&mut operation, &mut way, &mut owner).unwrap_err().code(), Code::Unconfirmed);
    let first = saved.borrow().first().cloned().expect("saved before certConf goes out");

    let mut again = client.restore(Signer::Key(key), &first).unwrap();
    let mut way = Flipping { left: 0, sent: 0, ..way };
    client.complete_over(&mut again, &mut way, &mut Story::default()).unwrap();
    assert_eq!(way.sent, 2, "as it was saved, and in answer to the refusal");
}

/// An owner that keeps what is saved before each certConf.
struct Saving<'a> {
    story: Story,
    saved: &'a std::cell::RefCell<Vec<Vec<u8>>>,
}

impl Owner for Saving<'_> {
    fn now(&mut self) -> Time {
        self.story.now()
    }

    fn wait(&mut self, seconds: u32, reason: &[String]) -> Result<(), Error> {
        self.story.wait(seconds, reason)
    }

    fn checkpoint(&mut self, operation: &Operation) -> Result<(), Error> {
        if let Some(Action::Send { body: BodyType::CERTCONF, .. }) = operation.action() {
            self.saved.borrow_mut().push(operation.save()?.to_vec());
        }
        Ok(())
    }
}
