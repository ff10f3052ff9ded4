// SPDX-License-Identifier: LGPL-2.1-or-later
#include "assemble/accounts.hpp"

#include <fmt/format.h>

#include <set>

#include "assemble/postprocess.hpp"
#include "base/error.hpp"
#include "base/file.hpp"
#include "base/strings.hpp"
#include "importer/read_files.hpp"
#include "users/rules.hpp"
#include "users/sysusers.hpp"

namespace atomichost::assemble {
namespace {

constexpr std::string_view kSysusers = "usr/lib/sysusers.d/";
constexpr std::string_view kContexts = "/contexts/files/file_contexts";

bool is_early(std::string_view path, bool with_selinux) {
  if (path == "etc/passwd" || path == "etc/group") return true;
  if (path.starts_with(kSysusers) && path.ends_with(".conf")) return true;
  if (!with_selinux || !path.starts_with("etc/selinux/")) return false;
  if (path == "etc/selinux/config") return true;
  const auto at = path.find(kContexts);
  // The compiled form is only a cache of the text, and need not fit this machine's library.
  return at != std::string_view::npos && !path.ends_with(".bin");
}

std::string selinux_type(const std::string& config) {
  for (const auto& line : split(config, '\n'))
    if (const auto text = trim(line); text.starts_with("SELINUXTYPE="))
      return std::string(trim(text.substr(12)));
  return "";
}

// The policy that counts: the one the configuration names, else the only one there is.
std::optional<std::string> choose_policy(const std::string& config,
                                         const std::set<std::string>& policies) {
  if (policies.empty()) return std::nullopt;
  const auto type = selinux_type(config);
  if (type.empty() && policies.size() == 1) return *policies.begin();
  if (!type.empty() && policies.count(type)) return type;
  throw Error(ErrorCode::InvalidInput,
              fmt::format("selinux: the tree has the policies {} and /etc/selinux/config {}; it "
                          "must name one of them",
                          join({policies.begin(), policies.end()}, ", "),
                          type.empty() ? "names none" : "names '" + type + "'"));
}

std::filesystem::path write_contexts(const std::map<std::string, std::string>& by_suffix,
                                     const std::filesystem::path& directory) {
  make_directories(directory);
  for (const auto& [suffix, text] : by_suffix)
    replace_file(directory / ("file_contexts" + suffix),
                 suffix == ".subs_dist" ? with_selinux_substitutions(text) : text);
  if (!by_suffix.count(".subs_dist"))
    replace_file(directory / "file_contexts.subs_dist", with_selinux_substitutions(""));
  return directory;
}

}  // namespace

EarlyFiles read_early_files(const std::vector<const rpm::Package*>& packages, const Plan& plan,
                            bool with_selinux) {
  EarlyFiles early;
  for (std::size_t p = 0; p < packages.size(); ++p) {
    std::map<int, std::string> wanted;  // header file index -> path in the tree
    for (std::size_t i = 0; i < plan.nodes[p].size(); ++i) {
      const auto* node = plan.nodes[p][i];
      if (!node || !node->meta->is_regular()) continue;
      const auto path = plan.tree.canonical_parent(packages[p]->files()[i].path);
      if (is_early(path, with_selinux)) wanted[static_cast<int>(i)] = path;
    }
    if (wanted.empty()) continue;
    std::set<int> indices;
    for (const auto& [index, path] : wanted) indices.insert(index);
    for (auto& [index, content] : importer::read_files(*packages[p], indices))
      early[wanted.at(index)] = std::move(content);
  }
  return early;
}

namespace {

users::Accounts parse_accounts(const std::string& passwd, const std::string& group,
                               const std::string& where) {
  users::Accounts accounts;
  accounts.users = users::parse_passwd(passwd, where + "/passwd");
  accounts.groups = users::parse_group(group, where + "/group");
  return accounts;
}

}  // namespace

users::Accounts previous_accounts(const ostree::Repo& repo, const std::string& commit) {
  auto read = [&](const std::string& path) { return repo.read_file(commit, path).value_or(""); };
  return with_context("Reading the accounts of commit " + commit, [&] {
    auto etc = parse_accounts(read("usr/etc/passwd"), read("usr/etc/group"), "/usr/etc");
    etc.shadow = users::parse_shadow(read("usr/etc/shadow"), "/usr/etc/shadow");
    etc.gshadow = users::parse_gshadow(read("usr/etc/gshadow"), "/usr/etc/gshadow");
    return users::combine(
        etc, parse_accounts(read("usr/lib/passwd"), read("usr/lib/group"), "/usr/lib"));
  });
}

Accounts early_accounts(const EarlyFiles& early, const users::Accounts& previous) {
  auto text = [&](const std::string& path) {
    const auto it = early.find(path);
    return it == early.end() ? std::string() : it->second;
  };
  auto accounts = parse_accounts(text("etc/passwd"), text("etc/group"), "/etc");
  users::inject(accounts, previous);
  std::vector<users::SysusersLine> lines;
  for (const auto& [path, content] : early)
    if (path.starts_with(kSysusers))
      for (auto& line : users::parse_sysusers(content, "/" + path))
        lines.push_back(std::move(line));
  const auto fixed = users::fixed_accounts(lines, accounts);
  Accounts ids(accounts);
  ids.add(fixed);
  return ids;
}

users::Accounts read_accounts(const Files& files) {
  auto accounts = parse_accounts(files.read("etc/passwd").value_or(""),
                                 files.read("etc/group").value_or(""), "/etc");
  accounts.shadow = users::parse_shadow(files.read("etc/shadow").value_or(""), "/etc/shadow");
  accounts.gshadow = users::parse_gshadow(files.read("etc/gshadow").value_or(""), "/etc/gshadow");
  return accounts;
}

namespace {

void write_accounts(Files& files, const users::Accounts& accounts, bool with_shadow) {
  auto write = [&](const char* path, const std::string& text, std::uint32_t mode) {
    if (files.read(path).value_or("") != text) files.write(path, text, mode);
  };
  write("etc/passwd", users::serialise(accounts.users), 0644);
  write("etc/group", users::serialise(accounts.groups), 0644);
  if (!with_shadow) return;
  if (files.tree().find("etc/shadow")) write("etc/shadow", users::serialise(accounts.shadow), 0640);
  if (files.tree().find("etc/gshadow"))
    write("etc/gshadow", users::serialise(accounts.gshadow), 0640);
}

}  // namespace

std::vector<std::string> inject_accounts(Files& files, const users::Accounts& previous) {
  if (previous.users.empty() && previous.groups.empty()) return {};
  auto accounts = read_accounts(files);
  const auto injection = users::inject(accounts, previous);
  write_accounts(files, accounts, /*with_shadow=*/true);
  return injection.dropped;
}

void normalise_accounts(Files& files) {
  if (!files.tree().find("etc/passwd") && !files.tree().find("etc/group")) return;
  auto accounts = read_accounts(files);
  users::normalise(accounts);
  write_accounts(files, accounts, /*with_shadow=*/true);
}

namespace {

std::vector<users::Expected> expected_data(
    const std::map<std::string, treefile::AccountIds>& entries) {
  std::vector<users::Expected> expected;
  for (const auto& [name, ids] : entries) expected.push_back({name, ids.id, ids.gid});
  return expected;
}

void refuse_removed(const users::Checked& checked, const char* what, const std::string& source,
                    const char* key) {
  if (checked.removed.empty()) return;
  std::string text;
  for (const auto& account : checked.removed)
    text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", account.name, account.id);
  throw Error(ErrorCode::InvalidInput,
              fmt::format("{} of {} are gone from the tree: {}. Hosts may have files of theirs: "
                          "keep them, or name them in {}",
                          what, source, text, key));
}

}  // namespace

void check_accounts(Files& files, const treefile::Treefile& treefile,
                    const users::Accounts& previous) {
  using Type = treefile::AccountCheck::Type;
  const auto now = read_accounts(files);
  const auto check = [&](const treefile::AccountCheck& rule, const auto& list, const auto& earlier,
                         const auto& parse, const auto& hold,
                         const std::vector<std::string>& ignore, const char* what,
                         const char* key) {
    if (rule.type == Type::None) return;
    std::vector<users::Expected> expected;
    std::string source = "the previous commit";
    if (rule.type == Type::Previous) expected = users::expected_of(earlier);
    if (rule.type == Type::Data) expected = expected_data(rule.entries), source = "the treefile";
    if (rule.type == Type::File) {
      source = rule.file->path.string();
      expected = users::expected_of(parse(read_file(rule.file->path), source));
    }
    refuse_removed(hold(list, expected, source, ignore), what, source, key);
  };
  check(treefile.check_passwd, now.users, previous.users, users::parse_passwd, users::check_users,
        treefile.ignore_removed_users, "Users", "ignore-removed-users");
  check(treefile.check_groups, now.groups, previous.groups, users::parse_group, users::check_groups,
        treefile.ignore_removed_groups, "Groups", "ignore-removed-groups");
}

bool split_accounts(Files& files, const std::vector<std::string>& etc_group_members) {
  // Without the module that reads /usr/lib/passwd the host would know no user but root.
  const auto* lib = files.tree().find("usr");
  const auto has_module = [](const auto& self, const tree::Node& dir, int depth) -> bool {
    for (const auto& [name, node] : dir.children) {
      if (name == "libnss_altfiles.so.2") return true;
      if (depth > 0 && node->is_dir() && self(self, *node, depth - 1)) return true;
    }
    return false;
  };
  if (!lib || !has_module(has_module, *lib, 2)) return false;
  const auto split = users::split_accounts(read_accounts(files), etc_group_members);
  if (!split.unknown_members.empty())
    throw Error(ErrorCode::InvalidInput,
                "etc-group-members: the tree has no group " + join(split.unknown_members, ", "));
  write_accounts(files, split.etc, /*with_shadow=*/false);
  files.write("usr/lib/passwd", users::serialise(split.usr_lib.users));
  files.write("usr/lib/group", users::serialise(split.usr_lib.groups));
  files.write("etc/nsswitch.conf",
              users::add_altfiles(files.read("etc/nsswitch.conf").value_or("")));
  return true;
}

std::optional<std::filesystem::path> early_contexts(const EarlyFiles& early,
                                                    const std::filesystem::path& directory) {
  std::map<std::string, std::map<std::string, std::string>> policies;
  for (const auto& [path, text] : early) {
    const auto at = path.find(kContexts);
    if (at != std::string::npos)
      policies[path.substr(12, at - 12)][path.substr(at + kContexts.size())] = text;
  }
  std::set<std::string> names;
  for (const auto& [name, files] : policies)
    if (files.count("")) names.insert(name);
  const auto config = early.find("etc/selinux/config");
  const auto policy = choose_policy(config == early.end() ? "" : config->second, names);
  if (!policy) return std::nullopt;
  return write_contexts(policies.at(*policy), directory);
}

std::filesystem::path tree_contexts(Files& files, const std::filesystem::path& directory) {
  std::set<std::string> names;
  if (const auto* selinux = files.tree().find("etc/selinux"); selinux && selinux->is_dir())
    for (const auto& [name, node] : selinux->children)
      if (files.tree().find("etc/selinux/" + name + std::string(kContexts))) names.insert(name);
  const auto policy = choose_policy(files.read("etc/selinux/config").value_or(""), names);
  if (!policy)
    throw Error(ErrorCode::NotFound,
                "selinux: the policy is no longer in the tree: a script removed it");
  std::map<std::string, std::string> texts;
  const std::string dir = "etc/selinux/" + *policy + "/contexts/files";
  for (const auto& [name, node] : files.tree().find(dir)->children)
    if (name.starts_with("file_contexts") && !name.ends_with(".bin") && node->meta->is_regular())
      texts[name.substr(13)] = files.read(*node, dir + "/" + name);
  return write_contexts(texts, directory);
}

void run_sysusers(Runner& runner) {
  const auto* dir = runner.files().tree().resolve("usr/lib/sysusers.d");
  if (!dir || dir->children.empty() || !runner.has("usr/bin/systemd-sysusers")) return;
  sandbox::Job job;
  job.name = "systemd-sysusers";
  job.argv = {"/usr/bin/systemd-sysusers"};
  runner.run(job);
}

}  // namespace atomichost::assemble
