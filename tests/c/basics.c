/* Codes, errors, buffers, versions: what every program touches. */
#include "test.h"

static void codes_have_names_and_classes(void)
{
    CHECK(strcmp(devid_status_name(DEVID_OK), "DEVID_OK") == 0);
    CHECK(strcmp(devid_status_name(DEVID_E_EXPIRED), "DEVID_E_EXPIRED") == 0);
    CHECK(strcmp(devid_status_name(12345), "DEVID_E_UNKNOWN") == 0);
    CHECK(strcmp(devid_status_name(-20000), "DEVID_E_APPLICATION") == 0);
    CHECK(strlen(devid_status_text(DEVID_E_REVOKED)) > 5);
    CHECK(strlen(devid_status_text(-98)) > 5);
    CHECK(devid_status_class(DEVID_OK) == DEVID_CLASS_OK);
    CHECK(devid_status_class(DEVID_E_NULL) == DEVID_CLASS_USAGE);
    CHECK(devid_status_class(-799) == DEVID_CLASS_VALIDATION);
    CHECK(devid_status_class(-2000000000) == DEVID_CLASS_APPLICATION);
}

static void an_error_that_says_nothing_more_answers_so(void)
{
    devid_error *err = NULL;
    devid_cert *cert = (devid_cert *)&err;
    CHECK(devid_cert_parse((const uint8_t *)"\x30\x00", 2, &cert, &err) == DEVID_E_DER);
    CHECK(cert == NULL);
    CHECK(devid_error_pki_status(err) == -1 && devid_error_fail_info(err) == 0);
    CHECK(devid_error_server_text_count(err) == 0 && devid_error_server_text(err, 0) == NULL);
    CHECK(devid_error_server_authenticated(err) == 0 && devid_error_http_status(err) == 0);
    CHECK(devid_error_retry_after_seconds(err) == -1 && devid_error_certificate_index(err) == -1);
    CHECK(devid_error_phase(err) == NULL);
    CHECK(strstr(devid_error_message(err), "Certificate") != NULL);
    devid_error_free(err);

    /* The error object is never needed. */
    CHECK(devid_cert_parse(NULL, 5, &cert, NULL) == DEVID_E_NULL);
    CHECK(devid_error_code(NULL) == DEVID_OK && devid_error_message(NULL)[0] == 0);
    devid_error_free(NULL);
}

static int32_t give_much(void *user, const char *algorithm, const uint8_t *message, size_t message_len, devid_bytes *signature)
{
    devid_error *err = NULL;
    uint8_t block[1000];
    int i;
    (void)user, (void)algorithm, (void)message, (void)message_len;
    memset(block, 7, sizeof block);
    for (i = 0; i < 20; i++) {
        OK(devid_bytes_append(signature, block, sizeof block, &err));
        CHECK(devid_bytes_len(signature) == (size_t)(i + 1) * sizeof block);
        CHECK(devid_bytes_data(signature)[devid_bytes_len(signature)] == 0);
    }
    OK(devid_bytes_append(signature, NULL, 0, &err));
    FAILS(DEVID_E_NULL, devid_bytes_append(signature, NULL, 1, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_bytes_append(signature, block, SIZE_MAX, &err));
    *(int *)user += 1;
    return 0;
}

static void a_buffer_grows_in_a_callback(void)
{
    devid_error *err = NULL;
    devid_key *key, *external;
    devid_bytes *spki, *signature;
    int called = 0;
    OK(devid_key_generate("P-256", &key, &err));
    OK(devid_key_public(key, &spki, &err));
    OK(devid_key_from_callback(devid_bytes_data(spki), devid_bytes_len(spki), give_much, &called, NULL, &external, &err));
    FAILS(DEVID_E_SIGNER, devid_key_sign(external, NULL, (const uint8_t *)"m", 1, &signature, &err));
    CHECK(signature == NULL && called == 1);
    devid_key_free(external);
    devid_bytes_free(spki);
    devid_key_free(key);
    CHECK(devid_bytes_data(NULL) == NULL && devid_bytes_len(NULL) == 0);
    devid_bytes_free(NULL);
}

static void versions_agree(void)
{
    CHECK(devid_abi_version() == DEVID_ABI_VERSION);
    CHECK(devid_version_number() == DEVID_VERSION_NUMBER);
    CHECK(strcmp(devid_version_string(), DEVID_VERSION_STRING) == 0);
    CHECK(devid_supports("crypto-awslc") == 1 || devid_supports("crypto-rust") == 1);
    CHECK(devid_supports("teleport") == 0 && devid_supports("") == 0 && devid_supports(NULL) == 0);
}

int main(int argc, char **argv)
{
    (void)data_folder(argc, argv);
    codes_have_names_and_classes();
    an_error_that_says_nothing_more_answers_so();
    a_buffer_grows_in_a_callback();
    versions_agree();
    return 0;
}
