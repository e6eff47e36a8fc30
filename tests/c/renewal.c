/* Renewal: what is due, what is remembered, and what a daemon is told. */
#include "test.h"

#define DAY 86400

static devid_error *err;

struct fixture {
    char path[64];
    devid_store *store;
    devid_config *config;
    devid_renewal *renewal;
    int64_t begin, end;
};

static int destroyed, exchanges;
/* What becomes of each exchange: the line's fault, or the program's own (at or below -10000). */
static int32_t line_says = DEVID_E_TIMEOUT;

static int32_t no_line(void *user, const uint8_t *request, size_t request_len, devid_bytes *reply)
{
    (void)user, (void)reply;
    CHECK(request != NULL && request_len > 100);
    exchanges++;
    return line_says;
}

static void destroy(void *user)
{
    (void)user;
    destroyed++;
}

static devid_renewal *keeper(struct fixture *f)
{
    devid_renewal *renewal;
    OK(devid_renewal_new(f->config, "router", "ldevid", &renewal, &err));
    OK(devid_renewal_set_device_id(renewal, (const uint8_t *)"SN-1", 4, &err));
    OK(devid_renewal_set_exchange(renewal, no_line, NULL, destroy, &err));
    return renewal;
}

static struct fixture set_up(const char *folder)
{
    struct fixture f;
    devid_key *key;
    devid_cert *cert;
    size_t len;
    uint8_t *data;
    temporary_folder(f.path, "renewal");
    OK(devid_store_open_dir(f.path, NULL, 0, &f.store, &err));
    key = key_in(folder, "device.key");
    cert = cert_in(folder, "device.pem");
    f.begin = devid_cert_not_before(cert);
    f.end = devid_cert_not_after(cert);
    OK(devid_store_install(f.store, "router", key, NULL, cert, NULL, "ldevid", f.begin, &err));
    OK(devid_config_new(&f.config, &err));
    data = read_file(folder, "ca.pem", &len);
    OK(devid_config_add_enrolment_anchors(f.config, data, len, &err));
    OK(devid_config_add_cmp_anchors(f.config, data, len, &err));
    free(data);
    OK(devid_config_set_secret(f.config, (const uint8_t *)"4711", 4, (const uint8_t *)"secret", 6, &err));
    f.renewal = keeper(&f);
    devid_cert_free(cert);
    devid_key_free(key);
    return f;
}

static void tear_down(struct fixture *f)
{
    devid_renewal_free(f->renewal);
    devid_config_free(f->config);
    devid_store_free(f->store);
    remove_folder(f->path);
}

static void an_event_loop_is_told_what_is_due_and_when_to_ask_again(const char *folder)
{
    struct fixture f = set_up(folder);
    devid_step step;
    uint32_t seconds;
    int64_t due;
    CHECK(devid_renewal_standing(f.renewal) == DEVID_STANDING_NOT_ASKED && devid_renewal_at(f.renewal) == -1);
    OK(devid_renewal_due(f.renewal, f.store, f.begin + 1, &step, &seconds, &err));
    CHECK(step == DEVID_STEP_NOTHING && seconds > 0 && seconds <= 7 * DAY);
    CHECK(devid_renewal_standing(f.renewal) == DEVID_STANDING_VALID && devid_renewal_alarm(f.renewal) == DEVID_ALARM_QUIET);
    CHECK(devid_renewal_clock(f.renewal) == DEVID_CLOCK_KNOWN && devid_renewal_time(f.renewal) == f.begin + 1);
    due = devid_renewal_at(f.renewal);
    CHECK(due > f.begin + (f.end - f.begin) / 4 && due < f.end - (f.end - f.begin) / 4);
    OK(devid_renewal_due(f.renewal, f.store, due, &step, &seconds, &err));
    CHECK(step == DEVID_STEP_UPDATE && seconds == 0);
    OK(devid_renewal_due(f.renewal, f.store, f.end - DAY, &step, NULL, &err));
    CHECK(devid_renewal_alarm(f.renewal) == DEVID_ALARM_URGENT);
    OK(devid_renewal_due(f.renewal, f.store, f.end + 1, &step, NULL, &err));
    /* That nobody has tried to renew it says that the clock may have jumped: the time is asked for before a first certificate is. */
    CHECK(step == DEVID_STEP_LEARN_TIME && devid_renewal_alarm(f.renewal) == DEVID_ALARM_UNUSABLE);
    CHECK(devid_renewal_standing(f.renewal) == DEVID_STANDING_EXPIRED);
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_renewal_set_schedule(f.renewal, 0, 0, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_renewal_set_schedule(f.renewal, 500, 501, &err));
    FAILS(DEVID_E_INVALID_ARGUMENT, devid_renewal_set_retry(f.renewal, 10, 9, 0, &err));
    OK(devid_renewal_set_schedule(f.renewal, 500, 0, &err));
    OK(devid_renewal_due(f.renewal, f.store, f.begin + 1, &step, NULL, &err));
    CHECK(devid_renewal_at(f.renewal) - (f.begin + (f.end - f.begin) / 2) <= 1);
    tear_down(&f);
}

static void a_failure_is_remembered_over_a_reboot(const char *folder)
{
    struct fixture f = set_up(folder);
    devid_step step;
    devid_done done;
    uint32_t seconds, again;
    int64_t now = f.begin + (f.end - f.begin) / 4 * 3, known;
    exchanges = destroyed = 0;
    OK(devid_renewal_set_longest_nap(f.renewal, 0, &err));
    OK(devid_renewal_set_same_key(f.renewal, 1, &err));
    FAILS(DEVID_E_TIMEOUT, devid_renewal_run(f.renewal, f.store, now, &done, &seconds, &err));
    CHECK(exchanges == 1 && seconds >= 450 && seconds <= 900);
    CHECK(devid_renewal_attempts(f.renewal) == 1);
    devid_renewal_free(f.renewal);
    CHECK(destroyed == 1);

    /* Until an answer has told the time, a look this soon after the first is one of a clock that begins with the device. */
    OK(devid_store_note_time(f.store, now, &known, &err));
    f.renewal = keeper(&f);
    OK(devid_renewal_run(f.renewal, f.store, now + 1, &done, &again, &err));
    CHECK(done == DEVID_DONE_NOTHING && exchanges == 1 && again >= 1 && again <= 900);
    OK(devid_renewal_due(f.renewal, f.store, now + seconds + 1, &step, NULL, &err));
    /* The message may have been delivered: the same transaction goes on. */
    CHECK(step == DEVID_STEP_RESUME);
    OK(devid_renewal_reset(f.renewal, f.store, &err));
    OK(devid_renewal_due(f.renewal, f.store, now + 1, &step, NULL, &err));
    CHECK(step == DEVID_STEP_RESUME && devid_renewal_attempts(f.renewal) == 0);
    CHECK(devid_renewal_has_given_up(f.renewal) == 0);
    tear_down(&f);
}

/* What fails in the program itself is no failure of the CA: nothing is counted, and the next run comes soon. */
static void a_failure_of_the_program_counts_as_none_of_the_ca(const char *folder)
{
    struct fixture f = set_up(folder);
    devid_done done;
    devid_step step;
    uint32_t seconds;
    int64_t now = f.begin + (f.end - f.begin) / 4 * 3;
    exchanges = 0;
    line_says = -10042;
    OK(devid_renewal_set_longest_nap(f.renewal, 0, &err));
    FAILS(-10042, devid_renewal_run(f.renewal, f.store, now, &done, &seconds, &err));
    CHECK(exchanges == 1 && seconds >= 1 && seconds <= 60);
    CHECK(devid_renewal_attempts(f.renewal) == 0);
    OK(devid_renewal_due(f.renewal, f.store, now + seconds + 1, &step, NULL, &err));
    CHECK(step == DEVID_STEP_RESUME);
    line_says = DEVID_E_TIMEOUT;
    tear_down(&f);
}

static void a_program_that_steps_by_itself_says_how_it_went(const char *folder)
{
    struct fixture f = set_up(folder);
    devid_step step;
    uint32_t seconds;
    devid_error *why;
    devid_cert *cert;
    int64_t now = f.begin + (f.end - f.begin) / 4 * 3;
    FAILS(DEVID_E_STATE, devid_renewal_begun(f.renewal, f.store, now, &err));
    OK(devid_renewal_due(f.renewal, f.store, now, &step, NULL, &err));
    CHECK(step == DEVID_STEP_UPDATE);
    OK(devid_renewal_begun(f.renewal, f.store, now, &err));
    CHECK(devid_cert_parse((const uint8_t *)"x", 1, &cert, &why) != DEVID_OK);
    OK(devid_renewal_ended(f.renewal, f.store, why, now, &seconds, &err));
    CHECK(seconds >= 450 && seconds <= 900);
    OK(devid_renewal_due(f.renewal, f.store, now, &step, &seconds, &err));
    CHECK(step == DEVID_STEP_NOTHING && seconds >= 450 && devid_renewal_attempts(f.renewal) == 1);
    OK(devid_renewal_due(f.renewal, f.store, now + DAY, &step, NULL, &err));
    OK(devid_renewal_ended(f.renewal, f.store, NULL, now + DAY, &seconds, &err));
    OK(devid_renewal_due(f.renewal, f.store, now + DAY, &step, NULL, &err));
    CHECK(seconds == 0 && devid_renewal_attempts(f.renewal) == 0);
    devid_error_free(why);
    tear_down(&f);
}

static void a_device_without_a_clock_says_so(const char *folder)
{
    struct fixture f = set_up(folder);
    devid_step step;
    int64_t known;
    uint32_t seconds;
    devid_client *client, *without;
    devid_key *key;
    devid_subject *subject;
    devid_op *op;
    OK(devid_renewal_due(f.renewal, f.store, DEVID_NO_CLOCK, &step, &seconds, &err));
    CHECK(step == DEVID_STEP_LEARN_TIME && devid_renewal_clock(f.renewal) == DEVID_CLOCK_UNKNOWN);
    CHECK(devid_renewal_time(f.renewal) == -1 && devid_renewal_standing(f.renewal) == DEVID_STANDING_UNKNOWN);
    OK(devid_store_last_known_time(f.store, &known, &err));
    CHECK(known == DEVID_NO_CLOCK);
    OK(devid_store_note_time(f.store, f.begin + 100, &known, &err));
    OK(devid_store_note_time(f.store, f.begin + 50, &known, &err));
    CHECK(known == f.begin + 100);
    OK(devid_store_last_known_time(f.store, &known, &err));
    CHECK(known == f.begin + 100);
    FAILS(DEVID_E_LIMIT, devid_store_note_time(f.store, INT64_MAX, NULL, &err));
    OK(devid_renewal_due(f.renewal, f.store, 1000, &step, NULL, &err));
    CHECK(devid_renewal_clock(f.renewal) == DEVID_CLOCK_BEHIND && devid_renewal_time(f.renewal) == f.begin + 100);
    FAILS(DEVID_E_TIMEOUT, devid_renewal_run(f.renewal, f.store, DEVID_NO_CLOCK, NULL, &seconds, &err));
    CHECK(seconds >= 450);

    OK(devid_client_new(f.config, &client, &err));
    OK(devid_client_without_clock(client, &without, &err));
    OK(devid_key_generate("P-256", &key, &err));
    OK(devid_subject_new(&subject, &err));
    OK(devid_subject_set_name(subject, "CN=router", &err));
    OK(devid_op_enroll(without, key, subject, &op, &err));
    OK(devid_op_set_exchange(op, no_line, NULL, NULL, &err));
    FAILS(DEVID_E_TIMEOUT, devid_op_run_without_clock(op, f.store, 0, &known, &err));
    CHECK(known == DEVID_NO_CLOCK);
    devid_op_free(op);
    devid_subject_free(subject);
    devid_key_free(key);
    devid_client_free(without);
    devid_client_free(client);
    tear_down(&f);
}

static int64_t on_for = 20;

static int32_t uptime(void *user, int64_t *boot, int64_t *seconds)
{
    (void)user;
    *boot = -7;
    *seconds = on_for;
    return 0;
}

static void waits_are_measured_without_a_clock(const char *folder)
{
    struct fixture f = set_up(folder);
    devid_step step;
    uint32_t seconds, left;
    destroyed = 0;
    OK(devid_renewal_set_uptime(f.renewal, uptime, NULL, destroy, &err));
    FAILS(DEVID_E_TIMEOUT, devid_renewal_run(f.renewal, f.store, DEVID_NO_CLOCK, NULL, &seconds, &err));
    CHECK(seconds >= 450);
    on_for += 100;
    OK(devid_renewal_due(f.renewal, f.store, DEVID_NO_CLOCK, &step, &left, &err));
    CHECK(step == DEVID_STEP_NOTHING && left == seconds - 100);
    on_for += left;
    OK(devid_renewal_due(f.renewal, f.store, DEVID_NO_CLOCK, &step, &left, &err));
    CHECK(step == DEVID_STEP_LEARN_TIME);
    /* The system's. */
    OK(devid_renewal_set_uptime(f.renewal, NULL, NULL, NULL, &err));
    CHECK(destroyed == 1);
    OK(devid_renewal_due(f.renewal, f.store, DEVID_NO_CLOCK, &step, &left, &err));
    CHECK(step == DEVID_STEP_LEARN_TIME);
    tear_down(&f);
}

static void the_first_certificate_needs_a_subject_and_a_credential(const char *folder)
{
    struct fixture f = set_up(folder);
    devid_step step;
    uint32_t seconds;
    devid_subject *subject;
    devid_renewal *renewal;
    exchanges = 0;
    OK(devid_renewal_new(f.config, "other", "ldevid", &renewal, &err));
    OK(devid_renewal_set_exchange(renewal, no_line, NULL, NULL, &err));
    OK(devid_renewal_due(renewal, f.store, f.begin, &step, NULL, &err));
    CHECK(step == DEVID_STEP_ENROLL && devid_renewal_standing(renewal) == DEVID_STANDING_ABSENT);
    FAILS(DEVID_E_NOT_FOUND, devid_renewal_run(renewal, f.store, f.begin, NULL, &seconds, &err));
    CHECK(exchanges == 0 && seconds > 0);
    OK(devid_subject_new(&subject, &err));
    OK(devid_subject_set_name(subject, "CN=other", &err));
    OK(devid_renewal_set_subject(renewal, subject, &err));
    OK(devid_renewal_set_factory(renewal, "nobody", &err));
    FAILS(DEVID_E_NOT_FOUND, devid_renewal_run(renewal, f.store, f.begin + DAY, NULL, &seconds, &err));
    OK(devid_renewal_set_factory(renewal, NULL, &err));
    FAILS(DEVID_E_TIMEOUT, devid_renewal_run(renewal, f.store, f.begin + 3 * DAY, NULL, &seconds, &err));
    CHECK(exchanges == 1);
    devid_subject_free(subject);
    devid_renewal_free(renewal);
    tear_down(&f);
}

int main(int argc, char **argv)
{
    const char *folder = data_folder(argc, argv);
    an_event_loop_is_told_what_is_due_and_when_to_ask_again(folder);
    a_failure_of_the_program_counts_as_none_of_the_ca(folder);
    a_failure_is_remembered_over_a_reboot(folder);
    a_program_that_steps_by_itself_says_how_it_went(folder);
    a_device_without_a_clock_says_so(folder);
    waits_are_measured_without_a_clock(folder);
    the_first_certificate_needs_a_subject_and_a_credential(folder);
    return 0;
}
