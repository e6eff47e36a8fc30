/* Device memory in the program's own storage: records in an array that may lose power in the middle of a write. */
#include "test.h"

static const int64_t now = 1800000000;
static devid_error *err;

#define MOST 64

struct record {
    char key[128];
    uint8_t *data;
    size_t len;
};

struct flash {
    struct record records[MOST];
    int writes_left; /* -1: any number; 0: the power fails in the next one, and is off from then on */
    int is_off;
    int destroyed, wiped, locks, synced;
    int32_t lie;     /* what read writes for a record that is there; 0: the truth */
    const devid_store *store;
};

static struct record *find(struct flash *flash, const char *key)
{
    int i;
    for (i = 0; i < MOST; i++)
        if (strcmp(flash->records[i].key, key) == 0) return &flash->records[i];
    return NULL;
}

static int32_t flash_read(void *user, const char *key, devid_bytes *data, int32_t *out_found)
{
    struct flash *flash = user;
    struct record *record = find(flash, key);
    CHECK(*out_found == 0);
    if (flash->is_off) return -10042;
    if (flash->store != NULL) {
        devid_bytes *names = (devid_bytes *)&err;
        devid_error *inner = NULL;
        CHECK(devid_store_identities(flash->store, &names, &inner) == DEVID_E_REENTRANT && names == NULL);
        devid_error_free(inner);
    }
    if (flash->lie != 0) {
        *out_found = flash->lie;
        return 0;
    }
    *out_found = record == NULL ? DEVID_RECORD_ABSENT : DEVID_RECORD_FOUND;
    return record == NULL ? 0 : devid_bytes_append(data, record->data, record->len, NULL);
}

static int32_t flash_write(void *user, const char *key, const uint8_t *data, size_t data_len)
{
    struct flash *flash = user;
    struct record *record = find(flash, key);
    int is_cut = flash->writes_left == 0;
    if (flash->is_off) return -10042;
    flash->is_off = is_cut;
    if (record == NULL) {
        record = find(flash, "");
        CHECK(record != NULL && strlen(key) < sizeof record->key);
        strcpy(record->key, key);
    }
    free(record->data);
    record->len = is_cut ? data_len / 2 : data_len;
    record->data = malloc(data_len + 1);
    CHECK(record->data != NULL);
    memcpy(record->data, data, record->len);
    if (flash->writes_left > 0) flash->writes_left--;
    return is_cut ? -10042 : 0;
}

static int32_t flash_remove(void *user, const char *key, int32_t wipe)
{
    struct flash *flash = user;
    struct record *record = find(flash, key);
    if (flash->is_off) return -10042;
    flash->wiped += wipe;
    if (record == NULL || key[0] == 0) return 0;
    free(record->data);
    memset(record, 0, sizeof *record);
    return 0;
}

static int32_t flash_list(void *user, const char *prefix, devid_bytes *keys)
{
    struct flash *flash = user;
    int i;
    if (flash->is_off) return -10042;
    for (i = 0; i < MOST; i++) {
        const char *key = flash->records[i].key;
        if (key[0] == 0 || strncmp(key, prefix, strlen(prefix)) != 0) continue;
        if (devid_bytes_append(keys, (const uint8_t *)key, strlen(key), NULL) != DEVID_OK) return -10001;
        if (devid_bytes_append(keys, (const uint8_t *)"\n", 1, NULL) != DEVID_OK) return -10001;
    }
    return 0;
}

static int32_t flash_sync(void *user)
{
    ((struct flash *)user)->synced++;
    return ((struct flash *)user)->is_off ? -10042 : 0;
}

static int32_t flash_lock(void *user, int32_t on)
{
    ((struct flash *)user)->locks += on ? 1 : -1;
    return 0;
}

static void flash_destroy(void *user)
{
    ((struct flash *)user)->destroyed++;
}

static devid_store *open_flash(struct flash *flash, const devid_store_options *options)
{
    devid_store *store;
    OK(devid_store_open_storage(flash_read, flash_write, flash_remove, flash_list, flash_sync, flash_lock, flash,
                                flash_destroy, options, &store, &err));
    return store;
}

static void erase(struct flash *flash)
{
    int i;
    for (i = 0; i < MOST; i++) free(flash->records[i].data);
    memset(flash->records, 0, sizeof flash->records);
}

struct identity {
    devid_key *key;
    devid_cert *cert;
};

static struct identity identity_of(const char *folder)
{
    struct identity one;
    size_t len;
    uint8_t *data = read_file(folder, "device.key", &len);
    OK(devid_key_load(data, len, NULL, 0, &one.key, &err));
    free(data);
    one.cert = cert_in(folder, "device.pem");
    return one;
}

static void power_may_fail_in_any_write(const struct identity *one, int atomic)
{
    static struct flash flash;
    devid_store_options *options;
    devid_store *store;
    devid_identity *identity;
    devid_bytes *problems;
    devid_status status;
    int points = 0, opened = 0;
    memset(&flash, 0, sizeof flash);
    OK(devid_store_options_new(&options, &err));
    OK(devid_store_options_set_atomic_writes(options, atomic, &err));
    do {
        erase(&flash);
        flash.writes_left = -1;
        store = open_flash(&flash, options);
        OK(devid_store_install(store, "router", one->key, NULL, one->cert, NULL, "ldevid", now, &err));
        flash.writes_left = points++;
        status = devid_store_install(store, "router", one->key, NULL, one->cert, NULL, "ldevid", now + 1, &err);
        CHECK(status == DEVID_OK || status == -10042);
        CHECK(flash.locks == 0);
        devid_error_free(err);
        err = NULL;
        devid_store_free(store);
        CHECK(flash.destroyed == ++opened);
        flash.writes_left = -1;
        flash.is_off = 0;
        store = open_flash(&flash, options);
        /* Storage with atomic writes that tears one all the same breaks its word; only the other kind is put to the test. */
        if (!atomic || status == DEVID_OK) {
            OK(devid_store_verify(store, 1, &problems, &err));
            devid_bytes_free(problems);
            OK(devid_store_current(store, "router", &identity, &err));
            CHECK(devid_identity_generation(identity) == 1 || devid_identity_generation(identity) == 2);
            devid_identity_free(identity);
            OK(devid_store_verify(store, 0, &problems, &err));
            CHECK(devid_bytes_len(problems) == 0);
            devid_bytes_free(problems);
        }
        devid_store_free(store);
        CHECK(flash.destroyed == ++opened);
    } while (status != DEVID_OK);
    CHECK(points >= (atomic ? 4 : 8) && flash.synced > 0);
    devid_store_options_free(options);
    erase(&flash);
}

static void what_the_program_gets_wrong_is_an_error(const struct identity *one)
{
    static const int32_t lies[] = { 3, -1, INT32_MAX };
    static struct flash flash;
    devid_store *store;
    devid_identity *identity = (devid_identity *)&err;
    devid_bytes *names;
    size_t i;
    memset(&flash, 0, sizeof flash);
    flash.writes_left = -1;
    FAILS(DEVID_E_NULL, devid_store_open_storage(flash_read, flash_write, NULL, flash_list, flash_sync, NULL, &flash,
                                                 flash_destroy, NULL, &store, &err));
    CHECK(flash.destroyed == 1 && store == NULL);
    store = open_flash(&flash, NULL);
    OK(devid_store_install(store, "router", one->key, NULL, one->cert, NULL, "ldevid", now, &err));
    for (i = 0; i < sizeof lies / sizeof *lies; i++) {
        flash.lie = lies[i];
        FAILS(DEVID_E_APPLICATION, devid_store_current(store, "router", &identity, &err));
        CHECK(identity == NULL);
    }
    flash.lie = 0;
    flash.store = store;
    OK(devid_store_current(store, "router", &identity, &err));
    devid_identity_free(identity);
    flash.store = NULL;
    OK(devid_store_identities(store, &names, &err));
    devid_bytes_free(names);
    devid_store_free(store);
    CHECK(flash.destroyed == 2);
    erase(&flash);
}

static int32_t give_secret(void *user, devid_bytes *secret)
{
    ++*(int *)user;
    return *(int *)user > 100 ? -10009 : devid_bytes_append(secret, (const uint8_t *)"fused", 5, NULL);
}

static void options_out_of_range_are_refused_and_a_secret_is_asked_for(const struct identity *one)
{
    devid_store_options *options;
    devid_store *store;
    devid_identity *identity;
    int asked = 0;
    OK(devid_store_options_new(&options, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_store_options_set_retention(options, 1, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_store_options_set_retention(options, UINT32_MAX, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_store_options_set_iterations(options, 999, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_store_options_set_atomic_writes(options, 2, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_store_options_set_lock_wait(options, 600001, &err));
    OK(devid_store_options_set_lock_wait(options, 0, &err));
    OK(devid_store_options_set_must_exist(options, 1, &err));
    FAILS(DEVID_E_NOT_FOUND, devid_store_open("/nonexistent/mistyped", options, &store, &err));
    OK(devid_store_options_set_retention(options, 3, &err));
    OK(devid_store_options_set_iterations(options, 1000, &err));
    OK(devid_store_options_set_secret_callback(options, give_secret, &asked, NULL, &err));
    OK(devid_store_open_memory(options, &store, &err));
    devid_store_options_free(options);
    OK(devid_store_install(store, "router", one->key, NULL, one->cert, NULL, "ldevid", now, &err));
    OK(devid_store_current(store, "router", &identity, &err));
    devid_identity_free(identity);
    CHECK(asked >= 2);
    asked = 100;
    FAILS(-10009, devid_store_current(store, "router", &identity, &err));
    devid_store_free(store);
}

static void own_records_and_numbers_have_their_place(void)
{
    devid_store *store;
    devid_bytes *data = (devid_bytes *)&err;
    int64_t number = 77;
    int32_t raised = 77;
    OK(devid_store_open_memory(NULL, &store, &err));
    OK(devid_store_put_blob(store, "settings", (const uint8_t *)"a\0b", 3, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_store_put_blob(store, "status-x", NULL, 0, &err));
    OK(devid_store_blob(store, "settings", &data, &err));
    CHECK(devid_bytes_len(data) == 3);
    devid_bytes_free(data);
    OK(devid_store_remove_blob(store, "settings", &err));
    FAILS(DEVID_E_NOT_FOUND, devid_store_blob(store, "settings", &data, &err));
    CHECK(data == NULL);
    OK(devid_store_number(store, "firmware", &number, &err));
    CHECK(number == 0);
    OK(devid_store_raise_number(store, "firmware", INT64_MAX, &raised, &err));
    CHECK(raised == 1);
    OK(devid_store_raise_number(store, "firmware", 5, &raised, &err));
    CHECK(raised == 0);
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_store_raise_number(store, "firmware", INT64_MIN, &raised, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_store_raise_number(store, "crl-1", 9, NULL, &err));
    OK(devid_store_number(store, "firmware", &number, &err));
    CHECK(number == INT64_MAX);
    OK(devid_store_crls(store, &data, &err));
    CHECK(devid_bytes_len(data) == 0);
    devid_bytes_free(data);
    uint32_t forgotten = 9;
    OK(devid_store_forget_crl_numbers(store, NULL, &forgotten, &err));
    CHECK(forgotten == 0);
    devid_store_free(store);
}

int main(int argc, char **argv)
{
    struct identity one = identity_of(data_folder(argc, argv));
    power_may_fail_in_any_write(&one, 0);
    power_may_fail_in_any_write(&one, 1);
    what_the_program_gets_wrong_is_an_error(&one);
    options_out_of_range_are_refused_and_a_secret_is_asked_for(&one);
    own_records_and_numbers_have_their_place();
    devid_key_free(one.key);
    devid_cert_free(one.cert);
    return 0;
}
