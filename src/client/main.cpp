// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>
#include <glib.h>
#include <unistd.h>

#include <algorithm>
#include <clocale>
#include <csignal>
#include <filesystem>
#include <iterator>

#include "base/error.hpp"
#include "base/gptr.hpp"
#include "base/strings.hpp"
#include "command.hpp"
#include "document.hpp"

namespace atomichost::client {
namespace {

void check_text(const std::vector<std::string>& words) {
  for (const auto& word : words)
    if (!g_utf8_validate(word.data(), static_cast<gssize>(word.size()), nullptr))
      throw Error(ErrorCode::InvalidInput,
                  fmt::format("Argument '{}' is not valid UTF-8",
                              adopt(g_strescape(word.c_str(), nullptr)).get()));
}

/// The command that @p words begin with, by its longest name; those words are taken off.
Command* find_command(const CommandTable& commands, std::vector<std::string>& words) {
  for (std::size_t length : {2U, 1U}) {
    if (words.size() < length) continue;
    const std::string name = length == 2 ? words[0] + " " + words[1] : words[0];
    for (const auto& c : commands) {
      const auto& info = c->info();
      if (info.name != name && std::ranges::find(info.aliases, name) == info.aliases.end())
        continue;
      words.erase(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(length));
      return c.get();
    }
  }
  return nullptr;
}

bool is_group(const CommandTable& commands, const std::string& word) {
  return std::ranges::any_of(commands,
                             [&](const auto& c) { return c->info().name.starts_with(word + " "); });
}

[[noreturn]] void refuse_unknown(const CommandTable& commands,
                                 const std::vector<std::string>& words) {
  std::vector<std::string> names;
  const bool in_group = is_group(commands, words[0]);
  for (const auto& c : commands) {
    const auto& name = c->info().name;
    if (!in_group) names.push_back(name);
    if (in_group && name.starts_with(words[0] + " "))
      names.push_back(name.substr(words[0].size() + 1));
  }
  const std::string& wrong = in_group ? words[1] : words[0];
  throw Error(ErrorCode::InvalidInput,
              fmt::format("Unknown {}command '{}'{}", in_group ? words[0] + " " : "", wrong,
                          did_you_mean(wrong, names)));
}

void print_version(const std::string& program) {
  fmt::print("{}:\n Version: '{}'\n", program, ATOMIC_VERSION);
}

int run(const std::string& program, std::vector<std::string> words) {
  const CommandTable commands = make_commands();
  if (words.size() == 1 && words[0] == "--generate-man")
    return fmt::print("{}", man_page(commands)), kExitOk;
  if (words.size() == 1 && words[0] == "--generate-completion")
    return fmt::print("{}", bash_completion(commands)), kExitOk;

  Context context{.program = program};
  std::vector<std::string> quoted{program};
  for (const auto& word : words) quoted.push_back(shell_quote(word));
  context.command_line = join(quoted, " ");

  CommonOptions common;
  words = parse_options(words, common.options(), /*stop_at_word=*/true);
  if (!words.empty() && words[0] == "host") words.erase(words.begin());  // the old spelling
  if (common.show_version) return print_version(program), kExitOk;
  if (words.empty()) {
    fmt::print(common.show_help ? stdout : stderr, "{}", overview_help(program, commands));
    return common.show_help ? kExitOk : kExitFailure;
  }
  if (is_group(commands, words[0]) &&
      (words.size() == 1 || words[1] == "--help" || words[1] == "-h")) {
    const bool asked = common.show_help || words.size() > 1;
    fmt::print(asked ? stdout : stderr, "{}", group_help(program, words[0], commands));
    return asked ? kExitOk : kExitFailure;
  }
  std::vector<std::string> rest = words;
  Command* command = find_command(commands, rest);
  if (!command) {
    check_text(words);
    refuse_unknown(commands, words);
  }
  if (command->info().is_passed_through && !common.show_help) return command->run(context, rest);
  check_text(rest);
  auto options = command->options();
  std::ranges::copy(common.options(), std::back_inserter(options));
  rest = parse_options(rest, options, /*stop_at_word=*/false);
  if (common.show_help) return fmt::print("{}", command_help(program, *command)), kExitOk;
  if (common.show_version) return print_version(program), kExitOk;
  check_arguments(rest, command->info().arguments);
  context.is_quiet = common.is_quiet;
  context.sysroot = common.sysroot;
  return command->run(context, rest);
}

}  // namespace
}  // namespace atomichost::client

int main(int argc, char** argv) {
  using namespace atomichost;
  setlocale(LC_ALL, "");
  signal(SIGPIPE, SIG_IGN);
  std::string program = argc > 0 ? std::filesystem::path(argv[0]).filename().string() : "atomic";
  if (program != "rpm-ostree") program = "atomic";
  int status = client::kExitFailure;
  try {
    status = client::run(program, std::vector<std::string>(argv + std::min(argc, 1), argv + argc));
  } catch (const Cancelled&) {
    fmt::print(stderr, "error: Cancelled\n");
  } catch (const std::exception& e) {
    const bool in_colour = isatty(STDERR_FILENO) && !getenv("NO_COLOR");
    fmt::print(stderr, "{}error: {}{}\n", in_colour ? "\033[31m\033[1m" : "",
               in_colour ? "\033[22m\033[0m" : "", e.what());
  }
  if (fflush(stdout)) {
    perror("error: Writing the output");
    return client::kExitFailure;
  }
  return status;
}
