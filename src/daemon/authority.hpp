// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <sdbus-c++/sdbus-c++.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "call.hpp"

namespace atomichost::daemon {

/// Who may do what: root everything, others what polkit grants. Without polkit others are refused.
class Authority {
 public:
  explicit Authority(sdbus::IConnection& connection);
  /// Ask for each of @p actions ("upgrade": the last part of the polkit action's name); then
  /// @p granted runs, or the call fails with Denied. Does not block; polkit may ask a person.
  void require(const Call& call, std::vector<std::string> actions, std::function<void()> granted);

 private:
  std::unique_ptr<sdbus::IProxy> polkit_;
};

}  // namespace atomichost::daemon
