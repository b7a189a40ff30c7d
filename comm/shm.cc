// Shared memory as a transport; the story is in shm.h.
#include "comm/shm.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cassert>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <utility>

#include "comm/error.h"
#include "comm/memory.h"
#include "comm/os.h"

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

constexpr std::size_t kPageBytes = 4096;

// Cells first, data from the next page on. Never empty: an empty file cannot be mapped.
constexpr std::size_t cells_bytes(std::size_t cells) {
  return (cells * sizeof(Cell) / kPageBytes + 1) * kPageBytes;
}

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

// MAP_POPULATE: page faults are taken here and not in the first collective.
std::shared_ptr<Mapping> map_whole(int fd, std::size_t bytes) {
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (at == MAP_FAILED) throw_system(text("cannot map %zu bytes of shared memory", bytes));
  return std::make_shared<Mapping>(at, bytes);
}

constexpr const char* kNeedLess =
    "fewer or smaller slots (RINGSIDE_SLOT_BYTES, RINGSIDE_SLOT_COUNT) need less";

UniqueFd make_sealed_memory(std::size_t bytes) {
  // A memory file grows until the kernel starts killing processes: asking for too much would not
  // fail, somebody would.
  if (bytes > available_bytes()) {
    errno = ENOMEM;
    throw_system(text("%zu bytes of shared memory are more than this machine has left; %s", bytes,
                      kNeedLess));
  }
  // Newer kernels want to hear that this memory is not for code (and may insist); older do not
  // know.
  constexpr unsigned kNotForCode = 0x8;  // MFD_NOEXEC_SEAL, in no header before Linux 6.3
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  UniqueFd fd(::memfd_create("ringside", kFlags | kNotForCode));
  if (!fd) fd = UniqueFd(::memfd_create("ringside", kFlags));
  if (!fd) throw_system("cannot make a memory file (memfd_create)");
  const int code = ::posix_fallocate(fd.get(), 0, static_cast<off_t>(bytes));
  if (code != 0) {
    errno = code;
    throw_system(text("cannot allocate %zu bytes of shared memory; %s", bytes, kNeedLess));
  }
  if (::fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) throw_system("cannot seal shared memory");
  return fd;
}

// A peer's descriptor is what it says it is: sealed, and as long as promised. Only then is it safe
// to touch.
void check_sealed_memory(int fd, std::size_t bytes, int owner) {
  struct stat status {};
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (::fstat(fd, &status) != 0 || seals < 0 || (seals & kSeals) != kSeals ||
      static_cast<std::size_t>(status.st_size) != bytes)
    throw Error(Fault::protocol,
                text("rank %d handed out a descriptor that is not the sealed %zu bytes it promised",
                     owner, bytes));
}

// The mappings of this process's windows, by number, for ranks that are threads of it. It belongs
// to the process as its address space does; the windows in it come and go.
class LocalMappings {
 public:
  static LocalMappings& of_this_process() {
    static LocalMappings mappings;
    return mappings;
  }
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

class ShmWindow : public Window {
 public:
  ShmWindow(std::size_t data_bytes, int cell_count, std::uint32_t id,
            std::shared_ptr<FdServer> server)
      : server_(std::move(server)), id_(id) {
    const std::size_t head_bytes = cells_bytes(static_cast<std::size_t>(cell_count));
    fd_ = make_sealed_memory(head_bytes + data_bytes);
    mapping_ = map_whole(fd_.get(), head_bytes + data_bytes);
    cells_ = reinterpret_cast<Cell*>(mapping_->at());
    // Fresh memory is zeroed, which is what a Cell starts as; this begins the cells' life for the
    // language.
    for (int i = 0; i < cell_count; ++i) new (&cells_[i]) Cell;
    cell_count_ = cell_count;
    data_ = mapping_->at() + head_bytes;
    bytes_ = data_bytes;
    number_ = LocalMappings::of_this_process().add(mapping_);
    ShmHandle handle{process_nonce(), number_, {}, id, static_cast<std::uint32_t>(cell_count),
                     data_bytes};
    if (server_) {
      handle.socket = server_->name();
      server_->offer(id, fd_.get());
    }
    std::memcpy(handle_.bytes.data(), &handle, sizeof handle);
  }

  ~ShmWindow() override {
    if (server_) server_->withdraw(id_);
    LocalMappings::of_this_process().remove(number_);
  }

 private:
  std::shared_ptr<FdServer> server_;
  std::uint32_t id_;
  std::uint64_t number_ = 0;
  UniqueFd fd_;
  std::shared_ptr<Mapping> mapping_;
};

class ShmPeerWindow : public PeerWindow {
 public:
  ShmPeerWindow(std::shared_ptr<Mapping> mapping, std::size_t cells)
      : mapping_(std::move(mapping)),
        cells_(reinterpret_cast<Cell*>(mapping_->at())),
        data_(mapping_->at() + cells_bytes(cells)) {}

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

  void flush() override {}  // put has copied the bytes when it returns

  std::byte* mapped() const override { return data_; }

 private:
  std::shared_ptr<Mapping> mapping_;
  Cell* cells_;
  std::byte* data_;
};

}  // namespace

std::uint64_t process_nonce() {
  static const std::uint64_t nonce = [] {
    std::uint64_t bits = 0;
    fill_random(&bits, sizeof bits);
    return bits;
  }();
  // A forked child inherits the number; its pid makes it another.
  return nonce ^ static_cast<std::uint64_t>(::getpid()) << 32;
}

ShmTransport::ShmTransport(const Secret& secret, ShmOptions options)
    : secret_(secret), options_(options) {
  if (options_.serve) server_ = std::make_shared<FdServer>(secret);
}

std::unique_ptr<Window> ShmTransport::expose(std::size_t data_bytes, int cell_count) {
  return std::make_unique<ShmWindow>(data_bytes, cell_count, next_window_++, server_);
}

std::unique_ptr<PeerWindow> ShmTransport::open(int peer, const WindowHandle& bytes,
                                               Deadline deadline) {
  ShmHandle handle;
  std::memcpy(&handle, bytes.bytes.data(), sizeof handle);
  if (handle.process == process_nonce() && options_.share_in_process) {
    std::shared_ptr<Mapping> mapping = LocalMappings::of_this_process().find(handle.mapping);
    if (!mapping) throw Error(Fault::left, text("rank %d's shared memory is gone", peer));
    return std::make_unique<ShmPeerWindow>(std::move(mapping), handle.cells);
  }
  const std::size_t total_bytes = cells_bytes(handle.cells) + handle.data_bytes;
  const UniqueFd fd = fetch_fd(handle.socket, secret_, handle.window, peer, deadline);
  check_sealed_memory(fd.get(), total_bytes, peer);
  return std::make_unique<ShmPeerWindow>(map_whole(fd.get(), total_bytes), handle.cells);
}

}  // namespace ringside
