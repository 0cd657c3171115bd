/* What the data of a job over a corpus takes: ids and windows as server/corpus lays them out. */
#include "core/language/token_streams.h"
#include "core/language/token_windows.h"
#include "core/loss/loss.h"
#include "schema/job/job_rows.h"
#include "schema/job/job_work.h"
#include "schema/language/token_encoder.h"

enum { PART_COUNT = 3, BLOCK_BYTES = 256 * 1024 };

typedef struct part_size {
    uint64_t rows, sentences;
} part_size;

static void part_sizes(part_size out[PART_COUNT], const bp_job_work *work)
{
    const bp_corpus_spec *corpus = &work->spec->corpus;
    out[0] = (part_size){work->training_rows, corpus->training_count};
    out[1] = (part_size){work->validation_rows, corpus->validation_count};
    out[2] = (part_size){work->test_rows, corpus->test_count};
}

uint64_t bp_job_unit_count(const bp_dataset_info *info, const bp_vocabulary_rule *rule)
{
    if (info->kind == BP_DATASET_TAGGED)
        return info->corpus.sentence_count;
    return rule->unit == BP_UNIT_CHARACTER ? info->corpus.character_count : info->corpus.word_count;
}

/* All ids of each data set, those of no part included. */
static void add_texts(bp_byte_sum *sum, const bp_job_work *work)
{
    const bp_dataset_info *const sets[] = {work->corpus, work->validation, work->test};
    for (size_t i = 0; i < PART_COUNT; i++) {
        const uint64_t count = sets[i] ? bp_job_unit_count(sets[i], &work->spec->corpus.rule) : 0;
        bp_byte_sum ids = {0};
        bp_byte_sum_add(&ids, count, 1, sizeof(int32_t));
        if (count > 0 && (ids.overflow || ids.bytes <= BP_CORPUS_MEMORY_BYTES))
            bp_byte_sum_add(sum, count + 1, 1, sizeof(int32_t));
    }
}

static void add_windows(bp_byte_sum *sum, const bp_job_work *work)
{
    const bp_job_spec *spec = work->spec;
    const bool paired = bp_loss_of(spec->training.network.loss.member)->paired;
    part_size parts[PART_COUNT];
    part_sizes(parts, work);
    for (size_t i = 0; i < PART_COUNT; i++) {
        size_t ids = 0;
        if (parts[i].rows == 0)
            continue;
        if (!bp_token_windows_id_count(&ids, (size_t)parts[i].rows, (size_t)parts[i].sentences,
                                       spec->corpus.window_width))
            sum->overflow = true;
        bp_byte_sum_add(sum, ids, 1, sizeof(int32_t));
        bp_byte_sum_add(sum, parts[i].rows, 1, sizeof(uint32_t));    /* places */
        bp_byte_sum_add(sum, parts[i].rows + 1, 1, sizeof(int32_t)); /* labels */
        bp_byte_sum_add(sum, parts[i].sentences + 1, 1, sizeof(size_t));
        bp_byte_sum_add(sum, paired ? parts[i].rows : 0, 1, sizeof(size_t)); /* which are true */
    }
}

bp_byte_sum bp_job_corpus_bytes(const bp_job_work *work)
{
    bp_byte_sum sum = {0};
    if (work->spec->task == BP_TASK_LANGUAGE_MODEL)
        add_texts(&sum, work);
    else
        add_windows(&sum, work);
    bp_byte_sum_add(&sum, bp_vocabulary_bytes(work->spec->corpus.vocabulary), 1, 1);
    return sum;
}

bp_byte_sum bp_job_corpus_loading_bytes(const bp_job_work *work)
{
    bp_byte_sum sum = {.bytes = BLOCK_BYTES + sizeof(bp_token_encoder)};
    uint64_t most = 0;
    part_size parts[PART_COUNT];
    if (work->spec->task == BP_TASK_LANGUAGE_MODEL)
        return sum;
    part_sizes(parts, work);
    for (size_t i = 0; i < PART_COUNT; i++) {
        bp_byte_sum_add(&sum, parts[i].rows + 1, 1, sizeof(int32_t)); /* ids without paddings */
        most = parts[i].sentences > most ? parts[i].sentences : most;
    }
    bp_byte_sum_add(&sum, most, 1, sizeof(size_t)); /* lengths */
    /* which sentence is in which part, and the order in which they are drawn */
    bp_byte_sum_add(&sum, work->corpus->corpus.sentence_count, 1, 1 + sizeof(size_t));
    return sum;
}

void bp_job_chunk_size(size_t *out_streams, size_t *out_steps, const bp_job_work *work)
{
    const bp_training_spec *training = &work->spec->training;
    const bp_token_source text = {.count = (size_t)work->training_rows};
    bp_token_streams streams;
    *out_streams = *out_steps = 0;
    if (training->kind != BP_EXAMPLES_STREAMS ||
        bp_token_streams_cut(&streams, &text, training->batch_size, NULL) != BP_OK)
        return;
    *out_streams = streams.stream_count;
    *out_steps = bp_token_streams_chunk_steps(&streams, training->sequence_length, 0);
}
