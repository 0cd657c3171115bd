/* "backpropd backup": a backup from the command line, beside a running daemon or without one. */
#ifndef BP_SERVER_BACKUP_BACKUP_COMMAND_H
#define BP_SERVER_BACKUP_BACKUP_COMMAND_H

/* argv[0] is "backup". Returns the process's exit status: 0; 1, no backup was made (nothing is left
 * behind); 2, the arguments are wrong. Speaks on standard output and error. SIGINT and SIGTERM end it
 * tidily. Before any thread. */
int bp_backup_command(int argc, char *const *argv);

#endif
