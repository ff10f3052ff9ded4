// SPDX-License-Identifier: LGPL-2.1-or-later
#include "treefile/value.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <sstream>
#include <unordered_map>
#include <unordered_set>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/json.hpp"
#include "base/strings.hpp"

namespace atomichost::treefile {

namespace {

constexpr std::size_t kMaxNodes = 100000;  // aliases multiply; honest files have some thousand
constexpr std::size_t kMaxDepth = 64;
constexpr const char* kOddKey = "a key must be plain text, not a list or map";

[[noreturn]] void fail(const Where& where, const std::string& text) {
  throw Error(ErrorCode::InvalidInput, where.str() + ": " + text);
}

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

std::size_t skip_digits(std::string_view text, std::size_t at) {
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
  return at;
}

// What YAML 1.2 makes of a scalar without quotes.
Value::Kind kind_of_plain(std::string_view text) {
  if (is_one_of(text, {"true", "True", "TRUE", "false", "False", "FALSE"}))
    return Value::Kind::Bool;
  if (is_one_of(text, {".nan", ".NaN", ".NAN"})) return Value::Kind::Float;
  std::size_t at = !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  if (is_one_of(text.substr(at), {".inf", ".Inf", ".INF"})) return Value::Kind::Float;
  if (text.starts_with("0x") && text.size() > 2 &&
      text.find_first_not_of("0123456789abcdefABCDEF", 2) == std::string_view::npos)
    return Value::Kind::Int;
  if (text.starts_with("0o") && text.size() > 2 &&
      text.find_first_not_of("01234567", 2) == std::string_view::npos)
    return Value::Kind::Int;
  const std::size_t whole = skip_digits(text, at);
  std::size_t digits = whole - at;
  if (digits > 0 && whole == text.size()) return Value::Kind::Int;
  at = whole;
  if (at < text.size() && text[at] == '.') {
    const std::size_t end = skip_digits(text, at + 1);
    digits += end - at - 1;
    at = end;
  }
  if (digits == 0) return Value::Kind::String;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
    const std::size_t end = skip_digits(text, at);
    if (end == at) return Value::Kind::String;
    at = end;
  }
  return at == text.size() ? Value::Kind::Float : Value::Kind::String;
}

// Turns the parser's events into Values. Nothing is kept in yaml-cpp's own tree, so that aliases
// can be counted and every place is known.
class Builder : public YAML::EventHandler {
 public:
  explicit Builder(const std::string& name) : name_(name) {}

  /// @throws Error  The document has keys that are lists or maps.
  std::optional<Value> take() {
    if (odd_key_) fail(*odd_key_, kOddKey);
    return std::move(document_);
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (document_)
      fail(at(mark), "a second document begins here; write one document per file, without '---'");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Value v;
    v.where = at(mark);
    v.text = "null";
    add(std::move(v), anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto it = anchors_.find(anchor);
    if (it == anchors_.end()) fail(at(mark), "an alias inside the very thing it stands for");
    nodes_ += it->second.nodes;
    if (nodes_ > kMaxNodes) fail(at(mark), "aliases make this file too large");
    if (stack_.size() + it->second.depth > kMaxDepth) fail(at(mark), "nested too deeply");
    // The place stays that of the definition: there the text is.
    const Anchored& a = it->second;
    if (stack_.empty() || !stack_.back().expects_key)
      put(a.value, 0, 1, a.depth);
    else if (a.depth == 0)
      put_key(a.value);
    else
      fail(at(mark), kOddKey);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    Value v;
    v.where = at(mark);
    if (text.find('\0') != std::string::npos) fail(v.where, "a text cannot hold NUL; remove it");
    v.text = text;
    if (tag == "?")
      v.kind = kind_of_plain(text);
    else if (tag == "!" || tag.empty() || tag == "tag:yaml.org,2002:str")
      v.kind = Value::Kind::String;
    else
      fail(v.where, "the tag \"" + tag + "\" is not supported; remove it");
    add(std::move(v), anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(Value::Kind::Sequence, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(Value::Kind::Map, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

  [[nodiscard]] Where at(const YAML::Mark& mark) {
    last_line_ = std::max(last_line_, mark.line + 1);
    return {name_, mark.line + 1, mark.column + 1};
  }
  /// How far the file was understood.
  [[nodiscard]] int last_line() const { return last_line_; }
  /// Where the innermost list or map that was not closed begins.
  [[nodiscard]] const Value* unclosed() const {
    return stack_.empty() ? nullptr : &stack_.back().value;
  }

 private:
  struct Level {
    Value value;
    bool expects_key = false;
    std::unordered_set<std::string> seen;  // keys of a map
    YAML::anchor_t anchor = 0;
    std::size_t nodes_before = 0;
    bool is_key = false;
    std::size_t deepest = 0;  // levels below this one
  };
  struct Anchored {
    Value value;
    std::size_t nodes = 1;
    std::size_t depth = 0;  // 0: a scalar
  };

  void open(Value::Kind kind, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    if (!is_one_of(tag, {"?", "!", ""}))
      fail(at(mark), "the tag \"" + tag + "\" is not supported; remove it");
    if (stack_.size() >= kMaxDepth) fail(at(mark), "nested too deeply");
    Level level;
    // Told at the end only: to the parser, what is not closed looks like a key at first.
    level.is_key = !stack_.empty() && stack_.back().expects_key;
    if (level.is_key && !odd_key_) odd_key_ = at(mark);
    level.value.kind = kind;
    level.value.where = at(mark);
    level.expects_key = kind == Value::Kind::Map;
    level.anchor = anchor;
    level.nodes_before = nodes_;
    stack_.push_back(std::move(level));
  }
  void close() {
    Level level = std::move(stack_.back());
    stack_.pop_back();
    if (level.is_key) {
      level.value = Value();
      level.value.kind = Value::Kind::String;
      level.value.text = "key " + std::to_string(nodes_);
      put_key(std::move(level.value));
      return;
    }
    put(std::move(level.value), level.anchor, nodes_ - level.nodes_before + 1, level.deepest + 1);
  }
  // A scalar, as key or as value.
  void add(Value v, YAML::anchor_t anchor) {
    if (stack_.empty() || !stack_.back().expects_key) {
      put(std::move(v), anchor, 1, 0);
      return;
    }
    if (anchor != 0) anchors_[anchor] = {v, 1, 0};
    put_key(std::move(v));
  }
  void put_key(Value v) {
    Level& level = stack_.back();
    if (v.kind == Value::Kind::Null) fail(v.where, "a key is missing before the colon");
    if (++nodes_ > kMaxNodes) fail(v.where, "too many entries");
    if (!level.seen.insert(v.text).second)
      fail(v.where, "\"" + v.text + "\" is given twice here; keep one of them");
    level.value.keys.push_back(std::move(v.text));
    level.value.key_where.push_back(std::move(v.where));
    level.expects_key = false;
  }
  void put(Value v, YAML::anchor_t anchor, std::size_t nodes, std::size_t depth) {
    if (++nodes_ > kMaxNodes) fail(v.where, "too many entries");
    if (anchor != 0) anchors_[anchor] = {v, nodes, depth};
    if (stack_.empty()) {
      document_ = std::move(v);
      return;
    }
    Level& level = stack_.back();
    level.deepest = std::max(level.deepest, depth);
    level.value.items.push_back(std::move(v));
    level.expects_key = level.value.kind == Value::Kind::Map;
  }

  std::string name_;
  int last_line_ = 1;
  std::optional<Where> odd_key_;
  std::optional<Value> document_;
  std::vector<Level> stack_;
  std::unordered_map<YAML::anchor_t, Anchored> anchors_;
  std::size_t nodes_ = 0;
};

// The parser reads on through what it does not know (NUL, 0x04 as the end of input, broken UTF-8);
// so the bytes are looked at first.
void check_text(const std::string& text, const std::string& name) {
  Where where{name, 1, 1};
  const char* end = nullptr;
  const bool valid = g_utf8_validate_len(text.data(), text.size(), &end);
  const auto stop = static_cast<std::size_t>(end - text.data());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (!valid && i == stop)
      fail(where, "not UTF-8 text; save the file as UTF-8, without binary content");
    if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f)
      fail(where, "a control character that text files do not hold; remove it");
    if (c == '\n') {
      ++where.line;
      where.column = 1;
    } else if ((c & 0xC0) != 0x80) {
      ++where.column;
    }
  }
}

JsonNode* to_node(const Value& v);

JsonNode* number_node(const Value& v) {
  const char* first = v.text.data();
  const char* last = first + v.text.size();
  if (v.kind == Value::Kind::Int) {
    const bool negative = *first == '-';
    if (*first == '-' || *first == '+') ++first;
    int base = 10;
    if (v.text.starts_with("0x")) base = 16;
    if (v.text.starts_with("0o")) base = 8;
    if (base != 10) first += 2;
    std::uint64_t n = 0;
    auto [end, ec] = std::from_chars(first, last, n, base);
    if (ec != std::errc() || end != last || n > INT64_MAX)
      fail(v.where, "the number " + v.text + " is out of range; put it in quotes");
    const auto magnitude = static_cast<std::int64_t>(n);
    JsonNode* node = json_node_new(JSON_NODE_VALUE);
    json_node_set_int(node, negative ? -magnitude : magnitude);
    return node;
  }
  double d = 0;
  if (*first == '+') ++first;
  auto [end, ec] = std::from_chars(first, last, d);
  if (ec != std::errc() || end != last || !std::isfinite(d))
    fail(v.where, "the number " + v.text + " is not one that JSON knows; put it in quotes");
  JsonNode* node = json_node_new(JSON_NODE_VALUE);
  json_node_set_double(node, d);
  return node;
}

JsonNode* container_node(const Value& v) {
  if (v.kind == Value::Kind::Sequence) {
    JsonArray* array = json_array_new();
    GPtr<JsonNode> node = adopt(json_node_new(JSON_NODE_ARRAY));
    json_node_take_array(node.get(), array);
    for (const Value& item : v.items) json_array_add_element(array, to_node(item));
    return node.release();
  }
  JsonObject* object = json_object_new();
  GPtr<JsonNode> node = adopt(json_node_new(JSON_NODE_OBJECT));
  json_node_take_object(node.get(), object);
  std::map<std::string, const Value*> sorted;
  for (std::size_t i = 0; i < v.keys.size(); ++i) sorted.emplace(v.keys[i], &v.items[i]);
  for (const auto& [key, item] : sorted)
    json_object_set_member(object, key.c_str(), to_node(*item));
  return node.release();
}

JsonNode* to_node(const Value& v) {
  switch (v.kind) {
    case Value::Kind::Null:
      return json_node_new(JSON_NODE_NULL);
    case Value::Kind::Int:
    case Value::Kind::Float:
      return number_node(v);
    case Value::Kind::Bool: {
      JsonNode* node = json_node_new(JSON_NODE_VALUE);
      json_node_set_boolean(node, v.text[0] == 't' || v.text[0] == 'T');
      return node;
    }
    case Value::Kind::String: {
      JsonNode* node = json_node_new(JSON_NODE_VALUE);
      json_node_set_string(node, v.text.c_str());
      return node;
    }
    case Value::Kind::Sequence:
    case Value::Kind::Map:
      break;
  }
  return container_node(v);
}

}  // namespace

std::string Where::str() const {
  if (line == 0) return file;
  return file + ":" + std::to_string(line) + ":" + std::to_string(column);
}

const Value* Value::find(std::string_view key) const noexcept {
  for (std::size_t i = 0; i < keys.size(); ++i)
    if (keys[i] == key) return &items[i];
  return nullptr;
}

std::string Value::describe() const {
  switch (kind) {
    case Kind::Null:
      return "nothing (null)";
    case Kind::Bool:
      return text;
    case Kind::Int:
    case Kind::Float:
      return "the number " + text;
    case Kind::String:
      return text.size() <= 40 ? "the text \"" + text + "\"" : "a text";
    case Kind::Sequence:
      return "a list";
    case Kind::Map:
      return "a map";
  }
  return "?";
}

std::string Value::to_json() const {
  GPtr<JsonNode> node = adopt(to_node(*this));
  return std::string(trim(json_to_string(node.get(), /*pretty=*/false)));
}

void Problems::add(const Where& where, const std::string& text) {
  lines_.push_back(where.str() + ": " + text);
}

void Problems::add(const Error& error) {
  lines_.emplace_back(error.what());
}

void Problems::add(Problems&& others) {
  lines_.insert(lines_.end(), std::make_move_iterator(others.lines_.begin()),
                std::make_move_iterator(others.lines_.end()));
}

void Problems::throw_if_any() const {
  if (!lines_.empty()) throw Error(ErrorCode::InvalidInput, join(lines_, "\n"));
}

bool is_yaml_name(const std::filesystem::path& path) {
  return path.extension() == ".yaml" || path.extension() == ".yml";
}

Value parse_document(const std::string& text, const std::string& name) {
  check_text(text, name);
  Builder builder(name);
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& e) {
    // Where a list or map does not end, the parser has no place of its own.
    if (e.msg.find("not found") != std::string::npos && builder.unclosed() != nullptr)
      fail(builder.unclosed()->where,
           builder.unclosed()->describe() +
               " begins here and has no end; look for a missing comma, colon, quote or bracket, or "
               "wrong indentation, after line " +
               std::to_string(builder.last_line()));
    if (e.msg == "unknown token")
      fail(builder.at(e.mark), "a text that begins with a special character needs quotes");
    fail(builder.at(e.mark), e.msg);
  }
  std::optional<Value> document = builder.take();
  const Where top{name, 1, 1};
  if (!document) fail(top, "the file is empty; expected a map of keys");
  if (document->kind != Value::Kind::Map)
    fail(document->where, "expected a map of keys, found " + document->describe());
  return std::move(*document);
}

Value parse_file(const std::filesystem::path& path) {
  // O_NONBLOCK: a FIFO must not hang us.
  UniqueFd fd = open_at(AT_FDCWD, path.string(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat st {};
  if (fstat(fd.get(), &st) != 0) throw_errno("Reading " + path.string());
  if (!S_ISREG(st.st_mode))
    throw Error(ErrorCode::InvalidInput, path.string() + ": not a regular file");
  if (static_cast<std::size_t>(st.st_size) > kMaxFileBytes)
    throw Error(ErrorCode::InvalidInput, path.string() + ": larger than " +
                                             human_bytes(kMaxFileBytes) +
                                             "; this cannot be a treefile or lockfile");
  return parse_document(read_fd(fd.get(), path.string()), path.string());
}

}  // namespace atomichost::treefile
