// SPDX-License-Identifier: LGPL-2.1-or-later
// upgrade, deploy, rebase.
#include <fmt/format.h>

#include "base/error.hpp"
#include "command_groups.hpp"
#include "host_command.hpp"
#include "status_text.hpp"
#include "transaction.hpp"

namespace atomichost::client {
namespace {

/// The options that the three share, and what follows an update.
class UpdateCommand : public HostCommand {
 public:
  using HostCommand::HostCommand;

 protected:
  std::vector<Option> shared_options() {
    return {{.long_name = "reboot",
             .short_name = 'r',
             .help = "Reboot once all is in place",
             .target = &reboot_},
            {.long_name = "cache-only",
             .short_name = 'C',
             .help = "Use only what was fetched before",
             .target = &cache_only_},
            {.long_name = "download-only",
             .help = "Fetch, but do not deploy",
             .target = &download_only_},
            {.long_name = "lock-finalization",
             .help = "Keep the new deployment from becoming real until finalize-deployment",
             .target = &lock_finalization_},
            {.long_name = "bypass-driver",
             .help = "No effect",
             .is_hidden = true,
             .target = &ignored_}};
  }
  Option unchanged_option() {
    return {.long_name = "unchanged-exit-77",
            .help = "Exit with status 77 when there is nothing new",
            .aliases = {"upgrade-unchanged-exit-77"},
            .target = &unchanged_exit_77_};
  }

  CallOptions call_options(const Context& context) const {
    CallOptions options;
    options.flag("reboot", reboot_)
        .flag("cache-only", cache_only_)
        .flag("download-only", download_only_)
        .flag("lock-finalization", lock_finalization_)
        .text("initiating-command-line", context.command_line);
    return options;
  }

  /// Run the transaction, then say what changed.
  int update(DaemonClient& client, const Context& context, const std::string& method,
             const std::function<GVariant*()>& arguments) {
    check_reboot(context, reboot_);
    const auto before = default_of(client);
    transact(client, context, method, arguments);
    if (reboot_) return kExitOk;
    const auto after = default_of(client);
    if (after == before) {
      if (download_only_ && !context.is_quiet) fmt::print("Update downloaded.\n");
      return unchanged_exit_77_ && !download_only_ ? kExitUnchanged : kExitOk;
    }
    print_package_diff(client, context, before, after);
    advise_reboot(client, context, reboot_);
    return kExitOk;
  }

  /// Show what the update that was just looked for would bring.
  int show_preview(DaemonClient& client, const Context& context, const Fields& update, bool whole) {
    fmt::print("{}", update_text(update, terminal_));
    if (whole) {
      const auto reply = client.call_os("GetCachedUpdateRpmDiff", g_variant_new("(s)", ""));
      fmt::print(
          "{}", package_diff_text(adopt(g_variant_get_child_value(reply.get(), 0)).get(), context));
    }
    return kExitOk;
  }

  static std::string default_of(DaemonClient& client) {
    const auto dict = client.os_properties().value("DefaultDeployment", "a{sv}");
    return dict ? Fields(adopt(g_variant_ref(dict.get()))).text("id") : "";
  }

  bool reboot_ = false, cache_only_ = false, download_only_ = false, lock_finalization_ = false,
       unchanged_exit_77_ = false, ignored_ = false;
};

class UpgradeCommand : public UpdateCommand {
 public:
  UpgradeCommand()
      : UpdateCommand(
            {.name = "upgrade",
             .summary = "Fetch the newest version of what this host follows, and deploy it",
             .description = "A static delta is used where the server has one that fits. What an "
                            "interrupted upgrade fetched is not fetched again. The running system "
                            "is not touched; the new one is used from the next boot on.",
             .aliases = {"update"}}) {}

 protected:
  std::vector<Option> own_options() override {
    auto all = shared_options();
    all.push_back({.long_name = "allow-downgrade",
                   .help = "Take a version that is older than the current one, too",
                   .target = &allow_downgrade_});
    all.push_back({.long_name = "check",
                   .help = "Just say if there is an update; exit with status 77 when not",
                   .aliases = {"check-diff"},
                   .target = &check_});
    all.push_back({.long_name = "preview",
                   .help = "Like --check, and say what would change",
                   .target = &preview_});
    all.push_back(unchanged_option());
    all.push_back({.long_name = "trigger-automatic-update-policy",
                   .help = "Do what AutomaticUpdatePolicy says",
                   .is_hidden = true,
                   .target = &automatic_});
    return all;
  }

  int run_with(DaemonClient& client, const Context& context,
               const std::vector<std::string>&) override {
    if (automatic_) return trigger(client, context);
    if (check_ || preview_) return check(client, context);
    return update(client, context, "Upgrade", [&] {
      return g_variant_new("(@a{sv})",
                           call_options(context).flag("allow-downgrade", allow_downgrade_).end());
    });
  }

 private:
  int check(DaemonClient& client, const Context& context) {
    if (!cache_only_)
      transact(client, context, preview_ ? "DownloadConfigPreview" : "DownloadUpdateRpmDiff",
               [] { return g_variant_new("()"); });
    const auto dict = client.os_properties().value("CachedUpdate", "a{sv}");
    const Fields update(dict ? adopt(g_variant_ref(dict.get()))
                             : sink(g_variant_new("a{sv}", nullptr)));
    if (update.is_empty()) {
      fmt::print("No updates available.\n");
      return kExitUnchanged;
    }
    show_preview(client, context, update, preview_);
    if (preview_) show_config(client);
    return kExitOk;
  }

  /// Which local files in /etc the update cannot bring up to date.
  static void show_config(DaemonClient& client) {
    const auto reply = client.call_os("GetConfigPreview", g_variant_new("()"));
    const auto list = adopt(g_variant_get_child_value(reply.get(), 0));
    std::string shadowed, conflicts;
    GVariantIter iter;
    g_variant_iter_init(&iter, list.get());
    const char *kind, *path;
    while (g_variant_iter_next(&iter, "(&s&s)", &kind, &path))
      (std::string_view(kind) == "conflict" ? conflicts : shadowed) +=
          fmt::format("  /etc/{}\n", path);
    if (!shadowed.empty()) fmt::print("Local files that hide a changed default:\n{}", shadowed);
    if (!conflicts.empty())
      fmt::print("Local files in the way of a new directory (the upgrade will fail):\n{}",
                 conflicts);
  }

  int trigger(DaemonClient& client, const Context& context) {
    const auto reply =
        client.call_os("AutomaticUpdateTrigger", g_variant_new("(@a{sv})", CallOptions().end()));
    gboolean is_enabled = FALSE;
    const char* address = nullptr;
    g_variant_get(reply.get(), "(b&s)", &is_enabled, &address);
    if (!is_enabled) {
      fmt::print("Automatic updates are disabled.\n");
      return kExitOk;
    }
    follow_transaction(address, Attach::Start, terminal_, context.is_quiet);
    return kExitOk;
  }

  bool allow_downgrade_ = false, check_ = false, preview_ = false, automatic_ = false;
};

class DeployCommand : public UpdateCommand {
 public:
  DeployCommand()
      : UpdateCommand({.name = "deploy",
                       .summary = "Deploy one certain version of the branch this host follows",
                       .description =
                           "REVISION is a commit checksum or a version number; 'revision=' or "
                           "'version=' in front makes sure which. The host stays on it until the "
                           "next upgrade.",
                       .arguments = {{.name = "REVISION"}}}) {}

 protected:
  std::vector<Option> own_options() override {
    auto all = shared_options();
    all.push_back(
        {.long_name = "preview", .help = "Just say what would change", .target = &preview_});
    all.push_back({.long_name = "skip-branch-check",
                   .help = "The commit need not belong to the branch",
                   .target = &skip_branch_check_});
    all.push_back({.long_name = "disallow-downgrade",
                   .help = "Refuse a version that is older than the current one",
                   .target = &disallow_downgrade_});
    all.push_back(unchanged_option());
    return all;
  }

  int run_with(DaemonClient& client, const Context& context,
               const std::vector<std::string>& arguments) override {
    const auto& revision = arguments[0];
    if (preview_) {
      auto empty = [] { return string_list({}); };
      if (!cache_only_)
        transact(client, context, "DownloadDeployRpmDiff",
                 [&] { return g_variant_new("(s@as)", revision.c_str(), empty()); });
      const auto reply = client.call_os("GetCachedDeployRpmDiff",
                                        g_variant_new("(s@as)", revision.c_str(), empty()));
      fmt::print(
          "{}", package_diff_text(adopt(g_variant_get_child_value(reply.get(), 0)).get(), context));
      return kExitOk;
    }
    return update(client, context, "Deploy", [&] {
      auto options = call_options(context);
      options.flag("skip-branch-check", skip_branch_check_);
      return g_variant_new("(s@a{sv})", revision.c_str(), with_age(options).end());
    });
  }

 private:
  CallOptions& with_age(CallOptions& options) const {
    return disallow_downgrade_ ? options.unset("allow-downgrade") : options;
  }
  bool preview_ = false, skip_branch_check_ = false, disallow_downgrade_ = false;
};

class RebaseCommand : public UpdateCommand {
 public:
  RebaseCommand()
      : UpdateCommand({.name = "rebase",
                       .summary = "Follow another branch from now on, and deploy it",
                       .description =
                           "REFSPEC is REMOTE:BRANCH, or a commit checksum that is in this host's "
                           "repository. Without REMOTE: the remote stays the same; REMOTE: alone "
                           "keeps the branch. /etc and /var stay as they are.",
                       .arguments = {{.name = "REFSPEC", .is_required = false},
                                     {.name = "REVISION", .is_required = false}}}) {}

 protected:
  std::vector<Option> own_options() override {
    auto all = shared_options();
    all.push_back({.long_name = "branch",
                   .short_name = 'b',
                   .value_name = "BRANCH",
                   .help = "Follow this branch of the current remote",
                   .target = &branch_});
    all.push_back({.long_name = "remote",
                   .short_name = 'm',
                   .value_name = "REMOTE",
                   .help = "Follow the branch on this remote",
                   .target = &remote_});
    all.push_back({.long_name = "skip-purge",
                   .help = "Keep what was fetched of the old branch",
                   .target = &skip_purge_});
    all.push_back({.long_name = "disallow-downgrade",
                   .help = "Refuse a version that is older than the current one",
                   .target = &disallow_downgrade_});
    all.push_back({.long_name = "custom-origin-url",
                   .value_name = "URL",
                   .help = "Show this as the origin",
                   .target = &custom_url_});
    all.push_back({.long_name = "custom-origin-description",
                   .value_name = "TEXT",
                   .help = "Say this of the custom origin",
                   .target = &custom_description_});
    all.push_back(
        {.long_name = "experimental", .help = "No effect", .is_hidden = true, .target = &ignored_});
    return all;
  }

  int run_with(DaemonClient& client, const Context& context,
               const std::vector<std::string>& arguments) override {
    if (arguments.empty() == !(branch_ || remote_))
      throw Error(ErrorCode::InvalidInput,
                  "Give either REFSPEC, or --branch and --remote as needed");
    std::string refspec = arguments.empty() ? "" : arguments[0];
    if (refspec.empty())
      refspec = (remote_ ? *remote_ + ":" : std::string()) + branch_.value_or("");
    const std::string revision = arguments.size() > 1 ? arguments[1] : "";
    return update(client, context, "Rebase", [&] {
      auto options = call_options(context);
      options.flag("skip-purge", skip_purge_).text("revision", revision);
      if (disallow_downgrade_) options.unset("allow-downgrade");
      if (custom_url_ || custom_description_)
        options.pair("custom-origin", custom_url_.value_or(""), custom_description_.value_or(""));
      return g_variant_new("(@a{sv}s@as)", options.end(), refspec.c_str(), string_list({}));
    });
  }

 private:
  std::optional<std::string> branch_, remote_, custom_url_, custom_description_;
  bool skip_purge_ = false, disallow_downgrade_ = false;
};

}  // namespace

void add_update_commands(CommandTable& table) {
  table.push_back(std::make_unique<UpgradeCommand>());
  table.push_back(std::make_unique<DeployCommand>());
  table.push_back(std::make_unique<RebaseCommand>());
}

}  // namespace atomichost::client
