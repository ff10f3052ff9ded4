// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <unistd.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <string>

#include "base/file.hpp"
#include "base/subprocess.hpp"
#include "ostree/object_store.hpp"
#include "ostree/repo.hpp"
#include "tree/tree.hpp"

/// Trees and repositories for the tests of ostree/ and importer/.
namespace atomichost::test {

inline const std::string kLabel = "system_u:object_r:usr_t:s0";
/// security.capability of cap_net_raw=ep
inline const std::string kCapability(
    "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20);

inline tree::Node& add_file(tree::Tree& tree, const std::string& path, tree::Meta meta) {
  meta.mode |= S_IFREG;
  return tree.put(path, tree::make_node(meta));
}

/// Bytes that deflate does not shrink to nothing, the same every time.
inline std::string noise(std::size_t size, std::uint32_t seed = 1) {
  std::string out(size, '\0');
  for (char& c : out) {
    seed = seed * 1664525 + 1013904223;
    c = static_cast<char>((seed >> 24) & 0x3f);
  }
  return out;
}

/// Says loudly what is not tested.
inline bool is_root(const char* what) {
  if (geteuid() == 0) return true;
  WARN("not root, so not tested: " << what);
  return false;
}

/// An empty repository that does not sync: a busy disk would make these tests slow.
inline void make_repo(const std::filesystem::path& path, const std::string& mode) {
  (void)ostree::Repo::create(path, mode);
  std::ofstream(path / "config", std::ios::app) << "fsync=false\n";
}

/// "" or what `ostree fsck` says when it is not content.
inline std::string fsck(const std::filesystem::path& repo) {
  const auto result =
      run_command({.argv = {"ostree", "fsck", "--quiet", "--repo=" + repo.string()}});
  return result.ok() ? "" : result.output + result.error_output;
}

/// Number of entries in tmp/ but for libostree's own cache directory.
inline std::size_t litter(const std::filesystem::path& repo) {
  std::size_t n = 0;
  for (const auto& entry : std::filesystem::directory_iterator(repo / "tmp"))
    n += entry.path().filename() != "cache";
  return n;
}

inline std::size_t object_count(const std::filesystem::path& repo) {
  std::size_t n = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(repo / "objects"))
    n += !entry.is_directory();
  return n;
}

}  // namespace atomichost::test
