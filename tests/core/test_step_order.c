/* A step in its order (gradient of the loss, regularisers, clipping, optimiser, decay, projection)
 * against the same written down plainly, with matrices that fill more than one block. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/initializer/initializer.h"
#include "core/schedule/schedule.h"
#include "tests/core/support_network.h"

enum { ROWS = 8, IN = 150, HIDDEN = 120, OUT = 2, STEPS = 100 };

typedef struct plain { /* IN-HIDDEN-OUT, tanh, squared error */
    double w0[HIDDEN][IN], b0[HIDDEN], w1[OUT][HIDDEN], b1[OUT];
} plain;

enum { NUMBERS = sizeof(plain) / sizeof(double) };

/* What one case asks for; 0: not. */
typedef struct wanted {
    double l2, l1, frobenius, max_norm, clip_norm;
    bool fan_in_scaled, adam;
    double weight_decay;
} wanted;

static void load(plain *out, bp_network *network)
{
    memcpy(out->w0, bp_network_tensor(network, 0).data, sizeof out->w0);
    memcpy(out->b0, bp_network_tensor(network, 1).data, sizeof out->b0);
    memcpy(out->w1, bp_network_tensor(network, 2).data, sizeof out->w1);
    memcpy(out->b1, bp_network_tensor(network, 3).data, sizeof out->b1);
}

static double data_gradient(plain *g, const plain *p, const double *x, const double *t)
{
    double loss = 0;
    memset(g, 0, sizeof *g);
    for (size_t r = 0; r < ROWS; r++, x += IN, t += OUT) {
        double a[HIDDEN], below[HIDDEN] = {0};
        for (size_t i = 0; i < HIDDEN; i++) {
            a[i] = p->b0[i];
            for (size_t j = 0; j < IN; j++)
                a[i] += p->w0[i][j] * x[j];
            a[i] = tanh(a[i]);
        }
        for (size_t k = 0; k < OUT; k++) {
            double y = p->b1[k];
            for (size_t i = 0; i < HIDDEN; i++)
                y += p->w1[k][i] * a[i];
            loss += (y - t[k]) * (y - t[k]) / (OUT * ROWS);
            const double delta = 2 * (y - t[k]) / (OUT * ROWS);
            g->b1[k] += delta;
            for (size_t i = 0; i < HIDDEN; i++) {
                g->w1[k][i] += delta * a[i];
                below[i] += delta * p->w1[k][i];
            }
        }
        for (size_t i = 0; i < HIDDEN; i++) {
            const double delta = below[i] * (1 - a[i] * a[i]);
            g->b0[i] += delta;
            for (size_t j = 0; j < IN; j++)
                g->w0[i][j] += delta * x[j];
        }
    }
    return loss;
}

static double length(const double *x, size_t count)
{
    double squares = 0;
    for (size_t i = 0; i < count; i++)
        squares += x[i] * x[i];
    return sqrt(squares);
}

/* Adds to a weight matrix's gradient; returns its penalty. */
static double regularize(double *g, const double *w, size_t count, const wanted *c)
{
    const double norm = length(w, count);
    double penalty = c->l2 * norm * norm + c->frobenius * norm;
    for (size_t i = 0; i < count; i++) {
        penalty += c->l1 * fabs(w[i]);
        g[i] += 2 * c->l2 * w[i] + c->l1 * ((w[i] > 0) - (w[i] < 0));
        g[i] += norm > 0 ? c->frobenius * w[i] / norm : 0;
    }
    return penalty;
}

static const double alpha = 0.02, mu = 0.9, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;

static void optimize(double *w, const double *g, double *m, double *v, size_t count, double rate,
                     double decay, double n, bool adam)
{
    for (size_t i = 0; i < count; i++) {
        if (!adam) {
            m[i] = mu * m[i] - rate * g[i];
            w[i] += m[i];
            continue;
        }
        m[i] = beta1 * m[i] + (1 - beta1) * g[i];
        v[i] = beta2 * v[i] + (1 - beta2) * g[i] * g[i];
        w[i] -= rate * (m[i] / (1 - pow(beta1, n))) / (sqrt(v[i] / (1 - pow(beta2, n))) + epsilon);
        w[i] -= rate * decay * w[i];
    }
}

/* Returns how many rows were too long. */
static size_t project(double *w, size_t rows, size_t columns, double limit)
{
    size_t longer = 0;
    for (size_t i = 0; i < rows && limit > 0; i++) {
        const double norm = length(w + i * columns, columns);
        longer += norm > limit;
        for (size_t j = 0; j < columns && norm > limit; j++)
            w[i * columns + j] *= limit / norm;
    }
    return longer;
}

static void assert_near(double a, double b)
{
    if (!(fabs(a - b) <= 1e-12 * (fabs(b) > 1 ? fabs(b) : 1)))
        fail_msg("%.17g is not %.17g", a, b);
}

static double moved(const double *after, const double *before, size_t count)
{
    double squares = 0;
    for (size_t i = 0; i < count; i++)
        squares += (after[i] - before[i]) * (after[i] - before[i]);
    return sqrt(squares) / length(before, count);
}

static void add(bp_training_spec *spec, const char *name, double value)
{
    if (value > 0)
        spec->regularizers[spec->regularizer_count++] =
            support_choice_of(&bp_regularizer_family, name, value);
}

/* Places of adam's hyperparameters. */
enum { WEIGHT_DECAY = 5 };

static void check(const wanted *c)
{
    static double x[ROWS * IN], t[ROWS * OUT];
    static plain p, q, g, m, v, before;
    support_values(x, BP_FLOAT64, ROWS * IN, 1);
    support_values(t, BP_FLOAT64, ROWS * OUT, 2);
    const bp_examples examples = {.row_count = ROWS, .features = x, .value = t};
    const bp_layer_spec layers[] = {support_dense(HIDDEN, "tanh"), support_dense(OUT, "identity")};
    bp_training_spec spec = {
        .network = support_network_spec(layers, 2, IN, ROWS, "mean_squared_error"),
        .optimizer = support_choice_of(&bp_optimizer_family, c->adam ? "adam" : "momentum", alpha),
        .schedule = support_choice(&bp_schedule_family, "constant"),
        .clip_norm = c->clip_norm,
        .epochs = STEPS,
        .batch_size = ROWS};
    spec.schedule.value[BP_SCHEDULE_FAN_IN_SCALED] = c->fan_in_scaled;
    if (c->adam)
        spec.optimizer.value[WEIGHT_DECAY] = c->weight_decay;
    add(&spec, "max_norm", c->max_norm);
    add(&spec, "l2", c->l2);
    add(&spec, "l1", c->l1);
    add(&spec, "frobenius", c->frobenius);
    bp_trainer *trainer = NULL;
    assert_int_equal(bp_trainer_create(&trainer, &spec, &examples, NULL, NULL), BP_OK);
    load(&p, bp_trainer_network(trainer));
    memset(&m, 0, sizeof m);
    memset(&v, 0, sizeof v);
    size_t clipped = 0, projected = 0;
    for (size_t step = 0; step < STEPS; step++) {
        const double loss = data_gradient(&g, &p, x, t);
        const double penalty = regularize(g.w0[0], p.w0[0], HIDDEN * IN, c) +
                               regularize(g.w1[0], p.w1[0], OUT * HIDDEN, c);
        const double norm = length((double *)&g, NUMBERS);
        if (c->clip_norm > 0 && norm > c->clip_norm) {
            clipped++;
            for (size_t i = 0; i < NUMBERS; i++)
                ((double *)&g)[i] *= c->clip_norm / norm;
        }
        before = p;
        const double rate0 = c->fan_in_scaled ? alpha / sqrt(IN) : alpha;
        const double rate1 = c->fan_in_scaled ? alpha / sqrt(HIDDEN) : alpha;
        const double n = (double)step + 1, decay = c->weight_decay;
        optimize(p.w0[0], g.w0[0], m.w0[0], v.w0[0], HIDDEN * IN, rate0, decay, n, c->adam);
        optimize(p.b0, g.b0, m.b0, v.b0, HIDDEN, alpha, 0, n, c->adam);
        optimize(p.w1[0], g.w1[0], m.w1[0], v.w1[0], OUT * HIDDEN, rate1, decay, n, c->adam);
        optimize(p.b1, g.b1, m.b1, v.b1, OUT, alpha, 0, n, c->adam);
        const double ratio0 = moved(p.w0[0], before.w0[0], HIDDEN * IN);
        const double ratio1 = moved(p.w1[0], before.w1[0], OUT * HIDDEN);
        projected += project(p.w0[0], HIDDEN, IN, c->max_norm);
        projected += project(p.w1[0], OUT, HIDDEN, c->max_norm);

        bp_step_report report;
        const bool measure = step % 2 == 0;
        assert_int_equal(bp_trainer_step(&report, trainer, measure, NULL), BP_OK);
        assert_near(report.loss, loss); /* of the data alone */
        if (measure) {
            assert_near(report.penalty, penalty);
            assert_near(report.gradient_norm, norm);
            assert_near(bp_trainer_diagnosis(trainer)[0].update_ratio, ratio0);
            assert_near(bp_trainer_diagnosis(trainer)[1].update_ratio, ratio1);
        } else
            assert_true(isnan(report.penalty));
        load(&q, bp_trainer_network(trainer));
        for (size_t i = 0; i < NUMBERS; i++)
            assert_near(((double *)&q)[i], ((double *)&p)[i]);
    }
    assert_true(c->clip_norm == 0 || clipped > 0);
    assert_true(c->max_norm == 0 || projected > STEPS);
    bp_trainer_free(trainer);
}

static void test_each(void **state)
{
    (void)state;
    const wanted cases[] = {{.l2 = 0.01},
                            {.l1 = 0.001},
                            {.frobenius = 0.1},
                            {.max_norm = 0.9},
                            {.clip_norm = 0.3},
                            {.fan_in_scaled = true},
                            {.adam = true, .weight_decay = 0.5}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(&cases[i]);
}

static void test_all_together(void **state)
{
    (void)state;
    for (int adam = 0; adam < 2; adam++)
        check(&(wanted){.l2 = 0.01,
                        .l1 = 0.001,
                        .frobenius = 0.1,
                        .max_norm = 0.9,
                        .clip_norm = 0.3,
                        .fan_in_scaled = true,
                        .adam = adam,
                        .weight_decay = 0.5});
}

/* Finite gradients whose squares are not: they are clipped like any other. Of two classes at scores of
 * 0 each row of the gradient is half the input. */
static void test_clipping_of_huge_gradients(void **state)
{
    (void)state;
    for (bp_dtype dtype = BP_FLOAT32; dtype <= BP_FLOAT64; dtype++) {
        const double huge = dtype == BP_FLOAT32 ? 1e30 : 1e300;
        double x[1];
        support_set(x, dtype, 0, huge);
        const int32_t label[1] = {1};
        const bp_examples examples = {.row_count = 1, .features = x, .label = label};
        bp_layer_spec layers[] = {support_dense(2, "softmax")};
        layers[0].layer.value[1] = 0; /* no bias */
        layers[0].initializer = support_choice(&bp_initializer_family, "zeros");
        bp_training_spec spec = {.network =
                                     support_network_spec(layers, 1, 1, 1, "softmax_cross_entropy"),
                                 .optimizer = support_choice_of(&bp_optimizer_family, "sgd", 1),
                                 .schedule = support_choice(&bp_schedule_family, "constant"),
                                 .clip_norm = 2,
                                 .epochs = 1,
                                 .batch_size = 1};
        spec.network.dtype = dtype;
        bp_trainer *trainer = NULL;
        assert_int_equal(bp_trainer_create(&trainer, &spec, &examples, NULL, NULL), BP_OK);
        const void *w = bp_network_parameters(bp_trainer_network(trainer));
        bp_step_report report;
        assert_int_equal(bp_trainer_step(&report, trainer, true, NULL), BP_OK);
        assert_true(report.finite);
        assert_true(fabs(report.gradient_norm / huge - sqrt(0.5)) < 1e-6);
        assert_true(fabs(support_at(w, dtype, 0) + sqrt(2)) < 1e-6);
        assert_true(fabs(support_at(w, dtype, 1) - sqrt(2)) < 1e-6);
        bp_trainer_free(trainer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each),
        cmocka_unit_test(test_all_together),
        cmocka_unit_test(test_clipping_of_huge_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
