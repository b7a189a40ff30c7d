// A thread, or a sentence that names the limit which forbids it.
#pragma once

#include <cerrno>
#include <system_error>
#include <thread>
#include <utility>

#include "comm/error.h"

namespace ringside {

// Throws LimitError or Error{system} where std::thread throws what says less.
template <class Body>
std::thread start_thread(Body&& body) {
  try {
    return std::thread(std::forward<Body>(body));
  } catch (const std::system_error& error) {
    errno = error.code().value();
    throw_system("cannot start a thread");
  }
}

}  // namespace ringside
