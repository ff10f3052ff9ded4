// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "rpm/nevra.hpp"
#include "rpmmd/rpmmd.hpp"
#include "solver/libsolv.hpp"

namespace atomichost::solver {

/// A libsolv queue that frees itself.
class IdQueue {
 public:
  IdQueue() { queue_init(&queue_); }
  IdQueue(const IdQueue&) = delete;
  IdQueue& operator=(const IdQueue&) = delete;
  ~IdQueue() { queue_free(&queue_); }
  [[nodiscard]] Queue* get() { return &queue_; }
  void push(Id id) { queue_push(&queue_, id); }
  [[nodiscard]] int size() const { return queue_.count; }
  [[nodiscard]] Id operator[](int i) const { return queue_.elements[i]; }
  [[nodiscard]] const Id* begin() const { return queue_.elements; }
  [[nodiscard]] const Id* end() const { return queue_.elements + queue_.count; }

 private:
  Queue queue_{};
};

/// All packages of all repositories, each visible or hidden for a stated reason.
class PackagePool {
 public:
  /// Load @p repos in the order of their ids, from the cache where it is current.
  /// @param with_filelists  Also the lists of all files; repos must have fetched them.
  /// @param architectures  libsolv's arch policy: "x86_64:i686"; noarch always counts.
  PackagePool(const std::vector<rpmmd::RepoMetadata>& repos, const std::string& architectures,
              bool with_filelists, const std::filesystem::path& cachedir);
  PackagePool(const PackagePool&) = delete;
  PackagePool& operator=(const PackagePool&) = delete;
  ~PackagePool();

  [[nodiscard]] Pool* get() const { return pool_; }
  [[nodiscard]] std::string repo_of(Id package) const;
  [[nodiscard]] std::string name_of(Id package) const;
  [[nodiscard]] rpm::Nevra nevra_of(Id package) const;
  [[nodiscard]] std::string checksum_of(Id package, std::string* type) const;

  /// Keep @p package out of the solution. The first reason stays.
  void hide(Id package, const std::string& reason);
  [[nodiscard]] bool is_hidden(Id package) const { return reasons_.contains(package); }
  [[nodiscard]] const std::string* reason(Id package) const;

  /// All packages; @p visit(id).
  template <typename Visit>
  void for_each(Visit visit) const {
    for (Id p = SYSTEMSOLVABLE + 1; p < pool_->nsolvables; ++p)
      if (pool_->solvables[p].repo) visit(p);
  }
  /// Packages that @p pattern names: name, name.arch, name-version..., globs; also hidden ones and
  /// those of other architectures.
  [[nodiscard]] std::vector<Id> matching(const std::string& pattern) const;

 private:
  void load(const rpmmd::RepoMetadata& metadata, bool with_filelists,
            const std::filesystem::path& cachedir);
  void parse(const rpmmd::RepoMetadata& metadata, const std::string& type,
             const std::filesystem::path& file, ::Repo* repo, int flags);

  Pool* pool_;
  std::map<Id, std::string> reasons_;
  std::unique_ptr<Map, void (*)(Map*)> considered_;
};

}  // namespace atomichost::solver
