/* POST …/generate and …/score: language models write and judge texts, a helper's turn at a time.
 *
 * A text that is streamed goes to the connection's thread once its first tokens are there; from then on they
 * take turns: the helper writes on while the connection is suspended, the content reader sends what there
 * is. So the work belongs to one thread at any time, needs no lock, and goes no faster than its client. */
#include <stdlib.h>
#include <string.h>

#include "schema/job/job_draft.h"
#include "server/http/handlers.h"
#include "server/http/model_request.h"
#include "server/http/problem.h"
#include "server/http/server_state.h"
#include "server/model/text_generation.h"
#include "server/model/text_scoring.h"

/* Always UTF-8; clients that do not know that take a text for Latin-1 where nothing says so. */
#define EVENT_TYPE "text/event-stream; charset=utf-8"

enum {
    VALUE_LIMIT = 64, /* of a body, which has few members */
    BLOCK_BYTES = 4096
};

static void answer_given_up(bp_request *request)
{
    bp_answer_problem(request, 503, "given up: the daemon is stopping or the client has gone");
}

/* Borrows the language model that the path names. NULL: answered. */
static bp_model *borrow(bp_request *request)
{
    bp_model *model = NULL;
    bp_error error = {.status = BP_OK};
    if (bp_request_borrow_model(&model, request, &error) != BP_OK) {
        bp_answer_error(request, &error);
        return NULL;
    }
    const bp_task_kind task = bp_model_info_of(model)->task;
    if (task == BP_TASK_LANGUAGE_MODEL)
        return model;
    bp_answer_problem(request, 422,
                      "only language models write and judge texts; the task of this model is %s",
                      bp_task_names[task]);
    bp_model_release(model);
    return NULL;
}

/* False: answered. */
static bool read_body(bp_request *request, const char *member)
{
    if (!bp_request_parse_json(request, VALUE_LIMIT))
        return false;
    if (json_is_object(request->json))
        return true;
    bp_answer_problem(request, 422, "the body is an object with %s", member);
    return false;
}

/* An error of a text: a place within it ("character 17") stands in the sentence, the member is what is
 * pointed at. */
static void answer_text_error(bp_request *request, const char *member, const bp_error *error)
{
    if (error->status != BP_INVALID || error->where[0] == '/' || !error->where[0]) {
        bp_answer_error(request, error);
        return;
    }
    bp_faults faults = {.count = 0};
    bp_faults_add(&faults, error->status, member, "%s: %s", error->where, error->message);
    bp_answer_faults(request, &faults);
    bp_faults_done(&faults);
}

/* ---- generate ---- */

typedef struct generate_work {
    bp_generate_request wanted; /* borrows from the request's JSON */
    bp_text_generation *generation;
    /* Of a stream. */
    bp_json_writer events; /* of which `sent` bytes have gone */
    size_t sent, told;     /* told: tokens that have had their event */
    bool is_last;          /* nothing comes after these events */
    bool is_given_up;
} generate_work;

static void free_generate_work(void *context)
{
    generate_work *work = context;
    bp_text_generation_free(work->generation);
    free(work->events.bytes);
    free(work);
}

static bool is_done(const generate_work *work)
{
    return bp_text_generation_is_done(work->generation);
}

/* Events of what has been written since the last ones. */
static void put_events(generate_work *work)
{
    const bp_model_info *info = bp_text_generation_model(work->generation);
    size_t count;
    const int32_t *tokens = bp_text_generation_tokens(work->generation, &count);
    for (; work->told < count; work->told++)
        bp_token_event_write(&work->events, info, work->told, tokens[work->told]);
    if (is_done(work)) {
        bp_generate_end_event_write(&work->events, info, &work->wanted, tokens, count);
        work->is_last = true;
    }
}

/* A helper's turn, or the connection's own thread's where no helper has room. */
static void write_on(bp_request *request)
{
    generate_work *work = request->work;
    bp_error error = {.status = BP_OK};
    work->is_given_up = bp_request_is_given_up(request);
    if (work->is_given_up)
        return;
    if (bp_text_generation_turn(work->generation, &error) == BP_OK) {
        put_events(work);
    } else {
        bp_generate_error_event_write(&work->events, error.message);
        work->is_last = true;
    }
}

static ssize_t read_events(void *context, uint64_t position, char *buffer, size_t size)
{
    (void)position;
    bp_request *request = context;
    generate_work *work = request->work;
    bp_json_writer *events = &work->events;
    /* Whoever does not take what there is in this time is given up. */
    bp_connection_allow(request->record, (int64_t)request->http->options.deadline_ms);
    if (bp_request_stopping(request))
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (work->sent == events->length && !work->is_last && !work->is_given_up) {
        events->length = work->sent = 0;
        if (bp_request_stream_aside(request, write_on))
            return 0;
        write_on(request);
    }
    if (work->is_given_up || events->failed)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    const size_t left = events->length - work->sent, count = left < size ? left : size;
    if (count == 0)
        return work->is_last ? MHD_CONTENT_READER_END_OF_STREAM : 0;
    memcpy(buffer, events->bytes + work->sent, count);
    work->sent += count;
    return (ssize_t)count;
}

static void close_events(void *context)
{
    bp_request_release(context);
}

/* Back on the connection's thread. */
static void start_stream(bp_request *request)
{
    put_events(request->work);
    bp_request_hold(request);
    bp_answer_stream(request, EVENT_TYPE, BLOCK_BYTES, read_events, request, close_events);
}

static void generate_turn(bp_request *request)
{
    generate_work *work = request->work;
    bp_error error = {.status = BP_OK};
    size_t count;
    if (bp_request_is_given_up(request)) {
        answer_given_up(request);
        return;
    }
    /* A text of one token that begins without a prompt is all there already. */
    if (!is_done(work) && bp_text_generation_turn(work->generation, &error) != BP_OK) {
        bp_answer_error(request, &error);
        return;
    }
    const int32_t *tokens = bp_text_generation_tokens(work->generation, &count);
    if (work->wanted.stream && count > 0) {
        request->step = start_stream;
    } else if (!is_done(work)) {
        bp_request_run_again(request);
    } else {
        bp_json_writer answer = {0};
        bp_generate_answer_write(&answer, bp_text_generation_model(work->generation), &work->wanted,
                                 tokens, count);
        bp_answer_text(request, 200, &answer, "application/json");
    }
}

/* On a helper, with the model. False: answered. */
static bool begin_generating(bp_request *request, bp_model *model)
{
    bp_faults faults = {.count = 0};
    bp_error error = {.status = BP_OK};
    generate_work *work = calloc(1, sizeof *work);
    bool ok = false;
    if (!work) {
        bp_answer_no_memory(request);
        return false;
    }
    request->work = work;
    request->work_free = free_generate_work;
    bp_generate_request_read(&work->wanted, &faults, request->json);
    if (bp_faults_any(&faults))
        bp_answer_faults(request, &faults);
    else if (bp_text_generation_create(&work->generation, model, &work->wanted, &error) != BP_OK)
        answer_text_error(request, "/prompt", &error);
    else
        ok = true;
    bp_faults_done(&faults);
    return ok;
}

static void generate(bp_request *request)
{
    bp_model *model = borrow(request);
    if (!model)
        return;
    if (!read_body(request, "a prompt") || !begin_generating(request, model)) {
        bp_model_release(model);
        return;
    }
    request->aside.step = generate_turn;
    bp_request_run_again(request);
}

void bp_handle_generate(bp_request *request)
{
    bp_request_run_aside(request, generate);
}

/* ---- score ---- */

static void free_scoring(void *context)
{
    bp_text_scoring_free(context);
}

static void score_turn(bp_request *request)
{
    bp_text_scoring *scoring = request->work;
    bp_error error = {.status = BP_OK};
    if (bp_request_is_given_up(request)) {
        answer_given_up(request);
    } else if (bp_text_scoring_turn(scoring, &error) != BP_OK) {
        answer_text_error(request, "/text", &error);
    } else if (!bp_text_scoring_is_done(scoring)) {
        bp_request_run_again(request);
    } else {
        const bp_text_score result = bp_text_scoring_result(scoring);
        bp_json_writer answer = {0};
        bp_score_answer_write(&answer, bp_text_scoring_model(scoring), &result);
        bp_answer_text(request, 200, &answer, "application/json");
    }
}

/* On a helper, with the model. False: answered. */
static bool begin_scoring(bp_request *request, bp_model *model)
{
    bp_faults faults = {.count = 0};
    bp_error error = {.status = BP_OK};
    bp_score_request wanted;
    bp_text_scoring *scoring = NULL;
    bool ok = false;
    bp_score_request_read(&wanted, &faults, request->json);
    if (bp_faults_any(&faults)) {
        bp_answer_faults(request, &faults);
    } else if (bp_text_scoring_create(&scoring, model, &wanted, &error) != BP_OK) {
        bp_answer_error(request, &error);
    } else {
        request->work = scoring;
        request->work_free = free_scoring;
        ok = true;
    }
    bp_faults_done(&faults);
    return ok;
}

static void score(bp_request *request)
{
    bp_model *model = borrow(request);
    if (!model)
        return;
    if (!read_body(request, "a text") || !begin_scoring(request, model)) {
        bp_model_release(model);
        return;
    }
    request->aside.step = score_turn;
    bp_request_run_again(request);
}

void bp_handle_score(bp_request *request)
{
    bp_request_run_aside(request, score);
}
