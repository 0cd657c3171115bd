/* Weights to begin with: those of a model, whose tensors must have the shapes of the job's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/job/job_work.h"
#include "schema/model/model_info.h"

void bp_job_find_initial(bp_job_work *work)
{
    const bp_initial_draft *draft = &work->draft.initial;
    if (!draft->model.value)
        return;
    const uint64_t version = draft->version.given ? (uint64_t)draft->version.value : 0;
    const bp_model_info *info =
        work->lookup->find_model
            ? work->lookup->find_model(work->lookup->context, draft->model.value, version)
            : NULL;
    if (!info) {
        if (version > 0)
            bp_job_fault(work, BP_NOT_FOUND, "/initial/version",
                         "there is no version %llu of model \"%s\"", (unsigned long long)version,
                         draft->model.value);
        else
            bp_job_fault(work, BP_NOT_FOUND, "/initial/model", "there is no model \"%s\"",
                         draft->model.value);
        return;
    }
    work->initial = info;
    work->spec->initial_model = bp_job_copy(work, info->name);
    work->spec->initial_version = info->version;
}

static void put_shape(FILE *out, const bp_tensor *tensor)
{
    fputc('[', out);
    for (size_t axis = 0; axis < tensor->rank; axis++)
        fprintf(out, "%s%zu", axis ? ", " : "", tensor->shape[axis]);
    fputc(']', out);
}

static bool same_shape(const bp_tensor *a, const bp_tensor *b)
{
    return a->rank == b->rank && !memcmp(a->shape, b->shape, a->rank * sizeof *a->shape);
}

static void tensor_fault(bp_job_work *work, const bp_place *place, size_t layer,
                         const bp_tensor *ours, const bp_tensor *theirs)
{
    char *detail = NULL;
    size_t size;
    FILE *out = open_memstream(&detail, &size);
    if (!out) {
        bp_job_no_memory(work);
        return;
    }
    fprintf(out, "layers.%zu.%s ", layer, ours ? ours->name : theirs->name);
    if (ours && theirs) {
        fputs("is ", out);
        put_shape(out, ours);
        fputs(" here and ", out);
        put_shape(out, theirs);
        fputs(" in", out);
    } else {
        fputs(ours ? "is not in" : "is only in", out);
    }
    fprintf(out, " version %llu of model \"%s\", whose weights are to be taken",
            (unsigned long long)work->initial->version, work->initial->name);
    if (fclose(out) != 0)
        bp_job_no_memory(work);
    else
        bp_reader_fault(&work->reader, place, BP_SHAPE, "%s", detail);
    free(detail);
}

static const bp_tensor *find_tensor(const bp_layer_shape *shape, const char *name)
{
    for (size_t index = 0; index < shape->tensor_count; index++)
        if (!strcmp(shape->tensor[index].name, name))
            return &shape->tensor[index];
    return NULL;
}

static void compare_layers(bp_job_work *work, const bp_place *place, size_t layer,
                           const bp_layer_shape *ours, const bp_layer_shape *theirs)
{
    for (size_t index = 0; index < ours->tensor_count; index++) {
        const bp_tensor *other = find_tensor(theirs, ours->tensor[index].name);
        if (!other || !same_shape(&ours->tensor[index], other))
            tensor_fault(work, place, layer, &ours->tensor[index], other);
    }
    for (size_t index = 0; index < theirs->tensor_count; index++)
        if (!find_tensor(ours, theirs->tensor[index].name))
            tensor_fault(work, place, layer, NULL, &theirs->tensor[index]);
}

static bool plan(bp_layer_shape *out, const bp_layer_spec *layer, size_t *width)
{
    const bp_layer_type *type = (const bp_layer_type *)layer->layer.member;
    if (!type || type->plan(out, layer, *width, NULL) != BP_OK)
        return false;
    *width = out->output_width;
    return true;
}

void bp_job_check_initial(bp_job_work *work)
{
    const bp_job_spec *spec = work->spec;
    const bp_model_info *info = work->initial;
    if (!info || bp_faults_any(work->reader.faults))
        return; /* shapes mean little while something else is wrong */
    const bp_place root = {0}, network = bp_place_member(&root, "network");
    const bp_place layers = bp_place_member(&network, "layers");
    const bp_place initial = bp_place_member(&root, "initial");
    const bool given = work->draft.network.given;
    if (spec->layer_count != info->layer_count) {
        bp_reader_fault(&work->reader, given ? &layers : &initial, BP_SHAPE,
                        "there are %zu layers here and %zu in version %llu of model \"%s\", whose "
                        "weights are to be taken",
                        spec->layer_count, info->layer_count, (unsigned long long)info->version,
                        info->name);
        return;
    }
    size_t our_width = spec->input_width, their_width = info->preparation.prepared_width;
    for (size_t index = 0; index < spec->layer_count; index++) {
        bp_layer_shape ours, theirs;
        if (!plan(&ours, &spec->layers[index], &our_width) ||
            !plan(&theirs, &info->layers[index], &their_width))
            return; /* a fault of its own: the size of the network */
        const bp_place layer = bp_place_element(&layers, index);
        compare_layers(work, given ? &layer : &initial, index, &ours, &theirs);
    }
}
