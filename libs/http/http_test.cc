#include <httplib.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "http/http_server.h"
#include <prometheus/counter.h>
#include <prometheus/registry.h>

namespace millrace::http {
namespace {

using testing::HasSubstr;

class HttpTest : public testing::Test {
 protected:
  HttpTest() {
    auto started = HttpServer::Start("127.0.0.1:0", {&registry_});
    EXPECT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
    client_ = std::make_unique<httplib::Client>("127.0.0.1", server_->port());
  }
  httplib::Response Get(const char* path) {
    const httplib::Result result = client_->Get(path);
    EXPECT_TRUE(result) << path;
    return result ? *result : httplib::Response();
  }

  prometheus::Registry registry_;
  std::unique_ptr<HttpServer> server_;
  std::unique_ptr<httplib::Client> client_;
};

TEST_F(HttpTest, IsAliveFromTheStartAndReadyWhenToldSo) {
  EXPECT_EQ(Get("/livez").status, 200);
  EXPECT_EQ(Get("/readyz").status, 503);
  server_->SetReady(true);
  EXPECT_EQ(Get("/readyz").status, 200);
  server_->SetReady(false);
  EXPECT_EQ(Get("/readyz").status, 503);
  EXPECT_EQ(Get("/other").status, 404);
}

TEST_F(HttpTest, ServesWhatTheRegistryHas) {
  auto& counters = prometheus::BuildCounter().Name("millrace_test_total").Help("Of a test.").Register(registry_);
  counters.Add({{"a", "b"}}).Increment(3);
  const httplib::Response response = Get("/metrics");
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(response.get_header_value("Content-Type"), HasSubstr("text/plain; version=0.0.4"));
  EXPECT_THAT(response.body, HasSubstr("# TYPE millrace_test_total counter\nmillrace_test_total{a=\"b\"} 3"));
}

TEST_F(HttpTest, ATakenPortIsNamed) {
  const std::string taken = absl::StrCat("127.0.0.1:", server_->port());
  const auto second = HttpServer::Start(taken, {});
  ASSERT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(taken));
}

TEST(HttpAddressTest, WhatIsNoAddressIsRefused) {
  for (const char* listen : {"", "5557", "host:", "host:99999", "host:http"}) {
    EXPECT_EQ(HttpServer::Start(listen, {}).status().code(), absl::StatusCode::kInvalidArgument) << listen;
  }
}

TEST(HttpAddressTest, ListensOnIpv6Too) {
  const auto server = HttpServer::Start("[::1]:0", {});
  ASSERT_TRUE(server.ok()) << server.status();
  httplib::Client client("::1", (*server)->port());
  EXPECT_TRUE(client.Get("/livez"));
}

}  // namespace
}  // namespace millrace::http
