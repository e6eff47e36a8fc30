/* A device by its settings file: enrols, goes on, renews, whatever is due; then writes the identity for nginx.
 *   cc device.c $(pkg-config --cflags --libs devid) -o device
 *   ./device /etc/devid/devid.toml /etc/nginx/device          (from a timer, or a loop that sleeps as long as it says) */
#include <devid.h>
#include <stdio.h>

int main(int argc, char **argv) {
    devid_device *me = NULL; devid_error *err = NULL; uint32_t again = 0;
    int bad = devid_device_open(argc > 1 ? argv[1] : "/etc/devid/devid.toml", &me, &err)
        || devid_device_keep(me, DEVID_NOW, 60, NULL, &again, &err)
        || devid_device_export(me, "device", "nginx", argc > 2 ? argv[2] : "/etc/nginx/device", &err);
    if (bad) fprintf(stderr, "%s\n", devid_error_report(err));
    else printf("call again in %lu seconds\n", (unsigned long)again);
    devid_device_free(me); devid_error_free(err);
    return bad != 0;
}
