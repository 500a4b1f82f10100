package pipeline

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/haechi-dev/haechi/tool/sbom"
	"github.com/haechi-dev/haechi/tool/scan"
	"github.com/haechi-dev/haechi/tool/scan/iac"
	"github.com/haechi-dev/haechi/word/component"
	"github.com/haechi-dev/haechi/word/diag"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// doInspect is CodePipeline's InspectorScan: it counts what there is, and fails above a count.
func (p *Pipelines) doInspect(ctx context.Context, t *task) (outcome, error) {
	c := t.action.Config
	if c["InspectorRunMode"] != "SourceCodeScan" {
		return failed(Reason{Text: "InspectorRunMode " + clip(c["InspectorRunMode"], 50) + " does not work here", Do: "images come to Haechi's pipelines with its registry: until then scan them with 'haechi scan' in a build"}), nil
	}
	limits := map[finding.Label]string{finding.Critical: "CriticalThreshold", finding.High: "HighThreshold", finding.Medium: "MediumThreshold", finding.Low: "LowThreshold"}
	for _, key := range limits {
		if _, err := strconv.ParseUint(cmp.Or(c[key], "0"), 10, 31); err != nil {
			return failed(Reason{Text: key + " is a whole number, not " + clip(c[key], 50), Do: "mend the action's configuration"}), nil
		}
	}
	all, components, _, err := p.look(ctx, t, t.action.Inputs)
	if err != nil {
		return outcome{}, err
	}
	o := outcome{status: Succeeded, summary: fmt.Sprintf("%d findings", len(all.Findings)), variables: map[string]string{"HighestScannedSeverity": strings.ToLower(values(all.Findings, 0)["HighestSeverity"])}}
	if o.artifacts, err = p.bill(ctx, t, components, "cyclonedx"); err != nil {
		return outcome{}, err
	}
	for _, s := range all.Scans {
		if !s.Complete {
			o = failed(Reason{Text: "the scanner " + s.Tool + " did not look at everything", Do: "see the log: what was not looked at may hide anything"})
		}
	}
	counts := labels(all.Findings)
	for _, label := range []finding.Label{finding.Critical, finding.High, finding.Medium, finding.Low} {
		most, err := strconv.Atoi(c[limits[label]])
		if err == nil && counts[label] > most {
			o.status, o.code = Failed, "JobFailed"
			o.reasons = append(o.reasons, Reason{Text: fmt.Sprintf("%d findings are %s, more than %d", counts[label], label, most), Severity: label, Do: "see the findings of the branch"})
			o.summary = o.reasons[0].Text
		}
	}
	o.change = func(e *Execution, _ *Action) { e.Findings = counts }
	return o, nil
}

// doSBOM lists what an artifact is made of.
func (p *Pipelines) doSBOM(ctx context.Context, t *task) (outcome, error) {
	artifacts, err := t.run.inputs(t.action.Inputs)
	if err != nil {
		return outcome{}, err
	}
	result, _, err := p.scan(ctx, t.run, artifacts[0])
	if err != nil {
		return outcome{}, err
	}
	var all []component.Component
	for _, run := range result.Runs {
		all = append(all, run.Components...)
	}
	t.log.Printf("%d components\n", len(all))
	o := outcome{status: Succeeded, summary: fmt.Sprintf("%d components", len(all)), variables: map[string]string{"Components": strconv.Itoa(len(all))}}
	o.artifacts, err = p.bill(ctx, t, all, cmp.Or(t.action.Config["Format"], "cyclonedx"))
	return o, err
}

// mostBill is how many bytes a bill of materials may have.
const mostBill = 256 << 20

// bill keeps a bill of materials as the artifact that an action gives, if it gives one.
func (p *Pipelines) bill(ctx context.Context, t *task, components []component.Component, format string) ([]Artifact, error) {
	if len(t.action.Outputs) == 0 {
		return nil, nil
	}
	if p.config.Blobs == nil {
		return nil, fault.Unsupported.Errorf("artifacts are not kept here: leave outputArtifacts out")
	}
	write := sbom.CycloneDX
	if format == "spdx" {
		write = sbom.SPDX
	}
	var text bytes.Buffer
	made := sbom.Made{Name: t.run.Repository, Version: t.run.Commit, Tool: "haechi", At: p.config.Now().UTC()}
	if err := write(&text, made, components); err != nil {
		return nil, err
	}
	info, err := p.config.Blobs.Put(ctx, &text, mostBill)
	return []Artifact{{Name: t.action.Outputs[0].Name, Digest: info.Digest, Size: info.Size}}, err
}

// doGuard holds an artifact's infrastructure against rules: those of a folder, or a file, of the default
// branch as it passed last. What they say of a change's own rules is a proposal.
func (p *Pipelines) doGuard(ctx context.Context, t *task) (outcome, error) {
	artifacts, err := t.run.inputs(t.action.Inputs)
	if err != nil {
		return outcome{}, err
	}
	rules, err := p.guardRules(ctx, t, cmp.Or(t.action.Config["Rules"], iac.RulesFolder))
	if err != nil {
		return outcome{}, err
	}
	repo, err := p.config.Source.Git(artifacts[0].Repository)
	if err != nil {
		return outcome{}, err
	}
	files, err := p.open(ctx, repo, artifacts[0])
	if err != nil {
		return outcome{}, err
	}
	defer files.close()
	result, err := scan.Tree(ctx, files, scan.Options{Scanners: []scan.Scanner{iac.New(rules...)}, Target: artifacts[0].Repository, Branch: artifacts[0].Branch, Commit: artifacts[0].Commit})
	if err != nil {
		return outcome{}, err
	}
	var all []finding.Finding
	o := outcome{status: Succeeded}
	for _, run := range result.Runs {
		all = append(all, run.Findings...)
		if !run.Scan.Complete {
			o.reasons = append(o.reasons, Reason{Text: "not everything could be read", Do: "see the log: what was not looked at may hide anything"})
			skipped(t.log, run.Scan)
		}
	}
	for _, f := range all {
		o.reasons = append(o.reasons, Reason{Text: clip(f.Title, 250), Where: clip(f.Where(), 250), Do: advice(f), Severity: f.Label(), Rule: clip(f.GeneratorID, 200)})
	}
	o.reasons = o.reasons[:min(len(o.reasons), mostReasons)]
	for _, r := range o.reasons {
		r.log(t.log)
	}
	o.summary, o.variables = fmt.Sprintf("%d rules, %d findings", len(rules), len(all)), values(all, 0)
	if len(o.reasons) > 0 {
		o.status, o.code = Failed, "JobFailed"
	}
	t.log.Printf("%s\n", o.summary)
	return o, nil
}

// guardRules are the rules that count for a run.
func (p *Pipelines) guardRules(ctx context.Context, t *task, name string) ([]iac.Rule, error) {
	name = path.Clean(name)
	if !strings.HasPrefix(name+"/", OwnFolder) {
		return nil, fault.Invalid.Errorf("the rules %q do not lie in %s", clip(name, 200), OwnFolder)
	}
	repo, err := p.config.Source.Git(t.run.Repository)
	if err != nil {
		return nil, err
	}
	branch, commit, err := p.counts(ctx, t.run)
	if err != nil {
		return nil, err
	}
	if commit == "" {
		return nil, fault.Invalid.Errorf("no commit of %s has passed yet, so that no rules count", branch)
	}
	files, err := repo.Tree(ctx, commit)
	if err != nil {
		return nil, err
	}
	defer files.Close()
	t.log.Printf("rules: %s of %s at %s\n", name, branch, commit)
	info, err := fs.Stat(files, name)
	if err != nil {
		return nil, fault.Invalid.Errorf("there is no %s at %s of %s, the last commit that passed", name, commit, branch)
	}
	if !info.IsDir() {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		rules, err := iac.RulesOf(name, text)
		if err != nil {
			err = fault.Invalid.Errorf("%s", diag.Detail(err))
		}
		return rules, err
	}
	rules, unread := iac.RulesIn(files, name)
	if len(unread) > 0 {
		return nil, fault.Invalid.Errorf("%s: %s", unread[0], unread[0].Why)
	}
	if len(rules) == 0 {
		return nil, fault.Invalid.Errorf("%s holds no rules", name)
	}
	return rules, nil
}

// doNotify says a message: its event tells, and routes carry it to those who asked.
func (p *Pipelines) doNotify(_ context.Context, t *task) (outcome, error) {
	message := t.action.Config["Message"]
	t.log.Printf("%s\n", message)
	return outcome{status: Succeeded, summary: clip(message, 200)}, nil
}

// webhookBody is what a webhook is sent: what a Lambda function is at AWS, without the artifacts.
type webhookBody struct {
	Job struct {
		ID   string `json:"id"`
		Data struct {
			Configuration struct {
				Function   string `json:"FunctionName"`
				Parameters string `json:"UserParameters,omitzero"`
			} `json:"actionConfiguration"`
			Pipeline  string     `json:"pipelineName"`
			Execution string     `json:"pipelineExecutionId"`
			Stage     string     `json:"stageName"`
			Action    string     `json:"actionName"`
			Repo      string     `json:"repository"`
			Branch    string     `json:"branch"`
			Commit    string     `json:"commit"`
			Inputs    []Artifact `json:"inputArtifacts,omitzero"`
		} `json:"data"`
	} `json:"CodePipeline.job"`
}

// doWebhook calls an address that people have given a name. It is sent again with the same id when it is
// not known whether it came, so that whoever gets it can tell.
func (p *Pipelines) doWebhook(ctx context.Context, t *task) (outcome, error) {
	if p.config.Webhooks == nil {
		return failed(Reason{Text: "there are no webhooks on this server"}), nil
	}
	config, name, inputs, id := t.config()
	var body []byte
	if text, own := config["Body"]; own {
		body = []byte(text)
	} else {
		var b webhookBody
		b.Job.ID = id
		d := &b.Job.Data
		d.Configuration.Function, d.Configuration.Parameters = config["FunctionName"], config["UserParameters"]
		d.Pipeline, d.Execution, d.Stage, d.Action, d.Repo, d.Branch, d.Commit = t.run.Pipeline, t.run.ID, t.stage.Name, name, t.run.Repository, t.run.Branch, t.run.Commit
		var err error
		if d.Inputs, err = t.run.inputs(inputs); err != nil {
			return outcome{}, err
		}
		if body, err = json.Marshal(b, json.Deterministic(true)); err != nil {
			return outcome{}, err
		}
	}
	hook := cmp.Or(config["Name"], config["FunctionName"])
	began := time.Now()
	if err := p.config.Webhooks.Call(ctx, hook[strings.LastIndexByte(hook, ':')+1:], id, body); err != nil {
		if fault.Permanent(err) {
			t.log.Printf("%v\n", err)
			return failed(Reason{Text: clip(err.Error(), 300), Do: "an API destination of that name must take it: see 'aws events list-api-destinations'"}), nil
		}
		return outcome{}, err
	}
	t.log.Printf("%s took it in %v\n", hook, time.Since(began).Round(time.Millisecond))
	return outcome{status: Succeeded, summary: hook + " took it", variables: map[string]string{"StatusCode": "200"}}, nil
}

// config is what an action or a rule is told, what it is called, what it takes, and its id.
func (t *task) config() (config map[string]string, name string, inputs []string, id string) {
	if t.rule != nil {
		return t.rule.Config, t.rule.Name, t.rule.Inputs, t.rule.ID
	}
	return t.action.Config, t.action.Name, t.action.Inputs, t.action.ID
}
