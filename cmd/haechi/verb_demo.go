package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/app"
	"github.com/haechi-dev/haechi/app/demo"
)

func demoVerb() verb {
	return verb{name: "demo", summary: "the whole loop on this machine, with a small shop", help: `
  haechi demo                       plays three rivers, then keeps serving
  haechi demo -exit -format json    plays them, says what came of it, and ends

A push with a secret is refused; a push with a vulnerable dependency fails its
run; a log line becomes a detection; a bucket that anybody may read becomes a
finding. Each ends in a message to Slack, which the demo stands in for. It
listens on loopback alone, needs git and no network, and keeps its state in a
folder of its own below the user's cache, which the next demo removes.`, run: runDemo}
}

func runDemo(ctx context.Context, c call, flags *flag.FlagSet) error {
	data := flags.String("data", "", "the demo's own folder (below the user's cache)")
	listen := flags.String("listen", "127.0.0.1:8080", "a loopback address; a free port is taken if it is in use")
	end := flags.Bool("exit", false, "end after the third river")
	format := flags.String("format", "text", "text, or json with -exit")
	level := flags.String("log", "error", "debug, info, warn or error")
	if _, err := parse(c, flags, 0, 0); err != nil {
		return err
	}
	if *format != "text" && (*format != "json" || !*end) {
		return usagef("-format is text, or json together with -exit")
	}
	host, _, err := net.SplitHostPort(*listen)
	if addr, e := netip.ParseAddr(host); err != nil || e != nil || !addr.IsLoopback() {
		return usagef("the demo listens on loopback alone, 127.0.0.1:PORT, not on %q", *listen)
	}
	log, err := (&app.Config{Log: *level}).NewLog(c.stderr)
	if err != nil {
		return err
	}
	out := c.stdout
	if *format == "json" {
		out = io.Discard
	}
	result, err := demo.Run(ctx, demo.Config{Data: *data, Listen: *listen, Exit: *end, Out: out, Log: log})
	if err != nil {
		return err
	}
	if *format == "json" {
		if err := json.MarshalWrite(c.stdout, result, json.Deterministic(true), jsontext.WithIndent("  ")); err != nil {
			return err
		}
		fmt.Fprintln(c.stdout)
	}
	return nil
}
