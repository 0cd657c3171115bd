#include "schema/sql/migrations.h"

/* A file of this folder and a row here make a migration. */
#define BP_MIGRATION_LIST(X)                                                                       \
    X(1, 0001_initial)                                                                             \
    X(2, 0002_metric_sets)                                                                         \
    X(3, 0003_gradient_check)                                                                      \
    X(4, 0004_life_cycle)                                                                          \
    X(5, 0005_carried_state)                                                                       \
    X(6, 0006_vectors)

/* What embed.cmake makes of the files. */
#define BP_MIGRATION_BYTES(version, file) extern const unsigned char bp_embedded_##file[];
BP_MIGRATION_LIST(BP_MIGRATION_BYTES)
#undef BP_MIGRATION_BYTES

const bp_migration bp_migrations[] = {
#define BP_MIGRATION_ROW(version, file) {version, #file, (const char *)bp_embedded_##file},
    BP_MIGRATION_LIST(BP_MIGRATION_ROW)
#undef BP_MIGRATION_ROW
};
const size_t bp_migration_count = sizeof bp_migrations / sizeof *bp_migrations;
