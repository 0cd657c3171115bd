#include "server/dataset/upload_pipeline.h"

#include <stdlib.h>
#include <string.h>

#include "server/base/sha256.h"
#include "server/dataset/array_column.h"
#include "server/dataset/csv_parser.h"
#include "server/dataset/gzip_decoder.h"
#include "server/dataset/idx_parser.h"
#include "server/dataset/npy_parser.h"
#include "server/dataset/table_stage.h"

enum { SNIFF_BYTES = 6 };

struct bp_upload_pipeline {
    const char *directory, *column;
    bp_dataset_format format; /* as asked for; the one found once `known` */
    bool known;
    bp_dataset_limits limits;
    bp_gzip_decoder *decoder;
    bp_sha256 hash; /* of the decoded bytes */
    char sha256[BP_SHA256_TEXT_SIZE];
    unsigned char sniffed[SNIFF_BYTES]; /* decoded bytes before the format is known */
    size_t sniffed_count;

    bp_csv_parser *csv; /* with stage */
    bp_table_stage *stage;
    bp_idx_parser *idx; /* one of the two, with array */
    bp_npy_parser *npy;
    bp_array_column *array;

    bp_column_draft *drafts;
    size_t draft_count, column_count;
};

static bp_dataset_format detect(const unsigned char *bytes, size_t count)
{
    if (count >= 6 && memcmp(bytes, "\x93NUMPY", 6) == 0)
        return BP_FORMAT_NPY;
    if (count >= 2 && bytes[0] == 0 && bytes[1] == 0)
        return BP_FORMAT_IDX;
    return BP_FORMAT_CSV;
}

static bp_status choose_format(bp_upload_pipeline *pipeline, bp_error *error)
{
    const bp_dataset_format found = detect(pipeline->sniffed, pipeline->sniffed_count);
    if (pipeline->format == BP_FORMAT_AUTO)
        pipeline->format = found;
    if (pipeline->format == BP_FORMAT_CSV && found != BP_FORMAT_CSV)
        return bp_error_set(error, BP_INVALID, "byte 0",
                            "the format is given as csv, but the content begins like an %s file",
                            found == BP_FORMAT_NPY ? "NPY" : "IDX");
    if (pipeline->format == BP_FORMAT_CSV && pipeline->column)
        return bp_error_set(error, BP_INVALID, "byte 0",
                            "a single column is uploaded as IDX or NPY; this is neither");
    pipeline->known = true;
    if (pipeline->format == BP_FORMAT_CSV) {
        bp_status status = bp_table_stage_create(&pipeline->stage, pipeline->directory, error);
        if (status != BP_OK)
            return status;
        const bp_row_sink sink = bp_table_stage_sink(pipeline->stage);
        return bp_csv_parser_create(&pipeline->csv, &sink, pipeline->limits.columns, error);
    }
    bp_status status =
        bp_array_column_create(&pipeline->array, pipeline->directory,
                               pipeline->column ? pipeline->column : "values", error);
    if (status != BP_OK)
        return status;
    const bp_array_sink sink = bp_array_column_sink(pipeline->array);
    return pipeline->format == BP_FORMAT_IDX ? bp_idx_parser_create(&pipeline->idx, &sink, error)
                                             : bp_npy_parser_create(&pipeline->npy, &sink, error);
}

static bp_status parse(bp_upload_pipeline *pipeline, const unsigned char *bytes, size_t count,
                       bp_error *error)
{
    if (pipeline->csv)
        return bp_csv_parser_feed(pipeline->csv, bytes, count, error);
    if (pipeline->idx)
        return bp_idx_parser_feed(pipeline->idx, bytes, count, error);
    return bp_npy_parser_feed(pipeline->npy, bytes, count, error);
}

static bp_status take_decoded(void *context, const unsigned char *bytes, size_t count,
                              bp_error *error)
{
    bp_upload_pipeline *pipeline = context;
    bp_sha256_add(&pipeline->hash, bytes, count);
    if (!pipeline->known) {
        while (count > 0 && pipeline->sniffed_count < SNIFF_BYTES) {
            pipeline->sniffed[pipeline->sniffed_count++] = *bytes++;
            count--;
        }
        if (pipeline->sniffed_count < SNIFF_BYTES)
            return BP_OK;
        bp_status status = choose_format(pipeline, error);
        if (status == BP_OK)
            status = parse(pipeline, pipeline->sniffed, pipeline->sniffed_count, error);
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
    if (!pipeline)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for an upload");
    pipeline->directory = directory;
    pipeline->column = column;
    pipeline->format = format;
    pipeline->limits = *limits;
    bp_sha256_begin(&pipeline->hash);
    bp_status status = bp_gzip_decoder_create(&pipeline->decoder, limits->decoded_bytes,
                                              take_decoded, pipeline, error);
    if (status != BP_OK) {
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
        bp_status status = bp_csv_parser_finish(pipeline->csv, error);
        if (status == BP_OK)
            status = bp_table_stage_finish(pipeline->stage, error);
        return status;
    }
    if (pipeline->idx)
        return bp_idx_parser_finish(pipeline->idx, error);
    return bp_npy_parser_finish(pipeline->npy, error);
}

bp_status bp_upload_pipeline_end(bp_upload_pipeline *pipeline, bp_error *error)
{
    bp_status status = bp_gzip_decoder_finish(pipeline->decoder, error);
    if (status == BP_OK && !pipeline->known) {
        status = choose_format(pipeline, error);
        if (status == BP_OK)
            status = parse(pipeline, pipeline->sniffed, pipeline->sniffed_count, error);
    }
    if (status == BP_OK)
        status = finish_parser(pipeline, error);
    if (status != BP_OK)
        return status;
    bp_sha256_finish(&pipeline->hash, pipeline->sha256);
    const size_t count = pipeline->stage ? bp_table_stage_column_count(pipeline->stage) : 1;
    pipeline->drafts = calloc(count, sizeof *pipeline->drafts);
    if (!pipeline->drafts)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for %zu columns", count);
    pipeline->column_count = count;
    return BP_OK;
}

bp_status bp_upload_pipeline_convert(bp_upload_pipeline *pipeline, bool *out_more, bp_error *error)
{
    bp_column_draft *draft = &pipeline->drafts[pipeline->draft_count];
    bp_status status = pipeline->stage ? bp_table_stage_convert(pipeline->stage,
                                                                pipeline->draft_count, draft, error)
                                       : bp_array_column_finish(pipeline->array, draft, error);
    if (status != BP_OK)
        return status;
    pipeline->draft_count++;
    *out_more = pipeline->draft_count < pipeline->column_count;
    return BP_OK;
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
    bp_csv_parser_free(pipeline->csv);
    bp_table_stage_free(pipeline->stage);
    bp_idx_parser_free(pipeline->idx);
    bp_npy_parser_free(pipeline->npy);
    bp_array_column_free(pipeline->array);
    for (size_t i = 0; i < pipeline->draft_count; i++)
        bp_column_draft_done(&pipeline->drafts[i]);
    free(pipeline->drafts);
    free(pipeline);
}
