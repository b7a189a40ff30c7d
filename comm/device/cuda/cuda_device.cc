// Calls of CUDA; the story is in cuda_device.h.
#include "comm/device/cuda/cuda_device.h"
#include "comm/util/secret.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>

#include "comm/device/cuda/kernel.h"
#include "comm/device/cuda/memory_pool.h"
#include "comm/error.h"
#include "comm/transport/shm/shm.h"
#include "kernels/cuda/cuda_check.h"
#include "kernels/cuda/loops.h"

namespace ringside {
namespace {

using cuda::check_cuda;

cudaStream_t of(Device::Stream stream) { return static_cast<cudaStream_t>(stream); }
cudaEvent_t event_of(Device::Event event) { return static_cast<cudaEvent_t>(event); }

// Makes a device current for as long as it lives: the calling thread may be anybody's.
class Current {
 public:
  explicit Current(int ordinal) {
    check_cuda(cudaGetDevice(&before_), "cudaGetDevice");
    if (before_ == ordinal) return;
    check_cuda(cudaSetDevice(ordinal), "cudaSetDevice");
    changed_ = true;
  }
  ~Current() {
    if (changed_) cudaSetDevice(before_);
  }
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;

 private:
  int before_ = 0;
  bool changed_ = false;
};

// Where a peer finds memory: by address within a process, by an IPC handle from another one.
struct Handle {
  unsigned char* address;
  cudaIpcMemHandle_t ipc;
};
static_assert(sizeof(Handle) <= sizeof(DeviceHandle));

// A function of the driver as the headers of this toolkit declare it; null where it is too old.
template <class Function>
Function driver_function(const char* name) {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result{};
#if CUDART_VERSION >= 12050
  const cudaError_t status =
      cudaGetDriverEntryPointByVersion(name, &found, 12000, cudaEnableDefault, &result);
#else
  const cudaError_t status = cudaGetDriverEntryPoint(name, &found, cudaEnableDefault, &result);
#endif
  if (status != cudaSuccess || result != cudaDriverEntryPointSuccess) {
    cudaGetLastError();
    return nullptr;
  }
  return reinterpret_cast<Function>(found);
}

// CU_DEVICE_ATTRIBUTE_MPS_ENABLED; the first toolkits of version 12 have no name for it.
constexpr auto kMpsEnabled = static_cast<CUdevice_attribute>(133);

// Of this process, for communicators.
std::atomic<int> streams{0};

// What CUDA reads when it starts; 8 where it is not set.
int connections() {
  const char* const value = std::getenv("CUDA_DEVICE_MAX_CONNECTIONS");
  const int number = value == nullptr ? 0 : std::atoi(value);
  return number < 1 ? 8 : std::min(number, 32);
}

bool attribute(CUdevice_attribute which, int ordinal) {
  const auto get = driver_function<decltype(&cuDeviceGetAttribute)>("cuDeviceGetAttribute");
  int value = 0;
  return get != nullptr && get(&value, which, ordinal) == CUDA_SUCCESS && value != 0;
}

// One for all communicators of the process on this device, and never ended: streams are few
// (capabilities.h). What is done on it is short and waits for nothing.
cudaStream_t stream_beside(int ordinal) {
  static std::mutex mutex;
  static std::array<cudaStream_t, 64> all{};
  const std::lock_guard lock(mutex);
  cudaStream_t& it = all.at(static_cast<std::size_t>(ordinal));
  if (it != nullptr) return it;
  int least = 0, greatest = 0;
  check_cuda(cudaDeviceGetStreamPriorityRange(&least, &greatest), "asking for priorities");
  check_cuda(cudaStreamCreateWithPriority(&it, cudaStreamNonBlocking, greatest), "a stream");
  return it;
}

}  // namespace

// A program that uses CUDA has the driver loaded; looking does not load it.
bool has_current_device() {
  static std::mutex mutex;
  static decltype(&cuCtxGetCurrent) get = nullptr;
  const std::lock_guard lock(mutex);
  if (get == nullptr) {
    void* const driver = ::dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);
    if (driver == nullptr) return false;
    get = reinterpret_cast<decltype(get)>(::dlsym(driver, "cuCtxGetCurrent"));
    if (get == nullptr) return false;
  }
  CUcontext context = nullptr;
  return get(&context) == CUDA_SUCCESS && context != nullptr;
}

std::shared_ptr<Device> current_device() { return std::make_shared<CudaDevice>(); }

CudaDevice::CudaDevice() {
  check_cuda(cudaGetDevice(&ordinal_), "cudaGetDevice");
  // Before any kernel of ours waits for another.
  cuda::load_loops();
  load_device_kernels();
  overlap_ = stream_beside(ordinal_);
  check_cuda(cudaEventCreateWithFlags(&default_mark_, cudaEventDisableTiming), "an event");
  probe_flags();
}

CudaDevice::~CudaDevice() { cudaEventDestroy(default_mark_); }

// Not asked for but tried: a stream writes a flag and waits for it.
void CudaDevice::probe_flags() {
  if (!attribute(CU_DEVICE_ATTRIBUTE_CAN_USE_64_BIT_STREAM_MEM_OPS, ordinal_)) return;
  const auto write = driver_function<decltype(write_value_)>("cuStreamWriteValue64");
  const auto wait = driver_function<decltype(wait_value_)>("cuStreamWaitValue64");
  if (write == nullptr || wait == nullptr) return;
  unsigned char* const cell = allocate(sizeof(DeviceCell));
  const auto address = reinterpret_cast<CUdeviceptr>(cell);
  const bool works =
      write(overlap_, address, device_signal(1, 7), CU_STREAM_WRITE_VALUE_DEFAULT) ==
          CUDA_SUCCESS &&
      wait(overlap_, address, device_signal(1, 0), CU_STREAM_WAIT_VALUE_GEQ) == CUDA_SUCCESS &&
      cudaStreamSynchronize(overlap_) == cudaSuccess;
  cudaGetLastError();
  free(cell);
  if (!works) return;
  // What peers have written before their flag is to be seen by what comes after the wait.
  if (attribute(CU_DEVICE_ATTRIBUTE_CAN_FLUSH_REMOTE_WRITES, ordinal_))
    wait_flags_ |= CU_STREAM_WAIT_VALUE_FLUSH;
  write_value_ = write;
  wait_value_ = wait;
}

DeviceFacts CudaDevice::facts() {
  const Current current(ordinal_);
  cudaDeviceProp properties;
  check_cuda(cudaGetDeviceProperties(&properties, ordinal_), "asking for the device's properties");
  DeviceFacts facts;
  facts.present = true;
  std::snprintf(facts.name.data(), facts.name.size(), "%.63s", properties.name);
  std::memcpy(facts.uuid.data(), &properties.uuid, facts.uuid.size());
  facts.process = process_nonce();
  facts.ordinal = ordinal_;
  facts.resident_blocks = resident_blocks();
  facts.connections = connections();
  facts.streams = streams.load(std::memory_order_relaxed);
  facts.shared_by_processes = attribute(kMpsEnabled, ordinal_);
  return facts;
}

bool CudaDevice::owns(const void* address) {
  cudaPointerAttributes found{};
  if (cudaPointerGetAttributes(&found, address) != cudaSuccess) {
    cudaGetLastError();
    return false;
  }
  return found.type == cudaMemoryTypeDevice || found.type == cudaMemoryTypeManaged;
}

// --- memory ---

unsigned char* CudaDevice::allocate(std::size_t bytes) {
  const Current current(ordinal_);
  void* memory = take_spare(ordinal_, bytes);
  if (memory == nullptr) {
    check_cuda(cudaMalloc(&memory, bytes), "cudaMalloc for a communicator");
    note_allocation(memory, ordinal_, bytes);
  }
  check_cuda(cudaMemsetAsync(memory, 0, bytes, overlap_), "clearing memory");
  check_cuda(cudaStreamSynchronize(overlap_), "clearing memory");
  return static_cast<unsigned char*>(memory);
}

void CudaDevice::free(unsigned char* memory) noexcept {
  if (memory != nullptr) keep_spare(memory);
}

DeviceHandle CudaDevice::share(unsigned char* memory) {
  const Current current(ordinal_);
  Handle it{memory, {}};
  // Some systems have no IPC; threads of one process do not need it.
  if (cudaIpcGetMemHandle(&it.ipc, memory) != cudaSuccess) cudaGetLastError();
  DeviceHandle handle;
  std::memcpy(handle.bytes.data(), &it, sizeof it);
  return handle;
}

unsigned char* CudaDevice::open(const DeviceFacts& owner, const DeviceHandle& handle) {
  const Current current(ordinal_);
  Handle it;
  std::memcpy(&it, handle.bytes.data(), sizeof it);
  if (owner.process != process_nonce()) {
    void* memory = nullptr;
    check_cuda(cudaIpcOpenMemHandle(&memory, it.ipc, cudaIpcMemLazyEnablePeerAccess),
               "opening another process's device memory (CUDA IPC)");
    return static_cast<unsigned char*>(memory);
  }
  if (owner.ordinal == ordinal_) return it.address;
  const cudaError_t status = cudaDeviceEnablePeerAccess(owner.ordinal, 0);
  if (status == cudaErrorPeerAccessAlreadyEnabled)
    cudaGetLastError();
  else
    check_cuda(status, "switching on peer access to another GPU");
  return it.address;
}

void CudaDevice::close(const DeviceFacts& owner, unsigned char* memory) noexcept {
  if (owner.process != process_nonce()) cudaIpcCloseMemHandle(memory);
}

// open() has switched on what can be; buffers of another process would need handles of their own.
bool CudaDevice::lets_read(const DeviceFacts& reader) {
  if (reader.process != process_nonce()) return false;
  if (reader.ordinal == ordinal_) return true;
  int can = 0;
  return cudaDeviceCanAccessPeer(&can, reader.ordinal, ordinal_) == cudaSuccess && can != 0;
}

DeviceErrorFlags* CudaDevice::make_error_flags() {
  const Current current(ordinal_);
  void* memory = take_spare(kInHost, sizeof(DeviceErrorFlags));
  if (memory == nullptr) {
    check_cuda(cudaHostAlloc(&memory, sizeof(DeviceErrorFlags),
                             cudaHostAllocPortable | cudaHostAllocMapped),
               "pinned memory for the error flags");
    note_allocation(memory, kInHost, sizeof(DeviceErrorFlags));
  }
  return new (memory) DeviceErrorFlags;
}

void CudaDevice::free_error_flags(DeviceErrorFlags* error_flags) noexcept {
  if (error_flags != nullptr) keep_spare(error_flags);
}

// --- streams and events ---

Device::Stream CudaDevice::make_stream() {
  const Current current(ordinal_);
  cudaStream_t stream = nullptr;
  check_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream");
  ++streams;
  return stream;
}

void CudaDevice::end_stream(Stream stream) noexcept {
  if (stream == nullptr) return;
  cudaStreamDestroy(of(stream));
  --streams;
}

Device::Event CudaDevice::make_event() {
  const Current current(ordinal_);
  cudaEvent_t event = nullptr;
  check_cuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "an event");
  return event;
}

void CudaDevice::end_event(Event event) noexcept {
  if (event != nullptr) cudaEventDestroy(event_of(event));
}

void CudaDevice::record(Event event, Stream stream) {
  const Current current(ordinal_);
  check_cuda(cudaEventRecord(event_of(event), of(stream)), "cudaEventRecord");
}

void CudaDevice::wait_for(Stream stream, Event event) {
  const Current current(ordinal_);
  check_cuda(cudaStreamWaitEvent(of(stream), event_of(event), 0), "cudaStreamWaitEvent");
}

bool CudaDevice::is_blocking(Stream stream) {
  unsigned flags = 0;
  check_cuda(cudaStreamGetFlags(of(stream), &flags), "looking at a stream");
  return (flags & cudaStreamNonBlocking) == 0;
}

void CudaDevice::wait_for_default(Stream stream) {
  const Current current(ordinal_);
  check_cuda(cudaEventRecord(default_mark_, cudaStreamLegacy), "cudaEventRecord");
  check_cuda(cudaStreamWaitEvent(of(stream), default_mark_, 0), "cudaStreamWaitEvent");
}

bool CudaDevice::is_done(Event event) {
  const cudaError_t status = cudaEventQuery(event_of(event));
  if (status == cudaErrorNotReady) {
    cudaGetLastError();
    return false;
  }
  check_cuda(status, "a call on the device");
  return true;
}

// --- what can be enqueued on a stream ---

void CudaDevice::copy(Stream stream, void* to, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  const Current current(ordinal_);
  check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, of(stream)), "cudaMemcpyAsync");
}

void CudaDevice::reduce(Stream stream, DType dtype, Reduction reduction, void* out, const void* a,
                        const void* b, std::size_t count) {
  const Current current(ordinal_);
  cuda::reduce(dtype, reduction, out, a, b, count, {of(stream)});
}

void CudaDevice::divide(Stream stream, DType dtype, void* inout, std::size_t count, int divisor) {
  const Current current(ordinal_);
  cuda::divide(dtype, inout, count, divisor, {of(stream)});
}

void CudaDevice::signal(Stream stream, DeviceCell* cell, std::uint64_t bits) {
  const Current current(ordinal_);
  // By default the write comes after all that is before it on the stream, for the whole system.
  if (write_value_ != nullptr &&
      write_value_(of(stream), reinterpret_cast<CUdeviceptr>(&cell->bits), bits,
                   CU_STREAM_WRITE_VALUE_DEFAULT) == CUDA_SUCCESS)
    return;
  launch_signal(cell, bits, {of(stream)});
}

void CudaDevice::await(Stream stream, const DeviceCell* cell, std::uint64_t bits,
                       const DeviceErrorFlags* error_flags) {
  const Current current(ordinal_);
  if (wait_value_ != nullptr && wait_value_(of(stream), reinterpret_cast<CUdeviceptr>(&cell->bits),
                                            bits, wait_flags_) == CUDA_SUCCESS)
    return;
  launch_await(cell, bits, error_flags, {of(stream)});
}

void CudaDevice::check(Stream stream, const DeviceCell* cell, std::uint32_t fingerprint, int from,
                       DeviceErrorFlags* error_flags) {
  const Current current(ordinal_);
  launch_check(cell, fingerprint, from, error_flags, {of(stream)});
}

void CudaDevice::launch(Stream stream, const DeviceCall& call, int blocks) {
  const Current current(ordinal_);
  launch_device_call(call, static_cast<unsigned>(blocks), {of(stream)});
}

// --- beside the streams ---

void CudaDevice::copy_beside(void* to, const void* from, std::size_t bytes) {
  const Current current(ordinal_);
  check_cuda(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, overlap_), "cudaMemcpyAsync");
  check_cuda(cudaStreamSynchronize(overlap_), "a copy");
}

void CudaDevice::settle_default() {
  const Current current(ordinal_);
  check_cuda(cudaStreamSynchronize(cudaStreamLegacy), "waiting for the default stream");
}

void CudaDevice::read(void* to_host, const void* from, std::size_t bytes) {
  copy_beside(to_host, from, bytes);
}

void CudaDevice::write(void* to, const void* from_host, std::size_t bytes) {
  copy_beside(to, from_host, bytes);
}

}  // namespace ringside
