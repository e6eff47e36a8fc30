/* A program that enrols through the C API: what `openssl cmp` is measured against, and what sizes are measured of.
 *
 * process signature|mac PORT DIRECTORY: keys and certificates are those that `devid-bench serve` wrote to DIRECTORY; the
 * new certificate and its chain are left there. */
#include <devid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *what, devid_error *error)
{
    fprintf(stderr, "%s: %s\n", what, error == NULL ? "?" : devid_error_message(error));
    devid_error_free(error);
    exit(1);
}

#define CHECK(call)                       \
    do {                                  \
        devid_error *error = NULL;        \
        if ((call) != DEVID_OK)           \
            fail(#call, error);           \
    } while (0)

struct file {
    uint8_t data[16384];
    size_t len;
};

static void file_name(char *out, size_t room, const char *directory, const char *name)
{
    if ((size_t)snprintf(out, room, "%s/%s", directory, name) >= room)
        fail("a path too long", NULL);
}

static const struct file *slurp(const char *directory, const char *name)
{
    static struct file file;
    char path[4096];
    FILE *in;

    file_name(path, sizeof(path), directory, name);
    in = fopen(path, "rb");
    if (in == NULL)
        fail(path, NULL);
    file.len = fread(file.data, 1, sizeof(file.data), in);
    fclose(in);
    return &file;
}

static devid_key *load_key(const char *directory, const char *name)
{
    const struct file *file = slurp(directory, name);
    devid_key *key = NULL;

    CHECK(devid_key_load(file->data, file->len, NULL, 0, &key, &error));
    return key;
}

static void set_credential(devid_config *config, const char *protection, const char *directory)
{
    const struct file *file;
    devid_cert_list *chain = NULL;
    devid_key *key;

    if (strcmp(protection, "mac") == 0) {
        CHECK(devid_config_set_secret(config, (const uint8_t *)"4711", 4, (const uint8_t *)"a shared secret", 15, &error));
        /* What openssl cmp does. */
        CHECK(devid_config_set_mac(config, DEVID_MAC_PASSWORD_BASED, "SHA256", "SHA256", 1024, &error));
        return;
    }
    key = load_key(directory, "device-key.pem");
    file = slurp(directory, "device.pem");
    CHECK(devid_cert_list_new(&chain, &error));
    CHECK(devid_cert_list_add_bytes(chain, file->data, file->len, &error));
    CHECK(devid_config_set_credential(config, key, chain, &error));
    devid_cert_list_free(chain);
    devid_key_free(key);
}

static void save(devid_op *op, const char *directory)
{
    char path[4096];
    devid_cert *certificate = NULL;
    devid_bytes *pem = NULL;
    FILE *out;

    CHECK(devid_op_certificate(op, &certificate, &error));
    CHECK(devid_cert_pem(certificate, &pem, &error));
    file_name(path, sizeof(path), directory, "devid-certificate.pem");
    out = fopen(path, "wb");
    if (out == NULL || fwrite(devid_bytes_data(pem), 1, devid_bytes_len(pem), out) != devid_bytes_len(pem)
        || fclose(out) != 0)
        fail(path, NULL);
    devid_bytes_free(pem);
    devid_cert_free(certificate);
}

int main(int argc, char **argv)
{
    const struct file *anchors;
    char url[64];
    devid_config *config = NULL;
    devid_client *client = NULL;
    devid_subject *subject = NULL;
    devid_op *op = NULL;
    devid_key *key;

    if (argc != 4) {
        fprintf(stderr, "usage: process signature|mac PORT DIRECTORY\n");
        return 2;
    }
    snprintf(url, sizeof(url), "http://127.0.0.1:%.5s/pkix/", argv[2]);
    CHECK(devid_config_new(&config, &error));
    CHECK(devid_config_set_server(config, url, &error));
    anchors = slurp(argv[3], "root.pem");
    CHECK(devid_config_add_cmp_anchors(config, anchors->data, anchors->len, &error));
    CHECK(devid_config_add_enrolment_anchors(config, anchors->data, anchors->len, &error));
    set_credential(config, argv[1], argv[3]);
    CHECK(devid_client_new(config, &client, &error));

    key = load_key(argv[3], "new-key.pem");
    CHECK(devid_subject_new(&subject, &error));
    CHECK(devid_subject_set_name(subject, "CN=Device 4711,O=devid bench", &error));
    CHECK(devid_op_enroll(client, key, subject, &op, &error));
    CHECK(devid_op_run(op, &error));
    save(op, argv[3]);

    devid_op_free(op);
    devid_subject_free(subject);
    devid_key_free(key);
    devid_client_free(client);
    devid_config_free(config);
    return 0;
}
