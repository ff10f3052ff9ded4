// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sandbox/memo.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <set>
#include <tuple>

#include "base/error.hpp"
#include "base/file.hpp"

namespace atomichost::sandbox {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kMagic = "atomic-memo 1\n";
constexpr std::size_t kMemoriesPerKey = 8;
constexpr auto kInUse = std::chrono::hours(1);

class Writer {
 public:
  Writer() : data_(kMagic) {}
  void number(std::uint64_t value) {
    data_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void text(std::string_view value) {
    number(value.size());
    data_ += value;
  }
  [[nodiscard]] std::string finish() && {
    const Digest digest = sha256(data_);
    data_ += bytes_of(digest);
    return std::move(data_);
  }

 private:
  std::string data_;
};

// Reads what Writer wrote; anything else makes it fail, for good.
class Reader {
 public:
  explicit Reader(std::string_view data) {
    if (data.size() < kMagic.size() + sizeof(Digest) || !data.starts_with(kMagic)) return;
    const auto body = data.substr(0, data.size() - sizeof(Digest));
    if (bytes_of(sha256(body)) != data.substr(body.size())) return;
    rest_ = body.substr(kMagic.size());
    ok_ = true;
  }
  [[nodiscard]] bool ok() const noexcept { return ok_; }
  std::uint64_t number() {
    std::uint64_t value = 0;
    const auto raw = take(sizeof value);
    if (ok_) memcpy(&value, raw.data(), sizeof value);
    return value;
  }
  std::string text() { return std::string(take(number())); }

 private:
  std::string_view take(std::uint64_t size) {
    if (size > rest_.size()) ok_ = false;
    if (!ok_) return {};
    const auto part = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return part;
  }
  std::string_view rest_;
  bool ok_ = false;
};

std::string encode(const Memo::Memory& memory) {
  Writer w;
  w.number(memory.observations.size());
  for (const auto& seen : memory.observations) {
    w.number(static_cast<unsigned char>(seen.look));
    w.text(seen.path);
    w.text(seen.answer);
  }
  w.text(memory.output);
  w.number(memory.writes.size());
  for (const auto& change : memory.writes) {
    w.text(change.path);
    w.number(static_cast<std::uint64_t>(change.kind));
    w.number(change.meta.uid);
    w.number(change.meta.gid);
    w.number(change.meta.mode);
    w.text(change.meta.capability);
    w.number(change.opaque);
    w.text(change.target);
    w.number(change.size);
    w.text(bytes_of(change.digest));
  }
  return std::move(w).finish();
}

// A whole file under its final name, or none. Not synced: a torn file is found by its digest.
void write_whole(const fs::path& dir, const fs::path& path,
                 const std::function<void(int fd, const std::string& temp)>& fill) {
  make_directories(dir / "tmp");
  std::string temp = dir / "tmp/XXXXXX";
  const UniqueFd fd(mkostemp(temp.data(), O_CLOEXEC));
  if (!fd) throw_errno("Writing " + temp);
  try {
    fill(fd.get(), temp);
    if (rename(temp.c_str(), path.c_str())) throw_errno("Writing " + path.string());
  } catch (...) {
    unlink(temp.c_str());
    throw;
  }
}

void copy(const Change& from, int to, const std::string& name) {
  const UniqueFd in = from.open_content();
  char block[65536];
  for (;;) {
    const ssize_t n = read(in.get(), block, sizeof block);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno("Reading " + from.content.string());
    if (n == 0) return;
    write_all(to, {block, static_cast<std::size_t>(n)}, name);
  }
}

struct Found {
  fs::path path;
  struct stat st {};
  [[nodiscard]] bool in_use() const {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::seconds(st.st_mtim.tv_sec) + kInUse > now;
  }
};

// The files in @p dir's subdirectories, latest first.
std::vector<Found> files_below(const fs::path& dir) {
  std::vector<Found> all;
  std::error_code error;
  for (fs::recursive_directory_iterator it(dir, error), end; !error && it != end;
       it.increment(error)) {
    Found found{.path = it->path()};
    if (!lstat(found.path.c_str(), &found.st) && S_ISREG(found.st.st_mode))
      all.push_back(std::move(found));
  }
  std::sort(all.begin(), all.end(), [](const Found& a, const Found& b) {
    const auto& [x, y] = std::pair(a.st.st_mtim, b.st.st_mtim);
    return std::tie(y.tv_sec, y.tv_nsec, a.path) < std::tie(x.tv_sec, x.tv_nsec, b.path);
  });
  return all;
}

}  // namespace

fs::path Memo::run_dir(const Digest& key) const {
  return dir_ / "runs" / to_hex(key);
}

fs::path Memo::content_path(const Digest& digest) const {
  const std::string hex = to_hex(digest);
  return dir_ / "content" / hex.substr(0, 2) / hex.substr(2);
}

std::optional<Memo::Memory> Memo::load(const fs::path& file) const {
  std::string data;
  try {
    data = read_file(file);
  } catch (const Error&) {  // gone meanwhile
    return std::nullopt;
  }
  Reader r(data);
  Memory memory;
  for (auto left = r.number(); r.ok() && left; --left) {
    Observation seen{};
    seen.look = static_cast<Look>(r.number());
    seen.path = r.text();
    seen.answer = r.text();
    memory.observations.push_back(std::move(seen));
  }
  memory.output = r.text();
  for (auto left = r.number(); r.ok() && left; --left) {
    Change change;
    change.path = r.text();
    change.kind = static_cast<Change::Kind>(r.number());
    change.meta.uid = static_cast<std::uint32_t>(r.number());
    change.meta.gid = static_cast<std::uint32_t>(r.number());
    change.meta.mode = static_cast<std::uint32_t>(r.number());
    change.meta.capability = r.text();
    change.opaque = r.number() != 0;
    change.target = r.text();
    change.size = r.number();
    const std::string digest = r.text();
    if (digest.size() == change.digest.size())
      std::copy(digest.begin(), digest.end(), change.digest.begin());
    if (change.kind == Change::Kind::File) change.content = content_path(change.digest);
    memory.writes.push_back(std::move(change));
  }
  if (!r.ok()) return std::nullopt;
  return memory;
}

bool Memo::contents_are_whole(const Memory& memory) const {
  for (const Change& change : memory.writes) {
    if (change.kind != Change::Kind::File) continue;
    try {
      if (sha256_fd(change.open_content().get(), change.content) == change.digest) continue;
      unlink(change.content.c_str());  // so that it is written again
    } catch (const Error&) {           // not there
    }
    return false;
  }
  return true;
}

std::optional<Memo::Memory> Memo::find(const Digest& key, const tree::Tree& tree) const {
  for (const Found& found : files_below(run_dir(key))) {
    auto memory = load(found.path);
    if (memory && first_difference(memory->observations, tree)) continue;
    if (!memory || !contents_are_whole(*memory)) {
      unlink(found.path.c_str());
      continue;
    }
    utimensat(AT_FDCWD, found.path.c_str(), nullptr, 0);
    return memory;
  }
  return std::nullopt;
}

void Memo::store(const Digest& key, const Memory& memory) {
  std::uint64_t added = 0;
  for (const Change& change : memory.writes) {
    if (change.kind != Change::Kind::File) continue;
    const fs::path path = content_path(change.digest);
    struct stat st;
    if (!lstat(path.c_str(), &st) && static_cast<std::uint64_t>(st.st_size) == change.size) {
      utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
      continue;
    }
    make_directories(path.parent_path());
    write_whole(dir_, path, [&](int fd, const std::string& temp) { copy(change, fd, temp); });
    added += change.size;
  }
  const std::string record = encode(memory);
  const fs::path dir = run_dir(key);
  make_directories(dir);
  write_whole(dir_, dir / to_hex(sha256(record)).substr(0, 32),
              [&](int fd, const std::string& temp) { write_all(fd, record, temp); });
  added += record.size();
  const auto all = files_below(dir);
  for (std::size_t i = kMemoriesPerKey; i < all.size(); ++i) unlink(all[i].path.c_str());

  const std::lock_guard lock(mutex_);
  if (!used_) {
    used_ = 0;
    for (const Found& file : files_below(dir_))
      *used_ += static_cast<std::uint64_t>(file.st.st_size);
  } else {
    *used_ += added;
  }
  if (*used_ > limit_) evict();
}

void Memo::evict() {
  const std::uint64_t aim = limit_ - limit_ / 5;
  std::set<fs::path> wanted;
  std::uint64_t kept = 0;
  for (const Found& run : files_below(dir_ / "runs")) {
    const auto memory = load(run.path);
    std::uint64_t cost = static_cast<std::uint64_t>(run.st.st_size);
    if (memory)
      for (const Change& change : memory->writes)
        if (change.kind == Change::Kind::File && !wanted.contains(change.content))
          cost += change.size;
    if (!memory || (kept + cost > aim && !run.in_use())) {
      unlink(run.path.c_str());
      continue;
    }
    kept += cost;
    for (const Change& change : memory->writes)
      if (change.kind == Change::Kind::File) wanted.insert(change.content);
  }
  used_ = kept;
  for (const Found& file : files_below(dir_ / "tmp"))  // of a process that died
    if (!file.in_use()) unlink(file.path.c_str());
  for (const Found& file : files_below(dir_ / "content")) {
    if (wanted.contains(file.path)) continue;
    if (file.in_use())
      *used_ += static_cast<std::uint64_t>(file.st.st_size);
    else
      unlink(file.path.c_str());
  }
}

}  // namespace atomichost::sandbox
