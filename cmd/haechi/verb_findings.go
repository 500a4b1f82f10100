package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/base/remote"
	"github.com/haechi-dev/haechi/door/console"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/tool/report"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

func findingsVerb() verb {
	return verb{name: "findings", args: "[list|get|suppress|resolve|reopen|assign|ties|tie|untie] [WORDS…]", summary: "what is wrong, and what is decided about it", help: `
  haechi findings                             all that is open, the worst first
  haechi findings severity:critical,high tool:deps
  haechi findings -severity HIGH -format json     the same as ASFF, for programs
  haechi findings -n 0 -format html > report.html   or csv, jsonl, sarif, ocsf
  haechi findings -status RESOLVED title:bucket*
  haechi findings get ID                          everything about one
  haechi findings resolve -reason "rotated" ID
  haechi findings suppress -reason "a test key" rule:secret/npm-token
  haechi findings assign -to kim -reason "her service" -all package:lodash
  haechi findings ties severity:critical      what several tools say of one
  haechi findings tie -reason "one query" ID ID   two findings are one problem
  haechi findings untie -reason "a fork" ID   it is not what it is tied to

Words are those of the console's filter: key:value, key:value,other, key:value*
for what begins so, and other words for what is said anywhere. What must not be
stands behind a "--" with a minus: haechi findings -- -severity:low. Keys:
severity status state rule title id resource kind type product account region
compliance control verified note fix exploit tool target file package branch.

A change needs a reason, and -all where more than one finding is meant.
` + clientHelp, run: findings}
}

var (
	decisions = []string{"suppress", "resolve", "reopen", "assign"}
	orders    = map[string]hub.Sort{
		"newest": {Field: "UpdatedAt", SortOrder: "desc"},
		"oldest": {Field: "CreatedAt", SortOrder: "asc"},
		"worst":  {Field: "SeverityNormalized", SortOrder: "desc"},
	}
)

func findings(ctx context.Context, c call, flags *flag.FlagSet) error {
	find := clientFlags(c, flags)
	severity := flags.String("severity", "", "CRITICAL, HIGH, MEDIUM, LOW, INFORMATIONAL, with commas between")
	status := flags.String("status", "", "NEW, NOTIFIED, RESOLVED, SUPPRESSED, with commas between, or ALL (what is open)")
	sort := flags.String("sort", "worst", "worst, newest or oldest: which ones count for -n; a table has the worst first")
	most := flags.Int("n", 100, "how many at most; 0 is all")
	reason := flags.String("reason", "", "why it is so decided")
	to := flags.String("to", "", "who is to mend it")
	problem := flags.Int64("problem", 0, "which problem to untie from, where a finding is tied to several")
	all := flags.Bool("all", false, "change all that the words mean, not one alone")
	format := formatFlag(flags, "table", "json", "ids", "jsonl", "csv", "sarif", "ocsf", "html")
	rest, err := parse(c, flags, 0, -1)
	if err != nil {
		return err
	}
	do := "list"
	if len(rest) > 0 && slices.Contains(append([]string{"list", "get", "ties", "tie", "untie"}, decisions...), rest[0]) {
		do, rest = rest[0], rest[1:]
	}
	shape, err := format()
	if err != nil {
		return err
	}
	order, ok := orders[*sort]
	if !ok {
		return usagef("-sort is worst, newest or oldest, not %q", *sort)
	}
	if *most < 0 {
		return usagef("-n cannot be %d", *most)
	}
	allowed := []string{"format", "severity", "status", "sort", "n"}
	if do != "list" {
		allowed = map[string][]string{"get": {"format"}, "assign": {"reason", "to", "all"}, "ties": {"format", "n"}, "tie": {"reason"}, "untie": {"reason", "problem"}}[do]
		if allowed == nil {
			allowed = []string{"reason", "all"}
		}
	}
	if err := only(flags, do, allowed...); err != nil {
		return err
	}
	if want := map[string]int{"tie": 2, "untie": 1}[do]; want > 0 && len(rest) != want {
		return usagef("%s takes %s", do, counted(want, "ID"))
	}
	if do != "list" && do != "ties" && len(rest) == 0 {
		return usagef("%s what? give an ID, or words that mean it", do)
	}
	var filters hub.Filters
	switch do {
	case "tie", "untie":
	case "ties":
		if shape != "table" && shape != "json" {
			return usagef("-format of ties is table or json, not %q", shape)
		}
		filters, err = console.ParseFilter(strings.Join(quotedAll(rest), " "))
	case "list":
		filters, err = listFilters(rest, *severity, *status)
	default:
		filters, err = namedFilters(rest)
	}
	if err != nil {
		return usagef("%w", err)
	}
	if slices.Contains(append([]string{"tie", "untie"}, decisions...), do) && strings.TrimSpace(*reason) == "" {
		return usagef("say why with -reason: those who come after want to know")
	}
	if do == "assign" && *to == "" {
		return usagef("say with -to who is to mend it")
	}
	client, err := find()
	if err != nil {
		return err
	}
	switch do {
	case "list":
		found, more, err := getFindings(ctx, client, filters, order, *most)
		if err != nil {
			return err
		}
		return showFindings(c, found, more, shape)
	case "get":
		return getOne(ctx, c, client, filters, shape)
	case "ties":
		return listTies(ctx, c, client, filters, *most, shape)
	case "tie", "untie":
		return retie(ctx, c, client, do, rest, *reason, *problem)
	}
	return decide(ctx, c, client, filters, do, *reason, *to, *all)
}

// listFilters are those of the words and flags; without any word on state or status, what is open.
func listFilters(words []string, severity, status string) (hub.Filters, error) {
	for i, w := range words {
		words[i] = quoted(w)
	}
	if severity != "" {
		words = append(words, "severity:"+severity)
	}
	switch text := " " + strings.Join(words, " "); {
	case strings.EqualFold(status, "all"):
	case status != "":
		words = append(words, "status:"+status)
	case !strings.Contains(text, " status:") && !strings.Contains(text, " state:") && !strings.Contains(text, " id:"):
		words = append(words, "state:active", "status:new,notified")
	}
	return console.ParseFilter(strings.Join(words, " "))
}

func quotedAll(words []string) (all []string) {
	for _, w := range words {
		all = append(all, quoted(w))
	}
	return all
}

// namedFilters are those of words and, where a word is no filter, of Ids.
func namedFilters(words []string) (hub.Filters, error) {
	var filter []string
	ids := []hub.Condition{}
	for _, w := range words {
		if f, err := console.ParseFilter(quoted(w)); err == nil && f["Keyword"] == nil {
			filter = append(filter, quoted(w))
			continue
		}
		ids = append(ids, hub.Condition{Value: w, Comparison: "EQUALS"})
	}
	filters, err := console.ParseFilter(strings.Join(filter, " "))
	if err == nil && len(ids) > 0 {
		filters["Id"] = append(filters["Id"], ids...)
		err = filters.Check()
	}
	return filters, err
}

// quoted is an argument as one word of a filter: the shell took the quotes away.
func quoted(word string) string {
	if !strings.Contains(word, " ") || strings.Contains(word, `"`) {
		return word
	}
	if key, value, ok := strings.Cut(word, ":"); ok && !strings.Contains(key, " ") {
		return key + `:"` + value + `"`
	}
	return `"` + word + `"`
}

// findingsPage is GetFindings' answer. Findings are kept as they came, too, since what
// we print for programs is what the server said.
type findingsPage struct {
	Findings  []jsontext.Value
	NextToken string
}

// getFindings asks for at most so many findings (0: all), and tells whether there are more.
func getFindings(ctx context.Context, client *remote.Client, filters hub.Filters, order hub.Sort, most int) (all []jsontext.Value, more bool, err error) {
	in := struct {
		Filters      hub.Filters
		SortCriteria []hub.Sort
		MaxResults   int
		NextToken    string `json:"NextToken,omitzero"`
	}{filters, []hub.Sort{order}, 100, ""}
	for {
		if most > 0 {
			in.MaxResults = min(100, most-len(all))
		}
		var page findingsPage
		if err := client.REST(ctx, "securityhub", "POST", "/findings", in, &page); err != nil {
			return nil, false, err
		}
		all, in.NextToken = append(all, page.Findings...), page.NextToken
		if in.NextToken == "" || most > 0 && len(all) >= most {
			return all, in.NextToken != "", nil
		}
	}
}

func showFindings(c call, found []jsontext.Value, more bool, shape string) error {
	if shape == "json" {
		if found == nil {
			found = []jsontext.Value{}
		}
		return writeJSON(c.stdout, found)
	}
	parsed, err := parseFindings(found)
	if err != nil {
		return err
	}
	if write := writers(shape); write != nil {
		if err := write(c.stdout, parsed); err != nil {
			return err
		}
	} else if shape == "ids" {
		for _, f := range parsed {
			fmt.Fprintln(c.stdout, f.ID)
		}
	} else if len(parsed) == 0 {
		fmt.Fprintln(c.stderr, "haechi findings: none")
	} else if err := report.Table(c.stdout, parsed, terminal(c.stdout), terminal(c.stdout) > 0 && c.env("NO_COLOR") == ""); err != nil {
		return err
	}
	if more {
		fmt.Fprintf(c.stderr, "haechi findings: these are the first %d; -n 0 shows all\n", len(found))
	}
	return nil
}

// writers is what writes findings for other programs and for paper.
func writers(shape string) func(io.Writer, []finding.Finding) error {
	switch shape {
	case "jsonl":
		return report.JSONLines
	case "csv":
		return report.CSV
	case "ocsf":
		return report.OCSF
	case "html":
		return func(w io.Writer, found []finding.Finding) error {
			return report.HTML(w, "Findings", time.Now(), found)
		}
	case "sarif":
		return func(w io.Writer, found []finding.Finding) error {
			var scans []finding.Scan
			for _, f := range found {
				if tool := f.ProductFields[finding.FieldTool]; !slices.ContainsFunc(scans, func(s finding.Scan) bool { return s.Tool == tool }) {
					scans = append(scans, finding.Scan{Tool: tool, Complete: true})
				}
			}
			return report.SARIF(w, versionText(), scans, found)
		}
	}
	return nil
}

func parseFindings(found []jsontext.Value) (parsed []finding.Finding, err error) {
	for _, text := range found {
		f, err := finding.Parse(text)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, f)
	}
	return parsed, nil
}

// cell is text that keeps to its line and its column, whatever it holds.
func cell(text string) string {
	if text == "" {
		return "-"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, text)
}

func getOne(ctx context.Context, c call, client *remote.Client, filters hub.Filters, shape string) error {
	found, _, err := getFindings(ctx, client, filters, orders["newest"], 0)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return fault.NotFound.Errorf("there is no such finding")
	}
	if shape == "json" {
		if len(found) == 1 {
			return writeJSON(c.stdout, found[0])
		}
		return writeJSON(c.stdout, found)
	}
	parsed, err := parseFindings(found)
	if err != nil {
		return err
	}
	if shape != "table" {
		return showFindings(c, found, false, shape)
	}
	for i := range parsed {
		if i > 0 {
			fmt.Fprintln(c.stdout)
		}
		showOne(c.stdout, &parsed[i])
		problems, _, err := getProblems(ctx, client, hub.Filters{"Id": hub.Is(parsed[i].ID)}, 0)
		if err != nil {
			return err
		}
		for _, p := range problems {
			fmt.Fprintf(c.stdout, "\n  one problem, as several tools say:\n")
			showProblem(c.stdout, &p)
		}
	}
	return nil
}

// showOne shows one finding to people.
func showOne(w io.Writer, f *finding.Finding) {
	fmt.Fprintf(w, "%s  %s\n\n", f.Label(), cell(f.Title))
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %-9s %s\n", name, cell(value))
		}
	}
	line("id", f.ID)
	line("where", f.Where())
	line("rule", f.GeneratorID)
	line("status", string(f.Status())+", "+strings.ToLower(string(cmp.Or(f.RecordState, finding.Active))))
	line("owner", f.UserFields["owner"])
	for _, r := range f.Resources {
		line("resource", r.Type+" "+r.ID)
	}
	line("seen", cmp.Or(f.LastObservedAt, f.UpdatedAt)+", first "+cmp.Or(f.FirstObservedAt, f.CreatedAt))
	line("evidence", f.ProductFields[finding.FieldEvidence])
	if f.Note != nil {
		line("note", f.Note.Text+" ("+f.Note.UpdatedBy+")")
	}
	if f.Description != "" {
		fmt.Fprintf(w, "\n  %s\n", cell(f.Description))
	}
	if f.Remediation != nil && f.Remediation.Recommendation != nil {
		r := f.Remediation
		fmt.Fprintln(w)
		line("to do", r.Recommendation.Text)
		line("more", r.Recommendation.URL)
	}
}

// change is what BatchUpdateFindings is told and answers.
type (
	findingName struct {
		ID         string `json:"Id"`
		ProductARN string `json:"ProductArn"`
	}
	findingsUpdate struct {
		Names    []findingName     `json:"FindingIdentifiers"`
		Note     map[string]string `json:"Note"`
		Workflow map[string]string `json:"Workflow,omitzero"`
		Fields   map[string]string `json:"UserDefinedFields,omitzero"`
	}
	findingsUpdated struct {
		ProcessedFindings   []findingName
		UnprocessedFindings []struct {
			FindingIdentifier       findingName
			ErrorCode, ErrorMessage string
		}
	}
)

// decide changes what the filters mean.
func decide(ctx context.Context, c call, client *remote.Client, filters hub.Filters, do, reason, to string, all bool) error {
	found, _, err := getFindings(ctx, client, filters, orders["newest"], 0)
	if err != nil {
		return err
	}
	parsed, err := parseFindings(found)
	if err != nil {
		return err
	}
	switch {
	case len(parsed) == 0:
		return fault.NotFound.Errorf("there is no such finding")
	case len(parsed) > 1 && !all:
		return usagef("%d findings are meant; -all changes them all, and 'haechi findings' with the same words shows them", len(parsed))
	}
	in := findingsUpdate{Note: map[string]string{"Text": reason, "UpdatedBy": cmp.Or(c.env("USER"), "haechi findings")}}
	if status := map[string]string{"suppress": "SUPPRESSED", "resolve": "RESOLVED", "reopen": "NEW"}[do]; status != "" {
		in.Workflow = map[string]string{"Status": status}
	}
	done := 0
	for _, alike := range sameFields(parsed, do == "assign") {
		if do == "assign" {
			in.Fields = maps.Clone(alike[0].UserFields)
			if in.Fields == nil {
				in.Fields = map[string]string{}
			}
			in.Fields["owner"] = to
		}
		n, err := updateFindings(ctx, c, client, in, alike)
		if err != nil {
			return err
		}
		done += n
	}
	fmt.Fprintf(c.stdout, "%d changed\n", done)
	if done < len(parsed) {
		return exit(exitWrong)
	}
	return nil
}

// sameFields parts findings by their fields, since an update replaces all of them; as one where they do not matter.
func sameFields(all []finding.Finding, matter bool) (parts [][]finding.Finding) {
	at := map[string]int{}
	for _, f := range all {
		key := ""
		if matter {
			key = fmt.Sprint(f.UserFields) // in the order of the names
		}
		i, ok := at[key]
		if !ok {
			i, at[key] = len(parts), len(parts)
			parts = append(parts, nil)
		}
		parts[i] = append(parts[i], f)
	}
	return parts
}

// updateFindings updates findings in the same way, and tells of those that could not be.
func updateFindings(ctx context.Context, c call, client *remote.Client, in findingsUpdate, all []finding.Finding) (done int, err error) {
	for part := range slices.Chunk(all, 100) {
		in.Names = nil
		for _, f := range part {
			in.Names = append(in.Names, findingName{f.ID, f.ProductARN})
		}
		var out findingsUpdated
		if err := client.REST(ctx, "securityhub", "PATCH", "/findings/batchupdate", in, &out); err != nil {
			return done, err
		}
		done += len(out.ProcessedFindings)
		for _, u := range out.UnprocessedFindings {
			fmt.Fprintf(c.stderr, "haechi findings: %s: %s\n", u.FindingIdentifier.ID, u.ErrorMessage)
		}
	}
	return done, nil
}
