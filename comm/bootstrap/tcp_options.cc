// What the environment says about a rank, read strictly: whatever cannot be meant is refused in one
// sentence that names the variable.
//
// A secret's digits are never printed, not even wrong ones.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>
#include <string>

#include "comm/bootstrap/tcp.h"

namespace ringside {
namespace {

constexpr const char* kWhoSetsThem =
    "tools/launch and torchrun set RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT";

const char* required(const char* variable) {
  const char* value = std::getenv(variable);
  if (value == nullptr || *value == '\0')
    throw_error(Fault::usage, "%s is not set (%s)", variable, kWhoSetsThem);
  return value;
}

int number_in(const char* variable, int least, int most) {
  const char* value = required(variable);
  const char* end = value + std::strlen(value);
  int number = 0;
  const auto [rest, error] = std::from_chars(value, end, number);
  if (error != std::errc() || rest != end || number < least || number > most)
    throw_error(Fault::usage, "%s=%s makes no sense; a whole number from %d to %d is wanted",
                variable, value, least, most);
  return number;
}

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Secret secret_from(const std::string& source, const std::string& digits) {
  Secret secret;
  bool right = digits.size() == 2 * secret.size();
  for (std::size_t i = 0; right && i < secret.size(); ++i) {
    const int high = digit(digits[2 * i]), low = digit(digits[2 * i + 1]);
    right = high >= 0 && low >= 0;
    secret[i] = static_cast<std::byte>(right ? 16 * high + low : 0);
  }
  if (!right)
    throw_error(Fault::usage,
                "%s does not hold a secret: %zu hexadecimal digits are wanted, as 'openssl rand "
                "-hex 32' prints them",
                source.c_str(), 2 * secret.size());
  return secret;
}

// The mode is asked of the open file, so that nobody can exchange it in between.
Secret secret_in_file(const char* path) {
  const std::string source = text("RINGSIDE_SECRET_FILE=%s", path);
  const UniqueFd file(::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file)
    throw_error(Fault::usage, "%s cannot be read: %s", source.c_str(), errno_words(errno).c_str());
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) throw_system(source + ": cannot find out who owns it");
  if (!S_ISREG(status.st_mode)) throw Error(Fault::usage, source + " is no regular file");
  if (status.st_uid != ::geteuid() && status.st_uid != 0)
    throw Error(Fault::usage, source + " belongs to another user");
  if ((status.st_mode & 077) != 0)
    throw_error(Fault::usage,
                "%s is open to others (mode %03o); chmod 600 it, and draw a new secret if somebody "
                "may have read this one",
                source.c_str(), status.st_mode & 0777u);
  char content[256];
  const ssize_t got = ::read(file.get(), content, sizeof content);
  if (got < 0) throw_system(source + " cannot be read");
  std::string digits(content, static_cast<std::size_t>(got));
  while (!digits.empty() && std::strchr("\r\n \t", digits.back()) != nullptr) digits.pop_back();
  return secret_from(source, digits);
}

// The digits go from the environment once they have been read, and from where the kernel shows it
// to other processes (/proc/PID/environ): the programs that a rank starts have no use for them. A
// second look finds what the first has found.
std::optional<Secret> secret_in_variable(char* digits) {
  static std::mutex mutex;
  static std::optional<Secret> found;
  const std::lock_guard lock(mutex);
  if (digits != nullptr) {
    found = secret_from("RINGSIDE_SECRET", digits);
    std::memset(digits, 'x', std::strlen(digits));
    ::unsetenv("RINGSIDE_SECRET");
  }
  return found;
}

std::optional<Secret> secret_from_environment() {
  char* digits = std::getenv("RINGSIDE_SECRET");
  const char* path = std::getenv("RINGSIDE_SECRET_FILE");
  if (digits != nullptr && path != nullptr)
    throw Error(Fault::usage,
                "RINGSIDE_SECRET and RINGSIDE_SECRET_FILE are both set; which is meant?");
  return path != nullptr ? secret_in_file(path) : secret_in_variable(digits);
}

// Where torchrun's own store listens on MASTER_PORT, ringside takes the port after it.
int port_from_environment() {
  if (std::getenv("RINGSIDE_PORT") != nullptr) return number_in("RINGSIDE_PORT", 1, 65535);
  const int port = number_in("MASTER_PORT", 1, 65535);
  const char* taken = std::getenv("TORCHELASTIC_USE_AGENT_STORE");
  if (taken == nullptr || std::strcmp(taken, "True") != 0) return port;
  if (port == 65535)
    throw Error(
        Fault::usage,
        "MASTER_PORT=65535 is torchrun's own, and there is none after it; set RINGSIDE_PORT "
        "alike for all ranks");
  return port + 1;
}

}  // namespace

TcpOptions TcpOptions::from_environment() {
  TcpOptions options;
  options.size = number_in("WORLD_SIZE", 1, kMostTcpRanks);
  options.rank = number_in("RANK", 0, kMostTcpRanks - 1);
  if (options.rank >= options.size)
    throw_error(Fault::usage, "RANK=%d with WORLD_SIZE=%d makes no sense; ranks count from 0",
                options.rank, options.size);
  options.address = required("MASTER_ADDR");
  options.port = port_from_environment();
  options.secret = secret_from_environment();
  return options;
}

void TcpOptions::check() const {
  if (size < 1 || size > kMostTcpRanks)
    throw_error(Fault::usage, "%d ranks cannot be had over tcp; choose 1 to %d", size,
                kMostTcpRanks);
  if (rank < 0 || rank >= size)
    throw_error(Fault::usage, "rank %d does not exist; there are ranks 0 to %d", rank, size - 1);
  if (port < (rank == 0 ? 0 : 1) || port > 65535)
    throw_error(Fault::usage, "rank %d cannot use port %d", rank, port);
}

}  // namespace ringside
