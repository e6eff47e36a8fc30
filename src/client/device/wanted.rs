//! What is asked for: the names and uses that the settings of an identity say.

use std::net::IpAddr;

use super::reading::{Reading, of, of_value};
use super::settings::Identity;
use super::{tuning, wrong};
use crate::client::Subject;
use crate::error::Error;
use crate::time::Time;

impl Reading<'_> {
    /// What is asked for, if the settings say. `clock`: what a validity counts from.
    pub fn subject(&self, name: &str, identity: &Identity, clock: Option<Time>) -> Result<Option<Subject>, Error> {
        let setting = |key: &str| format!("identity.{name}.{key}");
        let has_names = [&identity.dns, &identity.ip, &identity.uri, &identity.email].iter().any(|one| !one.is_empty())
            || identity.hardware_module.is_some();
        if identity.nameless && (identity.subject.is_some() || has_names) {
            return Err(wrong(format!("{} asks for no name, and a name is set beside it", setting("nameless"))));
        }
        if identity.subject.is_none() && !has_names && !identity.nameless {
            return Ok(None);
        }
        let mut subject = if identity.nameless { Subject::new().nameless() } else { Subject::new() };
        // An empty subject beside names is what a subject that is not set is (RFC 5280 section 4.1.2.6).
        if let Some(text) = identity.subject.as_deref().filter(|text| !text.is_empty() || !has_names) {
            let filled = of(&setting("subject"), filled(text, self.id.map(as_value).as_deref()))?;
            subject = of(&setting("subject"), subject.name(&filled))?;
        }
        subject = self.alternative_names(subject, identity, &setting)?;
        for usage in &identity.key_usage {
            subject = of(&setting("key-usage"), subject.key_usage(usage))?;
        }
        for purpose in &identity.extended_key_usage {
            subject = of(&setting("extended-key-usage"), subject.extended_key_usage(purpose))?;
        }
        for extension in &identity.extensions {
            let what = setting("extensions");
            let value = tuning::value_of(&what, extension.hex.as_deref(), extension.utf8.as_deref())?;
            subject = of_value(&what, subject.extension(&extension.oid, extension.critical, &value))?;
        }
        if let Some(issuer) = &identity.issuer {
            subject = of(&setting("issuer"), subject.issuer(issuer))?;
        }
        if let Some(span) = identity.validity {
            let clock = clock.ok_or_else(|| {
                wrong(format!("{} counts from the clock, and device.clock is \"none\"", setting("validity")))
            })?;
            subject = subject.validity(None, Some(clock.plus(i64::from(span.seconds()))));
        }
        of(&format!("identity.{name}"), subject.to_template())?;
        Ok(Some(subject))
    }

    fn alternative_names(
        &self,
        mut subject: Subject,
        identity: &Identity,
        setting: &dyn Fn(&str) -> String,
    ) -> Result<Subject, Error> {
        for host in &identity.dns {
            subject = of(&setting("dns"), self.fill(host).and_then(|host| subject.dns(&host)))?;
        }
        for text in &identity.ip {
            let address: IpAddr =
                text.parse().map_err(|_| wrong(format!("{}: \"{text}\" is not an address", setting("ip"))))?;
            subject = subject.ip(address);
        }
        for uri in &identity.uri {
            subject = of(&setting("uri"), self.fill(uri).and_then(|uri| subject.uri(&uri)))?;
        }
        for mailbox in &identity.email {
            subject = of(&setting("email"), self.fill(mailbox).and_then(|mailbox| subject.email(&mailbox)))?;
        }
        if let Some(module) = &identity.hardware_module {
            let named = self.fill(&module.serial);
            let named = named.and_then(|serial| subject.hardware_module(&module.r#type, serial.as_bytes()));
            subject = of(&setting("hardware-module"), named)?;
        }
        Ok(subject)
    }

    fn fill(&self, text: &str) -> Result<String, Error> {
        filled(text, self.id)
    }
}

/// The text with the identifier in place of `${id}`. Nothing else stands for something.
fn filled(text: &str, id: Option<&str>) -> Result<String, Error> {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("${") {
        let name = after.split_once('}').map(|(name, behind)| (name == "id", behind));
        let Some((true, behind)) = name else {
            return Err(wrong(format!("\"{text}\": expected ${{id}}, which alone stands for something (device.id)")));
        };
        let id = id.ok_or_else(|| wrong(format!("\"{text}\" asks for ${{id}}, and device.id is not set")))?;
        if id.is_empty() {
            return Err(wrong(format!("\"{text}\" asks for ${{id}}, and device.id has nothing but blanks")));
        }
        out.extend([before, id]);
        rest = behind;
    }
    Ok(out + rest)
}

/// What an identifier is in the text of a name: a value, whatever is in it (RFC 4514 section 2.4).
fn as_value(id: &str) -> String {
    let mut out = String::new();
    for c in id.chars() {
        match c {
            c if c.is_ascii_alphanumeric() || "-._:".contains(c) || !c.is_ascii() => out.push(c),
            c => out.push_str(&format!("\\{:02X}", u32::from(c))),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asn1::name::Name;

    #[test]
    fn an_identifier_is_one_value_whatever_is_in_it() {
        for id in [
            "r,O=Evil",
            "A+SERIALNUMBER=1",
            "Dell Inc.; OU=x",
            "#0c0141",
            "r/O=Evil",
            " x ",
            "a\"b\\c<d>",
            "\u{e4}\u{f6}",
        ] {
            for (subject, above) in [("CN=${id},O=Good", "O=Good"), ("/O=Good/CN=${id}", "O=Good")] {
                let name =
                    Name::parse(&filled(subject, Some(&as_value(id))).unwrap()).unwrap_or_else(|e| panic!("{id}: {e}"));
                let above = Name::parse(above).unwrap();
                let value = crate::asn1::der::element(0x0c, &[id.as_bytes()]);
                assert!(name.as_der().ends_with(&value), "{id}: {name}");
                // Name, O=Good, then SET, SEQUENCE and type of the one value.
                assert_eq!(name.as_der().len(), above.as_der().len() + 4 + 5 + value.len(), "{id}: {name}");
            }
        }
    }

    #[test]
    fn nothing_but_the_identifier_stands_for_something() {
        assert_eq!(filled("CN=${id}-${id}", Some("7")).unwrap(), "CN=7-7");
        for text in ["CN=${hostname}", "CN=${ID}", "CN=${id", "CN=${}"] {
            assert!(filled(text, Some("7")).unwrap_err().message().contains("expected ${id}"), "{text}");
        }
        assert!(filled("CN=${id}", None).unwrap_err().message().contains("device.id is not set"));
    }
}
