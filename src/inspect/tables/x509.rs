//! Certificates, CRLs and requests (RFC 5280, RFC 2986).

use super::super::shape::{Shape, field};
use crate::asn1::oid::{self, Oid};

pub(in super::super) static PUBLIC_KEY: Shape =
    Shape::Sequence(&[field("algorithm", &Shape::Algorithm), field("subjectPublicKey", &Shape::PublicKey)]);
static VERSION: Shape = Shape::Named(&[(0, "v1"), (1, "v2"), (2, "v3")]);
pub(super) static VALIDITY: Shape =
    Shape::Sequence(&[field("notBefore", &Shape::Time), field("notAfter", &Shape::Time)]);

pub(in super::super) static CERTIFICATE: Shape = Shape::Sequence(&[
    field("tbsCertificate", &Shape::Public(&TBS_CERTIFICATE)),
    field("signatureAlgorithm", &Shape::Algorithm),
    field("signature", &Shape::BitString),
]);
/// ITU-T X.509 section 7.6: the anchor's side first.
pub(in super::super) static PKI_PATH: Shape = Shape::SequenceOf(&CERTIFICATE);
static TBS_CERTIFICATE: Shape = Shape::Sequence(&[
    field("version", &VERSION).explicit(0).optional(),
    field("serialNumber", &Shape::Serial),
    field("signature", &Shape::Algorithm),
    field("issuer", &Shape::Name),
    field("validity", &VALIDITY),
    field("subject", &Shape::Name),
    field("subjectPublicKeyInfo", &PUBLIC_KEY),
    field("issuerUniqueID", &Shape::BitString).implicit(1).optional(),
    field("subjectUniqueID", &Shape::BitString).implicit(2).optional(),
    field("extensions", &EXTENSIONS).explicit(3).optional(),
]);

pub(super) static EXTENSIONS: Shape = Shape::SequenceOf(&EXTENSION);
static EXTENSION: Shape = Shape::Sequence(&[
    field("extnID", &Shape::Oid),
    field("critical", &Shape::Boolean).optional(),
    field("extnValue", &Shape::InsideByOid(extension)),
]);

pub(super) static GENERAL_NAMES: Shape = Shape::SequenceOf(&GENERAL_NAME);
static OTHER_NAME: Shape =
    Shape::Sequence(&[field("type-id", &Shape::Oid), field("value", &Shape::ByOid(other_name)).explicit(0)]);
static HARDWARE_MODULE_NAME: Shape =
    Shape::Sequence(&[field("hwType", &Shape::Oid), field("hwSerialNum", &Shape::OctetString)]);
pub(super) static GENERAL_NAME: Shape = Shape::Choice(&[
    field("otherName", &OTHER_NAME).implicit(0),
    field("rfc822Name", &Shape::Text).implicit(1),
    field("dNSName", &Shape::Text).implicit(2),
    field("x400Address", &Shape::Any).implicit(3),
    field("directoryName", &Shape::Name).explicit(4),
    field("ediPartyName", &Shape::Any).implicit(5),
    field("uniformResourceIdentifier", &Shape::Text).implicit(6),
    field("iPAddress", &Shape::Address).implicit(7),
    field("registeredID", &Shape::Oid).implicit(8),
]);

fn other_name(oid: Oid) -> Option<&'static Shape> {
    (oid == oid::ON_HARDWARE_MODULE_NAME).then_some(&HARDWARE_MODULE_NAME)
}

const KEY_USAGES: &[&str] = &[
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
    "encipherOnly",
    "decipherOnly",
];
const REASON_FLAGS: &[&str] = &[
    "unused",
    "keyCompromise",
    "cACompromise",
    "affiliationChanged",
    "superseded",
    "cessationOfOperation",
    "certificateHold",
    "privilegeWithdrawn",
    "aACompromise",
];
pub(super) static CRL_REASON: Shape = Shape::Enumerated(&[
    (0, "unspecified"),
    (1, "keyCompromise"),
    (2, "cACompromise"),
    (3, "affiliationChanged"),
    (4, "superseded"),
    (5, "cessationOfOperation"),
    (6, "certificateHold"),
    (8, "removeFromCRL"),
    (9, "privilegeWithdrawn"),
    (10, "aACompromise"),
]);
static KEY_USAGE: Shape = Shape::Bits(KEY_USAGES);
static REASONS: Shape = Shape::Bits(REASON_FLAGS);
static OIDS: Shape = Shape::SequenceOf(&Shape::Oid);
static BASIC_CONSTRAINTS: Shape =
    Shape::Sequence(&[field("cA", &Shape::Boolean).optional(), field("pathLenConstraint", &Shape::Integer).optional()]);
static AUTHORITY_KEY_IDENTIFIER: Shape = Shape::Sequence(&[
    field("keyIdentifier", &Shape::OctetString).implicit(0).optional(),
    field("authorityCertIssuer", &GENERAL_NAMES).implicit(1).optional(),
    field("authorityCertSerialNumber", &Shape::Serial).implicit(2).optional(),
]);
pub(super) static DISTRIBUTION_POINT_NAME: Shape = Shape::Choice(&[
    field("fullName", &GENERAL_NAMES).implicit(0),
    field("nameRelativeToCRLIssuer", &Shape::Any).implicit(1),
]);
static DISTRIBUTION_POINTS: Shape = Shape::SequenceOf(&DISTRIBUTION_POINT);
static DISTRIBUTION_POINT: Shape = Shape::Sequence(&[
    field("distributionPoint", &DISTRIBUTION_POINT_NAME).explicit(0).optional(),
    field("reasons", &REASONS).implicit(1).optional(),
    field("cRLIssuer", &GENERAL_NAMES).implicit(2).optional(),
]);
static ISSUING_DISTRIBUTION_POINT: Shape = Shape::Sequence(&[
    field("distributionPoint", &DISTRIBUTION_POINT_NAME).explicit(0).optional(),
    field("onlyContainsUserCerts", &Shape::Boolean).implicit(1).optional(),
    field("onlyContainsCACerts", &Shape::Boolean).implicit(2).optional(),
    field("onlySomeReasons", &REASONS).implicit(3).optional(),
    field("indirectCRL", &Shape::Boolean).implicit(4).optional(),
    field("onlyContainsAttributeCerts", &Shape::Boolean).implicit(5).optional(),
]);
static INFORMATION_ACCESS: Shape = Shape::SequenceOf(&ACCESS_DESCRIPTION);
static ACCESS_DESCRIPTION: Shape =
    Shape::Sequence(&[field("accessMethod", &Shape::Oid), field("accessLocation", &GENERAL_NAME)]);
static POLICIES: Shape = Shape::SequenceOf(&POLICY);
static POLICY: Shape =
    Shape::Sequence(&[field("policyIdentifier", &Shape::Oid), field("policyQualifiers", &Shape::Any).optional()]);
static POLICY_MAPPINGS: Shape = Shape::SequenceOf(&POLICY_MAPPING);
static POLICY_MAPPING: Shape =
    Shape::Sequence(&[field("issuerDomainPolicy", &Shape::Oid), field("subjectDomainPolicy", &Shape::Oid)]);
static POLICY_CONSTRAINTS: Shape = Shape::Sequence(&[
    field("requireExplicitPolicy", &Shape::Integer).implicit(0).optional(),
    field("inhibitPolicyMapping", &Shape::Integer).implicit(1).optional(),
]);
static NAME_CONSTRAINTS: Shape = Shape::Sequence(&[
    field("permittedSubtrees", &SUBTREES).implicit(0).optional(),
    field("excludedSubtrees", &SUBTREES).implicit(1).optional(),
]);
static SUBTREES: Shape = Shape::SequenceOf(&SUBTREE);
static SUBTREE: Shape = Shape::Sequence(&[
    field("base", &GENERAL_NAME),
    field("minimum", &Shape::Integer).implicit(0).optional(),
    field("maximum", &Shape::Integer).implicit(1).optional(),
]);

/// What the value of an extension is.
fn extension(oid: Oid) -> Option<&'static Shape> {
    Some(match oid {
        o if o == oid::CE_SUBJECT_KEY_IDENTIFIER || o == oid::OCSP_NONCE => &Shape::OctetString,
        o if o == oid::CE_KEY_USAGE => &KEY_USAGE,
        o if o == oid::CE_SUBJECT_ALT_NAME || o == oid::CE_ISSUER_ALT_NAME || o == oid::CE_CERTIFICATE_ISSUER => {
            &GENERAL_NAMES
        }
        o if o == oid::CE_BASIC_CONSTRAINTS => &BASIC_CONSTRAINTS,
        o if o == oid::CE_CRL_NUMBER || o == oid::CE_DELTA_CRL_INDICATOR => &Shape::Serial,
        o if o == oid::CE_INHIBIT_ANY_POLICY => &Shape::Integer,
        o if o == oid::CE_CRL_REASON => &CRL_REASON,
        o if o == oid::CE_INVALIDITY_DATE => &Shape::Time,
        o if o == oid::CE_ISSUING_DISTRIBUTION_POINT => &ISSUING_DISTRIBUTION_POINT,
        o if o == oid::CE_NAME_CONSTRAINTS => &NAME_CONSTRAINTS,
        o if o == oid::CE_CRL_DISTRIBUTION_POINTS || o == oid::CE_FRESHEST_CRL => &DISTRIBUTION_POINTS,
        o if o == oid::CE_CERTIFICATE_POLICIES => &POLICIES,
        o if o == oid::CE_POLICY_MAPPINGS => &POLICY_MAPPINGS,
        o if o == oid::CE_POLICY_CONSTRAINTS => &POLICY_CONSTRAINTS,
        o if o == oid::CE_AUTHORITY_KEY_IDENTIFIER => &AUTHORITY_KEY_IDENTIFIER,
        o if o == oid::CE_EXT_KEY_USAGE => &OIDS,
        o if o == oid::PE_AUTHORITY_INFO_ACCESS || o == oid::PE_SUBJECT_INFO_ACCESS => &INFORMATION_ACCESS,
        o if o == oid::OCSP_NOCHECK => &Shape::Null,
        _ => return None,
    })
}

pub(in super::super) static CERTIFICATE_LIST: Shape = Shape::Sequence(&[
    field("tbsCertList", &Shape::Public(&TBS_CERT_LIST)),
    field("signatureAlgorithm", &Shape::Algorithm),
    field("signature", &Shape::BitString),
]);
static TBS_CERT_LIST: Shape = Shape::Sequence(&[
    field("version", &VERSION).optional(),
    field("signature", &Shape::Algorithm),
    field("issuer", &Shape::Name),
    field("thisUpdate", &Shape::Time),
    field("nextUpdate", &Shape::Time).optional(),
    field("revokedCertificates", &REVOKED).optional(),
    field("crlExtensions", &EXTENSIONS).explicit(0).optional(),
]);
static REVOKED: Shape = Shape::SequenceOf(&ENTRY);
static ENTRY: Shape = Shape::Sequence(&[
    field("userCertificate", &Shape::Serial),
    field("revocationDate", &Shape::Time),
    field("crlEntryExtensions", &EXTENSIONS).optional(),
]);

pub(in super::super) static CERTIFICATION_REQUEST: Shape = Shape::Sequence(&[
    field("certificationRequestInfo", &REQUEST_INFO),
    field("signatureAlgorithm", &Shape::Algorithm),
    field("signature", &Shape::BitString),
]);
static REQUEST_INFO: Shape = Shape::Sequence(&[
    field("version", &VERSION),
    field("subject", &Shape::Name),
    field("subjectPKInfo", &PUBLIC_KEY),
    field("attributes", &ATTRIBUTES).implicit(0),
]);
pub(super) static ATTRIBUTES: Shape = Shape::SetOf(&ATTRIBUTE);
static ATTRIBUTE: Shape = Shape::Sequence(&[field("type", &Shape::Oid), field("values", &Shape::ByOid(attribute))]);
static EXTENSION_REQUESTS: Shape = Shape::SetOf(&EXTENSIONS);
static SECRETS: Shape = Shape::SetOf(&Shape::Secret);
static OID_SET: Shape = Shape::SetOf(&Shape::Oid);
static DIGESTS: Shape = Shape::SetOf(&Shape::OctetString);
static ANYTHING: Shape = Shape::SetOf(&Shape::Any);

fn attribute(oid: Oid) -> Option<&'static Shape> {
    Some(match oid {
        o if o == oid::EXTENSION_REQUEST => &EXTENSION_REQUESTS,
        o if o == oid::CHALLENGE_PASSWORD => &SECRETS,
        o if o == oid::CMS_CONTENT_TYPE => &OID_SET,
        o if o == oid::CMS_MESSAGE_DIGEST => &DIGESTS,
        _ => &ANYTHING,
    })
}
