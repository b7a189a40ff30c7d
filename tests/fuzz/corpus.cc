// Examples of input, and ways to damage them: for runs without libFuzzer, which has better ones.
#include <algorithm>
#include <filesystem>

#include "comm/error.h"
#include "tests/fuzz/targets.h"
#include "tests/support/folder.h"

namespace ringside::test {

std::vector<std::string> examples_of(const FuzzTarget& target, const std::string& corpora) {
  namespace fs = std::filesystem;
  std::vector<std::string> paths, examples;
  for (const auto& it : fs::directory_iterator(corpora + "/" + target.name))
    paths.push_back(it.path().string());
  std::sort(paths.begin(), paths.end());
  for (const std::string& path : paths) examples.push_back(read_file(path));
  if (examples.empty()) throw Finding(text("there are no examples for %s", target.name));
  return examples;
}

std::string damaged(const std::vector<std::string>& examples, std::mt19937_64& dice) {
  const auto below = [&](std::size_t bound) { return bound == 0 ? 0 : dice() % bound; };
  std::string it = examples[below(examples.size())];
  for (std::size_t times = 1 + below(4); times > 0; --times) {
    const std::size_t at = below(it.size() + 1), count = 1 + below(8);
    const std::string& other = examples[below(examples.size())];
    const std::size_t from = below(other.size() + 1);
    constexpr const char* kOdd[] = {
        "\xff\xff\xff\xff", "9999999999999999999", "-1", "\n", "=", "1e999", "nan", "K", ",", ":"};
    switch (below(6)) {
      case 0:
        if (at < it.size()) it[at] = static_cast<char>(it[at] ^ (1 << below(8)));
        break;
      case 1:
        it.erase(at, count);
        break;
      case 2:
        it.insert(at, it.substr(below(it.size() + 1), count));
        break;
      case 3:
        it.insert(at, std::string(1, static_cast<char>(below(256))));
        break;
      case 4:
        it.insert(at, kOdd[below(std::size(kOdd))]);
        break;
      case 5:
        it = it.substr(0, at) + other.substr(from);
        break;
    }
  }
  return it;
}

}  // namespace ringside::test
