package main

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/haechi-dev/haechi/app"
	"github.com/haechi-dev/haechi/door/intake"
	"github.com/haechi-dev/haechi/lang/sigma"
	"github.com/haechi-dev/haechi/room/detect"
	detections "github.com/haechi-dev/haechi/rules/detect"
	"github.com/haechi-dev/haechi/tool/report"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/finding"
)

func detectVerb() verb {
	return verb{name: "detect", args: "LOGS…", summary: "signs of attack in log files", help: `
  haechi detect cloudtrail/                    a folder, with all below it, plain or gzip
  haechi detect -rules mine -format sarif x.json.gz
  haechi detect -fail-on critical logs | awk '$1 == "HIGH"'

Reads CloudTrail files, JSON lines and what Firehose and CloudWatch Logs deliver, and
holds every record against the Sigma rules that come with Haechi, or those of
-rules. Nothing leaves this machine and no server is needed; the same records
make the same findings as when they are sent to one. Exits 1 if there is a
finding of the severity that -fail-on says, or worse, or if a file could not be read.`, run: runDetect}
}

func runDetect(ctx context.Context, c call, flags *flag.FlagSet) error {
	folder := flags.String("rules", "", "a folder of Sigma rules, .yml or .txtar (those that come with Haechi)")
	format := flags.String("format", "table", "table, json, asff (the same) or sarif")
	failOn := flags.String("fail-on", "high", "the least severity that fails: low, medium, high, critical, or none")
	paths, err := parse(c, flags, 1, -1)
	if err != nil {
		return err
	}
	if !slices.Contains([]string{"table", "json", "asff", "sarif"}, *format) {
		return usagef("-format is table, json, asff or sarif, not %q", *format)
	}
	least, ok := leastOf(*failOn)
	if !ok {
		return usagef("-fail-on is low, medium, high, critical or none, not %q", *failOn)
	}
	var family fs.FS = detections.Files
	if *folder != "" {
		family = os.DirFS(*folder)
	}
	files, err := sigma.Load(family)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return usagef("-rules: there is no rule in %s", *folder)
	}
	config := app.Default(c.env)
	config.Environment(c.env)
	maker := finding.Maker{Account: config.Account, Region: config.Region}
	watch, err := detect.NewScan(files, maker)
	if err != nil {
		return err
	}
	records, unread, err := observe(ctx, watch, paths)
	if err != nil {
		return err
	}
	result := scan.Result{Runs: []scan.Run{{Scan: finding.Scan{Tool: detect.Tool, Complete: len(unread) == 0, Skipped: unread}}}}
	found := watch.Findings()
	if *format == "sarif" {
		err = report.SARIF(c.stdout, versionText(), result.Scans(), found)
	} else {
		err = writeFindings(c, *format, result, found)
	}
	if err != nil {
		return err
	}
	notes(c.stderr, result, false)
	fmt.Fprintf(c.stderr, "%d findings in %d records\n", len(found), records)
	return verdict(result, found, least)
}

// observe shows every record of the files and folders to watch, and tells how
// many there were and what could not be read.
func observe(ctx context.Context, watch *detect.Scan, paths []string) (records int, unread []diag.Place, err error) {
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return records, nil, usagef("%w", err)
		}
		folder, tree := path, fs.FS(nil)
		if !info.IsDir() {
			folder = filepath.Dir(path)
		}
		if tree = os.DirFS(folder); !info.IsDir() {
			tree = lone{tree, filepath.Base(path)}
		}
		missed, err := intake.Files(ctx, tree, time.Now(), func(b intake.Batch) error {
			for _, r := range b.Records {
				records++
				if err := watch.Observe(r); err != nil {
					unread = append(unread, diag.Place{File: filepath.Join(folder, b.File), Why: err.Error()})
					break // the rest of this batch is likely to be the same; the file is told of once
				}
			}
			return nil
		})
		if err != nil {
			return records, nil, err
		}
		for _, p := range missed {
			p.File = filepath.Join(folder, p.File)
			unread = append(unread, p)
		}
	}
	return records, unread, nil
}
