// The work queue: a thread that carries out a communicator's asynchronous calls, in the order in
// which they were made.
//
// One thread and one queue for each communicator: its calls use the same channels, so they must run
// one after another, and on all ranks in the same order. The thread starts with the first
// asynchronous call; a program that never makes one never has it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "comm/error.h"
#include "comm/util/process.h"
#include "comm/work.h"

namespace ringside {

// What a Work and the queue share.
class WorkState {
 public:
  void finish(const std::optional<Error>& error);
  void wait();
  bool test();

 private:
  [[noreturn]] void fail() const;

  const Maker maker_{};  // a thread of this process will finish it
  std::mutex mutex_;
  std::condition_variable changed_;
  bool finished_ = false;
  std::optional<Error> error_;
};

class WorkQueue {
 public:
  WorkQueue();
  // Carries out what is still queued, then ends the thread.
  ~WorkQueue();
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;

  Work submit(std::function<void()> task);

  // No task is queued or running, and everything that tasks have written is visible. Only the
  // thread that submits may rely on it.
  bool idle() const { return pending_.load(std::memory_order_acquire) == 0; }

 private:
  struct Task {
    std::function<void()> run;
    std::shared_ptr<WorkState> state;
  };

  void serve();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> queue_;
  bool stop_ = false;
  std::atomic<int> pending_{0};
  std::thread thread_;
};

}  // namespace ringside
