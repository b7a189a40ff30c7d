// Where tools/kernel_bench runs kernels: on the CPU or on a GPU. Both offer the same calls on five
// buffers and time them; nothing else of the bench knows where it runs.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>

#include "kernels/dtype.h"
#include "kernels/gemm.h"
#include "kernels/layers.h"
#include "tools/kernel_suite/options.h"
#include "tools/measure/measure.h"

namespace ringside::tools {

// One call. Buffers 0 and 1 hold elements of `dtype`, between ¼ and 1; 2, 3 and 4 floats of that
// size. A kernel reads the first ones and writes the others.
struct KernelCall {
  Kernel kernel;
  DType dtype = DType::f32;
  std::size_t count = 0;  // elements of each array; of a matrix of kBiasColumns columns for bias
  Gemm product = {};      // for gemm and library_gemm
};

inline constexpr std::size_t kBiasColumns = 1024;

class KernelSide {
 public:
  virtual ~KernelSide() = default;

  virtual std::string name() const = 0;   // "cpu", "cuda"
  virtual std::string words() const = 0;  // what it is, for a headline
  virtual const char* library_copy() const = 0;
  virtual std::string library_gemm() const = 0;
  // Whether the library has this matrix product.
  virtual bool has_library_gemm(const Gemm& product) const = 0;

  // Makes the buffers, of so many bytes each.
  virtual void make_buffers(std::size_t bytes_each) = 0;
  virtual void fill(DType dtype) = 0;

  // The times of a call, in µs. Cold: nothing of the buffers is in the last cache. Warm: what fits
  // is still there from the calls before.
  virtual Quartiles time_us(const KernelCall& call, const KernelOptions& options) = 0;
};

std::unique_ptr<KernelSide> cpu_side();
#if defined(RINGSIDE_HAVE_CUDA)
// Throws CudaError where there is no GPU.
std::unique_ptr<KernelSide> cuda_side();
#endif

// Runs a kernel that both sides have by the same name; a GPU's also takes how it is launched.
template <class... Launch>
void run_kernel(const KernelCall& it, const std::array<void*, 5>& at, const Launch&... launch) {
  const std::size_t rows = it.count / kBiasColumns;
  const auto floats = [&](std::size_t buffer) { return static_cast<float*>(at[buffer]); };
  switch (it.kernel) {
    case Kernel::gelu:
      return gelu(it.dtype, at[2], at[0], it.count, launch...);
    case Kernel::gelu_gradient:
      return gelu_gradient(it.dtype, at[2], at[0], at[1], it.count, launch...);
    case Kernel::bias_gelu:
      return bias_gelu(it.dtype, at[3], at[2], at[0], at[1], rows, kBiasColumns, launch...);
    case Kernel::bias_gradient:
      return bias_gradient(it.dtype, floats(2), at[0], rows, kBiasColumns, false, launch...);
    case Kernel::adamw: {
      void* const copy = it.dtype == DType::f32 ? nullptr : at[1];
      return adamw(adamw_step({}, 10),
                   {floats(2), floats(3), floats(4), at[0], copy, it.dtype, it.count}, launch...);
    }
    default:
      return gemm(it.product, at[2], at[0], at[1], launch...);
  }
}

// What a buffer is filled with, element number i of `dtype`, as bytes.
void fill_buffer(std::byte* to, std::size_t bytes, DType dtype);

}  // namespace ringside::tools
