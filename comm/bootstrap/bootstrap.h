// Who is there. A bootstrap knows this process's rank and the number of ranks, and can pass a few
// bytes from each rank to all others. That is all it is used for: handles are exchanged at the
// start, data never. Nothing above this interface knows which bootstrap is in use.
#pragma once

#include <cstddef>
#include <string>
#include <type_traits>
#include <vector>

#include "comm/util/deadline.h"
#include "comm/util/process.h"

namespace ringside {

class Bootstrap {
 public:
  virtual ~Bootstrap() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual const char* name() const = 0;

  // The address of this host by which the ranks reach it ("10.0.0.7"); empty: not known. Only ranks
  // on several hosts ask.
  virtual std::string own_address() const { return {}; }

  // Every rank gives `bytes` bytes and gets size() × bytes, in rank order. Collective; also a
  // barrier. Throws Error{timeout} once the deadline has passed.
  virtual void all_gather_bytes(const void* mine, std::size_t bytes, void* all,
                                Deadline deadline) = 0;

  // After an error there may be nobody left to part from in order. Call this and leave the process
  // by its exit code; the destructor then waits for nobody.
  virtual void abandon() {}

  template <class T>
  std::vector<T> all_gather(const T& mine, Deadline deadline) {
    static_assert(std::is_trivially_copyable_v<T>);
    maker_.check("the bootstrap");
    std::vector<T> all(static_cast<std::size_t>(size()));
    all_gather_bytes(&mine, sizeof mine, all.data(), deadline);
    return all;
  }

  void barrier(Deadline deadline) { all_gather(char{0}, deadline); }

 protected:
  const Maker maker_{};  // a forked child must not part from the others in its parent's name
};

}  // namespace ringside
