// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sandbox/change.hpp"

#include <fcntl.h>

#include "base/error.hpp"
#include "base/file.hpp"

namespace atomichost::sandbox {
namespace {

// @p changed as the tree shall have it: the label is the tree's business.
const tree::Meta* with_label_of(const tree::Node* old, tree::Meta changed) {
  if (old && (old->meta->mode & S_IFMT) == (changed.mode & S_IFMT))
    changed.label = old->meta->label;
  return tree::intern(changed);
}

void apply_one(tree::Tree& tree, const Change& change, const PutContent& put) {
  tree::Node* old = change.path.empty() ? &tree.root() : tree.find(change.path);
  switch (change.kind) {
    case Change::Kind::Removed:
    case Change::Kind::Special:
      tree.remove(change.path);
      return;
    case Change::Kind::Directory: {
      const tree::Meta* meta = with_label_of(old, change.meta);
      if (!old || !old->is_dir()) old = &tree.put(change.path, tree::make_node(*meta));
      old->meta = meta;
      if (change.opaque) old->children.clear();
      return;
    }
    case Change::Kind::File: {
      const tree::Meta* meta = with_label_of(old, change.meta);
      if (old && old->meta->is_regular() && old->content == change.digest &&
          old->size == change.size) {
        old->meta = meta;
        return;
      }
      auto node = tree::make_node(*meta);
      node->size = change.size;
      node->content = change.digest;
      put(change.path, *node, change.open_content().get());
      tree.put(change.path, std::move(node));
      return;
    }
    case Change::Kind::Symlink: {
      const tree::Meta* meta = with_label_of(old, change.meta);
      if (old && old->meta->is_symlink() && old->target == change.target) {
        old->meta = meta;
        return;
      }
      auto node = tree::make_node(*meta);
      node->target = change.target;
      put(change.path, *node, -1);
      tree.put(change.path, std::move(node));
      return;
    }
  }
}

}  // namespace

UniqueFd Change::open_content() const {
  return open_at(AT_FDCWD, content, O_RDONLY | O_NOFOLLOW);
}

void apply(tree::Tree& tree, const std::vector<Change>& changes, const PutContent& put) {
  for (const Change& change : changes)
    with_context("/" + change.path, [&] { apply_one(tree, change, put); });
}

}  // namespace atomichost::sandbox
