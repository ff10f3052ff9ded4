// SPDX-License-Identifier: LGPL-2.1-or-later
#include "transaction.hpp"

#include <malloc.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <chrono>

#include "api/names.hpp"
#include "base/error.hpp"
#include "base/file.hpp"
#include "log.hpp"
#include "wire/message.hpp"

namespace atomichost::daemon {
namespace {

constexpr std::chrono::seconds kPeersMayLinger{30};
constexpr std::size_t kMostPeers = 64;
constexpr std::uint64_t kMostQueued = 4096;  // messages that a peer has not read

struct BusUnref {
  void operator()(sd_bus* bus) const noexcept { sd_bus_close_unref(bus); }
};

void check(int result, const char* doing) {
  if (result < 0) throw errno_error(-result, doing);
}

std::string clean(const std::string& text) {
  return adopt(g_utf8_make_valid(text.data(), static_cast<gssize>(text.size()))).get();
}

}  // namespace

struct Transaction::PeerState {
  Transaction* transaction = nullptr;
  std::uint64_t number = 0;
  std::unique_ptr<sd_bus, BusUnref> bus;

  static int on_start(sd_bus_message* message, void* self, sd_bus_error*) {
    auto* const peer = static_cast<PeerState*>(self);
    const auto keep = peer->transaction->shared_from_this();
    const bool is_ended = keep->state_ == State::Ended;
    const bool started = keep->start(*peer);
    const int result = sd_bus_reply_method_return(message, "b", static_cast<int>(started));
    if (is_ended) keep->tell_end(*peer);
    return result;
  }
  static int on_cancel(sd_bus_message* message, void* self, sd_bus_error*) {
    const auto keep = static_cast<PeerState*>(self)->transaction->shared_from_this();
    const int result = sd_bus_reply_method_return(message, nullptr);
    keep->cancel();
    return result;
  }
  static int get_title(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply,
                       void* self, sd_bus_error*) {
    return sd_bus_message_append(
        reply, "s", static_cast<PeerState*>(self)->transaction->request_.title.c_str());
  }
  static int get_client(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply,
                        void* self, sd_bus_error*) {
    return sd_bus_message_append(
        reply, "s", static_cast<PeerState*>(self)->transaction->request_.client.c_str());
  }
  /// A call that came in one read with the end of the handshake sits in sd-bus's buffer, and no
  /// further input would wake it up.
  static int on_connected(sd_bus_message*, void* self, sd_bus_error*) {
    auto* const peer = static_cast<PeerState*>(self);
    const auto weak = peer->transaction->weak_from_this();
    peer->transaction->loop_.post([weak, number = peer->number] {
      const auto transaction = weak.lock();
      if (!transaction) return;
      for (const auto& p : transaction->peers_)
        if (p->number == number)
          while (sd_bus_process(p->bus.get(), nullptr) > 0) {
          }
    });
    return 0;
  }
  static int on_disconnected(sd_bus_message*, void* self, sd_bus_error*) {
    auto* const peer = static_cast<PeerState*>(self);
    const auto weak = peer->transaction->weak_from_this();
    // Not from within the peer's own dispatch.
    peer->transaction->loop_.post([weak, number = peer->number] {
      if (const auto transaction = weak.lock()) transaction->drop_peer(number);
    });
    return 0;
  }
};

/// Carries what the work reports from its thread to the peers.
class Transaction::Relay : public sysroot::Reporter {
 public:
  explicit Relay(Transaction& transaction) : transaction_(transaction) {}

  void message(const std::string& line) override { text("Message", line); }
  void task_begin(const std::string& what) override { text("TaskBegin", what); }
  void task_end(const std::string& what) override { text("TaskEnd", what); }
  void percent(const std::string& what, unsigned percent) override {
    send("PercentProgress", [what = clean(what), percent](sd_bus_message* m) {
      check(sd_bus_message_append(m, "su", what.c_str(), percent), "Writing a signal");
    });
  }
  void transfer(const sysroot::TransferProgress& p) override {
    send("DownloadProgress", [p](sd_bus_message* m) {
      check(sd_bus_message_append(m, "(tt)(uu)(uuu)(uuut)(uu)(tt)", p.start_time_us, p.elapsed_s,
                                  p.outstanding_fetches, p.outstanding_writes, p.scanned_metadata,
                                  p.fetched_metadata, p.outstanding_metadata, p.delta_parts,
                                  p.fetched_delta_parts, p.delta_superblocks, p.delta_bytes,
                                  p.fetched, p.requested, p.bytes, p.bytes_per_s),
            "Writing a signal");
    });
  }
  void signatures(const std::vector<sysroot::SharedVariant>& each,
                  const std::string& commit) override {
    send("SignatureProgress", [each, commit](sd_bus_message* m) {
      const auto builder = adopt(g_variant_builder_new(G_VARIANT_TYPE("av")));
      for (const auto& one : each) g_variant_builder_add(builder.get(), "v", one.get());
      wire::append(m, sink(g_variant_builder_end(builder.get())).get());
      check(sd_bus_message_append(m, "s", commit.c_str()), "Writing a signal");
    });
  }
  void progress_end() override {
    send("ProgressEnd", [](sd_bus_message*) {});
  }

 private:
  void text(const char* signal, const std::string& what) {
    send(signal, [what = clean(what)](sd_bus_message* m) {
      check(sd_bus_message_append(m, "s", what.c_str()), "Writing a signal");
    });
  }
  void send(const char* signal, std::function<void(sd_bus_message*)> fill) {
    transaction_.loop_.post([self = transaction_.shared_from_this(), signal,
                             fill = std::move(fill)] { self->emit(signal, fill); });
  }
  Transaction& transaction_;
};

Transaction::Transaction(EventLoop& loop, std::filesystem::path socket, TransactionRequest request,
                         Work work, Hooks hooks)
    : loop_(loop),
      socket_(std::move(socket)),
      request_(std::move(request)),
      work_(std::move(work)),
      hooks_(std::move(hooks)),
      senders_{request_.sender},
      uids_{0, request_.sender_uid} {}

std::shared_ptr<Transaction> Transaction::create(EventLoop& loop,
                                                 const std::filesystem::path& socket,
                                                 TransactionRequest request, Work work,
                                                 Hooks hooks) {
  std::shared_ptr<Transaction> made(
      new Transaction(loop, socket, std::move(request), std::move(work), std::move(hooks)));
  made->listen();
  return made;
}

Transaction::~Transaction() {
  cancel_.cancel();
  if (worker_.joinable()) worker_.join();
  close_all();
}

void Transaction::listen() {
  const std::string doing = "Listening on " + socket_.string();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_.native().size() >= sizeof address.sun_path)
    throw Error(ErrorCode::InvalidInput, doing + ": the path is too long for a socket");
  socket_.native().copy(address.sun_path, sizeof address.sun_path - 1);
  listener_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener_) throw_errno(doing);
  unlink(socket_.c_str());
  if (bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ||
      chmod(socket_.c_str(), 0666) || ::listen(listener_.get(), 16))
    throw_errno(doing);
  listener_source_ = loop_.on_readable(listener_.get(), [this] { accept_peer(); });
}

void Transaction::accept_peer() {
  UniqueFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd) return;
  ucred who{};
  socklen_t size = sizeof who;
  // Anybody can reach the socket: it is for those who were allowed to ask, and for root.
  if (getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) || !uids_.contains(who.uid) ||
      peers_.size() >= kMostPeers)
    return;
  static const sd_bus_vtable vtable[] = {
      SD_BUS_VTABLE_START(0),
      SD_BUS_METHOD_WITH_NAMES("Start", "", , "b", SD_BUS_PARAM(started), PeerState::on_start,
                               SD_BUS_VTABLE_UNPRIVILEGED),
      SD_BUS_METHOD("Cancel", "", "", PeerState::on_cancel, SD_BUS_VTABLE_UNPRIVILEGED),
      SD_BUS_PROPERTY("Title", "s", PeerState::get_title, 0, SD_BUS_VTABLE_PROPERTY_CONST),
      SD_BUS_PROPERTY("InitiatingClientDescription", "s", PeerState::get_client, 0,
                      SD_BUS_VTABLE_PROPERTY_CONST),
      SD_BUS_SIGNAL_WITH_NAMES("Finished", "bs", SD_BUS_PARAM(success) SD_BUS_PARAM(error_message),
                               0),
      SD_BUS_SIGNAL_WITH_NAMES("Message", "s", SD_BUS_PARAM(text), 0),
      SD_BUS_SIGNAL_WITH_NAMES("TaskBegin", "s", SD_BUS_PARAM(text), 0),
      SD_BUS_SIGNAL_WITH_NAMES("TaskEnd", "s", SD_BUS_PARAM(text), 0),
      SD_BUS_SIGNAL_WITH_NAMES("PercentProgress", "su", SD_BUS_PARAM(text) SD_BUS_PARAM(percentage),
                               0),
      SD_BUS_SIGNAL_WITH_NAMES("DownloadProgress", "(tt)(uu)(uuu)(uuut)(uu)(tt)",
                               SD_BUS_PARAM(time) SD_BUS_PARAM(outstanding) SD_BUS_PARAM(metadata)
                                   SD_BUS_PARAM(delta) SD_BUS_PARAM(content) SD_BUS_PARAM(transfer),
                               0),
      SD_BUS_SIGNAL_WITH_NAMES("SignatureProgress", "avs",
                               SD_BUS_PARAM(signature) SD_BUS_PARAM(commit), 0),
      SD_BUS_SIGNAL("ProgressEnd", "", 0),
      SD_BUS_VTABLE_END};
  auto peer = std::make_unique<PeerState>();
  peer->transaction = this;
  peer->number = ++last_peer_;
  sd_bus* bus = nullptr;
  check(sd_bus_new(&bus), "Accepting a peer");
  peer->bus.reset(bus);
  sd_id128_t id;
  check(sd_id128_randomize(&id), "Accepting a peer");
  const int number = fd.release();
  check(sd_bus_set_fd(bus, number, number), "Accepting a peer");
  check(sd_bus_set_server(bus, 1, id), "Accepting a peer");
  check(sd_bus_set_trusted(bus, 1), "Accepting a peer");
  check(sd_bus_add_object_vtable(bus, nullptr, "/", api::kTransactionInterface, vtable, peer.get()),
        "Accepting a peer");
  check(sd_bus_match_signal(bus, nullptr, nullptr, "/org/freedesktop/DBus/Local",
                            "org.freedesktop.DBus.Local", "Disconnected",
                            PeerState::on_disconnected, peer.get()),
        "Accepting a peer");
  check(sd_bus_set_connected_signal(bus, 1), "Accepting a peer");
  check(sd_bus_match_signal(bus, nullptr, nullptr, "/org/freedesktop/DBus/Local",
                            "org.freedesktop.DBus.Local", "Connected", PeerState::on_connected,
                            peer.get()),
        "Accepting a peer");
  check(sd_bus_start(bus), "Accepting a peer");
  check(sd_bus_attach_event(bus, loop_.handle(), SD_EVENT_PRIORITY_NORMAL), "Accepting a peer");
  peers_.push_back(std::move(peer));
}

void Transaction::drop_peer(std::uint64_t number) {
  std::erase_if(peers_, [&](const auto& p) { return p->number == number; });
  if (peers_.empty() && state_ == State::Ended && hooks_.on_over)
    loop_.post([self = shared_from_this()] {
      if (self->hooks_.on_over && self->peers_.empty())
        std::exchange(self->hooks_.on_over, {})(self.get());
    });
}

void Transaction::join(const std::string& sender, uid_t uid) {
  senders_.insert(sender);
  uids_.insert(uid);
}

void Transaction::name_lost(const std::string& name) {
  if (!senders_.erase(name) || state_ != State::Waiting || !senders_.empty()) return;
  end("The client that asked for it went away");
}

void Transaction::cancel() {
  cancel_.cancel();
  if (state_ == State::Waiting) end("Cancelled");
}

bool Transaction::start(PeerState&) {
  if (state_ != State::Waiting) return false;
  state_ = State::Running;
  log_info("Transaction {} begins, asked for by {}", request_.title, request_.client);
  hooks_.on_started();
  worker_ = std::thread([self = shared_from_this()]() mutable {
    Relay relay(*self);
    std::string error;
    try {
      self->work_(relay, self->cancel_);
    } catch (const Cancelled&) {
      error = "Cancelled";
    } catch (const std::exception& e) {
      error = clean(e.what());
      if (error.empty()) error = "Unknown error";
    }
    self->work_ = nullptr;
    EventLoop& loop = self->loop_;
    // The last reference must not go on this thread: the destructor joins it.
    loop.post([self = std::move(self), error] { self->end(error); });
  });
  return true;
}

void Transaction::end(const std::string& error) {
  if (worker_.joinable()) worker_.join();
  malloc_trim(0);
  state_ = State::Ended;
  error_ = error;
  if (error.empty())
    log_info("Transaction {} is done", request_.title);
  else
    log_info("Transaction {} failed: {}", request_.title, error);
  const auto keep = shared_from_this();
  hooks_.on_ended(error);
  for (const auto& peer : peers_) tell_end(*peer);
  if (hooks_.after_told) hooks_.after_told();
  close_timer_ = loop_.after(kPeersMayLinger, [this] {
    const auto self = shared_from_this();
    close_all();
    if (hooks_.on_over) std::exchange(hooks_.on_over, {})(this);
  });
}

void Transaction::tell_end(PeerState& peer) {
  send(peer, "Finished", [this](sd_bus_message* m) {
    check(sd_bus_message_append(m, "bs", static_cast<int>(error_.empty()), error_.c_str()),
          "Writing a signal");
  });
}

void Transaction::emit(const char* signal, const std::function<void(sd_bus_message*)>& fill) {
  for (const auto& peer : peers_) send(*peer, signal, fill);
}

void Transaction::send(PeerState& peer, const char* signal,
                       const std::function<void(sd_bus_message*)>& fill) {
  std::uint64_t queued = 0;
  sd_bus_get_n_queued_write(peer.bus.get(), &queued);
  sd_bus_message* made = nullptr;
  if (queued > kMostQueued ||
      sd_bus_message_new_signal(peer.bus.get(), &made, "/", api::kTransactionInterface, signal) < 0)
    return;
  const std::unique_ptr<sd_bus_message, decltype(&sd_bus_message_unref)> message(
      made, sd_bus_message_unref);
  fill(message.get());
  sd_bus_send(peer.bus.get(), message.get(), nullptr);
}

void Transaction::close_all() {
  listener_source_.reset();
  if (listener_) unlink(socket_.c_str());
  listener_.reset();
  peers_.clear();
}

}  // namespace atomichost::daemon
