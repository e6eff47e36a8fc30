/* Three devices enrol at once in one thread: an event loop of poll(), timers and non-blocking sockets, no call that waits.
 *   ./event_loop MATERIAL URL           such as http://127.0.0.1:8080/cmp; https too, its root in MATERIAL/root.pem */
#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DEVICES = 3 };

struct device {
    devid_op *op;
    devid_key *key;
    devid_http_call *call; /* NULL: nothing is under way */
    int socket;            /* -1: none */
    double wake;           /* when to step again, in milliseconds; 0: not waiting */
    int done;
};

static struct device devices[DEVICES];

/* Begins to send the message under way, on a connection of its own. */
static void post(struct device *device)
{
    struct addrinfo hints, *found;
    char port[16];
    OK(devid_op_http_call(device->op, &device->call, &err));
    snprintf(port, sizeof port, "%lu", (unsigned long)devid_http_call_port(device->call));
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    /* A look-up can block: a program with a resolver of its own asks that. The first address is good enough here. */
    if (getaddrinfo(devid_http_call_host(device->call), port, &hints, &found) != 0) {
        fprintf(stderr, "no address: %s\n", devid_http_call_host(device->call));
        exit(1);
    }
    device->socket = socket(found->ai_family, found->ai_socktype, found->ai_protocol);
    fcntl(device->socket, F_SETFL, O_NONBLOCK);
    if (connect(device->socket, found->ai_addr, found->ai_addrlen) != 0 && errno != EINPROGRESS) {
        perror("connect");
        exit(1);
    }
    freeaddrinfo(found);
}

/* Asks the operation what comes next and arranges for it. Never blocks. */
static void advance(struct device *device)
{
    devid_action action;
    for (;;) {
        OK(devid_op_step(device->op, utc_now(), &action, &err));
        switch (action) {
        case DEVID_ACTION_SEND:
            printf("device %d: %s\n", (int)(device - devices), devid_op_output_name(device->op));
            post(device);
            return;
        case DEVID_ACTION_WAIT:
            device->wake = milliseconds() + 1000.0 * devid_op_wait_seconds(device->op);
            return;
        case DEVID_ACTION_ACCEPT:
            OK(devid_op_accept(device->op, &err));
            break;
        default:
            device->done = action == DEVID_ACTION_DONE;
            printf("device %d: done\n", (int)(device - devices));
            return;
        }
    }
}

/* The connection is ready for something: bytes go out, bytes come in, and what they mean is the library's business. */
static void serve(struct device *device)
{
    size_t len;
    ssize_t n;
    int32_t done = 0;
    uint8_t bytes[4096];
    const uint8_t *output = devid_http_call_output(device->call, &len);
    if (output != NULL) {
        /* A server that is gone is an error, and no signal. */
        n = send(device->socket, output, len, MSG_NOSIGNAL);
        if (n > 0) OK(devid_http_call_sent(device->call, (size_t)n, &err));
        if (n >= 0 || errno == EAGAIN || errno == EINTR) return;
    }
    n = recv(device->socket, bytes, sizeof bytes, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n > 0) {
        OK(devid_http_call_received(device->call, bytes, (size_t)n, &done, &err));
        if (!done) return;
    } else {
        OK(devid_http_call_closed(device->call, &err));
    }
    close(device->socket);
    device->socket = -1;
    OK(devid_op_feed_http_call(device->op, device->call, &err));
    devid_http_call_free(device->call);
    device->call = NULL;
    advance(device);
}

static void set_up(const char *material, const char *url)
{
    devid_config *config;
    devid_client *client;
    size_t len, secret_len;
    uint8_t *data = read_file(material, "root.pem", &len), *secret = read_file(material, "secret.txt", &secret_len);
    int i;
    OK(devid_config_new(&config, &err));
    OK(devid_config_set_server(config, url, &err));
    OK(devid_config_add_anchors(config, data, len, &err));
    free(data);
    data = read_file(material, "reference.txt", &len);
    OK(devid_config_set_secret(config, data, len, secret, secret_len, &err));
    OK(devid_client_new(config, &client, &err));
    for (i = 0; i < DEVICES; i++) {
        char name[64];
        devid_subject *subject;
        snprintf(name, sizeof name, "CN=loop-%d,O=Operator", i);
        OK(devid_subject_new(&subject, &err));
        OK(devid_subject_set_name(subject, name, &err));
        OK(devid_key_generate("P-256", &devices[i].key, &err));
        OK(devid_op_enroll(client, devices[i].key, subject, &devices[i].op, &err));
        devices[i].socket = -1;
        devid_subject_free(subject);
    }
    devid_client_free(client);
    devid_config_free(config);
    free(data);
    free(secret);
}

int main(int argc, char **argv)
{
    int i, running = DEVICES;
    if (argc != 3) {
        fprintf(stderr, "usage: %s MATERIAL URL\n", argv[0]);
        return 2;
    }
    use_all();
    set_up(argv[1], argv[2]);
    for (i = 0; i < DEVICES; i++) advance(&devices[i]);
    while (running > 0) {
        struct pollfd waiting[DEVICES];
        double now = milliseconds(), sleep_for = 1000;
        for (i = 0; i < DEVICES; i++) {
            struct device *device = &devices[i];
            size_t len;
            const int is_sending = device->call != NULL && devid_http_call_output(device->call, &len) != NULL;
            waiting[i].fd = device->socket;
            waiting[i].events = is_sending ? POLLIN | POLLOUT : POLLIN;
            waiting[i].revents = 0;
            if (device->wake != 0 && device->wake - now < sleep_for) sleep_for = device->wake > now ? device->wake - now : 0;
        }
        if (poll(waiting, DEVICES, (int)sleep_for + 1) < 0) return 1;
        for (running = i = 0; i < DEVICES; i++) {
            struct device *device = &devices[i];
            if (waiting[i].revents != 0 && device->socket != -1) serve(device);
            if (device->wake != 0 && milliseconds() >= device->wake) {
                device->wake = 0;
                advance(device);
            }
            running += !device->done;
        }
    }
    for (i = 0; i < DEVICES; i++) {
        devid_op_free(devices[i].op);
        devid_key_free(devices[i].key);
    }
    return 0;
}
