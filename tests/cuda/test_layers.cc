// GELU, bias, AdamW and the matrix product on a GPU, bit for bit against the CPU's; and cuBLAS,
// whose bits nobody promises, within the bound that any order of additions keeps.
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/cuda/gemm.h"
#include "kernels/cuda/layers.h"
#include "kernels/layers.h"
#include "tests/cuda/device_memory.h"
#include "tests/kernels/gemm_oracle.h"
#include "tests/kernels/oracle.h"
#include "tests/support/test.h"
#if defined(RINGSIDE_HAVE_CUBLAS)
#include "kernels/cuda/blas.h"
#endif

namespace ringside {
namespace {

using namespace test;

// Normal numbers, and then every special one.
template <class T>
void check_gelu(test::Context& t, const Stream& stream) {
  test::Inputs<T> inputs = test::make_inputs<T>(2000);
  for (const T value : normal_values<T>(9001, 1)) {
    inputs.a.push_back(value);
    inputs.b.push_back(value);
  }
  const std::size_t count = inputs.a.size();
  std::vector<T> out(count), dx(count);
  gelu(dtype_of<T>, out.data(), inputs.a.data(), count);
  gelu_gradient(dtype_of<T>, dx.data(), inputs.a.data(), inputs.b.data(), count);
  const DeviceBytes x(inputs.a, sizeof(T)), dy(inputs.b);
  DeviceBytes device_out(nullptr, count * sizeof(T), 0), device_dx(nullptr, count * sizeof(T), 0);
  cuda::gelu(dtype_of<T>, device_out.data(), x.data(), count, stream);
  cuda::gelu_gradient(dtype_of<T>, device_dx.data(), x.data(), dy.data(), count, stream);
  stream.wait();
  CHECK_MSG(equal(device_out.fetch<T>(t), out), "gelu in %s", name_of(dtype_of<T>));
  CHECK_MSG(equal(device_dx.fetch<T>(t), dx), "gelu_gradient in %s", name_of(dtype_of<T>));
}

template <class T>
void check_bias(test::Context& t, const Stream& stream, std::size_t rows, std::size_t columns) {
  const std::vector<T> x = normal_values<T>(rows * columns, 2), bias = normal_values<T>(columns, 3);
  std::vector<T> added(x.size()), out(x.size()), sum(x.size());
  std::vector<float> db = normal_values<float>(columns, 4);
  const DeviceBytes device_x(x), device_bias(bias);
  DeviceBytes device_added(nullptr, x.size() * sizeof(T), 0);
  DeviceBytes device_out(nullptr, x.size() * sizeof(T), 0);
  DeviceBytes device_sum(nullptr, x.size() * sizeof(T), 0);
  DeviceBytes device_db(db);
  const DType dtype = dtype_of<T>;
  cuda::bias_add(dtype, device_added.data(), device_x.data(), device_bias.data(), rows, columns,
                 stream);
  cuda::bias_gelu(dtype, device_out.data(), device_sum.data(), device_x.data(), device_bias.data(),
                  rows, columns, stream);
  cuda::bias_gradient(dtype, static_cast<float*>(device_db.data()), device_x.data(), rows, columns,
                      true, stream);
  stream.wait();
  bias_add(dtype, added.data(), x.data(), bias.data(), rows, columns);
  bias_gelu(dtype, out.data(), sum.data(), x.data(), bias.data(), rows, columns);
  bias_gradient(dtype, db.data(), x.data(), rows, columns, true);
  CHECK(equal(device_added.fetch<T>(t), added));
  CHECK(equal(device_out.fetch<T>(t), out) && equal(device_sum.fetch<T>(t), sum));
  CHECK_MSG(equal(device_db.fetch<float>(t), db), "bias_gradient of %zu x %zu in %s", rows, columns,
            name_of(dtype));
}

template <class T>
void check_adamw(test::Context& t, const Stream& stream, std::size_t offset) {
  constexpr std::size_t kCount = 10'007;
  std::vector<float> weight = normal_values<float>(kCount, 5),
                     mean = normal_values<float>(kCount, 6);
  std::vector<float> square(kCount, 0.3f);
  const std::vector<T> gradient = normal_values<T>(kCount, 7);
  std::vector<T> copy(kCount);
  DeviceBytes device_weight(weight, offset), device_mean(mean, offset), device_square(square);
  DeviceBytes device_copy(copy), device_gradient(gradient);
  const AdamW step = adamw_step({}, 5);
  const auto floats = [](const DeviceBytes& it) { return static_cast<float*>(it.data()); };
  cuda::adamw(step,
              {floats(device_weight), floats(device_mean), floats(device_square),
               device_gradient.data(), device_copy.data(), dtype_of<T>, kCount},
              stream);
  stream.wait();
  adamw(step, {weight.data(), mean.data(), square.data(), gradient.data(), copy.data(), dtype_of<T>,
               kCount});
  CHECK(equal(device_weight.fetch<float>(t), weight));
  CHECK(equal(device_mean.fetch<float>(t), mean));
  CHECK(equal(device_square.fetch<float>(t), square));
  CHECK(equal(device_copy.fetch<T>(t), copy));
}

template <class T>
void check_layers(test::Context& t, const Stream& stream) {
  check_gelu<T>(t, stream);
  check_bias<T>(t, stream, 700, 512);
  check_bias<T>(t, stream, 33, 37);
  check_adamw<T>(t, stream, 0);
  check_adamw<T>(t, stream, 4);
}

RINGSIDE_TEST(cuda_layers, have_the_bits_of_the_cpu) {
  need_device();
  const Stream stream;
  check_layers<float>(t, stream);
  check_layers<f16>(t, stream);
  check_layers<bf16>(t, stream);
}

template <class In, class Out>
void check_gemm(test::Context& t, const Stream& stream, GemmForm form, std::size_t gap) {
  test::Matrices<In, Out> it(form, 200, 300, 257, gap);
  it.what.accumulate = gap != 0;
  const DeviceBytes a(it.a), b(it.b);
  const std::vector<Out> before = it.c;
  gemm(it.what, it.c.data(), it.a.data(), it.b.data());
  for (const cuda::GemmTile tile : {cuda::GemmTile::small, cuda::GemmTile::large}) {
    DeviceBytes c(before);
    cuda::gemm(it.what, c.data(), a.data(), b.data(), stream, tile);
    stream.wait();
    CHECK_MSG(equal(c.fetch<Out>(t), it.c), "%s, %s to %s, gap %zu, tile %d", name_of(form),
              name_of(dtype_of<In>), name_of(dtype_of<Out>), gap, static_cast<int>(tile));
  }
  CHECK(!equal(it.oracle(test::Order::downwards), it.c) || sizeof(Out) == 2);  // control
}

RINGSIDE_TEST(cuda_layers, gemm_has_the_bits_of_the_cpu) {
  need_device();
  const Stream stream;
  for (const GemmForm form : kAllGemmForms)
    for (const std::size_t gap : {0u, 3u}) {
      check_gemm<float, float>(t, stream, form, gap);
      check_gemm<bf16, bf16>(t, stream, form, gap);
      check_gemm<bf16, float>(t, stream, form, gap);
      check_gemm<f16, f16>(t, stream, form, gap);
    }
}

#if defined(RINGSIDE_HAVE_CUBLAS)

// Row by row and column by column right, in every form: a transposition mixed up would be far off.
RINGSIDE_TEST(cuda_layers, cublas_computes_the_same_product) {
  need_device();
  if (const std::string why = cuda::why_no_blas(); !why.empty()) SKIP(why);
  const Stream stream;
  cuda::Blas blas;
  for (const GemmForm form : kAllGemmForms) {
    test::Matrices<bf16, float> it(form, 64, 40, 96, 8);
    it.what.accumulate = true;
    const DeviceBytes a(it.a), b(it.b);
    DeviceBytes c(it.c);
    blas.gemm(it.what, c.data(), a.data(), b.data(), stream);
    stream.wait();
    const std::vector<float> got = c.fetch<float>(t), expected = it.oracle(test::Order::promised);
    for (std::size_t i = 0; i < it.what.m; ++i)
      for (std::size_t j = 0; j < it.what.n; ++j) {
        const std::size_t at = i * it.what.pitch_c + j;
        double most = std::fabs(static_cast<double>(it.c[at]));
        for (std::size_t k = 0; k < it.what.k; ++k)
          most += std::fabs(static_cast<double>(it.a_at(i, k) * it.b_at(k, j)));
        const double bound = 2 * static_cast<double>(it.what.k) * 0x1p-24 * most;
        CHECK(std::fabs(static_cast<double>(got[at]) - static_cast<double>(expected[at])) <= bound);
      }
  }
}

#endif

}  // namespace
}  // namespace ringside
