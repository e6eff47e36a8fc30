//! Which key in which token: the `pkcs11:` URI (RFC 7512).

use std::fmt;

/// The parts of a `pkcs11:` URI that name a private key. What is absent matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenUri {
    /// `token`: the token's label.
    pub token: Option<String>,
    /// `manufacturer` of the token.
    pub manufacturer: Option<String>,
    /// `serial` number of the token.
    pub serial: Option<String>,
    /// `model` of the token.
    pub model: Option<String>,
    /// `slot-id`: some modules give another one after each start.
    pub slot_id: Option<u64>,
    /// `object`: the key's label.
    pub object: Option<String>,
    /// `id`: the key's CKA_ID.
    pub id: Option<Vec<u8>>,
    /// `module-path`, from the query.
    pub module_path: Option<String>,
}

/// Why a text names no key in a token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UriError {
    /// It does not begin with `pkcs11:`.
    Scheme,
    /// This attribute has no value.
    NoValue(String),
    /// This attribute stands there twice.
    Twice(String),
    /// The value of this attribute is not percent-encoded well.
    Encoding(String),
    /// The value of this attribute is not UTF-8.
    NotUtf8(String),
    /// The value of this attribute is longer than so many bytes, which is what PKCS#11 has room for.
    TooLong(String, usize),
    /// This attribute has a PIN, or says where one is.
    Pin(String),
    /// `slot-id` is not a number.
    SlotId,
    /// This type of object, and not `private`.
    Type(String),
    /// This attribute is not looked at here.
    Unknown(String),
    /// A new key has no name: `object`.
    NoObject,
    /// Neither a module nor `module-path`.
    NoModule,
    /// This URI is of no key that was announced.
    NotAnnounced(String),
}

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UriError::Scheme => f.write_str("a key in a token is named by a URI that begins with pkcs11:"),
            UriError::NoValue(attribute) => {
                write!(f, "{} in the URI is not of the form name=value", crate::words::quoted(attribute))
            }
            UriError::Twice(name) => write!(f, "the URI says {name} twice"),
            UriError::Encoding(name) => write!(f, "the value of {name} in the URI is not well encoded"),
            UriError::NotUtf8(name) => write!(f, "the value of {name} in the URI is not UTF-8"),
            UriError::TooLong(name, most) => write!(f, "{name} in the URI is longer than {most} bytes"),
            UriError::Pin(name) => write!(f, "{name} in the URI: the PIN comes from the program's callback"),
            UriError::SlotId => f.write_str("slot-id in the URI is not a number"),
            UriError::Type(kind) => write!(f, "type {kind} in the URI; a private key is asked for"),
            UriError::Unknown(name) => write!(f, "{name} in the URI is not looked at here"),
            UriError::NoObject => f.write_str("the URI of a new key needs object=..."),
            UriError::NoModule => f.write_str("neither a module nor module-path in the URI"),
            UriError::NotAnnounced(uri) => write!(f, "{uri} is not a key that was announced"),
        }
    }
}

impl std::error::Error for UriError {}

impl TokenUri {
    /// Reads one.
    ///
    /// Refused, in words: what is no URI of this scheme; attributes twice; types other than `private`; attributes that
    /// are not known here, as they would not be looked at; `pin-value` and `pin-source`, as a PIN does not belong into
    /// something that is kept and shown.
    pub fn parse(uri: &str) -> Result<Self, UriError> {
        let rest = match uri.split_at_checked(7) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("pkcs11:") => rest,
            _ => return Err(UriError::Scheme),
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut found = TokenUri::default();
        let mut seen = Vec::new();
        let attributes = path.split(';').map(|part| (part, false)).chain(query.split('&').map(|part| (part, true)));
        for (attribute, is_query) in attributes.filter(|(part, _)| !part.is_empty()) {
            let Some((name, value)) = attribute.split_once('=') else {
                return Err(UriError::NoValue(attribute.to_owned()));
            };
            if seen.contains(&name) {
                return Err(UriError::Twice(name.to_owned()));
            }
            seen.push(name);
            let octets = decode(value).ok_or_else(|| UriError::Encoding(name.to_owned()))?;
            if name == "id" && !is_query {
                found.id = Some(octets);
                continue;
            }
            if matches!((name, is_query), ("pin-value" | "pin-source", true)) {
                return Err(UriError::Pin(name.to_owned()));
            }
            let text = String::from_utf8(octets).map_err(|_| UriError::NotUtf8(name.to_owned()))?;
            match (name, is_query) {
                ("token", false) => found.token = Some(fitting(name, text, 32)?),
                ("manufacturer", false) => found.manufacturer = Some(fitting(name, text, 32)?),
                ("model", false) => found.model = Some(fitting(name, text, 16)?),
                ("serial", false) => found.serial = Some(fitting(name, text, 16)?),
                ("object", false) => found.object = Some(text),
                ("slot-id", false) => {
                    found.slot_id = Some(text.parse().map_err(|_| UriError::SlotId)?);
                }
                ("type", false) if text == "private" => {}
                ("type", false) => return Err(UriError::Type(text)),
                ("module-path", true) => found.module_path = Some(text),
                _ => return Err(UriError::Unknown(name.to_owned())),
            }
        }
        Ok(found)
    }
}

/// Between the name of a key that was made for an identity and the beginning of its CKA_ID.
const MARK: char = '~';
/// How many bytes of the CKA_ID stand in the mark.
const MARK_BYTES: usize = 4;

impl TokenUri {
    /// The same place for a new key with this CKA_ID: the name of each is its own, since some programs look for keys by
    /// nothing but that, and says that it was made here.
    pub(super) fn marked(&self, id: Vec<u8>) -> TokenUri {
        let name = self.object.as_deref().unwrap_or_default();
        let name = if self.is_marked() { name.rsplit_once(MARK).map_or(name, |(name, _)| name) } else { name };
        let object = Some(format!("{name}{}", mark_of(&id)));
        TokenUri { object, id: Some(id), ..self.clone() }
    }

    /// Whether a key of this name was made here: no other one has the beginning of its CKA_ID in its name.
    pub fn is_marked(&self) -> bool {
        let (Some(object), Some(id)) = (&self.object, &self.id) else { return false };
        id.len() >= MARK_BYTES && object.ends_with(&mark_of(id))
    }
}

fn mark_of(id: &[u8]) -> String {
    let digits: String = id.iter().take(MARK_BYTES).map(|byte| format!("{byte:02x}")).collect();
    format!("{MARK}{digits}")
}

/// RFC 7512 section 2.3: a value that PKCS#11 could not hold makes the URI invalid.
fn fitting(name: &str, value: String, most: usize) -> Result<String, UriError> {
    if value.len() > most { Err(UriError::TooLong(name.to_owned(), most)) } else { Ok(value) }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let digit = |c: &u8| char::from(*c).to_digit(16);
                out.push((digit(high)? * 16 + digit(low)?) as u8);
                tail
            }
            (b'%', _) => return None,
            (other, tail) => {
                out.push(*other);
                tail
            }
        };
    }
    Some(out)
}

impl fmt::Display for TokenUri {
    /// The path alone, `type=private` included: where the module lies is another machine's affair.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pkcs11:")?;
        let text = |value: &Option<String>| value.as_ref().map(|value| encode(value.as_bytes(), false));
        for (name, value) in [
            ("token", text(&self.token)),
            ("manufacturer", text(&self.manufacturer)),
            ("serial", text(&self.serial)),
            ("model", text(&self.model)),
            ("slot-id", self.slot_id.map(|id| id.to_string())),
            ("object", text(&self.object)),
            ("id", self.id.as_ref().map(|id| encode(id, true))),
        ] {
            if let Some(value) = value {
                write!(f, "{name}={value};")?;
            }
        }
        f.write_str("type=private")
    }
}

fn encode(value: &[u8], is_binary: bool) -> String {
    let mut out = String::new();
    for byte in value {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
        match is_plain && !is_binary {
            true => out.push(char::from(*byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_read_and_written_again() {
        let uri = "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=3a1f;token=my%20token;id=%00%ff%41;\
                   object=device%2fkey;type=private?module-path=/usr/lib/softhsm/libsofthsm2.so";
        let found = TokenUri::parse(uri).unwrap();
        assert_eq!(found.token.as_deref(), Some("my token"));
        assert_eq!(found.id.as_deref(), Some(&[0x00, 0xff, 0x41][..]));
        assert_eq!(found.object.as_deref(), Some("device/key"));
        assert_eq!(found.module_path.as_deref(), Some("/usr/lib/softhsm/libsofthsm2.so"));
        let written = found.to_string();
        assert!(written.contains("id=%00%FF%41;") && written.ends_with(";type=private"), "{written}");
        let again = TokenUri::parse(&written).unwrap();
        assert_eq!(again, TokenUri { module_path: None, ..found });
        assert_eq!(TokenUri::parse("PKCS11:").unwrap(), TokenUri::default());
    }

    #[test]
    fn the_name_of_a_key_that_was_made_here_says_so_and_does_not_grow() {
        let place = TokenUri::parse("pkcs11:token=device;object=router~1").unwrap();
        assert!(!place.is_marked());
        let first = place.marked(vec![0x3f, 0x2a, 0x9c, 0x01, 7]);
        assert_eq!(first.object.as_deref(), Some("router~1~3f2a9c01"));
        let next = first.marked(vec![1, 2, 3, 4]);
        assert_eq!(next.object.as_deref(), Some("router~1~01020304"));
        for marked in [&first, &next] {
            assert!(TokenUri::parse(&marked.to_string()).unwrap().is_marked());
        }
        let renamed = TokenUri { object: Some("router".to_owned()), ..next.clone() };
        let other = TokenUri { id: Some(vec![9, 9, 9, 9]), ..next };
        assert!(!renamed.is_marked() && !other.is_marked());
    }

    #[test]
    fn a_uri_that_is_not_understood_in_full_is_refused() {
        for (uri, words) in [
            ("", "begins with"),
            ("pkcs12:token=a", "begins with"),
            ("http://a", "begins with"),
            ("pkcs11:token", "name=value"),
            ("pkcs11:token=a;token=b", "twice"),
            ("pkcs11:token=%4", "encoded"),
            ("pkcs11:token=%zz", "encoded"),
            ("pkcs11:token=%ff", "UTF-8"),
            ("pkcs11:serial=12345678901234567", "longer"),
            ("pkcs11:type=cert", "private key"),
            ("pkcs11:slot-id=x", "number"),
            ("pkcs11:colour=blue", "not looked at"),
            ("pkcs11:object=a?pin-value=1234", "callback"),
            ("pkcs11:object=a?pin-source=file:/pin", "callback"),
        ] {
            let refused = TokenUri::parse(uri).unwrap_err().to_string();
            assert!(refused.contains(words), "{uri}: {refused}");
            assert!(!refused.contains("1234"), "no PIN in words");
        }
    }
}
