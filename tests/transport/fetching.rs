//! Documents by URL: once, and then only if they changed; never more or elsewhere than allowed.

use devid::transport::fetch::{Document, FetchLimits, HttpFetch, ocsp_get_url};
use devid::transport::{
    Exchange, ExchangeFn, ExchangeLimits, Fetch, FetchFn, FetchRequest, Fetched, HttpConfig, Reply, TransportError,
    TransportErrorKind as Kind,
};
use devid::{Code, Error};

use crate::server::*;

fn fetcher(limits: FetchLimits) -> HttpFetch {
    HttpFetch::new(HttpConfig::default(), limits).unwrap()
}

fn fetched(outcome: Result<Fetched, TransportError>) -> Document {
    match outcome.unwrap() {
        Fetched::Document(document) => document,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_document_is_fetched_once_and_then_only_if_it_changed() {
    let server = Server::start(|stream, seen| match seen.header("if-none-match") {
        Some("\"v1\"") => say(stream, b"HTTP/1.1 304 Not Modified\r\n\r\n"),
        _ => say(
            stream,
            &http(
                "200 OK",
                "ETag: \"v1\"\r\nLast-Modified: Sat, 21 Nov 2026 10:00:00 GMT\r\nContent-Type: application/pkix-crl\r\n",
                &message(90),
            ),
        ),
    });
    let mut fetch = fetcher(FetchLimits::default());
    let url = server.url("/root.crl");
    let document = fetched(fetch.fetch(&FetchRequest::get(&url), &quick()));
    assert_eq!((document.bytes, document.etag.as_deref()), (message(90), Some("\"v1\"")));
    assert_eq!(document.content_type.as_deref(), Some("application/pkix-crl"));

    let again = FetchRequest {
        if_none_match: document.etag.as_deref(),
        if_modified_since: document.last_modified.as_deref(),
        ..FetchRequest::get(&url)
    };
    assert_eq!(fetch.fetch(&again, &quick()).unwrap(), Fetched::NotModified);
    assert_eq!(server.seen()[1].header("if-modified-since"), Some("Sat, 21 Nov 2026 10:00:00 GMT"));
    assert_eq!((server.seen()[0].line(), server.seen()[1].connection), ("GET /root.crl HTTP/1.1", 0));
}

#[test]
fn an_ocsp_request_is_posted() {
    let server = answering(http("200 OK", "Content-Type: application/ocsp-response\r\n", &message(50)));
    let document = fetched(
        fetcher(FetchLimits::default()).fetch(&FetchRequest::ocsp(&server.url("/ocsp"), &message(20)), &quick()),
    );
    assert_eq!(document.bytes, message(50));
    let seen = &server.seen()[0];
    assert_eq!((seen.line(), seen.header("content-type")), ("POST /ocsp HTTP/1.1", Some("application/ocsp-request")));
    assert_eq!(seen.body, message(20));
}

#[test]
fn a_short_ocsp_request_fits_into_a_url_and_a_long_one_is_for_post() {
    let server = answering(http("200 OK", "", &message(50)));
    // Bytes whose base64 has all three characters that must be encoded.
    let url = ocsp_get_url(&server.url("/ocsp/"), &[0x30, 0x02, 0xfb, 0xff]).unwrap();
    fetched(fetcher(FetchLimits::default()).fetch(&FetchRequest::get(&url), &quick()));
    assert_eq!(server.seen()[0].line(), "GET /ocsp/MAL7%2Fw%3D%3D HTTP/1.1");
    assert!(
        ocsp_get_url("http://o/", &[0xfb; 3]).unwrap().ends_with("/%2B%2Fv7"),
        "{:?}",
        ocsp_get_url("http://o/", &[0xfb; 3])
    );
    assert_eq!(ocsp_get_url("http://o/", &[0; 200]), None);
}

#[test]
fn a_caller_can_bring_its_own_way() {
    let mut requests = Vec::new();
    let mut exchange = ExchangeFn(|request: &[u8], _: &ExchangeLimits| {
        requests.push(request.to_vec());
        if requests.len() == 1 {
            Ok(Reply::from_body(message(3)))
        } else {
            Err(TransportError::application(-10_042, "radio is off"))
        }
    });
    assert_eq!(exchange.exchange(&message(1), &quick()).unwrap().body, message(3));
    let error = Error::from(exchange.exchange(&message(2), &quick()).unwrap_err());
    assert_eq!(
        (error.code(), error.number(), error.message()),
        (Code::Application, -10_042, "radio is off (phase await)")
    );

    let mut ldap = FetchFn(|request: &FetchRequest<'_>, _: &ExchangeLimits| {
        Ok(Fetched::Document(Document { bytes: request.url.as_bytes().to_vec(), ..Document::default() }))
    });
    assert_eq!(fetched(ldap.fetch(&FetchRequest::get("ldap://h/cn=crl"), &quick())).bytes, b"ldap://h/cn=crl");
}

#[test]
fn redirects_are_followed_up_to_the_limit_and_never_to_another_scheme() {
    let server = Server::start(|stream, seen| {
        let to = match seen.line().split(' ').nth(1).unwrap() {
            "/a" => "/b",
            "/b" => "c",
            "/c" => return say(stream, &http("200 OK", "", &message(3))),
            "/loop" => "/loop",
            _ => "https://other.test/x",
        };
        say(stream, &http("302 Found", &format!("Location: {to}\r\n"), b"moved"))
    });
    let document = fetched(fetcher(FetchLimits::default()).fetch(&FetchRequest::get(&server.url("/a")), &quick()));
    assert_eq!((document.bytes, document.url), (message(3), server.url("/c")));

    let outcome = |target: &str| {
        fetcher(FetchLimits::default()).fetch(&FetchRequest::get(&server.url(target)), &quick()).unwrap_err()
    };
    let looped = outcome("/loop");
    assert_eq!((looped.kind, looped.code()), (Kind::Limit, Code::Limit));
    let changed = outcome("/elsewhere");
    assert_eq!((changed.kind, changed.location.as_deref()), (Kind::Limit, Some("https://other.test/x")));
    assert_eq!(server.seen().len(), 3 + 4 + 1);
}

#[test]
fn requests_hosts_and_sizes_are_capped() {
    let server = answering(http("200 OK", "", &message(5000)));
    let url = server.url("/x");
    let get = FetchRequest::get(&url);

    let mut few = fetcher(FetchLimits { max_requests: 2, ..FetchLimits::default() });
    assert!(few.fetch(&get, &quick()).is_ok() && few.fetch(&get, &quick()).is_ok());
    assert_eq!(few.fetch(&get, &quick()).unwrap_err().kind, Kind::Limit);

    let mut one_host = fetcher(FetchLimits { max_hosts: 1, ..FetchLimits::default() });
    assert!(one_host.fetch(&get, &quick()).is_ok());
    assert_eq!(one_host.fetch(&FetchRequest::get("http://localhost:1/"), &quick()).unwrap_err().kind, Kind::Limit);

    let mut listed = fetcher(FetchLimits { allowed_hosts: Some(vec!["crl.test".into()]), ..FetchLimits::default() });
    assert_eq!(listed.fetch(&get, &quick()).unwrap_err().kind, Kind::Limit);

    let small = ExchangeLimits { max_reply_bytes: 100, ..quick() };
    assert_eq!(fetcher(FetchLimits::default()).fetch(&get, &small).unwrap_err().kind, Kind::TooLarge);
    assert_eq!(server.seen().len(), 4);
}

#[test]
fn what_cannot_be_fetched_says_why() {
    let mut fetch = fetcher(FetchLimits::default());
    assert_eq!(fetch.fetch(&FetchRequest::get("ldap://h/cn=crl"), &quick()).unwrap_err().kind, Kind::Invalid);
    let gone = answering(http("404 Not Found", "Content-Type: text/html\r\n", b"<html>"));
    let error = fetch.fetch(&FetchRequest::get(&gone.url("/x")), &quick()).unwrap_err();
    assert_eq!((error.kind, error.status), (Kind::HttpStatus, Some(404)));
    let cut = Server::start(|stream, _| {
        say(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        false
    });
    let error = fetch.fetch(&FetchRequest::get(&cut.url("/x")), &quick()).unwrap_err();
    assert_eq!(error.kind, Kind::Broken);
    assert!(error.detail.contains("4 of 100 bytes"), "{error}");
}
