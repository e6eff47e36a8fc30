/* A program that validates a certificate, with CRLs, and gets the peer's key: what sizes are measured of, and instructions counted.
 *
 * validate ANCHORS INTERMEDIATES CRLS CERTIFICATE COUNT: files in PEM or DER; the certificate is read and validated COUNT times. */
#include "check.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const uint8_t *document(const char *path, size_t *len)
{
    static uint8_t data[1 << 20];
    FILE *in = fopen(path, "rb");

    if (in == NULL) {
        perror(path);
        exit(1);
    }
    *len = fread(data, 1, sizeof(data), in);
    fclose(in);
    return data;
}

static void validate(const devid_validator *validator, const uint8_t *data, size_t len)
{
    devid_cert *cert = NULL;
    devid_report *report = NULL;
    devid_peer *peer = NULL;
    devid_bytes *key = NULL;
    int64_t now = (int64_t)time(NULL);

    CHECK(devid_cert_parse(data, len, &cert, &error));
    CHECK(devid_validate(validator, cert, now, &report, &peer, &error));
    CHECK(devid_peer_public_key(peer, now, &key, &error));
    devid_bytes_free(key);
    devid_peer_free(peer);
    devid_report_free(report);
    devid_cert_free(cert);
}

int main(int argc, char **argv)
{
    devid_trust *trust = NULL;
    devid_validator *validator = NULL;
    const uint8_t *data;
    size_t len;
    long count;

    if (argc != 6) {
        fprintf(stderr, "usage: validate ANCHORS INTERMEDIATES CRLS CERTIFICATE COUNT\n");
        return 2;
    }
    CHECK(devid_trust_new(&trust, &error));
    data = document(argv[1], &len);
    CHECK(devid_trust_add_bytes(trust, data, len, &error));
    CHECK(devid_validator_new(trust, &validator, &error));
    CHECK(devid_validator_set_any_purpose(validator, &error));
    CHECK(devid_validator_add_name(validator, DEVID_NAME_DNS, "peer.example", &error));
    data = document(argv[2], &len);
    CHECK(devid_validator_add_intermediates(validator, data, len, &error));
    data = document(argv[3], &len);
    CHECK(devid_validator_add_crls(validator, data, len, &error));
    CHECK(devid_validator_set_revocation(validator, DEVID_REVOCATION_HARD, DEVID_SCOPE_CHAIN, DEVID_PREFER_CRL, &error));
    data = document(argv[4], &len);
    for (count = atol(argv[5]); count > 0; count--)
        validate(validator, data, len);
    devid_validator_free(validator);
    devid_trust_free(trust);
    return 0;
}
