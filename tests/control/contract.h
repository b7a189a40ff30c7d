// The contract of comm/control/control.h as functions: each tries one promise in a small world of
// three ranks in this process, and returns a verdict, which is empty when the promise holds and
// says what happened otherwise. They return and do not assert, because they are also run with
// control planes that break the contract on purpose, where a verdict is what is expected.
//
//     rank 0, rank 1    a status page, an alarm cell and a control each
//     rank 2            the victim: it may fall silent, die, or leave
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>

#include "comm/control/control.h"
#include "comm/control/status.h"

namespace ringside::test {

class ControlWorld {
 public:
  static constexpr int kRanks = 3, kVictim = 2;
  virtual ~ControlWorld() = default;

  Control& control(int rank) { return *controls_[static_cast<std::size_t>(rank)]; }
  virtual StatusPage& status_page(int rank) = 0;
  virtual int alarm(int rank) = 0;  // 0: none; otherwise the rank that raised it, and 1

  virtual void silence_victim() = 0;  // as by SIGSTOP
  virtual void kill_victim() = 0;     // as by kill -9
  virtual void part_with_rank_1() = 0;

 protected:
  std::array<std::unique_ptr<Control>, kRanks> controls_;  // none of the victim
};

struct ControlUnderTest {
  const char* name;
  // Puts something around the control of rank 0; may be empty.
  using Wrap = std::function<std::unique_ptr<Control>(std::unique_ptr<Control>)>;
  std::function<std::unique_ptr<ControlWorld>(const Wrap& wrap)> make;
  Wrap wrap = {};
  // What has to happen happens within this time, or does not happen.
  double patience_s = 10;
};
ControlUnderTest shared_control();
ControlUnderTest socket_control();

std::string check_status_page_is_seen(const ControlUnderTest& it);
std::string check_news_come_by_themselves(const ControlUnderTest& it);
std::string check_many_calls(const ControlUnderTest& it);
std::string check_leaving_is_no_death(const ControlUnderTest& it);
std::string check_death(const ControlUnderTest& it);
std::string check_silence_is_no_death(const ControlUnderTest& it);
std::string check_alarm_brings_its_cause(const ControlUnderTest& it);

}  // namespace ringside::test
