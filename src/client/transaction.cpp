// SPDX-License-Identifier: LGPL-2.1-or-later
#include "transaction.hpp"

#include <fmt/format.h>
#include <systemd/sd-bus.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <memory>
#include <optional>

#include "api/names.hpp"
#include "base/error.hpp"
#include "base/scope_exit.hpp"
#include "base/strings.hpp"

namespace atomichost::client {
namespace {

using Clock = std::chrono::steady_clock;

volatile std::sig_atomic_t interrupts = 0;

struct BusUnref {
  void operator()(sd_bus* bus) const noexcept { sd_bus_close_unref(bus); }
};

void check(int result, const char* doing) {
  if (result < 0) throw errno_error(-result, doing);
}

std::string rest_time(std::uint64_t seconds) {
  return fmt::format("{}:{:02} left", seconds / 60, seconds % 60);
}

/// Shows what a transaction reports.
class View {
 public:
  View(const Terminal& terminal, bool is_quiet)
      : terminal_(terminal), is_quiet_(is_quiet), line_(terminal) {}

  void message(const std::string& text) {
    line_.finish();
    if (!is_quiet_) fmt::print("{}\n", text), fflush(stdout);
  }
  void task_begin(const std::string& what) {
    line_.finish();
    if (!is_quiet_ && terminal_.is_interactive()) line_.update(what + "...");
  }
  void task_end(const std::string& what) {
    if (!is_quiet_) line_.update(what + "... done");
    line_.finish();
  }
  void percent(const std::string& what, unsigned percent) {
    if (!is_quiet_) line_.update(fmt::format("{} {} {}%", what, bar(percent, 100, 20), percent));
  }
  void progress_end() { line_.finish(); }

  struct Download {
    std::uint64_t start, elapsed, delta_bytes, bytes, rate;
    std::uint32_t fetches, writes, scanned, metadata, outstanding_metadata, parts, fetched_parts,
        superblocks, fetched, requested;
  };
  void download(const Download& d) {
    if (is_quiet_) return;
    const std::string transferred =
        fmt::format("{}, {}/s", human_bytes(d.bytes), human_bytes(d.rate));
    if (d.parts > 0 && d.delta_bytes > 0) {
      const std::uint64_t left =
          d.rate > 0 && d.delta_bytes > d.bytes ? (d.delta_bytes - d.bytes) / d.rate : 0;
      line_.update(fmt::format("Receiving delta parts: {}/{} {} {}/{}, {}/s{}", d.fetched_parts,
                               d.parts, bar(d.bytes, d.delta_bytes, 20), human_bytes(d.bytes),
                               human_bytes(d.delta_bytes), human_bytes(d.rate),
                               left > 0 ? ", " + rest_time(left) : ""));
    } else if (d.outstanding_metadata > 0 || d.requested == 0) {
      line_.update(fmt::format("Receiving metadata objects: {}/{} {}", d.metadata,
                               d.metadata + d.outstanding_metadata, transferred));
    } else {
      const std::uint64_t left = d.fetched > 0 && d.requested > d.fetched
                                     ? d.elapsed * (d.requested - d.fetched) / d.fetched
                                     : 0;
      line_.update(fmt::format("Receiving objects: {}% ({}/{}) {} {}{}",
                               static_cast<std::uint64_t>(d.fetched) * 100 / d.requested, d.fetched,
                               d.requested, bar(d.fetched, d.requested, 20), transferred,
                               left > 0 ? ", " + rest_time(left) : ""));
    }
  }

 private:
  const Terminal& terminal_;
  bool is_quiet_;
  StatusLine line_;
};

class Follower {
 public:
  Follower(const std::string& address, const Terminal& terminal, bool is_quiet)
      : view_(terminal, is_quiet) {
    sd_bus* bus = nullptr;
    check(sd_bus_new(&bus), "Connecting to the transaction");
    bus_.reset(bus);
    check(sd_bus_set_address(bus, address.c_str()), "Connecting to the transaction");
    check(sd_bus_add_filter(bus, nullptr, on_message, this), "Connecting to the transaction");
    check(sd_bus_start(bus), "Connecting to the transaction");
  }

  void call(const char* method) {
    sd_bus_error error = SD_BUS_ERROR_NULL;
    const ScopeExit free_error([&] { sd_bus_error_free(&error); });
    if (sd_bus_call_method(bus_.get(), nullptr, "/", api::kTransactionInterface, method, &error,
                           nullptr, "") < 0)
      throw Error(ErrorCode::Failed,
                  fmt::format("The transaction cannot be reached: {}",
                              error.message ? error.message : "it has just ended"));
  }

  std::string title() {
    char* text = nullptr;
    if (sd_bus_get_property_string(bus_.get(), nullptr, "/", api::kTransactionInterface, "Title",
                                   nullptr, &text) < 0)
      return "";
    const std::string title = text;
    free(text);
    return title;
  }

  void wait() {
    int seen = interrupts;
    while (!is_finished_) {
      const int did = sd_bus_process(bus_.get(), nullptr);
      if (is_finished_) break;
      if (did < 0)
        throw Error(ErrorCode::Failed, "The daemon went away; 'journalctl -u atomicd' may say why");
      if (interrupts > seen) {
        seen = interrupts;
        if (seen > 1) throw Cancelled();
        sd_bus_call_method_async(bus_.get(), nullptr, nullptr, "/", api::kTransactionInterface,
                                 "Cancel", nullptr, nullptr, "");
      }
      if (did > 0) continue;
      // A signal between the look at it and the wait would be seen late: wait in short steps.
      sd_bus_wait(bus_.get(), 500000);
    }
    view_.progress_end();
    if (is_success_) return;
    if (interrupts > 0) throw Cancelled();
    throw Error(ErrorCode::Failed, error_);
  }

 private:
  static int on_message(sd_bus_message* m, void* self, sd_bus_error*) {
    return static_cast<Follower*>(self)->take(m);
  }

  int take(sd_bus_message* m) {
    auto text = [&] {
      const char* value = "";
      return sd_bus_message_read(m, "s", &value) < 0 ? std::string() : std::string(value);
    };
    auto is = [&](const char* name) {
      return sd_bus_message_is_signal(m, api::kTransactionInterface, name) > 0;
    };
    if (is("Message")) {
      view_.message(text());
    } else if (is("TaskBegin")) {
      view_.task_begin(text());
    } else if (is("TaskEnd")) {
      view_.task_end(text());
    } else if (is("ProgressEnd")) {
      view_.progress_end();
    } else if (is("PercentProgress")) {
      const char* what = "";
      std::uint32_t percent = 0;
      if (sd_bus_message_read(m, "su", &what, &percent) > 0) view_.percent(what, percent);
    } else if (is("DownloadProgress")) {
      View::Download d{};
      if (sd_bus_message_read(m, "(tt)(uu)(uuu)(uuut)(uu)(tt)", &d.start, &d.elapsed, &d.fetches,
                              &d.writes, &d.scanned, &d.metadata, &d.outstanding_metadata, &d.parts,
                              &d.fetched_parts, &d.superblocks, &d.delta_bytes, &d.fetched,
                              &d.requested, &d.bytes, &d.rate) > 0)
        view_.download(d);
    } else if (is("Finished")) {
      int success = 0;
      const char* error = "";
      if (sd_bus_message_read(m, "bs", &success, &error) < 0) return 0;
      is_finished_ = true;
      is_success_ = success != 0;
      error_ = error;
    } else if (sd_bus_message_is_signal(m, "org.freedesktop.DBus.Local", "Disconnected") > 0 &&
               !is_finished_) {
      is_finished_ = true;
      error_ = "The daemon went away; 'journalctl -u atomicd' may say why";
    }
    return 0;
  }

  View view_;
  std::unique_ptr<sd_bus, BusUnref> bus_;
  bool is_finished_ = false, is_success_ = false;
  std::string error_;
};

}  // namespace

std::string follow_transaction(const std::string& address, Attach attach, const Terminal& terminal,
                               bool is_quiet) {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupts = interrupts + 1; };
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  Follower follower(address, terminal, is_quiet);
  auto title = follower.title();
  follower.call(attach == Attach::Start ? "Start" : "Cancel");
  if (attach == Attach::Cancel) return title;
  follower.wait();
  return title;
}

}  // namespace atomichost::client
