#include "tests/server/support_directory.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void support_directory_make(char out[SUPPORT_PATH_SIZE])
{
    const char *parent = getenv("TMPDIR");
    snprintf(out, SUPPORT_PATH_SIZE, "%s/backprop-test-XXXXXX", parent ? parent : "/tmp");
    if (!mkdtemp(out)) {
        perror(out);
        abort();
    }
}

static int remove_entry(const char *path, const struct stat *entry, int type, struct FTW *where)
{
    (void)entry;
    (void)type;
    (void)where;
    return remove(path);
}

void support_directory_remove(const char *directory)
{
    (void)nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}
