/* Vectors of words: whatever the bytes and however they are cut, the same outcome, told at the same place. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stdio.h>

#include "server/upload/vectors_stage.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

/* A data directory as the stage wants one, for all inputs; its files have no names. */
static const char *directory(void)
{
    static char path[64];
    if (!path[0]) {
        char tmp[80];
        strcpy(path, "/tmp/fuzz-vectors-XXXXXX");
        require(mkdtemp(path) != NULL);
        snprintf(tmp, sizeof tmp, "%s/tmp", path);
        require(mkdir(tmp, 0700) == 0);
    }
    return path;
}

static void remove_directory(void)
{
    char tmp[80];
    snprintf(tmp, sizeof tmp, "%s/tmp", directory());
    (void)rmdir(tmp);
    (void)rmdir(directory());
}

typedef struct outcome {
    bp_error error;
    bp_corpus_info corpus;
} outcome;

static outcome run(const unsigned char *data, size_t size, size_t chunk)
{
    outcome found = {.error = {.status = BP_OK}};
    bp_vectors_stage *stage = NULL;
    bp_status status = bp_vectors_stage_create(&stage, directory(), &found.error);
    require(status == BP_OK);
    for (size_t at = 0; at < size && status == BP_OK; at += chunk)
        status = bp_vectors_stage_feed(stage, data + at, size - at < chunk ? size - at : chunk,
                                       &found.error);
    if (status == BP_OK)
        status = bp_vectors_stage_finish(stage, &found.error);
    require((status == BP_OK) == (found.error.status == BP_OK));
    found.corpus = *bp_vectors_stage_corpus(stage);
    if (status == BP_OK)
        require(found.corpus.word_count > 0 &&
                found.corpus.byte_count >= 2 * found.corpus.word_count);
    else
        require(strncmp(found.error.where, "line ", 5) == 0 && found.error.message[0]);
    bp_vectors_stage_free(stage);
    return found;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static bool begun;
    if (!begun)
        atexit(remove_directory);
    begun = true;
    const outcome whole = run(data, size, size ? size : 1), cut = run(data, size, 1 + size % 5);
    require(whole.error.status == cut.error.status);
    require(strcmp(whole.error.where, cut.error.where) == 0);
    require(strcmp(whole.error.message, cut.error.message) == 0);
    require(whole.corpus.word_count == cut.corpus.word_count);
    return 0;
}
