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
enum { OUTLIERS = 2, LEVELS = 127 };
enum { LANES = 16, VECTORS = 4, COLUMNS = LANES * VECTORS, ROWS = 6, DEPTH = 4 };  // of the tile that registers hold

typedef struct {
    const float *x;                       // (M, K)
    const int8_t *packed;                 // (N / COLUMNS, K / DEPTH, COLUMNS, DEPTH), N and K rounded up
    const int32_t *start;                 // (N,) what sums begin with, as rows are raised by 128
    const float *columns, *bias, *weight; // (N,) scales, (N,), (K, N) for the outliers
    float *out;                           // (M, N as it is)
    size_t rows, width, depth, outputs, padded;  // M, K, K rounded up, N, N rounded up
    uint8_t *q;                           // (M rounded up, K rounded up) and, for every row:
    float *scale, *value;                 // (M,), (M, OUTLIERS)
    int32_t *place;                       // (M, OUTLIERS)
} Layer;

// LANES numbers of a row of `width` from `k` on, and zeros behind its end; as bits, where those without sign sort as floats do.
VNNI INLINE __m512i numbers(const float *x, size_t k, size_t width) {
    return _mm512_maskz_loadu_epi32(width - k < LANES ? (__mmask16)((1u << (width - k)) - 1) : 0xffff, x + k);
}

VNNI INLINE __m512i magnitudes(const float *x, size_t k, size_t width) {
    return _mm512_and_si512(numbers(x, k, width), _mm512_set1_epi32(0x7fffffff));
}

// The first place from `k` on of a magnitude that the row has.
VNNI INLINE size_t place_of(int32_t magnitude, const float *x, size_t k, size_t width) {
    for (; k < width; k += LANES) {
        const __mmask16 equal = _mm512_cmpeq_epi32_mask(magnitudes(x, k, width), _mm512_set1_epi32(magnitude));
        if (equal) return k + (size_t)__builtin_ctz(equal);
    }
    return 0;
}

// A row's outliers go to `value` and `place`; the rest becomes `q` - 128 times the scale that is returned.
VNNI static float quantise_row(const float *x, size_t width, uint8_t *q, float *value, int32_t *place) {
    __m512i first = _mm512_setzero_si512(), second = first, third = first;  // of each lane
    for (size_t k = 0; k < width; k += LANES) {
        __m512i smaller, next = magnitudes(x, k, width);
        smaller = _mm512_min_epi32(first, next), first = _mm512_max_epi32(first, next);
        next = _mm512_min_epi32(second, smaller), second = _mm512_max_epi32(second, smaller);
        third = _mm512_max_epi32(third, next);
    }
    int32_t top[OUTLIERS + 1];  // of the row
    UNROLLED(int n = 0; n <= OUTLIERS; n++) {
        top[n] = _mm512_reduce_max_epi32(first);
        __mmask16 lane = _mm512_cmpeq_epi32_mask(first, _mm512_set1_epi32(top[n]));
        lane &= -lane;
        first = _mm512_mask_mov_epi32(first, lane, second), second = _mm512_mask_mov_epi32(second, lane, third);
    }
    float largest;
    memcpy(&largest, &top[OUTLIERS], sizeof largest);
    const float steps = largest > LEAST ? LEVELS / largest : 0.0f;
    for (size_t k = 0; k < width; k += LANES) {
        const __m512 scaled = _mm512_mul_ps(_mm512_castsi512_ps(numbers(x, k, width)), _mm512_set1_ps(steps));
        const __m512i whole = _mm512_castps_si512(_mm512_add_ps(scaled, _mm512_set1_ps(ROUNDING)));
        _mm_storeu_si128((void *)(q + k), _mm512_cvtepi32_epi8(whole));
    }
    for (int n = 0; n < OUTLIERS; n++) {
        const size_t from = n && top[n] == top[n - 1] ? (size_t)place[n - 1] + 1 : 0;
        place[n] = (int32_t)place_of(top[n], x, from, width);
        value[n] = x[place[n]];
        q[place[n]] = 128;
    }
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
    for (size_t i = 0; i < l->rows; i++)
        l->scale[i] = quantise_row(l->x + i * l->width, l->width, l->q + i * l->depth, l->value + i * OUTLIERS, l->place + i * OUTLIERS);
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
    const size_t q_bytes = rounded(l.rows, ROWS) * depth + LANES;  // a row's last vector may reach into the next row
    const char *wrong = NULL;
    if (rows < 0 || rows > x.len || width < OUTLIERS || width > 1 << 16 || outputs < 1 || outputs > 1 << 24) wrong = "sizes out of range";
    else if (x.len != 4 * rows * width || out.len != 4 * rows * outputs || (size_t)packed.len != padded * depth ||
             (size_t)start.len != 4 * padded || columns.len != start.len || bias.len != start.len ||
             (size_t)weight.len != 4 * padded * l.width)
        wrong = "buffers that do not fit one another";
    else if (!__builtin_cpu_supports("avx512vnni") || !__builtin_cpu_supports("avx512bw")) wrong = "a CPU without AVX512-VNNI";
    else if (!(l.q = calloc(q_bytes + sizeof(float) * l.rows * (1 + 2 * OUTLIERS), 1))) wrong = "no memory";
    else {
        l.scale = (float *)(l.q + q_bytes), l.value = l.scale + rows;
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
