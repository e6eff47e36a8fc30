/* The PKI that all candidates use. */
#include "internal.h"
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define DAY 86400L

const char *bench_version(void)
{
    return OpenSSL_version(OPENSSL_VERSION_STRING);
}

const char *bench_last_error(void)
{
    static char text[256];
    unsigned long code = ERR_get_error();
    ERR_error_string_n(code, text, sizeof(text));
    return text;
}

static EVP_PKEY *make_key(int key_type)
{
    return key_type == BENCH_RSA2048 ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
}

static int add_extensions(X509 *certificate, X509 *issuer, const char *const *extensions)
{
    X509V3_CTX context;

    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    for (; *extensions != NULL; extensions += 2) {
        X509_EXTENSION *extension = X509V3_EXT_conf(NULL, &context, (char *)extensions[0], (char *)extensions[1]);
        int ok = extension != NULL && X509_add_ext(certificate, extension, -1);
        X509_EXTENSION_free(extension);
        if (!ok)
            return 0;
    }
    return 1;
}

X509 *make_certificate(const char *common_name, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key,
                       const char *const *extensions)
{
    X509 *certificate = X509_new();
    X509_NAME *name = X509_NAME_new();
    uint8_t serial[16];
    BIGNUM *number = NULL;
    int ok = certificate != NULL && name != NULL
        && RAND_bytes(serial, sizeof(serial)) == 1;

    serial[0] = (serial[0] & 0x3f) | 0x40;
    ok = ok && (number = BN_bin2bn(serial, sizeof(serial), NULL)) != NULL
        && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL
        && X509_set_version(certificate, X509_VERSION_3)
        && X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const uint8_t *)"devid bench", -1, -1, 0)
        && X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)common_name, -1, -1, 0)
        && X509_set_subject_name(certificate, name)
        && X509_set_issuer_name(certificate, issuer == NULL ? name : X509_get_subject_name(issuer))
        && X509_gmtime_adj(X509_getm_notBefore(certificate), -DAY) != NULL
        && X509_gmtime_adj(X509_getm_notAfter(certificate), 365 * DAY) != NULL
        && X509_set_pubkey(certificate, key)
        && add_extensions(certificate, issuer == NULL ? certificate : issuer, extensions)
        && X509_sign(certificate, issuer_key, EVP_sha256()) > 0;
    BN_free(number);
    X509_NAME_free(name);
    if (ok)
        return certificate;
    X509_free(certificate);
    return NULL;
}

static int keep_der(bench_pki *pki, int item, uint8_t *der, int len)
{
    if (len <= 0)
        return 0;
    pki->der[item] = der;
    pki->der_len[item] = (size_t)len;
    return 1;
}

static int keep_key(bench_pki *pki, int item)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(PKI_KEY(pki, item));
    uint8_t *der = NULL;
    int len = info == NULL ? 0 : i2d_PKCS8_PRIV_KEY_INFO(info, &der);

    PKCS8_PRIV_KEY_INFO_free(info);
    return keep_der(pki, item, der, len);
}

static int keep_ocsp(bench_pki *pki, int item, X509 *signer, EVP_PKEY *key)
{
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), pki->certificates[BENCH_LEAF], pki->certificates[BENCH_ISSUING]);
    ASN1_TIME *this_update = X509_gmtime_adj(NULL, -3600), *next_update = X509_gmtime_adj(NULL, 7 * DAY);
    OCSP_RESPONSE *response = NULL;
    uint8_t *der = NULL;
    int ok = basic != NULL && id != NULL
        && OCSP_basic_add1_status(basic, id, V_OCSP_CERTSTATUS_GOOD, 0, NULL, this_update, next_update) != NULL
        && OCSP_basic_sign(basic, signer, key, EVP_sha256(), NULL,
                           item == BENCH_OCSP_BY_CA ? OCSP_NOCERTS : 0)
        && (response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic)) != NULL;
    int len = ok ? i2d_OCSP_RESPONSE(response, &der) : 0;

    OCSP_RESPONSE_free(response);
    ASN1_TIME_free(this_update);
    ASN1_TIME_free(next_update);
    OCSP_CERTID_free(id);
    OCSP_BASICRESP_free(basic);
    return keep_der(pki, item, der, len);
}

static int make_certificates(bench_pki *pki)
{
    static const char *const root[] = { "basicConstraints", "critical,CA:TRUE",
        "keyUsage", "critical,keyCertSign,cRLSign", "subjectKeyIdentifier", "hash", NULL };
    static const char *const issuing[] = { "basicConstraints", "critical,CA:TRUE,pathlen:0",
        "keyUsage", "critical,keyCertSign,cRLSign,digitalSignature", "subjectKeyIdentifier", "hash",
        "authorityKeyIdentifier", "keyid", NULL };
    static const char *const signer[] = { "keyUsage", "critical,digitalSignature", "extendedKeyUsage", "cmcRA",
        "subjectKeyIdentifier", "hash", "authorityKeyIdentifier", "keyid", NULL };
    static const char *const responder[] = { "keyUsage", "critical,digitalSignature", "extendedKeyUsage",
        "OCSPSigning", "noCheck", "ignored", "subjectKeyIdentifier", "hash", "authorityKeyIdentifier", "keyid", NULL };
    static const char *const device[] = { "keyUsage", "critical,digitalSignature", "subjectKeyIdentifier", "hash",
        "authorityKeyIdentifier", "keyid", NULL };
    static const char *const leaf[] = { "keyUsage", "critical,digitalSignature", "extendedKeyUsage", "serverAuth",
        "subjectAltName", "DNS:peer.example", "subjectKeyIdentifier", "hash", "authorityKeyIdentifier", "keyid", NULL };
    X509 **c = pki->certificates;
    EVP_PKEY *root_key = PKI_KEY(pki, BENCH_ROOT_KEY), *issuing_key = PKI_KEY(pki, BENCH_ISSUING_KEY);
    EVP_PKEY *supplier_key = PKI_KEY(pki, BENCH_SUPPLIER_KEY), *device_key = PKI_KEY(pki, BENCH_DEVICE_KEY);
    EVP_PKEY *signer_key = PKI_KEY(pki, BENCH_CMP_SIGNER_KEY);

    return (c[BENCH_ROOT] = make_certificate("Root CA", root_key, NULL, root_key, root)) != NULL
        && (c[BENCH_ISSUING] = make_certificate("Issuing CA", issuing_key, c[BENCH_ROOT], root_key, issuing)) != NULL
        && (c[BENCH_CMP_SIGNER] = make_certificate("CMP server", signer_key, c[BENCH_ROOT], root_key, signer)) != NULL
        && (c[BENCH_SUPPLIER] = make_certificate("Supplier CA", supplier_key, NULL, supplier_key, root)) != NULL
        && (c[BENCH_DEVICE] = make_certificate("Device 4711", device_key, c[BENCH_SUPPLIER], supplier_key, device)) != NULL
        && (c[BENCH_LEAF] = make_certificate("peer.example", device_key, c[BENCH_ISSUING], issuing_key, leaf)) != NULL
        && (c[BENCH_OCSP_SIGNER] = make_certificate("Responder", signer_key, c[BENCH_ISSUING], issuing_key, responder)) != NULL
        && (c[BENCH_ISSUED] = make_certificate("Device 4711", PKI_KEY(pki, BENCH_NEW_KEY), c[BENCH_ISSUING], issuing_key, device)) != NULL;
}

bench_pki *bench_pki_new(int key_type)
{
    bench_pki *pki = calloc(1, sizeof(*pki));
    int item, ok = pki != NULL;

    if (ok)
        pki->key_type = key_type;
    for (item = BENCH_ROOT_KEY; ok && item <= BENCH_NEW_KEY; item++)
        ok = (PKI_KEY(pki, item) = make_key(key_type)) != NULL && keep_key(pki, item);
    ok = ok && make_certificates(pki);
    for (item = 0; ok && item < BENCH_CERTIFICATES; item++) {
        uint8_t *der = NULL;
        int len = i2d_X509(pki->certificates[item], &der);
        ok = keep_der(pki, item, der, len);
    }
    ok = ok && keep_ocsp(pki, BENCH_OCSP_BY_CA, pki->certificates[BENCH_ISSUING], PKI_KEY(pki, BENCH_ISSUING_KEY))
        && keep_ocsp(pki, BENCH_OCSP_DELEGATED, pki->certificates[BENCH_OCSP_SIGNER], PKI_KEY(pki, BENCH_CMP_SIGNER_KEY));
    /* A PKI lives as long as the process, a half-made one ends it. */
    return ok ? pki : NULL;
}

const uint8_t *bench_pki_item(const bench_pki *pki, int item, size_t *len)
{
    *len = pki->der_len[item];
    return pki->der[item];
}

X509 *parse_certificate(const uint8_t *der, size_t len)
{
    return d2i_X509(NULL, &der, (long)len);
}

X509_STORE *store_with(X509 *anchor)
{
    X509_STORE *store = X509_STORE_new();

    if (store != NULL && !X509_STORE_add_cert(store, anchor)) {
        X509_STORE_free(store);
        return NULL;
    }
    return store;
}
