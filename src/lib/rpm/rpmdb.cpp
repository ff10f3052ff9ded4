// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpm/rpmdb.hpp"

#include <fcntl.h>
#include <rpm/rpmdb.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/file.hpp"
#include "rpm/database_tuning.hpp"
#include "rpm/librpm.hpp"

namespace atomichost::rpm {
namespace {

constexpr const char* kFile = "rpmdb.sqlite";
using TxnPtr = std::unique_ptr<std::remove_pointer_t<rpmtxn>, Release<rpmtxnEnd>>;
using IteratorPtr =
    std::unique_ptr<std::remove_pointer_t<rpmdbMatchIterator>, Release<rpmdbFreeIterator>>;

/// A transaction whose database is the directory @p dbpath: `_dbpath` is "/" (see initialise()),
/// so it is where the root is.
TransactionPtr transaction_on(const std::filesystem::path& dbpath) {
  const std::string root = std::filesystem::absolute(dbpath).string();
  if (root.find('%') != std::string::npos)
    throw Error(ErrorCode::InvalidInput, "librpm takes no database path with a '%': " + root);
  TransactionPtr ts = new_transaction();
  rpmtsSetVSFlags(ts.get(), RPMVSF_MASK_NODIGESTS | RPMVSF_MASK_NOSIGNATURES);
  rpmtsSetRootDir(ts.get(), root.c_str());
  return ts;
}

/// What installing would add to the header.
void add_install_tags(Header h, const InstalledPackage& installed, std::uint32_t time_s) {
  const std::uint32_t color = 0;
  headerPutUint32(h, RPMTAG_INSTALLTIME, &time_s, 1);
  headerPutUint32(h, RPMTAG_INSTALLTID, &time_s, 1);
  headerPutUint32(h, RPMTAG_INSTALLCOLOR, &color, 1);
  const std::size_t count = installed.package->files().size();
  if (count == 0) return;
  std::vector<char> states(count, RPMFILE_STATE_NORMAL);
  for (std::size_t i = 0; i < std::min(count, installed.left_out.size()); ++i)
    if (installed.left_out[i]) states[i] = RPMFILE_STATE_NOTINSTALLED;
  headerPutChar(h, RPMTAG_FILESTATES, states.data(), static_cast<rpm_count_t>(count));
}

}  // namespace

void write_rpmdb(const std::filesystem::path& empty_dir,
                 const std::vector<InstalledPackage>& in_install_order, std::int64_t time_s) {
  with_context("Writing the RPM database " + empty_dir.string(), [&] {
    std::error_code error;
    const bool empty = std::filesystem::is_empty(empty_dir, error);
    if (error) throw errno_error(error.value(), "looking into the directory");
    if (!empty) throw Error(ErrorCode::InvalidInput, "the directory is not empty");
    const Messages messages;
    DatabaseTuning tuning;
    const auto failed = [&](const std::string& doing) {
      return Error(ErrorCode::Failed, doing + ": " + messages.text("librpm gives no reason"));
    };
    const auto failed_while_open = [&](const std::string& doing) {
      return tuning.is_disk_full()
                 ? Error(ErrorCode::NoSpace, doing + ": no space left on the file system")
                 : failed(doing);
    };
    {
      const TransactionPtr ts = transaction_on(empty_dir);
      if (rpmtsOpenDB(ts.get(), O_RDWR | O_CREAT) != 0) throw failed("opening");
      const TxnPtr txn(rpmtxnBegin(ts.get(), RPMTXN_WRITE));
      if (!txn) throw failed_while_open("locking");
      if (!tuning.begin()) throw failed_while_open("beginning");
      for (const InstalledPackage& installed : in_install_order) {
        const HeaderPtr h =
            import_header(installed.package->data().header, installed.package->path().string());
        add_install_tags(h.get(), installed, static_cast<std::uint32_t>(time_s));
        if (rpmtsImportHeader(txn.get(), h.get(), 0) != RPMRC_OK)
          throw failed_while_open("adding " + installed.package->nevra().str());
      }
      if (!tuning.commit()) throw failed_while_open("writing it out");
    }
    if (!messages.empty()) throw failed("closing");
    std::filesystem::remove(empty_dir / ".rpm.lock");
    if (chmod((empty_dir / kFile).c_str(), 0644) != 0) throw_errno(kFile);
  });
}

void write_rpmdb(const std::filesystem::path& empty_dir,
                 const std::vector<const Package*>& in_install_order, std::int64_t time_s) {
  std::vector<InstalledPackage> all;
  all.reserve(in_install_order.size());
  for (const Package* package : in_install_order) all.push_back({package, {}});
  write_rpmdb(empty_dir, all, time_s);
}

namespace {

/// @p visit every package header of the database in @p dbpath.
template <typename Visit>
void for_each_header(const std::filesystem::path& dbpath, const Visit& visit) {
  with_context("Reading the RPM database " + dbpath.string(), [&] {
    const auto exists = [&](const char* name) { return std::filesystem::exists(dbpath / name); };
    if (!exists(kFile) && !exists("Packages.db") && !exists("Packages"))
      throw Error(ErrorCode::NotFound, "there is none (no rpmdb.sqlite, Packages.db or Packages)");
    std::filesystem::path readable = dbpath;
    std::optional<TempDir> copy;
    if (exists(kFile)) {
      // A database with a write-ahead log (byte 18 is 2) makes files beside itself even when it is
      // only read; so read a copy.
      const UniqueFd fd = open_at(AT_FDCWD, (dbpath / kFile).string(), O_RDONLY | O_CLOEXEC);
      char version = 0;
      if (pread(fd.get(), &version, 1, 18) == 1 && version == 2) {
        copy.emplace();
        readable = copy->path();
        for (const char* name : {"rpmdb.sqlite", "rpmdb.sqlite-wal"})
          if (exists(name)) std::filesystem::copy_file(dbpath / name, readable / name);
      }
    }
    const Messages messages;
    {
      const TransactionPtr ts = transaction_on(readable);
      if (rpmtsOpenDB(ts.get(), O_RDONLY) != 0)
        throw Error(ErrorCode::Corrupt, messages.text("librpm cannot open it"));
      const IteratorPtr all(rpmtsInitIterator(ts.get(), RPMDBI_PACKAGES, nullptr, 0));
      while (Header h = rpmdbNextIterator(all.get()))
        if (get_string(h, RPMTAG_NAME) != "gpg-pubkey") visit(h);
    }
    if (!messages.empty()) throw Error(ErrorCode::Corrupt, messages.text(""));
  });
}

std::vector<ChangelogEntry> read_changelog(Header h) {
  const auto times = get_numbers(h, RPMTAG_CHANGELOGTIME);
  const auto authors = get_strings(h, RPMTAG_CHANGELOGNAME);
  const auto texts = get_strings(h, RPMTAG_CHANGELOGTEXT);
  std::vector<ChangelogEntry> entries;
  for (std::size_t i = 0; i < std::min({times.size(), authors.size(), texts.size()}); ++i)
    entries.push_back({static_cast<std::int64_t>(times[i]), authors[i], texts[i]});
  return entries;
}

}  // namespace

std::vector<Nevra> read_rpmdb(const std::filesystem::path& dbpath) {
  std::vector<Nevra> packages;
  for_each_header(dbpath, [&](Header h) { packages.push_back(get_nevra(h)); });
  std::sort(packages.begin(), packages.end());
  return packages;
}

std::vector<DatabasePackage> read_rpmdb_packages(const std::filesystem::path& dbpath,
                                                 bool with_changelogs) {
  std::vector<DatabasePackage> packages;
  for_each_header(dbpath, [&](Header h) {
    DatabasePackage package;
    package.nevra = get_nevra(h);
    package.size = headerGetNumber(h, RPMTAG_LONGSIZE);
    package.build_time = static_cast<std::int64_t>(headerGetNumber(h, RPMTAG_BUILDTIME));
    package.install_time = static_cast<std::int64_t>(headerGetNumber(h, RPMTAG_INSTALLTIME));
    package.summary = get_string(h, RPMTAG_SUMMARY);
    if (with_changelogs) package.changelog = read_changelog(h);
    packages.push_back(std::move(package));
  });
  std::sort(packages.begin(), packages.end(),
            [](const auto& a, const auto& b) { return a.nevra < b.nevra; });
  return packages;
}

}  // namespace atomichost::rpm
