// SPDX-License-Identifier: LGPL-2.1-or-later
#include "document.hpp"

#include <fmt/format.h>

#include "base/strings.hpp"

namespace atomichost::compose {
namespace {

// Text that roff must not read as a request or an escape.
std::string roff(const std::string& text) {
  return replace_all(replace_all(text, "\\", "\\e"), "-", "\\-");
}

std::string names_of(const CLI::Option& option) {
  if (option.get_positional()) return option.get_name(true);
  std::string text;
  for (const auto& name : option.get_snames()) text += (text.empty() ? "-" : ", -") + name;
  for (const auto& name : option.get_lnames()) text += (text.empty() ? "--" : ", --") + name;
  if (option.get_type_size() > 0 && !option.get_type_name().empty())
    text += "=" + option.get_type_name();
  return text;
}

}  // namespace

std::string man_page(const CLI::App& app) {
  std::string page = fmt::format(
      ".TH ATOMIC\\-COMPOSE 1 \"\" \"atomic {}\"\n.SH NAME\natomic\\-compose \\- {}\n.SH "
      "SYNOPSIS\n",
      ATOMIC_VERSION, roff(app.get_description()));
  const auto commands = app.get_subcommands([](const CLI::App*) { return true; });
  for (const auto* command : commands) {
    std::string positionals;
    for (const auto* option : command->get_options())
      if (option->get_positional()) positionals += " " + option->get_name(true);
    page +=
        fmt::format(".B atomic compose {}\n[OPTIONS]{}\n.br\n", command->get_name(), positionals);
  }
  for (const auto* command : commands) {
    page += fmt::format(".SH {}\n{}.\n", command->get_name(), roff(command->get_description()));
    for (const auto* option : command->get_options()) {
      if (option->get_group().empty()) continue;
      page +=
          fmt::format(".TP\n.B {}\n{}\n", roff(names_of(*option)), roff(option->get_description()));
    }
  }
  page +=
      ".SH EXIT STATUS\n0: a commit was made, or nothing changed. 1: an error, named in one line; "
      "refs and cache are as "
      "they were. 130: cancelled.\n"
      ".SH ENVIRONMENT\n.TP\n.B SOURCE_DATE_EPOCH\nTime of the commit, seconds since 1970: the "
      "same inputs then give the same checksum.\n";
  return page;
}

}  // namespace atomichost::compose
