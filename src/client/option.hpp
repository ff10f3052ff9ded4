// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace atomichost::client {

/// One command line option as data: parsing, help, completion and the man page are made from it.
struct Option {
  std::string long_name;               ///< without dashes
  char short_name = 0;                 ///< 0: none
  std::string value_name;              ///< "": a flag
  std::string help;                    ///< one phrase, no final stop
  std::vector<std::string> aliases{};  ///< further long names, never shown
  bool is_hidden = false;              ///< accepted, never shown
  /// Where it goes: a flag is set to true; a string is replaced; a list grows.
  std::variant<bool*, std::optional<std::string>*, std::vector<std::string>*> target;
};

/// A positional argument, for help and for checking the count.
struct Argument {
  std::string name;  ///< "REVISION"
  bool is_required = true;
  bool is_repeated = false;
};

/// Take the options out of @p words and fill their targets.
/// "--name=value", "--name value", "-nvalue", "-n value", joined short flags, "--" ends options.
/// @param stop_at_word  Stop at the first word that is no option (for options before a command).
/// @return  The words that are left, in order.
/// @throws Error InvalidInput: unknown option (with the nearest), missing or unwanted value.
std::vector<std::string> parse_options(const std::vector<std::string>& words,
                                       const std::vector<Option>& options, bool stop_at_word);

/// @throws Error InvalidInput naming the missing or the first surplus argument.
void check_arguments(const std::vector<std::string>& words, const std::vector<Argument>& arguments);

/// "-r, --reboot", "--os=NAME".
[[nodiscard]] std::string option_spelling(const Option& option);
/// "REFSPEC [REVISION]".
[[nodiscard]] std::string arguments_synopsis(const std::vector<Argument>& arguments);

}  // namespace atomichost::client
