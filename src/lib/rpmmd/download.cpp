// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <map>
#include <mutex>

#include "base/file.hpp"
#include "base/parallel.hpp"
#include "base/strings.hpp"
#include "rpmmd/cache.hpp"
#include "rpmmd/checksum.hpp"
#include "rpmmd/rpmmd.hpp"
#include "rpmmd/transfer.hpp"

namespace atomichost::rpmmd {
namespace fs = std::filesystem;
namespace {

constexpr std::int64_t kSecond_ns = 1'000'000'000;

std::int64_t nanoseconds(const timespec& t) {
  return t.tv_sec * kSecond_ns + t.tv_nsec;
}

std::optional<struct stat> stat_of(const fs::path& path) {
  struct stat st {};
  if (stat(path.c_str(), &st) != 0) return std::nullopt;
  return st;
}

/// Which files' digests were already seen, by stat data: reading hundreds of megabytes again proves
/// nothing about a file whose inode, size and times are the same.
class Stamps {
 public:
  explicit Stamps(fs::path file) : file_(std::move(file)) {
    std::string content;
    try {
      content = read_file(file_);
    } catch (const Error&) {
      return;  // none yet
    }
    for (const auto& line : split(content, '\n')) {
      const auto tab = line.find('\t');
      if (tab != std::string::npos) known_[line.substr(tab + 1)] = line.substr(0, tab);
    }
  }

  [[nodiscard]] bool holds(const fs::path& path, const struct stat& st,
                           const std::string& checksum) const {
    const auto found = known_.find(path);
    return found != known_.end() && found->second == stamp(st, checksum);
  }

  /// @p before was read before the digest was computed.
  void add(const fs::path& path, const struct stat& before, const std::string& checksum) {
    // A change within the clock's granularity after the digest would not show in the times.
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    if (nanoseconds(now) - nanoseconds(before.st_ctim) < kSecond_ns) return;
    known_[path] = stamp(before, checksum);
    is_changed_ = true;
  }

  /// Only a saving of work: a cache that cannot be written is no failure.
  void save() const {
    if (!is_changed_) return;
    std::string content;
    for (const auto& [path, text] : known_)
      if (fs::exists(path)) content += text + "\t" + path + "\n";
    try {
      replace_file(file_, content);
    } catch (const Error&) {
      return;
    }
  }

 private:
  static std::string stamp(const struct stat& st, const std::string& checksum) {
    return fmt::format("{} {} {} {} {}:{}", checksum, st.st_size, nanoseconds(st.st_mtim),
                       nanoseconds(st.st_ctim), st.st_dev, st.st_ino);
  }

  fs::path file_;
  std::map<std::string, std::string> known_;
  bool is_changed_ = false;
};

/// Where the package is or will be.
fs::path place(const Download& d, const fs::path& cachedir) {
  if (const fs::path root = d.base_url.empty() ? local_root(*d.config) : local_path(d.base_url);
      !root.empty())
    return root / d.location;
  return cachedir / "packages" / d.config->id /
         (d.checksum.substr(0, 16) + "-" + fs::path(d.location).filename().string());
}

bool is_in_place(const Download& d) {
  return !(d.base_url.empty() ? local_root(*d.config) : local_path(d.base_url)).empty();
}

bool has_right_size(const Download& d, const struct stat& st) {
  return d.size == 0 || static_cast<std::uint64_t>(st.st_size) == d.size;
}

std::string doing(const Download& d) {
  return fmt::format("Package {} of repository {}", d.name.empty() ? d.location : d.name,
                     d.config->id);
}

/// All that went wrong, first things first; the first failure's code.
class Failures {
 public:
  void add(const Error& e) {
    const std::lock_guard lock(mutex_);
    errors_.push_back(e);
  }
  void throw_if_any() const {
    if (errors_.empty()) return;
    if (errors_.size() == 1) throw errors_[0];
    std::string text = fmt::format("{} packages could not be had:", errors_.size());
    constexpr std::size_t kMost = 10;
    for (std::size_t i = 0; i < errors_.size() && i < kMost; ++i)
      text += fmt::format("\n  {}", errors_[i].what());
    if (errors_.size() > kMost) text += fmt::format("\n  ... and {} more", errors_.size() - kMost);
    throw Error(errors_[0].code(), text);
  }

 private:
  std::mutex mutex_;
  std::vector<Error> errors_;
};

}  // namespace

std::uint64_t bytes_to_download(const std::vector<Download>& downloads, const fs::path& cachedir) {
  std::uint64_t bytes = 0;
  for (const auto& d : downloads) {
    if (is_in_place(d)) continue;
    const auto st = stat_of(place(d, cachedir));
    if (!st || !has_right_size(d, *st)) bytes += d.size;
  }
  return bytes;
}

void download_packages(std::vector<Download>& downloads, const fs::path& cachedir,
                       const FetchOptions& options) {
  std::map<const RepoConfig*, Stamps> stamps;
  std::map<const RepoConfig*, fs::path> roots;
  Failures failures;
  struct Check {
    Download* download;
    struct stat before;
  };
  std::vector<Check> checks;
  std::vector<Download*> missing;

  for (auto& d : downloads) {
    d.checksum_type = normalize_checksum_type(d.checksum_type, doing(d));
    d.path = place(d, cachedir);
    d.was_cached = true;
    auto known = stamps.find(d.config);
    if (known == stamps.end()) {
      const fs::path directory = cachedir / "packages" / d.config->id;
      make_directories(directory);
      known = stamps.emplace(d.config, Stamps(directory / "verified")).first;
    }
    const auto st = stat_of(d.path);
    if (!st) {
      if (is_in_place(d)) {
        failures.add(
            Error(ErrorCode::NotFound,
                  fmt::format("{}: {} is not there; the repository is incomplete: make its "
                              "metadata again (createrepo_c)",
                              doing(d), d.path.string())));
      } else {
        missing.push_back(&d);
      }
    } else if (known->second.holds(d.path, *st, d.checksum) && has_right_size(d, *st)) {
      continue;
    } else {
      checks.push_back({&d, *st});
    }
  }

  // Everything on disk whose digest nobody has seen in its present state.
  std::uint64_t bytes_to_check = 0;
  for (const auto& check : checks)
    bytes_to_check += static_cast<std::uint64_t>(check.before.st_size);
  std::atomic<std::uint64_t> bytes_checked{0};
  std::mutex shared;
  if (options.progress && !checks.empty())
    options.progress->begin("Verifying packages", bytes_to_check, "bytes");
  parallel_for(
      std::max(1U, options.workers), checks.size(),
      [&](std::size_t, std::size_t i) {
        Download& d = *checks[i].download;
        try {
          if (!has_right_size(d, checks[i].before))
            throw Error(ErrorCode::Corrupt,
                        fmt::format("{}: Wrong size: the repository's metadata says {} bytes, the "
                                    "file has {}",
                                    d.path.string(), d.size, checks[i].before.st_size));
          require_checksum(d.path, d.checksum_type, d.checksum, options.cancel);
          const std::lock_guard lock(shared);
          stamps.at(d.config).add(d.path, checks[i].before, d.checksum);
        } catch (const Error& e) {
          if (is_in_place(d)) {
            failures.add(Error(
                e.code(), fmt::format("{}: {}; fetch the file again, or make the metadata again "
                                      "(createrepo_c) if the file is right",
                                      doing(d), e.what())));
          } else {
            remove_tree(d.path);  // damaged in the cache: have it anew
            const std::lock_guard lock(shared);
            missing.push_back(&d);
          }
        }
        const auto done = bytes_checked += static_cast<std::uint64_t>(checks[i].before.st_size);
        if (options.progress) options.progress->update(done, d.name);
      },
      options.cancel);
  if (options.progress && !checks.empty()) options.progress->end();
  for (const auto& [config, known] : stamps) known.save();
  failures.throw_if_any();
  if (missing.empty()) return;

  if (options.cache_only) {
    for (const auto* d : missing)
      failures.add(Error(ErrorCode::NotFound,
                         doing(*d) + ": Not in the cache; run once without --cache-only"));
    failures.throw_if_any();
  }
  std::sort(missing.begin(), missing.end(), [](auto a, auto b) { return a < b; });
  std::map<const RepoConfig*, std::vector<std::string>> mirrors;
  std::vector<Transfer> transfers;
  std::uint64_t bytes = 0;
  for (auto* d : missing) {
    d->was_cached = false;
    auto list = mirrors.find(d->config);
    if (list == mirrors.end())
      list = mirrors.emplace(d->config, cached_mirrors(*d->config, cachedir)).first;
    Transfer t;
    t.config = d->config;
    t.mirrors = list->second;
    t.base_url = d->base_url;
    t.path = escape_path(d->location);
    t.dest = d->path.string() + ".part";
    t.checksum_type = d->checksum_type;
    t.checksum = d->checksum;
    t.size = d->size;
    t.is_resumable = true;
    t.title = d->name;
    // A process killed between the last byte and the rename leaves nothing to ask the server for.
    if (const auto st = stat_of(t.dest);
        st && d->size && static_cast<std::uint64_t>(st->st_size) >= d->size) {
      try {
        require_checksum(t.dest, t.checksum_type, t.checksum, options.cancel);
        move_file(t.dest, d->path);
        continue;
      } catch (const Error&) {
        remove_tree(t.dest);
      }
    }
    bytes += d->size;
    transfers.push_back(std::move(t));
  }
  if (transfers.empty()) return;
  if (options.progress) options.progress->begin("Downloading packages", bytes, "bytes");
  run_transfers(transfers, options);
  if (options.progress) options.progress->end();
  for (const auto& t : transfers) {
    const fs::path path = t.dest.parent_path() / t.dest.stem();
    const auto d = std::find_if(missing.begin(), missing.end(),
                                [&](const Download* m) { return m->path == path; });
    if (t.state == Transfer::State::Done) {
      move_file(t.dest, path);
    } else if (t.state == Transfer::State::Missing) {
      failures.add(transfer_error(t, doing(**d),
                                  "the mirror is out of date or incomplete: refresh its metadata"));
    } else if (t.state == Transfer::State::WrongContent) {
      failures.add(
          transfer_error(t, doing(**d), "the server sends another file than it announced"));
    } else {
      failures.add(
          transfer_error(t, doing(**d), "what has arrived is kept and continued next time"));
    }
  }
  failures.throw_if_any();
}

}  // namespace atomichost::rpmmd
