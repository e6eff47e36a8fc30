//! One TLS session over one TCP connection, with our deadlines and our words for its failures.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, CertificateError, ClientConfig, ClientConnection, OtherError, ProtocolVersion};

use super::offered::{offered, provider, versions};
use super::sign::{Answer, certified};
use super::verify::Verifier;
use super::{TlsConfig, TlsVersion};
use crate::crypto::CryptoError;
use crate::error::{Error, Refused};
use crate::transport::error::{Cause, Phase, TransportError, TransportErrorKind};

/// Makes the sessions of one HTTP client.
pub(in crate::transport) struct TlsClient {
    config: ClientConfig,
    least: TlsVersion,
    certified: Option<Arc<CertifiedKey>>,
    server_name: Option<String>,
}

impl TlsClient {
    pub(in crate::transport) fn new(config: &Arc<TlsConfig>) -> Result<Self, TransportError> {
        if config.anchors.is_empty() {
            let words = "https needs TLS anchors: nothing could say who the server is";
            return Err(TransportError::new(TransportErrorKind::Invalid, Phase::Prepare, words));
        }
        let mut made = ClientConfig::builder_with_provider(Arc::new(provider()))
            .with_protocol_versions(&versions(config.min_version))
            .map_err(|e| TransportError::new(TransportErrorKind::Tls, Phase::Prepare, e.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier(config.clone())))
            .with_no_client_auth();
        // A resumed session would not look at the server's certificate again, nor show ours.
        made.resumption = Resumption::disabled();
        Ok(TlsClient {
            config: made,
            least: config.min_version,
            certified: config.credential.as_ref().map(certified),
            server_name: config.server_name.clone(),
        })
    }

    /// Performs the handshake with `host`, or with the name of the settings.
    pub(in crate::transport) fn connect(
        &self,
        host: &str,
        stream: &TcpStream,
        deadline: Option<Instant>,
    ) -> io::Result<Session> {
        let mut session = self.begin(host).map_err(failed)?;
        session.handshake(stream, deadline)?;
        Ok(session)
    }

    /// A session whose handshake is to come, by [`Session::output`] and [`Session::take`].
    pub(in crate::transport) fn begin(&self, host: &str) -> Result<Session, TransportError> {
        let host = self.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            let words = format!("{} is not a name that a server can have in TLS", crate::words::quoted(host));
            TransportError::new(TransportErrorKind::Invalid, Phase::Tls, words)
        })?;
        let answer = Answer::new(self.certified.clone());
        let mut config = self.config.clone();
        config.client_auth_cert_resolver = answer.clone();
        let made = ClientConnection::new(Arc::new(config), name);
        let terms = Terms { least: self.least, has_ended_12: false };
        let connection = made.map_err(|e| told(e, &answer, terms, Phase::Tls))?;
        Ok(Session { connection, answer, least: self.least })
    }
}

/// A session with a server, which is known once the handshake is over.
pub(in crate::transport) struct Session {
    connection: ClientConnection,
    answer: Arc<Answer>,
    least: TlsVersion,
}

/// What tells a failure's words besides the failure.
#[derive(Clone, Copy)]
struct Terms {
    /// The lowest version that is offered.
    least: TlsVersion,
    /// A handshake of TLS 1.2 is over.
    has_ended_12: bool,
}

impl Session {
    fn handshake(&mut self, stream: &TcpStream, deadline: Option<Instant>) -> io::Result<()> {
        let mut stream_ref = stream;
        while self.connection.is_handshaking() || self.connection.wants_write() {
            if let Some(deadline) = deadline {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                stream.set_read_timeout(Some(left))?;
                stream.set_write_timeout(Some(left))?;
            }
            let moved = match self.connection.wants_write() {
                true => self.connection.write_tls(&mut stream_ref).map(|_| true),
                false => self.connection.read_tls(&mut stream_ref).map(|count| count > 0),
            };
            match moved {
                Ok(true) => {}
                Ok(false) => {
                    let words = "the server closed the connection during the TLS handshake";
                    return Err(failed(TransportError::new(TransportErrorKind::Tls, Phase::Tls, words)));
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            }
            if let Err(error) = self.connection.process_new_packets() {
                // The server is told why, as far as it listens.
                let _ = self.connection.write_tls(&mut stream_ref);
                return Err(failed(self.told(error, Phase::Tls)));
            }
        }
        Ok(())
    }

    /// What is to be sent, in records; without a stream.
    pub(in crate::transport) fn output(&mut self) -> Vec<u8> {
        let mut records = Vec::new();
        while self.connection.wants_write() && self.connection.write_tls(&mut records).is_ok() {}
        records
    }

    /// Takes text to be sent: kept until the handshake is over.
    pub(in crate::transport) fn put(&mut self, text: &[u8]) -> Result<(), TransportError> {
        // The request is one's own, and as long as it is.
        self.connection.set_buffer_limit(None);
        let written = self.connection.writer().write_all(text);
        written.map_err(|e| TransportError::new(TransportErrorKind::Tls, Phase::Send, e.to_string()))
    }

    /// Takes records that came; the text in them.
    pub(in crate::transport) fn take(&mut self, mut records: &[u8]) -> Result<Vec<u8>, TransportError> {
        let mut text = Vec::new();
        while !records.is_empty() {
            let phase = if self.is_handshaking() { Phase::Tls } else { Phase::Await };
            let broken = |e: io::Error| TransportError::new(TransportErrorKind::Tls, phase, e.to_string());
            // Behind the server's own end nothing is read.
            if self.connection.read_tls(&mut records).map_err(broken)? == 0 {
                break;
            }
            let state = self.connection.process_new_packets();
            let state = state.map_err(|error| self.told(error, phase))?;
            let count = state.plaintext_bytes_to_read();
            let begin = text.len();
            text.resize(begin + count, 0);
            self.connection.reader().read_exact(&mut text[begin..]).map_err(broken)?;
        }
        Ok(text)
    }

    /// Whether it is not known yet who the server is.
    pub(in crate::transport) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Reads what the server sends; 0 at the proper end of the session.
    pub(in crate::transport) fn read(&mut self, mut stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        let outcome = rustls::Stream::new(&mut self.connection, &mut stream).read(buffer);
        outcome.map_err(|e| self.translate(e))
    }

    pub(in crate::transport) fn write_all(&mut self, mut stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
        let mut tls = rustls::Stream::new(&mut self.connection, &mut stream);
        let outcome = tls.write_all(bytes).and_then(|()| tls.flush());
        outcome.map_err(|e| self.translate(e))
    }

    /// Whether the kept connection is still there and the server has said nothing that matters. `stream` does not block.
    pub(in crate::transport) fn is_silent(&mut self, mut stream: &TcpStream) -> bool {
        loop {
            match self.connection.read_tls(&mut stream) {
                Ok(0) => return false,
                // Session tickets and the like come at any time.
                Ok(_) => match self.connection.process_new_packets() {
                    Ok(state) if state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed() => {}
                    _ => return false,
                },
                Err(e) => return e.kind() == io::ErrorKind::WouldBlock,
            }
        }
    }

    /// Says goodbye, if that can be done without waiting.
    pub(in crate::transport) fn close(&mut self, mut stream: &TcpStream) {
        self.connection.send_close_notify();
        if stream.set_write_timeout(Some(Duration::from_millis(100))).is_ok() {
            let _ = self.connection.write_tls(&mut stream);
        }
    }

    /// Whether the server asked for the client's certificate and got it.
    pub(in crate::transport) fn is_mutual(&self) -> bool {
        self.answer.was_given.load(Ordering::Relaxed)
    }

    fn translate(&self, error: io::Error) -> io::Error {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(inner) => failed(self.told(inner.clone(), Phase::Await)),
            None => error,
        }
    }

    fn told(&self, error: rustls::Error, phase: Phase) -> TransportError {
        let is_12 = self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_2);
        let terms = Terms { least: self.least, has_ended_12: is_12 && !self.connection.is_handshaking() };
        told(error, &self.answer, terms, phase)
    }
}

/// What a server that demands a second handshake hears and says: this client makes none (RFC 5246 section 7.2.2, no_renegotiation).
const NO_RENEGOTIATION: &str = "the handshake was over, and a server says so where it demands a second one (renegotiation, RFC 5246 section \
                                7.4.1.1), such as for a client certificate that it wants for some paths alone; this client does not renegotiate: \
                                the server has to ask in the first handshake";

fn failed(error: TransportError) -> io::Error {
    io::Error::other(error)
}

/// What went wrong, in words that name it: certificate expired, name not carried, client certificate refused.
fn told(error: rustls::Error, answer: &Answer, terms: Terms, phase: Phase) -> TransportError {
    let mut made = TransportError::new(TransportErrorKind::Tls, phase, String::new());
    made.detail = match &error {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(reason))) => {
            let reason_of = reason.downcast_ref::<Error>();
            made.is_about_time = reason_of.is_some_and(|reason| reason.facts().is_about_time);
            made.cause = reason_of.map(|reason| match reason.facts().refused {
                Some(Refused::Pin) => Cause::ServerNotPinned,
                _ => Cause::ServerCertificate(reason.code()),
            });
            format!("the server's certificate is refused: {reason}")
        }
        rustls::Error::Other(OtherError(reason)) => {
            if let Some(CryptoError::External(code @ i32::MIN..=-10_000, _)) = reason.downcast_ref::<CryptoError>() {
                made.kind = TransportErrorKind::Application(*code);
            }
            format!("the client certificate's key: {reason}")
        }
        rustls::Error::AlertReceived(alert) => {
            let (words, cause) = describe_alert(*alert, answer, terms);
            // Nothing of a request is looked at before the client's certificate is taken.
            made.is_possibly_delivered &= cause.is_none();
            // RFC 8446 section 6: these two say that it is no matter of what the client has sent.
            let is_passing = matches!(alert, AlertDescription::InternalError | AlertDescription::UserCanceled);
            made.cause = cause.or((!is_passing).then_some(Cause::TlsRefused));
            words
        }
        rustls::Error::InvalidMessage(_) => {
            made.cause = Some(Cause::NotTls);
            "the server does not speak TLS here: what came is no TLS record".to_owned()
        }
        rustls::Error::PeerIncompatible(_) => {
            made.cause = Some(Cause::TlsRefused);
            format!("the TLS handshake failed: {error}; {}", offered(terms.least))
        }
        other => {
            made.cause = Some(Cause::TlsRefused);
            format!("the TLS handshake or record layer failed: {other}")
        }
    };
    made
}

/// RFC 8446 section 6.2. With a cause, it is the client's certificate that the server does not like.
fn describe_alert(alert: AlertDescription, answer: &Answer, terms: Terms) -> (String, Option<Cause>) {
    use AlertDescription as A;
    let was_asked = answer.was_asked.load(Ordering::Relaxed);
    let was_given = answer.was_given.load(Ordering::Relaxed);
    let about_certificates = matches!(
        alert,
        A::NoCertificate
            | A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::UnknownCA
            | A::AccessDenied
            | A::CertificateRequired
            | A::DecryptError
    );
    // TLS 1.2 knows no alert of its own for a certificate that is missing.
    let about_missing = about_certificates || alert == A::HandshakeFailure;
    let name = crate::words::spaced(&alert);
    match (was_asked, was_given) {
        _ if alert == A::HandshakeFailure && terms.has_ended_12 => {
            (format!("the server ended the TLS session: alert \"{name}\"; {NO_RENEGOTIATION}"), None)
        }
        (true, true) if about_certificates => {
            let words = format!("the server refuses the client certificate: alert \"{name}\"");
            (words, Some(Cause::ClientCertificateRefused))
        }
        (true, false) if about_missing && answer.certified.is_some() => {
            let words = "the server asks for a client certificate by algorithms that its key does not have";
            (format!("{words}: alert \"{name}\""), Some(Cause::ClientCertificateUnfit))
        }
        (true, false) if about_missing => {
            let words = format!("the server demands a client certificate, and none is set: alert \"{name}\"");
            (words, Some(Cause::ClientCertificateMissing))
        }
        _ if matches!(alert, A::HandshakeFailure | A::ProtocolVersion | A::InsufficientSecurity) => {
            let offered = offered(terms.least);
            (format!("the server ended the TLS session: alert \"{name}\"; {offered}"), None)
        }
        _ => (format!("the server ended the TLS session: alert \"{name}\""), None),
    }
}
