/* The measures' loops over pixels and over levels, in float64.

   Every function takes the steps of its NumPy twin in the same order, so both give the same bits: sums run in one
   stated order, nothing is contracted or reassociated (-ffp-contract=off, never -ffast-math), and every table that
   holds an exponential comes from NumPy. Memory is reached through the buffer protocol alone; each buffer's type,
   shape, contiguity and alignment are checked, and every index that a caller hands over is checked before its use. */

#ifndef STANDOUT_KERNEL_H
#define STANDOUT_KERNEL_H

#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#include <Python.h>

#include <float.h>
#include <stdint.h>

#if FLT_EVAL_METHOD != 0
#error "float64 steps must round to float64, as NumPy's do"
#endif

#define LEVELS 256
#define MOST_PIXELS INT32_MAX /* the walk counts in 32 bits */
#define REACH 3               /* half the width of the Gaussian window */

/* Opens `object` as C-contiguous memory; `shape` entries below 0 are free. Returns 0, or -1 with an error set. */
int open_buffer(PyObject *object, Py_buffer *view, const char *name, const char *formats, Py_ssize_t itemsize, int ndim,
                const Py_ssize_t *shape, int writable);

/* Opens a picture (H, W) with at least one pixel and at most MOST_PIXELS. */
int open_picture(PyObject *object, Py_buffer *view, const char *name, const char *formats, Py_ssize_t itemsize,
                 const Py_ssize_t *shape, int writable);

int open_vector(PyObject *object, Py_buffer *view, const char *name, const char *formats, Py_ssize_t itemsize,
                Py_ssize_t length, int writable);

extern const Py_ssize_t ANY_SHAPE[2]; /* of a picture */

/* What the module offers; module.c says what each does. */
PyObject *centroid(PyObject *module, PyObject *args);
PyObject *count(PyObject *module, PyObject *args);
PyObject *numbers(PyObject *module, PyObject *args);
PyObject *curves(PyObject *module, PyObject *args);
PyObject *distances(PyObject *module, PyObject *args);
PyObject *weigh(PyObject *module, PyObject *args);
PyObject *add(PyObject *module, PyObject *args);

void fill_offsets(void); /* once, before `distances` */

#endif
