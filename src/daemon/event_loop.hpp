// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <sdbus-c++/sdbus-c++.h>
#include <systemd/sd-event.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>

#include "base/unique_fd.hpp"

namespace atomichost::daemon {

struct EventUnref {
  void operator()(sd_event* e) const noexcept { sd_event_unref(e); }
  void operator()(sd_event_source* s) const noexcept { sd_event_source_disable_unref(s); }
};
using Source = std::unique_ptr<sd_event_source, EventUnref>;

/// The daemon's one event loop, on the main thread. Callbacks must not throw; what they throw is
/// logged and dropped.
class EventLoop {
 public:
  EventLoop();
  [[nodiscard]] sd_event* handle() const noexcept { return event_.get(); }

  /// Drive @p connection by this loop; @p on_lost is called when the bus goes away.
  void attach(sdbus::IConnection& connection, std::function<void()> on_lost);
  /// Call @p fn from the loop. May be called from any thread.
  void post(std::function<void()> fn);
  /// Call @p fn once, @p delay from now, unless the source is destroyed first.
  [[nodiscard]] Source after(std::chrono::milliseconds delay, std::function<void()> fn);
  /// Call @p fn whenever @p fd is readable.
  [[nodiscard]] Source on_readable(int fd, std::function<void()> fn);
  /// Call @p fn for SIGTERM and SIGINT.
  void on_stop_signal(std::function<void()> fn);
  void run();
  void stop(int status) { sd_event_exit(event_.get(), status); }

 private:
  struct Posted;
  std::unique_ptr<sd_event, EventUnref> event_;
  std::shared_ptr<Posted> posted_;
  Source posted_source_, bus_source_, bus_timer_;
  std::vector<Source> kept_;
};

}  // namespace atomichost::daemon
