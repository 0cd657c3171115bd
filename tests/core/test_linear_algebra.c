/* The triangle of streamed rows and its singular value decomposition: against the definition, and
 * against matrices whose values are known. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/linear_algebra/jacobi_svd.h"
#include "core/linear_algebra/qr_fold.h"
#include "tests/core/support_network.h"

static double *numbers(size_t count)
{
    double *array = calloc(count > 0 ? count : 1, sizeof *array);
    assert_non_null(array);
    return array;
}

/* R of a (rows, width) in blocks of `block` rows. */
static double *triangle(const double *a, size_t rows, size_t width, size_t block, bp_isa isa)
{
    const bp_kernels *kernels = bp_kernels_get(BP_FLOAT64, isa);
    size_t scratch_count;
    assert_true(bp_qr_scratch_count(&scratch_count, width));
    double *r = numbers(width * width), *copy = numbers(rows * width);
    double *scratch = numbers(scratch_count);
    memcpy(copy, a, rows * width * sizeof *a);
    for (size_t first = 0; first < rows; first += block)
        bp_qr_fold(r, width, copy + first * width, rows - first < block ? rows - first : block,
                   scratch, kernels);
    free(copy);
    free(scratch);
    return r;
}

static double largest_of(const double *a, size_t count)
{
    double largest = 0;
    for (size_t i = 0; i < count; i++)
        largest = fabs(a[i]) > largest ? fabs(a[i]) : largest;
    return largest;
}

/* A's Gram matrix against R's, the triangle below the diagonal untouched. */
static void check_triangle(const double *a, size_t rows, size_t width, size_t block)
{
    double *r = triangle(a, rows, width, block, bp_isa_detect());
    const double largest = largest_of(a, rows * width);
    for (size_t i = 0; i < width; i++)
        for (size_t j = 0; j < width; j++) {
            long double wanted = 0, got = 0;
            for (size_t k = 0; k < rows; k++)
                wanted += (long double)a[k * width + i] * a[k * width + j];
            for (size_t k = 0; k < width; k++)
                got += (long double)r[k * width + i] * r[k * width + j];
            assert_true(fabsl(wanted - got) <= 1e-13L * (long double)rows * largest * largest);
            if (j < i)
                assert_true(r[i * width + j] == 0);
        }
    free(r);
}

static void test_triangle(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {{1, 1, 1},    {5, 1, 2},     {3, 7, 2},     {40, 33, 7},
                                       {70, 65, 70}, {200, 97, 64}, {20, 100, 20}, {500, 31, 256}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const size_t rows = shapes[s][0], width = shapes[s][1];
        double *a = numbers(rows * width);
        support_values(a, BP_FLOAT64, rows * width, s);
        check_triangle(a, rows, width, shapes[s][2]);
        for (size_t i = 0; i < rows; i++) { /* a constant, a repeated and a huge column */
            a[i * width] = 0;
            if (width > 3) {
                a[i * width + 2] = a[i * width + 1];
                a[i * width + 3] *= 1e3;
            }
        }
        check_triangle(a, rows, width, shapes[s][2]);
        free(a);
    }
}

static void test_bits_of_triangle(void **state)
{
    (void)state;
    enum { ROWS = 150, WIDTH = 70 };
    double *a = numbers((size_t)ROWS * WIDTH);
    support_values(a, BP_FLOAT64, (size_t)ROWS * WIDTH, 7);
    double *wanted = triangle(a, ROWS, WIDTH, 64, BP_ISA_BASELINE);
    for (bp_isa isa = BP_ISA_AVX2; isa <= bp_isa_detect(); isa++) {
        double *got = triangle(a, ROWS, WIDTH, 64, isa);
        assert_memory_equal(got, wanted, sizeof *got * WIDTH * WIDTH);
        free(got);
    }
    free(wanted);
    free(a);
}

/* A = U S Vᵀ, V orthonormal, U = A V / S orthonormal where s > 0, order and sign. */
static void check_svd(const double *a, size_t rows, size_t width, size_t rank)
{
    double *v = triangle(a, rows, width, 64, bp_isa_detect()), *s = numbers(width);
    bp_error error = {.status = BP_OK};
    if (bp_jacobi_svd(s, v, width, NULL, &error) != BP_OK)
        fail_msg("%s", error.message);
    const double bound = 1e-12;
    double *u = numbers(rows * width); /* A V: the columns are s u */
    for (size_t i = 0; i < rows; i++)
        for (size_t c = 0; c < width; c++)
            for (size_t j = 0; j < width; j++)
                u[i * width + c] += a[i * width + j] * v[c * width + j];
    for (size_t c = 0; c < width; c++) {
        const double *row = v + c * width;
        double component = 0;
        for (size_t j = 0; j < width; j++)
            component = fabs(row[j]) > fabs(component) ? row[j] : component;
        assert_true(component > 0);
        assert_true(s[c] >= 0 && (c == 0 || s[c] <= s[c - 1]));
        assert_true(c < rank ? s[c] > bound * s[0] : s[c] <= bound * s[0]);
        for (size_t other = 0; other <= c; other++) {
            double vv = 0, uu = 0;
            for (size_t j = 0; j < width; j++)
                vv += row[j] * v[other * width + j];
            for (size_t i = 0; i < rows; i++)
                uu += u[i * width + c] * u[i * width + other];
            assert_true(fabs(vv - (c == other)) <= bound);
            if (c < rank)
                assert_true(fabs(uu - (c == other ? s[c] * s[c] : 0)) <= bound * s[0] * s[0]);
        }
    }
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < width; j++) {
            double sum = 0; /* (A V) Vᵀ, of the rank's components alone */
            for (size_t c = 0; c < rank; c++)
                sum += u[i * width + c] * v[c * width + j];
            assert_true(fabs(sum - a[i * width + j]) <= bound * s[0]);
        }
    free(u);
    free(v);
    free(s);
}

static void test_decomposition(void **state)
{
    (void)state;
    static const size_t shapes[][2] = {{1, 1}, {6, 1}, {9, 4}, {4, 9}, {100, 40}, {30, 75}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const size_t rows = shapes[s][0], width = shapes[s][1];
        const size_t full = rows < width ? rows : width;
        double *a = numbers(rows * width);
        support_values(a, BP_FLOAT64, rows * width, 10 + s);
        check_svd(a, rows, width, full);
        for (size_t i = 0; i < rows; i++) /* graded columns, over 24 powers of two */
            for (size_t j = 0; j < width; j++)
                a[i * width + j] = ldexp(a[i * width + j], -(int)(24 * j / width));
        check_svd(a, rows, width, full);
        memset(a, 0, sizeof *a * rows * width);
        check_svd(a, rows, width, 0);
        for (size_t i = 0; i < rows; i++) /* the first row and its multiples */
            for (size_t j = 0; j < width; j++)
                a[i * width + j] = (double)(i + 1) * (double)(j + 2);
        check_svd(a, rows, width, 1);
        free(a);
    }
}

/* Constant features and repeated ones: an exact null space. */
static void test_deficient(void **state)
{
    (void)state;
    enum { ROWS = 60, WIDTH = 24 };
    double *a = numbers((size_t)ROWS * WIDTH);
    support_values(a, BP_FLOAT64, (size_t)ROWS * WIDTH, 5);
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < WIDTH; j++)
            if (j % 3 == 0)
                a[i * WIDTH + j] = 0; /* 8 of them */
            else if (j % 6 == 1)
                a[i * WIDTH + j] = -2 * a[i * WIDTH + j + 1]; /* 4 */
    check_svd(a, ROWS, WIDTH, 12);
    free(a);
}

static void test_by_hand(void **state)
{
    (void)state;
    /* [[4, 0], [3, −5]]: AᵀA = [[25, −15], [−15, 25]], values √40 and √10, vectors (±1, ∓1)/√2. */
    double a[4] = {4, 0, 3, -5}, s[2];
    assert_int_equal(bp_jacobi_svd(s, a, 2, NULL, NULL), BP_OK);
    assert_true(fabs(s[0] - sqrt(40)) < 1e-14 && fabs(s[1] - sqrt(10)) < 1e-14);
    for (size_t i = 0; i < 4; i++)
        assert_true(fabs(fabs(a[i]) - sqrt(0.5)) < 1e-15);
    assert_true(a[0] * a[1] < 0 && a[2] * a[3] > 0);

    /* Sizes far from 1 neither overflow nor vanish. */
    static const double sizes[] = {1e300, 1e-300};
    for (size_t i = 0; i < 2; i++) {
        double b[4] = {3 * sizes[i], 0, 4 * sizes[i], 0};
        assert_int_equal(bp_jacobi_svd(s, b, 2, NULL, NULL), BP_OK);
        assert_true(fabs(s[0] / (5 * sizes[i]) - 1) < 1e-15 && s[1] == 0);
        assert_true(b[0] == 1 && b[1] == 0 && b[2] == 0 && b[3] == 1);
    }
    double bad[4] = {1, 2, INFINITY, 4};
    assert_int_equal(bp_jacobi_svd(s, bad, 2, NULL, NULL), BP_NOT_FINITE);
}

static bp_status give_up(void *context, bp_error *error)
{
    size_t *asked = context;
    return ++*asked < 3 ? BP_OK : bp_error_set(error, BP_CANCELLED, NULL, "enough");
}

static void test_patience(void **state)
{
    (void)state;
    double a[64], s[8];
    size_t asked = 0;
    const bp_patience patience = {give_up, &asked};
    support_values(a, BP_FLOAT64, 64, 1);
    assert_int_equal(bp_jacobi_svd(s, a, 8, &patience, NULL), BP_CANCELLED);
    assert_int_equal(asked, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_triangle),      cmocka_unit_test(test_bits_of_triangle),
        cmocka_unit_test(test_decomposition), cmocka_unit_test(test_deficient),
        cmocka_unit_test(test_by_hand),       cmocka_unit_test(test_patience),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
