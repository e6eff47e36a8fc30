/* A program that enrols through the C API: what `openssl cmp` is measured against, and what sizes are measured of.
 *
 * process signature|mac PORT DIRECTORY: keys and certificates are those that `devid-bench serve` wrote to DIRECTORY; the
 * new certificate and its chain are left there. With OWN_TRANSPORT defined it carries the messages by itself. */
#include "check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

#ifdef OWN_TRANSPORT
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* One POST over a connection of its own; the answer's body. HTTP/1.0, so that the answer ends where the connection does. */
static const uint8_t *post(int port, const uint8_t *message, size_t len, size_t *answer_len)
{
    static char answer[65536];
    struct sockaddr_in to;
    char head[160], *body;
    size_t got = 0;
    ssize_t more;
    int stream = socket(AF_INET, SOCK_STREAM, 0);
    int head_len = snprintf(head, sizeof(head),
                            "POST /pkix/ HTTP/1.0\r\nContent-Type: application/pkixcmp\r\nContent-Length: %zu\r\n\r\n", len);

    memset(&to, 0, sizeof(to));
    to.sin_family = AF_INET;
    to.sin_port = htons((uint16_t)port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (stream < 0 || connect(stream, (struct sockaddr *)&to, sizeof(to)) != 0 || write(stream, head, (size_t)head_len) != head_len
        || write(stream, message, len) != (ssize_t)len)
        fail("sending", NULL);
    while ((more = read(stream, answer + got, sizeof(answer) - 1 - got)) > 0)
        got += (size_t)more;
    close(stream);
    answer[got] = '\0';
    body = strstr(answer, "\r\n\r\n");
    if (more < 0 || body == NULL || strstr(answer, " 200 ") == NULL)
        fail("the answer", NULL);
    body += 4;
    *answer_len = got - (size_t)(body - answer);
    return (const uint8_t *)body;
}

static void run(devid_op *op, int port)
{
    devid_action action = DEVID_ACTION_WAIT;

    for (;;) {
        CHECK(devid_op_step(op, (int64_t)time(NULL), &action, &error));
        if (action == DEVID_ACTION_SEND) {
            size_t len, answer_len;
            const uint8_t *message = devid_op_output(op, &len);
            const uint8_t *answer = post(port, message, len, &answer_len);
            CHECK(devid_op_feed(op, answer, answer_len, &error));
        } else if (action == DEVID_ACTION_ACCEPT) {
            CHECK(devid_op_accept(op, &error));
        } else if (action == DEVID_ACTION_DONE) {
            return;
        } else {
            fail("an action that nobody asked for", NULL);
        }
    }
}
#endif

int main(int argc, char **argv)
{
    const struct file *anchors;
#ifndef OWN_TRANSPORT
    char url[64];
#endif
    devid_config *config = NULL;
    devid_client *client = NULL;
    devid_subject *subject = NULL;
    devid_op *op = NULL;
    devid_key *key;

    if (argc != 4) {
        fprintf(stderr, "usage: process signature|mac PORT DIRECTORY\n");
        return 2;
    }
    CHECK(devid_config_new(&config, &error));
#ifndef OWN_TRANSPORT
    snprintf(url, sizeof(url), "http://127.0.0.1:%.5s/pkix/", argv[2]);
    CHECK(devid_config_set_server(config, url, &error));
#endif
    anchors = slurp(argv[3], "root.pem");
    CHECK(devid_config_add_cmp_anchors(config, anchors->data, anchors->len, &error));
    CHECK(devid_config_add_enrolment_anchors(config, anchors->data, anchors->len, &error));
    set_credential(config, argv[1], argv[3]);
    CHECK(devid_client_new(config, &client, &error));

    key = load_key(argv[3], "new-key.pem");
    CHECK(devid_subject_new(&subject, &error));
    CHECK(devid_subject_set_name(subject, "CN=Device 4711,O=devid bench", &error));
    CHECK(devid_op_enroll(client, key, subject, &op, &error));
#ifdef OWN_TRANSPORT
    run(op, atoi(argv[2]));
#else
    CHECK(devid_op_run(op, &error));
#endif
    save(op, argv[3]);

    devid_op_free(op);
    devid_subject_free(subject);
    devid_key_free(key);
    devid_client_free(client);
    devid_config_free(config);
    return 0;
}
