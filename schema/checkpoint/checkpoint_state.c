#include "schema/checkpoint/checkpoint_state.h"

#include "schema/json/json_text.h"
#include "schema/json/stored.h"

enum { VERSION = 1 };

static json_t *count_json(uint64_t value)
{
    return json_integer((json_int_t)value);
}

json_t *bp_checkpoint_state_json(const bp_trainer_state *state, const json_t *summary)
{
    const bp_plateau_state *plateau = &state->watch.plateau;
    const bp_early_stopping_state *stopping = &state->watch.early_stopping;
    return json_pack("{s:i, s:o, s:{s:o, s:o, s:o, s:o}, s:{s:o, s:o, s:o, s:o, s:o}, s:O}",
                     "version", VERSION, "step", count_json(state->step), "plateau", "best",
                     bp_json_real(plateau->best), "started", count_json(plateau->started), "waited",
                     count_json(plateau->waited), "reductions", count_json(plateau->reductions),
                     "early_stopping", "best", bp_json_real(stopping->best), "best_step",
                     count_json(stopping->best_step), "started", count_json(stopping->started),
                     "waited", count_json(stopping->waited), "stopped",
                     count_json(stopping->stopped), "summary", bp_json_mutable(summary));
}

bp_status bp_checkpoint_state_parse(bp_trainer_state *out, const json_t **out_summary,
                                    const json_t *json, bp_error *error)
{
    bp_stored stored = {.status = BP_OK};
    const uint64_t version = bp_stored_count(&stored, json, "version");
    if (stored.status == BP_OK && version > VERSION)
        return bp_error_set(error, BP_UNSUPPORTED, "checkpoints.state",
                            "the checkpoint is of a newer version (%llu) than this program reads",
                            (unsigned long long)version);
    const json_t *plateau = json_object_get(json, "plateau");
    const json_t *stopping = json_object_get(json, "early_stopping");
    const json_t *summary = json_object_get(json, "summary");
    const bp_trainer_state state = {
        .step = bp_stored_count(&stored, json, "step"),
        .watch = {.plateau = {.best = bp_stored_number(&stored, plateau, "best"),
                              .started = bp_stored_count(&stored, plateau, "started"),
                              .waited = bp_stored_count(&stored, plateau, "waited"),
                              .reductions = bp_stored_count(&stored, plateau, "reductions")},
                  .early_stopping = {.best = bp_stored_number(&stored, stopping, "best"),
                                     .best_step = bp_stored_count(&stored, stopping, "best_step"),
                                     .started = bp_stored_count(&stored, stopping, "started"),
                                     .waited = bp_stored_count(&stored, stopping, "waited"),
                                     .stopped = bp_stored_count(&stored, stopping, "stopped")}}};
    if (!json_is_object(summary))
        bp_stored_corrupt(&stored);
    if (stored.status != BP_OK)
        return bp_error_set(error, stored.status, "checkpoints.state",
                            "the state of a checkpoint cannot be read");
    *out = state;
    *out_summary = summary;
    return BP_OK;
}
