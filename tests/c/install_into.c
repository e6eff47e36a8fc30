/* An enrolment bound to device memory, without a server: what is kept when, and what a wrong order or value meets. */
#include "test.h"

static const int64_t now = 1800000000;
static devid_error *err;

static devid_client *client_of(const char *folder)
{
    devid_config *config;
    devid_client *client;
    size_t len;
    uint8_t *anchor = read_file(folder, "ca.pem", &len);
    OK(devid_config_new(&config, &err));
    OK(devid_config_add_enrolment_anchors(config, anchor, len, &err));
    OK(devid_config_set_secret(config, (const uint8_t *)"4711", 4, (const uint8_t *)"very secret", 11, &err));
    OK(devid_client_new(config, &client, &err));
    devid_config_free(config);
    free(anchor);
    return client;
}

static int32_t state(const devid_store *store, const char *name)
{
    int32_t found = 77;
    OK(devid_store_state(store, name, &found, &err));
    return found;
}

int main(int argc, char **argv)
{
    const char *folder = data_folder(argc, argv);
    char path[64];
    devid_client *client = client_of(folder);
    devid_store *store;
    devid_key *key;
    devid_subject *subject;
    devid_op *op, *again = (devid_op *)&err;
    devid_action action;
    int32_t found = 77;
    temporary_folder(path, "into");
    OK(devid_store_open_dir(path, NULL, 0, &store, &err));
    OK(devid_key_generate("P-256", &key, &err));
    OK(devid_subject_new(&subject, &err));
    OK(devid_subject_set_name(subject, "CN=router-7", &err));
    CHECK(state(store, "router") == 0);
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_store_state(store, "../router", &found, &err));
    CHECK(found == 0);
    FAILS(DEVID_E_NOT_FOUND, devid_op_resume(client, store, "router", "ldevid", NULL, &again, &err));
    CHECK(again == NULL);

    OK(devid_op_enroll(client, key, subject, &op, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_op_install_into(op, store, "a/b", "ldevid", NULL, &err));
    OK(devid_op_install_into(op, store, "router", "ldevid", NULL, &err));
    CHECK(state(store, "router") == DEVID_STATE_PENDING_KEY);
    FAILS(DEVID_E_STATE, devid_op_install_into(op, store, "router", "ldevid", NULL, &err));
    /* Nobody else needs the store to stay open. */
    devid_store_free(store);
    OK(devid_op_step(op, now, &action, &err));
    CHECK(action == DEVID_ACTION_SEND);
    FAILS(DEVID_E_STATE, devid_op_accept(op, &err));
    OK(devid_store_open_dir(path, NULL, 0, &store, &err));
    CHECK(state(store, "router") == (DEVID_STATE_PENDING_KEY | DEVID_STATE_OPERATION));
    devid_op_free(op);

    /* Another one under the same name waits for the first to be resolved. */
    OK(devid_op_enroll(client, key, subject, &op, &err));
    FAILS(DEVID_E_STATE, devid_op_install_into(op, store, "router", "ldevid", NULL, &err));
    devid_op_free(op);
    OK(devid_op_resume(client, store, "router", "ldevid", NULL, &op, &err));
    OK(devid_op_step(op, now, &action, &err));
    CHECK(action == DEVID_ACTION_SEND && strcmp(devid_op_output_name(op), "ir") == 0);
    /* What proves nothing ends nothing: the request still waits for its answer. */
    OK(devid_op_feed(op, (const uint8_t *)"\x30\x03\x02\x01\x00", 5, &err));
    FAILS(DEVID_E_DER, devid_op_step(op, now, &action, &err));
    CHECK(state(store, "router") == (DEVID_STATE_PENDING_KEY | DEVID_STATE_OPERATION));
    devid_op_free(op);
    OK(devid_store_abandon(store, "router", &err));
    CHECK(state(store, "router") == 0);

    /* A question and a revocation bring nothing to install. */
    OK(devid_op_ask_ca_certs(client, &op, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_op_install_into(op, store, "router", "ldevid", NULL, &err));
    devid_op_free(op);
    OK(devid_store_abandon(store, "router", &err));
    devid_subject_free(subject);
    devid_key_free(key);
    devid_client_free(client);
    devid_store_free(store);
    remove_folder(path);
    return 0;
}
