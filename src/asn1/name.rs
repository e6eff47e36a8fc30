//! Distinguished names (RFC 5280 section 4.1.2.4) as the bytes they are, with a text form for people.

use core::fmt;

use super::der::{Asn1Error, Cursor};
use super::name_text;
pub(crate) use super::name_text::is_misleading;
use crate::prelude::*;

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
    ///
    /// Also read: spaces around commas and equals signs, `;` for `,`, quoted values, `E=`, `S=` and other names that tools
    /// write, and `/C=SE/CN=router-7` (most specific attribute last). Each value gets the string type that RFC 5280
    /// appendix A gives it. The error says at which character the text cannot be read.
    pub fn parse(text: &str) -> Result<Self, Asn1Error> {
        name_text::parse(text).map(Name)
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
    match name_text::write(der) {
        Some(name) if name.is_empty() => "(no name)".to_owned(),
        Some(name) => name,
        None => "(not a readable name)".to_owned(),
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
    use crate::asn1::der::{element, sequence};

    fn encoded(text: &str) -> Vec<u8> {
        Name::parse(text).unwrap_or_else(|e| panic!("{text}: {e}")).as_der().to_vec()
    }

    #[test]
    fn text_and_der_are_two_forms_of_one_name() {
        let name = Name::parse("CN=router-7,O=Example Corp,C=DE").unwrap();
        assert_eq!(name.to_string(), "CN=router-7,O=Example Corp,C=DE");
        assert_eq!(Name::from_der(name.as_der()).unwrap(), name);
    }

    /// The reader of another library, for the texts that it reads.
    #[test]
    fn strict_texts_are_read_as_everyone_reads_them() {
        use ::der::Encode;
        for text in [
            "CN=router-7,O=Example Corp,C=DE",
            "CN=a+OU=b,DC=example,DC=org",
            "CN=x\\, y\\+z,O=\\20lead and trail\\20,serialNumber=4711",
            "2.5.4.3=x,UID=u\\C3\\A4",
            "CN=#0c0141,emailAddress=a@b.example",
            "ST=x,L=y,STREET=z,SN=s,GN=g",
        ] {
            let theirs: x509_cert::name::Name = text.parse().unwrap();
            assert_eq!(encoded(text), theirs.to_der().unwrap(), "{text}");
            assert_eq!(display(&encoded(text)), theirs.to_string(), "{text}");
        }
    }

    #[test]
    fn names_are_read_as_people_write_them() {
        let plain = encoded("CN=a,O=b");
        for text in [
            "CN = a, O = b",
            " cn=a ,o=b ",
            "CN=a,O=b\n",
            "\nCN=a\r\n,\nO=b\t",
            "CN=a;O=b",
            "CN=\"a\", O=\"b\"",
            "/O=b/CN=a",
            "/O=b /CN = a",
            "oid.2.5.4.3=a,OID.2.5.4.10=b",
            "commonName=a,organizationName=b",
        ] {
            assert_eq!(encoded(text), plain, "{text}");
        }
        assert_eq!(encoded("E=a@b.example"), encoded("emailAddress=a@b.example"));
        assert_eq!(encoded("S=Bavaria"), encoded("ST=Bavaria"));
        assert_eq!(encoded("O=\"Acme, Inc. + Co \\\"x\\\"\""), encoded("O=Acme\\, Inc. \\+ Co \\\"x\\\""));
        assert_eq!(encoded("/C=SE/CN=host\\/a=b"), encoded("CN=host/a\\=b,C=SE"));
        assert_eq!(encoded("/C=SE/CN=host/a.example"), encoded("CN=host/a.example,C=SE"));
        assert_eq!(encoded("CN=a=b"), encoded("CN=a\\=b"));
        // Whoever means it writes it.
        assert!(encoded("CN=a\\0Ab").windows(3).any(|part| part == b"a\nb"));
    }

    /// What `openssl x509 -subject` prints begins at the root; what people write begins at the device.
    #[test]
    fn a_name_as_openssl_prints_it_is_read_in_its_own_order() {
        assert_eq!(encoded("C = SE, O = Example, OU = a, CN = device 1"), encoded("/C=SE/O=Example/OU=a/CN=device 1"));
        assert_eq!(encoded("DC = org, DC = example, CN = x"), encoded("/DC=org/DC=example/CN=x"));
        for text in ["CN = a, OU = c, O = b, C = SE", "C=SE,O=b,CN=a", "O=b, CN = a", "C = SE", "CN = a, CN = b"] {
            assert_eq!(encoded(text), encoded(&text.replace(" = ", "=").replace(", ", ",")), "{text}");
        }
    }

    /// RFC 5280 appendix A.1.
    #[test]
    fn each_attribute_has_its_string_type() {
        let value = |text: &str, tag: u8, content: &str| {
            let der = encoded(text);
            assert!(der.ends_with(&element(tag, &[content.as_bytes()])), "{text}: {der:02x?}");
        };
        for text in ["dnQualifier=42", "serialNumber=42", "telephoneNumber=42"] {
            value(text, 0x13, "42");
        }
        value("DC=example", 0x16, "example");
        value("E=a@b.example", 0x16, "a@b.example");
        value("CN=example", 0x0c, "example");
        value("1.2.3.4=example", 0x0c, "example");
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_place_and_character() {
        let reason = |text: &str| Name::parse(text).unwrap_err().to_string();
        for (text, place, words) in [
            ("just words", 1, "TYPE=value"),
            ("", 1, "TYPE=value"),
            ("CN=a,", 6, "TYPE=value"),
            ("CN=a,,O=b", 6, "TYPE=value"),
            ("CN=a, X9=b", 7, "not a known type of attribute"),
            ("CN=", 4, "empty value"),
            ("CN=a,O= ,C=SE", 9, "empty value"),
            ("CN=ä,C=DEU", 8, "two letters"),
            ("CN=\"a", 4, "not closed"),
            ("CN=\"a\"b", 7, "separator"),
            ("CN=a\\", 5, "backslash at the end"),
            ("CN=a\\4", 5, "hexadecimal"),
            ("CN=DOMAIN\\user", 10, "written twice"),
            ("C=42", 3, "two letters"),
            ("telephoneNumber=+4612", 17, "written \\+"),
            ("CN=\\ff", 4, "UTF-8"),
            ("CN=#0c", 4, "hexadecimal"),
            ("CN=#0c0", 4, "hexadecimal"),
            ("serialNumber=a_b", 14, "PrintableString"),
            ("DC=b\u{fc}cher", 4, "IA5String"),
            ("/CN", 2, "TYPE=value"),
            ("/CN=a/", 7, "TYPE=value"),
            ("CN=a\nb", 5, "control character"),
            ("CN=a,O=b\u{7f}c", 9, "control character"),
        ] {
            let found = reason(text);
            assert!(found.contains(words) && found.contains(&format!("(character {place} of")), "{text}: {found}");
        }
    }

    #[test]
    fn every_string_type_is_shown_as_text() {
        let name = |value: &[u8]| sequence(&[&element(0x31, &[&sequence(&[&[0x06, 3, 0x55, 4, 3], value])])]);
        assert_eq!(display(&name(&element(0x1e, &[b"\0G\0e\0r\0\xe4\0t"]))), "CN=Gerät");
        assert_eq!(display(&name(&element(0x1c, &[b"\0\0\0G\0\0\0\xe4"]))), "CN=Gä");
        assert_eq!(display(&name(&element(0x14, &[b"Ger\xe4t"]))), "CN=Gerät");
        assert_eq!(display(&name(&element(0x13, &[b"a@b_c"]))), "CN=a@b_c");
        assert_eq!(display(&name(&element(0x1b, &[b"General"]))), "CN=General");
        assert_eq!(display(&name(&element(0x19, &[b"Graphic"]))), "CN=Graphic");
        assert_eq!(display(&name(&element(0x1b, &[b"\x1b(B"]))), "2.5.4.3=#1b031b2842", "no text");
        assert_eq!(display(&name(&element(0x1e, &[b"\0G\0"]))), "2.5.4.3=#1e03004700", "no text");
        assert_eq!(display(&name(&element(0x0c, &["a\u{202e}b".as_bytes()]))), "CN=a\u{fffd}b");
        assert_eq!(display(&[0x30, 0x02, 0x05, 0x00]), "(not a readable name)");
        assert_eq!(display(&[0x30, 0x00]), "(no name)");
    }

    #[test]
    fn a_reference_value_with_commas_stays_one_common_name() {
        let name = Name::common_name("4711,O=Evil");
        assert_eq!(name.to_string(), "CN=4711\\,O=Evil");
    }

    #[test]
    fn bytes_that_are_no_name_are_refused() {
        assert!(Name::from_der(&[0x30, 0x02, 0x05, 0x00]).is_err());
        assert!(Name::from_der(&[0x31, 0x00]).is_err());
        assert!(Name::null().is_null());
    }
}
