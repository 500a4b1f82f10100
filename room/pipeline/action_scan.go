package pipeline

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/keeper/hub"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// scanned is what the scan hands on to the gate.
type scanned struct {
	Scans    []finding.Scan
	Findings []finding.Finding
}

// doScan looks at every file of what it is given and tells the hub what there is.
func (p *Pipelines) doScan(ctx context.Context, t *task) (outcome, error) {
	all, _, files, err := p.look(ctx, t, t.action.Inputs)
	if err != nil {
		return outcome{}, err
	}
	counts := labels(all.Findings)
	output, err := pack(all)
	return outcome{
		status: Succeeded, summary: fmt.Sprintf("%d findings in %d files", len(all.Findings), files), output: output, variables: values(all.Findings, 0),
		change: func(e *Execution, _ *Action) { e.Findings = counts },
	}, err
}

func labels(all []finding.Finding) map[finding.Label]int {
	counts := map[finding.Label]int{}
	for _, f := range all {
		counts[f.Label()]++
	}
	return counts
}

// values are the variables that a scan, or a gate, gives.
func values(all []finding.Finding, fresh int) map[string]string {
	worst := finding.Informational
	for _, f := range all {
		if f.Label().Rank() > worst.Rank() {
			worst = f.Label()
		}
	}
	return map[string]string{"HighestSeverity": string(worst), "Findings": strconv.Itoa(len(all)), "NewFindings": strconv.Itoa(fresh)}
}

// look scans artifacts, and tells the hub and whoever keeps components.
func (p *Pipelines) look(ctx context.Context, t *task, inputs []string) (all scanned, components []component.Component, files int, err error) {
	began := time.Now()
	size := int64(0)
	artifacts, err := t.run.inputs(inputs)
	if err != nil {
		return all, nil, 0, err
	}
	for _, artifact := range artifacts {
		result, treeID, err := p.scan(ctx, t.run, artifact)
		if err != nil {
			return all, nil, 0, err
		}
		one := scanned{}
		for _, run := range result.Runs {
			s, own, err := p.tellHub(ctx, t, artifact, run)
			if err != nil {
				return all, nil, 0, err
			}
			one.Scans, one.Findings = append(one.Scans, s), append(one.Findings, own...)
			components = append(components, run.Components...)
		}
		if err := p.remember(ctx, treeID, one); err != nil {
			return all, nil, 0, err
		}
		all.Scans, all.Findings = append(all.Scans, one.Scans...), append(all.Findings, one.Findings...)
		files, size = files+result.Files, size+result.Bytes
	}
	t.log.Printf("%d files, %d bytes in %v\n", files, size, time.Since(began).Round(time.Millisecond))
	return all, components, files, nil
}

// tellHub tells the hub what one scanner has found, and says so in the log.
func (p *Pipelines) tellHub(ctx context.Context, t *task, artifact Artifact, run scan.Run) (finding.Scan, []finding.Finding, error) {
	s := run.Scan
	s.ID = t.run.ID + "/" + s.Tool
	if artifact.Digest != "" || artifact.Repository != t.run.Repository {
		s.ID += "/" + artifact.Name
	}
	var own []finding.Finding
	for _, f := range run.Findings {
		own = append(own, p.maker.Own(s, f, p.config.Now()))
	}
	if strings.HasPrefix(artifact.Branch, "refs/") { // a tag, or a proposal that lies on no branch: what it has is not on a branch
		t.log.Printf("%-8s %4d findings%s\n", s.Tool, len(own), incomplete(s))
		skipped(t.log, s)
		return s, own, nil
	}
	var did hub.Imported
	late, err := p.inTurn(ctx, t.run.ID, artifact.Repository, s, func() (err error) {
		if p.config.Components != nil && len(run.Components) > 0 { // before the findings: see Keep
			if err := p.config.Components.Keep(ctx, s, run.Components); err != nil {
				return err
			}
		}
		did, err = p.config.Hub.Import(ctx, s, own...)
		return err
	})
	if err != nil {
		return s, nil, err
	}
	if late != "" {
		t.log.Printf("%-8s %4d findings%s; the hub knows %s of %s by now, which is newer: they count for this run alone\n", s.Tool, len(own), incomplete(s), late, s.Branch)
		skipped(t.log, s)
		return s, own, nil
	}
	for _, f := range did.Failed { // what the hub does not know of nobody would see
		s.Complete = false
		t.log.Printf("the hub does not take finding %s: %s\n", f.ID, f.Message)
	}
	t.log.Printf("%-8s %4d findings, %d new to the hub%s\n", s.Tool, len(own), did.New, incomplete(s))
	skipped(t.log, s)
	return s, own, nil
}

func skipped(log *work.Log, s finding.Scan) {
	for _, place := range s.Skipped[:min(len(s.Skipped), 20)] {
		log.Printf("         not looked at: %s: %s\n", place, place.Why)
	}
}

func incomplete(s finding.Scan) string {
	if s.Complete {
		return ""
	}
	return fmt.Sprintf("; INCOMPLETE: %d places were not looked at", len(s.Skipped))
}

// scan looks at an artifact with all scanners: the files of a commit, or those that a build has made.
func (p *Pipelines) scan(ctx context.Context, e Execution, a Artifact) (scan.Result, string, error) {
	repo, err := p.config.Source.Git(a.Repository)
	if err != nil {
		return scan.Result{}, "", err
	}
	files, err := p.open(ctx, repo, a)
	if err != nil {
		return scan.Result{}, "", err
	}
	defer files.close()
	e.Repository, e.Branch = a.Repository, a.Branch
	scanners, done, err := p.scanners(ctx, repo, e)
	if err != nil {
		return scan.Result{}, "", err
	}
	defer done()
	options := scan.Options{Scanners: scanners, Target: a.Repository, Branch: a.Branch, Commit: a.Commit}
	if a.Digest != "" {
		options.Target += "/" + a.Name
	}
	result, err := scan.Tree(ctx, files.FS, options) // the tree itself: scanners ask of which commit it is
	for i := range result.Runs {                     // whose name nobody can say nobody has looked at
		s := &result.Runs[i].Scan
		s.Digest = a.Digest
		s.Skipped = append(s.Skipped, files.skipped...)
		s.Complete = s.Complete && len(files.skipped) == 0
	}
	return result, files.id, err
}

// opened is an artifact's files.
type opened struct {
	fs.FS
	id      string
	skipped []diag.Place
	close   func()
}

func (p *Pipelines) open(ctx context.Context, repo *git.Repo, a Artifact) (opened, error) {
	if a.Digest == "" {
		files, err := repo.Tree(ctx, a.Commit)
		if err != nil {
			return opened{}, err
		}
		return opened{files, files.ID, files.Skipped, func() { files.Close() }}, nil
	}
	if p.config.Blobs == nil {
		return opened{}, fault.Unsupported.Errorf("artifact %s is not kept here", a.Name)
	}
	file, err := p.config.Blobs.Open(ctx, a.Digest)
	if err != nil {
		return opened{}, fmt.Errorf("artifact %s: %w", a.Name, err)
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return opened{}, err
	}
	packed, err := zip.NewReader(file, info.Size())
	if err != nil {
		file.Close()
		return opened{}, fault.Invalid.Errorf("artifact %s is no ZIP file: %w", a.Name, err)
	}
	return opened{packed, a.Digest, nil, func() { file.Close() }}, nil
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
