#include "schema/language/word_splitter.h"

#include <string.h>

#include "schema/language/letters.h"

static bp_status end_word(bp_word_splitter *splitter, bp_error *error)
{
    if (splitter->length == 0)
        return BP_OK;
    bp_status status =
        splitter->word(splitter->context, splitter->text, splitter->length, splitter->cut, error);
    splitter->length = 0;
    splitter->cut = false;
    return status;
}

/* Plain characters of a byte each. What goes beyond the limit is left out. */
static void append_plain(bp_word_splitter *splitter, const char *bytes, size_t count)
{
    const size_t room = splitter->cut ? 0 : BP_WORD_LIMIT - splitter->length;
    char *to = splitter->text + splitter->length;
    splitter->cut = count > room;
    count = count < room ? count : room;
    memcpy(to, bytes, count);
    for (size_t i = 0; splitter->lowercase && i < count; i++)
        to[i] = (char)bp_lowercase((unsigned char)to[i]);
    splitter->length += count;
}

static void append_character(bp_word_splitter *splitter, uint32_t code)
{
    char bytes[BP_UTF8_BYTES];
    const size_t count = bp_utf8_put(bytes, splitter->lowercase ? bp_lowercase(code) : code);
    splitter->cut = splitter->cut || count > BP_WORD_LIMIT - splitter->length;
    if (splitter->cut)
        return;
    memcpy(splitter->text + splitter->length, bytes, count);
    splitter->length += count;
}

bp_status bp_word_splitter_feed(bp_word_splitter *splitter, const char *bytes, size_t count,
                                bp_error *error)
{
    const char *at = bytes, *end = bytes + count;
    bp_status status = BP_OK;
    while (at < end && status == BP_OK) {
        const char *from = at;
        while (splitter->utf8.pending == 0 && at < end && ' ' < *at && *at < 0x7f)
            at++;
        if (at > from) {
            append_plain(splitter, from, (size_t)(at - from));
            continue;
        }
        if (bp_utf8_take(&splitter->utf8, (unsigned char)*at++) != BP_UTF8_CHARACTER)
            continue;
        if (bp_is_white_space(splitter->utf8.code))
            status = end_word(splitter, error);
        else
            append_character(splitter, splitter->utf8.code);
    }
    return status;
}

bp_status bp_word_splitter_finish(bp_word_splitter *splitter, bp_error *error)
{
    return end_word(splitter, error);
}

size_t bp_word_lowercase(char out[static BP_WORD_LIMIT], const char *word, size_t length)
{
    bp_utf8 utf8 = {0};
    size_t written = 0;
    for (size_t i = 0; i < length; i++) {
        char bytes[BP_UTF8_BYTES];
        if (bp_utf8_take(&utf8, (unsigned char)word[i]) != BP_UTF8_CHARACTER)
            continue;
        const size_t count = bp_utf8_put(bytes, bp_lowercase(utf8.code));
        if (count > BP_WORD_LIMIT - written)
            return 0;
        memcpy(out + written, bytes, count);
        written += count;
    }
    return written;
}
