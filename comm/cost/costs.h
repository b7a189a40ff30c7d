// What a word costs on a machine: a core's work on bytes, and a message's way.
#pragma once

#include <cstddef>
#include <vector>

#include "comm/algorithms/ring.h"
#include "comm/cost/breakdown.h"
#include "comm/cost/machine.h"
#include "comm/cost/simulate.h"

namespace ringside {

// Times of a core's work. More ranks than cores take turns, so that all work takes as many times as
// long. Each end of a copy or an addition pays its share (simulator.h).
class ClockCosts {
 public:
  ClockCosts(const Machine& machine, const SimulatedCall& call)
      : machine_(machine), turns_(machine.ranks_a_core(call.ranks)) {
    copy_buffer_ = ns_a_byte(machine.copy, call.buffer_bytes);
    copy_slot_ = ns_a_byte(machine.copy, call.slot_bytes);
    reduce_buffer_ = ns_a_byte(machine.reduce, call.buffer_bytes);
    reduce_slot_ = ns_a_byte(machine.reduce, call.slot_bytes);
  }

  double call_ns() const { return turns_ * machine_.call_ns; }
  double message_ns() const { return turns_ * machine_.message_ns; }
  double slot_ns() const { return turns_ * machine_.slot_ns; }

  // A sum that waits in scratch memory is as near as a slot.
  double copy_to_slot_ns(Place from, std::size_t bytes) const {
    const bool scratch = from == Place::partial || from == Place::scratch;
    return of(bytes) * (copy_slot_ + (scratch ? copy_slot_ : copy_buffer_)) / 2;
  }
  // `exposed`: the message lies in its sender's buffer.
  double copy_from_slot_ns(std::size_t bytes, bool exposed) const {
    return of(bytes) * ((exposed ? copy_buffer_ : copy_slot_) + copy_buffer_) / 2;
  }
  double keep_ns(std::size_t bytes) const { return of(bytes) * copy_buffer_; }
  // Message + own input.
  double reduce_ns(Place to, std::size_t bytes, bool exposed) const {
    const bool scratch = to == Place::partial || to == Place::scratch;
    return of(bytes) *
           ((exposed ? reduce_buffer_ : reduce_slot_) + reduce_buffer_ +
            (scratch ? reduce_slot_ : reduce_buffer_)) /
           3;
  }

 private:
  static double of(std::size_t bytes) { return static_cast<double>(bytes); }
  double ns_a_byte(const std::vector<Rate>& rates, std::size_t operand_bytes) const {
    const double gbs = rate_at(rates, operand_bytes);
    return gbs > 0 ? turns_ / gbs : 0;
  }

  const Machine& machine_;
  double turns_;
  double copy_buffer_;
  double copy_slot_;
  double reduce_buffer_;
  double reduce_slot_;
};

// The links between ranks, and until when each port is busy.
class ClockPorts {
 public:
  ClockPorts(const Machine& machine, int ranks)
      : machine_(machine),
        rank_out_(static_cast<std::size_t>(ranks)),
        rank_in_(static_cast<std::size_t>(ranks)),
        host_out_(static_cast<std::size_t>(machine.host_of(ranks - 1) + 1)),
        host_in_(host_out_.size()) {
    for (int rank = 0; rank < ranks; ++rank) host_of_.push_back(machine.host_of(rank));
  }

  double latency_ns(int from, int to) const { return link(from, to).latency_ns; }
  bool is_wire(int from, int to) const { return link(from, to).is_wire(); }

  // A message that is ready at `now`: when all of it has arrived.
  Moment arrival(int from, int to, std::size_t bytes, const Moment& now) {
    const Link& way = link(from, to);
    if (!way.is_wire()) return now.after(CostTerm::flags, way.latency_ns);
    const bool inside = same_host(from, to);
    Moment& out = inside ? rank_out_[index(from)] : host_out_[host(from)];
    Moment& in = inside ? rank_in_[index(to)] : host_in_[host(to)];
    const double busy_ns = static_cast<double>(bytes) / way.bandwidth_gbs;
    out.wait_for(now);
    in.wait_for(out.after(CostTerm::flags, way.latency_ns));
    out.pay(CostTerm::wires, busy_ns);
    return in.pay(CostTerm::wires, busy_ns);
  }

 private:
  static std::size_t index(int number) { return static_cast<std::size_t>(number); }
  std::size_t host(int rank) const { return index(host_of_[index(rank)]); }
  bool same_host(int a, int b) const { return host(a) == host(b); }
  const Link& link(int from, int to) const {
    return same_host(from, to) ? machine_.same_host : machine_.between_hosts;
  }

  const Machine& machine_;
  std::vector<int> host_of_;  // kept, as a division costs more than the rest
  std::vector<Moment> rank_out_, rank_in_, host_out_, host_in_;
};

}  // namespace ringside
