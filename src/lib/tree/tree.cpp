// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tree/tree.hpp"

#include <cassert>
#include <mutex>
#include <set>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace atomichost::tree {
namespace {

std::string_view strip(std::string_view path) noexcept {
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

// Takes the first component off @p path.
std::string_view pop(std::string_view& path) noexcept {
  const auto slash = path.find('/');
  const auto name = path.substr(0, slash);
  path = slash == std::string_view::npos ? std::string_view{} : strip(path.substr(slash + 1));
  return name;
}

std::pair<std::string_view, std::string_view> split_last(std::string_view path) noexcept {
  path = strip(path);
  const auto slash = path.rfind('/');
  if (slash == std::string_view::npos) return {{}, path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

template <typename NodeType, typename Visit>
void walk_below(NodeType& node, std::string& path, const Visit& visit) {
  visit(path, node);
  const auto length = path.size();
  for (auto it = node.children.begin(); it != node.children.end();) {
    const auto here = it++;  // the visitor may remove the node it is shown's siblings, not this one
    if (length) path += '/';
    path += here->first;
    walk_below(static_cast<NodeType&>(*here->second), path, visit);
    path.resize(length);
  }
}

}  // namespace

const Meta* intern(const Meta& meta) {
  static std::mutex mutex;
  static std::set<Meta> all;
  const std::lock_guard lock(mutex);
  return &*all.insert(meta).first;
}

Node* Node::child(std::string_view name) const noexcept {
  const auto it = children.find(name);
  return it == children.end() ? nullptr : it->second.get();
}

void Node::chown(std::uint32_t uid, std::uint32_t gid) {
  Meta changed = *meta;
  changed.uid = uid, changed.gid = gid;
  meta = intern(changed);
}

void Node::chmod(std::uint32_t permissions) {
  Meta changed = *meta;
  changed.mode = (changed.mode & S_IFMT) | (permissions & 07777);
  meta = intern(changed);
}

void Node::set_label(const std::string& label) {
  if (meta->label == label) return;
  Meta changed = *meta;
  changed.label = label;
  meta = intern(changed);
}

std::unique_ptr<Node> make_node(const Meta& meta) {
  auto node = std::make_unique<Node>();
  node->meta = intern(meta);
  return node;
}

Tree::Tree() : root_(make_node({.mode = S_IFDIR | 0755})) {}

Node* Tree::find(std::string_view path) const noexcept {
  Node* node = root_.get();
  for (path = strip(path); node && !path.empty();) node = node->child(pop(path));
  return node;
}

namespace {

// Resolve @p path component by component; at most 40 links, as the kernel allows.
Node* walk_links(Node* root, std::string_view path, bool last, int& budget,
                 std::vector<Node*> stack, std::vector<std::string>* names) {
  if (path.starts_with('/')) {
    stack.resize(1);
    if (names) names->clear();
  }
  for (path = strip(path); !path.empty();) {
    const auto name = pop(path);
    if (name == ".") continue;
    if (name == "..") {
      if (stack.size() > 1) stack.pop_back();
      if (names && !names->empty()) names->pop_back();
      continue;
    }
    Node* next = stack.back()->child(name);
    if (!next) return nullptr;
    if (next->meta->is_symlink() && (last || !path.empty())) {
      if (--budget < 0) return nullptr;
      const std::string rest = next->target + (path.empty() ? "" : "/" + std::string(path));
      return walk_links(root, rest, last, budget, std::move(stack), names);
    }
    if (!next->is_dir() && !path.empty()) return nullptr;
    stack.push_back(next);
    if (names) names->emplace_back(name);
  }
  return stack.back();
}

}  // namespace

Node* Tree::resolve(std::string_view path, bool last) const {
  int budget = 40;
  return walk_links(root_.get(), strip(path), last, budget, {root_.get()}, nullptr);
}

std::string Tree::canonical_parent(std::string_view path) const {
  auto [parent, name] = split_last(path);
  std::string missing;  // the trailing part of the parent that is not there
  for (;;) {
    int budget = 40;
    std::vector<std::string> names;
    const Node* dir = walk_links(root_.get(), parent, true, budget, {root_.get()}, &names);
    if (dir && dir->is_dir()) {
      std::string result = join(names, "/");
      for (const auto part : {std::string_view(missing), name}) {
        if (part.empty()) continue;
        if (!result.empty()) result += '/';
        result += part;
      }
      return result;
    }
    if (parent.empty()) return std::string(strip(path));
    const auto [above, last] = split_last(parent);
    missing = missing.empty() ? std::string(last) : std::string(last) + "/" + missing;
    parent = above;
  }
}

Node& Tree::make_dir(std::string_view path, std::uint32_t mode) {
  Node* node = root_.get();
  for (auto rest = strip(path); !rest.empty();) {
    const auto name = pop(rest);
    assert(!name.empty() && name != "..");
    auto [it, fresh] = node->children.try_emplace(std::string(name));
    if (fresh) it->second = make_node({.mode = S_IFDIR | mode});
    node = it->second.get();
    if (!node->is_dir())
      throw Error(ErrorCode::InvalidInput, "/" + std::string(strip(path)) + ": " +
                                               std::string(name) + " is not a directory");
  }
  return *node;
}

Node& Tree::put(std::string_view path, std::unique_ptr<Node> node) {
  const auto [parent, name] = split_last(path);
  assert(!name.empty() && name != "..");
  auto& slot = make_dir(parent).children[std::string(name)];
  slot = std::move(node);
  return *slot;
}

Node& Tree::put_symlink(std::string_view path, std::string target) {
  auto node = make_node({.mode = S_IFLNK | 0777});
  node->target = std::move(target);
  return put(path, std::move(node));
}

std::unique_ptr<Node> Tree::take(std::string_view path) {
  const auto [parent, name] = split_last(path);
  Node* dir = find(parent);
  if (!dir) return nullptr;
  const auto it = dir->children.find(name);
  if (it == dir->children.end()) return nullptr;
  auto node = std::move(it->second);
  dir->children.erase(it);
  return node;
}

void Tree::move(std::string_view from, std::string_view to) {
  assert(!find(to));
  auto node = take(from);
  assert(node);
  put(to, std::move(node));
}

void Tree::walk(const std::function<void(const std::string&, Node&)>& visit) {
  std::string path;
  walk_below(*root_, path, visit);
}

void Tree::walk(const std::function<void(const std::string&, const Node&)>& visit) const {
  std::string path;
  walk_below(static_cast<const Node&>(*root_), path, visit);
}

}  // namespace atomichost::tree
