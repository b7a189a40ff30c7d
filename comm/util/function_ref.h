// A reference to something callable, for the length of a call: two pointers, never an allocation.
// (A std::function of a lambda with a few captures allocates, and waiting for a peer must not.)
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace ringside {

template <class Signature>
class FunctionRef;

template <class Result, class... Parameters>
class FunctionRef<Result(Parameters...)> {
 public:
  // Implicit, as a parameter of this type is meant to take a lambda. Does not extend the lambda's
  // life.
  template <class Callable>
  requires(!std::is_same_v<std::remove_cvref_t<Callable>, FunctionRef>)
      FunctionRef(Callable&& callable)  // NOLINT(google-explicit-constructor)
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(callable)))),
        call_([](void* object, Parameters... parameters) -> Result {
          return (*static_cast<std::remove_reference_t<Callable>*>(object))(
              std::forward<Parameters>(parameters)...);
        }) {}

  Result operator()(Parameters... parameters) const {
    return call_(object_, std::forward<Parameters>(parameters)...);
  }

 private:
  void* object_;
  Result (*call_)(void*, Parameters...);
};

}  // namespace ringside
