// Writing JSON (RFC 8259). Nothing here reads any.
//
//     JsonWriter json(1);
//     json.object().field("tool", "bench", "ranks", 2).array("sizes").item(8).item(64).end();
//     json.end().text()                                    {
//                                                            "tool": "bench",
//                                                            "ranks": 2,
//                                                            "sizes": [8, 64]
//                                                          }
#pragma once

#include <concepts>
#include <cstddef>
#include <string>
#include <vector>

namespace ringside {

// Quoted and escaped. Text that was cut in the middle of a character (UTF-8) loses the rest of it.
std::string json_string(const std::string& words);

// The caller's part: a value in an object has a key and one in an array has none, and all that is
// opened is ended.
class JsonWriter {
 public:
  // What lies in the first `lines` levels of brackets stands on a line of its own, and what is
  // nested more deeply in the line of its parent.
  explicit JsonWriter(int lines = 0) : lines_(lines) {}

  JsonWriter& object(const char* key = nullptr) { return open(key, '{'); }
  JsonWriter& array(const char* key = nullptr) { return open(key, '['); }
  JsonWriter& end();

  // Keys and their values, in turns.
  template <class T, class... More>
  JsonWriter& field(const char* key, const T& value, const More&... more) {
    add(key, json(value));
    if constexpr (sizeof...(more) > 0) field(more...);
    return *this;
  }
  template <class T>
  JsonWriter& item(const T& value) {
    return add(nullptr, json(value));
  }
  // With as many decimals; a double elsewhere has four. What is no number is null.
  JsonWriter& number(const char* key, double value, int decimals) {
    return add(key, json(value, decimals));
  }
  // `written` is JSON already.
  JsonWriter& add(const char* key, const std::string& written);

  const std::string& text() const { return text_; }

 private:
  JsonWriter& open(const char* key, char bracket);
  void begin_line();

  static std::string json(const std::string& value) { return json_string(value); }
  static std::string json(const char* value) { return json_string(value); }
  static std::string json(bool value) { return value ? "true" : "false"; }
  static std::string json(std::nullptr_t) { return "null"; }
  static std::string json(double value, int decimals = 4);
  template <std::integral T>
  static std::string json(T value) {
    return std::to_string(value);
  }

  const int lines_;
  std::string text_;
  struct Level {
    char closing;
    bool is_empty = true;
  };
  std::vector<Level> levels_;
};

}  // namespace ringside
