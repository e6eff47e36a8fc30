/* A CMP client of ours in C for the interop harness: one enrolment or renewal, stepped by hand.
 *
 *     client command=ir|cr|kur server=URL anchors=FILE new_key=FILE subject=NAME [implicit=1] [accept_differences=1]
 *            (reference=TEXT secret=TEXT [pbmac1=1] | key=FILE certificate=FILE [chain=FILE])
 *
 * Prints `name=value` lines: sent (each message), pki_status, certificate (hexadecimal), or error, message, fail_info,
 * authenticated, text. Exits with 0 if the certificate is issued and confirmed, 1 if that failed, 2 if called wrongly.
 */
#include <devid.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int argument_count;
static char **arguments;

static const char *given(const char *name)
{
    size_t len = strlen(name);
    int i;
    for (i = 1; i < argument_count; i++) {
        if (strncmp(arguments[i], name, len) == 0 && arguments[i][len] == '=')
            return arguments[i] + len + 1;
    }
    return NULL;
}

static const char *needed(const char *name)
{
    const char *value = given(name);
    if (value == NULL) {
        fprintf(stderr, "client: %s= is missing\n", name);
        exit(2);
    }
    return value;
}

static int is_on(const char *name)
{
    const char *value = given(name);
    return value != NULL && strcmp(value, "1") == 0;
}

/* A whole file of at most 64 KiB. */
static uint8_t *read_file(const char *path, size_t *len)
{
    const size_t most = 1 << 16;
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(most);
    if (file == NULL || data == NULL || (*len = fread(data, 1, most, file)) == most || ferror(file)) {
        fprintf(stderr, "client: cannot read %s\n", path);
        exit(2);
    }
    fclose(file);
    return data;
}

static void print_line(const char *name, const char *text)
{
    printf("%s=", name);
    for (; *text != 0; text++)
        putchar(*text == '\n' || *text == '\r' ? ' ' : *text);
    putchar('\n');
}

/* Prints the error and answers 1 if the call failed. */
static int failed(devid_status status, devid_error **err)
{
    size_t i;
    if (status == DEVID_OK)
        return 0;
    print_line("error", devid_status_name(status) + strlen("DEVID_E_"));
    print_line("message", devid_error_message(*err));
    if (devid_error_pki_status(*err) >= 0)
        printf("pki_status=%ld\n", (long)devid_error_pki_status(*err));
    printf("fail_info=%lu\n", (unsigned long)devid_error_fail_info(*err));
    printf("authenticated=%d\n", (int)devid_error_server_authenticated(*err));
    for (i = 0; i < devid_error_server_text_count(*err); i++)
        print_line("text", devid_error_server_text(*err, i));
    devid_error_free(*err);
    *err = NULL;
    return 1;
}

static int load_key(const char *path, devid_key **out_key)
{
    devid_error *err = NULL;
    size_t len;
    uint8_t *data = read_file(path, &len);
    devid_status status = devid_key_load(data, len, NULL, 0, out_key, &err);
    free(data);
    return failed(status, &err);
}

static int set_credential(devid_config *config)
{
    devid_error *err = NULL;
    devid_key *key = NULL;
    devid_cert_list *chain = NULL;
    const char *files[2];
    int i, bad = 0;

    if (given("secret") != NULL) {
        const char *reference = needed("reference"), *secret = given("secret");
        bad = failed(devid_config_set_secret(config, (const uint8_t *)reference, strlen(reference),
                                             (const uint8_t *)secret, strlen(secret), &err), &err);
        if (!bad && is_on("pbmac1"))
            bad = failed(devid_config_set_mac(config, DEVID_MAC_PBMAC1, "SHA256", "SHA256", 1000, &err), &err);
        return bad;
    }
    files[0] = needed("certificate");
    files[1] = given("chain");
    bad = load_key(needed("key"), &key) || failed(devid_cert_list_new(&chain, &err), &err);
    for (i = 0; !bad && i < 2 && files[i] != NULL; i++) {
        size_t len;
        uint8_t *data = read_file(files[i], &len);
        bad = failed(devid_cert_list_add_bytes(chain, data, len, &err), &err);
        free(data);
    }
    bad = bad || failed(devid_config_set_credential(config, key, chain, &err), &err);
    devid_cert_list_free(chain);
    devid_key_free(key);
    return bad;
}

static int make_client(devid_client **out_client)
{
    devid_error *err = NULL;
    devid_config *config = NULL;
    size_t len;
    uint8_t *anchors = read_file(needed("anchors"), &len);
    int bad = failed(devid_config_new(&config, &err), &err)
        || failed(devid_config_set_server(config, needed("server"), &err), &err)
        || failed(devid_config_add_cmp_anchors(config, anchors, len, &err), &err)
        || failed(devid_config_add_enrolment_anchors(config, anchors, len, &err), &err)
        || failed(devid_config_set_implicit_confirm(config, is_on("implicit"), &err), &err)
        || set_credential(config)
        || failed(devid_client_new(config, out_client, &err), &err);
    free(anchors);
    devid_config_free(config);
    return bad;
}

static int begin(const devid_client *client, devid_op **out_op)
{
    devid_error *err = NULL;
    devid_key *key = NULL;
    devid_subject *subject = NULL;
    const char *command = needed("command");
    int bad = load_key(needed("new_key"), &key)
        || failed(devid_subject_new(&subject, &err), &err)
        || failed(devid_subject_set_name(subject, needed("subject"), &err), &err);
    if (!bad && strcmp(command, "kur") == 0)
        bad = failed(devid_op_renew(client, key, out_op, &err), &err);
    else if (!bad && strcmp(command, "cr") == 0)
        bad = failed(devid_op_enroll_further(client, key, subject, out_op, &err), &err);
    else if (!bad)
        bad = failed(devid_op_enroll(client, key, subject, out_op, &err), &err);
    devid_subject_free(subject);
    devid_key_free(key);
    return bad;
}

static int print_certificate(const devid_op *op)
{
    devid_error *err = NULL;
    devid_cert *cert = NULL;
    const uint8_t *der;
    size_t len, i;
    if (failed(devid_op_certificate(op, &cert, &err), &err))
        return 1;
    printf("pki_status=%ld\ncertificate=", (long)devid_op_pki_status(op));
    der = devid_cert_der(cert, &len);
    for (i = 0; i < len; i++)
        printf("%02x", der[i]);
    putchar('\n');
    devid_cert_free(cert);
    return 0;
}

static int drive(devid_op *op)
{
    devid_error *err = NULL;
    for (;;) {
        devid_action action = 0;
        if (failed(devid_op_step(op, (int64_t)time(NULL), &action, &err), &err))
            return 1;
        switch (action) {
        case DEVID_ACTION_SEND:
            print_line("sent", devid_op_output_name(op));
            if (failed(devid_op_exchange(op, &err), &err))
                return 1;
            break;
        case DEVID_ACTION_WAIT:
            sleep(devid_op_wait_seconds(op));
            break;
        case DEVID_ACTION_ACCEPT:
            if (devid_op_difference_count(op) > 0 && !is_on("accept_differences")) {
                if (failed(devid_op_reject(op, "not what was asked for", &err), &err))
                    return 1;
            } else if (failed(devid_op_accept(op, &err), &err)) {
                return 1;
            }
            break;
        case DEVID_ACTION_DONE:
            return print_certificate(op);
        default:
            fprintf(stderr, "client: action %ld is not known\n", (long)action);
            return 2;
        }
    }
}

int main(int argc, char **argv)
{
    devid_client *client = NULL;
    devid_op *op = NULL;
    int result;
    argument_count = argc;
    arguments = argv;
    result = make_client(&client) || begin(client, &op) ? 1 : drive(op);
    devid_op_free(op);
    devid_client_free(client);
    return result;
}
