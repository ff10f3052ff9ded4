// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ostree/object_format.hpp"

#include <endian.h>
#include <sys/stat.h>

#include <algorithm>

namespace atomichost::ostree {
namespace {

void put32(std::string& out, std::uint32_t value) {
  value = htobe32(value);
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put64(std::string& out, std::uint64_t value) {
  value = htobe64(value);
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// Append GVariant's framing offsets: where each variable-size member ends (in tuples: last member
// first, the very last left out). Their width is the smallest that can address the whole.
void seal(std::string& out, const std::vector<std::size_t>& ends) {
  std::size_t width = 1;
  while (width < 8 && out.size() + ends.size() * width >= (std::size_t{1} << (8 * width)))
    width *= 2;
  for (const std::size_t end : ends) {
    const std::uint64_t little = htole64(end);
    out.append(reinterpret_cast<const char*>(&little), width);
  }
}

void add_xattr(std::string& out, std::vector<std::size_t>& ends, std::string_view name,
               std::string_view value) {
  std::string item(name);
  item += '\0';
  const std::size_t name_end = item.size();
  item += value;
  seal(item, {name_end});
  out += item;
  ends.push_back(out.size());
}

std::string xattrs(const tree::Meta& meta) {  // a(ayay), sorted by name
  std::string out;
  std::vector<std::size_t> ends;
  if (!meta.capability.empty()) add_xattr(out, ends, "security.capability", meta.capability);
  if (!meta.label.empty())
    add_xattr(out, ends, "security.selinux",
              std::string_view(meta.label.c_str(), meta.label.size() + 1));
  seal(out, ends);
  return out;
}

std::string header(const tree::Meta& meta, std::string_view target, const std::uint64_t* size) {
  std::string body;
  if (size) put64(body, *size);
  put32(body, meta.uid), put32(body, meta.gid), put32(body, meta.mode), put32(body, 0);
  body += target;
  body += '\0';
  const std::size_t target_end = body.size();
  body += xattrs(meta);
  seal(body, {target_end});
  std::string out;
  put32(out, static_cast<std::uint32_t>(body.size()));
  put32(out, 0);  // padding to eight
  return out += body;
}

}  // namespace

std::string serialize_meta(const tree::Meta& meta) {
  std::string out;
  put32(out, meta.uid), put32(out, meta.gid), put32(out, meta.mode);
  return out += xattrs(meta);
}

std::string content_header(const tree::Meta& meta, std::string_view target) {
  return header(meta, target, nullptr);
}

std::string archive_header(const tree::Meta& meta, std::string_view target, std::uint64_t size) {
  return header(meta, target, &size);
}

void DirTree::add_file(std::string_view name, const Digest& object) {
  std::string item(name);
  item += '\0';
  const std::size_t name_end = item.size();
  item += bytes_of(object);
  seal(item, {name_end});
  files_ += item;
  file_ends_.push_back(files_.size());
}

void DirTree::add_directory(std::string_view name, const Digest& tree, const Digest& meta) {
  std::string item(name);
  item += '\0';
  const std::size_t name_end = item.size();
  item += bytes_of(tree);
  item += bytes_of(meta);
  seal(item, {name_end + tree.size(), name_end});
  directories_ += item;
  directory_ends_.push_back(directories_.size());
}

std::string DirTree::finish() {
  seal(files_, file_ends_);
  seal(directories_, directory_ends_);
  const std::size_t files_end = files_.size();
  files_ += directories_;
  seal(files_, {files_end});
  return std::move(files_);
}

std::string object_path(const Digest& object, std::string_view extension) {
  std::string path = to_hex(object);
  path.insert(path.begin() + 2, '/');
  return path += extension;
}

}  // namespace atomichost::ostree
