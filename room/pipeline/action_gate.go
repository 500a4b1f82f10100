package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
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
func (p *Pipelines) doGate(ctx context.Context, t *task) (outcome, error) {
	e, log := t.run, t.log
	repo, err := p.config.Source.Git(e.Repository)
	if err != nil {
		return outcome{}, err
	}
	head, err := p.found(ctx, t)
	if err != nil {
		return outcome{}, err
	}
	fresh, known, err := p.compare(ctx, repo, e, head, log)
	if err != nil {
		return outcome{}, err
	}
	policy, counts, err := p.policy(ctx, repo, e, t.action.Config["Policy"], log)
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
	asked := judged{Fresh: fresh, Known: known}
	for _, s := range p.config.Scanners {
		asked.Want = append(asked.Want, s.Name())
	}
	asked.Scans = e.evidence(t.action, head, asked.Want)
	o := verdict(policy.Judge(asked.Want, asked.Scans, fresh, known...), len(fresh), log)
	if missing := e.unscanned(t.action, head); len(missing) > 0 {
		why := Reason{Text: "nobody has looked at the artifact " + strings.Join(missing, ", "), Do: "scan it before: an action of type Test/ThirdParty/HaechiScan/1 takes it as its input"}
		o.reasons = slices.DeleteFunc(o.reasons, func(r Reason) bool { return r.Finding == "" && len(asked.Scans) == 0 }) // that is why
		why.log(log)
		asked.Dark = []Reason{why}
		o.status, o.code, o.summary, o.reasons = Failed, "JobFailed", why.Text, append([]Reason{why}, o.reasons...)
	}
	if o.output, err = asked.pack(); err != nil {
		return outcome{}, err
	}
	o.variables = values(append(slices.Clone(fresh), known...), len(fresh))
	passes, found := o.status == Succeeded, labels(head.Findings)
	o.change = func(e *Execution, _ *Action) {
		e.Fresh, e.Proposals, e.Gated, e.Findings = labels(fresh), proposals, passes, found
	}
	return o, nil
}

// found is what the scans of a run have handed on. A gate that is asked again looks again:
// people may have decided, advisories may be newer.
func (p *Pipelines) found(ctx context.Context, t *task) (all scanned, err error) {
	again := t.action.Attempt > 1
	for i := range t.run.Stages {
		s := &t.run.Stages[i]
		for j := range s.Actions {
			a := &s.Actions[j]
			if a.Runner != runScan || a.Status != Succeeded {
				continue
			}
			var one scanned
			if again {
				t.log.Printf("looking again at %s\n", strings.Join(a.Inputs, ", "))
				one, _, _, err = p.look(ctx, t, a.Inputs)
			} else {
				err = p.output(ctx, t.run.ID, outputName(s, a), &one)
			}
			if err != nil {
				return all, err
			}
			all.Scans, all.Findings = append(all.Scans, one.Scans...), append(all.Findings, one.Findings...)
		}
	}
	// A scan of another commit, or of an artifact, says nothing of this commit.
	all.Scans = slices.DeleteFunc(all.Scans, func(s finding.Scan) bool {
		return s.Digest == "" && s.Target == t.run.Repository && s.Commit != t.run.Commit
	})
	return all, nil
}

// about are the scans of an artifact as it is: of that commit, or of those bytes.
func (s scanned) about(a Artifact) (all []finding.Scan) {
	for _, one := range s.Scans {
		if one.Digest == a.Digest && one.Commit == a.Commit && (a.Digest != "" || one.Target == a.Repository) {
			all = append(all, one)
		}
	}
	return all
}

// evidence is what every scanner has seen of what a gate is about: its inputs, or the run's commit where it names none.
// What one of them saw of one thing says nothing of another, so of each scanner the scan counts that saw the least; one that has
// not looked at something that was scanned is not among them.
func (e *Execution) evidence(a *Action, head scanned, want []string) (scans []finding.Scan) {
	subjects := []Artifact{{Repository: e.Repository, Commit: e.Commit}}
	if len(a.Inputs) > 0 {
		subjects = nil
		for _, name := range a.Inputs {
			if artifact, ok := e.Artifact(name); ok && len(head.about(artifact)) > 0 { // the others are unscanned
				subjects = append(subjects, artifact)
			}
		}
	}
	for _, tool := range want {
		var least *finding.Scan
		for _, subject := range subjects {
			var best *finding.Scan
			for _, s := range head.about(subject) {
				if s.Tool == tool && (best == nil || s.Complete) {
					best = &s
				}
			}
			if best == nil {
				least = nil
				break
			}
			if least == nil || !best.Complete {
				least = best
			}
		}
		if least != nil {
			scans = append(scans, *least)
		}
	}
	return scans
}

// unscanned are the artifacts that a gate is about and that nobody has scanned as they are.
func (e *Execution) unscanned(a *Action, head scanned) (names []string) {
	for _, name := range a.Inputs {
		if artifact, ok := e.Artifact(name); !ok || len(head.about(artifact)) == 0 {
			names = append(names, name)
		}
	}
	return names
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
	base, ok, err := p.recall(ctx, commit.Tree, head.of(e))
	if err == nil && !ok {
		log.Printf("looking at the base %s, which nobody has with these scanners\n", e.Base)
		if err = p.scanBase(ctx, e, commit.Tree); err == nil {
			base, _, err = p.recall(ctx, commit.Tree, head.of(e))
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

// of are the scans of the run's own repository, which its base is compared by.
func (s scanned) of(e Execution) (all []finding.Scan) {
	for _, one := range s.Scans {
		if one.Target == e.Repository && one.Digest == "" {
			all = append(all, one)
		}
	}
	return all
}

// scanBase looks at the base and remembers what it has. What cannot be looked
// at there is not remembered, so that what the head has is new.
func (p *Pipelines) scanBase(ctx context.Context, e Execution, treeID string) error {
	result, _, err := p.scan(ctx, e, Artifact{Repository: e.Repository, Branch: e.Branch, Commit: e.Base})
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
func (p *Pipelines) policy(ctx context.Context, repo *git.Repo, e Execution, file string, log *work.Log) (gate.Policy, string, error) {
	file = cmp.Or(file, PolicyFile)
	if !strings.HasPrefix(path.Clean(file), OwnFolder) {
		return gate.Policy{}, "", fault.Invalid.Errorf("the policy %q does not lie in %s", clip(file, 200), OwnFolder)
	}
	branch, commit, err := p.counts(ctx, e)
	if err != nil || commit == "" {
		log.Printf("policy: the server's\n")
		return p.config.Policy(), "", err
	}
	text, err := fileOf(ctx, repo, commit, path.Clean(file))
	if errors.Is(err, fs.ErrNotExist) && file != PolicyFile {
		return gate.Policy{}, commit, fault.Invalid.Errorf("there is no %s at %s of %s, the last commit that passed", file, commit, branch)
	}
	if errors.Is(err, fs.ErrNotExist) {
		log.Printf("policy: the server's\n")
		return p.config.Policy(), commit, nil
	}
	if err != nil {
		return p.config.Policy(), commit, err
	}
	policy, err := gate.Parse(file, text)
	if err != nil {
		log.Printf("%s of %s cannot be read, so the server's policy counts:\n%s\n", file, commit, diag.Detail(err))
		return p.config.Policy(), commit, nil
	}
	log.Printf("policy: %s of %s at %s\n", file, branch, commit)
	return policy, commit, nil
}

// counts is the commit whose .haechi counts for a run: the last of the default
// branch that has passed before it, or "".
func (p *Pipelines) counts(ctx context.Context, e Execution) (branch, commit string, err error) {
	r, err := p.config.Source.Repository(ctx, e.Repository)
	if err != nil {
		return "", "", err
	}
	before := e.counted()
	if e.Branch != r.DefaultBranch {
		before = 1 << 62
	}
	commit, err = p.lastPassed(ctx, e.Repository, r.DefaultBranch, before)
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
	r, err := p.config.Source.Repository(ctx, e.Repository)
	if err != nil {
		return nil, err
	}
	onDefault := e.Protected && e.Branch == r.DefaultBranch
	changes, err := repo.Changes(ctx, counts, e.Commit)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, c := range changes {
		if c.Path == DefinitionFile && onDefault {
			continue // that is what it goes by
		}
		if strings.HasPrefix(c.Path, OwnFolder) && len(names) < 20 {
			names = append(names, clip(c.Path, 200))
			when := "the default branch has passed with it"
			if c.Path == DefinitionFile {
				when = "the protected default branch has it"
			}
			log.Printf("proposal: %s is changed; it counts once %s\n", clip(c.Path, 200), when)
		}
	}
	return names, nil
}

// decisions are the findings of a branch as the hub has them: with the severity
// that people gave them, and what they suppressed.
type decisions map[string]finding.Finding

func (p *Pipelines) decided(ctx context.Context, e Execution) (decisions, error) {
	branch := e.Branch
	if strings.HasPrefix(branch, "refs/") { // it is on no branch: what people decided on the default branch holds
		r, err := p.config.Source.Repository(ctx, e.Repository)
		if err != nil {
			return nil, err
		}
		branch = r.DefaultBranch
	}
	present, err := p.config.Hub.Present(ctx, e.Repository, branch)
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

// verdict makes an outcome of a verdict, with each reason: what, where, and what to do.
func verdict(v gate.Verdict, fresh int, log *work.Log) outcome {
	if v.Pass {
		log.Printf("passed: %d new findings, none that stops\n", fresh)
		return outcome{status: Succeeded, summary: fmt.Sprintf("%d new findings, none that stops", fresh)}
	}
	reasons := reasonsOf(v)
	all := len(reasons)
	reasons = reasons[:min(all, mostReasons)]
	for _, r := range reasons {
		r.log(log)
	}
	if all > len(reasons) {
		log.Printf("… and %d more\n", all-len(reasons))
	}
	return outcome{status: Failed, code: "JobFailed", summary: fmt.Sprintf("%d reasons against it", all), reasons: reasons}
}

// reasonsOf are the reasons of a no, the worst first.
func reasonsOf(v gate.Verdict) (reasons []Reason) {
	for _, m := range v.Missing {
		reasons = append(reasons, Reason{Text: m.String(), Do: "see the log of the scan: what was not looked at may hide anything"})
	}
	for i, f := range v.Blocking {
		reasons = append(reasons, Reason{Text: clip(f.Title, 250), Where: clip(f.Where(), 250), Do: advice(f), Severity: f.Label(), Finding: f.ID, Rule: v.By[i]})
	}
	return reasons
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
