/* Keys that never leave their token: the device's identity signs through a callback, the new key as steps of the operation.
 * The token is pretended here by keys in memory; with PKCS#11 or a TPM only token_sign() changes.
 *   ./external_key MATERIAL CMP-URL          MATERIAL is a folder written by devid-testca. */
#include "common.h"

#include <unistd.h>

struct token {
    devid_key *key;
    int signatures;
};

/* In the place of C_Sign() or TPM2_Sign(): signs `message` as `algorithm` says. */
static int32_t token_sign(void *user, const char *algorithm, const uint8_t *message, size_t message_len, devid_bytes *signature)
{
    struct token *token = (struct token *)user;
    devid_bytes *made;
    devid_status status = devid_key_sign(token->key, algorithm, message, message_len, &made, NULL);
    if (status == DEVID_OK) status = devid_bytes_append(signature, devid_bytes_data(made), devid_bytes_len(made), NULL);
    devid_bytes_free(made);
    token->signatures++;
    /* Numbers from -10000 downwards are the program's own and come back from the call that asked. */
    return status == DEVID_OK ? 0 : -10001;
}

int main(int argc, char **argv)
{
    struct token identity = { NULL, 0 }, fresh = { NULL, 0 };
    devid_bytes *spki, *message, *signature;
    devid_key *credential_key, *new_key;
    devid_cert_list *chain;
    devid_config *config;
    devid_client *client;
    devid_subject *subject;
    devid_op *op;
    devid_action action = 0;
    size_t len;
    uint8_t *data;
    if (argc != 3) {
        fprintf(stderr, "usage: %s MATERIAL CMP-URL\n", argv[0]);
        return 2;
    }
    use_all();
    identity.key = read_key(argv[1], "idevid.key");
    OK(devid_key_generate("P-256", &fresh.key, &err));

    OK(devid_key_public(identity.key, &spki, &err));
    OK(devid_key_from_callback(devid_bytes_data(spki), devid_bytes_len(spki), token_sign, &identity, NULL, &credential_key, &err));
    devid_bytes_free(spki);
    OK(devid_key_public(fresh.key, &spki, &err));
    OK(devid_key_deferred(devid_bytes_data(spki), devid_bytes_len(spki), &new_key, &err));
    devid_bytes_free(spki);

    OK(devid_config_new(&config, &err));
    OK(devid_config_set_server(config, argv[2], &err));
    data = read_file(argv[1], "root.pem", &len);
    OK(devid_config_add_cmp_anchors(config, data, len, &err));
    OK(devid_config_add_enrolment_anchors(config, data, len, &err));
    free(data);
    OK(devid_cert_list_new(&chain, &err));
    data = read_file(argv[1], "idevid.pem", &len);
    OK(devid_cert_list_add_bytes(chain, data, len, &err));
    free(data);
    data = read_file(argv[1], "idevid-chain.pem", &len);
    OK(devid_cert_list_add_bytes(chain, data, len, &err));
    free(data);
    OK(devid_config_set_credential(config, credential_key, chain, &err));
    OK(devid_client_new(config, &client, &err));
    OK(devid_subject_new(&subject, &err));
    OK(devid_subject_set_name(subject, "CN=device-4,O=Operator", &err));
    OK(devid_op_enroll(client, new_key, subject, &op, &err));

    while (action != DEVID_ACTION_DONE) {
        OK(devid_op_step(op, utc_now(), &action, &err));
        if (action == DEVID_ACTION_SEND) {
            OK(devid_op_exchange(op, &err));
        } else if (action == DEVID_ACTION_WAIT) {
            sleep(devid_op_wait_seconds(op));
        } else if (action == DEVID_ACTION_SIGN) {
            /* The token may take its time: nothing is blocked, and nothing is lost but the seconds. */
            printf("the new key signs with %s\n", devid_op_sign_algorithm(op));
            OK(devid_op_to_sign(op, &message, &err));
            OK(devid_key_sign(fresh.key, devid_op_sign_algorithm(op), devid_bytes_data(message), devid_bytes_len(message), &signature, &err));
            OK(devid_op_put_signature(op, devid_bytes_data(signature), devid_bytes_len(signature), utc_now(), &err));
            devid_bytes_free(signature);
            devid_bytes_free(message);
        } else if (action == DEVID_ACTION_ACCEPT) {
            OK(devid_op_accept(op, &err));
        }
    }
    printf("enrolled; the identity's key signed %d times through its callback\n", identity.signatures);
    devid_op_free(op);
    devid_subject_free(subject);
    devid_client_free(client);
    devid_config_free(config);
    devid_cert_list_free(chain);
    devid_key_free(new_key);
    devid_key_free(credential_key);
    devid_key_free(fresh.key);
    devid_key_free(identity.key);
    return identity.signatures > 0 ? 0 : 1;
}
