#include "services/broker/claim_gate.h"

#include <vector>

#include "gtest/gtest.h"

namespace millrace::broker {
namespace {

core::ReplyTo Receive(std::uint32_t link, std::uint64_t correlation) { return {correlation, link, 0}; }

class ClaimGateTest : public testing::Test {
 protected:
  ClaimGateTest() {
    gate_.Open(1, 100);
    gate_.Open(2, 100);
  }
  // Granted at once, or 0; later grants go to `later_`.
  std::uint64_t Take(std::uint32_t link, std::uint64_t correlation, std::uint64_t least, std::uint64_t most) {
    return gate_.Take(Receive(link, correlation), least, most,
                      [this, correlation](std::uint64_t granted) { later_.emplace_back(correlation, granted); });
  }
  using Grants = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

  ClaimGate gate_;
  Grants later_;
};

TEST_F(ClaimGateTest, AClaimGetsWhatThereIsBetweenLeastAndMost) {
  EXPECT_EQ(Take(1, 1, 10, 60), 60u);
  EXPECT_EQ(Take(1, 2, 10, 60), 40u);
  EXPECT_EQ(Take(1, 3, 1, 60), 0u);
  EXPECT_EQ(gate_.waiting(), 1u);
  EXPECT_EQ(Take(2, 4, 10, 60), 60u);  // another link
}

TEST_F(ClaimGateTest, WhoWaitsIsServedInOrderAndNobodyOvertakes) {
  EXPECT_EQ(Take(1, 1, 100, 100), 100u);
  EXPECT_EQ(Take(1, 2, 50, 80), 0u);
  EXPECT_EQ(Take(1, 3, 1, 5), 0u);
  gate_.GiveBack(1, 49);
  EXPECT_TRUE(later_.empty());
  gate_.GiveBack(1, 35);
  EXPECT_EQ(later_, (Grants{{2, 80}, {3, 4}}));
  EXPECT_EQ(gate_.waiting(), 0u);
}

TEST_F(ClaimGateTest, ACancelledClaimLetsTheNextOneGo) {
  EXPECT_EQ(Take(1, 1, 90, 90), 90u);
  EXPECT_EQ(Take(1, 2, 50, 80), 0u);
  EXPECT_EQ(Take(1, 3, 1, 5), 0u);
  gate_.Cancel(Receive(1, 2));
  gate_.Cancel(Receive(1, 7));
  EXPECT_EQ(later_, (Grants{{3, 5}}));
}

TEST_F(ClaimGateTest, AClosedLinkTakesAndGivesNothing) {
  EXPECT_EQ(Take(1, 1, 100, 100), 100u);
  EXPECT_EQ(Take(1, 2, 1, 1), 0u);
  gate_.Close(1);
  EXPECT_EQ(gate_.waiting(), 0u);
  gate_.GiveBack(1, 100);
  EXPECT_TRUE(later_.empty());
  EXPECT_EQ(Take(1, 3, 1, 1), 0u);
  EXPECT_EQ(gate_.waiting(), 0u);
}

TEST_F(ClaimGateTest, NoSumOfCreditWraps) {
  gate_.GiveBack(1, ~0ull);
  gate_.GiveBack(1, ~0ull);
  EXPECT_EQ(Take(1, 1, 1, 1'000), 1'000u);
}

}  // namespace
}  // namespace millrace::broker
