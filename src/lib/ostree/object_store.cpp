// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ostree/object_store.hpp"

#include <endian.h>
#include <fcntl.h>
#include <libdeflate.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/parallel.hpp"
#include "base/scope_exit.hpp"
#include "ostree/gptr.hpp"
#include "ostree/object_format.hpp"
#include "ostree/staging.hpp"

namespace atomichost::ostree {
namespace {

// Contents up to this size are collected and hashed before anything is written, so that an object
// which exists costs no write; larger ones are written while they are hashed.
constexpr std::uint64_t kCollectLimit = 4 << 20;
// The same for archives, where libdeflate needs the whole content: up to this much at once over all
// threads. Anything larger goes through zlib, slower, as a stream.
constexpr std::uint64_t kArchiveBudget = 128 << 20;
constexpr int kDeflateLevel = 6;
constexpr std::size_t kBlock = 256 << 10;

enum class Mode : std::uint8_t { Bare, BareUser, Archive };

std::string_view file_extension(Mode mode) {
  return mode == Mode::Archive ? ".filez" : ".file";
}

/// Memory that is not cleared, and given back to the system when it was large.
class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { release(); }
  char* reserve(std::size_t size) {
    if (size > capacity_) {
      release();
      void* memory =
          mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (memory == MAP_FAILED) throw std::bad_alloc();
      data_ = static_cast<char*>(memory), capacity_ = size;
    }
    return data_;
  }
  void shrink() noexcept {
    if (capacity_ > 2 * kCollectLimit) release();
  }

 private:
  void release() noexcept {
    if (data_) munmap(data_, capacity_);
    data_ = nullptr, capacity_ = 0;
  }
  char* data_ = nullptr;
  std::size_t capacity_ = 0;
};

/// What one thread needs to put an object; reused, for making these costs more than a small file.
struct Scratch {
  Sha256 object, content;
  Buffer whole, packed;
  std::unique_ptr<libdeflate_compressor, decltype(&libdeflate_free_compressor)> compressor{
      nullptr, libdeflate_free_compressor};
};

/// Scratch spaces, lent to one thread at a time.
class ScratchPool {
 public:
  class Loan {
   public:
    explicit Loan(ScratchPool& pool) : pool_(pool) {
      const std::lock_guard lock(pool.mutex_);
      if (pool.free_.empty()) {
        scratch_ = std::make_unique<Scratch>();
      } else {
        scratch_ = std::move(pool.free_.back());
        pool.free_.pop_back();
      }
      scratch_->object.reset(), scratch_->content.reset();
    }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    ~Loan() {
      scratch_->whole.shrink(), scratch_->packed.shrink();
      const std::lock_guard lock(pool_.mutex_);
      pool_.free_.push_back(std::move(scratch_));
    }
    Scratch* operator->() const noexcept { return scratch_.get(); }
    Scratch& operator*() const noexcept { return *scratch_; }

   private:
    ScratchPool& pool_;
    std::unique_ptr<Scratch> scratch_;
  };

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Scratch>> free_;
};

/// A limit on the memory that all threads hold for large contents. One request at a time per
/// thread, so nobody waits for himself.
class MemoryBudget {
 public:
  class Share {
   public:
    Share(MemoryBudget& budget, std::uint64_t bytes) : budget_(budget), bytes_(bytes) {
      std::unique_lock lock(budget_.mutex_);
      budget_.freed_.wait(lock, [&] { return budget_.used_ + bytes_ <= kArchiveBudget; });
      budget_.used_ += bytes_;
    }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    ~Share() {
      const std::lock_guard lock(budget_.mutex_);
      budget_.used_ -= bytes_;
      budget_.freed_.notify_all();
    }

   private:
    MemoryBudget& budget_;
    std::uint64_t bytes_;
  };

 private:
  std::mutex mutex_;
  std::condition_variable freed_;
  std::uint64_t used_ = 0;
};

/// Raw deflate or inflate by zlib, as a stream.
class ZStream {
 public:
  explicit ZStream(bool deflating) : deflating_(deflating) {
    const int rc =
        deflating ? deflateInit2(&z_, kDeflateLevel, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY)
                  : inflateInit2(&z_, -MAX_WBITS);
    if (rc != Z_OK) throw std::bad_alloc();
  }
  ZStream(const ZStream&) = delete;
  ZStream& operator=(const ZStream&) = delete;
  ~ZStream() { deflating_ ? deflateEnd(&z_) : inflateEnd(&z_); }

  /// Feed @p in and hand each piece of output to @p emit. @return false: the stream has ended.
  template <typename Emit>
  bool feed(std::string_view in, bool last, const Emit& emit) {
    z_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
    z_.avail_in = static_cast<uInt>(in.size());
    int rc;
    do {
      z_.next_out = reinterpret_cast<Bytef*>(out_.get());
      z_.avail_out = kBlock;
      rc = deflating_ ? deflate(&z_, last ? Z_FINISH : Z_NO_FLUSH) : inflate(&z_, Z_NO_FLUSH);
      if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
        throw Error(ErrorCode::Corrupt, z_.msg ? z_.msg : "damaged deflate stream");
      if (z_.avail_out < kBlock) emit(std::string_view(out_.get(), kBlock - z_.avail_out));
    } while (rc != Z_STREAM_END && !z_.avail_out);
    return rc != Z_STREAM_END;
  }

 private:
  z_stream z_{};
  bool deflating_;
  std::unique_ptr<char[]> out_{new char[kBlock]};
};

/// Reads a file to its end, piece by piece.
class FdReader {
 public:
  FdReader(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}
  std::string_view operator()() {
    for (;;) {
      const ssize_t n = read(fd_, block_.get(), kBlock);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw_errno("Reading " + name_);
      return {block_.get(), static_cast<std::size_t>(n)};
    }
  }

 private:
  int fd_;
  std::string name_;
  std::unique_ptr<char[]> block_{new char[kBlock]};
};

std::uint64_t size_of(int fd, const std::string& name) {
  struct stat st;
  if (fstat(fd, &st)) throw_errno("Reading " + name);
  return static_cast<std::uint64_t>(st.st_size);
}

void check_text(std::string_view text, const char* what) {
  if (!g_utf8_validate_len(text.data(), text.size(), nullptr) ||
      text.find('\0') != std::string_view::npos)
    throw Error(ErrorCode::InvalidInput,
                std::string(what) + " is not UTF-8 text, which OSTree cannot store");
}

class LooseStore final : public ObjectStore {
 public:
  LooseStore(std::filesystem::path path, GPtr<OstreeRepo> repo, Mode mode, std::uint64_t reserved)
      : path_(std::move(path)),
        repo_(std::move(repo)),
        mode_(mode),
        extension_(file_extension(mode)),
        lock_(repo_.get()),
        staging_(path_, reserved, !ostree_repo_get_disable_fsync(repo_.get())) {}

  using ObjectStore::put_file;

  void put_file(tree::Node& node, std::uint64_t size, const Pull& pull,
                const Digest* known_content) override {
    put_content(node, size, pull, known_content);
  }

  void put_symlink(tree::Node& node) override {
    const tree::Meta& meta = *node.meta;
    check_text(node.target, "The target of a symbolic link");
    const Digest object = sha256(content_header(meta, node.target));
    if (auto claim = staging_.claim(object, extension_)) {
      if (mode_ == Mode::Bare) {
        make_link(object, meta, node.target);
        staging_.keep(std::move(claim));
      } else {
        auto file = staging_.create(object, extension_, 0644);
        if (mode_ == Mode::Archive) {
          file.write(archive_header(meta, node.target, 0));
        } else {  // a regular file: the target and, as libostree does it, its NUL
          file.write({node.target.c_str(), node.target.size() + 1});
          finish_bare(file, meta);
        }
        staging_.keep(std::move(claim), extension_, std::move(file));
      }
    }
    node.object = object;
    node.stored = node.meta;
  }

  void refresh(tree::Node& node) override {
    if (node.stored == node.meta) return;
    if (node.meta->is_symlink()) return put_symlink(node);
    if (!node.stored) throw Error(ErrorCode::Failed, "A file was never stored");
    rewrite(node, node.object);
  }

  bool adopt(tree::Node& node, const Digest& object, bool same_meta) override {
    if (!staging_.has(object, extension_)) return false;
    if (same_meta) {
      node.object = object;
      node.stored = node.meta;
    } else {
      rewrite(node, object);
    }
    return true;
  }

  UniqueFd open_content(const tree::Node& node) const override {
    if (!node.stored || !node.meta->is_regular())
      throw Error(ErrorCode::Failed, "Only stored regular files have a content to open");
    UniqueFd fd = staging_.open(node.object, extension_);
    if (mode_ != Mode::Archive) return fd;
    UniqueFd out;
    if (node.size <= kCollectLimit) {
      out = UniqueFd(memfd_create("content", MFD_CLOEXEC));
      if (!out) throw_errno("Creating a file in memory");
    } else {
      out = staging_.scratch_file();
    }
    skip_archive_header(fd.get(), node.object);
    const std::string name = name_of(node.object);
    inflate_all(fd.get(), name, [&](std::string_view data) { write_all(out.get(), data, name); });
    if (lseek(out.get(), 0, SEEK_SET)) throw_errno("Reading " + name);
    return out;
  }

  TreeSums put_tree(tree::Tree& tree, std::size_t threads) override {
    struct Stale {
      std::string path;
      tree::Node* node;
    };
    std::vector<Stale> stale;
    tree.walk([&](const std::string& path, tree::Node& node) {
      const tree::Meta& meta = *node.meta;
      if (meta.is_dir() || node.stored == node.meta) return;
      if (!meta.is_regular() && !meta.is_symlink())
        throw Error(ErrorCode::InvalidInput,
                    "/" + path + ": OSTree cannot store devices and sockets");
      if (meta.is_regular() && !node.stored)
        throw Error(ErrorCode::Failed, "/" + path + ": has no content object");
      stale.push_back({path, &node});
    });
    if (!threads) threads = std::max(1u, std::thread::hardware_concurrency());
    parallel_for(threads, stale.size(), [&](std::size_t, std::size_t i) {
      with_context("/" + stale[i].path, [&] { refresh(*stale[i].node); });
    });
    std::string path;
    std::map<const tree::Meta*, Digest> metas;  // few distinct ones
    return put_directory(tree.root(), path, metas);
  }

  void publish() override {
    if (poisoned_)
      throw Error(ErrorCode::Failed, "Not publishing objects whose source could not be trusted");
    staging_.publish();
  }
  void poison() noexcept override { poisoned_ = true; }
  StoreCounters counters() const noexcept override { return staging_.counters(); }
  const std::filesystem::path& path() const noexcept override { return path_; }

 private:
  /// The repository's shared lock: `ostree prune` waits for it.
  class RepoLock {
   public:
    explicit RepoLock(OstreeRepo* repo) : repo_(repo) {
      GErrorSink error;
      error.check(ostree_repo_lock_push(repo, OSTREE_REPO_LOCK_SHARED, nullptr, error),
                  "Locking the repository");
    }
    RepoLock(const RepoLock&) = delete;
    RepoLock& operator=(const RepoLock&) = delete;
    ~RepoLock() { ostree_repo_lock_pop(repo_, OSTREE_REPO_LOCK_SHARED, nullptr, nullptr); }

   private:
    OstreeRepo* repo_;
  };

  std::string name_of(const Digest& object) const {
    return "object " + to_hex(object) + " of repository " + path_.string();
  }

  // ---- contents ----

  void put_content(tree::Node& node, std::uint64_t size, const Pull& pull,
                   const Digest* known_content) {
    const bool archive = mode_ == Mode::Archive;
    const bool collect = size <= (archive ? kArchiveBudget : kCollectLimit);
    std::optional<MemoryBudget::Share> memory;
    if (collect && size > kCollectLimit) memory.emplace(budget_, size);
    const ScratchPool::Loan scratch(scratches_);
    scratch->object.update(content_header(*node.meta, {}));

    std::optional<Staging::File> file;
    std::optional<ZStream> deflate;
    const auto emit = [&](std::string_view data) { file->write(data); };
    if (!collect) {
      file.emplace(staging_.create_nameless(archive ? 0644 : bare_mode(*node.meta)));
      if (archive) emit(archive_header(*node.meta, {}, size)), deflate.emplace(true);
    }
    std::string_view whole;
    char* collected = nullptr;
    for (std::uint64_t have = 0; have < size;) {
      const std::string_view piece = pull();
      if (piece.empty() || piece.size() > size - have)
        throw Error(ErrorCode::Corrupt, piece.empty() ? "The content ends early"
                                                      : "The content is longer than it should be");
      scratch->object.update(piece);
      if (!known_content) scratch->content.update(piece);
      if (!collect) {
        if (deflate)
          deflate->feed(piece, false, emit);
        else
          emit(piece);
      } else if (piece.size() == size) {  // all of it in one piece: no copy
        whole = piece;
      } else {
        if (!collected) collected = scratch->whole.reserve(size);
        memcpy(collected + have, piece.data(), piece.size());
        whole = {collected, size};
      }
      have += piece.size();
    }
    const Digest object = scratch->object.finish();
    const Digest content = known_content ? *known_content : scratch->content.finish();

    if (auto claim = staging_.claim(object, extension_)) {
      if (collect) {
        file.emplace(staging_.create(object, extension_, archive ? 0644 : bare_mode(*node.meta)));
        if (archive)
          write_archive(*file, *node.meta, whole, *scratch);
        else if (!whole.empty())
          emit(whole);
      } else if (deflate) {
        deflate->feed({}, true, emit);
      }
      if (!archive) finish_bare(*file, *node.meta);
      staging_.keep(std::move(claim), extension_, std::move(*file));
    }
    node.size = size;
    node.content = content;
    node.object = object;
    node.stored = node.meta;
  }

  static void write_archive(Staging::File& file, const tree::Meta& meta, std::string_view content,
                            Scratch& scratch) {
    if (!scratch.compressor) scratch.compressor.reset(libdeflate_alloc_compressor(kDeflateLevel));
    if (!scratch.compressor) throw std::bad_alloc();
    const std::string header = archive_header(meta, {}, content.size());
    const std::size_t bound =
        libdeflate_deflate_compress_bound(scratch.compressor.get(), content.size());
    char* out = scratch.packed.reserve(header.size() + bound);
    memcpy(out, header.data(), header.size());
    const std::size_t packed = libdeflate_deflate_compress(
        scratch.compressor.get(), content.data(), content.size(), out + header.size(), bound);
    file.write({out, header.size() + packed});
  }

  /// Permissions on disk. bare-user keeps the real ones in an attribute; libostree leaves out
  /// set-uid, set-gid, sticky and writing by others, and can always read.
  mode_t bare_mode(const tree::Meta& meta) const {
    return mode_ == Mode::BareUser ? (meta.mode & 0775) | S_IRUSR : 0600;
  }

  void finish_bare(const Staging::File& file, const tree::Meta& meta) const {
    bool ok;
    if (mode_ == Mode::BareUser) {
      const std::string packed = serialize_meta(meta);
      ok = !fsetxattr(file.fd(), "user.ostreemeta", packed.data(), packed.size(), 0);
    } else {  // owner first: changing it drops set-uid bits and capabilities
      ok = !fchown(file.fd(), meta.uid, meta.gid) &&
           (meta.capability.empty() ||
            !fsetxattr(file.fd(), "security.capability", meta.capability.data(),
                       meta.capability.size(), 0)) &&
           (meta.label.empty() || !fsetxattr(file.fd(), "security.selinux", meta.label.c_str(),
                                             meta.label.size() + 1, 0)) &&
           !fchmod(file.fd(), meta.mode & 07777);
    }
    const timespec times[2] = {{0, UTIME_OMIT}, {0, 0}};  // checkouts by hard link show this time
    if (!ok || futimens(file.fd(), times)) throw_errno(staging_.describe("Writing objects"));
  }

  void make_link(const Digest& object, const tree::Meta& meta, const std::string& target) {
    const std::string path = object_path(object, extension_);
    const int dfd = staging_.dfd();
    staging_.make_shard(path);
    if (symlinkat(target.c_str(), dfd, path.c_str()))
      throw_errno(staging_.describe("Writing objects"));
    ScopeExit undo([&] { unlinkat(dfd, path.c_str(), 0); });
    const std::string full = "/proc/self/fd/" + std::to_string(dfd) + "/" + path;
    if (fchownat(dfd, path.c_str(), meta.uid, meta.gid, AT_SYMLINK_NOFOLLOW) ||
        (!meta.label.empty() &&
         lsetxattr(full.c_str(), "security.selinux", meta.label.c_str(), meta.label.size() + 1, 0)))
      throw_errno(staging_.describe("Writing objects"));
    undo.dismiss();
  }

  // The content of an object that exists, under node.meta.
  void rewrite(tree::Node& node, const Digest& from) {
    const UniqueFd fd = staging_.open(from, extension_);
    if (mode_ != Mode::Archive) {
      const Digest content = node.content;
      FdReader reader(fd.get(), name_of(from));
      put_content(node, size_of(fd.get(), name_of(from)), std::ref(reader), &content);
      return;
    }
    // An archive need not be deflated again: only its header changes.
    const std::uint64_t size = skip_archive_header(fd.get(), from);
    const off_t start = lseek(fd.get(), 0, SEEK_CUR);
    const ScratchPool::Loan scratch(scratches_);
    scratch->object.update(content_header(*node.meta, {}));
    inflate_all(fd.get(), name_of(from), [&](std::string_view d) { scratch->object.update(d); });
    const Digest object = scratch->object.finish();
    if (auto claim = staging_.claim(object, extension_)) {
      auto file = staging_.create(object, extension_, 0644);
      file.write(archive_header(*node.meta, {}, size));
      if (lseek(fd.get(), start, SEEK_SET) != start) throw_errno("Reading " + name_of(from));
      FdReader reader(fd.get(), name_of(from));
      for (auto piece = reader(); !piece.empty(); piece = reader()) file.write(piece);
      staging_.keep(std::move(claim), extension_, std::move(file));
    }
    node.object = object;
    node.stored = node.meta;
  }

  // Leaves the offset at the deflated content. @return the inflated size
  std::uint64_t skip_archive_header(int fd, const Digest& object) const {
    std::array<unsigned char, 16> start{};
    const ssize_t n = pread(fd, start.data(), start.size(), 0);
    if (n < 0) throw_errno("Reading " + name_of(object));
    std::uint32_t length = 0;
    std::uint64_t size = 0;
    memcpy(&length, start.data(), sizeof length);
    memcpy(&size, start.data() + 8, sizeof size);
    const off_t end = off_t{8} + be32toh(length);
    if (n != static_cast<ssize_t>(start.size()) || lseek(fd, end, SEEK_SET) != end)
      throw Error(ErrorCode::Corrupt, name_of(object) + ": not an archived file");
    return be64toh(size);
  }

  template <typename Emit>
  static void inflate_all(int fd, const std::string& name, const Emit& emit) {
    with_context(name, [&] {
      FdReader reader(fd, name);
      ZStream inflate(false);
      for (;;) {
        const std::string_view piece = reader();
        if (piece.empty()) throw Error(ErrorCode::Corrupt, "ends early");
        if (!inflate.feed(piece, false, emit)) return;
      }
    });
  }

  // ---- directories ----

  TreeSums put_directory(tree::Node& directory, std::string& path,
                         std::map<const tree::Meta*, Digest>& metas) {
    DirTree builder;
    const std::size_t length = path.size();
    for (const auto& [name, child] : directory.children) {
      path += '/';
      path += name;
      with_context(path, [&] { check_text(name, "The name"); });
      if (child->is_dir()) {
        const TreeSums sums = put_directory(*child, path, metas);
        builder.add_directory(name, sums.tree, sums.meta);
      } else {
        builder.add_file(name, child->object);
      }
      path.resize(length);
    }
    const auto [it, fresh] = metas.try_emplace(directory.meta);
    if (fresh) it->second = put_metadata(serialize_meta(*directory.meta), ".dirmeta");
    return {put_metadata(builder.finish(), ".dirtree"), it->second};
  }

  Digest put_metadata(const std::string& data, std::string_view extension) {
    const Digest object = sha256(data);
    if (auto claim = staging_.claim(object, extension)) {
      auto file = staging_.create(object, extension, 0644);
      file.write(data);
      staging_.keep(std::move(claim), extension, std::move(file));
    }
    return object;
  }

  std::filesystem::path path_;
  GPtr<OstreeRepo> repo_;
  Mode mode_;
  std::string_view extension_;
  RepoLock lock_;
  Staging staging_;
  ScratchPool scratches_;
  MemoryBudget budget_;
  std::atomic<bool> poisoned_{false};
};

}  // namespace

std::unique_ptr<ObjectStore> ObjectStore::open(const std::filesystem::path& path) {
  GErrorSink error;
  const std::string doing = "Opening repository " + path.string();
  auto repo = atomichost::adopt(ostree_repo_open_at(AT_FDCWD, path.c_str(), nullptr, error));
  error.check(repo != nullptr, doing);
  Mode mode;
  switch (ostree_repo_get_mode(repo.get())) {
    case OSTREE_REPO_MODE_BARE:
      if (geteuid() != 0)
        throw Error(ErrorCode::Denied, doing +
                                           ": writing to a bare repository needs root; use "
                                           "bare-user or archive");
      mode = Mode::Bare;
      break;
    case OSTREE_REPO_MODE_BARE_USER:
      mode = Mode::BareUser;
      break;
    case OSTREE_REPO_MODE_ARCHIVE:
      mode = Mode::Archive;
      break;
    case OSTREE_REPO_MODE_BARE_USER_ONLY:
    default:
      throw Error(ErrorCode::InvalidInput,
                  doing +
                      ": its mode cannot hold owners and labels (bare-user-only, or one that is "
                      "not known here); make one with mode bare-user, archive or bare");
  }
  guint64 reserved = 0;
  error.check(ostree_repo_get_min_free_space_bytes(repo.get(), &reserved, error), doing);
  return std::make_unique<LooseStore>(path, std::move(repo), mode, reserved);
}

void ObjectStore::put_file(tree::Node& node, int fd, const std::string& name) {
  const std::uint64_t whole = size_of(fd, name);
  const off_t at = lseek(fd, 0, SEEK_CUR);
  if (at < 0) throw_errno("Reading " + name);
  FdReader reader(fd, name);
  with_context("Storing " + name, [&] {
    put_file(node, whole - std::min(whole, static_cast<std::uint64_t>(at)), std::ref(reader));
  });
}

void ObjectStore::put_bytes(tree::Node& node, std::string_view content) {
  put_file(node, content.size(), [&] { return content; });
}

}  // namespace atomichost::ostree
