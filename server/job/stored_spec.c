#include "server/job/stored_spec.h"

#include "server/job/spec_lookup.h"
#include "server/store/database.h"

static bp_status load_document(json_t **out, bp_store *store, int64_t job, bp_error *error)
{
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_store_reader(&database, store, error);
    if (status == BP_OK)
        status = bp_database_prepare(&statement, database,
                                     "SELECT specification FROM jobs WHERE id = ?1", error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, job);
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        *out = json_loadb((const char *)sqlite3_column_text(statement, 0),
                          (size_t)sqlite3_column_bytes(statement, 0), 0, NULL);
        if (!*out)
            status = bp_error_set(error, BP_CORRUPT, NULL, "the specification cannot be read");
    } else if (code == SQLITE_DONE) {
        status = bp_error_set(error, BP_NOT_FOUND, NULL, "there is no job %lld", (long long)job);
    } else {
        status = bp_database_error(database, code, "reading a job", error);
    }
    sqlite3_finalize(statement);
    return status;
}

bp_status bp_stored_spec_load(bp_job_spec **out, bp_store *store, bp_datasets *datasets,
                              int64_t job, const bp_job_limits *limits, bp_isa isa,
                              bool (*cancelled)(void *context), void *context, bp_error *error)
{
    json_t *document = NULL;
    bp_status status = load_document(&document, store, job, error);
    if (status != BP_OK)
        return status;
    bp_spec_lookup found = {.datasets = datasets,
                            .store = store,
                            .own_job = job,
                            .cancelled = cancelled,
                            .context = context};
    const bp_dataset_lookup lookup = bp_spec_lookup_of(&found);
    bp_faults faults = {0};
    json_t *resolved = NULL, *warnings = NULL;
    bp_job_size size;
    status =
        bp_job_resolve(out, &resolved, &warnings, &size, &faults, document, &lookup, limits, isa);
    if (status != BP_OK) {
        if (found.error.status != BP_OK)
            status = bp_error_set(error, found.error.status, found.error.where, "%s",
                                  found.error.message);
        else if (faults.count > 0)
            status =
                bp_error_set(error, status, faults.items[0].pointer, "%s", faults.items[0].detail);
        else
            status = bp_error_set(error, status, NULL, "the specification cannot be resolved");
    }
    json_decref(resolved);
    json_decref(warnings);
    bp_faults_done(&faults);
    bp_spec_lookup_done(&found);
    json_decref(document);
    return status;
}
