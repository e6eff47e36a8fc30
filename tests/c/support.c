/* Revocation, questions, PKCS#10 requests and templates: what goes out, what is refused before anything does. */
#include "test.h"

static const int64_t now = 1800000000;
static devid_error *err;

/* A client whose credential is the device's certificate. */
static devid_client *device(const char *folder, devid_cert **cert)
{
    devid_config *config;
    devid_client *client;
    devid_key *key;
    devid_cert_list *chain;
    size_t len;
    uint8_t *data = read_file(folder, "ca.pem", &len);
    OK(devid_config_new(&config, &err));
    OK(devid_config_add_enrolment_anchors(config, data, len, &err));
    OK(devid_config_add_cmp_anchors(config, data, len, &err));
    free(data);
    key = key_in(folder, "device.key");
    data = read_file(folder, "device.pem", &len);
    OK(devid_cert_list_new(&chain, &err));
    OK(devid_cert_list_add_bytes(chain, data, len, &err));
    OK(devid_cert_parse(data, len, cert, &err));
    free(data);
    OK(devid_config_set_credential(config, key, chain, &err));
    OK(devid_client_new(config, &client, &err));
    devid_config_free(config);
    devid_key_free(key);
    devid_cert_list_free(chain);
    return client;
}

/* The first message of an operation, which is then saved, restored and freed. */
static void goes_out_as(const devid_client *client, devid_op *op, const char *name)
{
    devid_action action;
    devid_bytes *saved, *spki;
    devid_op *again;
    CHECK(strcmp(devid_op_request_name(op), name) == 0);
    OK(devid_op_step(op, now, &action, &err));
    CHECK(action == DEVID_ACTION_SEND && strcmp(devid_op_output_name(op), name) == 0);
    CHECK(devid_op_is_done(op) == 0 && devid_op_warning_count(op) == 0 && devid_op_pki_status(op) == -1);
    OK(devid_op_save(op, &saved, &err));
    OK(devid_op_restore(client, NULL, devid_bytes_data(saved), devid_bytes_len(saved), &again, &err));
    CHECK(strcmp(devid_op_request_name(again), name) == 0 && devid_op_question(again) == devid_op_question(op));
    if (strcmp(name, "p10cr") != 0) {
        FAILS(DEVID_E_STATE, devid_op_saved_key(devid_bytes_data(saved), devid_bytes_len(saved), &spki, &err));
        CHECK(spki == NULL);
    }
    devid_bytes_free(saved);
    devid_op_free(again);
    devid_op_free(op);
}

static void revocations_go_out_by_certificate_and_by_number(const char *folder)
{
    static const int32_t wrong[] = { -1, 7, 11, 256, INT32_MAX, INT32_MIN };
    devid_cert *cert;
    devid_client *client = device(folder, &cert);
    devid_op *op;
    devid_cert *ca;
    devid_action action;
    int64_t status = 1;
    size_t i, len;
    uint8_t *data;
    OK(devid_op_revoke(client, cert, DEVID_REASON_CERTIFICATE_HOLD, &op, &err));
    goes_out_as(client, op, "rr");
    OK(devid_op_revoke_serial(client, devid_cert_issuer(cert), devid_cert_serial(cert), DEVID_REASON_REMOVE_FROM_CRL, &op, &err));
    goes_out_as(client, op, "rr");
    OK(devid_op_revoke(client, cert, DEVID_REASON_SUPERSEDED, &op, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_op_add_revocation(op, cert, DEVID_REASON_SUPERSEDED, &err));
    data = read_file(folder, "ca.pem", &len);
    OK(devid_cert_parse(data, len, &ca, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_op_add_revocation(op, ca, 7, &err));
    OK(devid_op_add_revocation(op, ca, DEVID_REASON_CA_COMPROMISE, &err));
    CHECK(devid_op_revocation_count(op) == 0 && devid_op_pki_status(op) == -1);
    FAILS(DEVID_E_STATE, devid_op_revocation(op, 0, &status, &err));
    CHECK(status == 0);
    OK(devid_op_step(op, now, &action, &err));
    FAILS(DEVID_E_STATE, devid_op_add_revocation(op, ca, DEVID_REASON_CA_COMPROMISE, &err));
    devid_op_free(op);
    devid_cert_free(ca);
    free(data);
    for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        FAILS(DEVID_E_INVALID_ARGUMENT, devid_op_revoke(client, cert, wrong[i], &op, &err));
        CHECK(op == NULL);
    }
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_op_revoke_serial(client, "CN=CA", "", 0, &op, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_op_revoke_serial(client, "CN=CA", "0x1", 0, &op, &err));
    FAILS(DEVID_E_DER, devid_op_revoke_serial(client, "no name", "1", 0, &op, &err));
    devid_cert_free(cert);
    devid_client_free(client);
}

static int holds(const uint8_t *data, size_t len, const char *text)
{
    size_t i, wanted = strlen(text);
    for (i = 0; i + wanted <= len; i++)
        if (memcmp(data + i, text, wanted) == 0)
            return 1;
    return 0;
}

static void a_passphrase_goes_out_encrypted_and_revokes_later_where_it_is_the_credential(const char *folder)
{
    static const char passphrase[] = "seven old kettles sing over the harbour";
    const uint8_t *bytes = (const uint8_t *)passphrase;
    const size_t bytes_len = sizeof passphrase - 1;
    devid_cert *cert, *ca;
    devid_client *client = device(folder, &cert), *bearer;
    devid_config *config;
    devid_action action;
    devid_bytes *saved;
    devid_op *op;
    const uint8_t *message;
    size_t len;
    uint8_t *data = read_file(folder, "ca.pem", &len);
    OK(devid_cert_parse(data, len, &ca, &err));
    OK(devid_op_leave_revocation_passphrase(client, cert, "lost key 1", bytes, bytes_len, now, &op, &err));
    CHECK(devid_op_question(op) == DEVID_QUESTION_REV_PASSPHRASE);
    OK(devid_op_step(op, now, &action, &err));
    OK(devid_op_save(op, &saved, &err));
    CHECK(!holds(devid_bytes_data(saved), devid_bytes_len(saved), passphrase));
    devid_bytes_free(saved);
    message = devid_op_output(op, &len);
    CHECK(holds(message, len, "lost key 1") && !holds(message, len, passphrase));
    goes_out_as(client, op, "genm");
    /* The CA's own key signs: nothing is encrypted to it. */
    FAILS(DEVID_E_KEY_USAGE, devid_op_leave_revocation_passphrase(client, ca, "lost key 1", bytes, bytes_len, now, &op, &err));
    CHECK(op == NULL);
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_op_leave_revocation_passphrase(client, cert, "", bytes, bytes_len, now, &op, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_op_leave_revocation_passphrase(client, cert, "lost key 1", bytes, 0, now, &op, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT,
          devid_op_revoke_with_passphrase(client, devid_cert_issuer(cert), devid_cert_serial(cert), 0, &op, &err));

    free(data);
    data = read_file(folder, "ca.pem", &len);
    OK(devid_config_new(&config, &err));
    OK(devid_config_add_enrolment_anchors(config, data, len, &err));
    OK(devid_config_set_secret(config, (const uint8_t *)"lost key 1", 10, bytes, bytes_len, &err));
    OK(devid_client_new(config, &bearer, &err));
    OK(devid_op_revoke_with_passphrase(bearer, devid_cert_issuer(cert), devid_cert_serial(cert), DEVID_REASON_KEY_COMPROMISE, &op,
                                       &err));
    goes_out_as(bearer, op, "rr");
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_op_revoke(bearer, cert, 0, &op, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_op_revoke_with_passphrase(bearer, "CN=CA", "", 0, &op, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_op_revoke_with_passphrase(bearer, "CN=CA", "1", 7, &op, &err));
    free(data);
    devid_config_free(config);
    devid_client_free(bearer);
    devid_client_free(client);
    devid_cert_free(cert);
    devid_cert_free(ca);
}

static void every_question_goes_out_and_has_no_answer_yet(const char *folder)
{
    devid_cert *cert, *root;
    devid_cert_list *list = (devid_cert_list *)&err;
    devid_template *template = (devid_template *)&err;
    devid_client *client = device(folder, &cert);
    devid_op *op;
    size_t len;
    uint8_t *data = read_file(folder, "ca.pem", &len);
    OK(devid_cert_parse(data, len, &root, &err));
    OK(devid_op_ask_ca_certs(client, &op, &err));
    FAILS(DEVID_E_STATE, devid_op_ca_certs(op, &list, &err));
    CHECK(list == NULL && devid_op_question(op) == DEVID_QUESTION_CA_CERTS);
    goes_out_as(client, op, "genm");
    OK(devid_op_ask_root_update(client, root, &op, &err));
    devid_cert_free(cert);
    FAILS(DEVID_E_STATE, devid_op_root_update(op, &cert, NULL, NULL, &err));
    CHECK(cert == NULL);
    goes_out_as(client, op, "genm");
    OK(devid_op_ask_template(client, &op, &err));
    FAILS(DEVID_E_STATE, devid_op_template(op, &template, &err));
    CHECK(template == NULL);
    goes_out_as(client, op, "genm");
    OK(devid_op_ask_crl(client, root, NULL, 0, &op, &err));
    CHECK(devid_op_crl_count(op) == 0 && devid_op_crl(op, 0, &len) == NULL && len == 0);
    goes_out_as(client, op, "genm");
    FAILS(DEVID_E_DER, devid_op_ask_crl(client, root, data, 9, &op, &err));
    OK(devid_op_ask_crl_of(client, "http://ca.example/crl", NULL, now, &op, &err));
    goes_out_as(client, op, "genm");
    OK(devid_op_ask_crl_of(client, NULL, "CN=CA", -1, &op, &err));
    goes_out_as(client, op, "genm");
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_op_ask_crl_of(client, NULL, NULL, -1, &op, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_op_ask_crl_of(client, "http://ca.example", "CN=CA", -1, &op, &err));
    OK(devid_op_ask_current_crl(client, &op, &err));
    goes_out_as(client, op, "genm");
    OK(devid_op_ask_other(client, "1.2.3", (const uint8_t *)"\x05\x00", 2, &op, &err));
    CHECK(devid_op_question(op) == DEVID_QUESTION_OTHER && devid_op_info_count(op) == 0 && devid_op_info_type(op, 0) == NULL);
    goes_out_as(client, op, "genm");
    FAILS(DEVID_E_DER, devid_op_ask_other(client, "1.2.3", (const uint8_t *)"\x05", 1, &op, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_op_ask_other(client, "all", NULL, 0, &op, &err));
    free(data);
    devid_cert_free(root);
    devid_client_free(client);
}

static void a_request_made_elsewhere_goes_out_as_it_is(const char *folder)
{
    devid_cert *cert;
    devid_client *client = device(folder, &cert);
    devid_key *key;
    devid_subject *subject;
    devid_request *request;
    devid_bytes *pem;
    devid_op *op;
    uint8_t *copy;
    OK(devid_key_generate("P-256", &key, &err));
    OK(devid_subject_new(&subject, &err));
    OK(devid_subject_set_name(subject, "CN=neighbour", &err));
    OK(devid_request_new(key, subject, NULL, NULL, &request, &err));
    OK(devid_request_data(request, DEVID_FORM_DER, &pem, &err));
    OK(devid_op_enroll_pkcs10(client, devid_bytes_data(pem), devid_bytes_len(pem), &op, &err));
    CHECK(devid_op_question(op) == DEVID_QUESTION_NONE);
    goes_out_as(client, op, "p10cr");
    copy = malloc(devid_bytes_len(pem));
    CHECK(copy != NULL);
    memcpy(copy, devid_bytes_data(pem), devid_bytes_len(pem));
    copy[30] ^= 1;
    CHECK(devid_op_enroll_pkcs10(client, copy, devid_bytes_len(pem), &op, &err) != DEVID_OK && op == NULL);
    devid_error_free(err);
    err = NULL;
    FAILS(DEVID_E_DER, devid_op_enroll_pkcs10(client, copy, 20, &op, &err));
    free(copy);
    devid_bytes_free(pem);
    devid_request_free(request);
    devid_subject_free(subject);
    devid_key_free(key);
    devid_cert_free(cert);
    devid_client_free(client);
}

static void a_template_is_followed(void)
{
    /* O=Operator, a CN and a keyUsage to be filled in, RSA keys of 2048 bits. */
    static const uint8_t der[] = {
        0x30, 0x42, 0x30, 0x2d, 0xa5, 0x20, 0x30, 0x1e, 0x31, 0x11, 0x30, 0x0f, 0x06, 0x03, 0x55, 0x04, 0x0a, 0x0c,
        0x08, 0x4f, 0x70, 0x65, 0x72, 0x61, 0x74, 0x6f, 0x72, 0x31, 0x09, 0x30, 0x07, 0x06, 0x03, 0x55, 0x04, 0x03,
        0x0c, 0x00, 0xa9, 0x09, 0x30, 0x07, 0x06, 0x03, 0x55, 0x1d, 0x0f, 0x04, 0x00, 0x30, 0x11, 0x30, 0x0f, 0x06,
        0x09, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x05, 0x01, 0x0c, 0x02, 0x02, 0x08, 0x00
    };
    devid_template *template;
    devid_subject *subject;
    devid_bytes *changes;
    devid_key *key;
    size_t len = 77;
    OK(devid_template_parse(der, sizeof der, &template, &err));
    CHECK(memcmp(devid_template_der(template, &len), der, sizeof der) == 0 && len == sizeof der);
    CHECK(strstr(devid_template_subject(template), "O=Operator") != NULL);
    CHECK(devid_template_key_count(template) == 1 && strcmp(devid_template_key(template, 0), "RSA-2048") == 0);
    CHECK(devid_template_key(template, 1) == NULL);
    CHECK(devid_template_extension_count(template) == 1 && strcmp(devid_template_extension(template, 0), "2.5.29.15") == 0);
    CHECK(devid_template_extension_value(template, 0, &len) != NULL && len == 0);
    CHECK(devid_template_extension_value(template, 1, &len) == NULL && devid_template_extension(template, 1) == NULL);
    OK(devid_key_generate("P-256", &key, &err));
    FAILS(DEVID_E_ALGORITHM, devid_template_check_key(template, key, &err));
    devid_key_free(key);
    OK(devid_subject_new(&subject, &err));
    OK(devid_subject_set_name(subject, "CN=router-7,OU=Lab", &err));
    OK(devid_subject_add_dns(subject, "router-7.example", &err));
    OK(devid_subject_apply_template(subject, template, &changes, &err));
    CHECK(strstr((const char *)devid_bytes_data(changes), "2.5.4.11 was left out") != NULL);
    CHECK(strstr((const char *)devid_bytes_data(changes), "extension 2.5.29.17 was left out") != NULL);
    devid_bytes_free(changes);
    /* The same again changes nothing but what was not known before. */
    OK(devid_subject_apply_template(subject, template, NULL, &err));
    devid_template_free(template);
    FAILS(DEVID_E_DER, devid_template_parse(der, sizeof der - 1, &template, &err));
    CHECK(template == NULL);
    devid_subject_free(subject);
}

int main(int argc, char **argv)
{
    const char *folder = data_folder(argc, argv);
    revocations_go_out_by_certificate_and_by_number(folder);
    a_passphrase_goes_out_encrypted_and_revokes_later_where_it_is_the_credential(folder);
    every_question_goes_out_and_has_no_answer_yet(folder);
    a_request_made_elsewhere_goes_out_as_it_is(folder);
    a_template_is_followed();
    return 0;
}
