/* Enrols with a CMP server by reference value and secret, and keeps key, certificate and chain in device memory.
 *   cc enroll.c $(pkg-config --cflags --libs devid) -o enroll
 *   ./enroll http://ca.example/cmp 4711 secret root.pem CN=router-7 /var/lib/router */
#include <devid.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static devid_error *err;

/* Each call ends here if it fails: the error says what was expected, what came, and where. */
static int failed(devid_status status) {
    if (status != DEVID_OK) fprintf(stderr, "%s: %s\n", devid_status_name(status), devid_error_message(err));
    return status != DEVID_OK;
}

int main(int argc, char **argv) {
    devid_config *config = NULL; devid_client *client = NULL; devid_key *key = NULL; devid_subject *subject = NULL;
    devid_op *op = NULL; devid_cert *cert = NULL; devid_cert_list *chain = NULL; devid_store *store = NULL;
    devid_bytes *root = NULL;
    if (argc != 7) return fprintf(stderr, "usage: enroll URL REFERENCE SECRET ROOT.pem SUBJECT FOLDER\n"), 2;

    if (failed(devid_file_read(argv[4], 0, &root, &err))
        || failed(devid_config_new(&config, &err))
        || failed(devid_config_set_server(config, argv[1], &err))
        || failed(devid_config_set_secret(config, (uint8_t *)argv[2], strlen(argv[2]), (uint8_t *)argv[3], strlen(argv[3]), &err))
        || failed(devid_config_add_anchors(config, devid_bytes_data(root), devid_bytes_len(root), &err))
        || failed(devid_client_new(config, &client, &err))
        || failed(devid_key_generate("P-256", &key, &err))
        || failed(devid_subject_new(&subject, &err))
        || failed(devid_subject_set_name(subject, argv[5], &err))
        || failed(devid_op_enroll(client, key, subject, &op, &err))
        || failed(devid_op_run(op, &err))
        || failed(devid_op_certificate(op, &cert, &err))
        || failed(devid_op_issuers(op, &chain, &err))
        || failed(devid_store_open_dir(argv[6], NULL, 0, &store, &err))
        || failed(devid_store_install(store, "device", key, NULL, cert, chain, "ldevid", (int64_t)time(NULL), &err)))
        return 1;
    printf("%s, serial %s, issued by %s\n", devid_cert_subject(cert), devid_cert_serial(cert), devid_cert_issuer(cert));

    devid_store_free(store); devid_cert_list_free(chain); devid_cert_free(cert); devid_op_free(op);
    devid_subject_free(subject); devid_key_free(key); devid_client_free(client); devid_config_free(config); devid_bytes_free(root);
    return 0;
}
