//! A server that says what a test wants, byte by byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use devid::transport::{Exchange, ExchangeLimits, HttpConfig, HttpExchange, Reply, TransportError};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    pub(crate) connection: usize,
}

impl Seen {
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or("")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|l| {
            let (n, v) = l.split_once(':')?;
            n.eq_ignore_ascii_case(name).then_some(v.trim())
        })
    }
}

/// A TCP server on loopback whose answers a closure writes, byte by byte if it likes. Stopped when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
    pub(crate) stop: Arc<AtomicBool>,
    pub(crate) thread: Option<JoinHandle<()>>,
}

impl Server {
    /// `answer` is called for each request and says whether the connection stays open.
    pub(crate) fn start(answer: impl Fn(&mut TcpStream, &Seen) -> bool + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", answer).expect("loopback")
    }

    pub(crate) fn start_at(
        address: &str,
        answer: impl Fn(&mut TcpStream, &Seen) -> bool + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (answer, seen_by_thread, stop_flag) = (Arc::new(answer), seen.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                if stop_flag.load(Ordering::SeqCst) {
                    break;
                }
                let (answer, seen) = (answer.clone(), seen_by_thread.clone());
                let Ok(mut stream) = stream else { continue };
                std::thread::spawn(move || {
                    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                    while let Some(request) = read_request(&mut stream, connection) {
                        seen.lock().unwrap().push(request.clone());
                        if !answer(&mut stream, &request) {
                            break;
                        }
                    }
                });
            }
        });
        Ok(Server { address, seen, stop, thread: Some(thread) })
    }

    pub(crate) fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }

    pub(crate) fn exchange(&self) -> HttpExchange {
        HttpExchange::new(&self.url("/pkix/"), HttpConfig::default()).unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

pub(crate) fn read_request(stream: &mut TcpStream, connection: usize) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let mut seen = Seen { head: String::from_utf8(head).unwrap(), body: Vec::new(), connection };
    let length = seen.header("content-length").map_or(0, |l| l.parse().unwrap());
    seen.body = vec![0; length];
    stream.read_exact(&mut seen.body).ok()?;
    Some(seen)
}

/// Writes and keeps the connection.
pub(crate) fn say(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    stream.write_all(bytes).is_ok()
}

pub(crate) fn http(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    out.extend_from_slice(body);
    out
}

pub(crate) const PKIXCMP: &str = "Content-Type: application/pkixcmp\r\n";

/// A DER SEQUENCE of this many content bytes: for the transport, as good as a PKIMessage.
pub(crate) fn message(content_len: usize) -> Vec<u8> {
    let mut out = vec![0x30, 0x83];
    out.extend_from_slice(&(content_len as u32).to_be_bytes()[1..]);
    match content_len {
        0..=0x7f => out = vec![0x30, content_len as u8],
        0x80..=0xff => out = vec![0x30, 0x81, content_len as u8],
        0x100..=0xffff => out = vec![0x30, 0x82, (content_len >> 8) as u8, content_len as u8],
        _ => {}
    }
    out.extend((0..content_len).map(|i| i as u8));
    out
}

pub(crate) fn quick() -> ExchangeLimits {
    ExchangeLimits {
        connect_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_secs(5),
        total_timeout: Duration::from_secs(10),
        ..ExchangeLimits::default()
    }
}

pub(crate) fn ask(server: &Server) -> Result<Reply, TransportError> {
    server.exchange().exchange(&message(5), &quick())
}

pub(crate) fn answering(answer: Vec<u8>) -> Server {
    Server::start(move |stream, _| say(stream, &answer))
}
