/* What it is linked to is what it was compiled for, and answers. */
#include <devid.h>
#include <stdio.h>
#include <string.h>

int main(void) {
    devid_key *key = NULL;
    devid_error *err = NULL;
    if (strcmp(devid_version_string(), DEVID_VERSION_STRING) != 0) {
        fprintf(stderr, "headers of %s, a library of %s\n", DEVID_VERSION_STRING, devid_version_string());
        return 1;
    }
    if (devid_key_generate("P-256", &key, &err)) {
        fprintf(stderr, "%s\n", devid_error_report(err));
        devid_error_free(err);
        return 1;
    }
    devid_key_free(key);
    printf("devid %s\n", devid_version_string());
    return 0;
}
