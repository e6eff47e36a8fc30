//! `anchors`: whom the device trusts for what, in device memory.

use devid::asn1::name::display;
use devid::client::certificates::ReadAs;
use devid::store::AnchorSet;
use serde_json::json;

use crate::arguments::{Anchors, AnchorsAction, Set};
use crate::device::{Device, read_certificates};
use crate::failure::{Exit, Failure};
use crate::output::{Output, date};
use devid::client::device::certificate_json;

pub fn run(command: &Anchors, device: &Device, output: Output) -> Result<Exit, Failure> {
    match &command.action {
        AnchorsAction::List => {
            let (mut lines, mut found) = (Vec::new(), Vec::new());
            for set in AnchorSet::ALL {
                for certificate in device.store.anchors(set)? {
                    lines.push(format!(
                        "{}  {}  until {}",
                        word(set),
                        display(certificate.subject()),
                        date(certificate.not_after())
                    ));
                    found.push(json!({ "set": word(set), "certificate": certificate_json(&certificate) }));
                }
            }
            output.result("anchors list", &lines.join("\n"), json!({ "anchors": found }));
        }
        AnchorsAction::Add { set, file } => {
            let count = add(device, *set, &read_certificates([file], ReadAs::Anchors, output)?)?;
            output.result("anchors add", &format!("{count} added"), json!({ "added": count }));
        }
        AnchorsAction::Remove { set, file } => {
            let unwanted = read_certificates([file], ReadAs::Certificates, output)?;
            let mut count = 0;
            for set in sets(*set) {
                let mut anchors = device.store.anchors(*set)?;
                let before = anchors.len();
                anchors.retain(|anchor| !unwanted.contains(anchor));
                count += before - anchors.len();
                if before != anchors.len() {
                    device.store.set_anchors(*set, &anchors)?;
                }
            }
            output.result("anchors remove", &format!("{count} removed"), json!({ "removed": count }));
        }
    }
    Ok(Exit::Done)
}

/// Adds certificates to sets; those that are there already are not counted.
pub fn add(device: &Device, set: Set, certificates: &[devid::asn1::x509::Certificate]) -> Result<usize, Failure> {
    let mut count = 0;
    for set in sets(set) {
        let mut anchors = device.store.anchors(*set)?;
        let before = anchors.len();
        for certificate in certificates {
            if !anchors.contains(certificate) {
                anchors.push(certificate.clone());
            }
        }
        count += anchors.len() - before;
        if anchors.len() != before {
            device.store.set_anchors(*set, &anchors)?;
        }
    }
    Ok(count)
}

fn sets(set: Set) -> &'static [AnchorSet] {
    match set {
        Set::Answers => &[AnchorSet::Cmp],
        Set::Issued => &[AnchorSet::Enrolment],
        Set::Tls => &[AnchorSet::Tls],
        Set::Peers => &[AnchorSet::Peer],
        Set::All => &AnchorSet::ALL,
    }
}

pub fn word(set: AnchorSet) -> &'static str {
    match set {
        AnchorSet::Cmp => "answers",
        AnchorSet::Enrolment => "issued",
        AnchorSet::Tls => "tls",
        AnchorSet::Peer => "peers",
    }
}
