/* Preloaded: counts what is allocated while counting is on. One thread. */
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stddef.h>

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void __libc_free(void *);

struct counts {
    uint64_t allocations, bytes;
    int64_t peak_live_bytes;
};
static struct counts counts;
static int64_t live_bytes;
static int is_counting;

void bench_heap_count(int on)
{
    is_counting = on;
}

/* Hands out what was counted and starts anew. */
void bench_heap_take(struct counts *out)
{
    *out = counts;
    counts = (struct counts){ 0, 0, 0 };
    live_bytes = 0;
}

static void *got(void *p, size_t size)
{
    if (is_counting && p != NULL) {
        counts.allocations++;
        counts.bytes += size;
        live_bytes += (int64_t)malloc_usable_size(p);
        if (live_bytes > counts.peak_live_bytes)
            counts.peak_live_bytes = live_bytes;
    }
    return p;
}

static void gone(void *p)
{
    if (is_counting && p != NULL)
        live_bytes -= (int64_t)malloc_usable_size(p);
}

void *malloc(size_t size) { return got(__libc_malloc(size), size); }
void *calloc(size_t count, size_t size) { return got(__libc_calloc(count, size), count * size); }
void *memalign(size_t align, size_t size) { return got(__libc_memalign(align, size), size); }
void *aligned_alloc(size_t align, size_t size) { return got(__libc_memalign(align, size), size); }

void *realloc(void *p, size_t size)
{
    gone(p);
    return got(__libc_realloc(p, size), size);
}

int posix_memalign(void **out, size_t align, size_t size)
{
    *out = got(__libc_memalign(align, size), size);
    return *out == NULL ? ENOMEM : 0;
}

void free(void *p)
{
    gone(p);
    __libc_free(p);
}
