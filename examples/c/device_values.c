/* A device by values, without a settings file; then judges a peer, and shows what stands below.
 *   cc device_values.c $(pkg-config --cflags --libs devid) -o device_values
 *   ./device_values FOLDER URL ROOT.pem REFERENCE file:SECRET SUBJECT SIGNER.pem PEER.pem PEER-NAME */
#include "common.h"

int main(int argc, char **argv) {
    devid_device *me = NULL; devid_bytes *text = NULL; devid_peer *peer = NULL;
    devid_done done = 0; uint32_t again = 0; size_t len = 0; uint8_t *sent; devid_status status;
    if (argc != 10) return fprintf(stderr, "usage: device_values FOLDER URL ROOT REFERENCE SOURCE SUBJECT SIGNER PEER NAME\n"), 2;
    OK(devid_device_new(argv[1], &me, &err));
    OK(devid_device_set(me, "ca.server", argv[2], &err));
    OK(devid_device_set(me, "ca.trust.all", argv[3], &err));
    OK(devid_device_set(me, "ca.login.reference", argv[4], &err));
    OK(devid_device_set(me, "ca.login.secret", argv[5], &err));
    OK(devid_device_set(me, "identity.device.subject", argv[6], &err));
    OK(devid_device_set(me, "ca.trust.signers", argv[7], &err));
    OK(devid_device_set(me, "peers.trust", argv[3], &err));
    OK(devid_device_keep(me, DEVID_NOW, 60, &done, &again, &err));
    printf("%s, again in %lu seconds\n", done == DEVID_DONE_INSTALLED ? "installed" : "nothing was due", (unsigned long)again);

    OK(devid_device_status(me, DEVID_NOW, &text, &err));
    printf("%s\n", (const char *)devid_bytes_data(text));
    devid_bytes_free(text);
    OK(devid_device_pem(me, "device", DEVID_PART_FULL_CHAIN, &text, &err));
    printf("%s", (const char *)devid_bytes_data(text));
    devid_bytes_free(text);

    sent = read_file(".", argv[8], &len);
    status = devid_device_check(me, sent, len, argv[9], DEVID_NOW, &peer, &err);
    if (status != DEVID_OK) printf("%s is not to be believed: %s\n", argv[9], devid_error_message(err));
    else printf("%s is to be believed\n", argv[9]);
    devid_error_free(err);
    devid_peer_free(peer);
    use_all();
    devid_device_free(me);
    free(sent);
    return status != DEVID_OK;
}
