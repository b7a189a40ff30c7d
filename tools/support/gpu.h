// A GPU, as far as measuring needs one: memory that only its own copies reach, a clock on how fast
// it copies, and a stream for a library that wants one. And the GPUs of all ranks together.
//
// gpu_cuda.cc is the real one. Tests put one in its place that lies in the host's memory, so the
// bench's whole way with device memory runs where there is no GPU. In a build without CUDA there is
// none, and a sentence.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "comm/bootstrap/bootstrap.h"
#include "comm/cost/machine.h"

namespace ringside::tools {

// Every call waits until what it does is done, but for those of stream(). Each throws
// std::runtime_error with the device's own words.
class Gpu {
 public:
  virtual ~Gpu() = default;

  virtual std::string name() const = 0;                    // "NVIDIA H200"
  virtual std::array<unsigned char, 16> uuid() const = 0;  // equal: the same GPU
  virtual std::size_t free_bytes() = 0;

  virtual std::byte* allocate(std::size_t bytes) = 0;
  virtual void free(std::byte* memory) noexcept = 0;

  virtual void write(std::byte* to, const void* from_host, std::size_t bytes) = 0;
  virtual void read(void* to_host, const std::byte* from, std::size_t bytes) = 0;
  virtual void set(std::byte* at, unsigned char value, std::size_t bytes) = 0;
  // Another value into the first byte of each cache line.
  virtual void rewrite(std::byte* at, std::size_t bytes) = 0;

  // µs that the faster of two copies takes from one place in its memory to another: our kernel, or
  // the copy that CUDA brings.
  virtual double copy_us(std::size_t bytes) = 0;

  // For a library that takes a cudaStream_t; and whether all that was ordered there is done.
  virtual void* stream() = 0;
  virtual bool is_done() = 0;
};

// The GPU numbered `local_rank` modulo how many there are, and current in the calling thread from
// now on. Throws Error{usage} where there is none, or no CUDA in this build.
using MakeGpu = std::function<std::shared_ptr<Gpu>(int local_rank)>;
std::shared_ptr<Gpu> cuda_gpu(int local_rank);

// This rank's GPU, and what all ranks have.
struct RankGpus {
  std::shared_ptr<Gpu> mine;
  std::vector<int> device_of;             // of each rank: a number for each different GPU, from 0
  std::vector<std::string> device_names;  // of each such GPU

  // The ranks of the GPU that most ranks share.
  std::vector<int> busiest() const;
  // "2 NVIDIA H200, 2 ranks on each"
  std::string words() const;
};

// Collective; to be called before a communicator is made, which looks at what is current. Throws
// Error{usage} on every rank if one has no GPU.
RankGpus take_gpus(Bootstrap& bootstrap, const MakeGpu& make, double timeout_s);

// How fast a GPU copies its own memory: bytes read plus bytes written, in 10⁹ bytes a second, by
// the bytes that are moved. Measured on rank 0's GPU while the others wait; alike on all ranks.
// Collective. `most_bytes`: of the largest buffer that the run has.
std::vector<Rate> probe_gpu_copy(Bootstrap& bootstrap, Gpu& gpu, std::size_t most_bytes,
                                 double timeout_s);

}  // namespace ringside::tools
