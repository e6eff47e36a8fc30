/* Keys in a PKCS#11 token: made, used, kept in device memory by their URI. The token is SoftHSM's, in a folder of the test's
 * own; without it, or without the feature, what is left is that the answers say so. */
#include "test.h"

static devid_error *err;
static int asked, ended, answer;

static int32_t give_pin(void *user, const char *token, const char *serial, int32_t final_try, devid_bytes *pin)
{
    (void)serial, (void)final_try;
    CHECK(strcmp(token, "device") == 0);
    asked++;
    if (answer != 0) return answer;
    return devid_bytes_append(pin, user, strlen(user), NULL);
}

static void on_end(void *user)
{
    (void)user;
    ended++;
}

/* The path of SoftHSM's module with a fresh token, or NULL. */
static const char *token_in(const char *folder)
{
    static const char *const places[] = {"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so"};
    static char path[100];
    char command[300];
    FILE *file;
    size_t i;
    snprintf(path, sizeof path, "%s/softhsm2.conf", folder);
    file = fopen(path, "w");
    CHECK(file != NULL);
    fprintf(file, "directories.tokendir = %s\nobjectstore.backend = file\n", folder);
    fclose(file);
    CHECK(setenv("SOFTHSM2_CONF", path, 1) == 0);
    snprintf(command, sizeof command, "softhsm2-util --init-token --free --label device --so-pin 567890 --pin 1234 > %s/log 2>&1", folder);
    if (system(command) != 0) return NULL;
    for (i = 0; i < sizeof places / sizeof *places; i++) {
        file = fopen(places[i], "r");
        if (file == NULL) continue;
        fclose(file);
        return places[i];
    }
    return NULL;
}

static void without_the_feature_the_answers_say_so(void)
{
    devid_key *key;
    FAILS(DEVID_E_UNSUPPORTED, devid_key_open_pkcs11("m", "pkcs11:object=a", give_pin, "1234", on_end, &key, &err));
    FAILS(DEVID_E_UNSUPPORTED, devid_key_generate_pkcs11("m", "pkcs11:object=a", "P-256", give_pin, "1234", NULL, &key, &err));
    FAILS(DEVID_E_UNSUPPORTED, devid_key_destroy_pkcs11("m", "pkcs11:object=a", give_pin, "1234", &err));
    FAILS(DEVID_E_NULL, devid_store_set_pkcs11(NULL, "m", give_pin, "1234", on_end, &err));
    CHECK(key == NULL && ended == 2);
}

static void a_key_in_a_token_is_used_and_found_again(const char *module, const char *folder)
{
    static const char uri[] = "pkcs11:token=device;object=idevid";
    devid_key *key, *again, *deferred;
    devid_bytes *signature;
    devid_store *store;
    char memory[100], reference[300];
    FAILS(DEVID_E_WRONG_SECRET, devid_key_generate_pkcs11(module, uri, "P-256", give_pin, "9999", on_end, &key, &err));
    answer = -10005;
    FAILS(-10005, devid_key_generate_pkcs11(module, uri, "P-256", give_pin, "1234", on_end, &key, &err));
    answer = 0;
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_key_generate_pkcs11(module, uri, "P-1", give_pin, "1234", on_end, &key, &err));
    CHECK(key == NULL && ended == 3);
    asked = 0;
    OK(devid_key_generate_pkcs11(module, uri, "P-256", give_pin, "1234", on_end, &key, &err));
    CHECK(asked == 1 && ended == 3 && strcmp(devid_key_kind(key), "P-256") == 0);
    FAILS(DEVID_E_EXISTS, devid_key_generate_pkcs11(module, uri, "P-256", give_pin, "1234", NULL, &again, &err));
    OK(devid_key_sign(key, NULL, (const uint8_t *)"m", 1, &signature, &err));
    devid_bytes_free(signature);
    FAILS(DEVID_E_UNSUPPORTED, devid_key_export_plain(key, DEVID_FORM_PEM, &signature, &err));

    /* Device memory keeps the URI by itself. */
    snprintf(memory, sizeof memory, "%s/memory", folder);
    OK(devid_store_open_dir(memory, NULL, 0, &store, &err));
    OK(devid_store_put_pending_key(store, "idevid", key, NULL, &err));
    OK(devid_store_pending_key(store, "idevid", &deferred, &err));
    snprintf(reference, sizeof reference, "%s", devid_key_reference(key));
    CHECK(strncmp(reference, "pkcs11:token=device;serial=", 27) == 0);
    CHECK(strcmp(devid_key_reference(deferred), reference) == 0);
    FAILS(DEVID_E_UNSUPPORTED, devid_key_sign(deferred, NULL, (const uint8_t *)"m", 1, &signature, &err));
    devid_key_free(deferred);
    OK(devid_store_set_pkcs11(store, module, give_pin, "1234", on_end, &err));
    OK(devid_store_pending_key(store, "idevid", &deferred, &err));
    OK(devid_key_sign(deferred, NULL, (const uint8_t *)"m", 1, &signature, &err));
    devid_bytes_free(signature);
    devid_key_free(deferred);
    CHECK(ended == 3);
    devid_store_free(store);
    CHECK(ended == 4);
    devid_key_free(key);
    CHECK(ended == 5);

    OK(devid_key_open_pkcs11(module, reference, give_pin, "1234", on_end, &again, &err));
    OK(devid_key_sign(again, "ECDSA-SHA256", (const uint8_t *)"m", 1, &signature, &err));
    devid_bytes_free(signature);
    OK(devid_key_destroy_pkcs11(module, reference, give_pin, "1234", &err));
    FAILS(DEVID_E_SIGNER, devid_key_sign(again, NULL, (const uint8_t *)"m", 1, &signature, &err));
    devid_key_free(again);
    FAILS(DEVID_E_NOT_FOUND, devid_key_open_pkcs11(module, reference, give_pin, "1234", on_end, &again, &err));
    FAILS(DEVID_E_NOT_FOUND, devid_key_open_pkcs11(module, "pkcs11:token=nobody", give_pin, "1234", on_end, &again, &err));
    FAILS(DEVID_E_SIGNER, devid_key_open_pkcs11("/nonexistent.so", uri, give_pin, "1234", on_end, &again, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_key_open_pkcs11(module, "pkcs11:?pin-value=1", give_pin, "1", on_end, &again, &err));
    CHECK(again == NULL && ended == 10);
}

int main(int argc, char **argv)
{
    char folder[64];
    const char *module;
    (void)data_folder(argc, argv);
    if (!devid_supports("pkcs11")) {
        without_the_feature_the_answers_say_so();
        return 0;
    }
    temporary_folder(folder, "token");
    module = token_in(folder);
    if (module != NULL) a_key_in_a_token_is_used_and_found_again(module, folder);
    else {
        puts("left out: no SoftHSM");
        CHECK(getenv("CI") == NULL);
    }
    remove_folder(folder);
    return 0;
}
