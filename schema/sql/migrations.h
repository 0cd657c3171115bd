/* The database's schema as numbered migrations, in the binary. */
#ifndef BP_SCHEMA_SQL_MIGRATIONS_H
#define BP_SCHEMA_SQL_MIGRATIONS_H

#include <stddef.h>

enum { BP_APPLICATION_ID = 0x62707264 }; /* "bprd": PRAGMA application_id of our databases */

/* Brings a database from user_version `version - 1` to `version`. The caller runs sql (ASCII, several
 * statements, no BEGIN or COMMIT) and sets user_version in one transaction. */
typedef struct bp_migration {
    int version;      /* 1, 2, …: position in bp_migrations plus 1 */
    const char *name; /* of the file under schema/sql, without its ending */
    const char *sql;
} bp_migration;

extern const bp_migration bp_migrations[];
extern const size_t bp_migration_count;

#endif
