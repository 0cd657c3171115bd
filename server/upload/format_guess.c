#include "server/upload/format_guess.h"

#include <string.h>

#include "server/upload/conll_parser.h"
#include "server/upload/number_text.h"

/* Words a phrase on average, from which on commas are taken for punctuation. */
enum { PHRASE_WORDS = 3 };

typedef struct line_view {
    const char *at, *end;
} line_view;

typedef struct line_walk {
    const char *at, *end;
    bool whole;
} line_walk;

/* The next line, without blanks at its ends. False: there is no other, or it is cut. */
static bool next_line(line_walk *walk, line_view *out)
{
    if (walk->at >= walk->end)
        return false;
    const char *end = memchr(walk->at, '\n', (size_t)(walk->end - walk->at));
    if (!end && !walk->whole)
        return false;
    *out = (line_view){walk->at, end ? end : walk->end};
    walk->at = end ? end + 1 : walk->end;
    while (out->at < out->end && strchr(" \t\r", *out->at) && *out->at)
        out->at++;
    while (out->at < out->end && strchr(" \t\r", out->end[-1]) && out->end[-1])
        out->end--;
    return true;
}

/* Columns between tabs or blanks; the last one goes to *last. */
static size_t count_columns(const line_view *line, bool by_tabs, line_view *last)
{
    size_t count = 0;
    for (const char *at = line->at; at < line->end;) {
        const char *from = at;
        while (at < line->end && *at != '\t' && (by_tabs || *at != ' '))
            at++;
        if (at > from) {
            *last = (line_view){from, at};
            count++;
        }
        at++;
    }
    return count;
}

static bool is_conll(line_walk walk)
{
    line_view line, last = {0};
    size_t column_count = 0, sentence_count = 0;
    bool by_tabs = false, chunk_tags = true, inside = false;
    while (next_line(&walk, &line)) {
        const size_t length = (size_t)(line.end - line.at);
        if (length == 0 || (length >= 10 && memcmp(line.at, "-DOCSTART-", 10) == 0)) {
            inside = false;
            continue;
        }
        const bool has_tab = memchr(line.at, '\t', length);
        const size_t count = count_columns(&line, column_count ? by_tabs : has_tab, &last);
        const bool tag = count > 1 && bp_is_chunk_tag(last.at, (size_t)(last.end - last.at));
        if (*line.at == '#' &&
            (column_count ? count != column_count || (chunk_tags && !tag && !by_tabs)
                          : !has_tab && !tag))
            continue;
        if (count < 2 || (column_count && count != column_count))
            return false;
        if (column_count == 0)
            by_tabs = has_tab;
        column_count = count;
        sentence_count += !inside;
        inside = true;
        chunk_tags = chunk_tags && tag;
    }
    return column_count > 0 && (chunk_tags || (by_tabs && sentence_count > 1));
}

/* A line of vectors: a word and numbers, between blanks. Returns how many numbers; 0: it is no such line. */
static size_t count_numbers(const line_view *line, bool *out_word_is_number)
{
    double number;
    size_t count = 0;
    const char *at = line->at;
    while (at < line->end) {
        const char *from = at;
        while (at < line->end && *at != ' ')
            at++;
        if (at > from) {
            const bool is_number = bp_number_parse(&number, from, (size_t)(at - from));
            if (count == 0)
                *out_word_is_number = is_number;
            else if (!is_number)
                return 0;
            count++;
        }
        at++;
    }
    return count > 0 ? count - 1 : 0;
}

/* At least two words with as many numbers each, or one behind a line that says how many there are; not a
 * table of numbers. */
static bool is_vectors(line_walk walk)
{
    line_view line;
    size_t words = 0, numbers = 0, first_numbers = 0;
    bool word_is_number = false, any_word = false, announced = false;
    while (next_line(&walk, &line)) {
        if (line.at == line.end || memchr(line.at, '\t', (size_t)(line.end - line.at)))
            return false;
        const size_t count = count_numbers(&line, &word_is_number);
        if (count == 0)
            return false;
        if (first_numbers == 0) {
            first_numbers = count;
            announced = count == 1 && word_is_number;
            if (announced)
                continue;
        }
        if (numbers > 0 && count != numbers)
            return false;
        numbers = count;
        any_word = any_word || !word_is_number;
        words++;
    }
    return any_word && numbers > 1 && words >= (announced ? 1u : 2u);
}

typedef struct line_habits {
    size_t words;       /* between blanks */
    size_t fields;      /* between the delimiter, outside quotes */
    size_t punctuation; /* delimiters that a blank or the line's end follows */
} line_habits;

static line_habits habits_of(const line_view *line, char delimiter)
{
    line_habits habits = {.fields = 1};
    bool quoted = false, in_word = false;
    for (const char *at = line->at; at < line->end; at++) {
        const bool blank = *at == ' ' || *at == '\t';
        quoted ^= *at == '"';
        habits.words += !blank && !in_word;
        in_word = !blank;
        if (quoted || !delimiter || *at != delimiter)
            continue;
        habits.fields++;
        habits.punctuation += at + 1 == line->end || at[1] == ' ';
    }
    return habits;
}

/* As the CSV parser chooses it; NUL where the line has none. */
static char delimiter_of(const line_view *line)
{
    static const char candidates[] = {',', ';', '\t', '|'};
    size_t best = 1;
    char delimiter = '\0';
    for (size_t i = 0; i < sizeof candidates; i++) {
        const size_t fields = habits_of(line, candidates[i]).fields;
        if (fields > best) {
            best = fields;
            delimiter = candidates[i];
        }
    }
    return delimiter;
}

static bool is_text(line_walk walk)
{
    line_view line = {0};
    bool more;
    while ((more = next_line(&walk, &line)) && line.at == line.end)
        ;
    if (!more && !walk.whole) { /* one line that is longer than what is seen */
        walk.whole = true;
        more = next_line(&walk, &line);
    }
    if (!more)
        return false;
    const char delimiter = delimiter_of(&line);
    const line_habits first = habits_of(&line, delimiter);
    size_t line_count = 1, most_words = first.words;
    bool equal = true;
    while (next_line(&walk, &line)) {
        if (line.at == line.end)
            continue;
        const line_habits habits = habits_of(&line, delimiter);
        line_count++;
        equal = equal && habits.fields == first.fields;
        most_words = habits.words > most_words ? habits.words : most_words;
    }
    if (!delimiter)
        return most_words > 1 || (line_count == 1 && first.words > 0);
    const bool prose = delimiter != '\t' && delimiter != '|' &&
                       first.punctuation == first.fields - 1 && first.words > first.fields;
    return prose && (first.words >= first.fields * PHRASE_WORDS || !equal);
}

bp_dataset_format bp_format_of_array(const char *bytes, size_t count)
{
    if (count >= 6 && memcmp(bytes, "\x93NUMPY", 6) == 0)
        return BP_FORMAT_NPY;
    if (count >= 2 && bytes[0] == 0 && bytes[1] == 0)
        return BP_FORMAT_IDX;
    return BP_FORMAT_AUTO;
}

bp_dataset_format bp_format_guess(const char *bytes, size_t count, bool whole)
{
    const bp_dataset_format array = bp_format_of_array(bytes, count);
    const size_t mark = count >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    const line_walk walk = {bytes + mark, bytes + count, whole};
    if (array != BP_FORMAT_AUTO)
        return array;
    if (is_conll(walk))
        return BP_FORMAT_CONLL;
    if (is_vectors(walk))
        return BP_FORMAT_VECTORS;
    return is_text(walk) ? BP_FORMAT_TEXT : BP_FORMAT_CSV;
}

const char *bp_format_name(bp_dataset_format format)
{
    static const char *const names[] = {
        [BP_FORMAT_AUTO] = "auto",      [BP_FORMAT_CSV] = "csv",   [BP_FORMAT_IDX] = "idx",
        [BP_FORMAT_NPY] = "npy",        [BP_FORMAT_TEXT] = "text", [BP_FORMAT_CONLL] = "conll",
        [BP_FORMAT_VECTORS] = "vectors"};
    return names[format];
}
