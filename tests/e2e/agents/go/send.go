package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	rmq "github.com/apache/rocketmq-clients/golang/v5"
)

const sdkSendLimit = 2 << 20

func sizes(o options) (list []int, largest int) {
	for _, word := range o.words("sizes") {
		size, err := strconv.Atoi(word)
		if err != nil {
			fatal(fmt.Errorf("--sizes has %q, which is no number", word))
		}
		list = append(list, size)
		largest = max(largest, size)
	}
	return list, largest
}

func buildMessage(o options, bodySizes []int, seq int) (uid, tag string, message *rmq.Message) {
	uid = fmt.Sprintf("%s-%d", o.text("name"), seq)
	size := bodySizes[seq%len(bodySizes)]
	text := uid + ":"
	message = &rmq.Message{
		Topic: o.text("topic"),
		Body:  []byte(strings.Repeat(text, size/len(text)+1)[:size]),
	}
	if tags := o.words("tag"); len(tags) > 0 {
		tag = tags[seq%len(tags)]
		message.SetTag(tag)
	}
	message.SetKeys(o.words("keys")...)
	for _, pair := range o.words("properties") {
		key, value, _ := strings.Cut(pair, "=")
		message.AddProperty(key, value)
	}
	message.AddProperty("uid", uid)
	return uid, tag, message
}

func runSend(o options) func() error {
	bodySizes, largest := sizes(o)
	observe("", largest > sdkSendLimit-65536)
	producer, err := rmq.NewProducer(o.config(), rmq.WithTopics(o.text("topic")))
	if err != nil {
		fatal(err)
	}
	if err := producer.Start(); err != nil {
		fatal(err)
	}
	emit("ready", fields{"sdk": "go"})

	first, count, rate := o.number("first"), o.number("count"), o.number("rate")
	var next atomic.Int64
	next.Store(int64(first))
	began := time.Now()
	runWorkers(o.number("workers"), func() {
		for !isStopped() {
			seq := int(next.Add(1) - 1)
			if count > 0 && seq >= first+count {
				return
			}
			if rate > 0 {
				sleep(time.Until(began.Add(time.Duration(seq-first) * time.Second / time.Duration(rate))))
			}
			if isStopped() {
				return
			}
			sendOne(o, producer, bodySizes, seq)
		}
	})
	return producer.GracefulStop
}

func sendOne(o options, producer rmq.Producer, bodySizes []int, seq int) {
	uid, tag, message := buildMessage(o, bodySizes, seq)
	start := now()
	receipts, err := producer.Send(context.Background(), message)
	end := now()
	id, offset := "", int64(-1)
	if err == nil && len(receipts) == 1 {
		id, offset = receipts[0].MessageID, receipts[0].Offset
	}
	sum := sha256.Sum256(message.Body)
	emit("send", fields{"ok": err == nil, "id": id, "uid": uid, "topic": message.Topic, "tag": tag,
		"keys": o.words("keys"), "sha": hex.EncodeToString(sum[:]), "size": len(message.Body), "offset": offset,
		"start": start, "end": end, "ms": float64(end-start) / 1e6, "code": codeOf(err), "error": errorText(err)})
}
