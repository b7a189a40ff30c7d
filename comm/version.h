// Which ringside this is. The build, the shared library's name and pkg-config read it from here.
#pragma once

namespace ringside {

// MAJOR.MINOR.PATCH. While MAJOR is 0 a program must be compiled anew for each version.
inline constexpr const char* kVersion = "0.1.0";

}  // namespace ringside
