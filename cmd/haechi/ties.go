package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/haechi-dev/haechi/base/remote"
	own "github.com/haechi-dev/haechi/door/wire/haechi"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// listTies shows what several tools name, the newest first.
func listTies(ctx context.Context, c call, client *remote.Client, filters hub.Filters, most int, shape string) error {
	problems, more, err := getProblems(ctx, client, filters, most)
	if err != nil {
		return err
	}
	if shape == "json" {
		return writeJSON(c.stdout, problems)
	}
	if len(problems) == 0 {
		fmt.Fprintln(c.stderr, "haechi findings: no two tools say the same")
	}
	for _, p := range problems {
		showProblem(c.stdout, &p)
	}
	if more {
		fmt.Fprintf(c.stderr, "haechi findings: these are the first %d; -n 0 shows all\n", len(problems))
	}
	return nil
}

func getProblems(ctx context.Context, client *remote.Client, filters hub.Filters, most int) (all []own.Problem, more bool, err error) {
	in := struct {
		Filters hub.Filters `json:"Filters,omitzero"`
		Limit   int
		Before  int64 `json:"Before,omitzero"`
	}{filters, 100, 0}
	all = []own.Problem{}
	for {
		if most > 0 {
			in.Limit = min(100, most-len(all))
		}
		var page struct {
			Problems []own.Problem
			Next     int64
		}
		if err := client.JSON(ctx, "haechi", "Haechi.ListProblems", in, &page); err != nil {
			return nil, false, err
		}
		all, in.Before = append(all, page.Problems...), page.Next
		if page.Next == 0 || most > 0 && len(all) >= most {
			return all, page.Next != 0, nil
		}
	}
}

// showProblem shows a problem to people: what it is, why it is one, and who says so.
func showProblem(w io.Writer, p *own.Problem) {
	fmt.Fprintf(w, "%d  %s  %s\n", p.ID, p.Severity, cell(p.Title))
	for _, r := range p.Reasons {
		fmt.Fprintf(w, "    %s\n", cell(r))
	}
	for _, f := range p.Witnesses {
		state := string(f.Status)
		if f.Record == finding.Archived {
			state += ", archived"
		}
		fmt.Fprintf(w, "  %s  %s  %s  %s  %s", cell(f.Tool), f.Severity, state, cell(f.Where), cell(f.Title))
		if f.Claim != "" {
			fmt.Fprintf(w, "  (%s)", cell(strings.TrimSuffix(f.Claim, "?")))
		}
		if f.By != "" {
			fmt.Fprintf(w, "  (tied by %s)", cell(f.By))
		}
		fmt.Fprintln(w)
	}
}

// retie ties two findings, or unties one from a problem.
func retie(ctx context.Context, c call, client *remote.Client, do string, words []string, reason string, problem int64) error {
	var refs []hub.Ref
	for _, id := range words {
		found, _, err := getFindings(ctx, client, hub.Filters{"Id": hub.Is(id)}, orders["newest"], 2)
		if err != nil {
			return err
		}
		parsed, err := parseFindings(found)
		if err != nil {
			return err
		}
		if len(parsed) != 1 {
			return fault.NotFound.Errorf("there is no one finding with the Id %q", id)
		}
		refs = append(refs, hub.RefOf(parsed[0]))
	}
	if do == "tie" {
		in := struct {
			Finding, Other hub.Ref
			Reason         string
		}{refs[0], refs[1], reason}
		if err := client.JSON(ctx, "haechi", "Haechi.TieFindings", in, &struct{}{}); err != nil {
			return err
		}
		fmt.Fprintln(c.stdout, "tied")
		return nil
	}
	if problem == 0 {
		of, _, err := getProblems(ctx, client, hub.Filters{"Id": hub.Is(words[0])}, 0)
		if err != nil {
			return err
		}
		switch {
		case len(of) == 0:
			return fault.NotFound.Errorf("the finding is tied to nothing")
		case len(of) > 1:
			var numbers []string
			for _, p := range of {
				numbers = append(numbers, fmt.Sprint(p.ID))
			}
			return usagef("it is tied to several problems; say with -problem which one: %s", strings.Join(numbers, ", "))
		}
		problem = of[0].ID
	}
	in := struct {
		Finding hub.Ref
		Problem int64
		Reason  string
	}{refs[0], problem, reason}
	if err := client.JSON(ctx, "haechi", "Haechi.UntieFinding", in, &struct{}{}); err != nil {
		return err
	}
	fmt.Fprintln(c.stdout, "untied")
	return nil
}
