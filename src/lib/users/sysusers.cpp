// SPDX-License-Identifier: LGPL-2.1-or-later
#include "users/sysusers.hpp"

#include <fmt/format.h>

#include <charconv>
#include <limits>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace atomichost::users {
namespace {

class LineParser {
 public:
  LineParser(const std::string& file, std::size_t number) : file_(file), number_(number) {}

  [[nodiscard]] Error bad(const std::string& why) const {
    return Error(ErrorCode::InvalidInput, fmt::format("{}:{}: {}", file_, number_, why));
  }

  /// Words separated by blanks; quotes group, a backslash takes the next character as it is.
  [[nodiscard]] std::vector<std::string> words(std::string_view text) const {
    std::vector<std::string> out;
    std::string word;
    bool in_word = false;
    char quote = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const char c = text[i];
      if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
        word += text[++i];
        in_word = true;
      } else if (quote != 0) {
        if (c == quote)
          quote = 0;
        else
          word += c;
      } else if (c == '"' || c == '\'') {
        quote = c;
        in_word = true;
      } else if (c == ' ' || c == '\t' || c == '\r') {
        if (in_word) out.push_back(std::exchange(word, {}));
        in_word = false;
      } else {
        word += c;
        in_word = true;
      }
    }
    if (quote != 0) throw bad("a quote is not closed");
    if (in_word) out.push_back(word);
    return out;
  }

  [[nodiscard]] std::optional<std::uint32_t> number(std::string_view text) const {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    if (value == 65535 || value == std::numeric_limits<std::uint32_t>::max())
      throw bad(fmt::format("the id {} is reserved", value));
    return value;
  }

 private:
  const std::string& file_;
  std::size_t number_;
};

void set_id(SysusersLine& line, const std::string& text, const LineParser& parser) {
  if (text.empty() || text == "-") return;
  if (text[0] == '/') {
    line.id_path = text;
    return;
  }
  const auto colon = text.find(':');
  const std::string first = text.substr(0, colon);
  if (first != "-") {
    line.id = parser.number(first);
    if (!line.id) throw parser.bad("the id \"" + first + "\" of " + line.name + " is no number");
  }
  if (colon == std::string::npos) return;
  if (line.type != SysusersLine::Type::User)
    throw parser.bad("only users have an id of the form uid:group");
  const std::string second = text.substr(colon + 1);
  if (second.empty()) throw parser.bad("the group behind ':' is missing");
  line.gid = parser.number(second);
  if (!line.gid) line.group = second;
}

void set_range(SysusersLine& line, const std::string& text, const LineParser& parser) {
  const auto dash = text.find('-');
  const auto low = parser.number(text.substr(0, dash));
  const auto high = dash == std::string::npos ? low : parser.number(text.substr(dash + 1));
  if (!low || !high || *low > *high)
    throw parser.bad("\"" + text + "\" is no range of the form LOW-HIGH");
  line.low = *low;
  line.high = *high;
}

SysusersLine parse_line(std::vector<std::string> words, const LineParser& parser) {
  using Type = SysusersLine::Type;
  SysusersLine line;
  const std::string& type = words[0];
  if (type == "u" || type == "u!") {
    line.type = Type::User;
    line.is_locked = type == "u!";
  } else if (type == "g") {
    line.type = Type::Group;
  } else if (type == "m") {
    line.type = Type::Member;
  } else if (type == "r") {
    line.type = Type::Range;
  } else {
    throw parser.bad("unknown type \"" + type + "\"; known are u, u!, g, m, r");
  }
  if (words.size() > 6) throw parser.bad("more than six fields; texts with blanks need quotes");
  const std::size_t given = words.size();
  words.resize(6);
  for (std::size_t i = 3; i < 6; ++i)
    if (words[i] == "-") words[i].clear();
  if (given < 2 || words[1].empty()) throw parser.bad("the name is missing");

  if (line.type == Type::Range) {
    if (words[1] != "-") throw parser.bad("the name of a range is \"-\"");
    set_range(line, words[2], parser);
    return line;
  }
  line.name = words[1];
  if (line.name.find_first_of(":/,") != std::string::npos || line.name == "-")
    throw parser.bad("\"" + line.name + "\" cannot be a name");
  if (line.type == Type::Member) {
    if (words[2].empty() || words[2] == "-") throw parser.bad("the group to join is missing");
    line.group = words[2];
    return line;
  }
  set_id(line, words[2], parser);
  if (line.type == Type::User) {
    line.gecos = words[3];
    line.home = words[4];
    line.shell = words[5];
  }
  return line;
}

}  // namespace

std::vector<SysusersLine> parse_sysusers(std::string_view text, const std::string& file) {
  std::vector<SysusersLine> out;
  std::size_t number = 0;
  for (const std::string& content : split(text, '\n')) {
    const LineParser parser(file, ++number);
    const std::string_view trimmed = trim(content);
    if (trimmed.empty() || trimmed[0] == '#' || trimmed[0] == ';') continue;
    out.push_back(parse_line(parser.words(trimmed), parser));
  }
  return out;
}

Accounts fixed_accounts(const std::vector<SysusersLine>& lines, const Accounts& accounts) {
  using Type = SysusersLine::Type;
  Accounts out;
  const auto add_group = [&](const std::string& name, std::uint32_t gid) {
    if (!find(accounts.groups, name) && !find(out.groups, name))
      out.groups.push_back({.name = name, .gid = gid});
  };
  // Groups first: a user may name one that a later line defines.
  for (const SysusersLine& line : lines)
    if (line.type == Type::Group && line.id) add_group(line.name, *line.id);
  for (const SysusersLine& line : lines) {
    if (line.type != Type::User || !line.id) continue;
    std::optional<std::uint32_t> gid = line.gid;
    if (!gid && !line.group.empty()) {
      const Group* group = find(accounts.groups, line.group);
      if (!group) group = find(out.groups, line.group);
      if (!group) continue;  // a group whose number nobody knows yet
      gid = group->gid;
    } else if (!gid) {
      const Group* group = find(accounts.groups, line.name);
      if (!group) group = find(out.groups, line.name);
      gid = group ? group->gid : *line.id;
      add_group(line.name, *gid);
    }
    if (find(accounts.users, line.name) || find(out.users, line.name)) continue;
    const bool is_root = *line.id == 0;
    out.users.push_back(
        {.name = line.name,
         .uid = *line.id,
         .gid = *gid,
         .gecos = line.gecos,
         .home = line.home.empty() ? (is_root ? "/root" : "/") : line.home,
         .shell = line.shell.empty() ? (is_root ? "/bin/sh" : "/usr/sbin/nologin") : line.shell});
  }
  return out;
}

}  // namespace atomichost::users
