// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <string_view>

#include "base/error.hpp"

/// Names and numbers on the bus. docs/dbus.md and src/daemon/*.xml say what they mean.
namespace atomichost::api {

inline constexpr char kBusName[] = "org.projectatomic.rpmostree1";
inline constexpr char kRootPath[] = "/org/projectatomic/rpmostree1";
inline constexpr char kSysrootPath[] = "/org/projectatomic/rpmostree1/Sysroot";
inline constexpr char kSysrootInterface[] = "org.projectatomic.rpmostree1.Sysroot";
inline constexpr char kOsInterface[] = "org.projectatomic.rpmostree1.OS";
inline constexpr char kTransactionInterface[] = "org.projectatomic.rpmostree1.Transaction";

/// What a package difference says of a name; the number is sent.
enum class PackageChange : unsigned { Added = 0, Removed = 1, Upgraded = 2, Downgraded = 3 };

/// The D-Bus error name of @p code; one of its own for each.
[[nodiscard]] const char* error_name(ErrorCode code) noexcept;
/// The code for a name from error_name(); Failed for any other.
[[nodiscard]] ErrorCode error_code(std::string_view name) noexcept;

/// The last part of the object path of stateroot @p name: letters, digits and '_' stay, '-' and '/'
/// become '_', any other byte "_XX" in upper-case hex.
[[nodiscard]] std::string path_element(std::string_view name);

}  // namespace atomichost::api
