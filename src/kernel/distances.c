/* Exact Euclidean distances to the foreground, and the nearest foreground pixel where weighted F needs it. */

#include "kernel.h"

#include <stdlib.h>
#include <string.h>

#define FAR 270 /* the distance from which on the weight is exactly 2 */
#define FAR_SQUARED (FAR * FAR)
#define RING_SQUARED (2 * REACH * REACH)

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

/* Offsets (row, column) with squared length 1 to RING_SQUARED, by length, then leftmost, then topmost. */
typedef struct {
    int8_t row, column;
} Offset;

static Offset offsets[RING_SQUARED + 1][12];
static int offset_counts[RING_SQUARED + 1];

void fill_offsets(void)
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
                                int64_t squared)
{
    for (int at = 0; at < offset_counts[squared]; at++) {
        Py_ssize_t row = i + offsets[squared][at].row, column = j + offsets[squared][at].column;
        if (0 <= row && row < height && 0 <= column && column < width && mask[row * width + column])
            return row * width + column;
    }
    return i * width + j; /* only where another thread changed the mask meanwhile */
}

/* One column's nearest foreground pixel, as a parabola over the row: squared distance (j - column)^2 + rise. */
typedef struct {
    double height; /* rise + column^2 */
    double start;  /* nearer than the parabola before it to the right of this */
    int32_t column, rise;
} Parabola;

/* Where a parabola becomes the nearest; `next` is its column plus 1, so that nothing is 0. */
typedef struct {
    int32_t next, rise;
} Mark;

typedef struct {
    const uint8_t *mask; /* zeros and ones */
    Py_ssize_t height, width;
    const uint16_t *classes; /* of each squared distance up to FAR_SQUARED */
    uint16_t *out;
    Indices *ring, *nearest;
    Py_ssize_t first, last; /* the columns that hold foreground lie in [first, last] */
    int16_t *vertical;      /* distances within each column */
    Parabola *stack;
    Mark *marks;  /* one for each column of a gap */
    double *half; /* 1 / (2 n) */
} Walk;

/* Writes the classes of the gap [begin, end) of row `i` between foreground pixels, and adds to the ring; -1 without
   memory.

   No column beyond the gap's ends can be nearer than these ends. The lower envelope of the columns' parabolas is
   built from left to right (Felzenszwalb and Huttenlocher 2012). A crossing computed slightly beside a whole number
   changes nothing: there both parabolas give the same distance. */
static int measure_gap(const Walk *w, Py_ssize_t i, Py_ssize_t begin, Py_ssize_t end)
{
    const int16_t *vertical = w->vertical + i * w->width;
    const uint16_t *classes = w->classes;
    uint16_t *out = w->out + i * w->width;
    const double *half = w->half, left = (double)(begin - 1), right = (double)(end - 1);
    Parabola *stack = w->stack, above = {0, 0, 0, 0}; /* the stack's top */
    Mark *marks = w->marks;
    Py_ssize_t top = -1, first = w->first > begin - 1 ? w->first : begin - 1, last = w->last < end ? w->last : end;
    for (Py_ssize_t u = first; u <= last; u++) {
        int32_t rise = vertical[u];
        if (rise >= FAR)
            continue;
        rise *= rise;
        double height = (double)rise + (double)u * (double)u, start = left;
        while (top >= 0) {
            start = (height - above.height) * half[u - above.column];
            if (start > above.start)
                break;
            start = left;
            if (--top >= 0)
                above = stack[top];
        }
        if (start < right) {
            above.height = height;
            above.start = start;
            above.column = (int32_t)u;
            above.rise = rise;
            stack[++top] = above;
        }
    }
    if (top < 0) {
        for (Py_ssize_t j = begin; j < end; j++)
            out[j] = classes[FAR_SQUARED];
        return 0;
    }
    memset(marks, 0, (size_t)(end - begin) * sizeof *marks);
    for (Py_ssize_t k = 1; k <= top; k++) {
        Mark *mark = marks + ((Py_ssize_t)(stack[k].start + 1) - begin);
        mark->next = stack[k].column + 1;
        mark->rise = stack[k].rise;
    }
    Mark nearest = {stack[0].column + 1, stack[0].rise};
    for (Py_ssize_t j = begin; j < end; j++) {
        Mark here = marks[j - begin];
        nearest = here.next ? here : nearest;
        int64_t apart = j + 1 - nearest.next, squared = apart * apart + nearest.rise;
        out[j] = classes[squared < FAR_SQUARED ? squared : FAR_SQUARED];
        if (squared <= RING_SQUARED && (append(w->ring, i * w->width + j) ||
                                        append(w->nearest, nearest_pixel(w->mask, w->height, w->width, i, j, squared))))
            return -1;
    }
    return 0;
}

/* The foreground's box: top, bottom, left and right, of which bottom and right lie beyond it. */
static void find_box(const uint8_t *mask, Py_ssize_t height, Py_ssize_t width, Py_ssize_t box[4])
{
    Py_ssize_t first = width, last = -1;
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
}

static int measure_rows(const Walk *w)
{
    for (Py_ssize_t i = 0; i < w->height; i++) {
        const uint8_t *row = w->mask + i * w->width;
        uint16_t *out = w->out + i * w->width;
        if (i)
            columns_from_above(w->vertical, i, w->width);
        for (Py_ssize_t j = 0, end; j < w->width; j = end) {
            const int foreground = row[j];
            const uint8_t *stop = memchr(row + j, !foreground, (size_t)(w->width - j));
            end = stop ? stop - row : w->width;
            if (!foreground && measure_gap(w, i, j, end))
                return -1;
            for (Py_ssize_t k = j; foreground && k < end; k++)
                out[k] = w->classes[0];
        }
    }
    return 0;
}

static int measure_distances(const uint8_t *mask, Py_ssize_t height, Py_ssize_t width, const uint16_t *classes,
                             uint16_t *out, Indices *ring, Indices *nearest, Py_ssize_t box[4])
{
    find_box(mask, height, width, box);
    Walk w = {mask, height, width, classes, out, ring, nearest, box[2], box[3] - 1, NULL, NULL, NULL, NULL};
    w.vertical = malloc((size_t)(height * width) * sizeof *w.vertical);
    w.stack = malloc((size_t)(width + 1) * sizeof *w.stack);
    w.marks = malloc((size_t)width * sizeof *w.marks);
    w.half = malloc((size_t)(width + 1) * sizeof *w.half);
    int failed = !w.vertical || !w.stack || !w.marks || !w.half;
    if (!failed) {
        w.half[0] = 0;
        for (Py_ssize_t n = 1; n <= width; n++)
            w.half[n] = 0.5 / (double)n;
        columns_from_below(mask, height, width, w.vertical);
        failed = measure_rows(&w);
    }
    free(w.vertical);
    free(w.stack);
    free(w.marks);
    free(w.half);
    return failed;
}

PyObject *distances(PyObject *Py_UNUSED(module), PyObject *args)
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
