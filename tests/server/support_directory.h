/* A fresh directory for one test, removed with all that is in it. */
#ifndef BP_TESTS_SERVER_SUPPORT_DIRECTORY_H
#define BP_TESTS_SERVER_SUPPORT_DIRECTORY_H

enum { SUPPORT_PATH_SIZE = 128 };

void support_directory_make(char out[SUPPORT_PATH_SIZE]);
void support_directory_remove(const char *directory);

#endif
