/* A blocking run is ended by another thread: while it waits, and between functions of the program. */
#include "test.h"

#include <pthread.h>
#include <time.h>

static devid_error *err;

struct program {
    const devid_cancel *cancel;
    int exchanged;
};

/* Says that the server is busy, so that the run waits. */
static int32_t busy(void *user, const uint8_t *request, size_t request_len, devid_bytes *reply)
{
    struct program *program = user;
    (void)request, (void)request_len, (void)reply;
    program->exchanged++;
    devid_cancel_trigger(program->cancel);
    return -10055;
}

static void *throw_later(void *user)
{
    struct timespec moment = { 0, 200000000 };
    nanosleep(&moment, NULL);
    devid_cancel_trigger(user);
    return NULL;
}

int main(int argc, char **argv)
{
    const char *folder = data_folder(argc, argv);
    struct program program = { NULL, 0 };
    devid_config *config;
    devid_client *client;
    devid_key *key;
    devid_subject *subject;
    devid_op *op;
    devid_cancel *cancel, *other;
    devid_action action;
    pthread_t thread;
    size_t len;
    uint8_t *anchor = read_file(folder, "ca.pem", &len);
    OK(devid_config_new(&config, &err));
    /* Nobody answers at this address of the documentation range, if anything is routed there at all. */
    OK(devid_config_set_server(config, "http://192.0.2.1:9/cmp", &err));
    OK(devid_config_add_enrolment_anchors(config, anchor, len, &err));
    OK(devid_config_set_secret(config, (const uint8_t *)"4711", 4, (const uint8_t *)"very secret", 11, &err));
    OK(devid_client_new(config, &client, &err));
    OK(devid_key_generate("P-256", &key, &err));
    OK(devid_subject_new(&subject, &err));
    OK(devid_subject_set_name(subject, "CN=a", &err));
    OK(devid_op_enroll(client, key, subject, &op, &err));
    OK(devid_cancel_new(&cancel, &err));
    CHECK(devid_cancel_is_triggered(cancel) == 0);
    OK(devid_op_set_cancel(op, cancel, &err));

    program.cancel = cancel;
    OK(devid_op_set_exchange(op, busy, &program, NULL, &err));
    FAILS(-10055, devid_op_run(op, &err));
    CHECK(devid_cancel_is_triggered(cancel) == 1 && program.exchanged == 1);
    FAILS(DEVID_E_CANCELLED, devid_op_run(op, &err));
    CHECK(program.exchanged == 1);

    /* The operation stands where it was, and goes on with another switch, which another thread throws while it connects. */
    OK(devid_op_step(op, (int64_t)time(NULL), &action, &err));
    CHECK(action == DEVID_ACTION_SEND);
    OK(devid_op_set_exchange(op, NULL, NULL, NULL, &err));
    OK(devid_cancel_new(&other, &err));
    OK(devid_op_set_cancel(op, other, &err));
    devid_cancel_free(cancel);
    if (devid_supports("http")) {
        devid_status status;
        CHECK(pthread_create(&thread, NULL, throw_later, other) == 0);
        status = devid_op_run(op, &err);
        CHECK(status == DEVID_E_CANCELLED || status == DEVID_E_CONNECT);
        devid_error_free(err);
        err = NULL;
        pthread_join(thread, NULL);
    }
    OK(devid_op_set_cancel(op, NULL, &err));
    devid_cancel_free(other);
    devid_cancel_trigger(NULL);
    CHECK(devid_cancel_is_triggered(NULL) == 0);
    devid_op_free(op);
    devid_subject_free(subject);
    devid_key_free(key);
    devid_client_free(client);
    devid_config_free(config);
    free(anchor);
    return 0;
}
