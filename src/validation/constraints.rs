//! Name constraints (RFC 5280 section 4.2.1.10).

use alloc::borrow::Cow;

use ::der::Tag;

use super::names;
use crate::asn1::Asn1Error;
use crate::asn1::der::{Cursor, Tlv, context};
use crate::asn1::general_name::{GeneralName, GeneralNames};
use crate::asn1::oid;
use crate::asn1::x509::read_oid;
use crate::prelude::*;

const WHAT: &str = "NameConstraints";
/// The form of dNSName.
const DNS: u8 = 2;

/// The names of one certificate that constraints apply to.
pub(super) struct ConstrainedNames<'a> {
    names: Vec<GeneralName<'a>>,
    subject_emails: Vec<Cow<'a, str>>,
}

impl<'a> ConstrainedNames<'a> {
    /// The subject if it is not empty, its e-mail addresses, and the alternative names.
    pub(super) fn read(subject: &'a [u8], subject_alt_name: Option<&'a [u8]>) -> Result<Self, Asn1Error> {
        let mut all = Vec::new();
        let mut subject_emails = Vec::new();
        if subject != [0x30, 0x00] {
            all.push(GeneralName::Directory(subject));
            subject_emails = names::email_addresses(subject)?;
        }
        if let Some(der) = subject_alt_name {
            for name in GeneralNames::parse(der, "SubjectAltName")? {
                let name = name?;
                all.push(name);
                // RFC 9598 section 6: constraints on rfc822Name are constraints on these as well.
                all.extend(smtp_utf8_mailbox(&name).map(GeneralName::Rfc822));
            }
        }
        Ok(ConstrainedNames { names: all, subject_emails })
    }

    fn iter(&self) -> impl Iterator<Item = GeneralName<'_>> {
        let emails = self.subject_emails.iter().map(|text| GeneralName::Rfc822(text.as_bytes()));
        self.names.iter().copied().chain(emails)
    }
}

/// The mailbox in an otherName of the form SmtpUTF8Mailbox (RFC 9598 section 3), whose domain is written in ASCII; `None` for
/// other names. One that is malformed is an empty mailbox, which satisfies no constraint.
fn smtp_utf8_mailbox<'a>(name: &GeneralName<'a>) -> Option<&'a [u8]> {
    const WHAT: &str = "SmtpUTF8Mailbox";
    let GeneralName::Other(content) = name else { return None };
    let mut fields = Cursor::new(content, WHAT).ok()?;
    if read_oid(&mut fields).ok()? != oid::ON_SMTP_UTF8_MAILBOX {
        return None;
    }
    let read = move || -> Result<&'a [u8], Asn1Error> {
        let value = fields.expect(context(0, true), "the mailbox")?.value;
        fields.finish()?;
        let mut value = Cursor::new(value, WHAT)?;
        let mailbox = value.expect(Tag::Utf8String, "a UTF8String")?.value;
        value.finish()?;
        Ok(mailbox)
    };
    let mailbox = read().unwrap_or_default();
    Some(if core::str::from_utf8(mailbox).is_ok() { mailbox } else { &[] })
}

/// Why names do not satisfy constraints.
#[derive(Debug)]
pub(super) enum Violation {
    /// A name is in an excluded subtree, or in none of the permitted ones of its form.
    Outside(String),
    /// The constraints or the names cannot be read.
    Malformed(Asn1Error),
    /// The budget of comparisons is used up.
    Budget,
}

impl From<Asn1Error> for Violation {
    fn from(error: Asn1Error) -> Self {
        Violation::Malformed(error)
    }
}

/// The constraints of one CA.
pub(super) struct Constraints<'a> {
    permitted: Vec<Base<'a>>,
    excluded: Vec<Base<'a>>,
}

impl<'a> Constraints<'a> {
    /// Reads the extension. A dot in front of a dNSName is refused unless `allow_dotted_dns`.
    pub(super) fn parse(der: &'a [u8], allow_dotted_dns: bool) -> Result<Self, Asn1Error> {
        let (permitted, excluded) = split(der)?;
        let read = |part: Option<Tlv<'a>>| -> Result<Vec<Base<'a>>, Asn1Error> {
            part.map_or(Ok(Vec::new()), |subtrees| Subtrees::new(subtrees.value)?.collect())
        };
        let constraints = Constraints { permitted: read(permitted)?, excluded: read(excluded)? };
        let mut bases = constraints.permitted.iter().chain(&constraints.excluded);
        if !allow_dotted_dns && bases.any(|b| b.form == DNS && b.value.starts_with(b".")) {
            return Err(Asn1Error::invalid(WHAT, "a dNSName with a dot in front; allow_dotted_dns takes it"));
        }
        Ok(constraints)
    }

    /// RFC 5280 section 6.1.3 (b) and (c). `comparisons_left` is what the whole validation may still spend.
    pub(super) fn check(&self, names: &ConstrainedNames<'_>, comparisons_left: &mut u32) -> Result<(), Violation> {
        for name in names.iter() {
            for base in self.excluded.iter().filter(|b| b.form == name.form()) {
                spend(comparisons_left, base, &name)?;
                if base.meets(&name, Side::Excluded)? {
                    return Err(Violation::Outside(format!("{} is in an excluded subtree", describe(&name))));
                }
            }
            let mut permitted = self.permitted.iter().filter(|b| b.form == name.form()).peekable();
            // No permitted subtree of this form: the form is not restricted. That differs from an empty set.
            if permitted.peek().is_none() {
                continue;
            }
            let mut found = false;
            for base in permitted {
                spend(comparisons_left, base, &name)?;
                if base.meets(&name, Side::Permitted)? {
                    found = true;
                    break;
                }
            }
            if !found {
                return Err(Violation::Outside(format!("{} is in no permitted subtree", describe(&name))));
            }
        }
        Ok(())
    }
}

/// Checks that the extension is well-formed, without keeping anything.
pub(super) fn check_form(der: &[u8]) -> Result<(), Asn1Error> {
    let (permitted, excluded) = split(der)?;
    for part in [permitted, excluded].into_iter().flatten() {
        for base in Subtrees::new(part.value)? {
            base?;
        }
    }
    Ok(())
}

/// One comparison costs one, and more where distinguished names are long or beyond ASCII.
fn spend(left: &mut u32, base: &Base<'_>, name: &GeneralName<'_>) -> Result<(), Violation> {
    let cost = match name {
        GeneralName::Directory(der) if !der.is_ascii() || !base.value.is_ascii() => {
            names::hash_cost(der) + names::hash_cost(base.value)
        }
        GeneralName::Directory(der) => 1 + base.value.len().min(der.len()) / 64,
        _ => 1 + base.value.len() / 64,
    };
    let cost = u32::try_from(cost).unwrap_or(u32::MAX);
    *left = left.checked_sub(cost).ok_or(Violation::Budget)?;
    Ok(())
}

fn split(der: &[u8]) -> Result<(Option<Tlv<'_>>, Option<Tlv<'_>>), Asn1Error> {
    let mut fields = Cursor::sequence(der, WHAT)?;
    let permitted = fields.optional_context(0, true)?;
    let excluded = fields.optional_context(1, true)?;
    fields.finish()?;
    if permitted.is_none() && excluded.is_none() {
        // RFC 5280 section 4.2.1.10: MUST NOT be an empty sequence.
        return Err(Asn1Error::invalid(WHAT, "neither permitted nor excluded subtrees"));
    }
    Ok((permitted, excluded))
}

struct Subtrees<'a>(Cursor<'a>);

impl<'a> Subtrees<'a> {
    fn new(content: &'a [u8]) -> Result<Self, Asn1Error> {
        let cursor = Cursor::new(content, "GeneralSubtrees")?;
        if cursor.is_empty() {
            return Err(Asn1Error::invalid("GeneralSubtrees", "an empty list"));
        }
        Ok(Subtrees(cursor))
    }

    fn read(&mut self) -> Result<Base<'a>, Asn1Error> {
        let subtree = self.0.expect(Tag::Sequence, "a GeneralSubtree")?;
        let mut fields = Cursor::new(subtree.value, "GeneralSubtree")?;
        let base = Base::new(GeneralName::read(&mut fields)?)?;
        if let Some(minimum) = fields.optional_context(0, false)? {
            if minimum.value != [0] {
                return Err(Asn1Error::invalid("GeneralSubtree", "a minimum other than 0"));
            }
        }
        if fields.optional_context(1, false)?.is_some() {
            return Err(Asn1Error::invalid("GeneralSubtree", "a maximum"));
        }
        fields.finish()?;
        Ok(base)
    }
}

impl<'a> Iterator for Subtrees<'a> {
    type Item = Result<Base<'a>, Asn1Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_err() {
            self.0 = self.0.at_end();
        }
        Some(read)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Permitted,
    Excluded,
}

/// The base of one subtree; its value was checked for its form.
struct Base<'a> {
    form: u8,
    value: &'a [u8],
}

impl<'a> Base<'a> {
    fn new(name: GeneralName<'a>) -> Result<Self, Asn1Error> {
        let value = match name {
            GeneralName::Dns(value) => {
                let host = without_final_dot(value);
                // The empty name is the root: all hosts are below it.
                if !value.is_empty() && !is_host(host.strip_prefix(b".").unwrap_or(host)) {
                    return Err(Asn1Error::invalid(WHAT, "a dNSName that is not a host name"));
                }
                host
            }
            GeneralName::Rfc822(value) => {
                let (local, host) = split_mailbox(value);
                let host = without_final_dot(host);
                let domain = if local.is_some() { host } else { host.strip_prefix(b".").unwrap_or(host) };
                if !is_host(domain) || local.is_some_and(<[u8]>::is_empty) {
                    return Err(Asn1Error::invalid(WHAT, "an rfc822Name that is not a mailbox, a host or a domain"));
                }
                value
            }
            GeneralName::Uri(value) => {
                let host = without_final_dot(value);
                if !is_host(host.strip_prefix(b".").unwrap_or(host)) {
                    return Err(Asn1Error::invalid(WHAT, "a URI constraint that is neither a host nor a domain"));
                }
                host
            }
            GeneralName::Ip(value) => {
                // RFC 5280 section 4.2.1.10: address and mask in the style of RFC 4632, so ones before zeros.
                let (address_len, mask) = match value.len() {
                    8 => (4, u128::from(u32_of(&value[4..])) << 96),
                    32 => (16, u128_of(&value[16..])),
                    _ => return Err(Asn1Error::invalid(WHAT, "an iPAddress of other than 8 or 32 octets")),
                };
                debug_assert_eq!(value.len(), 2 * address_len);
                if mask.leading_ones() + mask.trailing_zeros() != 128 && mask != 0 {
                    return Err(Asn1Error::invalid(WHAT, "an iPAddress mask with ones behind a zero"));
                }
                value
            }
            GeneralName::Directory(value) => value,
            GeneralName::NotAscii(..) => {
                return Err(Asn1Error::invalid(WHAT, "a name with other characters than ASCII"));
            }
            GeneralName::Other(value)
            | GeneralName::X400(value)
            | GeneralName::EdiParty(value)
            | GeneralName::RegisteredId(value) => value,
        };
        Ok(Base { form: name.form(), value })
    }

    /// Whether the name meets the subtree: for permitted ones all that the name stands for must be inside, for excluded
    /// ones any of it. Names that cannot be judged count against the certificate on either side.
    fn meets(&self, name: &GeneralName<'_>, side: Side) -> Result<bool, Violation> {
        let unreadable = || Err(Violation::Outside(format!("{} cannot be compared with constraints", describe(name))));
        match name {
            GeneralName::Directory(der) => Ok(names::is_within(der, self.value)?),
            GeneralName::Dns(value) => {
                let host = without_final_dot(value);
                match host.strip_prefix(b"*.") {
                    Some(parent) if is_host(parent) => Ok(self.meets_wildcard(parent, side)),
                    None if is_host(host) => Ok(in_dns_subtree(host, self.value)),
                    _ => unreadable(),
                }
            }
            GeneralName::Rfc822(value) => match split_mailbox(value) {
                (Some(local), host) if is_local_part(local) && is_host(without_final_dot(host)) => {
                    Ok(self.meets_mailbox(local, without_final_dot(host)))
                }
                _ => unreadable(),
            },
            GeneralName::Uri(value) => match uri_host(value) {
                Some(host) => Ok(in_host_or_domain(host, self.value)),
                // RFC 5280 section 4.2.1.10: a URI without a host name MUST be rejected.
                None => unreadable(),
            },
            GeneralName::Ip(address) => match (address.len(), self.value.len()) {
                (4, 8) | (16, 32) => {
                    let (base, mask) = self.value.split_at(address.len());
                    Ok(address.iter().zip(base).zip(mask).all(|((a, b), m)| a & m == b & m))
                }
                (4 | 16, _) => Ok(false),
                _ => unreadable(),
            },
            // RFC 5280 section 4.2.1.10: what cannot be processed MUST be rejected.
            _ => unreadable(),
        }
    }

    /// A wildcard stands for all hosts one label under `parent`.
    fn meets_wildcard(&self, parent: &[u8], side: Side) -> bool {
        match self.value.strip_prefix(b".") {
            // Only hosts under the domain: all of the wildcard's are, if the parent is the domain or under it.
            Some(domain) => parent.eq_ignore_ascii_case(domain) || in_dns_subtree(parent, domain),
            None if in_dns_subtree(parent, self.value) => true,
            // One of the wildcard's hosts is the base of the subtree.
            None if side == Side::Excluded => {
                in_dns_subtree(self.value, parent) && {
                    let label = &self.value[..self.value.len() - parent.len()];
                    !label.is_empty() && label.iter().filter(|b| **b == b'.').count() == 1
                }
            }
            None => false,
        }
    }

    /// RFC 5280 section 4.2.1.10: one mailbox, all mailboxes of a host, or all of the hosts in a domain.
    fn meets_mailbox(&self, local: &[u8], host: &[u8]) -> bool {
        let (base_local, base_host) = split_mailbox(self.value);
        let base_host = without_final_dot(base_host);
        match base_local {
            Some(base_local) => base_local == local && base_host.eq_ignore_ascii_case(host),
            None => in_host_or_domain(host, base_host),
        }
    }
}

/// RFC 5280 section 4.2.1.10: any name made by adding labels in front of the base. With a dot in front, which the RFC
/// does not foresee for DNS names but CAs write, at least one label must be added.
fn in_dns_subtree(host: &[u8], base: &[u8]) -> bool {
    if base.is_empty() {
        return true;
    }
    if host.len() < base.len() {
        return false;
    }
    let (front, tail) = host.split_at(host.len() - base.len());
    tail.eq_ignore_ascii_case(base)
        && if base[0] == b'.' { !front.is_empty() } else { front.is_empty() || front.ends_with(b".") }
}

/// A base with a dot in front is a domain whose hosts are meant, one without is a host.
fn in_host_or_domain(host: &[u8], base: &[u8]) -> bool {
    if base.first() == Some(&b'.') { in_dns_subtree(host, base) } else { host.eq_ignore_ascii_case(base) }
}

fn without_final_dot(host: &[u8]) -> &[u8] {
    host.strip_suffix(b".").unwrap_or(host)
}

/// Whether these are labels of letters, digits, hyphens and underscores, separated by single dots.
pub(super) fn is_host(host: &[u8]) -> bool {
    !host.is_empty()
        && host.len() <= 253
        && host.split(|b| *b == b'.').all(|label| {
            (1..=63).contains(&label.len())
                && label.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
                && label[0] != b'-'
                && label[label.len() - 1] != b'-'
        })
}

/// Local-part of RFC 5321 section 4.1.2, with the letters of RFC 6531: a Dot-string of atoms, or one Quoted-string. What is neither may
/// be read as another mailbox by whoever looks at it next, so it is compared with nothing.
pub(super) fn is_local_part(local: &[u8]) -> bool {
    const ATOM: &[u8] = b"!#$%&'*+-/=?^_`{|}~";
    if let Some(quoted) = local.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) {
        let mut escaped = false;
        return quoted.iter().all(|byte| {
            let fits = match (escaped, byte) {
                (true, byte) => byte.is_ascii_graphic() || *byte == b' ',
                (false, b'"') => false,
                (false, byte) => byte.is_ascii_graphic() || *byte == b' ' || !byte.is_ascii(),
            };
            escaped = !escaped && *byte == b'\\';
            fits
        }) && !escaped;
    }
    let is_atom = |atom: &[u8]| {
        !atom.is_empty() && atom.iter().all(|b| b.is_ascii_alphanumeric() || ATOM.contains(b) || !b.is_ascii())
    };
    local.split(|byte| *byte == b'.').all(is_atom)
}

fn split_mailbox(value: &[u8]) -> (Option<&[u8]>, &[u8]) {
    match value.iter().rposition(|b| *b == b'@') {
        Some(at) => (Some(&value[..at]), &value[at + 1..]),
        None => (None, value),
    }
}

/// The host name in a URI's authority (RFC 3986 section 3.2); `None` if there is none or it is an address.
fn uri_host(uri: &[u8]) -> Option<&[u8]> {
    let authority = uri_authority(uri)?;
    let host_port = authority.iter().rposition(|b| *b == b'@').map_or(authority, |at| &authority[at + 1..]);
    let host = match host_port.iter().position(|b| *b == b':') {
        Some(colon) if host_port[colon + 1..].iter().all(u8::is_ascii_digit) => &host_port[..colon],
        Some(_) => return None,
        None => host_port,
    };
    let host = without_final_dot(host);
    let last_label = host.rsplit(|b| *b == b'.').next().unwrap_or_default();
    // A last label of digits only is an IPv4 address or meant as one.
    (is_host(host) && !last_label.iter().all(u8::is_ascii_digit)).then_some(host)
}

/// What stands between `//` and the path, query or fragment.
pub(super) fn uri_authority(uri: &[u8]) -> Option<&[u8]> {
    let colon = uri.iter().position(|b| *b == b':')?;
    let scheme = &uri[..colon];
    let scheme_is_valid = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    let rest = uri[colon + 1..].strip_prefix(b"//").filter(|_| scheme_is_valid)?;
    // No character of RFC 3986; some readers take a backslash for a slash, and another host with it.
    if rest.iter().any(|byte| !byte.is_ascii_graphic() || b"\\\"<>^`{|}".contains(byte)) {
        return None;
    }
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    Some(&rest[..end])
}

fn u32_of(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |n, b| n << 8 | u32::from(*b))
}

fn u128_of(bytes: &[u8]) -> u128 {
    bytes.iter().fold(0, |n, b| n << 8 | u128::from(*b))
}

/// A name for people, cut; see [`GeneralName`]'s own words.
pub(super) fn describe(name: &GeneralName<'_>) -> String {
    let (kind, text) = match name {
        GeneralName::Dns(_) | GeneralName::NotAscii(2, _) => ("DNS name ", 4),
        GeneralName::Rfc822(_) | GeneralName::NotAscii(1, _) => ("e-mail address ", 6),
        GeneralName::Uri(_) | GeneralName::NotAscii(..) => ("URI ", 4),
        GeneralName::Ip(_) => ("IP address ", 3),
        GeneralName::Directory(_) => ("directory name ", 8),
        _ => ("", 0),
    };
    let shown = name.to_string();
    let shown = shown.get(text..).unwrap_or_default();
    let cut: String = shown.chars().take(80).collect();
    match cut.len() {
        0 => format!("{kind}\"\""),
        length if length < shown.len() => format!("{kind}{cut}..."),
        _ => format!("{kind}{cut}"),
    }
}
