// Through the caches or past them: how a rank stores what a peer will read.
//
// A slot is written by one core and read by another, over and over. The reading leaves the lines in
// the reader's cache too, so the next store to one of them must first take it away from there.
// Where the two cores have a cache in common that costs little; between two caches it is a message
// across the chip for every line, 28 ns, and storing takes ten times as long as loading what the
// other has stored (docs/08). A store past the caches (kernels/loops.h: copy_bytes_streaming) asks
// nobody for the line.
//
// Which it is nothing but a clock can tell: a virtual machine does not know where its cores are,
// and its host moves them while a program runs. So each rank times some of its own stores, and
// keeps for each peer and size what it has found; no bit depends on it, and nobody has to agree:
//
//     the first 16 messages    both ways in turns, all timed
//     later                    the better way; each 16th is timed (of 16 KiB and more each 4th),
//                              and 3 of 1024 go the other way
//
// A rank sees only its own half. Past the caches the writer may be done sooner, and then the reader
// fetches from memory what a common cache would have had: up to kReaderPays_ns more for a line. So
// the writer must save more than that. Between two cores (tools/store_bench), the writer's ns for a
// line through and past the caches, and µs for a message there and one back at once:
//
//                      4 KiB        16 KiB       64 KiB
//     one L3, ns     3.8  4.8     7.0   2.3    7.1   1.7
//             µs    0.50 1.04    2.28  2.36    9.2   7.3
//     two L3s, ns     21  8.8      28   3.3     28   1.8
//             µs    2.54 1.52    8.65  2.58   33.2   6.2
//
// (The last pair of one L3 does not last: an all_reduce past the caches takes 1.1 times as long
// there at 64 KiB, and 2.3 times at 1 MiB.)
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "comm/util/deadline.h"

namespace ringside {

class StoreChooser {
 public:
  // Smaller ones always go through the caches: what streaming gains there, the reader loses.
  static constexpr std::size_t kLeastBytes = 4096;
  // From here on another size.
  static constexpr std::size_t kLargeBytes = 16384;

  // Not to be measured, but so, whatever the size.
  void force(bool streaming) { forced_ = streaming; }

  // Calls store(streaming) once, and keeps what it took if it is time to know.
  template <class Store>
  void carry_out(std::size_t bytes, const Store& store) {
    const Turn turn = next(bytes);
    if (!turn.timed) [[likely]] return store(turn.streaming);
    const Clock::time_point start = Clock::now();
    store(turn.streaming);
    left_.exchange(0);  // returns when the stores before it have left this core
    note(bytes, turn.streaming,
         std::chrono::duration<double, std::nano>(Clock::now() - start).count());
  }

  // The parts of it: how the next store of so many bytes is made, and what it took.
  struct Turn {
    bool streaming;
    bool timed;
  };
  Turn next(std::size_t bytes) {
    if (forced_ || bytes < kLeastBytes) return {forced_.value_or(false), false};
    OfSize& it = of(bytes);
    const std::uint32_t number = it.count++;
    if (number < kFirst) return {number % 2 == 1, true};
    if (number % kOtherEvery < kOthers) return {!it.streaming, true};
    return {it.streaming, number % (bytes < kLargeBytes ? 16 : 4) == 1};
  }
  void note(std::size_t bytes, bool streaming, double ns) {
    OfSize& it = of(bytes);
    (streaming ? it.past : it.cached).add(ns * kLineBytes / static_cast<double>(bytes));
    if (it.count >= kFirst) it.streaming = it.cached.typical() > it.past.typical() + kReaderPays_ns;
  }

  // What is known of stores of so many bytes: ns for a line each way, 0 where nothing is yet.
  struct Finding {
    bool streaming = false;
    double cached_ns = 0, past_ns = 0;
  };
  Finding finding(std::size_t bytes) const {
    const OfSize& it = sizes_[bytes < kLargeBytes ? 0 : 1];
    if (it.count < kFirst) return {forced_.value_or(false), 0, 0};
    return {it.streaming, it.cached.typical(), it.past.typical()};
  }

 private:
  static constexpr double kLineBytes = 64;
  static constexpr std::uint32_t kFirst = 16, kOtherEvery = 1024, kOthers = 3;
  static constexpr double kReaderPays_ns = 8;

  // What a line took lately, in ns: the middle of four. A rank may lose its core in one, and calls
  // whose output nobody reads may take turns with others.
  struct Lately {
    std::array<double, 4> ns{};
    std::uint32_t count = 0;
    void add(double it) { ns[count++ % ns.size()] = it; }
    double typical() const {
      std::array<double, 4> sorted = ns;
      std::sort(sorted.begin(), sorted.end());
      return (sorted[1] + sorted[2]) / 2;
    }
  };
  struct OfSize {
    std::uint32_t count = 0;
    bool streaming = false;
    Lately cached, past;
  };
  OfSize& of(std::size_t bytes) { return sizes_[bytes < kLargeBytes ? 0 : 1]; }

  std::optional<bool> forced_;
  std::atomic<int> left_{0};
  std::array<OfSize, 2> sizes_;  // below kLargeBytes, and from there on
};

}  // namespace ringside
