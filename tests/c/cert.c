/* Certificates and lists. */
#include "test.h"

static void a_certificate_tells_what_it_says(const char *folder)
{
    devid_error *err = NULL;
    devid_cert *cert, *again;
    devid_bytes *pem;
    size_t len, der_len;
    uint8_t *data = read_file(folder, "device.pem", &len);
    const uint8_t *der;
    OK(devid_cert_parse(data, len, &cert, &err));
    CHECK(strcmp(devid_cert_subject(cert), "CN=router-7,O=Example") == 0);
    CHECK(strcmp(devid_cert_issuer(cert), "CN=Test Root,O=Example") == 0);
    CHECK(devid_cert_name_count(cert) == 2 && devid_cert_name(cert, 2) == NULL);
    CHECK(strcmp(devid_cert_name(cert, 0), "DNS:router-7.example") == 0 && strcmp(devid_cert_name(cert, 1), "IP:192.0.2.7") == 0);
    CHECK(strcmp(devid_cert_url(cert, DEVID_URL_CRL, 0), "http://crl.example/ca.crl") == 0);
    CHECK(strcmp(devid_cert_url(cert, DEVID_URL_OCSP, 0), "http://ocsp.example/") == 0);
    CHECK(strcmp(devid_cert_url(cert, DEVID_URL_CA_ISSUERS, 0), "http://ca.example/ca.cer") == 0);
    CHECK(devid_cert_url(cert, DEVID_URL_CRL, 1) == NULL && devid_cert_url(cert, 0, 0) == NULL && devid_cert_url(cert, 4, 0) == NULL);
    CHECK(strcmp(devid_cert_serial(cert), "1234abcd") == 0);
    CHECK(devid_cert_not_after(cert) - devid_cert_not_before(cert) == (int64_t)36500 * 86400);
    der = devid_cert_der(cert, &der_len);
    OK(devid_cert_parse(der, der_len, &again, &err));
    OK(devid_cert_pem(again, &pem, &err));
    CHECK(strcmp((const char *)devid_bytes_data(pem), (const char *)data) == 0);
    devid_bytes_free(pem);
    devid_cert_free(again);

    FAILS(DEVID_E_DER, devid_cert_parse(der, der_len - 1, &again, &err));
    CHECK(again == NULL);
    devid_cert_free(cert);
    /* A NUL that a careless length counts is found. */
    FAILS(DEVID_E_PEM, devid_cert_parse((const uint8_t *)"-----BEGIN CERTIFICATE-----\n", 28, &cert, &err));
    free(data);
}

static void a_list_keeps_its_order(const char *folder)
{
    devid_error *err = NULL;
    devid_cert_list *list;
    devid_cert *cert;
    devid_bytes *pem;
    size_t device_len, other_len, rejected_len;
    uint8_t *device = read_file(folder, "device.pem", &device_len);
    uint8_t *other = read_file(folder, "other.pem", &other_len);
    uint8_t *rejected = read_file(folder, "rejected.pem", &rejected_len);
    OK(devid_cert_list_new(&list, &err));
    CHECK(devid_cert_list_count(list) == 0);
    OK(devid_cert_list_add_bytes(list, device, device_len, &err));
    OK(devid_cert_parse(other, other_len, &cert, &err));
    OK(devid_cert_list_add(list, cert, &err));
    devid_cert_free(cert);
    CHECK(devid_cert_list_count(list) == 2);
    OK(devid_cert_list_at(list, 1, &cert, &err));
    CHECK(strcmp(devid_cert_subject(cert), "CN=other") == 0);
    devid_cert_free(cert);
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_cert_list_at(list, 2, &cert, &err));
    CHECK(cert == NULL);

    OK(devid_cert_list_pem(list, &pem, &err));
    FAILS(DEVID_E_PEM, devid_cert_parse(devid_bytes_data(pem), devid_bytes_len(pem), &cert, &err));
    OK(devid_cert_list_add_bytes(list, devid_bytes_data(pem), devid_bytes_len(pem), &err));
    CHECK(devid_cert_list_count(list) == 4);
    FAILS(DEVID_E_PEM, devid_cert_list_add_bytes(list, (const uint8_t *)"-----BEGIN X-----\n-----END X-----\n", 34, &err));
    CHECK(devid_cert_list_count(list) == 4);
    devid_bytes_free(pem);
    devid_cert_list_free(list);

    /* What `openssl x509 -trustout -addreject serverAuth` has written is a certificate, and no trust anchor. */
    OK(devid_cert_list_new(&list, &err));
    OK(devid_cert_list_add_anchors(list, device, device_len, &err));
    CHECK(devid_cert_list_count(list) == 1);
    FAILS(DEVID_E_DER, devid_cert_list_add_anchors(list, rejected, rejected_len, &err));
    CHECK(devid_cert_list_count(list) == 1);
    OK(devid_cert_list_add_bytes(list, rejected, rejected_len, &err));
    CHECK(devid_cert_list_count(list) == 2);
    devid_cert_list_free(list);
    free(rejected);
    free(device);
    free(other);
}

int main(int argc, char **argv)
{
    const char *folder = data_folder(argc, argv);
    a_certificate_tells_what_it_says(folder);
    a_list_keeps_its_order(folder);
    CHECK(devid_cert_subject(NULL)[0] == 0 && devid_cert_der(NULL, NULL) == NULL);
    return 0;
}
