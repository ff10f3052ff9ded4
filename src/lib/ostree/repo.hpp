// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/sha256.hpp"
#include "ostree/gptr.hpp"
#include "ostree/object_store.hpp"

namespace atomichost::ostree {

/// A commit object as it is in a repository.
struct Commit {
  std::string checksum;
  std::string parent;  ///< "" is none
  std::string subject;
  std::string body;
  std::int64_t timestamp_s = 0;
  TreeSums root;
  GPtr<GVariant> metadata;  ///< a{sv}, never null
  /// The value of a string key of the metadata; nullopt: not there or no string.
  [[nodiscard]] std::optional<std::string> text(const std::string& key) const;
  /// Any key of the metadata; nullptr: not there.
  [[nodiscard]] GPtr<GVariant> value(const std::string& key) const;
  [[nodiscard]] std::string version() const { return text("version").value_or(""); }
};

struct NewCommit {
  TreeSums root;        ///< from ObjectStore::put_tree(), published
  std::string parent;   ///< "" is none
  std::string subject;  ///< one line
  std::string body;
  std::int64_t timestamp_s = 0;
  GVariant* metadata = nullptr;  ///< a{sv}, borrowed (a floating one is consumed); nullptr: empty
};

/// One name in a directory of a commit.
struct DirEntry {
  std::string name;
  std::uint32_t mode = 0;  ///< with the file type bits
  std::uint64_t size = 0;  ///< of a regular file
  std::string target;      ///< of a symbolic link
};

/// A repository through libostree: commits, refs, signatures, summary. Movable.
/// Thread rule: one thread at a time per Repo; several Repos of one path are fine.
class Repo {
 public:
  /// @throws Error NotFound: no repository there.
  [[nodiscard]] static Repo open(const std::filesystem::path& path);
  /// Make an empty repository. @param mode "bare-user", "archive", "bare", "bare-user-only"
  [[nodiscard]] static Repo create(const std::filesystem::path& path, const std::string& mode);

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] std::string mode() const;
  /// For modules that drive libostree themselves; borrowed.
  [[nodiscard]] OstreeRepo* get() const noexcept { return repo_.get(); }

  /// The commit a ref ("os/x86_64/stable", "remote:branch") or a full checksum stands for; never
  /// fetches. @return 64 hex digits; nullopt: no such ref.
  [[nodiscard]] std::optional<std::string> resolve(const std::string& rev) const;
  /// All refs that start with @p prefix ("": all), sorted.
  [[nodiscard]] std::vector<std::string> refs(const std::string& prefix = {}) const;
  /// @throws Error NotFound, Corrupt
  [[nodiscard]] Commit read_commit(const std::string& checksum) const;
  /// SHA-256 of a commit's tree alone: equal for commits that differ in metadata or time only.
  [[nodiscard]] std::string content_checksum(const std::string& checksum) const;
  /// Content of a regular file in a commit, links followed inside the commit; nullopt: no file
  /// there. @param path "usr/lib/passwd" or "/usr/lib/passwd"
  [[nodiscard]] std::optional<std::string> read_file(const std::string& checksum,
                                                     const std::string& path) const;
  /// The names in a directory of a commit, sorted; nullopt: no directory there.
  [[nodiscard]] std::optional<std::vector<DirEntry>> list(const std::string& checksum,
                                                          const std::string& path) const;

  /// Write a commit object. The same input gives the same checksum. No ref is changed.
  /// @return its checksum
  [[nodiscard]] std::string write_commit(const NewCommit& commit);
  /// Add a GPG signature to a commit; each call adds one. @param homedir "": the user's key ring
  void sign(const std::string& checksum, const std::string& key_id, const std::string& homedir);
  /// Point @p ref at a commit, in one step. A summary is kept up to date when the repository's
  /// configuration asks for it (core.auto-update-summary).
  /// @throws Error InvalidInput: not a valid ref name.
  void set_ref(const std::string& ref, const std::string& checksum);
  /// Write the summary file anew.
  void regenerate_summary();

 private:
  Repo(std::filesystem::path path, GPtr<OstreeRepo> repo)
      : path_(std::move(path)), repo_(std::move(repo)) {}
  std::filesystem::path path_;
  GPtr<OstreeRepo> repo_;
};

/// @throws Error InvalidInput unless @p ref is a name that OSTree accepts.
void check_ref_name(const std::string& ref);

}  // namespace atomichost::ostree
