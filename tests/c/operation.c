/* Settings and operations, with the program in the server's place: what is refused, in which order, and who destroys what. */
#include "test.h"

#include <time.h>

static const int64_t now = 1800000000;

struct program {
    int exchanged;
    int destroyed;
    int32_t answer;
    size_t len;
    devid_op *op;
    char log[4096];
};

static int32_t exchange(void *user, const uint8_t *request, size_t request_len, devid_bytes *reply)
{
    struct program *program = user;
    devid_error *err = NULL;
    devid_action action = 77;
    program->exchanged++;
    CHECK(request_len > 100 && request[0] == 0x30);
    if (program->op != NULL) {
        /* The operation is in use further up: calls into it are refused, none of them harms. */
        FAILS(DEVID_E_REENTRANT, devid_op_step(program->op, now, &action, &err));
        CHECK(action == 0);
        FAILS(DEVID_E_REENTRANT, devid_op_run(program->op, &err));
        CHECK(devid_op_output(program->op, NULL) == NULL && devid_op_wait_seconds(program->op) == 0);
        devid_op_free(program->op);
    }
    while (devid_bytes_len(reply) < program->len) OK(devid_bytes_append(reply, (const uint8_t *)"\x30\x03\x02\x01\x00", 5, &err));
    return program->answer;
}

static void destroy(void *user)
{
    ((struct program *)user)->destroyed++;
}

static void log_line(void *user, int32_t level, const char *message)
{
    struct program *program = user;
    size_t used = strlen(program->log);
    CHECK(level >= DEVID_LOG_ERROR && level <= DEVID_LOG_INFO && strchr(message, '\n') == NULL);
    snprintf(program->log + used, sizeof program->log - used, "%s\n", message);
}

static devid_config *settings(const char *folder)
{
    devid_error *err = NULL;
    devid_config *config;
    size_t len;
    uint8_t *anchor = read_file(folder, "ca.pem", &len);
    OK(devid_config_new(&config, &err));
    OK(devid_config_add_enrolment_anchors(config, anchor, len, &err));
    OK(devid_config_set_secret(config, (const uint8_t *)"4711", 4, (const uint8_t *)"very secret", 11, &err));
    free(anchor);
    return config;
}

static devid_op *enrolment(const devid_config *config, const devid_key *key)
{
    devid_error *err = NULL;
    devid_client *client;
    devid_subject *subject;
    devid_op *op;
    OK(devid_client_new(config, &client, &err));
    OK(devid_subject_new(&subject, &err));
    OK(devid_subject_set_name(subject, "CN=router-7,O=Example", &err));
    OK(devid_subject_add_dns(subject, "router-7.example", &err));
    OK(devid_subject_add_ip(subject, "2001:db8::7", &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_subject_add_ip(subject, "300.1.1.1", &err));
    OK(devid_subject_add_key_usage(subject, "digitalSignature", &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_subject_add_key_usage(subject, "anything", &err));
    OK(devid_subject_add_purpose(subject, "clientAuth", &err));
    OK(devid_subject_set_validity(subject, 0, now + 86400, &err));
    OK(devid_op_enroll(client, key, subject, &op, &err));
    /* The library owns nothing of ours, and needs none of it any more. */
    devid_subject_free(subject);
    devid_client_free(client);
    return op;
}

static void settings_that_contradict_are_refused(const char *folder)
{
    devid_error *err = NULL;
    devid_config *config;
    devid_client *client;
    devid_key *key, *stranger;
    devid_cert_list *chain;
    size_t len, key_len;
    uint8_t *cert = read_file(folder, "device.pem", &len);
    uint8_t *pkcs8 = read_file(folder, "device.key", &key_len);
    OK(devid_config_new(&config, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_client_new(config, &client, &err));
    CHECK(client == NULL);
    FAILS(DEVID_E_STATE, devid_config_set_mac(config, DEVID_MAC_PBMAC1, "SHA256", "SHA256", 5000, &err));
    FAILS(DEVID_E_STATE, devid_config_set_protection_algorithm(config, "ECDSA-SHA256", &err));
    OK(devid_config_set_secret(config, (const uint8_t *)"r", 1, (const uint8_t *)"s", 1, &err));
    OK(devid_config_set_mac(config, DEVID_MAC_PASSWORD_BASED, "SHA1", "SHA1", 500, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_config_set_mac(config, 3, "SHA256", "SHA256", 5000, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_config_set_mac(config, DEVID_MAC_PBMAC1, "MD5", "SHA256", 5000, &err));

    OK(devid_key_load(pkcs8, key_len, NULL, 0, &key, &err));
    OK(devid_key_generate("P-256", &stranger, &err));
    OK(devid_cert_list_new(&chain, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_config_set_credential(config, key, chain, &err));
    OK(devid_cert_list_add_bytes(chain, cert, len, &err));
    FAILS(DEVID_E_KEY_MISMATCH, devid_config_set_credential(config, stranger, chain, &err));
    OK(devid_config_set_credential(config, key, chain, &err));
    OK(devid_config_set_protection_algorithm(config, "ECDSA-SHA512", &err));
    FAILS(DEVID_E_ALGORITHM, devid_config_set_protection_algorithm(config, "Ed25519", &err));

    OK(devid_config_set_limit(config, "max_message_bytes", 100000, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_config_set_limit(config, "max_message_bytes", -1, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_config_set_limit(config, "max_fun", 1, &err));
    OK(devid_config_set_tolerance(config, "other_sender_name", 1, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_config_set_tolerance(config, "other_sender_name", 2, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_config_set_tolerance(config, "everything", 1, &err));
    OK(devid_config_set_signer(config, DEVID_SIGNER_SUBJECT, "CN=RA", &err));
    FAILS(DEVID_E_NULL, devid_config_set_signer(config, DEVID_SIGNER_SUBJECT, NULL, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_config_set_signer(config, 9, NULL, &err));
    OK(devid_config_set_profile(config, "ejbca", &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_config_set_profile(config, "acme", &err));
    OK(devid_config_set_adopt_root(config, 0, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_config_set_adopt_root(config, 2, &err));
    OK(devid_config_add_signer_pins(config, cert, len, &err));
    FAILS(DEVID_E_DER, devid_config_add_signer_pins(config, pkcs8, 3, &err));
    OK(devid_config_set_time_window(config, -1, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_config_set_time_window(config, -2, &err));
    OK(devid_config_set_timeouts(config, 1, 0, 5, &err));
    devid_cert_list_free(chain);
    devid_key_free(key);
    devid_key_free(stranger);
    devid_config_free(config);
    free(cert);
    free(pkcs8);
}

static void an_operation_is_stepped_saved_and_restored(const char *folder)
{
    devid_error *err = NULL;
    devid_config *config = settings(folder);
    devid_client *client;
    devid_key *key, *other;
    devid_op *op, *again;
    devid_bytes *saved, *spki, *expected;
    devid_cert *cert;
    devid_differences *differences;
    devid_action action;
    size_t len, again_len;
    const uint8_t *output;
    uint8_t *copy;
    OK(devid_key_generate("P-256", &key, &err));
    OK(devid_key_generate("P-256", &other, &err));
    op = enrolment(config, key);
    CHECK(devid_op_output(op, &len) == NULL && len == 0 && devid_op_output_name(op) == NULL);
    FAILS(DEVID_E_STATE, devid_op_feed(op, (const uint8_t *)"x", 1, &err));
    FAILS(DEVID_E_STATE, devid_op_save(op, &saved, &err));
    OK(devid_op_step(op, now, &action, &err));
    CHECK(action == DEVID_ACTION_SEND && strcmp(devid_op_output_name(op), "ir") == 0);
    FAILS(DEVID_E_STATE, devid_op_accept(op, &err));
    FAILS(DEVID_E_STATE, devid_op_reject(op, "no", &err));
    FAILS(DEVID_E_STATE, devid_op_certificate(op, &cert, &err));
    CHECK(cert == NULL && devid_op_pki_status(op) == -1 && devid_op_difference_count(op) == 0);
    FAILS(DEVID_E_STATE, devid_differences_of_op(op, &differences, &err));
    CHECK(differences == NULL && devid_differences_count(differences) == 0);
    CHECK(devid_differences_deviation(differences, 0) == DEVID_DEVIATION_NONE && devid_differences_field(differences, 0) == NULL);

    OK(devid_op_save(op, &saved, &err));
    OK(devid_op_saved_key(devid_bytes_data(saved), devid_bytes_len(saved), &spki, &err));
    OK(devid_key_public(key, &expected, &err));
    CHECK(devid_bytes_len(spki) == devid_bytes_len(expected));
    CHECK(memcmp(devid_bytes_data(spki), devid_bytes_data(expected), devid_bytes_len(spki)) == 0);
    OK(devid_client_new(config, &client, &err));
    OK(devid_op_restore(client, key, devid_bytes_data(saved), devid_bytes_len(saved), &again, &err));
    OK(devid_op_step(again, now, &action, &err));
    CHECK(action == DEVID_ACTION_SEND);
    output = devid_op_output(op, &len);
    CHECK(len > 100 && memcmp(output, devid_op_output(again, &again_len), len) == 0 && len == again_len);
    devid_op_free(again);
    FAILS(DEVID_E_KEY_MISMATCH, devid_op_restore(client, other, devid_bytes_data(saved), devid_bytes_len(saved), &again, &err));
    CHECK(again == NULL);
    copy = malloc(devid_bytes_len(saved));
    CHECK(copy != NULL);
    memcpy(copy, devid_bytes_data(saved), devid_bytes_len(saved));
    copy[devid_bytes_len(saved) / 2] ^= 1;
    FAILS(DEVID_E_CORRUPT, devid_op_restore(client, key, copy, devid_bytes_len(saved), &again, &err));
    free(copy);

    /* What proves nothing is refused, and the operation still waits for its answer. */
    OK(devid_op_feed(op, (const uint8_t *)"\x30\x03\x02\x01\x00", 5, &err));
    CHECK(devid_op_step(op, now, &action, &err) == DEVID_E_DER && action == 0);
    CHECK(strcmp(devid_error_phase(err), "ir") == 0);
    CHECK(strstr(devid_error_requirement(err), "RFC 9483") != NULL && devid_error_expected(err) != NULL);
    CHECK(devid_error_found(err) == NULL && devid_error_hint(err) == NULL && devid_error_http_path(err) == NULL);
    CHECK(strstr(devid_error_report(err), "\n  phase: ir\n  rule: ") != NULL && devid_error_hint(NULL) == NULL);
    devid_error_free(err);
    err = NULL;
    OK(devid_op_step(op, now, &action, &err));
    CHECK(action == DEVID_ACTION_SEND);
    devid_bytes_free(saved);
    devid_bytes_free(spki);
    devid_bytes_free(expected);
    devid_client_free(client);
    devid_config_free(config);
    devid_op_free(op);
    devid_key_free(key);
    devid_key_free(other);
}

static void several_certificates_are_asked_for_by_one_operation(const char *folder)
{
    devid_error *err = NULL;
    devid_config *config = settings(folder);
    devid_client *client;
    devid_key *key, *other;
    devid_subject *subject;
    devid_op *op;
    devid_cert *cert = (devid_cert *)&err;
    devid_cert_list *chain = (devid_cert_list *)&err;
    devid_bytes *saved;
    devid_action action;
    size_t len, alone;
    OK(devid_key_generate("P-256", &key, &err));
    OK(devid_key_generate("P-256", &other, &err));
    OK(devid_subject_new(&subject, &err));
    OK(devid_subject_set_name(subject, "CN=another", &err));
    op = enrolment(config, key);
    CHECK(devid_op_certificate_count(op) == 1 && devid_op_request_index(op) == 0);
    OK(devid_op_step(op, now, &action, &err));
    CHECK(devid_op_output(op, &alone) != NULL);
    FAILS(DEVID_E_STATE, devid_op_add_request(op, other, subject, &err));
    devid_op_free(op);

    op = enrolment(config, key);
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_op_add_request(op, key, subject, &err));
    OK(devid_op_add_request(op, other, subject, &err));
    CHECK(devid_op_certificate_count(op) == 2);
    OK(devid_op_step(op, now, &action, &err));
    CHECK(action == DEVID_ACTION_SEND && strcmp(devid_op_output_name(op), "ir") == 0);
    CHECK(devid_op_output(op, &len) != NULL && len > alone + 100);
    FAILS(DEVID_E_STATE, devid_op_certificate_at(op, 1, &cert, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_op_certificate_at(op, 2, &cert, &err));
    FAILS(DEVID_E_STATE, devid_op_issuers_at(op, 0, &chain, &err));
    CHECK(cert == NULL && chain == NULL);
    FAILS(DEVID_E_UNSUPPORTED, devid_op_save(op, &saved, &err));
    devid_op_free(op);

    OK(devid_client_new(config, &client, &err));
    OK(devid_op_ask_ca_certs(client, &op, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_op_add_request(op, other, subject, &err));
    CHECK(devid_op_certificate_count(op) == 0);
    devid_op_free(op);
    devid_client_free(client);
    devid_subject_free(subject);
    devid_key_free(key);
    devid_key_free(other);
    devid_config_free(config);
}

static void a_key_elsewhere_signs_as_a_step(const char *folder)
{
    devid_error *err = NULL;
    devid_config *config = settings(folder);
    devid_key *token, *key;
    devid_bytes *spki, *message, *signature;
    devid_op *op;
    devid_action action;
    OK(devid_key_generate("Ed25519", &token, &err));
    OK(devid_key_public(token, &spki, &err));
    OK(devid_key_deferred(devid_bytes_data(spki), devid_bytes_len(spki), &key, &err));
    FAILS(DEVID_E_UNSUPPORTED, devid_key_sign(key, NULL, NULL, 0, &signature, &err));
    op = enrolment(config, key);
    devid_config_free(config);
    FAILS(DEVID_E_STATE, devid_op_to_sign(op, &message, &err));
    CHECK(devid_op_sign_role(op) == 0 && devid_op_sign_algorithm(op) == NULL);
    OK(devid_op_step(op, now, &action, &err));
    CHECK(action == DEVID_ACTION_SIGN && devid_op_sign_role(op) == DEVID_SIGN_NEW_KEY);
    CHECK(strcmp(devid_op_sign_algorithm(op), "Ed25519") == 0);
    OK(devid_op_to_sign(op, &message, &err));
    OK(devid_key_sign(token, devid_op_sign_algorithm(op), devid_bytes_data(message), devid_bytes_len(message), &signature, &err));
    FAILS(DEVID_E_SIGNER, devid_op_put_signature(op, devid_bytes_data(signature), 63, now, &err));
    OK(devid_op_put_signature(op, devid_bytes_data(signature), devid_bytes_len(signature), now, &err));
    FAILS(DEVID_E_STATE, devid_op_put_signature(op, devid_bytes_data(signature), devid_bytes_len(signature), now, &err));
    OK(devid_op_step(op, now, &action, &err));
    CHECK(action == DEVID_ACTION_SEND);
    devid_op_free(op);
    devid_bytes_free(spki);
    devid_bytes_free(message);
    devid_bytes_free(signature);
    devid_key_free(key);
    devid_key_free(token);
}

static void a_run_uses_the_program_and_ends_with_its_words(const char *folder)
{
    struct program program = { 0, 0, 0, 0, NULL, "" };
    devid_error *err = NULL;
    devid_config *config = settings(folder);
    devid_key *key;
    devid_op *op;
    devid_action action;
    OK(devid_key_generate("P-256", &key, &err));
    OK(devid_config_set_log(config, log_line, &program, destroy, &err));
    OK(devid_config_set_limit(config, "max_message_bytes", 1000, &err));
    op = enrolment(config, key);
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_op_run(op, &err));
    OK(devid_op_set_exchange(op, exchange, &program, destroy, &err));
    program.op = op;
    program.answer = -10007;
    FAILS(-10007, devid_op_run(op, &err));
    program.answer = -1;
    FAILS(DEVID_E_APPLICATION, devid_op_run(op, &err));
    program.answer = 0;
    program.len = 1001;
    FAILS(DEVID_E_APPLICATION, devid_op_run(op, &err));
    FAILS(DEVID_E_APPLICATION, devid_op_exchange(op, &err));
    CHECK(program.exchanged == 4);
    /* The operation still stands where it was. */
    OK(devid_op_step(op, (int64_t)time(NULL), &action, &err));
    CHECK(action == DEVID_ACTION_SEND);
    program.len = 5;
    OK(devid_op_exchange(op, &err));
    FAILS(DEVID_E_DER, devid_op_step(op, (int64_t)time(NULL), &action, &err));
    CHECK(strstr(program.log, "sending ir, ") != NULL && strstr(program.log, "secret") == NULL);
    CHECK(program.destroyed == 0);
    OK(devid_op_set_exchange(op, NULL, NULL, NULL, &err));
    CHECK(program.destroyed == 1);
    FAILS(DEVID_E_NULL, devid_op_set_decide(NULL, NULL, &program, destroy, &err));
    CHECK(program.destroyed == 2);
    OK(devid_op_set_wait(op, NULL, &program, destroy, &err));
    CHECK(program.destroyed == 3);
    devid_config_free(config);
    CHECK(program.destroyed == 3);
    devid_op_free(op);
    CHECK(program.destroyed == 4);
    devid_key_free(key);
}

static void a_server_that_is_not_there_is_a_transport_failure(const char *folder)
{
    devid_error *err = NULL;
    devid_config *config = settings(folder);
    devid_key *key;
    devid_op *op;
    devid_status status;
    OK(devid_key_generate("P-256", &key, &err));
    /* Port 9 (discard) of this machine: refused at once. */
    OK(devid_config_set_server(config, "http://127.0.0.1:9/cmp", &err));
    op = enrolment(config, key);
    status = devid_op_run(op, &err);
    CHECK(status == (devid_supports("http") ? DEVID_E_CONNECT : DEVID_E_UNSUPPORTED));
    CHECK(!devid_supports("http") || devid_status_class(status) == DEVID_CLASS_TRANSPORT);
    devid_error_free(err);
    devid_op_free(op);
    devid_key_free(key);
    devid_config_free(config);
}

static void what_a_server_is_like_is_told_as_data(const char *folder)
{
    devid_error *err = NULL;
    devid_config *config = settings(folder);
    devid_probe_result *found;
    devid_cert_list *pins, *roots;
    devid_bytes *report;
    int32_t works = 77;
    size_t failing = 0;
    if (!devid_supports("http") || !devid_supports("probe")) {
        FAILS(DEVID_E_UNSUPPORTED, devid_probe_server(config, now, &found, &err));
        CHECK(found == NULL);
        devid_config_free(config);
        return;
    }
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_probe_server(config, now, &found, &err));
    OK(devid_config_set_server(config, "http://127.0.0.1:9/cmp", &err));
    OK(devid_probe_server(config, now, &found, &err));
    CHECK(devid_probe_result_works(found) == 0 && devid_probe_result_is_closed(found) == 0);
    CHECK(devid_probe_result_profile(found) == NULL && devid_probe_result_switch_count(found) == 0 && devid_probe_result_switch(found, 0) == NULL);
    for (size_t i = 0; i < devid_probe_result_finding_count(found); i++) {
        CHECK(devid_probe_result_finding_text(found, i)[0] != 0 && devid_probe_result_finding_remedy(found, i) != NULL);
        CHECK(strstr(devid_probe_result_report(found), devid_probe_result_finding_text(found, i)) != NULL);
        failing += (size_t)devid_probe_result_finding_fails(found, i);
    }
    CHECK(failing == 1 && devid_probe_result_finding_text(found, devid_probe_result_finding_count(found)) == NULL);
    OK(devid_probe_result_pins(found, &pins, &err));
    OK(devid_probe_result_roots(found, &roots, &err));
    CHECK(devid_cert_list_count(pins) == 0 && devid_cert_list_count(roots) == 0);
    OK(devid_probe(config, now, &report, &works, &err));
    CHECK(works == 0 && devid_bytes_len(report) == strlen(devid_probe_result_report(found)));
    devid_bytes_free(report);
    devid_cert_list_free(pins);
    devid_cert_list_free(roots);
    devid_probe_result_free(found);
    devid_config_free(config);
}

int main(int argc, char **argv)
{
    const char *folder = data_folder(argc, argv);
    settings_that_contradict_are_refused(folder);
    an_operation_is_stepped_saved_and_restored(folder);
    several_certificates_are_asked_for_by_one_operation(folder);
    a_key_elsewhere_signs_as_a_step(folder);
    a_run_uses_the_program_and_ends_with_its_words(folder);
    a_server_that_is_not_there_is_a_transport_failure(folder);
    what_a_server_is_like_is_told_as_data(folder);
    return 0;
}
