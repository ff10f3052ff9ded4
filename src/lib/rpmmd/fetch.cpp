// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fcntl.h>
#include <fmt/format.h>
#include <librepo/librepo.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <mutex>
#include <set>

#include "base/file.hpp"
#include "base/gptr.hpp"
#include "base/parallel.hpp"
#include "base/sha256.hpp"
#include "base/strings.hpp"
#include "rpmmd/cache.hpp"
#include "rpmmd/checksum.hpp"
#include "rpmmd/rpmmd.hpp"
#include "rpmmd/transfer.hpp"

namespace atomichost::rpmmd {
namespace fs = std::filesystem;
namespace {

constexpr const char* kRepomd = "repodata/repomd.xml";

std::string doing(const RepoConfig& config) {
  return "Repository " + config.id;
}

/// Where the user would look: the file and line, when it came from one.
std::string origin(const RepoConfig& config) {
  return config.file.empty() ? "its configuration"
                             : fmt::format("{}:{}", config.file.string(), config.line);
}

std::string first_url(const RepoConfig& config) {
  if (!config.metalink.empty()) return config.metalink;
  if (!config.baseurls.empty()) return config.baseurls[0];
  return config.mirrorlist;
}

void require_usable(const RepoConfig& config) {
  if (!config.undefined_variables.empty())
    throw Error(ErrorCode::InvalidInput,
                fmt::format("{}: {} in {} has no value; set {} in the treefile", doing(config),
                            join(config.undefined_variables, ", "), origin(config),
                            config.undefined_variables[0] == "$releasever" ? "releasever"
                                                                           : "it under repovars"));
  if (config.baseurls.empty() && config.metalink.empty() && config.mirrorlist.empty())
    throw Error(ErrorCode::InvalidInput,
                fmt::format("{}: {} has no baseurl, mirrorlist or metalink", doing(config),
                            origin(config)));
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

UniqueFd memory_file(const std::string& content) {
  UniqueFd fd(memfd_create("atomic-metadata", MFD_CLOEXEC));
  if (!fd) throw_errno("Creating a memory file");
  write_all(fd.get(), content, "a memory file");
  lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

/// Fill records, revision and timestamp from the text of a repomd.xml.
void parse_repomd(RepoMetadata& metadata, const std::string& content, const std::string& where) {
  const std::unique_ptr<LrYumRepoMd, decltype(&lr_yum_repomd_free)> parsed(lr_yum_repomd_init(),
                                                                           &lr_yum_repomd_free);
  const UniqueFd fd = memory_file(content);
  GErrorSink error;
  if (!lr_yum_repomd_parse_file(parsed.get(), fd.get(), nullptr, nullptr, error))
    throw Error(ErrorCode::Corrupt,
                fmt::format("{}: {} is no repository metadata: {}; check the URL, or make the "
                            "repository again",
                            doing(metadata.config), where,
                            error.get() ? error.get()->message : "no reason given"));
  metadata.repomd_digest = to_hex(sha256(content));
  metadata.revision = parsed->revision ? parsed->revision : "";
  for (auto item = parsed->records; item; item = item->next) {
    const auto raw = static_cast<const LrYumRepoMdRecord*>(item->data);
    if (!raw->type || !raw->location_href) continue;
    Record record;
    record.type = raw->type;
    record.location = raw->location_href;
    record.size = raw->size > 0 ? static_cast<std::uint64_t>(raw->size) : 0;
    record.checksum_type = raw->checksum_type ? raw->checksum_type : "";
    record.checksum = raw->checksum ? lower(raw->checksum) : "";
    metadata.timestamp_s = std::max<std::int64_t>(metadata.timestamp_s, raw->timestamp);
    metadata.records.push_back(std::move(record));
  }
  if (!metadata.record("primary"))
    throw Error(ErrorCode::Corrupt,
                fmt::format("{}: {} names no primary metadata; make the repository again "
                            "(createrepo_c)",
                            doing(metadata.config), where));
}

/// The record with its checksum in a form that can be checked.
/// @throws Error Corrupt, InvalidInput
Record checked_record(const RepoMetadata& metadata, const std::string& type) {
  Record record = *metadata.record(type);
  if (record.checksum.empty())
    throw Error(ErrorCode::Corrupt, fmt::format("{}: repomd.xml has no checksum for {}",
                                                doing(metadata.config), record.location));
  record.checksum_type = normalize_checksum_type(record.checksum_type,
                                                 doing(metadata.config) + ": " + record.location);
  return record;
}

fs::path cached_record_path(const Record& record, const fs::path& directory) {
  // The name in the cache is the content's: a new state never overwrites what an old one needs.
  std::string name = fs::path(record.location).filename();
  if (name.find(record.checksum) == std::string::npos) name = record.checksum + "-" + name;
  return directory / name;
}

bool has_checksum(const fs::path& path, const Record& record, const CancelToken* cancel) {
  try {
    require_checksum(path, record.checksum_type, record.checksum, cancel);
    return true;
  } catch (const Error&) {
    return false;
  }
}

/// Verified path of a record of a repository used in place.
fs::path local_record(const RepoMetadata& metadata, const Record& record,
                      const CancelToken* cancel) {
  const fs::path path = metadata.local_root / record.location;
  try {
    require_checksum(path, record.checksum_type, record.checksum, cancel);
  } catch (const Error& e) {
    if (e.code() == ErrorCode::Denied)
      throw Error(e.code(), doing(metadata.config) + ": " + e.what());
    throw Error(ErrorCode::Corrupt,
                fmt::format("{}: The repository is half-written: {}; wait until it is complete, or "
                            "make it again (createrepo_c {})",
                            doing(metadata.config), e.what(), metadata.local_root.string()));
  }
  return path;
}

/// Verified path of a record in the cache; fetched, and continued, when it is not there.
fs::path remote_record(const RepoMetadata& metadata, const Record& record,
                       const fs::path& directory, const std::vector<std::string>& mirrors,
                       const FetchOptions& options) {
  const fs::path path = cached_record_path(record, directory);
  if (has_checksum(path, record, options.cancel)) return path;
  if (options.cache_only)
    throw Error(ErrorCode::NotFound,
                fmt::format("{}: {} is not in the cache; run once without --cache-only",
                            doing(metadata.config), record.location));
  std::vector<Transfer> transfers(1);
  Transfer& t = transfers[0];
  t.config = &metadata.config;
  t.mirrors = mirrors;
  t.path = escape_path(record.location);
  t.dest = path.string() + ".part";
  t.checksum_type = record.checksum_type;
  t.checksum = record.checksum;
  t.size = record.size;
  t.is_resumable = true;
  t.title = metadata.config.id + " " + record.type;
  if (options.progress)
    options.progress->begin("Fetching metadata of " + metadata.config.id, record.size, "bytes");
  run_transfers(transfers, options);
  if (options.progress) options.progress->end();
  if (t.state == Transfer::State::Missing || t.state == Transfer::State::WrongContent)
    throw Error(ErrorCode::Corrupt,
                fmt::format("{}: The repository is half-written or its mirror out of date: "
                            "repomd.xml names {}, but: {}; try again later or use another mirror",
                            doing(metadata.config), record.location, t.reason));
  if (t.state != Transfer::State::Done)
    throw transfer_error(t, doing(metadata.config) + ": Fetching " + record.location, "");
  require_checksum(t.dest, record.checksum_type, record.checksum, options.cancel);
  move_file(t.dest, path);
  return path;
}

struct MirrorList {
  std::vector<std::string> urls;
  /// Acceptable digests of repomd.xml, newest first: (type, value). Empty: not said.
  std::vector<std::pair<std::string, std::string>> digests;
};

void add_digest(MirrorList& list, GSList* hashes) {
  static const std::vector<std::string> order{"sha512", "sha384", "sha256", "sha224", "sha1"};
  std::pair<std::string, std::string> best;
  auto best_rank = order.size();
  for (auto h = hashes; h; h = h->next) {
    const auto hash = static_cast<const LrMetalinkHash*>(h->data);
    if (!hash->type || !hash->value) continue;
    const auto rank = static_cast<std::size_t>(
        std::find(order.begin(), order.end(), lower(hash->type)) - order.begin());
    if (rank < best_rank) {
      best_rank = rank;
      best = {order[rank], lower(hash->value)};
    }
  }
  if (best_rank < order.size()) list.digests.push_back(best);
}

MirrorList parse_metalink(const RepoConfig& config, const fs::path& file) {
  const std::unique_ptr<LrMetalink, decltype(&lr_metalink_free)> parsed(lr_metalink_init(),
                                                                        &lr_metalink_free);
  const UniqueFd fd = open_at(AT_FDCWD, file, O_RDONLY | O_CLOEXEC);
  GErrorSink error;
  if (!lr_metalink_parse_file(parsed.get(), fd.get(), "repomd.xml", nullptr, nullptr, error))
    throw Error(
        ErrorCode::Corrupt,
        fmt::format("{}: {} does not give a metalink for repomd.xml: {}", doing(config),
                    config.metalink, error.get() ? error.get()->message : "no reason given"));
  MirrorList list;
  std::vector<const LrMetalinkUrl*> urls;
  for (auto item = parsed->urls; item; item = item->next)
    urls.push_back(static_cast<const LrMetalinkUrl*>(item->data));
  std::stable_sort(urls.begin(), urls.end(),
                   [](auto a, auto b) { return a->preference > b->preference; });
  for (const auto url : urls) {
    std::string text = url->url ? url->url : "";
    if (text.starts_with("rsync:") || !text.ends_with(kRepomd)) continue;
    list.urls.push_back(text.substr(0, text.size() - std::string_view(kRepomd).size()));
  }
  add_digest(list, parsed->hashes);
  for (auto item = parsed->alternates; item; item = item->next)
    add_digest(list, static_cast<const LrMetalinkAlternate*>(item->data)->hashes);
  return list;
}

MirrorList parse_mirrorlist(const RepoConfig& config, const fs::path& file) {
  const std::unique_ptr<LrMirrorlist, decltype(&lr_mirrorlist_free)> parsed(lr_mirrorlist_init(),
                                                                            &lr_mirrorlist_free);
  const UniqueFd fd = open_at(AT_FDCWD, file, O_RDONLY | O_CLOEXEC);
  GErrorSink error;
  error.check(lr_mirrorlist_parse_file(parsed.get(), fd.get(), error),
              doing(config) + ": Reading the list of mirrors " + config.mirrorlist);
  MirrorList list;
  for (auto item = parsed->urls; item; item = item->next)
    list.urls.emplace_back(static_cast<const char*>(item->data));
  return list;
}

MirrorList fetch_mirrors(const RepoConfig& config, const fs::path& scratch,
                         const FetchOptions& options) {
  MirrorList list;
  if (!config.metalink.empty() || !config.mirrorlist.empty()) {
    const bool is_metalink = !config.metalink.empty();
    std::vector<Transfer> transfers(1);
    Transfer& t = transfers[0];
    t.config = &config;
    t.path = is_metalink ? config.metalink : config.mirrorlist;
    t.dest = scratch / "mirrors";
    t.is_fresh = true;
    t.title = config.id + " mirrors";
    run_transfers(transfers, options);
    if (t.state != Transfer::State::Done)
      throw transfer_error(t, doing(config) + ": Fetching its mirrors from " + t.path,
                           fmt::format("check {} in {} and the network",
                                       is_metalink ? "metalink" : "mirrorlist", origin(config)));
    list = is_metalink ? parse_metalink(config, t.dest) : parse_mirrorlist(config, t.dest);
    if (list.urls.empty() && config.baseurls.empty())
      throw Error(ErrorCode::Unreachable,
                  fmt::format("{}: {} names no usable mirror", doing(config), t.path));
  }
  list.urls.insert(list.urls.begin(), config.baseurls.begin(), config.baseurls.end());
  return list;
}

Transfer fetch_small_file(const RepoConfig& config, const std::string& path, const fs::path& dest,
                          const MirrorList& mirrors,
                          const std::pair<std::string, std::string>& digest,
                          const FetchOptions& options) {
  std::vector<Transfer> transfers(1);
  Transfer& t = transfers[0];
  t.config = &config;
  t.mirrors = mirrors.urls;
  t.path = path;
  t.dest = dest;
  t.checksum_type = digest.first;
  t.checksum = digest.second;
  t.is_fresh = true;
  t.title = config.id + " " + fs::path(path).filename().string();
  run_transfers(transfers, options);
  return t;
}

/// A mirror that answered goes to the front, for all that follows.
void fetch_repomd(const RepoConfig& config, const fs::path& dest, MirrorList& mirrors,
                  const FetchOptions& options) {
  auto digests = mirrors.digests;
  if (digests.empty()) digests.emplace_back();
  Transfer t;
  // A metalink names the current state first, then older ones that mirrors may still have.
  for (const auto& digest : digests) {
    t = fetch_small_file(config, kRepomd, dest, mirrors, digest, options);
    if (t.state == Transfer::State::Done) {
      const auto answered = std::find(mirrors.urls.begin(), mirrors.urls.end(), t.mirror);
      if (answered != mirrors.urls.end()) std::rotate(mirrors.urls.begin(), answered, answered + 1);
      return;
    }
    if (t.state != Transfer::State::WrongContent) break;
  }
  std::string advice = fmt::format("check baseurl in {} and the network", origin(config));
  if (t.state == Transfer::State::WrongContent)
    advice = "no mirror has a state that the metalink knows; try again later";
  throw transfer_error(
      t, fmt::format("{}: Fetching {} from {}", doing(config), kRepomd, first_url(config)), advice);
}

[[noreturn]] void throw_unsigned(const RepoConfig& config, const std::string& where) {
  throw Error(
      ErrorCode::Untrusted,
      fmt::format("{}: repo_gpgcheck=1, but repomd.xml is not signed ({} is not there); sign "
                  "it (gpg --detach-sign --armor repomd.xml), or set repo_gpgcheck=0 in {}",
                  doing(config), where, origin(config)));
}

/// Checked once for the same three things: content, signature and keys; until the key expires.
void verify_signature(const RepoConfig& config, const std::string& repomd,
                      const std::string& signature, const fs::path& cachedir,
                      const FetchOptions& options) {
  const auto keys = fetch_keys(config, cachedir, options);
  std::string inputs = to_hex(sha256(repomd)) + to_hex(sha256(signature));
  for (const auto& key : keys) inputs += to_hex(sha256(key.data));
  const std::string id = to_hex(sha256(inputs));
  const fs::path memo = metadata_directory(config, cachedir) / "trusted";
  try {
    const auto words = split_whitespace(read_file(memo));
    if (words.size() == 2 && words[0] == id &&
        (words[1] == "never" || std::stoll(words[1]) > time(nullptr)))
      return;
  } catch (const std::exception&) {
    // none yet
  }
  const auto made =
      keys::verify_detached(repomd, signature, keys,
                            fmt::format("{}: repomd.xml of {}", doing(config), first_url(config)));
  make_directories(memo.parent_path());
  replace_file(memo,
               id + " " + (made.expires_s ? std::to_string(*made.expires_s) : "never") + "\n");
}

RepoMetadata fetch_local(const RepoConfig& config, const fs::path& root, const fs::path& cachedir,
                         const FetchOptions& options) {
  RepoMetadata metadata;
  metadata.config = config;
  metadata.local_root = root;
  metadata.repomd = root / kRepomd;
  std::string content;
  try {
    content = read_file(metadata.repomd);
  } catch (const Error& e) {
    throw Error(e.code() == ErrorCode::NotFound ? ErrorCode::Unreachable : e.code(),
                fmt::format("{}: {}; check baseurl in {}, or make the repository with createrepo_c",
                            doing(config), e.what(), origin(config)));
  }
  if (config.repo_gpgcheck) {
    const fs::path signature = root / "repodata/repomd.xml.asc";
    if (!fs::exists(signature)) throw_unsigned(config, signature);
    verify_signature(config, content, read_file(signature), cachedir, options);
  }
  parse_repomd(metadata, content, metadata.repomd);
  metadata.primary = local_record(metadata, checked_record(metadata, "primary"), options.cancel);
  return metadata;
}

/// What an earlier fetch left, or nullopt when it is not whole.
std::optional<RepoMetadata> load_cached(const RepoConfig& config, const fs::path& directory,
                                        const FetchOptions& options) {
  try {
    RepoMetadata metadata;
    metadata.config = config;
    metadata.repomd = directory / "repomd.xml";
    parse_repomd(metadata, read_file(metadata.repomd), metadata.repomd);
    const Record primary = checked_record(metadata, "primary");
    metadata.primary = cached_record_path(primary, directory);
    if (!has_checksum(metadata.primary, primary, options.cancel)) return std::nullopt;
    return metadata;
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// Remove what belongs to states before @p metadata, and litter of killed processes.
void prune(const RepoMetadata& metadata, const fs::path& directory) {
  std::set<fs::path> wanted{directory / "repomd.xml", directory / "repomd.xml.asc",
                            directory / "mirrors", directory / "keys", directory / "trusted"};
  for (const auto& record : metadata.records) {
    const fs::path path = cached_record_path(record, directory);
    wanted.insert(path);
    wanted.insert(path.string() + ".part");
  }
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(directory, ignored))
    if (!wanted.contains(entry.path())) remove_tree(entry.path());
}

RepoMetadata fetch_remote(const RepoConfig& config, const fs::path& cachedir,
                          const FetchOptions& options) {
  const fs::path directory = metadata_directory(config, cachedir);
  make_directories(directory);
  const TempDir scratch(directory, "tmp-");
  MirrorList mirrors = fetch_mirrors(config, scratch.path(), options);
  const fs::path new_repomd = scratch.path() / "repomd.xml";
  fetch_repomd(config, new_repomd, mirrors, options);
  const std::string content = read_file(new_repomd);
  std::string signature;
  if (config.repo_gpgcheck) {
    const fs::path file = scratch.path() / "repomd.xml.asc";
    const Transfer t =
        fetch_small_file(config, std::string(kRepomd) + ".asc", file, mirrors, {}, options);
    if (t.state == Transfer::State::Missing) throw_unsigned(config, t.reason);
    if (t.state != Transfer::State::Done)
      throw transfer_error(t, doing(config) + ": Fetching the signature of repomd.xml", "");
    signature = read_file(file);
    verify_signature(config, content, signature, cachedir, options);
  }

  RepoMetadata metadata;
  metadata.config = config;
  metadata.repomd = directory / "repomd.xml";
  parse_repomd(metadata, content,
               config.baseurls.empty() ? first_url(config) : config.baseurls[0] + "/" + kRepomd);
  metadata.primary = remote_record(metadata, checked_record(metadata, "primary"), directory,
                                   mirrors.urls, options);
  // All files of the new state are there: switch, then forget the old state.
  replace_file(directory / "mirrors", join(mirrors.urls, "\n") + "\n");
  if (!signature.empty()) replace_file(directory / "repomd.xml.asc", signature);
  replace_file(metadata.repomd, content);
  prune(metadata, directory);
  return metadata;
}

RepoMetadata fetch_from_cache(const RepoConfig& config, const fs::path& cachedir,
                              const FetchOptions& options) {
  const fs::path directory = metadata_directory(config, cachedir);
  auto metadata = load_cached(config, directory, options);
  if (!metadata)
    throw Error(ErrorCode::NotFound,
                fmt::format("{}: Nothing usable in the cache {}; run once without --cache-only",
                            doing(config), directory.string()));
  if (config.repo_gpgcheck) {
    const fs::path signature = directory / "repomd.xml.asc";
    if (!fs::exists(signature)) throw_unsigned(config, signature);
    verify_signature(config, read_file(metadata->repomd), read_file(signature), cachedir, options);
  }
  return std::move(*metadata);
}

}  // namespace

fs::path metadata_directory(const RepoConfig& config, const fs::path& cachedir) {
  const std::string urls =
      join(config.baseurls, "\n") + "\n\n" + config.mirrorlist + "\n" + config.metalink;
  return cachedir / "repomd" / (config.id + "-" + to_hex(sha256(urls)).substr(0, 16));
}

fs::path local_root(const RepoConfig& config) {
  if (!config.metalink.empty() || !config.mirrorlist.empty() || config.baseurls.empty()) return {};
  fs::path first;
  for (const auto& url : config.baseurls) {
    const fs::path root = local_path(url);
    if (root.empty()) return {};
    if (fs::exists(root / kRepomd)) return root;
    if (first.empty()) first = root;
  }
  return first;
}

std::vector<std::string> cached_mirrors(const RepoConfig& config, const fs::path& cachedir) {
  try {
    return split_whitespace(read_file(metadata_directory(config, cachedir) / "mirrors"));
  } catch (const Error&) {
    return config.baseurls;
  }
}

void move_file(const fs::path& from, const fs::path& to) {
  if (rename(from.c_str(), to.c_str()) != 0) throw_errno("Renaming " + from.string());
}

const Record* RepoMetadata::record(const std::string& type) const noexcept {
  const auto found =
      std::find_if(records.begin(), records.end(), [&](auto& r) { return r.type == type; });
  return found == records.end() ? nullptr : &*found;
}

RepoMetadata fetch_metadata(const RepoConfig& config, const fs::path& cachedir,
                            const FetchOptions& options) {
  require_usable(config);
  if (options.cancel) options.cancel->check();
  const fs::path root = local_root(config);
  if (!root.empty()) return fetch_local(config, root, cachedir, options);
  if (options.cache_only) return fetch_from_cache(config, cachedir, options);
  return fetch_remote(config, cachedir, options);
}

std::vector<RepoMetadata> fetch_all(const std::vector<RepoConfig>& configs,
                                    const fs::path& cachedir, const FetchOptions& options) {
  std::vector<std::optional<RepoMetadata>> slots(configs.size());
  // A progress display shows one step at a time.
  FetchOptions quiet = options;
  if (configs.size() > 1) quiet.progress = nullptr;
  std::mutex messages;
  parallel_for(
      std::min<std::size_t>(configs.size(), 4), configs.size(),
      [&](std::size_t, std::size_t i) {
        try {
          slots[i] = fetch_metadata(configs[i], cachedir, quiet);
        } catch (const Error& e) {
          if (e.code() != ErrorCode::Unreachable || !configs[i].skip_if_unavailable) throw;
          const std::lock_guard lock(messages);
          if (options.progress)
            options.progress->message(
                fmt::format("{} (left out: skip_if_unavailable=1)", e.what()));
        }
      },
      options.cancel);
  std::vector<RepoMetadata> all;
  for (auto& slot : slots)
    if (slot) all.push_back(std::move(*slot));
  return all;
}

void fetch_filelists(RepoMetadata& metadata, const fs::path& cachedir,
                     const FetchOptions& options) {
  if (!metadata.record("filelists")) return;
  const Record record = checked_record(metadata, "filelists");
  metadata.filelists =
      metadata.local_root.empty()
          ? remote_record(metadata, record, metadata_directory(metadata.config, cachedir),
                          cached_mirrors(metadata.config, cachedir), options)
          : local_record(metadata, record, options.cancel);
}

std::vector<keys::KeyFile> fetch_keys(const RepoConfig& config, const fs::path& cachedir,
                                      const FetchOptions& options) {
  std::vector<keys::KeyFile> files;
  for (const auto& url : config.gpgkeys) {
    const std::string what = fmt::format("{}: gpgkey {}", doing(config), url);
    fs::path path = url.starts_with("/") ? fs::path(url) : local_path(url);
    if (path.empty()) {
      const fs::path directory = metadata_directory(config, cachedir) / "keys";
      path = directory / to_hex(sha256(url)).substr(0, 16);
      if (!options.cache_only) {
        make_directories(directory);
        std::vector<Transfer> transfers(1);
        Transfer& t = transfers[0];
        t.config = &config;
        t.path = url;
        t.dest = path.string() + ".part";
        t.is_fresh = true;
        t.title = config.id + " key";
        run_transfers(transfers, options);
        if (t.state != Transfer::State::Done)
          throw transfer_error(t, what, fmt::format("check gpgkey in {}", origin(config)));
        move_file(t.dest, path);
      }
    }
    with_context(what, [&] { files.push_back({url, read_file(path)}); });
  }
  return files;
}

}  // namespace atomichost::rpmmd
