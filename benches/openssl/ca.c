/* A CA that answers CMP requests: libcrypto's server code, with callbacks that issue. */
#include "internal.h"
#include <openssl/cmp.h>
#include <openssl/crmf.h>
#include <stdlib.h>

struct bench_ca {
    const bench_pki *pki;
    OSSL_CMP_SRV_CTX *server;
    X509 *issued;
    uint8_t *answer;
};

static X509 *issue(const bench_pki *pki, const OSSL_CRMF_MSG *request)
{
#if OPENSSL_VERSION_NUMBER >= 0x30200000L
    static const char *const extensions[] = { "keyUsage", "critical,digitalSignature", "subjectKeyIdentifier", "hash",
        "authorityKeyIdentifier", "keyid", NULL };
    OSSL_CRMF_CERTTEMPLATE *asked = OSSL_CRMF_MSG_get0_tmpl(request);
    EVP_PKEY *key = X509_PUBKEY_get(OSSL_CRMF_CERTTEMPLATE_get0_publicKey(asked));
    X509 *certificate = key == NULL ? NULL : make_certificate("Device 4711", key,
        pki->certificates[BENCH_ISSUING], PKI_KEY(pki, BENCH_ISSUING_KEY), extensions);

    EVP_PKEY_free(key);
    return certificate;
#else
    /* 3.0 does not show the key of a template: the certificate is the prepared one over the clients' key. */
    (void)request;
    return X509_dup(pki->certificates[BENCH_ISSUED]);
#endif
}

static OSSL_CMP_PKISI *on_request(OSSL_CMP_SRV_CTX *server, const OSSL_CMP_MSG *message, int cert_req_id,
                                  const OSSL_CRMF_MSG *request, const X509_REQ *p10, X509 **certificate,
                                  STACK_OF(X509) **chain, STACK_OF(X509) **ca_pubs)
{
    bench_ca *ca = OSSL_CMP_SRV_CTX_get0_custom_ctx(server);

    (void)message, (void)cert_req_id, (void)p10;
    *ca_pubs = NULL;
    *chain = sk_X509_new_null();
    if (request == NULL || *chain == NULL || (*certificate = issue(ca->pki, request)) == NULL)
        return NULL;
    X509_up_ref(ca->pki->certificates[BENCH_ISSUING]);
    sk_X509_push(*chain, ca->pki->certificates[BENCH_ISSUING]);
    X509_free(ca->issued);
    X509_up_ref(*certificate);
    ca->issued = *certificate;
    return OSSL_CMP_STATUSINFO_new(OSSL_CMP_PKISTATUS_accepted, 0, NULL);
}

static int on_confirmation(OSSL_CMP_SRV_CTX *server, const OSSL_CMP_MSG *message, int cert_req_id,
                           const ASN1_OCTET_STRING *hash, const OSSL_CMP_PKISI *status)
{
    bench_ca *ca = OSSL_CMP_SRV_CTX_get0_custom_ctx(server);
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned int len = 0;

    (void)message, (void)cert_req_id, (void)status;
    return ca->issued != NULL && X509_digest(ca->issued, EVP_sha256(), digest, &len)
        && ASN1_STRING_length(hash) == (int)len
        && CRYPTO_memcmp(ASN1_STRING_get0_data(hash), digest, len) == 0;
}

static void on_error(OSSL_CMP_SRV_CTX *server, const OSSL_CMP_MSG *message, const OSSL_CMP_PKISI *status,
                     const ASN1_INTEGER *code, const OSSL_CMP_PKIFREETEXT *details)
{
    (void)server, (void)message, (void)status, (void)code, (void)details;
}

static int set_credentials(OSSL_CMP_CTX *context, const bench_pki *pki, int use_mac)
{
    if (use_mac)
        return OSSL_CMP_CTX_set1_referenceValue(context, (const uint8_t *)"4711", 4)
            && OSSL_CMP_CTX_set1_secretValue(context, (const uint8_t *)"a shared secret", 15)
            && OSSL_CMP_CTX_set_option(context, OSSL_CMP_OPT_MAC_ALGNID, NID_hmacWithSHA256);
    return OSSL_CMP_CTX_set1_cert(context, pki->certificates[BENCH_CMP_SIGNER])
        && OSSL_CMP_CTX_set1_pkey(context, PKI_KEY(pki, BENCH_CMP_SIGNER_KEY));
}

bench_ca *bench_ca_new(const bench_pki *pki, int use_mac, int grant_implicit)
{
    bench_ca *ca = calloc(1, sizeof(*ca));
    OSSL_CMP_CTX *context;

    if (ca == NULL)
        return NULL;
    ca->pki = pki;
    ca->server = OSSL_CMP_SRV_CTX_new(NULL, NULL);
    if (ca->server != NULL
        && OSSL_CMP_SRV_CTX_init(ca->server, ca, on_request, NULL, NULL, on_error, on_confirmation, NULL)
        && OSSL_CMP_SRV_CTX_set_grant_implicit_confirm(ca->server, grant_implicit)
        && (context = OSSL_CMP_SRV_CTX_get0_cmp_ctx(ca->server)) != NULL
        && OSSL_CMP_CTX_set0_trustedStore(context, store_with(pki->certificates[BENCH_SUPPLIER]))
        && set_credentials(context, pki, use_mac))
        return ca;
    free(ca);
    return NULL;
}

int bench_ca_exchange(void *opaque, const uint8_t *request, size_t request_len,
                      const uint8_t **answer, size_t *answer_len)
{
    bench_ca *ca = opaque;
    OSSL_CMP_MSG *in = d2i_OSSL_CMP_MSG(NULL, &request, (long)request_len);
    OSSL_CMP_MSG *out = in == NULL ? NULL : OSSL_CMP_SRV_process_request(ca->server, in);
    int len;

    OPENSSL_free(ca->answer);
    ca->answer = NULL;
    len = out == NULL ? 0 : i2d_OSSL_CMP_MSG(out, &ca->answer);
    OSSL_CMP_MSG_free(in);
    OSSL_CMP_MSG_free(out);
    *answer = ca->answer;
    *answer_len = len > 0 ? (size_t)len : 0;
    return len > 0;
}
