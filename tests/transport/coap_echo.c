/* A CoAP end that is not ours: libcoap. Takes a POST at any path, in blocks as libcoap likes, and answers
 *   SEQUENCE { OCTET STRING the path, OCTET STRING the request, OCTET STRING of zeros }
 * so that the answer has SIZE bytes more than the request.
 *   coap_echo PORT SIZE [MTU]
 * Prints "ready"; ends with standard input. */
#include <arpa/inet.h>
#include <coap3/coap.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static size_t extra;

static size_t header(uint8_t *out, uint8_t tag, size_t len)
{
    out[0] = tag;
    out[1] = 0x83;
    out[2] = (uint8_t)(len >> 16);
    out[3] = (uint8_t)(len >> 8);
    out[4] = (uint8_t)len;
    return 5;
}

static void release(coap_session_t *session, void *body)
{
    (void)session;
    free(body);
}

static void post(coap_resource_t *resource, coap_session_t *session, const coap_pdu_t *request, const coap_string_t *query,
                 coap_pdu_t *response)
{
    const uint8_t *data = NULL;
    size_t len = 0, offset = 0, total = 0, at = 0;
    coap_string_t *path = coap_get_uri_path(request);
    if (!coap_get_data_large(request, &len, &data, &offset, &total) || offset != 0 || len != total) {
        coap_pdu_set_code(response, COAP_RESPONSE_CODE_INCOMPLETE);
        return;
    }
    size_t inner = 15 + path->length + len + extra;
    uint8_t *body = calloc(1, inner + 5);
    at += header(body, 0x30, inner);
    at += header(body + at, 0x04, path->length);
    memcpy(body + at, path->s, path->length);
    at += path->length;
    at += header(body + at, 0x04, len);
    memcpy(body + at, data, len);
    at += len;
    header(body + at, 0x04, extra);
    coap_delete_string(path);
    coap_pdu_set_code(response, COAP_RESPONSE_CODE_CHANGED);
    coap_add_data_large_response(resource, session, request, response, query, 259, -1, 0, inner + 5, body, release, body);
}

static void *until_standard_input_ends(void *unused)
{
    char byte;
    while (read(0, &byte, 1) > 0) {}
    _exit(0);
    return unused;
}

int main(int argc, char **argv)
{
    coap_address_t address;
    coap_address_init(&address);
    address.addr.sin.sin_family = AF_INET;
    address.addr.sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.addr.sin.sin_port = htons((uint16_t)atoi(argv[1]));
    extra = (size_t)atoi(argv[2]);
    coap_startup();
    coap_set_log_level(LOG_EMERG);
    coap_context_t *context = coap_new_context(NULL);
    coap_context_set_block_mode(context, COAP_BLOCK_USE_LIBCOAP | COAP_BLOCK_SINGLE_BODY);
    coap_endpoint_t *endpoint = coap_new_endpoint(context, &address, COAP_PROTO_UDP);
    if (!endpoint) return 1;
    if (argc > 3) coap_endpoint_set_default_mtu(endpoint, (unsigned)atoi(argv[3]));
    const char *paths[] = {".well-known/cmp/p/iot/initialization", "cmp"};
    for (int i = 0; i < 2; i++) {
        coap_resource_t *resource = coap_resource_init(coap_make_str_const(paths[i]), 0);
        coap_register_request_handler(resource, COAP_REQUEST_POST, post);
        coap_add_resource(context, resource);
    }
    printf("ready\n");
    fflush(stdout);
    pthread_t owner;
    if (pthread_create(&owner, NULL, until_standard_input_ends, NULL) != 0) return 1;
    while (coap_io_process(context, 1000) >= 0) {}
    return 1;
}
