// SPDX-License-Identifier: LGPL-2.1-or-later
#include "importer/importer.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <numeric>
#include <unordered_map>

#include "base/error.hpp"
#include "base/parallel.hpp"
#include "importer/cpio.hpp"
#include "importer/payload.hpp"
#include "ostree/object_format.hpp"

namespace atomichost::importer {
namespace {

// "./usr/bin/sh" in the archive is "/usr/bin/sh" in the header.
std::string_view relative(std::string_view path) noexcept {
  if (path.starts_with("./")) path.remove_prefix(1);
  while (path.starts_with('/')) path.remove_prefix(1);
  return path;
}

/// Imports one package at a time; one per thread.
class Worker {
 public:
  Worker(ostree::ObjectStore& store, const Memo& memo, const CancelToken* cancel)
      : store_(store), memo_(memo), cancel_(cancel) {}

  /// @return false: all of it was known
  bool import(const Import& job) {
    const rpm::Package& package = *job.package;
    assert(job.nodes.size() == package.files().size());
    put_links(job);
    if (adopt_known(job)) return false;
    read_payload(job);
    remember(job);
    return true;
  }

 private:
  static bool wants_content(const tree::Node* node) noexcept {
    return node && node->meta->is_regular();
  }

  const Digest& meta_digest(const tree::Meta* meta) {
    const auto [it, fresh] = meta_digests_.try_emplace(meta);
    if (fresh) it->second = sha256(ostree::serialize_meta(*meta));
    return it->second;
  }

  void put_links(const Import& job) {
    for (std::size_t i = 0; i < job.nodes.size(); ++i) {
      tree::Node* node = job.nodes[i];
      if (!node || !node->meta->is_symlink()) continue;
      const rpm::File& file = job.package->files()[i];
      if (node->target.empty()) node->target = file.target;
      with_context(file.path, [&] { store_.put_symlink(*node); });
    }
  }

  // From what an earlier import remembered. Where only owner, mode or label changed, the content
  // comes from the object that is there.
  bool adopt_known(const Import& job) {
    const rpm::Package& package = *job.package;
    auto known = memo_.load(package.header_digest(), package.files().size());
    if (!known) return false;
    bool changed = false;
    for (std::size_t i = 0; i < job.nodes.size(); ++i) {
      tree::Node* node = job.nodes[i];
      if (!wants_content(node)) continue;
      if (cancel_) cancel_->check();
      Memo::File& file = (*known)[i];
      if (!file.known || file.size != package.files()[i].size) return false;
      const Digest& meta = meta_digest(node->meta);
      node->size = file.size;
      node->content = file.content;
      if (!store_.adopt(*node, file.object, file.meta == meta)) return false;
      changed |= file.meta != meta;
      file.meta = meta;
      file.object = node->object;
    }
    if (changed) memo_.save(package.header_digest(), *known);
    return true;
  }

  void remember(const Import& job) {
    std::vector<Memo::File> files(job.nodes.size());
    for (std::size_t i = 0; i < files.size(); ++i) {
      const tree::Node* node = job.nodes[i];
      if (wants_content(node))
        files[i] = {true, meta_digest(node->meta), node->object, node->content, node->size};
    }
    memo_.save(job.package->header_digest(), files);
  }

  void read_payload(const Import& job) {
    const std::vector<rpm::File>& files = job.package->files();
    std::unordered_map<std::string_view, std::size_t> by_name;
    by_name.reserve(files.size());
    for (std::size_t i = 0; i < files.size(); ++i) by_name.emplace(relative(files[i].path), i);
    std::vector<bool> done(files.size());

    Payload payload(*job.package, scratch_, cancel_);
    CpioReader archive([&] { return payload.read(); });
    for (CpioReader::Entry entry; archive.next(entry);) {
      const std::size_t index = find(entry, by_name, files);
      const rpm::File& file = files[index];
      if (!S_ISREG(file.mode)) {
        if (entry.index && S_ISLNK(file.mode)) archive.expect(file.target.size());
        continue;
      }
      const bool linked = file.links.size() > 1;
      if (entry.index) {  // of a hard link set only the last name has the content
        const bool has_content = !linked || file.links.back() == static_cast<int>(index);
        entry.size = has_content ? file.size : 0;
        archive.expect(entry.size);
      }
      if (linked && entry.size == 0 && file.size != 0) continue;
      if (entry.size != file.size)
        throw Error(ErrorCode::Corrupt, file.path + ": has " + std::to_string(entry.size) +
                                            " bytes in the payload and " +
                                            std::to_string(file.size) + " in the header");
      if (done[index]) throw Error(ErrorCode::Corrupt, file.path + ": is in the payload twice");
      put_names(job, index, archive, done);
    }
    payload.check_digest();
    for (std::size_t i = 0; i < files.size(); ++i)
      if (wants_content(job.nodes[i]) && !done[i])
        throw Error(ErrorCode::Corrupt,
                    files[i].path + ": is in the header but not in the payload");
  }

  static std::size_t find(const CpioReader::Entry& entry,
                          const std::unordered_map<std::string_view, std::size_t>& by_name,
                          const std::vector<rpm::File>& files) {
    if (entry.index) {
      if (*entry.index < files.size()) return *entry.index;
      throw Error(ErrorCode::Corrupt, "its payload has an entry number " +
                                          std::to_string(*entry.index) + " of " +
                                          std::to_string(files.size()));
    }
    const auto it = by_name.find(relative(entry.name));
    if (it == by_name.end())
      throw Error(ErrorCode::Corrupt, entry.name + ": is in the payload but not in the header");
    return it->second;
  }

  // The content for the file at @p index and, with hard links, for all names of its inode; where
  // their metas differ (labels go by path), each distinct one gets its own object.
  void put_names(const Import& job, std::size_t index, CpioReader& archive,
                 std::vector<bool>& done) {
    const rpm::File& file = job.package->files()[index];
    std::vector<std::size_t> names{index};
    if (file.size != 0)
      for (const int link : file.links)
        if (static_cast<std::size_t>(link) != index)
          names.push_back(static_cast<std::size_t>(link));
    tree::Node* first = nullptr;
    for (const std::size_t name : names) {
      done[name] = true;
      tree::Node* node = job.nodes[name];
      if (!wants_content(node)) continue;
      with_context(job.package->files()[name].path, [&] {
        if (!first) {
          const Digest* content = file.digest ? &*file.digest : nullptr;
          store_.put_file(
              *node, file.size, [&] { return archive.data(); }, content);
          first = node;
          return;
        }
        node->size = first->size;
        node->content = first->content;
        if (!store_.adopt(*node, first->object, node->meta == first->meta))
          throw Error(ErrorCode::Failed, "its object is gone");
      });
    }
  }

  ostree::ObjectStore& store_;
  const Memo& memo_;
  const CancelToken* cancel_;
  PayloadScratch scratch_;
  std::unordered_map<const tree::Meta*, Digest> meta_digests_;
};

}  // namespace

ImportCounters import_all(const std::vector<Import>& imports, ostree::ObjectStore& store,
                          const Memo& memo, std::size_t threads, Progress& progress,
                          const CancelToken* cancel) {
  threads = std::max<std::size_t>(1, std::min(threads, imports.size()));
  std::vector<std::unique_ptr<Worker>> workers(threads);
  // The largest first, so that no giant is left to one thread at the end.
  std::vector<std::size_t> order(imports.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return imports[a].package->unpacked_size() > imports[b].package->unpacked_size();
  });
  progress.begin("Importing packages", imports.size(), "packages");
  std::atomic<std::size_t> finished{0}, read{0};
  try {
    parallel_for(
        threads, imports.size(),
        [&](std::size_t worker, std::size_t item) {
          if (!workers[worker]) workers[worker] = std::make_unique<Worker>(store, memo, cancel);
          const Import& job = imports[order[item]];
          const std::string name = job.package->nevra().str();
          if (with_context("Importing " + name, [&] { return workers[worker]->import(job); }))
            ++read;
          progress.update(++finished, name);
        },
        cancel);
  } catch (...) {
    store.poison();
    throw;
  }
  progress.end();
  return {read, imports.size() - read};
}

}  // namespace atomichost::importer
