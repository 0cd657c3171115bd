/* What routes.def names. Each runs on an HTTP thread; request.h says how it answers. */
#ifndef BP_SERVER_HTTP_HANDLERS_H
#define BP_SERVER_HTTP_HANDLERS_H

#include "server/http/request.h"

#define BP_ROUTE(method, pattern, scope, body, needs, handler, query)                              \
    void handler(bp_request *request);
#include "server/http/routes.def"
#undef BP_ROUTE

#endif
