#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/math/scalar_math.h"
#include "tests/core/support_kernels.h"

static double ulp_64(double got, long double reference)
{
    return support_ulp(bp_kernels_get(BP_FLOAT64, BP_ISA_BASELINE), got, reference);
}

/* exp and log have an accuracy test of their own through the kernels. */
static void exp_and_log_have_the_bits_of_the_kernels(void **state)
{
    (void)state;
    const bp_kernels *kernels = bp_kernels_get(BP_FLOAT64, bp_isa_detect());
    enum { COUNT = 1024 };
    double x[COUNT], expected[COUNT], got[COUNT];
    uint64_t bits = 1;
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < COUNT; i++)
            if (round % 2) {
                uint64_t pattern = support_bits(&bits);
                memcpy(&x[i], &pattern, sizeof x[i]);
            } else {
                x[i] = support_uniform(&bits, -750, 715);
            }
        const double edges[] = {0, -0.0, (double)INFINITY, -(double)INFINITY, (double)NAN, 5e-324};
        memcpy(x, edges, sizeof edges);
        kernels->exp(expected, x, COUNT);
        for (size_t i = 0; i < COUNT; i++)
            got[i] = bp_scalar_exp(x[i]);
        assert_true(support_same(kernels, got, expected, COUNT));
        kernels->log(expected, x, COUNT);
        for (size_t i = 0; i < COUNT; i++)
            got[i] = bp_scalar_log(x[i]);
        assert_true(support_same(kernels, got, expected, COUNT));
    }
}

static void cos_is_accurate(void **state)
{
    (void)state;
    const double ranges[] = {0.8, 3.2, 100, 0x1p20};
    uint64_t bits = 1;
    double worst = 0;
    for (size_t range = 0; range < sizeof ranges / sizeof *ranges; range++)
        for (int i = 0; i < 200000; i++) {
            double x = support_uniform(&bits, -ranges[range], ranges[range]);
            double error_ulp = ulp_64(bp_scalar_cos(x), cosl((long double)x));
            worst = error_ulp > worst ? error_ulp : worst;
        }
    print_message("cos: at most %.3f ulp\n", worst);
    assert_true(worst < 1);
}

/* Where the cosine nearly vanishes, its value is what reduction left of the angle. cosl has 64 bits and
 * reduces with enough of π. */
static void cos_is_accurate_at_its_zeros(void **state)
{
    (void)state;
    for (int n = 1; n < 600000; n += 2) {
        double x = (double)((long double)n * 1.57079632679489661923132169163975144L);
        assert_true(ulp_64(bp_scalar_cos(x), cosl((long double)x)) < 1);
    }
}

static void cos_knows_its_edges(void **state)
{
    (void)state;
    assert_true(bp_scalar_cos(0) == 1);
    assert_true(bp_scalar_cos(-1) == bp_scalar_cos(1));
    assert_true(bp_scalar_cos(0x1.921fb54442d18p+1) == -1);
    assert_true(isnan(bp_scalar_cos((double)NAN)));
    assert_true(isnan(bp_scalar_cos((double)INFINITY)));
    assert_true(isnan(bp_scalar_cos(1e7)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_and_log_have_the_bits_of_the_kernels),
        cmocka_unit_test(cos_is_accurate),
        cmocka_unit_test(cos_is_accurate_at_its_zeros),
        cmocka_unit_test(cos_knows_its_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
