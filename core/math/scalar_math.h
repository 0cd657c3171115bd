/* Scalar double functions that libm would compute differently on different processors: exact to
 * within 1 unit in the last place and the same bits everywhere. For schedules, initialisers and
 * random numbers; arrays go through the kernels. */
#ifndef BP_CORE_MATH_SCALAR_MATH_H
#define BP_CORE_MATH_SCALAR_MATH_H

double bp_exp(double x);
double bp_log(double x);
double bp_cos(double x);

#endif
