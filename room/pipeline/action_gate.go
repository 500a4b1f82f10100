package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/haechi-dev/haechi/base/git"
	"github.com/haechi-dev/haechi/river/work"
	"github.com/haechi-dev/haechi/tool/gate"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// OwnFolder is where a repository keeps what it says to Haechi. What a branch
// changes there is a proposal: it counts once the default branch has passed with it.
const OwnFolder = ".haechi/"

// PolicyFile is a repository's gate policy.
const PolicyFile = OwnFolder + "gate.yaml"

// doGate decides whether the run passes.
func (p *Pipelines) doGate(ctx context.Context, e Execution, log *work.Log) (outcome, error) {
	repo, err := p.config.Source.Git(e.Repository)
	if err != nil {
		return outcome{}, err
	}
	var head scanned
	if err := p.output(ctx, e.ID, "Scan", &head); err != nil {
		return outcome{}, err
	}
	fresh, known, err := p.compare(ctx, repo, e, head, log)
	if err != nil {
		return outcome{}, err
	}
	policy, counts, err := p.policy(ctx, repo, e, log)
	if err != nil {
		return outcome{}, err
	}
	proposals, err := p.proposals(ctx, repo, e, counts, log)
	if err != nil {
		return outcome{}, err
	}
	decided, err := p.decided(ctx, e)
	if err != nil {
		return outcome{}, err
	}
	fresh, known = decided.undecided(fresh, log), decided.undecided(known, log)
	var want []string
	for _, s := range p.config.Scanners {
		want = append(want, s.Name())
	}
	o := judged(policy.Judge(want, head.Scans, fresh, known...), len(fresh), log)
	labels := map[finding.Label]int{}
	for _, f := range fresh {
		labels[f.Label()]++
	}
	o.change = func(e *Execution) { e.Fresh, e.Proposals = labels, proposals }
	return o, nil
}

// compare parts the findings of the run into those that its base does not have, and the others.
func (p *Pipelines) compare(ctx context.Context, repo *git.Repo, e Execution, head scanned, log *work.Log) (fresh, known []finding.Finding, err error) {
	if e.Base == "" {
		return head.Findings, nil, nil
	}
	commit, err := repo.Commit(ctx, e.Base)
	if errors.Is(err, fault.NotFound) {
		log.Printf("the base %s is gone: every finding is new\n", e.Base)
		return head.Findings, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	base, ok, err := p.recall(ctx, commit.Tree, head.Scans)
	if err == nil && !ok {
		log.Printf("looking at the base %s, which nobody has with these scanners\n", e.Base)
		if err = p.scanBase(ctx, repo, e, commit.Tree); err == nil {
			base, _, err = p.recall(ctx, commit.Tree, head.Scans)
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("comparing with %s: %w", e.Base, err)
	}
	for _, f := range head.Findings {
		reason, allowed := f.ProductFields[finding.FieldAllow]
		switch {
		case allowed && base[allowedID(f.ID)]: // the base says so too
			log.Printf("let be: %s %s: %s\n", f.Where(), f.Title, clip(reason, 250))
		case base[f.ID]:
			known = append(known, f)
		default:
			fresh = append(fresh, f)
		}
		if allowed && !base[allowedID(f.ID)] {
			log.Printf("proposal: to let be %s %s (%s): it counts once the default branch has passed with it\n", f.Where(), f.Title, clip(reason, 250))
		}
	}
	return fresh, known, nil
}

// scanBase looks at the base and remembers what it has. What cannot be looked
// at there is not remembered, so that what the head has is new.
func (p *Pipelines) scanBase(ctx context.Context, repo *git.Repo, e Execution, treeID string) error {
	result, _, err := p.scan(ctx, repo, e, e.Base)
	if err != nil {
		return err
	}
	base := scanned{Scans: result.Scans()}
	for _, run := range result.Runs {
		for _, f := range run.Findings {
			base.Findings = append(base.Findings, p.maker.Own(run.Scan, f, p.config.Now()))
		}
	}
	return p.remember(ctx, treeID, base)
}

// policy is what decides, and the commit that it is from: the last of the
// default branch that has passed, never the run's own. Without one, or without
// a file there, it is the server's.
func (p *Pipelines) policy(ctx context.Context, repo *git.Repo, e Execution, log *work.Log) (gate.Policy, string, error) {
	branch, commit, err := p.counts(ctx, e)
	if err != nil || commit == "" {
		log.Printf("policy: the server's\n")
		return p.config.Policy(), "", err
	}
	text, err := fileOf(ctx, repo, commit, PolicyFile)
	if errors.Is(err, fs.ErrNotExist) {
		log.Printf("policy: the server's\n")
		return p.config.Policy(), commit, nil
	}
	if err != nil {
		return p.config.Policy(), commit, err
	}
	policy, err := gate.Parse(PolicyFile, text)
	if err != nil {
		log.Printf("%s of %s cannot be read, so the server's policy counts:\n%s\n", PolicyFile, commit, diag.Detail(err))
		return p.config.Policy(), commit, nil
	}
	log.Printf("policy: %s of %s at %s\n", PolicyFile, branch, commit)
	return policy, commit, nil
}

// counts is the commit whose .haechi counts for a run: the last of the default
// branch that has passed before it, or "".
func (p *Pipelines) counts(ctx context.Context, e Execution) (branch, commit string, err error) {
	r, err := p.config.Source.Repository(ctx, e.Repository)
	if err != nil {
		return "", "", err
	}
	before := e.Number
	if e.Branch != r.DefaultBranch {
		before = 1 << 62
	}
	commit, err = p.lastPassed(ctx, e.Pipeline, r.DefaultBranch, before)
	return r.DefaultBranch, commit, err
}

func fileOf(ctx context.Context, repo *git.Repo, commit, name string) ([]byte, error) {
	files, err := repo.Tree(ctx, commit)
	if err != nil {
		return nil, err
	}
	defer files.Close()
	return fs.ReadFile(files, name)
}

// proposals are the files by which the branch would change what Haechi does.
func (p *Pipelines) proposals(ctx context.Context, repo *git.Repo, e Execution, counts string, log *work.Log) ([]string, error) {
	changes, err := repo.Changes(ctx, counts, e.Commit)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, c := range changes {
		if strings.HasPrefix(c.Path, OwnFolder) && len(names) < 20 {
			names = append(names, clip(c.Path, 200))
			log.Printf("proposal: %s is changed; it counts once the default branch has passed with it\n", clip(c.Path, 200))
		}
	}
	return names, nil
}

// decisions are the findings of a branch as the hub has them: with the severity
// that people gave them, and what they suppressed.
type decisions map[string]finding.Finding

func (p *Pipelines) decided(ctx context.Context, e Execution) (decisions, error) {
	present, err := p.config.Hub.Present(ctx, e.Repository, e.Branch)
	d := decisions{}
	for _, f := range present {
		d[f.ID] = f
	}
	return d, err
}

// undecided are the findings that nobody has suppressed.
func (d decisions) undecided(all []finding.Finding, log *work.Log) (open []finding.Finding) {
	for _, f := range all {
		if k, ok := d[f.ID]; ok {
			f = k
		}
		if f.Status() == finding.Suppressed {
			log.Printf("suppressed by people: %s %s\n", f.Where(), f.Title)
			continue
		}
		open = append(open, f)
	}
	return open
}

// mostReasons is how many a run keeps and logs.
const mostReasons = 100

// judged makes an outcome of a verdict, with each reason: what, where, and what to do.
func judged(v gate.Verdict, fresh int, log *work.Log) outcome {
	if v.Pass {
		log.Printf("passed: %d new findings, none that stops\n", fresh)
		return outcome{status: Succeeded, summary: fmt.Sprintf("%d new findings, none that stops", fresh)}
	}
	var reasons []Reason
	for _, m := range v.Missing {
		reasons = append(reasons, Reason{Action: "Gate", Text: m.String(), Do: "see the log of Scan: what was not looked at may hide anything"})
	}
	for i, f := range v.Blocking { // the worst first
		reasons = append(reasons, Reason{Action: "Gate", Text: clip(f.Title, 250), Where: clip(f.Where(), 250), Do: advice(f), Severity: f.Label(), Finding: f.ID, Rule: v.By[i]})
	}
	all := len(reasons)
	reasons = reasons[:min(all, mostReasons)]
	for _, r := range reasons {
		r.log(log)
	}
	if all > len(reasons) {
		log.Printf("… and %d more\n", all-len(reasons))
	}
	return outcome{status: Failed, summary: fmt.Sprintf("%d reasons against it", all), reasons: reasons}
}

func (r Reason) log(log *work.Log) {
	log.Printf("NO  %s %s\n", r.Severity, r.Text)
	for _, line := range [][2]string{{"where", r.Where}, {"rule", r.Rule}, {"do", r.Do}} {
		if line[1] != "" {
			log.Printf("    %-6s %s\n", line[0], line[1])
		}
	}
}

// advice is what to do about a finding.
func advice(f finding.Finding) string {
	if f.Remediation != nil && f.Remediation.Recommendation != nil && f.Remediation.Recommendation.Text != "" {
		return clip(f.Remediation.Recommendation.Text, 250)
	}
	if fixed := f.ProductFields[finding.FieldFixed]; fixed != "" {
		return clip(fmt.Sprintf("update %s to %s", f.ProductFields[finding.FieldPackage], fixed), 250)
	}
	return "mend it, or suppress it with a reason"
}
