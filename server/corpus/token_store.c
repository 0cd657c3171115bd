#include "server/corpus/token_store.h"

#include <stdlib.h>

#include "server/dataset/spool_file.h"

struct bp_token_store {
    size_t count, limit;
    int32_t *ids;         /* (limit), or NULL */
    bp_spool_file *spool; /* in place of ids */
};

bp_status bp_token_store_create(bp_token_store **out, const char *directory, uint64_t count,
                                uint64_t memory_bytes, bp_error *error)
{
    if (count > SIZE_MAX / sizeof(int32_t))
        return bp_error_set(error, BP_TOO_LARGE, NULL, "the text has too many tokens");
    bp_token_store *store = calloc(1, sizeof *store);
    bp_status status = BP_OK;
    if (store) {
        store->limit = (size_t)count;
        if (count * sizeof *store->ids > memory_bytes)
            status = bp_spool_file_create(&store->spool, directory, error);
        else
            store->ids = malloc((store->limit + 1) * sizeof *store->ids);
    }
    if (status == BP_OK && (!store || (!store->ids && !store->spool)))
        status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a text's tokens");
    if (status != BP_OK) {
        bp_token_store_free(store);
        return status;
    }
    *out = store;
    return BP_OK;
}

bp_status bp_token_store_add(bp_token_store *store, const int32_t *ids, size_t count,
                             bp_error *error)
{
    if (count > store->limit - store->count)
        return bp_error_set(error, BP_CORRUPT, NULL, "a text has more tokens than were counted");
    if (store->spool) {
        bp_status status = bp_spool_file_add(store->spool, ids, count * sizeof *ids, error);
        if (status != BP_OK)
            return status;
    } else {
        memcpy(store->ids + store->count, ids, count * sizeof *ids);
    }
    store->count += count;
    return BP_OK;
}

static bp_status read_ids(void *context, int32_t *out, size_t first, size_t number, bp_error *error)
{
    const bp_token_store *store = context;
    return bp_spool_file_read(store->spool, out, (uint64_t)first * sizeof *out,
                              number * sizeof *out, error);
}

bp_token_source bp_token_store_source(bp_token_store *store)
{
    return (bp_token_source){
        .count = store->count, .ids = store->ids, .read = read_ids, .context = store};
}

void bp_token_store_free(bp_token_store *store)
{
    if (!store)
        return;
    free(store->ids);
    bp_spool_file_free(store->spool);
    free(store);
}
