#include "schema/sql/migrations.h"

#include "schema/embedded.h"

const bp_migration bp_migrations[] = {
    {1, "0001_initial", (const char *)bp_embedded_0001_initial},
    {2, "0002_metric_sets", (const char *)bp_embedded_0002_metric_sets},
    {3, "0003_gradient_check", (const char *)bp_embedded_0003_gradient_check},
    {4, "0004_life_cycle", (const char *)bp_embedded_0004_life_cycle},
};
const size_t bp_migration_count = sizeof bp_migrations / sizeof *bp_migrations;
