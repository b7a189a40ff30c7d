// Readers of text: descriptions of machines, words of options, variables, command lines.
#include <cmath>
#include <functional>
#include <sstream>

#include "comm/bootstrap/tcp.h"
#include "comm/cost/machine_text.h"
#include "comm/error.h"
#include "comm/options.h"
#include "tests/fuzz/targets.h"
#include "tests/support/environment.h"
#include "tools/cost/price_options.h"
#include "tools/fuzz/options.h"
#include "tools/kernel_suite/options.h"
#include "tools/launcher/options.h"
#include "tools/measure/options.h"
#include "tools/support/command_line.h"
#include "tools/support/fault_injection.h"

namespace ringside::test {
namespace {

// A sentence is an end as good as any; anything else that is thrown is a finding.
template <class Body>
void read(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    if (*error.what() == '\0') throw Finding("an Error without a sentence");
  }
}

std::vector<std::string> lines_in(const std::string& bytes) {
  std::vector<std::string> lines;
  std::istringstream stream(bytes.substr(0, bytes.find('\0')));
  for (std::string line; lines.size() < 64 && std::getline(stream, line);) lines.push_back(line);
  return lines;
}

}  // namespace

void fuzz_machine(const std::string& bytes) {
  read([&] {
    const std::string written = write_machine(parse_machine(bytes, "fuzz"));
    std::string again;
    try {
      again = write_machine(parse_machine(written, "again"));
    } catch (const Error& error) {
      throw Finding(text("what was written is refused: %s", error.what()));
    }
    if (again != written) throw Finding("a machine changes as it is written: " + written);
  });
}

void fuzz_words(const std::string& bytes) {
  const std::string words = bytes.substr(0, bytes.find('\0'));
  read([&] { parse_injection(words); });
  std::size_t size = 0, again = 0;
  if (!parse_bytes(words.c_str(), size)) return;
  const std::string written = tools::short_bytes(size);
  if (!parse_bytes(written.c_str(), again) || again != size)
    throw Finding(
        text("%s is %zu bytes, which are written as %s", words.c_str(), size, written.c_str()));
}

void fuzz_environment(const std::string& bytes) {
  Environment::Variables variables;
  // No others: a path in PATH or a library in LD_PRELOAD is not ours to read.
  for (const char* name :
       {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "RINGSIDE_SECRET",
        "RINGSIDE_SECRET_FILE", "RINGSIDE_TIMEOUT", "RINGSIDE_WARN", "RINGSIDE_FLIGHT",
        "RINGSIDE_SLOT_BYTES", "RINGSIDE_SLOT_COUNT", "RINGSIDE_STREAM_FROM",
        "RINGSIDE_ZERO_COPY_FROM", "RINGSIDE_ALGORITHM", "RINGSIDE_STORES", "RINGSIDE_CONTROL",
        "RINGSIDE_EXECUTOR", "RINGSIDE_ISA"})
    variables[name] = std::nullopt;
  for (const std::string& line : lines_in(bytes)) {
    const std::size_t equals = line.find('=');
    const auto found = variables.find(line.substr(0, equals));
    if (equals != std::string::npos && found != variables.end())
      found->second = line.substr(equals + 1);
  }
  const Environment environment(variables);
  read([] { TcpOptions::from_environment().check(); });
  read([] {
    const Options options = Options::from_environment();
    options.check();
    if (!(options.timeout_s >= 0) || !std::isfinite(options.timeout_s) || options.slot_bytes == 0 ||
        options.slot_count < 1)
      throw Finding("options make no sense, and are not refused");
  });
}

void fuzz_options(const std::string& bytes) {
  std::vector<std::string> words = lines_in(bytes);
  words.insert(words.begin(), "tool");
  const std::function<void(int, char**)> readers[] = {
      [](int count, char** argv) { tools::parse_arguments(count, argv, tools::Tool::bench); },
      [](int count, char** argv) {
        tools::parse_arguments(count, argv, tools::Tool::ring_allreduce);
      },
      [](int count, char** argv) { tools::parse_launch_options(count, argv); },
      [](int count, char** argv) { tools::parse_stress_options(count, argv); },
      [](int count, char** argv) { tools::parse_price_options(count, argv); },
      [](int count, char** argv) { tools::parse_kernel_options(count, argv); }};
  for (const auto& reader : readers) {
    std::vector<char*> argv;  // anew, as getopt puts words in another order
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    read([&] { reader(static_cast<int>(words.size()), argv.data()); });
  }
}

}  // namespace ringside::test
