// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/sha256.hpp"
#include "base/unique_fd.hpp"
#include "ostree/object_store.hpp"

namespace atomichost::ostree {

/// A private directory in a repository's tmp/ where new objects stand, complete and under their
/// final names, until they are published together. Knows which objects exist. Thread-safe, but for
/// publish().
class Staging {
 public:
  /// @param reserved_bytes  what has to stay free on the file system
  Staging(const std::filesystem::path& repo, std::uint64_t reserved_bytes, bool sync);
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  ~Staging();  ///< removes what was not published

  /// A file that is being written; it goes away with this unless it was kept.
  class File {
   public:
    File(File&& o) noexcept;
    File& operator=(File&&) = delete;
    ~File();
    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    void write(std::string_view data);

   private:
    friend class Staging;
    File(Staging& owner, std::string name, UniqueFd fd)
        : owner_(&owner), name_(std::move(name)), fd_(std::move(fd)) {}
    Staging* owner_;
    std::string name_;  ///< "": kept
    UniqueFd fd_;
  };

  /// The right to write one object. Other threads that want the same object wait until it is done.
  class Claim {
   public:
    Claim(Claim&& o) noexcept;
    Claim& operator=(Claim&&) = delete;
    ~Claim();  ///< not done: somebody else may try
    explicit operator bool() const noexcept { return owner_ != nullptr; }

   private:
    friend class Staging;
    Claim() = default;
    Claim(Staging& owner, const Digest& object) : owner_(&owner), object_(object) {}
    Staging* owner_ = nullptr;  ///< nullptr: the object exists
    Digest object_{};
  };
  [[nodiscard]] Claim claim(const Digest& object, std::string_view extension);
  /// Does the object exist, here or in the repository?
  [[nodiscard]] bool has(const Digest& object, std::string_view extension);

  /// A new file of exactly @p mode under the object's final name.
  [[nodiscard]] File create(const Digest& object, std::string_view extension, mode_t mode);
  /// A new file whose object is not known yet.
  [[nodiscard]] File create_nameless(mode_t mode);
  /// The claimed object is complete. @p file may be nameless.
  void keep(Claim claim, std::string_view extension, File file);
  /// The claimed object is complete, made by other means at path() below dfd().
  void keep(Claim claim);

  /// An object for reading.
  /// @throws Error NotFound
  [[nodiscard]] UniqueFd open(const Digest& object, std::string_view extension) const;
  /// An unnamed file for the caller's own use, readable and writable.
  [[nodiscard]] UniqueFd scratch_file() const;

  void publish();

  [[nodiscard]] int dfd() const noexcept { return stage_.get(); }
  void make_shard(const std::string& object_path);
  [[nodiscard]] StoreCounters counters() const noexcept;
  [[nodiscard]] std::string describe(const std::string& doing) const;  ///< "<doing> in REPO"

 private:
  enum class State : std::uint8_t { Writing, Staged, Published };
  struct Hash {
    std::size_t operator()(const Digest& d) const noexcept;
  };
  [[nodiscard]] UniqueFd create_file(const std::string& name, mode_t mode);
  void account(std::size_t bytes);
  void check_free_space() const;
  void remove_leftovers() const;

  std::string repo_path_;
  std::uint64_t reserved_bytes_;
  bool sync_;
  mode_t umask_;
  UniqueFd repo_, tmp_, objects_, lock_, stage_;
  std::string name_;
  mutable std::mutex mutex_;
  std::condition_variable settled_;
  std::unordered_map<Digest, State, Hash> states_;
  std::atomic<std::uint64_t> serial_{0}, written_{0}, existing_{0}, bytes_{0};
};

}  // namespace atomichost::ostree
