// Which bytes of which buffer; the rest is in staging.h.
#include "comm/device/staging.h"

namespace ringside {

BufferBytes buffer_bytes(const HostCall& call, const Ring& ring) {
  const bool is_root = ring.rank == call.what.root;
  const std::size_t whole = call.chunks.total() * call.element_bytes;
  const auto own = [&] { return call.chunks[ring.rank].count * call.element_bytes; };
  switch (call.what.kind) {
    case Kind::all_reduce:
    case Kind::all_to_all:
    case Kind::broadcast:
      return {whole, whole};
    case Kind::reduce_scatter:
    case Kind::reduce_scatter_v:
      return {whole, own()};
    case Kind::all_gather:
    case Kind::all_gather_v:
      return {own(), whole};
    case Kind::reduce:
      return {whole, is_root ? whole : 0};
    case Kind::gather:
      return {own(), is_root ? whole : 0};
    case Kind::scatter:
      return {is_root ? whole : 0, own()};
    case Kind::barrier:
    case Kind::send_recv:
      break;
  }
  return {0, 0};
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

void Staging::stage(HostCall& call, const Ring& ring) {
  const BufferBytes bytes = buffer_bytes(call, ring);
  const bool one = call.what.kind == Kind::broadcast;  // one buffer, in and out
  const void* const output = call.output;
  if (bytes.output > 0 && device_->owns(output))
    call.output = staged(output, bytes.output, one, !one || ring.rank != call.what.root);
  if (one)
    call.input = call.output;
  else if (bytes.input > 0 && device_->owns(call.input))
    call.input = staged(call.input, bytes.input, true, false);
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
