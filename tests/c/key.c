/* Keys: made, written, read, external. */
#include "test.h"

static void each_kind_is_made_and_signs(void)
{
    static const char *const kinds[] = { "P-256", "P-384", "P-521", "Ed25519" };
    devid_error *err = NULL;
    devid_key *key;
    devid_bytes *bytes;
    size_t i;
    for (i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        OK(devid_key_generate(kinds[i], &key, &err));
        CHECK(strcmp(devid_key_kind(key), kinds[i]) == 0);
        OK(devid_key_sign(key, NULL, (const uint8_t *)"hello", 5, &bytes, &err));
        CHECK(devid_bytes_len(bytes) >= 64);
        devid_bytes_free(bytes);
        FAILS(DEVID_E_ALGORITHM, devid_key_sign(key, "RSA-PKCS1-SHA256", NULL, 0, &bytes, &err));
        CHECK(bytes == NULL);
        FAILS(DEVID_E_INVALID_ARGUMENT, devid_key_sign(key, "ROT13", NULL, 0, &bytes, &err));
        devid_key_free(key);
    }
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_key_generate("P-257", &key, &err));
    CHECK(key == NULL);
    FAILS(DEVID_E_NOT_UTF8, devid_key_generate("P\xff", &key, &err));
    FAILS(DEVID_E_NULL, devid_key_generate("P-256", NULL, &err));
}

static void a_key_is_written_and_read_again(void)
{
    static const int32_t forms[] = { DEVID_FORM_DER, DEVID_FORM_PEM };
    const uint8_t *password = (const uint8_t *)"correct horse";
    devid_error *err = NULL;
    devid_key *key, *again;
    devid_bytes *spki, *spki_again, *out;
    size_t i;
    OK(devid_key_generate("P-256", &key, &err));
    OK(devid_key_public(key, &spki, &err));
    for (i = 0; i < 2; i++) {
        OK(devid_key_export_plain(key, forms[i], &out, &err));
        OK(devid_key_load(devid_bytes_data(out), devid_bytes_len(out), NULL, 0, &again, &err));
        OK(devid_key_public(again, &spki_again, &err));
        CHECK(devid_bytes_len(spki) == devid_bytes_len(spki_again));
        CHECK(memcmp(devid_bytes_data(spki), devid_bytes_data(spki_again), devid_bytes_len(spki)) == 0);
        devid_bytes_free(spki_again);
        devid_bytes_free(out);
        devid_key_free(again);

        OK(devid_key_export_encrypted(key, password, 13, 1000, forms[i], &out, &err));
        OK(devid_key_load(devid_bytes_data(out), devid_bytes_len(out), password, 13, &again, &err));
        devid_key_free(again);
        FAILS(DEVID_E_WRONG_SECRET, devid_key_load(devid_bytes_data(out), devid_bytes_len(out), password, 12, &again, &err));
        CHECK(again == NULL);
        FAILS(DEVID_E_WRONG_SECRET, devid_key_load(devid_bytes_data(out), devid_bytes_len(out), NULL, 0, &again, &err));
        devid_bytes_free(out);

        OK(devid_key_export_scrypt(key, password, 13, 1024, forms[i], &out, &err));
        OK(devid_key_load(devid_bytes_data(out), devid_bytes_len(out), password, 13, &again, &err));
        devid_key_free(again);
        FAILS(DEVID_E_WRONG_SECRET, devid_key_load(devid_bytes_data(out), devid_bytes_len(out), password, 12, &again, &err));
        devid_bytes_free(out);
    }
    FAILS(DEVID_E_ALGORITHM, devid_key_export_scrypt(key, password, 13, 1000, DEVID_FORM_DER, &out, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_key_export_scrypt(key, password, 0, 0, DEVID_FORM_DER, &out, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_key_export_plain(key, 3, &out, &err));
    CHECK(out == NULL);
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_key_export_encrypted(key, password, 0, 0, DEVID_FORM_DER, &out, &err));
    FAILS(DEVID_E_BAD_KEY, devid_key_load((const uint8_t *)"\x30\x80", 2, NULL, 0, &again, &err));
    devid_bytes_free(spki);
    devid_key_free(key);
}

struct token {
    const devid_key *key;
    int signed_count;
    int destroyed;
    int32_t answer;
};

static int32_t token_sign(void *user, const char *algorithm, const uint8_t *message, size_t message_len, devid_bytes *signature)
{
    struct token *token = user;
    devid_error *err = NULL;
    devid_bytes *made;
    token->signed_count++;
    if (token->answer != 0) return token->answer;
    OK(devid_key_sign(token->key, algorithm, message, message_len, &made, &err));
    OK(devid_bytes_append(signature, devid_bytes_data(made), devid_bytes_len(made), &err));
    devid_bytes_free(made);
    return 0;
}

static void token_destroy(void *user)
{
    ((struct token *)user)->destroyed++;
}

static void a_token_signs_and_its_failures_come_through(void)
{
    struct token token = { NULL, 0, 0, 0 };
    devid_error *err = NULL;
    devid_key *inside, *stranger, *key;
    devid_bytes *spki, *signature;
    OK(devid_key_generate("P-256", &inside, &err));
    OK(devid_key_generate("P-256", &stranger, &err));
    OK(devid_key_public(inside, &spki, &err));
    token.key = inside;
    OK(devid_key_from_callback(devid_bytes_data(spki), devid_bytes_len(spki), token_sign, &token, token_destroy, &key, &err));
    CHECK(strcmp(devid_key_kind(key), "P-256") == 0);
    OK(devid_key_sign(key, "ECDSA-SHA384", (const uint8_t *)"m", 1, &signature, &err));
    devid_bytes_free(signature);

    token.answer = -3;
    FAILS(DEVID_E_SIGNER, devid_key_sign(key, NULL, (const uint8_t *)"m", 1, &signature, &err));
    token.answer = -10042;
    FAILS(-10042, devid_key_sign(key, NULL, (const uint8_t *)"m", 1, &signature, &err));
    token.answer = 1;
    FAILS(DEVID_E_SIGNER, devid_key_sign(key, NULL, (const uint8_t *)"m", 1, &signature, &err));
    token.answer = 0;
    token.key = stranger;
    FAILS(DEVID_E_SIGNER, devid_key_sign(key, NULL, (const uint8_t *)"m", 1, &signature, &err));
    CHECK(token.signed_count == 5);
    FAILS(DEVID_E_UNSUPPORTED, devid_key_export_plain(key, DEVID_FORM_DER, &signature, &err));
    CHECK(token.destroyed == 0);
    devid_key_free(key);
    CHECK(token.destroyed == 1);

    /* destroy runs also when the registering call fails, whatever the reason. */
    FAILS(DEVID_E_BAD_KEY, devid_key_from_callback((const uint8_t *)"x", 1, token_sign, &token, token_destroy, &key, &err));
    CHECK(token.destroyed == 2 && key == NULL);
    FAILS(DEVID_E_NULL, devid_key_from_callback(devid_bytes_data(spki), devid_bytes_len(spki), NULL, &token, token_destroy, &key, &err));
    CHECK(token.destroyed == 3);
    FAILS(DEVID_E_NULL, devid_key_from_callback(devid_bytes_data(spki), devid_bytes_len(spki), token_sign, &token, token_destroy, NULL, &err));
    CHECK(token.destroyed == 4);
    devid_bytes_free(spki);
    devid_key_free(inside);
    devid_key_free(stranger);
}

/* The two numbers of Ecdsa-Sig-Value in a row of 64 bytes, as a chip has them. */
static void in_a_row(const uint8_t *der, uint8_t row[64])
{
    const uint8_t *at = der + 2;
    int n;
    memset(row, 0, 64);
    for (n = 0; n < 2; n++) {
        size_t len = at[1], skip = len > 32 ? len - 32 : 0;
        CHECK(at[0] == 2 && skip <= 1);
        memcpy(row + 32 * n + 32 - (len - skip), at + 2 + skip, len - skip);
        at += 2 + len;
    }
}

static void what_a_secure_element_gives_becomes_what_certificates_have(void)
{
    devid_error *err = NULL;
    devid_key *key;
    devid_bytes *spki, *signature, *made;
    const uint8_t *point;
    uint8_t row[64], beside[65], wrapped[67] = { 4, 65 };
    OK(devid_key_generate("P-256", &key, &err));
    OK(devid_key_public(key, &spki, &err));
    point = devid_bytes_data(spki) + devid_bytes_len(spki) - 65;
    memcpy(wrapped + 2, point, 65);
    memcpy(beside, point, 65);
    beside[64] ^= 1;
    OK(devid_key_ec_public("P-256", point, 65, &made, &err));
    CHECK(devid_bytes_len(made) == devid_bytes_len(spki) && memcmp(devid_bytes_data(made), devid_bytes_data(spki), devid_bytes_len(spki)) == 0);
    devid_bytes_free(made);
    OK(devid_key_ec_public("P-256", point + 1, 64, &made, &err));
    CHECK(memcmp(devid_bytes_data(made), devid_bytes_data(spki), devid_bytes_len(spki)) == 0);
    devid_bytes_free(made);
    OK(devid_key_ec_public("P-256", wrapped, 67, &made, &err));
    CHECK(memcmp(devid_bytes_data(made), devid_bytes_data(spki), devid_bytes_len(spki)) == 0);
    devid_bytes_free(made);
    FAILS(DEVID_E_BAD_KEY, devid_key_ec_public("P-256", beside, 65, &made, &err));
    FAILS(DEVID_E_BAD_KEY, devid_key_ec_public("P-384", point, 65, &made, &err));
    FAILS(DEVID_E_ALGORITHM, devid_key_ec_public("Ed25519", point + 1, 32, &made, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_key_ec_public("P-255", point, 65, &made, &err));

    OK(devid_key_sign(key, "ECDSA-SHA256", (const uint8_t *)"m", 1, &signature, &err));
    in_a_row(devid_bytes_data(signature), row);
    OK(devid_key_ecdsa_der(row, 64, &made, &err));
    CHECK(devid_bytes_len(made) == devid_bytes_len(signature));
    CHECK(memcmp(devid_bytes_data(made), devid_bytes_data(signature), devid_bytes_len(signature)) == 0);
    devid_bytes_free(made);
    FAILS(DEVID_E_ALGORITHM, devid_key_ecdsa_der(row, 63, &made, &err));
    FAILS(DEVID_E_ALGORITHM, devid_key_ecdsa_der(row, 0, &made, &err));
    devid_bytes_free(signature);
    devid_bytes_free(spki);
    devid_key_free(key);
}

int main(int argc, char **argv)
{
    (void)data_folder(argc, argv);
    each_kind_is_made_and_signs();
    a_key_is_written_and_read_again();
    a_token_signs_and_its_failures_come_through();
    what_a_secure_element_gives_becomes_what_certificates_have();
    return 0;
}
