//! `status` and `show`: how identities stand, and parts of them.

use devid::asn1::name::display;
use devid::asn1::pem;
use devid::asn1::x509::Certificate;
use devid::client::device::UnderWay;
use devid::client::renewal::Alarm;
use devid::client::{Plan, Step};
use serde_json::{Value, json};

use crate::arguments::{Part, Show, Status};
use crate::device::Device;
use crate::failure::{Exit, Failure};
use crate::output::{Output, date, of_others, print, span};

/// How identities stand. One that cannot be read takes nothing from the others: it has its line, or its entry, with its error, and the
/// exit status is that error's.
pub fn status(command: &Status, device: &Device, output: Output) -> Result<Exit, Failure> {
    let (mut documents, mut lines, mut is_alarming, mut first) = (Vec::new(), Vec::new(), false, None);
    for name in device.names(&command.names)? {
        let told = told(device, &name);
        is_alarming |= told.document["alarm"] != "quiet";
        lines.push(told.line);
        documents.push(told.document);
        first = first.or(told.failure);
    }
    let exit = match &first {
        Some(failure) => failure.exit(),
        None if command.check && is_alarming => Exit::Alarm,
        None => Exit::Done,
    };
    Ok(output.ended("status", exit, &lines.join("\n"), json!({ "identities": documents })))
}

/// What is told of one identity, also of one that cannot be read.
pub struct Told {
    pub document: Value,
    pub line: String,
    pub failure: Option<Failure>,
}

/// For whoever looks at several identities: none takes anything from the others.
pub fn told(device: &Device, name: &str) -> Told {
    match document(device, name).and_then(|document| Ok((document, line(device, name)?))) {
        Ok((document, line)) => Told { document, line, failure: None },
        Err(failure) => {
            let document = unreadable(device, name, &failure);
            let line = format!("{name}  unknown  {failure}  alarm: {}", Alarm::Unusable.word());
            Told { document, line, failure: Some(failure) }
        }
    }
}

/// The entry of an identity that cannot be read.
pub fn unreadable(device: &Device, name: &str, failure: &Failure) -> Value {
    device.unreadable(name, &failure.to_string(), failure.json())
}

fn plan(device: &Device, name: &str) -> Result<Plan, Failure> {
    Ok(device.plan(name, device.clock())?)
}

/// Everything that is known of an identity.
pub fn document(device: &Device, name: &str) -> Result<Value, Failure> {
    Ok(device.standing(name, device.clock())?)
}

/// The same in one line for people.
pub fn line(device: &Device, name: &str) -> Result<String, Failure> {
    let plan = plan(device, name)?;
    let mut words = vec![format!("{name}  {}", plan.standing.word())];
    if let Ok(identity) = device.store.in_use(name) {
        words.push(display(identity.certificate.subject()));
        words.push(format!("until {}", date(identity.certificate.not_after())));
    }
    if let Some(at) = plan.renewal_at {
        words.push(format!("renewal about {}", date(at)));
    }
    if let Some(begins) = device.begins_later(name) {
        words.push(format!("confirmed, valid from {}", date(begins)));
    } else if device.store.operations()?.iter().any(|saved| saved == name) {
        words.push("a request is under way".to_owned());
        words.extend(device.under_way(name).iter().flat_map(under_way));
    }
    if let Some(request) = device.revoking(name) {
        words.push("a request to revoke it is under way".to_owned());
        words.extend(under_way(&request));
    }
    if plan.is_request_out {
        words.push(format!("a PKCS#10 request is out: devid import, or devid store abandon {name}"));
    }
    if plan.is_copied {
        words.push("device memory is a copy of another device's: the same keys are there".to_owned());
    }
    words.extend(plan.findings.iter().map(|found| format!("{}: {}", found.place, found.text)));
    let exports = device.exports(name).unwrap_or_default();
    for state in exports.iter().filter(|state| state.due.is_some() || state.is_program_due) {
        words.push(format!("the export for {} to {} is due", state.export.layout, state.export.folder.display()));
    }
    if device.is_changed_due(name).unwrap_or(false) {
        words.push("the program of hooks.changed has not succeeded yet".to_owned());
    }
    if let devid::client::renewal::Clock::Doubted { off_seconds, .. } = plan.clock {
        words.push(match off_seconds {
            0 => "the clock says a time before this software was written".to_owned(),
            off => format!("an answer of the CA contradicts the clock: {} off", span(off.unsigned_abs())),
        });
    }
    if plan.attempts > 0 {
        let next = match (&plan.step, device.clock()) {
            (Step::Nothing, Some(now)) => {
                format!(", the next one {}", date(now.plus(i64::from(plan.ask_again_seconds))))
            }
            _ => String::new(),
        };
        words.push(format!("{} attempts failed{next}", plan.attempts));
    }
    if plan.has_given_up {
        words.push(format!(
            "given up: the CA has refused it so often, or issued what is refused here, that it is asked rarely; once that is put right: devid store reset {name}"
        ));
    }
    if plan.alarm != Alarm::Quiet {
        words.push(format!("alarm: {}", plan.alarm.word()));
    }
    Ok(words.join("  "))
}

/// What a request that is under way waits for.
pub fn under_way(request: &UnderWay) -> Vec<String> {
    let mut words = Vec::new();
    if !request.says.is_empty() {
        words.push(format!("the CA says: {}", of_others(&request.says.join("; "))));
    }
    words.extend(request.ask_at.map(|at| format!("it is asked again {}", date(at))));
    if request.dropped > 0 {
        let count = request.dropped;
        words.push(format!(
            "{count} of its answers in a row led nowhere: {}",
            of_others(&request.why_dropped.join("; "))
        ));
    }
    words.extend(request.differs.iter().cloned());
    words
}

/// A part of an identity. The private key is no part that is printed: `export` writes it where it belongs.
pub fn show(command: &Show, device: &Device, output: Output) -> Result<Exit, Failure> {
    device.check_known(&command.name)?;
    // Nothing private is shown: the key need not open for it.
    let identity = device.store.in_use(&command.name)?;
    let certificate = pem_of(&identity.certificate);
    let chain: String = identity.chain.iter().map(pem_of).collect();
    match command.part {
        Part::Text if output.json => output.result("show", "", json!({ "identity": document(device, &command.name)? })),
        Part::Text => print(&devid::inspect::inspect(identity.certificate.as_der(), devid::inspect::Format::Text)?),
        Part::Cert => part(&certificate, output),
        Part::Chain => part(&chain, output),
        Part::Fullchain => part(&format!("{certificate}{chain}"), output),
        Part::PublicKey => part(&pem::encode("PUBLIC KEY", device.store.current(&command.name)?.key.spki()), output),
    }
    Ok(Exit::Done)
}

fn part(text: &str, output: Output) {
    output.result("show", text, json!({ "pem": text }));
}

/// PEM of one certificate.
pub fn pem_of(certificate: &Certificate) -> String {
    pem::encode("CERTIFICATE", certificate.as_der()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The server's words are told, whatever becomes of its answer.
    #[test]
    fn an_answer_that_led_nowhere_is_told_with_what_it_said() {
        let said =
            "pollReq did not arrive as it was sent: the server sent an error: rejection, failInfo badRequest, \"gone\"";
        let request = UnderWay {
            since: devid::Time::from_unix(0),
            ask_at: None,
            says: Vec::new(),
            polls: 1,
            dropped: 1,
            why_dropped: vec![said.to_owned()],
            differs: Vec::new(),
        };
        let words = under_way(&request).join("; ");
        assert!(words.contains("badRequest") && words.contains("gone"), "{words}");
    }
}
