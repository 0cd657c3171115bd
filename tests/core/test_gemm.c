/* The matrix product: bits against the definition, bounds against a referee BLAS. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#ifdef BP_HAVE_BLAS
#include <cblas.h>
#endif

#include "core/kernel/kernels.h"
#include "tests/core/support_parallel.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { LARGEST = 70, PAGE = 4096, CANARY_BYTES = 64 };

/* ---- numbers ---- */

static void set_number(bp_dtype dtype, void *array, size_t index, double value)
{
    if (dtype == BP_FLOAT32)
        ((float *)array)[index] = (float)value;
    else
        ((double *)array)[index] = value;
}

/* Numbers in [−1, 1), all bits of the mantissa in use. */
static void fill(bp_dtype dtype, void *array, size_t count, uint64_t seed)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        set_number(dtype, array, i, (double)(int64_t)(state ^ state >> 29) / 0x1p63);
    }
}

/* An array that ends where a page without access begins: any touch behind it is a crash. */
typedef struct guarded {
    void *data;
    void *map;
    size_t map_bytes;
} guarded;

static guarded guarded_new(size_t bytes, size_t alignment)
{
    const size_t pages = (bytes + alignment + PAGE - 1) / PAGE * PAGE;
    guarded array = {.map_bytes = pages + PAGE};
    array.map =
        mmap(NULL, array.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(array.map, MAP_FAILED);
    assert_int_equal(mprotect((char *)array.map + pages, PAGE, PROT_NONE), 0);
    array.data = (char *)array.map + (pages - bytes) / alignment * alignment;
    return array;
}

static void guarded_free(guarded *array)
{
    munmap(array->map, array->map_bytes);
}

/* ---- one problem, its definition and its run ---- */

typedef struct problem {
    size_t m, n, k;
    bool a_transposed, b_transposed, packed, accumulate, biased;
    const char *activation; /* or NULL */
    bool in_place;          /* activated is c */
    size_t padding;         /* between rows of every array */
} problem;

static size_t rows_bytes(bp_dtype dtype, size_t rows, size_t columns, size_t stride)
{
    return rows && columns ? ((rows - 1) * stride + columns) * bp_dtype_size(dtype) : 0;
}

/* C as the header defines it, one fused multiply-add after the other. */
static void define(bp_dtype dtype, const bp_gemm_call *call)
{
    for (size_t i = 0; i < call->m; i++)
        for (size_t j = 0; j < call->n; j++) {
            const size_t at = i * call->c_row_stride + j;
            const size_t a = i * call->a_row_stride, b = j * call->b_column_stride;
            if (dtype == BP_FLOAT32) {
                const float *left = (const float *)call->a + a, *right = (const float *)call->b + b;
                float *c = (float *)call->c + at, sum = call->accumulate ? *c : 0;
                for (size_t k = 0; k < call->k; k++)
                    sum = fmaf(left[k * call->a_column_stride], right[k * call->b_row_stride], sum);
                *c = call->bias ? sum + ((const float *)call->bias)[j] : sum;
            } else {
                const double *left = (const double *)call->a + a;
                const double *right = (const double *)call->b + b;
                double *c = (double *)call->c + at, sum = call->accumulate ? *c : 0;
                for (size_t k = 0; k < call->k; k++)
                    sum = fma(left[k * call->a_column_stride], right[k * call->b_row_stride], sum);
                *c = call->bias ? sum + ((const double *)call->bias)[j] : sum;
            }
        }
}

static const bp_activation *find_activation(const bp_kernels *kernels, const char *name)
{
    for (size_t i = 0; name && i < BP_ACTIVATION_COUNT; i++)
        if (!strcmp(kernels->activations[i]->member.name, name))
            return kernels->activations[i];
    return NULL;
}

/* Arrays of a problem, each ending at an inaccessible page, those of C's shape behind a canary. */
typedef struct arrays {
    guarded a, b, bias, c, expected, activated;
    size_t c_bytes;
    bp_gemm_call call;
} arrays;

static arrays arrays_new(bp_dtype dtype, const problem *p)
{
    const size_t a_stride = (p->a_transposed ? p->m : p->k) + p->padding;
    const size_t b_stride = (p->b_transposed ? p->k : p->n) + p->padding;
    const size_t c_stride = p->n + p->padding, real = bp_dtype_size(dtype);
    const size_t a_bytes = p->a_transposed ? rows_bytes(dtype, p->k, p->m, a_stride)
                                           : rows_bytes(dtype, p->m, p->k, a_stride);
    const size_t b_bytes = p->b_transposed ? rows_bytes(dtype, p->n, p->k, b_stride)
                                           : rows_bytes(dtype, p->k, p->n, b_stride);
    arrays x = {.c_bytes = rows_bytes(dtype, p->m, p->n, c_stride)};
    x.a = guarded_new(a_bytes, real);
    x.b = guarded_new(b_bytes, real);
    x.bias = guarded_new(p->n * real, real);
    x.c = guarded_new(x.c_bytes + CANARY_BYTES, real);
    x.activated = guarded_new(x.c_bytes + CANARY_BYTES, real);
    x.expected = guarded_new(x.c_bytes + CANARY_BYTES, real);
    /* The same numbers whichever way they lie. */
    for (size_t i = 0; i < p->m; i++)
        for (size_t k = 0; k < p->k; k++)
            fill(dtype,
                 (char *)x.a.data + (p->a_transposed ? k * a_stride + i : i * a_stride + k) * real,
                 1, 1 + i * 1000 + k);
    for (size_t k = 0; k < p->k; k++)
        for (size_t j = 0; j < p->n; j++)
            fill(dtype,
                 (char *)x.b.data + (p->b_transposed ? j * b_stride + k : k * b_stride + j) * real,
                 1, 7000000 + k * 2000 + j);
    fill(dtype, x.bias.data, p->n, 3);
    fill(dtype, x.c.data, (x.c_bytes + CANARY_BYTES) / real, 4);
    memcpy(x.expected.data, x.c.data, x.c_bytes + CANARY_BYTES);
    memcpy(x.activated.data, x.c.data, x.c_bytes + CANARY_BYTES);
    x.call = (bp_gemm_call){
        .m = p->m,
        .n = p->n,
        .k = p->k,
        .a = x.a.data,
        .a_row_stride = p->a_transposed ? 1 : a_stride,
        .a_column_stride = p->a_transposed ? a_stride : 1,
        .b = x.b.data,
        .b_row_stride = p->b_transposed ? 1 : b_stride,
        .b_column_stride = p->b_transposed ? b_stride : 1,
        .c = (char *)x.c.data + CANARY_BYTES,
        .c_row_stride = c_stride,
        .accumulate = p->accumulate,
        .bias = p->biased ? x.bias.data : NULL,
    };
    return x;
}

static void arrays_free(arrays *x)
{
    guarded_free(&x->a);
    guarded_free(&x->b);
    guarded_free(&x->bias);
    guarded_free(&x->c);
    guarded_free(&x->activated);
    guarded_free(&x->expected);
}

/* Runs the problem on one instruction set: C and f(C) must be the expected bytes, those between rows
 * and before the first included. */
static void expect_bits(const bp_kernels *kernels, const problem *p, arrays *x,
                        const bp_parallel *parallel)
{
    const size_t bytes = x->c_bytes + CANARY_BYTES;
    guarded c = guarded_new(bytes, kernels->real_size);
    guarded activated = guarded_new(bytes, kernels->real_size);
    fill(kernels->dtype, c.data, bytes / kernels->real_size, 4);
    memcpy(activated.data, c.data, bytes);
    bp_gemm_call call = x->call;
    call.c = (char *)c.data + CANARY_BYTES;
    call.parallel = parallel;
    guarded packed = {0};
    if (p->packed) {
        const size_t packed_bytes = kernels->gemm_packed_bytes(p->k, p->n);
        packed = guarded_new(packed_bytes, 64);
        kernels->gemm_pack(packed.data, call.b, call.b_row_stride, call.b_column_stride, p->k, p->n,
                           parallel);
        call.packed_b = packed.data;
        call.b = NULL;
    }
    call.activation = find_activation(kernels, p->activation);
    call.activated = !call.activation ? NULL
                     : p->in_place    ? call.c
                                      : (char *)activated.data + CANARY_BYTES;
    kernels->gemm(&call);
    const void *result = p->activation && p->in_place ? x->activated.data : x->expected.data;
    const bool same =
        !memcmp(c.data, result, bytes) &&
        (!p->activation || p->in_place || !memcmp(activated.data, x->activated.data, bytes));
    if (!same)
        fail_msg("%s %s: m %zu n %zu k %zu%s%s%s%s%s%s, padding %zu, %zu threads",
                 bp_isa_name(kernels->isa), bp_dtype_name(kernels->dtype), p->m, p->n, p->k,
                 p->a_transposed ? ", A transposed" : "", p->b_transposed ? ", B transposed" : "",
                 p->packed ? ", packed" : "", p->accumulate ? ", accumulated" : "",
                 p->biased ? ", bias" : "", p->activation ? ", activation" : "", p->padding,
                 parallel ? parallel->thread_count : 1);
    if (packed.map)
        guarded_free(&packed);
    guarded_free(&activated);
    guarded_free(&c);
}

/* Sets x.expected and, where the problem has an activation, x.activated: product, bias and function
 * one after the other, the function row by row. */
static void expect(bp_dtype dtype, const problem *p, arrays *x)
{
    bp_gemm_call call = x->call;
    call.c = (char *)x->expected.data + CANARY_BYTES;
    define(dtype, &call);
    const bp_kernels *kernels = bp_kernels_get(dtype, BP_ISA_BASELINE);
    const bp_activation *activation = find_activation(kernels, p->activation);
    for (size_t i = 0; activation && i < p->m; i++) {
        const size_t at = CANARY_BYTES + i * call.c_row_stride * kernels->real_size;
        activation->forward((char *)x->expected.data + at, (char *)x->activated.data + at, 1, p->n,
                            NULL);
    }
}

/* Every instruction set of this machine, B packed and not. */
static void check_problem(bp_dtype dtype, problem p, const bp_parallel *parallel)
{
    arrays x = arrays_new(dtype, &p);
    expect(dtype, &p, &x);
    for (int isa = 0; isa < BP_ISA_COUNT; isa++) {
        const bp_kernels *kernels = bp_kernels_get(dtype, (bp_isa)isa);
        if (!kernels)
            continue;
        p.packed = false;
        expect_bits(kernels, &p, &x, parallel);
        p.packed = true;
        expect_bits(kernels, &p, &x, parallel);
    }
    arrays_free(&x);
}

/* ---- tests ---- */

static void test_bits_are_those_of_the_definition(void **state)
{
    (void)state;
    static const size_t rows[] = {1, 2, 3, 4, 7, 12, 13, 25, 64};
    static const size_t columns[] = {1, 5, 8, 10, 16, 17, 31, 32, 33, 70, 130};
    static const size_t depths[] = {1, 2, 17, 64};
    size_t turn = 0;
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t j = 0; j < COUNT(columns); j++)
            for (size_t d = 0; d < COUNT(depths); d++, turn++)
                for (int way = 0; way < 4; way++) {
                    const problem p = {.m = rows[i],
                                       .n = columns[j],
                                       .k = depths[d],
                                       .a_transposed = way & 1,
                                       .b_transposed = way & 2,
                                       .accumulate = turn % 3 == 0,
                                       .biased = turn % 2,
                                       .padding = turn % 5 ? 0 : 3};
                    check_problem((turn + (size_t)way / 2) % 2 ? BP_FLOAT32 : BP_FLOAT64, p, NULL);
                }
}

/* Several blocks of k and of rows. */
static void test_bits_of_large_products(void **state)
{
    (void)state;
    static const size_t sizes[][3] = {
        {64, 40, 784},   {1, 300, 784},  {3, 200, 1100}, {5, 33, 1030},
        {200, 160, 300}, {150, 10, 520}, {40, 600, 70},
    };
    for (size_t i = 0; i < COUNT(sizes); i++)
        for (int way = 0; way < 4; way++) {
            const problem p = {.m = sizes[i][0],
                               .n = sizes[i][1],
                               .k = sizes[i][2],
                               .a_transposed = way & 1,
                               .b_transposed = way & 2,
                               .accumulate = i % 2,
                               .biased = way % 3 == 0,
                               .padding = i};
            check_problem(BP_FLOAT32, p, NULL);
            check_problem(BP_FLOAT64, p, NULL);
        }
}

static void test_empty_products(void **state)
{
    (void)state;
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++)
        for (int way = 0; way < 16; way++) {
            problem p = {.m = 20,
                         .n = 37,
                         .k = 0,
                         .a_transposed = way & 1,
                         .b_transposed = way & 2,
                         .accumulate = way & 4,
                         .biased = way & 8};
            check_problem((bp_dtype)dtype, p, NULL);
            p.m = 2;
            check_problem((bp_dtype)dtype, p, NULL);
            p.m = 0;
            p.k = 5;
            check_problem((bp_dtype)dtype, p, NULL);
            p.m = 5;
            p.n = 0;
            check_problem((bp_dtype)dtype, p, NULL);
        }
}

static void test_fused_steps_equal_separate_ones(void **state)
{
    (void)state;
    static const char *const names[] = {"relu", "tanh", "sigmoid", "identity"};
    static const size_t sizes[][3] = {
        {1, 300, 90}, {16, 8, 4}, {64, 10, 128}, {64, 100, 300}, {200, 150, 20}};
    for (size_t i = 0; i < COUNT(sizes); i++)
        for (size_t f = 0; f < COUNT(names); f++)
            for (int way = 0; way < 4; way++) {
                const problem p = {.m = sizes[i][0],
                                   .n = sizes[i][1],
                                   .k = sizes[i][2],
                                   .b_transposed = true,
                                   .biased = true,
                                   .activation = names[f],
                                   .in_place = way & 1,
                                   .padding = way & 2};
                check_problem(BP_FLOAT32, p, NULL);
                check_problem(BP_FLOAT64, p, NULL);
            }
}

/* 1, 2 and 4 threads on products that are really split. */
static void test_threads_do_not_change_bits(void **state)
{
    (void)state;
    static const size_t sizes[][3] = {
        {256, 300, 200}, {64, 256, 784}, {1000, 10, 128}, {2, 1024, 784}, {97, 515, 64},
    };
    for (size_t i = 0; i < COUNT(sizes); i++)
        for (int way = 0; way < 4; way++)
            for (size_t threads = 1; threads <= 4; threads *= 2) {
                support_pool *pool = support_pool_open(threads);
                const bp_parallel parallel = support_pool_parallel(pool);
                const bp_dtype dtype = way % 2 == (int)(i % 2) ? BP_FLOAT32 : BP_FLOAT64;
                problem p = {.m = sizes[i][0],
                             .n = sizes[i][1],
                             .k = sizes[i][2],
                             .a_transposed = way & 1,
                             .b_transposed = way & 2,
                             .biased = true,
                             .activation = "relu"};
                arrays x = arrays_new(dtype, &p);
                expect(dtype, &p, &x);
                for (int isa = BP_ISA_AVX2; isa < BP_ISA_COUNT; isa++) {
                    const bp_kernels *kernels = bp_kernels_get(dtype, (bp_isa)isa);
                    if (!kernels)
                        kernels = bp_kernels_get(dtype, BP_ISA_BASELINE);
                    const size_t before = support_pool_run_count(pool);
                    expect_bits(kernels, &p, &x, &parallel);
                    assert_int_equal(support_pool_run_count(pool) - before, threads > 1);
                    p.packed = true;
                    expect_bits(kernels, &p, &x, &parallel);
                    p.packed = false;
                }
                arrays_free(&x);
                support_pool_close(pool);
            }
}

static void test_small_products_stay_in_the_caller(void **state)
{
    (void)state;
    support_pool *pool = support_pool_open(4);
    const bp_parallel parallel = support_pool_parallel(pool);
    const problem p = {.m = 64, .n = 60, .k = 128, .b_transposed = true};
    check_problem(BP_FLOAT32, p, &parallel);
    assert_int_equal(support_pool_run_count(pool), 0);
    support_pool_close(pool);
}

/* A row's bits do not depend on the batch that it is in, nor on B being packed. */
static void test_a_row_alone_equals_the_row_in_a_batch(void **state)
{
    (void)state;
    static const size_t sizes[][2] = {{10, 128}, {128, 784}, {200, 60}, {33, 1000}};
    enum { BATCH = 64 };
    for (size_t i = 0; i < COUNT(sizes); i++)
        for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++)
            for (int isa = 0; isa < BP_ISA_COUNT; isa++) {
                const bp_kernels *kernels = bp_kernels_get((bp_dtype)dtype, (bp_isa)isa);
                if (!kernels)
                    continue;
                const problem p = {
                    .m = BATCH, .n = sizes[i][0], .k = sizes[i][1], .b_transposed = true};
                arrays x = arrays_new((bp_dtype)dtype, &p);
                kernels->gemm(&x.call);
                guarded packed = guarded_new(kernels->gemm_packed_bytes(p.k, p.n), 64);
                kernels->gemm_pack(packed.data, x.call.b, x.call.b_row_stride,
                                   x.call.b_column_stride, p.k, p.n, NULL);
                for (size_t row = 0; row < BATCH; row++) {
                    bp_gemm_call call = x.call;
                    call.m = 1;
                    call.a = (const char *)call.a + row * call.a_row_stride * kernels->real_size;
                    call.c = x.expected.data;
                    call.packed_b = row % 2 ? packed.data : NULL;
                    kernels->gemm(&call);
                    assert_memory_equal(
                        call.c, (char *)x.call.c + row * call.c_row_stride * kernels->real_size,
                        p.n * kernels->real_size);
                }
                guarded_free(&packed);
                arrays_free(&x);
            }
}

static void test_packed_bytes_do_not_depend_on_the_processor(void **state)
{
    (void)state;
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++)
        for (int isa = 0; isa < BP_ISA_COUNT; isa++) {
            const bp_kernels *kernels = bp_kernels_get((bp_dtype)dtype, (bp_isa)isa);
            if (!kernels)
                continue;
            assert_int_equal(kernels->gemm_packed_bytes(784, 128), 784 * 128 * kernels->real_size);
            assert_int_equal(kernels->gemm_packed_bytes(7, 1), 7 * 64);
            assert_int_equal(kernels->gemm_packed_bytes(1, 17),
                             kernels->real_size == 4 ? 128 : 192);
            assert_int_equal(kernels->gemm_packed_bytes(SIZE_MAX / 8, 17), 0);
            assert_int_equal(kernels->gemm_packed_bytes(1, SIZE_MAX), 0);
            assert_int_equal(kernels->gemm_packed_bytes(SIZE_MAX / 32, 16), 0);
        }
}

#ifdef BP_HAVE_BLAS

static void referee(bp_dtype dtype, int way, const bp_gemm_call *call, size_t stride)
{
    const enum CBLAS_TRANSPOSE left = way & 1 ? CblasTrans : CblasNoTrans;
    const enum CBLAS_TRANSPOSE right = way & 2 ? CblasTrans : CblasNoTrans;
    const int m = (int)call->m, n = (int)call->n, k = (int)call->k, from = (int)stride;
    if (dtype == BP_FLOAT32)
        cblas_sgemm(CblasRowMajor, left, right, m, n, k, 1, call->a, from, call->b, from, 0,
                    call->c, from);
    else
        cblas_dgemm(CblasRowMajor, left, right, m, n, k, 1, call->a, from, call->b, from, 0,
                    call->c, from);
}

/* Elements of C that are not within `bound` of the referee's; rows LARGEST apart. */
static size_t count_outside(bp_dtype dtype, const void *c, const void *other, size_t m, size_t n,
                            double bound)
{
    size_t outside = 0;
    for (size_t i = 0; i < m; i++)
        if (dtype == BP_FLOAT32) {
            const float *x = (const float *)c + i * LARGEST,
                        *y = (const float *)other + i * LARGEST;
            for (size_t j = 0; j < n; j++)
                outside += !(fabsf(x[j] - y[j]) <= (float)bound);
        } else {
            const double *x = (const double *)c + i * LARGEST;
            const double *y = (const double *)other + i * LARGEST;
            for (size_t j = 0; j < n; j++)
                outside += !(fabs(x[j] - y[j]) <= bound);
        }
    return outside;
}

/* All four ways for A and B to lie; under a sanitizer, five times slower, one for each size. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { WAY_STEP = 4 };
static int first_way(size_t turn)
{
    return (int)(turn % 4);
}
#else
enum { WAY_STEP = 1 };
static int first_way(size_t turn)
{
    (void)turn;
    return 0;
}
#endif

/* Every m, n and k from 1 to LARGEST on this machine's best instruction set. |a|, |b| ≤ 1, so that
 * two sums of k products, each rounded k times, differ by at most 2·k·k·ε/2. */
static void check_every_size(bp_dtype dtype)
{
    static double a[LARGEST * LARGEST], b[LARGEST * LARGEST];
    static double c[LARGEST * LARGEST], expected[LARGEST * LARGEST];
    const bp_kernels *kernels = bp_kernels_get(dtype, bp_isa_detect());
    const double epsilon = dtype == BP_FLOAT32 ? (double)FLT_EPSILON : DBL_EPSILON;
    openblas_set_num_threads(1);
    fill(dtype, a, COUNT(a), 1);
    fill(dtype, b, COUNT(b), 2);
    for (size_t m = 1; m <= LARGEST; m++)
        for (size_t n = 1; n <= LARGEST; n++)
            for (size_t k = 1; k <= LARGEST; k++)
                for (int way = first_way(m + n + k); way < 4; way += WAY_STEP) {
                    bp_gemm_call call = {.m = m,
                                         .n = n,
                                         .k = k,
                                         .a = a,
                                         .a_row_stride = way & 1 ? 1 : LARGEST,
                                         .a_column_stride = way & 1 ? LARGEST : 1,
                                         .b = b,
                                         .b_row_stride = way & 2 ? 1 : LARGEST,
                                         .b_column_stride = way & 2 ? LARGEST : 1,
                                         .c = c,
                                         .c_row_stride = LARGEST};
                    kernels->gemm(&call);
                    call.c = expected;
                    referee(dtype, way, &call, LARGEST);
                    const size_t outside =
                        count_outside(dtype, c, expected, m, n, (double)(k * k) * epsilon);
                    if (outside)
                        fail_msg("%s m %zu n %zu k %zu, A %d, B %d: %zu elements are off",
                                 bp_dtype_name(dtype), m, n, k, way & 1, way >> 1, outside);
                }
}

#endif

static void test_every_size_float32_agrees_with_the_referee(void **state)
{
    (void)state;
#ifdef BP_HAVE_BLAS
    check_every_size(BP_FLOAT32);
#else
    print_message("SKIPPED: built without OpenBLAS, the referee\n");
    skip();
#endif
}

static void test_every_size_float64_agrees_with_the_referee(void **state)
{
    (void)state;
#ifdef BP_HAVE_BLAS
    check_every_size(BP_FLOAT64);
#else
    print_message("SKIPPED: built without OpenBLAS, the referee\n");
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits_are_those_of_the_definition),
        cmocka_unit_test(test_bits_of_large_products),
        cmocka_unit_test(test_empty_products),
        cmocka_unit_test(test_fused_steps_equal_separate_ones),
        cmocka_unit_test(test_threads_do_not_change_bits),
        cmocka_unit_test(test_small_products_stay_in_the_caller),
        cmocka_unit_test(test_a_row_alone_equals_the_row_in_a_batch),
        cmocka_unit_test(test_packed_bytes_do_not_depend_on_the_processor),
        cmocka_unit_test(test_every_size_float32_agrees_with_the_referee),
        cmocka_unit_test(test_every_size_float64_agrees_with_the_referee),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
