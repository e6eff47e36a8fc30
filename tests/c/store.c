/* Device memory: generations, rollback, staged certificates, keys that are elsewhere, damage. */
#include "test.h"

static const int64_t now = 1800000000;
static devid_error *err;

struct fixture {
    char path[64];
    devid_store *store;
    devid_key *key, *stranger;
    devid_cert *cert, *other;
    devid_cert_list *chain;
};

static struct fixture set_up(const char *folder, const uint8_t *secret, size_t secret_len)
{
    struct fixture f;
    size_t len;
    uint8_t *data;
    temporary_folder(f.path, "store");
    OK(devid_store_open_dir(f.path, secret, secret_len, &f.store, &err));
    f.key = key_in(folder, "device.key");
    OK(devid_key_generate("P-256", &f.stranger, &err));
    f.cert = cert_in(folder, "device.pem");
    f.other = cert_in(folder, "other.pem");
    data = read_file(folder, "ca.pem", &len);
    OK(devid_cert_list_new(&f.chain, &err));
    OK(devid_cert_list_add_bytes(f.chain, data, len, &err));
    free(data);
    return f;
}

static void tear_down(struct fixture *f)
{
    devid_store_free(f->store);
    devid_key_free(f->key);
    devid_key_free(f->stranger);
    devid_cert_free(f->cert);
    devid_cert_free(f->other);
    devid_cert_list_free(f->chain);
    remove_folder(f->path);
}

static uint32_t generation(const struct fixture *f, int previous)
{
    devid_identity *identity;
    uint32_t number;
    if (previous) OK(devid_store_previous(f->store, "router", &identity, &err));
    else OK(devid_store_current(f->store, "router", &identity, &err));
    number = devid_identity_generation(identity);
    devid_identity_free(identity);
    return number;
}

static void generations_come_and_go_back(const char *folder)
{
    struct fixture f = set_up(folder, NULL, 0);
    devid_identity *identity;
    devid_bytes *names, *spki, *expected;
    devid_problems *problems;
    devid_cert *cert;
    devid_cert_list *chain;
    devid_key *key;
    int32_t damaged = 77;
    FAILS(DEVID_E_NOT_FOUND, devid_store_current(f.store, "router", &identity, &err));
    CHECK(identity == NULL);
    FAILS(DEVID_E_KEY_MISMATCH, devid_store_install(f.store, "router", f.stranger, NULL, f.cert, f.chain, "ldevid", now, &err));
    FAILS(DEVID_E_NOT_FOUND, devid_store_current(f.store, "router", &identity, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_store_install(f.store, "../router", f.key, NULL, f.cert, f.chain, "ldevid", now, &err));
    OK(devid_store_install(f.store, "router", f.key, NULL, f.cert, f.chain, "ldevid", now, &err));
    FAILS(DEVID_E_NOT_FOUND, devid_store_rollback(f.store, "router", &err));
    OK(devid_store_install(f.store, "router", f.key, NULL, f.cert, NULL, "ldevid", now + 1, &err));
    CHECK(generation(&f, 0) == 2 && generation(&f, 1) == 1);
    OK(devid_store_rollback(f.store, "router", &err));
    CHECK(generation(&f, 0) == 1 && generation(&f, 1) == 2);

    OK(devid_store_last_good(f.store, "router", &identity, &damaged, &err));
    CHECK(damaged == 0 && strcmp(devid_identity_purpose(identity), "ldevid") == 0);
    CHECK(devid_identity_created(identity) == now && devid_identity_key_reference(identity)[0] == 0);
    OK(devid_identity_certificate(identity, &cert, &err));
    CHECK(strcmp(devid_cert_serial(cert), "1234abcd") == 0);
    OK(devid_identity_chain(identity, &chain, &err));
    CHECK(devid_cert_list_count(chain) == 2);
    OK(devid_identity_key(identity, &key, &err));
    OK(devid_key_public(key, &spki, &err));
    OK(devid_key_public(f.key, &expected, &err));
    CHECK(memcmp(devid_bytes_data(spki), devid_bytes_data(expected), devid_bytes_len(expected)) == 0);
    OK(devid_store_identities(f.store, &names, &err));
    CHECK(strcmp((const char *)devid_bytes_data(names), "router\n") == 0);
    devid_bytes_free(names);
    OK(devid_store_verify(f.store, 0, &names, &err));
    CHECK(devid_bytes_len(names) == 0);
    OK(devid_problems_of_store(f.store, 0, &problems, &err));
    CHECK(devid_problems_count(problems) == 0 && devid_problems_kind(problems, 0) == DEVID_PROBLEM_NONE);
    CHECK(devid_problems_text(problems, 0) == NULL && devid_problems_place(problems, 0) == NULL && devid_problems_is_mended(problems, 0) == 0);
    devid_problems_free(problems);
    OK(devid_store_remove(f.store, "router", &err));
    FAILS(DEVID_E_NOT_FOUND, devid_store_remove(f.store, "router", &err));
    devid_bytes_free(names);
    devid_bytes_free(spki);
    devid_bytes_free(expected);
    devid_key_free(key);
    devid_cert_free(cert);
    devid_cert_list_free(chain);
    devid_identity_free(identity);
    tear_down(&f);
}

static void a_staged_certificate_waits_for_its_confirmation(const char *folder)
{
    struct fixture f = set_up(folder, (const uint8_t *)"device unique", 13);
    devid_store *again;
    devid_identity *identity;
    FAILS(DEVID_E_NOT_FOUND, devid_store_promote(f.store, "router", &err));
    OK(devid_store_stage(f.store, "router", f.key, NULL, f.cert, f.chain, "ldevid", now, &err));
    FAILS(DEVID_E_EXISTS, devid_store_stage(f.store, "router", f.key, NULL, f.cert, f.chain, "ldevid", now, &err));
    FAILS(DEVID_E_NOT_FOUND, devid_store_current(f.store, "router", &identity, &err));
    OK(devid_store_pending(f.store, "router", &identity, &err));
    devid_identity_free(identity);
    OK(devid_store_promote(f.store, "router", &err));
    CHECK(generation(&f, 0) == 1);
    OK(devid_store_stage(f.store, "router", f.key, NULL, f.cert, f.chain, "ldevid", now, &err));
    OK(devid_store_discard(f.store, "router", &err));
    CHECK(generation(&f, 0) == 1);
    OK(devid_store_open_dir(f.path, (const uint8_t *)"another secret", 14, &again, &err));
    FAILS(DEVID_E_WRONG_SECRET, devid_store_current(again, "router", &identity, &err));
    devid_store_free(again);
    tear_down(&f);
}

static void a_key_elsewhere_is_kept_by_its_reference(const char *folder)
{
    struct fixture f = set_up(folder, NULL, 0);
    devid_bytes *spki;
    devid_key *deferred, *again;
    devid_identity *identity;
    OK(devid_key_public(f.key, &spki, &err));
    OK(devid_key_deferred(devid_bytes_data(spki), devid_bytes_len(spki), &deferred, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_store_install(f.store, "router", deferred, NULL, f.cert, NULL, "idevid", now, &err));
    OK(devid_store_install(f.store, "router", deferred, "pkcs11:object=device", f.cert, NULL, "idevid", now, &err));
    OK(devid_store_current(f.store, "router", &identity, &err));
    CHECK(strcmp(devid_identity_key_reference(identity), "pkcs11:object=device") == 0);
    OK(devid_identity_key(identity, &again, &err));
    CHECK(strcmp(devid_key_kind(again), "P-256") == 0);
    devid_key_free(again);
    devid_identity_free(identity);

    OK(devid_store_put_pending_key(f.store, "next", f.stranger, NULL, &err));
    OK(devid_store_pending_key(f.store, "next", &again, &err));
    devid_key_free(again);
    OK(devid_store_remove_pending_key(f.store, "next", &err));
    FAILS(DEVID_E_NOT_FOUND, devid_store_pending_key(f.store, "next", &again, &err));
    CHECK(again == NULL);
    devid_bytes_free(spki);
    devid_key_free(deferred);
    tear_down(&f);
}

static void operations_and_anchors_are_kept(const char *folder)
{
    struct fixture f = set_up(folder, NULL, 0);
    devid_bytes *saved;
    devid_cert_list *anchors;
    FAILS(DEVID_E_NOT_FOUND, devid_store_operation(f.store, "ir", &saved, &err));
    OK(devid_store_put_operation(f.store, "ir", (const uint8_t *)"state", 5, &err));
    OK(devid_store_operation(f.store, "ir", &saved, &err));
    CHECK(strcmp((const char *)devid_bytes_data(saved), "state") == 0);
    devid_bytes_free(saved);
    OK(devid_store_remove_operation(f.store, "ir", &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_store_put_anchors(f.store, "everything", f.chain, &err));
    OK(devid_store_put_anchors(f.store, "peer", f.chain, &err));
    OK(devid_store_anchors(f.store, "peer", &anchors, &err));
    CHECK(devid_cert_list_count(anchors) == 1);
    devid_cert_list_free(anchors);
    OK(devid_store_anchors(f.store, "cmp", &anchors, &err));
    CHECK(devid_cert_list_count(anchors) == 0);
    devid_cert_list_free(anchors);
    tear_down(&f);
}

int main(int argc, char **argv)
{
    const char *folder = data_folder(argc, argv);
    generations_come_and_go_back(folder);
    a_staged_certificate_waits_for_its_confirmation(folder);
    a_key_elsewhere_is_kept_by_its_reference(folder);
    operations_and_anchors_are_kept(folder);
    return 0;
}
