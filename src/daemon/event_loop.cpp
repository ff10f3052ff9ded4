// SPDX-License-Identifier: LGPL-2.1-or-later
#include "event_loop.hpp"

#include <sys/eventfd.h>

#include <csignal>
#include <deque>
#include <mutex>

#include "base/error.hpp"
#include "log.hpp"

namespace atomichost::daemon {
namespace {

using Callback = std::function<void()>;

void check(int result, const char* doing) {
  if (result < 0) throw errno_error(-result, doing);
}

void call(const Callback& fn) noexcept {
  try {
    fn();
  } catch (const std::exception& e) {
    log_error("Unexpected in the event loop: {}", e.what());
  }
}

int on_io(sd_event_source*, int, std::uint32_t, void* fn) {
  const Callback copy = *static_cast<Callback*>(fn);  // it may drop its own source, and itself
  call(copy);
  return 0;
}
int on_time(sd_event_source*, std::uint64_t, void* fn) {
  const Callback copy = *static_cast<Callback*>(fn);
  call(copy);
  return 0;
}
int on_signal(sd_event_source*, const signalfd_siginfo*, void* fn) {
  call(*static_cast<Callback*>(fn));
  return 0;
}

/// @p fn belongs to the source from now on.
void give(sd_event_source* source, Callback* fn) {
  sd_event_source_set_destroy_callback(source, [](void* p) { delete static_cast<Callback*>(p); });
  sd_event_source_set_userdata(source, fn);
}

struct Bus {
  sdbus::IConnection* connection;
  Callback on_lost;
  sd_event_source* timer;
};

// Before the loop sleeps: handle all that has arrived, then say what to wait for.
int prepare_bus(sd_event_source* source, void* userdata) {
  auto* const bus = static_cast<Bus*>(userdata);
  try {
    while (bus->connection->processPendingRequest()) {
    }
    const auto poll = bus->connection->getEventLoopPollData();
    sd_event_source_set_io_events(source, static_cast<std::uint32_t>(poll.events));
    const bool has_timeout = poll.timeout_usec != UINT64_MAX;
    if (has_timeout) sd_event_source_set_time(bus->timer, poll.timeout_usec);
    sd_event_source_set_enabled(bus->timer, has_timeout ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
  } catch (const std::exception& e) {
    log_error("The message bus is gone: {}", e.what());
    sd_event_source_set_enabled(source, SD_EVENT_OFF);
    call(bus->on_lost);
  }
  return 0;
}

}  // namespace

struct EventLoop::Posted {
  UniqueFd fd{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::mutex mutex;
  std::deque<Callback> queue;

  void run() {
    std::uint64_t ignored = 0;
    if (read(fd.get(), &ignored, sizeof ignored) < 0) return;
    for (;;) {
      Callback next;
      {
        const std::lock_guard lock(mutex);
        if (queue.empty()) return;
        next = std::move(queue.front());
        queue.pop_front();
      }
      call(next);
    }
  }
};

EventLoop::EventLoop() : posted_(std::make_shared<Posted>()) {
  sd_event* event = nullptr;
  check(sd_event_new(&event), "Creating the event loop");
  event_.reset(event);
  posted_source_ = on_readable(posted_->fd.get(), [p = posted_] { p->run(); });
}

void EventLoop::attach(sdbus::IConnection& connection, Callback on_lost) {
  sd_event_source* timer = nullptr;
  check(sd_event_add_time(
            event_.get(), &timer, CLOCK_MONOTONIC, UINT64_MAX, 1000,
            [](sd_event_source*, std::uint64_t, void*) { return 0; }, nullptr),
        "Attaching the bus to the event loop");
  bus_timer_.reset(timer);
  sd_event_source_set_enabled(timer, SD_EVENT_OFF);
  sd_event_source* source = nullptr;
  check(sd_event_add_io(
            event_.get(), &source, connection.getEventLoopPollData().fd, EPOLLIN,
            [](sd_event_source*, int, std::uint32_t, void*) { return 0; }, nullptr),
        "Attaching the bus to the event loop");
  bus_source_.reset(source);
  sd_event_source_set_userdata(source, new Bus{&connection, std::move(on_lost), timer});
  sd_event_source_set_destroy_callback(source, [](void* p) { delete static_cast<Bus*>(p); });
  check(sd_event_source_set_prepare(source, prepare_bus), "Attaching the bus to the event loop");
}

void EventLoop::post(Callback fn) {
  {
    const std::lock_guard lock(posted_->mutex);
    posted_->queue.push_back(std::move(fn));
  }
  const std::uint64_t one = 1;
  if (write(posted_->fd.get(), &one, sizeof one) < 0 && errno != EAGAIN) std::abort();
}

Source EventLoop::after(std::chrono::milliseconds delay, Callback fn) {
  sd_event_source* source = nullptr;
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(delay).count();
  check(sd_event_add_time_relative(event_.get(), &source, CLOCK_MONOTONIC,
                                   static_cast<std::uint64_t>(us), 1000, on_time, nullptr),
        "Setting a timer");
  give(source, new Callback(std::move(fn)));
  return Source(source);
}

Source EventLoop::on_readable(int fd, Callback fn) {
  sd_event_source* source = nullptr;
  check(sd_event_add_io(event_.get(), &source, fd, EPOLLIN, on_io, nullptr), "Watching a file");
  give(source, new Callback(std::move(fn)));
  return Source(source);
}

void EventLoop::on_stop_signal(Callback fn) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  for (const int number : {SIGTERM, SIGINT}) {
    sd_event_source* source = nullptr;
    check(sd_event_add_signal(event_.get(), &source, number, on_signal, nullptr),
          "Watching signals");
    give(source, new Callback(fn));
    kept_.emplace_back(source);
  }
}

void EventLoop::run() {
  check(sd_event_loop(event_.get()), "Running the event loop");
}

}  // namespace atomichost::daemon
