/* Sums of floats that do not depend on their order, see standout.metrics.sums. */

#include "kernel.h"

#include <math.h>

PyObject *add(PyObject *Py_UNUSED(module), PyObject *args)
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
