// Asking the kernel for the processor's name and for the time.
#include "tools/measure/host_info.h"

#include <unistd.h>

#include <ctime>
#include <fstream>

namespace ringside::tools {
namespace {

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

}  // namespace

Machine this_machine() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char date[32];
  std::strftime(date, sizeof date, "%Y-%m-%d %H:%M UTC", &utc);
  // mpirun binds a rank to one core; what counts is how many the ranks can have together.
  return {cpu_name(), static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)), date};
}

}  // namespace ringside::tools
