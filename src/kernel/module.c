/* The module `standout.metrics._kernel`: what it offers. */

#include "kernel.h"

static PyMethodDef methods[] = {
    {"centroid", centroid, METH_VARARGS,
     PyDoc_STR("centroid(mask) -> (row, column), rounded half to even, plus 1; the middle of an empty mask")},
    {"count", count, METH_VARARGS,
     PyDoc_STR("count(levels, mask, row, column, counts): fill the joint histogram (4, 2, 256) int64")},
    {"numbers", numbers, METH_VARARGS,
     PyDoc_STR("numbers(counts, stretch, values, right, wrong) -> (pixels, foreground, mae, f_adaptive, s, e_adaptive, "
               "iou, constant): also fill the 256 values and the pixels found at thresholds 255 to 0")},
    {"curves", curves, METH_VARARGS,
     PyDoc_STR("curves(right, wrong, foreground, pixels, out): fill precision, recall, F and E, (4, 256) float64")},
    {"distances", distances, METH_VARARGS,
     PyDoc_STR("distances(mask, classes, out) -> (ring, nearest, box): fill the class of each pixel's squared distance, "
               "and return the pixels near the foreground, their nearest foreground pixels (bytes of ssize_t), and the "
               "foreground's (top, bottom, left, right)")},
    {"weigh", weigh, METH_VARARGS,
     PyDoc_STR("weigh(levels, mask, values, weights, taps, classes, ring, nearest, box) -> (missed, wrong): the sums of "
               "weighted F")},
    {"add", add, METH_VARARGS,
     PyDoc_STR("add(values, parts): split each number into four integers and add them, see standout.metrics.sums")},
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
