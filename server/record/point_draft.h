/* A metric point in the making: names and values in the order in which they are put in. */
#ifndef BP_SERVER_RECORD_POINT_DRAFT_H
#define BP_SERVER_RECORD_POINT_DRAFT_H

#include "core/training/trainer.h"
#include "server/record/metric_recorder.h"

typedef struct bp_point_draft bp_point_draft;

/* For a network of so many layers. BP_NO_MEMORY. Nothing below allocates. */
BP_CHECK_RESULT bp_status bp_point_draft_create(bp_point_draft **out, size_t layer_count,
                                                bp_error *error);
void bp_point_draft_begin(bp_point_draft *draft); /* empties it */
/* name: of static lifetime. */
void bp_point_draft_put(bp_point_draft *draft, const char *name, double value);
/* "layers.<i>.update_ratio", "….dead_share", "….saturated_share": those that arise. */
void bp_point_draft_put_layer(bp_point_draft *draft, size_t layer, const bp_diagnosis *diagnosis);
/* A view until the next begin. */
bp_measured bp_point_draft_measured(const bp_point_draft *draft, uint64_t step, uint64_t epoch);
void bp_point_draft_free(bp_point_draft *draft); /* accepts NULL */

#endif
