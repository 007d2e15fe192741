/* The sums of weighted F: errors weighted by where they lie. */

#include "kernel.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW (2 * REACH + 1)
#define CLASSES 65536 /* what 16 bits can name */

typedef struct {
    const uint8_t *levels, *mask;
    Py_ssize_t height, width;
    const double *values, *weights, *taps;
    const uint16_t *classes;
    const Py_ssize_t *ring, *nearest;
    Py_ssize_t ring_length, top, bottom, left, right;
} Weighing;

/* Columns [begin, end), counted from the left of the foreground's box. */
typedef struct {
    Py_ssize_t begin, end;
} Span;

static int eight_are_zero(const uint8_t *bytes)
{
    uint64_t eight;
    memcpy(&eight, bytes, sizeof eight);
    return eight == 0;
}

/* Where a row of the box holds foreground: from the first to the last; an empty span where it holds none. */
static Span held_by(const uint8_t *row, Py_ssize_t length)
{
    Span held = {0, length};
    while (held.end - held.begin >= 8 && eight_are_zero(row + held.begin))
        held.begin += 8;
    while (held.end - held.begin >= 8 && eight_are_zero(row + held.end - 8))
        held.end -= 8;
    while (held.begin < held.end && !row[held.begin])
        held.begin++;
    while (held.end > held.begin && !row[held.end - 1])
        held.end--;
    return held;
}

/* Fills for each row of the box what it holds, and for each row that a window sees what rows within REACH hold. */
static void find_spans(const Weighing *w, Span *held, Span *seen)
{
    Py_ssize_t rows = w->bottom - w->top;
    for (Py_ssize_t i = 0; i < rows; i++)
        held[i] = held_by(w->mask + (w->top + i) * w->width + w->left, w->right - w->left);
    for (Py_ssize_t i = 0; i < rows + 2 * REACH; i++) {
        Span all = {0, 0};
        for (Py_ssize_t at = i - 2 * REACH > 0 ? i - 2 * REACH : 0; at <= i && at < rows; at++)
            if (held[at].begin < held[at].end) {
                all.begin = all.end && all.begin < held[at].begin ? all.begin : held[at].begin;
                all.end = all.end > held[at].end ? all.end : held[at].end;
            }
        seen[i] = all;
    }
}

/* The errors of one row around the foreground: on the foreground its own, in the ring those of the nearest foreground
   pixel, elsewhere and beyond the picture 0. The ring was checked before; it is checked again where it is used, since
   other threads run: returns -1 where it is out of order or range. */
static int fill_spread(const Weighing *w, Py_ssize_t i, const Span *held, Span seen, Py_ssize_t *next, double *spread,
                       double *own)
{
    Py_ssize_t begin = i * w->width, pixels = w->height * w->width;
    memset(spread + seen.begin, 0, (size_t)(seen.end - seen.begin + 2 * REACH) * sizeof *spread);
    if (i < 0 || i >= w->height)
        return 0;
    if (w->top <= i && i < w->bottom) {
        const Span here = held[i - w->top];
        const uint8_t *levels = w->levels + begin + w->left, *mask = w->mask + begin + w->left;
        for (Py_ssize_t j = here.begin; j < here.end; j++) {
            double error = 1 - w->values[levels[j]];
            spread[j + REACH] = own[j] = mask[j] ? error : 0;
        }
    }
    for (; *next < w->ring_length && w->ring[*next] < begin + w->width; ++*next) {
        Py_ssize_t column = w->ring[*next] - begin, source = w->nearest[*next], place = column - w->left + REACH;
        if (column < 0 || source < 0 || source >= pixels)
            return -1;
        if (place >= seen.begin && place < seen.end + 2 * REACH)
            spread[place] = 1 - w->values[w->levels[source]];
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

/* Adds the weighted errors of the background, four rows at a time, each column from top to bottom. Class 0 is the
   foreground; where all four rows hold it, nothing is looked up. */
static void sum_background(const Weighing *w, double *restrict sums)
{
    const double *weights = w->weights, *values = w->values;
    Py_ssize_t width = w->width, i = 0;
    for (; i + 4 <= w->height; i += 4) {
        const uint8_t *a = w->levels + i * width, *b = a + width, *c = b + width, *d = c + width;
        const uint16_t *e = w->classes + i * width, *f = e + width, *g = f + width, *h = g + width;
        for (Py_ssize_t j = 0; j < width; j++)
            if (e[j] | f[j] | g[j] | h[j])
                sums[j] = sums[j] + weights[e[j]] * values[a[j]] + weights[f[j]] * values[b[j]] +
                          weights[g[j]] * values[c[j]] + weights[h[j]] * values[d[j]];
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
    Py_ssize_t box = w->right - w->left, count = w->bottom - w->top, padded = box + 2 * REACH, next = 0;
    double *room = calloc((size_t)(w->width + padded + (2 * WINDOW + 1) * box), sizeof *room);
    Span *held = malloc((size_t)(2 * count + 2 * REACH) * sizeof *held), *seen = held ? held + count : NULL;
    if (!room || !held) {
        free(room);
        free(held);
        return -2;
    }
    double *by_column = room, *spread = by_column + w->width, *missed_by_column = spread + padded;
    double *across = missed_by_column + box, *own = across + WINDOW * box;
    int failed = 0;
    sum_background(w, by_column);
    while (next < w->ring_length && w->ring[next] < (w->top - REACH) * w->width)
        next++;
    find_spans(w, held, seen);
    for (Py_ssize_t i = w->top - REACH; i < w->bottom + REACH && !failed; i++) {
        Py_ssize_t at = i - w->top + REACH, slot = at % WINDOW;
        const Span needed = seen[at];
        failed = fill_spread(w, i, held, needed, &next, spread, own + slot * box);
        blur_across(spread + needed.begin, needed.end - needed.begin, w->taps, across + slot * box + needed.begin);
        Py_ssize_t centre = i - REACH;
        if (centre < w->top)
            continue;
        const Span here = held[centre - w->top];
        const double *rows[WINDOW];
        for (int row = 0; row < WINDOW; row++)
            rows[row] = across + (at + 1 + row) % WINDOW * box + here.begin;
        blur_down(rows, own + (at - REACH) % WINDOW * box + here.begin, here.end - here.begin, w->taps,
                  missed_by_column + here.begin);
    }
    *missed = *wrong = 0;
    for (Py_ssize_t j = 0; j < box; j++)
        *missed += missed_by_column[j];
    for (Py_ssize_t j = 0; j < w->width; j++)
        *wrong += by_column[j];
    free(room);
    free(held);
    return failed;
}

PyObject *weigh(PyObject *Py_UNUSED(module), PyObject *args)
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
