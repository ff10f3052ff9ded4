// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>
#include <sys/wait.h>

#include <charconv>
#include <cstdlib>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/strings.hpp"
#include "command_groups.hpp"
#include "host_command.hpp"

namespace atomichost::client {
namespace {

class KargsCommand : public HostCommand {
 public:
  KargsCommand()
      : HostCommand({.name = "kargs",
                     .summary = "Show or change the kernel's arguments",
                     .description =
                         "Without options prints those of the newest deployment. A change makes "
                         "a new deployment of the same commit."}) {}

 protected:
  std::vector<Option> own_options() override {
    return {{.long_name = "append",
             .value_name = "KEY=VALUE",
             .help = "Add an argument",
             .target = &append_},
            {.long_name = "replace",
             .value_name = "KEY=VALUE[=NEW]",
             .help = "Replace the value of an argument",
             .target = &replace_},
            {.long_name = "delete",
             .value_name = "KEY=VALUE",
             .help = "Remove an argument",
             .target = &delete_},
            {.long_name = "append-if-missing",
             .value_name = "KEY=VALUE",
             .help = "Add an argument unless it is there",
             .target = &append_if_missing_},
            {.long_name = "delete-if-present",
             .value_name = "KEY=VALUE",
             .help = "Remove an argument if it is there",
             .target = &delete_if_present_},
            {.long_name = "deploy-index",
             .value_name = "INDEX",
             .help = "Begin with the arguments of this deployment",
             .target = &index_},
            {.long_name = "import-proc-cmdline",
             .help = "Begin with the arguments of the running kernel",
             .target = &import_},
            {.long_name = "editor", .help = "Edit the arguments in $EDITOR", .target = &editor_},
            {.long_name = "lock-finalization",
             .help = "Keep the new deployment from becoming real until finalize-deployment",
             .target = &lock_finalization_},
            {.long_name = "unchanged-exit-77",
             .help = "Exit with status 77 when nothing would change",
             .target = &unchanged_exit_77_},
            {.long_name = "reboot",
             .short_name = 'r',
             .help = "Reboot once all is in place",
             .target = &reboot_}};
  }

  int run_with(DaemonClient& client, const Context& context,
               const std::vector<std::string>&) override {
    const bool has_edit = !(append_.empty() && replace_.empty() && delete_.empty() &&
                            append_if_missing_.empty() && delete_if_present_.empty());
    if (editor_ && has_edit)
      throw Error(ErrorCode::InvalidInput, "--editor does not go with other changes");
    if (import_ && index_)
      throw Error(ErrorCode::InvalidInput,
                  "--import-proc-cmdline and --deploy-index exclude each other");
    const std::string base = arguments_to_begin_with(client);
    if (!has_edit && !editor_ && !(import_ && reboot_)) {
      fmt::print("{}\n", base);
      return kExitOk;
    }
    check_reboot(context, reboot_);
    std::string final_arguments;
    if (editor_) {
      final_arguments = edit(base);
      if (final_arguments == base) {
        fmt::print("No changes.\n");
        return unchanged_exit_77_ ? kExitUnchanged : kExitOk;
      }
    }
    const auto before = client.deployments();
    transact(client, context, "KernelArgs", [&] {
      return g_variant_new("(s@as@as@as@a{sv})", base.c_str(), string_list(append_),
                           string_list(replace_), string_list(delete_),
                           CallOptions()
                               .list("append-if-missing", append_if_missing_)
                               .list("delete-if-present", delete_if_present_)
                               .text("final-kernel-args", final_arguments)
                               .text("initiating-command-line", context.command_line)
                               .flag("lock-finalization", lock_finalization_)
                               .flag("reboot", reboot_)
                               .end());
    });
    if (reboot_) return kExitOk;
    const auto after = client.deployments();
    const bool is_changed = before.empty() || before[0].text("id") != after.at(0).text("id");
    if (!is_changed) return unchanged_exit_77_ ? kExitUnchanged : kExitOk;
    if (!context.is_quiet) fmt::print("Kernel arguments updated.\n");
    advise_reboot(client, context, reboot_);
    return kExitOk;
  }

 private:
  std::string arguments_to_begin_with(DaemonClient& client) {
    if (import_) return std::string(trim(read_file("/proc/cmdline")));
    std::string id;
    if (index_) {
      const auto all = client.deployments();
      std::size_t index = 0;
      const auto [end, error] =
          std::from_chars(index_->data(), index_->data() + index_->size(), index);
      if (error != std::errc() || end != index_->data() + index_->size() || index >= all.size())
        throw Error(ErrorCode::InvalidInput,
                    fmt::format("--deploy-index: '{}' is no index of a deployment; there are {}",
                                *index_, all.size()));
      id = all[index].text("id");
    }
    const auto reply =
        client.call_os("GetDeploymentBootConfig",
                       g_variant_new("(sb)", id.c_str(), static_cast<gboolean>(id.empty())));
    return Fields(adopt(g_variant_get_child_value(reply.get(), 0))).text("options");
  }

  static std::string edit(const std::string& base) {
    const TempDir folder;
    const auto file = folder.path() / "kernel-arguments";
    replace_file(file,
                 "# One line or several; lines that begin with # do not count.\n" + base + "\n");
    const char* editor = getenv("VISUAL");
    if (!editor || !*editor) editor = getenv("EDITOR");
    if (!editor || !*editor) editor = "vi";
    const std::string command = std::string(editor) + " " + shell_quote(file.string());
    const int status = system(command.c_str());  // the user's own words, in the user's terminal
    if (status < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
      throw Error(ErrorCode::Failed,
                  fmt::format("The editor '{}' failed; nothing changed", editor));
    std::vector<std::string> words;
    for (const auto& line : split(read_file(file), '\n')) {
      if (trim(line).starts_with('#')) continue;
      for (auto& word : split_whitespace(line)) words.push_back(std::move(word));
    }
    if (words.empty())
      throw Error(ErrorCode::InvalidInput, "No arguments were left; nothing changed");
    return join(words, " ");
  }

  std::vector<std::string> append_, replace_, delete_, append_if_missing_, delete_if_present_;
  std::optional<std::string> index_;
  bool import_ = false, editor_ = false, lock_finalization_ = false, unchanged_exit_77_ = false,
       reboot_ = false;
};

}  // namespace

void add_kargs_commands(CommandTable& table) {
  table.push_back(std::make_unique<KargsCommand>());
}

}  // namespace atomichost::client
