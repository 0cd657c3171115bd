#include "server/http/model_request.h"

#include <string.h>

static uint64_t version_of(const bp_request *request)
{
    return request->capture_count > 1 ? bp_request_number(request, 1) : 0;
}

static bool is_of_checkpoint(const bp_request *request)
{
    return strstr(request->route->pattern, "/checkpoints/") != NULL;
}

bp_status bp_request_borrow_model(bp_model **out, const bp_request *request, bp_error *error)
{
    bp_models *models = request->services->models;
    if (is_of_checkpoint(request))
        return bp_models_borrow_checkpoint(out, models, (int64_t)bp_request_number(request, 0),
                                           bp_request_number(request, 1), error);
    return bp_models_borrow(out, models, request->capture[0], version_of(request), error);
}

bp_model *bp_request_borrow_loaded_model(const bp_request *request)
{
    bp_models *models = request->services->models;
    if (is_of_checkpoint(request))
        return bp_models_borrow_loaded_checkpoint(models, (int64_t)bp_request_number(request, 0),
                                                  bp_request_number(request, 1));
    return bp_models_borrow_loaded(models, request->capture[0], version_of(request));
}
