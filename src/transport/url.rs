//! URLs as the user wrote them: split, checked, never normalised.

use std::fmt;

use super::error::{Phase, TransportError, TransportErrorKind};

/// Longest URL accepted, in bytes. Servers stop at about 8 KiB; URLs in certificates stay under 300 bytes.
const MAX_URL_BYTES: usize = 4096;

/// How to reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP: CMP messages protect themselves.
    Http,
    /// HTTP over TLS.
    Https,
    /// CoAP over UDP.
    Coap,
}

impl Scheme {
    /// `http`, `https` or `coap`.
    pub const fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::Coap => "coap",
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
            // RFC 7252 section 6.1.
            Scheme::Coap => 5683,
        }
    }
}

/// An absolute `http`, `https` or `coap` URL. Path and query are kept byte for byte: `//`, a trailing `/` and `%2F` mean
/// something to some servers (a CMP path that must end with `/` is common).
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    scheme: Scheme,
    host: String,
    port: u16,
    authority: String,
    target: String,
}

impl Url {
    /// Splits and checks. Refused: other schemes, user names and passwords, fragments, anything outside visible ASCII.
    /// White space around it, as it comes along when a URL is pasted or read from a file, is not part of it.
    pub fn parse(text: &str) -> Result<Self, TransportError> {
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        if text.len() > MAX_URL_BYTES {
            return Err(invalid(format!("the URL has {} bytes, the limit is {MAX_URL_BYTES}", text.len())));
        }
        if let Some(c) = text.chars().find(|c| !c.is_ascii_graphic()) {
            let host = text.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?']).next().unwrap_or(""));
            if !host.is_ascii() {
                // RFC 5890 section 2.3.2.1: DNS and certificates carry the A-label.
                let words = "is to be written as an A-label (punycode, xn--...)";
                return Err(invalid(format!(
                    "the URL's host {} holds {}; such a name {words}",
                    crate::words::quoted(host),
                    crate::words::character(c)
                )));
            }
            return Err(invalid(format!(
                "the URL holds {}, which must be percent-encoded",
                crate::words::character(c)
            )));
        }
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| invalid(format!("{} has no scheme; expected http://host[:port]/path", the_url(text))))?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "coap" => Scheme::Coap,
            other => return Err(invalid(format!("the URL's scheme is {other}; http, https and coap are known"))),
        };
        if rest.contains('#') {
            return Err(invalid("the URL has a fragment (#), which is never sent".to_owned()));
        }
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(invalid("the URL holds a user name; credentials do not belong there".to_owned()));
        }
        let (host, port) = split_authority(authority, scheme.default_port())?;
        // RFC 3986 section 2: no characters of a URI. `<NAME>` is a place in an example that nobody has filled in.
        if let Some(c) = target.chars().find(|c| r#"<>"\^`{|}"#.contains(*c)) {
            let words =
                if c == '<' { "a place between < and > is to be filled in" } else { "it must be percent-encoded" };
            return Err(invalid(format!("the URL's path holds {}: {words}", crate::words::character(c))));
        }
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Url { scheme, host: host.to_ascii_lowercase(), port, authority: authority.to_owned(), target })
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Host name or address in lower case; an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Port, the scheme's own if the URL names none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as written.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Path and query as written; `/` if there is none.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The URL that a Location header means when seen from here (RFC 3986 section 5.2, without dot segments).
    pub fn join(&self, location: &str) -> Result<Url, TransportError> {
        let location = location.split('#').next().unwrap_or_default();
        if location.contains("://") {
            return Url::parse(location);
        }
        if let Some(rest) = location.strip_prefix("//") {
            return Url::parse(&format!("{}://{rest}", self.scheme.name()));
        }
        let path = self.target.split('?').next().unwrap_or("/");
        let target = match location.as_bytes().first() {
            Some(b'/') => location.to_owned(),
            Some(b'?') => format!("{path}{location}"),
            _ => format!("{}{location}", &path[..=path.rfind('/').unwrap_or(0)]),
        };
        Url::parse(&format!("{}://{}{target}", self.scheme.name(), self.authority))
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.name(), self.authority, self.target)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

impl std::str::FromStr for Url {
    type Err = TransportError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Url::parse(text)
    }
}

/// The well-known URL of RFC 9483 section 6.1: `<server>/.well-known/cmp[/p/<profile>][/<operation>]`.
///
/// `server` is `http://host[:port]`, or the same with `https` or `coap`; the labels may hold what a path segment may hold (RFC 3986 section 3.3), the
/// operations are `initialization`, `certification`, `keyupdate`, `pkcs10`, `revocation`, `getcacerts`,
/// `getrootupdate`, `getcertreqtemplate`, `getcrls`, `nested`; over CoAP (section 6.2) `ir`, `cr`, `kur`, `p10`, `rr`, `crts`,
/// `rcu`, `att`, `crls`, `nest`.
pub fn well_known_url(server: &str, profile: Option<&str>, operation: Option<&str>) -> Result<Url, TransportError> {
    let is_segment = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%".contains(&b))
    };
    // What people call the server often has it already.
    let server = server.trim().trim_end_matches('/');
    let mut text = format!("{}/.well-known/cmp", server.strip_suffix("/.well-known/cmp").unwrap_or(server));
    for (prefix, label) in [("/p/", profile), ("/", operation)] {
        let Some(label) = label else { continue };
        if !is_segment(label) {
            return Err(invalid(format!("{} is not one segment of a path", crate::words::quoted(label))));
        }
        text.push_str(prefix);
        text.push_str(label);
    }
    let url = Url::parse(&text)?;
    if !url.target.starts_with("/.well-known/") || url.target.matches("/.well-known/").count() > 1 {
        return Err(invalid(format!("{server} has a path; the well-known URL is built from the server alone")));
    }
    Ok(url)
}

/// The URL in an error. What may hold a password, or is longer than URLs are, is not repeated.
fn the_url(text: &str) -> String {
    match text.contains('@') || text.len() > 200 {
        true => "the URL".to_owned(),
        false => format!("the URL {}", crate::words::quoted(text)),
    }
}

/// Host and port; an address of IPv6 stands in brackets.
pub(super) fn split_authority(authority: &str, default_port: u16) -> Result<(&str, u16), TransportError> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, port) =
                rest.split_once(']').ok_or_else(|| invalid(format!("{authority}: the bracket is not closed")))?;
            if let Some((_, zone)) = host.split_once('%') {
                // RFC 6874 is not implemented; a zone has a meaning on this host alone.
                let zone = crate::words::quoted(zone.strip_prefix("25").unwrap_or(zone));
                return Err(invalid(format!(
                    "[{host}] has the zone {zone}, which is not supported: use an address without"
                )));
            }
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(invalid(format!("[{host}] is not an IPv6 address")));
            }
            (host, port)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_host_byte = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
    if host.is_empty() || !host.bytes().all(is_host_byte) {
        return Err(invalid(format!("{} does not begin with a host name or address", crate::words::quoted(authority))));
    }
    match port {
        "" | ":" => Ok((host, default_port)),
        _ => match port.strip_prefix(':').filter(|p| p.bytes().all(|b| b.is_ascii_digit())).map(str::parse::<u16>) {
            Some(Ok(number)) if number > 0 => Ok((host, number)),
            _ => Err(invalid(format!(
                "{} does not end with a port between 1 and 65535",
                crate::words::quoted(authority)
            ))),
        },
    }
}

fn invalid(detail: String) -> TransportError {
    TransportError::new(TransportErrorKind::Invalid, Phase::Prepare, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_and_query_stay_as_they_were_written() {
        for target in ["/", "/pkix/", "/pkix", "//a//", "/a/../b/./c", "/%2F%2f?x=%20&y", "/?", "/a?b?c", "/p;v=1/(x)"]
        {
            let url = Url::parse(&format!("http://CA.example:8080{target}")).unwrap();
            assert_eq!((url.target(), url.host(), url.port()), (target, "ca.example", 8080));
        }
        assert_eq!(Url::parse("http://h").unwrap().target(), "/");
        assert_eq!(Url::parse(" http://h/x\r\n").unwrap().to_string(), "http://h/x");
        assert_eq!(Url::parse("http://h?q").unwrap().target(), "/?q");
        assert_eq!(Url::parse("HTTPS://h").unwrap().port(), 443);
        let v6 = Url::parse("http://[::1]:81/x").unwrap();
        assert_eq!((v6.host(), v6.port(), v6.authority()), ("::1", 81, "[::1]:81"));
    }

    #[test]
    fn what_is_not_an_http_url_is_refused_with_the_reason() {
        for (text, reason) in [
            ("ca.example/pkix", "\"ca.example/pkix\" has no scheme"),
            ("ldap://h/x", "scheme is ldap"),
            ("http:///x", "host name"),
            ("http://user:pw@h/", "user name"),
            ("http://h/#top", "fragment"),
            ("http://h/a b", "percent-encoded"),
            ("http://h/a\"b", "'\"': it must be percent-encoded"),
            ("http://h/a\\b", "must be percent-encoded"),
            ("http://h/.well-known/cmp/p/<NAME>", "is to be filled in"),
            ("http://h/\r\nX: y", "percent-encoded"),
            ("http://h:0/", "port"),
            ("http://h:65536/", "port"),
            ("http://h:+80/", "port"),
            ("http://[::1/", "bracket"),
            ("http://[fe80]/", "IPv6"),
            ("http://[fe80::1%25eth0]/", "zone"),
            ("http://m\u{fc}ller.example/", "punycode"),
            ("http://h\"x/", "host name"),
        ] {
            let error = Url::parse(text).unwrap_err();
            assert!(error.detail.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn redirects_are_resolved_against_where_they_came_from() {
        let base = Url::parse("http://h:81/crl/root.crl?x=1").unwrap();
        for (location, expected) in [
            ("http://other/y", "http://other/y"),
            ("//other/y", "http://other/y"),
            ("/y?z", "http://h:81/y?z"),
            ("new.crl", "http://h:81/crl/new.crl"),
            ("?x=2", "http://h:81/crl/root.crl?x=2"),
            ("/y#part", "http://h:81/y"),
        ] {
            assert_eq!(base.join(location).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn well_known_urls_are_built_from_server_profile_and_operation() {
        let text = |p, o| well_known_url("http://h:81", p, o).unwrap().to_string();
        assert_eq!(text(None, None), "http://h:81/.well-known/cmp");
        assert_eq!(text(None, Some("initialization")), "http://h:81/.well-known/cmp/initialization");
        assert_eq!(text(Some("iot"), Some("keyupdate")), "http://h:81/.well-known/cmp/p/iot/keyupdate");
        let coap = well_known_url("coap://h", Some("iot"), Some("ir")).unwrap();
        assert_eq!((coap.to_string().as_str(), coap.port()), ("coap://h/.well-known/cmp/p/iot/ir", 5683));
        // RFC 9483 sections 6.1 and 6.2: every label of an operation, and nothing that would end the segment.
        for label in "initialization certification keyupdate pkcs10 revocation getcacerts getrootupdate getcertreqtemplate getcrls \
                      nested ir cr kur p10 rr crts rcu att crls nest"
            .split_whitespace()
        {
            assert_eq!(text(None, Some(label)), format!("http://h:81/.well-known/cmp/{label}"));
            assert_eq!(text(Some("a"), Some(label)), format!("http://h:81/.well-known/cmp/p/a/{label}"));
        }
        for odd in ["", "a/b", "a?b", "a#b", "a b", "\u{e9}", "a\r\nX: y"] {
            assert!(well_known_url("http://h", Some(odd), None).is_err(), "{odd}");
            assert!(well_known_url("http://h", None, Some(odd)).is_err(), "{odd}");
        }
        assert!(well_known_url("http://h", Some("a/b"), None).is_err());
        assert!(well_known_url("http://h/path", None, None).is_err());
        for server in ["http://h/.well-known/cmp", "http://h/.well-known/cmp/", "http://h/"] {
            let url = well_known_url(server, Some("iot"), None).unwrap();
            assert_eq!(url.to_string(), "http://h/.well-known/cmp/p/iot", "{server}");
        }
        assert!(well_known_url("http://h/.well-known/cmp/p/iot", None, None).is_err());
    }
}
