// Links that break, fall silent, or are read slowly, over a real broker.
#include <algorithm>
#include <string>
#include <vector>

#include "tests/integration/link_fixture.h"

namespace millrace {
namespace {

using link::Op;
using testing_support::FrameRelay;
using testing_support::LinkFixture;
using testing_support::Peer;
using Way = FrameRelay::Way;
using Side = FrameRelay::Side;

class LinkFaultsTest : public LinkFixture {
 protected:
  void SetUp() override {
    Start();
    Connect(*control_);
    peer_ = AddPeer();
    Connect(*peer_);
    CreateTopic("t");
  }
  void SendOk(const std::string& body) { ASSERT_EQ(CodeOf(control_->Send("t", body)), 20000u); }
  // A held message.
  testing_support::Got ReceiveOne(Peer& peer, const Peer::Poll& poll = {}) {
    const auto received = peer.Receive("t", poll);
    EXPECT_EQ(CodeOf(received), 20000u);
    const auto messages = received->messages();
    EXPECT_EQ(messages.size(), 1u);
    if (messages.empty()) return {};
    peer.link.ReportAnswer(messages[0].answer, true);
    peer.link.ReturnCredit(received->bytes());
    peer.link.Tick();  // the credit goes out, and its frame is answered: nothing is on its way when a fault begins
    Turn();
    return messages[0];
  }
  std::size_t Stored() {
    EXPECT_EQ(CodeOf(control_->Query(core::QueryKind::kEnsureGroup, "reader")), 20000u);
    const auto received = control_->Receive("t", {.client = "reader", .group = "reader"});
    EXPECT_EQ(CodeOf(received), 20000u);
    return received->messages().size();
  }

  Peer* peer_ = nullptr;
};

TEST_F(LinkFaultsTest, ASendWhoseAnswerIsLostEndsUnknownAndIsStoredOnce) {
  peer_->relay.Keep(Way::kToProxy);
  const auto reply = peer_->Send("t", "m");
  ASSERT_TRUE(Until([&] { return peer_->relay.kept(Way::kToProxy) > 0; }));
  peer_->relay.CutAll();
  EXPECT_EQ(CodeOf(reply), 50400u);
  peer_->relay.Pass(Way::kToProxy);
  Connect(*peer_);
  Turn();
  EXPECT_EQ(Stored(), 1u);
}

TEST_F(LinkFaultsTest, ASendThatNeverArrivedEndsUnknownAndIsNotStored) {
  peer_->relay.Keep(Way::kToBroker);
  const auto reply = peer_->Send("t", "m");
  peer_->relay.CutAll();
  EXPECT_EQ(CodeOf(reply), 50400u);
  peer_->relay.Pass(Way::kToBroker);
  Connect(*peer_);
  SendOk("other");
  EXPECT_EQ(Stored(), 1u);
}

TEST_F(LinkFaultsTest, ASendWithoutALinkWaitsForIt) {
  peer_->relay.CutAll();
  const auto reply = peer_->Send("t", "m");
  EXPECT_FALSE(reply->code().has_value());
  Connect(*peer_);
  EXPECT_EQ(CodeOf(reply), 20000u);
  EXPECT_EQ(Stored(), 1u);
}

TEST_F(LinkFaultsTest, AnAckWhoseAnswerIsLostIsAskedAgain) {
  SendOk("m");
  const auto message = ReceiveOne(*peer_);
  Turn();
  peer_->relay.Keep(Way::kToProxy);
  const auto ack = peer_->Ack("t", message.handle);
  ASSERT_TRUE(Until([&] { return peer_->relay.kept(Way::kToProxy) > 0; }));
  peer_->relay.CutAll();
  EXPECT_FALSE(ack->code().has_value());
  peer_->relay.Pass(Way::kToProxy);
  Connect(*peer_);
  EXPECT_EQ(CodeOf(ack), 20000u);
  EXPECT_EQ(Progress().acknowledged, 1);
}

TEST_F(LinkFaultsTest, AnAckThatNeverArrivedIsAskedAgain) {
  SendOk("m");
  const auto message = ReceiveOne(*peer_);
  Turn();
  peer_->relay.Keep(Way::kToBroker);
  const auto ack = peer_->Ack("t", message.handle);
  peer_->relay.CutAll();
  peer_->relay.Pass(Way::kToBroker);
  EXPECT_EQ(Progress().acknowledged, 0);
  Connect(*peer_);
  EXPECT_EQ(CodeOf(ack), 20000u);
  EXPECT_EQ(Progress().acknowledged, 1);
}

TEST_F(LinkFaultsTest, OffersOfABrokenLinkComeBackAfterASecondWithoutCounting) {
  SendOk("m");
  const auto received = peer_->Receive("t");
  ASSERT_EQ(CodeOf(received), 20000u);
  EXPECT_EQ(Progress().in_flight, 1);
  peer_->relay.CutAll();
  Turn();
  EXPECT_EQ(Progress().waiting, 1);
  Advance(900);
  EXPECT_EQ(Progress().ready, 0);
  Connect(*peer_);
  Advance(100);
  const auto again = ReceiveOne(*peer_);
  EXPECT_EQ(again.body, "m");
  EXPECT_EQ(again.attempt, 1u);
}

TEST_F(LinkFaultsTest, WhatAClientHoldsStaysItsOwnWhenTheLinkBreaks) {
  SendOk("m");
  const auto message = ReceiveOne(*peer_);
  Turn();
  peer_->relay.CutAll();
  Advance(2'000);
  EXPECT_EQ(Progress().in_flight, 1);
  ASSERT_TRUE(Until([&] { return peer_->link.up(); }));
  EXPECT_EQ(CodeOf(peer_->Ack("t", message.handle)), 20000u);
}

TEST_F(LinkFaultsTest, AWaitingReceiveEndsEmptyWhenTheLinkBreaks) {
  const auto received = peer_->Receive("t", {.wait = 20'000});
  Turn();
  peer_->relay.CutAll();
  EXPECT_EQ(received->code(), 40401u);
  EXPECT_TRUE(received->messages().empty());
  // The broker has dropped it: the message is for somebody else.
  Connect(*peer_);
  SendOk("m");
  EXPECT_EQ(ReceiveOne(*peer_, {.client = "other"}).body, "m");
}

TEST_F(LinkFaultsTest, AnAnswerThatIsLostOnItsWayComesBackWhole) {
  for (const char* body : {"1", "2"}) SendOk(body);
  EXPECT_EQ(CodeOf(control_->Query(core::QueryKind::kEnsureGroup, "g")), 20000u);
  peer_->relay.Keep(Way::kToProxy);
  const auto received = peer_->Receive("t");
  ASSERT_TRUE(Until([&] { return Progress().in_flight == 2; }));
  peer_->relay.CutAll();
  EXPECT_EQ(received->code(), 40401u);
  EXPECT_TRUE(received->messages().empty());
  peer_->relay.Pass(Way::kToProxy);
  Turn();  // they are given back now
  Advance(1'000);
  ASSERT_TRUE(Until([&] { return peer_->link.up(); }));
  const auto again = peer_->Receive("t");
  ASSERT_EQ(CodeOf(again), 20000u);
  EXPECT_EQ(again->messages().size(), 2u);
}

TEST_F(LinkFaultsTest, BothSidesLeaveASilentLinkAfterThreeSeconds) {
  Turn();
  const std::size_t links = broker_->link_count();
  const auto send = peer_->Send("t", "m");
  ASSERT_EQ(CodeOf(send), 20000u);
  peer_->relay.SwallowBoth();
  const auto lost = peer_->Send("t", "lost");
  Advance(2'500);
  EXPECT_TRUE(peer_->link.up());
  EXPECT_EQ(broker_->link_count(), links);
  EXPECT_FALSE(lost->code().has_value());
  Advance(1'000);
  EXPECT_FALSE(peer_->link.up());
  EXPECT_EQ(lost->code(), 50400u);
  ASSERT_TRUE(Until([&] { return broker_->link_count() == links - 1; }));
  peer_->relay.CutAll();
  peer_->relay.Pass(Way::kToBroker);
  peer_->relay.Pass(Way::kToProxy);
  Advance(3'500);
  ASSERT_TRUE(Until([&] { return peer_->link.up(); }));
  EXPECT_EQ(Stored(), 1u);
}

TEST_F(LinkFaultsTest, AProxyThatHearsNothingLeavesTheLinkAlone) {
  SendOk("m");
  const auto message = ReceiveOne(*peer_);
  Turn();
  peer_->relay.Swallow(Way::kToProxy);
  const auto send = peer_->Send("t", "swallowed answer", 30'000);
  const auto ack = peer_->Ack("t", message.handle, 30'000);
  Advance(3'500);
  EXPECT_FALSE(peer_->link.up());
  EXPECT_EQ(send->code(), 50400u);
  EXPECT_FALSE(ack->code().has_value());
  peer_->relay.CutAll();
  peer_->relay.Pass(Way::kToProxy);
  Connect(*peer_);
  EXPECT_EQ(CodeOf(ack), 20000u);
  EXPECT_EQ(Progress().acknowledged, 1);
  EXPECT_EQ(Stored(), 2u);
}

TEST_F(LinkFaultsTest, ABrokerThatHearsNothingReturnsTheOffers) {
  SendOk("m");
  const auto received = peer_->Receive("t");
  ASSERT_EQ(CodeOf(received), 20000u);
  peer_->relay.Swallow(Way::kToBroker);
  Advance(3'500);
  EXPECT_EQ(Progress().in_flight, 0);
  Advance(1'000);
  const auto other = ReceiveOne(*control_, {.client = "other"});
  EXPECT_EQ(other.body, "m");
  EXPECT_EQ(other.attempt, 1u);
}

TEST_F(LinkFaultsTest, AConnectionThatEndedForOneSideOnlyIsReplaced) {
  Turn();
  const std::size_t links = broker_->link_count();
  peer_->relay.CutFor(Side::kProxy);
  EXPECT_FALSE(peer_->link.up());
  Connect(*peer_);
  EXPECT_EQ(CodeOf(peer_->Send("t", "m")), 20000u);
  // The broker's half lingers until it has been silent for long.
  EXPECT_EQ(broker_->link_count(), links + 1);
  Advance(3'500);
  ASSERT_TRUE(Until([&] { return broker_->link_count() == links; }));

  peer_->relay.CutFor(Side::kBroker);
  EXPECT_TRUE(peer_->link.up());
  Advance(3'500);
  ASSERT_TRUE(Until([&] { return peer_->link.up(); }));
  EXPECT_EQ(CodeOf(peer_->Send("t", "n")), 20000u);
}

TEST_F(LinkFaultsTest, AReportOfAnOldLinkIsIgnored) {
  SendOk("m");
  const auto received = peer_->Receive("t");
  ASSERT_EQ(CodeOf(received), 20000u);
  const std::uint64_t answer = received->messages().at(0).answer;
  peer_->relay.CutAll();
  Connect(*peer_);
  peer_->link.ReportAnswer(answer, true);
  Turn();
  EXPECT_EQ(Progress().in_flight, 0);
  EXPECT_EQ(Progress().waiting, 1);
}

TEST_F(LinkFaultsTest, AnotherStartOfTheBrokerDoesNotTakeAReportForItsOwnAnswer) {
  SendOk("m");
  const auto received = peer_->Receive("t");
  ASSERT_EQ(CodeOf(received), 20000u);
  const std::uint64_t answer = received->messages().at(0).answer;
  const std::uint64_t start = broker_->start_number();
  Kill();
  Start();
  EXPECT_NE(broker_->start_number(), start);
  Connect(*control_);
  Connect(*peer_);
  const auto again = control_->Receive("t");
  ASSERT_EQ(CodeOf(again), 20000u);
  ASSERT_EQ(again->messages().at(0).answer, answer);  // else this shows nothing
  peer_->link.ReportAnswer(answer, true);
  Turn();
  control_->relay.CutAll();
  Connect(*control_);
  EXPECT_EQ(Progress().in_flight, 0);  // it was an offer still
}

TEST_F(LinkFaultsTest, AckAndReceiveGoOnAfterARestartAndHandlesOfTheStartBeforeAreGood) {
  SendOk("m");
  SendOk("n");
  const auto first = ReceiveOne(*peer_, {.batch = 1});
  Turn();
  Advance(1'500);  // the lease is written
  Kill();
  const auto ack = peer_->Ack("t", first.handle, 60'000);
  Start();
  Connect(*control_);
  Connect(*peer_);
  EXPECT_EQ(CodeOf(ack), 20000u);
  EXPECT_EQ(ReceiveOne(*peer_).body, "n");
}

TEST_F(LinkFaultsTest, AProxyThatReturnsNoCreditBoundsTheBrokerAndOtherLinksGoOn) {
  constexpr int kMessages = 64;
  for (int i = 0; i < kMessages; ++i) SendOk(std::string(64 << 10, 'x'));
  Peer& slow = *AddPeer(1 << 20);
  Connect(slow);
  const auto first = slow.Receive("t", {.wait = 20'000}), second = slow.Receive("t", {.wait = 20'000});
  ASSERT_TRUE(Until([&] { return broker_->claims_waiting() == 1; }));
  EXPECT_EQ(CodeOf(first), 20000u);
  Turn();
  EXPECT_GT(first->bytes(), 0u);
  EXPECT_LE(first->bytes(), 1u << 20);
  EXPECT_EQ(second->bytes(), 0u);
  EXPECT_LT(broker_->link_queued_bytes(), 1u << 20);

  // Others are served, and a cancelled receive gives its messages up.
  EXPECT_EQ(CodeOf(peer_->Send("t", "small")), 20000u);
  EXPECT_EQ(CodeOf(peer_->Receive("t", {.client = "other"})), 20000u);
  EXPECT_EQ(Progress().claimed, 32);
  slow.link.CancelReceive(slow.last_receive);
  Turn();
  EXPECT_EQ(Progress().claimed, 0);
  EXPECT_EQ(broker_->claims_waiting(), 0u);

  // Credit brings the rest, and never more than it.
  std::size_t delivered = first->bytes(), returned = 0;
  while (Progress().ready > 0) {
    const auto next = slow.Receive("t", {.wait = 20'000});
    Turn();
    EXPECT_LE(delivered - returned + next->bytes(), 1u << 20);
    slow.link.ReturnCredit(delivered - returned);
    returned = delivered;
    ASSERT_EQ(CodeOf(next), 20000u);
    delivered += next->bytes();
    EXPECT_LE(delivered - returned, 1u << 20);
  }
  EXPECT_TRUE(slow.link.up());
}

TEST_F(LinkFaultsTest, ALinkWithoutCreditThatBreaksGivesItsClaimsUp) {
  for (int i = 0; i < 32; ++i) SendOk(std::string(64 << 10, 'x'));
  Peer& slow = *AddPeer(256 << 10);
  Connect(slow);
  const auto first = slow.Receive("t", {.wait = 20'000}), second = slow.Receive("t", {.wait = 20'000});
  ASSERT_TRUE(Until([&] { return broker_->claims_waiting() > 0; }));
  slow.relay.CutAll();
  EXPECT_EQ(broker_->claims_waiting(), 0u);
  Turn();
  EXPECT_EQ(Progress().claimed, 0);
  Advance(1'000);
  EXPECT_EQ(Progress().ready, 32);
}

TEST_F(LinkFaultsTest, ADeadProxysClientsKeepTheirRenewedMessagesForAMinute) {
  SendOk("m");
  peer_->link.RegisterClient("c", "g");
  ReceiveOne(*peer_, {.auto_renew = true});
  Turn();
  peer_->relay.SwallowBoth();
  Advance(55'000);
  EXPECT_EQ(Progress().in_flight, 1);
  Advance(10'000);
  EXPECT_EQ(Progress().in_flight, 0);
}

TEST_F(LinkFaultsTest, SignsOfLifeKeepRenewedMessages) {
  SendOk("m");
  peer_->link.RegisterClient("c", "g");
  const auto message = ReceiveOne(*peer_, {.auto_renew = true});
  for (int i = 0; i < 60; ++i) {
    peer_->link.SignOfLife("c", "g");
    Advance(2'000);
    if (i == 30) {
      peer_->relay.CutAll();
      Connect(*peer_);
    }
  }
  EXPECT_EQ(Progress().in_flight, 1);
  EXPECT_EQ(CodeOf(peer_->Ack("t", message.handle)), 20000u);
}

TEST_F(LinkFaultsTest, AClientWhoseStreamsEndedIsDeadAfterFifteenSecondsEvenOverANewLink) {
  SendOk("m");
  peer_->link.RegisterClient("c", "g");
  ReceiveOne(*peer_, {.auto_renew = true});
  Advance(2'000);
  peer_->link.SignOfLife("c", "g");
  peer_->relay.CutAll();
  peer_->link.ClientStreamsEnded("c", "g");  // while nobody can hear it
  Connect(*peer_);
  Advance(14'000);
  EXPECT_EQ(Progress().in_flight, 1);
  Advance(3'000);
  EXPECT_EQ(Progress().in_flight, 0);
}

TEST_F(LinkFaultsTest, TerminationEndsPollsAtOnceAndReturnsRenewedMessages) {
  SendOk("m");
  peer_->link.RegisterClient("c", "g");
  ReceiveOne(*peer_, {.auto_renew = true});
  const auto poll = peer_->Receive("t", {.wait = 20'000});
  const auto of_other = peer_->Receive("t", {.client = "other", .wait = 20'000});
  Turn();
  std::string payload;
  Encode(link::ClientRecord{.client = "c", .group = "g"}, payload);
  EXPECT_EQ(CodeOf(peer_->Call(Op::kClientTerminated, payload)), 20000u);
  EXPECT_EQ(CodeOf(poll), 40401u);
  EXPECT_FALSE(of_other->code().has_value());
  Advance(1'500);
  EXPECT_EQ(CodeOf(of_other), 20000u);
}

}  // namespace
}  // namespace millrace
