//! How the built-in HTTP client behaves towards servers that are kind, old, slow, broken or hostile.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use devid::transport::fetch::{FetchLimits, HttpFetch};
use devid::transport::http::{Resolve, ThreadResolver};
use devid::transport::{
    Cancel, Cause, Exchange, ExchangeLimits, Fetch, FetchRequest, HttpConfig, HttpExchange, Party, Phase,
    TransportErrorKind as Kind, Url,
};
use devid::{Code, Error};

use crate::left_out::left_out;
use crate::server::*;

// ---- the good way ------------------------------------------------------------------------------------------------

#[test]
fn a_request_arrives_as_written_and_its_answer_comes_back() {
    let server = answering(http("200 OK", PKIXCMP, &message(300)));
    let target = "//pkix/../a%2Fb/./%20(x);v=1/?q=1&r=//";
    let mut exchange = HttpExchange::new(&server.url(target), HttpConfig::default()).unwrap();

    let reply = exchange.exchange(&message(700), &quick()).unwrap();

    assert_eq!(reply.body, message(300));
    assert_eq!((reply.status, reply.content_type_is_unusual, reply.connection_was_reused), (Some(200), false, false));
    let seen = &server.seen()[0];
    assert_eq!(seen.line(), format!("POST {target} HTTP/1.1"));
    assert_eq!(seen.body, message(700));
    assert_eq!(seen.header("content-type"), Some("application/pkixcmp"));
    assert_eq!(seen.header("cache-control"), Some("no-cache"));
    assert_eq!(seen.header("host"), Some(server.address.to_string().as_str()));
    assert_eq!(seen.header("expect"), None);
    assert_eq!(seen.header("accept-encoding"), Some("identity"));
}

#[test]
fn one_connection_serves_a_whole_operation() {
    let server = answering(http("200 OK", PKIXCMP, &message(30)));
    let mut exchange = server.exchange();
    for round in 0..4 {
        let reply = exchange.exchange(&message(round), &quick()).unwrap();
        assert_eq!(reply.connection_was_reused, round > 0);
    }
    assert!(server.seen().iter().all(|s| s.connection == 0));
    assert_eq!(server.seen().len(), 4);
}

#[test]
fn a_server_that_wants_to_close_gets_a_new_connection_each_time() {
    let server = answering(http("200 OK", &format!("{PKIXCMP}Connection: close\r\n"), &message(30)));
    let mut exchange = server.exchange();
    for _ in 0..3 {
        assert!(!exchange.exchange(&message(3), &quick()).unwrap().connection_was_reused);
    }
    assert_eq!(server.seen().iter().map(|s| s.connection).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn a_request_leaves_in_one_piece() {
    // A server that takes what one read gives, as small devices do.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 8192];
        let count = stream.read(&mut buffer).unwrap();
        stream.write_all(&http("200 OK", PKIXCMP, &message(1))).unwrap();
        buffer[..count].to_vec()
    });
    HttpExchange::new(&url, HttpConfig::default()).unwrap().exchange(&message(500), &quick()).unwrap();
    assert!(server.join().unwrap().ends_with(&message(500)), "header and body in the first read");
}

#[test]
fn chunked_answers_are_put_together() {
    let whole = message(1000);
    let mut answer = format!("HTTP/1.1 200 OK\r\n{PKIXCMP}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for piece in whole.chunks(77) {
        answer.extend_from_slice(format!("{:x};ext=1\r\n", piece.len()).as_bytes());
        answer.extend_from_slice(piece);
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"0\r\n\r\n");
    let server = answering(answer);
    let mut exchange = server.exchange();
    assert_eq!(exchange.exchange(&message(5), &quick()).unwrap().body, whole);
    assert!(exchange.exchange(&message(5), &quick()).unwrap().connection_was_reused);
}

#[test]
fn an_answer_that_ends_with_the_connection_is_taken_if_it_is_whole() {
    let server = Server::start(|stream, _| {
        say(
            stream,
            &[b"HTTP/1.0 200 OK\r\nContent-Type: application/pkixcmp\r\n\r\n".as_slice(), &message(400)].concat(),
        );
        false
    });
    assert_eq!(ask(&server).unwrap().body, message(400));
}

#[test]
fn an_http_1_0_server_is_spoken_to_in_its_words() {
    let server = answering(b"HTTP/1.0 200 OK\r\nContent-Type: application/pkixcmp\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n\x30\x00".to_vec());
    let config = HttpConfig { use_http_1_0: true, ..HttpConfig::default() };
    let mut exchange = HttpExchange::new(&server.url("/x"), config).unwrap();
    exchange.exchange(&message(5), &quick()).unwrap();
    assert_eq!(server.seen()[0].line(), "POST /x HTTP/1.0");
}

#[test]
fn ipv6_literals_work() {
    let Ok(server) = Server::start_at("[::1]:0", |stream, _| say(stream, &http("200 OK", PKIXCMP, &message(1)))) else {
        left_out("no IPv6 loopback");
        return;
    };
    assert_eq!(ask(&server).unwrap().body, message(1));
    assert_eq!(server.seen()[0].header("host"), Some(server.address.to_string().as_str()));
}

// ---- content types and statuses ----------------------------------------------------------------------------------

#[test]
fn odd_content_types_are_taken_for_der_with_a_warning_unless_strict() {
    for (header, unusual) in [
        ("Content-Type: Application/PKIXCMP; charset=binary\r\n", false),
        ("Content-Type: application/pkixcmp-poll\r\n", false),
        ("Content-Type: application/octet-stream\r\n", true),
        ("Content-Type: text/html\r\n", true),
        ("", true),
    ] {
        let server = answering(http("200 OK", header, &message(9)));
        assert_eq!(ask(&server).unwrap().content_type_is_unusual, unusual, "{header}");

        let strict = HttpConfig { strict_content_type: true, ..HttpConfig::default() };
        let outcome = HttpExchange::new(&server.url("/"), strict).unwrap().exchange(&message(5), &quick());
        assert_eq!(outcome.map_err(|e| e.kind).err(), unusual.then_some(Kind::ContentType), "{header}");
    }
}

#[test]
fn a_body_of_another_type_is_named() {
    let error = ask(&answering(http("200 OK", "Content-Type: text/html\r\n", b"<html>welcome</html>"))).unwrap_err();
    assert_eq!((error.kind, error.phase), (Kind::ContentType, Phase::Body));
    assert_eq!(error.content_type.as_deref(), Some("text/html"));
    assert!(error.detail.ends_with("/pkix/: expected application/pkixcmp, found text/html"), "{error}");
}

#[test]
fn a_message_inside_an_error_status_is_an_answer() {
    for status in ["400 Bad Request", "404 Not Found", "500 Internal Server Error", "503 Busy", "201 Created"] {
        let reply = ask(&answering(http(status, PKIXCMP, &message(40)))).unwrap();
        assert_eq!(reply.body, message(40));
        assert_eq!(reply.status, status[..3].parse().ok());
    }
}

#[test]
fn an_error_status_without_a_message_becomes_an_error_with_its_facts() {
    let html = b"<html>too many requests from your address</html>";
    let server = answering(http("503 Service Unavailable", "Content-Type: text/html\r\nRetry-After: 120\r\n", html));
    let error = ask(&server).unwrap_err();
    assert_eq!((error.kind, error.status, error.retry_after_seconds), (Kind::Busy, Some(503), Some(120)));

    let public = Error::from(error);
    assert_eq!(public.code(), Code::Busy);
    assert_eq!((public.facts().http_status, public.facts().retry_after_seconds), (Some(503), Some(120)));
    assert!(public.message().contains("text/html"), "{public}");

    for (status, code) in
        [("404 Not Found", Code::HttpStatus), ("401 Unauthorized", Code::HttpStatus), ("429 Slow", Code::Busy)]
    {
        assert_eq!(ask(&answering(http(status, "", b""))).unwrap_err().code(), code);
    }
}

#[test]
fn a_retry_after_with_a_date_counts_from_the_servers_clock_and_a_huge_one_is_kept_huge() {
    for (value, expected) in [
        ("Wed, 21 Oct 2026 07:28:00 GMT", Some(60)),
        ("Wednesday, 21-Oct-26 07:27:30 GMT", Some(30)),
        ("Wed, 21 Oct 2020 07:28:00 GMT", Some(0)),
        ("Wed, 99 Oct 2026 07:28:00 GMT", None),
        ("99999999999", Some(u32::MAX)),
        ("-5", None),
        ("0", Some(0)),
    ] {
        let headers = format!("Date: Wed, 21 Oct 2026 07:27:00 GMT\r\nRetry-After: {value}\r\n");
        let error = ask(&answering(http("503 X", &headers, b""))).unwrap_err();
        assert_eq!(error.retry_after_seconds, expected, "{value}");
    }
}

#[test]
fn redirects_are_reported_and_not_followed() {
    let elsewhere = answering(http("200 OK", PKIXCMP, &message(4)));
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary", "308 Permanent"] {
        let location = elsewhere.url("/trap");
        let server = answering(http(status, &format!("{PKIXCMP}Location: {location}\r\n"), &message(4)));
        let error = ask(&server).unwrap_err();
        assert_eq!((error.kind, error.location.as_deref()), (Kind::HttpStatus, Some(location.as_str())), "{status}");
    }
    assert!(elsewhere.seen().is_empty());
}

#[test]
fn success_without_a_body_is_no_answer() {
    assert_eq!(ask(&answering(http("200 OK", PKIXCMP, b""))).unwrap_err().kind, Kind::Broken);
    assert_eq!(ask(&answering(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())).unwrap_err().kind, Kind::HttpStatus);
}

#[test]
fn labelled_garbage_is_handed_on_for_the_decoder_to_judge() {
    let reply = ask(&answering(http("200 OK", PKIXCMP, b"\x31\x00garbage"))).unwrap();
    assert_eq!(reply.body, b"\x31\x00garbage");
    // What is text for sure is told as text.
    assert_eq!(ask(&answering(http("200 OK", PKIXCMP, b"1garbage"))).unwrap_err().kind, Kind::ContentType);
}

// ---- servers that break off, drip, or never end ------------------------------------------------------------------

#[test]
fn a_server_that_closes_at_any_byte_never_yields_a_partial_answer() {
    let with_length = http("200 OK", PKIXCMP, &message(60));
    let chunked = [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/pkixcmp\r\n\r\n20\r\n".as_slice(),
        &message(60)[..32],
        b"\r\n1e\r\n",
        &message(60)[32..],
        b"\r\n0\r\n\r\n",
    ]
    .concat();
    let until_close = [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".as_slice(), &message(60)].concat();
    for whole in [with_length, chunked, until_close] {
        let cut = Arc::new(AtomicUsize::new(0));
        let (answer, at) = (whole.clone(), cut.clone());
        let server = Server::start(move |stream, _| {
            say(stream, &answer[..at.load(Ordering::SeqCst)]);
            false
        });
        // The terminating chunk's last line may be missing: the message is complete before it.
        let complete_from = if whole.ends_with(b"0\r\n\r\n") { whole.len() - 5 } else { whole.len() };
        for end in 0..whole.len() {
            cut.store(end, Ordering::SeqCst);
            match server.exchange().exchange(&message(5), &quick()) {
                Err(error) => assert!(
                    matches!(error.kind, Kind::Broken | Kind::HttpStatus) && error.is_possibly_delivered,
                    "cut at {end}: {error:?}"
                ),
                Ok(reply) => assert!(end > complete_from && reply.body == message(60), "cut at {end}: {reply:?}"),
            }
        }
    }
}

#[test]
fn an_endless_body_ends_at_the_limit() {
    let limits = ExchangeLimits { max_reply_bytes: 100_000, ..quick() };
    let bodies: [&[u8]; 3] = [
        b"HTTP/1.1 200 OK\r\nContent-Type: application/pkixcmp\r\n\r\n\x30\x84\x7f\xff\xff\xff",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n",
    ];
    for start in bodies {
        let server = Server::start(move |stream, _| {
            let mut sent = say(stream, start);
            while sent {
                sent = say(stream, &[0x5a; 16 * 1024]);
            }
            false
        });
        let error = server.exchange().exchange(&message(5), &limits).unwrap_err();
        assert_eq!((error.kind, error.phase), (Kind::TooLarge, Phase::Body));
        assert!(error.detail.contains("100000"), "{error}");
    }
}

#[test]
fn an_answer_of_exactly_the_limit_is_taken_and_one_byte_more_is_not() {
    let whole = message(5000);
    let server = answering(http("200 OK", PKIXCMP, &whole));
    let limits = |max_reply_bytes| ExchangeLimits { max_reply_bytes, ..quick() };
    assert_eq!(server.exchange().exchange(&message(1), &limits(whole.len())).unwrap().body, whole);
    let error = server.exchange().exchange(&message(1), &limits(whole.len() - 1)).unwrap_err();
    assert_eq!(error.kind, Kind::TooLarge);
}

#[test]
fn a_huge_header_ends_at_its_limit() {
    for line in ["X-Filler: ", ""] {
        let server = Server::start(move |stream, _| {
            let mut sent = say(stream, b"HTTP/1.1 200 OK\r\n") && say(stream, line.as_bytes());
            while sent {
                sent = say(stream, &[b'a'; 4096]);
            }
            false
        });
        let error = ask(&server).unwrap_err();
        assert_eq!(error.kind, Kind::TooLarge, "{error:?}");
        assert!(error.detail.contains("larger than 32768 bytes"), "{error:?}");
    }
}

#[test]
fn a_server_that_does_not_speak_http_is_named_so() {
    for (noise, told) in [
        (&b"220 mail.example ESMTP\r\n"[..], "mail or FTP"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "TLS record"),
        (b"SSH-2.0-x\r\n", "SSH"),
        (b"\0\0\x04\x15\x05\x30\x82", "CMP over TCP"),
        (b"\x30\x82\x04\x15\x30\x81", "DER came without HTTP"),
        (b"", "closed the connection without an answer"),
    ] {
        let server = Server::start(move |stream, _| {
            say(stream, noise);
            false
        });
        let error = ask(&server).unwrap_err();
        assert_eq!((error.kind, error.phase), (Kind::Broken, Phase::Await));
        assert!(error.detail.contains(told), "{error}");
    }
}

#[test]
fn odd_lines_in_header_and_chunks_spoil_no_answer() {
    let der = message(40);
    let many: String = (0..300).map(|number| format!("X-{number}: 1\r\n")).collect();
    let cookie = format!("Set-Cookie: {}\r\n", "x".repeat(20_000));
    for line in ["X-Odd : 1\r\n", "no colon\r\n", ": no name\r\n", "X: a\0b\r\n", &many, &cookie] {
        for fields in [format!("{line}{PKIXCMP}"), format!("{PKIXCMP}{line}")] {
            let server = answering(http("200 OK", &fields, &der));
            assert_eq!(ask(&server).map_err(|error| format!("{error} for {:.20}", line)).unwrap().body, der);
        }
    }
    let mut lines =
        format!("HTTP/1.1 200 OK\n{PKIXCMP}Transfer-Encoding: chunked\n\n{:X} ;a=b\n", der.len()).into_bytes();
    lines.extend_from_slice(&der);
    lines.extend_from_slice(b"\n0\nX: y\n\n");
    let server = Server::start(move |stream, _| lines.iter().all(|byte| say(stream, &[*byte])));
    assert_eq!(ask(&server).unwrap().body, der);
    let server = answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc".to_vec());
    assert!(ask(&server).unwrap_err().detail.contains("the length of a chunk is not a number: \"zz\""));
}

#[test]
fn a_dripping_server_ends_at_the_total_deadline() {
    let server = Server::start(|stream, _| {
        let mut sent = say(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n");
        while sent {
            std::thread::sleep(Duration::from_millis(20));
            sent = say(stream, b"x");
        }
        false
    });
    let limits = ExchangeLimits { total_timeout: Duration::from_millis(300), ..quick() };
    let start = Instant::now();
    let error = server.exchange().exchange(&message(5), &limits).unwrap_err();
    assert_eq!((error.kind, error.phase, error.status), (Kind::Timeout, Phase::Body, Some(200)));
    assert!((Duration::from_millis(250)..Duration::from_secs(3)).contains(&start.elapsed()));
}

#[test]
fn a_silent_server_ends_at_the_read_deadline() {
    let server = Server::start(|_, _| {
        std::thread::sleep(Duration::from_secs(3));
        false
    });
    let limits = ExchangeLimits { read_timeout: Duration::from_millis(200), ..quick() };
    let error = server.exchange().exchange(&message(5), &limits).unwrap_err();
    assert_eq!((error.kind, error.phase, error.code()), (Kind::Timeout, Phase::Await, Code::Timeout));
    assert!(error.is_possibly_delivered);
}

#[test]
fn an_answer_that_comes_before_the_request_is_sent_is_read() {
    // A limiter that answers on the header and closes while a large body is still on its way.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 100]).unwrap();
        stream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
    });
    let mut exchange = HttpExchange::new(&url, HttpConfig::default()).unwrap();
    let error = exchange.exchange(&message(3_000_000), &quick()).unwrap_err();
    assert_eq!((error.kind, error.status), (Kind::HttpStatus, Some(413)));
    drop(exchange);
    server.join().unwrap();
}

// ---- connecting --------------------------------------------------------------------------------------------------

#[test]
fn a_dead_port_is_a_connection_error_and_nothing_was_delivered() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut exchange = HttpExchange::new(&format!("http://{address}/"), HttpConfig::default()).unwrap();
    let error = exchange.exchange(&message(5), &quick()).unwrap_err();
    assert_eq!((error.kind, error.phase, error.code()), (Kind::Connect, Phase::Connect, Code::Connect));
    assert!(!error.is_possibly_delivered);
    assert!(error.detail.contains(&address.to_string()), "{error}");
}

#[test]
fn a_kept_connection_that_died_is_replaced_once_if_nothing_came() {
    // Each connection answers once, then takes the next request and closes without a word.
    let once = Arc::new(Mutex::new(std::collections::HashSet::new()));
    let answered = once.clone();
    let server = Server::start(move |stream, seen| {
        answered.lock().unwrap().insert(seen.connection) && say(stream, &http("200 OK", PKIXCMP, &message(7)))
    });
    let mut exchange = server.exchange();
    assert!(exchange.exchange(&message(1), &quick()).is_ok());
    let reply = exchange.exchange(&message(2), &quick()).expect("reconnected");
    assert!(!reply.connection_was_reused);
    let connections: Vec<_> = server.seen().iter().map(|s| s.connection).collect();
    assert_eq!(connections, [0, 0, 1], "the request went out again on a new connection, once");
}

/// RFC 9110 section 15.5.9: the server was about to close what it kept, and has not seen the request.
#[test]
fn a_kept_connection_that_is_answered_by_408_is_replaced_once() {
    for closes in [true, false] {
        let once = Arc::new(Mutex::new(std::collections::HashSet::new()));
        let answered = once.clone();
        let server = Server::start(move |stream, seen| {
            if answered.lock().unwrap().insert(seen.connection) {
                return say(stream, &http("200 OK", PKIXCMP, &message(7)));
            }
            let close = if closes { "Connection: close\r\n" } else { "" };
            say(stream, format!("HTTP/1.1 408 Request Timeout\r\n{close}Content-Length: 0\r\n\r\n").as_bytes())
                && !closes
        });
        let mut exchange = server.exchange();
        assert!(exchange.exchange(&message(1), &quick()).is_ok());
        assert!(!exchange.exchange(&message(2), &quick()).expect("asked again").connection_was_reused);
        let connections: Vec<_> = server.seen().iter().map(|s| s.connection).collect();
        assert_eq!(connections, [0, 0, 1]);
    }
    // A new connection that is answered so is slow, and not old; and nobody is asked for ever.
    let slow = answering(http("408 Request Timeout", "", b""));
    assert_eq!(ask(&slow).unwrap_err().status, Some(408));
    assert_eq!(slow.seen().len(), 1);
}

/// A server of TLS that reads nothing of what it does not understand closes by a reset.
#[test]
fn a_connection_that_ends_before_the_answer_in_either_way_has_the_same_hint() {
    let orderly = Server::start(|_, _| false);
    let by_reset = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = by_reset.local_addr().unwrap();
    let resetting = std::thread::spawn(move || {
        let (mut stream, _) = by_reset.accept().unwrap();
        // What is not read when the socket is closed makes the end a reset.
        stream.read_exact(&mut [0]).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    });
    for url in [orderly.url("/cmp"), format!("http://{address}/cmp")] {
        let mut exchange = HttpExchange::new(&url, HttpConfig::default()).unwrap();
        let error = exchange.exchange(&message(50), &quick()).unwrap_err();
        assert_eq!(error.cause, Some(Cause::ClosedUnanswered), "{error}");
        let error = devid::transport::diagnose(error);
        assert!(error.facts().hint.unwrap().contains("expect TLS at this port"), "{error}");
        assert!(!error.facts().was_answered);
    }
    resetting.join().unwrap();
}

#[test]
fn a_proxy_that_is_not_reached_is_told_as_the_proxy() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for url in ["http://ca.inside.test/cmp", "http://127.0.0.1:1/cmp"] {
        let proxy = Some(Url::parse(&format!("http://{nobody}")).unwrap());
        let mut exchange = HttpExchange::new(url, HttpConfig { proxy, ..HttpConfig::default() }).unwrap();
        let error = exchange.exchange(&message(5), &quick()).unwrap_err();
        assert_eq!((error.party, error.kind), (Party::Proxy, Kind::Connect));
        let error = devid::transport::diagnose(error);
        assert!(error.message().contains(&format!("{url}: the proxy http://{nobody}: ")), "{error}");
        let hint = error.facts().hint.unwrap();
        assert!(hint.contains("the proxy's host and port") && hint.contains("ca.proxy.url"), "{hint}");
    }
}

#[test]
fn a_connection_that_breaks_after_the_first_byte_is_not_replaced() {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let server = Server::start(move |stream, _| match counter.fetch_add(1, Ordering::SeqCst) {
        0 => say(stream, &http("200 OK", PKIXCMP, &message(7))),
        _ => {
            say(stream, b"H");
            false
        }
    });
    let mut exchange = server.exchange();
    assert!(exchange.exchange(&message(1), &quick()).is_ok());
    assert_eq!(exchange.exchange(&message(2), &quick()).unwrap_err().kind, Kind::Broken);
    assert_eq!(count.load(Ordering::SeqCst), 2, "a request that may have been acted on is not repeated");
}

#[test]
fn a_fresh_connection_that_breaks_is_not_replaced() {
    let server = Server::start(|_, _| false);
    assert_eq!(ask(&server).unwrap_err().kind, Kind::Broken);
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn host_names_go_through_the_callers_resolver_and_are_remembered() {
    #[derive(Debug)]
    struct Book(SocketAddr, AtomicUsize);
    impl Resolve for Book {
        fn resolve(&self, host: &str, _: u16, _: Option<Duration>) -> std::io::Result<Vec<SocketAddr>> {
            self.1.fetch_add(1, Ordering::SeqCst);
            match host {
                // The first address is dead: nobody listens on port 1 of loopback.
                "ca.factory.test" => Ok(vec![([127, 0, 0, 1], 1).into(), self.0]),
                _ => Err(std::io::ErrorKind::NotFound.into()),
            }
        }
    }
    let server = answering(http("200 OK", PKIXCMP, &message(7)));
    let book = Arc::new(Book(server.address, AtomicUsize::new(0)));
    let config = HttpConfig { resolver: book.clone(), ..HttpConfig::default() };

    let mut exchange = HttpExchange::new("http://ca.factory.test/", config.clone()).unwrap();
    exchange.exchange(&message(1), &quick()).unwrap();
    exchange.exchange(&message(1), &quick()).unwrap();
    assert_eq!(book.1.load(Ordering::SeqCst), 1);
    assert_eq!(server.seen()[0].header("host"), Some("ca.factory.test"));

    let mut nowhere = HttpExchange::new("http://other.test/", config).unwrap();
    let error = nowhere.exchange(&message(1), &quick()).unwrap_err();
    assert_eq!((error.kind, error.phase), (Kind::Connect, Phase::Resolve));
}

#[test]
fn a_look_up_in_a_helper_thread_ends_in_time() {
    let found = ThreadResolver.resolve("localhost", 80, Some(Duration::from_secs(5))).unwrap();
    assert!(found.iter().all(|a| a.ip().is_loopback() && a.port() == 80) && !found.is_empty());
    let error = ThreadResolver.resolve("localhost", 80, Some(Duration::ZERO)).map(drop);
    assert!(error.is_ok() || error.unwrap_err().kind() == std::io::ErrorKind::TimedOut);
}

#[test]
fn https_says_what_is_missing() {
    let error = HttpExchange::new("https://ca.example/", HttpConfig::default()).unwrap_err();
    let fetched = HttpFetch::new(HttpConfig::default(), FetchLimits::default())
        .unwrap()
        .fetch(&FetchRequest::get("https://ca.example/"), &quick())
        .unwrap_err();
    assert_eq!(error, fetched);
    if devid::transport::tls::IS_BUILT_IN {
        assert_eq!((error.kind, error.code()), (Kind::Invalid, Code::InvalidArgument));
        assert!(error.detail.contains("TLS anchors"), "{error}");
    } else {
        assert_eq!((error.kind, error.code()), (Kind::Unsupported, Code::Unsupported));
        assert!(error.detail.contains("`tls`"), "{error}");
    }
}

#[test]
fn a_proxy_is_asked_in_absolute_form_and_only_if_the_caller_names_one() {
    let proxy = answering(http("200 OK", PKIXCMP, &message(7)));
    let config = HttpConfig {
        proxy: Some(Url::parse(&proxy.url("")).unwrap()),
        proxy_authorization: Some("Basic dXNlcjpwdw==".to_owned().into()),
        ..HttpConfig::default()
    };
    let mut exchange = HttpExchange::new("http://ca.inside.test:8080//cmp/?x", config).unwrap();
    for _ in 0..2 {
        assert_eq!(exchange.exchange(&message(1), &quick()).unwrap().body, message(7));
    }
    for seen in proxy.seen() {
        assert_eq!(seen.line(), "POST http://ca.inside.test:8080//cmp/?x HTTP/1.1");
        assert_eq!(seen.header("host"), Some("ca.inside.test:8080"));
        assert_eq!(seen.header("proxy-authorization"), Some("Basic dXNlcjpwdw=="));
        assert_eq!(seen.connection, 0);
    }
    let direct = answering(http("200 OK", PKIXCMP, &message(7)));
    ask(&direct).unwrap();
    assert_eq!(direct.seen()[0].line(), "POST /pkix/ HTTP/1.1");
}

// ---- cancelling --------------------------------------------------------------------------------------------------

/// Cancels after a moment, from another thread.
fn cancel_soon() -> (Cancel, JoinHandle<()>) {
    let cancel = Cancel::new();
    let canceller = cancel.clone();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(150));
        canceller.cancel();
    });
    (cancel, thread)
}

#[test]
fn cancelling_from_another_thread_ends_a_waiting_exchange_at_once() {
    let starts: [&[u8]; 2] = [b"", b"HTTP/1.1 200 OK\r\nContent-Type: application/pkixcmp\r\n\r\n\x30\x00"];
    for start in starts {
        let server = Server::start(move |stream, _| {
            say(stream, start);
            std::thread::sleep(Duration::from_secs(5));
            false
        });
        let (cancel, thread) = cancel_soon();
        let limits = ExchangeLimits { cancel: Some(cancel), ..quick() };
        let begin = Instant::now();
        let mut exchange = server.exchange();
        let error = exchange.exchange(&message(5), &limits).unwrap_err();
        assert_eq!((error.kind, error.code()), (Kind::Cancelled, Code::Cancelled));
        assert!(begin.elapsed() < Duration::from_secs(2));
        thread.join().unwrap();

        let again = exchange.exchange(&message(5), &limits).unwrap_err();
        assert_eq!((again.kind, again.is_possibly_delivered), (Kind::Cancelled, false));
    }
}

#[test]
fn cancelling_ends_a_connection_attempt_that_nobody_answers() {
    // A listener whose queue is full swallows further attempts, as a black hole does.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut filling = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        filling.push(stream);
        assert!(filling.len() < 20_000, "the queue never filled");
    }
    let (cancel, thread) = cancel_soon();
    let mut exchange = HttpExchange::new(&format!("http://{address}/"), HttpConfig::default()).unwrap();
    let begin = Instant::now();
    let limits = ExchangeLimits { cancel: Some(cancel), ..quick() };
    let error = exchange.exchange(&message(5), &limits).unwrap_err();
    assert_eq!((error.kind, error.phase), (Kind::Cancelled, Phase::Connect));
    assert!(begin.elapsed() < Duration::from_secs(2));
    thread.join().unwrap();

    let limits = ExchangeLimits { connect_timeout: Duration::from_millis(200), ..quick() };
    let error = exchange.exchange(&message(5), &limits).unwrap_err();
    assert_eq!((error.kind, error.phase, error.is_possibly_delivered), (Kind::Timeout, Phase::Connect, false));
}
