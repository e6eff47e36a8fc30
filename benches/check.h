/* What the measured programs say when a call fails. */
#ifndef DEVID_BENCH_CHECK_H
#define DEVID_BENCH_CHECK_H

#include <devid.h>
#include <stdio.h>
#include <stdlib.h>

static void fail(const char *what, devid_error *error)
{
    fprintf(stderr, "%s: %s\n", what, error == NULL ? "?" : devid_error_message(error));
    devid_error_free(error);
    exit(1);
}

#define CHECK(call)                       \
    do {                                  \
        devid_error *error = NULL;        \
        if ((call) != DEVID_OK)           \
            fail(#call, error);           \
    } while (0)

#endif
