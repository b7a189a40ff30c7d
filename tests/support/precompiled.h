// What nearly every test includes, compiled once for all of them, as in tools/dev/precompiled.h.
#pragma once

#include <barrier>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/support/test.h"
#include "tools/dev/precompiled.h"
