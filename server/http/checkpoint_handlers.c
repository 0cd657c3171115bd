#include "schema/json/json_text.h"
#include "server/checkpoint/checkpoints_read.h"
#include "server/http/handlers.h"
#include "server/http/problem.h"

enum { LIST_DEFAULT = 100, LIST_LIMIT = 10000 };

void bp_handle_checkpoint_list(bp_request *request)
{
    uint64_t limit, after;
    if (!bp_request_count(&limit, request, "limit", 1, LIST_LIMIT, LIST_DEFAULT) ||
        !bp_request_count(&after, request, "after", 0, (uint64_t)BP_JSON_INTEGER_MAXIMUM, 0))
        return;
    json_t *document = NULL;
    bp_error error = {.status = BP_OK};
    const bp_status status =
        bp_checkpoints_json(&document, request->services->store,
                            (int64_t)bp_request_number(request, 0), after, limit, &error);
    bp_answer_read(request, status, document, &error);
}
