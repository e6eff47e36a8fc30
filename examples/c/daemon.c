/* A daemon that keeps an identity up for years: enrols, renews, waits out failures, goes on after a reboot.
 *   ./daemon CMP-URL MEMORY SUBJECT DEVICE-ID [once]
 * MEMORY is device memory with the factory's identity as "idevid" and the anchors "cmp" and "enrolment"; the identity kept up is
 * "device". With "once" it does what is due and ends, for a systemd timer or cron: see examples/systemd. Exit status 1: people
 * should look. */
#include "common.h"

#include <unistd.h>

static void tell(void *user, int32_t level, const char *message)
{
    (void)user;
    fprintf(level == DEVID_LOG_INFO ? stdout : stderr, "%s\n", message);
}

static devid_renewal *keeper(const char *url, const char *wanted, const char *device_id)
{
    devid_config *config;
    devid_subject *subject;
    devid_renewal *renewal;
    OK(devid_config_new(&config, &err));
    OK(devid_config_set_server(config, url, &err));
    OK(devid_config_set_log(config, tell, NULL, NULL, &err));
    OK(devid_subject_new(&subject, &err));
    OK(devid_subject_set_name(subject, wanted, &err));
    OK(devid_renewal_new(config, "device", "ldevid", &renewal, &err));
    OK(devid_renewal_set_factory(renewal, "idevid", &err));
    OK(devid_renewal_set_subject(renewal, subject, &err));
    OK(devid_renewal_set_device_id(renewal, (const uint8_t *)device_id, strlen(device_id), &err));
    devid_subject_free(subject);
    devid_config_free(config);
    return renewal;
}

int main(int argc, char **argv)
{
    static const char *const worry[] = {"", "the renewal is late", "the certificate ends soon", "there is no usable identity"};
    int once = argc == 6 && strcmp(argv[5], "once") == 0;
    devid_store *store;
    devid_renewal *renewal;
    devid_alarm alarm;
    if (argc != 5 && !once) return fprintf(stderr, "usage: %s CMP-URL MEMORY SUBJECT DEVICE-ID [once]\n", argv[0]), 2;
    use_all();
    setvbuf(stdout, NULL, _IOLBF, 0);
    OK(devid_store_open_dir(argv[2], NULL, 0, &store, &err));
    renewal = keeper(argv[1], argv[3], argv[4]);
    for (;;) {
        uint32_t seconds;
        devid_status status = devid_renewal_run(renewal, store, utc_now(), NULL, &seconds, &err);
        /* A failure is remembered and waited out; the log has said what it was. */
        if (status != DEVID_OK && devid_status_class(status) == DEVID_CLASS_STORE)
            fprintf(stderr, "device memory: %s\n", devid_error_message(err));
        devid_error_free(err);
        err = NULL;
        alarm = devid_renewal_alarm(renewal);
        if (alarm != DEVID_ALARM_QUIET) fprintf(stderr, "ALARM: %s\n", worry[alarm & 3]);
        if (seconds == 0) continue;
        if (once) break;
        while (seconds > 0) seconds = sleep(seconds);
    }
    devid_renewal_free(renewal);
    devid_store_free(store);
    return alarm != DEVID_ALARM_QUIET;
}
