// What the bits promise, as a matrix of hashes: for a given world size the same input gives the
// same bits on every rank, in every run, with every slot size and count, by every algorithm, in
// place or not, whether the ranks are threads or processes. The calls and the inputs are in
// tests/collectives/hash_cases.h; that all ranks agree is checked there, call by call.
//
// Equal hashes prove nothing if hashes cannot differ. So the mutants show that they do: for
// another order of additions, a lost or doubled contribution, one flipped bit. And the numbers of
// this day are kept at the end: whoever changes an order of additions changes them, and has to mean
// it.
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "comm/algorithms/chunks.h"
#include "comm/bootstrap/threads.h"
#include "comm/communicator.h"
#include "tests/collectives/hash_cases.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using test::hash_cases;
using test::HashRun;

// A run that hangs shall say so long before the test's own time is up.
Options options_with(std::size_t slot_bytes, int slot_count) {
  Options options;
  options.slot_bytes = slot_bytes;
  options.slot_count = slot_count;
  options.timeout_s = 60;
  return options;
}

// One hash a case, on `size` ranks that are threads.
std::vector<std::uint64_t> hashes(int size, const std::vector<Operation>& cases,
                                  const Options& options = Options{}, const HashRun& run = {}) {
  std::vector<std::uint64_t> list;
  run_as_threads(size, [&](Bootstrap& bootstrap) {
    Communicator comm(bootstrap, options);
    for (const Operation& what : cases) {
      const std::uint64_t hash = test::hash_of(comm, what, run);
      if (comm.rank() == 0) list.push_back(hash);
    }
  });
  return list;
}

// As rank_program prints them.
std::string hash_lines(int size) {
  const std::vector<Operation> cases = hash_cases();
  const std::vector<std::uint64_t> list = hashes(size, cases);
  std::string lines;
  for (std::size_t i = 0; i < cases.size(); ++i) lines += test::hash_line(cases[i], list.at(i));
  return lines;
}

void check_same(test::Context& t, const std::vector<Operation>& cases,
                const std::vector<std::uint64_t>& base, const std::vector<std::uint64_t>& other,
                const char* what) {
  CHECK_EQ(base.size(), cases.size());
  CHECK_EQ(other.size(), cases.size());
  for (std::size_t i = 0; i < cases.size() && i < other.size(); ++i)
    CHECK_MSG(base[i] == other[i], "%s: %s has other bits", what, describe(cases[i]).c_str());
}

// float and int32 sums of rank inputs in any order: a plain loop that knows nothing of rings.
// `order(chunk)` lists the ranks whose contributions are added for the elements of that chunk.
template <class T, class Order>
std::uint64_t hash_folded(std::size_t count, int size, const Order& order) {
  std::vector<T> result;
  const Chunks chunks{count, size};
  for (int chunk = 0; chunk < size; ++chunk)
    for (std::size_t k = 0; k < chunks[chunk].count; ++k) {
      const std::vector<int> ranks = order(chunk);
      const std::size_t i = chunks[chunk].begin + k;
      T sum = test::hash_input<T>(ranks.at(0), i, Reduction::sum);
      for (std::size_t r = 1; r < ranks.size(); ++r)
        sum = Sum{}(sum, test::hash_input<T>(ranks[r], i, Reduction::sum));
      result.push_back(sum);
    }
  return test::hash_bytes(result.data(), result.size() * sizeof(T));
}

template <class T>
std::uint64_t hash_summed(std::size_t count, int size) {
  return hashes(size, {{Kind::all_reduce, dtype_of<T>, Reduction::sum, 0, count}}).at(0);
}

// The ring's order: chunk c is folded c+1, c+2, …, c.
std::vector<int> rotated(int chunk, int size) {
  std::vector<int> ranks;
  for (int k = 1; k <= size; ++k) ranks.push_back((chunk + k) % size);
  return ranks;
}

// The golden table has a row for each operation and type: all counts and reductions in one number.
std::vector<std::uint64_t> golden_rows(int size) {
  const std::vector<Operation> cases = hash_cases();
  const std::vector<std::uint64_t> list = hashes(size, cases);
  std::vector<std::uint64_t> rows;
  for (const Kind kind :
       {Kind::all_reduce, Kind::reduce_scatter, Kind::all_gather, Kind::broadcast})
    for (const DType dtype : kAllDTypes) {
      std::uint64_t row = 0;
      for (std::size_t i = 0; i < cases.size(); ++i)
        if (cases[i].kind == kind && cases[i].dtype == dtype)
          row = test::hash_bytes(&list[i], sizeof list[i], row);
      rows.push_back(row);
    }
  return rows;
}

}  // namespace

RINGSIDE_TEST(hash, same_bits_in_every_run) {
  const std::vector<Operation> cases = hash_cases();
  for (const int size : {1, 2, 3, 4, 7}) {
    const std::vector<std::uint64_t> base = hashes(size, cases);
    for (int again = 0; again < 2; ++again)
      check_same(t, cases, base, hashes(size, cases), "another run");
  }
}

// The thread sanitizer makes each of the many small messages ten times dearer.
#if defined(__SANITIZE_THREAD__)
constexpr bool kFewer = true;
#else
constexpr bool kFewer = false;
#endif

// Three ranks see every combination; the others, and slow builds, the extremes.
RINGSIDE_TEST(hash, same_bits_with_every_slot) {
  const std::vector<Operation> cases = hash_cases();
  for (const int size : {2, 3, 4}) {
    if (kFewer && size == 4) continue;
    const std::vector<std::uint64_t> base = hashes(size, cases);
    for (const std::size_t slot_bytes : {64u, 4096u, 131072u})
      for (const int slot_count : {1, 2, 4}) {
        const bool extreme = (slot_bytes == 64) == (slot_count == 1);
        if (!extreme && (size != 3 || kFewer)) continue;
        const std::string words = text("%d ranks, %d slots of %zu", size, slot_count, slot_bytes);
        check_same(t, cases, base, hashes(size, cases, options_with(slot_bytes, slot_count)),
                   words.c_str());
      }
  }
}

RINGSIDE_TEST(hash, same_bits_with_every_algorithm) {
  const std::vector<Operation> cases = hash_cases();
  for (const int size : {2, 3, 4}) {
    const std::vector<std::uint64_t> base = hashes(size, cases);
    for (const Algorithm algorithm : {Algorithm::ring, Algorithm::one_shot, Algorithm::two_shot})
      for (const bool in_place : {false, true}) {
        Options options = options_with(4096, 2);
        options.algorithm = algorithm;
        check_same(t, cases, base, hashes(size, cases, options, {.in_place = in_place}),
                   name_of(algorithm));
      }
  }
}

RINGSIDE_TEST(hash, same_bits_in_place) {
  const std::vector<Operation> cases = hash_cases();
  for (const int size : {1, 2, 3, 4})
    check_same(t, cases, hashes(size, cases),
               hashes(size, cases, options_with(4096, 2), {.in_place = true}), "in place");
}

// The choice of vector instructions is made once in a process, so each needs one of its own.
RINGSIDE_TEST(hash, same_bits_with_every_instruction_set) {
  const std::string program = test::program_path("tests/programs/rank_program");
  const std::string expected = hash_lines(3);
  for (const char* isa : {"baseline", "avx2", "avx512"}) {
    const test::RunResult result = test::run({program, "hash", "--threads", "3"},
                                             {.environment = {std::string("RINGSIDE_ISA=") + isa}});
    CHECK_EQ(result.exit_code, 0);
    CHECK_MSG(result.out == expected, "RINGSIDE_ISA=%s computes other bits", isa);
  }
}

RINGSIDE_TEST(hash, same_bits_as_processes) {
  for (const int size : {2, 3, 4}) {
    const std::string expected = hash_lines(size);
    for (const std::vector<std::string>& launcher : test::launchers(size))
      for (const bool in_place : {false, true}) {
        std::vector<std::string> argv = launcher;
        argv.insert(argv.end(), {test::program_path("tests/programs/rank_program"), "hash"});
        if (in_place) argv.push_back("--in-place");
        const test::RunResult result = test::run(
            argv,
            {.environment = {in_place ? "RINGSIDE_SLOT_BYTES=4096" : "RINGSIDE_SLOT_BYTES=128K"}});
        CHECK_EQ(result.exit_code, 0);
        CHECK_MSG(result.out == expected, "%d processes have other bits than threads", size);
      }
  }
}

// The same numbers added in another order: float sums differ, integers cannot.
RINGSIDE_TEST(hash_mutants, sees_the_order_of_additions) {
  constexpr std::size_t kCount = 1000;
  for (const int size : {3, 4}) {
    const auto ring_order = [&](int chunk) { return rotated(chunk, size); };
    const auto rank_order = [&](int) { return rotated(size - 1, size); };  // 0, 1, 2, …
    CHECK_EQ(hash_summed<float>(kCount, size), hash_folded<float>(kCount, size, ring_order));
    CHECK(hash_summed<float>(kCount, size) != hash_folded<float>(kCount, size, rank_order));
    CHECK_EQ(hash_summed<std::int32_t>(kCount, size),
             hash_folded<std::int32_t>(kCount, size, rank_order));
  }
}

RINGSIDE_TEST(hash_mutants, sees_a_lost_or_doubled_contribution) {
  constexpr std::size_t kCount = 1000;
  constexpr int kSize = 3;
  const auto lost = [](int chunk) {
    std::vector<int> ranks = rotated(chunk, kSize);
    if (chunk == 1) ranks.pop_back();
    return ranks;
  };
  const auto doubled = [](int chunk) {
    std::vector<int> ranks = rotated(chunk, kSize);
    if (chunk == 1) ranks.push_back(ranks.back());
    return ranks;
  };
  CHECK(hash_summed<float>(kCount, kSize) != hash_folded<float>(kCount, kSize, lost));
  CHECK(hash_summed<float>(kCount, kSize) != hash_folded<float>(kCount, kSize, doubled));
  CHECK(hash_summed<std::int32_t>(kCount, kSize) != hash_folded<std::int32_t>(kCount, kSize, lost));
  CHECK(hash_summed<std::int32_t>(kCount, kSize) !=
        hash_folded<std::int32_t>(kCount, kSize, doubled));
}

// One bit of one rank's input, in every sum and every gather, of every type.
RINGSIDE_TEST(hash_mutants, sees_one_flipped_bit) {
  std::vector<Operation> cases;
  for (const Operation& what : hash_cases())
    if (what.reduction == Reduction::sum && what.kind != Kind::broadcast) cases.push_back(what);
  for (const int size : {1, 2, 3}) {
    const std::vector<std::uint64_t> base = hashes(size, cases);
    for (int rank = 0; rank < size; ++rank) {
      const auto flipped = hashes(size, cases, Options{}, {.flipped_rank = rank});
      for (std::size_t i = 0; i < cases.size(); ++i)
        CHECK_MSG(base[i] != flipped[i], "%d ranks, %s: a flipped bit of rank %d is not seen", size,
                  describe(cases[i]).c_str(), rank);
    }
  }
}

// Another world size is another order and another input; every float sum shows it.
RINGSIDE_TEST(hash_mutants, sees_the_world_size) {
  std::vector<Operation> cases;
  for (const Operation& what : hash_cases())
    if (what.kind == Kind::all_reduce && what.reduction == Reduction::sum) cases.push_back(what);
  for (int size = 1; size < 4; ++size) {
    const std::vector<std::uint64_t> small = hashes(size, cases), large = hashes(size + 1, cases);
    for (std::size_t i = 0; i < cases.size(); ++i) CHECK(small[i] != large[i]);
  }
}

namespace {

// Rows: all_reduce, reduce_scatter, all_gather, broadcast, each for f32 f64 f16 bf16 i32 i64 u8.
// Columns: 1, 2, 3, 4 ranks. A test that fails prints the new row; a change wants a reason.
constexpr std::array<std::array<std::uint64_t, 4>, 28> kGolden = {{
    {0xfc8385f87624d20f, 0xd5c2d92da8640108, 0x90946fd8666ddcf4, 0xf15a8171daf41d1c},
    {0x0959bb94af1f8666, 0x50c9359d5113d926, 0x3b944706a8c56f33, 0x1330209d45e3bd0b},
    {0x6267e56043ddd85f, 0xdb251c46dd967e0f, 0x886853efd20b9340, 0x980fecc70b48ba1c},
    {0x070e0514f75fff48, 0x634ef154c0823235, 0x8b37cf855b01ad2b, 0x926afa0493ecf795},
    {0xab25828b748f17ed, 0xfe02902c99c8ee2c, 0xf845f2954441c42c, 0x0060e34d3dfc5c65},
    {0xf362aac2ff2342f1, 0x58aa7f13d1c619b4, 0x81e382307eedb5e6, 0x4dccee1e47015a2b},
    {0x46654ff2a29fc9a3, 0x7e85139e362465d2, 0x80ff333856d0d068, 0xea38de93294d8537},
    {0x4838fb2c72b9dcd0, 0xc18b122e15c2970f, 0x0d3e3aa6860c0c59, 0xc8c9362162242f99},
    {0xc13c104afd578784, 0xaf7a08c31346e183, 0x3c75deb994a41f36, 0xc2169e8aa4db1056},
    {0x8246708e38883461, 0xfbe2c16e3b3e4dab, 0x014ea01b71b22ea6, 0x4c85b84da90174e0},
    {0x1be592ee8c55d2fe, 0xe82f657653c7f827, 0xb140bf2ccf09d02a, 0x9cad9da3f82fbfb6},
    {0x9bcf1f9c5819f83c, 0xfb1fb9b1d85bbb7b, 0xd9366b08e9c3ffcd, 0x722cb3fcebdb885e},
    {0x732bfaa590cc6e0d, 0x4258db1a357db5ee, 0xfe8d9d8d834fcea8, 0x8b68404f3c45f0b0},
    {0x20c6a912873e2df5, 0x7d537ad4bffbb9de, 0x8f5ead35474da825, 0x84496ca33e9719ad},
    {0x3564148dfc32e74b, 0x94137904e8037e6b, 0x8fbe79299b92e7b1, 0xa24a6a6400198607},
    {0x980d19cf87ec5a48, 0xe6559c1dcc75180f, 0xde58c9c50544a7d6, 0x32a5cf3ad11c1fcd},
    {0x9063949d81ded4bb, 0x92eb637ed35d9338, 0x69cc224b676c4043, 0xbba79fa778fd362b},
    {0x31b92ca806edd2fd, 0x746746842a4bb018, 0x66f03ca90e9280d5, 0x5281e5c7b387df4d},
    {0xabc4840d9363cee5, 0xe8315af33bb5d83d, 0x768ccb9d40e8eadf, 0x5e736ec8d3e52065},
    {0xdfed6b072e7c5c01, 0x135536982640ec63, 0x8b7a51a2a38a1ef7, 0x2add953dc7ae2543},
    {0x02d42197ebcfdcdb, 0xbb54602ef792de62, 0xcc7085bcdd39ca94, 0x044475596aded0d5},
    {0x3564148dfc32e74b, 0x5c7e4e2fa7d95d28, 0x5c7e4e2fa7d95d28, 0x5c7e4e2fa7d95d28},
    {0x980d19cf87ec5a48, 0x87ef726a8577e01a, 0x87ef726a8577e01a, 0x87ef726a8577e01a},
    {0x9063949d81ded4bb, 0xad86b680cadc821f, 0xad86b680cadc821f, 0xad86b680cadc821f},
    {0x31b92ca806edd2fd, 0x02b435a7f621b9d0, 0x02b435a7f621b9d0, 0x02b435a7f621b9d0},
    {0xabc4840d9363cee5, 0x28a4ecdd7e478edc, 0x28a4ecdd7e478edc, 0x28a4ecdd7e478edc},
    {0xdfed6b072e7c5c01, 0x6bcc4d736f77d064, 0x6bcc4d736f77d064, 0x6bcc4d736f77d064},
    {0x02d42197ebcfdcdb, 0x1346571cc25d7676, 0x1346571cc25d7676, 0x1346571cc25d7676},
}};

}  // namespace

RINGSIDE_TEST(hash, bits_are_those_of_the_golden_table) {
  std::vector<std::vector<std::uint64_t>> columns;
  for (int size = 1; size <= 4; ++size) columns.push_back(golden_rows(size));
  for (std::size_t row = 0; row < kGolden.size(); ++row) {
    std::string line;
    bool equal = true;
    for (std::size_t n = 0; n < 4; ++n) {
      line += text("%s0x%016llx", n == 0 ? "{" : ", ",
                   static_cast<unsigned long long>(columns[n].at(row)));
      equal = equal && columns[n].at(row) == kGolden[row][n];
    }
    CHECK_MSG(equal, "row %zu has changed to %s},", row, line.c_str());
  }
}

}  // namespace ringside
