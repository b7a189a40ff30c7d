// An accelerator, as far as collectives need one: memory that peers can reach, streams of work in
// order, events between them, and one kernel.
//
// There are two. comm/device/cuda/cuda_device.h is a GPU. tests/device/cpu_device.h emulates one:
// its memory is the host's, its streams are threads, its kernel is run by threads. So all that is
// above (which executor, which steps, what happens when a peer dies while a kernel waits) is
// written once and tested where there is no GPU.
//
// What is enqueued on a stream is carried out in order, later; no function here waits unless its
// comment says so. Every function throws Error{system} with the device's own message.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "comm/device/kernel/args.h"

namespace ringside {

// What the others are to know of a rank's device. Trivially copyable.
struct DeviceFacts {
  bool present = false;
  std::array<char, 64> name{};           // for people: "NVIDIA H200"
  std::array<unsigned char, 16> uuid{};  // equal: the same device
  std::uint64_t process = 0;             // process_nonce()
  std::int32_t ordinal = 0;              // as its own process counts
  std::int32_t resident_blocks = 0;      // of the collectives' kernel, on an empty device
  // Kernels of several processes run at once (CUDA's multi-process service).
  bool shared_by_processes = false;
  // Streams that can wait for each other's work without blocking each other, and how many this
  // process has already. Several of CUDA's streams may share a queue of the hardware.
  std::int32_t connections = 0;
  std::int32_t streams = 0;
};

// What a rank hands out so that others can reach its memory.
struct DeviceHandle {
  std::array<unsigned char, 128> bytes{};
};

class Device {
 public:
  virtual ~Device() = default;

  using Stream = void*;
  using Event = void*;

  virtual DeviceFacts facts() = 0;

  // Is this an address in a device's memory? Asked for the buffers of every call.
  virtual bool owns(const void* address) = 0;

  // --- memory ---
  virtual unsigned char* allocate(std::size_t bytes) = 0;  // zeroed
  virtual void free(unsigned char* memory) noexcept = 0;
  virtual DeviceHandle share(unsigned char* memory) = 0;
  // A peer's memory, for loads and stores of this device. Throws if they do not reach it.
  virtual unsigned char* open(const DeviceFacts& owner, const DeviceHandle& handle) = 0;
  virtual void close(const DeviceFacts& owner, unsigned char* memory) noexcept = 0;
  // Can the owner's kernels, and its copies, use any address of this device?
  virtual bool lets_read(const DeviceFacts& reader) = 0;
  // In the host's memory, and the device reaches it at the same address.
  virtual DeviceErrorFlags* make_error_flags() = 0;
  virtual void free_error_flags(DeviceErrorFlags* error_flags) noexcept = 0;

  // --- streams and events ---
  virtual Stream make_stream() = 0;
  virtual void end_stream(Stream stream) noexcept = 0;
  virtual Event make_event() = 0;
  virtual void end_event(Event event) noexcept = 0;
  virtual void record(Event event, Stream stream) = 0;
  virtual void wait_for(Stream stream, Event event) = 0;
  // Does work that names no stream wait for this one, and this one for that?
  virtual bool is_blocking(Stream stream) = 0;
  // What callers have enqueued on the device without naming a stream comes before.
  virtual void wait_for_default(Stream stream) = 0;
  // Has everything before the record() come to its end? Never waits.
  virtual bool is_done(Event event) = 0;

  // --- what can be enqueued on a stream ---
  virtual void copy(Stream stream, void* to, const void* from, std::size_t bytes) = 0;
  // out = a op b; for avg, their sum. Any alignment.
  virtual void reduce(Stream stream, DType dtype, Reduction reduction, void* out, const void* a,
                      const void* b, std::size_t count) = 0;
  virtual void divide(Stream stream, DType dtype, void* inout, std::size_t count, int divisor) = 0;
  // After all that is before it on the stream, whose effects are visible to whoever sees the
  // signal.
  virtual void signal(Stream stream, DeviceCell* cell, std::uint64_t bits) = 0;
  // The stream goes on when the cell's sequence is there, or further; or on the abort flag.
  virtual void await(Stream stream, const DeviceCell* cell, std::uint64_t bits,
                     const DeviceErrorFlags* error_flags) = 0;
  // If the cell's fingerprint is another one: notes that in the error flags, and the stream goes on
  // only after the abort flag, so nothing that is wrong is passed on. `from` is the cell's sender.
  virtual void check(Stream stream, const DeviceCell* cell, std::uint32_t fingerprint, int from,
                     DeviceErrorFlags* error_flags) = 0;
  // The device executor's kernel, with so many blocks.
  virtual void launch(Stream stream, const DeviceCall& call, int blocks) = 0;

  // Waits for what callers have enqueued without naming a stream.
  virtual void settle_default() = 0;

  // --- independent of the streams: at once, whatever they wait for ---
  // Waits until the bytes are there.
  virtual void read(void* to_host, const void* from, std::size_t bytes) = 0;
  virtual void write(void* to, const void* from_host, std::size_t bytes) = 0;
};

// The calling thread's current GPU, if the program uses one: make it current (cudaSetDevice) before
// making a communicator. Null where there is none, and in builds without CUDA.
std::shared_ptr<Device> current_device();
// The same question, answered cheaply. Never starts a driver.
bool has_current_device();

}  // namespace ringside
