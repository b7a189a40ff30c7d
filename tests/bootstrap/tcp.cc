// The tcp bootstrap among honest ranks: that they meet, that everybody gets everybody's bytes, and
// that whatever goes wrong with one of them is reported to all of them, at once and by name. How it
// deals with those who are not honest is in tests/bootstrap/tcp_strangers.cc.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "comm/bootstrap/rendezvous.h"
#include "comm/bootstrap/tcp.h"
#include "tests/bootstrap/tcp_job.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using namespace std::chrono_literals;
using namespace test;

// A byte that only this rank has in this exchange at this place.
std::byte byte_of(int rank, int round, std::size_t place) {
  return static_cast<std::byte>(rank * 31 + round * 7 + static_cast<int>(place % 251));
}

void exchange(test::Context& t, Bootstrap& bootstrap, int round, std::size_t bytes) {
  std::vector<std::byte> mine(bytes), all(bytes * static_cast<std::size_t>(bootstrap.size()));
  for (std::size_t i = 0; i < bytes; ++i) mine[i] = byte_of(bootstrap.rank(), round, i);
  bootstrap.all_gather_bytes(mine.data(), bytes, all.data(), soon());
  std::size_t wrong = 0;
  for (int rank = 0; rank < bootstrap.size(); ++rank)
    for (std::size_t i = 0; i < bytes; ++i)
      wrong += all[static_cast<std::size_t>(rank) * bytes + i] != byte_of(rank, round, i);
  CHECK_MSG(wrong == 0, "rank %d of %d, exchange %d of %zu bytes: %zu are wrong", bootstrap.rank(),
            bootstrap.size(), round, bytes, wrong);
}

double seconds_of(const std::function<void()>& action) {
  const auto start = Clock::now();
  action();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

RINGSIDE_TEST(bootstrap_tcp, everybody_gets_everybodys_bytes) {
  for (int size = 1; size <= 8; ++size) {
    TcpJob job{.size = size};
    job.body = [&](TcpBootstrap& bootstrap) {
      CHECK_EQ(bootstrap.size(), size);
      int round = 0;
      for (const std::size_t bytes : {1, 0, 24, 1000, 1, 70'000})
        exchange(t, bootstrap, round++, bytes);
      bootstrap.barrier(soon());
    };
    check_all_well(t, job.run());
  }
}

RINGSIDE_TEST(bootstrap_tcp, a_mebibyte_from_each_again_and_again) {
  TcpJob job{.size = 5};
  job.body = [&](TcpBootstrap& bootstrap) {
    for (int round = 0; round < 3; ++round) exchange(t, bootstrap, round, std::size_t{1} << 20);
  };
  check_all_well(t, job.run());
}

RINGSIDE_TEST(bootstrap_tcp, many_small_exchanges_in_a_row) {
  TcpJob job{.size = 3};
  job.body = [&](TcpBootstrap& bootstrap) {
    for (int round = 0; round < 300; ++round) exchange(t, bootstrap, round, 8);
  };
  // 40 ms an exchange would mean that each waits for a delayed acknowledgement: the star sends a
  // message whole and then waits for the answer, so that this cannot happen.
  const double seconds = seconds_of([&] { check_all_well(t, job.run()); });
  CHECK_MSG(seconds < 6 * test::kSlack, "300 exchanges took %.1f s", seconds);
}

RINGSIDE_TEST(bootstrap_tcp, rank_0_may_come_last) {
  TcpJob job{.size = 4, .port = test::free_port()};
  job.change = [](TcpOptions& options) {
    if (options.rank == 0) std::this_thread::sleep_for(300ms);
  };
  job.body = [&](TcpBootstrap& bootstrap) { exchange(t, bootstrap, 0, 100); };
  check_all_well(t, job.run());
}

RINGSIDE_TEST(bootstrap_tcp, addresses_of_both_kinds) {
  CHECK_EQ(resolve("[::1]", 77).at(0).words(), "[::1]:77");
  for (const char* address : {"::1", "[::1]", "localhost"}) {
    TcpJob job{.size = 3};
    job.change = [&](TcpOptions& options) { options.address = address; };
    job.body = [&](TcpBootstrap& bootstrap) { exchange(t, bootstrap, 0, 100); };
    if (const Ending end = ending_of([&] { listen_on(resolve(address, 0)); }); end.failed) {
      std::printf("%s is left out: %s\n", address, end.sentence.c_str());
      continue;
    }
    check_all_well(t, job.run());
  }
}

RINGSIDE_TEST(bootstrap_tcp, who_is_missing_is_named_by_all) {
  TcpJob job{.size = 5, .timeout_s = 0.5};
  const std::vector<Ending> ends = job.run({0, 1, 4});
  check_fault(t, ends[0], Fault::timeout, {"for ranks 2, 3"});
  for (const Ending& end : ends) CHECK(end.failed);
}

RINGSIDE_TEST(bootstrap_tcp, nobody_listens_until_the_deadline) {
  TcpJob job{.size = 2};
  TcpOptions options = job.options(1, test::free_port());
  const double seconds = seconds_of([&] {
    check_fault(t, ending_of([&] { TcpBootstrap::start(options, Deadline::after_seconds(0.3)); }),
                Fault::timeout, {"rank 1 tried to reach rank 0 (127.0.0.1:"});
  });
  CHECK_MSG(seconds < 2 * test::kSlack, "it took %.1f s", seconds);
}

RINGSIDE_TEST(bootstrap_tcp, a_straggler_is_named) {
  TcpJob job{.size = 3};
  job.body = [&](TcpBootstrap& bootstrap) {
    bootstrap.barrier(soon());
    if (bootstrap.rank() == 2) std::this_thread::sleep_for(700ms);
    bootstrap.barrier(Deadline::after_seconds(0.3));
  };
  const std::vector<Ending> ends = job.run();
  check_fault(t, ends[0], Fault::timeout, {"rank 0, in start-up exchange #2, waited for rank 2"});
  CHECK(ends[1].failed && ends[1].fault == Fault::timeout);
  CHECK(ends[2].failed);
}

// Who else could name it? The others hear nothing of it, and say that.
RINGSIDE_TEST(bootstrap_tcp, rank_0_as_straggler_is_named) {
  TcpJob job{.size = 3};
  job.body = [&](TcpBootstrap& bootstrap) {
    if (bootstrap.rank() == 0) std::this_thread::sleep_for(1500ms);
    bootstrap.barrier(Deadline::after_seconds(0.3));
  };
  const std::vector<Ending> ends = job.run();
  for (const int rank : {1, 2})
    check_fault(t, ends[index(rank)], Fault::timeout,
                {"waited for rank 0 and has heard nothing of it (it is stopped, late"});
}

RINGSIDE_TEST(bootstrap_tcp, a_rank_that_leaves_is_named_at_once) {
  for (const int leaver : {1, 0}) {
    TcpJob job{.size = 3};
    job.body = [&](TcpBootstrap& bootstrap) {
      exchange(t, bootstrap, 0, 10);
      if (bootstrap.rank() == leaver) return;
      exchange(t, bootstrap, 1, 10);
    };
    std::vector<Ending> ends;
    const double seconds = seconds_of([&] { ends = job.run(); });
    CHECK_MSG(seconds < 5 * test::kSlack, "it took %.1f s", seconds);
    for (int rank = 0; rank < 3; ++rank)
      if (rank != leaver)
        check_fault(t, ends[static_cast<std::size_t>(rank)], Fault::left,
                    {text("rank %d has left", leaver)});
    CHECK(!ends[static_cast<std::size_t>(leaver)].failed);
  }
}

// Large, so that the contributions are still on their way when rank 0 sees the lengths.
RINGSIDE_TEST(bootstrap_tcp, different_lengths_are_reported_to_all) {
  TcpJob job{.size = 3};
  job.body = [&](TcpBootstrap& bootstrap) {
    exchange(t, bootstrap, 0, bootstrap.rank() == 2 ? 2 << 20 : 1 << 20);
  };
  for (const Ending& end : job.run())
    check_fault(t, end, Fault::mismatch, {"rank 2 brings 2097152 bytes and rank 0 brings 1048576"});
}

RINGSIDE_TEST(bootstrap_tcp, what_is_broken_stays_broken) {
  TcpJob job{.size = 2};
  job.body = [&](TcpBootstrap& bootstrap) {
    if (bootstrap.rank() == 1) return;
    const Ending first = ending_of([&] { bootstrap.barrier(soon()); });
    const Ending second = ending_of([&] { bootstrap.barrier(soon()); });
    check_fault(t, first, Fault::left, {"rank 1 has left"});
    CHECK_EQ(first.sentence, second.sentence);
  };
  check_all_well(t, job.run());
}

RINGSIDE_TEST(bootstrap_tcp, a_rank_asked_to_stop_stops_and_says_so_to_all) {
  std::atomic<int> signal{0};
  TcpJob job{.size = 3};
  job.change = [&](TcpOptions& options) {
    if (options.rank == 0) options.interrupted = &signal;
  };
  std::thread user([&] {
    std::this_thread::sleep_for(200ms);
    signal = 15;
  });
  const std::vector<Ending> ends = job.run({0, 1});
  user.join();
  for (const Ending& end : ends)
    check_fault(t, end, Fault::interrupted, {"for rank 2", ", and was stopped by signal 15"});
}

RINGSIDE_TEST(bootstrap_tcp, a_port_in_use_says_what_to_try) {
  const UniqueFd other = listen_on(resolve("127.0.0.1", 0));
  TcpJob job{.size = 2};
  const TcpOptions options = job.options(0, local_address(other.get()).port());
  check_fault(t, ending_of([&] { TcpBootstrap::start(options, soon()); }), Fault::system,
              {"choose another MASTER_PORT"});
}

RINGSIDE_TEST(bootstrap_tcp, ranks_are_listed_in_few_words) {
  CHECK_EQ(list_ranks({3}), "rank 3");
  CHECK_EQ(list_ranks({1, 2, 5}), "ranks 1, 2, 5");
  CHECK_EQ(list_ranks(std::vector<int>(28, 7)), "ranks 7, 7, 7, 7, 7, 7, 7, 7 and 20 more");
}

}  // namespace ringside
