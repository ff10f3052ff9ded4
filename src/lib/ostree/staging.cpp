// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ostree/staging.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/strings.hpp"
#include "ostree/object_format.hpp"

namespace atomichost::ostree {
namespace {

// libostree removes directories of this kind in tmp/ once nobody holds their lock. It also reuses
// those named staging-BOOTID-..., taking every object in them for complete: not one of ours.
constexpr std::string_view kPrefix = "staging-atomic-";
constexpr std::string_view kLockSuffix = "-lock";
constexpr std::uint64_t kCheckSpaceEvery = 64 << 20;  // bytes

// An open file description lock, as libostree takes it: it goes with the last descriptor.
bool try_lock(int fd) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return !fcntl(fd, F_OFD_SETLK, &lock);
}

// Reading the umask by umask() would change it for a moment, for all threads.
mode_t current_umask() {
  const std::string status = read_file("/proc/self/status");
  const auto at = status.find("Umask:");
  return at == std::string::npos
             ? 0777
             : static_cast<mode_t>(std::stoul(status.substr(at + 6), nullptr, 8));
}

std::vector<std::string> names_in(int dfd, const std::string& path) {
  std::vector<std::string> names;
  UniqueFd fd = open_at(dfd, path, O_RDONLY | O_DIRECTORY);
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(fdopendir(fd.get()), closedir);
  if (!dir) throw_errno("Reading directory " + path);
  (void)fd.release();
  while (const dirent* entry = readdir(dir.get()))
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  return names;
}

}  // namespace

std::size_t Staging::Hash::operator()(const Digest& d) const noexcept {
  std::size_t value;
  memcpy(&value, d.data(), sizeof value);
  return value;
}

Staging::Staging(const std::filesystem::path& repo, std::uint64_t reserved_bytes, bool sync)
    : repo_path_(repo), reserved_bytes_(reserved_bytes), sync_(sync), umask_(current_umask()) {
  repo_ = open_at(AT_FDCWD, repo, O_RDONLY | O_DIRECTORY);
  objects_ = open_at(repo_.get(), "objects", O_RDONLY | O_DIRECTORY);
  if (mkdirat(repo_.get(), "tmp", 0777) && errno != EEXIST) throw_errno(describe("Creating tmp"));
  tmp_ = open_at(repo_.get(), "tmp", O_RDONLY | O_DIRECTORY);
  remove_leftovers();
  check_free_space();

  std::uint64_t random = 0;
  if (getrandom(&random, sizeof random, 0) != sizeof random) throw_errno("Reading random bytes");
  name_ = fmt::format("{}{}-{:016x}", kPrefix, getpid(), random);
  const std::string lock_name = name_ + std::string(kLockSuffix);
  // The lock before the directory: nobody looks at a lock whose directory is not there.
  lock_ =
      UniqueFd(openat(tmp_.get(), lock_name.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600));
  if (!lock_) throw_errno(describe("Creating a staging directory"));
  if (!try_lock(lock_.get()) || mkdirat(tmp_.get(), name_.c_str(), 0755)) {
    const int error = errno;
    unlinkat(tmp_.get(), lock_name.c_str(), 0);
    throw errno_error(error, describe("Creating a staging directory"));
  }
  stage_ = open_at(tmp_.get(), name_, O_RDONLY | O_DIRECTORY);
}

Staging::~Staging() {
  stage_.reset();
  try {
    remove_tree(std::filesystem::path(repo_path_) / "tmp" / name_);
  } catch (const std::exception&) {  // the next open() removes it: the lock is free then
    return;
  }
  unlinkat(tmp_.get(), (name_ + std::string(kLockSuffix)).c_str(), 0);
}

// What killed processes left: directories whose lock can be had.
void Staging::remove_leftovers() const {
  for (const std::string& name : names_in(tmp_.get(), ".")) {
    if (!name.starts_with(kPrefix)) continue;
    if (name.ends_with(kLockSuffix)) {
      // Its directory's own turn removes both. A lock without one may have been made this moment.
      const std::string directory = name.substr(0, name.size() - kLockSuffix.size());
      struct stat st;
      if (!faccessat(tmp_.get(), directory.c_str(), F_OK, 0) ||
          fstatat(tmp_.get(), name.c_str(), &st, 0) || time(nullptr) - st.st_mtime < 3600)
        continue;
      unlinkat(tmp_.get(), name.c_str(), 0);
      continue;
    }
    const std::string lock_name = name + std::string(kLockSuffix);
    const UniqueFd lock(openat(tmp_.get(), lock_name.c_str(), O_RDWR | O_CLOEXEC));
    if (lock ? !try_lock(lock.get()) : errno != ENOENT) continue;
    remove_tree(std::filesystem::path(repo_path_) / "tmp" / name);
    unlinkat(tmp_.get(), lock_name.c_str(), 0);
  }
}

std::string Staging::describe(const std::string& doing) const {
  return doing + " in repository " + repo_path_;
}

void Staging::check_free_space() const {
  struct statvfs fs;
  if (!reserved_bytes_ || fstatvfs(repo_.get(), &fs)) return;
  const std::uint64_t available = std::uint64_t{fs.f_bavail} * fs.f_frsize;
  if (available < reserved_bytes_)
    throw Error(ErrorCode::NoSpace,
                describe(fmt::format("Writing objects: {} free, and the repository's "
                                     "core.min-free-space-percent or -size keeps {}",
                                     human_bytes(available), human_bytes(reserved_bytes_))));
}

void Staging::account(std::size_t bytes) {
  const std::uint64_t before = bytes_.fetch_add(bytes);
  if (before / kCheckSpaceEvery != (before + bytes) / kCheckSpaceEvery) check_free_space();
}

// ---- claims ----

Staging::Claim::Claim(Claim&& o) noexcept
    : owner_(std::exchange(o.owner_, nullptr)), object_(o.object_) {}

Staging::Claim::~Claim() {
  if (!owner_) return;
  const std::lock_guard lock(owner_->mutex_);
  owner_->states_.erase(object_);
  owner_->settled_.notify_all();
}

Staging::Claim Staging::claim(const Digest& object, std::string_view extension) {
  {
    std::unique_lock lock(mutex_);
    for (;;) {
      const auto [it, fresh] = states_.try_emplace(object, State::Writing);
      if (fresh) break;
      if (it->second != State::Writing) {
        ++existing_;
        return {};
      }
      settled_.wait(lock);
    }
  }
  Claim claim(*this, object);
  if (faccessat(objects_.get(), object_path(object, extension).c_str(), F_OK, 0)) return claim;
  const std::lock_guard lock(mutex_);
  states_[object] = State::Published;
  claim.owner_ = nullptr;
  settled_.notify_all();
  ++existing_;
  return {};
}

bool Staging::has(const Digest& object, std::string_view extension) {
  {
    std::unique_lock lock(mutex_);
    for (;;) {
      const auto it = states_.find(object);
      if (it == states_.end()) break;
      if (it->second != State::Writing) return true;
      settled_.wait(lock);
    }
  }
  return !faccessat(objects_.get(), object_path(object, extension).c_str(), F_OK, 0);
}

// ---- files ----

Staging::File::File(File&& o) noexcept
    : owner_(o.owner_), name_(std::exchange(o.name_, {})), fd_(std::move(o.fd_)) {}

Staging::File::~File() {
  if (!name_.empty()) unlinkat(owner_->stage_.get(), name_.c_str(), 0);
}

void Staging::File::write(std::string_view data) {
  owner_->account(data.size());
  write_all(fd_.get(), data, "objects of repository " + owner_->repo_path_);
}

void Staging::make_shard(const std::string& path) {
  if (mkdirat(stage_.get(), path.substr(0, 2).c_str(), 0777) && errno != EEXIST)
    throw_errno(describe("Writing objects"));
}

UniqueFd Staging::create_file(const std::string& name, mode_t mode) {
  constexpr int kFlags = O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC;
  UniqueFd fd(openat(stage_.get(), name.c_str(), kFlags, mode));
  if (!fd && errno == ENOENT) {
    make_shard(name);
    fd = UniqueFd(openat(stage_.get(), name.c_str(), kFlags, mode));
  }
  if (!fd) throw_errno(describe("Writing objects"));
  if ((mode & umask_ & 0777) && fchmod(fd.get(), mode)) {
    const int error = errno;
    unlinkat(stage_.get(), name.c_str(), 0);
    throw errno_error(error, describe("Writing objects"));
  }
  return fd;
}

Staging::File Staging::create(const Digest& object, std::string_view extension, mode_t mode) {
  std::string path = object_path(object, extension);
  UniqueFd fd = create_file(path, mode);
  return {*this, std::move(path), std::move(fd)};
}

Staging::File Staging::create_nameless(mode_t mode) {
  std::string name = fmt::format("part-{}", ++serial_);
  UniqueFd fd = create_file(name, mode);
  return {*this, std::move(name), std::move(fd)};
}

void Staging::keep(Claim claim, std::string_view extension, File file) {
  const std::string path = object_path(claim.object_, extension);
  if (file.name_ != path) {
    if (renameat(stage_.get(), file.name_.c_str(), stage_.get(), path.c_str())) {
      if (errno != ENOENT) throw_errno(describe("Writing objects"));
      make_shard(path);
      if (renameat(stage_.get(), file.name_.c_str(), stage_.get(), path.c_str()))
        throw_errno(describe("Writing objects"));
    }
  }
  file.name_.clear();
  keep(std::move(claim));
}

void Staging::keep(Claim claim) {
  assert(claim);
  const std::lock_guard lock(mutex_);
  states_[claim.object_] = State::Staged;
  claim.owner_ = nullptr;
  settled_.notify_all();
  ++written_;
}

UniqueFd Staging::open(const Digest& object, std::string_view extension) const {
  const std::string path = object_path(object, extension);
  bool staged;
  {
    const std::lock_guard lock(mutex_);
    const auto it = states_.find(object);
    staged = it != states_.end() && it->second == State::Staged;
  }
  UniqueFd fd(openat(staged ? stage_.get() : objects_.get(), path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) throw_errno(describe("Reading object " + to_hex(object)));
  return fd;
}

UniqueFd Staging::scratch_file() const {
  UniqueFd fd(openat(stage_.get(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!fd) throw_errno(describe("Creating a temporary file"));
  return fd;
}

// ---- publishing ----

void Staging::publish() {
  // Data before names, so that after a crash no name stands for half an object.
  check_free_space();
  if (sync_ && syncfs(repo_.get())) throw_errno(describe("Syncing objects"));
  for (const std::string& shard : names_in(stage_.get(), ".")) {
    if (shard.size() != 2) continue;
    // All at once where the repository has no such shard yet, else one by one.
    if (!renameat(stage_.get(), shard.c_str(), objects_.get(), shard.c_str())) continue;
    if (errno != ENOTEMPTY && errno != EEXIST) throw_errno(describe("Publishing objects"));
    for (const std::string& name : names_in(stage_.get(), shard)) {
      const std::string path = shard + "/" + name;
      if (renameat(stage_.get(), path.c_str(), objects_.get(), path.c_str()))
        throw_errno(describe("Publishing objects"));
    }
    if (unlinkat(stage_.get(), shard.c_str(), AT_REMOVEDIR))
      throw_errno(describe("Publishing objects"));
  }
  if (sync_ && syncfs(repo_.get())) throw_errno(describe("Syncing objects"));
  const std::lock_guard lock(mutex_);
  for (auto& [object, state] : states_)
    if (state == State::Staged) state = State::Published;
}

StoreCounters Staging::counters() const noexcept {
  return {written_, existing_, bytes_};
}

}  // namespace atomichost::ostree
