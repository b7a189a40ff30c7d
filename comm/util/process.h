// What belongs to one process, and ends neither with main nor in a forked child.
//
// A program may keep a communicator at namespace scope, in a plugin or in an interpreter, and such
// an object dies after all that was made later. So what the library keeps for the whole process is
// never destroyed.
//
// fork() copies the memory, with every lock that some thread held, and no other thread; sockets and
// shared memory stay the parent's too. So whoever would speak or write in the parent's name, or
// wait for a thread, asks first whether this is the process that it was made in.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <new>
#include <string>

#include "comm/error.h"

namespace ringside {

// getpid() without its system call, which takes as long as a small all_reduce.
pid_t this_pid();

// What /proc says of a process: the kernel's letter for what it does, R S D T t Z …, '?' if it
// cannot be read; its parent; and when it began, which tells it from a later one with its number.
struct ProcessStat {
  char state = '?';
  pid_t parent = 0;
  unsigned long long started = 0;
};
ProcessStat stat_of(pid_t pid);

// Part of an object: the process that made it.
class Maker {
 public:
  bool is_this_process() const { return pid_ == this_pid(); }

  // Throws Error{usage} in a forked child. `what` was made: "the communicator".
  void check(const char* what) const {
    if (!is_this_process()) [[unlikely]]
      throw Error(Fault::usage, refusal(what));
  }
  std::string refusal(const char* what) const;

 private:
  pid_t pid_ = this_pid();
};

// The one Table of this process, at namespace scope. A forked child has one of its own, new, as the
// parent's may have been locked or half written just then.
template <class Table>
class TableOfProcess {
 public:
  Table& get() {
    Node* it = newest_.load(std::memory_order_acquire);
    return it != nullptr && it->maker.is_this_process() ? it->table : begin(it);
  }
  // Whether a process that this one was forked from had one.
  bool was_inherited() {
    get();
    return newest_.load(std::memory_order_acquire)->inherited != nullptr;
  }

 private:
  struct Node {
    Node* inherited;  // kept, untouched: it owns what the parent still uses
    Maker maker{};
    Table table{};
  };

  // The first one lies here: a library that is unloaded then leaks nothing.
  Table& begin(Node* inherited) {
    const bool is_here = inherited == nullptr && !taken_.exchange(true);
    Node* const made = is_here ? new (first_) Node{inherited} : new Node{inherited};
    if (newest_.compare_exchange_strong(inherited, made)) return made->table;
    if (!is_here) delete made;
    return inherited->table;
  }

  std::atomic<Node*> newest_{nullptr};
  std::atomic<bool> taken_{false};
  alignas(Node) std::byte first_[sizeof(Node)]{};
};

}  // namespace ringside
