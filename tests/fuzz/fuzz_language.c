/* Bodies for taggers and language models: whatever JSON comes, each reader either names faults or gives
 * something that can be answered, and answers are JSON again. */
#include <stdlib.h>
#include <string.h>

#include "core/loss/loss.h"
#include "schema/model/language_answer.h"
#include "schema/model/sentence_rows.h"

enum { TOKEN_LIMIT = 50, TAGS = 3 };

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static bp_vocabulary *make_vocabulary(void)
{
    static const char text[] = "to be or not to be in \xe6\x97\xa5\xe6\x9c\xac";
    const bp_vocabulary_rule rule = {
        .unit = BP_UNIT_WORD, .lowercase = true, .padded = true, .min_count = 1};
    bp_vocabulary_builder *builder;
    bp_vocabulary *vocabulary;
    bool full;
    require(bp_vocabulary_builder_create(&builder, &rule, UINT64_MAX, 1, NULL) == BP_OK);
    require(bp_vocabulary_builder_feed(builder, text, strlen(text), &full, NULL) == BP_OK);
    require(bp_vocabulary_builder_finish(builder, &vocabulary, NULL) == BP_OK);
    bp_vocabulary_builder_free(builder);
    return vocabulary;
}

static void require_json(bp_json_writer *out)
{
    require(!out->failed);
    json_t *json = json_loadb(out->bytes, out->length, JSON_REJECT_DUPLICATES, NULL);
    require(json_is_object(json));
    json_decref(json);
    free(out->bytes);
    *out = (bp_json_writer){0};
}

/* Numbers that differ from row to row, so that tags do. */
static void tag(const bp_model_info *info, const bp_sentence_rows *rows, bool probabilities)
{
    const size_t count = rows->windows.row_count;
    double *shown = calloc(count * TAGS + 1, sizeof *shown);
    int32_t *windows = calloc(count * info->window_width + 1, sizeof *windows);
    bp_json_writer out = {0};
    require(shown && windows && count <= TOKEN_LIMIT);
    bp_token_windows_gather(windows, NULL, &rows->windows, NULL, 0, count);
    for (size_t i = 0; i < count * info->window_width; i++)
        require(windows[i] >= 0 && (size_t)windows[i] < bp_vocabulary_count(info->vocabulary));
    for (size_t row = 0; row < count; row++)
        shown[row * TAGS + (size_t)windows[row * info->window_width] % TAGS] = 1;
    bp_tag_answer_write(&out, info, rows, shown, probabilities, NULL);
    require_json(&out);
    free(shown);
    free(windows);
}

static void ask_tagger(const bp_model_info *info, const json_t *body)
{
    bp_predict_request request;
    bp_faults faults = {0};
    bp_sentence_rows rows = {0};
    bp_predict_request_read(&request, &faults, info, body);
    if (request.sentences &&
        bp_sentence_rows_parse(&rows, &faults, info, request.sentences, TOKEN_LIMIT) == BP_OK)
        tag(info, &rows, request.probabilities);
    require(bp_faults_any(&faults) || rows.first);
    bp_sentence_rows_done(&rows);
    bp_faults_done(&faults);
}

static void ask_writer(const bp_model_info *info, const json_t *body)
{
    bp_generate_request wanted;
    bp_score_request judged;
    bp_faults faults = {0};
    bp_generate_request_read(&wanted, &faults, body);
    if (!bp_faults_any(&faults)) {
        static const int32_t ids[] = {0, 1, 2};
        bp_json_writer out = {0};
        require(wanted.length >= 1 && wanted.length <= BP_GENERATE_LIMIT);
        require(wanted.sampler.temperature >= 0);
        bp_generate_answer_write(&out, info, &wanted, ids, 3);
        require_json(&out);
    }
    bp_faults_done(&faults);
    bp_score_request_read(&judged, &faults, body);
    require(bp_faults_any(&faults) || judged.text);
    bp_faults_done(&faults);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static char name[] = "m", begin[] = "B-a", inside[] = "I-a", outside[] = "O";
    char *tags[TAGS] = {begin, inside, outside};
    json_t *body = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(body)) {
        json_decref(body);
        return 0;
    }
    bp_model_info info = {
        .name = name,
        .version = 1,
        .task = BP_TASK_TAGGING,
        .vocabulary = make_vocabulary(),
        .window_width = 3,
        .classes = {.type = BP_COLUMN_CATEGORICAL, .count = TAGS, .texts = tags},
        .dtype = BP_FLOAT64,
        .loss = bp_choice_default(bp_loss_family.members[BP_LOSS_softmax_cross_entropy])};
    ask_tagger(&info, body);
    info.task = BP_TASK_LANGUAGE_MODEL;
    ask_writer(&info, body);
    bp_vocabulary_free(info.vocabulary);
    json_decref(body);
    return 0;
}
