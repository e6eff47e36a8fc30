//! Datagrams of anybody in answer to a CoAP request: no panic, and only what carries the request's token becomes an answer.
//! The input is a list of datagrams, two bytes of length before each; a first byte of 1 has the token of the request put in.
#![no_main]
use std::io;
use std::time::Duration;

use devid::transport::coap::{CoapConfig, CoapExchange, Datagrams};
use devid::transport::{Exchange, ExchangeLimits};
use libfuzzer_sys::fuzz_target;

struct Answers {
    left: Vec<Vec<u8>>,
    sent: Vec<u8>,
}

impl Datagrams for Answers {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.sent = datagram.to_vec();
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8], _: Duration) -> io::Result<Option<usize>> {
        // Nobody is left: no waiting for repetitions.
        let Some(mut datagram) = self.left.pop() else { return Err(io::ErrorKind::ConnectionRefused.into()) };
        if datagram.first() == Some(&1) && datagram.len() > 12 && self.sent.len() >= 12 {
            datagram.remove(0);
            // Message ID and token of the request: RFC 7252 section 3.
            datagram[0] = datagram[0] & 0x30 | 0x48;
            datagram[2..12].copy_from_slice(&self.sent[2..12]);
        }
        let length = datagram.len().min(buffer.len());
        buffer[..length].copy_from_slice(&datagram[..length]);
        Ok(Some(length))
    }
}

fuzz_target!(|input: &[u8]| {
    let mut left = Vec::new();
    let mut rest = input;
    while let [high, low, behind @ ..] = rest {
        let (one, others) = behind.split_at(usize::from(u16::from_be_bytes([*high, *low])).min(behind.len()));
        left.push(one.to_vec());
        rest = others;
    }
    left.reverse();
    let answers = Answers { left, sent: Vec::new() };
    let Ok(mut exchange) = CoapExchange::over("coap://ca.example/cmp", CoapConfig::default(), Box::new(answers)) else {
        unreachable!("the URL is right")
    };
    let _ = exchange.exchange(&[0x30, 0x00], &ExchangeLimits::default());
});
