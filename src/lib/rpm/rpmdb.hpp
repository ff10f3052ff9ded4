// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "rpm/nevra.hpp"
#include "rpm/package.hpp"

namespace atomichost::rpm {

/// One package of a database to be written.
struct InstalledPackage {
  const Package* package = nullptr;
  /// Files that were left out (documentation, languages): one flag per file of the header; empty
  /// means all are installed.
  std::vector<bool> left_out;
};

/// Write an RPM database (sqlite) of @p in_install_order into @p empty_dir: one file
/// "rpmdb.sqlite", mode 0644, readable on a read-only file system by every rpm with the sqlite
/// backend. Same packages, order and time give the same bytes, wherever, whenever and as whoever
/// it is written; nothing is synced.
/// @param time_s  install time of all packages, seconds since 1970.
/// @throws Error  InvalidInput: the directory has something in it. Failed: librpm's reason.
void write_rpmdb(const std::filesystem::path& empty_dir,
                 const std::vector<InstalledPackage>& in_install_order, std::int64_t time_s);
void write_rpmdb(const std::filesystem::path& empty_dir,
                 const std::vector<const Package*>& in_install_order, std::int64_t time_s);

/// One entry of a package's %changelog, newest first in lists.
struct ChangelogEntry {
  std::int64_t time_s = 0;
  std::string author;
  std::string text;
  bool operator==(const ChangelogEntry&) const = default;
};

/// A package as a database knows it.
struct DatabasePackage {
  Nevra nevra;
  std::uint64_t size = 0;         ///< installed bytes
  std::int64_t build_time = 0;    ///< seconds since 1970
  std::int64_t install_time = 0;  ///< seconds since 1970
  std::string summary;
  std::vector<ChangelogEntry> changelog;  ///< only when asked for
};

/// All packages of the database in @p dbpath, sorted by NEVRA; keys (gpg-pubkey) are left out. The
/// directory is not written to and may be read-only.
/// @throws Error  NotFound: no database there. Corrupt, Failed: librpm's reason.
[[nodiscard]] std::vector<Nevra> read_rpmdb(const std::filesystem::path& dbpath);
[[nodiscard]] std::vector<DatabasePackage> read_rpmdb_packages(const std::filesystem::path& dbpath,
                                                               bool with_changelogs);

}  // namespace atomichost::rpm
