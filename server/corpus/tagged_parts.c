/* Sentences of a tagger. Sentences are drawn into parts as the rows of tables are: the first of a
 * permutation are for validation, the next for the test, the rest for training; within a part they keep
 * the file's order. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/random/random.h"
#include "server/corpus/corpus_loader.h"
#include "server/corpus/distinct_words.h"
#include "server/corpus/tagged_reader.h"

static bp_status no_memory(bp_error *error)
{
    return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for sentences");
}

/* The part of each sentence of the training set, (sentence_count); the caller's. */
static bp_status draw_parts(unsigned char **out, const bp_corpus_loader *loader, bp_error *error)
{
    const uint64_t sentences = loader->infos[BP_CORPUS_TRAINING]->corpus.sentence_count;
    uint64_t counts[BP_CORPUS_PART_COUNT];
    if (!bp_corpus_split(counts, loader->request, sentences))
        return bp_error_set(error, BP_INVALID, "/data",
                            "validation and test take all of the %llu sentences; none is left to "
                            "train on",
                            (unsigned long long)sentences);
    const size_t count = (size_t)sentences;
    const size_t validation = (size_t)counts[BP_CORPUS_VALIDATION];
    const size_t drawn = validation + (size_t)counts[BP_CORPUS_TEST];
    unsigned char *parts = calloc(count, sizeof *parts); /* BP_CORPUS_TRAINING */
    size_t *order = drawn > 0 ? calloc(count, sizeof *order) : NULL;
    if (!parts || (drawn > 0 && !order)) {
        free(parts);
        free(order);
        return no_memory(error);
    }
    if (order) {
        const bp_random random = bp_random_stream(loader->request->seed, 0, BP_RANDOM_SPLIT, 0);
        bp_random_permutation(order, count, &random);
        for (size_t i = 0; i < drawn; i++)
            parts[order[i]] = i < validation ? BP_CORPUS_VALIDATION : BP_CORPUS_TEST;
    }
    free(order);
    *out = parts;
    return BP_OK;
}

static bp_status open_sentences(bp_tagged_reader **out, const bp_corpus_loader *loader,
                                const bp_dataset_info *info, bp_error *error)
{
    return bp_tagged_reader_open(out, loader->directory, info, loader->cancelled, loader->context,
                                 error);
}

bp_status bp_tagged_vocabulary(bp_vocabulary **out, const bp_corpus_loader *loader, bp_error *error)
{
    bp_tagged_reader *reader = NULL;
    bp_vocabulary_builder *builder = NULL;
    unsigned char *parts = NULL;
    bp_tagged_token token;
    bool more = true;
    bp_status status = draw_parts(&parts, loader, error);
    if (status == BP_OK)
        status = bp_vocabulary_builder_create(&builder, &loader->request->rule, UINT64_MAX,
                                              bp_word_seed(), error);
    if (status == BP_OK)
        status = open_sentences(&reader, loader, loader->infos[BP_CORPUS_TRAINING], error);
    while (status == BP_OK) {
        status = bp_tagged_reader_next(reader, &token, &more, error);
        if (status != BP_OK || !more)
            break;
        if (parts[token.sentence] == BP_CORPUS_TRAINING)
            status = bp_vocabulary_builder_word(builder, token.text.at, token.text.length, error);
    }
    if (status == BP_OK)
        status = bp_vocabulary_builder_finish(builder, out, error);
    bp_tagged_reader_free(reader);
    bp_vocabulary_builder_free(builder);
    free(parts);
    return status;
}

/* A part while its sentences are taken. */
typedef struct part_draft {
    size_t token_count, sentence_count; /* as far as they have been taken */
    int32_t *token;                     /* ids, sentence after sentence */
    int32_t *label;
    size_t *sentence; /* first token of each */
} part_draft;

static void free_drafts(part_draft *drafts)
{
    for (size_t i = 0; i < BP_CORPUS_PART_COUNT; i++) {
        free(drafts[i].token);
        free(drafts[i].label);
        free(drafts[i].sentence);
    }
}

static bp_status make_room(part_draft *draft, uint64_t token_count, uint64_t sentence_count,
                           bp_error *error)
{
    if (token_count > UINT32_MAX)
        return bp_error_set(error, BP_TOO_LARGE, NULL, "more than 2^32 - 1 tokens");
    draft->token = calloc((size_t)token_count + 1, sizeof *draft->token);
    draft->label = calloc((size_t)token_count + 1, sizeof *draft->label);
    draft->sentence = calloc((size_t)sentence_count + 1, sizeof *draft->sentence);
    return draft->token && draft->label && draft->sentence ? BP_OK : no_memory(error);
}

/* The label of each tag of a data set among the training set's tags, −1 where there is none; the
 * caller's. */
static bp_status map_tags(int32_t **out, const bp_dataset_info *training,
                          const bp_dataset_info *info, bp_error *error)
{
    const bp_corpus_info *known = &training->corpus, *found = &info->corpus;
    int32_t *labels = malloc((found->tag_count + 1) * sizeof *labels);
    if (!labels)
        return no_memory(error);
    size_t at = 0; /* both are sorted */
    for (size_t i = 0; i < found->tag_count; i++) {
        int order = -1;
        while (at < known->tag_count &&
               (order = strcmp(known->tags[at].tag, found->tags[i].tag)) < 0)
            at++;
        labels[i] = at < known->tag_count && order == 0 ? (int32_t)at : -1;
    }
    *out = labels;
    return BP_OK;
}

static bp_status refuse_tag(const bp_dataset_info *info, const bp_tagged_token *token,
                            bp_error *error)
{
    return bp_error_set(error, BP_INVALID, "/data",
                        "sentence %llu of the data set \"%s\" has the tag \"%s\", which the "
                        "training data does not have",
                        (unsigned long long)token->sentence + 1, info->name,
                        info->corpus.tags[token->tag].tag);
}

/* Takes the sentences of a data set into the parts that they belong to: all into `only`, or where `parts`
 * says. */
static bp_status take_sentences(part_draft *drafts, const bp_corpus_loader *loader,
                                const bp_dataset_info *info, const bp_vocabulary *vocabulary,
                                const unsigned char *parts, size_t only, bp_error *error)
{
    bp_tagged_reader *reader = NULL;
    int32_t *labels = NULL;
    bp_tagged_token token;
    bool more = true;
    bp_status status = map_tags(&labels, loader->infos[BP_CORPUS_TRAINING], info, error);
    if (status == BP_OK)
        status = open_sentences(&reader, loader, info, error);
    while (status == BP_OK) {
        status = bp_tagged_reader_next(reader, &token, &more, error);
        if (status != BP_OK || !more)
            break;
        part_draft *draft = &drafts[parts ? parts[token.sentence] : only];
        if (labels[token.tag] < 0) {
            status = refuse_tag(info, &token, error);
            break;
        }
        if (token.first)
            draft->sentence[draft->sentence_count++] = draft->token_count;
        draft->label[draft->token_count] = labels[token.tag];
        draft->token[draft->token_count++] =
            bp_vocabulary_word(vocabulary, token.text.at, token.text.length);
    }
    bp_tagged_reader_free(reader);
    free(labels);
    return status;
}

/* Turns a draft into windows; what is kept of it goes to memory. */
static bp_status lay_out(bp_corpus_part *out, bp_corpus_memory *memory, size_t index,
                         part_draft *draft, const bp_corpus_loader *loader,
                         const bp_vocabulary *vocabulary, bp_error *error)
{
    const size_t width = loader->request->width, sentences = draft->sentence_count;
    size_t id_count;
    if (sentences == 0)
        return BP_OK;
    if (!bp_token_windows_id_count(&id_count, draft->token_count, sentences, width))
        return bp_error_set(error, BP_TOO_LARGE, NULL, "more than 2^32 - 1 tokens and paddings");
    int32_t *ids = malloc(id_count * sizeof *ids);
    uint32_t *place = malloc(draft->token_count * sizeof *place);
    size_t *length = malloc(sentences * sizeof *length);
    memory->ids[index] = ids;
    memory->places[index] = place;
    if (!ids || !place || !length) {
        free(length);
        return no_memory(error);
    }
    draft->sentence[sentences] = draft->token_count;
    for (size_t i = 0; i < sentences; i++)
        length[i] = draft->sentence[i + 1] - draft->sentence[i];
    bp_token_windows_lay_out(ids, place, draft->token, length, sentences, width,
                             bp_vocabulary_padding(vocabulary));
    free(length);
    memory->labels[index] = draft->label;
    memory->sentences[index] = draft->sentence;
    out->windows = (bp_token_windows){.width = width,
                                      .row_count = draft->token_count,
                                      .ids = ids,
                                      .place = place,
                                      .label = draft->label};
    out->sentence_count = sentences;
    out->sentence = draft->sentence;
    draft->label = NULL;
    draft->sentence = NULL;
    return BP_OK;
}

static size_t find_tag(const bp_corpus_info *corpus, const char *tag)
{
    size_t at = 0;
    while (at < corpus->tag_count && strcmp(corpus->tags[at].tag, tag) != 0)
        at++;
    return at;
}

bp_status bp_tagged_count(bp_corpus_counts *out, const bp_corpus_loader *loader, bp_error *error)
{
    const bp_dataset_info *info = loader->infos[BP_CORPUS_TRAINING];
    const size_t outside = find_tag(&info->corpus, BP_OUTSIDE_TAG);
    bp_corpus_counts counts = {.rows = {0}};
    bp_tagged_reader *reader = NULL;
    unsigned char *parts = NULL;
    bp_tagged_token token;
    bool more = true;
    bp_status status = draw_parts(&parts, loader, error);
    if (status == BP_OK)
        status = open_sentences(&reader, loader, info, error);
    while (status == BP_OK) {
        status = bp_tagged_reader_next(reader, &token, &more, error);
        if (status != BP_OK || !more)
            break;
        counts.rows[parts[token.sentence]]++;
        counts.entities[parts[token.sentence]] += token.tag != outside;
    }
    bp_tagged_reader_free(reader);
    free(parts);
    if (status == BP_OK)
        *out = counts;
    return status;
}

/* How many tokens and sentences of the training set each part has. */
static bp_status count_parts(uint64_t tokens[BP_CORPUS_PART_COUNT],
                             uint64_t sentences[BP_CORPUS_PART_COUNT],
                             const bp_corpus_loader *loader, const unsigned char *parts,
                             bp_error *error)
{
    bp_tagged_reader *reader = NULL;
    bp_tagged_token token;
    bool more = true;
    bp_status status = open_sentences(&reader, loader, loader->infos[BP_CORPUS_TRAINING], error);
    while (status == BP_OK) {
        status = bp_tagged_reader_next(reader, &token, &more, error);
        if (status != BP_OK || !more)
            break;
        tokens[parts[token.sentence]]++;
        sentences[parts[token.sentence]] += token.first;
    }
    bp_tagged_reader_free(reader);
    return status;
}

static bp_status copy_tags(bp_corpus_data *out, const bp_corpus_info *corpus, bp_error *error)
{
    out->tags = calloc(corpus->tag_count + 1, sizeof *out->tags);
    for (size_t i = 0; out->tags && i < corpus->tag_count; i++) {
        out->tags[i] = strdup(corpus->tags[i].tag);
        out->tag_count = i + 1;
        if (!out->tags[i])
            return no_memory(error);
    }
    return out->tags ? BP_OK : no_memory(error);
}

bp_status bp_tagged_parts_load(bp_corpus_data *out, bp_corpus_memory *memory,
                               const bp_corpus_loader *loader, const bp_vocabulary *vocabulary,
                               bp_error *error)
{
    assert(loader->request->width % 2 == 1 && bp_vocabulary_padding(vocabulary) >= 0);
    uint64_t tokens[BP_CORPUS_PART_COUNT] = {0}, sentences[BP_CORPUS_PART_COUNT] = {0};
    part_draft drafts[BP_CORPUS_PART_COUNT] = {{0}};
    unsigned char *parts = NULL;
    bp_status status = draw_parts(&parts, loader, error);
    if (status == BP_OK)
        status = count_parts(tokens, sentences, loader, parts, error);
    for (size_t i = 0; i < BP_CORPUS_PART_COUNT && status == BP_OK; i++) {
        const bp_dataset_info *info = i != BP_CORPUS_TRAINING ? loader->infos[i] : NULL;
        if (info) {
            tokens[i] = info->corpus.word_count;
            sentences[i] = info->corpus.sentence_count;
        }
        status = make_room(&drafts[i], tokens[i], sentences[i], error);
    }
    for (size_t i = 0; i < BP_CORPUS_PART_COUNT && status == BP_OK; i++)
        if (loader->infos[i])
            status = take_sentences(drafts, loader, loader->infos[i], vocabulary,
                                    i == BP_CORPUS_TRAINING ? parts : NULL, i, error);
    for (size_t i = 0; i < BP_CORPUS_PART_COUNT && status == BP_OK; i++)
        status = lay_out(&out->parts[i], memory, i, &drafts[i], loader, vocabulary, error);
    if (status == BP_OK)
        status = copy_tags(out, &loader->infos[BP_CORPUS_TRAINING]->corpus, error);
    free_drafts(drafts);
    free(parts);
    return status;
}
