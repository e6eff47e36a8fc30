/* What the bench program calls in the libcrypto under test. The same sources are compiled once for each OpenSSL, into a
 * shared object that shows these functions and nothing else, so that two versions live in one process.
 *
 * All functions answer 1 for success and 0 for failure unless they say otherwise. */
#ifndef DEVID_BENCH_H
#define DEVID_BENCH_H
#include <stddef.h>
#include <stdint.h>

#define BENCH_API __attribute__((visibility("default")))

enum { BENCH_P256 = 0, BENCH_RSA2048 = 1 };

/* A PKI of one key type, all in DER; keys as PKCS#8. */
enum bench_item {
    BENCH_ROOT,          /* anchor for all but the supplier's */
    BENCH_ISSUING,       /* CA below the root */
    BENCH_CMP_SIGNER,    /* signs the CMP server's answers, issued by the root */
    BENCH_SUPPLIER,      /* anchor of factory certificates */
    BENCH_DEVICE,        /* factory certificate */
    BENCH_LEAF,          /* TLS server certificate issued by the issuing CA */
    BENCH_OCSP_SIGNER,   /* delegated responder of the issuing CA */
    BENCH_ISSUED,        /* certificate over the new key, for a server that answers with prepared ones */
    BENCH_CERTIFICATES,  /* how many certificates */
    BENCH_ROOT_KEY = BENCH_CERTIFICATES,
    BENCH_ISSUING_KEY,
    BENCH_CMP_SIGNER_KEY,
    BENCH_SUPPLIER_KEY,
    BENCH_DEVICE_KEY,
    BENCH_NEW_KEY,       /* the key that a certificate is asked for */
    BENCH_OCSP_BY_CA,    /* OCSP response for the leaf, signed by the issuing CA */
    BENCH_OCSP_DELEGATED,/* the same, signed by the responder */
    BENCH_ITEMS
};
typedef struct bench_pki bench_pki;
BENCH_API bench_pki *bench_pki_new(int key_type);
BENCH_API const uint8_t *bench_pki_item(const bench_pki *pki, int item, size_t *len);

BENCH_API const char *bench_version(void);
/* The first entry of libcrypto's error queue, for messages. */
BENCH_API const char *bench_last_error(void);

/* The CMP server. use_mac: requests and answers carry a PasswordBasedMac, else signatures. */
typedef struct bench_ca bench_ca;
BENCH_API bench_ca *bench_ca_new(const bench_pki *pki, int use_mac, int grant_implicit);
/* One request, one answer. The answer is valid until the next call. */
BENCH_API int bench_ca_exchange(void *ca, const uint8_t *request, size_t request_len,
                                const uint8_t **answer, size_t *answer_len);
typedef int (*bench_exchange_fn)(void *ca, const uint8_t *request, size_t request_len,
                                 const uint8_t **answer, size_t *answer_len);

/* libcrypto's CMP client: keys, certificates and stores are decoded here, once. */
typedef struct bench_client bench_client;
BENCH_API bench_client *bench_client_new(int use_mac, int ask_implicit,
                                         const uint8_t *const *items, const size_t *lens);
/* One enrolment. cpu_ns: CPU time of this thread, that of exchange left out. */
BENCH_API int bench_client_enrol(bench_client *client, bench_exchange_fn exchange, void *ca, int64_t *cpu_ns);

/* Chain validation, everything decoded anew: leaf, intermediate, root; with CRLs if crls is not 0. */
BENCH_API int bench_validate(const uint8_t *const *certificates, const size_t *lens,
                             const uint8_t *const *crls, const size_t *crl_lens, int crl_count, int64_t now);
/* Chain validation against a store that is kept, with decoded root, intermediate and CRLs in it. */
typedef struct bench_store bench_store;
BENCH_API bench_store *bench_store_new(const uint8_t *const *certificates, const size_t *lens,
                                       const uint8_t *const *crls, const size_t *crl_lens, int crl_count);
BENCH_API int bench_store_validate(bench_store *store, const uint8_t *leaf, size_t leaf_len, int64_t now);
BENCH_API void bench_store_free(bench_store *store);

/* OCSP response: decode, verify against issuer and root, find the status of leaf. */
BENCH_API int bench_ocsp(const uint8_t *const *certificates, const size_t *lens,
                         const uint8_t *response, size_t response_len);

/* A CRL: decode, verify with the issuer's key. Lookup answers 1 if the serial number (big-endian, unsigned) is there. */
typedef struct bench_crl bench_crl;
BENCH_API bench_crl *bench_crl_new(const uint8_t *der, size_t len, const uint8_t *issuer, size_t issuer_len);
BENCH_API int bench_crl_lookup(bench_crl *crl, const uint8_t *serial, size_t serial_len);
BENCH_API void bench_crl_free(bench_crl *crl);
#endif
