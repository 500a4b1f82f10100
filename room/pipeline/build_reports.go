package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/tool/report"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Reports takes the reports that builds leave into the hub.
type Reports interface {
	// Take imports a report as the scan s, by s.Tool, and says in one line what came of it.
	Take(ctx context.Context, s finding.Scan, file *os.File) (line string, err error)
}

// ReportGroup is where a build leaves reports of security tools.
type ReportGroup struct {
	Name   string
	Folder string   // base-directory
	Files  []string // patterns below it
	Format string   // of tool/report; "" is told by what a report holds
}

// specReports are reports as the file has them.
type specReports struct {
	Files   []string
	Folder  string `yaml:"base-directory"`
	Format  string `yaml:"file-format"`
	Discard string `yaml:"discard-paths"`
}

// groups reads what is said of reports. Only reports of security tools are read; those of tests are refused.
func (c *checker) groups(groups map[string]specReports) (all []ReportGroup) {
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		g := groups[name]
		at := place(c.text, name+":")
		format := strings.ToLower(g.Format)
		switch {
		case len(g.Files) == 0:
			c.fail(at, "for example:\nfiles:\n  - report.sarif", "report group %s names no files", name)
		case format == "security":
			format = ""
		case format == "sarif", slices.Contains(report.Formats(), format):
		default:
			c.fail(at, "say file-format: security, for what Semgrep, Trivy, ZAP and others write; what tests say is in the log", "file-format %s of report group %s is not supported here", orDefault(g.Format, "JUNITXML (the default)"), name)
		}
		for _, pattern := range append(slices.Clone(g.Files), g.Folder) {
			if _, err := path.Match(pattern, ""); err != nil || strings.HasPrefix(pattern, "/") || slices.Contains(strings.Split(pattern, "/"), "..") {
				c.fail(at, "write paths below the folder of the build", "%q of report group %s is not a pattern of files of the build", pattern, name)
			}
		}
		all = append(all, ReportGroup{Name: name, Folder: path.Clean("/" + g.Folder)[1:], Files: g.Files, Format: format})
	}
	return all
}

func orDefault(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// Bounds of what is read of one build.
const (
	maxReports    = 50
	maxReportSize = 256 << 20
	maxWalked     = 200_000 // files that are looked at for reports
)

// takeReports imports the reports that a build has left. What the file asks for and is not there, or cannot be
// read, is a no: nobody would know what was not reported.
func (p *Pipelines) takeReports(ctx context.Context, e Execution, groups []ReportGroup, dir string, log *work.Log) (*Reason, error) {
	root, err := os.OpenRoot(dir) // what a link in it points at outside is not there
	if err != nil {
		return nil, err
	}
	defer root.Close()
	used := map[string]bool{}
	taken := 0
	for _, g := range groups {
		names, err := g.find(root.FS())
		if err != nil {
			return &Reason{Text: err.Error(), Where: "reports of " + g.Name, Do: "leave less in the folder of the build"}, nil
		}
		if len(names) == 0 {
			return &Reason{Text: "the build left no report of " + g.Name, Where: BuildspecFile, Do: "see the log for what the tool said"}, nil
		}
		for _, name := range names {
			if taken++; taken > maxReports {
				return &Reason{Text: fmt.Sprintf("the build left more than %d reports", maxReports), Where: BuildspecFile, Do: "name fewer files"}, nil
			}
			line, err := p.takeReport(ctx, e, g, root, name, used)
			if kind := fault.Of(err); kind == fault.Invalid || kind == fault.Unsupported || kind == fault.Limit || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
				log.Printf("%s: %v\n", name, err)
				return &Reason{Text: "the report " + name + " cannot be read: " + err.Error(), Where: "reports of " + g.Name, Do: "see whether the tool came to its end"}, nil
			}
			if err != nil {
				return nil, err
			}
			log.Printf("%s: %s\n", name, line)
		}
	}
	return nil, nil
}

func (p *Pipelines) takeReport(ctx context.Context, e Execution, g ReportGroup, root *os.Root, name string, used map[string]bool) (string, error) {
	file, err := root.Open(name)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > maxReportSize {
		return "", fault.Invalid.Errorf("it is no file, or larger than %d MB", maxReportSize>>20)
	}
	r, err := report.Foreign(file, info.Size(), report.Options{})
	if err != nil {
		return "", err
	}
	if g.Format != "" && r.Format != g.Format {
		return "", fault.Invalid.Errorf("it is %s, and not %s as the file says", r.Format, g.Format)
	}
	s := finding.Scan{Tool: p.reportTool(r.Tool, g, used), Target: e.Repository, Branch: e.Branch, Commit: e.Commit}
	s.ID = e.ID + "/" + s.Tool
	return p.config.Reports.Take(ctx, s, file)
}

// reportTool is whose scan a report is. A second report of one tool is another scan, so that it does not close
// what the first has found; and no build speaks for a scanner of ours.
func (p *Pipelines) reportTool(tool string, g ReportGroup, used map[string]bool) string {
	for _, s := range p.config.Scanners {
		if s.Name() == tool {
			tool = "build-" + tool
		}
	}
	name := tool
	for i := 1; used[name]; i++ {
		name = tool + "-" + slugOf(g.Name)
		if i > 1 {
			name += fmt.Sprint("-", i)
		}
	}
	used[name] = true
	return name
}

func slugOf(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' {
			return c
		}
		return '-'
	}, strings.ToLower(name))
}

// find are the files of a group, in order.
func (g ReportGroup) find(files fs.FS) (names []string, err error) {
	walked := 0
	err = fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrPermission) {
				return fs.SkipDir // the build hid it from us: it is not there
			}
			return err
		}
		if walked++; walked > maxWalked {
			return fault.Invalid.Errorf("more than %d files lie there", maxWalked)
		}
		rel := name
		if g.Folder != "" {
			var ok bool
			if rel, ok = strings.CutPrefix(name, g.Folder+"/"); !ok {
				return nil
			}
		}
		if entry.Type().IsRegular() && slices.ContainsFunc(g.Files, func(pattern string) bool { return matches(pattern, rel) }) {
			names = append(names, name)
		}
		return nil
	})
	return names, err
}

// matches tells whether a path is meant by a pattern as buildspecs have it: **/ is any folders, also none.
func matches(pattern, name string) bool {
	pattern = strings.TrimPrefix(path.Clean(pattern), "./")
	return matchParts(strings.Split(pattern, "/"), strings.Split(name, "/"))
}

func matchParts(pattern, name []string) bool {
	for len(pattern) > 0 {
		if pattern[0] == "**" {
			for i := 0; i <= len(name) && i < 64; i++ {
				if matchParts(pattern[1:], name[i:]) {
					return true
				}
			}
			return false
		}
		if len(name) == 0 {
			return false
		}
		if ok, err := path.Match(pattern[0], name[0]); err != nil || !ok {
			return false
		}
		pattern, name = pattern[1:], name[1:]
	}
	return len(name) == 0
}
