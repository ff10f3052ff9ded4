// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sandbox/read_set.hpp"

#include <fmt/format.h>

namespace atomichost::sandbox {

std::string answer(Look look, const tree::Node* node) {
  if (!node) return {};
  const tree::Meta& meta = *node->meta;
  switch (look) {
    case Look::Absent:
    case Look::Entry:
      return fmt::format("{:o}:{}:{}", meta.mode, meta.uid, meta.gid);
    case Look::Size:
      return std::to_string(meta.is_regular()   ? node->size
                            : meta.is_symlink() ? node->target.size()
                                                : 0);
    case Look::Content:
      return meta.is_regular() ? std::string(bytes_of(node->content)) : "-";
    case Look::Listing: {
      Sha256 hash;
      for (const auto& [name, child] : node->children) {
        hash.update(name.c_str(), name.size() + 1);
        hash.update(fmt::format("{:o}/", child->meta->mode & S_IFMT));
      }
      return meta.is_dir() ? std::string(bytes_of(hash.finish())) : "-";
    }
    case Look::Target:
      return meta.is_symlink() ? node->target : "-";
    case Look::Capability:
      return meta.capability;
    case Look::Label:
      return meta.label;
  }
  return "-";
}

const Observation* first_difference(const std::vector<Observation>& observations,
                                    const tree::Tree& tree) {
  for (const Observation& seen : observations) {
    const tree::Node* node = tree.find(seen.path);
    if (!node != (seen.look == Look::Absent)) return &seen;
    if (answer(seen.look, node) != seen.answer) return &seen;
  }
  return nullptr;
}

}  // namespace atomichost::sandbox
