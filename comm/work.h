// A call under way: what the _async calls return.
//
//     Work work = comm.all_reduce_async(grad.data(), grad.data(), grad.size(), DType::f32, ...);
//     ... compute something else, and leave grad alone ...
//     work.wait();
//
// The buffers belong to the call until wait() has returned or test() has said true. A Work may be
// dropped: the call goes on, and the buffers must still live until it has ended (a later barrier,
// or the communicator's end, says so). Copies of a Work speak of the same call.
#pragma once

#include <memory>

namespace ringside {

class WorkState;

class Work {
 public:
  Work() = default;  // a call that has ended already
  explicit Work(std::shared_ptr<WorkState> state) : state_(std::move(state)) {}

  // Returns when the call has ended. Throws the Error that it ended with, each time.
  void wait();

  // Whether the call has ended. Never waits. Throws the Error that it ended with.
  bool test();

 private:
  std::shared_ptr<WorkState> state_;
};

}  // namespace ringside
