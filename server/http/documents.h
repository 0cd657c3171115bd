/* Texts that do not change while the daemon runs, made once at its start. Private to server/http. */
#ifndef BP_SERVER_HTTP_DOCUMENTS_H
#define BP_SERVER_HTTP_DOCUMENTS_H

#include "server/http/server_state.h"

/* Fills in http->catalog and the ETags. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_documents_create(bp_http *http, bp_error *error);
void bp_documents_done(bp_http *http);

#endif
