// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpmmd/transfer.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <librepo/librepo.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "base/file.hpp"
#include "base/gptr.hpp"
#include "base/strings.hpp"

namespace atomichost::rpmmd {
namespace {

using Handle = std::unique_ptr<LrHandle, decltype(&lr_handle_free)>;
using Target = std::unique_ptr<LrDownloadTarget, decltype(&lr_downloadtarget_free)>;

/// Each waiting transfer holds an open file.
constexpr std::size_t kBatch = 200;

template <typename T>
void set(LrHandle* handle, LrHandleOption option, T value) {
  GErrorSink error;
  error.check(lr_handle_setopt(handle, error, option, value), "Setting up a transfer");
}

void set_text(LrHandle* handle, LrHandleOption option, const std::string& value) {
  if (!value.empty()) set(handle, option, value.c_str());
}

Handle make_handle(const RepoConfig& config, const FetchOptions& options) {
  static std::once_flag once;
  std::call_once(once, [] {
    lr_global_init();
    // What librepo has to say arrives as errors; its log would go to standard error.
    const auto quiet = [](const gchar*, GLogLevelFlags, const gchar*, gpointer) {};
    g_log_set_handler("librepo", static_cast<GLogLevelFlags>(G_LOG_LEVEL_MASK), quiet, nullptr);
  });
  Handle handle(lr_handle_init(), &lr_handle_free);
  LrHandle* h = handle.get();
  set(h, LRO_REPOTYPE, static_cast<long>(LR_YUMREPO));
  // One attempt each: repeating is ours, because then what has arrived is kept and continued.
  set(h, LRO_ALLOWEDMIRRORFAILURES, 1L);
  set(h, LRO_MAXPARALLELDOWNLOADS, static_cast<long>(config.max_parallel_downloads));
  set(h, LRO_MAXDOWNLOADSPERMIRROR, static_cast<long>(config.max_parallel_downloads));
  set(h, LRO_CONNECTTIMEOUT, static_cast<long>(config.timeout_s));
  set(h, LRO_LOWSPEEDTIME, static_cast<long>(config.timeout_s));
  set(h, LRO_LOWSPEEDLIMIT, static_cast<long>(config.minrate));
  if (config.max_speed > 0) set(h, LRO_MAXSPEED, static_cast<gint64>(config.max_speed));
  set(h, LRO_SSLVERIFYPEER, config.sslverify ? 1L : 0L);
  set(h, LRO_SSLVERIFYHOST, config.sslverify ? 1L : 0L);
  set_text(h, LRO_SSLCACERT, config.sslcacert);
  set_text(h, LRO_SSLCLIENTCERT, config.sslclientcert);
  set_text(h, LRO_SSLCLIENTKEY, config.sslclientkey);
  const std::string& proxy = config.proxy.empty() ? options.proxy : config.proxy;
  if (proxy == "_none_") {
    set(h, LRO_PROXY, "");
  } else {
    set_text(h, LRO_PROXY, proxy);
    if (!config.proxy_username.empty())
      set_text(h, LRO_PROXYUSERPWD, config.proxy_username + ":" + config.proxy_password);
  }
  if (!config.username.empty()) set_text(h, LRO_USERPWD, config.username + ":" + config.password);
  if (config.ip_resolve == "4") set(h, LRO_IPRESOLVE, LR_IPRESOLVE_V4);
  if (config.ip_resolve == "6") set(h, LRO_IPRESOLVE, LR_IPRESOLVE_V6);
  set_text(h, LRO_USERAGENT,
           config.user_agent.empty() ? "atomic/" ATOMIC_VERSION : config.user_agent);
  return handle;
}

/// What the progress callback of one target needs; all come from the thread that runs librepo.
struct Watch {
  Transfer* transfer;
  std::uint64_t* sum;  ///< of all transfers' received
  const FetchOptions* options;
  std::uint64_t offset;  ///< bytes that were there before

  void set_received(std::uint64_t bytes) const {
    *sum += bytes - transfer->received;  // may go down when an attempt starts anew
    transfer->received = bytes;
  }
};

int on_progress(void* data, double /*total*/, double now) {
  auto& watch = *static_cast<Watch*>(data);
  if (watch.options->cancel && watch.options->cancel->is_cancelled()) return LR_CB_ERROR;
  watch.set_received(watch.offset + static_cast<std::uint64_t>(now));
  if (watch.options->progress) watch.options->progress->update(*watch.sum, watch.transfer->title);
  return LR_CB_OK;
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

/// librepo gives a code for the kind and the details as text only.
Transfer::State classify(int code, const std::string& text) {
  if (code == LRE_BADCHECKSUM || contains(text, "Inconsistent server data"))
    return Transfer::State::WrongContent;
  constexpr std::string_view kStatus = "Status code: ";
  if (const auto at = text.find(kStatus); at != std::string::npos) {
    const long answer = strtol(text.c_str() + at + kStatus.size(), nullptr, 10);
    if (answer == 416) return Transfer::State::WrongContent;  // longer here than there
    return answer >= 400 && answer < 500 && answer != 408 && answer != 429
               ? Transfer::State::Missing
               : Transfer::State::Unreachable;
  }
  if (contains(text, "Curl error (37)")) return Transfer::State::Missing;       // file: not there
  if (contains(text, "Curl error (33)")) return Transfer::State::WrongContent;  // no resuming
  if (contains(text, "Curl error (23)")) return Transfer::State::NoSpace;
  return Transfer::State::Unreachable;
}

std::string base_of(const Transfer& t) {
  if (!t.base_url.empty() || t.mirrors.empty()) return t.base_url;
  return t.mirrors[t.attempts % t.mirrors.size()];
}

/// One attempt at each of @p batch.
void run_batch(const std::vector<Transfer*>& batch, std::uint64_t& sum,
               const FetchOptions& options) {
  std::map<const RepoConfig*, Handle> handles;
  std::vector<std::unique_ptr<Watch>> watches;
  std::vector<UniqueFd> files;
  std::vector<Target> targets;
  for (auto* t : batch) {
    auto handle = handles.find(t->config);
    if (handle == handles.end())
      handle = handles.emplace(t->config, make_handle(*t->config, options)).first;
    files.push_back(open_at(AT_FDCWD, t->dest,
                            O_RDWR | O_CREAT | O_CLOEXEC | (t->is_resumable ? 0 : O_TRUNC), 0644));
    const off_t present = lseek(files.back().get(), 0, SEEK_END);
    const auto offset = static_cast<std::uint64_t>(std::max<off_t>(present, 0));
    watches.push_back(std::make_unique<Watch>(Watch{t, &sum, &options, offset}));
    GSList* checksums = nullptr;
    if (!t->checksum.empty())
      checksums = g_slist_prepend(
          nullptr, lr_downloadtargetchecksum_new(lr_checksum_type(t->checksum_type.c_str()),
                                                 t->checksum.c_str()));
    // librepo compares the size with the length of what is still to come.
    const auto expected = offset ? 0 : static_cast<gint64>(t->size);
    const bool is_whole_url = t->path.find("://") != std::string::npos;
    const std::string base = base_of(*t);
    targets.emplace_back(
        lr_downloadtarget_new(
            handle->second.get(), t->path.c_str(), is_whole_url ? nullptr : base.c_str(),
            files.back().get(), nullptr, checksums, expected, t->is_resumable, on_progress,
            watches.back().get(), nullptr, nullptr, nullptr, 0, 0, nullptr, t->is_fresh, FALSE),
        &lr_downloadtarget_free);
  }
  GSList* list = nullptr;
  for (auto target = targets.rbegin(); target != targets.rend(); ++target)
    list = g_slist_prepend(list, target->get());
  GErrorSink error;
  const bool ran = lr_download(list, /*failfast=*/FALSE, error);
  g_slist_free(list);
  if (options.cancel) options.cancel->check();
  for (std::size_t i = 0; i < batch.size(); ++i) {
    Transfer& t = *batch[i];
    if (targets[i]->rcode == LRE_OK) {
      t.state = Transfer::State::Done;
      t.mirror = base_of(t);
      watches[i]->set_received(static_cast<std::uint64_t>(lseek(files[i].get(), 0, SEEK_END)));
      continue;
    }
    t.reason = targets[i]->err       ? targets[i]->err
               : !ran && error.get() ? error.get()->message
                                     : "no reason given";
    if (t.reason.starts_with("Download failed: ")) t.reason.erase(0, 17);
    t.state = classify(targets[i]->rcode, t.reason);
    t.was_continued = watches[i]->offset > 0;
    // The text of an error page is no part of the file.
    if (contains(t.reason, "Status code: ") &&
        ftruncate(files[i].get(), static_cast<off_t>(watches[i]->offset)) != 0)
      throw_errno("Truncating " + t.dest.string());
    if (t.state == Transfer::State::WrongContent && !contains(t.reason, "://"))
      t.reason += fmt::format(" ({}/{})", base_of(t), t.path);
    if (t.state == Transfer::State::NoSpace)
      t.reason = fmt::format("Cannot write {}: {}", t.dest.string(), t.reason);
    ++t.attempts;
  }
}

/// Whether another attempt at what failed may help.
bool may_retry(const Transfer& t) {
  if (t.state == Transfer::State::Done || t.state == Transfer::State::NoSpace) return false;
  const auto mirrors = t.base_url.empty() ? std::max<std::size_t>(t.mirrors.size(), 1) : 1;
  if (t.attempts < mirrors) return true;  // somebody else may have it
  if (t.state == Transfer::State::Missing) return false;
  // A damaged beginning spoils every continuation: one clean attempt.
  if (t.state == Transfer::State::WrongContent) return t.was_continued || t.attempts < mirrors + 1;
  return t.attempts < mirrors + static_cast<std::size_t>(t.config->retries);
}

}  // namespace

void run_transfers(std::vector<Transfer>& transfers, const FetchOptions& options) {
  std::uint64_t sum = 0;
  for (int round = 0;; ++round) {
    std::vector<Transfer*> batch;
    for (auto& t : transfers) {
      if (t.state != Transfer::State::Waiting) continue;
      batch.push_back(&t);
      if (batch.size() == kBatch) {
        run_batch(batch, sum, options);
        batch.clear();
      }
    }
    if (!batch.empty()) run_batch(batch, sum, options);
    bool again = false, is_pausing = false;
    for (auto& t : transfers) {
      if (!may_retry(t)) continue;
      if (t.state == Transfer::State::WrongContent) remove_tree(t.dest);
      is_pausing |= t.state == Transfer::State::Unreachable && t.attempts >= t.mirrors.size();
      t.state = Transfer::State::Waiting;
      again = true;
    }
    if (!again) break;
    // A server in trouble gets a moment; another mirror is asked at once.
    const auto until = std::chrono::steady_clock::now() +
                       std::chrono::milliseconds(is_pausing ? 100 << std::min(round, 5) : 0);
    while (std::chrono::steady_clock::now() < until) {
      if (options.cancel) options.cancel->check();
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }
  for (const auto& t : transfers)
    if (t.state == Transfer::State::Missing || t.state == Transfer::State::WrongContent)
      remove_tree(t.dest);  // nothing to continue
}

Error transfer_error(const Transfer& transfer, const std::string& doing,
                     const std::string& advice) {
  ErrorCode code = ErrorCode::Unreachable;
  if (transfer.state == Transfer::State::WrongContent) code = ErrorCode::Corrupt;
  if (transfer.state == Transfer::State::NoSpace) code = ErrorCode::NoSpace;
  return {code,
          fmt::format("{}: {}{}{}", doing, transfer.reason, advice.empty() ? "" : "; ", advice)};
}

std::string escape_path(const std::string& path) {
  return adopt(g_uri_escape_string(path.c_str(), "/~", FALSE)).get();
}

std::filesystem::path local_path(const std::string& url) {
  if (!url.starts_with("file:")) return {};
  std::string path = url.substr(5);
  if (path.starts_with("//localhost/")) path = path.substr(11);
  while (path.starts_with("//")) path.erase(0, 1);
  const auto unescaped = adopt(g_uri_unescape_string(path.c_str(), nullptr));
  return unescaped ? unescaped.get() : path;
}

}  // namespace atomichost::rpmmd
