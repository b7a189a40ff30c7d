// What one rank does, for the simulator: as little of it as possible at a time.
//
// 4,096 ranks of a ring have 33 million steps, which is more than anybody wants to store. Two
// things make a program small. The slices of an algorithm are alike: each has the same steps, only
// with another slice number, so one slice's steps are the whole program. (tests/cost/simulate.cc
// checks that for every algorithm.) And of those only a *window* is stored, from step `first` on.
// When a rank has used its window up, the algorithm is run again and the next window is stored:
// recording a step costs a nanosecond.
//
// Steps that move nothing and take no time here (post_op) are left out, and the additions of a
// one-shot, n² of them, or of a two-shot's slice become one step with all their bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "comm/algorithms/chunks.h"
#include "comm/algorithms/program.h"

namespace ringside {

// A Step in 32 bytes.
struct SimulatedStep {
  Primitive primitive;
  bool sends;
  bool receives;
  Place send_place;
  Place receive_place;
  bool to_ring;  // over which channel: the ring's or the mesh's
  bool from_ring;
  Place own;
  int to;
  int from;
  int send_chunk;
  int receive_chunk;
  std::size_t reduced;  // elements of whole chunks, of additions in a row; a slice has its share
};

// Stores steps first, first + 1, … first + most − 1.
class ClockWindow : public PrimitiveRecorder<ClockWindow> {
 public:
  ClockWindow(int rank, const Chunks& chunks, std::size_t first, std::size_t most,
              std::vector<SimulatedStep>& into)
      : PrimitiveRecorder(1),
        rank_(rank),
        chunks_(chunks),
        first_(first),
        most_(most),
        steps_(into) {
    steps_.clear();
  }

  void note(const Step& step) {
    if (step.primitive == Primitive::post_op) return;
    const bool adds = step.primitive == Primitive::reduce_input;
    if (!adds || !adding_) ++seen_;
    adding_ = adds;
    if (seen_ <= first_ || seen_ > first_ + most_) return;
    if (!adds || steps_.size() < seen_ - first_) store(step);
    // The first contribution is not added to anything.
    if (adds && step.order > 1) steps_.back().reduced += chunks_[step.receive->chunk].count;
  }

  std::size_t seen() const { return seen_; }  // all steps, stored or not

 private:
  void store(const Step& step) {
    const Piece none{Place::input, 0};
    const Piece send = step.send.value_or(none);
    const bool whole = step.primitive == Primitive::wait_input && !step.receive;
    const Piece receive = whole ? Piece{Place::input, kWholeInput} : step.receive.value_or(none);
    steps_.push_back({step.primitive, step.sends(), step.receives(rank_), send.place, receive.place,
                      step.to.connection == Connection::ring,
                      step.from.connection == Connection::ring, step.own, step.to.rank,
                      step.from.rank, send.chunk, receive.chunk, 0});
  }

  int rank_;
  const Chunks& chunks_;
  std::size_t first_;
  std::size_t most_;
  std::vector<SimulatedStep>& steps_;
  std::size_t seen_ = 0;
  bool adding_ = false;
};

// An algorithm, run by one rank for one slice.
using SimulatedAlgorithm = std::function<void(ClockWindow& executor, const Ring& ring)>;

}  // namespace ringside
