//! The test CA behind HTTP on loopback: sockets by hand, because the knobs reach down to the single byte.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{Knobs, TestCa};

/// Largest request taken.
const MAX_REQUEST_BYTES: usize = 8 * 1024 * 1024;

/// Where an endless body ends, should the client be as patient.
const ENDLESS_BYTES: usize = 64 * 1024 * 1024;

/// Open connections by number, for [`Server::stop`].
type Connections = Arc<Mutex<HashMap<u64, TcpStream>>>;

/// A running server; stopped by [`Server::stop`] or when it is dropped.
pub struct Server {
    ca: Arc<Mutex<TestCa>>,
    listener: Listener,
}

impl Server {
    /// On a port of 127.0.0.1 that the system chooses.
    pub fn start(ca: TestCa) -> io::Result<Self> {
        Self::start_at(ca, 0)
    }

    /// On a port of 127.0.0.1; 0 lets the system choose.
    pub fn start_at(mut ca: TestCa, port: u16) -> io::Result<Self> {
        let socket = TcpListener::bind(("127.0.0.1", port))?;
        if ca.base_url.is_empty() {
            ca.publish_at(&format!("http://{}", socket.local_addr()?));
        }
        let ca = Arc::new(Mutex::new(ca));
        let shared = Arc::clone(&ca);
        let listener = Listener::start(socket, move |request| dispatch(request, &shared))?;
        Ok(Server { ca, listener })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.listener.url()
    }

    /// Where CMP is spoken.
    pub fn cmp_url(&self) -> String {
        format!("{}/cmp", self.url())
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.listener.address.port()
    }

    /// Does something with the CA: set knobs, look at what was received.
    pub fn with<T>(&self, work: impl FnOnce(&mut TestCa) -> T) -> T {
        work(&mut self.ca.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Stops listening and closes all connections.
    pub fn stop(&self) {
        self.listener.stop();
    }

    /// Answers a request, for other ways to the same CA.
    pub(crate) fn answer(&self) -> impl Fn(&Request) -> Response + Send + Sync + 'static {
        let ca = Arc::clone(&self.ca);
        move |request| dispatch(request, &ca)
    }
}

/// Listens on loopback and has each request answered; stopped when it is dropped.
pub(crate) struct Listener {
    address: SocketAddr,
    is_stopped: Arc<AtomicBool>,
    connections: Connections,
}

impl Listener {
    /// Answers requests until it is stopped.
    pub(crate) fn start(
        socket: TcpListener,
        answer: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener =
            Listener { address: socket.local_addr()?, is_stopped: Arc::default(), connections: Connections::default() };
        let (is_stopped, connections) = (Arc::clone(&listener.is_stopped), Arc::clone(&listener.connections));
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for (number, stream) in (0..).zip(socket.incoming()) {
                if is_stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                if let Ok(copy) = stream.try_clone() {
                    connections.lock().unwrap_or_else(PoisonError::into_inner).insert(number, copy);
                }
                let (answer, connections) = (Arc::clone(&answer), Arc::clone(&connections));
                thread::spawn(move || {
                    // A client that goes away is its own business.
                    drop(serve_plain(stream, &*answer));
                    connections.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
                });
            }
        });
        Ok(listener)
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops listening and closes all connections.
    pub(crate) fn stop(&self) {
        if !self.is_stopped.swap(true, Ordering::SeqCst) {
            let _ = TcpStream::connect(self.address);
            for (_, stream) in self.connections.lock().unwrap_or_else(PoisonError::into_inner).drain() {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Seconds since 1970.
pub fn system_time() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64)
}

pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
    keep_alive: bool,
}

pub(crate) struct Response {
    status: u32,
    content_type: String,
    body: Vec<u8>,
    /// Knobs that bend the way it is sent; only CMP answers are bent.
    knobs: Option<Knobs>,
}

impl Request {
    pub(crate) fn post(path: String, body: Vec<u8>) -> Self {
        Request { method: "POST".to_owned(), path, body, keep_alive: true }
    }
}

impl Response {
    pub(crate) fn status(&self) -> u32 {
        self.status
    }

    pub(crate) fn into_body(self) -> Vec<u8> {
        self.body
    }

    pub(crate) fn plain(status: u32, content_type: &str, body: Vec<u8>) -> Self {
        Response { status, content_type: content_type.to_owned(), body, knobs: None }
    }
}

fn serve_plain(mut stream: TcpStream, answer: &dyn Fn(&Request) -> Response) -> io::Result<()> {
    stream.set_nodelay(true)?;
    serve(&mut stream, answer)?;
    stream.shutdown(Shutdown::Both)
}

/// Answers requests until the connection is to be closed.
pub(crate) fn serve(stream: &mut (impl Read + Write), answer: &dyn Fn(&Request) -> Response) -> io::Result<()> {
    let mut pending = Vec::new();
    while let Some(request) = read_request(stream, &mut pending)? {
        let keep_alive = request.keep_alive;
        let response = answer(&request);
        let closes = response.knobs.as_ref().is_some_and(|k| k.close || k.endless || k.cut_after >= 0);
        send(stream, &response, keep_alive && !closes)?;
        let closes_silently = response.knobs.as_ref().is_some_and(|k| k.close_silently);
        if closes || closes_silently || !keep_alive {
            break;
        }
    }
    Ok(())
}

fn read_request(stream: &mut impl Read, pending: &mut Vec<u8>) -> io::Result<Option<Request>> {
    let bad = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text.to_owned());
    let mut buffer = [0u8; 16 * 1024];
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut parsed = httparse::Request::new(&mut headers);
        if let httparse::Status::Complete(head) = parsed.parse(pending).map_err(|e| bad(&e.to_string()))? {
            let header = |name: &str| {
                let found = parsed.headers.iter().find(|h| h.name.eq_ignore_ascii_case(name));
                found.map(|h| String::from_utf8_lossy(h.value).into_owned())
            };
            let length: usize =
                header("content-length").map_or(Ok(0), |l| l.trim().parse()).map_err(|_| bad("length"))?;
            if length > MAX_REQUEST_BYTES {
                return Err(bad("too large"));
            }
            let connection = header("connection").unwrap_or_default().to_ascii_lowercase();
            let is_old = parsed.version == Some(0);
            let keep_alive = if is_old { connection.contains("keep-alive") } else { !connection.contains("close") };
            let method = parsed.method.unwrap_or_default().to_owned();
            let path = parsed.path.unwrap_or_default().to_owned();
            if pending.len() >= head + length {
                let body = pending[head..head + length].to_vec();
                pending.drain(..head + length);
                return Ok(Some(Request { method, path, body, keep_alive }));
            }
        }
        if pending.len() > MAX_REQUEST_BYTES + 64 * 1024 {
            return Err(bad("too large"));
        }
        match stream.read(&mut buffer)? {
            0 if pending.is_empty() => return Ok(None),
            0 => return Err(bad("the client closed in the middle of a request")),
            count => pending.extend_from_slice(&buffer[..count]),
        }
    }
}

fn dispatch(request: &Request, ca: &Mutex<TestCa>) -> Response {
    let mut ca = ca.lock().unwrap_or_else(PoisonError::into_inner);
    let now = system_time();
    let plain = Response::plain;
    let path = request.path.split('?').next().unwrap_or_default();
    match (request.method.as_str(), path) {
        ("POST", "/cmp" | "/pkix/") => cmp(&mut ca, &request.body, now),
        ("POST", path) if path.starts_with("/.well-known/cmp") => cmp(&mut ca, &request.body, now),
        ("POST", "/ocsp") => plain(200, "application/ocsp-response", ca.ocsp(&request.body, now)),
        ("GET", path) if path.starts_with("/ocsp/") => match decode_get(&path[6..]) {
            Some(der) => plain(200, "application/ocsp-response", ca.ocsp(&der, now)),
            None => plain(400, "text/plain", b"not base64\n".to_vec()),
        },
        ("GET", "/") => plain(200, "text/plain; charset=utf-8", PUBLISHED.as_bytes().to_vec()),
        ("GET", "/crl/issuing.crl") => plain(200, "application/pkix-crl", ca.crl(now)),
        ("GET", "/crl/root.crl") => plain(200, "application/pkix-crl", ca.root_crl(now)),
        ("GET", "/ca/issuing.crt") => plain(200, "application/pkix-cert", ca.issuing.certificate.clone()),
        ("GET", "/ca/root.crt") => plain(200, "application/pkix-cert", ca.root.certificate.clone()),
        ("POST", "/control") => match control(&mut ca, &request.body) {
            Ok(()) => plain(200, "text/plain", b"ok\n".to_vec()),
            Err(text) => plain(400, "text/plain", format!("{text}\n").into_bytes()),
        },
        ("GET", "/control") => {
            let complaints = ca.complaints().join("\n");
            let text = format!("received: {}\n{complaints}\n", ca.bodies().join(" "));
            plain(200, "text/plain", text.into_bytes())
        }
        _ => plain(404, "text/plain", format!("nothing at {} {}\n", request.method, request.path).into_bytes()),
    }
}

fn cmp(ca: &mut TestCa, body: &[u8], now: i64) -> Response {
    let knobs = ca.knobs.clone();
    // A front end that is busy lets nothing through.
    let is_busy = knobs.html && knobs.http_status == 503;
    let breaks = !knobs.broken_key_update.is_empty() && crate::read::take_apart(body).is_ok_and(|m| m.1.tag == 0xa7);
    let answer = if is_busy || breaks { ca.turn_away(body) } else { ca.answer(body, now) };
    if breaks {
        return Response::plain(500, "text/plain", knobs.broken_key_update.into_bytes());
    }
    let (content_type, body) = if !knobs.words.is_empty() {
        ("text/plain".to_owned(), knobs.words.clone().into_bytes())
    } else if knobs.html {
        ("text/html".to_owned(), b"<html><body>The service is busy.</body></html>".to_vec())
    } else {
        (knobs.content_type.clone(), answer)
    };
    let status = if knobs.redirect.is_empty() { knobs.http_status } else { 302 };
    Response { status, content_type, body, knobs: Some(knobs) }
}

/// Lines `knob=value`, `reset`, `revoke=HEX[,REASON]`, `secret=REFERENCE:SECRET`, `secret-octets=HEX:SECRET`.
fn control(ca: &mut TestCa, body: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(body).map_err(|_| "not text".to_owned())?;
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        match name {
            "reset" => ca.knobs = Knobs::default(),
            "forget" => ca.received.clear(),
            "revoke" => {
                let (serial, reason) = value.split_once(',').unwrap_or((value, "0"));
                let serial = unhex(serial)?;
                ca.revoke(&serial, reason.parse().map_err(|_| "the reason is not a number".to_owned())?);
            }
            "secret" => {
                let (reference, secret) = value.split_once(':').ok_or("secret=REFERENCE:SECRET")?;
                ca.secrets.insert(reference.as_bytes().to_vec(), some(secret)?);
            }
            "secret-octets" => {
                let (reference, secret) = value.split_once(':').ok_or("secret-octets=HEX:SECRET")?;
                ca.secrets.insert(unhex(reference)?, some(secret)?);
            }
            _ => ca.knobs.set(name, value)?,
        }
    }
    Ok(())
}

fn unhex(text: &str) -> Result<Vec<u8>, String> {
    if text.is_empty() || text.len() % 2 == 1 || !text.is_ascii() {
        return Err("not an even number of hexadecimal digits".to_owned());
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).map_err(|e| e.to_string())).collect()
}

/// The GET form of RFC 6960 appendix A.1: base64, percent-encoded.
fn decode_get(text: &str) -> Option<Vec<u8>> {
    use base64ct::{Base64, Encoding};
    let plain = text.replace("%2B", "+").replace("%2b", "+").replace("%2F", "/").replace("%2f", "/");
    Base64::decode_vec(&plain.replace("%3D", "=").replace("%3d", "=")).ok()
}

fn send(stream: &mut impl Write, response: &Response, keep_alive: bool) -> io::Result<()> {
    let defaults = Knobs::default();
    let knobs = response.knobs.as_ref().unwrap_or(&defaults);
    let mut head = format!("HTTP/1.1 {} {}\r\n", response.status, if response.status == 200 { "OK" } else { "Other" });
    if !response.content_type.is_empty() {
        head.push_str(&format!("Content-Type: {}\r\n", response.content_type));
    }
    if knobs.retry_after >= 0 {
        head.push_str(&format!("Retry-After: {}\r\n", knobs.retry_after));
    }
    if !knobs.redirect.is_empty() {
        head.push_str(&format!("Location: {}\r\n", knobs.redirect));
    }
    if !keep_alive {
        head.push_str("Connection: close\r\n");
    }
    let mut bytes;
    if knobs.chunked || knobs.endless {
        head.push_str("Transfer-Encoding: chunked\r\n\r\n");
        bytes = head.into_bytes();
        for chunk in response.body.chunks(100) {
            bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        if !knobs.endless {
            bytes.extend_from_slice(b"0\r\n\r\n");
        }
    } else {
        head.push_str(&format!("Content-Length: {}\r\n\r\n", response.body.len()));
        bytes = head.into_bytes();
        bytes.extend_from_slice(&response.body);
    }
    if let Ok(count) = usize::try_from(knobs.cut_after) {
        bytes.truncate(count);
    }
    thread::sleep(Duration::from_millis(knobs.delay_ms));
    if knobs.drip_ms > 0 {
        for byte in bytes {
            stream.write_all(&[byte])?;
            stream.flush()?;
            thread::sleep(Duration::from_millis(knobs.drip_ms));
        }
        return Ok(());
    }
    stream.write_all(&bytes)?;
    stream.flush()?;
    if knobs.endless {
        let chunk = [format!("{:x}\r\n", 64 * 1024).as_bytes(), &[0; 64 * 1024], b"\r\n"].concat();
        for _ in 0..ENDLESS_BYTES / (64 * 1024) {
            stream.write_all(&chunk)?;
        }
    }
    Ok(())
}

/// The page at the root: all that is published.
const PUBLISHED: &str = "devid-testca: a CA for tests

POST /cmp                CMP over HTTP (RFC 9811); also /pkix/
GET  /ca/root.crt        the root, DER
GET  /ca/issuing.crt     the issuing CA, DER
GET  /crl/root.crl       the root's list, DER
GET  /crl/issuing.crl    the issuing CA's list, DER
POST /ocsp               the responder (RFC 6960); GET /ocsp/REQUEST with the request in base64
GET  /control            the knobs and their values; POST /control sets them
";

/// A secret that is one.
fn some(secret: &str) -> Result<Vec<u8>, String> {
    let secret = secret.as_bytes().to_vec();
    if crate::mac::is_none(&secret) { Err("the secret is empty".to_owned()) } else { Ok(secret) }
}
