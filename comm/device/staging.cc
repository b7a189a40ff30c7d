// Which bytes of which buffer; the rest is in staging.h.
#include "comm/device/staging.h"

namespace ringside {

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

void Staging::stage(Plan& plan) {
  const std::size_t input_bytes = plan.input_count * plan.element_bytes;
  const std::size_t output_bytes = plan.output_count * plan.element_bytes;
  const bool one = plan.what.kind == Kind::broadcast;  // one buffer, in and out
  const void* const output = plan.output;
  if (output_bytes > 0 && device_->owns(output))
    plan.output = staged(output, output_bytes, one, !one || plan.input_count == 0);
  if (one)
    plan.input = plan.output;
  else if (input_bytes > 0 && device_->owns(plan.input))
    plan.input = staged(plan.input, input_bytes, true, false);
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
