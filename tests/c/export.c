/* Identities for other software, and being told what came into use. */
#include "test.h"
#include <sys/stat.h>

static const int64_t now = 1800000000;
static devid_error *err;

struct told {
    int installed, rolled_back, exported, ended;
    uint32_t generation;
    char folder[200];
};

static void on_change(void *user, int32_t change, const char *name, uint32_t generation, const char *folder)
{
    struct told *told = user;
    CHECK(strcmp(name, "meter") == 0);
    told->generation = generation;
    told->installed += change == DEVID_CHANGE_INSTALLED;
    told->rolled_back += change == DEVID_CHANGE_ROLLED_BACK;
    told->exported += change == DEVID_CHANGE_EXPORTED;
    CHECK((folder != NULL) == (change == DEVID_CHANGE_EXPORTED));
    if (folder) snprintf(told->folder, sizeof told->folder, "%s", folder);
}

static void on_end(void *user)
{
    ((struct told *)user)->ended++;
}

struct fixture {
    char path[64];
    devid_store *store;
    devid_key *key;
    devid_cert *cert;
    devid_cert_list *chain;
};

static struct fixture set_up(const char *folder)
{
    struct fixture f;
    size_t len;
    char memory[80];
    uint8_t *data = read_file(folder, "device.key", &len);
    OK(devid_key_load(data, len, NULL, 0, &f.key, &err));
    free(data);
    f.cert = cert_in(folder, "device.pem");
    data = read_file(folder, "ca.pem", &len);
    OK(devid_cert_list_new(&f.chain, &err));
    OK(devid_cert_list_add_bytes(f.chain, data, len, &err));
    free(data);
    temporary_folder(f.path, "export");
    snprintf(memory, sizeof memory, "%s/memory", f.path);
    OK(devid_store_open_dir(memory, NULL, 0, &f.store, &err));
    return f;
}

static void install(struct fixture *f)
{
    OK(devid_store_install(f->store, "meter", f->key, NULL, f->cert, f->chain, "ldevid", now, &err));
}

static void tear_down(struct fixture *f)
{
    devid_store_free(f->store);
    devid_key_free(f->key);
    devid_cert_free(f->cert);
    devid_cert_list_free(f->chain);
    remove_folder(f->path);
}

static void every_layout_is_written(const char *folder)
{
    static const char *const layouts[] = {"pem", "pkcs12", "openssl", "nginx", "mosquitto", "strongswan"};
    size_t i;
    for (i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        struct fixture f = set_up(folder);
        devid_export *export;
        devid_bytes *files;
        uint32_t generation;
        struct stat found;
        char target[80], *line;
        snprintf(target, sizeof target, "%s/%s", f.path, layouts[i]);
        OK(devid_export_new(layouts[i], target, &export, &err));
        OK(devid_export_set_anchors(export, f.chain, &err));
        FAILS(DEVID_E_NOT_FOUND, devid_store_export(f.store, "meter", export, &files, &generation, &err));
        CHECK(files == NULL && generation == 0);
        install(&f);
        if (strcmp(layouts[i], "pkcs12") == 0) {
            FAILS(DEVID_E_WRONG_SECRET, devid_store_export(f.store, "meter", export, NULL, NULL, &err));
            OK(devid_export_set_password(export, (const uint8_t *)"correct", 7, 1000, &err));
            FAILS(DEVID_E_INVALID_ARGUMENT, devid_export_set_mac(export, "MD5", &err));
            OK(devid_export_set_mac(export, "PBMAC1", &err));
        }
        OK(devid_store_export(f.store, "meter", export, &files, &generation, &err));
        CHECK(generation == 1);
        line = strtok((char *)devid_bytes_data(files), "\n");
        CHECK(line != NULL && stat(line, &found) == 0 && (found.st_mode & 0777) == 0600);
        while ((line = strtok(NULL, "\n")) != NULL) CHECK(stat(line, &found) == 0 && (found.st_mode & 0777) == 0644);
        devid_bytes_free(files);
        devid_export_free(export);
        tear_down(&f);
    }
    {
        devid_export *export;
        FAILS(DEVID_E_INVALID_ARGUMENT, devid_export_new("apache", "/tmp", &export, &err));
        CHECK(export == NULL);
    }
}

static void the_program_is_told_what_came_into_use(const char *folder)
{
    struct fixture f = set_up(folder);
    struct told told = {0}, later = {0};
    devid_export *export;
    char target[80];
    snprintf(target, sizeof target, "%s/nginx", f.path);
    OK(devid_export_new("nginx", target, &export, &err));
    OK(devid_store_set_on_change(f.store, on_change, &told, on_end, &err));
    install(&f);
    install(&f);
    CHECK(told.installed == 2 && told.generation == 2 && told.exported == 0);
    OK(devid_store_rollback(f.store, "meter", &err));
    CHECK(told.rolled_back == 1 && told.generation == 1);
    OK(devid_store_export(f.store, "meter", export, NULL, NULL, &err));
    CHECK(told.exported == 1 && strcmp(told.folder, target) == 0);
    FAILS(DEVID_E_NOT_FOUND, devid_store_rollback(f.store, "other", &err));
    CHECK(told.rolled_back == 1 && told.ended == 0);
    OK(devid_store_set_on_change(f.store, on_change, &later, on_end, &err));
    CHECK(told.ended == 1);
    FAILS(DEVID_E_NULL, devid_store_set_on_change(f.store, NULL, &told, on_end, &err));
    CHECK(told.ended == 2 && later.ended == 0);
    devid_export_free(export);
    tear_down(&f);
    CHECK(later.ended == 1);
}

int main(int argc, char **argv)
{
    const char *folder = data_folder(argc, argv);
    every_layout_is_written(folder);
    the_program_is_told_what_came_into_use(folder);
    return 0;
}
