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
#include "comm/transport/shm/window_file.h"
#include "kernels/loops.h"

namespace ringside {
namespace {

// What stands in a WindowHandle. The bytes come from a rank that knows the job's secret, over the
// bootstrap.
struct ShmHandle {
  std::uint64_t process;  // the owner's process_nonce()
  std::uint64_t file;     // its number in that process, for threads that share it
  SocketName socket;
  std::uint32_t file_id;  // its number at the socket
  std::uint32_t cells;
  std::uint64_t offset;  // in the file
  std::uint64_t data_bytes;
};
static_assert(sizeof(ShmHandle) <= sizeof(WindowHandle));
static_assert(std::is_trivially_copyable_v<ShmHandle>);

constexpr std::size_t whole_pages(std::size_t bytes) {
  return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
}

// The head of the piece, the cells, and data from the next page on.
constexpr std::size_t head_bytes(std::uint32_t cells) {
  return whole_pages(kPieceHeadBytes + cells * sizeof(Cell));
}

class ShmWindow : public Window {
 public:
  ShmWindow(std::shared_ptr<WindowFile> file, std::size_t offset, std::size_t data_bytes,
            int cell_count, const SocketName& socket)
      : file_(std::move(file)), offset_(offset) {
    const auto cells = static_cast<std::uint32_t>(cell_count);
    std::byte* at = file_->mapping().at() + offset;
    cells_ = reinterpret_cast<Cell*>(at + kPieceHeadBytes);
    // Fresh memory is zeroed, which is what a Cell starts as; this begins the cells' life for the
    // language.
    for (int i = 0; i < cell_count; ++i) new (&cells_[i]) Cell;
    cell_count_ = cell_count;
    data_ = at + head_bytes(cells);
    bytes_ = data_bytes;
    const ShmHandle handle{process_nonce(), file_->number(), socket,    file_->id(),
                           cells,           offset,          data_bytes};
    std::memcpy(handle_.bytes.data(), &handle, sizeof handle);
  }

  ~ShmWindow() override { file_->give_back(offset_); }

 private:
  std::shared_ptr<WindowFile> file_;
  std::size_t offset_;
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
  ShmPeerWindow(std::shared_ptr<Mapping> mapping, const ShmHandle& handle, const Owner& owner)
      : piece_(std::move(mapping), handle.offset, owner.rank),
        cells_(reinterpret_cast<Cell*>(piece_.at() + kPieceHeadBytes)),
        data_(piece_.at() + head_bytes(handle.cells)),
        bytes_(handle.data_bytes),
        foreign_(owner) {}

  void put(std::size_t offset_bytes, const void* source, std::size_t bytes) override {
    assert(offset_bytes + bytes <= bytes_);
    puts().carry_out(bytes, [&](bool streaming) {
      (streaming ? copy_bytes_streaming : copy_bytes)(data_ + offset_bytes, source, bytes);
    });
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
  OpenPiece piece_;
  Cell* cells_;
  std::byte* data_;
  [[maybe_unused]] std::size_t bytes_;
  ForeignMappings foreign_;
};

}  // namespace

// What a communicator and the groups split off from it have in common.
struct ShmTransport::Endpoint {
  Secret secret;
  ShmOptions options;
  // Shared with the files, which withdraw their offer when they go, in whatever order.
  std::shared_ptr<FdServer> server;
  std::mutex mutex;                              // guards what is below
  std::vector<std::weak_ptr<WindowFile>> files;  // each goes with the last window in it
  std::uint32_t next_id = 0;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::weak_ptr<Mapping>> opened;  // of others

  std::shared_ptr<Mapping> mapping_of(int peer, const ShmHandle& handle, Deadline deadline);
};

ShmTransport::ShmTransport(const Secret& secret, ShmOptions options)
    : endpoint_(std::make_shared<Endpoint>()) {
  endpoint_->secret = secret;
  endpoint_->options = options;
  if (options.serve) endpoint_->server = std::make_shared<FdServer>(secret);
}

std::unique_ptr<Transport> ShmTransport::for_group() {
  return std::unique_ptr<Transport>(new ShmTransport(endpoint_));
}

std::unique_ptr<Window> ShmTransport::expose(std::size_t data_bytes, int cell_count,
                                             Deadline deadline) {
  const std::size_t bytes =
      whole_pages(head_bytes(static_cast<std::uint32_t>(cell_count)) + data_bytes);
  const SocketName socket = endpoint_->server ? endpoint_->server->name() : SocketName{};
  const std::lock_guard lock(endpoint_->mutex);
  auto& files = endpoint_->files;
  std::erase_if(files, [](const auto& it) { return it.expired(); });
  for (const auto& it : files) {
    std::shared_ptr<WindowFile> file = it.lock();
    const std::optional<std::size_t> offset = file ? file->take(bytes) : std::nullopt;
    if (offset)
      return std::make_unique<ShmWindow>(std::move(file), *offset, data_bytes, cell_count, socket);
  }
  auto file =
      std::make_shared<WindowFile>(bytes, endpoint_->server, endpoint_->next_id++, deadline);
  files.push_back(file);
  const std::size_t offset = file->take(bytes).value();
  return std::make_unique<ShmWindow>(std::move(file), offset, data_bytes, cell_count, socket);
}

// A file that is mapped already serves all the windows in it.
std::shared_ptr<Mapping> ShmTransport::Endpoint::mapping_of(int peer, const ShmHandle& handle,
                                                            Deadline deadline) {
  if (handle.process == process_nonce() && options.share_in_process) {
    std::shared_ptr<Mapping> mapping = WindowFile::mapping_here(handle.file);
    if (!mapping) throw_error(Fault::left, "rank %d's shared memory is gone", peer);
    return mapping;
  }
  const std::lock_guard lock(mutex);
  std::erase_if(opened, [](const auto& it) { return it.second.expired(); });
  std::weak_ptr<Mapping>& known = opened[{handle.process, handle.file}];
  std::shared_ptr<Mapping> mapping = known.lock();
  if (!mapping) {
    const UniqueFd fd =
        fetch_fd(handle.socket, secret, Shared::window, handle.file_id, peer, deadline);
    known = mapping = map_sealed_memory(fd.get(), Access::read_and_write, peer, deadline,
                                        head_bytes(handle.cells) + handle.data_bytes);
  }
  return mapping;
}

std::unique_ptr<PeerWindow> ShmTransport::open(int peer, const WindowHandle& bytes,
                                               Deadline deadline) {
  ShmHandle handle;
  std::memcpy(&handle, bytes.bytes.data(), sizeof handle);
  std::shared_ptr<Mapping> mapping = endpoint_->mapping_of(peer, handle, deadline);
  const std::size_t head = head_bytes(handle.cells), all = mapping->bytes();
  if (handle.offset % kPageBytes != 0 || handle.offset > all || head > all - handle.offset ||
      handle.data_bytes > all - handle.offset - head)
    throw_error(Fault::protocol,
                "rank %d handed out %zu bytes of memory, which is not what it promised", peer, all);
  const bool is_here = handle.process == process_nonce() && endpoint_->options.share_in_process;
  const Owner owner{peer, is_here, handle.socket, endpoint_->secret};
  return std::make_unique<ShmPeerWindow>(std::move(mapping), handle, owner);
}

}  // namespace ringside
