/* Families: layers, activations, losses, optimisers, schedules, initialisers, data preparation.
 * A member of a family is one const record that begins with a bp_member: its name as written in
 * JSON and its hyperparameters as data. JSON validation, defaults, error messages, the catalogue,
 * and the reference page are all read from these records; nothing else knows a member's fields. */
#ifndef BP_CORE_BASE_FAMILY_H
#define BP_CORE_BASE_FAMILY_H

#include <stdbool.h>
#include <stddef.h>

enum { BP_HYPERPARAMETER_LIMIT = 8 };

typedef enum bp_hyperparameter_kind {
    BP_REAL_PARAMETER,    /* any number in range */
    BP_INTEGER_PARAMETER, /* a whole number in range, at most 2^53 − 1 */
    BP_BOOLEAN_PARAMETER, /* false 0, true 1 */
    BP_CHOICE_PARAMETER,  /* one of `choices`, stored as its index */
} bp_hyperparameter_kind;

typedef struct bp_hyperparameter {
    const char *name;    /* as in JSON: "learning_rate" */
    const char *meaning; /* one line, with unit and letter in the formula */
    bp_hyperparameter_kind kind;
    bool required;     /* no default */
    bool accepts_auto; /* "auto" allowed: resolved from the data, default when absent */
    bool exclusive_minimum, exclusive_maximum; /* the bound itself is not allowed */
    double default_value, minimum, maximum;    /* maximum may be INFINITY: no bound */
    const char *const *choices;                /* NULL-terminated, for BP_CHOICE_PARAMETER */
} bp_hyperparameter;

typedef struct bp_member {
    const char *name;      /* as in JSON */
    const char *summary;   /* one line */
    const char *formula;   /* plain text with the letters of the textbook */
    const char *reference; /* where it is from: author, year, section */
    const char *pytorch;   /* the same thing in PyTorch with the setting that makes both agree,
                              or "none: why" */
    size_t index;          /* position in its family's .def list */
    size_t parameter_count;
    const bp_hyperparameter *parameters;
} bp_member;

typedef struct bp_family {
    const char *name;  /* "activation" */
    const char *title; /* "Activations" */
    size_t member_count;
    const bp_member *const *members; /* in .def order; members[i]->index == i */
} bp_family;

/* A member with values for its hyperparameters, in the member's order: what a specification holds. */
typedef struct bp_choice {
    const bp_member *member; /* NULL: not chosen */
    double value[BP_HYPERPARAMETER_LIMIT];
} bp_choice;

/* Member by exact name; NULL when there is none. */
const bp_member *bp_family_find(const bp_family *family, const char *name);

/* The choice of a member with every hyperparameter at its default. */
bp_choice bp_choice_default(const bp_member *member);

/* Value of a hyperparameter by name; the name must exist (asserted). */
double bp_choice_value(const bp_choice *choice, const char *name);

#endif
