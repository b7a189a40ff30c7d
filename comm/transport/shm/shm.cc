// Shared memory as a transport; the story is in shm.h.
#include "comm/transport/shm/shm.h"

#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "comm/error.h"
#include "comm/transport/shm/allocations.h"
#include "comm/transport/shm/sealed_memory.h"
#include "comm/util/process.h"

namespace ringside {
namespace {

// What stands in a WindowHandle. The bytes come from a rank that knows the job's secret, over the
// bootstrap.
struct ShmHandle {
  std::uint64_t process;  // the owner's process_nonce()
  std::uint64_t mapping;  // its number in that process, for threads that share it
  SocketName socket;
  std::uint32_t window;
  std::uint32_t cells;
  std::uint64_t data_bytes;
};
static_assert(sizeof(ShmHandle) <= sizeof(WindowHandle));
static_assert(std::is_trivially_copyable_v<ShmHandle>);

// Cells first, data from the next page on. Never empty: an empty file cannot be mapped.
constexpr std::size_t cells_bytes(std::size_t cells) {
  return (cells * sizeof(Cell) / kPageBytes + 1) * kPageBytes;
}

constexpr const char* kNeedLess =
    "fewer or smaller slots (RINGSIDE_SLOT_BYTES, RINGSIDE_SLOT_COUNT) need less";

// The mappings of this process's windows, by number, for ranks that are threads of it. It belongs
// to the process as its address space does; the windows in it come and go.
class LocalMappings {
 public:
  std::uint64_t add(const std::shared_ptr<Mapping>& mapping) {
    const std::lock_guard lock(mutex_);
    mappings_[++last_] = mapping;
    return last_;
  }
  void remove(std::uint64_t number) {
    const std::lock_guard lock(mutex_);
    mappings_.erase(number);
  }
  // Null when the window is gone.
  std::shared_ptr<Mapping> find(std::uint64_t number) {
    const std::lock_guard lock(mutex_);
    const auto found = mappings_.find(number);
    return found == mappings_.end() ? nullptr : found->second;
  }

 private:
  std::mutex mutex_;
  std::map<std::uint64_t, std::shared_ptr<Mapping>> mappings_;
  std::uint64_t last_ = 0;
};
constinit TableOfProcess<LocalMappings> local_mappings;

class ShmWindow : public Window {
 public:
  ShmWindow(std::size_t data_bytes, int cell_count, std::uint32_t id,
            std::shared_ptr<FdServer> server, Deadline deadline)
      : server_(std::move(server)), id_(id) {
    const std::size_t head_bytes = cells_bytes(static_cast<std::size_t>(cell_count));
    memory_ = make_sealed_memory(head_bytes + data_bytes, kNeedLess, deadline);
    mapping_ = memory_.mapping;
    cells_ = reinterpret_cast<Cell*>(mapping_->at());
    // Fresh memory is zeroed, which is what a Cell starts as; this begins the cells' life for the
    // language.
    for (int i = 0; i < cell_count; ++i) new (&cells_[i]) Cell;
    cell_count_ = cell_count;
    data_ = mapping_->at() + head_bytes;
    bytes_ = data_bytes;
    number_ = local_mappings.get().add(mapping_);
    ShmHandle handle{process_nonce(), number_, {}, id, static_cast<std::uint32_t>(cell_count),
                     data_bytes};
    if (server_) {
      handle.socket = server_->name();
      server_->offer(id, memory_.fd.get());
    }
    std::memcpy(handle_.bytes.data(), &handle, sizeof handle);
  }

  ~ShmWindow() override {
    if (server_) server_->withdraw(id_);
    local_mappings.get().remove(number_);
  }

 private:
  std::shared_ptr<FdServer> server_;
  std::uint32_t id_;
  std::uint64_t number_ = 0;
  SealedMemory memory_;
  std::shared_ptr<Mapping> mapping_;
};

// Where a peer's memory comes from: a thread of this process shares it, another process is asked.
struct Owner {
  int rank;
  bool is_here;
  SocketName socket;
  Secret secret;
};

// Memory that a peer has exposed before: mapping takes longer than reading, so mappings are kept.
class ForeignMappings {
 public:
  explicit ForeignMappings(const Owner& owner) : owner_(owner) {}

  // Null while the owner has not answered yet.
  const std::byte* find(const ZeroCopyRef& ref, std::size_t bytes) {
    if ((latest_ >= known_.size() || known_[latest_].number != ref.allocation) &&
        !look_up(ref.allocation))
      return nullptr;
    const Mapping& it = *known_[latest_].mapping;
    if (ref.offset_bytes > it.bytes() || bytes > it.bytes() - ref.offset_bytes)
      throw_error(Fault::protocol, "rank %d exposes bytes that lie outside of its allocation",
                  owner_.rank);
    return it.at() + ref.offset_bytes;
  }

 private:
  struct Known {
    std::uint64_t number;
    std::shared_ptr<Mapping> mapping;
  };

  bool look_up(std::uint64_t number) {
    const auto found = std::find_if(known_.begin(), known_.end(),
                                    [&](const Known& it) { return it.number == number; });
    latest_ = static_cast<std::size_t>(found - known_.begin());
    if (found != known_.end()) return true;
    std::shared_ptr<Mapping> mapping = owner_.is_here ? share(number) : ask_for(number);
    if (!mapping) return false;
    // Before another is added, the mappings of memory that the peer has given back go.
    std::erase_if(known_, [](const Known& it) { return was_given_back(*it.mapping); });
    known_.push_back({number, std::move(mapping)});
    latest_ = known_.size() - 1;
    return true;
  }

  std::shared_ptr<Mapping> share(std::uint64_t number) const {
    std::shared_ptr<Mapping> mapping = Allocations::of_this_process().mapping(number);
    if (!mapping)
      throw_error(Fault::left, "rank %d has given back memory that it exposes", owner_.rank);
    return mapping;
  }

  // One request at a time: zero-copy messages come in order, and the first is waited for.
  std::shared_ptr<Mapping> ask_for(std::uint64_t number) {
    if (!question_ || question_->number() != number)
      question_.emplace(owner_.socket, owner_.secret, Shared::allocation, number, owner_.rank);
    try {
      const UniqueFd fd = question_->poll();
      if (!fd) return nullptr;
      question_.reset();
      return map_sealed_memory(fd.get(), Access::read, owner_.rank, Deadline::never());
    } catch (const Error&) {
      question_.reset();
      throw;
    }
  }

  Owner owner_;
  std::vector<Known> known_;
  std::size_t latest_ = 0;  // of known_: the one that was used last
  std::optional<FdRequest> question_;
};

class ShmPeerWindow : public PeerWindow {
 public:
  ShmPeerWindow(std::shared_ptr<Mapping> mapping, std::size_t cells, const Owner& owner)
      : mapping_(std::move(mapping)),
        cells_(reinterpret_cast<Cell*>(mapping_->at())),
        data_(mapping_->at() + cells_bytes(cells)),
        foreign_(owner) {}

  void put(std::size_t offset_bytes, const void* source, std::size_t bytes) override {
    assert(data_ + offset_bytes + bytes <= mapping_->at() + mapping_->bytes());
    if (bytes > 0) std::memcpy(data_ + offset_bytes, source, bytes);
  }

  // The release orders this store after every earlier one of this thread: the puts and the payload.
  void signal(int cell, Signal value, const void* payload, std::size_t payload_bytes) override {
    assert(payload_bytes <= kInlineBytes);
    if (payload_bytes > 0) std::memcpy(cells_[cell].payload, payload, payload_bytes);
    cells_[cell].release(value);
  }

  std::byte* mapped() const override { return data_; }
  bool takes_zero_copy() const override { return true; }
  const std::byte* read_exposed(const ZeroCopyRef& ref, std::size_t bytes) override {
    return foreign_.find(ref, bytes);
  }

 private:
  std::shared_ptr<Mapping> mapping_;
  Cell* cells_;
  std::byte* data_;
  ForeignMappings foreign_;
};

}  // namespace

ShmTransport::ShmTransport(const Secret& secret, ShmOptions options)
    : secret_(secret), options_(options) {
  if (options_.serve) server_ = std::make_shared<FdServer>(secret);
}

std::unique_ptr<Window> ShmTransport::expose(std::size_t data_bytes, int cell_count,
                                             Deadline deadline) {
  return std::make_unique<ShmWindow>(data_bytes, cell_count, next_window_++, server_, deadline);
}

std::unique_ptr<PeerWindow> ShmTransport::open(int peer, const WindowHandle& bytes,
                                               Deadline deadline) {
  ShmHandle handle;
  std::memcpy(&handle, bytes.bytes.data(), sizeof handle);
  const bool is_here = handle.process == process_nonce() && options_.share_in_process;
  const Owner owner{peer, is_here, handle.socket, secret_};
  std::shared_ptr<Mapping> mapping;
  if (is_here) {
    mapping = local_mappings.get().find(handle.mapping);
    if (!mapping) throw_error(Fault::left, "rank %d's shared memory is gone", peer);
  } else {
    const UniqueFd fd =
        fetch_fd(handle.socket, secret_, Shared::window, handle.window, peer, deadline);
    mapping = map_sealed_memory(fd.get(), Access::read_and_write, peer, deadline);
    if (mapping->bytes() != cells_bytes(handle.cells) + handle.data_bytes)
      throw_error(Fault::protocol,
                  "rank %d handed out %zu bytes of memory, which is not what it promised", peer,
                  mapping->bytes());
  }
  return std::make_unique<ShmPeerWindow>(std::move(mapping), handle.cells, owner);
}

}  // namespace ringside
