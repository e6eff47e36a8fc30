/* What all C tests share: checks that say where they failed, files, sizes of this directory's data. */
#ifndef DEVID_TEST_H
#define DEVID_TEST_H

/* For mkdtemp, where the compiler is not told. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif

#include <devid.h>
#include <devid/unstable/crl_stream.h>
#include <devid/unstable/ra.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition) check((condition) != 0, #condition, __FILE__, __LINE__)
/* The call must succeed; its error is shown if not. Uses the variable `err`. */
#define OK(call) ok((call), &err, #call, __FILE__, __LINE__)
/* The call must fail with the code; the error object must agree. Uses the variable `err`. */
#define FAILS(code, call) fails((code), (call), &err, #call, __FILE__, __LINE__)

static void check(int holds, const char *what, const char *file, int line)
{
    if (!holds) {
        fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
        exit(1);
    }
}

static void ok(devid_status status, devid_error **err, const char *call, const char *file, int line)
{
    if (status != DEVID_OK) {
        fprintf(stderr, "%s:%d: %s\n    answered %s: %s\n", file, line, call, devid_status_name(status),
                devid_error_message(*err));
        exit(1);
    }
    check(*err == NULL, "no error object beside success", file, line);
}

static void fails(devid_status expected, devid_status status, devid_error **err, const char *call, const char *file, int line)
{
    if (status != expected) {
        fprintf(stderr, "%s:%d: %s\n    answered %s (%s), expected %s\n", file, line, call, devid_status_name(status),
                devid_error_message(*err), devid_status_name(expected));
        exit(1);
    }
    check(*err != NULL && devid_error_code(*err) == expected, "an error object that agrees", file, line);
    check(devid_error_message(*err)[0] != 0, "a message", file, line);
    devid_error_free(*err);
    *err = NULL;
}

/* A whole file, with a NUL behind it. */
static uint8_t *read_file(const char *folder, const char *name, size_t *len)
{
    char path[512];
    FILE *file;
    uint8_t *data = malloc(65536);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "rb");
    if (file == NULL || data == NULL) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(1);
    }
    *len = fread(data, 1, 65535, file);
    data[*len] = 0;
    fclose(file);
    return data;
}

/* A folder of this test's own, for device memory; remove_folder() takes it away. */
static char *temporary_folder(char path[64], const char *what)
{
    snprintf(path, 64, "/tmp/devid-%s-XXXXXX", what);
    check(mkdtemp(path) != NULL, "a folder below /tmp", path, 0);
    return path;
}

/* A key, a certificate, trust anchors in the file of that name; each is the caller's to free. */
static devid_key *key_in(const char *folder, const char *name)
{
    devid_error *err = NULL;
    devid_key *key;
    size_t len;
    uint8_t *data = read_file(folder, name, &len);
    OK(devid_key_load(data, len, NULL, 0, &key, &err));
    free(data);
    return key;
}

static devid_cert *cert_in(const char *folder, const char *name)
{
    devid_error *err = NULL;
    devid_cert *cert;
    size_t len;
    uint8_t *data = read_file(folder, name, &len);
    OK(devid_cert_parse(data, len, &cert, &err));
    free(data);
    return cert;
}

static devid_trust *trust_in(const char *folder, const char *name)
{
    devid_error *err = NULL;
    devid_trust *anchors;
    size_t len;
    uint8_t *data = read_file(folder, name, &len);
    OK(devid_trust_new(&anchors, &err));
    OK(devid_trust_add_bytes(anchors, data, len, &err));
    free(data);
    return anchors;
}

/* Removes a folder that a test made. */
static void remove_folder(const char *folder)
{
    char command[600];
    check(strncmp(folder, "/tmp/devid-", 11) == 0, "a folder of ours", folder, 0);
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    check(system(command) == 0, "removed", folder, 0);
}

/* Folder of the test data: the first argument of each test. */
static const char *data_folder(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        exit(2);
    }
    (void)check, (void)ok, (void)fails, (void)read_file, (void)remove_folder;
    (void)temporary_folder, (void)key_in, (void)cert_in, (void)trust_in;
    return argv[1];
}

#endif
