/* Members of families as they stand in documents: {"type": "momentum", "learning_rate": 0.1}, or the
 * bare name for a member with every hyperparameter at its default. */
#ifndef BP_SCHEMA_JSON_CHOICE_H
#define BP_SCHEMA_JSON_CHOICE_H

#include "core/base/family.h"
#include "schema/json/reader.h"

/* How the contract writes a choice. */
typedef enum bp_choice_form {
    BP_CHOICE_WORD, /* "relu"; an object only where there are hyperparameters to show */
    BP_CHOICE_OBJECT
} bp_choice_form;

/* Reads a choice; a hyperparameter that is "auto" is NaN in it, one that may be "auto" and is at fault is
 * below its minimum. Fields of `extra` may stand beside the hyperparameters (a layer's activation) and
 * are read into extra_base. out->member stays NULL where the member is not known; then only the unknown
 * name is a fault. */
void bp_choice_read(bp_reader *reader, const bp_place *place, const json_t *value, bp_choice *out,
                    const bp_family *family, const bp_field *extra, size_t extra_count,
                    void *extra_base);

/* For bp_field.read: out is a bp_choice, detail its bp_family. */
void bp_read_choice(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                    const void *detail);

/* How a field writes its choices where not as {"type": name, …}: always an object. */
typedef struct bp_choice_style {
    const bp_family *family;
    const char *tag; /* the field that names the member; NULL: none, it is always `absent` */
    const bp_member *absent; /* the member meant where the tag is absent */
} bp_choice_style;

/* For bp_field.read: out is a bp_choice, detail its bp_choice_style. */
void bp_read_styled_choice(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                           const void *detail);

/* For bp_field.read: out is the double of a hyperparameter, detail its record. */
void bp_read_hyperparameter(bp_reader *reader, const bp_place *place, const json_t *value,
                            void *out, const void *detail);

/* A hyperparameter's value as bp_read_hyperparameter reads it; NaN: "auto". NULL: no memory. */
json_t *bp_hyperparameter_json(const bp_hyperparameter *parameter, double value);

/* The same choice as a document that reads back to it. NULL: no memory. */
json_t *bp_choice_json(const bp_choice *choice, bp_choice_form form);

json_t *bp_styled_choice_json(const bp_choice *choice, const bp_choice_style *style);

/* Reads back what bp_choice_json wrote; BP_CORRUPT in stored when it is something else. */
struct bp_stored;
bp_choice bp_choice_parse(struct bp_stored *stored, const json_t *value, const bp_family *family);
bp_choice bp_styled_choice_parse(struct bp_stored *stored, const json_t *value,
                                 const bp_choice_style *style); /* with a tag */

#endif
