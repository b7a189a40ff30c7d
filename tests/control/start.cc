// A start that fails or stands still while the ranks connect: it ends once, for all ranks, by the
// words of the one that is the cause.
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "comm/communicator.h"
#include "comm/transport/shm/shm.h"
#include "tests/bootstrap/wrapper.h"
#include "tests/collectives/collective_case.h"
#include "tests/control/worlds.h"
#include "tests/errors/endings.h"
#include "tests/support/process.h"

using namespace ringside;
using namespace ringside::test;

namespace {

// A transport whose windows cannot be opened, for this reason.
class Closed : public ShmTransport {
 public:
  explicit Closed(const Error& why) : ShmTransport(Secret{}, {.serve = false}), why_(why) {}
  std::unique_ptr<PeerWindow> open(int, const WindowHandle&, Deadline) override {
    throw Error(why_);
  }

 private:
  const Error why_;
};

// Notes how long the last meeting of a communicator's may take.
class LastDeadline : public Bootstrap {
 public:
  explicit LastDeadline(Bootstrap& inner) : inner_(inner) {}
  int rank() const override { return inner_.rank(); }
  int size() const override { return inner_.size(); }
  const char* name() const override { return inner_.name(); }
  void all_gather_bytes(const void* mine, std::size_t bytes, void* all,
                        Deadline deadline) override {
    if (++meetings_ == kMeetingsOfACommunicator) left_ms = deadline.poll_ms(1 << 30);
    inner_.all_gather_bytes(mine, bytes, all, deadline);
    if (meetings_ == 1) nap_ms(600);
  }
  int left_ms = -1;

 private:
  Bootstrap& inner_;
  int meetings_ = 0;
};

}  // namespace

// Rank 2 of four has failed before it called anybody. Ranks 0 and 1, whom it would have called,
// notice it as well as rank 3, which calls it.
RINGSIDE_TEST(control_start, a_rank_that_will_never_call_is_noticed) {
  std::vector<UniqueFd> listeners;
  std::vector<TcpAddress> addresses;
  for (int rank = 0; rank < 4; ++rank) {
    listeners.push_back(listen_on(resolve("127.0.0.1", 0)));
    addresses.push_back(local_address(listeners.back().get()));
  }
  listeners[2] = UniqueFd();
  const Secret secret = draw_secret();
  std::vector<Ending> ends(4);
  run_as_threads(4, [&](Bootstrap& bootstrap) {
    const int rank = bootstrap.rank();
    if (rank == 2) return;
    ends[index(rank)] = ending_of([&] {
      connect_mesh(rank, std::move(listeners[index(rank)]), addresses, secret,
                   {Deadline::after_seconds(60)});
    });
  });
  for (const int rank : {0, 1, 3})
    check_fault(t, ends[index(rank)], Fault::left, {"its own start has failed"});
}

RINGSIDE_TEST(control_start, the_cause_is_shown_and_not_what_it_leads_to) {
  for (const Fault consequence : {Fault::left, Fault::died, Fault::timeout}) {
    std::vector<Ending> ends(3);
    run_as_threads(3, [&](Bootstrap& bootstrap) {
      const bool guilty = bootstrap.rank() == 2;
      Options options = test_options();
      options.decorate = [&](std::unique_ptr<Transport>) {
        return std::make_unique<Closed>(guilty ? Error(Fault::system, "no descriptors")
                                               : Error(consequence, "rank 2 hung up"));
      };
      ends[index(bootstrap.rank())] = ending_of([&] { Communicator(bootstrap, options); });
    });
    for (const Ending& end : ends)
      check_fault(t, end, Fault::system, {"rank 2 could not start: no descriptors"});
  }
}

// A rank that may have so few descriptors fails somewhere in between, and all say why.
RINGSIDE_TEST(control_start, a_rank_out_of_descriptors_is_everybodys_sentence) {
#ifdef RINGSIDE_UNDER_UBSAN
  SKIP("clang's UBSan needs descriptors itself");
#endif
  if (!have_program("bash")) SKIP("there is no bash here");
  for (const int taken : {10, 12, 15, 18}) {
    // As many as a start asks for (check_open_files), but not all of them free, whatever the test's
    // runner leaves open.
    std::string script =
        "[ $RANK != 3 ] || { for fd in $(ls /proc/$$/fd); do [ $fd -lt 3 ] || eval \"exec "
        "$fd>&-\"; done; ulimit -n 23; exec";
    for (int fd = 3; fd < 3 + taken; ++fd) script += text(" %d</dev/null", fd);
    script += "; }; exec " + program_path("tests/programs/any_rank");
    const RunResult result =
        run(with(launch_argv(5), {"bash", "-c", script}),
            {.environment = {"RINGSIDE_CONTROL=socket", "RINGSIDE_TIMEOUT=30"}});
    const std::size_t said = lines_with(result.err, "rank 3 could not start: ");
    CHECK_MSG(said == 5 && lines_with(result.err, "ulimit -n") == 5, "%d: %s", taken,
              result.err.c_str());
  }
}

// However late the others are when a deadline has passed, it is not begun anew.
RINGSIDE_TEST(control_start, one_deadline_counts_for_all_of_it) {
  run_as_threads(2, [&](Bootstrap& bootstrap) {
    LastDeadline meetings(bootstrap);
    Options options = test_options();
    options.timeout_s = 30;
    const Communicator comm(meetings, options);
    CHECK_MSG(meetings.left_ms > 0 && meetings.left_ms < 30'000 + 5'000 - 500, "%d ms",
              meetings.left_ms);
  });
}
