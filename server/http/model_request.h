/* The model that a request's path names: a version of it, the newest, or a checkpoint of a job. */
#ifndef BP_SERVER_HTTP_MODEL_REQUEST_H
#define BP_SERVER_HTTP_MODEL_REQUEST_H

#include "server/http/request.h"

/* As bp_models_borrow and bp_models_borrow_checkpoint. May read the store: for a helper. */
BP_CHECK_RESULT bp_status bp_request_borrow_model(bp_model **out, const bp_request *request,
                                                  bp_error *error);
/* The same where it is in memory already; else NULL. */
bp_model *bp_request_borrow_loaded_model(const bp_request *request);

#endif
