//! Certificates from an HTTP certificate store (RFC 4387): found by what they hold, and no more believed for it.

use base64ct::{Base64Unpadded, Encoding};
use memchr::memmem;

use super::requests::Requests;
use super::{StatusFetcher, Wanted};
use crate::asn1::der::{element, sequence};
use crate::asn1::pem;
use crate::asn1::x509::Certificate;
use crate::client::certificates::certificates_from_bytes;
use crate::codes::Code;
use crate::crypto::{DigestAlgorithm, Provider};
use crate::error::Error;
use crate::transport::{Fetch, FetchRequest, Fetched};

/// Most certificates taken from one answer.
const MAX_CERTIFICATES: usize = 16;

/// What certificates are looked for by (RFC 4387 section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateQuery<'a> {
    /// `uri`: host name, address or mailbox, without a scheme.
    Uri(&'a str),
    /// `name`: the subject's common name.
    CommonName(&'a str),
    /// `certHash`: the certificate, DER.
    Certificate(&'a [u8]),
    /// `iHash`: the issuer's Name, DER.
    Issuer(&'a [u8]),
    /// `iAndSHash`: the issuer's Name, DER, and the content of the serial number.
    IssuerAndSerial(&'a [u8], &'a [u8]),
    /// `sHash`: the subject's Name, DER.
    Subject(&'a [u8]),
    /// `sKIDHash`: the content of the subject key identifier.
    KeyIdentifier(&'a [u8]),
}

impl CertificateQuery<'_> {
    /// The URL of the question at a store (RFC 4387 sections 2 and 2.1).
    pub fn url(&self, provider: &dyn Provider, store_url: &str) -> Result<String, Error> {
        // Section 2.1: SHA-1, base64, without the padding. It finds certificates and proves nothing.
        let hash = |bytes: &[u8]| -> Result<String, Error> {
            Ok(Base64Unpadded::encode_string(&provider.digest(DigestAlgorithm::Sha1, &[bytes])?))
        };
        let (attribute, value) = match *self {
            CertificateQuery::Uri(text) => ("uri", text.to_owned()),
            CertificateQuery::CommonName(text) => ("name", text.to_owned()),
            CertificateQuery::Certificate(der) => ("certHash", hash(der)?),
            CertificateQuery::Issuer(name) => ("iHash", hash(name)?),
            CertificateQuery::IssuerAndSerial(issuer, serial) => {
                ("iAndSHash", hash(&sequence(&[issuer, &element(0x02, &[serial])]))?)
            }
            CertificateQuery::Subject(name) => ("sHash", hash(name)?),
            CertificateQuery::KeyIdentifier(id) => ("sKIDHash", hash(id)?),
        };
        let joint = if store_url.contains('?') { '&' } else { '?' };
        let mut url = format!("{store_url}{joint}{attribute}=");
        for byte in value.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => url.push(char::from(byte)),
                other => url.push_str(&format!("%{other:02X}")),
            }
        }
        Ok(url)
    }
}

/// The certificates in a store's answer: one, a bundle in any form, or several as multipart/mixed (section 2).
pub(super) fn certificates_in(answer: &[u8]) -> Result<Vec<Certificate>, Error> {
    let mut found: Vec<Certificate> = Vec::new();
    let parts = if pem::is_pem(answer) { None } else { parts_of(answer) };
    for part in parts.unwrap_or_else(|| vec![answer]) {
        for certificate in certificates_from_bytes(part)? {
            if found.len() == MAX_CERTIFICATES {
                let text = format!("more than {MAX_CERTIFICATES} certificates in one answer");
                return Err(Error::new(Code::Limit, text));
            }
            if !found.contains(&certificate) {
                found.push(certificate);
            }
        }
    }
    Ok(found)
}

/// The bodies of a multipart document (RFC 2046 section 5.1.1): the first line that begins with two dashes is the boundary.
/// `None` if it is no such document.
fn parts_of(document: &[u8]) -> Option<Vec<&[u8]>> {
    let start = document.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let line_end = start + document[start..].iter().take(74).position(|byte| *byte == b'\n')?;
    let boundary = document[start..line_end].trim_ascii_end();
    if boundary.len() < 3 || !boundary.starts_with(b"--") {
        return None;
    }
    let mut rest = &document[line_end + 1..];
    let mut parts = Vec::new();
    while parts.len() < MAX_CERTIFICATES {
        let Some(end) = memmem::find(rest, boundary) else { break };
        let part = rest[..end].strip_suffix(b"\n").map_or(&rest[..end], |p| p.strip_suffix(b"\r").unwrap_or(p));
        let body =
            ["\r\n\r\n", "\n\n"].iter().find_map(|gap| memmem::find(part, gap.as_bytes()).map(|at| at + gap.len()));
        // Headers may be absent: then the part begins with the empty line.
        let body =
            body.or_else(|| part.starts_with(b"\r\n").then_some(2)).or_else(|| part.starts_with(b"\n").then_some(1));
        parts.push(&part[body?..]);
        rest = &rest[end + boundary.len()..];
        if rest.starts_with(b"--") {
            break;
        }
        rest = &rest[rest.iter().position(|byte| *byte == b'\n')? + 1..];
    }
    Some(parts)
}

impl StatusFetcher {
    /// Looks certificates up in an HTTP certificate store (RFC 4387). They are as unproven as those that a peer sends.
    pub fn look_up(
        &mut self,
        store_url: &str,
        query: &CertificateQuery<'_>,
        fetch: &mut dyn Fetch,
    ) -> Result<Vec<Certificate>, Error> {
        let url = query.url(&*self.provider, store_url)?;
        let options = self.options.clone();
        let mut requests = Requests::new(fetch, &options, &mut self.silent);
        match requests.perform(Wanted::Issuer, &url, &FetchRequest::get(&url))? {
            Fetched::Document(document) => certificates_in(&document.bytes),
            Fetched::NotModified => Err(Error::new(Code::Transport, "304 to a question without a copy")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::default_provider;

    #[test]
    fn questions_are_those_of_the_standard() {
        let provider = default_provider();
        let url = |query: CertificateQuery<'_>| query.url(&*provider, "http://store.example/search.cgi").unwrap();
        assert_eq!(url(CertificateQuery::Uri("a@b.example")), "http://store.example/search.cgi?uri=a%40b.example");
        assert_eq!(url(CertificateQuery::CommonName("Peer 1&x")), "http://store.example/search.cgi?name=Peer%201%26x");
        // SHA-1 of nothing, base64 without padding: 27 characters, '+' and '/' as escapes.
        assert_eq!(
            url(CertificateQuery::Subject(b"")),
            "http://store.example/search.cgi?sHash=2jmj7l5rSw0yVb%2FvlWAYkK%2FYBwk"
        );
        let with_query = CertificateQuery::Uri("x").url(&*provider, "http://store.example/?db=1").unwrap();
        assert_eq!(with_query, "http://store.example/?db=1&uri=x");
    }

    #[test]
    fn parts_are_taken_apart_and_other_documents_left_whole() {
        let document = b"--b1\r\nContent-Type: application/pkix-cert\r\n\r\nfirst\r\n--b1\r\n\r\nsecond\r\n--b1--\r\n";
        assert_eq!(parts_of(document).unwrap(), [&b"first"[..], b"second"]);
        assert_eq!(parts_of(b"\x30\x82\x01\x00--"), None);
        assert_eq!(parts_of(b"--"), None);
        assert_eq!(parts_of(b"--b\r\nno end of headers\r\n--b--"), None);
        assert_eq!(parts_of(b"--b\r\nnever closed").unwrap(), Vec::<&[u8]>::new());
    }
}
