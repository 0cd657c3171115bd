/* Runs a fuzz target on every file of the folders named, in place of libFuzzer: what fuzzing has found
 * once stays tested with every compiler. Fails when a folder holds no file. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static int replay(const char *path)
{
    struct stat about;
    FILE *file = fopen(path, "rb");
    if (!file || fstat(fileno(file), &about) != 0) {
        perror(path);
        return 1;
    }
    /* An allocation of the exact size, so that reading past the input is seen by ASan. */
    const size_t size = (size_t)about.st_size;
    unsigned char *data = malloc(size ? size : 1);
    const int failed = !data || fread(data, 1, size, file) != size;
    fclose(file);
    if (!failed)
        (void)LLVMFuzzerTestOneInput(data, size);
    free(data);
    return failed;
}

int main(int argc, char **argv)
{
    int count = 0, failures = 0;
    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        const struct dirent *entry;
        while (folder && (entry = readdir(folder))) {
            char path[4096];
            if (entry->d_name[0] == '.')
                continue;
            snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
            failures += replay(path);
            count++;
        }
        if (folder)
            closedir(folder);
    }
    printf("%d inputs replayed\n", count);
    return count == 0 || failures > 0;
}
