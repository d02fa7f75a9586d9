package main

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	rmq "github.com/apache/rocketmq-clients/golang/v5"
	v2 "github.com/apache/rocketmq-clients/golang/v5/protocol/v2"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
)

// wireDelivery keeps what the SDK does not show of a delivered message.
type wireDelivery struct {
	queue  int32
	offset int64
	origin any
	seen   int64
}

var (
	wireMutex sync.Mutex
	wire      = map[string]wireDelivery{} // by receipt handle
)

// now is CLOCK_MONOTONIC in nanoseconds, the clock that all agents of one machine share.
func now() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err)
	}
	return t.Nano()
}

// observe adds interceptors through the SDK's own dial options. They change nothing: they see queue
// and offset of deliveries, and the status of acknowledgements, which the SDK's Ack does not return.
// largeBodies raises the SDK's limit of 2 MiB per request.
func observe(group string, largeBodies bool) {
	create := rmq.NewRpcClient
	connOptions := []rmq.ConnOption{rmq.WithDialOptions(
		grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, request, reply any,
			conn *grpc.ClientConn, invoker grpc.UnaryInvoker, callOptions ...grpc.CallOption) error {
			start := now()
			err := invoker(ctx, method, request, reply, conn, callOptions...)
			if ack, ok := request.(*v2.AckMessageRequest); ok {
				reportAck(group, ack, reply.(*v2.AckMessageResponse), err, start)
			}
			return err
		}),
		grpc.WithChainStreamInterceptor(func(ctx context.Context, description *grpc.StreamDesc,
			conn *grpc.ClientConn, method string, streamer grpc.Streamer,
			callOptions ...grpc.CallOption) (grpc.ClientStream, error) {
			stream, err := streamer(ctx, description, conn, method, callOptions...)
			if err != nil || !strings.HasSuffix(method, "/ReceiveMessage") {
				return stream, err
			}
			return &observedStream{stream}, nil
		}))}
	if largeBodies {
		connOptions = append(connOptions, rmq.WithMaxCallSendMsgSize(8<<20))
	}
	rmq.NewRpcClient = func(target string, rpcOptions ...rmq.RpcClientOption) (rmq.RpcClient, error) {
		return create(target, append(rpcOptions, rmq.WithRpcClientConnOption(connOptions...))...)
	}
}

type observedStream struct{ grpc.ClientStream }

func (s *observedStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err != nil {
		return err
	}
	message := m.(*v2.ReceiveMessageResponse).GetMessage()
	if message == nil {
		return nil
	}
	properties := message.GetSystemProperties()
	seen := wireDelivery{queue: properties.GetQueueId(), offset: properties.GetQueueOffset(), seen: now()}
	if letter := properties.GetDeadLetterQueue(); letter != nil {
		seen.origin = fields{"topic": letter.GetTopic(), "id": letter.GetMessageId()}
	}
	wireMutex.Lock()
	wire[properties.GetReceiptHandle()] = seen
	wireMutex.Unlock()
	return nil
}

// wireOf keeps the entry: the acknowledgement asks once more, and a run of the tests is short.
func wireOf(handle string) wireDelivery {
	wireMutex.Lock()
	defer wireMutex.Unlock()
	return wire[handle]
}

func reportAck(group string, request *v2.AckMessageRequest, reply *v2.AckMessageResponse, err error, start int64) {
	for i, entry := range request.GetEntries() {
		code, text := 0, ""
		if err != nil {
			text = err.Error()
		} else if i < len(reply.GetEntries()) {
			code = int(reply.GetEntries()[i].GetStatus().GetCode())
			text = reply.GetEntries()[i].GetStatus().GetMessage()
		} else {
			code = int(reply.GetStatus().GetCode())
			text = reply.GetStatus().GetMessage()
		}
		emit("ack", fields{"group": group, "id": entry.GetMessageId(), "ok": code == int(v2.Code_OK),
			"code": code, "error": text, "start": start, "end": now(),
			"offset": wireOf(entry.GetReceiptHandle()).offset})
	}
}

// codeOf returns the in-band status code of an SDK error, 0 where there is none (outcome unknown).
func codeOf(err error) int {
	if err == nil {
		return int(v2.Code_OK)
	}
	var status *rmq.ErrRpcStatus
	if errors.As(err, &status) {
		return int(status.Code)
	}
	return 0
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func sleep(d time.Duration) {
	select {
	case <-stopped:
	case <-time.After(d):
	}
}
