/* Tags are numbered as they come, and sorted when all are known: the tags' column is renumbered on its
 * way from the temporary file to the column file, a slice at a time like all conversion. */
#include "server/upload/tagged_stage.h"

#include <stdlib.h>
#include <string.h>

#include "server/corpus/distinct_words.h"
#include "server/upload/spooled_column.h"

/* Renumbered in a turn. */
enum { TURN_TAGS = 64 * 1024 };

struct bp_tagged_stage {
    const char *directory;
    bp_corpus_info corpus;
    bp_spool_file *tokens, *tags, *sentences;
    bp_spool_file *sorted_tags; /* tags, by place in the sorted list */
    bp_word_table *tag_numbers;
    uint32_t *places;          /* (tag_count) of numbers in the sorted list */
    uint64_t renumbered_bytes; /* of tags, in sorted_tags by now */
    bp_distinct_words words;
    uint64_t sentence_token, sentence_byte; /* where the sentence under way began */
    bp_spooled_column column;               /* under conversion */
};

static bp_status no_memory(bp_error *error)
{
    return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for tagged sentences");
}

bp_status bp_tagged_stage_create(bp_tagged_stage **out, const char *directory, bp_error *error)
{
    bp_tagged_stage *stage = calloc(1, sizeof *stage);
    if (!stage)
        return no_memory(error);
    stage->directory = directory;
    bp_spool_file **const spools[] = {&stage->tokens, &stage->tags, &stage->sentences,
                                      &stage->sorted_tags};
    bp_status status = bp_distinct_words_begin(&stage->words, error);
    if (status == BP_OK)
        status = bp_word_table_create(&stage->tag_numbers, bp_word_seed(), error);
    for (size_t i = 0; i < sizeof spools / sizeof *spools && status == BP_OK; i++)
        status = bp_spool_file_create(spools[i], directory, error);
    if (status != BP_OK) {
        bp_tagged_stage_free(stage);
        return status;
    }
    *out = stage;
    return BP_OK;
}

void bp_tagged_stage_free(bp_tagged_stage *stage)
{
    if (!stage)
        return;
    bp_spooled_column_done(&stage->column);
    bp_spool_file_free(stage->tokens);
    bp_spool_file_free(stage->tags);
    bp_spool_file_free(stage->sentences);
    bp_spool_file_free(stage->sorted_tags);
    bp_word_table_free(stage->tag_numbers);
    bp_distinct_words_done(&stage->words);
    bp_corpus_info_done(&stage->corpus);
    free(stage->places);
    free(stage);
}

static bp_status take_token(void *context, const bp_text *token, const bp_text *tag,
                            bp_error *error)
{
    bp_tagged_stage *stage = context;
    uint32_t number = 0;
    bp_status status = bp_word_table_add(stage->tag_numbers, &number, tag->at, tag->length, error);
    if (status == BP_OK && number >= BP_TAG_LIMIT)
        status = bp_error_set(error, BP_TOO_LARGE, NULL,
                              "more than %d different tags: is the last column the tag?",
                              (int)BP_TAG_LIMIT);
    if (status == BP_OK)
        status = bp_distinct_words_add(&stage->words, token->at, token->length, false, error);
    if (status == BP_OK)
        status = bp_spool_file_add(stage->tags, &number, sizeof number, error);
    if (status == BP_OK)
        status = bp_spool_file_add(stage->tokens, token->at, token->length, error);
    if (status == BP_OK)
        status = bp_spool_file_add(stage->tokens, "\n", 1, error);
    stage->corpus.word_count++;
    return status;
}

static bp_status take_sentence(void *context, bp_error *error)
{
    bp_tagged_stage *stage = context;
    bp_corpus_info *corpus = &stage->corpus;
    const int64_t place[2] = {(int64_t)stage->sentence_token, (int64_t)stage->sentence_byte};
    const uint64_t length = corpus->word_count - stage->sentence_token;
    if (length > corpus->longest_sentence)
        corpus->longest_sentence = length;
    corpus->sentence_count++;
    stage->sentence_token = corpus->word_count;
    stage->sentence_byte = bp_spool_file_size(stage->tokens);
    return bp_spool_file_add(stage->sentences, place, sizeof place, error);
}

bp_tagged_sink bp_tagged_stage_sink(bp_tagged_stage *stage)
{
    return (bp_tagged_sink){.context = stage, .token = take_token, .sentence = take_sentence};
}

static int compare_tags(const void *a, const void *b, void *context)
{
    return bp_word_table_compare(context, *(const uint32_t *)a, *(const uint32_t *)b);
}

static bp_status sort_tags(bp_tagged_stage *stage, bp_error *error)
{
    bp_corpus_info *corpus = &stage->corpus;
    bp_word_table *numbers = stage->tag_numbers;
    const size_t count = bp_word_table_count(numbers);
    uint32_t *order = malloc((count + 1) * sizeof *order);
    stage->places = malloc((count + 1) * sizeof *stage->places);
    corpus->tags = calloc(count + 1, sizeof *corpus->tags);
    bool ok = order && stage->places && corpus->tags;
    if (ok) {
        for (size_t i = 0; i < count; i++)
            order[i] = (uint32_t)i;
        qsort_r(order, count, sizeof *order, compare_tags, numbers);
    }
    for (size_t i = 0; i < count && ok; i++) {
        size_t length;
        const char *text = bp_word_table_text(numbers, order[i], &length);
        stage->places[order[i]] = (uint32_t)i;
        corpus->tags[i].tag = strndup(text, length);
        corpus->tags[i].count = bp_word_table_occurrences(numbers, order[i]);
        corpus->tag_count = i + 1;
        ok = corpus->tags[i].tag != NULL;
    }
    free(order);
    return ok ? BP_OK : no_memory(error);
}

/* The next tags, as many as a turn takes. */
static bp_status renumber_some(bp_tagged_stage *stage, bp_error *error)
{
    uint32_t *tags = malloc(TURN_TAGS * sizeof *tags);
    const uint64_t left = bp_spool_file_size(stage->tags) - stage->renumbered_bytes;
    const size_t most = TURN_TAGS * sizeof *tags, bytes = left < most ? (size_t)left : most;
    bp_status status = tags ? BP_OK : no_memory(error);
    if (status == BP_OK)
        status = bp_spool_file_read(stage->tags, tags, stage->renumbered_bytes, bytes, error);
    for (size_t i = 0; i < bytes / sizeof *tags && status == BP_OK; i++)
        tags[i] = stage->places[tags[i]];
    if (status == BP_OK)
        status = bp_spool_file_add(stage->sorted_tags, tags, bytes, error);
    stage->renumbered_bytes += bytes;
    free(tags);
    return status;
}

bp_status bp_tagged_stage_finish(bp_tagged_stage *stage, bp_error *error)
{
    stage->corpus.byte_count = bp_spool_file_size(stage->tokens);
    bp_distinct_words_end(&stage->words, &stage->corpus);
    return sort_tags(stage, error);
}

/* The tags' names, as the categories of their column. */
static bp_status name_categories(const bp_corpus_info *corpus, bp_column_info *info,
                                 bp_error *error)
{
    info->categories = calloc(corpus->tag_count + 1, sizeof *info->categories);
    if (!info->categories)
        return no_memory(error);
    for (size_t i = 0; i < corpus->tag_count; i++) {
        info->categories[i] = strdup(corpus->tags[i].tag);
        info->category_count = i + 1;
        if (!info->categories[i])
            return no_memory(error);
    }
    info->distinct_count = info->category_count;
    return BP_OK;
}

static bp_status begin_column(bp_tagged_stage *stage, size_t column, bp_error *error)
{
    static const char *const names[] = {"token", "tag", "sentences"};
    static const bp_column_info infos[] = {
        {.type = BP_COLUMN_TEXT, .element = BP_ELEMENT_UINT8, .width = 1},
        {.type = BP_COLUMN_CATEGORICAL, .element = BP_ELEMENT_CATEGORY, .width = 1},
        {.type = BP_COLUMN_TENSOR,
         .element = BP_ELEMENT_INT64,
         .width = 2,
         .rank = 1,
         .shape = {2}},
    };
    bp_spool_file *const spools[] = {stage->tokens, stage->sorted_tags, stage->sentences};
    bp_status status = bp_spooled_column_begin(&stage->column, stage->directory, names[column],
                                               &infos[column], spools[column], error);
    if (status == BP_OK && column == BP_TAGS_COLUMN)
        status = name_categories(&stage->corpus, &stage->column.draft.info, error);
    return status;
}

bp_status bp_tagged_stage_convert(bp_tagged_stage *stage, size_t column, bool *out_done,
                                  bp_column_draft *out, bp_error *error)
{
    if (column == BP_TAGS_COLUMN && stage->renumbered_bytes < bp_spool_file_size(stage->tags)) {
        *out_done = false;
        return renumber_some(stage, error);
    }
    bp_status status = stage->column.spool ? BP_OK : begin_column(stage, column, error);
    return status == BP_OK ? bp_spooled_column_turn(&stage->column, out_done, out, error) : status;
}

bp_corpus_info *bp_tagged_stage_corpus(bp_tagged_stage *stage)
{
    return &stage->corpus;
}
