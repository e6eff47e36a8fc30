/* Validates a peer's certificate and shows what was found; prints the public key only if everything holds.
 *   ./validate ANCHORS.pem CERT.pem DNS-NAME [INTERMEDIATES.pem [CRL]]     "fetch" for CRL: by the URLs in the certificate
 * Exit status: 0 valid, 1 refused, 2 something else. */
#include "common.h"

/* The documents come from paths of any length here, unlike in the other examples. */
static uint8_t *document(const char *path, size_t *len)
{
    return read_file(".", path, len);
}

int main(int argc, char **argv)
{
    devid_trust *trust;
    devid_validator *validator;
    devid_fetcher *fetcher = NULL;
    devid_cert *cert;
    devid_report *report;
    devid_peer *peer;
    devid_status status;
    uint8_t *data;
    size_t len, i;
    if (argc < 4 || argc > 6) {
        fprintf(stderr, "usage: %s ANCHORS.pem CERT.pem DNS-NAME [INTERMEDIATES.pem [CRL]]\n", argv[0]);
        return 2;
    }
    use_all();
    data = document(argv[1], &len);
    OK(devid_trust_new(&trust, &err));
    OK(devid_trust_add_bytes(trust, data, len, &err));
    free(data);
    OK(devid_validator_new(trust, &validator, &err));
    /* What is not asked must be said: here the purpose, not the name. */
    OK(devid_validator_set_any_purpose(validator, &err));
    OK(devid_validator_add_name(validator, DEVID_NAME_DNS, argv[3], &err));
    if (argc > 4) {
        data = document(argv[4], &len);
        OK(devid_validator_add_intermediates(validator, data, len, &err));
        free(data);
    }
    if (argc > 5 && strcmp(argv[5], "fetch") == 0) {
        OK(devid_fetcher_new(NULL, &fetcher, &err));
        OK(devid_validator_set_revocation(validator, DEVID_REVOCATION_HARD, DEVID_SCOPE_LEAF, DEVID_PREFER_OCSP, &err));
    } else if (argc > 5) {
        data = document(argv[5], &len);
        OK(devid_validator_add_crls(validator, data, len, &err));
        OK(devid_validator_set_revocation(validator, DEVID_REVOCATION_HARD, DEVID_SCOPE_LEAF, DEVID_PREFER_CRL, &err));
        free(data);
    }
    data = document(argv[2], &len);
    OK(devid_cert_parse(data, len, &cert, &err));
    free(data);

    if (fetcher != NULL)
        status = devid_fetcher_validate(fetcher, validator, cert, utc_now(), &report, &peer, &err);
    else
        status = devid_validate(validator, cert, utc_now(), &report, &peer, &err);
    printf("%s: %s\n", devid_cert_subject(cert), status == DEVID_OK ? "valid" : devid_status_name(status));
    for (i = 0; i < devid_report_finding_count(report); i++)
        printf("  certificate %ld: %s %s\n", (long)devid_report_finding_certificate(report, i),
               devid_status_name(devid_report_finding_code(report, i)), devid_report_finding_text(report, i));
    if (status == DEVID_OK) {
        devid_bytes *key;
        OK(devid_peer_public_key(peer, utc_now(), &key, &err));
        printf("  public key: ");
        for (i = 0; i < devid_bytes_len(key); i++) printf("%02x", devid_bytes_data(key)[i]);
        printf("\n");
        devid_bytes_free(key);
    }
    devid_error_free(err);
    devid_peer_free(peer);
    devid_report_free(report);
    devid_cert_free(cert);
    devid_fetcher_free(fetcher);
    devid_validator_free(validator);
    devid_trust_free(trust);
    if (status == DEVID_OK) return 0;
    return devid_status_class(status) == DEVID_CLASS_VALIDATION ? 1 : 2;
}
