// One rank's trace as events of Chrome's Trace Event Format: what each kind of span is called.
#include <algorithm>
#include <variant>

#include "comm/error.h"
#include "comm/util/json.h"
#include "tools/report/trace_file.h"

namespace ringside::tools {
namespace {

using ull = unsigned long long;

// Viewers show a track's number behind its name. From 1000 on nobody takes it for a rank, and 0,
// which is the idle process's, is not among them.
constexpr int kFirstTrack = 1000;
constexpr int kProcess = 1;

struct Label {
  Label(const char* of, std::string named) : category(of), name(std::move(named)) { args.object(); }

  const char* category;
  std::string name;
  JsonWriter args;  // an object that is still open
};

std::string sides_words(const TracedStep& it) {
  std::string words;
  const auto add = [&](const std::string& more) { words += (words.empty() ? "" : ", ") + more; };
  if (it.step.send) add(text("send chunk %d", it.step.send->chunk));
  const bool reduces = it.step.primitive == Primitive::exchange_reduce;
  if (it.step.receive)
    add(text("%s chunk %d", reduces ? "reduce" : "receive", it.step.receive->chunk));
  return words;
}

std::string step_words(const TracedStep& it) {
  switch (it.step.primitive) {
    case Primitive::post_op:
      return text("post-op on chunk %d", it.step.receive->chunk);
    case Primitive::copy_input:
      return text("copy chunk %d of the input", it.step.receive->chunk);
    case Primitive::send_input:
      return text("send the input to rank %d", it.to);
    case Primitive::wait_input:
      if (it.received == 0) return "set the own input aside";
      if (!it.step.receive) return text("wait for the input of rank %d", it.from);
      return text("wait for chunk %d of rank %d", it.step.receive->chunk, it.from);
    case Primitive::reduce_input:
      return text("reduce chunk %d of rank %d", it.step.receive->chunk, it.step.from.rank);
    case Primitive::release_inputs:
      return "release the inputs";
    default:
      return sides_words(it);
  }
}

Label label(const TracedCall& it) {
  const Kind kind = it.what.kind;
  Label label = {"call", text("%s #%llu", name_of(kind), static_cast<ull>(it.number))};
  if (kind != Kind::barrier)
    label.args.field("dtype", name_of(it.what.dtype), "count", it.what.count);
  if (has_reduction(kind)) label.args.field("reduction", name_of(it.what.reduction));
  if (has_root(kind)) label.args.field("root", it.what.root);
  label.args.field("algorithm", it.algorithm);
  return label;
}

Label label(const TracedStep& it) {
  const std::string number = it.number == 0 ? "" : text("step %d: ", it.number);
  Label label = {"step", number + step_words(it)};
  label.args.field("slice", it.step.slice + 1);
  if (it.sent != 0) label.args.field("to", it.to, "sent_bytes", it.sent_bytes);
  if (it.received != 0) label.args.field("from", it.from, "received_bytes", it.received_bytes);
  return label;
}

Label label(const TracedWait& it) { return {"wait", text("waits for rank %d", it.peer)}; }

Label label(const TracedBatch& it) {
  const auto number = static_cast<ull>(it.first_number);
  std::string name = text("exchange #%llu", number);
  if (it.sends + it.receives == 1)
    name = it.sends == 1 ? text("send #%llu to rank %d", number, it.peer)
                         : text("recv #%llu from rank %d", number, it.peer);
  Label label = {"call", name};
  label.args.field("sends", it.sends, "sent_bytes", it.sent_bytes, "receives", it.receives,
                   "received_bytes", it.received_bytes);
  return label;
}

// Writes events, each on a line.
class Writer {
 public:
  Writer(int rank, std::int64_t base_ns) : track_(kFirstTrack + rank), base_ns_(base_ns) {}

  template <class T>
  void describe(const char* what, const char* key, const T& value) {
    JsonWriter event = begin("M");
    event.field("name", what).object("args").field(key, value).end();
    add(event);
  }

  void slice(std::int64_t begin_ns, std::int64_t end_ns, bool unfinished, Label it) {
    if (unfinished) it.args.field("unfinished", true);
    JsonWriter event = begin("X", it.category, begin_ns);
    event.number("dur", us(end_ns - begin_ns), 3)
        .field("name", it.name + (unfinished ? " (unfinished)" : ""))
        .add("args", it.args.end().text());
    add(event);
  }

  // An arrow's beginning ("s") or end ("f"), bound to the slice that is open on the track then. The
  // number is hexadecimal: as such viewers read a string, and JSON's own numbers end at 53 bits.
  void arrow(const char* phase, MessageId id, std::int64_t at_ns) {
    JsonWriter event = begin(phase, "message", at_ns);
    event.field("id", text("%llx", static_cast<ull>(id)), "bp", "e", "name", "message");
    add(event);
  }

  const std::string& events() const { return events_; }

 private:
  JsonWriter begin(const char* phase) const {
    JsonWriter event;
    event.object().field("ph", phase, "pid", kProcess, "tid", track_);
    return event;
  }
  JsonWriter begin(const char* phase, const char* category, std::int64_t at_ns) const {
    JsonWriter event = begin(phase);
    event.field("cat", category).number("ts", us(at_ns - base_ns_), 3);
    return event;
  }
  void add(JsonWriter& event) { events_ += (events_.empty() ? "" : ",\n") + event.end().text(); }

  static double us(std::int64_t ns) { return static_cast<double>(ns) / 1e3; }

  int track_;
  std::int64_t base_ns_;
  std::string events_;
};

// A step's arrows begin when it begins and end just before it ends: a message arrives after it was
// sent, and at the very end the slice would be no longer open.
void write(Writer& writer, const TracedSpan& span) {
  if (const auto* message = std::get_if<TracedMessage>(&span.what))
    return writer.arrow(message->is_send ? "s" : "f", message->id, span.begin_ns);
  const auto slice = [&](const auto& it) {
    writer.slice(span.begin_ns, span.end_ns, span.unfinished, label(it));
  };
  if (const auto* call = std::get_if<TracedCall>(&span.what)) slice(*call);
  if (const auto* batch = std::get_if<TracedBatch>(&span.what)) slice(*batch);
  if (const auto* wait = std::get_if<TracedWait>(&span.what)) slice(*wait);
  const auto* step = std::get_if<TracedStep>(&span.what);
  if (step == nullptr) return;
  slice(*step);
  if (span.unfinished) return;
  if (step->sent != 0) writer.arrow("s", step->sent, span.begin_ns);
  if (step->received != 0)
    writer.arrow("f", step->received, std::max(span.begin_ns, span.end_ns - 1));
}

}  // namespace

std::string trace_events(int rank, const Trace& trace, std::int64_t base_ns) {
  Writer writer(rank, base_ns);
  writer.describe("thread_name", "name", text("rank %d", rank));
  writer.describe("thread_sort_index", "sort_index", rank);
  const std::vector<TracedSpan> spans = trace.spans();
  if (trace.dropped() > 0)
    writer.slice(
        base_ns, spans.front().begin_ns, false,
        {"dropped", text("%llu earlier spans are not kept", static_cast<ull>(trace.dropped()))});
  for (const TracedSpan& span : spans) write(writer, span);
  return writer.events();
}

}  // namespace ringside::tools
