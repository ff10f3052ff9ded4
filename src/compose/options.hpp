// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace atomichost::compose {

/// What the command line of `atomic-compose tree` says.
struct TreeOptions {
  std::filesystem::path treefile;
  std::filesystem::path repo;
  std::filesystem::path cachedir;
  std::filesystem::path workdir;
  std::filesystem::path source_root;
  bool force_nocache = false;
  bool cache_only = false;
  bool download_only = false;
  bool dry_run = false;
  bool print_only = false;
  bool disable_selinux = false;
  bool no_parent = false;
  bool strict_lock = false;
  bool unified_core = true;  ///< accepted for compatibility, says nothing
  bool json = false;
  bool quiet = false;
  std::string parent;
  std::string proxy;
  std::string previous_commit;
  std::string previous_inputhash;
  std::string previous_version;
  std::filesystem::path touch_if_changed;
  std::filesystem::path write_lockfile_to;
  std::vector<std::filesystem::path> lockfiles;
  std::vector<std::string> metadata_strings;
  std::filesystem::path metadata_json;
  std::filesystem::path write_commitid_to;
  std::filesystem::path write_composejson_to;
  unsigned threads = 0;             ///< 0: as many as there are processors
  unsigned script_timeout_s = 600;  ///< for one program in the tree
};

}  // namespace atomichost::compose
