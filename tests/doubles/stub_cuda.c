/* A stub of NVIDIA's driver, compiled by tests as libcuda.so.1: it answers from the environment.

   STUB_VERSION   what cuDriverGetVersion says (13000)
   STUB_DEVICES   how many devices (1)
   STUB_NAMES     their names, separated by | ("Stub GPU"; the last one goes on)
   STUB_COMPUTE   their compute capabilities, separated by | ("9.0"; the last one goes on)
   STUB_FAILS     a call and the CUresult that it returns, like "cuInit=803"
   STUB_HANGS     a call that never returns
   STUB_CRASHES   a call that ends the process by SIGSEGV

   It has no device behind it: no context can be made, so CuPy's work fails as it does with a broken
   one. Only what CuPy's runtime asks before that, and what bench/driver.py asks, is here. */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NO_DEVICE = 100, INVALID_DEVICE = 101, NOT_FOUND = 500, UNKNOWN = 999 };

static int number(const char *name, int otherwise) {
    const char *text = getenv(name);
    return text && *text ? atoi(text) : otherwise;
}

/* The index-th part of a variable's text, or its last one. */
static void part(const char *name, const char *otherwise, int index, char *to, int room) {
    const char *text = getenv(name);
    const char *end;
    if (!text) text = otherwise;
    while (index-- > 0 && (end = strchr(text, '|'))) text = end + 1;
    end = strchr(text, '|');
    snprintf(to, room, "%.*s", (int)(end ? end - text : (long)strlen(text)), text);
}

static int answer(const char *call) {
    const char *fails = getenv("STUB_FAILS"), *hangs = getenv("STUB_HANGS");
    const char *crashes = getenv("STUB_CRASHES");
    size_t length = strlen(call);
    if (hangs && !strcmp(hangs, call)) for (;;) pause();
    if (crashes && !strcmp(crashes, call)) raise(SIGSEGV);
    if (fails && !strncmp(fails, call, length) && fails[length] == '=')
        return atoi(fails + length + 1);
    return 0;
}

int cuDriverGetVersion(int *version) {
    *version = number("STUB_VERSION", 13000);
    return answer("cuDriverGetVersion");
}

int cuInit(unsigned flags) {
    int failed = answer("cuInit");
    (void)flags;
    return failed ? failed : number("STUB_DEVICES", 1) ? 0 : NO_DEVICE;
}

int cuDeviceGetCount(int *count) {
    *count = number("STUB_DEVICES", 1);
    return answer("cuDeviceGetCount");
}

int cuDeviceGet(int *device, int index) {
    *device = index;
    return index < number("STUB_DEVICES", 1) ? answer("cuDeviceGet") : INVALID_DEVICE;
}

int cuDeviceGetName(char *name, int length, int device) {
    part("STUB_NAMES", "Stub GPU", device, name, length);
    return answer("cuDeviceGetName");
}

int cuDeviceGetPCIBusId(char *bus, int length, int device) {
    snprintf(bus, length, "0000:%02X:00.0", 0x17 + device);
    return answer("cuDeviceGetPCIBusId");
}

int cuDeviceGetUuid(unsigned char *uuid, int device) {
    memset(uuid, 0xA0 + device, 16);
    return answer("cuDeviceGetUuid");
}

int cuDeviceTotalMem_v2(size_t *bytes, int device) {
    *bytes = (size_t)(device + 1) << 30;
    return answer("cuDeviceTotalMem_v2");
}

int cuDeviceGetAttribute(int *value, int which, int device) {
    char compute[16], *dot;
    part("STUB_COMPUTE", "9.0", device, compute, sizeof compute);
    dot = strchr(compute, '.');
    switch (which) {
    case 13: *value = 1980000; break;    /* clock, kHz */
    case 16: *value = 132; break;        /* multiprocessors */
    case 36: *value = 2619000; break;    /* memory clock, kHz */
    case 37: *value = 5120; break;       /* bus width, bits */
    case 38: *value = 52428800; break;   /* L2, bytes */
    case 75: *value = atoi(compute); break;
    case 76: *value = dot ? atoi(dot + 1) : 0; break;
    default: *value = 0;
    }
    return answer("cuDeviceGetAttribute");
}

int cuGetErrorName(int error, const char **name) {
    switch (error) {
    case NO_DEVICE: *name = "CUDA_ERROR_NO_DEVICE"; return 0;
    case 803: *name = "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"; return 0;
    case UNKNOWN: *name = "CUDA_ERROR_UNKNOWN"; return 0;
    default: *name = NULL; return 1;
    }
}

int cuGetErrorString(int error, const char **text) {
    return cuGetErrorName(error, text);
}

static int cannot(void) {
    return UNKNOWN;
}

/* How CUDA's runtime finds everything else. What it only looks up is `cannot`, which it never
   calls before it has a context. */
int cuGetProcAddress_v2(const char *name, void **function, int version, unsigned long long flags,
                        int *found) {
    static const struct { const char *name; void *function; } known[] = {
        {"cuDriverGetVersion", (void *)cuDriverGetVersion},
        {"cuInit", (void *)cuInit},
        {"cuDeviceGetCount", (void *)cuDeviceGetCount},
        {"cuDeviceGet", (void *)cuDeviceGet},
        {"cuDeviceGetName", (void *)cuDeviceGetName},
        {"cuDeviceGetPCIBusId", (void *)cuDeviceGetPCIBusId},
        {"cuDeviceTotalMem", (void *)cuDeviceTotalMem_v2},
        {"cuDeviceGetAttribute", (void *)cuDeviceGetAttribute},
        {"cuGetErrorName", (void *)cuGetErrorName},
        {"cuGetErrorString", (void *)cuGetErrorString},
        {"cuGetProcAddress", (void *)cuGetProcAddress_v2},
    };
    size_t i;
    (void)version, (void)flags;
    *function = (void *)cannot;
    for (i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i].name, name)) *function = known[i].function;
    if (found) *found = 0;
    return 0;
}

int cuGetProcAddress(const char *name, void **function, int version, unsigned long long flags) {
    return cuGetProcAddress_v2(name, function, version, flags, NULL);
}
