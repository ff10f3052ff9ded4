// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include "command_groups.hpp"
#include "host_command.hpp"

namespace atomichost::client {
namespace {

class ConfigDiffCommand : public HostCommand {
 public:
  ConfigDiffCommand()
      : HostCommand({.name = "config diff",
                     .summary = "List what differs in /etc from the deployment's defaults",
                     .description = "M: modified, D: removed, A: added here. Content, type, mode "
                                    "and owner count; this is what an upgrade carries over."}) {}

 protected:
  bool has_transaction() const override { return false; }
  int run_with(DaemonClient& client, const Context&, const std::vector<std::string>&) override {
    const auto reply = client.call_os("GetConfigDiff", g_variant_new("(s)", ""));
    const auto list = adopt(g_variant_get_child_value(reply.get(), 0));
    GVariantIter iter;
    g_variant_iter_init(&iter, list.get());
    const char *kind, *path;
    while (g_variant_iter_next(&iter, "(&s&s)", &kind, &path)) fmt::print("{}    {}\n", kind, path);
    return kExitOk;
  }
};

}  // namespace

void add_config_commands(CommandTable& table) {
  table.push_back(std::make_unique<ConfigDiffCommand>());
}

}  // namespace atomichost::client
