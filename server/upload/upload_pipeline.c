#include "server/upload/upload_pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/sha256.h"
#include "server/upload/array_column.h"
#include "server/upload/conll_parser.h"
#include "server/upload/csv_parser.h"
#include "server/upload/format_guess.h"
#include "server/upload/gzip_decoder.h"
#include "server/upload/idx_parser.h"
#include "server/upload/npy_parser.h"
#include "server/upload/table_stage.h"
#include "server/upload/tagged_stage.h"
#include "server/upload/text_stage.h"
#include "server/upload/vectors_stage.h"

enum { ARRAY_BYTES = 6 }; /* that tell whether a file is an array */

struct bp_upload_pipeline {
    const char *directory, *column;
    bp_dataset_format format; /* as asked for; the one found once `known` */
    bool known;
    bool guessed; /* nobody said that it is CSV: so a fault says it */
    bp_dataset_limits limits;
    bp_gzip_decoder *decoder;
    bp_sha256 hash; /* of the decoded bytes */
    char sha256[BP_SHA256_TEXT_SIZE];
    char *sniffed; /* (sniffed_limit) decoded bytes before the format is known */
    size_t sniffed_count, sniffed_limit;

    bp_csv_parser *csv; /* with stage */
    bp_table_stage *stage;
    bp_text_stage *text;
    bp_conll_parser *conll; /* with tagged */
    bp_tagged_stage *tagged;
    bp_vectors_stage *vectors;
    bp_idx_parser *idx; /* one of the two, with array */
    bp_npy_parser *npy;
    bp_array_column *array;

    bp_column_draft *drafts;
    size_t draft_count, column_count;
};

/* whole: the file ends with what is sniffed. */
static bp_status choose_format(bp_upload_pipeline *pipeline, bool whole, bp_error *error)
{
    const char *sniffed = pipeline->sniffed;
    const size_t count = pipeline->sniffed_count;
    const bp_dataset_format array = bp_format_of_array(sniffed, count);
    pipeline->known = true;
    if (pipeline->column) {
        if (pipeline->format == BP_FORMAT_AUTO)
            pipeline->format = array;
        if (pipeline->format == BP_FORMAT_AUTO)
            return bp_error_set(error, BP_INVALID, "byte 0",
                                "a single column is uploaded as IDX or NPY; this is neither");
        return BP_OK;
    }
    pipeline->guessed = pipeline->format == BP_FORMAT_AUTO && count > 0;
    if (pipeline->format == BP_FORMAT_AUTO)
        pipeline->format = bp_format_guess(sniffed, count, whole);
    else if (array != BP_FORMAT_AUTO && pipeline->format != BP_FORMAT_IDX &&
             pipeline->format != BP_FORMAT_NPY)
        return bp_error_set(error, BP_INVALID, "byte 0",
                            "the format is given as %s, but the content begins like an %s file",
                            bp_format_name(pipeline->format),
                            array == BP_FORMAT_NPY ? "NPY" : "IDX");
    return BP_OK;
}

static bp_status make_table_parser(bp_upload_pipeline *pipeline, bp_error *error)
{
    bp_status status = bp_table_stage_create(&pipeline->stage, pipeline->directory, error);
    if (status != BP_OK)
        return status;
    const bp_row_sink sink = bp_table_stage_sink(pipeline->stage);
    return bp_csv_parser_create(&pipeline->csv, &sink, pipeline->limits.columns, error);
}

static bp_status make_tagged_parser(bp_upload_pipeline *pipeline, bp_error *error)
{
    bp_status status = bp_tagged_stage_create(&pipeline->tagged, pipeline->directory, error);
    if (status != BP_OK)
        return status;
    const bp_tagged_sink sink = bp_tagged_stage_sink(pipeline->tagged);
    return bp_conll_parser_create(&pipeline->conll, &sink, error);
}

static bp_status make_array_parser(bp_upload_pipeline *pipeline, bp_error *error)
{
    bp_status status =
        bp_array_column_create(&pipeline->array, pipeline->directory,
                               pipeline->column ? pipeline->column : "values", error);
    if (status != BP_OK)
        return status;
    const bp_array_sink sink = bp_array_column_sink(pipeline->array);
    return pipeline->format == BP_FORMAT_IDX ? bp_idx_parser_create(&pipeline->idx, &sink, error)
                                             : bp_npy_parser_create(&pipeline->npy, &sink, error);
}

static bp_status make_parser(bp_upload_pipeline *pipeline, bp_error *error)
{
    switch (pipeline->format) {
    case BP_FORMAT_AUTO:
    case BP_FORMAT_CSV:
        return make_table_parser(pipeline, error);
    case BP_FORMAT_TEXT:
        return bp_text_stage_create(&pipeline->text, pipeline->directory, error);
    case BP_FORMAT_CONLL:
        return make_tagged_parser(pipeline, error);
    case BP_FORMAT_VECTORS:
        return bp_vectors_stage_create(&pipeline->vectors, pipeline->directory, error);
    case BP_FORMAT_IDX:
    case BP_FORMAT_NPY:
        break;
    }
    return make_array_parser(pipeline, error);
}

/* Of a text that was taken for CSV, a fault of CSV alone would lead astray. */
static bp_status as_csv(const bp_upload_pipeline *pipeline, bp_status status, bp_error *error)
{
    const size_t length = strlen(error->message);
    if ((status == BP_INVALID || status == BP_TOO_LARGE) && pipeline->guessed)
        snprintf(error->message + length, sizeof error->message - length,
                 " (taken for CSV; if it is something else, say so with ?format=)");
    return status;
}

static bp_status parse(bp_upload_pipeline *pipeline, const void *bytes, size_t count,
                       bp_error *error)
{
    if (pipeline->csv)
        return as_csv(pipeline, bp_csv_parser_feed(pipeline->csv, bytes, count, error), error);
    if (pipeline->text)
        return bp_text_stage_feed(pipeline->text, bytes, count, error);
    if (pipeline->conll)
        return bp_conll_parser_feed(pipeline->conll, bytes, count, error);
    if (pipeline->vectors)
        return bp_vectors_stage_feed(pipeline->vectors, bytes, count, error);
    if (pipeline->idx)
        return bp_idx_parser_feed(pipeline->idx, bytes, count, error);
    return bp_npy_parser_feed(pipeline->npy, bytes, count, error);
}

/* The sniffed bytes are enough, or all there are. */
static bp_status begin_parsing(bp_upload_pipeline *pipeline, bool whole, bp_error *error)
{
    bp_status status = choose_format(pipeline, whole, error);
    if (status == BP_OK)
        status = make_parser(pipeline, error);
    if (status == BP_OK)
        status = parse(pipeline, pipeline->sniffed, pipeline->sniffed_count, error);
    free(pipeline->sniffed);
    pipeline->sniffed = NULL;
    return status;
}

static bp_status take_decoded(void *context, const unsigned char *bytes, size_t count,
                              bp_error *error)
{
    bp_upload_pipeline *pipeline = context;
    bp_sha256_add(&pipeline->hash, bytes, count);
    if (!pipeline->known) {
        const size_t room = pipeline->sniffed_limit - pipeline->sniffed_count;
        const size_t take = count < room ? count : room;
        memcpy(pipeline->sniffed + pipeline->sniffed_count, bytes, take);
        pipeline->sniffed_count += take;
        bytes += take;
        count -= take;
        if (take < room)
            return BP_OK;
        bp_status status = begin_parsing(pipeline, false, error);
        if (status != BP_OK)
            return status;
    }
    return count > 0 ? parse(pipeline, bytes, count, error) : BP_OK;
}

bp_status bp_upload_pipeline_create(bp_upload_pipeline **out, const char *directory,
                                    const char *column, bp_dataset_format format,
                                    const bp_dataset_limits *limits, bp_error *error)
{
    bp_upload_pipeline *pipeline = calloc(1, sizeof *pipeline);
    const bool guess = format == BP_FORMAT_AUTO && !column;
    const size_t limit = guess ? (size_t)BP_GUESS_BYTES : (size_t)ARRAY_BYTES;
    if (pipeline)
        pipeline->sniffed = malloc(limit);
    if (!pipeline || !pipeline->sniffed) {
        free(pipeline);
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for an upload");
    }
    pipeline->sniffed_limit = limit;
    pipeline->directory = directory;
    pipeline->column = column;
    pipeline->format = format;
    pipeline->limits = *limits;
    bp_sha256_begin(&pipeline->hash);
    bp_status status = bp_gzip_decoder_create(&pipeline->decoder, limits->decoded_bytes,
                                              take_decoded, pipeline, error);
    if (status != BP_OK) {
        free(pipeline->sniffed);
        free(pipeline);
        return status;
    }
    *out = pipeline;
    return BP_OK;
}

bp_status bp_upload_pipeline_feed(bp_upload_pipeline *pipeline, const void *bytes, size_t count,
                                  bp_error *error)
{
    return bp_gzip_decoder_feed(pipeline->decoder, bytes, count, error);
}

static bp_status finish_parser(bp_upload_pipeline *pipeline, bp_error *error)
{
    if (pipeline->csv) {
        bp_status status = as_csv(pipeline, bp_csv_parser_finish(pipeline->csv, error), error);
        if (status == BP_OK)
            status = bp_table_stage_finish(pipeline->stage, error);
        return status;
    }
    if (pipeline->text)
        return bp_text_stage_finish(pipeline->text, error);
    if (pipeline->vectors)
        return bp_vectors_stage_finish(pipeline->vectors, error);
    if (pipeline->conll) {
        bp_status status = bp_conll_parser_finish(pipeline->conll, error);
        if (status == BP_OK)
            status = bp_tagged_stage_finish(pipeline->tagged, error);
        return status;
    }
    if (pipeline->idx)
        return bp_idx_parser_finish(pipeline->idx, error);
    return bp_npy_parser_finish(pipeline->npy, error);
}

bp_status bp_upload_pipeline_end(bp_upload_pipeline *pipeline, bp_error *error)
{
    bp_status status = bp_gzip_decoder_finish(pipeline->decoder, error);
    if (status == BP_OK && !pipeline->known)
        status = begin_parsing(pipeline, true, error);
    if (status == BP_OK)
        status = finish_parser(pipeline, error);
    if (status != BP_OK)
        return status;
    bp_sha256_finish(&pipeline->hash, pipeline->sha256);
    size_t count = 1;
    if (pipeline->stage)
        count = bp_table_stage_column_count(pipeline->stage);
    else if (pipeline->text)
        count = BP_TEXT_COLUMN_COUNT;
    else if (pipeline->tagged)
        count = BP_TAGGED_COLUMN_COUNT;
    else if (pipeline->vectors)
        count = BP_VECTORS_COLUMN_COUNT;
    pipeline->drafts = calloc(count, sizeof *pipeline->drafts);
    if (!pipeline->drafts)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for %zu columns", count);
    pipeline->column_count = count;
    return BP_OK;
}

static bp_status convert(bp_upload_pipeline *pipeline, size_t column, bool *out_done,
                         bp_column_draft *draft, bp_error *error)
{
    if (pipeline->text)
        return bp_text_stage_convert(pipeline->text, column, out_done, draft, error);
    if (pipeline->tagged)
        return bp_tagged_stage_convert(pipeline->tagged, column, out_done, draft, error);
    if (pipeline->vectors)
        return bp_vectors_stage_convert(pipeline->vectors, column, out_done, draft, error);
    *out_done = true;
    return pipeline->stage ? bp_table_stage_convert(pipeline->stage, column, draft, error)
                           : bp_array_column_finish(pipeline->array, draft, error);
}

bp_status bp_upload_pipeline_convert(bp_upload_pipeline *pipeline, bool *out_more, bp_error *error)
{
    bool done = false;
    bp_status status = convert(pipeline, pipeline->draft_count, &done,
                               &pipeline->drafts[pipeline->draft_count], error);
    if (status != BP_OK)
        return status;
    pipeline->draft_count += done;
    *out_more = pipeline->draft_count < pipeline->column_count;
    return BP_OK;
}

bp_dataset_kind bp_upload_pipeline_kind(bp_upload_pipeline *pipeline, bp_corpus_info **out_corpus)
{
    *out_corpus = NULL;
    if (pipeline->text) {
        *out_corpus = bp_text_stage_corpus(pipeline->text);
        return BP_DATASET_TEXT;
    }
    if (pipeline->tagged) {
        *out_corpus = bp_tagged_stage_corpus(pipeline->tagged);
        return BP_DATASET_TAGGED;
    }
    if (pipeline->vectors) {
        *out_corpus = bp_vectors_stage_corpus(pipeline->vectors);
        return BP_DATASET_VECTORS;
    }
    return BP_DATASET_TABLE;
}

bp_column_draft *bp_upload_pipeline_columns(bp_upload_pipeline *pipeline, size_t *out_count)
{
    *out_count = pipeline->draft_count;
    return pipeline->drafts;
}

const char *bp_upload_pipeline_sha256(const bp_upload_pipeline *pipeline)
{
    return pipeline->sha256;
}

void bp_upload_pipeline_free(bp_upload_pipeline *pipeline)
{
    if (!pipeline)
        return;
    bp_gzip_decoder_free(pipeline->decoder);
    free(pipeline->sniffed);
    bp_csv_parser_free(pipeline->csv);
    bp_text_stage_free(pipeline->text);
    bp_conll_parser_free(pipeline->conll);
    bp_tagged_stage_free(pipeline->tagged);
    bp_vectors_stage_free(pipeline->vectors);
    bp_table_stage_free(pipeline->stage);
    bp_idx_parser_free(pipeline->idx);
    bp_npy_parser_free(pipeline->npy);
    bp_array_column_free(pipeline->array);
    for (size_t i = 0; i < pipeline->draft_count; i++)
        bp_column_draft_done(&pipeline->drafts[i]);
    free(pipeline->drafts);
    free(pipeline);
}
