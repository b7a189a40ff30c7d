// A folder for a test's files; gone afterwards, with all that is in it.
#pragma once

#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "comm/util/fd.h"

namespace ringside::test {

class Folder {
 public:
  explicit Folder(const std::string& name = "ringside-test") : path_("/tmp/" + name + "-XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr)
      throw std::system_error(errno, std::generic_category(), "cannot make a folder in /tmp");
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

  // The names of the files in it, in order.
  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(path_))
      found.push_back(entry.path().filename().string());
    std::sort(found.begin(), found.end());
    return found;
  }

 private:
  std::string path_;
};

// A file that a program makes once it is ready, and that is gone afterwards.
class ReadyFile {
 public:
  std::string path() const { return folder_.file("ready"); }
  bool wait() const {
    for (int i = 0; i < 3000; ++i, std::this_thread::sleep_for(std::chrono::milliseconds(10)))
      if (std::filesystem::exists(path())) return true;
    return false;
  }

 private:
  const Folder folder_;
};

}  // namespace ringside::test
