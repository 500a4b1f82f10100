package pipeline

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// scanned is what the scan hands on to the gate.
type scanned struct {
	Scans    []finding.Scan
	Findings []finding.Finding
}

// doScan looks at every file of the commit and tells the hub what there is.
func (p *Pipelines) doScan(ctx context.Context, e Execution, log *work.Log) (outcome, error) {
	repo, err := p.config.Source.Git(e.Repository)
	if err != nil {
		return outcome{}, err
	}
	began := time.Now()
	result, treeID, err := p.scan(ctx, repo, e, e.Commit)
	if err != nil {
		return outcome{}, err
	}
	all := scanned{}
	counts := map[finding.Label]int{}
	for _, run := range result.Runs {
		s := run.Scan
		s.ID = e.ID + "/" + s.Tool
		var own []finding.Finding
		for _, f := range run.Findings {
			f = p.maker.Own(s, f, p.config.Now())
			own = append(own, f)
			counts[f.Label()]++
		}
		if p.config.Components != nil && len(run.Components) > 0 { // before the findings: see Keep
			if err := p.config.Components.Keep(ctx, s, run.Components); err != nil {
				return outcome{}, err
			}
		}
		did, err := p.config.Hub.Import(ctx, s, own...)
		if err != nil {
			return outcome{}, err
		}
		for _, f := range did.Failed { // what the hub does not know of nobody would see
			s.Complete = false
			log.Printf("the hub does not take finding %s: %s\n", f.ID, f.Message)
		}
		log.Printf("%-8s %4d findings, %d new to the hub%s\n", s.Tool, len(own), did.New, incomplete(s))
		for _, place := range s.Skipped[:min(len(s.Skipped), 20)] {
			log.Printf("         not looked at: %s: %s\n", place, place.Why)
		}
		all.Scans, all.Findings = append(all.Scans, s), append(all.Findings, own...)
	}
	log.Printf("%d files, %d bytes in %v\n", result.Files, result.Bytes, time.Since(began).Round(time.Millisecond))
	if err := p.remember(ctx, treeID, all); err != nil {
		return outcome{}, err
	}
	output, err := pack(all)
	return outcome{status: Succeeded, summary: fmt.Sprintf("%d findings in %d files", len(all.Findings), result.Files), output: output,
		change: func(e *Execution) { e.Findings = counts }}, err
}

func incomplete(s finding.Scan) string {
	if s.Complete {
		return ""
	}
	return fmt.Sprintf("; INCOMPLETE: %d places were not looked at", len(s.Skipped))
}

// scan looks at the files of one commit with all scanners.
func (p *Pipelines) scan(ctx context.Context, repo *git.Repo, e Execution, commit string) (scan.Result, string, error) {
	files, err := repo.Tree(ctx, commit)
	if err != nil {
		return scan.Result{}, "", err
	}
	defer files.Close()
	scanners, done, err := p.scanners(ctx, repo, e)
	if err != nil {
		return scan.Result{}, "", err
	}
	defer done()
	result, err := scan.Tree(ctx, files, scan.Options{Scanners: scanners, Target: e.Repository, Branch: e.Branch, Commit: commit})
	for i := range result.Runs { // whose name nobody can say nobody has looked at
		s := &result.Runs[i].Scan
		s.Skipped = append(s.Skipped, files.Skipped...)
		s.Complete = s.Complete && len(files.Skipped) == 0
	}
	return result, files.ID, err
}

// scanners are those that look at a run's commit, and at its base: with the rules
// of the default branch, as it passed last.
func (p *Pipelines) scanners(ctx context.Context, repo *git.Repo, e Execution) (all []scan.Scanner, done func(), err error) {
	done = func() {}
	if !slices.ContainsFunc(p.config.Scanners, func(s scan.Scanner) bool { _, ok := s.(scan.Ruled); return ok }) {
		return p.config.Scanners, done, nil
	}
	_, counts, err := p.counts(ctx, e)
	if err != nil {
		return nil, done, err
	}
	var base fs.FS
	if counts != "" {
		tree, err := repo.Tree(ctx, counts)
		if err != nil {
			return nil, done, fmt.Errorf("the rules of %s: %w", counts, err)
		}
		base, done = tree, func() { tree.Close() }
	}
	for _, s := range p.config.Scanners {
		if r, ok := s.(scan.Ruled); ok {
			s = r.Under(base)
		}
		all = append(all, s)
	}
	return all, done, nil
}

// pack makes v small.
func pack(v any) ([]byte, error) {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		return nil, err
	}
	if err := json.MarshalWrite(w, v); err != nil {
		return nil, err
	}
	err = w.Close() // before the bytes are taken
	return b.Bytes(), err
}

func unpack(packed []byte, v any) error {
	plain, err := io.ReadAll(flate.NewReader(bytes.NewReader(packed)))
	if err != nil {
		return err
	}
	return json.Unmarshal(plain, v)
}

// output is what an earlier action of the run has handed on.
func (p *Pipelines) output(ctx context.Context, run, action string, v any) error {
	var body []byte
	err := p.db.Read(ctx, func(tx *db.Tx) (err error) {
		body, err = db.One(tx, db.Value[[]byte], "SELECT body FROM pipeline_outputs WHERE run = ? AND action = ?", run, action)
		return err
	})
	if err != nil {
		return fmt.Errorf("what %s has handed on: %w", action, err)
	}
	return unpack(body, v)
}

// remember keeps which findings a tree has, so that a branch is compared with
// its base without looking at that again. Of a scan that is not complete
// nothing is kept: silence is no health.
func (p *Pipelines) remember(ctx context.Context, treeID string, s scanned) error {
	ids := map[string][]string{}
	for _, f := range s.Findings {
		tool := f.ProductFields[finding.FieldTool]
		ids[tool] = append(ids[tool], f.ID)
		if _, ok := f.ProductFields[finding.FieldAllow]; ok {
			ids[tool] = append(ids[tool], allowedID(f.ID))
		}
	}
	return p.db.Write(ctx, func(tx *db.Tx) error {
		for _, scan := range s.Scans {
			if !scan.Complete {
				continue
			}
			body, err := pack(ids[scan.Tool])
			if err != nil {
				return err
			}
			if _, err := tx.Exec("INSERT INTO pipeline_seen (tree, tool, version, at, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT (tree, tool, version) DO UPDATE SET at = excluded.at",
				treeID+"@"+scan.Target, scan.Tool, scan.Version, p.config.Now().UnixMicro(), body); err != nil {
				return err
			}
		}
		return nil
	})
}

// allowedID stands among the IDs of a tree's findings for one that a comment, or
// metadata, lets be.
func allowedID(id string) string { return "allow:" + id }

// recall is which findings a tree has, by what every one of the scans' tools saw there; ok
// is false when one of them, in this version, has not looked at it.
func (p *Pipelines) recall(ctx context.Context, treeID string, scans []finding.Scan) (ids map[string]bool, ok bool, err error) {
	ids, ok = map[string]bool{}, true
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		for _, s := range scans {
			body, err := db.One(tx, db.Value[[]byte], "SELECT body FROM pipeline_seen WHERE tree = ? AND tool = ? AND version = ?", treeID+"@"+s.Target, s.Tool, s.Version)
			if errors.Is(err, fault.NotFound) {
				ok = false
				return nil
			}
			if err != nil {
				return err
			}
			var list []string
			if err := unpack(body, &list); err != nil {
				return err
			}
			for _, id := range list {
				ids[id] = true
			}
		}
		return nil
	})
	return ids, ok, err
}
