//! From settings to the client: server, trust, TLS, and who the device is before it has a certificate; what is asked for.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::files::{read_certificates, read_key};
use super::settings::{self, Clock, Identity, LoginKind};
use super::{Device, tuning, wrong};
use crate::asn1::x509::Certificate;
use crate::client::{Client, Config, Subject};
use crate::cmp::Signer;
use crate::codes::Code;
use crate::error::Error;
use crate::store::AnchorSet;
use crate::validation::TrustAnchors;

impl Device {
    /// The client's settings. `with_login` reads the credential for the first certificate, which may ask at the terminal.
    pub fn config(&self, with_login: bool) -> Result<Config, Error> {
        let ca = &self.settings.ca;
        let mut config = Config::new();
        config.server_url = ca.server.clone();
        if let Some(profile) = &ca.profile {
            config.apply_profile(profile)?;
        }
        if let Some(text) = &ca.recipient {
            config.recipient = Some(crate::asn1::name::Name::parse(text)?);
        }
        config.cert_profile = ca.cert_profile.clone();
        config.ask_implicit_confirm |= ca.confirm == settings::Confirm::Implicit;
        config.accept_ca_pubs = ca.accept_ca_pubs;
        if let Some(window) = ca.time_window {
            config.message_time_window_seconds = Some(window.seconds());
        }
        if self.settings.device.clock == Clock::None {
            config.message_time_window_seconds = None;
        }
        let limits = &mut config.exchange_limits;
        let put = |to: &mut Duration, from: Option<super::Span>| *to = from.map_or(*to, |span| span.0);
        put(&mut limits.connect_timeout, ca.http.connect);
        put(&mut limits.read_timeout, ca.http.read);
        put(&mut limits.total_timeout, ca.http.total);
        config.max_retries = config.max_retries.max(ca.http.retries);
        if let Some(proxy) = &ca.proxy {
            config.proxy_url = Some(proxy.url.clone());
            if let (Some(user), Some(source)) = (&proxy.user, &proxy.password) {
                config.proxy_login = Some((user.clone(), source.read_text("the proxy's password")?));
            }
        }
        self.trust(&mut config)?;
        self.tls(&mut config)?;
        self.tune(&mut config)?;
        if with_login {
            self.login(&mut config)?;
        }
        Ok(config)
    }

    fn trust(&self, config: &mut Config) -> Result<(), Error> {
        let trust = &self.settings.ca.trust;
        let sets: [(&mut TrustAnchors, &[PathBuf], AnchorSet); 3] = [
            (&mut config.cmp_anchors, &trust.answers, AnchorSet::Cmp),
            (&mut config.enrolment_anchors, &trust.issued, AnchorSet::Enrolment),
            (&mut config.tls.anchors, &trust.tls, AnchorSet::Tls),
        ];
        for (anchors, own, set) in sets {
            for certificate in read_certificates(own.iter().chain(&trust.all))? {
                anchors.add(certificate);
            }
            // What is wrong with a set is told by the plan; what it would have vouched for is refused.
            for certificate in self.store.readable_anchors(set)?.0 {
                anchors.add(certificate);
            }
        }
        config.intermediates = read_certificates(&trust.intermediates)?;
        let signers = read_certificates(&trust.signers)?;
        if !signers.is_empty() {
            config.pin_signers(signers);
        }
        Ok(())
    }

    fn tls(&self, config: &mut Config) -> Result<(), Error> {
        let tls = &self.settings.ca.tls;
        config.tls.server_name = tls.name.clone();
        if let (Some(key), Some(certificates)) = (&tls.key, &tls.certificates) {
            let key = read_key(key, tls.password.as_ref())?;
            config.tls.set_credential(key, &read_certificates([certificates])?)?;
        }
        Ok(())
    }

    /// The credential for the first certificate.
    fn login(&self, config: &mut Config) -> Result<(), Error> {
        let login = &self.settings.ca.login;
        let kind = login.kind.or(match (&login.reference, &login.key) {
            (Some(_), _) => Some(LoginKind::Secret),
            (None, Some(_)) => Some(LoginKind::File),
            (None, None) => None,
        });
        match kind {
            Some(LoginKind::Secret) => {
                let reference = reference_octets(login.reference.as_deref().unwrap_or_default())?;
                let missing = || wrong("ca.login.secret is missing: the source of the secret");
                let secret = login.secret.as_ref().ok_or_else(missing)?.read("the secret shared with the CA")?;
                config.protect_with_secret(&reference, &secret, tuning::mac_of(login)?);
            }
            Some(LoginKind::File) => {
                let missing = |key: &str| wrong(format!("ca.login.{key} is missing"));
                let path = login.key.as_ref().ok_or_else(|| missing("key"))?;
                let certificates = login.certificates.as_ref().ok_or_else(|| missing("certificates"))?;
                let key = read_key(path, login.password.as_ref())?;
                config.set_credential(Signer::Key(key), &read_certificates([certificates])?)?;
            }
            Some(LoginKind::MutualTls) => config.protect_by_mutual_tls(),
            Some(LoginKind::Factory) | None => {
                let Some(name) = self.factory() else { return Ok(()) };
                self.log_in_as(config, name)?;
            }
        }
        match &login.signature {
            Some(wanted) if kind != Some(LoginKind::Secret) => tuning::sign_with(config, wanted),
            _ => Ok(()),
        }
    }

    /// The credential is an identity in device memory.
    pub fn log_in_as(&self, config: &mut Config, name: &str) -> Result<(), Error> {
        let identity = self.store.last_good(name)?.0;
        let key = self.store.open_key(&identity.key)?.ok_or_else(|| {
            let words = format!("the key of \"{name}\" is in a token or elsewhere, and nothing here can open it");
            Error::new(Code::Signer, words)
        })?;
        let chain: Vec<Certificate> = std::iter::once(identity.certificate).chain(identity.chain).collect();
        if self.settings.ca.server.as_deref().is_some_and(|url| url.starts_with("https:"))
            && config.tls.certificate().is_none()
        {
            config.tls.set_credential(Arc::clone(&key), &chain)?;
        }
        config.set_credential(Signer::Key(key), &chain)
    }

    /// A client of an identity that can vouch for itself.
    pub fn client_of(&self, name: &str) -> Result<Client, Error> {
        self.store.bring_back(name)?;
        let mut config = self.config(false)?;
        config.renew_with_uses = self.identity(name).renew.with_uses;
        self.log_in_as(&mut config, name)?;
        config.build()
    }

    /// Settings with whatever credential is at hand: the identity itself, or else the login.
    pub fn any_config(&self, name: &str) -> Result<Config, Error> {
        if self.store.state(name)?.current.is_none() {
            return self.config(true);
        }
        let mut config = self.config(false)?;
        config.renew_with_uses = self.identity(name).renew.with_uses;
        self.log_in_as(&mut config, name)?;
        Ok(config)
    }

    /// A client with that credential.
    pub fn any_client(&self, name: &str) -> Result<Client, Error> {
        self.any_config(name)?.build()
    }

    /// What is asked for, if the settings say.
    pub fn subject(&self, name: &str, identity: &Identity) -> Result<Option<Subject>, Error> {
        let is_told = identity.subject.is_some()
            || [&identity.dns, &identity.ip, &identity.uri, &identity.email].iter().any(|names| !names.is_empty())
            || identity.hardware_module.is_some();
        if !is_told {
            return Ok(None);
        }
        let mut subject = Subject::new();
        if let Some(text) = &identity.subject {
            subject = subject.name(&filled(text, self.id.as_deref().map(as_value).as_deref())?)?;
        }
        for host in &identity.dns {
            subject = subject.dns(&self.fill(host)?)?;
        }
        for text in &identity.ip {
            let address: IpAddr =
                text.parse().map_err(|_| wrong(format!("identity.{name}.ip: \"{text}\" is not an address")))?;
            subject = subject.ip(address);
        }
        for uri in &identity.uri {
            subject = subject.uri(&self.fill(uri)?)?;
        }
        for mailbox in &identity.email {
            subject = subject.email(&self.fill(mailbox)?)?;
        }
        if let Some(module) = &identity.hardware_module {
            subject = subject.hardware_module(&module.r#type, self.fill(&module.serial)?.as_bytes())?;
        }
        for usage in &identity.key_usage {
            subject = subject.key_usage(usage)?;
        }
        for purpose in &identity.extended_key_usage {
            subject = subject.extended_key_usage(purpose)?;
        }
        for extension in &identity.extensions {
            let what = format!("identity.{name}.extensions");
            let value = tuning::value_of(&what, extension.hex.as_deref(), extension.utf8.as_deref())?;
            subject = subject.extension(&extension.oid, extension.critical, &value)?;
        }
        if let Some(issuer) = &identity.issuer {
            subject = subject.issuer(issuer)?;
        }
        if let Some(span) = identity.validity {
            let clock = self.clock().ok_or_else(|| {
                wrong(format!("identity.{name}.validity counts from the clock, and device.clock is \"none\""))
            })?;
            subject = subject.validity(None, Some(clock.plus(i64::from(span.seconds()))));
        }
        Ok(Some(subject))
    }

    fn fill(&self, text: &str) -> Result<String, Error> {
        filled(text, self.id.as_deref())
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

/// A reference value is octets: text, or `hex:` and digits.
fn reference_octets(text: &str) -> Result<Vec<u8>, Error> {
    let Some(digits) = text.strip_prefix("hex:") else { return Ok(text.as_bytes().to_vec()) };
    let wrong = || wrong("ca.login.reference: an even number of hexadecimal digits follows hex:");
    if digits.is_empty() || digits.len() % 2 != 0 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| wrong())).collect()
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
