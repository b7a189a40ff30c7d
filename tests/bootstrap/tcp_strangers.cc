// The tcp bootstrap among strangers: who does not know the job's secret learns nothing, changes
// nothing and holds nobody up; and what the environment says is read strictly.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "comm/bootstrap/tcp.h"
#include "tests/bootstrap/tcp_job.h"
#include "tests/support/environment.h"
#include "tests/support/folder.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using namespace test;

std::string digits_of(const Secret& secret) {
  std::string digits;
  for (const std::byte byte : secret) digits += text("%02x", std::to_integer<unsigned>(byte));
  return digits;
}

const Environment::Variables kRight = {{"RANK", "1"},
                                       {"WORLD_SIZE", "4"},
                                       {"MASTER_ADDR", "127.0.0.1"},
                                       {"MASTER_PORT", "29500"},
                                       {"RINGSIDE_SECRET", std::nullopt},
                                       {"RINGSIDE_SECRET_FILE", std::nullopt}};

// `kRight`, but for one variable.
Ending environment_with(const std::string& name, const std::optional<std::string>& value) {
  Environment::Variables variables = kRight;
  variables[name] = value;
  const Environment environment(variables);
  return ending_of([] { TcpOptions::from_environment(); });
}

}  // namespace

// The mutant of this file: with the comparison in Callers::is_right taken out, this test and the
// next fail.
RINGSIDE_TEST(bootstrap_tcp_strangers, a_wrong_secret_is_refused_and_the_job_goes_on) {
  for (const bool has_one : {true, false}) {
    TcpJob job{.size = 3};
    Ending intruder;
    std::thread thread;
    job.on_listening = [&](int port) {
      // The intruder comes first, as rank 1, and the real rank 1 after it has been sent away.
      TcpOptions options = job.options(1, port);
      options.secret = has_one ? std::optional(draw_secret()) : std::nullopt;
      thread = std::thread([&, options] {
        intruder = ending_of([&] { TcpBootstrap::start(options, Deadline::after_seconds(5)); });
      });
    };
    job.change = [&](TcpOptions& options) {
      if (options.rank == 2) thread.join();
    };
    job.body = [](TcpBootstrap& bootstrap) { bootstrap.barrier(soon()); };
    check_all_well(t, job.run());
    check_fault(t, intruder, Fault::left, {"is RINGSIDE_SECRET the same for all ranks"});
  }
}

RINGSIDE_TEST(bootstrap_tcp_strangers, one_wrong_bit_is_a_wrong_secret) {
  for (const std::size_t bit : {0, 100, 127, 128, 255}) {
    TcpJob job{.size = 2, .timeout_s = 0.3};
    job.change = [&](TcpOptions& options) {
      if (options.rank == 1) (*options.secret)[bit / 8] ^= std::byte{1} << (bit % 8);
    };
    const std::vector<Ending> ends = job.run();
    check_fault(t, ends[0], Fault::timeout, {"for rank 1"});
    check_fault(t, ends[1], Fault::left, {"is RINGSIDE_SECRET the same for all ranks"});
  }
}

RINGSIDE_TEST(bootstrap_tcp_strangers, noise_and_silence_hold_nobody_up) {
  TcpJob job{.size = 4};
  std::vector<Stranger> strangers;
  job.on_listening = [&](int port) {
    for (int i = 0; i < 6; ++i) strangers.emplace_back(port);
    strangers[0].say(std::string(4096, '\0'));
    strangers[1].say(std::string(4096, 'x'));
    strangers[2].say("GET / HTTP/1.1\r\nHost: here\r\n\r\n");
    strangers[3].say("r");
    // 4 and 5 say nothing.
  };
  job.body = [](TcpBootstrap& bootstrap) { bootstrap.barrier(soon()); };
  const auto start = Clock::now();
  check_all_well(t, job.run());
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  CHECK_MSG(seconds < 3 * test::kSlack, "it took %.1f s", seconds);
  for (Stranger& stranger : strangers) CHECK(stranger.is_sent_away(5));
}

RINGSIDE_TEST(bootstrap_tcp_strangers, a_rank_that_does_not_fit_is_named_on_both_sides) {
  TcpJob twice{.size = 3};
  for (const Ending& end : twice.run({0, 1, 1}))
    check_has(t, end.sentence, {"two processes say that they are rank 1"});

  TcpJob smaller{.size = 3};
  smaller.change = [](TcpOptions& options) { options.size = options.rank == 2 ? 4 : 3; };
  for (const Ending& end : smaller.run({0, 2}))
    check_fault(t, end, Fault::mismatch,
                {"rank 2 was started with WORLD_SIZE=4 and rank 0 with WORLD_SIZE=3"});
}

RINGSIDE_TEST(bootstrap_tcp_strangers, without_a_secret_only_loopback_is_used) {
  const auto start_at = [](const char* address, bool with_secret, int rank) {
    TcpJob job{.size = 2};
    TcpOptions options = job.options(rank, 1);
    options.address = address;
    if (!with_secret) options.secret.reset();
    return ending_of([&] { TcpBootstrap::start(options, Deadline::after_seconds(0.2)); });
  };
  for (const int rank : {0, 1}) {
    // An address kept free for documents (RFC 5737), so no host has it.
    check_fault(t, start_at("192.0.2.77", false, rank), Fault::usage, {"RINGSIDE_SECRET"});
    check_fault(t, start_at("0.0.0.0", true, rank), Fault::usage, {"every interface"});
    check_fault(t, start_at("::", true, rank), Fault::usage, {"every interface"});
    check_fault(t, start_at("no such host", true, rank), Fault::usage, {"cannot be looked up"});
  }
  check_fault(t, start_at("192.0.2.77", true, 0), Fault::system, {"this host has no such address"});

  TcpJob job{.size = 2};
  job.change = [](TcpOptions& options) { options.secret.reset(); };
  check_all_well(t, job.run());
}

RINGSIDE_TEST(bootstrap_tcp_strangers, variables_are_read_strictly) {
  CHECK(!environment_with("RANK", "1").failed);
  for (const char* name : {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"})
    check_fault(t, environment_with(name, std::nullopt), Fault::usage,
                {text("%s is not set", name)});
  for (const char* value : {"", "x", "-1", "1x", " 1", "99999999999"}) {
    check_fault(t, environment_with("RANK", value), Fault::usage, {"RANK"});
    check_fault(t, environment_with("WORLD_SIZE", value), Fault::usage, {"WORLD_SIZE"});
    check_fault(t, environment_with("MASTER_PORT", value), Fault::usage, {"MASTER_PORT"});
  }
  check_fault(t, environment_with("RANK", "4"), Fault::usage, {"RANK=4 with WORLD_SIZE=4"});
  check_fault(t, environment_with("WORLD_SIZE", "0"), Fault::usage, {"WORLD_SIZE=0"});
  check_fault(t, environment_with("MASTER_PORT", "65536"), Fault::usage, {"MASTER_PORT=65536"});
  check_fault(t, environment_with("RINGSIDE_PORT", "0"), Fault::usage, {"RINGSIDE_PORT=0"});
  const auto port_with = [](Environment::Variables variables) {
    variables.insert(kRight.begin(), kRight.end());
    const Environment environment(variables);
    return TcpOptions::from_environment().port;
  };
  CHECK_EQ(port_with({}), 29500);
  CHECK_EQ(port_with({{"TORCHELASTIC_USE_AGENT_STORE", "False"}}), 29500);
  CHECK_EQ(port_with({{"TORCHELASTIC_USE_AGENT_STORE", "True"}}), 29501);
  CHECK_EQ(port_with({{"TORCHELASTIC_USE_AGENT_STORE", "True"}, {"RINGSIDE_PORT", "77"}}), 77);
  CHECK(ending_of([&] {
          port_with({{"TORCHELASTIC_USE_AGENT_STORE", "True"}, {"MASTER_PORT", "65535"}});
        }).failed);
}

RINGSIDE_TEST(bootstrap_tcp_strangers, programs_that_a_rank_starts_inherit_no_secret) {
  const RunResult result =
      run(with(launch_argv(2), {program_path("tests/programs/any_rank"), "env"}));
  CHECK_MSG(result.ok(), "%s", result.err.c_str());
  CHECK_EQ(lines_from(result.out, "WORLD_SIZE=2"), 4u);
  CHECK_EQ(lines_from(result.out, "RINGSIDE_SECRET=xxxxxxxx"), 2u);  // in /proc, of each rank
  CHECK_EQ(lines_from(result.out, "RINGSIDE_SECRET="), 2u);
}

RINGSIDE_TEST(bootstrap_tcp_strangers, a_secret_comes_by_variable_or_private_file) {
  const Secret secret = draw_secret();
  const std::string digits = digits_of(secret);
  const auto secret_with = [&](Environment::Variables variables) {
    variables.insert(kRight.begin(), kRight.end());
    const Environment environment(variables);
    return TcpOptions::from_environment().secret;
  };
  CHECK(!secret_with({}));
  CHECK(secret_with({{"RINGSIDE_SECRET", digits}}) == secret);
  CHECK(secret_with({}) == secret);  // a second look finds what the first has taken away
  const Ending garbled = environment_with("RINGSIDE_SECRET", digits.substr(1));
  check_fault(t, garbled, Fault::usage, {"64 hexadecimal digits"});
  CHECK(!contains(garbled.sentence, digits.substr(1, 8)));  // not even a wrong one is printed
  check_fault(t, environment_with("RINGSIDE_SECRET", "g" + digits.substr(1)), Fault::usage,
              {"64 hexadecimal digits"});

  const test::Folder folder;
  const std::string path = folder.file("secret");
  std::ofstream(path) << digits << '\n';
  ::chmod(path.c_str(), 0600);
  CHECK(secret_with({{"RINGSIDE_SECRET_FILE", path}}) == secret);
  for (const mode_t mode : {0640, 0604, 0666}) {
    ::chmod(path.c_str(), mode);
    check_fault(t, environment_with("RINGSIDE_SECRET_FILE", path), Fault::usage,
                {"is open to others"});
  }
  ::unlink(path.c_str());
  check_fault(t, environment_with("RINGSIDE_SECRET_FILE", path), Fault::usage, {"cannot be read"});
  check_fault(t, environment_with("RINGSIDE_SECRET_FILE", "/dev/null"), Fault::usage,
              {"is no regular file"});
}

}  // namespace ringside
