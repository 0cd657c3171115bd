#include "tests/core/support_sentences.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

int32_t support_word(support_corpus *c, const char *word, size_t length)
{
    for (size_t i = 1; i < c->word_count; i++)
        if (strncmp(c->words[i], word, length) == 0 && c->words[i][length] == '\0')
            return (int32_t)i;
    assert_true(c->word_count < WORD_LIMIT && length < 16);
    memcpy(c->words[c->word_count], word, length);
    return (int32_t)c->word_count++;
}

static void add_sentence(support_corpus *c, const char *text)
{
    const size_t begun = c->token_count;
    while (*text) {
        const size_t length = strcspn(text, " ");
        assert_true(c->token_count < TOKEN_LIMIT);
        c->label[c->token_count] = *text >= 'A' && *text <= 'Z';
        c->token[c->token_count++] = support_word(c, text, length);
        text += length + (text[length] == ' ');
    }
    assert_true(c->sentence_count < SENTENCE_LIMIT);
    c->length[c->sentence_count++] = c->token_count - begun;
    c->first[c->sentence_count] = c->token_count;
}

static void lay_out(support_corpus *c)
{
    size_t count;
    assert_true(bp_token_windows_id_count(&count, c->token_count, c->sentence_count, WIDTH));
    assert_true(count <= 2 * TOKEN_LIMIT);
    bp_token_windows_lay_out(c->ids, c->place, c->token, c->length, c->sentence_count, WIDTH,
                             PADDING);
    c->windows = (bp_token_windows){.width = WIDTH,
                                    .row_count = c->token_count,
                                    .ids = c->ids,
                                    .place = c->place,
                                    .label = c->label};
    c->inside_count = bp_token_windows_select(c->inside, &c->windows, 1, true);
    c->outside_count = bp_token_windows_select(c->outside, &c->windows, 0, true);
}

static support_corpus *corpus_of(const char *const *sentences, size_t count)
{
    support_corpus *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->word_count = 1;
    for (size_t i = 0; i < count; i++)
        add_sentence(c, sentences[i]);
    lay_out(c);
    return c;
}

support_corpus *support_places(void)
{
    static const char *const sentences[] = {
        "museums in Paris are free",        "museums in London are amazing",
        "not all museums in London",        "not all hotels in Paris",
        "hotels in Rome are cheap",         "trains to Berlin are slow",
        "all trains to Paris are fast",     "the food in Rome is amazing",
        "people in London are not amazing", "the museums are free",
        "all hotels are not cheap",         "the trains are slow in winter",
        "winter in Berlin is cold",         "food is not free",
        "museums and hotels are amazing",   "Rome is hot in summer"};
    return corpus_of(sentences, sizeof sentences / sizeof *sentences);
}

/* window, embedding, a layer of 8 sigmoids, and one of `units` under the loss. */
static support_windows *windows_of(const support_corpus *c, const char *loss, size_t units)
{
    support_windows *t = calloc(1, sizeof *t);
    assert_non_null(t);
    t->layers[0] = support_window(WIDTH);
    t->layers[1] = support_embedding(4, true, false);
    t->layers[2] = support_dense(8, "sigmoid");
    t->layers[3] = support_dense(units, "identity");
    t->spec = (bp_training_spec){.network = support_network_spec(t->layers, 4, WIDTH, 1, loss),
                                 .kind = BP_EXAMPLES_WINDOWS,
                                 .optimizer = support_choice_of(&bp_optimizer_family, "adam", 0.02),
                                 .schedule = support_choice(&bp_schedule_family, "constant"),
                                 .seed = 3,
                                 .epochs = 60,
                                 .batch_size = 7,
                                 .shuffle = true};
    t->spec.network.input_kind = BP_INPUT_TOKENS;
    t->spec.network.token_count = c->word_count;
    t->examples = (bp_examples){
        .kind = BP_EXAMPLES_WINDOWS, .row_count = c->token_count, .windows = c->windows};
    return t;
}

support_windows *support_tagging(const support_corpus *c)
{
    return windows_of(c, "softmax_cross_entropy", 2);
}

support_windows *support_ranking(const support_corpus *c, bp_corruption_kind kind)
{
    support_windows *t = windows_of(c, "max_margin", 1);
    t->examples.windows.label = NULL;
    t->examples.corruption.kind = kind;
    if (kind == BP_CORRUPT_CENTRE) {
        t->examples.corruption.low = 1;
        t->examples.corruption.high = (int32_t)c->word_count;
        return t;
    }
    t->examples.row_count = c->inside_count;
    t->examples.window_row = c->inside;
    t->examples.corruption.others = c->outside;
    t->examples.corruption.other_count = c->outside_count;
    return t;
}

bp_trainer *support_windows_trainer(const support_windows *t, const bp_parallel *parallel)
{
    bp_error error = {.status = BP_OK};
    bp_trainer *trainer = NULL;
    if (bp_trainer_create(&trainer, &t->spec, &t->examples, parallel, &error) != BP_OK)
        fail_msg("%s: %s", error.where, error.message);
    return trainer;
}
