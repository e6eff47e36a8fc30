/* libcrypto's own CMP client, over the exchange function that all clients share. */
#include "internal.h"
#include <openssl/cmp.h>
#include <stdlib.h>
#include <time.h>

struct bench_client {
    int use_mac, ask_implicit;
    X509 *device;
    X509_STORE *anchors;
    EVP_PKEY *device_key, *new_key;
    X509_NAME *subject;
    /* Of the enrolment that runs. */
    bench_exchange_fn exchange;
    void *ca;
    int64_t outside_ns;
};

static int64_t thread_cpu_ns(void)
{
    struct timespec at;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    return (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

static EVP_PKEY *parse_key(const uint8_t *der, size_t len)
{
    return d2i_AutoPrivateKey(NULL, &der, (long)len);
}

bench_client *bench_client_new(int use_mac, int ask_implicit, const uint8_t *const *items, const size_t *lens)
{
    bench_client *client = calloc(1, sizeof(*client));
    X509 *root = parse_certificate(items[BENCH_ROOT], lens[BENCH_ROOT]);

    if (client == NULL || root == NULL)
        return NULL;
    client->use_mac = use_mac;
    client->ask_implicit = ask_implicit;
    client->device = parse_certificate(items[BENCH_DEVICE], lens[BENCH_DEVICE]);
    client->device_key = parse_key(items[BENCH_DEVICE_KEY], lens[BENCH_DEVICE_KEY]);
    client->new_key = parse_key(items[BENCH_NEW_KEY], lens[BENCH_NEW_KEY]);
    client->anchors = store_with(root);
    client->subject = X509_NAME_dup(X509_get_subject_name(client->device));
    X509_free(root);
    return client->device != NULL && client->device_key != NULL && client->new_key != NULL
        && client->anchors != NULL && client->subject != NULL ? client : NULL;
}

/* What an HTTP client would do, between the two clock readings left out: the server. */
static OSSL_CMP_MSG *transfer(OSSL_CMP_CTX *context, const OSSL_CMP_MSG *message)
{
    bench_client *client = OSSL_CMP_CTX_get_transfer_cb_arg(context);
    uint8_t *request = NULL;
    const uint8_t *answer = NULL;
    size_t answer_len = 0;
    int64_t left;
    int ok, len = i2d_OSSL_CMP_MSG(message, &request);
    OSSL_CMP_MSG *decoded;

    if (len <= 0)
        return NULL;
    left = thread_cpu_ns();
    ok = client->exchange(client->ca, request, (size_t)len, &answer, &answer_len);
    client->outside_ns += thread_cpu_ns() - left;
    decoded = ok ? d2i_OSSL_CMP_MSG(NULL, &answer, (long)answer_len) : NULL;
    OPENSSL_free(request);
    return decoded;
}

static int set_up(bench_client *client, OSSL_CMP_CTX *context)
{
    int ok;

    EVP_PKEY_up_ref(client->new_key);
    X509_STORE_up_ref(client->anchors);
    ok = OSSL_CMP_CTX_set_transfer_cb(context, transfer)
        && OSSL_CMP_CTX_set_transfer_cb_arg(context, client)
        && OSSL_CMP_CTX_set0_newPkey(context, 1, client->new_key)
        && OSSL_CMP_CTX_set0_trustedStore(context, client->anchors)
        /* The new certificate is validated to the same anchors. */
        && OSSL_CMP_CTX_set_certConf_cb(context, OSSL_CMP_certConf_cb)
        && OSSL_CMP_CTX_set_certConf_cb_arg(context, client->anchors)
        && OSSL_CMP_CTX_set1_subjectName(context, client->subject)
        && OSSL_CMP_CTX_set_option(context, OSSL_CMP_OPT_IMPLICIT_CONFIRM, client->ask_implicit);
    if (!ok)
        return 0;
    if (client->use_mac)
        return OSSL_CMP_CTX_set1_referenceValue(context, (const uint8_t *)"4711", 4)
            && OSSL_CMP_CTX_set1_secretValue(context, (const uint8_t *)"a shared secret", 15)
            && OSSL_CMP_CTX_set_option(context, OSSL_CMP_OPT_MAC_ALGNID, NID_hmacWithSHA256);
    return OSSL_CMP_CTX_set1_cert(context, client->device) && OSSL_CMP_CTX_set1_pkey(context, client->device_key);
}

int bench_client_enrol(bench_client *client, bench_exchange_fn exchange, void *ca, int64_t *cpu_ns)
{
    int64_t begun = thread_cpu_ns();
    OSSL_CMP_CTX *context = OSSL_CMP_CTX_new(NULL, NULL);
    int ok;

    client->exchange = exchange;
    client->ca = ca;
    client->outside_ns = 0;
    ok = context != NULL && set_up(client, context) && OSSL_CMP_exec_IR_ses(context) != NULL;
    OSSL_CMP_CTX_free(context);
    *cpu_ns = thread_cpu_ns() - begun - client->outside_ns;
    return ok;
}
