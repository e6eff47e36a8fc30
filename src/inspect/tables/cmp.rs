//! CMP (RFC 9810 section 5 and appendix F) and CRMF (RFC 4211).

use super::super::shape::{Shape, field};
use super::cms::ENCRYPTED_KEY;
use super::x509::{
    CERTIFICATE, CERTIFICATE_LIST, CERTIFICATION_REQUEST, DISTRIBUTION_POINT_NAME, EXTENSIONS, GENERAL_NAME,
    GENERAL_NAMES, PUBLIC_KEY,
};
use crate::asn1::oid::{self, Oid};

pub(in super::super) static PKI_MESSAGE: Shape = Shape::Sequence(&[
    field("header", &Shape::Public(&HEADER)),
    field("body", &BODY),
    field("protection", &Shape::BitString).explicit(0).optional(),
    field("extraCerts", &CERTIFICATES).explicit(1).optional(),
]);
static PKI_MESSAGES: Shape = Shape::SequenceOf(&PKI_MESSAGE);
static CERTIFICATES: Shape = Shape::SequenceOf(&CERTIFICATE);
static TEXTS: Shape = Shape::SequenceOf(&Shape::Text);
static PVNO: Shape = Shape::Named(&[(1, "cmp1999"), (2, "cmp2000"), (3, "cmp2021")]);
static HEADER: Shape = Shape::Sequence(&[
    field("pvno", &PVNO),
    field("sender", &GENERAL_NAME),
    field("recipient", &GENERAL_NAME),
    field("messageTime", &Shape::Time).explicit(0).optional(),
    field("protectionAlg", &Shape::Algorithm).explicit(1).optional(),
    field("senderKID", &Shape::OctetString).explicit(2).optional(),
    field("recipKID", &Shape::OctetString).explicit(3).optional(),
    field("transactionID", &Shape::OctetString).explicit(4).optional(),
    field("senderNonce", &Shape::OctetString).explicit(5).optional(),
    field("recipNonce", &Shape::OctetString).explicit(6).optional(),
    field("freeText", &TEXTS).explicit(7).optional(),
    field("generalInfo", &INFORMATION).explicit(8).optional(),
]);
static INFORMATION: Shape = Shape::SequenceOf(&INFO_TYPE_AND_VALUE);
static INFO_TYPE_AND_VALUE: Shape =
    Shape::Sequence(&[field("infoType", &Shape::Oid), field("infoValue", &Shape::ByOid(information)).optional()]);

static BODY: Shape = Shape::Choice(&[
    field("ir", &CERT_REQ_MESSAGES).explicit(0),
    field("ip", &CERT_REP_MESSAGE).explicit(1),
    field("cr", &CERT_REQ_MESSAGES).explicit(2),
    field("cp", &CERT_REP_MESSAGE).explicit(3),
    field("p10cr", &CERTIFICATION_REQUEST).explicit(4),
    field("popdecc", &Shape::Any).explicit(5),
    field("popdecr", &Shape::Any).explicit(6),
    field("kur", &CERT_REQ_MESSAGES).explicit(7),
    field("kup", &CERT_REP_MESSAGE).explicit(8),
    field("krr", &CERT_REQ_MESSAGES).explicit(9),
    field("krp", &Shape::Any).explicit(10),
    field("rr", &REV_REQ).explicit(11),
    field("rp", &REV_REP).explicit(12),
    field("ccr", &CERT_REQ_MESSAGES).explicit(13),
    field("ccp", &CERT_REP_MESSAGE).explicit(14),
    field("ckuann", &Shape::Any).explicit(15),
    field("cann", &CERTIFICATE).explicit(16),
    field("rann", &Shape::Any).explicit(17),
    field("crlann", &CRLS).explicit(18),
    field("pkiconf", &Shape::Null).explicit(19),
    field("nested", &PKI_MESSAGES).explicit(20),
    field("genm", &INFORMATION).explicit(21),
    field("genp", &INFORMATION).explicit(22),
    field("error", &ERROR).explicit(23),
    field("certConf", &CERT_CONFIRM).explicit(24),
    field("pollReq", &POLL_REQS).explicit(25),
    field("pollRep", &POLL_REPS).explicit(26),
]);

static CERT_REQ_MESSAGES: Shape = Shape::SequenceOf(&CERT_REQ_MSG);
static CERT_REQ_MSG: Shape = Shape::Sequence(&[
    field("certReq", &CERT_REQUEST),
    field("popo", &POPO).optional(),
    field("regInfo", &CONTROLS).optional(),
]);
static CERT_REQUEST: Shape = Shape::Sequence(&[
    field("certReqId", &Shape::Integer),
    field("certTemplate", &CERT_TEMPLATE),
    field("controls", &CONTROLS).optional(),
]);
static OPTIONAL_VALIDITY: Shape = Shape::Sequence(&[
    field("notBefore", &Shape::Time).explicit(0).optional(),
    field("notAfter", &Shape::Time).explicit(1).optional(),
]);
static CERT_TEMPLATE: Shape = Shape::Sequence(&[
    field("version", &Shape::Integer).implicit(0).optional(),
    field("serialNumber", &Shape::Serial).implicit(1).optional(),
    field("signingAlg", &Shape::Algorithm).implicit(2).optional(),
    field("issuer", &Shape::Name).explicit(3).optional(),
    field("validity", &OPTIONAL_VALIDITY).implicit(4).optional(),
    field("subject", &Shape::Name).explicit(5).optional(),
    field("publicKey", &PUBLIC_KEY).implicit(6).optional(),
    field("issuerUID", &Shape::BitString).implicit(7).optional(),
    field("subjectUID", &Shape::BitString).implicit(8).optional(),
    field("extensions", &EXTENSIONS).implicit(9).optional(),
]);
static CONTROLS: Shape = Shape::SequenceOf(&CONTROL);
static CONTROL: Shape = Shape::Sequence(&[field("type", &Shape::Oid), field("value", &Shape::ByOid(control))]);
static POPO: Shape = Shape::Choice(&[
    field("raVerified", &Shape::Null).implicit(0),
    field("signature", &POPO_SIGNING_KEY).implicit(1),
    field("keyEncipherment", &POPO_PRIVATE_KEY).explicit(2),
    field("keyAgreement", &POPO_PRIVATE_KEY).explicit(3),
]);
static POPO_SIGNING_KEY: Shape = Shape::Sequence(&[
    field("poposkInput", &Shape::Any).implicit(0).optional(),
    field("algorithmIdentifier", &Shape::Algorithm),
    field("signature", &Shape::BitString),
]);
static SUBSEQUENT: Shape = Shape::Named(&[(0, "encrCert"), (1, "challengeResp")]);
static POPO_PRIVATE_KEY: Shape = Shape::Choice(&[
    field("thisMessage", &Shape::Secret).implicit(0),
    field("subsequentMessage", &SUBSEQUENT).implicit(1),
    field("dhMAC", &Shape::BitString).implicit(2),
    field("agreeMAC", &Shape::Any).implicit(3),
    field("encryptedKey", &Shape::Secret).implicit(4),
]);
static CERT_ID: Shape = Shape::Sequence(&[field("issuer", &GENERAL_NAME), field("serialNumber", &Shape::Serial)]);

/// What the value of a control is: tokens and authenticators are secrets.
fn control(oid: Oid) -> Option<&'static Shape> {
    Some(match oid {
        o if o == oid::REG_CTRL_REG_TOKEN || o == oid::REG_CTRL_AUTHENTICATOR => &Shape::Secret,
        o if o == oid::REG_CTRL_OLD_CERT_ID => &CERT_ID,
        o if o == oid::REG_CTRL_ALG_ID => &Shape::Algorithm,
        o if o == oid::REG_CTRL_RSA_KEY_LEN => &Shape::Integer,
        _ => return None,
    })
}

static CERT_REP_MESSAGE: Shape =
    Shape::Sequence(&[field("caPubs", &CERTIFICATES).explicit(1).optional(), field("response", &RESPONSES)]);
static RESPONSES: Shape = Shape::SequenceOf(&RESPONSE);
static RESPONSE: Shape = Shape::Sequence(&[
    field("certReqId", &Shape::Integer),
    field("status", &STATUS_INFO),
    field("certifiedKeyPair", &CERTIFIED_KEY_PAIR).optional(),
    field("rspInfo", &Shape::Hidden(&Shape::OctetString)).optional(),
]);
static CERTIFIED_KEY_PAIR: Shape = Shape::Sequence(&[
    field("certOrEncCert", &CERT_OR_ENC_CERT),
    field("privateKey", &ENCRYPTED_KEY).explicit(0).optional(),
    field("publicationInfo", &Shape::Any).explicit(1).optional(),
]);
static CERT_OR_ENC_CERT: Shape = Shape::Choice(&[
    field("certificate", &CERTIFICATE).explicit(0),
    field("encryptedCert", &ENCRYPTED_KEY).explicit(1),
]);
static STATUS: Shape = Shape::Named(&[
    (0, "accepted"),
    (1, "grantedWithMods"),
    (2, "rejection"),
    (3, "waiting"),
    (4, "revocationWarning"),
    (5, "revocationNotification"),
    (6, "keyUpdateWarning"),
]);
static FAIL_INFO: Shape = Shape::Bits(&crate::asn1::cmp::status::FAIL_INFO_NAMES);
static STATUS_INFO: Shape = Shape::Sequence(&[
    field("status", &STATUS),
    field("statusString", &TEXTS).optional(),
    field("failInfo", &FAIL_INFO).optional(),
]);

static REV_REQ: Shape = Shape::SequenceOf(&REV_DETAILS);
static REV_DETAILS: Shape =
    Shape::Sequence(&[field("certDetails", &CERT_TEMPLATE), field("crlEntryDetails", &EXTENSIONS).optional()]);
static STATUSES: Shape = Shape::SequenceOf(&STATUS_INFO);
static CERT_IDS: Shape = Shape::SequenceOf(&CERT_ID);
static CRLS: Shape = Shape::SequenceOf(&CERTIFICATE_LIST);
static REV_REP: Shape = Shape::Sequence(&[
    field("status", &STATUSES),
    field("revCerts", &CERT_IDS).explicit(0).optional(),
    field("crls", &CRLS).explicit(1).optional(),
]);
static ERROR: Shape = Shape::Sequence(&[
    field("pKIStatusInfo", &STATUS_INFO),
    field("errorCode", &Shape::Integer).optional(),
    field("errorDetails", &TEXTS).optional(),
]);
static CERT_CONFIRM: Shape = Shape::SequenceOf(&CERT_STATUS);
static CERT_STATUS: Shape = Shape::Sequence(&[
    field("certHash", &Shape::OctetString),
    field("certReqId", &Shape::Integer),
    field("statusInfo", &STATUS_INFO).optional(),
    field("hashAlg", &Shape::Algorithm).explicit(0).optional(),
]);
static POLL_REQS: Shape = Shape::SequenceOf(&POLL_REQ);
static POLL_REQ: Shape = Shape::Sequence(&[field("certReqId", &Shape::Integer)]);
static POLL_REPS: Shape = Shape::SequenceOf(&POLL_REP);
static POLL_REP: Shape = Shape::Sequence(&[
    field("certReqId", &Shape::Integer),
    field("checkAfter", &Shape::Integer),
    field("reason", &TEXTS).optional(),
]);

static ROOT_CA_KEY_UPDATE: Shape = Shape::Sequence(&[
    field("newWithNew", &CERTIFICATE),
    field("newWithOld", &CERTIFICATE).explicit(0).optional(),
    field("oldWithNew", &CERTIFICATE).explicit(1).optional(),
]);
static REQ_TEMPLATE: Shape =
    Shape::Sequence(&[field("certTemplate", &CERT_TEMPLATE), field("keySpec", &CONTROLS).optional()]);
static CRL_STATUS_LIST: Shape = Shape::SequenceOf(&CRL_STATUS);
static CRL_STATUS: Shape =
    Shape::Sequence(&[field("source", &CRL_SOURCE), field("thisUpdate", &Shape::Time).optional()]);
static CRL_SOURCE: Shape =
    Shape::Choice(&[field("dpn", &DISTRIBUTION_POINT_NAME).explicit(0), field("issuer", &GENERAL_NAMES).explicit(1)]);

/// What the value of an information type is.
fn information(oid: Oid) -> Option<&'static Shape> {
    Some(match oid {
        o if o == oid::IT_IMPLICIT_CONFIRM => &Shape::Null,
        o if o == oid::IT_CONFIRM_WAIT_TIME => &Shape::Time,
        o if o == oid::IT_ORIG_PKI_MESSAGE => &PKI_MESSAGES,
        o if o == oid::IT_REV_PASSPHRASE => &ENCRYPTED_KEY,
        o if o == oid::IT_SUPP_LANG_TAGS || o == oid::IT_CERT_PROFILE => &TEXTS,
        o if o == oid::IT_CA_CERTS => &CERTIFICATES,
        o if o == oid::IT_ROOT_CA_CERT => &CERTIFICATE,
        o if o == oid::IT_ROOT_CA_KEY_UPDATE => &ROOT_CA_KEY_UPDATE,
        o if o == oid::IT_CERT_REQ_TEMPLATE => &REQ_TEMPLATE,
        o if o == oid::IT_CRL_STATUS_LIST => &CRL_STATUS_LIST,
        o if o == oid::IT_CRLS => &CRLS,
        o if o == oid::IT_CURRENT_CRL => &CERTIFICATE_LIST,
        _ => return None,
    })
}
