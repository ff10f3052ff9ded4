// SPDX-License-Identifier: LGPL-2.1-or-later
#include "host_command.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "api/names.hpp"
#include "base/error.hpp"
#include "transaction.hpp"

namespace atomichost::client {

std::vector<Option> HostCommand::options() {
  auto all = own_options();
  if (has_stateroot())
    all.push_back({.long_name = "stateroot",
                   .value_name = "NAME",
                   .help = "Act on this stateroot instead of the booted one",
                   .aliases = {"os"},
                   .target = &stateroot_});
  if (has_transaction()) {
    all.push_back({.long_name = "no-wait",
                   .help = "Fail at once when another transaction runs, instead of waiting",
                   .target = &no_wait_});
    all.push_back({.long_name = "wait",
                   .help = "Wait for another transaction to end",
                   .is_hidden = true,
                   .target = &wait_});
  }
  return all;
}

int HostCommand::run(const Context& context, const std::vector<std::string>& arguments) {
  DaemonClient client(context);
  if (has_stateroot()) client.choose_os(stateroot_);
  return run_with(client, context, arguments);
}

void HostCommand::transact(DaemonClient& client, const Context& context, const std::string& method,
                           const std::function<GVariant*()>& arguments) {
  for (;;) {
    try {
      const auto address = client.call_for_address(method, arguments());
      follow_transaction(address, Attach::Start, terminal_, context.is_quiet);
      return;
    } catch (const Error& e) {
      if (e.code() != ErrorCode::Busy || no_wait_) throw;
      if (!context.is_quiet) {
        fmt::print(stderr, "Waiting: {}\n", e.what());
        fflush(stderr);
      }
    }
    client.wait_until_idle();
  }
}

void HostCommand::check_reboot(const Context& context, bool reboot) {
  if (reboot && context.sysroot && *context.sysroot != "/")
    throw Error(ErrorCode::InvalidInput,
                fmt::format("--reboot does not go with --sysroot={}: it would reboot this machine, "
                            "which does not run from there",
                            *context.sysroot));
}

void HostCommand::advise_reboot(DaemonClient& client, const Context& context, bool reboot) {
  if (reboot || context.is_quiet) return;
  const auto all = client.deployments();
  if (std::ranges::any_of(all, [](const Fields& d) { return d.flag("booted"); }))
    fmt::print("Run \"systemctl reboot\" to start a reboot\n");
}

std::string package_diff_text(GVariant* diff, const Context& context) {
  using api::PackageChange;
  std::vector<std::string> changed, downgraded, removed, added;
  for (gsize i = 0; i < g_variant_n_children(diff); ++i) {
    const char* name = nullptr;
    guint32 kind = 0;
    GVariant* dict = nullptr;
    g_variant_get_child(diff, i, "(&su@a{sv})", &name, &kind, &dict);
    const Fields fields{adopt(dict)};
    auto package = [&](const char* key) {
      const auto value = fields.value(key, "(sss)");
      const char *pkg_name = "", *evr = "", *arch = "";
      if (value) g_variant_get(value.get(), "(&s&s&s)", &pkg_name, &evr, &arch);
      return std::array<std::string, 3>{pkg_name, evr, arch};
    };
    const auto before = package("PreviousPackage"), after = package("NewPackage");
    const auto change = fmt::format("{} {} -> {}", name, before[1], after[1]);
    switch (static_cast<PackageChange>(kind)) {
      case PackageChange::Upgraded:
        changed.push_back(change);
        break;
      case PackageChange::Downgraded:
        downgraded.push_back(change);
        break;
      case PackageChange::Removed:
        removed.push_back(fmt::format("{}-{}.{}", before[0], before[1], before[2]));
        break;
      case PackageChange::Added:
        added.push_back(fmt::format("{}-{}.{}", after[0], after[1], after[2]));
        break;
    }
  }
  // The older tool has one list of changes, the one that scripts know has two.
  const bool is_compatible = context.program == "rpm-ostree";
  if (!is_compatible) {
    for (const auto& line : downgraded) changed.push_back(line + " (downgrade)");
    std::ranges::sort(changed);
    downgraded.clear();
  }
  std::string text;
  auto add = [&](const char* title, const std::vector<std::string>& lines) {
    if (lines.empty()) return;
    text += fmt::format("{}:\n", title);
    for (const auto& line : lines) text += "  " + line + "\n";
  };
  add(is_compatible ? "Upgraded" : "Changed", changed);
  add("Downgraded", downgraded);
  add("Removed", removed);
  add("Added", added);
  return text;
}

void HostCommand::print_package_diff(DaemonClient& client, const Context& context,
                                     const std::string& from, const std::string& to) {
  if (context.is_quiet || from.empty() || from == to) return;
  try {
    const auto reply =
        client.call_os("GetDeploymentsRpmDiff", g_variant_new("(ss)", from.c_str(), to.c_str()));
    fmt::print("{}",
               package_diff_text(adopt(g_variant_get_child_value(reply.get(), 0)).get(), context));
  } catch (const Error& e) {
    if (e.code() != ErrorCode::NotFound) throw;  // commits without packages are fine
  }
}

}  // namespace atomichost::client
