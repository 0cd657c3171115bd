/* When a job's checkpoints are taken and which of them are kept. */
#include "core/training/early_stopping.h"
#include "schema/job/job_work.h"
#include "schema/json/json_text.h"

enum { DEFAULT_SECONDS = 10, DEFAULT_KEEP_LAST = 2 };

/* What each epoch evaluates and "best" goes by: what early stopping watches, otherwise the validation
 * part's loss. False: nothing is. */
static bool find_metric(bp_watched *out, const bp_job_work *work)
{
    const bp_choice *stopping = &work->spec->training.early_stopping;
    if (stopping->member)
        *out = (bp_watched)stopping->value[BP_EARLY_STOPPING_METRIC];
    else if (work->draft.data.validation.json.value)
        *out = BP_WATCHED_VALIDATION_LOSS;
    else
        return false;
    return true;
}

void bp_job_resolve_checkpoint(bp_job_work *work)
{
    const bp_checkpoint_draft *draft = &work->draft.checkpoint;
    bp_checkpoint_plan *plan = &work->spec->checkpoint;
    const bool wants_best = draft->keep_best.given && draft->keep_best.value;
    const bool has_cadence =
        draft->every_epochs.given || draft->every_steps.given || draft->every_seconds.given;
    plan->is_judged = find_metric(&plan->metric, work);
    plan->keep_last = draft->keep_last.given ? (uint64_t)draft->keep_last.value : DEFAULT_KEEP_LAST;
    if (draft->every_epochs.given)
        plan->every_epochs = (uint64_t)draft->every_epochs.value;
    if (draft->every_steps.given)
        plan->every_steps = (uint64_t)draft->every_steps.value;
    if (draft->every_seconds.given)
        plan->every_seconds = draft->every_seconds.value;
    if (!has_cadence && wants_best)
        plan->every_epochs = 1;
    else if (!has_cadence)
        plan->every_seconds = DEFAULT_SECONDS;
    plan->keep_best = draft->keep_best.given ? draft->keep_best.value
                                             : draft->every_epochs.given && plan->is_judged;
    if (!plan->keep_best)
        return;
    if (!plan->is_judged)
        bp_job_fault(work, BP_INVALID, "/checkpoint/keep_best",
                     "nothing is evaluated that could tell which is best: give data.validation or "
                     "training.early_stopping");
    if (!plan->every_epochs)
        bp_job_fault(work, BP_INVALID, "/checkpoint/keep_best",
                     "only a checkpoint at the end of an epoch can be the best one: give "
                     "every_epochs");
}

json_t *bp_job_checkpoint_json(const bp_checkpoint_plan *plan)
{
    json_t *json = json_object();
    bool ok = json != NULL;
    if (plan->every_epochs)
        ok &= bp_json_add(json, "every_epochs", json_integer((json_int_t)plan->every_epochs));
    if (plan->every_steps)
        ok &= bp_json_add(json, "every_steps", json_integer((json_int_t)plan->every_steps));
    if (plan->every_seconds > 0)
        ok &= bp_json_add(json, "every_seconds", bp_json_number(plan->every_seconds));
    ok &= bp_json_add(json, "keep_last", json_integer((json_int_t)plan->keep_last));
    ok &= bp_json_add(json, "keep_best", json_boolean(plan->keep_best));
    return bp_json_whole(json, ok);
}
