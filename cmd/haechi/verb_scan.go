package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/haechi-dev/haechi/app"
	"github.com/haechi-dev/haechi/base/advisory"
	"github.com/haechi-dev/haechi/tool/report"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/tool/vex"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/finding"
)

func scanVerb() verb {
	return verb{name: "scan", args: "[PATH|IMAGE]", summary: "secrets, vulnerable packages, unsafe infrastructure", help: `
  haechi scan                        this folder
  haechi scan -format sarif . > haechi.sarif
  haechi scan -baseline haechi.sarif only what is new since then
  haechi scan -only secret -fail-on critical shop
  haechi scan -only iac          templates, plans, manifests, Dockerfiles …
  haechi scan -vex decisions/    VEX and ignore files: they set findings aside
  haechi scan -format openvex    also cyclonedx and csaf: VEX of what was found
  haechi scan -format patch | patch -p1   the upgrades that clear the most
  haechi scan -history               secrets in all commits of the repository
  kubectl logs shop | haechi scan -   secrets in what is piped in
  haechi scan -config .gitleaks.toml with gitleaks' rules and allowlists
  haechi scan shop.tar           an image: of docker save, or an OCI layout
  haechi scan docker://ghcr.io/acme/shop:1.4  an image in a registry: the one
                                     thing here that uses the network
  haechi scan -base debian12.tar -newer-base debian13.tar shop.tar
                                     what is the base's, and what a newer mends

Exits 1 if there is a finding of the severity that -fail-on says, or worse, or if
something could not be looked at: silence is then no good news. Nothing leaves
this machine. Dependencies are matched against the advisories that 'haechi db
import' has loaded; without, against the few that come with Haechi.

A secret is let be by a comment on its line or above it, haechi:allow reason=why,
or by the files .haechi-secrets, .gitleaksignore, .gitleaks.toml (its allowlists)
and .secrets.baseline of the folder; -no-allow shows these, too. A scan of the
history remembers in .git/haechi-scanned what held nothing.`, run: runScan}
}

// scanFlags are what was asked of a scan.
type scanFlags struct {
	only, format, failOn, baseline, db, data, vex *string
	config, name                                  *string
	history, noAllow, calls                       *bool
	image                                         imageFlags
}

func runScan(ctx context.Context, c call, flags *flag.FlagSet) error {
	config := app.Default(c.env)
	config.Environment(c.env)
	f := scanFlags{
		only:     flags.String("only", "", "scanners to run, separated by commas: secret, deps, iac, of an image also image (all)"),
		format:   flags.String("format", "table", "table, json, asff (the same), sarif, openvex, cyclonedx, csaf or patch"),
		failOn:   flags.String("fail-on", "high", "the least severity that fails: low, medium, high, critical, or none"),
		baseline: flags.String("baseline", "", "a report of an earlier scan, SARIF or ASFF: what it holds is left out"),
		db:       flags.String("db", "", "the advisories ("+app.AdvisoryFile+" in the data folder)"),
		data:     flags.String("data", config.Data, "the data folder (HAECHI_DATA)"),
		vex:      flags.String("vex", "", "files or folders: VEX, .trivyignore, osv-scanner.toml, Dependency-Check suppressions"),
		config:   flags.String("config", "", "a .gitleaks.toml: its rules and allowlists, and Haechi's own where it extends the default"),
		name:     flags.String("name", "stdin", "what standard input is called: app.env, Main.java"),
		history:  flags.Bool("history", false, "look for secrets in all commits of the repository"),
		calls:    flags.Bool("calls", false, "ask Go's call graph which vulnerable functions are called; runs the go command there"),
		noAllow:  flags.Bool("no-allow", false, "show what files of the folder let be"),
		image:    newImageFlags(flags),
	}
	rest, err := parse(c, flags, 0, 1)
	if err != nil {
		return err
	}
	least, ok := leastOf(*f.failOn)
	if !ok {
		return usagef("-fail-on is low, medium, high, critical or none, not %q", *f.failOn)
	}
	if !slices.Contains([]string{"table", "json", "asff", "sarif", "openvex", "cyclonedx", "csaf", "patch"}, *f.format) {
		return usagef("-format is table, json, asff, sarif, openvex, cyclonedx, csaf or patch, not %q", *f.format)
	}
	known, err := readBaseline(*f.baseline)
	if err != nil {
		return err
	}
	decided, err := readDecisions(*f.vex)
	if err != nil {
		return err
	}
	debug.SetMemoryLimit(240 << 20) // what is found is kept to the end: from here on rather collect more often than hold twice as much
	start := time.Now()
	result, index, few, err := scanned(ctx, c, f, rest)
	if index != nil {
		defer index.Close()
	}
	if err != nil {
		return err
	}
	all := result.Own(finding.Maker{Account: config.Account, Region: config.Region}, start)
	if *f.format == "table" { // nothing but all is needed from here on
		for i := range result.Runs {
			result.Runs[i].Findings = nil
		}
	}
	settled(c.stderr, vex.Apply(decided, all, start))
	fresh := known.Fresh(all)
	if *f.format == "patch" {
		return writePatch(c, rest, index, result)
	}
	count := parted(fresh)
	show := fresh
	if *f.format == "table" {
		show = count.told
	}
	write := writeFindings
	if slices.Contains([]string{"openvex", "cyclonedx", "csaf"}, *f.format) {
		write, show = writeVEX(nameOf(rest)), fresh
	}
	if err := write(c, *f.format, result, show); err != nil {
		return err
	}
	notes(c.stderr, result, few)
	count.notes(c.stderr)
	summary(c.stderr, result, count.told, len(all)-len(fresh), time.Since(start))
	return verdict(result, count.told, least)
}

// scanned is the result of the scan that was asked for, and the advisories that
// it used, to be closed by the caller, where there are such.
func scanned(ctx context.Context, c call, f scanFlags, rest []string) (result scan.Result, index *advisory.Index, few bool, err error) {
	secrets := secretFlags{config: *f.config, noAllow: *f.noAllow}
	path := "."
	if len(rest) == 1 {
		path = rest[0]
	}
	if (*f.history || path == "-") && *f.only != "" && *f.only != "secret" {
		return result, nil, false, usagef("a history, or standard input, is looked through for secrets only: leave -only out")
	}
	switch {
	case *f.history && path == "-":
		return result, nil, false, usagef("a history is that of a repository, not of standard input")
	case *f.history:
		result, err = scanHistory(ctx, c, secrets, path)
		return result, nil, false, err
	case path == "-":
		result, err = scanInput(c, secrets, *f.name)
		return result, nil, false, err
	}
	isImage := isImage(path)
	if !isImage && f.image.asked() {
		return result, nil, false, usagef("-base, -newer-base and -platform are about images, and %s is none", path)
	}
	if isImage && (*f.format == "patch" || *f.calls) {
		return result, nil, false, usagef("-format patch and -calls are about sources, and %s is an image", path)
	}
	root := path
	if info, err := os.Stat(path); isImage {
		root = "."
	} else if err == nil && !info.IsDir() {
		root = filepath.Dir(path)
	}
	own, err := secretScanner(root, secrets)
	if err != nil {
		return result, nil, false, err
	}
	if *f.only == own.Name() && isImage {
		result, err = scanImage(ctx, c, f.image, path, []scan.Scanner{own})
		return result, nil, false, err
	}
	if *f.only == own.Name() { // nothing else need be made ready
		result, err = scanPath(ctx, c, rest, []scan.Scanner{own})
		return result, nil, false, err
	}
	index, few, err = openAdvisories(*f.db, filepath.Join(*f.data, app.AdvisoryFile))
	if err != nil {
		return result, nil, false, err
	}
	var every []scan.Scanner
	if isImage {
		every, err = app.ImageScanners(index, time.Now(), few)
	} else {
		every, err = app.LocalScanners(c.env, index, time.Now(), few)
	}
	if err != nil {
		return result, index, few, err
	}
	if *f.calls {
		app.AskCalls(every, root)
	}
	for i := range every {
		if every[i].Name() == own.Name() {
			every[i] = own
		}
	}
	scanners, err := chosen(*f.only, every)
	if err != nil {
		return result, index, few, err
	}
	if isImage {
		result, err = scanImage(ctx, c, f.image, path, scanners)
	} else {
		result, err = scanPath(ctx, c, rest, scanners)
	}
	return result, index, few, err
}

// parts are findings by what they ask of people.
type parts struct {
	told    []finding.Finding
	let     []finding.Finding // that a comment, metadata or a file lets be
	unknown []finding.Finding // rules that cannot be decided before it is made
}

func parted(all []finding.Finding) (p parts) {
	for _, f := range all {
		_, allowed := f.ProductFields[finding.FieldAllow]
		switch {
		case f.ProductFields[finding.FieldTool] == "secret" && letBe(f):
			p.let = append(p.let, f)
		case f.ProductFields[finding.FieldTool] != "iac":
			p.told = append(p.told, f)
		case allowed:
			p.let = append(p.let, f)
		case f.Compliance != nil && f.Compliance.Status == finding.Warning:
			p.unknown = append(p.unknown, f)
		default:
			p.told = append(p.told, f)
		}
	}
	return p
}

// notes says what was let be, and what cannot be known.
func (p *parts) notes(w io.Writer) {
	const most = 10
	for i, f := range p.unknown {
		if i == most {
			fmt.Fprintf(w, "UNKNOWN %d more; -format json lists all\n", len(p.unknown)-most)
			break
		}
		fmt.Fprintf(w, "UNKNOWN %s: %s: %s\n", f.Where(), f.GeneratorID, strings.SplitN(f.Description, "\n", 2)[0])
	}
	if len(p.let) > 0 {
		fmt.Fprintf(w, "let be in the files themselves: %d; -format sarif lists them with their reasons\n", len(p.let))
	}
}

// leastOf is the rank of the least severity that fails; none is above all.
func leastOf(failOn string) (rank int, ok bool) {
	rank, ok = map[string]int{"none": 99, "informational": 0, "low": 1, "medium": 2, "high": 3, "critical": 4}[strings.ToLower(failOn)]
	return rank, ok
}

func readBaseline(file string) (report.Baseline, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, usagef("-baseline: %w", err)
	}
	known, err := report.Read(text)
	if err != nil {
		return nil, fmt.Errorf("-baseline %s: %w", file, err)
	}
	return report.NewBaseline(known), nil
}

// openAdvisories is the index that was asked for, else the imported one, else the few.
func openAdvisories(asked, imported string) (index *advisory.Index, few bool, err error) {
	if asked != "" {
		index, err = advisory.Open(asked)
		if err != nil {
			return nil, false, usagef("-db: %w", err)
		}
		return index, false, nil
	}
	if _, err := os.Stat(imported); err == nil {
		index, err = advisory.Open(imported)
		return index, false, err
	}
	return advisory.Few(), true, nil
}

func chosen(only string, all []scan.Scanner) ([]scan.Scanner, error) {
	if only == "" {
		return all, nil
	}
	var names []string
	for _, s := range all {
		names = append(names, s.Name())
	}
	var some []scan.Scanner
	for name := range strings.SplitSeq(only, ",") {
		i := slices.Index(names, strings.TrimSpace(name))
		if i < 0 {
			return nil, usagef("-only: there is no scanner %q, but %s", name, strings.Join(names, ", "))
		}
		if !slices.Contains(some, all[i]) {
			some = append(some, all[i])
		}
	}
	return some, nil
}

// scanPath scans the folder or the file that was named.
func scanPath(ctx context.Context, c call, rest []string, scanners []scan.Scanner) (scan.Result, error) {
	path := "."
	if len(rest) == 1 {
		path = rest[0]
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return scan.Result{}, err
	}
	info, err := os.Stat(absolute)
	if err != nil {
		return scan.Result{}, usagef("%w%s", err, imageHint(path))
	}
	folder := absolute
	if !info.IsDir() {
		folder = filepath.Dir(absolute)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return scan.Result{}, err
	}
	defer root.Close()
	tree := root.FS()
	if !info.IsDir() {
		tree = lone{tree, filepath.Base(absolute)}
	}
	progress, done := progressLine(c.stderr)
	defer done()
	return scan.Tree(ctx, tree, scan.Options{Scanners: scanners, Target: filepath.Base(absolute), Progress: progress})
}

// lone is a tree of which one file is shown; what it refers to can be opened still.
type lone struct {
	fs.FS
	name string
}

// ReadDir lists the one file.
func (o lone) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(o.FS, name)
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return e.Name() != o.name }), err
}

// progressLine shows how far a scan is, on a terminal, ten times a second.
func progressLine(w io.Writer) (show func(files int, bytes int64), done func()) {
	if terminal(w) == 0 {
		return nil, func() {}
	}
	var last time.Time
	return func(files int, bytes int64) {
		if now := time.Now(); now.Sub(last) > 100*time.Millisecond {
			last = now
			fmt.Fprintf(w, "\r%d files, %d MB ", files, bytes/1e6)
		}
	}, func() { fmt.Fprint(w, "\r\x1b[K") }
}

func writeFindings(c call, format string, result scan.Result, findings []finding.Finding) error {
	switch format {
	case "json", "asff":
		return report.ASFF(c.stdout, findings)
	case "sarif":
		return report.SARIF(c.stdout, versionText(), result.Scans(), findings)
	}
	findings = slices.DeleteFunc(slices.Clone(findings), func(f finding.Finding) bool { return f.Status() == finding.Suppressed })
	if len(findings) == 0 {
		return nil
	}
	if more := len(findings) - mostRows; more > 0 { // the worst are shown
		findings = report.Sorted(findings)[:mostRows]
		defer fmt.Fprintf(c.stderr, "… and %d more; -format json lists all\n", more)
	}
	width := terminal(c.stdout)
	if columns, err := strconv.Atoi(c.env("COLUMNS")); err == nil && columns >= 20 && width > 0 {
		width = columns
	}
	return report.Table(c.stdout, findings, width, width > 0 && c.env("NO_COLOR") == "")
}

// mostRows is how many findings a table has at most.
const mostRows = 500

// notes says what the findings alone do not: what was not looked at, and what nobody knows.
func notes(w io.Writer, result scan.Result, few bool) {
	const most = 20
	for _, run := range result.Runs {
		for i, p := range run.Scan.Skipped {
			if i == most {
				fmt.Fprintf(w, "not looked at by %s: %d more\n", run.Scan.Tool, len(run.Scan.Skipped)-most)
				break
			}
			fmt.Fprintf(w, "not looked at by %s: %s: %s\n", run.Scan.Tool, p, p.Why)
		}
	}
	unresolved(w, result.Components)
	if few && len(result.Components) > 0 {
		fmt.Fprintf(w, "note: the dependencies were held against the %d advisories that come with Haechi, which is next to nothing; 'haechi db import' loads all\n", advisory.Few().About().Advisories)
	}
}

// unresolved lists dependencies whose version cannot be known here.
func unresolved(w io.Writer, components []component.Component) {
	const most = 10
	n := 0
	for _, c := range components {
		if c.State != component.Unresolved {
			continue
		}
		if n++; n <= most {
			fmt.Fprintf(w, "UNRESOLVED %s: %s %s\n", diag.Place{File: c.Place.File, Line: c.Place.Line}, c.Name, c.Version)
		}
	}
	if n > most {
		fmt.Fprintf(w, "UNRESOLVED %d more\n", n-most)
	}
}

func summary(w io.Writer, result scan.Result, findings []finding.Finding, known int, took time.Duration) {
	counts := map[finding.Label]int{}
	for _, f := range findings {
		if f.Status() != finding.Suppressed {
			counts[f.Label()]++
		}
	}
	var parts []string
	for _, l := range slices.Backward(finding.Labels[:]) {
		if counts[l] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[l], strings.ToLower(string(l))))
		}
	}
	text := "no findings"
	if len(parts) > 0 {
		text = strings.Join(parts, ", ")
	}
	if known > 0 {
		text += fmt.Sprintf("; %d known before left out", known)
	}
	fmt.Fprintf(w, "%s (%d files, %d components, %.1f s)\n", text, result.Files, len(result.Components), took.Seconds())
}

// verdict fails on what is severe enough, and on what was not looked at.
func verdict(result scan.Result, findings []finding.Finding, least int) error {
	severe := slices.ContainsFunc(findings, func(f finding.Finding) bool {
		return f.Status() != finding.Suppressed && f.Label().Rank() >= least
	})
	partial := least <= finding.Critical.Rank() && slices.ContainsFunc(result.Runs, func(r scan.Run) bool { return !r.Scan.Complete })
	if severe || partial {
		return exit(exitWrong)
	}
	return nil
}
