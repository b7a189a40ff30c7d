// Owners of what the kernel hands out: one tiny move-only type a resource, destructors that do not
// throw.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <string>
#include <utility>

namespace ringside {

// Every descriptor that ringside makes becomes one of these at once. None is 0, 1 or 2: where those
// are closed the kernel hands them out first, and then what the program prints goes into shared
// memory, or a daemon's /dev/null on top of a socket of ours.
class UniqueFd {
 public:
  UniqueFd() = default;
  // On failure (−1, also where it could not be moved) errno says why.
  explicit UniqueFd(int fd) : fd_(fd) {
    if (fd < 0 || fd > STDERR_FILENO) return;
    fd_ = ::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    ::close(fd);
  }
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~UniqueFd() {
    if (fd_ >= 0) ::close(fd_);
  }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// A small file, of /proc above all; empty where it cannot be read.
inline std::string read_file(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string contents;
  char piece[1024];
  for (ssize_t bytes; file && (bytes = ::read(file.get(), piece, sizeof piece)) > 0;)
    contents.append(piece, static_cast<std::size_t>(bytes));
  return contents;
}

// A mapped stretch of memory, unmapped when the last owner lets go.
class Mapping {
 public:
  Mapping(void* at, std::size_t bytes) : at_(static_cast<std::byte*>(at)), bytes_(bytes) {}
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { ::munmap(at_, bytes_); }

  std::byte* at() const { return at_; }
  std::size_t bytes() const { return bytes_; }

 private:
  std::byte* at_;
  std::size_t bytes_;
};

}  // namespace ringside
