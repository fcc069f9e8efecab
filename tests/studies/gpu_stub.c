/* As much of the CUDA runtime as it takes to make torch believe in one H100: every call succeeds and
   nothing is computed. For gpu_code.py, which gives torch tensors without content alone. */
#include <cuda_runtime_api.h>
#include <string.h>

#define YES { return 0; }
typedef cudaError_t E;

E cudaGetDeviceCount(int *n) { *n = 1; return 0; }
E cudaGetDevice(int *d) { *d = 0; return 0; }
E cudaSetDevice(int d) YES
E cudaGetLastError(void) YES
E cudaPeekAtLastError(void) YES
E cudaDriverGetVersion(int *v) { *v = 13000; return 0; }
E cudaDeviceGetStreamPriorityRange(int *least, int *greatest) { *least = 0; *greatest = -1; return 0; }
E cudaStreamCreateWithPriority(cudaStream_t *s, unsigned f, int p) { *s = (cudaStream_t)16; return 0; }
E cudaStreamIsCapturing(cudaStream_t s, enum cudaStreamCaptureStatus *c) { *c = 0; return 0; }
E cudaThreadExchangeStreamCaptureMode(enum cudaStreamCaptureMode *m) YES
E cudaStreamQuery(cudaStream_t s) YES
E cudaStreamSynchronize(cudaStream_t s) YES
E cudaDeviceSynchronize(void) YES
E cudaEventCreateWithFlags(cudaEvent_t *e, unsigned f) { *e = (cudaEvent_t)32; return 0; }
E cudaEventDestroy(cudaEvent_t e) YES
E cudaEventRecord(cudaEvent_t e, cudaStream_t s) YES
E cudaEventQuery(cudaEvent_t e) YES
E cudaEventSynchronize(cudaEvent_t e) YES
E cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned f) YES
const char *cudaGetErrorString(E e) { return "no GPU here"; }
const char *cudaGetErrorName(E e) { return "stub"; }

E cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr which, int d)
{
    *value = which == cudaDevAttrComputeCapabilityMajor ? 9
           : which == cudaDevAttrMultiProcessorCount    ? 132
                                                        : 0;
    return 0;
}

E cudaGetDeviceProperties(struct cudaDeviceProp *p, int d)
{
    memset(p, 0, sizeof *p);
    strcpy(p->name, "NVIDIA H100 80GB HBM3");
    p->major = 9;
    p->multiProcessorCount = 132;
    p->warpSize = 32;
    p->totalGlobalMem = 80ull << 30;
    p->l2CacheSize = 50 << 20;
    p->regsPerMultiprocessor = 65536;
    p->maxThreadsPerBlock = 1024;
    p->maxThreadsPerMultiProcessor = 2048;
    p->sharedMemPerBlockOptin = 232448;
    p->sharedMemPerMultiprocessor = 233472;
    return 0;
}

/* Of the driver, which torch opens by name. */
int cuInit(unsigned f) YES
int cuDriverGetVersion(int *v) { *v = 13000; return 0; }
int cuGetErrorString(int e, const char **s) { *s = "stub"; return 0; }
int cuDevicePrimaryCtxGetState(int d, unsigned *f, int *active) { *f = 0; *active = 1; return 0; }
