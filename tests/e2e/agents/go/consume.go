package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	rmq "github.com/apache/rocketmq-clients/golang/v5"
	v2 "github.com/apache/rocketmq-clients/golang/v5/protocol/v2"
)

// counter stops the agent once limit successes were counted; 0 = no limit.
type counter struct {
	limit int64
	done  atomic.Int64
}

func (c *counter) add() {
	if done := c.done.Add(1); c.limit > 0 && done >= c.limit {
		stop()
	}
}

func reportDelivery(view *rmq.MessageView, group string, invoke any) {
	seen := wireOf(view.GetReceiptHandle())
	keys := append([]string{}, view.GetKeys()...)
	sort.Strings(keys)
	sum := sha256.Sum256(view.GetBody())
	properties := view.GetProperties()
	if properties == nil {
		properties = map[string]string{}
	}
	emit("deliver", fields{"group": group, "id": view.GetMessageId(), "uid": properties["uid"],
		"topic": view.GetTopic(), "tag": view.GetTag(), "keys": keys, "properties": properties,
		"sha": hex.EncodeToString(sum[:]), "size": len(view.GetBody()), "attempt": view.GetDeliveryAttempt(),
		"queue": seen.queue, "offset": seen.offset, "origin": seen.origin, "invoke": invoke, "t": seen.seen})
}

func subscription(o options) map[string]*rmq.FilterExpression {
	return map[string]*rmq.FilterExpression{o.text("topic"): rmq.NewFilterExpression(o.text("filter"))}
}

func runSimple(o options) func() error {
	group := o.text("group")
	observe(group, false)
	consumer, err := rmq.NewSimpleConsumer(o.config(),
		rmq.WithSimpleAwaitDuration(time.Duration(o.number("wait"))*time.Second),
		rmq.WithSimpleSubscriptionExpressions(subscription(o)))
	if err != nil {
		fatal(err)
	}
	if err := consumer.Start(); err != nil {
		fatal(err)
	}
	emit("ready", fields{"sdk": "go"})

	count := &counter{limit: int64(o.number("count"))}
	invisible := time.Duration(o.number("invisible")) * time.Second
	runWorkers(o.number("workers"), func() {
		for !isStopped() {
			invoke := now()
			views, err := consumer.Receive(context.Background(), int32(o.number("batch")), invisible)
			if err != nil {
				if codeOf(err) != int(v2.Code_MESSAGE_NOT_FOUND) { // an empty poll is an error object here
					emit("receive", fields{"ok": false, "start": invoke, "end": now(), "code": codeOf(err),
						"error": err.Error()})
					sleep(200 * time.Millisecond)
				}
				continue
			}
			for _, view := range views {
				reportDelivery(view, group, invoke)
				finish(o, consumer, view, count)
			}
		}
	})
	return consumer.GracefulStop
}

// finish does with a delivery what --action says. The interceptor reports acknowledgements.
func finish(o options, consumer rmq.SimpleConsumer, view *rmq.MessageView, count *counter) {
	action := o.text("action")
	switch {
	case action == "ack":
		if err := consumer.Ack(context.Background(), view); err != nil {
			return
		}
	case strings.HasPrefix(action, "change:"):
		seconds, err := strconv.Atoi(strings.TrimPrefix(action, "change:"))
		if err != nil {
			fatal(fmt.Errorf("--action %q needs a number of seconds after change", action))
		}
		start := now()
		err = consumer.ChangeInvisibleDuration(view, time.Duration(seconds)*time.Second)
		emit("change", fields{"group": o.text("group"), "id": view.GetMessageId(), "offset": view.GetOffset(),
			"ok": err == nil, "seconds": seconds, "start": start, "end": now(), "code": codeOf(err), "error": errorText(err)})
	}
	count.add()
}

func runPush(o options) func() error {
	group := o.text("group")
	observe(group, false)
	listener := &listener{o: o, count: &counter{limit: int64(o.number("count"))}, failures: map[string]int{}}
	consumer, err := rmq.NewPushConsumer(o.config(),
		rmq.WithPushAwaitDuration(time.Duration(o.number("wait"))*time.Second),
		rmq.WithPushSubscriptionExpressions(subscription(o)),
		rmq.WithPushMessageListener(&rmq.FuncMessageListener{Consume: listener.consume}),
		rmq.WithPushConsumptionThreadCount(int32(o.number("workers"))))
	if err != nil {
		fatal(err)
	}
	if err := consumer.Start(); err != nil {
		fatal(err)
	}
	emit("ready", fields{"sdk": "go"})
	<-stopped
	time.Sleep(500 * time.Millisecond) // the acknowledgement of the last message follows its handler
	return consumer.GracefulStop
}

type listener struct {
	o        options
	count    *counter
	mutex    sync.Mutex
	failures map[string]int
}

func (l *listener) consume(view *rmq.MessageView) rmq.ConsumerResult {
	start := now()
	group := l.o.text("group")
	reportDelivery(view, group, nil)
	time.Sleep(time.Duration(l.o.number("handler-ms")) * time.Millisecond)
	failed := l.mustFail(view.GetMessageId())
	emit("handled", fields{"group": group, "id": view.GetMessageId(), "uid": view.GetProperties()["uid"],
		"attempt": view.GetDeliveryAttempt(), "ok": !failed, "start": start, "end": now()})
	if failed {
		return rmq.FAILURE
	}
	l.count.add()
	return rmq.SUCCESS
}

// mustFail follows --fail none, all or first:N (the first N deliveries of each message).
func (l *listener) mustFail(id string) bool {
	kind, number, _ := strings.Cut(l.o.text("fail"), ":")
	switch kind {
	case "all":
		return true
	case "first":
		limit, err := strconv.Atoi(number)
		if err != nil {
			fatal(fmt.Errorf("--fail first:%s needs a number", number))
		}
		l.mutex.Lock()
		defer l.mutex.Unlock()
		seen := l.failures[id]
		l.failures[id] = seen + 1
		return seen < limit
	}
	return false
}
