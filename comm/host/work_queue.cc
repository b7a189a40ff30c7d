// A queue with a thread behind it.
#include "comm/host/work_queue.h"

#include <utility>

#include "comm/util/start_thread.h"

namespace ringside {

void Work::wait() {
  if (state_) state_->wait();
}

bool Work::test() { return !state_ || state_->test(); }

void WorkState::finish(const std::optional<Error>& error) {
  const std::lock_guard lock(mutex_);
  if (error) error_.emplace(error->fault(), error->what());
  finished_ = true;
  changed_.notify_all();
}

// No deadline of its own: the call that is waited for has one, and ends by it.
void WorkState::wait() {
  maker_.check("the call");
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return finished_; });
  if (error_) fail();
}

bool WorkState::test() {
  maker_.check("the call");
  const std::lock_guard lock(mutex_);
  if (finished_ && error_) fail();
  return finished_;
}

// A new Error for each thrower. To rethrow one would share it between threads, which only the
// standard library's own counting makes safe, and that the thread sanitizer cannot see.
void WorkState::fail() const { throw Error(error_->fault(), error_->what()); }

WorkQueue::WorkQueue() : thread_(start_thread([this] { serve(); })) {}

WorkQueue::~WorkQueue() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Work WorkQueue::submit(std::function<void()> task) {
  auto state = std::make_shared<WorkState>();
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back({std::move(task), state});
    pending_.fetch_add(1, std::memory_order_relaxed);
  }
  changed_.notify_all();
  return Work(std::move(state));
}

void WorkQueue::serve() {
  for (;;) {
    Task task;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stop_ || !queue_.empty(); });
      if (queue_.empty()) return;
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    std::optional<Error> error;
    try {
      task.run();
    } catch (const Error& it) {
      error = it;
    } catch (const std::exception& it) {
      error.emplace(Fault::system, it.what());
    } catch (...) {
      error.emplace(Fault::aborted, "a hook threw what is no std::exception");
    }
    // First idle, then finished: who waits for the last task finds the queue idle afterwards.
    pending_.fetch_sub(1, std::memory_order_release);
    task.state->finish(error);
  }
}

}  // namespace ringside
