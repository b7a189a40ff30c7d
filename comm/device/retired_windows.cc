// A list, and which of its windows can be freed; the story is in retired_windows.h.
#include "comm/device/retired_windows.h"

#include <exception>
#include <mutex>
#include <vector>

namespace ringside {
namespace {

bool is_over(const RetiredWindow& it) {
  std::vector<DeviceCell> cells(static_cast<std::size_t>(it.size));
  it.device->read(cells.data(), it.window + it.goodbye_byte, cells.size() * sizeof(DeviceCell));
  for (int peer = 0; peer < it.size; ++peer)
    if (peer != it.rank && cells[static_cast<std::size_t>(peer)].bits == 0) return false;
  return true;
}

std::mutex retired_mutex;
std::vector<RetiredWindow>& retired_windows() {
  static auto* const all =
      new std::vector<RetiredWindow>;  // never destroyed: threads may outlive main
  return *all;
}

}  // namespace

void retire_window(const RetiredWindow& retired) {
  const std::lock_guard lock(retired_mutex);
  retired_windows().push_back(retired);
}

void free_retired_windows() {
  const std::lock_guard lock(retired_mutex);
  std::erase_if(retired_windows(), [](const RetiredWindow& it) {
    try {
      if (!is_over(it)) return false;
    } catch (const std::exception&) {
      return true;  // the device is gone, and its memory with it
    }
    it.device->free(it.window);
    return true;
  });
}

}  // namespace ringside
