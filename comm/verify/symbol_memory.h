// One rank's memory, in symbols: what is at each place of its input and output, and the primitives
// that touch nothing else. Every read checks that what belongs there is there, so a wrong chunk, or
// one that was never there or has been overwritten, is noticed when it is read.
//
// In place, input and output are one memory: what is written to the one is gone from the other.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "comm/algorithms/ring.h"
#include "comm/verify/spec.h"
#include "comm/verify/symbol_channel.h"

namespace ringside {

struct ProofRules;

class ProofMemory {
 public:
  ProofMemory(Kind kind, int rank, int size, std::size_t slices, const ProofRules& rules);

  // A step begins: until it ends, the partial sum that it sends is the one from before. (The host
  // executor has room for two.)
  void begin_step() { old_partial_ = partial_; }

  // What is there. `doing`: what the rank reads it for, for the sentence if it is not.
  const Value& read(Piece piece, std::size_t slice, const char* doing) const;
  void write(Piece piece, std::size_t slice, const Value& value);
  // The chunk that belongs at this place.
  int name_at(Piece piece) const;
  // Received + own: the contribution of this rank goes to the end of the history.
  void add_own(Value& received, Place own, std::size_t slice) const;

  void copy_input(int chunk, std::size_t slice);
  void post_op(Piece piece, std::size_t slice);

  // The primitives of one_shot.h and two_shot.h. A peer's input is read in its slot each time that
  // it is needed; the own one as it was when it was waited for. Without a piece it is the whole
  // input.
  std::vector<Value> whole_input() const;
  void wait_input(int peer, const SymbolChannel& channel);
  void wait_own_input(const std::optional<Piece>& piece, std::size_t slice);
  void reduce_input(int chunk, int from, int order, std::size_t slice);
  // Whose slots may now be written again.
  std::vector<int> release_inputs();

  // Rank `reader` reads a piece where this rank exposed it: is it still what was meant?
  void check_exposed(Piece piece, const Value& meant, int reader) const;

  void check_outputs() const;
  // The call is over: the caller may put something else into all of its buffers.
  void write_over();

 private:
  using Slot = std::optional<Value>;

  std::size_t at(int chunk, std::size_t slice) const;
  // The same for const and not.
  template <class Self>
  static auto& slot(Self& self, Piece piece, std::size_t slice) {
    if (piece.place == Place::partial) return self.partial_;
    if (piece.place == Place::scratch) return self.scratch_;
    const bool apart = piece.place == Place::output && !self.in_place_;
    return (apart ? self.output_ : self.input_)[self.at(piece.chunk, slice)];
  }
  const Value& view(int from, int chunk, std::size_t slice) const;

  Kind specification_;
  int rank_;
  int size_;
  std::size_t slices_;
  bool in_place_;
  int root_;
  int group_ranks_;
  std::vector<Slot> input_;   // by slice · ranks + chunk
  std::vector<Slot> output_;  // not used in place
  Slot partial_;
  Slot old_partial_;
  Slot scratch_;

  std::vector<const SymbolChannel*> waited_;  // by rank; null: not waited for
  std::vector<Value> own_;                    // of this rank's input, when it was waited for
  bool released_ = false;
  Slot first_;  // the contribution that the second one is added to
};

}  // namespace ringside
