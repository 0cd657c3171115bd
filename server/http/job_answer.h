/* A job's document as an answer, with its entity tag: the revision, which grows with every change by PATCH. */
#ifndef BP_SERVER_HTTP_JOB_ANSWER_H
#define BP_SERVER_HTTP_JOB_ANSWER_H

#include "server/http/request.h"

/* Reads the document of job id; answers with the error where that fails. False: that. */
bool bp_answer_job(bp_request *request, unsigned status, int64_t id);

#endif
