#include "tests/core/support_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

bp_examples support_text_examples(const int32_t *ids, size_t count)
{
    return (bp_examples){
        .kind = BP_EXAMPLES_STREAMS, .row_count = count, .text = {.count = count, .ids = ids}};
}

support_text *support_text_of(support_text_sizes sizes)
{
    support_text *text = calloc(1, sizeof *text);
    assert_non_null(text);
    text->ids = calloc(sizes.tokens, sizeof *text->ids);
    assert_non_null(text->ids);
    support_labels(text->ids, sizes.tokens, sizes.vocabulary, 9);
    text->examples = support_text_examples(text->ids, sizes.tokens);
    text->layers[0] = support_embedding(sizes.dimension, true, false);
    text->layers[1] = support_recurrent(sizes.cell, sizes.units);
    text->layers[2] = support_dense(sizes.vocabulary, "identity");
    text->spec = (bp_training_spec){
        .network = support_network_spec(text->layers, 3, 1, 1, "softmax_cross_entropy"),
        .kind = BP_EXAMPLES_STREAMS,
        .sequence_length = 1,
        .optimizer = support_choice_of(&bp_optimizer_family, "sgd", 0.1),
        .schedule = support_choice(&bp_schedule_family, "constant"),
        .seed = 4,
        .epochs = 1,
        .batch_size = 1};
    text->spec.network.input_kind = BP_INPUT_TOKENS;
    text->spec.network.token_count = sizes.vocabulary;
    return text;
}

void support_text_free(support_text *text)
{
    if (!text)
        return;
    free(text->ids);
    free(text);
}

bp_trainer *support_text_trainer(const support_text *text, const bp_parallel *parallel)
{
    bp_error error = {.status = BP_OK};
    bp_trainer *trainer = NULL;
    if (bp_trainer_create(&trainer, &text->spec, &text->examples, parallel, &error) != BP_OK)
        fail_msg("%s: %s", error.where, error.message);
    return trainer;
}
