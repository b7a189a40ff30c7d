// The GPU's kernels without a GPU: what one thread does is an ordinary function
// (kernels/cuda/map.h), and here the CPU is every thread of a grid, one after the other. That holds
// cutting, shifting, guarding and every order of additions to the bits of the CPU's own loops, and
// under the address sanitizer to the bounds of the arrays. What it cannot show is what only a GPU
// has: the conversions of halves in hardware, the meeting of threads, and speed.
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/cuda/layer_threads.h"
#include "kernels/cuda/map.h"
#include "kernels/layers.h"
#include "kernels/loops.h"
#include "tests/kernels/oracle.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using namespace ringside::cuda;
using test::GuardedBytes;

// All threads of all blocks. Three blocks where one would do: strides must not show.
template <class T, int kInputs, class Op>
void run_map(const MapArguments& it, const Op& op, std::size_t blocks) {
  for (std::size_t block = 0; block < blocks; ++block)
    for (unsigned thread = 0; thread < kMapThreads; ++thread)
      map_thread<T, kInputs>(it, op, block, blocks, thread);
}

// An array at an offset from a boundary of 16 in a block of memory that ends where the array ends,
// so that the address sanitizer sees one byte too many.
class Placed {
 public:
  Placed(const void* data, std::size_t bytes, std::size_t offset)
      : memory_(new (std::align_val_t{16}) unsigned char[offset + bytes + 1]), offset_(offset) {
    std::memset(memory_.get(), 0xa5, offset + bytes + 1);
    if (bytes != 0) std::memcpy(this->data(), data, bytes);
  }
  unsigned char* data() { return memory_.get() + offset_; }

 private:
  struct Free {
    void operator()(unsigned char* p) const { operator delete[](p, std::align_val_t{16}); }
  };
  std::unique_ptr<unsigned char[], Free> memory_;
  std::size_t offset_;
};

struct Offsets {
  std::size_t out, a, b;
};

std::vector<Offsets> offsets_for(std::size_t element_bytes) {
  std::vector<Offsets> all = {{0, 0, 0}, {1, 2, 3}};
  for (std::size_t i = 0; i < 16; i += element_bytes) {
    all.push_back({i, i, i});
    all.push_back({0, i, 16 - element_bytes});
    all.push_back({element_bytes % 16, 0, i});
  }
  for (std::size_t i = 0; i < 16; i += 3) all.push_back({0, i, 0});  // inputs at odd addresses
  return all;
}

template <class T>
std::string find_fault(Reduction reduction, const auto& op) {
  constexpr std::size_t kMost = 2300;  // more than a tile of vectors for every type but u8
  const test::Inputs<T> inputs = test::make_inputs<T>(kMost);
  std::vector<unsigned char> expected(kMost * sizeof(T));
  reduce_loop(dtype_of<T>, reduction)(expected.data(), inputs.a.data(), inputs.b.data(), kMost);
  for (const Offsets offset : offsets_for(sizeof(T)))
    for (const std::size_t count :
         {0u, 1u, 3u, 7u, 15u, 16u, 17u, 31u, 33u, 47u, 64u, 1000u, 2300u})
      for (const std::size_t blocks : {1u, 3u}) {
        const std::size_t bytes = count * sizeof(T);
        Placed a(inputs.a.data(), bytes, offset.a), b(inputs.b.data(), bytes, offset.b);
        GuardedBytes out(nullptr, bytes, offset.out);
        const bool in_place = blocks == 3 && offset.a == offset.out;
        void* const target = in_place ? a.data() : out.data();
        run_map<T, 2>(map_arguments(target, a.data(), b.data(), count, sizeof(T)), op, blocks);
        for (std::size_t i = 0; i < count; ++i) {
          T got, wanted;
          std::memcpy(&got, static_cast<unsigned char*>(target) + i * sizeof(T), sizeof(T));
          std::memcpy(&wanted, expected.data() + i * sizeof(T), sizeof(T));
          if (!test::same(got, wanted))
            return text("element %zu of %zu at offsets %zu, %zu, %zu", i, count, offset.out,
                        offset.a, offset.b);
        }
        if (!out.guards_intact()) return "wrote outside";
      }
  return "";
}

template <class T>
void check_type(test::Context& t) {
  CHECK_EQ((find_fault<T>(Reduction::sum, Sum{})), "");
  CHECK_EQ((find_fault<T>(Reduction::max, Max{})), "");
}

RINGSIDE_TEST(kernels_cuda, reduce_threads_have_the_bits_of_the_loops) {
  check_type<float>(t);
  check_type<double>(t);
  check_type<f16>(t);
  check_type<bf16>(t);
  check_type<std::int32_t>(t);
  check_type<std::int64_t>(t);
  check_type<std::uint8_t>(t);
}

// A functor with a fault must be seen, or the comparison sees nothing.
struct SumOffAtOne {
  float operator()(float a, float b) const { return a + b + (a == 1 && b == 1 ? 1e-6f : 0); }
};
RINGSIDE_TEST(kernels_cuda, a_wrong_element_is_seen) {
  CHECK(!find_fault<float>(Reduction::sum, SumOffAtOne{}).empty());
  CHECK(!find_fault<float>(Reduction::product, Sum{}).empty());
}

RINGSIDE_TEST(kernels_cuda, copy_threads_copy_from_any_address_to_any) {
  std::vector<unsigned char> source(40'000);
  for (std::size_t i = 0; i < source.size(); ++i)
    source[i] = static_cast<unsigned char>(i * 7 + i / 251);
  for (std::size_t from = 0; from < 16; ++from)
    for (std::size_t to = 0; to < 16; ++to)
      for (const std::size_t bytes : {0u, 1u, 15u, 31u, 32u, 33u, 50u, 1000u, 17'001u}) {
        Placed in(source.data() + from, bytes, from);
        GuardedBytes out(nullptr, bytes, to);
        run_map<unsigned char, 1>(map_arguments(out.data(), in.data(), in.data(), bytes, 1), Copy{},
                                  2);
        CHECK(bytes == 0 || std::memcmp(out.data(), in.data(), bytes) == 0);
        CHECK(out.guards_intact());
      }
}

// Nearly all of a large array goes by vectors, wherever the inputs lie.
RINGSIDE_TEST(kernels_cuda, plans_leave_little_to_single_elements) {
  constexpr std::size_t kCount = 1 << 20;
  for (const std::size_t element : {1u, 2u, 4u, 8u})
    for (std::size_t out = 0; out < 16; out += element)
      for (std::size_t in = 0; in < 16; ++in) {
        const MapPlan plan = plan_map(4096 + out, 8192 + in, 16384, kCount, element);
        const std::size_t by_vector = plan.vectors * 16 / element;
        CHECK(plan.head + by_vector <= kCount && (kCount - by_vector) * element < 64);
        CHECK_EQ((4096 + out + plan.head * element) % 16, 0u);
      }
  CHECK_EQ(plan_map(4097, 8192, 8192, kCount, 4).vectors, 0u);  // out cuts through its elements
}

// What a shifted vector is cut out of lies in the array: before it and behind it enough is left to
// single elements. (A read of the bytes before an array, up to a boundary, harms nobody and no
// sanitizer sees it, so the plan is asked.)
RINGSIDE_TEST(kernels_cuda, plans_read_nothing_beside_the_array) {
  for (const std::size_t element : {1u, 2u, 4u, 8u})
    for (std::size_t out = 0; out < 16; out += element)
      for (std::size_t in = 0; in < 16; ++in)
        for (std::size_t count = 0; count < 100; ++count) {
          const MapPlan plan = plan_map(4096 + out, 8192 + in, 16384 + out, count, element);
          const std::size_t head_bytes = plan.head * element;
          const std::size_t by_vector = plan.vectors * 16 / element;
          REQUIRE(plan.head + by_vector <= count);
          const std::size_t tail_bytes = (count - plan.head - by_vector) * element;
          CHECK_EQ(plan.shift[1], 0u);
          if (plan.vectors == 0 || plan.shift[0] == 0) continue;
          CHECK_EQ((8192 + in + head_bytes) % 16, std::size_t{plan.shift[0]});
          CHECK(head_bytes >= plan.shift[0] && tail_bytes + plan.shift[0] >= 16);
        }
}

template <class T>
void check_divide(test::Context& t) {
  const test::Inputs<T> inputs = test::make_inputs<T>(500);
  std::vector<T> expected = inputs.a, got = inputs.a;
  divide_loop(dtype_of<T>)(expected.data(), expected.size(), 7);
  run_map<T, 1>(map_arguments(got.data(), got.data(), got.data(), got.size(), sizeof(T)), Divide{7},
                2);
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(test::same(got[i], expected[i]));
}
RINGSIDE_TEST(kernels_cuda, divide_threads_have_the_bits_of_the_loops) {
  check_divide<float>(t);
  check_divide<f16>(t);
  check_divide<std::int64_t>(t);
  check_divide<std::uint8_t>(t);
}

std::mt19937 generator(17);

template <class T>
std::vector<T> normal_values(std::size_t count) {
  std::normal_distribution<float> normal;
  std::vector<T> values(count);
  for (T& it : values) it = from_float<T>(normal(generator));
  return values;
}

template <class T>
bool equal(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

template <class T>
void check_gelu(test::Context& t) {
  const std::vector<T> x = normal_values<T>(777), dy = normal_values<T>(777);
  std::vector<T> expected(777), got(777);
  gelu(dtype_of<T>, expected.data(), x.data(), 777);
  run_map<T, 1>(map_arguments(got.data(), x.data(), x.data(), 777, sizeof(T)), Gelu{}, 1);
  CHECK(equal(expected, got));
  gelu_gradient(dtype_of<T>, expected.data(), x.data(), dy.data(), 777);
  run_map<T, 2>(map_arguments(got.data(), x.data(), dy.data(), 777, sizeof(T)), GeluGradient{}, 1);
  CHECK(equal(expected, got));
}

// `begin` shifts the tensors, so that they may not be taken four at a time.
template <class T>
void check_adamw(test::Context& t, std::size_t begin, bool with_copy) {
  constexpr std::size_t kCount = 1031;
  std::vector<float> weight = normal_values<float>(kCount), mean = normal_values<float>(kCount);
  std::vector<float> square(kCount, 0.25f);
  const std::vector<T> gradient = normal_values<T>(kCount);
  std::vector<T> copy(kCount);
  auto weight2 = weight, mean2 = mean, square2 = square;
  auto copy2 = copy;
  const AdamW step = adamw_step({}, 2);
  adamw(step,
        {weight.data() + begin, mean.data() + begin, square.data() + begin, gradient.data() + begin,
         with_copy ? copy.data() + begin : nullptr, dtype_of<T>, kCount - begin});
  const auto arguments = adamw_arguments<T>(
      step, {weight2.data() + begin, mean2.data() + begin, square2.data() + begin,
             gradient.data() + begin, with_copy ? copy2.data() + begin : nullptr, dtype_of<T>,
             kCount - begin});
  CHECK_EQ(arguments.quads != 0, begin == 0);
  for (std::size_t block = 0; block < 2; ++block)
    for (unsigned thread = 0; thread < kLayerThreads; ++thread)
      adamw_thread(arguments, block, 2, thread);
  CHECK(equal(weight, weight2) && equal(mean, mean2) && equal(square, square2));
  CHECK(equal(copy, copy2));
}

template <class T>
void check_bias(test::Context& t, std::size_t rows, std::size_t columns) {
  const std::vector<T> x = normal_values<T>(rows * columns), bias = normal_values<T>(columns);
  std::vector<T> out(rows * columns), sum(out), out2(out), sum2(out);
  for (const bool with_gelu : {false, true}) {
    if (with_gelu) {
      bias_gelu(dtype_of<T>, out.data(), sum.data(), x.data(), bias.data(), rows, columns);
    } else {
      bias_add(dtype_of<T>, out.data(), x.data(), bias.data(), rows, columns);
    }
    const BiasArguments it = bias_arguments<T>(
        {out2.data(), sum2.data(), x.data(), bias.data(), rows, columns, with_gelu, false});
    for (std::size_t block_x = 0; block_x < bias_blocks_across<T>(it); ++block_x)
      for (std::size_t block_y = 0; block_y < 2; ++block_y)
        for (unsigned thread = 0; thread < kLayerThreads; ++thread)
          bias_thread<T>(it, block_x, block_y, 2, thread);
    CHECK(equal(out, out2) && equal(sum, sum2));
  }
}

template <class T>
void check_bias_gradient(test::Context& t, std::size_t rows, std::size_t columns, bool accumulate) {
  const std::vector<T> dy = normal_values<T>(rows * columns);
  std::vector<float> db = normal_values<float>(columns), db2 = db;
  bias_gradient(dtype_of<T>, db.data(), dy.data(), rows, columns, accumulate);
  const BiasGradientArguments it{db2.data(), dy.data(), rows, columns, accumulate};
  for (std::size_t block = 0; block * kGradientColumns < columns; ++block) {
    PartSums sums;
    float total[kGradientColumns];
    const auto column = [&](unsigned executor) { return block * kGradientColumns + executor; };
    for (unsigned executor = 0; executor < kGradientColumns; ++executor)
      total[executor] = gradient_start(it, column(executor));
    for (std::size_t wave = 0; wave < gradient_waves(rows); ++wave) {
      for (unsigned thread = 0; thread < kGradientThreads; ++thread)
        add_part_of_wave<T>(it, sums, block, wave, thread);
      for (unsigned executor = 0; executor < kGradientColumns; ++executor)
        if (column(executor) < columns) add_wave(it, sums, wave, executor, total[executor]);
    }
    for (unsigned executor = 0; executor < kGradientColumns; ++executor)
      store_gradient(it, column(executor), total[executor]);
  }
  CHECK_MSG(equal(db, db2), "%zu x %zu", rows, columns);
}

template <class T>
void check_layers(test::Context& t) {
  check_gelu<T>(t);
  for (const std::size_t begin : {0u, 1u})
    for (const bool with_copy : {false, true}) check_adamw<T>(t, begin, with_copy);
  check_bias<T>(t, 21, 512);  // packed
  check_bias<T>(t, 9, 37);    // and not
  check_bias<T>(t, 1, 1);
  for (const std::size_t rows : {0u, 1u, 16u, 100u, 1200u})
    for (const bool accumulate : {false, true}) check_bias_gradient<T>(t, rows, 40, accumulate);
}

RINGSIDE_TEST(kernels_cuda, layer_threads_have_the_bits_of_the_layers) {
  check_layers<float>(t);
  check_layers<f16>(t);
  check_layers<bf16>(t);
}

}  // namespace
}  // namespace ringside
