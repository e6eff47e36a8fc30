/* The whole life of a device's identity, against the test CA on this machine. `make demo` runs it.
 *   demo MATERIAL CMP-URL OCSP-URL CRL-URL MEMORY
 * MATERIAL is the folder that devid-testca wrote; MEMORY is where the device keeps what it gets. */
#include "common.h"

#include <unistd.h>

static double begun;

static void step(int number, const char *title)
{
    printf("\n%d. %s\n", number, title);
    begun = milliseconds();
}

static void tell(const char *what, const char *words)
{
    printf("   %-9s %s\n", what, words);
}

/* Drives an operation step by step and tells what is sent and what came. */
static void drive(devid_op *op)
{
    devid_action action;
    for (;;) {
        char line[256];
        OK(devid_op_step(op, utc_now(), &action, &err));
        if (action == DEVID_ACTION_SEND) {
            size_t len;
            double sent = milliseconds();
            (void)devid_op_output(op, &len);
            snprintf(line, sizeof line, "%s, %lu bytes", devid_op_output_name(op), (unsigned long)len);
            OK(devid_op_exchange(op, &err));
            printf("   %-9s %s; the answer came after %.1f ms\n", "sent", line, milliseconds() - sent);
        } else if (action == DEVID_ACTION_WAIT) {
            uint32_t seconds = devid_op_wait_seconds(op);
            printf("   %-9s the CA says 'waiting': polling again in %lu s %s\n", "waiting", (unsigned long)seconds, devid_op_wait_reason(op));
            sleep(seconds);
        } else if (action == DEVID_ACTION_ACCEPT) {
            devid_cert *cert;
            OK(devid_op_certificate(op, &cert, &err));
            snprintf(line, sizeof line, "%.100s, serial %.48s", devid_cert_subject(cert), devid_cert_serial(cert));
            tell("issued", line);
            if (devid_op_difference_count(op) != 0) {
                fprintf(stderr, "FAILED: not what was asked for: %s\n", devid_op_difference(op, 0));
                exit(1);
            }
            tell("checked", "its public key, its subject, its path to the enrolment anchor");
            OK(devid_op_accept(op, &err));
            devid_cert_free(cert);
        } else if (action == DEVID_ACTION_DONE) {
            printf("   %-9s confirmed; %.1f ms in all\n", "done", milliseconds() - begun);
            return;
        } else {
            fprintf(stderr, "FAILED: an action that was not expected: %ld\n", (long)action);
            exit(1);
        }
    }
}

/* Puts the result of an operation into device memory, and says which generation it is. */
static void install(devid_store *store, const char *name, const devid_key *key, const devid_op *op)
{
    devid_cert *cert;
    devid_cert_list *chain;
    devid_identity *identity;
    OK(devid_op_certificate(op, &cert, &err));
    OK(devid_op_issuers(op, &chain, &err));
    OK(devid_store_install(store, name, key, NULL, cert, chain, "ldevid", utc_now(), &err));
    OK(devid_store_current(store, name, &identity, &err));
    printf("   %-9s as '%s', generation %lu, with its key and %lu certificates of the chain\n", "installed", name,
           (unsigned long)devid_identity_generation(identity), (unsigned long)devid_cert_list_count(chain));
    devid_identity_free(identity);
    devid_cert_list_free(chain);
    devid_cert_free(cert);
}

static devid_subject *subject_of(const char *name)
{
    devid_subject *subject;
    OK(devid_subject_new(&subject, &err));
    OK(devid_subject_set_name(subject, name, &err));
    OK(devid_subject_add_dns(subject, "device-1.example", &err));
    OK(devid_subject_add_key_usage(subject, "digitalSignature", &err));
    return subject;
}

static devid_config *settings(const char *material, const char *url)
{
    devid_config *config;
    size_t len;
    uint8_t *root = read_file(material, "root.pem", &len);
    OK(devid_config_new(&config, &err));
    OK(devid_config_set_server(config, url, &err));
    OK(devid_config_add_cmp_anchors(config, root, len, &err));
    OK(devid_config_add_enrolment_anchors(config, root, len, &err));
    free(root);
    return config;
}

/* The identity in use, as the credential of the settings. */
static void protect_with(devid_config *config, devid_store *store, const char *name)
{
    devid_identity *identity;
    devid_key *key;
    devid_cert_list *chain;
    OK(devid_store_current(store, name, &identity, &err));
    OK(devid_identity_key(identity, &key, &err));
    OK(devid_identity_chain(identity, &chain, &err));
    OK(devid_config_set_credential(config, key, chain, &err));
    devid_cert_list_free(chain);
    devid_key_free(key);
    devid_identity_free(identity);
}

static void factory(devid_store *store, const char *material)
{
    devid_key *key = read_key(material, "idevid.key");
    devid_cert *cert = read_cert(material, "idevid.pem");
    devid_cert_list *chain;
    size_t len;
    uint8_t *data = read_file(material, "idevid-chain.pem", &len);
    step(1, "Factory state: the supplier's identity (IDevID) is in device memory");
    OK(devid_cert_list_new(&chain, &err));
    OK(devid_cert_list_add_bytes(chain, data, len, &err));
    OK(devid_store_install(store, "idevid", key, NULL, cert, chain, "idevid", utc_now(), &err));
    tell("subject", devid_cert_subject(cert));
    tell("issuer", devid_cert_issuer(cert));
    free(data);
    devid_cert_list_free(chain);
    devid_cert_free(cert);
    devid_key_free(key);
}

/* An enrolment from settings to device memory. */
static void enrol(const devid_config *config, devid_store *store, const char *name, const char *wanted)
{
    devid_client *client;
    devid_key *key;
    devid_subject *subject = subject_of(wanted);
    devid_op *op;
    OK(devid_client_new(config, &client, &err));
    OK(devid_key_generate("P-256", &key, &err));
    OK(devid_op_enroll(client, key, subject, &op, &err));
    drive(op);
    install(store, name, key, op);
    devid_op_free(op);
    devid_subject_free(subject);
    devid_key_free(key);
    devid_client_free(client);
}

/* A validator for a peer of this name, hard about its status, with no status data yet. */
static devid_validator *validator_without_status(const char *material, const char *name)
{
    devid_trust *trust;
    devid_validator *validator;
    size_t len;
    uint8_t *data = read_file(material, "root.pem", &len);
    OK(devid_trust_new(&trust, &err));
    OK(devid_trust_add_bytes(trust, data, len, &err));
    free(data);
    OK(devid_validator_new(trust, &validator, &err));
    data = read_file(material, "issuing.pem", &len);
    OK(devid_validator_add_intermediates(validator, data, len, &err));
    free(data);
    OK(devid_validator_set_any_purpose(validator, &err));
    OK(devid_validator_add_name(validator, DEVID_NAME_DNS, name, &err));
    OK(devid_validator_set_revocation(validator, DEVID_REVOCATION_HARD, DEVID_SCOPE_LEAF, DEVID_PREFER_OCSP, &err));
    devid_trust_free(trust);
    return validator;
}

/* The same with fresh status: the CRL by URL, and an OCSP response about this certificate. */
static devid_validator *validator_for(const char *material, const devid_cert *peer, const char *name, const char *ocsp_url, const char *crl_url)
{
    devid_validator *validator = validator_without_status(material, name);
    devid_cert *issuing = read_cert(material, "issuing.pem");
    devid_ocsp_request *request;
    devid_bytes *document;
    size_t len;
    const uint8_t *der;

    OK(devid_fetch(crl_url, NULL, 0, 0, &document, &err));
    OK(devid_validator_add_crls(validator, devid_bytes_data(document), devid_bytes_len(document), &err));
    printf("   %-9s CRL, %lu bytes\n", "fetched", (unsigned long)devid_bytes_len(document));
    devid_bytes_free(document);

    OK(devid_ocsp_request_new(peer, issuing, "SHA1", 1, &request, &err));
    der = devid_ocsp_request_der(request, &len);
    OK(devid_fetch(ocsp_url, der, len, 0, &document, &err));
    OK(devid_validator_add_ocsp(validator, devid_bytes_data(document), devid_bytes_len(document), request, &err));
    printf("   %-9s OCSP response with our nonce, %lu bytes\n", "fetched", (unsigned long)devid_bytes_len(document));
    devid_bytes_free(document);
    devid_ocsp_request_free(request);
    devid_cert_free(issuing);
    return validator;
}

static void peers(const char *material, const char *ocsp_url, const char *crl_url)
{
    static const char secret[] = "firmware key of the day";
    devid_cert *good = read_cert(material, "peer-good.pem"), *revoked = read_cert(material, "peer-revoked.pem");
    devid_key *theirs = read_key(material, "peer-good.key");
    devid_validator *validator;
    devid_fetcher *fetcher;
    devid_peer *peer;
    devid_bytes *cms, *opened;
    devid_status status;
    step(4, "A peer is validated; only then its public key comes out");
    tell("peer", devid_cert_subject(good));
    validator = validator_for(material, good, "good.peer.example", ocsp_url, crl_url);
    OK(devid_validate(validator, good, utc_now(), NULL, &peer, &err));
    printf("   %-9s path, name and status hold; %.1f ms\n", "valid", milliseconds() - begun);
    OK(devid_peer_encrypt(peer, utc_now(), DEVID_ENCRYPTION_GCM, (const uint8_t *)secret, sizeof secret, &cms, &err));
    printf("   %-9s %lu bytes for the peer into CMS of %lu bytes\n", "encrypted", (unsigned long)sizeof secret, (unsigned long)devid_bytes_len(cms));
    OK(devid_key_decrypt(theirs, good, devid_bytes_data(cms), devid_bytes_len(cms), &opened, &err));
    if (devid_bytes_len(opened) != sizeof secret || memcmp(devid_bytes_data(opened), secret, sizeof secret) != 0) {
        fprintf(stderr, "FAILED: the peer reads something else\n");
        exit(1);
    }
    tell("opened", "by the peer with its private key: the same");
    devid_bytes_free(opened);
    devid_bytes_free(cms);
    devid_peer_free(peer);
    devid_validator_free(validator);

    /* The same without knowing where: by the URLs in the certificate, and only once its path holds. */
    validator = validator_without_status(material, "good.peer.example");
    OK(devid_fetcher_new(NULL, &fetcher, &err));
    OK(devid_fetcher_validate(fetcher, validator, good, utc_now(), NULL, &peer, &err));
    printf("   %-9s its status by the URLs in its certificate; kept for %ld s\n", "fetched", (long)(devid_peer_expires(peer) - utc_now()));
    devid_peer_free(peer);
    devid_fetcher_free(fetcher);
    devid_validator_free(validator);

    tell("peer", devid_cert_subject(revoked));
    validator = validator_for(material, revoked, "revoked.peer.example", ocsp_url, crl_url);
    status = devid_validate(validator, revoked, utc_now(), NULL, &peer, &err);
    if (status != DEVID_E_REVOKED || peer != NULL) {
        fprintf(stderr, "FAILED: a revoked peer got %s\n", devid_status_name(status));
        exit(1);
    }
    tell("refused", devid_error_message(err));
    tell("", "no key came out");
    devid_error_free(err);
    err = NULL;
    devid_validator_free(validator);
    devid_key_free(theirs);
    devid_cert_free(good);
    devid_cert_free(revoked);
}

static void renew(const char *material, const char *url, devid_store *store)
{
    devid_config *config = settings(material, url);
    devid_client *client;
    devid_key *key;
    devid_op *op;
    devid_identity *identity;
    step(5, "Key update (kur) with a new key pair, protected by the identity in use");
    protect_with(config, store, "device");
    OK(devid_client_new(config, &client, &err));
    OK(devid_key_generate("P-256", &key, &err));
    OK(devid_op_renew(client, key, &op, &err));
    drive(op);
    install(store, "device", key, op);
    OK(devid_store_previous(store, "device", &identity, &err));
    printf("   %-9s generation %lu, for rollback\n", "kept", (unsigned long)devid_identity_generation(identity));
    devid_identity_free(identity);
    devid_op_free(op);
    devid_key_free(key);
    devid_client_free(client);
    devid_config_free(config);
}

int main(int argc, char **argv)
{
    devid_store *store;
    devid_config *config;
    uint8_t *reference, *secret;
    size_t reference_len, secret_len;
    const char *material, *cmp_url;
    if (argc != 6) {
        fprintf(stderr, "usage: %s MATERIAL CMP-URL OCSP-URL CRL-URL MEMORY\n", argv[0]);
        return 2;
    }
    use_all();
    setvbuf(stdout, NULL, _IOLBF, 0);
    material = argv[1];
    cmp_url = argv[2];
    printf("devid %s, against the test CA at %s\n", devid_version_string(), cmp_url);
    OK(devid_store_open_dir(argv[5], NULL, 0, &store, &err));
    factory(store, material);

    step(2, "Initial request (ir), signed with the IDevID's key");
    config = settings(material, cmp_url);
    protect_with(config, store, "idevid");
    {
        devid_client *client;
        devid_key *key;
        devid_subject *subject = subject_of("CN=device-1,O=Operator");
        devid_op *op;
        OK(devid_client_new(config, &client, &err));
        OK(devid_key_generate("P-256", &key, &err));
        OK(devid_op_enroll(client, key, subject, &op, &err));
        drive(op);
        step(3, "The issued certificate goes into device memory");
        install(store, "device", key, op);
        devid_op_free(op);
        devid_subject_free(subject);
        devid_key_free(key);
        devid_client_free(client);
    }
    devid_config_free(config);

    peers(material, argv[3], argv[4]);
    renew(material, cmp_url, store);

    step(6, "The same enrolment with reference value and secret (MAC) instead of the IDevID");
    config = settings(material, cmp_url);
    reference = read_file(material, "reference.txt", &reference_len);
    secret = read_file(material, "secret.txt", &secret_len);
    OK(devid_config_set_secret(config, reference, reference_len, secret, secret_len, &err));
    enrol(config, store, "device-by-secret", "CN=device-2,O=Operator");
    devid_config_free(config);

    if (getenv("TESTCA_RA") != NULL) {
        step(7, "The same through a registration authority: device -> RA -> CA");
        config = settings(material, getenv("TESTCA_RA"));
        OK(devid_config_set_secret(config, reference, reference_len, secret, secret_len, &err));
        enrol(config, store, "device-behind-ra", "CN=device-3,O=Operator");
        tell("RA", "checked who asks and that the key is theirs, and vouched for it to the CA");
        devid_config_free(config);
    }
    free(reference);
    free(secret);
    devid_store_free(store);
    printf("\nC: every step succeeded.\n");
    return 0;
}
