#include "server/model/weights_copy.h"

#include <string.h>

#include "server/corpus/vector_table.h"
#include "server/model/checkpoint_model.h"

static bool is_same_tensor(const bp_tensor *a, const bp_tensor *b)
{
    return strcmp(a->name, b->name) == 0 && a->rank == b->rank &&
           memcmp(a->shape, b->shape, a->rank * sizeof *a->shape) == 0;
}

static bp_status compare(const bp_network *to, const bp_network *from, bp_error *error)
{
    const size_t count = bp_network_tensor_count(to);
    if (bp_network_tensor_count(from) != count)
        return bp_error_set(error, BP_SHAPE, "/initial",
                            "the model has %zu weight tensors, the network %zu",
                            bp_network_tensor_count(from), count);
    for (size_t i = 0; i < count; i++) {
        const bp_tensor ours = bp_network_tensor(to, i), theirs = bp_network_tensor(from, i);
        if (!is_same_tensor(&ours, &theirs))
            return bp_error_set(error, BP_SHAPE, "/initial",
                                "the model's %s is not shaped as the network's %s", theirs.name,
                                ours.name);
    }
    return BP_OK;
}

bp_status bp_weights_copy(bp_network *to, const bp_network *from, bp_error *error)
{
    const bp_status status = compare(to, from, error);
    if (status != BP_OK)
        return status;
    for (size_t i = 0; i < bp_network_tensor_count(to); i++) {
        const bp_tensor out = bp_network_tensor(to, i), in = bp_network_tensor(from, i);
        if (out.dtype == in.dtype)
            memcpy(out.data, in.data, in.element_count * bp_dtype_size(in.dtype));
        else if (in.dtype == BP_FLOAT32)
            bp_network_kernels(from)->to_double(out.data, in.data, in.element_count);
        else
            bp_network_kernels(to)->from_double(out.data, in.data, in.element_count);
    }
    bp_network_parameters_changed(to);
    return BP_OK;
}

bp_status bp_weights_copy_initial(bp_network *to, bp_store *store, const bp_job_spec *spec,
                                  bp_isa isa, bp_error *error)
{
    bp_model_row row = {.id = 0};
    bp_network *from = NULL;
    bp_status status = BP_OK;
    if (spec->initial_job)
        status =
            bp_checkpoint_row_read(&row, store, spec->initial_job, spec->initial_checkpoint, error);
    else if (spec->initial_model)
        status = bp_model_row_read(&row, store, spec->initial_model, spec->initial_version, error);
    else
        return BP_OK;
    if (status == BP_OK)
        status = row.checkpoint ? bp_checkpoint_weights_load(&from, store, &row, isa, error)
                                : bp_model_weights_load(&from, store, &row, isa, error);
    if (status == BP_OK)
        status = bp_weights_copy(to, from, error);
    bp_network_free(from);
    bp_model_info_free(row.info);
    return status;
}

/* Where vectors go: the table of an embedding. */
typedef struct vector_rows {
    const bp_kernels *kernels;
    bp_tensor table;
} vector_rows;

static void take_vector(void *context, int32_t id, const double *numbers)
{
    const vector_rows *rows = context;
    const size_t dimension = rows->table.shape[1], size = bp_dtype_size(rows->table.dtype);
    unsigned char *row = (unsigned char *)rows->table.data + (size_t)id * dimension * size;
    if (rows->table.dtype == BP_FLOAT64)
        memcpy(row, numbers, dimension * size);
    else
        rows->kernels->from_double(row, numbers, dimension);
}

bp_status bp_weights_take_vectors(bp_network *to, bp_datasets *datasets, const bp_job_spec *spec,
                                  bool (*cancelled)(void *context), void *context, bp_error *error)
{
    size_t count = 0;
    if (!spec->vectors.dataset)
        return BP_OK;
    const bp_layer *layer = bp_network_layer(to, spec->vectors_layer);
    vector_rows rows = {.kernels = bp_network_kernels(to), .table = layer->shape.tensor[0]};
    rows.table.data = layer->parameter[0];
    rows.table.dtype = rows.kernels->dtype;
    const bp_status status =
        bp_vectors_visit(&count, datasets, &spec->vectors, spec->corpus.vocabulary, take_vector,
                         &rows, cancelled, context, error);
    bp_network_parameters_changed(to);
    return status;
}
