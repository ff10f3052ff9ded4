// SPDX-License-Identifier: LGPL-2.1-or-later
#include "assemble/files.hpp"

#include "base/error.hpp"
#include "base/file.hpp"

namespace atomichost::assemble {

std::optional<std::string> Files::read(std::string_view path) const {
  const auto* node = tree_.resolve(path);
  if (!node || !node->meta->is_regular()) return std::nullopt;
  return read(*node, std::string(path));
}

std::string Files::read(const tree::Node& node, const std::string& path) const {
  return read_fd(store_.open_content(node).get(), path);
}

void Files::label(tree::Node& node, std::string_view path) const {
  while (path.starts_with('/')) path.remove_prefix(1);
  if (labeler_) node.set_label(labeler_->label("/" + std::string(path), node.meta->mode));
}

tree::Node& Files::make(std::string_view path, std::uint32_t mode) {
  const auto canonical = tree_.canonical_parent(path);
  tree::Meta meta{.mode = S_IFREG | mode};
  if (const auto* old = tree_.find(canonical); old && old->meta->is_regular()) meta = *old->meta;
  auto& node = tree_.put(canonical, tree::make_node(meta));
  label(node, canonical);
  return node;
}

tree::Node& Files::write(std::string_view path, std::string_view content, std::uint32_t mode) {
  auto& node = make(path, mode);
  store_.put_bytes(node, content);
  return node;
}

tree::Node& Files::write_fd(std::string_view path, int fd, std::uint32_t mode) {
  auto& node = make(path, mode);
  store_.put_file(node, fd, std::string(path));
  return node;
}

void Files::put(tree::Node& node, const std::string& path, int fd) {
  label(node, path);
  store_.put_file(node, fd, std::string(path));
}

tree::Node& Files::symlink(std::string_view path, std::string target) {
  const auto canonical = tree_.canonical_parent(path);
  auto& node = tree_.put_symlink(canonical, std::move(target));
  label(node, canonical);
  return node;
}

tree::Node& Files::directory(std::string_view path, std::uint32_t mode) {
  const auto canonical = tree_.canonical_parent(path);
  auto& node = tree_.make_dir(canonical, mode);
  label(node, canonical);
  return node;
}

}  // namespace atomichost::assemble
