/* Keys that the CA's side makes, and how possession of keys is proved, without a server. */
#include "test.h"

static devid_error *err;

static devid_client *client_of(const char *folder, const char *possession)
{
    devid_config *config;
    devid_client *client;
    size_t len;
    uint8_t *anchor = read_file(folder, "ca.pem", &len);
    OK(devid_config_new(&config, &err));
    OK(devid_config_add_enrolment_anchors(config, anchor, len, &err));
    OK(devid_config_set_secret(config, (const uint8_t *)"4711", 4, (const uint8_t *)"very secret", 11, &err));
    OK(devid_config_set_possession(config, possession, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_config_set_possession(config, "raVerified", &err));
    OK(devid_client_new(config, &client, &err));
    devid_config_free(config);
    free(anchor);
    return client;
}

struct token {
    devid_key *inside;
    int32_t answer;
};

/* Fails once with what it is to answer. */
static int32_t token_sign(void *user, const char *algorithm, const uint8_t *message, size_t message_len, devid_bytes *signature)
{
    struct token *token = user;
    int32_t answer = token->answer;
    devid_bytes *made;
    token->answer = 0;
    if (answer != 0) return answer;
    OK(devid_key_sign(token->inside, algorithm, message, message_len, &made, &err));
    OK(devid_bytes_append(signature, devid_bytes_data(made), devid_bytes_len(made), &err));
    devid_bytes_free(made);
    return 0;
}

/* A key that could not be asked ends no operation: the next step asks it again. */
static void a_key_that_fails_once_costs_a_step(const devid_client *client, const devid_subject *subject)
{
    static const int32_t answers[] = { -3, -10042, DEVID_E_DECRYPT };
    size_t i;
    for (i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct token token = { NULL, 0 };
        devid_bytes *spki;
        devid_key *key;
        devid_op *op;
        devid_action action;
        token.answer = answers[i];
        OK(devid_key_generate("P-256", &token.inside, &err));
        OK(devid_key_public(token.inside, &spki, &err));
        OK(devid_key_from_callback(devid_bytes_data(spki), devid_bytes_len(spki), token_sign, &token, NULL, &key, &err));
        OK(devid_op_enroll(client, key, subject, &op, &err));
        FAILS(DEVID_E_SIGNER, devid_op_step(op, 1800000000, &action, &err));
        CHECK(devid_op_has_failed(op) == 0);
        OK(devid_op_step(op, 1800000000, &action, &err));
        CHECK(action == DEVID_ACTION_SEND);
        devid_op_free(op);
        devid_key_free(key);
        devid_key_free(token.inside);
        devid_bytes_free(spki);
    }
}

static int contains(const devid_op *op, const char *bytes, size_t count)
{
    size_t len, i;
    const uint8_t *message = devid_op_output(op, &len);
    for (i = 0; i + count <= len; i++)
        if (memcmp(message + i, bytes, count) == 0) return 1;
    return 0;
}

int main(int argc, char **argv)
{
    const char *folder = data_folder(argc, argv);
    char path[64];
    devid_client *client = client_of(folder, "signature");
    devid_subject *subject;
    devid_store *store;
    devid_key *key, *made = (devid_key *)&err;
    devid_op *op = (devid_op *)&err;
    devid_bytes *saved;
    devid_action action;
    int32_t state;
    OK(devid_subject_new(&subject, &err));
    OK(devid_subject_set_name(subject, "CN=router-7", &err));

    FAILS(DEVID_E_INVALID_ARGUMENT, devid_op_enroll_central(client, "rr", NULL, subject, &op, &err));
    CHECK(op == NULL);
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_op_enroll_central(client, "ir", "P-257", subject, &op, &err));
    FAILS(DEVID_E_NULL, devid_op_enroll_central(client, "ir", NULL, NULL, &op, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_op_enroll_central(client, "kur", NULL, NULL, &op, &err));

    a_key_that_fails_once_costs_a_step(client, subject);

    /* The request is one of version 3; the key has not come yet, and the operation is restored without one. */
    OK(devid_op_enroll_central(client, "cr", "P-384", subject, &op, &err));
    OK(devid_op_step(op, 1800000000, &action, &err));
    CHECK(action == DEVID_ACTION_SEND && strcmp(devid_op_output_name(op), "cr") == 0);
    CHECK(contains(op, "\x02\x01\x03\xa4", 4));
    FAILS(DEVID_E_STATE, devid_op_private_key(op, &made, &err));
    CHECK(made == NULL);
    OK(devid_op_save(op, &saved, &err));
    devid_op_free(op);
    OK(devid_op_restore(client, NULL, devid_bytes_data(saved), devid_bytes_len(saved), &op, &err));
    devid_op_free(op);
    devid_bytes_free(saved);

    /* Bound to device memory there is no key to keep until it comes. */
    temporary_folder(path, "central");
    OK(devid_store_open_dir(path, NULL, 0, &store, &err));
    OK(devid_op_enroll_central(client, "ir", NULL, subject, &op, &err));
    OK(devid_op_install_into(op, store, "router", "ldevid", NULL, &err));
    OK(devid_op_step(op, 1800000000, &action, &err));
    devid_op_free(op);
    OK(devid_store_state(store, "router", &state, &err));
    CHECK(state == DEVID_STATE_OPERATION);
    OK(devid_op_resume(client, store, "router", "ldevid", NULL, &op, &err));
    CHECK(op != NULL);
    devid_op_free(op);
    devid_store_free(store);
    remove_folder(path);

    /* A key that cannot sign announces its proof: encrCert for an agreement key, or what the settings say. */
    OK(devid_key_generate("X25519", &key, &err));
    OK(devid_op_enroll(client, key, subject, &op, &err));
    OK(devid_op_step(op, 1800000000, &action, &err));
    CHECK(contains(op, "\xa3\x03\x81\x01\x00", 5));
    devid_op_free(op);
    devid_client_free(client);
    client = client_of(folder, "challengeResp");
    OK(devid_op_enroll(client, key, subject, &op, &err));
    OK(devid_op_step(op, 1800000000, &action, &err));
    CHECK(contains(op, "\xa3\x03\x81\x01\x01", 5));
    FAILS(DEVID_E_STATE, devid_op_private_key(op, &made, &err));
    devid_op_free(op);
    devid_key_free(key);
    devid_subject_free(subject);
    devid_client_free(client);
    return 0;
}
