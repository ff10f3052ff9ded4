// SPDX-License-Identifier: LGPL-2.1-or-later
#include "users/rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace atomichost::users {
namespace {

template <typename Entry>
std::vector<Entry> first_of_each_name(const std::vector<Entry>& first,
                                      const std::vector<Entry>& second) {
  std::vector<Entry> out;
  std::unordered_set<std::string> seen;
  for (const auto* list : {&first, &second})
    for (const Entry& entry : *list)
      if (seen.insert(entry.name).second) out.push_back(entry);
  return out;
}

std::uint32_t& id_of(User& user) {
  return user.uid;
}
std::uint32_t id_of(const User& user) {
  return user.uid;
}
std::uint32_t& id_of(Group& group) {
  return group.gid;
}
std::uint32_t id_of(const Group& group) {
  return group.gid;
}

bool same_ids(const User& a, const User& b) {
  return a.uid == b.uid && a.gid == b.gid;
}
bool same_ids(const Group& a, const Group& b) {
  return a.gid == b.gid;
}
void take_ids(User& to, const User& from) {
  to.uid = from.uid;
  to.gid = from.gid;
}
void take_ids(Group& to, const Group& from) {
  to.gid = from.gid;
}
std::string ids(const User& user) {
  return fmt::format("{}:{}", user.uid, user.gid);
}
std::string ids(const Group& group) {
  return fmt::format("{}", group.gid);
}

template <typename Entry>
void inject_entries(std::vector<Entry>& tree, const std::vector<Entry>& earlier, const char* kind,
                    std::vector<std::string>& added, Injection& report) {
  std::unordered_map<std::string, const Entry*> before;
  for (const Entry& entry : earlier) before[entry.name] = &entry;

  std::unordered_set<std::string> present;
  std::unordered_map<std::uint32_t, std::string> taken;  // by accounts that are new in the tree
  for (Entry& entry : tree) {
    present.insert(entry.name);
    const auto known = before.find(entry.name);
    if (known == before.end()) {
      taken.emplace(id_of(entry), entry.name);
    } else if (!same_ids(entry, *known->second)) {
      report.renumbered.push_back(
          fmt::format("{} {}: {} -> {}", kind, entry.name, ids(entry), ids(*known->second)));
      take_ids(entry, *known->second);
    }
  }
  for (const Entry& entry : earlier) {
    if (present.contains(entry.name)) continue;
    if (const auto by = taken.find(id_of(entry)); by != taken.end()) {
      report.dropped.push_back(fmt::format("{} {} ({}): its number now belongs to {}", kind,
                                           entry.name, id_of(entry), by->second));
      continue;
    }
    tree.push_back(entry);
    added.push_back(entry.name);
  }
}

/// A line for each of @p owners that has none: from @p earlier, else a locked one.
template <typename Entry, typename Owner, typename Make>
void complete_shadow(std::vector<Entry>& tree, const std::vector<Entry>& earlier,
                     const std::vector<Owner>& owners, const Make& make) {
  std::unordered_set<std::string> present;
  for (const Entry& entry : tree) present.insert(entry.name);
  std::unordered_map<std::string, const Entry*> before;
  for (const Entry& entry : earlier) before[entry.name] = &entry;
  for (const Owner& owner : owners) {
    if (present.contains(owner.name)) continue;
    const auto known = before.find(owner.name);
    tree.push_back(known == before.end() ? make(owner) : *known->second);
  }
}

template <typename Entry, typename Owner>
void sort_like(std::vector<Entry>& shadow, const std::vector<Owner>& owners) {
  std::unordered_map<std::string, std::size_t> rank;
  for (std::size_t i = 0; i < owners.size(); ++i) rank.emplace(owners[i].name, i);
  const auto of = [&](const Entry& entry) {
    const auto found = rank.find(entry.name);
    return found == rank.end() ? owners.size() : found->second;
  };
  std::stable_sort(shadow.begin(), shadow.end(),
                   [&](const Entry& a, const Entry& b) { return of(a) < of(b); });
}

}  // namespace

Accounts combine(const Accounts& etc, const Accounts& usr_lib) {
  return {first_of_each_name(etc.users, usr_lib.users),
          first_of_each_name(etc.groups, usr_lib.groups),
          first_of_each_name(etc.shadow, usr_lib.shadow),
          first_of_each_name(etc.gshadow, usr_lib.gshadow)};
}

Injection inject(Accounts& tree, const Accounts& earlier) {
  Injection report;
  inject_entries(tree.users, earlier.users, "user", report.users, report);
  inject_entries(tree.groups, earlier.groups, "group", report.groups, report);
  complete_shadow(tree.shadow, earlier.shadow, tree.users,
                  [](const User& user) { return Shadow{.name = user.name}; });
  complete_shadow(tree.gshadow, earlier.gshadow, tree.groups, [](const Group& group) {
    return GroupShadow{.name = group.name, .members = group.members};
  });
  return report;
}

void normalise(Accounts& tree) {
  const auto by_id = [](const auto& a, const auto& b) { return id_of(a) < id_of(b); };
  std::stable_sort(tree.users.begin(), tree.users.end(), by_id);
  std::stable_sort(tree.groups.begin(), tree.groups.end(), by_id);
  sort_like(tree.shadow, tree.users);
  sort_like(tree.gshadow, tree.groups);
  for (Shadow& entry : tree.shadow) entry.last_change.clear();
}

Split split_accounts(const Accounts& tree, const std::vector<std::string>& etc_group_members) {
  Split out;
  out.etc.shadow = tree.shadow;
  out.etc.gshadow = tree.gshadow;
  for (const User& user : tree.users) (user.uid == 0 ? out.etc : out.usr_lib).users.push_back(user);
  std::set<std::string> wanted(etc_group_members.begin(), etc_group_members.end());
  for (const Group& group : tree.groups) {
    const bool is_wanted = wanted.erase(group.name) > 0;
    if (group.gid == 0 || is_wanted) out.etc.groups.push_back(group);
    if (group.gid != 0) out.usr_lib.groups.push_back(group);
  }
  out.unknown_members.assign(wanted.begin(), wanted.end());
  return out;
}

namespace {

/// A service or a bracketed action of an nsswitch line, by position.
struct Word {
  std::size_t begin, end;
};

std::vector<Word> nsswitch_words(std::string_view line, std::size_t from) {
  std::vector<Word> words;
  std::size_t at = from;
  while ((at = line.find_first_not_of(" \t", at)) != std::string_view::npos) {
    std::size_t end = line[at] == '[' ? line.find(']', at) : line.find_first_of(" \t[", at);
    if (end == std::string_view::npos)
      end = line.size();
    else if (line[at] == '[')
      ++end;
    words.push_back({at, end});
    at = end;
  }
  return words;
}

/// @p line, which is "DATABASE: services" without comment, with altfiles.
std::string with_altfiles(std::string_view line, std::size_t after_colon) {
  const auto words = nsswitch_words(line, after_colon);
  const auto text = [&](std::size_t i) {
    return line.substr(words[i].begin, words[i].end - words[i].begin);
  };
  std::optional<std::size_t> files;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (text(i) == "altfiles") return std::string(line);
    if (!files && (text(i) == "files" || text(i) == "compat")) files = i;
  }
  if (words.empty()) return std::string(trim(line)) + " files altfiles";
  std::size_t last = files.value_or(words.size() - 1);
  std::string inserted = " altfiles";
  if (files && last + 1 < words.size() && text(last + 1).front() == '[') {
    ++last;
    inserted += " " + std::string(text(last));
  }
  std::string out(line);
  out.insert(words[last].end, inserted);
  return out;
}

}  // namespace

std::string add_altfiles(std::string_view text) {
  std::string out;
  std::set<std::string> missing = {"passwd", "group"};
  while (!text.empty()) {
    const auto end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const auto comment = std::min(line.find('#'), line.size());
    const std::string_view body = line.substr(0, comment);
    const auto colon = body.find(':');
    if (colon != std::string_view::npos &&
        missing.erase(std::string(trim(body.substr(0, colon)))) > 0)
      out += with_altfiles(body, colon + 1) + std::string(line.substr(comment));
    else
      out += line;
    out += '\n';
  }
  for (const char* database : {"passwd", "group"})
    if (missing.contains(database)) out += std::string(database) + ": files altfiles\n";
  return out;
}

std::vector<Expected> expected_of(const std::vector<User>& users) {
  std::vector<Expected> out;
  for (const User& user : users) out.push_back({user.name, user.uid, user.gid});
  return out;
}
std::vector<Expected> expected_of(const std::vector<Group>& groups) {
  std::vector<Expected> out;
  for (const Group& group : groups) out.push_back({group.name, group.gid, group.gid});
  return out;
}

namespace {

Checked check(const std::vector<Expected>& now, const std::vector<Expected>& expected,
              const char* kind, bool with_primary_group, const std::string& source,
              const std::vector<std::string>& ignore_removed) {
  const std::set<std::string> may_go(ignore_removed.begin(), ignore_removed.end());
  std::map<std::string, Expected> is;
  for (const Expected& entry : now) is.emplace(entry.name, entry);
  std::map<std::string, Expected> was;
  for (const Expected& entry : expected) was.emplace(entry.name, entry);

  Checked out;
  std::vector<std::string> changes;
  for (const auto& [name, before] : was) {
    const auto found = is.find(name);
    if (found == is.end()) {
      if (may_go.contains("*") || may_go.contains(name))
        out.ignored.push_back(name);
      else
        out.removed.push_back(before);
      continue;
    }
    const Expected& after = found->second;
    if (after.id != before.id)
      changes.push_back(fmt::format("{} {} has {} {}, had {}", kind, name,
                                    with_primary_group ? "uid" : "gid", after.id, before.id));
    if (with_primary_group && after.gid != before.gid)
      changes.push_back(fmt::format("{} {} has gid {}, had {}", kind, name, after.gid, before.gid));
  }
  if (!changes.empty())
    throw Error(ErrorCode::InvalidInput,
                fmt::format("Comparing {}s with {}: {}; files on hosts would change their owner",
                            kind, source, join(changes, "; ")));
  for (const auto& [name, entry] : is)
    if (!was.contains(name)) out.added.push_back(name);
  return out;
}

}  // namespace

Checked check_users(const std::vector<User>& now, const std::vector<Expected>& expected,
                    const std::string& source, const std::vector<std::string>& ignore_removed) {
  return check(expected_of(now), expected, "user", true, source, ignore_removed);
}
Checked check_groups(const std::vector<Group>& now, const std::vector<Expected>& expected,
                     const std::string& source, const std::vector<std::string>& ignore_removed) {
  return check(expected_of(now), expected, "group", false, source, ignore_removed);
}

}  // namespace atomichost::users
