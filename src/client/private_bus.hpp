// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <sys/types.h>

#include <string>

#include "base/file.hpp"

namespace atomichost::client {

/// A message bus just for this process, on which the daemon is started for one sysroot folder: for
/// sysroots that are not the running system's, and for rescue. Both end with this object.
class PrivateBus {
 public:
  /// @throws Error NotFound: no dbus-daemon on this machine.
  explicit PrivateBus(const std::string& sysroot);
  PrivateBus(const PrivateBus&) = delete;
  PrivateBus& operator=(const PrivateBus&) = delete;
  ~PrivateBus();
  [[nodiscard]] const std::string& address() const noexcept { return address_; }

 private:
  TempDir folder_;
  std::string address_;
  pid_t pid_ = -1;
};

}  // namespace atomichost::client
