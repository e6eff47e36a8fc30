//! What each setting means: for `devid config explain`, for the schema, and to find the one that is meant.

pub use super::idle::Need;

/// One setting.
pub struct Key {
    /// Its name; `*` stands for a name of the user's own.
    pub path: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// Its default, in words.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
    /// What must stand beside it for that.
    pub needs: Need,
}

impl Key {
    /// With what it needs beside it.
    const fn with(self, needs: Need) -> Self {
        Key { needs, ..self }
    }
}

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A whole number.
    Number,
    /// A number from 0 to below 1.
    Share,
    /// True or false.
    Switch,
    /// A span of time with its unit.
    Span,
    /// The source of a secret.
    Secret,
    /// A path.
    Path,
    /// A list of paths.
    Paths,
    /// A list of texts.
    Texts,
    /// One of these.
    OneOf(&'static [&'static str]),
}

impl Kind {
    /// For people.
    pub fn words(self) -> String {
        match self {
            Kind::Text => "text".to_owned(),
            Kind::Number => "a whole number".to_owned(),
            Kind::Share => "a number from 0 to below 1".to_owned(),
            Kind::Switch => "true or false".to_owned(),
            Kind::Span => "a span of time with its unit: 90s, 15m, 12h, 7d".to_owned(),
            Kind::Secret => "the source of a secret: file:PATH, fd:NUMBER, cred:NAME, env:NAME, prompt".to_owned(),
            Kind::Path => "a path".to_owned(),
            Kind::Paths => "a list of paths".to_owned(),
            Kind::Texts => "a list of texts".to_owned(),
            Kind::OneOf(names) => names.iter().map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", "),
        }
    }
}

const fn key(path: &'static str, kind: Kind, default: &'static str, meaning: &'static str) -> Key {
    Key { path, kind, default, meaning, needs: Need::Nothing }
}

/// Every setting.
pub const ALL: &[Key] = &[
    key(
        "device.memory",
        Kind::Path,
        "/var/lib/devid",
        "Folder of device memory: keys, certificates, trust anchors, what is unfinished.",
    ),
    key(
        "device.retention",
        Kind::Number,
        "2",
        "How many generations of an identity are kept, the one in use included.",
    ),
    key("device.seal", Kind::Secret, "none: keys are kept unencrypted", "Encrypts private keys at rest."),
    key(
        "device.id",
        Kind::Text,
        "the names in the certificate",
        "What tells this device from others: its place among a fleet's renewals. Text, or file:PATH.",
    ),
    key(
        "device.clock",
        Kind::OneOf(&["system", "none"]),
        "system",
        "\"none\" for devices without a clock: the time is learnt from authentic answers.",
    ),
    key("device.pkcs11.module", Kind::Path, "none", "The library of a PKCS#11 token that holds keys."),
    key("device.pkcs11.pin", Kind::Secret, "none", "The user's PIN of that token."),
    key("ca.server", Kind::Text, "none", "URL of the CMP server: http, https or coap."),
    key("ca.profile", Kind::Text, "none", "What a known CA needs, by name: see docs/known-cas.md."),
    key(
        "ca.recipient",
        Kind::Text,
        "the issuer of the credential",
        "The CA's name in the first message, such as CN=Issuing CA.",
    ),
    key(
        "ca.cert-profile",
        Kind::Text,
        "none",
        "Name of the certificate profile to ask for (RFC 9810 section 5.1.1.4).",
    ),
    key(
        "ca.confirm",
        Kind::OneOf(&["explicit", "implicit"]),
        "explicit",
        "\"implicit\" asks the CA to do without certConf (RFC 9483 section 4.1.1).",
    ),
    key(
        "ca.time-window",
        Kind::Span,
        "1h",
        "How far the time in answers may be from the clock. Beyond it, enrolments and renewals go on by both times, and the clock counts as contradicted; whatever else is asked (revoke, cmp) is refused (MESSAGE_TIME). Off with device.clock = \"none\".",
    ).with(Need::Clock),
    key(
        "ca.accept-ca-pubs",
        Kind::Switch,
        "false",
        "Take trust anchors that come with the first certificate, where the answer is protected by the shared secret: they are kept in device memory (devid anchors list), and renewals are believed under them.",
    ).with(Need::SecretLogin),
    key(
        "ca.adopt-root",
        Kind::Switch,
        "false",
        "Take the root that comes with the first certificate as an anchor (3GPP TS 33.310 section 9.5.4): whoever answers first is believed, for good, as it is kept in device memory (devid anchors list). It comes with an answer that is signed.",
    ),
    key(
        "ca.root-fingerprints",
        Kind::Texts,
        "none",
        "SHA-256 of roots that are known by nothing else; no other anchors are needed then. One that comes with the first certificate is kept in device memory (devid anchors list).",
    ),
    key(
        "ca.accept",
        Kind::OneOf(&["exact", "same-or-added", "any-order", "anything-but-the-key"]),
        "same-or-added, or what the profile says",
        "How a certificate may differ from what was asked for.",
    ),
    key(
        "ca.tolerate",
        Kind::Texts,
        "none, or what the profile says",
        "Deviations of the server that are taken, by the names of docs/known-cas.md; each loosens something.",
    ),
    key("ca.refuse", Kind::Texts, "none", "Deviations that are not taken, over defaults and profile."),
    key("ca.send-time", Kind::Switch, "true", "Send messageTime."),
    key(
        "ca.clock-skew",
        Kind::Span,
        "5m",
        "How far two clocks may be apart wherever they meet: thisUpdate of status data, notBefore of peers and TLS servers.",
    ),
    key(
        "ca.possession",
        Kind::OneOf(&["signature", "encrCert", "challengeResp"]),
        "signature",
        "How possession of new keys is proved (RFC 9810 section 5.2.8).",
    ),
    key(
        "ca.general-info.oid",
        Kind::Text,
        "none",
        "Identifier of an item of generalInfo that goes with requests, such as a vendor's.",
    ),
    key("ca.general-info.hex", Kind::Text, "no value", "Its value, DER in hexadecimal."),
    key("ca.general-info.utf8", Kind::Text, "no value", "Its value as text."),
    key("ca.limits.message-bytes", Kind::Number, "4194304", "Largest message accepted."),
    key("ca.limits.certificates", Kind::Number, "64", "Most certificates read from one list of a message."),
    key("ca.limits.polls", Kind::Number, "10000", "Most poll requests in one operation."),
    key(
        "ca.limits.check-after",
        Kind::Span,
        "7d",
        "Longest single wait that the server may ask for; longer ones are cut.",
    ),
    key("ca.limits.total", Kind::Span, "30d", "Longest time of one operation: CAs with approval by people take days."),
    key(
        "ca.limits.mac-iterations",
        Kind::Number,
        "1000000",
        "Most iterations of a MAC that the server may impose (max_mac_iterations).",
    ).with(Need::SecretLogin),
    key("ca.limits.mac-salt-bytes", Kind::Number, "256", "Longest salt of a MAC.").with(Need::SecretLogin),
    key("ca.proxy.url", Kind::Text, "none", "HTTP proxy, http://host:port. The environment is never asked.").with(Need::Http),
    key("ca.proxy.user", Kind::Text, "none", "User name for the proxy.").with(Need::Http),
    key("ca.proxy.password", Kind::Secret, "none", "Password for the proxy.").with(Need::Http),
    key("ca.http.connect", Kind::Span, "15s", "Longest time to connect."),
    key("ca.http.read", Kind::Span, "60s", "Longest silence of the server."),
    key("ca.http.total", Kind::Span, "120s", "Longest time of one exchange."),
    key("ca.http.retries", Kind::Number, "0", "How often a message is sent again that cannot have been processed."),
    key("ca.http.version", Kind::OneOf(&["1.1", "1.0"]), "1.1", "Version of HTTP, for servers that know 1.0 alone.").with(Need::Http),
    key("ca.coap.block", Kind::Number, "1024", "Largest block sent and wished for: 16, 32, ... 1024 bytes.").with(Need::Coap),
    key(
        "ca.coap.ack",
        Kind::Span,
        "2s",
        "Time to the first repetition of a message; each further one takes twice as long.",
    ).with(Need::Coap),
    key("ca.coap.retransmit", Kind::Number, "4", "How often a message is repeated.").with(Need::Coap),
    key("ca.coap.strict-type", Kind::Switch, "false", "Take only the content-format of RFC 9482.").with(Need::Coap),
    key(
        "ca.login.kind",
        Kind::OneOf(&["secret", "factory", "file", "mutual-tls"]),
        "by what is given",
        "How the first certificate is asked for: by a shared secret, by the identity from the factory in device memory, by key and certificate in files, by TLS with certificates on both sides alone.",
    ),
    key(
        "ca.login.reference",
        Kind::Text,
        "none",
        "Reference value: tells the CA which secret. Text, or hex:... for octets.",
    ).with(Need::SecretLogin),
    key("ca.login.secret", Kind::Secret, "none", "The secret shared with the CA.").with(Need::SecretLogin),
    key(
        "ca.login.mac",
        Kind::OneOf(&["password-based", "pbmac1"]),
        "password-based, or what the profile says",
        "How the MAC under the secret is made (RFC 9481 section 6.1).",
    ).with(Need::SecretLogin),
    key(
        "ca.login.mac-digest",
        Kind::OneOf(&["SHA1", "SHA256", "SHA384", "SHA512"]),
        "SHA256, or what the profile says",
        "Digest of that MAC.",
    ).with(Need::SecretLogin),
    key("ca.login.mac-iterations", Kind::Number, "10000, PBMAC1 100000", "Iterations of that MAC's key derivation.").with(Need::SecretLogin),
    key(
        "ca.login.signature",
        Kind::Text,
        "by the key",
        "Algorithm that signs messages of the login, such as RSA-PSS-SHA256.",
    ).with(Need::SignedLogin),
    key("ca.login.factory", Kind::Text, "idevid", "Name of the factory's identity in device memory.").with(Need::FactoryLogin),
    key("ca.login.key", Kind::Path, "none", "File with the private key to log in with, or its pkcs11: URI in the token of device.pkcs11.").with(Need::FileLogin),
    key("ca.login.certificates", Kind::Path, "none", "File with its certificate first, and its issuers.").with(Need::FileLogin),
    key("ca.login.password", Kind::Secret, "none", "Opens that key.").with(Need::FileLogin),
    key("ca.trust.all", Kind::Paths, "none", "Root certificates that count as answers, issued and tls in one word."),
    key("ca.trust.answers", Kind::Paths, "none", "Roots of those who may protect CMP answers."),
    key("ca.trust.issued", Kind::Paths, "none", "Roots that certificates issued to this device must lead to."),
    key("ca.trust.tls", Kind::Paths, "none", "Roots of HTTPS servers.").with(Need::Https),
    key(
        "ca.trust.intermediates",
        Kind::Paths,
        "none",
        "Certificates that help to find paths; nothing is trusted for being here.",
    ),
    key("ca.trust.signers", Kind::Paths, "none", "Only these certificates may protect answers."),
    key(
        "ca.trust.signer-subjects",
        Kind::Texts,
        "none",
        "Only signers with these subjects may protect answers; of several, all.",
    ),
    key(
        "ca.trust.signer-cmc",
        Kind::Switch,
        "false",
        "Only signers with the purpose cmcCA or cmcRA (RFC 6402) may protect answers.",
    ),
    key(
        "ca.trust.signer-any",
        Kind::Switch,
        "false",
        "Anybody below the anchors for answers may protect them: only where no device stands below these.",
    ),
    key(
        "ca.trust.status",
        Kind::OneOf(&["off", "soft", "hard"]),
        "off",
        "How revocation of those who protect answers is looked at.",
    ),
    key(
        "ca.trust.crls",
        Kind::Paths,
        "none",
        "Revocation lists about them; they are looked at also where ca.trust.status is not set.",
    ),
    key("ca.tls.name", Kind::Text, "the URL's host", "The server's name in its certificate.").with(Need::Https),
    key("ca.tls.intermediates", Kind::Paths, "none", "Certificates that help servers which forget to send theirs.").with(Need::Https),
    key(
        "ca.tls.pins",
        Kind::Texts,
        "none",
        "One of these must be on the server's path, besides everything else: sha256:HEX of a certificate, spki:HEX of its key.",
    ).with(Need::Https),
    key("ca.tls.min-version", Kind::OneOf(&["1.2", "1.3"]), "1.2", "Oldest version of TLS that is spoken.").with(Need::Https),
    key("ca.tls.status", Kind::OneOf(&["off", "soft", "hard"]), "off", "How revocation of the server is looked at.").with(Need::Https),
    key(
        "ca.tls.crls",
        Kind::Paths,
        "none",
        "Revocation lists about servers; they are looked at also where ca.tls.status is not set.",
    ).with(Need::Https),
    key("ca.tls.key", Kind::Path, "none", "File with the key of the TLS client certificate, or its pkcs11: URI.").with(Need::Https),
    key("ca.tls.certificates", Kind::Path, "none", "File with the TLS client certificate first, and its issuers.").with(Need::Https),
    key("ca.tls.password", Kind::Secret, "none", "Opens that key.").with(Need::TlsKey),
    key("identity.*.purpose", Kind::Text, "ldevid", "What the identity is for: a plain name kept beside it."),
    key(
        "identity.*.subject",
        Kind::Text,
        "none",
        "The subject to ask for, such as CN=router-7,O=Example. ${id} stands for device.id.",
    ),
    key(
        "identity.*.nameless",
        Kind::Switch,
        "false",
        "Ask for no name at all: the CA knows the device by its credential and chooses (3GPP TS 33.310 section 9.5.4.2).",
    ),
    key("identity.*.dns", Kind::Texts, "none", "Host names to ask for."),
    key("identity.*.ip", Kind::Texts, "none", "Addresses to ask for."),
    key("identity.*.uri", Kind::Texts, "none", "URIs to ask for."),
    key("identity.*.email", Kind::Texts, "none", "Mailboxes to ask for."),
    key(
        "identity.*.hardware-module.type",
        Kind::Text,
        "none",
        "Type of the hardware: its maker's object identifier (RFC 4108 section 5).",
    ),
    key("identity.*.hardware-module.serial", Kind::Text, "none", "Serial number of the hardware."),
    key("identity.*.key-usage", Kind::Texts, "the CA decides", "Key usages to ask for, such as digitalSignature."),
    key("identity.*.extended-key-usage", Kind::Texts, "the CA decides", "Purposes to ask for, such as clientAuth."),
    key("identity.*.extensions.oid", Kind::Text, "none", "Identifier of an extension to ask for."),
    key("identity.*.extensions.critical", Kind::Switch, "false", "Whether it is critical."),
    key("identity.*.extensions.hex", Kind::Text, "none", "Its value, DER in hexadecimal."),
    key("identity.*.extensions.utf8", Kind::Text, "none", "Its value as text."),
    key("identity.*.issuer", Kind::Text, "the CA decides", "The issuer to ask for."),
    key("identity.*.validity", Kind::Span, "the CA decides", "The validity to ask for, from now."),
    key(
        "identity.*.key",
        Kind::Text,
        "P-256",
        "Type of the keys: P-256, P-384, P-521, Ed25519, RSA-2048, RSA-3072, RSA-4096, ML-DSA-44, ...",
    ),
    key(
        "identity.*.key-at",
        Kind::Text,
        "device memory",
        "Where its keys are made: a pkcs11: URI with object=NAME, in the token of device.pkcs11; each key gets an id of its own.",
    ),
    key("identity.*.renew.at", Kind::Share, "0.667", "Renew when this share of the lifetime is over."),
    key(
        "identity.*.renew.spread",
        Kind::Share,
        "0.333",
        "How much earlier a device may renew to get to its own place in a fleet.",
    ),
    key("identity.*.renew.same-key", Kind::Switch, "false", "Renew with the key at hand instead of a new one."),
    key(
        "identity.*.renew.with-uses",
        Kind::Switch,
        "false",
        "Ask for the usages, purposes and policies of the old certificate too, not for its names alone.",
    ),
    key(
        "identity.*.renew.first-wait",
        Kind::Span,
        "15m",
        "The wait after the first failure; it doubles with each further one.",
    ),
    key("identity.*.renew.longest-wait", Kind::Span, "1d", "The longest wait between attempts."),
    key("identity.*.renew.refusals", Kind::Number, "8", "How often the CA may refuse, or issue what the settings refuse, before the device asks rarely."),
    key(
        "identity.*.export.layout",
        Kind::OneOf(&["pem", "openssl", "nginx", "strongswan", "mosquitto", "pkcs12"]),
        "none",
        "For which software the files are written.",
    ),
    key("identity.*.export.folder", Kind::Path, "none", "Where to."),
    key("identity.*.export.anchors", Kind::Paths, "none", "Whom that software shall trust."),
    key("identity.*.export.password", Kind::Secret, "none", "Encrypts the private key in the files."),
    key(
        "identity.*.export.owner",
        Kind::Text,
        "the program's own user",
        "Whom the private key's file is given to: USER or USER:GROUP, names or numbers.",
    ),
    key(
        "identity.*.export.then",
        Kind::Texts,
        "none",
        "Program and arguments to run when the files have changed; no shell.",
    ),
    key("hooks.changed", Kind::Texts, "none", "Run when an identity has changed."),
    key("hooks.waiting", Kind::Texts, "none", "Run when the CA asks to wait."),
    key("hooks.failed", Kind::Texts, "none", "Run when an attempt has failed."),
    key("hooks.alarm", Kind::Texts, "none", "Run when a renewal is late or there is no usable identity."),
    key("peers.trust", Kind::Paths, "the set peer of device memory", "Roots of peers, for devid validate."),
    key("peers.purpose", Kind::Text, "any", "What a peer's certificate must be for, such as serverAuth."),
    key("peers.status", Kind::OneOf(&["off", "soft", "hard"]), "soft", "How revocation is looked at."),
    key("peers.fetch", Kind::Switch, "false", "Fetch CRLs and OCSP answers by the URLs in certificates."),
    key(
        "peers.allow-weak",
        Kind::Switch,
        "false",
        "Take SHA-1 signatures and RSA keys of 1024 bits in the paths of peers.",
    ),
    key("peers.directory", Kind::Text, "none", "Directory that ldap: URLs without a host mean, as HOST or HOST:PORT.").with(Need::Fetch),
    key("run.status-file", Kind::Path, "none", "devid run keeps the JSON of devid status there."),
];

/// The setting of this name.
pub fn find(name: &str) -> Option<&'static Key> {
    ALL.iter().find(|key| key.path == name || matches(key.path, name))
}

/// The setting whose name is most like this one, with the user's own names put in.
pub fn nearest(name: &str) -> Option<String> {
    let filled = ALL.iter().map(|key| fill(key.path, name));
    let (distance, best) = filled.map(|path| (distance(&path, name), path)).min()?;
    (distance <= name.len() / 3 + 1).then_some(best)
}

/// All names in a table of settings, and whether each is a value.
pub(super) fn paths_of(table: &toml::Table) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    paths(&toml::Value::Table(table.clone()), "", &mut found);
    found
}

fn paths(value: &toml::Value, at: &str, out: &mut Vec<(String, bool)>) {
    let below = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    match value {
        toml::Value::Table(table) => {
            if !at.is_empty() {
                out.push((at.to_owned(), false));
            }
            for (name, value) in table {
                paths(value, &below(name), out);
            }
        }
        toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => {
            items.iter().for_each(|item| paths(item, at, out));
        }
        _ => out.push((at.to_owned(), true)),
    }
}

pub(super) fn is_known(path: &str, is_value: bool) -> bool {
    ALL.iter().any(|key| matches(key.path, path) || (!is_value && is_above(key.path, path)))
}

pub(super) fn matches(pattern: &str, path: &str) -> bool {
    pattern.split('.').count() == path.split('.').count() && is_above_or_same(pattern, path)
}

fn is_above(pattern: &str, path: &str) -> bool {
    path.split('.').count() < pattern.split('.').count() && is_above_or_same(pattern, path)
}

fn is_above_or_same(pattern: &str, path: &str) -> bool {
    pattern.split('.').zip(path.split('.')).all(|(p, part)| p == "*" || p == part)
}

fn fill(pattern: &str, name: &str) -> String {
    let mut own = name.split('.');
    pattern
        .split('.')
        .map(|part| {
            let given = own.next();
            if part == "*" { given.unwrap_or("*") } else { part }
        })
        .collect::<Vec<_>>()
        .join(".")
}

/// Levenshtein's distance: how many letters differ.
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let next = (row[j + 1] + 1).min(row[j] + 1).min(corner + usize::from(ca != *cb));
            corner = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[b.len()]
}
