/* A stub of NVML, compiled by tests as libnvidia-ml.so.1: it answers from the environment.

   STUB_BUS       the PCI address that it knows ("0000:17:00.0"), like NVML in any case of letters
   STUB_BUSY      utilisation in per cent (0)
   STUB_PIDS      processes that compute there, separated by commas
   STUB_FREE_GB   free memory of 80 GB (80)
   STUB_REASONS   clock event reasons (1: idle)
   STUB_WATTS     the enforced power limit, of 700 W (700)
   STUB_MODE      the compute mode (0)
   STUB_LACKS     a function that this GPU doesn't support */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7 };

static const char *told(const char *name, const char *otherwise) {
    const char *text = getenv(name);
    return text ? text : otherwise;
}

static int number(const char *name, const char *otherwise) {
    return (int)strtol(told(name, otherwise), NULL, 0);
}

static int supported(const char *function) {
    return strcmp(told("STUB_LACKS", ""), function) ? 0 : NOT_SUPPORTED;
}

static int device;

int nvmlInitWithFlags(unsigned flags) { (void)flags; return supported(__func__); }
int nvmlShutdown(void) { return 0; }
const char *nvmlErrorString(int error) { return error == NOT_SUPPORTED ? "Not Supported" : "?"; }

int nvmlDeviceGetHandleByPciBusId_v2(const char *bus, void **handle) {
    *handle = &device;
    return strcasecmp(bus, told("STUB_BUS", "0000:17:00.0")) ? NOT_FOUND : 0;
}

int nvmlDeviceGetUtilizationRates(void *handle, unsigned rates[2]) {
    (void)handle;
    rates[0] = rates[1] = number("STUB_BUSY", "0");
    return supported(__func__);
}

int nvmlDeviceGetMemoryInfo(void *handle, unsigned long long bytes[3]) {
    (void)handle;
    bytes[0] = 80000000000ull;
    bytes[1] = number("STUB_FREE_GB", "80") * 1000000000ull;
    bytes[2] = bytes[0] - bytes[1];
    return supported(__func__);
}

struct process { unsigned pid; unsigned long long used; unsigned instance, compute_instance; };

int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, struct process *to) {
    const char *text = told("STUB_PIDS", "");
    unsigned room = to ? *count : 0, found = 0;
    (void)handle;
    for (; text && *text; text = strchr(text, ',') ? strchr(text, ',') + 1 : NULL, found++)
        if (found < room) to[found] = (struct process){atoi(text), 0, 0, 0};
    *count = found;
    return found > room ? INSUFFICIENT_SIZE : supported(__func__);
}

int nvmlDeviceGetCurrentClocksEventReasons(void *handle, unsigned long long *reasons) {
    (void)handle;
    *reasons = number("STUB_REASONS", "1");
    return supported(__func__);
}

int nvmlDeviceGetCurrentClocksThrottleReasons(void *handle, unsigned long long *reasons) {
    (void)handle;
    *reasons = number("STUB_REASONS", "1");
    return 0;
}

int nvmlDeviceGetTemperature(void *handle, int sensor, unsigned *celsius) {
    (void)handle;
    *celsius = sensor ? 0 : 71;
    return supported(__func__);
}

int nvmlDeviceGetClockInfo(void *handle, int clock, unsigned *mhz) {
    (void)handle;
    *mhz = clock == 1 ? 1980 : clock == 2 ? 2619 : 0; /* NVML_CLOCK_SM, NVML_CLOCK_MEM */
    return supported(__func__);
}

int nvmlDeviceGetPowerUsage(void *handle, unsigned *milliwatts) {
    (void)handle;
    *milliwatts = 698250;
    return supported(__func__);
}

int nvmlDeviceGetEnforcedPowerLimit(void *handle, unsigned *milliwatts) {
    (void)handle;
    *milliwatts = number("STUB_WATTS", "700") * 1000;
    return supported(__func__);
}

int nvmlDeviceGetPowerManagementDefaultLimit(void *handle, unsigned *milliwatts) {
    (void)handle;
    *milliwatts = 700000;
    return supported(__func__);
}

int nvmlDeviceGetComputeMode(void *handle, int *mode) {
    (void)handle;
    *mode = number("STUB_MODE", "0");
    return supported(__func__);
}
