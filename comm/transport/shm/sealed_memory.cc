// memfd, seals, huge pages; the reasons are in sealed_memory.h.
#include "comm/transport/shm/sealed_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

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

SealedMemory make_file_memory(std::size_t bytes, const char* advice, bool wants_huge_pages) {
  // A memory file grows until the kernel starts killing processes: asking for too much would not
  // fail, but kill some process later.
  if (bytes > available_bytes()) {
    errno = ENOMEM;
    throw_system(
        text("%zu bytes of shared memory are more than this machine has left; %s", bytes, advice));
  }
  // Asked first: beyond the limit ftruncate() ends the process.
  rlimit limit{};
  if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && bytes > limit.rlim_cur) {
    errno = EFBIG;
    throw_system(text("cannot make a memory file of %zu bytes", bytes));
  }
  UniqueFd fd = make_file(0);
  if (!fd) throw_system("cannot make a memory file (memfd_create)");
  if (::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0)
    throw_system(text("cannot make a memory file of %zu bytes; %s", bytes, advice));
  void* at = map(fd.get(), bytes, PROT_READ | PROT_WRITE, 0);
  if (at == MAP_FAILED) throw_system(text("cannot map %zu bytes of shared memory", bytes));
  auto mapping = std::make_shared<Mapping>(at, bytes);
  // A hint, given before the first page is made: transparent huge pages (shmem_enabled=advise).
  if (wants_huge_pages) ::madvise(at, bytes, MADV_HUGEPAGE);
  // Through the mapping, so that the hint counts, and the pages lie near this thread's cores (NUMA:
  // who touches first). Kernels before 5.14 do not know it, and allocate by the file instead.
  int code = ::madvise(at, bytes, MADV_POPULATE_WRITE) == 0 ? 0 : errno;
  if (code == EINVAL) {
    code = ::posix_fallocate(fd.get(), 0, static_cast<off_t>(bytes));
    if (code == 0) ::madvise(at, bytes, MADV_WILLNEED);
  }
  if (code != 0) {
    errno = code;
    throw_system(text("cannot allocate %zu bytes of shared memory; %s", bytes, advice));
  }
  if (::fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) throw_system("cannot seal shared memory");
  return {std::move(fd), std::move(mapping), false};
}

}  // namespace

SealedMemory make_sealed_memory(std::size_t bytes, const char* advice) {
  return make_file_memory(bytes, advice, false);
}

SealedMemory make_sealed_memory_on_huge_pages(std::size_t bytes, const char* advice) {
  if (bytes >= kHugePageBytes)
    if (SealedMemory memory = from_huge_page_pool(bytes); memory.fd) return memory;
  return make_file_memory(bytes, advice, bytes >= kHugePageBytes);
}

std::shared_ptr<Mapping> map_sealed_memory(int fd, Access access, int owner) {
  struct stat status {};
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (::fstat(fd, &status) != 0 || seals < 0 || (seals & kSeals) != kSeals || status.st_size <= 0)
    throw_error(Fault::protocol, "rank %d handed out a descriptor that is not sealed memory",
                owner);
  const auto bytes = static_cast<std::size_t>(status.st_size);
  const int protection = access == Access::read ? PROT_READ : PROT_READ | PROT_WRITE;
  void* at = map(fd, bytes, protection, MAP_POPULATE);
  if (at == MAP_FAILED) throw_system(text("cannot map %zu bytes of shared memory", bytes));
  return std::make_shared<Mapping>(at, bytes);
}

}  // namespace ringside
