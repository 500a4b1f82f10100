package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/haechi-dev/haechi/lang/buildspec"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/tool/build"
	"github.com/haechi-dev/haechi/tool/report"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Reports takes the reports that builds leave into the hub.
type Reports interface {
	// Take imports a report as the scan s, by s.Tool, and says in one line what came of it.
	Take(ctx context.Context, s finding.Scan, file *os.File) (line string, err error)
}

// Bounds of what is read of one build.
const (
	maxReports    = 50
	maxReportSize = 256 << 20
)

// takeReports imports the reports of security tools that a build has left. What cannot be read is a no: nobody
// would know what was not reported.
func (p *Pipelines) takeReports(ctx context.Context, e Execution, groups []build.Report, dir string, log *work.Log) (*Reason, error) {
	root, err := os.OpenRoot(dir) // what a link in it points at outside is not there
	if err != nil {
		return nil, err
	}
	defer root.Close()
	used := map[string]bool{}
	taken := 0
	for _, g := range groups {
		if g.Tests != nil {
			continue
		}
		for _, name := range g.Files {
			if taken++; taken > maxReports {
				return &Reason{Text: fmt.Sprintf("the build left more than %d reports", maxReports), Where: buildspec.File, Do: "name fewer files"}, nil
			}
			line, err := p.takeReport(ctx, e, g, root, name, used)
			if kind := fault.Of(err); kind == fault.Invalid || kind == fault.Unsupported || kind == fault.Limit || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
				log.Printf("%s: %v\n", name, err)
				return &Reason{Text: "the report " + name + " cannot be read: " + err.Error(), Where: "reports of " + g.Group, Do: "see whether the tool came to its end"}, nil
			}
			if err != nil {
				return nil, err
			}
			log.Printf("%s: %s\n", name, line)
		}
	}
	return nil, nil
}

func (p *Pipelines) takeReport(ctx context.Context, e Execution, g build.Report, root *os.Root, name string, used map[string]bool) (string, error) {
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
	if g.Format != "security" && r.Format != g.Format {
		return "", fault.Invalid.Errorf("it is %s, and not %s as the file says", r.Format, g.Format)
	}
	s := finding.Scan{Tool: p.reportTool(r.Tool, g, used), Target: e.Repository, Branch: e.Branch, Commit: e.Commit}
	s.ID = e.ID + "/" + s.Tool
	return p.config.Reports.Take(ctx, s, file)
}

// reportTool is whose scan a report is. A second report of one tool is another scan, so that it does not close
// what the first has found; and no build speaks for a scanner of ours.
func (p *Pipelines) reportTool(tool string, g build.Report, used map[string]bool) string {
	for _, s := range p.config.Scanners {
		if s.Name() == tool {
			tool = "build-" + tool
		}
	}
	name := tool
	for i := 1; used[name]; i++ {
		name = tool + "-" + slugOf(g.Group)
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
