//! Whether a certificate carries the name that the caller knows its peer by (RFC 9525).

use core::fmt;
use core::net::IpAddr;

use super::constraints::{describe, is_host, is_local_part, uri_authority};
use crate::asn1::Asn1Error;
use crate::asn1::general_name::{GeneralName, GeneralNames};
use crate::prelude::*;

/// A name the caller knows its peer by: RFC 9525's reference identifier. Only subjectAltName is looked at, never the
/// common name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerName {
    /// A host name in ASCII; international labels in their A-form (`xn--`). Matched without regard to case; a
    /// certificate's `*` stands for one whole leftmost label (RFC 9525 section 6.3).
    Dns(String),
    /// An address (RFC 9525 section 6.4).
    Ip(IpAddr),
    /// A mailbox: the local part must match exactly, the host without regard to case (RFC 5280 section 7.5).
    Email(String),
    /// A URI. With a host and nothing behind it, scheme and host are matched (RFC 9525 section 6.5); else all of it,
    /// scheme and host without regard to case.
    Uri(String),
}

/// Why a name cannot be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameFault {
    /// An address as a host name.
    Address,
    /// A URL as a host name.
    Url,
    /// A host name in other letters than ASCII.
    NotAscii,
    /// No host name.
    NotAHost,
    /// No e-mail address.
    NotAMailbox,
    /// No URI.
    NotAUri,
}

impl core::fmt::Display for NameFault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            NameFault::Address => "the name asked for is an address: ask for it as one",
            NameFault::Url => "the name asked for is a URL: ask for its host, or for it as a URI",
            NameFault::NotAscii => {
                "the name asked for is not a host name in ASCII: write international labels as xn--..."
            }
            NameFault::NotAHost => {
                "the name asked for is not a host name: labels of letters, digits and hyphens, at most 63 each and \
                                253 in all, with single dots between them and no port"
            }
            NameFault::NotAMailbox => {
                "the name asked for is not an e-mail address: name@host, without a display name or mailto:"
            }
            NameFault::NotAUri => "the name asked for is not a URI: a scheme, a colon and what follows",
        })
    }
}

impl core::error::Error for NameFault {}

impl PeerName {
    /// An address where the text is one, else a host name.
    pub fn host(text: &str) -> Self {
        text.parse().map_or_else(|_| PeerName::Dns(text.to_owned()), PeerName::Ip)
    }

    /// Whether the name itself can be asked for; `Err` says why not.
    pub fn may_be_asked_for(&self) -> Result<(), NameFault> {
        match self {
            PeerName::Dns(text) => {
                if text.parse::<IpAddr>().is_ok() {
                    return Err(NameFault::Address);
                }
                if text.contains("://") {
                    return Err(NameFault::Url);
                }
                if !text.is_ascii() {
                    return Err(NameFault::NotAscii);
                }
                if !is_host(reference_host(text)) {
                    return Err(NameFault::NotAHost);
                }
                Ok(())
            }
            PeerName::Ip(_) => Ok(()),
            PeerName::Email(text) => match text.rsplit_once('@') {
                Some((local, host))
                    if is_local_part(local.as_bytes()) && text.is_ascii() && is_host(host.as_bytes()) =>
                {
                    Ok(())
                }
                _ => Err(NameFault::NotAMailbox),
            },
            PeerName::Uri(text) => match text.split_once(':') {
                Some((scheme, rest)) if is_scheme(scheme) && !rest.is_empty() && text.is_ascii() => Ok(()),
                _ => Err(NameFault::NotAUri),
            },
        }
    }

    fn matches(&self, presented: &GeneralName<'_>) -> bool {
        match (self, presented) {
            (PeerName::Dns(text), GeneralName::Dns(pattern)) => matches_host(reference_host(text), pattern),
            (PeerName::Ip(IpAddr::V4(address)), GeneralName::Ip(octets)) => *octets == address.octets(),
            (PeerName::Ip(IpAddr::V6(address)), GeneralName::Ip(octets)) => *octets == address.octets(),
            (PeerName::Email(text), GeneralName::Rfc822(mailbox)) => matches_mailbox(text.as_bytes(), mailbox),
            (PeerName::Uri(text), GeneralName::Uri(uri)) => matches_uri(text.as_bytes(), uri),
            _ => false,
        }
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerName::Dns(text) => write!(f, "DNS name {text}"),
            PeerName::Ip(address) => write!(f, "IP address {address}"),
            PeerName::Email(text) => write!(f, "e-mail address {text}"),
            PeerName::Uri(text) => write!(f, "URI {text}"),
        }
    }
}

/// The first of the names that the certificate does not carry.
pub(super) fn first_missing<'n>(
    names: &'n [PeerName],
    subject_alt_name: Option<&[u8]>,
) -> Result<Option<&'n PeerName>, Asn1Error> {
    let presented = match subject_alt_name {
        Some(der) => GeneralNames::parse(der, "SubjectAltName")?,
        None => return Ok(names.first()),
    };
    for name in names {
        let mut found = false;
        for candidate in presented.clone() {
            if name.matches(&candidate?) {
                found = true;
                break;
            }
        }
        if !found {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// RFC 3986 section 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

/// The names that a certificate carries instead, for people: a few of them, and what is no name for a peer though it looks like
/// one.
pub(super) fn carried(subject: &[u8], subject_alt_name: Option<&[u8]>) -> String {
    const MOST: usize = 5;
    let parsed = subject_alt_name.and_then(|der| GeneralNames::parse(der, "SubjectAltName").ok());
    let names: Vec<String> = parsed.into_iter().flatten().flatten().map(|name| describe(&name)).collect();
    match names.len() {
        0 => format!(
            "it has no alternative names; its subject, {}, is not looked at (RFC 9525)",
            crate::asn1::name::display(subject)
        ),
        count if count > MOST => format!("it carries {} and {} more", names[..MOST].join(", "), count - MOST),
        _ => format!("it carries {}", names.join(", ")),
    }
}

/// An absolute reference name means the same host as the relative one.
fn reference_host(text: &str) -> &[u8] {
    text.strip_suffix('.').unwrap_or(text).as_bytes()
}

/// RFC 9525 section 6.3: the wildcard is the complete leftmost label and stands for exactly one label.
fn matches_host(host: &[u8], pattern: &[u8]) -> bool {
    // A dot at the end says no more than that nothing follows.
    let pattern = pattern.strip_suffix(b".").unwrap_or(pattern);
    let Some(parent) = pattern.strip_prefix(b"*.") else {
        return host.eq_ignore_ascii_case(pattern);
    };
    let Some(dot) = host.iter().position(|b| *b == b'.') else { return false };
    // A wildcard directly under the root or a top-level domain names no one in particular.
    parent.contains(&b'.') && dot > 0 && host[dot + 1..].eq_ignore_ascii_case(parent) && is_host(parent)
}

fn matches_mailbox(reference: &[u8], presented: &[u8]) -> bool {
    let split = |text: &[u8]| text.iter().rposition(|b| *b == b'@');
    match (split(reference), split(presented)) {
        (Some(a), Some(b)) => reference[..a] == presented[..b] && reference[a..].eq_ignore_ascii_case(&presented[b..]),
        _ => false,
    }
}

fn matches_uri(reference: &[u8], presented: &[u8]) -> bool {
    if reference == presented {
        return true;
    }
    let scheme = |uri: &[u8]| uri.iter().position(|b| *b == b':');
    let (Some(a_colon), Some(b_colon)) = (scheme(reference), scheme(presented)) else { return false };
    if !reference[..a_colon].eq_ignore_ascii_case(&presented[..b_colon]) {
        return false;
    }
    match (uri_authority(reference), uri_authority(presented)) {
        (Some(a), Some(b)) => {
            let a_rest = &reference[a_colon + 3 + a.len()..];
            let b_rest = &presented[b_colon + 3 + b.len()..];
            a.eq_ignore_ascii_case(b) && !a.contains(&b'@') && (a_rest.is_empty() || a_rest == b_rest)
        }
        (None, None) => reference[a_colon..] == presented[b_colon..],
        _ => false,
    }
}
