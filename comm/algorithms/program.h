// The recorder: moves no data at all. It writes an algorithm's primitives down, as a list that
// others read: the prover executes it with symbols, the simulator with times, a picture draws it.
//
//     record(slices, [&](Recorder& executor) { all_reduce(executor, Ring{rank, size}); })
//
// What is written down can be carried out: perform() calls another executor's primitive.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "comm/algorithms/ring.h"

namespace ringside {

enum class Primitive : unsigned char {
  exchange_reduce,
  exchange,
  send,
  receive,
  post_op,
  copy_input,
  send_input,    // one_shot.h's; `to` is the peer
  wait_input,    // `from` is the rank; `receive` is the piece, or nothing for the whole input
  reduce_input,  // `receive` is the chunk, `from` the contributor, `order` its number from 1
  release_inputs,
};

// One primitive of one rank. `send` and `receive` are what it moves; post_op and copy_input have
// their piece in `receive`.
struct Step {
  Primitive primitive;
  std::optional<Piece> send;
  std::optional<Piece> receive;
  std::size_t slice;
  Peer to{};
  Peer from{};
  int order = 0;
  Place own = Place::input;  // exchange_reduce's own part

  bool sends() const { return send || primitive == Primitive::send_input; }
  // The own input, which `rank` waits for too, is no message; the other primitives that have a
  // piece in `receive` have it at hand already.
  bool receives(int rank) const {
    if (primitive == Primitive::wait_input) return from.rank != rank;
    return primitive == Primitive::exchange_reduce || primitive == Primitive::exchange ||
           primitive == Primitive::receive;
  }
};

using Program = std::vector<Step>;

// The primitives, each made into a Step for the class derived from this, `Listener`, which has
// note(const Step&).
template <class Listener>
class PrimitiveRecorder {
 public:
  explicit PrimitiveRecorder(std::size_t slices) : slices_(slices) {}

  std::size_t slices() const { return slices_; }

  void exchange_reduce(Peer to, Piece send, Peer from, Piece receive, std::size_t slice,
                       Place own = Place::input) {
    note({Primitive::exchange_reduce, send, receive, slice, to, from, 0, own});
  }
  void exchange(Peer to, Piece send, Peer from, Piece receive, std::size_t slice) {
    note({Primitive::exchange, send, receive, slice, to, from});
  }
  void send(Peer to, Piece piece, std::size_t slice) {
    note({Primitive::send, piece, std::nullopt, slice, to});
  }
  void receive(Peer from, Piece piece, std::size_t slice) {
    note({Primitive::receive, std::nullopt, piece, slice, {}, from});
  }
  void post_op(Piece piece, std::size_t slice) {
    note({Primitive::post_op, std::nullopt, piece, slice});
  }
  void copy_input(int chunk, std::size_t slice) {
    note({Primitive::copy_input, std::nullopt, Piece{Place::output, chunk}, slice});
  }

  void send_input(int peer) {
    note({Primitive::send_input, std::nullopt, std::nullopt, 0, {peer}});
  }
  void wait_input(int rank, int chunk = kWholeInput, std::size_t slice = 0) {
    const Piece piece{Place::input, chunk};
    note({Primitive::wait_input,
          std::nullopt,
          chunk == kWholeInput ? std::nullopt : std::optional(piece),
          slice,
          {},
          {rank}});
  }
  void reduce_input(int chunk, int from, int order, std::size_t slice = 0) {
    const Piece piece{Place::output, chunk};
    note({Primitive::reduce_input, std::nullopt, piece, slice, {}, {from}, order});
  }
  void release_inputs(std::size_t slice = 0) {
    note({Primitive::release_inputs, std::nullopt, std::nullopt, slice});
  }

 private:
  void note(const Step& step) { static_cast<Listener*>(this)->note(step); }

  std::size_t slices_;
};

// The other way: has an executor carry a step out.
template <class Executor>
void perform(Executor& executor, const Step& step) {
  switch (step.primitive) {
    case Primitive::exchange_reduce:
      return executor.exchange_reduce(step.to, *step.send, step.from, *step.receive, step.slice,
                                      step.own);
    case Primitive::exchange:
      return executor.exchange(step.to, *step.send, step.from, *step.receive, step.slice);
    case Primitive::send:
      return executor.send(step.to, *step.send, step.slice);
    case Primitive::receive:
      return executor.receive(step.from, *step.receive, step.slice);
    case Primitive::post_op:
      return executor.post_op(*step.receive, step.slice);
    case Primitive::copy_input:
      return executor.copy_input(step.receive->chunk, step.slice);
    case Primitive::send_input:
      return executor.send_input(step.to.rank);
    case Primitive::wait_input:
      return executor.wait_input(step.from.rank, step.receive ? step.receive->chunk : kWholeInput,
                                 step.slice);
    case Primitive::reduce_input:
      return executor.reduce_input(step.receive->chunk, step.from.rank, step.order, step.slice);
    case Primitive::release_inputs:
      return executor.release_inputs(step.slice);
  }
}

class Recorder : public PrimitiveRecorder<Recorder> {
 public:
  using PrimitiveRecorder::PrimitiveRecorder;

  void note(const Step& step) { program_.push_back(step); }
  const Program& program() const { return program_; }

 private:
  Program program_;
};

template <class Algorithm>
Program record(std::size_t slices, const Algorithm& algorithm) {
  Recorder executor(slices);
  algorithm(executor);
  return executor.program();
}

// Records the algorithm for every rank of a ring of `size`: `algorithm(executor, ring)`.
template <class Algorithm>
std::vector<Program> record_all(int size, std::size_t slices, const Algorithm& algorithm) {
  std::vector<Program> programs;
  for (int rank = 0; rank < size; ++rank)
    programs.push_back(record(slices, [&](Recorder& executor) {
      algorithm(executor, Ring{rank, size});
    }));
  return programs;
}

}  // namespace ringside
