// NVIDIA's matrix product, for speed and not for bits: it uses tensor cores and splits k as it
// likes. Beside kernels/cuda/gemm.h it is a thin call, with the same arguments.
//
// cuBLAS is loaded when a Blas is made, so a program that never makes one starts without it. Only
// its header is needed to build; without that this file's source is left out
// (RINGSIDE_HAVE_CUBLAS).
#pragma once

#include <memory>
#include <string>

#include "kernels/cuda/launch.h"
#include "kernels/gemm.h"

namespace ringside::cuda {

// Why cuBLAS cannot be used, as a sentence; empty if it can be loaded.
std::string why_no_blas();

// Belongs to the device that is current when it is made. One thread at a time.
class Blas {
 public:
  Blas();  // throws std::runtime_error with a sentence
  ~Blas();
  Blas(Blas&&) noexcept;
  Blas& operator=(Blas&&) noexcept;

  // As ringside::gemm, with sums in float, in an order that is not told. With `tf32` factors of
  // type f32 are first rounded to 10 bits of fraction, which is what tensor cores take.
  void gemm(const Gemm& what, void* c, const void* a, const void* b, const Launch& launch,
            bool tf32 = false);

  std::string version() const;  // "13.0.2"

 private:
  struct Library;
  std::unique_ptr<Library> library_;
};

}  // namespace ringside::cuda
