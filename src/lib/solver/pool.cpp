// SPDX-License-Identifier: LGPL-2.1-or-later
#include "solver/pool.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/file.hpp"
#include "base/sha256.hpp"
#include "rpmmd/checksum.hpp"

namespace atomichost::solver {
namespace fs = std::filesystem;
namespace {

/// Part of the digest in a cache file: another libsolv or another way to load makes it stale.
constexpr std::string_view kCacheFormat = "atomic-solv-1 libsolv-" LIBSOLV_VERSION_STRING;

using File = std::unique_ptr<FILE, int (*)(FILE*)>;

Digest cache_digest(std::string_view content) {
  Sha256 hash;
  hash.update(kCacheFormat);
  hash.update(content);
  return hash.finish();
}

/// A cache file is libsolv's bytes and their digest: any damage makes it not there.
bool read_cache(const fs::path& path, ::Repo* repo) {
  std::string content;
  try {
    content = read_file(path);
  } catch (const Error&) {
    return false;
  }
  constexpr std::size_t kTrailer = sizeof(Digest);
  if (content.size() <= kTrailer) return false;
  const std::string_view body(content.data(), content.size() - kTrailer);
  if (bytes_of(cache_digest(body)) != std::string_view(content).substr(body.size())) return false;
  const File file(fmemopen(content.data(), body.size(), "r"), &fclose);
  if (file && repo_add_solv(repo, file.get(), 0) == 0) return true;
  repo_empty(repo, 1);
  return false;
}

/// Only a saving of time: a cache that cannot be written is no failure.
void write_cache(const fs::path& path, const std::string& id, ::Repo* repo) {
  char* buffer = nullptr;
  std::size_t size = 0;
  File file(open_memstream(&buffer, &size), &fclose);
  const std::unique_ptr<char*, void (*)(char**)> owner(&buffer, [](char** b) { free(*b); });
  if (!file || repo_write(repo, file.get()) != 0) return;
  file.reset();
  std::string content(buffer, size);
  content += bytes_of(cache_digest(content));
  try {
    make_directories(path.parent_path());
    replace_file(path, content);
    // Older states of the same repository: same id, another 64-digit digest.
    const std::string prefix = id + "-";
    const auto same_state = path.filename().string().substr(0, prefix.size() + 64);
    for (const auto& entry : fs::directory_iterator(path.parent_path())) {
      const std::string name = entry.path().filename();
      const auto end = name.find('.', prefix.size());
      if (name.starts_with(prefix) && end == prefix.size() + 64 && !name.starts_with(same_state))
        remove_tree(entry.path());
    }
  } catch (const std::exception&) {
    return;
  }
}

void free_map(Map* map) {
  map_free(map);
  delete map;
}

}  // namespace

PackagePool::PackagePool(const std::vector<rpmmd::RepoMetadata>& repos,
                         const std::string& architectures, bool with_filelists,
                         const fs::path& cachedir)
    : pool_(pool_create()), considered_(nullptr, &free_map) {
  pool_setdebuglevel(pool_, 0);
  pool_setdebugcallback(
      pool_, [](Pool*, void*, int, const char*) {}, nullptr);
  pool_setdisttype(pool_, DISTTYPE_RPM);
  pool_setarchpolicy(pool_, architectures.c_str());
  // Hidden packages stay known as providers, so that a failure can say what was hidden and why.
  pool_set_flag(pool_, POOL_FLAG_WHATPROVIDESWITHDISABLED, 1);
  try {
    std::vector<const rpmmd::RepoMetadata*> sorted;
    for (const auto& repo : repos) sorted.push_back(&repo);
    std::sort(sorted.begin(), sorted.end(),
              [](auto a, auto b) { return a->config.id < b->config.id; });
    for (const auto* repo : sorted) load(*repo, with_filelists, cachedir);
  } catch (...) {
    pool_free(pool_);
    throw;
  }
  considered_.reset(new Map);
  map_init(considered_.get(), pool_->nsolvables);
  map_setall(considered_.get());
  pool_->considered = considered_.get();
  pool_addfileprovides(pool_);
  pool_createwhatprovides(pool_);
}

PackagePool::~PackagePool() {
  pool_->considered = nullptr;
  pool_free(pool_);
}

void PackagePool::load(const rpmmd::RepoMetadata& metadata, bool with_filelists,
                       const fs::path& cachedir) {
  const auto& config = metadata.config;
  ::Repo* repo = repo_create(pool_, config.id.c_str());
  // libsolv: the higher number wins.
  repo->priority = -config.priority;
  repo->subpriority = -config.cost;
  const bool has_filelists = with_filelists && !metadata.filelists.empty();
  const fs::path cache =
      cachedir / "solv" /
      fmt::format("{}-{}.{}", config.id, metadata.repomd_digest, has_filelists ? "all" : "solv");
  if (read_cache(cache, repo)) return;
  parse(metadata, "primary", metadata.primary, repo, 0);
  if (has_filelists) parse(metadata, "filelists", metadata.filelists, repo, REPO_EXTEND_SOLVABLES);
  write_cache(cache, config.id, repo);
}

void PackagePool::parse(const rpmmd::RepoMetadata& metadata, const std::string& type,
                        const fs::path& file, ::Repo* repo, int flags) {
  // Digest and parser read the same open file: what was verified is what is cached.
  UniqueFd fd = open_at(AT_FDCWD, file, O_RDONLY | O_CLOEXEC);
  const auto* record = metadata.record(type);
  const std::string what = fmt::format("Repository {}: {}", metadata.config.id, file.string());
  if (!record || rpmmd::checksum_fd(rpmmd::normalize_checksum_type(record->checksum_type, what),
                                    fd.get(), file) != record->checksum)
    throw Error(ErrorCode::Corrupt,
                what +
                    ": Changed since it was verified; the repository is being written, try "
                    "again when it is complete");
  lseek(fd.get(), 0, SEEK_SET);
  const File stream(solv_xfopen_fd(file.c_str(), fd.get(), "r"), &fclose);
  if (stream) (void)fd.release();
  if (!stream || repo_add_rpmmd(repo, stream.get(), nullptr, flags) != 0)
    throw Error(ErrorCode::Corrupt,
                fmt::format("{}: Cannot be read: {}; make the repository again (createrepo_c)",
                            what, stream ? pool_errstr(pool_) : "unknown compression"));
}

std::string PackagePool::repo_of(Id package) const {
  return repo_name(pool_id2solvable(pool_, package)->repo);
}

std::string PackagePool::name_of(Id package) const {
  return pool_id2str(pool_, pool_id2solvable(pool_, package)->name);
}

rpm::Nevra PackagePool::nevra_of(Id package) const {
  const Solvable* s = pool_id2solvable(pool_, package);
  rpm::Nevra nevra;
  nevra.name = pool_id2str(pool_, s->name);
  nevra.arch = pool_id2str(pool_, s->arch);
  std::string evr = pool_id2str(pool_, s->evr);
  if (const auto colon = evr.find(':'); colon != std::string::npos) {
    nevra.epoch = evr.substr(0, colon);
    evr.erase(0, colon + 1);
  }
  const auto dash = evr.rfind('-');
  nevra.version = evr.substr(0, dash);
  if (dash != std::string::npos) nevra.release = evr.substr(dash + 1);
  return nevra;
}

std::string PackagePool::checksum_of(Id package, std::string* type) const {
  Id type_id = 0;
  const char* checksum =
      solvable_lookup_checksum(pool_id2solvable(pool_, package), SOLVABLE_CHECKSUM, &type_id);
  if (type) *type = type_id ? solv_chksum_type2str(type_id) : "";
  return checksum ? checksum : "";
}

void PackagePool::hide(Id package, const std::string& reason) {
  reasons_.emplace(package, reason);
  map_clr(considered_.get(), package);
}

const std::string* PackagePool::reason(Id package) const {
  const auto found = reasons_.find(package);
  return found == reasons_.end() ? nullptr : &found->second;
}

std::vector<Id> PackagePool::matching(const std::string& pattern) const {
  IdQueue selection, packages;
  selection_make(pool_, selection.get(), pattern.c_str(),
                 SELECTION_NAME | SELECTION_CANON | SELECTION_DOTARCH | SELECTION_GLOB |
                     SELECTION_WITH_DISABLED | SELECTION_WITH_BADARCH);
  selection_solvables(pool_, selection.get(), packages.get());
  return {packages.begin(), packages.end()};
}

}  // namespace atomichost::solver
