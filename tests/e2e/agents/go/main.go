// Agent of the end-to-end tests on the official Go SDK. Commands, options and output lines are
// the same for every agent: see ../../README.md.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	rmq "github.com/apache/rocketmq-clients/golang/v5"
	"github.com/apache/rocketmq-clients/golang/v5/credentials"
)

type options struct {
	command string
	values  map[string]string
}

func (o options) text(name string) string { return o.values[name] }

func (o options) number(name string) int {
	n, err := strconv.Atoi(o.values[name])
	if err != nil {
		fatal(fmt.Errorf("--%s is %q and must be a whole number", name, o.values[name]))
	}
	return n
}

func (o options) words(name string) []string {
	var words []string
	for _, word := range strings.Split(o.values[name], ",") {
		if word != "" {
			words = append(words, word)
		}
	}
	return words
}

func (o options) config() *rmq.Config {
	return &rmq.Config{
		Endpoint:      o.text("endpoints"),
		ConsumerGroup: o.text("group"),
		Credentials: &credentials.SessionCredentials{
			AccessKey:    os.Getenv("MILLRACE_ACCESS_KEY"),
			AccessSecret: os.Getenv("MILLRACE_SECRET_KEY"),
		},
	}
}

func parse(arguments []string) options {
	if len(arguments) == 0 {
		fatal(fmt.Errorf("the first argument must be send, simple or push"))
	}
	o := options{command: arguments[0], values: map[string]string{
		"endpoints": "", "topic": "", "name": "go", "tls": "off", "close": "off", "count": "0",
		"first": "0", "rate": "0", "workers": "1", "tag": "", "keys": "", "properties": "",
		"sizes": "100", "group": "", "filter": "*", "batch": "16", "invisible": "30", "wait": "5",
		"action": "ack", "handler-ms": "0", "fail": "none",
	}}
	rest := arguments[1:]
	for ; len(rest) >= 2; rest = rest[2:] {
		name := strings.TrimPrefix(rest[0], "--")
		if _, known := o.values[name]; !known {
			fatal(fmt.Errorf("unknown option %s", rest[0]))
		}
		o.values[name] = rest[1]
	}
	if len(rest) != 0 {
		fatal(fmt.Errorf("option %s has no value", rest[0]))
	}
	return o
}

var printMutex sync.Mutex

type fields map[string]any

func emit(op string, f fields) {
	f["op"] = op
	line, err := json.Marshal(f)
	if err != nil {
		panic(err)
	}
	printMutex.Lock()
	defer printMutex.Unlock()
	os.Stdout.Write(append(line, '\n'))
}

func fatal(err error) {
	emit("error", fields{"error": err.Error()})
	os.Exit(1)
}

var (
	stopped  = make(chan struct{})
	stopOnce sync.Once
)

func stop() { stopOnce.Do(func() { close(stopped) }) }

func isStopped() bool {
	select {
	case <-stopped:
		return true
	default:
		return false
	}
}

func watchStdin() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if strings.TrimSpace(lines.Text()) == "stop" {
			break
		}
	}
	stop()
}

func runWorkers(count int, work func()) {
	var group sync.WaitGroup
	for i := 0; i < count; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			work()
		}()
	}
	group.Wait()
}

func main() {
	o := parse(os.Args[1:])
	rmq.EnableSsl = o.text("tls") == "on"
	go watchStdin()
	var shutdown func() error
	switch o.command {
	case "send":
		shutdown = runSend(o)
	case "simple":
		shutdown = runSimple(o)
	case "push":
		shutdown = runPush(o)
	default:
		fatal(fmt.Errorf("unknown command %q: use send, simple or push", o.command))
	}
	if o.text("close") == "on" {
		if err := shutdown(); err != nil {
			fatal(err)
		}
	}
	emit("end", fields{"sdk": "go"})
}
