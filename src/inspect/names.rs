//! Names of object identifiers: those of the registry in `const-oid`, and those of CMP, which are not in it.

use const_oid::db::DB;

use crate::asn1::oid::{self, Oid};

/// Arcs below id-pkix that CMP and CRMF use: RFC 9810 section 5.3.19, RFC 4211 section 6, RFC 9483.
const CMP: &[(Oid, &str)] = &[
    (oid::IT_CURRENT_CRL, "currentCRL"),
    (oid::IT_REV_PASSPHRASE, "revPassphrase"),
    (oid::IT_IMPLICIT_CONFIRM, "implicitConfirm"),
    (oid::IT_CONFIRM_WAIT_TIME, "confirmWaitTime"),
    (oid::IT_ORIG_PKI_MESSAGE, "origPKIMessage"),
    (oid::IT_SUPP_LANG_TAGS, "suppLangTags"),
    (oid::IT_CA_CERTS, "caCerts"),
    (oid::IT_ROOT_CA_KEY_UPDATE, "rootCaKeyUpdate"),
    (oid::IT_CERT_REQ_TEMPLATE, "certReqTemplate"),
    (oid::IT_ROOT_CA_CERT, "rootCaCert"),
    (oid::IT_CERT_PROFILE, "certProfile"),
    (oid::IT_CRL_STATUS_LIST, "crlStatusList"),
    (oid::IT_CRLS, "crls"),
    (oid::REG_CTRL_REG_TOKEN, "regToken"),
    (oid::REG_CTRL_AUTHENTICATOR, "authenticator"),
    (oid::REG_CTRL_OLD_CERT_ID, "oldCertID"),
    (oid::REG_CTRL_ALG_ID, "algId"),
    (oid::REG_CTRL_RSA_KEY_LEN, "rsaKeyLen"),
    (oid::PASSWORD_BASED_MAC, "PasswordBasedMac"),
    (oid::PBMAC1, "PBMAC1"),
    (oid::HMAC_SHA1_RFC2202, "hmac-sha1"),
    (oid::KP_CMC_CA, "cmcCA"),
    (oid::KP_CMC_RA, "cmcRA"),
    (oid::KP_CM_KGA, "cmKGA"),
    (oid::CT_KP_KEY_PACKAGE, "asymmetricKeyPackage"),
    (oid::OCSP_BASIC, "ocspBasic"),
    (oid::OCSP_NONCE, "ocspNonce"),
    (oid::OCSP_NOCHECK, "ocspNocheck"),
];

/// The name with the number behind it, or the number alone.
pub(super) fn oid_name(oid: Oid) -> String {
    let known = CMP
        .iter()
        .find(|(known, _)| *known == oid)
        .map(|(_, name)| *name)
        .or_else(|| DB.by_oid(&const_oid::ObjectIdentifier::from_bytes(oid.as_bytes()).ok()?));
    match known {
        Some(name) => format!("{name} ({oid})"),
        None => oid.to_string(),
    }
}
