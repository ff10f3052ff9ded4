// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <systemd/sd-bus.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.hpp"
#include "event_loop.hpp"
#include "sysroot/cancellation.hpp"
#include "sysroot/reporter.hpp"

namespace atomichost::daemon {

struct TransactionRequest {
  std::string method;     ///< the D-Bus method that asked for it
  std::string arguments;  ///< its stateroot and arguments as text, to compare
  std::string title;      ///< "upgrade", ...
  std::string sender;     ///< unique bus name
  uid_t sender_uid = 0;
  std::string client;  ///< who asked, for people
};

/// One change of the sysroot, from the call that asked for it to the last peer that has heard its
/// end. Peers connect to address() without a bus in between. Work begins with Start(), runs on a
/// thread of its own, and goes on without peers. All else runs on the event loop's thread.
class Transaction : public std::enable_shared_from_this<Transaction> {
 public:
  enum class State : std::uint8_t { Waiting, Running, Ended };
  /// Runs on the worker thread. @throws Error, Cancelled.
  using Work = std::function<void(sysroot::Reporter&, const sysroot::Cancellation&)>;
  struct Hooks {
    std::function<void()> on_started;
    /// The work is done; the peers hear of it right after. Called with what went wrong, or "".
    std::function<void(const std::string& error)> on_ended;
    /// The peers have been told.
    std::function<void()> after_told;
    /// No peer is left and nobody may come: drop it.
    std::function<void(const Transaction*)> on_over;
  };

  /// @param socket  Where to listen; replaced if it exists.
  static std::shared_ptr<Transaction> create(EventLoop& loop, const std::filesystem::path& socket,
                                             TransactionRequest request, Work work, Hooks hooks);
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();

  [[nodiscard]] std::string address() const { return "unix:path=" + socket_.string(); }
  [[nodiscard]] const TransactionRequest& request() const noexcept { return request_; }
  [[nodiscard]] State state() const noexcept { return state_; }
  /// Another caller asked for the same and may connect too.
  void join(const std::string& sender, uid_t uid);
  /// A bus name is gone: before Start() the transaction goes with the last that asked for it.
  void name_lost(const std::string& name);
  /// Work that runs stops as soon as it can; a transaction that waits ends at once.
  void cancel();

 private:
  struct PeerState;
  Transaction(EventLoop& loop, std::filesystem::path socket, TransactionRequest request, Work work,
              Hooks hooks);
  void listen();
  void accept_peer();
  void drop_peer(std::uint64_t number);
  bool start(PeerState& peer);
  void end(const std::string& error);
  void tell_end(PeerState& peer);
  void emit(const char* signal, const std::function<void(sd_bus_message*)>& fill);
  void send(PeerState& peer, const char* signal, const std::function<void(sd_bus_message*)>& fill);
  void close_all();

  class Relay;

  EventLoop& loop_;
  std::filesystem::path socket_;
  TransactionRequest request_;
  Work work_;
  Hooks hooks_;
  State state_ = State::Waiting;
  std::string error_;
  std::set<std::string> senders_;
  std::set<uid_t> uids_;
  UniqueFd listener_;
  Source listener_source_, close_timer_;
  std::vector<std::unique_ptr<PeerState>> peers_;
  std::uint64_t last_peer_ = 0;
  sysroot::Cancellation cancel_;
  std::thread worker_;
};

}  // namespace atomichost::daemon
