#include "schema/model/corpus_evaluation.h"

#include "core/math/scalar_math.h"
#include "schema/json/json_text.h"

static const double ln_2 = 0x1.62e42fefa39efp-1;

double bp_perplexity(double loss)
{
    return bp_scalar_exp(loss);
}

double bp_bits_per_token(double loss)
{
    return loss / ln_2;
}

static bool add_real(json_t *object, const char *key, double value)
{
    return bp_json_add(object, key, bp_json_real(value));
}

static bool add_rows(json_t *object, const bp_evaluation_report *report)
{
    return bp_json_add(object, "rows", json_integer((json_int_t)report->rows));
}

json_t *bp_text_evaluation_json(const bp_evaluation_report *report, bp_token_unit unit)
{
    json_t *json = json_object();
    bool ok = add_real(json, "loss", report->loss) &&
              add_real(json, "accuracy", report->accuracy) &&
              add_real(json, "perplexity", bp_perplexity(report->loss));
    if (unit == BP_UNIT_CHARACTER)
        ok = ok && add_real(json, "bits_per_character", bp_bits_per_token(report->loss));
    return bp_json_whole(json, ok && add_rows(json, report));
}

json_t *bp_pair_evaluation_json(const bp_evaluation_report *report)
{
    json_t *json = json_object();
    const bool ok = add_real(json, "loss", report->loss) &&
                    add_real(json, "accuracy", report->accuracy) && add_rows(json, report);
    return bp_json_whole(json, ok);
}

static bool add_count(json_t *json, const bp_entity_count *count)
{
    const bp_entity_ratio ratio = bp_entity_score_ratio(count);
    return add_real(json, "precision", ratio.precision) && add_real(json, "recall", ratio.recall) &&
           add_real(json, "f1", ratio.f1) &&
           bp_json_add(json, "expected", json_integer((json_int_t)count->expected)) &&
           bp_json_add(json, "found", json_integer((json_int_t)count->found)) &&
           bp_json_add(json, "correct", json_integer((json_int_t)count->correct));
}

json_t *bp_entities_json(const bp_entity_count *counts, const char *const *types, size_t type_count)
{
    const bp_entity_count sum = bp_entity_score_sum(counts, type_count);
    json_t *json = json_object(), *by_type = json_array();
    bool ok = add_count(json, &sum);
    for (size_t type = 0; by_type && type < type_count; type++) {
        json_t *own = json_object();
        ok = bp_json_add(own, "type", json_string(types[type])) && add_count(own, &counts[type]) &&
             ok;
        ok = json_array_append_new(by_type, own) == 0 && ok;
    }
    ok = bp_json_add(json, "by_type", by_type) && ok;
    return bp_json_whole(json, ok);
}
