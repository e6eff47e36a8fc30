//! A peer's certificate, its path and its status by the CRLs of its CAs.

use alloc::string::{String, ToString};
use alloc::sync::Arc;

use devid::asn1::oid;
use devid::crypto::rust::RustCrypto;
use devid::validation::{Checks, Crl, RevocationPolicy, StatusSources, TrustAnchors, validate};
use devid::{Code, Error, Time};

use crate::board::Line;
use crate::{certificate, parameter};

pub fn of_peer(line: &mut Line, now: Time) -> Result<String, Error> {
    let mut anchors = TrustAnchors::new();
    anchors.add(certificate(line, "root")?);
    let pool = [certificate(line, "issuing")?];
    let mut status = StatusSources::none();
    for name in ["issuing.crl", "root.crl"] {
        status.crls.push(Arc::new(Crl::from_der(parameter(line, name)?)?));
    }
    let checks =
        Checks { revocation: RevocationPolicy::hard_fail(), ..Checks::at(now) }.for_purpose(oid::KP_SERVER_AUTH);
    let peer = certificate(line, "peer")?;
    let report = validate(&RustCrypto, &anchors, &peer, &pool, &status, &checks);
    match report.error() {
        Some(error) => Err(error),
        None if report.is_valid() => Ok(peer.to_string()),
        None => Err(Error::new(Code::State, "neither valid nor refused")),
    }
}
