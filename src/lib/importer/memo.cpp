// SPDX-License-Identifier: LGPL-2.1-or-later
#include "importer/memo.hpp"

#include <endian.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "base/error.hpp"
#include "base/file.hpp"

namespace atomichost::importer {
namespace {

// Magic, then per file: known, meta, object, content, size (little-endian); last a SHA-256 of it
// all.
constexpr std::string_view kMagic = "atomic-import 1\n";
constexpr std::size_t kFileSize = 1 + 3 * 32 + 8;

void put(std::string& out, const Memo::File& file) {
  out += file.known ? '\1' : '\0';
  out += bytes_of(file.meta);
  out += bytes_of(file.object);
  out += bytes_of(file.content);
  const std::uint64_t size = htole64(file.size);
  out.append(reinterpret_cast<const char*>(&size), sizeof size);
}

Memo::File get(const char* at) {
  Memo::File file;
  file.known = *at != 0;
  memcpy(file.meta.data(), at + 1, 32);
  memcpy(file.object.data(), at + 33, 32);
  memcpy(file.content.data(), at + 65, 32);
  memcpy(&file.size, at + 97, 8);
  file.size = le64toh(file.size);
  return file;
}

}  // namespace

Memo::Memo(std::filesystem::path dir) : dir_(std::move(dir)) {}

std::optional<std::vector<Memo::File>> Memo::load(const std::string& key, std::size_t files) const {
  if (dir_.empty() || key.empty()) return std::nullopt;
  const UniqueFd fd(::open((dir_ / key).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return std::nullopt;
  std::string data;
  try {
    data = read_fd(fd.get(), key);
  } catch (const Error&) {
    return std::nullopt;
  }
  const std::size_t body = kMagic.size() + files * kFileSize;
  if (data.size() != body + 32 || !data.starts_with(kMagic)) return std::nullopt;
  const std::string_view all(data);
  if (all.substr(body) != bytes_of(sha256(all.substr(0, body)))) return std::nullopt;
  std::vector<File> result;
  result.reserve(files);
  for (std::size_t i = 0; i < files; ++i)
    result.push_back(get(data.data() + kMagic.size() + i * kFileSize));
  return result;
}

void Memo::save(const std::string& key, const std::vector<File>& files) const noexcept try {
  if (dir_.empty() || key.empty()) return;
  std::string data(kMagic);
  data.reserve(kMagic.size() + files.size() * kFileSize + 32);
  for (const File& file : files) put(data, file);
  const Digest sum = sha256(data);
  data += bytes_of(sum);
  // No sync: a file that a crash left half-written does not match its digest.
  std::string temp = dir_ / ("." + key + ".XXXXXX");
  UniqueFd fd(mkostemp(temp.data(), O_CLOEXEC));
  if (!fd && errno == ENOENT) {
    make_directories(dir_);
    temp = dir_ / ("." + key + ".XXXXXX");
    fd = UniqueFd(mkostemp(temp.data(), O_CLOEXEC));
  }
  if (!fd) return;
  try {
    write_all(fd.get(), data, temp);
  } catch (const Error&) {
    unlink(temp.c_str());
    return;
  }
  if (fchmod(fd.get(), 0644) || rename(temp.c_str(), (dir_ / key).c_str())) unlink(temp.c_str());
} catch (const std::exception&) {  // the next run reads the payload again
}

}  // namespace atomichost::importer
