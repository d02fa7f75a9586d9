#include "rpc/unary_call.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "grpc/byte_buffer.h"
#include "grpc/byte_buffer_reader.h"
#include "grpc/slice.h"
#include "grpc/support/alloc.h"
#include "rpc/grpc_values.h"

namespace millrace::rpc {
namespace {

absl::string_view View(const grpc_slice& slice) {
  return {reinterpret_cast<const char*>(GRPC_SLICE_START_PTR(slice)), GRPC_SLICE_LENGTH(slice)};
}

// A request as text: a view when it came in one piece, as nearly all do.
class RequestText {
 public:
  explicit RequestText(grpc_byte_buffer* buffer) {
    MR_CHECK(grpc_byte_buffer_reader_init(&reader_, buffer) != 0);
    grpc_slice* piece = nullptr;
    if (grpc_byte_buffer_reader_peek(&reader_, &piece) == 0) return;
    text_ = View(*piece);
    grpc_slice* next = nullptr;
    if (grpc_byte_buffer_reader_peek(&reader_, &next) == 0) return;
    joined_.reserve(grpc_byte_buffer_length(buffer));
    joined_.assign(text_.data(), text_.size());
    do {
      joined_.append(View(*next).data(), View(*next).size());
    } while (grpc_byte_buffer_reader_peek(&reader_, &next) != 0);
    text_ = joined_;
  }
  ~RequestText() { grpc_byte_buffer_reader_destroy(&reader_); }
  RequestText(const RequestText&) = delete;
  RequestText& operator=(const RequestText&) = delete;
  absl::string_view text() const { return text_; }

 private:
  grpc_byte_buffer_reader reader_;
  absl::string_view text_;
  std::string joined_;
};

grpc_byte_buffer* ToBuffer(std::string bytes) {
  grpc_slice slice = ToSlice(std::move(bytes));
  grpc_byte_buffer* buffer = grpc_raw_byte_buffer_create(&slice, 1);
  grpc_slice_unref(slice);
  return buffer;
}

}  // namespace

UnaryMethods::UnaryMethods(const std::vector<Service*>& services, std::function<absl::Status(const ServerCall&)> admit)
    : admit_(std::move(admit)) {
  for (Service* service : services) {
    for (std::string& name : service->FrequentMethods()) methods_.push_back({std::move(name), service, nullptr});
  }
  // Their names stay where they are: gRPC keeps the pointers.
  for (Method& method : methods_) method.registered = registration_.Add(method.name);
}

void UnaryMethods::Post(const std::shared_ptr<UnaryMethods>& methods, grpc::Server& server, CallQueue& queue,
                        int calls) {
  methods->server_ = server.c_server();
  for (const Method& method : methods->methods_) {
    for (int i = 0; i < calls; ++i) PostOne(methods, method, queue);
  }
}

void UnaryMethods::PostOne(const std::shared_ptr<UnaryMethods>& methods, const Method& method, CallQueue& queue) {
  const auto call = std::make_shared<UnaryCall>(methods, method, queue);
  queue.Post();
  call->self_ = call;
  grpc_completion_queue* const events = queue.completions().cq();
  const grpc_call_error error = grpc_server_request_registered_call(
      methods->server_, method.registered->server_tag(), &call->call_, &call->deadline_, &call->headers_,
      &call->request_, events, events, &call->request_event_);
  MR_CHECK(error == GRPC_CALL_OK);
}

void UnaryMethods::EndUnanswered() {
  std::vector<std::shared_ptr<UnaryCall>> unanswered;
  {
    base::MutexLock lock(mu_);
    for (UnaryCall* call = unanswered_; call != nullptr; call = call->next_) unanswered.push_back(call->self_);
  }
  for (const auto& call : unanswered) call->Finish(absl::UnavailableError("the server is shutting down: call again"));
}

UnaryCall::UnaryCall(std::shared_ptr<UnaryMethods> methods, const UnaryMethods::Method& method, CallQueue& queue)
    : methods_(std::move(methods)), method_(method), queue_(queue), details_(grpc_empty_slice()) {
  grpc_metadata_array_init(&headers_);
}

UnaryCall::~UnaryCall() {
  grpc_metadata_array_destroy(&headers_);
  if (call_ != nullptr) grpc_call_unref(call_);
}

absl::string_view UnaryCall::Header(absl::string_view key) const {
  for (std::size_t i = 0; i < headers_.count; ++i) {
    if (View(headers_.metadata[i].key) == key) return View(headers_.metadata[i].value);
  }
  return {};
}

absl::string_view UnaryCall::peer() const {
  base::MutexLock lock(mu_);
  if (peer_.empty()) {
    char* const uri = grpc_call_get_peer(call_);
    peer_ = PlainPeer(uri);
    gpr_free(uri);
  }
  return peer_;
}

bool UnaryCall::tls() const {
  grpc_auth_context* const context = grpc_call_auth_context(call_);
  grpc_auth_property_iterator types = grpc_auth_context_find_properties_by_name(context, "transport_security_type");
  bool tls = false;
  while (const grpc_auth_property* type = grpc_auth_property_iterator_next(&types)) {
    tls = tls || absl::string_view(type->value, type->value_length) == "ssl";
  }
  grpc_auth_context_release(context);
  return tls;
}

std::optional<std::int64_t> UnaryCall::RemainingMillis() const { return MillisUntil(deadline_); }

void UnaryCall::OnRequest(bool ok) {
  if (!ok) {  // the server is shutting down
    queue_.Leave(/*entered=*/false);
    return self_.reset();
  }
  queue_.Enter();
  UnaryMethods::PostOne(methods_, method_, queue_);
  {
    base::MutexLock lock(methods_->mu_);
    next_ = methods_->unanswered_;
    if (next_ != nullptr) next_->link_ = &next_;
    link_ = &methods_->unanswered_;
    *link_ = this;
  }
  const absl::Status admitted = methods_->admit_ ? methods_->admit_(*this) : absl::OkStatus();
  if (request_ == nullptr) {
    return Finish(!admitted.ok()
                      ? admitted
                      : absl::InvalidArgumentError(absl::StrCat("method ", method(), " takes one request, none came")));
  }
  if (!admitted.ok()) {
    Finish(admitted);
  } else {
    const RequestText request(request_);
    method_.service->OnRequest(self_, request.text());
  }
  grpc_byte_buffer_destroy(std::exchange(request_, nullptr));
}

bool UnaryCall::Write(std::string message) {
  base::MutexLock lock(mu_);
  if (finished_) return false;
  message_ = std::move(message);
  return true;
}

std::size_t UnaryCall::UnsentBytes() const {
  base::MutexLock lock(mu_);
  return message_ ? message_->size() : 0;
}

void UnaryCall::WriteAndFinish(std::string message) {
  base::MutexLock lock(mu_);
  if (!finished_) message_ = std::move(message);
  Answer(absl::OkStatus());
}

void UnaryCall::Finish(const absl::Status& status) {
  base::MutexLock lock(mu_);
  Answer(status);
}

void UnaryCall::Answer(const absl::Status& status) {
  if (std::exchange(finished_, true)) return;
  if (message_ && status.ok()) answer_ = ToBuffer(*std::move(message_));
  message_.reset();
  grpc_op ops[4] = {};
  std::size_t count = 0;
  ops[count++].op = GRPC_OP_SEND_INITIAL_METADATA;
  if (answer_ != nullptr) {
    ops[count].op = GRPC_OP_SEND_MESSAGE;
    ops[count++].data.send_message.send_message = answer_;
  }
  ops[count].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
  ops[count].data.send_status_from_server.status = static_cast<grpc_status_code>(status.code());
  if (!status.ok()) {
    details_ = grpc_slice_from_copied_buffer(status.message().data(), status.message().size());
    ops[count].data.send_status_from_server.status_details = &details_;
  }
  ++count;
  ops[count].op = GRPC_OP_RECV_CLOSE_ON_SERVER;
  ops[count++].data.recv_close_on_server.cancelled = &cancelled_;
  MR_CHECK(grpc_call_start_batch(call_, ops, count, &answered_event_, nullptr) == GRPC_CALL_OK);
}

void UnaryCall::OnAnswered(bool ok) {
  {
    base::MutexLock lock(methods_->mu_);
    *link_ = next_;
    if (next_ != nullptr) next_->link_ = link_;
  }
  std::function<void(CallEnd)> then;
  const CallEnd end = ok && cancelled_ == 0 ? CallEnd::kFinished : CallEnd::kCancelled;
  {
    base::MutexLock lock(mu_);
    if (answer_ != nullptr) grpc_byte_buffer_destroy(std::exchange(answer_, nullptr));
    grpc_slice_unref(std::exchange(details_, grpc_empty_slice()));
    end_ = end;
    then = std::exchange(then_, nullptr);
  }
  if (then) then(end);
  queue_.Leave(/*entered=*/true);
  self_.reset();  // may destroy this call
}

void UnaryCall::OnEnded(std::function<void(CallEnd)> then) {
  std::optional<CallEnd> end;
  {
    base::MutexLock lock(mu_);
    end = end_;
    if (!end) then_ = std::move(then);
  }
  if (end) then(*end);
}

}  // namespace millrace::rpc
