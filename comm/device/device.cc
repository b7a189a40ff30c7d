// Where no CUDA was built in there is no device.
#include "comm/device/device.h"

#ifndef RINGSIDE_HAVE_CUDA
namespace ringside {
std::shared_ptr<Device> current_device() { return nullptr; }
bool has_current_device() { return false; }
}  // namespace ringside
#endif
