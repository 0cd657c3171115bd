#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/job/job_work.h"
#include "schema/job/labels.h"

void bp_job_no_memory(bp_job_work *work)
{
    work->reader.faults->out_of_memory = true;
}

void bp_job_layer_fault(bp_job_work *work, bp_status status, size_t index, const char *field,
                        const char *format, ...)
{
    char pointer[BP_ERROR_WHERE_SIZE];
    snprintf(pointer, sizeof pointer, "/network/layers/%zu/%s", index, field);
    va_list arguments;
    va_start(arguments, format);
    bp_faults_add_list(work->reader.faults, status, pointer, format, arguments);
    va_end(arguments);
}

void bp_job_warn(bp_job_work *work, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        text = NULL;
    va_end(arguments);
    if (!text || json_array_append_new(work->warnings, json_string(text)) != 0)
        bp_job_no_memory(work);
    free(text);
}

char *bp_job_copy(bp_job_work *work, const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        bp_job_no_memory(work);
    return copy;
}

void bp_job_set_value(bp_choice *choice, const char *name, double value)
{
    for (size_t index = 0; index < choice->member->parameter_count; index++)
        if (!strcmp(choice->member->parameters[index].name, name)) {
            choice->value[index] = value;
            return;
        }
    assert(!"a hyperparameter of that name");
}

void *bp_job_allocate(bp_job_work *work, size_t count, size_t size)
{
    void *made = calloc(count ? count : 1, size);
    if (!made)
        bp_job_no_memory(work);
    return made;
}

static void resolve_name(bp_job_work *work)
{
    const char *name = work->draft.name.value;
    if (!name && work->training)
        name = work->training->name;
    if (!name && work->corpus)
        name = work->corpus->name;
    if (name)
        work->spec->name = bp_job_copy(work, name);
    work->spec->priority = work->draft.priority.given ? work->draft.priority.value : 0;
}

static void resolve(bp_job_work *work, const json_t *body, bp_job_size *size)
{
    bp_job_draft_read(&work->draft, &work->reader, body, work->limits->layer_count);
    bp_job_resolve_data(work);
    resolve_name(work);
    bp_job_resolve_parts(work);
    bp_job_find_initial(work);
    bp_job_resolve_vocabulary(work);
    bp_job_resolve_network(work);
    bp_job_resolve_class_weights(work);
    bp_job_resolve_checkpoint(work);
    bp_job_check_initial(work);
    if (!bp_faults_any(work->reader.faults))
        bp_job_resolve_size(work, size);
}

bp_status bp_job_resolve(bp_job_spec **out, json_t **out_resolved, json_t **out_warnings,
                         bp_job_size *out_size, bp_faults *faults, const json_t *body,
                         const bp_dataset_lookup *lookup, const bp_job_limits *limits, bp_isa isa)
{
    bp_job_work work = {.reader = {faults}, .lookup = lookup, .limits = limits};
    bp_job_size size = {0};
    json_t *resolved = NULL;
    bp_status status = BP_NO_MEMORY;
    work.spec = calloc(1, sizeof *work.spec);
    work.warnings = json_array();
    if (!work.spec || !work.warnings) {
        faults->out_of_memory = true;
        goto done;
    }
    work.spec->training.network.isa = isa;
    resolve(&work, body, &size);
    if (!bp_faults_any(faults)) {
        resolved = bp_job_document(&work);
        faults->out_of_memory |= !resolved;
    }
    if (!bp_faults_any(faults)) {
        *out = work.spec;
        *out_resolved = resolved;
        *out_warnings = work.warnings;
        *out_size = size;
        work.spec = NULL;
        work.warnings = resolved = NULL;
        status = BP_OK;
    } else if (faults->count > 0) {
        status = faults->items[0].status;
    }

done:
    json_decref(resolved);
    json_decref(work.warnings);
    bp_job_draft_done(&work.draft);
    bp_column_names_done(&work.names);
    free(work.types);
    bp_job_spec_free(work.spec);
    return status;
}

static void free_columns(bp_job_column *columns, size_t count)
{
    for (size_t index = 0; columns && index < count; index++)
        free(columns[index].name);
    free(columns);
}

void bp_job_spec_free(bp_job_spec *spec)
{
    if (!spec)
        return;
    free(spec->name);
    free(spec->dataset);
    free_columns(spec->features, spec->feature_count);
    for (size_t index = 0; spec->feature_categories && index < spec->feature_count; index++)
        bp_labels_done(&spec->feature_categories[index]);
    free(spec->feature_categories);
    free_columns(spec->targets, spec->target_count);
    bp_labels_done(&spec->classes);
    bp_vocabulary_free(spec->corpus.vocabulary);
    free(spec->validation.dataset);
    free(spec->test.dataset);
    free(spec->vectors.dataset);
    free(spec->layers);
    free(spec->class_weight);
    free(spec->initial_model);
    free(spec);
}
