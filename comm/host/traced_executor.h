// The traced executor: notes when each word began and when it was done, and lets the host executor
// carry it out. The same text of an algorithm runs on it, so what is shown is what happens.
#pragma once

#include <cstddef>
#include <optional>

#include "comm/algorithms/program.h"
#include "comm/diagnostics/trace.h"
#include "comm/host/executor.h"

namespace ringside {

class TracedExecutor : public PrimitiveRecorder<TracedExecutor> {
 public:
  TracedExecutor(HostExecutor& executor, const HostCall& call, const Ring& ring, Trace& trace)
      : PrimitiveRecorder(executor.slices()),
        executor_(executor),
        call_(call),
        ring_(ring),
        trace_(trace) {}

  void note(const Step& step) {
    TraceScope span(trace_, TracedStep{.step = step});
    TracedStep& traced = span.what<TracedStep>();
    address(traced);
    if (traced.sent != 0 || traced.received != 0) traced.number = executor_.next_step(step.slice);
    perform(executor_, step);
    span.done();
  }

 private:
  // From whom to whom, which messages, and how many bytes.
  void address(TracedStep& it) {
    const Step& step = it.step;
    const Connection connection =
        step.to == kRing && step.from == kRing ? Connection::ring : Connection::mesh;
    if (step.send || step.primitive == Primitive::send_input) {
      it.to = connection == Connection::ring ? ring_.right() : step.to;
      it.sent = message_id(connection, ring_.rank, it.to, trace_.next_sent(connection, it.to));
      it.sent_bytes = bytes_of(step.send, step.slice);
    }
    if (receives(step)) {
      it.from = connection == Connection::ring ? ring_.left() : step.from;
      it.received =
          message_id(connection, it.from, ring_.rank, trace_.next_received(connection, it.from));
      it.received_bytes = bytes_of(step.receive, step.slice);
    }
  }

  // The other words that have a piece in `receive` have it at hand already.
  bool receives(const Step& step) const {
    switch (step.primitive) {
      case Primitive::exchange_reduce:
      case Primitive::exchange:
      case Primitive::receive:
        return true;
      case Primitive::wait_input:
        return step.from != ring_.rank;
      default:
        return false;
    }
  }

  // A word without a piece moves the whole input.
  std::size_t bytes_of(const std::optional<Piece>& piece, std::size_t slice) const {
    if (!piece) return call_.whole_bytes();
    return call_.range(piece->chunk, slice).count * call_.element_bytes;
  }

  HostExecutor& executor_;
  const HostCall& call_;
  const Ring ring_;
  Trace& trace_;
};

}  // namespace ringside
