// The traced executor: notes when each primitive began and when it was done, and has the host
// executor carry it out. The same algorithm runs on it, so what is shown is what happens.
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
    if (step.sends()) {
      const auto& [to, connection] = step.to;
      it.to = to;
      it.sent = message_id(connection, ring_.rank, to, trace_.next_sent(connection, to));
      it.sent_bytes = bytes_of(step.send, step.slice);
    }
    if (step.receives(ring_.rank)) {
      const auto& [from, connection] = step.from;
      it.from = from;
      it.received =
          message_id(connection, from, ring_.rank, trace_.next_received(connection, from));
      it.received_bytes = bytes_of(step.receive, step.slice);
    }
  }

  // A primitive without a piece moves the whole input.
  std::size_t bytes_of(const std::optional<Piece>& piece, std::size_t slice) const {
    if (!piece) return call_.plan.whole_bytes();
    return call_.range(piece->chunk, slice).count * call_.plan.element_bytes;
  }

  HostExecutor& executor_;
  const HostCall& call_;
  const Ring ring_;
  Trace& trace_;
};

}  // namespace ringside
