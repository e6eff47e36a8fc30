/* Runs programs by turns and prints what each cost: measure ROUNDS PROGRAM [ARG...] [-- PROGRAM [ARG...]]...
 *
 * One line per program: median CPU (user and system) and wall time in microseconds, largest resident set in KiB. A small
 * program of its own because a child's peak resident set begins with that of the process that started it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_PROGRAMS = 16, MOST_ROUNDS = 1000 };

struct program {
    char **arguments;
    long cpu[MOST_ROUNDS], wall[MOST_ROUNDS], resident;
};

static long microseconds(struct timeval t)
{
    return t.tv_sec * 1000000L + t.tv_usec;
}

static long now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000L + t.tv_nsec / 1000;
}

static void run_once(struct program *program, int round)
{
    struct rusage used;
    int status;
    long begun = now();
    pid_t child = fork();

    if (child == 0) {
        int quiet = open("/dev/null", O_WRONLY);
        dup2(quiet, STDOUT_FILENO);
        if (getenv("MEASURE_LOUD") == NULL)
            dup2(quiet, STDERR_FILENO);
        execvp(program->arguments[0], program->arguments);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &used) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "measure: %s failed; set MEASURE_LOUD=1 to see why\n", program->arguments[0]);
        exit(1);
    }
    program->wall[round] = now() - begun;
    program->cpu[round] = microseconds(used.ru_utime) + microseconds(used.ru_stime);
    if (used.ru_maxrss > program->resident)
        program->resident = used.ru_maxrss;
}

static int by_size(const void *a, const void *b)
{
    long x = *(const long *)a, y = *(const long *)b;

    return x < y ? -1 : x > y;
}

static long median(long *samples, int count)
{
    qsort(samples, (size_t)count, sizeof(*samples), by_size);
    return samples[count / 2];
}

int main(int argc, char **argv)
{
    static struct program programs[MOST_PROGRAMS];
    int count = 0, rounds = argc > 2 ? atoi(argv[1]) : 0, i, round;

    if (rounds < 1 || rounds > MOST_ROUNDS) {
        fprintf(stderr, "usage: measure ROUNDS PROGRAM [ARG...] [-- PROGRAM [ARG...]]...\n");
        return 2;
    }
    programs[count++].arguments = argv + 2;
    for (i = 3; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0 && count < MOST_PROGRAMS) {
            argv[i] = NULL;
            programs[count++].arguments = argv + i + 1;
        }
    }
    for (i = 0; i < count; i++)
        run_once(&programs[i], 0); /* The file cache is warm from here on. */
    for (round = 0; round < rounds; round++)
        for (i = 0; i < count; i++)
            run_once(&programs[(round + i) % count], round);
    for (i = 0; i < count; i++)
        printf("%ld %ld %ld\n", median(programs[i].cpu, rounds), median(programs[i].wall, rounds), programs[i].resident);
    return 0;
}
