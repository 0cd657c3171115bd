/* Texts of a language model. A file is read from its beginning, a block at a time. */
#include <stdio.h>
#include <stdlib.h>

#include "schema/language/token_encoder.h"
#include "server/corpus/corpus_loader.h"
#include "server/corpus/distinct_words.h"
#include "server/dataset/column_file.h"

enum { BLOCK_BYTES = 256 * 1024 };

static bp_status no_memory(bp_error *error)
{
    return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for reading a text");
}

/* Characters or words of a text. */
static uint64_t unit_count(const bp_dataset_info *info, bp_token_unit unit)
{
    return unit == BP_UNIT_CHARACTER ? info->corpus.character_count : info->corpus.word_count;
}

typedef struct text_reader {
    const bp_corpus_loader *loader;
    bp_column_reader file;
    uint64_t offset, size;
    char *block; /* (BLOCK_BYTES) */
} text_reader;

static void close_text(text_reader *reader)
{
    bp_column_reader_close(&reader->file);
    free(reader->block);
}

static bp_status open_text(text_reader *out, const bp_corpus_loader *loader,
                           const bp_dataset_info *info, bp_error *error)
{
    const bp_column_info *column = &info->columns[BP_TEXT_COLUMN];
    text_reader reader = {.loader = loader, .file = {.file = -1}, .size = column->row_count};
    reader.block = malloc(BLOCK_BYTES);
    bp_status status = reader.block ? BP_OK : no_memory(error);
    if (status == BP_OK)
        status = bp_column_reader_open(&reader.file, loader->directory, column, error);
    if (status == BP_OK)
        status = bp_column_reader_verify(&reader.file, loader->cancelled, loader->context, error);
    if (status != BP_OK) {
        close_text(&reader);
        return status;
    }
    *out = reader;
    return BP_OK;
}

/* *out_count 0: the text is at its end. */
static bp_status next_block(text_reader *reader, size_t *out_count, bp_error *error)
{
    const uint64_t left = reader->size - reader->offset;
    const size_t count = left < BLOCK_BYTES ? (size_t)left : (size_t)BLOCK_BYTES;
    bp_status status = bp_corpus_poll(reader->loader, error);
    if (status == BP_OK)
        status = bp_column_reader_read(&reader->file, reader->block, reader->offset, count, error);
    reader->offset += count;
    *out_count = count;
    return status;
}

static bp_status split(uint64_t out[BP_CORPUS_PART_COUNT], const bp_corpus_loader *loader,
                       bp_error *error)
{
    const bp_token_unit unit = loader->request->rule.unit;
    const uint64_t count = unit_count(loader->infos[BP_CORPUS_TRAINING], unit);
    if (bp_corpus_split(out, loader->request, count))
        return BP_OK;
    return bp_error_set(error, BP_INVALID, "/data",
                        "validation and test take all of the %llu %s; none is left to train on",
                        (unsigned long long)count,
                        unit == BP_UNIT_CHARACTER ? "characters" : "words");
}

bp_status bp_text_vocabulary(bp_vocabulary **out, const bp_corpus_loader *loader, bp_error *error)
{
    uint64_t counts[BP_CORPUS_PART_COUNT];
    bp_vocabulary_builder *builder = NULL;
    text_reader reader = {.file = {.file = -1}};
    bool full = false;
    size_t count = 1;
    bp_status status = split(counts, loader, error);
    if (status == BP_OK)
        status = bp_vocabulary_builder_create(&builder, &loader->request->rule,
                                              counts[BP_CORPUS_TRAINING], bp_word_seed(), error);
    if (status == BP_OK)
        status = open_text(&reader, loader, loader->infos[BP_CORPUS_TRAINING], error);
    while (status == BP_OK && !full && count > 0) {
        status = next_block(&reader, &count, error);
        if (status == BP_OK)
            status = bp_vocabulary_builder_feed(builder, reader.block, count, &full, error);
    }
    if (status == BP_OK)
        status = bp_vocabulary_builder_finish(builder, out, error);
    close_text(&reader);
    bp_vocabulary_builder_free(builder);
    return status;
}

static bp_status store_ids(void *context, const int32_t *ids, size_t count, bp_error *error)
{
    return context ? bp_token_store_add(context, ids, count, error) : BP_OK;
}

static bp_status encode(bp_token_encoder *encoder, text_reader *reader, bp_error *error)
{
    size_t count = 1;
    bp_status status = BP_OK;
    while (status == BP_OK && count > 0) {
        status = next_block(reader, &count, error);
        if (status == BP_OK)
            status = bp_token_encoder_feed(encoder, reader->block, count, error);
    }
    return status == BP_OK ? bp_token_encoder_finish(encoder, error) : status;
}

/* All ids of one text. store NULL: they are only looked up. */
static bp_status load_text(bp_token_store **store, const bp_corpus_loader *loader,
                           const bp_dataset_info *info, const bp_vocabulary *vocabulary,
                           bp_error *error)
{
    const uint64_t count = unit_count(info, bp_vocabulary_unit(vocabulary));
    text_reader reader = {.file = {.file = -1}};
    bp_error fault = {.status = BP_OK};
    bp_token_encoder *encoder = malloc(sizeof *encoder);
    bp_status status = encoder ? BP_OK : no_memory(&fault);
    if (status == BP_OK && store)
        status = bp_token_store_create(store, loader->directory, count,
                                       loader->request->memory_bytes, &fault);
    if (status == BP_OK)
        status = open_text(&reader, loader, info, &fault);
    if (status == BP_OK) {
        bp_token_encoder_begin(encoder, vocabulary, store_ids, store ? *store : NULL);
        status = encode(encoder, &reader, &fault);
    }
    if (status == BP_OK && store && bp_token_store_source(*store).count != count)
        status = bp_error_set(&fault, BP_CORRUPT, NULL,
                              "the data set \"%s\" has fewer tokens than were counted", info->name);
    close_text(&reader);
    free(encoder);
    if (status == BP_INVALID) /* a character; its place is in where */
        return bp_error_set(error, status, "/data",
                            "%s of the data set \"%s\": %s, which is made of the training part",
                            fault.where, info->name, fault.message);
    return status == BP_OK ? BP_OK : bp_error_set(error, status, fault.where, "%s", fault.message);
}

bp_status bp_text_check(const bp_corpus_loader *loader, const bp_vocabulary *vocabulary,
                        bp_error *error)
{
    bp_status status = BP_OK;
    for (size_t i = 0; i < BP_CORPUS_PART_COUNT && status == BP_OK; i++)
        if (loader->infos[i])
            status = load_text(NULL, loader, loader->infos[i], vocabulary, error);
    return status;
}

bp_status bp_text_parts_load(bp_corpus_data *out, bp_corpus_memory *memory,
                             const bp_corpus_loader *loader, const bp_vocabulary *vocabulary,
                             bp_error *error)
{
    uint64_t counts[BP_CORPUS_PART_COUNT], first = 0;
    bp_status status = split(counts, loader, error);
    for (size_t i = 0; i < BP_CORPUS_PART_COUNT && status == BP_OK; i++)
        if (loader->infos[i])
            status = load_text(&memory->stores[i], loader, loader->infos[i], vocabulary, error);
    for (size_t i = 0; i < BP_CORPUS_PART_COUNT && status == BP_OK; i++) {
        bp_token_source *tokens = &out->parts[i].tokens;
        if (loader->infos[i] && i != BP_CORPUS_TRAINING) {
            *tokens = bp_token_store_source(memory->stores[i]);
            continue;
        }
        const bp_token_source whole = bp_token_store_source(memory->stores[BP_CORPUS_TRAINING]);
        *tokens = bp_token_source_part(&whole, (size_t)first, (size_t)counts[i]);
        first += counts[i];
    }
    return status;
}
