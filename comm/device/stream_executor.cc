// What is enqueued on the two streams; the story is in stream_executor.h.
#include "comm/device/stream_executor.h"

#include "comm/transport/credit.h"

namespace ringside {

void StreamExecutor::put(Piece piece, std::size_t slice) {
  const Range r = range(piece.chunk, slice);
  const void* source = connection_.scratch[partial_];
  if (piece.place == Place::input) source = input_at(r);
  if (piece.place == Place::output) source = output_at(r);
  if (!may_send(connection_.sent, 0, StreamConnection::kSlots))
    device_.await(connection_.out, connection_.own_credit,
                  device_signal(credit_needed(connection_.sent, StreamConnection::kSlots), 0),
                  error_flags_);
  ++connection_.sent;
  const int slot = slot_of(connection_.sent, StreamConnection::kSlots);
  if (piece.place != Place::input) device_.wait_for(connection_.out, connection_.received);
  device_.copy(connection_.out, connection_.right_slots + slot_byte(slot), source,
               r.count * call_.plan.element_bytes);
  device_.signal(connection_.out, &connection_.right_cells[slot],
                 device_signal(connection_.sent, call_.fingerprint));
  if (piece.place == Place::partial)
    device_.record(connection_.scratch_free[partial_], connection_.out);
}

void StreamExecutor::take(Piece piece, std::size_t slice, bool reduces) {
  const Range r = range(piece.chunk, slice);
  ++connection_.consumed;
  const int slot = slot_of(connection_.consumed, StreamConnection::kSlots);
  device_.await(connection_.in, &connection_.own_cells[slot],
                device_signal(connection_.consumed, 0), error_flags_);
  // Fingerprints are chained (operation.h), so it is enough to check the first message of a call.
  if (!checked_)
    device_.check(connection_.in, &connection_.own_cells[slot], call_.fingerprint, connection_.left,
                  error_flags_);
  checked_ = true;
  void* target = nullptr;
  if (piece.place == Place::partial) {
    partial_ = 1 - partial_;
    target = connection_.scratch[partial_];
    device_.wait_for(connection_.in, connection_.scratch_free[partial_]);
  } else {
    target = output_at(r);
  }
  const unsigned char* message = connection_.own_slots + slot_byte(slot);
  if (reduces)
    device_.reduce(connection_.in, call_.plan.what.dtype, call_.plan.what.reduction, target,
                   message, input_at(r), r.count);
  else
    device_.copy(connection_.in, target, message, r.count * call_.plan.element_bytes);
  device_.signal(connection_.in, connection_.left_credit,
                 device_signal(connection_.consumed, call_.fingerprint));
  device_.record(connection_.received, connection_.in);
}

void StreamExecutor::post_op(Piece piece, std::size_t slice) {
  if (call_.plan.divide == nullptr) return;
  const Range r = range(piece.chunk, slice);
  device_.divide(connection_.in, call_.plan.what.dtype, output_at(r), r.count, call_.plan.divisor);
  device_.record(connection_.received, connection_.in);
}

void StreamExecutor::copy_input(int chunk, std::size_t slice) {
  const Range r = range(chunk, slice);
  if (input_at(r) == output_at(r)) return;
  device_.copy(connection_.in, output_at(r), input_at(r), r.count * call_.plan.element_bytes);
  device_.record(connection_.received, connection_.in);
}

}  // namespace ringside
