/* Scalar double functions that libm would compute differently on different processors: exact to
 * within 1 unit in the last place and the same bits everywhere. For schedules, initialisers and
 * random numbers; arrays go through the kernels. NaN gives NaN. Any thread. */
#ifndef BP_CORE_MATH_SCALAR_MATH_H
#define BP_CORE_MATH_SCALAR_MATH_H

#include <stdint.h>

/* The bits of the float64 kernels: bp_kernels.exp and bp_kernels.log. */
double bp_scalar_exp(double x);
double bp_scalar_log(double x);

/* x in radians, |x| ≤ 2^20: what a schedule needs. NaN beyond, rather than a wrong angle. */
double bp_scalar_cos(double x);

/* x to the n-th power by repeated squaring: relative error at most n units in the last place; n = 0
 * gives 1. */
double bp_scalar_power(double x, uint64_t n);

#endif
