#include "schema/job/job_change.h"

#include "schema/job/job_draft.h"

typedef struct change_draft {
    bp_given_count priority;
} change_draft;

static const bp_count_range priorities = {-BP_PRIORITY_LIMIT, BP_PRIORITY_LIMIT};

static const bp_field fields[] = {
    {"priority", bp_read_count, offsetof(change_draft, priority), &priorities, true},
};

bp_status bp_job_change_read(bp_job_change *out, bp_faults *faults, const json_t *json)
{
    change_draft draft = {0};
    bp_reader reader = {faults};
    const bp_place root = {0};
    bp_reader_object(&reader, &root, json, fields, sizeof fields / sizeof *fields, &draft);
    if (faults->out_of_memory)
        return BP_NO_MEMORY;
    if (faults->count > 0)
        return faults->items[0].status;
    out->priority = draft.priority.value;
    return BP_OK;
}
