package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/haechi-dev/haechi/lang/match"
	"github.com/haechi-dev/haechi/word/fault"
)

func eventsVerb() verb {
	return verb{name: "events", args: "test PATTERN EVENT | put DETAIL", summary: "try an event pattern, put an event on a bus", help: `
  haechi events test '{"source": ["shop"]}' event.json      does it match, and why (needs no server)
  haechi events test pattern.json - < event.json
  haechi events put -source shop -type "Order Placed" '{"total": 42}'
  haechi events put -source shop -type "Order Placed" -bus orders detail.json

A PATTERN, an EVENT or a DETAIL is JSON, the name of a file with it, or - for
standard input. 'test' exits 0 if it matches and 1 if not.
` + clientHelp, run: events}
}

func events(ctx context.Context, c call, flags *flag.FlagSet) error {
	find := clientFlags(c, flags)
	source := flags.String("source", "", "of the event that is put")
	kind := flags.String("type", "", "of the event that is put: its detail-type")
	bus := flags.String("bus", "", "to put it on (default)")
	resources := flags.String("resources", "", "ARNs that the event is about, with commas between")
	format := formatFlag(flags, "table", "json")
	rest, err := parse(c, flags, 1, 3)
	if err != nil {
		return err
	}
	shape, err := format()
	if err != nil {
		return err
	}
	switch {
	case rest[0] == "test" && len(rest) == 3:
		if err := only(flags, "test", "format"); err != nil {
			return err
		}
		return testPattern(c, rest[1], rest[2], shape)
	case rest[0] == "test":
		return usagef("test takes a pattern and an event")
	case rest[0] == "put" && len(rest) == 2:
		if *source == "" || *kind == "" {
			return usagef("an event has a -source and a -type")
		}
		detail, err := given(c, rest[1])
		if err != nil {
			return err
		}
		e := entry{Source: *source, Type: *kind, Bus: *bus, Detail: string(detail)}
		if *resources != "" {
			e.Resources = strings.Split(*resources, ",")
		}
		client, err := find()
		if err != nil {
			return err
		}
		var out putAnswer
		if err := client.JSON(ctx, "events", "AWSEvents.PutEvents", map[string][]entry{"Entries": {e}}, &out); err != nil {
			return err
		}
		return showPut(c, out, shape)
	case rest[0] == "put":
		return usagef("put takes one detail")
	}
	return unknown(rest[0], "test", "put")
}

// entry is one of PutEvents' entries.
type entry struct {
	Source    string
	Type      string   `json:"DetailType"`
	Bus       string   `json:"EventBusName,omitzero"`
	Resources []string `json:"Resources,omitzero"`
	Detail    string
}

type putAnswer struct {
	Entries []struct {
		EventID string `json:"EventId,omitzero"`
		Code    string `json:"ErrorCode,omitzero"`
		Message string `json:"ErrorMessage,omitzero"`
	}
}

func showPut(c call, out putAnswer, shape string) error {
	if shape == "json" {
		return writeJSON(c.stdout, out)
	}
	for _, e := range out.Entries {
		if e.EventID == "" {
			return fault.Conflict.Errorf("%s: %s", e.Code, e.Message)
		}
		fmt.Fprintln(c.stdout, e.EventID)
	}
	return nil
}

func testPattern(c call, patternArg, eventArg, shape string) error {
	if patternArg == "-" && eventArg == "-" {
		return usagef("pattern and event cannot both come from standard input")
	}
	text, err := given(c, patternArg)
	if err != nil {
		return err
	}
	pattern, err := match.Parse(text)
	if err != nil {
		return err
	}
	event, err := given(c, eventArg)
	if err != nil {
		return err
	}
	if err := match.Check(event); err != nil {
		return fault.Invalid.Errorf("the event: %w", err)
	}
	why := pattern.Why(event)
	if shape == "json" {
		clauses := []map[string]any{}
		for _, clause := range why.Clauses {
			clauses = append(clauses, map[string]any{"path": clause.Path, "want": clause.Want, "met": clause.Met, "why": clause.String()})
		}
		if err := writeJSON(c.stdout, map[string]any{"matched": why.Matched, "clauses": clauses}); err != nil {
			return err
		}
	} else {
		verdict := "does not match"
		if why.Matched {
			verdict = "matches"
		}
		fmt.Fprintf(c.stdout, "%s\n%s\n", verdict, strings.TrimRight(why.String(), "\n"))
	}
	if !why.Matched {
		return exit(exitWrong)
	}
	return nil
}

// maxGiven is how much is read of what an argument names.
const maxGiven = 16 << 20

// given is what an argument stands for: JSON as it is, - for standard input, else a file.
func given(c call, arg string) ([]byte, error) {
	if strings.HasPrefix(strings.TrimSpace(arg), "{") {
		return []byte(arg), nil
	}
	in, name := c.stdin, "standard input"
	if arg != "-" {
		f, err := os.Open(arg)
		if err != nil {
			return nil, fault.Invalid.Wrap(err)
		}
		defer f.Close()
		in, name = f, arg
	}
	text, err := io.ReadAll(io.LimitReader(in, maxGiven+1))
	if err == nil && len(text) > maxGiven {
		err = fault.Invalid.Errorf("%s is larger than %d bytes", name, maxGiven)
	}
	return text, err
}
