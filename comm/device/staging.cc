// Which bytes of which buffer; the rest is in staging.h.
#include "comm/device/staging.h"

namespace ringside {

BufferBytes buffer_bytes(const Plan& plan, const Ring& ring) {
  const OperationTraits& it = traits(plan.what.kind);
  const bool is_root = ring.rank == plan.what.root;
  const std::size_t whole = plan.chunks.total() * plan.element_bytes;
  const bool in_parts = it.input == Extent::part || it.output == Extent::part;
  const std::size_t part = in_parts ? plan.chunks[ring.rank].count * plan.element_bytes : 0;
  return {length_of(it.input, is_root, whole, part), length_of(it.output, is_root, whole, part)};
}

std::byte* Staging::staged(const void* address, std::size_t bytes, bool reads, bool writes) {
  Copy& copy = copies_.emplace_back();
  copy.there = const_cast<void*>(address);
  copy.here.resize(bytes);
  copy.writes = writes;
  if (reads) {
    device_->settle_default();
    device_->read(copy.here.data(), address, bytes);
  }
  return copy.here.data();
}

void Staging::stage(Plan& plan, const Ring& ring) {
  const BufferBytes bytes = buffer_bytes(plan, ring);
  const bool one = plan.what.kind == Kind::broadcast;  // one buffer, in and out
  const void* const output = plan.output;
  if (bytes.output > 0 && device_->owns(output))
    plan.output = staged(output, bytes.output, one, !one || ring.rank != plan.what.root);
  if (one)
    plan.input = plan.output;
  else if (bytes.input > 0 && device_->owns(plan.input))
    plan.input = staged(plan.input, bytes.input, true, false);
}

void Staging::stage(std::vector<Message>& messages) {
  for (Message& it : messages) {
    const std::size_t bytes = it.count * bytes_of(it.dtype);
    if (bytes == 0 || !device_->owns(it.buffer())) continue;
    if (it.is_send)
      it.source = staged(it.source, bytes, true, false);
    else
      it.target = staged(it.target, bytes, false, true);
  }
}

void Staging::write_back() {
  for (const Copy& copy : copies_)
    if (copy.writes) device_->write(copy.there, copy.here.data(), copy.here.size());
}

}  // namespace ringside
