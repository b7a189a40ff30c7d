// What goes wrong, in one sentence.
//
// Two kinds of wrong are kept apart. What the world does (a peer dies, a deadline passes, two ranks
// call different things, the system is out of memory) throws `ringside::Error` with one sentence
// that names the rank, the peer, the call and what to try. What only a bug in ringside can do is an
// assert.
#pragma once

#include <stdexcept>
#include <string>

namespace ringside {

enum class Fault {
  usage,  // the caller asked for something impossible; nothing was sent, the communicator is intact
  mismatch,     // two ranks are doing different things
  died,         // a peer's process is gone
  left,         // a peer has destroyed its communicator while somebody still needed it
  timeout,      // a deadline passed
  interrupted,  // this process was asked to stop (SIGTERM, SIGINT)
  aborted,      // somebody called Communicator::abort()
  protocol,     // a flag that no correct peer can have written
  system,       // the operating system refused something
};

const char* name_of(Fault fault);

class Error : public std::runtime_error {
 public:
  Error(Fault fault, const std::string& sentence) : std::runtime_error(sentence), fault_(fault) {}
  Fault fault() const { return fault_; }

 private:
  Fault fault_;
};

// Fault::system, because of a limit that this process was started with (ulimit).
class LimitError : public Error {
 public:
  using Error::Error;
};

// The limit that an errno speaks of, for the end of a sentence: " (ulimit -n allows 1024 open
// files)". Empty where there is none.
std::string limit_words(int error);

// What an errno says, and the limit that it speaks of.
std::string errno_words(int error);

// printf into a std::string, with a decimal point in every locale. (g++ 12 has no <format>, and a
// sentence is no hot path.)
[[gnu::format(printf, 1, 2)]] std::string text(const char* format, ...);

// Throws an Error with the sentence, as text() makes it.
[[noreturn, gnu::format(printf, 2, 3)]] void throw_error(Fault fault, const char* format, ...);

// Throws Fault::system with the sentence, followed by what errno says, and by the limit that it
// speaks of: then it is a LimitError.
[[noreturn]] void throw_system(const std::string& what_failed);

// "ringside: SENTENCE" on stderr, in one write, so that the lines of several ranks do not mix.
void print_warning(const std::string& sentence);

}  // namespace ringside
