//! Distinguished names (RFC 5280 section 4.1.2.4) as the bytes they are, with a text form for people.

use std::fmt;
use std::str::FromStr;

use ::der::{Decode, Encode};

use super::der::{Asn1Error, Cursor};

/// A distinguished name: the DER of an RDNSequence, well-formed.
///
/// `==` compares bytes. Whether two names mean the same is RFC 5280 section 7.1's question and lives in `validation`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Vec<u8>);

impl Name {
    /// The NULL-DN, `30 00`: "no name here" (RFC 9810 section 5.1.1).
    pub fn null() -> Self {
        Name(vec![0x30, 0x00])
    }

    /// From DER; checks that it is a sequence of sets and nothing behind it.
    pub fn from_der(der: &[u8]) -> Result<Self, Asn1Error> {
        let mut rdns = Cursor::sequence(der, "Name")?;
        while !rdns.is_empty() {
            rdns.expect(::der::Tag::Set, "a RelativeDistinguishedName")?;
        }
        Ok(Name(der.to_vec()))
    }

    /// From text such as `CN=router-7,O=Example` (RFC 4514, most specific attribute first).
    pub fn parse(text: &str) -> Result<Self, Asn1Error> {
        let name = x509_cert::name::Name::from_str(text).map_err(|_| {
            Asn1Error::invalid("Name", "not a name in the form of RFC 4514, such as CN=router-7,O=Example")
        })?;
        Ok(Name(name.to_der().map_err(|e| Asn1Error::from_der("Name", e))?))
    }

    /// A name of one commonName; the text is taken as it is, nothing in it is syntax.
    pub fn common_name(text: &str) -> Self {
        use super::der::{element, sequence};
        // commonName 2.5.4.3 as UTF8String (RFC 5280 section 4.1.2.4).
        let attribute = sequence(&[&[0x06, 0x03, 0x55, 0x04, 0x03], &element(0x0c, &[text.as_bytes()])]);
        Name(sequence(&[&element(0x31, &[&attribute])]))
    }

    /// The DER.
    pub fn as_der(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the NULL-DN.
    pub fn is_null(&self) -> bool {
        self.0 == [0x30, 0x00]
    }
}

/// The text form of an encoded name, for messages to people; bytes that are no name are shown as such.
pub fn display(der: &[u8]) -> String {
    match x509_cert::name::Name::from_der(der) {
        Ok(name) if name.is_empty() => "(no name)".to_owned(),
        // Control characters and direction marks in a peer's name must not reshape the reader's terminal.
        Ok(name) => name.to_string().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect(),
        Err(_) => "(not a readable name)".to_owned(),
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&display(&self.0))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_der_are_two_forms_of_one_name() {
        let name = Name::parse("CN=router-7,O=Example Corp,C=DE").unwrap();
        assert_eq!(name.to_string(), "CN=router-7,O=Example Corp,C=DE");
        assert_eq!(Name::from_der(name.as_der()).unwrap(), name);
    }

    #[test]
    fn a_reference_value_with_commas_stays_one_common_name() {
        let name = Name::common_name("4711,O=Evil");
        assert_eq!(x509_cert::name::Name::from_der(name.as_der()).unwrap().len(), 1);
    }

    #[test]
    fn bytes_that_are_no_name_are_refused() {
        assert!(Name::from_der(&[0x30, 0x02, 0x05, 0x00]).is_err());
        assert!(Name::from_der(&[0x31, 0x00]).is_err());
        assert!(Name::parse("just words").is_err());
        assert!(Name::null().is_null());
    }
}
