// SPDX-License-Identifier: LGPL-2.1-or-later
#include "document.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

#include "base/strings.hpp"

namespace atomichost::client {
namespace {

using Rows = std::vector<std::pair<std::string, std::string>>;

std::string columns(const Rows& rows) {
  std::size_t width = 0;
  for (const auto& [left, right] : rows)
    width = std::max(width, std::min<std::size_t>(left.size(), 30));
  std::string text;
  for (const auto& [left, right] : rows) text += fmt::format("  {:<{}}  {}\n", left, width, right);
  return text;
}

Rows option_rows(const std::vector<Option>& options) {
  Rows rows;
  for (const auto& o : options)
    if (!o.is_hidden) rows.emplace_back(option_spelling(o), o.help);
  return rows;
}

std::vector<Option> shown(std::vector<Option> options) {
  std::erase_if(options, [](const Option& o) { return o.is_hidden; });
  return options;
}

/// Text as troff wants it: no line begins with a control character, dashes stay dashes.
std::string troff(std::string text) {
  text = replace_all(std::move(text), "\\", "\\e");
  text = replace_all(std::move(text), "-", "\\-");
  if (!text.empty() && (text[0] == '.' || text[0] == '\'')) text = "\\&" + text;
  return replace_all(std::move(text), "\n", "\n.PP\n");
}

std::string troff_options(const std::vector<Option>& options) {
  std::string text;
  for (const auto& o : shown(options))
    text += fmt::format(".TP\n\\fB{}\\fR\n{}.\n", troff(option_spelling(o)), troff(o.help));
  return text;
}

}  // namespace

std::string overview_help(const std::string& program, const CommandTable& commands) {
  Rows rows;
  for (const auto& c : commands) rows.emplace_back(c->info().name, c->info().summary);
  CommonOptions common;
  return fmt::format(
      "Usage:\n  {0} [OPTION...] COMMAND\n\nCommands:\n{1}\nOptions:\n{2}\n"
      "'{0} COMMAND --help' explains a command.\n",
      program, columns(rows), columns(option_rows(common.options())));
}

std::string group_help(const std::string& program, const std::string& group,
                       const CommandTable& commands) {
  Rows rows;
  for (const auto& c : commands)
    if (c->info().name.starts_with(group + " "))
      rows.emplace_back(c->info().name, c->info().summary);
  return fmt::format("Usage:\n  {} {} COMMAND\n\nCommands:\n{}", program, group, columns(rows));
}

std::string command_help(const std::string& program, Command& command) {
  const auto& info = command.info();
  auto options = command.options();
  CommonOptions common;
  std::ranges::copy(common.options(), std::back_inserter(options));
  const std::string arguments = arguments_synopsis(info.arguments);
  return fmt::format("Usage:\n  {} {} [OPTION...]{}\n\n{}.\n\nOptions:\n{}", program, info.name,
                     arguments.empty() ? "" : " " + arguments, info.summary,
                     columns(option_rows(options)));
}

std::string man_page(const CommandTable& commands) {
  std::string text =
      ".TH ATOMIC 1 \"\" \"atomic " ATOMIC_VERSION
      "\" \"User Commands\"\n"
      ".SH NAME\natomic \\- compose, deploy, upgrade and roll back an immutable host\n"
      ".SH SYNOPSIS\n.B atomic\n[\\fIOPTION\\fR...] \\fICOMMAND\\fR [\\fIARGUMENT\\fR...]\n"
      ".SH DESCRIPTION\n"
      "Shows and changes the deployments of a host whose /usr is an OSTree commit. The work is "
      "done "
      "by\n.BR atomicd (8),\nover D\\-Bus.\n.PP\n"
      "\\fBatomic host\\fR \\fICOMMAND\\fR is \\fBatomic\\fR \\fICOMMAND\\fR. Called as\n"
      ".B rpm\\-ostree\nthe program takes the same commands.\n"
      ".SH COMMANDS\n";
  for (const auto& c : commands) {
    const auto& info = c->info();
    const std::string arguments = arguments_synopsis(info.arguments);
    text += fmt::format(".SS \"{}{}\"\n{}.\n", troff(info.name),
                        arguments.empty() ? "" : " " + troff(arguments), troff(info.summary));
    if (!info.description.empty()) text += ".PP\n" + troff(info.description) + "\n";
    if (!info.aliases.empty())
      text += ".PP\nAlso called: " + troff(join(info.aliases, ", ")) + ".\n";
    text += troff_options(c->options());
  }
  CommonOptions common;
  text += ".SH \"COMMON OPTIONS\"\n" + troff_options(common.options());
  text +=
      ".SH \"EXIT STATUS\"\n"
      ".TP\n\\fB0\\fR\nDone.\n"
      ".TP\n\\fB1\\fR\nFailed; one line beginning with \"error:\" says why.\n"
      ".TP\n\\fB77\\fR\nNothing changed, where an option asks to be told so.\n"
      ".SH \"SEE ALSO\"\n.BR ostree (1),\n.BR atomicd (8)\n";
  return text;
}

std::string bash_completion(const CommandTable& commands) {
  auto words_of = [](const std::vector<Option>& options) {
    std::vector<std::string> words;
    for (const auto& o : shown(options)) {
      words.push_back("--" + o.long_name + (o.value_name.empty() ? "" : "="));
      if (o.short_name) words.push_back(std::string("-") + o.short_name);
    }
    return join(words, " ");
  };
  std::vector<std::string> first{"host"};
  std::map<std::string, std::vector<std::string>> second;
  std::string cases;
  for (const auto& c : commands) {
    auto names = c->info().aliases;
    names.insert(names.begin(), c->info().name);
    for (const auto& name : names) {
      const auto words = split(name, ' ');
      if (std::ranges::find(first, words[0]) == first.end()) first.push_back(words[0]);
      if (words.size() > 1) second[words[0]].push_back(words[1]);
    }
    std::vector<std::string> quoted;
    for (const auto& name : names) quoted.push_back("\"" + name + "\"");
    cases += fmt::format("    {}) words=\"{}\" ;;\n", join(quoted, "|"), words_of(c->options()));
  }
  for (const auto& [group, verbs] : second)
    cases += fmt::format("    \"{}\") words=\"{}\" ;;\n", group, join(verbs, " "));
  CommonOptions common;
  return fmt::format(
      R"(# bash completion for atomic and rpm-ostree; made from the program's own tables
_atomic() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} command="" word words i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${{COMP_WORDS[i]}}
    case $word in
      host | -* | =) ;;
      *) case "$command" in "") command=$word ;; {0}) command="$command $word" ;; esac ;;
    esac
  done
  case "$command" in
    "") words="{1}" ;;
{2}  esac
  [[ $current == -* || -z $command ]] && words="$words {3}"
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [[ ${{COMPREPLY[0]}} == *= ]] && compopt -o nospace
  return 0
}}
complete -F _atomic atomic rpm-ostree
)",
      [&] {
        std::vector<std::string> groups;
        for (const auto& [group, verbs] : second) groups.push_back(group);
        return groups.empty() ? std::string("-none-") : join(groups, " | ");
      }(),
      join(first, " "), cases, words_of(common.options()));
}

}  // namespace atomichost::client
