// A GPU for the bench that lies in the host's memory (tools/support/gpu.h), so that its whole way
// with device memory runs where there is no GPU; and how often it was touched, and how.
#pragma once

#include <atomic>
#include <cstring>
#include <stdexcept>

#include "tools/support/gpu.h"

namespace ringside::test {

struct HostGpuOptions {
  unsigned char uuid = 1;     // equal: the same GPU
  bool spoils_reads = false;  // the last byte of what is read is another one
  std::size_t free_bytes = std::size_t{1} << 40;
  double copy_gbs = 1000;  // what it says of itself
};

class HostGpu : public tools::Gpu {
 public:
  explicit HostGpu(const HostGpuOptions& options) : options_(options) {}

  std::string name() const override { return "a GPU that the host plays"; }
  std::array<unsigned char, 16> uuid() const override { return {options_.uuid}; }
  std::size_t free_bytes() override { return options_.free_bytes; }

  std::byte* allocate(std::size_t bytes) override { return new std::byte[bytes + 1]{}; }
  void free(std::byte* memory) noexcept override { delete[] memory; }

  void write(std::byte* to, const void* from_host, std::size_t bytes) override {
    if (bytes > 0) std::memcpy(to, from_host, bytes);
  }
  void read(void* to_host, const std::byte* from, std::size_t bytes) override {
    if (bytes == 0) return;
    std::memcpy(to_host, from, bytes);
    if (options_.spoils_reads) static_cast<std::byte*>(to_host)[bytes - 1] ^= std::byte{0x40};
  }
  void set(std::byte* at, unsigned char value, std::size_t bytes) override {
    if (bytes > 0) std::memset(at, value, bytes);
  }
  void rewrite(std::byte* at, std::size_t bytes) override {
    ++rewrites;
    for (std::size_t i = 0; i < bytes; i += 64) at[i] ^= std::byte{1};
  }
  double copy_us(std::size_t bytes) override {
    return 2 * static_cast<double>(bytes) / options_.copy_gbs / 1e3;
  }
  void* stream() override { return this; }
  bool is_done() override { return true; }

  static inline std::atomic<int> rewrites{0};

 private:
  const HostGpuOptions options_;
};

}  // namespace ringside::test
