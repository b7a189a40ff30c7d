// Threads in the place of streams and blocks; the story is in cpu_device.h.
#include "tests/device/cpu_device.h"

#include <sched.h>

#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#include "comm/device/kernel/executor.h"
#include "comm/error.h"
#include "comm/transport/shm/shm.h"
#include "comm/util/secret.h"
#include "kernels/loops.h"
#include "tests/collectives/collective_case.h"

namespace ringside::test {
namespace {

std::atomic<int> alive{0};

class CpuBlock {
 public:
  CpuBlock(std::size_t index, std::size_t count, unsigned threads, DeviceProgress* progress)
      : index_(index), count_(count), threads_(threads), progress_(progress) {}
  std::size_t index() const { return index_; }
  std::size_t count() const { return count_; }
  template <class F>
  LeaderResult broadcast(const F& f) {
    return f();
  }
  template <class F>
  void leader(const F& f) {
    f();
  }
  template <class F>
  void together(const F& f) {
    for (unsigned thread = 0; thread < threads_; ++thread) f(thread, threads_);
  }
  DeviceProgress& progress(int peer) { return progress_[peer]; }
  void relax() { ::sched_yield(); }

 private:
  std::size_t index_, count_;
  unsigned threads_;
  DeviceProgress* progress_;
};

void run_kernel(const DeviceCall& call, int blocks, unsigned threads_a_block) {
  std::vector<std::thread> threads;
  for (int i = 0; i < blocks; ++i)
    threads.emplace_back([&, i] {
      CpuBlock block(static_cast<std::size_t>(i), static_cast<std::size_t>(blocks), threads_a_block,
                     call.progress + call.layout.connection(i, 0));
      carry_out(call, block);
    });
  for (std::thread& thread : threads) thread.join();
}

// A wait is for the record() that was the latest when it was enqueued.
struct CpuEvent {
  CpuEvent() { ++alive; }
  ~CpuEvent() { --alive; }
  using Passed = std::shared_ptr<std::atomic<bool>>;
  Passed latest = std::make_shared<std::atomic<bool>>(true);
};

class CpuStream {
 public:
  CpuStream() : thread_([this] { serve(); }) { ++alive; }
  ~CpuStream() {
    push(nullptr);
    thread_.join();
    --alive;
  }
  void push(std::function<void()> order) {
    const std::lock_guard lock(mutex_);
    orders_.push_back(std::move(order));
    changed_.notify_one();
  }

 private:
  void serve() {
    for (;;) {
      std::function<void()> order;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return !orders_.empty(); });
        order = std::move(orders_.front());
        orders_.pop_front();
      }
      if (!order) return;
      order();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> orders_;
  std::thread thread_;
};

CpuStream& of(Device::Stream stream) { return *static_cast<CpuStream*>(stream); }
CpuEvent& event_of(Device::Event event) { return *static_cast<CpuEvent*>(event); }

class CpuDevice : public Device {
 public:
  explicit CpuDevice(const CpuDeviceOptions& options) : options_(options) {}

  DeviceFacts facts() override {
    DeviceFacts facts;
    facts.present = true;
    std::strcpy(facts.name.data(), "a CPU that emulates a device");
    static std::atomic<std::uint64_t> processes{0};
    facts.process = options_.several_processes ? ++processes : process_nonce();
    facts.resident_blocks = options_.resident_blocks;
    facts.connections = options_.connections;
    return facts;
  }
  bool owns(const void* address) override {
    return address != nullptr && (options_.owns_all == nullptr || options_.owns_all->load());
  }

  unsigned char* allocate(std::size_t bytes) override {
    ++alive;
    auto* const memory = new (std::align_val_t{64}) unsigned char[bytes];
    std::memset(memory, 0, bytes);
    return memory;
  }
  void free(unsigned char* memory) noexcept override {
    if (memory == nullptr) return;
    --alive;
    operator delete[](memory, std::align_val_t{64});
  }
  DeviceHandle share(unsigned char* memory) override {
    DeviceHandle handle;
    std::memcpy(handle.bytes.data(), &memory, sizeof memory);
    return handle;
  }
  unsigned char* open(const DeviceFacts&, const DeviceHandle& handle) override {
    if (options_.no_way) throw Error(Fault::system, "there is no way between these two devices");
    unsigned char* memory = nullptr;
    std::memcpy(&memory, handle.bytes.data(), sizeof memory);
    return memory;
  }
  void close(const DeviceFacts&, unsigned char*) noexcept override {}
  bool lets_read(const DeviceFacts&) override { return !options_.several_processes; }
  DeviceErrorFlags* make_error_flags() override {
    ++alive;
    return error_flags_ = new DeviceErrorFlags;
  }
  void free_error_flags(DeviceErrorFlags* error_flags) noexcept override {
    --alive;
    error_flags_ = nullptr;
    delete error_flags;
  }

  Stream make_stream() override { return new CpuStream; }
  void end_stream(Stream stream) noexcept override { delete static_cast<CpuStream*>(stream); }
  Event make_event() override { return new CpuEvent; }
  void end_event(Event event) noexcept override { delete static_cast<CpuEvent*>(event); }
  void record(Event event, Stream stream) override {
    const auto passed = std::make_shared<std::atomic<bool>>(false);
    event_of(event).latest = passed;
    of(stream).push([passed] { passed->store(true, std::memory_order_release); });
  }
  void wait_for(Stream stream, Event event) override {
    of(stream).push([passed = event_of(event).latest] {
      while (!passed->load(std::memory_order_acquire)) ::sched_yield();
    });
  }
  bool is_blocking(Stream) override { return options_.is_blocking; }
  void wait_for_default(Stream) override {}
  void settle_default() override {}
  bool is_done(Event event) override {
    return event_of(event).latest->load(std::memory_order_acquire);
  }

  void copy(Stream stream, void* to, const void* from, std::size_t bytes) override {
    of(stream).push([=, this] {
      if (to != from && !is_let_go()) copy_bytes(to, from, bytes);
    });
  }
  void reduce(Stream stream, DType dtype, Reduction reduction, void* out, const void* a,
              const void* b, std::size_t count) override {
    of(stream).push([=, this] {
      if (!is_let_go()) reduce_loop(dtype, reduction)(out, a, b, count);
    });
  }
  void divide(Stream stream, DType dtype, void* inout, std::size_t count, int divisor) override {
    of(stream).push([=, this] {
      if (!is_let_go()) divide_loop(dtype)(inout, count, divisor);
    });
  }
  void signal(Stream stream, DeviceCell* cell, std::uint64_t bits) override {
    of(stream).push([=, this] {
      if (!is_let_go()) store_release(&cell->bits, bits);
    });
  }
  void await(Stream stream, const DeviceCell* cell, std::uint64_t bits,
             const DeviceErrorFlags*) override {
    // As a GPU's stream: only the flag ends it.
    of(stream).push([=] {
      while (static_cast<std::int64_t>(load_acquire(&cell->bits) - bits) < 0) ::sched_yield();
    });
  }
  void check(Stream stream, const DeviceCell* cell, std::uint32_t fingerprint, int from,
             DeviceErrorFlags* error_flags) override {
    of(stream).push([=] {
      const std::uint32_t mark = device_fingerprint(load_acquire(&cell->bits));
      if (mark == fingerprint || load_word(&error_flags->abort) != 0) return;
      store_release(&error_flags->found,
                    kErrorFound | static_cast<std::uint64_t>(from) << 32 | mark);
      while (load_word(&error_flags->abort) == 0) ::sched_yield();
    });
  }
  void launch(Stream stream, const DeviceCall& call, int blocks) override {
    of(stream).push(
        [call, blocks, threads = options_.threads_a_block] { run_kernel(call, blocks, threads); });
  }

  // Cells are flags to others; nobody reads anything else meanwhile.
  void read(void* to_host, const void* from, std::size_t bytes) override {
    if (bytes % sizeof(DeviceCell) != 0 ||
        reinterpret_cast<std::uintptr_t>(from) % alignof(DeviceCell) != 0) {
      std::memcpy(to_host, from, bytes);
      return;
    }
    for (std::size_t at = 0; at < bytes; at += sizeof(std::uint64_t)) {
      const std::uint64_t word =
          load_acquire(reinterpret_cast<const std::uint64_t*>(static_cast<const char*>(from) + at));
      std::memcpy(static_cast<char*>(to_host) + at, &word, sizeof word);
    }
  }
  void write(void* to, const void* from_host, std::size_t bytes) override {
    if (bytes != sizeof(DeviceCell) ||
        reinterpret_cast<std::uintptr_t>(to) % alignof(DeviceCell) != 0) {
      std::memcpy(to, from_host, bytes);
      return;
    }
    // The flag, which comes first, is written last.
    for (std::size_t at = bytes; at != 0;) {
      at -= sizeof(std::uint64_t);
      std::uint64_t word = 0;
      std::memcpy(&word, static_cast<const char*>(from_host) + at, sizeof word);
      store_release(reinterpret_cast<std::uint64_t*>(static_cast<char*>(to) + at), word);
    }
  }

 private:
  // Streams of a broken communicator, or with a message of another call, run on with whatever they
  // hold. What they move races with the rest, and so does what their flags let the peers' streams
  // move; nobody reads it. ThreadSanitizer would, so for it they do neither.
  bool is_let_go() const {
    return kUnderTsan && error_flags_ != nullptr &&
           (load_word(&error_flags_->abort) != 0 || load_acquire(&error_flags_->found) != 0);
  }

  CpuDeviceOptions options_;
  DeviceErrorFlags* error_flags_ = nullptr;
};

}  // namespace

std::shared_ptr<Device> make_cpu_device(const CpuDeviceOptions& options) {
  return std::make_shared<CpuDevice>(options);
}

int cpu_device_retired_windows() { return alive.load(); }

}  // namespace ringside::test
