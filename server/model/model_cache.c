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
#include "schema/job/layer_json.h"
#include "server/model/checkpoint_model.h"
#include "server/model/model_arena.h"

enum { POOL_LIMIT = 16 }; /* idle networks kept for each model */

struct bp_model {
    unsigned references; /* changed by atomic operations only */
    bp_model_info *info;
    bp_isa isa;
    uint64_t row_products;
    bp_network *owner; /* of the parameters; computes like the others, lives as long as the model */
    uint64_t size_bytes; /* estimate, as the cache counts it */
    pthread_mutex_t mutex;
    size_t idle_count;
    bp_model_arena idle[POOL_LIMIT + 1]; /* the owner always has a place */
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

static void free_arena(const bp_model *model, bp_model_arena *used)
{
    if (used->network != model->owner)
        bp_network_free(used->network);
    free(used->input);
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

uint64_t bp_model_row_products(const bp_model *model)
{
    return model->row_products;
}

/* A table is not multiplied with, unless it is also the last layer's weights. */
static uint64_t count_row_products(const bp_model_info *info)
{
    uint64_t count = info->parameter_count;
    for (size_t index = 0; index < info->layer_count; index++) {
        const bp_choice *layer = &info->layers[index].layer;
        if (bp_layer_spec_is_tied(&info->layers[index]))
            return info->parameter_count;
        if (strcmp(layer->member->name, "embedding") == 0)
            count -=
                bp_vocabulary_count(info->vocabulary) * (size_t)bp_choice_value(layer, "dimension");
    }
    return count > 0 ? count : 1;
}

/* Room for a chunk of what the network reads: prepared rows, or ids. */
static bp_status make_input(void **out, const bp_model_info *info, const bp_network_spec *spec,
                            bp_error *error)
{
    const size_t size =
        bp_task_is_of_corpus(info->task) ? sizeof(int32_t) : bp_dtype_size(info->dtype);
    size_t elements;
    if (!bp_checked_multiply(&elements, spec->input_width, spec->batch_rows))
        return bp_error_set(error, BP_TOO_LARGE, NULL, "a prediction's rows are too wide");
    void *input = calloc(elements, size);
    if (!input)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a prediction");
    *out = input;
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
        status = make_input(&model->idle[0].input, row->info, &spec, error);
    if (status == BP_OK)
        status =
            row->checkpoint
                ? bp_checkpoint_weights_load(&model->owner, models->store, row, models->isa, error)
                : bp_model_weights_load(&model->owner, models->store, row, models->isa, error);
    if (status != BP_OK) {
        free(model->idle[0].input);
        free(model);
        return status;
    }
    model->idle[0].network = model->owner;
    model->idle_count = 1;
    model->size_bytes = size.total_bytes;
    if (row->info->vocabulary)
        model->size_bytes += bp_vocabulary_bytes(row->info->vocabulary);
    model->row_products = count_row_products(row->info);
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

/* ---- arenas ---- */

bp_status bp_model_arena_take(bp_model_arena *out, bp_model *model, bp_error *error)
{
    pthread_mutex_lock(&model->mutex);
    const bool ready = model->idle_count > 0;
    if (ready)
        *out = model->idle[--model->idle_count];
    pthread_mutex_unlock(&model->mutex);
    if (ready) {
        /* Whoever had it last has left the end of its own text there. */
        bp_network_state_reset(out->network);
        return BP_OK;
    }
    bp_model_arena made;
    bp_network_spec spec;
    bp_model_info_network(&spec, model->info, model->isa, BP_PREDICTION_CHUNK);
    bp_status status = make_input(&made.input, model->info, &spec, error);
    if (status != BP_OK)
        return status;
    status =
        bp_network_create_shared(&made.network, &spec, bp_network_parameters(model->owner), error);
    if (status != BP_OK) {
        free(made.input);
        return status;
    }
    *out = made;
    return BP_OK;
}

void bp_model_arena_give(bp_model *model, bp_model_arena *used)
{
    pthread_mutex_lock(&model->mutex);
    const bool kept = model->idle_count < POOL_LIMIT || used->network == model->owner;
    if (kept)
        model->idle[model->idle_count++] = *used;
    pthread_mutex_unlock(&model->mutex);
    if (!kept)
        free_arena(model, used);
}
