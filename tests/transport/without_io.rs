//! HTTP without I/O comes to the same as the built-in client, whatever the pieces in which an answer comes.

use std::collections::BTreeSet;

use devid::transport::{
    Exchange, HttpCall, HttpConfig, HttpExchange, Reply, TransportError, TransportErrorKind as Kind,
};

use super::server::{PKIXCMP, Server, http, message, quick, say};

const LIMIT: usize = 4096;

/// What is compared: all that a caller decides by.
type Outcome = Result<(Option<u16>, Option<String>, bool, Vec<u8>), (Kind, Option<u16>, Option<u32>, Option<String>)>;

fn outcome(reply: Result<Reply, TransportError>) -> Outcome {
    match reply {
        Ok(reply) => Ok((reply.status, reply.content_type, reply.content_type_is_unusual, reply.body)),
        // Of what is broken the built-in client knows a status if it came before the bytes that are.
        Err(error) if error.kind == Kind::Broken => Err((error.kind, None, None, None)),
        Err(error) => Err((error.kind, error.status, error.retry_after_seconds, error.server_words)),
    }
}

/// One call, its answer in pieces, and then the end of the connection.
fn call(config: &HttpConfig, answer: &[u8], piece: usize) -> Result<Reply, TransportError> {
    let mut call = HttpCall::new("http://127.0.0.1/pkix/", config, &message(5), LIMIT)?;
    let all = call.output().len();
    call.sent(all);
    assert_eq!(call.output(), b"", "what was sent is gone");
    for bytes in answer.chunks(piece) {
        if call.received(bytes)? {
            return call.into_reply();
        }
        assert!(!call.is_done());
    }
    call.closed()?;
    call.into_reply()
}

/// Answers of every kind: how their length is told, what they say, what is wrong with them.
fn answers() -> Vec<Vec<u8>> {
    let body = message(300);
    let head = |status: &str, fields: &str| format!("HTTP/1.1 {status}\r\n{fields}\r\n").into_bytes();
    let with = |head: Vec<u8>, body: &[u8]| [&head[..], body].concat();
    let chunked = format!("{PKIXCMP}Transfer-Encoding: chunked\r\n");
    let in_chunks = [b"64 ;x=1\r\n", &body[..100], b"\r\ncc\n", &body[100..], b"\n0\r\nTrailer: 1\r\n\r\n"].concat();
    let text = "Content-Type: text/plain\r\n";
    let large = message(LIMIT);
    let mut all = vec![
        http("200 OK", PKIXCMP, &body),
        with(head("200 OK", PKIXCMP), &body),
        with(head("200 OK", &chunked), &in_chunks),
        [b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(), http("200 OK", PKIXCMP, &body)].concat(),
        with(http("200 OK", PKIXCMP, &body), b"behind it"),
        http("500 Oops", PKIXCMP, &body),
        http("404 No", text, b"no such alias"),
        http("503 Busy", "Retry-After: 7\r\n", b""),
        http("302 Found", "Location: /elsewhere\r\n", b""),
        http("200 OK", "", &body),
        http("200 OK", text, &body),
        http("200 OK", text, b"hello"),
        http("200 OK", PKIXCMP, b""),
        http("204 Nothing", "", b""),
        http("200 OK", "Content-Encoding: gzip\r\n", &[0x1f, 0x8b, 8, 0, 0]),
        http("200 OK", PKIXCMP, &large),
        with(
            head("200 OK", &chunked),
            &[format!("{:x}\r\n", large.len()).as_bytes(), &large, b"\r\n0\r\n\r\n"].concat(),
        ),
        with(head("200 OK", PKIXCMP), &large),
        http("200 OK", &format!("{PKIXCMP}Content-Length: 9\r\n"), &body),
        with(head("200 OK", &chunked), b"zz\r\n"),
        b"SSH-2.0-OpenSSH\r\n".to_vec(),
        Vec::new(),
    ];
    // And each of the first three cut anywhere.
    for whole in [0, 1, 2] {
        let whole = all[whole].clone();
        all.extend((0..whole.len()).step_by(13).map(|len| whole[..len].to_vec()));
    }
    all
}

#[test]
fn the_same_answer_comes_to_the_same_in_any_pieces() {
    let mut kinds = BTreeSet::new();
    for answer in answers() {
        let told = answer.clone();
        let server = Server::start(move |stream, _| {
            say(stream, &told);
            false
        });
        let limits = devid::transport::ExchangeLimits { max_reply_bytes: LIMIT, ..quick() };
        let expected = outcome(server.exchange().exchange(&message(5), &limits));
        for piece in [1, 7, 1 << 20] {
            let shown = String::from_utf8_lossy(&answer[..answer.len().min(120)]).into_owned();
            assert_eq!(outcome(call(&HttpConfig::default(), &answer, piece)), expected, "by {piece}: {shown}");
        }
        kinds.insert(expected.err().map_or("taken".to_owned(), |error| format!("{:?}", error.0)));
    }
    let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
    assert_eq!(kinds, ["Broken", "Busy", "ContentType", "HttpStatus", "TooLarge", "taken"]);
}

#[test]
fn the_same_request_goes_out() {
    let configs = [
        HttpConfig::default(),
        HttpConfig { use_http_1_0: true, user_agent: String::new(), ..HttpConfig::default() },
        HttpConfig { headers: vec![("x-site".to_owned(), "7".to_owned())], ..HttpConfig::default() },
    ];
    for config in configs {
        let server = Server::start(|stream, _| {
            say(stream, &http("200 OK", PKIXCMP, &message(5)));
            false
        });
        let url = server.url("/pkix//?a=%2F");
        HttpExchange::new(&url, config.clone()).unwrap().exchange(&message(9), &quick()).unwrap();
        let seen = server.seen().remove(0);
        let fields = |head: &str| {
            let fields =
                head.lines().skip(1).filter(|line| !line.is_empty() && !line.to_lowercase().starts_with("connection"));
            fields.map(str::to_lowercase).collect::<BTreeSet<String>>()
        };

        let call = HttpCall::new(&url, &config, &message(9), LIMIT).unwrap();

        let text = String::from_utf8_lossy(call.output()).into_owned();
        let head = text.split_once("\r\n\r\n").unwrap().0;
        assert_eq!((call.host(), call.port()), ("127.0.0.1", server.address.port()));
        assert_eq!(head.lines().next(), Some(seen.line()));
        assert_eq!(fields(head), fields(&seen.head));
        assert!(head.contains("\r\nconnection: close"));
        assert!(call.output().ends_with(&seen.body));
    }
}

#[test]
fn a_proxy_is_asked_in_absolute_form_and_a_tunnel_is_left_to_the_program() {
    let mut config = HttpConfig { proxy: Some("http://proxy.example:3128".parse().unwrap()), ..HttpConfig::default() };
    config.proxy_authorization = Some(HttpConfig::basic("me", "secret").unwrap());
    let call = HttpCall::new("http://ca.example/cmp", &config, &message(1), LIMIT).unwrap();
    assert_eq!((call.host(), call.port()), ("proxy.example", 3128));
    let head = String::from_utf8_lossy(call.output()).into_owned();
    assert!(head.starts_with("POST http://ca.example/cmp HTTP/1.1\r\nhost: ca.example\r\n"), "{head}");
    assert!(head.contains("\r\nproxy-authorization: Basic bWU6c2VjcmV0\r\n"), "{head}");

    let refused = HttpCall::new("https://ca.example/cmp", &config, &message(1), LIMIT).unwrap_err();
    assert_eq!(refused.kind, Kind::Unsupported);
    assert!(refused.detail.contains("tunnel"), "{refused}");
    config.proxy = None;
    let direct = HttpCall::new("http://ca.example/cmp", &config, &message(1), LIMIT).unwrap();
    assert!(!String::from_utf8_lossy(direct.output()).contains("authorization"), "for the proxy's eyes alone");
}

#[test]
fn what_cannot_be_sent_is_refused_before() {
    let split = HttpConfig { user_agent: "a\r\nx: 1".to_owned(), ..HttpConfig::default() };
    let https = HttpConfig::default();
    for (url, config, kind) in [
        ("http://ca.example/", &split, Kind::Invalid),
        ("https://ca.example/", &https, if cfg!(feature = "tls") { Kind::Invalid } else { Kind::Unsupported }),
        ("coap://ca.example/", &https, Kind::Unsupported),
    ] {
        assert_eq!(HttpCall::new(url, config, &message(1), LIMIT).unwrap_err().kind, kind, "{url}");
    }
}

#[test]
fn an_answer_that_is_not_there_is_no_reply() {
    let mut call = HttpCall::new("http://ca.example/", &HttpConfig::default(), &message(1), LIMIT).unwrap();
    assert!(!call.received(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n").unwrap());
    assert_eq!(call.into_reply().unwrap_err().kind, Kind::Broken);
}
