// SPDX-License-Identifier: LGPL-2.1-or-later
#include "users/accounts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <unordered_set>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace atomichost::users {
namespace {

/// One line being parsed; knows how to complain.
struct Line {
  const std::string& file;
  std::size_t number;
  std::vector<std::string> fields;

  [[nodiscard]] Error bad(const std::string& why) const {
    return Error(ErrorCode::InvalidInput, fmt::format("{}:{}: {}", file, number, why));
  }
  [[nodiscard]] std::uint32_t id(std::size_t field, const char* what) const {
    const std::string& text = fields[field];
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() ||
        value == std::numeric_limits<std::uint32_t>::max())
      throw bad(fmt::format("the {} of {} is \"{}\", not a number", what, fields[0], text));
    return value;
  }
};

std::vector<std::string> names(const std::string& list) {
  std::vector<std::string> out;
  for (auto& name : split(list, ','))
    if (!name.empty()) out.push_back(std::move(name));
  return out;
}

template <typename Entry, typename Make>
std::vector<Entry> parse(std::string_view text, const std::string& file, std::size_t field_count,
                         const Make& make) {
  std::vector<Entry> entries;
  std::unordered_set<std::string> seen;
  std::size_t number = 0;
  while (!text.empty()) {
    const auto end = text.find('\n');
    const std::string_view content = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    ++number;
    if (trim(content).empty() || content[0] == '#') continue;
    Line line{file, number, split(content, ':')};
    if (content[0] == '+' || content[0] == '-')
      throw line.bad("NIS lines (\"+\" and \"-\") have no place in an image");
    if (line.fields.size() != field_count)
      throw line.bad(
          fmt::format("{} fields separated by ':', should be {}", line.fields.size(), field_count));
    if (line.fields[0].empty()) throw line.bad("the name is empty");
    if (!seen.insert(line.fields[0]).second)
      throw line.bad("there is another " + line.fields[0] + " further up");
    entries.push_back(make(line));
  }
  return entries;
}

template <typename Entry>
const Entry* find_entry(const std::vector<Entry>& entries, std::string_view name) noexcept {
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const Entry& entry) { return entry.name == name; });
  return found == entries.end() ? nullptr : &*found;
}

}  // namespace

std::vector<User> parse_passwd(std::string_view text, const std::string& file) {
  return parse<User>(text, file, 7, [](const Line& line) {
    const auto& f = line.fields;
    return User{f[0], f[1], line.id(2, "uid"), line.id(3, "gid"), f[4], f[5], f[6]};
  });
}

std::vector<Group> parse_group(std::string_view text, const std::string& file) {
  return parse<Group>(text, file, 4, [](const Line& line) {
    const auto& f = line.fields;
    return Group{f[0], f[1], line.id(2, "gid"), names(f[3])};
  });
}

std::vector<Shadow> parse_shadow(std::string_view text, const std::string& file) {
  return parse<Shadow>(text, file, 9, [](const Line& line) {
    const auto& f = line.fields;
    return Shadow{f[0], f[1], f[2], join({f.begin() + 3, f.end()}, ":")};
  });
}

std::vector<GroupShadow> parse_gshadow(std::string_view text, const std::string& file) {
  return parse<GroupShadow>(text, file, 4, [](const Line& line) {
    const auto& f = line.fields;
    return GroupShadow{f[0], f[1], names(f[2]), names(f[3])};
  });
}

std::string serialise(const std::vector<User>& users) {
  std::string out;
  for (const User& u : users)
    out += fmt::format("{}:{}:{}:{}:{}:{}:{}\n", u.name, u.password, u.uid, u.gid, u.gecos, u.home,
                       u.shell);
  return out;
}

std::string serialise(const std::vector<Group>& groups) {
  std::string out;
  for (const Group& g : groups)
    out += fmt::format("{}:{}:{}:{}\n", g.name, g.password, g.gid, join(g.members, ","));
  return out;
}

std::string serialise(const std::vector<Shadow>& shadow) {
  std::string out;
  for (const Shadow& s : shadow)
    out += fmt::format("{}:{}:{}:{}\n", s.name, s.password, s.last_change, s.rest);
  return out;
}

std::string serialise(const std::vector<GroupShadow>& gshadow) {
  std::string out;
  for (const GroupShadow& g : gshadow)
    out += fmt::format("{}:{}:{}:{}\n", g.name, g.password, join(g.administrators, ","),
                       join(g.members, ","));
  return out;
}

const User* find(const std::vector<User>& users, std::string_view name) noexcept {
  return find_entry(users, name);
}
const Group* find(const std::vector<Group>& groups, std::string_view name) noexcept {
  return find_entry(groups, name);
}

Ids::Ids(const Accounts& accounts) : users_{{"root", 0}}, groups_{{"root", 0}} {
  for (const User& user : accounts.users) users_[user.name] = user.uid;
  for (const Group& group : accounts.groups) groups_[group.name] = group.gid;
}

std::optional<std::uint32_t> Ids::uid(const std::string& user) const {
  const auto found = users_.find(user);
  return found == users_.end() ? std::nullopt : std::optional(found->second);
}
std::optional<std::uint32_t> Ids::gid(const std::string& group) const {
  const auto found = groups_.find(group);
  return found == groups_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace atomichost::users
