// Orders to the two streams; the story is in stream_lane.h.
#include "comm/device/stream_executor.h"

namespace ringside {

void StreamLane::put(Piece piece, std::size_t slice) {
  const Range r = range(piece.chunk, slice);
  const void* source = road_.scratch[carry_];
  if (piece.place == Place::input) source = input_at(r);
  if (piece.place == Place::output) source = output_at(r);
  const int slot = slot_after(road_.sent);
  ++road_.sent;
  // The message before it in the same slot has been consumed.
  if (road_.sent > StreamRoad::kSlots)
    device_.await(road_.out, road_.own_credit, device_signal(road_.sent - StreamRoad::kSlots, 0),
                  trouble_);
  if (piece.place != Place::input) device_.wait_for(road_.out, road_.received);
  device_.copy(road_.out, road_.right_slots + slot_byte(slot), source,
               r.count * call_.element_bytes);
  device_.signal(road_.out, &road_.right_cells[slot], device_signal(road_.sent, call_.fingerprint));
  if (piece.place == Place::carry) device_.record(road_.scratch_free[carry_], road_.out);
}

void StreamLane::take(Piece piece, std::size_t slice, bool reduces) {
  const Range r = range(piece.chunk, slice);
  const int slot = slot_after(road_.consumed);
  ++road_.consumed;
  device_.await(road_.in, &road_.own_cells[slot], device_signal(road_.consumed, 0), trouble_);
  // Fingerprints are chained (operation.h), so the first message of a call speaks for the rest.
  if (!checked_)
    device_.check(road_.in, &road_.own_cells[slot], call_.fingerprint, road_.left, trouble_);
  checked_ = true;
  void* target = nullptr;
  if (piece.place == Place::carry) {
    carry_ = 1 - carry_;
    target = road_.scratch[carry_];
    device_.wait_for(road_.in, road_.scratch_free[carry_]);
  } else {
    target = output_at(r);
  }
  const unsigned char* message = road_.own_slots + slot_byte(slot);
  if (reduces)
    device_.fold(road_.in, call_.what.dtype, call_.what.reduction, target, message, input_at(r),
                 r.count);
  else
    device_.copy(road_.in, target, message, r.count * call_.element_bytes);
  device_.signal(road_.in, road_.left_credit, device_signal(road_.consumed, call_.fingerprint));
  device_.record(road_.received, road_.in);
}

void StreamLane::finish(Piece piece, std::size_t slice) {
  if (call_.divide == nullptr) return;
  const Range r = range(piece.chunk, slice);
  device_.divide(road_.in, call_.what.dtype, output_at(r), r.count, call_.divisor);
  device_.record(road_.received, road_.in);
}

void StreamLane::keep(int chunk, std::size_t slice) {
  const Range r = range(chunk, slice);
  if (input_at(r) == output_at(r)) return;
  device_.copy(road_.in, output_at(r), input_at(r), r.count * call_.element_bytes);
  device_.record(road_.received, road_.in);
}

}  // namespace ringside
