#include "core/base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"

bp_arena bp_arena_measure(void)
{
    return (bp_arena){0};
}

bp_status bp_arena_open(bp_arena *out, size_t size_bytes, bp_error *error)
{
    size_t rounded_bytes;
    unsigned char *base = NULL;
    /* A block larger than PTRDIFF_MAX could not be indexed, even where malloc would give it. */
    if (bp_checked_align(&rounded_bytes, size_bytes, BP_ALIGNMENT) &&
        rounded_bytes <= PTRDIFF_MAX) {
        if (!rounded_bytes) /* so that pointers to nothing are valid too */
            rounded_bytes = BP_ALIGNMENT;
        base = aligned_alloc(BP_ALIGNMENT, rounded_bytes);
    }
    if (!base)
        return bp_error_set(error, BP_NO_MEMORY, "", "%zu bytes could not be allocated",
                            size_bytes);
    memset(base, 0, rounded_bytes);
    *out = (bp_arena){.base = base, .size_bytes = rounded_bytes};
    return BP_OK;
}

void bp_arena_done(bp_arena *arena)
{
    free(arena->base);
    *arena = (bp_arena){0};
}

void *bp_arena_take(bp_arena *arena, size_t count, size_t size)
{
    size_t bytes, used_bytes;
    if (arena->overflow || !bp_checked_multiply(&bytes, count, size) ||
        !bp_checked_align(&bytes, bytes, BP_ALIGNMENT) ||
        !bp_checked_add(&used_bytes, arena->used_bytes, bytes) ||
        (arena->base && used_bytes > arena->size_bytes)) {
        arena->overflow = true;
        return NULL;
    }
    void *taken = arena->base ? arena->base + arena->used_bytes : NULL;
    arena->used_bytes = used_bytes;
    return taken;
}
