// The record lane: carries no data at all. It writes an algorithm's words down, as a list that
// others read: the proof lane executes it with symbols, the clock lane with times, a picture draws
// it.
//
//     record(slices, [&](RecordLane& lane) { all_reduce(lane, Ring{rank, size}); })
//
// What is written down can be said again: perform() says a step's word to another lane.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "comm/algorithms/ring.h"

namespace ringside {

inline constexpr int kRing = -1;

enum class Word : unsigned char {
  exchange_reduce,
  exchange,
  send,
  receive,
  finish,
  keep,
  show,  // one_shot.h's; `to` is the peer
  look,  // `from` is the rank; `receive` is the piece, or nothing for the whole input
  fold,  // `receive` is the chunk, `from` the contributor, `order` its number from 1
  look_away,
};

// One word of one rank. `send` and `receive` are what the word moves; finish and keep have their
// piece in `receive`.
struct Step {
  Word word;
  std::optional<Piece> send;
  std::optional<Piece> receive;
  std::size_t slice;
  // Over which edges: those of the ring, or the mesh's to and from any rank.
  int to = kRing;
  int from = kRing;
  int order = 0;
};

using Program = std::vector<Step>;

// The words, each made into a Step for whoever listens: `Listener` is the class derived from this,
// and has note(const Step&).
template <class Listener>
class WordLane {
 public:
  explicit WordLane(std::size_t slices) : slices_(slices) {}

  std::size_t slices() const { return slices_; }

  void exchange_reduce(Piece send, Piece receive, std::size_t slice) {
    note({Word::exchange_reduce, send, receive, slice});
  }
  void exchange(Piece send, Piece receive, std::size_t slice) {
    note({Word::exchange, send, receive, slice});
  }
  void send(Piece piece, std::size_t slice) { note({Word::send, piece, std::nullopt, slice}); }
  void receive(Piece piece, std::size_t slice) {
    note({Word::receive, std::nullopt, piece, slice});
  }
  void finish(Piece piece, std::size_t slice) { note({Word::finish, std::nullopt, piece, slice}); }
  void keep(int chunk, std::size_t slice) {
    note({Word::keep, std::nullopt, Piece{Place::output, chunk}, slice});
  }

  void send_to(int peer, Piece piece, std::size_t slice) {
    note({Word::send, piece, std::nullopt, slice, peer, kRing});
  }
  void receive_from(int peer, Piece piece, std::size_t slice) {
    note({Word::receive, std::nullopt, piece, slice, kRing, peer});
  }
  void swap(int to, Piece send, int from, Piece receive, std::size_t slice) {
    note({Word::exchange, send, receive, slice, to, from});
  }

  void show(int peer) { note({Word::show, std::nullopt, std::nullopt, 0, peer, kRing}); }
  void look(int rank, int chunk = kWholeInput, std::size_t slice = 0) {
    const Piece piece{Place::input, chunk};
    note({Word::look, std::nullopt, chunk == kWholeInput ? std::nullopt : std::optional(piece),
          slice, kRing, rank});
  }
  void fold(int chunk, int from, int order, std::size_t slice = 0) {
    const Piece piece{Place::output, chunk};
    note({Word::fold, std::nullopt, piece, slice, kRing, from, order});
  }
  void look_away(std::size_t slice = 0) {
    note({Word::look_away, std::nullopt, std::nullopt, slice});
  }

 private:
  void note(const Step& step) { static_cast<Listener*>(this)->note(step); }

  std::size_t slices_;
};

// The other way: says a step's word to a lane.
template <class Lane>
void perform(Lane& lane, const Step& step) {
  switch (step.word) {
    case Word::exchange_reduce:
      return lane.exchange_reduce(*step.send, *step.receive, step.slice);
    case Word::exchange:
      if (step.to == kRing) return lane.exchange(*step.send, *step.receive, step.slice);
      return lane.swap(step.to, *step.send, step.from, *step.receive, step.slice);
    case Word::send:
      if (step.to == kRing) return lane.send(*step.send, step.slice);
      return lane.send_to(step.to, *step.send, step.slice);
    case Word::receive:
      if (step.from == kRing) return lane.receive(*step.receive, step.slice);
      return lane.receive_from(step.from, *step.receive, step.slice);
    case Word::finish:
      return lane.finish(*step.receive, step.slice);
    case Word::keep:
      return lane.keep(step.receive->chunk, step.slice);
    case Word::show:
      return lane.show(step.to);
    case Word::look:
      return lane.look(step.from, step.receive ? step.receive->chunk : kWholeInput, step.slice);
    case Word::fold:
      return lane.fold(step.receive->chunk, step.from, step.order, step.slice);
    case Word::look_away:
      return lane.look_away(step.slice);
  }
}

class RecordLane : public WordLane<RecordLane> {
 public:
  using WordLane::WordLane;

  void note(const Step& step) { program_.push_back(step); }
  const Program& program() const { return program_; }

 private:
  Program program_;
};

template <class Algorithm>
Program record(std::size_t slices, const Algorithm& algorithm) {
  RecordLane lane(slices);
  algorithm(lane);
  return lane.program();
}

// Records the algorithm for every rank of a ring of `size`: `algorithm(lane, ring)`.
template <class Algorithm>
std::vector<Program> record_all(int size, std::size_t slices, const Algorithm& algorithm) {
  std::vector<Program> programs;
  for (int rank = 0; rank < size; ++rank)
    programs.push_back(record(slices, [&](RecordLane& lane) {
      algorithm(lane, Ring{rank, size});
    }));
  return programs;
}

}  // namespace ringside
