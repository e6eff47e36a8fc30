//! `ldap:` URLs (RFC 4516): which entry of which directory, and which attribute of it.

use std::fmt;

use super::super::error::{Party, Phase, TransportError, TransportErrorKind};
use super::super::url::split_authority;
use super::filter::{self, hex};
use crate::words::{character, quoted};

/// Longest URL accepted, in bytes: those of AD CS have some 250.
const MAX_URL_BYTES: usize = 4096;
const DEFAULT_PORT: u16 = 389;

/// An attribute that holds lists or certificates (RFC 4523 section 2).
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Attribute {
    pub(super) name: &'static str,
    pub(super) oid: &'static str,
    /// Of what it holds, in PEM.
    pub(super) label: &'static str,
    /// Two certificates in one value.
    pub(super) is_pair: bool,
}

const fn attribute(name: &'static str, oid: &'static str, label: &'static str) -> Attribute {
    Attribute { name, oid, label, is_pair: false }
}

/// All that is ever asked for: a URL is a stranger's choice, and this is what such URLs are for.
const ATTRIBUTES: [Attribute; 6] = [
    attribute("certificateRevocationList", "2.5.4.39", "X509 CRL"),
    attribute("authorityRevocationList", "2.5.4.38", "X509 CRL"),
    attribute("deltaRevocationList", "2.5.4.53", "X509 CRL"),
    attribute("cACertificate", "2.5.4.37", "CERTIFICATE"),
    attribute("userCertificate", "2.5.4.36", "CERTIFICATE"),
    Attribute { is_pair: true, ..attribute("crossCertificatePair", "2.5.4.40", "CERTIFICATE") },
];

impl Attribute {
    /// Whether an attribute description (RFC 4512 section 2.5) is this one's, whatever its options.
    pub(super) fn is_described_by(&self, description: &str) -> bool {
        let name = description.split(';').next().unwrap_or_default();
        name.eq_ignore_ascii_case(self.name) || name == self.oid
    }
}

/// What a URL asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct LdapUrl {
    pub(in super::super) host: String,
    pub(in super::super) port: u16,
    /// Named by the device's owner: asked wherever it is.
    pub(in super::super) is_own: bool,
    /// The entry's name, as a directory reads it (RFC 4514).
    pub(super) name: String,
    /// At least one.
    pub(super) attributes: Vec<&'static Attribute>,
    /// 0 the entry alone, 1 those below it, 2 both and all below.
    pub(super) scope: u8,
    /// DER of a Filter.
    pub(super) filter: Vec<u8>,
    text: String,
}

/// Whether a URL is one of a directory.
pub(in super::super) fn is_ldap(url: &str) -> bool {
    url.split_once(':').is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("ldap"))
}

impl LdapUrl {
    /// Reads a URL. `directory`: host and perhaps port of the directory that is meant where a URL names none, as those of AD CS do.
    pub(in super::super) fn parse(text: &str, directory: Option<&str>) -> Result<Self, TransportError> {
        if text.len() > MAX_URL_BYTES {
            return Err(invalid(format!("the URL has {} bytes, the limit is {MAX_URL_BYTES}", text.len())));
        }
        if let Some(c) = text.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(invalid(format!("the URL holds {}, which must be percent-encoded", character(c))));
        }
        let rest = text.get(7..).filter(|_| text[..7].eq_ignore_ascii_case("ldap://"));
        let rest = rest.ok_or_else(|| invalid("expected ldap://host/name?attribute".to_owned()))?;
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let authority = match (authority, directory) {
            ("", Some(directory)) => directory,
            ("", None) => {
                let words = "the URL names no host: it means the directory of its own network (setting directory, peers.directory)";
                return Err(invalid(words.to_owned()));
            }
            (given, _) => given,
        };
        if authority.contains('@') {
            return Err(invalid("the URL holds a user name; credentials do not belong there".to_owned()));
        }
        let (host, port) = split_authority(authority, DEFAULT_PORT)?;
        let mut parts = rest.strip_prefix('/').unwrap_or(rest).splitn(5, '?');
        let mut part = |what: &str| decoded(parts.next().unwrap_or_default(), what);
        let (name, attributes) = (part("the entry's name")?, part("the attribute")?);
        let (scope, filter, extensions) = (part("the scope")?, part("the filter")?, part("the extensions")?);
        // RFC 4516 section 2: what is critical and not known must not be gone past.
        if let Some(critical) = extensions.split(',').find(|extension| extension.starts_with('!')) {
            return Err(invalid(format!(
                "the URL demands the extension {}, which is not known",
                quoted(&critical[1..])
            )));
        }
        let scope = match scope.to_ascii_lowercase().as_str() {
            "" | "base" => 0,
            "one" => 1,
            "sub" => 2,
            other => return Err(invalid(format!("the scope {} is none of base, one and sub", quoted(other)))),
        };
        Ok(LdapUrl {
            host: host.to_ascii_lowercase(),
            port,
            is_own: directory.is_some_and(|own| own.eq_ignore_ascii_case(authority)),
            name,
            attributes: known_attributes(&attributes)?,
            scope,
            filter: filter::encode(if filter.is_empty() { "(objectClass=*)" } else { &filter })
                .map_err(|error| invalid(error.to_string()))?,
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for LdapUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// RFC 5280 sections 4.2.1.13 and 4.2.2.1: one attribute of a list, or several of certificates. What is none of them is not asked
/// for, whatever a URL says.
fn known_attributes(descriptions: &str) -> Result<Vec<&'static Attribute>, TransportError> {
    let known = |description: &str| ATTRIBUTES.iter().find(|attribute| attribute.is_described_by(description));
    let mut found: Vec<&'static Attribute> = Vec::new();
    for attribute in descriptions.split(',').filter_map(known) {
        if !found.contains(&attribute) {
            found.push(attribute);
        }
    }
    if found.is_empty() {
        let all: Vec<&str> = ATTRIBUTES.iter().map(|attribute| attribute.name).collect();
        let words = match descriptions {
            "" => "the URL names no attribute".to_owned(),
            given => format!("{} is no attribute of lists or certificates", quoted(given)),
        };
        return Err(invalid(format!("{words}; expected {} (RFC 4523)", all.join(", "))));
    }
    Ok(found)
}

/// A part of the URL without its percent-encoding (RFC 3986 section 2.1).
fn decoded(part: &str, what: &str) -> Result<String, TransportError> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        bytes.push(match (first, behind) {
            (b'%', [high, low, behind @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest = behind;
                hex(*high) << 4 | hex(*low)
            }
            (b'%', _) => return Err(invalid(format!("{what} holds a % without two hexadecimal digits"))),
            _ => *first,
        });
    }
    let text = String::from_utf8(bytes).map_err(|_| invalid(format!("{what} is not UTF-8")))?;
    match text.chars().find(|c| c.is_control()) {
        // RFC 4514 section 2.4 has them escaped; in clear they would be lines for a service that reads lines.
        Some(c) => Err(invalid(format!("{what} holds {}, which belongs into no name", character(c)))),
        None => Ok(text),
    }
}

fn invalid(detail: String) -> TransportError {
    TransportError {
        party: Party::Directory,
        ..TransportError::new(TransportErrorKind::Invalid, Phase::Prepare, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_as_directories_and_ad_cs_write_them_are_read() {
        let many = LdapUrl::parse(
            "ldap://h/cn=exampleCA,dc=example?cACertificate;binary,crossCertificatePair;binary,mail",
            None,
        );
        let names: Vec<&str> = many.unwrap().attributes.iter().map(|attribute| attribute.name).collect();
        assert_eq!(names, ["cACertificate", "crossCertificatePair"], "the example of RFC 5280 section 4.2.2.1");
        let plain =
            LdapUrl::parse("LDAP://Directory.example/cn=CA,o=X?certificateRevocationList;binary", None).unwrap();
        assert_eq!((plain.host.as_str(), plain.port, plain.scope), ("directory.example", 389, 0));
        assert_eq!((plain.name.as_str(), plain.attributes[0].name), ("cn=CA,o=X", "certificateRevocationList"));
        let ad = "ldap:///CN=Issuing%20CA,CN=srv,CN=CDP,DC=corp,DC=example?certificateRevocationList?base?objectClass=cRLDistributionPoint";
        assert!(LdapUrl::parse(ad, None).unwrap_err().detail.contains("names no host"));
        let found = LdapUrl::parse(ad, Some("dc.corp.example:3268")).unwrap();
        assert_eq!((found.host.as_str(), found.port), ("dc.corp.example", 3268));
        assert_eq!(found.name, "CN=Issuing CA,CN=srv,CN=CDP,DC=corp,DC=example");
        let v6 = LdapUrl::parse("ldap://[2001:db8::7]:1389/c=GB?2.5.4.37?sub?(cn=x)", None).unwrap();
        assert_eq!(
            (v6.host.as_str(), v6.port, v6.scope, v6.attributes[0].name),
            ("2001:db8::7", 1389, 2, "cACertificate")
        );
        assert_eq!(LdapUrl::parse("ldap://h/o=%C3%96l?cACertificate", None).unwrap().name, "o=Öl");
    }

    #[test]
    fn what_no_such_url_means_is_refused_with_the_reason() {
        for (text, reason) in [
            ("ldaps://h/cn=x?cACertificate", "expected ldap://"),
            ("ldap:cn=x", "expected ldap://"),
            ("ldap://user:pw@h/cn=x?cACertificate", "user name"),
            ("ldap://h/cn=x", "names no attribute"),
            ("ldap://h/cn=x?userPassword,mail", "is no attribute of lists or certificates"),
            ("ldap://h/cn=x?*", "is no attribute of lists or certificates"),
            ("ldap://h/cn=%0d%0aFLUSHALL%0d%0a?cACertificate", "U+000D"),
            ("ldap://h/cn=x?cACertificate?sub?(cn=%0aSET)", "U+000A"),
            ("ldap://h/cn=x?cACertificate?sub?(cn=\\0d\\0a)", "U+000D"),
            ("ldap://h/cn=x?cACertificate?all", "scope"),
            ("ldap://h/cn=x?cACertificate?base?(cn=*a*)", "wildcards"),
            ("ldap://h/cn=x?cACertificate?base??!bindname=cn=y", "extension"),
            ("ldap://h/cn=%4?cACertificate", "two hexadecimal digits"),
            ("ldap://h/cn=%FF?cACertificate", "UTF-8"),
            ("ldap://h:0/cn=x?cACertificate", "port"),
            ("ldap://h/cn=a b?cACertificate", "percent-encoded"),
        ] {
            let error = LdapUrl::parse(text, None).unwrap_err();
            assert!(error.detail.contains(reason), "{text}: {error}");
            assert_eq!(error.kind, TransportErrorKind::Invalid);
        }
        // What is not critical is passed over.
        assert!(LdapUrl::parse("ldap://h/cn=x?cACertificate?base??bindname=cn=y", None).is_ok());
    }

    #[test]
    fn no_text_makes_the_reader_fall() {
        let base = "ldap://h:389/cn=%20x,o=y?cACertificate;binary?sub?(&(cn=a\\2a)(!(o=b)))?!x";
        for cut in 0..=base.len() {
            for insert in ["", "%", "?", "(", ")", "\u{e9}", "\\", "!"] {
                let text = format!("{}{insert}{}", &base[..cut], &base[cut..]);
                let _ = LdapUrl::parse(&text, Some("d"));
                let _ = LdapUrl::parse(&base[..cut], None);
            }
        }
    }
}
