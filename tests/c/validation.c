/* Validation, and the gate to a peer's key: what opens it, what keeps it shut, and when it closes again. */
#include "test.h"

static const int64_t now = 1800000000;
static const int64_t before_all = 1600000000;

static devid_validator *validator_for(const char *folder)
{
    devid_error *err = NULL;
    devid_trust *trust;
    devid_validator *validator;
    devid_cert *ca = cert_in(folder, "ca.pem");
    OK(devid_trust_new(&trust, &err));
    CHECK(devid_trust_count(trust) == 0);
    OK(devid_trust_add(trust, ca, &err));
    CHECK(devid_trust_count(trust) == 1);
    OK(devid_validator_new(trust, &validator, &err));
    devid_trust_free(trust);
    devid_cert_free(ca);
    return validator;
}

static void add_crl(devid_validator *validator, const char *folder, const char *name)
{
    devid_error *err = NULL;
    size_t len;
    uint8_t *data = read_file(folder, name, &len);
    OK(devid_validator_add_crls(validator, data, len, &err));
    free(data);
}

static void purposes_and_names_cannot_be_forgotten(const char *folder)
{
    devid_error *err = NULL;
    devid_validator *validator = validator_for(folder);
    devid_cert *device = cert_in(folder, "device.pem");
    devid_report *report = (devid_report *)&err;
    devid_peer *peer = (devid_peer *)&err;
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_validate(validator, device, now, &report, &peer, &err));
    CHECK(report == NULL && peer == NULL);
    OK(devid_validator_set_any_purpose(validator, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_validate(validator, device, now, NULL, NULL, &err));
    OK(devid_validator_set_any_name(validator, &err));
    OK(devid_validate(validator, device, now, NULL, NULL, &err));
    devid_validator_free(validator);
    devid_cert_free(device);
}

static void a_valid_peer_gives_its_key_and_nobody_else_does(const char *folder)
{
    devid_error *err = NULL;
    devid_validator *validator = validator_for(folder);
    devid_cert *device = cert_in(folder, "device.pem"), *leaf;
    devid_report *report;
    devid_peer *peer;
    devid_cert_list *path;
    devid_bytes *spki, *expected, *cms, *opened, *signature, *point, *secret;
    devid_key *key;
    size_t len;
    uint8_t *pkcs8 = read_file(folder, "device.key", &len);
    OK(devid_key_load(pkcs8, len, NULL, 0, &key, &err));
    OK(devid_validator_add_purpose(validator, "clientAuth", &err));
    OK(devid_validator_add_name(validator, DEVID_NAME_DNS, "router-7.example", &err));
    OK(devid_validator_add_name(validator, DEVID_NAME_IP, "192.0.2.7", &err));
    OK(devid_validator_add_key_usage(validator, "digitalSignature", &err));
    OK(devid_validate(validator, device, now, &report, &peer, &err));
    CHECK(devid_report_is_valid(report) == 1 && devid_report_status_until(report) == 0);
    CHECK(devid_report_not_after(report) == devid_peer_expires(peer));
    OK(devid_report_path(report, &path, &err));
    CHECK(devid_cert_list_count(path) == 2);
    devid_cert_list_free(path);
    devid_report_free(report);

    OK(devid_peer_public_key(peer, now, &spki, &err));
    OK(devid_key_public(key, &expected, &err));
    CHECK(devid_bytes_len(spki) == devid_bytes_len(expected));
    CHECK(memcmp(devid_bytes_data(spki), devid_bytes_data(expected), devid_bytes_len(spki)) == 0);
    OK(devid_peer_certificate(peer, &leaf, &err));
    OK(devid_peer_encrypt(peer, now, DEVID_ENCRYPTION_GCM, (const uint8_t *)"for you", 7, &cms, &err));
    OK(devid_key_decrypt(key, leaf, devid_bytes_data(cms), devid_bytes_len(cms), &opened, &err));
    CHECK(strcmp((const char *)devid_bytes_data(opened), "for you") == 0);
    devid_bytes_free(opened);
    devid_bytes_free(cms);
    OK(devid_peer_encrypt(peer, now, DEVID_ENCRYPTION_CBC, NULL, 0, &cms, &err));
    OK(devid_key_decrypt(key, NULL, devid_bytes_data(cms), devid_bytes_len(cms), &opened, &err));
    CHECK(devid_bytes_len(opened) == 0);
    devid_bytes_free(cms);
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_peer_encrypt(peer, now, 3, NULL, 0, &cms, &err));
    OK(devid_key_sign(key, "ECDSA-SHA256", (const uint8_t *)"m", 1, &signature, &err));
    OK(devid_peer_verify(peer, now, "ECDSA-SHA256", (const uint8_t *)"m", 1, devid_bytes_data(signature), devid_bytes_len(signature), &err));
    FAILS(DEVID_E_SIGNATURE_INVALID, devid_peer_verify(peer, now, "ECDSA-SHA256", (const uint8_t *)"n", 1, devid_bytes_data(signature), devid_bytes_len(signature), &err));
    OK(devid_peer_agree(peer, now, &point, &secret, &err));
    CHECK(devid_bytes_len(point) == 65 && devid_bytes_len(secret) == 32);
    devid_bytes_free(point);
    devid_bytes_free(secret);

    /* The verdict ends, and time does not run backwards. */
    FAILS(DEVID_E_STALE, devid_peer_public_key(peer, devid_peer_expires(peer) + 1, &point, &err));
    CHECK(point == NULL);
    FAILS(DEVID_E_STALE, devid_peer_public_key(peer, now, &point, &err));
    devid_peer_free(peer);

    OK(devid_validator_set_use_until(validator, now + 60, &err));
    OK(devid_validate(validator, device, now, NULL, &peer, &err));
    CHECK(devid_peer_expires(peer) == now + 60);
    devid_peer_free(peer);
    devid_bytes_free(signature);
    devid_bytes_free(opened);
    devid_bytes_free(spki);
    devid_bytes_free(expected);
    devid_cert_free(leaf);
    devid_cert_free(device);
    devid_key_free(key);
    devid_validator_free(validator);
    free(pkcs8);
}

static void each_refusal_has_its_reason_and_no_key_comes_out(const char *folder)
{
    static const struct { int32_t kind; const char *name; } names[] = {
        { DEVID_NAME_DNS, "router-8.example" },
        { DEVID_NAME_IP, "192.0.2.8" },
        { DEVID_NAME_EMAIL, "a@router-7.example" },
        { DEVID_NAME_URI, "http://router-7.example" },
    };
    devid_error *err = NULL;
    devid_validator *validator;
    devid_cert *device = cert_in(folder, "device.pem"), *ca = cert_in(folder, "ca.pem");
    devid_report *report;
    devid_peer *peer = (devid_peer *)&err;
    size_t i;
    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        validator = validator_for(folder);
        OK(devid_validator_set_any_purpose(validator, &err));
        OK(devid_validator_add_name(validator, names[i].kind, names[i].name, &err));
        FAILS(DEVID_E_NAME, devid_validate(validator, device, now, &report, &peer, &err));
        CHECK(peer == NULL && devid_report_is_valid(report) == 0 && devid_report_finding_count(report) >= 1);
        CHECK(devid_report_finding_code(report, 0) == DEVID_E_NAME && devid_report_finding_is_fatal(report, 0) == 1);
        CHECK(devid_report_finding_certificate(report, 0) == 0 && strlen(devid_report_finding_text(report, 0)) > 5);
        CHECK(strcmp(devid_report_finding_requirement(report, 0), "RFC 9525 section 6 (V4)") == 0);
        CHECK(strlen(devid_report_finding_expected(report, 0)) > 5 && devid_report_finding_expected(report, 99) == NULL);
        CHECK(devid_report_finding_code(report, 99) == 0 && devid_report_finding_text(report, 99) == NULL);
        devid_report_free(report);
        devid_validator_free(validator);
    }
    validator = validator_for(folder);
    OK(devid_validator_set_any_name(validator, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_validator_add_name(validator, 9, "a", &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_validator_add_name(validator, DEVID_NAME_IP, "a", &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_validator_add_purpose(validator, "world domination", &err));
    OK(devid_validator_add_purpose(validator, "codeSigning", &err));
    FAILS(DEVID_E_KEY_USAGE, devid_validate(validator, device, now, NULL, &peer, &err));
    CHECK(peer == NULL);
    OK(devid_validator_set_any_purpose(validator, &err));
    OK(devid_validate(validator, device, now, NULL, NULL, &err));
    CHECK(devid_validate(validator, device, before_all, &report, &peer, &err) == DEVID_E_NOT_YET_VALID);
    CHECK(peer == NULL && devid_error_certificate_index(err) >= 0);
    CHECK(devid_status_class(devid_error_code(err)) == DEVID_CLASS_VALIDATION);
    devid_error_free(err);
    err = NULL;
    devid_report_free(report);
    FAILS(DEVID_E_EXPIRED, devid_validate(validator, device, INT64_C(5000000000), NULL, &peer, &err));
    CHECK(peer == NULL);
    OK(devid_validate_without_time(validator, device, &report, NULL, &err));
    CHECK(devid_report_is_valid(report) == 1 && devid_report_finding_count(report) >= 1);
    devid_report_free(report);
    OK(devid_validator_add_policy(validator, "1.2.3.4", &err));
    OK(devid_validator_set_policy_rules(validator, 1, 0, 0, &err));
    FAILS(DEVID_E_POLICY, devid_validate(validator, device, now, NULL, &peer, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_validator_add_policy(validator, "one.two", &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_validator_set_policy_rules(validator, 2, 0, 0, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_validator_set_profile(validator, 7, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_validator_set_max_intermediates(validator, -2, &err));
    devid_validator_free(validator);
    devid_cert_free(device);
    devid_cert_free(ca);
}

static void a_revoked_peer_is_refused_and_an_open_one_closes(const char *folder)
{
    devid_error *err = NULL;
    devid_validator *validator = validator_for(folder);
    devid_cert *device = cert_in(folder, "device.pem"), *other = cert_in(folder, "other.pem");
    devid_report *report;
    devid_peer *peer;
    devid_bytes *spki;
    OK(devid_validator_set_any_name(validator, &err));
    OK(devid_validator_set_any_purpose(validator, &err));
    OK(devid_validator_set_revocation(validator, DEVID_REVOCATION_HARD, DEVID_SCOPE_CHAIN, DEVID_PREFER_OCSP, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_validator_set_revocation(validator, 0, 1, 1, &err));
    FAILS(DEVID_E_REVOCATION_UNKNOWN, devid_validate(validator, device, now, NULL, &peer, &err));
    CHECK(peer == NULL);
    OK(devid_validator_set_revocation(validator, DEVID_REVOCATION_SOFT, DEVID_SCOPE_LEAF, DEVID_PREFER_CRL, &err));
    OK(devid_validate(validator, device, now, &report, NULL, &err));
    CHECK(devid_report_finding_code(report, 0) == DEVID_E_REVOCATION_UNKNOWN && devid_report_finding_is_fatal(report, 0) == 0);
    devid_report_free(report);

    OK(devid_validator_set_revocation(validator, DEVID_REVOCATION_HARD, DEVID_SCOPE_CHAIN, DEVID_PREFER_OCSP, &err));
    add_crl(validator, folder, "good.crl.pem");
    OK(devid_validate(validator, device, now, &report, &peer, &err));
    CHECK(devid_report_status_until(report) > now);
    devid_report_free(report);
    OK(devid_peer_public_key(peer, now, &spki, &err));
    devid_bytes_free(spki);

    OK(devid_validator_clear_status(validator, &err));
    add_crl(validator, folder, "revoked.crl.pem");
    FAILS(DEVID_E_REVOKED, devid_peer_recheck(peer, validator, now, &report, &err));
    CHECK(report == NULL);
    FAILS(DEVID_E_REVOKED, devid_peer_public_key(peer, now, &spki, &err));
    CHECK(spki == NULL);
    FAILS(DEVID_E_REVOKED, devid_peer_encrypt(peer, now, DEVID_ENCRYPTION_GCM, NULL, 0, &spki, &err));
    devid_peer_free(peer);

    CHECK(devid_validate(validator, device, now, &report, &peer, &err) == DEVID_E_REVOKED && peer == NULL);
    CHECK(strstr(devid_error_message(err), "keyCompromise") != NULL);
    devid_error_free(err);
    err = NULL;
    devid_report_free(report);
    OK(devid_validate(validator, other, now, NULL, &peer, &err));
    OK(devid_peer_recheck(peer, validator, now + 1, &report, &err));
    CHECK(devid_report_is_valid(report) == 1);
    devid_report_free(report);
    devid_peer_free(peer);
    /* Status data may be too old for the caller's taste. */
    OK(devid_validator_set_status_age(validator, 60, 0, 0, &err));
    FAILS(DEVID_E_REVOCATION_UNKNOWN, devid_validate(validator, other, now, NULL, NULL, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_validator_set_status_age(validator, -2, 0, 0, &err));
    devid_validator_free(validator);
    devid_cert_free(device);
    devid_cert_free(other);
}

static void requests_for_status_are_made_and_answers_matched(const char *folder)
{
    devid_error *err = NULL;
    devid_validator *validator = validator_for(folder);
    devid_cert *device = cert_in(folder, "device.pem"), *ca = cert_in(folder, "ca.pem");
    devid_ocsp_request *request;
    devid_bytes *document;
    size_t with, without;
    OK(devid_ocsp_request_new(device, ca, "SHA256", 1, &request, &err));
    CHECK(devid_ocsp_request_der(request, &with)[0] == 0x30);
    FAILS(DEVID_E_DER, devid_validator_add_ocsp(validator, (const uint8_t *)"\x30\x00", 2, request, &err));
    FAILS(DEVID_E_DER, devid_validator_add_ocsp(validator, (const uint8_t *)"\x30\x00", 2, NULL, &err));
    devid_ocsp_request_free(request);
    OK(devid_ocsp_request_new(device, ca, "SHA256", 0, &request, &err));
    CHECK(devid_ocsp_request_der(request, &without) != NULL && without < with);
    devid_ocsp_request_free(request);
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_ocsp_request_new(device, ca, "MD5", 0, &request, &err));
    if (devid_supports("http")) {
        FAILS(DEVID_E_CONNECT, devid_fetch("http://127.0.0.1:9/ca.crl", NULL, 0, 0, &document, &err));
        CHECK(document == NULL);
    }
    devid_validator_free(validator);
    devid_cert_free(device);
    devid_cert_free(ca);
}

int main(int argc, char **argv)
{
    const char *folder = data_folder(argc, argv);
    purposes_and_names_cannot_be_forgotten(folder);
    a_valid_peer_gives_its_key_and_nobody_else_does(folder);
    each_refusal_has_its_reason_and_no_key_comes_out(folder);
    a_revoked_peer_is_refused_and_an_open_one_closes(folder);
    requests_for_status_are_made_and_answers_matched(folder);
    return 0;
}
