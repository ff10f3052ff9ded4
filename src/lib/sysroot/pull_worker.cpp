// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "base/file.hpp"
#include "base/strings.hpp"
#include "format/names.hpp"
#include "sysroot/pull.hpp"
#include "sysroot/pull_wire.hpp"
#include "sysroot/sysroot.hpp"

namespace atomichost::sysroot {
namespace {

/// Keys and values for ostree_repo_pull_with_options().
class PullOptions {
 public:
  PullOptions() : builder_(adopt(g_variant_builder_new(G_VARIANT_TYPE_VARDICT))) {}
  void add(const char* key, GVariant* value) {
    g_variant_builder_add(builder_.get(), "{sv}", key, value);
  }
  void add_list(const char* key, const std::vector<std::string>& list) {
    std::vector<const char*> words;
    for (const auto& text : list) words.push_back(text.c_str());
    add(key, g_variant_new_strv(words.data(), static_cast<gssize>(words.size())));
  }
  [[nodiscard]] GPtr<GVariant> end() { return sink(g_variant_builder_end(builder_.get())); }

 private:
  GPtr<GVariantBuilder> builder_;
};

class Worker {
 public:
  Worker(PullRequest request, int out)
      : request_(std::move(request)), out_(out), sysroot_(Sysroot::open(request_.sysroot)) {}

  PullResult run() {
    check_remote();
    if (!request_.version.empty()) request_.commit = find_version();
    if (request_.only.empty() && !request_.branch.empty())
      pull_whole();
    else
      pull(request_.commit, request_.only, /*depth=*/0);
    PullResult result{.commit = request_.commit, .bytes = bytes_before_ + bytes_};
    if (result.commit.empty()) result.commit = current().value_or("");
    if (result.commit.empty())
      throw Error(ErrorCode::NotFound, doing() + ": the branch is not there");
    send_signatures(result.commit);
    return result;
  }

 private:
  [[nodiscard]] std::optional<std::string> current() const {
    return sysroot_.resolve(request_.remote + ":" + request_.branch);
  }

  void set_current(const std::optional<std::string>& commit) {
    GErrorSink error;
    ostree_repo_set_ref_immediate(sysroot_.repo(), request_.remote.c_str(), request_.branch.c_str(),
                                  commit ? commit->c_str() : nullptr, nullptr, error);
  }

  /// First the commit alone, with all checks; then, if it is not all here, the rest. With the
  /// commit at hand libostree takes a delta alone; without it would fetch the objects in it as
  /// well.
  void pull_whole() {
    const auto before = current();
    const bool named = !request_.commit.empty();
    pull(request_.commit, {""}, /*depth=*/0);
    if (!named) request_.commit = current().value_or("");
    OstreeRepoCommitState state{};
    if (!request_.commit.empty() &&
        ostree_repo_load_commit(sysroot_.repo(), request_.commit.c_str(), nullptr, &state,
                                nullptr) &&
        !(state & OSTREE_REPO_COMMIT_STATE_PARTIAL))
      return;
    set_current(before);  // the branch moves when all is here
    request_.not_older_than.clear();
    forecast();
    pull(request_.commit, {}, /*depth=*/0);
  }

  [[nodiscard]] std::string doing() const {
    std::string what = request_.branch;
    if (!request_.commit.empty())
      what =
          what.empty() ? "commit " + request_.commit : what + ", commit " + request_.commit + ",";
    return fmt::format("Pulling {} from remote '{}'", what, request_.remote);
  }

  void check_remote() {
    guint count = 0;
    const auto names = adopt(ostree_repo_remote_list(sysroot_.repo(), &count));
    std::vector<std::string> known(names.get(), names.get() + count);
    if (std::ranges::find(known, request_.remote) == known.end())
      throw Error(ErrorCode::NotFound,
                  fmt::format("There is no remote '{}'{}; 'ostree remote add' makes one",
                              request_.remote, did_you_mean(request_.remote, known)));
  }

  PullOptions base_options(const std::string& commit) {
    PullOptions options;
    options.add("n-network-retries", g_variant_new_uint32(5));
    options.add("update-frequency", g_variant_new_uint32(200));  // ms
    if (!request_.not_older_than.empty())
      options.add("timestamp-check-from-rev",
                  g_variant_new_string(request_.not_older_than.c_str()));
    if (!request_.check_branch) options.add("disable-verify-bindings", g_variant_new_boolean(TRUE));
    if (request_.branch.empty()) {
      options.add_list("refs", {commit});
    } else {
      options.add_list("refs", {request_.branch});
      if (!commit.empty()) options.add_list("override-commit-ids", {commit});
    }
    return options;
  }

  static void on_progress(OstreeAsyncProgress* progress, gpointer self) {
    static_cast<Worker*>(self)->send_progress(progress);
  }

  void send_progress(OstreeAsyncProgress* p) {
    auto u = [&](const char* key) { return ostree_async_progress_get_uint(p, key); };
    auto t = [&](const char* key) { return ostree_async_progress_get_uint64(p, key); };
    const std::uint64_t start = t("start-time"), bytes = t("bytes-transferred");
    const std::uint64_t elapsed =
        start ? (static_cast<std::uint64_t>(g_get_monotonic_time()) - start) / G_USEC_PER_SEC : 0;
    bytes_ = std::max(bytes_, bytes);
    pull_wire::write_frame(
        out_, "progress",
        g_variant_new(pull_wire::kProgressType, start, elapsed, u("outstanding-fetches"),
                      u("outstanding-writes"), u("scanned-metadata"), u("metadata-fetched"),
                      u("outstanding-metadata-fetches"), u("total-delta-parts"),
                      u("fetched-delta-parts"), u("total-delta-superblocks"),
                      t("total-delta-part-size"), u("fetched"), u("requested"), bytes,
                      elapsed ? bytes / elapsed : bytes));
  }

  void pull(const std::string& commit, const std::vector<std::string>& only, int depth) {
    auto options = base_options(commit);
    int flags = OSTREE_REPO_PULL_FLAGS_NONE;
    if (std::ranges::find(only, "") != only.end()) {
      flags |= OSTREE_REPO_PULL_FLAGS_COMMIT_ONLY;
    } else if (!only.empty()) {
      options.add_list("subdirs", only);
    }
    options.add("flags", g_variant_new_int32(flags));
    options.add("depth", g_variant_new_int32(depth));
    bytes_before_ += std::exchange(bytes_, 0);
    const auto progress = adopt(ostree_async_progress_new_and_connect(on_progress, this));
    GErrorSink error;
    const bool ok =
        ostree_repo_pull_with_options(sysroot_.repo(), request_.remote.c_str(), options.end().get(),
                                      progress.get(), nullptr, error);
    ostree_async_progress_finish(progress.get());
    if (!ok) throw explain(error.get());
  }

  [[nodiscard]] Error explain(const GError* e) const {
    // What is wrong with a signature comes in several lines.
    std::vector<std::string> lines;
    for (const auto& line : split(e ? e->message : "no reason given", '\n'))
      if (!trim(line).empty()) lines.emplace_back(trim(line));
    const std::string text = join(lines, "; ");
    auto has = [&](const char* part) { return text.find(part) != text.npos; };
    ErrorCode code = ErrorCode::Failed;
    if (e && e->domain == OSTREE_GPG_ERROR) code = ErrorCode::Untrusted;
    if (has("GPG") || has("ignature") || has("chronologically older")) code = ErrorCode::Untrusted;
    if (code == ErrorCode::Failed && (has("orrupt") || has("checksum expected") ||
                                      has("Invalid checksum") || has("invalid checksum")))
      code = ErrorCode::Corrupt;
    if (e && g_error_matches(e, G_IO_ERROR, G_IO_ERROR_NO_SPACE)) code = ErrorCode::NoSpace;
    if (has("would exceed") || has("min-free-space")) code = ErrorCode::NoSpace;
    if (code == ErrorCode::Failed) {
      if (e && g_error_matches(e, G_IO_ERROR, G_IO_ERROR_NOT_FOUND))
        code = ErrorCode::NotFound;
      else if (has("While fetching") || has("Server returned") || has("imed out") ||
               has("Couldn't"))
        code = ErrorCode::Unreachable;
    }
    std::string advice;
    if (has("chronologically older")) advice = " (option --allow-downgrade)";
    return {code, doing() + ": " + text + advice};
  }

  /// What the pull will fetch, from the delta's header; and is there room for it?
  void forecast() {
    PullOptions options;  // the checks are the pull's own
    options.add_list("refs", {request_.branch});
    if (!request_.commit.empty()) options.add_list("override-commit-ids", {request_.commit});
    options.add("dry-run", g_variant_new_boolean(TRUE));
    options.add("require-static-deltas", g_variant_new_boolean(TRUE));
    const auto progress = adopt(ostree_async_progress_new());
    const bool has_delta =
        ostree_repo_pull_with_options(sysroot_.repo(), request_.remote.c_str(), options.end().get(),
                                      progress.get(), nullptr, nullptr);
    ostree_async_progress_finish(progress.get());  // else it leaves a callback to itself behind
    if (!has_delta) return;  // objects it is, and the pull itself says what is wrong
    auto t = [&](const char* key) { return ostree_async_progress_get_uint64(progress.get(), key); };
    const std::uint64_t size = t("total-delta-part-size"), unpacked = t("total-delta-part-usize");
    const std::uint64_t have = t("fetched-delta-part-size");
    if (size == 0) return;
    pull_wire::write_frame(
        out_, "message",
        g_variant_new_string(fmt::format("Delta: {} to fetch, {} unpacked",
                                         human_bytes(size > have ? size - have : 0),
                                         human_bytes(unpacked))
                                 .c_str()));
    check_space(std::max(size, unpacked));
  }

  void check_space(std::uint64_t needed) {
    struct statvfs fs;
    const auto repo = sysroot_.repo_path();
    if (statvfs(repo.c_str(), &fs)) throw_errno("Asking for the free space of " + repo.string());
    guint64 reserved = 0;
    if (!ostree_repo_get_min_free_space_bytes(sysroot_.repo(), &reserved, nullptr)) reserved = 0;
    const std::uint64_t free_bytes = fs.f_bavail * fs.f_frsize;
    const std::uint64_t usable = free_bytes > reserved ? free_bytes - reserved : 0;
    if (needed <= usable) return;
    throw Error(ErrorCode::NoSpace,
                fmt::format("{}: needs {} in {}, but of {} free there {} are kept in reserve; "
                            "'atomic cleanup -r' removes the rollback deployment, "
                            "'atomic cleanup -p' the pending one",
                            doing(), human_bytes(needed), repo.string(), human_bytes(free_bytes),
                            human_bytes(reserved)));
  }

  [[nodiscard]] std::string version_of(const std::string& commit) {
    return sysroot_.commit_info(commit, "").version;
  }

  /// Search the branch's history, fetching more of it as needed, commits only.
  std::string find_version() {
    std::vector<std::string> seen;
    // The ref must not move to whatever is searched: history is fetched by checksum.
    const auto old = current();
    const bool kept_check = std::exchange(request_.check_branch, false);
    const auto kept_age = std::exchange(request_.not_older_than, "");
    const auto restore = [&] {
      request_.check_branch = kept_check;
      request_.not_older_than = kept_age;
      set_current(old);
    };
    std::string found;
    try {
      for (const int depth : {0, 20, -1}) {
        seen.clear();
        pull("", {""}, depth);
        auto next = current();
        while (next && found.empty()) {
          GVariant* loaded = nullptr;
          if (!ostree_repo_load_commit(sysroot_.repo(), next->c_str(), &loaded, nullptr, nullptr))
            break;
          const auto commit = adopt(loaded);
          seen.push_back(version_of(*next));
          if (seen.back() == request_.version) found = *next;
          const auto parent = adopt(ostree_commit_get_parent(commit.get()));
          next = parent ? std::optional<std::string>(parent.get()) : std::nullopt;
        }
        if (!found.empty()) break;
      }
    } catch (...) {
      restore();
      throw;
    }
    restore();
    if (!found.empty()) return found;
    throw Error(ErrorCode::NotFound, fmt::format("Branch {} of remote '{}' has no version '{}'{}",
                                                 request_.branch, request_.remote, request_.version,
                                                 did_you_mean(request_.version, seen)));
  }

  void send_signatures(const std::string& commit) {
    const auto info = sysroot_.commit_info(commit, request_.remote);
    if (!info.is_gpg_enabled) return;
    const auto builder = adopt(g_variant_builder_new(G_VARIANT_TYPE("av")));
    for (const auto& signature : info.signatures)
      g_variant_builder_add(builder.get(), "v", signature.get());
    pull_wire::write_frame(out_, "signatures",
                           g_variant_new("(sav)", commit.c_str(), builder.get()));
  }

  PullRequest request_;
  int out_;
  Sysroot sysroot_;
  std::uint64_t bytes_ = 0,
                bytes_before_ = 0;  // fetched by this call of libostree, by earlier ones
};

PullRequest request_from(const std::string& bytes) {
  const auto value = pull_wire::parse(bytes, pull_wire::kRequestType);
  PullRequest r;
  const char *sysroot, *remote, *branch, *commit, *not_older, *version;
  GVariantIter* only = nullptr;
  gboolean check = TRUE;
  g_variant_get(value.get(), "(&s&s&s&s&s&sasb)", &sysroot, &remote, &branch, &commit, &not_older,
                &version, &only, &check);
  r.sysroot = sysroot;
  r.remote = remote;
  r.branch = branch;
  r.commit = commit;
  r.not_older_than = not_older;
  r.version = version;
  r.check_branch = check;
  const char* folder = nullptr;
  while (g_variant_iter_next(only, "&s", &folder)) r.only.emplace_back(folder);
  g_variant_iter_free(only);
  return r;
}

}  // namespace

int run_pull_worker(int in, int out) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // without the daemon nobody would finish what was pulled
  signal(SIGPIPE, SIG_IGN);
  try {
    const auto result = Worker(request_from(read_fd(in, "the request")), out).run();
    pull_wire::write_frame(out, "done", g_variant_new("(st)", result.commit.c_str(), result.bytes));
    return 0;
  } catch (const Error& e) {
    pull_wire::write_frame(out, "error",
                           g_variant_new("(us)", static_cast<guint32>(e.code()),
                                         adopt(g_utf8_make_valid(e.what(), -1)).get()));
  }
  return 1;
}

}  // namespace atomichost::sysroot
