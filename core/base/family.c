#include "core/base/family.h"

#include <assert.h>
#include <string.h>

const bp_member *bp_family_find(const bp_family *family, const char *name)
{
    for (size_t index = 0; index < family->member_count; index++)
        if (!strcmp(family->members[index]->name, name))
            return family->members[index];
    return NULL;
}

bp_choice bp_choice_default(const bp_member *member)
{
    bp_choice choice = {.member = member};
    for (size_t index = 0; index < member->parameter_count; index++)
        choice.value[index] = member->parameters[index].default_value;
    return choice;
}

double bp_choice_value(const bp_choice *choice, const char *name)
{
    const bp_member *member = choice->member;
    for (size_t index = 0; index < member->parameter_count; index++)
        if (!strcmp(member->parameters[index].name, name))
            return choice->value[index];
    assert(false && "a hyperparameter that the member does not have");
    return 0;
}
