// Which ranks make a job when no secret says so, and where they meet: two jobs on one port, and
// torchrun's environment.
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "comm/bootstrap/origin.h"
#include "tests/bootstrap/tcp_job.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using namespace test;

// Somebody whom `change` has made another job's rank 1 calls the rank 0 of a job without a secret,
// before that job's own ranks do. They meet well, and he is told these words.
void check_sent_away(Context& t, const std::string& words,
                     const std::function<void(TcpOptions&)>& change) {
  TcpJob job{.size = 3};
  Ending end;
  std::thread other;
  job.on_listening = [&](int port) {
    TcpOptions options = job.options(1, port);
    options.secret.reset();
    change(options);
    other = std::thread(
        [&, options] { end = ending_of([&] { TcpBootstrap::start(options, soon()); }); });
  };
  job.change = [&](TcpOptions& options) {
    options.secret.reset();
    if (options.rank == 2) other.join();
  };
  job.body = [](TcpBootstrap& bootstrap) { bootstrap.barrier(soon()); };
  check_all_well(t, job.run({0, 2, 1}));
  check_fault(t, end, Fault::mismatch, {words});
}

Origin origin_but_for(const std::function<void(Origin&)>& change) {
  Origin it = my_origin();
  change(it);
  return it;
}

// A command's ranks as torchrun starts them: `port` is its own store's.
Words under_torchrun(int port, const Words& more = {}) {
  Words argv = with(launch_argv(3), {"env", "-u", "RINGSIDE_SECRET", text("MASTER_PORT=%d", port)});
  argv = with(argv, {"TORCHELASTIC_RUN_ID=none"});
  return with(with(argv, more), {program_path("tests/programs/any_rank")});
}

// A port that somebody listens on, while the next one is free.
UniqueFd store_of_torchrun(int& port) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    UniqueFd store = listen_on(resolve("127.0.0.1", 0));
    port = local_address(store.get()).port();
    if (port < 65535 && !ending_of([&] { listen_on(resolve("127.0.0.1", port + 1)); }).failed)
      return store;
  }
  throw Error(Fault::system, "no two ports in a row are free");
}

void check_all_meet(Context& t, const RunResult& result) {
  CHECK_MSG(result.ok(), "%s", result.err.c_str());
  for (int rank = 0; rank < 3; ++rank)
    CHECK(contains(result.out, text("rank %d of 3, bootstrap tcp: sum 6\n", rank)));
}

}  // namespace

RINGSIDE_TEST(bootstrap_jobs, a_rank_of_another_job_is_sent_away_alone) {
  check_sent_away(t, "rank 1 belongs to another job", [](TcpOptions& options) {
    options.origin = origin_but_for([](Origin& it) { ++it.launcher, ++it.process_group; });
  });
  check_sent_away(t, "rank 1 belongs to another job", [](TcpOptions& options) {
    options.origin = origin_but_for([](Origin& it) { ++it.launcher_started, ++it.process_group; });
  });
  check_sent_away(t, "rank 1 belongs to another job", [](TcpOptions& options) {
    options.origin = origin_but_for([](Origin& it) { ++it.user; });
  });
}

RINGSIDE_TEST(bootstrap_jobs, a_rank_that_does_not_fit_is_sent_away_alone) {
  check_sent_away(t, "rank 1 was started with WORLD_SIZE=5 and rank 0 with WORLD_SIZE=3",
                  [](TcpOptions& options) { options.size = 5; });
}

// A launcher is enough, and so is a process group: of a script that has ended, say.
RINGSIDE_TEST(bootstrap_jobs, one_of_the_two_marks_of_a_job_is_enough) {
  const Origin here = my_origin();
  CHECK(same_origin(here, my_origin()));
  CHECK(same_origin(here, origin_but_for([](Origin& it) { ++it.launcher; })));
  CHECK(same_origin(here, origin_but_for([](Origin& it) { ++it.process_group; })));
}

// Each rank has a shell of its own around it, and leads a process group.
RINGSIDE_TEST(bootstrap_jobs, a_wrapper_around_each_rank_is_no_launcher) {
  const std::string wrapped = program_path("tests/programs/any_rank") + "; exit $?";
  check_all_meet(t,
                 run(with(launch_argv(3), {"env", "-u", "RINGSIDE_SECRET", "sh", "-c", wrapped})));
}

RINGSIDE_TEST(bootstrap_jobs, two_launchers_on_one_port_are_two_jobs) {
  const auto start = [](int port, const char* variables) {
    return run(with(launch_argv(1),
                    {"sh", "-c",
                     text("unset RINGSIDE_SECRET; export MASTER_PORT=%d %s; "
                          "RINGSIDE_TIMEOUT=2 exec %s",
                          port, variables, program_path("tests/programs/any_rank").c_str())}));
  };
  const int port = free_port();
  RunResult first;
  std::thread waits([&] { first = start(port, "WORLD_SIZE=2 RANK=0"); });
  const RunResult second = start(port, "WORLD_SIZE=2 RANK=1");
  waits.join();
  CHECK_MSG(contains(second.err, "rank 1 belongs to another job than rank 0"), "%s",
            second.err.c_str());
  CHECK_MSG(contains(first.err, "for rank 1 (nobody has come; one was sent away: "), "%s",
            first.err.c_str());
}

RINGSIDE_TEST(bootstrap_jobs, under_torchrun_ranks_meet_beside_its_store) {
  int port = 0;
  const UniqueFd store = store_of_torchrun(port);
  check_all_meet(t, run(under_torchrun(port, {"TORCHELASTIC_USE_AGENT_STORE=True"})));
  check_all_meet(t, run(under_torchrun(port, {text("RINGSIDE_PORT=%d", port + 1)})));
}

// Where the port is taken nobody waits: rank 0's failure ends the job.
RINGSIDE_TEST(bootstrap_jobs, a_store_that_is_not_announced_is_a_port_in_use) {
  int port = 0;
  const UniqueFd store = store_of_torchrun(port);
  const RunResult result = run(under_torchrun(port), {.timeout_s = 30});
  CHECK_EQ(result.exit_code, 1);
  CHECK_MSG(contains(result.err, "the port is in use") && contains(result.err, "RINGSIDE_PORT"),
            "%s", result.err.c_str());
}

}  // namespace ringside
