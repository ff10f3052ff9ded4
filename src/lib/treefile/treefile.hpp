// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/sha256.hpp"
#include "treefile/value.hpp"

/// The treefile model: what a user wrote about a tree, read, merged and checked into plain values.
/// Reads the treefile and the files it includes, and nothing else; never prints. Values may be
/// copied and used from any thread. docs/treefile.md describes every key.
namespace atomichost::treefile {

/// A file that a treefile names; relative names are beside the treefile that names them.
struct FileRef {
  std::string name;            ///< as written
  std::filesystem::path path;  ///< where it is: directory of that treefile / name
  Where where;                 ///< where it is named
  bool operator==(const FileRef& o) const { return name == o.name; }
};

struct AddFile {
  FileRef source;
  std::string destination;  ///< absolute path in the tree: "/usr/share/x", "/etc/y"
  bool operator==(const AddFile&) const = default;
};

struct RepoPackages {
  std::string repo;
  std::vector<std::string> packages;
  bool operator==(const RepoPackages&) const = default;
};

struct RemoveFromPackages {
  std::string package;
  std::vector<std::string> patterns;  ///< regular expressions (GRegex), matched against the path
  bool operator==(const RemoveFromPackages&) const = default;
};

enum class BootLocation : std::uint8_t { New, Modules };
enum class RpmdbBackend : std::uint8_t { Target, Host, Sqlite };

struct AccountIds {
  std::uint32_t id = 0;   ///< uid of a user, gid of a group
  std::uint32_t gid = 0;  ///< users: primary group; equals id when only one number was given
  bool operator==(const AccountIds&) const = default;
};

/// What the users (or groups) of the new tree are held against.
struct AccountCheck {
  enum class Type : std::uint8_t { None, Previous, File, Data };
  Type type = Type::Previous;
  std::optional<FileRef> file;                ///< File only: in passwd(5) or group(5) format
  std::map<std::string, AccountIds> entries;  ///< Data only
  bool operator==(const AccountCheck&) const = default;
};

/// A treefile with all includes merged, variables replaced and defaults filled in.
/// Lists are in the order of merging: included files first, the including one last.
struct Treefile {
  std::string basearch;
  std::optional<std::string> ref;
  std::optional<std::string> releasever;
  std::string edition = "2014";

  // Packages; names, provides, globs or "name >= version". Sorted, without repetition.
  std::vector<std::string> packages;  ///< with bootstrap-packages and packages-ARCH of basearch
  std::vector<std::string> exclude_packages;
  std::vector<RepoPackages> repo_packages;
  bool recommends = true;
  bool documentation = true;
  std::optional<std::vector<std::string>> install_langs;  ///< nullopt: all

  // Repositories. nullopt: all that are enabled in the .repo files beside the treefile.
  std::optional<std::vector<std::string>> repos;
  std::vector<std::string> lockfile_repos;
  std::map<std::string, std::string> repovars;

  // Users and groups
  std::vector<std::string> etc_group_members;
  bool preserve_passwd = true;
  AccountCheck check_passwd;
  AccountCheck check_groups;
  std::vector<std::string> ignore_removed_users;   ///< "*": any. Sorted
  std::vector<std::string> ignore_removed_groups;  ///< "*": any. Sorted

  // Layout and boot
  BootLocation boot_location = BootLocation::New;
  bool tmp_is_dir = false;
  bool readonly_executables = false;
  bool machineid_compat = true;
  std::vector<std::string> units;
  std::optional<std::string> default_target;
  std::vector<std::string> initramfs_args;
  bool no_initramfs = false;

  // Integrity
  bool selinux = true;
  std::optional<std::string> gpg_key;
  RpmdbBackend rpmdb = RpmdbBackend::Target;

  // Changes to the tree, in the order in which they are applied
  std::vector<RemoveFromPackages> remove_from_packages;
  std::optional<std::string> mutate_os_release;
  std::vector<std::string> remove_files;  ///< relative to the root: "usr/share/info"
  std::vector<AddFile> add_files;
  std::vector<std::string> postprocess;  ///< scripts themselves, with or without "#!"
  std::optional<FileRef> postprocess_script;

  // Version and metadata
  std::optional<std::string> automatic_version_prefix;  ///< for next_version()
  char automatic_version_suffix = '.';
  std::map<std::string, std::string> add_commit_metadata;  ///< key -> value as JSON text
  std::map<std::string, std::string> metadata;             ///< opaque; key -> value as JSON text
  std::optional<std::vector<std::string>> container_cmd;
  std::map<std::string, std::string> variables;  ///< value as JSON text: true, 5 or "text"

  // About the reading; not part of the value (see canonical_json())
  std::vector<std::filesystem::path> sources;  ///< files read, the treefile itself first
  std::vector<std::string> warnings;           ///< one line each, "FILE:LINE:COL: ..."

  /// The directory in which .repo files are looked for.
  [[nodiscard]] std::filesystem::path directory() const;
};

struct LoadOptions {
  std::string basearch;  ///< architecture composed for, as RPM calls it: "x86_64"
};

/// Read @p path and all that it includes. Files named by keys (add-files, scripts, passwd) must
/// exist but are not read.
/// @throws Error  InvalidInput: "FILE:LINE:COL: what is wrong and what to do", several problems one
///   per line. NotFound, Denied: @p path itself cannot be read.
[[nodiscard]] Treefile load(const std::filesystem::path& path, const LoadOptions& options);

/// The flattened treefile as JSON: sorted keys, defaults left out, two-space indentation, final
/// newline. Equal treefiles give equal bytes, whatever the order of maps, comments or split into
/// files; loading it again gives an equal treefile. Warnings, positions and directories are not
/// in it.
[[nodiscard]] std::string canonical_json(const Treefile& treefile);

/// Key and name as written ("add-files:etc/motd") and SHA-256 of the content of every file that the
/// treefile names, in a fixed order: what the input hash needs beside canonical_json().
/// @throws Error  NotFound, Denied: a file went away since load().
[[nodiscard]] std::vector<std::pair<std::string, Digest>> referenced_digests(
    const Treefile& treefile);

}  // namespace atomichost::treefile
