//! What stands in for TLS in a build without it: a client that cannot be made.

use std::convert::Infallible;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use super::TlsConfig;
use crate::transport::error::{Phase, TransportError, TransportErrorKind};

pub(in crate::transport) struct TlsClient(Infallible);

impl TlsClient {
    pub(in crate::transport) fn new(_: &Arc<TlsConfig>) -> Result<Self, TransportError> {
        let words = "https needs the feature `tls`, which this build lacks";
        Err(TransportError::new(TransportErrorKind::Unsupported, Phase::Prepare, words))
    }

    pub(in crate::transport) fn connect(&self, _: &str, _: &TcpStream, _: Option<Instant>) -> io::Result<Session> {
        match self.0 {}
    }

    pub(in crate::transport) fn begin(&self, _: &str) -> Result<Session, TransportError> {
        match self.0 {}
    }
}

pub(in crate::transport) struct Session(Infallible);

impl Session {
    pub(in crate::transport) fn output(&mut self) -> Vec<u8> {
        match self.0 {}
    }

    pub(in crate::transport) fn put(&mut self, _: &[u8]) -> Result<(), TransportError> {
        match self.0 {}
    }

    pub(in crate::transport) fn take(&mut self, _: &[u8]) -> Result<Vec<u8>, TransportError> {
        match self.0 {}
    }

    pub(in crate::transport) fn is_handshaking(&self) -> bool {
        match self.0 {}
    }

    pub(in crate::transport) fn read(&mut self, _: &TcpStream, _: &mut [u8]) -> io::Result<usize> {
        match self.0 {}
    }

    pub(in crate::transport) fn write_all(&mut self, _: &TcpStream, _: &[u8]) -> io::Result<()> {
        match self.0 {}
    }

    pub(in crate::transport) fn is_silent(&mut self, _: &TcpStream) -> bool {
        match self.0 {}
    }

    pub(in crate::transport) fn close(&mut self, _: &TcpStream) {
        match self.0 {}
    }

    pub(in crate::transport) fn is_mutual(&self) -> bool {
        match self.0 {}
    }
}
