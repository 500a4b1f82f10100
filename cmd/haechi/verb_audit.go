package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/app"
	"github.com/haechi-dev/haechi/base/remote"
	"github.com/haechi-dev/haechi/keeper/audit"
	"github.com/haechi-dev/haechi/word/fault"
)

func auditVerb() verb {
	return verb{name: "audit", args: "verify | heads | list | tail", summary: "what was done here and refused, and whether somebody touched the records", help: `
  haechi audit verify -data /var/lib/haechi    is the trail whole? exits 1 if not
  haechi audit heads > heads-2026-11-25        how far it has come, to keep elsewhere
  haechi audit verify -heads heads-2026-11-25  and later: is nothing cut off since?
  haechi audit list -user kim -since 24h       what kim did
  haechi audit list -refused -format json      who was turned away
  haechi audit tail -f -changes                as it happens

'verify' and 'heads' read the database and root.key themselves, beside a running
server or without one: they do not take its word. They need -data, or -database
for PostgreSQL. 'list' and 'tail' ask a server.
` + clientHelp, run: auditDo}
}

// lookup is what LookupEvents takes.
type lookup struct {
	User     string `json:"User,omitzero"`
	Action   string `json:"Action,omitzero"`
	Code     string `json:"Code,omitzero"`
	Contains string `json:"Contains,omitzero"`
	Since    string `json:"Since,omitzero"`
	Until    string `json:"Until,omitzero"`
	Changes  bool   `json:"Changes,omitzero"`
	Refused  bool   `json:"Refused,omitzero"`
	Limit    int    `json:"Limit,omitzero"`
	Before   string `json:"Before,omitzero"`
}

func auditDo(ctx context.Context, c call, flags *flag.FlagSet) error {
	read := serverFlags(c, flags)
	endpoint := endpointFlag(flags)
	var ask lookup
	heads := flags.String("heads", "", "a `file` that 'haechi audit heads' wrote earlier")
	flags.StringVar(&ask.User, "user", "", "a user's name, an ARN, or an access key")
	flags.StringVar(&ask.Action, "action", "", "CreateUser, iam:*, Delete*")
	flags.StringVar(&ask.Code, "code", "", "an error's code, * for any")
	flags.StringVar(&ask.Contains, "has", "", "text that stands in the record")
	flags.BoolVar(&ask.Changes, "changes", false, "no reads")
	flags.BoolVar(&ask.Refused, "refused", false, "only what was refused")
	since := flags.String("since", "", "a `time`, a day, or how long ago: 24h, 7d")
	until := flags.String("until", "", "the same: what came before it")
	limit := flags.Int("limit", 0, "how many records (50; 20 for tail)")
	follow := flags.Bool("f", false, "tail: go on with what comes")
	format := formatFlag(flags, "table", "json")
	rest, err := parse(c, flags, 1, 1)
	if err != nil {
		return err
	}
	shape, err := format()
	if err != nil {
		return err
	}
	switch rest[0] {
	case "verify", "heads":
		names := []string{"database", "account", "region", "log", "config", "format"}
		if rest[0] == "verify" {
			names = append(names, "heads")
		}
		if err := only(flags, rest[0], names...); err != nil {
			return err
		}
		return auditVerify(ctx, c, read, *heads, shape, rest[0] == "heads")
	case "list", "tail":
		names := []string{"user", "action", "code", "has", "changes", "refused", "since", "until", "limit", "format"}
		if rest[0] == "tail" {
			names = append(names, "f")
		}
		if err := only(flags, rest[0], names...); err != nil {
			return err
		}
		if ask.Since, err = moment(*since); err != nil {
			return err
		}
		if ask.Until, err = moment(*until); err != nil {
			return err
		}
		client, err := findServer(c, *endpoint, flags.Lookup("data").Value.String())
		if err != nil {
			return err
		}
		if rest[0] == "tail" {
			ask.Limit = cmp.Or(*limit, 20)
			return auditTail(ctx, c, client, ask, shape, *follow)
		}
		ask.Limit = cmp.Or(*limit, 50)
		return auditList(ctx, c, client, ask, shape)
	}
	return unknown(rest[0], "verify", "heads", "list", "tail")
}

// moment is a time as people give one, in RFC 3339; "" stays "".
func moment(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC().Format(time.RFC3339), nil
		}
	}
	days, ok := strings.CutSuffix(text, "d")
	if ok {
		text = days + "h"
	}
	ago, err := time.ParseDuration(text)
	if err != nil || ago < 0 {
		return "", usagef("%q is no time: 2026-01-31, 2026-01-31T09:00, 24h, 7d", text)
	}
	if ok {
		ago *= 24
	}
	return time.Now().Add(-ago).UTC().Format(time.RFC3339), nil
}

func auditVerify(ctx context.Context, c call, read func() (app.Config, error), noted, shape string, heads bool) error {
	config, err := read()
	if err != nil {
		return err
	}
	var earlier []audit.Head
	if noted != "" {
		text, err := os.ReadFile(noted)
		if err != nil {
			return fault.Invalid.Wrap(err)
		}
		if earlier, err = audit.ParseHeads(noted, text); err != nil {
			return err
		}
	}
	report, err := app.VerifyAudit(ctx, config, c.env, earlier...)
	if err != nil {
		return err
	}
	if heads {
		return showHeads(c, report, shape)
	}
	if shape == "json" {
		err = writeJSON(c.stdout, report)
	} else {
		showReport(c, report)
	}
	if err == nil && len(report.Problems) > 0 {
		return exit(exitWrong)
	}
	return err
}

func showHeads(c call, r audit.Report, shape string) error {
	if len(r.Problems) > 0 {
		return fault.Conflict.Errorf("the trail is not whole, so how far it has come proves nothing: haechi audit verify tells more")
	}
	heads := make([]audit.Head, len(r.Chains))
	for i, chain := range r.Chains {
		heads[i] = chain.Head
	}
	if shape == "json" {
		return writeJSON(c.stdout, heads)
	}
	for _, h := range heads {
		fmt.Fprintln(c.stdout, h)
	}
	return nil
}

func showReport(c call, r audit.Report) {
	for _, p := range r.Problems {
		fmt.Fprintln(c.stdout, p)
	}
	if r.More > 0 {
		fmt.Fprintf(c.stdout, "and %d more\n", r.More)
	}
	if len(r.Problems) > 0 && len(r.Chains) > 0 {
		fmt.Fprintln(c.stdout)
	}
	for _, chain := range r.Chains {
		fmt.Fprintf(c.stdout, "node %s: %d records in %d blocks, %s to %s\n", chain.Node, chain.Records, chain.Blocks, chain.From.Format(time.RFC3339), chain.To.Format(time.RFC3339))
	}
	switch {
	case len(r.Problems) > 0:
		fmt.Fprintf(c.stderr, "haechi audit: the trail is not as it was written\n")
	case len(r.Chains) == 0:
		fmt.Fprintln(c.stdout, "nothing was recorded yet")
	default:
		fmt.Fprintln(c.stdout, "nobody touched the trail")
	}
}

type looked struct {
	Records []jsontext.Value
	Next    string
}

// look asks for records, the newest first, until there are as many as were asked for.
func look(ctx context.Context, client *remote.Client, ask lookup) (all []jsontext.Value, err error) {
	for most := ask.Limit; len(all) < most; {
		ask.Limit = min(most-len(all), 1000)
		var page looked
		if err := client.JSON(ctx, "haechi", "Haechi.LookupEvents", ask, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Records...)
		if ask.Before = page.Next; page.Next == "" {
			break
		}
	}
	return all, nil
}

func auditList(ctx context.Context, c call, client *remote.Client, ask lookup, shape string) error {
	all, err := look(ctx, client, ask)
	if err != nil {
		return err
	}
	if shape == "json" {
		return writeJSON(c.stdout, map[string][]jsontext.Value{"Records": append([]jsontext.Value{}, all...)})
	}
	if len(all) == 0 {
		fmt.Fprintln(c.stderr, "no record is like that")
		return nil
	}
	fmt.Fprintf(c.stdout, "%-20s  %-20s  %-15s  %-36s  %s\n", "TIME", "WHO", "FROM", "ACTION", "RESULT")
	for _, r := range all {
		showRecord(c, r)
	}
	return nil
}

func showRecord(c call, text jsontext.Value) {
	var r audit.Record
	if err := json.Unmarshal(text, &r); err != nil {
		return
	}
	result := cmp.Or(r.Code, r.Reason, "ok")
	who := cmp.Or(r.Identity.User, r.Identity.ARN, r.Identity.Service, "-")
	if r.Identity.Type == "AssumedRole" {
		who = r.Identity.ARN[strings.LastIndexByte(r.Identity.ARN, ':')+1:]
	}
	fmt.Fprintf(c.stdout, "%-20s  %-20s  %-15s  %-36s  %s\n", r.Time, printable(who), printable(cmp.Or(r.SourceIP, "-")), printable(strings.TrimSuffix(r.Source, ".amazonaws.com")+":"+r.Name), printable(result))
}

// auditTail shows the newest records in the order in which they came, and with follow what comes.
func auditTail(ctx context.Context, c call, client *remote.Client, ask lookup, shape string, follow bool) error {
	shown := map[string]bool{}
	for {
		all, err := look(ctx, client, ask)
		if err != nil {
			return err
		}
		newest := map[string]bool{}
		for _, text := range slices.Backward(all) {
			var r struct {
				ID   string `json:"eventID"`
				Name string `json:"eventName"`
			}
			if err := json.Unmarshal(text, &r); err != nil {
				return err
			}
			newest[r.ID] = true
			switch {
			case shown[r.ID], follow && r.Name == "LookupEvents" && ask.Action == "": // its own, every second
			case shape == "json":
				fmt.Fprintf(c.stdout, "%s\n", text)
			default:
				showRecord(c, text)
			}
		}
		if !follow {
			return nil
		}
		shown = newest
		ask.Limit = 1000 // what came since; what was shown is known by its id
		ask.Since = time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil
		}
	}
}
