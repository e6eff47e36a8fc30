//! `ca`: questions to the CA (genm, RFC 9483 section 4.3).

use devid::asn1::name::display;
use devid::asn1::pem;
use devid::cmp::{Information, Question};
use serde_json::json;

use super::status::pem_of;
use super::{is_lost, traced};
use crate::arguments::{Ca, CaQuestion};
use crate::attendant::{Attendant, cancel, watch_signals};
use crate::device::Device;
use crate::failure::{Exit, Failure};
use crate::output::Output;

pub fn run(command: &Ca, device: &Device, output: Output) -> Result<Exit, Failure> {
    let name = device.name(command.name.as_deref())?;
    let name_of_command = command.question.command();
    watch_signals();
    let question = match command.question {
        CaQuestion::Certs => Question::CaCerts,
        CaQuestion::Template => Question::RequestTemplate,
        CaQuestion::Crl => Question::CurrentCrl,
    };
    let (information, lost) = traced(command.talk.trace.as_deref(), &format!("devid {name_of_command}"), |trace| {
        let client = device.any_client(&name)?.with_cancel(Some(cancel().clone()));
        let mut operation = client.ask(question)?;
        let mut attendant = Attendant::of_nothing_kept(output, command.talk.no_wait, trace);
        let outcome = client.complete(&mut operation, &mut attendant);
        Ok(attendant.unless_left(outcome)?.map(|()| operation.information().cloned()))
    })?;
    let Some(information) = information else {
        return Ok(output.ended(name_of_command, Exit::Waiting, "", json!({ "answer": "" })));
    };
    let mut template = None;
    let text = match information {
        Some(Information::CaCerts(certificates)) => {
            for certificate in &certificates {
                output.say(&display(certificate.subject()));
            }
            certificates.iter().map(pem_of).collect()
        }
        Some(Information::Crls(lists)) => lists.iter().map(|der| pem::encode("X509 CRL", der).to_string()).collect(),
        Some(Information::RequestTemplate(Some(asked))) => {
            let (words, document) = super::template::told(&asked)?;
            template = Some(document);
            words
        }
        _ => String::new(),
    };
    if text.is_empty() {
        output.say("the CA has nothing to say to this");
    }
    let mut answer = json!({ "answer": text });
    if let Some(template) = template {
        answer["template"] = template;
    }
    let exit = if is_lost(lost, output) { Exit::Hook } else { Exit::Done };
    Ok(output.ended(name_of_command, exit, &text, answer))
}
