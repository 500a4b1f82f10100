package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/haechi-dev/haechi/base/remote"
	"github.com/haechi-dev/haechi/door/reports"
	"github.com/haechi-dev/haechi/lang/strict"
	"github.com/haechi-dev/haechi/tool/report"
	"github.com/haechi-dev/haechi/word/fault"
)

func importVerb() verb {
	return verb{name: "import", args: "FILE… | -from TOOL URL", summary: "bring other tools' reports into the hub", help: `
  haechi import -target shop -branch main -commit c0ffee semgrep.json zap.xml
  trivy fs -f json . | haechi import -target shop -
  haechi import -target shop -preview checkov.json   what would open and close
  haechi import -target shop -mapping ours.yaml ours.csv
  haechi import -target shop -from sonarqube -of KEY https://sonar.example
  haechi import -target shop -from zap http://127.0.0.1:8090
  haechi import -target shop -from defectdojo -of 7 https://dojo.example

A report is told by what is in it, not by its name. It is a scan by its tool of
the target's branch: what the same tool saw there before and no longer reports is
closed, if the report is complete. A report that is torn is refused as a whole.
A bill of materials (CycloneDX, SPDX) is kept: what it lists is held against the
advisories of today, and again whenever there are new ones.
-tool names the tool otherwise than the report does, where one tool looks at the
same target in several ways: -tool trivy-image.

-from fetches from another tool's server, as long as that takes: SonarQube's
vulnerabilities and hotspots, the alerts of a running ZAP, DefectDojo's findings.
The token stands in SONAR_TOKEN, ZAP_API_KEY or DEFECTDOJO_TOKEN, or where -token
says. What could not be fetched whole closes nothing.

A mapping is YAML and says where the records of a tool of your own have what:
  tool: ours
  records: results          # JSON: the list; nothing for CSV or a list
  rule: check               # a column, or a member.of.a.member
  title: message
  severity: level
  labels: {bad: HIGH, meh: LOW}
  file: path
  line: line
  key: [id]                 # what tells two of one rule in one file apart
` + clientHelp, run: importReports}
}

func importReports(ctx context.Context, c call, flags *flag.FlagSet) error {
	find := clientFlags(c, flags)
	query := url.Values{}
	for name, what := range map[string]string{"target": "what the tool looked at: a repository, an image, a site (required)", "branch": "of the target", "commit": "of the branch", "tool": "whose report it is, if not what it says itself"} {
		flags.Func(name, what, func(text string) error {
			query.Set(name, text)
			return nil
		})
	}
	preview := flags.Bool("preview", false, "tell what would come of it, and change nothing")
	flags.BoolVar(preview, "dry-run", false, "the same as -preview")
	var from puller
	flags.StringVar(&from.from, "from", "", "fetch from a server: sonarqube, zap, defectdojo")
	flags.StringVar(&from.of, "of", "", "what to fetch: SonarQube's project, ZAP's site, DefectDojo's product")
	flags.StringVar(&from.token, "token", "", "where the server's token stands: env:NAME or file:PATH")
	mapping := flags.String("mapping", "", "YAML `file` that says how JSON or CSV of no known tool is read")
	format := formatFlag(flags, "table", "json")
	files, err := parse(c, flags, 1, -1)
	if err != nil {
		return err
	}
	shape, err := format()
	if err != nil {
		return err
	}
	if strings.TrimSpace(query.Get("target")) == "" {
		return usagef("say with -target what the tool looked at, such as the name of the repository")
	}
	if *preview {
		query.Set("preview", "1")
	}
	if *mapping != "" {
		text, err := mappingOf(*mapping)
		if err != nil {
			return err
		}
		query.Set("mapping", text)
	}
	if from.from != "" {
		if len(files) != 1 {
			return usagef("-from takes the address of one server")
		}
		if _, err := from.source(); err != nil {
			return err
		}
	} else if from.of != "" || from.token != "" {
		return usagef("-of and -token go with -from")
	}
	client, err := find()
	if err != nil {
		return err
	}
	answers := []reports.Answer{}
	var wrong error
	if from.from != "" {
		wrong = from.run(ctx, c, client, files[0], query, func(name string, a *reports.Answer) {
			answers = append(answers, *a)
			if shape == "table" {
				tellImport(c, name, a)
			}
		})
		files = nil
	}
	for _, file := range files {
		a, err := importReport(ctx, c, client, file, query)
		if err != nil {
			wrong = fmt.Errorf("%s: %w", file, err)
			if len(files) > 1 && ctx.Err() == nil {
				fmt.Fprintf(c.stderr, "haechi import: %s\n", wrong)
				wrong = exit(exitWrong)
				continue
			}
			break
		}
		answers = append(answers, *a)
		if shape == "table" {
			tellImport(c, file, a)
		}
		if len(a.Failed) > 0 {
			wrong = exit(exitWrong)
		}
	}
	if shape == "json" {
		if err := writeJSON(c.stdout, answers); err != nil {
			return err
		}
	}
	return wrong
}

// mappingOf reads a mapping and writes it as the door takes it.
func mappingOf(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", usagef("%w", err)
	}
	var m report.Mapping
	if err := strict.Unmarshal(file, text, &m); err != nil {
		return "", err
	}
	if err := m.Check(); err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	said, err := json.Marshal(m, json.Deterministic(true))
	return string(said), err
}

// importReport sends one report: a file, or - for standard input.
func importReport(ctx context.Context, c call, client *remote.Client, name string, query url.Values) (*reports.Answer, error) {
	var file *os.File
	var err error
	if name == "-" {
		if file, err = os.CreateTemp("", "haechi-report-*"); err != nil {
			return nil, err
		}
		defer os.Remove(file.Name())
		_, err = io.Copy(file, c.stdin)
		if err == nil {
			_, err = file.Seek(0, io.SeekStart)
		}
	} else {
		file, err = os.Open(name)
	}
	if err != nil {
		return nil, fault.NotFound.Wrap(err)
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && !info.Mode().IsRegular() {
		return nil, fault.Conflict.Errorf("this is no file (- reads standard input)")
	}
	var a reports.Answer
	err = client.Upload(ctx, "haechi", reports.Path+"?"+strings.ReplaceAll(query.Encode(), "+", "%20"), file, &a)
	return &a, err
}

// tellImport says in a few lines what came of a report.
func tellImport(c call, file string, a *reports.Answer) {
	by := a.Tool
	if a.Version != "" {
		by += " " + a.Version
	}
	kind := a.Format
	if a.Same {
		kind = "the same report as before"
	}
	fmt.Fprintf(c.stdout, "%s: %s by %s: %s", file, kind, by, counted(a.Findings, "finding"))
	for _, n := range []struct {
		n    int
		what string
	}{{a.Bill, "components kept"}, {a.New, "new"}, {a.Changed, "changed"}, {a.Unchanged, "unchanged"}, {a.Closed, "closed"}, {a.Suppressed, "suppressed"}, {a.VEX, "of other tools suppressed"}, {a.Proposed, "on other tools without effect: it takes leave to suppress findings"}} {
		if n.n > 0 {
			fmt.Fprintf(c.stdout, ", %d %s", n.n, n.what)
		}
	}
	if a.Preview {
		fmt.Fprint(c.stdout, " (a preview: nothing was changed)")
	}
	fmt.Fprintln(c.stdout)
	for _, list := range []struct {
		mark  string
		lines []reports.Line
	}{{"+", a.Opens}, {"~", a.Changes}, {"-", a.Closes}} {
		for _, l := range list.lines {
			fmt.Fprintf(c.stdout, "%s %-13s  %s  %s  %s\n", list.mark, l.Severity, onLine(l.Where), onLine(l.Rule), onLine(l.Title))
		}
	}
	if a.Older != "" {
		fmt.Fprintf(c.stderr, "haechi import: %s: the report is older than what is known: %s\n", file, onLine(a.Older))
		return
	}
	if !a.Complete {
		fmt.Fprintf(c.stderr, "haechi import: %s: nothing was closed, since the report is not complete: %s\n", file, onLine(a.Incomplete))
	}
	for _, w := range a.Warnings {
		fmt.Fprintf(c.stderr, "haechi import: %s: %s\n", file, onLine(w))
	}
	for _, f := range a.Failed {
		fmt.Fprintf(c.stderr, "haechi import: %s: %s was refused, and nothing was closed: %s\n", file, onLine(f.ID), onLine(f.Message))
	}
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// onLine is text of a stranger's for a terminal: on one line, with nothing that a terminal acts on.
func onLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, text)
}
