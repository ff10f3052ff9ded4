// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sandbox/tree_server.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>
#include <list>
#include <mutex>
#include <set>
#include <string_view>
#include <thread>
#include <unordered_map>

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "base/error.hpp"
#include "base/file.hpp"

namespace atomichost::sandbox {
namespace {

// The tree does not change while it is mounted: the kernel may remember everything, also that a
// name is not there, and then asks each question once.
constexpr double kForever = 1e9;
constexpr std::size_t kOpenContents = 64;

// Depends on the path alone, so that it is the same in the next run.
std::uint64_t inode_number(std::string_view parent, std::string_view name) {
  std::uint64_t hash = 1469598103934665603ULL;
  auto add = [&](std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  };
  add(parent);
  if (!parent.empty()) add("/");
  add(name);
  return (hash & 0xffffffffffULL) | 0x100;
}

struct Entry {
  const tree::Node* node = nullptr;
  std::string path;
  std::string seen;                                                     // letters of Look
  std::vector<std::pair<std::string_view, const tree::Node*>> listing;  // when it was asked for

  void note(Look look) {
    const char letter = static_cast<char>(look);
    if (seen.find(letter) == std::string::npos) seen += letter;
  }
};

}  // namespace

class TreeServer::Impl {
 public:
  Impl(const tree::Tree& tree, const ContentOpener& open_content)
      : open_content_(open_content), device_(open("/dev/fuse", O_RDWR | O_CLOEXEC)) {
    if (!device_)
      throw_errno(
          errno == EACCES || errno == EPERM
              ? "Opening /dev/fuse (run as root, in a container with --device /dev/fuse)"
              : "Opening /dev/fuse (load the fuse module; in a container, pass the device)");
    // libfuse would print to standard error; what matters is reported by failure_.
    static std::once_flag quiet;
    std::call_once(quiet, [] { fuse_set_log_func([](fuse_log_level, const char*, va_list) {}); });
    entries_.resize(FUSE_ROOT_ID);
    intern(&tree.root(), "");
    entries_[FUSE_ROOT_ID]->note(Look::Entry);

    char name[] = "tree";
    char* argv[] = {name, nullptr};
    fuse_args args = FUSE_ARGS_INIT(1, argv);
    const fuse_lowlevel_ops ops = operations();
    session_ = fuse_session_new(&args, &ops, sizeof ops, this);
    fuse_opt_free_args(&args);
    if (!session_) throw Error(ErrorCode::Failed, "Setting up the FUSE server failed");
    // libfuse takes the descriptor over with the session.
    const std::string at = "/dev/fd/" + std::to_string(device_.get());
    if (fuse_session_mount(session_, at.c_str())) {
      fuse_session_destroy(session_);
      throw Error(ErrorCode::Failed, "Setting up the FUSE server failed");
    }
    fd_ = device_.release();
    start();
  }
  ~Impl() {
    join();
    fuse_session_destroy(session_);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  [[nodiscard]] int device() const noexcept { return fd_; }
  [[nodiscard]] int mounted() const noexcept { return mounted_.get(); }

  void finish() {
    join();
    if (failure_) std::rethrow_exception(failure_);
  }

  [[nodiscard]] std::vector<Observation> observations() const {
    std::vector<Observation> all;
    for (const auto& entry : entries_) {
      if (!entry) continue;
      for (const char letter : entry->seen) {
        const auto look = static_cast<Look>(letter);
        // The content says the size too.
        if (look == Look::Size &&
            entry->seen.find(static_cast<char>(Look::Content)) != entry->seen.npos)
          continue;
        all.push_back({look, entry->path, answer(look, entry->node)});
      }
    }
    for (const auto& path : absent_) all.push_back({Look::Absent, path, {}});
    std::sort(all.begin(), all.end());
    return all;
  }

 private:
  void start() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC)) {
      fuse_session_destroy(session_);
      throw_errno("Creating a pipe");
    }
    wait_.reset(ends[0]);
    mounted_.reset(ends[1]);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);  // signals are for the caller's threads
    thread_ = std::thread([this] {
      char byte;
      if (::read(wait_.get(), &byte, 1) == 1) fuse_session_loop(session_);
    });
    pthread_sigmask(SIG_SETMASK, &old, nullptr);
  }

  void join() {
    mounted_.reset();  // when it was never mounted, this ends the wait
    if (thread_.joinable()) thread_.join();
  }

  static Impl& self(fuse_req_t req) { return *static_cast<Impl*>(fuse_req_userdata(req)); }
  Entry& entry(fuse_ino_t id) { return *entries_.at(id); }

  fuse_ino_t intern(const tree::Node* node, std::string path) {
    const auto [it, fresh] = ids_.try_emplace(node, entries_.size());
    if (fresh) {
      entries_.push_back(std::make_unique<Entry>());
      entries_.back()->node = node;
      entries_.back()->path = std::move(path);
    }
    return it->second;
  }

  // No exception may reach libfuse: the request fails, and the command's result is void.
  template <typename Body>
  void guard(fuse_req_t req, const Body& body) noexcept {
    try {
      body();
    } catch (...) {
      if (!failure_) failure_ = std::current_exception();
      fuse_reply_err(req, EIO);
    }
  }

  static struct stat attributes(const Entry& entry) {
    const tree::Node& node = *entry.node;
    struct stat st {};
    st.st_ino = inode_number("", entry.path);
    st.st_mode = node.meta->mode;
    st.st_uid = node.meta->uid;
    st.st_gid = node.meta->gid;
    st.st_nlink = 1;
    st.st_blksize = 4096;
    if (node.meta->is_regular()) st.st_size = static_cast<off_t>(node.size);
    if (node.meta->is_symlink()) st.st_size = static_cast<off_t>(node.target.size());
    st.st_blocks = (st.st_size + 511) / 512;
    return st;  // all times are 0, as on the deployed system
  }

  static void init(void*, fuse_conn_info* conn) {
    conn->want &= static_cast<unsigned>(FUSE_CAP_ASYNC_READ | FUSE_CAP_PARALLEL_DIROPS);
    conn->want |= conn->capable & static_cast<unsigned>(FUSE_CAP_CACHE_SYMLINKS);
  }

  static void lookup(fuse_req_t req, fuse_ino_t parent, const char* name) {
    Impl& me = self(req);
    me.guard(req, [&] {
      const Entry& dir = me.entry(parent);
      std::string path = dir.path.empty() ? name : dir.path + "/" + name;
      fuse_entry_param reply{};
      reply.entry_timeout = kForever;
      const tree::Node* node = dir.node->child(name);
      if (!node) {
        me.absent_.insert(std::move(path));  // inode 0: "not there", and the kernel remembers
      } else {
        reply.ino = me.intern(node, std::move(path));
        Entry& found = me.entry(reply.ino);
        found.note(Look::Entry);
        reply.attr = attributes(found);
        reply.attr_timeout = 0;  // so that the first stat() is seen as a question of its own
      }
      fuse_reply_entry(req, &reply);
    });
  }

  static void getattr(fuse_req_t req, fuse_ino_t id, fuse_file_info*) {
    Impl& me = self(req);
    me.guard(req, [&] {
      Entry& found = me.entry(id);
      if (!found.node->is_dir()) found.note(Look::Size);
      const struct stat st = attributes(found);
      fuse_reply_attr(req, &st, kForever);
    });
  }

  static void readlink(fuse_req_t req, fuse_ino_t id) {
    Impl& me = self(req);
    me.guard(req, [&] {
      me.entry(id).note(Look::Target);
      fuse_reply_readlink(req, me.entry(id).node->target.c_str());
    });
  }

  // "Not supported" makes the kernel open files and directories itself from then on, and keep
  // what it has read.
  static void open_file(fuse_req_t req, fuse_ino_t, fuse_file_info*) {
    fuse_reply_err(req, ENOSYS);
  }

  int content(fuse_ino_t id) {
    for (auto it = open_.begin(); it != open_.end(); ++it)
      if (it->first == id) {
        open_.splice(open_.begin(), open_, it);
        return it->second.get();
      }
    const Entry& file = entry(id);
    with_context("Opening the content of /" + file.path,
                 [&] { open_.emplace_front(id, open_content_(*file.node)); });
    if (open_.size() > kOpenContents) open_.pop_back();
    return open_.front().second.get();
  }

  static void read(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, fuse_file_info*) {
    Impl& me = self(req);
    me.guard(req, [&] {
      Entry& file = me.entry(id);
      file.note(Look::Content);
      const int fd = me.content(id);
      const auto left = static_cast<off_t>(file.node->size) - offset;
      size = std::min(size, static_cast<std::size_t>(std::max<off_t>(left, 0)));
      me.block_.resize(std::max(me.block_.size(), size));
      for (std::size_t done = 0; done < size;) {
        const ssize_t n =
            pread(fd, me.block_.data() + done, size - done, offset + static_cast<off_t>(done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) throw_errno("Reading the content of /" + file.path);
        if (n == 0)
          throw Error(ErrorCode::Corrupt, "The content of /" + file.path + " is shorter than " +
                                              std::to_string(file.node->size) + " bytes");
        done += static_cast<std::size_t>(n);
      }
      fuse_reply_buf(req, me.block_.data(), size);
    });
  }

  static void readdir(fuse_req_t req, fuse_ino_t id, size_t size, off_t offset, fuse_file_info*) {
    Impl& me = self(req);
    me.guard(req, [&] {
      Entry& dir = me.entry(id);
      dir.note(Look::Listing);
      if (dir.listing.empty()) {
        dir.listing = {{".", dir.node}, {"..", dir.node}};
        for (const auto& [name, child] : dir.node->children)
          dir.listing.emplace_back(name, child.get());
      }
      me.block_.resize(std::max(me.block_.size(), size));
      std::size_t used = 0;
      for (auto i = static_cast<std::size_t>(offset); i < dir.listing.size(); ++i) {
        const auto& [name, child] = dir.listing[i];
        struct stat st {};
        st.st_mode = child->meta->mode;
        st.st_ino = inode_number(i < 2 ? std::string_view{} : std::string_view(dir.path),
                                 i < 2 ? std::string_view(dir.path) : name);
        const std::size_t need =
            fuse_add_direntry(req, me.block_.data() + used, size - used, std::string(name).c_str(),
                              &st, static_cast<off_t>(i + 1));
        if (need > size - used) break;
        used += need;
      }
      fuse_reply_buf(req, me.block_.data(), used);
    });
  }

  static void reply_value(fuse_req_t req, std::string_view value, std::size_t size) {
    if (size == 0)
      fuse_reply_xattr(req, value.size());
    else if (size < value.size())
      fuse_reply_err(req, ERANGE);
    else
      fuse_reply_buf(req, value.data(), value.size());
  }

  static void getxattr(fuse_req_t req, fuse_ino_t id, const char* name, size_t size) {
    Impl& me = self(req);
    me.guard(req, [&] {
      Entry& found = me.entry(id);
      std::string value;
      if (!strcmp(name, "security.capability")) {
        // A directory has none in any tree.
        if (!found.node->is_dir()) found.note(Look::Capability);
        value = found.node->meta->capability;
      } else if (!strcmp(name, "security.selinux")) {
        found.note(Look::Label);
        if (!found.node->meta->label.empty()) value = found.node->meta->label + '\0';
      }
      if (value.empty()) return void(fuse_reply_err(req, ENODATA));
      reply_value(req, value, size);
    });
  }

  // The label is not listed: copying a file up would set it on the work directory's file system,
  // where the build host's policy may refuse it.
  static void listxattr(fuse_req_t req, fuse_ino_t id, size_t size) {
    Impl& me = self(req);
    me.guard(req, [&] {
      Entry& found = me.entry(id);
      if (!found.node->is_dir()) found.note(Look::Capability);
      const std::string_view names{"security.capability", sizeof "security.capability"};
      reply_value(req, found.node->meta->capability.empty() ? std::string_view{} : names, size);
    });
  }

  static fuse_lowlevel_ops operations() {
    fuse_lowlevel_ops ops{};
    ops.init = init;
    ops.lookup = lookup;
    ops.getattr = getattr;
    ops.readlink = readlink;
    ops.open = open_file;
    ops.opendir = open_file;
    ops.read = read;
    ops.readdir = readdir;
    ops.getxattr = getxattr;
    ops.listxattr = listxattr;
    return ops;
  }

  const ContentOpener& open_content_;
  UniqueFd device_;
  int fd_ = -1;
  fuse_session* session_ = nullptr;
  UniqueFd wait_, mounted_;
  std::thread thread_;
  std::vector<std::unique_ptr<Entry>> entries_;  // by FUSE node id
  std::unordered_map<const tree::Node*, fuse_ino_t> ids_;
  std::set<std::string> absent_;
  std::list<std::pair<fuse_ino_t, UniqueFd>> open_;  // latest first
  std::vector<char> block_;
  std::exception_ptr failure_;
};

TreeServer::TreeServer(const tree::Tree& tree, const ContentOpener& open_content)
    : impl_(std::make_unique<Impl>(tree, open_content)) {}
TreeServer::~TreeServer() = default;
int TreeServer::device() const noexcept {
  return impl_->device();
}
int TreeServer::mounted() const noexcept {
  return impl_->mounted();
}
void TreeServer::finish() {
  impl_->finish();
}
std::vector<Observation> TreeServer::observations() const {
  return impl_->observations();
}

}  // namespace atomichost::sandbox
