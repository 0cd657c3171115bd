/* The fingerprint of the numerics: one for all instruction sets, another one as soon as bits change. The
 * linker wraps bp_kernels_get, so that a changed table can take the place of the true one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/check/numerics_fingerprint.h"

static const bp_kernels *replacement; /* for float32; NULL: the true table */

const bp_kernels *__real_bp_kernels_get(bp_dtype dtype, bp_isa isa);
const bp_kernels *__wrap_bp_kernels_get(bp_dtype dtype, bp_isa isa);
const bp_kernels *__wrap_bp_kernels_get(bp_dtype dtype, bp_isa isa)
{
    return replacement && dtype == BP_FLOAT32 ? replacement : __real_bp_kernels_get(dtype, isa);
}

static void take(char out[BP_FINGERPRINT_SIZE], bp_isa isa)
{
    assert_int_equal(bp_numerics_fingerprint(out, isa, NULL), BP_OK);
}

static void test_same_everywhere(void **state)
{
    (void)state;
    char first[BP_FINGERPRINT_SIZE], other[BP_FINGERPRINT_SIZE];
    take(first, BP_ISA_BASELINE);
    assert_int_equal(strlen(first), 18);
    assert_int_equal(strspn(first, "0123456789abcdef-"), 18);
    for (int isa = 0; isa <= (int)bp_isa_detect(); isa++) {
        if (!__real_bp_kernels_get(BP_FLOAT32, (bp_isa)isa))
            continue;
        take(other, (bp_isa)isa);
        assert_string_equal(first, other);
    }
}

static const bp_kernels *true_table(void)
{
    return __real_bp_kernels_get(BP_FLOAT32, bp_isa_detect());
}

static void exp_one_unit_off(void *out, const void *x, size_t count)
{
    true_table()->exp(out, x, count);
    ((uint32_t *)out)[count - 1]++;
}

static double sum_backwards(const void *x, size_t count)
{
    float sum = 0;
    for (size_t i = count; i > 0; i--)
        sum += ((const float *)x)[i - 1];
    return (double)sum;
}

static void gemm_one_unit_off(const bp_gemm_call *call)
{
    true_table()->gemm(call);
    ((uint32_t *)call->c)[0]++;
}

static void lstm_one_unit_off(const bp_lstm_call *call, size_t first, size_t count)
{
    true_table()->lstm_backward(call, first, count);
    ((uint32_t *)call->dc)[first * call->units]++;
}

static void gru_one_unit_off(const bp_gru_call *call, size_t first, size_t count)
{
    true_table()->gru_forward(call, first, count);
    ((uint32_t *)call->h)[first * call->units]++;
}

/* Sums of the gradients of a token's vector. */
static void axpy_one_unit_off(void *y, double factor, const void *x, size_t count)
{
    true_table()->axpy(y, factor, x, count);
    ((uint32_t *)y)[0]++;
}

static void margin_one_unit_off(const bp_loss_call *call, size_t first, size_t count)
{
    true_table()->losses[BP_LOSS_max_margin]->rows(call, first, count);
    if (call->gradient)
        ((uint32_t *)call->gradient)[first]++;
}

static void test_notices_changed_bits(void **state)
{
    (void)state;
    char before[BP_FINGERPRINT_SIZE], after[BP_FINGERPRINT_SIZE];
    take(before, bp_isa_detect());
    enum { CHANGES = 7 };
    bp_kernels changed[CHANGES];
    for (size_t i = 0; i < CHANGES; i++)
        changed[i] = *true_table();
    changed[0].exp = exp_one_unit_off;
    changed[1].sum = sum_backwards;
    changed[2].gemm = gemm_one_unit_off;
    changed[3].lstm_backward = lstm_one_unit_off;
    changed[4].gru_forward = gru_one_unit_off;
    changed[5].axpy = axpy_one_unit_off;
    bp_loss margin = *true_table()->losses[BP_LOSS_max_margin];
    const bp_loss *losses[BP_LOSS_COUNT];
    memcpy(losses, true_table()->losses, sizeof losses);
    margin.rows = margin_one_unit_off;
    losses[BP_LOSS_max_margin] = &margin;
    changed[6].losses = losses;
    for (size_t i = 0; i < CHANGES; i++) {
        replacement = &changed[i];
        take(after, bp_isa_detect());
        if (!strcmp(before, after))
            fail_msg("change %zu", i);
    }
    replacement = NULL;
    take(after, bp_isa_detect());
    assert_string_equal(before, after);
}

int main(void)
{
    bp_kernels_thread_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_everywhere),
        cmocka_unit_test(test_notices_changed_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
