/* The way to the server: what is refused when it is set, and what is missing when it is used. */
#include "test.h"

static devid_op *enrolment(const devid_config *config)
{
    devid_error *err = NULL;
    devid_client *client;
    devid_subject *subject;
    devid_key *key;
    devid_op *op;
    OK(devid_client_new(config, &client, &err));
    OK(devid_key_generate("P-256", &key, &err));
    OK(devid_subject_new(&subject, &err));
    OK(devid_subject_set_name(subject, "CN=router-7", &err));
    OK(devid_op_enroll(client, key, subject, &op, &err));
    devid_subject_free(subject);
    devid_key_free(key);
    devid_client_free(client);
    return op;
}

static void settings_for_tls_are_checked_when_they_are_set(const char *folder)
{
    static const uint8_t fingerprint[32] = {7};
    devid_error *err = NULL;
    devid_config *config;
    devid_key *key, *stranger;
    devid_cert_list *chain;
    size_t len, key_len, cert_len;
    uint8_t *anchor = read_file(folder, "ca.pem", &len);
    uint8_t *cert = read_file(folder, "device.pem", &cert_len);
    uint8_t *pkcs8 = read_file(folder, "device.key", &key_len);
    OK(devid_config_new(&config, &err));
    if (!devid_supports("tls")) {
        FAILS(DEVID_E_UNSUPPORTED, devid_config_add_tls_anchors(config, anchor, len, &err));
    } else {
        OK(devid_config_add_tls_anchors(config, anchor, len, &err));
        FAILS(DEVID_E_DER, devid_config_add_tls_anchors(config, fingerprint, 32, &err));
        OK(devid_key_load(pkcs8, key_len, NULL, 0, &key, &err));
        OK(devid_key_generate("P-256", &stranger, &err));
        OK(devid_cert_list_new(&chain, &err));
        FAILS(DEVID_E_INVALID_ARGUMENT, devid_config_set_tls_credential(config, key, chain, &err));
        OK(devid_cert_list_add_bytes(chain, cert, cert_len, &err));
        FAILS(DEVID_E_KEY_MISMATCH, devid_config_set_tls_credential(config, stranger, chain, &err));
        OK(devid_config_set_tls_credential(config, key, chain, &err));
        OK(devid_config_set_tls_server_name(config, "ca.example", &err));
        OK(devid_config_set_tls_server_name(config, NULL, &err));
        OK(devid_config_add_tls_pin(config, DEVID_PIN_PUBLIC_KEY, fingerprint, 32, &err));
        FAILS(DEVID_E_INVALID_ARGUMENT, devid_config_add_tls_pin(config, DEVID_PIN_CERTIFICATE, fingerprint, 20, &err));
        FAILS(DEVID_E_INVALID_ARGUMENT, devid_config_add_tls_pin(config, 3, fingerprint, 32, &err));
        OK(devid_config_set_tls_min_version(config, DEVID_TLS_1_3, &err));
        FAILS(DEVID_E_INVALID_ARGUMENT, devid_config_set_tls_min_version(config, 11, &err));
        OK(devid_config_set_tls_clock(config, DEVID_CLOCK_GIVEN, 1800000000, &err));
        FAILS(DEVID_E_INVALID_ARGUMENT, devid_config_set_tls_clock(config, 0, 0, &err));
        OK(devid_config_set_tls_revocation(config, DEVID_REVOCATION_HARD, &err));
        FAILS(DEVID_E_INVALID_ARGUMENT, devid_config_set_tls_revocation(config, 9, &err));
        devid_cert_list_free(chain);
        devid_key_free(key);
        devid_key_free(stranger);
        OK(devid_config_set_mutual_tls(config, &err));
    }
    if (devid_supports("coap")) {
        OK(devid_config_set_coap(config, 64, 500, 3, &err));
        OK(devid_config_set_coap(config, 0, 0, -1, &err));
        FAILS(DEVID_E_INVALID_ARGUMENT, devid_config_set_coap(config, 2048, 0, -1, &err));
        FAILS(DEVID_E_INVALID_ARGUMENT, devid_config_set_coap(config, 0, 0, 21, &err));
    } else {
        FAILS(DEVID_E_UNSUPPORTED, devid_config_set_coap(config, 64, 500, 3, &err));
    }
    OK(devid_config_set_proxy_login(config, "device", "secret", &err));
    FAILS(DEVID_E_NULL, devid_config_set_proxy_login(config, "device", NULL, &err));
    OK(devid_config_set_proxy_login(config, NULL, NULL, &err));
    OK(devid_config_set_http_1_0(config, 1, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_config_set_http_1_0(config, 2, &err));
    devid_config_free(config);
    free(anchor);
    free(cert);
    free(pkcs8);
}

static void https_without_anchors_of_its_own_is_refused(const char *folder)
{
    devid_error *err = NULL;
    devid_config *config;
    devid_op *op;
    size_t len;
    uint8_t *anchor = read_file(folder, "ca.pem", &len);
    devid_status expected = devid_supports("tls") ? DEVID_E_INVALID_ARGUMENT : DEVID_E_UNSUPPORTED;
    OK(devid_config_new(&config, &err));
    OK(devid_config_add_enrolment_anchors(config, anchor, len, &err));
    OK(devid_config_add_cmp_anchors(config, anchor, len, &err));
    OK(devid_config_set_secret(config, (const uint8_t *)"4711", 4, (const uint8_t *)"very secret", 11, &err));
    OK(devid_config_set_server(config, "https://127.0.0.1:9/cmp", &err));
    op = enrolment(config);
    FAILS(expected, devid_op_run(op, &err));
    devid_op_free(op);
    devid_config_free(config);
    free(anchor);
}

/* Without a certificate to show there is no mutual TLS that could stand for the messages' protection. */
static void mutual_tls_without_a_certificate_is_refused(const char *folder)
{
    devid_error *err = NULL;
    devid_config *config;
    devid_client *client;
    size_t len;
    uint8_t *anchor = read_file(folder, "ca.pem", &len);
    OK(devid_config_new(&config, &err));
    OK(devid_config_add_enrolment_anchors(config, anchor, len, &err));
    if (devid_supports("tls")) {
        OK(devid_config_set_mutual_tls(config, &err));
        FAILS(DEVID_E_INVALID_ARGUMENT, devid_client_new(config, &client, &err));
        CHECK(client == NULL);
    } else {
        FAILS(DEVID_E_UNSUPPORTED, devid_config_set_mutual_tls(config, &err));
    }
    devid_config_free(config);
    free(anchor);
}

struct modem {
    int sent;
    int received;
    int destroyed;
    int32_t answer;
    uint8_t last[4096];
    size_t len;
};

static int32_t modem_send(void *user, const uint8_t *datagram, size_t datagram_len)
{
    struct modem *modem = user;
    CHECK(datagram_len > 12 && datagram_len <= sizeof modem->last);
    memcpy(modem->last, datagram, datagram_len);
    modem->len = datagram_len;
    modem->sent++;
    return modem->answer;
}

/* The server at the other end of the modem: says 5.03 to every message, with a word of its own. */
static int32_t modem_receive(void *user, uint32_t wait_millis, devid_bytes *datagram)
{
    struct modem *modem = user;
    devid_error *err = NULL;
    uint8_t answer[32];
    CHECK(wait_millis > 0 && (modem->last[0] & 0xf0) == 0x40 && modem->last[1] == 0x02);
    if (modem->sent == modem->received) return 0;
    modem->received = modem->sent;
    memcpy(answer, modem->last, 12);
    answer[0] = 0x68;
    answer[1] = 0xa3;
    memcpy(answer + 12, "\xff" "asleep", 7);
    OK(devid_bytes_append(datagram, answer, 19, &err));
    return 0;
}

static void modem_destroy(void *user)
{
    ((struct modem *)user)->destroyed++;
}

/* A device that was enrolled so is renewed so. */
static void a_program_carries_the_datagrams_of_renewals(const devid_config *config)
{
    devid_error *err = NULL;
    devid_renewal *renewal;
    devid_subject *subject;
    devid_store *store;
    struct modem modem = {0}, broken = {0};
    uint32_t seconds = 0;
    OK(devid_renewal_new(config, "router", "ldevid", &renewal, &err));
    if (!devid_supports("coap")) {
        FAILS(DEVID_E_UNSUPPORTED, devid_renewal_set_datagrams(renewal, modem_send, modem_receive, &modem, modem_destroy, &err));
        CHECK(modem.destroyed == 1);
        devid_renewal_free(renewal);
        return;
    }
    OK(devid_subject_new(&subject, &err));
    OK(devid_subject_set_name(subject, "CN=router-7", &err));
    OK(devid_renewal_set_subject(renewal, subject, &err));
    OK(devid_store_open_memory(NULL, &store, &err));
    FAILS(DEVID_E_NULL, devid_renewal_set_datagrams(renewal, modem_send, NULL, &modem, modem_destroy, &err));
    CHECK(modem.destroyed == 1);
    OK(devid_renewal_set_datagrams(renewal, modem_send, modem_receive, &modem, modem_destroy, &err));
    FAILS(DEVID_E_BUSY, devid_renewal_run(renewal, store, 1800000000, NULL, &seconds, &err));
    CHECK(modem.sent == 1 && modem.received == 1 && seconds > 30);
    broken.answer = -10042;
    OK(devid_renewal_set_datagrams(renewal, modem_send, modem_receive, &broken, modem_destroy, &err));
    CHECK(modem.destroyed == 2 && broken.destroyed == 0);
    OK(devid_renewal_reset(renewal, store, &err));
    FAILS(-10042, devid_renewal_run(renewal, store, 1800000000, NULL, &seconds, &err));
    devid_subject_free(subject);
    devid_renewal_free(renewal);
    CHECK(broken.destroyed == 1);
    devid_store_free(store);
}

static void a_program_carries_the_datagrams_of_coap(const char *folder)
{
    devid_error *err = NULL;
    devid_config *config;
    devid_op *op;
    struct modem modem = {0}, broken = {0};
    size_t len;
    uint8_t *anchor = read_file(folder, "ca.pem", &len);
    OK(devid_config_new(&config, &err));
    OK(devid_config_add_enrolment_anchors(config, anchor, len, &err));
    OK(devid_config_set_secret(config, (const uint8_t *)"4711", 4, (const uint8_t *)"very secret", 11, &err));
    OK(devid_config_set_server(config, "coap://ca.example/.well-known/cmp", &err));
    op = enrolment(config);
    if (!devid_supports("coap")) {
        FAILS(DEVID_E_UNSUPPORTED, devid_op_set_datagrams(op, modem_send, modem_receive, &modem, modem_destroy, &err));
        CHECK(modem.destroyed == 1);
    } else {
        FAILS(DEVID_E_NULL, devid_op_set_datagrams(op, modem_send, NULL, &modem, modem_destroy, &err));
        CHECK(modem.destroyed == 1);
        OK(devid_op_set_datagrams(op, modem_send, modem_receive, &modem, modem_destroy, &err));
        FAILS(DEVID_E_BUSY, devid_op_run(op, &err));
        CHECK(modem.sent == 1 && modem.received == 1);
        broken.answer = -10042;
        OK(devid_op_set_datagrams(op, modem_send, modem_receive, &broken, modem_destroy, &err));
        CHECK(modem.destroyed == 2 && broken.destroyed == 0);
        FAILS(-10042, devid_op_run(op, &err));
    }
    devid_op_free(op);
    CHECK(!devid_supports("coap") || broken.destroyed == 1);
    a_program_carries_the_datagrams_of_renewals(config);
    OK(devid_config_set_server(config, "http://ca.example/", &err));
    op = enrolment(config);
    CHECK(devid_op_set_datagrams(op, modem_send, modem_receive, &broken, modem_destroy, NULL) != DEVID_OK);
    devid_op_free(op);
    devid_config_free(config);
    free(anchor);
}

/* Steps to the message to be sent. */
static void to_the_message(devid_op *op)
{
    devid_error *err = NULL;
    devid_action action;
    OK(devid_op_step(op, 1800000000, &action, &err));
    CHECK(action == DEVID_ACTION_SEND);
}

static void a_program_carries_the_bytes_of_http(const char *folder)
{
    static const uint8_t ssh[] = "SSH-2.0-OpenSSH\r\n", busy[] = "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n";
    static const uint8_t page[] = "HTTP/1.1 404 None\r\nContent-Type: text/plain\r\n\r\nno such alias";
    devid_error *err = NULL;
    devid_config *config;
    devid_http_call *call;
    devid_op *op;
    devid_bytes *root;
    size_t len, anchor_len, file_len;
    int32_t done = -1;
    char path[512];
    uint8_t *anchor = read_file(folder, "ca.pem", &anchor_len);

    snprintf(path, sizeof path, "%s/ca.pem", folder);
    OK(devid_file_read(path, 0, &root, &err));
    file_len = devid_bytes_len(root);
    CHECK(file_len == anchor_len && memcmp(devid_bytes_data(root), anchor, anchor_len) == 0);
    devid_bytes_free(root);
    OK(devid_file_read(path, anchor_len, &root, &err));
    devid_bytes_free(root);
    FAILS(DEVID_E_TOO_LARGE, devid_file_read(path, anchor_len - 1, &root, &err));
    FAILS(DEVID_E_NOT_FOUND, devid_file_read("no/such/file", 0, &root, &err));
    FAILS(DEVID_E_IO, devid_file_read(folder, 0, &root, &err));
    FAILS(DEVID_E_IO, devid_file_read("/dev/zero", 0, &root, &err));

    OK(devid_config_new(&config, &err));
    OK(devid_config_set_server(config, "http://ca.example:8080/pkix/", &err));
    OK(devid_config_set_secret(config, (const uint8_t *)"4711", 4, (const uint8_t *)"secret", 6, &err));
    FAILS(DEVID_E_DER, devid_config_add_anchors(config, ssh, sizeof ssh, &err));
    OK(devid_config_add_anchors(config, anchor, anchor_len, &err));
    op = enrolment(config);
    if (!devid_supports("http")) {
        to_the_message(op);
        FAILS(DEVID_E_UNSUPPORTED, devid_op_http_call(op, &call, &err));
    } else {
        FAILS(DEVID_E_STATE, devid_op_http_call(op, &call, &err));
        to_the_message(op);

        OK(devid_op_http_call(op, &call, &err));
        CHECK(strcmp(devid_http_call_host(call), "ca.example") == 0 && devid_http_call_port(call) == 8080);
        CHECK(devid_http_call_output(call, &len) != NULL && len > 100);
        FAILS(DEVID_E_INVALID_ARGUMENT, devid_http_call_sent(call, len + 1, &err));
        OK(devid_http_call_sent(call, len - 1, &err));
        OK(devid_http_call_sent(call, 1, &err));
        CHECK(devid_http_call_output(call, &len) == NULL);
        FAILS(DEVID_E_TRANSPORT, devid_http_call_received(call, ssh, sizeof ssh - 1, &done, &err));
        FAILS(DEVID_E_TRANSPORT, devid_op_feed_http_call(op, call, &err));
        FAILS(DEVID_E_STATE, devid_op_feed_http_call(op, call, &err));
        FAILS(DEVID_E_STATE, devid_http_call_closed(call, &err));
        CHECK(devid_http_call_port(call) == 0 && devid_http_call_output(call, &len) == NULL);
        devid_http_call_free(call);

        /* The message is still under way. */
        OK(devid_op_http_call(op, &call, &err));
        OK(devid_http_call_received(call, busy, sizeof busy - 3, &done, &err));
        CHECK(done == 0);
        OK(devid_http_call_received(call, busy + sizeof busy - 3, 2, &done, &err));
        CHECK(done == 1);
        CHECK(devid_op_feed_http_call(op, call, &err) == DEVID_E_BUSY && devid_error_retry_after_seconds(err) == 7);
        devid_error_free(err);
        err = NULL;
        devid_http_call_free(call);

        OK(devid_op_http_call(op, &call, &err));
        OK(devid_http_call_received(call, page, sizeof page - 1, &done, &err));
        CHECK(done == 0);
        OK(devid_http_call_closed(call, &err));
        CHECK(devid_op_feed_http_call(op, call, &err) == DEVID_E_HTTP_STATUS);
        CHECK(strstr(devid_error_report(err), "no such alias") != NULL);
        devid_error_free(err);
        err = NULL;
        devid_http_call_free(call);

        OK(devid_op_http_call(op, &call, &err));
        FAILS(DEVID_E_TRANSPORT, devid_http_call_closed(call, &err));
        devid_http_call_free(call);
    }
    devid_op_free(op);
    devid_config_free(config);
    free(anchor);
}

int main(int argc, char **argv)
{
    const char *folder = data_folder(argc, argv);
    settings_for_tls_are_checked_when_they_are_set(folder);
    https_without_anchors_of_its_own_is_refused(folder);
    mutual_tls_without_a_certificate_is_refused(folder);
    a_program_carries_the_datagrams_of_coap(folder);
    a_program_carries_the_bytes_of_http(folder);
    return 0;
}
