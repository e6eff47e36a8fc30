//! The request of a search and the messages that answer it (RFC 4511 sections 4.2 to 4.5).

use super::super::error::{Phase, TransportError, TransportErrorKind};
use super::super::words::words_of;
use super::url::LdapUrl;
use crate::asn1::der::element;
use crate::words::quoted;

/// Most values of an attribute that are taken.
const MAX_VALUES: usize = 16;
/// Most other attributes that are told.
const MAX_TOLD: usize = 4;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const ENUMERATED: u8 = 0x0a;
const SEARCH_REQUEST: u8 = 0x63;
const ENTRY: u8 = 0x64;
const DONE: u8 = 0x65;
const REFERENCE: u8 = 0x73;
const INTERMEDIATE: u8 = 0x79;
const EXTENDED: u8 = 0x78;
const REFERRAL: u8 = 0xa3;

/// UnbindRequest (section 4.3).
pub(super) const UNBIND: [u8; 7] = [SEQUENCE, 5, INTEGER, 1, 2, 0x42, 0];

/// SearchRequest (section 4.5.1) for one attribute, in at most so many seconds of the server's time.
pub(super) fn search(url: &LdapUrl, seconds: u64) -> Vec<u8> {
    let small = |tag: u8, number: u8| element(tag, &[&[number]]);
    let seconds = u8::try_from(seconds).unwrap_or(i8::MAX as u8).min(i8::MAX as u8);
    // RFC 4523 section 2: asked for with ";binary". Servers that do not know the option have it without.
    let both = |name: &str| {
        [element(OCTET_STRING, &[name.as_bytes(), b";binary"]), element(OCTET_STRING, &[name.as_bytes()])].concat()
    };
    let attributes: Vec<u8> = url.attributes.iter().flat_map(|attribute| both(attribute.name)).collect();
    let request = element(
        SEARCH_REQUEST,
        &[
            &element(OCTET_STRING, &[url.name.as_bytes()]),
            &small(ENUMERATED, url.scope),
            // Aliases are not followed.
            &small(ENUMERATED, 0),
            &small(INTEGER, MAX_VALUES as u8),
            &small(INTEGER, seconds),
            &[0x01, 0x01, 0x00],
            &url.filter,
            &element(SEQUENCE, &[&attributes]),
        ],
    );
    element(SEQUENCE, &[&small(INTEGER, 1), &request])
}

/// One message of the answer.
pub(super) enum Message<'a> {
    /// The content of a SearchResultEntry.
    Entry(Entry<'a>),
    /// A SearchResultReference: its first URL.
    Reference(Option<String>),
    /// IntermediateResponse (section 4.13), to questions that were not asked.
    Intermediate,
    /// SearchResultDone.
    Done(Outcome),
    /// The server is about to close the connection (section 4.4.1).
    Notice(Outcome),
}

/// LDAPResult (section 4.1.9).
pub(super) struct Outcome {
    code: u8,
    words: String,
    referral: Option<String>,
}

pub(super) type Entry<'a> = Vec<(String, Vec<&'a [u8]>)>;

impl<'a> Message<'a> {
    /// `None`: it is none, or answers something else.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut fields = Elements(only(SEQUENCE, bytes)?);
        let id = fields.tagged(INTEGER)?;
        let (tag, content) = fields.next()?;
        match (tag, id) {
            (ENTRY, [1]) => Some(Message::Entry(read_entry(content)?)),
            (REFERENCE, [1]) => Some(Message::Reference(Elements(content).tagged(OCTET_STRING).map(shown))),
            (INTERMEDIATE, [1]) => Some(Message::Intermediate),
            (DONE, [1]) => Some(Message::Done(Outcome::read(content)?)),
            (EXTENDED, [0]) => Some(Message::Notice(Outcome::read(content)?)),
            _ => None,
        }
    }
}

const CONFIDENTIALITY_REQUIRED: u8 = 13;

/// The results of RFC 4511 section 4.1.9, by their names.
fn result_name(code: u8) -> Option<&'static str> {
    Some(match code {
        0 => "success",
        1 => "operationsError",
        2 => "protocolError",
        3 => "timeLimitExceeded",
        4 => "sizeLimitExceeded",
        5 => "compareFalse",
        6 => "compareTrue",
        7 => "authMethodNotSupported",
        8 => "strongerAuthRequired",
        10 => "referral",
        11 => "adminLimitExceeded",
        12 => "unavailableCriticalExtension",
        CONFIDENTIALITY_REQUIRED => "confidentialityRequired",
        14 => "saslBindInProgress",
        16 => "noSuchAttribute",
        17 => "undefinedAttributeType",
        18 => "inappropriateMatching",
        19 => "constraintViolation",
        20 => "attributeOrValueExists",
        21 => "invalidAttributeSyntax",
        32 => "noSuchObject",
        33 => "aliasProblem",
        34 => "invalidDNSyntax",
        36 => "aliasDereferencingProblem",
        48 => "inappropriateAuthentication",
        49 => "invalidCredentials",
        50 => "insufficientAccessRights",
        51 => "busy",
        52 => "unavailable",
        53 => "unwillingToPerform",
        54 => "loopDetect",
        64 => "namingViolation",
        65 => "objectClassViolation",
        66 => "notAllowedOnNonLeaf",
        67 => "notAllowedOnRDN",
        68 => "entryAlreadyExists",
        69 => "objectClassModsProhibited",
        71 => "affectsMultipleDSAs",
        80 => "other",
        _ => return None,
    })
}

impl Outcome {
    /// Whether it wants a name, which is never told to it. Active Directory says so by operationsError and in words.
    fn wants_bind(&self) -> bool {
        match self.code {
            1 => self.words.to_ascii_lowercase().contains("successful bind must be completed"),
            // strongerAuthRequired, inappropriateAuthentication, insufficientAccessRights.
            8 | 48 | 50 => true,
            _ => false,
        }
    }

    fn read(content: &[u8]) -> Option<Self> {
        let mut fields = Elements(content);
        let code = match fields.tagged(ENUMERATED)? {
            [code] => *code,
            _ => return None,
        };
        let (_, words) = (fields.tagged(OCTET_STRING)?, fields.tagged(OCTET_STRING)?);
        let referral = fields.next().filter(|(tag, _)| *tag == REFERRAL);
        let referral = referral.and_then(|(_, urls)| Elements(urls).tagged(OCTET_STRING).map(shown));
        Some(Outcome { code, words: words_of(words).unwrap_or_default(), referral })
    }
}

fn read_entry(content: &[u8]) -> Option<Entry<'_>> {
    let mut fields = Elements(content);
    fields.tagged(OCTET_STRING)?;
    let mut list = Elements(fields.tagged(SEQUENCE)?);
    let mut entry = Vec::new();
    while let Some((tag, attribute)) = list.next() {
        let mut parts = Elements(attribute);
        let description = parts.tagged(OCTET_STRING).filter(|_| tag == SEQUENCE)?;
        let mut values = Elements(parts.tagged(0x31)?);
        let mut found = Vec::new();
        while let Some(value) = values.tagged(OCTET_STRING) {
            found.push(value);
        }
        entry.push((String::from_utf8_lossy(description).into_owned(), found));
    }
    list.0.is_empty().then_some(entry)
}

/// What was found so far.
#[derive(Default)]
pub(super) struct Found {
    /// Lists or certificates, with what they are in PEM.
    pub(super) values: Vec<(&'static str, Vec<u8>)>,
    pub(super) entries: u32,
    /// Attributes that were not asked for, in quotes.
    pub(super) other_attributes: Vec<String>,
    /// Where else the server would have us look.
    pub(super) reference: Option<String>,
    is_cut: bool,
}

impl Found {
    pub(super) fn take(&mut self, entry: &Entry<'_>, url: &LdapUrl) {
        self.entries += 1;
        for (description, values) in entry {
            let Some(asked) = url.attributes.iter().find(|asked| asked.is_described_by(description)) else {
                if self.other_attributes.len() < MAX_TOLD {
                    self.other_attributes.push(quoted(description));
                }
                continue;
            };
            for value in values {
                let parts = if asked.is_pair { certificates_of(value) } else { vec![*value] };
                for part in parts {
                    match self.values.len() < MAX_VALUES {
                        true if self.values.iter().all(|(_, known)| known != part) => {
                            self.values.push((asked.label, part.to_vec()));
                        }
                        true => {}
                        false => self.is_cut = true,
                    }
                }
            }
        }
    }

    /// What the server says at the end decides: a part of the answer is none.
    pub(super) fn ended(self, outcome: &Outcome) -> Result<Self, TransportError> {
        use TransportErrorKind as Kind;
        let elsewhere = outcome.referral.as_ref().filter(|_| outcome.code == 10).or(self.reference.as_ref());
        if let Some(place) = elsewhere.filter(|_| self.values.is_empty()) {
            return Err(limit(format!("the server refers to {}; referrals are not followed", quoted(place))));
        }
        match outcome.code {
            0 if self.is_cut => return Err(limit(format!("more than {MAX_VALUES} values in one answer"))),
            0 => return Ok(self),
            // There are more entries; what was asked for has come.
            4 if !self.values.is_empty() => return Ok(self),
            _ => {}
        }
        let kind = match outcome.code {
            3 => Kind::Timeout,
            4 | 10 | 11 => Kind::Limit,
            51 | 52 => Kind::Busy,
            _ => Kind::Broken,
        };
        let name = result_name(outcome.code).unwrap_or("not known");
        let mut words = format!("the directory answers with result code {} ({name})", outcome.code);
        if outcome.wants_bind() {
            words.push_str(": it is asked anonymously here, and answers only who has bound");
        } else if outcome.code == CONFIDENTIALITY_REQUIRED {
            words.push_str(": it is asked without TLS here");
        }
        Err(told(kind, &words, &outcome.words))
    }
}

/// The server closes the connection and says why.
pub(super) fn disconnected(outcome: &Outcome) -> TransportError {
    let name = result_name(outcome.code).unwrap_or("not known");
    let words = format!("the server closes the connection, with result code {} ({name})", outcome.code);
    told(TransportErrorKind::Broken, &words, &outcome.words)
}

fn told(kind: TransportErrorKind, words: &str, theirs: &str) -> TransportError {
    let server_words = (!theirs.is_empty()).then(|| theirs.to_owned());
    TransportError { server_words, ..TransportError::new(kind, Phase::Body, words) }
}

/// The certificates of a CertificatePair (RFC 4523 section 2.3): `[0]` and `[1]`, explicit.
fn certificates_of(pair: &[u8]) -> Vec<&[u8]> {
    let mut parts = Elements(only(SEQUENCE, pair).unwrap_or_default());
    let mut found = Vec::new();
    while let Some((tag, certificate)) = parts.next() {
        if matches!(tag, 0xa0 | 0xa1) {
            found.push(certificate);
        }
    }
    found
}

fn shown(url: &[u8]) -> String {
    String::from_utf8_lossy(url).into_owned()
}

/// The content of the one element that this is.
fn only(tag: u8, bytes: &[u8]) -> Option<&[u8]> {
    let mut elements = Elements(bytes);
    let content = elements.tagged(tag)?;
    elements.0.is_empty().then_some(content)
}

/// Elements with definite lengths, in as many octets as the server likes (section 5.1): tag octet and content.
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    fn tagged(&mut self, tag: u8) -> Option<&'a [u8]> {
        let before = self.0;
        match self.next() {
            Some((found, content)) if found == tag => Some(content),
            _ => {
                self.0 = before;
                None
            }
        }
    }

    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let [tag, first, rest @ ..] = self.0 else { return None };
        let (length, rest) = match first {
            short @ 0..=0x7f => (usize::from(*short), rest),
            long @ 0x81..=0x84 => {
                let (octets, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
                (octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, content))
    }
}

pub(super) fn limit(words: String) -> TransportError {
    TransportError::new(TransportErrorKind::Limit, Phase::Body, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url() -> LdapUrl {
        LdapUrl::parse("ldap://h/cn=x?certificateRevocationList", None).unwrap()
    }

    /// A message with every length in five octets, as Active Directory writes them.
    fn wide(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        [&[tag, 0x84][..], &(content.len() as u32).to_be_bytes(), &content].concat()
    }

    fn entry(description: &str, values: &[&[u8]], make: fn(u8, &[&[u8]]) -> Vec<u8>) -> Vec<u8> {
        let values: Vec<Vec<u8>> = values.iter().map(|value| make(OCTET_STRING, &[value])).collect();
        let attribute =
            make(SEQUENCE, &[&make(OCTET_STRING, &[description.as_bytes()]), &make(0x31, &[&values.concat()])]);
        let content = make(ENTRY, &[&make(OCTET_STRING, &[b"cn=x"]), &make(SEQUENCE, &[&attribute])]);
        make(SEQUENCE, &[&make(INTEGER, &[&[1]]), &content])
    }

    #[test]
    fn an_entry_is_read_in_every_form_of_length_and_name() {
        for make in [element, wide] {
            for name in ["certificateRevocationList;binary", "CERTIFICATEREVOCATIONLIST", "2.5.4.39;binary"] {
                let bytes = entry(name, &[b"one", b"two", b"one"], make);
                let Some(Message::Entry(entry)) = Message::read(&bytes) else { panic!("{name}") };
                let mut found = Found::default();
                found.take(&entry, &url());
                assert_eq!(found.values, [("X509 CRL", b"one".to_vec()), ("X509 CRL", b"two".to_vec())]);
            }
        }
        let bytes = entry("authorityRevocationList;binary", &[b"one"], element);
        let Some(Message::Entry(entry)) = Message::read(&bytes) else { panic!() };
        let mut found = Found::default();
        found.take(&entry, &url());
        assert!(found.values.is_empty() && found.other_attributes == ["\"authorityRevocationList;binary\""]);
    }

    #[test]
    fn a_pair_of_cross_certificates_is_two_certificates() {
        let url = LdapUrl::parse("ldap://h/cn=x?crossCertificatePair;binary", None).unwrap();
        let pair = element(SEQUENCE, &[&element(0xa0, &[b"forward"]), &element(0xa1, &[b"reverse"])]);
        let bytes = entry("crossCertificatePair;binary", &[&pair, b"junk"], element);
        let Some(Message::Entry(entry)) = Message::read(&bytes) else { panic!() };
        let mut found = Found::default();
        found.take(&entry, &url);
        assert_eq!(found.values, [("CERTIFICATE", b"forward".to_vec()), ("CERTIFICATE", b"reverse".to_vec())]);
    }

    #[test]
    fn bytes_of_any_kind_are_a_message_or_none() {
        let whole = entry("certificateRevocationList;binary", &[b"one", b"two"], element);
        for cut in 0..whole.len() {
            assert!(Message::read(&whole[..cut]).is_none(), "cut at {cut}");
            for bit in 0..8 {
                let mut changed = whole.clone();
                changed[cut] ^= 1 << bit;
                let _ = Message::read(&changed);
            }
        }
        assert!(Message::read(&[&whole[..], &[0]].concat()).is_none());
    }

    #[test]
    fn the_request_names_the_entry_and_the_attribute_in_both_forms() {
        let request = search(&url(), 1_000_000);
        let content = Elements(only(SEQUENCE, &request).unwrap()).0;
        let mut fields = Elements(content);
        assert_eq!(fields.tagged(INTEGER), Some(&[1][..]));
        let mut search = Elements(fields.tagged(SEARCH_REQUEST).unwrap());
        assert_eq!(search.tagged(OCTET_STRING), Some(&b"cn=x"[..]));
        let asked = b"certificateRevocationList";
        assert!(request.windows(32).any(|w| w == b"certificateRevocationList;binary") && request.ends_with(asked));
        assert!(request.windows(3).any(|w| w == [INTEGER, 1, 0x7f]), "the time is bounded");
    }
}
