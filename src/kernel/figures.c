/* What follows from the histogram: precision, recall, F, E, S and the rest, in float64. */

#include "kernel.h"

#include <math.h>
#include <string.h>

#define EPSILON DBL_EPSILON /* np.spacing(1) */
#define BETA_SQUARED 0.3
#define ALPHA 0.5
#define IOU_LEVEL 128

static double f_measure(double precision, double recall)
{
    double above = (1 + BETA_SQUARED) * precision * recall;
    return above == 0 ? 0.0 : above / (BETA_SQUARED * precision + recall);
}

static double enhanced(double first, double second)
{
    double alignment = 2 * first * second / (first * first + second * second + EPSILON);
    return (alignment + 1) * (alignment + 1) / 4;
}

static double e_measure(int64_t right, int64_t wrong, int64_t foreground, int64_t pixels)
{
    int64_t called = right + wrong;
    double aligned;
    if (foreground == 0) {
        aligned = (double)(pixels - called);
    } else if (foreground == pixels) {
        aligned = (double)called;
    } else {
        double found = (double)called / (double)pixels, mask = (double)foreground / (double)pixels;
        int64_t missed = foreground - right;
        aligned = (double)right * enhanced(1 - found, 1 - mask) + (double)wrong * enhanced(1 - found, -mask) +
                  (double)missed * enhanced(-found, 1 - mask) +
                  (double)(pixels - called - missed) * enhanced(-found, -mask);
    }
    return aligned / ((double)(pixels - 1) + EPSILON);
}

static void precision_recall(int64_t right, int64_t wrong, int64_t foreground, double *precision, double *recall)
{
    int64_t called = right + wrong;
    *precision = (double)right / (double)(called > 1 ? called : 1);
    *recall = (double)right / (double)(foreground > 1 ? foreground : 1);
}

PyObject *curves(PyObject *Py_UNUSED(module), PyObject *args)
{
    static const Py_ssize_t out_shape[2] = {4, LEVELS};
    PyObject *right_object, *wrong_object, *out_object, *result = NULL;
    long long foreground, pixels;
    Py_buffer right, wrong, out;
    if (!PyArg_ParseTuple(args, "OOLLO", &right_object, &wrong_object, &foreground, &pixels, &out_object) ||
        open_vector(right_object, &right, "right", "lq", 8, LEVELS, 0))
        return NULL;
    if (open_vector(wrong_object, &wrong, "wrong", "lq", 8, LEVELS, 0))
        goto release_right;
    if (open_buffer(out_object, &out, "out", "d", 8, 2, out_shape, 1))
        goto release_wrong;
    const int64_t *rights = right.buf, *wrongs = wrong.buf;
    int fits = 0 <= foreground && foreground <= pixels && pixels <= INT64_MAX / 4;
    for (int at = 0; fits && at < LEVELS; at++)
        fits = 0 <= rights[at] && rights[at] <= foreground && 0 <= wrongs[at] && wrongs[at] <= pixels - foreground;
    if (fits) {
        double *precision = out.buf, *recall = precision + LEVELS, *f = recall + LEVELS, *e = f + LEVELS;
        for (int at = 0; at < LEVELS; at++) {
            precision_recall(rights[at], wrongs[at], foreground, precision + at, recall + at);
            f[at] = f_measure(precision[at], recall[at]);
            e[at] = e_measure(rights[at], wrongs[at], foreground, pixels);
        }
        result = Py_NewRef(Py_None);
    } else {
        PyErr_SetString(PyExc_ValueError, "more pixels were found than the mask and the picture hold");
    }
    PyBuffer_Release(&out);
release_wrong:
    PyBuffer_Release(&wrong);
release_right:
    PyBuffer_Release(&right);
    return result;
}

/* How bright and how even one side of the mask is; `values` are seen from 1 where `inverted`. */
static double object_similarity(const int64_t *counts, const double *values, int inverted)
{
    int64_t total = 0;
    double sum = 0, spread = 0;
    for (int level = 0; level < LEVELS; level++) {
        total += counts[level];
        sum += (double)counts[level] * (inverted ? 1 - values[level] : values[level]);
    }
    double mean = sum / (double)total;
    for (int level = 0; level < LEVELS; level++) {
        double apart = (inverted ? 1 - values[level] : values[level]) - mean;
        spread += (double)counts[level] * (apart * apart);
    }
    double deviation = total > 1 ? sqrt(spread / (double)(total - 1)) : 0.0;
    return 2 * mean / (mean * mean + 1 + deviation + EPSILON);
}

/* Structural similarity of map and mask over one quadrant, (2, 256) counts with at least one pixel. */
static double region_similarity(const int64_t *background, const int64_t *foreground, const double *values,
                                int64_t pixels)
{
    int64_t objects = 0;
    int occupied = 0;
    double sum = 0, spread = 0, from_background = 0, from_foreground = 0;
    for (int level = 0; level < LEVELS; level++) {
        int64_t here = background[level] + foreground[level];
        objects += foreground[level];
        occupied += here != 0;
        sum += (double)here * values[level];
    }
    int map_constant = occupied == 1, mask_constant = objects == 0 || objects == pixels;
    if (map_constant || mask_constant)
        return map_constant && mask_constant;
    double map_mean = sum / (double)pixels, mask_mean = (double)objects / (double)pixels;
    for (int level = 0; level < LEVELS; level++) {
        double apart = values[level] - map_mean;
        spread += (double)(background[level] + foreground[level]) * (apart * apart);
        from_background += (double)background[level] * apart;
        from_foreground += (double)foreground[level] * apart;
    }
    double freedom = (double)(pixels - 1) + EPSILON;
    double map_variance = spread / freedom;
    double mask_variance =
        ((double)objects * ((1 - mask_mean) * (1 - mask_mean)) + (double)(pixels - objects) * (mask_mean * mask_mean)) /
        freedom;
    double covariance = (from_foreground * (1 - mask_mean) - from_background * mask_mean) / freedom;
    double above = 4 * map_mean * mask_mean * covariance;
    double below = (map_mean * map_mean + mask_mean * mask_mean) * (map_variance + mask_variance);
    return above != 0 ? above / (below + EPSILON) : 0.0;
}

static double s_measure(const int64_t (*counts)[2][LEVELS], const int64_t *background, const int64_t *foreground,
                        const double *values, int64_t objects, int64_t pixels)
{
    if (objects == 0 || objects == pixels) {
        double sum = 0;
        for (int level = 0; level < LEVELS; level++)
            sum += (double)(background[level] + foreground[level]) * values[level];
        double mean = sum / (double)pixels;
        return objects == 0 ? 1 - mean : mean;
    }
    double share = (double)objects / (double)pixels;
    double alike = share * object_similarity(foreground, values, 0);
    alike += (1 - share) * object_similarity(background, values, 1);
    double regions = 0;
    for (int quadrant = 0; quadrant < 4; quadrant++) {
        int64_t here = 0;
        for (int level = 0; level < LEVELS; level++)
            here += counts[quadrant][0][level] + counts[quadrant][1][level];
        if (here)
            regions += (double)here / (double)pixels *
                       region_similarity(counts[quadrant][0], counts[quadrant][1], values, here);
    }
    double score = ALPHA * alike + (1 - ALPHA) * regions;
    return score > 0 ? score : 0.0;
}

PyObject *numbers(PyObject *Py_UNUSED(module), PyObject *args)
{
    static const Py_ssize_t counts_shape[3] = {4, 2, LEVELS};
    PyObject *counts_object, *values_object, *right_object, *wrong_object, *result = NULL;
    int stretch;
    Py_buffer counts_view, values_view, right_view, wrong_view;
    if (!PyArg_ParseTuple(args, "OpOOO", &counts_object, &stretch, &values_object, &right_object, &wrong_object) ||
        open_buffer(counts_object, &counts_view, "counts", "lq", 8, 3, counts_shape, 0))
        return NULL;
    if (open_vector(values_object, &values_view, "values", "d", 8, LEVELS, 1))
        goto release_counts;
    if (open_vector(right_object, &right_view, "right", "lq", 8, LEVELS, 1))
        goto release_values;
    if (open_vector(wrong_object, &wrong_view, "wrong", "lq", 8, LEVELS, 1))
        goto release_right;
    const int64_t(*counts)[2][LEVELS] = (const int64_t(*)[2][LEVELS])counts_view.buf;
    double *values = values_view.buf;
    int64_t *right = right_view.buf, *wrong = wrong_view.buf;
    int64_t sides[2][LEVELS], pixels = 0, objects = 0, total = 0;
    int fits = 1, first = -1, last = -1;
    for (int level = 0; level < LEVELS; level++) {
        sides[0][level] = sides[1][level] = 0;
        for (int quadrant = 0; quadrant < 4; quadrant++)
            for (int side = 0; side < 2; side++) {
                int64_t here = counts[quadrant][side][level];
                fits = fits && here >= 0 && here <= MOST_PIXELS;
                sides[side][level] += fits ? here : 0;
            }
        pixels += sides[0][level] + sides[1][level];
        objects += sides[1][level];
        if (sides[0][level] + sides[1][level]) {
            first = first < 0 ? level : first;
            last = level;
        }
    }
    if (!fits || pixels < 1 || pixels > MOST_PIXELS) {
        PyErr_Format(PyExc_ValueError, "counts must hold 1 to %d pixels, none of them negative", MOST_PIXELS);
        goto release_wrong;
    }
    const int64_t *background = sides[0], *foreground = sides[1];
    stretch = stretch && first != last;
    /* The order of these steps decides into which bin a value falls: divide by 255 first, stretch after. */
    double low = first / 255.0, span = last / 255.0 - first / 255.0;
    uint8_t bins[LEVELS];
    double mae_background = 0, mae_foreground = 0;
    for (int level = 0; level < LEVELS; level++) {
        double value = stretch ? (level / 255.0 - low) / span : level / 255.0;
        values[level] = value < 0 ? 0 : value > 1 ? 1 : value; /* only levels that do not occur lie outside */
        bins[level] = (uint8_t)(values[level] * 255);
        mae_background += (double)background[level] * values[level];
        mae_foreground += (double)foreground[level] * (1 - values[level]);
        total += (background[level] + foreground[level]) * (level - (stretch ? first : 0));
    }
    memset(right, 0, LEVELS * sizeof *right);
    memset(wrong, 0, LEVELS * sizeof *wrong);
    /* In integers, so that a level on the adaptive threshold is always found. */
    int64_t threshold = 2 * total, most = (stretch ? last - first : 255) * pixels, right_adaptive = 0, wrong_adaptive = 0;
    threshold = threshold < most ? threshold : most;
    for (int level = 0; level < LEVELS; level++) {
        right[255 - bins[level]] += foreground[level];
        wrong[255 - bins[level]] += background[level];
        if ((level - (stretch ? first : 0)) * pixels >= threshold) {
            right_adaptive += foreground[level];
            wrong_adaptive += background[level];
        }
    }
    for (int at = 1; at < LEVELS; at++) {
        right[at] += right[at - 1];
        wrong[at] += wrong[at - 1];
    }
    double precision, recall;
    precision_recall(right_adaptive, wrong_adaptive, objects, &precision, &recall);
    int64_t either = objects + wrong[255 - IOU_LEVEL];
    result = Py_BuildValue("LLdddddN", (long long)pixels, (long long)objects,
                           (mae_background + mae_foreground) / (double)pixels, f_measure(precision, recall),
                           s_measure(counts, background, foreground, values, objects, pixels),
                           e_measure(right_adaptive, wrong_adaptive, objects, pixels),
                           (double)right[255 - IOU_LEVEL] / (double)(either > 1 ? either : 1),
                           PyBool_FromLong(first == last));
release_wrong:
    PyBuffer_Release(&wrong_view);
release_right:
    PyBuffer_Release(&right_view);
release_values:
    PyBuffer_Release(&values_view);
release_counts:
    PyBuffer_Release(&counts_view);
    return result;
}
