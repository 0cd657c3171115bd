#include "schema/dataset/corpus_info.h"

#include <stdlib.h>

#include "schema/json/json_text.h"

enum { SHOWN_LIMIT = 100 };

static bool add_count(json_t *object, const char *key, uint64_t count)
{
    return bp_json_add(object, key, json_integer((json_int_t)count));
}

bool bp_corpus_info_add_text(json_t *object, const bp_corpus_info *info)
{
    return add_count(object, "bytes", info->byte_count) &&
           add_count(object, "characters", info->character_count) &&
           add_count(object, "distinct_characters", info->distinct_character_count) &&
           add_count(object, "lines", info->line_count) &&
           add_count(object, "words", info->word_count) &&
           add_count(object, "distinct_words", info->distinct_word_count) &&
           bp_json_add(object, "distinct_words_is_lower_bound",
                       json_boolean(info->distinct_word_is_lower_bound));
}

static json_t *tags_json(const bp_corpus_info *info, bool full)
{
    const size_t count = full || info->tag_count < SHOWN_LIMIT ? info->tag_count : SHOWN_LIMIT;
    json_t *tags = json_array();
    for (size_t i = 0; tags && i < count; i++) {
        json_t *tag = json_pack("{s:s, s:I}", "tag", info->tags[i].tag, "count",
                                (json_int_t)info->tags[i].count);
        if (json_array_append_new(tags, tag) != 0) {
            json_decref(tags);
            return NULL;
        }
    }
    return tags;
}

bool bp_corpus_info_add_tagged(json_t *object, const bp_corpus_info *info, bool full)
{
    return add_count(object, "bytes", info->byte_count) &&
           add_count(object, "sentences", info->sentence_count) &&
           add_count(object, "longest_sentence", info->longest_sentence) &&
           add_count(object, "tokens", info->word_count) &&
           add_count(object, "distinct_tokens", info->distinct_word_count) &&
           bp_json_add(object, "distinct_tokens_is_lower_bound",
                       json_boolean(info->distinct_word_is_lower_bound)) &&
           bp_json_add(object, "tags", tags_json(info, full));
}

bool bp_corpus_info_add_vectors(json_t *object, const bp_corpus_info *info)
{
    return add_count(object, "bytes", info->byte_count) &&
           add_count(object, "words", info->word_count);
}

void bp_corpus_info_read_vectors(bp_stored *stored, bp_corpus_info *out, const json_t *object)
{
    out->byte_count = bp_stored_count(stored, object, "bytes");
    out->word_count = bp_stored_count(stored, object, "words");
}

void bp_corpus_info_read_text(bp_stored *stored, bp_corpus_info *out, const json_t *object)
{
    out->byte_count = bp_stored_count(stored, object, "bytes");
    out->character_count = bp_stored_count(stored, object, "characters");
    out->distinct_character_count = bp_stored_count(stored, object, "distinct_characters");
    out->line_count = bp_stored_count(stored, object, "lines");
    out->word_count = bp_stored_count(stored, object, "words");
    out->distinct_word_count = bp_stored_count(stored, object, "distinct_words");
    out->distinct_word_is_lower_bound =
        bp_stored_bool(stored, object, "distinct_words_is_lower_bound");
}

void bp_corpus_info_read_tagged(bp_stored *stored, bp_corpus_info *out, const json_t *object)
{
    out->byte_count = bp_stored_count(stored, object, "bytes");
    out->sentence_count = bp_stored_count(stored, object, "sentences");
    out->longest_sentence = bp_stored_count(stored, object, "longest_sentence");
    out->word_count = bp_stored_count(stored, object, "tokens");
    out->distinct_word_count = bp_stored_count(stored, object, "distinct_tokens");
    out->distinct_word_is_lower_bound =
        bp_stored_bool(stored, object, "distinct_tokens_is_lower_bound");
    const json_t *tags = bp_stored_array(stored, object, "tags");
    const size_t count = json_array_size(tags);
    out->tags = bp_stored_allocate(stored, count, sizeof *out->tags);
    for (size_t i = 0; out->tags && i < count; i++) {
        const json_t *tag = json_array_get(tags, i);
        out->tags[i].tag = bp_stored_text(stored, tag, "tag");
        out->tags[i].count = bp_stored_count(stored, tag, "count");
        out->tag_count = i + 1;
    }
}

void bp_corpus_info_done(bp_corpus_info *info)
{
    for (size_t i = 0; i < info->tag_count; i++)
        free(info->tags[i].tag);
    free(info->tags);
    *info = (bp_corpus_info){0};
}
