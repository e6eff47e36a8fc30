//! What a certificate is asked for, in the words of its user, and the CertTemplate that says so.

use std::net::IpAddr;

use crate::asn1::crmf::{CertTemplate, TemplateExtension, text_control};
use crate::asn1::der::{Cursor, element, sequence};
use crate::asn1::name::Name;
use crate::asn1::oid::{self, Oid};
use crate::asn1::purpose::PURPOSES;
use crate::codes::Code;
use crate::crypto::algorithm::encode_oid;
use crate::error::Error;
use crate::time::Time;
use crate::validation::KeyUsage;
use crate::validation::PeerName;

/// Identity, uses and lifetime asked for. Everything is optional but some identity: a subject or an alternative name.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    name: Option<Name>,
    alternative_names: Vec<Vec<u8>>,
    key_usages: u16,
    extended_key_usages: Vec<Oid>,
    extensions: Vec<TemplateExtension>,
    issuer: Option<Name>,
    not_before: Option<Time>,
    not_after: Option<Time>,
    is_nameless: bool,
    controls: Vec<Vec<u8>>,
}

impl Subject {
    /// Nothing yet.
    pub fn new() -> Self {
        Subject::default()
    }

    /// The distinguished name, such as `CN=router-7,O=Example` (RFC 4514).
    pub fn name(mut self, text: &str) -> Result<Self, Error> {
        self.name = Some(written_name(text)?);
        Ok(self)
    }

    /// The distinguished name, DER.
    pub fn name_der(mut self, der: &[u8]) -> Result<Self, Error> {
        self.name = Some(Name::from_der(der)?);
        Ok(self)
    }

    /// Adds a dNSName (RFC 5280 section 4.2.1.6): ASCII; international names in their A-label form.
    /// A `*` may stand for its first label. Refused is what no peer could be known by: URLs, ports, addresses.
    pub fn dns(self, name: &str) -> Result<Self, Error> {
        self.ia5(0x82, name, "a DNS name", PeerName::Dns(name.strip_prefix("*.").unwrap_or(name).to_owned()))
    }

    /// Adds an rfc822Name.
    pub fn email(self, address: &str) -> Result<Self, Error> {
        self.ia5(0x81, address, "an e-mail address", PeerName::Email(address.to_owned()))
    }

    /// Adds a uniformResourceIdentifier.
    pub fn uri(self, uri: &str) -> Result<Self, Error> {
        self.ia5(0x86, uri, "a URI", PeerName::Uri(uri.to_owned()))
    }

    /// Adds an iPAddress.
    #[must_use]
    pub fn ip(mut self, address: IpAddr) -> Self {
        self.alternative_names.push(match address {
            IpAddr::V4(address) => element(0x87, &[&address.octets()]),
            IpAddr::V6(address) => element(0x87, &[&address.octets()]),
        });
        self
    }

    /// Adds a name of another kind (otherName): identifier in dotted form, DER of its value.
    pub fn other_name(mut self, identifier: &str, value: &[u8]) -> Result<Self, Error> {
        let mut one = Cursor::new(value, "otherName")?;
        one.any("value")?;
        one.finish()?;
        let value = element(0xa0, &[value]);
        self.alternative_names.push(element(0xa0, &[&encode_oid(parse_oid(identifier)?), &value]));
        Ok(self)
    }

    /// Adds a hardwareModuleName (RFC 4108 section 5): the type of the hardware, named by its maker's object identifier
    /// in dotted form, and the serial number. IEEE 802.1AR puts it into factory-installed (IDevID) certificates.
    pub fn hardware_module(self, hardware_type: &str, serial_number: &[u8]) -> Result<Self, Error> {
        if serial_number.is_empty() {
            return Err(Error::new(Code::InvalidArgument, "a hardware module without a serial number"));
        }
        let hardware_type = encode_oid(parse_oid(hardware_type)?);
        let value = sequence(&[&hardware_type, &element(0x04, &[serial_number])]);
        self.other_name(&oid::ON_HARDWARE_MODULE_NAME.to_string(), &value)
    }

    /// Adds a key usage by its name in RFC 5280 section 4.2.1.3, such as `digitalSignature`.
    pub fn key_usage(mut self, usage: &str) -> Result<Self, Error> {
        let usage = KeyUsage::from_name(usage)
            .ok_or_else(|| unknown(usage, "a key usage of RFC 5280", &KeyUsage::ALL.map(KeyUsage::name)))?;
        self.key_usages |= 1 << usage as u8;
        Ok(self)
    }

    /// Adds a purpose: `serverAuth`, `clientAuth`, `codeSigning`, `emailProtection`, `timeStamping`, `OCSPSigning` or an
    /// identifier in dotted form.
    pub fn extended_key_usage(mut self, purpose: &str) -> Result<Self, Error> {
        self.extended_key_usages.push(purpose_oid(purpose)?);
        Ok(self)
    }

    /// Adds any extension: identifier in dotted form, DER of its value.
    ///
    /// Errors: what is no identifier; a value that is not one element of DER (RFC 5280 section 4.2).
    pub fn extension(mut self, identifier: &str, critical: bool, value: &[u8]) -> Result<Self, Error> {
        let oid = parse_oid(identifier)?;
        let mut one = Cursor::new(value, "extnValue")?;
        one.any("one element")?;
        one.finish()?;
        self.extensions.push(TemplateExtension { oid, critical, value: value.to_vec() });
        Ok(self)
    }

    /// Asks for this issuer.
    pub fn issuer(mut self, text: &str) -> Result<Self, Error> {
        self.issuer = Some(written_name(text)?);
        Ok(self)
    }

    /// Asks for these first and last seconds of validity; `None` leaves the bound to the CA.
    #[must_use]
    pub fn validity(mut self, not_before: Option<Time>, not_after: Option<Time>) -> Self {
        self.not_before = not_before;
        self.not_after = not_after;
        self
    }

    /// Asks for no name at all, neither subject nor alternative name: the CA knows the device by its credential and chooses (3GPP TS
    /// 33.310 section 9.5.4.2). Possession is then proved over who asks and the key (poposkInput, RFC 4211 section 4.1). For ir
    /// and cr.
    #[must_use]
    pub fn nameless(mut self) -> Self {
        self.is_nameless = true;
        self
    }

    /// Adds the control regToken: a one-time text that the CA gave to whoever may ask (RFC 4211 section 6.1).
    #[must_use]
    pub fn reg_token(mut self, text: &str) -> Self {
        self.controls.push(text_control(oid::REG_CTRL_REG_TOKEN, text));
        self
    }

    /// Adds the control authenticator: a text by which the CA knows who asks, again and again (RFC 4211 section 6.2).
    #[must_use]
    pub fn authenticator(mut self, text: &str) -> Self {
        self.controls.push(text_control(oid::REG_CTRL_AUTHENTICATOR, text));
        self
    }

    /// Controls that go beside the template, each an AttributeTypeAndValue in DER.
    pub fn controls(&self) -> &[Vec<u8>] {
        &self.controls
    }

    /// The template that asks for it; the public key is filled in by the request.
    pub fn to_template(&self) -> Result<CertTemplate, Error> {
        let template = self.template()?;
        let has_alternative_name = template.extensions.iter().any(|e| e.oid == oid::CE_SUBJECT_ALT_NAME);
        if self.is_nameless {
            if template.subject.is_some() || has_alternative_name {
                let words = "a certificate is asked for without a name, and a name is given";
                return Err(Error::new(Code::InvalidArgument, words));
            }
            return Ok(template);
        }
        if template.subject.as_ref().is_none_or(Name::is_null) && !has_alternative_name {
            let words = "a certificate is asked for without any name: neither subject nor alternative name";
            return Err(Error::new(Code::InvalidArgument, words));
        }
        Ok(CertTemplate { subject: Some(template.subject.unwrap_or_else(Name::null)), ..template })
    }

    /// What is said so far; perhaps nobody is named.
    pub(super) fn template(&self) -> Result<CertTemplate, Error> {
        let mut extensions = Vec::new();
        if !self.alternative_names.is_empty() {
            // RFC 5280 section 4.2.1.6: critical where the subject is empty.
            let critical = self.name.as_ref().is_none_or(Name::is_null);
            let names: Vec<&[u8]> = self.alternative_names.iter().map(Vec::as_slice).collect();
            extensions.push(TemplateExtension { oid: oid::CE_SUBJECT_ALT_NAME, critical, value: sequence(&names) });
        }
        if self.key_usages != 0 {
            let value = named_bits(self.key_usages);
            extensions.push(TemplateExtension { oid: oid::CE_KEY_USAGE, critical: true, value });
        }
        if !self.extended_key_usages.is_empty() {
            let purposes: Vec<u8> = self.extended_key_usages.iter().flat_map(|p| encode_oid(*p)).collect();
            let value = sequence(&[&purposes]);
            extensions.push(TemplateExtension { oid: oid::CE_EXT_KEY_USAGE, critical: false, value });
        }
        for extension in &self.extensions {
            if extensions.iter().any(|e| e.oid == extension.oid) {
                let words = format!("the extension {} is asked for twice", extension.oid);
                return Err(Error::new(Code::InvalidArgument, words));
            }
            extensions.push(extension.clone());
        }
        Ok(CertTemplate {
            issuer: self.issuer.clone(),
            not_before: self.not_before,
            not_after: self.not_after,
            subject: self.name.clone(),
            public_key: None,
            extensions,
        })
    }

    /// The same that a template says, as it says it.
    pub(super) fn from_template(template: CertTemplate) -> Self {
        Subject {
            name: template.subject,
            extensions: template.extensions,
            issuer: template.issuer,
            not_before: template.not_before,
            not_after: template.not_after,
            ..Subject::default()
        }
    }

    /// What a validator here could never be asked for is not asked of a CA either.
    fn ia5(mut self, tag: u8, text: &str, what: &str, as_peer: PeerName) -> Result<Self, Error> {
        let objection = match text {
            "" => Some("is empty"),
            _ if !text.is_ascii() => Some(
                "is to be written in ASCII: hosts as A-labels (punycode, xn--...), other characters of a URI percent-encoded",
            ),
            _ if text.contains(char::is_whitespace) => Some("has a blank in it: a name alone is wanted"),
            _ if text.contains(char::is_control) => Some("has a control character in it"),
            _ => None,
        };
        if let Some(why) = objection {
            let words = format!("{what} {why}; found {}", crate::words::quoted(text));
            return Err(Error::new(Code::InvalidArgument, words));
        }
        if let Err(why) = as_peer.may_be_asked_for() {
            let words = format!("{what} that no peer could be known by, {}: {why}", crate::words::quoted(text));
            return Err(Error::new(Code::InvalidArgument, words).with_source(why));
        }
        self.alternative_names.push(element(tag, &[text.as_bytes()]));
        Ok(self)
    }
}

/// A name that somebody wrote: one that cannot be read is a wrong argument.
fn written_name(text: &str) -> Result<Name, Error> {
    Name::parse(text).map_err(|error| Error::new(Code::InvalidArgument, error.to_string()))
}

pub(crate) fn parse_oid(dotted: &str) -> Result<Oid, Error> {
    Oid::new(dotted).map_err(|_| Error::new(Code::InvalidArgument, format!("\"{dotted}\" is not an object identifier")))
}

/// The identifier of a purpose by its name in RFC 5280 section 4.2.1.12, or in dotted form.
pub fn purpose_oid(purpose: &str) -> Result<Oid, Error> {
    if let Some((_, oid)) = PURPOSES.iter().find(|(name, _)| *name == purpose) {
        return Ok(*oid);
    }
    let names = PURPOSES.map(|(name, _)| name);
    Oid::new(purpose).map_err(|_| unknown(purpose, "a purpose known by name or number", &names))
}

/// With the name that is meant, where letter case alone differs, and else all of them.
fn unknown(found: &str, what: &str, names: &[&str]) -> Error {
    let shown = crate::words::quoted(found);
    let words = match names.iter().find(|name| name.eq_ignore_ascii_case(found)) {
        Some(name) => format!("{shown} is not {what}; did you mean {name}?"),
        None => format!("{shown} is not {what}; there are {}", names.join(", ")),
    };
    Error::new(Code::InvalidArgument, words)
}

/// KeyUsage as a named bit list: bit 0 of `flags` is the first, trailing zeros are left out.
fn named_bits(flags: u16) -> Vec<u8> {
    let count = 16 - flags.leading_zeros() as usize;
    let mut bytes = vec![0u8; count.div_ceil(8)];
    for n in (0..count).filter(|n| flags >> n & 1 == 1) {
        bytes[n / 8] |= 0x80 >> (n % 8);
    }
    element(0x03, &[&[(bytes.len() * 8 - count) as u8], &bytes])
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::der::Decode;
    use x509_cert::ext::pkix::{SubjectAltName, name::GeneralName};

    #[test]
    fn a_name_that_cannot_be_written_as_it_stands_is_told_with_the_way() {
        let words = |outcome: Result<Subject, Error>| outcome.unwrap_err().message().to_owned();
        for (told, expected) in [
            (words(Subject::new().dns("b\u{fc}cher.example")), "punycode"),
            (words(Subject::new().email("a@b\u{fc}cher.example")), "punycode"),
            (words(Subject::new().uri("http://a.example/\u{fc}")), "percent-encoded"),
            (words(Subject::new().email("Joe <a@b.example>")), "blank"),
            (words(Subject::new().dns("a\u{1}b")), "control character"),
            (words(Subject::new().dns("")), "is empty"),
        ] {
            assert!(told.contains(expected), "{told}");
        }
    }

    #[test]
    fn what_no_peer_could_be_known_by_is_not_asked_for() {
        let refused = |outcome: Result<Subject, Error>| outcome.err().map(|error| error.code());
        let long = "a".repeat(64);
        let names = [
            "https://host.example",
            "host.example:443",
            "10.0.0.1",
            "a..b",
            &long,
            "host.example/x",
            "",
            "b\u{fc}cher",
        ];
        for text in names {
            assert_eq!(refused(Subject::new().dns(text)), Some(Code::InvalidArgument), "{text}");
        }
        for text in ["a", "a@", "@b.example", "a@b@c", "mailto:a@b.example x", "Joe <a@b.example>", ".a@b.example"] {
            assert_eq!(refused(Subject::new().email(text)), Some(Code::InvalidArgument), "{text}");
        }
        for text in ["a/b", "//host.example/", "1a:b", "urn:"] {
            assert_eq!(refused(Subject::new().uri(text)), Some(Code::InvalidArgument), "{text}");
        }
        // The twin: what a validator here can be asked for.
        for text in ["host.example", "*.example.com", "xn--bcher-kva.example", "_sip.example", "localhost"] {
            assert!(Subject::new().dns(text).is_ok(), "{text}");
        }
        assert!(Subject::new().email("Joe.x+y@b.example").is_ok());
        assert!(Subject::new().uri("urn:dev:ops:1").and_then(|s| s.uri("https://a.example/x")).is_ok());
        assert_eq!(refused(Subject::new().name("CN=DOMAIN\\user")), Some(Code::InvalidArgument));
    }

    #[test]
    fn names_and_usages_are_read_by_another_decoder_as_they_were_meant() {
        let subject = Subject::new().name("CN=meter-1").unwrap().dns("meter-1.example").unwrap();
        let subject = subject.ip("192.0.2.7".parse().unwrap()).uri("urn:dev:1").unwrap();
        let subject = subject.key_usage("digitalSignature").unwrap().key_usage("decipherOnly").unwrap();

        let template = subject.to_template().unwrap();

        let names = SubjectAltName::from_der(&template.extensions[0].value).unwrap();
        assert_eq!(names.0.len(), 3);
        assert!(matches!(&names.0[0], GeneralName::DnsName(n) if n.as_str() == "meter-1.example"));
        let usage = x509_cert::ext::pkix::KeyUsage::from_der(&template.extensions[1].value).unwrap();
        assert!(usage.digital_signature() && usage.decipher_only() && !usage.key_agreement());
    }

    #[test]
    fn a_device_is_named_by_its_hardware() {
        let subject = Subject::new().hardware_module("1.3.6.1.4.1.32473.7", &[0x00, 0xff]).unwrap();
        let template = subject.to_template().unwrap();
        let names = SubjectAltName::from_der(&template.extensions[0].value).unwrap();
        let GeneralName::OtherName(name) = &names.0[0] else { panic!("{names:?}") };
        assert_eq!(name.type_id.to_string(), "1.3.6.1.5.5.7.8.4");
        let value = name.value.value();
        assert_eq!(&value[value.len() - 4..], [0x04, 0x02, 0x00, 0xff]);

        assert!(Subject::new().hardware_module("a maker", &[1]).is_err());
        assert!(Subject::new().hardware_module("1.3.6.1.4.1.32473.7", &[]).is_err());
    }

    #[test]
    fn names_of_uses_are_told_where_one_is_not_known() {
        for name in KeyUsage::ALL.map(KeyUsage::name) {
            assert!(Subject::new().key_usage(name).is_ok(), "{name}");
        }
        let words = |outcome: Result<Subject, Error>| outcome.unwrap_err().message().to_owned();
        assert!(words(Subject::new().key_usage("DigitalSignature")).contains("did you mean digitalSignature?"));
        assert!(words(Subject::new().key_usage("signing")).contains("cRLSign"));
        assert!(words(Subject::new().extended_key_usage("ClientAuth")).contains("did you mean clientAuth?"));
        assert!(words(Subject::new().extended_key_usage("tls")).contains("serverAuth"));
    }

    #[test]
    fn an_identity_in_alternative_names_alone_makes_them_critical() {
        let template = Subject::new().dns("a.example").unwrap().to_template().unwrap();
        assert!(template.subject.unwrap().is_null());
        assert!(template.extensions[0].critical);
    }

    #[test]
    fn a_certificate_for_nobody_is_not_asked_for() {
        assert_eq!(Subject::new().to_template().unwrap_err().code(), Code::InvalidArgument);
        assert!(Subject::new().dns("two words").is_err());
        assert!(Subject::new().key_usage("signing").is_err());
        let twice = Subject::new().name("CN=a").unwrap().key_usage("keyAgreement").unwrap();
        let twice = twice.extension("2.5.29.15", true, &[3, 1, 0]).unwrap();
        assert!(twice.to_template().unwrap_err().message().contains("twice"));
    }
}
