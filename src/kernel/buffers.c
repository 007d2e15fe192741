/* Arrays that callers hand over: type, shape, contiguity and alignment are checked before they are read. */

#include "kernel.h"

#include <string.h>

const Py_ssize_t ANY_SHAPE[2] = {-1, -1};

int open_buffer(PyObject *object, Py_buffer *view, const char *name, const char *formats, Py_ssize_t itemsize, int ndim,
                const Py_ssize_t *shape, int writable)
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

int open_picture(PyObject *object, Py_buffer *view, const char *name, const char *formats, Py_ssize_t itemsize,
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

int open_vector(PyObject *object, Py_buffer *view, const char *name, const char *formats, Py_ssize_t itemsize,
                Py_ssize_t length, int writable)
{
    return open_buffer(object, view, name, formats, itemsize, 1, &length, writable);
}
