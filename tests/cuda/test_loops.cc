// Reduce, divide and copy on a GPU, bit for bit against the CPU's loops: every type and reduction,
// counts around vectors and tiles, inputs and outputs at every kind of address, in place and apart,
// with few blocks and many. Outputs begin poisoned and lie between guards.
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/cuda/loops.h"
#include "kernels/loops.h"
#include "tests/cuda/device_memory.h"
#include "tests/kernels/oracle.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using test::DeviceBytes;
using test::need_device;
using test::Stream;

struct Case {
  std::size_t count, out, a, b;  // elements, and offsets in bytes
  int blocks_max;
};

std::vector<Case> cases_for(std::size_t element) {
  std::vector<Case> cases;
  for (const std::size_t count : {1u, 3u, 17u, 1000u, 100'003u}) {
    cases.push_back({count, 0, 0, 0, 0});
    cases.push_back({count, element, element, element, 3});
    cases.push_back({count, 0, element, 16 - element, 0});
    cases.push_back({count, 8, 0, 3, 1});
    cases.push_back({count, 1, 2, 3, 0});
  }
  return cases;
}

template <class T>
std::size_t differences(const std::vector<T>& got, const std::vector<T>& expected,
                        std::size_t count) {
  std::size_t different = got.size() == count ? 0 : 1;
  for (std::size_t i = 0; i < count; ++i) different += test::same(got[i], expected[i]) ? 0 : 1;
  return different;
}

template <class T>
void check_reduce(test::Context& t, const Stream& stream, Reduction reduction) {
  const test::Inputs<T> inputs = test::make_inputs<T>(100'003);
  std::vector<T> expected(inputs.a.size());
  reduce_loop(dtype_of<T>, reduction)(expected.data(), inputs.a.data(), inputs.b.data(),
                                      expected.size());
  for (const Case& it : cases_for(sizeof(T))) {
    const std::size_t bytes = it.count * sizeof(T);
    DeviceBytes a(inputs.a.data(), bytes, it.a), b(inputs.b.data(), bytes, it.b);
    DeviceBytes out(nullptr, bytes, it.out);
    const cuda::Launch launch = stream.with_blocks(it.blocks_max);
    cuda::reduce(dtype_of<T>, reduction, out.data(), a.data(), b.data(), it.count, launch);
    cuda::reduce(dtype_of<T>, reduction, a.data(), a.data(), b.data(), it.count, launch);
    stream.wait();
    for (DeviceBytes* const result : {&out, &a}) {
      const std::size_t wrong = differences(result->fetch<T>(t), expected, it.count);
      CHECK_MSG(wrong == 0, "%s %s: %zu of %zu elements at offsets %zu, %zu, %zu%s",
                name_of(dtype_of<T>), name_of(reduction), wrong, it.count, it.out, it.a, it.b,
                result == &a ? ", in place" : "");
    }
    // Control: what has not been computed is not equal.
    DeviceBytes untouched(nullptr, bytes, it.out);
    if (it.count >= 1000) CHECK(differences(untouched.fetch<T>(t), expected, it.count) > 900);
  }
}

RINGSIDE_TEST(cuda_loops, reduce_has_the_bits_of_the_cpu) {
  need_device();
  const Stream stream;
  for (const DType dtype : kAllDTypes)
    for (const Reduction reduction : kAllReductions)
      visit(dtype,
            [&](auto tag) { check_reduce<typename decltype(tag)::type>(t, stream, reduction); });
}

RINGSIDE_TEST(cuda_loops, divide_has_the_bits_of_the_cpu) {
  need_device();
  const Stream stream;
  for (const DType dtype : kAllDTypes)
    visit(dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      for (const int divisor : {1, 3, 8, 100}) {
        const test::Inputs<T> inputs = test::make_inputs<T>(5003);
        std::vector<T> expected = inputs.a;
        divide_loop(dtype)(expected.data(), expected.size(), divisor);
        DeviceBytes data(inputs.a, sizeof(T));
        cuda::divide(dtype, data.data(), expected.size(), divisor, stream);
        stream.wait();
        const std::size_t wrong = differences(data.fetch<T>(t), expected, expected.size());
        CHECK_MSG(wrong == 0, "%s by %d: %zu wrong", name_of(dtype), divisor, wrong);
      }
    });
}

RINGSIDE_TEST(cuda_loops, copy_copies_and_nothing_more) {
  need_device();
  const Stream stream;
  std::vector<unsigned char> source(1'000'003);
  for (std::size_t i = 0; i < source.size(); ++i)
    source[i] = static_cast<unsigned char>(i * 7 + i / 251);
  for (const std::size_t bytes :
       {std::size_t{1}, std::size_t{33}, std::size_t{4097}, source.size()})
    for (std::size_t from = 0; from < 16; ++from)
      for (const std::size_t to : {0u, 1u, 15u}) {
        const DeviceBytes in(source.data(), bytes, from);
        DeviceBytes out(nullptr, bytes, to);
        cuda::copy(out.data(), in.data(), bytes, stream);
        stream.wait();
        const auto got = out.fetch<unsigned char>(t);
        CHECK_MSG(std::memcmp(got.data(), source.data(), bytes) == 0, "%zu bytes, %zu to %zu",
                  bytes, from, to);
      }
}

RINGSIDE_TEST(cuda_loops, nothing_to_do_is_nothing_done) {
  need_device();
  const Stream stream;
  cuda::load_loops();
  cuda::reduce(DType::f32, Reduction::sum, nullptr, nullptr, nullptr, 0, stream);
  cuda::divide(DType::f32, nullptr, 0, 2, stream);
  cuda::copy(nullptr, nullptr, 0, stream);
  stream.wait();
}

RINGSIDE_TEST(cuda_loops, the_default_stream_is_refused) {
  need_device();
  std::string said;
  try {
    cuda::copy(nullptr, nullptr, 1, {nullptr});
  } catch (const std::invalid_argument& refused) {
    said = refused.what();
  }
  CHECK(said.starts_with("copy wants a stream of its own"));
}

RINGSIDE_TEST(cuda_check, says_what_failed_and_what_to_try) {
  const std::string sentence =
      cuda::cuda_sentence(cudaErrorInsufficientDriver, "looking for a GPU", "rank 3");
  CHECK(sentence.starts_with("rank 3: looking for a GPU failed: "));
  CHECK(sentence.ends_with("than the CUDA that ringside was built with"));
  cuda::check_cuda(cudaSuccess, "nothing");
  bool threw = false;
  try {
    cuda::check_cuda(cudaErrorNoDevice, "nothing");
  } catch (const cuda::CudaError& error) {
    threw = error.status() == cudaErrorNoDevice;
  }
  CHECK(threw);
}

}  // namespace
}  // namespace ringside
