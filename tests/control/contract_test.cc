// The control channel's contract, over both implementations, and over eight that break it on
// purpose; and how the ranks come to one of the two.
#include <memory>
#include <utility>

#include "comm/control/wire.h"
#include "comm/peers/routes.h"
#include "tests/collectives/collective_case.h"
#include "tests/control/worlds.h"
#include "tests/errors/endings.h"

using namespace ringside;
using namespace ringside::test;

namespace {

using Check = std::string (*)(const ControlUnderTest&);
constexpr Check kContract[] = {check_status_page_is_seen,
                               check_news_come_by_themselves,
                               check_many_calls,
                               check_leaving_is_no_death,
                               check_death,
                               check_silence_is_no_death,
                               check_alarm_brings_its_cause};

void check_contract(Context& t, const ControlUnderTest& it) {
  for (const Check check : kContract) {
    const std::string verdict = check(it);
    CHECK_MSG(verdict.empty(), "%s", verdict.c_str());
  }
}

// --- control planes that do one thing wrong ---

class ControlAround : public Control {
 public:
  explicit ControlAround(std::unique_ptr<Control> inner) : inner_(std::move(inner)) {}
  const StatusPage* status_page_of(int peer) override { return inner_->status_page_of(peer); }
  bool has_died(int peer) override { return inner_->has_died(peer); }
  Presence presence(int peer) override { return inner_->presence(peer); }
  void refresh() override { inner_->refresh(); }
  void raise_alarm() override { inner_->raise_alarm(); }

 protected:
  std::unique_ptr<Control> inner_;
};
struct DropsAnswers : ControlAround {
  using ControlAround::ControlAround;
  const StatusPage* status_page_of(int) override { return &nothing_; }
  StatusPage nothing_;
};
struct AnswersOnce : ControlAround {  // and never again
  using ControlAround::ControlAround;
  const StatusPage* status_page_of(int peer) override {
    inner_->refresh();
    if (!first_)
      update(*(first_ = std::make_unique<StatusPage>()),
             status_of(*inner_->status_page_of(peer), false), 0);
    return first_.get();
  }
  std::unique_ptr<StatusPage> first_;
};
struct TellsTheLastCall : ControlAround {
  using ControlAround::ControlAround;
  const StatusPage* status_page_of(int peer) override {
    told_ = std::make_unique<StatusPage>();
    if (const std::optional<Call> latest = inner_->status_page_of(peer)->latest())
      told_->note(*latest);
    return told_.get();
  }
  std::unique_ptr<StatusPage> told_;
};
struct OverlooksDeath : ControlAround {
  using ControlAround::ControlAround;
  bool has_died(int) override { return false; }
};
struct TakesFarewellForDeath : ControlAround {
  using ControlAround::ControlAround;
  bool has_died(int peer) override {
    return inner_->has_died(peer) || inner_->status_page_of(peer)->state() == RankState::left;
  }
};
struct TakesSilenceForDeath : ControlAround {
  using ControlAround::ControlAround;
  bool has_died(int peer) override {
    return inner_->has_died(peer) || inner_->presence(peer) != Presence::runs;
  }
};
struct OverlooksSilence : ControlAround {
  using ControlAround::ControlAround;
  Presence presence(int) override { return Presence::runs; }
};
struct DropsAlarms : ControlAround {
  using ControlAround::ControlAround;
  void raise_alarm() override {}
};

// This check has nothing to say of a control that passes everything on, and finds this fault.
template <class Faulty>
void check_noticed(Context& t, const char* fault, Check check) {
  for (ControlUnderTest it : {shared_control(), socket_control()}) {
    it.wrap = [](auto inner) { return std::make_unique<ControlAround>(std::move(inner)); };
    CHECK_EQ(check(it), "");
    it.patience_s = 0.3;
    it.wrap = [](auto inner) { return std::make_unique<Faulty>(std::move(inner)); };
    CHECK_MSG(!check(it).empty(), "%s: %s is not noticed", it.name, fault);
  }
}

}  // namespace

RINGSIDE_TEST(control, shared_keeps_the_contract) { check_contract(t, shared_control()); }
RINGSIDE_TEST(control, socket_keeps_the_contract) { check_contract(t, socket_control()); }

RINGSIDE_TEST(control, ranks_choose_alike) {
  const ControlChoice choices[] = {ControlChoice::socket, ControlChoice::shared};
  run_as_threads(2, [&](Bootstrap& bootstrap) {
    Options options = test_options();
    options.control = choices[bootstrap.rank()];
    const Ending ending = ending_of([&] { Communicator comm(bootstrap, options); });
    check_fault(t, ending, Fault::usage,
                {"rank 1 chose the control channel shared and rank 0 socket; set "
                 "RINGSIDE_CONTROL alike on all ranks"});
  });
  std::vector<PeerInfo> hosts(2);
  for (PeerInfo& it : hosts) it.process = static_cast<std::uint64_t>(&it - hosts.data());
  CHECK(agreed_control(all_routes(), hosts) == ControlChoice::shared);
  for (PeerInfo& it : hosts) it.control = static_cast<std::int32_t>(ControlChoice::socket);
  CHECK(agreed_control(all_routes(), hosts) == ControlChoice::socket);
}

// --- mutants ---

RINGSIDE_TEST(control_mutants, the_contract_notices_who_breaks_it) {
  check_noticed<DropsAnswers>(t, "an answer that is dropped", check_status_page_is_seen);
  check_noticed<AnswersOnce>(t, "an answer that stays", check_news_come_by_themselves);
  check_noticed<TellsTheLastCall>(t, "calls left out", check_many_calls);
  check_noticed<OverlooksDeath>(t, "a death overlooked", check_death);
  check_noticed<TakesFarewellForDeath>(t, "a farewell", check_leaving_is_no_death);
  check_noticed<TakesSilenceForDeath>(t, "a silence", check_silence_is_no_death);
  check_noticed<OverlooksSilence>(t, "a silence overlooked", check_silence_is_no_death);
  check_noticed<DropsAlarms>(t, "an alarm that is dropped", check_alarm_brings_its_cause);
}
