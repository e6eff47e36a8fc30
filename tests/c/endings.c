/* What callbacks do when their handle or their place ends, and what threads do at theirs. */
#include "test.h"
#include <pthread.h>

static devid_error *err;
static devid_op *op;
static devid_store *store;
static int ended, told;

static int32_t exchange(void *user, const uint8_t *request, size_t request_len, devid_bytes *reply)
{
    (void)user, (void)request, (void)request_len, (void)reply;
    return -10042;
}

/* Its own handle answers nothing any more, and freeing it once more is ignored. */
static void end_of_operation(void *user)
{
    devid_bytes *saved = (devid_bytes *)&err;
    devid_error *inner = NULL;
    (void)user;
    ended++;
    CHECK(devid_op_save(op, &saved, &inner) == DEVID_E_REENTRANT && saved == NULL);
    devid_error_free(inner);
    devid_op_free(op);
}

static void an_operation_is_freed_once(const char *folder)
{
    devid_config *config;
    devid_client *client;
    devid_key *key;
    devid_subject *subject;
    size_t len;
    uint8_t *anchor = read_file(folder, "ca.pem", &len);
    OK(devid_config_new(&config, &err));
    OK(devid_config_set_server(config, "http://127.0.0.1:1/", &err));
    OK(devid_config_set_secret(config, (const uint8_t *)"4711", 4, (const uint8_t *)"secret", 6, &err));
    OK(devid_config_add_enrolment_anchors(config, anchor, len, &err));
    OK(devid_client_new(config, &client, &err));
    OK(devid_key_generate("P-256", &key, &err));
    OK(devid_subject_new(&subject, &err));
    OK(devid_subject_set_name(subject, "CN=x", &err));
    OK(devid_op_enroll(client, key, subject, &op, &err));
    OK(devid_op_set_exchange(op, exchange, NULL, end_of_operation, &err));
    devid_op_free(op);
    CHECK(ended == 1);
    devid_subject_free(subject);
    devid_key_free(key);
    devid_client_free(client);
    devid_config_free(config);
    free(anchor);
}

static void on_change(void *user, int32_t change, const char *name, uint32_t generation, const char *folder)
{
    (void)user, (void)change, (void)name, (void)generation, (void)folder;
    told++;
}

/* The end of an earlier hook may put another in its place: no lock is held. */
static void end_of_hook(void *user)
{
    ended++;
    if (user != NULL) OK(devid_store_set_on_change(store, on_change, NULL, end_of_hook, &err));
}

static void a_hook_ends_outside_every_lock(void)
{
    static int again;
    ended = 0;
    OK(devid_store_open_memory(NULL, &store, &err));
    OK(devid_store_set_on_change(store, on_change, &again, end_of_hook, &err));
    OK(devid_store_set_on_change(store, on_change, NULL, NULL, &err));
    CHECK(ended == 1);
    devid_store_free(store);
    CHECK(ended == 2);
}

static void a_buffer_takes_its_own_data(const char *folder)
{
    size_t len, before;
    uint8_t *data = read_file(folder, "device.pem", &len);
    devid_cert *cert;
    devid_bytes *pem;
    OK(devid_cert_parse(data, len, &cert, &err));
    OK(devid_cert_pem(cert, &pem, &err));
    before = devid_bytes_len(pem);
    OK(devid_bytes_append(pem, devid_bytes_data(pem), before, &err));
    CHECK(devid_bytes_len(pem) == 2 * before);
    CHECK(memcmp(devid_bytes_data(pem), devid_bytes_data(pem) + before, before) == 0);
    devid_bytes_free(pem);
    devid_cert_free(cert);
    free(data);
}

static pthread_key_t last;

/* Runs after what the library keeps for the thread is gone. */
static void end_of_thread(void *value)
{
    int64_t known;
    devid_error *inner = NULL;
    CHECK(devid_store_note_time(value, 1700000001, &known, &inner) == DEVID_OK && inner == NULL);
    CHECK(devid_store_last_known_time(value, &known, &inner) == DEVID_OK && known == 1700000001);
    devid_store_free(value);
    ended++;
}

static void *thread(void *unused)
{
    devid_store *own;
    devid_error *inner = NULL;
    int64_t known;
    (void)unused;
    CHECK(devid_store_open_memory(NULL, &own, &inner) == DEVID_OK);
    CHECK(devid_store_note_time(own, 1700000000, &known, &inner) == DEVID_OK);
    CHECK(pthread_setspecific(last, own) == 0);
    return NULL;
}

static void the_store_works_to_the_end_of_a_thread(void)
{
    pthread_t id;
    ended = 0;
    CHECK(pthread_key_create(&last, end_of_thread) == 0);
    CHECK(pthread_create(&id, NULL, thread, NULL) == 0);
    CHECK(pthread_join(id, NULL) == 0);
    CHECK(ended == 1);
}

/* What stands in an error's place before a call is nobody's affair, and every switch and enumeration refuses what is none. */
static void small_numbers_turn_nothing_off(const char *folder)
{
    devid_trust *trust;
    devid_validator *validator;
    size_t len;
    int32_t value;
    uint8_t *anchor = read_file(folder, "ca.pem", &len);
    OK(devid_trust_new(&trust, &err));
    OK(devid_trust_add_bytes(trust, anchor, len, &err));
    OK(devid_validator_new(trust, &validator, &err));
    for (value = -1; value < 2; value++) {
        devid_error *garbage = (devid_error *)&len;
        CHECK(devid_validator_set_revocation(validator, value, DEVID_SCOPE_LEAF, DEVID_PREFER_CRL, &garbage) ==
              DEVID_E_INVALID_ARGUMENT);
        devid_error_free(garbage);
    }
    CHECK(devid_validator_set_allow_weak(validator, 2, NULL) == DEVID_E_INVALID_ARGUMENT);
    CHECK(devid_validator_set_allow_weak(validator, -1, NULL) == DEVID_E_INVALID_ARGUMENT);
    devid_validator_free(validator);
    devid_trust_free(trust);
    free(anchor);
}

int main(int argc, char **argv)
{
    const char *folder = data_folder(argc, argv);
    an_operation_is_freed_once(folder);
    a_hook_ends_outside_every_lock();
    a_buffer_takes_its_own_data(folder);
    the_store_works_to_the_end_of_a_thread();
    small_numbers_turn_nothing_off(folder);
    CHECK(told == 0);
    return 0;
}
