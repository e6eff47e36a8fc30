//! How a client's settings take what settings say, where a row has no place for it.

use super::Clock;
use crate::client::Config;
use crate::cmp::Tolerance;
use crate::error::Error;
use crate::transport::tls::{Pin, TlsVersion};
use crate::transport::{Scheme, Url};
use crate::validation::PeerName;

fn wrong(words: impl Into<String>) -> Error {
    Error::new(crate::codes::Code::InvalidArgument, words)
}

pub(super) fn server(config: &mut Config, url: &str) -> Result<(), Error> {
    config.server.url = Some(url.to_owned());
    let scheme = Url::parse(url)?.scheme();
    let is_built_in = match scheme {
        Scheme::Http | Scheme::Https => cfg!(feature = "http"),
        Scheme::Coap => cfg!(feature = "coap"),
    };
    match is_built_in {
        true => Ok(()),
        false => Err(wrong(format!("this build has no client for {}", scheme.name()))),
    }
}

/// Whatever the window is, without a clock there is none.
pub(super) fn clock(config: &mut Config, clock: Clock) {
    if clock == Clock::None {
        config.message_time_window_seconds = None;
    }
}

/// A deviation of the server by its name, with hyphens or underscores.
pub(super) fn deviation(config: &mut Config, name: &str, is_taken: bool) -> Result<(), Error> {
    let name = name.replace('-', "_");
    config.tolerance.set(&name, is_taken).map_err(|_| {
        // With the nearest name, and where all of them are.
        let names = Tolerance::TABLE.iter().map(|(known, ..)| *known);
        let near = names.clone().map(|known| (crate::words::distance(known, &name), known)).min();
        let near = near.filter(|(distance, _)| *distance <= name.len() / 3 + 1);
        let near = near.map(|(_, known)| format!("; did you mean {known}?")).unwrap_or_default();
        let all = names.collect::<Vec<_>>().join(", ");
        wrong(format!("there is no deviation named {}{near} There are {all}", crate::words::quoted(&name)))
    })
}

/// RFC 9045 section 4.3 and RFC 4211 section 4.4.
pub(in crate::client::device) const LEAST_ITERATIONS: u32 = 100;

pub(super) fn http_version(config: &mut Config, name: &str) -> Result<(), Error> {
    config.server.use_http_1_0 = match name {
        "1.1" => false,
        "1.0" => true,
        other => return Err(wrong(format!("\"{other}\" is none; 1.1 and 1.0 are"))),
    };
    Ok(())
}

/// RFC 7959 section 2.2: SZX.
pub(super) const COAP_BLOCKS: [u32; 7] = [16, 32, 64, 128, 256, 512, 1024];

pub(super) fn tls_name(config: &mut Config, name: &str) -> Result<(), Error> {
    let judged = PeerName::host(name).may_be_asked_for();
    judged.map_err(|why| wrong(format!("{}: {why}", crate::words::quoted(name))).with_source(why))?;
    config.tls.server_name = Some(name.to_owned());
    Ok(())
}

pub(super) fn tls_version(config: &mut Config, name: &str) -> Result<(), Error> {
    config.tls.min_version = match name {
        "1.2" => TlsVersion::Tls12,
        "1.3" => TlsVersion::Tls13,
        other => return Err(wrong(format!("\"{other}\" is none; 1.2 and 1.3 are"))),
    };
    Ok(())
}

pub(in crate::client::device) fn octets(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::try_from(digit(pair[0])? * 16 + digit(*pair.get(1)?)?).ok()).collect()
}

/// `sha256:` and the digest of a certificate, or `spki:` and that of its public key.
pub(super) fn pin_of(text: &str) -> Result<Pin, Error> {
    let other = || wrong(format!("\"{text}\": sha256:HEX of a certificate or spki:HEX of its key is expected"));
    let (kind, digits) = text.split_once(':').ok_or_else(other)?;
    let digest =
        octets(&digits.replace(':', "")).and_then(|octets| <[u8; 32]>::try_from(octets).ok()).ok_or_else(other)?;
    match kind {
        "sha256" => Ok(Pin::Certificate(digest)),
        "spki" => Ok(Pin::PublicKey(digest)),
        _ => Err(other()),
    }
}
