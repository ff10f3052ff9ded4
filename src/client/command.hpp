// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "option.hpp"

namespace atomichost::client {

constexpr int kExitOk = 0;
constexpr int kExitFailure = 1;
constexpr int kExitUnchanged = 77;  ///< "nothing changed", where an option asks to be told so

/// What every command gets: who was called and the options that belong to no single command.
struct Context {
  std::string program;                 ///< "atomic" or "rpm-ostree"
  std::string command_line;            ///< as typed, quoted for a shell
  std::optional<std::string> sysroot;  ///< --sysroot; none: the system bus's daemon
  bool is_quiet = false;
};

/// What a command is, for dispatch and documentation.
struct CommandInfo {
  std::string name;                    ///< may be two words: "db list"
  std::string summary;                 ///< one phrase, no final stop
  std::string description;             ///< paragraph for the man page
  std::vector<std::string> aliases{};  ///< accepted, shown in the man page
  std::vector<Argument> arguments{};
  bool is_passed_through = false;  ///< all words go to run() unparsed
};

class Command {
 public:
  explicit Command(CommandInfo info) : info_(std::move(info)) {}
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;
  virtual ~Command() = default;
  [[nodiscard]] const CommandInfo& info() const noexcept { return info_; }
  /// The options with their targets in this object.
  [[nodiscard]] virtual std::vector<Option> options() { return {}; }
  /// @param arguments  The words that are no options; their number has been checked.
  /// @return  The exit status. @throws Error, printed by main as "error: ...".
  virtual int run(const Context& context, const std::vector<std::string>& arguments) = 0;

 private:
  CommandInfo info_;
};

using CommandTable = std::vector<std::unique_ptr<Command>>;
/// All commands in the order the help shows them.
[[nodiscard]] CommandTable make_commands();
/// Options every command takes.
struct CommonOptions {
  bool show_help = false;
  bool show_version = false;
  bool is_quiet = false;
  std::optional<std::string> sysroot;
  [[nodiscard]] std::vector<Option> options();
};

}  // namespace atomichost::client
