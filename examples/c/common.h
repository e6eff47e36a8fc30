/* What the longer examples share: failing with the library's words, files, clocks. */
#ifndef DEVID_EXAMPLE_COMMON_H
#define DEVID_EXAMPLE_COMMON_H

/* Clocks and sockets beside -std=c99: included before any header of the system. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif

#include <devid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static devid_error *err;

/* Ends the program unless the call succeeded. */
#define OK(call) example_ok((call), #call)

static void example_ok(devid_status status, const char *call)
{
    size_t i;
    if (status == DEVID_OK) return;
    fprintf(stderr, "\nFAILED: %s\n  %s: %s\n", call, devid_status_name(status), devid_error_message(err));
    if (devid_error_phase(err) != NULL) fprintf(stderr, "  while: %s\n", devid_error_phase(err));
    for (i = 0; i < devid_error_server_text_count(err); i++)
        fprintf(stderr, "  the server says: %s\n", devid_error_server_text(err, i));
    if (devid_error_hint(err) != NULL) fprintf(stderr, "  hint: %s\n", devid_error_hint(err));
    exit(1);
}

/* A whole file of at most 64 KiB. */
static uint8_t *read_file(const char *folder, const char *name, size_t *len)
{
    char path[512];
    uint8_t *data = (uint8_t *)malloc(65536);
    FILE *file;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, "rb");
    if (file == NULL || data == NULL) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(1);
    }
    *len = fread(data, 1, 65536, file);
    fclose(file);
    return data;
}

static devid_cert *read_cert(const char *folder, const char *name)
{
    size_t len;
    uint8_t *data = read_file(folder, name, &len);
    devid_cert *cert;
    OK(devid_cert_parse(data, len, &cert, &err));
    free(data);
    return cert;
}

static devid_key *read_key(const char *folder, const char *name)
{
    size_t len;
    uint8_t *data = read_file(folder, name, &len);
    devid_key *key;
    OK(devid_key_load(data, len, NULL, 0, &key, &err));
    free(data);
    return key;
}

static int64_t utc_now(void)
{
    return (int64_t)time(NULL);
}

/* Milliseconds of a clock that only goes forward. */
static double milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void use_all(void)
{
    (void)read_cert, (void)read_key, (void)utc_now, (void)milliseconds, (void)use_all;
}

#endif
