/* PKCS#12: what is written is read again, and imported with its key. */
#include "test.h"

static const int64_t now = 1800000000;
static devid_error *err;
static const uint8_t password[] = "correct";
static const uint8_t wrong[] = "wrong!!";

struct fixture {
    devid_key *key, *stranger;
    devid_cert *cert;
    devid_cert_list *chain;
    devid_bytes *file;
};

static struct fixture set_up(const char *folder, const char *mac)
{
    struct fixture f;
    size_t len;
    uint8_t *data = read_file(folder, "device.key", &len);
    OK(devid_key_load(data, len, NULL, 0, &f.key, &err));
    free(data);
    OK(devid_key_generate("P-256", &f.stranger, &err));
    f.cert = cert_in(folder, "device.pem");
    data = read_file(folder, "ca.pem", &len);
    OK(devid_cert_list_new(&f.chain, &err));
    OK(devid_cert_list_add_bytes(f.chain, data, len, &err));
    free(data);
    OK(devid_pkcs12_write(f.key, f.cert, f.chain, "meter", password, 7, mac, 1000, 0, &f.file, &err));
    return f;
}

static void tear_down(struct fixture *f)
{
    devid_key_free(f->key);
    devid_key_free(f->stranger);
    devid_cert_free(f->cert);
    devid_cert_list_free(f->chain);
    devid_bytes_free(f->file);
}

static devid_status read_with(struct fixture *f, const uint8_t *secret, devid_key **key, devid_cert **cert, devid_cert_list **list)
{
    return devid_pkcs12_read(devid_bytes_data(f->file), devid_bytes_len(f->file), secret, 7, key, cert, list, &err);
}

static void what_is_written_is_read_again(const char *folder, const char *mac)
{
    struct fixture f = set_up(folder, mac);
    devid_key *key;
    devid_cert *cert;
    devid_cert_list *others;
    devid_bytes *ours, *theirs;
    OK(read_with(&f, password, &key, &cert, &others));
    CHECK(devid_cert_list_count(others) == 1);
    CHECK(strcmp(devid_cert_serial(cert), devid_cert_serial(f.cert)) == 0);
    OK(devid_key_public(f.key, &ours, &err));
    OK(devid_key_public(key, &theirs, &err));
    CHECK(devid_bytes_len(ours) == devid_bytes_len(theirs));
    CHECK(memcmp(devid_bytes_data(ours), devid_bytes_data(theirs), devid_bytes_len(ours)) == 0);
    devid_bytes_free(ours);
    devid_bytes_free(theirs);
    devid_key_free(key);
    devid_cert_free(cert);
    devid_cert_list_free(others);
    OK(read_with(&f, password, NULL, NULL, NULL));
    FAILS(DEVID_E_WRONG_SECRET, read_with(&f, wrong, &key, &cert, &others));
    CHECK(key == NULL && cert == NULL && others == NULL);
    FAILS(DEVID_E_NOT_UTF8, read_with(&f, (const uint8_t *)"\xff\xff\xff\xff\xff\xff\xff", &key, &cert, &others));
    tear_down(&f);
}

static void what_cannot_be_written_is_refused(const char *folder)
{
    struct fixture f = set_up(folder, NULL);
    devid_bytes *file;
    FAILS(DEVID_E_KEY_MISMATCH, devid_pkcs12_write(f.stranger, f.cert, NULL, NULL, password, 7, NULL, 0, 0, &file, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_pkcs12_write(f.key, f.cert, NULL, NULL, password, 0, NULL, 0, 0, &file, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_pkcs12_write(f.key, f.cert, NULL, NULL, password, 7, "MD5", 0, 0, &file, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_pkcs12_write(f.key, f.cert, NULL, NULL, password, 7, NULL, 0, 1000, &file, &err));
    CHECK(file == NULL);
    tear_down(&f);
}

static void what_scrypt_protects_is_read(const char *folder)
{
    /* id-scrypt, 1.3.6.1.4.1.11591.4.11. */
    static const uint8_t scrypt[] = {0x06, 0x09, 0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x04, 0x0b};
    struct fixture f = set_up(folder, NULL);
    size_t i;
    int is_there = 0;
    devid_bytes_free(f.file);
    OK(devid_pkcs12_write(f.key, f.cert, f.chain, "meter", password, 7, NULL, 1000, 1024, &f.file, &err));
    for (i = 0; i + sizeof scrypt <= devid_bytes_len(f.file); i++)
        is_there |= memcmp(devid_bytes_data(f.file) + i, scrypt, sizeof scrypt) == 0;
    CHECK(is_there);
    OK(read_with(&f, password, NULL, NULL, NULL));
    tear_down(&f);
}

static void a_file_with_its_key_is_installed(const char *folder)
{
    struct fixture f = set_up(folder, NULL);
    char path[64];
    devid_store *store;
    devid_trust *anchors;
    devid_identity *identity;
    const uint8_t *data = devid_bytes_data(f.file);
    size_t len = devid_bytes_len(f.file), ca_len;
    uint8_t *ca = read_file(folder, "ca.pem", &ca_len);
    temporary_folder(path, "pkcs12");
    OK(devid_store_open_dir(path, NULL, 0, &store, &err));
    OK(devid_trust_new(&anchors, &err));
    OK(devid_trust_add_bytes(anchors, ca, ca_len, &err));
    FAILS(DEVID_E_WRONG_SECRET, devid_store_import_pkcs12(store, "meter", data, len, wrong, 7, anchors, NULL, "ldevid", 0, now,
                                                          NULL, &identity, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_store_import_pkcs12(store, NULL, data, len, password, 7, anchors, NULL, "ldevid", 0, now,
                                                              NULL, &identity, &err));
    FAILS(DEVID_E_WRONG_SECRET, devid_store_import(store, "meter", data, len, anchors, NULL, "ldevid", 0, now, NULL, &identity,
                                                   &err));
    CHECK(identity == NULL);
    OK(devid_store_import_pkcs12(store, "meter", data, len, password, 7, anchors, NULL, "ldevid", 0, now, NULL, &identity, &err));
    CHECK(devid_identity_generation(identity) == 1);
    devid_identity_free(identity);
    devid_trust_free(anchors);
    devid_store_free(store);
    free(ca);
    remove_folder(path);
    tear_down(&f);
}

int main(int argc, char **argv)
{
    const char *folder = data_folder(argc, argv);
    what_is_written_is_read_again(folder, NULL);
    what_is_written_is_read_again(folder, "PBMAC1");
    what_cannot_be_written_is_refused(folder);
    what_scrypt_protects_is_read(folder);
    a_file_with_its_key_is_installed(folder);
    return 0;
}
