/* Eight threads over what may be shared: a validator, a key, a client, a certificate, device memory, a peer. What races, the
 * thread sanitizer says; here it must only end, and answer the same to all. */
#include "test.h"
#include <devid/operation.h>
#include <devid/status.h>
#include <devid/storage.h>
#include <devid/validation.h>
#include <pthread.h>

#define THREADS 8
#define ROUNDS 20
#define NOW 1800000000

static devid_error *err;
static devid_validator *validator;
static devid_key *key;
static devid_client *client;
static devid_cert *cert;
static devid_store *store;
static devid_peer *peer;
static uint8_t *revoked;
static size_t revoked_len;
static devid_status expected;

static int32_t exchange(void *user, const uint8_t *request, size_t request_len, devid_bytes *reply)
{
    (void)user;
    CHECK(devid_bytes_append(reply, request, request_len, NULL) == DEVID_OK);
    return 0;
}

static void one_round(int number)
{
    devid_error *own = NULL;
    devid_report *report = NULL;
    devid_peer *found = NULL;
    devid_bytes *bytes = NULL;
    devid_subject *subject;
    devid_op *op;
    char name[32];
    int64_t known;
    CHECK(devid_validate(validator, cert, NOW, &report, &found, NULL) == expected);
    devid_report_free(report);
    devid_peer_free(found);
    if (peer != NULL) {
        CHECK(devid_peer_public_key(peer, NOW, &bytes, NULL) == DEVID_OK);
        devid_bytes_free(bytes);
    }
    bytes = NULL;
    CHECK(devid_key_sign(key, "ECDSA-SHA256", revoked, 100, &bytes, NULL) == DEVID_OK);
    devid_bytes_free(bytes);
    snprintf(name, sizeof name, "blob-%d", number % 3);
    CHECK(devid_store_put_blob(store, name, revoked, 64, &own) == DEVID_OK);
    bytes = NULL;
    CHECK(devid_store_blob(store, name, &bytes, &own) == DEVID_OK && devid_bytes_len(bytes) == 64);
    devid_bytes_free(bytes);
    CHECK(devid_store_note_time(store, NOW + number, &known, &own) == DEVID_OK && known >= NOW + number);
    CHECK(devid_subject_new(&subject, &own) == DEVID_OK);
    CHECK(devid_subject_set_name(subject, "CN=x", &own) == DEVID_OK);
    CHECK(devid_op_enroll(client, key, subject, &op, &own) == DEVID_OK);
    CHECK(devid_op_set_exchange(op, exchange, NULL, NULL, &own) == DEVID_OK);
    CHECK(devid_op_run(op, &own) != DEVID_OK);
    devid_error_free(own);
    devid_op_free(op);
    devid_subject_free(subject);
}

static void *thread(void *number)
{
    int round;
    for (round = 0; round < ROUNDS; round++) one_round((int)(size_t)number * ROUNDS + round);
    return NULL;
}

int main(int argc, char **argv)
{
    const char *folder = data_folder(argc, argv);
    pthread_t threads[THREADS];
    devid_trust *trust;
    devid_config *config;
    devid_report *report = NULL;
    size_t anchor_len, device_len, number;
    uint8_t *anchor = read_file(folder, "ca.pem", &anchor_len);
    uint8_t *device = read_file(folder, "device.pem", &device_len);
    revoked = read_file(folder, "good.crl.pem", &revoked_len);

    OK(devid_trust_new(&trust, &err));
    OK(devid_trust_add_bytes(trust, anchor, anchor_len, &err));
    OK(devid_validator_new(trust, &validator, &err));
    OK(devid_validator_set_any_purpose(validator, &err));
    OK(devid_validator_set_any_name(validator, &err));
    OK(devid_validator_add_crls(validator, revoked, revoked_len, &err));
    OK(devid_validator_set_revocation(validator, DEVID_REVOCATION_SOFT, DEVID_SCOPE_LEAF, DEVID_PREFER_CRL, &err));
    OK(devid_store_open_memory(NULL, &store, &err));
    OK(devid_validator_set_store(validator, store, &err));
    OK(devid_cert_parse(device, device_len, &cert, &err));
    OK(devid_key_generate("P-256", &key, &err));
    OK(devid_config_new(&config, &err));
    OK(devid_config_set_server(config, "http://127.0.0.1:1/", &err));
    OK(devid_config_set_secret(config, (const uint8_t *)"4711", 4, (const uint8_t *)"secret", 6, &err));
    OK(devid_config_add_enrolment_anchors(config, anchor, anchor_len, &err));
    OK(devid_client_new(config, &client, &err));
    expected = devid_validate(validator, cert, NOW, &report, &peer, NULL);
    devid_report_free(report);

    for (number = 0; number < THREADS; number++) {
        CHECK(pthread_create(&threads[number], NULL, thread, (void *)number) == 0);
    }
    for (number = 0; number < THREADS; number++) CHECK(pthread_join(threads[number], NULL) == 0);

    devid_peer_free(peer);
    devid_client_free(client);
    devid_config_free(config);
    devid_key_free(key);
    devid_cert_free(cert);
    devid_validator_free(validator);
    devid_store_free(store);
    devid_trust_free(trust);
    free(anchor);
    free(device);
    free(revoked);
    printf("threads: %d of %d rounds, the verdict is %s\n", THREADS, ROUNDS, devid_status_name(expected));
    return 0;
}
