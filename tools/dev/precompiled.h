// The standard headers that most sources include, compiled once for all of them: reading them takes
// about a third of the time of a source. tools/dev/configure.sh puts them before a source's
// first line; which of them a source uses it says all the same (tools/dev/check_style.py sees to
// it).
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>
