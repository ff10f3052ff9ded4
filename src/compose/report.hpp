// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "assemble/runner.hpp"
#include "base/gptr.hpp"
#include "importer/importer.hpp"
#include "ostree/object_store.hpp"
#include "rpmmd/rpmmd.hpp"
#include "solver/solver.hpp"
#include "treefile/treefile.hpp"

namespace atomichost::compose {

/// What a compose did, for people and programs.
class Report {
 public:
  explicit Report(bool json) : json_(json), step_begun_(Clock::now()), begun_(step_begun_) {}
  /// The step so far ends, the one called @p name begins.
  void step(const std::string& name);
  void finish();

  void print_transaction(const std::vector<solver::ResolvedPackage>& packages) const;
  void print_downloaded(const std::vector<solver::ResolvedPackage>& packages) const;
  void unchanged(const std::string& previous) const;
  void print() const;
  /// The file of --write-composejson-to.
  [[nodiscard]] std::string compose_json() const;

  std::size_t packages = 0;
  importer::ImportCounters imported;
  ostree::StoreCounters content;   ///< objects of files and links
  ostree::StoreCounters metadata;  ///< objects of directories
  std::vector<assemble::Ran> programs;
  std::vector<std::string> not_kept;
  std::string ref, commit, version, inputhash, content_checksum;
  std::int64_t timestamp_s = 0;

 private:
  using Clock = std::chrono::steady_clock;
  void print_packages(const char* key, const std::vector<solver::ResolvedPackage>& packages) const;
  bool json_;
  std::string current_;
  Clock::time_point step_begun_, begun_;
  std::vector<std::pair<std::string, double>> steps_;
  double total_s_ = 0;
};

/// The metadata of the commit: the treefile's, then --add-metadata-from-json, then
/// --add-metadata-string, then our own keys.
class CommitMetadata {
 public:
  /// @throws Error InvalidInput naming file or option.
  static CommitMetadata collect(const treefile::Treefile& treefile,
                                const std::filesystem::path& json_file,
                                const std::vector<std::string>& strings);
  std::optional<std::string> version;  ///< a "version" among them
  /// Equal for equal metadata; part of the input hash.
  [[nodiscard]] std::string identity() const;

  struct Facts {
    std::string version;
    std::string inputhash;
    const std::vector<solver::ResolvedPackage>& resolved;
    const std::vector<rpmmd::RepoMetadata>& repos;
    std::vector<std::string> initramfs_args;
    std::optional<std::vector<std::string>> container_cmd;
    std::string kernel;  ///< "" none
    bool bootable = false;
  };
  /// a{sv}
  [[nodiscard]] GPtr<GVariant> build(const Facts& facts) const;

 private:
  std::map<std::string, std::string> json_values_;  ///< key -> JSON text
};

}  // namespace atomichost::compose
