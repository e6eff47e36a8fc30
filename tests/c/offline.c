/* Enrolment without a network: a request goes out, a certificate comes back and finds its key. */
#include "test.h"

static const int64_t now = 1800000000;
static devid_error *err;

struct fixture {
    char path[64];
    devid_store *store;
    devid_key *key, *stranger;
    devid_subject *subject;
    devid_trust *anchors, *nobody;
    uint8_t *cert;
    size_t cert_len;
};

static struct fixture set_up(const char *folder)
{
    struct fixture f;
    temporary_folder(f.path, "offline");
    OK(devid_store_open_dir(f.path, NULL, 0, &f.store, &err));
    f.key = key_in(folder, "device.key");
    OK(devid_key_generate("P-256", &f.stranger, &err));
    f.anchors = trust_in(folder, "ca.pem");
    OK(devid_trust_new(&f.nobody, &err));
    OK(devid_subject_new(&f.subject, &err));
    OK(devid_subject_add_dns(f.subject, "meter-1.example", &err));
    f.cert = read_file(folder, "device.pem", &f.cert_len);
    return f;
}

static void tear_down(struct fixture *f)
{
    devid_store_free(f->store);
    devid_key_free(f->key);
    devid_key_free(f->stranger);
    devid_subject_free(f->subject);
    devid_trust_free(f->anchors);
    devid_trust_free(f->nobody);
    free(f->cert);
    remove_folder(f->path);
}

static devid_status import(struct fixture *f, const devid_trust *anchors, int accept, int64_t at, devid_identity **identity)
{
    return devid_store_import(f->store, NULL, f->cert, f->cert_len, anchors, NULL, "ldevid", accept, at, NULL, identity, &err);
}

static void a_certificate_finds_its_key_after_a_restart(const char *folder)
{
    struct fixture f = set_up(folder);
    devid_request *request;
    devid_bytes *pem, *name;
    devid_identity *identity;
    devid_key *pending;
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_subject_add_hardware_module(f.subject, "a maker", f.cert, 4, &err));
    OK(devid_subject_add_hardware_module(f.subject, "1.3.6.1.4.1.32473.7", (const uint8_t *)"SN-1", 4, &err));
    OK(devid_request_new(f.key, f.subject, "let me in", NULL, &request, &err));
    CHECK(strcmp(devid_request_sign_algorithm(request), "ECDSA-SHA256") == 0);
    FAILS(DEVID_E_KEY_MISMATCH, devid_store_put_request(f.store, "router", f.stranger, NULL, request, &err));
    FAILS(DEVID_E_NOT_FOUND, devid_store_pending_key(f.store, "router", &pending, &err));
    OK(devid_store_put_request(f.store, "router", f.key, NULL, request, &err));
    OK(devid_request_data(request, DEVID_FORM_PEM, &pem, &err));
    CHECK(strncmp((const char *)devid_bytes_data(pem), "-----BEGIN CERTIFICATE REQUEST-----\n", 36) == 0);
    FAILS(DEVID_E_STATE, devid_request_to_sign(request, &name, &err));
    FAILS(DEVID_E_STATE, devid_request_put_signature(request, f.cert, 4, &err));
    devid_bytes_free(pem);
    devid_request_free(request);
    devid_store_free(f.store);

    OK(devid_store_open_dir(f.path, NULL, 0, &f.store, &err));
    FAILS(DEVID_E_NO_PATH, import(&f, f.nobody, 1, now, &identity));
    CHECK(identity == NULL);
    FAILS(DEVID_E_EXPIRED, import(&f, f.anchors, 1, 9000000000, &identity));
    /* The names are not those that were asked for. */
    FAILS(DEVID_E_WRONG_CERTIFICATE, import(&f, f.anchors, 0, now, &identity));
    FAILS(DEVID_E_NOT_FOUND, devid_store_current(f.store, "router", &identity, &err));
    OK(devid_store_import(f.store, "router", f.cert, f.cert_len, f.anchors, NULL, "ldevid", 1, now, &name, &identity, &err));
    CHECK(strcmp((const char *)devid_bytes_data(name), "router") == 0);
    CHECK(devid_identity_generation(identity) == 1 && devid_identity_created(identity) == now);
    devid_bytes_free(name);
    devid_identity_free(identity);
    FAILS(DEVID_E_NOT_FOUND, devid_store_pending_key(f.store, "router", &pending, &err));
    FAILS(DEVID_E_EXISTS, import(&f, f.anchors, 1, now, &identity));
    tear_down(&f);
}

static void a_certificate_without_a_key_is_not_installed(const char *folder)
{
    struct fixture f = set_up(folder);
    devid_request *request;
    devid_identity *identity;
    OK(devid_request_new(f.stranger, f.subject, NULL, NULL, &request, &err));
    OK(devid_store_put_request(f.store, "other", f.stranger, NULL, request, &err));
    FAILS(DEVID_E_NOT_FOUND, import(&f, f.anchors, 1, now, &identity));
    FAILS(DEVID_E_DER, devid_store_import(f.store, NULL, f.cert, 5, f.anchors, NULL, "ldevid", 1, now, NULL, NULL, &err));
    devid_request_free(request);
    tear_down(&f);
}

static void a_key_elsewhere_signs_later(const char *folder)
{
    struct fixture f = set_up(folder);
    devid_bytes *spki, *message, *signature, *der;
    devid_key *deferred;
    devid_request *request;
    devid_identity *identity;
    OK(devid_key_public(f.key, &spki, &err));
    OK(devid_key_deferred(devid_bytes_data(spki), devid_bytes_len(spki), &deferred, &err));
    OK(devid_request_new(deferred, f.subject, NULL, NULL, &request, &err));
    FAILS(DEVID_E_STATE, devid_request_data(request, DEVID_FORM_DER, &der, &err));
    FAILS(DEVID_E_STATE, devid_store_put_request(f.store, "chip", deferred, "slot 1", request, &err));
    OK(devid_request_to_sign(request, &message, &err));
    OK(devid_key_sign(f.stranger, NULL, devid_bytes_data(message), devid_bytes_len(message), &signature, &err));
    FAILS(DEVID_E_SIGNER, devid_request_put_signature(request, devid_bytes_data(signature), devid_bytes_len(signature), &err));
    devid_bytes_free(signature);
    OK(devid_key_sign(f.key, NULL, devid_bytes_data(message), devid_bytes_len(message), &signature, &err));
    OK(devid_request_put_signature(request, devid_bytes_data(signature), devid_bytes_len(signature), &err));
    OK(devid_request_data(request, DEVID_FORM_DER, &der, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_store_put_request(f.store, "chip", deferred, NULL, request, &err));
    OK(devid_store_put_request(f.store, "chip", deferred, "slot 1", request, &err));
    OK(import(&f, f.anchors, 1, now, &identity));
    CHECK(strcmp(devid_identity_key_reference(identity), "slot 1") == 0);
    devid_identity_free(identity);
    devid_bytes_free(spki);
    devid_bytes_free(message);
    devid_bytes_free(signature);
    devid_bytes_free(der);
    devid_key_free(deferred);
    devid_request_free(request);
    tear_down(&f);
}

static void a_request_is_signed_as_the_program_says(const char *folder)
{
    struct fixture f = set_up(folder);
    devid_key *rsa;
    devid_request *request;
    FAILS(DEVID_E_ALGORITHM, devid_request_new(f.key, f.subject, NULL, "RSA-PSS-SHA256", &request, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_request_new(f.key, f.subject, NULL, "ROT13", &request, &err));
    CHECK(request == NULL);
    OK(devid_key_generate("RSA-2048", &rsa, &err));
    OK(devid_request_new(rsa, f.subject, NULL, "RSA-PSS-SHA256", &request, &err));
    CHECK(strcmp(devid_request_sign_algorithm(request), "RSA-PSS-SHA256") == 0);
    devid_request_free(request);
    devid_key_free(rsa);
    tear_down(&f);
}

static void what_a_validator_refuses_is_not_imported(const char *folder)
{
    struct fixture f = set_up(folder);
    devid_request *request;
    devid_validator *validator;
    devid_identity *identity;
    devid_bytes *name;
    size_t crl_len;
    uint8_t *crl = read_file(folder, "good.crl.pem", &crl_len);
    OK(devid_request_new(f.key, f.subject, NULL, NULL, &request, &err));
    OK(devid_store_put_request(f.store, "router", f.key, NULL, request, &err));
    OK(devid_validator_new(f.anchors, &validator, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_store_import_checked(f.store, NULL, f.cert, f.cert_len, validator, "tls", 1, now, NULL, &identity, &err));
    OK(devid_validator_set_any_name(validator, &err));
    OK(devid_validator_set_any_purpose(validator, &err));
    OK(devid_validator_set_revocation(validator, DEVID_REVOCATION_HARD, DEVID_SCOPE_LEAF, DEVID_PREFER_CRL, &err));
    FAILS(DEVID_E_REVOCATION_UNKNOWN, devid_store_import_checked(f.store, NULL, f.cert, f.cert_len, validator, "tls", 1, now, NULL, &identity, &err));
    CHECK(identity == NULL);
    OK(devid_validator_add_crls(validator, crl, crl_len, &err));
    OK(devid_store_import_checked(f.store, NULL, f.cert, f.cert_len, validator, "tls", 1, now, &name, &identity, &err));
    CHECK(strcmp((const char *)devid_bytes_data(name), "router") == 0 && strcmp(devid_identity_purpose(identity), "tls") == 0);
    devid_bytes_free(name);
    devid_identity_free(identity);
    devid_validator_free(validator);
    devid_request_free(request);
    free(crl);
    tear_down(&f);
}

static void messages_wait_on_a_stick(const char *folder)
{
    struct fixture f = set_up(folder);
    char path[128];
    size_t len;
    uint8_t *written, *ca = read_file(folder, "ca.pem", &len);
    const uint8_t *output;
    devid_config *config;
    devid_client *client;
    devid_op *op;
    FILE *file;
    OK(devid_config_new(&config, &err));
    OK(devid_config_add_enrolment_anchors(config, ca, len, &err));
    OK(devid_config_set_secret(config, (const uint8_t *)"4711", 4, (const uint8_t *)"secret", 6, &err));
    OK(devid_client_new(config, &client, &err));
    OK(devid_op_enroll(client, f.key, f.subject, &op, &err));
    FAILS(DEVID_E_NULL, devid_op_set_files(op, f.path, NULL, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_op_set_files(op, f.path, "../x", &err));
    OK(devid_op_set_files(op, f.path, "router", &err));
    FAILS(DEVID_E_BUSY, devid_op_run(op, &err));
    FAILS(DEVID_E_BUSY, devid_op_run(op, &err));
    output = devid_op_output(op, &len);
    written = read_file(f.path, "router-1-request.pki", &len);
    CHECK(memcmp(written, output, len) == 0);
    snprintf(path, sizeof path, "%s/router-2-request.pki", f.path);
    CHECK(fopen(path, "rb") == NULL);
    snprintf(path, sizeof path, "%s/router-1-answer.pki", f.path);
    file = fopen(path, "wb");
    CHECK(file != NULL && fwrite("half", 1, 4, file) == 4 && fclose(file) == 0);
    FAILS(DEVID_E_CONTENT_TYPE, devid_op_run(op, &err));
    OK(devid_op_set_files(op, NULL, NULL, &err));
    CHECK(devid_op_exchange(op, NULL) != DEVID_OK);
    free(written);
    free(ca);
    devid_op_free(op);
    devid_client_free(client);
    devid_config_free(config);
    tear_down(&f);
}

int main(int argc, char **argv)
{
    const char *folder = data_folder(argc, argv);
    a_certificate_finds_its_key_after_a_restart(folder);
    a_certificate_without_a_key_is_not_installed(folder);
    a_key_elsewhere_signs_later(folder);
    a_request_is_signed_as_the_program_says(folder);
    what_a_validator_refuses_is_not_imported(folder);
    messages_wait_on_a_stick(folder);
    return 0;
}
