// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <sdbus-c++/sdbus-c++.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "command.hpp"
#include "fields.hpp"
#include "private_bus.hpp"

namespace atomichost::client {

/// The daemon as seen from here: one connection, its objects, and calls on them.
class DaemonClient {
 public:
  /// Connect to the daemon on the system bus, or, for a sysroot that it does not serve, to one
  /// started for it on a bus of its own. Registers this client.
  /// @throws Error NotFound: no bus or no daemon; what the daemon says is wrong with the sysroot.
  explicit DaemonClient(const Context& context);

  /// @param arguments  A tuple; a floating reference is taken. @return the reply's tuple.
  /// @throws Error with the code that the error's name stands for.
  [[nodiscard]] GPtr<GVariant> call(const std::string& path, const std::string& interface,
                                    const std::string& method, GVariant* arguments);
  [[nodiscard]] GPtr<GVariant> call_os(const std::string& method, GVariant* arguments);
  /// For calls that reply with a transaction's address.
  [[nodiscard]] std::string call_for_address(const std::string& method, GVariant* arguments);

  [[nodiscard]] Fields sysroot_properties();
  [[nodiscard]] Fields os_properties();
  [[nodiscard]] std::vector<Fields> deployments();

  /// Choose the stateroot: @p name, or the booted one, or the one there is.
  /// @throws Error NotFound: no such one; InvalidInput: there are several, and none is booted.
  void choose_os(const std::optional<std::string>& name);
  [[nodiscard]] const std::string& stateroot() const noexcept { return stateroot_; }

  /// Wait until no transaction is active.
  void wait_until_idle();

 private:
  void connect(const Context& context);
  [[nodiscard]] GPtr<GVariant> call_on(const std::string& service, const std::string& path,
                                       const std::string& interface, const std::string& method,
                                       GVariant* arguments);

  std::optional<PrivateBus> private_bus_;
  std::unique_ptr<sdbus::IConnection> connection_;
  std::string os_path_, stateroot_;
};

}  // namespace atomichost::client
