// The promises of comm/control/control.h, tried one by one, as rank 0 sees them.
#include "tests/control/contract.h"

#include <chrono>
#include <thread>

#include "comm/error.h"
#include "comm/util/deadline.h"

namespace ringside::test {
namespace {

constexpr int kVictim = ControlWorld::kVictim;

// Call `number`: no two are alike.
Call call_of(std::uint64_t number) {
  Call call{};
  call.number = number;
  call.collective = static_cast<std::uint32_t>(number);
  call.what = {Kind::broadcast, DType::i64, Reduction::sum, 1, 1000 + number};
  call.fingerprint = fingerprint(call.what);
  call.entered_ms = coarse_now_ms();
  return call;
}

bool same(const std::optional<Call>& a, const Call& b) {
  return a && a->number == b.number && a->collective == b.collective &&
         a->fingerprint == b.fingerprint && fingerprint(a->what) == fingerprint(b.what) &&
         a->what.root == b.what.root && std::abs(a->entered_ms - b.entered_ms) < 5000;
}

// Asks again and again, as a rank does that waits; true once it is so.
template <class Condition>
bool comes(const ControlUnderTest& it, const Condition& condition) {
  const Deadline deadline = Deadline::after_seconds(it.patience_s);
  while (!condition()) {
    if (deadline.passed()) return condition();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

std::string verdict(const ControlUnderTest& it, bool holds, const char* otherwise) {
  return holds ? "" : text("%s: %s", it.name, otherwise);
}

}  // namespace

std::string check_status_page_is_seen(const ControlUnderTest& it) {
  const auto world = it.make(it.wrap);
  Control& control = world->control(0);
  StatusPage& status_page = world->status_page(1);
  control.refresh();
  if (control.status_page_of(1)->latest())
    return verdict(it, false, "there is a call before the first");
  for (std::uint64_t number = 1; number <= 3; ++number) status_page.note(call_of(number));
  status_page.note_finished(2);
  status_page.note_wait({2, coarse_now_ms(), "waiting for a word with ü", 77});
  control.refresh();
  const StatusPage& seen = *control.status_page_of(1);
  for (std::uint64_t number = 1; number <= 3; ++number)
    if (!same(seen.find(call_of(number).fingerprint), call_of(number)) ||
        !same(seen.find_collective(static_cast<std::uint32_t>(number)), call_of(number)))
      return verdict(it, false, "a call is not found, or another one");
  if (!same(seen.latest(), call_of(3)) || !seen.inside(3) || seen.inside(2))
    return verdict(it, false, "the latest call is wrong, or where the rank is in it");
  const std::optional<WaitNote> wait = seen.wait();
  if (!wait || wait->peer != 2 || wait->position != 77 ||
      wait->words != "waiting for a word with ü" || seen.state() != RankState::running)
    return verdict(it, false, "the wait is wrong");
  status_page.note_wait_over();
  status_page.note_finished(3);
  control.refresh();
  return verdict(it, !control.status_page_of(1)->wait() && !control.status_page_of(1)->inside(3),
                 "the end of a wait is not seen");
}

std::string check_news_come_by_themselves(const ControlUnderTest& it) {
  const auto world = it.make(it.wrap);
  for (std::uint64_t number = 1; number <= 3; ++number) {
    world->status_page(1).note(call_of(number));
    if (!comes(it, [&] {
          return same(world->control(0).status_page_of(1)->latest(), call_of(number));
        }))
      return verdict(it, false, "a new call is not seen by somebody who keeps looking");
  }
  return "";
}

// More between two looks than travels at a time.
std::string check_many_calls(const ControlUnderTest& it) {
  const auto world = it.make(it.wrap);
  for (std::uint64_t number = 1; number <= 1000; ++number) {
    world->status_page(1).note(call_of(number));
    if (number % 90 == 0 || number == 1000) world->control(0).refresh();
  }
  const StatusPage& seen = *world->control(0).status_page_of(1);
  for (std::uint64_t number = 1000 - 15; number <= 1000; ++number)
    if (!same(seen.find(call_of(number).fingerprint), call_of(number)))
      return verdict(it, false, "one of the last 16 calls is missing");
  return verdict(it, same(seen.latest(), call_of(1000)), "the latest call is another one");
}

std::string check_leaving_is_no_death(const ControlUnderTest& it) {
  const auto world = it.make(it.wrap);
  Control& control = world->control(0);
  control.refresh();
  if (control.status_page_of(1)->state() != RankState::running)
    return verdict(it, false, "a rank that is there does not run");
  world->status_page(1).note(call_of(1));
  world->status_page(1).note_finished(1);
  world->part_with_rank_1();
  if (!comes(it, [&] { return control.status_page_of(1)->state() == RankState::left; }))
    return verdict(it, false, "that a rank has left is not seen");
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  control.refresh();
  if (!same(control.status_page_of(1)->latest(), call_of(1)) ||
      control.status_page_of(1)->inside(1))
    return verdict(it, false, "what a rank did before it left is not seen");
  return verdict(it, !control.has_died(1), "a rank that has left is taken for dead");
}

std::string check_death(const ControlUnderTest& it) {
  const auto world = it.make(it.wrap);
  for (const int rank : {0, 1})
    if (world->control(rank).has_died(kVictim)) return verdict(it, false, "dead before its death");
  world->kill_victim();
  for (const int rank : {0, 1})
    if (!comes(it, [&] { return world->control(rank).has_died(kVictim); }))
      return verdict(it, false, "a death is not noticed");
  return verdict(it, !world->control(0).has_died(1) && !world->control(1).has_died(0),
                 "somebody else's death is noticed");
}

std::string check_silence_is_no_death(const ControlUnderTest& it) {
  const auto world = it.make(it.wrap);
  Control& control = world->control(0);
  world->silence_victim();
  if (!comes(it, [&] {
        control.refresh();
        return control.presence(kVictim) != Presence::runs;
      }))
    return verdict(it, false, "that a rank is stopped is not noticed");
  if (control.has_died(kVictim)) return verdict(it, false, "a rank that is stopped is called dead");
  return verdict(it, control.presence(1) == Presence::runs, "who runs is called stopped");
}

std::string check_alarm_brings_its_cause(const ControlUnderTest& it) {
  const auto world = it.make(it.wrap);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  if (world->alarm(0) != 0 || world->alarm(1) != 0)
    return verdict(it, false, "an alarm that nobody has raised");
  const std::string sentence = "rank 0: " + std::string(800, 'x') + " the end";
  world->status_page(0).set_broken(Error(Fault::mismatch, sentence));
  world->control(0).raise_alarm();
  if (!comes(it, [&] { return world->alarm(1) == 1; }))
    return verdict(it, false, "an alarm does not arrive");
  const StatusPage& seen = *world->control(1).status_page_of(0);
  if (seen.state() != RankState::broken) return verdict(it, false, "an alarm without a cause");
  const Error cause = seen.cause();
  return verdict(it, cause.fault() == Fault::mismatch && cause.what() == sentence,
                 "the cause of an alarm has changed on its way");
}

}  // namespace ringside::test
