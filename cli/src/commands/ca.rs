//! `ca`: questions to the CA (genm, RFC 9483 section 4.3).

use devid::asn1::name::display;
use devid::asn1::pem;
use devid::cmp::{Information, Question};
use serde_json::json;

use super::status::pem_of;
use super::traced;
use crate::arguments::{Ca, CaQuestion};
use crate::attendant::{Attendant, cancel, watch_signals};
use crate::device::Device;
use crate::failure::{Exit, Failure};
use crate::output::Output;

pub fn run(command: &Ca, device: &Device, output: Output) -> Result<Exit, Failure> {
    let name = device.name(command.name.as_deref())?;
    watch_signals();
    let question = match command.question {
        CaQuestion::Certs => Question::CaCerts,
        CaQuestion::Template => Question::RequestTemplate,
        CaQuestion::Crl => Question::CurrentCrl,
    };
    let information = traced(command.talk.trace.as_deref(), "devid ca", |trace| {
        let client = device.any_client(&name)?.with_cancel(Some(cancel().clone()));
        let mut operation = client.ask(question)?;
        let mut attendant = Attendant::of_nothing_kept(output, command.talk.no_wait, trace);
        let outcome = client.complete(&mut operation, &mut attendant);
        Ok(attendant.unless_left(outcome)?.map(|()| operation.information().cloned()))
    })?;
    let Some(information) = information else {
        return Ok(output.ended("ca", Exit::Waiting, "", json!({ "answer": "" })));
    };
    let text = match information {
        Some(Information::CaCerts(certificates)) => {
            for certificate in &certificates {
                output.say(&display(certificate.subject()));
            }
            certificates.iter().map(pem_of).collect()
        }
        Some(Information::Crls(lists)) => lists.iter().map(|der| pem::encode("X509 CRL", der).to_string()).collect(),
        Some(Information::RequestTemplate(Some(template))) => {
            let (words, document) = super::template::told(&template)?;
            output.result("ca", &words, json!({ "answer": words, "template": document }));
            return Ok(Exit::Done);
        }
        _ => String::new(),
    };
    if text.is_empty() {
        output.say("the CA has nothing to say to this");
    }
    output.result("ca", &text, json!({ "answer": text }));
    Ok(Exit::Done)
}
