package build

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/haechi-dev/haechi/lang/buildspec"
	"github.com/haechi-dev/haechi/tool/testreport"
	"github.com/haechi-dev/haechi/word/fault"
)

// reports reads what the build has left. What the buildspec asks for and is not
// there, or cannot be read, fails the build: nobody would know what was not reported.
func (r *running) reports(ctx context.Context) (message string, err error) {
	if len(r.spec.Reports) == 0 {
		return "", nil
	}
	root, err := os.OpenRoot(r.plan.Dir) // what a link in it points at outside is not there
	if err != nil {
		return "", err
	}
	defer root.Close()
	left := r.plan.Keep.Reports
	for _, g := range r.spec.Reports {
		report, err := r.report(ctx, root, g, &left)
		if kind := fault.Of(err); kind == fault.Invalid || kind == fault.Limit || kind == fault.Unsupported {
			if r.printf("%v\n", err); message == "" {
				message = err.Error()
			}
			continue
		}
		if err != nil {
			return "", err
		}
		r.result.Reports = append(r.result.Reports, report)
	}
	return message, nil
}

func (r *running) report(ctx context.Context, root *os.Root, g buildspec.ReportGroup, left *int) (Report, error) {
	report := Report{Group: g.Name, Format: g.Format}
	names, err := found(root, g)
	if err != nil {
		return report, err
	}
	if len(names) == 0 {
		return report, fault.Invalid.Errorf("the build left no report of %s", g.Name)
	}
	if *left -= len(names); *left < 0 {
		return report, fault.Limit.Errorf("the build left more than %d reports", r.plan.Keep.Reports)
	}
	if g.Security() {
		for _, name := range names {
			rest, ok := strings.CutPrefix(name, "src/")
			if !ok {
				return report, fault.Invalid.Errorf("the report %s of %s lies in another source", name, g.Name)
			}
			report.Files = append(report.Files, rest)
		}
		return report, nil
	}
	report.Tests = &testreport.Report{}
	for _, name := range names {
		if ctx.Err() != nil {
			return report, context.Cause(ctx)
		}
		one, err := r.read(root, name, g.Format)
		name = strings.TrimPrefix(name, "src/")
		if err != nil {
			return report, fault.Invalid.Errorf("the report %s of %s cannot be read: %w", clip(name, 200), g.Name, err)
		}
		report.Tests.Add(one)
		report.Files = append(report.Files, name)
		r.printf("report %s: %s: %s\n", g.Name, strings.Map(printable, clip(name, 200)), one.Summary())
	}
	return report, nil
}

// found are the files of a group, below the build's folder, in order.
func found(root *os.Root, g buildspec.ReportGroup) (names []string, err error) {
	want, err := compile(g.Files)
	if err != nil {
		return nil, err
	}
	bases, err := folders(root, g.Folder)
	if err != nil {
		return nil, err
	}
	for _, base := range bases {
		err := walk(root, base, func(at string, entry fs.DirEntry) error {
			if entry.Type().IsRegular() && want.match(strings.TrimPrefix(at, base+"/")) {
				names = append(names, at)
			}
			if len(names) > mostFound {
				return fault.Limit.Errorf("the build left more than %d reports of %s", mostFound, g.Name)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return names, nil
}

const mostFound = 10_000

func (r *running) read(root *os.Root, name, format string) (*testreport.Report, error) {
	f, info, err := open(root, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info.Size() > r.plan.Keep.Report {
		return nil, fault.Limit.Errorf("it is larger than %d MB", r.plan.Keep.Report>>20)
	}
	text, err := io.ReadAll(io.LimitReader(f, r.plan.Keep.Report))
	if err != nil {
		return nil, fmt.Errorf("reading it: %w", err)
	}
	return testreport.Parse(text, format)
}
