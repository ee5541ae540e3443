// The passes before and after a product of 8-bit integers. Optional: models/encoders/int8.py does the same without it,
// slower and to the same bits. Compile with -ffp-contract=off: a fused multiply-add rounds once where torch rounds twice.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__gnu_linux__)
#define FOR_EACH_CPU __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOR_EACH_CPU
#endif

static const float LEAST = 1e-30f;            // a row below it is zeros: 127 / it would overflow
static const float ROUNDING = 12582912.0f;    // 1.5 * 2^23: adding it rounds half to even, and leaves an int8 in the low byte
enum { MAGNITUDE = 0x7fffffff, LEVELS = 127 };  // bits of a float without its sign, which sort as the floats do

// One row: the `outliers` largest of `left` are moved to `value` and `place`, the rest becomes `q` times the scale returned.
FOR_EACH_CPU static float quantise_row(float *left, size_t width, size_t outliers, int8_t *q, float *value, int32_t *place) {
    const int32_t count = (int32_t)width;
    int32_t *bits = (int32_t *)left, top;
    for (size_t n = 0; n <= outliers; n++) {
        top = 0;
        for (int32_t k = 0; k < count; k++) {
            int32_t size = bits[k] & MAGNITUDE;
            top = size > top ? size : top;
        }
        if (n == outliers) break;
        int32_t first = count;
        for (int32_t k = 0; k < count; k++) {
            int32_t here = (bits[k] & MAGNITUDE) == top ? k : count;
            first = here < first ? here : first;
        }
        place[n] = first;
        value[n] = left[first];
        left[first] = 0.0f;
    }
    float largest;
    memcpy(&largest, &top, sizeof largest);
    const float steps = largest > LEAST ? LEVELS / largest : 0.0f;
    for (int32_t k = 0; k < count; k++) {
        float shifted = left[k] * steps + ROUNDING;
        int32_t whole;
        memcpy(&whole, &shifted, sizeof whole);
        q[k] = (int8_t)whole;
    }
    return largest > LEAST ? largest / LEVELS : 0.0f;
}

// One row of products back to floats: y * row scale * column scale + outliers times their rows of the weight + bias.
FOR_EACH_CPU static void combine_row(const int32_t *y, float scale, const float *columns, const float *bias, size_t width,
                                     size_t outliers, const float *value, const int32_t *place, const float *weight,
                                     float *restrict out) {
    for (size_t k = 0; k < width; k++) out[k] = (float)y[k] * scale * columns[k];
    for (size_t n = 0; n < outliers; n++) {
        const float *row = weight + (size_t)place[n] * width, times = value[n];
        for (size_t k = 0; k < width; k++) out[k] += times * row[k];
    }
    for (size_t k = 0; k < width; k++) out[k] += bias[k];
}

static PyObject *finish(const char *name, const char *wrong, Py_buffer **all, size_t count) {
    for (size_t n = 0; n < count; n++) PyBuffer_Release(all[n]);
    if (wrong) return PyErr_Format(PyExc_ValueError, "%s: expected buffers of one product; found %s.", name, wrong);
    Py_RETURN_NONE;
}

static PyObject *quantise(PyObject *self, PyObject *args) {
    Py_buffer x, q, scale, value, place;
    if (!PyArg_ParseTuple(args, "y*w*w*w*w*", &x, &q, &scale, &value, &place)) return NULL;
    Py_buffer *all[] = {&x, &q, &scale, &value, &place};
    const size_t rows = (size_t)scale.len / 4, width = rows ? (size_t)q.len / rows : 0;
    const size_t outliers = rows ? (size_t)value.len / 4 / rows : 0;
    const char *wrong = NULL;
    if ((size_t)q.len != rows * width || (size_t)x.len != 4 * rows * width || width >= INT32_MAX || (rows && !width) ||
        (size_t)value.len != 4 * rows * outliers || place.len != value.len)
        wrong = "buffers that do not fit one another";
    float *left = wrong ? NULL : malloc(4 * width + 1);
    if (!wrong && !left) wrong = "no memory";
    if (!wrong) {
        Py_BEGIN_ALLOW_THREADS
        for (size_t i = 0; i < rows; i++) {
            memcpy(left, (float *)x.buf + i * width, 4 * width);
            ((float *)scale.buf)[i] = quantise_row(left, width, outliers, (int8_t *)q.buf + i * width,
                                                   (float *)value.buf + i * outliers, (int32_t *)place.buf + i * outliers);
        }
        Py_END_ALLOW_THREADS
    }
    free(left);
    return finish("quantise", wrong, all, sizeof all / sizeof *all);
}

static PyObject *combine(PyObject *self, PyObject *args) {
    Py_buffer y, scale, value, place, columns, bias, weight, out;
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*y*y*w*", &y, &scale, &value, &place, &columns, &bias, &weight, &out)) return NULL;
    Py_buffer *all[] = {&y, &scale, &value, &place, &columns, &bias, &weight, &out};
    const size_t rows = (size_t)scale.len / 4, width = (size_t)columns.len / 4;
    const size_t outliers = rows ? (size_t)value.len / 4 / rows : 0;
    const char *wrong = NULL;
    if (!width || bias.len != columns.len || (size_t)y.len != 4 * rows * width || out.len != y.len ||
        (size_t)value.len != 4 * rows * outliers || place.len != value.len || weight.len % columns.len)
        wrong = "buffers that do not fit one another";
    const int32_t *places = place.buf;
    for (size_t n = 0; !wrong && n < rows * outliers; n++)
        if (places[n] < 0 || places[n] >= weight.len / columns.len) wrong = "an outlier outside the weight";
    if (!wrong) {
        Py_BEGIN_ALLOW_THREADS
        for (size_t i = 0; i < rows; i++)
            combine_row((int32_t *)y.buf + i * width, ((float *)scale.buf)[i], columns.buf, bias.buf, width, outliers,
                        (float *)value.buf + i * outliers, places + i * outliers, weight.buf, (float *)out.buf + i * width);
        Py_END_ALLOW_THREADS
    }
    return finish("combine", wrong, all, sizeof all / sizeof *all);
}

static PyMethodDef methods[] = {
    {"quantise", quantise, METH_VARARGS, "Split rows of floats into 8-bit integers, a scale and outliers."},
    {"combine", combine, METH_VARARGS, "Rows of integer products back to floats."},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "models._int8", "Passes around 8-bit products.", -1, methods};

PyMODINIT_FUNC PyInit__int8(void) { return PyModule_Create(&module); }
