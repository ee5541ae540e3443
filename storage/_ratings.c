// Parsing and sorting of ratings. Optional: storage works without it, slower and to the same bytes
// (storage/sources/movielens/ratings_parsing.py and storage/dataset/histories.py hold the pure counterparts and the grammar in words).
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned char byte;
#if defined(__GNUC__)
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#else
#define ALWAYS_INLINE static inline
#endif

// ---- parsing -------------------------------------------------------------------------------------------------------

enum { USER, MOVIE, RATING, TIMESTAMP, IGNORED };  // roles of a field; the first four are its place in `value`

static const byte USUAL[4] = {USER, MOVIE, RATING, TIMESTAMP};  // compiled apart, for speed

typedef struct {
    const byte *delimiter, *roles;
    Py_ssize_t delimiter_length, fields;
    double lowest, step;
    int codes;
    byte tenths[100];  // code of the ratings 0.0 … 9.9
    int64_t time_limit;
    const int64_t *known;  // movie ids, ascending
    Py_ssize_t movies;
    const int32_t *direct;  // item index of a small movie id or -1; empty where ids are large
    Py_ssize_t direct_length;
} Grammar;

typedef struct {
    Py_ssize_t line, start, stop;
} BadLine;

static const double POWERS_OF_TEN[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6};

// 1 … codes, or 0 where the rating is not on the scale.
static int code_of(const Grammar *grammar, double rating) {
    double place = (rating - grammar->lowest) / grammar->step, nearest = rint(place);
    return fabs(place - nearest) <= 1e-6 && nearest >= 0 && nearest < grammar->codes ? (int)nearest + 1 : 0;
}

// -?[0-9]{1,18}; every line ends in LF, which ends a number.
ALWAYS_INLINE int whole_number(const byte **at, int64_t *value) {
    const byte *p = *at;
    const int negative = *p == '-';
    const byte *first = p += negative;
    uint64_t sum = 0;
    unsigned digit;
    while ((digit = (unsigned)*p - '0') <= 9) sum = sum * 10 + digit, p++;
    const Py_ssize_t digits = p - first;
    *at = p;
    *value = negative ? -(int64_t)sum : (int64_t)sum;
    return digits >= 1 && digits <= 18;
}

// -?[0-9]{1,9}(\.[0-9]{1,6})? → its code, or 0.
ALWAYS_INLINE int rating_code(const Grammar *grammar, const byte **at) {
    const byte *p = *at;
    unsigned digit = (unsigned)*p - '0';
    if (digit <= 9 && p[1] == '.') {  // nearly always: one digit, one decimal
        unsigned tenth = (unsigned)p[2] - '0';
        if (tenth <= 9 && (unsigned)p[3] - '0' > 9) {
            *at = p + 3;
            return grammar->tenths[10 * digit + tenth];
        }
    }
    const int negative = *p == '-';
    const byte *first = p += negative;
    int64_t sum = 0;
    while ((digit = (unsigned)*p - '0') <= 9 && p - first < 10) sum = sum * 10 + digit, p++;
    if (p == first || p - first > 9) return 0;
    Py_ssize_t decimals = 0;
    if (*p == '.') {
        for (first = ++p; (digit = (unsigned)*p - '0') <= 9 && p - first < 7; p++) sum = sum * 10 + digit;
        decimals = p - first;
        if (decimals < 1 || decimals > 6) return 0;
    }
    *at = p;
    const double rating = (double)sum / POWERS_OF_TEN[decimals];
    return code_of(grammar, negative ? -rating : rating);
}

ALWAYS_INLINE int32_t item_of(const Grammar *grammar, int64_t movie) {
    if (grammar->direct_length) return (uint64_t)movie < (uint64_t)grammar->direct_length ? grammar->direct[movie] : -1;
    Py_ssize_t low = 0, high = grammar->movies;
    while (low < high) {
        Py_ssize_t middle = low + (high - low) / 2;
        if (grammar->known[middle] < movie) low = middle + 1; else high = middle;
    }
    return low < grammar->movies && grammar->known[low] == movie ? (int32_t)low : -1;
}

ALWAYS_INLINE int at_delimiter(const byte *p, const byte *delimiter, Py_ssize_t length) {
    for (Py_ssize_t i = 0; i < length; i++)  // a delimiter holds no LF, so this ends at one
        if (p[i] != delimiter[i]) return 0;
    return 1;
}

// One line from `*at` on; leaves `*at` behind its LF. 0 where it does not follow the grammar.
ALWAYS_INLINE int parse_line(const Grammar *grammar, const byte *roles, Py_ssize_t fields, Py_ssize_t delimiter_length,
                             const byte **at, int64_t value[4]) {
    const byte *p = *at;
    for (Py_ssize_t field = 0; field < fields; field++) {
        if (field) {
            if (!at_delimiter(p, grammar->delimiter, delimiter_length)) return 0;
            p += delimiter_length;
        }
        const byte role = roles[field];
        if (role == RATING) {
            if (!(value[RATING] = rating_code(grammar, &p))) return 0;
        } else if (role != IGNORED) {
            if (!whole_number(&p, &value[role])) return 0;
        } else {
            for (; *p != '\n' && !at_delimiter(p, grammar->delimiter, delimiter_length); p++)
                if (*p == '"' || *p == 0) return 0;
        }
    }
    p += *p == '\r';
    if (*p != '\n' || (uint64_t)value[TIMESTAMP] >= (uint64_t)grammar->time_limit) return 0;
    *at = p + 1;
    return 1;
}

static PyObject *parse(PyObject *self, PyObject *args) {
    Py_buffer data, delimiter, roles, known, direct, user, item, code, timestamp;
    Grammar grammar;
    if (!PyArg_ParseTuple(args, "y*y*y*(ddi)Ly*y*w*w*w*w*", &data, &delimiter, &roles, &grammar.lowest, &grammar.step,
                          &grammar.codes, &grammar.time_limit, &known, &direct, &user, &item, &code, &timestamp))
        return NULL;
    grammar.delimiter = delimiter.buf, grammar.delimiter_length = delimiter.len;
    grammar.roles = roles.buf, grammar.fields = roles.len;
    grammar.known = known.buf, grammar.movies = known.len / 8;
    grammar.direct = direct.buf, grammar.direct_length = direct.len / 4;
    for (int tenth = 0; tenth < 100; tenth++) grammar.tenths[tenth] = (byte)code_of(&grammar, tenth / 10.0);

    const byte *begin = data.buf, *end = begin + data.len, *p = begin;
    const Py_ssize_t room = code.len;
    Py_ssize_t events = 0, lines = 0, rows = 0, unknown = 0, bad = 0, bad_room = 0;
    BadLine *bad_lines = NULL;
    const int usual = grammar.fields == 4 && !memcmp(grammar.roles, USUAL, 4) && grammar.delimiter_length == 1;
    const char *fault = NULL;
    if (data.len && end[-1] != '\n') fault = "data must end in LF";
    if (user.len < 8 * room || item.len < 4 * room || timestamp.len < 8 * room || room < data.len / 8)
        fault = "outputs must have room for a row per eight bytes";
    int seen[IGNORED + 1] = {0};
    for (Py_ssize_t field = 0; field < grammar.fields; field++)
        if (grammar.roles[field] > IGNORED) fault = "unknown role";
        else seen[grammar.roles[field]]++;
    for (int role = 0; role < IGNORED; role++)
        if (seen[role] != 1) fault = "every role must come once";

    Py_BEGIN_ALLOW_THREADS
    while (!fault && p < end) {
        const byte *start = p;
        int64_t value[4] = {0};
        lines++;
        if (*p == '\n' || (*p == '\r' && p[1] == '\n')) {  // empty
            p += 1 + (*p == '\r');
            continue;
        }
        rows++;
        if (usual ? parse_line(&grammar, USUAL, 4, 1, &p, value)
                  : parse_line(&grammar, grammar.roles, grammar.fields, grammar.delimiter_length, &p, value)) {
            const int32_t index = item_of(&grammar, value[MOVIE]);
            // Written in any case, kept only if the movie is known: no branch to mispredict.
            ((int64_t *)user.buf)[events] = value[USER];
            ((int32_t *)item.buf)[events] = index;
            ((byte *)code.buf)[events] = (byte)value[RATING];
            ((int64_t *)timestamp.buf)[events] = value[TIMESTAMP];
            events += index >= 0, unknown += index < 0;
            continue;
        }
        p = (const byte *)memchr(start, '\n', end - start) + 1;
        if (bad == bad_room) {
            bad_room = bad_room ? 2 * bad_room : 16;
            BadLine *grown = realloc(bad_lines, bad_room * sizeof(BadLine));
            if (!grown) { fault = "out of memory"; break; }
            bad_lines = grown;
        }
        bad_lines[bad++] = (BadLine){lines - 1, start - begin, p - 1 - begin};
    }
    Py_END_ALLOW_THREADS

    PyObject *result = NULL, *list = fault ? NULL : PyList_New(bad);
    if (fault) PyErr_SetString(PyExc_ValueError, fault);
    for (Py_ssize_t i = 0; list && i < bad; i++) {
        PyObject *entry = Py_BuildValue("nnn", bad_lines[i].line, bad_lines[i].start, bad_lines[i].stop);
        if (!entry) Py_CLEAR(list); else PyList_SET_ITEM(list, i, entry);
    }
    if (list) result = Py_BuildValue("nnnnN", events, lines, rows, unknown, list);
    free(bad_lines);
    Py_buffer *all[] = {&data, &delimiter, &roles, &known, &direct, &user, &item, &code, &timestamp};
    for (int i = 0; i < 9; i++) PyBuffer_Release(all[i]);
    return result;
}

// ---- sorting -------------------------------------------------------------------------------------------------------

enum { SHORT = 48, FEW = 16 };

typedef struct {  // each with room for the longest history
    uint64_t *key, *other;
    int32_t *item;
    byte *code;
} Scratch;

// Sort keys by their upper half, stably; the lower half is a place, ascending at first.
static void sort_keys(uint64_t *key, uint64_t *other, Py_ssize_t n) {
    if (n <= SHORT) {
        for (Py_ssize_t i = 1; i < n; i++) {
            uint64_t moved = key[i];
            Py_ssize_t j = i;
            for (; j && key[j - 1] > moved; j--) key[j] = key[j - 1];
            key[j] = moved;
        }
        return;
    }
    uint32_t counts[4][256] = {{0}};
    for (Py_ssize_t i = 0; i < n; i++)
        for (int digit = 0; digit < 4; digit++) counts[digit][(byte)(key[i] >> (32 + 8 * digit))]++;
    uint64_t *from = key, *to = other;
    for (int digit = 0; digit < 4; digit++) {
        const int shift = 32 + 8 * digit;
        uint32_t *count = counts[digit], sum = 0;
        if (count[(byte)(from[0] >> shift)] == n) continue;  // all alike
        for (int value = 0; value < 256; value++) {
            uint32_t next = sum + count[value];
            count[value] = sum, sum = next;
        }
        for (Py_ssize_t i = 0; i < n; i++) to[count[(byte)(from[i] >> shift)]++] = from[i];
        uint64_t *swapped = from;
        from = to, to = swapped;
    }
    if (from != key) memcpy(key, from, n * sizeof(uint64_t));
}

// Bring one history into time order; equal seconds keep their order.
static void sort_history(int32_t *item, byte *code, uint32_t *timestamp, Py_ssize_t n, Scratch *scratch) {
    Py_ssize_t i = 1;
    while (i < n && timestamp[i - 1] <= timestamp[i]) i++;
    if (i >= n) return;
    for (i = 0; i < n; i++) scratch->key[i] = (uint64_t)timestamp[i] << 32 | (uint64_t)i;
    sort_keys(scratch->key, scratch->other, n);
    memcpy(scratch->item, item, n * sizeof(int32_t));
    memcpy(scratch->code, code, n);
    for (i = 0; i < n; i++) {
        const uint32_t place = (uint32_t)scratch->key[i];
        item[i] = scratch->item[place], code[i] = scratch->code[place], timestamp[i] = scratch->key[i] >> 32;
    }
}

// Mark in scratch->code which of n events of one second repeat an earlier one's item; count those of another rating.
static void mark_repeated(const int32_t *item, const byte *code, Py_ssize_t n, Scratch *scratch, int64_t *contradicting) {
    memset(scratch->code, 0, n);
    if (n <= FEW) {
        for (Py_ssize_t i = 1; i < n; i++)
            for (Py_ssize_t j = 0; j < i; j++)
                if (item[j] == item[i]) {
                    scratch->code[i] = 1, *contradicting += code[i] != code[j];
                    break;
                }
        return;
    }
    for (Py_ssize_t i = 0; i < n; i++) scratch->key[i] = (uint64_t)item[i] << 32 | (uint64_t)i;
    sort_keys(scratch->key, scratch->other, n);
    for (Py_ssize_t i = 1, first = 0; i < n; i++) {
        const uint32_t place = (uint32_t)scratch->key[i], leader = (uint32_t)scratch->key[first];
        if (scratch->key[i] >> 32 != scratch->key[first] >> 32) first = i;
        else scratch->code[place] = 1, *contradicting += code[place] != code[leader];
    }
}

// Close the gaps of repeated events in a history in time order; returns how many stay.
static Py_ssize_t drop_repeated(int32_t *item, byte *code, uint32_t *timestamp, Py_ssize_t n, Scratch *scratch,
                                int64_t *contradicting) {
    Py_ssize_t kept = 0;
    for (Py_ssize_t first = 0, next; first < n; first = next) {
        for (next = first + 1; next < n && timestamp[next] == timestamp[first];) next++;
        const int tied = next - first > 1;
        if (tied) mark_repeated(item + first, code + first, next - first, scratch, contradicting);
        for (Py_ssize_t i = first; i < next; i++) {
            if (tied && scratch->code[i - first]) continue;
            item[kept] = item[i], code[kept] = code[i], timestamp[kept] = timestamp[i], kept++;
        }
    }
    return kept;
}

static PyObject *sort(PyObject *self, PyObject *args) {
    Py_buffer length, item, code, timestamp, rated;
    if (!PyArg_ParseTuple(args, "w*w*w*w*w*", &length, &item, &code, &timestamp, &rated)) return NULL;
    const Py_ssize_t users = length.len / 8;
    int64_t *lengths = length.buf, longest = 0, total = 0, contradicting = 0, kept = 0;
    const char *fault = NULL;
    for (Py_ssize_t user = 0; user < users; user++) {
        if (lengths[user] < 0) fault = "lengths must not be negative";
        if (lengths[user] > longest) longest = lengths[user];
        total += lengths[user];
    }
    if (total != code.len || item.len != 4 * total || timestamp.len != 4 * total || total >= UINT32_MAX)
        fault = "lengths must sum to the events";
    Scratch scratch = {malloc(8 * longest + 8), malloc(8 * longest + 8), malloc(4 * longest + 4), malloc(longest + 1)};
    if (!scratch.key || !scratch.other || !scratch.item || !scratch.code) fault = "out of memory";

    Py_BEGIN_ALLOW_THREADS
    int32_t *items = item.buf;
    byte *codes = code.buf;
    uint32_t *timestamps = timestamp.buf;
    for (int64_t i = 0; !fault && i < total; i++) {
        if (items[i] < 0 || items[i] >= rated.len) fault = "items must be below their number";
        else ((byte *)rated.buf)[items[i]] = 1;
    }
    Py_ssize_t start = 0;
    for (Py_ssize_t user = 0; !fault && user < users; user++) {
        const Py_ssize_t n = lengths[user];
        sort_history(items + start, codes + start, timestamps + start, n, &scratch);
        lengths[user] = drop_repeated(items + start, codes + start, timestamps + start, n, &scratch, &contradicting);
        start += n, kept += lengths[user];
    }
    free(scratch.key), free(scratch.other), free(scratch.item), free(scratch.code);
    Py_END_ALLOW_THREADS

    Py_buffer *all[] = {&length, &item, &code, &timestamp, &rated};
    for (int i = 0; i < 5; i++) PyBuffer_Release(all[i]);
    if (fault) {
        PyErr_SetString(PyExc_ValueError, fault);
        return NULL;
    }
    return Py_BuildValue("LL", (long long)(total - kept), (long long)contradicting);
}

// ---- module --------------------------------------------------------------------------------------------------------

static PyMethodDef methods[] = {
    {"parse", parse, METH_VARARGS,
     "parse(data, delimiter, roles, (lowest, step, codes), time_limit, known, direct, user, item, code, timestamp)\n"
     "-> (events, lines, rows, events of unknown movies, [(line, start, stop) of lines outside the grammar])"},
    {"sort", sort, METH_VARARGS,
     "sort(length, item, code, timestamp, rated) -> (repeated events, of these contradicting); in place: each history\n"
     "in time order, kept events first, `length` shortened to them, items marked in `rated`"},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "storage._ratings", "Parsing and sorting of ratings.", -1, methods};

PyMODINIT_FUNC PyInit__ratings(void) { return PyModule_Create(&module); }
