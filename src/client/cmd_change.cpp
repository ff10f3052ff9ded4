// SPDX-License-Identifier: LGPL-2.1-or-later
// rollback, cleanup, pin, unpin, cancel, reload, refresh-md, finalize-deployment, usroverlay.
#include <fmt/format.h>
#include <unistd.h>

#include <charconv>

#include "api/names.hpp"
#include "base/error.hpp"
#include "command_groups.hpp"
#include "host_command.hpp"
#include "transaction.hpp"

namespace atomichost::client {
namespace {

Option reboot_option(bool& target) {
  return {.long_name = "reboot",
          .short_name = 'r',
          .help = "Reboot once all is in place",
          .target = &target};
}

class RollbackCommand : public HostCommand {
 public:
  RollbackCommand()
      : HostCommand({.name = "rollback",
                     .summary = "Make the previous deployment the default again",
                     .description = "Swaps the order of the boot entries in one step; neither /etc "
                                    "nor /var of any deployment is touched. Doing it twice undoes "
                                    "it."}) {}

 protected:
  std::vector<Option> own_options() override { return {reboot_option(reboot_)}; }
  int run_with(DaemonClient& client, const Context& context,
               const std::vector<std::string>&) override {
    check_reboot(context, reboot_);
    const auto before = client.deployments();
    transact(client, context, "Rollback", [&] {
      return g_variant_new("(@a{sv})", CallOptions().flag("reboot", reboot_).end());
    });
    if (reboot_) return kExitOk;
    const auto after = client.deployments();
    if (!before.empty() && !after.empty())
      print_package_diff(client, context, before[0].text("id"), after[0].text("id"));
    advise_reboot(client, context, reboot_);
    return kExitOk;
  }

 private:
  bool reboot_ = false;
};

class CleanupCommand : public HostCommand {
 public:
  CleanupCommand()
      : HostCommand({.name = "cleanup",
                     .summary = "Remove deployments and fetched data that are not needed",
                     .description = "Pinned deployments and the booted one always stay."}) {}

 protected:
  std::vector<Option> own_options() override {
    return {{.long_name = "base",
             .short_name = 'b',
             .help = "Remove what interrupted downloads left, and unused objects",
             .target = &base_},
            {.long_name = "pending",
             .short_name = 'p',
             .help = "Remove the deployment that waits for the next boot",
             .target = &pending_},
            {.long_name = "rollback",
             .short_name = 'r',
             .help = "Remove the previous deployment",
             .target = &rollback_},
            {.long_name = "repomd",
             .short_name = 'm',
             .help = "Remove fetched metadata of package repositories",
             .target = &repomd_}};
  }
  int run_with(DaemonClient& client, const Context& context,
               const std::vector<std::string>&) override {
    std::vector<std::string> elements;
    if (base_) elements.emplace_back("base");
    if (pending_) elements.emplace_back("pending-deploy");
    if (rollback_) elements.emplace_back("rollback-deploy");
    if (repomd_) elements.emplace_back("repomd");
    if (elements.empty())
      throw Error(ErrorCode::InvalidInput,
                  "At least one cleanup option must be specified: --base, --pending, --rollback "
                  "or --repomd");
    transact(client, context, "Cleanup",
             [&] { return g_variant_new("(@as)", string_list(elements)); });
    return kExitOk;
  }

 private:
  bool base_ = false, pending_ = false, rollback_ = false, repomd_ = false;
};

class PinCommand : public HostCommand {
 public:
  explicit PinCommand(bool is_pin)
      : HostCommand({.name = is_pin ? "pin" : "unpin",
                     .summary = is_pin ? "Keep a deployment until it is unpinned"
                                       : "Let a deployment be removed again when it is old",
                     .description = "INDEX is the deployment's place in 'atomic status', from 0.",
                     .arguments = {{.name = "INDEX"}}}),
        is_pin_(is_pin) {}

 protected:
  bool has_stateroot() const override { return false; }
  int run_with(DaemonClient& client, const Context& context,
               const std::vector<std::string>& arguments) override {
    const auto all = client.deployments();
    std::size_t index = 0;
    const auto& text = arguments[0];
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
    if (error != std::errc() || end != text.data() + text.size() || index >= all.size())
      throw Error(
          ErrorCode::InvalidInput,
          fmt::format("'{}' is no index of a deployment; there are {} of them", text, all.size()));
    client.choose_os(all[index].text("osname"));
    transact(client, context, "PinDeployment", [&] {
      return g_variant_new("(sb)", all[index].text("id").c_str(), static_cast<gboolean>(is_pin_));
    });
    if (!context.is_quiet) fmt::print("Deployment is now {}\n", is_pin_ ? "pinned" : "unpinned");
    return kExitOk;
  }

 private:
  bool is_pin_;
};

class CancelCommand : public HostCommand {
 public:
  CancelCommand()
      : HostCommand({.name = "cancel",
                     .summary = "Ask the transaction that runs to stop",
                     .description = "What it has fetched so far is kept for the next try."}) {}

 protected:
  bool has_stateroot() const override { return false; }
  bool has_transaction() const override { return false; }
  int run_with(DaemonClient& client, const Context& context,
               const std::vector<std::string>&) override {
    const auto address = client.sysroot_properties().text("ActiveTransactionPath");
    if (address.empty()) {
      fmt::print("No active transaction.\n");
      return kExitOk;
    }
    const auto title = follow_transaction(address, Attach::Cancel, terminal_, context.is_quiet);
    if (!context.is_quiet) fmt::print("Cancelling transaction: {}\n", title);
    client.wait_until_idle();
    if (!context.is_quiet) fmt::print("Cancelled.\n");
    return kExitOk;
  }
};

class ReloadCommand : public HostCommand {
 public:
  ReloadCommand()
      : HostCommand({.name = "reload",
                     .summary = "Have the daemon read its settings and the sysroot again",
                     .description = ""}) {}

 protected:
  bool has_stateroot() const override { return false; }
  bool has_transaction() const override { return false; }
  int run_with(DaemonClient& client, const Context&, const std::vector<std::string>&) override {
    (void)client.call(api::kSysrootPath, api::kSysrootInterface, "Reload", g_variant_new("()"));
    return kExitOk;
  }
};

class RefreshCommand : public HostCommand {
 public:
  RefreshCommand()
      : HostCommand({.name = "refresh-md",
                     .summary = "Fetch what the remote says of its newest version",
                     .description = "Afterwards 'atomic status' shows if there is an update.",
                     .aliases = {"makecache"}}) {}

 protected:
  std::vector<Option> own_options() override {
    return {{.long_name = "force",
             .short_name = 'f',
             .help = "Fetch even if what is there seems recent",
             .target = &force_}};
  }
  int run_with(DaemonClient& client, const Context& context,
               const std::vector<std::string>&) override {
    transact(client, context, "RefreshMd",
             [&] { return g_variant_new("(@a{sv})", CallOptions().flag("force", force_).end()); });
    return kExitOk;
  }

 private:
  bool force_ = false;
};

class FinalizeCommand : public HostCommand {
 public:
  FinalizeCommand()
      : HostCommand({.name = "finalize-deployment",
                     .summary = "Unlock the staged deployment and reboot into it",
                     .description = "CHECKSUM must be that of the staged deployment's commit.",
                     .arguments = {{.name = "CHECKSUM", .is_required = false}}}) {}

 protected:
  std::vector<Option> own_options() override {
    return {
        {.long_name = "allow-missing-checksum", .help = "Take whatever is staged", .target = &any_},
        {.long_name = "allow-unlocked",
         .help = "The staged deployment need not be locked",
         .target = &unlocked_}};
  }
  int run_with(DaemonClient& client, const Context& context,
               const std::vector<std::string>& arguments) override {
    if (arguments.empty() && !any_)
      throw Error(ErrorCode::InvalidInput, "Must specify CHECKSUM, or --allow-missing-checksum");
    check_reboot(context, true);
    transact(client, context, "FinalizeDeployment", [&] {
      return g_variant_new("(@a{sv})", CallOptions()
                                           .text("checksum", arguments.empty() ? "" : arguments[0])
                                           .flag("allow-missing-checksum", any_)
                                           .flag("allow-unlocked", unlocked_)
                                           .end());
    });
    return kExitOk;
  }

 private:
  bool any_ = false, unlocked_ = false;
};

/// Mounts are made in the caller's own mount namespace, not in the daemon's: no call to it.
class OverlayCommand : public Command {
 public:
  OverlayCommand()
      : Command({.name = "usroverlay",
                 .summary = "Make /usr writable until the next boot",
                 .description = "Mounts a temporary overlay on /usr of the booted deployment, by "
                                "means of ostree(1).",
                 .aliases = {"unlock"}}) {}
  int run(const Context& context, const std::vector<std::string>&) override {
    std::vector<std::string> words{"ostree", "admin", "unlock"};
    if (context.sysroot) words.push_back("--sysroot=" + *context.sysroot);
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    execvp(argv[0], argv.data());
    throw_errno("Running ostree");
  }
};

}  // namespace

void add_change_commands(CommandTable& table) {
  table.push_back(std::make_unique<RollbackCommand>());
  table.push_back(std::make_unique<CleanupCommand>());
  table.push_back(std::make_unique<PinCommand>(true));
  table.push_back(std::make_unique<PinCommand>(false));
  table.push_back(std::make_unique<CancelCommand>());
  table.push_back(std::make_unique<ReloadCommand>());
  table.push_back(std::make_unique<RefreshCommand>());
  table.push_back(std::make_unique<FinalizeCommand>());
  table.push_back(std::make_unique<OverlayCommand>());
}

}  // namespace atomichost::client
