// memfd, seals, huge pages; the reasons are in sealed_memory.h.
#include "comm/transport/shm/sealed_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "comm/error.h"
#include "comm/util/meminfo.h"

namespace ringside {
namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;
constexpr unsigned kTwoMiB = 21u << 26;  // MFD_HUGE_2MB, of <linux/memfd.h>

// Newer kernels want a flag that this memory is not for code (and may insist); older refuse it.
UniqueFd make_file(unsigned more_flags) {
  constexpr unsigned kNotForCode = 0x8;  // MFD_NOEXEC_SEAL, in no header before Linux 6.3
  const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING | more_flags;
  UniqueFd fd(::memfd_create("ringside", flags | kNotForCode));
  if (!fd) fd = UniqueFd(::memfd_create("ringside", flags));
  return fd;
}

void* map(int fd, std::size_t bytes, int protection, int flags) {
  return ::mmap(nullptr, bytes, protection, MAP_SHARED | flags, fd, 0);
}

// From the pool that an administrator has set aside (vm.nr_hugepages); nothing if that is empty.
SealedMemory from_huge_page_pool(std::size_t bytes) {
  const std::size_t whole = (bytes + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
  UniqueFd fd = make_file(MFD_HUGETLB | kTwoMiB);
  if (!fd || ::fallocate(fd.get(), 0, 0, static_cast<off_t>(whole)) != 0) return {};
  void* at = map(fd.get(), whole, PROT_READ | PROT_WRITE, MAP_POPULATE);
  if (at == MAP_FAILED) return {};
  auto mapping = std::make_shared<Mapping>(at, whole);
  if (::fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) return {};
  return {std::move(fd), std::move(mapping), true};
}

// In pieces, with a look at the clock before each: a machine that is short of memory may take long
// for every one. Returns 0 or what errno would say.
template <class Piece>
int in_pieces(std::size_t bytes, Deadline deadline, const Piece& piece) {
  constexpr std::size_t kPieceBytes = std::size_t{16} << 20;
  for (std::size_t at = 0; at < bytes; at += kPieceBytes) {
    if (deadline.passed()) return ETIMEDOUT;
    if (const int code = piece(at, std::min(kPieceBytes, bytes - at)); code != 0) return code;
  }
  return 0;
}

// Makes the first pages of a mapping now. Kernels before 5.14 do not know how, and sandboxes may
// forbid it (EINVAL; ENOSYS, EPERM).
int populate(const Mapping& mapping, std::size_t most, int how, Deadline deadline) {
  return in_pieces(std::min(most, mapping.bytes()), deadline,
                   [&](std::size_t at, std::size_t bytes) {
                     return ::madvise(mapping.at() + at, bytes, how) == 0 ? 0 : errno;
                   });
}
bool is_unknown(int code) { return code == EINVAL || code == ENOSYS || code == EPERM; }

[[noreturn]] void throw_late(std::size_t bytes) {
  throw_error(Fault::timeout,
              "%zu bytes of shared memory were not there by the deadline (RINGSIDE_TIMEOUT): this "
              "machine is short of memory, or very slow",
              bytes);
}

SealedMemory make_file_memory(std::size_t bytes, const char* advice, bool wants_huge_pages,
                              Deadline deadline, std::size_t room_bytes = 0) {
  // A memory file grows until the kernel starts killing processes: asking for too much would not
  // fail, but kill some process later.
  if (const MemoryRoom room = memory_room(); bytes > room.bytes)
    throw_error(Fault::system, "%zu bytes of shared memory are more than the %zu %s; %s", bytes,
                room.bytes, room.words.c_str(), advice);
  // Asked first: beyond the limit ftruncate() ends the process.
  rlimit limit{};
  if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && bytes > limit.rlim_cur) {
    errno = EFBIG;
    throw_system(text("cannot make a memory file of %zu bytes", bytes));
  }
  UniqueFd fd = make_file(0);
  if (!fd) throw_system("cannot make a memory file (memfd_create)");
  const std::size_t whole = bytes + room_bytes;
  if (::ftruncate(fd.get(), static_cast<off_t>(whole)) != 0)
    throw_system(text("cannot make a memory file of %zu bytes; %s", bytes, advice));
  void* at = map(fd.get(), whole, PROT_READ | PROT_WRITE, 0);
  if (at == MAP_FAILED) throw_system(text("cannot map %zu bytes of shared memory", whole));
  auto mapping = std::make_shared<Mapping>(at, whole);
  // A hint, given before the first page is made: transparent huge pages (shmem_enabled=advise).
  if (wants_huge_pages) ::madvise(at, bytes, MADV_HUGEPAGE);
  // Through the mapping, so that the hint counts, and the pages lie near this thread's cores (NUMA:
  // who touches first). Where that cannot be had they are made by the file instead.
  int code = populate(*mapping, bytes, MADV_POPULATE_WRITE, deadline);
  if (is_unknown(code)) {
    code = in_pieces(bytes, deadline, [&](std::size_t from, std::size_t count) {
      return ::posix_fallocate(fd.get(), static_cast<off_t>(from), static_cast<off_t>(count));
    });
    ::madvise(at, bytes, MADV_WILLNEED);
  }
  if (code == ETIMEDOUT) throw_late(bytes);
  if (code != 0) {
    errno = code;
    throw_system(text("cannot allocate %zu bytes of shared memory; %s", bytes, advice));
  }
  if (::fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) throw_system("cannot seal shared memory");
  return {std::move(fd), std::move(mapping), false};
}

}  // namespace

SealedMemory make_sealed_memory(std::size_t bytes, const char* advice, Deadline deadline,
                                std::size_t room_bytes) {
  return make_file_memory(bytes, advice, false, deadline, room_bytes);
}

SealedMemory make_sealed_memory_on_huge_pages(std::size_t bytes, const char* advice) {
  if (bytes >= kHugePageBytes)
    if (SealedMemory memory = from_huge_page_pool(bytes); memory.fd) return memory;
  return make_file_memory(bytes, advice, bytes >= kHugePageBytes, Deadline::never());
}

std::shared_ptr<Mapping> map_sealed_memory(int fd, Access access, int owner, Deadline deadline,
                                           std::size_t used_bytes) {
  struct stat status {};
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (::fstat(fd, &status) != 0 || seals < 0 || (seals & kSeals) != kSeals || status.st_size <= 0)
    throw_error(Fault::protocol, "rank %d handed out a descriptor that is not sealed memory",
                owner);
  const auto bytes = static_cast<std::size_t>(status.st_size);
  const bool writes = access == Access::read_and_write;
  void* at = map(fd, bytes, writes ? PROT_READ | PROT_WRITE : PROT_READ, 0);
  if (at == MAP_FAILED) throw_system(text("cannot map %zu bytes of shared memory", bytes));
  auto mapping = std::make_shared<Mapping>(at, bytes);
  // What cannot be had now comes with the first collective.
  const int how = writes ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
  if (populate(*mapping, used_bytes, how, deadline) == ETIMEDOUT) throw_late(bytes);
  return mapping;
}

}  // namespace ringside
