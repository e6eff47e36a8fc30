/* Three devices enrol at once in one thread: an event loop of poll(), timers and non-blocking sockets, no call that waits.
 *   ./event_loop MATERIAL PORT          the test CA on 127.0.0.1:PORT, path /cmp */
#include "common.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DEVICES = 3, ROOM = 65536 };

struct device {
    devid_op *op;
    devid_key *key;
    int socket;          /* -1: none */
    double wake;         /* when to step again, in milliseconds; 0: not waiting */
    int done;
    size_t out_len, sent, in_len;
    char out[ROOM], in[ROOM];
};

static struct device devices[DEVICES];
static int port;

/* Begins to send the message under way: an HTTP request (RFC 9811) on a connection of its own. */
static void post(struct device *device)
{
    struct sockaddr_in address;
    size_t len;
    const uint8_t *message = devid_op_output(device->op, &len);
    int head = snprintf(device->out, ROOM, "POST /cmp HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n"
                        "Content-Type: application/pkixcmp\r\nContent-Length: %lu\r\n\r\n", port, (unsigned long)len);
    memcpy(device->out + head, message, len);
    device->out_len = (size_t)head + len;
    device->sent = device->in_len = 0;
    device->socket = socket(AF_INET, SOCK_STREAM, 0);
    fcntl(device->socket, F_SETFL, O_NONBLOCK);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(device->socket, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS) {
        perror("connect");
        exit(1);
    }
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

/* The connection is ready for something. The answer ends when the server closes. */
static void serve(struct device *device)
{
    ssize_t n;
    char *body;
    if (device->sent < device->out_len) {
        n = send(device->socket, device->out + device->sent, device->out_len - device->sent, 0);
        if (n > 0) device->sent += (size_t)n;
        return;
    }
    n = recv(device->socket, device->in + device->in_len, ROOM - 1 - device->in_len, 0);
    if (n > 0) {
        device->in_len += (size_t)n;
        return;
    }
    if (n < 0 && errno == EAGAIN) return;
    close(device->socket);
    device->socket = -1;
    device->in[device->in_len] = 0;
    body = strstr(device->in, "\r\n\r\n");
    if (strncmp(device->in, "HTTP/1.1 200", 12) != 0 || body == NULL) {
        fprintf(stderr, "not an answer: %.40s\n", device->in);
        exit(1);
    }
    body += 4;
    OK(devid_op_feed(device->op, (uint8_t *)body, device->in_len - (size_t)(body - device->in), &err));
    advance(device);
}

static void set_up(const char *material)
{
    devid_config *config;
    devid_client *client;
    size_t len, secret_len;
    uint8_t *data = read_file(material, "root.pem", &len), *secret = read_file(material, "secret.txt", &secret_len);
    int i;
    OK(devid_config_new(&config, &err));
    OK(devid_config_add_enrolment_anchors(config, data, len, &err));
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
        fprintf(stderr, "usage: %s MATERIAL PORT\n", argv[0]);
        return 2;
    }
    use_all();
    port = atoi(argv[2]);
    set_up(argv[1]);
    for (i = 0; i < DEVICES; i++) advance(&devices[i]);
    while (running > 0) {
        struct pollfd waiting[DEVICES];
        double now = milliseconds(), sleep_for = 1000;
        for (i = 0; i < DEVICES; i++) {
            struct device *device = &devices[i];
            waiting[i].fd = device->socket;
            waiting[i].events = device->sent < device->out_len ? POLLOUT : POLLIN;
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
