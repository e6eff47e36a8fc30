//! Settings that have no effect beside the others: each says what it needs ([`keys::ALL`]), and where that is not there, it is told.

use super::keys;
use super::reading::login_kind;
use super::row::{Choice, Need};
use super::settings::{Clock, Confirm, LoginKind, Settings, StatusCheck};
use crate::transport::{Scheme, Url};

/// What has no effect, in words that begin with the setting.
pub(super) fn without_effect(table: &toml::Table, settings: &Settings) -> Vec<String> {
    // Those that lack the same are told together.
    let mut lacking: Vec<(String, Vec<String>)> = Vec::new();
    for (path, is_value) in keys::paths_of(table) {
        let Some(key) = keys::find(&path).filter(|_| is_value) else { continue };
        let Some(why) = key.needs.lacks(settings) else { continue };
        match lacking.iter_mut().find(|(known, _)| *known == why) {
            Some((_, paths)) if !paths.contains(&path) => paths.push(path),
            Some(_) => {}
            None => lacking.push((why, vec![path])),
        }
    }
    let told = lacking.into_iter().map(|(why, paths)| format!("{}: no effect: {why}", paths.join(", ")));
    told.chain(values(settings).into_iter().map(|(path, why)| format!("{path}: no effect: {why}"))).collect()
}

impl Need {
    /// What is expected, and what was found in its place; `None`: it is there.
    fn lacks(self, settings: &Settings) -> Option<String> {
        let is_there = match self {
            Need::Nothing => return None,
            Need::Http | Need::Https | Need::Coap => return self.lacks_server(settings),
            Need::SecretLogin => login_kind(settings) == Some(LoginKind::Secret),
            Need::FileLogin => login_kind(settings) == Some(LoginKind::File),
            Need::FactoryLogin => matches!(login_kind(settings), Some(LoginKind::Factory) | None),
            Need::SignedLogin => !matches!(login_kind(settings), Some(LoginKind::Secret | LoginKind::MutualTls)),
            Need::TlsKey => settings.ca.tls.key.is_some(),
            Need::Clock => settings.device.clock == Clock::System,
            Need::Fetch => settings.peers.fetch,
        };
        let found = match self {
            Need::TlsKey => "ca.tls.key is not set".to_owned(),
            Need::Clock => "device.clock is \"none\"".to_owned(),
            Need::Fetch => "peers.fetch is not".to_owned(),
            _ => login_words(settings),
        };
        (!is_there).then(|| format!("expected {}, and {found}", self.words()))
    }

    /// Without a server nothing is asked of any, and that is told by itself.
    fn lacks_server(self, settings: &Settings) -> Option<String> {
        let server = settings.ca.server.as_deref()?;
        let scheme = Url::parse(server).ok()?.scheme();
        let is_there = match self {
            Need::Https => scheme == Scheme::Https,
            Need::Coap => scheme == Scheme::Coap,
            _ => scheme != Scheme::Coap,
        };
        (!is_there).then(|| format!("expected {}, and ca.server is {}", self.words(), crate::words::quoted(server)))
    }
}

/// Which login it is, by the setting that says so.
fn login_words(settings: &Settings) -> String {
    let login = &settings.ca.login;
    match (login.kind, login_kind(settings)) {
        (Some(kind), _) => format!("ca.login.kind is \"{}\"", kind.name()),
        (None, Some(LoginKind::Secret)) => "the login is by ca.login.reference".to_owned(),
        (None, Some(LoginKind::File)) => "the login is by ca.login.key".to_owned(),
        (None, _) => "neither ca.login.reference nor ca.login.key is set".to_owned(),
    }
}

/// Settings whose value has no effect, whatever others of theirs would.
fn values(settings: &Settings) -> Vec<(String, String)> {
    let (device, trust, tls) = (&settings.device, &settings.ca.trust, &settings.ca.tls);
    let is_off = |status: Option<StatusCheck>| status == Some(StatusCheck::Off);
    let looked = |name: &str| format!("the lists in ca.{name}.crls are looked at all the same");
    let mut found: Vec<(String, String)> = [
        (device.retention < 2, "device.retention", "2 generations are the least, and kept".to_owned()),
        (is_off(trust.status) && !trust.crls.is_empty(), "ca.trust.status", looked("trust")),
        (is_off(tls.status) && !tls.crls.is_empty(), "ca.tls.status", looked("tls")),
        (
            trust.signer_any && !trust.signers.is_empty(),
            "ca.trust.signer-any",
            "those in ca.trust.signers alone may protect answers".to_owned(),
        ),
        (
            settings.ca.confirm == Some(Confirm::Explicit)
                && settings.ca.tolerate.iter().any(|name| name == "never_confirm"),
            "ca.confirm",
            "ca.tolerate has never_confirm, by which nothing is confirmed".to_owned(),
        ),
        (
            settings.peers.fetch && cfg!(not(feature = "http")),
            "peers.fetch",
            "this build has no client for http".to_owned(),
        ),
        (
            settings.peers.directory.is_some() && cfg!(not(feature = "ldap")),
            "peers.directory",
            "this build has no client for ldap".to_owned(),
        ),
    ]
    .into_iter()
    .filter_map(|(is_so, path, why)| is_so.then(|| (path.to_owned(), why)))
    .collect();
    let proxy = settings.ca.proxy.as_ref().and_then(|proxy| Url::parse(&proxy.url).ok());
    if let Some(path) = proxy.as_ref().map(Url::target).filter(|path| !["", "/"].contains(path)) {
        found.push((
            "ca.proxy.url".to_owned(),
            format!("of its path, {}: a proxy has none", crate::words::quoted(path)),
        ));
    }
    if settings.ca.login.password.is_some() && settings.ca.login.key.as_deref().is_some_and(super::files::is_in_token) {
        found.push(("ca.login.password".to_owned(), "the key is in a token, which device.pkcs11.pin opens".to_owned()));
    }
    for (name, identity) in &settings.identity {
        if identity.export.iter().any(|export| export.layout == "pem" && !export.anchors.is_empty()) {
            let why = "layout \"pem\" has no place for anchors; \"openssl\" has".to_owned();
            found.push((format!("identity.{name}.export.anchors"), why));
        }
        if let (Some(first), Some(longest)) = (identity.renew.first_wait, identity.renew.longest_wait) {
            if first.0 > longest.0 {
                let why = format!("identity.{name}.renew.longest-wait is shorter, and bounds it");
                found.push((format!("identity.{name}.renew.first-wait"), why));
            }
        }
    }
    found
}
