/* Random sequences of calls, frees from callbacks among them. What must hold is what the sanitizers and valgrind look for; every
 * handle is freed once by whoever owns it, and calls in any order answer a code.
 *   sequences FOLDER [SECONDS]     or, with clang -fsanitize=fuzzer and -DDEVID_FUZZER, a fuzz target whose input makes the choices */
#include "test.h"
#include <devid/export.h>
#include <devid/fetcher.h>
#include <devid/operation.h>
#include <devid/status.h>
#include <devid/storage.h>
#include <devid/validation.h>
#include <time.h>

#define SLOTS 3
#define NOW 1700000000

static const uint8_t *choices;
static size_t choices_left;
static const char *folder = "tests/c/data";
static uint8_t *ca, *device;
static size_t ca_len, device_len;
static int depth;

static devid_config *configs[SLOTS];
static devid_client *clients[SLOTS];
static devid_key *keys[SLOTS];
static devid_subject *subjects[SLOTS];
static devid_op *ops[SLOTS];
static devid_store *stores[SLOTS];
static devid_trust *trusts[SLOTS];
static devid_validator *validators[SLOTS];
static devid_fetcher *fetchers[SLOTS];
static devid_peer *peers[SLOTS];
static devid_report *reports[SLOTS];
static devid_cert *certs[SLOTS];
static devid_cert_list *lists[SLOTS];
static devid_bytes *blobs[SLOTS];
/* Handles that a call further out works with: freeing one is ignored, and it stays ours. */
static void *in_use[16];
static int in_use_count;
static long destroyed, registered;

static unsigned pick(unsigned below)
{
    unsigned choice = 0;
    if (choices_left > 0) {
        choice = *choices++;
        choices_left--;
    }
    return choice % below;
}

static int is_in_use(const void *handle)
{
    int i;
    for (i = 0; i < in_use_count; i++) {
        if (in_use[i] == handle) return 1;
    }
    return 0;
}

static void enter(void *handle)
{
    in_use[in_use_count++] = handle;
}

static void leave(void)
{
    in_use_count--;
}

static void step(void);

/* Whatever it answers. */
static void any(devid_status status)
{
    (void)status;
}

/* What a callback does: nothing, or one to three calls of any kind. */
static void meanwhile(void)
{
    unsigned count = depth < 3 ? pick(4) : 0;
    depth++;
    while (count-- > 0) step();
    depth--;
}

static void end(void *user)
{
    destroyed++;
    free(user);
    meanwhile();
}

static void *user(void)
{
    registered++;
    return malloc(8);
}

static int32_t exchange(void *own, const uint8_t *request, size_t request_len, devid_bytes *reply)
{
    (void)own;
    meanwhile();
    switch (pick(5)) {
    case 0: return -10042;
    case 1: any(devid_bytes_append(reply, request, request_len, NULL)); return 0;
    case 2: any(devid_bytes_append(reply, device, device_len, NULL)); return 0;
    case 3: any(devid_bytes_append(reply, devid_bytes_data(reply), devid_bytes_len(reply), NULL)); return 0;
    default: devid_bytes_free(reply); return 0; /* lent: ignored */
    }
}

static int32_t sign(void *own, const char *algorithm, const uint8_t *message, size_t message_len, devid_bytes *signature)
{
    (void)own, (void)algorithm;
    meanwhile();
    if (pick(2) == 0) return -10001;
    any(devid_bytes_append(signature, message, message_len < 64 ? message_len : 64, NULL));
    return 0;
}

static int32_t wait_for(void *own, uint32_t seconds)
{
    (void)own, (void)seconds;
    meanwhile();
    return -10007;
}

static void log_line(void *own, int32_t level, const char *message)
{
    (void)own, (void)level, (void)message;
    meanwhile();
}

static void told(void *own, int32_t change, const char *name, uint32_t generation, const char *where)
{
    (void)own, (void)change, (void)name, (void)generation, (void)where;
    meanwhile();
}

static int32_t fetch(void *own, const char *url, const uint8_t *request, size_t request_len, size_t max_len, devid_bytes *document)
{
    (void)own, (void)url, (void)request, (void)request_len, (void)max_len;
    meanwhile();
    if (pick(2) == 0) return -10003;
    any(devid_bytes_append(document, ca, ca_len, NULL));
    return 0;
}

/* Frees what is in a slot; what is in use is freed in vain, and is ours still. */
#define DROP(kind, slot)                                                                                                          \
    do {                                                                                                                          \
        void *handle_ = kind##s[slot];                                                                                            \
        if (!is_in_use(handle_)) {                                                                                                \
            kind##s[slot] = NULL;                                                                                                 \
            devid_##kind##_free(handle_);                                                                                         \
        } else if (pick(2) == 0) {                                                                                                \
            devid_##kind##_free(handle_);                                                                                         \
        }                                                                                                                         \
    } while (0)
/* Puts a new handle into a slot, if its old one can go. */
#define MAKE(kind, type, slot, call)                                                                                              \
    do {                                                                                                                          \
        type *made_ = NULL;                                                                                                       \
        if (is_in_use(kind##s[slot])) return;                                                                                     \
        any(call);                                                                                                              \
        if (kind##s[slot] != NULL || made_ == NULL) {                                                                             \
            devid_##kind##_free(made_);                                                                                           \
        } else {                                                                                                                  \
            kind##s[slot] = made_;                                                                                                \
        }                                                                                                                         \
    } while (0)

#define devid_list_free devid_cert_list_free
#define devid_blob_free devid_bytes_free

static void drop(unsigned kind, unsigned slot)
{
    switch (kind) {
    case 0: DROP(config, slot); break;
    case 1: DROP(client, slot); break;
    case 2: DROP(key, slot); break;
    case 3: DROP(subject, slot); break;
    case 4: DROP(op, slot); break;
    case 5: DROP(store, slot); break;
    case 6: DROP(trust, slot); break;
    case 7: DROP(validator, slot); break;
    case 8: DROP(fetcher, slot); break;
    case 9: DROP(peer, slot); break;
    case 10: DROP(report, slot); break;
    case 11: DROP(cert, slot); break;
    case 12: DROP(list, slot); break;
    default: DROP(blob, slot); break;
    }
}

static void make_key(unsigned slot, const devid_bytes *spki)
{
    MAKE(key, devid_key, slot, devid_key_from_callback(devid_bytes_data(spki), devid_bytes_len(spki), sign, user(), end, &made_, NULL));
}

static void make(unsigned kind, unsigned a, unsigned b, unsigned c)
{
    switch (kind) {
    case 0: MAKE(config, devid_config, a, devid_config_new(&made_, NULL)); break;
    case 1: MAKE(client, devid_client, a, configs[b] == NULL ? 0 : devid_client_new(configs[b], &made_, NULL)); break;
    case 2: MAKE(key, devid_key, a, devid_key_generate("P-256", &made_, NULL)); break;
    case 3: MAKE(subject, devid_subject, a, devid_subject_new(&made_, NULL)); break;
    case 4:
        if (clients[b] != NULL && keys[c] != NULL && subjects[c] != NULL) {
            MAKE(op, devid_op, a, devid_op_enroll(clients[b], keys[c], subjects[c], &made_, NULL));
        }
        break;
    case 5: MAKE(store, devid_store, a, devid_store_open_memory(NULL, &made_, NULL)); break;
    case 6: MAKE(trust, devid_trust, a, devid_trust_new(&made_, NULL)); break;
    case 7: MAKE(validator, devid_validator, a, trusts[b] == NULL ? 0 : devid_validator_new(trusts[b], &made_, NULL)); break;
    case 8: MAKE(fetcher, devid_fetcher, a, devid_fetcher_new(stores[b], &made_, NULL)); break;
    case 11: MAKE(cert, devid_cert, a, pick(2) ? devid_cert_parse(ca, ca_len, &made_, NULL) : devid_cert_parse(device, device_len, &made_, NULL)); break;
    case 12: MAKE(list, devid_cert_list, a, devid_cert_list_new(&made_, NULL)); break;
    case 13:
        if (blobs[b] != NULL && !is_in_use(keys[a])) {
            enter(blobs[b]);
            make_key(a, blobs[b]);
            leave();
        }
        break;
    case 14: MAKE(blob, devid_bytes, a, keys[b] == NULL ? 0 : devid_key_public(keys[b], &made_, NULL)); break;
    case 15: MAKE(blob, devid_bytes, a, ops[b] == NULL ? 0 : devid_op_save(ops[b], &made_, NULL)); break;
    case 16: MAKE(blob, devid_bytes, a, stores[b] == NULL ? 0 : devid_store_blob(stores[b], "x", &made_, NULL)); break;
    default:
        if (clients[b] != NULL && keys[c] != NULL && blobs[c] != NULL) {
            MAKE(op, devid_op, a, devid_op_restore(clients[b], keys[c], devid_bytes_data(blobs[c]), devid_bytes_len(blobs[c]), &made_, NULL));
        }
        break;
    }
}

static void judge(unsigned a, unsigned b, unsigned c, int by_fetcher)
{
    devid_report *report = NULL;
    devid_peer *peer = NULL;
    if (validators[a] == NULL || certs[b] == NULL || (by_fetcher && fetchers[c] == NULL)) return;
    enter(validators[a]);
    enter(certs[b]);
    if (by_fetcher) {
        enter(fetchers[c]);
        any(devid_fetcher_validate(fetchers[c], validators[a], certs[b], NOW, &report, &peer, NULL));
        leave();
    } else {
        if (lists[c] == NULL) {
            any(devid_validate(validators[a], certs[b], NOW, &report, &peer, NULL));
        } else {
            enter(lists[c]);
            any(devid_validate_sent(validators[a], lists[c], NOW, &report, &peer, NULL));
            leave();
        }
    }
    leave();
    leave();
    if (reports[c] == NULL) reports[c] = report;
    else devid_report_free(report);
    if (peers[c] == NULL) peers[c] = peer;
    else devid_peer_free(peer);
}

static void change(unsigned kind, unsigned a, unsigned b)
{
    int32_t action;
    devid_config *config = configs[a];
    devid_op *op = ops[a];
    devid_validator *validator = validators[a];
    switch (kind) {
    case 0:
        if (config == NULL) break;
        enter(config);
        any(devid_config_set_secret(config, (const uint8_t *)"4711", 4, (const uint8_t *)"secret", 6, NULL));
        any(devid_config_set_server(config, "http://127.0.0.1:1/", NULL));
        any(devid_config_add_enrolment_anchors(config, ca, ca_len, NULL));
        leave();
        break;
    case 1:
        if (config == NULL) break;
        enter(config);
        any(devid_config_set_log(config, pick(3) ? log_line : NULL, user(), end, NULL));
        leave();
        break;
    case 2:
        if (config == NULL || keys[b] == NULL || lists[b] == NULL) break;
        enter(config);
        any(devid_config_set_credential(config, keys[b], lists[b], NULL));
        leave();
        break;
    case 3:
        if (subjects[a] != NULL) any(devid_subject_set_name(subjects[a], pick(2) ? "CN=x" : "no name", NULL));
        break;
    case 4:
        if (op == NULL) break;
        enter(op);
        any(devid_op_set_exchange(op, pick(3) ? exchange : NULL, user(), end, NULL));
        any(devid_op_set_wait(op, wait_for, user(), end, NULL));
        leave();
        break;
    case 5:
        if (op == NULL || stores[b] == NULL) break;
        enter(op);
        enter(stores[b]);
        any(devid_op_install_into(op, stores[b], "x", "cmp", NULL, NULL));
        leave();
        leave();
        break;
    case 6:
        if (op == NULL) break;
        enter(op);
        any(devid_op_step(op, NOW, &action, NULL));
        leave();
        break;
    case 7:
        if (op == NULL) break;
        enter(op);
        any(devid_op_feed(op, device, device_len, NULL));
        leave();
        break;
    case 8:
        /* Without an exchange of ours it would go to the network: refused there, quickly. */
        if (op == NULL) break;
        enter(op);
        any(devid_op_run(op, NULL));
        leave();
        break;
    case 9:
        if (stores[a] == NULL) break;
        enter(stores[a]);
        any(devid_store_set_on_change(stores[a], pick(3) ? told : NULL, user(), end, NULL));
        leave();
        break;
    case 10:
        if (stores[a] == NULL) break;
        enter(stores[a]);
        any(devid_store_put_blob(stores[a], "x", ca, 16 + pick(200), NULL));
        leave();
        break;
    case 11:
        if (stores[a] == NULL) break;
        enter(stores[a]);
        any(devid_store_abandon(stores[a], "x", NULL));
        leave();
        break;
    case 12:
        if (trusts[a] != NULL) any(devid_trust_add_bytes(trusts[a], ca, ca_len, NULL));
        break;
    case 13:
        if (validator == NULL) break;
        enter(validator);
        any(devid_validator_set_any_purpose(validator, NULL));
        any(devid_validator_set_any_name(validator, NULL));
        any(devid_validator_set_revocation(validator, DEVID_REVOCATION_SOFT, DEVID_SCOPE_CHAIN, DEVID_PREFER_CRL, NULL));
        leave();
        break;
    case 14:
        if (validator == NULL || stores[b] == NULL) break;
        enter(validator);
        any(devid_validator_set_store(validator, stores[b], NULL));
        leave();
        break;
    case 15:
        if (fetchers[a] == NULL) break;
        enter(fetchers[a]);
        any(devid_fetcher_set_fetch(fetchers[a], "http", fetch, user(), end, NULL));
        leave();
        break;
    case 16:
        if (lists[a] != NULL && !is_in_use(lists[a])) any(devid_cert_list_add_bytes(lists[a], ca, ca_len, NULL));
        break;
    case 17:
        if (lists[a] != NULL && certs[b] != NULL && !is_in_use(lists[a])) any(devid_cert_list_add(lists[a], certs[b], NULL));
        break;
    case 18:
        if (blobs[a] != NULL) any(devid_bytes_append(blobs[a], devid_bytes_data(blobs[a]), devid_bytes_len(blobs[a]) % 4096, NULL));
        break;
    case 19:
        if (keys[a] != NULL) {
            devid_bytes *signature = NULL;
            enter(keys[a]);
            any(devid_key_sign(keys[a], "ECDSA-SHA256", ca, 32, &signature, NULL));
            leave();
            devid_bytes_free(signature);
        }
        break;
    case 20:
        if (peers[a] != NULL) {
            devid_bytes *spki = NULL;
            devid_error *err = NULL;
            any(devid_peer_public_key(peers[a], NOW + pick(2) * 1000000000, &spki, &err));
            devid_bytes_free(spki);
            devid_error_free(err);
        }
        break;
    default:
        if (reports[a] != NULL) (void)devid_report_finding_text(reports[a], pick(4));
        break;
    }
}

static void step(void)
{
    unsigned kind = pick(4), a = pick(SLOTS), b = pick(SLOTS), c = pick(SLOTS);
    if (in_use_count > 10) return;
    switch (kind) {
    case 0: make(pick(18), a, b, c); break;
    case 1: change(pick(22), a, b); break;
    case 2: drop(pick(14), a); break;
    default: judge(a, b, c, pick(2) == 0); break;
    }
}

static void one_sequence(const uint8_t *data, size_t len)
{
    unsigned kind, slot;
    choices = data;
    choices_left = len;
    destroyed = registered = 0;
    while (choices_left > 0) step();
    /* Ends of callbacks may make new handles: until nothing is left. */
    for (kind = 0; kind < 28; kind++) {
        for (slot = 0; slot < SLOTS; slot++) drop(kind % 14, slot);
    }
    CHECK(in_use_count == 0 && depth == 0);
    CHECK(destroyed == registered);
}

static void begin(void)
{
    if (ca != NULL) return;
    ca = read_file(folder, "ca.pem", &ca_len);
    device = read_file(folder, "device.pem", &device_len);
}

#ifdef DEVID_FUZZER
static const char *(*const unused)(int, char **) = data_folder;
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    (void)unused;
    begin();
    one_sequence(data, len < 4096 ? len : 4096);
    return 0;
}
#else
int main(int count, char **arguments)
{
    uint64_t state = 88172645463325252u;
    uint8_t data[600];
    long sequences = 0, seconds = count > 2 ? atol(arguments[2]) : 0;
    time_t until = time(NULL) + seconds;
    size_t i;
    folder = data_folder(count, arguments);
    begin();
    do {
        for (i = 0; i < sizeof data; i++) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            data[i] = (uint8_t)(state >> 24);
        }
        one_sequence(data, sizeof data);
        sequences++;
    } while (sequences < 200 || time(NULL) < until);
    free(ca);
    free(device);
    printf("sequences: %ld of %d choices each\n", sequences, (int)sizeof data);
    return 0;
}
#endif
