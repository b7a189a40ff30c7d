// A world of clocks: the turns, the halves of a word, and what they cost. The model is told in
// clock_lane.h.
#include "comm/clock_lane.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <unordered_map>

#include "comm/circle.h"
#include "comm/clock_channel.h"
#include "comm/clock_costs.h"
#include "comm/error.h"
#include "comm/signal.h"

namespace ringside {
namespace {

constexpr std::size_t kWindowBytes = std::size_t{128} << 20;  // of all ranks

struct Runner {
  double clock_ns = 0;
  double halfway_ns = 0;  // when the first half of the calls was over
  std::size_t slice = 0;  // of all calls
  std::size_t next = 0;   // the word it is in
  std::size_t first = 0;  // the window's first word
  std::size_t words = 0;  // of a slice
  bool begun = false;     // the word
  bool sent = false;
  bool received = false;
  bool carry_in_slot = false;
  std::vector<ClockStep> window;
};

class World {
 public:
  World(const Machine& machine, const ClockCall& call, const ClockText& text)
      : machine_(machine),
        call_(call),
        text_(text),
        costs_(machine, call),
        ports_(machine, call.ranks),
        all_slices_(call.slices * static_cast<std::size_t>(call.calls)),
        most_(call.window_words > 0 ? call.window_words
                                    : kWindowBytes / sizeof(ClockStep) / index(call.ranks)),
        runners_(index(call.ranks)),
        ring_(index(call.ranks), TimedChannel(machine.ring.slots)) {
    for (int rank = 0; rank < call.ranks; ++rank) {
      look_ahead(rank, 0);
      begin_slice(rank);
    }
  }

  Price run() {
    Price price;
    // In a forced round a half may be done although it is not known whether the other one could
    // have come first: nobody can do anything that would decide it.
    for (bool forced = false; unfinished_ > 0;) {
      bool progress = false;
      for (int rank = 0; rank < call_.ranks; ++rank) progress |= advance(rank, forced);
      if (!progress && forced) {
        price.why = deadlock();
        break;
      }
      forced = !progress;
    }
    price.messages = messages_;
    price.words = words_;
    price.time_ns = time_ns();
    return price;
  }

 private:
  static std::size_t index(int rank) { return static_cast<std::size_t>(rank); }
  int wrap(int rank) const { return (rank % call_.ranks + call_.ranks) % call_.ranks; }

  double time_ns() const {
    double last_ns = 0, later_ns = 0;
    for (const Runner& it : runners_) {
      last_ns = std::max(last_ns, it.clock_ns);
      later_ns += (it.clock_ns - it.halfway_ns) / call_.ranks;
    }
    return call_.calls == 1 ? last_ns : later_ns / (call_.calls - call_.calls / 2);
  }

  // --- programs ---
  void look_ahead(int rank, std::size_t first) {
    Runner& it = runners_[index(rank)];
    if (it.words > 0 && it.words <= most_) return;  // all of it is there already
    ClockWindow window(rank, call_.chunks, first, most_, it.window);
    text_(window, Ring{rank, call_.ranks});
    it.first = first;
    it.words = window.seen();
  }

  // Skips what there is nothing of, and notes when calls begin and end.
  void begin_slice(int rank) {
    Runner& it = runners_[index(rank)];
    if (it.slice == call_.slices * index(call_.calls / 2)) it.halfway_ns = it.clock_ns;
    if (it.slice < all_slices_ && it.words == 0) it.slice = all_slices_;
    if (it.slice == all_slices_) {
      --unfinished_;
      return;
    }
    if (it.slice % call_.slices == 0) it.clock_ns += costs_.call_ns();
  }

  bool finished(int rank) const { return runners_[index(rank)].slice == all_slices_; }

  const ClockStep& step_of(int rank) const {
    const Runner& it = runners_[index(rank)];
    return it.window[it.next - it.first];
  }

  void end_word(int rank, const ClockStep& step) {
    Runner& it = runners_[index(rank)];
    if (!step.sends && !step.receives) local(rank, step);
    it.begun = false;
    ++words_;
    if (++it.next == it.words) {
      it.next = 0;
      ++it.slice;
      begin_slice(rank);
    }
    if (finished(rank)) return;
    if (it.next < it.first || it.next >= it.first + it.window.size()) look_ahead(rank, it.next);
  }

  std::size_t bytes_of(int rank, int chunk) const {
    const std::size_t slice = runners_[index(rank)].slice % call_.slices;
    return slice_of(call_.chunks[chunk], slice, call_.slice_count).count * call_.element_bytes;
  }

  // --- edges ---
  int to(int rank, const ClockStep& step) const {
    return step.to == kRing ? wrap(rank + 1) : step.to;
  }
  int from(int rank, const ClockStep& step) const {
    return step.from == kRing ? wrap(rank - 1) : step.from;
  }
  TimedChannel& mesh(int source, int target) {
    const std::uint64_t key = static_cast<std::uint64_t>(source) << 32 | index(target);
    return mesh_.try_emplace(key, machine_.mesh.slots).first->second;
  }
  TimedChannel& outgoing(int rank, const ClockStep& step) {
    return step.to == kRing ? ring_[index(rank)] : mesh(rank, step.to);
  }
  TimedChannel& incoming(int rank, const ClockStep& step) {
    return step.from == kRing ? ring_[index(wrap(rank - 1))] : mesh(step.from, rank);
  }

  // --- a turn: as far as is known, but not past a message that this rank sends ---
  bool advance(int rank, bool forced) {
    bool progress = false;
    while (!finished(rank)) {
      const ClockStep& step = step_of(rank);
      Runner& it = runners_[index(rank)];
      if (!it.begun) {
        it.begun = true;
        it.sent = !step.sends;
        it.received = !step.receives;
      }
      const Half done = half(rank, step, forced);
      const bool over = it.sent && it.received;
      if (!over && done == Half::none) break;
      progress = true;
      if (over) end_word(rank, step);
      if (done == Half::out) break;
    }
    return progress;
  }

  enum class Half { none, out, in };

  // One half of a word, the one that the host lane would do first. None if none is left, or it is
  // not known yet.
  Half half(int rank, const ClockStep& step, bool forced) {
    Runner& it = runners_[index(rank)];
    if (it.sent && it.received) return Half::none;
    std::optional<double> credit_ns, arrival_ns;
    if (!it.sent)
      credit_ns = outgoing(rank, step).credit_ns(ports_.latency_ns(rank, to(rank, step)));
    const bool at_once = credit_ns && *credit_ns <= it.clock_ns;
    if (!it.received && !at_once) arrival_ns = incoming(rank, step).arrival_ns();
    const bool both = !it.sent && !it.received;
    if (both && !at_once && !(credit_ns && arrival_ns) && !forced) return Half::none;
    if (credit_ns && (!arrival_ns || *credit_ns <= *arrival_ns)) {
      it.clock_ns = std::max(it.clock_ns, *credit_ns);
      send(rank, step);
      return Half::out;
    }
    if (!arrival_ns) return Half::none;
    it.clock_ns = std::max(it.clock_ns, *arrival_ns);
    receive(rank, step);
    return Half::in;
  }

  void send(int rank, const ClockStep& step) {
    Runner& it = runners_[index(rank)];
    const int peer = to(rank, step);
    const bool whole = step.word == Word::show;
    const std::size_t bytes = whole ? call_.whole_bytes : bytes_of(rank, step.send_chunk);
    const bool in_slot = step.send_place == Place::carry && it.carry_in_slot;
    it.clock_ns += costs_.message_ns();
    if (!ports_.is_wire(rank, peer) && !in_slot && bytes > kInlineBytes)
      it.clock_ns += costs_.copy_to_slot_ns(step.send_place, bytes);
    outgoing(rank, step).put(ports_.arrival_ns(rank, peer, bytes, it.clock_ns));
    it.sent = true;
    ++messages_;
  }

  void receive(int rank, const ClockStep& step) {
    Runner& it = runners_[index(rank)];
    it.received = true;
    it.clock_ns += costs_.message_ns();
    const bool whole = step.word == Word::look;
    const std::size_t bytes = whole ? call_.whole_bytes : bytes_of(rank, step.receive_chunk);
    if (bytes > kInlineBytes && !ports_.is_wire(from(rank, step), rank))
      it.clock_ns += costs_.slot_ns();
    if (whole) return;  // it stays in its slot until look_away
    // Where the sum goes is chosen before it is computed: a slot that becomes free meanwhile is
    // not seen.
    if (step.receive_place == Place::carry)
      it.carry_in_slot = it.sent && bytes > kInlineBytes && slot_is_free(rank);
    if (step.word == Word::exchange_reduce)
      it.clock_ns += costs_.reduce_ns(step.receive_place, bytes);
    else
      it.clock_ns += costs_.copy_from_slot_ns(bytes);
    release(from(rank, step), rank, step.from == kRing);
  }

  // Whether the right neighbour's next slot can be stored to, as far as this rank knows now.
  bool slot_is_free(int rank) const {
    const int right = wrap(rank + 1);
    if (ports_.is_wire(rank, right)) return false;
    const auto credit_ns = ring_[index(rank)].credit_ns(ports_.latency_ns(rank, right));
    return credit_ns && *credit_ns <= runners_[index(rank)].clock_ns;
  }

  // A channel of the mesh that is idle is forgotten where its credit can never matter: of 4,096
  // ranks there are 16 million.
  void release(int source, int target, bool ring) {
    const double now_ns = runners_[index(target)].clock_ns;
    if (ring) return ring_[index(source)].release(now_ns);
    const std::uint64_t key = static_cast<std::uint64_t>(source) << 32 | index(target);
    const auto found = mesh_.find(key);
    if (found == mesh_.end()) return;  // a text that looks away from what it has not looked at
    found->second.release(now_ns);
    if (all_slices_ == 1 && found->second.is_idle()) mesh_.erase(found);
  }

  void local(int rank, const ClockStep& step) {
    Runner& it = runners_[index(rank)];
    if (step.word == Word::keep && !call_.in_place)
      it.clock_ns += costs_.keep_ns(bytes_of(rank, step.receive_chunk));
    if (step.word == Word::fold)
      it.clock_ns += costs_.reduce_ns(Place::output, step.folded * call_.element_bytes);
    if (step.word == Word::look_away)
      for (int peer = 0; peer < call_.ranks; ++peer)
        if (peer != rank) release(peer, rank, false);
  }

  std::string deadlock() const {
    return circle_of_waits(call_.ranks, [&](int rank) {
      if (finished(rank)) return Wait{.ended = true};
      const ClockStep& step = step_of(rank);
      if (!runners_[index(rank)].received)
        return Wait{.peer = from(rank, step), .for_what = "send"};
      return Wait{.peer = to(rank, step), .for_what = "make room"};
    });
  }

  const Machine& machine_;
  const ClockCall& call_;
  const ClockText& text_;
  ClockCosts costs_;
  ClockPorts ports_;
  std::size_t all_slices_;
  std::size_t most_;  // words in a window
  std::vector<Runner> runners_;
  std::vector<TimedChannel> ring_;                        // by sender
  std::unordered_map<std::uint64_t, TimedChannel> mesh_;  // by sender and receiver
  int unfinished_ = call_.ranks;
  std::size_t messages_ = 0;
  std::size_t words_ = 0;
};

}  // namespace

Price price(const Machine& machine, const ClockCall& call, const ClockText& text) {
  return World(machine, call, text).run();
}

}  // namespace ringside
