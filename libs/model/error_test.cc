#include "model/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::model {
namespace {

TEST(ErrorTest, RowOfACodeHasItsNameAbslCodeNumberAndLabel) {
  const ErrorInfo& info = InfoOf(ErrorCode::kTopicNotFound);
  EXPECT_EQ(info.name, "TopicNotFound");
  EXPECT_EQ(info.absl_code, absl::StatusCode::kNotFound);
  EXPECT_EQ(info.label, "topic_not_found");
  EXPECT_EQ((Error{ErrorCode::kTopicNotFound, ""}.number()), 40402);
}

TEST(ErrorTest, ANumberOutsideTheTableReadsAsAnInternalServerError) {
  EXPECT_EQ(InfoOf(static_cast<ErrorCode>(1)).code, ErrorCode::kInternalServerError);
  EXPECT_EQ(InfoOf(static_cast<ErrorCode>(99'999)).code, ErrorCode::kInternalServerError);
}

TEST(ErrorTest, BecomesAnAbslStatusWithItsText) {
  const absl::Status status = Error{ErrorCode::kTooManyRequests, "queue full"}.ToStatus();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "queue full");
}

TEST(ResultTest, HoldsAValueOrAnError) {
  const Result<std::string> value = std::string("v");
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(*value, "v");
  EXPECT_EQ(value->size(), 1u);
  const Result<std::string> error = Error{ErrorCode::kBadRequest, "no"};
  ASSERT_FALSE(error.ok());
  EXPECT_EQ(error.error().code, ErrorCode::kBadRequest);
}

}  // namespace
}  // namespace millrace::model
