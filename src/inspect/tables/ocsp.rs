//! OCSP (RFC 6960 section 4).

use super::super::shape::{Shape, field};
use super::x509::{CERTIFICATE, CRL_REASON, EXTENSIONS, GENERAL_NAME};
use crate::asn1::oid::{self, Oid};

pub(in super::super) static RESPONSE: Shape = Shape::Sequence(&[
    field("responseStatus", &RESPONSE_STATUS),
    field("responseBytes", &RESPONSE_BYTES).explicit(0).optional(),
]);
static RESPONSE_STATUS: Shape = Shape::Enumerated(&[
    (0, "successful"),
    (1, "malformedRequest"),
    (2, "internalError"),
    (3, "tryLater"),
    (5, "sigRequired"),
    (6, "unauthorized"),
]);
static RESPONSE_BYTES: Shape =
    Shape::Sequence(&[field("responseType", &Shape::Oid), field("response", &Shape::InsideByOid(response))]);

fn response(oid: Oid) -> Option<&'static Shape> {
    (oid == oid::OCSP_BASIC).then_some(&BASIC_RESPONSE)
}

static BASIC_RESPONSE: Shape = Shape::Sequence(&[
    field("tbsResponseData", &Shape::Public(&RESPONSE_DATA)),
    field("signatureAlgorithm", &Shape::Algorithm),
    field("signature", &Shape::BitString),
    field("certs", &CERTIFICATES).explicit(0).optional(),
]);
static CERTIFICATES: Shape = Shape::SequenceOf(&CERTIFICATE);
static RESPONSE_DATA: Shape = Shape::Sequence(&[
    field("version", &Shape::Integer).explicit(0).optional(),
    field("responderID", &RESPONDER_ID),
    field("producedAt", &Shape::Time),
    field("responses", &RESPONSES),
    field("responseExtensions", &EXTENSIONS).explicit(1).optional(),
]);
static RESPONDER_ID: Shape =
    Shape::Choice(&[field("byName", &Shape::Name).explicit(1), field("byKey", &Shape::OctetString).explicit(2)]);
static RESPONSES: Shape = Shape::SequenceOf(&SINGLE_RESPONSE);
static SINGLE_RESPONSE: Shape = Shape::Sequence(&[
    field("certID", &CERT_ID),
    field("certStatus", &CERT_STATUS),
    field("thisUpdate", &Shape::Time),
    field("nextUpdate", &Shape::Time).explicit(0).optional(),
    field("singleExtensions", &EXTENSIONS).explicit(1).optional(),
]);
static CERT_ID: Shape = Shape::Sequence(&[
    field("hashAlgorithm", &Shape::Algorithm),
    field("issuerNameHash", &Shape::OctetString),
    field("issuerKeyHash", &Shape::OctetString),
    field("serialNumber", &Shape::Serial),
]);
static CERT_STATUS: Shape = Shape::Choice(&[
    field("good", &Shape::Null).implicit(0),
    field("revoked", &REVOKED_INFO).implicit(1),
    field("unknown", &Shape::Null).implicit(2),
]);
static REVOKED_INFO: Shape = Shape::Sequence(&[
    field("revocationTime", &Shape::Time),
    field("revocationReason", &CRL_REASON).explicit(0).optional(),
]);

pub(in super::super) static REQUEST: Shape = Shape::Sequence(&[
    field("tbsRequest", &TBS_REQUEST),
    field("optionalSignature", &Shape::Any).explicit(0).optional(),
]);
static TBS_REQUEST: Shape = Shape::Sequence(&[
    field("version", &Shape::Integer).explicit(0).optional(),
    field("requestorName", &GENERAL_NAME).explicit(1).optional(),
    field("requestList", &REQUESTS),
    field("requestExtensions", &EXTENSIONS).explicit(2).optional(),
]);
static REQUESTS: Shape = Shape::SequenceOf(&ONE_REQUEST);
static ONE_REQUEST: Shape = Shape::Sequence(&[
    field("reqCert", &CERT_ID),
    field("singleRequestExtensions", &EXTENSIONS).explicit(0).optional(),
]);
