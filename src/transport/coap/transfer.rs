//! One request and its answer over CoAP, without socket and clock: blocks out, blocks in, repetitions when it is time.

use std::collections::VecDeque;
use std::time::Duration;

use super::CoapConfig;
use super::message::{Block, Code, Message, Type, number, uint};
use crate::transport::error::{Phase, TransportError, TransportErrorKind};
use crate::transport::url::Url;
use crate::transport::{ExchangeLimits, Reply, Shape, shape_of};

/// Content-Format of a PKIMessage (RFC 9482 section 5).
const PKIXCMP: u32 = 259;

/// How many of the server's confirmable messages are remembered, to acknowledge repetitions of them.
const MAX_REMEMBERED: usize = 16;

/// A POST in blocks and its answer in blocks (RFC 7959 section 2.7), each confirmed (RFC 7252 section 4.2).
///
/// Time is a duration since the transfer began, told by the owner.
pub struct Transfer {
    uri: Vec<(u16, Vec<u8>)>,
    request: Vec<u8>,
    limits: ExchangeLimits,
    config: CoapConfig,
    next_id: u16,
    token: u64,
    /// Block size as an exponent; only ever gets smaller.
    exponent: u8,
    /// Whether the request goes in blocks.
    in_blocks: bool,
    /// Where the block under way begins and ends in the request; both at its end once all of it was answered.
    from: usize,
    to: usize,
    has_restarted: bool,
    under_way: UnderWay,
    outgoing: VecDeque<Vec<u8>>,
    acknowledged_ids: VecDeque<u16>,
    /// Of the answer: what came so far, and what must not change between its blocks.
    answer: Vec<u8>,
    entity: Option<Entity>,
    outcome: Option<Result<Reply, TransportError>>,
}

/// What the owner of a transfer is to do next.
#[derive(Debug)]
pub enum Next {
    /// Send this datagram.
    Send(Vec<u8>),
    /// Wait for a datagram until then, and ask again.
    Wait(Duration),
    /// It is over.
    Done(Box<Result<Reply, TransportError>>),
}

/// The message that waits for its response.
struct UnderWay {
    datagram: Vec<u8>,
    id: u16,
    token: [u8; 8],
    /// For the next repetition, or the end of patience once it is acknowledged.
    due: Duration,
    timeout: Duration,
    repetitions: u32,
    is_acknowledged: bool,
}

#[derive(PartialEq, Eq)]
struct Entity {
    code: u16,
    format: Option<u32>,
    etag: Option<Vec<u8>>,
    exponent: u8,
}

impl Transfer {
    /// Of `request` to the resource of `url`. `random` is fresh; `first_id` differs from those lately used with the same
    /// server (RFC 7252 section 4.4).
    pub fn new(
        url: &Url,
        request: &[u8],
        config: &CoapConfig,
        limits: &ExchangeLimits,
        first_id: u16,
        random: [u8; 10],
    ) -> Result<Self, TransportError> {
        let exponent = match config.block_bytes {
            16 | 32 | 64 | 128 | 256 | 512 | 1024 => config.block_bytes.trailing_zeros() as u8 - 4,
            other => return Err(invalid(format!("blocks of {other} bytes; CoAP knows 16, 32, 64, ... 1024"))),
        };
        if request.len() > (Block::MAX_NUMBER as usize) * usize::from(config.block_bytes) {
            return Err(invalid(format!("{} bytes do not fit into blocks of {}", request.len(), config.block_bytes)));
        }
        let [a, b, c, d, e, f, g, h, x, y] = random;
        // RFC 7252 section 4.8: between ACK_TIMEOUT and one and a half of it, at random.
        let jitter = config.ack_timeout.mul_f64(f64::from(u16::from_be_bytes([x, y])) / 131_072.0);
        let mut transfer = Transfer {
            uri: uri_options(url)?,
            request: request.to_vec(),
            limits: limits.clone(),
            config: CoapConfig { ack_timeout: config.ack_timeout + jitter, ..config.clone() },
            next_id: first_id,
            token: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            exponent,
            in_blocks: request.len() > usize::from(config.block_bytes),
            from: 0,
            to: 0,
            has_restarted: false,
            under_way: UnderWay {
                datagram: Vec::new(),
                id: 0,
                token: [0; 8],
                due: Duration::ZERO,
                timeout: Duration::ZERO,
                repetitions: 0,
                is_acknowledged: false,
            },
            outgoing: VecDeque::new(),
            acknowledged_ids: VecDeque::new(),
            answer: Vec::new(),
            entity: None,
            outcome: None,
        };
        transfer.send_block(Duration::ZERO);
        Ok(transfer)
    }

    /// The message ID after the last one used.
    pub fn next_id(&self) -> u16 {
        self.next_id
    }

    /// How far it has come.
    pub fn phase(&self) -> Phase {
        match (self.entity.is_some(), self.to == self.request.len()) {
            (true, _) => Phase::Body,
            (false, true) => Phase::Await,
            (false, false) => Phase::Send,
        }
    }

    /// Whether the server may have the whole request.
    pub fn is_possibly_delivered(&self) -> bool {
        self.phase() > Phase::Send
    }

    /// What to do now.
    pub fn next(&mut self, now: Duration) -> Next {
        // What is still to be acknowledged goes out even when all is over.
        if let Some(datagram) = self.outgoing.pop_front() {
            return Next::Send(datagram);
        }
        if let Some(outcome) = &self.outcome {
            return Next::Done(Box::new(outcome.clone()));
        }
        if now < self.under_way.due {
            return Next::Wait(self.under_way.due);
        }
        if self.under_way.is_acknowledged {
            let words = format!(
                "the request was acknowledged, no answer came within {}",
                crate::words::duration(self.limits.read_timeout)
            );
            self.fail(TransportErrorKind::Timeout, words);
        } else if self.under_way.repetitions == self.config.max_retransmit {
            let words = format!("no answer to a message that was sent {} times", self.under_way.repetitions + 1);
            self.fail(TransportErrorKind::Timeout, words);
        } else {
            self.under_way.repetitions += 1;
            self.under_way.timeout *= 2;
            self.under_way.due = now + self.under_way.timeout;
            return Next::Send(self.under_way.datagram.clone());
        }
        self.next(now)
    }

    /// Takes a datagram from the server.
    pub fn receive(&mut self, now: Duration, datagram: &[u8]) {
        let Some(message) = Message::parse(datagram) else { return };
        let is_response = message.code.is_response() && message.token == self.under_way.token && self.outcome.is_none();
        match message.kind {
            Type::Acknowledgement if message.id == self.under_way.id && !self.under_way.is_acknowledged => {
                if message.code == Code::EMPTY {
                    // RFC 7252 section 5.2.2: the response comes separately.
                    self.under_way.is_acknowledged = true;
                    self.under_way.due = now + self.limits.read_timeout;
                } else if is_response {
                    self.respond(now, message);
                }
            }
            Type::Reset if message.id == self.under_way.id && self.outcome.is_none() => {
                self.fail(TransportErrorKind::Broken, "the server rejects the message (Reset)".to_owned());
            }
            Type::Confirmable if is_response => {
                self.outgoing.push_back(Message::empty(Type::Acknowledgement, message.id).encode());
                if self.acknowledged_ids.len() == MAX_REMEMBERED {
                    self.acknowledged_ids.pop_front();
                }
                self.acknowledged_ids.push_back(message.id);
                self.respond(now, message);
            }
            Type::Confirmable => {
                // Our acknowledgement was lost, or the message is not for us (RFC 7252 section 4.2).
                let known = self.acknowledged_ids.contains(&message.id);
                let kind = if known { Type::Acknowledgement } else { Type::Reset };
                if self.outgoing.len() < MAX_REMEMBERED {
                    self.outgoing.push_back(Message::empty(kind, message.id).encode());
                }
            }
            Type::NonConfirmable if is_response => self.respond(now, message),
            _ => {}
        }
    }

    fn respond(&mut self, now: Duration, message: Message) {
        if let Some(option) = message.unknown_critical() {
            return self.fail(
                TransportErrorKind::Broken,
                format!("the answer has the critical option {option}, not known here"),
            );
        }
        let (Ok(block1), Ok(block2)) = (Block::of(&message, number::BLOCK1), Block::of(&message, number::BLOCK2))
        else {
            return self.fail(TransportErrorKind::Broken, "the answer has a block option that cannot be".to_owned());
        };
        let is_sending = self.entity.is_none();
        match message.code {
            Code::CONTINUE if is_sending && self.to < self.request.len() => self.continue_request(now, block1),
            Code::REQUEST_ENTITY_INCOMPLETE if is_sending && self.in_blocks && !self.has_restarted => {
                self.has_restarted = true;
                self.restart(now);
            }
            Code::REQUEST_ENTITY_TOO_LARGE if is_sending && self.may_shrink(block1) => self.restart(now),
            code if code.class() == 2 && (code == Code::CONTINUE || (is_sending && self.to < self.request.len())) => {
                let words = format!("{code} answers {} of {} bytes of the request", self.to, self.request.len());
                self.fail(TransportErrorKind::Broken, words);
            }
            _ => self.collect(now, message, block2),
        }
    }

    /// 2.31: the next block, perhaps of a smaller size (RFC 7959 section 2.5).
    fn continue_request(&mut self, now: Duration, acknowledged: Option<Block>) {
        let sent = self.from >> (self.exponent + 4);
        match acknowledged {
            Some(block) if block.number as usize == sent => {
                self.exponent = self.exponent.min(block.exponent);
                self.from = self.to;
                self.send_block(now);
            }
            _ => self.fail(TransportErrorKind::Broken, format!("block {sent} was sent, another one acknowledged")),
        }
    }

    /// 4.13: a hint to use blocks, or smaller ones (RFC 7959 section 2.9.3).
    fn may_shrink(&mut self, hint: Option<Block>) -> bool {
        let wanted = match (hint, self.in_blocks) {
            (Some(block), true) if block.exponent < self.exponent => block.exponent,
            (Some(block), false) => block.exponent.min(self.exponent),
            _ => return false,
        };
        if self.request.len() <= 16 << wanted {
            return false;
        }
        (self.exponent, self.in_blocks) = (wanted, true);
        true
    }

    fn restart(&mut self, now: Duration) {
        (self.from, self.to) = (0, 0);
        self.send_block(now);
    }

    fn send_block(&mut self, now: Duration) {
        let mut options = self.options();
        if self.in_blocks {
            let size = 16 << self.exponent;
            self.to = self.request.len().min(self.from + size);
            let has_more = self.to < self.request.len();
            let block = Block { number: (self.from / size) as u32, has_more, exponent: self.exponent };
            options.push((number::BLOCK1, block.encode()));
            if self.from == 0 {
                options.push((number::SIZE1, uint(self.request.len() as u32)));
            }
        } else {
            self.to = self.request.len();
        }
        // RFC 7959 section 3.3: what size of block is wanted in the answer, if not the largest.
        if self.to == self.request.len() && self.exponent < 6 {
            let block = Block { number: 0, has_more: false, exponent: self.exponent };
            options.push((number::BLOCK2, block.encode()));
        }
        let payload = self.request[self.from..self.to].to_vec();
        self.send(now, options, payload);
    }

    fn options(&self) -> Vec<(u16, Vec<u8>)> {
        let mut options = self.uri.clone();
        options.push((number::CONTENT_FORMAT, uint(PKIXCMP)));
        options
    }

    fn send(&mut self, now: Duration, options: Vec<(u16, Vec<u8>)>, payload: Vec<u8>) {
        let (id, token) = (self.next_id, self.token.to_be_bytes());
        self.next_id = self.next_id.wrapping_add(1);
        self.token = self.token.wrapping_add(1);
        let message =
            Message { kind: Type::Confirmable, code: Code::POST, id, token: token.to_vec(), options, payload };
        let datagram = message.encode();
        self.outgoing.push_back(datagram.clone());
        let timeout = self.config.ack_timeout;
        self.under_way =
            UnderWay { datagram, id, token, due: now + timeout, timeout, repetitions: 0, is_acknowledged: false };
    }

    /// A block of the answer (RFC 7959 section 2.4).
    fn collect(&mut self, now: Duration, message: Message, block: Option<Block>) {
        let limit = self.limits.max_reply_bytes;
        let entity = Entity {
            code: message.code.status(),
            format: message.number(number::CONTENT_FORMAT),
            etag: message.option(number::ETAG).map(<[u8]>::to_vec),
            exponent: block.map_or(6, |b| b.exponent),
        };
        let announced = message.number(number::SIZE2).unwrap_or(0) as usize;
        if announced > limit || self.answer.len() + message.payload.len() > limit {
            let words = format!("the answer is larger than the limit of {limit} bytes");
            return self.fail(TransportErrorKind::TooLarge, words);
        }
        let fits = match (block, &self.entity) {
            (None, None) => true,
            (None, Some(_)) => false,
            (Some(block), known) => {
                let size_fits = match block.has_more {
                    true => message.payload.len() == block.size(),
                    false => message.payload.len() <= block.size(),
                };
                size_fits && block.offset() == self.answer.len() && known.as_ref().is_none_or(|known| *known == entity)
            }
        };
        if !fits {
            let words = format!("a block of the answer does not fit to the {} bytes before it", self.answer.len());
            return self.fail(TransportErrorKind::Broken, words);
        }
        self.answer.extend_from_slice(&message.payload);
        self.entity = Some(entity);
        match block.filter(|b| b.has_more) {
            Some(block) if block.number == Block::MAX_NUMBER => {
                self.fail(TransportErrorKind::TooLarge, "the answer has more blocks than can be counted".to_owned());
            }
            Some(block) => {
                let next = Block { number: block.number + 1, has_more: false, exponent: block.exponent };
                let mut options = self.options();
                options.push((number::BLOCK2, next.encode()));
                self.send(now, options, Vec::new());
            }
            None => {
                let outcome = self.judge(&message);
                self.outcome = Some(outcome);
            }
        }
    }

    /// Whether the answer holds a CMP message, whatever its code says, as with HTTP (RFC 9482 section 2.3).
    fn judge(&self, last: &Message) -> Result<Reply, TransportError> {
        let format = last.number(number::CONTENT_FORMAT);
        let content_type = format.map(|f| match f {
            PKIXCMP => "application/pkixcmp".to_owned(),
            other => format!("CoAP content-format {other}"),
        });
        let (is_pkixcmp, shape, code) = (format == Some(PKIXCMP), shape_of(&self.answer), last.code);
        let error = |kind, detail: String| TransportError {
            status: Some(code.status()),
            content_type: content_type.clone(),
            // RFC 7252 section 5.9.3.4: Max-Age of a 5.03 is when to come back.
            retry_after_seconds: match code {
                Code::SERVICE_UNAVAILABLE | Code::TOO_MANY_REQUESTS => last.number(number::MAX_AGE),
                _ => None,
            },
            ..TransportError::new(kind, Phase::Body, detail)
        };
        if code.class() != 2 && shape != Shape::Sequence {
            let kind = match code {
                Code::SERVICE_UNAVAILABLE | Code::TOO_MANY_REQUESTS => TransportErrorKind::Busy,
                _ => TransportErrorKind::HttpStatus,
            };
            // RFC 7252 section 5.5.2: a diagnostic text, for people; nobody vouches for it.
            let text: String =
                String::from_utf8_lossy(&self.answer).chars().filter(|c| !c.is_control()).take(256).collect();
            return Err(error(kind, format!("expected a CMP message, found CoAP {code} \"{text}\"")));
        }
        match shape {
            _ if self.answer.is_empty() => {
                Err(error(TransportErrorKind::Broken, format!("expected a CMP message, found an empty CoAP {code}")))
            }
            Shape::CutShort { expected_len } => {
                let words = format!("the answer ends after {} of {expected_len} bytes", self.answer.len());
                Err(error(TransportErrorKind::Broken, words))
            }
            Shape::Other if !is_pkixcmp => {
                let words = "expected application/pkixcmp, found something else".to_owned();
                Err(error(TransportErrorKind::ContentType, words))
            }
            Shape::Sequence if !is_pkixcmp && self.config.strict_content_type => {
                Err(error(TransportErrorKind::ContentType, "expected the content-format 259".to_owned()))
            }
            Shape::Sequence | Shape::Other => Ok(Reply {
                body: self.answer.clone(),
                status: Some(code.status()),
                content_type_is_unusual: !is_pkixcmp,
                content_type,
                ..Reply::default()
            }),
        }
    }

    fn fail(&mut self, kind: TransportErrorKind, words: String) {
        let error = TransportError::new(kind, self.phase(), words);
        let is_possibly_delivered = self.is_possibly_delivered();
        self.outcome = Some(Err(TransportError { is_possibly_delivered, ..error }));
    }
}

/// RFC 7252 section 6.4.
fn uri_options(url: &Url) -> Result<Vec<(u16, Vec<u8>)>, TransportError> {
    let mut options = Vec::new();
    if url.host().parse::<std::net::IpAddr>().is_err() {
        options.push((number::URI_HOST, url.host().as_bytes().to_vec()));
    }
    let (path, query) = match url.target().split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (url.target(), None),
    };
    if path != "/" {
        for segment in path.strip_prefix('/').unwrap_or(path).split('/') {
            options.push((number::URI_PATH, decoded(segment)?));
        }
    }
    for argument in query.into_iter().flat_map(|q| q.split('&')) {
        options.push((number::URI_QUERY, decoded(argument)?));
    }
    // RFC 7252 section 5.10: 255 bytes each.
    match options.iter().find(|(_, value)| value.len() > 255) {
        Some(_) => Err(invalid(format!("{url}: a part of the path or query has more than 255 bytes"))),
        None => Ok(options),
    }
}

fn decoded(text: &str) -> Result<Vec<u8>, TransportError> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
        match (digit(bytes.next()), digit(bytes.next())) {
            (Some(high), Some(low)) => out.push((high << 4 | low) as u8),
            _ => return Err(invalid(format!("{text}: % without two hexadecimal digits"))),
        }
    }
    Ok(out)
}

fn invalid(detail: String) -> TransportError {
    TransportError::new(TransportErrorKind::Invalid, Phase::Prepare, detail)
}
