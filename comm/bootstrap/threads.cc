// Ranks as threads: a meeting point in memory; the interface is in threads.h.
#include "comm/bootstrap/threads.h"

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "comm/error.h"

namespace ringside {
namespace {

// A meeting that can be held again and again: everyone brings bytes, the last to come opens the
// door, and the next meeting starts only after everyone has left this one (hence the two counters).
class Meeting {
 public:
  explicit Meeting(int size) : size_(size) {}

  void hold(int rank, const void* mine, std::size_t bytes, void* all, Deadline deadline) {
    std::unique_lock lock(mutex_);
    wait(lock, deadline, [&] { return leaving_ == 0; });
    table_.resize(static_cast<std::size_t>(size_) * bytes);
    std::memcpy(table_.data() + static_cast<std::size_t>(rank) * bytes, mine, bytes);
    if (++arrived_ == size_) {
      leaving_ = size_;
      changed_.notify_all();
    } else {
      wait(lock, deadline, [&] { return leaving_ > 0; });
    }
    std::memcpy(all, table_.data(), table_.size());
    if (--leaving_ == 0) {
      arrived_ = 0;
      changed_.notify_all();
    }
  }

  // A rank has ended. One that ends early would be waited for in vain.
  void abandon() {
    const std::lock_guard lock(mutex_);
    abandoned_ = true;
    changed_.notify_all();
  }

 private:
  template <class Ready>
  void wait(std::unique_lock<std::mutex>& lock, Deadline deadline, Ready ready) {
    while (!ready()) {
      if (abandoned_)
        throw Error(Fault::left, "another rank's thread ended while the ranks were meeting");
      if (deadline.passed())
        throw Error(Fault::timeout, "another rank's thread did not come to meet");
      changed_.wait_for(lock, std::chrono::milliseconds(deadline.poll_ms(100) + 1));
    }
  }

  const int size_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::byte> table_;
  int arrived_ = 0;
  int leaving_ = 0;
  bool abandoned_ = false;
};

class ThreadBootstrap : public Bootstrap {
 public:
  ThreadBootstrap(Meeting& meeting, int rank, int size)
      : meeting_(meeting), rank_(rank), size_(size) {}
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  const char* name() const override { return "threads"; }
  void all_gather_bytes(const void* mine, std::size_t bytes, void* all,
                        Deadline deadline) override {
    meeting_.hold(rank_, mine, bytes, all, deadline);
  }

 private:
  Meeting& meeting_;
  int rank_;
  int size_;
};

// Consequences of another rank's failure come last when the cause is looked for.
bool is_consequence(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) {
    return error.fault() == Fault::left;
  } catch (...) {
    return false;
  }
}

}  // namespace

void run_as_threads(int size, const std::function<void(Bootstrap&)>& body) {
  if (size < 1) throw_error(Fault::usage, "%d ranks make no ring; at least 1 is needed", size);
  Meeting meeting(size);
  std::vector<std::exception_ptr> failures(static_cast<std::size_t>(size));
  std::vector<std::thread> threads;
  std::exception_ptr not_started;
  const auto start = [&](int rank) {
    threads.emplace_back([&, rank] {
      try {
        ThreadBootstrap bootstrap(meeting, rank, size);
        body(bootstrap);
      } catch (...) {
        failures[static_cast<std::size_t>(rank)] = std::current_exception();
      }
      meeting.abandon();
    });
  };
  try {
    for (int rank = 0; rank < size; ++rank) start(rank);
  } catch (const std::exception& error) {
    meeting.abandon();  // those that run must not wait for those that never will
    not_started = std::make_exception_ptr(
        Error(Fault::system, text("thread %zu of %d could not be started: %s%s", threads.size() + 1,
                                  size, error.what(), limit_words(EAGAIN).c_str())));
  }
  for (std::thread& thread : threads) thread.join();
  if (not_started) std::rethrow_exception(not_started);
  std::exception_ptr consequence;
  for (const std::exception_ptr& failure : failures) {
    if (!failure) continue;
    if (!is_consequence(failure)) std::rethrow_exception(failure);
    consequence = failure;
  }
  if (consequence) std::rethrow_exception(consequence);
}

}  // namespace ringside
