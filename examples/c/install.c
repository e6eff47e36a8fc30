/* An enrolment that survives a reboot at any point: the key, the operation and the unconfirmed certificate are in device memory
 * before the next message goes out. Run it again after it was killed: it goes on where it was.
 *   ./install MATERIAL CMP-URL MEMORY [stop]
 * With "stop" it ends at the first wait, as a reboot would. MATERIAL is a folder written by devid-testca. */
#include "common.h"

#include <unistd.h>

static const char *const name = "device", *const label = "device-next";

static devid_client *client_for(const char *material, const char *url)
{
    devid_config *config;
    devid_client *client;
    size_t len, secret_len;
    uint8_t *data = read_file(material, "root.pem", &len), *secret;
    OK(devid_config_new(&config, &err));
    OK(devid_config_set_server(config, url, &err));
    OK(devid_config_add_enrolment_anchors(config, data, len, &err));
    free(data);
    data = read_file(material, "reference.txt", &len);
    secret = read_file(material, "secret.txt", &secret_len);
    OK(devid_config_set_secret(config, data, len, secret, secret_len, &err));
    OK(devid_client_new(config, &client, &err));
    devid_config_free(config);
    free(data);
    free(secret);
    return client;
}

/* A new operation with a new key, or the one that was interrupted. */
static devid_op *begin_or_resume(devid_store *store, const devid_client *client, devid_key **key)
{
    devid_op *op;
    devid_bytes *saved;
    devid_subject *subject;
    if (devid_store_operation(store, name, &saved, NULL) == DEVID_OK) {
        printf("going on with the operation that was saved\n");
        OK(devid_store_pending_key(store, label, key, &err));
        OK(devid_op_restore(client, *key, devid_bytes_data(saved), devid_bytes_len(saved), &op, &err));
        devid_bytes_free(saved);
        return op;
    }
    OK(devid_key_generate("P-256", key, &err));
    if (devid_store_remove_pending_key(store, label, NULL) == DEVID_OK) printf("a key without operation was left over\n");
    OK(devid_store_put_pending_key(store, label, *key, NULL, &err));
    OK(devid_subject_new(&subject, &err));
    OK(devid_subject_set_name(subject, "CN=device-3,O=Operator", &err));
    OK(devid_op_enroll(client, *key, subject, &op, &err));
    devid_subject_free(subject);
    return op;
}

static void save(devid_store *store, const devid_op *op)
{
    devid_bytes *saved;
    OK(devid_op_save(op, &saved, &err));
    OK(devid_store_put_operation(store, name, devid_bytes_data(saved), devid_bytes_len(saved), &err));
    devid_bytes_free(saved);
}

static void stage(devid_store *store, const devid_key *key, const devid_op *op)
{
    devid_cert *cert;
    devid_cert_list *chain;
    OK(devid_op_certificate(op, &cert, &err));
    OK(devid_op_issuers(op, &chain, &err));
    /* One that an interrupted run has staged is the same or worthless. */
    if (devid_store_discard(store, name, NULL) == DEVID_OK) printf("an earlier certificate was dropped\n");
    OK(devid_store_stage(store, name, key, NULL, cert, chain, "ldevid", utc_now(), &err));
    printf("staged %s, serial %s\n", devid_cert_subject(cert), devid_cert_serial(cert));
    devid_cert_list_free(chain);
    devid_cert_free(cert);
}

int main(int argc, char **argv)
{
    devid_store *store;
    devid_client *client;
    devid_key *key;
    devid_op *op;
    devid_action action;
    if (argc < 4 || argc > 5) {
        fprintf(stderr, "usage: %s MATERIAL CMP-URL MEMORY [stop]\n", argv[0]);
        return 2;
    }
    use_all();
    OK(devid_store_open_dir(argv[3], NULL, 0, &store, &err));
    client = client_for(argv[1], argv[2]);
    op = begin_or_resume(store, client, &key);
    for (;;) {
        OK(devid_op_step(op, utc_now(), &action, &err));
        if (action == DEVID_ACTION_DONE) break;
        if (action == DEVID_ACTION_SEND) {
            save(store, op);
            printf("sending %s\n", devid_op_output_name(op));
            OK(devid_op_exchange(op, &err));
        } else if (action == DEVID_ACTION_WAIT) {
            save(store, op);
            if (argc == 5) {
                printf("stopping here, to be continued\n");
                return 0;
            }
            sleep(devid_op_wait_seconds(op));
        } else if (action == DEVID_ACTION_ACCEPT) {
            stage(store, key, op);
            OK(devid_op_accept(op, &err));
        }
    }
    OK(devid_store_promote(store, name, &err));
    OK(devid_store_remove_operation(store, name, &err));
    printf("confirmed and in use\n");
    devid_op_free(op);
    devid_key_free(key);
    devid_client_free(client);
    devid_store_free(store);
    return 0;
}
