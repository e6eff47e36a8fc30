/* libcrypto's certificate validation, CRLs and OCSP. */
#include "internal.h"
#include <openssl/ocsp.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>

enum { LEAF, INTERMEDIATE, ROOT };

struct bench_store {
    X509_STORE *store;
    STACK_OF(X509) *untrusted;
};

struct bench_crl {
    X509_CRL *crl;
};

static void drop(X509_STORE *store, STACK_OF(X509) *untrusted)
{
    sk_X509_pop_free(untrusted, X509_free);
    X509_STORE_free(store);
}

static int add_crls(X509_STORE *store, const uint8_t *const *crls, const size_t *lens, int count)
{
    int i, ok = 1;

    for (i = 0; ok && i < count; i++) {
        const uint8_t *der = crls[i];
        X509_CRL *crl = d2i_X509_CRL(NULL, &der, (long)lens[i]);
        ok = crl != NULL && X509_STORE_add_crl(store, crl);
        X509_CRL_free(crl);
    }
    return ok && (count == 0 || X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL));
}

bench_store *bench_store_new(const uint8_t *const *certificates, const size_t *lens,
                             const uint8_t *const *crls, const size_t *crl_lens, int crl_count)
{
    bench_store *made = calloc(1, sizeof(*made));
    X509 *root = parse_certificate(certificates[ROOT], lens[ROOT]);
    X509 *intermediate = parse_certificate(certificates[INTERMEDIATE], lens[INTERMEDIATE]);

    made->store = root == NULL ? NULL : store_with(root);
    made->untrusted = sk_X509_new_null();
    X509_free(root);
    if (intermediate != NULL && sk_X509_push(made->untrusted, intermediate) && made->store != NULL
        && add_crls(made->store, crls, crl_lens, crl_count))
        return made;
    bench_store_free(made);
    return NULL;
}

int bench_store_validate(bench_store *held, const uint8_t *leaf_der, size_t leaf_len, int64_t now)
{
    X509 *leaf = parse_certificate(leaf_der, leaf_len);
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    int ok = leaf != NULL && context != NULL && X509_STORE_CTX_init(context, held->store, leaf, held->untrusted);

    if (ok) {
        X509_VERIFY_PARAM *parameters = X509_STORE_CTX_get0_param(context);
        X509_VERIFY_PARAM_set_time(parameters, (time_t)now);
        ok = X509_VERIFY_PARAM_set_purpose(parameters, X509_PURPOSE_SSL_SERVER)
            && X509_VERIFY_PARAM_set1_host(parameters, "peer.example", 0)
            && X509_verify_cert(context) == 1;
    }
    X509_STORE_CTX_free(context);
    X509_free(leaf);
    return ok;
}

void bench_store_free(bench_store *held)
{
    if (held != NULL)
        drop(held->store, held->untrusted);
    free(held);
}

int bench_validate(const uint8_t *const *certificates, const size_t *lens,
                   const uint8_t *const *crls, const size_t *crl_lens, int crl_count, int64_t now)
{
    bench_store *held = bench_store_new(certificates, lens, crls, crl_lens, crl_count);
    int ok = held != NULL && bench_store_validate(held, certificates[LEAF], lens[LEAF], now);

    bench_store_free(held);
    return ok;
}

int bench_ocsp(const uint8_t *const *certificates, const size_t *lens,
               const uint8_t *response_der, size_t response_len)
{
    X509 *leaf = parse_certificate(certificates[LEAF], lens[LEAF]);
    X509 *issuer = parse_certificate(certificates[INTERMEDIATE], lens[INTERMEDIATE]);
    X509 *root = parse_certificate(certificates[ROOT], lens[ROOT]);
    /* The issuer is trusted here, as after a validated chain: no second path to the root. */
    X509_STORE *store = issuer == NULL ? NULL : store_with(issuer);
    STACK_OF(X509) *helpers = sk_X509_new_null();
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &response_der, (long)response_len);
    OCSP_BASICRESP *basic = response == NULL ? NULL : OCSP_response_get1_basic(response);
    OCSP_CERTID *id = leaf == NULL || issuer == NULL ? NULL : OCSP_cert_to_id(EVP_sha1(), leaf, issuer);
    ASN1_GENERALIZEDTIME *this_update = NULL, *next_update = NULL;
    int status = -1, ok;

    ok = basic != NULL && id != NULL && store != NULL && helpers != NULL && X509_up_ref(issuer)
        && sk_X509_push(helpers, issuer)
        && X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN)
        && OCSP_basic_verify(basic, helpers, store, 0) == 1
        && OCSP_resp_find_status(basic, id, &status, NULL, NULL, &this_update, &next_update)
        && status == V_OCSP_CERTSTATUS_GOOD
        && OCSP_check_validity(this_update, next_update, 300, -1);
    OCSP_CERTID_free(id);
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    drop(store, helpers);
    X509_free(root);
    X509_free(issuer);
    X509_free(leaf);
    return ok;
}

bench_crl *bench_crl_new(const uint8_t *der, size_t len, const uint8_t *issuer_der, size_t issuer_len)
{
    bench_crl *made = calloc(1, sizeof(*made));
    X509 *issuer = parse_certificate(issuer_der, issuer_len);
    int ok = issuer != NULL && (made->crl = d2i_X509_CRL(NULL, &der, (long)len)) != NULL
        && X509_CRL_verify(made->crl, X509_get0_pubkey(issuer)) == 1;

    X509_free(issuer);
    if (ok)
        return made;
    bench_crl_free(made);
    return NULL;
}

int bench_crl_lookup(bench_crl *held, const uint8_t *serial, size_t serial_len)
{
    BIGNUM *number = BN_bin2bn(serial, (int)serial_len, NULL);
    ASN1_INTEGER *wanted = BN_to_ASN1_INTEGER(number, NULL);
    X509_REVOKED *found = NULL;
    int answer = X509_CRL_get0_by_serial(held->crl, &found, wanted);

    ASN1_INTEGER_free(wanted);
    BN_free(number);
    return answer == 1;
}

void bench_crl_free(bench_crl *held)
{
    if (held != NULL)
        X509_CRL_free(held->crl);
    free(held);
}
