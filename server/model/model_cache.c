/* The cache: models in memory, least recently used first out, counted by their bytes. A model that is
 * borrowed stays alive when the cache drops it; the last one to give it back frees it.
 *
 * A model is immutable but for its pool of networks, which has a lock of its own. All its networks
 * compute on one block of parameters, that of its first network. */
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "server/model/checkpoint_model.h"
#include "server/model/models.h"

enum { POOL_LIMIT = 16 }; /* idle networks kept for each model */

/* What one prediction at a time works with. */
typedef struct arena {
    bp_network *network;
    void *prepared; /* (BP_PREDICTION_CHUNK, prepared width) */
} arena;

struct bp_model {
    unsigned references; /* changed by atomic operations only */
    bp_model_info *info;
    bp_isa isa;
    bp_network *owner; /* of the parameters; computes like the others, lives as long as the model */
    uint64_t size_bytes; /* estimate, as the cache counts it */
    pthread_mutex_t mutex;
    size_t idle_count;
    arena idle[POOL_LIMIT + 1]; /* the owner always has a place */
    /* Under the cache's lock. */
    bp_model *newer, *older;
};

struct bp_models {
    bp_store *store;
    bp_isa isa;
    uint64_t limit_bytes;
    pthread_mutex_t loading; /* held while a model is loaded; taken before mutex */
    pthread_mutex_t mutex;   /* guards the list and used_bytes */
    uint64_t used_bytes;
    bp_model *newest, *oldest; /* by use */
};

/* ---- models ---- */

static void free_arena(const bp_model *model, arena *used)
{
    if (used->network != model->owner)
        bp_network_free(used->network);
    free(used->prepared);
}

void bp_model_release(bp_model *model)
{
    if (!model || __atomic_sub_fetch(&model->references, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    for (size_t i = 0; i < model->idle_count; i++)
        free_arena(model, &model->idle[i]);
    bp_network_free(model->owner);
    bp_model_info_free(model->info);
    pthread_mutex_destroy(&model->mutex);
    free(model);
}

const bp_model_info *bp_model_info_of(const bp_model *model)
{
    return model->info;
}

static bp_status make_prepared(void **out, const bp_model_info *info, bp_error *error)
{
    size_t elements;
    if (!bp_checked_multiply(&elements, info->preparation.prepared_width, BP_PREDICTION_CHUNK))
        return bp_error_set(error, BP_TOO_LARGE, NULL, "a prediction's rows are too wide");
    void *prepared = calloc(elements, bp_dtype_size(info->dtype));
    if (!prepared)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a prediction");
    *out = prepared;
    return BP_OK;
}

/* Takes the row's info. */
static bp_status load(bp_model **out, bp_models *models, bp_model_row *row, bp_error *error)
{
    bp_model *model = calloc(1, sizeof *model);
    if (!model)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a model");
    model->references = 1;
    model->isa = models->isa;
    bp_network_spec spec;
    bp_network_size size;
    bp_model_info_network(&spec, row->info, models->isa, BP_PREDICTION_CHUNK);
    bp_status status = bp_network_measure(&size, &spec, error);
    if (status == BP_OK)
        status = make_prepared(&model->idle[0].prepared, row->info, error);
    if (status == BP_OK)
        status =
            row->checkpoint
                ? bp_checkpoint_weights_load(&model->owner, models->store, row, models->isa, error)
                : bp_model_weights_load(&model->owner, models->store, row, models->isa, error);
    if (status != BP_OK) {
        free(model->idle[0].prepared);
        free(model);
        return status;
    }
    model->idle[0].network = model->owner;
    model->idle_count = 1;
    model->size_bytes = size.total_bytes;
    pthread_mutex_init(&model->mutex, NULL);
    model->info = row->info;
    row->info = NULL;
    *out = model;
    return BP_OK;
}

bp_network *bp_model_owner(const bp_model *model)
{
    return model->owner;
}

/* ---- the cache ---- */

bp_status bp_models_open(bp_models **out, bp_store *store, bp_isa isa, uint64_t cache_bytes,
                         bp_error *error)
{
    bp_models *models = calloc(1, sizeof *models);
    if (!models)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for the model cache");
    models->store = store;
    models->isa = isa;
    models->limit_bytes = cache_bytes;
    pthread_mutex_init(&models->loading, NULL);
    pthread_mutex_init(&models->mutex, NULL);
    *out = models;
    return BP_OK;
}

bp_store *bp_models_store(const bp_models *models)
{
    return models->store;
}

bp_isa bp_models_isa(const bp_models *models)
{
    return models->isa;
}

/* With the mutex held. */
static void unlink_model(bp_models *models, bp_model *model)
{
    if (model->newer)
        model->newer->older = model->older;
    else
        models->newest = model->older;
    if (model->older)
        model->older->newer = model->newer;
    else
        models->oldest = model->newer;
    models->used_bytes -= model->size_bytes;
}

static void link_model(bp_models *models, bp_model *model)
{
    model->newer = NULL;
    model->older = models->newest;
    if (models->newest)
        models->newest->newer = model;
    else
        models->oldest = model;
    models->newest = model;
    models->used_bytes += model->size_bytes;
}

void bp_models_close(bp_models *models)
{
    if (!models)
        return;
    for (bp_model *model = models->newest, *older; model; model = older) {
        older = model->older;
        bp_model_release(model);
    }
    pthread_mutex_destroy(&models->mutex);
    pthread_mutex_destroy(&models->loading);
    free(models);
}

/* What a model is asked for by. */
typedef struct model_key {
    const char *name; /* of a model; NULL: a checkpoint of `job` */
    int64_t job;
    uint64_t number; /* version, or number of the checkpoint; not 0 */
} model_key;

static bool fits(const bp_model_info *info, const model_key *key)
{
    if (key->name)
        return !info->checkpoint && info->version == key->number &&
               strcmp(info->name, key->name) == 0;
    return info->checkpoint == key->number && info->job == key->job;
}

/* The one in the cache, borrowed and now the newest; NULL when there is none. */
static bp_model *find(bp_models *models, const model_key *key)
{
    pthread_mutex_lock(&models->mutex);
    bp_model *model = models->newest;
    while (model && !fits(model->info, key))
        model = model->older;
    if (model) {
        unlink_model(models, model);
        link_model(models, model);
        __atomic_add_fetch(&model->references, 1, __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&models->mutex);
    return model;
}

/* Puts a loaded model in. */
static void keep(bp_models *models, bp_model *model)
{
    bp_model *dropped = NULL;
    pthread_mutex_lock(&models->mutex);
    __atomic_add_fetch(&model->references, 1, __ATOMIC_RELAXED);
    link_model(models, model);
    for (bp_model *oldest; models->used_bytes > models->limit_bytes;) {
        oldest = models->oldest;
        if (!oldest || oldest == model)
            break;
        unlink_model(models, oldest);
        oldest->older = dropped;
        dropped = oldest;
    }
    pthread_mutex_unlock(&models->mutex);
    while (dropped) {
        bp_model *next = dropped->older;
        bp_model_release(dropped);
        dropped = next;
    }
}

/* One load at a time: when many ask for a model that is not in memory, one loads it and the others find
 * it, instead of each holding a copy of all its weights. */
static bp_status load_once(bp_model **out, bp_models *models, const model_key *key, bp_error *error)
{
    bp_status status = BP_OK;
    pthread_mutex_lock(&models->loading);
    bp_model *model = find(models, key);
    if (!model) {
        bp_model_row row;
        status = key->name
                     ? bp_model_row_read(&row, models->store, key->name, key->number, error)
                     : bp_checkpoint_row_read(&row, models->store, key->job, key->number, error);
        if (status == BP_OK) {
            status = load(&model, models, &row, error);
            bp_model_info_free(row.info);
        }
        if (model)
            keep(models, model);
    }
    pthread_mutex_unlock(&models->loading);
    if (status == BP_OK)
        *out = model;
    return status;
}

/* Finds out which is the newest where that is wanted, and whether a checkpoint is still there. */
static bp_status complete_key(model_key *key, bp_models *models, bp_error *error)
{
    if (!key->name)
        return bp_checkpoint_number(&key->number, models->store, key->job, key->number, error);
    return key->number ? BP_OK : bp_model_newest(&key->number, models->store, key->name, error);
}

static bp_status borrow(bp_model **out, bp_models *models, model_key key, bp_error *error)
{
    bp_status status = complete_key(&key, models, error);
    if (status != BP_OK)
        return status;
    bp_model *model = find(models, &key);
    if (!model)
        status = load_once(&model, models, &key, error);
    if (status == BP_OK)
        *out = model;
    return status;
}

static bp_model *borrow_loaded(bp_models *models, model_key key)
{
    return complete_key(&key, models, NULL) == BP_OK ? find(models, &key) : NULL;
}

bp_status bp_models_borrow(bp_model **out, bp_models *models, const char *name, uint64_t version,
                           bp_error *error)
{
    return borrow(out, models, (model_key){.name = name, .number = version}, error);
}

bp_model *bp_models_borrow_loaded(bp_models *models, const char *name, uint64_t version)
{
    return borrow_loaded(models, (model_key){.name = name, .number = version});
}

bp_status bp_models_borrow_checkpoint(bp_model **out, bp_models *models, int64_t job,
                                      uint64_t number, bp_error *error)
{
    return borrow(out, models, (model_key){.job = job, .number = number}, error);
}

bp_model *bp_models_borrow_loaded_checkpoint(bp_models *models, int64_t job, uint64_t number)
{
    return borrow_loaded(models, (model_key){.job = job, .number = number});
}

/* ---- prediction ---- */

static bp_status take_arena(arena *out, bp_model *model, bp_error *error)
{
    pthread_mutex_lock(&model->mutex);
    bool ready = model->idle_count > 0;
    if (ready)
        *out = model->idle[--model->idle_count];
    pthread_mutex_unlock(&model->mutex);
    if (ready)
        return BP_OK;
    arena made;
    bp_network_spec spec;
    bp_status status = make_prepared(&made.prepared, model->info, error);
    if (status != BP_OK)
        return status;
    bp_model_info_network(&spec, model->info, model->isa, BP_PREDICTION_CHUNK);
    status =
        bp_network_create_shared(&made.network, &spec, bp_network_parameters(model->owner), error);
    if (status != BP_OK) {
        free(made.prepared);
        return status;
    }
    *out = made;
    return BP_OK;
}

static void give_arena(bp_model *model, arena *used)
{
    pthread_mutex_lock(&model->mutex);
    bool kept = model->idle_count < POOL_LIMIT || used->network == model->owner;
    if (kept)
        model->idle[model->idle_count++] = *used;
    pthread_mutex_unlock(&model->mutex);
    if (!kept)
        free_arena(model, used);
}

bp_status bp_model_predict(void **out_shown, bp_model *model, const double *raw, size_t count,
                           bp_error *error)
{
    const bp_model_info *info = model->info;
    const bp_preparation *preparation = &info->preparation;
    bp_kernels_thread_start();
    arena used;
    bp_status status = take_arena(&used, model, error);
    if (status != BP_OK)
        return status;
    size_t width = bp_network_shown_width(used.network), row_bytes = 0, bytes = 0;
    unsigned char *shown = NULL;
    if (!bp_checked_multiply(&row_bytes, width, bp_dtype_size(info->dtype)) ||
        !bp_checked_multiply(&bytes, row_bytes, count))
        status = bp_error_set(error, BP_TOO_LARGE, NULL, "too many rows");
    else if (!(shown = malloc(bytes > 0 ? bytes : 1)))
        status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for %zu predictions", count);
    for (size_t first = 0; shown && first < count; first += BP_PREDICTION_CHUNK) {
        size_t rows = count - first < BP_PREDICTION_CHUNK ? count - first : BP_PREDICTION_CHUNK;
        bp_preparation_apply(preparation, used.prepared, info->dtype,
                             raw + first * preparation->raw_width, rows);
        bp_network_forward(used.network, NULL, used.prepared, rows, false);
        memcpy(shown + first * row_bytes, bp_network_shown_output(used.network), rows * row_bytes);
    }
    give_arena(model, &used);
    if (status == BP_OK)
        *out_shown = shown;
    return status;
}

void bp_model_samples_done(bp_model_samples *samples)
{
    free(samples->mean);
    free(samples->deviation);
    free(samples->entropy);
    *samples = (bp_model_samples){0};
}

bp_status bp_model_predict_samples(bp_model_samples *out, bp_model *model, const double *raw,
                                   size_t count, uint64_t sample_count, uint64_t seed,
                                   bp_error *error)
{
    const bp_model_info *info = model->info;
    const bp_preparation *preparation = &info->preparation;
    bp_kernels_thread_start();
    arena used;
    bp_status status = take_arena(&used, model, error);
    if (status != BP_OK)
        return status;
    const size_t width = bp_network_shown_width(used.network);
    size_t elements;
    bp_model_samples samples = {0};
    if (!bp_checked_multiply(&elements, width, count)) {
        status = bp_error_set(error, BP_TOO_LARGE, NULL, "too many rows");
        goto done;
    }
    samples.mean = calloc(elements > 0 ? elements : 1, sizeof *samples.mean);
    samples.deviation = calloc(elements > 0 ? elements : 1, sizeof *samples.deviation);
    samples.entropy = calloc(count > 0 ? count : 1, sizeof *samples.entropy);
    if (!samples.mean || !samples.deviation || !samples.entropy) {
        status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for %zu predictions", count);
        goto done;
    }
    for (size_t first = 0; first < count; first += BP_PREDICTION_CHUNK) {
        size_t rows = count - first < BP_PREDICTION_CHUNK ? count - first : BP_PREDICTION_CHUNK;
        bp_preparation_apply(preparation, used.prepared, info->dtype,
                             raw + first * preparation->raw_width, rows);
        bp_network_predict_samples(samples.mean + first * width, samples.deviation + first * width,
                                   samples.entropy + first, used.network, used.prepared, rows,
                                   sample_count, seed);
    }
    *out = samples;
    samples = (bp_model_samples){0};
done:
    bp_model_samples_done(&samples);
    give_arena(model, &used);
    return status;
}
