// The arithmetic of a call is the library's own, whatever mode its caller is in: denormals flushed
// to zero, another rounding, traps. A mode is a thread's; were it heeded, one rank that sets it
// would change the bits of all, and without a word.
//
// On x86-64 and aarch64 the mode is a register that is read in a nanosecond or two, and written
// only where it differs. C++ knows it as <cfenv>, which is slower and knows nothing of flushing.
#pragma once

#include <cstdint>

#if !defined(__x86_64__) && !defined(__aarch64__)
#include <cfenv>
#endif

namespace ringside {

// While it lives, this thread rounds to nearest, keeps denormals and traps nothing. Then all is as
// it was: which exceptions have been raised, too, where the mode had to be changed. Compilers
// move arithmetic past it as they please, so that has to lie in functions which they do not see
// into: here in the kernels' loops, called by pointers.
class FloatMode {
 public:
  FloatMode(const FloatMode&) = delete;
  FloatMode& operator=(const FloatMode&) = delete;

#if defined(__x86_64__) || defined(__aarch64__)
  FloatMode() : before_(read()) {
    if (differs()) [[unlikely]]
      write(kOwn);
  }
  ~FloatMode() {
    if (differs()) [[unlikely]]
      write(before_);
  }

 private:
  bool differs() const { return (before_ & kModeBits) != kOwn; }

#if defined(__x86_64__)
  // MXCSR: its lowest six bits are the exceptions raised so far, which are no mode.
  using Register = std::uint32_t;
  static constexpr Register kModeBits = 0xffc0, kOwn = 0x1f80;
  static Register read() {
    Register value;
    asm volatile("stmxcsr %0" : "=m"(value));
    return value;
  }
  static void write(Register value) { asm volatile("ldmxcsr %0" : : "m"(value) : "memory"); }
#else
  // FPCR, which has no bits but those of the mode.
  using Register = std::uint64_t;
  static constexpr Register kModeBits = ~Register{0}, kOwn = 0;
  static Register read() {
    Register value;
    asm volatile("mrs %0, fpcr" : "=r"(value));
    return value;
  }
  static void write(Register value) { asm volatile("msr fpcr, %0" : : "r"(value) : "memory"); }
#endif

  const Register before_;
#else
  FloatMode() {
    std::fegetenv(&before_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~FloatMode() { std::fesetenv(&before_); }

 private:
  std::fenv_t before_;
#endif
};

}  // namespace ringside
