// SPDX-License-Identifier: LGPL-2.1-or-later
#include "assemble/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "base/gptr.hpp"
#include "base/strings.hpp"

namespace atomichost {
template <>
struct GFree<GRegex> : FreeWith<g_regex_unref> {};
}  // namespace atomichost

namespace atomichost::assemble {
namespace {

constexpr std::size_t kConflictsShown = 10;

// Regular expressions for one package.
class Filter {
 public:
  Filter(const std::vector<const rpm::Package*>& packages, const PlanOptions& options) {
    std::set<std::string, std::less<>> names;
    for (const auto* package : packages) names.insert(package->nevra().name);
    for (const auto& [name, patterns] : options.remove_from_packages) {
      if (!names.count(name))
        throw Error(ErrorCode::InvalidInput,
                    fmt::format("remove-from-packages: package {} is not part of this tree{}", name,
                                did_you_mean(name, {names.begin(), names.end()})));
      for (const auto& pattern : patterns) {
        GErrorSink error;
        auto regex =
            adopt(g_regex_new(pattern.c_str(), GRegexCompileFlags(0), GRegexMatchFlags(0), error));
        if (!regex)
          throw Error(ErrorCode::InvalidInput,
                      fmt::format("remove-from-packages: {}: {}", name, error.get()->message));
        patterns_[name].push_back(std::move(regex));
      }
    }
  }
  [[nodiscard]] const std::vector<GPtr<GRegex>>* of(const std::string& package) const {
    const auto it = patterns_.find(package);
    return it == patterns_.end() ? nullptr : &it->second;
  }

 private:
  std::map<std::string, std::vector<GPtr<GRegex>>> patterns_;
};

// %lang(de|at) against the wanted ones, as rpm's %_install_langs: "de" also stands for "de_AT" and
// "de@euro".
bool wanted_language(const std::string& langs, const std::vector<std::string>& wanted) {
  if (langs.empty() || wanted.empty()) return true;
  for (const auto& lang : split(langs, '|'))
    for (const auto& want : wanted) {
      if (want == "all" || lang == want) return true;
      if (lang.starts_with(want) && lang.size() > want.size() &&
          std::string_view("_@.").find(lang[want.size()]) != std::string_view::npos)
        return true;
    }
  return false;
}

bool same(const tree::Node& node, const rpm::File& file, const std::string& owner_key,
          const std::string& known_key) {
  if ((node.meta->mode & 07777) != (file.mode & 07777) && !S_ISLNK(file.mode)) return false;
  if ((node.meta->mode & S_IFMT) != (file.mode & S_IFMT)) return false;
  if (S_ISLNK(file.mode)) return node.target == file.target;
  return node.size == file.size && file.digest && node.content == *file.digest &&
         owner_key == known_key && node.meta->capability == file.capability;
}

}  // namespace

Plan make_plan(const std::vector<const rpm::Package*>& packages, const PlanOptions& options) {
  Plan plan;
  plan.nodes.resize(packages.size());
  plan.left_out.resize(packages.size());
  const Filter filter(packages, options);
  // Every tree is usr-merged: a package that still names /bin/x means /usr/bin/x.
  for (const char* top : {"bin", "sbin", "lib", "lib64"}) {
    plan.tree.make_dir("usr/" + std::string(top));
    plan.tree.put_symlink(top, "usr/" + std::string(top));
  }
  std::map<const tree::Node*, std::string> owner_of;  // only for entries that are not root:root
  std::vector<std::string> conflicts;
  std::size_t conflict_count = 0;

  for (std::size_t p = 0; p < packages.size(); ++p) {
    const auto& package = *packages[p];
    const auto& files = package.files();
    const auto* remove = filter.of(package.nevra().name);
    plan.nodes[p].assign(files.size(), nullptr);
    plan.left_out[p].assign(files.size(), false);
    for (std::size_t i = 0; i < files.size(); ++i) {
      const auto& file = files[i];
      if (file.ghost) continue;
      const bool is_removed =
          remove && std::any_of(remove->begin(), remove->end(), [&](const GPtr<GRegex>& pattern) {
            return g_regex_match(pattern.get(), file.path.c_str(), GRegexMatchFlags(0), nullptr);
          });
      if (is_removed || (!options.documentation && file.doc) ||
          !wanted_language(file.langs, options.install_langs)) {
        plan.left_out[p][i] = true;
        continue;
      }
      if (!S_ISDIR(file.mode) && !S_ISREG(file.mode) && !S_ISLNK(file.mode)) {
        plan.notes.push_back(
            fmt::format("{}: {} is a device, fifo or socket; a commit cannot hold it",
                        package.nevra().str(), file.path));
        continue;
      }
      const auto path = plan.tree.canonical_parent(file.path);
      if (path.empty()) {  // the root directory itself
        plan.tree.root().chmod(file.mode);
        continue;
      }
      const std::string owner_key = file.user + ":" + file.group;
      tree::Node* there = plan.tree.find(path);
      if (S_ISDIR(file.mode)) {
        // A directory where a link to a directory is already: the package means what the link leads
        // to.
        if (there && there->meta->is_symlink()) {
          const auto* target = plan.tree.resolve(path);
          if (target && target->is_dir()) continue;
        }
        if (there && !there->is_dir()) {
          ++conflict_count;
          conflicts.push_back(fmt::format("{} has directory {}, which is a file of another package",
                                          package.nevra().str(), file.path));
          continue;
        }
        tree::Node& dir = there ? *there : plan.tree.make_dir(path);
        dir.chmod(file.mode);
        dir.package = static_cast<std::int32_t>(p);
        plan.nodes[p][i] = &dir;
      } else {
        if (there && there->package < 0 && there->meta->is_symlink() && S_ISLNK(file.mode)) {
          there->package = static_cast<std::int32_t>(p);  // ours above, now the package's
          there->target = file.target;
          plan.nodes[p][i] = there;
          continue;
        }
        if (there && there->is_dir() && there->package < 0 && there->children.empty()) {
          plan.tree.remove(path);
          there = nullptr;
        }
        if (there) {
          const auto known = owner_of.find(there);
          if (same(*there, file, owner_key, known == owner_of.end() ? "root:root" : known->second))
            continue;
          ++conflict_count;
          if (conflicts.size() < kConflictsShown)
            conflicts.push_back(
                fmt::format("{} and {} both have {}, and not the same",
                            there->package >= 0
                                ? packages[static_cast<std::size_t>(there->package)]->nevra().str()
                                : "the tree itself",
                            package.nevra().str(), file.path));
          continue;
        }
        auto node = tree::make_node({.mode = S_ISLNK(file.mode) ? S_IFLNK | 0777 : file.mode,
                                     .capability = file.capability});
        node->package = static_cast<std::int32_t>(p);
        node->target = file.target;
        node->size = file.size;
        if (file.digest) node->content = *file.digest;
        plan.nodes[p][i] = &plan.tree.put(path, std::move(node));
      }
      if (file.user != "root" || file.group != "root") {
        plan.owners.push_back({path, static_cast<std::int32_t>(p), file.user, file.group});
        owner_of[plan.nodes[p][i]] = owner_key;
      }
    }
  }
  if (conflict_count)
    throw Error(
        ErrorCode::InvalidInput,
        fmt::format(
            "{} file conflict{} between packages (leave one out with exclude-packages, or its file "
            "with remove-from-packages):\n  {}{}",
            conflict_count, conflict_count == 1 ? "" : "s", join(conflicts, "\n  "),
            conflict_count > conflicts.size() ? "\n  ..." : ""));
  return plan;
}

void Accounts::add(const users::Accounts& accounts) {
  for (const auto& user : accounts.users) users.emplace(user.name, user.uid);
  for (const auto& group : accounts.groups) groups.emplace(group.name, group.gid);
}

std::vector<std::string> resolve_owners(tree::Tree& tree, const std::vector<Owner>& owners,
                                        const Accounts& accounts) {
  std::set<std::string> unknown;
  for (const auto& owner : owners) {
    tree::Node* node = tree.find(owner.path);
    if (!node || node->package != owner.package) continue;
    const auto user = accounts.users.find(owner.user);
    const auto group = accounts.groups.find(owner.group);
    if (user == accounts.users.end()) unknown.insert("user " + owner.user);
    if (group == accounts.groups.end()) unknown.insert("group " + owner.group);
    node->chown(user == accounts.users.end() ? 0 : user->second,
                group == accounts.groups.end() ? 0 : group->second);
  }
  return {unknown.begin(), unknown.end()};
}

std::size_t apply_labels(tree::Tree& tree, const selinux::Labeler& labeler) {
  std::size_t changed = 0;
  tree.walk([&](const std::string& path, tree::Node& node) {
    const auto label = labeler.label("/" + path, node.meta->mode);
    if (label == node.meta->label) return;
    node.set_label(label);
    ++changed;
  });
  return changed;
}

namespace {

void inherit_below(tree::Node& dir) {
  for (auto& [name, node] : dir.children) {
    if (node->meta->label.empty()) node->set_label(dir.meta->label);
    if (node->is_dir()) inherit_below(*node);
  }
}

}  // namespace

void inherit_labels(tree::Tree& tree) {
  inherit_below(tree.root());
}

}  // namespace atomichost::assemble
