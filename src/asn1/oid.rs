//! Object identifiers by the names their standards give them.

pub use super::object_identifier::ObjectIdentifier as Oid;

const fn oid(text: &str) -> Oid {
    Oid::new_unwrap(text)
}

// Digests: RFC 9481 section 2, NIST CSOR.
pub const SHA1: Oid = oid("1.3.14.3.2.26");
pub const SHA224: Oid = oid("2.16.840.1.101.3.4.2.4");
pub const SHA256: Oid = oid("2.16.840.1.101.3.4.2.1");
pub const SHA384: Oid = oid("2.16.840.1.101.3.4.2.2");
pub const SHA512: Oid = oid("2.16.840.1.101.3.4.2.3");

// Keys: RFC 3279, 5480, 8410, 9881, 9935.
pub const RSA_ENCRYPTION: Oid = oid("1.2.840.113549.1.1.1");
pub const RSAES_OAEP: Oid = oid("1.2.840.113549.1.1.7");
pub const EC_PUBLIC_KEY: Oid = oid("1.2.840.10045.2.1");
pub const CURVE_P256: Oid = oid("1.2.840.10045.3.1.7");
pub const CURVE_P384: Oid = oid("1.3.132.0.34");
pub const CURVE_P521: Oid = oid("1.3.132.0.35");
pub const ED25519: Oid = oid("1.3.101.112");
pub const X25519: Oid = oid("1.3.101.110");
pub const ML_DSA_44: Oid = oid("2.16.840.1.101.3.4.3.17");
pub const ML_DSA_65: Oid = oid("2.16.840.1.101.3.4.3.18");
pub const ML_DSA_87: Oid = oid("2.16.840.1.101.3.4.3.19");
pub const ML_KEM_512: Oid = oid("2.16.840.1.101.3.4.4.1");
pub const ML_KEM_768: Oid = oid("2.16.840.1.101.3.4.4.2");
pub const ML_KEM_1024: Oid = oid("2.16.840.1.101.3.4.4.3");

// Signatures: RFC 9481 section 3, RFC 4055, RFC 5758.
pub const SHA1_WITH_RSA: Oid = oid("1.2.840.113549.1.1.5");
pub const SHA224_WITH_RSA: Oid = oid("1.2.840.113549.1.1.14");
pub const SHA256_WITH_RSA: Oid = oid("1.2.840.113549.1.1.11");
pub const SHA384_WITH_RSA: Oid = oid("1.2.840.113549.1.1.12");
pub const SHA512_WITH_RSA: Oid = oid("1.2.840.113549.1.1.13");
pub const RSASSA_PSS: Oid = oid("1.2.840.113549.1.1.10");
pub const MGF1: Oid = oid("1.2.840.113549.1.1.8");
pub const ECDSA_WITH_SHA1: Oid = oid("1.2.840.10045.4.1");
pub const ECDSA_WITH_SHA224: Oid = oid("1.2.840.10045.4.3.1");
pub const ECDSA_WITH_SHA256: Oid = oid("1.2.840.10045.4.3.2");
pub const ECDSA_WITH_SHA384: Oid = oid("1.2.840.10045.4.3.3");
pub const ECDSA_WITH_SHA512: Oid = oid("1.2.840.10045.4.3.4");

// MACs and key derivation: RFC 9481 section 6, RFC 8018, RFC 4210.
pub const PASSWORD_BASED_MAC: Oid = oid("1.2.840.113533.7.66.13");
pub const PBMAC1: Oid = oid("1.2.840.113549.1.5.14");
pub const KEM_BASED_MAC: Oid = oid("1.2.840.113533.7.66.16");
pub const HKDF_WITH_SHA256: Oid = oid("1.2.840.113549.1.9.16.3.28");
pub const HKDF_WITH_SHA384: Oid = oid("1.2.840.113549.1.9.16.3.29");
pub const HKDF_WITH_SHA512: Oid = oid("1.2.840.113549.1.9.16.3.30");
pub const PBES2: Oid = oid("1.2.840.113549.1.5.13");
pub const PBKDF2: Oid = oid("1.2.840.113549.1.5.12");
pub const SCRYPT: Oid = oid("1.3.6.1.4.1.11591.4.11");
pub const HMAC_SHA1_RFC2202: Oid = oid("1.3.6.1.5.5.8.1.2");
pub const HMAC_WITH_SHA1: Oid = oid("1.2.840.113549.2.7");
pub const HMAC_WITH_SHA224: Oid = oid("1.2.840.113549.2.8");
pub const HMAC_WITH_SHA256: Oid = oid("1.2.840.113549.2.9");
pub const HMAC_WITH_SHA384: Oid = oid("1.2.840.113549.2.10");
pub const HMAC_WITH_SHA512: Oid = oid("1.2.840.113549.2.11");

// Content encryption and key management: RFC 3565, RFC 5084, RFC 5753, RFC 9481 sections 4 and 5.
pub const AES128_CBC: Oid = oid("2.16.840.1.101.3.4.1.2");
pub const AES192_CBC: Oid = oid("2.16.840.1.101.3.4.1.22");
pub const AES256_CBC: Oid = oid("2.16.840.1.101.3.4.1.42");
pub const AES128_WRAP: Oid = oid("2.16.840.1.101.3.4.1.5");
pub const AES192_WRAP: Oid = oid("2.16.840.1.101.3.4.1.25");
pub const AES256_WRAP: Oid = oid("2.16.840.1.101.3.4.1.45");
pub const AES128_GCM: Oid = oid("2.16.840.1.101.3.4.1.6");
pub const AES192_GCM: Oid = oid("2.16.840.1.101.3.4.1.26");
pub const AES256_GCM: Oid = oid("2.16.840.1.101.3.4.1.46");
pub const DES_EDE3_CBC: Oid = oid("1.2.840.113549.3.7");
pub const P_SPECIFIED: Oid = oid("1.2.840.113549.1.1.9");
pub const ECDH_STD_SHA1_KDF: Oid = oid("1.3.133.16.840.63.0.2");
pub const ECDH_STD_SHA224_KDF: Oid = oid("1.3.132.1.11.0");
pub const ECDH_STD_SHA256_KDF: Oid = oid("1.3.132.1.11.1");
pub const ECDH_STD_SHA384_KDF: Oid = oid("1.3.132.1.11.2");
pub const ECDH_STD_HKDF_SHA256: Oid = oid("1.2.840.113549.1.9.16.3.19");
pub const ECDH_STD_HKDF_SHA384: Oid = oid("1.2.840.113549.1.9.16.3.20");
pub const ECDH_STD_HKDF_SHA512: Oid = oid("1.2.840.113549.1.9.16.3.21");
pub const ECDH_STD_SHA512_KDF: Oid = oid("1.3.132.1.11.3");

// CMP information types and CRMF controls: RFC 9810 section 5.1.1 and 5.3.19, RFC 4211 section 6.
pub const IT_CURRENT_CRL: Oid = oid("1.3.6.1.5.5.7.4.6");
pub const IT_IMPLICIT_CONFIRM: Oid = oid("1.3.6.1.5.5.7.4.13");
pub const IT_CONFIRM_WAIT_TIME: Oid = oid("1.3.6.1.5.5.7.4.14");
pub const IT_ORIG_PKI_MESSAGE: Oid = oid("1.3.6.1.5.5.7.4.15");
pub const IT_SUPP_LANG_TAGS: Oid = oid("1.3.6.1.5.5.7.4.16");
pub const IT_CA_CERTS: Oid = oid("1.3.6.1.5.5.7.4.17");
pub const IT_ROOT_CA_KEY_UPDATE: Oid = oid("1.3.6.1.5.5.7.4.18");
pub const IT_CERT_REQ_TEMPLATE: Oid = oid("1.3.6.1.5.5.7.4.19");
pub const IT_ROOT_CA_CERT: Oid = oid("1.3.6.1.5.5.7.4.20");
pub const IT_CERT_PROFILE: Oid = oid("1.3.6.1.5.5.7.4.21");
pub const IT_CRL_STATUS_LIST: Oid = oid("1.3.6.1.5.5.7.4.22");
pub const IT_REV_PASSPHRASE: Oid = oid("1.3.6.1.5.5.7.4.12");
pub const IT_KEM_CIPHERTEXT_INFO: Oid = oid("1.3.6.1.5.5.7.4.24");
pub const IT_CRLS: Oid = oid("1.3.6.1.5.5.7.4.23");
pub const REG_CTRL_REG_TOKEN: Oid = oid("1.3.6.1.5.5.7.5.1.1");
pub const REG_CTRL_AUTHENTICATOR: Oid = oid("1.3.6.1.5.5.7.5.1.2");
pub const REG_CTRL_OLD_CERT_ID: Oid = oid("1.3.6.1.5.5.7.5.1.5");
pub const REG_CTRL_ALG_ID: Oid = oid("1.3.6.1.5.5.7.5.1.11");
pub const REG_CTRL_RSA_KEY_LEN: Oid = oid("1.3.6.1.5.5.7.5.1.12");

// Certificate and CRL extensions: RFC 5280.
pub const CE_SUBJECT_KEY_IDENTIFIER: Oid = oid("2.5.29.14");
pub const CE_KEY_USAGE: Oid = oid("2.5.29.15");
pub const CE_SUBJECT_ALT_NAME: Oid = oid("2.5.29.17");
pub const CE_ISSUER_ALT_NAME: Oid = oid("2.5.29.18");
pub const CE_BASIC_CONSTRAINTS: Oid = oid("2.5.29.19");
pub const CE_CRL_NUMBER: Oid = oid("2.5.29.20");
pub const CE_CRL_REASON: Oid = oid("2.5.29.21");
pub const CE_INVALIDITY_DATE: Oid = oid("2.5.29.24");
pub const CE_DELTA_CRL_INDICATOR: Oid = oid("2.5.29.27");
pub const CE_ISSUING_DISTRIBUTION_POINT: Oid = oid("2.5.29.28");
pub const CE_CERTIFICATE_ISSUER: Oid = oid("2.5.29.29");
pub const CE_NAME_CONSTRAINTS: Oid = oid("2.5.29.30");
pub const CE_CRL_DISTRIBUTION_POINTS: Oid = oid("2.5.29.31");
pub const CE_CERTIFICATE_POLICIES: Oid = oid("2.5.29.32");
pub const ANY_POLICY: Oid = oid("2.5.29.32.0");
pub const CE_POLICY_MAPPINGS: Oid = oid("2.5.29.33");
pub const CE_AUTHORITY_KEY_IDENTIFIER: Oid = oid("2.5.29.35");
pub const CE_POLICY_CONSTRAINTS: Oid = oid("2.5.29.36");
pub const CE_EXT_KEY_USAGE: Oid = oid("2.5.29.37");
pub const CE_FRESHEST_CRL: Oid = oid("2.5.29.46");
pub const CE_INHIBIT_ANY_POLICY: Oid = oid("2.5.29.54");
// RFC 9608.
pub const CE_NO_REV_AVAIL: Oid = oid("2.5.29.56");
pub const PE_AUTHORITY_INFO_ACCESS: Oid = oid("1.3.6.1.5.5.7.1.1");
pub const PE_SUBJECT_INFO_ACCESS: Oid = oid("1.3.6.1.5.5.7.1.11");
/// TLS feature (RFC 7633).
pub const PE_TLS_FEATURE: Oid = oid("1.3.6.1.5.5.7.1.24");
pub const AD_OCSP: Oid = oid("1.3.6.1.5.5.7.48.1");
pub const AD_CA_ISSUERS: Oid = oid("1.3.6.1.5.5.7.48.2");
pub const OCSP_BASIC: Oid = oid("1.3.6.1.5.5.7.48.1.1");
pub const OCSP_NONCE: Oid = oid("1.3.6.1.5.5.7.48.1.2");
pub const OCSP_NOCHECK: Oid = oid("1.3.6.1.5.5.7.48.1.5");

// Extended key usage purposes: RFC 5280 section 4.2.1.12, RFC 6402, RFC 9810 section 4.5.
pub const ANY_EXTENDED_KEY_USAGE: Oid = oid("2.5.29.37.0");
pub const KP_SERVER_AUTH: Oid = oid("1.3.6.1.5.5.7.3.1");
pub const KP_CLIENT_AUTH: Oid = oid("1.3.6.1.5.5.7.3.2");
pub const KP_CODE_SIGNING: Oid = oid("1.3.6.1.5.5.7.3.3");
pub const KP_EMAIL_PROTECTION: Oid = oid("1.3.6.1.5.5.7.3.4");
pub const KP_TIME_STAMPING: Oid = oid("1.3.6.1.5.5.7.3.8");
pub const KP_OCSP_SIGNING: Oid = oid("1.3.6.1.5.5.7.3.9");
pub const KP_CMC_CA: Oid = oid("1.3.6.1.5.5.7.3.27");
pub const KP_CMC_RA: Oid = oid("1.3.6.1.5.5.7.3.28");
pub const KP_CM_KGA: Oid = oid("1.3.6.1.5.5.7.3.32");

// Keys inside a TPM, as OpenSSL's providers write them (Bottomley, TPM 2.0 Key Files).
pub const TPM_LOADABLE_KEY: Oid = oid("2.23.133.10.1.3");
pub const TPM_IMPORTABLE_KEY: Oid = oid("2.23.133.10.1.4");
pub const TPM_SEALED_DATA: Oid = oid("2.23.133.10.1.5");

// Names of hardware: RFC 4108 section 5.
pub const ON_HARDWARE_MODULE_NAME: Oid = oid("1.3.6.1.5.5.7.8.4");

// PKCS#9 and CMS: RFC 2985, RFC 5652.
pub const EXTENSION_REQUEST: Oid = oid("1.2.840.113549.1.9.14");
pub const CHALLENGE_PASSWORD: Oid = oid("1.2.840.113549.1.9.7");
pub const EMAIL_ADDRESS: Oid = oid("1.2.840.113549.1.9.1");
pub const CMS_CONTENT_TYPE: Oid = oid("1.2.840.113549.1.9.3");
pub const CMS_MESSAGE_DIGEST: Oid = oid("1.2.840.113549.1.9.4");
pub const CT_KP_KEY_PACKAGE: Oid = oid("2.16.840.1.101.2.1.2.78.5");
pub const CMS_DATA: Oid = oid("1.2.840.113549.1.7.1");
pub const CMS_SIGNED_DATA: Oid = oid("1.2.840.113549.1.7.2");
pub const CMS_ENVELOPED_DATA: Oid = oid("1.2.840.113549.1.7.3");
pub const CMS_ORI_KEM: Oid = oid("1.2.840.113549.1.9.16.13.3");
pub const CMS_AUTH_ENVELOPED_DATA: Oid = oid("1.2.840.113549.1.9.16.1.23");

// PKCS#12: RFC 7292, RFC 2985.
pub const CMS_ENCRYPTED_DATA: Oid = oid("1.2.840.113549.1.7.6");
pub const FRIENDLY_NAME: Oid = oid("1.2.840.113549.1.9.20");
pub const LOCAL_KEY_ID: Oid = oid("1.2.840.113549.1.9.21");
pub const X509_CERTIFICATE_BAG: Oid = oid("1.2.840.113549.1.9.22.1");
pub const PBE_SHA1_3DES_3KEY: Oid = oid("1.2.840.113549.1.12.1.3");
pub const PBE_SHA1_3DES_2KEY: Oid = oid("1.2.840.113549.1.12.1.4");
pub const PBE_SHA1_RC2_128: Oid = oid("1.2.840.113549.1.12.1.5");
pub const PBE_SHA1_RC2_40: Oid = oid("1.2.840.113549.1.12.1.6");
/// Those of RFC 7292 appendix C that are read.
pub const PBE_SHA1_OUTDATED: [Oid; 4] = [PBE_SHA1_3DES_3KEY, PBE_SHA1_3DES_2KEY, PBE_SHA1_RC2_128, PBE_SHA1_RC2_40];
pub const BAG_KEY: Oid = oid("1.2.840.113549.1.12.10.1.1");
pub const BAG_SHROUDED_KEY: Oid = oid("1.2.840.113549.1.12.10.1.2");
pub const BAG_CERTIFICATE: Oid = oid("1.2.840.113549.1.12.10.1.3");
pub const BAG_SAFE_CONTENTS: Oid = oid("1.2.840.113549.1.12.10.1.6");

// Attribute types of names: X.520, RFC 4519.
pub const AT_COMMON_NAME: Oid = oid("2.5.4.3");
pub const AT_SURNAME: Oid = oid("2.5.4.4");
pub const AT_SERIAL_NUMBER: Oid = oid("2.5.4.5");
pub const AT_COUNTRY: Oid = oid("2.5.4.6");
pub const AT_LOCALITY: Oid = oid("2.5.4.7");
pub const AT_STATE: Oid = oid("2.5.4.8");
pub const AT_STREET: Oid = oid("2.5.4.9");
pub const AT_ORGANIZATION: Oid = oid("2.5.4.10");
pub const AT_ORGANIZATIONAL_UNIT: Oid = oid("2.5.4.11");
pub const AT_TITLE: Oid = oid("2.5.4.12");
pub const AT_GIVEN_NAME: Oid = oid("2.5.4.42");
pub const AT_DN_QUALIFIER: Oid = oid("2.5.4.46");
pub const ON_SMTP_UTF8_MAILBOX: Oid = oid("1.3.6.1.5.5.7.8.9");
pub const AT_TELEPHONE_NUMBER: Oid = oid("2.5.4.20");
pub const AT_INITIALS: Oid = oid("2.5.4.43");
// RFC 3739 section 3.2.2, CA/Browser Forum.
pub const AT_GENDER: Oid = oid("1.3.6.1.5.5.7.9.3");
pub const AT_COUNTRY_OF_CITIZENSHIP: Oid = oid("1.3.6.1.5.5.7.9.4");
pub const AT_COUNTRY_OF_RESIDENCE: Oid = oid("1.3.6.1.5.5.7.9.5");
pub const AT_JURISDICTION_COUNTRY: Oid = oid("1.3.6.1.4.1.311.60.2.1.3");
pub const AT_USER_ID: Oid = oid("0.9.2342.19200300.100.1.1");
pub const AT_DOMAIN_COMPONENT: Oid = oid("0.9.2342.19200300.100.1.25");
