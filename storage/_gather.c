// Gathering of transition batches. Optional: storage works without it, slower and to the same bytes.
//
// A batch is far larger than any cache and is read once, so whole cache lines of it are written around the caches
// ("streaming" stores): the memory then sees one write per line rather than a read and a write.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define PREFETCH(address) _mm_prefetch((const char *)(address), _MM_HINT_T0)
#else
#define PREFETCH(address) __builtin_prefetch(address)
#endif

enum { LINE = 64, MAX_FRAME = 1024, MAX_THREADS = 64, ROWS_PER_LINE = 64, EVENTS_AHEAD = 12 };

// What all threads read, and where they write; `unit` is the size of one number: 4, or 2 for half precision.
typedef struct {
    const int64_t *starts, *offset;
    const int32_t *item;
    const uint8_t *code;
    const char *embedding, *rewards, *flags;  // (I, width) units, (256,) units by code, {0, 1} in units
    char *observation, *action, *reward, *next, *terminal;
    size_t users, frame, width, unit;
} Batch;

typedef void Run(const void *work, size_t begin, size_t end);

typedef struct {
    const void *work;
    size_t begin, end;
    Run *run;
} Share;

// Is there a history that ends before event `end`? `offset` rises from 0 to the number of events.
static inline int ends_a_history(const int64_t *offset, size_t users, int64_t end) {
    const int64_t *low = offset;
    size_t left = users + 1;
    while (left > 1) {
        size_t half = left / 2;
        low += (low[half] <= end) ? half : 0;
        left -= half;
    }
    return *low == end;
}

// An output written from front to back; `line` holds what does not fill a cache line yet.
typedef struct {
    char line[LINE] __attribute__((aligned(LINE)));
    char *at;
    size_t held;
} Stream;

static inline __attribute__((always_inline)) void one_unit(char *to, const char *from, size_t unit) {
    if (unit == 4)
        memcpy(to, from, 4);
    else
        memcpy(to, from, 2);
}

#define DEFINE_RUN(NAME, TARGET, STORE_LINE)                                                                       \
    TARGET static inline void put_##NAME(Stream *out, const char *from, size_t bytes) {                            \
        if (out->held) {                                                                                           \
            size_t take = LINE - out->held < bytes ? LINE - out->held : bytes;                                     \
            memcpy(out->line + out->held, from, take);                                                             \
            out->held += take, from += take, bytes -= take;                                                        \
            if (out->held < LINE) return;                                                                          \
            STORE_LINE(out->at, out->line);                                                                        \
            out->at += LINE, out->held = 0;                                                                        \
        }                                                                                                          \
        for (; bytes >= LINE; from += LINE, bytes -= LINE, out->at += LINE) STORE_LINE(out->at, from);             \
        memcpy(out->line, from, bytes);                                                                            \
        out->held = bytes;                                                                                         \
    }                                                                                                              \
    TARGET static void run_##NAME(const void *work, size_t begin, size_t end) {                                    \
        const Batch *b = work;                                                                                     \
        const size_t unit = b->unit, row = b->width * unit, frame = b->frame;                                      \
        const size_t observed = frame * row + frame * unit;                                                        \
        Stream now = {.at = b->observation + begin * observed}, then = {.at = b->next + begin * observed};         \
        Stream action = {.at = b->action + begin * row};                                                           \
        char rewards[(MAX_FRAME + 1) * 4];                                                                         \
        for (size_t i = begin; i < end; i++) {                                                                     \
            const int64_t start = b->starts[i];                                                                    \
            if (i + EVENTS_AHEAD < end) {                                                                          \
                const int64_t far = b->starts[i + EVENTS_AHEAD];                                                   \
                PREFETCH(b->item + far), PREFETCH(b->item + far + frame), PREFETCH(b->code + far);                 \
            }                                                                                                      \
            if (i + 1 < end) {                                                                                     \
                const int32_t *items = b->item + b->starts[i + 1];                                                 \
                for (size_t f = 0; f <= frame; f++) {                                                              \
                    const char *from = b->embedding + items[f] * row;                                              \
                    for (size_t byte = 0; byte < row; byte += LINE) PREFETCH(from + byte);                         \
                }                                                                                                  \
            }                                                                                                      \
            const int32_t *items = b->item + start;                                                                \
            const uint8_t *codes = b->code + start;                                                                \
            for (size_t f = 0; f <= frame; f++) one_unit(rewards + f * unit, b->rewards + codes[f] * unit, unit);  \
            for (size_t f = 0; f < frame; f++) put_##NAME(&now, b->embedding + items[f] * row, row);               \
            put_##NAME(&now, rewards, frame * unit);                                                               \
            for (size_t f = 1; f <= frame; f++) put_##NAME(&then, b->embedding + items[f] * row, row);             \
            put_##NAME(&then, rewards + unit, frame * unit);                                                       \
            put_##NAME(&action, b->embedding + items[frame] * row, row);                                           \
            one_unit(b->reward + i * unit, rewards + frame * unit, unit);                                          \
            const int last = ends_a_history(b->offset, b->users, start + (int64_t)frame + 1);                      \
            one_unit(b->terminal + i * unit, b->flags + last * unit, unit);                                        \
        }                                                                                                          \
        memcpy(now.at, now.line, now.held);                                                                        \
        memcpy(then.at, then.line, then.held);                                                                     \
        memcpy(action.at, action.line, action.held);                                                               \
    }

// The rows of a dense file: next observations need not be read, as they are the observation moved by one event.
typedef struct {
    const char *memory, *rewards;                     // rewards: (B,) units
    const int64_t *observation_at, *action_at;        // (B,) places in memory
    char *observation, *action, *next;
    size_t frame, width, unit;
} Rows;

#define DEFINE_COPY(NAME, TARGET)                                                                                  \
    TARGET static void copy_##NAME(const void *work, size_t begin, size_t end) {                                   \
        const Rows *r = work;                                                                                      \
        const size_t unit = r->unit, row = r->width * unit, frame = r->frame;                                      \
        const size_t observed = frame * row + frame * unit;                                                        \
        Stream now = {.at = r->observation + begin * observed}, then = {.at = r->next + begin * observed};         \
        Stream action = {.at = r->action + begin * row};                                                           \
        for (size_t i = begin; i < end; i++) {                                                                     \
            const char *from = r->memory + r->observation_at[i], *chosen = r->memory + r->action_at[i];            \
            put_##NAME(&now, from, observed);                                                                      \
            put_##NAME(&then, from + row, (frame - 1) * row);                                                      \
            put_##NAME(&then, chosen, row);                                                                        \
            put_##NAME(&then, from + frame * row + unit, (frame - 1) * unit);                                      \
            put_##NAME(&then, r->rewards + i * unit, unit);                                                        \
            put_##NAME(&action, chosen, row);                                                                      \
        }                                                                                                          \
        memcpy(now.at, now.line, now.held);                                                                        \
        memcpy(then.at, then.line, then.held);                                                                     \
        memcpy(action.at, action.line, action.held);                                                               \
    }

#define COPY_LINE(to, from) memcpy(to, from, LINE)
DEFINE_RUN(portable, , COPY_LINE)
DEFINE_COPY(portable, )

#if defined(__x86_64__)
#define AVX512_LINE(to, from) _mm512_stream_si512((__m512i *)(to), _mm512_loadu_si512(from))
DEFINE_RUN(avx512, __attribute__((target("avx512f"))), AVX512_LINE)
DEFINE_COPY(avx512, __attribute__((target("avx512f"))))
#define AVX2_LINE(to, from)                                                                                       \
    (_mm256_stream_si256((__m256i *)(to), _mm256_loadu_si256((const __m256i *)(from))),                           \
     _mm256_stream_si256((__m256i *)((char *)(to) + 32), _mm256_loadu_si256((const __m256i *)((from) + 32))))
DEFINE_RUN(avx2, __attribute__((target("avx2"))), AVX2_LINE)
DEFINE_COPY(avx2, __attribute__((target("avx2"))))
#endif

#if defined(__x86_64__)
static Run *const RUNS[] = {run_portable, run_avx2, run_avx512}, *const COPIES[] = {copy_portable, copy_avx2, copy_avx512};
#else
static Run *const RUNS[] = {run_portable}, *const COPIES[] = {copy_portable};
#endif

static void *run_share(void *given) {
    Share *share = given;
    share->run(share->work, share->begin, share->end);
#if defined(__x86_64__)
    _mm_sfence();
#endif
    return NULL;
}

enum { PORTABLE, AVX2, AVX512 };

static int chosen_instructions(const char *name, uintptr_t outputs) {
#if defined(__x86_64__)
    // Streaming stores want their line's own address: only outputs that begin on one can have them.
    if (outputs % LINE == 0) {
        if (strcmp(name, "avx512") == 0 && __builtin_cpu_supports("avx512f")) return AVX512;
        if (strcmp(name, "portable") != 0 && __builtin_cpu_supports("avx2")) return AVX2;
    }
#endif
    return PORTABLE;
}

// Call `run` on shares of the rows, each on a thread of its own; shares begin on a cache line, whatever a row's width.
static void run_all(Run *run, const void *work, size_t rows, Py_ssize_t threads) {
    Share shares[MAX_THREADS];
    pthread_t workers[MAX_THREADS];
    int started[MAX_THREADS] = {0};
    size_t count = 0, wanted = threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : (size_t)threads;
    const size_t each = ((rows + wanted - 1) / wanted + ROWS_PER_LINE - 1) / ROWS_PER_LINE * ROWS_PER_LINE;
    for (size_t begin = 0; begin < rows; begin += each, count++)
        shares[count] = (Share){work, begin, begin + each < rows ? begin + each : rows, run};
    for (size_t n = 1; n < count; n++) started[n] = pthread_create(&workers[n], NULL, run_share, &shares[n]) == 0;
    if (count) run_share(&shares[0]);
    for (size_t n = 1; n < count; n++)
        if (started[n]) pthread_join(workers[n], NULL);
        else run_share(&shares[n]);
}

static void release(Py_buffer **all, size_t count) {
    for (size_t n = 0; n < count; n++) PyBuffer_Release(all[n]);
}

static PyObject *gather(PyObject *self, PyObject *args) {
    Py_buffer starts, item, code, offset, embedding, rewards, flags, observation, action, reward, next, terminal;
    Py_ssize_t frame, width, unit, threads;
    const char *instructions;
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*y*y*w*w*w*w*w*nnnns", &starts, &item, &code, &offset, &embedding, &rewards,
                          &flags, &observation, &action, &reward, &next, &terminal, &frame, &width, &unit, &threads,
                          &instructions))
        return NULL;
    Py_buffer *all[] = {&starts, &item, &code, &offset, &embedding, &rewards, &flags, &observation, &action, &reward, &next, &terminal};
    const Py_ssize_t rows = starts.len / 8, events = code.len;
    const char *wrong = NULL;
    if ((unit != 2 && unit != 4) || frame < 1 || frame > MAX_FRAME || width < 1) wrong = "sizes out of range";
    else if (item.len != 4 * events || offset.len < 16 || rewards.len != 256 * unit || flags.len != 2 * unit ||
             embedding.len % (width * unit) || reward.len != rows * unit || terminal.len != rows * unit ||
             action.len != rows * width * unit || observation.len != rows * (width + 1) * frame * unit ||
             next.len != observation.len)
        wrong = "buffers that do not fit one another";
    const int64_t *at = starts.buf;
    for (Py_ssize_t i = 0; !wrong && i < rows; i++)
        if (at[i] < 0 || at[i] >= events - frame) wrong = "a start outside the events";
    if (!wrong && rows) {
        Batch b = {starts.buf, offset.buf, item.buf, code.buf, embedding.buf, rewards.buf, flags.buf,
                   observation.buf, action.buf, reward.buf, next.buf, terminal.buf,
                   (size_t)(offset.len / 8 - 1), (size_t)frame, (size_t)width, (size_t)unit};
        const uintptr_t outputs = (uintptr_t)b.observation | (uintptr_t)b.next | (uintptr_t)b.action;
        Run *run = RUNS[chosen_instructions(instructions, outputs)];
        Py_BEGIN_ALLOW_THREADS
        run_all(run, &b, (size_t)rows, threads);
        Py_END_ALLOW_THREADS
    }
    release(all, sizeof all / sizeof *all);
    if (wrong) return PyErr_Format(PyExc_ValueError, "gather: expected buffers of one batch; found %s.", wrong);
    Py_RETURN_NONE;
}

static PyObject *copy_rows(PyObject *self, PyObject *args) {
    Py_buffer memory, observation_at, action_at, rewards, observation, action, next;
    Py_ssize_t frame, width, unit, threads;
    const char *instructions, *wrong = NULL;
    if (!PyArg_ParseTuple(args, "y*y*y*y*w*w*w*nnnns", &memory, &observation_at, &action_at, &rewards, &observation, &action,
                          &next, &frame, &width, &unit, &threads, &instructions))
        return NULL;
    Py_buffer *all[] = {&memory, &observation_at, &action_at, &rewards, &observation, &action, &next};
    const Py_ssize_t rows = observation_at.len / 8;
    if ((unit != 2 && unit != 4) || frame < 1 || frame > MAX_FRAME || width < 1) wrong = "sizes out of range";
    else if (action_at.len != 8 * rows || rewards.len != unit * rows || action.len != rows * width * unit ||
             observation.len != rows * (width + 1) * frame * unit || next.len != observation.len)
        wrong = "buffers that do not fit one another";
    const int64_t *observed = observation_at.buf, *acted = action_at.buf;
    for (Py_ssize_t i = 0; !wrong && i < rows; i++)
        if (observed[i] < 0 || observed[i] > memory.len - (width + 1) * frame * unit || acted[i] < 0 ||
            acted[i] > memory.len - width * unit)
            wrong = "a row outside the memory";
    if (!wrong) {
        Rows r = {memory.buf, rewards.buf, observed, acted, observation.buf, action.buf, next.buf,
                  (size_t)frame, (size_t)width, (size_t)unit};
        const uintptr_t outputs = (uintptr_t)r.observation | (uintptr_t)r.next | (uintptr_t)r.action;
        Run *run = COPIES[chosen_instructions(instructions, outputs)];
        Py_BEGIN_ALLOW_THREADS
        run_all(run, &r, (size_t)rows, threads);
        Py_END_ALLOW_THREADS
    }
    release(all, sizeof all / sizeof *all);
    if (wrong) return PyErr_Format(PyExc_ValueError, "copy_rows: expected buffers of one batch; found %s.", wrong);
    Py_RETURN_NONE;
}

// HDF5's Fletcher-32: sums of big-endian 16-bit words and of those sums, modulo 65,535. There a word with its bytes
// swapped is 256 times the word, so little-endian words are summed, in lanes, and the sums multiplied at the end.
enum { LANES = 16, STEPS = 256 };
typedef uint16_t Words __attribute__((vector_size(2 * LANES)));
typedef uint32_t Sums __attribute__((vector_size(4 * LANES)));

#define DEFINE_FLETCHER(NAME, TARGET)                                                                              \
    TARGET static uint32_t fletcher_##NAME(const uint8_t *data, size_t bytes) {                                    \
        const size_t words = bytes / 2;                                                                            \
        uint64_t low = 0, high = 0, any = 0;                                                                       \
        size_t at = 0;                                                                                             \
        while (words - at >= LANES) {                                                                              \
            size_t steps = (words - at) / LANES < STEPS ? (words - at) / LANES : STEPS;                            \
            Sums once = {0}, twice = {0};                                                                          \
            for (size_t k = 0; k < steps; k++) {                                                                   \
                Words word;                                                                                        \
                memcpy(&word, data + 2 * (at + k * LANES), sizeof word);                                           \
                once += __builtin_convertvector(word, Sums);                                                       \
                twice += once;                                                                                     \
            }                                                                                                      \
            high += low * (steps * LANES);                                                                         \
            for (size_t lane = 0; lane < LANES; lane++) {                                                          \
                high += (uint64_t)LANES * twice[lane] - (uint64_t)lane * once[lane];                               \
                low += once[lane];                                                                                 \
            }                                                                                                      \
            any |= low;                                                                                            \
            low %= 65535, high %= 65535;                                                                           \
            at += steps * LANES;                                                                                   \
        }                                                                                                          \
        for (; at < words; at++) {                                                                                 \
            low += (uint32_t)data[2 * at] | (uint32_t)data[2 * at + 1] << 8;                                       \
            any |= low, high += low;                                                                               \
        }                                                                                                          \
        if (bytes % 2) low += data[bytes - 1], any |= low, high += low;                                            \
        low = low % 65535 * 256 % 65535, high = high % 65535 * 256 % 65535;                                        \
        return (uint32_t)(high || !any ? high : 65535) << 16 | (uint32_t)(low || !any ? low : 65535);              \
    }

DEFINE_FLETCHER(portable, )
#if defined(__x86_64__)
DEFINE_FLETCHER(avx512, __attribute__((target("avx512f"))))
#endif

static PyObject *fletcher32(PyObject *self, PyObject *args) {
    Py_buffer data;
    const char *instructions;
    uint32_t sum;
    if (!PyArg_ParseTuple(args, "y*s", &data, &instructions)) return NULL;
    Py_BEGIN_ALLOW_THREADS
#if defined(__x86_64__)
    sum = chosen_instructions(instructions, 0) == AVX512 ? fletcher_avx512(data.buf, (size_t)data.len)
                                                         : fletcher_portable(data.buf, (size_t)data.len);
#else
    sum = fletcher_portable(data.buf, (size_t)data.len);
#endif
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&data);
    return PyLong_FromUnsignedLong(sum);
}

static PyMethodDef methods[] = {
    {"gather", gather, METH_VARARGS, "Fill five output buffers with the transitions at `starts`."},
    {"copy_rows", copy_rows, METH_VARARGS, "Fill three output buffers with rows of a dense file."},
    {"fletcher32", fletcher32, METH_VARARGS, "The checksum that HDF5 keeps of a chunk's bytes."},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "storage._gather", "Gathering of transition batches.", -1, methods};

PyMODINIT_FUNC PyInit__gather(void) { return PyModule_Create(&module); }
