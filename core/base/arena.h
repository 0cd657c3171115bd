/* One allocation, planned before it is made. The same planning code runs twice: on a measuring
 * arena (base NULL), which only adds up sizes with overflow checks, and on the real one. What a
 * network needs is therefore known exactly before anything is allocated. */
#ifndef BP_CORE_BASE_ARENA_H
#define BP_CORE_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/error.h"

enum { BP_ALIGNMENT = 64 }; /* bytes; a cache line and an AVX-512 vector */

typedef struct bp_arena {
    unsigned char *base; /* NULL while measuring */
    size_t used_bytes;   /* always a multiple of BP_ALIGNMENT */
    size_t size_bytes;   /* 0 while measuring */
    bool overflow;       /* a size did not fit in size_t; sticky */
} bp_arena;

/* Empty measuring arena. */
bp_arena bp_arena_measure(void);

/* Allocates size_bytes, zeroed. BP_NO_MEMORY. Free with bp_arena_done. */
BP_CHECK_RESULT bp_status bp_arena_open(bp_arena *out, size_t size_bytes, bp_error *error);

/* Releases the memory; accepts a measuring or already released arena. */
void bp_arena_done(bp_arena *arena);

/* Takes count × size bytes, aligned to BP_ALIGNMENT. Returns NULL while measuring, on overflow, or
 * when the arena is exhausted (which sets overflow: a planning error). count 0 gives a valid
 * aligned pointer to nothing. */
void *bp_arena_take(bp_arena *arena, size_t count, size_t size);

#endif
