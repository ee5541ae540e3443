// A linear layer by products of 8-bit integers, with AVX512-VNNI. Optional: models/encoders/int8.py does the same without
// it, slower and to the same bits. Compile with -ffp-contract=off: fused multiply-adds round once where torch rounds twice.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <immintrin.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
#define INLINE static inline __attribute__((always_inline))
#define UNROLLED _Pragma("GCC unroll 8") for

static const float LEAST = 1e-30f;  // a row below it is zeros: 127 / it would overflow
// 1.5 * 2^23, added, rounds half to even and leaves the integer in the low byte; 128 makes it unsigned, as VNNI wants.
static const float ROUNDING = 12582912.0f + 128.0f;
enum { OUTLIERS = 2, LEVELS = 127, MAGNITUDE = 0x7fffffff };
enum { LANES = 16, VECTORS = 4, COLUMNS = LANES * VECTORS, ROWS = 6, DEPTH = 4 };  // of the tile that registers hold

typedef struct {
    const float *x;                       // (M, K)
    const int8_t *packed;                 // (N / COLUMNS, K / DEPTH, COLUMNS, DEPTH), N and K rounded up
    const int32_t *start;                 // (N,) what sums begin with, as rows are raised by 128
    const float *columns, *bias, *weight; // (N,) scales, (N,), (K, N) for the outliers
    float *out;                           // (M, N as it is)
    size_t rows, width, depth, outputs, padded;  // M, K, K rounded up, N, N rounded up
    uint8_t *q;                           // (M rounded up, K rounded up) and what else is known of the rows:
    float *left, *scale, *value;          // (K,), (M,), (M, OUTLIERS)
    int32_t *place;                       // (M, OUTLIERS)
} Layer;

INLINE int32_t bits_of(float number) {
    int32_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

// The largest of a row's magnitudes, as bits; without their sign floats sort as their bits do.
INLINE int32_t largest_of(const float *x, int32_t width) {
    int32_t top = 0;
    for (int32_t k = 0; k < width; k++) {
        int32_t size = bits_of(x[k]) & MAGNITUDE;
        top = size > top ? size : top;
    }
    return top;
}

// Moves the outliers of a row `left` to `value` and `place`; the rest becomes `q` - 128 times the scale that is returned.
VNNI static float quantise_row(float *restrict left, int32_t width, uint8_t *restrict q, float *restrict value,
                               int32_t *restrict place) {
    for (int32_t n = 0; n < OUTLIERS; n++) {
        const int32_t top = largest_of(left, width);
        int32_t first = width;
        for (int32_t k = 0; k < width; k++) {
            int32_t here = (bits_of(left[k]) & MAGNITUDE) == top ? k : width;
            first = here < first ? here : first;
        }
        place[n] = first;
        value[n] = left[first];
        left[first] = 0.0f;
    }
    const int32_t top = largest_of(left, width);
    float largest;
    memcpy(&largest, &top, sizeof largest);
    const float steps = largest > LEAST ? LEVELS / largest : 0.0f;
    for (int32_t k = 0; k < width; k++) q[k] = (uint8_t)bits_of(left[k] * steps + ROUNDING);
    return largest > LEAST ? largest / LEVELS : 0.0f;
}

// ROWS rows from `row` on, COLUMNS columns from `column` on: sums of products, then floats.
VNNI static void tile(const Layer *l, size_t row, size_t column) {
    __m512i sum[ROWS][VECTORS];
    UNROLLED(int r = 0; r < ROWS; r++) UNROLLED(int v = 0; v < VECTORS; v++)
        sum[r][v] = _mm512_loadu_si512(l->start + column + v * LANES);
    const uint8_t *q = l->q + row * l->depth;
    const int8_t *packed = l->packed + column * l->depth;
    for (size_t k = 0; k < l->depth; k += DEPTH, packed += COLUMNS * DEPTH) {
        __m512i weights[VECTORS];
        UNROLLED(int v = 0; v < VECTORS; v++) weights[v] = _mm512_loadu_si512(packed + v * LANES * DEPTH);
        UNROLLED(int r = 0; r < ROWS; r++) {
            int32_t four;
            memcpy(&four, q + r * l->depth + k, sizeof four);
            const __m512i same = _mm512_set1_epi32(four);
            UNROLLED(int v = 0; v < VECTORS; v++) sum[r][v] = _mm512_dpbusd_epi32(sum[r][v], same, weights[v]);
        }
    }
    UNROLLED(int r = 0; r < ROWS; r++) {
        if (row + r >= l->rows) return;
        const __m512 scale = _mm512_set1_ps(l->scale[row + r]);
        UNROLLED(int v = 0; v < VECTORS; v++) {
            const size_t at = column + v * LANES;
            __m512 y = _mm512_mul_ps(_mm512_cvtepi32_ps(sum[r][v]), scale);
            y = _mm512_mul_ps(y, _mm512_loadu_ps(l->columns + at));
            UNROLLED(int n = 0; n < OUTLIERS; n++) {
                const size_t place = (row + r) * OUTLIERS + n;
                const __m512 weight = _mm512_loadu_ps(l->weight + l->place[place] * l->padded + at);
                y = _mm512_add_ps(y, _mm512_mul_ps(_mm512_set1_ps(l->value[place]), weight));
            }
            y = _mm512_add_ps(y, _mm512_loadu_ps(l->bias + at));
            const size_t some = at < l->outputs ? l->outputs - at : 0;
            const __mmask16 mask = some < LANES ? (__mmask16)((1u << some) - 1) : 0xffff;
            _mm512_mask_storeu_ps(l->out + (row + r) * l->outputs + at, mask, y);
        }
    }
}

static void run(const Layer *l) {
    for (size_t i = 0; i < l->rows; i++) {
        memcpy(l->left, l->x + i * l->width, sizeof(float) * l->width);
        l->scale[i] = quantise_row(l->left, (int32_t)l->width, l->q + i * l->depth, l->value + i * OUTLIERS, l->place + i * OUTLIERS);
    }
    for (size_t column = 0; column < l->padded; column += COLUMNS)
        for (size_t row = 0; row < l->rows; row += ROWS) tile(l, row, column);
}

static size_t rounded(size_t count, size_t to) { return (count + to - 1) / to * to; }

static PyObject *linear(PyObject *self, PyObject *args) {
    Py_buffer x, packed, start, columns, bias, weight, out;
    Py_ssize_t rows, width, outputs;
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*y*w*nnn", &x, &packed, &start, &columns, &bias, &weight, &out, &rows, &width, &outputs))
        return NULL;
    Layer l = {.x = x.buf, .packed = packed.buf, .start = start.buf, .columns = columns.buf, .bias = bias.buf, .weight = weight.buf,
               .out = out.buf, .rows = (size_t)rows, .width = (size_t)width, .outputs = (size_t)outputs};
    const size_t padded = l.padded = rounded(l.outputs, COLUMNS), depth = l.depth = rounded(l.width, DEPTH);
    const char *wrong = NULL;
    if (rows < 0 || width < OUTLIERS || width > 1 << 16 || outputs < 1 || outputs > 1 << 24) wrong = "sizes out of range";
    else if (x.len != 4 * rows * width || out.len != 4 * rows * outputs || (size_t)packed.len != padded * depth ||
             (size_t)start.len != 4 * padded || columns.len != start.len || bias.len != start.len ||
             (size_t)weight.len != 4 * padded * l.width)
        wrong = "buffers that do not fit one another";
    else if (!__builtin_cpu_supports("avx512vnni") || !__builtin_cpu_supports("avx512bw")) wrong = "a CPU without AVX512-VNNI";
    else if (!(l.q = calloc(rounded(l.rows, ROWS) * depth + 4 * (l.width + l.rows * (1 + 2 * OUTLIERS)), 1))) wrong = "no memory";
    else {
        l.left = (float *)(l.q + rounded(l.rows, ROWS) * depth), l.scale = l.left + width, l.value = l.scale + rows;
        l.place = (int32_t *)(l.value + OUTLIERS * rows);
        Py_BEGIN_ALLOW_THREADS
        run(&l);
        Py_END_ALLOW_THREADS
        free(l.q);
    }
    Py_buffer *all[] = {&x, &packed, &start, &columns, &bias, &weight, &out};
    for (size_t n = 0; n < sizeof all / sizeof *all; n++) PyBuffer_Release(all[n]);
    if (wrong) return PyErr_Format(PyExc_ValueError, "linear: expected buffers of one layer; found %s.", wrong);
    Py_RETURN_NONE;
}

static PyObject *supported(PyObject *self, PyObject *args) {
    return PyBool_FromLong(__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw"));
}

static PyMethodDef methods[] = {
    {"linear", linear, METH_VARARGS, "Fill `out` with the layer's outputs for the rows of `x`."},
    {"supported", supported, METH_NOARGS, "Whether this CPU has AVX512-VNNI."},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "models._int8", "Linear layers in 8 bits.", -1, methods};

PyMODINIT_FUNC PyInit__int8(void) { return PyModule_Create(&module); }
