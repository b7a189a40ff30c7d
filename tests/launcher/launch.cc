// tools/launch while all goes well, seen from where its user stands: exit statuses, sentences, what
// the ranks find, and lines that stay whole. How jobs end that do not go well is tested in
// ends.cc.
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "comm/error.h"
#include "tests/launcher/launched.h"
#include "tests/support/folder.h"
#include "tests/support/process.h"
#include "tests/support/test.h"

namespace ringside {
namespace {

using namespace test;

void check_one_line(test::Context& t, const std::string& words, const std::string& begin,
                    const std::string& end) {
  CHECK_MSG(words.starts_with(begin) && words.ends_with(end + "\n") && lines_of(words).size() == 1,
            "not '%s...%s' but '%s'", begin.c_str(), end.c_str(), words.c_str());
}

// A row of the table without its times and speeds; any other line as it is. A row's words are size,
// count, type, redop, root, and then twice: time, algbw, busbw, #wrong.
std::string without_times(const std::string& line) {
  const Words words = test::words_of(line);
  if (words.size() != 13 || words[0].find_first_not_of("0123456789") != std::string::npos)
    return line;
  std::string kept;
  for (const std::size_t i : {0, 1, 2, 3, 4, 8, 12}) kept += words[i] + " ";
  return kept;
}

}  // namespace

RINGSIDE_TEST(launch, the_first_failure_decides_the_exit_status) {
  check_ends(t, run(launch_scripts(4, {}, "exit 0")), 0);
  const RunResult seven = run(launch_scripts(3, {}, "[ $RANK != 1 ] || exit 7; sleep 0.3"));
  check_ends(t, seven, 7);
  check_one_line(t, seven.err, "launch: rank 1 (pid ", ") exited with status 7");
  const RunResult killed =
      run(launch_scripts(3, {}, "[ $RANK != 2 ] || kill -9 $$; sleep 0.3; exit 3"));
  check_ends(t, killed, 128 + 9);
  check_one_line(t, killed.err, "launch: rank 2 (pid ", ") was killed by signal 9 (Killed)");
}

RINGSIDE_TEST(launch, what_makes_no_sense_is_refused_in_one_sentence) {
  const std::string it = test::tool_path("launch");
  const std::map<int, std::vector<Words>> wrong = {
      {2,
       {{it},
        {it, "-n", "2"},
        {it, "true"},
        {it, "-n", "0", "true"},
        {it, "-n", "4x", "true"},
        {it, "-n", "2", "--bogus", "true"},
        {it, "-n"},
        {it, "-n", "2", "--timeout", "soon", "true"},
        {it, "-n", "2", "--grace", "-1", "true"}}},
      {126, {{it, "-n", "2", "/etc/passwd"}}},
      {127, {{it, "-n", "2", "./no/such/program"}, {it, "-n", "2", "no-such-program-anywhere"}}}};
  for (const auto& [status, commands] : wrong)
    for (const Words& command : commands) {
      const RunResult result = run(command);
      check_ends(t, result, status);
      CHECK_EQ(result.out, "");
      CHECK_MSG(result.err.starts_with("launch: ") && lines_of(result.err).size() == 1, "%s",
                result.err.c_str());
    }
  check_one_line(t, run({it, "-np", "2", "true"}).err,
                 "launch: -np is mpirun's; say -n here: ", "launch -n 4 PROGRAM");
  const RunResult help = run({it, "--help"});
  check_ends(t, help, 0);
  CHECK(contains(help.out, "--grace SECONDS"));
}

RINGSIDE_TEST(launch, ranks_find_their_place_in_the_environment) {
  const RunResult result =
      run(launch_scripts(
              3, {},
              "echo $RANK/$WORLD_SIZE $LOCAL_RANK/$LOCAL_WORLD_SIZE $MASTER_ADDR "
              "$(expr $MASTER_PORT '>' 1023) ${#RINGSIDE_SECRET} [$OMPI_COMM_WORLD_RANK$PMI_RANK"
              "$PMIX_RANK$RINGSIDE_SECRET_FILE$RINGSIDE_PORT$TORCHELASTIC_USE_AGENT_STORE]"),
          {.environment = {"RANK=9", "OMPI_COMM_WORLD_RANK=1", "PMI_RANK=1", "PMIX_RANK=1",
                           "RINGSIDE_SECRET_FILE=/x", "RINGSIDE_PORT=7",
                           "TORCHELASTIC_USE_AGENT_STORE=True"}});
  const Words lines = lines_of(result.out);
  CHECK_EQ(lines.size(), 3u);
  for (int rank = 0; rank < 3; ++rank)
    CHECK(std::set(lines.begin(), lines.end())
              .contains(text("%d/3 %d/3 127.0.0.1 1 64 []", rank, rank)));
  const std::string secrets = run(launch_scripts(2, {}, "echo $RINGSIDE_SECRET")).out;
  CHECK_EQ(secrets.substr(0, 65), secrets.substr(65));
  CHECK(run(launch_scripts(1, {}, "echo $RINGSIDE_SECRET")).out != secrets.substr(0, 65));
}

RINGSIDE_TEST(launch, lines_stay_whole_and_say_whose_they_are) {
  // Each line is printed in two pieces, with the other ranks' in between; the last has no end.
  const RunResult result = run(launch_scripts(4, {"--prefix"},
                                              "for i in $(seq 200); do printf \"line $i of \"; "
                                              "echo \"rank $RANK\"; echo \"error $i\" >&2; done; "
                                              "printf the-end"));
  check_ends(t, result, 0, 10);
  std::map<std::string, int> next_out, next_err;
  for (const std::string& line : lines_of(result.out)) {
    const std::string rank = line.substr(1, 1);
    const int i = ++next_out[rank];
    const std::string wanted = i <= 200
                                   ? text("[%s] line %d of rank %s", rank.c_str(), i, rank.c_str())
                                   : text("[%s] the-end", rank.c_str());
    CHECK_EQ(line, wanted);
  }
  for (const std::string& line : lines_of(result.err)) {
    const std::string rank = line.substr(1, 1);
    CHECK_EQ(line, text("[%s] error %d", rank.c_str(), ++next_err[rank]));
  }
  for (const char* rank : {"0", "1", "2", "3"}) {
    CHECK_EQ(next_out[rank], 201);
    CHECK_EQ(next_err[rank], 200);
  }
}

// Much longer than a pipe holds, and with the other stream going to the same place.
RINGSIDE_TEST(launch, a_long_line_stays_whole) {
  constexpr std::size_t kLong = 3'000'000;
  const RunResult result =
      shell(text("%s -n 2 --prefix sh -c 'for i in $(seq 200); do echo short >&2; done & "
                 "head -c %zu /dev/zero | tr \"\\0\" x; echo; wait' 2>&1",
                 test::tool_path("launch").c_str(), kLong));
  check_ends(t, result, 0, 10 * kSlack);
  std::map<std::string, int> seen;
  for (const std::string& line : lines_of(result.out)) ++seen[line];
  CHECK_EQ(seen.size(), 4u);
  for (const char* rank : {"[0] ", "[1] "}) {
    CHECK_EQ(seen[std::string(rank) + "short"], 200);
    CHECK_EQ(seen[std::string(rank) + std::string(kLong, 'x')], 1);
  }
}

RINGSIDE_TEST(launch, rank_0_alone_reads_stdin) {
  for (const char* option : {"--grace=3", "--prefix"}) {
    const std::string command = text("printf 'one\\ntwo\\n' | %s -n 3 %s sh -c 'cat; echo $RANK'",
                                     test::tool_path("launch").c_str(), option);
    const RunResult result = shell(command);
    check_ends(t, result, 0);
    const Words lines = lines_of(result.out);
    CHECK_EQ(lines.size(), 5u);
    const std::string before = std::string(option) == "--prefix" ? "[0] " : "";
    CHECK(contains(result.out, before + "one\n"));
    CHECK(contains(result.out, before + "two\n"));
  }
}

RINGSIDE_TEST(launch, a_terminal_stays_a_terminal_and_can_be_read) {
  if (!shell("command -v script && script --version").ok())
    SKIP("there is no script(1) here to make a terminal");
  const test::Folder folder;
  const std::string script = folder.file("script");
  std::ofstream(script) << "[ -t 1 ] && echo rank $RANK prints to a terminal\n"
                           "[ $RANK = 1 ] || { read word; echo and was told $word; }\n";
  const std::string command =
      text("(sleep 0.3; echo something; sleep 0.3) | script -qec '%s -n 2 sh %s' /dev/null",
           test::tool_path("launch").c_str(), script.c_str());
  const RunResult result = shell(command, {.timeout_s = 10});
  check_ends(t, result, 0);
  check_has(
      t, result.out,
      {"rank 0 prints to a terminal", "rank 1 prints to a terminal", "and was told something"});
}

// One program, another way to start the ranks: all that they print is the same but for who they
// are, how they are joined, and how long it took.
RINGSIDE_TEST(launch, ring_allreduce_prints_what_it_prints_with_threads) {
  const auto results_of = [&](const Words& command) {
    const RunResult result = run(command);
    check_ends(t, result, 0);
    Words kept;
    bool begun = false;  // the list of ranks comes first
    for (const std::string& line : lines_of(result.out)) {
      begun |= contains(line, "What collectives do");
      if (begun && !contains(line, "bandwidth")) kept.push_back(without_times(line));
    }
    return kept;
  };
  const std::string tool = test::tool_path("ring_allreduce");
  const Words by_launch = results_of(launch(4, {}, {tool, "-e", "4K"}));
  const Words by_threads = results_of({tool, "--threads", "4", "-e", "4K"});
  CHECK(by_launch.size() > 30);
  CHECK_EQ(by_launch.size(), by_threads.size());
  for (std::size_t i = 0; i < by_launch.size() && i < by_threads.size(); ++i)
    CHECK_EQ(by_launch[i], by_threads[i]);
  CHECK(contains(run(launch(2, {}, {tool, "-e", "8"})).out, "2 ranks, bootstrap tcp"));
}

RINGSIDE_TEST(launch, options_of_the_program_are_its_own) {
  const std::string tool = test::tool_path("ring_allreduce");
  const RunResult wrong = run(launch(3, {}, {tool, "--no-such-option"}));
  check_ends(t, wrong, 2);
  CHECK(contains(wrong.err, "ring_allreduce: there is no option --no-such-option"));
  const RunResult help = run(launch(3, {}, {tool, "--help"}));
  check_ends(t, help, 0);
  CHECK(help.out.find("watch ranks run") == help.out.rfind("watch ranks run"));
}

}  // namespace ringside
