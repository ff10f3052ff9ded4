// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "command.hpp"
#include "daemon_client.hpp"
#include "terminal.hpp"

namespace atomichost::client {

/// What all commands that talk to the daemon have in common.
class HostCommand : public Command {
 public:
  using Command::Command;
  std::vector<Option> options() final;
  int run(const Context& context, const std::vector<std::string>& arguments) final;

 protected:
  /// The command's own options.
  virtual std::vector<Option> own_options() { return {}; }
  /// Does it act on one stateroot, and hence take --stateroot?
  virtual bool has_stateroot() const { return true; }
  /// Does it start a transaction, and hence wait for its turn?
  virtual bool has_transaction() const { return true; }
  virtual int run_with(DaemonClient& client, const Context& context,
                       const std::vector<std::string>& arguments) = 0;

  /// Call @p method; wait in line while another transaction runs; follow this one to its end.
  /// @param arguments  Makes the (floating) tuple; called again for each try.
  void transact(DaemonClient& client, const Context& context, const std::string& method,
                const std::function<GVariant*()>& arguments);
  /// @throws Error InvalidInput: the sysroot is not the running system's.
  static void check_reboot(const Context& context, bool reboot);
  /// "Run "systemctl reboot" ..." unless nothing is booted from this sysroot.
  static void advise_reboot(DaemonClient& client, const Context& context, bool reboot);
  /// Packages that differ between two deployments or commits, as people know it.
  static void print_package_diff(DaemonClient& client, const Context& context,
                                 const std::string& from, const std::string& to);

  Terminal terminal_;

 private:
  std::optional<std::string> stateroot_;
  bool no_wait_ = false;
  bool wait_ = false;
};

/// The lines of a package difference a(sua{sv}).
[[nodiscard]] std::string package_diff_text(GVariant* diff, const Context& context);

}  // namespace atomichost::client
