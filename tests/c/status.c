/* Status data: fetched by a function of the program, kept in device memory, from files and in pieces. */
#include "test.h"

static const int64_t now = 1800000000;
static char memory[64], other_memory[64];

/* The directory that the program asks, and what it holds. */
struct directory {
    const char *folder;
    const char *holds;
    int asked, destroyed;
};

static int32_t fetch(void *user, const char *url, const uint8_t *request, size_t request_len, size_t max_len, devid_bytes *document)
{
    struct directory *directory = user;
    devid_error *err = NULL;
    size_t len;
    uint8_t *data;
    CHECK(strcmp(url, "ldap://directory.example/cn=Issuing?certificateRevocationList") == 0);
    CHECK(request == NULL && request_len == 0 && max_len == 16 * 1024 * 1024);
    directory->asked++;
    if (directory->holds == NULL) return -10007;
    data = read_file(directory->folder, directory->holds, &len);
    OK(devid_bytes_append(document, data, len, &err));
    free(data);
    return 0;
}

static void closed(void *user)
{
    ((struct directory *)user)->destroyed++;
}

static devid_fetcher *fetcher_at(struct directory *directory, const devid_store *store)
{
    devid_error *err = NULL;
    devid_fetcher *fetcher;
    OK(devid_fetcher_new(store, &fetcher, &err));
    OK(devid_fetcher_set_fetch(fetcher, "ldap", fetch, directory, closed, &err));
    return fetcher;
}

static devid_validator *validator_for(const char *folder)
{
    devid_error *err = NULL;
    devid_trust *trust;
    devid_validator *validator;
    size_t len;
    uint8_t *data = read_file(folder, "root.pem", &len);
    OK(devid_trust_new(&trust, &err));
    OK(devid_trust_add_bytes(trust, data, len, &err));
    free(data);
    OK(devid_validator_new(trust, &validator, &err));
    devid_trust_free(trust);
    OK(devid_validator_set_any_purpose(validator, &err));
    OK(devid_validator_add_name(validator, DEVID_NAME_DNS, "meter-1.example", &err));
    OK(devid_validator_set_revocation(validator, DEVID_REVOCATION_HARD, DEVID_SCOPE_LEAF, DEVID_PREFER_CRL, &err));
    return validator;
}

static devid_cert_list *sent(const char *folder, const char *name)
{
    devid_error *err = NULL;
    devid_cert_list *list;
    size_t len;
    uint8_t *data = read_file(folder, name, &len);
    OK(devid_cert_list_new(&list, &err));
    OK(devid_cert_list_add_bytes(list, data, len, &err));
    free(data);
    CHECK(devid_cert_list_count(list) == 3);
    return list;
}

static devid_store *device_memory(const char *at)
{
    devid_error *err = NULL;
    devid_store *store;
    OK(devid_store_open_dir(at, NULL, 0, &store, &err));
    return store;
}

static void add_crl(devid_validator *validator, const char *folder, const char *name)
{
    devid_error *err = NULL;
    size_t len;
    uint8_t *data = read_file(folder, name, &len);
    OK(devid_validator_add_crls(validator, data, len, &err));
    free(data);
}

static void whatever_order_and_form_a_peer_sends_its_own_certificate_is_found(const char *folder)
{
    static const char *const forms[] = { "sent.pem", "sent.p7b" };
    devid_error *err = NULL;
    devid_validator *validator = validator_for(folder);
    devid_cert_list *list, *empty;
    devid_cert *cert;
    devid_peer *peer;
    size_t i;
    OK(devid_validator_set_revocation(validator, DEVID_REVOCATION_OFF, DEVID_SCOPE_LEAF, DEVID_PREFER_CRL, &err));
    for (i = 0; i < 2; i++) {
        list = sent(folder, forms[i]);
        OK(devid_validate_sent(validator, list, now, NULL, &peer, &err));
        OK(devid_peer_certificate(peer, &cert, &err));
        CHECK(strcmp(devid_cert_subject(cert), "CN=meter-1") == 0);
        devid_cert_free(cert);
        devid_peer_free(peer);
        devid_cert_list_free(list);
    }
    /* What a peer sent serves that peer only. */
    list = sent(folder, "sent.pem");
    OK(devid_cert_list_at(list, 1, &cert, &err));
    FAILS(DEVID_E_NO_PATH, devid_validate(validator, cert, now, NULL, NULL, &err));
    OK(devid_cert_list_new(&empty, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_validate_sent(validator, empty, now, NULL, NULL, &err));
    devid_cert_list_free(empty);
    devid_cert_list_free(list);
    devid_cert_free(cert);
    devid_validator_free(validator);
}

static void what_is_missing_is_fetched_by_the_program_and_kept(const char *folder)
{
    struct directory directory = { NULL, NULL, 0, 0 };
    devid_error *err = NULL;
    devid_validator *validator = validator_for(folder);
    devid_cert_list *list = sent(folder, "sent.pem");
    devid_fetcher *fetcher;
    devid_report *report;
    devid_peer *peer = NULL, *first;
    devid_bytes *spki;
    devid_store *store = device_memory(memory);
    directory.folder = folder;
    fetcher = fetcher_at(&directory, store);

    /* A directory that does not answer: refused, and the report says why. */
    FAILS(DEVID_E_REVOCATION_UNKNOWN, devid_fetcher_validate_sent(fetcher, validator, list, now, &report, &peer, &err));
    CHECK(peer == NULL && directory.asked == 1 && devid_report_finding_count(report) == 2);
    CHECK(strstr(devid_report_finding_text(report, 1), "not fetched from ldap://") != NULL);
    devid_report_free(report);

    directory.holds = "crl-5.der";
    OK(devid_fetcher_validate_sent(fetcher, validator, list, now, &report, &first, &err));
    CHECK(devid_report_is_valid(report) == 1 && devid_report_status_until(report) > now);
    devid_report_free(report);
    OK(devid_peer_public_key(first, now, &spki, &err));
    devid_bytes_free(spki);
    CHECK(directory.asked == 2);
    OK(devid_fetcher_validate_sent(fetcher, validator, list, now, NULL, NULL, &err));
    CHECK(directory.asked == 2);
    devid_fetcher_free(fetcher);
    CHECK(directory.destroyed == 1);

    /* After a restart: device memory has it, for fetchers and for validators that ask nobody. */
    directory.holds = NULL;
    fetcher = fetcher_at(&directory, store);
    OK(devid_fetcher_validate_sent(fetcher, validator, list, now, NULL, NULL, &err));
    FAILS(DEVID_E_REVOCATION_UNKNOWN, devid_validate_sent(validator, list, now, NULL, NULL, &err));
    OK(devid_validator_set_store(validator, store, &err));
    OK(devid_validate_sent(validator, list, now, NULL, &peer, &err));
    CHECK(directory.asked == 2);
    OK(devid_peer_public_key(peer, now, &spki, &err));
    devid_bytes_free(spki);

    /* A newer list that revokes closes what is open, at once; a device with another idea of maximum age fetched it. */
    OK(devid_validator_set_status_age(validator, 60, 0, 0, &err));
    directory.holds = "crl-7-revoked.der";
    FAILS(DEVID_E_REVOKED, devid_fetcher_validate_sent(fetcher, validator, list, now, NULL, NULL, &err));
    FAILS(DEVID_E_REVOKED, devid_peer_public_key(peer, now, &spki, &err));
    FAILS(DEVID_E_REVOKED, devid_peer_public_key(first, now, &spki, &err));
    CHECK(spki == NULL);
    FAILS(DEVID_E_REVOKED, devid_peer_verify(peer, now, "ECDSA-SHA256", NULL, 0, (const uint8_t *)"x", 1, &err));

    devid_peer_free(first);
    devid_peer_free(peer);
    devid_fetcher_free(fetcher);
    devid_store_free(store);
    devid_cert_list_free(list);
    devid_validator_free(validator);
}

static void options_are_checked(void)
{
    static const char *const limits[] = {
        "max_requests", "max_redirects", "max_hosts", "max_urls_per_certificate", "max_crl_bytes", "max_kept", "max_kept_bytes",
        "total_timeout_seconds", "request_timeout_seconds", "connect_timeout_seconds", "read_timeout_seconds", "silence_seconds",
    };
    struct directory directory = { NULL, NULL, 0, 0 };
    devid_error *err = NULL;
    devid_fetcher *fetcher;
    size_t i;
    OK(devid_fetcher_new(NULL, &fetcher, &err));
    for (i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        OK(devid_fetcher_set_limit(fetcher, limits[i], 9, &err));
        FAILS(DEVID_E_INVALID_ARGUMENT, devid_fetcher_set_limit(fetcher, limits[i], -1, &err));
        FAILS(DEVID_E_INVALID_ARGUMENT, devid_fetcher_set_limit(fetcher, limits[i], INT64_MAX, &err));
    }
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_fetcher_set_limit(fetcher, "max_fun", 1, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_fetcher_set_limit(fetcher, "total_timeout_seconds", 0, &err));
    OK(devid_fetcher_set_sources(fetcher, 0, 1, 1, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_fetcher_set_sources(fetcher, 0, 2, 1, &err));
    OK(devid_fetcher_set_ocsp(fetcher, DEVID_NONCE_UNUSED, 1, "SHA256", &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_fetcher_set_ocsp(fetcher, 4, 1, "SHA256", &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_fetcher_set_ocsp(fetcher, DEVID_NONCE_UNUSED, 1, "MD2", &err));
    OK(devid_fetcher_add_allowed_host(fetcher, "crl.example", &err));
    OK(devid_fetcher_set_certificate_store(fetcher, "http://store.example/search", &err));
    OK(devid_fetcher_set_certificate_store(fetcher, NULL, &err));
    OK(devid_fetcher_set_directory(fetcher, "dc.corp.example:389", &err));
    OK(devid_fetcher_set_directory(fetcher, NULL, &err));
    CHECK(devid_supports("ldap") == devid_supports("http"));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_fetcher_set_fetch(fetcher, "ldap,", fetch, &directory, closed, &err));
    CHECK(directory.destroyed == 1);
    OK(devid_fetcher_set_fetch(fetcher, "ldap, file", fetch, &directory, closed, &err));
    OK(devid_fetcher_set_fetch(fetcher, "ldap", NULL, NULL, NULL, &err));
    CHECK(directory.destroyed == 2 && directory.asked == 0);
    devid_fetcher_free(fetcher);
}

static void an_older_list_than_one_seen_is_refused_also_after_a_restart(const char *folder)
{
    devid_error *err = NULL;
    devid_cert_list *list = sent(folder, "sent.pem");
    devid_validator *validator = validator_for(folder);
    devid_store *store = device_memory(other_memory);
    devid_report *report;
    devid_peer *peer = NULL;
    OK(devid_validator_set_store(validator, store, &err));
    add_crl(validator, folder, "crl-6.der");
    OK(devid_validate_sent(validator, list, now, NULL, NULL, &err));
    devid_validator_free(validator);
    devid_store_free(store);

    store = device_memory(other_memory);
    validator = validator_for(folder);
    add_crl(validator, folder, "crl-5.der");
    OK(devid_validate_sent(validator, list, now, NULL, NULL, &err));
    OK(devid_validator_set_store(validator, store, &err));
    FAILS(DEVID_E_CRL_ROLLBACK, devid_validate_sent(validator, list, now, &report, &peer, &err));
    CHECK(peer == NULL && devid_report_finding_code(report, 0) == DEVID_E_CRL_ROLLBACK);
    CHECK(devid_report_finding_is_fatal(report, 0) == 1 && devid_report_finding_certificate(report, 0) == 0);
    devid_report_free(report);
    /* Forgetting status data is not forgetting what was seen. */
    OK(devid_validator_clear_status(validator, &err));
    add_crl(validator, folder, "crl-5.der");
    FAILS(DEVID_E_CRL_ROLLBACK, devid_validate_sent(validator, list, now, NULL, NULL, &err));
    add_crl(validator, folder, "crl-6.der");
    OK(devid_validate_sent(validator, list, now, NULL, NULL, &err));
    devid_validator_free(validator);
    devid_store_free(store);
    devid_cert_list_free(list);
}

static void a_list_in_a_file_has_its_index_beside_it(const char *folder)
{
    static const struct { const char *name; devid_status status; } lists[] = {
        { "crl-6.der", DEVID_OK }, { "crl-7-revoked.der", DEVID_E_REVOKED }, { "crl-5.der", DEVID_OK },
    };
    devid_error *err = NULL;
    devid_cert_list *meter = sent(folder, "sent.pem");
    char list[512], index[512];
    size_t i, round;
    FILE *file;
    snprintf(index, sizeof index, "%s/list.index", memory);
    for (i = 0; i < 3; i++) {
        snprintf(list, sizeof list, "%s/%s", folder, lists[i].name);
        /* Without an index file, making it, and with the one that was made. The next list meets the index of the one before. */
        for (round = 0; round < 4; round++) {
            devid_validator *validator = validator_for(folder);
            OK(devid_validator_add_crl_file(validator, list, round == 0 ? NULL : index, &err));
            if (lists[i].status == DEVID_OK) {
                OK(devid_validate_sent(validator, meter, now, NULL, NULL, &err));
            } else {
                FAILS(DEVID_E_REVOKED, devid_validate_sent(validator, meter, now, NULL, NULL, &err));
            }
            devid_validator_free(validator);
            if (round == 2) {
                /* A damaged index hides nothing. */
                file = fopen(index, "r+b");
                CHECK(file != NULL && fseek(file, 60, SEEK_SET) == 0 && fputc(0x5a, file) == 0x5a && fclose(file) == 0);
            }
        }
    }
    {
        devid_validator *validator = validator_for(folder);
        FAILS(DEVID_E_NOT_FOUND, devid_validator_add_crl_file(validator, "/tmp/devid-no-such-list", NULL, &err));
        snprintf(list, sizeof list, "%s/root.pem", folder);
        FAILS(DEVID_E_PEM, devid_validator_add_crl_file(validator, list, NULL, &err));
        /* An index that cannot be written is no reason to do without the list. */
        snprintf(list, sizeof list, "%s/crl-6.der", folder);
        OK(devid_validator_add_crl_file(validator, list, "/no/such/folder/list.index", &err));
        /* Whatever else stands in its place is somebody's: the list itself, another file, no file at all. */
        FAILS(DEVID_E_INVALID_ARGUMENT, devid_validator_add_crl_file(validator, list, list, &err));
        FAILS(DEVID_E_INVALID_ARGUMENT, devid_validator_add_crl_file(validator, list, "/dev/null", &err));
        OK(devid_validator_add_crl_file(validator, list, NULL, &err));
        OK(devid_validate_sent(validator, meter, now, NULL, NULL, &err));
        devid_validator_free(validator);
    }
    devid_cert_list_free(meter);
}

static void a_list_in_pieces_is_never_held(const char *folder)
{
    static const struct { const char *name; devid_status status; } lists[] = {
        { "crl-6.der", DEVID_OK }, { "crl-7-revoked.der", DEVID_E_REVOKED },
    };
    devid_error *err = NULL;
    devid_cert_list *meter = sent(folder, "sent.p7b"), *none;
    devid_crl_stream *stream;
    devid_validator *validator;
    size_t i, at, len;
    uint8_t *data;
    for (i = 0; i < 2; i++) {
        data = read_file(folder, lists[i].name, &len);
        validator = validator_for(folder);
        OK(devid_crl_stream_new(meter, &stream, &err));
        for (at = 0; at < len; at += 100) {
            OK(devid_crl_stream_feed(stream, data + at, len - at < 100 ? len - at : 100, &err));
        }
        OK(devid_validator_add_crl_stream(validator, stream, &err));
        FAILS(DEVID_E_STATE, devid_validator_add_crl_stream(validator, stream, &err));
        FAILS(DEVID_E_STATE, devid_crl_stream_feed(stream, data, 1, &err));
        devid_crl_stream_free(stream);
        if (lists[i].status == DEVID_OK) {
            OK(devid_validate_sent(validator, meter, now, NULL, NULL, &err));
        } else {
            FAILS(DEVID_E_REVOKED, devid_validate_sent(validator, meter, now, NULL, NULL, &err));
        }
        devid_validator_free(validator);

        /* One that ends too early, one that is no list, one that was asked about nobody. */
        validator = validator_for(folder);
        OK(devid_crl_stream_new(meter, &stream, &err));
        OK(devid_crl_stream_feed(stream, data, len - 1, &err));
        FAILS(DEVID_E_DER, devid_validator_add_crl_stream(validator, stream, &err));
        devid_crl_stream_free(stream);
        OK(devid_crl_stream_new(meter, &stream, &err));
        FAILS(DEVID_E_DER, devid_crl_stream_feed(stream, (const uint8_t *)"no list", 7, &err));
        devid_crl_stream_free(stream);
        OK(devid_cert_list_new(&none, &err));
        OK(devid_crl_stream_new(none, &stream, &err));
        OK(devid_crl_stream_feed(stream, data, len, &err));
        OK(devid_validator_add_crl_stream(validator, stream, &err));
        FAILS(DEVID_E_REVOCATION_UNKNOWN, devid_validate_sent(validator, meter, now, NULL, NULL, &err));
        devid_crl_stream_free(stream);
        devid_cert_list_free(none);
        devid_validator_free(validator);
        free(data);
    }
    devid_cert_list_free(meter);
}

int main(int argc, char **argv)
{
    char folder[512];
    snprintf(folder, sizeof folder, "%s/status", data_folder(argc, argv));
    temporary_folder(memory, "status");
    temporary_folder(other_memory, "status");
    whatever_order_and_form_a_peer_sends_its_own_certificate_is_found(folder);
    options_are_checked();
    what_is_missing_is_fetched_by_the_program_and_kept(folder);
    an_older_list_than_one_seen_is_refused_also_after_a_restart(folder);
    a_list_in_a_file_has_its_index_beside_it(folder);
    a_list_in_pieces_is_never_held(folder);
    remove_folder(memory);
    remove_folder(other_memory);
    return 0;
}
