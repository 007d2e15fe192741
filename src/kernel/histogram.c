/* The walk over the pixels: the joint histogram of (quadrant, mask, level). */

#include "kernel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

PyObject *centroid(PyObject *Py_UNUSED(module), PyObject *args)
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

PyObject *count(PyObject *Py_UNUSED(module), PyObject *args)
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
