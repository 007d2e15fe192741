/* The measures' loops over pixels and over levels, in float64.

   Every function takes the steps of its NumPy twin in the same order, so both give the same bits: sums run in one
   stated order, nothing is contracted or reassociated (-ffp-contract=off, never -ffast-math), and every table that
   holds an exponential comes from NumPy. Memory is reached through the buffer protocol alone; each buffer's type,
   shape, contiguity and alignment are checked, and every index that a caller hands over is checked before its use. */

#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#include <Python.h>

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if FLT_EVAL_METHOD != 0
#error "float64 steps must round to float64, as NumPy's do"
#endif

#define LEVELS 256
#define MOST_PIXELS INT32_MAX   /* the walk counts in 32 bits */
#define EPSILON DBL_EPSILON     /* np.spacing(1) */
#define BETA_SQUARED 0.3
#define ALPHA 0.5
#define IOU_LEVEL 128
#define REACH 3                 /* half the width of the Gaussian window */
#define WINDOW (2 * REACH + 1)
#define FAR 270                 /* the distance from which on the weight is exactly 2 */
#define FAR_SQUARED (FAR * FAR)
#define RING_SQUARED (2 * REACH * REACH)
#define CLASSES 65536           /* what 16 bits can name */

/* ---- buffers ---- */

/* Opens `object` as C-contiguous memory; `shape` entries below 0 are free. Returns 0, or -1 with an error set. */
static int open_buffer(PyObject *object, Py_buffer *view, const char *name, const char *formats, Py_ssize_t itemsize,
                       int ndim, const Py_ssize_t *shape, int writable)
{
    if (PyObject_GetBuffer(object, view, PyBUF_ND | PyBUF_STRIDES | PyBUF_FORMAT | (writable ? PyBUF_WRITABLE : 0)))
        return -1;
    const char *format = view->format ? view->format : "B";
    if (format[0] == '\0' || format[1] != '\0' || !strchr(formats, format[0]) || view->itemsize != itemsize) {
        PyErr_Format(PyExc_TypeError, "%s must hold items of type '%s' and %zd bytes, not '%s' and %zd bytes", name,
                     formats, itemsize, format, view->itemsize);
        goto refuse;
    }
    int matches = view->ndim == ndim;
    for (int axis = 0; matches && axis < ndim; axis++)
        matches = shape[axis] < 0 || view->shape[axis] == shape[axis];
    if (!matches) {
        PyErr_Format(PyExc_ValueError, "%s has another shape or number of dimensions than this call needs", name);
        goto refuse;
    }
    if (!PyBuffer_IsContiguous(view, 'C') || (uintptr_t)view->buf % (uintptr_t)itemsize) {
        PyErr_Format(PyExc_ValueError, "%s must be C-contiguous and aligned", name);
        goto refuse;
    }
    return 0;
refuse:
    PyBuffer_Release(view);
    return -1;
}

static const Py_ssize_t ANY_SHAPE[2] = {-1, -1};

/* Opens a picture (H, W) with at least one pixel and at most MOST_PIXELS. */
static int open_picture(PyObject *object, Py_buffer *view, const char *name, const char *formats, Py_ssize_t itemsize,
                        const Py_ssize_t *shape, int writable)
{
    if (open_buffer(object, view, name, formats, itemsize, 2, shape, writable))
        return -1;
    Py_ssize_t pixels = view->len / itemsize;
    if (pixels < 1 || pixels > MOST_PIXELS) {
        PyErr_Format(PyExc_ValueError, "%s must have 1 to %d pixels", name, MOST_PIXELS);
        PyBuffer_Release(view);
        return -1;
    }
    return 0;
}

static int open_vector(PyObject *object, Py_buffer *view, const char *name, const char *formats, Py_ssize_t itemsize,
                       Py_ssize_t length, int writable)
{
    return open_buffer(object, view, name, formats, itemsize, 1, &length, writable);
}

/* ---- the walk: joint histogram of (quadrant, mask, level) ---- */

/* Finds the foreground pixels of the mask and the sums of their rows and columns. */
static int sum_positions(const uint8_t *mask, Py_ssize_t height, Py_ssize_t width, int64_t *count, int64_t *rows,
                         int64_t *columns)
{
    int64_t *by_column = calloc((size_t)width, sizeof *by_column);
    uint8_t *partial = malloc((size_t)width);
    int done = by_column && partial;
    *count = *rows = *columns = 0;
    /* Bytes hold 255 rows at a time, which the compiler adds sixteen at once. */
    for (Py_ssize_t start = 0; done && start < height; start += 255) {
        Py_ssize_t stop = height - start < 255 ? height : start + 255;
        memset(partial, 0, (size_t)width);
        for (Py_ssize_t i = start; i < stop; i++) {
            const uint8_t *row = mask + i * width;
            int64_t found = 0;
            for (Py_ssize_t j = 0; j < width; j += 240) {
                Py_ssize_t end = width - j < 240 ? width : j + 240;
                uint8_t few = 0;
                for (Py_ssize_t k = j; k < end; k++) {
                    uint8_t is = row[k] != 0;
                    few = (uint8_t)(few + is);
                    partial[k] = (uint8_t)(partial[k] + is);
                }
                found += few;
            }
            *count += found;
            *rows += found * i;
        }
        for (Py_ssize_t j = 0; j < width; j++)
            by_column[j] += partial[j];
    }
    for (Py_ssize_t j = 0; done && j < width; j++)
        *columns += by_column[j] * j;
    free(by_column);
    free(partial);
    return done ? 0 : -1;
}

PyDoc_STRVAR(centroid_doc, "centroid(mask) -> (row, column), rounded half to even, plus 1; the middle of an empty mask");

static PyObject *centroid(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *mask_object;
    Py_buffer mask;
    if (!PyArg_ParseTuple(args, "O", &mask_object) ||
        open_picture(mask_object, &mask, "mask", "?", 1, ANY_SHAPE, 0))
        return NULL;
    int64_t count, rows, columns;
    Py_ssize_t height = mask.shape[0], width = mask.shape[1];
    int failed;
    Py_BEGIN_ALLOW_THREADS
    failed = sum_positions(mask.buf, height, width, &count, &rows, &columns);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&mask);
    if (failed)
        return PyErr_NoMemory();
    double row = count ? (double)rows / (double)count : (double)height / 2;
    double column = count ? (double)columns / (double)count : (double)width / 2;
    return Py_BuildValue("nn", (Py_ssize_t)nearbyint(row) + 1, (Py_ssize_t)nearbyint(column) + 1);
}

/* Four counters in turn for each level: neighbours of one level then do not wait for each other. */
typedef uint32_t Parts[4][2 * LEVELS];

static void count_keys(const uint16_t *keys, Py_ssize_t length, Parts parts)
{
    Py_ssize_t j = 0;
    for (; j + 4 <= length; j += 4) {
        uint64_t four;
        memcpy(&four, keys + j, sizeof four);
        parts[0][four & 0xffff]++;
        parts[1][four >> 16 & 0xffff]++;
        parts[2][four >> 32 & 0xffff]++;
        parts[3][four >> 48]++;
    }
    for (; j < length; j++)
        parts[0][keys[j]]++;
}

static void collect(Parts parts, int64_t *counts)
{
    for (int key = 0; key < 2 * LEVELS; key++)
        counts[key] = (int64_t)parts[0][key] + parts[1][key] + parts[2][key] + parts[3][key];
    memset(parts, 0, sizeof(Parts));
}

static void fill_keys(const uint8_t *levels, const uint8_t *mask, Py_ssize_t length, uint16_t *keys)
{
    for (Py_ssize_t j = 0; j < length; j++)
        keys[j] = (uint16_t)(levels[j] | (mask[j] != 0) << 8);
}

PyDoc_STRVAR(count_doc, "count(levels, mask, row, column, counts): fill the joint histogram (4, 2, 256) int64");

static PyObject *count(PyObject *Py_UNUSED(module), PyObject *args)
{
    static const Py_ssize_t counts_shape[3] = {4, 2, LEVELS};
    PyObject *levels_object, *mask_object, *counts_object, *result = NULL;
    Py_ssize_t row, column;
    Py_buffer levels, mask, counts;
    if (!PyArg_ParseTuple(args, "OOnnO", &levels_object, &mask_object, &row, &column, &counts_object) ||
        open_picture(levels_object, &levels, "levels", "B", 1, ANY_SHAPE, 0))
        return NULL;
    if (open_picture(mask_object, &mask, "mask", "?", 1, levels.shape, 0))
        goto release_levels;
    if (open_buffer(counts_object, &counts, "counts", "lq", 8, 3, counts_shape, 1))
        goto release_mask;
    Py_ssize_t height = levels.shape[0], width = levels.shape[1];
    if (row < 0 || column < 0) {
        PyErr_SetString(PyExc_ValueError, "row and column must not be negative");
        goto release_counts;
    }
    row = row < height ? row : height;
    column = column < width ? column : width;
    Parts *parts = calloc(2, sizeof(Parts));
    uint16_t *keys = malloc((size_t)width * sizeof *keys);
    if (parts && keys) {
        Py_BEGIN_ALLOW_THREADS
        int64_t *out = counts.buf;
        for (int half = 0; half < 2; half++) {
            for (Py_ssize_t i = half ? row : 0; i < (half ? height : row); i++) {
                fill_keys((uint8_t *)levels.buf + i * width, (uint8_t *)mask.buf + i * width, width, keys);
                count_keys(keys, column, parts[0]);
                count_keys(keys + column, width - column, parts[1]);
            }
            collect(parts[0], out + (2 * half) * 2 * LEVELS);
            collect(parts[1], out + (2 * half + 1) * 2 * LEVELS);
        }
        Py_END_ALLOW_THREADS
        result = Py_NewRef(Py_None);
    } else {
        PyErr_NoMemory();
    }
    free(parts);
    free(keys);
release_counts:
    PyBuffer_Release(&counts);
release_mask:
    PyBuffer_Release(&mask);
release_levels:
    PyBuffer_Release(&levels);
    return result;
}

/* ---- what follows from the histogram ---- */

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

PyDoc_STRVAR(curves_doc, "curves(right, wrong, foreground, pixels, out): fill precision, recall, F and E, (4, 256) float64");

static PyObject *curves(PyObject *Py_UNUSED(module), PyObject *args)
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

PyDoc_STRVAR(numbers_doc,
             "numbers(counts, stretch, values, right, wrong) -> (pixels, foreground, mae, f_adaptive, s, e_adaptive, iou, "
             "constant): also fill the 256 values and the pixels found at thresholds 255 to 0");

static PyObject *numbers(PyObject *Py_UNUSED(module), PyObject *args)
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

/* ---- exact distances to the foreground ---- */

typedef struct {
    Py_ssize_t *pixels;
    Py_ssize_t length, capacity;
} Indices;

static int append(Indices *list, Py_ssize_t index)
{
    if (list->length == list->capacity) {
        Py_ssize_t capacity = list->capacity ? 2 * list->capacity : 1024;
        Py_ssize_t *grown = realloc(list->pixels, (size_t)capacity * sizeof *grown);
        if (!grown)
            return -1;
        list->pixels = grown;
        list->capacity = capacity;
    }
    list->pixels[list->length++] = index;
    return 0;
}

/* Distances within each column, upwards only, `FAR` at most; the walk over rows that follows takes the other half. */
static void columns_from_below(const uint8_t *mask, Py_ssize_t height, Py_ssize_t width, int16_t *vertical)
{
    for (Py_ssize_t i = height - 1; i >= 0; i--) {
        int16_t *here = vertical + i * width;
        const int16_t *below = here + width;
        const uint8_t *row = mask + i * width;
        for (Py_ssize_t j = 0; j < width; j++) {
            int16_t next = i + 1 < height ? (int16_t)(below[j] + 1) : FAR;
            next = next < FAR ? next : FAR;
            here[j] = row[j] ? 0 : next;
        }
    }
}

static void columns_from_above(int16_t *vertical, Py_ssize_t i, Py_ssize_t width)
{
    int16_t *here = vertical + i * width;
    const int16_t *above = here - width;
    for (Py_ssize_t j = 0; j < width; j++) {
        int16_t next = (int16_t)(above[j] + 1);
        here[j] = here[j] < next ? here[j] : next;
    }
}

/* One column's nearest foreground pixel, as a parabola over the row: squared distance (j - column)^2 + rise. */
typedef struct {
    double height; /* rise + column^2 */
    double start;  /* nearer than the parabola before it to the right of this */
    int32_t column, rise;
} Parabola;

typedef struct {
    Parabola *stack;
    int32_t *marks;         /* for each column of the gap, the last parabola that starts there */
    const double *half;     /* 1 / (2 n) */
} Room;

/* Writes the squared distances, FAR_SQUARED at most, of the gap [begin, end) of one row between foreground pixels.

   No column beyond the gap's ends can be nearer than these ends. The lower envelope of the columns' parabolas is
   built from left to right (Felzenszwalb and Huttenlocher 2012). A crossing computed slightly beside a whole number
   changes nothing: there both parabolas give the same distance. */
static void measure_gap(const int16_t *vertical, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t first, Py_ssize_t last,
                        const Room *room, int32_t *squared)
{
    Parabola *stack = room->stack;
    int32_t *marks = room->marks;
    Py_ssize_t top = -1;
    first = first > begin - 1 ? first : begin - 1;
    last = last < end ? last : end;
    for (Py_ssize_t u = first; u <= last; u++) {
        int32_t rise = vertical[u];
        if (rise >= FAR)
            continue;
        rise *= rise;
        double height = (double)rise + (double)u * (double)u, start = (double)(begin - 1);
        while (top >= 0) {
            start = (height - stack[top].height) * room->half[u - stack[top].column];
            if (start > stack[top].start)
                break;
            top--;
            start = (double)(begin - 1);
        }
        if (start < (double)(end - 1)) {
            top++;
            stack[top].height = height;
            stack[top].start = start;
            stack[top].column = (int32_t)u;
            stack[top].rise = rise;
        }
    }
    if (top < 0) {
        for (Py_ssize_t j = begin; j < end; j++)
            squared[j] = FAR_SQUARED;
        return;
    }
    memset(marks, 0, (size_t)(end - begin) * sizeof *marks);
    for (Py_ssize_t k = 1; k <= top; k++)
        marks[(Py_ssize_t)(stack[k].start + 1) - begin] = (int32_t)k;
    int32_t nearest = 0;
    for (Py_ssize_t j = begin; j < end; j++) {
        nearest = marks[j - begin] > nearest ? marks[j - begin] : nearest;
        int64_t apart = j - stack[nearest].column;
        int64_t distance = apart * apart + stack[nearest].rise;
        squared[j] = distance < FAR_SQUARED ? (int32_t)distance : FAR_SQUARED;
    }
}

/* Offsets (row, column) with squared length 1 to RING_SQUARED, by length, then leftmost, then topmost. */
typedef struct {
    int8_t row, column;
} Offset;

static Offset offsets[RING_SQUARED + 1][12];
static int offset_counts[RING_SQUARED + 1];

static void fill_offsets(void)
{
    for (int column = -4; column <= 4; column++)
        for (int row = -4; row <= 4; row++) {
            int length = row * row + column * column;
            if (0 < length && length <= RING_SQUARED) {
                Offset *offset = &offsets[length][offset_counts[length]++];
                offset->row = (int8_t)row;
                offset->column = (int8_t)column;
            }
        }
}

/* The foreground pixel at that squared distance: among equals the leftmost column, then the topmost row. */
static Py_ssize_t nearest_pixel(const uint8_t *mask, Py_ssize_t height, Py_ssize_t width, Py_ssize_t i, Py_ssize_t j,
                                int32_t squared)
{
    for (int at = 0; at < offset_counts[squared]; at++) {
        Py_ssize_t row = i + offsets[squared][at].row, column = j + offsets[squared][at].column;
        if (0 <= row && row < height && 0 <= column && column < width && mask[row * width + column])
            return row * width + column;
    }
    return i * width + j; /* only where another thread changed the mask meanwhile */
}

static int measure_distances(const uint8_t *mask, Py_ssize_t height, Py_ssize_t width, const uint16_t *classes,
                             uint16_t *out, Indices *ring, Indices *nearest, Py_ssize_t box[4])
{
    int16_t *vertical = malloc((size_t)(height * width) * sizeof *vertical);
    Parabola *stack = malloc((size_t)(width + 1) * sizeof *stack);
    int32_t *marks = malloc((size_t)width * sizeof *marks), *squared = malloc((size_t)width * sizeof *squared);
    double *half = malloc((size_t)(width + 1) * sizeof *half);
    int failed = !vertical || !stack || !marks || !squared || !half;
    if (failed)
        goto done;
    half[0] = 0;
    for (Py_ssize_t n = 1; n <= width; n++)
        half[n] = 0.5 / (double)n;
    Room room = {stack, marks, half};
    columns_from_below(mask, height, width, vertical);
    Py_ssize_t first = width, last = -1; /* columns that hold foreground */
    box[0] = height;
    box[1] = 0;
    for (Py_ssize_t i = 0; i < height; i++) {
        const uint8_t *row = mask + i * width;
        const uint8_t *found = memchr(row, 1, (size_t)width);
        if (!found)
            continue;
        box[0] = box[0] < i ? box[0] : i;
        box[1] = i + 1;
        first = found - row < first ? found - row : first;
        for (Py_ssize_t j = width - 1; j > last; j--)
            if (row[j]) {
                last = j;
                break;
            }
    }
    box[2] = first;
    box[3] = last + 1;
    for (Py_ssize_t i = 0; i < height && !failed; i++) {
        const uint8_t *row = mask + i * width;
        uint16_t *out_row = out + i * width;
        if (i)
            columns_from_above(vertical, i, width);
        Py_ssize_t j = 0;
        while (j < width && !failed) {
            if (row[j]) {
                out_row[j++] = classes[0];
                continue;
            }
            const uint8_t *stop = memchr(row + j, 1, (size_t)(width - j));
            Py_ssize_t end = stop ? stop - row : width;
            measure_gap(vertical + i * width, j, end, first, last, &room, squared);
            for (; j < end; j++) {
                out_row[j] = classes[squared[j]];
                if (squared[j] <= RING_SQUARED)
                    failed = failed || append(ring, i * width + j) ||
                             append(nearest, nearest_pixel(mask, height, width, i, j, squared[j]));
            }
        }
    }
done:
    free(vertical);
    free(stack);
    free(marks);
    free(squared);
    free(half);
    return failed;
}

PyDoc_STRVAR(distances_doc,
             "distances(mask, classes, out) -> (ring, nearest, box): fill the class of each pixel's squared distance, and "
             "return the pixels near the foreground, their nearest foreground pixels (bytes of ssize_t), and the "
             "foreground's (top, bottom, left, right)");

static PyObject *distances(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *mask_object, *classes_object, *out_object, *result = NULL;
    Py_buffer mask, classes, out;
    if (!PyArg_ParseTuple(args, "OOO", &mask_object, &classes_object, &out_object) ||
        open_picture(mask_object, &mask, "mask", "?", 1, ANY_SHAPE, 0))
        return NULL;
    if (open_vector(classes_object, &classes, "classes", "H", 2, FAR_SQUARED + 1, 0))
        goto release_mask;
    if (open_picture(out_object, &out, "out", "H", 2, mask.shape, 1))
        goto release_classes;
    Indices ring = {0}, nearest = {0};
    Py_ssize_t box[4];
    Py_ssize_t pixels = mask.len;
    /* A copy of zeros and ones: a bool buffer may hold any bytes, and may change while other threads run. */
    uint8_t *own = malloc((size_t)pixels);
    int failed = !own;
    if (own) {
        Py_BEGIN_ALLOW_THREADS
        for (Py_ssize_t at = 0; at < pixels; at++)
            own[at] = ((const uint8_t *)mask.buf)[at] != 0;
        failed = measure_distances(own, mask.shape[0], mask.shape[1], classes.buf, out.buf, &ring, &nearest, box);
        Py_END_ALLOW_THREADS
    }
    if (failed)
        PyErr_NoMemory();
    else
        result = Py_BuildValue("y#y#(nnnn)", ring.pixels ? (char *)ring.pixels : "",
                               ring.length * (Py_ssize_t)sizeof *ring.pixels,
                               nearest.pixels ? (char *)nearest.pixels : "",
                               nearest.length * (Py_ssize_t)sizeof *nearest.pixels, box[0], box[1], box[2], box[3]);
    free(own);
    free(ring.pixels);
    free(nearest.pixels);
    PyBuffer_Release(&out);
release_classes:
    PyBuffer_Release(&classes);
release_mask:
    PyBuffer_Release(&mask);
    return result;
}

/* ---- the sums of weighted F ---- */

typedef struct {
    const uint8_t *levels, *mask;
    Py_ssize_t height, width;
    const double *values, *weights, *taps;
    const uint16_t *classes;
    const Py_ssize_t *ring, *nearest;
    Py_ssize_t ring_length, top, bottom, left, right;
} Weighing;

/* The errors of one row around the foreground's box: on the foreground its own, in the ring those of the nearest
   foreground pixel, elsewhere and beyond the picture 0. The ring was checked before; it is checked again where it
   is used, since other threads run: returns -1 where it is out of order or range. */
static int fill_spread(const Weighing *w, Py_ssize_t i, Py_ssize_t *next, double *spread, double *own)
{
    Py_ssize_t box = w->right - w->left, begin = i * w->width, pixels = w->height * w->width;
    memset(spread, 0, (size_t)(box + 2 * REACH) * sizeof *spread);
    if (i < 0 || i >= w->height)
        return 0;
    const uint8_t *levels = w->levels + begin + w->left, *mask = w->mask + begin + w->left;
    for (Py_ssize_t j = 0; j < box; j++) {
        double error = 1 - w->values[levels[j]];
        spread[j + REACH] = mask[j] ? error : 0;
    }
    if (w->top <= i && i < w->bottom)
        memcpy(own, spread + REACH, (size_t)box * sizeof *own);
    for (; *next < w->ring_length && w->ring[*next] < begin + w->width; ++*next) {
        Py_ssize_t column = w->ring[*next] - begin, source = w->nearest[*next];
        if (column < 0 || source < 0 || source >= pixels)
            return -1;
        if (column >= w->left - REACH && column < w->right + REACH)
            spread[column - w->left + REACH] = 1 - w->values[w->levels[source]];
    }
    return 0;
}

/* The Gaussian's seven taps in a row; pairs at one distance share a tap. */
#define WINDOWED(taps, a, b, c, d, e, f, g) \
    ((taps)[0] * ((a) + (g)) + (taps)[1] * ((b) + (f)) + (taps)[2] * ((c) + (e)) + (taps)[3] * (d))

static void blur_across(const double *restrict spread, Py_ssize_t length, const double *restrict taps,
                        double *restrict out)
{
    for (Py_ssize_t j = 0; j < length; j++)
        out[j] = WINDOWED(taps, spread[j], spread[j + 1], spread[j + 2], spread[j + 3], spread[j + 4], spread[j + 5],
                          spread[j + 6]);
}

static void blur_down(const double *const rows[WINDOW], const double *restrict errors, Py_ssize_t length,
                      const double *restrict taps, double *restrict sums)
{
    const double *a = rows[0], *b = rows[1], *c = rows[2], *d = rows[3], *e = rows[4], *f = rows[5], *g = rows[6];
    for (Py_ssize_t j = 0; j < length; j++) {
        double smooth = WINDOWED(taps, a[j], b[j], c[j], d[j], e[j], f[j], g[j]);
        sums[j] += errors[j] < smooth ? errors[j] : smooth;
    }
}

/* Adds the weighted errors of the background, four rows at a time, each column from top to bottom. */
static void sum_background(const Weighing *w, double *restrict sums)
{
    const double *weights = w->weights, *values = w->values;
    Py_ssize_t width = w->width, i = 0;
    for (; i + 4 <= w->height; i += 4) {
        const uint8_t *levels = w->levels + i * width;
        const uint16_t *classes = w->classes + i * width;
        for (Py_ssize_t j = 0; j < width; j++)
            sums[j] = sums[j] + weights[classes[j]] * values[levels[j]] +
                      weights[classes[j + width]] * values[levels[j + width]] +
                      weights[classes[j + 2 * width]] * values[levels[j + 2 * width]] +
                      weights[classes[j + 3 * width]] * values[levels[j + 3 * width]];
    }
    for (; i < w->height; i++)
        for (Py_ssize_t j = 0; j < width; j++)
            sums[j] += weights[w->classes[i * width + j]] * values[w->levels[i * width + j]];
}

/* Sums run down the columns first, then across them from left to right. */
static int sum_errors(const Weighing *w, double *missed, double *wrong)
{
    Py_ssize_t before = -1, pixels = w->height * w->width;
    for (Py_ssize_t at = 0; at < w->ring_length; at++) {
        if (w->ring[at] <= before || w->ring[at] >= pixels || w->nearest[at] < 0 || w->nearest[at] >= pixels)
            return -1;
        before = w->ring[at];
    }
    Py_ssize_t box = w->right - w->left, padded = box + 2 * REACH, next = 0;
    double *room = calloc((size_t)(w->width + padded + (2 * WINDOW + 1) * box), sizeof *room);
    if (!room)
        return -2;
    double *by_column = room, *spread = by_column + w->width, *missed_by_column = spread + padded;
    double *across = missed_by_column + box, *own = across + WINDOW * box;
    int failed = 0;
    sum_background(w, by_column);
    while (next < w->ring_length && w->ring[next] < (w->top - REACH) * w->width)
        next++;
    for (Py_ssize_t i = w->top - REACH; i < w->bottom + REACH && !failed; i++) {
        Py_ssize_t slot = (i - w->top + REACH) % WINDOW;
        failed = fill_spread(w, i, &next, spread, own + slot * box);
        blur_across(spread, box, w->taps, across + slot * box);
        Py_ssize_t centre = i - REACH;
        if (centre < w->top)
            continue;
        const double *rows[WINDOW];
        for (int at = 0; at < WINDOW; at++)
            rows[at] = across + (centre - REACH + at - w->top + REACH) % WINDOW * box;
        blur_down(rows, own + (centre - w->top + REACH) % WINDOW * box, box, w->taps, missed_by_column);
    }
    *missed = *wrong = 0;
    for (Py_ssize_t j = 0; j < box; j++)
        *missed += missed_by_column[j];
    for (Py_ssize_t j = 0; j < w->width; j++)
        *wrong += by_column[j];
    free(room);
    return failed;
}

PyDoc_STRVAR(weigh_doc,
             "weigh(levels, mask, values, weights, taps, classes, ring, nearest, box) -> (missed, wrong): the sums of "
             "weighted F");

static PyObject *weigh(PyObject *Py_UNUSED(module), PyObject *args)
{
    enum { LEVEL, MASK, VALUE, WEIGHT, TAP, CLASS, RING, NEAREST, BUFFERS };
    PyObject *objects[BUFFERS], *result = NULL;
    Py_buffer views[BUFFERS];
    Weighing w;
    int opened = 0, failed;
    if (!PyArg_ParseTuple(args, "OOOOOOOO(nnnn)", &objects[LEVEL], &objects[MASK], &objects[VALUE], &objects[WEIGHT],
                          &objects[TAP], &objects[CLASS], &objects[RING], &objects[NEAREST], &w.top, &w.bottom,
                          &w.left, &w.right) ||
        open_picture(objects[LEVEL], &views[LEVEL], "levels", "B", 1, ANY_SHAPE, 0))
        return NULL;
    const Py_ssize_t *shape = views[LEVEL].shape;
    opened = 1;
    if (open_picture(objects[MASK], &views[MASK], "mask", "?", 1, shape, 0))
        goto release;
    opened++;
    if (open_vector(objects[VALUE], &views[VALUE], "values", "d", 8, LEVELS, 0))
        goto release;
    opened++;
    if (open_vector(objects[WEIGHT], &views[WEIGHT], "weights", "d", 8, CLASSES, 0))
        goto release;
    opened++;
    if (open_vector(objects[TAP], &views[TAP], "taps", "d", 8, REACH + 1, 0))
        goto release;
    opened++;
    if (open_picture(objects[CLASS], &views[CLASS], "classes", "H", 2, shape, 0))
        goto release;
    opened++;
    if (open_vector(objects[RING], &views[RING], "ring", "lqn", sizeof(Py_ssize_t), -1, 0))
        goto release;
    opened++;
    if (open_vector(objects[NEAREST], &views[NEAREST], "nearest", "lqn", sizeof(Py_ssize_t), views[RING].shape[0], 0))
        goto release;
    opened++;
    w.levels = views[LEVEL].buf;
    w.mask = views[MASK].buf;
    w.height = shape[0];
    w.width = shape[1];
    w.values = views[VALUE].buf;
    w.weights = views[WEIGHT].buf;
    w.taps = views[TAP].buf;
    w.classes = views[CLASS].buf;
    w.ring = views[RING].buf;
    w.nearest = views[NEAREST].buf;
    w.ring_length = views[RING].shape[0];
    if (!(0 <= w.top && w.top < w.bottom && w.bottom <= w.height && 0 <= w.left && w.left < w.right &&
          w.right <= w.width)) {
        PyErr_SetString(PyExc_ValueError, "the box must hold pixels of the picture");
        goto release;
    }
    double missed, wrong;
    Py_BEGIN_ALLOW_THREADS
    failed = sum_errors(&w, &missed, &wrong);
    Py_END_ALLOW_THREADS
    if (failed == -2)
        PyErr_NoMemory();
    else if (failed)
        PyErr_SetString(PyExc_ValueError, "ring must ascend, and ring and nearest must lie in the picture");
    else
        result = Py_BuildValue("dd", missed, wrong);
release:
    while (opened)
        PyBuffer_Release(&views[--opened]);
    return result;
}

/* ---- exact sums ---- */

PyDoc_STRVAR(add_doc, "add(values, parts): split each number into four integers and add them, see standout.metrics.sums");

static PyObject *add(PyObject *Py_UNUSED(module), PyObject *args)
{
    static const double weights[4] = {4294967296.0, 1.0, 1 / 4294967296.0, 1 / 4294967296.0 / 4294967296.0};
    const double rounder = 6755399441055744.0; /* 1.5 * 2**52: adding it leaves no room for a fraction */
    PyObject *values_object, *parts_object, *result = NULL;
    Py_buffer values_view, parts_view;
    if (!PyArg_ParseTuple(args, "OO", &values_object, &parts_object) ||
        open_vector(values_object, &values_view, "values", "d", 8, -1, 0))
        return NULL;
    Py_ssize_t length = values_view.shape[0], parts_shape[2] = {4, length};
    if (open_buffer(parts_object, &parts_view, "parts", "lq", 8, 2, parts_shape, 1))
        goto release_values;
    const double *values = values_view.buf;
    uint64_t *parts = parts_view.buf; /* two's complement: adding wraps as NumPy's does */
    int fits = 1;
    for (Py_ssize_t at = 0; at < length; at++)
        fits &= fabs(values[at]) <= 4611686018427387904.0;
    if (!fits) {
        PyErr_SetString(PyExc_ValueError, "only finite numbers of magnitude up to 2**62 can be summed");
        goto release_parts;
    }
    for (Py_ssize_t at = 0; at < length; at++) {
        double rest = values[at];
        for (int part = 0; part < 4; part++) {
            double whole = (rest / weights[part] + rounder) - rounder;
            parts[part * length + at] += (uint64_t)(int64_t)whole;
            rest = rest - whole * weights[part];
        }
    }
    result = Py_NewRef(Py_None);
release_parts:
    PyBuffer_Release(&parts_view);
release_values:
    PyBuffer_Release(&values_view);
    return result;
}

/* ---- the module ---- */

static PyMethodDef methods[] = {
    {"centroid", centroid, METH_VARARGS, centroid_doc},
    {"count", count, METH_VARARGS, count_doc},
    {"numbers", numbers, METH_VARARGS, numbers_doc},
    {"curves", curves, METH_VARARGS, curves_doc},
    {"distances", distances, METH_VARARGS, distances_doc},
    {"weigh", weigh, METH_VARARGS, weigh_doc},
    {"add", add, METH_VARARGS, add_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_kernel", "The measures' loops, see standout.metrics.kernel.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__kernel(void)
{
    static int filled;
    if (!filled) {
        fill_offsets();
        filled = 1;
    }
    return PyModule_Create(&definition);
}
