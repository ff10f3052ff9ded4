// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "base/error.hpp"
#include "base/json.hpp"
#include "command_groups.hpp"
#include "host_command.hpp"
#include "status_text.hpp"

namespace atomichost::client {
namespace {

class StatusCommand : public HostCommand {
 public:
  StatusCommand()
      : HostCommand({.name = "status",
                     .summary = "Show the deployments: what is booted, what comes next",
                     .description = "The first deployment listed is the default for the next boot; "
                                    "the bullet marks the booted one. Needs no privileges."}) {}

 protected:
  bool has_stateroot() const override { return false; }
  bool has_transaction() const override { return false; }
  std::vector<Option> own_options() override {
    return {{.long_name = "verbose",
             .short_name = 'v',
             .help = "Show more about each deployment",
             .target = &is_verbose_},
            {.long_name = "json", .help = "Print JSON", .target = &json_},
            {.long_name = "jsonpath",
             .short_name = 'J',
             .value_name = "EXPRESSION",
             .help = "Print the parts of the JSON that a JSONPath expression selects",
             .target = &json_path_},
            {.long_name = "booted",
             .short_name = 'b',
             .help = "Show only the booted deployment",
             .target = &only_booted_},
            {.long_name = "pending-exit-77",
             .help = "Exit with status 77 when a deployment waits for the next boot",
             .target = &pending_exit_77_},
            {.long_name = "pretty",
             .short_name = 'p',
             .help = "No effect",
             .is_hidden = true,
             .target = &ignored_}};
  }

  int run_with(DaemonClient& client, const Context&, const std::vector<std::string>&) override {
    if (json_ && json_path_)
      throw Error(ErrorCode::InvalidInput, "--json and --jsonpath exclude each other");
    const auto sysroot = client.sysroot_properties();
    const auto list = sysroot.value("Deployments", "aa{sv}");
    auto all = list ? fields_of(list.get()) : std::vector<Fields>();
    const bool has_pending =
        !all.empty() && !all[0].flag("booted") &&
        std::ranges::any_of(all, [](const Fields& d) { return d.flag("booted"); });
    const Fields cached = cached_update(client, all);
    if (only_booted_) {
      std::erase_if(all, [](const Fields& d) { return !d.flag("booted"); });
      if (all.empty())
        throw Error(ErrorCode::NotFound, "This system was not booted from an OSTree deployment");
    }
    if (json_ || json_path_)
      print_json(sysroot, all, cached);
    else
      fmt::print("{}", status_text({.sysroot = sysroot,
                                    .deployments = all,
                                    .cached_update = cached,
                                    .terminal = terminal_,
                                    .is_verbose = is_verbose_}));
    return pending_exit_77_ && has_pending ? kExitUnchanged : kExitOk;
  }

 private:
  /// Of the booted stateroot, else of the first.
  static Fields cached_update(DaemonClient& client, const std::vector<Fields>& all) {
    if (all.empty()) return Fields(sink(g_variant_new("a{sv}", nullptr)));
    const Fields* chosen = &all[0];
    for (const auto& d : all)
      if (d.flag("booted")) chosen = &d;
    client.choose_os(chosen->text("osname"));
    const auto dict = client.os_properties().value("CachedUpdate", "a{sv}");
    return Fields(dict ? adopt(g_variant_ref(dict.get())) : sink(g_variant_new("a{sv}", nullptr)));
  }

  void print_json(const Fields& sysroot, const std::vector<Fields>& all, const Fields& cached) {
    const auto builder = adopt(json_builder_new());
    auto add = [&](const char* name, GVariant* value) {
      json_builder_set_member_name(builder.get(), name);
      if (value)
        json_builder_add_value(builder.get(), json_gvariant_serialize(value));
      else
        json_builder_add_null_value(builder.get());
    };
    json_builder_begin_object(builder.get());
    json_builder_set_member_name(builder.get(), "deployments");
    json_builder_begin_array(builder.get());
    for (const auto& d : all)
      json_builder_add_value(builder.get(), json_gvariant_serialize(d.variant()));
    json_builder_end_array(builder.get());
    const auto transaction = sysroot.value("ActiveTransaction", "(sss)");
    const bool is_active = !sysroot.text("ActiveTransactionPath").empty();
    add("transaction", is_active ? transaction.get() : nullptr);
    add("cached-update", cached.is_empty() ? nullptr : cached.variant());
    add("update-driver", nullptr);
    json_builder_end_object(builder.get());
    const auto root = adopt(json_builder_get_root(builder.get()));
    if (!json_path_) {
      fmt::print("{}", json_to_string(root.get()));
      return;
    }
    GErrorSink error;
    const auto found = adopt(json_path_query(json_path_->c_str(), root.get(), error));
    if (!found)
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("--jsonpath: '{}': {}", *json_path_, error.get()->message));
    fmt::print("{}", json_to_string(found.get()));
  }

  bool is_verbose_ = false, json_ = false, only_booted_ = false, pending_exit_77_ = false,
       ignored_ = false;
  std::optional<std::string> json_path_;
};

}  // namespace

void add_status_commands(CommandTable& table) {
  table.push_back(std::make_unique<StatusCommand>());
}

}  // namespace atomichost::client
