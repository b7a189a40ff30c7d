// Loads cuBLAS and passes products on to it, turned around: cuBLAS stores matrices by columns, and
// a row-major C is a column-major Cᵀ = Bᵀ·Aᵀ.
#include "kernels/cuda/blas.h"

#include <cublas_v2.h>
#include <dlfcn.h>

#include <climits>
#include <stdexcept>

namespace ringside::cuda {
namespace {

// Written out, since the header has two functions of that name.
using GemmEx = cublasStatus_t(cublasHandle_t, cublasOperation_t, cublasOperation_t, int m, int n,
                              int k, const void* alpha, const void* a, cudaDataType, int pitch_a,
                              const void* b, cudaDataType, int pitch_b, const void* beta, void* c,
                              cudaDataType, int pitch_c, cublasComputeType_t, cublasGemmAlgo_t);

void* open_library() {
  const std::string name = "libcublas.so." + std::to_string(CUBLAS_VER_MAJOR);
  return dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
}

template <class Function>
Function* find(void* library, const char* name) {
  void* const symbol = dlsym(library, name);
  if (symbol == nullptr)
    throw std::runtime_error(std::string("cuBLAS has no ") + name + ": another version of it?");
  return reinterpret_cast<Function*>(symbol);
}

cudaDataType_t type_of(DType dtype) {
  if (dtype == DType::f32) return CUDA_R_32F;
  return dtype == DType::f16 ? CUDA_R_16F : CUDA_R_16BF;
}

int as_int(std::size_t value) {
  if (value > INT_MAX) throw std::invalid_argument("cuBLAS takes no matrix with 2^31 rows or more");
  return static_cast<int>(value);
}

}  // namespace

std::string why_no_blas() {
  if (void* const library = open_library()) {
    dlclose(library);
    return "";
  }
  const char* const why = dlerror();
  return std::string("cuBLAS cannot be loaded: ") + (why == nullptr ? "unknown" : why) +
         "; is its folder in LD_LIBRARY_PATH?";
}

struct Blas::Library {
  void* library;
  decltype(cublasCreate_v2)* create;
  decltype(cublasDestroy_v2)* destroy;
  decltype(cublasSetStream_v2)* set_stream;
  GemmEx* gemm;
  decltype(cublasGetProperty)* property;
  decltype(cublasGetStatusString)* words;
  cublasHandle_t handle = nullptr;

  explicit Library(void* opened)
      : library(opened),
        create(find<decltype(cublasCreate_v2)>(library, "cublasCreate_v2")),
        destroy(find<decltype(cublasDestroy_v2)>(library, "cublasDestroy_v2")),
        set_stream(find<decltype(cublasSetStream_v2)>(library, "cublasSetStream_v2")),
        gemm(find<GemmEx>(library, "cublasGemmEx")),
        property(find<decltype(cublasGetProperty)>(library, "cublasGetProperty")),
        words(find<decltype(cublasGetStatusString)>(library, "cublasGetStatusString")) {
    check(create(&handle), "cublasCreate");
  }
  // The library stays loaded: its threads and its memory on the device outlive a handle.
  ~Library() { destroy(handle); }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  void check(cublasStatus_t status, const char* what) const {
    if (status != CUBLAS_STATUS_SUCCESS)
      throw std::runtime_error(std::string(what) + " failed: " + words(status));
  }
};

Blas::Blas() {
  void* const library = open_library();
  if (library == nullptr) throw std::runtime_error(why_no_blas());
  library_ = std::make_unique<Library>(library);
}
Blas::~Blas() = default;
Blas::Blas(Blas&&) noexcept = default;
Blas& Blas::operator=(Blas&&) noexcept = default;

void Blas::gemm(const Gemm& what, void* c, const void* a, const void* b, const Launch& launch,
                bool tf32) {
  const Gemm it = checked(what);
  if (it.m == 0 || it.n == 0) return;
  if (launch.stream == nullptr)
    throw std::invalid_argument("cuBLAS wants a stream of its own: the default one waits for all");
  const Library& blas = *library_;
  blas.check(blas.set_stream(blas.handle, launch.stream), "cublasSetStream");
  const float alpha = 1, beta = it.accumulate ? 1.0f : 0.0f;
  // Stored by rows, Aᵀ is already what "not transposed" means to cuBLAS.
  const cublasOperation_t turn_a = it.form == GemmForm::tn ? CUBLAS_OP_T : CUBLAS_OP_N;
  const cublasOperation_t turn_b = it.form == GemmForm::nt ? CUBLAS_OP_T : CUBLAS_OP_N;
  const cudaDataType_t in = type_of(it.in);
  blas.check(
      blas.gemm(blas.handle, turn_b, turn_a, as_int(it.n), as_int(it.m), as_int(it.k), &alpha, b,
                in, as_int(it.pitch_b), a, in, as_int(it.pitch_a), &beta, c, type_of(it.out),
                as_int(it.pitch_c), tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
                CUBLAS_GEMM_DEFAULT),
      "cublasGemmEx");
}

std::string Blas::version() const {
  int major = 0, minor = 0, patch = 0;
  library_->check(library_->property(MAJOR_VERSION, &major), "cublasGetProperty");
  library_->check(library_->property(MINOR_VERSION, &minor), "cublasGetProperty");
  library_->check(library_->property(PATCH_LEVEL, &patch), "cublasGetProperty");
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
}

}  // namespace ringside::cuda
