#define _GNU_SOURCE
#include <cuda.h>
#include <cuda_runtime_api.h>
#include <string.h>
#include <stdlib.h>
#include <stdio.h>
#include <pthread.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <sys/mman.h>
#include <unistd.h>
typedef cudaError_t E;
typedef struct Capture { unsigned long long id; int status; int mode; pthread_t owner; void *origin; long nodes; long kernels, copies, blas; int live; } Capture;
typedef struct Stream { int id, dev; Capture *cap; int nonblocking; } Stream;
typedef struct Event { Capture *cap; int recorded; } Event;
static pthread_mutex_t M = PTHREAD_MUTEX_INITIALIZER;
static __thread int thread_mode = cudaStreamCaptureModeGlobal;
static __thread int device = 0;
static __thread E last = 0;
static Capture *captures[4096]; static int ncap = 0;
static unsigned long long next_id = 1; static int next_stream = 1;
static Stream legacy = {0, 0, NULL, 0};
/* statistics, read through ctypes */
long ng_syncs, ng_launches, ng_graph_launches, ng_violations, ng_h2d, ng_d2h, ng_d2d, ng_mallocs, ng_memset, ng_pageable_async, ng_graphs_live;
char ng_last[256]; long ng_trace = 0; long ng_lastcap_nodes, ng_lastcap_kernels, ng_lastcap_blas, ng_lastcap_copies;
static size_t used = 0, limit_ = 0;
static size_t limit(void){ if(!limit_){ const char*s=getenv("NULLGPU_GB"); limit_=(size_t)((s?atof(s):80.0)*(1ull<<30)); } return limit_; }
static int cc(void){ const char*s=getenv("NULLGPU_CC"); return s?atoi(s):90; }
static int ndev(void){ const char*s=getenv("NULLGPU_COUNT"); return s?atoi(s):1; }
static void say(const char*what,const char*arg){ if(ng_trace){ fprintf(stderr,"[nullgpu] %s %s\n",what,arg?arg:""); if(ng_trace>1){ void*b[40]; int n=backtrace(b,40); backtrace_symbols_fd(b,n,2);} } }
static Stream *S(cudaStream_t s){ return (s==NULL||s==(cudaStream_t)1||s==(cudaStream_t)2)?&legacy:(Stream*)s; }
static int any_unsafe(void){ if(thread_mode==cudaStreamCaptureModeRelaxed) return 0; for(int i=0;i<ncap;i++){ Capture*c=captures[i]; if(!c->live) continue; if(thread_mode==cudaStreamCaptureModeGlobal && c->mode==cudaStreamCaptureModeGlobal) return 1; if(pthread_equal(c->owner,pthread_self()) && c->mode!=cudaStreamCaptureModeRelaxed) return 1; } return 0; }
static E unsafe(const char*name){ pthread_mutex_lock(&M); int bad=any_unsafe(); if(bad){ ng_violations++; snprintf(ng_last,256,"%s",name); for(int i=0;i<ncap;i++) if(captures[i]->live) captures[i]->status=cudaStreamCaptureStatusInvalidated; } pthread_mutex_unlock(&M); if(bad){ fprintf(stderr,"[nullgpu] VIOLATION in capture: %s\n",name); if(ng_trace){void*b[60];int n=backtrace(b,60);backtrace_symbols_fd(b,n,2);} last=900; return 900;} return 0; }
/* NULLGPU_DIES: after so many launches every call fails, as after a failed kernel. */
static long launched; static int dead(void){ static long limit=-2; if(limit==-2){const char*s=getenv("NULLGPU_DIES");limit=s?atol(s):-1;} return limit>=0&&launched>limit; }
static E node(cudaStream_t s,int kind,const char*name){ if(kind!=1)__sync_fetch_and_add(&launched,1); if(dead()){last=719;return 719;} Stream*t=S(s); if(t->cap){ if(t->cap->status!=cudaStreamCaptureStatusActive){ last=901; return 901;} t->cap->nodes++; if(kind==0)t->cap->kernels++; else if(kind==1)t->cap->copies++; else t->cap->blas++; say("captured",name);} else { if(kind!=1){ ng_launches++; if(ng_trace>2||(ng_trace&&0)) say("launch",name);} } return 0; }
int ng_node(void*s,int kind,const char*name){ return node((cudaStream_t)s,kind,name); }
E cudaGetDeviceCount(int*n){{const char*s=getenv("NULLGPU_DRIVER");if(s&&atoi(s)<13000){*n=0;last=35;return 35;}}*n=ndev();return 0;} E cudaGetDevice(int*d){*d=device;return 0;} E cudaSetDevice(int d){device=d;return 0;}
E cudaGetLastError(void){E e=last;last=0;return e;} E cudaPeekAtLastError(void){return last;}
E cudaDriverGetVersion(int*v){const char*s=getenv("NULLGPU_DRIVER");*v=s?atoi(s):13000;return 0;} E cudaRuntimeGetVersion(int*v){*v=13000;return 0;}
E cudaDeviceGetStreamPriorityRange(int*l,int*g){*l=0;*g=-5;return 0;}
static E mk(cudaStream_t*s,int nb){Stream*t=calloc(1,sizeof*t);pthread_mutex_lock(&M);t->id=next_stream++;pthread_mutex_unlock(&M);t->dev=device;t->nonblocking=nb;*s=(cudaStream_t)t;return 0;}
E cudaStreamCreateWithPriority(cudaStream_t*s,unsigned f,int p){return mk(s,f&1);} E cudaStreamCreateWithFlags(cudaStream_t*s,unsigned f){return mk(s,f&1);} E cudaStreamCreate(cudaStream_t*s){return mk(s,0);}
E cudaStreamDestroy(cudaStream_t s){return 0;} E cudaStreamGetPriority(cudaStream_t s,int*p){*p=0;return 0;}
E cudaStreamIsCapturing(cudaStream_t s,enum cudaStreamCaptureStatus*c){Stream*t=S(s);*c=t->cap?t->cap->status:0;return 0;}
E cudaStreamGetCaptureInfo(cudaStream_t s,enum cudaStreamCaptureStatus*c,unsigned long long*id,cudaGraph_t*g,const cudaGraphNode_t**d,const cudaGraphEdgeData**e,size_t*n){Stream*t=S(s);*c=t->cap?t->cap->status:0;if(t->cap){if(id)*id=t->cap->id;if(g)*g=(cudaGraph_t)t->cap;if(d)*d=NULL;if(e)*e=NULL;if(n)*n=0;}return 0;}
E cudaStreamUpdateCaptureDependencies(cudaStream_t s,cudaGraphNode_t*d,const cudaGraphEdgeData*e,size_t n,unsigned f){return 0;}
E cudaStreamBeginCapture(cudaStream_t s,enum cudaStreamCaptureMode m){Stream*t=S(s);if(t==&legacy){last=900;return 900;}Capture*c=calloc(1,sizeof*c);pthread_mutex_lock(&M);c->id=next_id++;c->status=1;c->mode=m;c->owner=pthread_self();c->origin=t;c->live=1;captures[ncap++]=c;t->cap=c;pthread_mutex_unlock(&M);say("begin capture",NULL);return 0;}
E cudaStreamBeginCaptureToGraph(cudaStream_t s,cudaGraph_t g,const cudaGraphNode_t*d,const cudaGraphEdgeData*e,size_t n,enum cudaStreamCaptureMode m){return cudaStreamBeginCapture(s,m);}
E cudaStreamEndCapture(cudaStream_t s,cudaGraph_t*g){Stream*t=S(s);Capture*c=t->cap;if(!c){last=900;return 900;}pthread_mutex_lock(&M);c->live=0;t->cap=NULL;ng_lastcap_nodes=c->nodes;ng_lastcap_kernels=c->kernels;ng_lastcap_blas=c->blas;ng_lastcap_copies=c->copies;pthread_mutex_unlock(&M);say("end capture",NULL);if(c->status!=1){*g=NULL;last=901;return 901;}*g=(cudaGraph_t)c;return 0;}
E cudaThreadExchangeStreamCaptureMode(enum cudaStreamCaptureMode*m){int o=thread_mode;thread_mode=*m;*m=o;return 0;}
E cudaGraphInstantiateWithFlags(cudaGraphExec_t*x,cudaGraph_t g,unsigned long long f){*x=(cudaGraphExec_t)g;ng_graphs_live++;return 0;}
E cudaGraphLaunch(cudaGraphExec_t x,cudaStream_t s){__sync_fetch_and_add(&launched,1);if(dead()){last=719;return 719;}ng_graph_launches++;return 0;} E cudaGraphDestroy(cudaGraph_t g){return 0;} E cudaGraphExecDestroy(cudaGraphExec_t x){ng_graphs_live--;E e=0;if(any_unsafe())fprintf(stderr,"[nullgpu] graph destroyed while another is captured\n");return e;}
E cudaGraphGetNodes(cudaGraph_t g,cudaGraphNode_t*n,size_t*k){*k=((Capture*)g)->nodes;return 0;}
E cudaGraphDebugDotPrint(cudaGraph_t g,const char*p,unsigned f){return 0;} E cudaGraphNodeGetDependencies(cudaGraphNode_t a,cudaGraphNode_t*b,cudaGraphEdgeData*c,size_t*n){*n=0;return 0;} E cudaGraphAddNode(cudaGraphNode_t*a,cudaGraph_t b,const cudaGraphNode_t*c,const cudaGraphEdgeData*d,size_t n,struct cudaGraphNodeParams*p){return 0;} E cudaGraphConditionalHandleCreate(cudaGraphConditionalHandle*h,cudaGraph_t g,unsigned a,unsigned b){return 0;}
static E sync_(const char*n){if(dead()){last=719;return 719;}E e=unsafe(n);if(e)return e;__sync_fetch_and_add(&ng_syncs,1);say("SYNC",n);return 0;}
E cudaStreamQuery(cudaStream_t s){E e=unsafe("cudaStreamQuery");return e;} E cudaStreamSynchronize(cudaStream_t s){return sync_("cudaStreamSynchronize");} E cudaDeviceSynchronize(void){return sync_("cudaDeviceSynchronize");}
E cudaEventCreateWithFlags(cudaEvent_t*e,unsigned f){*e=(cudaEvent_t)calloc(1,sizeof(Event));return 0;} E cudaEventCreate(cudaEvent_t*e){return cudaEventCreateWithFlags(e,0);} E cudaEventDestroy(cudaEvent_t e){return 0;}
E cudaEventRecord(cudaEvent_t e,cudaStream_t s){Event*v=(Event*)e;v->cap=S(s)->cap;v->recorded=1;return 0;} E cudaEventRecordWithFlags(cudaEvent_t e,cudaStream_t s,unsigned f){return cudaEventRecord(e,s);}
E cudaEventQuery(cudaEvent_t e){if(((Event*)e)->cap&&((Event*)e)->cap->live){last=900;fprintf(stderr,"[nullgpu] query of captured event\n");return 900;}return unsafe("cudaEventQuery");} E cudaEventSynchronize(cudaEvent_t e){return sync_("cudaEventSynchronize");} E cudaEventElapsedTime(float*t,cudaEvent_t a,cudaEvent_t b){*t=0.01f;return 0;}
E cudaStreamWaitEvent(cudaStream_t s,cudaEvent_t e,unsigned f){Event*v=(Event*)e;Stream*t=S(s);if(v->cap&&v->cap->live){ if(t==&legacy){fprintf(stderr,"[nullgpu] VIOLATION legacy stream waits for captured event\n");ng_violations++;v->cap->status=2;last=906;return 906;} if(!t->cap){t->cap=v->cap;fprintf(stderr,"[nullgpu] stream %d joins capture (fork; must be joined)\n",t->id);} } else if(t->cap&&!v->cap){ fprintf(stderr,"[nullgpu] VIOLATION captured stream waits for event recorded outside of capture\n");ng_violations++;t->cap->status=2;last=905;return 905;} return 0;}
E cudaStreamAddCallback(cudaStream_t s,cudaStreamCallback_t c,void*u,unsigned f){return 0;} E cudaLaunchHostFunc(cudaStream_t s,cudaHostFn_t f,void*u){if(!S(s)->cap)f(u);return 0;}
const char*cudaGetErrorString(E e){switch(e){case 0:return "no error";case 2:return "out of memory";case 719:return "unspecified launch failure";case 900:return "operation not permitted when stream is capturing";case 901:return "operation failed due to a previous error during capture";case 209:return "no kernel image is available for execution on the device";}return "nullgpu error";} const char*cudaGetErrorName(E e){return "nullgpu";}
typedef struct Blk{void*p;size_t n;int host;struct Blk*next;}Blk; static Blk*blks;
static void add(void*p,size_t n,int h){Blk*b=malloc(sizeof*b);b->p=p;b->n=n;b->host=h;pthread_mutex_lock(&M);b->next=blks;blks=b;pthread_mutex_unlock(&M);}
static Blk*find(const void*p){pthread_mutex_lock(&M);Blk*b;for(b=blks;b;b=b->next)if((char*)p>=(char*)b->p&&(char*)p<(char*)b->p+b->n)break;pthread_mutex_unlock(&M);return b;}
static void del(void*p){pthread_mutex_lock(&M);for(Blk**q=&blks;*q;q=&(*q)->next)if((*q)->p==p){Blk*b=*q;*q=b->next;if(!b->host)used-=b->n;munmap(b->p,b->n);free(b);break;}pthread_mutex_unlock(&M);}
E cudaMalloc(void**p,size_t n){E e=unsafe("cudaMalloc");if(e)return e;n=(n+4095)&~4095ull;if(used+n>limit()){last=2;*p=NULL;return 2;}ng_mallocs++;*p=mmap(NULL,n,PROT_READ|PROT_WRITE,MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE,-1,0);if(*p==MAP_FAILED){last=2;return 2;}used+=n;add(*p,n,0);return 0;}
E cudaFree(void*p){if(!p)return 0;E e=unsafe("cudaFree");if(e)return e;del(p);return 0;}
E cudaMallocAsync(void**p,size_t n,cudaStream_t s){return cudaMalloc(p,n);} E cudaFreeAsync(void*p,cudaStream_t s){return cudaFree(p);}
E cudaHostAlloc(void**p,size_t n,unsigned f){E e=unsafe("cudaHostAlloc");if(e)return e;n=(n+4095)&~4095ull;*p=mmap(NULL,n,PROT_READ|PROT_WRITE,MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE,-1,0);add(*p,n,1);return 0;}
E cudaFreeHost(void*p){E e=unsafe("cudaFreeHost");if(e)return e;del(p);return 0;} E cudaHostRegister(void*p,size_t n,unsigned f){return 0;} E cudaHostUnregister(void*p){return 0;}
E cudaMemGetInfo(size_t*f,size_t*t){*t=limit();*f=limit()-used;return 0;}
E cudaPointerGetAttributes(struct cudaPointerAttributes*a,const void*p){memset(a,0,sizeof*a);Blk*b=find(p);a->type=b?(b->host?cudaMemoryTypeHost:cudaMemoryTypeDevice):cudaMemoryTypeUnregistered;a->device=device;if(b){a->devicePointer=(void*)p;if(b->host)a->hostPointer=(void*)p;}return 0;}
static E cpy(void*d,const void*s,size_t n,enum cudaMemcpyKind k,cudaStream_t st,int async){Blk*bd=find(d),*bs=find(s);int dd=bd&&!bd->host,sd=bs&&!bs->host;if(async){E e=node(st,1,dd?(sd?"D2D":"H2D"):"D2H");if(e)return e;int pageable=(!dd&&!(bd&&bd->host))||(!sd&&!(bs&&bs->host));if(S(st)->cap){if(pageable&&!(dd&&sd))fprintf(stderr,"[nullgpu] pageable copy in capture\n");return 0;}if(pageable&&!(dd&&sd))ng_pageable_async++;}else{E e=sync_("cudaMemcpy");if(e)return e;}if(dd&&sd)ng_d2d++;else if(dd)ng_h2d++;else ng_d2h++;memmove(d,s,n);return 0;}
E cudaMemcpyAsync(void*d,const void*s,size_t n,enum cudaMemcpyKind k,cudaStream_t st){return cpy(d,s,n,k,st,1);} E cudaMemcpy(void*d,const void*s,size_t n,enum cudaMemcpyKind k){return cpy(d,s,n,k,0,0);}
E cudaMemcpyPeerAsync(void*d,int a,const void*s,int b,size_t n,cudaStream_t st){return cpy(d,s,n,3,st,1);} E cudaMemcpyToSymbol(const void*a,const void*b,size_t n,size_t o,enum cudaMemcpyKind k){return 0;}
E cudaMemsetAsync(void*p,int v,size_t n,cudaStream_t s){E e=node(s,1,"memset");if(e)return e;ng_memset++;if(!S(s)->cap&&n<(1u<<28))memset(p,v,n);return 0;} E cudaMemset(void*p,int v,size_t n){memset(p,v,n);return 0;}
E cudaDeviceCanAccessPeer(int*c,int a,int b){*c=0;return 0;} E cudaDeviceEnablePeerAccess(int a,unsigned f){return 0;} E cudaDeviceGetDefaultMemPool(cudaMemPool_t*p,int d){*p=(void*)8;return 0;} E cudaDeviceGetPCIBusId(char*s,int n,int d){strncpy(s,"0000:00:00.0",n);return 0;}
E cudaMemPoolGetAttribute(cudaMemPool_t p,enum cudaMemPoolAttr a,void*v){return 0;} E cudaMemPoolSetAttribute(cudaMemPool_t p,enum cudaMemPoolAttr a,void*v){return 0;} E cudaMemPoolSetAccess(cudaMemPool_t p,const struct cudaMemAccessDesc*d,size_t n){return 0;} E cudaMemPoolTrimTo(cudaMemPool_t p,size_t n){return 0;}
E cudaIpcCloseMemHandle(void*p){return 0;} E cudaIpcGetEventHandle(cudaIpcEventHandle_t*h,cudaEvent_t e){return 0;} E cudaIpcGetMemHandle(cudaIpcMemHandle_t*h,void*p){return 0;} E cudaIpcOpenEventHandle(cudaEvent_t*e,cudaIpcEventHandle_t h){return 0;} E cudaIpcOpenMemHandle(void**p,cudaIpcMemHandle_t h,unsigned f){return 0;}
E cudaProfilerStart(void){return 0;} E cudaProfilerStop(void){return 0;}
E cudaFuncGetAttributes(struct cudaFuncAttributes*a,const void*f){memset(a,0,sizeof*a);a->maxThreadsPerBlock=1024;a->numRegs=32;a->binaryVersion=cc()<75?75:cc();a->ptxVersion=cc()<75?75:cc();a->maxDynamicSharedSizeBytes=49152;return 0;} E cudaFuncSetAttribute(const void*f,enum cudaFuncAttribute a,int v){return 0;} E cudaKernelSetAttributeForDevice(cudaKernel_t k,enum cudaFuncAttribute a,int v,int d){return 0;} E cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int*n,const void*f,int b,size_t s,unsigned g){*n=2;return 0;}
static char symbuf[1<<20]; E cudaGetSymbolAddress(void**p,const void*s){*p=symbuf;return 0;}
E cudaLibraryLoadData(cudaLibrary_t*l,const void*c,enum cudaJitOption*a,void**b,unsigned n,enum cudaLibraryOption*d,void**e,unsigned m){*l=(void*)8;return 0;} E cudaLibraryUnload(cudaLibrary_t l){return 0;} E cudaLibraryGetKernel(cudaKernel_t*k,cudaLibrary_t l,const char*n){*k=(void*)8;return 0;}
E cudaGetDriverEntryPointByVersion(const char*s,void**f,unsigned v,unsigned long long g,enum cudaDriverEntryPointQueryResult*r){*f=dlsym(RTLD_DEFAULT,s);if(r)*r=*f?0:1;return 0;}
#define H (1u<<20)
static struct{const void*k;const char*n;}tab[H];
void**__cudaRegisterFatBinary(void*f){return calloc(1,8);} void __cudaRegisterFatBinaryEnd(void**h){} void __cudaUnregisterFatBinary(void**h){}
void __cudaRegisterFunction(void**h,const char*host,char*dev,const char*name,int t,uint3*a,uint3*b,dim3*c,dim3*d,int*w){unsigned i=(((unsigned long)host)*11400714819323198485ull)>>44;while(tab[i%H].k&&tab[i%H].k!=host)i++;tab[i%H].k=host;tab[i%H].n=name;}
void __cudaRegisterVar(void**h,char*a,char*b,const char*c,int d,size_t e,int f,int g){}
static const char*nameof(const void*f){unsigned i=(((unsigned long)f)*11400714819323198485ull)>>44;for(;tab[i%H].k;i++)if(tab[i%H].k==f)return tab[i%H].n;return "?";}
static __thread struct{dim3 g,b;size_t s;cudaStream_t st;}cfg[8];static __thread int ncfg=0;
unsigned __cudaPushCallConfiguration(dim3 g,dim3 b,size_t s,struct CUstream_st*st){if(ncfg<8){cfg[ncfg].g=g;cfg[ncfg].b=b;cfg[ncfg].s=s;cfg[ncfg].st=st;ncfg++;}return 0;}
E __cudaPopCallConfiguration(dim3*g,dim3*b,size_t*s,void*st){ncfg--;*g=cfg[ncfg].g;*b=cfg[ncfg].b;*s=cfg[ncfg].s;*(cudaStream_t*)st=cfg[ncfg].st;return 0;}
E __cudaGetKernel(cudaKernel_t*k,const void*f){*k=(cudaKernel_t)f;return 0;}
static E launch(const void*f,cudaStream_t s){ if(cc()<75&&!getenv("NULLGPU_CU126")){last=209;return 209;} return node(s,0,nameof(f)); }
E __cudaLaunchKernel(cudaKernel_t k,dim3 g,dim3 b,void**a,size_t m,cudaStream_t s){return launch(k,s);} E cudaLaunchKernel(const void*f,dim3 g,dim3 b,void**a,size_t m,cudaStream_t s){return launch(f,s);} E cudaLaunchKernelExC(const cudaLaunchConfig_t*c,const void*f,void**a){return launch(f,c->stream);}
E cudaDeviceGetAttribute(int*v,enum cudaDeviceAttr w,int d){switch(w){case cudaDevAttrComputeCapabilityMajor:*v=cc()/10;break;case cudaDevAttrComputeCapabilityMinor:*v=cc()%10;break;case cudaDevAttrMultiProcessorCount:*v=132;break;case cudaDevAttrWarpSize:*v=32;break;case cudaDevAttrMaxThreadsPerBlock:case cudaDevAttrMaxBlockDimX:case cudaDevAttrMaxBlockDimY:*v=1024;break;case cudaDevAttrMaxBlockDimZ:*v=64;break;case cudaDevAttrMaxGridDimX:*v=2147483647;break;case cudaDevAttrMaxGridDimY:case cudaDevAttrMaxGridDimZ:*v=65535;break;case cudaDevAttrMaxSharedMemoryPerBlock:*v=49152;break;case cudaDevAttrMaxSharedMemoryPerBlockOptin:*v=cc()==75?65536:232448;break;case cudaDevAttrMaxSharedMemoryPerMultiprocessor:*v=233472;break;case cudaDevAttrMaxThreadsPerMultiProcessor:*v=2048;break;case cudaDevAttrMaxRegistersPerBlock:*v=65536;break;case cudaDevAttrUnifiedAddressing:*v=1;break;case cudaDevAttrL2CacheSize:*v=50<<20;break;default:*v=0;}return 0;}
E cudaGetDeviceProperties(struct cudaDeviceProp*p,int d){memset(p,0,sizeof*p);strcpy(p->name,"Null GPU");p->major=cc()/10;p->minor=cc()%10;p->multiProcessorCount=132;p->warpSize=32;p->totalGlobalMem=limit();p->l2CacheSize=50<<20;p->regsPerMultiprocessor=65536;p->regsPerBlock=65536;p->maxThreadsPerBlock=1024;p->maxThreadsPerMultiProcessor=2048;p->sharedMemPerBlock=49152;p->sharedMemPerBlockOptin=232448;p->sharedMemPerMultiprocessor=233472;p->maxGridSize[0]=2147483647;p->maxGridSize[1]=p->maxGridSize[2]=65535;p->maxThreadsDim[0]=p->maxThreadsDim[1]=1024;p->maxThreadsDim[2]=64;p->unifiedAddressing=1;return 0;}
/* driver */
typedef CUresult R;
R cuInit(unsigned f){return 0;} R cuDriverGetVersion(int*v){return (R)cudaDriverGetVersion(v);} R cuGetErrorString(R e,const char**s){*s="nullgpu";return 0;} R cuGetErrorName(R e,const char**s){*s="nullgpu";return 0;}
R cuDeviceGet(CUdevice*d,int o){*d=o;return 0;} R cuDeviceGetCount(int*n){{const char*s=getenv("NULLGPU_DRIVER");if(s&&atoi(s)<13000){*n=0;last=35;return 35;}}*n=ndev();return 0;} R cuDeviceGetAttribute(int*v,CUdevice_attribute a,CUdevice d){return cudaDeviceGetAttribute(v,(enum cudaDeviceAttr)a,d);} R cuDeviceGetName(char*n,int l,CUdevice d){strncpy(n,"Null GPU",l);return 0;}
R cuDevicePrimaryCtxGetState(CUdevice d,unsigned*f,int*a){*f=0;*a=1;return 0;} R cuDevicePrimaryCtxRetain(CUcontext*c,CUdevice d){*c=(void*)8;return 0;} R cuDevicePrimaryCtxRelease(CUdevice d){return 0;} R cuCtxGetCurrent(CUcontext*c){*c=(void*)8;return 0;} R cuCtxSetCurrent(CUcontext c){return 0;} R cuCtxGetDevice(CUdevice*d){*d=device;return 0;} R cuCtxPushCurrent(CUcontext c){return 0;} R cuCtxPopCurrent(CUcontext*c){return 0;} R cuCtxGetLimit(size_t*v,CUlimit l){*v=1<<20;return 0;} R cuCtxSetLimit(CUlimit l,size_t v){return 0;}
long ng_modules; 
static R mod(CUmodule*m){ng_modules++;*m=(void*)8;if(any_unsafe()){fprintf(stderr,"[nullgpu] module loaded during capture\n");}return 0;}
R cuModuleLoadData(CUmodule*m,const void*i){return mod(m);} R cuModuleLoad(CUmodule*m,const char*i){return mod(m);} R cuModuleLoadDataEx(CUmodule*m,const void*i,unsigned n,CUjit_option*o,void**v){return mod(m);} R cuModuleUnload(CUmodule m){return 0;}
R cuModuleGetFunction(CUfunction*f,CUmodule m,const char*n){*f=(CUfunction)strdup(n);return 0;} R cuFuncGetAttribute(int*v,CUfunction_attribute a,CUfunction f){*v=a==CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK?1024:a==CU_FUNC_ATTRIBUTE_NUM_REGS?32:0;return 0;} R cuFuncSetAttribute(CUfunction f,CUfunction_attribute a,int v){return 0;} R cuFuncSetCacheConfig(CUfunction f,CUfunc_cache c){return 0;}
R cuLaunchKernel(CUfunction f,unsigned a,unsigned b,unsigned c,unsigned d,unsigned e,unsigned g,unsigned s,CUstream st,void**p,void**x){return (R)node((cudaStream_t)st,0,(char*)f);} R cuLaunchKernelEx(const CUlaunchConfig*c,CUfunction f,void**p,void**x){return (R)node((cudaStream_t)c->hStream,0,(char*)f);} R cuLaunchCooperativeKernel(CUfunction f,unsigned a,unsigned b,unsigned c,unsigned d,unsigned e,unsigned g,unsigned s,CUstream st,void**p){return (R)node((cudaStream_t)st,0,(char*)f);}
R cuPointerGetAttribute(void*v,CUpointer_attribute a,CUdeviceptr p){if(a==CU_POINTER_ATTRIBUTE_DEVICE_POINTER)*(CUdeviceptr*)v=p;else *(int*)v=0;return 0;} R cuPointerGetAttributes(unsigned n,CUpointer_attribute*a,void**v,CUdeviceptr p){for(unsigned i=0;i<n;i++)cuPointerGetAttribute(v[i],a[i],p);return 0;}
R cuOccupancyMaxActiveBlocksPerMultiprocessor(int*n,CUfunction f,int b,size_t s){*n=2;return 0;} R cuOccupancyMaxActiveClusters(int*n,CUfunction f,const CUlaunchConfig*c){*n=2;return 0;}
R cuMemGetAddressRange(CUdeviceptr*b,size_t*n,CUdeviceptr p){Blk*k=find((void*)p);*b=k?(CUdeviceptr)k->p:p;*n=k?k->n:0;return 0;} R cuMemsetD32Async(CUdeviceptr p,unsigned v,size_t n,CUstream s){return (R)node((cudaStream_t)s,1,"memset");} R cuStreamIsCapturing(CUstream s,CUstreamCaptureStatus*c){return (R)cudaStreamIsCapturing((cudaStream_t)s,(void*)c);}
E cudaGetFuncBySymbol(cudaFunction_t*f,const void*s){*f=(void*)s;return 0;}
long ng_used(void){return (long)used;}
