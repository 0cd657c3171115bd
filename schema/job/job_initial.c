/* Weights to begin with: those of a model or of a checkpoint, whose tensors must have the shapes of the
 * job's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/job/job_work.h"
#include "schema/job/labels.h"
#include "schema/model/model_info.h"

json_t *bp_job_initial_json(const bp_job_spec *spec)
{
    if (spec->initial_job)
        return json_pack("{s:I, s:I}", "job", (json_int_t)spec->initial_job, "checkpoint",
                         (json_int_t)spec->initial_checkpoint);
    return json_pack("{s:s, s:I}", "model", spec->initial_model, "version",
                     (json_int_t)spec->initial_version);
}

static void find_model(bp_job_work *work, const char *name, uint64_t version)
{
    const bp_model_info *info = work->lookup->find_model
                                    ? work->lookup->find_model(work->lookup->context, name, version)
                                    : NULL;
    if (!info && version > 0)
        bp_job_fault(work, BP_NOT_FOUND, "/initial/version",
                     "there is no version %llu of model \"%s\"", (unsigned long long)version, name);
    else if (!info)
        bp_job_fault(work, BP_NOT_FOUND, "/initial/model", "there is no model \"%s\"", name);
    if (!info)
        return;
    work->initial = info;
    work->spec->initial_model = bp_job_copy(work, info->name);
    work->spec->initial_version = info->version;
}

static void find_checkpoint(bp_job_work *work, int64_t job, uint64_t number)
{
    const bp_model_info *info =
        work->lookup->find_checkpoint
            ? work->lookup->find_checkpoint(work->lookup->context, job, number)
            : NULL;
    if (!info && number > 0)
        bp_job_fault(work, BP_NOT_FOUND, "/initial/checkpoint",
                     "there is no checkpoint %llu of job %lld", (unsigned long long)number,
                     (long long)job);
    else if (!info)
        bp_job_fault(work, BP_NOT_FOUND, "/initial/job", "there is no checkpoint of a job %lld",
                     (long long)job);
    if (!info)
        return;
    work->initial = info;
    work->spec->initial_job = info->job;
    work->spec->initial_checkpoint = info->checkpoint;
}

void bp_job_find_initial(bp_job_work *work)
{
    const bp_initial_draft *draft = &work->draft.initial;
    if (work->initial_is_sought)
        return;
    work->initial_is_sought = true;
    if (draft->model.value)
        find_model(work, draft->model.value,
                   draft->version.given ? (uint64_t)draft->version.value : 0);
    else if (draft->job.given)
        find_checkpoint(work, draft->job.value,
                        draft->checkpoint.given ? (uint64_t)draft->checkpoint.value : 0);
}

void bp_job_put_source(FILE *out, const bp_model_info *info)
{
    if (info->checkpoint)
        fprintf(out, "checkpoint %llu of job %lld", (unsigned long long)info->checkpoint,
                (long long)info->job);
    else
        fprintf(out, "version %llu of model \"%s\"", (unsigned long long)info->version, info->name);
}

char *bp_job_source_text(bp_job_work *work)
{
    char *source = NULL;
    size_t size;
    FILE *out = open_memstream(&source, &size);
    if (out) {
        bp_job_put_source(out, work->initial);
        if (fclose(out) == 0)
            return source;
    }
    free(source);
    bp_job_no_memory(work);
    return NULL;
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
    fputc(' ', out);
    bp_job_put_source(out, work->initial);
    fputs(", whose weights are to be taken", out);
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

static bool plan(bp_layer_shape *out, const bp_layer_spec *layer, bp_layer_input *input)
{
    const bp_layer_type *type = (const bp_layer_type *)layer->layer.member;
    if (!type || type->plan(out, layer, input, NULL) != BP_OK)
        return false;
    *input = bp_layer_above(*input, &type->member, out);
    return true;
}

static void layers_fault(bp_job_work *work, const bp_place *place)
{
    char *source = bp_job_source_text(work);
    if (source)
        bp_reader_fault(&work->reader, place, BP_SHAPE,
                        "there are %zu layers here and %zu in %s, whose weights are to be taken",
                        work->spec->layer_count, work->initial->layer_count, source);
    free(source);
}

/* Weights of the last layer stand for classes in their order, whatever these are called. */
static void compare_classes(bp_job_work *work)
{
    const bp_labels *ours = &work->spec->classes, *theirs = &work->initial->classes;
    if (ours->count == 0 || theirs->count == 0 || bp_labels_equal(ours, theirs))
        return;
    char *source = bp_job_source_text(work);
    if (source)
        bp_job_warn(
            work,
            "the classes are not those of %s, whose weights are taken: the first class goes "
            "on from its first one, and so forth",
            source);
    free(source);
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
    if ((bp_task_is_of_corpus(spec->task) || bp_task_is_of_corpus(info->task)) &&
        spec->task != info->task) {
        char *source = bp_job_source_text(work);
        if (source)
            bp_reader_fault(&work->reader, &initial, BP_INVALID, "%s is for %s; the task is %s",
                            source, bp_task_names[info->task], bp_task_names[spec->task]);
        free(source);
        return;
    }
    if (spec->layer_count != info->layer_count) {
        layers_fault(work, given ? &layers : &initial);
        return;
    }
    bp_layer_input our_input = bp_network_first_input(&spec->training.network);
    bp_network_spec theirs_spec;
    bp_model_info_network(&theirs_spec, info, spec->training.network.isa, 1);
    bp_layer_input their_input = bp_network_first_input(&theirs_spec);
    for (size_t index = 0; index < spec->layer_count; index++) {
        bp_layer_shape ours, theirs;
        if (!plan(&ours, &spec->layers[index], &our_input) ||
            !plan(&theirs, &info->layers[index], &their_input))
            return; /* a fault of its own: the size of the network */
        const bp_place layer = bp_place_element(&layers, index);
        compare_layers(work, given ? &layer : &initial, index, &ours, &theirs);
    }
    if (!bp_faults_any(work->reader.faults))
        compare_classes(work);
}
