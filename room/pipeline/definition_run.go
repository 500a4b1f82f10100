package pipeline

import (
	"github.com/haechi-dev/haechi/lang/structure"
)

// stages are a structure's stages as a run has them.
func stages(s structure.Pipeline) (all []Stage) {
	for _, of := range s.Stages {
		stage := Stage{Name: of.Name, Status: Waiting, OnFail: of.Failure}
		if of.Entry != nil {
			stage.Entry = condition(of.Entry.Conditions)
		}
		if of.Success != nil {
			stage.Success = condition(of.Success.Conditions)
		}
		if of.Failure != nil {
			stage.Failure = condition(of.Failure.Conditions)
		}
		for _, a := range of.Actions {
			stage.Actions = append(stage.Actions, action(a))
		}
		all = append(all, stage)
	}
	return all
}

func action(a structure.Action) Action {
	made := Action{
		Name: a.Name, Runner: runnerOf(a.Type), Type: a.Type, Order: a.Order(), Asked: a.Configuration, Commands: a.Commands, Env: a.Environment, Outputs: a.Outputs,
		Exports: a.OutputVariables, Namespace: a.Namespace, Role: a.RoleARN, Region: a.Region, Minutes: a.Minutes, Status: Waiting,
	}
	for _, in := range a.Inputs {
		made.Inputs = append(made.Inputs, in.Name)
	}
	return made
}

func condition(all []structure.Condition) *Condition {
	if len(all) == 0 {
		return nil
	}
	made := &Condition{Result: all[0].Result} // there is one at most
	for _, r := range all[0].Rules {
		rule := Rule{Name: r.Name, Type: r.Type, Asked: r.Configuration, Commands: r.Commands, Minutes: r.Minutes, Status: Waiting}
		for _, in := range r.Inputs {
			rule.Inputs = append(rule.Inputs, in.Name)
		}
		made.Rules = append(made.Rules, rule)
	}
	return made
}

// What does an action, in a word.
const (
	runSource   = "source"
	runScan     = "scan"
	runBuild    = "build"
	runGate     = "gate"
	runCommand  = "command"
	runApprove  = "approve"
	runInspect  = "inspect"
	runWebhook  = "webhook"
	runPipeline = "pipeline"
	runGuard    = "guard"
	runSBOM     = "sbom"
	runNotify   = "notify"
	runCustom   = "custom"
)

// runnerOf is what does actions of a type.
func runnerOf(t structure.TypeID) string {
	if t.Owner == "Custom" {
		return runCustom
	}
	switch t.Category + "/" + t.Provider {
	case "Build/CodeBuild", "Test/CodeBuild", "Rule/CodeBuild":
		return runBuild
	case "Compute/Commands", "Rule/Commands":
		return runCommand
	case "Approval/Manual":
		return runApprove
	case "Invoke/InspectorScan":
		return runInspect
	case "Invoke/Lambda", "Rule/LambdaInvoke", "Invoke/HaechiWebhook":
		return runWebhook
	case "Invoke/CodePipeline":
		return runPipeline
	case "Test/HaechiScan":
		return runScan
	case "Test/HaechiGuard":
		return runGuard
	case "Test/HaechiGate":
		return runGate
	case "Build/HaechiSBOM":
		return runSBOM
	case "Invoke/HaechiNotify":
		return runNotify
	}
	return runSource
}
