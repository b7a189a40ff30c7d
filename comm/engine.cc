// A queue with a thread behind it.
#include "comm/engine.h"

#include <utility>

namespace ringside {

void Work::wait() {
  if (state_) state_->wait();
}

bool Work::test() { return !state_ || state_->test(); }

void WorkState::finish(std::exception_ptr error) {
  const std::lock_guard lock(mutex_);
  error_ = std::move(error);
  finished_ = true;
  changed_.notify_all();
}

// No deadline of its own: the call that is waited for has one, and ends by it.
void WorkState::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return finished_; });
  if (error_) std::rethrow_exception(error_);
}

bool WorkState::test() {
  const std::lock_guard lock(mutex_);
  if (finished_ && error_) std::rethrow_exception(error_);
  return finished_;
}

Engine::Engine() : thread_([this] { serve(); }) {}

Engine::~Engine() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Work Engine::submit(std::function<void()> task) {
  auto state = std::make_shared<WorkState>();
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back({std::move(task), state});
    pending_.fetch_add(1, std::memory_order_relaxed);
  }
  changed_.notify_all();
  return Work(std::move(state));
}

void Engine::serve() {
  for (;;) {
    Task task;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stop_ || !queue_.empty(); });
      if (queue_.empty()) return;
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    std::exception_ptr error;
    try {
      task.run();
    } catch (...) {
      error = std::current_exception();
    }
    // First idle, then finished: who waits for the last task finds the engine idle afterwards.
    pending_.fetch_sub(1, std::memory_order_release);
    task.state->finish(error);
  }
}

}  // namespace ringside
