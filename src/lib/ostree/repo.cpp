// SPDX-License-Identifier: LGPL-2.1-or-later
#include "ostree/repo.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/scope_exit.hpp"
#include "base/strings.hpp"

namespace atomichost {
template <>
struct GFree<GFileInfo> : FreeWith<g_object_unref> {};
template <>
struct GFree<GFileEnumerator> : FreeWith<g_object_unref> {};
}  // namespace atomichost

namespace atomichost::ostree {
namespace {

std::uint32_t mode_of(GFileInfo* info) {
  return g_file_info_get_attribute_uint32(info, "unix::mode");
}

GPtr<GFileInfo> query(GFile* file) {
  return adopt(g_file_query_info(file, "standard::*,unix::mode",
                                 G_FILE_QUERY_INFO_NOFOLLOW_SYMLINKS, nullptr, nullptr));
}

struct Found {
  GPtr<GFile> file;
  GPtr<GFileInfo> info;
};

// Follows links inside the commit, as a process with this commit as its root would.
std::optional<Found> find(GFile* root, const std::string& path) {
  std::vector<std::string> rest = split(path, '/');
  std::reverse(rest.begin(), rest.end());  // the next component is at the back
  std::vector<GPtr<GFile>> stack;
  stack.push_back(share(root));
  for (int links = 40; !rest.empty();) {
    const std::string name = std::move(rest.back());
    rest.pop_back();
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      if (stack.size() > 1) stack.pop_back();
      continue;
    }
    auto next = adopt(g_file_get_child(stack.back().get(), name.c_str()));
    const auto info = query(next.get());
    if (!info) return std::nullopt;
    if (S_ISLNK(mode_of(info.get()))) {
      if (--links < 0) return std::nullopt;
      const std::string target = g_file_info_get_symlink_target(info.get());
      if (target.starts_with('/')) stack.resize(1);
      std::vector<std::string> parts = split(target, '/');
      rest.insert(rest.end(), std::make_move_iterator(parts.rbegin()),
                  std::make_move_iterator(parts.rend()));
      continue;
    }
    stack.push_back(std::move(next));
  }
  auto info = query(stack.back().get());
  if (!info) return std::nullopt;
  return Found{std::move(stack.back()), std::move(info)};
}

GPtr<GFile> read_root(OstreeRepo* repo, const std::string& checksum) {
  GErrorSink error;
  GFile* root = nullptr;
  error.check(ostree_repo_read_commit(repo, checksum.c_str(), &root, nullptr, nullptr, error),
              "Reading commit " + checksum);
  return adopt(root);
}

Digest digest_from(GVariant* bytes, const std::string& doing) {
  gsize size = 0;
  const void* data = g_variant_get_fixed_array(bytes, &size, 1);
  Digest digest;
  if (size != digest.size()) throw Error(ErrorCode::Corrupt, doing + ": damaged commit object");
  std::copy_n(static_cast<const unsigned char*>(data), size, digest.begin());
  return digest;
}

// Everything libostree writes goes through a transaction: synced, then renamed, then the refs.
template <typename Body>
void transaction(OstreeRepo* repo, const std::string& doing, const Body& body) {
  GErrorSink error;
  error.check(ostree_repo_prepare_transaction(repo, nullptr, nullptr, error), doing);
  ScopeExit abort([&] { ostree_repo_abort_transaction(repo, nullptr, nullptr); });
  body();
  error.check(ostree_repo_commit_transaction(repo, nullptr, nullptr, error), doing);
  abort.dismiss();
}

}  // namespace

std::optional<std::string> Commit::text(const std::string& key) const {
  const auto found = value(key);
  if (!found || !g_variant_is_of_type(found.get(), G_VARIANT_TYPE_STRING)) return std::nullopt;
  return g_variant_get_string(found.get(), nullptr);
}

GPtr<GVariant> Commit::value(const std::string& key) const {
  return adopt(g_variant_lookup_value(metadata.get(), key.c_str(), nullptr));
}

void check_ref_name(const std::string& ref) {
  if (!ostree_validate_rev(ref.c_str(), nullptr))
    throw Error(ErrorCode::InvalidInput,
                "\"" + ref +
                    "\" is not a valid ref name (letters, digits, '.', '_', '-' in "
                    "components separated by '/')");
}

Repo Repo::open(const std::filesystem::path& path) {
  GErrorSink error;
  auto repo = adopt(ostree_repo_open_at(AT_FDCWD, path.c_str(), nullptr, error));
  error.check(repo != nullptr, "Opening repository " + path.string());
  return {path, std::move(repo)};
}

Repo Repo::create(const std::filesystem::path& path, const std::string& mode) {
  const std::string doing = "Creating repository " + path.string();
  GErrorSink error;
  OstreeRepoMode parsed;
  error.check(ostree_repo_mode_from_string(mode.c_str(), &parsed, error), doing);
  if (path.has_parent_path()) make_directories(path.parent_path());
  auto repo = adopt(ostree_repo_create_at(AT_FDCWD, path.c_str(), parsed, nullptr, nullptr, error));
  error.check(repo != nullptr, doing);
  return {path, std::move(repo)};
}

std::string Repo::mode() const {
  switch (ostree_repo_get_mode(get())) {
    case OSTREE_REPO_MODE_BARE:
      return "bare";
    case OSTREE_REPO_MODE_BARE_USER:
      return "bare-user";
    case OSTREE_REPO_MODE_BARE_USER_ONLY:
      return "bare-user-only";
    case OSTREE_REPO_MODE_ARCHIVE:
      return "archive";
    default:
      return "unknown";
  }
}

std::optional<std::string> Repo::resolve(const std::string& rev) const {
  GErrorSink error;
  char* checksum = nullptr;
  error.check(ostree_repo_resolve_rev(get(), rev.c_str(), /*allow_noent=*/TRUE, &checksum, error),
              "Resolving " + rev);
  const auto owned = adopt(checksum);
  if (!owned) return std::nullopt;
  return owned.get();
}

std::vector<std::string> Repo::refs(const std::string& prefix) const {
  GErrorSink error;
  GHashTable* all = nullptr;
  error.check(ostree_repo_list_refs_ext(get(), prefix.empty() ? nullptr : prefix.c_str(), &all,
                                        OSTREE_REPO_LIST_REFS_EXT_NONE, nullptr, error),
              "Listing refs");
  const auto owned = adopt(all);
  std::vector<std::string> names;
  GHashTableIter it;
  gpointer key;
  g_hash_table_iter_init(&it, all);
  while (g_hash_table_iter_next(&it, &key, nullptr)) names.emplace_back(static_cast<char*>(key));
  std::sort(names.begin(), names.end());
  return names;
}

Commit Repo::read_commit(const std::string& checksum) const {
  const std::string doing = "Reading commit " + checksum;
  GErrorSink error;
  GVariant* raw = nullptr;
  error.check(ostree_repo_load_commit(get(), checksum.c_str(), &raw, nullptr, error), doing);
  const auto commit = adopt(raw);
  Commit result;
  result.checksum = checksum;
  const char *subject = nullptr, *body = nullptr;
  GVariant *metadata = nullptr, *tree = nullptr, *meta = nullptr;
  guint64 time = 0;
  g_variant_get(raw, "(@a{sv}@ay@a(say)&s&st@ay@ay)", &metadata, nullptr, nullptr, &subject, &body,
                &time, &tree, &meta);
  result.metadata = adopt(metadata);
  const auto owned_tree = adopt(tree), owned_meta = adopt(meta);
  result.subject = subject;
  result.body = body;
  result.timestamp_s = static_cast<std::int64_t>(GUINT64_FROM_BE(time));
  result.root = {digest_from(tree, doing), digest_from(meta, doing)};
  if (const auto parent = adopt(ostree_commit_get_parent(raw))) result.parent = parent.get();
  return result;
}

std::optional<std::string> Repo::read_file(const std::string& checksum,
                                           const std::string& path) const {
  const auto root = read_root(get(), checksum);
  const auto found = find(root.get(), path);
  if (!found || !S_ISREG(mode_of(found->info.get()))) return std::nullopt;
  GErrorSink error;
  char* content = nullptr;
  gsize size = 0;
  error.check(g_file_load_contents(found->file.get(), nullptr, &content, &size, nullptr, error),
              "Reading " + path + " from commit " + checksum);
  const auto owned = adopt(content);
  return std::string(content, size);
}

std::optional<std::vector<DirEntry>> Repo::list(const std::string& checksum,
                                                const std::string& path) const {
  const auto root = read_root(get(), checksum);
  const auto found = find(root.get(), path);
  if (!found || !S_ISDIR(mode_of(found->info.get()))) return std::nullopt;
  const std::string doing = "Listing " + path + " of commit " + checksum;
  GErrorSink error;
  const auto names =
      adopt(g_file_enumerate_children(found->file.get(), "standard::*,unix::mode",
                                      G_FILE_QUERY_INFO_NOFOLLOW_SYMLINKS, nullptr, error));
  error.check(names != nullptr, doing);
  std::vector<DirEntry> entries;
  for (;;) {
    const auto info = adopt(g_file_enumerator_next_file(names.get(), nullptr, error));
    error.check(!error.get(), doing);
    if (!info) break;
    DirEntry& entry = entries.emplace_back();
    entry.name = g_file_info_get_name(info.get());
    entry.mode = mode_of(info.get());
    if (S_ISREG(entry.mode))
      entry.size = static_cast<std::uint64_t>(g_file_info_get_size(info.get()));
    if (S_ISLNK(entry.mode)) entry.target = g_file_info_get_symlink_target(info.get());
  }
  std::sort(entries.begin(), entries.end(),
            [](const DirEntry& a, const DirEntry& b) { return a.name < b.name; });
  return entries;
}

std::string Repo::content_checksum(const std::string& checksum) const {
  GErrorSink error;
  GVariant* variant = nullptr;
  error.check(ostree_repo_load_commit(get(), checksum.c_str(), &variant, nullptr, error),
              "Reading commit " + checksum);
  const auto commit = adopt(variant);
  return adopt(ostree_commit_get_content_checksum(commit.get())).get();
}

std::string Repo::write_commit(const NewCommit& commit) {
  const std::string doing = "Writing a commit to repository " + path_.string();
  const auto metadata = sink(
      commit.metadata ? commit.metadata : g_variant_new_array(G_VARIANT_TYPE("{sv}"), nullptr, 0));
  GErrorSink error;
  const std::string tree_sum = to_hex(commit.root.tree), meta_sum = to_hex(commit.root.meta);
  // A mutable tree from checksums is loaded only when it is changed: missing objects go unnoticed.
  for (const auto& [type, sum] : {std::pair{OSTREE_OBJECT_TYPE_DIR_TREE, tree_sum},
                                  std::pair{OSTREE_OBJECT_TYPE_DIR_META, meta_sum}}) {
    gboolean there = FALSE;
    error.check(ostree_repo_has_object(get(), type, sum.c_str(), &there, nullptr, error), doing);
    if (!there) throw Error(ErrorCode::NotFound, doing + ": there is no object " + sum);
  }
  const auto tree =
      adopt(ostree_mutable_tree_new_from_checksum(get(), tree_sum.c_str(), meta_sum.c_str()));
  std::string checksum;
  transaction(get(), doing, [&] {
    GFile* root = nullptr;
    error.check(ostree_repo_write_mtree(get(), tree.get(), &root, nullptr, error), doing);
    const auto owned_root = adopt(root);
    char* written = nullptr;
    error.check(
        ostree_repo_write_commit_with_time(
            get(), commit.parent.empty() ? nullptr : commit.parent.c_str(), commit.subject.c_str(),
            commit.body.c_str(), metadata.get(), OSTREE_REPO_FILE(root),
            static_cast<guint64>(commit.timestamp_s), &written, nullptr, error),
        doing);
    checksum = adopt(written).get();
  });
  return checksum;
}

void Repo::sign(const std::string& checksum, const std::string& key_id,
                const std::string& homedir) {
  GErrorSink error;
  const bool ok =
      ostree_repo_sign_commit(get(), checksum.c_str(), key_id.c_str(),
                              homedir.empty() ? nullptr : homedir.c_str(), nullptr, error);
  if (!ok && error.get() && g_error_matches(error.get(), G_IO_ERROR, G_IO_ERROR_EXISTS)) return;
  error.check(ok, "Signing commit " + checksum + " with key " + key_id);
}

void Repo::set_ref(const std::string& ref, const std::string& checksum) {
  check_ref_name(ref);
  transaction(get(), "Setting ref " + ref,
              [&] { ostree_repo_transaction_set_refspec(get(), ref.c_str(), checksum.c_str()); });
}

void Repo::regenerate_summary() {
  GErrorSink error;
  error.check(ostree_repo_regenerate_summary(get(), nullptr, nullptr, error),
              "Writing the summary of repository " + path_.string());
}

}  // namespace atomichost::ostree
