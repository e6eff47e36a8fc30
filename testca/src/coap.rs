//! The test CA behind CoAP on loopback (RFC 9482), its messages read and written by the crate coap-lite. One thread, one
//! conversation for each client's address; misbehaviour by [`CoapOptions`].

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use coap_lite::{CoapOption, MessageClass, MessageType, Packet, ResponseType};

use crate::server::{Request, Response, Server};

/// How the server behaves.
#[derive(Clone, Debug)]
pub struct CoapOptions {
    /// Size exponent of its blocks: 6 is 1024 bytes, 0 is 16.
    pub exponent: u8,
    /// First an empty acknowledgement, then a response of its own, confirmable.
    pub separate: bool,
    /// Datagrams that are lost on their way here, by number from 0.
    pub lost_in: Vec<usize>,
    /// Datagrams that are lost on their way out, likewise.
    pub lost_out: Vec<usize>,
    /// Forgets the blocks before this one, once.
    pub forgets_at: Option<u32>,
    /// Answers a message outside of blocks that is larger than one of its blocks with 4.13 and that size.
    pub wants_blocks: bool,
    /// Sends this in place of the content-format 259.
    pub content_format: Option<u16>,
    /// Changes the ETag with every block.
    pub is_fickle: bool,
    /// Answers everything with this code and text.
    pub refusal: Option<(u8, String)>,
}

impl Default for CoapOptions {
    fn default() -> Self {
        CoapOptions {
            exponent: 6,
            separate: false,
            lost_in: Vec::new(),
            lost_out: Vec::new(),
            forgets_at: None,
            wants_blocks: false,
            content_format: Some(259),
            is_fickle: false,
            refusal: None,
        }
    }
}

/// A CoAP listener in front of a [`Server`]'s CA; stopped when dropped.
pub struct CoapServer {
    address: SocketAddr,
    is_stopped: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl CoapServer {
    /// On a port of 127.0.0.1 that the system chooses.
    pub fn start(server: &Server, options: CoapOptions) -> io::Result<Self> {
        let socket = UdpSocket::bind(("127.0.0.1", 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let coap = CoapServer { address: socket.local_addr()?, is_stopped: Arc::default(), seen: Arc::default() };
        let (is_stopped, seen) = (Arc::clone(&coap.is_stopped), Arc::clone(&coap.seen));
        let answer = Arc::new(server.answer());
        thread::spawn(move || {
            let mut end = End {
                socket,
                answer,
                options,
                seen,
                talks: HashMap::new(),
                unacknowledged: Vec::new(),
                received: 0,
                sent: 0,
                next_id: 1,
            };
            while !is_stopped.load(Ordering::SeqCst) {
                end.turn();
            }
        });
        Ok(coap)
    }

    /// `coap://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("coap://{}", self.address)
    }

    /// Where CMP is spoken.
    pub fn cmp_url(&self) -> String {
        format!("{}/cmp", self.url())
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The datagrams that arrived, in words: `CON POST /cmp 1:0/1/64 64`.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for CoapServer {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::SeqCst);
    }
}

/// What is kept of one client's request and answer.
#[derive(Default)]
struct Talk {
    request: Vec<u8>,
    answer: Vec<u8>,
    code: u8,
    /// The last request's message ID and what it was answered with: repetitions get the same (RFC 7252 section 4.2).
    last: Option<(u16, Vec<Vec<u8>>)>,
}

struct End<A> {
    socket: UdpSocket,
    answer: Arc<A>,
    options: CoapOptions,
    seen: Arc<Mutex<Vec<String>>>,
    talks: HashMap<SocketAddr, Talk>,
    /// Responses of their own that are repeated until the client says that it has them.
    unacknowledged: Vec<(SocketAddr, u16, Vec<u8>, u32)>,
    received: usize,
    sent: usize,
    next_id: u16,
}

impl<A: Fn(&Request) -> Response> End<A> {
    fn turn(&mut self) {
        let mut buffer = [0; 4096];
        let Ok((count, peer)) = self.socket.recv_from(&mut buffer) else { return self.repeat() };
        self.received += 1;
        if self.options.lost_in.contains(&(self.received - 1)) {
            return;
        }
        let Ok(packet) = Packet::from_bytes(&buffer[..count]) else { return };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(describe(&packet));
        let id = packet.header.message_id;
        if packet.header.get_type() != MessageType::Confirmable {
            self.unacknowledged.retain(|waiting| (waiting.0, waiting.1) != (peer, id));
            return;
        }
        let known = self.talks.get(&peer).and_then(|talk| talk.last.clone()).filter(|(last, _)| *last == id);
        let datagrams = match known {
            Some((_, datagrams)) => datagrams,
            None => {
                let response = self.respond(peer, &packet);
                let datagrams = self.dress(&packet, response);
                self.talks.entry(peer).or_default().last = Some((id, datagrams.clone()));
                datagrams
            }
        };
        for datagram in datagrams {
            if let Ok(packet) = Packet::from_bytes(&datagram) {
                if packet.header.get_type() == MessageType::Confirmable {
                    self.unacknowledged.push((peer, packet.header.message_id, datagram.clone(), 0));
                }
            }
            self.send(&datagram, peer);
        }
    }

    /// Nothing came for a while: what was not acknowledged goes out once more, five times at most.
    fn repeat(&mut self) {
        self.unacknowledged.retain(|waiting| waiting.3 < 5);
        let mut waiting = std::mem::take(&mut self.unacknowledged);
        for (peer, _, datagram, count) in &mut waiting {
            *count += 1;
            self.send(datagram, *peer);
        }
        self.unacknowledged = waiting;
    }

    fn send(&mut self, datagram: &[u8], peer: SocketAddr) {
        self.sent += 1;
        if !self.options.lost_out.contains(&(self.sent - 1)) {
            let _ = self.socket.send_to(datagram, peer);
        }
    }

    /// As a piggybacked response, or an empty acknowledgement and a response of its own.
    fn dress(&mut self, request: &Packet, mut response: Packet) -> Vec<Vec<u8>> {
        response.set_token(request.get_token().to_vec());
        if !self.options.separate {
            response.header.set_type(MessageType::Acknowledgement);
            response.header.message_id = request.header.message_id;
            return vec![response.to_bytes().expect("a message")];
        }
        let mut empty = Packet::new();
        empty.header.set_type(MessageType::Acknowledgement);
        empty.header.code = MessageClass::Empty;
        empty.header.message_id = request.header.message_id;
        response.header.set_type(MessageType::Confirmable);
        response.header.message_id = self.next_id;
        self.next_id += 1;
        vec![empty.to_bytes().expect("a message"), response.to_bytes().expect("a message")]
    }

    fn respond(&mut self, peer: SocketAddr, packet: &Packet) -> Packet {
        if let Some((code, text)) = &self.options.refusal {
            let mut refusal = coded(*code);
            refusal.payload = text.clone().into_bytes();
            return refusal;
        }
        let own = self.options.exponent;
        if let Some((number, _, exponent)) = block(packet, CoapOption::Block2) {
            if number > 0 {
                return self.answer_block(peer, number, exponent);
            }
        }
        let talk = self.talks.entry(peer).or_default();
        let Some((number, has_more, exponent)) = block(packet, CoapOption::Block1) else {
            if self.options.wants_blocks && packet.payload.len() > 16 << own {
                let mut refusal = coded(4 << 5 | 13);
                refusal.add_option(CoapOption::Block1, block_value(0, false, own));
                return refusal;
            }
            talk.request = packet.payload.clone();
            return self.handle(peer, packet, None);
        };
        if number == 0 {
            talk.request.clear();
        }
        if self.options.forgets_at == Some(number) {
            self.options.forgets_at = None;
            talk.request.clear();
        }
        if talk.request.len() != (number as usize) << (exponent + 4) {
            return coded(4 << 5 | 8);
        }
        if packet.get_first_option_as::<coap_lite::option_value::OptionValueU16>(CoapOption::ContentFormat)
            != Some(Ok(coap_lite::option_value::OptionValueU16(259)))
        {
            return coded(4 << 5 | 15);
        }
        talk.request.extend_from_slice(&packet.payload);
        if !has_more {
            return self.handle(peer, packet, Some((number, exponent)));
        }
        let mut go_on = coded(2 << 5 | 31);
        go_on.add_option(CoapOption::Block1, block_value(number, true, exponent.min(own)));
        go_on
    }

    fn handle(&mut self, peer: SocketAddr, packet: &Packet, last: Option<(u32, u8)>) -> Packet {
        let talk = self.talks.entry(peer).or_default();
        let request = Request::post(path(packet), std::mem::take(&mut talk.request));
        let response = (self.answer)(&request);
        let status = response.status();
        // 200 is 2.04 Changed; others keep their digits.
        talk.code = if status == 200 { 2 << 5 | 4 } else { ((status / 100) << 5 | (status % 100)) as u8 };
        talk.answer = response.into_body();
        let wanted = block(packet, CoapOption::Block2).map_or(6, |(_, _, exponent)| exponent);
        let mut first = self.answer_block(peer, 0, wanted);
        if let Some((number, exponent)) = last {
            first.add_option(CoapOption::Block1, block_value(number, false, exponent));
        }
        first
    }

    fn answer_block(&mut self, peer: SocketAddr, number: u32, wanted: u8) -> Packet {
        let talk = self.talks.entry(peer).or_default();
        let exponent = wanted.min(self.options.exponent);
        let size = 16usize << exponent;
        let from = (number as usize * size).min(talk.answer.len());
        let to = (from + size).min(talk.answer.len());
        let mut response = coded(talk.code);
        response.payload = talk.answer[from..to].to_vec();
        if number > 0 || to < talk.answer.len() {
            response.add_option(CoapOption::Block2, block_value(number, to < talk.answer.len(), exponent));
            let tag = if self.options.is_fickle { number as u8 } else { 1 };
            response.add_option(CoapOption::ETag, vec![tag]);
        }
        if let Some(format) = self.options.content_format {
            response.add_option(CoapOption::ContentFormat, format.to_be_bytes().to_vec());
        }
        response
    }
}

fn coded(code: u8) -> Packet {
    let mut packet = Packet::new();
    packet.header.code = MessageClass::from(code);
    packet
}

fn block(packet: &Packet, option: CoapOption) -> Option<(u32, bool, u8)> {
    let value = packet.get_first_option(option)?.iter().fold(0u32, |n, b| n << 8 | u32::from(*b));
    Some((value >> 4, value & 8 != 0, (value & 7) as u8))
}

fn block_value(number: u32, has_more: bool, exponent: u8) -> Vec<u8> {
    let value = number << 4 | u32::from(has_more) << 3 | u32::from(exponent);
    value.to_be_bytes().into_iter().skip_while(|b| *b == 0).collect()
}

fn path(packet: &Packet) -> String {
    let parts = packet.get_option(CoapOption::UriPath).into_iter().flatten();
    parts.map(|part| format!("/{}", String::from_utf8_lossy(part))).collect()
}

fn describe(packet: &Packet) -> String {
    let kind = match packet.header.get_type() {
        MessageType::Confirmable => "CON",
        MessageType::NonConfirmable => "NON",
        MessageType::Acknowledgement => "ACK",
        MessageType::Reset => "RST",
    };
    let mut words = match packet.header.code {
        MessageClass::Empty => return format!("{kind} empty"),
        MessageClass::Request(method) => format!("{kind} {method:?} {}", path(packet)).replace("Post", "POST"),
        MessageClass::Response(ResponseType::UnKnown) => format!("{kind} response"),
        other => format!("{kind} {other}"),
    };
    for (name, option) in [("1", CoapOption::Block1), ("2", CoapOption::Block2)] {
        if let Some((number, has_more, exponent)) = block(packet, option) {
            words.push_str(&format!(" {name}:{number}/{}/{}", u8::from(has_more), 16 << exponent));
        }
    }
    format!("{words} {}", packet.payload.len())
}
