//! `doctor`: what would fail, step by step, and how to mend it. Changes nothing; what depends on something that failed is
//! not tried.

use std::io::{Read, Write};
use std::net::ToSocketAddrs;
use std::path::Path;
use std::time::Duration;

use devid::Error;
use devid::asn1::name::display;
use devid::client::device::{Clock, in_settings};
use devid::client::probe::Probe;
use devid::client::renewal::{Alarm, Standing};
use devid::client::run::system_time;
use devid::client::{Client, Config, Plan};
use devid::cmp::Credential;
use devid::store::{AnchorSet, ProblemKind, StoreErrorKind};
use devid::transport::{Scheme, Url};
use serde_json::{Value, json};

use super::status;
use crate::arguments::{Arguments, Doctor};
use crate::attendant::end_at_signals;
use crate::device::Device;
use crate::failure::{Exit, Failure};
use crate::output::{Output, date, rfc3339};
use crate::settings::{Loaded, Settings, Source, judge};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    Warning,
    Error,
    Skipped,
}

struct Check {
    name: &'static str,
    verdict: Verdict,
    fact: String,
    mend: Option<String>,
}

/// The check of the settings by themselves.
const SETTINGS: &str = "settings.check";

#[derive(Default)]
struct Findings(Vec<Check>);

impl Findings {
    fn add(&mut self, name: &'static str, verdict: Verdict, fact: impl Into<String>, mend: Option<String>) {
        let fact = fact.into();
        // What is wrong with a setting is told once, not by everything that needs it.
        let is_told = |check: &Check| {
            check.name == SETTINGS
                && check.verdict == Verdict::Error
                && name != SETTINGS
                && (fact.contains(&check.fact) || check.fact.starts_with(&fact))
        };
        if verdict == Verdict::Error && self.0.iter().any(is_told) {
            return self.skip(&[name], SETTINGS);
        }
        self.0.push(Check { name, verdict, fact, mend });
    }

    fn good(&mut self, name: &'static str, fact: impl Into<String>) {
        self.add(name, Verdict::Good, fact, None);
    }

    fn skip(&mut self, names: &[&'static str], because: &str) {
        for name in names {
            self.add(name, Verdict::Skipped, format!("skipped: {because}"), None);
        }
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.0.iter().filter(|check| check.verdict == verdict).count()
    }
}

pub fn run(command: &Doctor, arguments: &Arguments, output: Output) -> Result<Exit, Failure> {
    end_at_signals("doctor", output);
    let mut findings = Findings::default();
    let loaded = arguments.load();
    match &loaded {
        Err(failure) => {
            findings.add("settings.read", Verdict::Error, failure.to_string(), Some("devid config explain".to_owned()))
        }
        Ok(loaded) => {
            let from = loaded.files.first().map_or_else(|| "no file".to_owned(), |path| path.display().to_string());
            findings.good("settings.read", from);
            for one in judge(loaded) {
                let verdict = if one.fails { Verdict::Error } else { Verdict::Warning };
                findings.add(SETTINGS, verdict, one.words, Some("devid config explain".to_owned()));
            }
            look(loaded, command.offline, &mut findings);
        }
    }
    Ok(tell(&findings, output))
}

fn look(loaded: &Loaded, is_offline: bool, findings: &mut Findings) {
    let settings = &loaded.settings;
    clock(settings, findings);
    let device = match Device::open(loaded, false) {
        Err(failure) if is_made_later(settings) => {
            let mend = "where this device has had one: mount its medium, or name it by device.memory".to_owned();
            findings.add("memory.open", Verdict::Warning, format!("{failure}"), Some(mend));
            let device = Device::without_memory(loaded).map_err(Failure::from);
            device.inspect(|device| identities(device, findings)).ok()
        }
        Err(failure) => {
            let mend = Some("devid config explain device.memory".to_owned());
            findings.add("memory.open", Verdict::Error, failure.to_string(), mend);
            findings.skip(
                &["memory.lock", "memory.room", "memory.verify", "identity", "anchors", "login", "cmp.answer"],
                "memory.open",
            );
            None
        }
        Ok(device) => {
            findings.good("memory.open", settings.device.memory.display().to_string());
            lock(&device, findings);
            room(&device, findings);
            memory(&device, findings);
            pins(&device, findings);
            Some(device)
        }
    };
    let is_reached = if is_offline {
        findings.skip(&["net.dns", "net.tcp"], "--offline");
        false
    } else {
        way(settings, findings)
    };
    let Some(device) = device else { return };
    let has_anchors = anchors(&device, findings);
    let has_login = login(&device, findings);
    match (is_reached, has_anchors && has_login) {
        (true, true) => answer(&device, findings),
        (false, _) => {
            findings.skip(&["cmp.answer"], if is_offline { "--offline" } else { "the server was not reached" })
        }
        (_, false) => findings.skip(&["cmp.answer"], "anchors or login"),
    }
}

/// The first enrolment makes device memory where only its own folder is missing.
fn is_made_later(settings: &Settings) -> bool {
    let memory = &settings.device.memory;
    let above = memory.parent().map(|above| if above.as_os_str().is_empty() { Path::new(".") } else { above });
    !memory.exists() && above.is_some_and(Path::is_dir)
}

/// A day before this library was written is not today.
const EARLIEST: i64 = 1_764_547_200;

fn clock(settings: &Settings, findings: &mut Findings) {
    let now = system_time();
    match (settings.device.clock, now.unix() >= EARLIEST) {
        (Clock::None, _) => findings.good("clock", "none (device.clock): the time is learnt from the CA"),
        (Clock::System, true) => findings.good("clock", rfc3339(now)),
        (Clock::System, false) => findings.add(
            "clock",
            Verdict::Warning,
            format!("the clock says {}, which is in the past", date(now)),
            Some("set the clock, or device.clock = \"none\" to learn the time from the CA".to_owned()),
        ),
    }
}

/// Whether anything in device memory can be changed, now or in a moment.
fn lock(device: &Device, findings: &mut Findings) {
    match device.store.hold() {
        Ok(hold) => {
            drop(hold);
            findings.good("memory.lock", "nobody keeps it from being changed");
        }
        Err(error) => {
            let mend = (error.kind == StoreErrorKind::Locked).then(|| {
                "until it lets go nothing is enrolled, renewed or installed: if it does not end by itself, end it; device memory bears that"
                    .to_owned()
            });
            findings.add("memory.lock", Verdict::Error, error.to_string(), mend);
        }
    }
}

/// Whether the next enrolment finds room.
fn room(device: &Device, findings: &mut Findings) {
    match device.store.lack_of_room() {
        Ok(None) => findings.good("memory.room", "the medium has room for the next certificate"),
        Ok(Some(lack)) => {
            let mend = "make room there: until then nothing is enrolled or renewed (FULL)".to_owned();
            findings.add("memory.room", Verdict::Error, lack, Some(mend));
        }
        Err(error) => findings.add("memory.room", Verdict::Warning, error.to_string(), None),
    }
}

fn memory(device: &Device, findings: &mut Findings) {
    match device
        .store
        .verify()
        .map_err(Error::from)
        .and_then(|found| Ok([found, device.keys_that_do_not_open()?].concat()))
    {
        Err(error) => {
            findings.add("memory.verify", Verdict::Error, error.to_string(), Some("devid store repair".to_owned()))
        }
        Ok(problems) if problems.is_empty() => findings.good("memory.verify", "everything can be read"),
        Ok(problems) => {
            let words: Vec<String> =
                problems.iter().map(|problem| format!("{}: {}", problem.place, problem.text)).collect();
            // No repair brings a key back, nor a secret.
            let is_there = |kind| problems.iter().any(|problem| problem.kind == kind);
            let (verdict, mend) = match () {
                () if is_there(ProblemKind::KeyElsewhere) => (
                    Verdict::Error,
                    "the token, its module and PIN; if the key is gone for good: devid renew --now, by the other login",
                ),
                () if is_there(ProblemKind::Sealed) => (
                    Verdict::Error,
                    "device.seal: the secret that the keys were sealed under; if it is lost for good: devid store remove NAME, then devid enroll",
                ),
                () => (Verdict::Warning, "devid store repair"),
            };
            findings.add("memory.verify", verdict, words.join("; "), Some(mend.to_owned()));
        }
    }
    identities(device, findings);
}

/// No PIN is given for it. A warning: it may be right by now.
fn pins(device: &Device, findings: &mut Findings) {
    let tokens = device.tokens_with_refused_pins();
    if !tokens.is_empty() {
        let tokens: Vec<String> = tokens.iter().map(|label| format!("{label:?}")).collect();
        let fact = format!("a PIN was refused (CKR_PIN_INCORRECT) by token {}", tokens.join(", "));
        let mend = "device.pkcs11.pin: the token's PIN; if it is right by now: devid store reset";
        findings.add("token.pin", Verdict::Warning, fact, Some(mend.to_owned()));
    }
}

fn identities(device: &Device, findings: &mut Findings) {
    let Ok(names) = device.names(&[]) else {
        let mend = "set [identity.NAME] with a subject".to_owned();
        return findings.add("identity", Verdict::Error, "no identity is named in the settings", Some(mend));
    };
    for name in names {
        match (status::line(device, &name), device.subject(&name, &device.identity(&name)).map_err(Failure::from)) {
            (Err(failure), _) | (_, Err(failure)) => {
                findings.add("identity", Verdict::Error, format!("{name}: {failure}"), None)
            }
            (Ok(_), Ok(None)) if device.store.state(&name).is_ok_and(|state| state.current.is_none()) => {
                let words = format!("identity.{name}.subject is not set: which name is asked for?");
                findings.add(
                    "identity",
                    Verdict::Error,
                    words,
                    Some(format!("devid config explain identity.{name}.subject")),
                );
            }
            (Ok(line), Ok(_)) => {
                let (verdict, mend) =
                    device.plan(&name, device.clock()).map_or((Verdict::Good, None), |plan| judged(&name, &plan));
                findings.add("identity", verdict, line, mend);
            }
        }
        unfinished(device, &name, findings);
    }
}

/// What an identity's alarm says to who looks, and what there is to be done. Before the first attempt at a first certificate there is none.
fn judged(name: &str, plan: &Plan) -> (Verdict, Option<String>) {
    let mend = match () {
        () if plan.has_given_up => {
            format!("what the CA refuses it for: its log, the hook `failed`; then devid store reset {name}")
        }
        () if plan.findings.is_empty() && plan.standing == Standing::Absent => {
            format!("devid enroll {name} says what is in the way")
        }
        () if plan.findings.is_empty() => format!("devid renew {name} --now says what is in the way"),
        () => "what is found, above".to_owned(),
    };
    match plan.alarm {
        Alarm::Quiet => (Verdict::Good, None),
        Alarm::Unusable if plan.standing == Standing::Absent && plan.attempts == 0 => (Verdict::Good, None),
        Alarm::Unusable if plan.standing != Standing::Absent => (Verdict::Error, Some(mend)),
        _ => (Verdict::Warning, Some(mend)),
    }
}

/// What stands still until somebody does something about it.
fn unfinished(device: &Device, name: &str, findings: &mut Findings) {
    if let Ok(Some(who)) = device.store.at_work(name) {
        findings.good("identity.work", format!("{name}: {who} is at work on it"));
    }
    let plan = device.plan(name, device.clock());
    if plan.as_ref().is_ok_and(|plan| plan.is_copied) {
        let words = format!("{name}: device memory was begun by another device (device.id): both have the same keys");
        let mend = format!(
            "devid store remove {name} --yes, then devid store reset {name} makes device memory this one's; after an exchange of the board the second is enough"
        );
        findings.add("memory.copied", Verdict::Error, words, Some(mend));
    }
    if plan.is_ok_and(|plan| plan.is_request_out) {
        let words = format!(
            "{name}: a PKCS#10 request is out, and nothing is asked for online until it comes back, or the identity in use nears its end"
        );
        let mend = format!("devid import FILE, or devid store abandon {name}");
        findings.add("identity.request", Verdict::Warning, words, Some(mend));
    }
    if let Some(begins) = device.begins_later(name) {
        findings
            .good("identity.waiting", format!("{name}: the certificate is confirmed, in use from {} on", date(begins)));
    } else if let Some(request) = device.under_way(name) {
        let verdict = if request.differs.is_empty() && request.dropped == 0 { Verdict::Good } else { Verdict::Warning };
        let words = [vec![format!("{name}: a request is under way")], status::under_way(&request)].concat().join("; ");
        let mend = format!("devid store abandon {name} gives it up and begins anew");
        findings.add("identity.waiting", verdict, words, (verdict == Verdict::Warning).then_some(mend));
    }
    program(device, name, findings);
    match device.exports(name) {
        Err(error) => findings.add("exports", Verdict::Error, format!("{name}: {error}"), None),
        Ok(exports) => {
            for state in exports {
                let place = format!("{name}: {} in {}", state.export.layout, state.export.folder.display());
                let program = state.is_program_due.then(|| "its program has not succeeded yet".to_owned());
                match state.due.or(program) {
                    None => findings.good("exports", format!("{place}: as it was written")),
                    Some(why) => {
                        findings.add(
                            "exports",
                            Verdict::Warning,
                            format!("{place}: {why}"),
                            Some("devid keep".to_owned()),
                        );
                    }
                }
            }
        }
    }
}

/// The program behind an identity, where there is one to be run.
fn program(device: &Device, name: &str, findings: &mut Findings) {
    if device.settings.hooks.changed.is_empty() || device.store.in_use(name).is_err() {
        return;
    }
    match device.is_changed_due(name) {
        Ok(false) => findings.good("hooks.changed", format!("{name}: it has succeeded for the certificate in use")),
        Ok(true) => {
            let words = format!("{name}: it has not succeeded yet for the certificate in use");
            findings.add("hooks.changed", Verdict::Warning, words, Some("devid keep".to_owned()));
        }
        Err(error) => findings.add("hooks.changed", Verdict::Error, format!("{name}: {error}"), None),
    }
}

/// Whether all that is to come next is a first certificate under a shared secret, whose answer needs no anchor.
fn begins_by_secret(device: &Device) -> bool {
    let has_certificate = |name: &String| {
        device.store.state(name).map_or(true, |state| state.current.is_some() || state.pending.is_some())
    };
    device.settings.ca.login.secret.is_some() && !device.names(&[]).unwrap_or_default().iter().any(has_certificate)
}

fn anchors(device: &Device, findings: &mut Findings) -> bool {
    let config = match device.config(false) {
        Ok(config) => config,
        Err(failure) => {
            findings.add("anchors", Verdict::Error, in_settings(failure.message()), None);
            return false;
        }
    };
    let has_server = device.settings.ca.server.is_some();
    let is_https = device.settings.ca.server.as_deref().is_some_and(|url| url.starts_with("https:"));
    let sets = [
        ("anchors.answers", "answers", &config.cmp_anchors, has_server),
        ("anchors.issued", "issued", &config.enrolment_anchors, true),
        ("anchors.tls", "tls", &config.tls.anchors, is_https),
    ];
    let mut is_good = true;
    for (name, word, set, is_needed) in sets {
        if set.is_empty() && is_needed && word != "tls" && config.takes_roots() {
            findings.good(name, "comes with the first certificate, by the settings; devid anchors list shows it then");
            continue;
        }
        if set.is_empty() && is_needed {
            let mend = format!("devid anchors add {word} FILE");
            let (words, verdict) = match word == "answers" && begins_by_secret(device) {
                true => {
                    let words = "nobody is trusted for answers: the first certificate comes under the secret, its renewal fails";
                    (words.to_owned(), Verdict::Warning)
                }
                false => (format!("nobody is trusted for {word}"), Verdict::Error),
            };
            is_good &= verdict == Verdict::Warning;
            findings.add(name, verdict, words, Some(mend));
        }
        for anchor in set.iter() {
            let words = format!("{}, until {}", display(anchor.subject()), date(anchor.not_after()));
            match device.clock().is_some_and(|now| anchor.not_after() < now) {
                true => findings.add(name, Verdict::Warning, format!("{words}: it has expired"), None),
                false => findings.good(name, words),
            }
        }
    }
    if device.store.anchors(AnchorSet::Peer).is_ok_and(|set| set.is_empty()) && device.settings.peers.trust.is_empty() {
        findings.add("anchors.peers", Verdict::Warning, "no roots for peers: devid validate needs --trust", None);
    }
    is_good
}

fn login(device: &Device, findings: &mut Findings) -> bool {
    match device.config(true).and_then(|config| config.build()) {
        Ok(client) => {
            match doubts(device, &client) {
                None => findings.good("login", "the credential for the first certificate can be used"),
                Some(words) => {
                    let mend = "devid enroll goes by the clock: is it right? If it is, another credential is needed (ca.login)";
                    findings.add("login", Verdict::Warning, words, Some(mend.to_owned()));
                }
            }
            secret(device, findings);
            true
        }
        Err(failure) => {
            // An identity that vouches for itself needs no other credential until it ends.
            let names = device.names(&[]).unwrap_or_default();
            let is_enrolled = names.iter().any(|name| device.client_of(name).is_ok());
            // Without a server nobody is logged in to.
            let is_needed = !is_enrolled && device.settings.ca.server.is_some();
            let verdict = if is_needed { Verdict::Error } else { Verdict::Warning };
            let mend = Some("devid config explain ca.login".to_owned());
            findings.add("login", verdict, in_settings(failure.message()), mend);
            is_enrolled
        }
    }
}

/// Whether the clock is outside the time of the credential for the first certificate.
fn doubts(device: &Device, client: &Client) -> Option<String> {
    let Credential::Signature { certificate, .. } = &client.context().credential else { return None };
    // A clock that nobody has set is told by itself.
    let now = device.clock().filter(|now| now.unix() >= EARLIEST)?;
    let bound = match (certificate.not_before() > now, certificate.not_after() < now) {
        (true, _) => format!("begins {}", date(certificate.not_before())),
        (_, true) => format!("expired {}", date(certificate.not_after())),
        _ => return None,
    };
    Some(format!("the credential's certificate {certificate} {bound}; the clock says {now}"))
}

/// What editors and shells put into a file beside the secret.
fn secret(device: &Device, findings: &mut Findings) {
    let login = &device.settings.ca.login;
    for (setting, source) in [("ca.login.secret", &login.secret), ("ca.login.password", &login.password)] {
        for words in source.iter().filter(|source| matches!(source, Source::File(_))).flat_map(Source::oddities) {
            let mend = "if the secret is without: printf %s SECRET > FILE writes nothing else".to_owned();
            findings.add("login.secret", Verdict::Warning, format!("{setting}: {words}"), Some(mend));
        }
    }
}

/// Name and connection, each by itself. Whether the server was reached.
fn way(settings: &Settings, findings: &mut Findings) -> bool {
    let Some(server) = &settings.ca.server else {
        // Settings without it are told by settings.check; a device that is served by files has none.
        findings.skip(&["net.dns", "net.tcp"], "ca.server is not set");
        return false;
    };
    let url = match Url::parse(server) {
        Ok(url) => url,
        Err(error) => {
            findings.add("net.dns", Verdict::Error, error.to_string(), None);
            findings.skip(&["net.tcp"], "net.dns");
            return false;
        }
    };
    if settings.ca.proxy.is_some() || server.starts_with("coap") {
        findings.skip(&["net.dns", "net.tcp"], "not by a connection of our own");
        return true;
    }
    let host = url.host().trim_matches(['[', ']']);
    let addresses: Vec<_> = match (host, url.port()).to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            findings.add("net.dns", Verdict::Error, format!("{host}: {error}"), None);
            findings.skip(&["net.tcp"], "net.dns");
            return false;
        }
    };
    let shown: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    findings.good("net.dns", format!("{host} is {}", shown.join(", ")));
    let mut last = String::new();
    for address in &addresses {
        match std::net::TcpStream::connect_timeout(address, Duration::from_secs(5)) {
            Ok(_) => {
                findings.good("net.tcp", format!("{address} answers"));
                return true;
            }
            Err(error) => last = format!("{address}: {error}"),
        }
    }
    findings.add(
        "net.tcp",
        Verdict::Error,
        last,
        Some("is the port right, and does a firewall let it through?".to_owned()),
    );
    false
}

/// Two harmless questions: what comes back tells about TLS, HTTP, the protection, the signer, and what the server is like.
fn answer(device: &Device, findings: &mut Findings) {
    let name = device.names(&[]).ok().and_then(|names| names.into_iter().next()).unwrap_or_default();
    let asked = device.any_config(&name).and_then(|config| {
        let mut exchange = config.build()?.exchange()?;
        let mut probe = config.probe_for_planner(&mut *exchange, system_time())?;
        // A server of HTTP that closes at a question knows none; one that closes at anything expects something else at this port.
        let server = device.settings.ca.server.as_deref().filter(|_| probe.is_closed);
        if server.is_some_and(speaks_http) {
            for finding in probe.findings.iter_mut().filter(|finding| finding.fails) {
                finding.fails = false;
                finding.remedy = "the server speaks HTTP, and may know no questions (genm): nothing more can be told without asking for a certificate".to_owned();
            }
        }
        Ok((config, probe))
    });
    let (config, probe) = match asked {
        Ok(asked) => asked,
        Err(error) => {
            findings.add("cmp.answer", Verdict::Error, in_settings(&error.report()), None);
            return;
        }
    };
    for finding in &probe.findings {
        let remedy = Some(in_settings(&finding.remedy)).filter(|remedy| !remedy.is_empty());
        let trace = || Some("devid enroll --trace why.html shows what went over the wire".to_owned());
        let (verdict, mend) = match (finding.fails, remedy) {
            (true, remedy) => (Verdict::Error, remedy.or_else(trace)),
            (false, None) => (Verdict::Good, None),
            (false, remedy) => (Verdict::Warning, remedy),
        };
        findings.add("cmp.answer", verdict, in_settings(&finding.words), mend);
    }
    wanted(&config, &probe, findings);
}

/// Whether what listens there answers a plain request of HTTP by anything of HTTP.
fn speaks_http(server: &str) -> bool {
    let Ok(url) = Url::parse(server) else { return false };
    let host = url.host().trim_matches(['[', ']']);
    let addresses = (host, url.port()).to_socket_addrs();
    let Some(address) = addresses.ok().and_then(|mut all| all.next()) else { return false };
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut stream = std::net::TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(format!("OPTIONS * HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").as_bytes())?;
        let mut begin = vec![0; 5];
        stream.read_exact(&mut begin)?;
        Ok(begin)
    };
    url.scheme() == Scheme::Http && ask().is_ok_and(|begin| begin == b"HTTP/")
}

/// What of the server's ways the settings do not have yet. Nothing here is needed for enrolment, or it would have failed above.
fn wanted(config: &Config, probe: &Probe, findings: &mut Findings) {
    let is_off = |switch: &&&str| {
        let mut with = config.tolerance.clone();
        with.set(switch, true).is_ok() && with != config.tolerance
    };
    let switches: Vec<&str> = probe.switches.iter().filter(is_off).copied().collect();
    if !switches.is_empty() {
        let mend = match probe.profile {
            Some(profile) => format!("ca.profile = \"{profile}\", or ca.tolerate = {switches:?}"),
            None => format!("ca.tolerate = {switches:?}"),
        };
        let words = format!("this server has ways of its own: {}", switches.join(", "));
        findings.add("cmp.profile", Verdict::Warning, words, Some(mend));
    }
    for root in &probe.roots {
        let words = format!("the answer's signer leads to {root}, which is not among the anchors for answers");
        let mend = "ask the CA's people whether it is theirs, then: devid anchors add answers FILE".to_owned();
        findings.add("cmp.root", Verdict::Warning, words, Some(mend));
    }
}

fn tell(findings: &Findings, output: Output) -> Exit {
    let word = |verdict: Verdict| match verdict {
        Verdict::Good => "ok",
        Verdict::Warning => "warning",
        Verdict::Error => "ERROR",
        Verdict::Skipped => "-",
    };
    let mut lines = Vec::new();
    for check in &findings.0 {
        lines.push(format!(
            "{:<8} {:<16} {}",
            word(check.verdict),
            check.name,
            check.fact.replace('\n', "\n                          ")
        ));
        lines.extend(check.mend.iter().map(|mend| format!("{:<25} mend: {mend}", "")));
    }
    let (errors, warnings) = (findings.count(Verdict::Error), findings.count(Verdict::Warning));
    lines.push(format!("{errors} errors, {warnings} warnings. Nothing was changed."));
    let checks: Vec<Value> = findings
        .0
        .iter()
        .map(|c| json!({ "name": c.name, "verdict": word(c.verdict).to_lowercase(), "fact": c.fact, "mend": c.mend }))
        .collect();
    let exit = if errors > 0 { Exit::Invalid } else { Exit::Done };
    let fields = json!({ "errors": errors, "warnings": warnings, "checks": checks });
    output.ended("doctor", exit, &lines.join("\n"), fields)
}
