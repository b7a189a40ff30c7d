// What one rank does, for the simulator: as little of it as possible at a time.
//
// 4,096 ranks of a ring say 33 million words, which is more than anybody wants to keep. Two things
// make a program small. The slices of a text are alike: in each the same words are said, only with
// another slice number, so one slice's words are the whole program. (tests/cost/simulate.cc holds
// every text to that.) And of those only a *window* is kept, from word `first` on. Who has used his
// window up lets the text be said again and keeps the next one: saying a word costs a nanosecond.
//
// Words that move nothing and take no time here (finish) are left out, and the folds of a one-shot,
// n² of them, or of a two-shot's slice become one word with all their bytes.
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
  std::size_t folded;  // elements of whole chunks, of all folds in a row; a slice has its share
};

// Keeps words first, first + 1, … first + most − 1.
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
    const bool fold = step.primitive == Primitive::reduce_input;
    if (!fold || !folding_) ++seen_;
    folding_ = fold;
    if (seen_ <= first_ || seen_ > first_ + most_) return;
    if (!fold || steps_.size() < seen_ - first_) store(step);
    // The first contribution is not added to anything.
    if (fold && step.order > 1) steps_.back().folded += chunks_[step.receive->chunk].count;
  }

  std::size_t seen() const { return seen_; }  // all words, kept or not

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
  bool folding_ = false;
};

// An algorithm's text, said by one rank for one slice.
using SimulatedAlgorithm = std::function<void(ClockWindow& executor, const Ring& ring)>;

}  // namespace ringside
