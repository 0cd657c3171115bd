#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/activation/activation.h"
#include "core/initializer/initializer.h"
#include "core/loss/loss.h"
#include "core/network/network.h"
#include "schema/json/json_text.h"
#include "server/base/sha256.h"
#include "server/store/database.h"
#include "tests/server/support_models.h"

void support_model_describe(bp_model_info *info, const char *name, bp_dtype dtype,
                            const support_layer *layers, size_t layer_count, size_t loss)
{
    info->name = strdup(name);
    info->dataset = strdup("corpus");
    memset(info->dataset_sha256, 'a', sizeof info->dataset_sha256 - 1);
    strcpy(info->created, "2026-01-01T00:00:00.000Z");
    info->version = 1;
    info->job = 1;
    info->dtype = dtype;
    info->loss = bp_choice_default(bp_loss_family.members[loss]);
    info->layers = calloc(layer_count, sizeof *info->layers);
    info->layer_count = layer_count;
    for (size_t i = 0; i < layer_count; i++) {
        const bp_member *member = bp_layer_family.members[layers[i].type];
        bp_layer_spec *layer = &info->layers[i];
        layer->layer = bp_choice_default(member);
        layer->layer.value[0] = layers[i].units;
        if (!bp_layer_type_of(member)->is_mask)
            layer->initializer =
                bp_choice_default(bp_initializer_family.members[BP_INITIALIZER_zeros]);
        const char *activation = bp_layer_type_of(member)->default_activation;
        if (!bp_layer_type_of(member)->is_mask && !bp_layer_type_of(member)->is_fixed)
            layer->activation = bp_choice_default(
                bp_family_find(&bp_activation_family, activation ? activation : "identity"));
    }
    bp_network_spec spec;
    bp_network_size size;
    bp_error error = {.status = BP_OK};
    bp_model_info_network(&spec, info, BP_ISA_BASELINE, 1);
    if (bp_network_measure(&size, &spec, &error) != BP_OK)
        fail_msg("%s: %s", error.where, error.message);
    info->parameter_count = size.parameter_count;
    info->target_width = size.shown_width;
}

void support_model_forget(bp_model_info *info)
{
    free(info->name);
    free(info->dataset);
    free(info->layers);
}

typedef struct store_model {
    bp_write write; /* first */
    const bp_model_info *info;
    double (*weight)(size_t tensor, size_t element);
} store_model;

static bp_status insert_tensor(sqlite3 *database, sqlite3_int64 model, size_t ordinal,
                               const bp_tensor *tensor, bp_error *error)
{
    sqlite3_stmt *statement;
    char sha256[BP_SHA256_TEXT_SIZE];
    const size_t bytes = tensor->element_count * bp_dtype_size(tensor->dtype);
    bp_sha256_text(sha256, tensor->data, bytes);
    bp_status status = bp_database_prepare(
        &statement, database,
        "INSERT INTO model_tensors (model_id, ordinal, name, dtype, shape, sha256, data) "
        "VALUES (?1, ?2, ?3, ?4, '[]', ?5, ?6)",
        error);
    assert_int_equal(status, BP_OK);
    sqlite3_bind_int64(statement, 1, model);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)ordinal);
    sqlite3_bind_text(statement, 3, tensor->name, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 4, bp_dtype_name(tensor->dtype), -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 5, sha256, -1, SQLITE_STATIC);
    sqlite3_bind_blob64(statement, 6, tensor->data, bytes, SQLITE_STATIC);
    status = bp_database_step_done(statement, error);
    sqlite3_finalize(statement);
    return status;
}

static bp_status apply(bp_write *write, sqlite3 *database, bp_error *error)
{
    const store_model *self = (const store_model *)write;
    sqlite3_stmt *statement;
    json_t *document = bp_model_info_json(self->info, true);
    char *text = bp_json_text(document, NULL);
    json_decref(document);
    assert_non_null(text);
    bp_status status = bp_database_prepare(
        &statement, database,
        "INSERT INTO models (name, version, info, created) VALUES (?1, 1, ?2, 0)", error);
    assert_int_equal(status, BP_OK);
    sqlite3_bind_text(statement, 1, self->info->name, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, text, -1, SQLITE_STATIC);
    status = bp_database_step_done(statement, error);
    sqlite3_finalize(statement);
    free(text);
    const sqlite3_int64 model = sqlite3_last_insert_rowid(database);

    bp_network_spec spec;
    bp_network *network;
    bp_model_info_network(&spec, self->info, BP_ISA_BASELINE, 1);
    assert_int_equal(bp_network_create(&network, &spec, NULL), BP_OK);
    for (size_t i = 0; status == BP_OK && i < bp_network_tensor_count(network); i++) {
        const bp_tensor tensor = bp_network_tensor(network, i);
        for (size_t j = 0; j < tensor.element_count; j++) {
            const double weight = self->weight(i, j);
            if (tensor.dtype == BP_FLOAT32)
                ((float *)tensor.data)[j] = (float)weight;
            else
                ((double *)tensor.data)[j] = weight;
        }
        status = insert_tensor(database, model, i, &tensor, error);
    }
    bp_network_free(network);
    return status;
}

void support_model_store(bp_store *store, const bp_model_info *info,
                         double (*weight)(size_t tensor, size_t element))
{
    bp_error error = {.status = BP_OK};
    store_model write = {.write.apply = apply, .info = info, .weight = weight};
    if (bp_store_write_wait(store, &write.write, &error) != BP_OK)
        fail_msg("%s", error.message);
}

bp_vocabulary *support_vocabulary(const char *text, bp_token_unit unit, bool padded)
{
    const bp_vocabulary_rule rule = {.unit = unit, .padded = padded, .min_count = 1};
    bp_vocabulary_builder *builder;
    bp_vocabulary *vocabulary;
    bool full;
    assert_int_equal(bp_vocabulary_builder_create(&builder, &rule, UINT64_MAX, 1, NULL), BP_OK);
    assert_int_equal(bp_vocabulary_builder_feed(builder, text, strlen(text), &full, NULL), BP_OK);
    assert_int_equal(bp_vocabulary_builder_finish(builder, &vocabulary, NULL), BP_OK);
    bp_vocabulary_builder_free(builder);
    return vocabulary;
}
