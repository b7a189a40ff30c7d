// What nearly every test includes, compiled once for all of them, as in tools/precompiled.h.
#pragma once

#include <barrier>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/support/test.h"
#include "tools/precompiled.h"
