//! Names as `openssl cmp` reads them (openssl-cmp(1), `-subject`): `/type0=value0/type1=value1+type2=value2`.

use devid::asn1::name::Name;

use crate::failure::Failure;
use crate::output::Output;

/// One attribute: its type and its value, as they stand.
type Attribute = (String, String);

/// A name behind an option. Without a slash in front it is read as everywhere else; `/` alone is the NULL-DN. Attributes of unknown
/// types and without a value are passed over, aloud.
pub fn parse(option: &str, text: &str, output: Output) -> Result<Name, Failure> {
    let wrong = |words: String| Failure::usage(format!("-{option} {text}: {words}"));
    let Some(rest) = text.strip_prefix('/') else { return Name::parse(text).map_err(|e| wrong(e.to_string())) };
    let mut rdns = split(rest).map_err(wrong)?;
    for (kind, value) in rdns.iter().flatten() {
        if !is_known(kind) {
            output.say(&format!("-{option}: no attribute is known by the name \"{kind}\"; left out"));
        } else if value.is_empty() {
            output.say(&format!("-{option}: {kind} has no value; left out"));
        }
    }
    rdns.iter_mut().for_each(|rdn| rdn.retain(|(kind, value)| is_known(kind) && !value.is_empty()));
    rdns.retain(|rdn| !rdn.is_empty());
    if rdns.is_empty() {
        return match rest {
            "" => Ok(Name::null()),
            _ => Err(wrong("no attribute is left".to_owned())),
        };
    }
    Name::parse(&as_rfc4514(&rdns)).map_err(|e| wrong(e.to_string()))
}

/// RelativeDistinguishedNames, the most general first: `/` ends one, `+` an attribute in one, and a backslash takes what follows
/// it as it is. Blanks belong to the value.
fn split(text: &str) -> Result<Vec<Vec<Attribute>>, String> {
    let mut rdns: Vec<Vec<Attribute>> = Vec::new();
    let (mut letters, mut is_further) = (text.chars().peekable(), false);
    while letters.peek().is_some() {
        let mut kind = String::new();
        loop {
            match letters.next() {
                Some('=') => break,
                Some(letter) => kind.push(letter),
                None => return Err(format!("expected TYPE=VALUE, found \"{kind}\"")),
            }
        }
        let mut value = String::new();
        let end = loop {
            match letters.next() {
                Some('\\') => value.push(letters.next().ok_or("a backslash stands at the end")?),
                Some(end @ ('/' | '+')) => break Some(end),
                Some(letter) => value.push(letter),
                None => break None,
            }
        };
        match rdns.last_mut().filter(|_| is_further) {
            Some(rdn) => rdn.push((kind, value)),
            None => rdns.push(vec![(kind, value)]),
        }
        is_further = end == Some('+');
    }
    Ok(rdns)
}

/// Whether the type is known: a value of two letters fits all that have rules for theirs.
fn is_known(kind: &str) -> bool {
    !kind.starts_with('/') && Name::parse(&format!("{kind}=AB")).is_ok()
}

/// The form that the library reads, with nothing in a value that could be syntax (RFC 4514 section 2.4).
fn as_rfc4514(rdns: &[Vec<Attribute>]) -> String {
    let escaped = |value: &str| {
        let letter = |letter: char| match letter.is_ascii_alphanumeric() || !letter.is_ascii() {
            true => letter.to_string(),
            false => format!("\\{:02x}", letter as u32),
        };
        value.chars().map(letter).collect::<String>()
    };
    let attribute = |(kind, value): &Attribute| format!("{kind}={}", escaped(value));
    let rdn = |rdn: &Vec<Attribute>| rdn.iter().map(attribute).collect::<Vec<_>>().join("+");
    rdns.iter().rev().map(rdn).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Output = Output { json: false, quiet: true, verbose: 0 };

    fn read(text: &str) -> Result<String, String> {
        parse("subject", text, QUIET).map(|name| name.to_string()).map_err(|e| e.to_string())
    }

    /// Beside each what `openssl cmp` and `openssl req -subj` of 3.0 make of it, by `-nameopt RFC2253`.
    #[test]
    fn names_are_those_that_openssl_reads() {
        for (text, theirs) in [
            ("/DC=org/DC=OpenSSL/DC=users/UID=123456+CN=John Doe", "CN=John Doe+UID=123456,DC=users,DC=OpenSSL,DC=org"),
            ("/CN=a/O=", "CN=a"),
            ("/CN=a/O=/C=SE", "C=SE,CN=a"),
            ("/CN= a ", "CN=\\ a\\ "),
            ("/CN=#0c0178", "CN=\\#0c0178"),
            ("/CN=a\\/b", "CN=a/b"),
            ("/CN=a\\+b/O=x\\\\y", "O=x\\\\y,CN=a\\+b"),
            ("/CN=a,b=c", "CN=a\\,b=c"),
            ("/nosuch=1/CN=x", "CN=x"),
            ("/nosuch=1+CN=x/C=SE", "C=SE,CN=x"),
            ("/CN=x/", "CN=x"),
            ("/CN=K\u{f6}ln", "CN=K\u{f6}ln"),
            ("/2.5.4.3=x", "CN=x"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(theirs), "{text}");
        }
        assert!(parse("subject", "/", QUIET).unwrap().is_null());
        assert_eq!(read("CN=x,O=y").as_deref(), Ok("CN=x,O=y"));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for (text, words) in [
            ("/CN", "expected TYPE=VALUE, found \"CN\""),
            ("//CN=x", "no attribute is left"),
            ("/CN=x\\", "a backslash"),
            ("/nosuch=1", "no attribute is left"),
            ("/O=", "no attribute is left"),
            ("/C=SWE", "-subject /C=SWE"),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains(words), "{text}: {refused}");
        }
    }
}
