/* Shared by the files of this folder. */
#ifndef DEVID_BENCH_INTERNAL_H
#define DEVID_BENCH_INTERNAL_H
#include "bench.h"
#include <openssl/evp.h>
#include <openssl/x509.h>

struct bench_pki {
    int key_type;
    X509 *certificates[BENCH_CERTIFICATES];
    EVP_PKEY *keys[BENCH_NEW_KEY - BENCH_ROOT_KEY + 1];
    uint8_t *der[BENCH_ITEMS];
    size_t der_len[BENCH_ITEMS];
};
#define PKI_KEY(pki, item) ((pki)->keys[(item) - BENCH_ROOT_KEY])

/* A certificate over key, signed by issuer; extensions as name, value pairs ended by NULL. */
X509 *make_certificate(const char *common_name, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key,
                       const char *const *extensions);
X509 *parse_certificate(const uint8_t *der, size_t len);
X509_STORE *store_with(X509 *anchor);
#endif
