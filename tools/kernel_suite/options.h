// The options of tools/kernel_bench.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/dtype.h"
#include "tools/support/command_line.h"

namespace ringside::tools {

// In the order of the names in options.cc.
enum class Kernel : std::uint8_t {
  library_copy,  // memcpy, cudaMemcpyAsync: what the others are compared with
  copy,
  reduce,
  divide,
  gelu,
  gelu_gradient,
  bias_gelu,
  bias_gradient,
  adamw,
  gemm,
  library_gemm,  // OpenBLAS, cuBLAS
};

inline constexpr std::array kBenchKernels = {
    Kernel::copy,      Kernel::reduce,        Kernel::divide, Kernel::gelu, Kernel::gelu_gradient,
    Kernel::bias_gelu, Kernel::bias_gradient, Kernel::adamw,  Kernel::gemm};

const char* name_of(Kernel kernel);

struct KernelOptions {
  std::vector<Kernel> kernels = {kBenchKernels.begin(), kBenchKernels.end()};
  std::vector<DType> dtypes = {DType::f32, DType::bf16};
  std::size_t begin_bytes = 0;        // 0: 1M on a GPU, 64K on the CPU
  std::size_t end_bytes = 0;          // 0: 256M on a GPU, 16M on the CPU
  std::size_t factor = 0;             // 0: 4 on a GPU, 16 on the CPU
  std::vector<std::size_t> products;  // sizes of square matrices; none: 1024, 4096; or 256, 512
  int samples = 15;
  int blocks = 0;  // the most blocks of a grid; 0: no limit
  bool host = false;
  bool warm = false;
  bool tf32 = false;
  bool json = false;
  Request request = Request::none;
};

// Reads argv. Throws Error{usage} with one sentence.
KernelOptions parse_kernel_options(int argc, char** argv);

// What --help prints.
std::string kernel_help();

}  // namespace ringside::tools
