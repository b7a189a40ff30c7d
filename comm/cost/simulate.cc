// A world of clocks: the turns, the halves of a step, and what they cost. The model is described in
// simulate.h.
#include "comm/cost/simulate.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <unordered_map>

#include "comm/algorithms/step.h"
#include "comm/cost/costs.h"
#include "comm/cost/timed_channel.h"
#include "comm/error.h"
#include "comm/transport/signal.h"
#include "comm/util/wait_graph.h"

namespace ringside {
namespace {

constexpr std::size_t kWindowBytes = std::size_t{128} << 20;  // of all ranks

struct Runner {
  Moment clock;
  Moment halfway;         // when the first half of the calls was over
  std::size_t slice = 0;  // of all calls
  std::size_t next = 0;   // the step it is in
  std::size_t first = 0;  // the window's first step
  std::size_t words = 0;  // of a slice
  bool begun = false;     // it has
  StepState state{};
  bool partial_in_slot = false;
  bool reclaiming = false;     // its steps are done, but what it has exposed may not have been read
  int exposed = 0;             // messages that have not been read yet
  Moment returned;             // when it knows that those which have been read have been
  bool views_exposed = false;  // what it has waited for
  std::array<Traffic, kPaths> sent_by = {};
  std::size_t received_bytes = 0;
  std::vector<SimulatedStep> window;
};

class World {
 public:
  World(const Machine& machine, const SimulatedCall& call, const SimulatedAlgorithm& algorithm)
      : machine_(machine),
        call_(call),
        algorithm_(algorithm),
        costs_(machine, call),
        ports_(machine, call.ranks),
        all_slices_(call.slices * static_cast<std::size_t>(call.calls)),
        most_(call.window_words > 0 ? call.window_words
                                    : kWindowBytes / sizeof(SimulatedStep) / index(call.ranks)),
        runners_(index(call.ranks)),
        ring_(index(call.ranks), TimedChannel(machine.ring.slots)) {
    for (int rank = 0; rank < call.ranks; ++rank) {
      look_ahead(rank, 0);
      begin_slice(rank);
    }
  }

  Prediction run() {
    Prediction predict;
    // In a forced round a half may be done although it is not known whether the other one could
    // have come first: nobody can do anything that would decide it.
    for (bool forced = false; unfinished_ > 0;) {
      bool progress = false;
      for (int rank = 0; rank < call_.ranks; ++rank) progress |= advance(rank, forced);
      if (!progress && forced) {
        predict.why = deadlock();
        break;
      }
      forced = !progress;
    }
    predict.messages = messages_;
    predict.words = words_;
    predict.breakdown = breakdown();
    for (const double ns : predict.breakdown) predict.time_ns += ns;
    note_traffic(predict);
    return predict;
  }

 private:
  static std::size_t index(int rank) { return static_cast<std::size_t>(rank); }

  CostBreakdown breakdown() const {
    CostBreakdown breakdown = {};
    if (call_.calls == 1) {
      const auto earlier = [](const Runner& a, const Runner& b) { return a.clock.ns < b.clock.ns; };
      return std::max_element(runners_.begin(), runners_.end(), earlier)->clock.breakdown;
    }
    const double shares = 1.0 * call_.ranks * (call_.calls - call_.calls / 2);
    for (const Runner& it : runners_)
      for (std::size_t term = 0; term < kCostTerms; ++term)
        breakdown[term] += (it.clock.breakdown[term] - it.halfway.breakdown[term]) / shares;
    return breakdown;
  }

  void note_traffic(Prediction& predict) const {
    const auto calls = static_cast<std::size_t>(call_.calls);
    std::size_t most = 0;
    for (const Runner& it : runners_) {
      std::size_t bytes = 0;
      for (const Traffic& way : it.sent_by) bytes += way.bytes;
      predict.busiest_bytes =
          std::max({predict.busiest_bytes, bytes / calls, it.received_bytes / calls});
      if (&it != &runners_[0] && bytes <= most) continue;
      most = bytes;
      for (std::size_t path = 0; path < kPaths; ++path)
        predict.sent[path] = {it.sent_by[path].messages / calls, it.sent_by[path].bytes / calls};
    }
  }

  // --- programs ---
  void look_ahead(int rank, std::size_t first) {
    Runner& it = runners_[index(rank)];
    if (it.words > 0 && it.words <= most_) return;  // all of it is there already
    ClockWindow window(rank, call_.chunks, first, most_, it.window);
    algorithm_(window, Ring{rank, call_.ranks});
    it.first = first;
    it.words = window.seen();
  }

  // Skips what there is nothing of, and notes when calls begin and end.
  void begin_slice(int rank) {
    Runner& it = runners_[index(rank)];
    if (it.slice == call_.slices * index(call_.calls / 2)) it.halfway = it.clock;
    if (it.slice < all_slices_ && it.words == 0) it.slice = all_slices_;
    if (it.slice == all_slices_) {
      --unfinished_;
      return;
    }
    if (it.slice % call_.slices == 0) it.clock.pay(CostTerm::call, costs_.call_ns());
  }

  bool finished(int rank) const { return runners_[index(rank)].slice == all_slices_; }

  const SimulatedStep& step_of(int rank) const {
    const Runner& it = runners_[index(rank)];
    return it.window[it.next - it.first];
  }

  void end_step(int rank, const SimulatedStep& step) {
    Runner& it = runners_[index(rank)];
    if (!step.sends && !step.receives) local(rank, step);
    it.begun = false;
    ++words_;
    if (++it.next == it.words) {
      it.reclaiming = call_.zero_copy_from_bytes != SIZE_MAX && (it.slice + 1) % call_.slices == 0;
      if (!it.reclaiming) end_slice(rank);
    } else {
      keep_up(rank);
    }
  }

  void end_slice(int rank) {
    Runner& it = runners_[index(rank)];
    it.next = 0;
    ++it.slice;
    begin_slice(rank);
    if (!finished(rank)) keep_up(rank);
  }

  void keep_up(int rank) {
    const Runner& it = runners_[index(rank)];
    if (it.next < it.first || it.next >= it.first + it.window.size()) look_ahead(rank, it.next);
  }

  // A call is over when everything that was exposed in it has been read. False: not known yet.
  bool reclaim(int rank) {
    Runner& it = runners_[index(rank)];
    if (it.exposed > 0) return false;
    it.clock.wait_for(it.returned);
    it.reclaiming = false;
    end_slice(rank);
    return true;
  }

  std::size_t bytes_of(int rank, int chunk) const {
    const std::size_t slice = runners_[index(rank)].slice % call_.slices;
    return slice_of(call_.chunks[chunk], slice, call_.slice_count).count * call_.element_bytes;
  }

  // Only additions to one chunk are cut into slices; a one-shot, which adds to all, has one slice.
  std::size_t reduced_bytes(int rank, const SimulatedStep& step) const {
    const std::size_t all = step.reduced * call_.element_bytes;
    if (call_.slices == 1 || all == 0) return all;
    const std::size_t chunk_bytes = call_.chunks[step.receive_chunk].count * call_.element_bytes;
    return all / chunk_bytes * bytes_of(rank, step.receive_chunk);
  }

  // --- channels ---
  TimedChannel& mesh(int source, int target) {
    const std::uint64_t key = static_cast<std::uint64_t>(source) << 32 | index(target);
    return mesh_.try_emplace(key, machine_.mesh.slots).first->second;
  }
  TimedChannel& outgoing(int rank, const SimulatedStep& step) {
    return step.to_ring ? ring_[index(rank)] : mesh(rank, step.to);
  }
  TimedChannel& incoming(int rank, const SimulatedStep& step) {
    return step.from_ring ? ring_[index(step.from)] : mesh(step.from, rank);
  }

  // --- a turn: as far as is known, but not past a message that this rank sends ---
  bool advance(int rank, bool forced) {
    bool progress = false;
    while (!finished(rank)) {
      Runner& it = runners_[index(rank)];
      if (it.reclaiming) {
        if (!reclaim(rank)) break;
        progress = true;
        continue;
      }
      const SimulatedStep& step = step_of(rank);
      if (!it.begun) {
        it.begun = true;
        it.state = {!step.sends, !step.receives};
      }
      const Half done = carry_out(rank, step, forced);
      const bool over = it.state.done();
      if (!over && done == Half::none) break;
      progress = true;
      if (over) end_step(rank, step);
      if (done == Half::send) break;
    }
    return progress;
  }

  // The half that is next (step.h), at the moment at which something is. None if none is left, or
  // that moment is not known yet.
  Half carry_out(int rank, const SimulatedStep& step, bool forced) {
    Runner& it = runners_[index(rank)];
    if (it.state.done()) return Half::none;
    const Moment* room = it.state.sent ? nullptr : outgoing(rank, step).room();
    const Moment* arrival = it.state.received ? nullptr : incoming(rank, step).arrival();
    const double back_ns = it.state.sent ? 0 : ports_.latency_ns(rank, step.to);
    if (room == nullptr || room->ns + back_ns > it.clock.ns) {  // it has to wait
      const bool both = !it.state.sent && !it.state.received;
      if (both && (room == nullptr || arrival == nullptr) && !forced) return Half::none;
      if (room != nullptr && (arrival == nullptr || room->ns + back_ns <= arrival->ns))
        it.clock = room->after(CostTerm::credits, back_ns);
      else if (arrival != nullptr)
        it.clock.wait_for(*arrival);
    }
    struct Channels {
      bool room, message;
      bool may_send() const { return room; }
      bool arrived() const { return message; }
    };
    const Half half =
        next_half(it.state, Channels{room != nullptr && room->ns + back_ns <= it.clock.ns,
                                     arrival != nullptr && arrival->ns <= it.clock.ns});
    if (half == Half::send) send(rank, step);
    if (half == Half::receive) receive(rank, step);
    return half;
  }

  void send(int rank, const SimulatedStep& step) {
    Runner& it = runners_[index(rank)];
    const int peer = step.to;
    const bool whole = step.primitive == Primitive::send_input;
    const std::size_t bytes = whole ? call_.whole_bytes : bytes_of(rank, step.send_chunk);
    const Path path = path_of(rank, step, bytes);
    it.clock.pay(CostTerm::ends, costs_.message_ns());
    if (path == Path::slot && !ports_.is_wire(rank, peer))
      it.clock.pay(CostTerm::into_slots, costs_.copy_to_slot_ns(step.send_place, bytes));
    const bool exposed = path == Path::exposed;
    outgoing(rank, step).put(ports_.arrival(rank, peer, bytes, it.clock), exposed);
    it.state.sent = true;
    it.exposed += exposed;
    Traffic& way = it.sent_by[static_cast<std::size_t>(path)];
    ++way.messages;
    way.bytes += bytes;
    ++messages_;
  }

  Path path_of(int rank, const SimulatedStep& step, std::size_t bytes) const {
    if (bytes <= kInlineBytes) return Path::cell;
    const Place from = step.send_place;
    if (from == Place::partial && runners_[index(rank)].partial_in_slot) return Path::sum;
    const bool whole = step.primitive == Primitive::send_input;
    if (is_exposable(Piece{from, whole ? kWholeInput : step.send_chunk}, call_.in_place) &&
        bytes >= call_.zero_copy_from_bytes && !ports_.is_wire(rank, step.to))
      return Path::exposed;
    return Path::slot;
  }

  void receive(int rank, const SimulatedStep& step) {
    Runner& it = runners_[index(rank)];
    it.state.received = true;
    it.clock.pay(CostTerm::ends, costs_.message_ns());
    const bool stays = step.primitive == Primitive::wait_input;
    const bool whole = stays && step.receive_chunk == kWholeInput;
    const std::size_t bytes = whole ? call_.whole_bytes : bytes_of(rank, step.receive_chunk);
    it.received_bytes += bytes;
    if (bytes > kInlineBytes && !ports_.is_wire(step.from, rank))
      it.clock.pay(CostTerm::lines, costs_.slot_ns());
    const bool exposed = incoming(rank, step).exposed();
    it.views_exposed = stays && exposed;
    if (stays) return;  // it stays where it is until release_inputs
    // Where the sum goes is chosen before it is computed: a slot that becomes free meanwhile is
    // not seen.
    if (step.receive_place == Place::partial)
      it.partial_in_slot = it.state.sent && bytes > kInlineBytes && slot_is_free(rank, step);
    if (step.primitive == Primitive::exchange_reduce)
      it.clock.pay(CostTerm::additions, costs_.reduce_ns(step.receive_place, bytes, exposed));
    else
      it.clock.pay(CostTerm::from_slots, costs_.copy_from_slot_ns(bytes, exposed));
    release(step.from, rank, step.from_ring);
  }

  // Whether the next slot of the peer that a partial sum goes on to can be stored to, as far as
  // this rank knows now.
  bool slot_is_free(int rank, const SimulatedStep& step) {
    if (ports_.is_wire(rank, step.to)) return false;
    const Moment* room = outgoing(rank, step).room();
    return room != nullptr &&
           room->ns + ports_.latency_ns(rank, step.to) <= runners_[index(rank)].clock.ns;
  }

  // A channel of the mesh that is idle is forgotten where its credit can never matter: of 4,096
  // ranks there are 16 million.
  void release(int source, int target, bool ring) {
    if (ring) return release(ring_[index(source)], source, target);
    const std::uint64_t key = static_cast<std::uint64_t>(source) << 32 | index(target);
    const auto found = mesh_.find(key);
    if (found == mesh_.end()) return;  // released, and never waited for
    release(found->second, source, target);
    if (all_slices_ == 1 && call_.pair_messages <= machine_.mesh.slots && found->second.is_idle())
      mesh_.erase(found);
  }
  void release(TimedChannel& channel, int source, int target) {
    const Moment& now = runners_[index(target)].clock;
    if (channel.exposed()) {
      Runner& owner = runners_[index(source)];
      --owner.exposed;
      owner.returned.wait_for(now.after(CostTerm::credits, ports_.latency_ns(source, target)));
    }
    channel.release(now);
  }

  void local(int rank, const SimulatedStep& step) {
    Runner& it = runners_[index(rank)];
    if (step.primitive == Primitive::copy_input && !call_.in_place)
      it.clock.pay(CostTerm::own_part, costs_.keep_ns(bytes_of(rank, step.receive_chunk)));
    if (step.primitive == Primitive::reduce_input)
      it.clock.pay(CostTerm::additions,
                   costs_.reduce_ns(Place::output, reduced_bytes(rank, step), it.views_exposed));
    if (step.primitive == Primitive::release_inputs)
      for (int peer = 0; peer < call_.ranks; ++peer)
        if (peer != rank) release(peer, rank, false);
  }

  std::string deadlock() const {
    return describe_deadlock([&](int rank) {
      if (finished(rank)) return Wait{.ended = true};
      if (runners_[index(rank)].reclaiming)
        return Wait{.peer = reader_of(rank), .for_what = "read what it was exposed"};
      const SimulatedStep& step = step_of(rank);
      if (awaited_half(runners_[index(rank)].state) == Half::receive)
        return Wait{.peer = step.from, .for_what = "send"};
      return Wait{.peer = step.to, .for_what = "make room"};
    });
  }

  // A rank that has not read what this one has sent to it.
  int reader_of(int rank) const {
    for (const auto& [key, channel] : mesh_)
      if (key >> 32 == index(rank) && !channel.is_idle()) return static_cast<int>(key & UINT32_MAX);
    return Ring{rank, call_.ranks}.right().rank;
  }

  const Machine& machine_;
  const SimulatedCall& call_;
  const SimulatedAlgorithm& algorithm_;
  ClockCosts costs_;
  ClockPorts ports_;
  std::size_t all_slices_;
  std::size_t most_;  // steps in a window
  std::vector<Runner> runners_;
  std::vector<TimedChannel> ring_;                        // by sender
  std::unordered_map<std::uint64_t, TimedChannel> mesh_;  // by sender and receiver
  int unfinished_ = call_.ranks;
  std::size_t messages_ = 0;
  std::size_t words_ = 0;
};

}  // namespace

Prediction predict(const Machine& machine, const SimulatedCall& call,
                   const SimulatedAlgorithm& algorithm) {
  return World(machine, call, algorithm).run();
}

}  // namespace ringside
