/* A device without any network gets its identity, renews it, and checks peers. Messages, requests, certificates and CRLs travel as
 * files on a stick; what the device knows is in device memory. The program is run again and again, as after reboots:
 *   ./offline MATERIAL MEMORY STICK
 * Exit status 3: somebody has to carry the stick to the CA and back (scripts/carry.py plays that part). 0: the story is over.
 * MATERIAL is a folder written by devid-testca: what the device got in the factory and from the operator. */
#include "common.h"

#define CARRY 3

static devid_store *store;
static const char *material, *stick;

static void tell(const char *words)
{
    printf("   %s\n", words);
}

static int stick_has(const char *name)
{
    char path[512];
    FILE *file;
    snprintf(path, sizeof path, "%s/%s", stick, name);
    file = fopen(path, "rb");
    if (file != NULL) fclose(file);
    return file != NULL;
}

/* 1. The supplier's identity, and the operator's root for each use, go into device memory from files. */
static void factory(void)
{
    static const char *const uses[] = {"cmp", "enrolment", "peer"};
    devid_key *key = read_key(material, "idevid.key");
    devid_cert *cert = read_cert(material, "idevid.pem");
    devid_cert_list *chain, *root;
    size_t len, i;
    uint8_t *data = read_file(material, "idevid-chain.pem", &len);
    OK(devid_cert_list_new(&chain, &err));
    OK(devid_cert_list_add_bytes(chain, data, len, &err));
    OK(devid_store_install(store, "idevid", key, NULL, cert, chain, "idevid", utc_now(), &err));
    free(data);
    data = read_file(material, "root.pem", &len);
    OK(devid_cert_list_new(&root, &err));
    OK(devid_cert_list_add_anchors(root, data, len, &err));
    for (i = 0; i < 3; i++) OK(devid_store_put_anchors(store, uses[i], root, &err));
    free(data);
    devid_cert_list_free(root);
    devid_cert_list_free(chain);
    devid_cert_free(cert);
    devid_key_free(key);
    tell("1. factory: the supplier's identity and the operator's anchors are in device memory");
}

/* A client that protects its messages with an identity in device memory. */
static devid_client *client_of(const char *name)
{
    devid_config *config;
    devid_client *client;
    devid_identity *identity;
    devid_key *key;
    devid_cert_list *chain;
    size_t len;
    uint8_t *root = read_file(material, "root.pem", &len);
    OK(devid_config_new(&config, &err));
    OK(devid_config_add_cmp_anchors(config, root, len, &err));
    OK(devid_config_add_enrolment_anchors(config, root, len, &err));
    OK(devid_config_set_time_window(config, -1, &err)); /* answers may be weeks old */
    OK(devid_store_current(store, name, &identity, &err));
    OK(devid_identity_key(identity, &key, &err));
    OK(devid_identity_chain(identity, &chain, &err));
    OK(devid_config_set_credential(config, key, chain, &err));
    OK(devid_client_new(config, &client, &err));
    devid_cert_list_free(chain);
    devid_key_free(key);
    devid_identity_free(identity);
    devid_config_free(config);
    free(root);
    return client;
}

static devid_subject *subject_of(const char *name)
{
    devid_subject *subject;
    OK(devid_subject_new(&subject, &err));
    OK(devid_subject_set_name(subject, name, &err));
    return subject;
}

/* An operation as far as the files on the stick carry it; bound to device memory, it goes on in the next run. */
static void travel(devid_op *op)
{
    devid_status status;
    OK(devid_op_set_files(op, stick, "device", &err));
    status = devid_op_run(op, &err);
    if (status == DEVID_E_BUSY) {
        printf("   %s is on the stick\n", devid_op_output_name(op));
        devid_error_free(err);
        err = NULL;
        exit(CARRY);
    }
    OK(status);
    devid_op_free(op);
}

/* 2. and 3. A CMP enrolment, then a key update, by files (RFC 9483 section 6.4.1). */
static void enrol_or_renew(const char *credential, int is_new)
{
    devid_client *client = client_of(credential);
    devid_op *op;
    int32_t state;
    OK(devid_store_state(store, "device", &state, &err));
    if ((state & DEVID_STATE_OPERATION) != 0) {
        OK(devid_op_resume(client, store, "device", "ldevid", NULL, &op, &err));
    } else {
        devid_key *key;
        devid_subject *subject = subject_of("CN=device-9,O=Operator");
        OK(devid_key_generate("P-256", &key, &err));
        if (is_new)
            OK(devid_op_enroll(client, key, subject, &op, &err));
        else
            OK(devid_op_renew(client, key, &op, &err));
        OK(devid_op_install_into(op, store, "device", "ldevid", NULL, &err));
        devid_subject_free(subject);
        devid_key_free(key);
    }
    if (op != NULL) travel(op);
    devid_client_free(client);
    tell(is_new ? "2. enrolled by files: generation 1 is in use" : "3. key update by files: generation 2 is in use");
}

/* Checks with the anchors of a use, and the CRLs in device memory. No network: no OCSP. */
static devid_validator *validator_of(const char *use, const char *name)
{
    devid_cert_list *anchors;
    devid_trust *trust;
    devid_validator *validator;
    size_t len, i;
    uint8_t *issuing = read_file(material, "issuing.pem", &len);
    OK(devid_store_anchors(store, use, &anchors, &err));
    OK(devid_trust_new(&trust, &err));
    for (i = 0; i < devid_cert_list_count(anchors); i++) {
        devid_cert *anchor;
        OK(devid_cert_list_at(anchors, i, &anchor, &err));
        OK(devid_trust_add(trust, anchor, &err));
        devid_cert_free(anchor);
    }
    OK(devid_validator_new(trust, &validator, &err));
    OK(devid_validator_add_intermediates(validator, issuing, len, &err));
    OK(devid_validator_set_any_purpose(validator, &err));
    if (name != NULL)
        OK(devid_validator_add_name(validator, DEVID_NAME_DNS, name, &err));
    else
        OK(devid_validator_set_any_name(validator, &err));
    OK(devid_validator_set_revocation(validator, DEVID_REVOCATION_HARD, DEVID_SCOPE_LEAF, DEVID_PREFER_CRL, &err));
    free(issuing);
    issuing = read_file(material, "issuing.crl", &len);
    OK(devid_validator_add_crls(validator, issuing, len, &err));
    free(issuing);
    devid_cert_list_free(anchors);
    devid_trust_free(trust);
    return validator;
}

/* 4. A CA that takes no CMP: PKCS#10 out, certificate in. */
static void by_request(void)
{
    devid_bytes *data;
    devid_validator *validator;
    devid_identity *identity;
    uint8_t *answer;
    size_t len;
    int32_t state;
    OK(devid_store_state(store, "device-pkcs10", &state, &err));
    if ((state & DEVID_STATE_REQUEST) == 0) {
        char path[512];
        FILE *file;
        devid_key *key;
        devid_request *request;
        devid_subject *subject = subject_of("CN=device-9-web,O=Operator");
        OK(devid_key_generate("P-256", &key, &err));
        OK(devid_request_new(key, subject, NULL, "ECDSA-SHA256", &request, &err));
        OK(devid_store_put_request(store, "device-pkcs10", key, NULL, request, &err));
        OK(devid_request_data(request, DEVID_FORM_PEM, &data, &err));
        snprintf(path, sizeof path, "%s/device-pkcs10.csr", stick);
        file = fopen(path, "wb");
        if (file == NULL || fwrite(devid_bytes_data(data), 1, devid_bytes_len(data), file) != devid_bytes_len(data) || fclose(file) != 0) {
            fprintf(stderr, "cannot write %s\n", path);
            exit(1);
        }
        devid_bytes_free(data);
        devid_request_free(request);
        devid_subject_free(subject);
        devid_key_free(key);
    }
    if (!stick_has("device-pkcs10.pem")) {
        tell("a PKCS#10 request is on the stick, its key in device memory");
        exit(CARRY);
    }
    answer = read_file(stick, "device-pkcs10.pem", &len);
    validator = validator_of("enrolment", NULL);
    OK(devid_store_import_checked(store, "device-pkcs10", answer, len, validator, "tls", 0, utc_now(), NULL, &identity, &err));
    free(answer);
    devid_identity_free(identity);
    devid_validator_free(validator);
    tell("4. the certificate from a file found its key, passed the CRL, and is in use");
}

/* 5. Peers, by anchors, certificates and CRLs from files. */
static void peers(void)
{
    static const char secret[] = "firmware key of the day";
    devid_cert *good = read_cert(material, "peer-good.pem"), *revoked = read_cert(material, "peer-revoked.pem");
    devid_validator *validator = validator_of("peer", "good.peer.example");
    devid_peer *peer;
    devid_bytes *cms;
    devid_status status;
    OK(devid_validate(validator, good, utc_now(), NULL, &peer, &err));
    OK(devid_peer_encrypt(peer, utc_now(), DEVID_ENCRYPTION_GCM, (const uint8_t *)secret, sizeof secret, &cms, &err));
    printf("   5. %s is valid; %lu bytes are encrypted for it\n", devid_cert_subject(good), (unsigned long)devid_bytes_len(cms));
    devid_bytes_free(cms);
    devid_peer_free(peer);
    devid_validator_free(validator);
    validator = validator_of("peer", "revoked.peer.example");
    status = devid_validate(validator, revoked, utc_now(), NULL, &peer, &err);
    if (status != DEVID_E_REVOKED || peer != NULL) {
        fprintf(stderr, "FAILED: a revoked peer got %s\n", devid_status_name(status));
        exit(1);
    }
    printf("      %s is refused: %s\n", devid_cert_subject(revoked), devid_error_message(err));
    devid_error_free(err);
    devid_validator_free(validator);
    devid_cert_free(good);
    devid_cert_free(revoked);
}

int main(int argc, char **argv)
{
    devid_identity *identity;
    uint32_t generation = 0;
    int32_t state;
    if (argc != 4) return fprintf(stderr, "usage: %s MATERIAL MEMORY STICK\n", argv[0]), 2;
    use_all();
    setvbuf(stdout, NULL, _IOLBF, 0);
    material = argv[1];
    stick = argv[3];
    OK(devid_store_open_dir(argv[2], NULL, 0, &store, &err));
    OK(devid_store_state(store, "idevid", &state, &err));
    if ((state & DEVID_STATE_CURRENT) == 0) factory();
    if (devid_store_current(store, "device", &identity, NULL) == DEVID_OK) {
        generation = devid_identity_generation(identity);
        devid_identity_free(identity);
    }
    if (generation == 0) enrol_or_renew("idevid", 1);
    if (generation <= 1) enrol_or_renew("device", 0);
    by_request();
    peers();
    devid_store_free(store);
    printf("   C: every step succeeded, without a network.\n");
    return 0;
}
