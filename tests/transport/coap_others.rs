//! CoAP with ends that are not ours: libcoap as the client, and as the server.
//!
//! Without Debian's libcoap3-bin and libcoap3-dev the tests say so and pass.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use devid::client::{Subject, Unattended};
use devid::cmp::Signer;
use devid::crypto::{KeyKind, default_provider};
use devid::transport::coap::{CoapConfig, CoapExchange};
use devid::transport::{Exchange, ExchangeFn, ExchangeLimits, Reply};
use devid_testca::coap::{CoapOptions, CoapServer};
use devid_testca::{Options, Server, TestCa};

use crate::left_out::left_out;

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("devid-coap-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn libcoap_carries_an_enrolment_to_the_test_ca() {
    let tool = ["coap-client", "coap-client-notls", "coap-client-openssl", "coap-client-gnutls"]
        .into_iter()
        .find(|tool| Command::new(tool).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok());
    let Some(tool) = tool else {
        left_out("no coap-client (libcoap3-bin)");
        return;
    };
    let folder = folder("client");
    for (size, exponent) in [(1024, 6), (64, 6), (256, 3)] {
        let ca = Server::start(TestCa::new(Options::default())).unwrap();
        let coap = CoapServer::start(&ca, CoapOptions { exponent, ..CoapOptions::default() }).unwrap();
        let (request, answer) = (folder.join("request.der"), folder.join("answer.der"));
        let mut exchange = ExchangeFn(|message: &[u8], _: &ExchangeLimits| {
            std::fs::write(&request, message).unwrap();
            let _ = std::fs::remove_file(&answer);
            let out = Command::new(tool)
                .args(["-m", "post", "-t", "259", "-B", "10", "-b", &size.to_string()])
                .arg("-f")
                .arg(&request)
                .arg("-o")
                .arg(&answer)
                .arg(coap.cmp_url())
                .output()
                .unwrap();
            Ok(Reply::from_body(std::fs::read(&answer).unwrap_or_else(|e| panic!("{e}: {out:?}"))))
        });
        let client = super::coap::device(&ca, "coap://unused.invalid/").build().unwrap();
        let key = default_provider().generate_key(KeyKind::P256).unwrap();
        let mut enrolment = client.enroll(Signer::Key(key), &Subject::new().name("CN=router-7").unwrap()).unwrap();
        let outcome = client.run_over(&mut enrolment, &mut exchange, &mut Unattended);
        outcome.unwrap_or_else(|e| panic!("{size}, {exponent}: {e} {:?}", coap.seen()));
        assert_eq!(ca.with(|ca| ca.confirmed.len()), 1);
    }
    let _ = std::fs::remove_dir_all(folder);
}

/// A server made with libcoap that answers with the request in a larger message; stopped when dropped.
struct Echo {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Echo {
    fn start(name: &str, extra: usize) -> Option<Self> {
        let folder = folder(name);
        let program = folder.join("coap_echo");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transport/coap_echo.c");
        let made =
            Command::new("gcc").arg(source).arg("-o").arg(&program).args(["-lcoap-3-notls", "-lpthread"]).output();
        if !made.is_ok_and(|out| out.status.success()) {
            left_out("no libcoap (libcoap3-dev)");
            let _ = std::fs::remove_dir_all(folder);
            return None;
        }
        // The port is free a moment before libcoap takes it.
        let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut child = Command::new(&program)
            .args([port.to_string(), extra.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "ready");
        Some(Echo { child, port, folder })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn libcoap_takes_requests_and_gives_answers_in_blocks() {
    for extra in [0, 900, 70_000] {
        let Some(echo) = Echo::start(&format!("echo-{extra}"), extra) else { return };
        for block_bytes in [64, 256, 1024] {
            for request_len in [5, 64, 1024, 5000] {
                let config =
                    CoapConfig { block_bytes, ack_timeout: Duration::from_millis(500), ..CoapConfig::default() };
                let url = format!("coap://127.0.0.1:{}/.well-known/cmp/p/iot/initialization", echo.port);
                let request: Vec<u8> = (0..request_len).map(|i| i as u8).collect();
                let what = format!("{extra}, {block_bytes}, {request_len}");
                let reply = CoapExchange::new(&url, config)
                    .unwrap()
                    .exchange(&request, &ExchangeLimits::default())
                    .unwrap_or_else(|e| panic!("{what}: {e}"));
                let path = b".well-known/cmp/p/iot/initialization";
                assert!(reply.body[10..].starts_with(path), "{what}");
                assert_eq!(&reply.body[15 + path.len()..][..request_len], request, "{what}");
                assert_eq!(reply.body.len(), 20 + path.len() + request_len + extra, "{what}");
                assert!(!reply.content_type_is_unusual, "{what}");
            }
        }
    }
}
