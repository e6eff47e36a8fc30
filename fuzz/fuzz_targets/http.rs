//! Whatever an HTTP server sends in answer to a CMP request and to a GET: no panic, an end, nothing above the limits.
//! The first byte says which of the two is asked, and by what pieces the client without I/O gets the same.
#![no_main]
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use devid::transport::fetch::{FetchLimits, HttpFetch};
use devid::transport::{Exchange, ExchangeLimits, Fetch, FetchRequest, Fetched, HttpCall, HttpConfig, HttpExchange};
use libfuzzer_sys::fuzz_target;

const MOST: usize = 16 * 1024;

/// A server on loopback that answers each connection with the bytes that it was given last, and closes.
fn server() -> &'static (SocketAddr, Mutex<Sender<Vec<u8>>>) {
    static SERVER: OnceLock<(SocketAddr, Mutex<Sender<Vec<u8>>>)> = OnceLock::new();
    SERVER.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (give, take) = channel::<Vec<u8>>();
        std::thread::spawn(move || {
            let mut answer = Vec::new();
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                if let Some(newer) = take.try_iter().last() {
                    answer = newer;
                }
                let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
                let mut head = [0; 2048];
                let _ = stream.read(&mut head);
                let _ = stream.write_all(&answer);
            }
        });
        (address, Mutex::new(give))
    })
}

/// The client without I/O: whatever the pieces, it comes to the same.
fn without_io(answer: &[u8], piece: usize) -> Option<Vec<u8>> {
    let config = HttpConfig::default();
    let mut call = HttpCall::new("http://127.0.0.1/cmp", &config, &[0x30, 0x00], MOST).expect("the URL is right");
    for bytes in answer.chunks(piece) {
        if call.received(bytes).ok()? {
            break;
        }
    }
    call.closed().ok()?;
    Some(call.into_reply().ok()?.body)
}

fuzz_target!(|input: &[u8]| {
    let Some((kind, answer)) = input.split_first() else { return };
    let body = without_io(answer, usize::from(*kind >> 1) + 1);
    assert_eq!(body, without_io(answer, MOST));
    assert!(body.is_none_or(|body| body.len() <= MOST));
    let (address, give) = server();
    give.lock().expect("one thread").send(answer.to_vec()).expect("the server runs");
    let limits = ExchangeLimits {
        connect_timeout: Duration::from_secs(1),
        read_timeout: Duration::from_millis(300),
        total_timeout: Duration::from_millis(600),
        max_reply_bytes: MOST,
        ..ExchangeLimits::default()
    };
    let url = format!("http://{address}/cmp");
    if kind & 1 == 0 {
        let mut exchange = HttpExchange::new(&url, HttpConfig::default()).expect("the URL is right");
        if let Ok(reply) = exchange.exchange(&[0x30, 0x00], &limits) {
            assert!(reply.body.len() <= MOST);
        }
    } else {
        let fetch_limits = FetchLimits { max_redirects: 1, max_requests: 2, max_hosts: 1, allowed_hosts: None, directory: None };
        let mut fetch = HttpFetch::new(HttpConfig::default(), fetch_limits).expect("the settings are right");
        if let Ok(Fetched::Document(document)) = fetch.fetch(&FetchRequest::get(&url), &limits) {
            assert!(document.bytes.len() <= MOST);
        }
    }
});
