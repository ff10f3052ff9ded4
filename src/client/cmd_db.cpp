// SPDX-License-Identifier: LGPL-2.1-or-later
// db list, db diff, db version: what packages commits hold. They read a repository, without the
// daemon unless they have to ask it which commits are deployed.
#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <map>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/strings.hpp"
#include "base/subprocess.hpp"
#include "command_groups.hpp"
#include "daemon_client.hpp"
#include "program_paths.hpp"

namespace atomichost::client {
namespace {

class DbCommand : public Command {
 public:
  using Command::Command;
  std::vector<Option> options() override {
    return {{.long_name = "repo",
             .short_name = 'r',
             .value_name = "FOLDER",
             .help = "Read this repository instead of the host's",
             .target = &repo_}};
  }

 protected:
  using Lines = std::vector<std::vector<std::string>>;

  /// The lines that the daemon program answers, divided into fields.
  Lines query(const Context& context, std::vector<std::string> words) const {
    std::string repo = context.sysroot.value_or("") + "/ostree/repo";
    if (repo_) repo = *repo_;
    words.insert(words.begin() + 1, repo);
    Command_ command{.argv = {find_program("atomicd", "daemon"), "query"}};
    command.argv.insert(command.argv.end(), words.begin(), words.end());
    command.output_limit = 64U << 20U;
    const auto result = run_command(command);
    if (!result.ok()) {
      auto text = std::string(trim(result.error_output));
      if (text.starts_with("error: ")) text.erase(0, 7);
      throw Error(ErrorCode::Failed, text.empty() ? "atomicd is not installed" : text);
    }
    Lines lines;
    for (const auto& line : split(result.output, '\n'))
      if (!line.empty()) lines.push_back(split(line, '\t'));
    return lines;
  }

  std::optional<std::string> repo_;

 private:
  using Command_ = atomichost::Command;
};

class DbListCommand : public DbCommand {
 public:
  DbListCommand()
      : DbCommand({.name = "db list",
                   .summary = "List the packages of a commit",
                   .description = "PATTERN is a shell pattern for package names.",
                   .arguments = {{.name = "COMMIT"},
                                 {.name = "PATTERN", .is_required = false, .is_repeated = true}}}) {
  }
  int run(const Context& context, const std::vector<std::string>& arguments) override {
    const auto lines = query(context, {"packages", arguments[0]});
    fmt::print("ostree commit: {} ({})\n", arguments[0], lines.at(0).at(0));
    for (const auto& p : lines) {
      if (p.size() != 3) continue;
      const bool is_wanted =
          arguments.size() == 1 ||
          std::any_of(arguments.begin() + 1, arguments.end(), [&](const std::string& pattern) {
            return fnmatch(pattern.c_str(), p[0].c_str(), 0) == 0;
          });
      if (is_wanted) fmt::print(" {}-{}.{}\n", p[0], p[1], p[2]);
    }
    return kExitOk;
  }
};

class DbVersionCommand : public DbCommand {
 public:
  DbVersionCommand()
      : DbCommand({.name = "db version",
                   .summary = "Print a number that changes with the packages of a commit",
                   .description = "Two commits with the same packages have the same number.",
                   .arguments = {{.name = "COMMIT", .is_repeated = true}}}) {}
  int run(const Context& context, const std::vector<std::string>& arguments) override {
    for (const auto& commit : arguments) {
      const auto lines = query(context, {"packages", commit});
      std::string all;
      std::size_t count = 0;
      for (const auto& p : lines) {
        if (p.size() != 3) continue;
        ++count;
        all += join(p, "\t") + "\n";
      }
      fmt::print(
          "ostree commit: {} ({})\n  rpmdbv is: {:>24}:{}\n", commit, lines.at(0).at(0), count,
          adopt(g_compute_checksum_for_data(
                    G_CHECKSUM_SHA1, reinterpret_cast<const guchar*>(all.data()), all.size()))
              .get());
    }
    return kExitOk;
  }
};

class DbDiffCommand : public DbCommand {
 public:
  DbDiffCommand()
      : DbCommand({.name = "db diff",
                   .summary = "Show which packages differ between two commits",
                   .description = "Without arguments: between the booted deployment (or else the "
                                  "default one) and the pending or the previous one. With one: "
                                  "between the booted one and that.",
                   .arguments = {{.name = "FROM", .is_required = false},
                                 {.name = "TO", .is_required = false}}}) {}
  std::vector<Option> options() override {
    auto all = DbCommand::options();
    all.push_back({.long_name = "format",
                   .short_name = 'F',
                   .value_name = "FORMAT",
                   .help = "block (for people), diff or json",
                   .target = &format_});
    return all;
  }
  int run(const Context& context, const std::vector<std::string>& arguments) override {
    const std::string format = format_.value_or("block");
    if (format != "block" && format != "diff" && format != "json")
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("--format: '{}' is not one of block, diff, json", format));
    const auto [from, to] = commits(context, arguments);
    const auto lines = query(context, {"diff", from, to});
    if (format == "json") return print_json(lines), kExitOk;
    if (format == "block")
      fmt::print("ostree diff commit from: {} ({})\nostree diff commit to:   {} ({})\n", from,
                 lines.at(0).at(0), to, lines.at(1).at(0));
    if (format == "block")
      print_block(lines, context);
    else
      print_diff(lines);
    return kExitOk;
  }

 private:
  std::pair<std::string, std::string> commits(const Context& context,
                                              const std::vector<std::string>& arguments) {
    if (arguments.size() == 2) return {arguments[0], arguments[1]};
    if (repo_) throw Error(ErrorCode::InvalidInput, "With --repo both FROM and TO must be given");
    DaemonClient client(context);
    client.choose_os(std::nullopt);
    const auto os = client.os_properties();
    auto checksum = [&](const char* role) {
      const auto dict = os.value(role, "a{sv}");
      return dict ? Fields(adopt(g_variant_ref(dict.get()))).text("checksum") : std::string();
    };
    const auto booted = checksum("BootedDeployment"), newest = checksum("DefaultDeployment"),
               rollback = checksum("RollbackDeployment");
    const std::string from = booted.empty() ? newest : booted;
    if (arguments.size() == 1) return {from, arguments[0]};
    if (!booted.empty() && newest != booted) return {booted, newest};
    if (rollback.empty())
      throw Error(ErrorCode::NotFound, "No pending or rollback deployment found");
    return {rollback, from};
  }

  static void print_block(const Lines& lines, const Context& context) {
    const bool is_compatible = context.program == "rpm-ostree";
    std::map<std::string, std::vector<std::string>> groups;
    for (const auto& l : lines) {
      if (l.size() != 6) continue;
      if (l[0] == "upgraded" || l[0] == "downgraded") {
        const bool is_up = l[0] == "upgraded" || !is_compatible;
        groups[is_up ? "Upgraded" : "Downgraded"].push_back(
            fmt::format("{} {} -> {}{}", l[1], l[2], l[4],
                        l[0] == "downgraded" && !is_compatible ? " (downgrade)" : ""));
      } else if (l[0] == "removed") {
        groups["Removed"].push_back(fmt::format("{}-{}.{}", l[1], l[2], l[3]));
      } else {
        groups["Added"].push_back(fmt::format("{}-{}.{}", l[1], l[4], l[5]));
      }
    }
    for (const char* title : {"Upgraded", "Downgraded", "Removed", "Added"}) {
      auto& group = groups[title];
      if (group.empty()) continue;
      std::ranges::sort(group);
      fmt::print("{}:\n",
                 std::string_view(title) == "Upgraded" && !is_compatible ? "Changed" : title);
      for (const auto& line : group) fmt::print("  {}\n", line);
    }
  }

  static void print_diff(const Lines& lines) {
    for (const auto& l : lines) {
      if (l.size() != 6) continue;
      const bool is_change = l[0] == "upgraded" || l[0] == "downgraded";
      if (is_change)
        fmt::print("!{}-{}.{}\n={}-{}.{}\n", l[1], l[2], l[3], l[1], l[4], l[5]);
      else if (l[0] == "removed")
        fmt::print("-{}-{}.{}\n", l[1], l[2], l[3]);
      else
        fmt::print("+{}-{}.{}\n", l[1], l[4], l[5]);
    }
  }

  static void print_json(const Lines& lines) {
    const auto builder = adopt(json_builder_new());
    auto text = [&](const char* key, const std::string& value) {
      json_builder_set_member_name(builder.get(), key);
      json_builder_add_string_value(builder.get(), value.c_str());
    };
    json_builder_begin_object(builder.get());
    text("ostree-commit-from", lines.at(0).at(0));
    text("ostree-commit-to", lines.at(1).at(0));
    json_builder_set_member_name(builder.get(), "pkgdiff");
    json_builder_begin_array(builder.get());
    for (const auto& l : lines) {
      if (l.size() != 6) continue;
      // As in the D-Bus interface: name, number of the kind, packages as [name, evr, arch].
      json_builder_begin_array(builder.get());
      json_builder_add_string_value(builder.get(), l[1].c_str());
      json_builder_add_int_value(builder.get(), l[0] == "added"      ? 0
                                                : l[0] == "removed"  ? 1
                                                : l[0] == "upgraded" ? 2
                                                                     : 3);
      json_builder_begin_object(builder.get());
      auto package = [&](const char* key, std::size_t at) {
        if (l[at].empty()) return;
        json_builder_set_member_name(builder.get(), key);
        json_builder_begin_array(builder.get());
        for (const auto& part : {l[1], l[at], l[at + 1]})
          json_builder_add_string_value(builder.get(), part.c_str());
        json_builder_end_array(builder.get());
      };
      package("PreviousPackage", 2);
      package("NewPackage", 4);
      json_builder_end_object(builder.get());
      json_builder_end_array(builder.get());
    }
    json_builder_end_array(builder.get());
    json_builder_end_object(builder.get());
    const auto root = adopt(json_builder_get_root(builder.get()));
    fmt::print("{}", json_to_string(root.get()));
  }

  std::optional<std::string> format_;
};

}  // namespace

void add_db_commands(CommandTable& table) {
  table.push_back(std::make_unique<DbDiffCommand>());
  table.push_back(std::make_unique<DbListCommand>());
  table.push_back(std::make_unique<DbVersionCommand>());
}

}  // namespace atomichost::client
