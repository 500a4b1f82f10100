package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/haechi-dev/haechi/tool/report"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Left is a report of a security tool that a build has left.
type Left struct {
	Group  string
	Format string // as the buildspec has it; "security" is any
	Name   string // path below the folder of the build
	Open   func() (*os.File, error)
}

// Bounds of what is read of one build.
const (
	maxReports    = 50
	maxReportSize = 256 << 20
)

// takeReports imports the reports that a build has left. What cannot be read is
// a no: nobody would know what was not reported.
func (b *Builds) takeReports(ctx context.Context, made Build, left []Left, log io.Writer) (*Reason, error) {
	if len(left) == 0 {
		return nil, nil
	}
	if why, err := b.countsFor(ctx, made); why != "" || err != nil {
		fmt.Fprintf(log, "reports of security tools are not imported: %s\n", why)
		return nil, err
	}
	if b.config.Reports == nil {
		return &Reason{Code: "REPORT_ERROR", Text: "reports of security tools cannot be read here", Where: "reports", Do: "leave reports out"}, nil
	}
	if len(left) > maxReports {
		return &Reason{Code: "REPORT_ERROR", Text: fmt.Sprintf("the build left more than %d reports", maxReports), Where: "reports", Do: "name fewer files"}, nil
	}
	used := map[string]bool{}
	for _, l := range left {
		line, err := b.takeReport(ctx, made, l, used)
		if kind := fault.Of(err); kind == fault.Invalid || kind == fault.Unsupported || kind == fault.Limit || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintf(log, "%s: %v\n", l.Name, err)
			return &Reason{Code: "REPORT_ERROR", Text: "the report " + l.Name + " cannot be read: " + err.Error(), Where: "reports of " + l.Group, Do: "see whether the tool came to its end"}, nil
		}
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(log, "%s: %s\n", l.Name, line)
	}
	return nil, nil
}

// countsFor says why what a build reports does not count for a branch: the hub
// must neither go back in time nor believe a buildspec that is not the branch's.
func (b *Builds) countsFor(ctx context.Context, made Build) (why string, err error) {
	f := made.Facts
	switch branch, ok := strings.CutPrefix(f.Ref, "refs/heads/"); {
	case !ok || branch == "":
		return "they count for branches, and this is a build of " + made.SourceVersion, nil
	case f.Override:
		return "whoever started the build brought a buildspec, variables, an image or a source of their own", nil
	case f.Pipeline != "":
		return "", nil // its pipeline sees to the order
	}
	repo, err := b.config.Source.Git(f.Repository)
	if err != nil {
		return "", err
	}
	tip, err := repo.Resolve(ctx, f.Ref)
	if errors.Is(err, fault.NotFound) {
		return "the branch is no more", nil
	}
	if err == nil && tip != f.Commit {
		why = "the branch has moved on since"
	}
	return why, err
}

func (b *Builds) takeReport(ctx context.Context, made Build, l Left, used map[string]bool) (string, error) {
	file, err := l.Open()
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
	if want := strings.ToLower(l.Format); want != "security" && want != "" && r.Format != want {
		return "", fault.Invalid.Errorf("it is %s, and not %s as the buildspec says", r.Format, want)
	}
	f := made.Facts
	s := finding.Scan{Tool: b.reportTool(r.Tool, l.Group, f.Member, used), Target: f.Repository, Branch: strings.TrimPrefix(f.Ref, "refs/heads/"), Commit: f.Commit}
	s.ID = uuidOf(made.ID) + "/" + s.Tool
	return b.config.Reports.Take(ctx, s, f.Trusted, file)
}

// reportTool is whose scan a report is. A second report of one tool is another scan, so that it does not close
// what the first has found; and no build speaks for a scanner of ours.
func (b *Builds) reportTool(tool, group, member string, used map[string]bool) string {
	if slices.Contains(b.config.Scanners, tool) {
		tool = "build-" + tool
	}
	if member != "" { // its neighbours in the batch say the same of other files
		tool += "-" + slug(member)
	}
	name := tool
	for i := 1; used[name]; i++ {
		name = tool + "-" + slug(group)
		if i > 1 {
			name += fmt.Sprint("-", i)
		}
	}
	used[name] = true
	return name
}

func slug(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' {
			return c
		}
		return '-'
	}, strings.ToLower(name))
}
