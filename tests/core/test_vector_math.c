/* exp, log, tanh of the kernels against libm in long double, in units in the last place, and the bits
 * of every instruction set against those of the baseline. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/core/support_kernels.h"

typedef void array_function(void *out, const void *x, size_t count);
typedef array_function *pick_function(const bp_kernels *kernels);
typedef long double reference_function(long double x);

static array_function *pick_exp(const bp_kernels *kernels)
{
    return kernels->exp;
}

static array_function *pick_log(const bp_kernels *kernels)
{
    return kernels->log;
}

static array_function *pick_tanh(const bp_kernels *kernels)
{
    return kernels->tanh;
}

typedef struct function_case {
    const char *name;
    pick_function *pick;
    reference_function *reference;
    double limit_ulp;
    double range[4][2]; /* drawn from uniformly, beside all bit patterns */
} function_case;

static const function_case functions[] = {
    {"exp", pick_exp, expl, 1, {{-1, 1}, {-104, 89}, {-746, 710}, {-0.35, 0.35}}},
    {"log", pick_log, logl, 1, {{0.5, 2}, {0.99, 1.01}, {0, 1e-37}, {1, 1e6}}},
    {"tanh", pick_tanh, tanhl, 2, {{-1, 1}, {-0.01, 0.01}, {-25, 25}, {0.5, 0.6}}},
};

enum { CHUNK = 4096 };

/* Runs one chunk on every table; the first one's results are checked, the others compared. */
static double check_chunk(const function_case *function, const bp_kernels *const *tables,
                          size_t table_count, const void *x)
{
    double got[CHUNK], other[CHUNK], worst = 0;
    function->pick(tables[0])(got, x, CHUNK);
    for (size_t i = 0; i < CHUNK; i++) {
        double input = support_get(tables[0], x, i), output = support_get(tables[0], got, i);
        double error_ulp = support_ulp(tables[0], output, function->reference(input));
        if (error_ulp > worst)
            worst = error_ulp;
        if (error_ulp > function->limit_ulp)
            fail_msg("%s(%a) = %a is wrong by %g ulp", function->name, input, output, error_ulp);
    }
    for (size_t t = 1; t < table_count; t++) {
        function->pick(tables[t])(other, x, CHUNK);
        assert_true(support_same(tables[0], got, other, CHUNK));
    }
    return worst;
}

static void check_function(const function_case *function, bp_dtype dtype)
{
    const bp_kernels *tables[BP_ISA_COUNT];
    size_t table_count = support_tables(tables, dtype);
    double x[CHUNK], worst = 0;
    uint64_t state = 1;
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < CHUNK; i++) {
            uint64_t bits = support_bits(&state);
            memcpy((char *)x + i * tables[0]->real_size, &bits, tables[0]->real_size);
        }
        double error_ulp = check_chunk(function, tables, table_count, x);
        worst = error_ulp > worst ? error_ulp : worst;
    }
    for (size_t range = 0; range < 4; range++)
        for (int round = 0; round < 60; round++) {
            const double *ends = function->range[range];
            support_fill(tables[0], x, CHUNK, support_bits(&state), ends[0], ends[1]);
            double error_ulp = check_chunk(function, tables, table_count, x);
            worst = error_ulp > worst ? error_ulp : worst;
        }
    print_message("%s, %s: at most %.3f ulp\n", function->name, bp_dtype_name(dtype), worst);
}

static void is_accurate(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        check_function(&functions[i], BP_FLOAT32);
        check_function(&functions[i], BP_FLOAT64);
    }
}

/* Every float between 2^-24 and 2^8 in steps of 97 bit patterns, both signs. */
static void sweeps_the_useful_floats(void **state)
{
    (void)state;
    const bp_kernels *tables[BP_ISA_COUNT];
    size_t table_count = support_tables(tables, BP_FLOAT32);
    float x[2 * CHUNK]; /* check_chunk reads CHUNK of them */
    for (size_t i = 0; i < 3; i++)
        for (uint32_t bits = UINT32_C(0x33800000); bits < UINT32_C(0x43800000);) {
            for (size_t j = 0; j < CHUNK; j++, bits += j % 2 ? 0 : 97) {
                uint32_t pattern = bits | (uint32_t)(j % 2) << 31;
                memcpy(&x[j], &pattern, sizeof pattern);
            }
            check_chunk(&functions[i], tables, table_count, x);
        }
}

static void knows_the_edges(void **state)
{
    (void)state;
    const double edges[] = {0.0,     -0.0,         INFINITY,   -INFINITY, NAN,       5e-324,
                            -5e-324, 1e-45,        -1e-45,     0x1p-126,  0x1p-1022, 1000,
                            -1000,   10000,        -10000,     88.7228,   88.73,     -87.3366,
                            -103.97, -103.98,      -104,       709.7827,  709.79,    -708.4,
                            -745.13, -745.14,      -746,       1,         -1,        0.5625,
                            0.5625f, 3.40282e38,   1.7976e308, 1e300,     -1e300,    0x1.fffffep-1,
                            0.25,    0.3465735902, -0.3466};
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *tables[BP_ISA_COUNT];
        size_t table_count = support_tables(tables, (bp_dtype)dtype);
        double x[CHUNK] = {0};
        for (size_t i = 0; i < CHUNK; i++)
            support_put(tables[0], x, i, edges[i % (sizeof edges / sizeof *edges)]);
        for (size_t i = 0; i < 3; i++)
            check_chunk(&functions[i], tables, table_count, x);
    }
}

static void tanh_keeps_signs_and_bounds(void **state)
{
    (void)state;
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *kernels = bp_kernels_get((bp_dtype)dtype, BP_ISA_BASELINE);
        double x[CHUNK], y[CHUNK];
        support_fill(kernels, x, CHUNK, 5, -30, 30);
        support_put(kernels, x, 0, -0.0);
        kernels->tanh(y, x, CHUNK);
        assert_true(signbit(support_get(kernels, y, 0)));
        for (size_t i = 0; i < CHUNK; i++) {
            double in = support_get(kernels, x, i), out = support_get(kernels, y, i);
            assert_true(fabs(out) <= 1);
            assert_int_equal(!!signbit(in), !!signbit(out));
        }
    }
}

/* Tails, and the promise that an array may be its own result. */
static void works_for_any_length_in_place(void **state)
{
    (void)state;
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *tables[BP_ISA_COUNT];
        size_t table_count = support_tables(tables, (bp_dtype)dtype);
        for (size_t t = 0; t < table_count; t++)
            for (size_t count = 0; count <= 70; count++) {
                size_t bytes = count * tables[t]->real_size;
                double x[80], whole[80];
                support_fill(tables[t], x, 80, 9, -3, 3);
                tables[t]->tanh(whole, x, 80);
                void *exact = malloc(bytes + 1); /* the sanitizer sees any access past the end */
                memcpy(exact, x, bytes);
                tables[t]->tanh(exact, exact, count);
                assert_memory_equal(exact, whole, bytes);
                free(exact);
            }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_accurate),
        cmocka_unit_test(sweeps_the_useful_floats),
        cmocka_unit_test(knows_the_edges),
        cmocka_unit_test(tanh_keeps_signs_and_bounds),
        cmocka_unit_test(works_for_any_length_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
