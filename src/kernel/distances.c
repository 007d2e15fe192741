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
