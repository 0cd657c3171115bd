/* CoNLL parser: whatever the bytes and however they are cut, the same outcome, and a sink that is only
 * called as promised. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "schema/dataset/corpus_info.h"
#include "schema/language/word_splitter.h"
#include "server/upload/conll_parser.h"
#include "server/upload/format_guess.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

typedef struct checker {
    size_t token_count, sentence_count, inside;
    unsigned long long sum; /* of everything seen */
} checker;

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void add(checker *self, const bp_text *text, size_t limit)
{
    bp_utf8 utf8 = {0};
    require(text->length > 0 && text->length <= limit);
    for (size_t i = 0; i < text->length; i++) {
        const unsigned char byte = (unsigned char)text->at[i];
        require(byte != 0 && byte != '\n' && bp_utf8_take(&utf8, byte) != BP_UTF8_BAD);
        self->sum = self->sum * 31 + byte;
    }
    require(utf8.pending == 0);
    self->sum = self->sum * 31 + 7;
}

static bp_status take_token(void *context, const bp_text *token, const bp_text *tag,
                            bp_error *error)
{
    checker *self = context;
    (void)error;
    add(self, token, BP_WORD_LIMIT);
    add(self, tag, BP_TAG_BYTES);
    self->token_count++;
    self->inside++;
    return BP_OK;
}

static bp_status take_sentence(void *context, bp_error *error)
{
    checker *self = context;
    (void)error;
    require(self->inside > 0);
    self->inside = 0;
    self->sentence_count++;
    self->sum = self->sum * 31 + 11;
    return BP_OK;
}

static bp_status parse(checker *out, const unsigned char *data, size_t size, size_t chunk,
                       bp_error *error)
{
    bp_conll_parser *parser;
    const bp_tagged_sink sink = {out, take_token, take_sentence};
    if (bp_conll_parser_create(&parser, &sink, error) != BP_OK)
        return BP_NO_MEMORY;
    bp_status status = BP_OK;
    for (size_t at = 0; at < size && status == BP_OK; at += chunk)
        status =
            bp_conll_parser_feed(parser, data + at, size - at < chunk ? size - at : chunk, error);
    if (status == BP_OK) {
        status = bp_conll_parser_finish(parser, error);
        require(status != BP_OK || (out->sentence_count > 0 && out->inside == 0));
    }
    bp_conll_parser_free(parser);
    return status;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    checker whole = {0}, pieces = {0};
    bp_error whole_error = {0}, pieces_error = {0};
    bp_status status = parse(&whole, data, size, size ? size : 1, &whole_error);
    require(status == parse(&pieces, data, size, 1 + size % 5, &pieces_error));
    require(status == whole_error.status && (status == BP_OK) == !whole_error.message[0]);
    require(strcmp(whole_error.message, pieces_error.message) == 0);
    require(strcmp(whole_error.where, pieces_error.where) == 0);
    require(whole.sum == pieces.sum && whole.token_count == pieces.token_count);
    require(bp_format_guess((const char *)data, size, true) != BP_FORMAT_AUTO);
    require(bp_format_guess((const char *)data, size, false) != BP_FORMAT_AUTO);
    return 0;
}
