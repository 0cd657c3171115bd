/* Speed of the matrix product on one core: billions of arithmetic operations a second, the share of
 * the core's multiply-add peak measured just before, and the referee BLAS just after. Machines are
 * noisy, so rounds of all shapes follow each other and medians over the rounds are printed.
 *
 * bench_gemm [rounds [float32|float64 [baseline|avx2|avx512]]] */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/multiply_add_peak.h"

#ifdef BP_HAVE_BLAS
#include <cblas.h>
#endif

enum { ROUND_LIMIT = 101 };

typedef struct bench_shape {
    const char *name;
    size_t m, n, k;
    bool a_transposed, b_transposed;
    bool fused;  /* bias and ReLU, as a layer does it */
    bool packed; /* B packed beforehand */
} bench_shape;

static const bench_shape shapes[] = {
    {"64^3", 64, 64, 64, false, false, false, false},
    {"256^3", 256, 256, 256, false, false, false, false},
    {"1024^3", 1024, 1024, 1024, false, false, false, false},
    {"layer 64x784 256, pack inside", 64, 256, 784, false, true, true, false},
    {"layer 64x784 256, packed", 64, 256, 784, false, true, true, true},
    {"its weight gradient", 256, 784, 64, true, false, false, false},
    {"its input gradient", 64, 784, 256, false, false, false, false},
    {"layer 64x784 128, pack inside", 64, 128, 784, false, true, true, false},
    {"layer 64x784 128, packed", 64, 128, 784, false, true, true, true},
    {"layer 64x1024 1024, pack inside", 64, 1024, 1024, false, true, true, false},
    {"layer 64x1024 1024, packed", 64, 1024, 1024, false, true, true, true},
    {"its weight gradient", 1024, 1024, 64, true, false, false, false},
    {"layer 64x128 10, pack inside", 64, 10, 128, false, true, true, false},
    {"layer 64x128 10, packed", 64, 10, 128, false, true, true, true},
    {"its weight gradient", 10, 128, 64, true, false, false, false},
    {"its input gradient", 64, 128, 10, false, false, false, false},
    {"layer 64x20 8, pack inside", 64, 8, 20, false, true, true, false},
    {"layer 64x20 8, packed", 64, 8, 20, false, true, true, true},
    {"layer 16x4 8, pack inside", 16, 8, 4, false, true, true, false},
    {"layer 16x4 8, packed", 16, 8, 4, false, true, true, true},
    {"one row 784 128, pack inside", 1, 128, 784, false, true, true, false},
    {"one row 784 128, packed", 1, 128, 784, false, true, true, true},
};
enum { SHAPE_COUNT = sizeof shapes / sizeof *shapes };

typedef struct bench_result {
    double own, share, blas, ratio;
} bench_result;

static void *numbers(bp_dtype dtype, size_t count)
{
    void *data = aligned_alloc(64, (count * bp_dtype_size(dtype) + 127) / 64 * 64);
    if (!data)
        abort();
    for (size_t i = 0; i < count; i++) {
        const double value = (double)(i * 2654435761u % 1000) / 1000 - 0.5;
        if (dtype == BP_FLOAT32)
            ((float *)data)[i] = (float)value;
        else
            ((double *)data)[i] = value;
    }
    return data;
}

typedef struct bench_case {
    const bp_kernels *kernels;
    bench_shape shape;
    bp_gemm_call call;
} bench_case;

static void run_own(const bench_case *bench)
{
    bench->kernels->gemm(&bench->call);
}

static void run_blas(const bench_case *bench)
{
#ifdef BP_HAVE_BLAS
    const bp_gemm_call *call = &bench->call;
    const bench_shape *shape = &bench->shape;
    const enum CBLAS_TRANSPOSE left = shape->a_transposed ? CblasTrans : CblasNoTrans;
    const enum CBLAS_TRANSPOSE right = shape->b_transposed ? CblasTrans : CblasNoTrans;
    const int m = (int)shape->m, n = (int)shape->n, k = (int)shape->k;
    const int a_stride = shape->a_transposed ? m : k, b_stride = shape->b_transposed ? k : n;
    if (bench->kernels->dtype == BP_FLOAT32)
        cblas_sgemm(CblasRowMajor, left, right, m, n, k, 1, call->a, a_stride, call->b, b_stride, 0,
                    call->c, n);
    else
        cblas_dgemm(CblasRowMajor, left, right, m, n, k, 1, call->a, a_stride, call->b, b_stride, 0,
                    call->c, n);
#else
    (void)bench;
#endif
}

/* Operations a second over about a millisecond. */
static double rate_of(void (*run)(const bench_case *), const bench_case *bench)
{
    const double work =
        2.0 * (double)bench->shape.m * (double)bench->shape.n * (double)bench->shape.k;
    const size_t repeats = (size_t)(1.5e8 / work) + 1;
    run(bench);
    const double start = bench_thread_seconds();
    for (size_t i = 0; i < repeats; i++)
        run(bench);
    return work * (double)repeats / (bench_thread_seconds() - start);
}

static bench_result measure(const bp_kernels *kernels, const bench_shape *shape)
{
    const size_t m = shape->m, n = shape->n, k = shape->k;
    const bp_dtype dtype = kernels->dtype;
    void *a = numbers(dtype, m * k), *b = numbers(dtype, k * n), *c = numbers(dtype, m * n);
    void *activated = numbers(dtype, m * n), *bias = numbers(dtype, n);
    void *packed = aligned_alloc(64, (kernels->gemm_packed_bytes(k, n) + 63) / 64 * 64);
    if (!packed)
        abort();
    const size_t b_row_stride = shape->b_transposed ? 1 : n;
    const size_t b_column_stride = shape->b_transposed ? k : 1;
    kernels->gemm_pack(packed, b, b_row_stride, b_column_stride, k, n, NULL);
    const bench_case bench = {
        .kernels = kernels,
        .shape = *shape,
        .call = {.m = m,
                 .n = n,
                 .k = k,
                 .a = a,
                 .a_row_stride = shape->a_transposed ? 1 : k,
                 .a_column_stride = shape->a_transposed ? m : 1,
                 .b = b,
                 .b_row_stride = b_row_stride,
                 .b_column_stride = b_column_stride,
                 .packed_b = shape->packed ? packed : NULL,
                 .c = c,
                 .c_row_stride = n,
                 .bias = shape->fused ? bias : NULL,
                 .activation = shape->fused ? kernels->activations[BP_ACTIVATION_relu] : NULL,
                 .activated = shape->fused ? activated : NULL},
    };
    const double peak = bench_float32_peak(kernels->isa) / (dtype == BP_FLOAT32 ? 1 : 2);
    bench_result result = {.own = rate_of(run_own, &bench)};
    result.share = peak > 0 ? result.own / peak : 0;
#ifdef BP_HAVE_BLAS
    result.blas = rate_of(run_blas, &bench);
    result.ratio = result.own / result.blas;
#else
    (void)run_blas;
#endif
    free(packed);
    free(bias);
    free(activated);
    free(c);
    free(b);
    free(a);
    return result;
}

static int ascending(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, ascending);
    return values[count / 2];
}

int main(int argc, char **argv)
{
    /* Both halve the referee, which reads them before main. */
    if (getenv("OPENBLAS_CORETYPE") || getenv("OPENBLAS_L2_SIZE")) {
        unsetenv("OPENBLAS_CORETYPE");
        unsetenv("OPENBLAS_L2_SIZE");
        execv("/proc/self/exe", argv);
    }
    const long asked = argc > 1 ? strtol(argv[1], NULL, 10) : 11;
    const size_t rounds = asked < 1 ? 1 : asked > ROUND_LIMIT ? ROUND_LIMIT : (size_t)asked;
    const bp_dtype dtype = argc > 2 && !strcmp(argv[2], "float64") ? BP_FLOAT64 : BP_FLOAT32;
    bp_isa isa = bp_isa_detect();
    for (int candidate = 0; argc > 3 && candidate < BP_ISA_COUNT; candidate++)
        if (!strcmp(argv[3], bp_isa_name((bp_isa)candidate)))
            isa = (bp_isa)candidate;
    const bp_kernels *kernels = bp_kernels_get(dtype, isa);
    if (!kernels) {
        fprintf(stderr, "bench_gemm: no %s kernels here\n", bp_isa_name(isa));
        return 1;
    }
    bp_kernels_thread_start();
#ifdef BP_HAVE_BLAS
    openblas_set_num_threads(1);
#endif

    static bench_result results[SHAPE_COUNT][ROUND_LIMIT];
    static double peaks[ROUND_LIMIT];
    for (size_t round = 0; round < rounds; round++) {
        peaks[round] = bench_float32_peak(isa) / (dtype == BP_FLOAT32 ? 1 : 2);
        for (size_t i = 0; i < SHAPE_COUNT; i++)
            results[i][round] = measure(kernels, &shapes[i]);
    }

    printf("%s, %s, one thread, medians of %zu rounds; multiply-add peak %.1f GFLOP/s\n",
           bp_dtype_name(dtype), bp_isa_name(isa), rounds, median(peaks, rounds) / 1e9);
    printf("%-34s %10s %8s %10s %8s\n", "product", "GFLOP/s", "of peak", "OpenBLAS", "ratio");
    for (size_t i = 0; i < SHAPE_COUNT; i++) {
        double column[4][ROUND_LIMIT];
        for (size_t round = 0; round < rounds; round++) {
            column[0][round] = results[i][round].own / 1e9;
            column[1][round] = results[i][round].share * 100;
            column[2][round] = results[i][round].blas / 1e9;
            column[3][round] = results[i][round].ratio;
        }
        printf("%-34s %10.1f %7.1f%% %10.1f %8.2f\n", shapes[i].name, median(column[0], rounds),
               median(column[1], rounds), median(column[2], rounds), median(column[3], rounds));
    }
    return 0;
}
