// The element types that a collective can carry.
//
// A collective sees a user's buffer as `count` elements of a type that is known only at run time
// (DType, one byte, which also travels in a call's fingerprint). `visit` is the one bridge from
// there to a C++ type:
//
//     visit(dtype, [&](auto tag) {
//       using T = typename decltype(tag)::type;
//       ...
//     });
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "kernels/float16.h"

namespace ringside {

enum class DType : std::uint8_t { f32, f64, f16, bf16, i32, i64, u8 };

inline constexpr std::array kAllDTypes = {DType::f32, DType::f64, DType::f16, DType::bf16,
                                          DType::i32, DType::i64, DType::u8};

// Calls f(std::type_identity<T>{}) with the C++ type of `dtype` and returns what f returns, which
// must be of one type for all. A value outside the enumeration is a bug of the caller: whoever
// takes a DType from outside the program (a flag, a file, a peer) checks it first.
template <class F>
constexpr decltype(auto) visit(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f32:
      return std::forward<F>(f)(std::type_identity<float>{});
    case DType::f64:
      return std::forward<F>(f)(std::type_identity<double>{});
    case DType::f16:
      return std::forward<F>(f)(std::type_identity<ringside::f16>{});
    case DType::bf16:
      return std::forward<F>(f)(std::type_identity<ringside::bf16>{});
    case DType::i32:
      return std::forward<F>(f)(std::type_identity<std::int32_t>{});
    case DType::i64:
      return std::forward<F>(f)(std::type_identity<std::int64_t>{});
    case DType::u8:
      return std::forward<F>(f)(std::type_identity<std::uint8_t>{});
  }
  __builtin_unreachable();
}

constexpr std::size_t bytes_of(DType dtype) {
  return visit(dtype, [](auto tag) { return sizeof(typename decltype(tag)::type); });
}

constexpr const char* name_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "f32";
    case DType::f64:
      return "f64";
    case DType::f16:
      return "f16";
    case DType::bf16:
      return "bf16";
    case DType::i32:
      return "i32";
    case DType::i64:
      return "i64";
    case DType::u8:
      return "u8";
  }
  return "?";  // an error message must be able to print a byte that is no DType
}

// Takes our short names and the names that users of other tools know. Case matters.
inline std::optional<DType> parse_dtype(std::string_view text) {
  for (const DType dtype : kAllDTypes) {
    if (text == name_of(dtype)) return dtype;
  }
  constexpr std::pair<std::string_view, DType> kOtherNames[] = {
      {"float", DType::f32},     {"double", DType::f64}, {"half", DType::f16},
      {"bfloat16", DType::bf16}, {"int32", DType::i32},  {"int64", DType::i64},
      {"uint8", DType::u8},
  };
  for (const auto& [name, dtype] : kOtherNames) {
    if (text == name) return dtype;
  }
  return std::nullopt;
}

// dtype_of<float> is DType::f32. A type that is not on the list does not compile.
template <class T>
constexpr DType dtype_of = [] {
  static_assert(sizeof(T) == 0, "not an element type of ringside");
  return DType::u8;
}();
template <>
inline constexpr DType dtype_of<float> = DType::f32;
template <>
inline constexpr DType dtype_of<double> = DType::f64;
template <>
inline constexpr DType dtype_of<f16> = DType::f16;
template <>
inline constexpr DType dtype_of<bf16> = DType::bf16;
template <>
inline constexpr DType dtype_of<std::int32_t> = DType::i32;
template <>
inline constexpr DType dtype_of<std::int64_t> = DType::i64;
template <>
inline constexpr DType dtype_of<std::uint8_t> = DType::u8;

}  // namespace ringside
