// One rank's trace as events of Chrome's Trace Event Format: what each kind of span is called.
#include <algorithm>
#include <variant>

#include "comm/error.h"
#include "tools/report/trace_file.h"

namespace ringside::tools {
namespace {

using ull = unsigned long long;

// Viewers show a track's number behind its name. From 1000 on nobody takes it for a rank, and 0,
// which is the idle process's, is not among them.
constexpr int kFirstTrack = 1000;
constexpr int kProcess = 1;

struct Label {
  const char* category;
  std::string name;
  std::string args;  // "\"slice\": 1, \"to\": 2"; may be empty
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
      return text("finish chunk %d", it.step.receive->chunk);
    case Primitive::copy_input:
      return text("keep chunk %d", it.step.receive->chunk);
    case Primitive::send_input:
      return text("show the input to rank %d", it.to);
    case Primitive::wait_input:
      if (it.received == 0) return "look at the own input";
      if (!it.step.receive) return text("look at the input of rank %d", it.from);
      return text("look at chunk %d of rank %d", it.step.receive->chunk, it.from);
    case Primitive::reduce_input:
      return text("fold chunk %d of rank %d", it.step.receive->chunk, it.step.from.rank);
    case Primitive::release_inputs:
      return "look away";
    default:
      return sides_words(it);
  }
}

Label label(const TracedCall& it) {
  const Kind kind = it.what.kind;
  std::string args;
  if (kind != Kind::barrier)
    args = text("\"dtype\": \"%s\", \"count\": %llu, ", name_of(it.what.dtype),
                static_cast<ull>(it.what.count));
  if (has_reduction(kind)) args += text("\"reduction\": \"%s\", ", name_of(it.what.reduction));
  if (has_root(kind)) args += text("\"root\": %d, ", it.what.root);
  return {"call", text("%s #%llu", name_of(kind), static_cast<ull>(it.number)),
          args + text("\"algorithm\": \"%s\"", it.algorithm)};
}

Label label(const TracedStep& it) {
  std::string args = text("\"slice\": %zu", it.step.slice + 1);
  if (it.sent != 0)
    args += text(", \"to\": %d, \"sent_bytes\": %llu", it.to, static_cast<ull>(it.sent_bytes));
  if (it.received != 0)
    args += text(", \"from\": %d, \"received_bytes\": %llu", it.from,
                 static_cast<ull>(it.received_bytes));
  const std::string number = it.number == 0 ? "" : text("step %d: ", it.number);
  return {"step", number + step_words(it), args};
}

Label label(const TracedWait& it) { return {"wait", text("waits for rank %d", it.peer), ""}; }

Label label(const TracedBatch& it) {
  const auto number = static_cast<ull>(it.first_number);
  std::string name = text("exchange #%llu", number);
  if (it.sends + it.receives == 1)
    name = it.sends == 1 ? text("send #%llu to rank %d", number, it.peer)
                         : text("recv #%llu from rank %d", number, it.peer);
  return {"call", name,
          text("\"sends\": %u, \"sent_bytes\": %llu, \"receives\": %u, \"received_bytes\": %llu",
               it.sends, static_cast<ull>(it.sent_bytes), it.receives,
               static_cast<ull>(it.received_bytes))};
}

// Writes events, each on a line.
class Writer {
 public:
  Writer(int rank, std::int64_t base_ns) : track_(kFirstTrack + rank), base_ns_(base_ns) {}

  void describe(const char* what, const std::string& args) {
    add(text("{\"ph\": \"M\", \"pid\": %d, \"tid\": %d, \"name\": \"%s\", \"args\": {%s}}",
             kProcess, track_, what, args.c_str()));
  }

  void slice(std::int64_t begin_ns, std::int64_t end_ns, bool unfinished, const Label& it) {
    std::string args = it.args;
    if (unfinished) args += std::string(args.empty() ? "" : ", ") + "\"unfinished\": true";
    add(head("X", it.category, begin_ns) +
        text(", \"dur\": %s, \"name\": \"%s%s\", \"args\": {%s}}", us(end_ns - begin_ns).c_str(),
             it.name.c_str(), unfinished ? " (unfinished)" : "", args.c_str()));
  }

  // An arrow's beginning ("s") or end ("f"), bound to the slice that is open on the track then. The
  // number is hexadecimal: as such viewers read a string, and JSON's own numbers end at 53 bits.
  void arrow(const char* phase, MessageId id, std::int64_t at_ns) {
    add(head(phase, "message", at_ns) +
        text(", \"id\": \"%llx\", \"bp\": \"e\", \"name\": \"message\"}", static_cast<ull>(id)));
  }

  const std::string& events() const { return events_; }

 private:
  void add(const std::string& event) { events_ += (events_.empty() ? "" : ",\n") + event; }

  std::string head(const char* phase, const char* category, std::int64_t at_ns) const {
    return text("{\"ph\": \"%s\", \"pid\": %d, \"tid\": %d, \"cat\": \"%s\", \"ts\": %s", phase,
                kProcess, track_, category, us(at_ns - base_ns_).c_str());
  }

  static std::string us(std::int64_t ns) {
    const long long whole = ns < 0 ? -ns : ns;
    return text("%s%lld.%03lld", ns < 0 ? "-" : "", whole / 1000, whole % 1000);
  }

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
  writer.describe("thread_name", text("\"name\": \"rank %d\"", rank));
  writer.describe("thread_sort_index", text("\"sort_index\": %d", rank));
  const std::vector<TracedSpan> spans = trace.spans();
  if (trace.dropped() > 0)
    writer.slice(base_ns, spans.front().begin_ns, false,
                 {"dropped",
                  text("%llu earlier spans are not kept", static_cast<ull>(trace.dropped())), ""});
  for (const TracedSpan& span : spans) write(writer, span);
  return writer.events();
}

}  // namespace ringside::tools
